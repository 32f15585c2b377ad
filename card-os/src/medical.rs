//! The medical purse in DF04: a personal account and two yearly totals.

use crate::{
    apdu::{self, Answer, Out, Outcome, put},
    counter::{ROW, Row},
    error::Error,
    instruction::{Data, Instruction, Table, is},
    isd::Item,
    nvm::{Entropy, Nvm},
    pin::Verified,
    store::Area,
};
use card_spec::{
    Fen,
    id::SamNo,
    keys::{KeyHeader, KeyType},
    medical::{Load, PurchaseInit, Split, Visit, year_to_bcd},
    perso::Dgi,
    purse::InitRequest,
    suite::Key,
    time::CardTime,
};

mod at {
    use super::{ROW, Row};

    pub(super) const BALANCE: usize = 0;
    /// Self-paid total 4, pooled total 4, year 2.
    pub(super) const TOTALS: usize = 4;
    pub(super) const OFFLINE_SEQ: usize = 14;
    pub(super) const ONLINE_SEQ: usize = 16;
    pub(super) const LOAD_ROW: Row = Row::mac(18);
    pub(super) const PURCHASE_ROW: Row = Row::mac(18 + ROW);
    /// As [`TOTALS`], of the year that was paid in before.
    pub(super) const OTHER_TOTALS: usize = 18 + 2 * ROW;
    pub(super) const END: usize = OTHER_TOTALS + 10;
}
pub(crate) const AREA: usize = at::END;

/// What the medical purse remembers while DF04 is selected.
#[derive(Default)]
pub(crate) struct Ram {
    transaction: Transaction,
}

#[derive(Default)]
enum Transaction {
    #[default]
    None,
    Load {
        load: Load,
        header: KeyHeader,
        key: Key,
    },
    Visit {
        split: Split,
        terminal: SamNo,
        seq: u16,
        rnd: [u8; 4],
        header: KeyHeader,
        key: Key,
    },
}

/// What a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Op {
    Balance,
    InitLoad,
    InitPurchase,
    Credit,
    Debit,
}

#[rustfmt::skip]
static COMMANDS: Table<Op, 7> = Table::new([
    Instruction::new((0xB0, 0x26), is(0x00), is(0x01), Data::NONE, Op::Balance),
    Instruction::new((0xB0, 0x26), is(0x00), is(0x02), Data::NONE, Op::Balance),
    Instruction::new((0xB0, 0x26), is(0x00), is(0x03), Data::NONE, Op::Balance),
    Instruction::new((0xB0, 0x28), is(0x00), is(0x01), Data::bytes(11), Op::InitLoad),
    Instruction::new((0xB0, 0x28), is(0x01), is(0x01), Data::bytes(19), Op::InitPurchase),
    Instruction::new((0xB0, 0x2A), is(0x00), is(0x00), Data::bytes(11), Op::Credit),
    Instruction::new((0xB0, 0x2C), is(0x01), is(0x00), Data::bytes(15), Op::Debit),
]);

/// The medical purse at work on one command.
pub(crate) struct Medical<'a, N, R> {
    pub(crate) area: Area<'a, N>,
    pub(crate) entropy: &'a mut R,
    pub(crate) ram: &'a mut Ram,
    /// The social-security PIN, if the holder entered it.
    pub(crate) pin: Option<&'a Verified>,
}

struct Totals {
    self_paid: Fen,
    pooled: Fen,
    year: u16,
}

