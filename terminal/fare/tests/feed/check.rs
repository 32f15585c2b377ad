//! What a check says about a feed that is wrong: every mistake, with file, line and field.

use std::io::Write;

use fare::feed::{Feed, Findings};

use crate::build::{Files, base, base_v2, fixture};

fn errors(findings: &Findings) -> Vec<(&str, Option<u64>, &str)> {
    findings
        .errors
        .iter()
        .map(|f| (&*f.file, f.line, &*f.field))
        .collect()
}

/// The only error of a feed.
fn one(files: &Files) -> (String, u64, String) {
    let (feed, findings) = files.read();
    assert!(feed.is_none(), "a feed with an error is refused whole");
    match &findings.errors[..] {
        [only] => (
            only.file.clone(),
            only.line.unwrap_or(0),
            only.field.clone(),
        ),
        other => panic!("not one error: {other:#?}"),
    }
}

fn v1() -> Files {
    base()
        .with(
            "fare_attributes.txt",
            "fare_id,price,currency_type,payment_method,transfers,transfer_duration\nf,2.00,CNY,0,1,3600\n",
        )
        .with("fare_rules.txt", "fare_id,route_id,origin_id,destination_id,contains_id\nf,R1,z1,z2,z1\n")
}

fn v2() -> Files {
    base_v2(
        "leg_group_id,network_id,from_area_id,to_area_id,from_timeframe_group_id,fare_product_id,rule_priority\n\
         g,bus,z1,z2,peak,p1,1\nh,metro,,,,p2,0\n",
    )
    .with(
        "timeframes.txt",
        "timeframe_group_id,start_time,end_time,service_id\npeak,07:00:00,09:00:00,wk\n",
    )
    .with(
        "fare_transfer_rules.txt",
        "from_leg_group_id,to_leg_group_id,transfer_count,duration_limit,duration_limit_type,fare_transfer_type,fare_product_id\n\
         g,g,1,600,1,0,p3\n",
    )
    .with("fare_leg_join_rules.txt", "from_network_id,to_network_id,from_stop_id,to_stop_id\nbus,metro,C,C\n")
}

/// A mutation of one file and where the one finding must be.
type Case<'a> = (&'a str, &'a str, &'a str, (&'a str, u64, &'a str));

