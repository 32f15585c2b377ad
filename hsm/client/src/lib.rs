//! What the HSM can be asked.
//!
//! One trait, implemented by the HSM itself in process (`hsm::SoftHsm`) and by [`RemoteHsm`], the
//! client of `onecard hsm serve`. Calls are blocking: callers on an async runtime use its blocking
//! pool. Keys never cross this border in clear: they leave wrapped under a card's DEK, or not at all.
#![forbid(unsafe_code)]

mod administration;
mod audit;
mod breaker;
mod certificates;
mod credential;
pub mod frame;
mod life;
mod operations;
mod orders;
mod own;
mod remote;
mod rotation;
mod wire;

pub use administration::{
    Administration, Approval, Approved, CertificateRequest, MINUTES_MAX, REASON_MAX, Subject,
};
pub use audit::{AuditFrom, AuditPage, AuditPlace};
pub use certificates::{CertificateInfo, Issued, Revocation, Serial};
pub use credential::{Credential, LeafKey};
pub use life::{KeyEvent, KeyId, KeyState};
pub use operations::{OPERATIONS, Operation, Role, Route, Rule, signers};
pub use orders::{
    AuthenticateRequest, CardCommand, CardFile, CardOrder, LimitOrder, MutualRequest, NewPin,
    OverdraftRequest, PIN_CHECKS_MAX, PinBlock, PinCheck, PinOf, ReadyCommand, SamKeyRequest,
};
pub use own::{
    CONTEXT_MAX, DATA_MAX, DataItem, OwnKeys, SM2_ID, ServiceKey, ServiceKeyInfo, SignAlgorithm,
    SignPurpose, SigningKeyInfo,
};
pub use remote::{ITEMS_MAX, RemoteHsm};
pub use rotation::{KeySource, RootComponent, Rotation, RotationOrder};
pub use wire::{Request, Response};

use card_spec::{
    Fen, SuiteId,
    id::{Generation, Pan, RegionCode, SamNo},
    keys::{KcvKind, KeyHeader, KeyType},
    purse::{TxType, mac::Context},
    time::CardTime,
};
use serde::{Deserialize, Serialize};

