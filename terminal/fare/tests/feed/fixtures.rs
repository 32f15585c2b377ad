//! Feeds of operators against prices computed here a second time, the plain way.
//! Metra Chicago and TransLink Vancouver as crate gtfs-structures ships them (MIT, see
//! tests/fixtures/LICENSE-gtfs-structures); the second reader of Metra is that crate's.

use std::collections::{BTreeMap, BTreeSet};

use fare::feed::Feed;

use crate::build::{ask, fixture, price, table};

fn open(name: &str) -> Feed {
    let (feed, findings) = Feed::open(&fixture(name)).unwrap();
    feed.unwrap_or_else(|| panic!("{:#?}", findings.errors))
}

/// Cents of `8.25`.
fn cents(text: &str) -> i64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    format!("{whole}{part:0<2}").parse().unwrap()
}

#[test]
fn metra_prices_as_its_zone_matrix_says() {
    let raw = gtfs_structures::RawGtfs::from_path(fixture("metra.zip")).unwrap();
    let fares: BTreeMap<String, i64> = raw
        .fare_attributes
        .unwrap()
        .unwrap()
        .into_iter()
        .map(|fare| (fare.id, cents(&fare.price)))
        .collect();
    let matrix: BTreeMap<(String, String), String> = raw
        .fare_rules
        .unwrap()
        .unwrap()
        .into_iter()
        .map(|rule| {
            (
                (rule.origin_id.unwrap(), rule.destination_id.unwrap()),
                rule.fare_id,
            )
        })
        .collect();
    let stops = raw.stops.unwrap();
    let mut expected = BTreeMap::new();
    for from in &stops {
        for to in stops.iter().filter(|to| to.id != from.id) {
            let zones = (from.zone_id.clone().unwrap(), to.zone_id.clone().unwrap());
            if let Some(fare) = matrix.get(&zones) {
                let key = [&from.id, &to.id, "", ""].map(str::to_owned);
                expected.insert(key, (fares[fare], fare.clone()));
            }
        }
    }
    assert_eq!(expected.len(), 240 * 239);
    assert!(table(&open("metra.zip")) == expected);
}

/// Read off the feed's files by hand: Aurora and Geneva are in zone H, West Chicago in F, Union
/// Station in A; H - A is fare 8, 8.25; H - H fare 1, 4.00; H - F fare 3, 5.50.
#[test]
fn metra_by_hand() {
    let feed = open("metra.zip");
    assert_eq!(price(&feed, &ask("AURORA", "CUS")), Some(825));
    assert_eq!(price(&feed, &ask("CUS", "AURORA")), Some(825));
    assert_eq!(price(&feed, &ask("GENEVA", "AURORA")), Some(400));
    assert_eq!(price(&feed, &ask("GENEVA", "WCHICAGO")), Some(550));
    let there = feed.quote(&ask("AURORA", "CUS")).unwrap();
    assert_eq!(there.rides[0].route.as_deref(), Some("BNSF"));
    assert!(there.notes.is_empty(), "a trip runs it: {:?}", there.notes);
    let back = feed.quote(&ask("CUS", "AURORA")).unwrap();
    assert_eq!(back.rides[0].route, None, "the excerpt has no trip back");
    assert_eq!(back.notes.len(), 1);
}

/// TransLink's fixture has no trips, so every network may run between all stops; it has the column
/// rule_priority, so an empty area is any area and the highest priority wins within a network.
#[test]
fn translink_prices_as_computed_from_its_rows() {
    let rows = |name: &str| -> Vec<BTreeMap<String, String>> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_path(fixture("translink").join(name))
            .unwrap();
        let names = reader.headers().unwrap().clone();
        reader
            .records()
            .map(|record| {
                let record = record.unwrap();
                let cells = names.iter().zip(record.iter());
                cells.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
            })
            .collect()
    };
    let get = |row: &BTreeMap<String, String>, key: &str| row.get(key).cloned().unwrap_or_default();
    let stop_areas = rows("stop_areas.txt");
    let areas = |stop: &str| -> BTreeSet<String> {
        let own = stop_areas.iter().filter(|row| row["stop_id"] == stop);
        own.map(|row| row["area_id"].clone()).collect()
    };
    let (stops, rules, products) = (
        rows("stops.txt"),
        rows("fare_leg_rules.txt"),
        rows("fare_products.txt"),
    );
    let mut expected: BTreeMap<[String; 4], i64> = BTreeMap::new();
    for (from, to) in stops.iter().flat_map(|a| stops.iter().map(move |b| (a, b))) {
        let (from, to) = (&from["stop_id"], &to["stop_id"]);
        if from == to {
            continue;
        }
        for network in ["translink_bus", "skytrain_seabus"] {
            let is = |wanted: String, areas: BTreeSet<String>| {
                wanted.is_empty() || areas.contains(&wanted)
            };
            let fits: Vec<_> = rules
                .iter()
                .filter(|r| r["network_id"] == network)
                .filter(|r| {
                    is(get(r, "from_area_id"), areas(from)) && is(get(r, "to_area_id"), areas(to))
                })
                .map(|r| (get(r, "rule_priority").parse::<u32>().unwrap_or(0), r))
                .collect();
            let top = fits.iter().map(|(priority, _)| *priority).max();
            for (_, rule) in fits.iter().filter(|(priority, _)| Some(*priority) == top) {
                for product in products
                    .iter()
                    .filter(|p| p["fare_product_id"] == rule["fare_product_id"])
                {
                    for rider in ["adult", "concession"] {
                        let key = [from, to, rider, &product["fare_media_id"]].map(str::to_owned);
                        let amount = cents(&product["amount"]);
                        let kept = expected.entry(key).or_insert(amount);
                        *kept = amount.min(*kept);
                    }
                }
            }
        }
    }
    assert_eq!(expected.len(), 6 * 2 * 3);
    let found = table(&open("translink"));
    let amounts: BTreeMap<_, _> = found
        .into_iter()
        .map(|(key, (minor, _))| (key, minor))
        .collect();
    assert_eq!(amounts, expected);
}

