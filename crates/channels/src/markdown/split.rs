//! Cuts blocks into parts that fit a channel's message, at the best border there is.

use std::collections::VecDeque;

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
/// A block moves to the next part whole if it fits there, and a heading with what it stands above. A longer one is cut at
/// a line break, else between words, else between characters; what continues in the next part has the same style,
/// language and quotation. Only white space at a cut is lost. No part is blank.
///
/// A part exceeds the limits only if they are smaller than a single styled character.
pub fn split(blocks: Vec<Block>, limits: &Limits) -> Vec<Vec<Block>> {
    let mut rest = VecDeque::from(blocks);
    std::iter::from_fn(|| next_part(&mut rest, limits)).collect()
}

/// Takes the next part off `rest`; `None` if nothing but blanks is left.
pub(super) fn next_part(rest: &mut VecDeque<Block>, limits: &Limits) -> Option<Vec<Block>> {
    while !rest.is_empty() {
        let part = Filling { limits, part: Vec::new(), units: 0, marks: 0 }.fill(rest);
        // Networks refuse blank messages; one can be left of a code block that holds many empty lines.
        if !part.iter().all(Block::is_blank) {
            return Some(part);
        }
    }
    None
}

/// The part that is being filled, and what of the limits it uses.
struct Filling<'a> {
    limits: &'a Limits,
    part: Vec<Block>,
    units: usize,
    marks: usize,
}

impl Filling<'_> {
    /// Takes blocks off `rest` until the part is full.
    fn fill(mut self, rest: &mut VecDeque<Block>) -> Vec<Block> {
        while let Some(mut block) = rest.pop_front() {
            let separator = if self.part.is_empty() { 0 } else { (self.limits.measure)(block.separator()) };
            let room = Room {
                units: self.limits.units.saturating_sub(self.units + separator),
                marks: self.limits.marks.saturating_sub(self.marks),
            };
            let whole = Room { units: self.limits.units, marks: self.limits.marks };
            if self.fits(&block, room) {
                self.push(block, separator);
                continue;
            }
            let moves = self.fits(&block, whole) || room.units < self.limits.units / 2;
            if self.part.is_empty() || !moves {
                let tail = cut(&mut block, room, self.limits.measure, self.part.is_empty());
                if let Some(tail) = tail {
                    self.push(block, separator);
                    if !tail.is_blank() {
                        rest.push_front(tail);
                    }
                    return self.part;
                }
            }
            rest.push_front(block);
            self.leave_headings(rest);
            return self.part;
        }
        self.part
    }

    /// Leaves the headings at the end to the next part: they stand above what comes there.
    fn leave_headings(&mut self, rest: &mut VecDeque<Block>) {
        let kept = self.part.iter().rposition(|block| !block.heading).map_or(self.part.len(), |last| last + 1);
        for heading in self.part.drain(kept..).rev() {
            rest.push_front(heading);
        }
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
    Some(Block { spaced: block.spaced, quoted: block.quoted, heading: block.heading, body: tail })
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
/// accents, an emoji with its skin tone, a family, the two letters of a flag.
fn between_characters(text: &str, end: usize) -> usize {
    let joins = |c: char| {
        matches!(
            c,
            '\u{300}'..='\u{36f}'
                | '\u{200d}'
                | '\u{20e3}'
                | '\u{fe0f}'
                | '\u{1f3fb}'..='\u{1f3ff}'
                | '\u{e0020}'..='\u{e007f}'
        )
    };
    let is_half_flag = |c: &char| matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
    let mut at = end;
    loop {
        let before = text[..at].chars().next_back();
        let halves = text[..at].chars().rev().take_while(is_half_flag).count();
        let tears_flag = halves % 2 == 1 && text[at..].chars().next().as_ref().is_some_and(is_half_flag);
        let torn = tears_flag || text[at..].starts_with(joins) || before == Some('\u{200d}');
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
