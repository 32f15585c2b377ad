//! The clearing house's side of a top-up, and a point of sale that asks it.

use card_spec::{
    Channel, Fen, SuiteId,
    keys::{KeyHeader, KeyType, class},
    purse::{TxType, mac::Load},
    suite::Key,
    time::CardTime,
};
use clearing_api::{
    ClientError, Problem,
    topup::{self, TopUpConfirm, TopUpGrant, TopUpRequest, TopUpState},
};
use ed25519_dalek::{Signature, SigningKey};
use terminal::{
    Kiosk, Pos, TapResult, card::Pin, journal::MemoryStorage, load::LoadDesk, machine::TopUp,
    online::TopUps,
};
use virtual_card::sample;

use super::{acceptance, journal, setup, time};

pub const AT: &str = "2026-11-23T08:15:00";

/// The clearing house's side of a top-up, with the sample keys instead of an HSM.
pub struct Issuer {
    pub granted: Vec<TopUpRequest>,
    pub confirmed: Vec<u64>,
    pub down: bool,
}

impl Issuer {
    pub fn new() -> Self {
        Self {
            granted: Vec::new(),
            confirmed: Vec::new(),
            down: false,
        }
    }

    fn answer<T>(&self, value: Option<T>) -> Result<T, ClientError> {
        if self.down {
            return Err(ClientError::Unreachable {
                address: "test".into(),
                why: "down".into(),
            });
        }
        value.ok_or_else(|| {
            ClientError::Refused(Box::new(Problem {
                kind: "urn:onecard:problem:mac".into(),
                title: "MAC".into(),
                status: 422,
                detail: "MAC1 or TAC does not verify".into(),
                code: "mac".into(),
                errors: Vec::new(),
            }))
        })
    }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[0x11; 32])
}

fn card_key(key_type: KeyType, suite: SuiteId) -> Key {
    let header = KeyHeader {
        key_type,
        index: class::ONLY,
        version: 1,
        suite,
    };
    sample::card_key(header).unwrap()
}

fn load(request: &TopUpRequest) -> Load {
    Load {
        amount: request.amount,
        tx: TxType::Load,
        terminal: request.terminal,
        seq: request.seq,
        rnd: request.rnd,
        balance_before: request.balance_before,
    }
}

fn verify(body: &[u8], signature: &[u8; 64]) {
    key()
        .verifying_key()
        .verify_strict(body, &Signature::from_bytes(signature))
        .unwrap();
}

fn grant_time() -> CardTime {
    time("2026-11-23T08:15:02")
}

impl TopUps for Issuer {
    fn authorise(&mut self, body: &[u8], signature: &[u8; 64]) -> Result<TopUpGrant, ClientError> {
        verify(body, signature);
        let request: TopUpRequest = serde_json::from_slice(body).unwrap();
        let suite = request.card.suite;
        let dlk = card_key(KeyType::Dlk, suite);
        let right = load(&request).mac1(suite, &dlk) == request.mac1;
        let grant = self.answer(right.then(|| TopUpGrant {
            id: self.granted.len() as u64 + 1,
            time: grant_time(),
            mac2: load(&request).mac2(suite, &dlk, grant_time()),
        }));
        if grant.is_ok() {
            self.granted.push(request);
        }
        grant
    }

    fn confirm(
        &mut self,
        id: u64,
        body: &[u8],
        signature: &[u8; 64],
    ) -> Result<topup::TopUp, ClientError> {
        verify(body, signature);
        let confirm: TopUpConfirm = serde_json::from_slice(body).unwrap();
        let request = self.granted[usize::try_from(id).unwrap() - 1].clone();
        let suite = request.card.suite;
        let tac = load(&request).tac(suite, &card_key(KeyType::Dtk, suite), grant_time());
        let right = tac == confirm.tac && confirm.id == id;
        let top_up = self.answer(right.then(|| topup::TopUp {
            id,
            state: TopUpState::Confirmed,
            amount: request.amount,
            day: grant_time().date(),
        }));
        if top_up.is_ok() {
            self.confirmed.push(id);
        }
        top_up
    }
}

pub fn pos() -> Pos<MemoryStorage> {
    Pos::new(setup(class::RETAIL), loads(), journal())
}

pub fn kiosk() -> Kiosk<MemoryStorage> {
    Kiosk::new(loads(), journal())
}

fn loads() -> LoadDesk {
    LoadDesk {
        acceptance: acceptance(),
        terminal: "350100000555".parse().unwrap(),
        load_max: Fen::yuan(500),
        key: key(),
    }
}

pub fn top_up<C: Channel + ?Sized>(
    pos: &mut Pos<MemoryStorage>,
    card: &mut C,
    yuan: i64,
    pin: &str,
    issuer: &mut Issuer,
) -> TapResult {
    let wish = TopUp {
        amount_fen: Fen::yuan(yuan),
        paid_by: "cash".to_owned(),
        pin: Pin::from_digits(pin).unwrap(),
    };
    pos.top_up(card, &wish, time(AT), issuer)
}
