//! Writes blocks in a channel's dialect, for networks whose markup is written around the text.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::address::ENDS_ADDRESS;
use super::split::next_part;
use super::{Block, Body, Limits, Span};

/// What text can stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark<'a> {
    Link(&'a str),
    Bold,
    Italic,
    Strikethrough,
    Code,
}

/// How a chat network writes what blocks hold.
pub trait Dialect {
    /// Text as it has to be written so that it is shown as it is. `line_begins`: nothing stands before it on its line.
    fn escape<'a>(&self, text: &'a str, line_begins: bool) -> Cow<'a, str>;

    /// What opens a mark; `None` if the network has no such mark.
    fn open(&self, mark: Mark<'_>) -> Option<Cow<'static, str>>;

    /// What closes a mark that [`Dialect::open`] opened.
    fn close(&self, mark: Mark<'_>) -> String;

    /// Text within a code mark. It is not escaped otherwise.
    fn code<'a>(&self, text: &'a str) -> Cow<'a, str>;

    fn code_block(&self, language: Option<&str>, text: &str) -> String;

    /// A quotation of text that is written already.
    fn quote(&self, text: &str) -> String;

    /// Whether the network links addresses by itself, and shows the markup of links that are named by their address.
    fn links_addresses(&self) -> bool {
        false
    }

    /// What parts a mark from a letter that touches it, where the network shows no marks within words.
    fn joint(&self) -> &'static str {
        ""
    }

    /// What parts a mark that closes from one that opens at once.
    fn between(&self) -> &'static str {
        self.joint()
    }
}

/// Cuts blocks into messages that are at most `max` long as they are written, by `limits.measure`.
pub fn messages(blocks: &[Block], dialect: &impl Dialect, limits: &Limits, max: usize) -> Vec<String> {
    parts(blocks, dialect, limits, max).into_iter().map(|(_, written)| written).collect()
}

/// The same, each message with what it was written from.
pub fn parts(blocks: &[Block], dialect: &impl Dialect, limits: &Limits, max: usize) -> Vec<(Vec<Block>, String)> {
    let mut messages = Vec::new();
    let mut rest: VecDeque<Block> = blocks.iter().cloned().collect();
    let mut units = limits.units;
    loop {
        let mut later = rest.clone();
        let Some(part) = next_part(&mut later, &Limits { units, ..*limits }) else { return messages };
        let written = write(&part, dialect);
        let length = (limits.measure)(&written);
        // Markup counts where the network counts what is sent. How much there is shows only when it is written.
        if length > max && units > 0 {
            units = units * max / length;
            units -= units / 32;
            continue;
        }
        messages.push((part, written));
        rest = later;
        units = limits.units;
    }
}

/// Writes the blocks of one message.
pub fn write(blocks: &[Block], dialect: &impl Dialect) -> String {
    let mut out = String::new();
    let mut rest = blocks;
    while let Some(first) = rest.first() {
        if !out.is_empty() {
            out.push_str(first.separator());
        }
        let together = if first.quoted { rest.iter().take_while(|block| block.quoted).count() } else { 1 };
        let (these, later) = rest.split_at(together);
        rest = later;
        let mut text = String::new();
        for (index, block) in these.iter().enumerate() {
            if index > 0 {
                text.push_str(block.separator());
            }
            match &block.body {
                Body::Text(spans) => write_spans(&mut text, spans, dialect),
                Body::Code { language, text: code } => text.push_str(&dialect.code_block(language.as_deref(), code)),
            }
        }
        out.push_str(&if first.quoted { dialect.quote(&text) } else { text });
    }
    out
}

