//! The PKI commands.

use crate::{
    error::Error,
    instruction::{ANY, Data, Instruction, Table, is},
};
use card_spec::tlv::Tlv;

/// What a PKI command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    Verify,
    ChangePin,
    GenerateKey,
    PublicKey,
    HashPart,
    HashLast,
    Sign,
    SignaturesMade,
    NoSuchData,
}

/// The commands beside those on files.
#[rustfmt::skip]
pub(super) static COMMANDS: Table<Op, 11> = Table::new([
    Instruction::new((0x00, 0x20), is(0x00), is(0x00), Data::ANY, Op::Verify),
    Instruction::new((0x80, 0x5E), is(0x01), is(0x00), Data::ANY, Op::ChangePin),
    Instruction::new((0x00, 0x46), is(0x80), is(0x00), Data::ANY, Op::GenerateKey),
    Instruction::new((0x00, 0x47), is(0x80), is(0x00), Data::ANY, Op::GenerateKey),
    Instruction::new((0x00, 0x46), is(0x81), is(0x00), Data::ANY, Op::PublicKey),
    Instruction::new((0x00, 0x47), is(0x81), is(0x00), Data::ANY, Op::PublicKey),
    Instruction::new((0x00, 0x2A), is(0x90), is(0xA0), Data::ANY, Op::HashPart),
    Instruction::new((0x00, 0x2A), is(0x90), is(0x80), Data::ANY, Op::HashLast),
    Instruction::new((0x00, 0x2A), is(0x9E), is(0x9A), Data::NONE, Op::Sign),
    Instruction::new((0x00, 0xCA), is(0x00), is(0x93), Data::NONE, Op::SignaturesMade),
    Instruction::new((0x00, 0xCA), ANY, ANY, Data::ANY, Op::NoSuchData),
]);

/// The object `80 L part`, and nothing behind it.
pub(super) fn part(data: &[u8]) -> Result<&[u8], Error> {
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
