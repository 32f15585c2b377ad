//! `onecard hsm export` and `import`: keys between two HSMs.

mod components;

use super::{
    cards::{Cards, CarrierArgs},
    ceremony::{self as steps, Division},
    console::Console,
    keeping::{failed, open, strs},
    now, people, settings, stop,
};
use crate::{
    cli::secret::NewFiles,
    config,
    exit::{Code, Done, Stop},
};
use clap::{Args, ValueEnum};
use hsm::{
    BlockKek, Imported, Kek, Officers,
    ceremony::{Formed, FormedKey, Plan, Subject, Transcript},
    exchange::{self, Bundle, Wrapping},
};
use hsm_client::KeyId;
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
    #[arg(long, value_name = "FILE", required_unless_present = "parts")]
    out: Option<PathBuf>,
    /// One master as this many components on paper, instead of a bundle
    #[arg(long, value_name = "N", conflicts_with_all = ["out", "wrapping", "kek"])]
    parts: Option<u8>,
    /// A key: TYPE:INDEX:VERSION:SUITE (DTK:01:2:aes), PIN:1, PDK:1, sign:PURPOSE:1; or `all`
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
    /// The bundle; or one key block of another party (`D...`, `B...`), which needs `--kek`: the key
    /// under which it is, AES for version D, two-key 3DES for version B
    #[arg(long, value_name = "FILE", required_unless_present = "parts")]
    from: Option<PathBuf>,
    /// One master from this many components on paper, instead of a file
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "kek"])]
    parts: Option<u8>,
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
    let Some(out) = &args.out else {
        let master = components::one_master(&args.keys)?;
        let parts = args.parts.unwrap_or_default();
        return components::out(&hsm, &settings, &mut console, master, parts);
    };
    let named = match args.keys.as_slice() {
        [all] if all == "all" => None,
        names => Some(parse(names)?),
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
    let kek = kek_of(formed.as_ref());
    let keys = named.unwrap_or_else(|| hsm.travelling(&kek));
    let bundle = hsm.export(&kek, wrapping, &keys).map_err(stop)?;
    let text =
        serde_json::to_string_pretty(&bundle).map_err(Stop::because("writing the bundle"))?;
    let mut files = NewFiles::default();
    files.write(out, &text)?;
    files.keep();
    console.screen("导出完成", "exported");
    for item in &bundle.keys {
        let state = item.life.last().map_or("", |event| event.state.name());
        let name = exchange::name(item.key);
        console.line(&format!("    {name:<24} {:<8} {state}", item.check));
    }
    console.line(&format!("KEK KCV {}  {}", bundle.kek_kcv, out.display()));
    console.event(&json!({ "event": "exported", "file": out, "keys": bundle.keys.len() }));
    Ok(())
}

/// `onecard hsm import`.
pub fn import(args: &ImportArgs) -> Done {
    let settings = settings(&args.config)?;
    let mut console = Console::new(false, args.kek.json)?;
    let Some(from) = &args.from else {
        let master = components::one_master(&args.expected)?;
        let parts = args.parts.unwrap_or_default();
        return components::take_in(&settings, &mut console, master, parts);
    };
    let text = fs::read_to_string(from).map_err(|error| {
        Stop::new(
            Code::NotFound,
            format!("cannot read {}: {error}", from.display()),
        )
    })?;
    let text = text.trim();
    if !text.starts_with('{') {
        return import_block(args, &settings, &mut console, text);
    }
    let bundle = Bundle::from_json(text).map_err(stop)?;
    let expected = match args.expected.as_slice() {
        [all] if all == "all" => bundle.keys.iter().map(|item| item.key).collect(),
        names => parse(names)?,
    };
    let hsm = open(&settings, "onecard hsm import")?;
    let officers = steps::officers(&mut console)?;
    let signers = people::credentials(&settings, &officers)?;
    let formed = form_kek(&mut console, &args.kek, &officers)?;
    people::authorise(&hsm, &signers, "onecard hsm import")?;
    let imported = hsm
        .import(&kek_of(formed.as_ref()), &bundle, &expected)
        .map_err(stop)?;
    if let Some((_, transcript)) = &formed {
        hsm.keep_transcript(transcript).map_err(stop)?;
    }
    let Imported {
        added,
        known,
        followed,
    } = &imported;
    console.screen("导入完成", "imported");
    for key in added {
        console.line(&format!("    + {}", exchange::name(*key)));
    }
    for (key, state) in followed {
        console.line(&format!("    > {} {}", exchange::name(*key), state.name()));
    }
    console.both(
        &format!(
            "新增 {}，已有 {}，其中 {} 改变状态。",
            added.len(),
            known.len(),
            followed.len()
        ),
        &format!(
            "{} new, {} known, {} of them in another state now.",
            added.len(),
            known.len(),
            followed.len()
        ),
    );
    if formed.is_some() && !added.is_empty() {
        console.line("下一步 · Next: onecard hsm key state ... active");
    }
    console.event(
        &json!({ "event": "imported", "added": added, "known": known, "followed": followed }),
    );
    Ok(())
}

