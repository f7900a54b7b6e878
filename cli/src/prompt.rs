//! `lowtide bots prompt`: what a bot's model reads before a conversation.

use api::views::{PromptPartView, SkillView};

use crate::Output;
use crate::client::Client;
use crate::table::table;

/// Shows the system prompt, what each part of the first request takes, and which skills are left out of it.
pub(crate) async fn show(client: &Client, output: Output, bot: &str) -> anyhow::Result<()> {
    let prompt = client.bot_prompt(client.bot_get(bot).await?.id).await?;
    output.show(&prompt, || {
        let style = output.style;
        let row = |part: &PromptPartView| [part.name.clone(), part.tokens.to_string()];
        let mut rows: Vec<_> = prompt.parts.iter().map(row).collect();
        rows.push(["all".to_owned(), prompt.tokens.to_string()]);
        let mut text = format!(
            "{}\n\n{}\n\nTokens are an estimate: one for every four characters.",
            style.shown(prompt.system.trim_end()),
            table(style, ["PART", "TOKENS"], &rows)
        );
        let left_out =
            |SkillView { name, left_out, .. }: &SkillView| Some(format!("\n  {name}: {}", left_out.as_ref()?));
        let skills: String = prompt.skills.iter().filter_map(left_out).collect();
        if !skills.is_empty() {
            text.push_str(&format!("\n\nSkills that the model is not told of:{}", style.shown(&skills)));
        }
        text
    })
}
