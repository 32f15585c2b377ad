use super::*;

fn every_key() -> Vec<KeyName> {
    let mut all: Vec<KeyName> = crate::catalog().into_iter().map(KeyName::Master).collect();
    all.extend(
        [
            ServiceKey::Transport,
            ServiceKey::Pin,
            ServiceKey::PersonalData,
        ]
        .map(KeyName::Service),
    );
    all.extend(SignPurpose::ALL.map(KeyName::Signing));
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
            let item = Item {
                key: *other,
                check: String::new(),
                wrapped: block.clone(),
            };
            let opened = unwrap(kek.as_slice(), Wrapping::KeyBlock, &item);
            assert_eq!(opened.is_ok(), key == other, "{key} as {other}");
            if key != other {
                assert!(matches!(opened, Err(HsmError::WrongUsage { .. })));
            }
        }
    }
}

#[test]
fn names_are_typed() {
    for (text, key) in [
        ("PIN", KeyName::Service(ServiceKey::Pin)),
        ("sign:client-ca", KeyName::Signing(SignPurpose::ClientCa)),
        (
            "ISD-ENC:30:1:aes",
            KeyName::Master(KeyHeader {
                key_type: KeyType::IsdEnc,
                index: 0x30,
                version: 1,
                suite: SuiteId::Aes,
            }),
        ),
    ] {
        assert_eq!(text.parse(), Ok(key));
    }
    for wrong in [
        "",
        "DTK",
        "DTK:1:2",
        "DTK:1:2:aes:",
        "dtk:01:2:aes",
        "sign:",
        "sign:x",
        "DTK:1:256:aes",
    ] {
        assert!(wrong.parse::<KeyName>().is_err(), "{wrong}");
    }
}

#[test]
fn an_unknown_condition_or_a_ban_on_export_refuses_the_key() {
    let key = every_key()[0];
    let with = |change: fn(&mut Attributes)| {
        let mut changed = attributes(key);
        change(&mut changed);
        check_attributes(&changed, key)
    };
    assert!(with(|_| ()).is_ok());
    assert!(
        with(|a| a.optional.insert(
            0,
            Optional {
                id: *b"KC",
                data: "00".to_owned()
            }
        ))
        .is_ok()
    );
    assert!(
        with(|a| a.optional.push(Optional {
            id: *b"CT",
            data: "00".to_owned()
        }))
        .is_err()
    );
    assert!(matches!(
        with(|a| a.exportability = b'N'),
        Err(HsmError::Refused { .. })
    ));
    assert!(matches!(
        with(|a| a.mode = b'B'),
        Err(HsmError::WrongUsage { .. })
    ));
}
