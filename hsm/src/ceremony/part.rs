//! What one custodian carries of one key: a component 分量 or a share 份额.
//!
//! ```text
//! kind 1 | set 4 | subject 1 | number 1 | needed, of 1 | check value 3 | value 16 or 32 | digest 5
//! ```
//! Kind is `C1` for a component and `51` for a share; `set` is the same in all parts dealt
//! together; `needed, of` are two nibbles; the check value is that of the component itself, but of
//! the whole key in a share, so that shares of different keys cannot be mixed. The digest is the
//! beginning of the part's [`fingerprint`](Part::fingerprint).

use card_spec::{
    SuiteId,
    keys::{KcvKind, kcv},
    perso::kcv_kind,
    suite::Key,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::CeremonyError;
use crate::{
    Entropy, Quorum,
    service::{self, Key256},
    shamir,
};

/// A key check value.
pub type CheckValue = [u8; 3];

/// What a ceremony forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// The provincial root of a suite, 16 bytes.
    Root(SuiteId),
    /// A key-encryption key shared with another party or site, AES-256.
    Transport,
    /// A two-key 3DES key-encryption key of a partner whose machines know no AES: it opens key
    /// blocks of version B and wraps nothing.
    LegacyTransport,
    /// The key of a backup, AES-256.
    Backup,
}

impl Subject {
    /// Every subject.
    pub const ALL: [Self; 6] = [
        Self::Root(SuiteId::Aes),
        Self::Root(SuiteId::Sm4),
        Self::Root(SuiteId::Tdes),
        Self::Transport,
        Self::LegacyTransport,
        Self::Backup,
    ];

    /// Short name, in transcripts and on envelopes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root(SuiteId::Aes) => "root-aes",
            Self::Root(SuiteId::Sm4) => "root-sm4",
            Self::Root(SuiteId::Tdes) => "root-tdes",
            Self::Transport => "transport-kek",
            Self::LegacyTransport => "legacy-kek",
            Self::Backup => "backup-key",
        }
    }

    /// Bytes of the key and of each part of it.
    pub const fn length(self) -> usize {
        match self {
            Self::Root(_) | Self::LegacyTransport => 16,
            Self::Transport | Self::Backup => 32,
        }
    }

    /// The kind of its check values.
    pub const fn kcv_kind(self) -> KcvKind {
        match self {
            Self::Root(suite) => kcv_kind(suite),
            Self::LegacyTransport => kcv_kind(SuiteId::Tdes),
            Self::Transport | Self::Backup => KcvKind::GlobalPlatform,
        }
    }

    /// The check value of a key or component; `None` when the length is another one.
    pub fn check_value(self, value: &[u8]) -> Option<CheckValue> {
        match self {
            Self::Root(_) | Self::LegacyTransport => {
                let suite = match self {
                    Self::Root(suite) => suite,
                    _ => SuiteId::Tdes,
                };
                let key = Key::new(*value.as_array()?);
                Some(kcv(&key, suite, kcv_kind(suite)))
            }
            Self::Transport | Self::Backup => {
                let key = Key256::new(*value.as_array()?);
                Some(service::check_value(&key))
            }
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Root(suite) => suite as u8,
            Self::Transport => 0xE0,
            Self::LegacyTransport => 0xE1,
            Self::Backup => 0xB0,
        }
    }
}

impl core::fmt::Display for Subject {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

impl TryFrom<String> for Subject {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|s| s.name() == name)
            .ok_or_else(|| format!("no ceremony forms {name}"))
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.name().to_owned()
    }
}

/// How a key is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// XOR of this many components, all of them needed.
    Components(u8),
    /// M of N shares.
    Shares(Quorum),
}

impl Form {
    /// How many parts it takes.
    pub const fn needed(self) -> u8 {
        match self {
            Self::Components(of) => of,
            Self::Shares(quorum) => quorum.needed(),
        }
    }

    /// How many there are.
    pub const fn of(self) -> u8 {
        match self {
            Self::Components(of) => of,
            Self::Shares(quorum) => quorum.of(),
        }
    }
}

/// One part. No `Debug`; wiped on drop.
#[derive(Clone)]
pub struct Part {
    pub(crate) form: Form,
    pub(crate) set: [u8; 4],
    pub(crate) subject: Subject,
    pub(crate) number: u8,
    pub(crate) check: CheckValue,
    pub(crate) value: Zeroizing<Vec<u8>>,
}

const COMPONENT: u8 = 0xC1;
const SHARE: u8 = 0x51;
const HEAD: usize = 11;
const DIGEST: usize = 5;
/// Longest part.
pub const PART_MAX: usize = HEAD + 32 + DIGEST;

impl Part {
    /// What it is a part of.
    pub const fn subject(&self) -> Subject {
        self.subject
    }

    /// Its number, from 1.
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// How the key was divided.
    pub const fn form(&self) -> Form {
        self.form
    }

