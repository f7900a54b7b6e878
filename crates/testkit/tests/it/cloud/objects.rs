//! Objects: the workspace, and conditions on writes.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use testkit::cloud::Calm;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_workspace_is_written_listed_and_read() {
    let (_cloud, worker) = calm_world();
    let state = worker.store.account(account());
    state.workspace_put(bot(), "SOUL.md", "kind & \u{fc}ber").await.unwrap();
    state.workspace_put(bot(), "notes/a b+c%.md", "").await.unwrap();
    assert_eq!(state.workspace_get(bot(), "SOUL.md").await.unwrap().as_deref(), Some("kind & \u{fc}ber"));
    assert_eq!(state.workspace_get(bot(), "notes/a b+c%.md").await.unwrap().as_deref(), Some(""));
    assert_eq!(state.workspace_get(bot(), "NONE.md").await.unwrap(), None);
    let before = state.workspace_list(bot()).await.unwrap();
    let names: Vec<&str> = before.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["SOUL.md", "notes/a b+c%.md"]);
    assert_eq!(before.iter().map(|file| file.size).collect::<Vec<_>>(), [12, 0]);
    state.workspace_put(bot(), "SOUL.md", "stern").await.unwrap();
    let after = state.workspace_list(bot()).await.unwrap();
    assert!(before[0].tag != after[0].tag && before[1] == after[1], "tags follow contents");
}

#[tokio::test(start_paused = true)]
async fn objects_are_listed_in_pages_and_replaced_under_conditions() {
    let (cloud, worker) = calm_world();
    worker.store.create_missing().await.unwrap();
    let s3 = cloud.clients(Arc::new(Calm)).s3;
    let bucket = "lowtide-state";
    let put = |key: &str| s3.put_object().bucket(bucket).key(key).body(ByteStream::from_static(b"one"));
    for key in ["a/1", "a/2", "a/3", "b"] {
        put(key).send().await.unwrap();
    }
    let list = || s3.list_objects_v2().bucket(bucket).prefix("a/").max_keys(2);
    let first = list().send().await.unwrap();
    assert_eq!((first.contents().len(), first.is_truncated()), (2, Some(true)));
    let rest = list().set_continuation_token(first.next_continuation_token).send().await.unwrap();
    assert_eq!((rest.contents()[0].key(), rest.is_truncated()), (Some("a/3"), Some(false)));
    let behind = list().start_after("a/2").send().await.unwrap();
    assert_eq!(behind.contents().len(), 1);

    let head = s3.head_object().bucket(bucket).key("b").send().await.unwrap();
    assert_eq!(head.content_length(), Some(3));
    let tag = head.e_tag().unwrap();
    let taken = put("b").if_none_match("*").send().await.unwrap_err();
    assert_eq!(taken.code(), Some("PreconditionFailed"));
    put("c").if_none_match("*").send().await.unwrap();
    put("b").if_match(tag).body(ByteStream::from_static(b"two")).send().await.unwrap();
    assert_eq!(put("b").if_match(tag).send().await.unwrap_err().code(), Some("PreconditionFailed"));
    assert_eq!(put("none").if_match(tag).send().await.unwrap_err().code(), Some("NoSuchKey"));
    s3.delete_object().bucket(bucket).key("b").send().await.unwrap();
    let gone = s3.head_object().bucket(bucket).key("b").send().await.unwrap_err();
    assert!(gone.into_service_error().is_not_found());
    let part = s3.get_object().bucket(bucket).key("c").range("bytes=0-1").send().await.unwrap_err();
    assert_eq!(part.code(), Some("NotImplemented"), "what is not simulated is refused");
}
