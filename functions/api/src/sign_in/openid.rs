//! Signing in through an identity provider: `OpenID` Connect's authorization code flow with PKCE (RFC 7636).
//!
//! The ID token comes from the provider's token endpoint over TLS, in answer to a code that only this deployment may
//! redeem. Then TLS says who issued it, and its signature need not be checked (`OpenID` Connect Core 1.0, 3.1.3.7, 6);
//! its issuer, audience, time and nonce are.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::member::{MAX_PERSON, email};
use domain::{Person, SignedInAs, Timestamp, UserId};
use runtime::{Environment, OpenIdSettings};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use store::{SignInFlow, StoreError};
use subtle::ConstantTimeEq;
use url::Url;

use super::place::{self, Place};
use super::{cookie, let_in};
use crate::answers::SentTo;
use crate::extract::Parameters;
use crate::problem::Problem;
use crate::rate::{Client, Rates};

/// How long somebody may take at the provider.
const FLOW_TTL: Duration = Duration::from_secs(600);
/// How far the provider's clock may be from ours.
const SKEW: Duration = Duration::from_secs(60);
/// The longest answer of a provider, in bytes.
const MAX_ANSWER: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);
/// The cookie that ties the answer of the provider to the browser that asked.
const STATE_COOKIE: &str = "lt_state";
const PATH: &str = "/v1/sign-in/openid";

/// The provider's own description (`OpenID` Connect Discovery 1.0).
#[derive(Deserialize)]
struct Provider {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: String,
}

/// Who somebody is, as the ID token says.
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: u64,
    nonce: Option<String>,
    #[serde(flatten)]
    profile: Profile,
}

/// What a provider says of somebody, in the ID token or when it is asked.
#[derive(Clone, Debug, Default, Deserialize)]
struct Profile {
    name: Option<String>,
    preferred_username: Option<String>,
    email: Option<String>,
    /// Some providers write a text.
    email_verified: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct UserInfo {
    sub: String,
    #[serde(flatten)]
    profile: Profile,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The query of `GET /v1/sign-in/openid/callback`. A provider may add what is its own.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Answer {
    /// What ties it to the browser that asked.
    state: Option<String>,
    /// What is redeemed for who somebody is.
    code: Option<String>,
    /// Why there is no code.
    error: Option<String>,
    /// The same in words.
    error_description: Option<String>,
}

/// Why somebody is not let in: a page says it to them, since it is a browser that asks.
struct Refusal {
    /// For programs: `not_invited`.
    code: &'static str,
    /// For people: what happened, and what to do.
    detail: String,
}

impl Refusal {
    fn new(code: &'static str, detail: impl Into<String>) -> Refusal {
        Refusal { code, detail: detail.into() }
    }

    /// Sends the browser to the page that says so, without the state of this sign-in.
    fn sent_back(&self, headers: &HeaderMap) -> SentTo {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("problem", self.code)
            .append_pair("detail", &self.detail)
            .finish();
        tracing::info!(problem = self.code, "Somebody is not let in through the identity provider.");
        // A query that is encoded is always a header's value.
        let location = HeaderValue::from_str(&format!("/sign-in?{query}"));
        let location = location.unwrap_or(HeaderValue::from_static("/sign-in?problem=failed"));
        SentTo { location, cookies: vec![state_cookie("", Duration::ZERO, headers)] }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        let code = match problem.status() {
            StatusCode::NOT_FOUND => "not_set_up",
            StatusCode::BAD_GATEWAY => "provider",
            StatusCode::TOO_MANY_REQUESTS => "too_many",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            _ => "failed",
        };
        Refusal::new(code, problem.detail())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Problem::from(error).into()
    }
}

/// The provider sends the browser back from its own site, which `Strict` would not let see the cookie.
fn state_cookie(state: &str, age: Duration, headers: &HeaderMap) -> HeaderValue {
    cookie::made(STATE_COOKIE, state, "Lax", age, cookie::is_secure(headers))
}

/// `GET /v1/sign-in/openid`: sends the browser to the provider.
pub(crate) async fn begin(
    State(environment): State<Environment>,
    Extension(rates): Extension<Rates>,
    client: Client,
    headers: HeaderMap,
) -> SentTo {
    ask(&environment, &rates, &client, &headers).await.unwrap_or_else(|refusal| refusal.sent_back(&headers))
}

async fn ask(
    environment: &Environment,
    rates: &Rates,
    client: &Client,
    headers: &HeaderMap,
) -> Result<SentTo, Refusal> {
    // Each asks the provider for its description, and is a row.
    rates.check_sign_in(client, environment.clock.now())?;
    let (settings, redirect) = settings(environment, headers)?;
    let provider = discover(environment, settings).await?;
    let state = environment.entropy.secret("");
    let flow = SignInFlow { verifier: environment.entropy.secret(""), nonce: environment.entropy.secret("") };
    let url = Url::parse(&provider.authorization_endpoint);
    let mut url = url.map_err(|_| strange("its authorization endpoint is no URL"))?;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &settings.client_id)
        .append_pair("redirect_uri", &redirect)
        .append_pair("scope", "openid email profile")
        .append_pair("state", &state)
        .append_pair("nonce", &flow.nonce)
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(Sha256::digest(&flow.verifier)))
        .append_pair("code_challenge_method", "S256");
    environment.store.flow_put(&state, &flow, environment.clock.now() + FLOW_TTL).await?;
    let url = HeaderValue::from_str(url.as_str()).map_err(|_| strange("its address cannot be written"))?;
    Ok(SentTo { location: url, cookies: vec![state_cookie(&state, FLOW_TTL, headers)] })
}

