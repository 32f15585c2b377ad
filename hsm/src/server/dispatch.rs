//! From a frame to its answer: who may, how much, in time, then the call itself.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hsm_client::{
    Administration as _, Hsm as _, HsmError, ITEMS_MAX, Operation, Request, Response, Result,
    Status,
    frame::{Header, answer_frame, parse_request},
};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroize as _;

use super::{
    limits::{Bucket, Limits},
    metrics::Metrics,
};
use crate::{SoftHsm, caller::Caller, refusals::Refusals};

/// Connections of one client: twice what [`hsm_client::RemoteHsm`] keeps.
const CONNECTIONS_EACH_MAX: usize = 16;

/// What all connections share.
pub(super) struct Shared {
    hsm: SoftHsm,
    pub(super) limits: Limits,
    pub(super) metrics: Metrics,
    clients: Mutex<BTreeMap<String, Arc<Allowance>>>,
    /// Refusals of peers that never proved who they are.
    strangers: Mutex<Refusals>,
    pool: Arc<Semaphore>,
    waiting: AtomicUsize,
    draining: AtomicBool,
}

/// What is left for one client, over all its connections.
struct Allowance {
    requests: Mutex<Bucket>,
    items: Mutex<Bucket>,
    connections: Arc<Semaphore>,
}

