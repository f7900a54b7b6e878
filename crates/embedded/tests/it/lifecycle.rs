//! Opening and closing the state directory.

use embedded::{Embedded, EmbeddedError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::services::Services;

#[tokio::test]
async fn a_directory_is_open_once_at_a_time() {
    let services = Services::start().await;
    let second = Embedded::start(services.dir.path()).await;
    let Err(error @ EmbeddedError::InUse { .. }) = second else {
        panic!("the directory was opened twice");
    };
    let dir = services.dir.path().display().to_string();
    assert!(error.to_string().contains(&dir));

    services.restart().await.embedded.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_closed_store_leaves_no_write_ahead_log() {
    let services = Services::start().await;
    let sqs = &services.clients.sqs;
    sqs.create_queue().queue_name("q").send().await.unwrap();
    services.embedded.shutdown().await.unwrap();
    for file in ["sqs.sqlite", "dynamodb.sqlite", "s3/index.sqlite"] {
        assert!(services.dir.path().join(file).exists(), "{file}");
        let wal = services.dir.path().join(format!("{file}-wal"));
        assert!(!wal.exists(), "{}", wal.display());
    }
}

#[tokio::test]
async fn what_a_web_page_sends_is_refused() {
    let services = Services::start().await;
    let endpoints = services.embedded.endpoints();
    for url in [&endpoints.s3, &endpoints.sqs] {
        let address = url.strip_prefix("http://").unwrap();
        for headers in [format!("Host: {address}\r\nOrigin: https://example.com"), "Host: example.com".to_owned()] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET / HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        }
    }
}
