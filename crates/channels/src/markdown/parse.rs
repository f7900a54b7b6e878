//! From Markdown to blocks: lays out headings, lists, tables, images and rules as styled text.

use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};

use super::table::Table;
use super::{Block, Body, Span, Style};

const RULE: &str = "──────────";
const BULLET: &str = "• ";
const INDENT: &str = "    ";

/// Deeper lists are not indented any further, so that a line of a thousand bullets stays a line.
const MAX_INDENTS: usize = 8;

/// Reads Markdown: `CommonMark` with tables, strikethrough and task lists. Any text is valid Markdown.
///
/// `linkable` says which destinations the channel can link to; any other destination is written out
/// after its label, so that the person can still use it. Raw HTML is text. Line breaks are kept, as
/// chat networks do: whoever writes a poem or an address means them.
pub fn parse(markdown: &str, linkable: fn(&str) -> bool) -> Vec<Block> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut builder = Builder::new(linkable);
    for event in Parser::new_ext(markdown, options) {
        builder.event(event);
    }
    builder.flush();
    builder.blocks
}

struct Builder {
    linkable: fn(&str) -> bool,
    blocks: Vec<Block>,
    /// The text of the block that is being read.
    spans: Vec<Span>,
    /// How many tags of each style are open.
    bold: usize,
    italic: usize,
    strikethrough: usize,
    quotes: usize,
    /// What is written now is a heading.
    heading: bool,
    links: Vec<OpenLink>,
    /// The open lists; an ordered one has the number of its next item.
    lists: Vec<Option<u64>>,
    /// The bullet or number that the next text is to follow.
    marker: Option<String>,
    /// No block of the outermost list has been written yet.
    list_begins: bool,
    code: Option<OpenCode>,
    table: Option<Table>,
}

struct OpenLink {
    destination: String,
    /// The text within it, so far.
    label: String,
    linkable: bool,
}

struct OpenCode {
    language: Option<String>,
    text: String,
}

