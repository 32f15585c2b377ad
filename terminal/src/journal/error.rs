//! Why the journal cannot go on.

use card_spec::id::DeviceNo;

/// Why the journal cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Reading or writing failed.
    #[error("journal: {0}; check the disk")]
    Io(#[from] std::io::Error),
    /// Bytes in the middle are not what was written.
    #[error(
        "the journal is damaged at byte {offset}: {what}; keep the file and call staff, its \
         records must be recovered by hand"
    )]
    Corrupt {
        /// Offset in the file.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Another device wrote it.
    #[error("this is the journal of device {found}, not of {expected}: check the profile")]
    OtherDevice {
        /// Device in the file.
        found: DeviceNo,
        /// Device of the profile.
        expected: DeviceNo,
    },
    /// No space for another sale.
    #[error("the journal is full: upload its {waiting} waiting records")]
    Full {
        /// Records not yet answered by the clearing house.
        waiting: usize,
    },
    /// A sale is still open.
    #[error("journal sequence {journal_seq} is still open: resume or give up that card first")]
    Pending {
        /// The open intent.
        journal_seq: u64,
    },
    /// There is no open sale to commit.
    #[error("no sale is open in the journal")]
    NothingPending,
    /// A write failed half-way and could not be undone.
    #[error("the journal failed earlier: restart the device")]
    Failed,
    /// One entry is larger than any entry should be.
    #[error("a journal entry of {bytes} bytes is too long")]
    EntryTooLong {
        /// Its size.
        bytes: usize,
    },
    /// An entry could not be written as JSON.
    #[error("a journal entry could not be encoded: {0}")]
    Encode(serde_json::Error),
    /// An answer does not belong to what was sent.
    #[error("the clearing house answered {first}..={last}, which is not what waits here")]
    WrongAnswer {
        /// First sequence of the answer.
        first: u64,
        /// Last sequence of the answer.
        last: u64,
    },
}

impl JournalError {
    pub(super) fn encode(error: serde_json::Error) -> Self {
        Self::Encode(error)
    }
}

pub(super) const fn corrupt(offset: u64, what: &'static str) -> JournalError {
    JournalError::Corrupt { offset, what }
}
