//! Commands that the engine itself obeys: a person types them to steer a conversation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Thinking;
use crate::command::Command;
use crate::queueing::{QueueChange, parse_queue};
use crate::turn::UsageFooter;

/// What a message asks the engine to do, instead of being answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Control {
    /// `/stop`: the turn under way ends within its step, and what waits before this is not answered.
    Stop,
    /// `/new [text]`: the same, and the conversation begins anew; the text is its first message.
    New { text: String },
    /// `/reset`
    Reset,
    /// `/compact [hint]`: the older part of the conversation is replaced by a summary.
    Compact { hint: String },
    /// `/approve CODE once|always|deny`: the answer to what a tool asked for. Without a code: what waits for one.
    Approve { code: String, decision: Decision },
    /// `/queue [mode] [debounce:2s] [cap:5] [drop:old]`
    Queue { change: QueueChange },
    /// `/help`, `/commands`
    Help,
    /// `/whoami`, `/id`
    Whoami,
    /// `/model [provider/model|default]`, `/models`
    Model { to: Choice<String> },
    /// `/think [level|default]`
    Think { to: Choice<Thinking> },
    /// `/usage off|tokens|full`: what stands below each answer.
    Usage { footer: UsageFooter },
    /// `/status`, `/usage`, `/context`, `/skills`, `/skill`, `/tools`: what only a worker can look up.
    Report { what: Topic },
    /// No command, but something that a person did: it is kept for the model, and nobody answers.
    Event,
    /// A command with words behind it that are not understood. Its line in [`COMMANDS`] is said.
    Misread { name: String },
}

/// What the owner says to a tool call that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// This call.
    Once,
    /// This call, and all of this tool in this session.
    Always,
    Deny,
}

/// What a command wants with one of the session's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice<T> {
    /// Only to know it.
    Show,
    /// The bot's own again.
    Default,
    To(T),
}

/// What a report is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// The session at a glance.
    Status,
    /// Tokens and money: of the last turn, the session, and the bot in this period.
    Usage,
    /// What a model is shown, and how much of its window that takes.
    Context,
    Skills,
    Tools,
    /// The bot's jobs, and what to do with one of them.
    Schedules {
        verb: ScheduleVerb,
        job: String,
    },
}

/// What `/cron` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleVerb {
    List,
    Run,
    Pause,
    Resume,
    #[serde(alias = "remove")]
    Rm,
}

/// Who may give a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody who is let in.
    Anyone,
    /// Everybody in a direct chat; in groups only who owns the bot.
    OwnerInGroups,
    Owner,
}

/// One of the engine's commands, as people are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandInfo {
    /// Without the slash.
    pub name: &'static str,
    /// What may stand behind it; may be empty.
    pub arguments: &'static str,
    /// One line.
    pub help: &'static str,
    pub who: Who,
}

const fn info(name: &'static str, arguments: &'static str, help: &'static str, who: Who) -> CommandInfo {
    CommandInfo { name, arguments, help, who }
}

/// All commands of the engine, in the order in which people read of them.
pub const COMMANDS: &[CommandInfo] = &[
    info("help", "", "What I can be told", Who::Anyone),
    info("new", "[text]", "Begin a new conversation, with the text as its first message", Who::Anyone),
    info("reset", "", "Begin a new conversation", Who::Anyone),
    info("stop", "", "Stop what I am doing", Who::Anyone),
    info("status", "", "This conversation at a glance", Who::Anyone),
    info("compact", "[what to keep in mind]", "Summarise the older part of the conversation", Who::Anyone),
    info("model", "[provider/model|default]", "Show or choose the model", Who::OwnerInGroups),
    info("models", "", "The models that can be chosen", Who::Anyone),
    info("think", "[off|minimal|low|medium|high|xhigh|default]", "How much the model thinks", Who::OwnerInGroups),
    info("usage", "[off|tokens|full]", "What was used, or what to tell below each answer", Who::OwnerInGroups),
    info(
        "queue",
        "[steer|followup|collect|interrupt|default] [debounce:500ms] [cap:20] [drop:summarize|old|new]",
        "What becomes of messages that wait",
        Who::Anyone,
    ),
    info("context", "", "What the model is shown", Who::Anyone),
    info("skill", "[NAME what to do]", "Do something as one of my skills says", Who::Anyone),
    info("skills", "", "What I have learnt", Who::Anyone),
    info("tools", "", "What I can use", Who::Anyone),
    info("cron", "[list|run JOB|pause JOB|resume JOB|rm JOB]", "What I do by myself, and when", Who::OwnerInGroups),
    info("approve", "[CODE once|always|deny]", "Allow or deny what a tool asks for", Who::Owner),
    info("whoami", "", "Who you are to me", Who::Anyone),
    info("commands", "", "The same as help", Who::Anyone),
    info("id", "", "The same as whoami", Who::Anyone),
];

