//! Envelope encryption of credentials: a data key per secret, itself under KMS or, locally, a key file.
//!
//! A sealed secret reads `v1.<wrapped data key>.<nonce and ciphertext>`, both in base64. The context of a
//! secret (whose it is, and what for) is authenticated, so that a row copied to another bot does not open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use domain::{AccountId, BotId, LinkId, Sealed};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::error::{StoreError, unavailable};

const VERSION: &str = "v1";
const KEY_BYTES: usize = 32;

/// Unwrapped data keys that a process keeps at most, so that a busy bot costs no KMS call per turn.
const CACHED_KEYS: usize = 1000;

/// Whose secret it is, and what for.
#[derive(Clone, Copy, Debug)]
pub enum SecretContext<'a> {
    ModelKey {
        account: AccountId,
        bot: BotId,
    },
    LinkToken {
        account: AccountId,
        bot: BotId,
        link: LinkId,
    },
    /// What signs a link's webhooks. In the cloud the ingress function may open these and nothing else.
    Webhook {
        account: AccountId,
        bot: BotId,
        link: LinkId,
    },
    Bot {
        account: AccountId,
        bot: BotId,
        name: BotSecret<'a>,
    },
    /// What a request was answered, which may have been a secret.
    Answer {
        account: AccountId,
        /// The hash of the request.
        request: &'a str,
    },
}

/// A secret of a bot beside its model's key.
#[derive(Clone, Copy, Debug)]
pub enum BotSecret<'a> {
    /// The key of a model provider, by its name.
    Provider(&'a str),
    Search,
    Transcription,
    /// The token of an MCP server, by its name.
    Mcp(&'a str),
}

impl SecretContext<'_> {
    fn text(self) -> String {
        match self {
            SecretContext::ModelKey { account, bot } => format!("{account}|{bot}|model-key"),
            SecretContext::LinkToken { account, bot, link } => format!("{account}|{bot}|{link}|token"),
            SecretContext::Webhook { account, bot, link } => format!("{account}|{bot}|{link}|webhook"),
            SecretContext::Answer { account, request } => format!("{account}|answer|{request}"),
            SecretContext::Bot { account, bot, name: BotSecret::Provider(name) } => {
                format!("{account}|{bot}|provider|{name}")
            }
            SecretContext::Bot { account, bot, name: BotSecret::Search } => format!("{account}|{bot}|search"),
            SecretContext::Bot { account, bot, name: BotSecret::Transcription } => {
                format!("{account}|{bot}|transcription")
            }
            SecretContext::Bot { account, bot, name: BotSecret::Mcp(name) } => format!("{account}|{bot}|mcp|{name}"),
        }
    }
}

/// Seals and opens secrets.
#[derive(Clone)]
pub struct Keyring {
    root: Root,
    unwrapped: Arc<Mutex<HashMap<String, [u8; KEY_BYTES]>>>,
}

#[derive(Clone)]
enum Root {
    Kms { client: aws_sdk_kms::Client, key: String },
    Local(Arc<LessSafeKey>),
}

impl Keyring {
    /// Data keys come from the KMS key with this id or ARN.
    pub fn kms(client: aws_sdk_kms::Client, key: String) -> Keyring {
        Keyring { root: Root::Kms { client, key }, unwrapped: Arc::default() }
    }

    /// Data keys are wrapped by this 256-bit key.
    pub fn local(key: [u8; KEY_BYTES]) -> Result<Keyring, StoreError> {
        Ok(Keyring { root: Root::Local(Arc::new(aead_key(&key)?)), unwrapped: Arc::default() })
    }

    /// Encrypts a secret for storage.
    pub async fn seal(&self, context: SecretContext<'_>, secret: &str) -> Result<Sealed, StoreError> {
        let context = context.text();
        let (data_key, wrapped) = self.data_key(&context).await?;
        let sealed = encrypt(&aead_key(&data_key)?, context.as_bytes(), secret.as_bytes())?;
        Ok(Sealed(format!("{VERSION}.{}.{}", BASE64.encode(wrapped), BASE64.encode(sealed))))
    }

    /// Decrypts a stored secret. `Corrupt` if it was changed, or sealed in another context or under another root key.
    pub async fn open(&self, context: SecretContext<'_>, sealed: &Sealed) -> Result<String, StoreError> {
        let context = context.text();
        let mut parts = sealed.0.split('.');
        let (Some(VERSION), Some(wrapped), Some(body), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(corrupt("it is not in a form that this build reads"));
        };
        let body = BASE64.decode(body).map_err(|_| corrupt("it is not base64"))?;
        let data_key = self.unwrap_key(&context, wrapped).await?;
        let plain = decrypt(&aead_key(&data_key)?, context.as_bytes(), body)?;
        String::from_utf8(plain).map_err(|_| corrupt("it is not text"))
    }

