//! Records: found by number or tag, searched, changed, added.

use super::{Current, File, Kind, Which, command::Occurrence};
use crate::{
    apdu::{Answer, Out, Outcome, put},
    error::Error,
    nvm::Nvm,
    store::Area,
};
use card_spec::Sw;

/// The longest record: a metro state.
const LONGEST: usize = 128;

type Record = heapless::Vec<u8, LONGEST>;

/// `tag | len | value`, nothing else.
fn is_tlv(record: &[u8]) -> bool {
    matches!(record, [tag, len, value @ ..] if *tag != 0 && usize::from(*len) == value.len())
}

impl File {
    /// The record with this number, if there is one.
    fn load<N: Nvm>(&self, area: &Area<'_, N>, number: u8) -> Result<Option<Record>, Error> {
        let (at, len) = match self.kind {
            Kind::LinearFixed { at, len, count } => match number.checked_sub(1) {
                Some(index) if index < count => (at + usize::from(index) * len, len),
                _ => return Ok(None),
            },
            Kind::Tlv(tlv) => match tlv.slot(number) {
                Some(slot) => match usize::from(area.byte(slot)) {
                    0 => return Ok(None),
                    len => (slot + 1, len.min(tlv.longest)),
                },
                None => return Ok(None),
            },
            Kind::Cyclic(cyclic) => match cyclic.place(area, number) {
                Some(at) => (at, cyclic.len),
                None => return Ok(None),
            },
            Kind::Fixed { .. } | Kind::Transparent { .. } => return Err(Error::INCOMPATIBLE),
        };
        let mut record = Record::new();
        record.resize(len, 0).map_err(|_| Error::MEMORY)?;
        area.read(at, &mut record);
        Ok(Some(record))
    }

    const fn highest(&self) -> u8 {
        match self.kind {
            Kind::LinearFixed { count, .. } => count,
            Kind::Tlv(tlv) => tlv.count,
            Kind::Cyclic(cyclic) => cyclic.capacity,
            Kind::Fixed { .. } | Kind::Transparent { .. } => 0,
        }
    }

    /// The record that the command means, which becomes the current one unless it was named by
    /// number (ISO 7816-4, 7.3.2).
    pub(super) fn locate<N: Nvm>(
        &self,
        area: &Area<'_, N>,
        current: &mut Current,
        which: Which,
    ) -> Result<(u8, Record), Error> {
        let (tag, occurrence) = match which {
            Which::Number(n) => {
                let number = if n == 0 { current.record } else { n };
                let record = self.load(area, number)?.ok_or(Error::RECORD)?;
                return Ok((number, record));
            }
            Which::Tag(tag, occurrence) => (tag, occurrence),
        };
        let (mut number, backward) = match (occurrence, current.record) {
            (Occurrence::First, _) | (Occurrence::Next, 0) => (0, false),
            (Occurrence::Last, _) | (Occurrence::Previous, 0) => (self.highest() + 1, true),
            (Occurrence::Next, record) => (record, false),
            (Occurrence::Previous, record) => (record, true),
        };
        loop {
            number = if backward { number - 1 } else { number + 1 };
            if number == 0 || number > self.highest() {
                return Err(Error::RECORD);
            }
            let Some(record) = self.load(area, number)? else {
                continue;
            };
            let tagged = matches!(self.kind, Kind::Tlv(_)) && record.first() == Some(&tag);
            if tag == 0 || tagged {
                current.record = number;
                return Ok((number, record));
            }
        }
    }

    /// SEARCH RECORD: the numbers of the records that contain the bytes.
    pub(super) fn search<N: Nvm>(
        &self,
        area: &Area<'_, N>,
        current: &mut Current,
        from: u8,
        backward: bool,
        wanted: &[u8],
        out: &mut Out,
    ) -> Outcome {
        if wanted.is_empty() {
            return Err(Error::LENGTH);
        }
        let from = match (from, current.record) {
            (0, 0) if backward => self.highest(),
            (0, 0) => 1,
            (0, record) => record,
            (from, _) if from > self.highest() => return Err(Error::RECORD),
            (from, _) => from,
        };
        let mut number = from;
        while (1..=self.highest()).contains(&number) {
            let record = self.load(area, number)?.unwrap_or_default();
            if record.windows(wanted.len()).any(|part| part == wanted) {
                if out.is_empty() {
                    current.record = number;
                }
                put(out, &[number]);
            }
            number = if backward { number - 1 } else { number + 1 };
        }
        if out.is_empty() {
            return Ok(Answer::Warning(Sw::SEARCH_FAILED));
        }
        Ok(Answer::Done)
    }

    /// A fixed record is replaced; of a TLV record the value. The oldest record of a cyclic file
    /// is "the previous one" (ISO 7816-4, 11.3.5).
    pub(super) fn update_record<N: Nvm>(
        &self,
        area: &mut Area<'_, N>,
        current: &mut Current,
        which: Which,
        data: &[u8],
    ) -> Outcome {
        if let Kind::Cyclic(cyclic) = self.kind {
            if which != Which::Tag(0, Occurrence::Previous) {
                return Err(Error::INCOMPATIBLE);
            }
            cyclic.append(area, data)?;
            return Ok(Answer::Done);
        }
        let (number, old) = self.locate(area, current, which)?;
        if let Kind::Tlv(tlv) = self.kind {
            if tlv.kept && data.len() != old.len() {
                return Err(Error::LENGTH);
            }
            if data.first() != old.first() || !is_tlv(data) {
                return Err(Error::DATA);
            }
        }
        self.write_record(area, number, data)?;
        Ok(Answer::Done)
    }

    /// APPEND RECORD: into the first free slot, or as record 1 of a cyclic file.
    pub(super) fn append_record<N: Nvm>(&self, area: &mut Area<'_, N>, data: &[u8]) -> Outcome {
        match self.kind {
            Kind::Cyclic(cyclic) => cyclic.append(area, data)?,
            Kind::Tlv(tlv) if !tlv.kept => {
                if !is_tlv(data) {
                    return Err(Error::DATA);
                }
                let mut number = 1;
                while self.load(area, number)?.is_some() {
                    number += 1;
                }
                if number > tlv.count {
                    return Err(Error::SPACE);
                }
                self.write_record(area, number, data)?;
            }
            Kind::Tlv(_) | Kind::LinearFixed { .. } => return Err(Error::SPACE),
            Kind::Fixed { .. } | Kind::Transparent { .. } => return Err(Error::INCOMPATIBLE),
        }
        Ok(Answer::Done)
    }

    pub(super) fn write_record<N: Nvm>(
        &self,
        area: &mut Area<'_, N>,
        number: u8,
        record: &[u8],
    ) -> Result<(), Error> {
        match self.kind {
            Kind::LinearFixed { at, len, count } => {
                if record.len() != len {
                    return Err(Error::LENGTH);
                }
                let index = number.checked_sub(1).filter(|i| *i < count);
                area.write(at + usize::from(index.ok_or(Error::RECORD)?) * len, record);
            }
            Kind::Tlv(tlv) => {
                let slot = tlv.slot(number).ok_or(Error::RECORD)?;
                if record.len() > tlv.longest {
                    return Err(Error::SPACE);
                }
                area.write(slot, &[record.len() as u8]);
                area.write(slot + 1, record);
            }
            Kind::Cyclic(cyclic) => cyclic.append(area, record)?,
            Kind::Fixed { .. } | Kind::Transparent { .. } => return Err(Error::INCOMPATIBLE),
        }
        Ok(())
    }
}
