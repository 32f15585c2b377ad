//! Online top-up against an issuer that checks MAC1 and makes MAC2 with the sample keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{Fen, SuiteId};
use clearing_api::{
    ClientError,
    topup::{self, TopUpGrant},
};
use common::{
    issuer::{AT, Issuer, kiosk, pos, top_up},
    *,
};
use terminal::{Code, Verdict, card::Pin, machine::TopUp, online::TopUps};
use virtual_card::{Cut, sample};

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
fn a_kiosk_loads_for_bank_and_mobile_and_takes_no_cash() {
    let (mut kiosk, mut card, mut issuer) = (kiosk(), card(SuiteId::Sm4, 1), Issuer::new());
    let mut load = |paid_by: &str| {
        let wish = TopUp {
            amount_fen: Fen::yuan(50),
            paid_by: paid_by.to_owned(),
            pin: Pin::from_digits(sample::PIN).unwrap(),
        };
        kiosk.top_up(&mut card, &wish, time(AT), &mut issuer)
    };
    let refused = load("cash");
    assert_eq!(refused.code, Code::TopUpRefused);
    assert!(refused.detail.contains("bank or mobile"), "{refused:?}");
    let (bank, mobile) = (load("bank"), load("mobile"));
    assert_eq!((bank.code, mobile.code), (Code::ToppedUp, Code::ToppedUp));
    assert_eq!(mobile.balance, Some(Fen::yuan(200)));
    let paid_by: Vec<&str> = issuer.granted.iter().map(|r| r.paid_by.as_str()).collect();
    assert_eq!(paid_by, ["bank", "mobile"]);
    assert_eq!(kiosk.journal().open_loads().count(), 0);
}

#[test]
fn a_kiosk_finishes_the_load_that_it_was_cut_off_from_and_takes_no_money_again() {
    let (mut kiosk, mut card, mut issuer) = (kiosk(), card(SuiteId::Aes, 1), Issuer::new());
    let (cla, ins, nth) = (0x80, 0x52, 1);
    card.script(Some(Cut::AfterApdu { cla, ins, nth }));
    let wish = TopUp {
        amount_fen: Fen::yuan(50),
        paid_by: "bank".to_owned(),
        pin: Pin::from_digits(sample::PIN).unwrap(),
    };
    let torn = kiosk.top_up(&mut card, &wish, time(AT), &mut issuer);
    assert_eq!(torn.code, Code::SameCardAgain);
    assert_eq!(kiosk.journal().open_loads().count(), 1);
    let again = kiosk.top_up(&mut card, &wish, time(AT), &mut issuer);
    assert_eq!(again.code, Code::ToppedUp, "{again:?}");
    assert_eq!(balance(&mut card), Fen::yuan(150));
    assert_eq!((issuer.granted.len(), issuer.confirmed.len()), (1, 1));
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
