//! The AES suite's journey context end to end, card and SAM with a relay between card and gate.
//!
//! H0 binds what the terminal read (FCI and record 1A), H1 what it wrote. Whatever a relay changes
//! breaks MAC1 (the card does not pay), MAC2 (the gate does not open) or, when the terminal itself
//! claims another journey later, the TAC. PBOC's formulas, in the SM4 and 3DES suites, cover none of
//! it: the same attacks go through there, and the same table says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId, Sw, apdu,
    keys::{KeyType, class},
    purse::{self, Debited, PurchaseInit, mac, sfi},
    sam,
};
use common::{Tap, ask, card, put, sam_for, select_purse, send};
use virtual_card::{VirtualCard, host, sample};

/// UPDATE CAPP DATA CACHE: P1, P2, data.
type Update = (u8, u8, Vec<u8>);

const METRO: u8 = sfi::METRO << 3;
const JOURNEY: u8 = sfi::JOURNEY << 3;

fn metro(number: u8, fill: u8) -> Update {
    (number, METRO, vec![fill; 128])
}

fn journey(fill: u8) -> Update {
    (0, JOURNEY, vec![fill; 48])
}

/// One exit, as the gate sees it and as it is.
struct Exit {
    /// What the gate was told of the card.
    fci: Vec<u8>,
    records: [Vec<u8>; 2],
    /// What it writes, and what reaches the card before and after MAC1 was made.
    written: Vec<Update>,
    arrives: Vec<Update>,
    arrives_late: Vec<Update>,
    /// What the terminal's operator tells the clearing house.
    claimed: Vec<Update>,
}

/// Where a change is noticed.
#[derive(Debug, PartialEq, Eq)]
enum Caught {
    Card,
    Sam,
    ClearingHouse,
    Nobody,
}

/// Entry at station E1 (record 1A), recorded in the journey file; then the updates that it sent.
fn entry(card: &mut VirtualCard, sam: &mut VirtualCard) -> Vec<Update> {
    let updates = vec![metro(1, 0xE1), journey(0xE1)];
    let tap = Tap {
        capp: true,
        ..Tap::new(Fen::ZERO)
    };
    let init = tap.init(card).unwrap();
    let blank = [vec![0; 128], vec![0; 128]];
    let context = context(&tap.fci(card), &blank, &updates);
    for update in &updates {
        send_update(card, update);
    }
    let mac1 = tap.mac1(card, sam, &init, context);
    let debit = purse::debit(mac1.terminal_seq, tap.time, mac1.mac1);
    let debited = Debited::from_debit(&ask(card, &debit)).unwrap();
    put(sam, &sam::credit(debited.mac2));
    updates
}

fn send_update(card: &mut VirtualCard, (p1, p2, data): &Update) {
    put(card, &apdu::build(0x80, 0xDC, *p1, *p2, data, None));
}

/// What a gate that was told this computes.
fn context(fci: &[u8], records: &[Vec<u8>; 2], updates: &[Update]) -> mac::Context {
    let mut builder = mac::ContextBuilder::new(fci);
    for (p1, p2, data) in updates {
        if *p2 == METRO {
            builder.read_1a(&records[usize::from(*p1) - 1]);
        }
        builder.update(*p1, *p2, data);
    }
    builder.finish()
}

/// What anybody reads of the card: balance, metro records, newest journey.
fn seen(card: &mut VirtualCard) -> Vec<Vec<u8>> {
    let mut seen = vec![ask(card, &purse::get_balance())];
    for (file, number) in [(sfi::METRO, 1), (sfi::METRO, 2), (sfi::JOURNEY, 1)] {
        seen.push(ask(card, &apdu::read_record(file, number, 0)));
    }
    seen
}

fn try_exit(suite: SuiteId, attack: &dyn Fn(&mut Exit, &[Update])) -> Caught {
    let (mut card, mut sam) = (card(suite), sam_for(class::TRANSIT));
    select_purse(&mut card);
    let old = entry(&mut card, &mut sam);
    let tap = Tap {
        capp: true,
        ..Tap::new(Fen(300))
    };
    let fci = tap.fci(&card);
    let written = vec![metro(1, 0xA1), journey(0xA1)];
    let mut exit = Exit {
        fci,
        records: [vec![0xE1; 128], vec![0; 128]],
        arrives: written.clone(),
        arrives_late: Vec::new(),
        claimed: written.clone(),
        written,
    };
    attack(&mut exit, &old);

    let before = seen(&mut card);
    let init: PurchaseInit = tap.init(&mut card).unwrap();
    for update in &exit.arrives {
        send_update(&mut card, update);
    }
    let context = context(&exit.fci, &exit.records, &exit.written);
    let mac1 = tap.mac1(&mut card, &mut sam, &init, context);
    for update in &exit.arrives_late {
        send_update(&mut card, update);
    }
    let debit = purse::debit(mac1.terminal_seq, tap.time, mac1.mac1);
    let reply = send(&mut card, &debit);
    if !reply.sw.is_ok() {
        assert_eq!(reply.sw, Sw::MAC_WRONG);
        assert!(
            seen(&mut card) == before,
            "a refused DEBIT changed the card"
        );
        return Caught::Card;
    }
    let debited = Debited::from_debit(&reply.data).unwrap();
    let credit = send(&mut sam, &sam::credit(debited.mac2));
    if !credit.sw.is_ok() {
        assert_eq!(credit.sw, Sw::MAC_WRONG);
        return Caught::Sam;
    }
    let claimed = mac::Purchase {
        amount: tap.amount,
        tx: tap.tx(),
        terminal: common::sam_no(),
        terminal_seq: mac1.terminal_seq,
        time: tap.time,
        seq: init.seq,
        rnd: init.rnd,
        context: self::context(&exit.fci, &exit.records, &exit.claimed),
    };
    let dtk = sample::card_key(sample::header(KeyType::Dtk, class::ONLY, suite)).unwrap();
    let after = host::balance(&mut card).unwrap();
    if claimed.tac(suite, &dtk, after) == debited.tac {
        Caught::Nobody
    } else {
        Caught::ClearingHouse
    }
}

