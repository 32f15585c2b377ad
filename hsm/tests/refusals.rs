//! Whatever is refused leaves a line: every operation, by each kind of refusal that weighs, with its
//! number and without a secret.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId,
    keys::{KcvKind, KeyHeader, KeyType, kcv, ssse_kid},
    perso::kcv_kind,
    suite::Key,
};
use common::{
    NOW, ReferenceCard, card, card_keys, config, create, header, issuer_session, load,
    load_request, open,
};
use hsm::{Kek, Quorum, SoftHsm, Zeroizing, exchange};
use hsm_client::{
    Administration, Approval, AuditFrom, AuditPlace, AuthenticateRequest, CardCommand, CardFile,
    CardOrder, CertificateRequest, DataItem, Hsm, KeyId, KeyOrder, KeyState, LimitOrder,
    MutualRequest, NewPin, OPERATIONS, OverdraftRequest, PinBlock, PinCheck, PinOf, Role,
    SamKeyRequest, ServiceKey, SessionId, Subject,
};

/// An operation, or an act of two officers; the number expected; the call.
type Case<'a> = (&'a str, u16, Box<dyn Fn() -> Option<u16> + 'a>);

fn case<'a, T>(
    act: &'a str,
    number: u16,
    call: impl Fn() -> hsm_client::Result<T> + 'a,
) -> Case<'a> {
    (
        act,
        number,
        Box::new(move || call().err().map(|e| e.code())),
    )
}

/// Lines of the log by (act, outcome).
fn lines(directory: &std::path::Path, act: &str, outcome: u16) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(directory.join("audit.jsonl")).unwrap();
    let all = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    all.filter(|line| line["act"] == act && line["outcome"] == outcome)
        .collect()
}

/// What must never be in a line, in the form in which a line would have it.
const SECRET: [u8; 16] = *b"secret-of-holder";

