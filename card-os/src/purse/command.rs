//! The purse's commands, decoded.

use crate::{apdu, error::Error, file};

/// What GET BALANCE is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Balance {
    /// P1 00 (PBOC) and 03 (T-Union): the money on the card.
    Money,
    /// P1 02.
    OverdraftUsed,
    /// P1 01.
    OverdraftLimit,
}

/// Header and Lc as the MAC covers them.
pub(crate) type MacHeader = [u8; 5];

/// A purse command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Command<'a> {
    File(file::Command<'a>),
    Balance(Balance),
    Verify(&'a [u8]),
    ChangePin(&'a [u8]),
    UnblockPin {
        header: MacHeader,
        data: &'a [u8],
        mac: [u8; 4],
    },
    ReloadPin {
        header: MacHeader,
        pin: &'a [u8],
        mac: [u8; 4],
    },
    InitLoad(&'a [u8]),
    Credit(&'a [u8; 11]),
    InitPurchase {
        capp: bool,
        data: &'a [u8],
    },
    UpdateCache {
        p1: u8,
        p2: u8,
        data: &'a [u8],
    },
    Debit(&'a [u8; 15]),
    InitOverdraft(&'a [u8; 7]),
    UpdateOverdraft(&'a [u8; 14]),
    Prove {
        tx: u8,
        seq: [u8; 2],
    },
    Block {
        header: MacHeader,
        permanent: bool,
        mac: [u8; 4],
    },
    Unblock(MacHeader, [u8; 4]),
    CardBlock(MacHeader, [u8; 4]),
}

impl Command<'_> {
    /// Commands under the issuer's maintenance keys. Of the maintenance commands only the field
    /// lock is for the air: a stranger's phone must not be able to fill the rows of the others.
    pub(super) const fn wants_contacts(&self) -> bool {
        matches!(
            self,
            Self::UnblockPin { .. }
                | Self::ReloadPin { .. }
                | Self::Block {
                    permanent: true,
                    ..
                }
                | Self::Unblock(..)
                | Self::CardBlock(..)
                | Self::File(file::Command {
                    secured: Some(_),
                    ..
                })
        )
    }

    /// A blocked purse still shows its files and obeys its maintainer.
    pub(super) const fn works_when_blocked(&self) -> bool {
        matches!(
            self,
            Self::File(file::Command { secured: None, .. })
                | Self::Balance(_)
                | Self::Prove { .. }
                | Self::Block { .. }
                | Self::Unblock(..)
                | Self::CardBlock(..)
        )
    }
}

impl<'a> TryFrom<apdu::Command<'a>> for Command<'a> {
    type Error = Error;

    fn try_from(c: apdu::Command<'a>) -> Result<Self, Error> {
        let mac4 = || c.array::<4>().copied().map_err(|_| Error::SM_MISSING);
        if let Some(command) = file::Command::decode(&c) {
            return command.map(Self::File);
        }
        match c.header() {
            (0x80, 0x5C, p1, 0x02) => Ok(Self::Balance(match p1 {
                0x00 | 0x03 => Balance::Money,
                0x02 => Balance::OverdraftUsed,
                0x01 => Balance::OverdraftLimit,
                _ => return Err(Error::PARAMETERS),
            })),
            (0x00, 0x20, 0x00, 0x00) => Ok(Self::Verify(c.data)),
            (0x80, 0x5E, 0x01, 0x00) => Ok(Self::ChangePin(c.data)),
            (0x80, 0x5E, 0x00, 0x00) => {
                let (pin, mac) = c.split_mac()?;
                Ok(Self::ReloadPin {
                    header: c.mac_header(),
                    pin,
                    mac,
                })
            }
            (0x84, 0x24, 0x00, 0x00 | 0x01) => {
                let (data, mac) = c.split_mac()?;
                Ok(Self::UnblockPin {
                    header: c.mac_header(),
                    data,
                    mac,
                })
            }
            (0x80, 0x50, 0x00, 0x02) => Ok(Self::InitLoad(c.data)),
            (0x80, 0x52, 0x00, 0x00) => Ok(Self::Credit(c.array()?)),
            (0x80, 0x50, p1 @ (0x01 | 0x03), 0x02) => Ok(Self::InitPurchase {
                capp: p1 == 0x03,
                data: c.data,
            }),
            (0x80, 0xDC, p1, p2) => Ok(Self::UpdateCache {
                p1,
                p2,
                data: c.data,
            }),
            (0x80, 0x54, 0x01, 0x00) => Ok(Self::Debit(c.array()?)),
            // P2 01: the field's only form (see `card_spec::purse::overdraft`).
            (0x80, 0x50, 0x04, 0x01) => Ok(Self::InitOverdraft(c.array()?)),
            (0x80, 0x58, 0x00, 0x00) => Ok(Self::UpdateOverdraft(c.array()?)),
            (0x80, 0x5A, 0x00, tx) => Ok(Self::Prove {
                tx,
                seq: *c.array()?,
            }),
            (0x84, 0x1E, 0x00, p2 @ (0x00 | 0x01)) => Ok(Self::Block {
                header: c.mac_header(),
                permanent: p2 == 0x01,
                mac: mac4()?,
            }),
            (0x84, 0x18, 0x00, 0x00) => Ok(Self::Unblock(c.mac_header(), mac4()?)),
            (0x84, 0x16, 0x00, 0x00) => Ok(Self::CardBlock(c.mac_header(), mac4()?)),
            (0x00, 0x20, ..)
            | (0x80, 0x50 | 0x52 | 0x54 | 0x58 | 0x5A | 0x5C | 0x5E, ..)
            | (0x84, 0x16 | 0x18 | 0x1E | 0x24, ..) => Err(Error::PARAMETERS),
            (0x00 | 0x04 | 0x80 | 0x84, ..) => Err(Error::INSTRUCTION),
            _ => Err(Error::CLASS),
        }
    }
}
