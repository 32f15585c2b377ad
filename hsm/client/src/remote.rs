//! The client of `onecard hsm serve`: TLS, a pool of connections, several servers.
//!
//! A call that was not sent is tried on the next server. A call that was sent and not answered is
//! sent again only when its row of [`crate::OPERATIONS`] says that doing it twice is doing it once;
//! any other fails as [`HsmError::Unanswered`].

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use card_spec::{
    id::{Pan, SamNo},
    keys::{KcvKind, KeyHeader},
};
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use zeroize::Zeroize as _;

use crate::{
    Administration, Approval, Approved, AuditFrom, AuditPage, AuthenticateRequest, CardCommand,
    CertificateInfo, CertificateRequest, Credential, DataItem, Hsm, HsmError, KeyId, KeyInfo,
    KeyOrder, KeyState, LoadRequest, MutualRequest, Opened, OverdraftRequest, OwnKeys, PinBlock,
    PinCheck, PinLetter, ProofCheck, ReadyCommand, Request, Response, Result, Revocation,
    RotationOrder, Route, SamKeyRequest, Serial, SessionId, SignPurpose, Status,
    breaker::Breaker,
    frame::{FrameError, Kind, parse_response, read_frame, request_frame, write_frame},
};

/// How long one connection attempt may take, handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one call may take, all attempts together.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Idle connections kept for the next call, each server.
const POOL_MAX: usize = 8;
/// Most items in one call of the protocol: a larger batch goes in parts.
pub const ITEMS_MAX: usize = 4096;
/// Data items in one part: at their longest about two megabytes.
const DATA_ITEMS: usize = 256;
const _: () = assert!(DATA_ITEMS * (crate::DATA_MAX + 256) < crate::frame::BODY_MAX);
/// Before all servers are asked a second time.
const PAUSE: Duration = Duration::from_millis(50);
/// A session number carries the server that opened it in its first byte.
const SERVER_SHIFT: u32 = 56;

/// A remote HSM. Cheap to share: calls from several threads use several connections.
pub struct RemoteHsm {
    servers: Vec<Server>,
    tls: Arc<ClientConfig>,
    timeout: Duration,
    ids: AtomicU32,
}

struct Server {
    name: String,
    host: ServerName<'static>,
    idle: Mutex<Vec<Connection>>,
    breaker: Mutex<Breaker>,
}

type Connection = StreamOwned<ClientConnection, Timed>;

/// Why an attempt brought no answer.
enum Miss {
    /// The call did not reach the server, or the server did nothing.
    NotDone(HsmError),
    /// It may have been done.
    Unanswered(String),
}

impl RemoteHsm {
    /// Connects to the first server that answers and asks for the status, so that a wrong address
    /// or certificate is an error here and not at the first card. Each server is `host:port`.
    pub fn connect(servers: &[String], credential: &Credential) -> Result<Self> {
        let hsm = Self::new(servers, credential)?;
        hsm.status()?;
        Ok(hsm)
    }

    /// Without asking anybody yet.
    pub fn new(servers: &[String], credential: &Credential) -> Result<Self> {
        let servers: Vec<Server> = servers
            .iter()
            .map(|s| Server::new(s))
            .collect::<Result<_>>()?;
        if servers.is_empty() || servers.len() > usize::from(u8::MAX) {
            return Err(HsmError::Malformed {
                why: "an HSM client needs one to 255 servers".to_owned(),
            });
        }
        Ok(Self {
            servers,
            tls: credential.client_config()?,
            timeout: CALL_TIMEOUT,
            ids: AtomicU32::new(1),
        })
    }

    /// With another time that one call may take; the server is told it.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// One call a part; an answer of another length is refused.
    fn in_parts<T, A>(
        all: &[T],
        most: usize,
        call: impl Fn(&[T]) -> Result<Vec<A>>,
    ) -> Result<Vec<A>> {
        let mut answers = Vec::with_capacity(all.len());
        for part in all.chunks(most) {
            let some = call(part)?;
            if some.len() != part.len() {
                return unexpected();
            }
            answers.extend(some);
        }
        Ok(answers)
    }

