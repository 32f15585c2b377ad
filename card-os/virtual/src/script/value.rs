//! Variables, keys, and the functions that stand for what an HSM or a SAM would compute.

use super::item::{Item, Items};
use crate::sample;
use card_spec::{
    FormatError, SuiteId,
    id::{Generation, IssuerId, Pan},
    keys::{self, KeyType, kcv, ssse_process_key},
    perso::kcv_kind,
    sm::{self, Challenge8},
    ssse,
    suite::{Key, MacKey},
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Why a value cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No answer captured it and no `let` set it.
    #[error("`{{{0}}}` has no value here")]
    Unknown(String),
    /// A part outside the value.
    #[error("`{{{0}}}` has only {1} bytes")]
    Part(String, usize),
    /// No such function.
    #[error("there is no function `{0}`: the README lists them")]
    Function(String),
    /// Wrong number or lengths of arguments.
    #[error("`{0}` is called as {1}")]
    Arguments(String, &'static str),
    /// More than 255 bytes in `[ ]`.
    #[error("{0} bytes do not fit one length byte")]
    Long(usize),
    /// A sample value does not parse.
    #[error("sample data: {0}")]
    Sample(FormatError),
}

/// The values of one run.
#[derive(Debug)]
pub(super) struct Values {
    suite: SuiteId,
    named: BTreeMap<String, Vec<u8>>,
}

impl Values {
    /// With what the sample card's documentation says of it.
    pub(super) fn new(suite: SuiteId) -> Result<Self, ValueError> {
        let pan: Pan = sample::PAN.parse().map_err(ValueError::Sample)?;
        let region = sample::REGION.parse().map_err(ValueError::Sample)?;
        let issuer = IssuerId::new(pan, region, Generation(1));
        let mut this = Self {
            suite,
            named: BTreeMap::new(),
        };
        for (name, value) in [
            ("suite", &[suite as u8][..]),
            ("pan", &pan.to_bytes()),
            ("serial8", &pan.serial8()),
            ("issuer8", &issuer.0),
            ("f1", &ssse::f1(pan)),
            ("f2", &keys::ssse_f2(region)),
        ] {
            this.set(name, value.to_vec());
        }
        Ok(this)
    }

    pub(super) fn set(&mut self, name: &str, value: Vec<u8>) {
        self.named.insert(name.to_owned(), value);
    }

    pub(super) fn all(&self, items: &Items) -> Result<Vec<u8>, ValueError> {
        let mut out = Vec::new();
        for item in items {
            out.extend(self.item(item)?);
        }
        Ok(out)
    }

    pub(super) fn item(&self, item: &Item) -> Result<Vec<u8>, ValueError> {
        match item {
            Item::Bytes(bytes) => Ok(bytes.clone()),
            Item::Variable { name, part } => {
                let unknown = || ValueError::Unknown(name.clone());
                let value = self.named.get(name).ok_or_else(unknown)?;
                match part {
                    None => Ok(value.clone()),
                    Some((from, to)) => match value.get(*from..*to) {
                        Some(part) => Ok(part.to_vec()),
                        None => Err(ValueError::Part(name.clone(), value.len())),
                    },
                }
            }
            Item::Key(key_type, index) => self.key(*key_type, *index),
            Item::Counted(items) => {
                let inside = self.all(items)?;
                let length =
                    u8::try_from(inside.len()).map_err(|_| ValueError::Long(inside.len()))?;
                Ok([&[length], inside.as_slice()].concat())
            }
            Item::Call { name, arguments } => {
                let arguments: Result<Vec<_>, _> = arguments.iter().map(|a| self.all(a)).collect();
                call(self.suite, name, &arguments?)
            }
        }
    }

    /// Keys of the issuer domain and the SAM's own are used undiversified.
    fn key(&self, key_type: KeyType, index: u8) -> Result<Vec<u8>, ValueError> {
        if matches!(
            key_type,
            KeyType::IsdEnc
                | KeyType::IsdMac
                | KeyType::IsdDek
                | KeyType::SamIssue
                | KeyType::SamCeiling
        ) {
            return Ok(sample::master(key_type, index).to_vec());
        }
        let header = sample::header(key_type, index, self.suite);
        let key = sample::card_key(header).map_err(ValueError::Sample)?;
        Ok(key.expose().to_vec())
    }
}

/// What each function is called with.
const FORMS: [(&str, &str); 10] = [
    ("session-mac", "session-mac(KEY, session input, data)"),
    ("tac", "tac(KEY, data)"),
    ("sm-mac", "sm-mac(KEY, challenge, header and data)"),
    ("encipher", "encipher(KEY, challenge, contents)"),
    ("decipher", "decipher(KEY, challenge, ciphertext)"),
    ("cryptogram", "cryptogram(KEY, challenge, value of 8 bytes)"),
    ("under-dek", "under-dek(KEY, whole blocks of 16)"),
    ("kcv", "kcv(KEY)"),
    ("sha8", "sha8(data)"),
    ("add", "add(number, number)"),
];

fn call(suite: SuiteId, name: &str, arguments: &[Vec<u8>]) -> Result<Vec<u8>, ValueError> {
    let form = FORMS.iter().find(|(known, _)| *known == name);
    let (_, form) = form.ok_or_else(|| ValueError::Function(name.to_owned()))?;
    let wrong = || ValueError::Arguments(name.to_owned(), form);
    let key = |bytes: &[u8]| bytes.try_into().map(Key::new).map_err(|_| wrong());
    let challenge = |bytes: &[u8]| Challenge8::from_bytes(bytes).ok_or_else(wrong);
    let eight = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).map_err(|_| wrong());
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    Ok(match (name, arguments.as_slice()) {
        ("session-mac", [k, input, data]) => key(k)?.session(suite, input).mac4(&[data]).to_vec(),
        ("tac", [k, data]) => key(k)?.tac_key(suite).mac4(&[data]).to_vec(),
        ("sm-mac", [k, r, data]) => MacKey::from_key(suite, &key(k)?)
            .mac4_iv(&challenge(r)?.0, &[data])
            .to_vec(),
        ("encipher", [k, r, contents]) => {
            let mut plain = sm::plaintext::<256>(suite, contents).ok_or_else(wrong)?;
            sm::encrypt(suite, &key(k)?, challenge(r)?, &mut plain);
            plain.to_vec()
        }
        ("decipher", [k, r, cipher]) => {
            let mut plain = cipher.to_vec();
            sm::decrypt(suite, &key(k)?, challenge(r)?, &mut plain);
            sm::from_plaintext(&plain).ok_or_else(wrong)?.to_vec()
        }
        ("cryptogram", [k, r, value]) => ssse_process_key(&key(k)?, suite, &eight(r)?)
            .cryptogram8(suite, &eight(value)?)
            .to_vec(),
        ("under-dek", [k, data]) if data.len().is_multiple_of(16) => {
            let mut out = data.to_vec();
            key(k)?.encrypt_cbc(SuiteId::Aes, &[0; 16], &mut out);
            out
        }
        ("kcv", [k]) => kcv(&key(k)?, suite, kcv_kind(suite)).to_vec(),
        ("sha8", [data]) => Sha256::digest(data)[..8].to_vec(),
        ("add", [a, b]) => add(a, b).ok_or_else(wrong)?,
        _ => return Err(wrong()),
    })
}

/// Big-endian, as long as the first number; an addition that runs over starts again at zero, so
/// adding FF..FF takes one away.
fn add(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    if b.len() > a.len() {
        return None;
    }
    let mut out = a.to_vec();
    let mut carry = 0u16;
    let digits = b.iter().rev().chain(std::iter::repeat(&0));
    for (byte, digit) in out.iter_mut().rev().zip(digits) {
        let sum = u16::from(*byte) + u16::from(*digit) + carry;
        *byte = (sum & 0xFF) as u8;
        carry = sum >> 8;
    }
    Some(out)
}
