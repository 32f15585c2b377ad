//! `onecard hsm serve`: the trait over frames, on loopback addresses only.
//!
//! One thread a connection, at most [`CONNECTIONS_MAX`]. A malformed or oversized frame is answered
//! with a numbered error, then the connection closes; an error of the call itself is an answer like
//! any other and the connection stays.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hsm_client::{
    FrameError, Hsm, HsmError, MAX_FRAME, Request, Response, Result, read_frame, write_frame,
};

/// Most connections at once.
pub const CONNECTIONS_MAX: usize = 32;
/// How often an idle thread looks whether it should stop.
const TICK: Duration = Duration::from_millis(50);
/// How long a frame may take once it has begun, and an answer to be taken.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be silent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Not a loopback address.
    #[error(
        "the HSM does not listen on {0}: until it speaks TLS it stays on loopback addresses (127.0.0.1 or [::1])"
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
    /// The listener failed.
    #[error("the HSM's listener failed: {0}")]
    Listener(#[from] io::Error),
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

/// A listener on a loopback address; port 0 takes a free one.
pub fn bind(address: SocketAddr) -> core::result::Result<TcpListener, ServeError> {
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    TcpListener::bind(address).map_err(|error| ServeError::Bind { address, error })
}

/// Serves until `shutdown` is true, then waits for the calls under way.
pub fn serve(
    listener: TcpListener,
    hsm: Arc<dyn Hsm>,
    shutdown: Arc<AtomicBool>,
) -> core::result::Result<(), ServeError> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    listener.set_nonblocking(true)?;
    let connections = AtomicUsize::new(0);
    thread::scope(|scope| {
        while !shutdown.load(Ordering::Relaxed) {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                // Also a peer that was gone before it was accepted, or a lack of descriptors that
                // ends when other connections close.
                Err(_) => {
                    thread::sleep(TICK / 5);
                    continue;
                }
            };
            if connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
                connections.fetch_sub(1, Ordering::Relaxed);
                turn_away(stream);
                continue;
            }
            let (hsm, shutdown, connections) = (&*hsm, &*shutdown, &connections);
            scope.spawn(move || {
                // A connection that breaks concerns its peer alone.
                let _ = converse(stream, hsm, shutdown);
                connections.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    Ok(())
}

fn turn_away(mut stream: TcpStream) {
    let busy = Response::Failed(HsmError::Refused {
        why: format!("{CONNECTIONS_MAX} connections are open: try again later"),
    });
    let _ = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_write_timeout(Some(TICK)));
    if let Ok(body) = busy.to_body() {
        let _ = write_frame(&mut stream, &body);
    }
}

/// One connection, until it closes, breaks, says nonsense or the server stops.
fn converse(
    mut stream: TcpStream,
    hsm: &dyn Hsm,
    shutdown: &AtomicBool,
) -> core::result::Result<(), FrameError> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(FRAME_TIMEOUT))?;
    while wait_for_frame(&stream, shutdown)? {
        stream.set_read_timeout(Some(FRAME_TIMEOUT))?;
        let request = match read_frame(&mut stream) {
            Ok(Some(body)) => Request::from_body(&body),
            Ok(None) => return Ok(()),
            Err(FrameError::Io(error)) => return Err(error.into()),
            Err(nonsense) => Err(HsmError::Malformed {
                why: nonsense.to_string(),
            }),
        };
        let understood = request.is_ok();
        let response = request
            .and_then(|request| answer(hsm, request))
            .unwrap_or_else(Response::Failed);
        write_frame(&mut stream, &body_of(&response))?;
        if !understood {
            break;
        }
    }
    Ok(())
}

/// Waits for the first byte of a frame; false when it is time to end.
fn wait_for_frame(stream: &TcpStream, shutdown: &AtomicBool) -> io::Result<bool> {
    stream.set_read_timeout(Some(TICK))?;
    let since = Instant::now();
    while !shutdown.load(Ordering::Relaxed) && since.elapsed() < IDLE_TIMEOUT {
        match stream.peek(&mut [0; 1]) {
            Ok(n) => return Ok(n > 0),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                ) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(false)
}

/// The answer's body, or that it does not fit.
fn body_of(response: &Response) -> Vec<u8> {
    let fits = response.to_body().ok().filter(|b| b.len() <= MAX_FRAME);
    fits.unwrap_or_else(|| {
        Response::Failed(HsmError::Malformed {
            why: "the answer is longer than a frame: ask for fewer items in one call".to_owned(),
        })
        .to_body()
        .unwrap_or_default()
    })
}

fn answer(hsm: &dyn Hsm, request: Request) -> Result<Response> {
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
        Request::SamWriteKey { request } => Response::Bytes(hsm.sam_write_key(&request)?),
        Request::TranslatePin { pan, block, to } => {
            Response::Block(hsm.translate_pin(pan, &block, to)?)
        }
        Request::VerifyPin { check } => Response::Yes(hsm.verify_pin(&check)?),
        Request::Random { length } => Response::Bytes(hsm.random(length)?),
    })
}
