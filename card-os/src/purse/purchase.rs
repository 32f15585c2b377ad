//! INITIALIZE FOR (CAPP) PURCHASE 消费初始化, UPDATE CAPP DATA CACHE, DEBIT 消费.

use super::{METRO_RECORDS, Purse, Transaction, at, fci, prove_record};
use crate::{
    apdu::{Answer, Out, Outcome, put},
    error::Error,
    nvm::{Entropy, Nvm},
};
use card_spec::{
    Fen,
    keys::{KeyHeader, KeyType},
    purse::{
        InitRequest, TxType,
        files::{Journey, LogRecord, Metro},
        mac::{Context, ContextBuilder},
        sfi,
    },
    suite::Key,
    time::{CardDate, CardTime},
};
use heapless::Vec;
use subtle::ConstantTimeEq;

/// A purchase that was initialised.
pub(super) struct Open {
    pub(super) request: InitRequest,
    pub(super) tx: TxType,
    pub(super) seq: u16,
    pub(super) rnd: [u8; 4],
    header: KeyHeader,
    key: Key,
    cache: Option<Cache>,
}

/// Records that wait for the DEBIT of a CAPP transaction.
struct Cache {
    context: ContextBuilder,
    journeys: Vec<[u8; Journey::LEN], 2>,
    metro: Vec<(u8, [u8; Metro::LEN]), { METRO_RECORDS as usize }>,
}

impl Cache {
    fn is_empty(&self) -> bool {
        self.journeys.is_empty() && self.metro.is_empty()
    }
}

impl Open {
    pub(super) fn context(&self) -> Context {
        match &self.cache {
            Some(cache) => cache.context.clone().finish(),
            None => Context::default(),
        }
    }
}

