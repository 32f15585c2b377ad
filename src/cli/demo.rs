//! `onecard demo`: one whole day, checked.

use super::{interrupted, wait_for};
use crate::{
    exit::{Code, Done, Stop},
    tables,
};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    cell::{Cell, RefCell},
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use world::{Bench, Options, Progress, WorldError, report::Report};

/// How cards reach terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Readers {
    /// In memory
    Memory,
    /// Through pcscd and its virtual readers: 20 cards, every SAM and a tap of each mode
    Pcsc,
}

/// Run one whole day of one-card life, in one process, and check it 演示
#[derive(clap::Args)]
pub struct Args {
    /// memory or pcsc; by default pcsc when pcscd with vpcd runs or can be started
    #[arg(long, value_enum)]
    readers: Option<Readers>,
    /// Everything drawn comes from it: the same seed and readers give the same day
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep databases, journals and card images in this new or empty directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Keep the services up afterwards, print their addresses, stop with Ctrl-C
    #[arg(long)]
    serve: bool,
    /// Directory of tariffs, policies and sample persons
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
}

/// Runs it.
pub fn run(args: &Args) -> Done {
    let flag = interrupted()?;
    let samples = args.data.join("samples/persons.csv");
    if !samples.is_file() {
        return Err(Stop::new(
            Code::NotFound,
            format!(
                "{} is not there: run from the project's directory, or name its data with --data",
                samples.display()
            ),
        ));
    }
    let json = args.json.as_deref().map(JsonFile::open).transpose()?;
    let directory = Directory::open(args.keep.as_deref())?;
    let bench = bench(args.readers)?;
    let options = Options {
        seed: args.seed,
        dir: directory.path().to_path_buf(),
        data: args.data.join("fujian"),
        samples,
        keep_images: args.keep.is_some(),
        interrupted: Arc::clone(&flag),
    };
    eprintln!("DEMO 演示: synthetic persons, keys from seed {}", args.seed);
    let day = world::run(&options, bench, &Bars::default()).map_err(stop)?;
    if args.keep.is_some() {
        fs::write(directory.path().join("README.txt"), KEPT)
            .map_err(Stop::because("describing what was kept"))?;
    }
    directory.finish();
    tables::print(&day.report);
    if let Some(json) = json {
        json.write(&day.report)?;
    }
    if let Some(kept) = &args.keep {
        eprintln!("kept in {}", kept.display());
    }
    if args.serve {
        serve(&day.house, &flag)?;
    }
    if day.report.all_ok() {
        Ok(())
    } else {
        let failed: Vec<&str> = day
            .report
            .checks
            .iter()
            .filter(|c| !c.ok)
            .map(|c| c.name.as_str())
            .collect();
        Err(Stop::new(
            Code::Failure,
            format!("checks failed: {}", failed.join("; ")),
        ))
    }
}

fn stop(error: WorldError) -> Stop {
    let code = match &error {
        WorldError::Bench(_) => Code::Reader,
        WorldError::Failed { .. } => Code::Failure,
        WorldError::Interrupted => Code::Interrupted,
    };
    Stop::new(code, error)
}

/// The bench for `--readers`; says which it is. Asked-for pcscd that is not there is an error.
fn bench(wanted: Option<Readers>) -> Done<Option<Bench>> {
    if wanted == Some(Readers::Memory) {
        eprintln!("readers: memory");
        return Ok(None);
    }
    match card_reader::pcscd::ensure() {
        Ok(pcscd) => {
            eprintln!("readers: pcsc ({})", pcscd.origin());
            let bench = Bench::new(pcscd).map_err(|error| Stop::new(Code::Reader, error))?;
            Ok(Some(bench))
        }
        Err(error) if wanted.is_none() => {
            eprintln!("readers: memory, because {error}");
            Ok(None)
        }
        Err(error) => Err(Stop::new(Code::Reader, error)),
    }
}

fn serve(house: &world::House, flag: &Arc<std::sync::atomic::AtomicBool>) -> Done {
    let services = house.serve().map_err(stop)?;
    eprintln!("\nDEMO services 演示服务, until Ctrl-C:");
    for (name, address, token) in &services.addresses {
        eprintln!("  {name:<10} {address}  {token}");
    }
    if let Some((_, address, token)) = services.addresses.first() {
        let token = token.rsplit(' ').next().unwrap_or_default();
        let day = house.now().date();
        eprintln!("  try: curl -H 'Authorization: Bearer {token}' {address}/v1/days/{day}");
    }
    wait_for(flag);
    services.stop();
    Ok(())
}

