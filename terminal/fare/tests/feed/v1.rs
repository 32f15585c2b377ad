//! Fares V1: what the reference says of fare_attributes.txt and fare_rules.txt.

use fare::feed::{Ask, AskError, Feed};

use crate::build::{ask, base, price, table};

const ATTRIBUTES: &str = "fare_id,price,currency_type,payment_method,transfers,transfer_duration\n";

fn feed(attributes: &str, rules: &str) -> Feed {
    base()
        .with("fare_attributes.txt", &format!("{ATTRIBUTES}{attributes}"))
        .with(
            "fare_rules.txt",
            &format!("fare_id,route_id,origin_id,destination_id,contains_id\n{rules}"),
        )
        .feed()
}

#[test]
fn every_filled_field_of_a_row_must_fit() {
    let feed = feed(
        "one,1.00,CNY,0,0,\ntwo,2.00,CNY,0,0,\nsix,6.00,CNY,0,0,\n",
        "one,R2,,,\ntwo,,z1,z2,\nsix,R1,,z3,\n",
    );
    assert_eq!(price(&feed, &ask("C", "D")), Some(100), "by route");
    assert_eq!(price(&feed, &ask("A", "B")), Some(200), "by both zones");
    assert_eq!(price(&feed, &ask("B", "C")), Some(600), "by route and zone");
    // No trip runs D to B directly and no zone pair prices it; A to B needs R3 first, unpriced.
    assert_eq!(price(&feed, &ask("D", "B")), None);
}

#[test]
fn a_fare_without_rules_covers_everything() {
    let all = feed("flat,2.50,CNY,0,0,\n", "");
    assert_eq!(price(&all, &ask("B", "C")), Some(250));
    assert_eq!(
        table(&all).len(),
        4 * 3,
        "zones alone price pairs without a trip"
    );
    // Beside a fare with rules it stays open.
    let both = feed("flat,2.50,CNY,0,0,\none,1.00,CNY,0,0,\n", "one,R2,,,\n");
    assert_eq!(price(&both, &ask("B", "C")), Some(250));
    assert_eq!(price(&both, &ask("C", "D")), Some(100));
}

/// Reference, fare_rules.contains_id: an itinerary through 5 and 6 but not 7 has not the fare that
/// contains 5, 6 and 7. Nor has one through more zones: it is another itinerary.
#[test]
fn contained_zones_must_be_those_passed() {
    let feed = feed(
        "two,2.00,CNY,0,0,\nthree,3.00,CNY,0,0,\n",
        "two,R1,,,z1\ntwo,R1,,,z2\nthree,R1,,,z1\nthree,R1,,,z2\nthree,R1,,,z3\n",
    );
    assert_eq!(price(&feed, &ask("A", "B")), Some(200));
    assert_eq!(
        price(&feed, &ask("A", "C")),
        Some(300),
        "B's zone is passed"
    );
    assert_eq!(price(&feed, &ask("B", "C")), None);
}

#[test]
fn transfers_within_one_fare() {
    // A - C by R1, C - D by R2: 20 min + no wait.
    let rules = "f,R1,,,\nf,R2,,,\n";
    assert_eq!(
        price(&feed("f,2.00,CNY,0,0,\n", rules), &ask("A", "D")),
        Some(400)
    );
    assert_eq!(
        price(&feed("f,2.00,CNY,0,1,\n", rules), &ask("A", "D")),
        Some(200)
    );
    assert_eq!(
        price(&feed("f,2.00,CNY,0,,\n", rules), &ask("A", "D")),
        Some(200)
    );
    assert_eq!(
        price(&feed("f,2.00,CNY,0,1,1200\n", rules), &ask("A", "D")),
        Some(200)
    );
    assert_eq!(
        price(&feed("f,2.00,CNY,0,1,1199\n", rules), &ask("A", "D")),
        Some(400)
    );
    // Two changes, A - C - D - A's other end: B - C, C - D, D - A.
    let rules = "f,R1,,,\nf,R2,,,\nf,R3,,,\n";
    assert_eq!(
        price(&feed("f,2.00,CNY,0,2,\n", rules), &ask("B", "A")),
        Some(200)
    );
    assert_eq!(
        price(&feed("f,2.00,CNY,0,1,\n", rules), &ask("B", "A")),
        Some(400)
    );
    assert_eq!(
        price(&feed("f,2.00,CNY,0,0,\n", rules), &ask("B", "A")),
        Some(600)
    );
}