/// The marks of a span that the dialect has, from the outside in. Code stands alone, or in a link.
fn marks<'a>(span: &'a Span, dialect: &impl Dialect) -> Vec<Mark<'a>> {
    let style = span.style;
    let link = span.link.as_deref().filter(|link| *link != span.text || !dialect.links_addresses()).map(Mark::Link);
    let code = style.code.then_some(Mark::Code);
    let styled = |is_on: bool, mark| (is_on && code.is_none()).then_some(mark);
    let all = [
        link,
        styled(style.bold, Mark::Bold),
        styled(style.italic, Mark::Italic),
        styled(style.strikethrough, Mark::Strikethrough),
        code,
    ];
    all.into_iter().flatten().filter(|mark| dialect.open(*mark).is_some()).collect()
}

/// A run of text on one line with its marks, from the outside in. Spaces are runs of their own.
struct Run<'a> {
    text: &'a str,
    marks: Vec<Mark<'a>>,
}

/// Writes each line with its own marks: most networks end a mark at the end of its line, and show none that begins or
/// ends with a space. Neighbours share the marks that they have in common.
fn write_spans(out: &mut String, spans: &[Span], dialect: &impl Dialect) {
    let mut line: Vec<Run<'_>> = Vec::new();
    for span in spans {
        for (index, text) in span.text.split('\n').enumerate() {
            if index > 0 {
                write_line(out, std::mem::take(&mut line), dialect);
                out.push('\n');
            }
            let core = text.trim();
            let (before, rest) = text.split_at(text.len() - text.trim_start().len());
            let after = &rest[core.len()..];
            let of = |text| Run { text, marks: marks(span, dialect) };
            line.extend([before, core, after].into_iter().filter(|text| !text.is_empty()).map(of));
        }
    }
    write_line(out, line, dialect);
}

fn write_line(out: &mut String, mut line: Vec<Run<'_>>, dialect: &impl Dialect) {
    outdent(&mut line);
    let mut open: Vec<Mark<'_>> = Vec::new();
    for Run { text, marks } in &line {
        let kept = open.iter().zip(marks).take_while(|(open, mark)| open == mark).count();
        let (closes, opens) = (kept < open.len(), kept < marks.len());
        for mark in open.drain(kept..).rev() {
            out.push_str(&dialect.close(mark));
        }
        if closes && opens {
            out.push_str(dialect.between());
        } else if closes && is_swallowed(out, text) || opens && is_swallowing(out) {
            out.push_str(dialect.joint());
        }
        for mark in &marks[kept..] {
            out.extend(dialect.open(*mark));
            open.push(*mark);
        }
        let line_begins = out.rsplit('\n').next().is_some_and(|line| line.trim().is_empty());
        out.push_str(&if marks.contains(&Mark::Code) { dialect.code(text) } else { dialect.escape(text, line_begins) });
    }
    for mark in open.into_iter().rev() {
        out.push_str(&dialect.close(mark));
    }
}

/// Whether a mark that follows would be taken for a part of a word, or of an address.
fn is_swallowing(before: &str) -> bool {
    before.ends_with(char::is_alphanumeric) || ends_in_address(before)
}

/// Whether a mark between the two would be.
fn is_swallowed(before: &str, after: &str) -> bool {
    after.starts_with(char::is_alphanumeric) || !after.starts_with(char::is_whitespace) && ends_in_address(before)
}

fn ends_in_address(text: &str) -> bool {
    let word = text.rsplit(char::is_whitespace).next().unwrap_or_default();
    word.rsplit_once("://").is_some_and(|(_, rest)| !rest.contains(ENDS_ADDRESS))
}

/// Leaves spaces only those marks that what stands before and after them shares.
fn outdent(line: &mut [Run<'_>]) {
    let is_blank = |run: &Run<'_>| run.text.trim().is_empty();
    for at in 0..line.len() {
        if !is_blank(&line[at]) {
            continue;
        }
        let before = line[..at].iter().rfind(|run| !is_blank(run)).map(|run| run.marks.clone()).unwrap_or_default();
        let after = line[at..].iter().find(|run| !is_blank(run)).map(|run| run.marks.clone()).unwrap_or_default();
        let shared = before.into_iter().zip(after).take_while(|(before, after)| before == after);
        line[at].marks = shared.map(|(mark, _)| mark).collect();
    }
}
