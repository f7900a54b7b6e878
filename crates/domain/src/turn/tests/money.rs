//! Budgets: nothing is asked of a model that was not set aside.

use super::*;
use crate::AskedModel;

#[test]
fn each_call_is_reserved_first_and_settled_after() {
    let mut worker = Worker::with(&[1]);
    worker.metered = true;
    worker.step(Event::Loaded).step(calls(&["look"])).ran(&[("c0-look", "look")]).step(says("done"));
    insta::assert_snapshot!(worker.history(), @r#"
    append user "message 1"
    reserve
    commit, turn open true, outbox []
    call model, tools true
    append assistant "" +1 calls
    commit, turn open true, outbox [], settled 7
    run ["look"]
    append result look Ok
    commit, turn open true, outbox []
    reserve
    commit, turn open true, outbox []
    call model, tools true
    append assistant "done" +0 calls
    commit, turn open false, outbox ["\"done\" to Some(\"1\")"], settled 7
    finish
    "#);
}

#[test]
fn a_call_whose_worker_died_counts_as_spent() {
    let mut worker = Worker::with(&[1]);
    worker.metered = true;
    worker.step(Event::Loaded);
    let mut worker = worker.crash(&[1]);
    worker.step(Event::Loaded);
    let spent = |worker: &Worker| worker.turn.as_ref().map(|turn| turn.spent);
    assert_eq!(spent(&worker), Some(10), "what was set aside for the first call");
    worker.step(calls(&["look"]));
    assert_eq!(spent(&worker), Some(17));
}

#[test]
fn a_budget_that_is_used_up_ends_the_turn_with_a_sentence() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(Event::OverBudget { text: "No money.".into() });
    insta::assert_snapshot!(worker.history(), @r#"
    append user "message 1"
    call model, tools true
    append notice "No money."
    commit, turn open false, outbox ["\"No money.\" to Some(\"1\")"]
    finish
    "#);
}

#[test]
fn a_model_that_fails_costs_nothing() {
    let mut worker = Worker::with(&[1]);
    worker.metered = true;
    worker.step(Event::Loaded).step(Event::ModelFailed { text: "sorry".into(), detail: "500".into(), cost: Some(0) });
    assert!(worker.history().contains("], settled 0"), "{}", worker.history());
}

fn looked(call: &str, cost: u64) -> ToolResult {
    let asked = Some(AskedModel { model: "a/eyes".into(), cost, ..AskedModel::default() });
    let (name, outcome) = ("image".into(), ToolOutcome::Ok);
    ToolResult { call: call.into(), name, outcome, text: "a heron".into(), media: vec![], asked }
}

#[test]
fn tools_that_ask_a_model_are_reserved_and_settled_as_it_is() {
    let mut worker = Worker::with(&[1]);
    worker.metered = true;
    worker.step(Event::Loaded).step(calls(&["look", "image"]));
    worker.step(Event::ToolsRan(vec![looked("c0-look", 0), looked("c1-image", 3)])).step(says("done"));
    insta::assert_snapshot!(worker.history(), @r#"
    append user "message 1"
    reserve
    commit, turn open true, outbox []
    call model, tools true
    append assistant "" +2 calls
    commit, turn open true, outbox [], settled 7
    reserve
    commit, turn open true, outbox []
    run ["look", "image"]
    append result image Ok
    append result image Ok
    commit, turn open true, outbox [], settled 3
    reserve
    commit, turn open true, outbox []
    call model, tools true
    append assistant "done" +0 calls
    commit, turn open false, outbox ["\"done\" to Some(\"1\")"], settled 7
    finish
    "#);
    assert_eq!(worker.head.cost, 7 + 3 + 7);
}

#[test]
fn what_tools_asked_counts_for_their_turn() {
    let mut worker = Worker::with(&[1]);
    worker.metered = true;
    worker.step(Event::Loaded).step(calls(&["image"]));
    // The worker dies while the model looks.
    let mut worker = worker.crash(&[1]);
    worker.step(Event::Loaded).step(Event::ToolsRan(vec![looked("c0-image", 3)]));
    assert_eq!(worker.turn.as_ref().map(|turn| turn.spent), Some(7 + 10 + 3));
    assert!(worker.history().contains("], settled 3"), "{}", worker.history());
}

#[test]
fn tools_that_ask_a_model_are_not_run_beyond_the_budget_nor_all_at_once() {
    let mut worker = Worker::with(&[1]);
    worker.step(Event::Loaded).step(calls(&["image"; 6]));
    assert_eq!(worker.trace.last().map(|line| line.matches("image").count()), Some(4), "{}", worker.history());

    let mut worker = Worker::with(&[1]);
    worker.metered = true;
    worker.refuses_tools = true;
    worker.step(Event::Loaded).step(calls(&["image"]));
    assert!(!worker.history().contains("run ["), "{}", worker.history());
    assert!(worker.history().contains("append notice \"No money.\""), "{}", worker.history());
}
