//! Bytes of a feed's files, from a folder or a ZIP. The only part of this module that does I/O.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read, Seek},
    path::Path,
};

use super::{
    archive,
    findings::{Findings, Place},
    schema,
};

/// Most that is read of a feed, bytes: a ZIP's entry may claim less than it unpacks to.
const MAX_BYTES: u64 = 2 << 30;

/// Why a feed could not be looked at, let alone checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Nothing is there.
    #[error("no feed at {0}: give a folder or a ZIP with GTFS files")]
    NotFound(String),
    /// The system would not let us read.
    #[error("cannot read {path}: {source}; check the permissions")]
    Io {
        /// File or folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// File contents by their name. Files that no price depends on are named, not read.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    pub(super) texts: BTreeMap<String, Vec<u8>>,
}

impl Files {
    /// Reads a folder or a ZIP. What is wrong *inside* is a finding.
    pub(super) fn open(path: &Path, findings: &mut Findings) -> Result<Self, SourceError> {
        let shown = || path.display().to_string();
        let io = |source| SourceError::Io {
            path: shown(),
            source,
        };
        let meta = match std::fs::metadata(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(SourceError::NotFound(shown()));
            }
            other => other.map_err(io)?,
        };
        if meta.is_dir() {
            Self::folder(path, findings)
        } else {
            let file = File::open(path).map_err(io)?;
            Ok(Self::zip(&shown(), file, findings))
        }
    }

    fn folder(path: &Path, findings: &mut Findings) -> Result<Self, SourceError> {
        let mut names = BTreeSet::new();
        for below in std::iter::once(path.to_owned()).chain(folders(path)?) {
            let prefix = below.strip_prefix(path).unwrap_or(&below);
            for name in list(&below)? {
                names.insert(prefix.join(name).display().to_string());
            }
        }
        let mut files = Self::default();
        let root = root_of(&names, findings);
        for name in names {
            let Some(plain) = plain(&name, &root) else {
                continue;
            };
            let at = path.join(&name);
            let io = |source| SourceError::Io {
                path: at.display().to_string(),
                source,
            };
            if at.is_file() {
                files.take(plain, File::open(&at).map_err(io)?, findings);
            }
        }
        Ok(files)
    }

    fn zip(shown: &str, file: impl Read + Seek, findings: &mut Findings) -> Self {
        let mut files = Self::default();
        let remedy = "zip the feed's files again; nothing of it can be read";
        let mut zip = match archive::open(file) {
            Ok(zip) => zip,
            Err(problem) => {
                findings.error(Place::file(shown), problem, remedy);
                return files;
            }
        };
        let names: BTreeSet<String> = zip
            .file_names()
            .filter(|name| !name.ends_with('/') && !name.starts_with("__MACOSX/"))
            .map(str::to_owned)
            .collect();
        let root = root_of(&names, findings);
        let city = root.strip_suffix("gtfs/");
        let tariff =
            |name: &&String| name.ends_with(".toml") && city.is_some_and(|c| name.starts_with(c));
        if let Some(tariff) = names.iter().find(tariff) {
            let problem = "tariffs of a city are not read from a ZIP, and without them prices would be others";
            let remedy =
                "unpack it as <data>/transit/<city> beside operators.toml and give that folder";
            findings.error(Place::file(tariff), problem, remedy);
        }
        let read = |name: &&String| plain(name, &root).is_some_and(|n| schema::find(n).is_some());
        let sizes = names.iter().filter(read).map(|name| {
            let entry = zip.by_name(name);
            entry.map_or(0, |entry| entry.size())
        });
        let unpacked = sizes.fold(0, u64::saturating_add);
        if unpacked > MAX_BYTES {
            let problem = format!("unpacks to {unpacked} bytes, more than {MAX_BYTES}");
            findings.error(Place::file(shown), problem, "split the feed");
            return files;
        }
        for name in names {
            let Some(plain) = plain(&name, &root) else {
                continue;
            };
            match zip.by_name(&name) {
                Ok(entry) => {
                    let size = entry.size();
                    files.take(plain, entry.take(size.saturating_add(1)), findings);
                    if files
                        .texts
                        .get(plain)
                        .is_some_and(|text| text.len() as u64 > size)
                    {
                        let problem = "unpacks to more than the ZIP says";
                        findings.error(Place::file(plain), problem, remedy);
                    }
                }
                Err(error) => {
                    let problem = format!("cannot be unpacked ({error})");
                    findings.error(Place::file(plain), problem, remedy);
                }
            }
        }
        files
    }

    fn take(&mut self, name: &str, reader: impl Read, findings: &mut Findings) {
        let at = Place::file(name);
        if schema::find(name).is_none() {
            if !schema::OTHER_FILES.contains(&name) {
                let problem = "is no file of GTFS";
                findings.warn(at, problem, "it is left unread; remove it if it is a slip");
            }
            return;
        }
        let mut bytes = Vec::new();
        let taken: usize = self.texts.values().map(Vec::len).sum();
        let left = MAX_BYTES.saturating_sub(taken as u64);
        match reader.take(left + 1).read_to_end(&mut bytes) {
            Err(error) => {
                let remedy = "make the feed again; a part of it cannot be read";
                findings.error(at, format!("is damaged ({error})"), remedy);
            }
            Ok(_) if bytes.len() as u64 > left => {
                let problem = format!("is too large: {MAX_BYTES} bytes are read at most");
                findings.error(at, problem, "split the feed");
            }
            Ok(_) => {
                self.texts.insert(name.to_owned(), bytes);
            }
        }
    }
}

/// GTFS, File Requirements: the files reside at the root. A single folder with all of them is what
/// people make by zipping a folder; there is no doubt what is meant.
fn root_of(names: &BTreeSet<String>, findings: &mut Findings) -> String {
    let known: Vec<(&str, &str)> = names
        .iter()
        .map(|name| name.rsplit_once('/').unwrap_or(("", name)))
        .filter(|(_, file)| schema::find(file).is_some())
        .collect();
    let folders: BTreeSet<&str> = known.iter().map(|(folder, _)| *folder).collect();
    match folders.first() {
        // A city's folder here: tariffs in TOML, and the feed below it.
        Some(&"gtfs") if folders.len() == 1 => "gtfs/".to_owned(),
        Some(first) if folders.len() == 1 && !first.is_empty() => {
            findings.warn(
                Place::file(first),
                "the files lie in this folder, not at the root",
                "zip the files themselves, not their folder",
            );
            format!("{first}/")
        }
        _ => String::new(),
    }
}

fn plain<'a>(name: &'a str, root: &str) -> Option<&'a str> {
    let file = name.strip_prefix(root)?;
    let ours = !file.contains('/') && (file.ends_with(".txt") || file.ends_with(".geojson"));
    ours.then_some(file)
}

fn entries(path: &Path) -> Result<Vec<std::fs::DirEntry>, SourceError> {
    std::fs::read_dir(path)
        .and_then(Iterator::collect)
        .map_err(|source| SourceError::Io {
            path: path.display().to_string(),
            source,
        })
}

fn folders(path: &Path) -> Result<Vec<std::path::PathBuf>, SourceError> {
    let mut found: Vec<_> = entries(path)?.into_iter().map(|e| e.path()).collect();
    found.retain(|p| p.is_dir());
    found.sort();
    Ok(found)
}

fn list(path: &Path) -> Result<Vec<String>, SourceError> {
    Ok(entries(path)?
        .into_iter()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect())
}
