//! Providers: what `provider/model` stands for, where it is asked, and in which protocol.
//!
//! | reference | base URL given | provider | model on the wire | asked at | protocol |
//! | --- | --- | --- | --- | --- | --- |
//! | `openai/gpt-5.1` | no | `openai` | `gpt-5.1` | the provider's own URL | `openai-responses` |
//! | `anthropic/claude-x` | either | `anthropic` | `claude-x` | the given URL, or the provider's own | `anthropic-messages` |
//! | `google/gemini-x` | either | `google` | `gemini-x` | the given URL, or the provider's own | `google-generative-ai` |
//! | `amazon-bedrock/us.x.y-v1:0`, `bedrock/…` | either | `amazon-bedrock` | `us.x.y-v1:0` | the given URL, or the deployment's region | `bedrock-converse-stream` |
//! | `openrouter/anthropic/claude-x` | no | `openrouter` | `anthropic/claude-x` | the provider's own URL | `openai-completions` |
//! | `openai/gpt-5.1` | yes | `openai` | `gpt-5.1` | the given URL | `openai-completions`: few others speak Responses |
//! | `custom/org/model` | yes | `custom` | `org/model` | the given URL | `openai-completions` |
//! | `custom/model` | no | – | – | refused: the provider is not known | |
//! | `gpt-5.1` | either | `openai` | `gpt-5.1` | as `openai/gpt-5.1` | |
//!
//! A protocol that the bot's settings name goes first.
//!
//! So the first segment is always the provider and never part of the model's name.

use std::hash::{DefaultHasher, Hash, Hasher};

use domain::account::ModelApi;
use domain::account::ModelApi::{
    AnthropicMessages, BedrockConverseStream, GoogleGenerativeAi, OpenaiCompletions, OpenaiResponses,
};
use serde_json::Value;
use url::Url;

use super::{AwsAccess, ModelError, Secret, wire};
use crate::BotView;
use egress::Guard;

struct Provider {
    name: &'static str,
    api: ModelApi,
    /// `None`: it depends on the region.
    base_url: Option<&'static str>,
    needs_key: bool,
}

const fn hosted(name: &'static str, base_url: &'static str) -> Provider {
    speaks(name, OpenaiCompletions, base_url)
}

const fn speaks(name: &'static str, api: ModelApi, base_url: &'static str) -> Provider {
    Provider { name, api, base_url: Some(base_url), needs_key: true }
}

const fn local(name: &'static str, base_url: &'static str) -> Provider {
    Provider { name, api: OpenaiCompletions, base_url: Some(base_url), needs_key: false }
}

const fn bedrock(name: &'static str) -> Provider {
    Provider { name, api: BedrockConverseStream, base_url: None, needs_key: false }
}

const OPENAI: &str = "openai";
const OPENAI_HOST: &str = "api.openai.com";

const PROVIDERS: [Provider; 17] = [
    speaks(OPENAI, OpenaiResponses, "https://api.openai.com/v1"),
    speaks("anthropic", AnthropicMessages, "https://api.anthropic.com/v1"),
    speaks("google", GoogleGenerativeAi, "https://generativelanguage.googleapis.com/v1beta"),
    bedrock("amazon-bedrock"),
    bedrock("bedrock"),
    hosted("openrouter", "https://openrouter.ai/api/v1"),
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

const NO_AWS: &str = "this deployment does not let bots use Amazon Bedrock with its role (LOWTIDE_BEDROCK=1 does); \
    set a Bedrock API key, and the base URL https://bedrock-runtime.REGION.amazonaws.com";
const NOT_SIGNED: &str = "the deployment's role is used at AWS's own address only; \
    remove the base URL, or set a Bedrock API key";

/// The provider that a reference names.
pub(super) fn name_of(reference: &str) -> &str {
    reference.split_once('/').map_or(OPENAI, |(provider, _)| provider)
}

/// A model and where it is asked.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) provider: &'a str,
    /// The model's name on the wire.
    pub(super) model: &'a str,
    pub(super) api: ModelApi,
    base_url: Url,
    needs_key: bool,
    /// Whether the deployment's role may be used there.
    is_aws: bool,
}

