//! What a worker gets: the SDK's clients over a network, and the environment of its handlers.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::config::{SharedCredentialsProvider, StalledStreamProtectionConfig};
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use queues::definition::QUEUES;
use queues::{QueueUrls, Queues};
use runtime::{AwsClients, Clock, Entropy, Environment, Settings};
use serde_json::json;
use store::{Keyring, Store};

use super::connector::{SimulatedHttp, SimulatedTime};
use super::{Cloud, Network, sqs};

const TABLE: &str = "lowtide";
const BUCKET: &str = "lowtide-state";

impl Cloud {
    /// The SDK's clients in a process of its own, which reaches the services over this network. They try again as those
    /// of the product do; only they do not sign, which is a fifth of what a call costs here. The KMS client is there for the sake of the type, and nothing answers it.
    pub fn clients(&self, network: Arc<dyn Network>) -> AwsClients {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("sim", "sim", None, None, "sim")))
            .auth_scheme_preference([AuthSchemeId::from("no_auth")])
            .retry_config(RetryConfig::standard())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .time_source(SimulatedTime(self.started))
            .http_client(SimulatedHttp::new(self.clone(), network))
            .build();
        // The SDK's budget for repetitions belongs to the process. Here each set of clients is one.
        let budget = |name: &'static str| RetryPartition::custom(name).build();
        let dynamo = aws_sdk_dynamodb::config::Builder::from(&config)
            .endpoint_url("http://dynamodb.sim")
            .allow_no_auth()
            .retry_partition(budget("dynamodb"));
        let s3 = aws_sdk_s3::config::Builder::from(&config)
            .endpoint_url("http://s3.sim")
            .force_path_style(true)
            .allow_no_auth()
            .retry_partition(budget("s3"));
        let sqs = aws_sdk_sqs::config::Builder::from(&config)
            .endpoint_url(sqs::ENDPOINT)
            .allow_no_auth()
            .retry_partition(budget("sqs"));
        AwsClients {
            dynamo: aws_sdk_dynamodb::Client::from_conf(dynamo.build()),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            kms: aws_sdk_kms::Client::new(&config),
        }
    }

    /// The environment of the handlers of one process: clients over this network, secrets under a local key. The table,
    /// the bucket and the queues are made, if they are missing.
    pub fn environment(&self, network: Arc<dyn Network>, clock: Clock, entropy: Entropy) -> Environment {
        self.create_missing();
        let aws = self.clients(network);
        let keyring = Keyring::local([7; 32]).expect("a key of 32 bytes");
        let queues = QueueUrls {
            turns: sqs::url("turns.fifo"),
            outbound: sqs::url("outbound.fifo"),
            jobs: sqs::url("jobs"),
            turns_dlq: sqs::url("turns-dlq.fifo"),
            outbound_dlq: sqs::url("outbound-dlq.fifo"),
        };
        let settings = Settings {
            table: TABLE.to_owned(),
            bucket: BUCKET.to_owned(),
            queues: queues.clone(),
            telegram_api_base: runtime::TELEGRAM_API_BASE.to_owned(),
            discord_api_base: runtime::DISCORD_API_BASE.to_owned(),
            model_timeout: Duration::from_secs(120),
            ..Settings::default()
        };
        Environment {
            store: Store::new(aws.dynamo, aws.s3, TABLE.to_owned(), BUCKET.to_owned(), keyring),
            queues: Queues::new(aws.sqs, queues),
            clock,
            entropy,
            settings,
            http: http(),
            bedrock: None,
        }
    }

    /// What `template.yaml` makes, without a request.
    fn create_missing(&self) {
        let state = &mut *self.state();
        // The errors only say that they exist already.
        let _ = state.dynamo.create(TABLE);
        let _ = state.s3.create(BUCKET);
        for definition in QUEUES {
            let mut attributes = BTreeMap::from([
                ("VisibilityTimeout".to_owned(), definition.visibility_secs.to_string()),
                ("MessageRetentionPeriod".to_owned(), definition.retention_secs.to_string()),
            ]);
            if definition.is_fifo() {
                attributes.insert("FifoQueue".to_owned(), "true".to_owned());
                attributes.insert("ContentBasedDeduplication".to_owned(), "false".to_owned());
            }
            if let Some((target, receives)) = definition.redrive {
                let policy =
                    json!({ "deadLetterTargetArn": sqs::arn(target), "maxReceiveCount": receives.to_string() });
                attributes.insert("RedrivePolicy".to_owned(), policy.to_string());
            }
            state.sqs.create(definition.name, attributes).expect("a queue as the product defines it");
        }
    }
}

/// One for the whole process: it is expensive to build.
fn http() -> reqwest::Client {
    static HTTP: OnceLock<reqwest::Client> = OnceLock::new();
    let build = || {
        runtime::install_crypto();
        runtime::http_client().expect("an HTTP client")
    };
    HTTP.get_or_init(build).clone()
}
