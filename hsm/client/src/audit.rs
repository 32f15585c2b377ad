//! The audit log of a running server, page by page.

use card_spec::time::CardTime;
use serde::{Deserialize, Serialize};

/// A place between two lines of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPlace {
    /// Bytes before it.
    pub offset: u64,
    /// Hash of the line before it.
    pub before: [u8; 32],
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditFrom {
    /// At the last checkpoint (or the log's beginning) with no line of this time or later before it,
    /// whatever the clock did meanwhile.
    Time(CardTime),
    /// Where the page before ended.
    Place(AuditPlace),
}

/// Lines of the log as they are in its file, without a gap. Nothing is left out on the server: what
/// was not sent could not be verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPage {
    /// Where it begins.
    pub place: AuditPlace,
    /// Whole lines; more than none.
    pub lines: String,
    /// Number of the log's last line, a checkpoint if this page reaches it.
    pub last: u64,
}
