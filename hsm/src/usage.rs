//! What a key may be used for: its attributes, and names of keys that were checked for one use.
//!
//! A [`KeyName`] is got only from a header whose type allows the use, and whatever uses a key takes a
//! name of its own use, so that one key in the place of another does not compile:
//!
//! ```compile_fail,E0308
//! use hsm::usage::{AuthorizeLoad, KeyName, VerifyTac};
//! fn authorise(_: KeyName<AuthorizeLoad>) {}
//! fn wrong(tac: KeyName<VerifyTac>) {
//!     authorise(tac);
//! }
//! ```
//!
//! A header that comes from outside is checked when its name is made:
//!
//! ```
//! use card_spec::{SuiteId, keys::{KeyHeader, KeyType}};
//! use hsm::usage::{AuthorizeLoad, KeyName, VerifyTac};
//! let dtk = KeyHeader { key_type: KeyType::Dtk, index: 1, version: 1, suite: SuiteId::Aes };
//! assert!(KeyName::<VerifyTac>::new(dtk).is_ok());
//! assert_eq!(KeyName::<AuthorizeLoad>::new(dtk).unwrap_err().code(), 2);
//! ```

use core::marker::PhantomData;

use card_spec::keys::{KeyHeader, KeyType};
use hsm_client::{HsmError, KeyState, Result};

use crate::hierarchy::name;

/// One use of an application master, or of the keys below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Card keys, wrapped for a card.
    IssueCard,
    /// Region keys or a SAM's own keys, wrapped for a SAM.
    IssueSam,
    /// TACs.
    VerifyTac,
    /// Internal authentication of a card.
    VerifyPresence,
    /// MAC1 and MAC2 of a load.
    AuthorizeLoad,
    /// MAC1 and MAC2 of an overdraft limit.
    AuthorizeOverdraft,
    /// Blocking, unblocking and updating the purse.
    MaintainPurse,
    /// PIN unblock.
    UnblockPin,
    /// PIN reload.
    ReloadPin,
    /// External authentication towards a card, to read.
    Authenticate,
    /// Writing files of the citizen's side.
    UpdateFile,
    /// SCP03 with a card.
    Personalise,
    /// WRITE KEY of a SAM's second step.
    WriteSamKey,
    /// A SAM's ceiling.
    RaiseCeiling,
}

impl Use {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::IssueCard,
        Self::IssueSam,
        Self::VerifyTac,
        Self::VerifyPresence,
        Self::AuthorizeLoad,
        Self::AuthorizeOverdraft,
        Self::MaintainPurse,
        Self::UnblockPin,
        Self::ReloadPin,
        Self::Authenticate,
        Self::UpdateFile,
        Self::Personalise,
        Self::WriteSamKey,
        Self::RaiseCeiling,
    ];

    /// As refusals name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IssueCard => "a card order",
            Self::IssueSam => "a SAM order",
            Self::VerifyTac => "TACs",
            Self::VerifyPresence => "a proof of presence",
            Self::AuthorizeLoad => "loads",
            Self::AuthorizeOverdraft => "overdraft limits",
            Self::MaintainPurse => "maintenance of the purse",
            Self::UnblockPin => "PIN unblock",
            Self::ReloadPin => "PIN reload",
            Self::Authenticate => "external authentication",
            Self::UpdateFile => "updates of files",
            Self::Personalise => "personalisation",
            Self::WriteSamKey => "WRITE KEY of a SAM",
            Self::RaiseCeiling => "a SAM's ceiling",
        }
    }

    /// Whether a key in this state serves this use. The table of docs/hsm.md, "Keys and their life".
    pub const fn allowed_in(self, state: KeyState) -> bool {
        match state {
            // SAMs get a new version before the first card does.
            KeyState::PreActive => matches!(self, Self::IssueSam),
            KeyState::Active => true,
            // What happened under the key is still judged; nothing new happens under it.
            KeyState::VerifyOnly => matches!(self, Self::VerifyTac | Self::VerifyPresence),
            KeyState::Retired | KeyState::Compromised | KeyState::Destroyed => false,
        }
    }
}

/// A step of the hierarchy below a master that may be derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// Region, then card (issuer and PAN).
    RegionAndCard,
    /// Region (F2), then card (F1).
    CityAndCard,
    /// A chip, at once.
    Chip,
    /// A SAM, at once.
    Sam,
}

