//! What is promised, compared with what happened.

use std::collections::{BTreeMap, BTreeSet};

use domain::budget::Period;
use domain::{Entry, EntryBody, Inbound, MessageId, SessionKey, Task, TurnId};

use testkit::cloud::Sent;

use super::actors::{SEND, parts_of};
use super::world::{OUTBOUND, OWNERS, TURNS, World};

/// Every message that the door has accepted, as it was queued first, in order.
pub(super) fn accepted(world: &World) -> Vec<Inbound> {
    let mut seen = BTreeSet::new();
    let mut accepted = Vec::new();
    for sent in world.cloud.sent(TURNS) {
        if let Ok(Task::Message(inbound)) = Task::from_body(&sent.body)
            && seen.insert(inbound.message.as_str().to_owned())
        {
            accepted.push(*inbound);
        }
    }
    accepted
}

/// The promises that were broken.
pub(super) async fn all(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    let messages = accepted(world);
    let goes_on = |sent: &&Sent| matches!(Task::from_body(&sent.body), Ok(Task::Continue(_)));
    let continued = world.cloud.sent(TURNS).iter().filter(goes_on).count();
    world.weather.count(|counts| counts.continued_turns += continued as u64);
    let sessions: BTreeSet<SessionKey> = messages.iter().map(|inbound| inbound.session.clone()).collect();
    let mut turns = BTreeMap::new();
    for session in &sessions {
        let account = world.environment.store.account(world.account.id);
        let head = match account.session_head(world.bot.id, session).await {
            Ok(head) => head.unwrap_or_default(),
            Err(error) => {
                broken.push(format!("{session}: the head cannot be read: {error}"));
                continue;
            }
        };
        let log = match read(world, session).await {
            Ok(log) => log,
            Err(error) => {
                broken.push(format!("{session}: the log cannot be read: {error}"));
                continue;
            }
        };
        if log.iter().enumerate().any(|(at, entry)| entry.seq != at as u64) || log.len() as u64 != head.next_seq {
            broken.push(format!("{session}: the log has a gap or a repetition, or the head lags behind it"));
        }
        if head.turn.is_some() {
            broken.push(format!("{session}: a turn never ended"));
        }
        let here: Vec<&Inbound> = messages.iter().filter(|inbound| inbound.session == *session).collect();
        broken.extend(taken_in_once_and_in_order(world, &here, &log));
        broken.extend(stops_were_heeded(world, session, &here, &log));
        broken.extend(turns_ended_once(world, &log));
        broken.extend(only_what_was_approved_ran(world, &log));
        broken.extend(calm_worlds_have_no_trouble(world, session, &log));
        for entry in log {
            turns.entry(entry.turn).or_insert_with(Vec::new).push(entry);
        }
    }
    if world.weather.is_calm() {
        broken.extend(
            world.buried.lock().expect("one thread").iter().map(|why| format!("a dead letter in calm weather: {why}")),
        );
    }
    broken.extend(replies_were_sent_once(world, &turns));
    broken.extend(tools_ran_once(world, &turns));
    broken.extend(budgets_were_kept(world).await);
    match world.environment.store.account(world.account.id).approval_list().await {
        Ok(left) => broken.extend(left.iter().map(|left| format!("{} still waits for its owner", left.code))),
        Err(error) => broken.push(format!("what waits cannot be read: {error}")),
    }
    for queue in [TURNS, OUTBOUND, "turns-dlq.fifo", "outbound-dlq.fifo"] {
        if world.cloud.queue_len(queue) > 0 {
            broken.push(format!("{} tasks are left in {queue}", world.cloud.queue_len(queue)));
        }
    }
    broken
}

async fn read(world: &World, session: &SessionKey) -> Result<Vec<Entry>, store::StoreError> {
    let account = world.environment.store.account(world.account.id);
    let (mut log, mut from) = (Vec::new(), 0);
    loop {
        let page = account.session_read(world.bot.id, session, from, 100).await?;
        if page.entries.is_empty() {
            return Ok(log);
        }
        log.extend(page.entries);
        from = page.next;
    }
}

