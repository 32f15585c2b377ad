//! Issuing a SAM in two steps: over SCP03 its numbers and its own keys, in the field the regions'.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    ChannelError, Fen, SuiteId, Sw, aid, apdu,
    channel::exchange,
    keys::{KeyHeader, KeyType, class},
    purse::{TxType, files::Public, mac::Context},
    sam, sm,
    ssse::Profile,
    suite::Key,
};
use common::{SEED, Tap, ask, put, region_key, sam_no, select_purse, send, time, write_key};
use virtual_card::{
    Cut, CutMode, Interface, PowerCut, VirtualCard,
    sample::{self, Sample, SampleSam},
};

const FUZHOU: &str = "350100";
const XIAMEN: &str = "350200";

/// A SAM after the first step: no region's key.
fn first_step() -> VirtualCard {
    let kind = SampleSam::Purse(class::TRANSIT);
    let mut sam = sample::sample_sam_of(kind, &[], sam_no(), SEED).unwrap();
    put(&mut sam, &apdu::select(aid::T_UNION_SAM));
    sam
}

fn card(region: &'static str, version: u8, suite: SuiteId) -> VirtualCard {
    let sample = Sample {
        region,
        version,
        ..Sample::new(suite, Profile::V2)
    };
    let mut card = sample.card(SEED).unwrap();
    select_purse(&mut card);
    card
}

fn dpk(version: u8, suite: SuiteId) -> KeyHeader {
    KeyHeader {
        version,
        ..sample::header(KeyType::Dpk, class::TRANSIT, suite)
    }
}

fn write(sam: &mut VirtualCard, region: &str, header: KeyHeader) -> Sw {
    let command = write_key(sam, &region_key(region, header));
    send(sam, &command).sw
}

/// What the SAM says to a purchase of the card.
fn mac1(card: &mut VirtualCard, sam: &mut VirtualCard) -> Sw {
    let tap = Tap::new(Fen(100));
    let init = tap.init(card).unwrap();
    let public = Public::from_fci(&tap.fci(card)).unwrap();
    let command = sam::InitForPurchase::new(
        &init,
        tap.amount,
        TxType::Purchase,
        time(),
        public.pan.serial8(),
        public.issuer,
        Context::default(),
    );
    send(sam, &command.to_apdu().unwrap()).sw
}

/// The SAM's lock MAC, taken by the card.
fn lock(card: &mut VirtualCard, sam: &mut VirtualCard, suite: SuiteId) {
    let public = Public::from_fci(&Tap::new(Fen(1)).fci(card)).unwrap();
    let rnd = ask(card, &apdu::get_challenge(4)).try_into().unwrap();
    let deliver = sam::deliver_lock_key(public.pan.serial8(), public.issuer, Some(suite));
    put(sam, &deliver);
    let mac = ask(sam, &sam::lock_mac(rnd));
    put(card, &apdu::build(0x84, 0x1E, 0, 0, &mac, None));
}

#[test]
fn the_second_step_brings_the_regions_keys() {
    for suite in SuiteId::ALL {
        let mut sam = first_step();
        let mut cards = [FUZHOU, XIAMEN].map(|region| card(region, 1, suite));
        for card in &mut cards {
            assert_eq!(mac1(card, &mut sam), Sw::KEY_INDEX, "no key yet");
        }
        let dack = sample::header(KeyType::Dack, class::ONLY, suite);
        assert_eq!(write(&mut sam, FUZHOU, dpk(1, suite)), Sw::OK);
        assert_eq!(mac1(&mut cards[1], &mut sam), Sw::KEY_INDEX, "one region");
        for (region, header) in [(FUZHOU, dack), (XIAMEN, dpk(1, suite)), (XIAMEN, dack)] {
            assert_eq!(write(&mut sam, region, header), Sw::OK);
        }
        sam.power_cycle();
        for card in &mut cards {
            Tap::new(Fen(200)).pay(card, &mut sam);
            lock(card, &mut sam, suite);
            assert_eq!(Tap::new(Fen(1)).init(card), Err(Sw::LOCKED));
        }
    }
}

