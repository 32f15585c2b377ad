//! The server over its client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{Fen, SuiteId, keys::KeyType};
use common::{
    ReferenceCard, card, header, issuer_session, key_of, load, load_request, served::Served,
};
use hsm_client::{DataItem, Hsm, HsmError, KeyOrder, ProofCheck, RemoteHsm, Role, SignPurpose};

#[test]
fn every_call_goes_through() {
    let served = Served::start();
    let auditor = served.client(Role::Auditor);
    assert_eq!(auditor.status().unwrap(), served.hsm.status().unwrap());
    assert_eq!(auditor.keys().unwrap(), served.hsm.keys().unwrap());
    assert_eq!(auditor.own_keys().unwrap(), served.hsm.own_keys().unwrap());
    let clearing = served.client(Role::Clearing);
    let client = served.client(Role::Issuance);
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
    // Another certificate of the same role has no part in it.
    let other = served.credential("issuance-2", Role::Issuance);
    let other = RemoteHsm::connect(&[served.running.address().to_string()], &other).unwrap();
    assert_eq!(
        other.wrap_keys(session, &order),
        Err(HsmError::UnknownSession)
    );
    assert!(other.first_pin(session).is_err());
    assert_eq!(other.scp03_close(session), Err(HsmError::UnknownSession));
    assert_eq!(client.first_pin(session).unwrap().letter.len(), 6);
    client.scp03_close(session).unwrap();
    assert_eq!(client.scp03_close(session), Err(HsmError::UnknownSession));
    let request = load_request(&load(1, Fen(100)), SuiteId::Aes, &dlk);
    assert_eq!(
        clearing.authorize_load(&request),
        served.hsm.authorize_load(&request)
    );
    let sam = "350200000001".parse().unwrap();
    assert_eq!(
        client.sam_ceiling_mac(sam, 1, [1; 8], 5),
        served.hsm.sam_ceiling_mac(sam, 1, [1; 8], 5)
    );
    assert_eq!(
        clearing.sign(SignPurpose::Hotlist, b"x"),
        served.hsm.sign(SignPurpose::Hotlist, b"x")
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
    let client = served.client(Role::Clearing);
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