/// `GET /v1/sign-in/openid/callback`: the provider sent the browser back.
pub(crate) async fn end(
    State(environment): State<Environment>,
    headers: HeaderMap,
    Parameters(answer): Parameters<Answer>,
) -> SentTo {
    take(&environment, &headers, answer).await.unwrap_or_else(|refusal| refusal.sent_back(&headers))
}

async fn take(environment: &Environment, headers: &HeaderMap, answer: Answer) -> Result<SentTo, Refusal> {
    let (settings, redirect) = settings(environment, headers)?;
    let again = "Sign in again, from the beginning.";
    let ours = cookie::named(headers, STATE_COOKIE);
    let is_ours = |state: &&str| ours.is_some_and(|ours| bool::from(ours.as_bytes().ct_eq(state.as_bytes())));
    let Some(state) = answer.state.as_deref().filter(is_ours) else {
        return Err(Refusal::new("other_browser", format!("This sign-in was not begun in this browser. {again}")));
    };
    let flow = environment.store.flow_take(state, environment.clock.now()).await?;
    let Some(flow) = flow else {
        return Err(Refusal::new("too_late", format!("This sign-in ended before, or took too long. {again}")));
    };
    let Some(code) = answer.code else {
        let error = answer.error_description.or(answer.error).unwrap_or_else(|| "no reason given".to_owned());
        let error: String = error.chars().take(200).collect();
        return Err(Refusal::new("refused", format!("{} says: {error}. {again}", settings.name)));
    };
    let provider = discover(environment, settings).await?;
    let claims = redeem(environment, settings, &provider, &redirect, &code, &flow).await?;
    let new = UserId::from_parts(environment.clock.now(), environment.entropy.next_u128());
    let user = environment.store.identity_user(&claims.iss, &claims.sub, new).await?;
    let person = person(&claims.profile);
    let who = person.email.clone().unwrap_or_else(|| "an address that your provider did not confirm".to_owned());
    let Place::Inside(account) = place::find(environment, user, person, settings.open_sign_up).await? else {
        let detail = format!(
            "You are signed in at {} as {who}, and no account here has invited you. Ask an owner of an account to.",
            settings.name
        );
        return Err(Refusal::new("not_invited", detail));
    };
    let action = format!("GET {PATH}/callback");
    let session = let_in(environment, headers, account, SignedInAs::User { id: user }, &action).await?;
    let location = HeaderValue::from_static("/");
    Ok(SentTo { location, cookies: vec![session, state_cookie("", Duration::ZERO, headers)] })
}