/// Every accepted message is in the log, once, and those of a session in the order in which they were accepted.
fn taken_in_once_and_in_order(world: &World, accepted: &[&Inbound], log: &[Entry]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut places: BTreeMap<&str, Vec<(u64, bool)>> = BTreeMap::new();
    for entry in log {
        let is_dropped = matches!(entry.body, EntryBody::Dropped { .. });
        for user in entry.body.messages() {
            places.entry(user.message.as_str()).or_default().push((entry.seq, is_dropped));
        }
    }
    let replayed = world.replayed.lock().expect("one thread");
    let mut last = 0;
    for inbound in accepted {
        let found = places.get(inbound.message.as_str()).map_or(&[][..], Vec::as_slice);
        match found {
            [(seq, is_dropped)] => {
                // What failed and is asked again, and what was left out, may come later than what came after it.
                let may_be_late = *is_dropped || replayed.contains(inbound.message.as_str());
                if *seq < last && !may_be_late {
                    broken.push(format!("{:?} stands before what was said before it", inbound.text));
                }
                if !may_be_late {
                    last = *seq;
                }
            }
            [] => broken.push(format!("{:?} of {} was never taken in", inbound.text, inbound.session)),
            _ => broken.push(format!("{:?} of {} was taken in {} times", inbound.text, inbound.session, found.len())),
        }
    }
    broken
}

/// Every turn ended, once.
fn turns_ended_once(world: &World, log: &[Entry]) -> Vec<String> {
    let mut ends: BTreeMap<TurnId, u32> = BTreeMap::new();
    for entry in log {
        let is_end = entry.body.is_final() && !matches!(entry.body, EntryBody::Dropped { .. });
        *ends.entry(entry.turn).or_default() += u32::from(is_end);
        world.weather.count(|counts| match &entry.body {
            EntryBody::Stopped { .. } => counts.stopped_turns += 1,
            EntryBody::Compaction { .. } => counts.compactions += 1,
            EntryBody::Reset { .. } => counts.resets += 1,
            EntryBody::Notice { text } if text.contains("budget") || text.contains("cost more") => {
                counts.refused_for_budget += 1;
            }
            _ => {}
        });
    }
    let dropped =
        |turn: &TurnId| log.iter().any(|entry| entry.turn == *turn && matches!(entry.body, EntryBody::Dropped { .. }));
    let wrong = ends.iter().filter(|(turn, ends)| **ends != 1 && !(**ends == 0 && dropped(turn)));
    wrong.map(|(turn, ends)| format!("{turn} ended {ends} times")).collect()
}

/// After a stop was accepted, no answer to what was said before it was committed.
fn stops_were_heeded(world: &World, session: &SessionKey, accepted: &[&Inbound], log: &[Entry]) -> Vec<String> {
    let mut broken = Vec::new();
    let stops = world.stops.lock().expect("one thread");
    let replayed = world.replayed.lock().expect("one thread");
    let received: BTreeMap<&str, domain::Timestamp> =
        accepted.iter().map(|inbound| (inbound.message.as_str(), inbound.received_at)).collect();
    for (_, at, seq) in stops.iter().filter(|(key, ..)| key == session) {
        for entry in log.iter().filter(|entry| entry.seq >= *seq) {
            let EntryBody::Assistant(answer) = &entry.body else { continue };
            let own = |other: &&Entry| other.turn == entry.turn && other.seq < entry.seq;
            let asked: Vec<&MessageId> =
                log.iter().filter(own).flat_map(|other| other.body.messages()).map(|user| &user.message).collect();
            let was_before = |message: &&MessageId| received.get(message.as_str()).is_some_and(|then| then < at);
            // What failed and was asked again by its owner was asked after the stop.
            let is_replay = asked.iter().any(|message| replayed.contains(message.as_str()));
            if !asked.is_empty() && asked.iter().all(was_before) && !is_replay {
                broken.push(format!("{:?} was answered although it was stopped: {:?}", asked, answer.text));
            }
        }
    }
    broken
}

