//! The door to the outside: HTTP clients that reach public addresses only.
//!
//! A bot's owner chooses a model's base URL, and a model (so anybody who talks to it) chooses what is
//! fetched. Neither may reach the machine itself, its network, or the cloud's metadata service. Three
//! checks together see to it: [`Guard::check_url`] before the first request and at each redirect, for
//! what the URL itself shows; the client's resolver, for what names stand for, at the moment of
//! connecting, so that a name cannot mean one thing when checked and another when used; and no proxy,
//! which would resolve names on its own.

mod resolver;
mod way;

pub use way::Way;

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::Resolve;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use resolver::Resolver;
use url::{Host, Url};

/// How many redirects one request may follow.
const MAX_REDIRECTS: usize = 5;
/// A server that does not accept a connection in this time is taken for unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a URL is not requested.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("only http and https URLs can be fetched, not `{0}:`")]
    Scheme(String),
    #[error("a URL with a user name or password in it is not fetched")]
    UserInfo,
    #[error("it should begin with `https://`, so that nobody on the way reads it")]
    Plain,
    #[error("the URL names no host")]
    NoHost,
    #[error("`{0}` is not a public address")]
    Private(String),
    #[error("`{0}` may not be reached at this port")]
    Port(String),
    #[error("it redirected more than {MAX_REDIRECTS} times")]
    TooManyRedirects,
}

/// An entry of the list of what may be reached that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not of the form host:port, such as wiki.internal:443")]
pub struct BadAllow(String);

/// The hosts that may be reached although they are private.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allow: Arc<[(String, u16)]>,
}

impl Guard {
    /// `allow` has `host:port` pairs, IPv6 hosts in brackets.
    pub fn new(allow: &[String]) -> Result<Guard, BadAllow> {
        let pair = |text: &String| {
            let (host, port) = text.rsplit_once(':')?;
            // The URL parser writes a host the same way whatever its spelling (case, IPv6 zeros, IDNA).
            let host = Url::parse(&format!("http://{host}/")).ok()?.host_str()?.to_owned();
            Some((host, port.parse().ok()?))
        };
        let allow: Result<Vec<_>, _> =
            allow.iter().map(|text| pair(text).ok_or_else(|| BadAllow(text.clone()))).collect();
        Ok(Guard { allow: allow?.into() })
    }

    /// What the URL alone shows: scheme, user info, a literal address, a port.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInfo);
        }
        let host = url.host().ok_or(Refused::NoHost)?;
        let name = url.host_str().unwrap_or_default();
        if self.allows_host(name) {
            let fits = self.allow.iter().any(|(host, port)| host == name && Some(*port) == url.port_or_known_default());
            return if fits { Ok(()) } else { Err(Refused::Port(name.to_owned())) };
        }
        let public = match host {
            // The resolver judges names; this one is refused without asking it.
            Host::Domain(name) => !name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
            Host::Ipv4(ip) => is_public(IpAddr::V4(ip)),
            Host::Ipv6(ip) => is_public(IpAddr::V6(ip)),
        };
        if public { Ok(()) } else { Err(Refused::Private(name.to_owned())) }
    }

    /// Whether a URL may be requested, and nobody on its way can read or change what it is sent: it is of `https`, or the
    /// operator lists its host and port.
    pub fn check_private_way(&self, url: &Url) -> Result<(), Refused> {
        self.check_url(url)?;
        let is_listed = url.host_str().is_some_and(|name| self.allows_host(name));
        if is_listed || url.scheme() == "https" { Ok(()) } else { Err(Refused::Plain) }
    }

    fn allows_host(&self, name: &str) -> bool {
        self.allow.iter().any(|(host, _)| host == name)
    }

    fn check_addresses(&self, name: &str, addresses: &[SocketAddr]) -> Result<(), Refused> {
        let fits = self.allows_host(name) || addresses.iter().all(|address| is_public(address.ip()));
        if fits { Ok(()) } else { Err(Refused::Private(name.to_owned())) }
    }

    /// Whether a connection that is no request may be opened to `host`, which was found at `address`.
    pub fn allows(&self, host: &str, address: SocketAddr) -> bool {
        let is_listed = |(name, port): &(String, u16)| name.eq_ignore_ascii_case(host) && *port == address.port();
        self.allow.iter().any(is_listed) || (!self.allows_host(host) && is_public(address.ip()))
    }

    /// A client that reaches public addresses and what `self` allows. Requests still begin with
    /// [`Guard::check_url`]: a literal address never gets to the resolver.
    pub fn client(&self, redirects: Policy) -> Result<Client, reqwest::Error> {
        self.client_with(redirects, Resolver::new(self.clone(), resolver::of_system))
    }

    fn client_with(&self, redirects: Policy, resolver: impl Resolve + 'static) -> Result<Client, reqwest::Error> {
        Client::builder()
            .no_proxy()
            .dns_resolver(Arc::new(resolver))
            .redirect(redirects)
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
    }

    /// Follows redirects, each of them checked.
    pub fn redirects(&self) -> Policy {
        let guard = self.clone();
        Policy::custom(move |attempt| {
            if attempt.previous().len() > MAX_REDIRECTS {
                return attempt.error(Refused::TooManyRedirects);
            }
            match guard.check_url(attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(refused) => attempt.error(refused),
            }
        })
    }
}

