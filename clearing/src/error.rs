//! What can go wrong, and what a caller can do about it.

use hsm_client::HsmError;

/// A refusal: the request was understood and is not done. Becomes an RFC 9457 problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Stable code.
    pub code: &'static str,
    /// Fixed title of the code.
    pub title: &'static str,
    /// What happened and what to do.
    pub detail: String,
}

/// Why a use case was not carried out. Nothing is half-done: every step is one transaction.
#[derive(Debug, thiserror::Error)]
pub enum ClearingError {
    /// Refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The HSM does not answer or refuses the service.
    #[error("the HSM refused or does not answer ({0}); nothing was changed, send it again later")]
    Hsm(#[from] HsmError),
    /// The database does not answer, is full or is damaged.
    #[error(
        "the database failed ({0}); nothing was changed: free disk space or repair it, then send it again"
    )]
    Store(#[from] sqlx::Error),
    /// A stored row does not have its shape.
    #[error(
        "stored {what} is damaged ({why}): run `onecard clearing audit` and restore from a copy"
    )]
    Damaged {
        /// Which row.
        what: &'static str,
        /// What was wrong.
        why: String,
    },
    /// The process is stopping.
    #[error("the service is stopping; send it again later")]
    Stopping,
}

/// Result of a use case.
pub type Result<T> = core::result::Result<T, ClearingError>;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $code:literal, $title:literal;)+) => {
        impl Refusal {$(
            $(#[$doc])*
            pub fn $name(detail: impl Into<String>) -> Self {
                Self { status: $status, code: $code, title: $title, detail: detail.into() }
            }
        )+}
    };
}

refusals! {
    /// The body cannot be read.
    malformed = 400, "malformed", "The request cannot be read";
    /// No or wrong proof of who is asking.
    unauthorised = 401, "unauthorised", "Not authenticated";
    /// The role may not do this.
    forbidden = 403, "forbidden", "Not allowed for this role";
    /// No such thing.
    not_found = 404, "not-found", "Not found";
    /// Another state or another content under the same key.
    conflict = 409, "conflict", "Conflict with the present state";
    /// More changes of the hotlist than one answer holds.
    hotlist_base_due = 409, "hotlist-base-due", "The whole hotlist comes as a base";
    /// The body is too large.
    too_large = 413, "too-large", "The body is too large";
    /// A field has an impossible value.
    invalid = 422, "invalid", "A value is not possible";
    /// A top-up that is not authorised.
    top_up_refused = 422, "top-up-refused", "The top-up is refused";
    /// A TAC that does not verify.
    wrong_tac = 422, "wrong-tac", "The TAC does not verify";
}
