//! A state directory with the services running over it, and SDK clients for them.

use std::path::Path;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls;
use embedded::{Embedded, Endpoints};
use tempfile::TempDir;

pub(crate) struct Services {
    pub(crate) embedded: Embedded,
    pub(crate) clients: Clients,
    pub(crate) dir: TempDir,
}

pub(crate) struct Clients {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
}

impl Services {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (embedded, clients) = open(dir.path()).await;
        Self { embedded, clients, dir }
    }

    /// Shuts the services down and opens them again over the same directory.
    pub(crate) async fn restart(self) -> Self {
        self.embedded.shutdown().await.unwrap();
        let (embedded, clients) = open(self.dir.path()).await;
        Self { embedded, clients, dir: self.dir }
    }
}

pub(crate) async fn open(dir: &Path) -> (Embedded, Clients) {
    let embedded = Embedded::start(dir).await.unwrap();
    let clients = Clients::new(embedded.endpoints());
    (embedded, clients)
}

impl Clients {
    pub(crate) fn new(endpoints: &Endpoints) -> Self {
        let credentials = aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "test");
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(aws_sdk_sqs::config::SharedCredentialsProvider::new(credentials))
            .sleep_impl(aws_sdk_sqs::config::SharedAsyncSleep::new(Sleep))
            .http_client(http)
            .build();
        let at = |url: &str| shared.clone().into_builder().endpoint_url(url).build();
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(&at(&endpoints.dynamodb)),
            s3: aws_sdk_s3::Client::from_conf(
                aws_sdk_s3::config::Builder::from(&at(&endpoints.s3)).force_path_style(true).build(),
            ),
            sqs: aws_sdk_sqs::Client::new(&at(&endpoints.sqs)),
        }
    }
}

#[derive(Debug)]
struct Sleep;

impl aws_sdk_sqs::config::AsyncSleep for Sleep {
    fn sleep(&self, duration: std::time::Duration) -> aws_sdk_sqs::config::Sleep {
        aws_sdk_sqs::config::Sleep::new(tokio::time::sleep(duration))
    }
}
