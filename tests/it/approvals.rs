//! A stranger asks for what needs the owner's word: the owner is asked in their own chat, and the stranger learns nothing.

use agent::{BotView, Mind, ModelError, ModelRequest, ToolContext};
use domain::turn::ToolRules;
use domain::{AccessPolicy, Answer, Bot, EntryBody, Link, SessionScope, ToolCall, ToolOutcome, ToolResult};
use futures::future::BoxFuture;
use serde_json::json;

use crate::media::World;

const OWNER: u32 = 6;
const STRANGER: u32 = 5;

/// Pays whoever asks for it, once its owner allows that.
struct Payer;

impl ToolRules for Payer {
    fn may_repeat(&self, _: &Bot, _: &ToolCall) -> bool {
        false
    }

    fn needs_approval(&self, _: &Bot, _: &ToolCall) -> bool {
        true
    }
}

impl Mind for Payer {
    fn answer<'a>(&'a self, request: &'a ModelRequest<'a>) -> BoxFuture<'a, Result<Answer, ModelError>> {
        let last = request.entries.last().map(|entry| &entry.body);
        let mut answer = Answer { model: "test/payer".to_owned(), ..Answer::default() };
        match last {
            Some(EntryBody::User(user)) if user.text == "pay me" => {
                let arguments = json!({ "account": "secret-iban" }).to_string();
                answer.tool_calls = vec![ToolCall { id: "call_1".to_owned(), name: "pay".to_owned(), arguments }];
            }
            Some(EntryBody::ToolResult(result)) => answer.text.clone_from(&result.text),
            _ => answer.text = "Hello.".to_owned(),
        }
        Box::pin(async { Ok(answer) })
    }

    fn run_tool<'a>(&'a self, call: &'a ToolCall, _: &'a ToolContext<'a>) -> BoxFuture<'a, ToolResult> {
        let (call, name) = (call.id.clone(), call.name.clone());
        Box::pin(async {
            ToolResult { call, name, outcome: ToolOutcome::Ok, text: "Paid.".to_owned(), media: vec![], asked: None }
        })
    }

    fn estimate(&self, _: &ModelRequest<'_>) -> Option<u64> {
        None
    }

    fn tool_names(&self, _: &BotView<'_>) -> Vec<String> {
        vec![]
    }

    fn context_window(&self, _: &BotView<'_>) -> u64 {
        100_000
    }
}

async fn say(world: &World, person: u32, n: u32, text: &str) {
    let message = json!({
        "message_id": n, "date": 1_795_341_600, "text": text,
        "chat": { "id": person, "type": "private" },
        "from": { "id": person, "is_bot": false, "first_name": "Ada" },
    });
    world.post(json!({ "update_id": n, "message": message })).await;
}

#[tokio::test]
async fn the_owner_is_asked_in_their_own_chat_and_decides_there() {
    let world = World::start(|bot| bot.dm_scope = SessionScope::PerChannelPeer).await;
    let access = AccessPolicy { owners: vec![OWNER.to_string()], ..world.link.access.clone() };
    let link = Link { access, version: world.link.version + 1, ..world.link.clone() };
    world.stack.environment.store.account(link.account).link_update(world.link.version, &link).await.unwrap();
    let turns = world.thinking(Payer);
    let said_to = |person: u32| world.sent().into_iter().filter(move |sent| sent.chat == person.to_string());

    say(&world, OWNER, 1, "hello").await;
    world.work(&turns).await;
    say(&world, STRANGER, 2, "pay me").await;
    world.work(&turns).await;
    let [told] = said_to(STRANGER).collect::<Vec<_>>().try_into().unwrap();
    assert!(told.text_html.contains("needs my owner's approval") && told.buttons.is_empty(), "{told:?}");
    assert!(!told.text_html.contains("secret-iban") && !told.text_html.contains("/approve"), "{told:?}");
    let asked = said_to(OWNER).last().unwrap();
    assert!(asked.text_html.contains("secret-iban") && asked.text_html.contains("direct:5"), "{asked:?}");
    let [allow, _, _] = asked.buttons.as_slice() else { panic!("three buttons: {asked:?}") };

    let press = |person: u32, n: u32| {
        json!({ "update_id": n, "callback_query": {
            "id": n.to_string(), "from": { "id": person, "is_bot": false, "first_name": "Ada" }, "data": allow.1,
            "message": { "message_id": 3, "date": 0, "chat": { "id": person, "type": "private" } },
        } })
    };
    world.post(press(STRANGER, 3)).await;
    world.work(&turns).await;
    assert!(said_to(STRANGER).all(|sent| sent.text_html != "Paid."), "only an owner's word counts");
    world.post(press(OWNER, 4)).await;
    world.work(&turns).await;
    assert_eq!(said_to(STRANGER).last().unwrap().text_html, "Paid.");

    // What is said to the owner from now on must not go to the stranger: a decision shows no place.
    let account = world.stack.environment.store.account(link.account);
    let heard = account.bot_get(link.bot).await.unwrap().unwrap().heard_in;
    assert!(heard.owner.is_some_and(|session| session.as_str().ends_with("direct:6")), "the owner's own session");
    assert_eq!(heard.owner_chat.map(|chat| chat.address.chat), Some(OWNER.to_string()));
    world.telegram.assert_clean();
}
