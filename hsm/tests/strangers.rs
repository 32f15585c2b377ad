//! Peers, frames and approvals that must not count: each a number and an audit line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use common::{
    card, create, forged, raw,
    served::{Served, serve, server_credential},
};
use hsm::{
    SoftHsm,
    server::{
        Settings, bind,
        limits::{Limits, Rate},
    },
};
use hsm_client::{
    Administration, Approval, Approved, CertificateRequest, Credential, Hsm, HsmError, LeafKey,
    ProofCheck, RemoteHsm, Request, Role, SignPurpose, Subject,
    frame::{BODY_MAX, request_frame},
};

fn connect(served: &Served, credential: &Credential) -> Result<RemoteHsm, HsmError> {
    RemoteHsm::connect(&[served.running.address().to_string()], credential)
}

/// The audit line of a refused connection comes a moment after the refusal.
fn refused_connections(served: &Served, at_least: usize) -> Vec<serde_json::Value> {
    for _ in 0..200 {
        let lines = served.audited("connect");
        if lines.len() >= at_least {
            return lines;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no audit line");
}

#[test]
fn certificates_that_do_not_count() {
    let served = Served::start();
    // The one made here is as good as an issued one, so the others fail for their own reasons.
    connect(
        &served,
        &forged::client(&served.hsm, (2020, 2060), "somebody", "clearing"),
    )
    .unwrap();
    let other_directory = tempfile::tempdir().unwrap();
    let mut config = common::config(other_directory.path());
    config.entropy = hsm::Entropy::seeded([8; 32]);
    let other = common::create_from(config).unwrap();
    let of_other = other
        .credential(
            Subject::Client {
                name: "clearing".to_owned(),
                role: Role::Clearing,
            },
            30,
        )
        .unwrap();
    let ours = served.hsm.authority_certificate().unwrap();
    let (certificate, _) = of_other.to_pem();
    assert!(certificate.contains("BEGIN CERTIFICATE"));
    let trusting_us = {
        let key = LeafKey::draw().unwrap();
        let der = other
            .certify(&CertificateRequest {
                subject: Subject::Client {
                    name: "clearing".to_owned(),
                    role: Role::Clearing,
                },
                public_key: key.public_key(),
                days: 30,
            })
            .unwrap();
        key.certified(ours, der).unwrap()
    };
    let cases = [
        (
            "expired",
            forged::client(&served.hsm, (2020, 2021), "somebody", "clearing"),
            "Expired",
        ),
        (
            "not yet valid",
            forged::client(&served.hsm, (2055, 2060), "somebody", "clearing"),
            "Expired",
        ),
        ("another authority's", trusting_us, ""),
        ("a server's", server_credential(&served.hsm), ""),
        (
            "without a role",
            forged::client(&served.hsm, (2020, 2060), "somebody", "king"),
            "",
        ),
    ];
    for (n, (what, credential, said)) in cases.iter().enumerate() {
        let error = connect(&served, credential).map(|_| ()).unwrap_err();
        assert!([26, 25].contains(&error.code()), "{what}: {error}");
        assert!(error.to_string().contains(said), "{what}: {error}");
        let lines = refused_connections(&served, n + 1);
        assert_eq!(lines[n]["outcome"], 26, "{what}");
    }
    // The other way round: this client does not trust our server.
    let error = connect(&served, &of_other).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), 26, "{error}");
    // No certificate at all.
    let trust = served.credential("auditor", Role::Auditor);
    let mut tls = raw::connect(served.running.address(), &trust, None);
    let _ = tls.write_all(&request_frame(1, 1000, &Request::Status).unwrap());
    assert!(tls.read(&mut [0; 1]).is_err());
    // A client does not pass for a server.
    let client = served.credential("clearing", Role::Clearing);
    let impostor = serve(&served.hsm, &client, Limits::default());
    let error = RemoteHsm::connect(&[impostor.address().to_string()], &client)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.code(), 26, "{error}");
}

