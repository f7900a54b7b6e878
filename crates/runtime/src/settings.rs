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
    /// `LOWTIDE_TURNS_QUEUE_URL`, `LOWTIDE_OUTBOUND_QUEUE_URL`, `LOWTIDE_JOBS_QUEUE_URL`, `LOWTIDE_TURNS_DLQ_URL`,
    /// `LOWTIDE_OUTBOUND_DLQ_URL`
    pub queues: QueueUrls,
    /// `LOWTIDE_KMS_KEY`
    pub kms_key: String,
    /// `LOWTIDE_PUBLIC_URL`: where channels reach the webhooks, without a trailing slash. `None`: they cannot.
    pub public_url: Option<String>,
    /// `LOWTIDE_TELEGRAM_API_BASE`
    pub telegram_api_base: String,
    /// `LOWTIDE_DISCORD_API_BASE`
    pub discord_api_base: String,
    /// `LOWTIDE_SLACK_API_BASE`
    pub slack_api_base: String,
    /// `LOWTIDE_WHATSAPP_API_BASE`
    pub whatsapp_api_base: String,
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
    /// `LOWTIDE_REQUESTS_PER_MINUTE`: how often a key or a person may call the API. `None`: 6,000 times.
    pub requests_per_minute: Option<u32>,
    /// The identity provider through which people sign in. `None`: they use one-time links and API keys.
    pub openid: Option<OpenIdSettings>,
    /// `LOWTIDE_SKILLS_DIR`: the skills that every bot has, a folder each. `None`: those in the binary.
    pub skills_dir: Option<PathBuf>,
    /// The program that reads PDFs if it is started with `read-pdf`, as each binary that runs turns does. `None`: this one.
    pub pdf_reader: Option<PathBuf>,
}

/// An `OpenID` Connect provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIdSettings {
    /// `LOWTIDE_OPENID_ISSUER`: its URL, as it calls itself.
    pub issuer: String,
    /// `LOWTIDE_OPENID_CLIENT_ID`
    pub client_id: String,
    /// `LOWTIDE_OPENID_CLIENT_SECRET`. `None`: it knows this deployment as a public client.
    pub client_secret: Option<String>,
    /// `LOWTIDE_OPENID_NAME`: what people call it.
    pub name: String,
    /// `LOWTIDE_SIGN_UP=open`: whoever signs in and was not invited gets an account of their own.
    pub open_sign_up: bool,
}

impl OpenIdSettings {
    fn optional_from(variable: &Variables<'_>) -> Option<OpenIdSettings> {
        let optional = |name| optional(variable, name);
        Some(OpenIdSettings {
            issuer: optional("LOWTIDE_OPENID_ISSUER")?,
            client_id: optional("LOWTIDE_OPENID_CLIENT_ID")?,
            client_secret: optional("LOWTIDE_OPENID_CLIENT_SECRET"),
            name: optional("LOWTIDE_OPENID_NAME").unwrap_or_else(|| "your organisation".to_owned()),
            open_sign_up: optional("LOWTIDE_SIGN_UP").is_some_and(|value| value == "open"),
        })
    }
}

/// A turn function lives for 180 s: a step that waits this long for its model still leaves time to commit.
const MODEL_TIMEOUT: Duration = Duration::from_secs(120);

/// Where Telegram's Bot API is.
pub const TELEGRAM_API_BASE: &str = "https://api.telegram.org";

/// Where Discord's API is.
pub const DISCORD_API_BASE: &str = "https://discord.com";

/// A variable that is missing.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {0} is not set; template.yaml sets it for every function and the holder")]
pub struct SettingsError(&'static str);

/// Where settings are read from: the value of a variable, if it is set.
type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

impl Settings {
    /// What this process's environment sets.
    pub fn from_env() -> Result<Settings, SettingsError> {
        Settings::from_variables(&|name| env::var(name).ok())
    }

    /// What an environment sets, by its variables.
    pub fn from_variables(variable: &Variables<'_>) -> Result<Settings, SettingsError> {
        let required = |name| optional(variable, name).ok_or(SettingsError(name));
        Ok(Settings {
            table: required("LOWTIDE_TABLE")?,
            bucket: required("LOWTIDE_BUCKET")?,
            queues: QueueUrls {
                turns: required("LOWTIDE_TURNS_QUEUE_URL")?,
                outbound: required("LOWTIDE_OUTBOUND_QUEUE_URL")?,
                jobs: required("LOWTIDE_JOBS_QUEUE_URL")?,
                turns_dlq: required("LOWTIDE_TURNS_DLQ_URL")?,
                outbound_dlq: required("LOWTIDE_OUTBOUND_DLQ_URL")?,
            },
            kms_key: required("LOWTIDE_KMS_KEY")?,
            ..Settings::optional_from(variable)
        })
    }

    /// Only what has a default: for the local mode, which makes the rest itself.
    pub fn optional_from_env() -> Settings {
        Settings::optional_from(&|name| env::var(name).ok())
    }

    fn optional_from(variable: &Variables<'_>) -> Settings {
        let optional = |name| optional(variable, name);
        Settings {
            public_url: optional("LOWTIDE_PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            telegram_api_base: optional("LOWTIDE_TELEGRAM_API_BASE").unwrap_or_else(|| TELEGRAM_API_BASE.to_owned()),
            discord_api_base: optional("LOWTIDE_DISCORD_API_BASE").unwrap_or_else(|| DISCORD_API_BASE.to_owned()),
            slack_api_base: optional("LOWTIDE_SLACK_API_BASE").unwrap_or_else(|| "https://slack.com".to_owned()),
            whatsapp_api_base: optional("LOWTIDE_WHATSAPP_API_BASE")
                .unwrap_or_else(|| "https://graph.facebook.com".to_owned()),
            fetch_allow: optional("LOWTIDE_FETCH_ALLOW")
                .map(|list| list.split(',').map(|pair| pair.trim().to_owned()).collect())
                .unwrap_or_default(),
            private_models: optional("LOWTIDE_PRIVATE_MODELS").is_some_and(|value| value == "1"),
            bedrock: optional("LOWTIDE_BEDROCK").is_some_and(|value| value == "1"),
            model_timeout: optional("LOWTIDE_MODEL_TIMEOUT_SECS")
                .and_then(|secs| secs.parse().ok())
                .map_or(MODEL_TIMEOUT, Duration::from_secs),
            requests_per_minute: optional("LOWTIDE_REQUESTS_PER_MINUTE").and_then(|number| number.parse().ok()),
            openid: OpenIdSettings::optional_from(variable),
            skills_dir: optional("LOWTIDE_SKILLS_DIR").map(PathBuf::from),
            ..Settings::default()
        }
    }
}

fn optional(variable: &Variables<'_>, name: &str) -> Option<String> {
    variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}
