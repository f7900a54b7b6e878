//! Markdown as Telegram's HTML, in chunks that fit a message.
//!
//! The dialect: <https://core.telegram.org/bots/api#html-style>. Only `& < > "` are escaped, and
//! Telegram knows no paragraphs, lists or tables; [`markdown::parse()`] has made text of those.

use crate::markdown::{self, Block, Body, Limits, Span};

/// The longest text of a message, in UTF-16 units after Telegram has taken the markup out.
pub const MAX_TEXT: usize = 4096;

/// Telegram ignores every further piece of markup; here the message is split instead, so that
/// formatting is never lost halfway.
const MAX_ENTITIES: usize = 100;

const LIMITS: Limits = Limits { units: MAX_TEXT, measure: utf16_units, marks: MAX_ENTITIES };

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// For `parse_mode: HTML`; every tag that is opened is closed.
    pub html: String,
    /// The same text without markup, for when Telegram refuses the HTML.
    pub plain: String,
}

/// Renders Markdown as one or more messages; none if it has no text.
///
/// Code cannot be within other markup on Telegram, so code in bold is only code, and code in a link
/// is only a link.
pub fn render(markdown: &str) -> Vec<Chunk> {
    let parts = markdown::split(markdown::parse(markdown, is_linkable), &LIMITS);
    parts.iter().map(|part| Chunk { html: html(part), plain: markdown::plain(part) }).collect()
}

fn utf16_units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Telegram drops links of other schemes, and takes `mailto:` for the name of a host; it finds mail
/// addresses in the text by itself.
fn is_linkable(destination: &str) -> bool {
    destination.split_once("://").is_some_and(|(scheme, rest)| {
        let known = ["http", "https", "tg"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        known && !rest.is_empty()
    })
}

fn html(blocks: &[Block]) -> String {
    let mut out = String::new();
    let mut quoted = false;
    for (i, block) in blocks.iter().enumerate() {
        if quoted && !block.quoted {
            out.push_str("</blockquote>");
        }
        if i > 0 {
            out.push_str(block.separator());
        }
        if block.quoted && !quoted {
            out.push_str("<blockquote>");
        }
        quoted = block.quoted;
        match &block.body {
            Body::Text(spans) => write_spans(&mut out, spans),
            Body::Code { language, text } => write_code(&mut out, language.as_deref(), text),
        }
    }
    if quoted {
        out.push_str("</blockquote>");
    }
    out
}

fn write_code(out: &mut String, language: Option<&str>, text: &str) {
    let (open, close) = match language {
        Some(language) => (format!("<pre><code class=\"language-{}\">", escape(language)), "</code></pre>"),
        None => ("<pre>".to_owned(), "</pre>"),
    };
    out.push_str(&open);
    out.push_str(&escape(text));
    out.push_str(close);
}

/// A tag that text can stand in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark<'a> {
    Link(&'a str),
    Bold,
    Italic,
    Strikethrough,
    Code,
}

impl Mark<'_> {
    fn open(self) -> String {
        match self {
            Mark::Link(destination) => format!("<a href=\"{}\">", escape(destination)),
            Mark::Bold => "<b>".to_owned(),
            Mark::Italic => "<i>".to_owned(),
            Mark::Strikethrough => "<s>".to_owned(),
            Mark::Code => "<code>".to_owned(),
        }
    }

    fn close(self) -> &'static str {
        match self {
            Mark::Link(_) => "</a>",
            Mark::Bold => "</b>",
            Mark::Italic => "</i>",
            Mark::Strikethrough => "</s>",
            Mark::Code => "</code>",
        }
    }
}

/// The marks of a span, from the outside in.
fn marks(span: &Span) -> Vec<Mark<'_>> {
    let link = span.link.as_deref().map(Mark::Link);
    if span.style.code && link.is_none() {
        return vec![Mark::Code];
    }
    let bold = span.style.bold.then_some(Mark::Bold);
    let italic = span.style.italic.then_some(Mark::Italic);
    let strikethrough = span.style.strikethrough.then_some(Mark::Strikethrough);
    [link, bold, italic, strikethrough].into_iter().flatten().collect()
}

/// Writes spans so that neighbours share the tags that they have in common.
fn write_spans(out: &mut String, spans: &[Span]) {
    let mut open: Vec<Mark<'_>> = Vec::new();
    for span in spans {
        let wanted = marks(span);
        let kept = open.iter().take_while(|mark| wanted.contains(mark)).count();
        for mark in open.drain(kept..).rev() {
            out.push_str(mark.close());
        }
        for mark in wanted {
            if !open.contains(&mark) {
                out.push_str(&mark.open());
                open.push(mark);
            }
        }
        out.push_str(&escape(&span.text));
    }
    for mark in open.into_iter().rev() {
        out.push_str(mark.close());
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
