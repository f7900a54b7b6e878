//! Each function's binary, under the runtime API and over real HTTP, answers the sample events of `events/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use domain::access::GroupPolicy;
use domain::{AccessPolicy, AccountId, BotId, LinkId, SessionScope, Task};
use md5::{Digest, Md5};
use queues::Queue;
use serde_json::{Value, json};
use store::SecretContext;
use testkit::lambda::{Function, RuntimeApi};
use testkit::model::{FakeModel, Reply};
use testkit::stack::Stack;
use testkit::telegram::{Failure, FakeTelegram};

/// What the samples name: an account, a bot with the demo model, a bot whose model is somewhere else.
const ACCOUNT: &str = "acct_01M81B5H800000000000000000";
const BOT: &str = "bot_01M81B5H800000000000000002";
const LINK: &str = "link_01M81B5H800000000000000001";
const OTHER_BOT: &str = "bot_01M81B5H800000000000000009";
const OTHER_LINK: &str = "link_01M81B5H800000000000000008";

const SECRET: &str = "sample-webhook-secret";
const TOKEN: &str = "7000000001:sample-token";
const OTHER_TOKEN: &str = "7000000002:other-token";

const MODEL_KEY: &str = "sk-sample-model-key";

/// A function's own time-out, for all of them.
const TIMEOUT: Duration = Duration::from_secs(60);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn sample(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(root().join("events").join(name)).unwrap()).unwrap()
}

/// A function's binary, built once from this workspace.
fn binary(function: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        // With the features that all members ask for together: what the tests were built with is not built again.
        let binaries = ["--workspace", "--bin", "api", "--bin", "delivery", "--bin", "ingress", "--bin", "turn"];
        let mut build = Command::new(env!("CARGO"));
        let built = build.args(["build", "--quiet"]).args(binaries).current_dir(root()).status().unwrap();
        assert!(built.success(), "the functions do not build");
        let test = std::env::current_exe().unwrap();
        test.parent().and_then(Path::parent).unwrap().to_owned()
    });
    directory.join(function)
}

/// A deployment with what the samples name, and its function in a process of its own.
struct Deployment {
    stack: Stack,
    telegram: FakeTelegram,
    model: FakeModel,
    lambda: RuntimeApi,
    function: Option<Function>,
}

