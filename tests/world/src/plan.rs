//! What people do on the day: from one seed, a list of steps in time order.
//!
//! The plan knows nothing of prices, balances or outcomes: those come from the real parts.

use crate::{
    chance::Chance,
    network::{DeviceKind, posts},
};
use card_spec::{
    Fen, FormatError,
    id::RegionCode,
    time::{CardDate, CardTime},
};

/// What the plan needs to know of a holder; the index is the holder's place in the roster.
#[derive(Debug, Clone, Copy)]
pub struct Holder {
    /// Region that insures the holder.
    pub region: RegionCode,
    /// Age in years.
    pub age: u16,
    /// Draws a pension.
    pub pensioner: bool,
    /// Insured as a resident: treated where residents are, at the first level.
    pub resident: bool,
    /// Insured by a scheme and region that the benefit policies cover.
    pub insured: bool,
}

/// One thing that one holder does at one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: CardTime,
    /// Who (index into the roster).
    pub holder: usize,
    /// Where (index into [`crate::network::POSTS`]).
    pub post: usize,
    /// What.
    pub act: Act,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Board a bus.
    Board,
    /// Enter the metro.
    Enter,
    /// Leave the metro.
    Leave,
    /// Pay a taxi trip.
    Taxi {
        /// Metres.
        metres: u32,
        /// Seconds at low speed.
        waiting_seconds: u32,
        /// Start.
        started: CardTime,
    },
    /// Pay an on-street stay.
    Meter {
        /// Arrival.
        from: CardTime,
    },
    /// Drive into a car park.
    ParkIn,
    /// Drive out of it.
    ParkOut,
    /// Top up.
    TopUp {
        /// Amount.
        amount: Fen,
    },
    /// See a doctor: which catalogue items, as a draw that the window turns into lines.
    Visit {
        /// Draw.
        draw: u32,
    },
    /// Prove to be alive.
    ProofOfLife,
}

impl Act {
    /// Name of the mode in reports.
    pub const fn mode(&self) -> &'static str {
        match self {
            Self::Board => "bus",
            Self::Enter | Self::Leave => "metro",
            Self::Taxi { .. } => "taxi",
            Self::Meter { .. } => "parking_meter",
            Self::ParkIn | Self::ParkOut => "car_park",
            Self::TopUp { .. } => "top_up",
            Self::Visit { .. } => "medical",
            Self::ProofOfLife => "pension",
        }
    }
}

/// `day` plus seconds since midnight (past midnight is refused).
fn at(day: CardDate, seconds: u32) -> Result<CardTime, FormatError> {
    let part = |v: u32| u8::try_from(v).map_err(|_| FormatError::Range);
    day.at(
        part(seconds / 3600)?,
        part(seconds / 60 % 60)?,
        part(seconds % 60)?,
    )
}

const fn clock(hour: u32, minute: u32) -> u32 {
    (hour * 60 + minute) * 60
}

/// Holders that travel in the evening before, at a device that stays offline overnight.
pub const EVENING_RIDERS: usize = 8;

/// The evening before: the first holders load and ride one route.
pub fn evening(seed: u64, holders: &[Holder], day: CardDate) -> Result<Vec<Step>, FormatError> {
    let mut chance = Chance::stream(seed, "evening");
    let bus = posts(DeviceKind::Bus, "FZBUS")
        .first()
        .copied()
        .unwrap_or(0);
    let pos = posts(DeviceKind::Pos, "").first().copied().unwrap_or(0);
    let mut steps = Vec::new();
    for (holder, who) in holders.iter().enumerate().take(EVENING_RIDERS) {
        let offset = holder as u32 * 240;
        let amount = Fen::yuan(100);
        steps.push(Step {
            at: at(day, clock(20, 0) + offset)?,
            holder,
            post: pos,
            act: Act::TopUp { amount },
        });
        if who.age >= 6 {
            let start = clock(21, 10) + offset + chance.between(0, 59);
            steps.push(Step {
                at: at(day, start)?,
                holder,
                post: bus,
                act: Act::Board,
            });
        }
    }
    sort(&mut steps);
    Ok(steps)
}

/// The day itself.
pub fn day(seed: u64, holders: &[Holder], day: CardDate) -> Result<Vec<Step>, FormatError> {
    let mut chance = Chance::stream(seed, "day");
    let mut steps = Vec::new();
    for (holder, who) in holders.iter().enumerate() {
        let mut person = Person {
            chance: &mut chance,
            steps: &mut steps,
            day,
            holder,
            who,
        };
        person.live()?;
    }
    sort(&mut steps);
    Ok(steps)
}

/// By time; at the same second by holder, so that the order is total and repeats.
fn sort(steps: &mut [Step]) {
    steps.sort_by_key(|s| (s.at, s.holder, s.post));
}

struct Person<'a> {
    chance: &'a mut Chance,
    steps: &'a mut Vec<Step>,
    day: CardDate,
    holder: usize,
    who: &'a Holder,
}

