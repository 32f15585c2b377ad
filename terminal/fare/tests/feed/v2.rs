//! Fares V2: what the reference says of leg rules, products, timeframes, transfers and joins.

use fare::feed::{Ask, Feed};

use crate::build::{Files, ask, base_v2, price, quote, table};

fn at<'a>(from: &'a str, to: &'a str, time: &str) -> Ask<'a> {
    Ask {
        at: Some(time.parse().unwrap()),
        ..ask(from, to)
    }
}

/// Step 3: without the column rule_priority an empty field is every value that is not listed.
#[test]
fn empty_is_all_others_without_priorities() {
    let feed = base_v2(
        "network_id,from_area_id,to_area_id,fare_product_id\nbus,,,p1\n,z1,,p2\n,,,p3\nbus,z1,z2,p9\n",
    )
    .feed();
    assert_eq!(
        price(&feed, &ask("A", "B")),
        Some(900),
        "exact goes before empty"
    );
    assert_eq!(
        price(&feed, &ask("B", "C")),
        Some(100),
        "bus is listed, z2 and z3 are not"
    );
    assert_eq!(
        price(&feed, &ask("C", "D")),
        Some(300),
        "metro and z3 are not listed"
    );
}

#[test]
fn empty_is_any_and_the_highest_priority_wins_with_priorities() {
    let rules = "network_id,from_area_id,to_area_id,fare_product_id,rule_priority\n\
                 bus,,,p1,\n,z1,,p2,1\n,,z3,p3,1\nmetro,,,p4,7\n";
    let feed = base_v2(rules).feed();
    assert_eq!(
        price(&feed, &ask("A", "B")),
        Some(200),
        "1 goes before 0, though dearer"
    );
    assert_eq!(
        price(&feed, &ask("A", "C")),
        Some(200),
        "of equal priority the rider takes one"
    );
    assert_eq!(price(&feed, &ask("B", "C")), Some(300));
    assert_eq!(price(&feed, &ask("C", "D")), Some(400));
    assert_eq!(
        price(&feed, &ask("D", "A")),
        Some(100),
        "empty priority is 0"
    );
}

#[test]
fn products_by_rider_and_medium() {
    let files = base_v2("fare_product_id\nq\n")
        .with(
            "rider_categories.txt",
            "rider_category_id,rider_category_name,is_default_fare_category\nadult,Adult,1\nchild,Child,0\n",
        )
        .with("fare_media.txt", "fare_media_id,fare_media_type\ncard,2\ncash,0\n")
        .with(
            "fare_products.txt",
            "fare_product_id,rider_category_id,fare_media_id,amount,currency\n\
             q,adult,card,3.00,CNY\nq,child,card,1.50,CNY\nq,,cash,4.00,CNY\n",
        );
    let feed = files.feed();
    let mut question = ask("A", "B");
    assert_eq!(
        price(&feed, &question),
        Some(300),
        "the default rider's cheapest medium"
    );
    question.rider = Some("child");
    assert_eq!(price(&feed, &question), Some(150));
    question.media = Some("cash");
    assert_eq!(
        price(&feed, &question),
        Some(400),
        "no category: for anybody"
    );
    let rows = table(&feed);
    let row = |rider: &str, media: &str| rows[&["A", "B", rider, media].map(str::to_owned)].0;
    assert_eq!(
        [
            row("adult", "card"),
            row("adult", "cash"),
            row("child", "card"),
            row("child", "cash")
        ],
        [300, 400, 150, 400]
    );
}

fn peak() -> Files {
    base_v2(
        "from_timeframe_group_id,to_timeframe_group_id,fare_product_id,rule_priority\npeak,,p5,1\n,,p3,0\n,late,p7,2\n",
    )
    .with(
        "timeframes.txt",
        "timeframe_group_id,start_time,end_time,service_id\npeak,07:00:00,09:00:00,wk\nlate,23:00:00,24:00:00,we\n",
    )
}

