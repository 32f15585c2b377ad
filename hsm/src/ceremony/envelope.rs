//! A part on paper, in a sealed envelope 密码信封: lines of eight bytes with check digits, to be read
//! aloud and typed.
//!
//! ```text
//! 1  51A1 B2C3 D409 0135  7C
//! ```
//! The check digits are a CRC-8 (polynomial 1D, SAE J1850) over line number and bytes: it tells
//! every wrong digit, every swap of neighbours, and a line in another's place. What passes it by
//! chance, one typing error in 256 of the rest, meets the digest of the whole part.

use zeroize::Zeroizing;

use super::{CeremonyError, Medium, MediumError, PART_MAX, Part};

/// Bytes of a line.
const LINE: usize = 8;

/// Why a line was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Wrong digits.
    #[error("line {0} is mistyped: compare it digit by digit and type it again")]
    Mistyped(usize),
    /// All lines are right, the part is not.
    #[error(transparent)]
    Part(#[from] CeremonyError),
}

/// What is printed for one custodian: for each part a title, then its lines.
#[derive(Default)]
pub struct Envelope(Vec<Zeroizing<String>>);

impl Envelope {
    /// The printed lines.
    pub fn text(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|line| line.as_str())
    }
}

impl Medium for Envelope {
    fn keep(&mut self, parts: &[Part]) -> Result<(), MediumError> {
        self.0.clear();
        for part in parts {
            let title = format!("{}  #{}", part.subject(), part.number());
            self.0.push(Zeroizing::new(title));
            self.0.extend(lines(part));
        }
        Ok(())
    }

    fn parts(&mut self) -> Result<Vec<Part>, MediumError> {
        let mut parts = Vec::new();
        let mut typed = Typed::default();
        // A title ends in its number; a line of a part begins with one.
        let digits = |line: &&Zeroizing<String>| line.starts_with(|c: char| c.is_ascii_digit());
        for line in self.0.iter().filter(digits) {
            match typed.line(line) {
                Ok(None) => {}
                Ok(Some(part)) => {
                    parts.push(part);
                    typed = Typed::default();
                }
                Err(LineError::Part(error)) => return Err(error.into()),
                Err(LineError::Mistyped(_)) => return Err(CeremonyError::Mistyped.into()),
            }
        }
        Ok(parts)
    }
}

/// The lines of a part.
pub fn lines(part: &Part) -> Vec<Zeroizing<String>> {
    let bytes = part.to_bytes();
    (1..)
        .zip(bytes.chunks(LINE))
        .map(|(number, line)| {
            let mut text = Zeroizing::new(format!("{number} "));
            for pair in line.chunks(2) {
                text.push(' ');
                text.push_str(&Zeroizing::new(hex::encode_upper(pair)));
            }
            text.push_str(&format!("  {:02X}", check(number, line)));
            text
        })
        .collect()
}

fn check(number: usize, line: &[u8]) -> u8 {
    let number = number as u8;
    [&[number], line].concat().iter().fold(0xFF, |crc, byte| {
        (0..8).fold(crc ^ byte, |c: u8, _| {
            (c << 1) ^ (0x1D & (c >> 7).wrapping_neg())
        })
    })
}

/// Takes an envelope in, line by line.
#[derive(Default)]
pub struct Typed(Zeroizing<Vec<u8>>);

impl Typed {
    /// The number of the line that is wanted.
    pub fn number(&self) -> usize {
        self.0.len() / LINE + 1
    }