    async fn data_key(&self, context: &str) -> Result<([u8; KEY_BYTES], Vec<u8>), StoreError> {
        match &self.root {
            Root::Local(root) => {
                let mut key = [0; KEY_BYTES];
                SystemRandom::new().fill(&mut key).map_err(|_| corrupt("the system has no randomness"))?;
                let wrapped = encrypt(root, context.as_bytes(), &key)?;
                Ok((key, wrapped))
            }
            Root::Kms { client, key } => {
                let request = client.generate_data_key().key_id(key).key_spec(DataKeySpec::Aes256);
                let output = request.encryption_context("lowtide", context).send().await;
                let output = output.map_err(|e| unavailable("make a data key", &e))?;
                let plain = output.plaintext().map(Blob::as_ref).unwrap_or_default();
                let plain = plain.try_into().map_err(|_| corrupt("KMS gave no 256-bit key"))?;
                Ok((plain, output.ciphertext_blob().map(Blob::as_ref).unwrap_or_default().to_vec()))
            }
        }
    }

    async fn unwrap_key(&self, context: &str, wrapped: &str) -> Result<[u8; KEY_BYTES], StoreError> {
        let cache_key = format!("{context}.{wrapped}");
        if let Some(key) = self.lock().get(&cache_key) {
            return Ok(*key);
        }
        let bytes = BASE64.decode(wrapped).map_err(|_| corrupt("it is not base64"))?;
        let plain = match &self.root {
            Root::Local(root) => decrypt(root, context.as_bytes(), bytes)?,
            Root::Kms { client, key } => {
                let request = client.decrypt().key_id(key).ciphertext_blob(Blob::new(bytes));
                let output = request.encryption_context("lowtide", context).send().await;
                let output = output.map_err(|e| match e.as_service_error() {
                    Some(service) if service.is_invalid_ciphertext_exception() => corrupt("KMS refuses it"),
                    _ => unavailable("open a data key", &e),
                })?;
                output.plaintext().map(|blob| blob.as_ref().to_vec()).unwrap_or_default()
            }
        };
        let key: [u8; KEY_BYTES] =
            plain.as_slice().try_into().map_err(|_| corrupt("its data key has a wrong length"))?;
        let mut cache = self.lock();
        if cache.len() >= CACHED_KEYS {
            cache.clear();
        }
        cache.insert(cache_key, key);
        Ok(key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, [u8; KEY_BYTES]>> {
        self.unwrapped.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn corrupt(why: &str) -> StoreError {
    StoreError::Corrupt(format!("a stored secret cannot be opened: {why}"))
}

fn aead_key(key: &[u8]) -> Result<LessSafeKey, StoreError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| corrupt("its key has a wrong length"))
}

/// Returns the nonce and the ciphertext. Each key encrypts few messages, so a random nonce does.
fn encrypt(key: &LessSafeKey, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(|_| corrupt("the system has no randomness"))?;
    let mut body = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut body)
        .map_err(|_| corrupt("it is too long"))?;
    Ok([nonce.as_slice(), &body].concat())
}

fn decrypt(key: &LessSafeKey, aad: &[u8], sealed: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    let Some((nonce, body)) = sealed.split_first_chunk::<NONCE_LEN>() else { return Err(corrupt("it is too short")) };
    let mut body = body.to_vec();
    let plain = key
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut body)
        .map_err(|_| corrupt("it was changed, or belongs to another bot, or the key file is another one"))?;
    Ok(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;

    fn context(bot: u128) -> SecretContext<'static> {
        let at = Timestamp::default();
        SecretContext::ModelKey { account: AccountId::from_parts(at, 1), bot: BotId::from_parts(at, bot) }
    }

    #[tokio::test]
    async fn a_secret_opens_only_where_it_was_sealed() {
        let keyring = Keyring::local([7; 32]).expect("a key of 32 bytes");
        let sealed = keyring.seal(context(1), "sk-secret").await.expect("it seals");
        assert!(!sealed.0.contains("secret"));
        assert_eq!(keyring.open(context(1), &sealed).await.expect("it opens"), "sk-secret");
        assert!(matches!(keyring.open(context(2), &sealed).await, Err(StoreError::Corrupt(_))));
        let other = Keyring::local([8; 32]).expect("a key of 32 bytes");
        assert!(matches!(other.open(context(1), &sealed).await, Err(StoreError::Corrupt(_))));
    }

    #[tokio::test]
    async fn a_changed_secret_does_not_open() {
        let keyring = Keyring::local([7; 32]).expect("a key of 32 bytes");
        let sealed = keyring.seal(context(1), "sk-secret").await.expect("it seals").0;
        for (at, _) in sealed.char_indices().step_by(7) {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = Sealed(String::from_utf8(changed).expect("ASCII"));
            assert!(keyring.open(context(1), &changed).await.is_err(), "byte {at}");
        }
    }
}
