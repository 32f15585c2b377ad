//! A machine whose power can go at any step: a disk and a token that outlive their HSM.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
};

use card_spec::{
    SuiteId,
    keys::{Factor, KcvKind, KeyHeader, kcv},
    suite::Key,
};
use hsm_client::{HsmError, Result};
use tempfile::TempDir;

use super::{super::*, ceremony, officers};
use crate::{
    audit::Line,
    backend::{CheckValue, StoreId},
};

pub(super) const NOW: &str = "2026-11-23T08:00:00";
/// The passphrases of before and after the storage key's rotation.
pub(super) const PASSPHRASES: [&str; 2] = ["open sesame", "open barley"];
pub(super) const ID: StoreId = *b"cuts 001";

/// What becomes of the step at which power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It is not done.
    Before,
    /// It is done, and nobody hears of it.
    After,
    /// A write reaches the disk in half.
    Within,
}

/// Steps that still work, of disk and token alike.
#[derive(Clone)]
pub(super) struct Power(Arc<Mutex<Supply>>);

struct Supply {
    steps: usize,
    cut: Cut,
    /// Steps that work after the one that failed.
    then: usize,
}

enum Step {
    Works,
    Fails(Option<Cut>),
}

impl Power {
    pub(super) fn on() -> Self {
        Self(Arc::new(Mutex::new(Supply {
            steps: usize::MAX,
            cut: Cut::Before,
            then: 0,
        })))
    }

    /// The step of this number fails, and every one after it.
    pub(super) fn set(&self, steps: usize, cut: Cut) {
        self.set_twice(steps, cut, 0);
    }

    /// The step of this number fails; so many work again.
    pub(super) fn set_twice(&self, steps: usize, cut: Cut, then: usize) {
        *locked(&self.0) = Supply { steps, cut, then };
    }

    pub(super) fn restore(&self) {
        self.set(usize::MAX, Cut::Before);
    }

    /// Steps that are left.
    pub(super) fn left(&self) -> usize {
        locked(&self.0).steps
    }

    /// Whether all steps were used up, and one more.
    pub(super) fn went(&self) -> bool {
        self.left() == 0
    }

    fn step(&self) -> Step {
        let mut power = locked(&self.0);
        match power.steps {
            0 => Step::Fails(None),
            1 => {
                power.steps = match core::mem::take(&mut power.then) {
                    0 => 0,
                    then => then + 1,
                };
                Step::Fails(Some(power.cut))
            }
            _ => {
                power.steps -= 1;
                Step::Works
            }
        }
    }

    fn run<T, E>(
        &self,
        step: impl FnOnce() -> core::result::Result<T, E>,
        error: impl FnOnce() -> E,
    ) -> core::result::Result<T, E> {
        match self.step() {
            Step::Works => step(),
            Step::Fails(Some(Cut::After)) => step().and(Err(error())),
            Step::Fails(_) => Err(error()),
        }
    }
}

struct Disk(Power);

impl Disk {
    fn run(&self, step: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.0.run(step, || io::Error::other("power cut"))
    }
}

impl store::Disk for Disk {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        match self.0.step() {
            Step::Works => Real.write(path, bytes),
            Step::Fails(cut) => {
                match cut {
                    Some(Cut::After) => Real.write(path, bytes)?,
                    Some(Cut::Within) => Real.write(path, &bytes[..bytes.len() / 2])?,
                    Some(Cut::Before) | None => {}
                }
                Err(io::Error::other("power cut"))
            }
        }
    }
    fn sync(&mut self, path: &Path) -> io::Result<()> {
        self.run(|| Real.sync(path))
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(|| Real.rename(from, to))
    }
    fn sync_directory(&mut self, directory: &Path) -> io::Result<()> {
        self.run(|| Real.sync_directory(directory))
    }
}

/// A token that outlives the HSM, as a real one does.
#[derive(Default)]
struct Chip(Mutex<Content>);

#[derive(Clone, Default)]
struct Content {
    lock: bool,
    keys: BTreeMap<KeyHeader, Key>,
}

