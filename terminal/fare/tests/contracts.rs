//! Caps, passes and the record that carries them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use card_spec::{Fen, purse::files::CardKind, time::CardTime};
use common::*;
use fare::*;
use proptest::prelude::*;

/// Zone fares of the "Clam Card" kata in yuan (github.com/jplebre/KataCollection, ClamCard.md):
/// a journey that touches zone B is one of zone B.
const CLAM_FARES: &str = r#"
{ zones = ["A", "A"], fare = "2.50" }, { zones = ["A", "B"], fare = "3.00" }, { zones = ["B", "B"], fare = "3.00" }"#;
const CLAM_CAPS: &str = r#"
[[cap]]
id = "zone-a"
zh = "A区封顶"
en = "zone A cap"
counter = 1
scope = { zones = ["A"] }
day = "7.00"
week = "40.00"
month = "145.00"
[[cap]]
id = "zone-b"
zh = "B区封顶"
en = "zone B cap"
counter = 2
scope = { operators = ["KM"] }
day = "8.00"
week = "47.00"
month = "165.50"
"#;

/// A card that rides the gate line of the kata city.
struct Card<'a> {
    set: &'a Tariffs,
    state: FareState,
}

impl<'a> Card<'a> {
    fn new(set: &'a Tariffs) -> Self {
        let state = FareState::new(kata_city());
        Self { set, state }
    }

    /// Rides and gives what was paid; the state goes through its 32 bytes.
    fn ride(&mut self, from: &str, to: &str, entered: CardTime) -> Fen {
        let quote = self.quote(from, to, (entered, entered));
        self.state = FareState::from_bytes(&quote.state.unwrap().to_bytes()).unwrap();
        assert_eq!(Some(self.state), quote.state);
        quote.amount
    }

    fn quote(&self, from: &str, to: &str, times: (CardTime, CardTime)) -> Quote {
        let ride = MetroRide {
            operator: "KM".into(),
            state: Some(self.state),
            ..metro_ride(from, to, times, NORMAL, None)
        };
        checked(self.set.quote_metro(&ride).unwrap())
    }
}

#[test]
fn clam_card_daily_caps() {
    let set = kata(CLAM_FARES, "", CLAM_CAPS);
    let ride = |stops: &[&str]| {
        let mut card = Card::new(&set);
        let pairs = stops.windows(2).enumerate();
        pairs
            .map(|(i, pair)| card.ride(pair[0], pair[1], minutes(600 + 30 * i as u32)).0)
            .collect::<Vec<_>>()
    };
    assert_eq!(ride(&["A1", "A2"]), [250]);
    assert_eq!(ride(&["A1", "B2"]), [300]);
    // "including Zone B reaching daily cap": 3.00, 3.00, 2.00, 0.
    assert_eq!(ride(&["A1", "B2", "B1", "B2", "A1"]), [300, 300, 200, 0]);
    // "Zone A reaching daily cap": 2.50, 2.50, 2.00, 0.
    assert_eq!(ride(&["A1", "A2", "A1", "A2", "A1"]), [250, 250, 200, 0]);
}

