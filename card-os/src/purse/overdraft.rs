//! UPDATE OVERDRAFT LIMIT 修改透支限额: online, with the PIN, like a load.

use super::{Purse, Transaction, at, transaction::OVERDRAFT};
use crate::{
    apdu::{Answer, Out, Outcome, put},
    error::Error,
    nvm::{Entropy, Nvm},
    transaction::Begun,
};
use card_spec::{
    Fen,
    id::SamNo,
    purse::{
        TxType,
        files::{Limits, LogRecord},
        overdraft::OverdraftUpdate,
    },
    time::CardTime,
};

/// A change of the limit that was initialised.
pub(super) struct Open {
    begun: Begun,
    update: OverdraftUpdate,
}

impl<N: Nvm, R: Entropy> Purse<'_, N, R> {
    /// `kid | terminal` -> `balance4 seq2 limit3 ver1 alg1 rnd4 MAC1`. Needs the PIN.
    pub(super) fn init_overdraft(&mut self, data: &[u8; 7], out: &mut Out) -> Outcome {
        let [kid, terminal @ ..] = *data;
        let terminal = SamNo::from_bytes(terminal)?;
        if self.ram.pin.is_none() {
            return Err(Error::SECURITY);
        }
        at::OVERDRAFT_ROW.check(&self.area)?;
        let begun = self.begin(&OVERDRAFT, kid)?;
        let update = OverdraftUpdate {
            old_limit: self.limits().overdraft,
            terminal,
            seq: begun.seq,
            rnd: begun.rnd,
            balance_before: begun.balance,
        };
        Self::answer_with_limit(&begun, update.old_limit, out);
        put(out, &update.mac1(begun.suite, &begun.key));
        self.ram.transaction = Transaction::Overdraft(Open { begun, update });
        Ok(Answer::Done)
    }

    /// `limit3 | time7 | MAC2` -> TAC. A limit below the overdraft in use is refused (6A80): the
    /// card would owe more than it may.
    pub(super) fn update_overdraft(
        &mut self,
        open: &Open,
        data: &[u8; 14],
        out: &mut Out,
    ) -> Outcome {
        let Open { begun, update } = open;
        let [l0, l1, l2, t0, t1, t2, t3, t4, t5, t6, mac2 @ ..] = *data;
        let limit = Fen::from_card([0, l0, l1, l2]);
        let time = CardTime::from_bytes([t0, t1, t2, t3, t4, t5, t6])?;
        let dtk = self.resume(begun)?;
        let expected = update.mac2(begun.suite, &begun.key, limit, time);
        at::OVERDRAFT_ROW.guard(&mut self.area, &expected, &mac2, Error::MAC)?;

        let limits = Limits {
            overdraft: limit,
            ..self.limits()
        };
        if !super::bearable(&self.area, &limits) {
            // The MAC was right: the failure counted in advance is taken back.
            self.area.commit()?;
            return Err(Error::DATA);
        }
        let tac = update.tac(begun.suite, &dtk, limit, time);
        let record = LogRecord {
            seq: update.seq,
            overdraft: limit,
            amount: Fen::ZERO,
            tx: TxType::Overdraft,
            terminal: update.terminal,
            time,
        };
        self.area.write_amount(at::LIMITS + 12, limit);
        self.book(begun, &record, mac2, tac)?;
        put(out, &tac);
        Ok(Answer::Done)
    }
}
