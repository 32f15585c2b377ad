//! Writes the seeds of every target into a folder: one frame of every operation and kind of answer,
//! a real store and its content. After a change of the protocol or the store they are made again:
//! `cargo run --no-default-features --example seeds -- corpus`.

use card_spec::{
    Fen, SuiteId,
    keys::{KcvKind, KeyHeader, KeyType},
    medical::Split,
    purse::TxType,
};
use hsm::Zeroizing;
use hsm_client::{
    Account, Approval, Approved, AuditFrom, AuditPage, AuditPlace, AuthenticateRequest, CardRef,
    CertificateInfo, CertificateRequest, DataItem, Hold, HsmError, Issued, KeyId, KeyOrder,
    KeySource, KeyState, LimitOrder, LoadRequest, MutualRequest, OPERATIONS, OverdraftRequest,
    PinBlock, PinCheck, ProofCheck, Request, Response, Revocation, Role, RootComponent, Rotation,
    RotationOrder, ServiceKey, SessionId, SignPurpose, State, Status, Subject,
    frame::{Header, Kind, answer_frame, request_frame},
};
use std::{fs, path::Path};

fn card() -> CardRef {
    CardRef {
        pan: "03500000000000001234".parse().expect("PAN"),
        generation: card_spec::id::Generation(1),
        region: "350200".parse().expect("region"),
    }
}

fn checks() -> Vec<ProofCheck> {
    let (suite, version, seq, tac) = (SuiteId::Aes, 1, 7, [1, 2, 3, 4]);
    let terminal = "350200000001".parse().expect("SAM");
    let time = "2026-11-23T08:00:00".parse().expect("time");
    vec![
        ProofCheck::Purchase {
            card: card(),
            suite,
            version,
            amount: Fen(100),
            tx: TxType::Purchase,
            terminal,
            terminal_seq: 9,
            time,
            seq,
            balance_after: Fen(900),
            context: Default::default(),
            tac,
        },
        ProofCheck::Load {
            card: card(),
            suite: SuiteId::Sm4,
            version,
            amount: Fen(100),
            terminal,
            time,
            seq,
            balance_before: Fen(900),
            tac,
        },
        ProofCheck::Visit {
            card: card(),
            suite: SuiteId::Tdes,
            version,
            split: Split {
                personal: Fen(1),
                self_paid: Fen(2),
                pooled: Fen(3),
            },
            terminal,
            terminal_seq: 9,
            time,
            seq,
            balance_after: Fen(900),
            tac,
        },
        ProofCheck::Presence {
            card: card(),
            suite,
            version,
            challenge: [1; 8],
            cryptogram: [2; 8],
        },
    ]
}

fn reading_key() -> KeyHeader {
    KeyHeader {
        key_type: KeyType::Rk,
        index: 0x0A,
        version: 1,
        suite: SuiteId::Aes,
    }
}

fn requests() -> Vec<Request> {
    let session = SessionId(1);
    let item = || DataItem {
        context: "P1".to_owned(),
        data: vec![1, 2, 3],
    };
    vec![
        Request::Status,
        Request::Scp03Open {
            host: [9; 8],
            init_update: vec![0; 29],
            level: 0x33,
        },
        Request::Scp03Wrap {
            session,
            commands: vec![vec![0x80, 0xE2, 0, 0, 1, 0xFF]],
        },
        Request::WrapKeys {
            session,
            order: KeyOrder::Card {
                card: card(),
                headers: hsm::catalog().into_iter().take(3).collect(),
            },
        },
        Request::Verify { checks: checks() },
        Request::AuthorizeLoad {
            request: Box::new(LoadRequest {
                card: card(),
                suite: SuiteId::Aes,
                version: 1,
                terminal: "350200000001".parse().expect("SAM"),
                rnd: [1; 4],
                balance_before: Fen(5),
                mac1: [2; 4],
                hold: Hold {
                    hold_id: "hold-1".to_owned(),
                    pan: card().pan,
                    account: Account::Purse,
                    seq: 3,
                    amount: Fen(100),
                    time: "2026-11-23T08:00:00".parse().expect("time"),
                },
                hold_signature: vec![7; 64],
            }),
        },
        Request::AuthorizeOverdraft {
            request: Box::new(OverdraftRequest {
                card: card(),
                suite: SuiteId::Aes,
                version: 1,
                terminal: "350200000001".parse().expect("SAM"),
                rnd: [1; 4],
                balance_before: Fen(5),
                mac1: [2; 4],
                order: LimitOrder {
                    order_id: "order-1".to_owned(),
                    pan: card().pan,
                    seq: 3,
                    old_limit: Fen(0),
                    new_limit: Fen(2000),
                    time: "2026-11-23T08:00:00".parse().expect("time"),
                },
                order_signature: vec![7; 64],
            }),
        },
        Request::VerifyPin {
            check: PinCheck {
                pan: card().pan,
                typed: PinBlock {
                    version: 1,
                    block: [8; 16],
                },
                reference: PinBlock {
                    version: 1,
                    block: [9; 16],
                },
            },
        },
        Request::AuthenticateMutually {
            request: MutualRequest {
                version: 1,
                sent: [1; 8],
                cryptogram: [2; 8],
                reader: AuthenticateRequest {
                    card: card(),
                    header: reading_key(),
                    challenge: [3; 8],
                },
            },
        },
        Request::KeyCheckValue {
            header: reading_key(),
            kind: KcvKind::Cmac,
        },
        Request::WrapData {
            items: vec![item(), item()],
        },
        Request::IndexData {
            field: "certno".to_owned(),
            values: vec!["1".to_owned()],
        },
        Request::Sign {
            purpose: SignPurpose::Hotlist,
            message: vec![1; 40],
        },
        Request::Random { length: 16 },
        Request::Approve {
            approval: Approval {
                challenge: [3; 32],
                reason: "rotate".to_owned(),
                minutes: 5,
                signature: vec![4; 64],
            },
        },
        Request::SetKeyState {
            key: KeyId::Service {
                key: ServiceKey::Pin,
                version: 1,
            },
            to: KeyState::VerifyOnly,
        },
        Request::Rotate {
            order: RotationOrder {
                rotation: Rotation::Masters {
                    key_type: KeyType::Dtk,
                    index: Some(1),
                    suite: None,
                },
                source: KeySource::Components(vec![RootComponent {
                    custodian: "Wu".to_owned(),
                    suite: SuiteId::Aes,
                    value: Zeroizing::new([6; 16]),
                    check: [1, 2, 3],
                }]),
            },
        },
        Request::Certify {
            request: CertificateRequest {
                subject: Subject::Client {
                    name: "clearing-2".to_owned(),
                    role: Role::Clearing,
                },
                public_key: [5; 32],
                days: 30,
            },
        },
        Request::Revoke {
            revocation: Revocation::Serial("4f0c".parse().expect("serial")),
        },
        Request::Certificates,
        Request::AuditLines {
            from: AuditFrom::Place(place()),
        },
    ]
}

