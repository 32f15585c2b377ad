//! Every purse device in memory, on real card and SAM code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{Fen, SuiteId, keys::class, purse::files::CardKind, ssse::Profile};
use clearing_api::record::{Debit, Event, Service};
use common::*;
use ed25519_dalek::{Signer, SigningKey};
use terminal::{
    Code, Journal, PurseTerminal, Verdict,
    device::{
        BusValidator, CarParkEntry, CarParkExit, MetroEntryGate, MetroExitGate, ParkingMeter,
        TaxiMeter,
    },
    journal::FileStorage,
};
use virtual_card::sample::Sample;

#[test]
fn bus_with_transfer_in_every_suite() {
    for suite in SuiteId::ALL {
        let mut rig = Rig::transit(suite);
        // FZB17: 1 yuan, T-Union 10 % off; a second city bus within 90 minutes: 0.50 off after it.
        let first = rig.tap("2026-11-23T08:15:00", &bus("FZB17"));
        assert_eq!(
            (first.verdict, first.amount),
            (Verdict::Open, Some(Fen(90))),
            "{first:?}"
        );
        assert_eq!(first.balance, Some(Fen(9_910)));
        let second = rig.tap("2026-11-23T08:40:00", &bus("FZB51"));
        assert_eq!(
            (second.code, second.amount),
            (Code::PaidTransfer, Some(Fen(40))),
            "{second:?}"
        );
        assert_eq!(rig.balance(), Fen(9_870));
        let purchases = rig.purchases();
        assert_eq!(purchases.len(), 2);
        for purchase in &purchases {
            assert!(tac_is_right(purchase), "{suite:?}");
            assert_eq!(
                purchase.context == Default::default(),
                suite != SuiteId::Aes
            );
        }
        assert_eq!(purchases[1].terminal_seq, purchases[0].terminal_seq + 1);
        // The second record carries what the first ride left on the card, for the re-rating.
        let Service::Bus {
            prior: None,
            state: Some(state),
            ..
        } = &purchases[1].service
        else {
            panic!("fare state");
        };
        assert_eq!(state.len(), 64);
    }
}

#[test]
fn the_price_explains_itself_and_the_card_kind_counts() {
    let mut rig = Rig::transit(SuiteId::Aes);
    let elderly = Sample {
        kind: CardKind::Elderly,
        ..Sample::new(SuiteId::Aes, Profile::V3)
    };
    rig.card = elderly.card([3; 32]).unwrap();
    // A holder's number with a right check character (GB 11643), born 1990-01-01.
    let change = |command: &[u8], answer: &mut Vec<u8>| {
        if command.starts_with(&[0x00, 0xB0, 0x96]) {
            answer[22..40].copy_from_slice(b"000000199001010018");
        }
    };
    let mut card = Meddler {
        card: &mut rig.card,
        change,
    };
    let xiamen = BusValidator::new(site("XMBUS"), tariffs(), "XMB1".into()).unwrap();
    let rides = [("08:00", bus("FZB17")), ("10:00", xiamen)];
    let results = rides.map(|(at, bus)| {
        let at = time(&format!("2026-11-23T{at}:00"));
        rig.terminal.tap(&mut card, &mut rig.sam, at, &bus)
    });
    for result in &results {
        assert_eq!(result.verdict, Verdict::Open, "{result:?}");
        assert_eq!(
            result.price.iter().map(|s| s.delta).sum::<Fen>(),
            result.amount.unwrap()
        );
    }
    let ages = rig.purchases().into_iter().map(|sale| match sale.service {
        Service::Bus { age, kind, .. } => (age, kind),
        other => panic!("{other:?}"),
    });
    // Fuzhou's buses have no price by age and do not read it. In Xiamen the age of file 16 decides,
    // not the kind.
    let expected = [(None, CardKind::Elderly), (Some(36), CardKind::Elderly)];
    assert_eq!(ages.collect::<Vec<_>>(), expected);
    assert_eq!(results[0].amount, Some(Fen(90)));
    assert_ne!(results[1].amount, Some(Fen(0)));
}

