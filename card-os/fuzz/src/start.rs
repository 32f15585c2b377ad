//! The cards that inputs start from, made once and copied, and what must hold of every answer.

use card_spec::{
    Channel, SuiteId, Sw,
    channel::MAX_RESPONSE,
    keys::{KeyType, class},
    ssse::Profile,
};
use std::sync::LazyLock;
use virtual_card::{
    VirtualCard,
    sample::{self, Sample, SampleSam},
};

/// Seed of every card's chance: the same input meets the same random numbers.
pub const SEED: [u8; 32] = [7; 32];

/// What an input starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The sample card with keys of a suite; V3 answers no personal data before authentication.
    Card(SuiteId, Profile),
    /// A PSAM of the transit class.
    Psam,
    /// A SAM of the social-security side.
    SocialSam,
    /// A card as it comes from the chip maker.
    Blank,
}

/// Every start; an input's first byte chooses.
pub const STARTS: [Start; 6] = [
    Start::Card(SuiteId::Aes, Profile::V2),
    Start::Card(SuiteId::Sm4, Profile::V3),
    Start::Card(SuiteId::Tdes, Profile::V1),
    Start::Psam,
    Start::SocialSam,
    Start::Blank,
];

static IMAGES: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| STARTS.iter().map(|s| s.make().image().to_vec()).collect());

impl Start {
    fn make(self) -> VirtualCard {
        let number = "350100000001".parse().expect("digits");
        let made = match self {
            Self::Card(suite, profile) => Sample::new(suite, profile).card(SEED),
            Self::Psam => sample::sample_sam(SampleSam::Purse(class::TRANSIT), number, SEED),
            Self::SocialSam => sample::sample_sam(SampleSam::Social, number, SEED),
            Self::Blank => {
                return VirtualCard::blank([0x11; 10], sample::transport_keys(), SEED)
                    .expect("a blank");
            }
        };
        made.expect("a sample card")
    }

    /// The image that the start has.
    pub fn image(self) -> &'static [u8] {
        let at = STARTS.iter().position(|s| *s == self).expect("listed");
        &IMAGES[at]
    }

    /// A fresh copy.
    pub fn card(self) -> VirtualCard {
        copy(self.image())
    }
}

/// A card on a copy of an image.
pub fn copy(image: &[u8]) -> VirtualCard {
    VirtualCard::from_image(image.to_vec(), SEED).expect("an image of the right size")
}

/// One command, with the oracles that hold of every answer of a sound card: it fits the buffer, it
/// ends in a status word of the known families, a refusal carries no data, the memory reports no
/// fault, and no key of the card is in it.
pub fn transmit(card: &mut VirtualCard, command: &[u8], room: usize) -> (Vec<u8>, Sw) {
    let mut response = [0u8; 300];
    let room = room.clamp(2, MAX_RESPONSE);
    let n = card
        .transmit(command, &mut response[..room])
        .expect("nothing tears this card");
    assert!((2..=room).contains(&n), "{n} bytes in a buffer of {room}");
    assert!(
        response[room..].iter().all(|b| *b == 0),
        "written behind the buffer"
    );
    let (data, sw) = response[..n].split_last_chunk::<2>().expect("two bytes");
    let sw = Sw(u16::from_be_bytes(*sw));
    check(command, data, sw);
    (data.to_vec(), sw)
}

/// The oracles of [`transmit`] on an answer that came another way.
pub fn check(command: &[u8], data: &[u8], sw: Sw) {
    let family = sw.0 >> 8;
    assert!(
        matches!(family, 0x61..=0x63 | 0x67..=0x6E | 0x90 | 0x93 | 0x94),
        "{command:02X?}: {sw}"
    );
    let answers = matches!(family, 0x61 | 0x62 | 0x90);
    assert!(answers || data.is_empty(), "{command:02X?}: {sw} with data");
    if let Some(name) = leaked_key(data) {
        panic!("{command:02X?}: {name} is in the answer");
    }
}

static KEYS: LazyLock<Vec<([u8; 16], &'static str)>> = LazyLock::new(|| {
    let mut keys = Vec::new();
    for suite in SuiteId::ALL {
        for key_type in KeyType::ALL {
            for index in (0..=0x1F).chain([0x30]) {
                let header = sample::header(key_type, index, suite);
                for key in [sample::region_key(header), sample::card_key(header)] {
                    keys.push((*key.expect("sample data").expose(), key_type.name()));
                }
                keys.push((sample::master(key_type, index), key_type.name()));
            }
        }
    }
    keys.push((sample::TRANSPORT_KEY, "transport key"));
    keys.sort_unstable();
    keys
});

fn leaked_key(data: &[u8]) -> Option<&'static str> {
    data.windows(16).find_map(|window| {
        let found = KEYS.binary_search_by(|(key, _)| key.as_slice().cmp(window));
        found.ok().map(|i| KEYS[i].1)
    })
}
