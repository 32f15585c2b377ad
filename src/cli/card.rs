//! `onecard card`: virtual cards for any PC/SC program.

use super::{interrupted, json};
use crate::exit::{Code, Done, Stop};
use crate::out::say;
use card_reader::PcscReader;
use card_spec::{SuiteId, keys::class, ssse::Profile};
use clap::Subcommand;
use std::{path::PathBuf, sync::atomic::Ordering, time::Duration};
use virtual_card::{
    VirtualCard,
    firmware::Firmware,
    sample::{Sample, SampleSam, sample_sam},
    vpcd,
};

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
        /// Put a matching sample SAM into the second virtual reader, for `onecard terminal`
        #[arg(long, value_enum, value_name = "KIND")]
        with_sam: Option<Sam>,
        /// Run the card on a microcontroller in QEMU (this image of `make firmware`)
        #[arg(long, value_name = "IMAGE", num_args = 0..=1, default_missing_value = FIRMWARE,
              conflicts_with = "image")]
        firmware: Option<PathBuf>,
        /// Print where the card is as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run scripted conversations and compare every answer
    ///
    /// card-os/tests/scripts/README.md describes the language. In memory and on a microcontroller each
    /// run starts with a new sample card. In a reader all files run on the card that is there, one
    /// after another: a script that blocks something, or spends, spoils the next. Give one file with a
    /// fresh card each time: stop `onecard card attach --sample` (Ctrl-C) and start it again; without
    /// --image that makes a new card.
    Script(super::script::Args),
}

/// Where `make firmware` leaves the image.
pub const FIRMWARE: &str = "target/firmware/thumbv8m.main-none-eabi/release/card-firmware";

/// What the sample SAM is for.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Sam {
    /// Buses and metro
    Transit,
    /// Taxis and parking
    Parking,
    /// Hospital windows and kiosks
    Social,
}

fn suite(text: &str) -> Result<SuiteId, String> {
    text.parse().map_err(|_| "aes, sm4 or tdes".to_owned())
}

fn profile(text: &str) -> Result<Profile, String> {
    text.parse().map_err(|_| "v1, v2 or v3".to_owned())
}

/// Runs one.
pub fn run(command: &Card) -> Done {
    let (suite, profile, image, with_sam, firmware, as_json) = match command {
        Card::Script(args) => return super::script::run(args),
        Card::Attach {
            sample: _,
            suite,
            profile,
            image,
            with_sam,
            firmware,
            json,
        } => (suite, profile, image, with_sam, firmware, json),
    };
    let card = make(*suite, *profile, image.as_ref())?;
    let attached = Attached {
        suite: *suite,
        profile: *profile,
        with_sam: *with_sam,
        as_json: *as_json,
    };
    match firmware {
        None => attached.hold(card),
        Some(path) => {
            let card = Firmware::start(path, card.image())
                .map_err(|error| Stop::new(Code::Failure, error))?;
            attached.hold(card)
        }
    }
}

/// What to say of a card in the virtual reader, and what to put beside it.
struct Attached {
    suite: SuiteId,
    profile: Profile,
    with_sam: Option<Sam>,
    as_json: bool,
}

impl Attached {
    /// Keeps the card in the reader until interrupted.
    fn hold<C: vpcd::Attachable>(&self, card: C) -> Done {
        let Self {
            suite,
            profile,
            with_sam,
            as_json,
        } = self;
        let flag = interrupted()?;
        let atr = hex::encode_upper(card.atr());
        let pcscd = card_reader::pcscd::ensure().map_err(|error| Stop::new(Code::Reader, error))?;
        let mut slot = vpcd::attach(card, vpcd::PORTS[0])
            .map_err(|refused| Stop::new(Code::Reader, refused.reason))?;
        let mut sam_slot = match with_sam {
            Some(kind) => Some(attach_sam(*kind)?),
            None => None,
        };
        // pcscd shows a card a moment after it was inserted: ready means that programs can use it.
        let inserted = if sam_slot.is_some() { 2 } else { 1 };
        for name in pcscd.readers().iter().take(inserted) {
            PcscReader::open(name)
                .and_then(|reader| reader.wait_for_card(Duration::from_secs(10)))
                .map_err(|error| Stop::new(Code::Reader, error))?;
        }
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
        while !flag.load(Ordering::SeqCst) && slot.is_running() {
            std::thread::sleep(Duration::from_millis(100));
        }
        if !slot.is_running() {
            return Err(Stop::new(
                Code::Reader,
                "the virtual reader went away (pcscd was stopped): start again",
            ));
        }
        slot.remove()
            .map_err(|error| Stop::new(Code::Reader, error))?;
        if let Some(slot) = &mut sam_slot {
            slot.remove()
                .map_err(|error| Stop::new(Code::Reader, error))?;
        }
        Ok(())
    }
}

/// A sample SAM in the second virtual reader.
fn attach_sam(kind: Sam) -> Done<vpcd::Slot> {
    let kind = match kind {
        Sam::Transit => SampleSam::Purse(class::TRANSIT),
        Sam::Parking => SampleSam::Purse(class::PARKING_TAXI),
        Sam::Social => SampleSam::Social,
    };
    let number = SAM_NO.parse().map_err(Stop::because("numbering the SAM"))?;
    let sam =
        sample_sam(kind, number, seed()?).map_err(Stop::because("personalising the sample SAM"))?;
    vpcd::attach(sam, vpcd::PORTS[1]).map_err(|refused| Stop::new(Code::Reader, refused.reason))
}

/// Terminal number of the sample SAM.
const SAM_NO: &str = "350100009001";

pub fn seed() -> Done<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(Stop::because("drawing a seed"))?;
    Ok(seed)
}

/// A card from its image, or a new one.
fn make(suite: SuiteId, profile: Profile, image: Option<&PathBuf>) -> Done<VirtualCard> {
    let seed = seed()?;
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
