//! The SAM application: purchase MACs for the class and the regions it holds keys of, the one
//! field-lock MAC, and social-security authentication. It cannot load, unblock or rewrite a card.

mod issuing;

pub(crate) use issuing::{key_stored, may_hold, personalise};

use crate::{
    apdu::{self, Answer, Out, Outcome, put},
    card::Interface,
    counter::{ROW, Row},
    error::Error,
    instruction::{ANY, Data, Instruction, Table, in_bits, is},
    keystore::Slot,
    nvm::Nvm,
    select::Challenge,
    store::Area,
};
use card_spec::{
    SuiteId,
    id::{IssuerId, SamNo},
    keys::{self, KeyHeader, KeyType, class},
    medical::{Split, VISIT, Visit},
    purse::{TxType, mac::Purchase},
    sam::{self, InitForPurchase},
    sm::{self, Challenge8},
    suite::Key,
    time::CardTime,
};

mod at {
    use super::{ROW, Row};

    /// 1 once the terminal number was personalised.
    pub(super) const STATE: usize = crate::layout::PRESENT;
    pub(super) const SERIAL: usize = 1;
    pub(super) const TERMINAL_NO: usize = 11;
    pub(super) const CLASS: usize = 17;
    pub(super) const SEQ: usize = 18;
    pub(super) const CEILING: usize = 22;
    /// Wrong MAC2s. A card may cause them at will, so they do not lock quickly.
    pub(super) const CREDIT_ROW: Row = Row::lifetime(26, 60_000);
    pub(super) const CEILING_ROW: Row = Row::mac(26 + ROW);
    pub(super) const ISSUING_ROW: Row = Row::mac(26 + 2 * ROW);
    pub(super) const END: usize = 26 + 3 * ROW;
}
pub(crate) const AREA: usize = at::END;

/// What the SAM remembers while it is selected.
#[derive(Default)]
pub(crate) struct Ram {
    /// MAC2 that the card of the open transaction must answer.
    expected_mac2: Option<[u8; 4]>,
    delivered: Delivered,
}

/// The key that DELIVERY KEY made ready; one use.
#[derive(Default)]
enum Delivered {
    #[default]
    None,
    /// A card's DACK, for the one lock block.
    Lock(SuiteId, Key),
    /// A social-security process key, for one cryptogram.
    Process(SuiteId, Key),
}

/// What a command of a SAM asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Op {
    ReadBinary,
    /// READ BINARY without a short file identifier: no file is ever current.
    ReadCurrent,
    InitPurchase,
    InitVisit,
    Credit,
    DeliverLockKey,
    DeliverProcessKey,
    LockMac,
    Encrypt,
    RaiseCeiling,
    WriteKey,
}

#[rustfmt::skip]
static COMMANDS: Table<Op, 11> = Table::new([
    Instruction::new((0x00, 0xB0), in_bits(0x80, 0xE0), ANY, Data::NONE, Op::ReadBinary),
    Instruction::new((0x00, 0xB0), ANY, ANY, Data::NONE, Op::ReadCurrent),
    // P2 10 when the terminal named a spare key in INIT.
    Instruction::new((0x80, 0x70), is(0x00), in_bits(0x00, !class::SPARE), Data::ANY, Op::InitPurchase),
    Instruction::new((0x80, 0x70), is(0x01), is(0x00), Data::bytes(44), Op::InitVisit),
    Instruction::new((0x80, 0x72), is(0x00), is(0x00), Data::bytes(4), Op::Credit),
    Instruction::new((0x80, 0x1A), is(0x45), is(0x02), Data::ANY, Op::DeliverLockKey),
    Instruction::new((0xBF, 0xDE), is(0x48), ANY, Data::ANY, Op::DeliverProcessKey),
    Instruction::new((0x80, 0xFA), is(0x05), is(0x00), Data::bytes(16), Op::LockMac),
    Instruction::new((0x80, 0xFA), is(0x00), is(0x00), Data::bytes(8), Op::Encrypt),
    Instruction::new((0x84, 0xF0), is(0x00), is(0x00), Data::bytes(8), Op::RaiseCeiling),
    Instruction::new((0x84, 0xD4), is(0x00), is(0x00), Data::bytes(issuing::WRITE_KEY as u8), Op::WriteKey),
]);

