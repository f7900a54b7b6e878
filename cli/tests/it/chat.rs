//! `lowtide chat`: what it prints where, and its exit codes.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fake_api::FakeApi;

#[tokio::test]
async fn a_reply_goes_to_stdout_and_nothing_else() {
    let api = FakeApi::start(&["tidy"]).await;
    let run = api.run(&["chat", "tidy", "--message", "hello"]).await;
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "You said **hello**.\n", ""));
    let json = api.run(&["chat", "--json", "--message", "hello"]).await;
    let entry: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, &entry["seq"], &entry["final"]), (0, &Value::from(6), &Value::from(true)));
}

#[tokio::test]
async fn a_message_may_come_from_standard_input() {
    let api = FakeApi::start(&["tidy"]).await;
    api.write_client_json("tidy");
    let run = api.run_with(&["chat", "--message", "-"], &[], "piped\n").await;
    assert_eq!((run.code, run.stdout.as_str()), (0, "You said **piped**.\n"), "{run:?}");
}

#[tokio::test]
async fn a_failed_turn_is_exit_code_1_with_its_text() {
    let api = FakeApi::start(&["broken"]).await;
    let run = api.run(&["chat", "--message", "hello"]).await;
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert_eq!(run.stderr, "I can't answer.\nWhy: HTTP 401\n");
}

#[tokio::test]
async fn an_unknown_bot_is_exit_code_2() {
    let api = FakeApi::start(&["tidy"]).await;
    let run = api.run(&["chat", "nobody", "--message", "hello"]).await;
    assert_eq!((run.code, run.stderr.as_str()), (2, "There is no bot `nobody`. `lowtide bots list` shows yours.\n"));
    let wrong_key = api.run_with(&["chat", "--message", "x", "--url", &api.url, "--key", "lt_no"], &[], "").await;
    assert_eq!((wrong_key.code, wrong_key.stderr.as_str()), (2, "The key is not known.\n"));
}

#[tokio::test]
async fn without_a_name_the_only_or_the_default_bot_answers() {
    let api = FakeApi::start(&["broken", "tidy"]).await;
    let which = api.run(&["chat", "--message", "hello"]).await;
    assert_eq!((which.code, which.stderr.as_str()), (2, "Which bot? Name one of: broken, tidy.\n"));
    api.write_client_json("tidy");
    let default = api.run_with(&["chat", "--message", "hello"], &[], "").await;
    assert_eq!(default.code, 0, "{default:?}");
}

#[tokio::test]
async fn an_absent_lowtide_is_exit_code_3() {
    let api = FakeApi::start(&["tidy"]).await;
    let nothing_known = api.run_with(&["chat", "--message", "hello"], &[], "").await;
    assert_eq!(nothing_known.code, 3);
    // Nobody may listen on port 1, which needs privileges.
    let refused = api.run_with(&["chat", "-m", "x", "--url", "http://127.0.0.1:1", "--key", "k"], &[], "").await;
    assert_eq!(refused.code, 3);
    for run in [nothing_known, refused] {
        assert!(run.stderr.contains("Is `lowtide dev` running?"), "{run:?}");
    }
}

#[tokio::test]
async fn no_answer_in_time_is_exit_code_4() {
    let api = FakeApi::start(&["silent"]).await;
    let started = Instant::now();
    let run = api.run(&["chat", "--message", "hello", "--timeout", "1"]).await;
    assert_eq!(run.code, 4, "{run:?}");
    assert!(run.stderr.starts_with("No answer within 1 s."), "{run:?}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_message_is_sent_again_under_the_same_id() {
    let api = FakeApi::start(&["shaky"]).await;
    let run = api.run(&["chat", "--message", "hello"]).await;
    assert_eq!((run.code, run.stdout.as_str()), (0, "You said **hello**.\n"), "{run:?}");
    let sent = api.bodies("POST /v1/bots/bot_00000000000000000000000001/chat");
    assert_eq!(sent.len(), 2);
    assert!(sent[0]["id"].is_string() && sent[0] == sent[1], "{sent:?}");
}

#[tokio::test]
async fn an_interactive_chat_shows_the_past_and_the_answer() {
    let api = FakeApi::start(&["tidy"]).await;
    api.write_client_json("tidy");
    let run = api.run_with(&["chat"], &[], "hello\n\n/quit\nunread\n").await;
    assert_eq!(run.code, 0, "{run:?}");
    let expected = "tidy (built-in demo) · /quit leaves, Ctrl-C stops waiting\nyou › earlier\ntidy › before that\n\
                    tidy › for somebody else\n  ↳ current_time {\"zone\":\"UTC\"}\ntidy › You said **hello**.\n";
    assert_eq!(run.stdout, expected);
}

#[tokio::test]
async fn commands_go_to_the_bot_and_its_own_words_are_a_reply() {
    let api = FakeApi::start(&["curt"]).await;
    api.write_client_json("curt");
    for command in ["/stop", "/new", "/reset", "/compact the plan", "/queue collect"] {
        let run = api.run(&["chat", "--message", command]).await;
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "Done.\n", ""), "{command}");
    }
    let request = "POST /v1/bots/bot_00000000000000000000000001/chat";
    let sent: Vec<Value> = api.bodies(request).into_iter().map(|body| body["text"].clone()).collect();
    assert_eq!(sent, ["/stop", "/new", "/reset", "/compact the plan", "/queue collect"]);

    let run = api.run_with(&["chat"], &[], "/reset\n/quit\n").await;
    let said = run.stdout.lines().skip(4).collect::<Vec<_>>();
    let expected = ["(a new conversation)", "(what is above is kept as a summary from here on)", "curt › Done."];
    assert_eq!((run.code, said.as_slice()), (0, expected.as_slice()), "{run:?}");
    assert_eq!(api.bodies(request).len(), 6);
}

#[tokio::test]
async fn a_message_that_nobody_will_answer_is_not_waited_for() {
    let api = FakeApi::start(&["stopped", "full"]).await;
    for (bot, told) in [("stopped", "(stopped)\n"), ("full", "(2 messages were left out: too many waited)\n")] {
        let run = api.run(&["chat", bot, "--message", "hello"]).await;
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (1, "", told), "{bot}");
        let json = api.run(&["chat", bot, "--json", "--message", "hello"]).await;
        let entry: Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!((json.code, &entry["final"]), (1, &Value::from(true)), "{bot}");
        api.write_client_json(bot);
        let chat = api.run_with(&["chat"], &[], "hello\n/quit\n").await;
        assert_eq!((chat.code, chat.stdout.lines().last()), (0, Some(told.trim_end())), "{chat:?}");
    }
}
