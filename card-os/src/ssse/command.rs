//! The social-security commands, decoded.

use crate::{apdu, error::Error};

/// Which record READ or UPDATE RECORD means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Number(u8),
    Tag(u8),
}

/// A social-security command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Command<'a> {
    ReadRecord {
        sfi: u8,
        which: Which,
    },
    UpdateRecord {
        sfi: u8,
        which: Which,
        data: &'a [u8],
    },
    ReadBinary {
        sfi: Option<u8>,
        offset: usize,
        le: Option<usize>,
    },
    UpdateBinary {
        sfi: Option<u8>,
        offset: usize,
        data: &'a [u8],
    },
    ExternalAuthenticate {
        kid: u8,
        data: &'a [u8; 16],
    },
    InternalAuthenticate {
        kid: u8,
        challenge: &'a [u8; 8],
    },
    Verify(&'a [u8]),
    ChangePin(&'a [u8]),
    UnblockPin {
        header: [u8; 5],
        data: &'a [u8],
        mac: [u8; 4],
    },
}

fn which(p1: u8, p2: u8) -> Result<(u8, Which), Error> {
    let which = match p2 & 7 {
        4 => Which::Number(p1),
        0 => Which::Tag(p1),
        _ => return Err(Error::Parameters),
    };
    Ok((p2 >> 3, which))
}

/// P1 and P2 of READ and UPDATE BINARY: a short file identifier or a 15-bit offset.
fn binary(p1: u8, p2: u8) -> Result<(Option<u8>, usize), Error> {
    match p1 {
        0x80..=0x9F => Ok((Some(p1 & 0x1F), p2.into())),
        0x00..=0x7F => Ok((None, usize::from(u16::from_be_bytes([p1, p2])))),
        _ => Err(Error::Parameters),
    }
}

impl Command<'_> {
    /// Whether the command needs a file of the DF.
    pub(crate) const fn touches_files(&self) -> bool {
        matches!(
            self,
            Self::ReadRecord { .. }
                | Self::UpdateRecord { .. }
                | Self::ReadBinary { .. }
                | Self::UpdateBinary { .. }
        )
    }
}

impl<'a> TryFrom<apdu::Command<'a>> for Command<'a> {
    type Error = Error;

    fn try_from(c: apdu::Command<'a>) -> Result<Self, Error> {
        match c.header() {
            (0x00, 0xB2, p1, p2) => {
                let (sfi, which) = which(p1, p2)?;
                Ok(Self::ReadRecord { sfi, which })
            }
            (0x00, 0xDC, p1, p2) => {
                let (sfi, which) = which(p1, p2)?;
                Ok(Self::UpdateRecord {
                    sfi,
                    which,
                    data: c.data,
                })
            }
            (0x00, 0xB0, p1, p2) => {
                let (sfi, offset) = binary(p1, p2)?;
                Ok(Self::ReadBinary {
                    sfi,
                    offset,
                    le: c.le,
                })
            }
            (0x00, 0xD6, p1, p2) => {
                let (sfi, offset) = binary(p1, p2)?;
                Ok(Self::UpdateBinary {
                    sfi,
                    offset,
                    data: c.data,
                })
            }
            (0x00, 0x82, 0x00, kid) => Ok(Self::ExternalAuthenticate {
                kid,
                data: c.array()?,
            }),
            (0x00, 0x88, 0x00, kid) => Ok(Self::InternalAuthenticate {
                kid,
                challenge: c.array()?,
            }),
            (0x00, 0x20, 0x00, 0x00) => Ok(Self::Verify(c.data)),
            (0x80, 0x5E, 0x01, 0x00) => Ok(Self::ChangePin(c.data)),
            (0x84, 0x24, 0x00, 0x00 | 0x01) => {
                let (data, mac) = c.split_mac()?;
                Ok(Self::UnblockPin {
                    header: c.mac_header(),
                    data,
                    mac,
                })
            }
            (0x00, 0x20 | 0x82 | 0x88, ..) | (0x80, 0x5E, ..) | (0x84, 0x24, ..) => {
                Err(Error::Parameters)
            }
            (0x00 | 0x80 | 0x84, ..) => Err(Error::Instruction),
            _ => Err(Error::Class),
        }
    }
}
