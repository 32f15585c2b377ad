//! Payment system directories 支付系统目录, by which readers that know no other name find the purse:
//! `1PAY.SYS.DDF01` (EMV Book 1, 12.2: a file of entries) and `2PAY.SYS.DDF01` (EMV Contactless
//! Book B, 3.3: the entries in the FCI). Both list the purse alone and are there when it is.

use crate::{
    apdu::{Answer, Command, Out, Outcome, put},
    error::Error,
};

/// The issuer's part of the FCI: for contacts where the entries are (SFI 1), over the air the
/// entries. Label and priority are those of deployed T-Union cards.
pub(crate) const PSE: &[u8] = &[0xA5, 0x03, 0x88, 0x01, 0x01];
pub(crate) const PPSE: &[u8] = b"\xA5\x1C\xBF\x0C\x19\
    \x61\x17\x4F\x08\xA0\x00\x00\x06\x32\x01\x01\x05\x50\x08MOT_T_EP\x87\x01\x02";
/// Where the entry starts in it.
const ENTRY: usize = 5;

/// READ RECORD 1 of the file of SFI 1: `70 len entry`. There is nothing else to do here.
pub(crate) fn run(entries: bool, command: Command<'_>, out: &mut Out) -> Outcome {
    match command.header() {
        (0x00, 0xB2, 0x01, 0x0C) if entries => {
            let entry = &PPSE[ENTRY..];
            put(out, &[0x70, entry.len() as u8]);
            put(out, entry);
            Ok(Answer::Exact)
        }
        (0x00, 0xB2, _, 0x0C) if entries => Err(Error::RECORD),
        (0x00, 0xB2, ..) => Err(Error::NOT_FOUND),
        (0x00 | 0x80 | 0x84, ..) => Err(Error::INSTRUCTION),
        _ => Err(Error::CLASS),
    }
}
