//! What models cost and how much they read, as far as it is known.

use domain::Price;

use super::demo;
use crate::BotView;

/// What is assumed of a model that is not known, in tokens.
const DEFAULT_WINDOW: u64 = 128_000;
/// The smallest window that a conversation can be had in, in tokens.
const MIN_WINDOW: u64 = 4_000;
/// The largest window that is made use of: what a model reads with each step is paid with each step.
const MAX_WINDOW: u64 = 400_000;

/// What is known of a model.
struct Known {
    /// `provider/model`, as providers write it; [`find`] says what else is meant by it.
    reference: &'static str,
    price: Price,
    /// How many tokens it is given at most.
    window: u64,
}

/// Prices in dollars per million tokens: input, input from the provider's cache, output.
const fn known(reference: &'static str, input: f64, cached: f64, output: f64, window: u64) -> Known {
    let price = Price { input: micros(input), output: micros(output), cached: Some(micros(cached)), cache_write: None };
    Known { reference, price, window }
}

/// As [`known`], for Anthropic, which charges a quarter more for input that it writes to its cache.
const fn claude(reference: &'static str, input: f64, cached: f64, output: f64, window: u64) -> Known {
    let mut known = known(reference, input, cached, output, window);
    known.price.cache_write = Some(micros(input * 1.25));
    known
}

/// Dollars as micro-dollars.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "prices are small and positive")]
const fn micros(dollars: f64) -> u64 {
    (dollars * 1_000_000.0 + 0.5) as u64
}

/// List prices in US dollars per million tokens, as of November 2026 to the best of our knowledge: providers change
/// them without telling us. A bot's own price goes first, and so does its own window.
///
/// The windows are what is sensible to send, not always what is possible: GPT-5 reads no more than 272,000 tokens of
/// its 400,000, and some models cost twice as much beyond 200,000 or 272,000.
#[rustfmt::skip]
const MODELS: [Known; 26] = [
    //                                          input  cached  output  window
    known("openai/gpt-5.5",                      5.00,  0.50,   30.00,   272_000),
    known("openai/gpt-5.4",                      2.50,  0.25,   15.00,   272_000),
    known("openai/gpt-5.4-mini",                 0.75,  0.075,   4.50,   272_000),
    known("openai/gpt-5.4-nano",                 0.20,  0.02,    1.25,   272_000),
    known("openai/gpt-5.2",                      1.75,  0.175,  14.00,   272_000),
    known("openai/gpt-5.1",                      1.25,  0.125,  10.00,   272_000),
    known("openai/gpt-5",                        1.25,  0.125,  10.00,   272_000),
    known("openai/gpt-5-mini",                   0.25,  0.025,   2.00,   272_000),
    known("openai/gpt-5-nano",                   0.05,  0.005,   0.40,   272_000),
    known("openai/gpt-4.1",                      2.00,  0.50,    8.00, 1_047_576),
    known("openai/gpt-4.1-mini",                 0.40,  0.10,    1.60, 1_047_576),
    known("openai/gpt-4.1-nano",                 0.10,  0.025,   0.40, 1_047_576),
    // The first of its name was dearer, and had no cache.
    known("openai/gpt-4o-2024-05-13",            5.00,  5.00,   15.00,   128_000),
    known("openai/gpt-4o",                       2.50,  1.25,   10.00,   128_000),
    known("openai/gpt-4o-mini",                  0.15,  0.075,   0.60,   128_000),
    claude("anthropic/claude-opus-4-7",          5.00,  0.50,   25.00,   200_000),
    claude("anthropic/claude-opus-4-6",          5.00,  0.50,   25.00,   200_000),
    claude("anthropic/claude-opus-4-5",          5.00,  0.50,   25.00,   200_000),
    claude("anthropic/claude-sonnet-4-6",        3.00,  0.30,   15.00,   200_000),
    claude("anthropic/claude-sonnet-4-5",        3.00,  0.30,   15.00,   200_000),
    claude("anthropic/claude-haiku-4-5",         1.00,  0.10,    5.00,   200_000),
    known("google/gemini-3.1-pro-preview",       2.00,  0.20,   12.00,   200_000),
    known("google/gemini-3-flash-preview",       0.50,  0.05,    3.00, 1_048_576),
    known("google/gemini-2.5-pro",               1.25,  0.125,  10.00,   200_000),
    known("google/gemini-2.5-flash",             0.30,  0.03,    2.50, 1_048_576),
    known("google/gemini-2.5-flash-lite",        0.10,  0.01,    0.40, 1_048_576),
];

