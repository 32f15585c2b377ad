//! `onecard hsm approve` and `onecard hsm certificate`: what officers do, and who may connect.

use super::{connect, settings, stop};
use crate::{
    cli::secret::NewFiles,
    config,
    exit::{Code, Done, Stop},
    out::say,
};
use clap::{Args, ValueEnum};
use hsm::{Officers, SoftHsm};
use hsm_client::{
    Administration as _, Approval, Approved, CertificateRequest, Credential, Hsm as _, LeafKey,
    Role, SignPurpose, Subject,
};
use std::path::{Path, PathBuf};

/// Days that certificates of `hsm init` are valid.
const DAYS: u16 = 365;

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

/// `onecard hsm certificate`
#[derive(Args)]
pub struct Certificate {
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// Name of the client; files are named by it. With --role officer: the officer's name
    name: String,
    /// What the client may do
    #[arg(long, required_unless_present = "host")]
    role: Option<RoleName>,
    /// For a server: a host name or IP address that clients use; may be repeated
    #[arg(long, conflicts_with = "role")]
    host: Vec<String>,
    /// Validity in days
    #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(u16).range(1..=825))]
    days: u16,
    /// Directory for NAME.pem and NAME.key
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Officer whose certificate carries the call; the HSM must be authorised
    #[arg(long, value_name = "NAME")]
    officer: String,
}

/// Roles by their names.
#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    TerminalGateway,
    Clearing,
    Issuance,
    Officer,
    Auditor,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::TerminalGateway => Self::TerminalGateway,
            RoleName::Clearing => Self::Clearing,
            RoleName::Issuance => Self::Issuance,
            RoleName::Officer => Self::Officer,
            RoleName::Auditor => Self::Auditor,
        }
    }
}

/// Name of an officer's files.
pub(super) fn officer_file(name: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() { c } else { '-' };
    format!(
        "officer-{}",
        name.trim().chars().map(safe).collect::<String>()
    )
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

pub(super) fn certificate(args: &Certificate) -> Done {
    let settings = settings(&args.config)?;
    let (file, subject) = match args.role {
        Some(role) => {
            let (name, role) = (args.name.clone(), Role::from(role));
            let file = match role {
                Role::Officer => officer_file(&name),
                _ => name.clone(),
            };
            (file, Subject::Client { name, role })
        }
        None => {
            let hosts = args.host.clone();
            (args.name.clone(), Subject::Server { hosts })
        }
    };
    if file.contains(['/', '\\']) {
        let why = "the name becomes a file name: no slashes";
        return Err(Stop::new(Code::Usage, why));
    }
    let name = officer_file(&args.officer);
    let hsm = connect(&settings, &name)?;
    let key = LeafKey::draw().map_err(stop)?;
    let request = CertificateRequest {
        subject,
        public_key: key.public_key(),
        days: args.days,
    };
    let certificate = hsm.certify(&request).map_err(stop)?;
    let authority = Credential::load(&settings.certificates, &name).map_err(stop)?;
    let credential = key
        .certified(authority.authority().to_vec(), certificate)
        .map_err(stop)?;
    let mut files = NewFiles::default();
    write(&mut files, &args.out, &file, &credential)?;
    files.keep();
    say!(
        "{}.pem and {}.key written to {}; put them beside ca.pem where they are used",
        file,
        file,
        args.out.display()
    );
    Ok(())
}

fn write(files: &mut NewFiles, folder: &Path, name: &str, credential: &Credential) -> Done {
    let (certificate, key) = credential.to_pem();
    files.write(&folder.join(format!("{name}.pem")), &certificate)?;
    files.write(&folder.join(format!("{name}.key")), &key)
}

/// The certificates that a new HSM and its first clients need, made while the officers of the
/// ceremony are authorised.
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
    let public = hsm.public_key(SignPurpose::Audit).map_err(stop)?;
    files.write(
        &folder.join("audit.pub"),
        &format!("{}\n", hex::encode(public)),
    )
}
