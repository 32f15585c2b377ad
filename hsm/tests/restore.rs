//! A restored HSM knows what happened after its backup, or says that it does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use card_spec::{
    Fen, SuiteId,
    keys::{KeyHeader, KeyType},
};
use common::{NOW, card_keys, config, create, header, load, load_request, officers, twins::opened};
use hsm::{
    Comparison, Config, Entropy, Quorum, Rotation, SoftHsm,
    backup::Backup,
    ceremony::{self, Ceremony, Formed, Transcript},
};
use hsm_client::{
    Hsm, HsmError, KeyId,
    KeyState::{Active, Compromised, Destroyed, PreActive, Retired, VerifyOnly},
    Result, ServiceKey, SignPurpose,
};

const LATER: &str = "2026-11-24T09:00:00";

fn form(backup: &Backup) -> (Formed, Transcript) {
    let plan = backup.header.plan().unwrap();
    let mut ceremony = Ceremony::new(plan, &officers(), NOW.parse().unwrap());
    for sheet in &backup.sheets {
        ceremony.enter(&sheet.custodian, &sheet.parts[0]).unwrap();
    }
    for officer in officers().names() {
        ceremony.confirm(officer).unwrap();
    }
    ceremony.finish().unwrap()
}

/// A machine of the day after.
fn later(directory: &Path) -> Config {
    Config {
        clock: Arc::new(|| LATER.parse().unwrap()),
        ..config(directory)
    }
}

fn dtk(version: u8) -> KeyId {
    KeyId::Master(KeyHeader {
        version,
        ..header(KeyType::Dtk, 1, SuiteId::Aes)
    })
}

const HOTLIST: KeyId = KeyId::Signing {
    purpose: SignPurpose::Hotlist,
    version: 1,
};
const PIN: KeyId = KeyId::Service {
    key: ServiceKey::Pin,
    version: 2,
};

/// A machine that is lost, its backup of the day before, and its log.
struct Lost {
    place: tempfile::TempDir,
    backup: Backup,
}

impl Lost {
    fn log(&self) -> PathBuf {
        self.place.path().join("audit.jsonl")
    }

    fn restore(
        &self,
        directory: &Path,
        log: Option<&Path>,
        confirm: impl FnOnce(&Comparison) -> Result<()>,
    ) -> Result<SoftHsm> {
        let (formed, transcript) = form(&self.backup);
        let config = later(directory);
        SoftHsm::restore(config, &self.backup.file, formed, &transcript, log, confirm)
    }
}

fn rotate(hsm: &SoftHsm, rotation: Rotation) {
    let custodians = ["Wu", "Zheng", "Huang"];
    let entropy = Entropy::seeded([9; 32]);
    let (roots, transcript) =
        ceremony::run(&entropy, &officers(), &custodians, NOW.parse().unwrap()).unwrap();
    hsm.rotate_keys(&roots, &transcript, rotation).unwrap();
}

fn lost() -> Lost {
    let place = tempfile::tempdir().unwrap();
    let hsm = create(place.path());
    rotate(&hsm, Rotation::Service(ServiceKey::Pin));
    let backup = hsm
        .backup(Quorum::new(2, 2).unwrap(), &["Wu", "Zheng"])
        .unwrap();
    rotate(
        &hsm,
        Rotation::Masters {
            key_type: KeyType::Dtk,
            index: None,
            suite: Some(SuiteId::Aes),
        },
    );
    for (key, state) in [
        (dtk(2), Active),
        (dtk(1), VerifyOnly),
        (dtk(1), Retired),
        (HOTLIST, Compromised),
        (PIN, Destroyed),
    ] {
        hsm.set_key_state(key, state).unwrap();
    }
    Lost { place, backup }
}

