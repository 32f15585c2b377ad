//! Orders for cards, and the two people each needs.

use crate::person::PersonNo;
use card_spec::{FormatError, SuiteId, id::Pan, ssse::Profile, time::CardTime};
use serde::{Deserialize, Serialize};

/// A member of staff: 1 to 32 letters, digits, `.`, `_` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StaffId(String);

impl StaffId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::str::FromStr for StaffId {
    type Err = FormatError;
    fn from_str(text: &str) -> Result<Self, FormatError> {
        if text.is_empty() || text.len() > 32 {
            return Err(FormatError::Length);
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !text.bytes().all(allowed) {
            return Err(FormatError::Digit);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for StaffId {
    type Error = FormatError;
    fn try_from(text: String) -> Result<Self, FormatError> {
        text.parse()
    }
}

impl From<StaffId> for String {
    fn from(id: StaffId) -> Self {
        id.0
    }
}

impl core::fmt::Display for StaffId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Order number, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(pub u32);

impl core::fmt::Display for OrderId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The same person tried to be both author and approver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{who} drew up this order and cannot approve it: ask a second person 复核人须为另一人")]
pub struct SelfApproval {
    /// Who.
    pub who: StaffId,
}

/// Two different people 双人复核. There is no other way to make one, so whatever holds one was
/// seen by two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FourEyes {
    author: StaffId,
    approver: StaffId,
}

impl FourEyes {
    /// Two people, who must differ. Letter case does not make another person.
    pub fn new(author: StaffId, approver: StaffId) -> Result<Self, SelfApproval> {
        if author.0.eq_ignore_ascii_case(&approver.0) {
            return Err(SelfApproval { who: approver });
        }
        Ok(Self { author, approver })
    }

    /// Who drew it up.
    pub const fn author(&self) -> &StaffId {
        &self.author
    }

    /// Who approved it.
    pub const fn approver(&self) -> &StaffId {
        &self.approver
    }
}

/// Why cards are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "kebab-case")]
pub enum Purpose {
    /// First card of each of these persons.
    First {
        /// Whose, at most [`ORDER_MAX`].
        persons: Vec<PersonNo>,
    },
    /// A new card for the holder of a lost or damaged one 补换卡: new number, next generation.
    Replacement {
        /// The card replaced.
        of: Pan,
    },
}

/// Most persons of one order.
pub const ORDER_MAX: usize = 10_000;

/// What the cards of an order are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardOptions {
    /// Crypto suite.
    pub suite: SuiteId,
    /// Access profile of the social-security application.
    pub profile: Profile,
}

impl Default for CardOptions {
    /// What production issues: AES, third generation.
    fn default() -> Self {
        Self {
            suite: SuiteId::Aes,
            profile: Profile::V3,
        }
    }
}

/// An order in a state `S` ([`Draft`] or [`Approved`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Order<S> {
    /// Number.
    pub id: OrderId,
    /// Why.
    #[serde(flatten)]
    pub purpose: Purpose,
    /// What the cards are like.
    pub options: CardOptions,
    /// How far it has come.
    pub state: S,
}

/// Drawn up, not approved: nothing may be made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// Who drew it up.
    pub author: StaffId,
    /// When.
    pub drafted: CardTime,
}

/// Approved by a second person: cards may be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Approved {
    /// The two people.
    pub by: FourEyes,
    /// When it was approved.
    pub approved: CardTime,
}

impl Order<Draft> {
    /// Approves the order. Its author cannot: the draft stays as it was.
    pub fn approve(self, approver: StaffId, at: CardTime) -> Result<Order<Approved>, SelfApproval> {
        let by = FourEyes::new(self.state.author, approver)?;
        Ok(Order {
            id: self.id,
            purpose: self.purpose,
            options: self.options,
            state: Approved { by, approved: at },
        })
    }
}

/// An order in either state, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum AnyOrder {
    /// Not approved yet.
    Draft(Order<Draft>),
    /// Approved.
    Approved(Order<Approved>),
}

impl AnyOrder {
    /// Its number.
    pub const fn id(&self) -> OrderId {
        match self {
            Self::Draft(order) => order.id,
            Self::Approved(order) => order.id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staff(id: &str) -> StaffId {
        id.parse().expect("staff id")
    }

    fn draft() -> Order<Draft> {
        Order {
            id: OrderId(1),
            purpose: Purpose::First { persons: vec![] },
            options: CardOptions::default(),
            state: Draft {
                author: staff("lin"),
                drafted: "2026-03-16T09:00:00".parse().expect("time"),
            },
        }
    }

    #[test]
    fn the_author_cannot_approve() {
        let at = "2026-03-16T09:30:00".parse().expect("time");
        for same in ["lin", "LIN"] {
            assert!(draft().approve(staff(same), at).is_err(), "{same}");
        }
        let approved = draft().approve(staff("chen"), at).expect("another person");
        assert_eq!(approved.state.by.author(), &staff("lin"));
        assert_eq!(approved.state.by.approver(), &staff("chen"));
    }

    #[test]
    fn staff_ids() {
        for bad in ["", "a b", "林", &"x".repeat(33)] {
            assert!(bad.parse::<StaffId>().is_err(), "{bad}");
        }
    }
}