impl<N: Nvm, R: Entropy> Purse<'_, N, R> {
    /// `kid | amount | terminal` -> `balance4 seq2 overdraft3 ver1 alg1 rnd4`.
    pub(super) fn init_purchase(&mut self, tx: TxType, data: &[u8], out: &mut Out) -> Outcome {
        self.ram.transaction = Transaction::None;
        let request = InitRequest::from_bytes(data)?;
        let slot = self.area.key_by_index(KeyType::Dpk, request.kid)?;
        let (balance, limits) = (self.available()?, self.limits()?);
        if request.amount.0 > balance.0 {
            return Err(Error::INSUFFICIENT);
        }
        if request.amount.0 > limits.per_tap.0 {
            return Err(Error::CONDITIONS);
        }
        let seq = self.area.u16(at::OFFLINE_SEQ);
        if seq == u16::MAX {
            return Err(Error::COUNTER);
        }
        let mut rnd = [0u8; 4];
        self.entropy.fill(&mut rnd);
        put(out, &balance.to_card()?);
        put(out, &seq.to_be_bytes());
        put(out, &limits.overdraft.to_card()?[1..]);
        put(out, &[slot.header.version, slot.header.suite as u8]);
        put(out, &rnd);
        let cache = if tx == TxType::Capp {
            let context = ContextBuilder::new(&fci(&self.area));
            Some(Cache {
                context,
                journeys: Vec::new(),
                metro: Vec::new(),
            })
        } else {
            None
        };
        self.ram.transaction = Transaction::Purchase(Open {
            request,
            tx,
            seq,
            rnd,
            header: slot.header,
            key: slot.key,
            cache,
        });
        Ok(Answer::Done)
    }

    /// Keeps a record until the DEBIT. Deployed terminals write P2 as `SFI<<3` or `SFI<<3|4`.
    pub(super) fn update_cache(&mut self, p1: u8, p2: u8, data: &[u8]) -> Outcome {
        let Transaction::Purchase(Open {
            cache: Some(cache), ..
        }) = &mut self.ram.transaction
        else {
            return Err(Error::CONDITIONS);
        };
        if !matches!(p2 & 7, 0 | 4) {
            return Err(Error::PARAMETERS);
        }
        match p2 >> 3 {
            sfi::JOURNEY => {
                if p1 != 0 {
                    return Err(Error::PARAMETERS);
                }
                let record = data.try_into().map_err(|_| Error::LENGTH)?;
                cache.journeys.push(record).map_err(|_| Error::SPACE)?;
            }
            sfi::METRO => {
                let record = data.try_into().map_err(|_| Error::LENGTH)?;
                let before: [u8; Metro::LEN] = self.area.array(Self::metro_at(p1)?);
                // Once a record: the context tells what was there before the transaction.
                if cache.metro.iter().any(|(number, _)| *number == p1) {
                    return Err(Error::SPACE);
                }
                cache.metro.push((p1, record)).map_err(|_| Error::SPACE)?;
                cache.context.read_1a(&before);
            }
            _ => return Err(Error::NOT_FOUND),
        }
        cache.context.update(p1, p2, data);
        Ok(Answer::Done)
    }

    /// `termseq4 | time7 | MAC1` -> `TAC | MAC2`. Balance, sequence, log, cached records, daily
    /// total, MAC2 and TAC change together or not at all.
    pub(super) fn debit(&mut self, data: &[u8; 15], out: &mut Out) -> Outcome {
        let Transaction::Purchase(open) = core::mem::take(&mut self.ram.transaction) else {
            return Err(Error::CONDITIONS);
        };
        if open.cache.as_ref().is_some_and(Cache::is_empty) {
            return Err(Error::CONDITIONS);
        }
        // Another logical channel may have paid since: a sequence is spent once.
        if self.area.u16(at::OFFLINE_SEQ) != open.seq {
            return Err(Error::CONDITIONS);
        }
        let [s0, s1, s2, s3, t0, t1, t2, t3, t4, t5, t6, mac1 @ ..] = *data;
        let time = CardTime::from_bytes([t0, t1, t2, t3, t4, t5, t6])?;
        let purchase = open.purchase(u32::from_be_bytes([s0, s1, s2, s3]), time);
        let suite = open.header.suite;
        let dtk = self.tac_key(suite)?;
        let expected = purchase.mac1(suite, &open.key);
        if !bool::from(expected.ct_eq(&mac1)) {
            return Err(Error::MAC);
        }

        let limits = self.limits()?;
        let (date, spent) = self.day(time.date())?;
        let spent = spent + purchase.amount;
        if spent.0 > limits.per_day.0 {
            return Err(Error::CONDITIONS);
        }
        let amount = i32::try_from(purchase.amount.0).map_err(|_| Error::DATA)?;
        let after = self
            .balance_fen()
            .checked_sub(amount)
            .filter(|after| Fen(i64::from(*after)) + limits.overdraft >= Fen::ZERO)
            .ok_or(Error::INSUFFICIENT)?;
        let seq_after = open.seq.checked_add(1).ok_or(Error::COUNTER)?;
        let mac2 = purchase.mac2(suite, &open.key);
        let tac = purchase.tac(suite, &dtk, Fen(i64::from(after)) + limits.overdraft);
        let record = LogRecord {
            seq: open.seq,
            overdraft: limits.overdraft,
            amount: purchase.amount,
            tx: purchase.tx,
            terminal: purchase.terminal,
            time,
        };
        self.area.write(at::BALANCE, &after.to_be_bytes());
        self.area.write(at::OFFLINE_SEQ, &seq_after.to_be_bytes());
        self.write_day(date, spent)?;
        at::LOG.append(&mut self.area, &record.to_bytes())?;
        if let Some(cache) = &open.cache {
            for journey in &cache.journeys {
                at::JOURNEY.append(&mut self.area, journey)?;
            }
            for (number, metro) in &cache.metro {
                self.area.write(Self::metro_at(*number)?, metro);
            }
        }
        let kept = prove_record(purchase.tx as u8, seq_after, mac2, tac);
        self.area.write(at::PROVE_PURCHASE, &kept);
        put(out, &tac);
        put(out, &mac2);
        Ok(Answer::Done)
    }

    /// Date and total that a purchase on `date` adds to. A terminal whose clock is behind adds to
    /// the later day: going back must not buy a fresh limit.
    fn day(&self, date: CardDate) -> Result<(CardDate, Fen), Error> {
        let [a, b, c, d, total @ ..] = self.area.array::<8>(at::DAY);
        Ok(match CardDate::from_bytes([a, b, c, d]) {
            Ok(stored) if stored >= date => (stored, Fen::from_card(total)),
            _ => (date, Fen::ZERO),
        })
    }

    pub(super) fn write_day(&mut self, date: CardDate, total: Fen) -> Result<(), Error> {
        self.area.write(at::DAY, &date.to_bytes());
        self.area.write(at::DAY + 4, &total.to_card()?);
        Ok(())
    }
}
