//! Cards and clocks that are not as they should be, one by one: the code, and what is left on card and
//! in journal. (Made-up answers: `answers`; torn debits and emulators: `torn`.)
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId,
    id::{Generation, IssuerId},
    keys::class,
    purse::files::{CardKind, Public},
    ssse::Profile,
};
use clearing_api::record::Debit;
use common::{
    issuer::{Issuer, pos, top_up},
    *,
};
use fare::Area;
use terminal::{
    Code, PurseTerminal, TapResult, Verdict,
    device::{FareDesk, MetroEntryGate, MetroExitGate, Seller, Till},
};
use virtual_card::{
    Cut,
    sample::{self, Sample},
};

const FARE: Fen = Fen(90);

fn meddled(rig: &mut Rig, at: &str, change: impl FnMut(&[u8], &mut Vec<u8>)) -> TapResult {
    let mut card = Meddler {
        card: &mut rig.card,
        change,
    };
    rig.terminal
        .tap(&mut card, &mut rig.sam, time(at), &bus("FZB17"))
}

fn is_select(command: &[u8]) -> bool {
    command.starts_with(&[0x00, 0xA4])
}

fn tear(rig: &mut Rig, after: bool, at: &str) {
    let (cla, ins, nth) = (0x80, 0x54, 1);
    rig.card.script(Some(match after {
        true => Cut::AfterApdu { cla, ins, nth },
        false => Cut::BeforeApdu { cla, ins, nth },
    }));
    assert_eq!(rig.tap(at, &bus("FZB17")).code, Code::SameCardAgain);
}

/// Every way in which a card in the field says that it is no purse of ours, or a locked one.
#[test]
fn a_select_that_is_refused_says_unknown_or_blocked() {
    for (sw, code) in [
        (0x6A82, Code::UnknownCard),
        (0x6A86, Code::UnknownCard),
        (0x6D00, Code::UnknownCard),
        (0x6E00, Code::UnknownCard),
        (0x6283, Code::Blocked),
        (0x6284, Code::Blocked),
        (0x6A81, Code::Blocked),
        (0x9303, Code::Blocked),
        (0x6F00, Code::BadCard),
    ] {
        // With the FCI and without: blocked applications still tell it.
        for with_fci in [true, false] {
            let mut rig = Rig::transit(SuiteId::Aes);
            let result = meddled(&mut rig, "2026-11-23T08:15:00", |command, answer| {
                if is_select(command) {
                    answer.truncate(if with_fci { answer.len() - 2 } else { 0 });
                    answer.extend(u16::to_be_bytes(sw));
                }
            });
            assert_eq!((result.code, result.pan), (code, None), "{sw:04X}");
        }
    }
}

#[test]
fn a_card_of_another_city_needs_the_flag_and_a_key_in_the_sam() {
    // A device of Xiamen, its SAM with Fuzhou's keys, a card of Fuzhou.
    let mut rig = Rig::transit(SuiteId::Aes);
    let mut there = setup(class::TRANSIT);
    there.acceptance.region = "350200".parse().unwrap();
    rig.terminal = PurseTerminal::new(there, journal());
    let at = "2026-11-23T08:15:00";
    let plain = meddled(&mut rig, at, |command, answer| {
        let flag = answer.windows(2).position(|w| w == [0xC1, 0x01]);
        if let (true, Some(at)) = (is_select(command), flag) {
            answer[at + 2] &= 0x7F;
        }
    });
    assert_eq!(plain.code, Code::ForeignCard, "{plain:?}");
    assert_eq!(rig.balance(), Fen(10_000));
    let flagged = rig.tap(at, &bus("FZB17"));
    assert_eq!(flagged.verdict, Verdict::Open, "{flagged:?}");

    // A card of Xiamen on a device of Fuzhou, whose SAM knows no key of Xiamen.
    let mut rig = Rig::transit(SuiteId::Aes);
    let foreign = Sample {
        region: "350200",
        kind: CardKind::Normal,
        ..Sample::new(SuiteId::Aes, Profile::V3)
    };
    rig.card = foreign.card([4; 32]).unwrap();
    let result = rig.tap(at, &bus("FZB17"));
    assert_eq!(result.code, Code::ForeignCard, "{result:?}");
    assert!(rig.records().is_empty());
}

/// Says the file 15 of another generation, consistent in itself.
fn replaced(command: &[u8], answer: &mut [u8]) {
    if is_select(command) {
        let old = Public::from_fci(answer).unwrap();
        let new = Public {
            issuer: IssuerId::new(old.pan, region(), Generation(2)),
            generation: Generation(2),
            ..old
        };
        let (old, new) = (old.to_bytes(), new.to_bytes());
        let at = answer.windows(old.len()).position(|w| w == old).unwrap();
        answer[at..at + new.len()].copy_from_slice(&new);
    }
}

