//! A small feed to vary: A - B - C by bus R1, C - D by metro R2, D - A by bus R3.

use std::{collections::BTreeMap, path::PathBuf};

use fare::feed::{Ask, Feed, FeedQuote, Findings};

#[derive(Debug, Clone)]
pub(crate) struct Files(pub(crate) BTreeMap<String, String>);

pub(crate) fn base() -> Files {
    let stops = "stop_id,stop_name,stop_lat,stop_lon,zone_id\n\
                 A,Alpha,26.0,119.0,z1\nB,Beta,26.1,119.0,z2\nC,Gamma,26.2,119.0,z3\nD,Delta,26.3,119.0,z4\n";
    let times = "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n\
                 T1,08:00:00,08:00:00,A,1\nT1,08:10:00,08:10:00,B,2\nT1,08:20:00,08:20:00,C,3\n\
                 T2,08:30:00,08:30:00,C,1\nT2,08:45:00,08:45:00,D,2\n\
                 T3,09:00:00,09:00:00,D,1\nT3,09:05:00,09:05:00,A,2\n";
    let files = [
        (
            "agency.txt",
            "agency_id,agency_name,agency_url,agency_timezone\nX,X,https://x.example,Asia/Shanghai\n",
        ),
        ("stops.txt", stops),
        (
            "routes.txt",
            "route_id,agency_id,route_short_name,route_type,network_id\nR1,X,1,3,bus\nR2,X,2,1,metro\nR3,X,3,3,bus\n",
        ),
        (
            "trips.txt",
            "route_id,service_id,trip_id\nR1,wk,T1\nR2,wk,T2\nR3,wk,T3\n",
        ),
        ("stop_times.txt", times),
        (
            "calendar.txt",
            "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n\
             wk,1,1,1,1,1,0,0,20260101,20261231\nwe,0,0,0,0,0,1,1,20260101,20261231\n",
        ),
    ];
    Files(files.map(|(n, t)| (n.to_owned(), t.to_owned())).into())
}

/// Areas z1 to z4 of stops A to D, two riders, two media, products `p1` (1.00) to `p9`.
pub(crate) fn base_v2(leg_rules: &str) -> Files {
    let mut products =
        "fare_product_id,rider_category_id,fare_media_id,amount,currency\n".to_owned();
    for n in 1..=9 {
        products += &format!("p{n},,,{n}.00,CNY\n");
    }
    base()
        .with("areas.txt", "area_id\nz1\nz2\nz3\nz4\n")
        .with(
            "stop_areas.txt",
            "area_id,stop_id\nz1,A\nz2,B\nz3,C\nz4,D\n",
        )
        .with("fare_products.txt", &products)
        .with("fare_leg_rules.txt", leg_rules)
}

impl Files {
    pub(crate) fn with(mut self, name: &str, text: &str) -> Self {
        self.0.insert(name.to_owned(), text.to_owned());
        self
    }

    /// With a text replaced in one file.
    pub(crate) fn but(mut self, name: &str, from: &str, to: &str) -> Self {
        let text = self.0.get_mut(name).unwrap_or_else(|| panic!("no {name}"));
        assert!(text.contains(from), "{name} has no `{from}`");
        *text = text.replacen(from, to, 1);
        self
    }

    pub(crate) fn read(&self) -> (Option<Feed>, Findings) {
        Feed::from_bytes(self.0.iter().map(|(n, t)| (n.as_str(), t.as_bytes())))
    }

    pub(crate) fn feed(&self) -> Feed {
        let (feed, findings) = self.read();
        feed.unwrap_or_else(|| panic!("{:#?}", findings.errors))
    }
}

pub(crate) fn ask<'a>(from: &'a str, to: &'a str) -> Ask<'a> {
    Ask {
        from,
        to,
        ..Ask::default()
    }
}

pub(crate) fn quote(feed: &Feed, from: &str, to: &str) -> FeedQuote {
    feed.quote(&ask(from, to)).unwrap()
}

/// What a question costs, `None` where nothing prices it.
pub(crate) fn price(feed: &Feed, ask: &Ask<'_>) -> Option<i64> {
    let quote = feed.quote(ask).ok()?;
    let steps: i64 = quote.steps.iter().map(|s| s.amount_minor).sum();
    assert_eq!(steps.max(0), quote.amount_minor, "steps add up: {quote:?}");
    Some(quote.amount_minor)
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// (from, to, rider, media) -> (amount, product).
pub(crate) fn table(feed: &Feed) -> BTreeMap<[String; 4], (i64, String)> {
    feed.table()
        .map(|row| {
            let key = [row.from_stop_id, row.to_stop_id, row.rider, row.media];
            (
                key.map(str::to_owned),
                (row.amount_minor, row.product.to_string()),
            )
        })
        .collect()
}
