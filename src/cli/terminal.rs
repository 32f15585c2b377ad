//! `onecard terminal KIND`: one device on PC/SC readers.

use super::interrupted;
use crate::exit::{Code, Done, Stop};
use std::path::PathBuf;
use terminal::{
    code::Verdict,
    profile::{DeviceProfile, Kind, ProfileError},
    run::RunError,
};

/// Run one terminal on PC/SC readers; prints one JSON line for each event 终端
#[derive(clap::Args)]
pub struct Args {
    /// bus, metro-entry, metro-exit, taxi, parking-meter, car-park-entry, car-park-exit, pos,
    /// hospital, kiosk, fare-desk or inspector
    #[arg(value_parser = kind)]
    kind: Kind,
    /// The device's profile, TOML
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
}

/// A kind by its name.
pub fn kind(text: &str) -> Result<Kind, String> {
    Kind::ALL
        .into_iter()
        .find(|k| k.name() == text)
        .ok_or_else(|| {
            let names: Vec<&str> = Kind::ALL.iter().map(|k| k.name()).collect();
            format!("one of {}", names.join(", "))
        })
}

/// Runs it.
pub fn run(args: &Args) -> Done {
    let profile = DeviceProfile::read(&args.profile).map_err(|error| {
        let missing = matches!(&error, ProfileError::Read { .. });
        let code = if missing { Code::NotFound } else { Code::Usage };
        Stop::new(code, error)
    })?;
    let flag = interrupted()?;
    let last = terminal::run::run(args.kind, &profile, &flag, &mut std::io::stdout()).map_err(
        |error: RunError| {
            let code = match error.exit_code() {
                2 => Code::Usage,
                5 => Code::Reader,
                _ => Code::Failure,
            };
            Stop::new(code, error)
        },
    )?;
    match last {
        Some(result) if result.verdict == Verdict::Refuse => Err(Stop::new(
            Code::CardRefused,
            format!("the last card was refused: {}", result.en),
        )),
        _ => Ok(()),
    }
}
