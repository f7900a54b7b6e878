//! Tables as aligned columns of text, for a code block.

use pulldown_cmark::Alignment;
use unicode_width::UnicodeWidthStr;

/// Columns are not padded further than this many places; a longer cell pushes its row to the right.
/// Without it one long cell would fill every other row with spaces.
const MAX_PADDING: usize = 40;

const GAP: &str = "  ";

pub(super) struct Table {
    alignments: Vec<Alignment>,
    /// The first row is the heading.
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(alignments: Vec<Alignment>) -> Table {
        Table { alignments, rows: Vec::new() }
    }

    pub(super) fn start_row(&mut self) {
        self.rows.push(Vec::new());
    }

    pub(super) fn add_cell(&mut self, text: String) {
        if let Some(row) = self.rows.last_mut() {
            row.push(text);
        }
    }

    /// The rows as lines, with a line under the heading.
    pub(super) fn lay_out(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(|column| self.width(column)).collect();
        let underline: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();

        let mut lines: Vec<String> = self.rows.iter().map(|row| self.line(row, &widths)).collect();
        if !lines.is_empty() {
            lines.insert(1, underline.join(GAP));
        }
        lines.join("\n")
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.width()).max().unwrap_or(0).min(MAX_PADDING)
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            // An emoji, and a letter of China or Japan, takes two places.
            let missing = width.saturating_sub(cell.width());
            let before = match self.alignments.get(column) {
                Some(Alignment::Right) => missing,
                Some(Alignment::Center) => missing / 2,
                _ => 0,
            };
            format!("{}{cell}{}", " ".repeat(before), " ".repeat(missing - before))
        });
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    }
}
