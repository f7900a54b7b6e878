//! Markdown as lines of IRC, styled with control codes.
//!
//! The dialect: <https://modern.ircdocs.horse/formatting>. A message is a line, and ends its styles.

use std::borrow::Cow;

use crate::markdown::{self, Block, Dialect, Limits, Mark};

/// The longest line, in bytes. A message has 512 with its command, its target and the prefix that others see.
pub const MAX_LINE: usize = 400;

const LIMITS: Limits = Limits { units: MAX_LINE - 20, measure: str::len, marks: usize::MAX };

/// Renders Markdown as lines, in order; none if it has no text. Empty lines are left out: no network sends them.
pub fn render(markdown: &str) -> Vec<String> {
    let blocks = markdown::parse(markdown, |_| false);
    blocks.iter().flat_map(lines).collect()
}

/// The lines of one block: a message has no line breaks, so each line is split and written for itself.
fn lines(block: &Block) -> Vec<String> {
    let lines = markdown::lines(block);
    let messages = lines.into_iter().flat_map(|line| markdown::messages(&[line], &Irc, &LIMITS, MAX_LINE));
    messages.filter(|line| !line.trim().is_empty()).collect()
}

struct Irc;

impl Dialect for Irc {
    fn escape<'a>(&self, text: &'a str, _: bool) -> Cow<'a, str> {
        // Control characters are commands, and styles of others' making.
        if text.contains(char::is_control) {
            Cow::Owned(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
        } else {
            Cow::Borrowed(text)
        }
    }

    fn open(&self, mark: Mark<'_>) -> Option<Cow<'static, str>> {
        match mark {
            Mark::Link(_) => None,
            Mark::Bold => Some("\u{2}".into()),
            Mark::Italic => Some("\u{1d}".into()),
            Mark::Strikethrough => Some("\u{1e}".into()),
            Mark::Code => Some("\u{11}".into()),
        }
    }

    fn close(&self, mark: Mark<'_>) -> String {
        self.open(mark).unwrap_or_default().into_owned()
    }

    fn code<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.escape(text, false)
    }

    fn code_block(&self, _: Option<&str>, text: &str) -> String {
        let line = |line: &str| format!("\u{11}{}\u{11}", self.escape(line, false));
        text.split('\n').map(line).collect::<Vec<_>>().join("\n")
    }

    fn quote(&self, text: &str) -> String {
        text.split('\n').map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
    }
}
