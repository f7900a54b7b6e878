//! The `WhatsApp` Cloud API: one number, and messages that are checked as Meta checks them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use crate::lock;
use crate::loopback::Loopback;

/// The number's id.
pub const NUMBER: &str = "106540352242922";

/// The longest text, in characters.
const MAX_TEXT: usize = 4096;

#[derive(Default)]
struct Business {
    token: String,
    messages: Vec<Value>,
    /// What becomes of the next messages: a status and a body that refuse one, or nothing out of the ordinary.
    fates: VecDeque<Option<(u16, String)>>,
    files: HashMap<String, Vec<u8>>,
    /// What is told of the number, by field.
    number: Map<String, Value>,
    base: String,
}

/// A business with one number, [`NUMBER`].
pub struct FakeWhatsApp {
    business: Arc<Mutex<Business>>,
    server: Loopback,
}

impl FakeWhatsApp {
    pub fn start(token: &str) -> FakeWhatsApp {
        let told = [
            ("display_phone_number", "+1 555 010 0000"),
            ("verified_name", "Heron and Sons"),
            ("quality_rating", "GREEN"),
            ("status", "CONNECTED"),
            ("name_status", "APPROVED"),
            ("code_verification_status", "VERIFIED"),
        ];
        let number = told.map(|(field, value)| (field.to_owned(), value.into())).into_iter().collect();
        let business = Arc::new(Mutex::new(Business { token: token.to_owned(), number, ..Business::default() }));
        let router = Router::new()
            .route("/{version}/{number}", get(identity))
            .route("/{version}/{number}/messages", post(send))
            .route("/file/{id}", get(file))
            .with_state(business.clone());
        let server = Loopback::serve(router);
        lock(&business).base = server.url();
        FakeWhatsApp { business, server }
    }

    /// What stands in for `https://graph.facebook.com`.
    pub fn base_url(&self) -> String {
        self.server.url()
    }

    /// Lets the next message be refused with this code.
    pub fn fail_next(&self, code: u64) {
        self.fail_after(0, code);
    }

    /// Lets the message after the next `passes` be refused with this code.
    pub fn fail_after(&self, passes: usize, code: u64) {
        let mut business = lock(&self.business);
        business.fates.extend(std::iter::repeat_n(None, passes));
        let (_, Json(body)) = refused(400, code, "Message failed to send");
        business.fates.push_back(Some((400, body.to_string())));
    }

    /// Something on the way answers the next message in Meta's place.
    pub fn intercept_next(&self, status: u16, body: &str) {
        lock(&self.business).fates.push_back(Some((status, body.to_owned())));
    }

    /// Makes a file that people sent, under an id.
    pub fn add_file(&self, id: &str, bytes: &[u8]) {
        lock(&self.business).files.insert(id.to_owned(), bytes.to_vec());
    }

    /// Revokes the token and gives out another one.
    pub fn replace_token(&self, token: &str) {
        lock(&self.business).token = token.to_owned();
    }

    /// Changes what is told of the number in a field.
    pub fn tell(&self, field: &str, value: &str) {
        lock(&self.business).number.insert(field.to_owned(), value.into());
    }

    /// What was sent, as it came.
    pub fn messages(&self) -> Vec<Value> {
        lock(&self.business).messages.clone()
    }
}

type Shared = State<Arc<Mutex<Business>>>;
type Refused = (StatusCode, Json<Value>);

fn refused(status: u16, code: u64, message: &str) -> Refused {
    (StatusCode::from_u16(status).expect("a status"), Json(json!({ "error": { "code": code, "message": message } })))
}

impl Business {
    fn check_token(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let expected = format!("Bearer {}", self.token);
        if headers.get("authorization").is_none_or(|token| token.as_bytes() != expected.as_bytes()) {
            return Err(refused(401, 190, "Invalid OAuth access token"));
        }
        Ok(())
    }

    fn check(&self, number: &str, headers: &HeaderMap) -> Result<(), Refused> {
        self.check_token(headers)?;
        if number == NUMBER { Ok(()) } else { Err(refused(400, 100, "Unsupported get request")) }
    }
}

async fn identity(
    State(shared): Shared,
    Path((_, number)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let business = lock(&shared);
    if let Some(bytes) = business.files.get(&number) {
        business.check_token(&headers)?;
        let url = format!("{}/file/{number}", business.base);
        return Ok(Json(
            json!({ "id": number, "url": url, "file_size": bytes.len(), "messaging_product": "whatsapp" }),
        ));
    }
    business.check(&number, &headers)?;
    // What is not asked for is not told, and what there is not is refused.
    let mut told = json!({ "id": NUMBER });
    let asked = query.as_deref().and_then(|query| query.strip_prefix("fields=")).unwrap_or_default().split(',');
    for field in asked.filter(|field| !matches!(*field, "" | "id")) {
        let value = business.number.get(field);
        told[field] = value.ok_or_else(|| refused(400, 100, "Tried accessing nonexisting field"))?.clone();
    }
    Ok(Json(told))
}

async fn file(State(shared): Shared, Path(id): Path<String>, headers: HeaderMap) -> Result<Vec<u8>, Refused> {
    let business = lock(&shared);
    business.check_token(&headers)?;
    business.files.get(&id).cloned().ok_or_else(|| refused(404, 100, "No such file"))
}

async fn send(
    State(shared): Shared,
    Path((_, number)): Path<(String, String)>,
    headers: HeaderMap,
    Json(message): Json<Value>,
) -> Result<Json<Value>, Response> {
    let mut business = lock(&shared);
    business.check(&number, &headers).map_err(IntoResponse::into_response)?;
    if let Some((status, body)) = business.fates.pop_front().flatten() {
        return Err((StatusCode::from_u16(status).expect("a status"), body).into_response());
    }
    let length = |text: &Value| text.as_str().unwrap_or_default().chars().count();
    let fits = match message["type"].as_str() {
        Some("text") => (1..=MAX_TEXT).contains(&length(&message["text"]["body"])),
        Some("interactive") => {
            let (body, action) = (&message["interactive"]["body"]["text"], &message["interactive"]["action"]);
            let buttons = action["buttons"].as_array().expect("a list of buttons");
            let fits = |button: &Value| (1..=20).contains(&length(&button["reply"]["title"]));
            (1..=1024).contains(&length(body)) && (1..=3).contains(&buttons.len()) && buttons.iter().all(fits)
        }
        _ => false,
    };
    if !fits || message["messaging_product"] != "whatsapp" {
        return Err(refused(400, 100, "Invalid parameter").into_response());
    }
    business.messages.push(message);
    let id = format!("wamid.{}", business.messages.len());
    Ok(Json(json!({ "messaging_product": "whatsapp", "messages": [{ "id": id }] })))
}
