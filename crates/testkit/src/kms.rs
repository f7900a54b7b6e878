//! KMS: data keys that open only under the encryption context that they were made for.
//!
//! <https://docs.aws.amazon.com/kms/latest/APIReference/> (JSON 1.1, one path, the operation in a header)

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_kms::Client;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use runtime::{AwsClients, Entropy, LocalEndpoints};
use serde_json::{Value, json};

use crate::lock;
use crate::loopback::Loopback;

/// The one key that there is.
pub const KEY_ARN: &str = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-00000000000a";

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// KMS's name of an error, and what it says.
struct Refusal(&'static str, &'static str);

/// A data key and the context that it was made for.
struct DataKey {
    plaintext: [u8; 32],
    context: Value,
}

/// Data keys by what stands for their ciphertext.
type Shared = Arc<Mutex<HashMap<String, DataKey>>>;

/// A server of KMS with the key [`KEY_ARN`].
pub struct FakeKms {
    server: Loopback,
}

impl FakeKms {
    pub fn start() -> FakeKms {
        let router = Router::new().route("/", post(call)).with_state(Shared::default());
        FakeKms { server: Loopback::serve(router) }
    }

    /// What `AWS_ENDPOINT_URL_KMS` is set to.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        let nowhere = || "http://127.0.0.1:9".to_owned();
        let aws = AwsClients::local(&LocalEndpoints { dynamodb: nowhere(), s3: nowhere(), sqs: nowhere() });
        Client::from_conf(aws.kms.config().to_builder().endpoint_url(self.url()).build())
    }
}

async fn call(State(keys): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text(header::CONTENT_TYPE.as_str()) != CONTENT_TYPE || !text("authorization").contains("/kms/") {
        return error("MissingAuthenticationTokenException", "the request is not signed for KMS");
    }
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return error("SerializationException", "the body is not JSON");
    };
    if request["KeyId"] != KEY_ARN {
        return error("NotFoundException", "there is no such key");
    }
    let answer = match text("x-amz-target") {
        "TrentService.GenerateDataKey" => generate_data_key(&keys, &request),
        "TrentService.Decrypt" => decrypt(&keys, &request),
        _ => Err(Refusal("UnknownOperationException", "there is no such operation")),
    };
    match answer {
        Ok(answer) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], answer.to_string()).into_response(),
        Err(Refusal(kind, message)) => error(kind, message),
    }
}

fn generate_data_key(keys: &Shared, request: &Value) -> Result<Value, Refusal> {
    if request["KeySpec"] != "AES_256" {
        return Err(Refusal("ValidationException", "only AES_256 is made here"));
    }
    let entropy = Entropy::system();
    let halves = [entropy.next_u128().to_be_bytes(), entropy.next_u128().to_be_bytes()];
    let mut plaintext = [0; 32];
    plaintext.copy_from_slice(halves.as_flattened());
    let ciphertext = BASE64.encode(entropy.secret("data key "));
    let key = DataKey { plaintext, context: context(request)? };
    lock(keys).insert(ciphertext.clone(), key);
    Ok(json!({ "KeyId": KEY_ARN, "Plaintext": BASE64.encode(plaintext), "CiphertextBlob": ciphertext }))
}

fn decrypt(keys: &Shared, request: &Value) -> Result<Value, Refusal> {
    let context = context(request)?;
    let keys = lock(keys);
    let key = keys.get(request["CiphertextBlob"].as_str().unwrap_or_default()).filter(|key| key.context == context);
    let key = key.ok_or(Refusal("InvalidCiphertextException", ""))?;
    let plaintext = BASE64.encode(key.plaintext);
    Ok(json!({ "KeyId": KEY_ARN, "Plaintext": plaintext, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" }))
}

/// KMS itself takes requests without a context; here a secret without one is a mistake.
fn context(request: &Value) -> Result<Value, Refusal> {
    let context = &request["EncryptionContext"];
    let is_whole = context.as_object().is_some_and(|pairs| !pairs.is_empty() && pairs.values().all(Value::is_string));
    if is_whole { Ok(context.clone()) } else { Err(Refusal("ValidationException", "there is no encryption context")) }
}

fn error(kind: &str, message: &str) -> Response {
    let body = json!({ "__type": kind, "message": message }).to_string();
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response()
}
