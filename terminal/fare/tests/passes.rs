//! Passes, and the records that carry a city's state.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use card_spec::{Fen, purse::files::CardKind, time::CardTime};
use common::*;
use fare::*;
use proptest::prelude::*;

fn fuzhou_bus(route: &str, time: CardTime, rider: Rider, state: FareState) -> Quote {
    let ride = BusRide {
        operator: "FZBUS".into(),
        route: route.into(),
        ridden: Ridden::Unknown,
        at: time,
        rider,
        prior: state.prior(),
        state: Some(state),
    };
    checked(tariffs().quote_bus(&ride).unwrap())
}

fn order(pass: &str, rider: Rider, at: CardTime, state: FareState) -> PassOrder {
    PassOrder {
        city: state.city(),
        pass: pass.to_owned(),
        rider,
        at,
        from: at,
        state,
    }
}

#[test]
fn fuzhou_ride_pass() {
    let fuzhou = FareState::new(city("350100"));
    let sale = tariffs()
        .quote_pass(&order("adult-100", NORMAL, minutes(600), fuzhou))
        .unwrap();
    assert_eq!(sale.quote.amount, Fen::yuan(50));
    let mut state = sale.state;
    for left in (0..100).rev() {
        let quote = fuzhou_bus("FZB106", minutes(700), NORMAL, state);
        assert_eq!((quote.amount, quote.saved()), (Fen::ZERO, Fen(200)));
        assert_eq!(
            quote.others[0].amount,
            Fen(200),
            "what stored value would cost"
        );
        assert_eq!(
            rules(&quote),
            ["fuzhou-bus/FZ-FLAT-2", "fuzhou-contracts/pass/adult-100"]
        );
        state = FareState::from_bytes(&quote.state.unwrap().to_bytes()).unwrap();
        assert_eq!(state.passes().next().unwrap().rides_left, Some(left));
    }
    // Used up: stored value again, and the pass may be bought again.
    assert_eq!(
        fuzhou_bus("FZB106", minutes(700), NORMAL, state).amount,
        Fen(200)
    );
    let again = tariffs().quote_pass(&order("adult-100", NORMAL, minutes(710), state));
    assert_eq!(again.unwrap().state.passes().count(), 1);
    // The month ends with its last service day.
    let pays = |time| fuzhou_bus("FZB106", at(time), NORMAL, sale.state).amount;
    assert_eq!(pays("2026-12-01T04:29:59"), Fen::ZERO);
    assert_eq!(pays("2026-12-01T04:30:00"), Fen(200));
    // Not on lines outside the city; a ride still opens a transfer window.
    assert_eq!(
        fuzhou_bus("FZB39", minutes(700), NORMAL, sale.state).amount,
        Fen(400)
    );
    let ride = fuzhou_bus("FZB17", minutes(700), NORMAL, sale.state);
    let prior = ride.state.unwrap().prior().unwrap();
    assert_eq!((prior.class, prior.at), (LegClass::CityBus, minutes(700)));
}

#[test]
fn passes_are_sold_to_whom_they_are_for_and_never_overwritten() {
    let set = tariffs();
    let fuzhou = FareState::new(city("350100"));
    let now = minutes(600);
    let sell = |pass, rider, state| set.quote_pass(&order(pass, rider, now, state));
    assert_eq!(
        sell("none", NORMAL, fuzhou),
        Err(QuoteError::Pass("none".into()))
    );
    let student = "student-100";
    assert_eq!(
        sell(student, NORMAL, fuzhou),
        Err(QuoteError::PassKind(student.into()))
    );
    let one = sell(student, STUDENT, fuzhou).unwrap();
    assert_eq!(one.quote.amount, Fen::yuan(25));
    assert_eq!(
        sell(student, STUDENT, one.state),
        Err(QuoteError::PassHeld(student.into()))
    );
    // December's pass may be bought in November, beside November's; a third has no place.
    let december = PassOrder {
        from: at("2026-12-05T10:00:00"),
        ..order(student, STUDENT, now, one.state)
    };
    let two = set.quote_pass(&december).unwrap();
    assert_eq!(
        sell("adult-100", STUDENT, two.state),
        Err(QuoteError::PassPlaces)
    );
    let rides = |state: Option<FareState>| -> Vec<_> {
        state
            .unwrap()
            .passes()
            .map(|p| p.rides_left.unwrap())
            .collect()
    };
    let ride = |time| rides(fuzhou_bus("FZB106", at(time), STUDENT, two.state).state);
    assert_eq!(ride("2026-11-30T10:00:00"), [99, 100]);
    assert_eq!(ride("2026-12-01T10:00:00"), [100, 99]);
    assert_eq!(ride("2027-01-01T10:00:00"), [100, 100]);
    // Passes that are over make room.
    let later = order("adult-100", STUDENT, at("2027-01-05T10:00:00"), two.state);
    assert!(set.quote_pass(&later).is_ok());
    // December's alone pays nothing in November.
    let alone = PassOrder {
        state: fuzhou,
        ..december.clone()
    };
    let alone = set.quote_pass(&alone).unwrap().state;
    let november = fuzhou_bus("FZB106", at("2026-11-30T10:00:00"), STUDENT, alone);
    assert_eq!(november.amount, Fen(200));
    let past = PassOrder {
        from: at("2026-10-05T10:00:00"),
        ..december
    };
    assert_eq!(set.quote_pass(&past), Err(QuoteError::TimeOrder));
}