    fn call(&self, request: &Request) -> Result<Response> {
        let all = match request.operation().rule().route {
            Route::First => 0..1,
            Route::Any | Route::Session => 0..self.servers.len(),
        };
        self.ask(request, all).map(|(_, response)| response)
    }

    /// A call of a session, to the server that opened it.
    fn call_session(
        &self,
        session: SessionId,
        request: impl FnOnce(SessionId) -> Request,
    ) -> Result<Response> {
        let server = usize::try_from(session.0 >> SERVER_SHIFT).unwrap_or(usize::MAX);
        if server >= self.servers.len() {
            return Err(HsmError::UnknownSession);
        }
        let theirs = SessionId(session.0 & ((1 << SERVER_SHIFT) - 1));
        self.ask(&request(theirs), server..server + 1)
            .map(|(_, response)| response)
    }

    /// Asks the servers in turn, twice when the call may be repeated; says which one answered.
    fn ask(
        &self,
        request: &Request,
        servers: core::ops::Range<usize>,
    ) -> Result<(usize, Response)> {
        let rule = request.operation().rule();
        let until = Instant::now() + self.timeout;
        let rounds = if rule.idempotent { 2 } else { 1 };
        let mut last = None;
        for round in 0..rounds {
            if round > 0 {
                thread::sleep(PAUSE);
            }
            for (index, server) in self.servers.iter().enumerate() {
                if !servers.contains(&index) || (last.is_some() && Instant::now() >= until) {
                    continue;
                }
                let miss = match self.attempt(server, request, until) {
                    Ok(Response::Failed(error @ HsmError::Unavailable { .. })) => {
                        Miss::NotDone(error)
                    }
                    Ok(Response::Failed(error)) => return Err(error),
                    Ok(response) => return Ok((index, response)),
                    Err(miss) => miss,
                };
                last = Some(match miss {
                    Miss::NotDone(error) => error,
                    Miss::Unanswered(why) => {
                        let error = HsmError::Unanswered {
                            address: server.name.clone(),
                            operation: rule.name.to_owned(),
                            why,
                        };
                        if !rule.idempotent {
                            return Err(error);
                        }
                        error
                    }
                });
            }
        }
        Err(last.unwrap_or(HsmError::Late))
    }

    fn attempt(
        &self,
        server: &Server,
        request: &Request,
        until: Instant,
    ) -> core::result::Result<Response, Miss> {
        locked(&server.breaker)
            .leave(Instant::now())
            .map_err(|wait| {
                Miss::NotDone(server.unreachable(format!(
                    "it failed several times and is left alone for {} ms",
                    wait.as_millis()
                )))
            })?;
        let result = self.converse(server, request, until);
        let mut breaker = locked(&server.breaker);
        match &result {
            Ok(_) => breaker.answered(),
            // Our own mistake is none of the server's.
            Err(Miss::NotDone(HsmError::Malformed { .. })) => {}
            Err(_) => breaker.failed(Instant::now()),
        }
        result
    }

    fn converse(
        &self,
        server: &Server,
        request: &Request,
        until: Instant,
    ) -> core::result::Result<Response, Miss> {
        let mut connection = server.connection(&self.tls, until).map_err(Miss::NotDone)?;
        connection.sock.until = until;
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let left = until.saturating_duration_since(Instant::now());
        let millis = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        let mut frame = request_frame(id, millis, request).map_err(Miss::NotDone)?;
        // A server that closes at once has perhaps said why: read even after a failed write.
        let written = write_frame(&mut connection, &frame);
        if let Request::Rotate { .. } = request {
            frame.zeroize();
        }
        let (header, body) = match read_frame(&mut connection) {
            Ok(frame) => frame,
            Err(FrameError::Io(error)) => {
                if let Some(rustls::Error::AlertReceived(alert)) = tls_error(&error) {
                    let why = format!("the server refuses this client's certificate ({alert:?})");
                    return Err(Miss::NotDone(server.untrusted(why)));
                }
                let error = written.err().unwrap_or(error);
                return Err(Miss::Unanswered(said(&error)));
            }
            Err(error) => return Err(Miss::Unanswered(error.to_string())),
        };
        let operation = request.operation().number();
        if header.kind != Kind::Answer || header.id != id || header.operation != operation {
            return Err(Miss::Unanswered("it answered another question".to_owned()));
        }
        let response = parse_response(&body).map_err(|e| Miss::Unanswered(e.to_string()))?;
        let mut pool = locked(&server.idle);
        if pool.len() < POOL_MAX {
            pool.push(connection);
        }
        Ok(response)
    }
}

