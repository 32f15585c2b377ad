//! Keys of ours and the headers of X9.143 blocks: one table, for both directions.
//!
//! | key | usage written | also read | mode | algorithm |
//! |---|---|---|---|---|
//! | purse, medical purse: DPK DLK DTK DUK MPK MLK MTK | type, `01`..`22` | `E0` | `X` | `A` `T` `4` |
//! | orders to a card: DAMK DPUK DPRK UK PUK | type, `05`..`13` | `E2` | `X` | `A` `T` `4` |
//! | proofs: DACK IRK RK | type, `04`..`11` | `E6` | `X` | `A` `T` `4` |
//! | issuer domain: ISD-ENC ISD-MAC ISD-DEK | type, `30`..`32` | `E5` | `X` | `A` |
//! | SAM-ISSUE SAM-CEILING | type, `40` `41` | | `X` | `A` |
//! | KEK | `K1` | `K0` | `B` | `A` |
//! | PIN | `P0` | | `B` | `A` |
//! | PDK | `D0` | | `B` | `A` |
//! | signing keys | `S0` | | `S` | `E` |
//!
//! Usages of digits and algorithm `4` (SM4) are private, as are the optional blocks `10`, index of a
//! master, and `11`, purpose of a signing key. Mode `N` (any) is read for each of them: our key is
//! used for less. Any other mode would make our use one that the sender did not allow. A block of a
//! usage of the standard may leave index and version (`00`) to the officers, who say which key they
//! expect. `E` and `S` may be exported again as we do it, `N` may not, and we could not keep that.

use card_spec::{
    SuiteId,
    keys::{KeyHeader, KeyType},
};
use hsm_client::{HsmError, KeyId, Result, ServiceKey, SignPurpose};

use crate::{
    keyblock::{Attributes, Optional},
    rotation::label,
    signing::purpose_byte,
};

/// Private optional block: the index of a master.
const INDEX: [u8; 2] = *b"10";
/// Private optional block: the purpose of a signing key.
const PURPOSE: [u8; 2] = *b"11";
/// Optional blocks that bind nobody: time stamp, label, version of the block's values. Check values
/// were checked when the block was opened.
const INFORMATIVE: [[u8; 2]; 5] = [*b"TS", *b"LB", *b"KV", *b"KC", *b"KP"];

/// A usage of the standard under which others may send a key.
const fn standard(key: KeyId) -> Option<[u8; 2]> {
    use KeyType::{
        Dack, Damk, Dlk, Dpk, Dprk, Dpuk, Dtk, Duk, Irk, IsdDek, IsdEnc, IsdMac, Mlk, Mpk, Mtk,
        Puk, Rk, SamCeiling, SamIssue, Uk,
    };
    let usage = match key {
        KeyId::Master(header) => match header.key_type {
            Dpk | Dlk | Dtk | Duk | Mpk | Mlk | Mtk => b"E0",
            Damk | Dpuk | Dprk | Uk | Puk => b"E2",
            Dack | Irk | Rk => b"E6",
            IsdEnc | IsdMac | IsdDek => b"E5",
            SamIssue | SamCeiling => return None,
        },
        KeyId::Service {
            key: ServiceKey::Transport,
            ..
        } => b"K0",
        KeyId::Service { .. } | KeyId::Signing { .. } => return None,
    };
    Some(*usage)
}

/// What our blocks say of a key.
pub(super) fn written(key: KeyId) -> Attributes {
    let (usage, algorithm, mode, version, optional) = match key {
        KeyId::Master(header) => (
            digits(header.key_type as u8),
            match header.suite {
                SuiteId::Aes => b'A',
                SuiteId::Tdes => b'T',
                SuiteId::Sm4 => b'4',
            },
            b'X',
            header.version,
            Some((INDEX, header.index)),
        ),
        KeyId::Service { key, version } => {
            let usage = match key {
                ServiceKey::Transport | ServiceKey::Storage => *b"K1",
                ServiceKey::Pin => *b"P0",
                ServiceKey::PersonalData => *b"D0",
            };
            (usage, b'A', b'B', version, None)
        }
        KeyId::Signing { purpose, version } => {
            let purpose = Some((PURPOSE, purpose_byte(purpose)));
            (*b"S0", b'E', b'S', version, purpose)
        }
    };
    let optional = optional.map(|(id, byte)| Optional {
        id,
        data: format!("{byte:02X}"),
    });
    Attributes {
        usage,
        algorithm,
        mode,
        version: digits(version),
        exportability: b'E',
        optional: optional.into_iter().collect(),
    }
}

