//! A device, its SAM and a card in memory.
#![allow(dead_code, unreachable_pub)]

pub mod issuer;
pub mod ward;

use std::{path::Path, sync::Arc};

use card_spec::{
    Channel, ChannelError, Fen, SuiteId, aid, apdu,
    id::RegionCode,
    keys::{KeyHeader, KeyType, class},
    purse::{TxType, files::CardKind, mac},
    ssse::Profile,
    time::CardTime,
};
use clearing_api::{
    Record,
    record::{Debit, Event, Purchase},
};
use terminal::{
    Journal, PurseTerminal, SamUnit, Setup, TapResult,
    admit::Acceptance,
    device::{BusValidator, Seller, Site},
    journal::MemoryStorage,
};
use virtual_card::{
    VirtualCard, host,
    sample::{self, Sample, SampleSam},
};

pub fn tariffs() -> Arc<fare::Tariffs> {
    static TARIFFS: std::sync::OnceLock<Arc<fare::Tariffs>> = std::sync::OnceLock::new();
    TARIFFS
        .get_or_init(|| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/fujian");
            Arc::new(fare::Tariffs::load(&folder).expect("data/fujian"))
        })
        .clone()
}

pub fn time(text: &str) -> CardTime {
    text.parse().expect("time")
}

pub fn region() -> RegionCode {
    sample::REGION.parse().expect("region")
}

pub fn acceptance() -> Acceptance {
    Acceptance {
        region: region(),
        sample_cards: true,
    }
}

pub fn setup(class: u8) -> Setup {
    Setup {
        acceptance: acceptance(),
        class,
        per_tap_max: Fen::yuan(100),
        passback_seconds: 3,
        same_card_seconds: 30,
        torn_ride_seconds: 1_800,
    }
}

pub fn site(operator: &str) -> Site {
    Site {
        device: "0000350100000017".parse().expect("digits"),
        operator: operator.to_owned(),
        region: region(),
    }
}

pub fn bus(route: &str) -> BusValidator {
    BusValidator::new(site("FZBUS"), tariffs(), route.into()).expect("route")
}

pub fn card(suite: SuiteId, seed: u8) -> VirtualCard {
    let sample = Sample {
        kind: CardKind::Normal,
        ..Sample::new(suite, Profile::V3)
    };
    sample.card([seed; 32]).expect("sample card")
}

pub fn purse_sam(class: u8) -> SamUnit<VirtualCard> {
    let number = "350100000017".parse().expect("digits");
    let sam = sample::sample_sam(SampleSam::Purse(class), number, [0x5A; 32]).expect("sample SAM");
    SamUnit::open_purse(sam).expect("SAM answers")
}

pub fn social_sam() -> SamUnit<VirtualCard> {
    let number = "350100000099".parse().expect("digits");
    let sam = sample::sample_sam(SampleSam::Social, number, [0x5B; 32]).expect("sample SAM");
    SamUnit::open_social_security(sam).expect("SAM answers")
}

pub fn journal() -> Journal<MemoryStorage> {
    Journal::open(MemoryStorage::default(), site("").device, 0).expect("new journal")
}

/// A purse device with its SAM and one card.
pub struct Rig {
    pub terminal: PurseTerminal<MemoryStorage>,
    pub sam: SamUnit<VirtualCard>,
    pub card: VirtualCard,
}

impl Rig {
    pub fn new(suite: SuiteId, class: u8) -> Self {
        Self {
            terminal: PurseTerminal::new(setup(class), journal()),
            sam: purse_sam(class),
            card: card(suite, 1),
        }
    }

    pub fn transit(suite: SuiteId) -> Self {
        Self::new(suite, class::TRANSIT)
    }

    pub fn tap(&mut self, at: &str, seller: &dyn Seller) -> TapResult {
        self.terminal
            .tap(&mut self.card, &mut self.sam, time(at), seller)
    }

    pub fn records(&self) -> Vec<Record> {
        self.terminal.journal().waiting().cloned().collect()
    }

    pub fn purchases(&self) -> Vec<Purchase> {
        self.records()
            .into_iter()
            .map(|record| match record.event {
                Event::Purchase(purchase) => purchase,
                other => panic!("not a purchase: {other:?}"),
            })
            .collect()
    }

    pub fn balance(&mut self) -> Fen {
        balance(&mut self.card)
    }
}

pub fn balance(card: &mut VirtualCard) -> Fen {
    let mut response = [0; 258];
    card.transmit(&apdu::select(aid::T_UNION), &mut response)
        .expect("card answers");
    host::balance(card).expect("balance")
}

/// What the clearing house does with a record: the TAC of a debit that claims to be done.
pub fn tac_is_right(p: &Purchase) -> bool {
    let Debit::Done { tac } = p.debit else {
        return false;
    };
    let header = KeyHeader {
        key_type: KeyType::Dtk,
        index: class::ONLY,
        version: 1,
        suite: p.card.suite,
    };
    let dtk = sample::card_key(header).expect("sample key");
    let purchase = mac::Purchase {
        amount: p.amount,
        tx: p.tx,
        terminal: p.sam,
        terminal_seq: p.terminal_seq,
        time: p.time,
        seq: p.seq,
        rnd: [0; 4],
        context: p.context,
    };
    p.tx == TxType::Capp && purchase.tac(p.card.suite, &dtk, p.balance_after) == tac
}

/// A channel that changes answers (or makes them up) on their way.
pub struct Meddler<'a, F> {
    pub card: &'a mut VirtualCard,
    pub change: F,
}

impl<F: FnMut(&[u8], &mut Vec<u8>)> Channel for Meddler<'_, F> {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        let length = self.card.transmit(command, response)?;
        let mut answer = response[..length].to_vec();
        (self.change)(command, &mut answer);
        response[..answer.len()].copy_from_slice(&answer);
        Ok(answer.len())
    }
    fn atr(&self) -> &[u8] {
        self.card.atr()
    }
}
