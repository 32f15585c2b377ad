//! SCP03 (GlobalPlatform Amendment D), AES-128, S8 mode: what the card and the issuer compute alike.

use crate::suite::{Key, SuiteId, cmac};

/// Derivation constants.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Constant {
    CardCryptogram = 0x00,
    HostCryptogram = 0x01,
    CardChallenge = 0x02,
    Enc = 0x04,
    Mac = 0x06,
    Rmac = 0x07,
}

/// Security levels of EXTERNAL AUTHENTICATE.
pub mod level {
    /// C-MAC.
    pub const C_MAC: u8 = 0x01;
    /// C-DECRYPTION and C-MAC.
    pub const C_DEC_MAC: u8 = 0x03;
    /// R-MAC.
    pub const R_MAC: u8 = 0x10;
    /// R-ENCRYPTION and R-MAC.
    pub const R_ENC_MAC: u8 = 0x30;
    /// The levels a card accepts.
    pub const ALL: [u8; 5] = [0x01, 0x03, 0x11, 0x13, 0x33];
}

/// The three static keys of a key set.
pub struct StaticKeys {
    /// Encryption.
    pub enc: Key,
    /// MAC.
    pub mac: Key,
    /// Data encryption (keys inside PUT KEY and STORE DATA).
    pub dek: Key,
}

/// KDF of SP 800-108 in counter mode with CMAC, one block of `bits` (64 or 128).
fn kdf(key: &Key, constant: Constant, bits: u16, context: &[&[u8]]) -> [u8; 16] {
    let mut label = [0u8; 16];
    label[11] = constant as u8;
    label[13..15].copy_from_slice(&bits.to_be_bytes());
    label[15] = 1;
    match context {
        [a] => cmac(key.expose(), &[&label, a]),
        [a, b] => cmac(key.expose(), &[&label, a, b]),
        _ => cmac(key.expose(), &[&label]),
    }
}