/// Every change of every part, and where each suite notices it.
#[test]
fn every_change_is_caught_in_the_aes_suite_and_none_in_pbocs() {
    type Attack = (&'static str, Caught, fn(&mut Exit, &[Update]));
    let attacks: [Attack; 13] = [
        ("nothing changed", Caught::Nobody, |_, _| {}),
        // The fare is less from a nearer station.
        ("moved entry station", Caught::Sam, |exit, _| {
            exit.records[0] = vec![0xE2; 128];
        }),
        ("one bit of the entry", Caught::Sam, |exit, _| {
            exit.records[0][127] ^= 1;
        }),
        // Somebody's student concession.
        ("another card's FCI", Caught::Sam, |exit, _| {
            exit.fci[40] ^= 1;
        }),
        ("record 1A exchanged", Caught::Card, |exit, _| {
            exit.arrives[0] = metro(1, 0xA2);
        }),
        ("into the other record", Caught::Card, |exit, _| {
            exit.arrives[0].0 = 2;
        }),
        ("record 1E exchanged", Caught::Card, |exit, _| {
            exit.arrives[1] = journey(0xA2);
        }),
        ("the entry's cache replayed", Caught::Card, |exit, old| {
            exit.arrives = old.to_vec();
        }),
        ("an update left out", Caught::Card, |exit, _| {
            exit.arrives.truncate(1);
        }),
        ("updates turned round", Caught::Card, |exit, _| {
            exit.arrives.reverse();
        }),
        ("another 1E after MAC1", Caught::Card, |exit, _| {
            exit.arrives_late = vec![journey(0xA2)];
        }),
        ("1A only after MAC1", Caught::Card, |exit, _| {
            exit.arrives.remove(0);
            exit.arrives_late = vec![metro(1, 0xA2)];
        }),
        (
            "another journey claimed",
            Caught::ClearingHouse,
            |exit, _| {
                exit.claimed[1] = journey(0xA2);
            },
        ),
    ];
    for (name, expected, attack) in attacks {
        assert_eq!(try_exit(SuiteId::Aes, &attack), expected, "{name}");
        for suite in [SuiteId::Sm4, SuiteId::Tdes] {
            assert_eq!(
                try_exit(suite, &attack),
                Caught::Nobody,
                "{suite:?}: {name}"
            );
        }
    }
}

/// Only what is updated is bound: a gate that writes no 1A need not have read it.
#[test]
fn a_record_that_is_not_updated_need_not_be_read() {
    let unread: fn(&mut Exit, &[Update]) = |exit, _| {
        exit.records = [vec![0xFF; 128], vec![0xFF; 128]];
        for updates in [&mut exit.written, &mut exit.arrives, &mut exit.claimed] {
            updates.remove(0);
        }
    };
    assert_eq!(try_exit(SuiteId::Aes, &unread), Caught::Nobody);
}

/// A whole exit recorded at the gate and played again: the card's number is another.
#[test]
fn a_recorded_tap_is_nothing_to_the_next_transaction() {
    for suite in SuiteId::ALL {
        let (mut card, mut sam) = (card(suite), sam_for(class::TRANSIT));
        select_purse(&mut card);
        let tap = Tap {
            capp: true,
            ..Tap::new(Fen(300))
        };
        let fci = tap.fci(&card);
        let updates = vec![journey(0xA1)];
        let context = context(&fci, &[Vec::new(), Vec::new()], &updates);
        let mut recorded = Vec::new();
        for round in 0..2 {
            let init = tap.init(&mut card).unwrap();
            send_update(&mut card, &updates[0]);
            if round == 1 {
                assert_eq!(send(&mut card, &recorded).sw, Sw::MAC_WRONG, "{suite:?}");
                continue;
            }
            let mac1 = tap.mac1(&mut card, &mut sam, &init, context);
            recorded = purse::debit(mac1.terminal_seq, tap.time, mac1.mac1).to_vec();
            put(&mut card, &recorded);
            assert_eq!(send(&mut card, &recorded).sw, Sw::CONDITIONS);
        }
        assert_eq!(host::balance(&mut card).unwrap(), Fen(9_700));
    }
}
