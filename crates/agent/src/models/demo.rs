//! The built-in demo model: answers at once, without a key and without the network.
//!
//! It is there to see a bot work from end to end. It echoes, it shows that it remembers, and it
//! uses a real tool call when it is asked for the time.

use domain::{Answer, EntryBody, ToolCall, UserMessage};

use crate::ModelRequest;
use crate::tools::CURRENT_TIME;
use crate::transcript::{cut, user};

/// The model reference of the demo.
pub(super) const NAME: &str = "demo";

/// The command that gives a bot a real model; `{bot}` stands for the bot's name.
pub const SET_MODEL_COMMAND: &str = "lowtide bots model {bot} openai/gpt-5.1 --api-key-env OPENAI_API_KEY";

/// How much of a message is echoed, in characters.
const MAX_ECHO: usize = 300;

pub(super) fn answer(request: &ModelRequest<'_>) -> Answer {
    let entries = request.entries;
    let said: Vec<&UserMessage> = entries.iter().filter_map(user).collect();
    let asked = said.last().map(|user| user.text.as_str()).unwrap_or_default();
    let time = entries.iter().rev().map_while(|entry| match &entry.body {
        EntryBody::ToolResult(result) => Some(result),
        _ => None,
    });
    if let Some(result) = time.last() {
        return text(format!("I looked it up with the `{}` tool: {}", result.name, result.text));
    }
    if request.tools && asks_time(asked) {
        // The log's length tells one call from the next.
        let id = format!("demo_{}", entries.last().map_or(0, |entry| entry.seq));
        let call = ToolCall { id, name: CURRENT_TIME.to_owned(), arguments: "{}".to_owned() };
        return Answer { tool_calls: vec![call], ..text(String::new()) };
    }
    text(echo(request, &said))
}

fn echo(request: &ModelRequest<'_>, said: &[&UserMessage]) -> String {
    // The entries may be only the end of a longer log.
    let more = if request.entries.first().is_some_and(|entry| entry.seq > 0) { "at least " } else { "" };
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
