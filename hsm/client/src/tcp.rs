//! The client of `onecard hsm serve`.

use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use card_spec::id::{Pan, SamNo};

use crate::{
    AuthenticateRequest, CardCommand, DataItem, Hsm, HsmError, KeyInfo, KeyOrder, LoadRequest,
    Opened, OverdraftRequest, OwnKeys, PinBlock, PinCheck, PinLetter, ProofCheck, ReadyCommand,
    Request, Response, Result, SamKeyRequest, SessionId, SignPurpose, Status,
    wire::{FrameError, read_frame, write_frame},
};

/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Idle connections kept for the next call.
const POOL_MAX: usize = 4;
/// Proofs in one frame: about two megabytes, well below [`crate::MAX_FRAME`].
const CHECKS_PER_FRAME: usize = 4096;
/// Data items in one frame: at their longest about eight megabytes.
const ITEMS_PER_FRAME: usize = 256;
/// A byte takes at most four characters of JSON (`255,`); beside it stand context and nonce.
const _: () = assert!(ITEMS_PER_FRAME * 4 * (crate::DATA_MAX + 256) < crate::MAX_FRAME);

/// A remote HSM. Cheap to share: calls from several threads use several connections.
pub struct TcpHsm {
    name: String,
    addresses: Vec<SocketAddr>,
    idle: Mutex<Vec<TcpStream>>,
}

impl TcpHsm {
    /// Resolves `host:port`, connects and asks for the status, so that a wrong address is an error
    /// here and not at the first card.
    pub fn connect(address: &str) -> Result<Self> {
        let unreachable = |why: String| HsmError::Unreachable {
            address: address.to_owned(),
            why,
        };
        let addresses: Vec<SocketAddr> = address
            .to_socket_addrs()
            .map_err(|e| unreachable(e.to_string()))?
            .collect();
        if addresses.is_empty() {
            return Err(unreachable("the name has no address".to_owned()));
        }
        let hsm = Self {
            name: address.to_owned(),
            addresses,
            idle: Mutex::new(Vec::new()),
        };
        hsm.status()?;
        Ok(hsm)
    }

    fn pool(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreachable(&self, why: impl core::fmt::Display) -> HsmError {
        HsmError::Unreachable {
            address: self.name.clone(),
            why: why.to_string(),
        }
    }

    /// An idle connection that is still open, or a new one. A connection is tested before its use,
    /// because a call that may have been executed must never be sent twice.
    fn connection(&self) -> Result<TcpStream> {
        loop {
            let Some(stream) = self.pool().pop() else {
                break;
            };
            if is_open(&stream) {
                return Ok(stream);
            }
        }
        let mut last = None;
        for address in &self.addresses {
            match TcpStream::connect_timeout(address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    let set = stream
                        .set_nodelay(true)
                        .and_then(|()| stream.set_read_timeout(Some(ANSWER_TIMEOUT)))
                        .and_then(|()| stream.set_write_timeout(Some(ANSWER_TIMEOUT)));
                    set.map_err(|e| self.unreachable(e))?;
                    return Ok(stream);
                }
                Err(e) => last = Some(e),
            }
        }
        Err(match last {
            Some(error) => self.unreachable(error),
            None => self.unreachable("no address"),
        })
    }

    /// One call a frameful; an answer of another length is refused.
    fn in_parts<T, A>(all: &[T], call: impl Fn(&[T]) -> Result<Vec<A>>) -> Result<Vec<A>> {
        let mut answers = Vec::with_capacity(all.len());
        for part in all.chunks(ITEMS_PER_FRAME) {
            let some = call(part)?;
            if some.len() != part.len() {
                return unexpected();
            }
            answers.extend(some);
        }
        Ok(answers)
    }

    fn call(&self, request: &Request) -> Result<Response> {
        let body = request.to_body()?;
        let mut stream = self.connection()?;
        // A server that closes at once has perhaps said why: read even after a failed write.
        let written = write_frame(&mut stream, &body);
        if let Err(FrameError::TooLong(_)) = &written {
            return Err(HsmError::Malformed {
                why: "the request is longer than a frame: send fewer items in one call".to_owned(),
            });
        }
        let answer = match read_frame(&mut stream) {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                return Err(match written {
                    Err(error) => self.unreachable(error),
                    Ok(()) => self.unreachable("it closed the connection without an answer"),
                });
            }
            Err(error) => return Err(self.unreachable(error)),
        };
        let response = Response::from_body(&answer)?;
        let mut pool = self.pool();
        if pool.len() < POOL_MAX {
            pool.push(stream);
        }
        drop(pool);
        match response {
            Response::Failed(error) => Err(error),
            other => Ok(other),
        }
    }
}

/// Whether the peer has neither closed nor said anything unasked.
fn is_open(stream: &TcpStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let quiet = matches!(
        stream.peek(&mut [0; 1]),
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock
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
}

impl Hsm for TcpHsm {
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
        answer!(self, Request::Scp03Open { host, init_update, level }, Response::Opened(o) => o)
    }

    fn scp03_wrap(&self, session: SessionId, commands: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let commands = commands.to_vec();
        answer!(self, Request::Scp03Wrap { session, commands }, Response::Many(all) => all)
    }

    fn put_issuer_keys(&self, session: SessionId) -> Result<Vec<u8>> {
        answer!(self, Request::PutIssuerKeys { session }, Response::Bytes(apdu) => apdu)
    }

    fn wrap_keys(&self, session: SessionId, order: &KeyOrder) -> Result<Vec<Vec<u8>>> {
        let order = order.clone();
        answer!(self, Request::WrapKeys { session, order }, Response::Many(all) => all)
    }

    fn first_pin(&self, session: SessionId) -> Result<PinLetter> {
        answer!(self, Request::FirstPin { session }, Response::Pin(pin) => pin)
    }

    fn scp03_close(&self, session: SessionId) -> Result<()> {
        answer!(self, Request::Scp03Close { session }, Response::Done => ())
    }

    fn verify(&self, checks: &[ProofCheck]) -> Result<Vec<Result<bool>>> {
        let mut all = Vec::with_capacity(checks.len());
        for part in checks.chunks(CHECKS_PER_FRAME) {
            let checks = part.to_vec();
            let answers: Result<Vec<Result<bool>>> =
                answer!(self, Request::Verify { checks }, Response::Verified(v) => v);
            let answers = answers?;
            if answers.len() != part.len() {
                return unexpected();
            }
            all.extend(answers);
        }
        Ok(all)
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
        Self::in_parts(items, |part| {
            let items = part.to_vec();
            answer!(self, Request::WrapData { items }, Response::Many(blobs) => blobs)
        })
    }

    fn unwrap_data(&self, items: &[DataItem]) -> Result<Vec<Vec<u8>>> {
        Self::in_parts(items, |part| {
            let items = part.to_vec();
            answer!(self, Request::UnwrapData { items }, Response::Many(plain) => plain)
        })
    }

    fn index_data(&self, field: &str, values: &[String]) -> Result<Vec<[u8; 32]>> {
        Self::in_parts(values, |part| {
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
