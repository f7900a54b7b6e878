//! What is written to the terminal and asked there: colours, safe text, JSON, confirmations, secrets.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use anyhow::Context;
use rustyline::completion::Completer;
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, Editor, Helper};
use serde::Serialize;

use crate::failure::Failure;

/// Which marks a stream understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    /// Somebody looks at it.
    pub(crate) is_terminal: bool,
    has_colour: bool,
}

impl Style {
    /// Colours only for a terminal, and only without `NO_COLOR` (<https://no-color.org>).
    pub(crate) fn of(stream: &impl IsTerminal) -> Style {
        let is_terminal = stream.is_terminal();
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Style { is_terminal, has_colour: is_terminal && !wants_none }
    }

    /// No terminal and no colours.
    #[cfg(test)]
    pub(crate) const PLAIN: Style = Style { is_terminal: false, has_colour: false };

    pub(crate) fn bold(self, text: impl fmt::Display) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(self, text: impl fmt::Display) -> String {
        self.paint("2", text)
    }

    pub(crate) fn red(self, text: impl fmt::Display) -> String {
        self.paint("31", text)
    }

    fn paint(self, code: &str, text: impl fmt::Display) -> String {
        if self.has_colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    /// Text of a stranger or a model, as it may be shown: a terminal would obey control characters.
    pub(crate) fn shown(self, text: &str) -> Cow<'_, str> {
        if self.is_terminal { safe(text) } else { Cow::Borrowed(text) }
    }
}

/// The text without control characters other than line breaks and tabs.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    let is_safe = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    if text.chars().all(is_safe) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().filter(|c| is_safe(*c)).collect())
    }
}

/// The text in one line of at most `max` characters.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let line = safe(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= max {
        return line;
    }
    line.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// Writes a line to standard output.
pub(crate) fn say(text: impl fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Writes the API's JSON to standard output.
pub(crate) fn say_json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(say(serde_json::to_string_pretty(value)?)?)
}

/// Asks a question that only `y` or `yes` answers with yes.
pub(crate) fn confirm(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("There is no terminal to ask on. Give --yes if you are sure.").into());
    }
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Where a secret is read from. Never from an argument: arguments show in the list of processes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SecretSource<'a> {
    /// The name of an environment variable.
    Env(&'a str),
    /// A file; `-` is standard input.
    File(&'a Path),
}

/// Reads a secret, without the white space around it.
pub(crate) fn secret(source: SecretSource<'_>) -> anyhow::Result<String> {
    let (text, place) = match source {
        SecretSource::Env(name) => {
            // A key pasted where a variable's name belongs must not be repeated on the screen.
            let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && name.len() <= 40;
            let shown = if is_name { format!("The environment variable {name}") } else { "That variable".to_owned() };
            let unset = || Failure::usage(format!("{shown} is not set. Export it, or name another one."));
            (std::env::var(name).map_err(|_| unset())?, shown)
        }
        SecretSource::File(path) if path == Path::new("-") => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            (text, "Standard input".to_owned())
        }
        SecretSource::File(path) => {
            let unreadable = |error| Failure::usage(format!("Cannot read {}: {error}.", path.display()));
            (std::fs::read_to_string(path).map_err(unreadable)?, path.display().to_string())
        }
    };
    match text.trim() {
        "" => Err(Failure::usage(format!("{place} is empty. Put the secret there and try again.")).into()),
        text => Ok(text.to_owned()),
    }
}

/// Terminals on which rustyline only reads lines, and hides nothing.
const BARE_TERMINALS: [&str; 3] = ["dumb", "cons25", "emacs"];

/// Asks for a secret on the terminal; what is typed shows as stars. `None`: nothing was typed.
pub(crate) fn ask_secret(prompt: &str) -> anyhow::Result<Option<String>> {
    if std::env::var("TERM").is_ok_and(|term| BARE_TERMINALS.contains(&term.to_lowercase().as_str())) {
        let message = "This terminal cannot hide what you type. Give the secret in a file or an environment variable.";
        return Err(Failure::usage(message).into());
    }
    let mut editor: Editor<Stars, DefaultHistory> = Editor::new().context("cannot use this terminal")?;
    editor.set_helper(Some(Stars));
    // Without colours rustyline does not ask its highlighter, which is what hides the text.
    editor.set_color_mode(ColorMode::Forced);
    editor.set_auto_add_history(false);
    match editor.readline(prompt) {
        Ok(line) => Ok(Some(line.trim().to_owned()).filter(|line| !line.is_empty())),
        Err(ReadlineError::Interrupted | ReadlineError::Eof) => Err(Failure::usage("Nothing was changed.").into()),
        Err(error) => Err(error).context("cannot read from this terminal"),
    }
}

/// Draws stars in place of what is typed.
struct Stars;

impl Highlighter for Stars {
    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        Cow::Owned("*".repeat(line.chars().count()))
    }

    fn highlight_char(&self, _line: &str, _pos: usize, _kind: CmdKind) -> bool {
        true
    }
}

impl Completer for Stars {
    type Candidate = String;
}
impl Hinter for Stars {
    type Hint = String;
}
impl Validator for Stars {}
impl Helper for Stars {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(safe("a\n\tb"), "a\n\tb");
        assert_eq!(safe("\x1b[2Jgone\r\x07\u{9b}"), "[2Jgone");
        assert_eq!(Style::PLAIN.shown("\x1b[2J"), "\x1b[2J");
    }

    #[test]
    fn lines_are_shortened() {
        assert_eq!(one_line("a\n b", 10), "a b");
        assert_eq!(one_line("ééééé", 3), "éé…");
    }

    #[test]
    fn secrets_come_from_files_and_are_trimmed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, " 1:abc\n").unwrap();
        assert_eq!(secret(SecretSource::File(&path)).unwrap(), "1:abc");
        std::fs::write(&path, "\n").unwrap();
        assert!(secret(SecretSource::File(&path)).unwrap_err().to_string().contains("is empty"));
        let pasted = secret(SecretSource::Env("sk-proj-123")).unwrap_err().to_string();
        assert!(!pasted.contains("sk-proj"), "{pasted}");
    }
}
