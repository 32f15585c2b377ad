//! Cards that exist open with newer code: one committed image per released layout.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use card_spec::{
    Fen, SuiteId, Sw, aid, apdu, health, keys::class, pki, purse, purse::files::LogRecord,
};
use common::{SEED, Tap, ask, put, select_purse, send};
use std::path::PathBuf;
use virtual_card::{ImageError, VirtualCard, sample};

const CARD_V1: &[u8] = include_bytes!("snapshots/card-v1.img");
const SAM_V1: &[u8] = include_bytes!("snapshots/sam-v1.img");

/// The snapshot's history: 100.00 loaded, 1.50, 2.50 and 3.50 paid, one wrong PIN.
fn check_history(card: &mut VirtualCard, sam: &mut VirtualCard) {
    select_purse(card);
    assert_eq!(ask(card, &purse::get_balance()), 9_250u32.to_be_bytes());
    let newest = ask(card, &apdu::read_record(0x18, 1, 23));
    let newest = LogRecord::from_bytes(&newest).unwrap();
    assert_eq!((newest.seq, newest.amount), (2, Fen(350)));
    assert_eq!(send(card, &apdu::verify(0, &[])).sw, Sw::tries_left(2));
    put(card, &apdu::verify(0, &sample::PIN_BYTES));
    // Keys on both sides still agree, and sequences go on.
    put(sam, &apdu::select(aid::T_UNION_SAM));
    assert_eq!(Tap::new(Fen(100)).init(card).unwrap().seq, 3);
    let done = Tap::new(Fen(100)).pay(card, sam);
    assert_eq!(done.purchase.terminal_seq, 4);
    put(card, &apdu::select(aid::SSSE));
    assert!(send(card, &[0x00, 0xB2, 0x07, 0x2C, 0x0B]).sw.is_ok());
}

#[test]
fn layout_1_opens() {
    let mut card = VirtualCard::from_image(CARD_V1.to_vec(), SEED).unwrap();
    let mut sam = VirtualCard::from_image(SAM_V1.to_vec(), SEED).unwrap();
    check_history(&mut card, &mut sam);
    // What was upgraded is a card of this layout from then on.
    VirtualCard::from_image(card.image().to_vec(), SEED).unwrap();
}

fn snapshot(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(name)
}

#[test]
fn layouts_2_and_3_open() {
    let open = |name: &str| {
        let image = std::fs::read(snapshot(name)).unwrap();
        VirtualCard::from_image(image, SEED).unwrap()
    };
    for version in [2, 3] {
        let open = |kind| open(&format!("{kind}-v{version}.img"));
        check_layout_2(&mut open("card"), &mut open("sam"));
    }
}

/// The history, and what layout 2 brought: health data and signatures.
fn check_layout_2(card: &mut VirtualCard, sam: &mut VirtualCard) {
    check_history(card, sam);
    put(card, &apdu::select(aid::HEALTH));
    put(
        card,
        &[
            0x00,
            0xB2,
            57,
            ((health::fid::CARD & 0x1F) as u8) << 3,
            0x00,
        ],
    );
    put(card, &apdu::select(aid::PKI_CERTIFICATES));
    let key = ask(card, &pki::read_public_key());
    assert!(pki::public_key(&key).is_ok());
}

/// The history that the snapshots hold, on a card of today. `RELEASE=1` keeps the card and its SAM as
/// the snapshots of a layout that is about to be released; what is released is never overwritten.
#[test]
fn the_snapshots_history_on_a_card_of_today() {
    let (mut card, mut sam) = (common::card(SuiteId::Aes), common::sam_for(class::TRANSIT));
    select_purse(&mut card);
    for fen in [150, 250, 350] {
        Tap::new(Fen(fen)).pay(&mut card, &mut sam);
    }
    let wrong = send(&mut card, &apdu::verify(0, &[0; 3])).sw;
    assert_eq!(wrong, Sw::tries_left(2));
    if std::env::var_os("RELEASE").is_some() {
        let layout = card_os::IMAGE_VERSION;
        for (kind, image) in [("card", card.image()), ("sam", sam.image())] {
            let path = snapshot(&format!("{kind}-v{layout}.img"));
            assert!(!path.exists(), "{} is released already", path.display());
            std::fs::write(path, image).unwrap();
        }
    }
    check_history(&mut card, &mut sam);
}

#[test]
fn a_file_of_layout_1_is_upgraded_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("card.img");
    std::fs::write(&path, CARD_V1).unwrap();
    drop(VirtualCard::open(&path, SEED).unwrap());
    assert_eq!(
        std::fs::metadata(&path).unwrap().len(),
        card_os::NVM_SIZE as u64
    );
    let mut sam = VirtualCard::from_image(SAM_V1.to_vec(), SEED).unwrap();
    check_history(&mut VirtualCard::open(&path, SEED).unwrap(), &mut sam);
}

#[test]
fn a_damaged_image_of_layout_1_is_refused() {
    for at in (0..CARD_V1.len() - 4096).step_by(101) {
        let mut bad = CARD_V1.to_vec();
        bad[at] ^= 1;
        let refused = VirtualCard::from_image(bad, SEED).unwrap_err();
        assert!(matches!(refused, ImageError::Upgrade(_)), "byte {at}");
    }
}

#[test]
fn a_damaged_image_of_layout_2_is_refused_or_opens_as_it_was() {
    let good = std::fs::read(snapshot("card-v2.img")).unwrap();
    let bytes = |image: Vec<u8>| VirtualCard::from_image(image, SEED).map(|c| c.image().to_vec());
    let whole = bytes(good.clone()).unwrap();
    let used = good.iter().rposition(|byte| *byte != 0xFF).unwrap();
    let (mut refused, mut stale) = (0, 0);
    for at in (16..used.min(4_000)).step_by(61) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        match bytes(bad) {
            Err(error) => {
                assert!(matches!(error, ImageError::Upgrade(_)), "byte {at}");
                refused += 1;
            }
            Ok(image) => {
                assert!(image == whole, "byte {at}");
                stale += 1;
            }
        }
    }
    assert!(refused > 20 && stale > 5, "{refused} {stale}");
}
