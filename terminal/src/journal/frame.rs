//! The journal's bytes: a magic, then frames `length 4 | check 4 | payload | chain 32`.
//!
//! The payload is the JSON of one [`Entry`] or a list of them; the chain is SHA-256 over the previous chain, the
//! length and the payload, so that no frame can be changed, removed from the middle or moved. The
//! check covers the length alone: a damaged length must not look like an unfinished frame.

use clearing_api::record::{Debit, Record};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::JournalError;

/// First bytes of every journal file; the digit is the format's version.
pub(super) const MAGIC: &[u8; 8] = b"OCJRNL1\n";
/// Largest payload.
pub(super) const PAYLOAD_MAX: usize = 64 * 1024;
/// Bytes around a payload.
const OVERHEAD: usize = 4 + 4 + 32;

/// One durable step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Entry {
    /// First frame: whose journal this is, where its numbering continues, and what earlier
    /// generations of the file left open.
    Open {
        /// Device number.
        device: card_spec::id::DeviceNo,
        /// Chain at the end of the file's earlier generation, hex; empty in the first.
        previous: String,
        /// Next journal sequence.
        next: u64,
        /// Torn debits that no later record completed.
        unresolved: Vec<Record>,
        /// Top-ups that the clearing house does not know to be confirmed.
        loads: Vec<LoadNote>,
    },
    /// A debit is about to be sent to a card. Its record says [`Debit::Unknown`].
    Intent {
        /// The record if nothing more becomes known.
        record: Record,
        /// Cache image: the CAPP updates of the transaction, hex.
        cache: Vec<String>,
    },
    /// What became of the intent.
    Commit {
        /// Its journal sequence.
        journal_seq: u64,
        /// The outcome.
        debit: Debit,
    },
    /// A record that needs no intent.
    Record {
        /// The record.
        record: Record,
    },
    /// A card took a load, or may have.
    Load {
        /// What is known of it.
        load: LoadNote,
    },
    /// The clearing house confirmed a load.
    LoadConfirmed {
        /// Id of the authorisation.
        id: u64,
    },
    /// The oldest waiting records through this one are about to go up as one batch.
    Sent {
        /// Last journal sequence.
        last: u64,
    },
    /// The clearing house answered a batch.
    Answered {
        /// First journal sequence.
        first: u64,
        /// Last journal sequence.
        last: u64,
        /// Receipt number.
        batch_id: Option<u64>,
        /// Outcome numbers of the records that were not simply accepted, with their sequence.
        notable: Vec<(u64, u16)>,
    },
}

/// A top-up between CREDIT FOR LOAD and the clearing house's confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadNote {
    /// Id of the authorisation.
    pub id: u64,
    /// Card.
    pub pan: card_spec::id::Pan,
    /// Online sequence before its increment.
    pub seq: u16,
    /// Amount.
    pub amount: card_spec::Fen,
    /// The TAC, once the card gave it.
    pub tac: Option<[u8; 4]>,
}

pub(super) type Chain = [u8; 32];

/// The chain before the first frame.
pub(super) fn genesis() -> Chain {
    Sha256::digest(MAGIC).into()
}

fn link(previous: &Chain, length: [u8; 4], payload: &[u8]) -> Chain {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(length);
    hash.update(payload);
    hash.finalize().into()
}

fn length_check(previous: &Chain, length: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d, ..] = link(previous, length, b"length");
    [a, b, c, d]
}

/// The bytes of one frame and the chain after it. A frame is one write: several entries are a list.
pub(super) fn encode(
    previous: &Chain,
    entries: &[Entry],
) -> Result<(Vec<u8>, Chain), JournalError> {
    let payload = match entries {
        [entry] => serde_json::to_vec(entry),
        several => serde_json::to_vec(several),
    };
    let payload = payload.map_err(JournalError::encode)?;
    let length = match u32::try_from(payload.len()) {
        Ok(length) if payload.len() <= PAYLOAD_MAX => length.to_be_bytes(),
        _ => {
            return Err(JournalError::EntryTooLong {
                bytes: payload.len(),
            });
        }
    };
    let chain = link(previous, length, &payload);
    let mut out = Vec::with_capacity(payload.len() + OVERHEAD);
    out.extend_from_slice(&length);
    out.extend_from_slice(&length_check(previous, length));
    out.extend_from_slice(&payload);
    out.extend_from_slice(&chain);
    Ok((out, chain))
}

fn decode(payload: &[u8]) -> Option<Vec<Entry>> {
    match payload.first()? {
        b'[' => serde_json::from_slice(payload).ok(),
        _ => serde_json::from_slice(payload).ok().map(|one| vec![one]),
    }
}