impl Server {
    fn new(name: &str) -> Result<Self> {
        let host = name.rsplit_once(':').map_or(name, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = ServerName::try_from(host.to_owned()).map_err(|_| HsmError::Malformed {
            why: format!("{name} is no server: write host:port"),
        })?;
        Ok(Self {
            name: name.to_owned(),
            host,
            idle: Mutex::default(),
            breaker: Mutex::default(),
        })
    }

    /// An idle connection that is still open, or a new one. A connection is tested before its use,
    /// because most calls may not be sent twice.
    fn connection(&self, tls: &Arc<ClientConfig>, until: Instant) -> Result<Connection> {
        loop {
            let Some(connection) = locked(&self.idle).pop() else {
                break;
            };
            if is_open(&connection.sock.stream) {
                return Ok(connection);
            }
        }
        let until = until.min(Instant::now() + CONNECT_TIMEOUT);
        let addresses = self
            .name
            .to_socket_addrs()
            .map_err(|e| self.unreachable(e))?;
        let mut last = None;
        for address in addresses {
            let left = until.saturating_duration_since(Instant::now());
            match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1))) {
                Ok(stream) => return self.greet(tls, stream, until),
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            Some(error) => self.unreachable(error),
            None => self.unreachable("the name has no address"),
        })
    }

    /// The whole handshake, so that a call is only ever sent to a server that proved its name.
    fn greet(
        &self,
        tls: &Arc<ClientConfig>,
        stream: TcpStream,
        until: Instant,
    ) -> Result<Connection> {
        stream.set_nodelay(true).map_err(|e| self.unreachable(e))?;
        let connection = ClientConnection::new(Arc::clone(tls), self.host.clone())
            .map_err(|e| self.untrusted(e.to_string()))?;
        let mut connection = StreamOwned::new(connection, Timed { stream, until });
        while connection.conn.is_handshaking() {
            connection
                .conn
                .complete_io(&mut connection.sock)
                .map_err(|error| match tls_error(&error) {
                    Some(why) => self.untrusted(why.to_string()),
                    None => self.unreachable(said(&error)),
                })?;
        }
        Ok(connection)
    }

    fn unreachable(&self, why: impl core::fmt::Display) -> HsmError {
        HsmError::Unreachable {
            address: self.name.clone(),
            why: why.to_string(),
        }
    }

    fn untrusted(&self, why: String) -> HsmError {
        HsmError::Untrusted {
            address: self.name.clone(),
            why,
        }
    }
}

/// A socket that gives up at a time, however slowly its peer drips.
struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        Ok(left)
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What TLS said, if it was TLS that failed. After the handshake of our side the server still
/// checks our certificate: its alert comes in the place of the first answer.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// In words that do not depend on how the system calls a time-out.
fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether the peer has neither closed nor said anything unasked.
fn is_open(stream: &TcpStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let quiet = matches!(
        stream.peek(&mut [0; 1]),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock
    );
    quiet && stream.set_nonblocking(false).is_ok()
}

fn unexpected<T>() -> Result<T> {
    Err(HsmError::Malformed {
        why: "the HSM answered another question: client and HSM are of different releases"
            .to_owned(),
    })
}

macro_rules! answer {
    ($self:ident, $request:expr, $pattern:pat => $value:expr) => {
        match $self.call(&$request)? {
            $pattern => Ok($value),
            _ => unexpected(),
        }
    };
    ($self:ident, $session:ident, $request:expr, $pattern:pat => $value:expr) => {
        match $self.call_session($session, $request)? {
            $pattern => Ok($value),
            _ => unexpected(),
        }
    };
}

