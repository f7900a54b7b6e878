//! Whether a page's tree can be built safely: an estimate from its tags alone, before any parsing.
//!
//! Three kinds of pages bring a parser down. In one, elements lie in each other by the thousand, and code
//! that walks the tree by recursion runs out of stack, which ends the process. In the other, formatting
//! elements (`<b>`, `<font>`) are never closed, and HTML's rules open all of them again in each
//! paragraph, so that the tree's size is the square of the page's. In the third, one tag has attributes
//! without end, and each is compared with all before it.

/// No page that people read is nested this deeply.
const MAX_DEPTH: usize = 400;
/// How many elements may come from opening formatting elements again.
const MAX_REOPENED: usize = 1_000_000;

/// How many attributes one tag may have, roughly.
const MAX_ATTRIBUTES: usize = 2_000;

/// Content of these is text, whatever it looks like.
const RAW: [&str; 9] = ["script", "style", "textarea", "title", "iframe", "noembed", "noframes", "noscript", "xmp"];
/// These have no content, or end where the next of their kind begins, so they do not add to the depth.
const FLAT: [&str; 27] = [
    "area", "base", "body", "br", "caption", "col", "colgroup", "embed", "head", "hr", "html", "img", "input", "link",
    "meta", "option", "p", "param", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr",
];
const FORMATTING: [&str; 12] = ["b", "big", "code", "em", "font", "i", "s", "small", "strike", "strong", "tt", "u"];
/// An end tag does not reach out of these.
const SCOPES: [&str; 7] = ["applet", "marquee", "math", "object", "svg", "table", "template"];

/// Errs on the side of `false`.
pub(super) fn is_harmless(html: &str) -> bool {
    // ASCII alone, so that positions stay the same.
    let html = html.to_ascii_lowercase();
    let mut open: Vec<&str> = Vec::new();
    let mut unclosed = [0usize; FORMATTING.len()];
    let mut reopened = 0;
    let mut rest = html.as_str();
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let is_end = rest.starts_with('/');
        let tag = &rest[usize::from(is_end)..];
        let name = &tag[..tag.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(tag.len())];
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let Some((is_closed, after)) = tag_end(&tag[name.len()..]) else { return false };
        rest = after;
        if let Some(kind) = FORMATTING.iter().position(|formatting| *formatting == name) {
            unclosed[kind] = if is_end { unclosed[kind].saturating_sub(1) } else { unclosed[kind] + 1 };
        }
        if is_end {
            let in_scope = open.iter().rposition(|element| *element == name || SCOPES.contains(element));
            if let Some(at) = in_scope.filter(|at| open[*at] == name) {
                open.truncate(at);
            }
            continue;
        }
        reopened += unclosed.iter().sum::<usize>();
        if open.len() >= MAX_DEPTH || reopened > MAX_REOPENED {
            return false;
        }
        let is_foreign = open.iter().any(|element| matches!(*element, "svg" | "math"));
        if !is_foreign && RAW.contains(&name) {
            rest = raw_end(rest, name);
        } else if is_foreign && is_closed || !is_foreign && FLAT.contains(&name) {
            continue;
        } else {
            let ends_last = match name {
                "li" => open.last() == Some(&"li"),
                "dd" | "dt" => matches!(open.last(), Some(&"dd" | &"dt")),
                "a" => open.last() == Some(&"a"),
                _ => false,
            };
            if ends_last {
                open.pop();
            }
            open.push(name);
        }
    }
    true
}

/// Whether a tag ends in `/>`, and what follows its end (a `>` may also stand in a quoted attribute). `None`:
/// it has too many attributes.
fn tag_end(attributes: &str) -> Option<(bool, &str)> {
    let mut quote = None;
    let mut last = ' ';
    let mut parts = 0;
    for (at, c) in attributes.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => {
                quote = None;
                parts += 1;
            }
            (Some(_), _) => {}
            // A quote begins a value only after `=`; elsewhere it is a character like any other.
            (None, '"' | '\'') if last == '=' => quote = Some(c),
            (None, '>') => return Some((last == '/', &attributes[at + 1..])),
            (None, '/') => parts += 1,
            (None, c) if c.is_ascii_whitespace() => parts += 1,
            (None, _) => {}
        }
        if !c.is_ascii_whitespace() {
            last = c;
        }
        if parts > MAX_ATTRIBUTES {
            return None;
        }
    }
    Some((false, ""))
}

/// What follows raw text, from its end tag on.
fn raw_end<'a>(text: &'a str, name: &str) -> &'a str {
    let end = text.match_indices("</").find(|(at, _)| text[at + 2..].starts_with(name));
    end.map_or("", |(at, _)| &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_break_parsers_are_found() {
        let deep = [
            "<div>".repeat(500),
            "<DIV CLASS='>'>x".repeat(500),
            "<div><!-- </div> -->".repeat(500),
            "<div title=\"</div>\">".repeat(500),
            "<div></x>".repeat(500),
            "<div><script></div></script>".repeat(500),
            "<div><object></div>".repeat(500),
            "<li><dd>".repeat(500),
            format!("<svg>{}", "<tr>".repeat(500)),
            "<div><b></div>x".repeat(5000),
            format!("<p {}>", (0..3000).map(|n| format!("a{n}")).collect::<Vec<_>>().join(" ")),
            format!("{}{}", (0..300).map(|n| format!("<font size={n}>")).collect::<String>(), "<p>x".repeat(9000)),
        ];
        for html in deep {
            assert!(!is_harmless(&html), "{}", &html[..60]);
        }
    }

    #[test]
    fn ordinary_pages_pass() {
        let row = "<tr><td>a<td><b>b</b><br><img src=x></tr>";
        let list = "<ul><li>one<li>two <a href='x'>three</a></ul><dl><dt>a<dd>b</dl>";
        let svg = "<svg><g><path d='x'/><circle/></g></svg>";
        let script = "<script>if (a<b) { document.write('<div>') }</script>";
        let page = format!("<!doctype html><body><table>{row}</table><p>{list}<p>{svg}{script}<div><hr></div>");
        assert!(is_harmless(&page.repeat(1000)));
        assert!(is_harmless("a < b and c <3 <"));
    }
}
