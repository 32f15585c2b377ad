//! What comes down to a running device beside its hotlist: parameters, kept until they start, and
//! signed time.

use std::{fs, io};

use card_spec::{id::DeviceNo, time::CardTime};
use clearing_api::{
    client::sign_body,
    parameters::{ParametersAnswer, ParametersRequest},
};
use ed25519_dalek::SigningKey;

use super::{Line, RunError, Surroundings, adopt::Governed, line::ParametersNews};
use crate::{
    journal::{FileStorage, Storage},
    machine::{ModeOrder, TariffState},
    parameters::{
        Parameters, ParametersError, Switched,
        clock::{ClockEvent, DeviceClock, TOLERANCE},
        key_from_hex,
    },
    profile::DeviceProfile,
};

/// Seconds until a switch that the disk prevented is tried again.
const AGAIN_SECONDS: i64 = 60;

/// A device's clock and parameters.
pub(super) struct Downlink {
    clock: DeviceClock,
    /// Signed time that came, by the steady clock: taken over between two cards.
    signed: Option<(CardTime, i64)>,
    /// Signed time differs by more than is taken over.
    is_beyond: bool,
    parameters: Option<Parameters<FileStorage>>,
    damage: Option<ParametersError>,
    /// What was kept is lost, and nothing came since.
    is_damaged: bool,
    /// When the disk last prevented a switch.
    failed: Option<CardTime>,
    /// Version of the mode orders that came since the start.
    orders: u64,
    /// Those still to be obeyed.
    new_orders: Vec<ModeOrder>,
}

/// One question for parameters and time, signed.
pub(super) struct Question {
    pub(super) body: Vec<u8>,
    pub(super) signature: [u8; 64],
    nonce: String,
    /// By the steady clock.
    asked: i64,
}

impl Downlink {
    /// Opens what an earlier run kept. `newest` is the time of the journal's last record.
    pub(super) fn open(
        profile: &DeviceProfile,
        newest: Option<CardTime>,
        around: &Surroundings<'_>,
    ) -> Result<Self, RunError> {
        let opened = match &profile.parameters_key {
            Some(key) => {
                let key = key_from_hex(key)?;
                let folder = profile.need("state", profile.state.as_deref())?;
                fs::create_dir_all(folder)?;
                let storage = FileStorage::open(&folder.join("parameters.json"))?;
                Some(Parameters::open(storage, key, profile.limits)?)
            }
            None => None,
        };
        let (parameters, damage) = opened.map_or((None, None), |(p, damage)| (Some(p), damage));
        Ok(Self {
            clock: DeviceClock::start((around.now)()?, (around.steady)(), newest),
            signed: None,
            is_beyond: false,
            parameters,
            is_damaged: damage.is_some(),
            damage,
            failed: None,
            orders: 0,
            new_orders: Vec::new(),
        })
    }

    /// The device's time.
    pub(super) fn now(&mut self, around: &Surroundings<'_>) -> Result<CardTime, RunError> {
        let now = self.clock.now((around.steady)());
        let beyond = || io::Error::other("the device's clock is beyond the year 9999: set it");
        Ok(now.ok_or_else(beyond)?)
    }

    /// Tells when somebody set the computer's clock.
    pub(super) fn watch(&mut self, around: &mut Surroundings<'_>) -> Result<(), RunError> {
        let (wall, steady) = ((around.now)()?, (around.steady)());
        match self.clock.watch(wall, steady) {
            Some(event) => around.print(&Line::clock(event)),
            None => Ok(()),
        }
    }

    /// Takes signed time over, where a correction ends nobody's waiting.
    pub(super) fn settle(&mut self, around: &mut Surroundings<'_>) -> Result<(), RunError> {
        let Some((time, at)) = self.signed.take() else {
            return Ok(());
        };
        let steady = (around.steady)();
        let Some(time) = CardTime::from_seconds(time.seconds() + steady - at) else {
            return Ok(());
        };
        let event = self.clock.correct(time, steady);
        let is_beyond = matches!(event, Some(ClockEvent::Beyond(_)));
        let is_told = std::mem::replace(&mut self.is_beyond, is_beyond) && is_beyond;
        match event.filter(|_| !is_told) {
            Some(event) => around.print(&Line::clock(event)),
            None => Ok(()),
        }
    }

    /// Whether the tariff that prices is the newest that was sent, and for the right day.
    pub(super) fn tariff(&self) -> TariffState {
        let refused = |p: &Parameters<_>| p.refused().is_some_and(|r| r.version > p.held());
        let is_refused = self.parameters.as_ref().is_some_and(refused);
        match is_refused || self.is_beyond || self.is_damaged {
            true => TariffState::Old,
            false => TariffState::Current,
        }
    }

