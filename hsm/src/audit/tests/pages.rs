//! What somebody elsewhere reads is what was written, or is noticed.

use super::*;
use crate::audit::reader::Reader;
use hsm_client::{AuditFrom, AuditPage, AuditPlace};
use std::sync::OnceLock;

const NOTES: u64 = 600;

/// Lines that are long enough for several pages; the clock is put back after half of them.
fn long_log(directory: &Path) -> (PathBuf, Audit) {
    let (path, by) = (directory.join("audit.jsonl"), signer(1));
    let mut audit = Audit::create(&path, &by).expect("new");
    for i in 0..NOTES {
        let minute = if i < NOTES / 2 { i } else { i - 100 };
        let entry = Entry {
            time: time(minute),
            actor: "Lin",
            role: "officer",
            act: "sign",
            outcome: 0,
            detail: json!({ "i": i, "more": "x".repeat(4000) }),
        };
        audit.note(&by, entry).expect("noted");
    }
    (path, audit)
}

fn reader(from: Option<CardTime>) -> Reader {
    Reader::new(&public(&signer(1)), from).expect("a key")
}

fn page(path: &Path, audit: &mut Audit, from: AuditFrom) -> AuditPage {
    let stretch = audit.stretch(&signer(1), time(NOTES), from);
    stretch.expect("there").read(path).expect("read")
}

/// Every page of a reading.
fn pages(path: &Path, audit: &mut Audit, from: Option<CardTime>) -> Vec<AuditPage> {
    let (mut reader, mut pages) = (reader(from), Vec::new());
    while let Some(from) = reader.wanted() {
        let page = page(path, audit, from);
        reader.read(&page).expect("sound");
        pages.push(page);
    }
    pages
}

/// What was proved of some pages; and whether the reading ended well.
fn read(pages: &[AuditPage]) -> (Vec<Line>, bool) {
    let (mut reader, mut proved) = (reader(None), Vec::new());
    for page in pages {
        match reader.read(page) {
            Ok(lines) => proved.extend(lines),
            Err(_) => return (proved, false),
        }
    }
    (proved, reader.head().is_ok())
}

#[test]
fn a_reading_is_the_log() {
    let directory = tempfile::tempdir().expect("directory");
    let (path, mut audit) = long_log(directory.path());
    let all = pages(&path, &mut audit, None);
    assert!(all.len() > 2, "several pages");
    let text: String = all.iter().map(|page| page.lines.as_str()).collect();
    assert_eq!(text, fs::read_to_string(&path).expect("text"));
    let (lines, ended) = read(&all);
    assert!(ended);
    assert_eq!(lines, bodies(&path));
    // What was not signed yet was signed for the reader, once.
    let report = verify(&path).expect("sound");
    assert_eq!((report.lines, report.unsigned), (603, 0));
    pages(&path, &mut audit, None);
    assert_eq!(audit.lines(), 603);
    // It is the head that `verify` prints.
    let mut again = reader(None);
    for page in &all {
        again.read(page).expect("sound");
    }
    assert_eq!(again.head().expect("ended"), (report.lines, report.head));
}

/// From any time on no line is missed, although the clock was put back; and what is of long before is
/// not sent.
#[test]
fn a_time_is_found_whatever_the_clock_did() {
    let directory = tempfile::tempdir().expect("directory");
    let (path, mut audit) = long_log(directory.path());
    audit.checkpoint(&signer(1), time(NOTES)).expect("closed");
    let all = bodies(&path);
    let whole = fs::metadata(&path).expect("file").len();
    for minute in [0, 1, 254, 255, 256, 280, 299, 300, 420, 499, 599] {
        let from = time(minute);
        let sent = pages(&path, &mut audit, Some(from));
        let mut reader = reader(Some(from));
        let mut lines = Vec::new();
        for page in &sent {
            lines.extend(reader.read(page).expect("sound"));
        }
        lines.retain(|line| line.time >= from);
        let mut expected = all.clone();
        expected.retain(|line| line.time >= from);
        assert_eq!(lines, expected, "{minute}");
        let sent: usize = sent.iter().map(|page| page.lines.len()).sum();
        let (begun, later) = (sent as u64 == whole, minute > 255);
        assert_eq!(begun, !later, "{minute}: {sent} of {whole}");
    }
    // A first page of too late, or in the middle of what no checkpoint begins.
    let late = page(&path, &mut audit, AuditFrom::Time(time(450)));
    assert!(late.place.offset > 0);
    assert!(reader(None).read(&late).is_err());
    assert!(reader(Some(time(100))).read(&late).is_err());
    let first = page(&path, &mut audit, AuditFrom::Time(CardTime::MIN));
    let one = first.lines.find('\n').expect("a line") + 1;
    let hash = &first.lines[one - 67..one - 3];
    let mut before = [0; 32];
    hex::decode_to_slice(hash, &mut before).expect("hash");
    let offset = one as u64;
    let second = AuditPlace { offset, before };
    let second = page(&path, &mut audit, AuditFrom::Place(second));
    assert!(reader(Some(time(500))).read(&second).is_err());
}

