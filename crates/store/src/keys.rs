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
//! | API key, for lists | `acct_…` | `key#key_…` |
//! | session, for lists | `acct_…` | `session#bot_…#<session key>` |
//! | dead letter | `acct_…` | `dead#dead_…` |
//! | notice to the owner, expires | `acct_…` | `notice#<what about>` |
//! | question that waits for the owner, expires | `acct_…` | `approval#bot_…#<code>` |
//! | what a bot or the account has spent | `acct_…` | `spend#<bot_… or account>#<day or month>` |
//! | job | `acct_…` | `job#bot_…#job_…` |
//! | the last runs of a job | `acct_…` | `jobruns#bot_…#job_…` |
//! | session log: entries of one commit | `acct_…#bot_…#s#<session key>` | `e#<first seq, 12 digits>` |
//! | session head | the same | `head` |
//! | message mark, expires after 7 days | the same | `m#msg_…` |
//! | session that this one waits for, expires after a day | the same | `c#<session key>` |
//! | reply that is being written, expires | the same | `partial` |
//! | outbox and delivery record, expires | `acct_…#bot_…#o#<outbound id>` | `out` |
//! | webhook route | `route#link_…` | `route` |
//! | API key, by hash | `key#<sha256>` | `key` |
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
    AccountId, BotId, DeadLetterId, JobId, KeyId, LinkId, MediaId, MessageId, OutboundId, SessionKey, Timestamp,
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

pub(crate) fn bot_name(account: AccountId, name: &str) -> Key {
    in_account(account, format!("botname#{}", name.to_lowercase()))
}

pub(crate) fn link_prefix(bot: BotId) -> String {
    format!("link#{bot}#")
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

pub(crate) const NOTICE_PREFIX: &str = "notice#";

pub(crate) fn notice(account: AccountId, about: &str) -> Key {
    in_account(account, format!("{NOTICE_PREFIX}{about}"))
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

/// A time as text that sorts.
pub(crate) fn time_key(at: Timestamp) -> String {
    format!("{:015}", at.as_millis())
}

/// Of the account itself without a bot.
pub(crate) fn spending(account: AccountId, bot: Option<BotId>, period: &str) -> Key {
    let whose = bot.map_or_else(|| "account".to_owned(), |bot| bot.to_string());
    in_account(account, format!("spend#{whose}#{period}"))
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

pub(crate) fn mark_sk(message: &MessageId) -> String {
    format!("m#{message}")
}

/// Sorts before the entries.
pub(crate) const CHILD_PREFIX: &str = "c#";

pub(crate) fn child(account: AccountId, bot: BotId, parent: &SessionKey, child: &SessionKey) -> Key {
    Key { pk: session_pk(account, bot, parent), sk: format!("{CHILD_PREFIX}{child}") }
}

pub(crate) fn draft(account: AccountId, bot: BotId, session: &SessionKey) -> Key {
    Key { pk: session_pk(account, bot, session), sk: "partial".to_owned() }
}

pub(crate) fn outbox(account: AccountId, bot: BotId, id: &OutboundId) -> Key {
    Key { pk: format!("{account}#{bot}#o#{id}"), sk: "out".to_owned() }
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

pub(crate) fn job_due_pk(shard: u32) -> String {
    format!("job#{shard}")
}

/// Which partition of the index a job waits in.
pub fn job_shard(job: JobId) -> u32 {
    shard(&job.to_string(), JOB_SHARDS)
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
