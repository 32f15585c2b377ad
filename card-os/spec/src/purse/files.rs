//! Layouts of the purse's files.

use crate::{
    Fen, FormatError,
    id::{DeviceNo, Generation, IssuerId, Pan, RegionCode, SamNo},
    purse::TxType,
    time::{CardDate, CardTime},
    tlv::Tlv,
};

fn sub<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], FormatError> {
    bytes
        .get(at..at + N)
        .and_then(|s| s.try_into().ok())
        .ok_or(FormatError::Length)
}

/// File 15, public application data, 30 bytes; also inside the FCI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Public {
    /// Issuer identifier, bytes 0-7 (issuer, city, industry; see [`IssuerId`]).
    pub issuer: IssuerId,
    /// Application type.
    pub app_type: u8,
    /// Application version.
    pub version: u8,
    /// Card number.
    pub pan: Pan,
    /// First day of validity.
    pub valid_from: CardDate,
    /// Last day of validity.
    pub valid_to: CardDate,
    /// Card type, byte 28.
    pub card_type: u8,
    /// Generation, byte 29.
    pub generation: Generation,
}

impl Public {
    /// Length in bytes.
    pub const LEN: usize = 30;

    /// The 30 bytes.
    pub fn to_bytes(&self) -> [u8; 30] {
        let mut out = [0; 30];
        out[..8].copy_from_slice(&self.issuer.0);
        out[8] = self.app_type;
        out[9] = self.version;
        out[10..20].copy_from_slice(&self.pan.to_bytes());
        out[20..24].copy_from_slice(&self.valid_from.to_bytes());
        out[24..28].copy_from_slice(&self.valid_to.to_bytes());
        out[28] = self.card_type;
        out[29] = self.generation.0;
        out
    }

    /// Parses file 15.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        Ok(Self {
            issuer: IssuerId(sub(bytes, 0)?),
            app_type: sub::<1>(bytes, 8)?[0],
            version: sub::<1>(bytes, 9)?[0],
            pan: Pan::from_bytes(sub(bytes, 10)?)?,
            valid_from: CardDate::from_bytes(sub(bytes, 20)?)?,
            valid_to: CardDate::from_bytes(sub(bytes, 24)?)?,
            card_type: sub::<1>(bytes, 28)?[0],
            generation: Generation(sub::<1>(bytes, 29)?[0]),
        })
    }

    /// File 15 out of the purse's FCI (`6F .. A5 .. 9F0C 1E`).
    pub fn from_fci(fci: &[u8]) -> Result<Self, FormatError> {
        let template = Tlv::find(fci, 0x6F).ok_or(FormatError::Length)?;
        let proprietary = Tlv::find(template, 0xA5).ok_or(FormatError::Length)?;
        Self::from_bytes(Tlv::find(proprietary, 0x9F0C).ok_or(FormatError::Length)?)
    }
}

/// Bytes of the travel record. The first says how many of them are used, itself included; the FCI
/// shows those.
pub const TRAVEL: usize = 24;

/// How the purse's FCI begins: `6F len 84 08 AID A5 25 9F08 01 02 9F0C 1E`. File 15 follows, and after
/// that template of T-Union `C1 len kind <travel record>`, which spares our own terminals two reads:
/// card kind (bits 1 to 7) and interoperability (bit 8) of file 17, and what the last terminal left.
/// `len` is that of an empty travel record.
pub const FCI_HEAD: [u8; 21] = [
    0x6F, 0x34, 0x84, 0x08, 0xA0, 0x00, 0x00, 0x06, 0x32, 0x01, 0x01, 0x05, // T-Union
    0xA5, 0x25, 0x9F, 0x08, 0x01, 0x02, 0x9F, 0x0C, 0x1E,
];

/// What the FCI of our own cards says beside file 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brief<'a> {
    /// Whether the card may be used in other cities.
    pub interoperable: bool,
    /// Card kind.
    pub kind: CardKind,
    /// The travel record, as the last terminal wrote it; empty when none did.
    pub travel: &'a [u8],
}

impl<'a> Brief<'a> {
    /// From the purse's FCI. `None`: not such a card; file 17 tells kind and interoperability.
    pub fn from_fci(fci: &'a [u8]) -> Option<Self> {
        let (admission, travel) = Tlv::find(Tlv::find(fci, 0x6F)?, 0xC1)?.split_first()?;
        Some(Self {
            interoperable: admission & 0x80 != 0,
            kind: CardKind::from_byte(admission & 0x7F)?,
            travel,
        })
    }
}