impl Person<'_> {
    fn live(&mut self) -> Result<(), FormatError> {
        if self.holder >= EVENING_RIDERS {
            let amount = Fen::yuan(i64::from(self.chance.between(2, 10)) * 10);
            let start = clock(5, 30) + self.chance.between(0, 4000);
            self.top_up(start, amount)?;
        }
        let xiamen = self.who.region.to_bytes()[1] == 0x02;
        let (bus, metro) = if xiamen {
            ("XMBUS", "XMMTR")
        } else {
            ("FZBUS", "FZMTR")
        };
        let morning = clock(7, 0) + self.chance.between(0, 5_000);
        let evening = clock(17, 0) + self.chance.between(0, 5_000);
        match self.chance.below(10) {
            // Bus there and back, some with a transfer to a second bus or the metro.
            0..=4 => {
                self.board(bus, morning)?;
                if self.chance.percent(30) {
                    let start = morning + self.gap();
                    self.board(bus, start)?;
                }
                self.board(bus, evening)?;
            }
            // Bus to the metro and back.
            5..=6 => {
                self.board(bus, morning)?;
                let start = morning + self.gap();
                self.metro(metro, start)?;
                self.metro(metro, evening)?;
            }
            7 => {
                self.metro(metro, morning)?;
                self.metro(metro, evening)?;
            }
            8 => self.drive(morning)?,
            _ => self.taxi(morning)?,
        }
        self.errands()
    }

    fn errands(&mut self) -> Result<(), FormatError> {
        if self.who.pensioner {
            let start = clock(9, 0) + self.chance.between(0, 7_000);
            self.push(start, DeviceKind::Kiosk, "", Act::ProofOfLife)?;
        }
        if self.who.insured && self.chance.percent(20) {
            let start = clock(10, 0) + self.chance.between(0, 18_000);
            let draw = self.chance.between(0, u32::MAX - 1);
            let xiamen = self.who.region.to_bytes()[1] == 0x02;
            // Some are treated in the other city.
            let other = self.chance.percent(10);
            let hospital = match (xiamen != other, self.who.resident) {
                (false, false) => "HSYN35010001",
                (false, true) => "HSYN35010003",
                (true, false) => "HSYN35020001",
                (true, true) => "HSYN35020003",
            };
            self.push(start, DeviceKind::Window, hospital, Act::Visit { draw })?;
        }
        if self.chance.percent(10) {
            let start = clock(12, 0) + self.chance.between(0, 9_000);
            self.top_up(start, Fen::yuan(50))?;
        }
        Ok(())
    }

    fn gap(&mut self) -> u32 {
        clock(0, 12) + self.chance.between(0, 2_400)
    }

    fn push(
        &mut self,
        start: u32,
        kind: DeviceKind,
        operator: &str,
        act: Act,
    ) -> Result<(), FormatError> {
        let candidates = posts(kind, operator);
        if let Some(&post) = self.chance.pick(&candidates) {
            self.steps.push(Step {
                at: at(self.day, start)?,
                holder: self.holder,
                post,
                act,
            });
        }
        Ok(())
    }

    fn top_up(&mut self, start: u32, amount: Fen) -> Result<(), FormatError> {
        self.push(start, DeviceKind::Pos, "", Act::TopUp { amount })
    }

    fn board(&mut self, operator: &str, start: u32) -> Result<(), FormatError> {
        self.push(start, DeviceKind::Bus, operator, Act::Board)
    }

    fn metro(&mut self, operator: &str, start: u32) -> Result<(), FormatError> {
        let gates = posts(DeviceKind::Gate, operator);
        let from = self.chance.below(gates.len());
        let further = self.chance.below(gates.len().saturating_sub(1));
        let to = (from + 1 + further) % gates.len().max(1);
        let ride = self.chance.between(600, 3_000);
        let ends = [
            (gates.get(from), start, Act::Enter),
            (gates.get(to), start + ride, Act::Leave),
        ];
        self.both(ends)
    }

    /// A way in and a way out.
    fn both(&mut self, ends: [(Option<&usize>, u32, Act); 2]) -> Result<(), FormatError> {
        for (post, start, act) in ends {
            if let Some(&post) = post {
                self.steps.push(Step {
                    at: at(self.day, start)?,
                    holder: self.holder,
                    post,
                    act,
                });
            }
        }
        Ok(())
    }

    fn drive(&mut self, arrival: u32) -> Result<(), FormatError> {
        let from = at(self.day, arrival)?;
        let stay = self.chance.between(1_200, 14_000);
        if self.chance.percent(50) {
            return self.push(arrival + stay, DeviceKind::Meter, "", Act::Meter { from });
        }
        let parks = posts(DeviceKind::CarPark, "");
        let park = self.chance.pick(&parks);
        self.both([
            (park, arrival, Act::ParkIn),
            (park, arrival + stay, Act::ParkOut),
        ])
    }

    fn taxi(&mut self, start: u32) -> Result<(), FormatError> {
        let metres = self.chance.between(1_500, 18_000);
        let waiting_seconds = self.chance.between(0, 900);
        let drive = metres / 8 + waiting_seconds;
        let started = at(self.day, start)?;
        let act = Act::Taxi {
            metres,
            waiting_seconds,
            started,
        };
        self.push(start + drive, DeviceKind::Taxi, "", act)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn holders() -> Vec<Holder> {
        (0..520)
            .map(|i| Holder {
                region: if i % 4 == 0 { "350200" } else { "350100" }
                    .parse()
                    .expect("region"),
                age: 20 + (i % 70) as u16,
                pensioner: i % 5 == 0,
                insured: true,
                resident: i % 3 == 0,
            })
            .collect()
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let date = CardDate::new(2026, 3, 16).expect("date");
        let first = day(7, &holders(), date).expect("plan");
        assert_eq!(first, day(7, &holders(), date).expect("plan"));
        assert_ne!(first, day(8, &holders(), date).expect("plan"));
    }

    #[test]
    fn the_day_has_every_mode_in_time_order() {
        let date = CardDate::new(2026, 3, 16).expect("date");
        let steps = day(1, &holders(), date).expect("plan");
        assert!(steps.windows(2).all(|w| w[0].at <= w[1].at));
        let mut modes = BTreeMap::new();
        for step in &steps {
            *modes.entry(step.act.mode()).or_insert(0) += 1;
        }
        assert_eq!(modes.len(), 8, "{modes:?}");
        assert!(steps.len() >= 2_000, "{}", steps.len());
    }
}
