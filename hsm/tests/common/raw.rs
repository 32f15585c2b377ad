//! A TLS connection on which anything can be said.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use hsm_client::{
    Credential, Response,
    frame::{HEADER_LENGTH, Header, Kind, parse_response},
};
use rustls::{ClientConfig, ClientConnection, StreamOwned, crypto::ring};

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Connects; with a credential, or with none.
pub fn connect(address: SocketAddr, trust: &Credential, own: Option<&Credential>) -> Tls {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(trust.roots().unwrap());
    let config = match own {
        Some(own) => config
            .with_client_auth_cert(vec![own.certificate().clone()], own.key())
            .unwrap(),
        None => config.with_no_client_auth(),
    };
    let name = "127.0.0.1".try_into().unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, TcpStream::connect(address).unwrap())
}

pub fn header(operation: u16, length: usize) -> Header {
    Header {
        kind: Kind::Request,
        operation,
        id: 7,
        word: 10_000,
        length: length as u32,
    }
}

/// Says a frame and reads the answer: its outcome and response.
pub fn ask(tls: &mut Tls, operation: u16, body: &[u8]) -> (u32, Response) {
    tls.write_all(&header(operation, body.len()).to_bytes())
        .unwrap();
    tls.write_all(body).unwrap();
    answer(tls)
}

pub fn answer(tls: &mut Tls) -> (u32, Response) {
    let mut head = [0; HEADER_LENGTH];
    tls.read_exact(&mut head).unwrap();
    let header = Header::parse(head).unwrap();
    assert_eq!(header.kind, Kind::Answer);
    let mut body = vec![0; header.length as usize];
    tls.read_exact(&mut body).unwrap();
    (header.word, parse_response(&body).unwrap())
}