/// One block that another party made.
fn import_block(
    args: &ImportArgs,
    settings: &config::Hsm,
    console: &mut Console,
    block: &str,
) -> Done {
    let [expected] = args.expected.as_slice() else {
        return Err(Stop::new(
            Code::Usage,
            "a key block holds one key: give one --expect",
        ));
    };
    let expected = exchange::parse(expected).map_err(|error| Stop::new(Code::Usage, error))?;
    let subject = if block.starts_with('B') {
        Subject::LegacyTransport
    } else {
        Subject::Transport
    };
    let hsm = open(settings, "onecard hsm import")?;
    let officers = steps::officers(console)?;
    let signers = people::credentials(settings, &officers)?;
    let Some((formed, transcript)) = form(console, &args.kek, subject, &officers)? else {
        let why = "a key block of another party comes under a key of its own: give --kek";
        return Err(Stop::new(Code::Usage, why));
    };
    people::authorise(&hsm, &signers, "onecard hsm import")?;
    let check = if subject == Subject::LegacyTransport {
        let kek = formed.legacy().map_err(failed)?;
        hsm.import_block(&BlockKek::Legacy(&kek), block, expected)
    } else {
        let kek = formed.single(subject).map_err(failed)?;
        hsm.import_block(&BlockKek::Formed(&kek), block, expected)
    };
    let check = check.map_err(stop)?;
    hsm.keep_transcript(&transcript).map_err(stop)?;
    console.screen("导入完成", "imported");
    console.line(&format!("    + {} {check}", exchange::name(expected)));
    console.line("下一步 · Next: onecard hsm key state ... active");
    console.event(&json!({ "event": "imported", "added": [expected], "check": check }));
    Ok(())
}

fn parse(names: &[String]) -> Done<Vec<KeyId>> {
    let parsed = names.iter().map(|name| exchange::parse(name));
    parsed
        .collect::<Result<_, hsm_client::HsmError>>()
        .map_err(|error| Stop::new(Code::Usage, error))
}

fn form_kek(
    console: &mut Console,
    args: &KekArgs,
    officers: &Officers,
) -> Done<Option<(FormedKey, Transcript)>> {
    let Some((formed, transcript)) = form(console, args, Subject::Transport, officers)? else {
        return Ok(None);
    };
    let key = formed.single(Subject::Transport).map_err(failed)?;
    Ok(Some((key, transcript)))
}

fn form(
    console: &mut Console,
    args: &KekArgs,
    subject: Subject,
    officers: &Officers,
) -> Done<Option<(Formed, Transcript)>> {
    let Some(Division(form)) = args.kek else {
        return Ok(None);
    };
    let cards = Cards::open(&args.carrier)?;
    let names = steps::custodians(console, form, officers)?;
    let plan = Plan::single(subject, form, &strs(&names)).map_err(failed)?;
    steps::hold(console, plan, officers, now(), cards.as_ref()).map(Some)
}

fn kek_of(formed: Option<&(FormedKey, Transcript)>) -> Kek<'_> {
    formed.map_or(Kek::Own, |(key, _)| Kek::Formed(key))
}