/// By hand: a bus costs 3.20 by contactless card and 2.60 by Compass Card; from the airport the
/// SkyTrain alone would be 9.65 to Waterfront.
#[test]
fn translink_by_hand() {
    let feed = open("translink");
    let mut question = ask("99901", "8039");
    let quote = feed.quote(&question).unwrap();
    assert_eq!(
        (quote.amount_minor, &*quote.media, &*quote.rider),
        (260, "compass_card", "adult")
    );
    assert_eq!(quote.steps[0].line, Some(2));
    assert_eq!(quote.saved_minor, 0, "no step takes anything off");
    question.media = Some("contactless");
    assert_eq!(price(&feed, &question), Some(320));
    question.media = Some("wallet");
    assert_eq!(
        price(&feed, &question),
        None,
        "no product names this medium"
    );
    question.media = Some("walet");
    let error = feed.quote(&question).unwrap_err().to_string();
    assert!(error.contains("near it: wallet"), "{error}");
}

/// A city's folder prices with its tariffs: Fuzhou line 1, Xiangfeng to Fuzhou Railway Station, is
/// 1336 + 1098 + 1513 published metres, up to 5 km 2.00; from the first stop of a bus at 1.00 the
/// card pays 10 % less. An elderly rider of unknown age pays nothing off-peak and the fare in the
/// workday peak.
#[test]
fn distance_fares_beside_a_feed() {
    let path = fixture("../../../../data/fujian/transit/fuzhou");
    let (feed, findings) = Feed::open(&path).unwrap();
    let feed = feed.unwrap_or_else(|| panic!("{:#?}", findings.errors));
    let quote = feed.quote(&ask("FZM101", "FZM104")).unwrap();
    assert_eq!((quote.amount_minor, &*quote.rider), (200, "normal"));
    assert_eq!(quote.steps[0].file, "fuzhou-metro/distance");
    assert!(!quote.steps[0].why.contains("derived"), "{:?}", quote.steps);
    // By metro alone: with a bus between it is 0.60 less.
    let mut question = ask("FZM101", "FZM110");
    question.route = Some("FZM1");
    let far = feed.quote(&question).unwrap();
    assert_eq!(far.amount_minor, 400);
    assert!(
        far.steps[0].why.contains("derived length"),
        "{:?}",
        far.steps
    );
    assert_eq!(price(&feed, &ask("FZB1001", "FZB1002")), Some(90));
    let mut question = ask("FZM101", "FZM104");
    question.rider = Some("elderly");
    for (time, expected) in [("2026-11-23T08:00:00", 200), ("2026-11-23T10:00:00", 0)] {
        question.at = Some(time.parse().unwrap());
        assert_eq!(price(&feed, &question), Some(expected), "{time}");
    }
}

/// Metro and bus on one journey, by the city's transfer rules: Fuzhou line 1 from Xiangfeng to the
/// railway station is 2.00, bus 17 from there 1.00 less 10 %. Metro to bus takes off 0.50, bus to metro
/// 1.00, three minutes after the exit at the earliest: who comes at once waits for it.
#[test]
fn a_journey_of_metro_and_bus_has_the_citys_transfer() {
    let path = fixture("../../../../data/fujian/transit/fuzhou");
    let feed = Feed::open(&path).unwrap().0.unwrap();
    for (from, to, separate, total) in [
        ("FZM101", "FZB1004", 300, 200 + 90 - 50),
        ("FZB1004", "FZM101", 300, 90 + 200 - 100),
    ] {
        let mut question = ask(from, to);
        question.at = Some("2026-11-23T10:00:00".parse().unwrap());
        let quote = feed.quote(&question).unwrap();
        assert_eq!(
            (quote.amount_minor, quote.separate_minor),
            (total, separate)
        );
        assert_eq!(
            quote.saved_minor,
            separate - total,
            "concession and transfer"
        );
        let lines: Vec<_> = quote
            .rides
            .iter()
            .filter_map(|r| r.route.as_deref())
            .collect();
        assert!(
            lines.contains(&"FZM1") && lines.contains(&"FZB17"),
            "{lines:?}"
        );
        let transfer = |s: &&fare::feed::QuotedStep| s.file.starts_with("fuzhou-transfer/");
        assert_eq!(
            quote.steps.iter().filter(transfer).count(),
            1,
            "{:?}",
            quote.steps
        );
    }
    // A suburban bus is no part of it: fares are added up.
    let suburb = feed.quote(&ask("FZM203", "FZB1013")).unwrap();
    assert_eq!(suburb.amount_minor, suburb.separate_minor);
    // Two stops at one place, nothing runs between them: the answer says what is missing.
    let path = fixture("../../../../data/fujian/transit/xiamen");
    let xiamen = Feed::open(&path).unwrap().0.unwrap();
    let error = xiamen.quote(&ask("XMM123", "XMR08")).unwrap_err();
    assert!(matches!(error, fare::feed::AskError::NoWay(..)), "{error}");
}