impl Chip {
    fn with<T>(&self, header: KeyHeader, f: impl FnOnce(&Key) -> T) -> Result<T> {
        let content = locked(&self.0);
        let key = content.keys.get(&header);
        key.map(f).ok_or_else(|| crate::vault::unknown(header))
    }
}

impl Backend for Chip {
    fn place(&self) -> Place {
        Place::Token(ID)
    }
    fn name(&self) -> String {
        "a test token".to_owned()
    }
    fn supports(&self, _: SuiteId) -> Result<()> {
        Ok(())
    }
    fn is_empty(&self) -> Result<bool> {
        let content = locked(&self.0);
        Ok(!content.lock && content.keys.is_empty())
    }
    fn found(&self) -> Result<()> {
        locked(&self.0).lock = true;
        Ok(())
    }
    fn import(&self, header: KeyHeader, key: &Key) -> Result<()> {
        let before = locked(&self.0).keys.insert(header, key.clone());
        assert!(before.is_none(), "{header:?} was there");
        Ok(())
    }
    fn diversify(&self, header: KeyHeader, factor: &Factor) -> Result<Key> {
        self.with(header, |key| key.diversify(factor))
    }
    fn held(&self) -> Result<BTreeSet<KeyHeader>> {
        Ok(locked(&self.0).keys.keys().copied().collect())
    }
    fn check_value_of(&self, header: KeyHeader, kind: KcvKind) -> Result<CheckValue> {
        self.with(header, |key| kcv(key, header.suite, kind))
    }
    fn export(&self, _: KeyHeader) -> Result<Key> {
        Err(HsmError::Unsupported {
            backend: self.name(),
            what: "give keys out".to_owned(),
        })
    }
    fn destroy(&self, header: KeyHeader) -> Result<()> {
        locked(&self.0).keys.remove(&header);
        Ok(())
    }
    fn bind(&self, kek: &mut [u8; 32]) -> Result<()> {
        assert!(locked(&self.0).lock, "bound by nothing");
        kek.iter_mut().for_each(|byte| *byte ^= 0x5A);
        Ok(())
    }
    fn discard(&self) -> Result<()> {
        *locked(&self.0) = Content::default();
        Ok(())
    }
    fn news(&self) -> Vec<News> {
        Vec::new()
    }
}

/// A token whose every call may fail.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) inner: Arc<dyn Backend>,
    pub(super) power: Power,
}

impl Token {
    fn call<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        self.power.run(call, || HsmError::Backend {
            backend: self.inner.name(),
            why: "power cut".to_owned(),
        })
    }
}

impl Backend for Token {
    fn place(&self) -> Place {
        self.inner.place()
    }
    fn name(&self) -> String {
        self.inner.name()
    }
    fn supports(&self, suite: SuiteId) -> Result<()> {
        self.inner.supports(suite)
    }
    fn is_empty(&self) -> Result<bool> {
        self.call(|| self.inner.is_empty())
    }
    fn found(&self) -> Result<()> {
        self.call(|| self.inner.found())
    }
    fn import(&self, header: KeyHeader, key: &Key) -> Result<()> {
        self.call(|| self.inner.import(header, key))
    }
    fn diversify(&self, header: KeyHeader, factor: &Factor) -> Result<Key> {
        self.call(|| self.inner.diversify(header, factor))
    }
    fn held(&self) -> Result<BTreeSet<KeyHeader>> {
        self.call(|| self.inner.held())
    }
    fn check_value_of(&self, header: KeyHeader, kind: KcvKind) -> Result<CheckValue> {
        self.call(|| self.inner.check_value_of(header, kind))
    }
    fn export(&self, header: KeyHeader) -> Result<Key> {
        self.inner.export(header)
    }
    fn destroy(&self, header: KeyHeader) -> Result<()> {
        self.call(|| self.inner.destroy(header))
    }
    fn bind(&self, kek: &mut [u8; 32]) -> Result<()> {
        self.call(|| self.inner.bind(kek))
    }
    fn discard(&self) -> Result<()> {
        self.call(|| self.inner.discard())
    }
    fn news(&self) -> Vec<News> {
        self.inner.news()
    }
}

