//! `onecard hsm key rotate-store`: a new storage key, and a new passphrase with it.

use super::{keeping::open, people, settings, stop};
use crate::{
    cli::{json, secret},
    exit::{Code, Done, Stop},
    out::say,
};
use clap::Args;
use hsm::{KdfCost, Officers, Zeroizing};
use std::path::PathBuf;

/// Arguments of `rotate-store`.
#[derive(Args)]
pub struct RotateStore {
    /// Configuration file; it names the present passphrase
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// First officer
    #[arg(long)]
    officer1: String,
    /// Second officer; another person
    #[arg(long)]
    officer2: String,
    /// File whose first line is the new passphrase; without it, it is asked for twice
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &RotateStore) -> Done {
    const ACT: &str = "onecard hsm key rotate-store";
    let officers = Officers::new(&args.officer1, &args.officer2)
        .map_err(|error| Stop::new(Code::Usage, error))?;
    let settings = settings(&args.config)?;
    let signers = people::credentials(&settings, &officers)?;
    let hsm = open(&settings, ACT)?;
    let passphrase = new_passphrase(args)?;
    people::authorise(&hsm, &signers, ACT)?;
    let key = hsm
        .rotate_storage_key(&passphrase, KdfCost::PRODUCTION)
        .map_err(stop)?;
    if args.json {
        return json(&key);
    }
    say!(
        "The key store opens with the new passphrase from now on, and no longer with the old one."
    );
    if let Some(file) = &settings.passphrase_file {
        say!("Put it into {} before the service starts.", file.display());
    }
    say!("Then make a new backup: earlier ones open with the old passphrase.");
    Ok(())
}

fn new_passphrase(args: &RotateStore) -> Done<Zeroizing<String>> {
    if let Some(file) = &args.new_passphrase_file {
        return secret::line(file, "the new key-store passphrase");
    }
    let first = secret::hidden("New key-store passphrase 新密钥库口令: ")?;
    let second = secret::hidden("Once more 再次输入: ")?;
    if first == second {
        return Ok(first);
    }
    Err(Stop::new(
        Code::Auth,
        "the two differ: nothing was changed, try again",
    ))
}