fn check(hsm: &SoftHsm, directory: &std::path::Path, cases: &[Case<'_>]) {
    let head = hsm.status().unwrap().audit_lines;
    for (act, number, call) in cases {
        let before = lines(directory, act, *number).len();
        assert_eq!(call(), Some(*number), "{act}");
        let after = lines(directory, act, *number);
        assert_eq!(after.len(), before + 1, "{act}: one line for HSM {number}");
        let why = after.last().unwrap()["detail"]["why"].as_str().unwrap();
        assert!(why.starts_with(&format!("HSM {number}: ")), "{act}: {why}");
    }
    assert_eq!(
        hsm.status().unwrap().audit_lines,
        head + cases.len() as u64,
        "nothing else was noted"
    );
    let text = std::fs::read_to_string(directory.join("audit.jsonl")).unwrap();
    let list = SECRET.map(|b| b.to_string()).join(",");
    for secret in [
        String::from_utf8(SECRET.to_vec()).unwrap(),
        hex::encode(SECRET),
        hex::encode_upper(SECRET),
        list,
    ] {
        assert!(!text.contains(&secret), "{secret}");
    }
}

#[test]
fn every_refused_call_leaves_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let suite = SuiteId::Aes;
    let [dlk, dtk] = card_keys(&hsm, suite, [KeyType::Dlk, KeyType::Dtk]);
    let mut blank = ReferenceCard::blank(&hsm, "00000000000000000042".parse().unwrap());
    issuer_session(&hsm, &mut blank);
    // Opened anew, nobody has approved anything.
    drop(hsm);
    let hsm = SoftHsm::open(config(directory.path())).unwrap();
    let session = open(&hsm, &mut blank);
    let sam = "350200000001".parse().unwrap();
    let pan = card().pan;
    let block = |version| PinBlock {
        version,
        block: SECRET,
    };
    let forged = || {
        let mut request = load_request(&load(1, Fen(100)), suite, &dlk);
        request.hold_signature = SECRET.to_vec();
        request
    };
    let limit = || OverdraftRequest {
        card: card(),
        suite,
        version: 1,
        terminal: sam,
        rnd: [1; 4],
        balance_before: Fen(0),
        mac1: [1; 4],
        order: LimitOrder {
            order_id: "o".to_owned(),
            pan,
            seq: 1,
            old_limit: Fen(0),
            new_limit: Fen(1),
            time: NOW.parse().unwrap(),
        },
        order_signature: SECRET.to_vec(),
    };
    let order = |version, order| CardCommand {
        card: card(),
        suite,
        version,
        challenge: [1; 8],
        order,
    };
    let authenticate = |key_type| AuthenticateRequest {
        card: card(),
        header: header(key_type, ssse_kid::READ_V3, suite),
        challenge: [1; 8],
    };
    let sam_key = |key_type| SamKeyRequest {
        sam,
        issuing_version: 1,
        challenge: [1; 8],
        iin: pan.iin(),
        region: card().region,
        header: header(key_type, 1, suite),
    };
    let item = |context: &str| DataItem {
        context: context.to_owned(),
        data: SECRET.to_vec(),
    };
    let gone = SessionId(99);
    let cases = [
        case("scp03-open", 7, || hsm.scp03_open([1; 8], &SECRET, 0x33)),
        case("scp03-wrap", 5, || hsm.scp03_wrap(gone, &[SECRET.to_vec()])),
        case("scp03-wrap", 7, || {
            hsm.scp03_wrap(session, &[SECRET[..2].to_vec()])
        }),
        case("put-issuer-keys", 5, || hsm.put_issuer_keys(gone)),
        case("first-pin", 5, || hsm.first_pin(gone)),
        case("scp03-close", 5, || hsm.scp03_close(gone)),
        case("wrap-keys", 2, || {
            let (card, headers) = (card(), vec![header(KeyType::SamIssue, 1, suite)]);
            hsm.wrap_keys(session, &KeyOrder::Card { card, headers })
        }),
        case("authorize-load", 3, || hsm.authorize_load(&forged())),
        case("authorize-load", 7, || {
            let mut request = forged();
            request.card.pan = "03500000000000009999".parse().unwrap();
            hsm.authorize_load(&request)
        }),
        case("authorize-load", 4, || {
            hsm.authorize_load(&load_request(&load(1, Fen(0)), suite, &dlk))
        }),
        // MAC1 under another key of the card.
        case("authorize-load", 3, || {
            hsm.authorize_load(&load_request(&load(1, Fen(100)), suite, &dtk))
        }),
        case("authorize-overdraft", 3, || {
            hsm.authorize_overdraft(&limit())
        }),
        case("sam-ceiling", 1, || {
            hsm.sam_ceiling_mac(sam, 9, [1; 8], 1000)
        }),
        case("card-command", 1, || {
            hsm.card_command(&order(9, CardOrder::BlockCard))
        }),
        case("card-command", 7, || {
            hsm.card_command(&order(
                1,
                CardOrder::Write {
                    file: CardFile::Region,
                    contents: SECRET.to_vec(),
                },
            ))
        }),
        case("card-command", 3, || {
            let (of, pin) = (PinOf::Purse, NewPin::Typed(block(1)));
            hsm.card_command(&order(1, CardOrder::UnblockPin { of, pin }))
        }),
        case("authenticate-to-card", 2, || {
            hsm.authenticate_to_card(&authenticate(KeyType::Uk))
        }),
        case("authenticate-mutually", 3, || {
            hsm.authenticate_mutually(&MutualRequest {
                version: 1,
                sent: [1; 8],
                cryptogram: [1; 8],
                reader: authenticate(KeyType::Rk),
            })
        }),
        case("sam-write-key", 2, || {
            hsm.sam_write_key(&sam_key(KeyType::Dlk))
        }),
        case("sam-write-key", 2, || {
            hsm.sam_write_key(&sam_key(KeyType::SamCeiling))
        }),
        case("translate-pin", 3, || hsm.translate_pin(pan, &block(1), 0)),
        case("translate-pin", 1, || hsm.translate_pin(pan, &block(7), 0)),
        case("verify-pin", 3, || {
            let (typed, mut reference) = (block(1), block(1));
            reference.block[0] ^= 1;
            hsm.verify_pin(&PinCheck {
                pan,
                typed,
                reference,
            })
        }),
        case("verify-pin", 4, || {
            let (typed, reference) = (block(1), block(1));
            hsm.verify_pin(&PinCheck {
                pan,
                typed,
                reference,
            })
        }),
        case("key-check-value", 1, || {
            let key = KeyHeader {
                version: 9,
                ..header(KeyType::Dtk, 1, suite)
            };
            hsm.key_check_value(key, KcvKind::ZeroBlock)
        }),
        case("wrap-data", 7, || hsm.wrap_data(&[item("")])),
        case("index-data", 7, || {
            hsm.index_data("", &["secret-of-holder".to_owned()])
        }),
        case("random", 7, || hsm.random(257)),
        case("approval-challenge", 20, || hsm.approval_challenge()),
        case("approve", 20, || {
            hsm.approve(&Approval {
                challenge: [1; 32],
                reason: "secret-of-holder".to_owned(),
                minutes: 5,
                signature: SECRET.to_vec(),
            })
        }),
        case("end-authorisation", 20, || hsm.end_authorisation()),
        case("clear-load-lock", 6, || hsm.clear_load_lock(pan)),
        case("certify", 6, || {
            hsm.certify(&CertificateRequest {
                subject: Subject::Client {
                    name: "x".to_owned(),
                    role: Role::Clearing,
                },
                public_key: [1; 32],
                days: 1,
            })
        }),
        case("revoke-certificate", 6, || {
            hsm.revoke(&hsm_client::Revocation::Subject("x".to_owned()))
        }),
        case("audit-lines", 7, || {
            let (offset, before) = (u64::MAX, [0; 32]);
            hsm.audit_lines(AuditFrom::Place(AuditPlace { offset, before }))
        }),
        case("rotate", 6, || {
            Administration::rotate(
                &hsm,
                &hsm_client::RotationOrder {
                    rotation: hsm_client::Rotation::Service(ServiceKey::Pin),
                    source: hsm_client::KeySource::Components(vec![]),
                },
            )
        }),
        // Acts of two officers.
        case("key-state", 6, || {
            let key = KeyId::Master(header(KeyType::Dtk, 1, suite));
            hsm.set_key_state(key, KeyState::Compromised)
        }),
        case("backup", 6, || {
            hsm.backup(Quorum::new(2, 3).unwrap(), &["Wu", "Zheng", "Huang"])
        }),
        case("components-exported", 6, || {
            hsm.export_components(header(KeyType::Dtk, 1, suite), &["Wu", "Zheng", "Huang"])
        }),
    ];
    check(&hsm, directory.path(), &cases);
    // What has no case: it answers everybody, or (`verify`, `unwrap-data`) by items, below.
    let without = [
        "status",
        "keys",
        "own-keys",
        "verify",
        "sign",
        "public-key",
        "certificates",
        "unwrap-data",
    ];
    for rule in OPERATIONS {
        let tried = cases.iter().any(|(act, ..)| *act == rule.name);
        assert_ne!(tried, without.contains(&rule.name), "{}", rule.name);
    }
    // Whose data somebody tried to read is named before it is tried.
    assert_eq!(hsm.unwrap_data(&[item("P1")]).unwrap_err().code(), 7);
    assert_eq!(lines(directory.path(), "unwrap-data", 7).len(), 1);
}

