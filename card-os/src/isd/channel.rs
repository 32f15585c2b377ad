//! SCP03 (GlobalPlatform Amendment D): opening, unwrapping commands, protecting responses.

use super::{Isd, Open, Ram, SessionState, at};
use crate::{
    apdu::{Answer, Command, Out, Outcome, put},
    error::Error,
    layout::App,
    nvm::Nvm,
};
use card_spec::{
    Sw, aid,
    perso::InitializeUpdateAnswer,
    scp03::{Handshake, card_challenge, level, pad, unpad},
};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// SCP parameter i: pseudo-random challenge, R-MAC and R-ENCRYPTION.
const SCP_I: u8 = 0x70;
/// Bytes of a C-MAC or R-MAC.
const MAC: usize = 8;

impl<N: Nvm> Isd<'_, N> {
    /// INITIALIZE UPDATE. The sequence counter moves with every call, so no challenge repeats.
    pub(super) fn initialize_update(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        self.close();
        let host: &[u8; 8] = command.array()?;
        let keys = self.static_keys()?;
        let mut area = self.store.area(App::Isd);
        at::AUTH_ROW.through(self.interface).check(&area)?;
        let kvn = area.byte(at::KVN)?;
        if command.p1 != 0 && command.p1 != kvn {
            return Err(Error::Reference);
        }
        let [a, b, c] = area.array(at::SEQUENCE)?;
        let next = u32::from_be_bytes([0, a, b, c]) + 1;
        let [0, sequence @ ..] = next.to_be_bytes() else {
            return Err(Error::Counter);
        };
        area.write(at::SEQUENCE, &sequence)?;
        let challenge = card_challenge(&keys.enc, sequence, aid::ISD);
        let handshake = Handshake::derive(&keys, host, &challenge);
        let answer = InitializeUpdateAnswer {
            diversification: area.array(at::CHIP_SERIAL)?,
            kvn,
            i: SCP_I,
            challenge,
            cryptogram: handshake.card_cryptogram,
            sequence,
        };
        put(out, &answer.to_bytes())?;
        self.ram.state = SessionState::Started {
            handshake,
            dek: keys.dek,
        };
        Ok(Answer::Done)
    }

    /// EXTERNAL AUTHENTICATE: host cryptogram and C-MAC. Failures in a row are counted.
    pub(super) fn external_authenticate(&mut self, command: Command<'_>) -> Outcome {
        let state = core::mem::take(self.ram);
        let SessionState::Started { handshake, dek } = state.state else {
            return Err(Error::Conditions);
        };
        let (cryptogram, mac) = command
            .array::<16>()?
            .split_first_chunk::<8>()
            .ok_or(Error::Length)?;
        if !level::ALL.contains(&command.p1) || command.p2 != 0 {
            return Err(Error::Parameters);
        }
        let Handshake {
            host_cryptogram,
            mut session,
            ..
        } = handshake;
        let chain = session.peek_c_mac(command.mac_header(), cryptogram);
        let matches = || bool::from(host_cryptogram.ct_eq(cryptogram) & chain[..MAC].ct_eq(mac));
        let row = at::AUTH_ROW.through(self.interface);
        row.guard(&mut self.store.area(App::Isd), matches, Error::Security)?;
        session.accept(chain);
        *self.ram = Ram {
            state: SessionState::Open(Open {
                session,
                level: command.p1,
                dek,
            }),
            ..Ram::default()
        };
        Ok(Answer::Done)
    }

    /// A command with a C-MAC: checked and unwrapped, run, its answer protected. A wrong MAC ends
    /// the session.
    pub(super) fn protected(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        let mut plain = [0u8; 256];
        let length = match self.unwrap(command, &mut plain) {
            Ok(length) => length,
            Err(error) => {
                self.close();
                return Err(error);
            }
        };
        let data = plain.get(..length).ok_or(Error::Length)?;
        let inner = Command {
            cla: 0x80,
            data,
            ..command
        };
        let outcome = self.authorised(inner, out);
        plain.zeroize();
        let answer = outcome?;
        self.wrap(answer, out)?;
        Ok(answer)
    }

    fn unwrap(&mut self, command: Command<'_>, plain: &mut [u8; 256]) -> Result<usize, Error> {
        let SessionState::Open(open) = &mut self.ram.state else {
            return Err(Error::Security);
        };
        let (data, mac) = command
            .data
            .split_last_chunk::<MAC>()
            .ok_or(Error::SmMissing)?;
        let chain = open.session.peek_c_mac(command.mac_header(), data);
        if !bool::from(chain[..MAC].ct_eq(mac)) {
            return Err(Error::Security);
        }
        open.session.accept(chain);
        open.session.next_command();
        let buffer = plain.get_mut(..data.len()).ok_or(Error::Length)?;
        buffer.copy_from_slice(data);
        if open.level & level::C_DEC_MAC == level::C_DEC_MAC && !data.is_empty() {
            if !data.len().is_multiple_of(16) {
                return Err(Error::SmWrong);
            }
            open.session.decrypt_command(buffer);
            return unpad(buffer).ok_or(Error::SmWrong);
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
            let body = buffer.get_mut(..out.len()).ok_or(Error::Space)?;
            body.copy_from_slice(out);
            let padded = pad(&mut buffer, out.len()).ok_or(Error::Space)?;
            let body = buffer.get_mut(..padded).ok_or(Error::Space)?;
            open.session.encrypt_response(body);
            out.clear();
            put(out, body)?;
        }
        let sw = match answer {
            Answer::Warning(sw) => sw,
            Answer::Done | Answer::Exact | Answer::Fetch => Sw::OK,
        };
        let mac = open.session.r_mac(out, sw.to_bytes());
        put(out, &mac)
    }
}
