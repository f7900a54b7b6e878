//! The built-in demo model: answers at once, without a key and without the network.
//!
//! It is there to see a bot work from end to end. It echoes, it shows that it remembers, and it
//! uses real tool calls when it is asked for the time or for a reminder.

use domain::heartbeat::HEARTBEAT_OK;
use domain::turn::Question;
use domain::when::parse_duration;
use domain::{Answer, Author, Context, EntryBody, ToolCall, ToolOutcome, ToolResult, UserMessage};
use serde_json::json;

use crate::ModelRequest;
use crate::tools::{CRON, CURRENT_TIME};
use crate::transcript::{cut, user};

/// The model reference of the demo.
pub(super) const NAME: &str = "demo";

/// The command that gives a bot a real model; `{bot}` stands for the bot's name.
pub const SET_MODEL_COMMAND: &str = "lowtide bots model {bot} openai/gpt-5.1 --api-key-env OPENAI_API_KEY";

/// How much of a message is echoed, in characters.
const MAX_ECHO: usize = 300;

/// How long a summary is, in lines, and each of them in characters.
const MAX_DIGEST_LINES: usize = 40;
const MAX_DIGEST_LINE: usize = 120;

pub(super) fn answer(request: &ModelRequest<'_>) -> Answer {
    let context = Context::of(request.entries);
    let entries = context.entries;
    let said: Vec<&UserMessage> = entries.iter().filter_map(user).filter(|user| !user.is_command).collect();
    if let Question::Summary { keep_from, .. } = request.question {
        return text(digest(&context, *keep_from));
    }
    let asked = said.last().map(|user| user.text.as_str()).unwrap_or_default();
    let results = entries.iter().rev().map_while(|entry| match &entry.body {
        EntryBody::ToolResult(result) => Some(result),
        _ => None,
    });
    if let Some(result) = results.last() {
        return text(told(result));
    }
    if let Some(told) = said.last().filter(|user| user.sender.author() == Author::Job) {
        return text(reminded(&told.text));
    }
    if *request.question == (Question::Step { tools: true })
        && let Some((name, arguments)) = wanted(asked)
    {
        // The log's length tells one call from the next.
        let id = format!("demo_{}", entries.last().map_or(0, |entry| entry.seq));
        let call = ToolCall { id, name: name.to_owned(), arguments };
        return Answer { tool_calls: vec![call], ..text(String::new()) };
    }
    text(echo(request, &context, &said))
}

/// The tool that a message asks for, with its arguments.
fn wanted(asked: &str) -> Option<(&'static str, String)> {
    if let Some(Reminder { after, of }) = Reminder::asked_for(asked) {
        let job = json!({ "action": "add", "name": of, "at": format!("in {after}"), "message": of });
        return Some((CRON, job.to_string()));
    }
    asks_time(asked).then(|| (CURRENT_TIME, "{}".to_owned()))
}

/// What a tool's result is to the person.
fn told(result: &ToolResult) -> String {
    match (result.name.as_str(), result.outcome) {
        (CRON, ToolOutcome::Ok) => format!("I will remind you. The `{CRON}` tool says:\n\n{}", quoted(&result.text)),
        (name, ToolOutcome::Ok) => format!("I looked it up with the `{name}` tool: {}", result.text),
        (name, _) => format!("The `{name}` tool did not do it: {}", result.text),
    }
}

/// What is said when a job has told the bot something.
fn reminded(text: &str) -> String {
    if text.starts_with("[Heartbeat") {
        return HEARTBEAT_OK.to_owned();
    }
    // The first paragraph says how it came.
    let of = text.split_once("\n\n").map_or(text, |(_, of)| of).trim();
    format!("Reminder: {}", cut(of, MAX_ECHO).0)
}

/// A reminder that a message asks for.
#[derive(Debug, PartialEq, Eq)]
struct Reminder<'a> {
    /// A duration, such as `10 minutes`.
    after: String,
    of: &'a str,
}