/// What stands at an offset.
pub(super) enum Parsed {
    /// A whole, chained frame of this many bytes. `unsealed`: only the end of its chain was never
    /// written; enough of it was to know that the rest is whole.
    Frame {
        entries: Vec<Entry>,
        chain: Chain,
        length: usize,
        unsealed: bool,
    },
    /// The rest is the beginning of a frame whose writing never finished.
    Torn,
    /// Damage that a power cut cannot explain.
    Corrupt(&'static str),
}

/// Reads the frame at the start of `bytes`, which stand at `offset` of the file, run to its end and
/// are not empty.
///
/// An append is acknowledged only when all its bytes are durable, and is one frame. So a last frame
/// that is shorter than its length says, or of which a sector is still zeros (the file had grown,
/// the data had not come; a disk writes sectors in any order), was never acknowledged. A frame with
/// all its sectors and a wrong chain was written and then damaged, and so was one that another
/// follows. Where both could be (the last bytes of the chain are zeros), the frame is kept.
pub(super) fn parse(previous: &Chain, bytes: &[u8], offset: u64) -> Parsed {
    let Some((header, rest)) = bytes.split_first_chunk::<8>() else {
        return Parsed::Torn;
    };
    let [a, b, c, d, check @ ..] = *header;
    let length = [a, b, c, d];
    if check != length_check(previous, length) {
        return torn_or(bytes, offset, "frame length damaged");
    }
    let payload_length = u32::from_be_bytes(length) as usize;
    if payload_length > PAYLOAD_MAX {
        return Parsed::Corrupt("impossible frame length");
    }
    let Some((payload, rest)) = rest.split_at_checked(payload_length) else {
        return Parsed::Torn;
    };
    let Some((stored, after)) = rest.split_first_chunk::<32>() else {
        return Parsed::Torn;
    };
    let chain = link(previous, length, payload);
    let written = chain.iter().zip(stored).take_while(|(a, b)| a == b).count();
    let unsealed = written < chain.len();
    if unsealed {
        let mut end = stored.iter().skip(written).chain(after);
        let is_open = end.all(|b| *b == 0);
        if !is_open || written < chain.len() / 2 {
            return torn_or(bytes, offset, "checksum does not match");
        }
    }
    match decode(payload) {
        Some(entries) => Parsed::Frame {
            entries,
            chain,
            length: payload_length + OVERHEAD,
            unsealed,
        },
        None => Parsed::Corrupt("entry of an unknown form"),
    }
}

/// What a disk writes whole or not at all.
const SECTOR: u64 = 512;
/// Zeros at a sector's end that nothing written has: JSON holds none, hashes and lengths few.
const UNWRITTEN: usize = 8;

/// Whether `bytes`, no frame as they are, are the last write, unfinished, or damage.
fn torn_or(bytes: &[u8], offset: u64, what: &'static str) -> Parsed {
    let written = bytes.len() - bytes.iter().rev().take_while(|b| **b == 0).count();
    let is_last = written <= PAYLOAD_MAX + OVERHEAD && !holds_frame(bytes);
    if is_last && has_unwritten_sector(bytes, offset) {
        Parsed::Torn
    } else {
        Parsed::Corrupt(what)
    }
}

fn has_unwritten_sector(bytes: &[u8], offset: u64) -> bool {
    let first = (SECTOR - offset % SECTOR) as usize;
    let (first, rest) = bytes.split_at_checked(first).unwrap_or((bytes, &[]));
    let zeros = |sector: &[u8]| sector.iter().rev().take_while(|b| **b == 0).count();
    // The first may have room for less; below three bytes a frame may begin with zeros itself.
    let of_first = zeros(first) >= UNWRITTEN.min(first.len()) && first.len() > 2;
    of_first || (rest.chunks(SECTOR as usize)).any(|sector| zeros(sector) >= UNWRITTEN)
}

/// Whether a whole frame stands anywhere in `bytes`: what follows a frame continues its chain.
fn holds_frame(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| {
        let Some((previous, rest)) = bytes.get(at..).and_then(|b| b.split_first_chunk::<32>())
        else {
            return false;
        };
        let Some((&[a, b, c, d, w, x, y, z], rest)) = rest.split_first_chunk::<8>() else {
            return false;
        };
        let length = [a, b, c, d];
        let payload = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        // Cheap before dear: most places do not even hold a length that fits.
        payload <= rest.len()
            && [w, x, y, z] == length_check(previous, length)
            && (rest.split_at_checked(payload)).is_some_and(|(payload, stored)| {
                stored.starts_with(&link(previous, length, payload))
            })
    })
}
