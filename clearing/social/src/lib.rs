//! Pure workflows of social insurance: the pension 养老金 and its yearly proof of life 资格认证.
//!
//! A record is a value and every step a function from a record to the next one and the events in
//! between; storing, paying and telling the person are the caller's. Nothing here trusts the card:
//! it proves who somebody is, the record says what they are entitled to.
//!
//! `applied -> in payment -> (proof missed) suspended -> (proof made up) in payment`, resumed with
//! the month after the proof, together with the months missed.

mod error;
mod month;
mod pension;
mod policy;

pub use error::{PolicyError, SocialError};
pub use month::Month;
pub use pension::{
    Arrears, Event, Payment, PensionRecord, PensionState, ProofMethod, apply, apply_proof, approve,
    month_end,
};
pub use policy::{PensionPolicy, SocialPolicy};
