//! One rich message in the dialect of each channel, and what holds for the messages of any Markdown.

use channels::{discord, irc, markdown, matrix, slack, telegram, whatsapp};
use proptest::prelude::*;

use crate::rendering;

const RICH: &str = r#"# Low tide at *Saint-Malo* 🌊

Low tide is at **14:12**, _not_ ~~15:40~~; **bo**ld, snake_case, 2*3*4, *args. See [the **table**](https://tides.example/?a=1&b=2) & `maree --today`. @everyone <@123> #quay

1. Take the path
   - **boots** on
   - [ ] phone left at home
   - [x] tell Sam
2. Walk *slowly*
   and look

> Mind the rocks <3
>
> > said Ada

| Port | Low | Height |
|:-----|----:|:------:|
| Saint-Malo | 14:12 | **2.1** m |
| Granville | 14:30 | 1.9 m |

```rust
fn tide() -> &'static str { "low" } // a < b
let fence = "```";
```

[notes](./notes.md) [Sam](mailto:sam@x.example)
"#;

fn show(messages: &[String]) -> String {
    messages.join("\n=== next message ===\n")
}

/// What a person sees of a text, without its spaces.
fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '\u{200b}').collect()
}

/// The same of a text in which characters that look alike are one.
fn alike(text: &str) -> String {
    let like = |c| match c {
        '∗' => '*',
        '＿' => '_',
        '∼' => '~',
        '｀' => '`',
        '›' => '>',
        c => c,
    };
    visible(text).chars().map(like).collect()
}

/// A message's lines, without what marks them as quoted, each with whether it is code. Fences are left out.
fn lines(message: &str) -> Vec<(bool, &str)> {
    let (mut fenced, mut quoted) = (false, false);
    let mut lines = Vec::new();
    for line in message.split('\n') {
        if !fenced {
            quoted = line.starts_with("> ");
        }
        let line = if quoted { line.strip_prefix("> ").unwrap_or(line) } else { line };
        match line.strip_prefix("```") {
            Some(_) => fenced = !fenced,
            None => lines.push((fenced, line)),
        }
    }
    assert!(!fenced, "a fence stays open in {message}");
    lines
}

/// Reads a message as Discord does, whose marks need no edges of words.
fn read_discord(message: &str) -> Result<String, String> {
    let mut seen = String::new();
    for (is_code, line) in lines(message) {
        if is_code {
            seen.push_str(line);
        } else {
            read_discord_line(line, &mut seen)?;
        }
        seen.push('\n');
    }
    Ok(seen)
}

fn read_discord_line(line: &str, seen: &mut String) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let in_code = open.last() == Some(&"``");
        let mark = ["``", "**", "*", "~~"].into_iter().find(|mark| rest.starts_with(mark));
        let mark = if rest.starts_with("***") && open.last() == Some(&"*") { Some("*") } else { mark };
        if let Some(escaped) = rest.strip_prefix('\\').filter(|_| !in_code) {
            let c = escaped.chars().next().ok_or("a lone backslash")?;
            seen.push(c);
            rest = &escaped[c.len_utf8()..];
        } else if let Some(mark) = mark.filter(|mark| !in_code || *mark == "``") {
            if open.last() == Some(&mark) {
                open.pop();
            } else if open.contains(&mark) {
                return Err(format!("{mark} closes {open:?} in {line}"));
            } else {
                open.push(mark);
            }
            rest = &rest[mark.len()..];
        } else if c == '[' && !in_code {
            open.push("[");
            rest = &rest[1..];
        } else if let Some(after) = rest.strip_prefix("](").filter(|_| !in_code) {
            if open.pop() != Some("[") {
                return Err(format!("a link closes {open:?} in {line}"));
            }
            rest = after.split_once(')').ok_or("a destination without an end")?.1;
        } else {
            seen.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} stay open in {line}")) }
}

