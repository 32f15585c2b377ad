//! A small invented city with zones, caps and passes: two gate lines and a bus.

use std::collections::BTreeMap;

use fare::*;

const PROVENANCE: &str =
    "[provenance]\nsource = \"test\"\ndate = \"2026-11-01\"\nstatus = \"synthetic\"\n";

/// The city of the tests.
pub(crate) fn kata_city() -> CityCode {
    super::city("359900")
}

/// Zones A (stops A1, A2) and B (B1, B2), every stop on one line, fares and caps as given; bus
/// route KB1 costs 2 yuan.
pub(crate) fn kata(zone_fares: &str, peak: &str, contracts: &str) -> Tariffs {
    kata_with(zone_fares, peak, contracts, "")
}

/// The same with `[[discount]]` tables on the gate line.
pub(crate) fn kata_with(zone_fares: &str, peak: &str, contracts: &str, discounts: &str) -> Tariffs {
    Tariffs::from_texts(&kata_texts(zone_fares, peak, contracts, discounts))
        .unwrap_or_else(|e| panic!("{e}"))
}

/// The files of [`kata_with`].
pub(crate) fn kata_texts(
    zone_fares: &str,
    peak: &str,
    contracts: &str,
    discounts: &str,
) -> BTreeMap<String, String> {
    let stops = ["A1", "A2", "B1", "B2"];
    let mut texts = BTreeMap::new();
    let mut put = |name: &str, text: String| {
        texts.insert(name.to_owned(), text);
    };
    let operator = |id: &str, kind: &str| {
        format!(
            "[[operator]]\nid = \"{id}\"\nzh = \"测试\"\nen = \"test\"\nkind = \"{kind}\"\ncity = \"359900\"\nsettlement_account = \"SYN\"\n"
        )
    };
    put(
        "operators.toml",
        format!(
            "{PROVENANCE}{}{}",
            operator("KM", "metro"),
            operator("KB", "bus")
        ),
    );
    put(
        "transit/calendar.toml",
        format!(
            "kind = \"calendar\"\nid = \"cal\"\nyears = [2026]\nholidays = []\nworked = []\n{PROVENANCE}"
        ),
    );
    let dir = "transit/kata/";
    put(
        &format!("{dir}gtfs/agency.txt"),
        "agency_id,agency_name,agency_url,agency_timezone\nKM,KM,https://example.org,Asia/Shanghai\nKB,KB,https://example.org,Asia/Shanghai\n".to_owned(),
    );
    put(
        &format!("{dir}gtfs/routes.txt"),
        "route_id,agency_id,route_short_name,route_long_name,route_type\nKM1,KM,M,M,1\nKB1,KB,B,B,3\n".to_owned(),
    );
    put(
        &format!("{dir}gtfs/trips.txt"),
        "route_id,service_id,trip_id\nKM1,d,m\nKB1,d,b\n".to_owned(),
    );
    let mut rows = "stop_id,stop_code,stop_name\n".to_owned();
    let mut times = "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n".to_owned();
    for (i, stop) in stops.iter().enumerate() {
        rows += &format!("{stop},{},{stop}\n", i + 1);
        for trip in ["m", "b"] {
            times += &format!("{trip},07:0{i}:00,07:0{i}:00,{stop},{i}\n");
        }
    }
    put(&format!("{dir}gtfs/stops.txt"), rows);
    put(&format!("{dir}gtfs/stop_times.txt"), times);
    put(
        &format!("{dir}gtfs/fare_attributes.txt"),
        "fare_id,price,currency_type,payment_method,transfers\nF,2.00,CNY,0,0\n".to_owned(),
    );
    put(
        &format!("{dir}gtfs/fare_rules.txt"),
        "fare_id,route_id\nF,KB1\n".to_owned(),
    );
    put(
        &format!("{dir}metro.toml"),
        format!(
            "kind = \"metro\"\nid = \"km\"\noperator = \"KM\"\ncity = \"359900\"\nclass = \"metro\"\nsame_station = \"lowest\"\nentry_balance = \"lowest\"\ndouble_tap_seconds = 60\ncorrection_days = 7\nstay_limit_minutes = 180\npeak = [{peak}]\nzone = [{{ id = \"A\", stops = [\"A1\", \"A2\"] }}, {{ id = \"B\", stops = [\"B1\", \"B2\"] }}]\nzone_fare = [{zone_fares}]\nline = [{{ route = \"KM1\", code = 1 }}]\n{PROVENANCE}{discounts}"
        ),
    );
    put(
        &format!("{dir}bus.toml"),
        format!(
            "kind = \"bus\"\nid = \"kb\"\noperator = \"KB\"\ncity = \"359900\"\nroute = [{{ id = \"KB1\", code = 1, class = \"city-bus\" }}]\n{PROVENANCE}"
        ),
    );
    put(
        &format!("{dir}contracts.toml"),
        format!(
            "kind = \"contracts\"\nid = \"kc\"\ncity = \"359900\"\nday_begins = \"04:30\"\n{PROVENANCE}{contracts}"
        ),
    );
    texts
}