fn place() -> AuditPlace {
    AuditPlace {
        offset: 300,
        before: [7; 32],
    }
}

fn responses() -> Vec<Response> {
    vec![
        Response::Status(Status {
            state: State::Operational,
            demo: true,
            keys: 71,
            audit_lines: 9,
            audit_head: "00".repeat(32),
        }),
        Response::Many(vec![vec![1, 2], vec![]]),
        Response::Done,
        Response::Verified(vec![Ok(true), Err(HsmError::UnknownSession)]),
        Response::Hashes(vec![[6; 32]]),
        Response::Mac([1, 2, 3, 4]),
        Response::CheckValue([1, 2, 3]),
        Response::Failed(HsmError::TooFast {
            what: "items".to_owned(),
            retry_after_ms: 900,
        }),
        Response::Approved(Approved::First { seconds: 600 }),
        Response::Made(vec![KeyId::Signing {
            purpose: SignPurpose::Hotlist,
            version: 2,
        }]),
        Response::Revoked(vec!["4f0c".parse().expect("serial")]),
        Response::Certificates(vec![CertificateInfo {
            serial: "4f0c".parse().expect("serial"),
            issued: Some(Issued {
                subject: "clearing-2".to_owned(),
                role: "clearing".to_owned(),
                at: "2026-11-23T08:00:00".parse().expect("time"),
                days: 30,
            }),
            revoked: None,
        }]),
        Response::AuditPage(AuditPage {
            place: place(),
            lines: "{\"n\":2}\n".to_owned(),
            last: 9,
        }),
    ]
}

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = Path::new(&folder).join(target);
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join(name), bytes).expect("written");
    };
    let mut stream = Vec::new();
    for request in requests() {
        let frame = request_frame(1, 30_000, &request).expect("fits");
        write("hsm_frame", request.operation().rule().name, &frame);
        stream.extend_from_slice(&frame);
    }
    for (n, response) in responses().iter().enumerate() {
        let asked = Header {
            kind: Kind::Request,
            operation: n as u16,
            id: 1,
            word: 0,
            length: 0,
        };
        let frame = answer_frame(&asked, response);
        write("hsm_frame", &format!("answer-{n}"), &frame);
        stream.extend_from_slice(&frame);
    }
    write("hsm_frame", "stream", &stream);
    // Every operation with a body that is none.
    let empty: Vec<u8> = OPERATIONS
        .iter()
        .flat_map(|rule| {
            Header {
                kind: Kind::Request,
                operation: rule.operation.number(),
                id: 1,
                word: 1,
                length: 0,
            }
            .to_bytes()
        })
        .collect();
    write("hsm_frame", "empty-bodies", &empty);

    let kind = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let (store, content) = (hsm::fuzz::store(), hsm::fuzz::store_content());
    write("hsm_store", "file", &kind(0, &store));
    write("hsm_store", "file-cut", &kind(0, &store[..100]));
    write("hsm_store", "unchanged", &kind(1, &[]));
    write("hsm_store", "magic", &kind(1, &[0, 7, 1]));
    write("hsm_store", "cost", &kind(1, &[0, 20, 0xC0]));
    write("hsm_store", "tag", &kind(1, &[0, 60, 1, 1, 0, 0x80]));
    write("hsm_store", "content", &kind(2, &content));
    write("hsm_store", "content-cut", &kind(2, &content[..40]));
}