/// Card kinds, byte 10 of file 17.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[repr(u8)]
pub enum CardKind {
    /// Ordinary 普通卡.
    Normal = 1,
    /// Student 学生卡.
    Student = 2,
    /// Elderly 老人卡.
    Elderly = 3,
    /// Test card 测试卡.
    Test = 4,
    /// Military 军人卡.
    Military = 5,
    /// Disabled 爱心卡 (this project's extension: the national list ends at 5).
    Disabled = 6,
}

impl CardKind {
    /// From byte 10 of file 17.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Normal),
            2 => Some(Self::Student),
            3 => Some(Self::Elderly),
            4 => Some(Self::Test),
            5 => Some(Self::Military),
            6 => Some(Self::Disabled),
            _ => None,
        }
    }
}

/// File 17, regional data, 60 bytes; readers take 11 or all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Administrative region: province (bytes 4-5) and city (6-7) come from it.
    pub region: RegionCode,
    /// Whether the card may be used in other cities (0001).
    pub interoperable: bool,
    /// Card kind, the terminal's provisional concession.
    pub kind: CardKind,
}

impl Region {
    /// Length of the file.
    pub const LEN: usize = 60;

    /// The 60 bytes.
    pub fn to_bytes(&self) -> [u8; 60] {
        let r = self.region.to_bytes();
        let mut out = [0; 60];
        out[2..4].copy_from_slice(&[0x01, 0x56]);
        out[4..6].copy_from_slice(&[r[0], 0x00]);
        out[6..8].copy_from_slice(&[r[0], r[1]]);
        out[9] = u8::from(self.interoperable);
        out[10] = self.kind as u8;
        // Bytes 11-13 hold the whole division code (this project's use of the RFU bytes).
        out[11..14].copy_from_slice(&r);
        out
    }

    /// Parses 11 bytes or more.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let city: [u8; 2] = sub(bytes, 6)?;
        let region = match sub::<3>(bytes, 11) {
            Ok(full) if full != [0; 3] => RegionCode::from_bytes(full)?,
            _ => RegionCode::from_bytes([city[0], city[1], 0])?,
        };
        Ok(Self {
            region,
            interoperable: sub::<2>(bytes, 8)? == [0, 1],
            kind: CardKind::from_byte(sub::<1>(bytes, 10)?[0]).ok_or(FormatError::Range)?,
        })
    }
}

/// File 16, holder data, 55 bytes. Field lengths: name from 2 (20 bytes, GB 18030), identity
/// number from 22 (32 bytes), type of identity document at 54.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Card type and staff flag.
    pub flags: [u8; 2],
    /// Name in GB 18030, 00-padded.
    pub name: [u8; 20],
    /// Identity number, 00-padded.
    pub id_number: [u8; 32],
    /// 00 identity card.
    pub id_type: u8,
}

impl Holder {
    /// The 55 bytes.
    pub fn to_bytes(&self) -> [u8; 55] {
        let mut out = [0; 55];
        out[..2].copy_from_slice(&self.flags);
        out[2..22].copy_from_slice(&self.name);
        out[22..54].copy_from_slice(&self.id_number);
        out[54] = self.id_type;
        out
    }

    /// Parses file 16.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        Ok(Self {
            flags: sub(bytes, 0)?,
            name: sub(bytes, 2)?,
            id_number: sub(bytes, 22)?,
            id_type: sub::<1>(bytes, 54)?[0],
        })
    }
}

/// File 18, transaction log record, 23 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRecord {
    /// Offline or online sequence of the transaction.
    pub seq: u16,
    /// Overdraft limit, three bytes.
    pub overdraft: Fen,
    /// Amount.
    pub amount: Fen,
    /// Type.
    pub tx: TxType,
    /// Terminal number.
    pub terminal: SamNo,
    /// Time.
    pub time: CardTime,
}

impl LogRecord {
    /// Record length.
    pub const LEN: usize = 23;

    /// The 23 bytes.
    pub fn to_bytes(&self) -> [u8; 23] {
        let mut out = [0; 23];
        out[..2].copy_from_slice(&self.seq.to_be_bytes());
        out[2..5].copy_from_slice(&self.overdraft.to_card().unwrap_or_default()[1..]);
        out[5..9].copy_from_slice(&self.amount.to_card().unwrap_or([0xFF; 4]));
        out[9] = self.tx as u8;
        out[10..16].copy_from_slice(&self.terminal.to_bytes());
        out[16..].copy_from_slice(&self.time.to_bytes());
        out
    }

