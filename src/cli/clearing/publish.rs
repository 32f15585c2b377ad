//! What one person of the staff proposes and another agrees to.

use super::{client, stop};
use crate::{
    cli::json,
    exit::{Code, Done, Stop},
    out::say,
    tables,
};
use card_spec::{
    id::{Generation, Pan},
    time::CardTime,
};
use clap::Args;
use clearing_api::{
    mode::Mode,
    parameters::{Bundle, Proposal},
};
use fare::Tariffs;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A bundle of limits and tariffs.
#[derive(Args)]
pub struct Publish {
    /// Version, above all published
    #[arg(long)]
    version: u64,
    /// When it takes effect, YYYY-MM-DDThh:mm:ss
    #[arg(long, value_name = "TIME")]
    starts: CardTime,
    /// TOML file with limits of the device profile
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// Folder of tariff data, all of it
    #[arg(long, value_name = "DIR")]
    tariffs: Option<PathBuf>,
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

/// A mode for every device.
#[derive(Args)]
pub struct Order {
    /// normal, closed, train-failure, emergency-release, test
    #[arg(value_parser = mode)]
    mode: Mode,
    /// When it begins, YYYY-MM-DDThh:mm:ss; without it, when another person agrees
    #[arg(long, value_name = "TIME")]
    from: Option<CardTime>,
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

/// A mode that can be ordered: degraded is what a device finds itself to be.
fn mode(text: &str) -> Result<Mode, String> {
    let ordered = |mode: &Mode| *mode != Mode::Degraded;
    let mut modes = Mode::ALL.into_iter().filter(ordered);
    modes
        .find(|mode| mode.name() == text)
        .ok_or_else(|| "one of normal, closed, train-failure, emergency-release, test".to_owned())
}

/// A card that was found.
#[derive(Args)]
pub struct Unlist {
    /// Card number, 20 digits
    pan: Pan,
    /// Generation
    generation: u8,
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

/// Another person's agreement.
#[derive(Args)]
pub struct Approve {
    /// Number of the proposal
    number: u64,
    /// Which staff token of the tokens file is yours, from 1
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    person: u8,
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

pub(super) fn publish(args: &Publish) -> Done {
    let limits = match &args.limits {
        Some(path) => toml::from_str(&text(path)?)
            .map_err(|why| Stop::new(Code::Usage, format!("{}: {why}", path.display())))?,
        None => serde_json::Map::new(),
    };
    let tariffs = match &args.tariffs {
        Some(folder) => {
            Tariffs::texts(folder).map_err(|why| Stop::new(Code::NotFound, why.to_string()))?
        }
        None => BTreeMap::new(),
    };
    let proposal = Proposal::Publish(Bundle {
        version: args.version,
        starts: args.starts,
        limits,
        tariffs,
    });
    propose(&args.config, &proposal, args.json)
}

pub(super) fn mode_order(args: &Order) -> Done {
    let proposal = Proposal::Mode {
        mode: args.mode,
        from: args.from,
    };
    propose(&args.config, &proposal, args.json)
}

pub(super) fn unlist(args: &Unlist) -> Done {
    let proposal = Proposal::Unlist {
        pan: args.pan,
        generation: Generation(args.generation),
    };
    propose(&args.config, &proposal, args.json)
}

fn propose(config: &Path, proposal: &Proposal, as_json: bool) -> Done {
    let proposed = client(config, 1)?.propose(proposal).map_err(stop)?;
    if as_json {
        return json(&proposed);
    }
    let number = proposed.number;
    say!("proposal {number}: {}", proposed.what);
    say!("Next, by another person: onecard clearing approve {number}");
    Ok(())
}

pub(super) fn approve(args: &Approve) -> Done {
    let client = client(&args.config, args.person.into())?;
    let done = client.approve(args.number).map_err(stop)?;
    if args.json {
        return json(&done);
    }
    say!("{}: done", done.what);
    Ok(())
}

pub(super) fn devices(config: &Path, as_json: bool) -> Done {
    let reports = client(config, 1)?.parameter_reports().map_err(stop)?;
    if as_json {
        return json(&reports);
    }
    let header = [
        "device 设备",
        "in effect 在用",
        "known 已知",
        "clock 时钟",
        "refused 拒绝",
    ];
    let mut table = tables::new(&header);
    for report in reports {
        let refused = report.refused.map(|r| format!("{}: {}", r.version, r.why));
        table.add_row([
            report.device.to_string(),
            report.held.to_string(),
            report.known.to_string(),
            report.at.to_string(),
            refused.unwrap_or_default(),
        ]);
    }
    say!("{table}");
    Ok(())
}

fn text(path: &Path) -> Done<String> {
    let read = std::fs::read_to_string(path);
    read.map_err(|why| Stop::new(Code::NotFound, format!("{}: {why}", path.display())))
}