fn first8(block: [u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = block;
    [a, b, c, d, e, f, g, h]
}

/// The pseudo-random card challenge: `sequence` is the 3-byte counter, `aid` the security domain.
pub fn card_challenge(enc: &Key, sequence: [u8; 3], aid: &[u8]) -> [u8; 8] {
    first8(kdf(enc, Constant::CardChallenge, 64, &[&sequence, aid]))
}

/// The cryptograms of a handshake, before any command is protected.
pub struct Handshake {
    /// What the card answers.
    pub card_cryptogram: [u8; 8],
    /// What the host proves.
    pub host_cryptogram: [u8; 8],
    /// The session, once both agree.
    pub session: Session,
}

impl Handshake {
    /// Derives session keys and cryptograms from the static keys and both challenges.
    pub fn derive(keys: &StaticKeys, host: &[u8; 8], card: &[u8; 8]) -> Self {
        let session = Session {
            enc: Key::new(kdf(&keys.enc, Constant::Enc, 128, &[host, card])),
            mac: Key::new(kdf(&keys.mac, Constant::Mac, 128, &[host, card])),
            rmac: Key::new(kdf(&keys.mac, Constant::Rmac, 128, &[host, card])),
            chain: [0; 16],
            counter: 0,
        };
        Self {
            card_cryptogram: first8(kdf(
                &session.mac,
                Constant::CardCryptogram,
                64,
                &[host, card],
            )),
            host_cryptogram: first8(kdf(
                &session.mac,
                Constant::HostCryptogram,
                64,
                &[host, card],
            )),
            session,
        }
    }
}

/// Session keys, MAC chaining value and encryption counter.
pub struct Session {
    enc: Key,
    mac: Key,
    rmac: Key,
    chain: [u8; 16],
    counter: u128,
}

impl Session {
    /// C-MAC over `CLA INS P1 P2 Lc | data` (Lc counts the MAC); advances the chain.
    pub fn c_mac(&mut self, header: [u8; 5], data: &[u8]) -> [u8; 8] {
        self.chain = cmac(self.mac.expose(), &[&self.chain, &header, data]);
        first8(self.chain)
    }

    /// The MAC a command must carry, without advancing the chain: check, then [`Self::accept`].
    pub fn peek_c_mac(&self, header: [u8; 5], data: &[u8]) -> [u8; 16] {
        cmac(self.mac.expose(), &[&self.chain, &header, data])
    }

    /// Adopts the chain value of a command whose MAC was right.
    pub fn accept(&mut self, chain: [u8; 16]) {
        self.chain = chain;
    }

    /// Starts the next command: the counter moves with every protected command, also one without data.
    pub fn next_command(&mut self) {
        self.counter = self.counter.wrapping_add(1);
    }

    /// Encrypts padded command data in place.
    pub fn encrypt_command(&self, data: &mut [u8]) {
        self.enc.encrypt_cbc(SuiteId::Aes, &self.icv(false), data);
    }

    /// Decrypts command data in place.
    pub fn decrypt_command(&self, data: &mut [u8]) {
        self.enc.decrypt_cbc(SuiteId::Aes, &self.icv(false), data);
    }

    /// Encrypts padded response data in place.
    pub fn encrypt_response(&self, data: &mut [u8]) {
        self.enc.encrypt_cbc(SuiteId::Aes, &self.icv(true), data);
    }

    /// Decrypts response data in place.
    pub fn decrypt_response(&self, data: &mut [u8]) {
        self.enc.decrypt_cbc(SuiteId::Aes, &self.icv(true), data);
    }

    /// R-MAC over the chaining value, the response data as sent and the status word.
    pub fn r_mac(&self, data: &[u8], sw: [u8; 2]) -> [u8; 8] {
        first8(cmac(self.rmac.expose(), &[&self.chain, data, &sw]))
    }

    fn icv(&self, response: bool) -> [u8; 16] {
        let mut icv = self.counter.to_be_bytes();
        if response {
            icv[0] = 0x80;
        }
        self.enc.encrypt_ecb(SuiteId::Aes, &mut icv);
        icv
    }
}

/// Padded length of `n` bytes under padding method 2 with 16-byte blocks.
pub const fn padded(n: usize) -> usize {
    n / 16 * 16 + 16
}

/// Appends 80 00.. inside `buffer`, whose first `n` bytes are data. `None` if it does not fit.
pub fn pad(buffer: &mut [u8], n: usize) -> Option<usize> {
    let end = padded(n);
    let tail = buffer.get_mut(n..end)?;
    tail.fill(0);
    *tail.first_mut()? = 0x80;
    Some(end)
}

/// Length of the data once the padding is taken off; `None` if the padding is wrong.
pub fn unpad(data: &[u8]) -> Option<usize> {
    let end = data.iter().rposition(|b| *b != 0)?;
    (data[end] == 0x80).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    fn keys() -> StaticKeys {
        StaticKeys {
            enc: Key::new(hex!("000102030405060708090a0b0c0d0e0f")),
            mac: Key::new(hex!("101112131415161718191a1b1c1d1e1f")),
            dek: Key::new(hex!("202122232425262728292a2b2c2d2e2f")),
        }
    }

    /// SCP03 session trace with keys 00..0f / 10..1f / 20..2f, KVN 30, i = 70.
    #[test]
    fn published_session() {
        let host = hex!("fdf38259a1e0de44");
        let card = hex!("3b1aca81e821f219");
        let mut handshake = Handshake::derive(&keys(), &host, &card);
        assert_eq!(handshake.card_cryptogram, hex!("081cdc01c26b372d"));
        assert_eq!(handshake.host_cryptogram, hex!("8c36f96bcc00724a"));
        let session = &mut handshake.session;
        assert_eq!(
            session.enc.expose(),
            &hex!("bc5689f3a0b783a9ed6da1c5c6bc1f99")
        );
        assert_eq!(
            session.mac.expose(),
            &hex!("0415f56cbb9e488bb171b2b66081f004")
        );
        assert_eq!(
            session.rmac.expose(),
            &hex!("1ee185123244e047bc9d68b914bd1fbe")
        );
        // EXTERNAL AUTHENTICATE 84 82 33 00 10.
        let mac = session.c_mac([0x84, 0x82, 0x33, 0x00, 0x10], &handshake.host_cryptogram);
        assert_eq!(mac, hex!("4e13ad591d7da3f0"));
    }

    /// SP 800-108 counter mode, r = 8, CMAC-AES128 (NIST CAVS): the KDF is one CMAC of
    /// `[i] | fixed`; SCP03's layout differs only in where the counter stands.
    #[test]
    fn sp800_108_counter_mode() {
        let key = hex!("dff1e50ac0b69dc40f1051d46c2b069c");
        let fixed = hex!(
            "c16e6e02c5a3dcc8d78b9ac1306877761310455b4e41469951d9e6c2245a064b33fd8c3b01203a7824485bf0a64060c4648b707d2607935699316ea5"
        );
        assert_eq!(
            cmac(&key, &[&[1], &fixed]),
            hex!("8be8f0869b3c0ba97b71863d1b9f7813")
        );
    }

    #[test]
    fn padding() {
        let mut buffer = [0xAA; 32];
        assert_eq!(pad(&mut buffer, 16), Some(32));
        assert_eq!(unpad(&buffer), Some(16));
        assert_eq!(pad(&mut buffer[..16], 16), None);
        assert_eq!(unpad(&[0; 16]), None);
    }
}
