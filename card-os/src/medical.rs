//! The medical purse in DF04: a personal account and two yearly totals.

use crate::{
    apdu::{self, Answer, Out, Outcome, put},
    counter::{ROW, Row},
    error::Error,
    instruction::{ANY, Data, Instruction, Table, is},
    isd::Item,
    nvm::{Entropy, Nvm},
    pin::Verified,
    store::Area,
    transaction::{Begun, Kind, PROOF, prove},
};
use card_spec::{
    Fen,
    id::SamNo,
    keys::KeyType,
    medical::{LOAD, Load, Split, VISIT, Visit},
    perso::Dgi,
    purse::InitRequest,
    suite::Key,
    time::CardTime,
};

mod at {
    use super::{PROOF, ROW, Row};

    pub(super) const BALANCE: usize = 0;
    /// Self-paid total 4, pooled total 4, year 2.
    pub(super) const TOTALS: usize = 4;
    pub(super) const OFFLINE_SEQ: usize = 14;
    pub(super) const ONLINE_SEQ: usize = 16;
    pub(super) const LOAD_ROW: Row = Row::mac(18);
    pub(super) const PURCHASE_ROW: Row = Row::mac(18 + ROW);
    /// As [`TOTALS`], of the year that was paid in before.
    pub(super) const OTHER_TOTALS: usize = 18 + 2 * ROW;
    pub(super) const PROVE_VISIT: usize = OTHER_TOTALS + super::TOTALS;
    pub(super) const PROVE_LOAD: usize = PROVE_VISIT + PROOF;
    pub(super) const END: usize = PROVE_LOAD + PROOF;
}
pub(crate) const AREA: usize = at::END;

/// Bytes of a year's totals.
const TOTALS: usize = 10;

static VISITS: Kind = Kind {
    key: KeyType::Mpk,
    tac_key: KeyType::Mtk,
    seq: at::OFFLINE_SEQ as u16,
    proof: at::PROVE_VISIT as u16,
};
static LOADS: Kind = Kind {
    key: KeyType::Mlk,
    tac_key: KeyType::Mtk,
    seq: at::ONLINE_SEQ as u16,
    proof: at::PROVE_LOAD as u16,
};

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
        begun: Begun,
        load: Load,
    },
    Visit {
        begun: Begun,
        split: Split,
        terminal: SamNo,
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
    Prove,
}

#[rustfmt::skip]
static COMMANDS: Table<Op, 8> = Table::new([
    Instruction::new((0xB0, 0x26), is(0x00), is(0x01), Data::NONE, Op::Balance),
    Instruction::new((0xB0, 0x26), is(0x00), is(0x02), Data::NONE, Op::Balance),
    Instruction::new((0xB0, 0x26), is(0x00), is(0x03), Data::NONE, Op::Balance),
    Instruction::new((0xB0, 0x28), is(0x00), is(0x01), Data::bytes(11), Op::InitLoad),
    Instruction::new((0xB0, 0x28), is(0x01), is(0x01), Data::bytes(19), Op::InitPurchase),
    Instruction::new((0xB0, 0x2A), is(0x00), is(0x00), Data::bytes(11), Op::Credit),
    Instruction::new((0xB0, 0x2C), is(0x01), is(0x00), Data::bytes(15), Op::Debit),
    Instruction::new((0xB0, 0x2E), is(0x00), ANY, Data::bytes(2), Op::Prove),
]);

/// The medical purse at work on one command.
pub(crate) struct Medical<'a, N, R> {
    pub(crate) area: Area<'a, N>,
    pub(crate) entropy: &'a mut R,
    pub(crate) ram: &'a mut Ram,
    /// The social-security PIN, if the holder entered it.
    pub(crate) pin: Option<&'a Verified>,
}

