//! The flows that are measured, and the lives of cards in which they occur.

use super::Costs;
use crate::exit::{Code, Done, Stop};
use card_spec::{
    Channel, ChannelError, Fen, SuiteId,
    id::{RegionCode, SamNo},
    keys::class,
    purse::files::CardKind,
    ssse::Profile,
    time::CardTime,
};
use std::{path::Path, sync::Arc, time::Instant};
use terminal::{
    Journal, PurseTerminal, SamUnit, Setup, TapResult, Verdict,
    admit::Acceptance,
    device::{BusValidator, MetroEntryGate, MetroExitGate, PassSale, Seller, Site},
    journal::FileStorage,
    meter::{Cost, Meter},
};
use virtual_card::{
    VirtualCard,
    sample::{self, Sample, SampleSam},
};

/// A kind of tap.
pub(super) struct Flow {
    pub(super) name: &'static str,
    pub(super) zh: &'static str,
    pub(super) suite: SuiteId,
    /// On the air at 106 kbit/s.
    pub(super) limit_us: Option<u64>,
}

const fn flow(name: &'static str, zh: &'static str, limit_ms: Option<u64>) -> Flow {
    let limit_us = match limit_ms {
        Some(ms) => Some(ms * 1_000),
        None => None,
    };
    let suite = SuiteId::Aes;
    Flow {
        name,
        zh,
        suite,
        limit_us,
    }
}

const FLAT: &str = "bus_flat";
const CITY: &str = "bus_city";
const PASS: &str = "bus_pass";
const CAP: &str = "bus_cap";
const TRANSFER: &str = "bus_transfer";
const ENTRY: &str = "metro_entry";
const EXIT: &str = "metro_exit";
const AWAY: &str = "bus_other_city";
const LONG: &str = "bus_long_way";

/// Every flow, in the order of the tables.
pub(super) const FLOWS: [Flow; 9] = [
    flow(FLAT, "公交一票制", Some(24)),
    flow(CITY, "公交可换乘线路", Some(31)),
    flow(CAP, "公交封顶", Some(31)),
    flow(PASS, "公交月票", Some(31)),
    flow(TRANSFER, "公交换乘", Some(36)),
    flow(ENTRY, "地铁进站", None),
    flow(EXIT, "地铁出站", Some(61)),
    flow(AWAY, "异地首次乘车", None),
    Flow {
        suite: SuiteId::Tdes,
        ..flow(LONG, "外地卡公交", None)
    },
];

/// Whose tap.
#[derive(Clone, Copy)]
enum Device {
    /// A route that takes part in no transfer and no cap: nothing is left for the next tap.
    Suburban,
    City,
    /// The same route under a daily cap.
    Capped,
    Second,
    Entry,
    Exit,
    Xiamen,
}

/// What happens to a card every day.
pub(super) struct Life {
    suite: SuiteId,
    /// A pass for the month is bought first.
    pass: bool,
    /// The card tells nothing of its fares in its FCI, as one of another system.
    silent: bool,
    /// Time, device, and the flow that it shows.
    day: &'static [(&'static str, Device, Option<&'static str>)],
}

const LIVES: [Life; 6] = [
    Life {
        suite: SuiteId::Aes,
        pass: false,
        silent: false,
        day: &[("06:00:00", Device::Suburban, Some(FLAT))],
    },
    Life {
        suite: SuiteId::Aes,
        pass: true,
        silent: false,
        day: &[("08:00:00", Device::City, Some(PASS))],
    },
    // Two hours apart: no transfer. The third ride of the day is above the cap.
    Life {
        suite: SuiteId::Aes,
        pass: false,
        silent: false,
        day: &[
            ("08:00:00", Device::Capped, None),
            ("10:00:00", Device::Capped, None),
            ("12:00:00", Device::Capped, Some(CAP)),
        ],
    },
    Life {
        suite: SuiteId::Aes,
        pass: false,
        silent: false,
        day: &[
            ("08:00:00", Device::City, Some(CITY)),
            ("08:10:00", Device::Second, Some(TRANSFER)),
            ("08:20:00", Device::Entry, Some(ENTRY)),
            ("08:40:00", Device::Exit, Some(EXIT)),
        ],
    },
    Life {
        suite: SuiteId::Aes,
        pass: false,
        silent: false,
        day: &[
            ("08:00:00", Device::City, None),
            ("18:00:00", Device::Xiamen, Some(AWAY)),
        ],
    },
    Life {
        suite: SuiteId::Tdes,
        pass: false,
        silent: true,
        day: &[("08:00:00", Device::City, Some(LONG))],
    },
];

/// Days that a card lives: its money and its pass last so long.
const DAYS: u32 = 20;

/// The devices.
pub(super) struct Shop {
    suburban: BusValidator,
    city: BusValidator,
    capped: BusValidator,
    second: BusValidator,
    entry: MetroEntryGate,
    exit: MetroExitGate,
    xiamen: BusValidator,
    pass: PassSale,
}