/// In which forms a key, or what is derived from it, may leave the HSM. A master itself leaves under
/// a KEK and dual control only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// Card keys under a card's DEK.
    ToCards,
    /// Card keys under a card's DEK, region keys under a SAM's.
    ToCardsAndSams,
    /// A SAM's own keys under its DEK.
    ToSams,
    /// By PUT KEY, in place of another set.
    ByPutKey,
}

/// What is bound to a key type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Allowed uses; everything else is refused (HSM 2).
    pub uses: &'static [Use],
    /// What may be derived.
    pub below: Below,
    /// What may leave.
    pub leaves: Leaves,
}

impl Attributes {
    /// Whether the use is among the allowed ones.
    pub fn allow(&self, wanted: Use) -> bool {
        self.uses.contains(&wanted)
    }
}

/// The attributes of a key type (DESIGN, Keys).
pub const fn attributes(key_type: KeyType) -> Attributes {
    use Below::{Chip, CityAndCard, RegionAndCard, Sam};
    use Leaves::{ByPutKey, ToCards, ToCardsAndSams, ToSams};
    let (below, leaves, uses): (_, _, &[Use]) = match key_type {
        // Purchase and field-lock MACs are made by SAMs: the HSM distributes the keys, no more.
        KeyType::Dpk | KeyType::Dack => (
            RegionAndCard,
            ToCardsAndSams,
            &[Use::IssueCard, Use::IssueSam],
        ),
        KeyType::Dlk => (
            RegionAndCard,
            ToCards,
            &[Use::IssueCard, Use::AuthorizeLoad],
        ),
        KeyType::Dtk => (RegionAndCard, ToCards, &[Use::IssueCard, Use::VerifyTac]),
        KeyType::Damk => (
            RegionAndCard,
            ToCards,
            &[Use::IssueCard, Use::MaintainPurse],
        ),
        KeyType::Dpuk => (RegionAndCard, ToCards, &[Use::IssueCard, Use::UnblockPin]),
        KeyType::Dprk => (RegionAndCard, ToCards, &[Use::IssueCard, Use::ReloadPin]),
        KeyType::Duk => (
            RegionAndCard,
            ToCards,
            &[Use::IssueCard, Use::AuthorizeOverdraft],
        ),
        KeyType::Irk => (
            CityAndCard,
            ToCardsAndSams,
            &[Use::IssueCard, Use::IssueSam, Use::VerifyPresence],
        ),
        KeyType::Rk => (
            CityAndCard,
            ToCardsAndSams,
            &[Use::IssueCard, Use::IssueSam, Use::Authenticate],
        ),
        KeyType::Uk => (CityAndCard, ToCards, &[Use::IssueCard, Use::UpdateFile]),
        KeyType::Puk => (CityAndCard, ToCards, &[Use::IssueCard, Use::UnblockPin]),
        KeyType::Mpk => (
            CityAndCard,
            ToCardsAndSams,
            &[Use::IssueCard, Use::IssueSam],
        ),
        KeyType::Mlk => (CityAndCard, ToCards, &[Use::IssueCard, Use::AuthorizeLoad]),
        KeyType::Mtk => (CityAndCard, ToCards, &[Use::IssueCard, Use::VerifyTac]),
        KeyType::IsdEnc | KeyType::IsdMac | KeyType::IsdDek => {
            (Chip, ByPutKey, &[Use::Personalise])
        }
        KeyType::SamIssue => (Sam, ToSams, &[Use::IssueSam, Use::WriteSamKey]),
        KeyType::SamCeiling => (Sam, ToSams, &[Use::IssueSam, Use::RaiseCeiling]),
    };
    Attributes {
        uses,
        below,
        leaves,
    }
}

/// A use as a type.
pub trait Usage: Copy {
    /// The use.
    const USE: Use;
}

macro_rules! usages {
    ($($name:ident),*) => {$(
        #[doc = concat!("[`Use::", stringify!($name), "`] as a type.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {}
        impl Usage for $name {
            const USE: Use = Use::$name;
        }
    )*};
}

usages!(
    IssueCard,
    IssueSam,
    VerifyTac,
    VerifyPresence,
    AuthorizeLoad,
    AuthorizeOverdraft,
    MaintainPurse,
    UnblockPin,
    ReloadPin,
    Authenticate,
    UpdateFile,
    Personalise,
    WriteSamKey,
    RaiseCeiling
);

