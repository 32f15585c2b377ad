//! What people ask of the HSM: approvals, and what needs two of them.

use card_spec::id::{DeviceNo, Pan};
use serde::{Deserialize, Serialize};

use crate::{
    AuditFrom, AuditPage, CertificateInfo, KeyId, KeyState, Result, Revocation, Role,
    RotationOrder, Serial,
};

/// Longest reason of an approval, in bytes.
pub const REASON_MAX: usize = 200;
/// Longest authorised state, in minutes.
pub const MINUTES_MAX: u8 = 60;

/// One officer's approval of an authorised state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The challenge that the HSM drew for this officer; it counts once.
    pub challenge: [u8; 32],
    /// What it is for; both officers say the same.
    pub reason: String,
    /// How long the state lasts, 1 to [`MINUTES_MAX`]; both officers say the same.
    pub minutes: u8,
    /// Ed25519 signature over [`Approval::signing_bytes`] by the key of the officer's certificate.
    pub signature: Vec<u8>,
}

impl Approval {
    /// The bytes that an officer signs.
    pub fn signing_bytes(challenge: &[u8; 32], minutes: u8, reason: &str) -> Vec<u8> {
        let mut bytes = b"onecard-hsm-approval-v1\0".to_vec();
        bytes.extend_from_slice(challenge);
        bytes.push(minutes);
        bytes.extend_from_slice(reason.as_bytes());
        bytes
    }
}

/// What became of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Approved {
    /// It is the first; another officer's must follow within this many seconds.
    First {
        /// Seconds left.
        seconds: u32,
    },
    /// It is the second: the HSM is authorised for this many seconds.
    Authorised {
        /// Seconds left.
        seconds: u32,
    },
}

/// Whose certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// A client: a service, or a person.
    Client {
        /// Name, 1 to 64 characters.
        name: String,
        /// What it may do.
        role: Role,
    },
    /// A server: of the HSM, or of the clearing house.
    Server {
        /// Names and IP addresses by which clients know it.
        hosts: Vec<String>,
    },
    /// A device, to the clearing house. The HSM does not hear it.
    Device {
        /// Its number.
        number: DeviceNo,
    },
}

/// A certificate to issue. The key pair is made by who asks; only its public half is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRequest {
    /// Whose.
    pub subject: Subject,
    /// Ed25519 public key.
    pub public_key: [u8; 32],
    /// Validity from now, in days.
    pub days: u16,
}

/// Calls of people at the HSM.
pub trait Administration {
    /// A challenge for this officer's next approval.
    fn approval_challenge(&self) -> Result<[u8; 32]>;

    /// Approves. Two different officers within ten minutes, with the same reason and duration, take
    /// the HSM to the authorised state.
    fn approve(&self, approval: &Approval) -> Result<Approved>;

    /// Ends the authorised state early, or takes back a first approval.
    fn end_authorisation(&self) -> Result<()>;

    /// Lets a card load again, and its PIN be checked, after three wrong guesses in a row. Dual control.
    fn clear_load_lock(&self, pan: Pan) -> Result<()>;

    /// Issues a certificate, DER. Dual control.
    fn certify(&self, request: &CertificateRequest) -> Result<Vec<u8>>;

    /// Ends certificates before their time; returns their numbers. Dual control.
    fn revoke(&self, revocation: &Revocation) -> Result<Vec<Serial>>;

    /// Every certificate that was issued or revoked here.
    fn certificates(&self) -> Result<Vec<CertificateInfo>>;

    /// Lines of the audit log, to be verified where they are read.
    fn audit_lines(&self, from: AuditFrom) -> Result<AuditPage>;

    /// Changes the state of a key. Dual control.
    fn set_key_state(&self, key: KeyId, to: KeyState) -> Result<()>;

    /// Makes the next version of keys, pre-active: from the roots, formed again, or drawn. Dual control.
    fn rotate(&self, order: &RotationOrder) -> Result<Vec<KeyId>>;
}
