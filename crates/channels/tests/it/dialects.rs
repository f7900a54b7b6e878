//! One rich message in the dialect of each channel, and what holds for the messages of any Markdown.

use channels::{discord, irc, markdown, matrix, slack, telegram, whatsapp};
use proptest::prelude::*;

use crate::rendering;

/// Headings, nested lists, tables, code, links, mentions and emoji, longer than one message of most networks.
const RICH: &str = include_str!("rich.md");

/// The messages with their lengths, as the network counts them.
fn show(messages: impl IntoIterator<Item = (String, usize)>, max: usize) -> String {
    let messages: Vec<_> = messages.into_iter().collect();
    let all = messages.len();
    let one = |(at, (text, length)): (usize, &(String, usize))| {
        format!("=== message {} of {all}: {length} of at most {max} ===\n{text}", at + 1)
    };
    messages.iter().enumerate().map(one).collect::<Vec<_>>().join("\n")
}

fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The letters and digits of a source that a person is to read, found without the parser: all but what is said to the
/// parser alone (destinations of links, languages of code, ticks of tasks).
fn letters_to_read(markdown: &str) -> String {
    let mut text = String::new();
    for line in markdown.lines().filter(|line| !line.trim_start_matches("> ").starts_with("```")) {
        let line = line.replace("- [x]", "");
        let mut rest = line.as_str();
        while let Some((label, link)) = rest.split_once("](") {
            text.push_str(label);
            let mut depth = 1;
            let end = link.find(|c| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                depth == 0
            });
            rest = &link[end.unwrap_or(link.len())..];
        }
        text.push_str(rest);
    }
    letters(&text)
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Whether all of `told` stands in `read`, in order. Between may stand what the source does not show, such as destinations.
fn is_told(told: &str, read: &str) -> bool {
    let mut read = read.chars();
    told.chars().all(|c| read.any(|r| r == c))
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

/// Which characters of a line stand in addresses, which are linked as they are.
fn addresses(line: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let ends = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '|' | '(' | ')' | '\u{200b}');
    for (at, _) in line.match_indices("https://") {
        let begin = line[..at].chars().count();
        let address = line[at..].split(ends).next().unwrap_or_default().trim_end_matches(['*', '_', '~', '`']);
        found.extend(begin..begin + address.chars().count());
    }
    found
}