    /// One line as it was typed: with or without its number, in any case, with any spaces; O, I
    /// and L are taken for the digits they are not. Returns the part after its last line.
    pub fn line(&mut self, text: &str) -> Result<Option<Part>, LineError> {
        let number = self.number();
        let mistyped = LineError::Mistyped(number);
        let mut digits = Zeroizing::new(String::with_capacity(24));
        for c in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            digits.push(match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            });
        }
        let whole = 2 * (LINE + 1);
        let digits = match digits.len().checked_sub(whole) {
            Some(0) => digits.as_str(),
            Some(1) => digits
                .strip_prefix(number.to_string().as_str())
                .ok_or(mistyped.clone())?,
            _ => return Err(mistyped),
        };
        let mut line = Zeroizing::new([0; LINE + 1]);
        hex::decode_to_slice(digits, line.as_mut()).map_err(|_| mistyped.clone())?;
        let (bytes, [typed]) = line.split_at(LINE) else {
            return Err(mistyped);
        };
        if check(number, bytes) != *typed {
            return Err(mistyped);
        }
        if self.0.is_empty() {
            // Never grows beyond this, so no copy is left behind by a reallocation.
            self.0 = Zeroizing::new(Vec::with_capacity(PART_MAX));
        }
        self.0.extend_from_slice(bytes);
        match Part::from_bytes(&self.0) {
            Ok(part) => Ok(Some(part)),
            Err(_) if self.0.len() < PART_MAX && !self.short() => Ok(None),
            Err(error) => {
                self.0 = Zeroizing::default();
                Err(error.into())
            }
        }
    }

    /// Whether these are all lines of a 16-byte part, of which the sixth byte tells.
    fn short(&self) -> bool {
        let root = self.0.get(5).is_some_and(|subject| *subject < 0x10);
        root && self.0.len() >= PART_MAX - 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Entropy, Quorum,
        ceremony::{Form, Subject, deal},
    };
    use proptest::prelude::*;

    fn parts() -> Vec<Part> {
        let form = Form::Shares(Quorum::new(2, 3).expect("quorum"));
        let sheets = deal(
            &Entropy::seeded([5; 32]),
            form,
            &Subject::ALL,
            &["A", "B", "C"],
        );
        let sheets = sheets.expect("dealt");
        sheets.into_iter().flat_map(|s| s.parts).collect()
    }

    #[test]
    fn an_envelope_is_read_back() {
        for part in parts() {
            let mut typed = Typed::default();
            let lines = lines(&part);
            assert_eq!(lines.len(), part.to_bytes().len() / 8);
            for (i, line) in lines.iter().enumerate() {
                assert_eq!(typed.number(), i + 1);
                // Lower case, without its number, other spaces, letters for digits.
                let plain = line[2..]
                    .to_lowercase()
                    .replace("  ", " ")
                    .replace('0', "o");
                let read = typed.line(&plain).expect("right");
                assert_eq!(read.is_some(), i + 1 == lines.len());
                if let Some(read) = read {
                    assert_eq!(read.to_bytes(), part.to_bytes());
                }
            }
        }
    }

    /// Every wrong digit, every swap of neighbours, every swap of lines.
    #[test]
    fn single_errors_are_told_in_their_line() {
        let part = &parts()[0];
        let lines = lines(part);
        let digits: Vec<u8> = lines[0].bytes().filter(|b| *b != b' ').skip(1).collect();
        let wrong = |digits: Vec<u8>| {
            let text = String::from_utf8(digits).expect("ASCII");
            assert_eq!(
                Typed::default().line(&text).err(),
                Some(LineError::Mistyped(1)),
                "{text}"
            );
        };
        for at in 0..digits.len() {
            for other in b"0123456789ABCDEF" {
                let mut changed = digits.clone();
                if changed[at] != *other {
                    changed[at] = *other;
                    wrong(changed);
                }
            }
            if at > 0 && digits[at] != digits[at - 1] {
                let mut swapped = digits.clone();
                swapped.swap(at, at - 1);
                wrong(swapped);
            }
        }
        for line in &lines[1..] {
            assert!(Typed::default().line(line).is_err());
            assert!(Typed::default().line(&line[2..]).is_err());
        }
    }

    proptest! {
        #[test]
        fn foreign_text_never_panics(lines in proptest::collection::vec(".{0,30}", 0..8)) {
            let mut typed = Typed::default();
            for line in &lines {
                prop_assert!(!matches!(typed.line(line), Ok(Some(_))));
            }
        }
    }
}