/// Rotation: cards of the old and of the new key version, of two regions and three suites, at one
/// gate. INIT's version and algorithm and the card's issuer choose the key.
#[test]
fn versions_regions_and_suites_side_by_side() {
    let mut sam = first_step();
    let mut kinds = Vec::new();
    for suite in SuiteId::ALL {
        for region in [FUZHOU, XIAMEN] {
            kinds.extend([1, 2].map(|version| (region, version, suite)));
        }
    }
    let mut cards: Vec<_> = kinds.iter().map(|(r, v, s)| card(r, *v, *s)).collect();
    // Each key serves its own cards and no others, in whatever order the keys arrive.
    for known in (0..kinds.len()).rev() {
        let (region, version, suite) = kinds[known];
        assert_eq!(mac1(&mut cards[known], &mut sam), Sw::KEY_INDEX);
        assert_eq!(write(&mut sam, region, dpk(version, suite)), Sw::OK);
        for (kind, card) in kinds.iter().zip(&mut cards).skip(known) {
            let init = Tap::new(Fen(1)).init(card).unwrap();
            assert_eq!((init.key_version, init.suite), (kind.1, kind.2));
            Tap::new(Fen(1)).pay(card, &mut sam);
        }
    }
    // A version's key is another key: a SAM that had it under the wrong number would be refused.
    let mut wrong = first_step();
    let mut key = region_key(FUZHOU, dpk(1, SuiteId::Aes));
    key[5] = 2;
    let command = write_key(&mut wrong, &key);
    put(&mut wrong, &command);
    let new = kinds
        .iter()
        .position(|kind| *kind == (FUZHOU, 2, SuiteId::Aes));
    let card = &mut cards[new.unwrap()];
    assert_eq!(
        Tap::new(Fen(1)).try_pay(card, &mut wrong),
        Err(Sw::MAC_WRONG)
    );
}

/// Two versions of a key that the field's command does not tell apart: the SAM refuses to guess, and
/// takes the one that is named.
#[test]
fn of_two_versions_the_one_that_is_named_is_used() {
    let suite = SuiteId::Aes;
    let mut sam = first_step();
    for version in [1, 2] {
        let dack = KeyHeader {
            version,
            ..sample::header(KeyType::Dack, class::ONLY, suite)
        };
        assert_eq!(write(&mut sam, FUZHOU, dack), Sw::OK);
    }
    for version in [1, 2] {
        let mut card = card(FUZHOU, version, suite);
        let public = Public::from_fci(&Tap::new(Fen(1)).fci(&card)).unwrap();
        let deliver = sam::deliver_lock_key(public.pan.serial8(), public.issuer, Some(suite));
        assert_eq!(send(&mut sam, &deliver).sw, Sw::CONDITIONS);
        assert_eq!(send(&mut sam, &sam::lock_mac([0; 4])).sw, Sw::CONDITIONS);
        for (named, expected) in [(3 - version, Sw::SM_WRONG), (version, Sw::OK)] {
            let rnd = ask(&mut card, &apdu::get_challenge(4)).try_into().unwrap();
            put(&mut sam, &sam::of_version(deliver.clone(), named));
            let mac = ask(&mut sam, &sam::lock_mac(rnd));
            let lock = apdu::build(0x84, 0x1E, 0, 0, &mac, None);
            assert_eq!(send(&mut card, &lock).sw, expected);
        }
        let unknown = sam::of_version(deliver, 3);
        assert_eq!(send(&mut sam, &unknown).sw, Sw::KEY_INDEX);
    }
}

