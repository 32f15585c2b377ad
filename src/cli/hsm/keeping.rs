//! What needs people: ceremony and backup.

use super::{
    cards::{Cards, CarrierArgs},
    ceremony::{self as steps, Division, Manner},
    console::Console,
    found, founding, now, open_config, people, settings, stop,
};
use crate::{
    cli::secret::NewFiles,
    config,
    exit::{Code, Done, Stop},
};
use clap::{Args, ValueEnum};
use hsm::{
    Entropy, KdfCost, SoftHsm, Zeroizing,
    ceremony::{CeremonyError, Dealing, Form, Formed, Plan, Subject, Transcript},
};
use hsm_client::Hsm as _;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Which keys a ceremony forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The provincial roots: makes a new HSM
    Roots,
    /// A key-encryption key for exchanges with another party or site
    Transport,
}

#[derive(Args)]
pub struct CeremonyArgs {
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// What is formed
    #[arg(long, value_enum, default_value = "roots")]
    key: Which,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    carrier: CarrierArgs,
    /// Public record of the parts: written when they are drawn, and read when they are brought, so
    /// that a share that was replaced is named
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

#[derive(Args)]
pub struct BackupArgs {
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// The backup; a new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Shares: M/N, M of N custodians restore it
    #[arg(long, value_name = "M/N", default_value = "3/5")]
    shares: Division,
    #[command(flatten)]
    carrier: CarrierArgs,
    /// Events as lines of JSON on standard output
    #[arg(long)]
    json: bool,
}

pub fn failed(error: CeremonyError) -> Stop {
    Stop::new(Code::Auth, format!("key ceremony: {error}"))
}

pub fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// `onecard hsm ceremony`.
pub fn ceremony(args: &CeremonyArgs) -> Done {
    let manner = &args.manner;
    let mut console = Console::new(manner.dry_run, manner.json)?;
    let cards = Cards::open(&args.carrier)?;
    // A dry run wants nobody's configuration, and touches nobody's store.
    let settings = match manner.dry_run {
        true => None,
        false => Some(settings(&args.config)?),
    };
    if let (Some(settings), Which::Roots) = (&settings, args.key)
        && settings.store.join("keystore.bin").exists()
    {
        let there = format!("{} holds an HSM already", settings.store.display());
        return Err(Stop::new(Code::Usage, there));
    }
    let officers = steps::officers(&mut console)?;
    let founding = match (&settings, args.key) {
        (Some(settings), Which::Roots) => {
            Some(founding(settings, "onecard hsm ceremony", &officers)?)
        }
        _ => None,
    };
    let form = manner.parts.0;
    let names = steps::custodians(&mut console, form, &officers)?;
    let mut plan = match args.key {
        Which::Roots => Plan::roots(form, &strs(&names)),
        Which::Transport => Plan::single(Subject::Transport, form, &strs(&names)),
    }
    .map_err(failed)?;
    let mut files = NewFiles::default();
    if manner.draw {
        let entropy = if manner.dry_run {
            Entropy::seeded(*b"onecard dry run: test keys only!")
        } else {
            Entropy::os()
        };
        let dealing = steps::draw(&mut console, &entropy, &plan, &strs(&names), cards.as_ref())?;
        if let Some(path) = &args.record {
            let text = serde_json::to_string_pretty(&dealing);
            files.write(path, &text.map_err(Stop::because("writing the record"))?)?;
        }
        plan = plan.checked_by(dealing);
    } else if let Some(path) = &args.record {
        plan = plan.checked_by(read_record(path)?);
    }
    let (formed, transcript) = steps::hold(&mut console, plan, &officers, now(), cards.as_ref())?;
    match (&settings, founding) {
        (None, _) => practised(&mut console, args.key, formed, &transcript),
        (Some(settings), Some(config)) => {
            let roots = formed.roots().map_err(failed)?;
            console.screen("正在建立密钥机", "making the HSM");
            found(settings, config, roots, &transcript)?;
            files.keep();
            console.both(
                &format!("密钥库已建立：{}", settings.store.display()),
                &format!("The key store is in {}", settings.store.display()),
            );
            console.line(&format!(
                "下一步 · Next: onecard hsm serve --config {}",
                args.config.display()
            ));
            console.event(&json!({ "event": "created", "store": settings.store }));
            Ok(())
        }
        (Some(settings), None) => {
            drop(formed);
            let hsm = open(settings, "onecard hsm ceremony")?;
            let record = hsm.keep_transcript(&transcript).map_err(stop)?;
            files.keep();
            console.screen(
                "传输密钥的分量有效",
                "the parts of the transport key are good",
            );
            console.both(
                "密钥未保存；导出或导入时再次合成。",
                "The key is not kept: form it again with `onecard hsm export --kek` or `import --kek`.",
            );
            console.event(&json!({ "event": "proved", "audit_line": record.audit_line }));
            Ok(())
        }
    }
}

/// The end of a dry run: an HSM is made in a temporary directory, and goes with it.
fn practised(console: &mut Console, which: Which, formed: Formed, transcript: &Transcript) -> Done {
    if which == Which::Roots {
        let place = tempfile::tempdir().map_err(Stop::because("making a temporary directory"))?;
        let config = hsm::Config {
            directory: place.path().join("hsm"),
            passphrase: Zeroizing::new("dry run".to_owned()),
            actor: "onecard hsm ceremony --dry-run".to_owned(),
            entropy: Entropy::seeded([0; 32]),
            clock: Arc::new(now),
            ledger_key: None,
            limits: hsm::LoadLimits::default(),
            token: None,
        };
        let roots = formed.roots().map_err(failed)?;
        let hsm = SoftHsm::create(config, KdfCost::LIGHT, roots, transcript).map_err(stop)?;
        let keys = hsm.keys().map_err(stop)?.len();
        console.screen("演练完成", "the practice is complete");
        console.both(
            &format!("试验密钥机派生了 {keys} 个应用主密钥；现已删除。没有产生任何真实密钥。"),
            &format!(
                "A test HSM derived {keys} application masters and is gone. No real key was made."
            ),
        );
    } else {
        console.screen("演练完成", "the practice is complete");
        console.both("没有产生任何真实密钥。", "No real key was made.");
    }
    console.event(&json!({ "event": "practised" }));
    Ok(())
}

fn read_record(path: &Path) -> Done<Dealing> {
    let text = fs::read_to_string(path).map_err(|error| {
        Stop::new(
            Code::NotFound,
            format!("cannot read {}: {error}", path.display()),
        )
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Stop::new(
            Code::Usage,
            format!("{} is no record of a dealing: {error}", path.display()),
        )
    })
}

pub fn open(settings: &config::Hsm, actor: &str) -> Done<SoftHsm> {
    SoftHsm::open(open_config(settings, actor)?).map_err(stop)
}

/// `onecard hsm backup`.
pub fn backup(args: &BackupArgs) -> Done {
    let Form::Shares(quorum) = args.shares.0 else {
        return Err(Stop::new(
            Code::Usage,
            "give shares as M/N, for example 3/5",
        ));
    };
    let settings = settings(&args.config)?;
    let mut console = Console::new(false, args.json)?;
    let cards = Cards::open(&args.carrier)?;
    let hsm = open(&settings, "onecard hsm backup")?;
    let officers = steps::officers(&mut console)?;
    let signers = people::credentials(&settings, &officers)?;
    let names = steps::custodians(&mut console, args.shares.0, &officers)?;
    people::authorise(&hsm, &signers, "onecard hsm backup")?;
    let backup = hsm.backup(quorum, &strs(&names)).map_err(stop)?;
    let mut files = NewFiles::default();
    files.write_bytes(&args.out, &backup.file)?;
    steps::hand_out(&mut console, &backup.sheets, cards.as_ref())?;
    files.keep();
    console.screen("备份完成", "the backup is complete");
    console.both(
        &format!(
            "文件 {}，密钥校验值 {}。抄到另一地点保存。",
            args.out.display(),
            backup.header.kcv
        ),
        &format!(
            "File {}, check value of its key {}. Keep a copy at another site.",
            args.out.display(),
            backup.header.kcv
        ),
    );
    console.line("下一步 · Next: onecard hsm restore (演练 · practise it on another machine)");
    console.event(&json!({ "event": "backed-up", "file": args.out, "header": backup.header }));
    Ok(())
}
