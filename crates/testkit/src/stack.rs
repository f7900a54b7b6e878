//! A deployment on this machine: the embedded stores, KMS, an environment for handlers in this process, and the
//! variables for those in another.

use std::time::Duration;

use domain::access::DmPolicy;
use domain::link::{DiscordSettings, MatrixSettings, SlackSettings};
use domain::{
    AccessPolicy, Account, AccountId, Bot, BotId, BotStatus, Channel, Link, LinkId, LinkSettings, LinkStatus,
    ModelSettings, SessionScope,
};
use embedded::Embedded;
use queues::{Queue, Queues, Received};
use runtime::{AwsClients, Clock, Entropy, Environment, LocalEndpoints, Settings};
use sha2::{Digest, Sha256};
use store::{Keyring, SecretContext, Store};
use tempfile::TempDir;

use crate::kms::{FakeKms, KEY_ARN};

const TABLE: &str = "lowtide";
const BUCKET: &str = "lowtide-state";

/// A bot that is not stored yet, with everything at its default.
pub fn draft_bot(environment: &Environment, account: AccountId, name: &str) -> Bot {
    let now = environment.clock.now();
    Bot {
        id: BotId::from_parts(now, environment.entropy.next_u128()),
        account,
        name: name.to_owned(),
        status: BotStatus::Active,
        rest: None,
        agent: "main".to_owned(),
        model: ModelSettings::default(),
        time_zone: "UTC".to_owned(),
        dm_scope: SessionScope::default(),
        queue: Default::default(),
        resets: Default::default(),
        budget: Default::default(),
        turn_budget: None,
        abilities: Default::default(),
        streaming: Default::default(),
        heartbeat: Default::default(),
        heard_at: None,
        heard_in: Default::default(),
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

/// A link to Telegram that is not stored yet.
pub async fn draft_link(
    environment: &Environment,
    id: LinkId,
    bot: &Bot,
    token: &str,
    secret: &str,
    access: AccessPolicy,
) -> Link {
    let context = SecretContext::LinkToken { account: bot.account, bot: bot.id, link: id };
    let sealed = environment.store.keyring().seal(context, token).await.expect("the token is sealed");
    let now = environment.clock.now();
    Link {
        id,
        account: bot.account,
        bot: bot.id,
        channel: Channel::Telegram,
        settings: Default::default(),
        webhook_secret: None,
        status: LinkStatus::Active,
        access,
        handle: Some("lowtide_test_bot".to_owned()),
        channel_id: None,
        token: Some(sealed),
        webhook_secret_sha256: Some(hex::encode(Sha256::digest(secret))),
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

/// Stores in a directory of their own, which end with it.
pub struct Stack {
    pub environment: Environment,
    embedded: Embedded,
    kms: Option<FakeKms>,
    // Dropped last: the stores are in it.
    _dir: TempDir,
}

impl Stack {
    /// Secrets are under a local key. Settings are the defaults; change `environment.settings` as a test needs.
    pub async fn start() -> Stack {
        let keyring = Keyring::local([7; 32]).expect("a key of 32 bytes");
        Stack::start_with(keyring, None, String::new()).await
    }

    /// Secrets are under KMS, as in Lambda: what the functions' binaries need.
    pub async fn start_with_kms() -> Stack {
        runtime::install_crypto();
        let kms = FakeKms::start();
        let keyring = Keyring::kms(kms.client(), KEY_ARN.to_owned());
        Stack::start_with(keyring, Some(kms), KEY_ARN.to_owned()).await
    }

    async fn start_with(keyring: Keyring, kms: Option<FakeKms>, kms_key: String) -> Stack {
        runtime::install_crypto();
        let dir = tempfile::tempdir().expect("a directory for the stores");
        let embedded = Embedded::start(dir.path()).await.expect("the stores start");
        let endpoints = embedded.endpoints().clone();
        let aws =
            AwsClients::local(&LocalEndpoints { dynamodb: endpoints.dynamodb, s3: endpoints.s3, sqs: endpoints.sqs });
        let store = Store::new(aws.dynamo, aws.s3, TABLE.to_owned(), BUCKET.to_owned(), keyring);
        store.create_missing().await.expect("a table and a bucket");
        let queues = Queues::create_missing(aws.sqs).await.expect("queues");
        let url = |queue| queues.url(queue).to_owned();
        let settings = Settings {
            table: TABLE.to_owned(),
            bucket: BUCKET.to_owned(),
            queues: queues::QueueUrls {
                turns: url(Queue::Turns),
                outbound: url(Queue::Outbound),
                jobs: url(Queue::Jobs),
                turns_dlq: url(Queue::TurnsDeadLetters),
                outbound_dlq: url(Queue::OutboundDeadLetters),
            },
            kms_key,
            telegram_api_base: runtime::TELEGRAM_API_BASE.to_owned(),
            discord_api_base: runtime::DISCORD_API_BASE.to_owned(),
            model_timeout: Duration::from_secs(120),
            ..Settings::default()
        };
        let environment = Environment {
            store,
            queues,
            clock: Clock::system(),
            entropy: Entropy::system(),
            settings,
            http: runtime::http_client().expect("an HTTP client"),
            bedrock: None,
        };
        Stack { environment, embedded, kms, _dir: dir }
    }

    /// The variables with which a function's binary works on this stack, as `template.yaml` and Lambda set them.
    pub fn variables(&self) -> Vec<(String, String)> {
        let (endpoints, settings) = (self.embedded.endpoints(), &self.environment.settings);
        let queues = &settings.queues;
        let mut variables = vec![
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb),
            ("AWS_ENDPOINT_URL_S3", &endpoints.s3),
            ("AWS_ENDPOINT_URL_SQS", &endpoints.sqs),
            ("LOWTIDE_TABLE", &settings.table),
            ("LOWTIDE_BUCKET", &settings.bucket),
            ("LOWTIDE_TURNS_QUEUE_URL", &queues.turns),
            ("LOWTIDE_OUTBOUND_QUEUE_URL", &queues.outbound),
            ("LOWTIDE_JOBS_QUEUE_URL", &queues.jobs),
            ("LOWTIDE_TURNS_DLQ_URL", &queues.turns_dlq),
            ("LOWTIDE_OUTBOUND_DLQ_URL", &queues.outbound_dlq),
            ("LOWTIDE_TELEGRAM_API_BASE", &settings.telegram_api_base),
            ("LOWTIDE_DISCORD_API_BASE", &settings.discord_api_base),
            ("LOWTIDE_SLACK_API_BASE", &settings.slack_api_base),
        ];
        let fetch_allow = settings.fetch_allow.join(",");
        if !fetch_allow.is_empty() {
            variables.push(("LOWTIDE_FETCH_ALLOW", &fetch_allow));
        }
        let kms = self.kms.as_ref().map(FakeKms::url);
        if let Some(url) = &kms {
            variables.extend([("AWS_ENDPOINT_URL_KMS", url.as_str()), ("LOWTIDE_KMS_KEY", &settings.kms_key)]);
        }
        variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Where the stores listen.
    pub fn endpoints(&self) -> LocalEndpoints {
        let endpoints = self.embedded.endpoints().clone();
        LocalEndpoints { dynamodb: endpoints.dynamodb, s3: endpoints.s3, sqs: endpoints.sqs }
    }

    /// The same stores, reached at other addresses: over a wire that a test has put between.
    pub fn environment_over(&self, endpoints: &LocalEndpoints) -> Environment {
        let aws = AwsClients::local(endpoints);
        let here = &self.environment;
        let keyring = here.store.keyring().clone();
        let over = |url: &str| {
            let path = url.splitn(4, '/').nth(3).unwrap_or_default();
            format!("{}/{path}", endpoints.sqs)
        };
        let urls = &here.settings.queues;
        let queues = queues::QueueUrls {
            turns: over(&urls.turns),
            outbound: over(&urls.outbound),
            jobs: over(&urls.jobs),
            turns_dlq: over(&urls.turns_dlq),
            outbound_dlq: over(&urls.outbound_dlq),
        };
        Environment {
            store: Store::new(aws.dynamo, aws.s3, TABLE.to_owned(), BUCKET.to_owned(), keyring),
            queues: Queues::new(aws.sqs, queues),
            ..here.clone()
        }
    }

    /// Makes an account.
    pub async fn account(&self) -> Account {
        let now = self.environment.clock.now();
        let id = AccountId::from_parts(now, self.environment.entropy.next_u128());
        let account = Account { id, name: "Owner".to_owned(), budget: Default::default(), created_at: now };
        self.environment.store.account(id).account_put(&account).await.expect("the account is written");
        account
    }

    /// Makes a bot that everything is at its default of.
    pub async fn bot(&self, account: AccountId, name: &str) -> Bot {
        let bot = self.draft(account, name);
        self.environment.store.account(account).bot_create(&bot).await.expect("the bot is written");
        bot
    }

    /// A bot that is not stored yet.
    pub fn draft(&self, account: AccountId, name: &str) -> Bot {
        draft_bot(&self.environment, account, name)
    }

    /// Links a bot to Telegram, and returns the link and the secret of its webhook.
    pub async fn telegram_link(&self, bot: &Bot, token: &str, access: AccessPolicy) -> (Link, String) {
        let id = LinkId::from_parts(self.environment.clock.now(), self.environment.entropy.next_u128());
        let secret = self.environment.entropy.secret("");
        (self.telegram_link_as(id, bot, token, &secret, access).await, secret)
    }

    /// Links a bot to Telegram under a link id and a secret that are given.
    pub async fn telegram_link_as(
        &self,
        id: LinkId,
        bot: &Bot,
        token: &str,
        secret: &str,
        access: AccessPolicy,
    ) -> Link {
        let link = draft_link(&self.environment, id, bot, token, secret, access).await;
        self.environment.store.account(bot.account).link_create(&link).await.expect("the link is written");
        link
    }

    /// Links a bot to another channel than Telegram. `credentials` and `signing_secret` are sealed.
    pub async fn link(
        &self,
        bot: &Bot,
        settings: LinkSettings,
        credentials: &str,
        signing_secret: Option<&str>,
        access: AccessPolicy,
    ) -> Link {
        let id = LinkId::from_parts(self.environment.clock.now(), self.environment.entropy.next_u128());
        let mut link = draft_link(&self.environment, id, bot, credentials, "verify me", access).await;
        if let Some(secret) = signing_secret {
            let context = SecretContext::Webhook { account: bot.account, bot: bot.id, link: id };
            let sealed = self.environment.store.keyring().seal(context, secret).await;
            link.webhook_secret = Some(sealed.expect("it is sealed"));
        }
        (link.channel, link.settings) = (settings.channel(), settings);
        self.environment.store.account(bot.account).link_create(&link).await.expect("the link is written");
        link
    }

    /// Links a bot to Discord; whoever writes to it directly is let in.
    pub async fn discord_link(&self, bot: &Bot, token: &str) -> Link {
        let settings = DiscordSettings { application_id: "1".to_owned(), public_key: "00".repeat(32) };
        let access = AccessPolicy { dm_policy: DmPolicy::Open, ..AccessPolicy::default() };
        let credentials = serde_json::json!({ "bot_token": token }).to_string();
        self.link(bot, LinkSettings::Discord(settings), &credentials, None, access).await
    }

    /// Links a bot to a Matrix account of its own; whoever invites it or writes to it is let in.
    pub async fn matrix_link(&self, bot: &Bot, homeserver: &str, user: &str, access_token: &str) -> Link {
        let settings = MatrixSettings { homeserver: homeserver.to_owned(), user: user.to_owned() };
        let credentials = serde_json::json!({ "access_token": access_token }).to_string();
        self.link(bot, LinkSettings::Matrix(settings), &credentials, None, open_to_all()).await
    }

    /// Links a bot to a Slack app in socket mode, in whose channels it answers everybody.
    pub async fn slack_socket_link(&self, bot: &Bot, bot_token: &str, app_token: &str) -> Link {
        let settings = SlackSettings { socket: true, team: "T1".to_owned(), bot_user: "UBOT".to_owned() };
        let credentials = serde_json::json!({ "bot_token": bot_token, "app_token": app_token }).to_string();
        self.link(bot, LinkSettings::Slack(settings), &credentials, None, open_to_all()).await
    }

    /// Links a bot to an IRC server on this machine, and to a channel there, in which it answers everybody.
    pub async fn irc_link(&self, bot: &Bot, port: u16, nick: &str, channel: &str) -> Link {
        let settings = serde_json::json!({
            "host": "127.0.0.1", "port": port, "tls": false, "nick": nick, "channels": [channel],
        });
        let settings = serde_json::from_value(settings).expect("settings of IRC");
        self.link(bot, LinkSettings::Irc(settings), "{}", None, open_to_all()).await
    }

    /// Takes all messages out of a queue that are to be had now.
    pub async fn take(&self, queue: Queue) -> Vec<Received> {
        let queues = &self.environment.queues;
        let mut taken = Vec::new();
        loop {
            let received = queues.receive(queue, 10, Duration::ZERO).await.expect("the queue answers");
            if received.is_empty() {
                return taken;
            }
            for message in received {
                queues.delete(queue, &message.receipt).await.expect("the message is deleted");
                taken.push(message);
            }
        }
    }
}

/// Everybody is answered, in groups too, whether the bot is named or not.
fn open_to_all() -> AccessPolicy {
    let access = serde_json::json!({
        "dm_policy": "open", "group_policy": "open", "groups": { "*": { "require_mention": false } },
    });
    serde_json::from_value(access).expect("rules of access")
}