impl Deployment {
    async fn start(function: &str) -> Deployment {
        let mut stack = Stack::start_with_kms().await;
        let (telegram, model, lambda) = (FakeTelegram::start(), FakeModel::start(), RuntimeApi::start());
        stack.environment.settings.telegram_api_base = telegram.base_url();
        telegram.add_bot(TOKEN, "lowtide_test_bot");
        telegram.add_bot(OTHER_TOKEN, "harbour_bot");
        let access =
            AccessPolicy { allow_from: vec!["*".into()], group_policy: GroupPolicy::Open, ..Default::default() };
        let account: AccountId = ACCOUNT.parse().unwrap();
        let bots = stack.environment.store.account(account);
        let mut bot = stack.draft(account, "tidy");
        (bot.id, bot.dm_scope) = (BOT.parse::<BotId>().unwrap(), SessionScope::PerPeer);
        bots.bot_create(&bot).await.unwrap();
        let link: LinkId = LINK.parse().unwrap();
        stack.telegram_link_as(link, &bot, TOKEN, SECRET, access.clone()).await;
        let mut other = stack.draft(account, "harbour");
        other.id = OTHER_BOT.parse().unwrap();
        other.model.model = Some("openai/gpt-5.1".to_owned());
        other.model.base_url = Some(model.base_url());
        let context = SecretContext::ModelKey { account, bot: other.id };
        other.model.api_key = Some(stack.environment.store.keyring().seal(context, MODEL_KEY).await.unwrap());
        model.require_key(MODEL_KEY);
        bots.bot_create(&other).await.unwrap();
        bots.workspace_put(other.id, "SOUL.md", "You keep the harbour's keys.").await.unwrap();
        let link: LinkId = OTHER_LINK.parse().unwrap();
        stack.telegram_link_as(link, &other, OTHER_TOKEN, SECRET, access).await;

        let mut variables = stack.variables();
        let models = [("LOWTIDE_PRIVATE_MODELS", "1"), ("LOWTIDE_MODEL_TIMEOUT_SECS", "2")];
        variables.extend(models.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let function = Some(lambda.spawn(&binary(function), &variables));
        Deployment { stack, telegram, model, lambda, function }
    }

    async fn invoke(&self, event: Value) -> Value {
        let answer = self.lambda.invoke(event, TIMEOUT).await;
        let log = self.function.as_ref().map(Function::log).unwrap_or_default();
        self.lambda.assert_clean();
        answer.unwrap_or_else(|error| panic!("the function failed: {error}\n{log}"))
    }

    /// The ids of the records that are reported as failed, in order.
    async fn invoke_batch(&self, event: Value) -> Vec<String> {
        let answer = self.invoke(event).await;
        let failures = answer["batchItemFailures"].as_array().unwrap_or_else(|| panic!("no batch response: {answer}"));
        let mut failed: Vec<String> =
            failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect();
        failed.sort();
        failed
    }

    async fn tasks(&self, queue: Queue) -> Vec<Task> {
        self.stack.take(queue).await.iter().map(|message| Task::from_body(&message.body).unwrap()).collect()
    }
}

fn record_id(n: u32) -> String {
    format!("00000000-0000-4000-8000-0000000001{n:02}")
}

#[tokio::test]
async fn ingress_queues_the_sample_message() {
    let deployment = Deployment::start("ingress").await;
    let answer = deployment.invoke(sample("ingress-telegram-text.json")).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(body, json!({ "method": "sendChatAction", "chat_id": 100_000_001, "action": "typing" }));

    let queued = deployment.stack.take(Queue::Turns).await;
    let [queued] = queued.as_slice() else { panic!("one task: {queued:?}") };
    let expected = &sample("turn-one-message.json")["Records"][0];
    assert_eq!(queued.group, expected["attributes"]["MessageGroupId"].as_str().unwrap());
    let task = |body: &str| {
        let mut task: Value = serde_json::from_str(body).unwrap();
        task["received_at"].take();
        task
    };
    assert_eq!(task(&queued.body), task(expected["body"].as_str().unwrap()), "turn's sample is what ingress queues");
}

#[tokio::test]
async fn ingress_refuses_a_wrong_secret() {
    let deployment = Deployment::start("ingress").await;
    let answer = deployment.invoke(sample("ingress-telegram-wrong-secret.json")).await;
    assert_eq!(answer["statusCode"], 401, "{answer}");
    assert!(deployment.tasks(Queue::Turns).await.is_empty());
}

#[tokio::test]
async fn turn_answers_the_sample_message() {
    let deployment = Deployment::start("turn").await;
    let failed = deployment.invoke_batch(sample("turn-one-message.json")).await;
    assert_eq!(failed, Vec::<String>::new());
    let replies = deployment.tasks(Queue::Outbound).await;
    let [Task::Deliver(reply)] = replies.as_slice() else { panic!("one reply: {replies:?}") };
    assert_eq!(reply.address.chat, "100000001");
    assert!(reply.text.contains("demo"), "{}", reply.text);

    // SQS delivers at least once: the second time nothing new is said.
    let failed = deployment.invoke_batch(sample("turn-one-message.json")).await;
    assert_eq!(failed, Vec::<String>::new());
    let again = deployment.tasks(Queue::Outbound).await;
    assert!(again.iter().all(|task| *task == replies[0]), "{again:?}");
}

#[tokio::test]
async fn turn_reports_only_what_failed_and_what_stands_behind_it() {
    let deployment = Deployment::start("turn").await;
    deployment.model.always(Reply::Status(500, "{}".to_owned(), None));
    let failed = deployment.invoke_batch(sample("turn-batch-one-fails.json")).await;
    assert_eq!(failed, [record_id(2), record_id(3)], "the group of the bot without a model keeps its order");
    deployment.model.assert_clean();
    let mut chats: Vec<String> = Vec::new();
    for task in deployment.tasks(Queue::Outbound).await {
        let Task::Deliver(reply) = task else { panic!("{task:?} is not a reply") };
        chats.push(reply.address.chat.clone());
    }
    chats.sort();
    assert_eq!(chats, ["100000001", "100000002"]);
    assert!(deployment.tasks(Queue::TurnsDeadLetters).await.is_empty(), "it is tried again");

    deployment.model.answer_with(|request| {
        let said = request["messages"].as_array().unwrap().last().unwrap()["content"].to_string();
        Reply::Text(format!("I heard: {said}"))
    });
    let failed = deployment.invoke_batch(sample("turn-batch-one-fails.json")).await;
    assert_eq!(failed, Vec::<String>::new());
    deployment.model.assert_clean();
    let texts: Vec<String> = deployment
        .tasks(Queue::Outbound)
        .await
        .into_iter()
        .filter_map(|task| match task {
            Task::Deliver(reply) if reply.bot.to_string() == OTHER_BOT => Some(reply.text),
            _ => None,
        })
        .collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("early boat") && texts[1].contains("keys"), "{texts:?}");
    let system = deployment.model.requests()[0]["messages"][0]["content"].to_string();
    assert!(system.contains("You keep the harbour's keys."), "the workspace is in the prompt: {system}");
}

