//! Files: one engine for every application. A file is a row of a constant table: identifier, kind,
//! place in the application's area, who may read and write it. The application decides whether the
//! access is granted ([`Access`]); the engine does the rest.
//!
//! | kind | ISO 7816-4 | in the area |
//! |---|---|---|
//! | [`Kind::Fixed`] | transparent | the bytes, always all there |
//! | [`Kind::Transparent`] | transparent | `length 2 \| bytes` |
//! | [`Kind::LinearFixed`] | linear fixed | the records, always all there |
//! | [`Kind::Tlv`] | linear variable, SIMPLE-TLV | slots of `length 1 \| tag \| len \| value` |
//! | [`Kind::Cyclic`] | cyclic | `newest 1 \| count 1 \| records` |

mod command;
mod cyclic;
mod record;
mod secure;

pub(crate) use command::{Action, Command, Which};
pub(crate) use cyclic::Cyclic;
pub(crate) use secure::{Line, Secured};

use crate::{
    apdu::{Answer, Out, Outcome, put},
    card::Interface,
    error::Error,
    isd::Item,
    nvm::Nvm,
    store::Area,
};
use card_spec::{keys::KeyType, perso::Dgi};

/// A file of an application.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) fid: u16,
    pub(crate) kind: Kind,
    pub(crate) read: Access,
    /// UPDATE and APPEND.
    pub(crate) write: Access,
    /// What secure messaging does with its contents.
    pub(crate) line: Line,
}

/// Structure and place.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Fixed { at: usize, len: usize },
    Transparent { at: usize, capacity: usize },
    LinearFixed { at: usize, len: usize, count: u8 },
    Tlv(Tlv),
    Cyclic(Cyclic),
}

/// Slots of records `tag | len | value`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tlv {
    pub(crate) at: usize,
    /// Longest record with tag and length.
    pub(crate) longest: usize,
    pub(crate) count: u8,
    /// Records keep tag and length for life, and none is added.
    pub(crate) kept: bool,
}

impl Tlv {
    pub(crate) const fn end(self) -> usize {
        self.at + self.count as usize * (1 + self.longest)
    }

    fn slot(self, number: u8) -> Option<usize> {
        let index = usize::from(number.checked_sub(1).filter(|i| *i < self.count)?);
        Some(self.at + index * (1 + self.longest))
    }
}

/// Who may read or write a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Free,
    /// Only the application itself, in a transaction.
    Never,
    /// Free through the contacts; over the air nobody.
    Contacts,
    /// Whoever proved this key by EXTERNAL AUTHENTICATE, or uses it for secure messaging.
    Key(KeyType, u8),
    /// Free on cards of profile V1 and V2, else as [`Self::Key`].
    Profile(KeyType, u8),
    /// Whoever proved any key of the application.
    AnyKey,
}

impl Access {
    const fn key(self) -> Option<(KeyType, u8)> {
        match self {
            Self::Key(key_type, kid) | Self::Profile(key_type, kid) => Some((key_type, kid)),
            Self::Free | Self::Never | Self::Contacts | Self::AnyKey => None,
        }
    }

    /// Whether the command may go on in clear.
    pub(crate) fn granted(self, to: &Grants, interface: Interface, open: bool) -> bool {
        match self {
            Self::Free => true,
            Self::Never => false,
            Self::Contacts => interface == Interface::Contact,
            Self::Key(key_type, kid) => to.holds(key_type, kid),
            Self::Profile(key_type, kid) => open || to.holds(key_type, kid),
            Self::AnyKey => to.any(),
        }
    }
}

/// Keys that EXTERNAL AUTHENTICATE proved in this session. Only a right cryptogram adds one.
#[derive(Debug, Default)]
pub(crate) struct Grants(heapless::Vec<(KeyType, u8), 4>);

impl Grants {
    pub(crate) fn holds(&self, key_type: KeyType, kid: u8) -> bool {
        self.0.contains(&(key_type, kid))
    }

    /// Whether the terminal proved any key.
    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    pub(crate) fn add(&mut self, key_type: KeyType, kid: u8) {
        if self.holds(key_type, kid) {
            return;
        }
        if self.0.is_full() {
            self.0.clear();
        }
        let _ = self.0.push((key_type, kid));
    }

