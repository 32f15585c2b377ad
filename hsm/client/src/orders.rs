//! What a card or a SAM is ordered to do in the field, and PINs on their way.
//!
//! An order says what is meant; the HSM builds the command, MACs it and answers it whole. No bytes
//! of the caller's choice are MACed: the contents of a file stand behind the header of that file's
//! own write command.

use card_spec::{
    Fen, SuiteId,
    id::{Pan, RegionCode, SamNo},
    keys::KeyHeader,
    time::CardTime,
};
use serde::{Deserialize, Serialize};

use crate::CardRef;

/// A file that its issuer may write in the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardFile {
    /// File 16 of the purse, whole.
    Holder,
    /// File 17 of the purse, whole.
    Region,
    /// A record of file 1A of the purse, whole.
    Metro {
        /// Record number.
        number: u8,
    },
    /// The record of a tag in EF05 or EF06 of the social-security application, as `tag | length |
    /// value`.
    CardData,
    /// As [`Self::CardData`].
    HolderData,
    /// Part of the fingerprint, EF07.
    Fingerprint {
        /// Where it begins.
        offset: u16,
    },
    /// Part of the photo, EF08.
    Photo {
        /// Where it begins.
        offset: u16,
    },
    /// A record of EF0C, as `tag | length | value`.
    Contact,
    /// A new record of EF0D.
    Services,
    /// A record of the health data's card data, as `tag | length | value`.
    HealthCard,
    /// A record of the health data's holder data.
    HealthHolder,
    /// A record of the health data's addresses.
    HealthContact,
    /// A record of the emergency set.
    HealthEmergency,
    /// A new visit.
    HealthVisits,
    /// Part of the certificate of the PKI application.
    Certificate {
        /// Where it begins.
        offset: u16,
    },
}

/// Which of a card's PINs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinOf {
    /// The purse's.
    Purse,
    /// The social-security application's.
    Social,
}

/// Where a new PIN comes from. Never in clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewPin {
    /// Drawn by the HSM, for a sealed letter.
    Drawn,
    /// Typed by the holder on a PIN pad.
    Typed(PinBlock),
}

/// A PIN as it travels: ISO 9564-1 format 4 under a version of the PIN key, bound to a card number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinBlock {
    /// Version of the PIN key.
    pub version: u8,
    /// The enciphered block.
    pub block: [u8; 16],
}

/// What the card is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardOrder {
    /// APPLICATION BLOCK of the purse.
    BlockPurse {
        /// For ever.
        permanent: bool,
    },
    /// APPLICATION UNBLOCK of the purse.
    UnblockPurse,
    /// CARD BLOCK.
    BlockCard,
    /// PIN UNBLOCK: a new PIN, tries restored.
    UnblockPin {
        /// Which PIN.
        of: PinOf,
        /// The new one.
        pin: NewPin,
    },
    /// RELOAD PIN of the purse. The card takes the new PIN in clear: for counters only.
    ReloadPin {
        /// The new one.
        pin: NewPin,
    },
    /// A further record under secure messaging, in EF0C or the health data.
    Add {
        /// Where.
        file: CardFile,
        /// `tag | length | value`.
        contents: Vec<u8>,
    },
    /// A write under secure messaging.
    Write {
        /// Where.
        file: CardFile,
        /// What.
        contents: Vec<u8>,
    },
}

/// An order for one card, after its GET CHALLENGE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardCommand {
    /// The card.
    pub card: CardRef,
    /// Suite of its keys.
    pub suite: SuiteId,
    /// Version of the key that the order needs, as the card was issued with.
    pub version: u8,
    /// The card's challenge; one of four bytes is filled with zeros.
    pub challenge: [u8; 8],
    /// What it is to do.
    pub order: CardOrder,
}

/// The command for the card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyCommand {
    /// Ready to send to the selected application.
    pub apdu: Vec<u8>,
    /// Six digits for the letter, when the HSM drew a PIN. Never logged.
    pub letter: Option<String>,
}

impl core::fmt::Debug for ReadyCommand {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // RELOAD PIN has the PIN in clear.
        write!(f, "ReadyCommand({} bytes)", self.apdu.len())
    }
}

/// The ledger's order to change a purse's overdraft limit: the credit is granted. Signed by the
/// ledger's Ed25519 key, as a [`crate::Hold`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitOrder {
    /// Ledger's id of the order.
    pub order_id: String,
    /// The card.
    pub pan: Pan,
    /// Online sequence.
    pub seq: u16,
    /// The old limit.
    pub old_limit: Fen,
    /// The new limit.
    pub new_limit: Fen,
    /// Time of the order.
    pub time: CardTime,
}

impl LimitOrder {
    /// The bytes that the ledger signs.
    pub fn signing_bytes(&self) -> Vec<u8> {
        format!(
            "onecard-overdraft-v1|{}|{}|{}|{}|{}|{}",
            self.order_id, self.pan, self.seq, self.old_limit.0, self.new_limit.0, self.time
        )
        .into_bytes()
    }
}

/// A change of a purse's overdraft limit, after INITIALIZE FOR UPDATE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverdraftRequest {
    /// The card.
    pub card: CardRef,
    /// Suite of the DUK.
    pub suite: SuiteId,
    /// Version of the DUK.
    pub version: u8,
    /// Terminal of the place where it is changed.
    pub terminal: SamNo,
    /// The card's random number.
    pub rnd: [u8; 4],
    /// Balance before, the old limit counted in.
    pub balance_before: Fen,
    /// The card's MAC1.
    pub mac1: [u8; 4],
    /// The ledger's order: sequence, limits and time come from it.
    pub order: LimitOrder,
    /// Ed25519 signature over [`LimitOrder::signing_bytes`].
    pub order_signature: Vec<u8>,
}

/// A region's key for a SAM in the field, after its GET CHALLENGE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamKeyRequest {
    /// The SAM.
    pub sam: SamNo,
    /// Version of its issuing key.
    pub issuing_version: u8,
    /// Its challenge.
    pub challenge: [u8; 8],
    /// IIN of the cards it serves.
    pub iin: [u8; 2],
    /// The region.
    pub region: RegionCode,
    /// The key.
    pub header: KeyHeader,
}

/// EXTERNAL AUTHENTICATE towards a card, after its GET CHALLENGE of eight bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticateRequest {
    /// The card.
    pub card: CardRef,
    /// The reading key to prove.
    pub header: KeyHeader,
    /// The card's challenge.
    pub challenge: [u8; 8],
}

/// Card and reader prove themselves to each other: after INTERNAL AUTHENTICATE and GET CHALLENGE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutualRequest {
    /// Version of the IRK; its suite is that of the reading key.
    pub version: u8,
    /// What the reader sent in INTERNAL AUTHENTICATE.
    pub sent: [u8; 8],
    /// The card's answer.
    pub cryptogram: [u8; 8],
    /// The reader's own proof, given if the card's is good.
    pub reader: AuthenticateRequest,
}

/// Checks of one card's PIN in one day.
pub const PIN_CHECKS_MAX: u8 = 10;

/// Whether two PIN blocks of one card hold the same PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinCheck {
    /// The card number that both are bound to.
    pub pan: Pan,
    /// What was typed: a block that no check has seen.
    pub typed: PinBlock,
    /// What it is held against.
    pub reference: PinBlock,
}
