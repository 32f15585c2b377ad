//! `onecard card script`: scripted conversations with a card in memory, in a PC/SC reader or on a
//! microcontroller.

use super::{card::FIRMWARE, json};
use crate::{
    exit::{Code, Done, Stop},
    out::say,
};
use card_reader::{PcscChannel, PcscReader};
use card_spec::{
    Channel, ChannelError, Fen, SuiteId, Sw, aid, apdu,
    channel::exchange,
    keys::class,
    purse::{InitRequest, PurchaseInit},
    ssse::{self, Profile},
};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use virtual_card::{
    VirtualCard,
    firmware::Firmware,
    script::{Powered, SAM_NO, Script, ScriptError, Start},
};

/// Where the project keeps its scripts.
const SCRIPTS: &str = "card-os/tests/scripts";

/// What to run, and where.
#[derive(clap::Args)]
pub struct Args {
    /// Scripts
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// PC/SC reader with a sample card: a fresh one a file (start `onecard card attach --sample` again)
    #[arg(long, value_name = "NAME")]
    reader: Option<String>,
    /// A microcontroller in QEMU (this image of `make firmware`)
    #[arg(long, value_name = "IMAGE", num_args = 0..=1, require_equals = true,
          default_missing_value = FIRMWARE, conflicts_with = "reader")]
    firmware: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

/// Where the card is.
enum Place {
    Memory,
    Reader(Box<InReader>),
    /// Firmware image.
    Chip(PathBuf),
}

/// A card that stays in its reader from script to script.
pub struct InReader {
    /// The connection.
    pub channel: Pcsc,
    /// Of its keys.
    pub suite: SuiteId,
    profile: Profile,
}

#[derive(Serialize)]
struct Run {
    file: String,
    title: String,
    suite: &'static str,
    #[serde(flatten)]
    result: Outcome,
}

#[derive(Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
enum Outcome {
    Passed { commands: usize },
    Skipped { because: &'static str },
    Failed { error: String },
}

/// Runs the scripts; fails when an answer was not the script's.
pub fn run(args: &Args) -> Done {
    let scripts: Done<Vec<Script>> = args.files.iter().map(|path| open(path)).collect();
    let scripts = scripts?;
    let mut place = match (&args.reader, &args.firmware) {
        (Some(name), _) => Place::Reader(Box::new(InReader::open(name)?)),
        (None, Some(image)) => Place::Chip(image.clone()),
        (None, None) => Place::Memory,
    };
    let mut runs = Vec::new();
    for script in &scripts {
        for suite in script.suites() {
            let result = match place.cannot(script, *suite) {
                Some(because) => Outcome::Skipped { because },
                None => match place.run(script, *suite)? {
                    Ok(commands) => Outcome::Passed { commands },
                    Err(error) => Outcome::Failed {
                        error: error.to_string(),
                    },
                },
            };
            runs.push(Run {
                file: script.file().to_owned(),
                title: script.title().to_owned(),
                suite: suite.name(),
                result,
            });
        }
    }
    report(&runs, args.json)
}

fn report(runs: &[Run], as_json: bool) -> Done {
    let count = |wanted: fn(&Outcome) -> bool| runs.iter().filter(|r| wanted(&r.result)).count();
    let passed = count(|r| matches!(r, Outcome::Passed { .. }));
    let failed = count(|r| matches!(r, Outcome::Failed { .. }));
    let skipped = runs.len() - passed - failed;
    if as_json {
        json(&serde_json::json!({
            "passed": passed, "failed": failed, "skipped": skipped, "runs": runs,
        }))?;
    } else {
        for run in runs {
            match &run.result {
                Outcome::Passed { commands } => say!(
                    "passed   {} ({}): {commands} commands: {}",
                    run.file,
                    run.suite,
                    run.title
                ),
                Outcome::Skipped { because } => {
                    say!("skipped  {} ({}): {because}", run.file, run.suite);
                }
                Outcome::Failed { error } => say!("failed   {error}"),
            }
        }
        say!("passed {passed}, failed {failed}, skipped {skipped}");
    }
    match failed {
        0 => Ok(()),
        _ => Err(Stop::new(
            Code::CardRefused,
            format!(
                "{failed} of {} runs: the card answered otherwise",
                runs.len()
            ),
        )),
    }
}

/// What the project's scripts did on the microcontroller.
pub struct OnFirmware {
    /// Runs, one a script and suite.
    pub passed: usize,
    /// Deepest stack.
    pub stack_bytes: u32,
}

/// Every script of the project on the microcontroller, in every suite; those of the PKI
/// application only where it is.
pub fn all_on_firmware(image: &Path, pki: bool) -> Done<OnFirmware> {
    let scripts = Script::all(Path::new(SCRIPTS)).map_err(|error| {
        Stop::new(
            Code::NotFound,
            format!("{error}: run this in the project's directory"),
        )
    })?;
    let (mut passed, mut stack_bytes) = (0, 0);
    for script in scripts.iter().filter(|script| pki || !script.needs_pki()) {
        for suite in script.suites() {
            let (result, deepest) = on_chip(image, script, *suite)?;
            result.map_err(|error| Stop::new(Code::CardRefused, error))?;
            stack_bytes = stack_bytes.max(deepest);
            passed += 1;
        }
    }
    Ok(OnFirmware {
        passed,
        stack_bytes,
    })
}

/// A new microcontroller with a new card: the result, and the deepest stack.
fn on_chip(
    image: &Path,
    script: &Script,
    suite: SuiteId,
) -> Done<(Result<usize, ScriptError>, u32)> {
    let card = card(script, suite)?;
    let mut chip =
        Firmware::start(image, card.image()).map_err(|error| Stop::new(Code::Failure, error))?;
    let mut sam = sam(script, suite)?;
    let sam = sam.as_mut().map(|sam| sam as &mut dyn Powered);
    let result = script.run(suite, &mut chip, sam);
    let counted = chip.counted().map_err(Stop::because("counting"))?;
    Ok((result.map(|ran| ran.commands), counted.stack_bytes))
}

/// The card that a script starts with.
pub fn card(script: &Script, suite: SuiteId) -> Done<VirtualCard> {
    script
        .card(suite, super::card::seed()?)
        .map_err(Stop::because("personalising the sample card"))
}

/// The SAM that a script asks.
pub fn sam(script: &Script, suite: SuiteId) -> Done<Option<VirtualCard>> {
    script
        .sam(suite, super::card::seed()?)
        .map_err(Stop::because("personalising the sample SAM"))
}

fn open(path: &Path) -> Done<Script> {
    if !path.is_file() {
        return Err(Stop::new(
            Code::NotFound,
            format!("no script at {}", path.display()),
        ));
    }
    Script::open(path).map_err(|error| Stop::new(Code::Usage, error))
}

impl Place {
    /// Why this script does not run here.
    fn cannot(&self, script: &Script, suite: SuiteId) -> Option<&'static str> {
        let Self::Reader(reader) = self else {
            return None;
        };
        if script.start() != Start::Sample {
            Some("wants another card than the sample")
        } else if script.needs_air() {
            Some("a PC/SC reader cannot take a card from its contacts to the air")
        } else if suite != reader.suite {
            Some("the card in the reader has keys of another suite")
        } else if script.profile() != reader.profile {
            Some("the card in the reader has another profile")
        } else {
            None
        }
    }