impl CommandInfo {
    /// As one types it: `/model [provider/model|default]`.
    pub fn usage(&self) -> String {
        format!("/{} {}", self.name, self.arguments).trim_end().to_owned()
    }
}

impl Control {
    /// The control that a command is, if it is one of the engine's.
    pub fn of(command: &Command<'_>) -> Option<Control> {
        let rest = command.rest.to_owned();
        let words: Vec<String> = rest.split_whitespace().map(str::to_lowercase).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let misread = || Control::Misread { name: command.name.clone() };
        Some(match command.name.as_str() {
            "stop" => Control::Stop,
            "new" => Control::New { text: rest },
            "reset" => Control::Reset,
            "compact" => Control::Compact { hint: rest },
            "queue" => Control::Queue { change: parse_queue(command.rest) },
            "approve" => approve(&words).unwrap_or_else(misread),
            "help" | "commands" => Control::Help,
            "whoami" | "id" => Control::Whoami,
            "models" => Control::Model { to: Choice::Show },
            "model" => match rest.split_whitespace().collect::<Vec<_>>()[..] {
                [] => Control::Model { to: Choice::Show },
                ["default"] => Control::Model { to: Choice::Default },
                [model] => Control::Model { to: Choice::To(model.to_owned()) },
                _ => misread(),
            },
            "think" => match words[..] {
                [] => Control::Think { to: Choice::Show },
                ["default"] => Control::Think { to: Choice::Default },
                [level] => word_of(level).map_or_else(misread, |level| Control::Think { to: Choice::To(level) }),
                _ => misread(),
            },
            "usage" => match words[..] {
                [] => Control::Report { what: Topic::Usage },
                [footer] => word_of(footer).map_or_else(misread, |footer| Control::Usage { footer }),
                _ => misread(),
            },
            "status" => Control::Report { what: Topic::Status },
            "context" => Control::Report { what: Topic::Context },
            "skills" => Control::Report { what: Topic::Skills },
            // With a name it is for the model, which reads the skill.
            "skill" if rest.trim().is_empty() => Control::Report { what: Topic::Skills },
            "tools" => Control::Report { what: Topic::Tools },
            "cron" => schedules(&rest).unwrap_or_else(misread),
            _ => return None,
        })
    }

    /// Whether it ends the turn that is under way.
    pub fn stops(&self) -> bool {
        matches!(self, Control::Stop | Control::New { .. } | Control::Reset)
    }

    /// Who may give it.
    pub fn who(&self) -> Who {
        match self {
            // To know is free to all.
            Control::Model { to: Choice::Show } | Control::Think { to: Choice::Show } => Who::Anyone,
            Control::Model { .. }
            | Control::Think { .. }
            | Control::Usage { .. }
            | Control::Report { what: Topic::Schedules { .. } } => Who::OwnerInGroups,
            Control::Approve { .. } => Who::Owner,
            _ => Who::Anyone,
        }
    }
}

