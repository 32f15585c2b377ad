//! `onecard bench tap`: what a tap costs by parts, in memory, through pcscd and on the microcontroller.

mod flows;

use super::super::{card::FIRMWARE, firmware, json};
use crate::{
    exit::{Code, Done, Stop},
    out::say,
    tables,
};
use card_spec::{Channel, ChannelError, air};
use flows::{FLOWS, Flow, Shop};
use serde::Serialize;
use std::{
    cell::Cell,
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
};
use terminal::meter::Cost;
use virtual_card::firmware::Firmware;

/// What to measure.
#[derive(clap::Args)]
pub struct Args {
    /// Taps of each flow in memory; a tenth of them through pcscd, where a change of cards takes a second
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    taps: u32,
    /// Without pcscd
    #[arg(long)]
    memory_only: bool,
    /// The card's image for the microcontroller; its times are left out where there is none
    #[arg(long, value_name = "IMAGE", default_value = FIRMWARE)]
    firmware: PathBuf,
    /// Tariff data
    #[arg(long, value_name = "DIR", default_value = "data/fujian")]
    data: PathBuf,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

/// Median and 99th percentile, microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
struct Times {
    p50_us: u64,
    p99_us: u64,
}

impl Times {
    fn of(costs: &[Cost], part: impl Fn(&Cost) -> u64) -> Self {
        let mut times: Vec<u64> = costs.iter().map(part).collect();
        times.sort_unstable();
        // Rounded up: of few taps the worst is not left out.
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(rank).copied().unwrap_or(0)
        };
        Self {
            p50_us: at(50),
            p99_us: at(99),
        }
    }
}

/// The measured parts on one kind of reader.
#[derive(Debug, Serialize)]
struct Measured {
    taps: usize,
    /// Everything but the flush.
    whole: Times,
    /// The terminal's own work.
    software: Times,
    card: Times,
    sam: Times,
    flush: Times,
}

impl Measured {
    fn of(costs: &[Cost]) -> Self {
        Self {
            taps: costs.len(),
            whole: Times::of(costs, |c| c.software_us + c.card_us + c.sam_us),
            software: Times::of(costs, |c| c.software_us),
            card: Times::of(costs, |c| c.card_us),
            sam: Times::of(costs, |c| c.sam_us),
            flush: Times::of(costs, |c| c.flush_us),
        }
    }
}

#[derive(Debug, Serialize)]
struct Line {
    flow: &'static str,
    zh: &'static str,
    suite: &'static str,
    /// Microseconds at 106 kbit/s that the flow may take; none for flows that go the long way.
    limit_us: Option<u64>,
    exchanges: u64,
    bytes_out: u64,
    bytes_back: u64,
    /// Modelled: at 106, 212, 424 and 848 kbit/s. The longest of all taps.
    air_us: [u64; 4],
    /// Modelled: the card's own work on the microcontroller.
    card_modelled_us: Option<u64>,
    sam_characters: u64,
    /// Modelled: T=0 at 9,600, 38,400 and 115,200 baud.
    sam_line_us: [u64; 3],
    memory: Measured,
    pcscd: Option<Measured>,
}

/// Measures, prints, and fails when a flow's air time is over its limit.
pub(super) fn run(args: &Args) -> Done {
    let shop = Shop::open(&args.data)?;
    let memory = shop.measure(args.taps, |life, card, sam, days| {
        let (Some(card), Some(sam)) = (card.as_mut(), sam.as_mut()) else {
            return Err(Stop::new(Code::Failure, "the card is not there"));
        };
        shop.live(life, card, sam, days, &mut |_| 0)
    })?;
    let pcscd = match args.memory_only {
        true => None,
        false => Some(through_pcscd(&shop, args.taps.div_ceil(10))?),
    };
    let chip = match args.firmware.is_file() {
        true => Some(on_chip(&shop, &args.firmware)?),
        false => None,
    };
    let lines: Vec<Line> = FLOWS
        .iter()
        .filter_map(|flow| line(flow, &memory, pcscd.as_ref(), chip.as_ref()))
        .collect();
    report(args, &lines)?;
    let over = lines.iter().find(|line| {
        let limit = line.limit_us;
        limit.is_some_and(|limit| line.air_us[0] > limit)
    });
    match over {
        None => Ok(()),
        Some(line) => Err(Stop::new(
            Code::Failure,
            format!(
                "{}: {} ms on the air, {} at most: see which command grew with `onecard bench card`",
                line.flow,
                ms(line.air_us[0]),
                ms(line.limit_us.unwrap_or(0))
            ),
        )),
    }
}

type Costs = BTreeMap<&'static str, Vec<Cost>>;

fn through_pcscd(shop: &Shop, taps: u32) -> Done<Costs> {
    let reader = |error: &dyn std::fmt::Display| Stop::new(Code::Reader, error);
    let pcscd = card_reader::pcscd::ensure().map_err(|error| {
        let help = format!("{error}; `--memory-only` measures without");
        Stop::new(Code::Reader, help)
    })?;
    let mut bench = world::Bench::new(pcscd).map_err(|error| reader(&error))?;
    shop.measure(taps, |life, card, sam, days| {
        bench
            .with_both(card, sam, |card, sam| {
                shop.live(life, card, sam, days, &mut |_| 0)
            })
            .map_err(|error| reader(&error))?
    })
}