#[test]
fn a_period_pass_goes_first_and_no_ride_is_spent_where_nothing_is_due() {
    let set = tariffs();
    let ride = |rider, state| {
        let ride = BusRide {
            operator: "QZBUS".into(),
            route: "QZB2".into(),
            ridden: Ridden::Unknown,
            at: minutes(600),
            rider,
            prior: None,
            state: Some(state),
        };
        checked(set.quote_bus(&ride).unwrap())
    };
    let buy = |pass, rider, state| {
        let sale = set.quote_pass(&order(pass, rider, minutes(500), state));
        sale.unwrap().state
    };
    let quanzhou = FareState::new(city("350500"));
    let both = buy(
        "student-month",
        STUDENT,
        buy("adult-100", STUDENT, quanzhou),
    );
    let student = ride(STUDENT, both);
    assert_eq!(
        student.steps[1].rule,
        "quanzhou-contracts/pass/student-month"
    );
    assert_eq!(
        student.state.unwrap().passes().next().unwrap().rides_left,
        Some(100)
    );
    assert_eq!(student.others[0].amount, Fen(75));
    // Disabled riders go free: their hundred rides stay whole.
    let disabled = Rider::of_kind(CardKind::Disabled);
    let free = ride(disabled, buy("adult-100", disabled, quanzhou));
    assert_eq!(
        (free.amount, free.steps[1].rule.as_str()),
        (Fen::ZERO, "quanzhou-bus/disabled-free")
    );
    assert_eq!(
        free.state.unwrap().passes().next().unwrap().rides_left,
        Some(100)
    );
    assert_eq!(
        free.others.len(),
        2,
        "the pass and the full fare: {:?}",
        free.others
    );
}

#[test]
fn a_window_is_as_old_as_its_leg_whatever_the_clocks_say() {
    // A device two minutes ahead, then one that is right: the window opened at ten.
    let t0 = 36_000;
    let fuzhou = FareState::new(city("350100"));
    let ahead = fuzhou_bus("FZB39", seconds(t0 + 120), NORMAL, fuzhou)
        .state
        .unwrap();
    let state = fuzhou_bus("FZB17", seconds(t0), NORMAL, ahead)
        .state
        .unwrap();
    assert_eq!(state.prior().unwrap().age_seconds, 120);
    let next = |gap| fuzhou_bus("FZB106", seconds(t0 + gap), NORMAL, state).amount;
    assert_eq!((next(5_400), next(5_401)), (Fen(150), Fen(200)));
}

/// One device whose clock is a year ahead costs its holder no transfer of the year.
#[test]
fn a_clock_far_ahead_spoils_no_later_transfer() {
    let fuzhou = FareState::new(city("350100"));
    let ride = |route, time, state| fuzhou_bus(route, at(time), NORMAL, state);
    let spoilt = ride("FZB17", "2027-11-23T08:00:00", fuzhou).state.unwrap();
    let first = ride("FZB17", "2026-11-24T08:00:00", spoilt);
    let spoilt_second = ride("FZB51", "2026-11-24T08:30:00", first.state.unwrap());
    let first = ride("FZB17", "2026-11-24T08:00:00", fuzhou);
    let second = ride("FZB51", "2026-11-24T08:30:00", first.state.unwrap());
    assert!(second.amount < first.amount);
    assert_eq!(spoilt_second.amount, second.amount);
}

#[test]
fn a_record_holds_four_cities_and_gives_up_no_pass() {
    let pass = |code: &str, with_pass: bool| {
        let mut bytes = FareState::new(city(code)).to_bytes();
        if with_pass {
            // Product 1, valid to 2030, five rides.
            bytes[22..26].copy_from_slice(&[1, 0x2B, 0x2B, 5]);
        }
        FareState::from_bytes(&bytes).unwrap()
    };
    let now = minutes(600);
    let mut record = FareStates::default();
    assert_eq!(record.to_bytes(), [0; 128]);
    for code in ["350100", "350200", "350500", "350600"] {
        assert!(record.put(pass(code, code != "350500"), now));
    }
    record = FareStates::from_bytes(&record.to_bytes());
    // The fifth city takes the place of the one without a pass.
    assert!(record.put(pass("350700", true), now));
    assert_eq!(record.of(city("350500")).passes().count(), 0);
    for kept in ["350100", "350200", "350600", "350700"] {
        assert_eq!(record.of(city(kept)).passes().count(), 1, "{kept}");
    }
    let full = record;
    assert!(!record.put(pass("350800", false), now));
    assert_eq!(record, full);
    assert!(record.put(pass("350800", false), at("2031-01-01T00:00:00")));
}