/// What DELIVERY KEY says of the key beyond the field's own data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named {
    suite: Option<SuiteId>,
    version: Option<u8>,
}

impl Named {
    /// `alg`, `alg | version` or nothing.
    fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let (alg, version) = match *bytes {
            [] => (None, None),
            [alg] => (Some(alg), None),
            [alg, version] => (Some(alg), Some(version)),
            _ => return Err(Error::LENGTH),
        };
        let suite = match alg {
            None => None,
            Some(alg) => Some(SuiteId::from_byte(alg).ok_or(Error::DATA)?),
        };
        Ok(Self { suite, version })
    }

    fn suits(self, header: KeyHeader) -> bool {
        self.suite.is_none_or(|suite| header.suite == suite)
            && self.version.is_none_or(|version| header.version == version)
    }
}

/// The SAM at work on one command.
pub(crate) struct Sam<'a, N> {
    pub(crate) area: Area<'a, N>,
    pub(crate) ram: &'a mut Ram,
    pub(crate) challenge: &'a mut Option<Challenge>,
    pub(crate) interface: Interface,
}

/// Serial number of a personalised SAM.
pub(crate) fn serial<N: Nvm>(area: &Area<'_, N>) -> Option<[u8; 10]> {
    (area.byte(at::STATE) != 0).then(|| area.array(at::SERIAL))
}

