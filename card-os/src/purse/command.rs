//! The purse's commands.

use crate::instruction::{ANY, Data, Instruction, Table, in_bits, is};

/// What a command of the purse asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    Balance,
    Verify,
    ChangePin,
    UnblockPin,
    ReloadPin,
    InitLoad,
    Credit,
    InitPurchase,
    InitCapp,
    UpdateCache,
    Debit,
    InitOverdraft,
    UpdateOverdraft,
    Prove,
    /// The field lock.
    Block,
    BlockForGood,
    Unblock,
    CardBlock,
}

impl Op {
    /// Commands under the issuer's maintenance keys. Of these only the field lock is for the air: a
    /// stranger's phone must not be able to fill the rows of the others.
    pub(super) const fn wants_contacts(self) -> bool {
        matches!(
            self,
            Self::UnblockPin
                | Self::ReloadPin
                | Self::BlockForGood
                | Self::Unblock
                | Self::CardBlock
        )
    }

    /// What begins or ends a transaction.
    pub(super) const fn touches_transaction(self) -> bool {
        matches!(
            self,
            Self::InitLoad
                | Self::Credit
                | Self::InitPurchase
                | Self::InitCapp
                | Self::Debit
                | Self::InitOverdraft
                | Self::UpdateOverdraft
        )
    }

    /// A blocked purse still shows its files and obeys its maintainer.
    pub(super) const fn works_when_blocked(self) -> bool {
        matches!(
            self,
            Self::Balance
                | Self::Prove
                | Self::Block
                | Self::BlockForGood
                | Self::Unblock
                | Self::CardBlock
        )
    }
}

/// The commands beside those on files.
#[rustfmt::skip]
pub(super) static COMMANDS: Table<Op, 18> = Table::new([
    Instruction::new((0x80, 0x50), is(0x01), is(0x02), Data::bytes(11), Op::InitPurchase),
    Instruction::new((0x80, 0x50), is(0x03), is(0x02), Data::bytes(11), Op::InitCapp),
    Instruction::new((0x80, 0xDC), ANY, ANY, Data::ANY, Op::UpdateCache),
    Instruction::new((0x80, 0x54), is(0x01), is(0x00), Data::bytes(15), Op::Debit),
    Instruction::new((0x80, 0x50), is(0x00), is(0x02), Data::bytes(11), Op::InitLoad),
    Instruction::new((0x80, 0x52), is(0x00), is(0x00), Data::bytes(11), Op::Credit),
    // P2 01: the field's only form (see `card_spec::purse::overdraft`).
    Instruction::new((0x80, 0x50), is(0x04), is(0x01), Data::bytes(7), Op::InitOverdraft),
    Instruction::new((0x80, 0x58), is(0x00), is(0x00), Data::bytes(14), Op::UpdateOverdraft),
    Instruction::new((0x80, 0x5A), is(0x00), ANY, Data::bytes(2), Op::Prove),
    Instruction::new((0x80, 0x5C), in_bits(0x00, 0xFC), is(0x02), Data::NONE, Op::Balance),
    Instruction::new((0x00, 0x20), is(0x00), is(0x00), Data::ANY, Op::Verify),
    Instruction::new((0x80, 0x5E), is(0x01), is(0x00), Data::ANY, Op::ChangePin),
    Instruction::new((0x80, 0x5E), is(0x00), is(0x00), Data::MACED, Op::ReloadPin),
    Instruction::new((0x84, 0x24), is(0x00), in_bits(0x00, 0xFE), Data::MACED, Op::UnblockPin),
    Instruction::new((0x84, 0x1E), is(0x00), is(0x00), Data::MAC, Op::Block),
    Instruction::new((0x84, 0x1E), is(0x00), is(0x01), Data::MAC, Op::BlockForGood),
    Instruction::new((0x84, 0x18), is(0x00), is(0x00), Data::MAC, Op::Unblock),
    Instruction::new((0x84, 0x16), is(0x00), is(0x00), Data::MAC, Op::CardBlock),
]);
