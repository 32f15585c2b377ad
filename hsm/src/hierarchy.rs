//! Province root -> application master: which keys there are and how they are derived. What each
//! may be used for: [`crate::usage`].

use card_spec::{
    SuiteId, health,
    keys::{KeyHeader, KeyType, class, ssse_kid},
    perso::{KVN_ISSUER, KVN_TRANSPORT},
    suite::{Key, cmac, sm4_cmac},
};

/// The version of every key that the first ceremony makes.
pub(crate) const FIRST_VERSION: u8 = 1;

/// Label of the derivation below; its end is marked so that no header can continue it.
const LABEL: &[u8] = b"onecard/application-master/v1\0";

/// Classes and the only index of keys without classes.
const PURSE: [(KeyType, &[u8]); 8] = [
    (
        KeyType::Dpk,
        &[
            class::TRANSIT,
            class::PARKING_TAXI,
            class::RETAIL,
            class::TRANSIT | class::SPARE,
            class::PARKING_TAXI | class::SPARE,
            class::RETAIL | class::SPARE,
        ],
    ),
    (KeyType::Dlk, &[class::ONLY]),
    (KeyType::Dtk, &[class::ONLY]),
    (KeyType::Dack, &[class::ONLY]),
    (KeyType::Damk, &[class::ONLY]),
    (KeyType::Dpuk, &[class::ONLY]),
    (KeyType::Dprk, &[class::ONLY]),
    (KeyType::Duk, &[class::ONLY]),
];

/// Social security, health data, PKI and the medical purse: no two share a key id.
const SOCIAL: [(KeyType, &[u8]); 7] = [
    (KeyType::Irk, &[ssse_kid::INTERNAL, health::kid::INTERNAL]),
    (
        KeyType::Rk,
        &[ssse_kid::READ_V3, health::kid::READ, health::kid::EMERGENCY],
    ),
    (
        KeyType::Uk,
        &[
            // Of the PKI application: it writes the certificate.
            class::ONLY,
            ssse_kid::WRITE_BASIC,
            ssse_kid::EF0C,
            ssse_kid::EF0D,
            health::kid::WRITE,
        ],
    ),
    (KeyType::Puk, &[ssse_kid::PIN_UNBLOCK]),
    (KeyType::Mpk, &[class::ONLY]),
    (KeyType::Mlk, &[class::ONLY]),
    (KeyType::Mtk, &[class::ONLY]),
];

/// SCP03 and the SAM's own commands exist with AES only.
const AES_ONLY: [(KeyType, &[u8]); 5] = [
    (KeyType::IsdEnc, &[KVN_TRANSPORT, KVN_ISSUER]),
    (KeyType::IsdMac, &[KVN_TRANSPORT, KVN_ISSUER]),
    (KeyType::IsdDek, &[KVN_TRANSPORT, KVN_ISSUER]),
    (KeyType::SamIssue, &[class::ONLY]),
    (KeyType::SamCeiling, &[class::ONLY]),
];

/// Every application master of the province, sorted. The index of an issuer-domain key is its key
/// version number on the card.
pub fn catalog() -> Vec<KeyHeader> {
    let mut all = Vec::new();
    let mut add = |suite, table: &[(KeyType, &[u8])]| {
        for (key_type, indexes) in table {
            all.extend(indexes.iter().map(|index| KeyHeader {
                key_type: *key_type,
                index: *index,
                version: FIRST_VERSION,
                suite,
            }));
        }
    };
    for suite in SuiteId::ALL {
        add(suite, &PURSE);
        add(suite, &SOCIAL);
    }
    add(SuiteId::Aes, &AES_ONLY);
    all.sort_unstable();
    all
}

/// An application master under its suite's root.
///
/// SP 800-108 in counter mode with CMAC, one block: `CMAC(root, 01 | label | header4 | 0080)`, where
/// header4 is `type | index | version | algorithm`. The PRF is SM4-CMAC under the SM4 root and
/// AES-CMAC under the other two (a 3DES root is a 16-byte secret like any other; DES parity bits of
/// the derived keys are not adjusted, the cipher ignores them).
pub(crate) fn application_master(root: &Key, header: KeyHeader) -> Key {
    let parts: [&[u8]; 4] = [&[1], LABEL, &header.to_bytes(), &[0x00, 0x80]];
    Key::new(match header.suite {
        SuiteId::Sm4 => sm4_cmac(root.expose(), &parts),
        SuiteId::Aes | SuiteId::Tdes => cmac(root.expose(), &parts),
    })
}

/// How the keys below a master are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Purse keys: region by issuer, card by PAN and generation.
    Purse,
    /// Social-security and medical keys: region by F2, card by F1.
    Social,
    /// Keys of the issuer domain: never ordered, only replaced by PUT KEY.
    IssuerDomain,
    /// Keys of a SAM itself.
    Sam,
}

pub(crate) const fn family(key_type: KeyType) -> Family {
    match key_type {
        KeyType::Dpk
        | KeyType::Dlk
        | KeyType::Dtk
        | KeyType::Dack
        | KeyType::Damk
        | KeyType::Dpuk
        | KeyType::Dprk
        | KeyType::Duk => Family::Purse,
        KeyType::Irk
        | KeyType::Rk
        | KeyType::Uk
        | KeyType::Puk
        | KeyType::Mpk
        | KeyType::Mlk
        | KeyType::Mtk => Family::Social,
        KeyType::IsdEnc | KeyType::IsdMac | KeyType::IsdDek => Family::IssuerDomain,
        KeyType::SamIssue | KeyType::SamCeiling => Family::Sam,
    }
}

/// How messages name a key.
pub(crate) fn name(header: KeyHeader) -> String {
    format!(
        "{} index {:02X} version {} {}",
        header.key_type.name(),
        header.index,
        header.version,
        header.suite.name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use std::collections::BTreeSet;

    #[test]
    fn every_key_type_of_design_is_in_the_catalog() {
        let all = catalog();
        assert_eq!(all.len(), 3 * (13 + 14) + 8);
        for key_type in KeyType::ALL {
            assert!(all.iter().any(|h| h.key_type == key_type), "{key_type:?}");
        }
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn masters_all_differ() {
        let root = Key::new([0x5A; 16]);
        let values: BTreeSet<[u8; 16]> = catalog()
            .into_iter()
            .map(|h| *application_master(&root, h).expose())
            .collect();
        assert_eq!(values.len(), catalog().len());
    }

    /// The construction is `cmac(key, 01 | fixed)`: the CAVS vector of SP 800-108 counter mode
    /// (in card-spec) fixes the PRF; here its layout is fixed byte for byte.
    #[test]
    fn layout_of_the_derivation() {
        let root = Key::new(hex!("2b7e151628aed2a6abf7158809cf4f3c"));
        let header = KeyHeader {
            key_type: KeyType::Dtk,
            index: 1,
            version: 1,
            suite: SuiteId::Aes,
        };
        let message =
            hex!("01 6f6e65636172642f6170706c69636174696f6e2d6d61737465722f7631 00 03010109 0080");
        assert_eq!(
            application_master(&root, header).expose(),
            &cmac(root.expose(), &[&message])
        );
        let sm4 = KeyHeader {
            suite: SuiteId::Sm4,
            ..header
        };
        let mut sm4_message = message;
        sm4_message[34] = 0x04;
        assert_eq!(
            application_master(&root, sm4).expose(),
            &sm4_cmac(root.expose(), &[&sm4_message])
        );
    }
}