/// Why the HSM refused. Numbered: the number is part of the protocol and of audit lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum HsmError {
    /// 1: no such key (type, index, version, suite).
    #[error("HSM 1: no key {key}: run the key ceremony or check index and version")]
    UnknownKey {
        /// Type, index, version and suite asked for.
        key: String,
    },
    /// 2: the key's attributes do not allow this use.
    #[error("HSM 2: key {key} may not be used for {operation}")]
    WrongUsage {
        /// The key.
        key: String,
        /// The operation refused.
        operation: String,
    },
    /// 3: a cryptogram or MAC did not verify.
    #[error("HSM 3: {what} does not verify")]
    NotAuthentic {
        /// Which proof.
        what: String,
    },
    /// 4: a limit or an earlier answer forbids it.
    #[error("HSM 4: refused: {why}")]
    Refused {
        /// Which rule.
        why: String,
    },
    /// 5: no such SCP03 session.
    #[error("HSM 5: the personalisation session is unknown or closed: start again with the card")]
    UnknownSession,
    /// 6: the HSM is not in the state that the call needs.
    #[error("HSM 6: the HSM is {state}; this call needs {needs}")]
    WrongState {
        /// Present state.
        state: String,
        /// State needed.
        needs: String,
    },
    /// 7: malformed request.
    #[error("HSM 7: malformed request: {why}")]
    Malformed {
        /// What was wrong.
        why: String,
    },
    /// 8: the HSM cannot be reached.
    #[error(
        "HSM 8: cannot reach the HSM at {address}: {why}. Is `onecard hsm serve` running there?"
    )]
    Unreachable {
        /// Address tried.
        address: String,
        /// What the operating system said.
        why: String,
    },
    /// 9: the key store could not be read or written.
    #[error("HSM 9: key store: {why}")]
    Store {
        /// What failed and what to do.
        why: String,
    },
    /// 30: the token that holds the masters cannot be used.
    #[error("HSM 30: {backend}: {why}")]
    Backend {
        /// Which token.
        backend: String,
        /// What failed and what to do.
        why: String,
    },
    /// 31: the place that holds the masters cannot do this, and nothing else does it instead.
    #[error("HSM 31: {backend} cannot {what}")]
    Unsupported {
        /// Which backend.
        backend: String,
        /// What was asked, and the way out.
        what: String,
    },
    /// 20: the caller's role may not do this.
    #[error("HSM 20: role {role} may not call {operation}: use a certificate of a role that may")]
    Forbidden {
        /// The caller's role.
        role: String,
        /// The operation refused.
        operation: String,
    },
    /// 21: too much at once from one client; nothing was done.
    #[error("HSM 21: too many {what} from one client: try again in {retry_after_ms} ms")]
    TooFast {
        /// Requests or items.
        what: String,
        /// When there is room again.
        retry_after_ms: u64,
    },
    /// 22: busy or stopping; nothing was done.
    #[error("HSM 22: nothing was done: {why}; ask another server, or this one again later")]
    Unavailable {
        /// Why.
        why: String,
    },
    /// 23: the caller's time was up before the call began; nothing was done.
    #[error("HSM 23: nothing was done: the time that the caller gave was over before its turn")]
    Late,
    /// 24: more items than one call may carry.
    #[error("HSM 24: {items} items in one call, at most {most}: send fewer")]
    TooMany {
        /// Sent.
        items: u64,
        /// Allowed.
        most: u64,
    },
    /// 25: the answer did not come; whether the call was done is unknown.
    #[error(
        "HSM 25: {address} did not answer ({why}): whether {operation} was done is unknown; look before repeating it"
    )]
    Unanswered {
        /// Server asked.
        address: String,
        /// The operation.
        operation: String,
        /// What went wrong.
        why: String,
    },
    /// 26: no TLS with this peer: certificates do not fit.
    #[error(
        "HSM 26: {address}: {why}. Check that the certificate is this HSM's, of the right name, and not expired"
    )]
    Untrusted {
        /// Server asked.
        address: String,
        /// What TLS said.
        why: String,
    },
    /// 27: files of certificates and keys.
    #[error("HSM 27: {path}: {why}")]
    Credential {
        /// The file.
        path: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// 28: the caller's certificate was revoked.
    #[error(
        "HSM 28: the certificate {serial} of {subject} was revoked at {at}: have a new one issued"
    )]
    Revoked {
        /// Whose.
        subject: String,
        /// Its number.
        serial: String,
        /// Since when.
        at: String,
    },
}

impl HsmError {
    /// The stable number.
    pub const fn code(&self) -> u16 {
        match self {
            Self::UnknownKey { .. } => 1,
            Self::WrongUsage { .. } => 2,
            Self::NotAuthentic { .. } => 3,
            Self::Refused { .. } => 4,
            Self::UnknownSession => 5,
            Self::WrongState { .. } => 6,
            Self::Malformed { .. } => 7,
            Self::Unreachable { .. } => 8,
            Self::Store { .. } => 9,
            Self::Backend { .. } => 30,
            Self::Unsupported { .. } => 31,
            Self::Forbidden { .. } => 20,
            Self::TooFast { .. } => 21,
            Self::Unavailable { .. } => 22,
            Self::Late => 23,
            Self::TooMany { .. } => 24,
            Self::Unanswered { .. } => 25,
            Self::Untrusted { .. } => 26,
            Self::Credential { .. } => 27,
            Self::Revoked { .. } => 28,
        }
    }
}

/// Result of every call.
pub type Result<T> = core::result::Result<T, HsmError>;

/// State of the HSM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Key store closed.
    Offline,
    /// Serving.
    Operational,
    /// Serving, with two officers present: ceremony, export, destroy.
    Authorised,
    /// Audit chain or store did not verify: nothing is served.
    Tampered,
}