#[test]
fn a_card_of_another_generation_is_another_card() {
    let mut rig = Rig::transit(SuiteId::Aes);
    tear(&mut rig, true, "2026-11-23T08:15:00");
    let other = meddled(&mut rig, "2026-11-23T08:15:10", |c, a| replaced(c, a));
    assert_eq!(other.code, Code::SameCardAgain, "{other:?}");
    assert!(rig.terminal.is_waiting());
    // The wait is over: it is no card that the SAM's keys agree with, and the torn debit is not its.
    let other = meddled(&mut rig, "2026-11-23T08:16:00", |c, a| replaced(c, a));
    assert_eq!(other.code, Code::NotAuthentic, "{other:?}");
    assert_eq!(rig.balance(), Fen(10_000) - FARE);
    let back = rig.tap("2026-11-23T08:17:00", &bus("FZB17"));
    assert_eq!((back.code, back.amount), (Code::TornCompleted, Some(FARE)));
}

#[test]
fn a_card_debited_elsewhere_while_it_is_awaited_opens_nothing_and_is_served_next() {
    for after in [true, false] {
        let mut rig = Rig::transit(SuiteId::Aes);
        tear(&mut rig, after, "2026-11-23T08:15:00");
        let mut elsewhere = PurseTerminal::new(setup(class::TRANSIT), journal());
        let at = time("2026-11-23T08:15:04");
        let mut sam = purse_sam(class::TRANSIT);
        let sold = elsewhere.tap(&mut rig.card, &mut sam, at, &bus("FZB51"));
        assert_eq!(sold.verdict, Verdict::Open);
        let before = rig.balance();
        let back = rig.tap("2026-11-23T08:15:08", &bus("FZB17"));
        assert_ne!(back.verdict, Verdict::Open, "{back:?}");
        assert_eq!((back.code, rig.balance()), (Code::NotProved, before));
        assert_eq!(rig.purchases()[0].debit, Debit::Unknown);
        let next = rig.tap("2026-11-23T08:15:12", &bus("FZB17"));
        assert_eq!(next.verdict, Verdict::Open, "{next:?}");
    }
}

#[test]
fn a_card_topped_up_between_a_torn_debit_and_its_return_is_known_again() {
    for (after, wait) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut rig = Rig::transit(SuiteId::Aes);
        tear(&mut rig, after, "2026-11-23T08:14:50");
        let loaded = top_up(
            &mut pos(),
            &mut rig.card,
            20,
            sample::PIN,
            &mut Issuer::new(),
        );
        assert_eq!(loaded.code, Code::ToppedUp);
        let at = match wait {
            true => "2026-11-23T08:15:10",
            false => "2026-11-23T08:20:00",
        };
        let back = rig.tap(at, &bus("FZB17"));
        let what = format!("{after} {wait} {back:?}");
        assert_eq!(
            (back.verdict, back.amount),
            (Verdict::Open, Some(FARE)),
            "{what}"
        );
        assert_eq!(rig.balance(), Fen(12_000) - FARE, "{what}");
        let records = rig.records();
        let open = rig.purchases().into_iter().zip(&records).filter(|(p, r)| {
            let completed = records.iter().any(|o| o.completes == Some(r.journal_seq));
            p.debit == Debit::Unknown && !completed
        });
        assert_eq!(open.count(), 0, "{what}");
    }
}

#[test]
fn a_clock_set_back_ends_no_wait_and_charges_no_ride_twice() {
    for given_up in [false, true] {
        let mut rig = Rig::transit(SuiteId::Aes);
        tear(&mut rig, true, "2026-11-23T08:15:00");
        if given_up {
            rig.terminal.give_up().unwrap().unwrap();
        }
        let back = rig.tap("2026-11-23T07:15:05", &bus("FZB17"));
        assert_eq!((back.code, back.amount), (Code::TornCompleted, Some(FARE)));
        assert_eq!(rig.balance(), Fen(10_000) - FARE);
    }
    // Nor does it make the wait longer: it begins anew.
    let mut rig = Rig::transit(SuiteId::Aes);
    tear(&mut rig, true, "2026-11-23T08:15:00");
    let other = meddled(&mut rig, "2026-11-23T07:15:00", |c, a| replaced(c, a));
    assert_eq!(other.code, Code::SameCardAgain);
    let other = meddled(&mut rig, "2026-11-23T07:15:31", |c, a| replaced(c, a));
    assert_ne!(other.code, Code::SameCardAgain, "{other:?}");
}