/// The provider, and where it sends browsers back. It knows that address beforehand and takes no other, so it does no harm that
/// the browser says how it calls us.
fn settings<'a>(environment: &'a Environment, headers: &HeaderMap) -> Result<(&'a OpenIdSettings, String), Problem> {
    let Some(settings) = &environment.settings.openid else {
        let detail = "No identity provider is set up here. Sign in with a one-time link or an API key; whoever runs this \
                      deployment sets LOWTIDE_OPENID_ISSUER and LOWTIDE_OPENID_CLIENT_ID.";
        return Err(Problem::not_found(detail));
    };
    let scheme = if cookie::is_secure(headers) { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.ok_or_else(|| Problem::bad_request("The request says no host. Send the header Host."))?;
    Ok((settings, format!("{scheme}://{host}{PATH}/callback")))
}

fn strange(what: &str) -> Problem {
    tracing::error!("The identity provider cannot be used: {what}");
    let detail = format!(
        "The identity provider cannot be used: {what}. Whoever runs this deployment should look at its settings."
    );
    Problem::new(StatusCode::BAD_GATEWAY, detail)
}

async fn discover(environment: &Environment, settings: &OpenIdSettings) -> Result<Provider, Problem> {
    let url = format!("{}/.well-known/openid-configuration", settings.issuer.trim_end_matches('/'));
    let provider: Provider = read(environment.http.get(url)).await?;
    if provider.issuer != settings.issuer {
        return Err(strange("it calls itself otherwise than LOWTIDE_OPENID_ISSUER does"));
    }
    Ok(provider)
}

async fn redeem(
    environment: &Environment,
    settings: &OpenIdSettings,
    provider: &Provider,
    redirect: &str,
    code: &str,
    flow: &SignInFlow,
) -> Result<Claims, Problem> {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect),
        ("client_id", &settings.client_id),
        ("code_verifier", &flow.verifier),
    ];
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = environment.http.post(&provider.token_endpoint);
    let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
    let request = match &settings.client_secret {
        Some(secret) => request.basic_auth(encoded(&settings.client_id), Some(encoded(secret))),
        None => request,
    };
    let tokens: Tokens = read(request).await?;
    let mut claims = claims_of(&tokens.id_token).ok_or_else(|| strange("its ID token cannot be read"))?;
    check(&claims, settings, &flow.nonce, environment.clock.now()).map_err(strange)?;
    // Many providers say more than who somebody is only when they are asked.
    if let (None, Some(url)) = (&claims.profile.email, &provider.userinfo_endpoint) {
        let user: UserInfo = read(environment.http.get(url).bearer_auth(tokens.access_token)).await?;
        if user.sub != claims.sub {
            return Err(strange("it speaks of two people at once"));
        }
        claims.profile = user.profile;
    }
    Ok(claims)
}

/// As RFC 6749, 2.3.1 wants the two parts of basic authentication.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn read<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, Problem> {
    let unreachable = |error: reqwest::Error| strange(&format!("it does not answer ({})", error.without_url()));
    let mut response = request.timeout(TIMEOUT).send().await.map_err(unreachable)?;
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER {
            return Err(strange("its answer is too long"));
        }
    }
    if !status.is_success() {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        let why = serde_json::from_slice::<Refusal>(&bytes).map(|it| it.error.chars().take(100).collect::<String>());
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        return Err(strange(&format!("it answers with status {}{why}", status.as_u16())));
    }
    serde_json::from_slice(&bytes).map_err(|error| strange(&format!("its answer cannot be read: {error}")))
}

