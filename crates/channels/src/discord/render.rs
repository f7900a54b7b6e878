//! Markdown as Discord reads it: close to `CommonMark`, without tables and images.
//!
//! The dialect: <https://support.discord.com/hc/en-us/articles/210298617>. Discord counts the markup, too.

use std::borrow::Cow;

use crate::markdown::{self, Dialect, Limits, Mark};

/// The longest message, in characters; counted here in UTF-16 units, which are never fewer.
pub const MAX_TEXT: usize = 2000;

/// A link whose destination is longer than this is written out: its markup must fit a message.
const MAX_LINK: usize = 500;

/// A space of no width.
const NO_WIDTH: &str = "\u{200b}";

const LIMITS: Limits = Limits { units: MAX_TEXT - 100, measure: utf16_units, marks: usize::MAX };

/// Renders Markdown as one or more messages; none if it has no text.
pub fn render(markdown: &str) -> Vec<String> {
    markdown::messages(&markdown::parse(markdown, is_linkable), &Discord, &LIMITS, MAX_TEXT)
}

fn utf16_units(text: &str) -> usize {
    text.encode_utf16().count()
}

fn is_linkable(destination: &str) -> bool {
    let is_web = ["https://", "http://"].iter().any(|scheme| destination.starts_with(scheme));
    is_web && destination.len() <= MAX_LINK && !destination.contains([' ', '<', '>', '(', ')', '\\'])
}

struct Discord;

impl Dialect for Discord {
    fn escape<'a>(&self, text: &'a str, line_begins: bool) -> Cow<'a, str> {
        let mut out = String::with_capacity(text.len() + 8);
        let mut begins = line_begins;
        let addresses = markdown::addresses(text);
        for (at, c) in text.char_indices() {
            // Discord takes an address as it is, with the backslashes.
            if markdown::is_plain_in_address(text, &addresses, at) {
                out.push(c);
                begins = false;
                continue;
            }
            // At the beginning of a line these make headings, small print, lists and quotations.
            let makes_block = begins && matches!(c, '#' | '-' | '+' | '>');
            let numbers = c == '.' && is_numbering(&text[..at], line_begins);
            if makes_block || numbers || matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '[' | ']' | '<') {
                out.push('\\');
            }
            out.push(c);
            begins = c == '\n' || (begins && c == ' ');
        }
        out.into()
    }

    fn open(&self, mark: Mark<'_>) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match mark {
            Mark::Link(_) => "[",
            Mark::Bold => "**",
            // Unlike `_`, a star may stand within a word.
            Mark::Italic => "*",
            Mark::Strikethrough => "~~",
            Mark::Code => "``",
        }))
    }

    fn close(&self, mark: Mark<'_>) -> String {
        match mark {
            Mark::Link(destination) => format!("]({destination})"),
            other => self.open(other).unwrap_or_default().into_owned(),
        }
    }

    fn code<'a>(&self, text: &'a str) -> Cow<'a, str> {
        inline_code(text)
    }

    fn code_block(&self, language: Option<&str>, text: &str) -> String {
        fenced(language, text)
    }

    fn quote(&self, text: &str) -> String {
        quoted_lines(text)
    }

    fn links_addresses(&self) -> bool {
        true
    }

    fn between(&self) -> &'static str {
        NO_WIDTH
    }
}

/// Whether what stands before a point is the number of a list's item.
fn is_numbering(before: &str, line_begins: bool) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let is_start = line.len() < before.len() || line_begins;
    let digits = line.trim_start();
    is_start && !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}

/// Code between two backticks on each side: it may hold single ones, and begins and ends with none.
fn inline_code(text: &str) -> Cow<'_, str> {
    // Twice: of three in a row the first pass parts two.
    let apart = |text: &str| text.replace("``", "`\u{200b}`");
    let text = if text.contains("``") { Cow::Owned(apart(&apart(text))) } else { Cow::Borrowed(text) };
    if text.starts_with('`') || text.ends_with('`') { Cow::Owned(format!(" {text} ")) } else { text }
}

/// A code block between fences that nothing in it can close.
pub(crate) fn fenced(language: Option<&str>, text: &str) -> String {
    format!("```{}\n{}\n```", language.unwrap_or_default(), text.replace("```", "`\u{200b}``"))
}

/// A quotation whose every line is marked.
pub(crate) fn quoted_lines(text: &str) -> String {
    text.split('\n').map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}