    /// Parses a record; an empty (all zero) one is an error of range.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let [a, b, c] = sub(bytes, 2)?;
        Ok(Self {
            seq: u16::from_be_bytes(sub(bytes, 0)?),
            overdraft: Fen::from_card([0, a, b, c]),
            amount: Fen::from_card(sub(bytes, 5)?),
            tx: TxType::from_byte(sub::<1>(bytes, 9)?[0]).ok_or(FormatError::Range)?,
            terminal: SamNo::from_bytes(sub(bytes, 10)?)?,
            time: CardTime::from_bytes(sub(bytes, 16)?)?,
        })
    }
}

/// What a journey record says happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum JourneyType {
    /// Flat-fare or other single transaction.
    Single = 0x06,
    /// Entry.
    Entry = 0x03,
    /// Exit.
    Exit = 0x04,
}

/// Means of transport in a journey record. 01 and 02 are national; 03-05 are this project's,
/// because sources disagree on codes beyond 02.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Metro 地铁.
    Metro = 0x01,
    /// Bus 公交.
    Bus = 0x02,
    /// Taxi 出租车.
    Taxi = 0x03,
    /// Parking meter 泊车计时表.
    ParkingMeter = 0x04,
    /// Car park 停车场.
    CarPark = 0x05,
}

/// File 1E, journey record, 48 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Journey {
    /// What happened.
    pub kind: JourneyType,
    /// Device number.
    pub device: DeviceNo,
    /// Means of transport.
    pub mode: Mode,
    /// Line (2, packed or binary by operator), station (2), RFU (3).
    pub place: [u8; 7],
    /// Amount paid.
    pub amount: Fen,
    /// Balance after.
    pub balance: Fen,
    /// Time.
    pub time: CardTime,
    /// City, two bytes of the region code.
    pub city: [u8; 2],
    /// Acquirer.
    pub acquirer: [u8; 8],
    /// The discount already taken and the class of the leg, for transfers (this project's use of
    /// RFU bytes; zero means unknown).
    pub rfu: [u8; 6],
}

impl Journey {
    /// Record length.
    pub const LEN: usize = 48;

    /// The 48 bytes.
    pub fn to_bytes(&self) -> [u8; 48] {
        let mut out = [0; 48];
        out[0] = self.kind as u8;
        out[1..9].copy_from_slice(&self.device.to_bytes());
        out[9] = self.mode as u8;
        out[10..17].copy_from_slice(&self.place);
        out[17..21].copy_from_slice(&self.amount.to_card().unwrap_or([0xFF; 4]));
        out[21..25].copy_from_slice(&self.balance.to_card().unwrap_or([0xFF; 4]));
        out[25..32].copy_from_slice(&self.time.to_bytes());
        out[32..34].copy_from_slice(&self.city);
        out[34..42].copy_from_slice(&self.acquirer);
        out[42..].copy_from_slice(&self.rfu);
        out
    }

    /// Parses a record; an empty (all zero) one is an error of range.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        Ok(Self {
            kind: match sub::<1>(bytes, 0)?[0] {
                0x03 => JourneyType::Entry,
                0x04 => JourneyType::Exit,
                0x02 | 0x06 => JourneyType::Single,
                _ => return Err(FormatError::Range),
            },
            device: DeviceNo::from_bytes(sub(bytes, 1)?)?,
            mode: match sub::<1>(bytes, 9)?[0] {
                0x01 => Mode::Metro,
                0x02 => Mode::Bus,
                0x03 => Mode::Taxi,
                0x04 => Mode::ParkingMeter,
                0x05 => Mode::CarPark,
                _ => return Err(FormatError::Range),
            },
            place: sub(bytes, 10)?,
            amount: Fen::from_card(sub(bytes, 17)?),
            balance: Fen::from_card(sub(bytes, 21)?),
            time: CardTime::from_bytes(sub(bytes, 25)?)?,
            city: sub(bytes, 32)?,
            acquirer: sub(bytes, 34)?,
            rfu: sub(bytes, 42)?,
        })
    }
}

/// State of the metro record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MetroState {
    /// Never used.
    Idle = 0,
    /// Inside the paid area.
    In = 1,
    /// Outside.
    Out = 2,
    /// Updated by a desk while in.
    UpdatedIn = 3,
    /// Updated by a desk while out.
    UpdatedOut = 4,
}

/// One side (entry or exit) of the metro record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MetroSide {
    /// City, two bytes.
    pub city: [u8; 2],
    /// Institution.
    pub institution: [u8; 8],
    /// Station.
    pub station: [u8; 8],
    /// Device.
    pub terminal: [u8; 8],
    /// Packed time; zero when it never happened.
    pub time: [u8; 7],
    /// Line.
    pub line: u8,
}

