//! A certificate that was revoked opens nothing any more, also not on a connection that is open.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{
    config, forged,
    served::{Served, serve, server_credential},
};
use hsm::{SoftHsm, server::limits::Limits};
use hsm_client::{
    Administration, Credential, Hsm, RemoteHsm, Revocation, Role, Serial, SignPurpose,
};

fn connect(address: std::net::SocketAddr, credential: &Credential) -> RemoteHsm {
    RemoteHsm::new(&[address.to_string()], credential).unwrap()
}

/// The number of the newest certificate of a subject.
fn serial(hsm: &dyn Administration, subject: &str) -> Serial {
    let all = hsm.certificates().unwrap();
    let of = |i: &hsm_client::Issued| i.subject == subject;
    let mut found = all
        .iter()
        .filter(|c| c.revoked.is_none() && c.issued.as_ref().is_some_and(of));
    let serial = found.next().unwrap().serial.clone();
    assert!(found.next().is_none());
    serial
}

fn subject(name: &str) -> Revocation {
    Revocation::Subject(name.to_owned())
}

#[test]
fn a_revoked_certificate_is_refused_at_its_next_call() {
    let served = Served::start();
    let address = served.running.address();
    let stolen = served.credential("clearing", Role::Clearing);
    let thief = connect(address, &stolen);
    thief.random(8).unwrap();
    let number = serial(&served.hsm, "clearing");
    let revoked = served.hsm.revoke(&Revocation::Serial(number.clone()));
    assert_eq!(revoked, Ok(vec![number.clone()]));
    // On the open connection, on a new one, and for what every role may ask.
    for client in [&thief, &connect(address, &stolen)] {
        for error in [
            client.random(8).unwrap_err(),
            client.status().unwrap_err(),
            client.sign(SignPurpose::Hotlist, b"list").unwrap_err(),
        ] {
            assert_eq!(error.code(), 28, "{error}");
            assert!(error.to_string().contains(&number.to_string()));
        }
    }
    let lines = served.audited("sign");
    assert_eq!(lines.last().unwrap()["outcome"], 28);
    assert_eq!(lines.last().unwrap()["actor"], "clearing");
    // The service goes on with a new certificate of the same name.
    let renewed = connect(address, &served.credential("clearing", Role::Clearing));
    renewed.random(8).unwrap();
    assert_ne!(serial(&served.hsm, "clearing"), number);
    // All of a subject at once; twice is refused, and so is a name that nobody has.
    assert_eq!(served.hsm.revoke(&subject("clearing")).unwrap().len(), 1);
    assert_eq!(renewed.random(8).unwrap_err().code(), 28);
    for nobody in [
        subject("clearing"),
        subject("clearings"),
        Revocation::Serial(number),
    ] {
        assert_eq!(served.hsm.revoke(&nobody).unwrap_err().code(), 4);
    }
}

/// A restart changes nothing, and a server that did not issue a certificate can revoke it.
#[test]
fn revocations_are_kept() {
    let served = Served::start();
    let ours = served.credential("clearing", Role::Clearing);
    let server = server_credential(&served.hsm);
    let spare = served.credential("clearing-2", Role::Clearing);
    served.hsm.revoke(&subject("clearing")).unwrap();
    // Of the same authority and unknown to this log, as one that another server issued.
    let foreign = forged::client(&served.hsm, (2020, 2060), "elsewhere", "clearing");
    let number: Serial = "09".parse().unwrap();
    served.hsm.revoke(&Revocation::Serial(number)).unwrap();
    let before = served.hsm.certificates().unwrap();
    let Served {
        hsm,
        running,
        directory,
    } = served;
    running.stop();
    drop(hsm);
    let hsm = SoftHsm::open(config(directory.path())).unwrap();
    let running = serve(&hsm, &server, Limits::default());
    for revoked in [&ours, &foreign] {
        let error = connect(running.address(), revoked).status().unwrap_err();
        assert_eq!(error.code(), 28, "{error}");
    }
    connect(running.address(), &spare).status().unwrap();
    assert_eq!(hsm.certificates().unwrap(), before);
}

#[test]
fn a_revoked_officer_authorises_nothing() {
    let served = Served::start();
    let officer = |name| served.credential(name, Role::Officer);
    let [lin, chen, wu] = ["Lin Mei", "Chen Guo", "Wu"].map(officer);
    let address = served.running.address();
    served.hsm.end_authorisation().unwrap_err();
    connect(address, &lin).end_authorisation().unwrap();
    // One officer alone revokes nobody.
    let alone = connect(address, &wu).revoke(&subject("Lin Mei"));
    assert_eq!(alone.unwrap_err().code(), 6);
    served
        .hsm
        .authorise([&lin, &chen], "Chen has left")
        .unwrap();
    connect(address, &lin).revoke(&subject("Chen Guo")).unwrap();
    // What he approved ended with it, and he approves nothing new.
    assert!(served.hsm.authorised().is_err());
    let again = served.hsm.authorise([&lin, &chen], "more");
    assert_eq!(again.map(|_| ()).unwrap_err().code(), 28);
    let challenge = connect(address, &chen).approval_challenge();
    assert_eq!(challenge.unwrap_err().code(), 28);
    served.hsm.authorise([&lin, &wu], "Wu as well").unwrap();
    // Nobody could authorise anything any more.
    let last = served.hsm.revoke(&subject("Wu")).unwrap_err();
    assert!(last.to_string().contains("two officers"), "{last}");
}