/// timeframes.txt: start inclusive, end exclusive, on the days of the service. 2026-11-23 is a
/// Monday. The ride A - B takes ten minutes.
#[test]
fn timeframes_hold_at_start_and_end() {
    let feed = peak().feed();
    let cases = [
        ("2026-11-23T06:59:59", 300),
        ("2026-11-23T07:00:00", 500),
        ("2026-11-23T08:59:59", 500),
        ("2026-11-23T09:00:00", 300),
        ("2026-11-22T08:00:00", 300),
        ("2026-11-22T22:49:59", 300),
        ("2026-11-22T22:50:00", 700),
        ("2026-11-22T23:49:59", 700),
        ("2026-11-22T23:50:00", 300),
    ];
    for (time, expected) in cases {
        assert_eq!(price(&feed, &at("A", "B", time)), Some(expected), "{time}");
    }
    assert_eq!(
        price(&feed, &ask("A", "B")),
        Some(300),
        "without a time the cheapest"
    );
}

/// A priority must not be escaped by asking without a time when every time has it.
#[test]
fn without_a_time_some_time_must_have_the_price() {
    let always = "timeframe_group_id,start_time,end_time,service_id\npeak,,,wk\npeak,,,we\nlate,23:00:00,24:00:00,we\n";
    let feed = peak().with("timeframes.txt", always).feed();
    assert_eq!(price(&feed, &ask("A", "B")), Some(500));
}

/// Legs A - C (p4, group a), C - D (p2, group b), D - A (p1, group c).
fn legs(transfers: &str) -> Feed {
    let header = "from_leg_group_id,to_leg_group_id,transfer_count,duration_limit,duration_limit_type,fare_transfer_type,fare_product_id\n";
    base_v2(
        "leg_group_id,network_id,from_area_id,fare_product_id\na,bus,z1,p4\na,bus,z2,p4\nb,metro,z3,p2\nc,bus,z4,p1\n",
    )
    .with("fare_transfer_rules.txt", &format!("{header}{transfers}"))
    .feed()
}

/// The table "Cost processing interactions between multiple transfers" of fare_transfer_rules.txt:
/// A + AB, A + AB + B, AB; then S + BC, S + BC + C, S + BC.
#[test]
fn transfer_types() {
    // B - C - D: A = 4, B = 2, AB = 3 (p3).
    let two = |kind: u8| price(&legs(&format!("a,b,,,,{kind},p3\n")), &ask("B", "D"));
    assert_eq!([two(0), two(1), two(2)], [Some(700), Some(900), Some(300)]);
    assert_eq!(
        price(&legs("b,a,,,,0,p3\n"), &ask("B", "D")),
        Some(600),
        "one direction only"
    );
    assert_eq!(
        price(&legs("a,b,,,,0,\n"), &ask("B", "D")),
        Some(400),
        "no product costs nothing"
    );
    // B - C - D - A: C = 1, BC = 5.
    let three = |ab: u8, bc: u8| {
        price(
            &legs(&format!("a,b,,,,{ab},p3\nb,c,,,,{bc},p5\n")),
            &ask("B", "A"),
        )
    };
    assert_eq!(
        [three(0, 0), three(0, 1), three(0, 2)],
        [Some(1200), Some(1300), Some(1200)]
    );
    assert_eq!(
        [three(1, 0), three(1, 1), three(1, 2)],
        [Some(1400), Some(1500), Some(1400)]
    );
    assert_eq!(
        [three(2, 0), three(2, 1), three(2, 2)],
        [Some(800), Some(900), Some(800)]
    );
}

#[test]
fn empty_leg_groups_are_those_not_listed() {
    let price = |rules: &str| price(&legs(rules), &ask("B", "D"));
    assert_eq!(
        price("a,,,,,0,\n"),
        Some(400),
        "b is not listed as a to-group"
    );
    assert_eq!(price("a,,,,,0,\nc,b,,,,0,\n"), Some(600), "now it is");
    assert_eq!(
        price("a,,,,,0,\na,b,,,,1,\n"),
        Some(600),
        "exact goes before empty"
    );
    assert_eq!(price(",,1,,,0,\n"), Some(400));
}

