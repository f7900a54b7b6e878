//! Markdown as Matrix writes it: `org.matrix.custom.html`, with the plain text beside it.
//!
//! The dialect: <https://spec.matrix.org/v1.11/client-server-api/#mroommessage-msgtypes>

use std::borrow::Cow;

use crate::markdown::{self, Block, Dialect, Limits, Mark};

/// How long one message is at most as HTML, in bytes: an event has 65,536 for both of its forms, its JSON, and what its
/// server adds.
pub const MAX_HTML: usize = 24_000;

const LIMITS: Limits = Limits { units: MAX_HTML - 2_000, measure: html_bytes, marks: usize::MAX };

/// A space that HTML shows at the beginning of a line.
const INDENT: &str = "\u{a0}";

const MAX_LINK: usize = 2000;

/// One message in both of its forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// `formatted_body`
    pub html: String,
    /// `body`
    pub plain: String,
}

/// Renders Markdown as one or more messages; none if it has no text.
pub fn render(markdown: &str) -> Vec<Chunk> {
    let blocks = markdown::parse(markdown, is_linkable);
    markdown::parts(&blocks, &Matrix, &LIMITS, MAX_HTML).into_iter().map(chunk).collect()
}

/// How long a text is at most as HTML, where a line break is a tag.
fn html_bytes(text: &str) -> usize {
    text.len() + ("<br>".len() - 1) * text.bytes().filter(|byte| *byte == b'\n').count()
}

fn chunk((part, written): (Vec<Block>, String)) -> Chunk {
    // What stands in `pre` keeps its line breaks; everywhere else a line break is a tag.
    let mut html = String::with_capacity(written.len());
    for (index, piece) in written.split("<pre>").enumerate() {
        let (code, text) = if index == 0 { ("", piece) } else { piece.split_once("</pre>").unwrap_or((piece, "")) };
        if index > 0 {
            html.push_str("<pre>");
            html.push_str(code);
            html.push_str("</pre>");
        }
        html.push_str(&text.replace('\n', "<br>"));
    }
    Chunk { html: apart(html), plain: markdown::plain(&part) }
}

/// Takes the line breaks away round what stands in lines of its own anyway: they would be shown as empty lines.
fn apart(mut html: String) -> String {
    for tag in ["<pre>", "<blockquote>"] {
        while html.contains(&format!("<br>{tag}")) {
            html = html.replace(&format!("<br>{tag}"), tag);
        }
    }
    for tag in ["</pre>", "</blockquote>"] {
        while html.contains(&format!("{tag}<br>")) {
            html = html.replace(&format!("{tag}<br>"), tag);
        }
    }
    html
}

fn is_linkable(destination: &str) -> bool {
    let known = ["https://", "http://", "mailto:", "ftp://", "magnet:"];
    known.iter().any(|scheme| destination.starts_with(scheme)) && destination.len() <= MAX_LINK
}

struct Matrix;

impl Dialect for Matrix {
    fn escape<'a>(&self, text: &'a str, line_begins: bool) -> Cow<'a, str> {
        let indent = text.len() - text.trim_start_matches(' ').len();
        let indent = if line_begins { indent } else { 0 };
        Cow::Owned(INDENT.repeat(indent) + &entities(&text[indent..]))
    }

    fn open(&self, mark: Mark<'_>) -> Option<Cow<'static, str>> {
        Some(match mark {
            Mark::Link(destination) => Cow::Owned(format!("<a href=\"{}\">", entities(destination))),
            Mark::Bold => Cow::Borrowed("<strong>"),
            Mark::Italic => Cow::Borrowed("<em>"),
            Mark::Strikethrough => Cow::Borrowed("<del>"),
            Mark::Code => Cow::Borrowed("<code>"),
        })
    }

    fn close(&self, mark: Mark<'_>) -> String {
        let tag = match mark {
            Mark::Link(_) => "</a>",
            Mark::Bold => "</strong>",
            Mark::Italic => "</em>",
            Mark::Strikethrough => "</del>",
            Mark::Code => "</code>",
        };
        tag.to_owned()
    }

    fn code<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Cow::Owned(entities(text))
    }

    fn code_block(&self, language: Option<&str>, text: &str) -> String {
        let class = language.map(|language| format!(" class=\"language-{}\"", entities(language))).unwrap_or_default();
        format!("<pre><code{class}>{}</code></pre>", entities(text))
    }

    fn quote(&self, text: &str) -> String {
        format!("<blockquote>{text}</blockquote>")
    }
}

/// A text as HTML that shows it as it is.
pub fn escape(text: &str) -> String {
    entities(text)
}

fn entities(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
