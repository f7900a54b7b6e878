//! Every key of the table and the bucket, in one place.
//!
//! | record | `pk` | `sk` |
//! | --- | --- | --- |
//! | account | `acct_…` | `account` |
//! | bot | `acct_…` | `bot#bot_…` |
//! | a bot's name is taken | `acct_…` | `botname#<lower case>` |
//! | link | `acct_…` | `link#bot_…#link_…` |
//! | pairing request, expires | `acct_…` | `pairing#link_…#<sender>` |
//! | paired sender | `acct_…` | `paired#link_…#<sender>` |
//! | album of which a piece was let in, expires | `acct_…` | `album#link_…#<sha256 of its name>` |
//! | API key, for lists | `acct_…` | `key#key_…` |
//! | member | `acct_…` | `member#user_…` |
//! | invitation, expires | `acct_…` | `invitation#<e-mail address>` |
//! | browser that is signed in, for lists, expires | `acct_…` | `signin#sign_…` |
//! | line of the audit log, expires | `acct_…` | `audit#<when>#<random>` |
//! | session, for lists | `acct_…` | `session#bot_…#<session key>` |
//! | dead letter | `acct_…` | `dead#dead_…` |
//! | notice to the owner, expires | `acct_…` | `notice#<what about>` |
//! | the same, for lists | `acct_…` | `noticed#<when>#<what about>` |
//! | question that waits for the owner, expires | `acct_…` | `approval#bot_…#<code>` |
//! | request that may be sent again, with its answer, expires | `acct_…` | `request#<caller>#<sha256 of its key>` |
//! | what a bot or the account has spent | `acct_…` | `spend#<bot_… or account>#<day or month>` |
//! | what a bot used of its models in a day, expires | `acct_…` | `use#<day>#bot_…#<shard>` |
//! | job | `acct_…` | `job#bot_…#job_…` |
//! | the last runs of a job | `acct_…` | `jobruns#bot_…#job_…` |
//! | a tool call has made this job, expires after 7 days | `acct_…` | `jobmade#bot_…#job_…` |
//! | session log: entries of one commit | `acct_…#bot_…#s#<session key>` | `e#<first seq, 12 digits>` |
//! | session head | the same | `head` |
//! | message mark, expires after 7 days; the record of its answer, too, if one commit wrote both | the same | `m#msg_…` |
//! | session that this one waits for, expires after a day | the same | `c#<session key>` |
//! | reply that is being written, expires | the same | `partial` |
//! | where a conversation goes on that its client repeats, expires | `acct_…#bot_…#t#<sha256>` | `thread` |
//! | outbox and delivery record of any other reply, expires | `acct_…#bot_…#o#<outbound id>` | `out` |
//! | webhook route | `route#link_…` | `route` |
//! | API key, by hash | `key#<sha256>` | `key` |
//! | browser that is signed in, by hash, expires | `signin#<sha256>` | `signin` |
//! | secret that counts once, by hash, expires | `once#<sha256>` | `once` |
//! | who an identity provider's subject is | `identity#<sha256 of issuer and subject>` | `identity` |
//! | account that a user is a member of | `user_…` | `account#acct_…` |
//! | what is known of a user between sign-ins | `user_…` | `known` |
//! | account that keeps a place for an address, expires | `invited#<sha256 of the address>` | `acct_…` |
//! | the account of who deployed this | `deployment` | `account` |
//! | requests of a caller in a minute, of all processes, expires | `rate#<caller>` | `<minute>` |
//! | who has a slot of held links | `slots` | `lease#<slot>` |
//! | a holder that lives | `slots` | `holder#holder_…` |
//! | how often the links of a slot changed, and how often a reply was left for it | `slots` | `changes#<slot>` |
//! | link that is to be held | `slot#<slot>` | `link#link_…` |
//! | where its connection goes on | `slot#<slot>` | `cursor#link_…` |
//! | reply that only its connection can carry | `posts#<slot>` | `<created at>#<outbound id>` |
//!
//! `e#…` sorts before `head`: one backward query from `head` reads the head and the end of the log.
//! Partition keys of an account's records begin with its id, so that an IAM policy on
//! `dynamodb:LeadingKeys` can fence it. The index `due` holds the rows that wait for something, by
//! `due_pk` (kind and shard) and `due_sk` (when).
//!
//! | object | key |
//! | --- | --- |
//! | a bot's workspace file | `acct_…/bot_…/workspace/<name>` |
//! | a kept file | `acct_…/bot_…/media/<SHA-256>` |
//! | a sealed segment of a session's log, 256 entries | `acct_…/bot_…/sessions/<session key>/<first seq, 12 digits>.jsonl` |
//!
//! In a segment's key, `/` and `%` of the session key are written as `%2F` and `%25`. A session key that would become too
//! long for S3 in this way is written as `%` and its hash.

