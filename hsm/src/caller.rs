//! On whose behalf a call is made.

use hsm_client::{HsmError, Result, Role, Serial};

/// Who calls: the process that opened the HSM, or the subject of a verified certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: String,
    /// Role and Ed25519 public key of the certificate; the process itself has none.
    pub(crate) certified: Option<(Role, [u8; 32])>,
    /// Number of the certificate.
    pub(crate) serial: Option<Serial>,
}

impl Caller {
    /// The process that opened the HSM.
    pub(crate) const fn process(name: String) -> Self {
        Self {
            name,
            certified: None,
            serial: None,
        }
    }

    pub(crate) const fn role(&self) -> Option<Role> {
        match self.certified {
            Some((role, _)) => Some(role),
            None => None,
        }
    }

    /// The key of an officer.
    pub(crate) fn officer(&self) -> Result<[u8; 32]> {
        match self.certified {
            Some((Role::Officer, key)) => Ok(key),
            other => Err(HsmError::Forbidden {
                role: other.map_or("none", |(role, _)| role.name()).to_owned(),
                operation: "approvals".to_owned(),
            }),
        }
    }
}
