//! An append-only file of JSON lines in which every line fixes all before it.
//!
//! A line is a JSON object that ends in `"hash":"…"}`; the hash is SHA-256 over the hash before it
//! and the object without the hash member. Beside the file, `<file>.head` holds the number and hash
//! of the last line that was made durable: a chain alone would not show that its tail was cut off.
//! A line torn by a crash was never acknowledged and is dropped at the next opening.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use hsm_client::AuditPlace as Place;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::store;

/// Longest line, in bytes.
const LINE_MAX: usize = 64 * 1024;
const OPEN: &[u8] = b",\"hash\":\"";
const CLOSE: &[u8] = b"\"}";
/// `number(20) | space | hash(64) | newline`: overwritten in place, within one disk sector.
const HEAD_LENGTH: usize = 86;

/// Why a chained file is not what was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChainError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("line {0} was changed, or a line before it was removed or moved")]
    Broken(u64),
    #[error("{missing} line(s) at the end are missing")]
    Cut { missing: u64 },
    #[error("its head file is missing or damaged")]
    Head,
    #[error("line {line} {why}")]
    Entry { line: u64, why: &'static str },
}

/// What a walk over the file found.
pub(crate) struct Walked {
    pub(crate) lines: u64,
    pub(crate) head: [u8; 32],
    /// Length of the intact lines; beyond it is a torn line.
    length: u64,
}

/// Before the first line.
pub(crate) fn beginning(label: &str) -> Place {
    Place {
        offset: 0,
        before: genesis(label),
    }
}

fn genesis(label: &str) -> [u8; 32] {
    Sha256::digest(format!("onecard-chain-v1|{label}")).into()
}

fn link(head: &[u8; 32], body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(head);
    hash.update(body);
    hash.finalize().into()
}

fn head_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".head");
    PathBuf::from(name)
}

/// Checks the whole file against its chain and its head; `each` sees where every entry begins and its
/// JSON, and says what is wrong with it.
pub(crate) fn walk(
    path: &Path,
    label: &str,
    mut each: impl FnMut(&Place, &[u8]) -> Result<(), &'static str>,
) -> Result<Walked, ChainError> {
    let (head_lines, head_hash) = read_head(path)?;
    let mut reader = BufReader::new(File::open(path)?);
    let mut walked = Walked {
        lines: 0,
        head: genesis(label),
        length: 0,
    };
    let mut at_head = (head_lines == 0).then_some(walked.head);
    let mut line = Vec::new();
    loop {
        line.clear();
        let n = io::Read::take(&mut reader, LINE_MAX as u64 + 1).read_until(b'\n', &mut line)?;
        let number = walked.lines + 1;
        if n > LINE_MAX {
            return Err(ChainError::Broken(number));
        }
        if line.pop() != Some(b'\n') {
            break;
        }
        let place = Place {
            offset: walked.length,
            before: walked.head,
        };
        let (body, hash) = follow(&place.before, &line).ok_or(ChainError::Broken(number))?;
        walked.head = hash;
        each(&place, &body).map_err(|why| ChainError::Entry { line: number, why })?;
        walked.lines = number;
        walked.length += n as u64;
        if number == head_lines {
            at_head = Some(walked.head);
        }
    }
    match at_head {
        None => Err(ChainError::Cut {
            missing: head_lines - walked.lines,
        }),
        Some(hash) if hash != head_hash => Err(ChainError::Head),
        Some(_) => Ok(walked),
    }
}

/// The object in a line, without its newline, and its hash; if it follows that before it.
pub(crate) fn follow(before: &[u8; 32], line: &[u8]) -> Option<(Vec<u8>, [u8; 32])> {
    let (body, written) = split(line)?;
    let hash = link(before, &body);
    // As text: hex in another case is another line.
    (hex::encode(hash).as_bytes() == written).then_some((body, hash))
}

/// The object without its hash member, and the hash.
fn split(line: &[u8]) -> Option<(Vec<u8>, &[u8; 64])> {
    let rest = line.strip_suffix(CLOSE)?;
    let (rest, hash) = rest.split_last_chunk::<64>()?;
    let mut body = rest.strip_suffix(OPEN)?.to_vec();
    body.push(b'}');
    Some((body, hash))
}

fn read_head(path: &Path) -> Result<(u64, [u8; 32]), ChainError> {
    let text = std::fs::read(head_path(path)).map_err(|_| ChainError::Head)?;
    let parse = || {
        let text = core::str::from_utf8(text.get(..HEAD_LENGTH)?).ok()?;
        let (number, hash) = text.trim_end().split_once(' ')?;
        let mut value = [0; 32];
        hex::decode_to_slice(hash, &mut value).ok()?;
        Some((number.parse().ok()?, value))
    };
    parse().ok_or(ChainError::Head)
}

/// An open chained file.
pub(crate) struct Chain {
    file: File,
    head_file: File,
    length: u64,
    lines: u64,
    head: [u8; 32],
    unsynced: bool,
}