/// What a device in `at_city` reads, prices with and writes; the card's two records.
#[derive(Default)]
struct Records {
    travel: Vec<u8>,
    record_2: FareStates,
    read_2: usize,
}

impl Records {
    fn tap(&mut self, at_city: &str, change: impl FnOnce(&mut [u8; 32])) -> FareState {
        let travel = Travel::from_bytes(&self.travel);
        let mut record_2 = travel
            .wants_record_2(city(at_city))
            .then_some(self.record_2);
        let state = travel.state(city(at_city), record_2.as_ref()).unwrap();
        let mut bytes = state.to_bytes();
        change(&mut bytes);
        let after = FareState::from_bytes(&bytes).unwrap();
        let mut update = travel.update(record_2.as_ref(), &after, minutes(600));
        if update == Err(TravelError::ReadRecord2) {
            record_2 = Some(self.record_2);
            update = travel.update(record_2.as_ref(), &after, minutes(600));
        }
        self.read_2 += usize::from(record_2.is_some());
        let update = update.unwrap();
        self.travel = update.travel[..usize::from(update.travel[0])].to_vec();
        if let Some(bytes) = update.record_2 {
            self.record_2 = FareStates::from_bytes(&bytes);
        }
        state
    }
}

#[test]
fn the_travel_record_spares_reads_and_loses_nothing() {
    let mut card = Records::default();
    let counter = |n: u8| move |bytes: &mut [u8; 32]| bytes[11] = n;
    assert_eq!(
        card.tap("350100", counter(1)),
        FareState::new(city("350100"))
    );
    assert_eq!(
        card.travel.len(),
        14,
        "length, flags, city, time, one counter"
    );
    assert_eq!(card.tap("350100", counter(2)).counters()[0].day, Fen(1));
    assert_eq!(card.read_2, 0);
    // Another city and back: record 2 keeps the one, the travel record the other.
    assert_eq!(card.tap("350200", counter(7)).counters()[0].day, Fen::ZERO);
    assert_eq!(card.tap("350100", counter(3)).counters()[0].day, Fen(2));
    assert_eq!(card.tap("350200", counter(8)).counters()[0].day, Fen(7));
    assert_eq!(card.read_2, 3);
    // Two counters and two passes have no room in 24 bytes.
    let fill = |bytes: &mut [u8; 32]| bytes[10..30].fill(9);
    assert_eq!(card.tap("350200", fill).counters()[0].day, Fen(8));
    assert_eq!((card.travel.as_slice(), card.read_2), (&[2, 0x80][..], 4));
    let full = card.tap("350200", counter(5));
    assert_eq!(
        (full.counters()[1].month, full.passes().count()),
        (Fen(0x0909), 2)
    );
    assert_eq!(card.tap("350100", counter(4)).counters()[0].day, Fen(3));
    assert_eq!(
        card.tap("350200", counter(6)).counters()[0].day,
        Fen(0x0905)
    );
    assert_eq!(card.tap("350100", counter(5)).counters()[0].day, Fen(4));
    // Other systems' bytes, cut or too long, say nothing.
    let good = card.travel.clone();
    assert!(matches!(Travel::from_bytes(&good), Travel::Here(_)));
    let mut longer = good.clone();
    longer[0] += 1;
    longer.push(0);
    assert_eq!(Travel::from_bytes(&longer), Travel::Nothing);
    for bad in [
        &[][..],
        &[1],
        &[200, 0x40],
        &good[..13],
        &[24; 24],
        &[2, 0xC0],
    ] {
        assert_eq!(Travel::from_bytes(bad), Travel::Nothing, "{bad:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A city's state is read as it was written, through either record.
    #[test]
    fn travel_records_round_trip(bytes: [u8; 32]) {
        let mut ours = bytes;
        [ours[0], ours[1]] = [1, ours[1] % 4];
        let state = FareState::from_bytes(&ours).unwrap();
        let mut card = Records::default();
        card.tap("350100", |bytes| bytes.copy_from_slice(&ours));
        let travel = Travel::from_bytes(&card.travel);
        let expected = FareState::from_bytes(&state.to_bytes());
        prop_assert_eq!(travel.state(state.city(), Some(&card.record_2)), expected);
    }

    /// Whatever stands on a card can be read and written without loss.
    #[test]
    fn states_round_trip(bytes: [u8; 32]) {
        if let Some(state) = FareState::from_bytes(&bytes) {
            let again = FareState::from_bytes(&state.to_bytes());
            prop_assert_eq!(again, Some(state));
            prop_assert!(state.prior().is_none_or(|p| p.city == state.city()));
        }
        let mut ours = bytes;
        ours[0] = 1;
        ours[1] %= 4;
        prop_assert!(FareState::from_bytes(&ours).is_some());
    }
}
