//! What the desks, tills and validators do with a real card, and what it records.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId,
    keys::class,
    purse::{TxType, files::CardKind},
    ssse::Profile,
};
use clearing_api::record::{Debit, Service};
use common::*;
use fare::{Area, ModeHistory, ModeSpan, StationMode};
use terminal::{
    Code,
    device::{BusValidator, FareDesk, MetroEntryGate, MetroExitGate, Seller, Till},
};
use virtual_card::sample::Sample;

fn gates() -> (MetroEntryGate, MetroExitGate, FareDesk) {
    let metro = || (site("FZMTR"), tariffs());
    let line = "FZM1".into();
    let ((s, t), (s2, t2), (s3, t3)) = (metro(), metro(), metro());
    (
        MetroEntryGate::new(s, t, &line, "FZM101".into()).unwrap(),
        MetroExitGate::new(s2, t2, &line, "FZM103".into()).unwrap(),
        FareDesk::new(s3, t3, &line, "FZM103".into()).unwrap(),
    )
}

#[test]
fn the_desk_writes_the_entry_that_a_gate_missed_and_the_gate_charges_the_journey() {
    let (_, exit, desk) = gates();
    let mut rig = Rig::transit(SuiteId::Aes);
    assert_eq!(rig.tap("2026-11-23T09:00:00", &exit).code, Code::NoEntry);
    let visit = desk.visit(Area::Paid, Some("FZM101".into()));
    let corrected = rig.tap("2026-11-23T09:01:00", &visit);
    assert_eq!(corrected.code, Code::JourneyCorrected, "{corrected:?}");
    assert_eq!(corrected.amount, Some(Fen::ZERO));
    let left = rig.tap("2026-11-23T09:02:00", &exit);
    // FZM101 to FZM103: the first band, 2 yuan.
    assert_eq!((left.code, left.amount), (Code::Exited, Some(Fen(200))));
    let again = rig.tap("2026-11-23T09:03:00", &desk.visit(Area::Unpaid, None));
    assert_eq!(again.code, Code::UseTheGate);
}

#[test]
fn the_desk_closes_a_journey_without_exit_at_the_named_fare_or_the_highest() {
    for (named, fen) in [(Some("FZM103".into()), 200), (None, 900)] {
        let (entry, _, desk) = gates();
        let mut rig = Rig::transit(SuiteId::Sm4);
        rig.tap("2026-11-23T08:00:00", &entry);
        let inside = rig.tap("2026-11-23T19:00:00", &entry);
        assert_eq!(inside.code, Code::AlreadyInside);
        let is_named = named.is_some();
        let visit = desk.visit(Area::Unpaid, named);
        let closed = rig.tap("2026-11-23T19:05:00", &visit);
        assert_eq!(closed.code, Code::JourneyCorrected, "{closed:?}");
        let paid = closed.amount.unwrap();
        let highest = tariffs().metro_highest_fare(&"FZMTR".into()).unwrap();
        assert_eq!(paid, if is_named { Fen(fen) } else { highest });
        assert_eq!(rig.tap("2026-11-23T19:10:00", &entry).code, Code::Entered);
        let records = rig.purchases();
        let desk = records.iter().find_map(|p| match &p.service {
            Service::MetroDesk {
                paid_area, entry, ..
            } => Some((*paid_area, entry.clone())),
            _ => None,
        });
        let entered = ("FZM101".to_owned(), time("2026-11-23T08:00:00"));
        assert_eq!(desk, Some((false, Some(entered))));
    }
}

#[test]
fn in_a_train_failure_riders_leave_without_paying_and_return_within_seven_days() {
    let (mut entry, mut exit, _) = gates();
    let mut rig = Rig::transit(SuiteId::Aes);
    rig.tap("2026-11-23T08:00:00", &entry);
    let failure = |to: Option<&str>| {
        ModeHistory(vec![ModeSpan {
            operator: "FZMTR".into(),
            stops: Vec::new(),
            mode: StationMode::TrainFailure,
            from: time("2026-11-23T08:05:00"),
            to: to.map(time),
        }])
    };
    exit.learn(&failure(None));
    let left = rig.tap("2026-11-23T08:20:00", &exit);
    assert_eq!((left.code, left.amount), (Code::Exited, Some(Fen::ZERO)));
    // Another rider walked out without tapping and comes back on the seventh day.
    let mut other = Rig::transit(SuiteId::Aes);
    other.tap("2026-11-23T08:00:00", &entry);
    entry.learn(&failure(Some("2026-11-23T10:00:00")));
    assert_eq!(other.tap("2026-11-29T09:00:00", &entry).code, Code::Entered);
}

#[test]
fn a_companion_pays_the_ordinary_price_at_once_and_leaves_the_transfer_alone() {
    let student = Sample {
        kind: CardKind::Student,
        ..Sample::new(SuiteId::Aes, Profile::V3)
    };
    let mut rig = Rig::transit(SuiteId::Aes);
    rig.card = student.card([9; 32]).unwrap();
    // Quanzhou: 1 to 4 yuan by section, students pay 75 %.
    let bus = || BusValidator::new(site("QZBUS"), tariffs(), "QZB19".into()).unwrap();
    assert_eq!(bus().sections(), 4);
    let holder = rig.tap("2026-11-23T08:15:00", &bus().through(Some(2)));
    assert_eq!(holder.amount, Some(Fen(150)), "{holder:?}");
    let twice = rig.tap("2026-11-23T08:15:01", &bus().through(Some(2)));
    assert_eq!(twice.code, Code::TooSoon);
    let companion = bus().through(Some(2)).for_companion(true);
    let companion = rig.tap("2026-11-23T08:15:02", &companion);
    assert_eq!(companion.amount, Some(Fen(200)));
    // Who does not say where to pays to the end.
    let unknown = rig.tap("2026-11-23T08:20:00", &bus());
    assert_eq!(unknown.amount, Some(Fen(300)));
    let services: Vec<Service> = rig.purchases().into_iter().map(|p| p.service).collect();
    assert!(matches!(
        &services[1],
        Service::Bus {
            companion: true,
            prior: None,
            kind: CardKind::Normal,
            sections: Some(2),
            ..
        }
    ));
}

#[test]
fn a_till_sells_by_a_plain_purchase_with_the_retail_key_in_every_suite() {
    for suite in SuiteId::ALL {
        let mut rig = Rig::new(suite, class::RETAIL);
        let till = Till {
            site: site("POS"),
            amount: Fen(1_250),
            receipt: "R1".to_owned(),
        };
        let sold = rig.tap("2026-11-23T08:15:00", &till);
        assert_eq!(
            (sold.code, sold.amount),
            (Code::ServicePaid, Some(Fen(1_250)))
        );
        assert_eq!(rig.balance(), Fen(10_000 - 1_250));
        let purchase = rig.purchases().remove(0);
        assert_eq!(
            (purchase.tx, purchase.key_index),
            (TxType::Purchase, class::RETAIL)
        );
        assert!(matches!(purchase.debit, Debit::Done { .. }));
        assert_eq!(purchase.service.mode(), "retail");
    }
}
