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
    let class = prop::sample::select(vec![LegClass::CityBus, LegClass::Metro]);
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
            .prop_map(|(a, b, start, stay, rider, prior)| {
                metro_ride(
                    &a,
                    &b,
                    (seconds(start), seconds(start + stay)),
                    rider,
                    prior,
                )
            })
    };
    prop_oneof![network("FZMTR", "350100"), network("XMMTR", "350200")]
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
        prop_assert!(quote.amount >= terms.least);
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
        for operator in ["FZMTR", "XMMTR"] {
            let fare = |m| tariffs().metro_distance_fare(&operator.into(), m).unwrap();
            prop_assert!(fare(a.min(b)) <= fare(a.max(b)));
        }
        prop_assert!(taxi(a.min(b), 0, minutes(600)).amount <= taxi(a.max(b), 0, minutes(600)).amount);
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
