//! Top-up, proof of life, hospital visit.

use card_spec::{
    Fen, SuiteId,
    keys::{KeyHeader, KeyType, ssse_kid, ssse_process_key},
    ssse::Profile,
};
use clearing_api::record::{Debit, Event, presence_challenge};
use terminal::{Code, SamUnit, Verdict};
use virtual_card::{
    VirtualCard,
    sample::{self, Sample},
};

use crate::{
    common::{
        balance,
        issuer::{Issuer, kiosk, pos, top_up},
        site, social_sam, time,
        ward::{AT, Ward, pin, randoms},
    },
    meddle::{Exchange, Hit, Side, Wire, every_answer},
};

/// A card, or a social-security SAM, as it came from its maker.
fn fresh(make: impl Fn() -> VirtualCard) -> impl Fn() -> Wire {
    let image = make().image().to_vec();
    move || Wire::new(VirtualCard::from_image(image.clone(), [7; 32]).unwrap())
}

fn full_card() -> VirtualCard {
    let sample = Sample::new(SuiteId::Aes, Profile::V3);
    sample.card([5; 32]).unwrap()
}

fn stopped_by_card(verdict: Verdict, hit: Option<&Hit>) -> bool {
    verdict == Verdict::OutOfService && hit.is_some_and(|hit| hit.side == Side::Card)
}

/// A top-up of 50 yuan: on the card once for one payment, and confirmed in the end.
#[test]
fn a_top_up() {
    let new_card = fresh(full_card);
    let play = |hit: Option<&Hit>, what: &str| -> [Vec<Exchange>; 2] {
        let (mut card, mut pos, mut issuer) = (new_card(), pos(), Issuer::new());
        let before = card.with(balance);
        card.with(VirtualCard::power_cycle);
        card.arm(Side::Card, hit);
        let result = top_up(&mut pos, &mut card, 50, sample::PIN, &mut issuer);
        let log = card.disarm();
        let gained = card.with(balance) - before;
        let open = pos.journal().open_loads().count();
        if result.verdict == Verdict::Open {
            assert_eq!(gained, Fen::yuan(50), "{what}: {result:?}");
            return [log, Vec::new()];
        }
        assert!(hit.is_some(), "{what}: {result:?}");
        assert!(!stopped_by_card(result.verdict, hit), "{what}: {result:?}");
        assert!(
            gained == Fen::ZERO || open == 1,
            "{what}: {gained} forgotten: {result:?}"
        );
        card.with(VirtualCard::power_cycle);
        let again = top_up(&mut pos, &mut card, 50, sample::PIN, &mut issuer);
        assert_eq!(again.code, Code::ToppedUp, "{what}: {result:?} {again:?}");
        let gained = card.with(balance) - before;
        assert_eq!(gained, Fen::yuan(50), "{what}: once: {result:?} {again:?}");
        assert_eq!(issuer.confirmed.len(), 1, "{what}");
        assert_eq!(pos.journal().open_loads().count(), 0, "{what}");
        [log, Vec::new()]
    };
    assert!(every_answer("top-up", 1, play) > 300);
}

/// A proof of life: recorded only with the cryptogram that the card's own key makes.
#[test]
fn a_proof_of_life() {
    let (new_card, new_sam) = (fresh(full_card), fresh(|| social_sam().into_channel()));
    let header = KeyHeader {
        key_type: KeyType::Irk,
        index: ssse_kid::INTERNAL,
        version: 1,
        suite: SuiteId::Aes,
    };
    let challenge = presence_challenge(site("").device, 1, time(AT));
    let process = ssse_process_key(&sample::card_key(header).unwrap(), SuiteId::Aes, &challenge);
    let right = process.cryptogram8(SuiteId::Aes, &challenge);
    let play = |hit: Option<&Hit>, what: &str| -> [Vec<Exchange>; 2] {
        let (mut card, sam_wire) = (new_card(), new_sam());
        let mut sam = SamUnit::open_social_security(sam_wire.clone()).unwrap();
        let mut kiosk = kiosk();
        card.arm(Side::Card, hit);
        sam_wire.arm(Side::Sam, hit);
        let pin = pin(sample::PIN);
        let mut result = kiosk.proof_of_life(&mut card, &mut sam, pin, time(AT), randoms());
        let logs = [card.disarm(), sam_wire.disarm()];
        if result.verdict != Verdict::Open {
            assert!(hit.is_some(), "{what}: {result:?}");
            assert!(!stopped_by_card(result.verdict, hit), "{what}: {result:?}");
            assert_eq!(kiosk.journal().waiting().len(), 0, "{what}: {result:?}");
            card.with(VirtualCard::power_cycle);
            let mut sam = SamUnit::open_social_security(sam_wire).unwrap();
            let first = result;
            result = kiosk.proof_of_life(&mut card, &mut sam, pin, time(AT), randoms());
            assert_eq!(
                result.code,
                Code::PresenceProved,
                "{what}: {first:?} {result:?}"
            );
        }
        let records: Vec<_> = kiosk.journal().waiting().map(|r| &r.event).collect();
        match records[..] {
            [Event::ProofOfLife(proof)] => assert_eq!(proof.cryptogram, right, "{what}"),
            ref other => panic!("{what}: {other:?}"),
        }
        logs
    };
    assert!(every_answer("proof of life", 2, play) > 600);
}

