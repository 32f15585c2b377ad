//! What needs two officers is not done without their signed approvals, whoever asks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    keys::{KeyHeader, KeyType, kcv},
    perso::kcv_kind,
    suite::{Key, SuiteId},
};
use common::{NOW, config, create, forged, header, officers};
use hsm::{
    Entropy, Kek, Quorum, Rotation, SoftHsm, Zeroizing, ceremony,
    exchange::{Component, Wrapping},
};
use hsm_client::{Hsm, HsmError, KeyId, KeyState, ServiceKey};

fn refused<T>(result: hsm_client::Result<T>) {
    match result {
        Err(HsmError::WrongState { .. }) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("done"),
    }
}

/// Every act under dual control, each by its own refusal.
fn acts(hsm: &SoftHsm, bundle: &hsm::exchange::Bundle) {
    let dtk = header(KeyType::Dtk, 1, SuiteId::Aes);
    let custodians = ["Wu", "Zheng", "Huang"];
    let new = KeyHeader { version: 9, ..dtk };
    refused(hsm.backup(Quorum::new(2, 3).unwrap(), &custodians));
    let pin = [KeyId::Service {
        key: ServiceKey::Pin,
        version: 1,
    }];
    refused(hsm.export(&Kek::Own, Wrapping::KeyWrap, &pin));
    refused(hsm.import(&Kek::Own, bundle, &pin));
    refused(hsm.export_components(dtk, &custodians));
    let check = |fill| kcv(&Key::new([fill; 16]), dtk.suite, kcv_kind(dtk.suite));
    let parts = [("Wu", 1), ("Zheng", 2), ("Huang", 4)].map(|(name, fill)| Component {
        custodian: name.to_owned(),
        value: Zeroizing::new([fill; 16]),
        check: check(fill),
    });
    refused(hsm.import_components(new, &parts, check(7)));
    refused(hsm.set_key_state(KeyId::Master(dtk), KeyState::Compromised));
    let entropy = Entropy::seeded([9; 32]);
    let (roots, transcript) =
        ceremony::run(&entropy, &officers(), &custodians, NOW.parse().unwrap()).unwrap();
    let rotation = Rotation::Service(ServiceKey::Pin);
    refused(hsm.rotate_keys(&roots, &transcript, rotation));
}

#[test]
fn nothing_under_dual_control_is_done_without_approvals() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let pin = [KeyId::Service {
        key: ServiceKey::Pin,
        version: 1,
    }];
    let bundle = hsm.export(&Kek::Own, Wrapping::KeyWrap, &pin).unwrap();
    drop(hsm);
    // Opened anew, nobody has approved anything, though this process could name two officers.
    let hsm = SoftHsm::open(config(directory.path())).unwrap();
    let (keys, own) = (hsm.keys().unwrap(), hsm.own_keys().unwrap());
    acts(&hsm, &bundle);
    // One officer twice is not two.
    let lin = forged::client(&hsm, (2020, 2060), "Lin Mei", "officer");
    assert!(hsm.authorise([&lin, &lin], "alone").is_err());
    acts(&hsm, &bundle);
    // An officer of whom the authority knows nothing.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = {
        let mut random = config(elsewhere.path());
        random.entropy = Entropy::os();
        common::create_from(random).unwrap()
    };
    let stranger = forged::client(&other, (2020, 2060), "Chen Guo", "officer");
    let untrusted = hsm.authorise([&lin, &stranger], "alone");
    assert!(matches!(untrusted, Err(HsmError::Untrusted { .. })));
    acts(&hsm, &bundle);
    assert_eq!(
        (hsm.keys().unwrap(), hsm.own_keys().unwrap()),
        (keys, own),
        "nothing changed"
    );
    // With both it is done, and the log has both signatures before it.
    let chen = forged::client(&hsm, (2020, 2060), "Chen Guo", "officer");
    hsm.authorise([&lin, &chen], "backup of the spring")
        .unwrap();
    hsm.backup(Quorum::new(2, 3).unwrap(), &["Wu", "Zheng", "Huang"])
        .unwrap();
    let log = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    let acts: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [.., first, second, backup] = acts.as_slice() else {
        panic!("{log}");
    };
    assert_eq!(first["actor"], "Lin Mei");
    assert_eq!(second["detail"]["second"], true);
    assert_eq!(backup["actor"], "Lin Mei + Chen Guo");
}