    /// A component as papers of other HSMs have it: groups of four hex digits, and the check value.
    pub fn on_paper(&self) -> (Zeroizing<String>, String) {
        let mut text = Zeroizing::new(String::with_capacity(3 * self.value.len()));
        for pair in self.value.chunks(2) {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&Zeroizing::new(hex::encode_upper(pair)));
        }
        (text, hex::encode_upper(self.check))
    }

    /// The bytes on a card or in an envelope, 32 or 48 of them.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(PART_MAX));
        let kind = match self.form {
            Form::Components(_) => COMPONENT,
            Form::Shares(_) => SHARE,
        };
        out.push(kind);
        out.extend_from_slice(&self.set);
        out.push(self.subject.byte());
        out.push(self.number);
        out.push((self.form.needed() << 4) | (self.form.of() & 0x0F));
        out.extend_from_slice(&self.check);
        out.extend_from_slice(&self.value);
        let digest = fingerprint(&out);
        out.extend_from_slice(&digest[..DIGEST]);
        out
    }

    /// Parses and checks; a mistyped part is told from one of something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CeremonyError> {
        let malformed = CeremonyError::NoPart;
        let (body, digest) = bytes
            .split_last_chunk::<DIGEST>()
            .ok_or(malformed.clone())?;
        let ([kind, s0, s1, s2, s3, subject, number, quorum, check @ ..], value) =
            body.split_first_chunk::<HEAD>().ok_or(malformed.clone())?;
        if fingerprint(body)[..DIGEST] != *digest {
            return Err(CeremonyError::Mistyped);
        }
        let (needed, of) = (quorum >> 4, quorum & 0x0F);
        let form = match *kind {
            COMPONENT if needed == of => Form::Components(of),
            SHARE => Form::Shares(Quorum::new(needed, of)?),
            _ => return Err(malformed),
        };
        let subject = Subject::ALL
            .into_iter()
            .find(|s| s.byte() == *subject)
            .ok_or(malformed.clone())?;
        if value.len() != subject.length() || *number == 0 || *number > of {
            return Err(malformed);
        }
        Ok(Self {
            form,
            set: [*s0, *s1, *s2, *s3],
            subject,
            number: *number,
            check: *check,
            value: Zeroizing::new(value.to_vec()),
        })
    }

    /// SHA-256 of the part. Its value has at least 128 random bits, so this may be published: the
    /// record of a dealing lists the fingerprints, and a forged share is told by its own.
    pub fn fingerprint(&self) -> [u8; 32] {
        let bytes = self.to_bytes();
        let body = bytes.len().saturating_sub(DIGEST);
        fingerprint(bytes.get(..body).unwrap_or_default())
    }
}

fn fingerprint(body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"onecard/part/v1\0");
    hash.update(body);
    hash.finalize().into()
}

/// Everything one custodian carries: a part of each key.
#[derive(Clone)]
pub struct Sheet {
    /// Who carries it.
    pub custodian: String,
    /// One part of each subject.
    pub parts: Vec<Part>,
}

/// Draws keys and divides them: one sheet a custodian. The keys themselves are forgotten here.
pub fn deal(
    entropy: &Entropy,
    form: Form,
    subjects: &[Subject],
    custodians: &[&str],
) -> Result<Vec<Sheet>, CeremonyError> {
    let names = super::custodians(form, custodians)?;
    let set = entropy.stream("part-set", &[], 0).array()?;
    let mut dealt = sheets(names);
    for subject in subjects {
        let values = match form {
            Form::Components(of) => (1..=of)
                .map(|number| draw(entropy, *subject, u64::from(number)))
                .collect::<Result<Vec<_>, _>>()?,
            Form::Shares(quorum) => {
                let key = draw(entropy, *subject, 0)?;
                add_shares(&mut dealt, entropy, quorum, set, *subject, &key)?;
                continue;
            }
        };
        for ((sheet, value), number) in dealt.iter_mut().zip(values).zip(1..) {
            let check = subject.check_value(&value).ok_or(CeremonyError::NoPart)?;
            sheet.parts.push(Part {
                form,
                set,
                subject: *subject,
                number,
                check,
                value,
            });
        }
    }
    Ok(dealt)
}

/// Divides a key that exists: the key of a backup.
pub(crate) fn divide(
    entropy: &Entropy,
    quorum: Quorum,
    custodians: &[&str],
    subject: Subject,
    key: &[u8],
) -> Result<Vec<Sheet>, CeremonyError> {
    let names = super::custodians(Form::Shares(quorum), custodians)?;
    let set = entropy
        .stream("part-set", subject.name().as_bytes(), 0)
        .array()?;
    let mut dealt = sheets(names);
    add_shares(&mut dealt, entropy, quorum, set, subject, key)?;
    Ok(dealt)
}

fn sheets(names: Vec<String>) -> Vec<Sheet> {
    let empty = |custodian| Sheet {
        custodian,
        parts: Vec::new(),
    };
    names.into_iter().map(empty).collect()
}

fn add_shares(
    dealt: &mut [Sheet],
    entropy: &Entropy,
    quorum: Quorum,
    set: [u8; 4],
    subject: Subject,
    key: &[u8],
) -> Result<(), CeremonyError> {
    let check = subject.check_value(key).ok_or(CeremonyError::NoPart)?;
    let mut stream = entropy.stream("share", &[subject.byte()], 0);
    let shares = shamir::split(key, quorum, &mut stream)?;
    for ((sheet, value), number) in dealt.iter_mut().zip(shares).zip(1..) {
        sheet.parts.push(Part {
            form: Form::Shares(quorum),
            set,
            subject,
            number,
            check,
            value,
        });
    }
    Ok(())
}

fn draw(
    entropy: &Entropy,
    subject: Subject,
    counter: u64,
) -> Result<Zeroizing<Vec<u8>>, CeremonyError> {
    let mut value = Zeroizing::new(vec![0; subject.length()]);
    entropy
        .stream("component", &[subject.byte()], counter)
        .fill(&mut value)?;
    Ok(value)
}

#[cfg(test)]
mod tests;
