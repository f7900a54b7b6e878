//! `lowtide chat`: a conversation with a bot, interactive or one question at a time.

use std::cell::RefCell;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use api::views::{BotView, ChatFile, EntryKind, EntryView};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::turn::NO_REPLY;
use domain::{Author, BotStatus, Channel, ResetReason, StoppedBy, ToolOutcome};
use rustyline::error::ReadlineError;
use rustyline::history::{History, MemHistory};
use rustyline::{Config, Editor};

use crate::Output;
use crate::answer::{Conversation, News, Question};
use crate::bot_card::status;
use crate::bots;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::progress::{Progress, TICK};
use crate::prompt_history::PromptHistory;
use crate::terminal::{Style, one_line, say, say_json};

/// How many entries of the past an interactive chat shows.
const SHOWN_ENTRIES: u32 = 12;
/// The longest line about a tool call, in characters.
const MAX_TOOL_LINE: usize = 100;
const PROMPT: &str = "you › ";

#[derive(clap::Args)]
pub(crate) struct ChatArgs {
    /// The bot's name or id; may be left out if you have one bot or a default
    bot: Option<String>,
    /// Send one message, print the reply and leave; `-` reads it from standard input
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    message: Option<String>,
    /// Send a file with the message; may be given several times, for 3.5 MB together
    #[arg(short, long, value_name = "FILE", requires = "message")]
    attach: Vec<PathBuf>,
    /// A conversation of its own instead of the bot's main one
    #[arg(short, long, value_name = "NAME")]
    conversation: Option<String>,
    /// How many seconds to wait for an answer
    #[arg(long, value_name = "SECS", default_value_t = 120)]
    timeout: u64,
}

/// Runs `lowtide chat`.
pub(crate) async fn run(
    client: &Client,
    output: Output,
    args: ChatArgs,
    state_dir: Option<&Path>,
) -> anyhow::Result<()> {
    let within = Duration::from_secs(args.timeout);
    let message = match args.message {
        Some(dash) if dash == "-" => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            Some(text)
        }
        message => message,
    };
    if message.is_none() && output.json {
        return Err(Failure::usage("--json needs --message: an interactive chat has no JSON.").into());
    }
    let bot = bots::choose(client, args.bot.as_deref()).await?;
    if bot.status != BotStatus::Active {
        let (state, end) = (status(bot.status), bots::wake_command(&bot));
        let message = format!("{} is {state} and takes no messages. `{end}` ends that.", bot.name);
        return Err(Failure::new(Exit::Failed, message).into());
    }
    let conversation = Conversation::new(client, bot.id, args.conversation);
    let files = args.attach.iter().map(|path| read_file(path)).collect::<Result<_, _>>()?;
    match message {
        Some(message) => ask_once(conversation, output, &bot, (&message, files), within).await,
        None => Box::pin(interactive(conversation, output.style, &bot, within, state_dir)).await,
    }
}

fn read_file(path: &Path) -> anyhow::Result<ChatFile> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mime = domain::media::type_of_name(&name).map(str::to_owned);
    Ok(ChatFile { name, mime, data: STANDARD.encode(bytes) })
}

async fn ask_once(
    mut conversation: Conversation<'_>,
    output: Output,
    bot: &BotView,
    (message, files): (&str, Vec<ChatFile>),
    within: Duration,
) -> anyhow::Result<()> {
    let style = Style::of(&io::stderr());
    let question = conversation.send(message, files).await?;
    let show_tools = |entry: &EntryView| {
        if style.is_terminal {
            tool_lines(style, entry).iter().for_each(|line| eprintln!("{line}"));
        }
    };
    let answer = wait(&mut conversation, question, &bot.name, within, show_tools).await?;
    if output.json {
        say_json(&answer)?;
    }
    match answer.kind {
        EntryKind::Failed => Err(Failure::new(Exit::Failed, failed_text(style, &answer)).into()),
        // Nobody will answer it, and a script should know.
        EntryKind::Stopped | EntryKind::Dropped => {
            Err(Failure::new(Exit::Failed, remark(&answer).map_or_else(String::new, |text| style.dim(text))).into())
        }
        _ if output.json => Ok(()),
        _ if says_nothing(&answer) => {
            if style.is_terminal {
                eprintln!("{}", style.dim(format!("({} has nothing to say.)", bot.name)));
            }
            Ok(())
        }
        _ => Ok(say(output.style.shown(&answer.text))?),
    }
}