#[tokio::test]
async fn turn_buries_what_is_no_task() {
    let deployment = Deployment::start("turn").await;
    let mut event = sample("turn-batch-one-fails.json");
    event["Records"][0]["body"] = json!("not a task");
    event["Records"][3]["body"] = json!("{\"v\":99,\"type\":\"message\"}");
    event["Records"].as_array_mut().unwrap().drain(1..3);
    assert_eq!(deployment.invoke_batch(event).await, Vec::<String>::new());
    let mut buried = deployment.stack.take(Queue::TurnsDeadLetters).await;
    buried.sort_by(|a, b| a.body.cmp(&b.body));
    let reasons: Vec<&str> = buried.iter().map(|letter| letter.reason.as_deref().unwrap_or_default()).collect();
    let [malformed, version] = reasons.as_slice() else { panic!("two dead letters: {buried:?}") };
    assert!(malformed.contains("not a task"), "{malformed}");
    assert!(version.contains("version 99"), "{version}");
    assert!(deployment.tasks(Queue::Outbound).await.is_empty());
}

#[tokio::test]
async fn delivery_sends_the_sample_reply_once() {
    let deployment = Deployment::start("delivery").await;
    for _ in 0..2 {
        let failed = deployment.invoke_batch(sample("delivery-one-message.json")).await;
        assert_eq!(failed, Vec::<String>::new());
    }
    let sent = deployment.telegram.sent(TOKEN);
    let [sent] = sent.as_slice() else { panic!("one message: {sent:?}") };
    assert_eq!(sent.chat, "100000001");
    assert!(sent.is_html && sent.text_html.contains("<b>Mont-Saint-Michel</b>"), "{sent:?}");
    deployment.telegram.assert_clean();
}

#[tokio::test]
async fn delivery_reports_only_what_failed_and_what_stands_behind_it() {
    let deployment = Deployment::start("delivery").await;
    deployment.telegram.fail_next_in(TOKEN, "-1002000000001", Failure::ServerError);
    let failed = deployment.invoke_batch(sample("delivery-batch-one-fails.json")).await;
    assert_eq!(failed, [record_id(2), record_id(3)], "the chat that failed keeps its order");
    let chats = |deployment: &Deployment| {
        let mut chats: Vec<String> = deployment.telegram.sent(TOKEN).into_iter().map(|sent| sent.chat).collect();
        chats.sort();
        chats
    };
    assert_eq!(chats(&deployment), ["100000001", "100000002"]);

    let failed = deployment.invoke_batch(sample("delivery-batch-one-fails.json")).await;
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!(chats(&deployment), ["-1002000000001", "-1002000000001", "100000001", "100000002"]);
    let group: Vec<_> = deployment.telegram.sent(TOKEN).into_iter().filter(|sent| sent.chat.starts_with('-')).collect();
    assert_eq!(group.iter().map(|sent| sent.reply_to).collect::<Vec<_>>(), [Some(512), Some(513)]);
    assert!(deployment.tasks(Queue::OutboundDeadLetters).await.is_empty());
    deployment.telegram.assert_clean();
}

