//! What a frame carries ([`crate::frame`]): one [`Request`] or one [`Response`].

use serde::{Deserialize, Serialize};

use crate::{
    Approval, Approved, AuditFrom, AuditPage, AuthenticateRequest, CardCommand, CertificateInfo,
    CertificateRequest, DataItem, HsmError, KeyId, KeyInfo, KeyOrder, KeyState, LoadRequest,
    MutualRequest, Opened, OverdraftRequest, OwnKeys, PinBlock, PinCheck, PinLetter, ProofCheck,
    ReadyCommand, Result, Revocation, RotationOrder, SamKeyRequest, Serial, SessionId, SignPurpose,
    Status,
};

/// One call of [`crate::Hsm`], with its arguments. The order is that of [`crate::OPERATIONS`]: a new
/// one goes to the end of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// [`crate::Hsm::status`].
    Status,
    /// [`crate::Hsm::keys`].
    Keys,
    /// [`crate::Hsm::own_keys`].
    OwnKeys,
    /// [`crate::Hsm::scp03_open`].
    Scp03Open {
        /// Host challenge.
        host: [u8; 8],
        /// Answer to INITIALIZE UPDATE.
        init_update: Vec<u8>,
        /// Security level.
        level: u8,
    },
    /// [`crate::Hsm::scp03_wrap`].
    Scp03Wrap {
        /// Session.
        session: SessionId,
        /// Plain APDUs.
        commands: Vec<Vec<u8>>,
    },
    /// [`crate::Hsm::put_issuer_keys`].
    PutIssuerKeys {
        /// Session.
        session: SessionId,
    },
    /// [`crate::Hsm::wrap_keys`].
    WrapKeys {
        /// Session.
        session: SessionId,
        /// Which keys.
        order: KeyOrder,
    },
    /// [`crate::Hsm::first_pin`].
    FirstPin {
        /// Session.
        session: SessionId,
    },
    /// [`crate::Hsm::scp03_close`].
    Scp03Close {
        /// Session.
        session: SessionId,
    },
    /// [`crate::Hsm::verify`].
    Verify {
        /// Proofs.
        checks: Vec<ProofCheck>,
    },
    /// [`crate::Hsm::authorize_load`].
    AuthorizeLoad {
        /// The load.
        request: Box<LoadRequest>,
    },
    /// [`crate::Hsm::sam_ceiling_mac`].
    SamCeilingMac {
        /// SAM number.
        sam: card_spec::id::SamNo,
        /// Version of its ceiling key.
        version: u8,
        /// The SAM's challenge.
        challenge: [u8; 8],
        /// New ceiling.
        ceiling: u32,
    },
    /// [`crate::Hsm::wrap_data`].
    WrapData {
        /// Plain data.
        items: Vec<DataItem>,
    },
    /// [`crate::Hsm::unwrap_data`].
    UnwrapData {
        /// Blobs.
        items: Vec<DataItem>,
    },
    /// [`crate::Hsm::index_data`].
    IndexData {
        /// Column.
        field: String,
        /// Its values.
        values: Vec<String>,
    },
    /// [`crate::Hsm::sign`].
    Sign {
        /// Which key.
        purpose: SignPurpose,
        /// What is signed.
        message: Vec<u8>,
    },
    /// [`crate::Hsm::public_key`].
    PublicKey {
        /// Which key.
        purpose: SignPurpose,
    },
    /// [`crate::Hsm::random`].
    Random {
        /// Bytes wanted.
        length: usize,
    },
    /// [`crate::Hsm::card_command`].
    CardCommand {
        /// The order.
        request: Box<CardCommand>,
    },
    /// [`crate::Hsm::authorize_overdraft`].
    AuthorizeOverdraft {
        /// The change.
        request: Box<OverdraftRequest>,
    },
    /// [`crate::Hsm::authenticate_to_card`].
    AuthenticateToCard {
        /// Which card, which key.
        request: AuthenticateRequest,
    },
    /// [`crate::Hsm::sam_write_key`].
    SamWriteKey {
        /// Which SAM, which key.
        request: SamKeyRequest,
    },
    /// [`crate::Hsm::translate_pin`].
    TranslatePin {
        /// Card number.
        pan: card_spec::id::Pan,
        /// The block.
        block: PinBlock,
        /// Version wanted.
        to: u8,
    },
    /// [`crate::Hsm::verify_pin`].
    VerifyPin {
        /// Both blocks.
        check: PinCheck,
    },
    /// [`crate::Administration::approval_challenge`].
    ApprovalChallenge,
    /// [`crate::Administration::approve`].
    Approve {
        /// The approval.
        approval: Approval,
    },
    /// [`crate::Administration::end_authorisation`].
    EndAuthorisation,
    /// [`crate::Administration::clear_load_lock`].
    ClearLoadLock {
        /// The card.
        pan: card_spec::id::Pan,
    },
    /// [`crate::Administration::certify`].
    Certify {
        /// Whose.
        request: CertificateRequest,
    },
    /// [`crate::Administration::set_key_state`].
    SetKeyState {
        /// Which key.
        key: KeyId,
        /// The state that begins.
        to: KeyState,
    },
    /// [`crate::Administration::rotate`].
    Rotate {
        /// Which keys, from which components.
        order: RotationOrder,
    },
    /// [`crate::Administration::revoke`].
    Revoke {
        /// Which certificates.
        revocation: Revocation,
    },
    /// [`crate::Administration::certificates`].
    Certificates,
    /// [`crate::Hsm::authenticate_mutually`].
    AuthenticateMutually {
        /// The card's proof, and what the reader proves.
        request: MutualRequest,
    },
    /// [`crate::Hsm::key_check_value`].
    KeyCheckValue {
        /// Which master.
        header: card_spec::keys::KeyHeader,
        /// Which kind.
        kind: card_spec::keys::KcvKind,
    },
    /// [`crate::Administration::audit_lines`].
    AuditLines {
        /// Where the page begins.
        from: AuditFrom,
    },
}

