//! Random and broken feeds: quote and table agree, priorities hold, nothing panics.

use fare::feed::{Ask, Feed};
use proptest::prelude::*;

use crate::build::{Files, ask, base, base_v2, fixture, price, table};

const STOPS: [&str; 4] = ["A", "B", "C", "D"];

/// One of the area ids, or empty.
fn area() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "z1", "z2", "z3", "z4"])
}

fn network() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "bus", "metro"])
}

prop_compose! {
    fn leg_rules()(
        priorities in any::<bool>(),
        rules in prop::collection::btree_map(
            (network(), area(), area(), 1..=9_u8), 0..4_u8, 1..8)
    ) -> Files {
        let mut text = "network_id,from_area_id,to_area_id,fare_product_id".to_owned();
        text += if priorities { ",rule_priority\n" } else { "\n" };
        for ((network, from, to, product), priority) in rules {
            text += &format!("{network},{from},{to},p{product}");
            text += &if priorities { format!(",{priority}\n") } else { "\n".to_owned() };
        }
        base_v2(&text)
    }
}

prop_compose! {
    fn fare_rules()(
        prices in prop::collection::vec(0..2000_u32, 1..4),
        rules in prop::collection::btree_set(
            (0..4_usize, prop::sample::select(vec!["", "R1", "R2", "R3"]), area(), area()), 0..10)
    ) -> Files {
        let mut fares = "fare_id,price,currency_type,payment_method,transfers\n".to_owned();
        for (ix, price) in prices.iter().enumerate() {
            fares += &format!("f{ix},{}.{:02},CNY,0,0\n", price / 100, price % 100);
        }
        let mut text = "fare_id,route_id,origin_id,destination_id\n".to_owned();
        for (ix, route, from, to) in rules.into_iter().filter(|(ix, ..)| *ix < prices.len()) {
            text += &format!("f{ix},{route},{from},{to}\n");
        }
        base().with("fare_attributes.txt", &fares).with("fare_rules.txt", &text)
    }
}

fn agree(feed: &Feed) {
    let table = table(feed);
    for from in STOPS {
        for to in STOPS.iter().filter(|to| **to != from) {
            let row = table.get(&[from, to, "", ""].map(str::to_owned));
            let quoted = feed.quote(&ask(from, to)).ok();
            match (row, quoted) {
                (Some((minor, product)), Some(quote)) => {
                    assert!(quote.amount_minor >= 0);
                    if quote.rides.len() == 1 {
                        assert_eq!(
                            (quote.amount_minor, &quote.steps[0].product),
                            (*minor, product)
                        );
                    } else if quote.rides[0].route.is_some() && quote.amount_minor >= *minor {
                        // Only where no trip runs directly: the table prices by zones alone.
                        let direct = Ask {
                            route: Some("R1"),
                            ..ask(from, to)
                        };
                        assert!(price(feed, &direct).is_none());
                    }
                    let off = quote.steps.iter().map(|s| -s.amount_minor.min(0));
                    assert!((0..=off.sum()).contains(&quote.saved_minor), "{quote:?}");
                }
                (None, Some(quote)) => assert!(quote.rides.len() > 1),
                (Some(_), None) => {
                    // A way with changes exists and is not priced; the zones alone would be.
                    assert!(!["AB", "AC", "BC", "CD", "DA"].contains(&&*format!("{from}{to}")));
                }
                (None, None) => {}
            }
        }
    }
}

