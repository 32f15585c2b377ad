//! HTTPS: real certificates on real connections.

use crate::http::{config, register, serve};
use crate::world::*;
use clearing::{Config, Running, StartError};
use clearing_api::{BatchOutcome, Client, ClientError, Tls, TlsError, client::sign_body};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, PKCS_ED25519, date_time_ymd,
};
use std::path::Path;

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).unwrap()
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let issuer = CertifiedIssuer::self_signed(params, key()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn write(&self, file: &str, unit: &str, name: &str, until: i32) -> Tls {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let names = &mut params.distinguished_name;
        names.push(DnType::OrganizationalUnitName, unit);
        names.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let usage = match unit {
            "server" => ExtendedKeyUsagePurpose::ServerAuth,
            _ => ExtendedKeyUsagePurpose::ClientAuth,
        };
        params.extended_key_usages = vec![usage];
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |ending: &str| self.folder.path().join(format!("{file}.{ending}"));
        std::fs::write(path("pem"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        Tls {
            ca: self.folder.path().join("ca.pem"),
            certificate: path("pem"),
            key: path("key"),
        }
    }

    fn server(&self) -> Tls {
        self.write("server", "server", "clearing", 2060)
    }

    fn device(&self, number: u32) -> Tls {
        let name = device(number).to_string();
        self.write(&format!("device-{number}"), "device", &name, 2060)
    }

    fn staff(&self) -> Tls {
        self.write("staff", "clearing", "clearing", 2060)
    }
}

fn house(server: Tls) -> Running {
    let tls = Some(server);
    serve(Config { tls, ..config() }).unwrap()
}

fn client(running: &Running, tls: &Tls) -> Client {
    Client::open(&running.url(), Some(tls)).unwrap()
}

fn upload(client: &Client, number: u32) -> Result<BatchOutcome, ClientError> {
    let tap_one = Tap {
        card: 1,
        seq: 0,
        before: 10_000,
        amount: fare(),
        sam: 1,
        terminal_seq: 1,
    };
    let body = serde_json::to_vec(&batch(number, vec![tap(1, tap_one)])).unwrap();
    let answer = client.upload(&body, &sign_body(&device_key(number), &body))?;
    Ok(answer.outcome)
}

/// What a client without trust is told. A refusal by the server may come as a mere reset: it closes
/// on a request that it never reads.
fn distrusted(result: Result<BatchOutcome, ClientError>) -> String {
    let error = result.unwrap_err();
    assert!(error.is_no_answer(), "{error}");
    error.to_string()
}

#[test]
fn a_device_speaks_for_itself_alone() {
    let authority = Authority::new();
    let running = house(authority.server());
    assert!(running.url().starts_with("https://"));
    let issuance = client(&running, &authority.staff()).with_token("issuance-token");
    register(&issuance);

    let refused = |tls: &Tls| match upload(&client(&running, tls), 1).unwrap_err() {
        ClientError::Refused(problem) => (problem.status, problem.detail),
        other => panic!("{other}"),
    };
    let (status, why) = refused(&authority.device(2));
    assert_eq!(status, 403);
    assert!(
        why.contains(&device(2).to_string()) && why.contains(&device(1).to_string()),
        "{why}"
    );
    // A service's certificate is no device's, and neither is one that only has a device's name.
    assert_eq!(refused(&authority.staff()).0, 403);
    let named = authority.write("named", "clearing", &device(1).to_string(), 2060);
    let (status, why) = refused(&named);
    assert_eq!(status, 403);
    assert!(why.contains("--device"), "{why}");

    let own = client(&running, &authority.device(1));
    // Nor do a device's certificate and a token make staff.
    let staff = own.clone().with_token("staff-token");
    assert!(
        matches!(staff.day(today()), Err(ClientError::Refused(problem)) if problem.status == 403)
    );
    assert_eq!(upload(&own, 1).unwrap(), BatchOutcome::Admitted);
    assert_eq!(upload(&own, 1).unwrap(), BatchOutcome::Repeated);
}

#[test]
fn neither_end_trusts_another_authority() {
    let [ours, theirs] = [Authority::new(), Authority::new()];
    let running = house(ours.server());
    // Their device, which believes that our server is right.
    let mut stranger = theirs.device(1);
    stranger.ca = ours.device(1).ca;
    distrusted(upload(&client(&running, &stranger), 1));
    // Our device, which is led to their server.
    let elsewhere = house(theirs.server());
    let told = distrusted(upload(&client(&elsewhere, &ours.device(1)), 1));
    assert!(told.contains("another authority"), "{told}");
    // Without a certificate nothing is served.
    distrusted(upload(&Client::new(&running.url()), 1));
    let plain = running.url().replace("https", "http");
    assert!(upload(&Client::new(&plain), 1).is_err());
}

#[test]
fn certificates_end_and_are_for_one_host_and_one_purpose() {
    let authority = Authority::new();
    let running = house(authority.server());
    let expired = authority.write("old", "device", &device(1).to_string(), 2021);
    distrusted(upload(&client(&running, &expired), 1));
    // A server's certificate is no client's, and the other way round.
    distrusted(upload(&client(&running, &authority.server()), 1));
    let impostor = house(authority.device(3));
    distrusted(upload(&client(&impostor, &authority.device(1)), 1));
    let device = authority.device(1);
    let old = house(authority.write("old-server", "server", "clearing", 2021));
    let told = distrusted(upload(&client(&old, &device), 1));
    assert!(told.contains("expired"), "{told}");
    let other_host = running.url().replace("127.0.0.1", "localhost");
    let named = Client::open(&other_host, Some(&device)).unwrap();
    let told = distrusted(upload(&named, 1));
    assert!(told.contains("another host"), "{told}");
}

#[test]
fn unfit_files_are_named() {
    let authority = Authority::new();
    let fit = authority.device(1);
    let told = |tls: &Tls| Client::open("https://127.0.0.1:1", Some(tls)).unwrap_err();
    let with = |change: &dyn Fn(&mut Tls)| {
        let mut tls = fit.clone();
        change(&mut tls);
        told(&tls)
    };
    let absent = with(&|tls| tls.certificate = "/nonexistent/device.pem".into());
    assert!(matches!(absent, TlsError::Read { .. }), "{absent}");
    assert!(absent.to_string().contains("/nonexistent/device.pem"));
    let swapped = with(&|tls| tls.key = authority.device(2).key);
    assert!(matches!(swapped, TlsError::Pair { .. }), "{swapped}");
    let no_key = with(&|tls| tls.key = fit.certificate.clone());
    assert!(matches!(no_key, TlsError::Content { .. }), "{no_key}");
    let no_certificate = with(&|tls| tls.ca = fit.key.clone());
    assert!(
        matches!(no_certificate, TlsError::Content { .. }),
        "{no_certificate}"
    );

    let damaged = authority.folder.path().join("damaged.key");
    let text = std::fs::read_to_string(&fit.key).unwrap();
    std::fs::write(&damaged, text.replacen("\nM", "\n!", 1)).unwrap();
    let error = with(&|tls| tls.key = damaged.clone()).to_string();
    let secret = text.lines().nth(1).unwrap();
    assert!(!error.contains(&secret[8..]), "{error}");

    // Half of it is not enough, at either end.
    let missing = Client::open("https://127.0.0.1:1", None).unwrap_err();
    assert!(matches!(missing, TlsError::Missing(_)), "{missing}");
    let plain = Client::open("http://127.0.0.1:1", Some(&fit)).unwrap_err();
    assert!(matches!(plain, TlsError::Plain(_)), "{plain}");
    let tls = Some(Tls {
        key: Path::new("/nonexistent").into(),
        ..fit
    });
    let error = serve(Config { tls, ..config() }).unwrap_err();
    assert!(matches!(error, StartError::Tls(_)), "{error}");
}