/// A machine: its disk, its token, its power.
pub(super) struct Machine {
    pub(super) place: TempDir,
    pub(super) token: Token,
    /// The disk's power: the token's, unless a test says otherwise.
    pub(super) power: Power,
    /// The token's, where it is no real one.
    chip: Arc<Chip>,
}

impl Machine {
    pub(super) fn new() -> Self {
        let chip = Arc::<Chip>::default();
        Self {
            chip: Arc::clone(&chip),
            ..Self::with(chip)
        }
    }

    /// With a token of another make.
    pub(super) fn with(inner: Arc<dyn Backend>) -> Self {
        let memory = Path::new("/dev/shm");
        let place = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        let power = Power::on();
        Self {
            place: place.expect("directory"),
            power: power.clone(),
            token: Token { inner, power },
            chip: Arc::default(),
        }
    }

    /// The same state, on another machine.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::new();
        copy.put_back(self);
        *locked(&copy.chip.0) = locked(&self.chip.0).clone();
        copy
    }

    /// The directory as it was on another machine; the token stays.
    pub(super) fn put_back(&self, old: &Self) {
        for entry in fs::read_dir(old.place.path()).expect("listed") {
            let entry = entry.expect("listed");
            fs::copy(entry.path(), self.place.path().join(entry.file_name())).expect("copied");
        }
    }

    pub(super) fn config(&self, passphrase: &str) -> Config {
        Config {
            directory: self.place.path().to_owned(),
            passphrase: Zeroizing::new(passphrase.to_owned()),
            actor: "tests".to_owned(),
            entropy: Entropy::seeded([7; 32]),
            clock: Arc::new(|| NOW.parse().expect("a time")),
            ledger_key: None,
            limits: LoadLimits::default(),
            token: None,
        }
    }

    pub(super) fn create(&self) -> Result<SoftHsm> {
        let config = self.config(PASSPHRASES[0]);
        let (roots, transcript) = ceremony();
        let token = self.token.clone();
        SoftHsm::created(
            config,
            KdfCost::LIGHT,
            roots,
            &transcript,
            Place::Token(ID),
            self.disk(),
            |_| Ok(Box::new(token)),
        )
    }

    pub(super) fn disk(&self) -> Box<dyn store::Disk + Send> {
        Box::new(Disk(self.power.clone()))
    }

    pub(super) fn open_by(&self, passphrase: &str) -> Result<SoftHsm> {
        let hsm = self.unreconciled(passphrase)?;
        hsm.reconcile()?;
        Ok(hsm)
    }

    /// As for a restore: the token is looked at afterwards.
    pub(super) fn unreconciled(&self, passphrase: &str) -> Result<SoftHsm> {
        let token = self.token.clone();
        let hsm = SoftHsm::opened(self.config(passphrase), self.disk(), |place| {
            assert_eq!(place, Place::Token(ID));
            Ok(Box::new(token))
        })?;
        // Two officers have approved what is done.
        *locked(&hsm.authority) = Authority::after_ceremony(officers(), Instant::now());
        Ok(hsm)
    }

    /// With the passphrase that it has.
    pub(super) fn open(&self) -> SoftHsm {
        let by = |passphrase| self.open_by(passphrase);
        by(PASSPHRASES[0])
            .or_else(|_| by(PASSPHRASES[1]))
            .expect("opens")
    }

    pub(super) fn held(&self) -> BTreeSet<KeyHeader> {
        self.token.inner.held().expect("listed")
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        let text = fs::read_to_string(self.place.path().join(AUDIT)).expect("a log");
        let lines = text.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            line.as_object_mut().expect("an object").remove("hash");
            serde_json::from_value(line).expect("a line")
        });
        lines.collect()
    }

    pub(super) fn acts(&self) -> Vec<String> {
        self.lines().into_iter().map(|line| line.act).collect()
    }
}
