//! Servers that die, in the middle of a call and otherwise; several of them; slow ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{net::SocketAddr, time::Duration};

use common::{
    card,
    served::{Fault, Served, Way, serve, server_credential},
};
use hsm::server::limits::Limits;
use hsm_client::{Administration, Hsm, HsmError, ProofCheck, RemoteHsm, Role, SignPurpose};

fn connect(served: &Served, role: Role, servers: &[SocketAddr]) -> RemoteHsm {
    let credential = served.credential(role.name(), role);
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    RemoteHsm::connect(&servers, &credential).unwrap()
}

fn presence() -> ProofCheck {
    ProofCheck::Presence {
        card: card(),
        suite: card_spec::SuiteId::Aes,
        version: 1,
        challenge: [1; 8],
        cryptogram: [2; 8],
    }
}

/// Idempotent calls come through whatever happens to the first attempt; with one server too.
#[test]
fn what_may_be_repeated_is_repeated() {
    let served = Served::start();
    let way = Way::to(served.running.address());
    let client = connect(&served, Role::Clearing, &[way.address]);
    for fault in [Fault::BeforeRequest, Fault::BeforeAnswer] {
        way.breaks(fault);
        assert_eq!(
            client.verify(&[presence()]).unwrap(),
            [Ok(false)],
            "{fault:?}"
        );
        let before = served.audited("sign").len();
        way.breaks(fault);
        client.sign(SignPurpose::Hotlist, b"list").unwrap();
        // The call was done twice when only its answer was lost.
        let done = served.audited("sign").len() - before;
        assert_eq!(done, if fault == Fault::BeforeAnswer { 2 } else { 1 });
    }
}

/// Others are not: the caller is told that the outcome is unknown, and the call is made at most once.
#[test]
fn what_may_not_be_repeated_is_said() {
    let served = Served::start();
    let way = Way::to(served.running.address());
    let second = serve(
        &served.hsm,
        &server_credential(&served.hsm),
        Limits::default(),
    );
    let client = connect(&served, Role::Issuance, &[way.address, second.address()]);
    for (n, fault) in [Fault::BeforeRequest, Fault::BeforeAnswer]
        .into_iter()
        .enumerate()
    {
        client.status().unwrap();
        way.breaks(fault);
        let error = client.scp03_open([9; 8], &[0; 29], 0x33).unwrap_err();
        assert_eq!(error.code(), 25, "{fault:?} {error}");
        assert!(error.to_string().contains("scp03-open"));
        assert_eq!(served.audited("scp03-open").len(), n, "{fault:?}");
    }
    // Nothing had been sent: the next server does it, and refuses this card by its own reasons.
    drop(way);
}

#[test]
fn the_next_server_takes_over() {
    let served = Served::start();
    let server = server_credential(&served.hsm);
    let second = serve(&served.hsm, &server, Limits::default());
    let third = serve(&served.hsm, &server, Limits::default());
    let (first, second_address) = (served.running.address(), second.address());
    let client = connect(&served, Role::Clearing, &[second_address, first]);
    client.verify(&[presence()]).unwrap();
    second.stop();
    // The pooled connection is gone, and so is the server.
    for _ in 0..5 {
        assert_eq!(client.verify(&[presence()]).unwrap(), [Ok(false)]);
    }
    // What only the first server remembers is asked there alone, however many others run.
    let officer = connect(&served, Role::Officer, &[third.address(), first]);
    officer.approval_challenge().unwrap();
    third.stop();
    let error = officer.approval_challenge().unwrap_err();
    assert_eq!(error.code(), 8, "{error}");
    assert!(officer.random(8).is_ok());
}

#[test]
fn a_session_stays_with_its_server() {
    use common::{ReferenceCard, open};
    let served = Served::start();
    let other_directory = tempfile::tempdir().unwrap();
    // The same keys, other memory: the second server of a province.
    let other = common::create(other_directory.path());
    let second = serve(&other, &server_credential(&served.hsm), Limits::default());
    let down = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let client = connect(
        &served,
        Role::Issuance,
        &[down, second.address(), served.running.address()],
    );
    let mut blank = ReferenceCard::blank(&other, "00000000000000000042".parse().unwrap());
    let session = open(&client, &mut blank);
    assert!(client.put_issuer_keys(session).is_ok());
    // The first server does not know it, and nobody else at the second may use it.
    for hsm in [&served.hsm, &other] {
        assert_eq!(
            hsm.put_issuer_keys(hsm_client::SessionId(1)),
            Err(HsmError::UnknownSession)
        );
    }
    let foreign = hsm_client::SessionId(u64::MAX);
    assert_eq!(
        client.put_issuer_keys(foreign),
        Err(HsmError::UnknownSession)
    );
}

/// A server that takes a call and never answers costs the caller's time and no more.
#[test]
fn a_slow_server_costs_its_time() {
    let served = Served::start();
    let way = Way::to(served.running.address());
    let client =
        connect(&served, Role::Issuance, &[way.address]).with_timeout(Duration::from_millis(300));
    way.breaks(Fault::Silence);
    let error = client.scp03_open([9; 8], &[0; 29], 0x33).unwrap_err();
    assert_eq!(error.code(), 25);
    assert!(error.to_string().contains("no answer in time"), "{error}");
}

/// A server that fails again and again is not waited for: the breaker answers at once.
#[test]
fn a_dead_server_is_left_alone() {
    let served = Served::start();
    let credential = served.credential("clearing", Role::Clearing);
    let address = served.running.address().to_string();
    drop(served);
    let client = RemoteHsm::new(&[address], &credential).unwrap();
    for _ in 0..3 {
        assert!(matches!(client.status(), Err(HsmError::Unreachable { .. })));
    }
    let error = client.status().unwrap_err();
    assert!(error.to_string().contains("left alone"), "{error}");
}

/// Calls under way are answered while the server stops; new ones go elsewhere or are refused.
#[test]
fn a_stopping_server_finishes_what_it_began() {
    let served = Served::start();
    let server = server_credential(&served.hsm);
    let second = serve(&served.hsm, &server, Limits::default());
    let first = serve(&served.hsm, &server, Limits::default());
    let client = connect(
        &served,
        Role::Clearing,
        &[first.address(), second.address()],
    );
    let checks = vec![presence(); 2000];
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..10 {
                        assert_eq!(client.verify(&checks).unwrap().len(), 2000);
                    }
                })
            })
            .collect();
        first.stop();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}