/// What each turn said was read once; more often only where a channel without keys may have been asked by a worker
/// that never learnt of it.
fn replies_were_sent_once(world: &World, turns: &BTreeMap<TurnId, Vec<Entry>>) -> Vec<String> {
    let mut broken = Vec::new();
    let sent = world.post.sent();
    let mut repeats = 0;
    let mut expected = BTreeSet::new();
    for (turn, entries) in turns {
        for entry in entries {
            let EntryBody::Asked { code, text, .. } = &entry.body else { continue };
            // Who does not own the bot is told that its owner is asked; the owner reads the question in a chat of their own.
            let keys = [format!("{turn}.ask.{code}.0"), format!("{turn}.ask-owner.{code}.0")];
            let [here, elsewhere] = keys.each_ref().map(|key| {
                let read = sent.messages.iter().filter(|(_, k, _)| k == key);
                read.map(|(.., said)| said.ends_with(text.as_str())).collect::<Vec<bool>>()
            });
            if here.is_empty() {
                broken.push(format!("{turn} asked {code}, and nobody read it"));
            }
            if here.iter().any(|is_question| !is_question) && elsewhere.iter().any(|is_question| !is_question) {
                broken.push(format!("{turn} asked {code}, and its owner read something else"));
            }
            repeats += here.len().saturating_sub(1) as u64 + elsewhere.len().saturating_sub(1) as u64;
            expected.extend(keys);
        }
        let said = entries.iter().rev().find_map(|entry| match &entry.body {
            EntryBody::Assistant(answer) if answer.tool_calls.is_empty() => Some(&answer.text),
            EntryBody::Notice { text } | EntryBody::Failed { text, .. } => Some(text),
            _ => None,
        });
        let Some(said) = said else { continue };
        for (index, part) in parts_of(said).iter().enumerate() {
            let key = format!("{turn}.0.{index}");
            let is_read = |(_, k, _): &&(String, String, String)| *k == key;
            let read: Vec<&String> = sent.messages.iter().filter(is_read).map(|(.., text)| text).collect();
            expected.insert(key);
            match read.as_slice() {
                [] => broken.push(format!("{turn} said {part:?}, and nobody read it")),
                [first, ..] if *first != part => broken.push(format!("{turn} said {part:?}, and {first:?} was read")),
                _ => repeats += read.len() as u64 - 1,
            }
        }
    }
    for (chat, key, text) in &sent.messages {
        if !expected.contains(key) {
            broken.push(format!("chat {chat} read {text:?} ({key}), which no turn has said"));
        }
    }
    if world.post.has_keys && repeats > 0 {
        broken.push(format!("{repeats} replies were read twice on a channel with keys"));
    } else if repeats > sent.unsure {
        broken.push(format!("{repeats} replies were read twice, and only {} workers may not have known", sent.unsure));
    }
    broken
}

/// Where nobody dies and nothing gets lost, each chat reads its answers in the order of its log, and nothing is given up or
/// fails but a model that is busy again and again.
fn calm_worlds_have_no_trouble(world: &World, session: &SessionKey, log: &[Entry]) -> Vec<String> {
    if !world.weather.is_calm() {
        return vec![];
    }
    let mut broken = Vec::new();
    for entry in log {
        if let EntryBody::Failed { text, detail } = &entry.body
            && !detail.contains("busy")
        {
            broken.push(format!("{session}: {} failed in calm weather: {text} ({detail})", entry.turn));
        }
    }
    let sent = world.post.sent();
    let ended: Vec<TurnId> = log.iter().filter(|entry| entry.body.is_final()).map(|entry| entry.turn).collect();
    // One session may answer in several chats, since an owner decides in their own: each has an order of its own.
    let mut read: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for turn in ended {
        let key = format!("{turn}.0.0");
        if let Some(place) = sent.messages.iter().position(|(_, other, _)| *other == key) {
            read.entry(&sent.messages[place].0).or_default().push(place);
        }
    }
    for (chat, _) in read.iter().filter(|(_, places)| !places.is_sorted()) {
        broken.push(format!("{session}: chat {chat} read the answers in another order than they were given"));
    }
    broken
}

