use channels::markdown;
use channels::telegram::{Chunk, MAX_TEXT, render};
use proptest::prelude::*;

fn show(chunks: &[Chunk]) -> String {
    chunks.iter().map(|chunk| chunk.html.as_str()).collect::<Vec<_>>().join("\n=== next message ===\n")
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Reads HTML as Telegram does: returns the text and the number of tags, or what is wrong.
fn read_html(html: &str) -> Result<(String, usize), String> {
    let (mut text, mut open, mut tags) = (String::new(), Vec::new(), 0);
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tag) = rest.strip_prefix('<') {
            let (tag, after) = tag.split_once('>').ok_or("a tag without an end")?;
            rest = after;
            match tag.strip_prefix('/') {
                Some(name) => {
                    let opened = open.pop();
                    if opened != Some(name) {
                        return Err(format!("{name} closes {opened:?}"));
                    }
                }
                None => {
                    let (name, attribute) = tag.split_once(' ').unwrap_or((tag, ""));
                    let known = match name {
                        "b" | "i" | "s" | "pre" | "blockquote" => attribute.is_empty(),
                        "a" => attribute.starts_with("href=\"") && attribute.matches('"').count() == 2,
                        "code" => attribute.is_empty() || attribute.starts_with("class=\"language-"),
                        _ => false,
                    };
                    if !known || open.contains(&name) {
                        return Err(format!("<{tag}> within {open:?}"));
                    }
                    // The `code` in a `pre` names its language and is no entity of its own.
                    tags += usize::from(open.last() != Some(&"pre"));
                    open.push(name);
                }
            }
        } else {
            let (entity, after) = rest.split_once(';').ok_or("a bare &")?;
            text.push(match entity {
                "&lt" => '<',
                "&gt" => '>',
                "&amp" => '&',
                "&quot" => '"',
                _ => return Err(format!("{entity} is not known to Telegram")),
            });
            rest = after;
        }
    }
    text.push_str(rest);
    if open.is_empty() { Ok((text, tags)) } else { Err(format!("{open:?} stay open")) }
}

fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// What holds for the messages of any Markdown on Telegram.
pub(crate) fn check(markdown: &str) -> Result<(), TestCaseError> {
    let chunks = render(markdown);
    for chunk in &chunks {
        let (text, tags) = read_html(&chunk.html).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&text, &chunk.plain);
        prop_assert!(units(&text) <= MAX_TEXT, "{} units", units(&text));
        prop_assert!(tags <= 100, "{} entities", tags);
        prop_assert!(!text.trim().is_empty(), "a blank message");
    }
    let is_linkable = |url: &str| url.starts_with("https://");
    let whole = markdown::plain(&markdown::parse(markdown, is_linkable));
    prop_assert_eq!(chunks.iter().map(|chunk| visible(&chunk.plain)).collect::<String>(), visible(&whole));
    Ok(())
}

const ANSWER: &str = r#"# Low tide at *Saint-Malo* 🌊

