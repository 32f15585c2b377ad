//! `onecard hsm certificate`: who may connect, and who no longer may.

use super::{
    auditor, connect,
    people::{DAYS, officer_file, write},
    settings, stop,
};
use crate::{
    cli::{json, secret::NewFiles},
    exit::{Code, Done, Stop},
    out::say,
    tables,
};
use card_spec::id::DeviceNo;
use clap::{Args, Subcommand, ValueEnum};
use hsm_client::{
    Administration as _, CertificateRequest, Credential, LeafKey, Revocation, Role, Serial, Subject,
};
use std::path::PathBuf;

/// `onecard hsm certificate`
#[derive(Subcommand)]
pub enum Certificate {
    /// Issue one for a client or a server; the HSM must be authorised 签发
    Issue(Issue),
    /// End certificates before their time; the HSM must be authorised 吊销
    Revoke(Revoke),
    /// Every certificate that this HSM issued or revoked 证书清单
    List(List),
}

/// `onecard hsm certificate revoke`
#[derive(Args)]
pub struct Revoke {
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// Its serial number, as `list` shows it
    #[arg(long, value_name = "HEX", required_unless_present = "subject")]
    serial: Option<Serial>,
    /// Every certificate that this HSM has issued to this client, officer, server or device so far
    #[arg(long, value_name = "NAME", conflicts_with = "serial")]
    subject: Option<String>,
    /// Officer whose certificate carries the call; the HSM must be authorised
    #[arg(long, value_name = "NAME")]
    officer: String,
}

/// `onecard hsm certificate list`
#[derive(Args)]
pub struct List {
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

/// `onecard hsm certificate issue`
#[derive(Args)]
pub struct Issue {
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// Name of the client; files are named by it. With --role officer: the officer's name
    name: String,
    /// What the client may do
    #[arg(long, required_unless_present_any = ["host", "device"])]
    role: Option<RoleName>,
    /// For a server: a host name or IP address that clients use; may be repeated
    #[arg(long, conflicts_with = "role")]
    host: Vec<String>,
    /// For a device, to the clearing house: its number, 16 digits
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["role", "host"])]
    device: Option<DeviceNo>,
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

/// Runs one.
pub(super) fn run(command: &Certificate) -> Done {
    match command {
        Certificate::Issue(args) => issue(args),
        Certificate::Revoke(args) => revoke(args),
        Certificate::List(args) => list(args),
    }
}

fn issue(args: &Issue) -> Done {
    let settings = settings(&args.config)?;
    let (file, subject) = match (args.role, args.device) {
        (Some(role), _) => {
            let (name, role) = (args.name.clone(), Role::from(role));
            let file = match role {
                Role::Officer => officer_file(&name),
                _ => name.clone(),
            };
            (file, Subject::Client { name, role })
        }
        (None, Some(number)) => (args.name.clone(), Subject::Device { number }),
        (None, None) => {
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

fn revoke(args: &Revoke) -> Done {
    let revocation = match (&args.serial, &args.subject) {
        (Some(serial), _) => Revocation::Serial(serial.clone()),
        (None, Some(subject)) => Revocation::Subject(subject.clone()),
        (None, None) => return Err(Stop::new(Code::Usage, "give --serial or --subject")),
    };
    let hsm = connect(&settings(&args.config)?, &officer_file(&args.officer))?;
    let revoked = hsm.revoke(&revocation).map_err(stop)?;
    let known = hsm.certificates().map_err(stop)?;
    for serial in &revoked {
        let issued = known.iter().find(|c| c.serial == *serial);
        let whose = issued.and_then(|c| c.issued.as_ref());
        say!(
            "{serial} revoked: {}",
            whose.map_or("this HSM did not issue it; compare the number", |i| &i
                .subject)
        );
    }
    say!("Other servers keep a list of their own: revoke it at each.");
    Ok(())
}

fn list(args: &List) -> Done {
    let all = auditor(&args.config)?.certificates().map_err(stop)?;
    if args.json {
        return json(&all);
    }
    let mut table = tables::new(&[
        "serial 序列号",
        "subject 主体",
        "role 角色",
        "issued 签发",
        "days 天数",
        "revoked 吊销",
    ]);
    for certificate in &all {
        let issued = certificate.issued.as_ref();
        table.add_row([
            certificate.serial.to_string(),
            issued.map_or("-", |i| &i.subject).to_owned(),
            issued.map_or("-", |i| &i.role).to_owned(),
            issued.map_or("-".to_owned(), |i| i.at.to_string()),
            issued.map_or("-".to_owned(), |i| i.days.to_string()),
            certificate
                .revoked
                .map_or("-".to_owned(), |at| at.to_string()),
        ]);
    }
    say!("{table}");
    Ok(())
}