/// A client without a guard, for model servers that the operator put on a private address.
pub fn unguarded_client(redirects: Policy) -> Result<Client, reqwest::Error> {
    Client::builder().redirect(redirects).connect_timeout(CONNECT_TIMEOUT).build()
}

/// Whether an address belongs to the public internet, by IANA's special-purpose registries
/// (RFC 6890 and its successors).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    !matches!(
        ip.octets(),
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // An IPv4 address in another coat (mapped, or behind NAT64 as in a subnet without IPv4).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
        // Teredo, benchmarks, ORCHID; documentation; 6to4; documentation again.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Global unicast; all else is local, multicast or unassigned.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Reads a body up to `limit` bytes; says whether there was more.
pub async fn read_capped(response: &mut Response, limit: usize) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = limit - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok((body, true));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body, false))
}

/// What went wrong with a request, without its URL: a URL may carry secrets.
pub fn describe(error: &reqwest::Error) -> String {
    let what = match error {
        e if e.is_timeout() => "it took too long",
        e if e.is_connect() => "no connection",
        e if e.is_redirect() => "a redirect was not followed",
        e if e.is_body() || e.is_decode() => "the answer broke off",
        _ => "the request failed",
    };
    // The innermost cause is the one that says something: `Connection refused`, or who refused it. The
    // outermost, reqwest's own, would name the URL.
    match std::iter::successors(error.source(), |&cause| cause.source()).last() {
        Some(cause) => format!("{what} ({cause})"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &Guard, url: &str) -> Result<(), Refused> {
        guard.check_url(&Url::parse(url).unwrap())
    }

    #[test]
    fn hostile_urls_are_refused() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://１２７.０.０.１/",
            "http://127.255.255.254:9001/2018-06-01/runtime/invocation/next",
            "http://0.0.0.0/",
            "http://0/",
            "http://169.254.169.254/latest/meta-data/",
            "http://2852039166/",
            "http://169.254.170.2/v2/credentials",
            "http://100.64.0.1/",
            "http://100.127.255.255/",
            "http://10.0.0.1/",
            "http://172.16.0.1/",
            "http://172.31.255.255/",
            "http://192.168.1.1/",
            "http://192.0.0.192/",
            "http://198.18.0.1/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[64:ff9b:1::1]/",
            "http://[2002:7f00:1::]/",
            "http://[2001::1]/",
            "http://[2001:db8::1]/",
            "http://[fc00::1]/",
            "http://[fd00:ec2::254]/",
            "http://[fe80::1]/",
            "http://[fec0::1]/",
            "http://[ff02::1]/",
            "http://localhost/",
            "http://LOCALHOST.:8080/",
        ] {
            assert!(matches!(check(&Guard::default(), url), Err(Refused::Private(_))), "{url}");
        }
        for url in ["file:///etc/passwd", "ftp://example.com/", "data:text/plain,x", "gopher://example.com/"] {
            assert!(matches!(check(&Guard::default(), url), Err(Refused::Scheme(_))), "{url}");
        }
        for url in ["http://user@example.com/", "https://user:pass@example.com/", "http://:pass@example.com/"] {
            assert_eq!(check(&Guard::default(), url), Err(Refused::UserInfo), "{url}");
        }
    }

    #[test]
    fn public_urls_pass() {
        for url in [
            "https://example.com/",
            "http://example.com:8080/a?b",
            "http://1.1.1.1/",
            "http://172.32.0.1/",
            "http://100.128.0.1/",
            "http://[2606:4700::1111]/",
            "http://[::ffff:8.8.8.8]/",
            "http://[64:ff9b::8.8.8.8]/",
        ] {
            assert_eq!(check(&Guard::default(), url), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_name_is_refused_if_any_of_its_addresses_is_private() {
        let guard = Guard::new(&["wiki.internal:443".to_owned()]).unwrap();
        let public: SocketAddr = "93.184.215.14:0".parse().unwrap();
        let private: SocketAddr = "10.1.2.3:0".parse().unwrap();
        assert_eq!(guard.check_addresses("example.com", &[public]), Ok(()));
        let refused = Err(Refused::Private("rebind.example".into()));
        assert_eq!(guard.check_addresses("rebind.example", &[public, private]), refused);
        assert_eq!(guard.check_addresses("wiki.internal", &[private]), Ok(()));
    }

    #[test]
    fn an_allowed_host_is_reached_at_its_port_only() {
        let guard = Guard::new(&["Wiki.Internal:443".to_owned(), "[::1]:8080".to_owned()]).unwrap();
        assert_eq!(check(&guard, "https://wiki.internal/page"), Ok(()));
        assert_eq!(check(&guard, "http://[0:0::1]:8080/"), Ok(()));
        assert_eq!(check(&guard, "http://wiki.internal/"), Err(Refused::Port("wiki.internal".into())));
        assert_eq!(check(&guard, "http://[::1]:22/"), Err(Refused::Port("[::1]".into())));
        assert!(Guard::new(&["wiki.internal".to_owned()]).is_err());
        assert!(Guard::new(&["wiki:http".to_owned()]).is_err());
    }
}