/// One application master as people may see it: never its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    /// What it is for.
    pub key_type: KeyType,
    /// Class or key id.
    pub index: u8,
    /// Version.
    pub version: u8,
    /// Algorithm.
    pub suite: SuiteId,
    /// Key check value, hex.
    pub kcv: String,
    /// Its kind.
    pub kcv_kind: KcvKind,
    /// Present state.
    pub state: KeyState,
    /// Every state so far, with its first day.
    pub history: Vec<KeyEvent>,
}

/// The version to order when the present one is wanted, whichever it is: the newest active one.
pub const CURRENT: u8 = 0;

/// What the HSM says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// State.
    pub state: State,
    /// Keys come from a published seed: every screen must say DEMO.
    pub demo: bool,
    /// Number of application masters.
    pub keys: usize,
    /// Number of audit lines and the head of their hash chain, hex.
    pub audit_lines: u64,
    /// Head of the audit chain.
    pub audit_head: String,
}

/// Whose keys to derive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardRef {
    /// Card number.
    pub pan: Pan,
    /// Generation.
    pub generation: Generation,
    /// Region.
    pub region: RegionCode,
}

/// A purchase TAC (or medical, load, presence) to verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProofCheck {
    /// TAC of a purchase under DTK.
    Purchase {
        /// The card.
        card: CardRef,
        /// Suite and version of the DTK.
        suite: SuiteId,
        /// Version of the DTK.
        version: u8,
        /// Amount.
        amount: Fen,
        /// Type.
        tx: TxType,
        /// SAM number.
        terminal: SamNo,
        /// Terminal sequence.
        terminal_seq: u32,
        /// Time.
        time: CardTime,
        /// Offline sequence before its increment.
        seq: u16,
        /// Balance after.
        balance_after: Fen,
        /// Journey context (only H1 enters the TAC).
        context: Context,
        /// The TAC.
        tac: [u8; 4],
    },
    /// TAC of a load under DTK.
    Load {
        /// The card.
        card: CardRef,
        /// Suite of the DTK.
        suite: SuiteId,
        /// Version of the DTK.
        version: u8,
        /// Amount.
        amount: Fen,
        /// SAM number.
        terminal: SamNo,
        /// Time sent in CREDIT FOR LOAD.
        time: CardTime,
        /// Online sequence before its increment.
        seq: u16,
        /// Balance before.
        balance_before: Fen,
        /// The TAC.
        tac: [u8; 4],
    },
    /// TAC of a medical debit under MTK.
    Visit {
        /// The card.
        card: CardRef,
        /// Suite of the MTK.
        suite: SuiteId,
        /// Version of the MTK.
        version: u8,
        /// The three amounts.
        split: card_spec::medical::Split,
        /// SAM number.
        terminal: SamNo,
        /// Terminal sequence.
        terminal_seq: u32,
        /// Time.
        time: CardTime,
        /// Offline sequence of the medical purse, before its increment.
        seq: u16,
        /// Personal account after.
        balance_after: Fen,
        /// The TAC.
        tac: [u8; 4],
    },
    /// Internal authentication of the social-security application under IRK: the card was here.
    Presence {
        /// The card.
        card: CardRef,
        /// Suite of the IRK.
        suite: SuiteId,
        /// Version of the IRK.
        version: u8,
        /// Challenge that the device sent.
        challenge: [u8; 8],
        /// The card's answer.
        cryptogram: [u8; 8],
    },
}

/// The account of a card that a load goes to. Each counts its own online sequence.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Account {
    /// The purse 电子钱包, under its DLK.
    #[default]
    Purse,
    /// The personal account 个人账户 of the medical purse, under its MLK.
    Medical,
}

/// A ledger hold: the money for one load is reserved. Signed by the ledger's Ed25519 key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Ledger's id of the hold.
    pub hold_id: String,
    /// The card.
    pub pan: Pan,
    /// Which account of it.
    pub account: Account,
    /// Online sequence.
    pub seq: u16,
    /// Amount.
    pub amount: Fen,
    /// Time of the hold.
    pub time: CardTime,
}

