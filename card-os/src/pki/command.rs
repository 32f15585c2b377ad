//! The PKI commands, decoded.

use crate::{apdu, error::Error, file};
use card_spec::tlv::Tlv;

/// A PKI command.
#[derive(Debug, Clone, Copy)]
pub(super) enum Command<'a> {
    Verify(&'a [u8]),
    ChangePin(&'a [u8]),
    GenerateKey,
    PublicKey,
    HashPart(&'a [u8]),
    HashLast(&'a [u8]),
    Sign,
    SignaturesMade,
    File(file::Command<'a>),
}

impl<'a> TryFrom<apdu::Command<'a>> for Command<'a> {
    type Error = Error;

    fn try_from(c: apdu::Command<'a>) -> Result<Self, Error> {
        if let Some(command) = file::Command::decode(&c) {
            return command.map(Self::File);
        }
        match c.header() {
            (0x00, 0x20, 0x00, 0x00) => Ok(Self::Verify(c.data)),
            (0x80, 0x5E, 0x01, 0x00) => Ok(Self::ChangePin(c.data)),
            (0x00, 0x46 | 0x47, p1 @ (0x80 | 0x81), 0x00) => match (c.data, p1) {
                ([] | [0xB6, 0x00], 0x80) => Ok(Self::GenerateKey),
                ([] | [0xB6, 0x00], _) => Ok(Self::PublicKey),
                _ => Err(Error::DATA),
            },
            (0x00, 0x2A, 0x90, 0xA0) => part(c.data).map(Self::HashPart),
            (0x00, 0x2A, 0x90, 0x80) => Ok(Self::HashLast(c.data)),
            (0x00, 0x2A, 0x9E, 0x9A) if c.data.is_empty() => Ok(Self::Sign),
            (0x00, 0x2A, 0x9E, 0x9A) => Err(Error::LENGTH),
            (0x00, 0xCA, 0x00, 0x93) => Ok(Self::SignaturesMade),
            (0x00, 0xCA, ..) => Err(Error::REFERENCE),
            (0x00, 0x20 | 0x2A | 0x46 | 0x47, ..) | (0x80, 0x5E, ..) => Err(Error::PARAMETERS),
            (0x00 | 0x04 | 0x80 | 0x84, ..) => Err(Error::INSTRUCTION),
            _ => Err(Error::CLASS),
        }
    }
}

/// The object `80 L part`, and nothing behind it.
fn part(data: &[u8]) -> Result<&[u8], Error> {
    let (tag, part) = Tlv::new(data).next().ok_or(Error::DATA)?;
    let head = match part.len() {
        1..=0x7F => 2,
        0x80..=0xFF => 3,
        0x100.. => 4,
        0 => return Err(Error::DATA),
    };
    if tag != 0x80 || data.len() != head + part.len() {
        return Err(Error::DATA);
    }
    Ok(part)
}