use domain::{
    AccountId, BotId, DeadLetterId, HolderId, JobId, KeyId, LinkId, Mark, MediaId, MessageId, Outbound, OutboundId,
    SessionKey, SignInId, Timestamp, UserId,
};
use sha2::{Digest, Sha256};

/// How many partitions of the index `due` share the outbox.
pub const OUTBOX_SHARDS: u32 = 4;

/// How many partitions of the index `due` share the jobs. A partition takes 1,000 units of writing a second, and a claim costs
/// it about 4 (a row of 1 to 2 KB leaves its old place in the index and gets a new one). So 100,000 claims within a minute ask
/// for 7 partitions; with 16, each is under half its limit, and a minute in which nothing is due costs 16 reads.
pub const JOB_SHARDS: u32 = 16;

/// A row's partition and sort key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

fn in_account(account: AccountId, sk: String) -> Key {
    Key { pk: account.to_string(), sk }
}

pub(crate) fn account(account: AccountId) -> Key {
    in_account(account, "account".to_owned())
}

pub(crate) const BOT_PREFIX: &str = "bot#";

pub(crate) fn bot(account: AccountId, bot: BotId) -> Key {
    in_account(account, format!("{BOT_PREFIX}{bot}"))
}

pub(crate) const BOT_NAME_PREFIX: &str = "botname#";

pub(crate) fn bot_name(account: AccountId, name: &str) -> Key {
    in_account(account, format!("{BOT_NAME_PREFIX}{}", name.to_lowercase()))
}

/// The links of all bots.
pub(crate) const LINK_PREFIX: &str = "link#";

pub(crate) fn link_prefix(bot: BotId) -> String {
    format!("{LINK_PREFIX}{bot}#")
}

pub(crate) fn link(account: AccountId, bot: BotId, link: LinkId) -> Key {
    in_account(account, format!("{}{link}", link_prefix(bot)))
}

pub(crate) fn pairing_prefix(link: LinkId) -> String {
    format!("pairing#{link}#")
}

pub(crate) fn pairing(account: AccountId, link: LinkId, sender: &str) -> Key {
    in_account(account, format!("{}{sender}", pairing_prefix(link)))
}

pub(crate) fn paired_prefix(link: LinkId) -> String {
    format!("paired#{link}#")
}

pub(crate) fn paired(account: AccountId, link: LinkId, sender: &str) -> Key {
    in_account(account, format!("{}{sender}", paired_prefix(link)))
}

pub(crate) const API_KEY_PREFIX: &str = "key#";

pub(crate) fn api_key(account: AccountId, key: KeyId) -> Key {
    in_account(account, format!("{API_KEY_PREFIX}{key}"))
}

