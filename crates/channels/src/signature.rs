//! Signatures of webhooks: who sent a body, and that it is new.
//!
//! A signature covers the body as it was received, byte by byte: check it before the body is read.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::Timestamp;
use ring::hmac::{self, HMAC_SHA256};
use ring::signature::{ED25519, UnparsedPublicKey};

/// How far a sender's clock may be from ours; an older request may be a replay.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// Why a request is not let in. Answer it with 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    #[error("the header {0} is missing or malformed")]
    Header(&'static str),
    #[error("the request is older than five minutes, or from the future: check the sender's clock")]
    Time,
    #[error("the signature does not fit the body: check the signing secret")]
    Mismatch,
    #[error("the signing secret that is set is malformed; copy it again")]
    Secret,
}

/// Slack: `v0=` and the HMAC of `v0:<timestamp>:<body>`, in hex.
///
/// <https://docs.slack.dev/authentication/verifying-requests-from-slack>
pub fn slack(secret: &str, timestamp: &str, signature: &str, body: &[u8], now: Timestamp) -> Result<(), BadSignature> {
    const TIME: &str = "X-Slack-Request-Timestamp";
    check_time(timestamp, TIME, now)?;
    let given = signature.strip_prefix("v0=").and_then(|hex| hex::decode(hex).ok());
    let given = given.ok_or(BadSignature::Header("X-Slack-Signature"))?;
    let signed = [b"v0:", timestamp.as_bytes(), b":", body].concat();
    check_hmac(secret.as_bytes(), &signed, &given)
}

