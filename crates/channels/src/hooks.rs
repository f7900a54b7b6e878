//! OpenClaw's HTTP hooks: a system wakes a bot, or gives it work, with a token.
//!
//! <https://docs.openclaw.ai/automation/webhook>. What this version does not do is named to the caller, not ignored.

use domain::Thinking;
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq;

/// Where the token stands if it is in no `Authorization: Bearer`.
pub const TOKEN_HEADER: &str = "x-openclaw-token";

/// `POST …/wake`: something has happened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Wake {
    /// What has happened.
    pub text: String,
    /// `now`, which is also the default.
    #[serde(default)]
    mode: Option<String>,
}

/// `POST …/agent`: work, in a session of its own unless one is named.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentRun {
    /// What is to be done.
    pub message: String,
    /// What people call the system.
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub session_key: Option<String>,
    /// Whether the answer is sent to a chat; it is, unless this says no.
    #[serde(default)]
    pub deliver: Option<bool>,
    /// A channel's name, or `last`.
    #[serde(default)]
    pub channel: Option<String>,
    /// The channel's id of the chat.
    #[serde(default)]
    pub to: Option<String>,
    /// `provider/model` instead of the bot's own.
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub thinking: Option<Thinking>,
    /// The same key is the same run, however often it is posted.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

/// What [`AgentRun`] reads; a field beside these has no effect.
const KNOWN: [&str; 9] =
    ["message", "name", "sessionKey", "deliver", "channel", "to", "model", "thinking", "idempotencyKey"];

/// A body that is no hook's. It says what is wrong with it, and repeats nothing of its texts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadHook(String);

/// Reads the body of a wake.
pub fn parse_wake(body: &[u8]) -> Result<Wake, BadHook> {
    let wake: Wake = serde_json::from_slice(body)
        .map_err(|error| BadHook(format!("Not a wake: {error}. Post {{\"text\": \"what has happened\"}}.")))?;
    not_empty(&wake.text, "text")?;
    match wake.mode.as_deref() {
        None | Some("now") => Ok(wake),
        Some(_) => Err(BadHook("mode: an event wakes the bot at once here; leave it out, or give `now`.".to_owned())),
    }
}

/// Reads the body of a run. Returns the names of what has no effect here, too.
pub fn parse_agent(body: &[u8]) -> Result<(AgentRun, Vec<String>), BadHook> {
    let bad = |error| BadHook(format!("Not a run: {error}. Post {{\"message\": \"what is to be done\"}}."));
    let body: Value = serde_json::from_slice(body).map_err(bad)?;
    let names = body.as_object().into_iter().flat_map(|fields| fields.keys());
    let left_out = names.filter(|name| !KNOWN.contains(&name.as_str())).cloned().collect();
    let run: AgentRun = serde_json::from_value(body).map_err(bad)?;
    not_empty(&run.message, "message")?;
    Ok((run, left_out))
}

fn not_empty(text: &str, name: &str) -> Result<(), BadHook> {
    if text.trim().is_empty() { Err(BadHook(format!("{name} is empty."))) } else { Ok(()) }
}

/// Whether the token that came with a request is the one that is expected, in a time that says nothing about it.
pub fn is_token(authorization: &str, header: &str, expected: &str) -> bool {
    let given = authorization.strip_prefix("Bearer ").unwrap_or(header);
    !expected.is_empty() && bool::from(given.trim().as_bytes().ct_eq(expected.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_effect_is_named() {
        let body =
            br#"{ "message": "tidy up", "name": "CI", "timeoutSeconds": 60, "thinking": "low", "deliver": false }"#;
        let (run, left_out) = parse_agent(body).unwrap();
        assert_eq!((run.message.as_str(), run.thinking, run.deliver), ("tidy up", Some(Thinking::Low), Some(false)));
        assert_eq!(left_out, ["timeoutSeconds"]);
        assert!(parse_agent(b"{ \"message\": \" \" }").unwrap_err().to_string().contains("empty"));
        assert!(parse_agent(b"[]").is_err());
    }

    #[test]
    fn a_wake_is_now() {
        assert_eq!(parse_wake(br#"{ "text": "the tide turns", "mode": "now" }"#).unwrap().text, "the tide turns");
        assert!(parse_wake(br#"{ "text": "the tide turns", "mode": "next-heartbeat" }"#).is_err());
    }

    #[test]
    fn only_the_whole_token_fits() {
        assert!(is_token("Bearer whsec_1", "", "whsec_1") && is_token("", "whsec_1", "whsec_1"));
        for (authorization, header) in [("", ""), ("Bearer whsec_", ""), ("Basic whsec_1", ""), ("Bearer ", "whsec_1")]
        {
            assert!(!is_token(authorization, header, "whsec_1"), "{authorization} {header}");
        }
        assert!(!is_token("Bearer ", "", ""), "no token is no token");
    }
}
