//! The PKI application: published vectors over the card, signatures judged by the `sm2` crate's
//! own verifier, the PIN of each signature, certificates, power cuts, and the key that never leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Apdu, Channel, SuiteId, Sw, aid, apdu,
    keys::{KeyType, class},
    perso::{self, Dgi},
    pki,
    sm::{self, Challenge8},
    tlv::Tlv,
};
use common::{Bare, SEED, Scripted, ask, card, issuer, maintenance, put, send};
use hex_literal::hex;
use sm2::dsa::{Signature, VerifyingKey, signature::Verifier};
use virtual_card::{
    Cut, CutMode, ImageNvm, Interface, PowerCut, VirtualCard, host,
    sample::{self, SIGN_PIN_BYTES},
    sign,
};

/// GB/T 32918.5-2017, annex A (GM/T 0003.5-2012).
const SECRET: [u8; 32] = hex!("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8");
const PUBLIC: [u8; 64] = hex!(
    "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
);
const E: [u8; 32] = hex!("F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640");
const MESSAGE: &[u8] = b"message digest";

fn verify(pin: &[u8]) -> Apdu {
    apdu::verify(perso::pin::HOLDER, pin)
}

/// A card whose first random bytes are the published private key, made into its key pair.
fn published() -> Bare<ImageNvm, Scripted> {
    let nvm = ImageNvm::empty();
    let blank = card_os::Blank {
        chip_serial: [0x22; 10],
        transport_keys: sample::transport_keys(),
    };
    let mut card = Bare(card_os::Card::new(nvm, Scripted::from(SECRET)));
    card.0.format(&blank).unwrap();
    let keys = sample::transport_keys();
    let mut host = host::Scp03::open(&mut card, &keys, perso::KVN_TRANSPORT, 0x01, [3; 8]).unwrap();
    let groups = [host.pin_group(&SIGN_PIN_BYTES).unwrap()];
    host.personalise(&mut card, aid::PKI, &groups).unwrap();
    put(&mut card, &apdu::select(aid::PKI));
    put(&mut card, &apdu::select(aid::PKI_CERTIFICATES));
    put(&mut card, &verify(&SIGN_PIN_BYTES));
    let answer = ask(&mut card, &pki::generate_key_pair());
    assert_eq!(pki::public_key(&answer), Ok(PUBLIC));
    card
}

/// The sample card with its PKI application selected.
fn selected() -> VirtualCard {
    let mut card = card(SuiteId::Aes);
    put(&mut card, &apdu::select(aid::PKI_CERTIFICATES));
    card
}

fn public<C: Channel>(card: &mut C) -> [u8; 64] {
    pki::public_key(&ask(card, &pki::read_public_key())).unwrap()
}

/// What an independent implementation says of a signature over the message.
fn is_signed(public: [u8; 64], message: &[u8], signature: &[u8]) -> bool {
    let sec1 = [&[4][..], &public].concat();
    let key = VerifyingKey::from_sec1_bytes(pki::USER_ID, &sec1).unwrap();
    key.verify(message, &Signature::from_slice(signature).unwrap())
        .is_ok()
}

fn file(fid: u16, offset: u16, le: u16) -> Apdu {
    let sfi = 0x80 | fid as u8;
    match u8::try_from(offset) {
        Ok(offset) => apdu::read(0x00, 0xB0, sfi, offset, Some(le)),
        Err(_) => apdu::read(0x00, 0xB0, (offset >> 8) as u8, offset as u8, Some(le)),
    }
}

/// The certificate; None when there is none.
fn certificate<C: Channel>(card: &mut C) -> Option<Vec<u8>> {
    put(card, &apdu::select_ef(pki::CERTIFICATE));
    let mut all = Vec::new();
    loop {
        let reply = send(card, &file(pki::CERTIFICATE, all.len() as u16, 200));
        match reply.sw {
            Sw::OK => all.extend_from_slice(&reply.data),
            Sw::OFFSET => return (!all.is_empty()).then_some(all),
            sw => panic!("{sw}"),
        }
    }
}