#[test]
fn metro_entry_and_exit_in_every_suite() {
    for suite in SuiteId::ALL {
        let mut rig = Rig::transit(suite);
        let entry =
            MetroEntryGate::new(site("FZMTR"), tariffs(), &"FZM1".into(), "FZM101".into()).unwrap();
        let exit =
            MetroExitGate::new(site("FZMTR"), tariffs(), &"FZM1".into(), "FZM103".into()).unwrap();
        let early = rig.tap("2026-11-23T08:00:00", &exit);
        assert_eq!(early.code, Code::NoEntry);
        let entered = rig.tap("2026-11-23T08:15:00", &entry);
        assert_eq!(
            (entered.code, entered.amount),
            (Code::Entered, Some(Fen(0))),
            "{entered:?}"
        );
        let twice = rig.tap("2026-11-23T08:15:30", &entry);
        assert_eq!(twice.code, Code::TooSoon, "one person, two taps");
        let inside = rig.tap("2026-11-23T08:22:00", &entry);
        assert_eq!(inside.code, Code::AlreadyInside);
        // FZM101 to FZM103: 1,336 + 1,098 m of the true distances: the first band, 2 yuan.
        let left = rig.tap("2026-11-23T08:25:00", &exit);
        assert_eq!(
            (left.code, left.amount),
            (Code::Exited, Some(Fen(200))),
            "{left:?}"
        );
        assert_eq!(rig.balance(), Fen(9_800));
        let purchases = rig.purchases();
        assert!(purchases.iter().all(tac_is_right));
        let Service::MetroExit {
            from, to, entered, ..
        } = &purchases[1].service
        else {
            panic!("exit");
        };
        assert_eq!((from.as_str(), to.as_str()), ("FZM101", "FZM103"));
        assert_eq!(*entered, time("2026-11-23T08:15:00"));
        // Bus after metro: the transfer discount of the exit.
        let bus = rig.tap("2026-11-23T08:40:00", &bus("FZB17"));
        assert_eq!((bus.code, bus.amount), (Code::PaidTransfer, Some(Fen(40))));
    }
}

#[test]
fn a_transfer_window_survives_taxi_and_metro_entry() {
    let mut rig = Rig::transit(SuiteId::Aes);
    assert_eq!(
        rig.tap("2026-11-23T08:00:00", &bus("FZB17")).amount,
        Some(Fen(90))
    );
    let gate = |stop: &str| (site("FZMTR"), tariffs(), "FZM1".into(), stop.into());
    let (s, t, l, stop) = gate("FZM101");
    let entered = rig.tap(
        "2026-11-23T08:20:00",
        &MetroEntryGate::new(s, t, &l, stop).unwrap(),
    );
    assert_eq!(entered.code, Code::Entered);
    let (s, t, l, stop) = gate("FZM103");
    let exit = rig.tap(
        "2026-11-23T08:30:00",
        &MetroExitGate::new(s, t, &l, stop).unwrap(),
    );
    // Bus to metro within 90 minutes of the bus: 2.00 less 1.00.
    assert_eq!(exit.amount, Some(Fen(100)), "{exit:?}");
}

#[test]
fn taxi_meter_and_car_park() {
    let mut rig = Rig::new(SuiteId::Aes, class::PARKING_TAXI);
    let taxi = TaxiMeter {
        site: site("FZTAXI"),
        tariffs: tariffs(),
        vehicle: "A-T1234".into(),
        metres: 3_000,
        waiting_seconds: 0,
        started: time("2026-11-23T09:00:00"),
    };
    // Flag fare: 10 yuan for 3 km by day.
    assert_eq!(
        rig.tap("2026-11-23T09:10:00", &taxi).amount,
        Some(Fen(1_000))
    );
    let meter = ParkingMeter {
        site: site("FZSTREET"),
        tariffs: tariffs(),
        class: "I".into(),
        vehicle: fare::VehicleClass::Small,
        from: time("2026-11-23T10:00:00"),
    };
    // Class I, 4 yuan per 30 minutes by day: 45 minutes are two units.
    assert_eq!(
        rig.tap("2026-11-23T10:45:00", &meter).amount,
        Some(Fen(800))
    );
    let small = fare::VehicleClass::Small;
    let park = || {
        (
            site("FZPARK"),
            tariffs(),
            fare::ParkId::from("FZP-STATION"),
            small,
        )
    };
    let (s, t, p, v) = park();
    let entry = CarParkEntry::new(s, t, p, v);
    let (s, t, p, v) = park();
    let exit = CarParkExit::new(s, t, p, v);
    assert_eq!(rig.tap("2026-11-23T11:00:00", &exit).code, Code::NoEntry);
    assert_eq!(
        rig.tap("2026-11-23T11:00:05", &entry).code,
        Code::ParkEntered
    );
    assert_eq!(
        rig.tap("2026-11-23T11:00:10", &entry).code,
        Code::AlreadyInside
    );
    // Other rides in between do not hide the entry.
    assert_eq!(rig.tap("2026-11-23T11:20:00", &taxi).verdict, Verdict::Open);
    // Railway station: 5 yuan for the first hour.
    let left = rig.tap("2026-11-23T11:50:00", &exit);
    assert_eq!(
        (left.code, left.amount),
        (Code::ServicePaid, Some(Fen(500))),
        "{left:?}"
    );
    assert_eq!(rig.tap("2026-11-23T11:55:00", &exit).code, Code::NoEntry);
    assert!(rig.purchases().iter().all(tac_is_right));
}