/// Waits for the answer under a line that shows that the bot is at work.
async fn wait(
    conversation: &mut Conversation<'_>,
    question: Question,
    name: &str,
    within: Duration,
    mut on_entry: impl FnMut(&EntryView),
) -> Result<EntryView, Failure> {
    let progress = RefCell::new(Progress::new(name));
    let answer = conversation.answer(question, within, |news| match news {
        News::Entry(entry) => {
            progress.borrow_mut().wipe();
            on_entry(entry);
        }
        News::Draft(text) => progress.borrow_mut().say(text),
    });
    let mut answer = std::pin::pin!(answer);
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            result = &mut answer => return result,
            _ = ticks.tick() => progress.borrow_mut().draw(),
        }
    }
}

async fn interactive(
    mut conversation: Conversation<'_>,
    style: Style,
    bot: &BotView,
    within: Duration,
    state_dir: Option<&Path>,
) -> anyhow::Result<()> {
    let past = conversation.last(SHOWN_ENTRIES).await?;
    let model = bot.model.model.as_deref().unwrap_or("built-in demo");
    say(format!("{} {}", style.bold(&bot.name), style.dim(format!("({model}) · /quit leaves, Ctrl-C stops waiting"))))?;
    for entry in &past.items {
        show(style, &bot.name, entry)?;
    }
    if past.busy {
        say(style.dim(format!("({} is still at work on an earlier message.)", bot.name)))?;
    }
    let kept = state_dir.and_then(PromptHistory::in_dir);
    let mut editor = Editor::<(), MemHistory>::with_history(Config::default(), MemHistory::new())?;
    for line in kept.iter().flat_map(PromptHistory::load) {
        editor.history_mut().add_owned(line)?;
    }
    loop {
        // Reading a line blocks, and the terminal's state belongs to the editor.
        let (returned, line) = tokio::task::spawn_blocking(move || {
            let line = editor.readline(PROMPT);
            (editor, line)
        })
        .await?;
        editor = returned;
        let line = match line {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                say(style.dim("(Ctrl-D or /quit leaves.)"))?;
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error).context("cannot read from this terminal"),
        };
        match line.trim() {
            "" => {}
            "/quit" | "/exit" => return Ok(()),
            text => {
                editor.add_history_entry(text)?;
                kept.iter().for_each(|kept| kept.add(text));
                exchange(&mut conversation, style, &bot.name, text, within).await?;
            }
        }
    }
}

/// One message and what comes of it. What fails is shown, and the chat goes on.
async fn exchange(
    conversation: &mut Conversation<'_>,
    style: Style,
    name: &str,
    text: &str,
    within: Duration,
) -> anyhow::Result<()> {
    let errors = Style::of(&io::stderr());
    let mut shown = Ok(());
    let asked = async {
        let question = conversation.send(text, vec![]).await?;
        let own = question.clone();
        let on_entry = |entry: &EntryView| {
            if !own.is(entry) && shown.is_ok() {
                shown = show(style, name, entry);
            }
        };
        wait(conversation, question, name, within, on_entry).await
    };
    tokio::select! {
        result = asked => if let Err(failure) = result {
            eprintln!("{}", errors.red(failure));
        },
        _ = tokio::signal::ctrl_c() => {
            say(style.dim("(Not waiting. The answer still arrives, and will be in the history.)"))?;
        }
    }
    Ok(shown?)
}

fn show(style: Style, name: &str, entry: &EntryView) -> io::Result<()> {
    match render(style, name, entry) {
        text if text.is_empty() => Ok(()),
        text => say(text),
    }
}

