//! Cuts blocks into parts that fit a channel's message, at the best border there is.

use super::{Block, Body, Span};

/// What one message of a channel can hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest text, in the channel's own unit. Markup does not count; a channel that counts it
    /// leaves room for it here.
    pub units: usize,
    /// How many units a text has. Must be additive: a text is as long as its characters together.
    pub measure: fn(&str) -> usize,
    /// The most pieces of markup: each style of each span, each link, code block and quotation.
    pub marks: usize,
}

/// Cuts `blocks` into parts within `limits`.
///
/// A block moves to the next part whole if it fits there. A longer one is cut at a line break, else
/// between words, else between characters; what continues in the next part has the same style,
/// language and quotation. Only white space at a cut is lost. No part is blank.
///
/// A part exceeds the limits only if they are smaller than a single styled character.
pub fn split(blocks: Vec<Block>, limits: &Limits) -> Vec<Vec<Block>> {
    let mut splitter = Splitter { limits, parts: Vec::new(), part: Vec::new(), units: 0, marks: 0 };
    for block in blocks {
        splitter.add(block);
    }
    splitter.finish_part();
    splitter.parts
}

struct Splitter<'a> {
    limits: &'a Limits,
    parts: Vec<Vec<Block>>,
    /// The part that is being filled, and what of the limits it uses.
    part: Vec<Block>,
    units: usize,
    marks: usize,
}

impl Splitter<'_> {
    fn add(&mut self, block: Block) {
        let mut rest = Some(block);
        while let Some(block) = rest.take() {
            let separator = if self.part.is_empty() { 0 } else { (self.limits.measure)(block.separator()) };
            let room = Room {
                units: self.limits.units.saturating_sub(self.units + separator),
                marks: self.limits.marks.saturating_sub(self.marks),
            };
            let whole = Room { units: self.limits.units, marks: self.limits.marks };
            if self.fits(&block, room) {
                self.push(block, separator);
            } else if !self.part.is_empty() && (self.fits(&block, whole) || room.units < self.limits.units / 2) {
                self.finish_part();
                rest = Some(block);
            } else {
                rest = self.add_beginning(block, room, separator);
            }
        }
    }

    /// Adds as much of `block` as there is room for, and returns what is left of it.
    fn add_beginning(&mut self, mut block: Block, room: Room, separator: usize) -> Option<Block> {
        let Some(tail) = cut(&mut block, room, self.limits.measure, self.part.is_empty()) else {
            self.finish_part();
            return Some(block);
        };
        self.push(block, separator);
        self.finish_part();
        Some(tail).filter(|tail| !tail.is_blank())
    }

    fn fits(&self, block: &Block, room: Room) -> bool {
        let length: usize = block.texts().map(str::len).sum();
        fitting(block, room, self.limits.measure) == length
    }

    fn push(&mut self, block: Block, separator: usize) {
        self.units += separator + units(&block, self.limits.measure);
        self.marks += marks(&block);
        self.part.push(block);
    }

    fn finish_part(&mut self) {
        let part = std::mem::take(&mut self.part);
        self.units = 0;
        self.marks = 0;
        // Networks refuse blank messages; one can be left of a code block that holds many empty lines.
        if !part.iter().all(Block::is_blank) {
            self.parts.push(part);
        }
    }
}

/// What is left of the limits.
#[derive(Clone, Copy)]
struct Room {
    units: usize,
    marks: usize,
}

fn units(block: &Block, measure: fn(&str) -> usize) -> usize {
    block.texts().map(measure).sum()
}

fn marks(block: &Block) -> usize {
    let own = match &block.body {
        Body::Text(spans) => spans.iter().map(span_marks).sum(),
        Body::Code { .. } => 1,
    };
    own + usize::from(block.quoted)
}

fn span_marks(span: &Span) -> usize {
    let style = span.style;
    let flags = [style.bold, style.italic, style.strikethrough, style.code, span.link.is_some()];
    flags.into_iter().filter(|flag| *flag).count()
}

