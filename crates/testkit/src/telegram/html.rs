//! Telegram's HTML: a fixed set of tags, balanced, and four named entities.
//!
//! <https://core.telegram.org/bots/api#html-style>

/// The tags that may stand in a message.
const TAGS: [&str; 16] = [
    "a",
    "b",
    "blockquote",
    "code",
    "del",
    "em",
    "i",
    "ins",
    "pre",
    "s",
    "span",
    "strike",
    "strong",
    "tg-emoji",
    "tg-spoiler",
    "u",
];

/// Takes the markup out of a text. The error is in Telegram's words.
pub(super) fn text_of(html: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        let offset = html.len() - rest.len() + at;
        rest = &rest[at..];
        if rest.starts_with('&') {
            let (decoded, after) = entity(rest);
            text.push(decoded);
            rest = after;
            continue;
        }
        let end = rest.find('>').ok_or_else(|| format!("Unclosed start tag at byte offset {offset}"))?;
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        match tag.strip_prefix('/') {
            Some(closing) => {
                let opened = open.pop().ok_or_else(|| format!("Unexpected end tag at byte offset {offset}"))?;
                if closing != opened {
                    return Err(format!(
                        "Unmatched end tag at byte offset {offset}, expected \"</{opened}>\", found \"</{closing}>\""
                    ));
                }
            }
            None => open.push(start_tag(tag, offset)?),
        }
    }
    text.push_str(rest);
    match open.last() {
        None => Ok(text),
        Some(tag) => Err(format!("Can't find end tag corresponding to start tag \"{tag}\"")),
    }
}

/// The name of a start tag that may stand in a message, with the attributes that it may have.
fn start_tag(tag: &str, offset: usize) -> Result<&str, String> {
    let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
    if !TAGS.contains(&name) {
        return Err(format!("Unsupported start tag \"{name}\" at byte offset {offset}"));
    }
    let attributes = attributes.trim();
    let is = |attribute: &str| attributes.starts_with(&format!("{attribute}=\"")) && attributes.ends_with('"');
    let fits = match name {
        "a" => is("href"),
        "span" => attributes == "class=\"tg-spoiler\"",
        "tg-emoji" => is("emoji-id"),
        "code" => attributes.is_empty() || is("class"),
        "blockquote" => attributes.is_empty() || attributes == "expandable",
        _ => attributes.is_empty(),
    };
    // Telegram overlooks some of these; a renderer that writes them is wrong all the same.
    if fits { Ok(name) } else { Err(format!("Tag \"{name}\" has wrong attributes at byte offset {offset}")) }
}

/// The character at the beginning of `text`, which is `&`, and what follows it. Telegram leaves unknown entities as
/// they are.
fn entity(text: &str) -> (char, &str) {
    for (name, character) in [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&quot;", '"')] {
        if let Some(after) = text.strip_prefix(name) {
            return (character, after);
        }
    }
    let numeric = text.strip_prefix("&#").and_then(|rest| rest.split_once(';')).and_then(|(digits, after)| {
        let number = match digits.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => digits.parse().ok()?,
        };
        Some((char::from_u32(number)?, after))
    });
    numeric.unwrap_or(('&', &text[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_taken_out() {
        let html = "<b>a &lt; b</b> &amp; <a href=\"https://x.example/?a=1&amp;b=2\">c</a> &#233; &nbsp; R&D";
        assert_eq!(text_of(html).unwrap(), "a < b & c é &nbsp; R&D");
        assert_eq!(text_of("<pre><code class=\"language-rust\">x</code></pre>").unwrap(), "x");
    }

    #[test]
    fn what_telegram_refuses_is_refused() {
        for bad in
            ["<b>a", "a</b>", "<b><i>a</b></i>", "<h1>a</h1>", "<br>", "1 < 2", "<a>x</a>", "<b class=\"x\">a</b>"]
        {
            assert!(text_of(bad).is_err(), "{bad}");
        }
    }
}