/// Refusals that need the officers to be there.
#[test]
fn every_refused_exchange_leaves_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let pin = [KeyId::Service {
        key: ServiceKey::Pin,
        version: 1,
    }];
    let wrapping = exchange::Wrapping::KeyWrap;
    let bundle = hsm.export(&Kek::Own, wrapping, &pin).unwrap();
    let mut altered = bundle.clone();
    altered.mac = "00".repeat(16);
    let dtk = header(KeyType::Dtk, 1, SuiteId::Aes);
    let new = KeyHeader { version: 9, ..dtk };
    let parts = ["Wu", "Zheng", "Huang"].map(|name| {
        let check = kcv(&Key::new(SECRET), dtk.suite, kcv_kind(dtk.suite));
        exchange::Component {
            custodian: name.to_owned(),
            value: Zeroizing::new(SECRET),
            check,
        }
    });
    let storage = [KeyId::Service {
        key: ServiceKey::Storage,
        version: 1,
    }];
    let cases = [
        case("keys-exported", 2, || {
            hsm.export(&Kek::Own, wrapping, &storage)
        }),
        case("keys-exported", 7, || hsm.export(&Kek::Own, wrapping, &[])),
        case("keys-imported", 3, || hsm.import(&Kek::Own, &altered, &pin)),
        case("keys-imported", 2, || hsm.import(&Kek::Own, &bundle, &[])),
        case("components-imported", 3, || {
            hsm.import_components(new, &parts, [1; 3])
        }),
        case("components-exported", 4, || {
            hsm.export_components(dtk, &["Wu"])
        }),
        case("key-state", 4, || {
            hsm.set_key_state(KeyId::Master(dtk), KeyState::Destroyed)
        }),
    ];
    check(&hsm, directory.path(), &cases);
}
