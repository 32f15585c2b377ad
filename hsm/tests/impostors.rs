//! Who passes for somebody: the vault says whose certificates count, and an act belongs to the officers
//! who approved it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{SuiteId, keys::KeyType};
use common::{
    config, create_from, header,
    served::{Served, serve, server_credential},
};
use hsm::{Entropy, SoftHsm, server::limits::Limits};
use hsm_client::{
    Administration, Hsm, KeyId, KeyState, RemoteHsm, Result, Role, SignPurpose, Subject,
};

fn dtk() -> KeyId {
    KeyId::Master(header(KeyType::Dtk, 1, SuiteId::Aes))
}

/// Whoever replaces the files beside the server's certificate makes no officers.
#[test]
fn an_authority_from_a_file_makes_nobody() {
    let served = Served::start();
    let place = tempfile::tempdir().unwrap();
    let mut own = config(place.path());
    own.entropy = Entropy::seeded([66; 32]);
    let foreign = create_from(own).unwrap();
    let running = serve(&served.hsm, &server_credential(&foreign), Limits::default());
    let subject = Subject::Client {
        name: "Lin Mei".to_owned(),
        role: Role::Officer,
    };
    let officer = foreign.credential(subject, 30).unwrap();
    let client = RemoteHsm::new(&[running.address().to_string()], &officer).unwrap();
    let error = client.approval_challenge().unwrap_err();
    assert_eq!(error.code(), 26, "{error}");
}

/// A device's certificate is of the same authority, and makes nobody here.
#[test]
fn a_device_is_no_client() {
    let served = Served::start();
    let number = "0000350100000017".parse().unwrap();
    let device = served
        .hsm
        .credential(Subject::Device { number }, 30)
        .unwrap();
    let client = RemoteHsm::new(&[served.running.address().to_string()], &device).unwrap();
    // TLS knows it; then the connection is closed before a word is read.
    let error = client.random(8).unwrap_err();
    assert_eq!(error.code(), 25, "{error}");
    let refused = served.audited("connect").pop().unwrap().to_string();
    assert!(refused.contains("names no role"), "{refused}");
    assert!(served.audited("random").is_empty());
    let line = served.audited("certify").pop().unwrap();
    assert_eq!(line["detail"]["subject"], "0000350100000017");
    assert_eq!(line["detail"]["role"], "device");
}

/// A compromised authority's certificates count no more after a restart.
#[test]
fn a_compromised_authority_lets_nobody_in() {
    let served = Served::start();
    let clearing = served.credential("clearing", Role::Clearing);
    let server = server_credential(&served.hsm);
    let key = KeyId::Signing {
        purpose: SignPurpose::ClientCa,
        version: 1,
    };
    served
        .hsm
        .set_key_state(key, KeyState::Compromised)
        .unwrap();
    let Served {
        hsm,
        running,
        directory,
    } = served;
    running.stop();
    drop(hsm);
    let hsm = SoftHsm::open(config(directory.path())).unwrap();
    let running = serve(&hsm, &server, Limits::default());
    let client = RemoteHsm::new(&[running.address().to_string()], &clearing).unwrap();
    assert_eq!(client.random(8).unwrap_err().code(), 26);
}

/// What Lin and Chen approved, Wu does not carry out; the line says which of the two did.
#[test]
fn an_act_belongs_to_its_approvers() {
    let served = Served::start();
    let [lin, chen, wu] =
        ["Lin Mei", "Chen Guo", "Wu"].map(|name| served.credential(name, Role::Officer));
    let address = [served.running.address().to_string()];
    let compromise = |who| -> Result<()> {
        RemoteHsm::new(&address, who)
            .unwrap()
            .set_key_state(dtk(), KeyState::Compromised)
    };
    served.hsm.end_authorisation().unwrap_err();
    RemoteHsm::new(&address, &lin)
        .unwrap()
        .end_authorisation()
        .unwrap();
    served
        .hsm
        .authorise([&lin, &chen], "a DTK is known")
        .unwrap();
    let error = compromise(&wu).unwrap_err();
    assert_eq!(error.code(), 4, "{error}");
    compromise(&chen).unwrap();
    let line = served.audited("key-state").pop().unwrap();
    assert_eq!(line["actor"], "Lin Mei + Chen Guo");
    assert_eq!(line["detail"]["by"], "Chen Guo");
}
