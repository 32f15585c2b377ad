//! Everything in `card-spec` that reads bytes from outside. What was parsed and written again must
//! parse to the same value, and no more bytes may come out than went in.

use crate::input::Input;
use card_spec::{
    Fen, FormatError,
    health::Visit,
    id,
    keys::KeyHeader,
    medical::{self, Split},
    perso::{self, InitializeUpdateAnswer},
    pki,
    purse::{
        self, InitRequest,
        files::{Holder, Journey, Limits, LogRecord, Metro, Public, Region},
    },
    sam, scp03, sm, ssse,
    time::{CardDate, CardTime},
    tlv::Tlv,
};

/// `read` a value, `write` it, read it again: the same value.
fn round_trip<T: PartialEq + core::fmt::Debug, B: AsRef<[u8]>, E>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, E>,
    write: impl Fn(&T) -> B,
) {
    let Ok(value) = read(bytes) else { return };
    let Ok(again) = read(write(&value).as_ref()) else {
        panic!("{value:?} was written and is not read again");
    };
    assert_eq!(again, value);
}

/// The same for types whose bytes are an array of their own length.
fn round_trip_array<const N: usize, T: PartialEq + core::fmt::Debug, E>(
    bytes: &[u8],
    read: impl Fn([u8; N]) -> Result<T, E>,
    write: impl Fn(&T) -> [u8; N],
) {
    let Ok(bytes) = bytes.try_into() else { return };
    let Ok(value) = read(bytes) else { return };
    // These keep every byte.
    assert_eq!(write(&value), bytes, "{value:?}");
}

/// Runs one input: the first byte chooses the family, the rest is parsed.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.byte() % 4 {
        0 => files(input.rest()),
        1 => answers(input.rest()),
        2 => identifiers(input.rest()),
        _ => tlv(input.rest(), 0),
    }
}

fn files(bytes: &[u8]) {
    round_trip(bytes, Public::from_bytes, Public::to_bytes);
    round_trip(bytes, Region::from_bytes, Region::to_bytes);
    round_trip(bytes, Holder::from_bytes, Holder::to_bytes);
    round_trip(bytes, LogRecord::from_bytes, LogRecord::to_bytes);
    round_trip(bytes, Journey::from_bytes, Journey::to_bytes);
    round_trip(bytes, Metro::from_bytes, Metro::to_bytes);
    if let Ok(bytes) = <&[u8; 16]>::try_from(bytes)
        && let Ok(limits) = Limits::from_bytes(bytes)
    {
        let written = limits.to_bytes().expect("what was read can be written");
        assert_eq!(Limits::from_bytes(&written), Ok(limits));
    }
    round_trip(
        bytes,
        |b| Visit::from_bytes(b.try_into().map_err(|_| FormatError::Length)?),
        Visit::to_bytes,
    );
    if let Ok(public) = Public::from_fci(bytes) {
        assert_eq!(Public::from_bytes(&public.to_bytes()), Ok(public));
    }
    if let Some((tag, record)) = bytes.split_first()
        && let Ok(value) = ssse::record_value(record, *tag)
    {
        assert!(value.len() + 2 <= record.len());
    }
}