impl<N: Nvm, R: Entropy> Medical<'_, N, R> {
    pub(crate) fn run(&mut self, c: &apdu::Command<'_>, out: &mut Out) -> Outcome {
        let op = COMMANDS.find(c)?;
        // INIT opens a transaction, and what ends one consumes it, whatever comes of either.
        let open = match op {
            Op::Balance | Op::Prove => Transaction::None,
            _ => core::mem::take(&mut self.ram.transaction),
        };
        match (op, &open) {
            (Op::Balance, _) => self.balance(c.p2, out),
            (Op::Prove, _) => prove(&self.area, &[&VISITS, &LOADS], c.p2, c.array()?, out),
            (Op::InitLoad, _) => self.init_load(c.data, out),
            (Op::InitPurchase, _) => self.init_purchase(c.array()?, out),
            (Op::Credit, Transaction::Load { begun, load }) => {
                self.credit(begun, load, c.array()?, out)
            }
            (
                Op::Debit,
                Transaction::Visit {
                    begun,
                    split,
                    terminal,
                },
            ) => self.debit((begun, *split, *terminal), c.array()?, out),
            (Op::Credit | Op::Debit, _) => Err(Error::CONDITIONS),
        }
    }

    fn personal(&self) -> Fen {
        Fen::from_card(self.area.array(at::BALANCE))
    }

    /// P2 01: the personal account; 02 and 03: the year's self-paid and pooled totals, with the year.
    fn balance(&self, which: u8, out: &mut Out) -> Outcome {
        let at = match which {
            0x01 => at::BALANCE,
            0x02 => at::TOTALS,
            _ => at::TOTALS + 4,
        };
        put(out, &self.area.array::<4>(at));
        if which != 0x01 {
            put(out, &self.area.array::<2>(at::TOTALS + 8));
        }
        Ok(Answer::Exact)
    }

    fn init_load(&mut self, data: &[u8], out: &mut Out) -> Outcome {
        let request = InitRequest::from_bytes(data)?;
        self.pin.ok_or(Error::SECURITY)?;
        at::LOAD_ROW.check(&self.area)?;
        let begun = self.begin(&LOADS, request.kid)?;
        if request.amount == Fen::ZERO || (begun.balance + request.amount).to_card().is_err() {
            return Err(Error::DATA);
        }
        let load = Load {
            amount: request.amount,
            terminal: request.terminal,
            seq: begun.seq,
            rnd: begun.rnd,
            balance_before: begun.balance,
        };
        begun.answer(&[], &[], out);
        put(out, &load.mac1(begun.suite, &begun.key));
        self.ram.transaction = Transaction::Load { begun, load };
        Ok(Answer::Done)
    }

    /// `time7 | MAC2` -> TAC.
    fn credit(&mut self, begun: &Begun, load: &Load, data: &[u8; 11], out: &mut Out) -> Outcome {
        let [t0, t1, t2, t3, t4, t5, t6, mac2 @ ..] = *data;
        let time = CardTime::from_bytes([t0, t1, t2, t3, t4, t5, t6])?;
        let mtk = self.resume(begun)?;
        let expected = load.mac2(begun.suite, &begun.key, time);
        at::LOAD_ROW.guard(&mut self.area, &expected, &mac2, Error::MAC)?;
        let tac = load.tac(begun.suite, &mtk, time);
        let area = &mut self.area;
        area.write_amount(at::BALANCE, load.balance_before + load.amount);
        begun.book(area, LOAD, mac2, tac);
        put(out, &tac);
        Ok(Answer::Done)
    }

    /// `kid | personal | self-paid | pooled | terminal`; the PIN first.
    fn init_purchase(&mut self, data: &[u8; 19], out: &mut Out) -> Outcome {
        self.pin.ok_or(Error::SECURITY)?;
        at::PURCHASE_ROW.check(&self.area)?;
        let (amounts, terminal) = data.split_at(13);
        let (kid, amounts) = amounts.split_first().ok_or(Error::LENGTH)?;
        let split = Split::from_bytes(amounts.try_into().map_err(|_| Error::LENGTH)?);
        let terminal = SamNo::from_bytes(terminal.try_into().map_err(|_| Error::LENGTH)?)?;
        let begun = self.begin(&VISITS, *kid)?;
        if split.personal > begun.balance {
            return Err(Error::INSUFFICIENT);
        }
        // `PurchaseInit`: the totals lie as they are answered.
        begun.answer(&self.area.array::<TOTALS>(at::TOTALS), &[], out);
        self.ram.transaction = Transaction::Visit {
            begun,
            split,
            terminal,
        };
        Ok(Answer::Done)
    }

    /// `termseq4 | time7 | MAC1` -> `TAC | MAC2`.
    fn debit(
        &mut self,
        (begun, split, terminal): (&Begun, Split, SamNo),
        data: &[u8; 15],
        out: &mut Out,
    ) -> Outcome {
        let [s0, s1, s2, s3, t0, t1, t2, t3, t4, t5, t6, mac1 @ ..] = *data;
        let time = CardTime::from_bytes([t0, t1, t2, t3, t4, t5, t6])?;
        let (suite, key) = (begun.suite, &begun.key);
        let visit = Visit {
            split,
            terminal,
            terminal_seq: u32::from_be_bytes([s0, s1, s2, s3]),
            time,
            seq: begun.seq,
            rnd: begun.rnd,
        };
        let mtk = self.resume(begun)?;
        // The totals are computed before the MAC is judged: an overflow must not cost a try.
        let balance = begun.balance - split.personal;
        let (old, totals) = self.totals_after(split, time)?;
        let expected = visit.mac1(suite, key);
        at::PURCHASE_ROW.guard(&mut self.area, &expected, &mac1, Error::MAC)?;
        let (mac2, tac) = (visit.mac2(suite, key), visit.tac(suite, &mtk, balance));
        let area = &mut self.area;
        area.write_amount(at::BALANCE, balance);
        area.write(at::TOTALS, &totals);
        if let Some(old) = old {
            area.write(at::OTHER_TOTALS, &old);
        }
        begun.book(area, VISIT, mac2, tac);
        put(out, &tac);
        put(out, &mac2);
        Ok(Answer::Done)
    }

    fn begin(&mut self, kind: &'static Kind, kid: u8) -> Result<Begun, Error> {
        let balance = self.personal();
        Begun::new(&self.area, self.entropy, kind, kid, balance)
    }

    fn resume(&self, begun: &Begun) -> Result<Key, Error> {
        begun.resume(&self.area, self.personal())
    }

    /// The totals of the transaction's year, and those shown until now if they are another year's.
    /// The year comes from a window's clock: two years are kept, so that one that is fast or slow
    /// leaves the right one as it was.
    fn totals_after(
        &self,
        split: Split,
        time: CardTime,
    ) -> Result<(Option<[u8; TOTALS]>, [u8; TOTALS]), Error> {
        let [y, z, ..] = time.date().to_bytes();
        let shown: [u8; TOTALS] = self.area.array(at::TOTALS);
        let other: [u8; TOTALS] = self.area.array(at::OTHER_TOTALS);
        let is_of_year = |kept: &[u8; TOTALS]| kept[8..] == [y, z];
        let base = [shown, other].into_iter().find(is_of_year);
        let [a, b, c, d, e, f, g, h, ..] = base.unwrap_or_default();
        let [a, b, c, d] = (Fen::from_card([a, b, c, d]) + split.self_paid).to_card()?;
        let [e, f, g, h] = (Fen::from_card([e, f, g, h]) + split.pooled).to_card()?;
        let old = (!is_of_year(&shown)).then_some(shown);
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
