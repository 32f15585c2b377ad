//! `onecard bench`: figures, printed; never timed tests.

mod hotlist;
mod hsm;
mod tap;

use super::{json, script::InReader};
use crate::out::say;
use crate::{
    exit::{Code, Done, Stop},
    tables,
};
use card_spec::{
    Channel, ChannelError, SuiteId,
    air::{self, Rate},
    commands::{self, Application},
};
use clap::Subcommand;
use serde::Serialize;
use std::time::{Duration, Instant};
use virtual_card::script::{Powered, Script};

/// Measure 测速
#[derive(Subcommand)]
pub enum Bench {
    /// Time of each command of four taps, and what their bytes take on the air
    Card {
        /// PC/SC reader with a sample card (see `onecard card attach --sample`); in memory without
        #[arg(long, value_name = "NAME")]
        reader: Option<String>,
        /// Rounds
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        rounds: u32,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
    /// Size, stack and instructions of the card on a microcontroller (`make firmware` first)
    Firmware {
        /// Another image
        #[arg(long, value_name = "IMAGE")]
        image: Option<std::path::PathBuf>,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
    /// Air, card, SAM, software and disk of each kind of tap 一次刷卡的时间
    Tap(tap::Args),
    /// A look-up in a hotlist, beside a plain sorted array 黑名单测速
    Hotlist(hotlist::Args),
    /// TACs that the HSM verifies a second, beside the same work in a plain loop 密钥机测速
    Hsm(hsm::Args),
}

/// The taps, as scripts.
const FLOWS: [(&str, &str); 4] = [
    (
        "purchase",
        include_str!("../../card-os/tests/scripts/40-flow-purchase.apdu"),
    ),
    (
        "capp",
        include_str!("../../card-os/tests/scripts/41-flow-capp.apdu"),
    ),
    (
        "habit",
        include_str!("../../card-os/tests/scripts/42-flow-habit.apdu"),
    ),
    (
        "metro",
        include_str!("../../card-os/tests/scripts/43-flow-metro.apdu"),
    ),
];

#[derive(Serialize)]
struct Flow {
    flow: &'static str,
    suite: &'static str,
    commands: Vec<Line>,
    bytes_out: usize,
    bytes_back: usize,
    /// Modelled: activation and every exchange, at 106, 212, 424 and 848 kbit/s.
    air_us: [u64; 4],
    /// Modelled: commands and answers of the SAM on T=0 at 9,600, 38,400 and 115,200 baud.
    sam_us: [u64; 3],
}

#[derive(Serialize)]
struct Line {
    command: &'static str,
    median_us: u64,
    p99_us: u64,
    bytes_out: usize,
    bytes_back: usize,
}

/// Runs one.
pub fn run(command: &Bench) -> Done {
    let (reader, rounds, as_json) = match command {
        Bench::Card {
            reader,
            rounds,
            json,
        } => (reader, *rounds, *json),
        Bench::Firmware { image, json } => return super::firmware::run(image.as_ref(), *json),
        Bench::Tap(args) => return tap::run(args),
        Bench::Hotlist(args) => return hotlist::run(args),
        Bench::Hsm(args) => return hsm::run(args),
    };
    let mut flows = Vec::new();
    match reader {
        Some(name) => {
            let mut reader = InReader::open(name)?;
            for (name, text) in FLOWS {
                flows.push(measure(
                    name,
                    text,
                    reader.suite,
                    &mut reader.channel,
                    rounds,
                )?);
            }
        }
        None => {
            for (name, text) in FLOWS {
                for suite in SuiteId::ALL {
                    let mut card = super::script::card(&parse(name, text)?, suite)?;
                    flows.push(measure(name, text, suite, &mut card, rounds)?);
                }
            }
        }
    }
    let place = reader.clone().unwrap_or_else(|| "memory".to_owned());
    if as_json {
        return json(&serde_json::json!({
            "reader": place, "rounds": rounds, "kbit_per_second": Rate::ALL.map(Rate::kbit),
            "sam_baud": BAUDS, "flows": flows,
        }));
    }
    print(&place, rounds, &flows);
    Ok(())
}

const BAUDS: [u32; 3] = [9_600, 38_400, 115_200];

fn parse(name: &str, text: &str) -> Done<Script> {
    Script::parse(name, text).map_err(|error| Stop::new(Code::Failure, error))
}

fn print(place: &str, rounds: u32, flows: &[Flow]) {
    let mut table = tables::new(&[
        "flow",
        "suite",
        "command 指令",
        "median µs",
        "p99 µs",
        "out",
        "back",
    ]);
    for flow in flows {
        for line in &flow.commands {
            table.add_row([
                flow.flow.to_owned(),
                flow.suite.to_owned(),
                line.command.to_owned(),
                line.median_us.to_string(),
                line.p99_us.to_string(),
                line.bytes_out.to_string(),
                line.bytes_back.to_string(),
            ]);
        }
    }
    say!("{place}, {rounds} rounds, measured\n{table}");
    let mut table = tables::new(&[
        "flow",
        "suite",
        "exchanges",
        "out",
        "back",
        "106",
        "212",
        "424",
        "848",
        "SAM 9.6 k",
        "38.4 k",
        "115.2 k",
    ]);
    let ms = |us: &u64| {
        let tenths = (us + 50) / 100;
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    for flow in flows {
        let mut row = vec![
            flow.flow.to_owned(),
            flow.suite.to_owned(),
            flow.commands.len().to_string(),
            flow.bytes_out.to_string(),
            flow.bytes_back.to_string(),
        ];
        row.extend(flow.air_us.iter().chain(&flow.sam_us).map(ms));
        table.add_row(row);
    }
    say!("modelled, ms: air at kbit/s with activation, SAM on T=0 at baud\n{table}");
}

fn measure(
    name: &'static str,
    text: &str,
    suite: SuiteId,
    card: &mut dyn Powered,
    rounds: u32,
) -> Done<Flow> {
    let script = parse(name, text)?;
    let no_sam = || Stop::new(Code::Failure, "the flow has no SAM");
    let mut sam = super::script::sam(&script, suite)?.ok_or_else(no_sam)?;
    let mut times: Vec<Vec<u64>> = Vec::new();
    let mut last = Vec::new();
    let mut characters = 0;
    for _ in 0..rounds {
        let (mut air, mut contacts) = (Recorder::new(card), Recorder::new(&mut sam));
        let ran = script.run(suite, &mut air, Some(&mut contacts));
        ran.map_err(|error| match error.channel() {
            Some(_) => Stop::new(Code::Reader, error),
            None => Stop::new(Code::CardRefused, error),
        })?;
        times.resize(air.seen.len(), Vec::new());
        for (times, seen) in times.iter_mut().zip(&air.seen) {
            times.push(seen.took.as_micros() as u64);
        }
        characters = contacts.seen.iter().map(|s| s.out + s.back).sum();
        last = air.seen;
    }
    let commands = times.iter_mut().zip(&last).map(|(times, seen)| {
        times.sort_unstable();
        let at = |percent: usize| times.get((times.len() - 1) * percent / 100).copied();
        Line {
            command: seen.name,
            median_us: at(50).unwrap_or(0),
            p99_us: at(99).unwrap_or(0),
            bytes_out: seen.out,
            bytes_back: seen.back,
        }
    });
    Ok(Flow {
        flow: name,
        suite: suite.name(),
        commands: commands.collect(),
        bytes_out: last.iter().map(|s| s.out).sum(),
        bytes_back: last.iter().map(|s| s.back).sum(),
        air_us: Rate::ALL.map(|rate| {
            let air = last.iter().map(|s| air::exchange_ns(rate, s.out, s.back));
            (air::activation_ns(rate) + air.sum::<u64>()) / 1000
        }),
        sam_us: BAUDS.map(|baud| air::sam_ns(characters, baud) / 1000),
    })
}

/// Lengths and times of what goes through.
struct Recorder<'a> {
    inside: &'a mut dyn Powered,
    seen: Vec<Seen>,
}

struct Seen {
    name: &'static str,
    out: usize,
    back: usize,
    took: Duration,
}

impl<'a> Recorder<'a> {
    fn new(inside: &'a mut dyn Powered) -> Self {
        Self {
            inside,
            seen: Vec::new(),
        }
    }
}

impl Channel for Recorder<'_> {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        let began = Instant::now();
        let back = self.inside.transmit(command, response)?;
        self.seen.push(Seen {
            took: began.elapsed(),
            name: commands::name(Application::Purse, command).unwrap_or("another command"),
            out: command.len(),
            back,
        });
        Ok(back)
    }

    fn atr(&self) -> &[u8] {
        self.inside.atr()
    }
}

impl Powered for Recorder<'_> {
    fn reset(&mut self) -> Result<(), ChannelError> {
        self.inside.reset()
    }

    fn contactless(&mut self, on: bool) -> Result<(), ChannelError> {
        self.inside.contactless(on)
    }
}
