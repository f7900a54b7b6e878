//! The demo model: a whole conversation without key and network.

use agent::{AgentConfig, Mind, SET_MODEL_COMMAND, Secret};
use domain::turn::Question;
use domain::{EntryBody, Usage};

use crate::session::{Session, agent};

#[tokio::test]
async fn it_echoes_counts_and_uses_a_tool() {
    let agent = agent(AgentConfig::default());
    let key = Secret::new("");
    let mut session = Session::default();

    session.say("Hello\nbot");
    let answer = agent.answer(&session.request(None, None, &key)).await.expect("an answer");
    assert!(answer.text.contains("This is message 1 of our conversation"));
    session.take(&agent, answer).await;

    session.say("I like herons");
    let answer = agent.answer(&session.request(Some("demo"), None, &key)).await.expect("an answer");
    assert!(answer.text.contains(&SET_MODEL_COMMAND.replace("{bot}", "Heron")));
    insta::assert_snapshot!(answer.text, @r#"
    You said:

    > I like herons

    This is message 2 of our conversation. The one before was:

    > Hello
    > bot

    I am the built-in demo model: I can only echo, tell the time if you ask me "what time is it?", and remind you if you say "remind me in 10 minutes to stretch". To give me a real model:

    ```
    lowtide bots model Heron openai/gpt-5.1 --api-key-env OPENAI_API_KEY
    ```
    "#);
    session.take(&agent, answer).await;

    session.say("What time is it?");
    let answer = agent.answer(&session.request(None, None, &key)).await.expect("a tool call");
    assert_eq!((answer.text.as_str(), answer.tool_calls.len()), ("", 1));
    session.take(&agent, answer).await;
    let answer = agent.answer(&session.request(None, None, &key)).await.expect("the time");
    insta::assert_snapshot!(answer.text, @"I looked it up with the `current_time` tool: 2026-11-22T15:00:00+01:00, Sunday, Europe/Berlin");
}

#[tokio::test]
async fn it_summarises_and_goes_on_from_there() {
    let agent = agent(AgentConfig::default());
    let key = Secret::new("");
    let mut session = Session::default();
    for text in ["Hello\nbot", "/queue", "I like herons", "And now?"] {
        session.say(text);
    }
    let question = Question::Summary { keep_from: 3, hint: String::new() };
    let mut request = session.request(None, None, &key);
    request.question = &question;
    let summary = agent.answer(&request).await.expect("a summary");
    insta::assert_snapshot!(summary.text, @r"
    What was said before:

    - Hello bot
    - I like herons
    ");
    assert_eq!((agent.estimate(&request), agent.context_window(&request.bot)), (Some(0), 128_000));
    let (summary, model) = (summary.text, summary.model);
    let usage = Usage::default();
    session.push(EntryBody::Compaction { summary, first_kept: 3, tokens_before: 0, model, usage, cost: 0 });

    session.say("Still there?");
    let answer = agent.answer(&session.request(None, None, &key)).await.expect("an answer");
    assert!(answer.text.contains("This is message at least 2 of our conversation"), "{}", answer.text);
    assert!(answer.text.contains("The one before was:\n\n> And now?"), "{}", answer.text);
    let question = Question::Summary { keep_from: 5, hint: String::new() };
    let request = agent::ModelRequest { question: &question, ..session.request(None, None, &key) };
    let summary = agent.answer(&request).await.expect("a summary");
    assert_eq!(summary.text, "What was said before:\n\n- Hello bot\n- I like herons\n- And now?");
}
