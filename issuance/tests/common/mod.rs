//! A soft HSM, an office and blanks: what every test of the engine needs.
// Each test binary uses its part.
#![allow(dead_code, unreachable_pub)]

use card_spec::{
    Fen,
    time::{CardDate, CardTime},
};
use ed25519_dalek::SigningKey;
use hsm::{Config, Entropy, KdfCost, LoadLimits, Manufacturer, Officers, SoftHsm, ceremony};
use issuance::{
    Issued, Line, Office,
    intake::{Rules, read},
    order::{CardOptions, Purpose, StaffId},
    person::Person,
    personalise::Expect,
    plan::Policy,
    store::Work,
};
use std::sync::Arc;
use virtual_card::VirtualCard;

pub struct Rig {
    pub hsm: Arc<SoftHsm>,
    pub maker: Manufacturer,
    pub office: Office,
    pub policy: Policy,
    pub lin: StaffId,
    pub chen: StaffId,
    pub now: CardTime,
    pub ledger: SigningKey,
    _directory: tempfile::TempDir,
}

pub fn chip(n: u16) -> [u8; 10] {
    hex::decode(format!("88{n:018}"))
        .unwrap()
        .try_into()
        .unwrap()
}

/// A soft HSM in a directory, always with the same keys; and its ledger.
pub fn soft_hsm(directory: &std::path::Path) -> (Arc<SoftHsm>, SigningKey) {
    let now = NOW.parse().unwrap();
    let entropy = Entropy::seeded([7; 32]);
    let (roots, transcript) = ceremony::run(&entropy, &officers(), &["a", "b", "c"], now).unwrap();
    let ledger = SigningKey::from_bytes(&[5; 32]);
    let config = Config {
        directory: directory.join("hsm"),
        passphrase: zeroize::Zeroizing::new("correct horse".to_owned()),
        actor: "issuance tests".to_owned(),
        entropy,
        clock: Arc::new(move || now),
        ledger_key: Some(ledger.verifying_key().to_bytes()),
        limits: LoadLimits::default(),
        token: None,
    };
    let hsm = SoftHsm::create(config, KdfCost::LIGHT, roots, &transcript).unwrap();
    (Arc::new(hsm), ledger)
}

fn officers() -> Officers {
    Officers::new("zhang", "wang").unwrap()
}

pub const NOW: &str = "2026-03-16T09:00:00";

impl Rig {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let now: CardTime = NOW.parse().unwrap();
        let (hsm, ledger) = soft_hsm(directory.path());
        let maker = hsm.manufacturer(&hsm.authorised().unwrap()).unwrap();
        let rig = Self {
            office: Office::memory(hsm.clone()).unwrap(),
            hsm,
            maker,
            policy: Policy::default(),
            lin: "lin".parse().unwrap(),
            chen: "chen".parse().unwrap(),
            now,
            ledger,
            _directory: directory,
        };
        let store = rig.office.store();
        rig.office
            .wait(store.import(&persons(), &rig.lin, now))
            .unwrap();
        rig.office
            .wait(store.receive_blanks(1000, &rig.lin, now))
            .unwrap();
        rig
    }

    pub fn blank(&self, n: u16) -> VirtualCard {
        let keys = self.maker.transport_keys(chip(n)).unwrap();
        VirtualCard::blank(chip(n), keys, [n as u8; 32]).unwrap()
    }

    /// An approved order for these persons (indexes into the sample).
    pub fn order(&self, persons: &[Person], options: CardOptions) -> Vec<Work> {
        let store = self.office.store();
        let purpose = Purpose::First {
            persons: persons.iter().map(|p| p.psn_no.clone()).collect(),
        };
        let draft = self
            .office
            .wait(store.draft(purpose, options, &self.lin, self.now))
            .unwrap();
        self.office
            .wait(store.approve(draft.id, &self.chen, self.now))
            .unwrap();
        self.office.wait(store.queue(draft.id, 1000)).unwrap()
    }

    pub fn line(&self) -> Line<'_> {
        Line {
            office: &self.office,
            hsm: &*self.hsm,
            policy: &self.policy,
            staff: &self.lin,
        }
    }

    pub fn issue(
        &self,
        work: &Work,
        card: &mut dyn card_spec::Channel,
        expect: Expect,
    ) -> Result<Issued, issuance::IssueError> {
        let mut n = 0u64;
        let mut challenge = || {
            n += 1;
            n.to_be_bytes()
        };
        self.line()
            .issue(work, card, expect, &mut challenge, self.now, &mut |_| ())
    }
}

pub fn persons() -> Vec<Person> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/samples/persons.csv");
    let bytes = std::fs::read(path).unwrap();
    let today = CardDate::new(2026, 3, 16).unwrap();
    read(&bytes, &Rules::fujian(today)).unwrap().persons
}

pub const FIFTY: Fen = Fen::yuan(50);