/// What a model costs: a bot's `own` price of it, or else its list price. `None`: it is not known.
pub fn price_of(reference: Option<&str>, own: Option<Price>) -> Option<Price> {
    match (own, reference) {
        (Some(own), _) => Some(own),
        (None, None | Some(demo::NAME)) => Some(Price { cached: Some(0), ..Price::default() }),
        (None, Some(reference)) if bedrock_claude(reference).is_some() && !reference.contains("/global.") => {
            find(reference).map(|known| a_tenth_more(known.price))
        }
        (None, Some(reference)) => find(reference).map(|known| known.price),
    }
}

impl BotView<'_> {
    /// What its model costs, if that is known.
    pub(crate) fn price(&self) -> Option<Price> {
        price_of(self.model, self.price)
    }

    /// How many tokens its model is given at most.
    pub(crate) fn window(&self) -> u64 {
        let known = || self.model.and_then(find).map(|known| known.window);
        self.context_window.or_else(known).unwrap_or(DEFAULT_WINDOW).clamp(MIN_WINDOW, MAX_WINDOW)
    }
}

const OPENROUTER: &str = "openrouter/";

/// Models that read nothing but text, by the beginning of their names.
const BLIND: [&str; 9] =
    ["codestral", "deepseek", "devstral", "gpt-3.5", "gpt-oss", "kimi-k2", "o1-mini", "o3-mini", "qwen3-coder"];

/// Whether a model can be shown pictures. One that is not known is taken to see.
pub fn sees(reference: &str) -> bool {
    let name = reference.rsplit('/').next().unwrap_or(reference).to_ascii_lowercase();
    !BLIND.iter().any(|blind| name.starts_with(blind))
}

/// How many tokens a picture takes at most, by the providers' own rules for the largest that are sent.
pub(super) fn picture_tokens(reference: &str) -> u64 {
    // The one model that counts them as thirty times what they are.
    if reference.contains("gpt-4o-mini") { 50_000 } else { 6_000 }
}

/// Where Bedrock's models are asked: anywhere, or in one part of the world, which costs a tenth more.
const BEDROCK: [&str; 2] = ["amazon-bedrock/", "bedrock/"];

/// Anthropic's name of a model at Bedrock, such as `us.anthropic.claude-haiku-4-5-20251001-v1:0`.
fn bedrock_claude(reference: &str) -> Option<String> {
    let name = BEDROCK.iter().find_map(|prefix| reference.strip_prefix(prefix))?;
    let (_, name) = name.split_once("anthropic.")?;
    let name = name.split_once("-v").map_or(name, |(name, _)| name);
    Some(format!("anthropic/{name}"))
}

fn a_tenth_more(price: Price) -> Price {
    let more = |price: u64| price + price.div_ceil(10);
    Price {
        input: more(price.input),
        output: more(price.output),
        cached: price.cached.map(more),
        cache_write: price.cache_write.map(more),
    }
}

/// A model is known by its name, with or without the date of its release (`-2025-11-13`, `-20251101`) or `-latest`.
/// A name that only begins like a known one is another model, at another price. OpenRouter asks for what the
/// provider asks for, and writes dots where Anthropic writes dashes.
fn find(reference: &str) -> Option<&'static Known> {
    let reference = reference.strip_prefix(OPENROUTER).unwrap_or(reference);
    let at_bedrock = bedrock_claude(reference);
    let reference = at_bedrock.as_deref().unwrap_or(reference);
    // As providers are read from a reference: OpenAI's may be left out.
    let reference = if reference.contains('/') { reference.to_owned() } else { format!("openai/{reference}") };
    let reference = reference.replace('.', "-");
    MODELS.iter().find(|known| {
        let rest = reference.strip_prefix(&known.reference.replace('.', "-"));
        rest.is_some_and(|rest| rest.is_empty() || rest == "-latest" || is_date(rest))
    })
}

