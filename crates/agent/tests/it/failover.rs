//! Which model is asked in the place of one that does not answer.

use agent::{AgentConfig, BotView, Mind, ModelError, ModelRequest, Secret, Secrets};
use domain::Price;
use domain::account::FallbackModel;

use crate::scripted_model::{KEY, Reply, ScriptedModel};
use crate::session::{Session, agent};

fn config() -> AgentConfig {
    AgentConfig { private_models: true, model_retries: 1, ..AgentConfig::default() }
}

fn fallback(model: &str, server: &ScriptedModel) -> FallbackModel {
    FallbackModel { model: model.to_owned(), base_url: Some(server.url.clone()), ..FallbackModel::default() }
}

/// Asks `agent` with a second model behind the first; both providers have the same key.
async fn ask(
    agent: &agent::Agent,
    first: &ScriptedModel,
    second: &ScriptedModel,
    change: impl FnOnce(&mut BotView<'_>),
) -> Result<domain::Answer, ModelError> {
    let mut session = Session::default();
    session.say("hi");
    let key = Secret::new(KEY);
    let secrets = Secrets { providers: [("other".to_owned(), Secret::new(KEY))].into(), ..Secrets::default() };
    let fallbacks = [fallback("other/n", second)];
    let mut request = session.request(Some("custom/m"), Some(&first.url), &key);
    request.bot.secrets = &secrets;
    request.bot.fallbacks = &fallbacks;
    let mut bot = request.bot;
    change(&mut bot);
    agent.answer(&ModelRequest { bot, ..request }).await
}

#[tokio::test]
async fn another_model_answers_and_the_first_is_left_alone() {
    for (replies, asked) in [
        (vec![Reply::Status(503, "busy"), Reply::Status(503, "busy")], "temporary"),
        (vec![Reply::Status(401, "bad key")], "key"),
        (vec![Reply::Status(402, "pay")], "credit"),
        (vec![Reply::Status(404, "no such model")], "name"),
    ] {
        let first = ScriptedModel::start(replies).await;
        let second = ScriptedModel::start([Reply::Text("Hello"), Reply::Text("Again")]).await;
        let agent = agent(config());
        let answer = ask(&agent, &first, &second, |_| {}).await.expect(asked);
        assert_eq!((answer.text.as_str(), answer.model.as_str()), ("Hello", "other/n"));
        // It failed a moment ago: it is not asked.
        assert_eq!(ask(&agent, &first, &second, |_| {}).await.expect(asked).text, "Again");
        first.finish();
        second.finish();
    }
}

#[tokio::test]
async fn what_is_said_against_the_conversation_is_final_and_not_held_against_the_model() {
    let first = ScriptedModel::start([Reply::Status(400, "too long"), Reply::Text("Short")]).await;
    let second = ScriptedModel::start([]).await;
    let agent = agent(config());
    let error = ask(&agent, &first, &second, |_| {}).await.expect_err("a refusal");
    assert!(error.detail().contains("too long") && error.person().contains("refused to process"), "{error}");
    assert_eq!(ask(&agent, &first, &second, |_| {}).await.expect("another session").text, "Short");
    first.finish();
    second.finish();
}

#[tokio::test]
async fn a_session_that_chose_another_model_falls_back_on_the_bots_own() {
    let busy = || Reply::Status(401, "gone");
    let first = ScriptedModel::start([busy()]).await;
    let own = ScriptedModel::start([busy(), Reply::Text("Mine")]).await;
    let mut session = Session::default();
    session.say("hi");
    // The own model's key is found for its fallback of the same provider, though another provider's model was chosen.
    let (key, chosen_key) = (Secret::new(KEY), Secret::new(KEY));
    let (own_model, fallbacks) = (fallback("own/m", &own), [fallback("chosen/x", &first), fallback("own/small", &own)]);
    let mut request = session.request(Some("chosen/x"), Some(&first.url), &chosen_key);
    request.bot.own = Some(&own_model);
    request.bot.own_key = Some(("own/m", &key));
    request.bot.fallbacks = &fallbacks;
    let answer = agent(config()).answer(&request).await.expect("an answer");
    assert_eq!((answer.text.as_str(), answer.model.as_str()), ("Mine", "own/small"));
    assert_eq!(first.finish().len(), 1, "the chosen model is among the fallbacks, and asked once");
    let asked: Vec<_> = own.finish().iter().map(|request| request["model"].clone()).collect();
    assert_eq!(asked, ["m", "small"]);
}

#[tokio::test]
async fn all_that_failed_are_named_and_the_last_is_always_asked() {
    let first = ScriptedModel::start([Reply::RetryAfter(429, "90")]).await;
    let refused = || Reply::Status(401, "bad key sk-test-key");
    let second = ScriptedModel::start([refused(), refused()]).await;
    let agent = agent(config());
    for _ in 0..2 {
        let error = ask(&agent, &first, &second, |_| {}).await.expect_err("nobody");
        let ModelError::Temporary { detail, retry_after, was_refused, person } = &error else { panic!("{error:?}") };
        assert!(
            detail.contains("custom/m: ") && detail.contains("other/n: the model provider refused the key"),
            "{detail}"
        );
        assert!(!detail.contains(KEY) && person.contains("(custom/m, other/n)"), "{detail} {person}");
        assert!(
            *was_refused && retry_after.is_some_and(|after| (80..=90).contains(&after.as_secs())),
            "{retry_after:?}"
        );
    }
    first.finish();
    second.finish();
}

#[tokio::test]
async fn what_may_have_been_billed_is_the_last_where_a_budget_pays() {
    let first = ScriptedModel::start([Reply::Empty]).await;
    let second = ScriptedModel::start([]).await;
    let error = ask(&agent(config()), &first, &second, |bot| bot.metered = true).await.expect_err("nothing left");
    assert!(matches!(error, ModelError::Temporary { was_refused: false, .. }), "{error:?}");
    first.finish();
    second.finish();
}

#[tokio::test]
async fn the_dearest_model_is_set_aside_for() {
    let agent = agent(config());
    let (session, key) = (Session::default(), Secret::new(KEY));
    let price = |output| Some(Price { output, ..Price::default() });
    let mut fallbacks =
        [FallbackModel { model: "openai/x".to_owned(), price: price(9_000_000), ..FallbackModel::default() }];
    let mut request = session.request(Some("openai/y"), None, &key);
    request.bot.price = price(1_000_000);
    let alone = agent.estimate(&request).expect("a price");
    let estimate = |fallbacks: &[FallbackModel]| {
        agent.estimate(&ModelRequest { bot: BotView { fallbacks, ..request.bot }, ..request })
    };
    assert_eq!(estimate(&fallbacks), Some(alone * 9));
    fallbacks[0].price = None;
    assert_eq!(estimate(&fallbacks), None);
}
