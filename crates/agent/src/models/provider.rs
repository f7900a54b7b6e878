//! Providers: what `provider/model` stands for, and where it is asked.
//!
//! | reference | base URL given | provider | model on the wire | asked at |
//! | --- | --- | --- | --- | --- |
//! | `openai/gpt-5.1` | no | `openai` | `gpt-5.1` | the provider's own URL |
//! | `openrouter/anthropic/claude-x` | no | `openrouter` | `anthropic/claude-x` | the provider's own URL |
//! | `openai/gpt-5.1` | yes | `openai` | `gpt-5.1` | the given URL |
//! | `custom/org/model` | yes | `custom` | `org/model` | the given URL |
//! | `custom/model` | no | – | – | refused: the provider is not known |
//! | `gpt-5.1` | either | `openai` | `gpt-5.1` | the given URL, or OpenAI's |
//!
//! So the first segment is always the provider and never part of the model's name.

use std::borrow::Cow;

use url::Url;

use super::{ModelError, Secret};
use crate::egress::Guard;

struct Provider {
    name: &'static str,
    /// Base URL of its OpenAI-compatible API.
    base_url: &'static str,
    needs_key: bool,
}

const fn hosted(name: &'static str, base_url: &'static str) -> Provider {
    Provider { name, base_url, needs_key: true }
}

const fn local(name: &'static str, base_url: &'static str) -> Provider {
    Provider { name, base_url, needs_key: false }
}

const PROVIDERS: [Provider; 15] = [
    hosted("openai", "https://api.openai.com/v1"),
    hosted("openrouter", "https://openrouter.ai/api/v1"),
    hosted("anthropic", "https://api.anthropic.com/v1"),
    hosted("google", "https://generativelanguage.googleapis.com/v1beta/openai"),
    hosted("cerebras", "https://api.cerebras.ai/v1"),
    hosted("deepseek", "https://api.deepseek.com/v1"),
    hosted("groq", "https://api.groq.com/openai/v1"),
    hosted("mistral", "https://api.mistral.ai/v1"),
    hosted("moonshot", "https://api.moonshot.ai/v1"),
    hosted("nvidia", "https://integrate.api.nvidia.com/v1"),
    hosted("together", "https://api.together.xyz/v1"),
    hosted("xai", "https://api.x.ai/v1"),
    local("ollama", "http://127.0.0.1:11434/v1"),
    local("lmstudio", "http://127.0.0.1:1234/v1"),
    local("vllm", "http://127.0.0.1:8000/v1"),
];

const BAD_SETTING: &str =
    "I can't reach my language model: its settings are not right. My owner has to check the model's name and address.";
const NO_KEY: &str = "I can't reach my language model: it has no key yet. My owner has to set one.";

/// A model and where it is asked.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) provider: &'a str,
    /// The model's name on the wire.
    pub(super) model: &'a str,
    base_url: Url,
    needs_key: bool,
}

impl<'a> Target<'a> {
    /// Reads a bot's settings.
    pub(super) fn of(reference: &'a str, base_url: Option<&str>) -> Result<Target<'a>, ModelError> {
        let (provider, model) = reference.split_once('/').unwrap_or(("openai", reference));
        if provider.is_empty() || model.is_empty() {
            let detail = format!("`{reference}` is not of the form provider/model, such as openai/gpt-5.1");
            return Err(ModelError::permanent(detail, BAD_SETTING));
        }
        let known = PROVIDERS.iter().find(|known| known.name == provider);
        let (base, needs_key) = match (base_url, known) {
            (Some(base), _) => (Cow::Borrowed(base), false),
            (None, Some(known)) => (Cow::Borrowed(known.base_url), known.needs_key),
            (None, None) => {
                let names: Vec<&str> = PROVIDERS.iter().map(|known| known.name).collect();
                let detail = format!(
                    "the provider `{provider}` is not known (there are: {}); for another one set a base URL",
                    names.join(", ")
                );
                return Err(ModelError::permanent(detail, BAD_SETTING));
            }
        };
        let Ok(base_url) = Url::parse(&base) else {
            return Err(ModelError::permanent("the model's base URL is not a URL", BAD_SETTING));
        };
        Ok(Target { provider, model, base_url, needs_key })
    }

    /// Finds what would make every call fail.
    pub(super) fn check(&self, guard: Option<&Guard>, key: Option<&Secret>) -> Result<(), ModelError> {
        if self.needs_key && key.is_none() {
            return Err(ModelError::permanent(format!("no API key is set for {}", self.provider), NO_KEY));
        }
        match guard.map(|guard| guard.check_url(&self.base_url)) {
            Some(Err(refused)) => Err(ModelError::permanent(format!("the model's base URL: {refused}"), BAD_SETTING)),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// `provider/model`.
    pub(super) fn reference(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }

    /// The URL of one of the API's methods: `path` below the base URL, whose query stays.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base_url.clone();
        url.set_path(&format!("{}/{path}", self.base_url.path().trim_end_matches('/')));
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_documented() {
        let cases = [
            ("openai/gpt-5.1", None, "gpt-5.1 https://api.openai.com/v1/chat/completions"),
            ("openrouter/anthropic/claude-x", None, "anthropic/claude-x https://openrouter.ai/api/v1/chat/completions"),
            ("ollama/llama3.2", None, "llama3.2 http://127.0.0.1:11434/v1/chat/completions"),
            ("openai/gpt-5.1", Some("https://proxy.example/v1/"), "gpt-5.1 https://proxy.example/v1/chat/completions"),
            ("custom/org/m", Some("https://a.example?v=1"), "org/m https://a.example/chat/completions?v=1"),
            ("gpt-5.1", None, "gpt-5.1 https://api.openai.com/v1/chat/completions"),
        ];
        for (reference, base_url, expected) in cases {
            let target = Target::of(reference, base_url).unwrap();
            assert_eq!(format!("{} {}", target.model, target.url("chat/completions")), expected);
        }
    }

    #[test]
    fn bad_settings_are_refused_before_any_call() {
        let detail = |reference, base_url| match Target::of(reference, base_url) {
            Ok(target) => target.check(Some(&Guard::default()), None).unwrap_err().detail().to_owned(),
            Err(error) => error.detail().to_owned(),
        };
        assert!(detail("custom/m", None).starts_with("the provider `custom` is not known"));
        assert!(detail("openai/", None).contains("not of the form"));
        assert_eq!(detail("openai/m", Some("nonsense")), "the model's base URL is not a URL");
        assert_eq!(detail("openai/m", None), "no API key is set for openai");
        assert_eq!(detail("ollama/m", None), "the model's base URL: `127.0.0.1` is not a public address");
        assert!(detail("custom/m", Some("https://me:pw@h.example/v1")).contains("user name or password"));
        assert!(detail("custom/m", Some("file:///etc/passwd")).contains("not `file:`"));
    }
}
