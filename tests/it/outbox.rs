//! A reply that was committed and never queued is sent all the same: the cron function finds it.

use std::time::Duration;

use domain::message::{Address, ChatKind};
use domain::turn::Head;
use domain::{Channel, LinkId, Outbound, OutboundId, SessionKey, TurnId};
use queues::Queue;
use runtime::Clock;
use store::{Commit, OVERDUE_AFTER, Spending};
use testkit::stack::Stack;

#[tokio::test]
async fn an_outbox_that_was_never_queued_is_swept() {
    let stack = Stack::start().await;
    let mut environment = stack.environment.clone();
    let bot = stack.bot(stack.account().await.id, "tidy").await;
    let now = environment.clock.now();
    let outbound = Outbound {
        media: vec![],
        buttons: vec![],
        draft: None,
        mark: None,
        parent: None,
        id: OutboundId::reply(TurnId::from_parts(now, 1), 0),
        account: bot.account,
        bot: bot.id,
        link: LinkId::from_parts(now, 1),
        channel: Channel::Telegram,
        address: Address { kind: ChatKind::Direct, chat: "5".into(), thread: None, reply_to: None },
        text: "hello".into(),
        created_at: now,
    };
    let (seen, head) = (Head::default(), Head { epoch: 1, updated_at: now, ..Head::default() });
    let outbox = [outbound.clone()];
    let spending = &Spending::Nothing;
    let commit = Commit { seen: &seen, head: &head, entries: &[], marks: &[], outbox: &outbox, spending, place: None };
    let account = environment.store.account(bot.account);
    account.session_commit(bot.id, &SessionKey::main("main"), &commit).await.unwrap();

    cron::tick(&environment).await.unwrap();
    assert!(stack.take(Queue::Outbound).await.is_empty(), "it may still be on its way");
    let later = now + OVERDUE_AFTER + Duration::from_secs(1);
    environment.clock = Clock::from_fn(move || later);
    for _ in 0..2 {
        cron::tick(&environment).await.unwrap();
    }
    let swept = stack.take(Queue::Outbound).await;
    assert_eq!(swept.len(), 1, "queued again once, not at every tick");
    assert!(swept[0].body.contains(outbound.id.as_str()));
}
