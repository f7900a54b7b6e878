//! A page's readable part, as Markdown or text.

use dom_smoothie::{Config, Readability, TextMode};

use super::{ExtractMode, nesting};

/// In a page with more elements than this no article is looked for: that takes seconds.
const MAX_ELEMENTS: usize = 25_000;

/// Gives the article of a page, or all of the page where no article stands out.
pub(super) fn readable(html: &str, url: &str, mode: ExtractMode) -> Result<String, String> {
    if !nesting::is_harmless(html) {
        return Err("The page's HTML is nested too deeply to be read.".to_owned());
    }
    let text_mode = match mode {
        ExtractMode::Markdown => TextMode::Markdown,
        ExtractMode::Text => TextMode::Formatted,
    };
    let config = Config { text_mode, max_elements_to_parse: MAX_ELEMENTS, ..Config::default() };
    let unreadable = |error| format!("The page could not be read: {error}.");
    let mut page = Readability::new(html, Some(url), Some(config)).map_err(unreadable)?;
    let title = page.get_article_title().to_string();
    // Parsing takes the page apart, so what is fallen back on is kept from before.
    let whole = match mode {
        ExtractMode::Markdown => page.doc.md(None),
        ExtractMode::Text => page.doc.formatted_text(),
    };
    let article = page.parse();
    let text = match &article {
        Ok(article) if !article.text_content.trim().is_empty() => article.text_content.trim(),
        _ => whole.trim(),
    };
    if text.is_empty() {
        return Err("The page has no text; perhaps it is made by scripts, which do not run here.".to_owned());
    }
    let heading = match (title.trim(), mode) {
        ("", _) => String::new(),
        (title, ExtractMode::Markdown) => format!("# {title}\n\n"),
        (title, ExtractMode::Text) => format!("{title}\n\n"),
    };
    Ok(format!("{heading}{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(html: &str, mode: ExtractMode) -> String {
        readable(html, "https://example.com/a/", mode).unwrap_or_else(|why| format!("refused: {why}"))
    }

    #[test]
    fn a_page_without_an_article_is_given_whole() {
        let html = "<title>Links</title><ul><li><a href='b'>One</a><li>Two</ul>";
        insta::assert_snapshot!(read(html, ExtractMode::Markdown), @r"
        # Links

        - [One](https://example.com/a/b)
        - Two
        ");
        insta::assert_snapshot!(read(html, ExtractMode::Text), @r"
        Links

        One
        Two
        ");
    }

    #[test]
    fn the_deepest_page_that_is_let_through_can_be_read() {
        for tag in ["div", "span", "b", "ul", "blockquote", "table"] {
            let html = format!("{}deep inside{}", format!("<{tag}>").repeat(399), format!("</{tag}>").repeat(399));
            for mode in [ExtractMode::Markdown, ExtractMode::Text] {
                let text = std::thread::scope(|scope| scope.spawn(|| read(&html, mode)).join().unwrap());
                assert!(text.contains("deep inside"), "{tag}: {text}");
            }
        }
    }
}
