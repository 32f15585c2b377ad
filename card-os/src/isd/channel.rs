//! SCP03 (GlobalPlatform Amendment D): opening, unwrapping commands, protecting responses.

use super::{Isd, Open, Ram, SessionState, at, keysets::KeySet};
use crate::{
    apdu::{Answer, Command, Out, Outcome, put},
    error::Error,
    layout::App,
    nvm::Nvm,
    store::Area,
};
use card_spec::{
    Sw, aid,
    perso::InitializeUpdateAnswer,
    scp03::{Handshake, card_challenge, level, pad, unpad},
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of a C-MAC or R-MAC.
const MAC: usize = 8;

impl<N: Nvm> Isd<'_, N> {
    /// INITIALIZE UPDATE. Ends the session there was, whichever channel's: a card has one.
    ///
    /// Anybody may send it, over the air too, so it writes nothing. The sequence counter moves when
    /// EXTERNAL AUTHENTICATE succeeds, and before the session is open: as SCP02 counts. Until then
    /// the pseudo-random challenge is the same again, which costs nothing: the keys also come from
    /// the host's challenge, and a host that draws that anew never meets the same keys twice. Of a
    /// session that was opened neither challenge nor keys come again, so nothing of it can be
    /// replayed. What somebody kept from the card can be given to it later, once and in order, as
    /// if the line were slow.
    pub(super) fn initialize_update(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        *self.ram = Ram::default();
        let host: &[u8; 8] = command.array()?;
        // P1 names the key set; with SCP03 P2, the key identifier, is 00 (Amendment D, 7.1.1.2).
        if command.p2 != 0 {
            return Err(Error::PARAMETERS);
        }
        let area = self.store.area(App::Isd);
        at::AUTH_ROW.through(self.interface).check(&area)?;
        let set = KeySet::find(&area, command.p1).ok_or(Error::REFERENCE)?;
        let keys = set.keys(&area);
        let option = scp_option(&area)?;
        let [a, b, c] = area.array(at::SEQUENCE);
        let next = u32::from_be_bytes([0, a, b, c]) + 1;
        let [0, sequence @ ..] = next.to_be_bytes() else {
            return Err(Error::COUNTER);
        };
        let challenge = match option {
            ScpOption::PseudoRandom => card_challenge(&keys.enc, sequence, aid::ISD),
            ScpOption::Random => {
                let mut random = [0; 8];
                self.entropy.fill(&mut random);
                random
            }
        };
        let handshake = Handshake::derive(&keys, host, &challenge);
        let answer = InitializeUpdateAnswer {
            diversification: area.array(at::CHIP_SERIAL),
            kvn: set.kvn(&area),
            i: option as u8,
            challenge,
            cryptogram: handshake.card_cryptogram,
            sequence,
        };
        let bytes = answer.to_bytes();
        // The counter is told only to who needs it to check the challenge.
        put(
            out,
            match option {
                ScpOption::PseudoRandom => &bytes,
                ScpOption::Random => &bytes[..29],
            },
        );
        *self.ram = Ram {
            state: SessionState::Started {
                sequence,
                handshake,
                dek: keys.dek,
                set,
            },
            owner: Some(self.channel),
            ..Ram::default()
        };
        Ok(Answer::Done)
    }

    /// EXTERNAL AUTHENTICATE: host cryptogram and C-MAC. Failures in a row are counted.
    pub(super) fn external_authenticate(&mut self, command: Command<'_>) -> Outcome {
        if !self.ram.owned_by(self.channel) {
            return Err(Error::CONDITIONS);
        }
        let state = core::mem::take(self.ram);
        let SessionState::Started {
            sequence,
            handshake,
            dek,
            set,
        } = state.state
        else {
            return Err(Error::CONDITIONS);
        };
        let (cryptogram, _) = command
            .array::<16>()?
            .split_first_chunk::<8>()
            .ok_or(Error::LENGTH)?;
        if !level::ALL.contains(&command.p1) || command.p2 != 0 {
            return Err(Error::PARAMETERS);
        }
        let Handshake {
            host_cryptogram,
            mut session,
            ..
        } = handshake;
        let chain = session.peek_c_mac(command.mac_header(), cryptogram);
        let mut expected = [0; 16];
        expected[..8].copy_from_slice(&host_cryptogram);
        expected[8..].copy_from_slice(&chain[..MAC]);
        let mut area = self.store.area(App::Isd);
        at::AUTH_ROW.through(self.interface).guard(
            &mut area,
            &expected,
            command.data,
            Error::SECURITY,
        )?;
        // No session opens whose challenge could come again.
        area.write(at::SEQUENCE, &sequence);
        area.commit()?;
        session.accept(chain);
        *self.ram = Ram {
            state: SessionState::Open(Open {
                session,
                level: command.p1,
                dek,
                set,
            }),
            owner: Some(self.channel),
            ..Ram::default()
        };
        Ok(Answer::Done)
    }

    /// A command with a C-MAC: checked and unwrapped, run, its answer protected. A wrong MAC ends
    /// the session.
    pub(super) fn protected(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        if !self.ram.owned_by(self.channel) {
            return Err(Error::SECURITY);
        }
        // May carry keys and PINs: wiped on every way out.
        let mut plain = Zeroizing::new([0u8; 256]);
        let length = match self.unwrap(command, &mut plain) {
            Ok(length) => length,
            Err(error) => {
                self.close();
                return Err(error);
            }
        };
        let data = plain.get(..length).ok_or(Error::LENGTH)?;
        let inner = Command {
            cla: 0x80,
            data,
            ..command
        };
        let answer = self.authorised(inner, out)?;
        self.wrap(answer, out)?;
        Ok(answer)
    }

    fn unwrap(&mut self, command: Command<'_>, plain: &mut [u8; 256]) -> Result<usize, Error> {
        let SessionState::Open(open) = &mut self.ram.state else {
            return Err(Error::SECURITY);
        };
        let (data, mac) = command
            .data
            .split_last_chunk::<MAC>()
            .ok_or(Error::SM_MISSING)?;
        let chain = open.session.peek_c_mac(command.mac_header(), data);
        if !bool::from(chain[..MAC].ct_eq(mac)) {
            return Err(Error::SECURITY);
        }
        open.session.accept(chain);
        open.session.next_command();
        let buffer = plain.get_mut(..data.len()).ok_or(Error::LENGTH)?;
        buffer.copy_from_slice(data);
        if open.level & level::C_DEC_MAC == level::C_DEC_MAC && !data.is_empty() {
            if !data.len().is_multiple_of(16) {
                return Err(Error::SM_WRONG);
            }
            open.session.decrypt_command(buffer);
            return unpad(buffer).ok_or(Error::SM_WRONG);
        }
        Ok(data.len())
    }

    fn wrap(&mut self, answer: Answer, out: &mut Out) -> Result<(), Error> {
        let SessionState::Open(open) = &mut self.ram.state else {
            return Ok(());
        };
        if open.level & level::R_MAC == 0 {
            return Ok(());
        }
        if open.level & level::R_ENC_MAC == level::R_ENC_MAC && !out.is_empty() {
            let mut buffer = [0u8; 256];
            let body = buffer.get_mut(..out.len()).ok_or(Error::SPACE)?;
            body.copy_from_slice(out);
            let padded = pad(&mut buffer, out.len()).ok_or(Error::SPACE)?;
            let body = buffer.get_mut(..padded).ok_or(Error::SPACE)?;
            open.session.encrypt_response(body);
            out.clear();
            put(out, body);
        }
        let sw = match answer {
            Answer::Warning(sw) => sw,
            Answer::Done | Answer::Exact | Answer::Fetch => Sw::OK,
        };
        let mac = open.session.r_mac(out, sw.to_bytes());
        put(out, &mac);
        Ok(())
    }
}

/// SCP parameter i of this card; both offer R-MAC and R-ENCRYPTION.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum ScpOption {
    /// The challenge comes from the sequence counter: the default, and what lets an issuer compute
    /// session keys before it sees the card.
    PseudoRandom = 0x70,
    /// The challenge comes from the card's source of chance.
    Random = 0x60,
}

impl ScpOption {
    pub(super) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x70 => Some(Self::PseudoRandom),
            0x60 => Some(Self::Random),
            _ => None,
        }
    }
}

pub(super) fn scp_option<N: Nvm>(area: &Area<'_, N>) -> Result<ScpOption, Error> {
    match area.byte(at::SCP_OPTION) {
        0 => Ok(ScpOption::PseudoRandom),
        byte => ScpOption::from_byte(byte).ok_or(Error::MEMORY),
    }
}