impl Hold {
    /// The bytes that the ledger signs.
    pub fn signing_bytes(&self) -> Vec<u8> {
        let label = match self.account {
            Account::Purse => "onecard-hold-v1",
            Account::Medical => "onecard-medical-hold-v1",
        };
        format!(
            "{label}|{}|{}|{}|{}|{}",
            self.hold_id, self.pan, self.seq, self.amount.0, self.time
        )
        .into_bytes()
    }
}

/// A load to authorise in one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadRequest {
    /// The card.
    pub card: CardRef,
    /// Suite of the loading key, the DLK or the MLK as the hold's account has it.
    pub suite: SuiteId,
    /// Its version.
    pub version: u8,
    /// Terminal of the loading point.
    pub terminal: SamNo,
    /// The card's random number.
    pub rnd: [u8; 4],
    /// Balance before.
    pub balance_before: Fen,
    /// The card's MAC1.
    pub mac1: [u8; 4],
    /// The ledger's hold: amount, online sequence and time come from it.
    pub hold: Hold,
    /// Ed25519 signature over [`Hold::signing_bytes`].
    pub hold_signature: Vec<u8>,
}

/// A personalisation session with one card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u64);

/// What opening a session answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The session.
    pub session: SessionId,
    /// EXTERNAL AUTHENTICATE, ready to send.
    pub external_authenticate: Vec<u8>,
}

/// Keys to put on a card or a SAM, wrapped under the session's DEK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyOrder {
    /// Card keys.
    Card {
        /// Whose.
        card: CardRef,
        /// Which.
        headers: Vec<KeyHeader>,
    },
    /// Region-level keys for a SAM.
    Sam {
        /// The SAM.
        sam: SamNo,
        /// IIN of the cards it serves (PBOC suites diversify by it).
        iin: [u8; 2],
        /// Regions it accepts.
        regions: Vec<RegionCode>,
        /// Which keys, for each region.
        headers: Vec<KeyHeader>,
    },
}

/// A first PIN: wrapped for the card, and in clear once, for the sealed PIN letter 密码信封.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinLetter {
    /// E_DEK(PIN block), 16 bytes.
    pub wrapped: Vec<u8>,
    /// Six digits for the letter. Never logged.
    pub letter: String,
}

impl core::fmt::Debug for PinLetter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PinLetter(******)")
    }
}

/// The HSM.
pub trait Hsm: Send + Sync {
    /// State, key count, audit head.
    fn status(&self) -> Result<Status>;

    /// Every application master, sorted by type, index, version, suite; values never.
    fn keys(&self) -> Result<Vec<KeyInfo>>;

    /// Service and signing keys: check values and fingerprints.
    fn own_keys(&self) -> Result<OwnKeys>;

    /// Starts SCP03 with a card. `init_update` is the answer to INITIALIZE UPDATE with `host`;
    /// the card cryptogram is checked here. Level is one of `card_spec::scp03::level::ALL`.
    fn scp03_open(&self, host: [u8; 8], init_update: &[u8], level: u8) -> Result<Opened>;

    /// Protects plain command APDUs in order (C-MAC, and C-ENC by the session's level).
    fn scp03_wrap(&self, session: SessionId, commands: &[Vec<u8>]) -> Result<Vec<Vec<u8>>>;

    /// PUT KEY that replaces the transport set by the issuer's set for this card (plain APDU; send
    /// it through [`Self::scp03_wrap`]).
    fn put_issuer_keys(&self, session: SessionId) -> Result<Vec<u8>>;

    /// Diversifies keys and wraps them under the session's DEK. Each item is the data of one DGI
    /// (`card_spec::perso::card_key` or `sam_key`).
    fn wrap_keys(&self, session: SessionId, order: &KeyOrder) -> Result<Vec<Vec<u8>>>;

