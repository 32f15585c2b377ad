//! UPDATE OVERDRAFT LIMIT 修改透支限额: online, with the PIN, like a load.

use super::{Purse, Transaction, at, prove_record};
use crate::{
    apdu::{Answer, Out, Outcome, put},
    error::Error,
    nvm::{Entropy, Nvm},
};
use card_spec::{
    Fen,
    id::SamNo,
    keys::{KeyHeader, KeyType},
    purse::{
        TxType,
        files::{Limits, LogRecord},
        overdraft::{OverdraftUpdate, limit3},
    },
    suite::Key,
    time::CardTime,
};

/// A change of the limit that was initialised.
pub(super) struct Open {
    update: OverdraftUpdate,
    header: KeyHeader,
    key: Key,
}

impl<N: Nvm, R: Entropy> Purse<'_, N, R> {
    /// `kid | terminal` -> `balance4 seq2 limit3 ver1 alg1 rnd4 MAC1`. Needs the PIN.
    pub(super) fn init_overdraft(&mut self, data: &[u8; 7], out: &mut Out) -> Outcome {
        self.ram.transaction = Transaction::None;
        let [kid, terminal @ ..] = *data;
        let terminal = SamNo::from_bytes(terminal)?;
        if self.ram.pin.is_none() {
            return Err(Error::SECURITY);
        }
        at::OVERDRAFT_ROW.check(&self.area)?;
        let slot = self.area.key_by_index(KeyType::Duk, kid)?;
        let seq = self.area.u16(at::ONLINE_SEQ);
        if seq == u16::MAX {
            return Err(Error::COUNTER);
        }
        let mut rnd = [0u8; 4];
        self.entropy.fill(&mut rnd);
        let update = OverdraftUpdate {
            old_limit: self.limits()?.overdraft,
            terminal,
            seq,
            rnd,
            balance_before: self.available()?,
        };
        let suite = slot.header.suite;
        put(out, &update.balance_before.to_card()?);
        put(out, &seq.to_be_bytes());
        put(out, &limit3(update.old_limit)?);
        put(out, &[slot.header.version, suite as u8]);
        put(out, &rnd);
        put(out, &update.mac1(suite, &slot.key));
        self.ram.transaction = Transaction::Overdraft(Open {
            update,
            header: slot.header,
            key: slot.key,
        });
        Ok(Answer::Done)
    }

    /// `limit3 | time7 | MAC2` -> TAC. A limit below the overdraft in use is refused (6A80): the
    /// card would owe more than it may.
    pub(super) fn update_overdraft(&mut self, data: &[u8; 14], out: &mut Out) -> Outcome {
        let Transaction::Overdraft(open) = core::mem::take(&mut self.ram.transaction) else {
            return Err(Error::CONDITIONS);
        };
        let Open {
            update,
            header,
            key,
        } = open;
        let [l0, l1, l2, t0, t1, t2, t3, t4, t5, t6, mac2 @ ..] = *data;
        let limit = Fen::from_card([0, l0, l1, l2]);
        let time = CardTime::from_bytes([t0, t1, t2, t3, t4, t5, t6])?;
        // Another logical channel may have loaded or paid since.
        if self.area.u16(at::ONLINE_SEQ) != update.seq || self.available()? != update.balance_before
        {
            return Err(Error::CONDITIONS);
        }
        let suite = header.suite;
        let dtk = self.tac_key(suite)?;
        let expected = update.mac2(suite, &key, limit, time);
        at::OVERDRAFT_ROW.guard(&mut self.area, &expected, &mac2, Error::MAC)?;

        let limits = Limits {
            overdraft: limit,
            ..self.limits()?
        };
        if !super::bearable(&self.area, &limits) {
            // The MAC was right: the failure counted in advance is taken back.
            self.area.commit()?;
            return Err(Error::DATA);
        }
        let seq_after = update.seq.checked_add(1).ok_or(Error::COUNTER)?;
        let tac = update.tac(suite, &dtk, limit, time);
        let record = LogRecord {
            seq: update.seq,
            overdraft: limit,
            amount: Fen::ZERO,
            tx: TxType::Overdraft,
            terminal: update.terminal,
            time,
        };
        self.area.write(at::LIMITS, &limits.to_bytes()?);
        self.area.write(at::ONLINE_SEQ, &seq_after.to_be_bytes());
        at::LOG.append(&mut self.area, &record.to_bytes())?;
        let kept = prove_record(TxType::Overdraft as u8, seq_after, mac2, tac);
        self.area.write(at::PROVE_OVERDRAFT, &kept);
        put(out, &tac);
        Ok(Answer::Done)
    }
}