#[test]
fn a_key_is_written_once_under_its_own_challenge_and_mac() {
    let mut sam = first_step();
    let key = region_key(FUZHOU, dpk(1, SuiteId::Aes));
    let command = write_key(&mut sam, &key);
    put(&mut sam, &command);
    assert_eq!(send(&mut sam, &command).sw, Sw::NO_CHALLENGE, "a replay");
    ask(&mut sam, &apdu::get_challenge(8));
    assert_eq!(send(&mut sam, &command).sw, Sw::SM_WRONG, "and a later one");
    // One bit anywhere, MAC or ciphertext. A right one in between: three in a row lock.
    for at in [5, 20, 36, 37, 40] {
        let mut command = write_key(&mut sam, &key);
        command[at] ^= 0x10;
        assert_eq!(send(&mut sam, &command).sw, Sw::SM_WRONG, "byte {at}");
        let command = write_key(&mut sam, &key);
        put(&mut sam, &command);
    }
    // Another key than the issuing key, even if it is one of the SAM's own.
    let challenge = ask(&mut sam, &apdu::get_challenge(8));
    let challenge = sm::Challenge8::from_bytes(&challenge).unwrap();
    let ceiling = Key::new(sample::master(KeyType::SamCeiling, class::ONLY));
    let other = sam::write_key(SuiteId::Aes, &ceiling, challenge, &key).unwrap();
    assert_eq!(send(&mut sam, &other).sw, Sw::SM_WRONG);
    let mut command = write_key(&mut sam, &key);
    command[2] = 1;
    assert_eq!(send(&mut sam, &command).sw, Sw::WRONG_P1P2);
    // Over the air a SAM has no ear for either of its own keys.
    sam.set_interface(Interface::Contactless);
    let command = write_key(&mut sam, &key);
    assert_eq!(send(&mut sam, &command).sw, Sw::CONDITIONS);
    let raise = sam::raise_ceiling(u32::MAX, [0; 4]);
    assert_eq!(send(&mut sam, &raise).sw, Sw::CONDITIONS);
}

/// What the issuing key cannot bring: keys that load, unblock or rewrite a card, the SAM's own,
/// another class, no region, and what does not arrive whole. A refusal costs no try.
#[test]
fn the_second_step_cannot_widen_the_first() {
    let mut sam = first_step();
    let suite = SuiteId::Aes;
    let mut refused = Vec::new();
    for key_type in KeyType::ALL {
        let held = matches!(
            key_type,
            KeyType::Dpk | KeyType::Mpk | KeyType::Dack | KeyType::Irk | KeyType::Rk
        );
        if !held {
            let header = sample::header(key_type, class::ONLY, suite);
            refused.push((key_type.name(), region_key(FUZHOU, header)));
            let mut own = region_key(FUZHOU, header);
            own[..3].fill(0);
            refused.push((key_type.name(), own));
        }
    }
    assert_eq!(refused.len(), 2 * 15);
    for index in [class::PARKING_TAXI, class::RETAIL, 0, 0x04, 0x21] {
        for (key_type, index) in [
            (KeyType::Dpk, index),
            (KeyType::Dpk, index | class::SPARE),
            (KeyType::Mpk, index),
        ] {
            if index & !class::SPARE != class::TRANSIT {
                let header = sample::header(key_type, index, suite);
                refused.push(("class", region_key(FUZHOU, header)));
            }
        }
    }
    let spare = sample::header(KeyType::Mpk, class::TRANSIT | class::SPARE, suite);
    refused.push(("MPK has no spare", region_key(FUZHOU, spare)));
    let good = region_key(FUZHOU, dpk(1, suite));
    for (name, at, value) in [
        ("KCV", 25, good[25] ^ 1),
        ("key", 7, good[7] ^ 1),
        ("algorithm", 6, 0x05),
        ("type", 3, 0x7F),
        ("region", 1, 0x0A),
    ] {
        let mut key = good;
        key[at] = value;
        refused.push((name, key));
    }
    let mut nowhere = good;
    nowhere[..3].fill(0);
    refused.push(("region 000000", nowhere));
    for (name, key) in refused {
        let command = write_key(&mut sam, &key);
        assert_eq!(send(&mut sam, &command).sw, Sw::WRONG_DATA, "{name}");
    }
    // Authentic, and not a key: the padding somewhere else.
    let issuing = Key::new(sample::master(KeyType::SamIssue, class::ONLY));
    let challenge = ask(&mut sam, &apdu::get_challenge(8));
    let challenge = sm::Challenge8::from_bytes(&challenge).unwrap();
    let mut data = [0; 32];
    data[..26].copy_from_slice(&good);
    data[26] = 0x80;
    sm::encrypt(suite, &issuing, challenge, &mut data);
    let mac = sm::mac(suite, &issuing, challenge, [0x84, 0xD4, 0, 0, 0x24], &data);
    let command = apdu::build(0x84, 0xD4, 0, 0, &[&data[..], &mac].concat(), None);
    assert_eq!(send(&mut sam, &command).sw, Sw::WRONG_DATA);
    // Nothing of all that is there, and the SAM still listens.
    let mut card = card(FUZHOU, 1, suite);
    assert_eq!(mac1(&mut card, &mut sam), Sw::KEY_INDEX);
    assert_eq!(write(&mut sam, FUZHOU, dpk(1, suite)), Sw::OK);
    Tap::new(Fen(1)).pay(&mut card, &mut sam);
}