fn read_line(line: &str, links: bool, seen: &mut String) -> Result<(), String> {
    let chars: Vec<char> = line.chars().collect();
    let addresses = addresses(line);
    let mut open: Vec<char> = Vec::new();
    let mut in_link = false;
    for (at, c) in chars.iter().enumerate() {
        let is_letter = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphanumeric());
        let within = is_letter(at.checked_sub(1)) && is_letter(Some(at + 1));
        // Nothing of a destination is a mark.
        in_link = links && (in_link || *c == '<') && *c != '|' && *c != '>';
        let in_code = open.last() == Some(&'`');
        match c {
            '_' | '~' if addresses.contains(&at) => seen.push(*c),
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

/// What holds for the messages of any Markdown. Returns what a person reads of it on each network.
fn check(source: &str) -> Result<Vec<(&'static str, String)>, TestCaseError> {
    let mail: fn(&str) -> bool = |url| url.starts_with("https://") || url.starts_with("mailto:");
    let simple: fn(&str) -> bool = |url| url.starts_with("https://") && !url.contains(['(', ')']);
    let mut all = Vec::new();

    let messages = discord::render(source);
    prop_assert!(messages.iter().all(|text| utf16(text) <= discord::MAX_TEXT && !text.trim().is_empty()));
    let read: Result<String, String> = messages.iter().map(|text| read_discord(text)).collect();
    let read = read.map_err(TestCaseError::fail)?;
    prop_assert_eq!(visible(&read), visible(&whole(source, simple)));
    all.push(("Discord", read));

    let messages = slack::render(source);
    prop_assert!(messages.iter().all(|text| text.chars().count() <= slack::MAX_TEXT && !text.trim().is_empty()));
    let read: Result<String, String> = messages.iter().map(|text| read_edges(text, true)).collect();
    let read = read.map_err(TestCaseError::fail)?;
    prop_assert_eq!(alike(&read), alike(&whole(source, mail)));
    all.push(("Slack", read));

    let messages = whatsapp::render(source);
    prop_assert!(messages.iter().all(|text| utf16(text) <= whatsapp::MAX_TEXT && !text.trim().is_empty()));
    let read: Result<String, String> = messages.iter().map(|text| read_edges(text, false)).collect();
    let read = read.map_err(TestCaseError::fail)?;
    prop_assert_eq!(alike(&read), alike(&whole(source, |_| false)));
    all.push(("WhatsApp", read));

    let messages = matrix::render(source);
    let mut read = String::new();
    for message in &messages {
        prop_assert!(message.html.len() <= matrix::MAX_HTML && !message.plain.trim().is_empty());
        let html = read_html(&message.html).map_err(TestCaseError::fail)?;
        prop_assert_eq!(visible(&html), visible(&message.plain));
        read.push_str(&html);
    }
    prop_assert_eq!(visible(&read), visible(&whole(source, mail)));
    all.push(("Matrix", read));

    let lines = irc::render(source);
    prop_assert!(lines.iter().all(|line| line.len() <= irc::MAX_LINE && !line.contains(['\n', '\r'])));
    let styles = ['\u{2}', '\u{1d}', '\u{1e}', '\u{11}'];
    for line in &lines {
        prop_assert!(styles.iter().all(|style| line.matches(*style).count() % 2 == 0), "{line:?}");
    }
    // What is quoted begins with `>`, and so may what is not.
    let text = |text: &str| visible(text).chars().filter(|c| !c.is_control() && *c != '>').collect::<String>();
    prop_assert_eq!(text(&lines.concat()), text(&whole(source, |_| false)));
    all.push(("IRC", lines.concat()));

    rendering::check(source)?;
    all.push(("Telegram", telegram::render(source).into_iter().map(|chunk| chunk.plain).collect()));
    Ok(all)
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
        words.prop_map(|text| format!("\n3. {text}\n   - **{text}x**\n     1. _{text}x_\n     2. [x] y\n")),
        words.prop_map(|text| format!("\n\n| {text} | b |\n|--:|:-:|\n{}\n", "| 👋🏽 | c |\n".repeat(text.len()))),
        words.prop_map(|text| format!("\n\n> 1. {text}\n> ```sh\n> {text}\n> ```\n")),
        words.prop_map(|text| format!("\n```rust\n{}\n```\n", format!("{text}();\n").repeat(90))),
        "(@everyone|<@1>|@a:b\\.c| 🇫🇷| 👩🏽‍🔬| 1️⃣| https://a\\.example/b_c/~d_){1,6}",
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
fn a_long_rich_message_is_told_whole_on_each_network() {
    assert!(RICH.chars().count() >= 12_000);
    let told = letters_to_read(RICH);
    assert!(told.chars().count() > 6_000);
    for (network, read) in check(RICH).unwrap() {
        assert!(is_told(&told, &letters(&read)), "{network} leaves something out");
    }
}

#[test]
fn telegram_reads_it() {
    let messages = telegram::render(RICH).into_iter().map(|chunk| (chunk.html, utf16(&chunk.plain)));
    insta::assert_snapshot!(show(messages, telegram::MAX_TEXT));
}

#[test]
fn discord_reads_it() {
    let messages = discord::render(RICH).into_iter().map(|text| (text.clone(), utf16(&text)));
    insta::assert_snapshot!(show(messages, discord::MAX_TEXT));
}

#[test]
fn slack_reads_it() {
    let messages = slack::render(RICH).into_iter().map(|text| (text.clone(), text.chars().count()));
    insta::assert_snapshot!(show(messages, slack::MAX_TEXT));
}

#[test]
fn whatsapp_reads_it() {
    let messages = whatsapp::render(RICH).into_iter().map(|text| (text.clone(), utf16(&text)));
    insta::assert_snapshot!(show(messages, whatsapp::MAX_TEXT));
}

#[test]
fn matrix_reads_it() {
    let lines = |html: &str| html.replace("<br>", "<br>\n");
    let messages = matrix::render(RICH).into_iter().map(|message| (lines(&message.html), message.html.len()));
    insta::assert_snapshot!(show(messages, matrix::MAX_HTML));
}

#[test]
fn irc_reads_it() {
    let visible = |line: &String| format!("{:3} {line:?}", line.len());
    insta::assert_snapshot!(irc::render(RICH).iter().map(visible).collect::<Vec<_>>().join("\n"));
}

#[test]
fn discord_links_bare_addresses_as_they_are() {
    let text = "See https://a.example/_next/b_c~d and <https://a.example/e_f>, not a_b or h_ttp.";
    let read = "See https://a.example/_next/b_c~d and https://a.example/e_f, not a\\_b or h\\_ttp.";
    assert_eq!(discord::render(text), [read]);
}

#[test]
fn addresses_lead_somewhere_where_nothing_is_escaped() {
    let text = "_See_ https://a.example/_next/b_c, _b";
    assert_eq!(slack::render(text), ["_See_ https://a.example/_next/b_c, ＿b"]);
    assert_eq!(whatsapp::render(text), ["_See_ https://a.example/_next/b_c, ＿b"]);
    // A mark that touches an address is parted from what follows it.
    assert_eq!(slack::render("_At https://a.example/~d_@everyone"), ["_At https://a.example/~d_\u{200b}@everyone"]);
}

#[test]
fn a_heading_stays_with_what_it_stands_above() {
    let source = format!("{}\n\n# Then\n\n## Now\n\n{}", "ebb ".repeat(450), "flow ".repeat(350));
    let messages = discord::render(&source);
    assert_eq!(messages.len(), 2);
    assert!(messages[1].starts_with("**Then**\n\n**Now**\n\nflow"), "{}", messages[1]);
}

#[test]
fn a_cut_tears_no_flag() {
    for message in discord::render(&"🇫🇷".repeat(700)) {
        assert_eq!(message.replace("🇫🇷", ""), "");
    }
}

#[test]
fn columns_stand_below_each_other_beside_emoji() {
    insta::assert_snapshot!(telegram::render("| a | b |\n|---|--:|\n| ✅ ok | 1 |\n| no 潮 | 10 |")[0].plain, @"
    a       b
    ─────  ──
    ✅ ok   1
    no 潮  10
    ");
}