/// A tool that must not be repeated was not, and each call has one result unless its turn was ended.
fn tools_ran_once(world: &World, turns: &BTreeMap<TurnId, Vec<Entry>>) -> Vec<String> {
    let mut broken = Vec::new();
    for (call, times) in &world.script.ledger().payments {
        if *times > 1 {
            broken.push(format!("{call} must not be repeated and was carried out {times} times"));
        }
    }
    for entries in turns.values() {
        let ended_early = entries.iter().any(|entry| {
            matches!(entry.body, EntryBody::Stopped { .. } | EntryBody::Failed { .. } | EntryBody::Notice { .. })
        });
        for entry in entries {
            let EntryBody::Assistant(answer) = &entry.body else { continue };
            for call in &answer.tool_calls {
                let is_result =
                    |other: &&Entry| matches!(&other.body, EntryBody::ToolResult(result) if result.call == call.id);
                let results = entries.iter().filter(is_result).count();
                if results > 1 || (results == 0 && !ended_early) {
                    broken.push(format!("{} has {results} results", call.id));
                }
            }
        }
    }
    broken
}

/// A tool that asks ran only after its owner had approved the call, or all calls of it in the session.
fn only_what_was_approved_ran(world: &World, log: &[Entry]) -> Vec<String> {
    let mut broken = Vec::new();
    let ledger = world.script.ledger();
    // The calls that each question is about, and whether one of the decisions so far allows the rest.
    let mut asked: BTreeMap<&str, &[String]> = BTreeMap::new();
    let mut approved: BTreeSet<&str> = BTreeSet::new();
    let mut all = false;
    for entry in log {
        match &entry.body {
            EntryBody::Asked { code, calls, .. } => {
                asked.insert(code, calls);
            }
            EntryBody::User(user) if OWNERS.contains(&user.sender.id.as_str()) => {
                let words: Vec<&str> = user.text.split(' ').collect();
                if let ["/approve", code, decision @ ("once" | "always")] = words[..]
                    && let Some(calls) = asked.get(code)
                {
                    approved.extend(calls.iter().map(String::as_str));
                    all |= decision == "always";
                }
            }
            EntryBody::ToolResult(result) if result.name == SEND => {
                let ran = ledger.payments.contains_key(&result.call);
                if ran && !all && !approved.contains(result.call.as_str()) {
                    broken.push(format!("{} needs approval and ran without it", result.call));
                }
                let (denied, unanswered) = (result.text.contains("denied"), result.text.contains("nobody answered"));
                if ran && (denied || unanswered) {
                    broken.push(format!("{} ran although it was refused: {}", result.call, result.text));
                }
                world.weather.count(|counts| {
                    counts.approved += u64::from(ran);
                    counts.denied += u64::from(denied);
                    counts.unanswered += u64::from(unanswered);
                });
            }
            _ => {}
        }
    }
    broken
}

/// Neither the counters nor what the provider bills have passed a limit, and the counters know of all that is billed.
async fn budgets_were_kept(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    let billed = world.script.ledger().billed;
    let account = world.environment.store.account(world.account.id);
    let now = world.environment.clock.now();
    for (bot, budget) in [(None, &world.account.budget), (Some(world.bot.id), &world.bot.budget)] {
        let whose = if bot.is_some() { "bot" } else { "account" };
        let spent = match account.spent(bot, &Period::default().containing(now)).await {
            Ok(spent) => spent,
            Err(error) => {
                broken.push(format!("what the {whose} spent cannot be read: {error}"));
                continue;
            }
        };
        if spent.micros < billed {
            broken.push(format!("{billed} were billed, the {whose}'s counter knows of {}", spent.micros));
        }
        if budget.micros.is_some_and(|limit| spent.micros > limit || billed > limit) {
            broken.push(format!("the {whose}'s budget {budget:?} was passed: {spent:?}, billed {billed}"));
        }
        if budget.turns.is_some_and(|limit| spent.turns > limit) {
            broken.push(format!("the {whose}'s budget {budget:?} was passed: {spent:?}"));
        }
    }
    broken
}
