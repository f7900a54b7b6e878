//! Markdown as Matrix writes it: `org.matrix.custom.html`, with the plain text beside it.
//!
//! The dialect: <https://spec.matrix.org/v1.11/client-server-api/#mroommessage-msgtypes>

use std::borrow::Cow;

use crate::markdown::{self, Block, Dialect, Limits, Mark};

/// How long one message is at most as HTML, in bytes: an event has 65,536 for both of its forms, its JSON, and what its
/// server adds.
pub const MAX_HTML: usize = 24_000;

const LIMITS: Limits = Limits { units: MAX_HTML - 2_000, measure: str::len, marks: usize::MAX };

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
    Chunk { html, plain: markdown::plain(&part) }
}

fn is_linkable(destination: &str) -> bool {
    let known = ["https://", "http://", "mailto:", "ftp://", "magnet:"];
    known.iter().any(|scheme| destination.starts_with(scheme)) && destination.len() <= MAX_LINK
}

struct Matrix;

impl Dialect for Matrix {
    fn escape<'a>(&self, text: &'a str, _: bool) -> Cow<'a, str> {
        Cow::Owned(entities(text))
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