/// File 1A record 1, metro state, 128 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metro {
    /// Bytes 0-13: record header as other readers wrote it; kept as it is.
    pub header: [u8; 14],
    /// State.
    pub state: MetroState,
    /// Entry side.
    pub entry: MetroSide,
    /// Exit side.
    pub exit: MetroSide,
    /// Highest fare that a missing exit costs.
    pub maximum_fare: Fen,
    /// Entry amount.
    pub amount: Fen,
    /// Balance after entry.
    pub balance: Fen,
    /// Exit amount.
    pub exit_amount: Fen,
}

impl Metro {
    /// Record length.
    pub const LEN: usize = 128;

    /// A record of a card that never rode.
    pub const EMPTY: Self = Self {
        header: [0; 14],
        state: MetroState::Idle,
        entry: MetroSide {
            city: [0; 2],
            institution: [0; 8],
            station: [0; 8],
            terminal: [0; 8],
            time: [0; 7],
            line: 0,
        },
        exit: MetroSide {
            city: [0; 2],
            institution: [0; 8],
            station: [0; 8],
            terminal: [0; 8],
            time: [0; 7],
            line: 0,
        },
        maximum_fare: Fen::ZERO,
        amount: Fen::ZERO,
        balance: Fen::ZERO,
        exit_amount: Fen::ZERO,
    };

    /// The 128 bytes.
    pub fn to_bytes(&self) -> [u8; 128] {
        let mut out = [0; 128];
        let card4 = |fen: Fen| fen.to_card().unwrap_or([0xFF; 4]);
        out[..14].copy_from_slice(&self.header);
        out[14] = self.state as u8;
        for (i, side) in [&self.entry, &self.exit].into_iter().enumerate() {
            out[15 + 2 * i..][..2].copy_from_slice(&side.city);
            out[19 + 8 * i..][..8].copy_from_slice(&side.institution);
            out[35 + 8 * i..][..8].copy_from_slice(&side.station);
            out[51 + 8 * i..][..8].copy_from_slice(&side.terminal);
            out[67 + 7 * i..][..7].copy_from_slice(&side.time);
            out[85 + i] = side.line;
        }
        out[81..85].copy_from_slice(&card4(self.maximum_fare));
        out[87..91].copy_from_slice(&card4(self.amount));
        out[91..95].copy_from_slice(&card4(self.balance));
        out[95..99].copy_from_slice(&card4(self.exit_amount));
        out
    }

    /// Parses record 1.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let side = |i: usize| -> Result<MetroSide, FormatError> {
            Ok(MetroSide {
                city: sub(bytes, 15 + 2 * i)?,
                institution: sub(bytes, 19 + 8 * i)?,
                station: sub(bytes, 35 + 8 * i)?,
                terminal: sub(bytes, 51 + 8 * i)?,
                time: sub(bytes, 67 + 7 * i)?,
                line: sub::<1>(bytes, 85 + i)?[0],
            })
        };
        if bytes.len() != Self::LEN {
            return Err(FormatError::Length);
        }
        Ok(Self {
            header: sub(bytes, 0)?,
            state: match bytes[14] {
                0 => MetroState::Idle,
                1 => MetroState::In,
                2 => MetroState::Out,
                3 => MetroState::UpdatedIn,
                4 => MetroState::UpdatedOut,
                _ => return Err(FormatError::Range),
            },
            entry: side(0)?,
            exit: side(1)?,
            maximum_fare: Fen::from_card(sub(bytes, 81)?),
            amount: Fen::from_card(sub(bytes, 87)?),
            balance: Fen::from_card(sub(bytes, 91)?),
            exit_amount: Fen::from_card(sub(bytes, 95)?),
        })
    }
}

/// Offline risk limits on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Highest balance a load may reach.
    pub max_balance: Fen,
    /// Highest single purchase.
    pub per_tap: Fen,
    /// Highest total of purchases on one date.
    pub per_day: Fen,
    /// Overdraft limit, at most three bytes.
    pub overdraft: Fen,
}

impl Limits {
    /// Length in a personalisation data group.
    pub const LEN: usize = 16;
    /// A purse that may hold and spend nothing.
    pub const NOTHING: Self = Self {
        max_balance: Fen::ZERO,
        per_tap: Fen::ZERO,
        per_day: Fen::ZERO,
        overdraft: Fen::ZERO,
    };

