//! Lists page by page, and what a list of bots says of each.

use std::time::Duration;

use domain::turn::ReplyTo;
use domain::{AccessPolicy, Link, LinkSettings, LinkStatus};
use store::{Heard, Page};

use super::*;

fn link(n: u128, bot: BotId) -> Link {
    Link {
        id: LinkId::from_parts(at(0), n),
        account: account(1),
        bot,
        channel: Channel::Telegram,
        status: LinkStatus::Active,
        access: AccessPolicy::default(),
        settings: LinkSettings::default(),
        handle: Some(format!("bot_{n}")),
        channel_id: None,
        token: None,
        webhook_secret: None,
        webhook_secret_sha256: None,
        created_at: at(0),
        updated_at: at(0),
        version: 1,
    }
}

fn names<T>(page: &Page<T>, name: impl Fn(&T) -> &str) -> Vec<String> {
    page.items.iter().map(|item| name(item).to_owned()).collect()
}

#[tokio::test]
async fn pages_hold_every_line_once_and_the_last_says_so() {
    let world = world().await;
    let state = world.store.account(account(1));
    for n in 1..=6 {
        state.bot_create(&bot(&format!("Bot {n}"), n)).await.unwrap();
    }
    for (limit, sizes) in [(4, vec![4, 2]), (3, vec![3, 3]), (6, vec![6]), (100, vec![6])] {
        let (mut after, mut seen, mut found) = (None, vec![], vec![]);
        for size in &sizes {
            let page = state.bot_page(&PageRange { after, limit }, at(1)).await.unwrap();
            found.push(page.items.len());
            assert_eq!(page.next.is_some(), found.len() < sizes.len(), "a page of {size}");
            seen.extend(names(&page, |line| &line.bot.name));
            after = page.next;
        }
        assert_eq!(found, sizes);
        assert_eq!(seen, ["Bot 1", "Bot 2", "Bot 3", "Bot 4", "Bot 5", "Bot 6"]);
    }
    let other = world.store.account(account(2));
    let all = state.bot_page(&PageRange { after: None, limit: 1 }, at(1)).await.unwrap();
    let theirs = other.bot_page(&PageRange { after: all.next, limit: 100 }, at(1)).await.unwrap();
    assert_eq!((theirs.items.len(), theirs.next), (0, None), "a place is nothing in another account");
}

#[tokio::test]
async fn what_is_too_long_for_one_answer_goes_on_in_the_next() {
    let world = world().await;
    let state = world.store.account(account(1));
    for n in 1..=5u64 {
        let long = Notice { about: format!("{n}"), bot: None, text: "x".repeat(300_000), at: at(n) };
        assert!(state.notice_put(&long).await.unwrap());
    }
    let first = state.notice_page(&PageRange::default(), at(9)).await.unwrap();
    assert!(first.items.len() < 5 && first.next.is_some(), "DynamoDB answers with 1 MB at most");
    let second = state.notice_page(&PageRange { after: first.next.clone(), limit: 100 }, at(9)).await.unwrap();
    assert_eq!([names(&first, |it| &it.about), names(&second, |it| &it.about)].concat(), ["5", "4", "3", "2", "1"]);
    assert_eq!(second.next, None);
}

#[tokio::test]
async fn bots_are_found_by_the_beginning_of_their_names() {
    let world = world().await;
    let state = world.store.account(account(1));
    for (n, name) in ["Tide 2", "Heron", "tide 1", "Ebb"].into_iter().enumerate() {
        state.bot_create(&bot(name, n as u128)).await.unwrap();
    }
    let first = state.bot_page_by_name("TIDE", &PageRange { after: None, limit: 1 }, at(1)).await.unwrap();
    assert_eq!(names(&first, |line| &line.bot.name), ["tide 1"]);
    let whole = state.bot_page_by_name("tide 1", &PageRange { after: None, limit: 1 }, at(1)).await.unwrap();
    assert_eq!((names(&whole, |line| &line.bot.name), whole.next), (vec!["tide 1".to_owned()], None));
    let second = state.bot_page_by_name("TIDE", &PageRange { after: first.next, limit: 1 }, at(1)).await.unwrap();
    assert_eq!((names(&second, |line| &line.bot.name), second.next), (vec!["Tide 2".to_owned()], None));
    assert_eq!(state.bot_page_by_name("reef", &PageRange::default(), at(1)).await.unwrap().items, []);
}

