//! The tariffs beside a feed, in a city's folder.

use std::path::Path;

use super::Finding;
use crate::{FareError, Tariffs};

/// The tariffs of the data folder that a city's folder lies in (`<data>/transit/<city>`), if it is
/// one, and what is wrong with them, files named from the city's folder.
pub(super) fn read(path: &Path) -> (Option<Box<Tariffs>>, Vec<Finding>) {
    let nothing = (None, Vec::new());
    let Ok(whole) = path.canonicalize() else {
        return nothing;
    };
    let (Some(data), Some(city)) = (
        whole.parent().and_then(Path::parent),
        whole.file_name().and_then(|name| name.to_str()),
    ) else {
        return nothing;
    };
    if !whole.join("gtfs").is_dir() {
        return nothing;
    }
    if !data.join("operators.toml").is_file() {
        return (None, stranded(&whole));
    }
    let (tariffs, errors) = match Tariffs::texts_of(data, Some(city)) {
        Ok(texts) => Tariffs::check(&texts),
        Err(error) => (None, vec![error]),
    };
    let here = format!("transit/{city}/");
    let found = errors.into_iter().map(|error| finding(error, &here));
    (tariffs.map(Box::new), found.collect())
}

fn finding(error: FareError, here: &str) -> Finding {
    let (file, line, field, problem) = match error {
        FareError::Wrong {
            file,
            line,
            field,
            problem,
        } => (file, line, field, problem),
        FareError::Missing { file } => (file, None, String::new(), "is missing".to_owned()),
        FareError::Io { path, source } => (path, None, String::new(), source.to_string()),
    };
    let name = file.strip_prefix(here).unwrap_or(&file);
    Finding {
        file: name.strip_prefix("gtfs/").unwrap_or(name).to_owned(),
        line: line.map(|line| line as u64),
        field,
        value: String::new(),
        problem,
        remedy: "see docs/fares.md for what the file may say".to_owned(),
        times: 1,
    }
}

/// Tariffs outside a data folder: without its operators they price nothing.
fn stranded(city: &Path) -> Vec<Finding> {
    let names = std::fs::read_dir(city).into_iter().flatten().flatten();
    let mut tariffs: Vec<String> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    tariffs.sort();
    let found = tariffs.into_iter().take(1).map(|file| Finding {
        file,
        line: None,
        field: String::new(),
        value: String::new(),
        problem: "there is no operators.toml two folders up, and without it no tariff is read"
            .to_owned(),
        remedy: "put the folder where it belongs, <data>/transit/<city>".to_owned(),
        times: 1,
    });
    found.collect()
}
