//! What every transaction of the purse has in common: what its INIT looks up and answers, what must
//! still hold when it ends, and what its end writes.

use super::{Purse, at};
use crate::{
    apdu::{Out, put},
    error::Error,
    nvm::{Entropy, Nvm},
};
use card_spec::{Fen, SuiteId, keys::KeyType, purse::files::LogRecord, suite::Key};

/// A transaction that was initialised.
pub(super) struct Begun {
    pub(super) suite: SuiteId,
    version: u8,
    pub(super) key: Key,
    pub(super) seq: u16,
    pub(super) rnd: [u8; 4],
    /// With the overdraft limit counted in.
    pub(super) balance: Fen,
}

impl<N: Nvm, R: Entropy> Purse<'_, N, R> {
    /// `seq_at`: the sequence that the transaction will use up.
    pub(super) fn begin(
        &mut self,
        key_type: KeyType,
        kid: u8,
        seq_at: usize,
    ) -> Result<Begun, Error> {
        let slot = self.area.key_by_index(key_type, kid)?;
        let seq = self.area.u16(seq_at);
        if seq == u16::MAX {
            return Err(Error::COUNTER);
        }
        let mut rnd = [0; 4];
        self.entropy.fill(&mut rnd);
        Ok(Begun {
            suite: slot.header.suite,
            version: slot.header.version,
            key: slot.key,
            seq,
            rnd,
            balance: self.available(),
        })
    }

    /// `balance4 seq2 [limit3] ver1 alg1 rnd4`.
    pub(super) fn answer(begun: &Begun, limit: Option<Fen>, out: &mut Out) {
        out.put_amount(begun.balance);
        put(out, &begun.seq.to_be_bytes());
        if let Some(limit) = limit {
            let [_, limit3 @ ..] = (limit.0 as u32).to_be_bytes();
            put(out, &limit3);
        }
        put(out, &[begun.version, begun.suite as u8]);
        put(out, &begun.rnd);
    }

    /// The key that will make the TAC, if nothing happened since INIT: another logical channel may
    /// have loaded or paid, but MACs and TAC name balance and sequence, and a sequence is spent once.
    pub(super) fn resume(&self, begun: &Begun, seq_at: usize) -> Result<Key, Error> {
        if self.area.u16(seq_at) != begun.seq || self.available() != begun.balance {
            return Err(Error::CONDITIONS);
        }
        self.area.tac_key(KeyType::Dtk, begun.suite)
    }

    /// The sequence, the log, and what GET TRANSACTION PROVE answers: `type 1 | sequence 2 | MAC2 4 |
    /// TAC 4` at `prove_at`.
    pub(super) fn book(
        &mut self,
        seq_at: usize,
        record: &LogRecord,
        prove_at: usize,
        mac2: [u8; 4],
        tac: [u8; 4],
    ) -> Result<(), Error> {
        let seq = record
            .seq
            .checked_add(1)
            .ok_or(Error::COUNTER)?
            .to_be_bytes();
        self.area.write(seq_at, &seq);
        at::LOG.append(&mut self.area, &record.to_bytes())?;
        let mut kept = [record.tx as u8; 11];
        kept[1..3].copy_from_slice(&seq);
        kept[3..7].copy_from_slice(&mac2);
        kept[7..].copy_from_slice(&tac);
        self.area.write(prove_at, &kept);
        Ok(())
    }
}
