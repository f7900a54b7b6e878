//! S3: bodies small and large, conditions, ranges, listings, copies and multipart uploads.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};

use crate::services::Services;

async fn start() -> (Services, Client) {
    let services = Services::start().await;
    let s3 = services.clients.s3.clone();
    s3.create_bucket().bucket("bucket").send().await.unwrap();
    (services, s3)
}

async fn put(s3: &Client, key: &str, body: impl Into<ByteStream>) -> String {
    let put = s3.put_object().bucket("bucket").key(key).body(body.into());
    put.send().await.unwrap().e_tag.unwrap()
}

async fn get(s3: &Client, key: &str) -> Vec<u8> {
    let got = s3.get_object().bucket("bucket").key(key).send().await;
    got.unwrap().body.collect().await.unwrap().to_vec()
}

fn large() -> Vec<u8> {
    (0..3_000_000_u32).map(|i| (i % 251) as u8).collect()
}

fn status<E>(error: &SdkError<E>) -> u16 {
    error.raw_response().unwrap().status().as_u16()
}

fn blob_count(services: &Services) -> usize {
    std::fs::read_dir(services.dir.path().join("s3/blobs")).unwrap().count()
}

#[tokio::test]
async fn an_object_keeps_its_body_type_and_metadata() {
    let (services, s3) = start().await;
    let stored = s3
        .put_object()
        .bucket("bucket")
        .key("a b/ü+%.txt")
        .body(ByteStream::from_static(b"hello"))
        .content_type("text/plain")
        .metadata("who", "me")
        .send()
        .await
        .unwrap();
    assert_eq!(stored.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    let services = services.restart().await;
    let s3 = &services.clients.s3;
    let head = s3.head_object().bucket("bucket").key("a b/ü+%.txt");
    let head = head.send().await.unwrap();
    assert_eq!(head.content_length(), Some(5));
    assert_eq!(head.content_type(), Some("text/plain"));
    assert_eq!(head.metadata().unwrap()["who"], "me");
    assert_eq!(get(s3, "a b/ü+%.txt").await, b"hello");

    put(s3, "empty", Vec::new()).await;
    assert!(get(s3, "empty").await.is_empty());

    let missing = s3.get_object().bucket("bucket").key("none").send().await;
    assert!(missing.unwrap_err().into_service_error().is_no_such_key());
    let missing = s3.head_object().bucket("bucket").key("none").send().await;
    assert!(missing.unwrap_err().into_service_error().is_not_found());
    let missing = s3.head_bucket().bucket("elsewhere").send().await;
    assert!(missing.unwrap_err().into_service_error().is_not_found());
    let buckets = s3.list_buckets().send().await.unwrap();
    assert_eq!(buckets.buckets()[0].name(), Some("bucket"));
}

#[tokio::test]
async fn a_large_body_is_a_file_until_it_is_replaced_or_deleted() {
    let (services, s3) = start().await;
    let body = large();
    put(&s3, "large", body.clone()).await;
    assert_eq!(blob_count(&services), 1);
    assert_eq!(get(&s3, "large").await, body);

    put(&s3, "large", body[..2_000_000].to_vec()).await;
    assert_eq!(blob_count(&services), 1);
    put(&s3, "large", b"small".to_vec()).await;
    assert_eq!(blob_count(&services), 0);
    put(&s3, "large", body.clone()).await;
    let delete = s3.delete_object().bucket("bucket").key("large");
    delete.send().await.unwrap();
    assert_eq!(blob_count(&services), 0);

    std::fs::write(services.dir.path().join("s3/blobs/orphan"), b"x").unwrap();
    put(&s3, "kept", body.clone()).await;
    let services = services.restart().await;
    assert_eq!(blob_count(&services), 1);
    assert_eq!(get(&services.clients.s3, "kept").await, body);
}

#[tokio::test]
async fn a_body_from_a_file_comes_in_chunks_with_a_checksum_trailer() {
    let (services, s3) = start().await;
    let path = services.dir.path().join("upload");
    let body = large();
    std::fs::write(&path, &body).unwrap();
    for algorithm in [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32C, ChecksumAlgorithm::Sha256] {
        s3.put_object()
            .bucket("bucket")
            .key("streamed")
            .checksum_algorithm(algorithm)
            .body(ByteStream::from_path(&path).await.unwrap())
            .send()
            .await
            .unwrap();
        assert_eq!(get(&s3, "streamed").await, body);
        let head = s3.head_object().bucket("bucket").key("streamed");
        assert_eq!(head.send().await.unwrap().content_encoding(), None);
    }
    let wrong = s3
        .put_object()
        .bucket("bucket")
        .key("wrong")
        .body(ByteStream::from_static(b"hello"))
        .checksum_crc32("AAAAAA==");
    assert_eq!(status(&wrong.send().await.unwrap_err()), 400);
    let missing = s3.get_object().bucket("bucket").key("wrong").send().await;
    assert!(missing.unwrap_err().into_service_error().is_no_such_key());
}

#[tokio::test]
async fn of_two_puts_that_require_absence_one_wins() {
    let (services, s3) = start().await;
    for round in 0..20 {
        let key = format!("key-{round}");
        let attempt = |body: Vec<u8>| {
            let put = s3.put_object().bucket("bucket").key(&key);
            put.if_none_match("*").body(body.into()).send()
        };
        // One body small and one large, so that both places of a body race.
        let (small, large) = tokio::join!(attempt(vec![1; 10]), attempt(vec![2; 100_000]));
        let (winner, loser) = match (small, large) {
            (Ok(_), Err(error)) => (1, error),
            (Err(error), Ok(_)) => (2, error),
            (small, large) => panic!("{small:?} {large:?}"),
        };
        assert_eq!(status(&loser), 412);
        assert_eq!(loser.code(), Some("PreconditionFailed"));
        assert_eq!(get(&s3, &key).await[0], winner);
    }
    let listed = s3.list_objects_v2().bucket("bucket").send().await.unwrap();
    let large = listed.contents().iter().filter(|object| object.size() == Some(100_000)).count();
    assert_eq!(blob_count(&services), large, "the losers' blobs are gone");
}

#[tokio::test]
async fn writes_and_deletes_can_require_an_etag() {
    let (_services, s3) = start().await;
    let first = put(&s3, "k", b"1".to_vec()).await;
    let replace = |etag: &str, key: &str| {
        let put = s3.put_object().bucket("bucket").key(key);
        put.if_match(etag).body(b"2".to_vec().into()).send()
    };
    let second = replace(&first, "k").await.unwrap().e_tag.unwrap();
    assert_eq!(status(&replace(&first, "k").await.unwrap_err()), 412);
    assert_eq!(status(&replace(&first, "none").await.unwrap_err()), 404);

    let delete = |etag: &str| {
        let delete = s3.delete_object().bucket("bucket").key("k");
        delete.if_match(etag).send()
    };
    assert_eq!(status(&delete(&first).await.unwrap_err()), 412);
    delete(&second).await.unwrap();
    delete(&second).await.unwrap();
}

#[tokio::test]
async fn reads_can_be_of_a_range_or_only_if_changed() {
    let (_services, s3) = start().await;
    let body = large();
    let etag = put(&s3, "large", body.clone()).await;
    put(&s3, "small", b"0123456789".to_vec()).await;
    let range = async |key: &str, range: &str| {
        let request = s3.get_object().bucket("bucket").key(key).range(range);
        let got = request.send().await?;
        let content_range = got.content_range().map(str::to_owned);
        let bytes = got.body.collect().await.unwrap().to_vec();
        Ok::<_, SdkError<_>>((content_range, bytes))
    };
    assert_eq!(range("small", "bytes=2-4").await.unwrap(), (Some("bytes 2-4/10".into()), b"234".to_vec()));
    assert_eq!(range("small", "bytes=-3").await.unwrap().1, b"789");
    assert_eq!(range("large", "bytes=1000000-1499999").await.unwrap().1, body[1_000_000..1_500_000]);
    assert_eq!(range("large", "bytes=2999999-").await.unwrap().1, body[2_999_999..]);
    assert_eq!(status(&range("small", "bytes=10-").await.unwrap_err()), 416);

    let request = s3.get_object().bucket("bucket").key("large");
    let unchanged = request.if_none_match(&etag).send().await;
    assert_eq!(status(&unchanged.unwrap_err()), 304);
    let request = s3.head_object().bucket("bucket").key("large");
    let unchanged = request.if_none_match(&etag).send().await;
    assert_eq!(status(&unchanged.unwrap_err()), 304);
}

#[tokio::test]
async fn a_listing_has_pages_and_common_prefixes() {
    let (_services, s3) = start().await;
    for key in ["a", "b/1", "b/2", "b/c/3", "b/ü", "c", "d/1"] {
        put(&s3, key, key.as_bytes().to_vec()).await;
    }
    let mut seen = Vec::new();
    let mut token = None;
    loop {
        let request = s3.list_objects_v2().bucket("bucket").delimiter("/");
        let page = request.max_keys(1).set_continuation_token(token).send().await.unwrap();
        assert_eq!(page.key_count(), Some(1));
        seen.extend(page.contents().iter().map(|o| o.key().unwrap().to_owned()));
        let prefixes = page.common_prefixes().iter();
        seen.extend(prefixes.map(|p| p.prefix().unwrap().to_owned()));
        token = page.next_continuation_token;
        if page.is_truncated != Some(true) {
            break;
        }
    }
    assert_eq!(seen, ["a", "b/", "c", "d/"]);

    let request = s3.list_objects_v2().bucket("bucket").prefix("b/");
    let page = request.start_after("b/1").send().await.unwrap();
    let keys: Vec<_> = page.contents().iter().map(|o| o.key().unwrap()).collect();
    assert_eq!(keys, ["b/2", "b/c/3", "b/ü"]);

    let mut delete = Delete::builder();
    for key in ["b/1", "b/2", "never"] {
        delete = delete.objects(ObjectIdentifier::builder().key(key).build().unwrap());
    }
    let request = s3.delete_objects().bucket("bucket");
    let deleted = request.delete(delete.build().unwrap()).send().await.unwrap();
    assert_eq!(deleted.deleted().len(), 3);
    let left = s3.list_objects_v2().bucket("bucket").send().await.unwrap();
    assert_eq!(left.key_count(), Some(5));
}

#[tokio::test]
async fn a_copy_is_independent_of_its_source() {
    let (services, s3) = start().await;
    let body = large();
    put(&s3, "large", body.clone()).await;
    put(&s3, "small", b"x".to_vec()).await;
    for key in ["large", "small"] {
        let copy = s3.copy_object().bucket("bucket").key(format!("{key}-copy"));
        let source = format!("bucket/{key}");
        copy.copy_source(source).send().await.unwrap();
        let delete = s3.delete_object().bucket("bucket").key(key);
        delete.send().await.unwrap();
    }
    assert_eq!(get(&s3, "large-copy").await, body);
    assert_eq!(get(&s3, "small-copy").await, b"x");
    assert_eq!(blob_count(&services), 1);
}

#[tokio::test]
async fn a_multipart_upload_joins_its_parts() {
    let (services, s3) = start().await;
    let begin = async |key: &str| {
        let request = s3.create_multipart_upload().bucket("bucket").key(key);
        let begun = request.content_type("video/mp4").send().await.unwrap();
        begun.upload_id.unwrap()
    };
    let upload = begin("joined").await;
    let mut completed = CompletedMultipartUpload::builder();
    for (number, part) in (1..).zip(large().chunks(1_000_000)) {
        let request = s3.upload_part().bucket("bucket").key("joined");
        let put = request.upload_id(&upload).part_number(number);
        let put = put.body(part.to_vec().into()).send().await.unwrap();
        let part = CompletedPart::builder().part_number(number);
        completed = completed.parts(part.e_tag(put.e_tag.unwrap()).build());
    }
    assert_eq!(blob_count(&services), 3);
    let request = s3.complete_multipart_upload().bucket("bucket").key("joined");
    let done = request.upload_id(&upload).multipart_upload(completed.build()).send().await.unwrap();
    assert!(done.e_tag().unwrap().ends_with("-3\""));
    assert_eq!(get(&s3, "joined").await, large());
    assert_eq!(blob_count(&services), 1);

    let upload = begin("aborted").await;
    let part = s3.upload_part().bucket("bucket").key("aborted");
    let part = part.upload_id(&upload).part_number(1);
    part.body(vec![1; 10].into()).send().await.unwrap();
    let abort = s3.abort_multipart_upload().bucket("bucket").key("aborted");
    abort.upload_id(&upload).send().await.unwrap();
    assert_eq!(blob_count(&services), 1);
}
