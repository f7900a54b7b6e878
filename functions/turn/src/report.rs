//! What people are told by `/status`, `/usage`, `/context`, `/skills` and `/tools`.

use agent::{PromptPart, PromptReport, SkillStatus};
use domain::budget::dollars;
use domain::control::Topic;
use domain::turn::{ActiveTurn, Head, grouped, turn_usage};
use domain::{Context, Entry, SessionKey, Usage};
use runtime::Environment;
use store::{Spent, StoreError};

use crate::bots::BotContext;
use crate::schedules;

/// What a report is made from.
pub(crate) struct Facts<'a> {
    pub(crate) context: &'a BotContext,
    pub(crate) session: &'a SessionKey,
    /// The turn that asks.
    pub(crate) turn: &'a ActiveTurn,
    pub(crate) head: &'a Head,
    /// The end of the session's log, oldest first.
    pub(crate) entries: &'a [Entry],
    /// How many tokens the session's model reads at most.
    pub(crate) window: u64,
    /// Names of the tools that the bot's model is given.
    pub(crate) tools: Vec<String>,
    pub(crate) skills: Vec<SkillStatus>,
    /// What the model would be sent now.
    pub(crate) prompt: PromptReport,
}

/// The text about `what`; of schedules, what came of the command.
pub(crate) async fn compose(environment: &Environment, facts: &Facts<'_>, what: Topic) -> Result<String, StoreError> {
    Ok(match what {
        Topic::Status => status(facts),
        Topic::Usage => {
            let bot = &facts.context.bot;
            let period = bot.budget.period;
            let account = environment.store.account(bot.account);
            let spent = account.spent(Some(bot.id), &period.containing(facts.head.updated_at)).await?;
            usage(facts, spent, period.as_words())
        }
        Topic::Context => shown(facts),
        Topic::Skills => skills(&facts.skills),
        Topic::Schedules { verb, job } => {
            schedules::obey(environment, &facts.context.bot, facts.turn, verb, &job).await?
        }
        Topic::Tools => list("Tools", &facts.tools, "I have no tools."),
    })
}

fn status(facts: &Facts<'_>) -> String {
    let Facts { context, session, head, entries, window, .. } = facts;
    let view = context.view(&head.settings);
    let thinking =
        view.thinking.map_or_else(|| "as the model sees fit".to_owned(), |level| format!("{level:?}").to_lowercase());
    let tokens = Context::of(entries).tokens();
    let queue = head.queue.unwrap_or(context.bot.queue);
    let mut lines = vec![
        format!("**{}**, session `{session}`", context.bot.name),
        format!("Model: `{}`, thinking: {thinking}", view.model.unwrap_or("the built-in demo")),
        format!("Context: about {} of {} tokens", grouped(tokens), grouped(*window)),
        format!("Session: {}", taken(head.usage, head.cost)),
        format!("Messages that wait: `{queue}`"),
    ];
    if let Some(waiting) = head.turn.as_ref().and_then(|turn| turn.waiting.as_ref()) {
        lines.push(format!("Waits for approval: `{}`", waiting.code));
    }
    if !head.settings.approved.is_empty() {
        lines.push(format!("Approved for this session: {}", head.settings.approved.join(", ")));
    }
    lines.join("\n")
}

fn usage(facts: &Facts<'_>, spent: Spent, period: &str) -> String {
    let Facts { context, head, entries, .. } = facts;
    let last = entries.iter().rev().find(|entry| entry.body.taken().is_some()).map(|entry| entry.turn);
    let (last, cost) = last.map(|turn| turn_usage(entries, turn)).unwrap_or_default();
    let mut lines =
        vec![format!("Last turn: {}", taken(last, cost)), format!("Session: {}", taken(head.usage, head.cost))];
    // Only what has a budget is counted over all sessions.
    if context.is_metered() {
        let limit = context.bot.budget.micros.map(|limit| format!(" of {}", dollars(limit))).unwrap_or_default();
        let turns = grouped(spent.turns);
        lines.push(format!("All of my sessions {period}: {}{limit}, {turns} turns", dollars(spent.micros)));
    }
    lines.join("\n")
}

