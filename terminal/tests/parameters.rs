//! Parameters: what is taken, when it starts, what is rolled back, and power cuts at every write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{cell::RefCell, collections::BTreeMap, fs, io, path::Path, rc::Rc};

use card_spec::{Fen, time::CardTime};
use clearing_api::parameters::{Bundle, SignedBundle, SignedTime, signing_bytes};
use ed25519_dalek::{Signer, SigningKey};
use terminal::{
    journal::{FileStorage, MemoryStorage, Storage},
    parameters::{Content, Parameters, ParametersError, Switched},
    profile::Limits,
};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

fn at(text: &str) -> CardTime {
    text.parse().unwrap()
}

/// The project's tariffs, file by file.
fn tariffs() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/fujian");
    fare::Tariffs::texts(&folder).unwrap()
}

fn bundle(version: u64, starts: &str, per_tap_max: i64) -> Bundle {
    let limits = serde_json::json!({ "per_tap_max_fen": per_tap_max });
    Bundle {
        version,
        starts: at(starts),
        limits: limits.as_object().unwrap().clone(),
        tariffs: BTreeMap::new(),
    }
}

fn sign(bundle: &Bundle) -> SignedBundle {
    let body = serde_json::to_string(bundle).unwrap();
    let signature = hex::encode(key().sign(&signing_bytes(&body)).to_bytes());
    SignedBundle { body, signature }
}

/// A storage that outlives its device and loses power at its n-th replacement, before or after it.
#[derive(Clone, Default)]
struct Disk(Rc<RefCell<(Vec<u8>, Cut)>>);

/// Replacements until the cut, and whether that one is still written.
type Cut = Option<(u32, bool)>;

impl Storage for Disk {
    fn load(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.borrow().0.clone())
    }
    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        unreachable!("the state is only replaced")
    }
    fn truncate(&mut self, _: u64) -> io::Result<()> {
        unreachable!("the state is only replaced")
    }
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        let (is_cut, is_written) = match &mut disk.1 {
            Some((0, written)) => (true, *written),
            Some((n, _)) => {
                *n -= 1;
                (false, true)
            }
            None => (false, true),
        };
        if is_written {
            disk.0 = bytes.to_vec();
        }
        match is_cut {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }
}

struct Device<S> {
    parameters: Parameters<S>,
    /// What the device works by.
    by: Option<Content>,
}

impl<S: Storage> Device<S> {
    fn start(storage: S) -> Self {
        let (parameters, fault) =
            Parameters::open(storage, key().verifying_key(), Limits::default()).unwrap();
        assert!(fault.is_none(), "{fault:?}");
        let mut device = Self {
            parameters,
            by: None,
        };
        let by = &mut device.by;
        device
            .parameters
            .begin(at("2026-11-25T12:00:00"), &mut |c| take(by, c))
            .unwrap();
        device
    }

    fn switch(&mut self, now: &str) -> Result<Option<Switched>, ParametersError> {
        let by = &mut self.by;
        self.parameters.switch(at(now), &mut |c| take(by, c))
    }

    fn limit(&self) -> Fen {
        self.by.as_ref().unwrap().limits.per_tap_max_fen
    }
}

/// A device that cannot work by a limit of 13 fen.
fn take(by: &mut Option<Content>, content: &Content) -> Result<(), String> {
    if content.limits.per_tap_max_fen == Fen(13) {
        return Err("thirteen".to_owned());
    }
    *by = Some(content.clone());
    Ok(())
}

