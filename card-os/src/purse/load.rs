//! INITIALIZE FOR LOAD 圈存初始化 and CREDIT FOR LOAD 圈存.

use super::{Purse, Transaction, at, prove_record};
use crate::{
    apdu::{Answer, Out, Outcome, put},
    error::Error,
    nvm::{Entropy, Nvm},
};
use card_spec::{
    Fen,
    keys::{KeyHeader, KeyType},
    purse::{InitRequest, TxType, files::LogRecord, mac::Load},
    suite::Key,
    time::CardTime,
};

/// A load that was initialised.
pub(super) struct Open {
    load: Load,
    header: KeyHeader,
    key: Key,
}

impl<N: Nvm, R: Entropy> Purse<'_, N, R> {
    /// `kid | amount | terminal` -> `balance4 seq2 ver1 alg1 rnd4 MAC1`. Needs the PIN.
    pub(super) fn init_load(&mut self, data: &[u8], out: &mut Out) -> Outcome {
        self.ram.transaction = Transaction::None;
        let request = InitRequest::from_bytes(data)?;
        if self.ram.pin.is_none() {
            return Err(Error::SECURITY);
        }
        at::LOAD_ROW.check(&self.area)?;
        if request.amount == Fen::ZERO {
            return Err(Error::DATA);
        }
        let slot = self.area.key_by_index(KeyType::Dlk, request.kid)?;
        let balance = self.available()?;
        let limits = self.limits()?;
        if (balance + request.amount).0 > (limits.max_balance + limits.overdraft).0 {
            return Err(Error::CONDITIONS);
        }
        let seq = self.area.u16(at::ONLINE_SEQ);
        if seq == u16::MAX {
            return Err(Error::COUNTER);
        }
        let mut rnd = [0u8; 4];
        self.entropy.fill(&mut rnd);
        let load = Load {
            amount: request.amount,
            tx: TxType::Load,
            terminal: request.terminal,
            seq,
            rnd,
            balance_before: balance,
        };
        let suite = slot.header.suite;
        put(out, &balance.to_card()?);
        put(out, &seq.to_be_bytes());
        put(out, &[slot.header.version, suite as u8]);
        put(out, &rnd);
        put(out, &load.mac1(suite, &slot.key));
        self.ram.transaction = Transaction::Load(Open {
            load,
            header: slot.header,
            key: slot.key,
        });
        Ok(Answer::Done)
    }

    /// `time7 | MAC2` -> TAC. Balance, sequence, log, MAC2 and TAC change together.
    pub(super) fn credit(&mut self, data: &[u8; 11], out: &mut Out) -> Outcome {
        let Transaction::Load(open) = core::mem::take(&mut self.ram.transaction) else {
            return Err(Error::CONDITIONS);
        };
        let [t0, t1, t2, t3, t4, t5, t6, mac2 @ ..] = *data;
        let time = CardTime::from_bytes([t0, t1, t2, t3, t4, t5, t6])?;
        let Open { load, header, key } = open;
        // Another logical channel may have loaded or paid since: MAC1 and TAC name the balance.
        if self.area.u16(at::ONLINE_SEQ) != load.seq || self.available()? != load.balance_before {
            return Err(Error::CONDITIONS);
        }
        let suite = header.suite;
        let dtk = self.tac_key(suite)?;
        let expected = load.mac2(suite, &key, time);
        at::LOAD_ROW.guard(&mut self.area, &expected, &mac2, Error::MAC)?;

        let tac = load.tac(suite, &dtk, time);
        let amount = i32::try_from(load.amount.0).map_err(|_| Error::DATA)?;
        let after = self.balance_fen().checked_add(amount).ok_or(Error::DATA)?;
        let seq_after = load.seq.checked_add(1).ok_or(Error::COUNTER)?;
        let record = LogRecord {
            seq: load.seq,
            overdraft: self.limits()?.overdraft,
            amount: load.amount,
            tx: load.tx,
            terminal: load.terminal,
            time,
        };
        self.area.write(at::BALANCE, &after.to_be_bytes());
        self.area.write(at::ONLINE_SEQ, &seq_after.to_be_bytes());
        // An issuer's time: the offline spending of the day starts again from here.
        self.write_day(time.date(), Fen::ZERO)?;
        at::LOG.append(&mut self.area, &record.to_bytes())?;
        let kept = prove_record(load.tx as u8, seq_after, mac2, tac);
        self.area.write(at::PROVE_LOAD, &kept);
        put(out, &tac);
        Ok(Answer::Done)
    }
}