/// An entry as the interactive chat shows it; empty if there is nothing to show.
fn render(style: Style, name: &str, entry: &EntryView) -> String {
    let mut lines = Vec::new();
    match entry.kind {
        // What a job or another session told the bot is not for people to read.
        EntryKind::User if !entry.author.is_person() => {
            let name = entry.sender.as_ref().and_then(|sender| sender.name.as_deref()).unwrap_or("without a name");
            let what = if entry.author == Author::Job { "schedule" } else { "told by other work of the bot" };
            lines.push(style.dim(format!("({what}: {})", one_line(name, 60))));
        }
        EntryKind::User => {
            let who = match (&entry.sender, entry.channel) {
                (Some(sender), Some(channel)) if channel != Channel::WebChat => {
                    let who = sender.name.as_deref().or(sender.username.as_deref()).unwrap_or(&sender.id);
                    format!("{} ({channel}) › ", one_line(who, 40))
                }
                _ => PROMPT.to_owned(),
            };
            let text = style.shown(&entry.text);
            let text = if entry.command { style.dim(text) } else { text.into_owned() };
            lines.push(format!("{}{text}", style.dim(who)));
        }
        EntryKind::Assistant | EntryKind::Notice | EntryKind::Asked if !says_nothing(entry) => {
            lines.push(format!("{} {}", style.bold(format!("{name} ›")), style.shown(&entry.text)));
        }
        EntryKind::Assistant if entry.is_final => lines.push(style.dim(format!("({name} has nothing to say.)"))),
        EntryKind::Failed => lines.push(failed_text(style, entry)),
        EntryKind::Assistant | EntryKind::Notice | EntryKind::Asked | EntryKind::ToolResult => {}
        EntryKind::Event | EntryKind::Stopped | EntryKind::Reset | EntryKind::Compaction | EntryKind::Dropped => {
            lines.extend(remark(entry).map(|text| style.dim(text)));
        }
    }
    lines.extend(tool_lines(style, entry));
    lines.join("\n")
}

/// What became of a conversation, where nobody said anything.
fn remark(entry: &EntryView) -> Option<String> {
    let text = match entry.kind {
        EntryKind::Event => {
            let sender = entry.sender.as_ref();
            let who = sender.map(|sender| sender.name.as_deref().or(sender.username.as_deref()).unwrap_or(&sender.id));
            return Some(format!("({})", one_line(&format!("{} {}", who.unwrap_or("somebody"), entry.text), 120)));
        }
        EntryKind::Stopped => match entry.stopped_by {
            Some(StoppedBy::Message) => "(stopped for a newer message)",
            _ => "(stopped)",
        },
        EntryKind::Reset => match entry.reset_reason {
            Some(ResetReason::Daily) => "(a new day, a new conversation)",
            Some(ResetReason::Idle) => "(a new conversation after a pause)",
            _ => "(a new conversation)",
        },
        EntryKind::Compaction => "(what is above is kept as a summary from here on)",
        EntryKind::Dropped => match entry.messages.len() {
            1 => "(a message was left out: too many waited)",
            count => return Some(format!("({count} messages were left out: too many waited)")),
        },
        EntryKind::User
        | EntryKind::Assistant
        | EntryKind::ToolResult
        | EntryKind::Asked
        | EntryKind::Failed
        | EntryKind::Notice => {
            return None;
        }
    };
    Some(text.to_owned())
}

/// What an entry says about tools: which are called, and which did not work.
fn tool_lines(style: Style, entry: &EntryView) -> Vec<String> {
    let line = |text: String| style.dim(format!("  ↳ {}", one_line(&text, MAX_TOOL_LINE)));
    match entry.kind {
        EntryKind::Assistant => {
            entry.tool_calls.iter().map(|call| line(format!("{} {}", call.name, call.arguments))).collect()
        }
        EntryKind::ToolResult if entry.outcome != Some(ToolOutcome::Ok) => {
            let tool = entry.tool.as_deref().unwrap_or("a tool");
            vec![line(format!("{tool} did not work: {}", entry.text))]
        }
        _ => vec![],
    }
}

/// Why there is no answer: what everybody is told, and what only the owner reads.
fn failed_text(style: Style, entry: &EntryView) -> String {
    let text = style.red(style.shown(&entry.text));
    match entry.detail.as_deref().map(str::trim).filter(|detail| !detail.is_empty()) {
        Some(detail) => format!("{text}\n{}", style.dim(format!("Why: {}", style.shown(detail)))),
        None => text,
    }
}