impl Chain {
    /// A new, empty file and its head.
    pub(crate) fn create(path: &Path, label: &str) -> io::Result<Self> {
        let new = |path: &Path| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true);
            store::restrict(&mut options);
            options.open(path)
        };
        let mut chain = Self {
            file: new(path)?,
            head_file: new(&head_path(path))?,
            length: 0,
            lines: 0,
            head: genesis(label),
            unsynced: false,
        };
        chain.write_head()?;
        chain.head_file.sync_all()?;
        if let Some(directory) = path.parent() {
            store::sync_directory(directory)?;
        }
        Ok(chain)
    }

    /// Opens an existing file after checking all of it; a torn last line is cut off.
    pub(crate) fn open(
        path: &Path,
        label: &str,
        each: impl FnMut(&Place, &[u8]) -> Result<(), &'static str>,
    ) -> Result<Self, ChainError> {
        let walked = walk(path, label, each)?;
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        if file.metadata()?.len() != walked.length {
            file.set_len(walked.length)?;
        }
        let head_file = OpenOptions::new().write(true).open(head_path(path))?;
        Ok(Self {
            file,
            head_file,
            length: walked.length,
            lines: walked.lines,
            head: walked.head,
            unsynced: false,
        })
    }

    /// Appends one entry. On an error the file is as it was before.
    pub(crate) fn append(&mut self, entry: &impl Serialize) -> io::Result<()> {
        let body = serde_json::to_vec(entry)?;
        let Some(open) = body.strip_suffix(b"}") else {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        };
        let head = link(&self.head, &body);
        let mut line = open.to_vec();
        line.extend_from_slice(OPEN);
        line.extend_from_slice(hex::encode(head).as_bytes());
        line.extend_from_slice(CLOSE);
        line.push(b'\n');
        if line.len() > LINE_MAX {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let written = self
            .file
            .seek(SeekFrom::Start(self.length))
            .and_then(|_| self.file.write_all(&line));
        if let Err(error) = written {
            // A full disk may have taken half a line; without this the next line would follow it.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += line.len() as u64;
        self.lines += 1;
        self.head = head;
        self.unsynced = true;
        Ok(())
    }

    /// Makes every line durable, then moves the head.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file.sync_data()?;
            self.write_head()?;
            self.unsynced = false;
        }
        Ok(())
    }

    fn write_head(&mut self) -> io::Result<()> {
        let text = format!("{:020} {}\n", self.lines, hex::encode(self.head));
        self.head_file.seek(SeekFrom::Start(0))?;
        self.head_file.write_all(text.as_bytes())
    }

    /// Number of lines.
    pub(crate) const fn lines(&self) -> u64 {
        self.lines
    }

    /// After the last line.
    pub(crate) const fn end(&self) -> Place {
        Place {
            offset: self.length,
            before: self.head,
        }
    }

    /// Hash of the last line.
    pub(crate) const fn head(&self) -> [u8; 32] {
        self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(directory: &Path) -> PathBuf {
        let path = directory.join("log.jsonl");
        let mut chain = Chain::create(&path, "test").expect("new file");
        for i in 0..5 {
            chain.append(&json!({ "n": i })).expect("appended");
        }
        chain.sync().expect("synced");
        path
    }

    fn check(path: &Path) -> Result<u64, ChainError> {
        walk(path, "test", |_, _| Ok(())).map(|w| w.lines)
    }

    #[test]
    fn intact_and_reopened() {
        let directory = tempfile::tempdir().expect("directory");
        let path = written(directory.path());
        assert_eq!(check(&path).expect("intact"), 5);
        let mut seen = Vec::new();
        let mut chain = Chain::open(&path, "test", |_, body| {
            seen.push(body.to_vec());
            Ok(())
        })
        .expect("opens");
        assert_eq!(seen[4], br#"{"n":4}"#);
        chain.append(&json!({ "n": 5 })).expect("appended");
        chain.sync().expect("synced");
        assert_eq!(check(&path).expect("intact"), 6);
        assert!(
            walk(&path, "other", |_, _| Ok(())).is_err(),
            "labels separate"
        );
    }

    #[test]
    fn change_removal_move_and_cut_are_seen() {
        let directory = tempfile::tempdir().expect("directory");
        let path = written(directory.path());
        let text = std::fs::read_to_string(&path).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        let put = |lines: &[&str]| {
            std::fs::write(&path, lines.join("\n") + "\n").expect("written");
            check(&path)
        };
        let changed = lines[2].replace("\"n\":2", "\"n\":7");
        let mut edited = lines.clone();
        edited[2] = &changed;
        assert!(matches!(put(&edited), Err(ChainError::Broken(3))));
        let mut dropped = lines.clone();
        dropped.remove(1);
        assert!(matches!(put(&dropped), Err(ChainError::Broken(2))));
        let mut swapped = lines.clone();
        swapped.swap(3, 4);
        assert!(matches!(put(&swapped), Err(ChainError::Broken(4))));
        assert!(matches!(
            put(&lines[..4]),
            Err(ChainError::Cut { missing: 1 })
        ));
        assert!(matches!(put(&lines), Ok(5)));
        std::fs::remove_file(head_path(&path)).expect("removed");
        assert!(matches!(check(&path), Err(ChainError::Head)));
    }

    #[test]
    fn every_flipped_byte_is_seen() {
        let directory = tempfile::tempdir().expect("directory");
        let path = written(directory.path());
        let bytes = std::fs::read(&path).expect("bytes");
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x01;
            std::fs::write(&path, &flipped).expect("written");
            assert!(check(&path).is_err(), "{at}");
        }
    }

    #[test]
    fn a_torn_unacknowledged_line_is_dropped() {
        let directory = tempfile::tempdir().expect("directory");
        let path = written(directory.path());
        let mut file = OpenOptions::new().append(true).open(&path).expect("file");
        file.write_all(br#"{"n":5,"ha"#).expect("written");
        let mut chain = Chain::open(&path, "test", |_, _| Ok(())).expect("opens");
        assert_eq!(chain.lines(), 5);
        chain.append(&json!({ "n": 5 })).expect("appended");
        chain.sync().expect("synced");
        assert_eq!(check(&path).expect("intact"), 6);
    }
}
