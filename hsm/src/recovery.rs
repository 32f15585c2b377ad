//! What a restore from a backup means for money: the load memory is as old as the backup, so what was
//! authorised since is not in it.
//!
//! Loads, overdraft limits and PIN checks are closed until two officers open them again, after
//! clearing closed every hold that was open at the loss. From then on only holds that were drawn
//! later count: an old one may have been answered by the lost machine, and would be answered a
//! second time. All of it follows from two lines of the audit log, so nothing can be forgotten.

use card_spec::time::CardTime;
use hsm_client::{HsmError, Result};

use crate::audit::Line;

/// The acts of the two lines.
pub(crate) const RESTORED: &str = "restored";
pub(crate) const REOPENED: &str = "loads-reopened";

/// Where a restored HSM stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Nothing is missing from the load memory.
    #[default]
    Whole,
    /// Restored, and not reconciled with clearing yet.
    Closed,
    /// Orders of before this time do not count.
    Reopened(CardTime),
}

impl Recovery {
    /// The next line of the log.
    pub(crate) fn follow(&mut self, line: &Line) {
        match line.act.as_str() {
            // Restores of earlier releases left it to the operator.
            RESTORED if line.detail["loads"] == "closed" => *self = Self::Closed,
            REOPENED => *self = Self::Reopened(line.time),
            _ => {}
        }
    }

    /// Whether an order may be answered; of one that does not say when it was drawn, only whether
    /// any may.
    pub(crate) fn allows(self, drawn: Option<CardTime>) -> Result<()> {
        match (self, drawn) {
            (Self::Closed, _) => Err(HsmError::WrongState {
                state: "restored from a backup, and its load memory is as old".to_owned(),
                needs: "`onecard hsm reopen` by two officers, once clearing has closed every hold that was open at the loss"
                    .to_owned(),
            }),
            (Self::Reopened(at), Some(drawn)) if drawn < at => Err(HsmError::Refused {
                why: format!(
                    "the hold is of {drawn}, before this HSM was restored and reopened ({at}): it may have been answered then, so draw a new one"
                ),
            }),
            _ => Ok(()),
        }
    }
}