    /// The inner result is the card's, the outer one ours.
    fn run(&mut self, script: &Script, suite: SuiteId) -> Done<Result<usize, ScriptError>> {
        let result = match self {
            Self::Chip(image) => on_chip(image, script, suite)?.0,
            Self::Memory => {
                let mut sam = sam(script, suite)?;
                let sam = sam.as_mut().map(|sam| sam as &mut dyn Powered);
                let mut card = card(script, suite)?;
                script.run(suite, &mut card, sam).map(|ran| ran.commands)
            }
            Self::Reader(reader) => {
                let mut sam = sam(script, suite)?;
                let sam = sam.as_mut().map(|sam| sam as &mut dyn Powered);
                let reset = reader.channel.reset();
                reset.map_err(|error| Stop::new(Code::Reader, error))?;
                let ran = script.run(suite, &mut reader.channel, sam);
                ran.map(|ran| ran.commands)
            }
        };
        match result {
            Err(error) if error.channel().is_some() => Err(Stop::new(Code::Reader, error)),
            result => Ok(result),
        }
    }
}

impl InReader {
    /// Connects and asks the card what it is.
    pub fn open(name: &str) -> Done<Self> {
        let stop = |error| Stop::new(Code::Reader, error);
        let reader = PcscReader::open(name).map_err(stop)?;
        reader.wait_for_card(Duration::from_secs(5)).map_err(stop)?;
        let mut channel = Pcsc(reader.connect().map_err(stop)?);
        let suite = suite_of(&mut channel)?;
        let profile = profile_of(&mut channel)?;
        Ok(Self {
            channel,
            suite,
            profile,
        })
    }
}

fn ask(card: &mut Pcsc, command: &[u8]) -> Done<card_spec::Reply> {
    exchange(card, command).map_err(|error| Stop::new(Code::Reader, error))
}

/// INITIALIZE FOR PURCHASE of nothing tells the algorithm of the card's keys.
fn suite_of(card: &mut Pcsc) -> Done<SuiteId> {
    ask(card, &apdu::select(aid::T_UNION))?;
    let init = InitRequest {
        kid: class::TRANSIT,
        amount: Fen::ZERO,
        terminal: SAM_NO.parse().map_err(Stop::because("naming a terminal"))?,
    };
    let init = init.purchase().map_err(Stop::because("building INIT"))?;
    let reply = ask(card, &init)?;
    match PurchaseInit::from_bytes(&reply.data) {
        Ok(init) if reply.sw.is_ok() => Ok(init.suite),
        _ => Err(Stop::new(
            Code::CardRefused,
            format!("no sample card: INIT FOR PURCHASE answered {}", reply.sw),
        )),
    }
}

fn profile_of(card: &mut Pcsc) -> Done<Profile> {
    ask(card, &apdu::select(aid::SSSE))?;
    let reply = ask(card, &ssse::read_by_number(5, 3, ssse::tag::VERSION))?;
    let version = ssse::record_value(&reply.data, ssse::tag::VERSION.0);
    Ok(match version {
        Ok(text) if reply.sw.is_ok() && text == Profile::V1.version_text() => Profile::V1,
        Ok(_) if reply.sw.is_ok() => Profile::V2,
        _ if reply.sw == Sw::SECURITY => Profile::V3,
        _ => {
            return Err(Stop::new(
                Code::CardRefused,
                format!("no sample card: EF05 answered {}", reply.sw),
            ));
        }
    })
}

/// A card in a PC/SC reader, which switches it off and on but leaves it where it is.
pub struct Pcsc(PcscChannel);

impl Channel for Pcsc {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        self.0.transmit(command, response)
    }

    fn atr(&self) -> &[u8] {
        self.0.atr()
    }
}

impl Powered for Pcsc {
    fn reset(&mut self) -> Result<(), ChannelError> {
        self.0.reconnect().map_err(|_| ChannelError::CardRemoved)
    }

    fn contactless(&mut self, on: bool) -> Result<(), ChannelError> {
        match on {
            false => Ok(()),
            true => Err(ChannelError::ReaderLost),
        }
    }
}