impl<N: Nvm, R: Entropy> Medical<'_, N, R> {
    pub(crate) fn run(&mut self, c: &apdu::Command<'_>, out: &mut Out) -> Outcome {
        match COMMANDS.find(c)? {
            Op::Balance => self.balance(c.p2, out),
            Op::InitLoad => self.init_load(c.data, out),
            Op::Credit => self.credit(c.array()?, out),
            Op::InitPurchase => self.init_purchase(c.array()?, out),
            Op::Debit => self.debit(c.array()?, out),
        }
    }

    fn personal(&self) -> Fen {
        Fen::from_card(self.area.array(at::BALANCE))
    }

    fn totals(&self, at: usize) -> Result<Totals, Error> {
        let [a, b, c, d, e, f, g, h, y, z] = self.area.array(at);
        Ok(Totals {
            self_paid: Fen::from_card([a, b, c, d]),
            pooled: Fen::from_card([e, f, g, h]),
            year: card_spec::medical::year_from_bcd([y, z]).map_err(|_| Error::MEMORY)?,
        })
    }

    fn seq(&self, at: usize) -> Result<u16, Error> {
        match self.area.u16(at) {
            u16::MAX => Err(Error::COUNTER),
            seq => Ok(seq),
        }
    }

    fn rnd(&mut self) -> [u8; 4] {
        let mut rnd = [0u8; 4];
        self.entropy.fill(&mut rnd);
        rnd
    }

    /// P2 01: the personal account; 02 and 03: the year's self-paid and pooled totals, with the year.
    fn balance(&self, which: u8, out: &mut Out) -> Outcome {
        let totals = self.totals(at::TOTALS)?;
        let amount = match which {
            0x01 => self.personal(),
            0x02 => totals.self_paid,
            _ => totals.pooled,
        };
        out.put_amount(amount);
        if which != 0x01 {
            put(out, &year_to_bcd(totals.year));
        }
        Ok(Answer::Exact)
    }

    fn init_load(&mut self, data: &[u8], out: &mut Out) -> Outcome {
        self.ram.transaction = Transaction::None;
        let request = InitRequest::from_bytes(data)?;
        self.pin.ok_or(Error::SECURITY)?;
        at::LOAD_ROW.check(&self.area)?;
        let slot = self.area.key_by_index(KeyType::Mlk, request.kid)?;
        let balance = self.personal();
        if request.amount == Fen::ZERO || (balance + request.amount).to_card().is_err() {
            return Err(Error::DATA);
        }
        let seq = self.seq(at::ONLINE_SEQ)?;
        let rnd = self.rnd();
        let load = Load {
            amount: request.amount,
            terminal: request.terminal,
            seq,
            rnd,
            balance_before: balance,
        };
        let suite = slot.header.suite;
        out.put_amount(balance);
        put(out, &seq.to_be_bytes());
        put(out, &[slot.header.version, suite as u8]);
        put(out, &rnd);
        put(out, &load.mac1(suite, &slot.key));
        self.ram.transaction = Transaction::Load {
            load,
            header: slot.header,
            key: slot.key,
        };
        Ok(Answer::Done)
    }

    fn credit(&mut self, data: &[u8; 11], out: &mut Out) -> Outcome {
        let Transaction::Load { load, header, key } = core::mem::take(&mut self.ram.transaction)
        else {
            return Err(Error::CONDITIONS);
        };
        let [t0, t1, t2, t3, t4, t5, t6, mac2 @ ..] = *data;
        let time = CardTime::from_bytes([t0, t1, t2, t3, t4, t5, t6])?;
        let mtk = self.area.tac_key(KeyType::Mtk, header.suite)?;
        let expected = load.mac2(header.suite, &key, time);
        at::LOAD_ROW.guard(&mut self.area, &expected, &mac2, Error::MAC)?;
        let after = load.balance_before + load.amount;
        self.area.write_amount(at::BALANCE, after);
        self.area
            .write(at::ONLINE_SEQ, &load.seq.saturating_add(1).to_be_bytes());
        put(out, &load.tac(header.suite, &mtk, time));
        Ok(Answer::Done)
    }

    /// `kid | personal | self-paid | pooled | terminal`; the PIN first.
    fn init_purchase(&mut self, data: &[u8; 19], out: &mut Out) -> Outcome {
        self.ram.transaction = Transaction::None;
        self.pin.ok_or(Error::SECURITY)?;
        at::PURCHASE_ROW.check(&self.area)?;
        let (amounts, terminal) = data.split_at(13);
        let (kid, amounts) = amounts.split_first().ok_or(Error::LENGTH)?;
        let split = Split::from_bytes(amounts.try_into().map_err(|_| Error::LENGTH)?);
        let terminal = SamNo::from_bytes(terminal.try_into().map_err(|_| Error::LENGTH)?)?;
        let slot = self.area.key_by_index(KeyType::Mpk, *kid)?;
        let (balance, totals) = (self.personal(), self.totals(at::TOTALS)?);
        if split.personal.0 > balance.0 {
            return Err(Error::INSUFFICIENT);
        }
        let seq = self.seq(at::OFFLINE_SEQ)?;
        let rnd = self.rnd();
        let init = PurchaseInit {
            balance,
            self_paid_total: totals.self_paid,
            pooled_total: totals.pooled,
            year: totals.year,
            seq,
            key_version: slot.header.version,
            suite: slot.header.suite,
            rnd,
        };
        put(out, &init.to_bytes());
        self.ram.transaction = Transaction::Visit {
            split,
            terminal,
            seq,
            rnd,
            header: slot.header,
            key: slot.key,
        };
        Ok(Answer::Done)
    }

    /// `termseq4 | time7 | MAC1` -> `TAC | MAC2`.
    fn debit(&mut self, data: &[u8; 15], out: &mut Out) -> Outcome {
        let Transaction::Visit {
            split,
            terminal,
            seq,
            rnd,
            header,
            key,
        } = core::mem::take(&mut self.ram.transaction)
        else {
            return Err(Error::CONDITIONS);
        };
        let [s0, s1, s2, s3, t0, t1, t2, t3, t4, t5, t6, mac1 @ ..] = *data;
        let time = CardTime::from_bytes([t0, t1, t2, t3, t4, t5, t6])?;
        let terminal_seq = u32::from_be_bytes([s0, s1, s2, s3]);
        let visit = Visit {
            split,
            terminal,
            terminal_seq,
            time,
            seq,
            rnd,
        };
        let suite = header.suite;
        let mtk = self.area.tac_key(KeyType::Mtk, suite)?;
        // The totals are computed before the MAC is judged: an overflow must not cost a try.
        let balance = self.personal() - split.personal;
        let (old, totals) = self.totals_after(split, time)?;
        let expected = visit.mac1(suite, &key);
        at::PURCHASE_ROW.guard(&mut self.area, &expected, &mac1, Error::MAC)?;
        self.area.write_amount(at::BALANCE, balance);
        self.area.write(at::TOTALS, &totals);
        if let Some(old) = old {
            self.area.write(at::OTHER_TOTALS, &old);
        }
        self.area
            .write(at::OFFLINE_SEQ, &seq.saturating_add(1).to_be_bytes());
        put(out, &visit.tac(suite, &mtk, balance));
        put(out, &visit.mac2(suite, &key));
        Ok(Answer::Done)
    }

    /// The totals of the transaction's year, and those shown until now if they are another year's.
    /// The year comes from a window's clock: two years are kept, so that one that is fast or slow
    /// leaves the right one as it was.
    fn totals_after(
        &self,
        split: Split,
        time: CardTime,
    ) -> Result<(Option<[u8; 10]>, [u8; 10]), Error> {
        let year = time.date().year();
        let (shown, other) = (self.totals(at::TOTALS)?, self.totals(at::OTHER_TOTALS)?);
        let old = (shown.year != year).then(|| self.area.array(at::TOTALS));
        let base = [shown, other].into_iter().find(|kept| kept.year == year);
        let base = base.unwrap_or(Totals {
            self_paid: Fen::ZERO,
            pooled: Fen::ZERO,
            year,
        });
        let [a, b, c, d] = (base.self_paid + split.self_paid).to_card()?;
        let [e, f, g, h] = (base.pooled + split.pooled).to_card()?;
        let [y, z] = year_to_bcd(year);
        Ok((old, [a, b, c, d, e, f, g, h, y, z]))
    }
}

/// Applies one data group of personalisation. `Ok(false)`: not one of this application's.
pub(crate) fn personalise<N: Nvm>(area: &mut Area<'_, N>, item: &Item<'_>) -> Result<bool, Error> {
    match item.dgi {
        Dgi::MEDICAL_BALANCE => {
            let amount: [u8; 4] = item.data.try_into().map_err(|_| Error::DATA)?;
            area.write(at::BALANCE, &amount);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// A key from the issuer makes the row that guards it new.
pub(crate) fn key_stored<N: Nvm>(area: &mut Area<'_, N>, key_type: KeyType) {
    match key_type {
        KeyType::Mpk => at::PURCHASE_ROW.renew(area),
        KeyType::Mlk => at::LOAD_ROW.renew(area),
        _ => {}
    }
}
