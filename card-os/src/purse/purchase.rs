//! INITIALIZE FOR (CAPP) PURCHASE 消费初始化, UPDATE CAPP DATA CACHE, DEBIT 消费.

use super::{METRO_RECORDS, Purse, Transaction, at, fci, transaction::PURCHASE};
use crate::{
    apdu::{Answer, Out, Outcome, put},
    error::Error,
    nvm::{Entropy, Nvm},
    transaction::Begun,
};
use card_spec::{
    Fen,
    purse::{
        InitRequest, TxType,
        files::{Journey, LogRecord, Metro, TRAVEL},
        mac::{Context, ContextBuilder, Purchase},
        sfi,
    },
    time::{CardDate, CardTime},
};
use heapless::Vec;
use subtle::ConstantTimeEq;

/// A purchase that was initialised.
pub(super) struct Open {
    begun: Begun,
    request: InitRequest,
    tx: TxType,
    cache: Option<Cache>,
}

/// Records that wait for the DEBIT of a CAPP transaction.
struct Cache {
    context: ContextBuilder,
    journeys: Vec<[u8; Journey::LEN], 2>,
    metro: Vec<(u8, [u8; Metro::LEN]), { METRO_RECORDS as usize }>,
    travel: Vec<[u8; TRAVEL], 1>,
}

impl Cache {
    fn is_empty(&self) -> bool {
        self.journeys.is_empty() && self.metro.is_empty() && self.travel.is_empty()
    }
}

impl<N: Nvm, R: Entropy> Purse<'_, N, R> {
    /// `kid | amount | terminal` -> `balance4 seq2 overdraft3 ver1 alg1 rnd4`.
    pub(super) fn init_purchase(&mut self, tx: TxType, data: &[u8], out: &mut Out) -> Outcome {
        let request = InitRequest::from_bytes(data)?;
        let begun = self.begin(&PURCHASE, request.kid)?;
        let limits = self.limits();
        if request.amount > begun.balance {
            return Err(Error::INSUFFICIENT);
        }
        if request.amount > limits.per_tap {
            return Err(Error::CONDITIONS);
        }
        let cache = (tx == TxType::Capp).then(|| {
            // The answer's buffer is as good as another of this size.
            fci(&self.area, out);
            let context = ContextBuilder::new(out);
            out.clear();
            Cache {
                context,
                journeys: Vec::new(),
                metro: Vec::new(),
                travel: Vec::new(),
            }
        });
        Self::answer_with_limit(&begun, limits.overdraft, out);
        self.ram.transaction = Transaction::Purchase(Open {
            begun,
            request,
            tx,
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
            sfi::JOURNEY | sfi::TRAVEL if p1 != 0 => return Err(Error::PARAMETERS),
            // What was there before is in the FCI, and so in the context already.
            sfi::TRAVEL => {
                let record = data.try_into().map_err(|_| Error::LENGTH)?;
                cache.travel.push(record).map_err(|_| Error::SPACE)?;
            }
            sfi::JOURNEY => {
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
    pub(super) fn debit(&mut self, open: &Open, data: &[u8; 15], out: &mut Out) -> Outcome {
        let Open { begun, request, .. } = open;
        if open.cache.as_ref().is_some_and(Cache::is_empty) {
            return Err(Error::CONDITIONS);
        }
        let [s0, s1, s2, s3, t0, t1, t2, t3, t4, t5, t6, mac1 @ ..] = *data;
        let time = CardTime::from_bytes([t0, t1, t2, t3, t4, t5, t6])?;
        let dtk = self.resume(begun)?;
        let purchase = Purchase {
            amount: request.amount,
            tx: open.tx,
            terminal: request.terminal,
            terminal_seq: u32::from_be_bytes([s0, s1, s2, s3]),
            time,
            seq: begun.seq,
            rnd: begun.rnd,
            context: match &open.cache {
                Some(cache) => cache.context.finish(),
                None => Context::default(),
            },
        };
        let expected = purchase.mac1(begun.suite, &begun.key);
        if !bool::from(expected.ct_eq(&mac1)) {
            return Err(Error::MAC);
        }

        let limits = self.limits();
        if time.date().to_bytes() > self.area.array(at::VALID_TO) {
            return Err(Error::CONDITIONS);
        }
        let (total_at, date, spent) = self.spent(time.date());
        let spent = spent + purchase.amount;
        if spent > limits.per_day {
            return Err(Error::CONDITIONS);
        }
        let amount = i32::try_from(purchase.amount.0).map_err(|_| Error::DATA)?;
        let after = self
            .balance_fen()
            .checked_sub(amount)
            .ok_or(Error::INSUFFICIENT)?;
        let available = Fen(i64::from(after)) + limits.overdraft;
        if available < Fen::ZERO {
            return Err(Error::INSUFFICIENT);
        }
        let mac2 = purchase.mac2(begun.suite, &begun.key);
        let tac = purchase.tac(begun.suite, &dtk, available);
        self.area.write(at::BALANCE, &after.to_be_bytes());
        self.write_day(total_at, date, spent);
        if let Some(cache) = &open.cache {
            for journey in &cache.journeys {
                at::JOURNEY.append(&mut self.area, journey)?;
            }
            for (number, metro) in &cache.metro {
                self.area.write(Self::metro_at(*number)?, metro);
            }
            for travel in &cache.travel {
                self.area.write(at::TRAVEL, travel);
            }
        }
        let record = LogRecord {
            seq: begun.seq,
            overdraft: limits.overdraft,
            amount: purchase.amount,
            tx: purchase.tx,
            terminal: purchase.terminal,
            time,
        };
        self.book(begun, &record, mac2, tac)?;
        put(out, &tac);
        put(out, &mac2);
        Ok(Answer::Done)
    }

    /// The total that a purchase on `date` adds to: its place, the date it is of, and what was spent.
    /// Dates come from terminals' clocks. Going back must not buy a fresh limit, and a clock that is
    /// fast must not use up the days that it skips: so there are two totals whose dates only go on,
    /// one for the latest date and one for all before it.
    fn spent(&self, date: CardDate) -> (usize, [u8; 4], Fen) {
        let stored = |at| {
            let [a, b, c, d, total @ ..] = self.area.array::<8>(at);
            ([a, b, c, d], Fen::from_card(total))
        };
        let day = date.to_bytes();
        let at = if day >= stored(at::DAY).0 {
            at::DAY
        } else {
            at::EARLIER_DAY
        };
        match stored(at) {
            (of, total) if of >= day => (at, of, total),
            _ => (at, day, Fen::ZERO),
        }
    }

    pub(super) fn write_day(&mut self, at: usize, date: [u8; 4], total: Fen) {
        self.area.write(at, &date);
        self.area.write_amount(at + 4, total);
    }
}
