//! The command as every application sees it, and the answer it gives back.

use crate::error::Error;
use card_spec::{Fen, Sw};
use heapless::Vec;
use iso7816::command::{CommandView, FromSliceError};

/// Response data. What does not fit marks it, and the command fails instead of answering a part.
#[derive(Default)]
pub(crate) struct Out {
    bytes: Vec<u8, 256>,
    pub(crate) overflow: bool,
}

impl Out {
    /// An amount in its four bytes. One that has no such form marks the answer as one that does not
    /// fit.
    pub(crate) fn put_amount(&mut self, amount: Fen) {
        match amount.to_card() {
            Ok(bytes) => put(self, &bytes),
            Err(_) => self.overflow = true,
        }
    }
}

impl core::ops::Deref for Out {
    type Target = Vec<u8, 256>;

    fn deref(&self) -> &Self::Target {
        &self.bytes
    }
}

impl core::ops::DerefMut for Out {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.bytes
    }
}

/// What a class byte says (ISO 7816-4, 5.4.1). Decoded here and not by `iso7816`, which reports
/// secure messaging wrongly for CLA 40 and not at all for CLA 84.
#[derive(Debug, Clone, Copy)]
struct Class {
    /// As on the basic channel and outside a chain: 00, 04, 80, 84, B0 or BF.
    base: u8,
    channel: Number,
    chained: bool,
}

/// Number of a logical channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Number {
    Basic = 0,
    One = 1,
    Two = 2,
    Three = 3,
}

impl Number {
    /// Every channel but the basic one.
    pub(crate) const FURTHER: [Self; 3] = [Self::One, Self::Two, Self::Three];

    /// A channel that can be opened and closed.
    pub(crate) const fn further(n: u8) -> Option<Self> {
        match n {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            3 => Some(Self::Three),
            _ => None,
        }
    }

    /// The two low bits of a class byte.
    const fn of_class(cla: u8) -> Self {
        match cla & 3 {
            0 => Self::Basic,
            1 => Self::One,
            2 => Self::Two,
            _ => Self::Three,
        }
    }
}

impl TryFrom<u8> for Class {
    type Error = Error;

    /// The classes of the medical purse and of the social-security SAM (B0, BF) have no room for a
    /// channel number: they are the basic channel's. Chains are for commands in clear. Channels
    /// above 3 (CLA 40 to 7F) do not exist; A0 and other classes are nobody's.
    fn try_from(cla: u8) -> Result<Self, Error> {
        let chained = match cla {
            0xB0 | 0xBF => {
                return Ok(Self {
                    base: cla,
                    channel: Number::Basic,
                    chained: false,
                });
            }
            0x00..=0x07 | 0x80..=0x87 => false,
            0x10..=0x13 | 0x90..=0x93 => true,
            0x14..=0x17 | 0x94..=0x97 => return Err(Error::CHAINING),
            0x08..=0x0F | 0x18..=0x1F | 0x88..=0x8F | 0x98..=0x9F => return Err(Error::SM_FORM),
            0x40..=0x7F => return Err(Error::CHANNEL),
            _ => return Err(Error::CLASS),
        };
        Ok(Self {
            base: cla & 0x84,
            channel: Number::of_class(cla),
            chained,
        })
    }
}

/// A decoded command APDU.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command<'a> {
    /// The class without channel number and chaining bit. MACs cover this one, on every channel
    /// (GlobalPlatform Amendment D, 6.2.4).
    pub(crate) cla: u8,
    pub(crate) channel: Number,
    /// More of this command follows.
    pub(crate) chained: bool,
    pub(crate) ins: u8,
    pub(crate) p1: u8,
    pub(crate) p2: u8,
    pub(crate) data: &'a [u8],
    /// Expected length; `None` when the field is absent.
    pub(crate) le: Option<usize>,
}

impl<'a> TryFrom<&'a [u8]> for Command<'a> {
    type Error = Error;

    fn try_from(bytes: &'a [u8]) -> Result<Self, Error> {
        let (&[cla, ins, p1, p2], body) = bytes.split_first_chunk::<4>().ok_or(Error::LENGTH)?;
        let Class {
            base: cla,
            channel,
            chained,
        } = Class::try_from(cla)?;
        // `Lc 00` without data (case 1 as T=0 stacks send it, with one more Le): no data.
        let bytes = match body {
            [0, _le] => {
                return Ok(Self {
                    cla,
                    channel,
                    chained,
                    ins,
                    p1,
                    p2,
                    data: &[],
                    le: Some(256),
                });
            }
            _ => bytes,
        };
        let view = CommandView::try_from(bytes).map_err(|error| match error {
            FromSliceError::InvalidClass => Error::CLASS,
            _ => Error::LENGTH,
        })?;
        let data = view.data();
        if data.len() > 255 {
            // Extended lengths are decoded; what is longer than a short command comes as a chain.
            return Err(Error::LENGTH);
        }
        let le = Some(view.expected()).filter(|le| *le > 0);
        Ok(Self {
            cla,
            channel,
            chained,
            ins,
            p1,
            p2,
            data,
            le,
        })
    }
}

impl<'a> Command<'a> {
    /// The four header bytes, for matching.
    pub(crate) const fn header(&self) -> (u8, u8, u8, u8) {
        (self.cla, self.ins, self.p1, self.p2)
    }

    /// Header and Lc as a MAC covers them (Lc counts the MAC).
    #[inline(never)]
    pub(crate) const fn mac_header(&self) -> [u8; 5] {
        [self.cla, self.ins, self.p1, self.p2, self.data.len() as u8]
    }

    /// The data as an array.
    pub(crate) fn array<const L: usize>(&self) -> Result<&'a [u8; L], Error> {
        self.data.try_into().map_err(|_| Error::LENGTH)
    }

    /// Data and the four-byte MAC behind it.
    pub(crate) fn split_mac(&self) -> Result<(&'a [u8], [u8; 4]), Error> {
        let (data, mac) = self.data.split_last_chunk::<4>().ok_or(Error::SM_MISSING)?;
        Ok((data, *mac))
    }
}

/// How an application's answer meets the reader's Le.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Data or none; with a short Le the rest waits for GET RESPONSE.
    Done,
    /// A read that can be repeated: a short Le gets 6Cxx with the exact length.
    Exact,
    /// Without Le the data waits for GET RESPONSE (61xx), as readers expect of a SAM's cipher.
    Fetch,
    /// Data with a warning instead of 9000.
    Warning(Sw),
}

pub(crate) type Outcome = Result<Answer, Error>;

/// Appends to the response.
pub(crate) fn put(out: &mut Out, bytes: &[u8]) {
    if out.extend_from_slice(bytes).is_err() {
        out.overflow = true;
    }
}
