//! `onecard issuance serve`: persons, orders, cards and blank stock over HTTP.
//!
//! Conventions as in every service of the house: bearer token of a member of staff, problem
//! documents (RFC 9457), `{data, has_more, next_cursor}` pages. Personalisation itself is not
//! here: it happens at a station, next to the cards.

mod auth;
mod problem;
mod routes;

pub use auth::{Permission, Role};

use crate::{order::StaffId, store::Store};
use card_spec::time::CardTime;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, thread::JoinHandle};

/// What time it is, for this service.
pub type Clock = Arc<dyn Fn() -> CardTime + Send + Sync>;

/// How a service runs.
#[derive(Clone)]
pub struct Config {
    /// Address to listen at; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may come in, by bearer token (at least [`TOKEN_MIN`] characters).
    pub tokens: BTreeMap<String, (StaffId, Role)>,
    /// The clock.
    pub clock: Clock,
}

/// Shortest token accepted.
pub const TOKEN_MIN: usize = 16;

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port.
    #[error(
        "cannot listen at {address}: {source}. Is another service there? Choose another address"
    )]
    Bind {
        /// Address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The thread.
    #[error("the service's thread did not start: {0}")]
    Thread(std::io::Error),
    /// A token that can be guessed.
    #[error("the token of {staff} is shorter than {TOKEN_MIN} characters: draw a longer one")]
    WeakToken {
        /// Whose.
        staff: StaffId,
    },
    /// Anybody on the network could read tokens.
    #[error(
        "{0} is not a loopback address: this service speaks plain HTTP, put a TLS proxy in front of 127.0.0.1"
    )]
    NotLoopback(SocketAddr),
}

/// A running service; stops when dropped.
pub struct Running {
    address: SocketAddr,
    server: actix_web::dev::ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it and waits for the requests under way.
    pub fn stop(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        // The handle sends its message when it is made; the server's own thread does the stopping.
        drop(self.server.stop(true));
        if thread.join().is_err() {
            tracing::error!("the issuance service's thread ended in a panic");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Starts the service on a thread of its own.
pub fn start(config: Config, store: Arc<dyn Store>) -> Result<Running, StartError> {
    if !config.listen.ip().is_loopback() {
        return Err(StartError::NotLoopback(config.listen));
    }
    let short = config.tokens.iter().find(|(t, _)| t.len() < TOKEN_MIN);
    if let Some((_, (staff, _))) = short {
        return Err(StartError::WeakToken {
            staff: staff.clone(),
        });
    }
    let address = config.listen;
    let (ready, started) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("issuance-http".to_owned())
        .spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                match routes::server(config, store) {
                    Ok((server, address)) => {
                        let _ = ready.send(Ok((server.handle(), address)));
                        if let Err(error) = server.await {
                            tracing::error!(%error, "the issuance service ended");
                        }
                    }
                    Err(source) => {
                        let _ = ready.send(Err(source));
                    }
                }
            });
        })
        .map_err(StartError::Thread)?;
    let bound = started
        .recv()
        .unwrap_or_else(|_| Err(std::io::Error::other("its thread ended at once")));
    let (server, address) = bound.map_err(|source| StartError::Bind { address, source })?;
    Ok(Running {
        address,
        server,
        thread: Some(thread),
    })
}