#[test]
fn a_bundle_waits_for_its_start_and_an_older_one_is_refused() {
    let disk = Disk::default();
    let mut device = Device::start(disk.clone());
    assert_eq!(device.limit(), Limits::default().per_tap_max_fen);
    let five = sign(&bundle(5, "2026-11-24T04:30:00", 500));
    assert_eq!(device.parameters.stage(five.clone()).unwrap(), 5);
    assert_eq!(device.switch("2026-11-24T04:29:59").unwrap(), None);
    // Over a restart it still waits.
    let mut device = Device::start(disk);
    assert_eq!(
        (device.parameters.held(), device.parameters.known()),
        (0, 5)
    );
    assert_eq!(
        device.switch("2026-11-24T04:30:00").unwrap(),
        Some(Switched::To(5))
    );
    assert_eq!(device.limit(), Fen(500));
    assert_eq!(
        device.by.as_ref().unwrap().limits.passback_seconds,
        3,
        "others stay"
    );
    for version in [4, 5] {
        let old = sign(&bundle(version, "2026-11-24T04:30:00", 900));
        assert!(matches!(
            device.parameters.stage(old),
            Err(ParametersError::Older { known: 5, .. })
        ));
    }
    // A later version takes the place of one that waits.
    for version in [6, 7] {
        let starts = format!("2026-11-2{version}T04:30:00");
        let next = sign(&bundle(version, &starts, 100 * version as i64));
        device.parameters.stage(next).unwrap();
    }
    assert_eq!(device.switch("2026-11-26T12:00:00").unwrap(), None);
    assert_eq!(
        device.switch("2026-11-27T04:30:00").unwrap(),
        Some(Switched::To(7))
    );
    assert_eq!(device.limit(), Fen(700));
}

#[test]
fn forged_spoilt_and_unusable_bundles_change_nothing() {
    let mut device = Device::start(MemoryStorage::default());
    let mut forged = sign(&bundle(5, "2026-11-24T04:30:00", 500));
    forged.body = forged.body.replace("500", "501");
    assert!(matches!(
        device.parameters.stage(forged),
        Err(ParametersError::Signed(_))
    ));
    let mut unknown = bundle(6, "2026-11-24T04:30:00", 500);
    unknown.limits.insert("per_tap_min_fen".into(), 3.into());
    // A part of the tariffs is not taken for all of them.
    let mut part = bundle(7, "2026-11-24T04:30:00", 500);
    part.tariffs = tariffs();
    part.tariffs.remove("transit/calendar.toml").unwrap();
    let mut broken = bundle(8, "2026-11-24T04:30:00", 500);
    broken.tariffs = tariffs();
    let name = broken
        .tariffs
        .keys()
        .find(|n| n.ends_with(".toml"))
        .unwrap()
        .clone();
    let mut all_broken = broken.clone();
    for text in all_broken.tariffs.values_mut() {
        text.insert_str(0, "= no file\n");
    }
    broken.tariffs = BTreeMap::from([(name, "= no file".to_owned())]);
    for (version, bad) in [(6, unknown), (7, part), (8, broken)] {
        let refused = device.parameters.stage(sign(&bad));
        assert!(
            matches!(&refused, Err(ParametersError::Refused { version: v, .. }) if *v == version),
            "{refused:?}"
        );
        assert_eq!(
            device.parameters.refused().map(|r| r.version),
            Some(version)
        );
    }
    all_broken.version = 9;
    assert!(device.parameters.stage(sign(&all_broken)).is_err());
    assert_eq!(device.switch("2026-12-24T04:30:00").unwrap(), None);
    assert_eq!(
        (device.parameters.held(), device.limit()),
        (0, Fen::yuan(200))
    );
    // The province's real tariffs load and come to the device.
    let mut good = bundle(10, "2026-11-24T04:30:00", 500);
    good.tariffs = tariffs();
    device.parameters.stage(sign(&good)).unwrap();
    assert_eq!(
        device.switch("2026-11-24T04:30:00").unwrap(),
        Some(Switched::To(10))
    );
    assert!(device.by.unwrap().tariffs.is_some());
}

#[test]
fn a_bundle_that_fails_at_the_switch_is_rolled_back_and_told() {
    let disk = Disk::default();
    let mut device = Device::start(disk.clone());
    device
        .parameters
        .stage(sign(&bundle(5, "2026-11-24T04:30:00", 500)))
        .unwrap();
    device.switch("2026-11-24T04:30:00").unwrap();
    device
        .parameters
        .stage(sign(&bundle(6, "2026-11-25T04:30:00", 13)))
        .unwrap();
    let back = device.switch("2026-11-25T04:30:00").unwrap();
    let Some(Switched::Back { to: 5, refused }) = back else {
        panic!("{back:?}");
    };
    assert_eq!((refused.version, refused.why.as_str()), (6, "thirteen"));
    assert_eq!(device.limit(), Fen(500));
    let mut device = Device::start(disk);
    assert_eq!((device.limit(), device.parameters.known()), (Fen(500), 6));
    assert_eq!(
        device.parameters.refused(),
        Some(&refused),
        "told until a later one is refused"
    );
    assert!(
        device
            .parameters
            .stage(sign(&bundle(6, "2026-11-25T04:30:00", 600)))
            .is_err()
    );
}