/// The answer to one [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To `Status`.
    Status(Status),
    /// To `Keys`.
    Keys(Vec<KeyInfo>),
    /// To `OwnKeys`.
    OwnKeys(OwnKeys),
    /// To `Scp03Open`.
    Opened(Opened),
    /// To `Scp03Wrap`, `WrapKeys`, `WrapData` and `UnwrapData`.
    Many(Vec<Vec<u8>>),
    /// To `PutIssuerKeys`, `Sign`, `PublicKey`, `Random`, `AuthorizeOverdraft`,
    /// `AuthenticateToCard`, `AuthenticateMutually`, `SamWriteKey` and `Certify`.
    Bytes(Vec<u8>),
    /// To `FirstPin`.
    Pin(PinLetter),
    /// To `Scp03Close`, `EndAuthorisation`, `ClearLoadLock` and `SetKeyState`.
    Done,
    /// To `Verify`.
    Verified(Vec<Result<bool>>),
    /// To `IndexData`.
    Hashes(Vec<[u8; 32]>),
    /// To `AuthorizeLoad` and `SamCeilingMac`.
    Mac([u8; 4]),
    /// To `CardCommand`.
    Ready(ReadyCommand),
    /// To `TranslatePin`.
    Block(PinBlock),
    /// To `VerifyPin`.
    Yes(bool),
    /// The call failed.
    Failed(HsmError),
    /// To `ApprovalChallenge`.
    Challenge([u8; 32]),
    /// To `Approve`.
    Approved(Approved),
    /// To `Rotate`.
    Made(Vec<KeyId>),
    /// To `Revoke`.
    Revoked(Vec<Serial>),
    /// To `Certificates`.
    Certificates(Vec<CertificateInfo>),
    /// To `KeyCheckValue`.
    CheckValue([u8; 3]),
    /// To `AuditLines`.
    AuditPage(AuditPage),
}
