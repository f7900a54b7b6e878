//! `skill`: reads a skill, which is in force from then on.

use domain::EntryBody;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Tool, ToolContext, ToolError, schema};
use crate::HostError;
use crate::skills::{Skill, is_among, is_plain_path};
use crate::transcript::cut;

pub(crate) const NAME: &str = "skill";

/// How much of a file is given, in characters.
const MAX_CHARS: usize = 32_000;

pub(super) fn describe() -> Tool {
    Tool {
        name: NAME,
        group: "status",
        description: "Reads a skill's instructions. Follow them for the rest of your turn.",
        parameters: schema::of::<Arguments>(),
        may_repeat: true,
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// The skill's name.
    name: String,
    /// Another file of the skill. Left out: SKILL.md.
    file: Option<String>,
}

pub(super) async fn run(arguments: &Arguments, context: &ToolContext<'_>) -> Result<String, ToolError> {
    let skill = find(&arguments.name, context)?;
    let file = arguments.file.as_deref().unwrap_or("SKILL.md").trim_start_matches("./");
    let text = match file {
        "" | "SKILL.md" => skill.body.clone(),
        file => read(skill, file, context).await?,
    };
    let text = text.replace("{baseDir}", &skill.folder);
    let (shown, left_out) = cut(&text, MAX_CHARS);
    let rest = if left_out > 0 { format!("\n\n[{left_out} more characters are not shown.]") } else { String::new() };
    Ok(format!("{shown}{rest}{}", bounds(skill)))
}

fn find<'a>(name: &str, context: &ToolContext<'a>) -> Result<&'a Skill, ToolError> {
    let (skills, only) = (context.bot.skills, context.bot.abilities.skills.as_deref());
    let told = || {
        let names: Vec<&str> = skills.for_model(only).map(|skill| skill.manifest.name.as_str()).collect();
        if names.is_empty() { "there is none".to_owned() } else { format!("there are: {}", names.join(", ")) }
    };
    let Some(skill) = skills.get(name).filter(|_| is_among(only, name)) else {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        return Err(ToolError::RespondToModel(format!("There is no skill `{shown}`; {}.", told())));
    };
    if let Some(reason) = &skill.manifest.unmet {
        return Err(ToolError::RespondToModel(format!("The skill `{name}` cannot be used here: {reason}.")));
    }
    if skill.manifest.for_people_only && !is_asked_for(name, context) {
        let text = format!("Only a person may start the skill `{name}`, by writing `/skill {name}`.");
        return Err(ToolError::RespondToModel(text));
    }
    Ok(skill)
}

/// Whether a person's message in this turn begins with the skill's name as a command.
fn is_asked_for(name: &str, context: &ToolContext<'_>) -> bool {
    let of_turn = context.entries.iter().filter(|entry| entry.turn == context.turn);
    of_turn.flat_map(|entry| if let EntryBody::User(user) = &entry.body { Some(user) } else { None }).any(|user| {
        let mut words = user.text.split_whitespace();
        match words.next() {
            Some("/skill") => words.next() == Some(name),
            Some(word) => word.strip_prefix('/') == Some(name),
            None => false,
        }
    })
}

async fn read(skill: &Skill, file: &str, context: &ToolContext<'_>) -> Result<String, ToolError> {
    let missing =
        || ToolError::RespondToModel(format!("The skill `{}` has no file of this name.", skill.manifest.name));
    if !is_plain_path(file) {
        return Err(missing());
    }
    if let Some(text) = skill.files.get(file) {
        return Ok(text.clone());
    }
    let content = context.host.file_read(&format!("{}/{file}", skill.folder)).await.map_err(|error| match error {
        HostError::Failed(detail) => ToolError::Fatal(detail),
        refused => ToolError::RespondToModel(refused.to_string()),
    })?;
    let content = content.ok_or_else(missing)?;
    let not_text = |_| ToolError::RespondToModel(format!("The file {file} is not a text."));
    String::from_utf8(content.bytes.to_vec()).map_err(not_text)
}

/// What the model may use from here on, so that it need not try.
fn bounds(skill: &Skill) -> String {
    let list = |what: &str, names: &Option<Vec<String>>| {
        names
            .as_ref()
            .map(|names| format!(" {what}: {}.", if names.is_empty() { "none".into() } else { names.join(", ") }))
    };
    let tools = list("Tools", &skill.manifest.allowed_tools);
    let hosts = list("Hosts", &skill.manifest.hosts);
    match (tools, hosts) {
        (None, None) => String::new(),
        (tools, hosts) => {
            let parts = [tools, hosts].into_iter().flatten().collect::<String>();
            format!("\n\n[For the rest of this turn you may use nothing else than:{parts}]")
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{Abilities, SessionKey, Timestamp, TurnId};

    use super::*;
    use crate::{BotView, NoHost, Skills};

    async fn read(skills: &Skills, abilities: &Abilities, name: &str, file: Option<&str>) -> Result<String, String> {
        let session = SessionKey::main("main");
        let (now, bot) = (Timestamp::from_secs(1), BotView { skills, abilities, ..BotView::default() });
        let context =
            ToolContext { now, bot, session: &session, turn: TurnId::from_parts(now, 1), entries: &[], host: &NoHost };
        let arguments = Arguments { name: name.into(), file: file.map(str::to_owned) };
        run(&arguments, &context).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_skill_is_read_with_its_files_and_nothing_else() {
        let skills = Skills::discover([
            (
                "skills/tea/SKILL.md",
                "---\nname: tea\ndescription: d\nallowed-tools: []\n---\nSee {baseDir}/kinds.md.\n",
            ),
            ("skills/tea/kinds.md", "Green."),
            (
                "skills/gh/SKILL.md",
                "---\nname: gh\ndescription: d\nmetadata: {openclaw: {requires: {bins: [gh]}}}\n---\n",
            ),
            ("skills/mine/SKILL.md", "---\nname: mine\ndescription: d\ndisable-model-invocation: true\n---\n"),
        ]);
        let all = Abilities::default();
        let bounds = "\n\n[For the rest of this turn you may use nothing else than: Tools: none.]";
        assert_eq!(read(&skills, &all, "tea", None).await.unwrap(), format!("See skills/tea/kinds.md.{bounds}"));
        assert_eq!(read(&skills, &all, "tea", Some("./kinds.md")).await.unwrap(), format!("Green.{bounds}"));
        for file in ["../gh/SKILL.md", "/etc/passwd", "a\\b", "none.md"] {
            let error = read(&skills, &all, "tea", Some(file)).await.unwrap_err();
            assert_eq!(error, "The skill `tea` has no file of this name.", "{file}");
        }
        let error = async |name| read(&skills, &all, name, None).await.unwrap_err();
        assert_eq!(error("../tea").await, "There is no skill `../tea`; there are: tea.");
        assert_eq!(
            error("gh").await,
            "The skill `gh` cannot be used here: it runs programs (gh), and bots have no shell here."
        );
        assert_eq!(error("mine").await, "Only a person may start the skill `mine`, by writing `/skill mine`.");
        let none = Abilities { skills: Some(vec![]), ..Abilities::default() };
        assert_eq!(read(&skills, &none, "tea", None).await.unwrap_err(), "There is no skill `tea`; there is none.");
    }
}
