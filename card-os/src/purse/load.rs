//! INITIALIZE FOR LOAD 圈存初始化 and CREDIT FOR LOAD 圈存.

use super::{Purse, Transaction, at, transaction::LOAD};
use crate::{
    apdu::{Answer, Out, Outcome, put},
    error::Error,
    nvm::{Entropy, Nvm},
    transaction::Begun,
};
use card_spec::{
    Fen,
    purse::{InitRequest, TxType, files::LogRecord, mac::Load},
    time::CardTime,
};

/// A load that was initialised.
pub(super) struct Open {
    begun: Begun,
    load: Load,
}

impl<N: Nvm, R: Entropy> Purse<'_, N, R> {
    /// `kid | amount | terminal` -> `balance4 seq2 ver1 alg1 rnd4 MAC1`. Needs the PIN.
    pub(super) fn init_load(&mut self, data: &[u8], out: &mut Out) -> Outcome {
        let request = InitRequest::from_bytes(data)?;
        if self.ram.pin.is_none() {
            return Err(Error::SECURITY);
        }
        if request.amount == Fen::ZERO {
            return Err(Error::DATA);
        }
        at::LOAD_ROW.check(&self.area)?;
        let begun = self.begin(&LOAD, request.kid)?;
        let limits = self.limits();
        if begun.balance + request.amount > limits.max_balance + limits.overdraft {
            return Err(Error::CONDITIONS);
        }
        let load = Load {
            amount: request.amount,
            tx: TxType::Load,
            terminal: request.terminal,
            seq: begun.seq,
            rnd: begun.rnd,
            balance_before: begun.balance,
        };
        begun.answer(&[], &[], out);
        put(out, &load.mac1(begun.suite, &begun.key));
        self.ram.transaction = Transaction::Load(Open { begun, load });
        Ok(Answer::Done)
    }

    /// `time7 | MAC2` -> TAC. Balance, sequence, log, MAC2 and TAC change together.
    pub(super) fn credit(&mut self, open: &Open, data: &[u8; 11], out: &mut Out) -> Outcome {
        let Open { begun, load } = open;
        let [t0, t1, t2, t3, t4, t5, t6, mac2 @ ..] = *data;
        let time = CardTime::from_bytes([t0, t1, t2, t3, t4, t5, t6])?;
        let dtk = self.resume(begun)?;
        let expected = load.mac2(begun.suite, &begun.key, time);
        at::LOAD_ROW.guard(&mut self.area, &expected, &mac2, Error::MAC)?;

        let tac = load.tac(begun.suite, &dtk, time);
        let amount = i32::try_from(load.amount.0).map_err(|_| Error::DATA)?;
        let after = self.balance_fen().checked_add(amount).ok_or(Error::DATA)?;
        self.area.write(at::BALANCE, &after.to_be_bytes());
        // An issuer's time: the offline spending of the day starts again from here.
        self.write_day(at::DAY, time.date().to_bytes(), Fen::ZERO);
        self.area.write(at::EARLIER_DAY, &[0; 8]);
        let record = LogRecord {
            seq: load.seq,
            overdraft: self.limits().overdraft,
            amount: load.amount,
            tx: load.tx,
            terminal: load.terminal,
            time,
        };
        self.book(begun, &record, mac2, tac)?;
        put(out, &tac);
        Ok(Answer::Done)
    }
}