fn signatures_made<C: Channel>(card: &mut C) -> u32 {
    let count = ask(card, &pki::signatures_made());
    u32::from_be_bytes(count.try_into().unwrap())
}

#[test]
fn the_published_key_and_digest_over_the_card() {
    let mut card = published();
    // As public tools read it: two bytes, then X | Y.
    put(&mut card, &hex!("00A40000020012"));
    let file = ask(&mut card, &hex!("00B0000042"));
    assert_eq!((&file[..2], &file[2..]), (&[0xCA, 0x40][..], &PUBLIC[..]));
    // The digest: at once, in parts, in a chain, and in parts of which one is a chain.
    assert_eq!(ask(&mut card, &pki::hash_last(MESSAGE)), E);
    for part in [1, 3, 13] {
        put(&mut card, &pki::hash_part(&MESSAGE[..part]).unwrap());
        assert_eq!(ask(&mut card, &pki::hash_last(&MESSAGE[part..])), E);
    }
    put(&mut card, &pki::hash_part(MESSAGE).unwrap());
    assert_eq!(
        ask(&mut card, &hex!("002A908000")),
        E,
        "nothing left to hash"
    );
    put(&mut card, &hex!("102A9080 04 6D657373"));
    assert_eq!(ask(&mut card, &pki::hash_last(&MESSAGE[4..])), E);
    put(&mut card, &hex!("102A90A0 04 80046D65"));
    put(&mut card, &hex!("002A90A0 02 7373"));
    assert_eq!(ask(&mut card, &pki::hash_last(&MESSAGE[4..])), E);
    // The standard's verification, done by others.
    put(&mut card, &verify(&SIGN_PIN_BYTES));
    let signature = ask(&mut card, &pki::sign());
    assert_eq!(signature.len(), 64);
    assert!(is_signed(PUBLIC, MESSAGE, &signature));
    assert!(!is_signed(PUBLIC, b"message digesT", &signature));
}

#[test]
fn any_length_of_message() {
    let mut card = selected();
    let public = public(&mut card);
    let mut signatures = Vec::new();
    for length in [0, 1, 31, 32, 64, 251, 252, 253, 504, 505, 2000] {
        let message: Vec<u8> = (0..length).map(|i| i as u8).collect();
        put(&mut card, &verify(&SIGN_PIN_BYTES));
        let signature = sign(&mut card, &message).unwrap();
        assert!(is_signed(public, &message, &signature), "{length}");
        signatures.push(signature);
    }
    // One more signature of the last message is another signature.
    let message: Vec<u8> = (0..2000).map(|i| i as u8).collect();
    put(&mut card, &verify(&SIGN_PIN_BYTES));
    let again = sign(&mut card, &message).unwrap();
    assert!(is_signed(public, &message, &again));
    assert!(!signatures.contains(&again));
}