/// The power goes at every write of staging, switching and rolling back, before it or after it.
#[test]
fn a_power_cut_at_any_write_leaves_a_whole_version() {
    for limit in [600, 13] {
        for nth in 0..4 {
            for written in [false, true] {
                let disk = Disk::default();
                let mut device = Device::start(disk.clone());
                device
                    .parameters
                    .stage(sign(&bundle(5, "2026-11-24T04:30:00", 500)))
                    .unwrap();
                device.switch("2026-11-24T04:30:00").unwrap();
                let six = sign(&bundle(6, "2026-11-25T04:30:00", limit));
                disk.0.borrow_mut().1 = Some((nth, written));
                let _ = device.parameters.stage(six.clone());
                let _ = device.switch("2026-11-25T04:30:00");
                disk.0.borrow_mut().1 = None;
                drop(device);

                let mut device = Device::start(disk);
                let what = format!("{limit} write {nth} {written}");
                assert!([Fen(500), Fen(limit)].contains(&device.limit()), "{what}");
                assert_ne!(device.limit(), Fen(13), "{what}");
                // It asks again and ends where it would have without the cut.
                let again = device.parameters.stage(six);
                assert!(
                    matches!(again, Ok(6) | Err(ParametersError::Older { .. })),
                    "{what}"
                );
                device.switch("2026-11-25T04:31:00").unwrap();
                let end = if limit == 13 { 500 } else { limit };
                assert_eq!(device.limit(), Fen(end), "{what}");
            }
        }
    }
}

/// The file beside the file: a cut inside the write leaves a part of it under its own name.
#[test]
fn a_half_written_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parameters");
    let mut device = Device::start(FileStorage::open(&path).unwrap());
    device
        .parameters
        .stage(sign(&bundle(5, "2026-11-24T04:30:00", 500)))
        .unwrap();
    device.switch("2026-11-24T04:30:00").unwrap();
    drop(device);
    let whole = fs::read(&path).unwrap();
    for cut in [0, 1, whole.len() / 2] {
        fs::write(folder.path().join("parameters.new"), &whole[..cut]).unwrap();
        let mut device = Device::start(FileStorage::open(&path).unwrap());
        assert_eq!(device.limit(), Fen(500));
        let next = 6 + cut as u64;
        let starts = "2026-11-25T04:30:00";
        device
            .parameters
            .stage(sign(&bundle(next, starts, 500)))
            .unwrap();
    }
}

#[test]
fn a_kept_answer_is_no_time() {
    let nonce = "00112233445566778899aabbccddeeff";
    let mut time = SignedTime {
        now: at("2026-11-24T04:30:00"),
        nonce: nonce.to_owned(),
        signature: String::new(),
    };
    time.signature = hex::encode(key().sign(&time.signing_bytes()).to_bytes());
    let verifying = key().verifying_key();
    assert_eq!(time.open(&verifying, nonce), Ok(time.now));
    assert!(
        time.open(&verifying, "11112233445566778899aabbccddeeff")
            .is_err()
    );
    time.now = at("2026-11-24T04:30:01");
    assert!(time.open(&verifying, nonce).is_err());
}

/// A version that began because the clock was a month fast waits again at the next start.
#[test]
fn what_a_fast_clock_began_waits_again() {
    let disk = Disk::default();
    let mut device = Device::start(disk.clone());
    for (version, starts, limit) in [
        (5, "2026-11-24T04:30:00", 500),
        (6, "2026-12-24T04:30:00", 600),
    ] {
        let next = sign(&bundle(version, starts, limit));
        device.parameters.stage(next).unwrap();
        // By then it is January for this device.
        device.switch("2027-01-01T00:00:00").unwrap();
    }
    assert_eq!(device.limit(), Fen(600));
    // Started anew with the right clock, in November.
    let mut device = Device::start(disk);
    assert_eq!((device.parameters.held(), device.limit()), (5, Fen(500)));
    assert_eq!(device.parameters.known(), 6);
    assert_eq!(device.switch("2026-12-24T04:29:59").unwrap(), None);
    let begun = device.switch("2026-12-24T04:30:00").unwrap();
    assert_eq!((begun, device.limit()), (Some(Switched::To(6)), Fen(600)));
}