impl Reminder<'_> {
    /// Reads `remind me in 10 minutes to stretch` and `remind me to stretch in 10 minutes`.
    fn asked_for(text: &str) -> Option<Reminder<'_>> {
        const ASKED: &str = "remind me ";
        // Of the same length as the text.
        let lower = text.to_ascii_lowercase();
        let begin = lower.find(ASKED)? + ASKED.len();
        let (rest, lower) = (&text[begin..], &lower[begin..]);
        let (after, of) = if lower.starts_with("in ") {
            let joints = [" to ", " about ", " that "].into_iter();
            let (at, joint) = joints.filter_map(|joint| Some((lower.find(joint)?, joint))).min()?;
            (&lower["in ".len()..at], &rest[at + joint.len()..])
        } else {
            let at = lower.rfind(" in ")?;
            let of = &rest[..at];
            (&lower[at + " in ".len()..], of.strip_prefix("to ").or(of.strip_prefix("about ")).unwrap_or(of))
        };
        let after = after.trim().trim_end_matches(['.', '!', '?']);
        let one = ["one ", "a ", "an "].into_iter().find_map(|one| after.strip_prefix(one));
        let after = one.map_or_else(|| after.to_owned(), |unit| format!("1 {unit}"));
        let of = of.trim();
        (parse_duration(&after).is_some() && !of.is_empty()).then_some(Reminder { after, of })
    }
}

/// What people said before `keep_from`, in their own words.
fn digest(context: &Context<'_>, keep_from: u64) -> String {
    let older = context.entries.iter().filter(|entry| entry.seq < keep_from).filter_map(user);
    let lines = older.filter(|user| !user.is_command).map(|user| {
        let (beginning, left_out) = cut(user.text.trim(), MAX_DIGEST_LINE);
        let line = beginning.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("- {line}{}", if left_out > 0 { "…" } else { "" })
    });
    // The newest lines stay, those of the former summary among them.
    let former = context.summary.into_iter().flat_map(str::lines).filter(|line| line.starts_with("- "));
    let lines: Vec<String> = former.map(str::to_owned).chain(lines).collect();
    let newest = &lines[lines.len().saturating_sub(MAX_DIGEST_LINES)..];
    format!("What was said before:\n\n{}", newest.join("\n"))
}

fn echo(request: &ModelRequest<'_>, context: &Context<'_>, said: &[&UserMessage]) -> String {
    // There may have been more than is shown.
    let more = if context.is_cut || context.summary.is_some() { "at least " } else { "" };
    let mut text = match said {
        [] => "Hello!".to_owned(),
        [.., last] => {
            format!("You said:\n\n{}\n\nThis is message {more}{} of our conversation", quoted(&last.text), said.len())
        }
    };
    match said {
        [] => {}
        [_] => text.push_str("; write another one, and I will still know this one."),
        [.., before, _] => text.push_str(&format!(". The one before was:\n\n{}", quoted(&before.text))),
    }
    let name = request.bot.name;
    let name = if name.contains(' ') { format!("\"{name}\"") } else { name.to_owned() };
    text.push_str(&format!(
        "\n\nI am the built-in demo model: I can only echo, tell the time if you ask me \"what time is it?\", and remind \
         you if you say \"remind me in 10 minutes to stretch\". To give me a real model:\n\n```\n{}\n```",
        SET_MODEL_COMMAND.replace("{bot}", &name)
    ));
    text
}

fn asks_time(text: &str) -> bool {
    let text = text.to_lowercase();
    ["what time", "what's the time", "what is the time", "tell me the time", "current time"]
        .iter()
        .any(|question| text.contains(question))
}

fn quoted(text: &str) -> String {
    let (beginning, left_out) = cut(text.trim(), MAX_ECHO);
    let lines = beginning.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n");
    match (beginning.is_empty(), left_out) {
        (true, _) => "> (no text)".to_owned(),
        (false, 0) => lines,
        (false, _) => format!("{lines}…"),
    }
}

fn text(text: String) -> Answer {
    Answer { text, model: NAME.to_owned(), ..Answer::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, &str)> {
        Reminder::asked_for(text).map(|Reminder { after, of }| (after, of))
    }

    #[test]
    fn reminders_are_read() {
        let at = |after: &str, of| Some((after.to_owned(), of));
        assert_eq!(read("Remind me in 1 minute to drink water"), at("1 minute", "drink water"));
        assert_eq!(read("please remind me in one minute to call Ada"), at("1 minute", "call Ada"));
        assert_eq!(read("remind me in 90s about the tea."), at("90s", "the tea."));
        assert_eq!(read("Remind me to look in the oven in 20 minutes!"), at("20 minutes", "look in the oven"));
        for other in ["remind me", "remind me to stretch", "remind me in a while to stretch", "remind me in 5 minutes"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn what_a_job_says_is_told() {
        assert_eq!(reminded("[Your schedule \"tea\" reminds you.]\n\nDrink tea"), "Reminder: Drink tea");
        assert_eq!(reminded("[Heartbeat, at 12:00.]\n\nLook"), HEARTBEAT_OK);
    }
}