/// A SAM of the social side takes the medical key of its only class.
#[test]
fn a_social_security_sam_takes_its_keys_too() {
    let mut sam = sample::sample_sam_of(SampleSam::Social, &[], sam_no(), SEED).unwrap();
    put(&mut sam, &apdu::select(aid::SSSE_SAM));
    for (key_type, index) in [(KeyType::Mpk, 1), (KeyType::Irk, 1), (KeyType::Rk, 0x0A)] {
        let header = sample::header(key_type, index, SuiteId::Sm4);
        assert_eq!(write(&mut sam, FUZHOU, header), Sw::OK, "{key_type:?}");
    }
    let deliver = sam::ssse_deliver(0x0A, [1; 8], *b"350100sx", [2; 8], None);
    put(&mut sam, &deliver);
    let process = {
        let header = sample::header(KeyType::Rk, 0x0A, SuiteId::Sm4);
        let region = sample::region_key(header).unwrap();
        let card = card_spec::keys::ssse_card_key(&region, header.suite, &[1; 8]);
        card_spec::keys::ssse_process_key(&card, header.suite, &[2; 8])
    };
    assert_eq!(
        ask(&mut sam, &sam::encrypt([3; 8])),
        process.cryptogram8(SuiteId::Sm4, &[3; 8])
    );
    // City codes that are none, or none of this SAM's.
    for f2 in [b"350200sx", b"35010Asx", b"350100xs", b"35010:sx"] {
        let deliver = sam::ssse_deliver(0x0A, [1; 8], *f2, [2; 8], None);
        assert_eq!(send(&mut sam, &deliver).sw, Sw::KEY_INDEX, "{f2:?}");
    }
}

/// Three wrong MACs lock the command and nothing else; the issuer's key opens it again.
#[test]
fn wrong_macs_lock_writing_alone() {
    let mut sam = first_step();
    let mut card = card(FUZHOU, 1, SuiteId::Aes);
    let key = region_key(FUZHOU, dpk(1, SuiteId::Aes));
    let guess = |sam: &mut VirtualCard| {
        let mut command = write_key(sam, &key);
        command[40] ^= 1;
        send(sam, &command).sw
    };
    for _ in 0..3 {
        assert_eq!(write(&mut sam, FUZHOU, dpk(1, SuiteId::Aes)), Sw::OK);
        for _ in 0..2 {
            assert_eq!(guess(&mut sam), Sw::SM_WRONG);
            sam.power_cycle();
        }
    }
    assert_eq!(guess(&mut sam), Sw::SM_WRONG);
    let right = dpk(1, SuiteId::Aes);
    assert_eq!(write(&mut sam, FUZHOU, right), Sw::AUTH_BLOCKED);
    Tap::new(Fen(1)).pay(&mut card, &mut sam);
    // Its life ends too, however often a right one comes between.
    let same = Key::new(sample::master(KeyType::SamIssue, class::ONLY));
    store_issuing_key(&mut sam, 1, &same);
    for n in 0..200 {
        if n % 2 == 0 {
            assert_eq!(write(&mut sam, FUZHOU, right), Sw::OK, "{n}");
        }
        assert_eq!(guess(&mut sam), Sw::SM_WRONG, "{n}");
    }
    assert_eq!(write(&mut sam, FUZHOU, right), Sw::PERMANENTLY_LOCKED);
    // A new version of a SAM's own key takes the place of the old.
    store_issuing_key(&mut sam, 2, &Key::new([9; 16]));
    assert_eq!(write(&mut sam, FUZHOU, right), Sw::SM_WRONG);
    store_issuing_key(&mut sam, 3, &same);
    assert_eq!(write(&mut sam, FUZHOU, right), Sw::OK);
}

/// The issuer stores the issuing key, which makes its row new.
fn store_issuing_key(sam: &mut VirtualCard, version: u8, key: &Key) {
    let mut host = common::issuer(sam);
    let header = KeyHeader {
        version,
        ..sample::header(KeyType::SamIssue, class::ONLY, SuiteId::Aes)
    };
    let group = host.sam_key_group([0; 3], header, key);
    host.personalise(sam, aid::T_UNION_SAM, &[group]).unwrap();
    put(sam, &apdu::select(aid::T_UNION_SAM));
}