/// Reads a message as Slack and `WhatsApp` do: marks stand at the edges of words, and each line has its own.
fn read_edges(message: &str, entities: bool) -> Result<String, String> {
    let mut seen = String::new();
    for (is_code, line) in lines(message) {
        if is_code {
            // What stands in code is no link and no mark.
            seen.push_str(&if entities { line.replace('<', "&lt;") } else { line.to_owned() });
        } else {
            read_line(line, entities, &mut seen)?;
        }
        seen.push('\n');
    }
    if entities {
        // Destinations stand before the bar of their links.
        let mut text = String::new();
        let mut rest = seen.as_str();
        while let Some((before, link)) = rest.split_once('<') {
            let (link, after) = link.split_once('>').ok_or("a link without an end")?;
            text.push_str(before);
            text.push_str(link.split_once('|').ok_or("a link without a label")?.1);
            rest = after;
        }
        text.push_str(rest);
        seen = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    }
    Ok(seen)
}

fn read_line(line: &str, links: bool, seen: &mut String) -> Result<(), String> {
    let chars: Vec<char> = line.chars().collect();
    let mut open: Vec<char> = Vec::new();
    let mut in_link = false;
    for (at, c) in chars.iter().enumerate() {
        let is_letter = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphanumeric());
        let within = is_letter(at.checked_sub(1)) && is_letter(Some(at + 1));
        // Nothing of a destination is a mark.
        in_link = links && (in_link || *c == '<') && *c != '|' && *c != '>';
        let in_code = open.last() == Some(&'`');
        match c {
            '*' | '_' | '~' | '`' if !within && !in_link && (!in_code || *c == '`') => {
                if open.last() == Some(c) {
                    open.pop();
                } else if open.contains(c) {
                    return Err(format!("{c} closes {open:?} in {line}"));
                } else {
                    open.push(*c);
                }
            }
            c => seen.push(*c),
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} stay open in {line}")) }
}

fn read_html(html: &str) -> Result<String, String> {
    let (mut text, mut open) = (String::new(), Vec::new());
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, after) = tag.split_once('>').ok_or("a tag without an end")?;
        rest = after;
        match tag.strip_prefix('/') {
            Some(name) if open.pop() != Some(name) => return Err(format!("{name} closes another in {html}")),
            Some(_) => {}
            None if tag == "br" => text.push('\n'),
            None => open.push(tag.split(' ').next().unwrap_or_default()),
        }
    }
    text.push_str(rest);
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    if open.is_empty() { Ok(text) } else { Err(format!("{open:?} stay open in {html}")) }
}

/// What a person reads of some Markdown where the network can link to nothing, or to the web.
fn whole(markdown: &str, linkable: fn(&str) -> bool) -> String {
    markdown::plain(&markdown::parse(markdown, linkable))
}

