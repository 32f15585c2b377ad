//! Double entry. An entry is one [`Posting`]: one amount from a debit to a credit account, so an
//! unbalanced entry cannot be written down.
//!
//! Signs. Every account is seen from the clearing house, which owes and is owed:
//! * `purse-float` is what all purses together should hold: a liability to cardholders. A confirmed
//!   load credits it, a debit proved by its TAC debits it; its balance (credits minus debits) is the
//!   float.
//! * `operator:<id>` and `hospital:<code>` are credited with what they earned: positive is paid out.
//! * `topup:<operator>` and `cash:<hospital>` are debited with money they collected for us.
//! * `fund:<type>:<city>` is debited with what the fund owes; `medical:<city>` holds the personal
//!   medical accounts, credited when opened and debited when used; `bank:medical:<city>` is its other side.
//! * `suspense` holds money whose owner is not decided: authorised top-ups that no TAC has confirmed,
//!   and debits that a TAC proves but that are not paid out (hotlisted, quarantined, unknown SAM).
//!
//! An authorised top-up is no part of the float until its TAC comes, and an unknown torn debit is
//! still part of it. Both are listed as pending with the sign that they would change the float by:
//! `purse_float + (pending that happened on the cards) = sum of card balances`.

use card_spec::{Fen, id::RegionCode};
use clearing_api::day::AccountBalance;
use std::collections::BTreeMap;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// What all purses together hold.
    PurseFloat,
    /// A transit, taxi or parking operator.
    Operator(String),
    /// Cash and transfers collected by a top-up operator.
    TopUp(String),
    /// Personal medical accounts of a city.
    Medical(RegionCode),
    /// The bank that holds a city's personal medical accounts.
    Bank(RegionCode),
    /// A fund of a city, by fund_pay_type.
    Fund(String, RegionCode),
    /// What a hospital earned.
    Hospital(String),
    /// What a hospital collected in cash.
    Cash(String),
    /// Money whose owner is not decided.
    Suspense,
}

impl core::fmt::Display for Account {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::PurseFloat => f.write_str("purse-float"),
            Self::Operator(id) => write!(f, "operator:{id}"),
            Self::TopUp(id) => write!(f, "topup:{id}"),
            Self::Medical(city) => write!(f, "medical:{city}"),
            Self::Bank(city) => write!(f, "bank:medical:{city}"),
            Self::Fund(kind, city) => write!(f, "fund:{kind}:{city}"),
            Self::Hospital(code) => write!(f, "hospital:{code}"),
            Self::Cash(code) => write!(f, "cash:{code}"),
            Self::Suspense => f.write_str("suspense"),
        }
    }
}

/// The city whose funds pay for a region: districts and counties belong to their city.
pub fn city_of(region: RegionCode) -> RegionCode {
    let [a, b, _] = region.to_bytes();
    RegionCode::from_bytes([a, b, 0]).unwrap_or(region)
}

/// One balanced entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    debit: Account,
    credit: Account,
    amount: Fen,
}

impl Posting {
    /// Debited account.
    pub const fn debit(&self) -> &Account {
        &self.debit
    }

    /// Credited account.
    pub const fn credit(&self) -> &Account {
        &self.credit
    }

    /// Amount, always positive.
    pub const fn amount(&self) -> Fen {
        self.amount
    }
}

/// Postings of one source, summed per account pair: costs follow sources, not taps.
#[derive(Debug, Clone, Default)]
pub struct Postings(BTreeMap<(Account, Account), Fen>);

impl Postings {
    /// Adds an amount from `debit` to `credit`; a negative amount goes the other way.
    pub fn add(&mut self, debit: Account, credit: Account, amount: Fen) {
        let (debit, credit, amount) = if amount < Fen::ZERO {
            (credit, debit, -amount)
        } else {
            (debit, credit, amount)
        };
        if amount != Fen::ZERO && debit != credit {
            *self.0.entry((debit, credit)).or_default() += amount;
        }
    }

    /// The entries, sorted by account pair.
    pub fn into_entries(self) -> Vec<Posting> {
        self.0
            .into_iter()
            .map(|((debit, credit), amount)| Posting {
                debit,
                credit,
                amount,
            })
            .collect()
    }
}

/// Debits and credits of one account, as summed by a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turnover {
    /// Debits.
    pub debit: Fen,
    /// Credits.
    pub credit: Fen,
}

impl Turnover {
    /// Credits minus debits.
    pub fn balance(&self) -> Fen {
        self.credit - self.debit
    }
}

/// The trial balance: every account, sorted by name, and the sum of the balances.
pub fn trial_balance(turnovers: &BTreeMap<String, Turnover>) -> (Vec<AccountBalance>, Fen) {
    let lines: Vec<AccountBalance> = turnovers
        .iter()
        .map(|(account, turnover)| AccountBalance {
            account: account.clone(),
            debit: turnover.debit,
            credit: turnover.credit,
            balance: turnover.balance(),
        })
        .collect();
    let sum = lines.iter().map(|line| line.balance).sum();
    (lines, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Whatever is posted, the trial balance sums to zero and amounts are positive.
        #[test]
        fn every_posting_balances(
            moves in proptest::collection::vec((0u8..4, 0u8..4, -1_000_000i64..1_000_000), 0..50)
        ) {
            let account = |n: u8| match n {
                0 => Account::PurseFloat,
                1 => Account::Suspense,
                n => Account::Operator(n.to_string()),
            };
            let mut postings = Postings::default();
            let mut expected = BTreeMap::<String, i64>::new();
            for (debit, credit, amount) in moves {
                postings.add(account(debit), account(credit), Fen(amount));
                *expected.entry(account(debit).to_string()).or_default() -= amount;
                *expected.entry(account(credit).to_string()).or_default() += amount;
            }
            let mut turnovers = BTreeMap::<String, Turnover>::new();
            for entry in postings.into_entries() {
                proptest::prop_assert!(entry.amount() > Fen::ZERO);
                turnovers.entry(entry.debit().to_string()).or_default().debit += entry.amount();
                turnovers.entry(entry.credit().to_string()).or_default().credit += entry.amount();
            }
            let (lines, sum) = trial_balance(&turnovers);
            proptest::prop_assert_eq!(sum, Fen::ZERO);
            for line in lines {
                proptest::prop_assert_eq!(line.balance.0, expected.get(&line.account).copied().unwrap_or(0));
            }
        }
    }
}