/// The worked examples of the "TigerCard" exercise (many copies; daily and weekly cap of zones
/// 1 and 1-2). Its amounts are read as yuan, zone 1 is A, zone 2 is B.
#[test]
fn tiger_card_daily_and_weekly_caps() {
    let fares = r#"
        { zones = ["A", "A"], fare = "25.00", peak_fare = "30.00" },
        { zones = ["A", "B"], fare = "30.00", peak_fare = "35.00" },
        { zones = ["B", "B"], fare = "20.00", peak_fare = "25.00" }"#;
    let peak = r#"
        { days = "workdays", from = "07:00", to = "10:30" },
        { days = "workdays", from = "17:00", to = "20:00" },
        { days = "rest-days", from = "09:00", to = "11:00" },
        { days = "rest-days", from = "18:00", to = "22:00" }"#;
    let caps = CLAM_CAPS
        .replace("\"7.00\"", "\"100.00\"")
        .replace("\"40.00\"", "\"500.00\"")
        .replace("\"8.00\"", "\"120.00\"")
        .replace("\"47.00\"", "\"600.00\"")
        .replace("month = \"145.00\"\n", "")
        .replace("month = \"165.50\"\n", "");
    let set = kata(fares, peak, &caps);
    let mut card = Card::new(&set);
    let mut monday =
        |from, to, time: &str| card.ride(from, to, at(&format!("2026-11-23T{time}:00")));
    assert_eq!(monday("B1", "A1", "10:20"), Fen::yuan(35));
    assert_eq!(monday("A1", "A2", "10:45"), Fen::yuan(25));
    assert_eq!(monday("A2", "A1", "16:15"), Fen::yuan(25));
    assert_eq!(monday("A1", "A2", "18:15"), Fen::yuan(30));
    assert_eq!(monday("A1", "B1", "19:00"), Fen::yuan(5));
    // Monday to Friday 120 a day, on Saturday the week's 600 are reached, on Monday it begins anew.
    let mut card = Card::new(&set);
    for day in 0..7 {
        let paid: Fen = (0..5)
            .map(|hour| card.ride("A1", "B1", minutes(day * 1440 + 600 + hour * 60)))
            .sum();
        let expected = if day < 5 { Fen::yuan(120) } else { Fen::ZERO };
        assert_eq!(paid, expected, "day {day}");
    }
    assert_eq!(
        card.ride("A1", "B1", minutes(7 * 1440 + 660)),
        Fen::yuan(30)
    );
}

#[test]
fn service_days_begin_at_half_past_four() {
    let set = kata(CLAM_FARES, "", CLAM_CAPS);
    let mut card = Card::new(&set);
    for _ in 0..3 {
        card.ride("A1", "A2", at("2026-11-23T23:00:00"));
    }
    let mut late = |time: &str| card.ride("A1", "A2", at(time));
    assert_eq!(late("2026-11-24T04:29:59"), Fen::ZERO);
    assert_eq!(late("2026-11-24T04:30:00"), Fen(250));
    // A device whose clock is behind counts into the day that has begun.
    assert_eq!(late("2026-11-24T04:29:00"), Fen(250));
    assert_eq!(late("2026-11-24T05:00:00"), Fen(200));
    // A journey counts on the day it began on; the next day is untouched by it.
    let mut card = Card::new(&set);
    let over = (at("2026-11-24T04:20:00"), at("2026-11-24T04:50:00"));
    card.state = card.quote("A1", "A2", over).state.unwrap();
    let paid: Fen = (0..4)
        .map(|i| card.ride("A1", "A2", minutes(1440 + 300 + i)))
        .sum();
    assert_eq!(paid, Fen::yuan(7));
}

#[test]
fn weeks_begin_on_monday_and_months_on_the_first() {
    let caps = CLAM_CAPS
        .replace("day = \"7.00\"\n", "")
        .replace("day = \"8.00\"\n", "");
    let set = kata(CLAM_FARES, "", &caps);
    let mut card = Card::new(&set);
    // A Sunday, 22 November 2026: 16 rides reach the week's 40 yuan exactly.
    let sunday: Fen = (0..20)
        .map(|i| card.ride("A1", "A2", at(&format!("2026-11-22T10:{:02}:00", i))))
        .sum();
    assert_eq!(sunday, Fen::yuan(40));
    assert_eq!(card.ride("A1", "A2", at("2026-11-23T04:29:59")), Fen::ZERO);
    assert_eq!(card.ride("A1", "A2", at("2026-11-23T04:30:00")), Fen(250));
    // The month: 40 + 40 of the next week, then the week from the 30th has one day in November.
    let mut week = |day: &str| -> Fen {
        (0..20)
            .map(|i| card.ride("A1", "A2", at(&format!("2026-{day}T10:{i:02}:00"))))
            .sum()
    };
    assert_eq!(week("11-24"), Fen(3750));
    assert_eq!(week("11-30"), Fen::yuan(40));
    assert_eq!(
        week("12-01"),
        Fen::ZERO,
        "the week's cap outlasts the month"
    );
    assert_eq!(week("12-07"), Fen::yuan(40));
}

