//! One connection: handshake, who it is, its frames.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hsm_client::{
    HsmError, Response,
    frame::{FrameError, HEADER_LENGTH, Header, Kind, answer_frame},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::dispatch::{Client, Shared};
use crate::certificates;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a frame may take once it has begun, and an answer to be taken.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be silent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a stopping server still says so to calls that were on their way.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Serves a connection until it closes, breaks, says nonsense or the server stops.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: &TlsAcceptor,
    shared: &Arc<Shared>,
    mut stopping: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let mut stream = match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return shared.stranger(peer.to_string(), error.to_string()).await,
        Err(_) => {
            let why = "no handshake in time".to_owned();
            return shared.stranger(peer.to_string(), why).await;
        }
    };
    let caller = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .and_then(|certificate| certificates::caller(certificate));
    let Some(caller) = caller else {
        let why = "the certificate names no role".to_owned();
        return shared.stranger(peer.to_string(), why).await;
    };
    let client = Arc::new(shared.client(caller));
    let Some(_place) = shared.connection_place(&client) else {
        return;
    };
    let _open = shared.metrics.connection();
    // A connection that breaks concerns its peer alone.
    let _ = converse(&mut stream, &client, shared, &mut stopping).await;
    let _ = timeout(FRAME_TIMEOUT, stream.shutdown()).await;
}

async fn converse(
    stream: &mut TlsStream<TcpStream>,
    client: &Arc<Client>,
    shared: &Arc<Shared>,
    stopping: &mut watch::Receiver<bool>,
) -> io::Result<()> {
    loop {
        let first = tokio::select! {
            biased;
            first = timeout(IDLE_TIMEOUT, stream.read_u8()) => first,
            () = last_words(stopping) => return Ok(()),
        };
        let Ok(Ok(version)) = first else {
            return Ok(());
        };
        let (header, body) = match timeout(FRAME_TIMEOUT, read(stream, version)).await? {
            Ok(frame) => frame,
            Err(FrameError::Io(error)) => return Err(error),
            Err(nonsense) => {
                let error = HsmError::Malformed {
                    why: nonsense.to_string(),
                };
                shared.refuse(client, "frame", error.clone()).await;
                let unknown = Header {
                    kind: Kind::Answer,
                    operation: u16::MAX,
                    id: 0,
                    word: 0,
                    length: 0,
                };
                let frame = answer_frame(&unknown, &Response::Failed(error));
                return write(stream, &frame).await;
            }
        };
        let frame = shared.answer(client, header, body).await;
        write(stream, &frame).await?;
    }
}

/// When a stopping server has waited for calls on their way.
async fn last_words(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
    tokio::time::sleep(LAST_WORDS).await;
}

async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    version: u8,
) -> Result<(Header, Vec<u8>), FrameError> {
    let mut head = [0; HEADER_LENGTH];
    if let Some((first, rest)) = head.split_first_mut() {
        *first = version;
        // Said at once: a peer of another protocol may send nothing more.
        if version == hsm_client::frame::FRAME_VERSION {
            stream.read_exact(rest).await?;
        }
    }
    let header = Header::parse(head)?;
    if header.kind != Kind::Request {
        return Err(FrameError::Kind(2));
    }
    // The buffer grows with what arrives, not with what was announced.
    let length = u64::from(header.length);
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body).await?;
    if (body.len() as u64) < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok((header, body))
}

async fn write(stream: &mut TlsStream<TcpStream>, frame: &[u8]) -> io::Result<()> {
    timeout(FRAME_TIMEOUT, async {
        stream.write_all(frame).await?;
        stream.flush().await
    })
    .await?
}
