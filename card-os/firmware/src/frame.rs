//! Frames as T=1 has them, with two bytes of length: `kind 1 | length 2 | data | LRC 1`, where the
//! LRC is the exclusive or of all bytes before it.

use crate::uart;

/// Longest data: an extended APDU of the card's own limit.
pub const LONGEST: usize = 600;

/// What a frame is for. The answer carries the kind of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A command APDU; `ticks 4 | response` comes back.
    Apdu = 0x00,
    /// Power off and on; `ticks 4 | ATR` comes back.
    Reset = 0x01,
    /// `00` contacts, `01` contactless.
    Interface = 0x02,
    /// Makes a blank card.
    Format = 0x03,
    /// `operation 4 | mode 1`: cuts the power there; empty: never.
    Cut = 0x04,
    /// `stack 4 | words programmed 4 | pages erased 4 | bytes used 4` comes back.
    Counters = 0x05,
    /// Answer: the power was cut inside the command.
    Removed = 0x80,
    /// Answer: the frame was not understood; send it again.
    Broken = 0x81,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x00 => Self::Apdu,
            0x01 => Self::Reset,
            0x02 => Self::Interface,
            0x03 => Self::Format,
            0x04 => Self::Cut,
            0x05 => Self::Counters,
            _ => return None,
        })
    }
}

pub struct Frame<'a> {
    pub kind: Kind,
    pub data: &'a [u8],
}

/// The next frame; `None` if it is too long, of no kind, or its LRC is wrong.
pub fn receive(buffer: &mut [u8; LONGEST]) -> Option<Frame<'_>> {
    let kind = uart::get();
    let length = [uart::get(), uart::get()];
    let mut lrc = kind ^ length[0] ^ length[1];
    let length = usize::from(u16::from_be_bytes(length));
    for i in 0..length {
        let byte = uart::get();
        lrc ^= byte;
        if let Some(place) = buffer.get_mut(i) {
            *place = byte;
        }
    }
    if uart::get() != lrc {
        return None;
    }
    Some(Frame {
        kind: Kind::from_byte(kind)?,
        data: buffer.get(..length)?,
    })
}

/// Sends both parts as one frame.
pub fn send(kind: Kind, first: &[u8], second: &[u8]) {
    let [high, low] = ((first.len() + second.len()) as u16).to_be_bytes();
    let head = [kind as u8, high, low];
    let mut lrc = 0;
    for part in [&head, first, second] {
        for byte in part {
            lrc ^= byte;
            uart::put(*byte);
        }
    }
    uart::put(lrc);
}
