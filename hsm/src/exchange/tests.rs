use super::{header::admits, *};
use crate::keyblock::{Attributes, Optional};
use card_spec::{
    SuiteId,
    keys::{KeyHeader, KeyType},
};
use hsm_client::{ServiceKey, SignPurpose};

fn every_key() -> Vec<KeyId> {
    let mut all: Vec<KeyId> = crate::catalog().into_iter().map(KeyId::Master).collect();
    for version in [1, 0x1A] {
        let service = [
            ServiceKey::Transport,
            ServiceKey::Pin,
            ServiceKey::PersonalData,
        ];
        all.extend(service.map(|key| KeyId::Service { key, version }));
        let signing = SignPurpose::ALL.map(|purpose| KeyId::Signing { purpose, version });
        all.extend(signing);
    }
    all
}

/// No two keys have the same attributes, so a block of one is never taken for another.
#[test]
fn every_key_is_told_from_every_other() {
    let kek = Key256::new([7; 32]);
    let all = every_key();
    for key in &all {
        let block = wrap(&kek, Wrapping::KeyBlock, *key, &[9; 16], &[0; 16]).expect("wraps");
        assert_eq!(named(&block), Ok(*key));
        for other in &all {
            let opened = unwrap(&kek, Wrapping::KeyBlock, *other, &block);
            assert_eq!(opened.is_ok(), key == other, "{key:?} as {other:?}");
            if key != other {
                assert!(matches!(opened, Err(HsmError::WrongUsage { .. })));
            }
        }
    }
}

#[test]
fn names_are_typed() {
    let isd = KeyHeader {
        key_type: KeyType::IsdEnc,
        index: 0x30,
        version: 1,
        suite: SuiteId::Aes,
    };
    for (text, key) in [
        (
            "PIN:2",
            KeyId::Service {
                key: ServiceKey::Pin,
                version: 2,
            },
        ),
        (
            "sign:client-ca:1",
            KeyId::Signing {
                purpose: SignPurpose::ClientCa,
                version: 1,
            },
        ),
        ("ISD-ENC:30:1:aes", KeyId::Master(isd)),
    ] {
        assert_eq!(parse(text), Ok(key));
        assert_eq!(name(key), text);
    }
    for wrong in [
        "",
        "PIN",
        "PIN:0",
        "DTK",
        "DTK:1:2",
        "DTK:1:2:aes:",
        "dtk:01:2:aes",
        "sign:hotlist",
        "sign:x:1",
        "DTK:1:256:aes",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

fn master(key_type: KeyType, suite: SuiteId) -> KeyId {
    KeyId::Master(KeyHeader {
        key_type,
        index: 1,
        version: 2,
        suite,
    })
}

/// A header as others write them: usage, algorithm, mode, version, exportability.
fn foreign(header: &[u8; 7]) -> Attributes {
    let [a, b, algorithm, mode, v, w, exportability] = *header;
    Attributes {
        usage: [a, b],
        algorithm,
        mode,
        version: [v, w],
        exportability,
        optional: Vec::new(),
    }
}

/// The table of X9.143 usages, from the other side: what a partner's header may become here, and
/// what it may not.
#[test]
fn headers_of_others_become_what_they_allow() {
    use KeyType::{Dack, Damk, Dtk, IsdEnc, SamIssue};
    use SuiteId::{Aes, Tdes};
    let pin = KeyId::Service {
        key: ServiceKey::Pin,
        version: 2,
    };
    let kek = KeyId::Service {
        key: ServiceKey::Transport,
        version: 2,
    };
    for (header, key, admitted) in [
        // Derivation, or any use.
        (b"E0AX00E", master(Dtk, Aes), true),
        (b"E0AN00E", master(Dtk, Aes), true),
        (b"E0TX02S", master(Dtk, Tdes), true),
        (b"E2TN00E", master(Damk, Tdes), true),
        (b"E6AX00E", master(Dack, Aes), true),
        (b"E5AX00E", master(IsdEnc, Aes), true),
        (b"P0AB00E", pin, true),
        (b"P0AN02E", pin, true),
        (b"K0AB00E", kek, true),
        (b"K1AN02E", kek, true),
        // Another version, suite, usage or mode; nothing of the standard is a SAM's key.
        (b"E0AX01E", master(Dtk, Aes), false),
        (b"E0TX00E", master(Dtk, Aes), false),
        (b"E2AX00E", master(Dtk, Aes), false),
        (b"E0AG00E", master(Dtk, Aes), false),
        (b"E5AX00E", master(SamIssue, Aes), false),
        (b"P0AE00E", pin, false),
        (b"D0AB00E", pin, false),
        // Our own usages say version and index.
        (b"03AX00E", master(Dtk, Aes), false),
        (b"03AX02E", master(Dtk, Aes), false),
    ] {
        let result = admits(&foreign(header), key);
        assert_eq!(result.is_ok(), admitted, "{header:?} {result:?}");
        assert!(admitted || matches!(result, Err(HsmError::WrongUsage { .. })));
    }
    let never_again = admits(&foreign(b"E0AX00N"), master(Dtk, Aes));
    assert!(matches!(never_again, Err(HsmError::Refused { .. })));
}

#[test]
fn optional_blocks_inform_or_refuse() {
    let key = master(KeyType::Dtk, SuiteId::Aes);
    for (id, data, admitted) in [
        (*b"TS", "20200818221218Z", true),
        (*b"LB", "to OneCard", true),
        // The index: ours, and another.
        (*b"10", "01", true),
        (*b"10", "02", false),
        // A condition that we do not know may bind us.
        (*b"CT", "00", false),
        (*b"KS", "00604B120F9292800000", false),
    ] {
        let mut header = foreign(b"E0AX00E");
        let data = data.to_owned();
        header.optional.push(Optional { id, data });
        assert_eq!(admits(&header, key).is_ok(), admitted, "{id:?}");
    }
    let mut ours = super::header::written(key);
    ours.mode = b'N';
    assert!(admits(&ours, key).is_ok());
    ours.mode = b'B';
    assert!(admits(&ours, key).is_err());
}
