//! Parameters and tariffs on their way down to devices, and the clock beside them.

use std::collections::BTreeMap;

use card_spec::{
    id::{DeviceNo, Generation, Pan},
    time::CardTime,
};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::mode::{Mode, SignedOrders};

/// What devices do from a time on. The newest published waits at a device until it starts; a later
/// version takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Version: every one is above all before.
    pub version: u64,
    /// When it takes effect.
    pub starts: CardTime,
    /// Limits of the device profile that it sets ([`crate::limits::Limits`]); others stay as the profile
    /// says. Those of the version before that are not proposed are published again.
    #[serde(default)]
    pub limits: serde_json::Map<String, serde_json::Value>,
    /// Tariff files by their path in the data folder, all that pricing reads. Where none are proposed,
    /// those of the version before are published again; none at all: the device's own.
    #[serde(default)]
    pub tariffs: BTreeMap<String, String>,
}

/// A bundle as it travels: the exact text that was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedBundle {
    /// A [`Bundle`] as JSON.
    pub body: String,
    /// Ed25519 of the HSM's parameter key over [`signing_bytes`], hex.
    pub signature: String,
}

/// What the signature of a bundle covers.
pub fn signing_bytes(body: &str) -> Vec<u8> {
    [b"onecard-parameters-v1|", body.as_bytes()].concat()
}

/// Why something signed is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// The signature does not verify.
    #[error("the signature does not verify: it is not from this clearing house")]
    Signature,
    /// Signed, and still not readable.
    #[error("it was signed and cannot be read: {0}; this device may need newer software")]
    Form(String),
    /// The answer to another question.
    #[error("it answers another question: it was kept and sent again")]
    Replayed,
}

pub(crate) fn verify(key: &VerifyingKey, bytes: &[u8], signature: &str) -> Result<(), SignedError> {
    let signature: [u8; 64] = hex::decode(signature)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(SignedError::Signature)?;
    key.verify_strict(bytes, &Signature::from_bytes(&signature))
        .map_err(|_| SignedError::Signature)
}

impl SignedBundle {
    /// The bundle, if the HSM signed it.
    pub fn open(&self, key: &VerifyingKey) -> Result<Bundle, SignedError> {
        verify(key, &signing_bytes(&self.body), &self.signature)?;
        serde_json::from_str(&self.body).map_err(|why| SignedError::Form(why.to_string()))
    }
}

/// What one person proposes and another agrees to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Proposal {
    /// Parameters for every device.
    Publish(Bundle),
    /// A mode for every device.
    Mode {
        /// Which.
        mode: Mode,
        /// From when on; without it, from the agreement.
        from: Option<CardTime>,
    },
    /// A card off the hotlist.
    Unlist {
        /// Card number.
        pan: Pan,
        /// Generation.
        generation: Generation,
    },
}

/// A proposal as it is kept or was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// Its number.
    pub number: u64,
    /// What happened.
    pub what: String,
}

/// A version that a device would not or could not use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Its version.
    pub version: u64,
    /// Why.
    pub why: String,
}

/// What a device tells when it asks; its body is signed with the upload key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParametersRequest {
    /// Device.
    pub device: DeviceNo,
    /// Version in effect; 0: what its profile says.
    pub held: u64,
    /// Newest version that it knows of: in effect, waiting or refused.
    pub known: u64,
    /// What it refused or rolled back last.
    pub refused: Option<Refused>,
    /// Version of the mode orders that it has; 0: none since its start.
    pub orders: u64,
    /// Its clock.
    pub at: CardTime,
    /// Drawn for this question; the time's answer names it. 32 hex digits.
    pub nonce: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParametersAnswer {
    /// The newest version above the one that the device knows.
    pub bundle: Option<SignedBundle>,
    /// The mode orders, when the device does not have them.
    pub orders: Option<SignedOrders>,
    /// The time.
    pub clock: SignedTime,
}

/// The clearing house's time, in answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedTime {
    /// Local time.
    pub now: CardTime,
    /// Nonce of the question.
    pub nonce: String,
    /// Ed25519 of the HSM's parameter key over [`Self::signing_bytes`], hex.
    pub signature: String,
}

impl SignedTime {
    /// What the signature covers.
    pub fn signing_bytes(&self) -> Vec<u8> {
        format!("onecard-clock-v1|{}|{}", self.nonce, self.now).into_bytes()
    }

    /// The time, if the HSM signed it in answer to `nonce`.
    pub fn open(&self, key: &VerifyingKey, nonce: &str) -> Result<CardTime, SignedError> {
        verify(key, &self.signing_bytes(), &self.signature)?;
        match self.nonce == nonce {
            true => Ok(self.now),
            false => Err(SignedError::Replayed),
        }
    }
}
