//! The files of a data folder. With [`crate::feed`] the only part of the crate that does I/O, and it
//! only reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::de::DeserializeOwned;

use crate::{FareError, Tariffs, problems::Problems};

/// File contents by their path inside the data folder, `/` between the parts.
pub(crate) type Texts = BTreeMap<String, String>;

pub(crate) const OPERATORS: &str = "operators.toml";
pub(crate) const CALENDAR: &str = "transit/calendar.toml";

/// Largest file that is read, bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;

impl Tariffs {
    /// Loads the data folder (such as `data/fujian`): `operators.toml`, `transit/calendar.toml`,
    /// and for each city `transit/<city>/*.toml` and `transit/<city>/gtfs/*.txt`.
    pub fn load(folder: &Path) -> Result<Self, FareError> {
        Self::from_texts(&Self::texts(folder)?)
    }

    /// The files of a data folder that [`Self::load`] reads, by their path in it.
    pub fn texts(folder: &Path) -> Result<BTreeMap<String, String>, FareError> {
        Self::texts_of(folder, None)
    }

    /// The same, of one city only where it is named.
    pub(crate) fn texts_of(folder: &Path, only: Option<&str>) -> Result<Texts, FareError> {
        let mut texts = Texts::new();
        for file in [OPERATORS, CALENDAR] {
            texts.insert(file.to_owned(), read(&folder.join(file))?);
        }
        for city in list(&folder.join("transit"))? {
            let path = folder.join("transit").join(&city);
            if !path.is_dir() || only.is_some_and(|only| only != city) {
                continue;
            }
            take(&mut texts, &path, &format!("transit/{city}/"), ".toml")?;
            let gtfs = path.join("gtfs");
            if gtfs.is_dir() {
                take(&mut texts, &gtfs, &format!("transit/{city}/gtfs/"), ".txt")?;
            }
        }
        Ok(texts)
    }
}

pub(crate) fn missing(file: &str) -> FareError {
    FareError::Missing {
        file: file.to_owned(),
    }
}

/// Parses a file that must be there and builds what it says.
pub(crate) fn parsed<F: DeserializeOwned, T>(
    texts: &Texts,
    file: &str,
    errors: &mut Vec<FareError>,
    build: impl FnOnce(&mut Problems<'_>, F) -> T,
) -> Option<T> {
    let Some(text) = texts.get(file) else {
        errors.push(missing(file));
        return None;
    };
    let mut problems = Problems::new(file, text, errors);
    let raw = problems.parse()?;
    Some(build(&mut problems, raw))
}

/// The `transit/<city>/` folders that hold files.
pub(crate) fn cities(texts: &Texts) -> BTreeSet<String> {
    texts
        .keys()
        .filter_map(|path| {
            let (city, _) = path.strip_prefix("transit/")?.split_once('/')?;
            Some(format!("transit/{city}/"))
        })
        .collect()
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> FareError {
    let path = path.display().to_string();
    move |source| FareError::Io { path, source }
}

fn read(path: &Path) -> Result<String, FareError> {
    let length = std::fs::metadata(path).map_err(io(path))?.len();
    if length > MAX_FILE_BYTES {
        let problem = format!("is larger than {MAX_FILE_BYTES} bytes");
        return Err(FareError::Wrong {
            file: path.display().to_string(),
            line: None,
            field: String::new(),
            problem,
        });
    }
    std::fs::read_to_string(path).map_err(io(path))
}

/// The names in a folder, sorted; those that are not UTF-8 are none of ours.
fn list(path: &Path) -> Result<BTreeSet<String>, FareError> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(path).map_err(io(path))? {
        if let Ok(name) = entry.map_err(io(path))?.file_name().into_string() {
            names.insert(name);
        }
    }
    Ok(names)
}

/// Takes the files of a folder that end in `suffix`.
fn take(texts: &mut Texts, folder: &Path, key: &str, suffix: &str) -> Result<(), FareError> {
    for name in list(folder)? {
        if name.ends_with(suffix) {
            texts.insert(format!("{key}{name}"), read(&folder.join(&name))?);
        }
    }
    Ok(())
}