impl Builder {
    fn new(linkable: fn(&str) -> bool) -> Builder {
        Builder {
            linkable,
            blocks: Vec::new(),
            spans: Vec::new(),
            bold: 0,
            italic: 0,
            strikethrough: 0,
            quotes: 0,
            heading: false,
            links: Vec::new(),
            lists: Vec::new(),
            marker: None,
            list_begins: false,
            code: None,
            table: None,
        }
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Code(text) => self.push(&text, true),
            Event::Text(text)
            | Event::Html(text)
            | Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => self.push(&text, false),
            Event::SoftBreak | Event::HardBreak => self.line_break(),
            Event::Rule => {
                self.flush();
                self.push(RULE, false);
                self.flush();
            }
            Event::TaskListMarker(done) => self.task(done),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } | Tag::Strong => self.bold += 1,
            Tag::Emphasis => self.italic += 1,
            Tag::Strikethrough => self.strikethrough += 1,
            Tag::BlockQuote(_) => {
                self.flush();
                self.quotes += 1;
            }
            Tag::CodeBlock(kind) => {
                self.flush();
                self.code = Some(OpenCode { language: language(&kind), text: String::new() });
            }
            Tag::List(first) => {
                self.flush();
                self.list_begins |= self.lists.is_empty();
                self.lists.push(first);
            }
            Tag::Item => {
                self.flush();
                self.marker = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let marker = format!("{number}. ");
                        *number = number.saturating_add(1);
                        marker
                    }
                    _ => BULLET.to_owned(),
                });
            }
            Tag::Table(alignments) => {
                self.flush();
                self.table = Some(Table::new(alignments));
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.start_row();
                }
            }
            Tag::Link { link_type: LinkType::Email, dest_url, .. } => self.open_link(format!("mailto:{dest_url}")),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.open_link(dest_url.into_string()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Strong => self.bold -= 1,
            TagEnd::Emphasis => self.italic -= 1,
            TagEnd::Strikethrough => self.strikethrough -= 1,
            TagEnd::Heading(_) => {
                self.heading = true;
                self.flush();
                self.heading = false;
                self.bold -= 1;
            }
            TagEnd::Paragraph | TagEnd::HtmlBlock | TagEnd::Item => self.flush(),
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.quotes -= 1;
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.list_begins = false;
            }
            TagEnd::CodeBlock => {
                if let Some(OpenCode { language, text }) = self.code.take() {
                    self.write_code(language, text);
                }
            }
            TagEnd::TableCell => {
                let spans = std::mem::take(&mut self.spans);
                if let Some(table) = &mut self.table {
                    table.add_cell(spans.into_iter().map(|span| span.text).collect());
                }
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    self.write_code(None, table.lay_out());
                }
            }
            TagEnd::Link | TagEnd::Image => self.close_link(),
            _ => {}
        }
    }

    /// Adds text in the style of the tags that are open.
    fn push(&mut self, text: &str, code: bool) {
        if let Some(open) = &mut self.code {
            open.text.push_str(text);
            return;
        }
        if self.spans.is_empty() && self.table.is_none() {
            let margin = self.margin();
            self.push_span(Span { text: margin, style: Style::default(), link: None });
        }
        if let Some(link) = self.links.last_mut() {
            link.label.push_str(text);
        }
        let link = self.links.iter().find(|link| link.linkable).map(|link| link.destination.clone());
        let style = Style { bold: self.bold > 0, italic: self.italic > 0, strikethrough: self.strikethrough > 0, code };
        self.push_span(Span { text: text.to_owned(), style, link });
    }

    fn push_span(&mut self, span: Span) {
        match self.spans.last_mut() {
            _ if span.text.is_empty() => {}
            Some(last) if last.style == span.style && last.link == span.link => last.text.push_str(&span.text),
            _ => self.spans.push(span),
        }
    }

    /// What the first line of a block begins with: its indentation in a list, and the bullet that waits.
    fn margin(&mut self) -> String {
        match self.marker.take() {
            Some(marker) => format!("{}{marker}", self.indent(self.lists.len().saturating_sub(1))),
            None => self.indent(self.lists.len()),
        }
    }

    fn indent(&self, depth: usize) -> String {
        INDENT.repeat(depth.min(MAX_INDENTS))
    }

    fn line_break(&mut self) {
        let indent = self.indent(self.lists.len());
        self.push("\n", false);
        self.push_span(Span { text: indent, style: Style::default(), link: None });
    }

    fn task(&mut self, done: bool) {
        let number = self.marker.take().filter(|marker| marker != BULLET).unwrap_or_default();
        self.marker = Some(format!("{number}{} ", if done { '☑' } else { '☐' }));
    }

    fn open_link(&mut self, destination: String) {
        // A table is laid out in a code block, and no channel has links in those.
        let linkable = self.table.is_none() && (self.linkable)(&destination);
        self.links.push(OpenLink { destination, label: String::new(), linkable });
    }

    fn close_link(&mut self) {
        // What is pushed now still belongs to the link, if it is one.
        let Some(link) = self.links.last() else { return };
        let destination = link.destination.strip_prefix("mailto:").unwrap_or(&link.destination);
        let addition = if link.label.is_empty() {
            destination.to_owned()
        } else if link.linkable || destination.is_empty() || destination == link.label {
            String::new()
        } else {
            format!(" ({destination})")
        };
        self.push(&addition, false);
        let inner = self.links.pop();
        if let (Some(inner), Some(outer)) = (inner, self.links.last_mut()) {
            outer.label.push_str(&inner.label);
        }
    }

    /// Ends the block that is being read.
    fn flush(&mut self) {
        let mut spans = std::mem::take(&mut self.spans);
        if spans.is_empty() && self.marker.is_some() {
            // An item without text of its own: its bullet must not move to another line.
            spans.push(Span { text: self.margin(), style: Style::default(), link: None });
        }
        trim_end(&mut spans);
        if !spans.is_empty() {
            self.write(Body::Text(spans));
        }
    }

    fn write_code(&mut self, language: Option<String>, mut text: String) {
        text.truncate(text.trim_end().len());
        if !text.is_empty() {
            self.write(Body::Code { language, text });
        }
    }

    fn write(&mut self, body: Body) {
        let spaced = self.lists.is_empty() || std::mem::take(&mut self.list_begins);
        self.blocks.push(Block { spaced, quoted: self.quotes > 0, heading: self.heading, body });
    }
}

fn trim_end(spans: &mut Vec<Span>) {
    while let Some(last) = spans.last_mut() {
        last.text.truncate(last.text.trim_end().len());
        if !last.text.is_empty() {
            return;
        }
        spans.pop();
    }
}

/// The language of a fence: the first word of its info string, if it is one that a tag can carry.
fn language(kind: &CodeBlockKind<'_>) -> Option<String> {
    let CodeBlockKind::Fenced(info) = kind else { return None };
    let word = info.split([' ', '\t', ',', '{']).next().unwrap_or_default();
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '_' | '#' | '.');
    (!word.is_empty() && word.len() <= 32 && word.chars().all(is_word)).then(|| word.to_owned())
}