fn states(hsm: &SoftHsm) -> [hsm_client::KeyState; 3] {
    let dtk = hsm.keys().unwrap();
    let mut dtk = dtk
        .iter()
        .filter(|k| (k.key_type, k.suite) == (KeyType::Dtk, SuiteId::Aes));
    let own = hsm.own_keys().unwrap();
    let mut hotlist = own
        .signing
        .iter()
        .filter(|k| k.purpose == SignPurpose::Hotlist);
    let mut pin = own
        .service
        .iter()
        .filter(|k| (k.key, k.version) == (ServiceKey::Pin, 2));
    [
        dtk.next().unwrap().state,
        hotlist.next().unwrap().state,
        pin.next().unwrap().state,
    ]
}

#[test]
fn what_was_retired_compromised_or_destroyed_stays_so() {
    let lost = lost();
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("hsm");
    let mut seen = None;
    let hsm = lost
        .restore(&directory, Some(&lost.log()), |comparison| {
            seen = Some(comparison.clone());
            Ok(())
        })
        .unwrap();
    let seen = seen.unwrap();
    assert_eq!(seen.backup.head, lost.backup.header.audit_head);
    assert!(seen.later.unwrap().lines > seen.backup.lines);
    let changed: Vec<_> = seen.keys.iter().filter(|key| key.later.is_some()).collect();
    let changed: Vec<_> = changed
        .iter()
        .map(|k| (k.key, k.backup, k.later.unwrap()))
        .collect();
    assert_eq!(
        changed,
        [
            (dtk(1), Active, Retired),
            (PIN, PreActive, Destroyed),
            (HOTLIST, Active, Compromised),
        ]
    );
    // The version that was made since is named: nobody has it but the custodians.
    assert_eq!(seen.absent, ["DTK index 01 version 2 aes"]);
    assert_eq!(states(&hsm), [Retired, Compromised, Destroyed]);
    assert_eq!(hsm.sign(SignPurpose::Hotlist, b"x").unwrap_err().code(), 1);
    drop(hsm);
    // In the store too, and a backup of the restored HSM knows it: its log tells of the restore.
    let hsm = opened(&directory);
    assert_eq!(states(&hsm), [Retired, Compromised, Destroyed]);
    drop(hsm);
    let second = tempfile::tempdir().unwrap();
    let again = second.path().join("hsm");
    let log = directory.join("audit.jsonl");
    let hsm = lost.restore(&again, Some(&log), |_| Ok(())).unwrap();
    assert_eq!(states(&hsm), [Retired, Compromised, Destroyed]);
}

#[test]
fn without_a_later_log_the_officers_decide() {
    let lost = lost();
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("hsm");
    let no = |_: &Comparison| {
        Err(HsmError::Refused {
            why: "no".to_owned(),
        })
    };
    assert_eq!(lost.restore(&directory, None, no).err().unwrap().code(), 4);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    let yes = |comparison: &Comparison| {
        assert!(comparison.later.is_none());
        assert!(comparison.keys.iter().all(|key| key.later.is_none()));
        Ok(())
    };
    let hsm = lost.restore(&directory, None, yes).unwrap();
    assert_eq!(states(&hsm), [Active, Active, PreActive]);
}

/// A log of another HSM, one that ends before the backup, one that was changed: nothing is restored.
#[test]
fn a_log_that_is_no_later_one_is_refused() {
    let lost = lost();
    let other = tempfile::tempdir().unwrap();
    let mut random = config(other.path());
    drop(create(other.path()));
    random.entropy = Entropy::os();
    drop(SoftHsm::open(random).unwrap());
    let copy = |name: &str, change: &dyn Fn(Vec<&str>) -> Vec<String>| {
        let directory = lost.place.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        for file in ["audit.jsonl.head", "audit.pub"] {
            std::fs::copy(lost.place.path().join(file), directory.join(file)).unwrap();
        }
        let text = std::fs::read_to_string(lost.log()).unwrap();
        let lines = change(text.lines().collect());
        let path = directory.join("audit.jsonl");
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        path
    };
    let owned = |lines: Vec<&str>| lines.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let cut = copy("cut", &|mut lines| {
        lines.truncate(3);
        owned(lines)
    });
    let changed = copy("changed", &|lines| {
        let calm = |line: String| line.replace("\"to\":\"compromised\"", "\"to\":\"verify-only\"");
        owned(lines).into_iter().map(calm).collect()
    });
    for log in [other.path().join("audit.jsonl"), cut, changed] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("hsm");
        let refused = lost
            .restore(&directory, Some(&log), |_| Ok(()))
            .err()
            .unwrap();
        assert_eq!(refused.code(), 3, "{refused}");
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    }
    let (formed, mut transcript) = form(&lost.backup);
    transcript.keys[0].kcv = Some("000000".to_owned());
    let place = tempfile::tempdir().unwrap();
    let config = later(&place.path().join("hsm"));
    let refused = SoftHsm::restore(config, &lost.backup.file, formed, &transcript, None, |_| {
        Ok(())
    });
    assert_eq!(refused.err().unwrap().code(), 7);
}

