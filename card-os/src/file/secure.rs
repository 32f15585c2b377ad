//! Secure messaging on files (CLA 04), PBOC's way: a four-byte MAC behind the data, under the key
//! that the file's access names, with the last challenge as initial value. Formats: `card_spec::sm`.

use super::{Action, Command, Current, File, Grants};
use crate::{
    apdu::{Answer, Out, Outcome, put},
    card::Interface,
    counter::Row,
    error::Error,
    keystore::Slot,
    nvm::Nvm,
    store::Area,
};
use card_spec::{
    keys::KeyType,
    sm::{self, Challenge8},
};
use zeroize::Zeroize;

/// What secure messaging does with a file's contents ("line protection" 线路保护).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// They travel in clear with a MAC.
    Mac,
    /// They travel enciphered, with a MAC over the ciphertext.
    Enciphered,
}

/// Header and MAC of a command under secure messaging.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secured {
    pub(crate) header: [u8; 5],
    pub(crate) mac: [u8; 4],
}

/// Most bytes of contents in an answer: with the MAC, and with a length byte and padding up to
/// whole blocks, they fill at most 256.
const CLEAR: usize = 252;
const ENCIPHERED: usize = 238;

impl File {
    /// The key whose holder may do this under secure messaging: that of the access, or for files
    /// that are free to read the one that writes them.
    fn secured_by(&self, action: Action) -> Option<(KeyType, u8)> {
        if action.writes() {
            self.write.key()
        } else {
            self.read.key().or(self.write.key())
        }
    }

    /// Does what a command in clear asks for, if this holder of `grants` may have it. `open`: the
    /// application is of a profile that lets everybody read.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a command touches, and what its access depends on"
    )]
    pub(crate) fn run_in_clear<N: Nvm>(
        &self,
        area: &mut Area<'_, N>,
        current: &mut Current,
        command: Command<'_>,
        grants: &Grants,
        interface: Interface,
        open: bool,
        out: &mut Out,
    ) -> Outcome {
        let access = if command.action.writes() {
            self.write
        } else {
            self.read
        };
        if !access.granted(grants, interface, open) {
            return Err(Error::SECURITY);
        }
        let room = out.capacity();
        self.run(area, current, command.action, command.data, room, out)
    }

    /// Checks the MAC, deciphers, does it, and answers under MAC.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a command under secure messaging touches"
    )]
    pub(crate) fn run_secured<N: Nvm>(
        &self,
        area: &mut Area<'_, N>,
        row: Row,
        challenge: Challenge8,
        current: &mut Current,
        command: Command<'_>,
        secured: Secured,
        out: &mut Out,
    ) -> Outcome {
        let (key_type, index) = self.secured_by(command.action).ok_or(Error::SECURITY)?;
        let Slot { header, key, .. } = area.key_of(key_type, Some(index), Error::REFERENCE)?;
        let suite = header.suite;
        let expected = sm::mac(suite, &key, challenge, secured.header, command.data);
        row.guard(area, &expected, &secured.mac, Error::SM_WRONG)?;
        // The MAC was right, whatever comes of the command: the failure is taken back now.
        area.commit()?;
        let writes = command.action.writes();
        let enciphered = self.line == Line::Enciphered;
        let action = match command.action {
            // As much as fits: Le counts the wrapped answer.
            Action::ReadBinary { offset, .. } => Action::ReadBinary { offset, le: None },
            other => other,
        };
        let mut plain = heapless::Vec::<u8, 256>::new();
        let data = if writes && enciphered {
            let whole = command.data.len().is_multiple_of(suite.block());
            if command.data.is_empty() || !whole || plain.extend_from_slice(command.data).is_err() {
                return Err(Error::LENGTH);
            }
            sm::decrypt(suite, &key, challenge, &mut plain);
            sm::from_plaintext(&plain)
        } else {
            Some(command.data)
        };
        let room = if enciphered { ENCIPHERED } else { CLEAR };
        let done = match data {
            Some(data) => self.run(area, current, action, data, room, out),
            None => Err(Error::DATA),
        };
        plain.zeroize();
        let answer = done?;
        if writes {
            return Ok(answer);
        }
        if enciphered {
            let length = out.len() as u8;
            out.insert(0, length).map_err(|_| Error::SPACE)?;
            put(out, &[0x80]);
            while !out.len().is_multiple_of(suite.block()) {
                put(out, &[0]);
            }
            sm::encrypt(suite, &key, challenge, out);
        }
        let [cla, ins, p1, p2, _] = secured.header;
        let header = [cla, ins, p1, p2, (out.len() + 4) as u8];
        let mac = sm::mac(suite, &key, challenge, header, out);
        put(out, &mac);
        Ok(match answer {
            Answer::Warning(warning) => Answer::Warning(warning),
            _ => Answer::Done,
        })
    }
}