#[test]
fn the_explanation_names_rule_product_and_saving() {
    let feed = feed(
        "day,9.00,CNY,0,0,\nf,2.00,CNY,0,1,\n",
        "f,R1,,,\nf,R2,,,\nday,R2,,,\n",
    );
    let quote = feed.quote(&ask("A", "D")).unwrap();
    assert_eq!(quote.rides.len(), 2);
    assert_eq!(quote.steps.len(), 1);
    assert_eq!(
        (
            &*quote.steps[0].product,
            &*quote.steps[0].file,
            quote.steps[0].line
        ),
        ("f", "fare_rules.txt", Some(2))
    );
    assert_eq!(
        (quote.amount_minor, quote.separate_minor, quote.saved_minor),
        (200, 400, 0),
        "a dearer fare that nobody has to buy is no saving"
    );
}

#[test]
fn via_and_route_narrow_the_question() {
    let feed = feed("f,2.00,CNY,0,0,\n", "f,R1,,,\nf,R2,,,\n");
    let via = ["B".to_owned(), "C".to_owned()];
    let mut question = ask("A", "D");
    question.via = &via;
    assert_eq!(price(&feed, &question), Some(600), "three rides");
    let mut question = ask("A", "B");
    question.route = Some("R2");
    assert_eq!(price(&feed, &question), None, "R2 does not run there");
}

#[test]
fn a_fare_of_one_agency_is_not_the_others() {
    let feed = base()
        .but(
            "agency.txt",
            "X,X,",
            "Y,Y,https://y.example,Asia/Shanghai\nX,X,",
        )
        .but("routes.txt", "R2,X", "R2,Y")
        .with(
            "fare_attributes.txt",
            "fare_id,price,currency_type,payment_method,transfers,agency_id\nf,2.00,CNY,0,0,X\n",
        )
        .feed();
    assert_eq!(price(&feed, &ask("A", "B")), Some(200));
    assert_eq!(price(&feed, &ask("C", "D")), None);
}

/// Several routes along one line of stops: the ways multiply with every stop to change at.
fn parallel(routes: usize) -> Feed {
    let mut files = base();
    let stops: Vec<String> = (0..=21).map(|n| format!("S{n}")).collect();
    let mut rows = "stop_id,stop_name,stop_lat,stop_lon\n".to_owned();
    let mut lines = "route_id,agency_id,route_short_name,route_type\n".to_owned();
    let mut trips = "route_id,service_id,trip_id\n".to_owned();
    let mut times = "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n".to_owned();
    for stop in &stops {
        rows += &format!("{stop},{stop},26,119\n");
    }
    for route in 0..routes {
        lines += &format!("P{route},X,{route},3\n");
        trips += &format!("P{route},wk,T{route}\n");
        for (n, stop) in stops.iter().enumerate() {
            times += &format!("T{route},08:{n:02}:00,08:{n:02}:00,{stop},{n}\n");
        }
    }
    for (name, text) in [
        ("stops.txt", rows),
        ("routes.txt", lines),
        ("trips.txt", trips),
        ("stop_times.txt", times),
    ] {
        files = files.with(name, &text);
    }
    let fare = "fare_id,price,currency_type,payment_method,transfers\nf,2.00,CNY,0,0\n";
    files.with("fare_attributes.txt", fare).feed()
}

#[test]
fn a_search_is_bounded_and_says_where_it_was_cut_off() {
    let via: Vec<String> = (1..=20).map(|n| format!("S{n}")).collect();
    let question = |via| Ask {
        via,
        ..ask("S0", "S21")
    };
    for (routes, cut) in [(2, false), (4, true)] {
        let feed = parallel(routes);
        assert_eq!(
            feed.quote(&question(&via)).unwrap_err(),
            AskError::TooManyVia(20)
        );
        let quote = feed.quote(&question(&via[..8])).unwrap();
        assert_eq!(quote.amount_minor, 9 * 200);
        let told = quote.notes.iter().any(|note| note.contains("20000 ways"));
        assert_eq!(told, cut, "{:?}", quote.notes);
    }
}
