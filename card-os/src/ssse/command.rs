//! The commands of the citizen's side.

use crate::instruction::{ANY, Data, Instruction, Table, in_bits, is};

/// What a command of the social-security application or of the health data asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    External,
    Internal,
    Verify,
    ChangePin,
    UnblockPin,
    /// With a new PIN.
    ResetRetry,
    RestoreTries,
}

/// The commands beside those on files.
#[rustfmt::skip]
pub(super) static COMMANDS: Table<Op, 7> = Table::new([
    Instruction::new((0x00, 0x82), is(0x00), ANY, Data::bytes(16), Op::External),
    Instruction::new((0x00, 0x88), is(0x00), ANY, Data::bytes(8), Op::Internal),
    Instruction::new((0x00, 0x20), is(0x00), is(0x00), Data::ANY, Op::Verify),
    Instruction::new((0x00, 0x2C), is(0x02), is(0x00), Data::ANY, Op::ResetRetry),
    Instruction::new((0x00, 0x2C), is(0x03), is(0x00), Data::NONE, Op::RestoreTries),
    Instruction::new((0x80, 0x5E), is(0x01), is(0x00), Data::ANY, Op::ChangePin),
    Instruction::new((0x84, 0x24), is(0x00), in_bits(0x00, 0xFE), Data::MACED, Op::UnblockPin),
]);