impl<'a> Target<'a> {
    /// Reads a bot's settings.
    pub(super) fn of(reference: &'a str, bot: &BotView<'_>, aws: Option<&AwsAccess>) -> Result<Target<'a>, ModelError> {
        let bad = |detail: String| ModelError::permanent(detail, BAD_SETTING);
        let (provider, model) = reference.split_once('/').unwrap_or((OPENAI, reference));
        if provider.is_empty() || model.is_empty() {
            return Err(bad(format!("`{reference}` is not of the form provider/model, such as openai/gpt-5.1")));
        }
        let known = PROVIDERS.iter().find(|known| known.name == provider);
        let own_api = known.map_or(OpenaiCompletions, |known| known.api);
        let (base, needs_key, usual_api) = match (bot.base_url, known) {
            (Some(base), _) if own_api == OpenaiResponses => (base.to_owned(), false, OpenaiCompletions),
            (Some(base), _) => (base.to_owned(), false, own_api),
            (None, Some(Provider { base_url: Some(base), needs_key, .. })) => ((*base).to_owned(), *needs_key, own_api),
            (None, Some(_)) => (aws.ok_or_else(|| bad(NO_AWS.to_owned()))?.base_url(), false, own_api),
            (None, None) => {
                let names: Vec<&str> = PROVIDERS.iter().map(|known| known.name).collect();
                return Err(bad(format!(
                    "the provider `{provider}` is not known (there are: {}); for another one set a base URL",
                    names.join(", ")
                )));
            }
        };
        let api = bot.api.unwrap_or(usual_api);
        let Ok(base_url) = Url::parse(&base) else {
            return Err(bad("the model's base URL is not a URL".to_owned()));
        };
        let is_aws = api == BedrockConverseStream && own_api == api && bot.base_url.is_none();
        Ok(Target { provider, model, api, base_url, needs_key, is_aws })
    }

    /// Finds what would make every call fail.
    pub(super) fn check(&self, guard: Option<&Guard>, key: Option<&Secret>) -> Result<(), ModelError> {
        let has_key = key.is_some_and(|key| !key.is_empty());
        if self.needs_key && key.is_none() {
            return Err(ModelError::permanent(format!("no API key is set for {}", self.provider), NO_KEY));
        }
        if self.api == BedrockConverseStream && !has_key && !self.is_aws {
            return Err(ModelError::permanent(NOT_SIGNED, NO_KEY));
        }
        // The operator chose the address of their own AWS.
        match guard.filter(|_| !self.is_aws).map(|guard| guard.check_url(&self.base_url)) {
            Some(Err(refused)) => Err(ModelError::permanent(format!("the model's base URL: {refused}"), BAD_SETTING)),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Whether a request is signed with the deployment's role: only where nobody else could receive it.
    pub(super) fn is_signed(&self, key: Option<&Secret>) -> bool {
        self.is_aws && key.is_none_or(Secret::is_empty)
    }

    /// The name of its protocol, as answers in their own form are kept under it.
    pub(super) fn wire_name(&self) -> String {
        wire::name(self.api).to_owned()
    }

    /// How many tool calls are in an answer's own form; `None` where it has none of them.
    pub(super) fn native_calls(&self, content: &Value) -> Option<usize> {
        wire::native_calls(self.api, content)
    }

    /// Under which key OpenAI finds the beginning of a request in its cache: the same for all conversations of a bot.
    pub(super) fn cache_key(&self, system: &str) -> Option<String> {
        let mut hasher = DefaultHasher::new();
        system.hash(&mut hasher);
        (self.base_url.host_str() == Some(OPENAI_HOST)).then(|| format!("lowtide-{:016x}", hasher.finish()))
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

    fn bot<'a>(base_url: Option<&'a str>, api: Option<ModelApi>) -> BotView<'a> {
        BotView { base_url, api, ..BotView::default() }
    }

    fn aws() -> AwsAccess {
        let credentials = aws_credential_types::Credentials::new("AKID", "secret", None, None, "test");
        let credentials = aws_credential_types::provider::SharedCredentialsProvider::new(credentials);
        AwsAccess { region: "eu-central-1".into(), credentials, endpoint: None }
    }

    #[test]
    fn references_are_read_as_documented() {
        let own = "openai-responses gpt-5.1 https://api.openai.com/v1/x";
        let cases = [
            ("openai/gpt-5.1", None, None, own),
            ("gpt-5.1", None, None, own),
            ("openai/gpt-5.1", None, Some(OpenaiCompletions), "openai-completions gpt-5.1 https://api.openai.com/v1/x"),
            (
                "openrouter/anthropic/claude-x",
                None,
                None,
                "openai-completions anthropic/claude-x https://openrouter.ai/api/v1/x",
            ),
            ("ollama/llama3.2", None, None, "openai-completions llama3.2 http://127.0.0.1:11434/v1/x"),
            ("openai/m", Some("https://p.example/v1/"), None, "openai-completions m https://p.example/v1/x"),
            ("openai/m", Some("https://p.example"), Some(OpenaiResponses), "openai-responses m https://p.example/x"),
            ("custom/org/m", Some("https://a.example?v=1"), None, "openai-completions org/m https://a.example/x?v=1"),
            ("anthropic/c", None, None, "anthropic-messages c https://api.anthropic.com/v1/x"),
            ("anthropic/c", Some("https://p.example/v1"), None, "anthropic-messages c https://p.example/v1/x"),
            ("google/g", None, None, "google-generative-ai g https://generativelanguage.googleapis.com/v1beta/x"),
            (
                "bedrock/us.x.y-v1:0",
                None,
                None,
                "bedrock-converse-stream us.x.y-v1:0 https://bedrock-runtime.eu-central-1.amazonaws.com/x",
            ),
        ];
        for (reference, base_url, api, expected) in cases {
            let target = Target::of(reference, &bot(base_url, api), Some(&aws())).unwrap();
            assert_eq!(format!("{} {} {}", target.wire_name(), target.model, target.url("x")), expected);
        }
    }

    #[test]
    fn bad_settings_are_refused_before_any_call() {
        let detail = |reference, base_url| match Target::of(reference, &bot(base_url, None), None) {
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
        assert_eq!(detail("bedrock/m", None), NO_AWS);
    }

    #[test]
    fn the_role_signs_for_aws_alone() {
        let (aws, key) = (aws(), Secret::new("bedrock-api-key"));
        let signed = |reference, base_url, api, key: Option<&Secret>| {
            let target = Target::of(reference, &bot(base_url, api), Some(&aws)).unwrap();
            target.check(None, key).map(|()| target.is_signed(key))
        };
        assert_eq!(signed("amazon-bedrock/m", None, None, None), Ok(true));
        assert_eq!(signed("amazon-bedrock/m", None, None, Some(&key)), Ok(false));
        let theirs = Some("https://bedrock.attacker.example");
        assert_eq!(signed("amazon-bedrock/m", theirs, None, Some(&key)), Ok(false));
        assert_eq!(signed("amazon-bedrock/m", theirs, None, None).unwrap_err().detail(), NOT_SIGNED);
        assert_eq!(signed("x/m", theirs, Some(BedrockConverseStream), None).unwrap_err().detail(), NOT_SIGNED);
        assert_eq!(signed("openai/m", None, Some(BedrockConverseStream), Some(&key)), Ok(false));
    }
}