/// Two days on, a ride is another ride; the torn one is completed and counted all the same.
#[test]
fn a_clock_set_forward_gives_the_wait_up_and_loses_nothing() {
    let mut rig = Rig::transit(SuiteId::Aes);
    tear(&mut rig, true, "2026-11-23T08:15:00");
    let back = rig.tap("2026-11-25T08:15:05", &bus("FZB17"));
    assert_eq!((back.verdict, back.amount), (Verdict::Open, Some(FARE)));
    let done = rig.purchases().into_iter().filter(tac_is_right).count();
    assert_eq!((done, rig.balance()), (2, Fen(10_000 - 2 * 90)));
    assert_eq!(rig.records()[1].completes, Some(1));
}

#[test]
fn passback_never_locks_a_card_out_when_the_clock_goes_back() {
    let mut rig = Rig::transit(SuiteId::Aes);
    assert_eq!(
        rig.tap("2026-11-23T08:15:00", &bus("FZB17")).verdict,
        Verdict::Open
    );
    assert_eq!(
        rig.tap("2026-11-23T08:15:02", &bus("FZB17")).code,
        Code::TooSoon
    );
    assert_eq!(
        rig.tap("2026-11-23T07:15:00", &bus("FZB17")).verdict,
        Verdict::Open
    );
}

fn metro(
    operator: &str,
    line: &str,
    from: &str,
    to: &str,
) -> (MetroEntryGate, MetroExitGate, FareDesk) {
    let (at, line) = (|| (site(operator), tariffs()), line.into());
    let ((s, t), (s2, t2), (s3, t3)) = (at(), at(), at());
    (
        MetroEntryGate::new(s, t, &line, from.into()).unwrap(),
        MetroExitGate::new(s2, t2, &line, to.into()).unwrap(),
        FareDesk::new(s3, t3, &line, to.into()).unwrap(),
    )
}

/// The entry gate's clock was an hour ahead: the desk lets out at the fare of the distance.
#[test]
fn a_metro_entry_that_is_still_to_come_is_closed_at_the_desk() {
    let (entry, exit, desk) = metro("FZMTR", "FZM1", "FZM101", "FZM103");
    let mut rig = Rig::transit(SuiteId::Aes);
    assert_eq!(rig.tap("2026-11-23T09:15:00", &entry).code, Code::Entered);
    assert_eq!(rig.tap("2026-11-23T08:25:00", &exit).code, Code::NoEntry);
    assert_eq!(
        rig.tap("2026-11-23T08:26:00", &entry).code,
        Code::AlreadyInside
    );
    let closed = rig.tap("2026-11-23T08:27:00", &desk.visit(Area::Paid, None));
    assert_eq!(
        (closed.code, closed.amount),
        (Code::JourneyCorrected, Some(Fen(200)))
    );
    assert_eq!(rig.tap("2026-11-23T08:40:00", &entry).code, Code::Entered);
    // Outside the gates, with the station named.
    let named = desk.visit(Area::Unpaid, Some("FZM103".into()));
    let closed = rig.tap("2026-11-23T08:30:00", &named);
    assert_eq!(
        (closed.code, closed.amount),
        (Code::JourneyCorrected, Some(Fen(200)))
    );
}

#[test]
fn a_journey_open_in_another_network_is_told_and_stops_no_desk() {
    let (xiamen, ..) = metro("XMMTR", "XMM1", "XMM101", "XMM105");
    let (entry, exit, desk) = metro("FZMTR", "FZM1", "FZM101", "FZM103");
    let mut rig = Rig::transit(SuiteId::Aes);
    assert_eq!(rig.tap("2026-11-23T08:15:00", &xiamen).code, Code::Entered);
    let desk = desk.visit(Area::Paid, Some("FZM101".into()));
    let sellers: [&dyn Seller; 3] = [&entry, &exit, &desk];
    for seller in sellers {
        let result = rig.tap("2026-11-23T12:15:00", seller);
        assert_eq!(result.code, Code::InsideElsewhere, "{result:?}");
    }
}

#[test]
fn who_overstays_pays_the_highest_fare() {
    let (entry, exit, _) = metro("XMMTR", "XMM1", "XMM101", "XMM102");
    let highest = tariffs().metro_highest_fare(&"XMMTR".into()).unwrap();
    for (left, fare) in [
        ("2026-11-23T11:15:00", Fen(200)),
        ("2026-11-23T11:15:01", highest),
    ] {
        let mut rig = Rig::transit(SuiteId::Aes);
        assert_eq!(rig.tap("2026-11-23T08:15:00", &entry).code, Code::Entered);
        let result = rig.tap(left, &exit);
        assert_eq!((result.code, result.amount), (Code::Exited, Some(fare)));
    }
    assert!(highest > Fen(200));
}

