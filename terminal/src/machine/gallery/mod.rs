//! Every state worth a picture, made by driving real machines with events.

mod bus;
mod counters;
mod gates;
mod meters;
mod scene;

use std::sync::Arc;

use card_spec::time::CardTime;
use fare::Tariffs;

use super::Screen;

/// Named screens of every kind; `tariffs` are those of the data folder.
pub fn gallery(tariffs: &Arc<Tariffs>) -> Vec<(&'static str, Screen)> {
    let Some(now) = CardTime::from_seconds(1_795_766_400 + 30_000) else {
        return Vec::new();
    };
    let mut shots = bus::shots(now);
    shots.extend(gates::shots(now));
    shots.extend(meters::shots(tariffs, now));
    shots.extend(counters::shots(now));
    shots
}
