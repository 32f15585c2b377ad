//! Bearer tokens by role. Only their SHA-256 is configured and held.

use super::peer::Peer;
use crate::error::{Refusal, Result};
use actix_web::{HttpRequest, http::header::AUTHORIZATION};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Who may do what besides devices (signatures) and hospitals (access keys).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The issuer: cards, persons, SAMs, devices, hotlist.
    Issuance,
    /// Clearing staff 清算员: parties, devices, SAMs, hotlist, close, statements.
    Staff,
    /// Auditor 审计员: reads everything, changes nothing.
    Auditor,
}

/// A configured token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    role: Role,
    hash: [u8; 32],
}

impl core::fmt::Debug for Token {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Token({:?})", self.role)
    }
}

impl Token {
    /// From a token in clear (long and random); only its hash is kept.
    pub fn new(role: Role, clear: &str) -> Self {
        Self {
            role,
            hash: Sha256::digest(clear.as_bytes()).into(),
        }
    }

    /// From a stored hash.
    pub const fn from_hash(role: Role, hash: [u8; 32]) -> Self {
        Self { role, hash }
    }
}

/// Lets the request pass when its bearer token has one of the roles; says who asks: the role and the
/// beginning of the token's hash, which tells two holders of a role apart.
pub(super) fn allow(request: &HttpRequest, tokens: &[Token], roles: &[Role]) -> Result<String> {
    if let Some(Peer::Device(device)) = request.conn_data() {
        let why =
            format!("the certificate is device {device}'s: staff and services have their own");
        return Err(Refusal::forbidden(why).into());
    }
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let Some(given) = given else {
        return Err(
            Refusal::unauthorised("send `Authorization: Bearer` with your role's token").into(),
        );
    };
    let hash: [u8; 32] = Sha256::digest(given.as_bytes()).into();
    // Every token is compared, in constant time.
    let mut role = None;
    for token in tokens {
        if bool::from(token.hash.ct_eq(&hash)) {
            role = Some(token.role);
        }
    }
    match role {
        None => Err(Refusal::unauthorised("the token is unknown: ask for a new one").into()),
        Some(role) if roles.contains(&role) => {
            let [a, b, c, d, ..] = hash;
            Ok(format!("{role:?}:{}", hex::encode([a, b, c, d])))
        }
        Some(role) => Err(Refusal::forbidden(format!("the role {role:?} may not do this")).into()),
    }
}
