//! The commands of the citizen's side, decoded.

use crate::{apdu, error::Error, file};

/// A command of the social-security application or of the health data.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Command<'a> {
    File(file::Command<'a>),
    ExternalAuthenticate {
        kid: u8,
        data: &'a [u8; 16],
        mutual: bool,
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
    ResetRetry(Option<&'a [u8]>),
}

impl<'a> TryFrom<apdu::Command<'a>> for Command<'a> {
    type Error = Error;

    fn try_from(c: apdu::Command<'a>) -> Result<Self, Error> {
        if let Some(command) = file::Command::decode(&c) {
            return command.map(Self::File);
        }
        match c.header() {
            (0x00, 0x82, 0x00, kid) => Ok(Self::ExternalAuthenticate {
                kid,
                data: c.array()?,
                mutual: c.le.is_some(),
            }),
            (0x00, 0x88, 0x00, kid) => Ok(Self::InternalAuthenticate {
                kid,
                challenge: c.array()?,
            }),
            (0x00, 0x20, 0x00, 0x00) => Ok(Self::Verify(c.data)),
            (0x00, 0x2C, 0x02, 0x00) => Ok(Self::ResetRetry(Some(c.data))),
            (0x00, 0x2C, 0x03, 0x00) if c.data.is_empty() => Ok(Self::ResetRetry(None)),
            (0x00, 0x2C, 0x03, 0x00) => Err(Error::LENGTH),
            (0x80, 0x5E, 0x01, 0x00) => Ok(Self::ChangePin(c.data)),
            (0x84, 0x24, 0x00, 0x00 | 0x01) => {
                let (data, mac) = c.split_mac()?;
                Ok(Self::UnblockPin {
                    header: c.mac_header(),
                    data,
                    mac,
                })
            }
            (0x00, 0x20 | 0x2C | 0x82 | 0x88, ..) | (0x80, 0x5E, ..) | (0x84, 0x24, ..) => {
                Err(Error::PARAMETERS)
            }
            (0x00 | 0x04 | 0x80 | 0x84, ..) => Err(Error::INSTRUCTION),
            _ => Err(Error::CLASS),
        }
    }
}
