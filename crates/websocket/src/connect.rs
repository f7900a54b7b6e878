//! From a URL to an open connection: TCP, TLS, and the upgrade from HTTP.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use url::Url;

use crate::wire::Wire;
use crate::{Error, random};

/// How long a connection may take to open, everything included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// What a server's answer to the upgrade may have, in bytes and in header fields.
const MAX_RESPONSE: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// RFC 6455, 1.3.
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The TLS settings of a process: ring, and the certificates that the machine trusts (or those in the file that
/// `SSL_CERT_FILE` names). One for all connections; one for each would cost 110 KB apiece.
///
/// # Errors
///
/// There is not one usable certificate.
pub fn tls_config() -> io::Result<Arc<ClientConfig>> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(|| "none is there".to_owned(), ToString::to_string);
        let what = format!("no root certificates ({why}); install ca-certificates or set SSL_CERT_FILE");
        return Err(io::Error::new(ErrorKind::NotFound, what));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Opens `url` (`wss` or `ws`). Returns the wire and what the server sent behind its answer.
pub(crate) async fn open(url: &str, tls: &Arc<ClientConfig>) -> Result<(Wire, Vec<u8>), Error> {
    let opened = tokio::time::timeout(CONNECT_TIMEOUT, try_open(url, tls)).await;
    opened.map_err(|_| Error::Io(io::Error::new(ErrorKind::TimedOut, "the server did not answer in time")))?
}

async fn try_open(url: &str, tls: &Arc<ClientConfig>) -> Result<(Wire, Vec<u8>), Error> {
    let url = Url::parse(url).map_err(|error| Error::BadUrl(error.to_string()))?;
    let host = url.host_str().ok_or_else(|| Error::BadUrl("it names no host".to_owned()))?.to_owned();
    let (is_tls, default_port) = match url.scheme() {
        "wss" => (true, 443),
        "ws" => (false, 80),
        other => return Err(Error::BadUrl(format!("its scheme is {other}, not wss or ws"))),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let tcp = TcpStream::connect((bare, url.port().unwrap_or(default_port))).await?;
    tcp.set_nodelay(true)?;
    let mut wire = if is_tls {
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| Error::BadUrl(error.to_string()))?;
        Wire::tls(tcp, tls, name).await?
    } else {
        Wire::plain(tcp)
    };
    let rest = upgrade(&mut wire, &url, &host).await?;
    Ok((wire, rest))
}

async fn upgrade(wire: &mut Wire, url: &Url, host: &str) -> Result<Vec<u8>, Error> {
    let key = BASE64.encode(random::<16>()?);
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let request = format!(
        "GET {}{query} HTTP/1.1\r\nHost: {host}{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n",
        url.path()
    );
    wire.queue(request.as_bytes())?;
    wire.flush().await?;
    let mut answer = Vec::new();
    loop {
        wire.exchange(&mut answer).await?;
        if let Some(size) = check_answer(&answer, &key)? {
            answer.drain(..size);
            answer.shrink_to_fit();
            return Ok(answer);
        }
        if answer.len() > MAX_RESPONSE {
            return Err(Error::Refused { status: 0, retry_after: None });
        }
    }
}

/// How many bytes the answer has, once it is all there.
fn check_answer(answer: &[u8], key: &str) -> Result<Option<usize>, Error> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let status = response.parse(answer).map_err(|_| Error::Refused { status: 0, retry_after: None })?;
    let httparse::Status::Complete(size) = status else { return Ok(None) };
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok().map(str::trim)
    };
    let code = response.code.unwrap_or_default();
    let retry_after = || header("retry-after").and_then(|secs| secs.parse().ok()).map(Duration::from_secs);
    let is_accepted = code == 101
        && header("upgrade").is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
        && header("sec-websocket-accept") == Some(accept(key).as_str());
    if is_accepted { Ok(Some(size)) } else { Err(Error::Refused { status: code, retry_after: retry_after() }) }
}

/// What a server answers to a key (RFC 6455, 4.2.2).
fn accept(key: &str) -> String {
    let mut sha1 = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key.as_bytes());
    sha1.update(ACCEPT_GUID);
    BASE64.encode(sha1.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn the_answer_must_be_to_our_key() {
        let answer = |accept: &str| {
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\nmore"
            )
        };
        let good = answer("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(matches!(check_answer(good.as_bytes(), KEY), Ok(Some(size)) if size == good.len() - 4));
        assert!(matches!(check_answer(&good.as_bytes()[..40], KEY), Ok(None)));
        let other = answer("AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        assert!(matches!(check_answer(other.as_bytes(), KEY), Err(Error::Refused { status: 101, .. })));
    }

    #[test]
    fn a_refusal_says_how_long_to_wait() {
        let busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 17\r\n\r\n";
        let Err(Error::Refused { status: 429, retry_after }) = check_answer(busy, KEY) else { panic!("not refused") };
        assert_eq!(retry_after, Some(Duration::from_secs(17)));
    }
}