/// The lost machine may have answered a hold after the backup: it is never answered again.
#[test]
fn loads_wait_for_clearing_and_old_holds_are_over() {
    let lost = lost();
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("hsm");
    let hsm = lost.restore(&directory, None, |_| Ok(())).unwrap();
    let [dlk] = card_keys(&hsm, SuiteId::Aes, [KeyType::Dlk]);
    let old = load_request(&load(7, Fen(1000)), SuiteId::Aes, &dlk);
    assert_eq!(hsm.authorize_load(&old).unwrap_err().code(), 6);
    drop(hsm);
    // A restart does not open it.
    let hsm = SoftHsm::open(later(&directory)).unwrap();
    assert_eq!(hsm.authorize_load(&old).unwrap_err().code(), 6);
    assert_eq!(
        hsm.reopen_loads().unwrap_err().code(),
        6,
        "without officers"
    );
    common::forged::authorised(&hsm);
    hsm.reopen_loads().unwrap();
    assert_eq!(hsm.authorize_load(&old).unwrap_err().code(), 4);
    drop(hsm);
    let hsm = SoftHsm::open(later(&directory)).unwrap();
    let refused = hsm.authorize_load(&old).unwrap_err();
    assert!(refused.to_string().contains("draw a new one"), "{refused}");
    let mut new = old;
    new.hold.time = LATER.parse().unwrap();
    let signed = ed25519_dalek::Signer::sign(&common::ledger(), &new.hold.signing_bytes());
    new.hold_signature = signed.to_bytes().to_vec();
    assert!(hsm.authorize_load(&new).is_ok());
}

/// A restore that power cuts before its log says that loads are closed does not open, whenever the cut
/// comes: its load memory is as old as the backup.
#[test]
fn a_restore_that_is_cut_does_not_open() {
    let place = tempfile::tempdir().unwrap();
    let lost = create(&place.path().join("lost"));
    let quorum = Quorum::new(2, 2).unwrap();
    let backup = lost.backup(quorum, &["Wu", "Zheng"]).unwrap();
    let (formed, transcript) = form(&backup);
    let (new, cut) = (place.path().join("new"), place.path().join("cut"));
    let (from, to) = (new.clone(), cut.clone());
    // The clock is read for the line that closes loads; every file is there by then.
    let clock = move || {
        if from.join("keystore.bin").exists() && !to.exists() {
            std::fs::create_dir(&to).unwrap();
            for entry in std::fs::read_dir(&from).unwrap() {
                let entry = entry.unwrap();
                if entry.file_name() != "lock" {
                    std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
                }
            }
        }
        NOW.parse().unwrap()
    };
    let config_ = Config {
        clock: Arc::new(clock),
        ..config(&new)
    };
    drop(SoftHsm::restore(config_, &backup.file, formed, &transcript, None, |_| Ok(())).unwrap());
    assert!(cut.join("keystore.bin").exists());
    let refused = SoftHsm::open(config(&cut)).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("restore again"), "{refused}");
    assert!(SoftHsm::open(config(&new)).is_ok());
}
