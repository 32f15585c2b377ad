//! The hotlist on a device's disk: torn downloads, spoilt files, power cuts between the steps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use card_spec::id::{Generation, Pan};
use clearing_api::{
    ClientError, Problem,
    hotlist::{BASE_DUE, Base, Key},
    registry::{Hotlist as Signed, HotlistEntry},
};
use ed25519_dalek::{Signer, SigningKey};
use terminal::hotlist::{FetchError, Hotlist, HotlistError, HotlistStore, Hotlists, fetch};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn pan(n: u64) -> Pan {
    format!("0350{n:016}").parse().unwrap()
}

fn is_listed(list: &Hotlist, n: u64) -> bool {
    list.reason(pan(n), Generation(1)).is_some()
}

/// A clearing house that lists card n in version n.
struct House {
    version: u64,
    base_version: u64,
    /// Changes are answered from this version on; from an earlier one the base is due.
    changes_from: u64,
    spoil: fn(&mut Vec<u8>),
}

impl House {
    fn new(version: u64) -> Self {
        Self {
            version,
            base_version: version,
            changes_from: 0,
            spoil: |_| {},
        }
    }
}

impl Hotlists for House {
    fn changes(&mut self, since: u64) -> Result<Signed, ClientError> {
        if since < self.changes_from {
            return Err(ClientError::Refused(Box::new(Problem {
                kind: String::new(),
                title: String::new(),
                status: 409,
                detail: String::new(),
                code: BASE_DUE.to_owned(),
                errors: Vec::new(),
            })));
        }
        let entry = |version| HotlistEntry {
            pan: pan(version),
            generation: Generation(1),
            version,
            reason: "lost".into(),
            removed: false,
        };
        let mut list = Signed {
            since,
            version: self.version,
            entries: (since + 1..=self.version).map(entry).collect(),
            signature: String::new(),
        };
        list.signature = hex::encode(key().sign(&list.signing_bytes()).to_bytes());
        Ok(list)
    }

    fn base(&mut self) -> Result<Vec<u8>, ClientError> {
        let listed = (1..=self.base_version).map(|n| (Key::new(pan(n), Generation(1)), "lost"));
        let (mut file, signed) = Base::build(self.base_version, listed).unwrap().encode();
        file.extend(key().sign(&signed).to_bytes());
        (self.spoil)(&mut file);
        Ok(file)
    }
}

struct Device {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
    list: Hotlist,
}

impl Device {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            path: folder.path().to_owned(),
            _folder: folder,
            list: Hotlist::default(),
        }
    }
    fn store(&self) -> HotlistStore {
        HotlistStore::open(&self.path, key().verifying_key()).unwrap()
    }
    fn fetch(&mut self, house: &mut House) -> Result<(), FetchError> {
        let store = self.store();
        self.list = fetch(house, &self.list, &key().verifying_key(), Some(&store))?;
        Ok(())
    }
    fn restart(&mut self) -> Option<HotlistError> {
        let (list, fault) = self.store().load();
        self.list = list;
        fault
    }
    fn holds(&self, version: u64) {
        assert_eq!(
            (self.list.version(), self.list.len() as u64),
            (version, version)
        );
        assert!((1..=version).all(|n| is_listed(&self.list, n)));
        assert!(!is_listed(&self.list, version + 1));
    }
}

#[test]
fn list_base_and_changes_survive_restarts() {
    let mut device = Device::new();
    device.fetch(&mut House::new(3)).unwrap();
    device.fetch(&mut House::new(5)).unwrap();
    assert!(device.restart().is_none());
    device.holds(5);
    // Too far behind: a base, somewhat old, and what changed since with the next fetch.
    let mut house = House::new(90);
    (house.changes_from, house.base_version) = (60, 70);
    device.fetch(&mut house).unwrap();
    device.holds(70);
    device.fetch(&mut house).unwrap();
    device.fetch(&mut House::new(91)).unwrap();
    assert!(device.restart().is_none());
    device.holds(91);
}

#[test]
fn a_torn_or_forged_download_replaces_nothing() {
    let spoils: [fn(&mut Vec<u8>); 4] = [
        |file| file.truncate(file.len() / 2),
        |file| file.clear(),
        |file| *file.last_mut().unwrap() ^= 1,
        |file| file[40] ^= 1,
    ];
    for spoil in spoils {
        let mut device = Device::new();
        device.fetch(&mut House::new(5)).unwrap();
        let mut house = House::new(90);
        (house.changes_from, house.spoil) = (60, spoil);
        assert!(matches!(
            device.fetch(&mut house),
            Err(FetchError::Hotlist(HotlistError::Base(_)))
        ));
        device.holds(5);
        assert!(device.restart().is_none());
        device.holds(5);
    }
}

/// The power goes between any two steps of taking a base or a change, and inside each write.
#[test]
fn a_power_cut_leaves_an_earlier_list() {
    let base_of = |version| {
        let mut house = House::new(version);
        house.base().unwrap()
    };
    // Inside the download's write: a part of the new file under its own name.
    let mut device = Device::new();
    device.fetch(&mut House::new(5)).unwrap();
    for cut in [0, 7, 200] {
        fs::write(device.path.join("hotlist.base.new"), &base_of(90)[..cut]).unwrap();
        assert!(device.restart().is_none());
        device.holds(5);
    }
    // After the rename, before the changes went: they are older than the base.
    fs::write(device.path.join("hotlist.base"), base_of(90)).unwrap();
    assert!(device.restart().is_none());
    device.holds(90);
    // Inside the append of a change, at every byte.
    let mut device = Device::new();
    device.fetch(&mut House::new(5)).unwrap();
    let before = fs::read(device.path.join("hotlist.changes")).unwrap();
    device.fetch(&mut House::new(6)).unwrap();
    let after = fs::read(device.path.join("hotlist.changes")).unwrap();
    for cut in before.len()..after.len() {
        fs::write(device.path.join("hotlist.changes"), &after[..cut]).unwrap();
        device.restart();
        device.holds(5);
        // And the next change follows a whole one.
        device.fetch(&mut House::new(7)).unwrap();
        assert!(device.restart().is_none());
        device.holds(7);
    }
}

#[test]
fn a_base_that_rotted_on_the_disk_is_told_and_fetched_again() {
    let mut device = Device::new();
    let mut house = House::new(90);
    house.changes_from = 60;
    device.fetch(&mut house).unwrap();
    let path = device.path.join("hotlist.base");
    let mut file = fs::read(&path).unwrap();
    file[100] ^= 4;
    fs::write(&path, file).unwrap();
    assert!(matches!(device.restart(), Some(HotlistError::Base(_))));
    assert_eq!(device.list.version(), 0);
    device.fetch(&mut house).unwrap();
    device.holds(90);
}
