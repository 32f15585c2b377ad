//! `onecard card`: virtual cards for any PC/SC program.

use super::{interrupted, json, wait_for};
use crate::exit::{Code, Done, Stop};
use crate::out::say;
use card_spec::{Channel as _, SuiteId, ssse::Profile};
use clap::Subcommand;
use std::path::PathBuf;
use virtual_card::{VirtualCard, sample::Sample, vpcd};

/// Virtual cards 虚拟卡
#[derive(Subcommand)]
pub enum Card {
    /// Put a personalised sample card into the virtual reader and stay until interrupted
    ///
    /// Its keys are published (docs/sample-card.md); every production path refuses it.
    Attach {
        /// A sample card; the only kind there is
        #[arg(long, required = true)]
        sample: bool,
        /// Keys: aes, sm4 or tdes
        #[arg(long, default_value = "aes", value_parser = suite)]
        suite: SuiteId,
        /// Social-security profile: v1, v2 or v3
        #[arg(long, default_value = "v2", value_parser = profile)]
        profile: Profile,
        /// Keep the card in this image file: opened when it exists, made when not
        #[arg(long, value_name = "FILE")]
        image: Option<PathBuf>,
        /// Print where the card is as JSON
        #[arg(long)]
        json: bool,
    },
}

fn suite(text: &str) -> Result<SuiteId, String> {
    text.parse().map_err(|_| "aes, sm4 or tdes".to_owned())
}

fn profile(text: &str) -> Result<Profile, String> {
    text.parse().map_err(|_| "v1, v2 or v3".to_owned())
}

/// Runs one.
pub fn run(command: &Card) -> Done {
    let Card::Attach {
        sample: _,
        suite,
        profile,
        image,
        json: as_json,
    } = command;
    let flag = interrupted()?;
    let card = make(*suite, *profile, image.as_ref())?;
    let atr = hex::encode_upper(card.atr());
    let pcscd = card_reader::pcscd::ensure().map_err(|error| Stop::new(Code::Reader, error))?;
    let mut slot = vpcd::attach(card, vpcd::PORTS[0])
        .map_err(|refused| Stop::new(Code::Reader, refused.reason))?;
    let reader = pcscd.readers().first().cloned().unwrap_or_default();
    if *as_json {
        json(&serde_json::json!({
            "reader": reader, "pcscd": pcscd.origin().to_string(), "atr": atr,
            "suite": suite.name(), "profile": format!("{profile:?}").to_lowercase(),
        }))?;
    } else {
        say!(
            "sample card 样卡 ({}, {profile:?}) in \"{reader}\", {}",
            suite.name(),
            pcscd.origin()
        );
        say!("ATR {atr}   PIN 123456   keys: docs/sample-card.md   stop with Ctrl-C");
    }
    wait_for(&flag);
    slot.remove()
        .map_err(|error| Stop::new(Code::Reader, error))?;
    Ok(())
}

/// A card from its image, or a new one.
fn make(suite: SuiteId, profile: Profile, image: Option<&PathBuf>) -> Done<VirtualCard> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(Stop::because("drawing a seed"))?;
    if let Some(path) = image.filter(|path| path.exists()) {
        return VirtualCard::open(path, seed)
            .map_err(|error| Stop::new(Code::Failure, format!("{}: {error}", path.display())));
    }
    let mut card = Sample::new(suite, profile)
        .card(seed)
        .map_err(Stop::because("personalising the sample card"))?;
    if let Some(path) = image {
        card.keep_in(path)
            .map_err(|error| Stop::new(Code::Failure, format!("{}: {error}", path.display())))?;
    }
    Ok(card)
}
