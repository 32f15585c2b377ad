//! A certificate for sample cards, signed by the card that it is about. Not an issuer's: nobody
//! vouches for it.

use crate::host::{HostError, ask};
use card_spec::{
    Channel,
    pki::{self, PUBLIC_KEY, SIGNATURE},
};

/// `1.2.156.10197.1.501`, SM2 with SM3 (GM/T 0006).
const SM2_WITH_SM3: &[u8] = &[0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x83, 0x75];
/// `1.2.156.10197.1.301`, the curve.
const SM2_CURVE: &[u8] = &[0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x82, 0x2D];
/// `1.2.840.10045.2.1`, a key on a curve (RFC 5480).
const EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
/// `2.5.29.15`: digital signature and non-repudiation, critical.
const KEY_USAGE: &[u8] = &[
    0x06, 0x03, 0x55, 0x1D, 0x0F, 0x01, 0x01, 0xFF, 0x04, 0x04, 0x03, 0x02, 0x06, 0xC0,
];

mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const BIT_STRING: u8 = 0x03;
    pub(super) const OID: u8 = 0x06;
    pub(super) const UTF8: u8 = 0x0C;
    pub(super) const PRINTABLE: u8 = 0x13;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const SET: u8 = 0x31;
    pub(super) const VERSION: u8 = 0xA0;
    pub(super) const EXTENSIONS: u8 = 0xA3;
}

/// `tag | length | the parts`.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let [high, low] = (value.len() as u16).to_be_bytes();
    let mut out = match (high, low) {
        (0, short @ 0..=0x7F) => vec![tag, short],
        (0, long) => vec![tag, 0x81, long],
        _ => vec![tag, 0x82, high, low],
    };
    out.extend(value);
    out
}

/// A positive number without leading zeros.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    let digits = bytes.get(zeros..).unwrap_or_default();
    let sign: &[u8] = match digits.first() {
        Some(0x00..=0x7F) => &[],
        _ => &[0],
    };
    der(tag::INTEGER, &[sign, digits])
}

fn algorithm(oids: &[&[u8]]) -> Vec<u8> {
    let oids: Vec<_> = oids.iter().map(|oid| der(tag::OID, &[oid])).collect();
    der(tag::SEQUENCE, &[&oids.concat()])
}

/// C=CN, O=OneCard sample, CN=the name.
fn name(common_name: &str) -> Vec<u8> {
    let attribute = |kind: u8, string: u8, text: &str| {
        let oid = der(tag::OID, &[&[0x55, 0x04, kind]]);
        let text = der(string, &[text.as_bytes()]);
        der(tag::SET, &[&der(tag::SEQUENCE, &[&oid, &text])])
    };
    let parts = [
        attribute(0x06, tag::PRINTABLE, "CN"),
        attribute(0x0A, tag::UTF8, "OneCard sample"),
        attribute(0x03, tag::UTF8, common_name),
    ];
    der(tag::SEQUENCE, &[&parts.concat()])
}

/// What a certificate says (RFC 5280, 4.1.2), ready to be signed.
fn to_be_signed(holder: &str, public: &[u8; PUBLIC_KEY]) -> Vec<u8> {
    let validity = ["260101000000Z", "351231235959Z"].map(|t| der(tag::UTC_TIME, &[t.as_bytes()]));
    let point = der(tag::BIT_STRING, &[&[0x00, 0x04], public]);
    let key = der(
        tag::SEQUENCE,
        &[&algorithm(&[EC_PUBLIC_KEY, SM2_CURVE]), &point],
    );
    let usage = der(tag::SEQUENCE, &[KEY_USAGE]);
    der(
        tag::SEQUENCE,
        &[
            &der(tag::VERSION, &[&integer(&[2])]),
            &integer(&public[..8]),
            &algorithm(&[SM2_WITH_SM3]),
            &name(holder),
            &der(tag::SEQUENCE, &[&validity.concat()]),
            &name(holder),
            &key,
            &der(tag::EXTENSIONS, &[&der(tag::SEQUENCE, &[&usage])]),
        ],
    )
}

fn signed(statement: &[u8], signature: &[u8; SIGNATURE]) -> Vec<u8> {
    let (r, s) = signature.split_at(SIGNATURE / 2);
    let signature = der(tag::SEQUENCE, &[&integer(r), &integer(s)]);
    der(
        tag::SEQUENCE,
        &[
            statement,
            &algorithm(&[SM2_WITH_SM3]),
            &der(tag::BIT_STRING, &[&[0x00], &signature]),
        ],
    )
}

/// Makes the certificate of the card's key: the PKI application is selected and its PIN verified.
pub(crate) fn self_signed<C: Channel + ?Sized>(
    card: &mut C,
    holder: &str,
) -> Result<Vec<u8>, HostError> {
    let step = "reading the public key";
    let answer = ask(card, step, &pki::read_public_key())?;
    let public = pki::public_key(&answer.data).map_err(|_| HostError::Format { step })?;
    let statement = to_be_signed(holder, &public);
    let signature = sign(card, &statement)?;
    Ok(signed(&statement, &signature))
}

/// Has the card hash and sign a message of any length; its PIN is verified.
pub fn sign<C: Channel + ?Sized>(
    card: &mut C,
    message: &[u8],
) -> Result<[u8; SIGNATURE], HostError> {
    let step = "PSO HASH";
    let format = |_| HostError::Format { step };
    let last = message.chunks(252).next_back().unwrap_or_default();
    let (parts, last) = message.split_at(message.len() - last.len());
    for part in parts.chunks(252) {
        ask(card, step, &pki::hash_part(part).map_err(format)?)?;
    }
    ask(card, step, &pki::hash_last(last))?;
    let step = "PSO COMPUTE DIGITAL SIGNATURE";
    let signature = ask(card, step, &pki::sign())?;
    let signature = signature.data.as_slice().try_into();
    signature.map_err(|_| HostError::Format { step })
}
