//! A running device goes over to other parameters, between two sales and as a whole.

use super::{courier::Courier, work::Device};
use crate::{journal::Storage, machine::Machine, parameters::Content, profile::DeviceProfile};

/// What works by parameters.
pub(super) struct Governed<'d, S> {
    pub(super) profile: &'d DeviceProfile,
    pub(super) device: &'d mut Device<S>,
    pub(super) machine: &'d mut Machine,
    pub(super) courier: &'d mut Courier,
}

impl<S: Storage> Governed<'_, S> {
    /// Works by `content`, or says why it cannot and goes on as before. The journal, what waits in
    /// it, a torn debit and the shift stay.
    pub(super) fn adopt(&mut self, content: &Content) -> Result<(), String> {
        let mut profile = self.profile.clone();
        profile.limits = content.limits;
        self.device
            .adopt(&profile, content.tariffs.as_ref())
            .map_err(|error| error.to_string())?;
        self.device.learn(self.machine.modes());
        self.machine.adopt(self.device.machine(&profile));
        self.courier.adopt(&profile.limits);
        Ok(())
    }
}
