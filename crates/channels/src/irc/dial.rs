//! The way to a server: which addresses may be called, TLS, and what its failures mean.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, Error as TlsError};

use super::connection;
use super::registration::{Credentials, Settings};
use crate::held::Ended;

/// How long an address has to take the connection, and the server to agree on TLS.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What all connections share.
#[derive(Clone)]
pub struct Dial {
    tls: Arc<ClientConfig>,
    may_call: Arc<MayCall>,
}

/// Whether a server of this name may be called at this address.
type MayCall = dyn Fn(&str, SocketAddr) -> bool + Send + Sync;

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").finish_non_exhaustive()
    }
}

/// A stream, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Dial {
    /// Trusts the certificates that the machine trusts. `may_call` says whether a server that a link's settings name may be
    /// called at an address: who lets strangers enter servers keeps them off its own network.
    ///
    /// # Errors
    ///
    /// The machine has not one usable certificate.
    pub fn new(may_call: impl Fn(&str, SocketAddr) -> bool + Send + Sync + 'static) -> io::Result<Dial> {
        Ok(Dial::with_tls(websocket::tls_config()?, may_call))
    }

    /// The same, with settings of one's own.
    pub fn with_tls(
        tls: Arc<ClientConfig>,
        may_call: impl Fn(&str, SocketAddr) -> bool + Send + Sync + 'static,
    ) -> Dial {
        Dial { tls, may_call: Arc::new(may_call) }
    }

    pub(super) async fn connect(&self, settings: &Settings) -> Result<Box<dyn Stream>, Ended> {
        let tcp = self.reach(settings).await?;
        let _ = tcp.set_nodelay(true);
        if !settings.tls {
            let is_loopback = tcp.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
            return if is_loopback {
                Ok(Box::new(tcp))
            } else {
                Err(Ended::Misconfigured(format!(
                    "{} is not on this machine, and nothing is sent over a network unencrypted: turn TLS on (port 6697)",
                    settings.server
                )))
            };
        }
        let name = ServerName::try_from(settings.server.clone())
            .map_err(|_| Ended::Misconfigured(format!("`{}` is not a server's name", settings.server)))?;
        match timeout(TIMEOUT, TlsConnector::from(self.tls.clone()).connect(name, tcp)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(tls_failure(&settings.server, &error)),
            Err(_) => Err(Ended::Lost(format!(
                "{} did not agree on TLS in time; networks commonly speak it at port 6697",
                settings.server
            ))),
        }
    }

    async fn reach(&self, settings: &Settings) -> Result<TcpStream, Ended> {
        let server = &settings.server;
        let lost = |error: io::Error| Ended::Lost(format!("{server} cannot be reached: {error}"));
        let addresses = timeout(TIMEOUT, lookup_host((server.as_str(), settings.port)))
            .await
            .map_err(|_| Ended::Lost(format!("the address of {server} could not be looked up in time")))?
            .map_err(lost)?;
        let (allowed, refused): (Vec<_>, Vec<_>) = addresses.partition(|address| (self.may_call)(server, *address));
        if allowed.is_empty() && !refused.is_empty() {
            return Err(Ended::Misconfigured(format!("{server} is at an address that bots may not call")));
        }
        let mut ended = Ended::Lost(format!("{server} has no address"));
        for address in allowed {
            match timeout(TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => ended = lost(error),
                Err(_) => ended = Ended::Lost(format!("{server} did not answer in time")),
            }
        }
        Err(ended)
    }
}

fn tls_failure(server: &str, error: &io::Error) -> Ended {
    let tls = error.get_ref().and_then(|source| source.downcast_ref::<TlsError>());
    match tls {
        Some(TlsError::InvalidCertificate(why)) => Ended::Misconfigured(format!(
            "the certificate of {server} is not to be trusted ({why:?}): is this the network's name?"
        )),
        Some(TlsError::InvalidMessage(_)) => {
            Ended::Misconfigured(format!("{server} does not speak TLS at this port; networks commonly do at port 6697"))
        }
        _ => Ended::Lost(format!("no TLS with {server}: {error}")),
    }
}

/// Connects, registers and quits: whether a link's settings and credentials work. Joins nothing.
///
/// # Errors
///
/// Why not: every [`Ended`] but [`Ended::Stopped`].
pub async fn check(settings: &Settings, credentials: &Credentials, dial: &Dial) -> Result<(), Ended> {
    settings.check()?;
    let stream = dial.connect(settings).await?;
    connection::register(stream, settings, credentials).await
}