#[test]
fn every_kind_of_mistake_is_found_where_it_is() {
    assert!(v1().read().1.is_ok() && v2().read().1.is_ok());
    let of_v1: &[Case<'_>] = &[
        // agency, stops, routes, trips, stop_times, calendar
        (
            "stops.txt",
            "B,Beta",
            "A,Again,26.0,119.0,z1
B,Beta",
            ("stops.txt", 3, "stop_id"),
        ),
        ("stops.txt", "Beta", "", ("stops.txt", 3, "stop_name")),
        ("stops.txt", "26.1", "96.1", ("stops.txt", 3, "stop_lat")),
        (
            "routes.txt",
            "R2,X,2,1",
            "R2,X,2,42",
            ("routes.txt", 3, "route_type"),
        ),
        (
            "routes.txt",
            "R2,X,2",
            "R2,X,",
            ("routes.txt", 3, "route_short_name"),
        ),
        ("routes.txt", "R2,X", "R2,Z", ("routes.txt", 3, "agency_id")),
        ("trips.txt", "R2,wk", "R9,wk", ("trips.txt", 3, "route_id")),
        (
            "trips.txt",
            "R2,wk",
            "R2,su",
            ("trips.txt", 3, "service_id"),
        ),
        (
            "stop_times.txt",
            "C,1",
            "X,1",
            ("stop_times.txt", 5, "stop_id"),
        ),
        (
            "stop_times.txt",
            "C,1",
            ",1",
            ("stop_times.txt", 5, "stop_id"),
        ),
        (
            "stop_times.txt",
            "B,2",
            "B,1",
            ("stop_times.txt", 3, "stop_sequence"),
        ),
        (
            "stop_times.txt",
            "08:10:00,08:10:00",
            "07:10:00,08:10:00",
            ("stop_times.txt", 3, "arrival_time"),
        ),
        (
            "stop_times.txt",
            "08:10:00,08:10:00",
            "08:70:00,08:10:00",
            ("stop_times.txt", 3, "arrival_time"),
        ),
        (
            "calendar.txt",
            "1,1,1,1,1,0,0",
            "1,1,1,1,2,0,0",
            ("calendar.txt", 2, "friday"),
        ),
        (
            "calendar.txt",
            "20261231",
            "20260231",
            ("calendar.txt", 2, "end_date"),
        ),
        (
            "calendar.txt",
            "20261231",
            "20251231",
            ("calendar.txt", 2, "end_date"),
        ),
        // fare_attributes and fare_rules
        (
            "fare_attributes.txt",
            "2.00",
            "-2.00",
            ("fare_attributes.txt", 2, "price"),
        ),
        (
            "fare_attributes.txt",
            "2.00",
            "2.005",
            ("fare_attributes.txt", 2, "price"),
        ),
        (
            "fare_attributes.txt",
            "2.00",
            "two",
            ("fare_attributes.txt", 2, "price"),
        ),
        (
            "fare_attributes.txt",
            "CNY",
            "RMB",
            ("fare_attributes.txt", 2, "currency_type"),
        ),
        (
            "fare_attributes.txt",
            "CNY,0,1",
            "CNY,2,1",
            ("fare_attributes.txt", 2, "payment_method"),
        ),
        (
            "fare_attributes.txt",
            "CNY,0,1",
            "CNY,0,3",
            ("fare_attributes.txt", 2, "transfers"),
        ),
        (
            "fare_attributes.txt",
            "3600",
            "1 h",
            ("fare_attributes.txt", 2, "transfer_duration"),
        ),
        (
            "fare_attributes.txt",
            ",transfers,",
            ",changes,",
            ("fare_attributes.txt", 1, "transfers"),
        ),
        (
            "fare_attributes.txt",
            "f,2.00",
            "f,1.00,CNY,0,0,\nf,2.00",
            ("fare_attributes.txt", 3, "fare_id"),
        ),
        (
            "fare_rules.txt",
            "f,R1",
            "g,R1",
            ("fare_rules.txt", 2, "fare_id"),
        ),
        (
            "fare_rules.txt",
            "f,R1",
            "f,R9",
            ("fare_rules.txt", 2, "route_id"),
        ),
        (
            "fare_rules.txt",
            "z1,z2",
            "z9,z2",
            ("fare_rules.txt", 2, "origin_id"),
        ),
        (
            "fare_rules.txt",
            "z1,z2",
            "z1,z9",
            ("fare_rules.txt", 2, "destination_id"),
        ),
        (
            "fare_rules.txt",
            "z2,z1",
            "z2,z9",
            ("fare_rules.txt", 2, "contains_id"),
        ),
        (
            "fare_rules.txt",
            "z2,z1\n",
            "z2,z1\nf,R1,z1,z2,z1\n",
            ("fare_rules.txt", 3, "fare_id"),
        ),
    ];
    let of_v2: &[Case<'_>] = &[
        (
            "agency.txt",
            "Asia",
            "Asia/Shanghai\nY,Y,https://y.example,Europe",
            ("agency.txt", 3, "agency_timezone"),
        ),
        ("areas.txt", "z2\n", "z2\nz1\n", ("areas.txt", 4, "area_id")),
        (
            "stop_areas.txt",
            "z2,B",
            "z1,A",
            ("stop_areas.txt", 3, "stop_id"),
        ),
        (
            "stop_areas.txt",
            "z2,B",
            "z9,B",
            ("stop_areas.txt", 3, "area_id"),
        ),
        (
            "fare_products.txt",
            "p1,,,1.00",
            "p1,,,1.0",
            ("fare_products.txt", 2, "amount"),
        ),
        (
            "fare_products.txt",
            "1.00,CNY",
            "1.00,JPY",
            ("fare_products.txt", 2, "amount"),
        ),
        (
            "fare_products.txt",
            "p1,,",
            "p1,kid,",
            ("fare_products.txt", 2, "rider_category_id"),
        ),
        (
            "fare_products.txt",
            "p1,,",
            "p1,,card",
            ("fare_products.txt", 2, "fare_media_id"),
        ),
        (
            "fare_products.txt",
            "p2,,,",
            "p1,,,5.00,CNY\np2,,,",
            ("fare_products.txt", 3, "fare_product_id"),
        ),
        (
            "fare_leg_rules.txt",
            "p1,1",
            "pX,1",
            ("fare_leg_rules.txt", 2, "fare_product_id"),
        ),
        (
            "fare_leg_rules.txt",
            "p1,1",
            "p1,-1",
            ("fare_leg_rules.txt", 2, "rule_priority"),
        ),
        (
            "fare_leg_rules.txt",
            "p1,1",
            "p1,high",
            ("fare_leg_rules.txt", 2, "rule_priority"),
        ),
        (
            "fare_leg_rules.txt",
            "g,bus",
            "g,tram",
            ("fare_leg_rules.txt", 2, "network_id"),
        ),
        (
            "fare_leg_rules.txt",
            "z1,z2",
            "z9,z2",
            ("fare_leg_rules.txt", 2, "from_area_id"),
        ),
        (
            "fare_leg_rules.txt",
            "z1,z2",
            "z1,z9",
            ("fare_leg_rules.txt", 2, "to_area_id"),
        ),
        (
            "fare_leg_rules.txt",
            "peak",
            "noon",
            ("fare_leg_rules.txt", 2, "from_timeframe_group_id"),
        ),
        (
            "timeframes.txt",
            "09:00:00",
            "24:00:01",
            ("timeframes.txt", 2, "end_time"),
        ),
        (
            "timeframes.txt",
            "09:00:00",
            "07:00:00",
            ("timeframes.txt", 2, "end_time"),
        ),
        (
            "timeframes.txt",
            "09:00:00",
            "",
            ("timeframes.txt", 2, "end_time"),
        ),
        (
            "timeframes.txt",
            "wk",
            "xx",
            ("timeframes.txt", 2, "service_id"),
        ),
        (
            "timeframes.txt",
            "wk\n",
            "wk\npeak,08:59:59,10:00:00,wk\npeak,09:00:00,10:00:00,we\n",
            ("timeframes.txt", 3, "start_time"),
        ),
        (
            "fare_transfer_rules.txt",
            "g,g,1",
            "g,g,",
            ("fare_transfer_rules.txt", 2, "transfer_count"),
        ),
        (
            "fare_transfer_rules.txt",
            "g,g,1",
            "g,h,1",
            ("fare_transfer_rules.txt", 2, "transfer_count"),
        ),
        (
            "fare_transfer_rules.txt",
            "g,g,1",
            "g,g,0",
            ("fare_transfer_rules.txt", 2, "transfer_count"),
        ),
        (
            "fare_transfer_rules.txt",
            "600,1",
            "600,",
            ("fare_transfer_rules.txt", 2, "duration_limit_type"),
        ),
        (
            "fare_transfer_rules.txt",
            "600,1",
            ",1",
            ("fare_transfer_rules.txt", 2, "duration_limit_type"),
        ),
        (
            "fare_transfer_rules.txt",
            "600,1",
            "0,1",
            ("fare_transfer_rules.txt", 2, "duration_limit"),
        ),
        (
            "fare_transfer_rules.txt",
            "0,p3",
            "3,p3",
            ("fare_transfer_rules.txt", 2, "fare_transfer_type"),
        ),
        (
            "fare_transfer_rules.txt",
            "0,p3",
            "0,pX",
            ("fare_transfer_rules.txt", 2, "fare_product_id"),
        ),
        (
            "fare_leg_join_rules.txt",
            "C,C",
            "C,",
            ("fare_leg_join_rules.txt", 2, "to_stop_id"),
        ),
        (
            "fare_leg_join_rules.txt",
            "C,C",
            "C,X",
            ("fare_leg_join_rules.txt", 2, "to_stop_id"),
        ),
        (
            "fare_leg_join_rules.txt",
            "bus",
            "tram",
            ("fare_leg_join_rules.txt", 2, "from_network_id"),
        ),
    ];
    let mut missed = Vec::new();
    for (feed, cases) in [(v1(), of_v1), (v2(), of_v2)] {
        for (file, from, to, expected) in cases {
            let (read, findings) = feed.clone().but(file, from, to).read();
            assert!(read.is_none(), "{file}: `{from}` to `{to}` is accepted");
            if errors(&findings) != [(expected.0, Some(expected.1), expected.2)] {
                missed.push(format!(
                    "{file}: `{from}` to `{to}`: {:?}",
                    errors(&findings)
                ));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn all_mistakes_are_reported_not_the_first() {
    let files = v1()
        .but("stops.txt", "C,Gamma", "C,")
        .but("fare_attributes.txt", "2.00,CNY,0", "x,RMB,7")
        .but("fare_rules.txt", "f,R1,z1", "f,R9,z9");
    assert_eq!(
        errors(&files.read().1),
        [
            ("fare_attributes.txt", Some(2), "price"),
            ("fare_attributes.txt", Some(2), "currency_type"),
            ("fare_attributes.txt", Some(2), "payment_method"),
            ("fare_rules.txt", Some(2), "origin_id"),
            ("fare_rules.txt", Some(2), "route_id"),
            ("stops.txt", Some(4), "stop_name"),
        ]
    );
}

#[test]
fn lines_are_counted_with_crlf_and_quoted_commas_and_a_byte_order_mark() {
    let text = v1().0["stops.txt"]
        .replace("Beta", "\"Beta, North\"")
        .replace('\n', "\r\n");
    let files = v1().with("stops.txt", &format!("\u{feff}{text}"));
    assert!(files.read().1.is_ok());
    let (file, line, field) = one(&files.but("stops.txt", "26.3", "North"));
    assert_eq!((&*file, line, &*field), ("stops.txt", 5, "stop_lat"));
}

#[test]
fn a_shifted_row_is_refused_only_where_it_shifts_what_is_read() {
    let files = v1().but("stops.txt", "Beta", "Beta, North");
    assert!(errors(&files.read().1).contains(&("stops.txt", Some(3), "")));
    let files = v2().with(
        "areas.txt",
        "area_id,area_name\nz1,One, North\nz2,\nz3,\nz4,\n",
    );
    let (feed, findings) = files.read();
    assert!(feed.is_some(), "{:?}", findings.errors);
    assert_eq!(findings.warnings.len(), 1);
}

#[test]
fn broken_files() {
    for name in [
        "agency.txt",
        "stops.txt",
        "routes.txt",
        "trips.txt",
        "stop_times.txt",
    ] {
        let mut files = v1();
        files.0.remove(name);
        let (_, findings) = files.read();
        assert!(
            errors(&findings).contains(&(name, None, "")),
            "{name}: {findings:?}"
        );
    }
    let latin: Vec<(&str, &[u8])> = vec![("agency.txt", b"agency_id,agency_name\nX,Z\xfcrich\n")];
    let (feed, findings) = Feed::from_bytes(latin);
    assert!(feed.is_none() && errors(&findings).contains(&("agency.txt", Some(2), "")));
    let files = v1().but("fare_rules.txt", "f,R1", "\"f,R1");
    assert!(errors(&files.read().1).contains(&("fare_rules.txt", Some(2), "")));
    assert_eq!(
        one(&v1().with("fare_rules.txt", "")),
        ("fare_rules.txt".into(), 0, String::new())
    );
    let files = v2().with("networks.txt", "network_id\nbus\n");
    assert_eq!(
        one(&files).0,
        "networks.txt",
        "forbidden beside routes.network_id"
    );
}

/// Nothing but headers is no feed to price with, whatever its form.
#[test]
fn what_a_feed_lacks_is_said_and_an_error_where_nothing_is_priced() {
    let mut headers = v1();
    for text in headers.0.values_mut() {
        *text = text.lines().next().unwrap().to_owned() + "\n";
    }
    let (feed, findings) = headers.read();
    assert!(feed.is_none());
    let of = |found: &[fare::feed::Finding]| -> Vec<String> {
        found.iter().map(|f| f.file.clone()).collect()
    };
    assert_eq!(of(&findings.errors), ["fare_products.txt", "stops.txt"]);
    assert_eq!(
        of(&findings.warnings),
        ["agency.txt", "routes.txt", "stop_times.txt"]
    );
    assert_eq!(one(&base()).0, "fare_products.txt", "no fare at all");
    let products = "fare_product_id,amount,currency\np,1.00,CNY\n";
    let unused = base().with("fare_products.txt", products);
    assert_eq!(one(&unused).0, "fare_products.txt", "no rule sells it");
}

/// Rows about what an excerpt left out have no effect; unknown columns and files are no errors.
#[test]
fn what_no_price_depends_on_is_a_warning() {
    let files = v2()
        .but("stop_areas.txt", "z4,D", "z4,D\nz4,E")
        .with(
            "transfers.txt",
            "from_stop_id,to_stop_id,transfer_type,own\nA,Q,0,x\n",
        )
        .with("own.txt", "a\nb\n");
    let (feed, findings) = files.read();
    assert!(feed.is_some(), "{:#?}", findings.errors);
    assert_eq!(findings.warnings.len(), 3, "{:#?}", findings.warnings);
}

fn zipped(files: &Files, folder: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in &files.0 {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(format!("{folder}{name}"), options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// What a ZIP with these bytes is refused for.
fn refused(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("feed.zip");
    std::fs::write(&path, bytes).unwrap();
    let (feed, findings) = Feed::open(&path).unwrap();
    assert!(feed.is_none());
    let texts = findings.errors.iter().map(ToString::to_string);
    texts.collect::<Vec<_>>().join("\n")
}

/// The ZIP with another unpacked size of stops.txt in its directory.
fn claiming(size: u32) -> Vec<u8> {
    let mut zip = zipped(&v1(), "");
    let name = zip.windows(9).rposition(|w| w == b"stops.txt").unwrap();
    zip[name - 46 + 24..name - 46 + 28].copy_from_slice(&size.to_le_bytes());
    zip
}

#[test]
fn a_zip_bomb_is_refused_before_it_is_unpacked() {
    let says = refused(&claiming(u32::MAX - 1));
    assert!(says.contains("unpacks to 429496"), "{says}");
    let says = refused(&claiming(3));
    assert!(says.contains("stops.txt: unpacks to more than"), "{says}");
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for n in 0..=10_000 {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(n.to_string(), options).unwrap();
    }
    let says = refused(&zip.finish().unwrap().into_inner());
    assert!(says.contains("more than 10000 entries"), "{says}");
}

#[test]
fn a_zip_with_one_name_twice_is_refused() {
    let twice = v1().with("stopz.txt", &v1().0["stops.txt"]);
    let mut zip = zipped(&twice, "");
    while let Some(at) = zip.windows(9).position(|w| w == b"stopz.txt") {
        zip[at + 4] = b's';
    }
    let says = refused(&zip);
    assert!(says.contains("has `stops.txt` twice"), "{says}");
}

#[test]
fn a_line_without_end_is_refused() {
    let files = v1().but("stops.txt", "Gamma", &"x".repeat(70_000));
    let (_, findings) = files.read();
    let first = &findings.errors[0];
    let long = findings
        .errors
        .iter()
        .find(|f| f.problem.contains("longer"));
    let long = long.unwrap_or_else(|| panic!("{first}"));
    assert_eq!((&*long.file, long.line), ("stops.txt", Some(4)));
}

#[test]
fn folders_and_zips() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("feed.zip");
    for (folder, warnings) in [("", 0), ("metra/", 1)] {
        std::fs::write(&path, zipped(&v1(), folder)).unwrap();
        let (feed, findings) = Feed::open(&path).unwrap();
        assert!(feed.is_some(), "{:?}", findings.errors);
        assert_eq!(
            findings.warnings.len(),
            warnings,
            "files below the root are a warning"
        );
    }
    let whole = zipped(&v1(), "");
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (feed, findings) = Feed::open(&path).unwrap();
    assert!(feed.is_none() && findings.errors[0].file.ends_with("feed.zip"));
    assert!(
        Feed::open(&dir.path().join("none"))
            .unwrap_err()
            .to_string()
            .contains("no feed at")
    );
    // The city's folder holds tariffs and, below, the feed.
    for city in ["fuzhou", "xiamen"] {
        let data = fixture("../../../../data/fujian/transit").join(city);
        let (feed, findings) = Feed::open(&data).unwrap();
        assert!(
            feed.is_some() && findings.warnings.is_empty(),
            "{findings:#?}"
        );
    }
}