/// The report's file, opened before the run so that a wrong path costs nothing.
struct JsonFile<'a> {
    path: &'a Path,
    part: PathBuf,
    file: fs::File,
}

impl<'a> JsonFile<'a> {
    fn open(path: &'a Path) -> Done<Self> {
        if path.is_dir() {
            return Err(Stop::new(
                Code::Usage,
                format!("{} is a directory: name a file", path.display()),
            ));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = fs::File::create(&part).map_err(|error| {
            Stop::new(
                Code::Usage,
                format!("cannot write {}: {error}", path.display()),
            )
        })?;
        Ok(Self { path, part, file })
    }

    fn write(mut self, report: &Report) -> Done {
        let text = serde_json::to_string_pretty(report).map_err(Stop::because("writing JSON"))?;
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.write_all(b"\n"))
            .and_then(|()| self.file.sync_all())
            .and_then(|()| fs::rename(&self.part, self.path))
            .map_err(|error| {
                Stop::new(
                    Code::Failure,
                    format!("cannot write {}: {error}", self.path.display()),
                )
            })
    }
}

impl Drop for JsonFile<'_> {
    fn drop(&mut self) {
        // Renamed by now, or the run failed and leaves nothing half-done.
        let _ = fs::remove_file(&self.part);
    }
}

/// What lies in a kept directory.
const KEPT: &str = "\
What a demonstrated day left 演示留存 (synthetic persons, keys from a published seed: DEMO)

clearing.db    ledger, rows, batches       onecard clearing audit --database clearing.db
issuance.db    persons, orders, cards      sqlite3 issuance.db .tables
hsm/           key store, audit log        one JSON line an act in audit.jsonl, hash-chained
journals/      one file a terminal         append-only frames, hash-chained
cards/         one image a card            the card's whole memory, as card-os keeps it
ceremony.json  the key ceremony's transcript, check values only
";

/// The working directory: kept where asked, otherwise gone with the run.
enum Directory {
    /// Until the run is over, whatever is in it goes when the value does.
    Kept {
        path: PathBuf,
        finished: Cell<bool>,
    },
    Temporary(tempfile::TempDir),
}

impl Directory {
    fn open(keep: Option<&Path>) -> Done<Self> {
        let directory = match keep {
            Some(path) => {
                if path.exists() && !path.is_dir() {
                    return Err(Stop::new(
                        Code::Usage,
                        format!("{} is a file: name a new directory", path.display()),
                    ));
                }
                let used = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
                if used {
                    return Err(Stop::new(
                        Code::Usage,
                        format!("{} is not empty: name a new directory", path.display()),
                    ));
                }
                Self::Kept {
                    path: path.to_path_buf(),
                    finished: Cell::new(false),
                }
            }
            None => Self::Temporary(
                tempfile::tempdir().map_err(Stop::because("creating a temporary directory"))?,
            ),
        };
        fs::create_dir_all(directory.path().join("journals"))
            .map_err(Stop::because("creating the working directory"))?;
        Ok(directory)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept { path, .. } => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}

impl Directory {
    /// The run came to its end: keep what was asked for.
    fn finish(&self) {
        if let Self::Kept { finished, .. } = self {
            finished.set(true);
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Self::Kept { path, finished } = self
            && !finished.get()
        {
            // Named empty or new by the user, so everything in it is this run's.
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Progress bars on standard error, when that is a terminal.
#[derive(Default)]
struct Bars(RefCell<Option<ProgressBar>>);

impl Progress for Bars {
    fn begin(&self, stage: &str, total: u64) {
        if !std::io::stderr().is_terminal() {
            eprintln!("{stage}");
            return;
        }
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(total)
            .with_style(style)
            .with_message(stage.to_owned());
        self.0.replace(Some(bar));
    }

    fn step(&self) {
        if let Some(bar) = &*self.0.borrow() {
            bar.inc(1);
        }
    }

    fn end(&self) {
        if let Some(bar) = self.0.take() {
            bar.finish();
        }
    }
}
