//! Starting and stopping the service.

use super::{App, auth::Token, handlers, peer, problem};
use crate::clock::Clock;
use crate::error::ClearingError;
use crate::house::{House, Rules, RulesError, TopUpLimits};
use crate::medical::HospitalKey;
use crate::store::SqliteStore;
use actix_web::{App as Web, HttpServer, dev::ServerHandle, rt, web};
use clearing_api::{Tls, TlsError};
use ed25519_dalek::SigningKey;
use hsm_client::Hsm;
use rustls::ServerConfig;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often admitted and unapplied batches are swept up while nobody repeats them.
const SWEEP: Duration = Duration::from_secs(5);
/// How long running requests may take to end at a stop.
const GRACE_SECONDS: u64 = 3;

/// How the service runs.
#[derive(Clone)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one. Without `tls` a loopback address.
    pub address: SocketAddr,
    /// With it nobody is heard without a certificate; without it the service speaks plain HTTP.
    pub tls: Option<Tls>,
    /// Database file; `None` keeps everything in memory.
    pub database: Option<PathBuf>,
    /// The province's data folder (tariffs, benefits, catalogue, institutions), e.g. `data/fujian`.
    pub data: PathBuf,
    /// Seed of the ledger's Ed25519 key, which signs holds; the HSM is given its public half
    /// ([`Config::ledger_public_key`]).
    pub ledger_key: [u8; 32],
    /// Limits of top-ups.
    pub limits: TopUpLimits,
    /// Tokens of issuance, staff and auditor.
    pub tokens: Vec<Token>,
    /// Keys of the designated institutions.
    pub hospitals: Vec<HospitalKey>,
}

impl core::fmt::Debug for Config {
    /// Without the ledger's key.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Config")
            .field("address", &self.address)
            .field("database", &self.database)
            .field("data", &self.data)
            .field("limits", &self.limits)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The public key that verifies holds, for the HSM.
    pub fn ledger_public_key(&self) -> [u8; 32] {
        SigningKey::from_bytes(&self.ledger_key)
            .verifying_key()
            .to_bytes()
    }
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Plain HTTP elsewhere than on this machine.
    #[error(
        "{0} is not a loopback address, where alone plain HTTP is spoken: add [clearing.tls] with ca, certificate and key"
    )]
    NotLoopback(SocketAddr),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Tariffs published by an earlier run.
    #[error("{0}. This service must be as new as the one that published them")]
    Published(ClearingError),
    /// The address is not to be had.
    #[error("cannot listen on {address}: {why}. Stop what listens there or choose another address")]
    Address {
        /// Address tried.
        address: SocketAddr,
        /// What the operating system said.
        why: std::io::Error,
    },
    /// The rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The database.
    #[error("cannot open the clearing database {path}: {why}")]
    Database {
        /// Path, or `in memory`.
        path: String,
        /// What was wrong.
        why: ClearingError,
    },
    /// The operating system gave no thread or socket.
    #[error("cannot run the service: {0}")]
    Run(std::io::Error),
    /// The service's thread ended before it served.
    #[error("the service ended before it could serve; its log says why")]
    Ended,
}

/// A running service; stops when dropped.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    is_tls: bool,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base address for clients.
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Ends it: running requests are answered first.
    pub fn stop(mut self) {
        self.end();
    }

    /// Waits until it ends.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The command is sent at once; the thread ends when it is carried out.
            drop(self.handle.stop(true));
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts the service on a thread of its own and returns once it serves.
pub fn start(
    config: Config,
    hsm: Arc<dyn Hsm>,
    clock: Arc<dyn Clock>,
) -> Result<Running, StartError> {
    if config.tls.is_none() && !config.address.ip().is_loopback() {
        return Err(StartError::NotLoopback(config.address));
    }
    let tls = config.tls.as_ref().map(peer::server_config).transpose()?;
    let is_tls = tls.is_some();
    let rules = Rules::load(&config.data)?;
    let cannot_listen = |why| StartError::Address {
        address: config.address,
        why,
    };
    let listener = TcpListener::bind(config.address).map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let (sender, receiver) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("clearing".to_owned())
        .spawn(move || {
            rt::System::new().block_on(async move {
                match prepare(config, rules, hsm, clock).await {
                    Ok(app) => serve(web::Data::new(app), listener, tls, &sender).await,
                    Err(why) => {
                        let _ = sender.send(Err(why));
                    }
                }
            });
        })
        .map_err(StartError::Run)?;
    let handle = receiver.recv().map_err(|_| StartError::Ended)??;
    Ok(Running {
        address,
        is_tls,
        handle,
        thread: Some(thread),
    })
}

async fn prepare(
    config: Config,
    rules: Rules,
    hsm: Arc<dyn Hsm>,
    clock: Arc<dyn Clock>,
) -> Result<App, StartError> {
    let path = config.database.as_ref();
    let store = SqliteStore::open(config.database.as_deref())
        .await
        .map_err(|why| StartError::Database {
            path: path.map_or("in memory".to_owned(), |path| path.display().to_string()),
            why,
        })?;
    let ledger_key = SigningKey::from_bytes(&config.ledger_key);
    Ok(App {
        house: House::new(
            store,
            hsm,
            clock,
            Arc::new(rules),
            ledger_key,
            config.limits,
        ),
        tokens: config.tokens,
        hospitals: config.hospitals,
    })
}

async fn serve(
    app: web::Data<App>,
    listener: TcpListener,
    tls: Option<ServerConfig>,
    sender: &mpsc::SyncSender<Result<ServerHandle, StartError>>,
) {
    if let Err(why) = app.house.recall_tariffs().await {
        let _ = sender.send(Err(StartError::Published(why)));
        return;
    }
    // What an earlier run admitted and did not apply; a failure is retried by the sweeper.
    if let Err(why) = app.house.sweep().await {
        tracing::warn!("unapplied batches remain: {why}");
    }
    let data = app.clone();
    let server = HttpServer::new(move || {
        Web::new()
            .app_data(data.clone())
            .configure(handlers::routes)
            .default_service(web::to(problem::not_found))
    })
    .on_connect(peer::note)
    .workers(2)
    .disable_signals()
    .shutdown_timeout(GRACE_SECONDS);
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls),
        None => server.listen(listener),
    };
    let server = match server {
        Ok(server) => server.run(),
        Err(why) => {
            let _ = sender.send(Err(StartError::Run(why)));
            return;
        }
    };
    let _ = sender.send(Ok(server.handle()));
    let sweeping = app.clone();
    let sweeper = rt::spawn(async move {
        loop {
            rt::time::sleep(SWEEP).await;
            if let Err(why) = sweeping.house.sweep().await {
                tracing::warn!("unapplied batches remain: {why}");
            }
        }
    });
    if let Err(why) = server.await {
        tracing::error!("the service ended: {why}");
    }
    sweeper.abort();
    app.house.stop();
    app.house.store().shut().await;
}