#[test]
fn production_refuses_samples_and_every_refusal_moves_nothing() {
    let mut rig = Rig::transit(SuiteId::Aes);
    let mut production = setup(class::TRANSIT);
    production.acceptance.sample_cards = false;
    rig.terminal = terminal::PurseTerminal::new(production, journal());
    assert_eq!(
        rig.tap("2026-11-23T08:15:00", &bus("FZB17")).code,
        Code::SampleCard
    );

    rig.terminal = terminal::PurseTerminal::new(setup(class::TRANSIT), journal());
    assert_eq!(
        rig.tap("2025-12-31T08:15:00", &bus("FZB17")).code,
        Code::NotYetValid
    );
    assert_eq!(
        rig.tap("2036-01-01T08:15:00", &bus("FZB17")).code,
        Code::Expired
    );
    assert!(rig.records().is_empty());
    assert_eq!(
        rig.tap("2026-11-23T08:15:00", &bus("FZB17")).verdict,
        Verdict::Open
    );
    assert_eq!(
        rig.tap("2026-11-23T08:15:02", &bus("FZB17")).code,
        Code::TooSoon
    );
    assert_eq!(rig.balance(), Fen(9_910));
    assert_eq!(rig.records().len(), 1);

    let poor = Sample {
        kind: CardKind::Normal,
        purse: Fen(30),
        ..Sample::new(SuiteId::Aes, Profile::V3)
    };
    rig.card = poor.card([9; 32]).unwrap();
    let result = rig.tap("2026-11-23T09:15:00", &bus("FZB17"));
    assert_eq!((result.code, result.amount), (Code::Insufficient, None));
    assert_eq!(rig.balance(), Fen(30));
    assert_eq!(rig.records().len(), 1);
}

#[test]
fn a_card_that_is_no_purse_is_unknown() {
    let mut rig = Rig::transit(SuiteId::Aes);
    let blank =
        virtual_card::VirtualCard::blank([1; 10], virtual_card::sample::transport_keys(), [1; 32]);
    rig.card = blank.unwrap();
    assert_eq!(
        rig.tap("2026-11-23T08:15:00", &bus("FZB17")).code,
        Code::UnknownCard
    );
}

#[test]
fn a_listed_card_is_locked_in_the_field() {
    let mut rig = Rig::transit(SuiteId::Aes);
    let key = SigningKey::from_bytes(&[4; 32]);
    let mut list = clearing_api::registry::Hotlist {
        since: 0,
        version: 5,
        entries: vec![clearing_api::registry::HotlistEntry {
            pan: virtual_card::sample::PAN.parse().unwrap(),
            generation: card_spec::id::Generation(1),
            version: 5,
            reason: "lost".into(),
            removed: false,
        }],
        signature: String::new(),
    };
    list.signature = hex::encode(key.sign(&list.signing_bytes()).to_bytes());
    rig.terminal
        .hotlist_mut()
        .apply(&list, &key.verifying_key())
        .unwrap();
    let result = rig.tap("2026-11-23T08:15:00", &bus("FZB17"));
    assert_eq!(result.code, Code::Hotlisted, "{result:?}");
    assert!(result.detail.ends_with("; locked"), "{}", result.detail);
    let records = rig.records();
    assert!(matches!(&records[0].event, Event::CardLocked { card } if card.suite == SuiteId::Aes));
    assert_eq!(records[0].hotlist_version, 5);
    // The card itself refuses from now on, on any device.
    rig.terminal = terminal::PurseTerminal::new(setup(class::TRANSIT), journal());
    assert_eq!(
        rig.tap("2026-11-23T09:15:00", &bus("FZB17")).code,
        Code::Blocked
    );
}

#[test]
fn a_sam_of_another_class_sells_nothing() {
    let mut rig = Rig::transit(SuiteId::Aes);
    rig.sam = purse_sam(class::RETAIL);
    let result = rig.tap("2026-11-23T08:15:00", &bus("FZB17"));
    assert_ne!(result.verdict, Verdict::Open);
    assert_eq!(rig.balance(), Fen(10_000));
    assert!(rig.purchases().iter().all(|p| p.debit == Debit::NotDone));
}

#[test]
fn a_device_that_starts_anew_knows_from_its_journal_whom_it_served_a_moment_ago() {
    let path = std::env::temp_dir().join(format!("onecard-passback-{}", std::process::id()));
    let start = || {
        let storage = FileStorage::open(&path).unwrap();
        let journal = Journal::open(storage, site("").device, 0).unwrap();
        PurseTerminal::new(setup(class::TRANSIT), journal)
    };
    let (mut card, mut sam) = (card(SuiteId::Aes, 1), purse_sam(class::TRANSIT));
    let bus = bus("FZB17");
    let mut first = start();
    let paid = first.tap(&mut card, &mut sam, time("2026-11-23T08:15:00"), &bus);
    assert_eq!(paid.verdict, Verdict::Open, "{paid:?}");
    drop(first);
    let mut again = start();
    let soon = again.tap(&mut card, &mut sam, time("2026-11-23T08:15:02"), &bus);
    assert_eq!(soon.code, Code::TooSoon);
    let later = again.tap(&mut card, &mut sam, time("2026-11-23T08:15:03"), &bus);
    assert_eq!(later.verdict, Verdict::Open, "{later:?}");
    drop(again);
    std::fs::remove_file(path).unwrap();
}
