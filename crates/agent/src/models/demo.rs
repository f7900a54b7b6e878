//! The built-in demo model: answers at once, without a key and without the network.
//!
//! It is there to see a bot work from end to end. It echoes, it shows that it remembers, and it
//! uses a real tool call when it is asked for the time.

use domain::turn::Question;
use domain::{Answer, Context, EntryBody, ToolCall, UserMessage};

use crate::ModelRequest;
use crate::tools::CURRENT_TIME;
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
    let time = entries.iter().rev().map_while(|entry| match &entry.body {
        EntryBody::ToolResult(result) => Some(result),
        _ => None,
    });
    if let Some(result) = time.last() {
        return text(format!("I looked it up with the `{}` tool: {}", result.name, result.text));
    }
    if *request.question == (Question::Step { tools: true }) && asks_time(asked) {
        // The log's length tells one call from the next.
        let id = format!("demo_{}", entries.last().map_or(0, |entry| entry.seq));
        let call = ToolCall { id, name: CURRENT_TIME.to_owned(), arguments: "{}".to_owned() };
        return Answer { tool_calls: vec![call], ..text(String::new()) };
    }
    text(echo(request, &context, &said))
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
        "\n\nI am the built-in demo model: I can only echo, and tell the time if you ask me \"what time is it?\". \
         To give me a real model:\n\n```\n{}\n```",
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
