//! What the transactions of both purses have in common: what INIT looks up and answers, what must
//! still hold when the transaction ends, and what GET TRANSACTION PROVE answers afterwards.

use crate::{
    apdu::{Answer, Out, Outcome, put},
    error::Error,
    nvm::{Entropy, Nvm},
    store::Area,
};
use card_spec::{Fen, SuiteId, keys::KeyType, suite::Key};

/// What the transactions of one kind use of their application.
pub(crate) struct Kind {
    /// Makes MAC1 and MAC2.
    pub(crate) key: KeyType,
    /// Makes the TAC.
    pub(crate) tac_key: KeyType,
    /// Offset of the sequence that is spent.
    pub(crate) seq: u16,
    /// Offset of the proof of the newest: `type 1 | sequence 2 | MAC2 4 | TAC 4`.
    pub(crate) proof: u16,
}

/// Bytes of a proof.
pub(crate) const PROOF: usize = 11;

/// A transaction that was initialised.
pub(crate) struct Begun {
    kind: &'static Kind,
    pub(crate) suite: SuiteId,
    version: u8,
    pub(crate) key: Key,
    pub(crate) seq: u16,
    pub(crate) rnd: [u8; 4],
    pub(crate) balance: Fen,
}

impl Begun {
    pub(crate) fn new<N: Nvm>(
        area: &Area<'_, N>,
        entropy: &mut dyn Entropy,
        kind: &'static Kind,
        kid: u8,
        balance: Fen,
    ) -> Result<Self, Error> {
        let slot = area.key_by_index(kind.key, kid)?;
        let seq = area.u16(kind.seq.into());
        if seq == u16::MAX {
            return Err(Error::COUNTER);
        }
        let mut rnd = [0; 4];
        entropy.fill(&mut rnd);
        Ok(Self {
            kind,
            suite: slot.header.suite,
            version: slot.header.version,
            key: slot.key,
            seq,
            rnd,
            balance,
        })
    }

    /// `balance4 [totals] seq2 [limit3] ver1 alg1 rnd4`.
    pub(crate) fn answer(&self, totals: &[u8], limit: &[u8], out: &mut Out) {
        out.put_amount(self.balance);
        put(out, totals);
        put(out, &self.seq.to_be_bytes());
        put(out, limit);
        put(out, &[self.version, self.suite as u8]);
        put(out, &self.rnd);
    }

    /// The key that will make the TAC, if nothing happened since INIT: another logical channel may
    /// have loaded or paid, but MACs and TAC name balance and sequence, and a sequence is spent once.
    pub(crate) fn resume<N: Nvm>(&self, area: &Area<'_, N>, balance: Fen) -> Result<Key, Error> {
        if area.u16(self.kind.seq.into()) != self.seq || balance != self.balance {
            return Err(Error::CONDITIONS);
        }
        area.tac_key(self.kind.tac_key, self.suite)
    }

    /// Uses the sequence up and keeps what GET TRANSACTION PROVE will answer.
    pub(crate) fn book<N: Nvm>(&self, area: &mut Area<'_, N>, tx: u8, mac2: [u8; 4], tac: [u8; 4]) {
        // INIT refused the last sequence.
        let seq = self.seq.saturating_add(1).to_be_bytes();
        area.write(self.kind.seq.into(), &seq);
        let mut kept = [tx; PROOF];
        kept[1..3].copy_from_slice(&seq);
        kept[3..7].copy_from_slice(&mac2);
        kept[7..].copy_from_slice(&tac);
        area.write(self.kind.proof.into(), &kept);
    }
}

/// GET TRANSACTION PROVE: `MAC2 | TAC` of the transaction after which the sequence is `seq`.
pub(crate) fn prove<N: Nvm>(
    area: &Area<'_, N>,
    kinds: &[&Kind],
    tx: u8,
    seq: &[u8; 2],
    out: &mut Out,
) -> Outcome {
    for kind in kinds {
        let kept: [u8; PROOF] = area.array(kind.proof.into());
        if tx != 0 && kept[0] == tx && kept[1..3] == *seq {
            put(out, &kept[3..]);
            return Ok(Answer::Exact);
        }
    }
    Err(Error::NO_PROVE)
}
