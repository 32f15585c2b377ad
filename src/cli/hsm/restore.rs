//! `onecard hsm restore` and `reopen`: an HSM from its backup.

use super::{
    cards::{Cards, CarrierArgs},
    ceremony as steps,
    console::Console,
    keeping::{failed, open},
    now, open_config, people, settings, stop,
};
use crate::{
    cli::secret::NewFiles,
    exit::{Code, Done, Stop},
    out::say,
};
use clap::Args;
use hsm::{Comparison, Officers, SoftHsm, Stand, backup::Header, exchange};
use hsm_client::{Hsm as _, HsmError, KeyState};
use serde_json::json;
use std::{fs, path::PathBuf};

#[derive(Args)]
pub struct RestoreArgs {
    /// Configuration file; its store must not exist or be empty
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The lost machine's audit log, or a later copy of it (`audit.jsonl`, with `audit.jsonl.head`
    /// beside it): keys take the states that it says
    #[arg(long, value_name = "FILE")]
    lost: Option<PathBuf>,
    #[command(flatten)]
    carrier: CarrierArgs,
    /// Events as lines of JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct ReopenArgs {
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// First officer
    #[arg(long)]
    officer1: String,
    /// Second officer; another person
    #[arg(long)]
    officer2: String,
}

/// `onecard hsm restore`.
pub fn restore(args: &RestoreArgs) -> Done {
    let settings = settings(&args.config)?;
    let mut console = Console::new(false, args.json)?;
    let cards = Cards::open(&args.carrier)?;
    let file = fs::read(&args.from).map_err(|error| {
        Stop::new(
            Code::NotFound,
            format!("cannot read {}: {error}", args.from.display()),
        )
    })?;
    let header = Header::of(&file).map_err(stop)?;
    let config = open_config(&settings, "onecard hsm restore")?;
    let officers = steps::officers(&mut console)?;
    people::place_for_certificates(&settings, officers.names())?;
    let plan = header.plan().map_err(failed)?;
    let (formed, transcript) = steps::hold(&mut console, plan, &officers, now(), cards.as_ref())?;
    let mut refused = None;
    let lost = args.lost.as_deref();
    let restored = SoftHsm::restore(config, &file, formed, &transcript, lost, |comparison| {
        compared(&mut console, comparison, &officers).map_err(|why| {
            refused = Some(why);
            HsmError::Refused {
                why: "the officers did not confirm the restore".to_owned(),
            }
        })
    });
    let hsm = restored.map_err(|error| refused.unwrap_or_else(|| stop(error)))?;
    let mut files = NewFiles::default();
    people::first_certificates(&hsm, &settings, officers.names(), &mut files)?;
    files.keep();
    let keys = hsm.keys().map_err(stop)?.len();
    console.screen("恢复完成", "restored");
    console.both(
        &format!("{} 个应用主密钥，备份时间 {}。", keys, header.at),
        &format!("{keys} application masters, backed up at {}.", header.at),
    );
    console.both(
        "备份之后授权的圈存不在其中：圈存、透支与 PIN 校验已关闭，与清算核对后再开放。",
        "Loads authorised after the backup are not in it: loads, overdraft limits and PIN checks are closed. Reconcile with clearing, then open them.",
    );
    console.both(
        &format!(
            "新证书在 {}：服务器、各服务与两位负责人。",
            settings.certificates.display()
        ),
        &format!(
            "New certificates are in {}: the server's, the services', both officers'.",
            settings.certificates.display()
        ),
    );
    console.line(&format!(
        "下一步 · Next: onecard hsm reopen --config {}",
        args.config.display()
    ));
    console.event(&json!({ "event": "restored", "store": settings.store, "backup": header.at }));
    Ok(())
}

/// What the backup would turn back, for both officers.
fn compared(console: &mut Console, comparison: &Comparison, officers: &Officers) -> Done {
    console.screen(
        "与备份之后的记录比较",
        "the backup beside what came after it",
    );
    let stand = |name: &str, stand: &Stand| {
        let head = stand.head.get(..16).unwrap_or(&stand.head);
        format!("    {name:<24} {} {head}..", stand.lines)
    };
    console.line(&stand("备份审计 backup's log", &comparison.backup));
    match &comparison.later {
        Some(later) => console.line(&stand("后来审计 later log", later)),
        None => console.both(
            "没有后来的审计日志：备份之后退役、泄露或销毁的密钥将恢复旧状态。",
            "No later audit log: keys that were retired, compromised or destroyed since have their old states again.",
        ),
    }
    if comparison.unsigned > 0 {
        console.both(
            &format!(
                "最后 {} 行没有检查点签名，由两位负责人确认。",
                comparison.unsigned
            ),
            &format!(
                "Its last {} lines are signed by no checkpoint: you vouch for them.",
                comparison.unsigned
            ),
        );
    }
    for key in &comparison.keys {
        let later = key
            .later
            .map_or(String::new(), |state| format!(" -> {}", state.name()));
        if key.later.is_some() || key.backup != KeyState::Active {
            let name = exchange::name(key.key);
            console.line(&format!("    {name:<24} {}{later}", key.backup.name()));
        }
    }
    let active = comparison.keys.iter().filter(|key| key.later.is_none());
    let active = active.filter(|key| key.backup == KeyState::Active).count();
    console.line(&format!("    {active} keys active, as in the backup"));
    for name in &comparison.absent {
        console.line(&format!("    {name}: not in the backup"));
    }
    console.event(&json!({ "event": "compared", "comparison": comparison }));
    for officer in officers.names() {
        let name = steps::given(console.ask(
            &format!("同意恢复则由 {officer} 输入本人姓名"),
            &format!("to restore this, {officer} types their own name"),
        )?)?;
        if name.trim().to_lowercase() != officer.to_lowercase() {
            return Err(Stop::new(
                Code::Auth,
                format!("{officer} did not confirm: nothing was restored"),
            ));
        }
    }
    Ok(())
}

/// `onecard hsm reopen`.
pub fn reopen(args: &ReopenArgs) -> Done {
    let settings = settings(&args.config)?;
    let officers = Officers::new(&args.officer1, &args.officer2);
    let officers = officers.map_err(|error| Stop::new(Code::Usage, error))?;
    let signers = people::credentials(&settings, &officers)?;
    let hsm = open(&settings, "onecard hsm reopen")?;
    people::authorise(&hsm, &signers, "onecard hsm reopen")?;
    hsm.reopen_loads().map_err(stop)?;
    say!("Loads, overdraft limits and PIN checks are open; holds of before now are refused.");
    Ok(())
}