/// The middle part of a JWT.
fn claims_of(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

fn check(claims: &Claims, settings: &OpenIdSettings, nonce: &str, now: Timestamp) -> Result<(), &'static str> {
    let is_for_us = match &claims.aud {
        Audience::One(one) => *one == settings.client_id,
        Audience::Many(many) => many.contains(&settings.client_id),
    };
    if claims.iss != settings.issuer {
        return Err("its ID token is another issuer's");
    }
    if !is_for_us || claims.azp.as_ref().is_some_and(|azp| *azp != settings.client_id) {
        return Err("its ID token is meant for another client");
    }
    if claims.exp + SKEW.as_secs() <= now.as_secs() {
        return Err("its ID token is too old; one of the clocks is wrong");
    }
    if claims.nonce.as_deref() != Some(nonce) {
        return Err("its ID token belongs to another sign-in");
    }
    Ok(())
}

fn person(profile: &Profile) -> Person {
    let is_verified = match &profile.email_verified {
        Some(serde_json::Value::Bool(is)) => *is,
        Some(serde_json::Value::String(text)) => text == "true",
        _ => false,
    };
    let address = profile.email.as_deref().filter(|_| is_verified).and_then(email);
    let names = [&profile.name, &profile.preferred_username, &address];
    let name = names.into_iter().flatten().map(|name| name.trim()).find(|name| !name.is_empty());
    let name = name.unwrap_or("somebody").chars().filter(|c| !c.is_control()).take(MAX_PERSON).collect();
    Person { name, email: address }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings() -> OpenIdSettings {
        OpenIdSettings {
            issuer: "https://id.example".to_owned(),
            client_id: "lowtide".to_owned(),
            client_secret: None,
            name: "Example".to_owned(),
            open_sign_up: false,
        }
    }

    fn claims(change: serde_json::Value) -> Claims {
        let mut claims =
            json!({ "iss": "https://id.example", "sub": "7", "aud": "lowtide", "exp": 1000, "nonce": "n" });
        let (into, from) = (claims.as_object_mut().unwrap(), change);
        into.extend(from.as_object().unwrap().clone());
        let body = URL_SAFE_NO_PAD.encode(claims.to_string());
        claims_of(&format!("e30.{body}.c2ln")).unwrap()
    }

    #[test]
    fn a_token_is_ours_or_nobodys() {
        let now = Timestamp::from_millis(999_000);
        let verdict = |change| check(&claims(change), &settings(), "n", now);
        assert_eq!(verdict(json!({})), Ok(()));
        assert_eq!(verdict(json!({ "aud": ["other", "lowtide"], "azp": "lowtide" })), Ok(()));
        for (change, word) in [
            (json!({ "iss": "https://id.example/" }), "issuer"),
            (json!({ "aud": "other" }), "client"),
            (json!({ "aud": ["other"] }), "client"),
            (json!({ "aud": ["other", "lowtide"], "azp": "other" }), "client"),
            (json!({ "exp": 900 }), "old"),
            (json!({ "nonce": "m" }), "sign-in"),
            (json!({ "nonce": null }), "sign-in"),
        ] {
            assert!(verdict(change.clone()).unwrap_err().contains(word), "{change}");
        }
        for bad in ["", "a.b", "a.!.c", "e30.e30.c"] {
            assert!(claims_of(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_address_counts_when_it_is_confirmed() {
        let of = |change| person(&claims(change).profile);
        let confirmed = of(json!({ "email": "Ada@Example.org", "email_verified": true, "name": "Ada\n L" }));
        assert_eq!((confirmed.email.as_deref(), confirmed.name.as_str()), (Some("ada@example.org"), "Ada L"));
        assert_eq!(of(json!({ "email": "a@example.org", "email_verified": "true" })).name, "a@example.org");
        for not in [json!(null), json!(false), json!("false")] {
            assert_eq!(of(json!({ "email": "a@example.org", "email_verified": not })).email, None);
        }
    }
}