fn parsed<T: std::str::FromStr>(text: &str) -> Done<T>
where
    T::Err: std::fmt::Display,
{
    let failed = |error| Stop::new(Code::Failure, format!("{text}: {error}"));
    text.parse().map_err(failed)
}

fn refused(refusal: terminal::result::Refusal) -> Stop {
    let why = format!(
        "the tariff data has no such place: {}; this command needs the Fujian data of the project",
        refusal.detail
    );
    Stop::new(Code::Usage, why)
}

fn site(operator: &str, region: &str) -> Done<Site> {
    Ok(Site {
        device: parsed("0000350100000017")?,
        operator: operator.to_owned(),
        region: parsed(region)?,
    })
}

impl Shop {
    /// With the tariffs of a folder.
    pub(super) fn open(data: &Path) -> Done<Self> {
        let tariffs = fare::Tariffs::load(data).map_err(|e| Stop::new(Code::Usage, e))?;
        let tariffs = Arc::new(tariffs);
        let fuzhou = |operator| site(operator, "350100");
        let bus = |site, route: &str| {
            BusValidator::new(site, tariffs.clone(), route.into()).map_err(refused)
        };
        let metro = ("FZMTR", &"FZM1".into());
        Ok(Self {
            suburban: bus(fuzhou("FZBUS")?, "FZB39")?,
            city: bus(fuzhou("FZBUS")?, "FZB17")?,
            capped: BusValidator::new(fuzhou("FZBUS")?, capped(data)?, "FZB17".into())
                .map_err(refused)?,
            second: bus(fuzhou("FZBUS")?, "FZB51")?,
            entry: MetroEntryGate::new(fuzhou(metro.0)?, tariffs.clone(), metro.1, "FZM101".into())
                .map_err(refused)?,
            exit: MetroExitGate::new(fuzhou(metro.0)?, tariffs.clone(), metro.1, "FZM103".into())
                .map_err(refused)?,
            xiamen: bus(site("XMBUS", "350200")?, "XMB1")?,
            pass: PassSale {
                site: fuzhou("FZBUS")?,
                tariffs,
                pass: "adult-100".to_owned(),
                from: parsed("2026-11-01T12:00:00")?,
            },
        })
    }

    fn device(&self, device: Device) -> &dyn Seller {
        match device {
            Device::Suburban => &self.suburban,
            Device::City => &self.city,
            Device::Capped => &self.capped,
            Device::Second => &self.second,
            Device::Entry => &self.entry,
            Device::Exit => &self.exit,
            Device::Xiamen => &self.xiamen,
        }
    }

