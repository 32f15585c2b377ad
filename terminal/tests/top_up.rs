//! Online top-up against an issuer that checks MAC1 and makes MAC2 with the sample keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId,
    keys::{KeyHeader, KeyType, class},
    purse::{TxType, mac::Load},
    suite::Key,
    time::CardTime,
};
use clearing_api::{
    ClientError, Problem,
    topup::{self, TopUpConfirm, TopUpGrant, TopUpRequest, TopUpState},
};
use common::*;
use ed25519_dalek::{Signature, SigningKey};
use terminal::{
    Code, Pos, TapResult, Verdict, card::Pin, journal::MemoryStorage, machine::TopUp,
    online::TopUps, pos::PosSetup,
};
use virtual_card::{Cut, VirtualCard, sample};

const AT: &str = "2026-11-23T08:15:00";

/// The clearing house's side of a top-up, with the sample keys instead of an HSM.
struct Issuer {
    granted: Vec<TopUpRequest>,
    confirmed: Vec<u64>,
    down: bool,
}

impl Issuer {
    fn new() -> Self {
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

fn pos() -> Pos<MemoryStorage> {
    let setup = PosSetup {
        sale: setup(class::RETAIL),
        terminal: "350100000555".parse().unwrap(),
        load_max: Fen::yuan(500),
    };
    Pos::new(setup, journal(), key())
}

fn top_up(
    pos: &mut Pos<MemoryStorage>,
    card: &mut VirtualCard,
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

#[test]
fn loads_in_every_suite() {
    for suite in SuiteId::ALL {
        let (mut pos, mut card, mut issuer) = (pos(), card(suite, 1), Issuer::new());
        let result = top_up(&mut pos, &mut card, 50, sample::PIN, &mut issuer);
        assert_eq!(
            (result.code, result.amount),
            (Code::ToppedUp, Some(Fen::yuan(50))),
            "{result:?}"
        );
        assert_eq!(result.balance, Some(Fen::yuan(150)));
        assert_eq!(balance(&mut card), Fen::yuan(150));
        assert_eq!(issuer.confirmed, [1]);
        assert_eq!(pos.journal().open_loads().count(), 0);
    }
}

#[test]
fn nothing_happens_without_pin_issuer_or_reason() {
    let (mut pos, mut card, mut issuer) = (pos(), card(SuiteId::Aes, 1), Issuer::new());
    assert_eq!(
        top_up(&mut pos, &mut card, 50, "000000", &mut issuer).code,
        Code::PinWrong
    );
    assert_eq!(
        top_up(&mut pos, &mut card, 501, sample::PIN, &mut issuer).code,
        Code::OverLimit
    );
    // The card's own limit is 1,000 yuan.
    let result = top_up(&mut pos, &mut card, 500, sample::PIN, &mut issuer);
    assert_eq!(result.verdict, Verdict::Open);
    let result = top_up(&mut pos, &mut card, 500, sample::PIN, &mut issuer);
    assert_eq!(result.code, Code::OverLimit, "{result:?}");
    issuer.down = true;
    assert_eq!(
        top_up(&mut pos, &mut card, 5, sample::PIN, &mut issuer).code,
        Code::Offline
    );
    assert_eq!(balance(&mut card), Fen::yuan(600));
    for _ in 0..3 {
        top_up(&mut pos, &mut card, 5, "000000", &mut issuer);
    }
    assert_eq!(
        top_up(&mut pos, &mut card, 5, sample::PIN, &mut issuer).code,
        Code::PinBlocked
    );
}

#[test]
fn a_lost_confirmation_is_sent_later() {
    struct DownAfterGrant(Issuer);
    impl TopUps for DownAfterGrant {
        fn authorise(&mut self, b: &[u8], s: &[u8; 64]) -> Result<TopUpGrant, ClientError> {
            let grant = self.0.authorise(b, s);
            self.0.down = true;
            grant
        }
        fn confirm(&mut self, i: u64, b: &[u8], s: &[u8; 64]) -> Result<topup::TopUp, ClientError> {
            self.0.confirm(i, b, s)
        }
    }
    let (mut pos, mut card) = (pos(), card(SuiteId::Aes, 1));
    let mut issuer = DownAfterGrant(Issuer::new());
    let wish = TopUp {
        amount_fen: Fen::yuan(20),
        paid_by: "bank".to_owned(),
        pin: Pin::from_digits(sample::PIN).unwrap(),
    };
    let result = pos.top_up(&mut card, &wish, time(AT), &mut issuer);
    assert_eq!(
        (result.code, result.verdict),
        (Code::ConfirmLater, Verdict::Open),
        "{result:?}"
    );
    assert!(pos.confirm_open(&mut issuer).is_err());
    issuer.0.down = false;
    assert_eq!(pos.confirm_open(&mut issuer).unwrap(), 1);
    assert_eq!(pos.confirm_open(&mut issuer).unwrap(), 0);
    assert_eq!(issuer.0.confirmed, [1]);
}

#[test]
fn a_card_torn_out_of_credit_is_never_loaded_twice_for_one_payment() {
    for after in [false, true] {
        let (mut pos, mut card, mut issuer) = (pos(), card(SuiteId::Aes, 1), Issuer::new());
        let (cla, ins, nth) = (0x80, 0x52, 1);
        card.script(Some(match after {
            true => Cut::AfterApdu { cla, ins, nth },
            false => Cut::BeforeApdu { cla, ins, nth },
        }));
        let torn = top_up(&mut pos, &mut card, 50, sample::PIN, &mut issuer);
        assert_eq!(torn.code, Code::SameCardAgain);
        let again = top_up(&mut pos, &mut card, 50, sample::PIN, &mut issuer);
        assert_eq!(
            (again.code, again.amount),
            (Code::ToppedUp, Some(Fen::yuan(50))),
            "{again:?}"
        );
        assert_eq!(balance(&mut card), Fen::yuan(150), "after: {after}");
        // The card took the first grant: it is proved and confirmed. It did not: the same online
        // sequence is asked for once more, which is how the clearing house knows.
        let seqs: Vec<u16> = issuer.granted.iter().map(|r| r.seq).collect();
        if after {
            assert_eq!((seqs.len(), issuer.confirmed.as_slice()), (1, &[1][..]));
        } else {
            assert_eq!(seqs[0], seqs[1]);
            assert_eq!(issuer.confirmed, [2]);
        }
        assert_eq!(pos.journal().open_loads().count(), 0);
    }
}
