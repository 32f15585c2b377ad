//! The server over its client, and over a socket that misbehaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use card_spec::{Fen, SuiteId, keys::KeyType};
use common::{ReferenceCard, card, create, header, issuer_session, key_of, load, load_request};
use hsm::{SoftHsm, server};
use hsm_client::{
    DataItem, Hsm, HsmError, KeyOrder, ProofCheck, Response, SignPurpose, TcpHsm, read_frame,
    write_frame,
};

struct Served {
    hsm: Arc<SoftHsm>,
    address: SocketAddr,
    shutdown: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

impl Served {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let hsm = Arc::new(create(directory.path()));
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Arc::new(AtomicBool::new(false));
        let (served, flag) = (Arc::clone(&hsm), Arc::clone(&shutdown));
        let thread = std::thread::spawn(move || server::serve(listener, served, flag).unwrap());
        Self {
            hsm,
            address,
            shutdown,
            thread: Some(thread),
            _directory: directory,
        }
    }

    fn client(&self) -> TcpHsm {
        TcpHsm::connect(&self.address.to_string()).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn every_call_goes_through() {
    let served = Served::start();
    let client = served.client();
    assert_eq!(client.status().unwrap(), served.hsm.status().unwrap());
    assert_eq!(client.keys().unwrap(), served.hsm.keys().unwrap());
    assert_eq!(client.own_keys().unwrap(), served.hsm.own_keys().unwrap());
    // More items than one frame takes.
    let items: Vec<DataItem> = (0..300)
        .map(|n| DataItem {
            context: format!("P{n}"),
            data: vec![0xFF; 512],
        })
        .collect();
    let blobs = client.wrap_data(&items).unwrap();
    let wrapped: Vec<DataItem> = items
        .iter()
        .zip(blobs)
        .map(|(item, data)| DataItem {
            context: item.context.clone(),
            data,
        })
        .collect();
    let plain = client.unwrap_data(&wrapped).unwrap();
    assert!(plain.iter().eq(items.iter().map(|i| &i.data)));
    let values = ["1".to_owned(), "2".to_owned()];
    assert_eq!(
        client.index_data("certno", &values),
        served.hsm.index_data("certno", &values)
    );
    let mut blank = ReferenceCard::blank(&served.hsm, "00000000000000000042".parse().unwrap());
    let session = issuer_session(&client, &mut blank);
    let order = KeyOrder::Card {
        card: card(),
        headers: vec![header(KeyType::Dlk, 1, SuiteId::Aes)],
    };
    let items = client.wrap_keys(session, &order).unwrap();
    let (_, dlk) = key_of(&blank, &items[0]);
    assert_eq!(client.first_pin(session).unwrap().letter.len(), 6);
    client.scp03_close(session).unwrap();
    assert_eq!(client.scp03_close(session), Err(HsmError::UnknownSession));
    let request = load_request(&load(1, Fen(100)), SuiteId::Aes, &dlk);
    assert_eq!(
        client.authorize_load(&request),
        served.hsm.authorize_load(&request)
    );
    let sam = "350200000001".parse().unwrap();
    assert_eq!(
        client.sam_ceiling_mac(sam, 1, [1; 8], 5),
        served.hsm.sam_ceiling_mac(sam, 1, [1; 8], 5)
    );
    assert_eq!(
        client.sign(SignPurpose::Audit, b"x"),
        served.hsm.sign(SignPurpose::Audit, b"x")
    );
    assert_eq!(
        client.public_key(SignPurpose::Audit),
        served.hsm.public_key(SignPurpose::Audit)
    );
    assert_eq!(client.random(16).unwrap().len(), 16);
    assert!(matches!(
        client.random(1000),
        Err(HsmError::Malformed { .. })
    ));
}

/// More proofs than one frame takes, from several threads.
#[test]
fn large_batches_in_parallel() {
    let served = Served::start();
    let client = served.client();
    let check = ProofCheck::Presence {
        card: card(),
        suite: SuiteId::Aes,
        version: 1,
        challenge: [1; 8],
        cryptogram: [2; 8],
    };
    let checks = vec![check; 5000];
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let answers = client.verify(&checks).unwrap();
                assert_eq!(answers, vec![Ok(false); 5000]);
            });
        }
    });
}

#[test]
fn nonsense_gets_a_numbered_error_and_the_end() {
    let served = Served::start();
    let frames: [&[u8]; 4] = [
        &[2, 0, 0, 0, 0],
        &[1, 0xFF, 0xFF, 0xFF, 0xFF],
        b"\x01\0\0\0\x02[]",
        b"\x01\0\0\0\x0f{\"call\":\"steal\"}",
    ];
    for frame in frames {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.write_all(frame).unwrap();
        let body = read_frame(&mut stream).unwrap().unwrap();
        match Response::from_body(&body).unwrap() {
            Response::Failed(error) => assert_eq!(error.code(), 7),
            other => panic!("{other:?}"),
        }
        assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0, "closed");
    }
    // An error of the call leaves the connection open.
    let mut stream = TcpStream::connect(served.address).unwrap();
    for _ in 0..2 {
        write_frame(&mut stream, br#"{"call":"random","length":9999}"#).unwrap();
        assert!(read_frame(&mut stream).unwrap().is_some());
    }
}

#[test]
fn connections_are_bounded() {
    let served = Served::start();
    let held: Vec<TcpStream> = (0..server::CONNECTIONS_MAX)
        .map(|_| {
            let mut stream = TcpStream::connect(served.address).unwrap();
            write_frame(&mut stream, br#"{"call":"status"}"#).unwrap();
            assert!(read_frame(&mut stream).unwrap().is_some());
            stream
        })
        .collect();
    let mut stream = TcpStream::connect(served.address).unwrap();
    let body = read_frame(&mut stream).unwrap().unwrap();
    assert!(matches!(
        Response::from_body(&body),
        Ok(Response::Failed(HsmError::Refused { .. }))
    ));
    drop(held);
}

#[test]
fn loopback_only_and_clear_errors() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7001"] {
        let error = server::bind(address.parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("until it speaks TLS"), "{error}");
    }
    let served = Served::start();
    let error = server::bind(served.address).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    let client = served.client();
    let address = served.address.to_string();
    drop(served);
    // The pooled connection is gone: that is said, not retried into a wrong state.
    assert!(matches!(client.status(), Err(HsmError::Unreachable { .. })));
    assert!(matches!(
        TcpHsm::connect(&address),
        Err(HsmError::Unreachable { .. })
    ));
    assert!(matches!(
        TcpHsm::connect("no port"),
        Err(HsmError::Unreachable { .. })
    ));
}