    /// Every life on fresh cards until each flow was tapped `taps` times. `host` puts card and SAM
    /// where they are tapped.
    pub(super) fn measure(
        &self,
        taps: u32,
        mut host: impl FnMut(
            &Life,
            &mut Option<VirtualCard>,
            &mut Option<VirtualCard>,
            u32,
        ) -> Done<Vec<(&'static str, Cost)>>,
    ) -> Done<Costs> {
        let mut costs = Costs::new();
        for life in &LIVES {
            let mut left = taps;
            while left > 0 {
                let days = left.min(DAYS);
                let mut card = Some(self.card(life)?);
                let mut sam = Some(purse_sam(class::TRANSIT)?);
                for (flow, cost) in host(life, &mut card, &mut sam, days)? {
                    costs.entry(flow).or_default().push(cost);
                }
                left -= days;
            }
        }
        Ok(costs)
    }

    fn card(&self, life: &Life) -> Done<VirtualCard> {
        let sample = Sample {
            kind: CardKind::Normal,
            ..Sample::new(life.suite, Profile::V3)
        };
        let because = Stop::because::<virtual_card::host::HostError>;
        let mut card = sample
            .card([1; 32])
            .map_err(because("personalising the sample card"))?;
        if life.pass {
            let storage = terminal::journal::MemoryStorage::default();
            let mut counter = purse_device(class::RETAIL, storage)?;
            let mut sam = SamUnit::open_purse(purse_sam(class::RETAIL)?)
                .map_err(|e| Stop::new(Code::Failure, e))?;
            let at = parsed("2026-11-02T08:00:00")?;
            served(&counter.tap(&mut card, &mut sam, at, &self.pass))?;
        }
        Ok(card)
    }

    /// So many days of a life, with a new journal. `card_us` tells what the card took itself since
    /// it was asked last; where it answers 0, the wait for it is measured.
    pub(super) fn live(
        &self,
        life: &Life,
        card: &mut dyn Channel,
        sam: &mut dyn Channel,
        days: u32,
        card_us: &mut dyn FnMut(&Cost) -> u64,
    ) -> Done<Vec<(&'static str, Cost)>> {
        let folder = tempfile::tempdir().map_err(Stop::because("making a journal"))?;
        let storage = FileStorage::open(&folder.path().join("journal"))
            .map_err(Stop::because("making a journal"))?;
        let meter = Meter::default();
        let mut terminal = purse_device(class::TRANSIT, meter.storage(storage))?;
        let mut sam =
            SamUnit::open_purse(meter.sam(sam)).map_err(|e| Stop::new(Code::Reader, e))?;
        let mut card = Silent {
            card: meter.card(card),
            silent: life.silent,
        };
        let mut costs = Vec::new();
        for day in 3..3 + days {
            for (time, device, flow) in life.day {
                let at: CardTime = parsed(&format!("2026-11-{day:02}T{time}"))?;
                meter.take(std::time::Duration::ZERO);
                card_us(&meter.take(std::time::Duration::ZERO));
                let began = Instant::now();
                let result = terminal.tap(&mut card, &mut sam, at, self.device(*device));
                let mut cost = meter.take(began.elapsed());
                served(&result)?;
                if (*flow == Some(CAP)) != (result.code == terminal::code::Code::PaidCapped) {
                    let why = format!("{at}: no cap where one is measured, or one elsewhere");
                    return Err(Stop::new(Code::Failure, why));
                }
                match card_us(&cost) {
                    0 => {}
                    own => cost.card_us = own,
                }
                if let Some(flow) = flow {
                    costs.push((*flow, cost));
                }
            }
        }
        Ok(costs)
    }
}

/// The tariffs with a daily cap of 2.00 on Fuzhou's city buses: no city of the province has one.
fn capped(data: &Path) -> Done<Arc<fare::Tariffs>> {
    const CAP: &str = "\n[[cap]]\nid = \"day\"\nzh = \"日封顶\"\nen = \"daily cap\"\ncounter = 1\n\
        day = \"2.00\"\nscope = { operators = [\"FZBUS\"], classes = [\"city-bus\"] }\n";
    let failed = || Stop::because::<std::io::Error>("copying the tariff data");
    let folder = tempfile::tempdir().map_err(failed())?;
    copy(data, folder.path()).map_err(failed())?;
    let contracts = folder.path().join("transit/fuzhou/contracts.toml");
    let mut text = std::fs::read_to_string(&contracts).map_err(failed())?;
    text.push_str(CAP);
    std::fs::write(&contracts, text).map_err(failed())?;
    let tariffs = fare::Tariffs::load(folder.path()).map_err(|e| Stop::new(Code::Usage, e))?;
    Ok(Arc::new(tariffs))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn served(result: &TapResult) -> Done {
    match result.verdict {
        Verdict::Open => Ok(()),
        _ => {
            let why = format!("{} {}: {}", result.code as u16, result.en, result.detail);
            Err(Stop::new(Code::CardRefused, why))
        }
    }
}

fn purse_sam(class: u8) -> Done<VirtualCard> {
    let number: SamNo = parsed("350100000017")?;
    sample::sample_sam(SampleSam::Purse(class), number, [2; 32]).map_err(Stop::because::<
        virtual_card::host::HostError,
    >(
        "personalising the sample SAM",
    ))
}

fn purse_device<S: terminal::journal::Storage>(class: u8, storage: S) -> Done<PurseTerminal<S>> {
    let region: RegionCode = parsed(sample::REGION)?;
    let setup = Setup {
        acceptance: Acceptance {
            region,
            sample_cards: true,
        },
        class,
        per_tap_max: Fen::yuan(100),
        passback_seconds: 3,
        same_card_seconds: 30,
        torn_ride_seconds: 1_800,
    };
    let journal = Journal::open(storage, parsed("0000350100000017")?, 0)
        .map_err(|e| Stop::new(Code::Failure, e))?;
    Ok(PurseTerminal::new(setup, journal))
}

/// A card whose FCI ends with file 15, if it is `silent`. Only the suites of PBOC, which do not
/// prove the FCI, can be heard so and still pay.
struct Silent<C> {
    card: C,
    silent: bool,
}

/// Where file 15 ends in the FCI, and the tag that follows on our cards.
const BRIEF_AT: usize = 51;
const BRIEF: u8 = 0xC1;

impl<C: Channel> Channel for Silent<C> {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        let length = self.card.transmit(command, response)?;
        let tells = matches!(response.get(BRIEF_AT), Some(&BRIEF));
        if !self.silent || command.get(1) != Some(&0xA4) || !tells {
            return Ok(length);
        }
        let gone = 2 + usize::from(response.get(BRIEF_AT + 1).copied().unwrap_or(0));
        if length < BRIEF_AT + gone {
            return Ok(length);
        }
        response.copy_within(BRIEF_AT + gone..length, BRIEF_AT);
        if let (Some(total), Ok(gone)) = (response.get_mut(1), u8::try_from(gone)) {
            *total = total.saturating_sub(gone);
        }
        Ok(length - gone)
    }

    fn atr(&self) -> &[u8] {
        self.card.atr()
    }
}