#[test]
fn every_signature_takes_a_pin() {
    let mut card = selected();
    let before = signatures_made(&mut card);
    let refused = |card: &mut VirtualCard, expected: Sw| {
        assert_eq!(send(card, &pki::sign()).sw, expected);
    };
    put(&mut card, &pki::hash_last(MESSAGE));
    refused(&mut card, Sw::SECURITY);
    // The PIN before or after the message; the message once only, the PIN once only.
    put(&mut card, &verify(&SIGN_PIN_BYTES));
    refused(&mut card, Sw::CONDITIONS);
    put(&mut card, &pki::hash_last(MESSAGE));
    put(&mut card, &pki::sign());
    refused(&mut card, Sw::CONDITIONS);
    put(&mut card, &pki::hash_last(MESSAGE));
    refused(&mut card, Sw::SECURITY);
    put(&mut card, &pki::hash_last(MESSAGE));
    put(&mut card, &verify(&SIGN_PIN_BYTES));
    put(&mut card, &verify(&SIGN_PIN_BYTES));
    put(&mut card, &pki::sign());
    put(&mut card, &pki::hash_last(MESSAGE));
    refused(&mut card, Sw::SECURITY);
    assert_eq!(signatures_made(&mut card), before + 2);
    // Making a key takes one too, and uses it up.
    assert_eq!(send(&mut card, &pki::generate_key_pair()).sw, Sw::SECURITY);
    put(&mut card, &verify(&SIGN_PIN_BYTES));
    put(&mut card, &pki::generate_key_pair());
    put(&mut card, &pki::hash_last(MESSAGE));
    refused(&mut card, Sw::SECURITY);
    // A wrong PIN takes back what the right one gave; so does a new PIN, another selection, power.
    put(&mut card, &verify(&SIGN_PIN_BYTES));
    assert_eq!(send(&mut card, &verify(&[0, 0, 0])).sw, Sw::tries_left(2));
    put(&mut card, &pki::hash_last(MESSAGE));
    refused(&mut card, Sw::SECURITY);
    let new = hex!("80 5E 01 00 07 654321 FF 111111");
    put(&mut card, &new);
    put(&mut card, &pki::hash_last(MESSAGE));
    refused(&mut card, Sw::SECURITY);
    put(&mut card, &verify(&[0x11; 3]));
    put(&mut card, &apdu::select(aid::PKI));
    put(&mut card, &pki::hash_last(MESSAGE));
    refused(&mut card, Sw::SECURITY);
    put(&mut card, &verify(&[0x11; 3]));
    card.power_cycle();
    put(&mut card, &apdu::select(aid::PKI));
    put(&mut card, &pki::hash_last(MESSAGE));
    refused(&mut card, Sw::SECURITY);
    // Its own counter: the PIN of the other applications still works when it is blocked.
    for left in [Sw::tries_left(2), Sw::tries_left(1), Sw::AUTH_BLOCKED] {
        assert_eq!(send(&mut card, &verify(&sample::PIN_BYTES)).sw, left);
    }
    assert_eq!(send(&mut card, &verify(&[0x11; 3])).sw, Sw::AUTH_BLOCKED);
    put(&mut card, &apdu::select(aid::T_UNION));
    put(&mut card, &verify(&sample::PIN_BYTES));
    // The issuer's way back.
    let mut host = issuer(&mut card);
    let pin = host.pin_group(&SIGN_PIN_BYTES).unwrap();
    host.personalise(&mut card, aid::PKI, &[pin]).unwrap();
    put(&mut card, &apdu::select(aid::PKI));
    put(&mut card, &verify(&SIGN_PIN_BYTES));
}

/// What was said before another command is not part of the message.
#[test]
fn parts_follow_each_other() {
    let mut card = selected();
    put(&mut card, &verify(&SIGN_PIN_BYTES));
    for between in [
        verify(&SIGN_PIN_BYTES),
        pki::signatures_made(),
        pki::read_public_key(),
        file(pki::SIGN_PUBLIC_KEY, 0, 66),
    ] {
        put(&mut card, &pki::hash_part(b"pay 1000 to ").unwrap());
        put(&mut card, &between);
        put(&mut card, &verify(&SIGN_PIN_BYTES));
        let signature = sign(&mut card, b"a friend").unwrap();
        assert!(is_signed(public(&mut card), b"a friend", &signature));
    }
    for malformed in [
        &hex!("002A90A0 03 800461")[..],
        &hex!("002A90A0 04 80016161"),
        &hex!("002A90A0 02 8000"),
        &hex!("002A90A0 03 900161"),
        &hex!("002A90A0 04 80810161"),
    ] {
        put(&mut card, &pki::hash_part(b"one").unwrap());
        assert_eq!(send(&mut card, malformed).sw, Sw::WRONG_DATA);
        let alone = ask(&mut card, &pki::hash_last(b"two"));
        assert_eq!(alone, ask(&mut card, &pki::hash_last(b"two")));
    }
}

