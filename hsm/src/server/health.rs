//! `GET /health` and `GET /metrics` over plain HTTP on a loopback port, for the machine's own
//! monitoring.

use std::{sync::Arc, time::Duration};

use hsm_client::State;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};

use super::dispatch::Shared;

/// Longest request that is read.
const REQUEST_MAX: u64 = 2048;
/// How long one may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Connections at once.
const CONNECTIONS_MAX: usize = 8;

pub(super) async fn serve(listener: TcpListener, state: watch::Receiver<Option<Arc<Shared>>>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let shared = state.borrow().clone();
        tokio::spawn(async move {
            let _ = timeout(TIMEOUT, answer(stream, shared)).await;
            drop(place);
        });
    }
}

async fn answer(mut stream: TcpStream, shared: Option<Arc<Shared>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut part = [0; 512];
        let n = stream.read(&mut part).await?;
        request.extend_from_slice(part.get(..n).unwrap_or_default());
        if n == 0 || request.len() as u64 > REQUEST_MAX {
            break;
        }
    }
    let line = request.split(|b| *b == b'\r').next().unwrap_or_default();
    let (status, kind, body) = match line {
        b"GET /health HTTP/1.1" | b"GET /health HTTP/1.0" => health(shared.as_deref()),
        b"GET /metrics HTTP/1.1" | b"GET /metrics HTTP/1.0" => (
            "200 OK",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            shared.map_or_else(String::new, |shared| shared.metrics.text()),
        ),
        _ => (
            "404 Not Found",
            "text/plain",
            "/health or /metrics\n".to_owned(),
        ),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// 200 when calls are served, else 503; the body is the state's name.
fn health(shared: Option<&Shared>) -> (&'static str, &'static str, String) {
    let state = match shared {
        None => "offline",
        Some(shared) if shared.is_draining() => "draining",
        Some(shared) => match shared.status().map(|status| status.state) {
            Ok(State::Operational) => "operational",
            Ok(State::Authorised) => "authorised",
            Ok(State::Offline) => "offline",
            Ok(State::Tampered) | Err(_) => "tampered",
        },
    };
    let status = match state {
        "operational" | "authorised" => "200 OK",
        _ => "503 Service Unavailable",
    };
    (status, "text/plain", format!("{state}\n"))
}
