//! `onecard-terminal`: a device with its screen.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use clap::{Parser, Subcommand};
use fare::Tariffs;
use terminal::{
    machine,
    profile::{DeviceProfile, Kind, ProfileError},
    run::{RunError, run_with},
};
use terminal_screens::{Canvas, Language, tone, window};

/// A device with its screen 带屏幕的终端.
///
/// Shows what `onecard terminal` prints, and prints the same lines. Digits, Enter, Backspace and
/// Escape are the device's keypad, F1 to F10 and touches the keys on its screen. Lines on standard
/// input are read as there.
#[derive(Parser)]
#[command(name = "onecard-terminal", version, after_help = EXIT_CODES)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Task>,
    /// bus, metro-entry, metro-exit, taxi, parking-meter, car-park-entry, car-park-exit, pos,
    /// hospital, kiosk, fare-desk or inspector
    #[arg(value_parser = kind, required = true)]
    kind: Option<Kind>,
    /// The device's profile, TOML
    #[arg(long, value_name = "FILE", required = true)]
    profile: Option<PathBuf>,
    /// Language that stands first, and larger
    #[arg(long, default_value = "zh", value_parser = language)]
    language: Language,
    /// Over the whole display
    #[arg(long)]
    fullscreen: bool,
}

#[derive(Subcommand)]
enum Task {
    /// Write a picture of every state of every device 全部画面
    Gallery {
        /// Folder for `STATE.zh.png` and `STATE.en.png`
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Tariff data
        #[arg(long, value_name = "DIR", default_value = "data/fujian")]
        data: PathBuf,
        /// Write the sounds too, as `tone-NAME.wav`
        #[arg(long)]
        tones: bool,
    },
}

const EXIT_CODES: &str = "Exit codes: 0 closed; 1 failure, no display; 2 wrong arguments or profile; \
3 file not there; 5 reader or SAM";

fn kind(text: &str) -> Result<Kind, String> {
    let found = Kind::ALL.into_iter().find(|kind| kind.name() == text);
    found.ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("one of {}", names.join(", "))
    })
}

fn language(text: &str) -> Result<Language, String> {
    let found = Language::ALL.into_iter().find(|l| l.code() == text);
    found.ok_or_else(|| "zh or en".to_owned())
}

/// Exit code and what to say.
type Stop = (u8, String);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match (cli.command, cli.kind, cli.profile) {
        (Some(Task::Gallery { out, data, tones }), ..) => gallery(&out, &data, tones),
        (None, Some(kind), Some(profile)) => device(kind, &profile, cli.language, cli.fullscreen),
        _ => Err((2, "name a kind and its --profile".to_owned())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            eprintln!("onecard-terminal: {message}");
            ExitCode::from(code)
        }
    }
}

fn device(kind: Kind, path: &Path, language: Language, fullscreen: bool) -> Result<(), Stop> {
    let profile = DeviceProfile::read(path).map_err(|error| {
        let missing = matches!(&error, ProfileError::Read { .. });
        (if missing { 3 } else { 2 }, error.to_string())
    })?;
    let failed = |error: RunError| (error.exit_code(), error.to_string());
    let place = profile.place_text();
    let look = window::Look {
        title: format!("{} {}", place.zh, place.en),
        language,
        fullscreen,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let interrupt = move || flag.store(true, std::sync::atomic::Ordering::Relaxed);
    ctrlc::set_handler(interrupt).map_err(|error| (1, error.to_string()))?;
    let flag = stop.clone();
    let ended = window::open(look, &stop, move |lines, requests, watch| {
        lines.read_standard_input();
        let mut output = std::io::stdout();
        run_with(kind, &profile, &flag, &mut output, requests, watch)
    });
    let result = ended.map_err(|error| (1, error.to_string()))?;
    result.map(drop).map_err(failed)
}

fn gallery(out: &Path, data: &Path, tones: bool) -> Result<(), Stop> {
    let failed =
        |path: &Path, error: &dyn std::fmt::Display| (1, format!("{}: {error}", path.display()));
    let tariffs = Tariffs::load(data).map_err(|error| (2, format!("tariffs: {error}")))?;
    let mut canvas = Canvas::new().map_err(|error| (1, error.to_string()))?;
    std::fs::create_dir_all(out).map_err(|error| failed(out, &error))?;
    let screens = machine::gallery(&Arc::new(tariffs));
    for (name, screen) in &screens {
        for language in Language::ALL {
            let path = out.join(format!("{name}.{}.png", language.code()));
            let frame = canvas.draw(screen, language, (800, 480), Vec::new());
            for trouble in &frame.troubles {
                eprintln!("{}: {trouble}", path.display());
            }
            let written = frame.picture.write(&path);
            written.map_err(|error| failed(&path, &error))?;
        }
    }
    for tone in tone::ALL.into_iter().filter(|_| tones) {
        let path = out.join(format!("tone-{}.wav", tone::name(tone)));
        let mut bytes = Vec::new();
        let written = tone::write_wav(tone, &mut bytes)
            .and_then(|()| std::fs::File::create(&path)?.write_all(&bytes));
        written.map_err(|error| failed(&path, &error))?;
    }
    println!(
        "{} screens in two languages: {}",
        screens.len(),
        out.display()
    );
    Ok(())
}
