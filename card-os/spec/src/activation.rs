//! What a card answers when a contactless reader activates it: ISO 14443-3 and -4, type A.
//!
//! Nothing in it tells one card from another: the UID is random (ISO 14443-3, 6.5.4: single size,
//! first byte 08) and the historical bytes are the same on every card. A reader that must know the
//! card selects an application.

/// ATQA and SAK are constants of the design; the UID is drawn anew at every activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation {
    uid: [u8; 4],
}

impl Activation {
    /// With three random bytes.
    pub const fn new([a, b, c]: [u8; 3]) -> Self {
        Self {
            uid: [0x08, a, b, c],
        }
    }

    /// Single-size UID, random.
    pub const fn uid(self) -> [u8; 4] {
        self.uid
    }

    /// UID and its check byte BCC, as the anticollision loop sends them.
    pub const fn uid_bcc(self) -> [u8; 5] {
        let [a, b, c, d] = self.uid;
        [a, b, c, d, a ^ b ^ c ^ d]
    }
}

/// ATQA as transmitted, low byte first: single-size UID, bit frame anticollision in slot 3.
pub const ATQA: [u8; 2] = [0x04, 0x00];

/// SAK: UID complete, compliant with ISO 14443-4.
pub const SAK: u8 = 0x20;

/// A bit rate and its divisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitRate {
    /// fc/128, always there.
    Kbit106,
    /// fc/64.
    Kbit212,
    /// fc/32.
    Kbit424,
    /// fc/16.
    Kbit848,
}

/// Answer to select: TL, T0, TA(1), TB(1), TC(1), historical bytes (ISO 14443-4, 5.2).
///
/// * T0 78: TA, TB and TC follow; frames of 256 bytes to the card (FSCI 8).
/// * TA 77: 212, 424 and 848 kbit/s in both directions, each chosen by itself.
/// * TB 80: 77 ms to answer (FWI 8), no guard time after the ATS (SFGI 0).
/// * TC 02: CID, no NAD.
/// * Historical bytes `80 73 F6 21 9B`, compact TLV: selection by full and partial DF name, path
///   and FID, files by SFI, records by number; data units of a byte; chaining, no
///   extended lengths, four channels, numbered by card or reader.
pub const ATS: [u8; 10] = [0x0A, 0x78, 0x77, 0x80, 0x02, 0x80, 0x73, 0xF6, 0x21, 0x9B];

/// The bit rates an ATS offers in both directions, slowest first; `None` if it is not well formed.
pub fn bit_rates(ats: &[u8]) -> Option<heapless::Vec<BitRate, 4>> {
    let (&length, _) = ats.split_first()?;
    if usize::from(length) != ats.len() {
        return None;
    }
    let mut rates = heapless::Vec::new();
    rates.push(BitRate::Kbit106).ok()?;
    let Some(t0) = ats.get(1) else {
        return Some(rates);
    };
    let interface_bytes = (t0 >> 4 & 0x07).count_ones() as usize;
    if t0 & 0x80 != 0 || ats.len() < 2 + interface_bytes {
        return None;
    }
    if t0 & 0x10 != 0 {
        let ta = *ats.get(2)?;
        // Bit 4 is RFU.
        if ta & 0x08 != 0 {
            return None;
        }
        let both = ta & ta >> 4;
        for (bit, rate) in [
            (1, BitRate::Kbit212),
            (2, BitRate::Kbit424),
            (4, BitRate::Kbit848),
        ] {
            if both & bit != 0 {
                rates.push(rate).ok()?;
            }
        }
    }
    Some(rates)
}