/// What visits took for certain, and what they may have.
fn books(ward: &Ward<Wire>) -> (Fen, Fen) {
    let journal = ward.window.journal();
    let mut books = (Fen::ZERO, Fen::ZERO);
    for record in journal.waiting().chain(journal.pending()) {
        if let Event::Visit(visit) = &record.event {
            match visit.debit {
                Debit::Done { .. } => books.0 += visit.split.personal,
                Debit::Unknown => books.1 += visit.split.personal,
                Debit::NotDone => {}
            }
        }
    }
    books
}

/// A visit: a settlement stands with its debit, or both are gone; a bill is debited once.
#[test]
fn a_hospital_visit() {
    let (new_card, new_sam) = (fresh(full_card), fresh(|| social_sam().into_channel()));
    let play = |hit: Option<&Hit>, what: &str| -> [Vec<Exchange>; 2] {
        let (card, sam_wire) = (new_card(), new_sam());
        let sam = SamUnit::open_social_security(sam_wire.clone()).unwrap();
        let mut ward = Ward::of(card.clone(), sam);
        card.arm(Side::Card, hit);
        sam_wire.arm(Side::Sam, hit);
        let mut quoted = ward.quote();
        let settled = quoted.as_mut().ok().map(|q| ward.settle(q, sample::PIN));
        let logs = [card.disarm(), sam_wire.disarm()];
        let (result, slip) = match (&quoted, &settled) {
            (Err(refused), _) => ((**refused).clone(), None),
            (Ok(_), Some(settled)) => (settled.result.clone(), settled.slip.clone()),
            (Ok(_), None) => unreachable!(),
        };
        let judge = |ward: &mut Ward<Wire>, what: &str| {
            card.with(VirtualCard::power_cycle);
            let lost = Fen::yuan(500) - ward.balance();
            card.with(VirtualCard::power_cycle);
            let (done, open) = books(ward);
            assert!(
                done <= lost && lost <= done + open,
                "{what}: {lost} {done} {open}"
            );
            lost
        };
        let lost = judge(&mut ward, what);
        let reversed = ward.platform.infnos().contains(&"2208");
        assert!(!reversed || lost == Fen::ZERO, "{what}: reversed and paid");
        assert!(!stopped_by_card(result.verdict, hit), "{what}: {result:?}");
        if result.verdict == Verdict::Open {
            assert_eq!((lost, books(&ward).0), (Fen(452), Fen(452)), "{what}");
            assert!(slip.is_some(), "{what}");
            return logs;
        }
        assert!(hit.is_some(), "{what}: {result:?}");
        ward.sam = SamUnit::open_social_security(sam_wire).unwrap();
        if ward.window.is_waiting() {
            let (card, sam) = (&mut ward.card, &mut ward.sam);
            let back = ward.window.resume(card, sam, pin(sample::PIN), time(AT));
            // A card that lied about its sequence is not believed later either.
            let lied = logs[0].iter().zip(0..).any(|((command, _), n)| {
                command.starts_with(&[0xB0, 0x28]) && hit.is_some_and(|hit| hit.nth == n)
            });
            if lost == Fen::ZERO && !lied {
                assert_eq!(back.code, Code::Settled, "{what}: {result:?} {back:?}");
                assert_eq!(judge(&mut ward, what), Fen(452), "{what}: once");
            } else {
                assert_eq!(back.code, Code::NotProved, "{what}: {result:?} {back:?}");
                assert_eq!(judge(&mut ward, what), lost, "{what}: once");
            }
            return logs;
        }
        // The same bill again, then a new one: neither takes twice what is owed once.
        let mut once = lost;
        if let Ok(quoted) = &mut quoted {
            let same = ward.settle(quoted, sample::PIN);
            if same.result.verdict == Verdict::Open {
                assert_eq!(lost, Fen::ZERO, "{what}: a bill was taken twice");
                once = Fen(452);
            }
            assert_eq!(
                judge(&mut ward, what),
                once,
                "{what}: {result:?} {:?}",
                same.result
            );
        }
        let mut next = ward
            .quote()
            .unwrap_or_else(|r| panic!("{what}: {result:?} {r:?}"));
        let next = ward.settle(&mut next, sample::PIN);
        assert_eq!(
            next.result.code,
            Code::Settled,
            "{what}: {result:?} {:?}",
            next.result
        );
        assert_eq!(judge(&mut ward, what), once + Fen(452), "{what}");
        logs
    };
    assert!(every_answer("visit", 3, play) > 900);
}