/// Reads what follows `/cron`.
fn schedules(rest: &str) -> Option<Control> {
    let (verb, job) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let verb = if verb.is_empty() { ScheduleVerb::List } else { word_of(&verb.to_lowercase())? };
    let job = job.trim().to_owned();
    // A list is of all, and everything else of one.
    ((verb == ScheduleVerb::List) == job.is_empty()).then_some(Control::Report { what: Topic::Schedules { verb, job } })
}

/// Reads what follows `/approve`. A decision that is not understood is none: it must not allow anything.
fn approve(words: &[&str]) -> Option<Control> {
    let (code, decision) = match words {
        [] => ("", Decision::Once),
        [code] => (*code, Decision::Once),
        [code, decision] => (*code, word_of(decision)?),
        _ => return None,
    };
    Some(Control::Approve { code: code.to_uppercase(), decision })
}

/// A value that is written as one word.
pub(crate) fn word_of<T: for<'a> Deserialize<'a>>(word: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}

/// The word that a value is written as.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::parse;

    fn control(text: &str) -> Option<Control> {
        Control::of(&parse(text, None)?)
    }

    #[test]
    fn every_command_of_the_table_is_understood() {
        for info in COMMANDS {
            assert!(control(&format!("/{}", info.name)).is_some(), "{}", info.name);
            // Telegram takes no other names, and no longer lines.
            assert!(info.name.len() <= 32 && info.help.len() <= 256, "{}", info.name);
            assert!(info.name.chars().all(|c| c.is_ascii_lowercase()), "{}", info.name);
        }
        assert_eq!(control("/dance"), None);
        assert_eq!(control("/skill"), control("/skills"));
        assert_eq!(control("/skill tea green"), None, "its model does it");
    }

    #[test]
    fn decisions_are_read_and_what_is_not_understood_allows_nothing() {
        let approve = |code: &str, decision| Some(Control::Approve { code: code.to_owned(), decision });
        assert_eq!(control("/approve k7q2x"), approve("K7Q2X", Decision::Once));
        assert_eq!(control("/approve K7Q2X ALWAYS"), approve("K7Q2X", Decision::Always));
        assert_eq!(control("/approve K7Q2X deny"), approve("K7Q2X", Decision::Deny));
        assert_eq!(control("/approve"), approve("", Decision::Once));
        let misread = Some(Control::Misread { name: "approve".to_owned() });
        assert_eq!(control("/approve K7Q2X denied"), misread);
        assert_eq!(control("/approve K7Q2X once or twice"), misread);
    }

    #[test]
    fn settings_are_read() {
        assert_eq!(control("/think High"), Some(Control::Think { to: Choice::To(Thinking::High) }));
        assert_eq!(control("/think hard"), Some(Control::Misread { name: "think".to_owned() }));
        assert_eq!(control("/model openai/GPT"), Some(Control::Model { to: Choice::To("openai/GPT".to_owned()) }));
        assert_eq!(control("/usage full"), Some(Control::Usage { footer: UsageFooter::Full }));
        assert_eq!(control("/usage"), Some(Control::Report { what: Topic::Usage }));
    }

    #[test]
    fn a_schedule_is_named_unless_all_are_listed() {
        let asks = |verb, job: &str| Some(Control::Report { what: Topic::Schedules { verb, job: job.to_owned() } });
        assert_eq!(control("/cron"), asks(ScheduleVerb::List, ""));
        assert_eq!(control("/cron Run water the plants"), asks(ScheduleVerb::Run, "water the plants"));
        assert_eq!(control("/cron remove x"), asks(ScheduleVerb::Rm, "x"));
        for text in ["/cron rm", "/cron list x", "/cron dance"] {
            assert_eq!(control(text), Some(Control::Misread { name: "cron".to_owned() }), "{text}");
        }
    }

    #[test]
    fn a_control_survives_its_task() {
        for text in ["/think high", "/model a/b", "/usage off", "/status", "/approve X1 deny", "/help", "/cron run x"] {
            let control = control(text).expect("a command");
            let json = serde_json::to_string(&control).expect("it is written");
            assert_eq!(serde_json::from_str::<Control>(&json).expect("it reads"), control, "{text}");
        }
    }
}