    pub(crate) fn drop_one(&mut self, key_type: KeyType, kid: u8) {
        self.0.retain(|held| *held != (key_type, kid));
    }
}

/// The file that commands without an SFI mean, and the record that "next" counts from.
#[derive(Debug, Default)]
pub(crate) struct Current {
    file: Option<&'static File>,
    record: u8,
}

impl Current {
    /// SELECT of an elementary file.
    pub(crate) fn select(&mut self, file: &'static File) {
        *self = Self {
            file: Some(file),
            record: 0,
        };
    }

    /// The file a command means; naming it by SFI makes it the current one (ISO 7816-4, 7.2.2).
    pub(crate) fn file(&mut self, files: &'static [File], sfi: u8) -> Result<&'static File, Error> {
        if sfi == 0 {
            return self.file.ok_or(Error::NO_CURRENT_FILE);
        }
        let file = by_sfi(files, sfi).ok_or(Error::NOT_FOUND)?;
        if !self.file.is_some_and(|f| core::ptr::eq(f, file)) {
            self.select(file);
        }
        Ok(file)
    }
}

pub(crate) fn by_sfi(files: &'static [File], sfi: u8) -> Option<&'static File> {
    files.iter().find(|f| f.sfi() == sfi)
}

pub(crate) fn by_fid(files: &'static [File], fid: u16) -> Option<&'static File> {
    files.iter().find(|f| f.fid == fid)
}

impl File {
    pub(crate) const fn sfi(&self) -> u8 {
        (self.fid & 0x1F) as u8
    }

    const fn has_records(&self) -> bool {
        matches!(
            self.kind,
            Kind::LinearFixed { .. } | Kind::Tlv(_) | Kind::Cyclic(_)
        )
    }

    /// Bytes of contents the file can hold.
    const fn size(&self) -> usize {
        match self.kind {
            Kind::Fixed { len, .. } => len,
            Kind::Transparent { capacity, .. } => capacity,
            Kind::LinearFixed { len, count, .. } => len * count as usize,
            Kind::Tlv(tlv) => tlv.longest * tlv.count as usize,
            Kind::Cyclic(c) => c.len * c.capacity as usize,
        }
    }

    /// The file control parameters that SELECT answers (ISO 7816-4, 7.4.3): descriptor with data
    /// coding, record length and count; identifier, size, SFI, life cycle.
    pub(crate) fn fcp(&self, out: &mut Out) {
        let (descriptor, len, count) = match self.kind {
            Kind::Fixed { .. } | Kind::Transparent { .. } => (0x01, 0, 0),
            Kind::LinearFixed { len, count, .. } => (0x02, len, count),
            Kind::Tlv(tlv) => (0x05, tlv.longest, tlv.count),
            Kind::Cyclic(c) => (0x06, c.len, c.capacity),
        };
        if self.has_records() {
            let [high, low] = (len as u16).to_be_bytes();
            put(out, &[0x82, 0x05, descriptor, 0x21, high, low, count]);
        } else {
            put(out, &[0x82, 0x01, descriptor]);
        }
        let ([f0, f1], [s0, s1]) = (self.fid.to_be_bytes(), (self.size() as u16).to_be_bytes());
        let rest = [
            0x83,
            2,
            f0,
            f1,
            0x80,
            2,
            s0,
            s1,
            0x88,
            1,
            self.sfi() << 3,
            0x8A,
            1,
            0x05,
        ];
        put(out, &rest);
    }

    /// Whether the command fits the file's structure.
    pub(crate) fn suits(&self, action: Action) -> Result<(), Error> {
        let on_records = !matches!(
            action,
            Action::ReadBinary { .. } | Action::UpdateBinary { .. }
        );
        if on_records == self.has_records() {
            Ok(())
        } else {
            Err(Error::INCOMPATIBLE)
        }
    }

    /// Does what the command asks, once it is granted. `room`: most bytes the answer may have.
    pub(crate) fn run<N: Nvm>(
        &self,
        area: &mut Area<'_, N>,
        current: &mut Current,
        action: Action,
        data: &[u8],
        room: usize,
        out: &mut Out,
    ) -> Outcome {
        self.suits(action)?;
        match action {
            Action::ReadBinary { offset, le } => self.read_binary(area, offset, le, room, out),
            Action::UpdateBinary { offset } => self.update_binary(area, offset, data),
            Action::ReadRecord(which) => {
                if !data.is_empty() {
                    return Err(Error::LENGTH);
                }
                let (_, record) = self.locate(area, current, which)?;
                put(
                    out,
                    record.get(..room.min(record.len())).unwrap_or_default(),
                );
                Ok(Answer::Exact)
            }
            Action::UpdateRecord(which) => self.update_record(area, current, which, data),
            Action::AppendRecord => self.append_record(area, data),
            Action::SearchRecord { from, backward } => {
                self.search(area, current, from, backward, data, out)
            }
        }
    }

    /// Place, length and room of the contents.
    fn contents<N: Nvm>(&self, area: &Area<'_, N>) -> Result<(usize, usize, usize), Error> {
        match self.kind {
            Kind::Fixed { at, len } => Ok((at, len, len)),
            Kind::Transparent { at, capacity } => {
                let length = usize::from(area.u16(at)).min(capacity);
                Ok((at + 2, length, capacity))
            }
            _ => Err(Error::INCOMPATIBLE),
        }
    }

    fn read_binary<N: Nvm>(
        &self,
        area: &Area<'_, N>,
        offset: usize,
        le: Option<usize>,
        room: usize,
        out: &mut Out,
    ) -> Outcome {
        let (at, length, _) = self.contents(area)?;
        let rest = length
            .checked_sub(offset)
            .filter(|n| *n > 0)
            .ok_or(Error::OFFSET)?;
        let n = le.unwrap_or(rest).min(rest).min(room);
        out.resize(n, 0).map_err(|_| Error::SPACE)?;
        area.read(at + offset, out);
        Ok(Answer::Done)
    }

    /// Contents grow from their end only: there is never a hole.
    fn update_binary<N: Nvm>(&self, area: &mut Area<'_, N>, offset: usize, data: &[u8]) -> Outcome {
        let (at, length, capacity) = self.contents(area)?;
        let end = offset + data.len();
        if data.is_empty() || offset > length {
            return Err(Error::OFFSET);
        }
        if end > capacity {
            return Err(Error::SPACE);
        }
        area.write(at + offset, data);
        if let Kind::Transparent { at, .. } = self.kind {
            area.write(at, &(end.max(length) as u16).to_be_bytes());
        }
        Ok(Answer::Done)
    }

    /// One data group of personalisation: contents of a transparent file, or `number | record`.
    fn personalise<N: Nvm>(&self, area: &mut Area<'_, N>, item: &Item<'_>) -> Result<(), Error> {
        match self.kind {
            Kind::Fixed { at, len } if item.data.len() == len => {
                area.write(at, item.data);
                Ok(())
            }
            Kind::Transparent { at, capacity } => {
                if item.len > capacity {
                    return Err(Error::SPACE);
                }
                area.write(at, &(item.len as u16).to_be_bytes());
                area.copy_staged(item.at, item.len, at + 2)
            }
            Kind::LinearFixed { .. } | Kind::Tlv(_) | Kind::Cyclic(_) => {
                let (number, record) = item.data.split_first().ok_or(Error::DATA)?;
                self.write_record(area, *number, record)
            }
            Kind::Fixed { .. } => Err(Error::DATA),
        }
    }
}

/// Applies a data group to the file that it names. `Ok(false)`: it names none of these.
pub(crate) fn personalise<N: Nvm>(
    files: &'static [File],
    area: &mut Area<'_, N>,
    item: &Item<'_>,
) -> Result<bool, Error> {
    let Dgi(dgi) = item.dgi;
    let Some(file) = by_sfi(files, (dgi & 0xFF) as u8) else {
        return Ok(false);
    };
    let class = if file.has_records() { 0x02 } else { 0x01 };
    if dgi >> 8 != class {
        return Ok(false);
    }
    file.personalise(area, item)?;
    Ok(true)
}
