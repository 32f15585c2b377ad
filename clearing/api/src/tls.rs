//! TLS 1.3 with certificates at both ends 双向认证, all of one private authority.
//!
//! A device's certificate names it: `OU=device`, `CN=` its 16-digit number, issued by
//! `onecard hsm certificate issue --device`.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, RootCertStore, SupportedCipherSuite,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer,
        pem::{self, PemObject},
    },
    version::TLS13,
};
use serde::{Deserialize, Serialize};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

/// Organisational unit of devices' certificates.
pub const DEVICE_UNIT: &str = "device";

/// `[tls]` of a profile or a service: the files of one end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificate of the authority that the other end's certificate must be of, PEM.
    pub ca: PathBuf,
    /// Own certificate, PEM; intermediate ones may follow it.
    pub certificate: PathBuf,
    /// Its key, PKCS#8 PEM.
    pub key: PathBuf,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not to be read.
    #[error("cannot read {}: {why}. `onecard hsm certificate issue` writes it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// A file holds something else.
    #[error("{} holds no {what} in PEM: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What was found.
        why: String,
    },
    /// Certificate and key are of two pairs.
    #[error("{} is not the key of {}: name the two files that were issued together", key.display(), certificate.display())]
    Pair {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// TLS cannot use a certificate.
    #[error("{} cannot be used for TLS: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        why: String,
    },
    /// `https` without a certificate.
    #[error("{0} wants a certificate of this device: add [tls] with ca, certificate and key")]
    Missing(String),
    /// A certificate without `https`.
    #[error(
        "{0} is no https address, so [tls] would protect nothing: write https://, or leave [tls] out"
    )]
    Plain(String),
}

/// What the files hold.
pub struct Identity {
    authorities: Vec<CertificateDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
    /// The same as ureq takes it.
    client_key: PrivateKey<'static>,
}

impl core::fmt::Debug for Identity {
    /// Without the key.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Tls {
    /// Takes relative paths as relative to a folder.
    pub fn resolve(&mut self, folder: &Path) {
        for path in [&mut self.ca, &mut self.certificate, &mut self.key] {
            *path = folder.join(&*path);
        }
    }

    /// Reads the files and sees that they fit each other.
    pub fn load(&self) -> Result<Identity, TlsError> {
        let key = PrivatePkcs8KeyDer::from_pem_file(&self.key)
            .map_err(|why| unreadable(&self.key, "PKCS#8 private key", why))?;
        let client_key = client_key(&key).ok_or_else(|| TlsError::Unusable {
            path: self.key.clone(),
            why: "it is no private key".to_owned(),
        })?;
        let identity = Identity {
            authorities: certificates(&self.ca)?,
            chain: certificates(&self.certificate)?,
            key,
            client_key,
        };
        let roots = identity.roots().map_err(|why| TlsError::Unusable {
            path: self.ca.clone(),
            why: why.to_string(),
        })?;
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .and_then(|config| {
                config
                    .with_root_certificates(roots)
                    .with_client_auth_cert(identity.chain.clone(), identity.key())
            })
            .map_err(|why| match why {
                rustls::Error::InconsistentKeys(_) => TlsError::Pair {
                    certificate: self.certificate.clone(),
                    key: self.key.clone(),
                },
                why => TlsError::Unusable {
                    path: self.certificate.clone(),
                    why: why.to_string(),
                },
            })?;
        Ok(identity)
    }
}

impl Identity {
    /// Trust in the authority, and in nobody else.
    pub fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for authority in &self.authorities {
            roots.add(authority.clone())?;
        }
        Ok(roots)
    }

    /// The own certificate, then intermediate ones.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// When the own certificate ends, seconds since 1970.
    pub fn ends(&self) -> Option<i64> {
        let (_, certificate) = X509Certificate::from_der(self.chain.first()?).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }

    /// The key, for TLS.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |why| unreadable(path, "certificate", why);
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(wrong)?;
    match found.is_empty() {
        true => Err(wrong(pem::Error::NoItemsFound)),
        false => Ok(found),
    }
}

fn unreadable(path: &Path, what: &'static str, why: pem::Error) -> TlsError {
    let path = path.to_owned();
    match why {
        pem::Error::Io(why) => TlsError::Read { path, why },
        // The words of the others may hold what was in the file.
        pem::Error::NoItemsFound => TlsError::Content {
            path,
            what,
            why: "there is none".to_owned(),
        },
        _ => TlsError::Content {
            path,
            what,
            why: "it is damaged".to_owned(),
        },
    }
}

/// ureq takes keys as PEM alone.
fn client_key(key: &PrivatePkcs8KeyDer<'_>) -> Option<PrivateKey<'static>> {
    let body = STANDARD.encode(key.secret_pkcs8_der());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    PrivateKey::from_pem(pem.as_bytes()).ok()
}

/// The client's side. Without an identity nobody is trusted: there are no public roots here.
pub(crate) fn client(identity: Option<&Identity>) -> TlsConfig {
    let authorities = identity.map_or(&[][..], |identity| &identity.authorities);
    let roots: Vec<_> = authorities.iter().map(owned).collect();
    let certificate = identity.map(|identity| {
        let chain: Vec<_> = identity.chain.iter().map(owned).collect();
        ClientCert::new_with_certs(&chain, identity.client_key.to_owned())
    });
    TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(certificate)
        .unversioned_rustls_crypto_provider(Arc::new(tls13()))
        .build()
}

fn owned(certificate: &CertificateDer<'_>) -> Certificate<'static> {
    Certificate::from_der(certificate).to_owned()
}

/// Without the cipher suites of TLS 1.2 there is no TLS 1.2: ureq lets nobody name versions.
fn tls13() -> CryptoProvider {
    let mut provider = ring::default_provider();
    let is_tls13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
    provider.cipher_suites.retain(is_tls13);
    provider
}

/// Which end did not trust the other and what to do, when that is why a request failed.
pub(crate) fn distrust(error: &ureq::Error) -> Option<String> {
    let error = match error {
        ureq::Error::Rustls(error) => error,
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref::<rustls::Error>()?,
        _ => return None,
    };
    Some(match error {
        rustls::Error::InvalidCertificate(why) => {
            format!("its certificate is refused: {}", refused(why))
        }
        rustls::Error::AlertReceived(alert) => {
            format!("it refuses our certificate: {}", alerted(*alert))
        }
        rustls::Error::InvalidMessage(_) => {
            "what answers there does not speak TLS: compare the address with the service's"
                .to_owned()
        }
        other => other.to_string(),
    })
}

fn refused(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "another authority issued it. Is this the right address, and `ca` the file of its authority?".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired, or the clock here is fast".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet, or the clock here is slow".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host: use a host that it names (`--host` when it was issued)".to_owned()
        }
        other => other.to_string(),
    }
}

fn alerted(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "it is of another authority. Have one issued by `onecard hsm certificate issue`"
                .to_owned()
        }
        AlertDescription::CertificateExpired => {
            "it has expired. Have a new one issued by `onecard hsm certificate issue`".to_owned()
        }
        AlertDescription::CertificateRequired => "it was shown none".to_owned(),
        other => format!("alert {other:?}"),
    }
}
