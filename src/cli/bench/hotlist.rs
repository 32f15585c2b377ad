//! `onecard bench hotlist`: a look-up in a hotlist of millions, beside a plain sorted array.

use crate::{
    cli::json,
    exit::{Done, Stop},
    out::say,
};
use clap::Args as ClapArgs;

/// What to measure.
#[derive(ClapArgs)]
pub struct Args {
    /// Cards listed
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    entries: u32,
    /// Look-ups
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u32).range(100..=100_000_000))]
    rounds: u32,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(super) fn run(args: &Args) -> Done {
    let report = terminal::hotlist::bench::run(args.entries as usize, args.rounds.into())
        .map_err(Stop::because("building the hotlist"))?;
    if args.json {
        return json(&report);
    }
    say!(
        "{} cards in {} bytes, read and verified in {} ms, {} changes above\n\
         a look-up {} ns ({} listed cards in a hundred), of a listed card {} ns\n\
         in a plain sorted array {} ns",
        report.entries,
        report.bytes,
        report.load_ms,
        report.changes,
        report.lookup_ns,
        report.hits_per_100,
        report.hit_lookup_ns,
        report.sorted_lookup_ns,
    );
    Ok(())
}