Low tide is at **14:12**, _not_ ~~15:40~~. See [the **table**](https://tides.example/?a=1&b="2") & `maree --today`.

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
| Granville | 14:30 | [1.9](https://x.example) m |

```rust
fn tide() -> &'static str { "low" } // a < b
```

---

![A map](https://maps.example/m.png) ![](https://maps.example/n.png) [notes](./notes.md) [Sam](mailto:sam@x.example) <sam@x.example>

<b onclick="x">raw</b> **bold `code` bold** [`code` link](https://c.example)
"#;

#[test]
fn what_a_person_reads() {
    insta::assert_snapshot!(show(&render(ANSWER)), @r#"
    <b>Low tide at <i>Saint-Malo</i> 🌊</b>

    Low tide is at <b>14:12</b>, <i>not</i> <s>15:40</s>. See <a href="https://tides.example/?a=1&amp;b=&quot;2&quot;">the <b>table</b></a> &amp; <code>maree --today</code>.

    1. Take the path
        • <b>boots</b> on
        ☐ phone left at home
        ☑ tell Sam
    2. Walk <i>slowly</i>
        and look

    <blockquote>Mind the rocks &lt;3

    said Ada</blockquote>

    <pre>Port          Low           Height
    ──────────  ─────  ─────────────────────────
    Saint-Malo  14:12            2.1 m
    Granville   14:30  1.9 (https://x.example) m</pre>

    <pre><code class="language-rust">fn tide() -&gt; &amp;'static str { &quot;low&quot; } // a &lt; b</code></pre>

    ──────────

    <a href="https://maps.example/m.png">A map</a> <a href="https://maps.example/n.png">https://maps.example/n.png</a> notes (./notes.md) Sam (sam@x.example) sam@x.example

    &lt;b onclick=&quot;x&quot;&gt;raw&lt;/b&gt; <b>bold </b><code>code</code><b> bold</b> <a href="https://c.example">code link</a>
    "#);
}

#[test]
fn the_same_without_markup() {
    insta::assert_snapshot!(render(ANSWER)[0].plain, @r#"
    Low tide at Saint-Malo 🌊

    Low tide is at 14:12, not 15:40. See the table & maree --today.

    1. Take the path
        • boots on
        ☐ phone left at home
        ☑ tell Sam
    2. Walk slowly
        and look

    Mind the rocks <3

    said Ada

    Port          Low           Height
    ──────────  ─────  ─────────────────────────
    Saint-Malo  14:12            2.1 m
    Granville   14:30  1.9 (https://x.example) m

    fn tide() -> &'static str { "low" } // a < b

    ──────────

    A map https://maps.example/n.png notes (./notes.md) Sam (sam@x.example) sam@x.example

    <b onclick="x">raw</b> bold code bold code link
    "#);
}

#[test]
fn nothing_to_say_is_no_message() {
    for blank in ["", " \n\n ", "```\n\n```", "> ", "#", "[](#)", "&nbsp;"] {
        assert!(render(blank).len() <= usize::from(blank == "[](#)"), "{blank:?}");
    }
}

#[test]
fn links_of_other_schemes_are_written_out() {
    insta::assert_snapshot!(show(&render("[a](javascript:alert(1)) [b](tg://user?id=5) [c](HTTPS://x.example) [d]()")), @r#"a (javascript:alert(1)) <a href="tg://user?id=5">b</a> <a href="HTTPS://x.example">c</a> d"#);
}

#[test]
fn a_long_code_block_goes_on_in_the_next_message_in_its_language() {
    let code: String = (0..300).map(|i| format!("    let line_{i} = {i};\n")).collect();
    let chunks = render(&format!("Here:\n\n```rust\n{code}```\n\nDone."));
    assert_eq!(chunks.len(), 2);
    assert!(chunks[0].html.starts_with("Here:\n\n<pre><code class=\"language-rust\">    let line_0 = 0;\n"));
    assert!(chunks[1].html.starts_with("<pre><code class=\"language-rust\">    let line_"), "{}", chunks[1].html);
    assert!(chunks[1].html.ends_with("    let line_299 = 299;</code></pre>\n\nDone."));
}

#[test]
fn a_paragraph_that_fits_is_not_torn() {
    let paragraph = "word ".repeat(500);
    let chunks = render(&format!("{paragraph}\n\n{paragraph}\n\n> {paragraph}"));
    assert_eq!(chunks.iter().map(|chunk| units(&chunk.plain)).collect::<Vec<_>>(), [2499, 2499, 2499]);
}

#[test]
fn a_long_paragraph_is_cut_between_words_and_keeps_its_style() {
    let chunks = render(&format!("**{}**", "ebb and flow ".repeat(400).trim_end()));
    assert_eq!(chunks.len(), 2);
    assert!(chunks[0].html.starts_with("<b>ebb") && chunks[1].html.ends_with("flow</b>"));
    assert!(units(&chunks[0].plain) > 4080);
}

#[test]
fn one_endless_word_is_cut_between_characters() {
    let family = "👨‍👩‍👧";
    let chunks = render(&family.repeat(1000));
    for chunk in &chunks {
        assert_eq!(chunk.plain.replace(family, ""), "", "a family was torn");
    }
    assert_eq!(chunks.len(), 2);
}

#[test]
fn more_markup_than_a_message_may_have_makes_another_message() {
    let chunks = render(&"**a** _b_ ".repeat(80));
    assert_eq!(chunks.len(), 2);
    assert_eq!(read_html(&chunks[0].html).unwrap().1, 100);
}

#[test]
fn bullets_without_end_stay_small() {
    let chunks = render(&format!("{}x", "- ".repeat(3000)));
    assert!(chunks.iter().all(|chunk| units(&chunk.plain) <= MAX_TEXT));
    assert!(chunks.len() < 50, "{}", chunks.len());
}

/// Markdown made of the pieces that it has, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z]{1,12} ?",
        2 => "\\PC{1,8}",
        1 => "[ \u{1f30a}\u{1f468}\u{200d}\u{301}<>&\"]{1,6}",
        4 => prop::sample::select(vec![
            "\n", "\n\n", "\n\n", "**", "*", "_", "~~", "`", "\n```rust\n", "\n```\n", "\n# ", "\n- ", "\n  - ", "\n1. ",
            "\n- [x] ", "\n> ", "\n> > ", "[", "](https://x.example/?a&b)", "](y.md)", "![", "\n|a|b|\n|-|:-:|\n|c|",
            "|", "\n---\n", "<b>", "</b>", "<", "&amp;", "\\", "    ", "\t", "<https://z.example>", "<a@x.example>",
        ]).prop_map(str::to_owned),
        1 => (1usize..6000, "[a-z🌊é ]{1,3}").prop_map(|(times, text)| text.repeat(times)),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_markdown_becomes_messages_that_telegram_takes(markdown in pieces()) {
        check(&markdown)?;
    }

    #[test]
    fn any_text_becomes_messages_that_telegram_takes(text in "(?s).{0,400}", times in 1usize..40) {
        check(&text.repeat(times))?;
    }

    #[test]
    fn the_splitter_serves_other_limits(text in pieces(), units in 0usize..80, marks in 0usize..8) {
        let blocks = markdown::parse(&text, |_| true);
        let whole = markdown::plain(&blocks);
        let limits = markdown::Limits { units, measure: str::len, marks };
        let parts: Vec<String> = markdown::split(blocks, &limits).iter().map(|part| markdown::plain(part)).collect();
        for part in &parts {
            prop_assert!(part.len() <= units || part.chars().count() == 1, "{part:?} for {units} bytes");
        }
        prop_assert_eq!(visible(&parts.concat()), visible(&whole));
    }
}
