//! Markdown as models write it, reduced to what every chat network can show.
//!
//! [`parse()`] turns Markdown into [`Block`]s of plain text, styled spans and code; headings, lists and
//! tables are laid out as text on the way, because few networks have them. [`split()`] cuts the blocks
//! into parts that fit a message. A channel's renderer then writes one part in its own dialect:
//!
//! ```text
//! Markdown ── parse ──▶ blocks ── split ──▶ parts ── the channel's renderer ──▶ messages
//! ```
//!
//! Splitting before rendering is what keeps markup whole: a part never begins or ends inside a tag.

mod address;
mod parse;
mod split;
mod table;
mod write;

pub(crate) use address::{addresses, is_plain_in_address};
pub use parse::parse;
pub use split::{Limits, split};
pub use write::{Dialect, Mark, messages, parts, write};

/// A paragraph, a line of a list, or a code block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// An empty line stands before it; otherwise it starts on the next line. Means nothing for the
    /// first block of a message.
    pub spaced: bool,
    /// It stands in a quotation. Nested quotations count as one: no chat network nests them well.
    pub quoted: bool,
    /// It stands above the next block, and moves to another message with it.
    pub heading: bool,
    pub body: Body,
}

/// What a block holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Text(Vec<Span>),
    /// Preformatted text, without the last line break.
    Code {
        /// The first word after the fence, such as `rust`.
        language: Option<String>,
        text: String,
    },
}

/// A run of text in one style. Its text is not empty and may hold line breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub text: String,
    pub style: Style,
    /// Where the text links to.
    pub link: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    pub bold: bool,
    pub italic: bool,
    pub strikethrough: bool,
    pub code: bool,
}

impl Block {
    /// What stands between this block and the one before it.
    pub fn separator(&self) -> &'static str {
        if self.spaced { "\n\n" } else { "\n" }
    }

    /// The texts of the block, in order and without markup.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let (spans, code) = match &self.body {
            Body::Text(spans) => (spans.as_slice(), None),
            Body::Code { text, .. } => (&[][..], Some(text.as_str())),
        };
        spans.iter().map(|span| span.text.as_str()).chain(code)
    }

    fn is_blank(&self) -> bool {
        self.texts().all(|text| text.trim().is_empty())
    }
}

/// A block's lines, each as a block of its own.
pub fn lines(block: &Block) -> Vec<Block> {
    let of = |body| Block { spaced: false, quoted: block.quoted, heading: block.heading, body };
    match &block.body {
        Body::Code { language, text } => {
            text.split('\n').map(|line| of(Body::Code { language: language.clone(), text: line.to_owned() })).collect()
        }
        Body::Text(spans) => {
            let mut lines: Vec<Vec<Span>> = vec![vec![]];
            for span in spans {
                for (index, text) in span.text.split('\n').enumerate() {
                    if index > 0 {
                        lines.push(vec![]);
                    }
                    if let Some(line) = lines.last_mut().filter(|_| !text.is_empty()) {
                        line.push(Span { text: text.to_owned(), style: span.style, link: span.link.clone() });
                    }
                }
            }
            lines.into_iter().map(|spans| of(Body::Text(spans))).collect()
        }
    }
}

/// The blocks as text without any markup: what a person reads where markup is not understood.
pub fn plain(blocks: &[Block]) -> String {
    let mut out = String::new();
    for (i, block) in blocks.iter().enumerate() {
        if i > 0 {
            out.push_str(block.separator());
        }
        out.extend(block.texts());
    }
    out
}
