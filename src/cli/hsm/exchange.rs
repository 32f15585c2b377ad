//! `onecard hsm export` and `import`: keys between two HSMs.

use super::{
    cards::{Cards, CarrierArgs},
    ceremony::{self as steps, Division},
    console::Console,
    keeping::{failed, open, strs},
    now, people, settings, stop,
};
use crate::{
    cli::secret::NewFiles,
    exit::{Code, Done, Stop},
};
use card_spec::keys::KeyHeader;
use clap::{Args, ValueEnum};
use hsm::{
    Imported, Kek, Officers, SoftHsm,
    ceremony::{FormedKey, Plan, Subject, Transcript},
    exchange::{Bundle, KeyName, Wrapping},
};
use hsm_client::{Hsm as _, ServiceKey, SignPurpose};
use serde_json::json;
use std::{fs, path::PathBuf};

/// How exported keys are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum As {
    /// ANSI X9.143 (TR-31) version D: usage travels with the key, authenticated
    KeyBlock,
    /// RFC 3394: the key alone
    KeyWrap,
    /// RFC 5649: the key alone
    PaddedKeyWrap,
}

#[derive(Args)]
pub struct ExportArgs {
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// The bundle; a new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A key: TYPE:INDEX:VERSION:SUITE (DTK:01:2:aes), PIN, PDK, sign:PURPOSE; or `all`
    #[arg(long = "key", value_name = "NAME", required = true)]
    keys: Vec<String>,
    /// How the keys are wrapped
    #[arg(long = "as", value_enum, default_value = "key-block")]
    wrapping: As,
    #[command(flatten)]
    kek: KekArgs,
}

#[derive(Args)]
pub struct ImportArgs {
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// The bundle
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// A key that the officers agreed to receive, as `export --key` names it; or `all`
    #[arg(long = "expect", value_name = "NAME", required = true)]
    expected: Vec<String>,
    #[command(flatten)]
    kek: KekArgs,
}

#[derive(Args)]
struct KekArgs {
    /// Form the key-encryption key from its parts, N components or M/N shares; without it the
    /// HSM's own transport key wraps
    #[arg(long, value_name = "N or M/N")]
    kek: Option<Division>,
    #[command(flatten)]
    carrier: CarrierArgs,
    /// Events as lines of JSON on standard output
    #[arg(long)]
    json: bool,
}

/// `onecard hsm export`.
pub fn export(args: &ExportArgs) -> Done {
    let settings = settings(&args.config)?;
    let mut console = Console::new(false, args.kek.json)?;
    let hsm = open(&settings, "onecard hsm export")?;
    let keys = match args.keys.as_slice() {
        [all] if all == "all" => all_keys(&hsm)?,
        names => parse(names)?,
    };
    let wrapping = match args.wrapping {
        As::KeyBlock => Wrapping::KeyBlock,
        As::KeyWrap => Wrapping::KeyWrap,
        As::PaddedKeyWrap => Wrapping::PaddedKeyWrap,
    };
    let officers = steps::officers(&mut console)?;
    let signers = people::credentials(&settings, &officers)?;
    let formed = form_kek(&mut console, &args.kek, &officers)?;
    if let Some((_, transcript)) = &formed {
        hsm.keep_transcript(transcript).map_err(stop)?;
    }
    people::authorise(&hsm, &signers, "onecard hsm export")?;
    let bundle = hsm
        .export(&kek_of(formed.as_ref()), wrapping, &keys)
        .map_err(stop)?;
    let text =
        serde_json::to_string_pretty(&bundle).map_err(Stop::because("writing the bundle"))?;
    let mut files = NewFiles::default();
    files.write(&args.out, &text)?;
    files.keep();
    console.screen("导出完成", "exported");
    for item in &bundle.keys {
        console.line(&format!("    {:<36} {}", item.key.to_string(), item.check));
    }
    console.line(&format!(
        "KEK KCV {}  {}",
        bundle.kek_kcv,
        args.out.display()
    ));
    console.event(&json!({ "event": "exported", "file": args.out, "keys": bundle.keys.len() }));
    Ok(())
}

/// `onecard hsm import`.
pub fn import(args: &ImportArgs) -> Done {
    let settings = settings(&args.config)?;
    let mut console = Console::new(false, args.kek.json)?;
    let text = fs::read_to_string(&args.from).map_err(|error| {
        Stop::new(
            Code::NotFound,
            format!("cannot read {}: {error}", args.from.display()),
        )
    })?;
    let bundle = Bundle::from_json(&text).map_err(stop)?;
    let expected = match args.expected.as_slice() {
        [all] if all == "all" => bundle.keys.iter().map(|item| item.key).collect(),
        names => parse(names)?,
    };
    let hsm = open(&settings, "onecard hsm import")?;
    let officers = steps::officers(&mut console)?;
    let signers = people::credentials(&settings, &officers)?;
    let formed = form_kek(&mut console, &args.kek, &officers)?;
    people::authorise(&hsm, &signers, "onecard hsm import")?;
    let Imported { added, known } = hsm
        .import(&kek_of(formed.as_ref()), &bundle, &expected)
        .map_err(stop)?;
    if let Some((_, transcript)) = &formed {
        hsm.keep_transcript(transcript).map_err(stop)?;
    }
    console.screen("导入完成", "imported");
    for key in &added {
        console.line(&format!("    + {key}"));
    }
    console.both(
        &format!("新增 {}，已有 {}。", added.len(), known.len()),
        &format!("{} new, {} known.", added.len(), known.len()),
    );
    console.event(&json!({ "event": "imported", "added": added, "known": known }));
    Ok(())
}

fn parse(names: &[String]) -> Done<Vec<KeyName>> {
    let parsed = names.iter().map(|name| name.parse());
    parsed
        .collect::<Result<_, hsm_client::HsmError>>()
        .map_err(|error| Stop::new(Code::Usage, error))
}

/// Everything that another HSM of the same province needs to answer alike.
fn all_keys(hsm: &SoftHsm) -> Done<Vec<KeyName>> {
    let masters = hsm.keys().map_err(stop)?.into_iter().map(|key| {
        KeyName::Master(KeyHeader {
            key_type: key.key_type,
            index: key.index,
            version: key.version,
            suite: key.suite,
        })
    });
    let service = [ServiceKey::Pin, ServiceKey::PersonalData].map(KeyName::Service);
    Ok(masters
        .chain(service)
        .chain(SignPurpose::ALL.map(KeyName::Signing))
        .collect())
}

fn form_kek(
    console: &mut Console,
    args: &KekArgs,
    officers: &Officers,
) -> Done<Option<(FormedKey, Transcript)>> {
    let Some(Division(form)) = args.kek else {
        return Ok(None);
    };
    let cards = Cards::open(&args.carrier)?;
    let names = steps::custodians(console, form, officers)?;
    let plan = Plan::single(Subject::Transport, form, &strs(&names)).map_err(failed)?;
    let (formed, transcript) = steps::hold(console, plan, officers, now(), cards.as_ref())?;
    let key = formed.single(Subject::Transport).map_err(failed)?;
    Ok(Some((key, transcript)))
}

fn kek_of(formed: Option<&(FormedKey, Transcript)>) -> Kek<'_> {
    formed.map_or(Kek::Own, |(key, _)| Kek::Formed(key))
}
