//! Another set of limits and tariffs under a running device.

use super::*;

impl<S: Storage> Device<S> {
    /// Works by the limits of `profile` and by other tariffs, or by its own; what it has journalled
    /// and its torn debit stay. After an error all is as before.
    pub(in crate::run) fn adopt(
        &mut self,
        profile: &DeviceProfile,
        tariffs: Option<&Arc<Tariffs>>,
    ) -> Result<(), RunError> {
        let own = self.own_tariffs.as_ref();
        // One that prices nothing has no use for any.
        let tariffs = own.map(|own| tariffs.unwrap_or(own));
        let trade = Trade::of(profile, &self.site, tariffs)?;
        let setup = profile.setup();
        match (&mut self.work, trade) {
            (Work::Sells(terminal, seller), Trade::Sells(new)) => {
                terminal.adopt(setup);
                *seller = new;
            }
            (Work::Bus(terminal, bus), Trade::Bus(new)) => {
                terminal.adopt(setup);
                *bus = new;
            }
            (Work::Desk(terminal, desk), Trade::Desk(new)) => {
                terminal.adopt(setup);
                *desk = new;
            }
            (Work::Inspector(terminal, inspection), Trade::Inspector(new)) => {
                terminal.adopt(setup);
                *inspection = new;
            }
            (Work::Taxi(terminal) | Work::Meter(terminal, ..), _) => terminal.adopt(setup),
            (Work::Pos(pos), _) => pos.adopt(setup, profile.limits.load_max_fen),
            (Work::Kiosk(kiosk), _) => kiosk.adopt(profile.limits.load_max_fen),
            // The kind of a device does not change; a hospital window has no such limits.
            _ => {}
        }
        self.tariffs = tariffs.cloned();
        Ok(())
    }
}
