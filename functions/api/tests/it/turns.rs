//! What each turn took.

use api::views::{BotView, SessionPage, StepKind, TurnView, TurnsPage};
use domain::turn::{Head, ReplyTo};
use domain::{
    Answer, Channel, Entry, EntryBody, EntryId, Inbound, OutboundId, SessionKey, Timestamp, ToolCall, TurnId, Usage,
};
use serde_json::json;
use store::{Commit, Delivery, Spending};

use crate::harness::Api;

const SESSION: &str = "/v1/bots/Tidy/sessions/agent:main:main";

fn tokens(input: u64, output: u64, cached: u64) -> Usage {
    serde_json::from_value(json!({ "input": input, "output": output, "cached": cached })).unwrap()
}

fn answer(model: &str, input: u64, cost: u64, calls: usize) -> EntryBody {
    let call = ToolCall { id: "c".into(), name: "clock".into(), arguments: "{}".into() };
    let usage = tokens(input, 2, input / 2);
    let tool_calls = vec![call; calls];
    EntryBody::Assistant(Answer { model: model.into(), usage, cost, tool_calls, ..Answer::default() })
}

/// Commits a turn's entries after what is there.
async fn commit(api: &Api, bot: &BotView, head: &Head, turn: u128, bodies: Vec<EntryBody>) -> Head {
    let at = Timestamp::from_secs(1_000);
    let turn = TurnId::from_parts(at, turn);
    let entry =
        |(seq, body): (u64, EntryBody)| Entry { seq, id: EntryId::from_parts(at, u128::from(seq)), turn, at, body };
    let entries: Vec<Entry> = (head.next_seq..).zip(bodies).map(entry).collect();
    let after = head.after(&entries, &Default::default(), at);
    let spending = Spending::Nothing;
    let commit = Commit {
        seen: head,
        head: &after,
        entries: &entries,
        marks: &[],
        outbox: &[],
        spending: &spending,
        place: None,
    };
    let account = api.environment.store.account(api.account);
    account.session_commit(bot.id, &SessionKey::main("main"), &commit).await.unwrap();
    after
}

#[tokio::test]
async fn the_calls_of_a_turn_are_added_up() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    let turns = format!("{SESSION}/turns");
    assert!(api.get(&turns).await.problem(404).contains("no session"));
    let usage = tokens(7, 1, 0);
    let compaction = EntryBody::Compaction {
        summary: String::new(),
        first_kept: 0,
        tokens_before: 0,
        model: "b/y".into(),
        usage,
        cost: 5,
    };
    let bodies = vec![compaction, answer("a/x", 10, 100, 2), answer("a/x", 20, 200, 0)];
    let head = commit(&api, &bot, &Head::default(), 1, bodies).await;
    let head = commit(&api, &bot, &head, 2, vec![EntryBody::Notice { text: "Done.".into() }]).await;
    commit(&api, &bot, &head, 3, vec![answer("b/y", 30, 0, 0)]).await;

    let page: TurnsPage = api.get(&turns).await.read(200);
    assert_eq!(page.next, None);
    let [third, second, first] = page.items.as_slice() else { panic!("{page:?}") };
    assert_eq!((first.model_calls, first.tool_calls, first.cost), (3, 2, 305));
    assert_eq!(first.usage, tokens(37, 5, 15));
    assert_eq!((first.models.as_slice(), first.seq), (&["b/y".to_owned(), "a/x".to_owned()][..], 0));
    assert_eq!((second.model_calls, second.usage, second.cost), (0, Usage::default(), 0));
    assert_eq!((third.model_calls, third.usage.input), (1, 30));
    let session: SessionPage = api.get(SESSION).await.read(200);
    let mut sum = Usage::default();
    page.items.iter().for_each(|turn| sum += turn.usage);
    assert_eq!((sum, page.items.iter().map(|turn| turn.cost).sum()), (session.usage, session.cost));

    let newest: TurnsPage = api.get(&format!("{turns}?limit=2")).await.read(200);
    assert_eq!((newest.items.as_slice(), newest.next), (&page.items[..2], Some(3)));
    let older: TurnsPage = api.get(&format!("{turns}?limit=2&before=3")).await.read(200);
    assert_eq!((older.items.as_slice(), older.next), (&page.items[2..], None));
    api.get(&format!("{turns}?limit=0")).await.problem(400);
    api.get(&format!("{turns}?limit=101")).await.problem(400);
    let stranger = api.other_key().await;
    api.call_as(&stranger, "GET", &turns, None).await.problem(404);
}

#[tokio::test]
async fn a_turn_is_never_shown_in_part() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    let mut head = Head::default();
    // Turns of 1, 2, … 60 answers: 1,830 entries, of which one reading holds a part.
    for turn in 1..=60 {
        let bodies = (0..turn).map(|_| answer("a/x", 10, 3, 0)).collect();
        head = commit(&api, &bot, &head, turn, bodies).await;
    }
    let mut all: Vec<TurnView> = vec![];
    let mut query = "?limit=7".to_owned();
    loop {
        let page: TurnsPage = api.get(&format!("{SESSION}/turns{query}")).await.read(200);
        all.extend(page.items);
        let Some(next) = page.next else { break };
        query = format!("?limit=7&before={next}");
    }
    assert_eq!(all.iter().map(|turn| turn.model_calls).collect::<Vec<_>>(), (1..=60).rev().collect::<Vec<u64>>());
    assert_eq!(all.iter().map(|turn| turn.cost).sum::<u64>(), head.cost);
}

#[tokio::test]
async fn a_turn_that_was_sent_says_when_it_was_delivered() {
    let api = Api::start().await;
    let bot = api.new_bot("Tidy").await;
    let inbound = Inbound { channel: Channel::Webhook, ..crate::usage::said(&api, &bot, "main").await };
    let bodies = vec![EntryBody::User(crate::chat::user(&inbound)), answer("a/x", 10, 100, 0)];
    crate::chat::commit(&api, &inbound, &Head::default(), bodies).await;
    let turns = format!("{SESSION}/turns");
    let kinds = async || {
        let page: TurnsPage = api.get(&turns).await.read(200);
        page.items[0].steps.iter().map(|step| step.kind).collect::<Vec<_>>()
    };
    let until_sent = [StepKind::Queued, StepKind::Loaded, StepKind::Model];
    assert_eq!(kinds().await, until_sent);

    let page: TurnsPage = api.get(&turns).await.read(200);
    let (turn, now) = (page.items[0].turn, api.environment.clock.now());
    let reply = ReplyTo::of(&inbound).outbound(OutboundId::reply(turn, 0), "Noon.".into(), now).unwrap();
    let delivery = Delivery { delivered_at: Some(now), ..Delivery::of(reply) };
    api.environment.store.account(api.account).delivery_put(&delivery).await.unwrap();
    assert_eq!(kinds().await, [&until_sent[..], &[StepKind::Delivered]].concat());
}