/// One client as one connection knows it.
pub(super) struct Client {
    hsm: SoftHsm,
    caller: Caller,
    allowance: Arc<Allowance>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(hsm: SoftHsm, limits: Limits) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            hsm,
            limits,
            metrics: Metrics::new(),
            clients: Mutex::default(),
            strangers: Mutex::default(),
            pool: Arc::new(Semaphore::new(cores)),
            waiting: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
        }
    }

    pub(super) fn status(&self) -> Result<Status> {
        self.hsm.status()
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The client of a verified certificate. There are as many as certificates were issued.
    pub(super) fn client(&self, caller: Caller) -> Client {
        let now = Instant::now();
        let mut clients = locked(&self.clients);
        let allowance = clients.entry(caller.name.clone()).or_insert_with(|| {
            Arc::new(Allowance {
                requests: Mutex::new(Bucket::new(self.limits.requests, now)),
                items: Mutex::new(Bucket::new(self.limits.items, now)),
                connections: Arc::new(Semaphore::new(CONNECTIONS_EACH_MAX)),
            })
        });
        Client {
            hsm: self.hsm.on_behalf_of(caller.clone()),
            caller,
            allowance: Arc::clone(allowance),
        }
    }

    /// A place for one more connection of this client, as long as it holds less than its share.
    pub(super) fn connection_place(&self, client: &Client) -> Option<OwnedSemaphorePermit> {
        let places = Arc::clone(&client.allowance.connections);
        let place = places.try_acquire_owned().ok();
        if place.is_none() {
            self.metrics.turned_away();
        }
        place
    }

    /// Notes a peer that got no connection.
    pub(super) async fn stranger(self: &Arc<Self>, peer: String, why: String) {
        self.metrics.stranger();
        let Some(suppressed) = locked(&self.strangers).line(Instant::now()) else {
            return;
        };
        let shared = Arc::clone(self);
        let noted = tokio::task::spawn_blocking(move || {
            let error = HsmError::Untrusted { address: peer, why };
            shared
                .hsm
                .note_refusal("connect", json!({}), &error, suppressed)
        });
        // Without an audit log nothing is served anyway, and the next call says so.
        let _ = noted.await;
    }

    /// Answers one frame of a client.
    pub(super) async fn answer(
        self: &Arc<Self>,
        client: &Arc<Client>,
        header: Header,
        body: Vec<u8>,
    ) -> Vec<u8> {
        let began = Instant::now();
        let until = began + Duration::from_millis(u64::from(header.word));
        let operation = Operation::from_number(header.operation);
        let admitted = self.admit(client, operation, began);
        let result = match admitted {
            Ok(operation) => self.run(client, operation, header, body, until).await,
            Err(error) => Err(error),
        };
        let name = operation.map_or("unknown", |o| o.rule().name);
        let (outcome, frame) = match result {
            Ok(answer) => answer,
            Err(error) => {
                self.refuse(client, name, error.clone()).await;
                let frame = answer_frame(&header, &Response::Failed(error.clone()));
                (error.code(), frame)
            }
        };
        self.metrics.answered(name, outcome, began.elapsed());
        frame
    }

    /// What needs neither the body nor the pool.
    fn admit(
        &self,
        client: &Client,
        operation: Option<Operation>,
        now: Instant,
    ) -> Result<Operation> {
        locked(&client.allowance.requests)
            .take(now, 1)
            .map_err(|wait| too_fast("requests", wait))?;
        let operation = operation.ok_or_else(|| HsmError::Malformed {
            why: "unknown operation: client and HSM are of different releases".to_owned(),
        })?;
        let role = client.caller.role().filter(|role| operation.permits(*role));
        if role.is_none() {
            return Err(forbidden(client, operation.rule().name));
        }
        // At every call: a connection may be older than the revocation.
        client.hsm.check_certificate()?;
        if self.is_draining() {
            return Err(HsmError::Unavailable {
                why: "this server is stopping".to_owned(),
            });
        }
        Ok(operation)
    }

    /// The call, on the pool. The outer error was refused before it began; the call's own errors
    /// are answers.
    async fn run(
        self: &Arc<Self>,
        client: &Arc<Client>,
        operation: Operation,
        header: Header,
        mut body: Vec<u8>,
        until: Instant,
    ) -> Result<(u16, Vec<u8>)> {
        let place = self.place(until).await?;
        let (shared, client) = (Arc::clone(self), Arc::clone(client));
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            let request = shared.understood(&client, operation, &body);
            if operation == Operation::Rotate {
                body.zeroize();
            }
            let request = request?;
            if Instant::now() >= until {
                return Err(HsmError::Late);
            }
            let response = answer(&client.hsm, request).unwrap_or_else(Response::Failed);
            let outcome = match &response {
                Response::Failed(error) => error.code(),
                _ => 0,
            };
            Ok((outcome, answer_frame(&header, &response)))
        });
        done.await.unwrap_or_else(|_| {
            Err(HsmError::Unavailable {
                why: "the call broke off: tell the operators, with the HSM's error output"
                    .to_owned(),
            })
        })
    }

    /// A place in the pool, unless too many wait or the caller's time is up.
    async fn place(&self, until: Instant) -> Result<tokio::sync::OwnedSemaphorePermit> {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.limits.queue {
            return Err(HsmError::Unavailable {
                why: format!("{before} calls are waiting already"),
            });
        }
        let place = Arc::clone(&self.pool).acquire_owned();
        match tokio::time::timeout_at(until.into(), place).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(HsmError::Late),
        }
    }

    /// The request of a body, if this client may make it now.
    fn understood(&self, client: &Client, operation: Operation, body: &[u8]) -> Result<Request> {
        let request = parse_request(operation, body)?;
        let permitted = client
            .caller
            .role()
            .is_some_and(|role| request.permits(role));
        if !permitted {
            return Err(forbidden(
                client,
                &format!("{} for this purpose", operation.rule().name),
            ));
        }
        let items = request.items();
        let most = ITEMS_MAX.min(self.limits.items.burst as usize);
        if items > most {
            return Err(HsmError::TooMany {
                items: items as u64,
                most: most as u64,
            });
        }
        locked(&client.allowance.items)
            .take(Instant::now(), items as u32)
            .map_err(|wait| too_fast("items", wait))?;
        Ok(request)
    }

    /// A call that was not begun. Those that were are noted by the HSM.
    pub(super) async fn refuse(&self, client: &Arc<Client>, name: &'static str, error: HsmError) {
        let client = Arc::clone(client);
        let noted =
            tokio::task::spawn_blocking(move || client.hsm.note_refused(name, json!({}), &error));
        let _ = noted.await;
    }
}

fn too_fast(what: &str, wait: Duration) -> HsmError {
    HsmError::TooFast {
        what: what.to_owned(),
        retry_after_ms: u64::try_from(wait.as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1),
    }
}