    /// The next question; `None` where nothing is asked for.
    pub(super) fn question(
        &mut self,
        device: DeviceNo,
        key: &SigningKey,
        around: &mut Surroundings<'_>,
    ) -> Result<Option<Question>, RunError> {
        let at = self.now(around)?;
        let Some(parameters) = &self.parameters else {
            return Ok(None);
        };
        let nonce = hex::encode((around.random)()?);
        let request = ParametersRequest {
            device,
            held: parameters.held(),
            known: parameters.known(),
            refused: parameters.refused().cloned(),
            orders: self.orders,
            at,
            nonce: nonce.clone(),
        };
        let body = serde_json::to_vec(&request).map_err(io::Error::other)?;
        Ok(Some(Question {
            signature: sign_body(key, &body),
            body,
            nonce,
            asked: (around.steady)(),
        }))
    }

    /// Takes an answer; a message says why it is not believed.
    pub(super) fn take(
        &mut self,
        question: &Question,
        answer: ParametersAnswer,
        around: &mut Surroundings<'_>,
    ) -> Result<Result<(), String>, RunError> {
        let Some(parameters) = &mut self.parameters else {
            return Ok(Ok(()));
        };
        let time = match answer.clock.open(parameters.key(), &question.nonce) {
            Ok(time) => time,
            Err(why) => return Ok(Err(format!("signed time: {why}"))),
        };
        let steady = (around.steady)();
        // What was long on its way says how late it is, not how late the device.
        if steady - question.asked <= TOLERANCE {
            self.signed = Some((time, steady));
        }
        if let Some(signed) = answer.orders {
            match signed.open(parameters.key()) {
                // An older list, kept and sent again, says less than this device knows.
                Ok(new) if new.version > self.orders => {
                    self.orders = new.version;
                    self.new_orders = new.orders;
                }
                Ok(_) => {}
                Err(why) => return Ok(Err(format!("mode orders: {why}"))),
            }
        }
        let Some(bundle) = answer.bundle else {
            return Ok(Ok(()));
        };
        let news = match parameters.stage(bundle) {
            Ok(_) => {
                self.is_damaged = false;
                parameters
                    .waiting()
                    .map(|(version, starts)| ParametersNews::Waiting { version, starts })
            }
            Err(ParametersError::Refused { version, why }) => {
                let why = why.to_string();
                Some(ParametersNews::Refused { version, why })
            }
            Err(why) => return Ok(Err(why.to_string())),
        };
        news.map_or(Ok(()), |news| around.print(&Line::Parameters(news)))
            .map(Ok)
    }

    /// The mode orders that came since the last call.
    pub(super) fn take_orders(&mut self) -> Vec<ModeOrder> {
        std::mem::take(&mut self.new_orders)
    }

    /// Makes a device that starts work by what is in effect.
    pub(super) fn begin<S: Storage>(
        &mut self,
        at: CardTime,
        governed: &mut Governed<'_, S>,
        around: &mut Surroundings<'_>,
    ) -> Result<(), RunError> {
        if let Some(damage) = self.damage.take() {
            around.print(&Line::Fault {
                message: damage.to_string(),
            })?;
        }
        let Some(parameters) = &mut self.parameters else {
            return Ok(());
        };
        let begun = parameters.begin(at, &mut |content| governed.adopt(content));
        self.tell(begun.map(Some), around)
    }

    /// Switches to what is due; true when it tried.
    pub(super) fn switch<S: Storage>(
        &mut self,
        at: CardTime,
        governed: &mut Governed<'_, S>,
        around: &mut Surroundings<'_>,
    ) -> Result<bool, RunError> {
        let Some(parameters) = &mut self.parameters else {
            return Ok(false);
        };
        let waits = |since: CardTime| at.seconds() < since.seconds() + AGAIN_SECONDS;
        if !parameters.is_due(at) || self.failed.is_some_and(waits) {
            return Ok(false);
        }
        let switched = parameters.switch(at, &mut |content| governed.adopt(content));
        self.failed = switched.is_err().then_some(at);
        self.tell(switched, around)?;
        Ok(true)
    }

    fn tell(
        &self,
        switched: Result<Option<Switched>, ParametersError>,
        around: &mut Surroundings<'_>,
    ) -> Result<(), RunError> {
        let news = match switched {
            Ok(None | Some(Switched::To(0))) => return Ok(()),
            Ok(Some(Switched::To(version))) => ParametersNews::InEffect { version },
            Ok(Some(Switched::Back { to, refused })) => ParametersNews::RolledBack {
                version: refused.version,
                to,
                why: refused.why,
            },
            Err(error) => {
                let message = error.to_string();
                return around.print(&Line::Fault { message });
            }
        };
        around.print(&Line::Parameters(news))
    }
}
