//! The command as every application sees it, and the answer it gives back.

use crate::error::Error;
use card_spec::Sw;
use heapless::Vec;
use iso7816::command::{CommandView, FromSliceError};

/// Response data.
pub(crate) type Out = Vec<u8, 256>;

/// A decoded command APDU. The class is decoded here and not by `iso7816`, which reports secure
/// messaging wrongly for CLA 40 and not at all for CLA 84.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command<'a> {
    pub(crate) cla: u8,
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
        let (&[cla, ins, p1, p2], body) = bytes.split_first_chunk::<4>().ok_or(Error::Length)?;
        // `Lc 00` without data (case 1 as T=0 stacks send it, with one more Le): no data.
        let bytes = match body {
            [0, _le] => {
                return Ok(Self {
                    cla,
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
            FromSliceError::InvalidClass => Error::Class,
            _ => Error::Length,
        })?;
        let data = view.data();
        if data.len() > 255 {
            // Extended commands are decoded, but nothing on this card takes more data than 255.
            return Err(Error::Length);
        }
        let le = Some(view.expected()).filter(|le| *le > 0);
        Ok(Self {
            cla,
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
    pub(crate) const fn mac_header(&self) -> [u8; 5] {
        [self.cla, self.ins, self.p1, self.p2, self.data.len() as u8]
    }

    /// The data as an array.
    pub(crate) fn array<const L: usize>(&self) -> Result<&'a [u8; L], Error> {
        self.data.try_into().map_err(|_| Error::Length)
    }

    /// Data and the four-byte MAC behind it.
    pub(crate) fn split_mac(&self) -> Result<(&'a [u8], [u8; 4]), Error> {
        let (data, mac) = self.data.split_last_chunk::<4>().ok_or(Error::SmMissing)?;
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
pub(crate) fn put(out: &mut Out, bytes: &[u8]) -> Result<(), Error> {
    out.extend_from_slice(bytes).map_err(|_| Error::Space)
}
