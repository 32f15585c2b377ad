//! What the purse's session keys, MACs and TACs are computed over.
//!
//! One struct a transaction; card, PSAM and HSM fill it in and call the same methods, so the three
//! can only agree. Amounts, sequence numbers and the journey context are bound as `DESIGN` and the
//! AES suite ask; SM4 and 3DES stay PBOC-compatible (no context, no sequence, no balance).

use super::TxType;
use crate::{Fen, SuiteId, id::SamNo, suite::Key, time::CardTime};
use sha2::block_api::compress256;

/// The AES suite's journey context: what the terminal read (H0) and what it writes (H1).
/// Both zero in a transaction without cache updates, and in the PBOC suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Context {
    /// SHA-256(FCI | record 1A as read, if it is updated), left 8.
    pub h0: [u8; 8],
    /// SHA-256(cache updates in order), left 8.
    pub h1: [u8; 8],
}

/// Builds a [`Context`] while a CAPP transaction goes on. Card and terminal run the same builder.
#[derive(Clone)]
pub struct ContextBuilder {
    read: Hash,
    updates: Hash,
}

impl ContextBuilder {
    /// Starts with the FCI as the card answered it (the whole `6F` object).
    pub fn new(fci: &[u8]) -> Self {
        let mut read = Hash::new();
        read.update(fci);
        Self {
            read,
            updates: Hash::new(),
        }
    }

    /// Record 1A as it was before its update; call once, before [`Self::update`] of that record.
    pub fn read_1a(&mut self, record: &[u8]) {
        self.read.update(record);
    }

    /// One UPDATE CAPP DATA CACHE: P1, P2 and the data.
    pub fn update(&mut self, p1: u8, p2: u8, data: &[u8]) {
        self.updates.update(&[p1, p2, data.len() as u8]);
        self.updates.update(data);
    }

    /// The context; zeros when nothing was updated.
    pub fn finish(&self) -> Context {
        if self.updates.length == 0 {
            return Context::default();
        }
        Context {
            h0: self.read.first8(),
            h1: self.updates.first8(),
        }
    }
}

/// SHA-256 of which the first eight bytes are wanted. The rounds are the crate's; its buffers for
/// every kind of digest are half a kilobyte more on the card.
#[derive(Clone)]
struct Hash {
    state: [u32; 8],
    block: [u8; 64],
    length: u32,
}

impl Hash {
    /// FIPS 180-4, 5.3.3.
    const fn new() -> Self {
        Self {
            state: [
                0x6A09_E667,
                0xBB67_AE85,
                0x3C6E_F372,
                0xA54F_F53A,
                0x510E_527F,
                0x9B05_688C,
                0x1F83_D9AB,
                0x5BE0_CD19,
            ],
            block: [0; 64],
            length: 0,
        }
    }

    fn update(&mut self, data: &[u8]) {
        for byte in data {
            self.block[self.length as usize % 64] = *byte;
            self.length += 1;
            if self.length.is_multiple_of(64) {
                compress256(&mut self.state, core::slice::from_ref(&self.block));
            }
        }
    }

    /// FIPS 180-4, 5.1.1: 80, zeros, and the length in bits.
    fn first8(&self) -> [u8; 8] {
        let mut hash = self.clone();
        let bits = u64::from(self.length) * 8;
        hash.update(&[0x80]);
        while hash.length % 64 != 56 {
            hash.update(&[0]);
        }
        hash.update(&bits.to_be_bytes());
        let [[a, b, c, d], [e, f, g, h]] = [hash.state[0], hash.state[1]].map(u32::to_be_bytes);
        [a, b, c, d, e, f, g, h]
    }
}

/// One purchase, in every fact that a MAC covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purchase {
    /// Amount.
    pub amount: Fen,
    /// [`TxType::Purchase`] or [`TxType::Capp`].
    pub tx: TxType,
    /// SAM (terminal) number.
    pub terminal: SamNo,
    /// Terminal transaction sequence of the SAM.
    pub terminal_seq: u32,
    /// Time of the transaction.
    pub time: CardTime,
    /// Offline sequence, before its increment.
    pub seq: u16,
    /// The card's random number.
    pub rnd: [u8; 4],
    /// Journey context; ignored by the PBOC suites.
    pub context: Context,
}

impl Purchase {
    fn amount4(&self) -> [u8; 4] {
        self.amount.to_card().unwrap_or([0xFF; 4])
    }

    fn session_input(&self, suite: SuiteId) -> heapless::Vec<u8, 16> {
        let mut input = heapless::Vec::new();
        let term = self.terminal_seq.to_be_bytes();
        let _ = input.extend_from_slice(&self.rnd);
        let _ = input.extend_from_slice(&self.seq.to_be_bytes());
        match suite {
            SuiteId::Aes => {
                let _ = input.extend_from_slice(&term);
                let _ = input.extend_from_slice(&self.terminal.to_bytes());
            }
            SuiteId::Sm4 | SuiteId::Tdes => {
                let _ = input.extend_from_slice(&term[2..]);
            }
        }
        input
    }

