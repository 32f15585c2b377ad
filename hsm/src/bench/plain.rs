//! The same work without an HSM: card key from region key, key set-up, MAC, comparison. Written
//! against the RustCrypto crates alone, as one would write it for speed.

use aes::Aes128;
use card_spec::{
    SuiteId,
    keys::{Factor, KeyHeader, card_factor},
    purse::mac::Purchase,
    suite::Key,
};
use cmac::{Cmac, Mac};
use des::{
    Des, TdesEde2,
    cipher::{Block, BlockCipherEncrypt, KeyInit},
};
use hsm_client::CardRef;
use sm4::Sm4;
use subtle::ConstantTimeEq;

use super::BALANCE;

/// Longest TAC message: the AES suite's.
const MESSAGE: usize = 36;
/// Of the PBOC suites.
const SHORT: usize = 22;

/// One TAC, its inputs laid out.
pub(super) struct Plain {
    suite: SuiteId,
    region: [u8; 16],
    /// AN10922's `01 | M | 80 ..` or PBOC's `F | ~F`.
    factor: [u8; 32],
    message: [u8; MESSAGE],
    tac: [u8; 4],
}

impl Plain {
    pub(super) fn new(
        region: &Key,
        header: KeyHeader,
        card: &CardRef,
        purchase: &Purchase,
        tac: [u8; 4],
    ) -> Self {
        let mut factor = [0; 32];
        match card_factor(header, card.pan, card.generation) {
            Factor::An10922 { input, length } => {
                let length = usize::from(length);
                factor[0] = 0x01;
                factor[1..=length].copy_from_slice(&input[..length]);
                factor[length + 1] = 0x80;
            }
            Factor::Pboc(_, f) => {
                factor[..8].copy_from_slice(&f);
                factor[8..16].copy_from_slice(&f.map(|b| !b));
            }
        }
        let mut message = [0; MESSAGE];
        let fields: [&[u8]; 8] = [
            &(purchase.amount.0 as u32).to_be_bytes(),
            &[purchase.tx as u8],
            &purchase.terminal.to_bytes(),
            &purchase.terminal_seq.to_be_bytes(),
            &purchase.time.to_bytes(),
            &purchase.seq.to_be_bytes(),
            &(BALANCE.0 as u32).to_be_bytes(),
            &purchase.context.h1,
        ];
        message.copy_from_slice(&fields.concat());
        Self {
            suite: header.suite,
            region: *region.expose(),
            factor,
            message,
            tac,
        }
    }

    pub(super) fn verifies(&self) -> bool {
        let mac = match self.suite {
            SuiteId::Aes => self.aes(),
            SuiteId::Sm4 => self.sm4(),
            SuiteId::Tdes => self.tdes(),
        };
        mac[..4].ct_eq(&self.tac).into()
    }

    fn aes(&self) -> [u8; 16] {
        let region = Aes128::new(&self.region.into());
        let mut zero = [0; 16].into();
        region.encrypt_block(&mut zero);
        let k2 = double(double(zero.into()));
        let (first, second) = self.factor.split_at(16);
        let mut block: [u8; 16] = [0; 16];
        block.copy_from_slice(first);
        let mut state = block.into();
        region.encrypt_block(&mut state);
        for (i, byte) in state.iter_mut().enumerate() {
            *byte ^= second[i] ^ k2[i];
        }
        region.encrypt_block(&mut state);
        let mut mac = Cmac::<Aes128>::new(&state);
        mac.update(&self.message);
        mac.finalize().into_bytes().into()
    }

    fn sm4(&self) -> [u8; 16] {
        let region = Sm4::new(&self.region.into());
        let mut key = [0; 16];
        key.copy_from_slice(&self.factor[..16]);
        let mut key = key.into();
        region.encrypt_block(&mut key);
        let card = Sm4::new(&key);
        let mut padded = [0; 32];
        padded[..SHORT].copy_from_slice(&self.message[..SHORT]);
        padded[SHORT] = 0x80;
        cbc_mac(&card, &padded).into()
    }

    fn tdes(&self) -> [u8; 16] {
        let region = TdesEde2::new(&self.region.into());
        let mut folded = [0; 8];
        for half in self.factor[..16].chunks_exact(8) {
            let mut block = Block::<TdesEde2>::default();
            block.copy_from_slice(half);
            region.encrypt_block(&mut block);
            xor(&mut folded, &block);
        }
        let card = Des::new(&folded.into());
        let mut padded = [0; 24];
        padded[..SHORT].copy_from_slice(&self.message[..SHORT]);
        padded[SHORT] = 0x80;
        let mut out = [0; 16];
        out[..8].copy_from_slice(&cbc_mac(&card, &padded));
        out
    }
}

/// CBC-MAC of whole blocks.
fn cbc_mac<C: BlockCipherEncrypt>(cipher: &C, padded: &[u8]) -> Block<C> {
    let mut state = Block::<C>::default();
    for block in padded.chunks_exact(state.len()) {
        xor(&mut state, block);
        cipher.encrypt_block(&mut state);
    }
    state
}

fn xor(state: &mut [u8], block: &[u8]) {
    for (s, b) in state.iter_mut().zip(block) {
        *s ^= b;
    }
}

/// Doubling in GF(2^128).
fn double(block: [u8; 16]) -> [u8; 16] {
    let value = u128::from_be_bytes(block);
    ((value << 1) ^ (0x87 & 0u128.wrapping_sub(value >> 127))).to_be_bytes()
}
