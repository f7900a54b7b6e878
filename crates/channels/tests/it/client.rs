use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use channels::SendError;
use channels::telegram::Client;
use domain::{Address, ChatKind};
use serde_json::{Value, json};

const TOKEN: &str = "123456:AA-secret_token";

/// A server that gives the answers it was told to, in order, and keeps what it was asked.
struct Server {
    client: Client,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

type Script = Arc<Mutex<Vec<(u16, String)>>>;
type Calls = Arc<Mutex<Vec<(String, Value)>>>;

impl Server {
    async fn start(answers: &[(u16, Value)]) -> Server {
        let answers = answers.iter().rev().map(|(status, body)| (*status, body.to_string())).collect();
        Server::start_raw(answers).await
    }

    async fn start_raw(answers: Vec<(u16, String)>) -> Server {
        let calls = Calls::default();
        let script: Script = Arc::new(Mutex::new(answers));
        let app = axum::Router::new().fallback(answer).with_state((script, calls.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Server { client: client(&base), calls }
    }

    fn calls(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

async fn answer(State((script, calls)): State<(Script, Calls)>, request: Request) -> impl IntoResponse {
    let path = request.uri().path().to_owned();
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    calls.lock().unwrap().push((path, serde_json::from_slice(&body).unwrap()));
    let next = script.lock().unwrap().pop();
    let Some((status, body)) = next else {
        // Out of answers: never answer.
        return std::future::pending().await;
    };
    (StatusCode::from_u16(status).unwrap(), body)
}

fn client(base: &str) -> Client {
    // Another test may have installed it already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new(reqwest::Client::new(), base)
}

fn address() -> Address {
    Address { kind: ChatKind::Group, chat: "-100".into(), thread: Some("17".into()), reply_to: Some("7".into()) }
}

/// What `send_message` makes of one answer.
async fn send(status: u16, body: Value) -> Result<i64, SendError> {
    let server = Server::start(&[(status, body)]).await;
    server.client.send_message(TOKEN, &address(), "<b>hi</b>", &[]).await
}

fn refusal(code: u16, description: &str) -> (u16, Value) {
    (code, json!({ "ok": false, "error_code": code, "description": description }))
}

async fn send_refused(code: u16, description: &str) -> SendError {
    let (status, body) = refusal(code, description);
    send(status, body).await.unwrap_err()
}

#[tokio::test]
async fn a_message_is_sent_to_its_topic_as_a_reply() {
    let server = Server::start(&[(200, json!({ "ok": true, "result": { "message_id": 9, "text": "hi" } }))]).await;
    assert_eq!(server.client.send_message(TOKEN, &address(), "<b>hi</b>", &[]).await, Ok(9));
    insta::assert_json_snapshot!(server.calls(), @r#"
    [
      [
        "/bot123456:AA-secret_token/sendMessage",
        {
          "chat_id": -100,
          "message_thread_id": 17,
          "parse_mode": "HTML",
          "reply_parameters": {
            "allow_sending_without_reply": true,
            "message_id": 7
          },
          "text": "<b>hi</b>"
        }
      ]
    ]
    "#);
}

#[tokio::test]
async fn plain_text_has_no_parse_mode() {
    let server = Server::start(&[(200, json!({ "ok": true, "result": { "message_id": 9 } }))]).await;
    let direct = Address { kind: ChatKind::Direct, chat: "5".into(), thread: None, reply_to: None };
    assert_eq!(server.client.send_message_plain(TOKEN, &direct, "<hi>", &[]).await, Ok(9));
    insta::assert_json_snapshot!(server.calls()[0].1, @r#"
    {
      "chat_id": 5,
      "text": "<hi>"
    }
    "#);
}

#[tokio::test]
async fn a_bot_is_looked_up_and_its_webhook_set_and_ended() {
    let me = json!({ "ok": true, "result": { "id": 9, "is_bot": true, "first_name": "Tidy", "username": "tidy_bot" } });
    let done = json!({ "ok": true, "result": true });
    let server = Server::start(&[(200, me), (200, done.clone()), (200, done.clone()), (200, done)]).await;
    assert_eq!(server.client.get_me(TOKEN).await.unwrap().username, "tidy_bot");
    server.client.set_webhook(TOKEN, "https://bots.example/hooks/telegram/link_1", "s3cret").await.unwrap();
    server.client.send_typing(TOKEN, &address()).await.unwrap();
    server.client.delete_webhook(TOKEN).await.unwrap();
    insta::assert_json_snapshot!(server.calls(), @r#"
    [
      [
        "/bot123456:AA-secret_token/getMe",
        {}
      ],
      [
        "/bot123456:AA-secret_token/setWebhook",
        {
          "allowed_updates": [
            "message",
            "edited_message",
            "callback_query",
            "message_reaction"
          ],
          "drop_pending_updates": false,
          "max_connections": 40,
          "secret_token": "s3cret",
          "url": "https://bots.example/hooks/telegram/link_1"
        }
      ],
      [
        "/bot123456:AA-secret_token/sendChatAction",
        {
          "action": "typing",
          "chat_id": -100,
          "message_thread_id": 17
        }
      ],
      [
        "/bot123456:AA-secret_token/deleteWebhook",
        {
          "drop_pending_updates": false
        }
      ]
    ]
    "#);
}

#[tokio::test]
async fn an_error_says_what_to_do_next() {
    let mut limited = refusal(429, "Too Many Requests: retry after 14");
    limited.1["parameters"] = json!({ "retry_after": 14 });
    let errors = [
        send(limited.0, limited.1).await.unwrap_err(),
        send_refused(429, "Too Many Requests").await,
        send_refused(401, "Unauthorized").await,
        send_refused(404, "Not Found").await,
        send_refused(403, "Forbidden: bot was blocked by the user").await,
        send_refused(400, "Bad Request: chat not found").await,
        send_refused(400, "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 0").await,
        send_refused(500, "Internal Server Error").await,
        send(200, json!({ "ok": true, "result": "surprise" })).await.unwrap_err(),
    ];
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    the channel asks for a pause of 14 s; send the same again after it
    the channel asks for a pause of 5 s; send the same again after it
    the channel does not accept the bot's token (Unauthorized); stop, and ask the owner for a new one
    the channel does not accept the bot's token (Not Found); stop, and ask the owner for a new one
    nobody can be reached in this chat (Forbidden: bot was blocked by the user); drop what is meant for it
    nobody can be reached in this chat (Bad Request: chat not found); drop what is meant for it
    the channel refused the message (Bad Request: can't parse entities: Unsupported start tag "x" at byte offset 0); send it in a simpler form or drop it
    the channel could not be reached or failed (status 500: Internal Server Error); try again later
    the channel could not be reached or failed (a result of an unknown shape); try again later
    "#);
}

#[tokio::test]
async fn a_body_that_is_not_the_bot_apis_is_temporary() {
    let server = Server::start_raw(vec![(502, "<html>Bad Gateway</html>".into())]).await;
    let error = server.client.send_typing(TOKEN, &address()).await.unwrap_err();
    assert_eq!(error, SendError::Temporary("status 502 with a body that is not the Bot API's".into()));
}

#[tokio::test]
async fn a_group_that_became_a_supergroup_is_followed_once() {
    let moved = |to: i64| {
        let mut answer = refusal(400, "Bad Request: group chat was upgraded to a supergroup chat");
        answer.1["parameters"] = json!({ "migrate_to_chat_id": to });
        answer
    };
    let server = Server::start(&[moved(-1001), (200, json!({ "ok": true, "result": { "message_id": 1 } }))]).await;
    assert_eq!(server.client.send_message(TOKEN, &address(), "hi", &[]).await, Ok(1));
    let chats: Vec<Value> = server.calls().into_iter().map(|(_, params)| params["chat_id"].clone()).collect();
    assert_eq!(chats, [json!(-100), json!(-1001)]);

    let server = Server::start(&[moved(-1001), moved(-1002)]).await;
    let error = server.client.send_message(TOKEN, &address(), "hi", &[]).await.unwrap_err();
    assert_eq!(error, SendError::Unreachable("the group moved to the chat -1002".into()));
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test]
async fn no_error_shows_the_token() {
    let silent = Server::start(&[]).await;
    let quick = silent.client.clone().with_timeout(Duration::from_millis(50));
    let timed_out = quick.get_me(TOKEN).await.unwrap_err();
    assert_eq!(timed_out, SendError::Temporary("no answer within 50ms".into()));

    let nobody = client("http://127.0.0.1:1").get_me(TOKEN).await.unwrap_err();
    let no_url = client("not a url").get_me(TOKEN).await.unwrap_err();
    let echo = send_refused(400, &format!("no route for /bot{TOKEN}/sendMessage")).await;
    for error in [nobody, no_url, echo] {
        assert!(!format!("{error} {error:?}").contains("secret_token"), "{error}");
    }
}

#[tokio::test]
async fn a_text_that_is_no_token_is_not_sent_anywhere() {
    let server = Server::start(&[]).await;
    for token in ["", "123", "123:", ":abc", "123:a/../b", "x:abc", "123:abc?x"] {
        let error = server.client.get_me(token).await.unwrap_err();
        assert!(matches!(error, SendError::Unauthorised(_)), "{token}: {error}");
    }
    assert!(server.calls().is_empty());
}
