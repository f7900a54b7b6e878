//! Addresses of the web that stand in running text: networks link them by themselves, as they are written.

use std::ops::Range;

/// What ends an address, beside white space.
pub(super) const ENDS_ADDRESS: [char; 5] = ['<', '>', '|', '(', ')'];

/// Where the addresses in a text are, in bytes. Marks at an address's end are not taken for a part of it.
pub(crate) fn addresses(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("http") {
        let begin = from + at;
        let rest = &text[begin..];
        let end = rest.find(|c: char| c.is_whitespace() || ENDS_ADDRESS.contains(&c)).unwrap_or(rest.len());
        let is_address = ["https://", "http://"].iter().any(|scheme| rest.starts_with(scheme));
        from = begin + if is_address { end } else { "http".len() };
        if is_address {
            found.push(begin..begin + rest[..end].trim_end_matches(['*', '_', '~', '`']).len());
        }
    }
    found
}

/// Whether the character at a byte stands in one of the addresses and is no mark there, though it were one elsewhere.
pub(crate) fn is_plain_in_address(text: &str, addresses: &[Range<usize>], at: usize) -> bool {
    let next = addresses.partition_point(|address| address.end <= at);
    let rest = &text[at..];
    addresses.get(next).is_some_and(|address| address.contains(&at))
        && (rest.starts_with('_') || rest.starts_with('~') && !rest.starts_with("~~") && !text[..at].ends_with('~'))
}