/// The file under a running HSM is another's work: a chain made anew is not signed, neither by the old
/// checkpoints nor by the one that is made for the reader.
#[test]
fn a_log_rewritten_under_the_hsm_is_not_signed() {
    let directory = tempfile::tempdir().expect("directory");
    let (path, mut audit) = long_log(directory.path());
    let mut lines = bodies(&path);
    // After the last checkpoint, where no old signature is in the way.
    lines[550].actor = "Lim".to_owned();
    let other = tempfile::tempdir().expect("directory");
    let forgery = written(other.path(), 0);
    forged(&forgery, &lines);
    // The HSM has the file open: it is overwritten, not replaced.
    fs::write(&path, fs::read(&forgery).expect("bytes")).expect("written");
    let (mut reader, mut proved) = (reader(None), Vec::new());
    let mut seen = false;
    while let Some(from) = reader.wanted().filter(|_| !seen) {
        match reader.read(&page(&path, &mut audit, from)) {
            Ok(lines) => proved.extend(lines),
            Err(_) => seen = true,
        }
    }
    assert!(seen);
    assert_eq!(proved, lines[..256], "what the page before proved");
}

fn sound() -> &'static (Vec<AuditPage>, Vec<Line>) {
    static SOUND: OnceLock<(Vec<AuditPage>, Vec<Line>)> = OnceLock::new();
    SOUND.get_or_init(|| {
        let directory = tempfile::tempdir().expect("directory");
        let (path, mut audit) = long_log(directory.path());
        let pages = pages(&path, &mut audit, None);
        (pages, bodies(&path))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any byte changed, any line or page dropped, doubled or moved, any end cut off: the reading does
    /// not end well, and what was proved before is what was written.
    #[test]
    fn any_tampering_with_pages_is_noticed(
        page in 0usize..100, at in 0usize..1_000_000, other in 1usize..1_000_000,
        how in 0..7, bit in 0..7u8,
    ) {
        let (sound, written) = sound();
        let mut pages = sound.clone();
        let page = page % pages.len();
        let mut lines: Vec<&str> = sound[page].lines.split_inclusive('\n').collect();
        let n = at % lines.len();
        match how {
            0 => {
                let mut bytes = sound[page].lines.clone().into_bytes();
                let at = at % bytes.len();
                bytes[at] ^= 1 << bit;
                pages[page].lines = String::from_utf8(bytes).expect("ASCII");
            }
            1 => {
                lines.remove(n);
                pages[page].lines = lines.concat();
            }
            2 => {
                lines.insert(n, lines[n]);
                pages[page].lines = lines.concat();
            }
            3 => {
                let m = (n + 1 + other % (lines.len() - 1)) % lines.len();
                lines.swap(n, m);
                pages[page].lines = lines.concat();
            }
            4 => {
                pages.remove(page);
            }
            5 => {
                let m = (page + 1 + other % (pages.len() - 1)) % pages.len();
                pages.swap(page, m);
            }
            _ => {
                pages.truncate(page + 1);
                pages[page].lines = lines[..n].concat();
            }
        }
        let (proved, ended) = read(&pages);
        prop_assert!(!ended);
        prop_assert!(proved.len() < written.len());
        prop_assert_eq!(&proved[..], &written[..proved.len()]);
    }
}
