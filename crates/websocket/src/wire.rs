//! TCP with or without TLS, holding no buffer while nothing moves.
//!
//! rustls' buffered connection keeps 4 KB for what it reads for as long as it lives. This uses its unbuffered
//! interface: bytes are read into a scratch buffer that the thread has, and only an unfinished record is kept.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What one read takes from the socket at most.
const SCRATCH: usize = 16 * 1024;

/// Room for what TLS puts round a record.
const RECORD_OVERHEAD: usize = 64;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

pub(crate) struct Wire {
    tcp: TcpStream,
    tls: Option<Box<Tls>>,
    /// Bytes for the socket that it has not taken yet.
    out: Vec<u8>,
    is_closed: bool,
}

struct Tls {
    connection: UnbufferedClientConnection,
    /// The beginning of a record whose end has not arrived.
    partial: Vec<u8>,
    is_established: bool,
}

impl Wire {
    pub(crate) fn plain(tcp: TcpStream) -> Wire {
        Wire { tcp, tls: None, out: Vec::new(), is_closed: false }
    }

    /// Speaks TLS over `tcp`, the handshake included.
    pub(crate) async fn tls(tcp: TcpStream, config: &Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Wire> {
        let connection = UnbufferedClientConnection::new(config.clone(), name).map_err(invalid)?;
        let mut tls = Box::new(Tls { connection, partial: Vec::new(), is_established: false });
        let (mut out, mut plain) = (Vec::new(), Vec::new());
        tls.process(&mut [], &mut plain, &mut out)?;
        let mut wire = Wire { tcp, tls: Some(tls), out, is_closed: false };
        while !(wire.out.is_empty() && wire.tls.as_ref().is_some_and(|tls| tls.is_established)) {
            wire.exchange(&mut plain).await?;
        }
        if plain.is_empty() { Ok(wire) } else { Err(io::Error::new(ErrorKind::InvalidData, "data before the request")) }
    }

    /// Takes bytes for the peer. They leave in [`Wire::exchange`] or [`Wire::flush`].
    pub(crate) fn queue(&mut self, data: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.encrypt(data, &mut self.out),
            None => {
                self.out.extend_from_slice(data);
                Ok(())
            }
        }
    }

    /// Waits until the socket has taken something or given something. What it gave is appended to `plain`.
    ///
    /// Nothing is lost if the future is dropped before it is done.
    pub(crate) async fn exchange(&mut self, plain: &mut Vec<u8>) -> io::Result<()> {
        if self.is_closed {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let interest = if self.out.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let ready = self.tcp.ready(interest).await?;
        if ready.is_writable() {
            self.write_some()?;
        }
        if ready.is_readable() {
            self.read_some(plain)?;
        }
        Ok(())
    }

    /// Waits until the socket has taken everything.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            self.tcp.writable().await?;
            self.write_some()?;
        }
        Ok(())
    }

    fn write_some(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.out.len() {
            match self.tcp.try_write(&self.out[written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => written += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if written == self.out.len() {
            self.out = Vec::new();
        } else {
            self.out.drain(..written);
        }
        Ok(())
    }

    fn read_some(&mut self, plain: &mut Vec<u8>) -> io::Result<()> {
        READ.with_borrow_mut(|scratch| {
            let n = match self.tcp.try_read(scratch) {
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if n == 0 {
                self.is_closed = true;
                return Ok(());
            }
            match &mut self.tls {
                Some(tls) => {
                    self.is_closed |= tls.receive(&mut scratch[..n], plain, &mut self.out)?;
                    Ok(())
                }
                None => {
                    plain.extend_from_slice(&scratch[..n]);
                    Ok(())
                }
            }
        })
    }
}

impl Tls {
    /// Takes what the socket gave. Whether the peer will send nothing more.
    fn receive(&mut self, data: &mut [u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> io::Result<bool> {
        if self.partial.is_empty() {
            let (used, is_closed) = self.process(data, plain, out)?;
            self.partial = data[used..].to_vec();
            return Ok(is_closed);
        }
        let mut records = mem::take(&mut self.partial);
        records.extend_from_slice(data);
        let (used, is_closed) = self.process(&mut records, plain, out)?;
        self.partial = records[used..].to_vec();
        Ok(is_closed)
    }

    /// Lets rustls work on `records`. Returns how many bytes of them are used up, and whether the peer has closed.
    fn process(&mut self, records: &mut [u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> io::Result<(usize, bool)> {
        let (mut used, mut is_closed) = (0, false);
        loop {
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(&mut records[used..]);
            let mut waits = false;
            match state.map_err(invalid)? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => append(out, 512, |space| match data.encode(space) {
                    Err(EncodeError::InsufficientSize(size)) => Err(Grow::To(size)),
                    encoded => encoded.map_err(|error| Grow::Failed(invalid(error))),
                })?,
                // What was encoded leaves in order with everything else.
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => is_closed = true,
                ConnectionState::Closed => (is_closed, waits) = (true, true),
                ConnectionState::BlockedHandshake => waits = true,
                ConnectionState::WriteTraffic(_) => (self.is_established, waits) = (true, true),
                _ => return Err(io::Error::other("TLS is in a state that this client does not use")),
            }
            used += discard;
            if waits {
                return Ok((used, is_closed));
            }
        }
    }

    fn encrypt(&mut self, data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut self.partial);
        let ConnectionState::WriteTraffic(mut traffic) = state.map_err(invalid)? else {
            return Err(io::Error::other("TLS does not take data now"));
        };
        append(out, data.len() + RECORD_OVERHEAD, |space| match traffic.encrypt(data, space) {
            Err(EncryptError::InsufficientSize(size)) => Err(Grow::To(size)),
            encrypted => encrypted.map_err(|error| Grow::Failed(invalid(error))),
        })?;
        self.partial.drain(..discard);
        Ok(())
    }
}

enum Grow {
    To(InsufficientSizeError),
    Failed(io::Error),
}

/// Appends what `write` puts into the space that it is given, `size` bytes or as many as it asks for.
fn append(
    out: &mut Vec<u8>,
    mut size: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Grow>,
) -> io::Result<()> {
    let start = out.len();
    loop {
        out.resize(start + size, 0);
        match write(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(Grow::To(InsufficientSizeError { required_size })) if required_size > size => size = required_size,
            Err(Grow::To(_)) => return Err(io::Error::other("TLS asks for less room than it has")),
            Err(Grow::Failed(error)) => return Err(error),
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
