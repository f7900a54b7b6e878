//! Tables: columns as wide as their longest cell, two spaces apart, nothing drawn around them.

use std::fmt::Write;

use domain::Timestamp;

use crate::terminal::{Style, one_line};

/// The longest cell that is shown, in characters.
const MAX_CELL: usize = 60;

/// Lays out rows under a header. The last column is not padded.
pub(crate) fn table<const N: usize>(style: Style, header: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| one_line(cell, MAX_CELL))).collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or_default()
    });
    let mut text = style.dim(line(&header.map(str::to_owned), &widths));
    for row in &rows {
        text.push('\n');
        text.push_str(&line(row, &widths));
    }
    text
}

fn line<const N: usize>(cells: &[String; N], widths: &[usize; N]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        // Writing to a string has no way to fail.
        let _ = write!(line, "{cell:width$}  ");
    }
    line.trim_end().to_owned()
}

/// Lays out one record, a field a line.
pub(crate) fn fields(style: Style, fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let line = |(name, value): &(&str, String)| {
        format!("{}  {}", style.dim(format!("{name:width$}")), one_line(value, usize::MAX))
    };
    fields.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// How long ago something was, in one unit.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    match now.since(then).as_secs() {
        0..60 => "just now".to_owned(),
        secs @ 60..3_600 => format!("{} min ago", secs / 60),
        secs @ 3_600..86_400 => format!("{} h ago", secs / 3_600),
        secs @ 86_400..172_800 => format!("{} day ago", secs / 86_400),
        secs => format!("{} days ago", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["tidy".to_owned(), "active".to_owned()], ["käthe two".to_owned(), "paused\n".to_owned()]];
        let text = table(Style::PLAIN, ["NAME", "STATUS"], &rows);
        assert_eq!(text, "NAME       STATUS\ntidy       active\nkäthe two  paused");
    }

    #[test]
    fn a_strange_cell_stays_in_its_cell() {
        let text = table(Style::PLAIN, ["REASON"], &[["a\n\x1b[31mb".to_owned()], ["x".repeat(100)]]);
        assert_eq!(text.lines().nth(1), Some("a [31mb"));
        assert_eq!(text.lines().nth(2).map(|line| line.chars().count()), Some(MAX_CELL));
    }

    #[test]
    fn a_record_is_a_field_a_line() {
        assert_eq!(fields(Style::PLAIN, &[("id", "1".into()), ("name", "tidy".into())]), "id    1\nname  tidy");
    }

    #[test]
    fn ages_are_told_in_one_unit() {
        let now = Timestamp::from_secs(1_000_000);
        let told = |secs: u64| ago(Timestamp::from_secs(1_000_000 - secs), now);
        assert_eq!(
            [told(5), told(150), told(7_300), told(90_000), told(400_000)],
            ["just now", "2 min ago", "2 h ago", "1 day ago", "4 days ago"]
        );
        assert_eq!(ago(now, Timestamp::from_secs(1)), "just now");
    }
}