    /// The 16 bytes: four amounts.
    pub fn to_bytes(&self) -> Result<[u8; 16], FormatError> {
        if self.overdraft.0 > 0x00FF_FFFF {
            return Err(FormatError::Range);
        }
        let mut out = [0; 16];
        for (target, amount) in out.chunks_exact_mut(4).zip([
            self.max_balance,
            self.per_tap,
            self.per_day,
            self.overdraft,
        ]) {
            target.copy_from_slice(&amount.to_card()?);
        }
        Ok(out)
    }

    /// Parses the 16 bytes.
    pub fn from_bytes(bytes: &[u8; 16]) -> Result<Self, FormatError> {
        let at = |i| sub(bytes, i).map(Fen::from_card);
        let overdraft = at(12)?;
        // The log and INIT carry it in three bytes.
        if overdraft.0 > 0x00FF_FFFF {
            return Err(FormatError::Range);
        }
        Ok(Self {
            max_balance: at(0)?,
            per_tap: at(4)?,
            per_day: at(8)?,
            overdraft,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: limits were read that could not be written again.
    #[test]
    fn limits_that_cannot_be_written_are_not_read() {
        let mut bytes = [0; 16];
        bytes[12..].copy_from_slice(&[0x00, 0xFF, 0xFF, 0xFF]);
        let limits = Limits::from_bytes(&bytes).expect("three bytes");
        assert_eq!(limits.to_bytes(), Ok(bytes));
        bytes[12..].copy_from_slice(&[0x01, 0x00, 0x00, 0x00]);
        assert_eq!(Limits::from_bytes(&bytes), Err(FormatError::Range));
    }

    #[test]
    fn fci_has_the_published_lengths() {
        let pan: Pan = "03500000000000001234".parse().expect("digits");
        let region: RegionCode = "350100".parse().expect("digits");
        let public = Public {
            issuer: IssuerId::new(pan, region, Generation(1)),
            app_type: 1,
            version: 1,
            pan,
            valid_from: CardDate::new(2026, 1, 1).expect("date"),
            valid_to: CardDate::new(2036, 1, 1).expect("date"),
            card_type: 0,
            generation: Generation(1),
        };
        for travel in [&[][..], &[24; TRAVEL]] {
            let tail = [&[0xC1, 1 + travel.len() as u8, 0x82], travel].concat();
            let mut fci = [&FCI_HEAD[..], &public.to_bytes(), &tail].concat();
            fci[1] += travel.len() as u8;
            assert_eq!(usize::from(fci[1]) + 2, fci.len());
            assert_eq!(Public::from_fci(&fci), Ok(public));
            let brief = Brief {
                interoperable: true,
                kind: CardKind::Student,
                travel,
            };
            assert_eq!(Brief::from_fci(&fci), Some(brief));
        }
        // A card of another city: 6F 31 .. A5 25 .., nothing after it.
        let mut foreign = [&FCI_HEAD[..], &public.to_bytes()].concat();
        foreign[1] = 0x31;
        assert_eq!(Public::from_fci(&foreign), Ok(public));
        assert_eq!(Brief::from_fci(&foreign), None);
    }

    #[test]
    fn metro_record_keeps_every_offset() {
        let mut bytes = [0u8; 128];
        bytes[14] = 1;
        bytes[35] = 0x11;
        bytes[43] = 0x22;
        bytes[67] = 0x20;
        bytes[81..85].copy_from_slice(&700u32.to_be_bytes());
        bytes[86] = 0x02;
        bytes[95..99].copy_from_slice(&300u32.to_be_bytes());
        let metro = Metro::from_bytes(&bytes).expect("layout");
        assert_eq!(metro.state, MetroState::In);
        assert_eq!(
            (metro.entry.station[0], metro.exit.station[0]),
            (0x11, 0x22)
        );
        assert_eq!(
            (metro.maximum_fare, metro.exit_amount),
            (Fen(700), Fen(300))
        );
        assert_eq!(metro.exit.line, 2);
        assert_eq!(metro.to_bytes(), bytes);
    }

    proptest::proptest! {
        #[test]
        fn log_record_round_trips(seq: u16, amount: u32, over in 0u32..0x100_0000) {
            let record = LogRecord {
                seq,
                overdraft: Fen(over.into()),
                amount: Fen(amount.into()),
                tx: TxType::Capp,
                terminal: "350100000001".parse().expect("digits"),
                time: "2026-11-23T08:15:00".parse().expect("time"),
            };
            proptest::prop_assert_eq!(LogRecord::from_bytes(&record.to_bytes()), Ok(record));
        }
    }
}
