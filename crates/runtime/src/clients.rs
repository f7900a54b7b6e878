//! Clients: built once per process, all over one TLS stack (rustls with ring).

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};

/// The clients of the AWS services that hold state.
#[derive(Clone)]
pub struct AwsClients {
    pub dynamo: aws_sdk_dynamodb::Client,
    pub s3: aws_sdk_s3::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub kms: aws_sdk_kms::Client,
}

/// The region and the credentials of the environment: a function's role.
pub(crate) async fn role() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest()).http_client(https()).load().await
}

/// Where stand-ins for the services listen.
#[derive(Clone, Debug)]
pub struct LocalEndpoints {
    pub dynamodb: String,
    pub s3: String,
    pub sqs: String,
}

impl AwsClients {
    /// Clients with a role's credentials. The SDK itself reads `AWS_ENDPOINT_URL_DYNAMODB` and its siblings.
    pub fn of(role: &SdkConfig) -> AwsClients {
        AwsClients {
            dynamo: aws_sdk_dynamodb::Client::new(role),
            s3: aws_sdk_s3::Client::new(role),
            sqs: aws_sdk_sqs::Client::new(role),
            kms: aws_sdk_kms::Client::new(role),
        }
    }

    /// Clients of stand-ins on this machine, which ask for no real credentials.
    pub fn local(endpoints: &LocalEndpoints) -> AwsClients {
        let credentials = Credentials::new("local", "local", None, None, "lowtide");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(https())
            .build();
        let dynamo = aws_sdk_dynamodb::config::Builder::from(&config).endpoint_url(&endpoints.dynamodb).build();
        let s3 = aws_sdk_s3::config::Builder::from(&config).endpoint_url(&endpoints.s3).force_path_style(true).build();
        let sqs = aws_sdk_sqs::config::Builder::from(&config).endpoint_url(&endpoints.sqs).build();
        AwsClients {
            dynamo: aws_sdk_dynamodb::Client::from_conf(dynamo),
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            kms: aws_sdk_kms::Client::new(&config),
        }
    }
}

fn https() -> aws_sdk_dynamodb::config::SharedHttpClient {
    Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// Makes ring the process's TLS provider. May be called more than once.
pub fn install_crypto() {
    // The error only says that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The HTTP client for channels. Needs [`install_crypto`].
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).timeout(Duration::from_secs(30)).build()
}
