//! A city's folder, tariffs in TOML beside the feed: what its check says.

use std::{fs, io::Write, path::Path};

use fare::feed::{Feed, FeedQuote, Findings};
use tempfile::TempDir;

use crate::build::ask;

/// A copy of the example data with texts replaced in files of Fuzhou.
fn fuzhou(changes: &[(&str, &str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/fujian");
    for file in ["operators.toml", "transit/calendar.toml"] {
        fs::create_dir_all(dir.path().join("transit/fuzhou/gtfs")).unwrap();
        fs::copy(data.join(file), dir.path().join(file)).unwrap();
    }
    for below in ["transit/fuzhou", "transit/fuzhou/gtfs"] {
        for entry in fs::read_dir(data.join(below)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.file_name().unwrap();
                fs::copy(&path, dir.path().join(below).join(name)).unwrap();
            }
        }
    }
    for (file, from, to) in changes {
        let path = dir.path().join("transit/fuzhou").join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no `{from}`");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    }
    dir
}

fn check(dir: &TempDir) -> (Option<Feed>, Findings) {
    Feed::open(&dir.path().join("transit/fuzhou")).unwrap()
}

/// File, text of the line and field of every error.
fn errors(dir: &TempDir) -> Vec<(String, String, String)> {
    let (feed, findings) = check(dir);
    assert_eq!(feed.is_some(), findings.is_ok());
    let city = dir.path().join("transit/fuzhou");
    let told = findings.errors.into_iter().map(|f| {
        let below = [city.join(&f.file), city.join("gtfs").join(&f.file)];
        let path = below.iter().find(|path| path.is_file());
        let text = fs::read_to_string(path.unwrap_or_else(|| panic!("{f}"))).unwrap();
        let line = f.line.unwrap_or_else(|| panic!("no line: {f}")) as usize;
        let line = text.lines().nth(line - 1).unwrap().to_owned();
        (f.file, line, f.field)
    });
    told.collect()
}

#[test]
fn every_mistake_is_found_in_tariffs_and_feed() {
    assert_eq!(errors(&fuzhou(&[])), []);
    let dir = fuzhou(&[
        ("bus.toml", "pay_percent = 90", "pay_percent = 190"),
        ("bus.toml", "id = \"FZB17\"", "id = \"FZB18\""),
        ("metro.toml", "fare = \"3.00\"", "fare = 3"),
        ("metro.toml", "metres = 1336", "metres = \"far\""),
        ("taxi.toml", "chosen = \"as-distance\"", "chosen = \"x\""),
        ("transfer.toml", "off = \"0.50\"", "of = \"0.50\""),
        ("transfer.toml", "off = \"0.50\"", "off = \"-0.50\""),
        ("gtfs/stops.txt", "FZM103,103", "FZM103,x"),
    ]);
    let found = errors(&dir);
    let found: Vec<_> = found.iter().map(|(a, b, c)| [&**a, b, c]).collect();
    let route = "route `FZB18`";
    let segment =
        r#"    { from = "FZM101", to = "FZM102", metres = "far", status = "published" },"#;
    let expected = [
        [
            "bus.toml",
            "pay_percent = 190",
            "discount `t-union-10`, pay_percent",
        ],
        ["bus.toml", "id = \"FZB18\"", route],
        ["metro.toml", "    { up_to_m = 10000, fare = 3 },", "fare"],
        ["metro.toml", segment, "metres"],
        [
            "stops.txt",
            "FZM103,x,罗汉山,,26.130,119.313,0",
            "stop_code",
        ],
        ["taxi.toml", "chosen = \"x\"", "low_speed.chosen"],
        ["transfer.toml", "of = \"0.50\"", "of"],
        ["transfer.toml", "off = \"-0.50\"", "off"],
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_city_without_a_tariff_for_its_routes_prices_nothing() {
    let dir = fuzhou(&[]);
    for file in ["bus.toml", "metro.toml", "contracts.toml"] {
        fs::remove_file(dir.path().join("transit/fuzhou").join(file)).unwrap();
    }
    let (feed, findings) = check(&dir);
    assert!(feed.is_none());
    assert_eq!(findings.errors[0].file, "agency.txt", "{findings:?}");
}

fn quote(feed: &Feed, at: &str) -> FeedQuote {
    let mut question = ask("FZM101", "FZM104");
    (question.rider, question.at) = (Some("elderly"), Some(at.parse().unwrap()));
    feed.quote(&question).unwrap()
}

/// The 1st of October is a holiday in every year, and known to be one in those of the calendar only.
#[test]
fn a_year_without_known_holidays_is_told() {
    let feed = check(&fuzhou(&[])).0.unwrap();
    assert_eq!(feed.holiday_years().as_deref(), Some("2026"));
    let known = quote(&feed, "2026-10-01T08:00:00");
    assert_eq!(known.amount_minor, 0);
    let unknown = quote(&feed, "2027-10-01T08:00:00");
    assert_eq!(unknown.amount_minor, 200, "a Friday");
    let notes = |quote: &FeedQuote| -> Vec<String> {
        let told = |note: &&String| note.contains("by its weekday");
        quote.notes.iter().filter(told).cloned().collect()
    };
    assert_eq!(notes(&known), [""; 0]);
    let [note] = &notes(&unknown)[..] else {
        panic!("{unknown:?}")
    };
    assert!(
        note.contains("holidays of 2026") && note.contains("2027-10-01"),
        "{note}"
    );
    assert!(note.contains("this price asks"), "{note}");
}

/// Away from its data folder, or in a ZIP, the city would be priced by its feed alone: other prices.
#[test]
fn a_city_whose_tariffs_cannot_be_read_is_refused() {
    let dir = fuzhou(&[]);
    fs::remove_file(dir.path().join("operators.toml")).unwrap();
    let (feed, findings) = check(&dir);
    assert!(feed.is_none());
    assert_eq!(findings.errors[0].file, "bus.toml", "{findings:?}");

    let city = dir.path().join("transit/fuzhou");
    for folder in ["", "fuzhou/"] {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for below in ["", "gtfs/"] {
            for entry in fs::read_dir(city.join(below)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let name = path.file_name().unwrap().to_str().unwrap();
                    let options = zip::write::SimpleFileOptions::default();
                    zip.start_file(format!("{folder}{below}{name}"), options)
                        .unwrap();
                    zip.write_all(&fs::read(&path).unwrap()).unwrap();
                }
            }
        }
        let path = dir.path().join("fuzhou.zip");
        fs::write(&path, zip.finish().unwrap().into_inner()).unwrap();
        let (feed, findings) = Feed::open(&path).unwrap();
        assert!(feed.is_none());
        let [error] = &findings.errors[..] else {
            panic!("{findings:#?}")
        };
        assert_eq!(error.file, format!("{folder}bus.toml"));
        assert!(error.problem.contains("not read from a ZIP"), "{error}");
    }
}

/// From 70 years the metro is free off-peak, by the tariff's rule for an age and a card kind.
#[test]
fn a_concession_by_age_asks_for_the_age() {
    let answer = |feed: &Feed, rider, age| {
        let mut question = ask("FZM101", "FZM104");
        question.at = Some("2026-11-23T10:00:00".parse().unwrap());
        (question.rider, question.age) = (Some(rider), age);
        let quote = feed.quote(&question).unwrap();
        let told = quote
            .notes
            .into_iter()
            .filter(|note| note.contains("--age"));
        (quote.amount_minor, told.collect::<Vec<_>>())
    };
    let by_kind = check(&fuzhou(&[])).0.unwrap();
    let age_only = [(
        "metro.toml",
        "kinds = [\"elderly\"]\nmin_age = 70",
        "min_age = 70",
    )];
    let age_only = check(&fuzhou(&age_only)).0.unwrap();
    for (feed, unknown, says) in [
        (&by_kind, 0, "decided by the card's kind"),
        (&age_only, 200, "does not hold"),
    ] {
        assert_eq!(answer(feed, "elderly", Some(69)), (200, vec![]));
        assert_eq!(answer(feed, "elderly", Some(70)), (0, vec![]));
        let (amount, told) = answer(feed, "elderly", None);
        assert_eq!(amount, unknown);
        let [note] = &told[..] else {
            panic!("{told:?}")
        };
        assert!(
            note.starts_with("fuzhou-metro/elderly-70 is from 70 years"),
            "{note}"
        );
        assert!(note.contains(says), "{note}");
    }
}