/// Discord: Ed25519 over the timestamp and the body. `public_key` is the application's, in hex.
///
/// <https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint-validating-security-request-headers>
pub fn discord(
    public_key: &str,
    timestamp: &str,
    signature: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<(), BadSignature> {
    check_time(timestamp, "X-Signature-Timestamp", now)?;
    let key = hex::decode(public_key).ok().filter(|key| key.len() == 32).ok_or(BadSignature::Secret)?;
    let given = hex::decode(signature).map_err(|_| BadSignature::Header("X-Signature-Ed25519"))?;
    let signed = [timestamp.as_bytes(), body].concat();
    UnparsedPublicKey::new(&ED25519, key).verify(&signed, &given).map_err(|_| BadSignature::Mismatch)
}

/// Meta (`WhatsApp`): `sha256=` and the HMAC of the body under the app's secret, in hex. It carries no time: what is
/// repeated is told by its message's id.
///
/// <https://developers.facebook.com/docs/graph-api/webhooks/getting-started#validate-payloads>
pub fn meta(secret: &str, signature: &str, body: &[u8]) -> Result<(), BadSignature> {
    let given = signature.strip_prefix("sha256=").and_then(|hex| hex::decode(hex).ok());
    let given = given.ok_or(BadSignature::Header("X-Hub-Signature-256"))?;
    check_hmac(secret.as_bytes(), body, &given)
}

/// Standard Webhooks: one or more `v1,<base64>` of the HMAC of `<id>.<timestamp>.<body>`.
///
/// `secret` is `whsec_` and the key in base64. <https://www.standardwebhooks.com>
pub fn standard(
    secret: &str,
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<(), BadSignature> {
    check_time(timestamp, "webhook-timestamp", now)?;
    if id.is_empty() {
        return Err(BadSignature::Header("webhook-id"));
    }
    let key = standard_key(secret)?;
    let signed = standard_content(id, timestamp, body);
    let mut given = signatures.split(' ').filter_map(|one| one.strip_prefix("v1,")).peekable();
    if given.peek().is_none() {
        return Err(BadSignature::Header("webhook-signature"));
    }
    // While a secret is replaced there are two.
    let fits = |one: &str| BASE64.decode(one).is_ok_and(|given| check_hmac(&key, &signed, &given).is_ok());
    if given.any(fits) { Ok(()) } else { Err(BadSignature::Mismatch) }
}

/// The `webhook-signature` of a request of ours, in the same scheme.
pub fn sign_standard(secret: &str, id: &str, timestamp: Timestamp, body: &[u8]) -> Result<String, BadSignature> {
    let key = hmac::Key::new(HMAC_SHA256, &standard_key(secret)?);
    let seconds = (timestamp.as_millis() / 1000).to_string();
    Ok(format!("v1,{}", BASE64.encode(hmac::sign(&key, &standard_content(id, &seconds, body)))))
}

fn standard_key(secret: &str) -> Result<Vec<u8>, BadSignature> {
    let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).map_err(|_| BadSignature::Secret)?;
    // The scheme asks for 24 bytes at least.
    if key.len() < 24 { Err(BadSignature::Secret) } else { Ok(key) }
}

fn standard_content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

fn check_time(seconds: &str, header: &'static str, now: Timestamp) -> Result<(), BadSignature> {
    let seconds: u64 = seconds.parse().map_err(|_| BadSignature::Header(header))?;
    let distance = (now.as_millis() / 1000).abs_diff(seconds);
    if distance > TOLERANCE.as_secs() { Err(BadSignature::Time) } else { Ok(()) }
}

/// Compares in constant time.
fn check_hmac(secret: &[u8], signed: &[u8], given: &[u8]) -> Result<(), BadSignature> {
    let key = hmac::Key::new(HMAC_SHA256, secret);
    hmac::verify(&key, signed, given).map_err(|_| BadSignature::Mismatch)
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_531_420_618);

    #[test]
    fn slacks_own_example_is_taken() {
        // From Slack's documentation.
        let secret = "8f742231b10e8888abcd99yyyzzz85a5";
        let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
            &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=\
            https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=\
            398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        assert_eq!(slack(secret, "1531420618", signature, body, NOW), Ok(()));
        assert_eq!(slack("other", "1531420618", signature, body, NOW), Err(BadSignature::Mismatch));
        assert_eq!(slack(secret, "1531420619", signature, body, NOW), Err(BadSignature::Mismatch));
        assert_eq!(slack(secret, "1531420618", signature, &body[1..], NOW), Err(BadSignature::Mismatch));
        assert_eq!(slack(secret, "1531420317", signature, body, NOW), Err(BadSignature::Time));
        assert_eq!(slack(secret, "1531420919", signature, body, NOW), Err(BadSignature::Time));
        let header = Err(BadSignature::Header("X-Slack-Signature"));
        assert_eq!(slack(secret, "1531420618", "v1=00", body, NOW), header);
        assert!(matches!(slack(secret, "soon", signature, body, NOW), Err(BadSignature::Header(_))));
    }

    #[test]
    fn discords_signatures_are_checked() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = hex::encode(pair.public_key());
        let signature = hex::encode(pair.sign(b"1531420618{\"type\":1}"));
        let body = b"{\"type\":1}";
        assert_eq!(discord(&key, "1531420618", &signature, body, NOW), Ok(()));
        assert_eq!(discord(&key, "1531420618", &signature, b"{\"type\":2}", NOW), Err(BadSignature::Mismatch));
        assert_eq!(discord(&key, "1531420618", "00", body, NOW), Err(BadSignature::Mismatch));
        assert_eq!(discord("00", "1531420618", &signature, body, NOW), Err(BadSignature::Secret));
        assert_eq!(discord(&key, "1531420000", &signature, body, NOW), Err(BadSignature::Time));
    }

    #[test]
    fn metas_signatures_are_checked() {
        // RFC 4231, test case 2.
        let signature = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(meta("Jefe", signature, b"what do ya want for nothing?"), Ok(()));
        assert_eq!(meta("Jefe", signature, b"what do ya want?"), Err(BadSignature::Mismatch));
        assert_eq!(meta("Jefe", "sha1=00", b""), Err(BadSignature::Header("X-Hub-Signature-256")));
    }

    #[test]
    fn standard_webhooks_are_signed_and_checked() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = br#"{"test": 2432232314}"#;
        // From the reference library's tests.
        let now = Timestamp::from_secs(1_614_265_330);
        let signature = sign_standard(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", now, body).unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let check =
            |signatures: &str| standard(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", signatures, body, now);
        assert_eq!(check(&signature), Ok(()));
        assert_eq!(check(&format!("v1,AAAA v1a,xx {signature}")), Ok(()));
        assert_eq!(check("v1,AAAA"), Err(BadSignature::Mismatch));
        assert_eq!(check(""), Err(BadSignature::Header("webhook-signature")));
        assert_eq!(standard("whsec_c2hvcnQ=", "m", "1614265330", &signature, body, now), Err(BadSignature::Secret));
    }
}