/// What is no frame is answered with a number, then the connection ends; nothing of it stops others.
#[test]
fn nonsense_gets_a_numbered_error_and_the_end() {
    let served = Served::start();
    let credential = served.credential("clearing", Role::Clearing);
    let connect = || raw::connect(served.running.address(), &credential, Some(&credential));
    let sound = raw::header(0, 1).to_bytes();
    let with = |at: usize, value: u8| {
        let mut frame = sound;
        frame[at] = value;
        frame
    };
    for frame in [
        with(0, 1),
        with(0, 0x16),
        with(1, 2),
        with(1, 9),
        with(12, 0xFF),
    ] {
        let mut tls = connect();
        tls.write_all(&frame).unwrap();
        let (outcome, _) = raw::answer(&mut tls);
        assert_eq!(outcome, 7);
        assert_eq!(tls.read(&mut [0; 1]).unwrap_or(0), 0, "closed");
    }
    assert_eq!(served.audited("frame").len(), 5);
    // Bodies that are none leave the connection open.
    let mut tls = connect();
    for body in [
        &[][..],
        &[9, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
        &[0],
        &[9, 0, 0],
    ] {
        assert_eq!(raw::ask(&mut tls, 9, body).0, 7, "{body:?}");
    }
    assert_eq!(raw::ask(&mut tls, 0, &[0]).0, 0, "it still answers");
    // One that hangs up inside a frame, and plain text, concern themselves alone.
    let mut tls = connect();
    tls.write_all(&raw::header(9, BODY_MAX).to_bytes()).unwrap();
    drop(tls);
    let mut plain = TcpStream::connect(served.running.address()).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let _ = plain.read(&mut [0; 64]);
    assert!(served.client(Role::Clearing).status().is_ok());
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

#[test]
fn too_much_is_refused_with_its_number() {
    let limits = Limits {
        requests: Rate {
            per_second: 1,
            burst: 20,
        },
        items: Rate {
            per_second: 1,
            burst: 100,
        },
        ..Limits::default()
    };
    let served = Served::with(limits);
    let client = served.client(Role::Clearing);
    let error = client.verify(&vec![presence(); 101]).unwrap_err();
    assert_eq!(
        error,
        HsmError::TooMany {
            items: 101,
            most: 100
        }
    );
    assert!(client.verify(&vec![presence(); 100]).is_ok());
    match client.verify(&[presence(), presence()]).unwrap_err() {
        HsmError::TooFast {
            what,
            retry_after_ms,
        } => {
            assert_eq!(what, "items");
            assert!((1000..=2001).contains(&retry_after_ms), "{retry_after_ms}");
        }
        other => panic!("{other}"),
    }
    let error = loop {
        if let Err(error) = client.status() {
            break error;
        }
    };
    assert_eq!(error.code(), 21);
    // Another client has its own allowance.
    assert!(served.client(Role::Auditor).status().is_ok());
    // The wild one fills no more of the log than its share.
    for _ in 0..500 {
        assert_eq!(client.status().unwrap_err().code(), 21);
    }
    let lines = served.audited("status");
    assert!((1..=70).contains(&lines.len()), "{}", lines.len());
}

/// Whose time is over is not served: the call was not begun.
#[test]
fn late_calls_are_not_begun() {
    let served = Served::start();
    let credential = served.credential("clearing", Role::Clearing);
    let mut tls = raw::connect(served.running.address(), &credential, Some(&credential));
    let request = Request::Sign {
        purpose: SignPurpose::Hotlist,
        message: vec![1],
    };
    tls.write_all(&request_frame(1, 0, &request).unwrap())
        .unwrap();
    assert_eq!(raw::answer(&mut tls).0, 23);
    let lines = served.audited("sign");
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["outcome"], 23);
}

/// Two officers over the wire: approvals, a replay, the dual-control call, the end.
#[test]
fn approvals_over_the_wire() {
    let directory = tempfile::tempdir().unwrap();
    let made = create(directory.path());
    let server = server_credential(&made);
    let officer = |name: &str| {
        let name = name.to_owned();
        let role = Role::Officer;
        made.credential(Subject::Client { name, role }, 30).unwrap()
    };
    let people = [officer("Lin Mei"), officer("Chen Guo")];
    drop(made);
    // Opened anew, it is operational: nobody's presence outlives the process.
    let hsm = SoftHsm::open(common::config(directory.path())).unwrap();
    let running = serve(&hsm, &server, Limits::default());
    let served = Served {
        hsm,
        running,
        directory,
    };
    let [lin, chen] = people
        .each_ref()
        .map(|credential| connect(&served, credential).unwrap());
    let pan = card().pan;
    assert_eq!(lin.clear_load_lock(pan).unwrap_err().code(), 6);
    let approval = |client: &RemoteHsm, credential: &Credential| {
        let challenge = client.approval_challenge().unwrap();
        let bytes = Approval::signing_bytes(&challenge, 5, "unlock");
        Approval {
            challenge,
            reason: "unlock".to_owned(),
            minutes: 5,
            signature: credential.sign(&bytes).unwrap(),
        }
    };
    let first = approval(&lin, &people[0]);
    assert_eq!(lin.approve(&first), Ok(Approved::First { seconds: 600 }));
    assert_eq!(lin.approve(&first).unwrap_err().code(), 4, "replayed");
    assert_eq!(chen.approve(&first).unwrap_err().code(), 4, "stolen");
    let again = approval(&lin, &people[0]);
    assert_eq!(lin.approve(&again).unwrap_err().code(), 4, "same person");
    let forged = approval(&chen, &people[0]);
    assert_eq!(
        chen.approve(&forged).unwrap_err().code(),
        3,
        "another's key"
    );
    let second = approval(&chen, &people[1]);
    assert_eq!(
        chen.approve(&second),
        Ok(Approved::Authorised { seconds: 300 })
    );
    lin.clear_load_lock(pan).unwrap();
    let key = LeafKey::draw().unwrap();
    let request = CertificateRequest {
        subject: Subject::Client {
            name: "clearing-2".to_owned(),
            role: Role::Clearing,
        },
        public_key: key.public_key(),
        days: 30,
    };
    let certificate = lin.certify(&request).unwrap();
    let authority = served.hsm.authority_certificate().unwrap();
    let issued = key.certified(authority, certificate).unwrap();
    connect(&served, &issued).unwrap().verify(&[]).unwrap();
    chen.end_authorisation().unwrap();
    assert_eq!(lin.certify(&request).unwrap_err().code(), 6);
    assert_eq!(
        chen.approve(&second).unwrap_err().code(),
        4,
        "replayed later"
    );
    // Who did what, with which outcome.
    let outcomes: Vec<u64> = served
        .audited("approve")
        .iter()
        .map(|line| line["outcome"].as_u64().unwrap())
        .collect();
    assert_eq!(outcomes, [4, 4, 4, 3, 4]);
    let done = served.audited("certify");
    assert_eq!(
        done.len(),
        2 + 3,
        "three before, one in the state, one refused"
    );
    assert_eq!(done[3]["actor"], "Lin Mei + Chen Guo");
    assert_eq!(done[3]["detail"]["subject"], "clearing-2");
    assert_eq!(done[3]["keys"][0], "client-ca");
    let approvals = served.audited("approval");
    assert_eq!(approvals.len(), 2);
    assert_eq!(approvals[1]["detail"]["second"], true);
}

/// Health and metrics for the machine's own monitoring, and for nobody else.
#[test]
fn health_and_metrics() {
    let served = Served::start();
    let client = served.client(Role::Auditor);
    client.status().unwrap();
    client.random(8).unwrap_err();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(served.running.health().unwrap()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let health = get("/health");
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    assert!(health.ends_with("\r\n\r\nauthorised\n"), "{health}");
    let metrics = get("/metrics");
    for line in [
        "onecard_hsm_calls_total{operation=\"status\",outcome=\"0\"} 2",
        "onecard_hsm_calls_total{operation=\"random\",outcome=\"20\"} 1",
        "onecard_hsm_call_duration_seconds_count{operation=\"status\"} 2",
        "onecard_hsm_connections 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(get("/keys").starts_with("HTTP/1.1 404 "));
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    let open = Settings {
        address: any,
        health: Some("0.0.0.0:0".parse().unwrap()),
        limits: Limits::default(),
    };
    let error = bind(open).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("loopback"), "{error}");
    let taken = Settings {
        address: served.running.address(),
        health: None,
        limits: Limits::default(),
    };
    let error = bind(taken).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
}
