//! Who may call what, over the wire: every role against every operation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{raw, served::Served};
use hsm_client::{
    Hsm, HsmError, OPERATIONS, Operation, Request, Role, SignPurpose, frame::request_frame, signers,
};

/// The table as it was agreed; the code's is `hsm_client::OPERATIONS`.
const AGREED: &str = "
status              terminal-gateway clearing issuance officer auditor
keys                officer auditor
own-keys            officer auditor
scp03-open          issuance
scp03-wrap          issuance
put-issuer-keys     issuance
wrap-keys           issuance
first-pin           issuance
scp03-close         issuance
verify              terminal-gateway clearing
authorize-load      clearing
sam-ceiling         terminal-gateway issuance
wrap-data           issuance
unwrap-data         issuance
index-data          issuance
sign                clearing issuance
public-key          terminal-gateway clearing issuance officer auditor
random              terminal-gateway clearing issuance officer
card-command        issuance
authorize-overdraft clearing
authenticate-to-card issuance
sam-write-key       issuance
translate-pin       terminal-gateway issuance
verify-pin          terminal-gateway issuance
approval-challenge  officer
approve             officer
end-authorisation   officer
clear-load-lock     officer             two
certify             officer             two
key-state           officer             two
rotate              officer             two
revoke-certificate  officer             two
certificates        officer auditor
authenticate-mutually terminal-gateway issuance
key-check-value     officer auditor
audit-lines         auditor
";

/// Operations and roles as agreed.
fn agreed() -> Vec<(&'static str, Vec<&'static str>, bool)> {
    AGREED
        .trim()
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap();
            let (two, roles): (Vec<&str>, Vec<&str>) = words.partition(|word| *word == "two");
            (name, roles, !two.is_empty())
        })
        .collect()
}

#[test]
fn the_table_is_the_agreed_one() {
    let agreed = agreed();
    assert_eq!(agreed.len(), OPERATIONS.len());
    for (number, (rule, (name, roles, two))) in OPERATIONS.iter().zip(agreed).enumerate() {
        assert_eq!(rule.name, name);
        assert_eq!(usize::from(rule.operation.number()), number);
        assert_eq!(Operation::from_number(number as u16), Some(rule.operation));
        assert_eq!(rule.operation.rule(), rule);
        let named: Vec<&str> = rule.roles.iter().map(|role| role.name()).collect();
        assert_eq!(named, roles, "{name}");
        assert_eq!(rule.dual_control, two, "{name}");
    }
    assert_eq!(Operation::from_number(OPERATIONS.len() as u16), None);
}

/// docs/hsm.md prints the table.
#[test]
fn the_handbook_prints_the_table() {
    let mut table =
        String::from("| operation | roles | again | server | officers |\n|---|---|---|---|---|\n");
    for rule in OPERATIONS {
        let roles: Vec<&str> = rule.roles.iter().map(|role| role.name()).collect();
        let roles = if rule.roles == Role::ALL {
            "all".to_owned()
        } else {
            roles.join(", ")
        };
        table.push_str(&format!(
            "| {} | {roles} | {} | {} | {} |\n",
            rule.name,
            if rule.idempotent { "yes" } else { "no" },
            format!("{:?}", rule.route).to_lowercase(),
            if rule.dual_control { "two" } else { "-" },
        ));
    }
    let handbook = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/hsm.md");
    let handbook = std::fs::read_to_string(handbook).unwrap();
    assert!(handbook.contains(&table), "docs/hsm.md must hold:\n{table}");
}

/// Every role against every operation, over TLS. The body is empty, so that no call is made: a role
/// that may call gets as far as the body.
#[test]
fn every_role_against_every_operation() {
    let served = Served::start();
    for role in Role::ALL {
        let credential = served.credential(role.name(), role);
        let address = served.running.address();
        let mut tls = raw::connect(address, &credential, Some(&credential));
        for (number, (name, roles, _)) in agreed().iter().enumerate() {
            let (outcome, _) = raw::ask(&mut tls, number as u16, &[]);
            let expected = if roles.contains(&role.name()) { 7 } else { 20 };
            assert_eq!(outcome, expected, "{} {name}", role.name());
            let lines = served.audited(name);
            let line = lines
                .iter()
                .rfind(|line| line["actor"] == role.name())
                .unwrap();
            assert_eq!(line["role"], role.name());
            assert_eq!(line["outcome"], expected);
        }
        let (outcome, _) = raw::ask(&mut tls, u16::MAX, &[]);
        assert_eq!(outcome, 7, "unknown operation");
    }
}

/// A role that may sign may not sign for every purpose; nobody signs certificates or checkpoints.
#[test]
fn signatures_by_purpose() {
    let agreed = |purpose| match purpose {
        SignPurpose::Hotlist | SignPurpose::Parameters | SignPurpose::Settlement => "clearing",
        SignPurpose::CardCa => "issuance",
        SignPurpose::Audit | SignPurpose::ClientCa => "",
    };
    let served = Served::start();
    for role in [Role::Clearing, Role::Issuance] {
        let client = served.client(role);
        for purpose in SignPurpose::ALL {
            let allowed = agreed(purpose) == role.name();
            assert_eq!(signers(purpose).contains(&role), allowed, "{purpose:?}");
            match client.sign(purpose, b"message") {
                Ok(signature) => {
                    assert!(allowed, "{role:?} {purpose:?}");
                    assert_eq!(signature, served.hsm.sign(purpose, b"message").unwrap());
                }
                Err(error) => {
                    assert!(!allowed, "{role:?} {purpose:?}");
                    assert!(matches!(error, HsmError::Forbidden { .. }), "{error}");
                }
            }
        }
    }
}

/// The number in the header and the position in the enum are one thing.
#[test]
fn a_body_begins_with_its_operation() {
    let requests = [
        Request::Status,
        Request::Verify { checks: vec![] },
        Request::Random { length: 8 },
        Request::ClearLoadLock {
            pan: "03500000000000001234".parse().unwrap(),
        },
    ];
    for request in requests {
        let frame = request_frame(1, 1000, &request).unwrap();
        let number = request.operation().number();
        assert_eq!(frame[2..4], number.to_be_bytes());
        assert_eq!(u16::from(frame[16]), number);
    }
}
