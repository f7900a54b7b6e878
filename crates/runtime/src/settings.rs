//! Settings of a deployment, from environment variables.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use queues::QueueUrls;

/// What a deployment sets. Every field names its variable.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `LOWTIDE_TABLE`
    pub table: String,
    /// `LOWTIDE_BUCKET`
    pub bucket: String,
    /// `LOWTIDE_TURNS_QUEUE_URL`, `LOWTIDE_OUTBOUND_QUEUE_URL`, `LOWTIDE_TURNS_DLQ_URL`, `LOWTIDE_OUTBOUND_DLQ_URL`
    pub queues: QueueUrls,
    /// `LOWTIDE_KMS_KEY`
    pub kms_key: String,
    /// `LOWTIDE_PUBLIC_URL`: where channels reach the webhooks, without a trailing slash. `None`: they cannot.
    pub public_url: Option<String>,
    /// `LOWTIDE_TELEGRAM_API_BASE`
    pub telegram_api_base: String,
    /// `LOWTIDE_FETCH_ALLOW`: `host:port` pairs, separated by commas, that the web fetch tool may reach
    /// although their address is private.
    pub fetch_allow: Vec<String>,
    /// `LOWTIDE_PRIVATE_MODELS=1`: a bot's model may be on a private address.
    pub private_models: bool,
    /// `LOWTIDE_BEDROCK=1`: every bot may use Amazon Bedrock with the turn function's role, at the deployment's expense.
    /// Without it only bots with a Bedrock API key of their own can. Not for `lowtide dev`, which has no role.
    pub bedrock: bool,
    /// `LOWTIDE_MODEL_TIMEOUT_SECS`: how long one step waits for its model, repetitions included.
    pub model_timeout: Duration,
    /// `LOWTIDE_SKILLS_DIR`: the skills that every bot has, a folder each. `None`: those in the binary.
    pub skills_dir: Option<PathBuf>,
}

/// A turn function lives for 180 s: a step that waits this long for its model still leaves time to commit.
const MODEL_TIMEOUT: Duration = Duration::from_secs(120);

/// Where Telegram's Bot API is.
pub const TELEGRAM_API_BASE: &str = "https://api.telegram.org";

/// A variable that is missing.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {0} is not set; template.yaml sets it for every function")]
pub struct SettingsError(&'static str);

impl Settings {
    pub fn from_env() -> Result<Settings, SettingsError> {
        Ok(Settings {
            table: required("LOWTIDE_TABLE")?,
            bucket: required("LOWTIDE_BUCKET")?,
            queues: QueueUrls {
                turns: required("LOWTIDE_TURNS_QUEUE_URL")?,
                outbound: required("LOWTIDE_OUTBOUND_QUEUE_URL")?,
                turns_dlq: required("LOWTIDE_TURNS_DLQ_URL")?,
                outbound_dlq: required("LOWTIDE_OUTBOUND_DLQ_URL")?,
            },
            kms_key: required("LOWTIDE_KMS_KEY")?,
            ..Settings::optional_from_env()
        })
    }

    /// Only what has a default: for the local mode, which makes the rest itself.
    pub fn optional_from_env() -> Settings {
        Settings {
            public_url: optional("LOWTIDE_PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            telegram_api_base: optional("LOWTIDE_TELEGRAM_API_BASE").unwrap_or_else(|| TELEGRAM_API_BASE.to_owned()),
            fetch_allow: optional("LOWTIDE_FETCH_ALLOW")
                .map(|list| list.split(',').map(|pair| pair.trim().to_owned()).collect())
                .unwrap_or_default(),
            private_models: optional("LOWTIDE_PRIVATE_MODELS").is_some_and(|value| value == "1"),
            bedrock: optional("LOWTIDE_BEDROCK").is_some_and(|value| value == "1"),
            model_timeout: optional("LOWTIDE_MODEL_TIMEOUT_SECS")
                .and_then(|secs| secs.parse().ok())
                .map_or(MODEL_TIMEOUT, Duration::from_secs),
            skills_dir: optional("LOWTIDE_SKILLS_DIR").map(PathBuf::from),
            ..Settings::default()
        }
    }
}

fn optional(name: &'static str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn required(name: &'static str) -> Result<String, SettingsError> {
    optional(name).ok_or(SettingsError(name))
}
