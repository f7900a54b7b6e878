//! How hard a model thinks, as each family of models is told.
//!
//! | family | told by |
//! | --- | --- |
//! | Claude from 4.6 on | `thinking: adaptive` and an effort |
//! | Claude 3.7 to 4.5 | `thinking: enabled` with a budget of tokens |
//! | OpenAI's o-series and GPT-5, gpt-oss | an effort |
//! | Gemini 3 | a level |
//! | Gemini 2.5 | a budget of tokens |
//! | anything at OpenRouter | an effort, which it translates |
//! | all others | nothing |
//!
//! A level that a family does not have becomes the nearest that it has.

use domain::Thinking;
use domain::Thinking::{High, Low, Medium, Minimal, Off, Xhigh};
use serde_json::{Value, json};

/// How many tokens a level's thoughts may take: what is asked for where a model wants a number, and what is set aside for
/// them elsewhere.
pub(super) fn budget(level: Thinking) -> u64 {
    match level {
        Off => 0,
        Minimal => 1_024,
        Low => 2_048,
        Medium => 8_192,
        High => 16_384,
        Xhigh => 20_480,
    }
}

/// The fields that tell a Claude model.
pub(super) fn claude(model: &str, level: Thinking) -> Vec<(&'static str, Value)> {
    let version = claude_version(model);
    if version < Some((3, 7)) {
        return vec![];
    }
    if level == Off {
        return vec![("thinking", json!({ "type": "disabled" }))];
    }
    if version < Some((4, 6)) {
        return vec![("thinking", json!({ "type": "enabled", "budget_tokens": budget(level) }))];
    }
    let effort = match level {
        Off | Minimal | Low => "low",
        Medium => "medium",
        High => "high",
        Xhigh if version >= Some((4, 7)) => "xhigh",
        Xhigh => "max",
    };
    vec![("thinking", json!({ "type": "adaptive" })), ("output_config", json!({ "effort": effort }))]
}

/// `(4, 5)` for `claude-opus-4-5-20251101`, `us.anthropic.claude-opus-4-5-v1:0` and `claude-opus-4.5`; `None` if it is no
/// Claude.
pub(super) fn claude_version(model: &str) -> Option<(u32, u32)> {
    let name = &model[model.find("claude-")?..];
    let mut numbers = name
        .split(['-', '.', ':', '@'])
        .map(|part| part.parse::<u32>().ok().filter(|_| part.len() <= 2))
        .skip_while(Option::is_none)
        .map_while(|number| number);
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}

/// The effort that one of OpenAI's models is told; `None` if it is told nothing.
pub(super) fn openai(model: &str, level: Thinking) -> Option<&'static str> {
    let name = model.rsplit('/').next().unwrap_or(model);
    if name.starts_with("gpt-oss") {
        return Some(match level {
            Off | Minimal | Low => "low",
            Medium => "medium",
            High | Xhigh => "high",
        });
    }
    if !reasons(name) {
        return None;
    }
    // GPT-5 itself has `minimal`; its successors have `none` in its place.
    let is_first = name == "gpt-5" || name.starts_with("gpt-5-");
    let knows_xhigh = ["gpt-5.2", "gpt-5.3", "gpt-5.4", "gpt-5.5", "gpt-5.1-codex-max"];
    Some(match level {
        Off if name.starts_with('o') => "low",
        Off if is_first => "minimal",
        Off => "none",
        Minimal if is_first => "minimal",
        Minimal | Low => "low",
        Medium => "medium",
        Xhigh if knows_xhigh.iter().any(|known| name.starts_with(known)) => "xhigh",
        High | Xhigh => "high",
    })
}

/// Whether one of OpenAI's models thinks before it answers.
pub(super) fn reasons(name: &str) -> bool {
    let is_series = |series: &str| name == series || name.starts_with(&format!("{series}-"));
    (name.starts_with("gpt-5") && !name.contains("chat")) || ["o1", "o3", "o4"].into_iter().any(is_series)
}

/// The effort in OpenRouter's words.
pub(super) fn openrouter(level: Thinking) -> &'static str {
    match level {
        Off => "none",
        Minimal => "minimal",
        Low => "low",
        Medium => "medium",
        High => "high",
        Xhigh => "xhigh",
    }
}

/// `thinkingConfig` for a Gemini model.
pub(super) fn gemini(model: &str, level: Thinking) -> Option<Value> {
    let is_pro = model.contains("pro");
    if model.contains("gemini-3") {
        let level = match level {
            Off | Minimal if !is_pro => "minimal",
            Off | Minimal | Low => "low",
            // The first Gemini 3 Pro has no level between.
            Medium if !model.contains("gemini-3-pro") => "medium",
            Medium | High | Xhigh => "high",
        };
        return Some(json!({ "thinkingLevel": level }));
    }
    let tokens = match level {
        Off if is_pro => 128,
        level => budget(level),
    };
    model.contains("gemini-2.5").then(|| json!({ "thinkingBudget": tokens }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claudes_are_told_by_their_version() {
        let told = |model, level| {
            claude(model, level).into_iter().map(|(name, value)| format!("{name}={value} ")).collect::<String>()
        };
        assert_eq!(told("claude-3-5-haiku-20241022", High), "");
        assert_eq!(told("claude-sonnet-4-20250514", Low), r#"thinking={"budget_tokens":2048,"type":"enabled"} "#);
        assert_eq!(told("eu.anthropic.claude-haiku-4-5-20251001-v1:0", Off), r#"thinking={"type":"disabled"} "#);
        let adaptive = r#"thinking={"type":"adaptive"} output_config={"effort":"max"} "#;
        assert_eq!(told("claude-opus-4.6", Xhigh), adaptive);
        assert!(told("claude-opus-4-7", Xhigh).contains("xhigh") && told("claude-opus-5", Minimal).contains("low"));
        assert_eq!(claude_version("claude-3-7-sonnet-20250219"), Some((3, 7)));
        assert_eq!(claude_version("llama"), None);
    }

    #[test]
    fn levels_become_the_nearest_that_a_model_has() {
        let told = |model| [Off, Minimal, Medium, Xhigh].map(|level| openai(model, level).unwrap_or("–")).join(" ");
        assert_eq!(told("gpt-5"), "minimal minimal medium high");
        assert_eq!(told("gpt-5-mini-2025-08-07"), "minimal minimal medium high");
        assert_eq!(told("gpt-5.1"), "none low medium high");
        assert_eq!(told("gpt-5.4-mini"), "none low medium xhigh");
        assert_eq!(told("o3-mini"), "low low medium high");
        assert_eq!(told("openai/gpt-oss-120b"), "low low medium high");
        assert_eq!(told("gpt-4o"), "– – – –");
        let told =
            |model| [Off, Low, Medium].map(|level| gemini(model, level).unwrap_or_default().to_string()).join(" ");
        assert_eq!(told("gemini-2.5-flash"), r#"{"thinkingBudget":0} {"thinkingBudget":2048} {"thinkingBudget":8192}"#);
        assert!(told("gemini-2.5-pro").starts_with(r#"{"thinkingBudget":128}"#));
        assert!(told("gemini-3-pro-preview").ends_with(r#"{"thinkingLevel":"high"}"#));
        assert!(told("gemini-3-flash-preview").starts_with(r#"{"thinkingLevel":"minimal"}"#));
        assert_eq!(told("gemini-2.0-flash"), "null null null");
    }
}
