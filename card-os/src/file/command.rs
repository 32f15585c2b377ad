//! The commands on files, decoded (ISO 7816-4, 11.2 and 11.3). Class 04 is the same under secure
//! messaging: data, then a four-byte MAC.

use super::Secured;
use crate::{apdu, error::Error};

/// Which record a command means (P1, and bits 3 to 1 of P2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// By number; 0 is the current record.
    Number(u8),
    /// Of the records with this tag (0: any), one by its place.
    Tag(u8, Occurrence),
}

/// Where among several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occurrence {
    First,
    Last,
    Next,
    Previous,
}

/// What to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    ReadBinary { offset: usize, le: Option<usize> },
    UpdateBinary { offset: usize },
    ReadRecord(Which),
    UpdateRecord(Which),
    AppendRecord,
    SearchRecord { from: u8, backward: bool },
}

impl Action {
    pub(crate) const fn writes(self) -> bool {
        matches!(
            self,
            Self::UpdateBinary { .. } | Self::UpdateRecord(_) | Self::AppendRecord
        )
    }
}

/// A command on a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command<'a> {
    /// Short file identifier; 0: the current file.
    pub(crate) sfi: u8,
    pub(crate) action: Action,
    pub(crate) data: &'a [u8],
    /// Set when it comes under secure messaging.
    pub(crate) secured: Option<Secured>,
}

fn which(p1: u8, p2: u8) -> Result<Which, Error> {
    Ok(match p2 & 7 {
        0 => Which::Tag(p1, Occurrence::First),
        1 => Which::Tag(p1, Occurrence::Last),
        2 => Which::Tag(p1, Occurrence::Next),
        3 => Which::Tag(p1, Occurrence::Previous),
        4 => Which::Number(p1),
        _ => return Err(Error::PARAMETERS),
    })
}

impl<'a> Command<'a> {
    /// `None`: not a command on a file.
    pub(crate) fn decode(c: &apdu::Command<'a>) -> Option<Result<Self, Error>> {
        match (c.cla, c.ins) {
            (0x00 | 0x04, 0xB0 | 0xB2 | 0xD6 | 0xDC | 0xE2 | 0xA2) => Some(Self::of(c)),
            // There is nothing else under this class.
            (0x04, _) => Some(Err(Error::INSTRUCTION)),
            _ => None,
        }
    }

    fn of(c: &apdu::Command<'a>) -> Result<Self, Error> {
        let (sfi, action) = match (c.ins, c.p1, c.p2) {
            (0xB0 | 0xD6, p1, p2) => {
                // A short file identifier, or a 15-bit offset in the current file.
                let (sfi, offset) = match p1 {
                    0x80..=0x9F => (p1 & 0x1F, usize::from(p2)),
                    0x00..=0x7F => (0, usize::from(u16::from_be_bytes([p1, p2]))),
                    _ => return Err(Error::PARAMETERS),
                };
                let action = if c.ins == 0xB0 {
                    Action::ReadBinary { offset, le: c.le }
                } else {
                    Action::UpdateBinary { offset }
                };
                (sfi, action)
            }
            (0xB2, p1, p2) => (p2 >> 3, Action::ReadRecord(which(p1, p2)?)),
            (0xDC, p1, p2) => (p2 >> 3, Action::UpdateRecord(which(p1, p2)?)),
            (0xE2, 0x00, p2) if p2 & 7 == 0 => (p2 >> 3, Action::AppendRecord),
            // Simple search: 4 forward, 5 backward.
            (0xA2, from, p2) if matches!(p2 & 7, 4 | 5) => {
                let backward = p2 & 7 == 5;
                (p2 >> 3, Action::SearchRecord { from, backward })
            }
            _ => return Err(Error::PARAMETERS),
        };
        let (data, secured) = if c.cla == 0x04 {
            let (data, mac) = c.split_mac()?;
            let header = c.mac_header();
            (data, Some(Secured { header, mac }))
        } else {
            (c.data, None)
        };
        Ok(Self {
            sfi,
            action,
            data,
            secured,
        })
    }
}
