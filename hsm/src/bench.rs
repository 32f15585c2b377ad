//! What `onecard bench hsm` measures: TACs verified by the HSM, and the same derivations, key set-ups
//! and MACs in a loop over the RustCrypto crates alone.

mod plain;

use std::{path::Path, sync::Arc};

use card_spec::{
    Fen, SuiteId,
    id::{Generation, Pan, RegionCode},
    keys::{self, KeyType},
    purse::{
        TxType,
        mac::{Context, Purchase},
    },
    suite::Key,
    time::CardTime,
};
use hsm_client::{CardRef, Hsm, HsmError, ProofCheck, Result};
use zeroize::Zeroizing;

use crate::{
    Config, Entropy, KdfCost, LoadLimits, Officers, SoftHsm, Token, ceremony,
    hierarchy::FIRST_VERSION,
    sessions::malformed,
    usage::{KeyName, VerifyTac},
    vault::only,
};
use plain::Plain;

/// Regions that the cards belong to: a province has about so many cities.
const REGIONS: u32 = 9;
/// Region keys derived from masters in one round of [`Bench::derive`]; none is cached before.
pub const DERIVATIONS: u32 = 1000;
const BALANCE: Fen = Fen(12_300);

/// An HSM of a published seed, made for one measurement.
pub struct Bench {
    hsm: Arc<SoftHsm>,
    derived: u32,
}

/// TACs of one suite, each of another card.
pub struct Workload {
    /// Their suite.
    pub suite: SuiteId,
    checks: Vec<ProofCheck>,
    plain: Vec<Plain>,
}

impl Bench {
    /// Makes the HSM in an empty directory, its masters on a token if one is given.
    pub fn new(directory: &Path, token: Option<Token>) -> Result<Self> {
        let at = CardTime::MIN;
        let config = Config {
            directory: directory.to_owned(),
            passphrase: Zeroizing::new("measured".to_owned()),
            actor: "bench".to_owned(),
            entropy: Entropy::seeded([0xBE; 32]),
            clock: Arc::new(move || at),
            ledger_key: None,
            limits: LoadLimits::default(),
            token,
        };
        let officers = Officers::new("first", "second")?;
        let custodians = ["one", "two", "three"];
        let (roots, transcript) = ceremony::run(&config.entropy, &officers, &custodians, at)
            .map_err(|e| malformed(&e.to_string()))?;
        Ok(Self {
            hsm: Arc::new(SoftHsm::create(config, KdfCost::LIGHT, roots, &transcript)?),
            derived: 0,
        })
    }

    /// The HSM, to be asked or served.
    pub fn hsm(&self) -> Arc<SoftHsm> {
        Arc::clone(&self.hsm)
    }

    /// `items` TACs of a suite. Only here are they made inside an HSM: of cards that do not exist,
    /// under keys that everybody knows.
    pub fn workload(&self, suite: SuiteId, items: u32) -> Result<Workload> {
        let header = only(KeyType::Dtk, suite, FIRST_VERSION);
        let name = KeyName::<VerifyTac>::new(header)?;
        let mut workload = Workload {
            suite,
            checks: Vec::new(),
            plain: Vec::new(),
        };
        for n in 0..items {
            let card = card(n, n % REGIONS)?;
            let purchase = purchase(n)?;
            let dtk = self.hsm.vault().card_key(name, &card)?;
            let region = Key::new([n as u8 % REGIONS as u8; 16]);
            let other = keys::card_key(&region, header, card.pan, card.generation);
            workload.checks.push(ProofCheck::Purchase {
                card,
                suite,
                version: FIRST_VERSION,
                amount: purchase.amount,
                tx: purchase.tx,
                terminal: purchase.terminal,
                terminal_seq: purchase.terminal_seq,
                time: purchase.time,
                seq: purchase.seq,
                balance_after: BALANCE,
                context: purchase.context,
                tac: purchase.tac(suite, dtk.expose(), BALANCE),
            });
            let tac = purchase.tac(suite, &other, BALANCE);
            workload
                .plain
                .push(Plain::new(&region, header, &card, &purchase, tac));
        }
        Ok(workload)
    }

    /// Derives [`DERIVATIONS`] region keys that were not derived before.
    pub fn derive(&mut self) -> Result<()> {
        let name = KeyName::<VerifyTac>::new(only(KeyType::Dtk, SuiteId::Aes, FIRST_VERSION))?;
        let vault = self.hsm.vault();
        for _ in 0..DERIVATIONS {
            self.derived = (self.derived + 1) % 1_000_000;
            let region = region(self.derived)?;
            // The cache holds fewer than a million.
            vault.region_key(name, region, [0x03, 0x50])?;
        }
        Ok(())
    }
}

impl Workload {
    /// The plain loop, once over. Errors when a TAC did not match.
    pub fn plain(&self) -> Result<()> {
        all(
            self.plain.iter().filter(|item| item.verifies()).count(),
            self.plain.len(),
        )
    }

    /// One call with all TACs.
    pub fn ask(&self, hsm: &dyn Hsm) -> Result<()> {
        let verified = hsm.verify(&self.checks)?;
        all(
            verified.iter().filter(|v| **v == Ok(true)).count(),
            self.checks.len(),
        )
    }
}

fn all(right: usize, of: usize) -> Result<()> {
    if right == of {
        return Ok(());
    }
    Err(HsmError::NotAuthentic {
        what: format!("the TAC of {} of {of} items", of - right),
    })
}

fn region(n: u32) -> Result<RegionCode> {
    format!("{n:06}")
        .parse()
        .map_err(|_| malformed("a region has six digits"))
}

fn card(n: u32, of: u32) -> Result<CardRef> {
    Ok(CardRef {
        pan: format!("0350{n:016}")
            .parse::<Pan>()
            .map_err(|_| malformed("a PAN has twenty digits"))?,
        generation: Generation(1),
        region: region(350_000 + of * 100)?,
    })
}

fn purchase(n: u32) -> Result<Purchase> {
    Ok(Purchase {
        amount: Fen(200),
        tx: TxType::Capp,
        terminal: "350200000001"
            .parse()
            .map_err(|_| malformed("a SAM number has twelve digits"))?,
        terminal_seq: n,
        time: CardTime::MIN,
        seq: n as u16,
        rnd: [0; 4],
        context: Context {
            h0: [3; 8],
            h1: [4; 8],
        },
    })
}