#[tokio::test]
async fn a_bot_shows_its_links_its_newest_notice_and_its_last_message() {
    let world = world().await;
    let state = world.store.account(account(1));
    let created = bot("Tidy", 2);
    let (id, mut link) = (created.id, link(1, created.id));
    assert!(matches!(state.link_create(&link).await, Err(StoreError::Conflict(_))), "there is no such bot yet");
    state.bot_create(&created).await.unwrap();
    let glance = async |now| state.bot_page(&PageRange::default(), now).await.unwrap().items.remove(0);
    let before = glance(at(1)).await;
    assert_eq!((before.links.len(), before.notice, before.bot.heard_at), (0, None, None));

    state.link_create(&link).await.unwrap();
    (link.status, link.version) = (LinkStatus::Failed { reason: "refused".to_owned() }, 2);
    state.link_update(1, &link).await.unwrap();
    let shown = glance(at(1)).await.links;
    assert_eq!((shown.len(), &shown[0].status, shown[0].handle.as_deref()), (1, &link.status, Some("bot_1")));

    let notice = |about: &str, n| Notice { about: about.into(), bot: Some(id), text: about.into(), at: at(n) };
    for (about, n) in [("old", 1), ("new", 2)] {
        assert!(state.notice_put(&notice(about, n)).await.unwrap());
    }
    assert!(!state.notice_put(&notice("old", 3)).await.unwrap(), "the owner knows");
    assert_eq!(glance(at(3)).await.notice, Some(notice("new", 2)));
    state.notice_delete("old", at(3)).await.unwrap();
    assert_eq!(glance(at(3)).await.notice, Some(notice("new", 2)));
    assert_eq!(glance(at(2) + store::NOTICE_TTL).await.notice, None);

    // What is written beside the record is no edit, and an edit leaves it.
    let main = SessionKey::main("main");
    let person = Heard { session: Some(main.clone()), ..Heard::default() };
    state.bot_heard(&created, &person, at(60)).await.unwrap();
    let heard = state.bot_get(id).await.unwrap().unwrap();
    assert_eq!((heard.heard_at, heard.version), (Some(at(60)), 1));
    state.bot_heard(&heard, &person, at(60) + Duration::from_secs(59)).await.unwrap();
    assert_eq!(state.bot_get(id).await.unwrap().unwrap().heard_at, Some(at(60)), "it is known to the minute");
    // The owner is followed to another session at once.
    let own: SessionKey = "agent:main:telegram:direct:5".parse().unwrap();
    let chat = {
        let Outbound { account, bot, link, channel, address, .. } = outbound(1);
        ReplyTo { account, bot, link, channel, address, parent: None, hops: 0 }
    };
    let owner = Heard { session: Some(own.clone()), is_owner: true, owner_chat: Some(chat.clone()) };
    state.bot_heard(&heard, &owner, at(61)).await.unwrap();
    let heard = state.bot_get(id).await.unwrap().unwrap();
    assert_eq!(heard.heard_in.owner_chat.as_ref(), Some(&chat));
    assert_eq!((&heard.heard_in.anyone, &heard.heard_in.owner), (&Some(own.clone()), &Some(own.clone())));
    state.bot_heard(&heard, &person, at(122)).await.unwrap();
    let heard = state.bot_get(id).await.unwrap().unwrap();
    assert_eq!(heard.heard_in.owner_chat, Some(chat));
    assert_eq!((&heard.heard_in.anyone, &heard.heard_in.owner), (&Some(main.clone()), &Some(own)));
    let renamed = Bot { name: "Tidier".into(), version: 2, ..heard.clone() };
    state.bot_update(&heard, &renamed).await.unwrap();
    let after = glance(at(61)).await;
    assert_eq!((after.bot, after.links.len(), after.notice), (renamed.clone(), 1, Some(notice("new", 2))));

    state.link_delete(&link).await.unwrap();
    state.notice_delete("new", at(3)).await.unwrap();
    let after = glance(at(61)).await;
    assert_eq!((after.links.len(), after.notice), (0, None));
    state.bot_delete(&renamed).await.unwrap();
    state.bot_heard(&created, &Heard { is_owner: true, ..person }, at(120)).await.unwrap();
    assert!(state.notice_put(&notice("late", 4)).await.unwrap(), "what happened to a bot that is gone is told");
    assert_eq!(state.bot_page(&PageRange::default(), at(5)).await.unwrap().items, [], "it does not come back");
}