fn forbidden(client: &Client, operation: &str) -> HsmError {
    HsmError::Forbidden {
        role: client.caller.role().map_or("none", |r| r.name()).to_owned(),
        operation: operation.to_owned(),
    }
}

fn answer(hsm: &SoftHsm, request: Request) -> Result<Response> {
    Ok(match request {
        Request::Status => Response::Status(hsm.status()?),
        Request::Keys => Response::Keys(hsm.keys()?),
        Request::OwnKeys => Response::OwnKeys(hsm.own_keys()?),
        Request::Scp03Open {
            host,
            init_update,
            level,
        } => Response::Opened(hsm.scp03_open(host, &init_update, level)?),
        Request::Scp03Wrap { session, commands } => {
            Response::Many(hsm.scp03_wrap(session, &commands)?)
        }
        Request::PutIssuerKeys { session } => Response::Bytes(hsm.put_issuer_keys(session)?),
        Request::WrapKeys { session, order } => Response::Many(hsm.wrap_keys(session, &order)?),
        Request::FirstPin { session } => Response::Pin(hsm.first_pin(session)?),
        Request::Scp03Close { session } => {
            hsm.scp03_close(session)?;
            Response::Done
        }
        Request::Verify { checks } => Response::Verified(hsm.verify(&checks)?),
        Request::AuthorizeLoad { request } => Response::Mac(hsm.authorize_load(&request)?),
        Request::SamCeilingMac {
            sam,
            version,
            challenge,
            ceiling,
        } => Response::Mac(hsm.sam_ceiling_mac(sam, version, challenge, ceiling)?),
        Request::WrapData { items } => Response::Many(hsm.wrap_data(&items)?),
        Request::UnwrapData { items } => Response::Many(hsm.unwrap_data(&items)?),
        Request::IndexData { field, values } => Response::Hashes(hsm.index_data(&field, &values)?),
        Request::Sign { purpose, message } => Response::Bytes(hsm.sign(purpose, &message)?),
        Request::PublicKey { purpose } => Response::Bytes(hsm.public_key(purpose)?),
        Request::CardCommand { request } => Response::Ready(hsm.card_command(&request)?),
        Request::AuthorizeOverdraft { request } => {
            Response::Bytes(hsm.authorize_overdraft(&request)?)
        }
        Request::AuthenticateToCard { request } => {
            Response::Bytes(hsm.authenticate_to_card(&request)?)
        }
        Request::AuthenticateMutually { request } => {
            Response::Bytes(hsm.authenticate_mutually(&request)?)
        }
        Request::KeyCheckValue { header, kind } => {
            Response::CheckValue(hsm.key_check_value(header, kind)?)
        }
        Request::SamWriteKey { request } => Response::Bytes(hsm.sam_write_key(&request)?),
        Request::TranslatePin { pan, block, to } => {
            Response::Block(hsm.translate_pin(pan, &block, to)?)
        }
        Request::VerifyPin { check } => Response::Yes(hsm.verify_pin(&check)?),
        Request::Random { length } => Response::Bytes(hsm.random(length)?),
        Request::ApprovalChallenge => Response::Challenge(hsm.approval_challenge()?),
        Request::Approve { approval } => Response::Approved(hsm.approve(&approval)?),
        Request::EndAuthorisation => {
            hsm.end_authorisation()?;
            Response::Done
        }
        Request::ClearLoadLock { pan } => {
            hsm.clear_load_lock(pan)?;
            Response::Done
        }
        Request::Certify { request } => Response::Bytes(hsm.certify(&request)?),
        Request::Revoke { revocation } => Response::Revoked(hsm.revoke(&revocation)?),
        Request::Certificates => Response::Certificates(hsm.certificates()?),
        Request::AuditLines { from } => Response::AuditPage(hsm.audit_lines(from)?),
        Request::SetKeyState { key, to } => {
            hsm.set_key_state(key, to)?;
            Response::Done
        }
        Request::Rotate { order } => Response::Made(hsm.rotate(&order)?),
    })
}