impl Hsm for RemoteHsm {
    fn status(&self) -> Result<Status> {
        answer!(self, Request::Status, Response::Status(status) => status)
    }

    fn keys(&self) -> Result<Vec<KeyInfo>> {
        answer!(self, Request::Keys, Response::Keys(keys) => keys)
    }

    fn own_keys(&self) -> Result<OwnKeys> {
        answer!(self, Request::OwnKeys, Response::OwnKeys(keys) => keys)
    }

    fn scp03_open(&self, host: [u8; 8], init_update: &[u8], level: u8) -> Result<Opened> {
        let init_update = init_update.to_vec();
        let request = Request::Scp03Open {
            host,
            init_update,
            level,
        };
        match self.ask(&request, 0..self.servers.len())? {
            (server, Response::Opened(mut opened)) if opened.session.0 >> SERVER_SHIFT == 0 => {
                opened.session.0 |= (server as u64) << SERVER_SHIFT;
                Ok(opened)
            }
            _ => unexpected(),
        }
    }

    fn scp03_wrap(&self, session: SessionId, commands: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let commands = commands.to_vec();
        answer!(self, session, |session| Request::Scp03Wrap { session, commands }, Response::Many(all) => all)
    }

    fn put_issuer_keys(&self, session: SessionId) -> Result<Vec<u8>> {
        answer!(self, session, |session| Request::PutIssuerKeys { session }, Response::Bytes(apdu) => apdu)
    }

    fn wrap_keys(&self, session: SessionId, order: &KeyOrder) -> Result<Vec<Vec<u8>>> {
        let order = order.clone();
        answer!(self, session, |session| Request::WrapKeys { session, order }, Response::Many(all) => all)
    }

    fn first_pin(&self, session: SessionId) -> Result<PinLetter> {
        answer!(self, session, |session| Request::FirstPin { session }, Response::Pin(pin) => pin)
    }

    fn scp03_close(&self, session: SessionId) -> Result<()> {
        answer!(self, session, |session| Request::Scp03Close { session }, Response::Done => ())
    }

    fn verify(&self, checks: &[ProofCheck]) -> Result<Vec<Result<bool>>> {
        Self::in_parts(checks, ITEMS_MAX, |part| {
            let checks = part.to_vec();
            answer!(self, Request::Verify { checks }, Response::Verified(all) => all)
        })
    }

    fn authorize_load(&self, request: &LoadRequest) -> Result<[u8; 4]> {
        let request = Box::new(request.clone());
        answer!(self, Request::AuthorizeLoad { request }, Response::Mac(mac2) => mac2)
    }

    fn sam_ceiling_mac(
        &self,
        sam: SamNo,
        version: u8,
        challenge: [u8; 8],
        ceiling: u32,
    ) -> Result<[u8; 4]> {
        let request = Request::SamCeilingMac {
            sam,
            version,
            challenge,
            ceiling,
        };
        answer!(self, request, Response::Mac(mac) => mac)
    }

    fn card_command(&self, request: &CardCommand) -> Result<ReadyCommand> {
        let request = Box::new(request.clone());
        answer!(self, Request::CardCommand { request }, Response::Ready(ready) => ready)
    }

    fn authorize_overdraft(&self, request: &OverdraftRequest) -> Result<Vec<u8>> {
        let request = Box::new(request.clone());
        answer!(self, Request::AuthorizeOverdraft { request }, Response::Bytes(apdu) => apdu)
    }

    fn authenticate_to_card(&self, request: &AuthenticateRequest) -> Result<Vec<u8>> {
        let request = request.clone();
        answer!(self, Request::AuthenticateToCard { request }, Response::Bytes(apdu) => apdu)
    }

    fn authenticate_mutually(&self, request: &MutualRequest) -> Result<Vec<u8>> {
        let request = request.clone();
        answer!(self, Request::AuthenticateMutually { request }, Response::Bytes(apdu) => apdu)
    }

    fn key_check_value(&self, header: KeyHeader, kind: KcvKind) -> Result<[u8; 3]> {
        answer!(self, Request::KeyCheckValue { header, kind }, Response::CheckValue(value) => value)
    }