/// The sample card allows 500 yuan a day and 200 at once; the device 100 at once.
#[test]
fn the_limits_of_card_and_device_take_nothing() {
    let mut rig = Rig::new(SuiteId::Aes, class::RETAIL);
    let till = |yuan| Till {
        site: site("POS"),
        amount: Fen::yuan(yuan),
        receipt: "R".into(),
    };
    let rich = Sample {
        kind: CardKind::Normal,
        purse: Fen::yuan(900),
        ..Sample::new(SuiteId::Aes, Profile::V3)
    };
    rig.card = rich.card([8; 32]).unwrap();
    let at = "2026-11-23T08:15:00";
    assert_eq!(rig.tap(at, &till(101)).code, Code::OverLimit);
    for _ in 0..5 {
        assert_eq!(rig.tap(at, &till(100)).code, Code::ServicePaid);
    }
    let over = rig.tap(at, &till(1));
    assert_eq!(
        (over.code, over.amount),
        (Code::OverLimit, None),
        "{over:?}"
    );
    assert_eq!(rig.balance(), Fen::yuan(400));
    assert_eq!(rig.purchases()[5].debit, Debit::NotDone);
    let tomorrow = rig.tap("2026-11-24T08:15:00", &till(1));
    assert_eq!(tomorrow.code, Code::ServicePaid);
    // The card's own limit for one debit, on a device that would allow more.
    let mut generous = setup(class::RETAIL);
    generous.per_tap_max = Fen::yuan(500);
    rig.terminal = PurseTerminal::new(generous, journal());
    let at = "2026-11-25T08:15:00";
    assert_eq!(rig.tap(at, &till(201)).code, Code::OverLimit);
    assert!(rig.records().is_empty());
}

/// The debit never happened; the card's answers are changed on their way so that it seems to have. The
/// proof that follows is the card's own, and tells on it.
#[test]
fn a_genuine_card_that_is_said_to_have_paid_opens_nothing() {
    for suite in SuiteId::ALL {
        let mut rig = Rig::transit(suite);
        assert_eq!(
            rig.tap("2026-11-23T07:00:00", &bus("FZB17")).verdict,
            Verdict::Open
        );
        let paid = rig.balance();
        tear(&mut rig, false, "2026-11-23T08:15:00");
        rig.terminal.give_up().unwrap().unwrap();
        let torn = rig.purchases().remove(1);
        let mut inits = 0;
        let result = meddled(&mut rig, "2026-11-23T08:16:00", |command, answer| {
            match command[..2] {
                [0x80, 0x50] if inits == 0 => {
                    inits += 1;
                    answer[..4].copy_from_slice(&torn.balance_after.to_card().unwrap());
                    answer[4..6].copy_from_slice(&(torn.seq + 1).to_be_bytes());
                }
                // The newest journey: this device's, at the torn debit's time.
                [0x00, 0xB2] => {
                    let old = torn_time("2026-11-23T07:00:00");
                    let at = answer.windows(7).position(|w| w == old).unwrap();
                    answer[at..at + 7].copy_from_slice(&torn_time("2026-11-23T08:15:00"));
                }
                [0x80, 0x5A] => *answer = [vec![0xAB; 8], vec![0x90, 0x00]].concat(),
                _ => {}
            }
        });
        assert_eq!(result.code, Code::NotProved, "{suite:?} {result:?}");
        assert_eq!(rig.balance(), paid);
        let done = rig
            .purchases()
            .into_iter()
            .filter(|p| p.amount != Fen::ZERO && tac_is_right(p));
        assert_eq!(done.count(), 1, "{suite:?}");
    }
}

fn torn_time(text: &str) -> [u8; 7] {
    time(text).to_bytes()
}

/// A rider torn off before paying takes another bus at the same fare and comes back: that fare is not
/// this bus's.
#[test]
fn a_fare_paid_to_another_bus_opens_nothing_here() {
    let mut rig = Rig::transit(SuiteId::Aes);
    tear(&mut rig, false, "2026-11-23T08:15:00");
    rig.terminal.give_up().unwrap().unwrap();
    let mut there = site("FZBUS");
    there.device = "0000350100000099".parse().unwrap();
    let other = terminal::device::BusValidator::new(there, tariffs(), "FZB17".into()).unwrap();
    let mut elsewhere = PurseTerminal::new(setup(class::TRANSIT), journal());
    let mut sam = purse_sam(class::TRANSIT);
    let at = time("2026-11-23T08:16:00");
    let sold = elsewhere.tap(&mut rig.card, &mut sam, at, &other);
    assert_eq!((sold.verdict, sold.amount), (Verdict::Open, Some(FARE)));
    let back = rig.tap("2026-11-23T08:30:00", &bus("FZB17"));
    assert_eq!(back.code, Code::PaidTransfer, "{back:?}");
    assert_eq!(rig.balance(), Fen(10_000) - FARE - back.amount.unwrap());
}
