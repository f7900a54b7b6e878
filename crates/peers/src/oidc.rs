//! An `OpenID` Connect provider: npm's `oidc-provider`.

use std::collections::BTreeMap;
use std::process::Command;

use reqwest::{Client, Response, StatusCode, Url, header, redirect};

use crate::{Process, free_port, tools};

/// A provider that knows one client, `lowtide`.
pub struct OidcProvider {
    process: Process,
    issuer: String,
}

impl OidcProvider {
    /// The client's secret.
    pub const SECRET: &str = "a secret, with + and %";

    /// Starts one that sends browsers back to `redirect_uri`.
    pub async fn start(redirect_uri: &str) -> OidcProvider {
        let port = free_port();
        let issuer = format!("http://localhost:{port}");
        let module = tools().join("npm/node_modules/oidc-provider/lib/index.js");
        let module = Url::from_file_path(module.canonicalize().expect("`cargo xtask tools` installs it"));
        let dir = tempfile::tempdir().expect("a directory");
        let script = dir.path().join("oidc.mjs");
        std::fs::write(&script, include_str!("oidc.mjs")).expect("the script is written");
        let mut command = Command::new("node");
        command.arg(&script).args([module.expect("a path").as_str(), &issuer, &port.to_string(), redirect_uri]);
        let mut provider = OidcProvider { process: Process::start(command, dir), issuer };
        let url = format!("{}/.well-known/openid-configuration", provider.issuer);
        provider
            .process
            .wait_until(|| async { reqwest::get(&url).await.is_ok_and(|it| it.status().is_success()) })
            .await;
        provider
    }

    /// As it calls itself.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What a browser does that is sent to `url`: somebody types their name into the form and agrees. Returns where the
    /// provider sends the browser in the end.
    pub async fn log_in(&self, url: &str, name: &str) -> String {
        let browser = Client::builder().redirect(redirect::Policy::none()).build().expect("a client");
        let mut cookies = BTreeMap::new();
        let mut response = browser.get(url).send().await.expect("the provider answers");
        // The login form and the form of consent, with some addresses in between.
        for _ in 0..10 {
            let from = response.url().clone();
            keep(&mut cookies, &response);
            let cookie = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
            let Some(next) = location(&response) else {
                let page = response.text().await.expect("a page");
                let login = [("prompt", "login"), ("login", name), ("password", "any")];
                let form = if page.contains("name=\"login\"") { &login[..] } else { &[("prompt", "consent")] };
                let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
                let request = browser.post(from).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
                response =
                    request.header(header::COOKIE, cookie).body(form).send().await.expect("the provider answers");
                assert!(response.status() != StatusCode::OK, "the form is refused");
                continue;
            };
            let next = from.join(&next).expect("an address");
            if next.port() != from.port() {
                return next.into();
            }
            response = browser.get(next).header(header::COOKIE, cookie).send().await.expect("the provider answers");
        }
        panic!("the provider sends browsers in circles");
    }
}

/// Keeps the cookies that an answer sets. One server has no two of a name that differ by path at a time.
fn keep(cookies: &mut BTreeMap<String, String>, response: &Response) {
    for cookie in response.headers().get_all(header::SET_COOKIE) {
        let pair = cookie.to_str().expect("a cookie").split(';').next().unwrap_or_default();
        if let Some((name, value)) = pair.split_once('=') {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

fn location(response: &Response) -> Option<String> {
    let location = response.headers().get(header::LOCATION)?;
    Some(location.to_str().expect("an address").to_owned())
}