/// The keys a SAM may hold are the same in both steps.
#[test]
fn the_first_step_keeps_to_its_keys() {
    let mut sam = first_step();
    let suite = SuiteId::Aes;
    let region = [0x35, 0x01, 0x00];
    let own = |key_type, index, suite| ([0; 3], sample::header(key_type, index, suite));
    for (region, header) in [
        // Its own under a region, at another index, or a second in another suite.
        (
            region,
            sample::header(KeyType::SamIssue, class::ONLY, suite),
        ),
        own(KeyType::SamIssue, 2, suite),
        own(KeyType::SamIssue, class::ONLY, SuiteId::Sm4),
        own(KeyType::SamCeiling, class::ONLY, SuiteId::Tdes),
        // A region's key without its region, and keys that no SAM holds.
        own(KeyType::Dpk, class::TRANSIT, suite),
        (region, sample::header(KeyType::Dlk, class::ONLY, suite)),
        (region, sample::header(KeyType::Damk, class::ONLY, suite)),
    ] {
        let mut host = common::issuer(&mut sam);
        let group = host.sam_key_group(region, header, &Key::new([5; 16]));
        let refused = host.personalise(&mut sam, aid::T_UNION_SAM, &[group]);
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("6A80"), "{header:?}: {text}");
    }
}

/// 96 slots: what does not fit is refused, what is there can still be replaced.
#[test]
fn a_full_sam_replaces_but_does_not_add() {
    let mut sam = first_step();
    let regions: Vec<String> = (0..94).map(|n| format!("35{n:02}00")).collect();
    for region in &regions {
        assert_eq!(write(&mut sam, region, dpk(1, SuiteId::Aes)), Sw::OK);
    }
    assert_eq!(
        write(&mut sam, "360100", dpk(1, SuiteId::Aes)),
        Sw::NO_SPACE
    );
    assert_eq!(
        write(&mut sam, "350100", dpk(2, SuiteId::Aes)),
        Sw::NO_SPACE
    );
    assert_eq!(write(&mut sam, "350100", dpk(1, SuiteId::Aes)), Sw::OK);
    Tap::new(Fen(1)).pay(&mut card(FUZHOU, 1, SuiteId::Aes), &mut sam);
}

/// Power is cut at every write of WRITE KEY, in every mode: the key is there or it is not, and the
/// SAM goes on.
#[test]
fn every_cut_leaves_the_key_whole_or_absent() {
    let image = first_step().image().to_vec();
    let mut card = card(FUZHOU, 1, SuiteId::Aes);
    let key = region_key(FUZHOU, dpk(1, SuiteId::Aes));
    let (mut absent, mut there) = (0, 0);
    for mode in CutMode::ALL {
        for nth in 1.. {
            let mut sam = VirtualCard::from_image(image.clone(), SEED).unwrap();
            let command = write_key(&mut sam, &key);
            sam.script(Some(Cut::Power(PowerCut::At(nth, mode))));
            match exchange(&mut sam, &command) {
                Err(error) => assert_eq!(error, ChannelError::CardRemoved),
                Ok(reply) => {
                    assert_eq!(reply.sw, Sw::OK);
                    break;
                }
            }
            sam.script(None);
            match mac1(&mut card, &mut sam) {
                Sw::OK => {
                    Tap::new(Fen(1)).pay(&mut card, &mut sam);
                    there += 1;
                }
                sw => {
                    assert_eq!(sw, Sw::KEY_INDEX);
                    absent += 1;
                }
            }
            // A torn one counts as one wrong MAC at most.
            for _ in 0..2 {
                let mut wrong = write_key(&mut sam, &key);
                wrong[40] ^= 1;
                assert_eq!(send(&mut sam, &wrong).sw, Sw::SM_WRONG, "{nth} {mode:?}");
                assert_eq!(write(&mut sam, FUZHOU, dpk(1, SuiteId::Aes)), Sw::OK);
            }
            Tap::new(Fen(1)).pay(&mut card, &mut sam);
        }
    }
    println!("cuts: {absent} before the key, {there} behind it");
    assert!(absent >= 8 && there >= 1, "{absent} {there}");
}
