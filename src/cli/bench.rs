//! `onecard bench`: figures, printed; never timed tests.

use super::json;
use crate::out::say;
use crate::{
    exit::{Code, Done, Stop},
    tables,
};
use card_reader::PcscReader;
use card_spec::{
    Channel, Fen, SuiteId, aid, apdu, channel,
    purse::{self, InitRequest},
    ssse::Profile,
};
use clap::Subcommand;
use serde::Serialize;
use std::time::{Duration, Instant};
use virtual_card::sample::Sample;

/// Measure 测速
#[derive(Subcommand)]
pub enum Bench {
    /// Time of each purse command, in memory or in a PC/SC reader
    Card {
        /// PC/SC reader with a sample card (see `onecard card attach --sample`); in memory without
        #[arg(long, value_name = "NAME")]
        reader: Option<String>,
        /// Rounds
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
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
        } => (reader, rounds, json),
        Bench::Firmware { image, json } => return super::firmware::run(image.as_ref(), *json),
    };
    let lines = match reader {
        Some(name) => {
            let reader = PcscReader::open(name).map_err(|e| Stop::new(Code::Reader, e))?;
            reader
                .wait_for_card(Duration::from_secs(5))
                .map_err(|e| Stop::new(Code::Reader, e))?;
            let mut card = reader.connect().map_err(|e| Stop::new(Code::Reader, e))?;
            measure(&mut card, *rounds)?
        }
        None => {
            let mut card = Sample::new(SuiteId::Aes, Profile::V2)
                .card([1; 32])
                .map_err(Stop::because("personalising the sample card"))?;
            measure(&mut card, *rounds)?
        }
    };
    let place = reader.clone().unwrap_or_else(|| "memory".to_owned());
    if *as_json {
        return json(&serde_json::json!({ "reader": place, "rounds": rounds, "commands": lines }));
    }
    let mut table = tables::new(&[
        "command 指令",
        "median µs",
        "p99 µs",
        "bytes out",
        "bytes back",
    ]);
    for line in lines {
        table.add_row([
            line.command.to_owned(),
            line.median_us.to_string(),
            line.p99_us.to_string(),
            line.bytes_out.to_string(),
            line.bytes_back.to_string(),
        ]);
    }
    say!("{place}, {rounds} rounds\n{table}");
    Ok(())
}

fn measure(card: &mut dyn Channel, rounds: u32) -> Done<Vec<Line>> {
    let refused = |error| Stop::new(Code::Reader, error);
    let terminal = "350100000001"
        .parse()
        .map_err(Stop::because("naming a terminal"))?;
    let init = InitRequest {
        kid: 1,
        amount: Fen(100),
        terminal,
    };
    let commands = [
        ("SELECT purse", apdu::select(aid::T_UNION)),
        ("GET BALANCE", purse::get_balance()),
        (
            "READ BINARY 15",
            apdu::read_binary(purse::sfi::PUBLIC, 0, 30),
        ),
        (
            "READ RECORD 1E",
            apdu::read_record(purse::sfi::JOURNEY, 1, 48),
        ),
        (
            "INIT PURCHASE",
            init.purchase().map_err(Stop::because("building INIT"))?,
        ),
        (
            "INIT CAPP PURCHASE",
            init.capp_purchase()
                .map_err(Stop::because("building INIT"))?,
        ),
        ("GET CHALLENGE", apdu::get_challenge(8)),
    ];
    let mut lines = Vec::new();
    for (name, command) in &commands {
        let mut times = Vec::with_capacity(rounds as usize);
        let mut back = 0;
        for _ in 0..rounds {
            let began = Instant::now();
            let reply = channel::exchange(card, command).map_err(refused)?;
            times.push(began.elapsed().as_micros() as u64);
            back = reply.data.len() + 2;
            // An empty journey log is a fair answer (6A83), anything else is not.
            if !reply.sw.is_ok() && reply.sw != card_spec::Sw::RECORD_NOT_FOUND {
                return Err(Stop::new(
                    Code::CardRefused,
                    format!(
                        "{name}: the card answered {} ({})",
                        reply.sw,
                        reply.sw.meaning()
                    ),
                ));
            }
        }
        times.sort_unstable();
        let at = |percent: usize| {
            times
                .get((times.len() - 1) * percent / 100)
                .copied()
                .unwrap_or(0)
        };
        lines.push(Line {
            command: name,
            median_us: at(50),
            p99_us: at(99),
            bytes_out: command.len(),
            bytes_back: back,
        });
    }
    Ok(lines)
}