    /// MAC1, from the SAM to the card. `dpk` is the card's purchase key.
    pub fn mac1(&self, suite: SuiteId, dpk: &Key) -> [u8; 4] {
        let key = dpk.session(suite, &self.session_input(suite));
        let (amount, tx) = (self.amount4(), [self.tx as u8]);
        let (terminal, time) = (self.terminal.to_bytes(), self.time.to_bytes());
        key.mac4(&[&amount, &tx, &terminal, &time, self.h1_if(suite)])
    }

    /// MAC2, from the card to the SAM.
    pub fn mac2(&self, suite: SuiteId, dpk: &Key) -> [u8; 4] {
        let key = dpk.session(suite, &self.session_input(suite));
        let h0: &[u8] = if suite == SuiteId::Aes {
            &self.context.h0
        } else {
            &[]
        };
        key.mac4(&[&self.amount4(), h0, self.h1_if(suite)])
    }

    /// TAC, from the card to the clearing house. `dtk` is the card's TAC key.
    pub fn tac(&self, suite: SuiteId, dtk: &Key, balance_after: Fen) -> [u8; 4] {
        let (amount, tx) = (self.amount4(), [self.tx as u8]);
        let (terminal, time) = (self.terminal.to_bytes(), self.time.to_bytes());
        let term_seq = self.terminal_seq.to_be_bytes();
        let seq = self.seq.to_be_bytes();
        let balance = balance_after.to_card().unwrap_or([0xFF; 4]);
        let extra: [&[u8]; 2] = match suite {
            SuiteId::Aes => [&seq, &balance],
            SuiteId::Sm4 | SuiteId::Tdes => [&[], &[]],
        };
        dtk.tac_key(suite).mac4(&[
            &amount,
            &tx,
            &terminal,
            &term_seq,
            &time,
            extra[0],
            extra[1],
            self.h1_if(suite),
        ])
    }

    fn h1_if(&self, suite: SuiteId) -> &[u8] {
        if suite == SuiteId::Aes {
            &self.context.h1
        } else {
            &[]
        }
    }
}

/// One load (圈存), in every fact that a MAC covers. The same in all suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Amount.
    pub amount: Fen,
    /// [`TxType::Load`] for the purse.
    pub tx: TxType,
    /// SAM or terminal number of the loading point.
    pub terminal: SamNo,
    /// Online sequence, before its increment.
    pub seq: u16,
    /// The card's random number.
    pub rnd: [u8; 4],
    /// Balance before the load.
    pub balance_before: Fen,
}

impl Load {
    fn session(&self, suite: SuiteId, dlk: &Key) -> crate::suite::MacKey {
        let seq = self.seq.to_be_bytes();
        let r = self.rnd;
        dlk.session(suite, &[r[0], r[1], r[2], r[3], seq[0], seq[1], 0x80, 0x00])
    }

    fn fields(&self) -> [u8; 11] {
        let mut out = [0; 11];
        out[..4].copy_from_slice(&self.amount.to_card().unwrap_or([0xFF; 4]));
        out[4] = self.tx as u8;
        out[5..].copy_from_slice(&self.terminal.to_bytes());
        out
    }

    /// MAC1, from the card to the HSM.
    pub fn mac1(&self, suite: SuiteId, dlk: &Key) -> [u8; 4] {
        let balance = self.balance_before.to_card().unwrap_or([0xFF; 4]);
        self.session(suite, dlk).mac4(&[&balance, &self.fields()])
    }

    /// MAC2, from the HSM to the card.
    pub fn mac2(&self, suite: SuiteId, dlk: &Key, time: CardTime) -> [u8; 4] {
        self.session(suite, dlk)
            .mac4(&[&self.fields(), &time.to_bytes()])
    }