#[tokio::test]
async fn api_answers_without_a_key_only_that_it_is_well() {
    let deployment = Deployment::start("api").await;
    let answer = deployment.invoke(sample("api-health.json")).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let answer = deployment.invoke(sample("api-bots-unauthorised.json")).await;
    assert_eq!(answer["statusCode"], 401, "{answer}");
    assert_eq!(answer["headers"]["content-type"], "application/problem+json", "{answer}");
}

#[tokio::test]
async fn api_lets_in_who_has_rights_in_the_cloud() {
    let deployment = Deployment::start("api").await;
    let mut accounts = Vec::new();
    for _ in 0..2 {
        let offered = deployment.invoke(sample("api-owner-link.json")).await;
        let code = offered["path"].as_str().unwrap().strip_prefix("/sign-in#").unwrap().to_owned();
        let mut request = sample("api-health.json");
        request["requestContext"]["http"]["method"] = "POST".into();
        for path in ["/rawPath", "/requestContext/http/path"] {
            *request.pointer_mut(path).unwrap() = "/v1/sign-in/link".into();
        }
        request["headers"]["content-type"] = "application/json".into();
        request["body"] = json!({ "code": code }).to_string().into();
        let answer = deployment.invoke(request.clone()).await;
        assert_eq!(answer["statusCode"], 204, "{answer}");
        assert!(answer["cookies"][0].as_str().unwrap().starts_with("__Host-lt_session="), "{answer}");
        assert_eq!(deployment.invoke(request.clone()).await["statusCode"], 401, "a link counts once");
        // What the function's URL carries is never such an order.
        request["body"] = r#"{"lowtide": "owner-link"}"#.into();
        assert_eq!(deployment.invoke(request).await["statusCode"], 400);
        accounts.push(offered["account"].as_str().unwrap().to_owned());
    }
    assert_eq!(accounts[0], accounts[1], "one account, however often it is asked for");
    let account = deployment.stack.environment.store.account(accounts[0].parse().unwrap());
    assert_eq!(account.account_get().await.unwrap().unwrap().name, "Owner");
}

#[tokio::test]
async fn sample_tasks_are_what_the_queues_carry() {
    let stack = Stack::start().await;
    for name in ["turn-one-message", "turn-batch-one-fails", "delivery-one-message", "delivery-batch-one-fails"] {
        for record in sample(&format!("{name}.json"))["Records"].as_array().unwrap() {
            let (body, attributes) = (record["body"].as_str().unwrap(), &record["attributes"]);
            let task = Task::from_body(body).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (queue, id) = match &task {
                Task::Message(inbound) => (Queue::Turns, inbound.message.as_str().to_owned()),
                Task::Deliver(outbound) => (Queue::Outbound, outbound.id.as_str().to_owned()),
                other => panic!("{name}: there is no sample of {other:?}"),
            };
            // The samples share tasks, which SQS would take as repetitions.
            stack.environment.queues.send_again(&task, name).await.unwrap();
            let carried = stack.take(queue).await;
            assert_eq!(
                (carried[0].body.as_str(), carried[0].group.as_str()),
                (body, attributes["MessageGroupId"].as_str().unwrap())
            );
            assert_eq!(attributes["MessageDeduplicationId"], id.as_str(), "{name}");
            assert_eq!(task.account().unwrap().to_string(), ACCOUNT, "{name}");
            assert_eq!(record["md5OfBody"], hex::encode(Md5::digest(body)).as_str(), "{name}");
        }
    }
}