pub(crate) fn api_key_by_hash(sha256: &str) -> Key {
    Key { pk: format!("key#{sha256}"), sk: "key".to_owned() }
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

pub(crate) const MEMBER_PREFIX: &str = "member#";

pub(crate) fn member(account: AccountId, user: UserId) -> Key {
    in_account(account, format!("{MEMBER_PREFIX}{user}"))
}

pub(crate) const INVITATION_PREFIX: &str = "invitation#";

pub(crate) fn invitation(account: AccountId, email: &str) -> Key {
    in_account(account, format!("{INVITATION_PREFIX}{email}"))
}

pub(crate) fn invited_pk(email: &str) -> String {
    format!("invited#{}", sha256(email))
}

pub(crate) fn invited(email: &str, account: AccountId) -> Key {
    Key { pk: invited_pk(email), sk: account.to_string() }
}

pub(crate) fn identity(issuer: &str, subject: &str) -> Key {
    // A URL has no line break, so no two pairs are written alike.
    Key { pk: format!("identity#{}", sha256(&format!("{issuer}\n{subject}"))), sk: "identity".to_owned() }
}

pub(crate) const USER_ACCOUNT_PREFIX: &str = "account#";

pub(crate) fn user_account(user: UserId, account: AccountId) -> Key {
    Key { pk: user.to_string(), sk: format!("{USER_ACCOUNT_PREFIX}{account}") }
}

pub(crate) fn first_account() -> Key {
    Key { pk: "deployment".to_owned(), sk: "account".to_owned() }
}

pub(crate) fn rate(caller: &str, minute: u64) -> Key {
    Key { pk: format!("rate#{caller}"), sk: minute.to_string() }
}

pub(crate) fn known_user(user: UserId) -> Key {
    Key { pk: user.to_string(), sk: "known".to_owned() }
}

pub(crate) const SIGN_IN_PREFIX: &str = "signin#";

pub(crate) fn sign_in(account: AccountId, id: SignInId) -> Key {
    in_account(account, format!("{SIGN_IN_PREFIX}{id}"))
}

pub(crate) fn sign_in_by_hash(sha256: &str) -> Key {
    Key { pk: format!("signin#{sha256}"), sk: "signin".to_owned() }
}

pub(crate) fn once(sha256: &str) -> Key {
    Key { pk: format!("once#{sha256}"), sk: "once".to_owned() }
}

pub(crate) const AUDIT_PREFIX: &str = "audit#";

pub(crate) fn audit(account: AccountId, at: Timestamp, random: u128) -> Key {
    in_account(account, format!("{AUDIT_PREFIX}{}#{random:032x}", time_key(at)))
}

pub(crate) fn request(account: AccountId, caller: &str, key: &str) -> Key {
    in_account(account, format!("request#{caller}#{}", sha256(key)))
}

pub(crate) fn route(link: LinkId) -> Key {
    Key { pk: format!("route#{link}"), sk: "route".to_owned() }
}

pub(crate) fn session_row_prefix(bot: BotId) -> String {
    format!("session#{bot}#")
}

pub(crate) fn session_row(account: AccountId, bot: BotId, session: &SessionKey) -> Key {
    in_account(account, format!("{}{session}", session_row_prefix(bot)))
}

pub(crate) const DEAD_LETTER_PREFIX: &str = "dead#";

pub(crate) fn dead_letter(account: AccountId, id: DeadLetterId) -> Key {
    in_account(account, format!("{DEAD_LETTER_PREFIX}{id}"))
}

pub(crate) fn notice(account: AccountId, about: &str) -> Key {
    in_account(account, format!("notice#{about}"))
}

pub(crate) const NOTICED_PREFIX: &str = "noticed#";

pub(crate) fn noticed(account: AccountId, at: Timestamp, about: &str) -> Key {
    in_account(account, format!("{NOTICED_PREFIX}{}#{about}", time_key(at)))
}

pub(crate) const APPROVAL_PREFIX: &str = "approval#";

pub(crate) fn approval_prefix(bot: BotId) -> String {
    format!("{APPROVAL_PREFIX}{bot}#")
}

pub(crate) fn approval(account: AccountId, bot: BotId, code: &str) -> Key {
    in_account(account, format!("{}{code}", approval_prefix(bot)))
}

/// The partition of the index `due` that holds the turns to be woken. One is enough for what people are asked.
pub(crate) const WAKES_DUE_PK: &str = "wakes";

/// The partition of the index `due` that holds the bots to be removed. One is enough for what people delete.
pub(crate) const DELETIONS_DUE_PK: &str = "deletions";

/// A time as text that sorts.
pub(crate) fn time_key(at: Timestamp) -> String {
    format!("{:015}", at.as_millis())
}

/// Of the account itself without a bot.
pub(crate) fn spending(account: AccountId, bot: Option<BotId>, period: &str) -> Key {
    let whose = bot.map_or_else(|| "account".to_owned(), |bot| bot.to_string());
    in_account(account, format!("spend#{whose}#{period}"))
}

/// How many rows the sessions of a bot share for what they use in a day: a transaction that meets another at a row is cancelled.
const USAGE_SHARDS: u32 = 8;

/// What the rows of a day begin with.
pub(crate) fn usage_day(day: &str) -> String {
    format!("use#{day}")
}

pub(crate) fn usage_shard(session: &SessionKey) -> u32 {
    shard(session.as_str(), USAGE_SHARDS)
}

pub(crate) fn usage(account: AccountId, bot: BotId, day: &str, session: &SessionKey) -> Key {
    in_account(account, format!("{}#{bot}#{}", usage_day(day), usage_shard(session)))
}

/// The day and the bot of such a row.
pub(crate) fn usage_of(sk: &str) -> Option<(&str, BotId)> {
    let mut parts = sk.strip_prefix("use#")?.split('#');
    Some((parts.next()?, parts.next()?.parse().ok()?))
}

pub(crate) fn session_pk(account: AccountId, bot: BotId, session: &SessionKey) -> String {
    format!("{account}#{bot}#s#{session}")
}

pub(crate) const HEAD: &str = "head";

pub(crate) fn entries_sk(first_seq: u64) -> String {
    format!("e#{first_seq:012}")
}

/// Sorts behind all rows of entries, and before the head.
pub(crate) const ENTRIES_END: &str = "e#~";

fn mark_sk(message: &MessageId) -> String {
    format!("m#{message}")
}

/// Sorts before the entries.
pub(crate) const CHILD_PREFIX: &str = "c#";

/// An album of which a piece was let in.
pub(crate) fn album(account: AccountId, link: LinkId, album: &str) -> Key {
    in_account(account, format!("album#{link}#{}", sha256(album)))
}

pub(crate) fn child(account: AccountId, bot: BotId, parent: &SessionKey, child: &SessionKey) -> Key {
    Key { pk: session_pk(account, bot, parent), sk: format!("{CHILD_PREFIX}{child}") }
}

pub(crate) fn draft(account: AccountId, bot: BotId, session: &SessionKey) -> Key {
    Key { pk: session_pk(account, bot, session), sk: "partial".to_owned() }
}

pub(crate) fn thread(account: AccountId, bot: BotId, name: &str) -> Key {
    Key { pk: format!("{account}#{bot}#t#{}", sha256(name)), sk: "thread".to_owned() }
}

/// Where a reply has a row of its own.
pub(crate) fn outbox(account: AccountId, bot: BotId, id: &OutboundId) -> Key {
    Key { pk: format!("{account}#{bot}#o#{id}"), sk: "out".to_owned() }
}

pub(crate) fn head(account: AccountId, bot: BotId, session: &SessionKey) -> Key {
    Key { pk: session_pk(account, bot, session), sk: HEAD.to_owned() }
}

pub(crate) fn mark(account: AccountId, bot: BotId, session: &SessionKey, message: &MessageId) -> Key {
    Key { pk: session_pk(account, bot, session), sk: mark_sk(message) }
}

/// The record of a reply's delivery.
pub(crate) fn delivery(outbound: &Outbound) -> Key {
    let (account, bot) = (outbound.account, outbound.bot);
    match outbound.mark.as_deref() {
        Some(Mark { session, message }) => mark(account, bot, session, message),
        None => outbox(account, bot, &outbound.id),
    }
}

pub(crate) fn outbox_due_pk(shard: u32) -> String {
    format!("outbox#{shard}")
}

/// Which partition of the index an outbox row waits in.
pub(crate) fn outbox_shard(id: &OutboundId) -> u32 {
    shard(id.as_str(), OUTBOX_SHARDS)
}

fn shard(id: &str, shards: u32) -> u32 {
    id.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % shards
}

pub(crate) fn job_prefix(bot: BotId) -> String {
    format!("job#{bot}#")
}

pub(crate) fn job(account: AccountId, bot: BotId, job: JobId) -> Key {
    in_account(account, format!("{}{job}", job_prefix(bot)))
}

pub(crate) fn job_runs_prefix(bot: BotId) -> String {
    format!("jobruns#{bot}#")
}

pub(crate) fn job_runs(account: AccountId, bot: BotId, job: JobId) -> Key {
    in_account(account, format!("{}{job}", job_runs_prefix(bot)))
}

pub(crate) fn job_made_prefix(bot: BotId) -> String {
    format!("jobmade#{bot}#")
}

/// The mark of a job that was made by a call which may be repeated.
pub(crate) fn job_made(account: AccountId, bot: BotId, job: JobId) -> Key {
    in_account(account, format!("{}{job}", job_made_prefix(bot)))
}

pub(crate) fn job_due_pk(shard: u32) -> String {
    format!("job#{shard}")
}

/// Which partition of the index a job waits in.
pub fn job_shard(job: JobId) -> u32 {
    shard(&job.to_string(), JOB_SHARDS)
}

/// How many parts the held links are in. With 64, twenty holders share them to within a third of each other, and one query
/// reads all leases.
pub const SLOTS: u32 = 64;

/// Which slot a link is in.
pub fn slot_of(link: LinkId) -> u32 {
    shard(&link.to_string(), SLOTS)
}

/// The partition of what holders agree on.
pub(crate) const SLOT_TABLE_PK: &str = "slots";
pub(crate) const LEASE_PREFIX: &str = "lease#";
pub(crate) const HOLDER_PREFIX: &str = "holder#";
pub(crate) const CHANGES_PREFIX: &str = "changes#";

pub(crate) fn lease(slot: u32) -> Key {
    Key { pk: SLOT_TABLE_PK.to_owned(), sk: format!("{LEASE_PREFIX}{slot}") }
}

pub(crate) fn holder(id: HolderId) -> Key {
    Key { pk: SLOT_TABLE_PK.to_owned(), sk: format!("{HOLDER_PREFIX}{id}") }
}

pub(crate) fn changes(slot: u32) -> Key {
    Key { pk: SLOT_TABLE_PK.to_owned(), sk: format!("{CHANGES_PREFIX}{slot}") }
}

pub(crate) fn slot_pk(slot: u32) -> String {
    format!("slot#{slot}")
}

pub(crate) fn held_link(slot: u32, link: LinkId) -> Key {
    Key { pk: slot_pk(slot), sk: format!("link#{link}") }
}

pub(crate) const CURSOR_PREFIX: &str = "cursor#";

pub(crate) fn cursor(slot: u32, link: LinkId) -> Key {
    Key { pk: slot_pk(slot), sk: format!("{CURSOR_PREFIX}{link}") }
}

pub(crate) fn posts_pk(slot: u32) -> String {
    format!("posts#{slot}")
}

pub(crate) fn post(outbound: &Outbound) -> Key {
    let sk = format!("{}#{}", time_key(outbound.created_at), outbound.id);
    Key { pk: posts_pk(slot_of(outbound.link)), sk }
}

pub(crate) fn workspace_prefix(account: AccountId, bot: BotId) -> String {
    format!("{account}/{bot}/workspace/")
}

pub(crate) fn media_prefix(account: AccountId, bot: BotId) -> String {
    format!("{account}/{bot}/media/")
}

pub(crate) fn media(account: AccountId, bot: BotId, id: &MediaId) -> String {
    format!("{}{id}", media_prefix(account, bot))
}

/// The longest session key in an object's key, in bytes: S3 takes 1024 for the whole.
const MAX_SESSION_IN_OBJECT: usize = 800;

pub(crate) fn segments_prefix(account: AccountId, bot: BotId) -> String {
    format!("{account}/{bot}/sessions/")
}

pub(crate) fn segment(account: AccountId, bot: BotId, session: &SessionKey, first_seq: u64) -> String {
    let mut name = session.as_str().replace('%', "%25").replace('/', "%2F");
    if name.len() > MAX_SESSION_IN_OBJECT {
        name = format!("%{}", hex::encode(Sha256::digest(session.as_str())));
    }
    format!("{}{name}/{first_seq:012}.jsonl", segments_prefix(account, bot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::TurnId;

    #[test]
    fn the_head_sorts_after_the_log_and_before_the_marks() {
        let message = MessageId::of(LinkId::from_parts(Timestamp::default(), 1), "1");
        assert!(CHILD_PREFIX < entries_sk(0).as_str());
        assert!(entries_sk(u64::from(u32::MAX)).as_str() < HEAD && HEAD < mark_sk(&message).as_str());
        assert!(entries_sk(9) < entries_sk(10));
    }

    #[test]
    fn a_segments_key_tells_sessions_apart_and_fits_s3() {
        let (acct, bot) = (AccountId::from_parts(Timestamp::default(), 1), BotId::from_parts(Timestamp::default(), 2));
        let key = |session: &str| segment(acct, bot, &session.parse().unwrap(), 256);
        let end = |session: &str| key(session).strip_prefix(&segments_prefix(acct, bot)).map(str::to_owned);
        assert_eq!(end("agent:main:a/b").as_deref(), Some("agent:main:a%2Fb/000000000256.jsonl"));
        assert_eq!(end("agent:main:a%2Fb").as_deref(), Some("agent:main:a%252Fb/000000000256.jsonl"));
        let long = |last: char| key(&format!("agent:main:{}{last}", "/".repeat(500)));
        assert!(long('a').len() <= 1024 && long('a') != long('b'));
    }

    #[test]
    fn an_accounts_keys_begin_with_its_id() {
        let at = Timestamp::default();
        let (acct, bot_id, link_id) =
            (AccountId::from_parts(at, 1), BotId::from_parts(at, 2), LinkId::from_parts(at, 3));
        let out = OutboundId::reply(TurnId::from_parts(at, 4), 0);
        let session = SessionKey::main("main");
        let keys = [
            account(acct).pk,
            bot(acct, bot_id).pk,
            bot_name(acct, "x").pk,
            link(acct, bot_id, link_id).pk,
            pairing(acct, link_id, "5").pk,
            paired(acct, link_id, "5").pk,
            api_key(acct, KeyId::from_parts(at, 5)).pk,
            session_row(acct, bot_id, &session).pk,
            dead_letter(acct, DeadLetterId::from_parts(at, 6)).pk,
            notice(acct, "x").pk,
            approval(acct, bot_id, "K7Q2X").pk,
            spending(acct, Some(bot_id), "2026-11").pk,
            usage(acct, bot_id, "2026-11-22", &session).pk,
            thread(acct, bot_id, "resp_1").pk,
            job(acct, bot_id, JobId::from_parts(at, 7)).pk,
            job_runs(acct, bot_id, JobId::from_parts(at, 7)).pk,
            session_pk(acct, bot_id, &session),
            draft(acct, bot_id, &session).pk,
            outbox(acct, bot_id, &out).pk,
        ];
        for key in keys {
            assert!(key == acct.to_string() || key.starts_with(&format!("{acct}#")), "{key}");
        }
    }
}