impl<N: Nvm> Sam<'_, N> {
    pub(crate) fn run(&mut self, c: &apdu::Command<'_>, out: &mut Out) -> Outcome {
        match COMMANDS.find(c)? {
            Op::ReadBinary => self.read_binary(c.p1 & 0x1F, c.p2.into(), c.le, out),
            Op::ReadCurrent => Err(Error::NO_CURRENT_FILE),
            Op::InitPurchase => self.init_purchase(c.p2, c.data, out),
            Op::InitVisit => self.init_visit(c.array()?, out),
            Op::Credit => self.credit(c.array()?),
            Op::DeliverLockKey => {
                let (data, named) = c.data.split_first_chunk().ok_or(Error::LENGTH)?;
                self.deliver_lock_key(data, Named::parse(named)?)
            }
            Op::DeliverProcessKey => {
                let (data, named) = c.data.split_first_chunk().ok_or(Error::LENGTH)?;
                self.deliver_process_key(c.p2, data, Named::parse(named)?)
            }
            Op::LockMac => self.lock_mac(c.array()?, out),
            Op::Encrypt => self.encrypt(c.array()?, out),
            Op::RaiseCeiling => self.raise_ceiling(c.mac_header(), c.array()?),
            Op::WriteKey => self.write_key(c.mac_header(), c.array()?),
        }
    }

    fn read_binary(&self, sfi: u8, offset: usize, le: Option<usize>, out: &mut Out) -> Outcome {
        let (at, len) = match sfi {
            sam::SFI_SERIAL => (at::SERIAL, 10),
            sam::SFI_TERMINAL_NO => (at::TERMINAL_NO, 6),
            sam::SFI_KEY_INDEX => (at::CLASS, 1),
            _ => return Err(Error::NOT_FOUND),
        };
        let rest = len - offset.min(len);
        if rest == 0 {
            return Err(Error::OFFSET);
        }
        let mut buffer = [0u8; 10];
        let part = &mut buffer[..le.unwrap_or(rest).min(rest)];
        self.area.read(at + offset, part);
        put(out, part);
        Ok(Answer::Done)
    }

    fn terminal(&self) -> Result<SamNo, Error> {
        SamNo::from_bytes(self.area.array(at::TERMINAL_NO)).map_err(|_| Error::MEMORY)
    }

    /// The key of this SAM's own class (or its spare) for a region, version and algorithm.
    fn class_key(
        &self,
        key_type: KeyType,
        index_base: u8,
        region: [u8; 3],
        version: u8,
        suite: SuiteId,
    ) -> Result<Slot, Error> {
        let wanted = KeyHeader {
            key_type,
            index: self.area.byte(at::CLASS) | index_base,
            version,
            suite,
        };
        self.region_key(region, &|header| header == wanted)
    }

    /// The first key of a region that satisfies the condition.
    fn region_key(
        &self,
        region: [u8; 3],
        wanted: &dyn Fn(KeyHeader) -> bool,
    ) -> Result<Slot, Error> {
        self.area.key(
            &|slot| slot.region == region && wanted(slot.header),
            Error::KEY_INDEX,
        )
    }

    /// The one key of a region that satisfies the condition. Among several versions or suites a
    /// guess would answer for some cards what they refuse: the terminal must name them (6985).
    fn only_key(&self, region: [u8; 3], wanted: &dyn Fn(KeyHeader) -> bool) -> Result<Slot, Error> {
        let slot = self.region_key(region, wanted)?;
        let other = self.region_key(region, &|header| header != slot.header && wanted(header));
        match other {
            Ok(_) => Err(Error::CONDITIONS),
            Err(_) => Ok(slot),
        }
    }

    /// Takes the next terminal sequence. The dispatcher commits it before the MAC leaves. A SAM that
    /// can judge no more MAC2s lets no card pay: its gate would not open.
    fn next_seq(&mut self) -> Result<u32, Error> {
        at::CREDIT_ROW.check(&self.area)?;
        let seq = self.area.u32(at::SEQ);
        if seq >= self.area.u32(at::CEILING) {
            return Err(Error::COUNTER);
        }
        let next = seq.checked_add(1).ok_or(Error::COUNTER)?;
        self.area.write(at::SEQ, &next.to_be_bytes());
        Ok(next)
    }

    /// P2 00: the key of the class. P2 10 (this project's own): its spare, because the data field
    /// names version and algorithm but not the key id that INIT was given.
    fn init_purchase(&mut self, index_base: u8, data: &[u8], out: &mut Out) -> Outcome {
        *self.ram = Ram::default();
        let init = InitForPurchase::from_bytes(data)?;
        if !matches!(init.tx, TxType::Purchase | TxType::Capp) {
            return Err(Error::DATA);
        }
        let region = init.issuer8.region().map_err(|_| Error::KEY_INDEX)?;
        let region = region.to_bytes();
        let slot = self.class_key(
            KeyType::Dpk,
            index_base,
            region,
            init.key_version,
            init.suite,
        )?;
        let dpk =
            keys::card_key_from_psam_fields(&slot.key, slot.header, init.serial8, init.issuer8)?;
        let terminal_seq = self.next_seq()?;
        let purchase = Purchase {
            amount: init.amount,
            tx: init.tx,
            terminal: self.terminal()?,
            terminal_seq,
            time: init.time,
            seq: init.seq,
            rnd: init.rnd,
            context: init.context,
        };
        self.ram.expected_mac2 = Some(purchase.mac2(init.suite, &dpk));
        put(out, &terminal_seq.to_be_bytes());
        put(out, &purchase.mac1(init.suite, &dpk));
        Ok(Answer::Done)
    }

    /// `rnd4 seq2 3 x amount4 type1 time7 ver alg F1 F2`.
    fn init_visit(&mut self, data: &[u8; 44], out: &mut Out) -> Outcome {
        *self.ram = Ram::default();
        let suite = SuiteId::from_byte(data[27]).ok_or(Error::DATA)?;
        if data[18] != VISIT {
            return Err(Error::DATA);
        }
        let region = region_from_f2(part::<36, 8, _>(data))?;
        let slot = self.class_key(KeyType::Mpk, 0, region, data[26], suite)?;
        let mpk = keys::ssse_card_key(&slot.key, suite, &part::<28, 8, _>(data));
        let terminal_seq = self.next_seq()?;
        let visit = Visit {
            split: Split::from_bytes(part::<6, 12, _>(data)),
            terminal: self.terminal()?,
            terminal_seq,
            time: CardTime::from_bytes(part::<19, 7, _>(data))?,
            seq: u16::from_be_bytes(part::<4, 2, _>(data)),
            rnd: part::<0, 4, _>(data),
        };
        self.ram.expected_mac2 = Some(visit.mac2(suite, &mpk));
        put(out, &terminal_seq.to_be_bytes());
        put(out, &visit.mac1(suite, &mpk));
        Ok(Answer::Done)
    }

    fn credit(&mut self, mac2: &[u8; 4]) -> Outcome {
        let expected = self.ram.expected_mac2.take().ok_or(Error::CONDITIONS)?;
        at::CREDIT_ROW.guard(&mut self.area, &expected, mac2, Error::MAC)?;
        Ok(Answer::Done)
    }

    fn deliver_lock_key(&mut self, data: &[u8; 16], named: Named) -> Outcome {
        self.ram.delivered = Delivered::None;
        let issuer = IssuerId(part::<8, 8, _>(data));
        let region = issuer.region().map_err(|_| Error::KEY_INDEX)?.to_bytes();
        let slot = self.only_key(region, &|header| {
            header.key_type == KeyType::Dack && named.suits(header)
        })?;
        let key =
            keys::card_key_from_psam_fields(&slot.key, slot.header, part::<0, 8, _>(data), issuer)?;
        self.ram.delivered = Delivered::Lock(slot.header.suite, key);
        Ok(Answer::Done)
    }

    /// MACs only `rnd4 | 00000000 | 841E000004 800000`: whatever else a stolen SAM is asked for,
    /// a blocked card is all that can come of it.
    fn lock_mac(&mut self, block: &[u8; 16], out: &mut Out) -> Outcome {
        let Delivered::Lock(suite, key) = core::mem::take(&mut self.ram.delivered) else {
            return Err(Error::CONDITIONS);
        };
        let (iv, lock) = block.split_at(8);
        if lock != sam::LOCK_BLOCK || !iv.ends_with(&[0; 4]) {
            return Err(Error::DATA);
        }
        let [a, b, c, d, e, ..] = sam::LOCK_BLOCK;
        put(
            out,
            &sm::mac(
                suite,
                &key,
                Challenge8(part::<0, 8, _>(block)),
                [a, b, c, d, e],
                &[],
            ),
        );
        Ok(Answer::Fetch)
    }

    /// `F1 | F2 | R`: region key by F2, card key by F1, process key by R.
    fn deliver_process_key(&mut self, kid: u8, data: &[u8; 24], named: Named) -> Outcome {
        self.ram.delivered = Delivered::None;
        let region = region_from_f2(part::<8, 8, _>(data))?;
        let slot = self.only_key(region, &|header| {
            matches!(header.key_type, KeyType::Rk | KeyType::Irk)
                && header.index == kid
                && named.suits(header)
        })?;
        let suite = slot.header.suite;
        let card = keys::ssse_card_key(&slot.key, suite, &part::<0, 8, _>(data));
        let process = keys::ssse_process_key(&card, suite, &part::<16, 8, _>(data));
        self.ram.delivered = Delivered::Process(suite, process);
        Ok(Answer::Done)
    }

    fn encrypt(&mut self, value: &[u8; 8], out: &mut Out) -> Outcome {
        let Delivered::Process(suite, key) = core::mem::take(&mut self.ram.delivered) else {
            return Err(Error::CONDITIONS);
        };
        put(out, &key.cryptogram8(suite, value));
        Ok(Answer::Fetch)
    }
}

/// `L` bytes from `AT` on.
fn part<const AT: usize, const L: usize, const N: usize>(data: &[u8; N]) -> [u8; L] {
    const { assert!(AT + L <= N) };
    let mut out = [0; L];
    out.copy_from_slice(&data[AT..AT + L]);
    out
}

/// The region of an F2: six ASCII digits and "sx".
fn region_from_f2(f2: [u8; 8]) -> Result<[u8; 3], Error> {
    let [digits @ .., b's', b'x'] = f2 else {
        return Err(Error::KEY_INDEX);
    };
    let mut region = [0; 3];
    for (i, digit) in digits.into_iter().enumerate() {
        if !digit.is_ascii_digit() {
            return Err(Error::KEY_INDEX);
        }
        region[i / 2] = region[i / 2] << 4 | digit & 0x0F;
    }
    Ok(region)
}
