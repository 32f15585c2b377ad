//! `onecard hsm serve`: the calls over TLS 1.3, by role.
//!
//! A client is what its certificate says; what it may call stands in [`hsm_client::OPERATIONS`].
//! Calls of one connection are answered in order. Arithmetic runs on a bounded pool: a call that
//! finds the queue full is refused at once, one whose caller has given up is not begun. What is
//! refused is in the audit log, as far as [`limits`] lets one client fill it.

mod connection;
mod dispatch;
mod health;
pub mod limits;
mod metrics;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use hsm_client::{Credential, HsmError};
use rustls::{ServerConfig, crypto::ring, server::WebPkiClientVerifier, version::TLS13};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::SoftHsm;
use dispatch::Shared;
use limits::Limits;

/// How long calls under way may take after the server was told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Health and metrics carry no identity.
    #[error(
        "health and metrics are not served on {0}: choose a loopback address (127.0.0.1 or [::1])"
    )]
    NotLoopback(SocketAddr),
    /// The port cannot be had.
    #[error("cannot listen on {address}: {error}{}", advice(error))]
    Bind {
        /// Address asked for.
        address: SocketAddr,
        /// What the operating system said.
        error: io::Error,
    },
    /// Certificates.
    #[error("the server's certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// Certificates of clients.
    #[error("clients cannot be verified: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The credential.
    #[error("{0}")]
    Credential(#[from] HsmError),
    /// Threads or sockets.
    #[error("the HSM's server cannot run: {0}")]
    System(#[from] io::Error),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            ": another program uses this port; stop it or choose another one"
        }
        io::ErrorKind::PermissionDenied => ": choose a port above 1023",
        _ => "",
    }
}

/// Where the server listens.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Clients. Any address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Health and metrics over plain HTTP: a loopback address.
    pub health: Option<SocketAddr>,
    /// What one client, and all together, may ask for.
    pub limits: Limits,
}

/// A server whose key store is still closed: it holds its ports, its health says `offline`.
pub struct Offline {
    runtime: Runtime,
    listener: TcpListener,
    health: Option<SocketAddr>,
    state: watch::Sender<Option<Arc<Shared>>>,
    limits: Limits,
}

/// Takes the ports.
pub fn bind(settings: Settings) -> core::result::Result<Offline, ServeError> {
    let listen = |address: SocketAddr| -> core::result::Result<TcpListener, ServeError> {
        let listener =
            TcpListener::bind(address).map_err(|error| ServeError::Bind { address, error })?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    let listener = listen(settings.address)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("hsm")
        .enable_all()
        .build()?;
    let (state, seen) = watch::channel(None);
    let mut health = None;
    if let Some(address) = settings.health {
        if !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback(address));
        }
        let listener = listen(address)?;
        health = Some(listener.local_addr()?);
        let _inside = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        runtime.spawn(health::serve(listener, seen));
    }
    Ok(Offline {
        runtime,
        listener,
        health,
        state,
        limits: settings.limits,
    })
}

impl Offline {
    /// Address of the clients' port.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Begins to serve.
    pub fn serve(
        self,
        hsm: SoftHsm,
        credential: &Credential,
    ) -> core::result::Result<Running, ServeError> {
        let address = self.address()?;
        let acceptor = TlsAcceptor::from(tls(credential, &hsm)?);
        let shared = Arc::new(Shared::new(hsm, self.limits));
        let (stop, stopping) = watch::channel(false);
        let _inside = self.runtime.enter();
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let accepting = accept(listener, acceptor, Arc::clone(&shared), stopping);
        let accepting = self.runtime.spawn(accepting);
        drop(_inside);
        let _ = self.state.send(Some(shared));
        let runtime = self.runtime;
        let thread = thread::Builder::new()
            .name("hsm-serve".to_owned())
            .spawn(move || {
                // A panic of the accepting task ends the service as a stop does.
                let _ = runtime.block_on(accepting);
                runtime.shutdown_timeout(DRAIN_MAX);
            })?;
        Ok(Running {
            address,
            health: self.health,
            stop,
            state: self.state,
            thread: Some(thread),
        })
    }
}

/// A serving HSM. Dropped, it drains: calls under way are answered, new ones refused with
/// [`HsmError::Unavailable`].
pub struct Running {
    address: SocketAddr,
    health: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    state: watch::Sender<Option<Arc<Shared>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Running {
    /// Where clients connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where health and metrics are.
    pub const fn health(&self) -> Option<SocketAddr> {
        self.health
    }

    /// Drains and waits for the end.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // The key store closes with the last user of it.
        let _ = self.state.send(None);
    }
}

/// TLS 1.3; a client without a certificate of our authority is nobody. The authority is the vault's, not
/// a file's: who writes beside the server's certificate makes no clients. No resumption: every
/// connection shows its certificate.
fn tls(
    credential: &Credential,
    hsm: &SoftHsm,
) -> core::result::Result<Arc<ServerConfig>, ServeError> {
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(hsm.client_roots()?);
    let clients =
        WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![credential.certificate().clone()], credential.key())?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

async fn accept(
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
    mut stopping: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(shared.limits.connections));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        let Ok((stream, peer)) = accepted else {
            // A peer that was gone before it was accepted, or a lack of descriptors that ends when
            // other connections close.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            // Closed before the handshake: the client knows that nothing was sent.
            shared.metrics.turned_away();
            continue;
        };
        let (shared, acceptor, stopping) =
            (Arc::clone(&shared), acceptor.clone(), stopping.clone());
        connections.spawn(async move {
            connection::serve(stream, peer, &acceptor, &shared, stopping).await;
            drop(place);
        });
    }
    drop(listener);
    shared.drain();
    let _ = tokio::time::timeout(DRAIN_MAX, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}
