//! A stream of raw APDUs, resets and interface switches against a sample card or SAM.
//!
//! `start 1`, then items: `length 1 (1..=FE) | APDU`, `FF | length 2 | APDU` for long ones, or `00`
//! and a control byte.

use crate::{
    input::Input,
    start::{STARTS, transmit},
};
use card_spec::{Sw, aid, apdu, channel::MAX_RESPONSE};
use virtual_card::Interface;

/// More items than this find nothing new, they only take time.
const ITEMS: usize = 64;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut card = input.pick(&STARTS).card();
    let mut room = MAX_RESPONSE;
    for _ in 0..ITEMS {
        if input.is_empty() {
            break;
        }
        let length = match input.byte() {
            0 => {
                match input.byte() {
                    0 => card.power_cycle(),
                    1 => card.set_interface(Interface::Contact),
                    2 => card.set_interface(Interface::Contactless),
                    // A reader with a small buffer.
                    n => room = usize::from(n),
                }
                continue;
            }
            0xFF => usize::from(input.u16()),
            n => usize::from(n),
        };
        transmit(&mut card, input.take(length), room);
    }
    // Whatever was sent, the card is still a card.
    card.power_cycle();
    let (_, sw) = transmit(&mut card, &apdu::select(aid::ISD), MAX_RESPONSE);
    let terminated = Sw::NOT_ALLOWED_STATE;
    assert!(sw == Sw::OK || sw == terminated, "afterwards: {sw}");
}

/// Writes items, for seeds.
pub mod write {
    /// One APDU.
    pub fn apdu(out: &mut Vec<u8>, command: &[u8]) {
        match u8::try_from(command.len()) {
            Ok(short @ 1..=0xFE) => out.push(short),
            _ => {
                out.push(0xFF);
                out.extend((command.len() as u16).to_be_bytes());
            }
        }
        out.extend(command);
    }

    /// One control.
    pub fn control(out: &mut Vec<u8>, byte: u8) {
        out.extend([0, byte]);
    }
}
