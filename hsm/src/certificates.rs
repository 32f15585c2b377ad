//! Certificates of the HSM's servers and clients, issued by its own authority (the `client-ca` key).
//!
//! X.509 v3, Ed25519. A client's subject is `CN=name, OU=role, O=OneCard`, with the extended key
//! usage of clients alone; a server's is `CN=first host`, with its hosts as alternative names and
//! the usage of servers alone. So no client can pass for a server. A device's has its number for a
//! name and `device` where clients have their role: the clearing house hears it, the HSM does not.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use hsm_client::{HsmError, Result, Role, Serial, Subject};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SerialNumber,
    SignatureAlgorithm, SigningKey, date_time_ymd,
};
use rustls::{RootCertStore, pki_types::UnixTime, server::WebPkiClientVerifier};
use sha2::{Digest, Sha256};
use x509_parser::{certificate::X509Certificate, oid_registry, prelude::FromDer};

use crate::{caller::Caller, officers::person, sessions::malformed, signing::Signer};

const ORGANISATION: &str = "OneCard";
/// Organisational unit of devices: no role.
pub(crate) const DEVICE: &str = "device";
/// Most names of a server.
const HOSTS_MAX: usize = 16;
/// Longest validity, in days: two years and a quarter.
const DAYS_MAX: u16 = 825;
/// Clocks of the HSM and its peers may differ by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// The authority as rcgen knows it: the secret stays in the vault.
struct Authority<'a> {
    signer: &'a Signer,
    public_key: Vec<u8>,
}

impl PublicKeyData for Authority<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.public_key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl SigningKey for Authority<'_> {
    fn sign(&self, message: &[u8]) -> core::result::Result<Vec<u8>, rcgen::Error> {
        self.signer
            .sign(message)
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// A subject's public key.
struct Leaf<'a>(&'a [u8; 32]);

impl PublicKeyData for Leaf<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

fn failed(error: &rcgen::Error) -> HsmError {
    malformed(&format!("no certificate can be made of this: {error}"))
}

fn key_id(public_key: &[u8]) -> KeyIdMethod {
    let digest: [u8; 32] = Sha256::digest(public_key).into();
    KeyIdMethod::PreSpecified(digest.into_iter().take(20).collect())
}

/// The authority's parameters. They follow from its key, so its certificate is always the same.
fn authority_params(public_key: &[u8]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2070, 1, 1);
    params.serial_number = Some(SerialNumber::from(1));
    params.distinguished_name = name("OneCard HSM authority", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.key_identifier_method = key_id(public_key);
    params
}

fn name(common: &str, unit: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, ORGANISATION);
    if let Some(unit) = unit {
        name.push(DnType::OrganizationalUnitName, unit);
    }
    name.push(DnType::CommonName, common);
    name
}

/// The authority's own certificate, DER.
pub(crate) fn authority(signer: &Signer) -> Result<Vec<u8>> {
    let public_key = signer.public_key()?;
    let params = authority_params(&public_key);
    let key = Authority { signer, public_key };
    let certificate = params.self_signed(&key).map_err(|e| failed(&e))?;
    Ok(certificate.der().to_vec())
}

fn client_params(common: &str, unit: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(common, Some(unit));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// Issues a certificate, DER; and its number.
pub(crate) fn issue(
    signer: &Signer,
    subject: &Subject,
    public_key: &[u8; 32],
    serial: [u8; 16],
    from: SystemTime,
    days: u16,
) -> Result<(Vec<u8>, Serial)> {
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(malformed("a certificate is valid for 1 to 825 days"));
    }
    if ed25519_dalek::VerifyingKey::from_bytes(public_key).is_err() {
        return Err(malformed("the public key is no Ed25519 key"));
    }
    let mut params = match subject {
        Subject::Client { name: common, role } => client_params(&person(common)?, role.name()),
        Subject::Device { number } => client_params(&number.to_string(), DEVICE),
        Subject::Server { hosts } => {
            let Some(first) = hosts.first().filter(|_| hosts.len() <= HOSTS_MAX) else {
                return Err(malformed("a server has 1 to 16 hosts"));
            };
            let mut params = CertificateParams::new(hosts.clone()).map_err(|e| failed(&e))?;
            params.distinguished_name = name(&person(first)?, None);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params
        }
    };
    // Positive, as RFC 5280 wants it.
    let [first, rest @ ..] = serial;
    let mut number = vec![first & 0x7F | 0x40];
    number.extend_from_slice(&rest);
    let serial = Serial::from_bytes(&number);
    params.serial_number = Some(SerialNumber::from(number));
    params.not_before = (from - CLOCK_SKEW).into();
    params.not_after = (from + Duration::from_secs(86_400 * u64::from(days))).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.key_identifier_method = key_id(public_key);
    params.use_authority_key_identifier_extension = true;
    let issuing = signer.public_key()?;
    let issuer = Issuer::new(
        authority_params(&issuing),
        Authority {
            signer,
            public_key: issuing,
        },
    );
    let certificate = params
        .signed_by(&Leaf(public_key), &issuer)
        .map_err(|e| failed(&e))?;
    Ok((certificate.der().to_vec(), serial))
}

/// Who holds a certificate that no TLS connection has verified: issued by our authority, for a client,
/// and in time.
pub(crate) fn verified_caller(signer: &Signer, der: &[u8], now: SystemTime) -> Result<Caller> {
    let refused = |why: String| HsmError::Untrusted {
        address: "certificate".to_owned(),
        why,
    };
    let mut roots = RootCertStore::empty();
    roots
        .add(authority(signer)?.into())
        .map_err(|e| refused(e.to_string()))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::new(rustls::crypto::ring::default_provider()),
    )
    .build()
    .map_err(|e| refused(e.to_string()))?;
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH);
    verifier
        .verify_client_cert(
            &der.into(),
            &[],
            UnixTime::since_unix_epoch(since_1970.unwrap_or_default()),
        )
        .map_err(|e| refused(e.to_string()))?;
    caller(der).ok_or_else(|| refused("it names no role".to_owned()))
}

/// Who a client is, by its certificate. TLS has verified that the authority issued it, that it is in
/// time, and that the client holds its key.
pub(crate) fn caller(der: &[u8]) -> Option<Caller> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let unit = subject.iter_organizational_unit().next()?.as_str().ok()?;
    let key = certificate.public_key();
    if key.algorithm.algorithm != oid_registry::OID_SIG_ED25519 {
        return None;
    }
    let key = key.subject_public_key.data.as_ref().try_into().ok()?;
    Some(Caller {
        name: person(name).ok()?,
        certified: Some((Role::from_name(unit)?, key)),
        serial: Some(Serial::from_bytes(certificate.raw_serial())),
    })
}