/// `1,234 in (1,000 cached), 56 out, $0.0012`
fn taken(usage: Usage, cost: u64) -> String {
    let Usage { input, output, cached, .. } = usage;
    format!("{} in ({} cached), {} out, {}", grouped(input), grouped(cached), grouped(output), dollars(cost))
}

fn shown(facts: &Facts<'_>) -> String {
    let shown = Context::of(facts.entries);
    let mut lines = vec![
        format!("Context: about {} of {} tokens", grouped(shown.tokens()), grouped(facts.window)),
        format!("Conversation: {} entries", shown.entries.len()),
    ];
    if shown.summary.is_some() {
        lines.push("What was said before is a summary.".to_owned());
    }
    lines.push(
        "What I am sent with the next message, in tokens (an estimate: one for every four characters):".to_owned(),
    );
    lines.extend(facts.prompt.parts.iter().map(|PromptPart { name, tokens, .. }| line(name, *tokens)));
    lines.push(line("all", facts.prompt.tokens));
    lines.join("\n")
}

/// ``- `SOUL.md`: 1,078``
fn line(part: &str, tokens: usize) -> String {
    format!("- `{part}`: {}", grouped(tokens as u64))
}

/// The skills that can be used, then the others with what keeps them from it.
fn skills(skills: &[SkillStatus]) -> String {
    if skills.is_empty() {
        return "I have learnt no skills yet.".to_owned();
    }
    let (usable, others): (Vec<_>, Vec<_>) = skills.iter().partition(|skill| skill.left_out.is_none());
    let usable = usable.iter().map(|skill| format!("- `{}`: {}", skill.name, skill.description));
    let mut lines: Vec<String> = std::iter::once("Skills:".to_owned()).chain(usable).collect();
    if lines.len() == 1 {
        lines = vec!["I can use none of my skills.".to_owned()];
    }
    if !others.is_empty() {
        lines.push("\nNot used:".to_owned());
        let reason = |skill: &SkillStatus| Some(format!("- `{}`: {}", skill.name, skill.left_out.as_ref()?));
        lines.extend(others.into_iter().filter_map(reason));
    }
    lines.join("\n")
}

fn list(title: &str, names: &[String], none: &str) -> String {
    if names.is_empty() {
        return none.to_owned();
    }
    let lines: Vec<String> = names.iter().map(|name| format!("- `{name}`")).collect();
    format!("{title}:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_reads_well() {
        let usage = Usage { input: 1234, output: 56, cached: 1000, ..Usage::default() };
        assert_eq!(taken(usage, 1200), "1,234 in (1,000 cached), 56 out, $0.0012");
        assert_eq!(list("Tools", &[], "I have no tools."), "I have no tools.");
        assert_eq!(list("Tools", &["look".to_owned()], ""), "Tools:\n- `look`");
        assert_eq!(line("SOUL.md", 1078), "- `SOUL.md`: 1,078");
    }

    #[test]
    fn skills_that_are_not_used_say_why() {
        let skill = |name: &str, left_out: Option<&str>| SkillStatus {
            name: name.to_owned(),
            description: "Does it".to_owned(),
            left_out: left_out.map(str::to_owned),
        };
        let (works, fails) = (skill("plan", None), skill("shell", Some("it runs programs")));
        assert_eq!(skills(&[]), "I have learnt no skills yet.");
        let told = skills(&[fails.clone(), works]);
        assert_eq!(told, "Skills:\n- `plan`: Does it\n\nNot used:\n- `shell`: it runs programs");
        assert_eq!(skills(&[fails]), "I can use none of my skills.\n\nNot used:\n- `shell`: it runs programs");
    }
}
