//! One SCP03 session: INITIALIZE UPDATE, the HSM's part, protected commands.

use super::{ChipSerial, PersonaliseError, Step};
use card_spec::{
    Channel, Reply, Sw, aid, apdu,
    channel::exchange,
    perso::{self, CardState, InitializeUpdateAnswer},
    scp03::level,
    tlv::Tlv,
};
use hsm_client::{Hsm, SessionId};

pub(super) struct Session<'a> {
    channel: &'a mut dyn Channel,
    hsm: &'a dyn Hsm,
    id: SessionId,
    chip: ChipSerial,
    step: Step,
}

/// Sends one plain command; anything but 9000 is an error.
pub(super) fn plain(
    channel: &mut dyn Channel,
    command: &[u8],
    what: &'static str,
    step: Step,
) -> Result<Reply, PersonaliseError> {
    let reply = answer(channel, command, step)?;
    if !reply.sw.is_ok() {
        return Err(PersonaliseError::Refused {
            step,
            what,
            sw: reply.sw,
        });
    }
    Ok(reply)
}

/// Sends one plain command whatever the status word.
pub(super) fn answer(
    channel: &mut dyn Channel,
    command: &[u8],
    step: Step,
) -> Result<Reply, PersonaliseError> {
    exchange(channel, command).map_err(|source| PersonaliseError::Channel { step, source })
}

impl<'a> Session<'a> {
    /// Selects the issuer domain and authenticates both sides with the key set `kvn`, level 03.
    pub(super) fn open(
        channel: &'a mut dyn Channel,
        hsm: &'a dyn Hsm,
        kvn: u8,
        challenge: [u8; 8],
        step: Step,
    ) -> Result<Self, PersonaliseError> {
        plain(
            channel,
            &apdu::select(aid::ISD),
            "SELECT issuer domain",
            step,
        )?;
        const WHAT: &str = "INITIALIZE UPDATE";
        let command = perso::initialize_update(kvn, challenge);
        let reply = plain(channel, &command, WHAT, step)?;
        let malformed = PersonaliseError::Malformed { step, what: WHAT };
        let fields = InitializeUpdateAnswer::from_bytes(&reply.data).map_err(|_| malformed)?;
        let opened = hsm
            .scp03_open(challenge, &reply.data, level::C_DEC_MAC)
            .map_err(|source| PersonaliseError::Hsm { step, source })?;
        let mut session = Self {
            channel,
            hsm,
            id: opened.session,
            chip: ChipSerial(fields.diversification),
            step,
        };
        session.transmit(&opened.external_authenticate, "EXTERNAL AUTHENTICATE")?;
        Ok(session)
    }

    pub(super) const fn chip(&self) -> ChipSerial {
        self.chip
    }

    /// Names the step that errors will carry from now on.
    pub(super) const fn at(&mut self, step: Step) {
        self.step = step;
    }

    /// Asks the HSM something about this session. A refusal ends the session.
    pub(super) fn hsm<T>(
        &self,
        ask: impl FnOnce(&dyn Hsm, SessionId) -> hsm_client::Result<T>,
    ) -> Result<T, PersonaliseError> {
        ask(self.hsm, self.id).map_err(|source| {
            self.abandon();
            PersonaliseError::Hsm {
                step: self.step,
                source,
            }
        })
    }

    /// Protects and sends commands in order. `what` names the last one in errors.
    pub(super) fn send(
        &mut self,
        commands: &[Vec<u8>],
        what: &'static str,
    ) -> Result<(), PersonaliseError> {
        let protected = self.hsm(|hsm, id| hsm.scp03_wrap(id, commands))?;
        for command in &protected {
            self.transmit(command, what)?;
        }
        Ok(())
    }

    /// The card's life-cycle state: GET STATUS of the issuer domain,
    /// `E3 { 4F AID, 9F70 state }`. (Level 03 leaves answers in clear.)
    pub(super) fn card_state(&mut self) -> Result<CardState, PersonaliseError> {
        const WHAT: &str = "GET STATUS";
        let command = apdu::build(0x80, 0xF2, 0x80, 0x02, &[0x4F, 0x00], None).to_vec();
        let protected = self.hsm(|hsm, id| hsm.scp03_wrap(id, &[command]))?;
        let mut state = None;
        for command in &protected {
            let reply = self.transmit(command, WHAT)?;
            state = Tlv::find(&reply.data, 0xE3)
                .and_then(|entry| Tlv::find(entry, 0x9F70))
                .and_then(|value| value.first())
                .and_then(|byte| CardState::from_byte(*byte));
        }
        state.ok_or_else(|| {
            self.abandon();
            PersonaliseError::Malformed {
                step: self.step,
                what: WHAT,
            }
        })
    }

    fn transmit(&mut self, command: &[u8], what: &'static str) -> Result<Reply, PersonaliseError> {
        let reply = exchange(&mut *self.channel, command);
        let error = match reply {
            Ok(reply) if reply.sw == Sw::OK => return Ok(reply),
            Ok(reply) => PersonaliseError::Refused {
                step: self.step,
                what,
                sw: reply.sw,
            },
            Err(source) => PersonaliseError::Channel {
                step: self.step,
                source,
            },
        };
        self.abandon();
        Err(error)
    }

    /// Ends the session.
    pub(super) fn close(self) {
        self.abandon();
    }

    /// Ends the HSM's side after an error. The HSM drops old sessions by itself, so a failure here
    /// changes nothing and the first error is the one to report.
    pub(super) fn abandon(&self) {
        if let Err(e) = self.hsm.scp03_close(self.id) {
            tracing::debug!(error = %e, "closing a personalisation session");
        }
    }
}