    fn sam_write_key(&self, request: &SamKeyRequest) -> Result<Vec<u8>> {
        let request = request.clone();
        answer!(self, Request::SamWriteKey { request }, Response::Bytes(apdu) => apdu)
    }

    fn translate_pin(&self, pan: Pan, block: &PinBlock, to: u8) -> Result<PinBlock> {
        let block = block.clone();
        answer!(self, Request::TranslatePin { pan, block, to }, Response::Block(block) => block)
    }

    fn verify_pin(&self, check: &PinCheck) -> Result<bool> {
        let check = check.clone();
        answer!(self, Request::VerifyPin { check }, Response::Yes(same) => same)
    }

    fn wrap_data(&self, items: &[DataItem]) -> Result<Vec<Vec<u8>>> {
        Self::in_parts(items, DATA_ITEMS, |part| {
            let items = part.to_vec();
            answer!(self, Request::WrapData { items }, Response::Many(blobs) => blobs)
        })
    }

    fn unwrap_data(&self, items: &[DataItem]) -> Result<Vec<Vec<u8>>> {
        Self::in_parts(items, DATA_ITEMS, |part| {
            let items = part.to_vec();
            answer!(self, Request::UnwrapData { items }, Response::Many(plain) => plain)
        })
    }

    fn index_data(&self, field: &str, values: &[String]) -> Result<Vec<[u8; 32]>> {
        Self::in_parts(values, DATA_ITEMS, |part| {
            let (field, values) = (field.to_owned(), part.to_vec());
            answer!(self, Request::IndexData { field, values }, Response::Hashes(all) => all)
        })
    }

    fn sign(&self, purpose: SignPurpose, message: &[u8]) -> Result<Vec<u8>> {
        let message = message.to_vec();
        answer!(self, Request::Sign { purpose, message }, Response::Bytes(signature) => signature)
    }

    fn public_key(&self, purpose: SignPurpose) -> Result<Vec<u8>> {
        answer!(self, Request::PublicKey { purpose }, Response::Bytes(key) => key)
    }

    fn random(&self, length: usize) -> Result<Vec<u8>> {
        answer!(self, Request::Random { length }, Response::Bytes(bytes) => bytes)
    }
}

impl Administration for RemoteHsm {
    fn approval_challenge(&self) -> Result<[u8; 32]> {
        answer!(self, Request::ApprovalChallenge, Response::Challenge(challenge) => challenge)
    }

    fn approve(&self, approval: &Approval) -> Result<Approved> {
        let approval = approval.clone();
        answer!(self, Request::Approve { approval }, Response::Approved(approved) => approved)
    }

    fn end_authorisation(&self) -> Result<()> {
        answer!(self, Request::EndAuthorisation, Response::Done => ())
    }

    fn clear_load_lock(&self, pan: Pan) -> Result<()> {
        answer!(self, Request::ClearLoadLock { pan }, Response::Done => ())
    }

    fn certify(&self, request: &CertificateRequest) -> Result<Vec<u8>> {
        let request = request.clone();
        answer!(self, Request::Certify { request }, Response::Bytes(der) => der)
    }

    fn revoke(&self, revocation: &Revocation) -> Result<Vec<Serial>> {
        let revocation = revocation.clone();
        answer!(self, Request::Revoke { revocation }, Response::Revoked(serials) => serials)
    }

    fn certificates(&self) -> Result<Vec<CertificateInfo>> {
        answer!(self, Request::Certificates, Response::Certificates(all) => all)
    }

    fn audit_lines(&self, from: AuditFrom) -> Result<AuditPage> {
        answer!(self, Request::AuditLines { from }, Response::AuditPage(page) => page)
    }

    fn set_key_state(&self, key: KeyId, to: KeyState) -> Result<()> {
        answer!(self, Request::SetKeyState { key, to }, Response::Done => ())
    }

    fn rotate(&self, order: &RotationOrder) -> Result<Vec<KeyId>> {
        let order = order.clone();
        answer!(self, Request::Rotate { order }, Response::Made(keys) => keys)
    }
}
