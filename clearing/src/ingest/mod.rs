//! From a signed upload to immutable rows: admission, checks, re-rating, application.

mod admission;
mod application;
mod checks;
mod rating;

pub(crate) use admission::is_signed_by;
pub use checks::judge;
pub use rating::Rated;

use crate::ledger::{Account, Postings};
use crate::store::Judged;
use clearing_api::{
    Outcome,
    record::{CardFacts, Debit, Event},
};
use sha2::{Digest, Sha256};

/// SHA-256, hex.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The card of an event.
pub const fn card_of(event: &Event) -> &CardFacts {
    match event {
        Event::Purchase(purchase) => &purchase.card,
        Event::Visit(visit) => &visit.card,
        Event::ProofOfLife(proof) => &proof.card,
        Event::LossReport(report) => &report.card,
        Event::CardLocked { card } => card,
    }
}

/// The TAC of a debit.
pub const fn tac_of(debit: Debit) -> Option<[u8; 4]> {
    match debit {
        Debit::Done { tac } => Some(tac),
        Debit::Unknown | Debit::NotDone => None,
    }
}

/// What a debit that its TAC proves, and that no other record told before, moves in the ledger. The
/// money has left the card whatever the outcome: it goes to the operator, or to suspense when it is
/// not paid out. Medical debits move nothing: their settlement (2207) was posted.
pub fn postings_of(postings: &mut Postings, outcome: Outcome, item: &Judged) {
    if item.app != "purse" {
        return;
    }
    let to = match outcome {
        Outcome::Accepted | Outcome::CompletedTorn | Outcome::PriceQueried => {
            Account::Operator(item.operator.clone())
        }
        _ => Account::Suspense,
    };
    postings.add(Account::PurseFloat, to, item.amount);
}