fn digits(byte: u8) -> [u8; 2] {
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'A' + n - 10 };
    [digit(byte >> 4), digit(byte & 0x0F)]
}

/// Whether an authenticated header lets its key be this one.
pub(super) fn admits(found: &Attributes, key: KeyId) -> Result<()> {
    let wanted = written(key);
    let private = |usage: [u8; 2]| usage[0].is_ascii_digit();
    // What the header leaves open, the officers have said.
    let open = !private(found.usage);
    let usage = found.usage == wanted.usage || Some(found.usage) == standard(key);
    let version = found.version == wanted.version || (open && found.version == *b"00");
    let binding = found
        .optional
        .iter()
        .filter(|o| !INFORMATIVE.contains(&o.id));
    let binding: Vec<&Optional> = binding.collect();
    let silent = open && private(wanted.usage) && binding.is_empty();
    let optional = silent || binding.into_iter().eq(&wanted.optional);
    let mode = found.mode == wanted.mode || found.mode == b'N';
    if !(usage && version && optional && mode && found.algorithm == wanted.algorithm) {
        return Err(unusable(found, &label(key)));
    }
    match found.exportability {
        b'E' | b'S' => Ok(()),
        _ => Err(HsmError::Refused {
            why: format!(
                "the sender forbids exporting {} again (exportability {}), which this HSM does not keep apart: ask for a block with E",
                label(key),
                char::from(found.exportability)
            ),
        }),
    }
}

/// The key that a header of ours names.
pub(super) fn key_of(attributes: &Attributes) -> Option<KeyId> {
    let optional = |id: [u8; 2]| {
        let mut all = attributes.optional.iter();
        let data = &all.find(|o| o.id == id)?.data;
        u8::from_str_radix(data, 16)
            .ok()
            .filter(|_| data.len() == 2)
    };
    let number = |digits: &[u8; 2]| {
        let text = core::str::from_utf8(digits).ok()?;
        u8::from_str_radix(text, 16).ok()
    };
    let version = number(&attributes.version)?;
    let service = |key| KeyId::Service { key, version };
    Some(match &attributes.usage {
        b"K1" => service(ServiceKey::Transport),
        b"P0" => service(ServiceKey::Pin),
        b"D0" => service(ServiceKey::PersonalData),
        b"S0" => {
            let purpose = optional(PURPOSE)?;
            let mut all = SignPurpose::ALL.into_iter();
            KeyId::Signing {
                purpose: all.find(|p| purpose_byte(*p) == purpose)?,
                version,
            }
        }
        usage => KeyId::Master(KeyHeader {
            key_type: KeyType::from_byte(number(usage)?)?,
            index: optional(INDEX)?,
            version,
            suite: match attributes.algorithm {
                b'A' => SuiteId::Aes,
                b'T' => SuiteId::Tdes,
                b'4' => SuiteId::Sm4,
                _ => return None,
            },
        }),
    })
}

pub(super) fn unusable(found: &Attributes, operation: &str) -> HsmError {
    let [a, b] = found.usage.map(char::from);
    let [v, w] = found.version.map(char::from);
    let (algorithm, mode) = (char::from(found.algorithm), char::from(found.mode));
    HsmError::WrongUsage {
        key: format!("block of usage {a}{b}, algorithm {algorithm}, mode {mode}, version {v}{w}"),
        operation: operation.to_owned(),
    }
}
