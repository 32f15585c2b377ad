//! Opens a ZIP that may be hostile: what its directory says is held to bounds before anything of it
//! is unpacked.

use std::{
    collections::BTreeSet,
    io::{self, BufReader, Read, Seek, SeekFrom},
};

use zip::ZipArchive;

/// Most entries.
const MAX_ENTRIES: usize = 10_000;

/// The archive, or what is wrong with it.
pub(super) fn open<R: Read + Seek>(mut file: R) -> Result<ZipArchive<R>, String> {
    let unreadable = |error| format!("is neither a folder nor a readable ZIP ({error})");
    let zip = ZipArchive::new(&mut file).map_err(|e| unreadable(e.to_string()))?;
    if zip.len() > MAX_ENTRIES {
        return Err(format!("has more than {MAX_ENTRIES} entries"));
    }
    let (directory, entries) = (zip.central_directory_start(), zip.len());
    match repeated(&mut file, directory, entries) {
        Ok(None) => ZipArchive::new(file).map_err(|e| unreadable(e.to_string())),
        Ok(Some(name)) => Err(format!("has `{name}` twice, and nobody knows which counts")),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// The first name that the central directory has twice. Crate zip keeps the last entry and is silent.
fn repeated(
    file: &mut (impl Read + Seek),
    directory: u64,
    entries: usize,
) -> io::Result<Option<String>> {
    /// APPNOTE 4.3.12: signature, size of the fixed part, and where its three lengths stand.
    const SIGNATURE: [u8; 4] = *b"PK\x01\x02";
    const FIXED: usize = 46;
    const LENGTHS: usize = 28;
    file.seek(SeekFrom::Start(directory))?;
    let mut file = BufReader::new(file);
    let mut names = BTreeSet::new();
    loop {
        let mut fixed = Vec::new();
        file.by_ref().take(FIXED as u64).read_to_end(&mut fixed)?;
        if !fixed.starts_with(&SIGNATURE) || fixed.len() < FIXED {
            return match names.len() == entries {
                true => Ok(None),
                false => Err(io::Error::other("its directory is damaged")),
            };
        }
        let length = |n: usize| match fixed.get(LENGTHS + 2 * n..LENGTHS + 2 * n + 2) {
            Some(&[low, high]) => u16::from_le_bytes([low, high]),
            _ => 0,
        };
        let mut name = Vec::new();
        file.by_ref()
            .take(length(0).into())
            .read_to_end(&mut name)?;
        file.seek_relative(i64::from(length(1)) + i64::from(length(2)))?;
        let shown = String::from_utf8_lossy(&name).into_owned();
        if !names.insert(name) {
            return Ok(Some(shown));
        }
    }
}
