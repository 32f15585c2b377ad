//! The applications, and which instructions each of them knows.

use super::{ask, card, put, sam_for, send};
use card_spec::{
    SuiteId, Sw, aid, apdu, health,
    keys::{KeyType, class, ssse_kid, ssse_process_key},
    purse::sfi,
    ssse,
    suite::Key,
};
use virtual_card::{VirtualCard, sample};

/// What is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    Isd,
    Purse,
    /// The social-security root with its files.
    Social,
    /// DF01, one of the empty ones.
    Empty,
    /// DF04.
    Medical,
    /// Health data.
    Health,
    Pki,
    /// The payment system directory for contacts.
    Directory,
    Sam,
}
use App::{Directory, Empty, Health, Isd, Medical, Pki, Purse, Sam, Social};

/// Every application of a user card.
pub const ON_A_CARD: [App; 8] = [Isd, Purse, Social, Empty, Medical, Health, Pki, Directory];
/// Every application there is.
pub const ALL: [App; 9] = [
    Isd, Purse, Social, Empty, Medical, Health, Pki, Directory, Sam,
];

/// Class bytes that some application answers to, on the basic channel and outside a chain.
pub const CLASSES: [u8; 6] = [0x00, 0x04, 0x80, 0x84, 0xB0, 0xBF];

impl App {
    pub const fn name(self) -> &'static [u8] {
        match self {
            Isd => aid::ISD,
            Purse => aid::T_UNION,
            Social => aid::SSSE,
            Empty => aid::SSSE_PUBLIC,
            Medical => aid::SSSE_MEDICAL,
            Health => aid::HEALTH,
            Pki => aid::PKI_CERTIFICATES,
            Directory => aid::PSE,
            Sam => aid::T_UNION_SAM,
        }
    }

    /// An image of a card, or of a SAM, that has the application.
    pub fn image(self) -> Vec<u8> {
        match self {
            Sam => sam_for(class::TRANSIT).image().to_vec(),
            _ => card(SuiteId::Aes).image().to_vec(),
        }
    }

    /// The application selected on a card with this image.
    pub fn on(self, image: &[u8]) -> VirtualCard {
        let mut card = VirtualCard::from_image(image.to_vec(), super::SEED).unwrap();
        put(&mut card, &apdu::select(self.name()));
        card
    }

    /// Whether the file with this SFI has records; `None`: the application has no such file.
    pub const fn has_records(self, sfi: u8) -> Option<bool> {
        match (self, sfi) {
            (Purse, sfi::LOG | sfi::METRO | sfi::JOURNEY) => Some(true),
            (Purse, sfi::PUBLIC | sfi::HOLDER | sfi::REGION) => Some(false),
            (Social, 0x05 | 0x06 | 0x0C | 0x0D) => Some(true),
            (Social, 0x07 | 0x08) => Some(false),
            (Health, 0x05 | 0x06 | 0x08 | 0x0E | 0x12) => Some(true),
            (Pki, 0x12 | 0x18) => Some(false),
            (Directory, 0x01) => Some(true),
            (Sam, 0x15..=0x17) => Some(false),
            _ => None,
        }
    }

    /// Whether it may hold keys of this type, and with which indexes the sample has them.
    pub const fn indexes(self, key_type: KeyType) -> &'static [u8] {
        use KeyType::{
            Dack, Damk, Dlk, Dpk, Dprk, Dpuk, Dtk, Duk, Irk, Mlk, Mpk, Mtk, Puk, Rk, Uk,
        };
        match (self, key_type) {
            (Purse, Dpk) => &[0x01, 0x02, 0x03, 0x11, 0x12, 0x13],
            (Purse, Dlk | Dtk | Dack | Damk | Dpuk | Dprk | Duk) => &[class::ONLY],
            (Medical, Mpk | Mlk | Mtk) => &[class::ONLY],
            (Social | Empty | Medical, Irk) => &[0x01],
            (Social | Empty | Medical, Rk) => &[0x0A],
            (Social | Empty | Medical, Uk) => &[0x04, 0x07, 0x0D],
            (Social | Empty | Medical, Puk) => &[0x06],
            (Health, Irk) => &[0x21],
            (Health, Rk) => &[0x2A, 0x2E],
            (Health, Uk) => &[0x24],
            (Pki, Uk) => &[class::ONLY],
            (Sam, Dpk) => &[class::TRANSIT, class::TRANSIT | class::SPARE],
            (Sam, Dack | KeyType::SamCeiling | KeyType::SamIssue) => &[class::ONLY],
            _ => &[],
        }
    }

    /// Instructions known under a class, beside those of the operating system ([`SYSTEM`]).
    /// `None`: the application does not know the class.
    pub const fn instructions(self, cla: u8) -> Option<&'static [u8]> {
        match (self, cla) {
            (Isd, 0x00) => Some(&[0xCA]),
            (Isd, 0x80) => Some(&[0x50, 0xCA, 0xD8, 0xE2, 0xE4, 0xE6, 0xF0, 0xF2]),
            (Purse, 0x00) => Some(&[0x20, 0xA2, 0xB0, 0xB2, 0xD6, 0xDC, 0xE2]),
            (Purse | Social | Empty | Medical | Health | Pki, 0x04) => Some(&FILES),
            (Purse, 0x80) => Some(&[0x50, 0x52, 0x54, 0x58, 0x5A, 0x5C, 0x5E, 0xDC]),
            (Purse, 0x84) => Some(&[0x16, 0x18, 0x1E, 0x24]),
            (Social | Empty | Medical, 0x00) => {
                Some(&[0x20, 0x2C, 0x82, 0x88, 0xA2, 0xB0, 0xB2, 0xD6, 0xDC, 0xE2])
            }
            // No PIN, and so no VERIFY.
            (Health, 0x00) => Some(&[0x2C, 0x82, 0x88, 0xA2, 0xB0, 0xB2, 0xD6, 0xDC, 0xE2]),
            (Pki, 0x00) => Some(&[
                0x20, 0x2A, 0x46, 0x47, 0xA2, 0xB0, 0xB2, 0xCA, 0xD6, 0xDC, 0xE2,
            ]),
            (Social | Empty | Medical | Health | Pki, 0x80) => Some(&[0x5E]),
            (Social | Empty | Medical | Health, 0x84) => Some(&[0x24]),
            (Medical, 0xB0) => Some(&[0x26, 0x28, 0x2A, 0x2C, 0x2E]),
            (Directory, 0x00) => Some(&[0xB2]),
            (Sam, 0x00) => Some(&[0xB0]),
            (Sam, 0x80) => Some(&[0x1A, 0x70, 0x72, 0xFA]),
            (Sam, 0x84) => Some(&[0xD4, 0xF0]),
            (Sam, 0xBF) => Some(&[0xDE]),
            _ => None,
        }
    }
}

