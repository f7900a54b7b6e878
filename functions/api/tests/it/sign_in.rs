//! How browsers get in, what they may do there, and how they are put out.

use api::views::{
    AuditView, BrowserView, Items, KeyCreated, KeyView, LinkOffered, MeView, MemberView, MembersView, Page, SignInWays,
};
use axum::body::Body;
use axum::http::{Request, header};
use domain::{Member, Person, Role, UserId};
use lambda_http::request::RequestContext;
use peers::OidcProvider;
use runtime::OpenIdSettings;
use serde_json::{Value, json};
use store::Actor;

use crate::harness::{Answer, Api};

/// How the browsers of these tests call the API: nobody listens there, what matters is what the provider thinks of it.
const HOST: &str = "bots.example";
const PUBLIC: &str = "https://bots.example";

/// A browser: it keeps cookies and says where its requests come from.
struct Browser<'a> {
    api: &'a Api,
    cookie: String,
    site: &'static str,
}

impl<'a> Browser<'a> {
    fn new(api: &'a Api) -> Browser<'a> {
        Browser { api, cookie: String::new(), site: "same-origin" }
    }

    async fn send(&mut self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder().method(method).uri(path).header("sec-fetch-site", self.site);
        let request = request.header(header::COOKIE, &self.cookie).header(header::USER_AGENT, "Lynx/2.9");
        let request = request.header(header::HOST, HOST).header("x-forwarded-proto", "https");
        let request = match body {
            Some(json) => request.header("content-type", "application/json").body(Body::from(json.to_string())),
            None => request.body(Body::empty()),
        };
        let answer = self.api.raw(request.unwrap()).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(attributes.contains("HttpOnly"), "{cookie}");
            let others = self.cookie.split("; ").filter(|pair| !pair.is_empty() && !pair.starts_with(name));
            let mut all: Vec<String> = others.map(str::to_owned).collect();
            if !value.is_empty() {
                all.push(format!("{name}={value}"));
            }
            self.cookie = all.join("; ");
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.send("POST", path, Some(body)).await
    }

    async fn me(&mut self) -> MeView {
        self.get("/v1/me").await.read(200)
    }

    /// Goes through the provider as a person does.
    async fn log_in(&mut self, provider: &OidcProvider, name: &str) -> Answer {
        let sent = self.get("/v1/sign-in/openid").await;
        assert_eq!(sent.status, 303, "{}", sent.body);
        let back = provider.log_in(sent.header(header::LOCATION), name).await;
        let back = back.strip_prefix(PUBLIC).unwrap_or_else(|| panic!("{back}"));
        self.get(back).await
    }
}

async fn code(api: &Api, role: Option<Role>) -> String {
    let offered: LinkOffered = api.post("/v1/sign-in-links", json!({ "role": role })).await.read(201);
    offered.path.strip_prefix("/sign-in#").unwrap().to_owned()
}

#[tokio::test]
async fn a_link_lets_one_browser_in_once() {
    let api = Api::start().await;
    let code = code(&api, None).await;
    let mut browser = Browser::new(&api);
    browser.get("/v1/me").await.problem(401);
    let answer = browser.post("/v1/sign-in/link", json!({ "code": code })).await;
    assert_eq!(answer.status, 204);
    let cookie = answer.header(header::SET_COOKIE);
    assert!(
        cookie.starts_with("__Host-lt_session=") && cookie.contains("; Path=/;") && cookie.contains("Secure"),
        "{cookie}"
    );
    assert!(cookie.contains("; SameSite=Strict"), "{cookie}");
    assert_eq!(answer.header(header::STRICT_TRANSPORT_SECURITY), "max-age=63072000");
    let me = browser.me().await;
    assert_eq!((me.account.as_ref().unwrap().name.as_str(), me.role), ("Ada", Some(Role::Owner)));
    assert!(matches!(me.actor, Actor::Browser { .. }), "{me:?}");

    let again = Browser::new(&api).post("/v1/sign-in/link", json!({ "code": code })).await;
    assert!(again.problem(401).contains("used before"));

    let listed: Items<BrowserView> = browser.get("/v1/browsers").await.read(200);
    assert_eq!(listed.items.len(), 1);
    assert_eq!(listed.items[0].agent, "Lynx/2.9");
    let out = browser.send("DELETE", &format!("/v1/browsers/{}", listed.items[0].id), None).await;
    assert_eq!(out.status, 204);
    assert!(browser.get("/v1/me").await.problem(401).contains("signed out"));
}

#[tokio::test]
async fn a_key_lets_in_and_signing_out_ends_it() {
    let api = Api::start().await;
    let mut browser = Browser::new(&api);
    assert!(browser.post("/v1/sign-in/key", json!({ "key": "lt_guess" })).await.problem(401).contains("not known"));
    assert_eq!(browser.post("/v1/sign-in/key", json!({ "key": api.key })).await.status, 204);
    assert_eq!(browser.get("/v1/bots").await.status, 200);
    assert!(matches!(browser.me().await.actor, Actor::Key { .. }));
    let secret = browser.cookie.clone();
    browser.site = "cross-site";
    browser.send("POST", "/v1/sign-out", None).await.problem(403);
    browser.site = "same-origin";
    assert_eq!(browser.send("POST", "/v1/sign-out", None).await.status, 204);
    assert_eq!(browser.cookie, "");
    browser.cookie = secret;
    browser.get("/v1/bots").await.problem(401);
    assert_eq!(browser.send("POST", "/v1/sign-out", None).await.status, 204, "once more does no harm");
    let lines: Page<AuditView> = api.get("/v1/audit").await.read(200);
    let lines: Vec<(&str, Option<&str>)> =
        lines.items.iter().map(|line| (line.action.as_str(), line.name.as_deref())).collect();
    assert_eq!(lines, [("POST /v1/sign-out", Some("test")), ("POST /v1/sign-in/key", Some("test"))]);
}

#[tokio::test]
async fn whoever_is_let_in_may_ask_who_they_are() {
    let api = Api::start().await;
    let key = api.key_with(&[]).await;
    let me: MeView = api.call_as(&key, "GET", "/v1/me", None).await.read(200);
    assert_eq!((me.name.as_str(), me.scopes.len(), me.role), ("narrow", 0, None));
    api.call_as(&key, "GET", "/v1/account", None).await.problem(403);
    api.call_as("lt_none", "GET", "/v1/me", None).await.problem(401);
    api.call_as(&key, "POST", "/v1/me/leave", None).await.problem(409);
}

#[tokio::test]
async fn nobody_gives_a_role_that_they_do_not_have() {
    let (api, _provider) = with_provider(false).await;
    let admin = api.key_with(&[api::scope::Scope::Admin]).await;
    let invitation = json!({ "email": "grace@example.org", "role": "owner" });
    let refused = api.call_as(&admin, "POST", "/v1/members", Some(invitation)).await;
    assert!(refused.problem(403).contains("You cannot give"), "{}", refused.body);
    let now = api.environment.clock.now();
    let user = UserId::from_parts(now, 1);
    let person = Person { name: "grace".to_owned(), email: None };
    let member = Member { user, role: Role::Viewer, person, joined_at: now };
    api.environment.store.account(api.account).member_add(&member, None).await.unwrap();
    let path = format!("/v1/members/{user}");
    let refused = api.call_as(&admin, "PATCH", &path, Some(json!({ "role": "owner" }))).await;
    assert!(refused.problem(403).contains("You cannot give"), "{}", refused.body);
    assert_eq!(api.get(&path).await.read::<MemberView>(200).role, Role::Viewer);

    // Nor is a change of somebody else overwritten.
    let tag = api.get(&path).await.header(header::ETAG).to_owned();
    let change = |tag: &str, role: &str| {
        let request = Request::patch(&path).header("authorization", format!("Bearer {}", api.key));
        let request = request.header("content-type", "application/json").header(header::IF_MATCH, tag);
        api.raw(request.body(Body::from(json!({ "role": role }).to_string())).unwrap())
    };
    assert_eq!(change(&tag, "operator").await.status, 200);
    change(&tag, "owner").await.problem(412);
}

#[tokio::test]
async fn other_sites_pages_change_nothing() {
    let api = Api::start().await;
    let mut browser = Browser::new(&api);
    let code = code(&api, None).await;
    browser.post("/v1/sign-in/link", json!({ "code": code })).await;
    for site in ["cross-site", "same-site", "none"] {
        browser.site = site;
        let refused = browser.post("/v1/bots", json!({ "name": "trojan" })).await;
        assert!(refused.problem(403).contains("own pages"), "{site}");
    }
    browser.site = "same-origin";
    assert_eq!(browser.post("/v1/bots", json!({ "name": "heron" })).await.status, 201);

    // Older browsers say only the origin.
    let by_origin = |origin: Option<&str>| {
        let request = Request::builder().method("POST").uri("/v1/bots/heron/pause").header("host", "bots.example");
        let request = request.header("x-forwarded-proto", "https");
        let request = request.header(header::COOKIE, &browser.cookie);
        let request = origin.into_iter().fold(request, |request, origin| request.header(header::ORIGIN, origin));
        api.raw(request.body(Body::empty()).unwrap())
    };
    assert_eq!(by_origin(Some("https://bots.example")).await.status, 200);
    for bad in [None, Some("https://bots.example.evil"), Some("null"), Some("https://evil")] {
        by_origin(bad).await.problem(403);
    }
}

#[tokio::test]
async fn who_guesses_is_kept_out_for_a_while() {
    let api = Api::start().await;
    let guess = |address: &str| {
        let mut request =
            Request::get("/v1/bots").header("authorization", "Bearer lt_guess").body(Body::empty()).unwrap();
        let context = json!({ "http": { "method": "GET", "sourceIp": address }, "timeEpoch": 0 });
        let context = serde_json::from_value(context).unwrap();
        request.extensions_mut().insert(RequestContext::ApiGatewayV2(context));
        api.raw(request)
    };
    for _ in 0..20 {
        guess("192.0.2.1").await.problem(401);
    }
    let refused = guess("192.0.2.1").await;
    assert!(refused.problem(429).contains("Wait a minute"));
    assert!(refused.header(header::RETRY_AFTER).parse::<u64>().unwrap() <= 61);
    guess("192.0.2.2").await.problem(401);
}

#[tokio::test]
async fn keys_are_shown_once_and_do_no_more_than_they_may() {
    let api = Api::start().await;
    let made = api.post("/v1/keys", json!({ "name": "reader", "scopes": ["bots:read", "keys:write"] })).await;
    let made: KeyCreated = made.read(201);
    let listed = api.get("/v1/keys").await;
    assert!(!listed.body.contains(&made.secret) && !listed.body.contains("sha256"), "{}", listed.body);
    let listed: Items<KeyView> = listed.read(200);
    assert_eq!(listed.items.len(), 2);

    assert_eq!(api.call_as(&made.secret, "GET", "/v1/bots", None).await.status, 200);
    for (method, path, body) in [
        ("POST", "/v1/bots", Some(json!({ "name": "heron" }))),
        ("POST", "/v1/keys", Some(json!({ "name": "more", "scopes": ["admin"] }))),
        ("POST", "/v1/sign-in-links", Some(json!({ "role": "owner" }))),
        ("PATCH", "/v1/account", Some(json!({ "budget": null }))),
    ] {
        api.call_as(&made.secret, method, path, body).await.problem(403);
    }
    assert_eq!(api.delete(&format!("/v1/keys/{}", made.key.id)).await.status, 204);
    api.call_as(&made.secret, "GET", "/v1/bots", None).await.problem(401);
    api.delete(&format!("/v1/keys/{}", made.key.id)).await.problem(404);
    for bad in [
        json!({ "name": "" }),
        json!({ "name": "x", "scopes": ["all"] }),
        json!({ "name": "a\nb" }),
        json!({ "name": "x".repeat(81) }),
    ] {
        api.post("/v1/keys", bad).await.problem(400);
    }
}

#[tokio::test]
async fn what_is_changed_is_written_down_and_what_is_said_is_not() {
    let api = Api::start().await;
    api.new_bot("Tidy").await;
    let _: Value = api.post("/v1/bots/Tidy/chat", json!({ "text": "hello" })).await.read(202);
    let text = Request::put("/v1/bots/Tidy/files/notes/chat").header("authorization", format!("Bearer {}", api.key));
    let text = text.header("content-type", "text/plain").body(Body::from("x")).unwrap();
    assert_eq!(api.raw(text).await.status, 204);
    let change = json!({ "model": { "model": "openai/gpt-5.1", "api_key": "sk-secret" }, "time_zone": "UTC" });
    assert_eq!(api.patch("/v1/bots/Tidy", change).await.status, 200);
    let answer = api.get("/v1/audit").await;
    assert!(!answer.body.contains("sk-secret") && !answer.body.contains("gpt-5.1"), "{}", answer.body);
    let lines: Page<AuditView> = answer.read(200);
    let told: Vec<(&str, Vec<&str>)> = lines
        .items
        .iter()
        .map(|line| (line.action.as_str(), line.fields.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(
        told,
        [
            ("PATCH /v1/bots/Tidy", vec!["model.api_key", "model.model", "time_zone"]),
            ("PUT /v1/bots/Tidy/files/notes/chat", vec![]),
            ("POST /v1/bots", vec!["name"]),
        ]
    );
    assert_eq!(lines.items[0].name.as_deref(), Some("test"));
}

#[tokio::test]
async fn changes_are_written_down_and_read_page_by_page() {
    let api = Api::start().await;
    api.new_bot("heron").await;
    api.get("/v1/bots").await;
    api.post("/v1/bots", json!({ "name": "heron" })).await.problem(409);
    assert_eq!(api.delete("/v1/bots/heron").await.status, 204);
    let first: Page<AuditView> = api.get("/v1/audit?limit=1").await.read(200);
    assert_eq!(first.items[0].action, "DELETE /v1/bots/heron");
    assert!(matches!(first.items[0].actor, Actor::Key { .. }));
    let place = first.next.unwrap();
    let second: Page<AuditView> = api.get(&format!("/v1/audit?limit=1&cursor={place}")).await.read(200);
    assert_eq!((second.items[0].action.as_str(), second.items[0].status), ("POST /v1/bots", 201));
    assert_eq!(second.next, None, "reading, and what was refused, is not written down");
    api.get("/v1/audit?cursor=bot").await.problem(400);
    api.get("/v1/audit?limit=0").await.problem(400);
}

async fn with_provider(open_sign_up: bool) -> (Api, OidcProvider) {
    runtime::install_crypto();
    let provider = OidcProvider::start(&format!("{PUBLIC}/v1/sign-in/openid/callback")).await;
    let settings = OpenIdSettings {
        issuer: provider.issuer().to_owned(),
        client_id: "lowtide".to_owned(),
        client_secret: Some(OidcProvider::SECRET.to_owned()),
        name: "Example".to_owned(),
        open_sign_up,
    };
    let api = Api::start_with(None, |it| it.openid = Some(settings)).await;
    (api, provider)
}

#[tokio::test]
async fn who_is_invited_comes_in_through_the_provider() {
    let (api, provider) = with_provider(false).await;
    let ways: SignInWays = Browser::new(&api).get("/v1/sign-in").await.read(200);
    assert_eq!(ways.openid.unwrap().name, "Example");

    let mut stranger = Browser::new(&api);
    let refused = refusal(&stranger.log_in(&provider, "grace").await);
    assert!(refused.0 == "not_invited" && refused.1.contains("grace@example.org"), "{refused:?}");
    assert_eq!(stranger.cookie, "", "nothing is left of the sign-in");

    assert_eq!(api.post("/v1/members", json!({ "email": "Grace@example.org", "role": "operator" })).await.status, 201);
    let mut grace = Browser::new(&api);
    let answer = grace.log_in(&provider, "grace").await;
    assert_eq!((answer.status.as_u16(), answer.header(header::LOCATION)), (303, "/"));
    // She is in no account before she says so.
    let me = grace.me().await;
    assert_eq!((me.account, me.role, me.accounts.len(), me.scopes.len()), (None, None, 0, 0));
    let [invitation] = me.invitations.as_slice() else { panic!("{:?}", me.invitations) };
    assert_eq!((invitation.account, invitation.name.as_str(), invitation.role), (api.account, "Ada", Role::Operator));
    assert!(grace.get("/v1/bots").await.problem(403).contains("/v1/me"));
    assert!(api.get("/v1/members").await.read::<MembersView>(200).items.is_empty());
    let accept = format!("/v1/me/invitations/{}/accept", api.account);
    grace.site = "cross-site";
    grace.post(&accept, json!({})).await.problem(403);
    grace.site = "same-origin";
    assert_eq!(grace.send("POST", &accept, None).await.status, 204);
    assert_eq!(grace.send("POST", &accept, None).await.status, 204, "once more does no harm");
    let me = grace.me().await;
    assert_eq!((me.name.as_str(), me.role, me.accounts.len()), ("grace", Some(Role::Operator), 1));
    assert!(me.invitations.is_empty());
    assert_eq!(grace.post("/v1/bots", json!({ "name": "heron" })).await.status, 201);
    grace.post("/v1/keys", json!({ "name": "mine" })).await.problem(403);

    // An address that the provider did not confirm is nobody's.
    assert_eq!(api.post("/v1/members", json!({ "email": "mallory@example.org", "role": "owner" })).await.status, 201);
    let refused = refusal(&Browser::new(&api).log_in(&provider, "mallory").await);
    assert!(refused.1.contains("did not confirm"), "{refused:?}");

    let members: MembersView = api.get("/v1/members").await.read(200);
    assert_eq!((members.items.len(), members.invitations.len()), (1, 1));
    let path = format!("/v1/members/{}", members.items[0].user);
    assert_eq!(api.patch(&path, json!({ "role": "viewer" })).await.status, 200);
    grace.post("/v1/bots", json!({ "name": "crane" })).await.problem(403);
    assert_eq!(api.delete(&path).await.status, 204);
    grace.get("/v1/me").await.problem(401);
    assert_eq!(api.delete("/v1/invitations/mallory@example.org").await.status, 204);
    api.delete("/v1/invitations/mallory@example.org").await.problem(404);
    api.post("/v1/members", json!({ "email": "nobody", "role": "viewer" })).await.problem(400);
}

#[tokio::test]
async fn an_account_keeps_an_owner_and_people_have_several_accounts() {
    let (api, provider) = with_provider(true).await;
    let mut ada = Browser::new(&api);
    assert_eq!(ada.log_in(&provider, "ada").await.status, 303);
    let me = ada.me().await;
    let own = me.account.unwrap();
    assert_eq!((own.name.as_str(), me.role), ("ada", Some(Role::Owner)), "an account of her own");
    let members: MembersView = ada.get("/v1/members").await.read(200);
    let path = format!("/v1/members/{}", members.items[0].user);
    assert!(ada.send("DELETE", &path, None).await.problem(409).contains("owner"));
    ada.send("PATCH", &path, Some(json!({ "role": "viewer" }))).await.problem(409);

    assert!(ada.send("POST", "/v1/me/leave", None).await.problem(409).contains("owner"));

    // Invited into another account, she is in hers until she accepts.
    let invite = async || api.post("/v1/members", json!({ "email": "ada@example.org", "role": "viewer" })).await.status;
    assert_eq!(invite().await, 201);
    assert_eq!(ada.log_in(&provider, "ada").await.status, 303);
    let me = ada.me().await;
    assert_eq!((me.account.as_ref(), me.accounts.len(), me.invitations.len()), (Some(&own), 1, 1), "{me:?}");
    let invitation = format!("/v1/me/invitations/{}", api.account);
    assert_eq!(ada.send("POST", &format!("{invitation}/decline"), None).await.status, 204);
    ada.send("POST", &format!("{invitation}/accept"), None).await.problem(404);
    assert_eq!(invite().await, 201);
    assert_eq!(ada.send("POST", &format!("{invitation}/accept"), None).await.status, 204);
    let there = ada.me().await;
    assert_eq!((there.account.unwrap().id, there.role), (api.account, Some(Role::Viewer)));
    assert_eq!(there.accounts.iter().map(|it| it.role).collect::<Vec<_>>(), [Role::Viewer, Role::Owner]);

    // She comes back to where she was last.
    let mut elsewhere = Browser::new(&api);
    elsewhere.log_in(&provider, "ada").await;
    assert_eq!(elsewhere.me().await.account.unwrap().id, api.account);
    assert_eq!(elsewhere.post("/v1/me/account", json!({ "account": own.id })).await.status, 204);
    assert_eq!(elsewhere.me().await.account, Some(own.clone()));
    let unknown = domain::AccountId::from_parts(own.id.made_at(), 1);
    ada.post("/v1/me/account", json!({ "account": unknown })).await.problem(404);
    assert_eq!(ada.send("POST", "/v1/me/leave", None).await.status, 204);
    assert_eq!(ada.me().await.account, Some(own), "in her own again");
}

#[tokio::test]
async fn an_invitation_that_was_taken_back_is_not_accepted() {
    let (api, provider) = with_provider(false).await;
    assert_eq!(api.post("/v1/members", json!({ "email": "grace@example.org", "role": "viewer" })).await.status, 201);
    let mut grace = Browser::new(&api);
    grace.log_in(&provider, "grace").await;
    assert_eq!(api.delete("/v1/invitations/grace@example.org").await.status, 204);
    assert!(grace.me().await.invitations.is_empty());
    grace.send("POST", &format!("/v1/me/invitations/{}/accept", api.account), None).await.problem(404);
    assert_eq!(grace.send("POST", "/v1/sign-out", None).await.status, 204);
    grace.get("/v1/me").await.problem(401);
}

/// The code and the sentence of a sign-in that ended at the page that says why.
fn refusal(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 303, "{}", answer.body);
    let location = url::Url::parse(PUBLIC).unwrap().join(answer.header(header::LOCATION)).unwrap();
    assert_eq!(location.path(), "/sign-in", "{location}");
    let of = |name: &str| location.query_pairs().find(|(it, _)| it == name).unwrap().1.into_owned();
    (of("problem"), of("detail"))
}

#[tokio::test]
async fn a_sign_in_belongs_to_the_browser_that_began_it() {
    let (api, provider) = with_provider(true).await;
    let mut ada = Browser::new(&api);
    let sent = ada.get("/v1/sign-in/openid").await;
    let back = provider.log_in(sent.header(header::LOCATION), "ada").await;
    let back = back.strip_prefix(PUBLIC).unwrap();
    // Somebody sends her code to another browser (login CSRF).
    let (code, detail) = refusal(&Browser::new(&api).get(back).await);
    assert!(code == "other_browser" && detail.contains("this browser"), "{detail}");
    let before = ada.cookie.clone();
    assert_eq!(ada.get(back).await.status, 303);
    ada.cookie = before;
    assert!(refusal(&ada.get(back).await).1.contains("ended before"));
    assert_eq!(refusal(&ada.get("/v1/sign-in/openid/callback").await).0, "other_browser");
    let none = Api::start().await;
    let (code, detail) = refusal(&Browser::new(&none).get("/v1/sign-in/openid").await);
    assert!(code == "not_set_up" && detail.contains("LOWTIDE_OPENID_ISSUER"), "{detail}");
}
