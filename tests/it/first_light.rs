//! What a newcomer does first: starts it, talks to a bot, stops it the hard way, starts it again.

use crate::dev_process::{DevProcess, run, text};

#[tokio::test]
async fn a_newcomer_talks_to_a_bot_and_it_remembers_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[]).await;
    let first = run(dir.path(), &["chat", "--message", "hello"]).await;
    assert!(first.status.success(), "{}", text(&first.stderr));
    let reply = text(&first.stdout);
    assert!(reply.contains("demo") && reply.contains("lowtide bots model"), "it says what it is: {reply}");

    dev.kill().await;
    let dev = DevProcess::start(dir.path(), &[]).await;
    let second = run(dir.path(), &["chat", "--message", "still there?"]).await;
    assert!(text(&second.stdout).contains("message 2"), "it remembers: {}", text(&second.stdout));

    let asked = run(dir.path(), &["chat", "--message", "what time is it?"]).await;
    assert!(asked.status.success(), "{}", text(&asked.stderr));
    let entries = dev.api("GET", "/v1/bots/tidy/chat?after=0", None).await.1;
    let kinds: Vec<&str> = entries["items"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[4..], ["user", "assistant", "tool_result", "assistant"], "the demo uses a tool for the time");
    assert!(dev.stop().await.success());
}

#[tokio::test]
async fn a_second_process_on_the_same_state_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[]).await;
    let second = run(dir.path(), &["dev", "--listen", "127.0.0.1:0"]).await;
    assert!(!second.status.success());
    assert!(text(&second.stderr).contains("in use by another process"), "{}", text(&second.stderr));
    let port = dev.url.rsplit(':').next().unwrap().to_owned();
    let other = tempfile::tempdir().unwrap();
    let same_port = run(other.path(), &["dev", "--listen", &format!("127.0.0.1:{port}")]).await;
    assert!(text(&same_port.stderr).contains("--listen chooses another port"), "{}", text(&same_port.stderr));
}

#[tokio::test]
async fn without_a_running_lowtide_the_terminal_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let dev = DevProcess::start(dir.path(), &[]).await;
    dev.kill().await;
    let chat = run(dir.path(), &["chat", "--message", "hello"]).await;
    assert_eq!(chat.status.code(), Some(3));
    assert!(text(&chat.stderr).contains("lowtide dev"), "{}", text(&chat.stderr));
}