/// Instructions on files: SEARCH RECORD, READ BINARY and RECORD, UPDATE BINARY and RECORD, APPEND.
pub const FILES: [u8; 6] = [0xA2, 0xB0, 0xB2, 0xD6, 0xDC, 0xE2];

/// Instructions of the operating system, in every application under class 00: MANAGE CHANNEL,
/// GET CHALLENGE, SELECT, GET RESPONSE.
pub const SYSTEM: [u8; 4] = [0x70, 0x84, 0xA4, 0xC0];

/// A key of the sample card.
pub fn key(key_type: KeyType, index: u8) -> Key {
    sample::card_key(sample::header(key_type, index, SuiteId::Aes)).unwrap()
}

/// EXTERNAL AUTHENTICATE with the right cryptogram under a key of the sample card.
pub fn authenticate(card: &mut VirtualCard, key_type: KeyType, kid: u8) -> Sw {
    let challenge = ask(card, &apdu::get_challenge(8)).try_into().unwrap();
    let process = ssse_process_key(&key(key_type, kid), SuiteId::Aes, &challenge);
    let cryptogram = process.cryptogram8(SuiteId::Aes, &[9; 8]);
    send(card, &ssse::external_authenticate(kid, cryptogram, [9; 8])).sw
}

/// Every authentication that the application knows; no more than a card remembers.
pub fn prove_keys(app: App, card: &mut VirtualCard) {
    let kids: &[(KeyType, u8)] = match app {
        App::Social | App::Empty | App::Medical => &[
            (KeyType::Rk, ssse_kid::READ_V3),
            (KeyType::Uk, ssse_kid::WRITE_BASIC),
            (KeyType::Uk, ssse_kid::EF0C),
            (KeyType::Puk, ssse_kid::PIN_UNBLOCK),
        ],
        App::Health => &[
            (KeyType::Rk, health::kid::READ),
            (KeyType::Rk, health::kid::EMERGENCY),
            (KeyType::Uk, health::kid::WRITE),
        ],
        App::Isd | App::Purse | App::Pki | App::Directory | App::Sam => &[],
    };
    for (key_type, kid) in kids {
        assert_eq!(
            authenticate(card, *key_type, *kid),
            Sw::OK,
            "{app:?} {kid:02X}"
        );
    }
}