fn answers(bytes: &[u8]) {
    round_trip(bytes, InitRequest::from_bytes, |r| {
        r.to_bytes().expect("amounts of four bytes")
    });
    round_trip(
        bytes,
        medical::PurchaseInit::from_bytes,
        medical::PurchaseInit::to_bytes,
    );
    round_trip(
        bytes,
        |b| {
            // 29 bytes have no sequence counter and are read as zero.
            InitializeUpdateAnswer::from_bytes(b)
        },
        InitializeUpdateAnswer::to_bytes,
    );
    let _ = purse::LoadInit::from_bytes(bytes);
    let _ = purse::PurchaseInit::from_bytes(bytes);
    let _ = purse::overdraft::OverdraftInit::from_bytes(bytes);
    let _ = sam::Mac1::from_bytes(bytes);
    if let Ok(debited) = purse::Debited::from_debit(bytes) {
        let swapped = [debited.mac2, debited.tac].concat();
        assert_eq!(purse::Debited::from_prove(&swapped), Ok(debited));
    }
    if let Ok(init) = sam::InitForPurchase::from_bytes(bytes) {
        let command = init.to_apdu().expect("what was read can be written");
        let data = &command[5..command.len() - 1];
        let again = sam::InitForPurchase::from_bytes(data).expect("what was written");
        assert_eq!(again.to_apdu(), Ok(command.clone()));
        // All but the algorithm byte, of which 3DES has two in the field.
        assert_eq!((&data[..19], &data[20..]), (&bytes[..19], &bytes[20..]));
    }
    if let Ok(bytes) = <[u8; 12]>::try_from(bytes) {
        assert_eq!(Split::from_bytes(bytes).to_bytes(), Ok(bytes));
    }
    if let Some((amount, _)) = bytes.split_first_chunk::<4>() {
        assert_eq!(Fen::from_card(*amount).to_card(), Ok(*amount));
    }
    if let Ok(block) = <&[u8; 16]>::try_from(bytes)
        && let Ok(pin) = perso::pin_from_block(block)
    {
        assert_eq!(perso::pin_block(pin), Ok(*block));
    }
    if let Some(pin) = sm::from_plaintext(bytes) {
        assert!(pin.len() < bytes.len());
    }
    if let Ok(xy) = pki::public_key(bytes) {
        assert!(bytes.ends_with(&xy));
    }
    if let Some((first, _)) = bytes.split_first_chunk::<4>() {
        // Longer than its own head, and no longer than two length bytes can say.
        assert!(pki::der_length(*first).is_none_or(|n| (131..=0x1_0003).contains(&n)));
    }
    if let Some(length) = scp03::unpad(bytes) {
        // Padding of ISO 9797-1 method 2: taken off, put on again, the same up to its zeros.
        assert_eq!(bytes[length], 0x80);
        assert!(bytes[length + 1..].iter().all(|b| *b == 0));
    }
}

fn identifiers(bytes: &[u8]) {
    round_trip_array(bytes, id::Pan::from_bytes, |v| v.to_bytes());
    round_trip_array(bytes, id::SamNo::from_bytes, |v| v.to_bytes());
    round_trip_array(bytes, id::DeviceNo::from_bytes, |v| v.to_bytes());
    round_trip_array(bytes, id::RegionCode::from_bytes, |v| v.to_bytes());
    round_trip_array(bytes, CardDate::from_bytes, |v| v.to_bytes());
    round_trip_array(bytes, CardTime::from_bytes, |v| v.to_bytes());
    // 3DES has two algorithm bytes in the field, and is written as one.
    round_trip(
        bytes,
        |b| KeyHeader::from_bytes(b.try_into().map_err(|_| FormatError::Length)?),
        |v| v.to_bytes(),
    );
    round_trip_array(bytes, medical::year_from_bcd, |year| {
        medical::year_to_bcd(*year)
    });
    if let Ok(time) = <[u8; 7]>::try_from(bytes).map(CardTime::from_bytes)
        && let Ok(time) = time
    {
        assert_eq!(time.to_string().parse(), Ok(time));
    }
    if let Ok(text) = core::str::from_utf8(bytes) {
        if let Ok(pan) = text.parse::<id::Pan>() {
            assert_eq!(pan.to_string(), text);
        }
        if let Ok(citizen) = text.parse::<id::CitizenId>() {
            assert_eq!(citizen.to_string().parse(), Ok(citizen));
            let _ = (citizen.birth(), citizen.area());
        }
        if let Ok(amount) = text.parse::<Fen>() {
            assert_eq!(amount.to_string().parse(), Ok(amount));
        }
    }
    if let Ok(f1) = ssse::f1_from_atr(bytes) {
        assert!(bytes.ends_with(&f1));
    }
}

/// Every value lies inside the input, the values of one level do not overlap, and nested
/// constructed objects end.
fn tlv(bytes: &[u8], depth: usize) {
    let mut total = 0;
    for (tag, value) in Tlv::new(bytes) {
        total += value.len() + 2;
        assert!(total <= bytes.len(), "objects longer than their string");
        assert!(Tlv::find(bytes, tag).is_some());
        if depth < 8 {
            tlv(value, depth + 1);
        }
    }
}