fn says_nothing(entry: &EntryView) -> bool {
    entry.silent || matches!(entry.text.trim(), "" | NO_REPLY)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rendered(fields: Value) -> String {
        let mut value = json!({ "seq": 0, "at": 0, "turn": "turn_00000000000000000000000001", "final": false });
        value.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        render(Style::PLAIN, "tidy", &serde_json::from_value(value).unwrap())
    }

    #[test]
    fn entries_read_as_a_conversation() {
        assert_eq!(rendered(json!({ "kind": "user", "text": "hi" })), "you › hi");
        let ada = json!({ "id": "5", "name": "Ada" });
        let told = rendered(json!({ "kind": "user", "text": "hi", "channel": "telegram", "sender": ada }));
        assert_eq!(told, "Ada (telegram) › hi");
        assert_eq!(rendered(json!({ "kind": "assistant", "text": "**hello**", "final": true })), "tidy › **hello**");
        let ada = json!({ "id": "5", "name": "Ada" });
        let event = json!({ "kind": "event", "text": "reacted with 👍 to your message 7", "sender": ada });
        assert_eq!(rendered(event), "(Ada reacted with 👍 to your message 7)");
        let silent = rendered(json!({ "kind": "assistant", "text": " NO_REPLY", "final": true }));
        assert_eq!(silent, "(tidy has nothing to say.)");
        let beat = rendered(json!({ "kind": "assistant", "text": "HEARTBEAT_OK", "silent": true, "final": true }));
        assert_eq!(beat, "(tidy has nothing to say.)");
        let job = json!({ "id": "cron:job_1", "name": "water" });
        let told = json!({ "kind": "user", "text": "[Your schedule …]", "channel": "webchat", "author": "job", "sender": job });
        assert_eq!(rendered(told), "(schedule: water)");
        let failed = rendered(json!({ "kind": "failed", "text": "I can't.", "detail": "HTTP 401", "final": true }));
        assert_eq!(failed, "I can't.\nWhy: HTTP 401");
    }

    #[test]
    fn what_nobody_said_is_a_remark() {
        assert_eq!(rendered(json!({ "kind": "user", "text": "/stop", "command": true })), "you › /stop");
        assert_eq!(rendered(json!({ "kind": "notice", "text": "Stopped.", "final": true })), "tidy › Stopped.");
        let remarks = [
            (json!({ "kind": "stopped", "text": "", "final": true, "stopped_by": "person" }), "(stopped)"),
            (json!({ "kind": "stopped", "text": "", "stopped_by": "message" }), "(stopped for a newer message)"),
            (json!({ "kind": "reset", "text": "", "reset_reason": "new" }), "(a new conversation)"),
            (json!({ "kind": "reset", "text": "", "reset_reason": "daily" }), "(a new day, a new conversation)"),
            (json!({ "kind": "reset", "text": "", "reset_reason": "idle" }), "(a new conversation after a pause)"),
            (json!({ "kind": "compaction", "text": "We met." }), "(what is above is kept as a summary from here on)"),
            (
                json!({ "kind": "dropped", "text": "", "messages": ["msg_1"] }),
                "(a message was left out: too many waited)",
            ),
            (
                json!({ "kind": "dropped", "text": "x", "messages": ["msg_1", "msg_2"] }),
                "(2 messages were left out: too many waited)",
            ),
        ];
        for (entry, expected) in remarks {
            assert_eq!(rendered(entry), expected);
        }
    }

    #[test]
    fn tools_show_as_they_are_called_and_when_they_fail() {
        let call = json!({ "name": "current_time", "arguments": "{\"zone\":\"UTC\"}" });
        let asked = rendered(json!({ "kind": "assistant", "text": "", "tool_calls": [call] }));
        assert_eq!(asked, "  ↳ current_time {\"zone\":\"UTC\"}");
        let ok = json!({ "kind": "tool_result", "text": "12:00", "tool": "current_time", "outcome": "ok" });
        assert_eq!(rendered(ok), "");
        let error =
            json!({ "kind": "tool_result", "text": "no such zone", "tool": "current_time", "outcome": "error" });
        assert_eq!(rendered(error), "  ↳ current_time did not work: no such zone");
    }
}