/// The name of a key whose type allows the use `U`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyName<U> {
    header: KeyHeader,
    usage: PhantomData<U>,
}

impl<U: Usage> KeyName<U> {
    /// HSM 2 when the type of the key does not allow the use.
    pub fn new(header: KeyHeader) -> Result<Self> {
        if !attributes(header.key_type).allow(U::USE) {
            return Err(HsmError::WrongUsage {
                key: name(header),
                operation: U::USE.name().to_owned(),
            });
        }
        Ok(Self {
            header,
            usage: PhantomData,
        })
    }

    /// The key named.
    pub const fn header(&self) -> KeyHeader {
        self.header
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use card_spec::SuiteId;

    /// Written out from the key table of the design: what each key type does beside being issued.
    #[test]
    fn every_type_has_its_uses_and_no_other() {
        for key_type in KeyType::ALL {
            let own: &[Use] = match key_type {
                KeyType::Dpk | KeyType::Dack | KeyType::Mpk => &[Use::IssueSam],
                KeyType::Dlk | KeyType::Mlk => &[Use::AuthorizeLoad],
                KeyType::Dtk | KeyType::Mtk => &[Use::VerifyTac],
                KeyType::Damk => &[Use::MaintainPurse],
                KeyType::Dpuk | KeyType::Puk => &[Use::UnblockPin],
                KeyType::Dprk => &[Use::ReloadPin],
                KeyType::Duk => &[Use::AuthorizeOverdraft],
                KeyType::Irk => &[Use::IssueSam, Use::VerifyPresence],
                KeyType::Rk => &[Use::IssueSam, Use::Authenticate],
                KeyType::Uk => &[Use::UpdateFile],
                KeyType::IsdEnc | KeyType::IsdMac | KeyType::IsdDek => &[Use::Personalise],
                KeyType::SamIssue => &[Use::IssueSam, Use::WriteSamKey],
                KeyType::SamCeiling => &[Use::IssueSam, Use::RaiseCeiling],
            };
            let on_cards = (key_type as u8) < KeyType::IsdEnc as u8;
            for wanted in Use::ALL {
                let expected = own.contains(&wanted) || (on_cards && wanted == Use::IssueCard);
                assert_eq!(
                    attributes(key_type).allow(wanted),
                    expected,
                    "{key_type:?} {wanted:?}"
                );
            }
        }
    }

    /// The table of docs/hsm.md.
    #[test]
    fn every_state_allows_what_the_table_says() {
        use KeyState::{Active, PreActive, VerifyOnly};
        for wanted in Use::ALL {
            let states: &[KeyState] = match wanted {
                Use::IssueSam => &[PreActive, Active],
                Use::VerifyTac | Use::VerifyPresence => &[Active, VerifyOnly],
                _ => &[Active],
            };
            for state in KeyState::ALL {
                assert_eq!(
                    wanted.allowed_in(state),
                    states.contains(&state),
                    "{wanted:?} {state:?}"
                );
            }
        }
    }

    /// A SAM can never load, unblock or rewrite a card.
    #[test]
    fn a_sam_never_gets_what_loads_or_rewrites() {
        for key_type in KeyType::ALL {
            let dangerous = [
                Use::AuthorizeLoad,
                Use::AuthorizeOverdraft,
                Use::MaintainPurse,
                Use::UnblockPin,
                Use::ReloadPin,
                Use::UpdateFile,
                Use::Personalise,
                Use::VerifyTac,
            ];
            let of = attributes(key_type);
            if dangerous.iter().any(|d| of.allow(*d)) {
                assert!(!of.allow(Use::IssueSam), "{key_type:?}");
                assert!(matches!(of.leaves, Leaves::ToCards | Leaves::ByPutKey));
            }
        }
    }

    #[test]
    fn a_name_of_the_wrong_type_is_refused() {
        let header = KeyHeader {
            key_type: KeyType::Damk,
            index: 1,
            version: 1,
            suite: SuiteId::Aes,
        };
        assert!(KeyName::<MaintainPurse>::new(header).is_ok());
        assert!(matches!(
            KeyName::<ReloadPin>::new(header),
            Err(HsmError::WrongUsage { .. })
        ));
    }
}