fn check(source: &str) -> Result<(), TestCaseError> {
    let web: fn(&str) -> bool = |url| url.starts_with("https://");
    let mail: fn(&str) -> bool = |url| url.starts_with("https://") || url.starts_with("mailto:");
    let utf16 = |text: &str| text.encode_utf16().count();

    let messages = discord::render(source);
    prop_assert!(messages.iter().all(|text| utf16(text) <= discord::MAX_TEXT && !text.trim().is_empty()));
    let read: Result<String, String> = messages.iter().map(|text| read_discord(text)).collect();
    prop_assert_eq!(visible(&read.map_err(TestCaseError::fail)?), visible(&whole(source, web)));

    let messages = slack::render(source);
    prop_assert!(messages.iter().all(|text| text.chars().count() <= slack::MAX_TEXT && !text.trim().is_empty()));
    let read: Result<String, String> = messages.iter().map(|text| read_edges(text, true)).collect();
    prop_assert_eq!(alike(&read.map_err(TestCaseError::fail)?), alike(&whole(source, mail)));

    let messages = whatsapp::render(source);
    prop_assert!(messages.iter().all(|text| utf16(text) <= whatsapp::MAX_TEXT && !text.trim().is_empty()));
    let read: Result<String, String> = messages.iter().map(|text| read_edges(text, false)).collect();
    prop_assert_eq!(alike(&read.map_err(TestCaseError::fail)?), alike(&whole(source, |_| false)));

    let messages = matrix::render(source);
    for message in &messages {
        prop_assert!(message.html.len() <= matrix::MAX_HTML + 4 * message.html.matches("<br>").count());
        let read = read_html(&message.html).map_err(TestCaseError::fail)?;
        prop_assert_eq!(visible(&read), visible(&message.plain));
    }
    let read: String = messages.iter().map(|message| visible(&message.plain)).collect();
    prop_assert_eq!(read, visible(&whole(source, mail)));

    let lines = irc::render(source);
    prop_assert!(lines.iter().all(|line| line.len() <= irc::MAX_LINE && !line.contains(['\n', '\r'])));
    let styles = ['\u{2}', '\u{1d}', '\u{1e}', '\u{11}'];
    for line in &lines {
        prop_assert!(styles.iter().all(|style| line.matches(*style).count() % 2 == 0), "{line:?}");
    }
    // What is quoted begins with `>`, and so may what is not.
    let text = |text: &str| visible(text).chars().filter(|c| !c.is_control() && *c != '>').collect::<String>();
    prop_assert_eq!(text(&lines.concat()), text(&whole(source, |_| false)));

    rendering::check(source)
}

/// Pieces of Markdown, some of them broken.
fn piece() -> impl Strategy<Value = String> {
    let words = "[a-zé🌊 ]{0,30}";
    prop_oneof![
        words.prop_map(|text| format!("**{text}**")),
        words.prop_map(|text| format!("*{text}*")),
        words.prop_map(|text| format!("~~{text}~~")),
        words.prop_map(|text| format!("`{text}`")),
        words.prop_map(|text| format!("[{text}](https://a.example/x?y=1&z=2)")),
        words.prop_map(|text| format!("\n> {text}\n")),
        words.prop_map(|text| format!("\n- {text}\n")),
        words.prop_map(|text| format!("\n\n{text}\n")),
        words.prop_map(|text| format!("\n```sh\n{text} < & > \"\n```\n")),
        "[-#>*_~`|<>&\\[\\]()!.0-9a-c ]{0,12}",
        words.prop_map(|text| text.repeat(200)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_split_breaks_markup_or_loses_text(pieces in proptest::collection::vec(piece(), 0..40)) {
        check(&pieces.concat())?;
    }
}

#[test]
fn long_answers_become_messages_within_each_limit() {
    let long = RICH.repeat(12_000 / RICH.len() + 1);
    assert!(long.chars().count() >= 12_000);
    check(&long).unwrap();
    let counts = [
        discord::render(&long).len(),
        slack::render(&long).len(),
        telegram::render(&long).len(),
        whatsapp::render(&long).len(),
        matrix::render(&long).len(),
        irc::render(&long).len(),
    ];
    assert!(counts[0] > counts[1] && counts.iter().all(|count| *count > 0), "{counts:?}");
}

#[test]
fn discord_reads_it() {
    insta::assert_snapshot!(show(&discord::render(RICH)));
}

#[test]
fn slack_reads_it() {
    insta::assert_snapshot!(show(&slack::render(RICH)));
}

#[test]
fn whatsapp_reads_it() {
    insta::assert_snapshot!(show(&whatsapp::render(RICH)));
}

#[test]
fn matrix_reads_it() {
    let messages: Vec<String> = matrix::render(RICH).into_iter().map(|message| message.html).collect();
    insta::assert_snapshot!(show(&messages));
}

#[test]
fn irc_reads_it() {
    let visible = |line: &String| format!("{line:?}");
    insta::assert_snapshot!(irc::render(RICH).iter().map(visible).collect::<Vec<_>>().join("\n"));
}
