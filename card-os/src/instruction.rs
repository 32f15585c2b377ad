//! The commands of an application as a table: which headers it knows, and what their data field is.

use crate::{apdu::Command, error::Error};

/// What a parameter byte must be: this value in these bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    value: u8,
    bits: u8,
}

/// Any value; the application looks at it itself.
pub(crate) const ANY: Parameter = in_bits(0, 0);

/// This value.
pub(crate) const fn is(value: u8) -> Parameter {
    in_bits(value, 0xFF)
}

/// This value in these bits, and anything in the others.
pub(crate) const fn in_bits(value: u8, bits: u8) -> Parameter {
    Parameter { value, bits }
}

/// What the data field must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Data(u8);

impl Data {
    /// Absent.
    pub(crate) const NONE: Self = Self(0);
    /// Whatever the application makes of it.
    pub(crate) const ANY: Self = Self(0xFF);
    /// Something with a four-byte MAC behind it.
    pub(crate) const MACED: Self = Self(0xFE);
    /// A four-byte MAC and nothing else.
    pub(crate) const MAC: Self = Self(0xFD);

    /// So many bytes.
    pub(crate) const fn bytes(length: u8) -> Self {
        Self(length)
    }

    fn check(self, data: &[u8]) -> Result<(), Error> {
        let (fits, wrong) = match self {
            Self::ANY => (true, Error::LENGTH),
            Self::MACED => (data.len() >= 4, Error::SM_MISSING),
            Self::MAC => (data.len() == 4, Error::SM_MISSING),
            Self(length) => (data.len() == usize::from(length), Error::LENGTH),
        };
        if fits { Ok(()) } else { Err(wrong) }
    }
}

/// What a command looks like.
#[derive(Debug, Clone, Copy)]
struct Shape {
    cla: u8,
    ins: u8,
    p1: Parameter,
    p2: Parameter,
    data: Data,
}

/// One command of an application, and what the application does then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instruction<Op>(Shape, Op);

impl<Op> Instruction<Op> {
    pub(crate) const fn new(
        (cla, ins): (u8, u8),
        p1: Parameter,
        p2: Parameter,
        data: Data,
        op: Op,
    ) -> Self {
        let shape = Shape {
            cla,
            ins,
            p1,
            p2,
            data,
        };
        Self(shape, op)
    }
}

/// The commands of an application.
pub(crate) struct Table<Op, const N: usize> {
    shapes: [Shape; N],
    ops: [Op; N],
}

impl<Op: Copy, const N: usize> Table<Op, N> {
    pub(crate) const fn new(commands: [Instruction<Op>; N]) -> Self {
        let mut table = Self {
            shapes: [commands[0].0; N],
            ops: [commands[0].1; N],
        };
        let mut i = 0;
        while i < N {
            table.shapes[i] = commands[i].0;
            table.ops[i] = commands[i].1;
            i += 1;
        }
        table
    }

    /// What the command asks for, or what is wrong with it.
    pub(crate) fn find(&self, c: &Command<'_>) -> Result<Op, Error> {
        let place = locate(&self.shapes, c)?;
        self.ops.get(place).copied().ok_or(Error::INSTRUCTION)
    }
}

/// Errors in the order of ISO 7816-4: class, instruction, parameters, length. One copy of this
/// serves every application.
#[inline(never)]
fn locate(table: &[Shape], c: &Command<'_>) -> Result<usize, Error> {
    let fits = |p: Parameter, byte: u8| byte & p.bits == p.value;
    let mut wrong = match c.cla {
        0x00 | 0x80 | 0x84 => Error::INSTRUCTION,
        _ => Error::CLASS,
    };
    for (place, known) in table.iter().enumerate() {
        if known.cla == c.cla {
            if known.ins == c.ins {
                if fits(known.p1, c.p1) && fits(known.p2, c.p2) {
                    known.data.check(c.data)?;
                    return Ok(place);
                }
                wrong = Error::PARAMETERS;
            } else if wrong == Error::CLASS {
                wrong = Error::INSTRUCTION;
            }
        }
    }
    Err(wrong)
}
