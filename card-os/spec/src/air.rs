//! How long bytes take between reader and card: ISO 14443-4 type A at its fastest, and T=0 to a
//! SAM. A model of the transport alone; what card, SAM and software take is measured elsewhere.
//!
//! fc = 13.56 MHz, etu = 128 / (fc D). A reader's frame of n bytes takes 1 + 9n + 2 etu, a card's
//! 1 + 9n + 1 etu at 106 kbit/s and 512/fc more than 1 + 9n etu above it (ISO 14443-2 and -3); n is the
//! APDU's part and three bytes of block. Every turn costs the shortest frame delay, 1172/fc.

/// Bit rate in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// 106 kbit/s, D = 1.
    K106 = 1,
    /// 212 kbit/s.
    K212 = 2,
    /// 424 kbit/s.
    K424 = 4,
    /// 848 kbit/s.
    K848 = 8,
}

impl Rate {
    /// Every rate.
    pub const ALL: [Self; 4] = [Self::K106, Self::K212, Self::K424, Self::K848];

    /// In kbit/s.
    pub const fn kbit(self) -> u32 {
        106 * self as u32
    }

    /// Carrier cycles of an etu.
    const fn etu(self) -> u64 {
        128 / self as u64
    }

    const fn reader_frame(self, bytes: u64) -> u64 {
        (1 + 9 * bytes + 2) * self.etu()
    }

    const fn card_frame(self, bytes: u64) -> u64 {
        match self {
            Self::K106 => (1 + 9 * bytes + 1) * self.etu(),
            _ => 512 + (1 + 9 * bytes) * self.etu(),
        }
    }
}

/// Frame delay time, reader to card and back.
const TURN: u64 = 1172;

/// Bytes of an APDU that a frame of 256 bytes carries.
const PART: u64 = 253;

/// PCB and CRC of a block.
const BLOCK: u64 = 3;

/// Nanoseconds that one command and its answer (with status word) spend on the air.
pub const fn exchange_ns(rate: Rate, out: usize, back: usize) -> u64 {
    let (out, back) = (out as u64, back as u64);
    let (blocks_out, blocks_back) = (out.div_ceil(PART), back.div_ceil(PART));
    let (more_out, more_back) = (blocks_out.saturating_sub(1), blocks_back.saturating_sub(1));
    let mut cycles = rate.reader_frame(out + BLOCK) + rate.card_frame(back + BLOCK) + 2 * TURN;
    // Every further block of a chain: its own frame, R(ACK) of three bytes, two turns.
    cycles += more_out * (rate.reader_frame(BLOCK) + rate.card_frame(BLOCK) + 2 * TURN);
    cycles += more_back * (rate.card_frame(BLOCK) + rate.reader_frame(BLOCK) + 2 * TURN);
    cycles * 100_000 / 1356
}

/// Nanoseconds from field to the first APDU: a card with a UID of four bytes, at 106 kbit/s, and PPS
/// when the rate is another.
pub const fn activation_ns(rate: Rate) -> u64 {
    match rate {
        Rate::K106 => 4_600_000,
        _ => 5_500_000,
    }
}

/// Nanoseconds of characters to and from a SAM on T=0: 12 etu each.
pub const fn sam_ns(characters: usize, baud: u32) -> u64 {
    characters as u64 * 12 * 1_000_000_000 / baud as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tenths of a millisecond of a flow whose exchanges have these lengths.
    fn tenths(rate: Rate, flow: &[(usize, usize)]) -> u64 {
        let air: u64 = flow.iter().map(|(o, b)| exchange_ns(rate, *o, *b)).sum();
        (activation_ns(rate) + air + 50_000) / 100_000
    }

    /// The published table: exchanges, bytes out and back, and times at the four rates.
    #[test]
    fn the_four_flows_of_the_table() {
        for (exchanges, out, back, expected) in [
            (3, 51, 80, [179, 125, 93, 77]),
            (5, 109, 132, [287, 182, 124, 95]),
            (9, 144, 282, [474, 280, 177, 125]),
            (8, 252, 296, [570, 327, 199, 136]),
        ] {
            // Only the sums count as long as no block is chained.
            let flow = &spread(exchanges, out, back)[..exchanges];
            for (rate, expected) in Rate::ALL.into_iter().zip(expected) {
                let got = tenths(rate, flow);
                assert!(got.abs_diff(expected) <= 1, "{out}/{back} {rate:?}: {got}");
            }
        }
    }

    fn spread(exchanges: usize, out: usize, back: usize) -> [(usize, usize); 9] {
        let mut flow = [(out / exchanges, back / exchanges); 9];
        flow[0].0 += out % exchanges;
        flow[0].1 += back % exchanges;
        flow
    }

    #[test]
    fn a_chained_block_costs_a_frame_an_acknowledgement_and_two_turns() {
        let short = exchange_ns(Rate::K106, 5, 253);
        let long = exchange_ns(Rate::K106, 5, 254);
        // One byte, a second block's head, an R(ACK), two turns: 9 + 29 + 30 etu and 2344/fc.
        let cycles: u64 = (9 + 29 + 30) * 128 + 2344;
        assert!((long - short).abs_diff(cycles * 100_000 / 1356) <= 1);
    }

    /// `8070` and `8072` are 64 characters.
    #[test]
    fn sam_on_t0() {
        assert_eq!(sam_ns(64, 9_600), 80_000_000);
        assert_eq!(sam_ns(64, 38_400), 20_000_000);
        assert_eq!(sam_ns(64, 115_200) / 10_000, 666);
    }
}