fn is_date(rest: &str) -> bool {
    let digits = rest.chars().filter(char::is_ascii_digit).count();
    rest.starts_with('-') && digits == 8 && rest.chars().all(|c| c == '-' || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(reference: &str) -> Option<u64> {
        price_of(Some(reference), None).map(|price| price.input)
    }

    #[test]
    fn models_are_found_by_their_names() {
        for (reference, expected) in [
            ("openai/gpt-5.1", Some(1_250_000)),
            ("gpt-5.1", Some(1_250_000)),
            ("openai/gpt-5.1-2025-11-13", Some(1_250_000)),
            ("openai/gpt-5-mini", Some(250_000)),
            ("openai/gpt-5-nano-2025-08-07", Some(50_000)),
            ("openai/gpt-4o-2024-08-06", Some(2_500_000)),
            ("openai/gpt-4o-2024-05-13", Some(5_000_000)),
            ("anthropic/claude-haiku-4-5-20251001", Some(1_000_000)),
            ("openrouter/anthropic/claude-opus-4.5", Some(5_000_000)),
            ("openrouter/google/gemini-2.5-flash-lite", Some(100_000)),
            ("amazon-bedrock/global.anthropic.claude-haiku-4-5-20251001-v1:0", Some(1_000_000)),
            ("bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0", Some(1_100_000)),
            ("amazon-bedrock/amazon.nova-lite-v1:0", None),
            ("demo", Some(0)),
            // Other models, whose names only begin alike, and variants that have prices of their own.
            ("openai/gpt-5-pro", None),
            ("openai/gpt-5.1-codex-max", None),
            ("openrouter/openai/gpt-5.1:online", None),
            ("anthropic/claude-opus-4-1", None),
            ("custom/gpt-5.1", None),
            ("ollama/llama3.2", None),
        ] {
            assert_eq!(input(reference), expected, "{reference}");
        }
    }

    #[test]
    fn prices_are_exact_and_a_bots_own_goes_first() {
        let price = Price { input: 250_000, output: 2_000_000, cached: Some(25_000), cache_write: None };
        assert_eq!(price_of(Some("openai/gpt-5-mini"), None), Some(price));
        let own = Price { input: 1, output: 2, ..Price::default() };
        assert_eq!(price_of(Some("openai/gpt-5-mini"), Some(own)), Some(own));
        assert_eq!(price_of(Some("custom/m"), Some(own)), Some(own));
        assert_eq!(price_of(None, None).map(|price| (price.input, price.output)), Some((0, 0)));
        for known in &MODELS {
            let Price { input, output, cached, cache_write } = known.price;
            assert!(cache_write.is_none_or(|write| write > input), "{}", known.reference);
            assert!(cached.is_some_and(|cached| cached <= input) && input < output, "{}", known.reference);
            assert_eq!(find(known.reference).map(|found| found.reference), Some(known.reference));
        }
    }

    #[test]
    fn models_are_taken_to_see_unless_it_is_known() {
        assert!(sees("openai/gpt-5.1") && sees("custom/whatever"));
        assert!(!sees("deepseek/deepseek-chat") && !sees("openrouter/openai/gpt-oss-120b"));
    }

    #[test]
    fn windows_stay_within_bounds() {
        let window = |model, context_window| BotView { model, context_window, ..BotView::default() }.window();
        assert_eq!(window(None, None), 128_000);
        assert_eq!(window(Some("custom/m"), None), 128_000);
        assert_eq!(window(Some("openai/gpt-5.1"), None), 272_000);
        assert_eq!(window(Some("openai/gpt-4.1"), None), MAX_WINDOW);
        assert_eq!(window(Some("openai/gpt-5.1"), Some(32_000)), 32_000);
        assert_eq!(window(Some("openai/gpt-5.1"), Some(0)), MIN_WINDOW);
    }
}
