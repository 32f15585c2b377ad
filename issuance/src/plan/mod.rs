//! Person and order -> every byte and every key header that goes on a card. Pure.

mod card;
mod sam;

pub use card::{CardPlan, Policy};
pub use sam::{SamKind, SamPlan};

use card_spec::{keys::KeyHeader, perso::Dgi};

/// Why no plan can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Sample numbers belong to published keys.
    #[error("{0} is a sample card's number: production never issues it")]
    Sample(card_spec::id::Pan),
    /// Not this issuer's number, or its check digit is wrong.
    #[error("{0} is not a card number of this issuer: take numbers from the order")]
    ForeignPan(card_spec::id::Pan),
    /// The name does not fit this profile.
    #[error(
        "the name needs {rest:?} beyond record 09, and a V1 card has no name extension: issue a V2 or V3 card or agree a short form"
    )]
    Name {
        /// What did not fit.
        rest: String,
    },
    /// A limit does not fit the card.
    #[error(
        "the offline limits do not fit the card: each amount takes four bytes, the overdraft three"
    )]
    Limits,
    /// A balance does not fit the card.
    #[error("the opening balance of the medical account does not fit four bytes")]
    Balance,
    /// Validity ends before it starts.
    #[error("validity of {years} years from {from} leaves the calendar: correct the policy")]
    Validity {
        /// First day.
        from: card_spec::time::CardDate,
        /// Years.
        years: u16,
    },
    /// A SAM without regions, or with more keys than it has room for.
    #[error(
        "a SAM takes 1 to {max} region keys, this one would take {wanted}: split the regions over two SAMs"
    )]
    SamKeys {
        /// Keys wanted.
        wanted: usize,
        /// Room.
        max: usize,
    },
    /// Not a purchase class.
    #[error("{0:#04x} is not a purchase class: 1 transit, 2 parking and taxi, 3 retail")]
    Class(u8),
}

/// What one application receives in one STORE DATA sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationPlan {
    /// DF name.
    pub aid: &'static [u8],
    /// Name in reports.
    pub name: &'static str,
    /// Data groups, in order.
    pub groups: Vec<(Dgi, Vec<u8>)>,
    /// Keys; the HSM makes their data groups.
    pub keys: Vec<KeyHeader>,
    /// Whether it has the holder's PIN.
    pub pin: bool,
}

/// Content of a data group that a reader can fetch again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable<'a> {
    /// A transparent file.
    File {
        /// Short file identifier.
        sfi: u8,
        /// Contents.
        contents: &'a [u8],
    },
    /// One record.
    Record {
        /// Short file identifier.
        sfi: u8,
        /// Record number.
        number: u8,
        /// Contents.
        contents: &'a [u8],
    },
}

impl ApplicationPlan {
    /// Its groups that are files and records.
    pub fn readable(&self) -> impl Iterator<Item = Readable<'_>> {
        self.groups.iter().filter_map(|(dgi, data)| {
            let [kind, sfi] = dgi.0.to_be_bytes();
            match (kind, data.split_first()) {
                (0x01, _) => Some(Readable::File {
                    sfi,
                    contents: data,
                }),
                (0x02, Some((number, contents))) => Some(Readable::Record {
                    sfi,
                    number: *number,
                    contents,
                }),
                _ => None,
            }
        })
    }
}
