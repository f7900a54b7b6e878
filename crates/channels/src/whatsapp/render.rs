//! Markdown as `WhatsApp` writes it: stars, underscores and tildes; links are seen as they are.
//!
//! The dialect: <https://faq.whatsapp.com/539178204879377>. Nothing can be escaped: what would pass for markup is
//! written with characters that look like it.

use std::borrow::Cow;

use crate::discord::{fenced, quoted_lines};
use crate::markdown::{self, Dialect, Limits, Mark};
use crate::slack::{LIKE_BACKTICK, NO_WIDTH, disguise_marks};

/// The longest message, in characters.
pub const MAX_TEXT: usize = 4096;

const LIMITS: Limits = Limits { units: MAX_TEXT - 100, measure: utf16_units, marks: usize::MAX };

/// Renders Markdown as one or more messages; none if it has no text.
pub fn render(markdown: &str) -> Vec<String> {
    markdown::messages(&markdown::parse(markdown, |_| false), &WhatsApp, &LIMITS, MAX_TEXT)
}

fn utf16_units(text: &str) -> usize {
    text.encode_utf16().count()
}

struct WhatsApp;

impl Dialect for WhatsApp {
    fn escape<'a>(&self, text: &'a str, line_begins: bool) -> Cow<'a, str> {
        Cow::Owned(disguise_marks(text, line_begins))
    }

    fn open(&self, mark: Mark<'_>) -> Option<Cow<'static, str>> {
        match mark {
            Mark::Link(_) => None,
            Mark::Bold => Some("*".into()),
            Mark::Italic => Some("_".into()),
            Mark::Strikethrough => Some("~".into()),
            Mark::Code => Some("`".into()),
        }
    }

    fn close(&self, mark: Mark<'_>) -> String {
        self.open(mark).unwrap_or_default().into_owned()
    }

    fn code<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Cow::Owned(text.replace('`', &LIKE_BACKTICK.to_string()))
    }

    fn code_block(&self, _: Option<&str>, text: &str) -> String {
        fenced(None, text)
    }

    fn quote(&self, text: &str) -> String {
        quoted_lines(text)
    }

    fn joint(&self) -> &'static str {
        NO_WIDTH
    }
}