#[test]
fn nothing_over_the_air() {
    let mut card = selected();
    put(&mut card, &verify(&SIGN_PIN_BYTES));
    put(&mut card, &pki::hash_last(MESSAGE));
    card.set_interface(Interface::Contactless);
    for command in [
        pki::sign(),
        pki::hash_last(MESSAGE),
        pki::generate_key_pair(),
        pki::read_public_key(),
        pki::signatures_made(),
        verify(&SIGN_PIN_BYTES),
        verify(&[]),
        file(pki::CERTIFICATE, 0, 10),
        file(pki::SIGN_PUBLIC_KEY, 0, 66),
    ] {
        let reply = send(&mut card, &command);
        assert_eq!((reply.sw, reply.data.len()), (Sw::CONDITIONS, 0));
    }
    // No try was lost.
    card.set_interface(Interface::Contact);
    assert_eq!(send(&mut card, &verify(&[])).sw, Sw::tries_left(3));
}

/// The parts of a certificate: what is signed, and r | s.
fn taken_apart(certificate: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (_, inside) = Tlv::new(certificate).next().unwrap();
    let mut parts = Tlv::new(inside);
    let (_, statement) = parts.next().unwrap();
    let head = pki::der_length(inside[..4].try_into().unwrap()).unwrap() - statement.len();
    let statement = inside[..head + statement.len()].to_vec();
    let (tag, signature) = parts.nth(1).unwrap();
    assert_eq!((tag, signature[0]), (0x03, 0));
    let (_, numbers) = Tlv::new(&signature[1..]).next().unwrap();
    let mut rs = Vec::new();
    for (tag, number) in Tlv::new(numbers) {
        let digits = number.strip_prefix(&[0]).unwrap_or(number);
        assert_eq!(tag, 0x02);
        rs.extend(vec![0; 32 - digits.len()]);
        rs.extend_from_slice(digits);
    }
    (statement, rs)
}

#[test]
fn the_sample_certificate_is_signed_by_its_key() {
    let mut card = selected();
    let certificate = certificate(&mut card).unwrap();
    let (statement, signature) = taken_apart(&certificate);
    let public = public(&mut card);
    assert!(is_signed(public, &statement, &signature));
    assert!(statement.windows(64).any(|w| w == public));
    assert_eq!(signatures_made(&mut card), 1);
    // Past its end there is nothing, and a read that reaches over it stops there.
    let end = certificate.len() as u16;
    assert_eq!(
        ask(&mut card, &file(0x18, end - 1, 10)),
        certificate[end as usize - 1..]
    );
    assert_eq!(send(&mut card, &file(0x18, end, 10)).sw, Sw::OFFSET);
}

