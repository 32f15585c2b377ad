//! What holds for every ride and every stay.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use card_spec::{Fen, purse::files::CardKind};
use common::*;
use fare::*;
use proptest::prelude::*;

fn rider() -> impl Strategy<Value = Rider> {
    let kind = prop::sample::select(vec![
        CardKind::Normal,
        CardKind::Student,
        CardKind::Elderly,
        CardKind::Test,
        CardKind::Military,
        CardKind::Disabled,
    ]);
    (kind, prop::option::of(0u8..110)).prop_map(|(kind, age)| Rider { kind, age })
}

fn prior(region: &'static str) -> impl Strategy<Value = Option<PriorLeg>> {
    let class = prop::sample::select(vec![LegClass::CityBus, LegClass::Metro, LegClass::Brt]);
    prop::option::of(
        (class, 0u32..86_400)
            .prop_map(move |(class, s)| PriorLeg::new(class, city(region), seconds(s))),
    )
}

fn stations(operator: &str) -> Vec<String> {
    let stops = tariffs().stations(&operator.into());
    stops.iter().map(|s| s.id.to_string()).collect()
}

/// A ride on one of the two metros.
fn metro_rides() -> impl Strategy<Value = MetroRide> {
    let network = |operator, region| {
        let stops = stations(operator);
        (
            prop::sample::select(stops.clone()),
            prop::sample::select(stops),
            0u32..86_400,
            0u32..20_000,
            rider(),
            prior(region),
        )
            .prop_map(move |(a, b, start, stay, rider, prior)| MetroRide {
                operator: operator.into(),
                ..metro_ride(
                    &a,
                    &b,
                    (seconds(start), seconds(start + stay)),
                    rider,
                    prior,
                )
            })
    };
    prop_oneof![
        network("FZMTR", "350100"),
        network("XMMTR", "350200"),
        network("XMBRT", "350200")
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn metro_never_costs_more_than_the_entry_held(ride in metro_rides()) {
        let quote = checked(tariffs().quote_metro(&ride).unwrap());
        let terms = tariffs().metro_entry(&MetroEntry {
            operator: ride.operator.clone(),
            stop: ride.from_stop.clone(),
            at: ride.entered_at,
            rider: ride.rider,
            prior: ride.prior,
            state: None,
        }).unwrap();
        prop_assert!(quote.amount <= terms.maximum);
        if ride.operator.as_str() == "XMBRT" {
            prop_assert_eq!(terms.least, terms.maximum, "held whole at entry");
        } else {
            prop_assert!(quote.amount >= terms.least);
        }
        prop_assert!(terms.maximum <= tariffs().metro_highest_fare(&ride.operator).unwrap());
        prop_assert!(quote.amount <= quote.base);
    }

    #[test]
    fn a_concession_or_a_transfer_never_raises_the_price(ride in metro_rides()) {
        let quote = tariffs().quote_metro(&ride).unwrap();
        let plain = MetroRide { rider: NORMAL, ..ride.clone() };
        prop_assert!(quote.amount <= tariffs().quote_metro(&plain).unwrap().amount);
        let unlinked = MetroRide { prior: None, ..ride };
        prop_assert!(quote.amount <= tariffs().quote_metro(&unlinked).unwrap().amount);
    }

    #[test]
    fn bus_concessions_and_transfers_never_raise_the_price(
        route in prop::sample::select(vec!["FZB5", "FZB17", "FZB106", "FZB39", "XMB1", "XMB954"]),
        start in 0u32..86_400,
        rider in rider(),
        fuzhou in prior("350100"),
        xiamen in prior("350200"),
    ) {
        let open = if route.starts_with("FZ") { fuzhou } else { xiamen };
        let quote = bus(route, seconds(start), rider, open);
        prop_assert!(quote.amount <= quote.base);
        prop_assert!(quote.amount <= bus(route, seconds(start), NORMAL, open).amount);
        prop_assert!(quote.amount <= bus(route, seconds(start), rider, None).amount);
    }

    #[test]
    fn distance_is_monotone(a in 0u32..200_000, b in 0u32..200_000) {
        for operator in ["FZMTR", "XMMTR", "XMBRT"] {
            let fare = |m| tariffs().metro_distance_fare(&operator.into(), m).unwrap();
            prop_assert!(fare(a.min(b)) <= fare(a.max(b)));
        }
        prop_assert!(taxi(a.min(b), 0, minutes(600)).amount <= taxi(a.max(b), 0, minutes(600)).amount);
    }

    /// A second leg inside the window costs what it costs alone less what the rule takes off, and
    /// not less than nothing; outside it, or where no rule is, what it costs alone. The rules stand
    /// here again, from the cities' notices.
    #[test]
    fn a_split_journey_costs_what_the_rule_says(
        first in prop::sample::select(vec![LegClass::CityBus, LegClass::Metro, LegClass::Brt]),
        second in prop::sample::select(vec!["FZB17", "FZB106", "FZB39", "FZMTR", "XMB21", "XMB954", "XMMTR", "XMBRT"]),
        gap in prop_oneof![0u32..8_000, Just(179), Just(180), Just(3_600), Just(3_601), Just(5_400), Just(5_401)],
        kind in prop::sample::select(vec![CardKind::Normal, CardKind::Student]),
    ) {
        use LegClass::{Brt, CityBus, Metro};
        let fuzhou = second.starts_with("FZ");
        let region = if fuzhou { "350100" } else { "350200" };
        let t0 = 36_000;
        let prior = Some(PriorLeg::new(first, city(region), seconds(t0)));
        let rider = Rider::of_kind(kind);
        let times = (seconds(t0 + gap), seconds(t0 + gap + 600));
        let leg = |prior| match second {
            "FZMTR" => metro("FZM101", "FZM106", times, rider, prior),
            "XMMTR" => metro("XMM101", "XMM103", times, rider, prior),
            "XMBRT" => {
                let ride = metro_ride("XMR01", "XMR08", times, rider, prior);
                checked(tariffs().quote_metro(&MetroRide { operator: "XMBRT".into(), ..ride }).unwrap())
            }
            route => bus(route, times.0, rider, prior),
        };
        let to = match second {
            "FZMTR" | "XMMTR" => Metro,
            "XMBRT" => Brt,
            _ => CityBus,
        };
        let off = match (fuzhou, first, to) {
            _ if second == "FZB39" => 0,
            (true, CityBus, Metro) => 100,
            (true, CityBus | Metro, CityBus) => 50,
            (true, ..) | (false, Metro, Metro) | (false, Brt, Brt) => 0,
            // A student without a student fare rides as an ordinary cardholder.
            (false, ..) if kind == CardKind::Student && to == CityBus => 50,
            (false, ..) => 80,
        };
        let inside = if fuzhou { (180..=5_400).contains(&gap) } else { gap <= 3_600 };
        let alone = leg(None).amount;
        let expected = if inside { (alone - Fen(off)).max(Fen::ZERO) } else { alone };
        prop_assert_eq!(leg(prior).amount, expected);
    }

    /// Another discount on the tariff never raises a price, nor does another counter on the card.
    #[test]
    fn adding_a_concession_never_raises_the_price(
        percent in 0u8..=100,
        kinds in prop::sample::subsequence(vec!["normal", "student", "elderly", "disabled"], 0..4),
        min_age in prop::option::of(0u8..100),
        peak: bool,
        rider in rider(),
        ride in (0usize..4, 0usize..4, 0u32..86_400),
    ) {
        let fares = r#"{ zones = ["A", "A"], fare = "2.50", peak_fare = "3.00" },
            { zones = ["A", "B"], fare = "3.30" }, { zones = ["B", "B"], fare = "1.05" }"#;
        let window = r#"{ days = "all", from = "07:00", to = "19:00" }"#;
        let one = "[[discount]]\nid = \"one\"\nzh = \"一\"\nen = \"one\"\npay_percent = 80\nkinds = [\"student\"]\n";
        let age = min_age.map_or(String::new(), |age| format!("min_age = {age}\n"));
        let when = if peak { format!("except = [{window}]\n") } else { String::new() };
        let two = format!(
            "{one}[[discount]]\nid = \"two\"\nzh = \"二\"\nen = \"two\"\npay_percent = {percent}\nkinds = {kinds:?}\n{age}{when}"
        );
        let stops = ["A1", "A2", "B1", "B2"];
        let (from, to, time) = ride;
        let price = |discounts: &str| {
            let set = kata_with(fares, window, "", discounts);
            let times = (seconds(time), seconds(time + 300));
            let ride = MetroRide {
                operator: "KM".into(),
                ..metro_ride(stops[from], stops[to], times, rider, None)
            };
            checked(set.quote_metro(&ride).unwrap())
        };
        let (fewer, more) = (price(one), price(&two));
        prop_assert!(more.amount <= fewer.amount);
        prop_assert!(fewer.amount <= fewer.base && more.base == fewer.base);
        // Nothing that was possible was cheaper.
        prop_assert!(more.others.iter().all(|other| other.amount >= more.amount));
    }

    #[test]
    fn longer_sectional_rides_never_cost_less(a in 1u32..10, b in 1u32..10, c in 1u32..10) {
        let mut stops = [a, b, c];
        stops.sort_unstable();
        let stop = |n: u32| StopId::from(format!("QZB{}", 1000 + n).as_str());
        let fare = |ridden| {
            let ride = BusRide {
                operator: "QZBUS".into(),
                route: "QZB19".into(),
                ridden,
                at: minutes(600),
                rider: NORMAL,
                prior: None,
                state: None,
            };
            checked(tariffs().quote_bus(&ride).unwrap()).amount
        };
        let between = |from, to| fare(Ridden::Between { from: stop(from), to: stop(to) });
        let [a, b, c] = stops;
        prop_assert!(between(a, b) <= between(a, c));
        prop_assert!(between(c, b) <= between(c, a));
        prop_assert!(between(a, c) <= fare(Ridden::From(stop(a))), "unknown is the longest");
    }

    #[test]
    fn a_permit_never_raises_the_price_of_a_stay(start in 0u32..900_000, stay in 0u32..2_000_000) {
        let price = |permit| {
            let stay = CarParkStay {
                operator: "FZPARK".into(),
                park: "FZP-SJ".into(),
                vehicle: VehicleClass::Small,
                entered_at: seconds(start),
                exited_at: seconds(start + stay),
                permit,
            };
            checked(tariffs().quote_car_park(&stay).unwrap())
        };
        let permit = Permit {
            id: "small-month".to_owned(),
            from: "2026-12-01".parse().unwrap(),
            to: "2026-12-31".parse().unwrap(),
        };
        let (with, without) = (price(Some(permit)), price(None));
        prop_assert!(with.amount <= without.amount);
        prop_assert_eq!(with.base, without.base);
    }

    #[test]
    fn extreme_meters_do_not_overflow(metres: u32, slow: u32, start in 0u32..86_400) {
        prop_assert!(taxi(metres, slow, seconds(start)).amount >= Fen::yuan(10));
        let fare = tariffs().metro_distance_fare(&"FZMTR".into(), metres).unwrap();
        prop_assert!(fare >= Fen::yuan(2));
    }

    #[test]
    fn longer_parking_never_costs_less_and_caps_hold(
        class in prop::sample::select(vec![("I", 6500), ("II", 4500), ("III", 3000)]),
        id in prop::sample::select(vec![("FZP-DJK", 6000), ("FZP-SCJ", 4000), ("FZP-SJ", 3000), ("FZP-STATION", 6000)]),
        start in 0u32..86_400,
        short in 0u32..300_000,
        more in 0u32..100_000,
    ) {
        let (from, to, later) = (seconds(start), seconds(start + short), seconds(start + short + more));
        let days = i64::from(short.div_ceil(86_400));
        let street = meter(class.0, VehicleClass::Small, from, to).amount;
        prop_assert!(street <= meter(class.0, VehicleClass::Small, from, later).amount);
        prop_assert!(street <= Fen(class.1 * days));
        let garage = park(id.0, from, to).amount;
        prop_assert!(garage <= park(id.0, from, later).amount);
        prop_assert!(garage <= Fen(id.1 * days));
    }

    #[test]
    fn leg_marks_round_trip(bytes: [u8; 6], class in 1u8..3, age: u16, discount: u16) {
        // Anything may stand on a card; what parses is written back as it was.
        if let Some(mark) = LegMark::from_rfu(bytes) && mark.window.is_some() {
            prop_assert_eq!(mark.to_rfu(), bytes);
        }
        let [a0, a1] = age.to_be_bytes();
        let [d0, d1] = discount.to_be_bytes();
        let bytes = [1, class, a0, a1, d0, d1];
        prop_assert_eq!(LegMark::from_rfu(bytes).unwrap().to_rfu(), bytes);
    }

    #[test]
    fn quotes_survive_json_and_repeat(ride in metro_rides()) {
        let text = serde_json::to_string(&ride).unwrap();
        prop_assert_eq!(&serde_json::from_str::<MetroRide>(&text).unwrap(), &ride);
        let quote = tariffs().quote_metro(&ride).unwrap();
        let json = serde_json::to_string(&quote).unwrap();
        prop_assert_eq!(serde_json::from_str::<Quote>(&json).unwrap(), quote);
        prop_assert_eq!(json, serde_json::to_string(&tariffs().quote_metro(&ride).unwrap()).unwrap());
    }
}