/// One tap of each flow with the card on the microcontroller: its modelled time stands in `card_us`.
fn on_chip(shop: &Shop, image: &Path) -> Done<Costs> {
    shop.measure(1, |life, card, sam, days| {
        let (Some(card), Some(sam)) = (card.as_ref(), sam.as_mut()) else {
            return Err(Stop::new(Code::Failure, "the card is not there"));
        };
        let mut chip =
            Firmware::start(image, card.image()).map_err(|e| Stop::new(Code::Failure, e))?;
        let meter = firmware::Meter::new(&mut chip).map_err(Stop::because("counting"))?;
        let spent = Rc::new(Cell::new(0));
        let mut card = OnChip {
            chip,
            meter,
            spent: spent.clone(),
        };
        shop.live(life, &mut card, sam, days, &mut |_| spent.take())
    })
}

/// The microcontroller, its modelled time counted.
struct OnChip {
    chip: Firmware,
    meter: firmware::Meter,
    spent: Rc<Cell<u64>>,
}

impl Channel for OnChip {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        let back = self.chip.transmit(command, response)?;
        let step = self.meter.step(&mut self.chip);
        let step = step.map_err(|_| ChannelError::ReaderLost)?;
        self.spent.set(self.spent.get() + step.modelled_us());
        Ok(back)
    }

    fn atr(&self) -> &[u8] {
        self.chip.atr()
    }
}

fn line(flow: &Flow, memory: &Costs, pcscd: Option<&Costs>, chip: Option<&Costs>) -> Option<Line> {
    let costs = memory.get(flow.name)?;
    let last = costs.last()?;
    let mut air_us = [0; 4];
    for cost in costs {
        for (longest, air_us) in air_us.iter_mut().zip(cost.air_us) {
            *longest = air_us.max(*longest);
        }
    }
    let characters = usize::try_from(last.sam_characters).ok()?;
    let modelled = chip.and_then(|costs| Some(costs.get(flow.name)?.last()?.card_us));
    Some(Line {
        flow: flow.name,
        zh: flow.zh,
        suite: flow.suite.name(),
        limit_us: flow.limit_us,
        exchanges: last.exchanges,
        bytes_out: last.bytes_out,
        bytes_back: last.bytes_back,
        air_us,
        card_modelled_us: modelled,
        sam_characters: last.sam_characters,
        sam_line_us: super::BAUDS.map(|baud| air::sam_ns(characters, baud) / 1_000),
        memory: Measured::of(costs),
        pcscd: pcscd.and_then(|costs| Some(Measured::of(costs.get(flow.name)?))),
    })
}

/// Tenths of a millisecond.
fn ms(us: u64) -> String {
    let tenths = (us + 50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The names of flows are not broken into pieces.
fn keep_whole(table: &mut comfy_table::Table) {
    use comfy_table::{ColumnConstraint, Width};
    if let Some(column) = table.column_mut(0) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(16)));
    }
}

fn report(args: &Args, lines: &[Line]) -> Done {
    let worst = |of: &dyn Fn(&Line) -> Option<u64>| lines.iter().filter_map(of).max();
    let memory = worst(&|line| Some(line.memory.whole.p99_us));
    let pcscd = worst(&|line| Some(line.pcscd.as_ref()?.whole.p99_us));
    if args.json {
        let mut air = serde_json::Map::new();
        for line in lines {
            let number = ms(line.air_us[0]).parse::<f64>().ok();
            air.insert(line.flow.to_owned(), number.into());
        }
        return json(&serde_json::json!({
            "software_memory_p99_us": memory, "software_pcscd_p99_us": pcscd, "air_106k_ms": air,
            "sam_baud": super::BAUDS, "flows": lines,
        }));
    }
    let mut table = tables::new(&[
        "flow 流程",
        "n",
        "out",
        "back",
        "air 106",
        "limit 限",
        "212",
        "424",
        "848",
        "card",
        "SAM 9.6",
        "38.4",
        "115.2",
    ]);
    keep_whole(&mut table);
    for line in lines {
        let mut row = vec![
            format!("{}\n{}", line.flow, line.zh),
            line.exchanges.to_string(),
            line.bytes_out.to_string(),
            line.bytes_back.to_string(),
            ms(line.air_us[0]),
            line.limit_us.map(ms).unwrap_or_default(),
        ];
        row.extend(line.air_us.iter().skip(1).map(|us| ms(*us)));
        row.push(line.card_modelled_us.map(ms).unwrap_or_default());
        row.extend(line.sam_line_us.map(ms));
        table.add_row(row);
    }
    say!(
        "modelled, ms: n exchanges on the air at kbit/s, with activation; the card's work on the microcontroller; \
         the SAM's line, T=0 at kbaud\n{table}"
    );
    if args.firmware.is_file() {
        say!("{}", firmware::model());
    } else {
        let image = args.firmware.display();
        say!("card: no image at {image}; `make firmware` builds it");
    }
    let mut table = tables::new(&[
        "flow 流程",
        "reader",
        "taps",
        "whole p50",
        "p99",
        "software p50",
        "p99",
        "card p50",
        "p99",
        "SAM p50",
        "p99",
        "flush p50",
        "p99",
    ]);
    keep_whole(&mut table);
    for line in lines {
        let readers = [
            ("memory", Some(&line.memory)),
            ("pcscd", line.pcscd.as_ref()),
        ];
        for (reader, measured) in readers {
            let Some(m) = measured else { continue };
            let mut row = vec![line.flow.to_owned(), reader.to_owned(), m.taps.to_string()];
            for part in [m.whole, m.software, m.card, m.sam, m.flush] {
                row.extend([part.p50_us.to_string(), part.p99_us.to_string()]);
            }
            table.add_row(row);
        }
    }
    say!("measured, µs: whole is software, card and SAM; the journal's flush apart\n{table}");
    Ok(())
}
