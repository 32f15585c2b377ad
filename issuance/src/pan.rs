//! Card numbers: how they are composed and checked.

use card_spec::{
    FormatError,
    id::{Pan, RegionCode},
};

/// The issuer identification number of this card's issuer: the digits `0350`, of which the first is
/// the filler that readers drop.
pub const IIN: [u8; 2] = [0x03, 0x50];

/// Running number of a card over the whole province, 1 to 999,999,999. Never used twice, also not
/// for a spoiled card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardSeq(u32);

impl CardSeq {
    /// The highest number.
    pub const MAX: u32 = 999_999_999;

    /// Checks the range.
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 || number > Self::MAX {
            None
        } else {
            Some(Self(number))
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The card number of the social-security side 社保卡号, nine digits (EF05 record 07).
    pub fn card_no(self) -> [u8; 9] {
        let mut out = [b'0'; 9];
        let mut rest = self.0;
        for digit in out.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out
    }
}

/// The PAN of a card: `0350 | region (6) | running number (9) | Luhn digit`, 20 digits.
///
/// Its last eight bytes, PBOC's diversification factor, hold region and running number: unique too.
pub fn compose(region: RegionCode, seq: CardSeq) -> Result<Pan, FormatError> {
    let mut digits = [0u8; 20];
    let parts = IIN.into_iter().chain(region.to_bytes());
    for (pair, byte) in digits.chunks_exact_mut(2).zip(parts) {
        pair.copy_from_slice(&[byte >> 4, byte & 0x0F]);
    }
    for (digit, ascii) in digits[10..19].iter_mut().zip(seq.card_no()) {
        *digit = ascii - b'0';
    }
    digits[19] = luhn(&digits[..19]);
    let mut packed = [0u8; 10];
    for (byte, pair) in packed.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (pair[0] << 4) | pair[1];
    }
    Pan::from_bytes(packed)
}

/// The running number inside a PAN of this issuer; `None` when issuer or check digit are others.
pub fn parse(pan: Pan) -> Option<CardSeq> {
    if pan.iin() != IIN {
        return None;
    }
    let digits: Vec<u8> = pan
        .to_bytes()
        .into_iter()
        .flat_map(|b| [b >> 4, b & 0x0F])
        .collect();
    let (body, check) = digits.split_at_checked(19)?;
    if check != [luhn(body)] {
        return None;
    }
    let number = body.get(10..)?;
    CardSeq::new(number.iter().fold(0, |n, d| n * 10 + u32::from(*d)))
}

/// The Luhn digit (ISO/IEC 7812-1 annex B) that completes these digits.
fn luhn(digits: &[u8]) -> u8 {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| {
            let d = u32::from(*d) * if i % 2 == 0 { 2 } else { 1 };
            d / 10 + d % 10
        })
        .sum();
    ((10 - sum % 10) % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ISO/IEC 7812-1's printed example number 7992739871 takes check digit 3.
    #[test]
    fn luhn_example() {
        assert_eq!(luhn(&[7, 9, 9, 2, 7, 3, 9, 8, 7, 1]), 3);
    }

    #[test]
    fn layout_and_check() {
        let region = "350128".parse().expect("region");
        let pan = compose(region, CardSeq::new(1234).expect("range")).expect("digits");
        assert_eq!(&pan.to_string()[..19], "0350350128000001234");
        assert!(!pan.is_sample());
        assert_eq!(parse(pan).map(CardSeq::get), Some(1234));
        assert!(CardSeq::new(0).is_none() && CardSeq::new(1_000_000_000).is_none());
    }

    proptest::proptest! {
        /// A single wrong digit or two neighbours swapped (other than 0 and 9) is noticed.
        #[test]
        fn a_wrong_digit_is_noticed(seq in 1u32..1_000_000_000, at in 4usize..20, by in 1u8..10) {
            let region = "350200".parse().expect("region");
            let pan = compose(region, CardSeq::new(seq).expect("range")).expect("digits");
            let mut text = pan.to_string().into_bytes();
            text[at] = b'0' + (text[at] - b'0' + by) % 10;
            let wrong: Pan = String::from_utf8(text).expect("ASCII").parse().expect("digits");
            proptest::prop_assert_eq!(parse(wrong), None);
            proptest::prop_assert_eq!(parse(pan).map(CardSeq::get), Some(seq));
        }
    }
}