#[test]
fn caps_by_rider_class_and_the_quote_says_which() {
    let caps = r#"
[[cap]]
id = "all"
zh = "全日封顶"
en = "daily cap"
counter = 1
day = "6.00"
[[cap]]
id = "student"
zh = "学生全日封顶"
en = "student daily cap"
counter = 1
kinds = ["student"]
day = "3.00"
"#;
    let set = kata(CLAM_FARES, "", caps);
    let ride = |kind, state| {
        let ride = BusRide {
            operator: "KB".into(),
            route: "KB1".into(),
            from_stop: None,
            to_stop: None,
            at: minutes(600),
            rider: Rider::of_kind(kind),
            prior: None,
            state,
        };
        checked(set.quote_bus(&ride).unwrap())
    };
    let new = Some(FareState::new(kata_city()));
    let first = ride(CardKind::Student, new);
    let second = ride(CardKind::Student, first.state);
    assert_eq!((first.amount, second.amount), (Fen(200), Fen(100)));
    assert_eq!(rules(&second), ["kb/F", "kc/cap/student/day"]);
    assert_eq!(second.saved(), Fen(100));
    assert_eq!(second.also[0].id.as_str(), "kc");
    let third = ride(CardKind::Elderly, second.state);
    assert_eq!(third.amount, Fen(200), "3 of the ordinary 6 are paid");
    // A card whose record was not read, or is another city's, is not capped.
    assert_eq!(ride(CardKind::Student, None).state, None);
    let elsewhere = FareState::new(city("350100"));
    assert_eq!(ride(CardKind::Student, Some(elsewhere)).state, None);
}

fn fuzhou_bus(route: &str, time: CardTime, rider: Rider, state: FareState) -> Quote {
    let ride = BusRide {
        operator: "FZBUS".into(),
        route: route.into(),
        from_stop: None,
        to_stop: None,
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
            from_stop: None,
            to_stop: None,
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

#[test]
fn contradictory_contracts_are_refused() {
    for (from, to, says) in [
        ("counter = 2", "counter = 3", "counter must be 1 or 2"),
        ("counter = 2", "counter = 1", "one scope"),
        ("\"165.50\"", "\"655.36\"", "up to 655.35"),
        (
            "day = \"8.00\"\nweek = \"47.00\"\nmonth = \"165.50\"",
            "",
            "needs a limit",
        ),
    ] {
        let caps = CLAM_CAPS.replace(from, to);
        let error = std::panic::catch_unwind(|| kata(CLAM_FARES, "", &caps)).unwrap_err();
        let error = error.downcast_ref::<String>().unwrap();
        assert!(error.contains(says), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Taps in any order, over two weeks and the end of a month: nobody pays more than a cap in
    /// its period, where a tap whose clock lies behind the last one counts at the last one's time.
    #[test]
    fn no_order_of_taps_pays_above_a_cap(
        taps in prop::collection::vec((0u32..14 * 86_400, 0usize..4, 0usize..4), 1..120)
    ) {
        let set = kata(CLAM_FARES, "", CLAM_CAPS);
        let stops = ["A1", "A2", "B1", "B2"];
        let mut card = Card::new(&set);
        let mut latest = 0;
        let mut sums = std::collections::BTreeMap::<(&str, u32), i64>::new();
        for (time, from, to) in taps {
            let paid = card.ride(stops[from], stops[to], seconds(time)).0;
            prop_assert!((0..=300).contains(&paid));
            latest = latest.max(time);
            // 2026-11-23 is a Monday; 30 November, seven days later, too.
            let day = (i64::from(latest) - 16_200).div_euclid(86_400) + 1;
            let day = u32::try_from(day).unwrap();
            let week = (day + 6) / 7;
            let month = u32::from(day > 8);
            for (period, limit) in [(("day", day), 800), (("week", week), 4700), (("month", month), 16_550)] {
                let sum = sums.entry(period).or_default();
                *sum += paid;
                prop_assert!(*sum <= limit, "{period:?}: {sum}");
            }
        }
    }

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
