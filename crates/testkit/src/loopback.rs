//! A server on loopback with a thread and a runtime of its own, gone with everything it holds when dropped.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use axum::Router;
use axum::serve::ListenerExt;
use tokio::sync::oneshot;

/// A running server. The runtime of its own makes an end of connections too: a test's own runtime would keep those
/// that a client holds open, or that the server lets hang.
pub(crate) struct Loopback {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Loopback {
    /// Serves `router` on a port that the system chooses.
    pub(crate) fn serve(router: Router) -> Loopback {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("the listener's address");
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                // As every server does that streams: a measurement would else measure delayed acknowledgements.
                let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
                tokio::select! {
                    ended = axum::serve(listener, router) => ended.expect("serving on loopback"),
                    _ = stopped => {}
                }
            });
        });
        Loopback { address, stop: Some(stop), thread: Some(thread) }
    }

    /// `127.0.0.1:port`
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:port`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed; another one here would only hide it.
            let _ = thread.join();
        }
    }
}
