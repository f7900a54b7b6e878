//! Amazon's own way to authorize a request: a signature in place of a key.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use domain::Timestamp;
use url::Url;

use super::Failure;

/// What Amazon Bedrock is called with. It is used at the region's own address only: a request that it has signed could be
/// sent on by whoever receives it.
#[derive(Clone, Debug)]
pub struct AwsAccess {
    pub region: String,
    pub credentials: SharedCredentialsProvider,
    /// Replaces the region's own address, up to the path.
    pub endpoint: Option<String>,
}

impl AwsAccess {
    pub(super) fn base_url(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => format!("https://bedrock-runtime.{}.amazonaws.com", self.region),
        }
    }

    /// The headers that authorize a POST of `body`, sent now.
    pub(super) async fn sign(
        &self,
        url: &Url,
        content_type: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Vec<(String, String)>, Failure> {
        let failed = |what: &str, error: &dyn std::error::Error| Failure::retry(format!("{what}: {error}"));
        let credentials = self.credentials.provide_credentials().await;
        let credentials = credentials.map_err(|error| failed("there are no AWS credentials", &error))?;
        let identity = Identity::from(credentials);
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("bedrock")
            .time(SystemTime::UNIX_EPOCH + Duration::from_millis(now.as_millis()))
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| failed("the request cannot be signed", &error))?
            .into();
        let headers = std::iter::once(("content-type", content_type));
        let request = SignableRequest::new("POST", url.as_str(), headers, SignableBody::Bytes(body));
        let signed = request.and_then(|request| sign(request, &params));
        let (instructions, _) = signed.map_err(|error| failed("the request cannot be signed", &error))?.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}
