//! Status words: the enum inside, two bytes only at the wire.

/// A status word (SW1 SW2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sw(pub u16);

impl Sw {
    /// Success.
    pub const OK: Self = Self(0x9000);
    /// SEARCH RECORD found nothing.
    pub const SEARCH_FAILED: Self = Self(0x6282);
    /// Selected file or application is blocked.
    pub const SELECTED_BLOCKED: Self = Self(0x6283);
    /// Selected application is terminated.
    pub const SELECTED_TERMINATED: Self = Self(0x6284);
    /// Memory failure: nothing was changed.
    pub const MEMORY: Self = Self(0x6581);
    /// Wrong length.
    pub const WRONG_LENGTH: Self = Self(0x6700);
    /// Logical channel not supported.
    pub const CHANNEL: Self = Self(0x6881);
    /// Secure messaging in this class is not supported.
    pub const SM_UNSUPPORTED: Self = Self(0x6882);
    /// A chain was open and its next command expected; the chain is dropped.
    pub const CHAIN_OPEN: Self = Self(0x6883);
    /// Command chaining not supported (here: of commands under secure messaging).
    pub const CHAINING: Self = Self(0x6884);
    /// Command not allowed in this state of the card.
    pub const NOT_ALLOWED_STATE: Self = Self(0x6901);
    /// Command incompatible with the file structure.
    pub const INCOMPATIBLE: Self = Self(0x6981);
    /// Security status not satisfied.
    pub const SECURITY: Self = Self(0x6982);
    /// Authentication method (PIN or key) blocked.
    pub const AUTH_BLOCKED: Self = Self(0x6983);
    /// Reference data (challenge) not usable.
    pub const NO_CHALLENGE: Self = Self(0x6984);
    /// Conditions of use not satisfied.
    pub const CONDITIONS: Self = Self(0x6985);
    /// No current file.
    pub const NO_CURRENT_FILE: Self = Self(0x6986);
    /// Secure-messaging data objects missing.
    pub const SM_MISSING: Self = Self(0x6987);
    /// Secure-messaging data objects wrong.
    pub const SM_WRONG: Self = Self(0x6988);
    /// Wrong data.
    pub const WRONG_DATA: Self = Self(0x6A80);
    /// Function not supported, or application locked.
    pub const LOCKED: Self = Self(0x6A81);
    /// File or application not found.
    pub const NOT_FOUND: Self = Self(0x6A82);
    /// Record not found.
    pub const RECORD_NOT_FOUND: Self = Self(0x6A83);
    /// Not enough memory in the file.
    pub const NO_SPACE: Self = Self(0x6A84);
    /// Wrong P1 or P2.
    pub const WRONG_P1P2: Self = Self(0x6A86);
    /// Referenced data (key, PIN) not found.
    pub const KEY_NOT_FOUND: Self = Self(0x6A88);
    /// Offset outside the file.
    pub const OFFSET: Self = Self(0x6B00);
    /// Unknown instruction.
    pub const INS: Self = Self(0x6D00);
    /// Unknown class.
    pub const CLA: Self = Self(0x6E00);
    /// The image is corrupt or the card is not usable.
    pub const MUTE: Self = Self(0x6F00);
    /// Insufficient balance (PBOC purse).
    pub const INSUFFICIENT: Self = Self(0x9401);
    /// MAC wrong.
    pub const MAC_WRONG: Self = Self(0x9302);
    /// Application permanently locked.
    pub const PERMANENTLY_LOCKED: Self = Self(0x9303);
    /// A counter reached its maximum.
    pub const COUNTER_MAX: Self = Self(0x9402);
    /// Key index unknown.
    pub const KEY_INDEX: Self = Self(0x9403);
    /// MAC or TAC asked for is not available.
    pub const NO_PROVE: Self = Self(0x9406);

    /// Wrong, with tries left (63Cx).
    pub const fn tries_left(n: u8) -> Self {
        Self(0x63C0 | (n & 0x0F) as u16)
    }

    /// More response bytes wait for GET RESPONSE (61xx; 00 means 256 or more).
    pub const fn more(n: usize) -> Self {
        Self(0x6100 | if n > 255 { 0 } else { n as u16 })
    }

    /// Wrong Le; the exact length is given (6Cxx).
    pub const fn exact(n: usize) -> Self {
        Self(0x6C00 | if n > 255 { 0 } else { n as u16 })
    }

    /// The two wire bytes.
    pub const fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// Success.
    pub fn is_ok(self) -> bool {
        self == Self::OK
    }

    /// Tries left, when the status word says so.
    pub const fn tries(self) -> Option<u8> {
        if self.0 & 0xFFF0 == 0x63C0 {
            Some((self.0 & 0x0F) as u8)
        } else {
            None
        }
    }

    /// What the status word means, for people: English.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::OK => "success",
            Self::SEARCH_FAILED => "no record contains these bytes",
            Self::SELECTED_BLOCKED => "the application is blocked",
            Self::SELECTED_TERMINATED => "the application is terminated",
            Self::MEMORY => "memory failure; nothing was changed",
            Self::WRONG_LENGTH => "wrong length",
            Self::CHANNEL => "no such logical channel, or it is not open",
            Self::SM_UNSUPPORTED => "secure messaging in this class is not supported",
            Self::CHAIN_OPEN => "another command inside a chain; the chain is dropped",
            Self::CHAINING => "commands under secure messaging are not chained",
            Self::INCOMPATIBLE => "the file has another structure",
            Self::NO_CURRENT_FILE => "select a file first",
            Self::OFFSET => "the offset is outside the file",
            Self::MUTE => "the memory is damaged",
            Self::NOT_ALLOWED_STATE => "not allowed in the card's present state",
            Self::SECURITY => "a PIN or an authentication is needed first",
            Self::AUTH_BLOCKED => "the PIN or key is blocked",
            Self::NO_CHALLENGE => "ask for a challenge first",
            Self::CONDITIONS => "conditions of use not satisfied",
            Self::SM_MISSING => "secure messaging is needed",
            Self::SM_WRONG => "the secure-messaging MAC is wrong",
            Self::WRONG_DATA => "wrong data",
            Self::LOCKED => "function not supported, or application locked",
            Self::NOT_FOUND => "file or application not found",
            Self::RECORD_NOT_FOUND => "record not found",
            Self::NO_SPACE => "no room left",
            Self::WRONG_P1P2 => "wrong P1 or P2",
            Self::KEY_NOT_FOUND => "key or PIN not found",
            Self::INS => "unknown instruction",
            Self::CLA => "unknown class",
            Self::INSUFFICIENT => "insufficient balance",
            Self::MAC_WRONG => "the MAC is wrong",
            Self::PERMANENTLY_LOCKED => "the application is permanently locked",
            Self::COUNTER_MAX => "a counter is at its maximum",
            Self::KEY_INDEX => "no key with this index",
            Self::NO_PROVE => "no MAC or TAC kept for this sequence",
            _ if self.tries().is_some() => "wrong; the last digit is the number of tries left",
            _ => "see ISO 7816-4",
        }
    }
}

impl core::fmt::Display for Sw {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl core::fmt::Debug for Sw {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Sw({:04X})", self.0)
    }
}
