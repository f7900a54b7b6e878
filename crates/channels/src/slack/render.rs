//! Markdown as Slack's `mrkdwn`.
//!
//! The dialect: <https://docs.slack.dev/messaging/formatting-message-text>. Only `& < >` can be escaped. What would
//! pass for markup is written with characters that look like it.

use std::borrow::Cow;

use crate::discord::{fenced, quoted_lines};
use crate::markdown::{self, Dialect, Limits, Mark};

/// The longest message, in characters. Slack takes 40,000 and advises 4,000.
pub const MAX_TEXT: usize = 4000;

const MAX_LINK: usize = 1000;

const LIMITS: Limits = Limits { units: MAX_TEXT - 200, measure: characters, marks: usize::MAX };

/// A space of no width: it makes an edge of a word, at which marks are seen.
pub(crate) const NO_WIDTH: &str = "\u{200b}";

/// There is no way to write a backtick in code.
pub(crate) const LIKE_BACKTICK: char = '｀';

/// Renders Markdown as one or more messages; none if it has no text.
pub fn render(markdown: &str) -> Vec<String> {
    markdown::messages(&markdown::parse(markdown, is_linkable), &Slack, &LIMITS, MAX_TEXT)
}

fn characters(text: &str) -> usize {
    text.chars().count()
}

fn is_linkable(destination: &str) -> bool {
    let is_known = ["https://", "http://", "mailto:"].iter().any(|scheme| destination.starts_with(scheme));
    is_known && destination.len() <= MAX_LINK && !destination.contains(['|', '<', '>', ' '])
}

struct Slack;

impl Dialect for Slack {
    fn escape<'a>(&self, text: &'a str, line_begins: bool) -> Cow<'a, str> {
        Cow::Owned(entities(&disguise_marks(text, line_begins)))
    }

    fn open(&self, mark: Mark<'_>) -> Option<Cow<'static, str>> {
        Some(match mark {
            Mark::Link(destination) => Cow::Owned(format!("<{}|", entities(destination))),
            Mark::Bold => Cow::Borrowed("*"),
            Mark::Italic => Cow::Borrowed("_"),
            Mark::Strikethrough => Cow::Borrowed("~"),
            Mark::Code => Cow::Borrowed("`"),
        })
    }

    fn close(&self, mark: Mark<'_>) -> String {
        match mark {
            Mark::Link(_) => ">".to_owned(),
            other => self.open(other).unwrap_or_default().into_owned(),
        }
    }

    fn code<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Cow::Owned(entities(&text.replace('`', &LIKE_BACKTICK.to_string())))
    }

    fn code_block(&self, _: Option<&str>, text: &str) -> String {
        fenced(None, &entities(text))
    }

    fn quote(&self, text: &str) -> String {
        quoted_lines(text)
    }

    fn joint(&self) -> &'static str {
        NO_WIDTH
    }
}

fn entities(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Replaces each character that could open or close a mark, one at the edge of a word, by one that looks like it:
/// nothing can be escaped there. Within words (`snake_case`, `2*3`) they mean nothing and stay as they are, so that they
/// can be copied; in addresses they stay so that those lead somewhere.
pub(crate) fn disguise_marks(text: &str, line_begins: bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let addresses = markdown::addresses(text);
    let mut chars = text.char_indices().peekable();
    let mut before: Option<char> = None;
    while let Some((at, c)) = chars.next() {
        let within =
            before.is_some_and(char::is_alphanumeric) && chars.peek().is_some_and(|(_, c)| c.is_alphanumeric());
        let within = within || markdown::is_plain_in_address(text, &addresses, at);
        let begins = before.map_or(line_begins, |before| before == '\n');
        out.push(match c {
            '*' if !within => '∗',
            '_' if !within => '＿',
            '~' if !within => '∼',
            '`' if !within => LIKE_BACKTICK,
            '>' if begins => '›',
            c => c,
        });
        before = Some(c);
    }
    out
}
