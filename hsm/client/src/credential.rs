//! Who a party is to its peers: its certificate, its key, and the authority that both sides trust.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use rustls::{
    ClientConfig, RootCertStore, SignatureScheme,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    version::TLS13,
};

use crate::{HsmError, Result};

/// A key pair (Ed25519) that has no certificate yet. Wiped on drop.
pub struct LeafKey(ed25519_dalek::SigningKey);

impl LeafKey {
    /// Draws one with the operating system's generator.
    pub fn draw() -> Result<Self> {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|e| HsmError::WrongState {
            state: format!("without random numbers ({e})"),
            needs: "the operating system's random generator".to_owned(),
        })?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// What the certificate is for.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// With its certificate and the authority's, both DER.
    pub fn certified(&self, authority: Vec<u8>, certificate: Vec<u8>) -> Result<Credential> {
        let key = self.0.to_pkcs8_der().map_err(|e| HsmError::Credential {
            path: "key".to_owned(),
            why: e.to_string(),
        })?;
        Ok(Credential {
            authority: authority.into(),
            certificate: certificate.into(),
            key: key.as_bytes().to_vec().into(),
        })
    }
}

/// A certificate with its key, and the certificate of the authority (`ca.pem`).
pub struct Credential {
    authority: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
}

/// The key is not shown.
impl core::fmt::Debug for Credential {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Credential").finish_non_exhaustive()
    }
}

impl Clone for Credential {
    fn clone(&self) -> Self {
        Self {
            authority: self.authority.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl Credential {
    /// From a directory: `ca.pem`, `NAME.pem`, `NAME.key`.
    pub fn load(directory: &Path, name: &str) -> Result<Self> {
        let [authority, certificate, key] = [
            "ca.pem".to_owned(),
            format!("{name}.pem"),
            format!("{name}.key"),
        ]
        .map(|file| directory.join(file));
        Ok(Self {
            authority: from_pem(&authority)?,
            certificate: from_pem(&certificate)?,
            key: from_pem(&key)?,
        })
    }

    /// As [`Self::load`] reads it: certificate and key. The key is secret.
    pub fn to_pem(&self) -> (String, zeroize::Zeroizing<String>) {
        let key = pem::Pem::new("PRIVATE KEY", self.key.secret_pkcs8_der());
        (
            Self::pem_of(&self.certificate),
            zeroize::Zeroizing::new(pem::encode(&key)),
        )
    }

    /// A certificate as a file holds it.
    pub fn pem_of(certificate: &[u8]) -> String {
        pem::encode(&pem::Pem::new("CERTIFICATE", certificate))
    }

    /// The authority's certificate, DER.
    pub fn authority(&self) -> &CertificateDer<'static> {
        &self.authority
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The key, for TLS.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }

    /// Trust in the authority, and in nobody else.
    pub fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.authority.clone())
            .map_err(|e| unusable(&e))?;
        Ok(roots)
    }

    /// Signs with the certificate's key (Ed25519).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        ring::sign::any_eddsa_type(&self.key)
            .ok()
            .and_then(|key| key.choose_scheme(&[SignatureScheme::ED25519]))
            .and_then(|signer| signer.sign(message).ok())
            .ok_or_else(|| HsmError::Credential {
                path: "key".to_owned(),
                why: "this is no Ed25519 key: have a certificate issued for one".to_owned(),
            })
    }

    /// TLS 1.3 with both certificates. No tickets: every connection shows its certificate.
    pub(crate) fn client_config(&self) -> Result<Arc<ClientConfig>> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| unusable(&e))?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(vec![self.certificate.clone()], self.key())
            .map_err(|e| unusable(&e))?;
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

fn unusable(error: &rustls::Error) -> HsmError {
    HsmError::Credential {
        path: "certificate".to_owned(),
        why: format!("{error}: certificate and key must belong together, and ca.pem to both"),
    }
}

fn from_pem<T: PemObject>(path: &PathBuf) -> Result<T> {
    T::from_pem_file(path).map_err(|error| HsmError::Credential {
        path: path.display().to_string(),
        why: format!(
            "{error:?}: `onecard hsm init` and `onecard hsm certificate` write these files; copy here ca.pem and the pair of this service"
        ),
    })
}