/// The four steps of fare_leg_rules.txt for one leg, from the rows' text.
fn leg_price(files: &Files, network: &str, from: &str, to: &str) -> Option<i64> {
    let text = &files.0["fare_leg_rules.txt"];
    let priorities =
        text.starts_with("network_id,from_area_id,to_area_id,fare_product_id,rule_priority");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .collect();
    let leg = [network, from, to];
    let fits = |row: &Vec<&str>| {
        (0..3).all(|ix| match row[ix] {
            "" if priorities => true,
            "" => rows.iter().all(|other| other[ix] != leg[ix]),
            value => value == leg[ix],
        })
    };
    let mut found: Vec<_> = rows.iter().filter(|row| fits(row)).collect();
    if priorities {
        let top = found.iter().map(|row| row[4].parse::<u32>().unwrap()).max();
        found.retain(|row| Some(row[4].parse().unwrap()) == top);
    }
    found
        .iter()
        .map(|row| row[3][1..].parse::<i64>().unwrap() * 100)
        .min()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn quote_and_table_agree_v1(files in fare_rules()) {
        agree(&files.feed());
    }

    #[test]
    fn quote_and_table_agree_v2(files in leg_rules()) {
        agree(&files.feed());
    }

    #[test]
    fn legs_cost_what_the_reference_s_steps_give(files in leg_rules()) {
        let table = table(&files.feed());
        let legs = [
            ("A", "B", "bus", "z1", "z2"), ("A", "C", "bus", "z1", "z3"), ("B", "C", "bus", "z2", "z3"),
            ("C", "D", "metro", "z3", "z4"), ("D", "A", "bus", "z4", "z1"),
        ];
        for (from, to, network, a, b) in legs {
            let row = table.get(&[from, to, "", ""].map(str::to_owned)).map(|(minor, _)| *minor);
            prop_assert_eq!(row, leg_price(&files, network, a, b), "{} {}", from, to);
        }
    }

    #[test]
    fn a_broken_feed_is_refused_or_priced_and_never_panics(
        file in 0..20_usize,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
        seed in leg_rules(),
    ) {
        let mut files: Vec<(String, Vec<u8>)> = seed.0.into_iter().map(|(n, t)| (n, t.into_bytes())).collect();
        let count = files.len();
        let bytes = &mut files[file % count].1;
        for (index, byte, how) in cuts {
            let at = index.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.truncate(at.max(1)); }
            }
        }
        try_all(files.iter().map(|(n, b)| (n.as_str(), b.as_slice())));
    }

    #[test]
    fn mutated_operators_feeds_never_panic(
        which in any::<prop::sample::Index>(),
        lines in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
    ) {
        let mut files: Vec<(String, String)> = std::fs::read_dir(fixture("translink")).unwrap()
            .map(|entry| entry.unwrap())
            .map(|e| (e.file_name().into_string().unwrap(), std::fs::read_to_string(e.path()).unwrap()))
            .collect();
        files.sort();
        // Cells of a random file change places, over lines and columns.
        let count = files.len();
        let text = &mut files[which.index(count)].1;
        let mut cells: Vec<String> = text.split_inclusive([',', '\n']).map(str::to_owned).collect();
        for (a, b) in lines {
            let (a, b) = (a.index(cells.len()), b.index(cells.len()));
            cells.swap(a, b);
        }
        *text = cells.concat();
        try_all(files.iter().map(|(n, t)| (n.as_str(), t.as_bytes())));
    }

    #[test]
    fn random_bytes_never_panic(name in 0..9_usize, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        const NAMES: [&str; 9] = [
            "agency.txt", "stops.txt", "routes.txt", "trips.txt", "stop_times.txt", "calendar.txt",
            "fare_products.txt", "fare_leg_rules.txt", "timeframes.txt",
        ];
        let files = base_v2("fare_product_id\np1\n");
        let rest = files.0.iter().map(|(n, t)| (n.as_str(), t.as_bytes()));
        try_all(rest.chain([(NAMES[name], bytes.as_slice())]));
    }
}

/// A feed is there exactly when there is no error, and then every question has an answer or a
/// reason.
fn try_all<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) {
    let (feed, findings) = Feed::from_bytes(files);
    assert_eq!(feed.is_some(), findings.is_ok());
    for finding in findings.errors.iter().chain(&findings.warnings) {
        assert!(
            !finding.file.is_empty() && !finding.problem.is_empty() && !finding.remedy.is_empty()
        );
    }
    if let Some(feed) = feed {
        let _ = feed.table().count();
        for from in STOPS {
            for to in STOPS {
                let _ = feed.quote(&ask(from, to));
            }
        }
    }
}
