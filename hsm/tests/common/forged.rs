//! Certificates with anything in them, as somebody with the authority's signature can make.

use hsm::{Authorised, SoftHsm};
use hsm_client::{Credential, Hsm, LeafKey, SignPurpose};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyIdMethod,
    PKCS_ED25519, PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey, date_time_ymd,
};

struct Authority<'a>(&'a SoftHsm, Vec<u8>);
struct Public([u8; 32]);

impl PublicKeyData for Authority<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.1
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}
impl SigningKey for Authority<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.0.sign(SignPurpose::ClientCa, message).unwrap())
    }
}
impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

/// A client certificate of the right authority with the given years, name and unit.
pub fn client(hsm: &SoftHsm, years: (i32, i32), name: &str, unit: &str) -> Credential {
    let distinguished = |unit: Option<&str>, common: &str| {
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, "OneCard");
        if let Some(unit) = unit {
            name.push(DnType::OrganizationalUnitName, unit);
        }
        name.push(DnType::CommonName, common);
        name
    };
    let mut authority = CertificateParams::default();
    authority.distinguished_name = distinguished(None, "OneCard HSM authority");
    authority.key_identifier_method = KeyIdMethod::PreSpecified(vec![1]);
    let mut leaf = CertificateParams::default();
    leaf.distinguished_name = distinguished(Some(unit), name);
    leaf.serial_number = Some(SerialNumber::from(9));
    leaf.not_before = date_time_ymd(years.0, 1, 1);
    leaf.not_after = date_time_ymd(years.1, 1, 1);
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    leaf.key_identifier_method = KeyIdMethod::PreSpecified(vec![2]);
    let key = LeafKey::draw().unwrap();
    let public = hsm.public_key(SignPurpose::ClientCa).unwrap();
    let issuer = Issuer::new(authority, Authority(hsm, public));
    let certificate = leaf.signed_by(&Public(key.public_key()), &issuer).unwrap();
    let authority = hsm.authority_certificate().unwrap();
    key.certified(authority, certificate.der().to_vec())
        .unwrap()
}

/// The authorised state of an HSM, opened if need be.
pub fn authorised(hsm: &SoftHsm) -> Authorised {
    hsm.authorised().unwrap_or_else(|_| {
        let officer = |name| client(hsm, (2020, 2060), name, "officer");
        let [lin, chen] = ["Lin Mei", "Chen Guo"].map(officer);
        hsm.authorise([&lin, &chen], "tests").unwrap()
    })
}
