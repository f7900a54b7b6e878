//! What every binary does first: telemetry, settings from the environment, clients, clock.

mod clients;
mod clock;
mod door;
mod jobs;
mod settings;
mod telemetry;

pub use aws_config::SdkConfig;
pub use clients::{AwsClients, LocalEndpoints, http_client, install_crypto};
pub use clock::{Clock, Entropy};
pub use door::DoorError;
pub use jobs::{HORIZON, JobError, fire, fires};
pub use settings::{DISCORD_API_BASE, OpenIdSettings, Settings, SettingsError, TELEGRAM_API_BASE};
pub use telemetry::{LogFormat, init_telemetry};

use queues::Queues;
use store::{Keyring, Store};

/// What the handlers work with. Built once per process, before the first event. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    pub store: Store,
    pub queues: Queues,
    pub clock: Clock,
    pub entropy: Entropy,
    pub settings: Settings,
    /// For calls to channels. Calls to addresses that a user or a model names go through `agent`.
    pub http: reqwest::Client,
    /// The function's role, where bots may use Amazon Bedrock with it ([`Settings::bedrock`]).
    pub bedrock: Option<SdkConfig>,
}

impl Environment {
    /// The environment of a Lambda function: settings from its variables, AWS from its role.
    pub async fn from_lambda() -> anyhow::Result<Environment> {
        init_telemetry(LogFormat::Json);
        install_crypto();
        let settings = Settings::from_env()?;
        let role = clients::role().await;
        let aws = AwsClients::of(&role);
        let keyring = Keyring::kms(aws.kms, settings.kms_key.clone());
        let store = Store::new(aws.dynamo, aws.s3, settings.table.clone(), settings.bucket.clone(), keyring);
        Ok(Environment {
            store,
            bedrock: settings.bedrock.then_some(role),
            queues: Queues::new(aws.sqs, settings.queues.clone()),
            clock: Clock::system(),
            entropy: Entropy::system(),
            settings,
            http: http_client()?,
        })
    }
}