fn store_certificate(card: &mut VirtualCard, certificate: &[u8]) -> Result<(), Sw> {
    let mut host = issuer(card);
    let group = (Dgi::file(pki::CERTIFICATE as u8), certificate.to_vec());
    match host.personalise(card, aid::PKI, &[group]) {
        Ok(()) => Ok(()),
        Err(host::HostError::Status { sw, .. }) => Err(sw),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_new_key_ends_the_certificate_of_the_old_one() {
    let mut card = selected();
    let old = certificate(&mut card).unwrap();
    let old_key = public(&mut card);
    assert_eq!(signatures_made(&mut card), 1);
    put(&mut card, &verify(&SIGN_PIN_BYTES));
    let answer = ask(&mut card, &hex!("0046800000"));
    let new_key = pki::public_key(&answer).unwrap();
    assert_ne!(new_key, old_key);
    assert_eq!(public(&mut card), new_key);
    assert_eq!(ask(&mut card, &file(0x12, 2, 64)), new_key);
    assert_eq!(certificate(&mut card), None);
    assert_eq!(signatures_made(&mut card), 0);
    // The issuer cannot put the old one back; one of the new key he can, and keeps it when the
    // next attempt is refused.
    assert_eq!(store_certificate(&mut card, &old), Err(Sw::WRONG_DATA));
    let at = old.windows(64).position(|w| w == old_key).unwrap();
    let mut new = old.clone();
    new[at..at + 64].copy_from_slice(&new_key);
    assert_eq!(store_certificate(&mut card, &new), Ok(()));
    for bad in [&old[..], &new[..new.len() - 1], &[&new[..], &[0]].concat()] {
        assert_eq!(store_certificate(&mut card, bad), Err(Sw::WRONG_DATA));
    }
    put(&mut card, &apdu::select(aid::PKI));
    assert_eq!(certificate(&mut card), Some(new));
}

/// UPDATE BINARY of the certificate under UK, with the fresh challenge that it takes.
fn update(card: &mut VirtualCard, suite: SuiteId, offset: usize, data: &[u8]) -> Sw {
    let key = sample::card_key(sample::header(KeyType::Uk, class::ONLY, suite)).unwrap();
    let [high, low] = (offset as u16).to_be_bytes();
    let command = maintenance(card, suite, &key, [0x04, 0xD6, high, low], data);
    send(card, &command).sw
}

#[test]
fn a_certificate_in_pieces() {
    for suite in SuiteId::ALL {
        let mut card = card(suite);
        put(&mut card, &apdu::select(aid::PKI_CERTIFICATES));
        let whole = certificate(&mut card).unwrap();
        // Nothing of this ends the old one.
        let [_, head, ..] = whole[..] else { panic!() };
        assert_eq!(head, 0x82, "long enough for two pieces");
        assert_eq!(update(&mut card, suite, 7, b"in the middle"), Sw::OFFSET);
        assert_eq!(
            update(&mut card, suite, 0, b"not a certificate"),
            Sw::WRONG_DATA
        );
        assert_eq!(send(&mut card, &hex!("00D60000 01 30")).sw, Sw::SECURITY);
        let no_challenge = apdu::build(0x04, 0xD6, 0, 0, &[0x30; 20], None);
        assert_eq!(send(&mut card, &no_challenge).sw, Sw::NO_CHALLENGE);
        assert_eq!(certificate(&mut card).unwrap(), whole);
        let pieces: Vec<_> = whole.chunks(112).collect();
        for (n, piece) in pieces.iter().enumerate() {
            let at = n * 112;
            assert_eq!(update(&mut card, suite, at + 1, piece), Sw::OFFSET, "a gap");
            assert_eq!(update(&mut card, suite, at, piece), Sw::OK);
            let readable = certificate(&mut card);
            assert_eq!(readable.is_some(), n + 1 == pieces.len(), "piece {n}");
        }
        assert_eq!(certificate(&mut card).unwrap(), whole);
        // A power cut between two pieces leaves the beginning, which may be begun again.
        assert_eq!(update(&mut card, suite, 0, pieces[0]), Sw::OK);
        card.power_cycle();
        put(&mut card, &apdu::select(aid::PKI_CERTIFICATES));
        assert_eq!(certificate(&mut card), None);
        // The last piece of a certificate of another key makes nothing readable.
        let public = public(&mut card);
        let at = whole.windows(64).position(|w| w == public).unwrap();
        let mut other = whole.clone();
        other[at + 63] ^= 1;
        let last = pieces.len() - 1;
        for (n, piece) in other.chunks(112).enumerate() {
            let expected = if n == last { Sw::WRONG_DATA } else { Sw::OK };
            assert_eq!(update(&mut card, suite, n * 112, piece), expected);
        }
        assert_eq!(certificate(&mut card), None);
        // The public key is nobody's to write.
        put(&mut card, &apdu::select_ef(pki::SIGN_PUBLIC_KEY));
        assert_eq!(update(&mut card, suite, 0, &[0xCA; 66]), Sw::SECURITY);
    }
}

#[test]
fn wrong_macs_end_and_a_new_key_begins_again() {
    let mut card = selected();
    put(&mut card, &apdu::select_ef(pki::CERTIFICATE));
    for expected in [Sw::SM_WRONG; 3].into_iter().chain([Sw::AUTH_BLOCKED]) {
        let challenge = ask(&mut card, &apdu::get_challenge(8));
        let challenge = Challenge8::from_bytes(&challenge).unwrap();
        let wrong = card_spec::suite::Key::new([9; 16]);
        let mac = sm::mac(SuiteId::Aes, &wrong, challenge, [4, 0xD6, 0, 0, 5], &[0x30]);
        let command = apdu::build(0x04, 0xD6, 0, 0, &[&[0x30][..], &mac].concat(), None);
        assert_eq!(send(&mut card, &command).sw, expected);
    }
    let header = sample::header(KeyType::Uk, class::ONLY, SuiteId::Aes);
    common::store_key(&mut card, aid::PKI, header);
    put(&mut card, &apdu::select(aid::PKI));
    put(&mut card, &apdu::select_ef(pki::CERTIFICATE));
    assert_eq!(update(&mut card, SuiteId::Aes, 0, &[0x30]), Sw::OK);
}

#[test]
fn the_issuer_names_it_and_only_its_own_keys_fit() {
    let mut card = card(SuiteId::Aes);
    // Both names, in the order of the field, and as the beginning of a name.
    put(&mut card, &hex!("00A404000C504B492EC9E7BBE1B1A3D5CF"));
    put(&mut card, &hex!("00A404000C53532E434552542E41444631"));
    put(&mut card, &apdu::select(b"PKI.\xC9"));
    assert_eq!(send(&mut card, &apdu::select_ef(0x0013)).sw, Sw::NOT_FOUND);
    let fcp = ask(&mut card, &hex!("00A40004020018"));
    assert_eq!(fcp, hex!("62 11 820101 83020018 80020600 8801C0 8A0105"));
    let mut host = issuer(&mut card);
    for (key_type, fits) in [
        (KeyType::Uk, true),
        (KeyType::Dpk, false),
        (KeyType::Irk, false),
    ] {
        let header = sample::header(key_type, class::ONLY, SuiteId::Aes);
        let group = host.key_group(header, &sample::card_key(header).unwrap());
        assert_eq!(
            host.personalise(&mut card, aid::PKI, &[group]).is_ok(),
            fits
        );
        host = issuer(&mut card);
    }
    // Locked by the issuer, and open again.
    for (lock, expected) in [(0x83, Sw::LOCKED), (0x03, Sw::OK)] {
        let command = apdu::build(0x80, 0xF0, 0x40, lock, aid::PKI, None);
        issuer(&mut card)
            .send(&mut card, "SET STATUS", &command)
            .unwrap();
        assert_eq!(send(&mut card, &apdu::select(aid::PKI)).sw, expected);
    }
    // A card without the application: nothing there.
    let mut sam = common::sam_for(class::TRANSIT);
    assert_eq!(send(&mut sam, &apdu::select(aid::PKI)).sw, Sw::NOT_FOUND);
    // Before there is a key: no signature, no public key, no certificate.
    let mut card = VirtualCard::blank([1; 10], sample::transport_keys(), SEED).unwrap();
    let keys = sample::transport_keys();
    let mut host = host::Scp03::open(&mut card, &keys, perso::KVN_TRANSPORT, 0x01, [3; 8]).unwrap();
    let pin = host.pin_group(&SIGN_PIN_BYTES).unwrap();
    host.personalise(&mut card, aid::PKI, &[pin]).unwrap();
    put(&mut card, &apdu::select(aid::PKI));
    put(&mut card, &verify(&SIGN_PIN_BYTES));
    for (command, expected) in [
        (pki::read_public_key(), Sw::KEY_NOT_FOUND),
        (pki::hash_last(MESSAGE), Sw::KEY_NOT_FOUND),
        (pki::sign(), Sw::CONDITIONS),
        (file(0x12, 0, 66), Sw::OFFSET),
        (file(0x18, 0, 66), Sw::OFFSET),
    ] {
        assert_eq!(send(&mut card, &command).sw, expected, "{command:02X?}");
    }
}

/// What is seen of the key: public key, certificate, counter. And the private key fits the public.
fn seen(image: &[u8]) -> ([u8; 64], Option<Vec<u8>>, u32) {
    let mut card = VirtualCard::from_image(image.to_vec(), [9; 32]).unwrap();
    put(&mut card, &apdu::select(aid::PKI));
    let seen = (
        public(&mut card),
        certificate(&mut card),
        signatures_made(&mut card),
    );
    put(&mut card, &verify(&SIGN_PIN_BYTES));
    let signature = sign(&mut card, MESSAGE).unwrap();
    assert!(is_signed(seen.0, MESSAGE, &signature), "half a key pair");
    seen
}

/// Runs the command with the power cut in every memory operation and in every way; returns what
/// the card looked like at the next power-up, and how many cuts there were.
fn torn(command: &Apdu, mut judge: impl FnMut(([u8; 64], Option<Vec<u8>>, u32))) -> u32 {
    let start = card(SuiteId::Aes).image().to_vec();
    let mut tried = 0;
    for mode in CutMode::ALL {
        for n in 1.. {
            let mut card = VirtualCard::from_image(start.clone(), [5; 32]).unwrap();
            put(&mut card, &apdu::select(aid::PKI));
            put(&mut card, &verify(&SIGN_PIN_BYTES));
            put(&mut card, &pki::hash_last(MESSAGE));
            card.script(Some(Cut::Power(PowerCut::At(n, mode))));
            let mut buffer = [0; 258];
            if card.transmit(command, &mut buffer).is_ok() {
                break;
            }
            tried += 1;
            judge(seen(card.image()));
        }
    }
    tried
}

#[test]
fn a_key_pair_is_made_whole_or_not_at_all() {
    let (old, certificate, made) = seen(card(SuiteId::Aes).image());
    assert!(certificate.is_some());
    let (mut before, mut after) = (0, 0);
    let tried = torn(&pki::generate_key_pair(), |found| {
        if found.0 == old {
            before += 1;
            assert_eq!(found, (old, certificate.clone(), made));
        } else {
            after += 1;
            assert_eq!((found.1, found.2), (None, 0));
        }
    });
    assert!(tried >= 8 && before > 0 && after > 0, "{tried} cuts");
}

#[test]
fn a_signature_is_counted_before_it_is_made() {
    let (key, certificate, made) = seen(card(SuiteId::Aes).image());
    let mut counted = 0;
    torn(&pki::sign(), |found| {
        assert_eq!((found.0, &found.1), (key, &certificate));
        assert!(found.2 == made || found.2 == made + 1);
        counted += found.2 - made;
    });
    assert!(counted > 0, "no cut after the count");
}

/// Everything that the card says, to anything, in every application.
#[test]
fn the_private_key_is_in_no_answer() {
    let mut card = published();
    let held = card.0.nvm().bytes();
    assert!(
        held.windows(32).any(|w| w == SECRET),
        "the search finds it where it is"
    );
    let mut heard = Vec::new();
    let mut say = |card: &mut Bare<ImageNvm, Scripted>, command: &[u8]| {
        let mut buffer = [0; 258];
        let n = card.transmit(command, &mut buffer).unwrap();
        heard.extend_from_slice(&buffer[..n - 2]);
        heard.push(0);
    };
    for name in [
        aid::ISD,
        aid::PKI,
        aid::PKI_CERTIFICATES,
        aid::T_UNION,
        aid::SSSE,
    ] {
        say(&mut card, &apdu::select(name));
        for ins in 0..=0xFF {
            // PINs and rows are not to be blocked by the search.
            if matches!(ins, 0x20 | 0x5E) {
                continue;
            }
            for (p1, p2) in [
                (0, 0),
                (0, 0x93),
                (0x7F, 0x49),
                (0x80, 0),
                (0x81, 0),
                (0x90, 0x80),
                (0x9E, 0x9A),
                (0x92, 0),
                (0x98, 0),
            ] {
                for cla in [0x00, 0x80] {
                    say(&mut card, &[cla, ins, p1, p2, 0]);
                }
            }
        }
        // Every file identifier of one byte, read at every offset.
        for sfi in 0x80..0xA0 {
            for offset in 0..=0xFF {
                say(&mut card, &[0x00, 0xB0, sfi, offset, 0]);
            }
        }
    }
    put(&mut card, &apdu::select(aid::PKI));
    for message in [&b"one"[..], b"two"] {
        put(&mut card, &verify(&SIGN_PIN_BYTES));
        say(&mut card, &pki::hash_last(message));
        say(&mut card, &pki::sign());
    }
    assert!(heard.len() > 10_000);
    // Neither the whole nor a part that would help to guess it.
    for part in SECRET.windows(8) {
        assert!(!heard.windows(8).any(|w| w == part), "{part:02X?}");
    }
}
