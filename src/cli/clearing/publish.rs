//! What one person of the staff proposes and another agrees to.

use super::{client, stop};
use crate::{
    exit::{Code, Done, Stop},
    out::say,
};
use card_spec::{
    id::{Generation, Pan},
    time::CardTime,
};
use clap::Args;
use clearing_api::parameters::{Bundle, Proposal};
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
}

pub(super) fn publish(args: &Publish) -> Done {
    let limits = match &args.limits {
        Some(path) => toml::from_str(&text(path)?)
            .map_err(|why| Stop::new(Code::Usage, format!("{}: {why}", path.display())))?,
        None => serde_json::Map::new(),
    };
    let mut tariffs = BTreeMap::new();
    if let Some(folder) = &args.tariffs {
        files(folder, folder, &mut tariffs)?;
    }
    let proposal = Proposal::Publish(Bundle {
        version: args.version,
        starts: args.starts,
        limits,
        tariffs,
    });
    propose(&args.config, &proposal)
}

pub(super) fn unlist(args: &Unlist) -> Done {
    let proposal = Proposal::Unlist {
        pan: args.pan,
        generation: Generation(args.generation),
    };
    propose(&args.config, &proposal)
}

fn propose(config: &Path, proposal: &Proposal) -> Done {
    let proposed = client(config, 1)?.propose(proposal).map_err(stop)?;
    let number = proposed.number;
    say!("proposal {number}: {}", proposed.what);
    say!("Next, by another person: onecard clearing approve {number}");
    Ok(())
}

pub(super) fn approve(args: &Approve) -> Done {
    let client = client(&args.config, args.person.into())?;
    let done = client.approve(args.number).map_err(stop)?;
    say!("{}: done", done.what);
    Ok(())
}

fn text(path: &Path) -> Done<String> {
    let read = std::fs::read_to_string(path);
    read.map_err(|why| Stop::new(Code::NotFound, format!("{}: {why}", path.display())))
}

/// Every file below `folder` by its path in it.
fn files(folder: &Path, top: &Path, into: &mut BTreeMap<String, String>) -> Done {
    let failed =
        |why: std::io::Error| Stop::new(Code::NotFound, format!("{}: {why}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            files(&path, top, into)?;
        } else if let Ok(name) = path.strip_prefix(top) {
            into.insert(name.display().to_string(), text(&path)?);
        }
    }
    Ok(())
}