#[test]
fn transfer_counts_and_durations() {
    // All three legs in one group at 4.00, B - C (10 min) - D (15 min) - A (5 min).
    let chain = |transfers: &str| {
        let header = "from_leg_group_id,to_leg_group_id,transfer_count,duration_limit,duration_limit_type,fare_transfer_type,fare_product_id\n";
        let feed = base_v2("leg_group_id,fare_product_id\na,p4\n")
            .with("fare_transfer_rules.txt", &format!("{header}{transfers}"))
            .feed();
        let via = ["C".to_owned(), "D".to_owned()];
        let question = Ask {
            via: &via,
            ..ask("B", "A")
        };
        price(&feed, &question)
    };
    assert_eq!(
        chain("a,a,1,,,0,\n"),
        Some(800),
        "the second transfer is one too many"
    );
    assert_eq!(chain("a,a,2,,,0,\n"), Some(400));
    assert_eq!(chain("a,a,-1,,,0,\n"), Some(400));
    // The least count that is enough: the first transfer by p1, the second by p2.
    assert_eq!(chain("a,a,1,,,0,p1\na,a,2,,,0,p2\n"), Some(700));
    // 0: departure to arrival, 1500 s to D's arrival; measured from the first leg, 1800 s to A's.
    assert_eq!(chain("a,a,-1,1800,0,0,\n"), Some(400));
    assert_eq!(chain("a,a,-1,1799,0,0,\n"), Some(800));
    // 1: departure to departure, 1500 s to the last boarding.
    assert_eq!(chain("a,a,-1,1500,1,0,\n"), Some(400));
    assert_eq!(chain("a,a,-1,1499,1,0,\n"), Some(800));
    // 2: arrival of the first (600) to departure of the last (1500).
    assert_eq!(chain("a,a,-1,900,2,0,\n"), Some(400));
    assert_eq!(chain("a,a,-1,899,2,0,\n"), Some(800));
    // 3: arrival to arrival.
    assert_eq!(chain("a,a,-1,1200,3,0,\n"), Some(400));
    assert_eq!(chain("a,a,-1,1199,3,0,\n"), Some(800));
}

/// A discount larger than the fare is not paid out.
#[test]
fn never_below_nothing() {
    let files = base_v2("leg_group_id,fare_product_id\na,p1\n").with(
        "fare_transfer_rules.txt",
        "from_leg_group_id,to_leg_group_id,transfer_count,fare_transfer_type,fare_product_id\na,a,1,1,off\n",
    );
    let products = format!("{}off,,,-7.00,CNY\n", files.0["fare_products.txt"]);
    let feed = files.with("fare_products.txt", &products).feed();
    assert_eq!(price(&feed, &ask("A", "D")), Some(0));
    let quote = feed.quote(&ask("A", "D")).unwrap();
    assert_eq!(quote.saved_minor, 200, "no more than the two fares");
}

/// fare_leg_join_rules.txt: joined legs are one leg of the first's area and the last's.
#[test]
fn joined_legs_are_one() {
    let rules =
        "network_id,from_area_id,to_area_id,fare_product_id\n,z1,z4,p3\n,z1,z3,p2\n,z3,z4,p2\n";
    let apart = base_v2(rules);
    assert_eq!(price(&apart.feed(), &ask("A", "D")), Some(400));
    let joined = apart.with(
        "fare_leg_join_rules.txt",
        "from_network_id,to_network_id\nbus,metro\n",
    );
    assert_eq!(price(&joined.feed(), &ask("A", "D")), Some(300));
}

/// stop_areas.txt: a station's area is its platforms', unless they have their own.
#[test]
fn platforms_inherit_the_station_s_area() {
    let stops = "stop_id,stop_name,stop_lat,stop_lon,location_type,parent_station\n\
                 S,Station,1.0,1.0,1,\nA,a,1.0,1.0,0,S\nB,b,1.0,1.0,0,S\nC,c,1.0,1.0,,\nD,d,1.0,1.0,,\n";
    let files =
        base_v2("from_area_id,to_area_id,fare_product_id,rule_priority\nz1,,p1,\nz2,,p2,\n")
            .with("stops.txt", stops)
            .with("stop_areas.txt", "area_id,stop_id\nz1,S\nz2,B\n");
    let feed = files.feed();
    assert_eq!(price(&feed, &ask("A", "C")), Some(100));
    assert_eq!(price(&feed, &ask("B", "C")), Some(200));
    let from_station = quote(&feed, "S", "C");
    assert_eq!(
        (from_station.amount_minor, &*from_station.rides[0].from),
        (100, "A")
    );
}

/// fare_attributes.txt, Versions: one method is used, V2 before V1.
#[test]
fn v2_goes_before_v1() {
    let v1 = "fare_id,price,currency_type,payment_method,transfers\nold,9.00,CNY,0,\n";
    let both = base_v2("fare_product_id\np3\n").with("fare_attributes.txt", v1);
    assert_eq!(price(&both.feed(), &ask("A", "B")), Some(300));
}