    /// TAC, over `new balance | seq | amount | type | terminal | time`.
    pub fn tac(&self, suite: SuiteId, dtk: &Key, time: CardTime) -> [u8; 4] {
        let after = (self.balance_before + self.amount)
            .to_card()
            .unwrap_or([0xFF; 4]);
        dtk.tac_key(suite).mac4(&[
            &after,
            &self.seq.to_be_bytes(),
            &self.fields(),
            &time.to_bytes(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    fn time(bytes: [u8; 7]) -> CardTime {
        CardTime::from_bytes(bytes).expect("valid time")
    }

    /// Published worked example of a PBOC load (ED, key 11223344..11).
    #[test]
    fn published_load_3des() {
        let key = Key::new(hex!("11223344556677888877665544332211"));
        let load = Load {
            amount: Fen(0x1000),
            tx: TxType::LoadEd,
            terminal: "001122334455".parse().expect("digits"),
            seq: 0,
            rnd: hex!("11223344"),
            balance_before: Fen(0),
        };
        assert_eq!(load.mac1(SuiteId::Tdes, &key), hex!("2988AE5A"));
        assert_eq!(
            load.mac2(SuiteId::Tdes, &key, time(hex!("20111221214822"))),
            hex!("3A845BF0")
        );
    }

    /// Published worked example of a PBOC purchase with the same key.
    #[test]
    fn published_purchase_3des() {
        let key = Key::new(hex!("11223344556677888877665544332211"));
        let purchase = Purchase {
            amount: Fen(0x1000),
            tx: TxType::Purchase,
            terminal: "001122334455".parse().expect("digits"),
            terminal_seq: 1,
            time: time(hex!("20120229135100")),
            seq: 0,
            rnd: hex!("11223344"),
            context: Context {
                h0: [1; 8],
                h1: [2; 8],
            },
        };
        // The context must not enter: 3DES stays PBOC-compatible.
        assert_eq!(purchase.mac1(SuiteId::Tdes, &key), hex!("F15CAB75"));
        assert_eq!(purchase.mac2(SuiteId::Tdes, &key), hex!("56988A13"));
    }

    /// Published e-purse load (key 3F01 x 8).
    #[test]
    fn published_ep_load_3des() {
        let key = Key::new(hex!("3F013F013F013F013F013F013F013F01"));
        let load = Load {
            amount: Fen(0x1234),
            tx: TxType::Load,
            terminal: "000000000001".parse().expect("digits"),
            seq: 0,
            rnd: hex!("F9CABA91"),
            balance_before: Fen(0),
        };
        assert_eq!(load.mac1(SuiteId::Tdes, &key), hex!("6C394D64"));
    }

    /// Every length around the blocks.
    #[test]
    fn the_context_is_sha_256() {
        use sha2::{Digest, Sha256};
        let data: [u8; 200] = core::array::from_fn(|i| (i * 31) as u8);
        for length in 0..data.len() {
            let mut hash = Hash::new();
            let (first, second) = data[..length].split_at(length / 3);
            hash.update(first);
            hash.update(second);
            assert_eq!(
                hash.first8(),
                Sha256::digest(&data[..length])[..8],
                "{length}"
            );
        }
    }

    /// The AES suite binds what PBOC leaves out: sequence, balance, context. SM4 does not.
    #[test]
    fn aes_binds_what_pbocs_suites_leave_out() {
        let key = Key::new([7; 16]);
        let base = Purchase {
            amount: Fen(200),
            tx: TxType::Capp,
            terminal: "350100000001".parse().expect("digits"),
            terminal_seq: 0x0001_0001,
            time: time(hex!("20261123081500")),
            seq: 5,
            rnd: [1, 2, 3, 4],
            context: Context::default(),
        };
        let moved = Purchase {
            context: Context {
                h0: [0; 8],
                h1: [9; 8],
            },
            ..base
        };
        let later = Purchase { seq: 6, ..base };
        let other = Purchase {
            terminal_seq: 0x0002_0001,
            ..base
        };
        assert_ne!(
            base.mac1(SuiteId::Aes, &key),
            moved.mac1(SuiteId::Aes, &key)
        );
        assert_ne!(
            base.tac(SuiteId::Aes, &key, Fen(1)),
            base.tac(SuiteId::Aes, &key, Fen(2))
        );
        assert_ne!(
            base.tac(SuiteId::Aes, &key, Fen(1)),
            later.tac(SuiteId::Aes, &key, Fen(1))
        );
        assert_ne!(
            base.mac1(SuiteId::Aes, &key),
            other.mac1(SuiteId::Aes, &key)
        );
        for suite in [SuiteId::Sm4, SuiteId::Tdes] {
            assert_eq!(base.mac1(suite, &key), moved.mac1(suite, &key));
            assert_eq!(
                base.tac(suite, &key, Fen(1)),
                later.tac(suite, &key, Fen(2))
            );
        }
    }

    #[test]
    fn context_is_zero_without_updates_and_ordered_with_them() {
        assert_eq!(ContextBuilder::new(b"fci").finish(), Context::default());
        let run = |first: &[u8], second: &[u8]| {
            let mut builder = ContextBuilder::new(b"fci");
            builder.update(0, 0xF0, first);
            builder.update(1, 0xD4, second);
            builder.finish()
        };
        assert_ne!(run(b"a", b"b"), run(b"b", b"a"));
        assert_ne!(run(b"a", b"b").h0, [0; 8]);
    }
}
