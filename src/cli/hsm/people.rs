//! `onecard hsm approve`, and the files of certificates.

use super::{connect, settings, stop};
use crate::{
    cli::secret::NewFiles,
    config,
    exit::{Code, Done, Stop},
    out::say,
};
use clap::Args;
use hsm::{Officers, SoftHsm};
use hsm_client::{Administration as _, Approval, Approved, Credential, Role, Subject};
use std::path::{Path, PathBuf};

/// Days that certificates of `hsm init` are valid.
pub(super) const DAYS: u16 = 365;

/// `onecard hsm approve`
#[derive(Args)]
pub struct Approve {
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// Name of the officer's certificate: the files officer-NAME.pem and officer-NAME.key
    #[arg(long, value_name = "NAME")]
    officer: String,
    /// What it is for; both officers say the same
    #[arg(long, required_unless_present = "end")]
    reason: Option<String>,
    /// How long the authorised state lasts, in minutes; both officers say the same
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u8).range(1..=60))]
    minutes: u8,
    /// End the authorised state, or take back a first approval
    #[arg(long, conflicts_with = "reason")]
    end: bool,
}

/// Name of an officer's files: another for every name. A space is a hyphen, and a hyphen, like
/// everything else that is no letter or digit, is `=` with its number.
pub(super) fn officer_file(name: &str) -> String {
    let mut file = "officer-".to_owned();
    for c in name.trim().chars() {
        match c {
            ' ' => file.push('-'),
            c if c.is_alphanumeric() => file.push(c),
            c => file.push_str(&format!("={:x}=", u32::from(c))),
        }
    }
    file
}

/// The certificates of two officers who approve at this machine what a command does to a key store
/// that is not served. Loaded before anything is asked for or done.
pub(super) fn credentials(settings: &config::Hsm, officers: &Officers) -> Done<[Credential; 2]> {
    let load = |name| Credential::load(&settings.certificates, &officer_file(name)).map_err(stop);
    let [first, second] = officers.names();
    Ok([load(first)?, load(second)?])
}

/// Both sign a challenge of this HSM.
pub(super) fn authorise(hsm: &SoftHsm, [a, b]: &[Credential; 2], reason: &str) -> Done {
    hsm.authorise([a, b], reason).map_err(stop).map(drop)
}

pub(super) fn approve(args: &Approve) -> Done {
    let settings = settings(&args.config)?;
    let name = officer_file(&args.officer);
    let hsm = connect(&settings, &name)?;
    let Some(reason) = &args.reason else {
        hsm.end_authorisation().map_err(stop)?;
        say!("The HSM is operational; nothing is approved.");
        return Ok(());
    };
    let credential = Credential::load(&settings.certificates, &name).map_err(stop)?;
    let challenge = hsm.approval_challenge().map_err(stop)?;
    let bytes = Approval::signing_bytes(&challenge, args.minutes, reason);
    let approval = Approval {
        challenge,
        reason: reason.clone(),
        minutes: args.minutes,
        signature: credential.sign(&bytes).map_err(stop)?,
    };
    match hsm.approve(&approval).map_err(stop)? {
        Approved::First { seconds } => say!(
            "First approval noted. Another officer approves the same within {} minutes: onecard hsm approve --officer NAME --reason {reason:?} --minutes {}",
            seconds / 60,
            args.minutes
        ),
        Approved::Authorised { seconds } => {
            say!("The HSM is authorised for {} minutes.", seconds / 60);
        }
    }
    Ok(())
}

pub(super) fn write(
    files: &mut NewFiles,
    folder: &Path,
    name: &str,
    credential: &Credential,
) -> Done {
    let (certificate, key) = credential.to_pem();
    files.write(&folder.join(format!("{name}.pem")), &certificate)?;
    files.write(&folder.join(format!("{name}.key")), &key)
}

/// That [`first_certificates`] will find its place: nothing of theirs is there yet, and files can
/// be written. Asked before the key store is made, so that a founding that fails leaves nothing.
pub(super) fn place_for_certificates(settings: &config::Hsm, officers: [&str; 2]) -> Done {
    let folder = &settings.certificates;
    let failed = |why: &dyn std::fmt::Display| {
        let why = format!(
            "no certificates can be written to {}: {why}",
            folder.display()
        );
        Stop::new(Code::Failure, why)
    };
    let parties = Role::ALL.into_iter().filter(|role| *role != Role::Officer);
    let mut names: Vec<String> = parties.map(|role| role.name().to_owned()).collect();
    names.push("server".to_owned());
    names.extend(officers.map(officer_file));
    let pairs = names
        .iter()
        .flat_map(|n| [format!("{n}.pem"), format!("{n}.key")]);
    let files = pairs.chain(["ca.pem".to_owned(), "audit.pub".to_owned()]);
    for file in files {
        if folder.join(&file).exists() {
            return Err(failed(&format!(
                "{file} exists already and is never replaced; move it away"
            )));
        }
    }
    std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    tempfile::tempfile_in(folder).map_err(|error| failed(&error))?;
    Ok(())
}

/// The certificates that a new or restored HSM and its first clients need, made while the officers of
/// the ceremony are authorised.
pub(super) fn first_certificates(
    hsm: &SoftHsm,
    settings: &config::Hsm,
    officers: [&str; 2],
    files: &mut NewFiles,
) -> Done {
    let folder = &settings.certificates;
    let authority = hsm.authority_certificate().map_err(stop)?;
    files.write(&folder.join("ca.pem"), &Credential::pem_of(&authority))?;
    let mut hosts = vec![settings.address.ip().to_string()];
    for host in ["localhost", "127.0.0.1", "::1"] {
        if !hosts.iter().any(|h| h == host) {
            hosts.push(host.to_owned());
        }
    }
    let server = hsm
        .credential(Subject::Server { hosts }, DAYS)
        .map_err(stop)?;
    write(files, folder, "server", &server)?;
    let mut client = |file: &str, name: &str, role: Role| {
        let name = name.to_owned();
        let credential = hsm
            .credential(Subject::Client { name, role }, DAYS)
            .map_err(stop)?;
        write(files, folder, file, &credential)
    };
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Officer) {
        client(role.name(), role.name(), role)?;
    }
    for officer in officers {
        client(&officer_file(officer), officer, Role::Officer)?;
    }
    // Every version of the audit key: a restored log has lines by each.
    let audit = settings.store.join("audit.pub");
    let keys = std::fs::read_to_string(audit).map_err(Stop::because("the audit key's file"))?;
    files.write(&folder.join("audit.pub"), &keys)
}
