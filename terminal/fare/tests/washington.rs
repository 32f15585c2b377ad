//! A fare table that others published: Washington's Metrorail of 2017, peak, off-peak and senior, as
//! conveyal/r5 keeps it (`src/main/resources/fares/dc/metrorail.csv` at 3be6daa, MIT licence): all pairs of
//! its first seven stations, in cents, by the feed's stop ids. The table has no distances, so every
//! station is a zone of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use std::collections::{BTreeMap, BTreeSet};

use card_spec::Fen;
use common::*;
use fare::*;

/// From, to, peak, off-peak, senior.
const FACTS: [(&str, &str, i64, i64, i64); 21] = [
    ("13107", "6751", 380, 315, 190),
    ("13107", "7477", 370, 310, 185),
    ("13107", "12926", 445, 365, 220),
    ("13107", "12631", 525, 385, 260),
    ("13107", "4613", 225, 200, 110),
    ("13107", "4387", 570, 385, 285),
    ("6751", "7477", 225, 200, 110),
    ("6751", "12926", 295, 250, 145),
    ("6751", "12631", 375, 310, 185),
    ("6751", "4613", 315, 260, 155),
    ("6751", "4387", 455, 370, 225),
    ("7477", "12926", 235, 205, 115),
    ("7477", "12631", 305, 260, 150),
    ("7477", "4613", 295, 255, 145),
    ("7477", "4387", 370, 310, 185),
    ("12926", "12631", 230, 205, 115),
    ("12926", "4613", 375, 315, 185),
    ("12926", "4387", 410, 340, 205),
    ("12631", "4613", 455, 375, 225),
    ("12631", "4387", 435, 340, 215),
    ("4613", "4387", 500, 385, 250),
];

fn decimal(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn washington() -> Tariffs {
    let stops: BTreeSet<&str> = FACTS.iter().flat_map(|(a, b, ..)| [*a, *b]).collect();
    let own =
        "[provenance]\nsource = \"conveyal/r5\"\ndate = \"2017-06-25\"\nstatus = \"unverified\"\n";
    let (mut zones, mut fares) = (String::new(), String::new());
    let mut fare = |a: &str, b: &str, peak, low| {
        let (peak, low) = (decimal(peak), decimal(low));
        fares +=
            &format!("{{ zones = [\"{a}\", \"{b}\"], fare = \"{low}\", peak_fare = \"{peak}\" }},");
    };
    let mut rows = "stop_id,stop_code,stop_name\n".to_owned();
    let mut times = "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n".to_owned();
    for (n, stop) in stops.iter().enumerate() {
        zones += &format!("{{ id = \"{stop}\", stops = [\"{stop}\"] }},");
        fare(stop, stop, 225, 200);
        rows += &format!("{stop},{},{stop}\n", n + 1);
        times += &format!("t,07:0{n}:00,07:0{n}:00,{stop},{n}\n");
    }
    for (a, b, peak, low, _) in FACTS {
        fare(a, b, peak, low);
    }
    let text = |name: &str, text: String| (name.to_owned(), text);
    let dir = "transit/dc/";
    let texts = BTreeMap::from([
        text("operators.toml", format!("{own}[[operator]]\nid = \"W\"\nzh = \"华盛顿\"\nen = \"Washington\"\nkind = \"metro\"\ncity = \"359900\"\nsettlement_account = \"SYN\"\n")),
        text("transit/calendar.toml", format!("kind = \"calendar\"\nid = \"cal\"\nyears = [2026]\nholidays = []\nworked = []\n{own}")),
        text(&format!("{dir}gtfs/agency.txt"), "agency_id,agency_name,agency_url,agency_timezone\nW,W,https://example.org,America/New_York\n".to_owned()),
        text(&format!("{dir}gtfs/routes.txt"), "route_id,agency_id,route_short_name,route_long_name,route_type\nR,W,R,R,1\n".to_owned()),
        text(&format!("{dir}gtfs/trips.txt"), "route_id,service_id,trip_id\nR,d,t\n".to_owned()),
        text(&format!("{dir}gtfs/stops.txt"), rows),
        text(&format!("{dir}gtfs/stop_times.txt"), times),
        text(&format!("{dir}metro.toml"), format!(
            "kind = \"metro\"\nid = \"dc\"\noperator = \"W\"\ncity = \"359900\"\nclass = \"metro\"\nsame_station = \"lowest\"\nentry_balance = \"lowest\"\ndouble_tap_seconds = 60\ncorrection_days = 7\n\
             peak = [{{ days = \"workdays\", from = \"05:00\", to = \"09:30\" }}, {{ days = \"workdays\", from = \"15:00\", to = \"19:00\" }}]\n\
             zone = [{zones}]\nzone_fare = [{fares}]\nline = [{{ route = \"R\", code = 1 }}]\n{own}\
             [[discount]]\nid = \"senior\"\nzh = \"老人半价\"\nen = \"senior, half\"\npay_percent = 50\nkinds = [\"elderly\"]\n"
        )),
    ]);
    Tariffs::from_texts(&texts).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_pair_costs_what_the_table_says() {
    let tariffs = washington();
    let fare = |from: &str, to: &str, entered: &str, rider| {
        let ride = MetroRide {
            operator: "W".into(),
            from_stop: from.into(),
            to_stop: to.into(),
            entered_at: at(&format!("2026-11-{entered}:00")),
            exited_at: at(&format!("2026-11-{}T23:00:00", &entered[..2])),
            rider,
            prior: None,
            state: None,
        };
        checked(tariffs.quote_metro(&ride).unwrap()).amount
    };
    for (a, b, peak, low, senior) in FACTS {
        for (from, to) in [(a, b), (b, a)] {
            // Monday: the entry decides, not the exit. Sunday: no peak.
            for entered in ["23T09:29", "23T15:00", "23T18:59"] {
                assert_eq!(
                    fare(from, to, entered, NORMAL),
                    Fen(peak),
                    "{from} {to} {entered}"
                );
            }
            for entered in ["23T09:30", "23T14:59", "23T19:00", "22T09:00"] {
                assert_eq!(
                    fare(from, to, entered, NORMAL),
                    Fen(low),
                    "{from} {to} {entered}"
                );
            }
            // Washington rounds half the fare down to five cents, we to the cent.
            let half = fare(from, to, "23T09:00", ELDERLY).0;
            assert!((senior..senior + 5).contains(&half), "{from} {to}: {half}");
        }
    }
}
