//! Caps: the published katas, service days, weeks, months, rider classes, any order of taps.

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

/// A cap that one device reached ten years ahead ends with the day of the next true tap.
#[test]
fn a_clock_far_ahead_makes_no_free_rides() {
    let set = kata(CLAM_FARES, "", CLAM_CAPS);
    let mut card = Card::new(&set);
    let mut ride = |time| card.ride("A1", "A2", at(time));
    for _ in 0..4 {
        ride("2036-01-01T10:00:00");
    }
    assert_eq!(
        ride("2026-11-23T10:00:00"),
        Fen(0),
        "reached, and this is taken as the same day"
    );
    assert_eq!(ride("2026-11-24T10:00:00"), Fen(250));
    assert_eq!(ride("2026-11-25T10:00:00"), Fen(250));
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
    // A month alone, into the next one and into the same one a year later.
    let caps = "[[cap]]\nid = \"m\"\nzh = \"月\"\nen = \"m\"\ncounter = 2\nmonth = \"4.00\"\n";
    let set = kata(CLAM_FARES, "", caps);
    let mut card = Card::new(&set);
    let mut ride = |time: &str| card.ride("A1", "A2", at(time)).0;
    assert_eq!(ride("2026-11-01T04:30:00"), 250);
    assert_eq!(ride("2026-11-30T10:00:00"), 150);
    assert_eq!(ride("2026-12-01T04:29:59"), 0);
    assert_eq!(ride("2026-12-01T04:30:00"), 250);
    assert_eq!(ride("2027-12-01T10:00:00"), 250);
    assert_eq!(ride("2027-12-02T10:00:00"), 150);
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
            ridden: Ridden::Unknown,
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

#[test]
fn a_rider_class_is_capped_however_it_pays() {
    let cap = "[[cap]]\nid = \"s\"\nzh = \"学生封顶\"\nen = \"s\"\ncounter = 1\nkinds = [\"student\"]\nday = \"3.00\"\n";
    let half = "[[discount]]\nid = \"half\"\nzh = \"半价\"\nen = \"half\"\npay_percent = 50\nkinds = [\"normal\"]\n";
    let set = kata_with(CLAM_FARES, "", cap, half);
    let pays = |rider| {
        let mut state = Some(FareState::new(kata_city()));
        [0; 4].map(|_| {
            let times = (minutes(600), minutes(610));
            let ride = MetroRide {
                operator: "KM".into(),
                state,
                ..metro_ride("A1", "A2", times, rider, None)
            };
            let quote = checked(set.quote_metro(&ride).unwrap());
            state = quote.state;
            quote.amount.0
        })
    };
    // Students ride at the ordinary card's half price, and still at most 3 yuan a day.
    assert_eq!(pays(STUDENT), [125, 125, 50, 0]);
    assert_eq!(pays(NORMAL), [125; 4]);
}

#[test]
fn a_cap_limits_what_is_left_after_the_transfer() {
    let mut texts = texts();
    let text = texts.get_mut("transit/fuzhou/contracts.toml").unwrap();
    *text += "[[cap]]\nid = \"day\"\nzh = \"封顶\"\nen = \"cap\"\ncounter = 1\nday = \"3.00\"\n";
    let set = Tariffs::from_texts(&texts).unwrap();
    let mut state = Some(FareState::new(city("350100")));
    let paid = [600, 620, 640].map(|minute| {
        let ride = BusRide {
            operator: "FZBUS".into(),
            route: "FZB106".into(),
            ridden: Ridden::Unknown,
            at: minutes(minute),
            rider: NORMAL,
            prior: state.unwrap().prior(),
            state,
        };
        let quote = checked(set.quote_bus(&ride).unwrap());
        state = quote.state;
        quote.amount.0
    });
    // 2.00 less 0.50 is above what is left of 3.00.
    assert_eq!(paid, [200, 100, 0]);
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
    /// its period, where a tap whose clock lies behind the last one counts at the last one's time;
    /// by more than a day, and the last clock was wrong: periods begin anew.
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
            let was_wrong = latest > time + 86_400;
            if was_wrong {
                sums.clear();
            }
            latest = if was_wrong { time } else { latest.max(time) };
            // 2026-11-23 is a Monday; 30 November, seven days later, too.
            let day = (i64::from(latest) - 16_200).div_euclid(86_400) + 1;
            let day = u32::try_from(day).unwrap();
            let week = day.div_ceil(7);
            let month = u32::from(day > 8);
            for (period, limit) in [(("day", day), 800), (("week", week), 4700), (("month", month), 16_550)] {
                let sum = sums.entry(period).or_default();
                *sum += paid;
                prop_assert!(*sum <= limit, "{period:?}: {sum}");
            }
        }
    }
}