/// Shortens `block` to what there is room for, and returns the rest; `None` if nothing fits. With
/// `force` at least one character fits.
fn cut(block: &mut Block, room: Room, measure: fn(&str) -> usize, force: bool) -> Option<Block> {
    let text: String = block.texts().collect();
    let first = text.chars().next().map_or(0, char::len_utf8);
    let end = fitting(block, room, measure).max(if force { first } else { 0 });
    if end == 0 {
        return None;
    }
    let tail = match &mut block.body {
        Body::Text(spans) => {
            let (head_end, tail_start) = text_border(&text, end);
            let mut border = split_off(spans, head_end);
            Body::Text(split_off(&mut border, tail_start - head_end))
        }
        Body::Code { language, text } => {
            let (head_end, tail_start) = code_border(text, end);
            let tail = text.split_off(tail_start);
            text.truncate(head_end);
            Body::Code { language: language.clone(), text: tail }
        }
    };
    Some(Block { spaced: block.spaced, quoted: block.quoted, body: tail })
}

/// How many bytes from the beginning fit. Reads no further than that, because the rest of a long block
/// is asked again for every part.
fn fitting(block: &Block, room: Room, measure: fn(&str) -> usize) -> usize {
    let (mut end, mut units, mut marks) = (0, 0, usize::from(block.quoted));
    let mut add = |text: &str, text_marks: usize| {
        marks += text_marks;
        if marks > room.marks {
            return false;
        }
        for c in text.chars() {
            units += measure(c.encode_utf8(&mut [0; 4]));
            if units > room.units {
                return false;
            }
            end += c.len_utf8();
        }
        true
    };
    match &block.body {
        Body::Text(spans) => spans.iter().all(|span| add(&span.text, span_marks(span))),
        Body::Code { text, .. } => add(text, 1),
    };
    end
}

/// Where to cut running text of which `end` bytes fit: the end of the head and the start of the tail.
fn text_border(text: &str, end: usize) -> (usize, usize) {
    let head = &text[..end];
    let line = head.rfind('\n').filter(|at| *at >= end / 2);
    let border = if text[end..].starts_with(char::is_whitespace) {
        Some(end)
    } else {
        line.or_else(|| head.rfind(char::is_whitespace))
    };
    // A head of nothing but white space would be no progress.
    let border = border.filter(|at| !text[..*at].trim().is_empty()).unwrap_or_else(|| between_characters(text, end));
    let tail = text[border..].trim_start();
    (text[..border].trim_end().len(), text.len() - tail.len())
}

/// The same for code, in which white space means something: only the line break at a cut is dropped.
fn code_border(text: &str, end: usize) -> (usize, usize) {
    let head = &text[..end];
    if text[end..].starts_with('\n') {
        return (end, end + 1);
    }
    if let Some(at) = head.rfind('\n').filter(|at| *at > 0) {
        return (at, at + 1);
    }
    let at = head.rfind(' ').map_or_else(|| between_characters(text, end), |at| at + 1);
    (at, at)
}

/// Moves a cut back so that it does not tear what is seen as one character: a letter with its
/// accents, an emoji with its skin tone, a family.
fn between_characters(text: &str, end: usize) -> usize {
    let joins = |c: char| matches!(c, '\u{300}'..='\u{36f}' | '\u{200d}' | '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
    let mut at = end;
    loop {
        let before = text[..at].chars().next_back();
        let torn = text[at..].starts_with(joins) || before == Some('\u{200d}');
        match before {
            Some(c) if torn => at -= c.len_utf8(),
            Some(_) => return at,
            None => return end,
        }
    }
}

/// Cuts spans at a byte of their text, and returns what follows it.
fn split_off(spans: &mut Vec<Span>, at: usize) -> Vec<Span> {
    let (mut index, mut rest) = (0, at);
    while let Some(span) = spans.get(index).filter(|span| span.text.len() <= rest) {
        rest -= span.text.len();
        index += 1;
    }
    let mut tail = spans.split_off(index);
    if rest > 0
        && let Some(torn) = tail.first_mut()
    {
        let after = torn.text.split_off(rest);
        let before = std::mem::replace(&mut torn.text, after);
        spans.push(Span { text: before, style: torn.style, link: torn.link.clone() });
    }
    tail
}
