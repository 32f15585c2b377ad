//! From a signed upload to immutable rows: admission, checks, re-rating, application.

mod admission;
mod application;
mod checks;
mod rating;

pub(crate) use admission::is_signed_by;
pub use checks::judge;
pub use rating::{Rated, rate};

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
        Event::CardLocked { card } => card,
    }
}

const fn tac_of(event: &Event) -> Option<[u8; 4]> {
    match event {
        Event::Purchase(p) => match p.debit {
            Debit::Done { tac } => Some(tac),
            Debit::Unknown | Debit::NotDone => None,
        },
        Event::Visit(v) => match v.debit {
            Debit::Done { tac } => Some(tac),
            Debit::Unknown | Debit::NotDone => None,
        },
        Event::ProofOfLife(_) | Event::CardLocked { .. } => None,
    }
}

/// Whether two events carry the same TAC.
pub fn same_tac(a: &Event, b: &Event) -> bool {
    tac_of(a).is_some() && tac_of(a) == tac_of(b)
}

/// Whether two events tell of the same debit, byte for byte in everything that the card computed.
pub fn same_debit(a: &Event, b: &Event) -> bool {
    match (a, b) {
        (Event::Purchase(a), Event::Purchase(b)) => {
            a.card == b.card
                && (a.sam, a.terminal_seq, a.seq) == (b.sam, b.terminal_seq, b.seq)
                && (a.amount, a.balance_after, a.time) == (b.amount, b.balance_after, b.time)
                && (a.tx, a.context, a.debit) == (b.tx, b.context, b.debit)
        }
        (Event::Visit(a), Event::Visit(b)) => {
            a.card == b.card
                && (a.sam, a.terminal_seq, a.seq) == (b.sam, b.terminal_seq, b.seq)
                && (a.split, a.balance_after, a.time) == (b.split, b.balance_after, b.time)
                && a.debit == b.debit
        }
        _ => false,
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