    /// Draws a first PIN for the card of this session.
    fn first_pin(&self, session: SessionId) -> Result<PinLetter>;

    /// Ends a session; its keys are wiped.
    fn scp03_close(&self, session: SessionId) -> Result<()>;

    /// Verifies proofs (TACs, presence). One answer an item, in order; an unknown key is an error
    /// of that item, not of the batch.
    fn verify(&self, checks: &[ProofCheck]) -> Result<Vec<Result<bool>>>;

    /// Authorises one load: MAC1, the hold's signature, the limits, and never two amounts for one
    /// (card, online sequence). Returns MAC2. The same request again returns the same MAC2.
    fn authorize_load(&self, request: &LoadRequest) -> Result<[u8; 4]>;

    /// MAC that raises a SAM's terminal-sequence ceiling, for the SAM's challenge and under the version
    /// of the ceiling key that it was issued with.
    fn sam_ceiling_mac(
        &self,
        sam: SamNo,
        version: u8,
        challenge: [u8; 8],
        ceiling: u32,
    ) -> Result<[u8; 4]>;

    /// A command for a card in the field, under one of its maintenance keys.
    fn card_command(&self, request: &CardCommand) -> Result<ReadyCommand>;

    /// UPDATE OVERDRAFT LIMIT: the ledger's signed order, MAC1, the highest limit, and never two
    /// answers of different content for one (card, online sequence), be it limit or load. The same
    /// request again returns the same command.
    fn authorize_overdraft(&self, request: &OverdraftRequest) -> Result<Vec<u8>>;

    /// EXTERNAL AUTHENTICATE under a reading key, for a reader without a SAM.
    fn authenticate_to_card(&self, request: &AuthenticateRequest) -> Result<Vec<u8>>;

    /// Both directions in one call: the card's answer to INTERNAL AUTHENTICATE is checked, and only
    /// a genuine card gets EXTERNAL AUTHENTICATE.
    fn authenticate_mutually(&self, request: &MutualRequest) -> Result<Vec<u8>>;

    /// The check value of a master, of the kind asked for.
    fn key_check_value(&self, header: KeyHeader, kind: KcvKind) -> Result<[u8; 3]>;

    /// WRITE KEY: a region's key for a SAM in the field.
    fn sam_write_key(&self, request: &SamKeyRequest) -> Result<Vec<u8>>;

    /// A PIN block under another version of the PIN key ([`CURRENT`]: the newest).
    fn translate_pin(&self, pan: Pan, block: &PinBlock, to: u8) -> Result<PinBlock>;

    /// Whether two PIN blocks hold the same PIN. Three times no in a row, or [`PIN_CHECKS_MAX`] checks
    /// in a day whatever they said, and two officers must clear the card. A block that was checked
    /// before is no typed PIN and is refused.
    fn verify_pin(&self, check: &PinCheck) -> Result<bool>;

    /// Wraps personal data under the PDK (authenticated, bound to its context). One blob an item,
    /// in order.
    fn wrap_data(&self, items: &[DataItem]) -> Result<Vec<Vec<u8>>>;

    /// Opens what [`Self::wrap_data`] wrapped. One item that does not verify in its context refuses
    /// the call. Whose data was read is in the audit log.
    fn unwrap_data(&self, items: &[DataItem]) -> Result<Vec<Vec<u8>>>;

    /// Keyed hashes under the PDK, by which equal values are found without keeping them in clear.
    /// `field` keeps the values of different columns apart.
    fn index_data(&self, field: &str, values: &[String]) -> Result<Vec<[u8; 32]>>;

    /// Signs with the key of a purpose ([`SignPurpose::algorithm`]).
    fn sign(&self, purpose: SignPurpose, message: &[u8]) -> Result<Vec<u8>>;

    /// The public key of a purpose, as [`SignAlgorithm`] encodes it.
    fn public_key(&self, purpose: SignPurpose) -> Result<Vec<u8>>;

    /// Random bytes, at most 256.
    fn random(&self, length: usize) -> Result<Vec<u8>>;
}
