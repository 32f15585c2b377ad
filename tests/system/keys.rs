//! Keys of a running HSM change their state and get new versions, by the commands that officers type.

use crate::commands::{Service, onecard, temporary, until};
use card_spec::{
    SuiteId, aid, apdu,
    channel::exchange,
    keys::{KeyHeader, KeyType, ssse_kid},
    perso::{Dgi, initialize_update, install_for_personalization, store_data},
    ssse,
};
use hsm::{Entropy, LoadLimits, SoftHsm, Zeroizing};
use hsm_client::{
    CURRENT, CardRef, Credential, Hsm, HsmError, KeyOrder, ProofCheck, RemoteHsm, Role, SessionId,
};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
};
use virtual_card::VirtualCard;

const PASSPHRASE: &str = "a long test passphrase";

/// An HSM of its own in a directory, founded by Lin and Chen.
struct Site {
    root: PathBuf,
    config: String,
    address: String,
}

impl Site {
    /// With a configuration and no HSM yet.
    fn prepare(root: &Path) -> Self {
        let at = |name: &str| root.join(name).display().to_string();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = address.local_addr().unwrap().to_string();
        std::fs::write(at("passphrase"), format!("{PASSPHRASE}\n")).unwrap();
        // The public half of RFC 8032, 7.1, test 1: any Ed25519 key will do.
        let ledger = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\n";
        std::fs::write(at("ledger.pub"), ledger).unwrap();
        let text = format!(
            "[hsm]\naddress = {address:?}\ncertificates = {:?}\nstore = {:?}\npassphrase_file = {:?}\nledger_public_key_file = {:?}\n",
            at("certificates"),
            at("hsm"),
            at("passphrase"),
            at("ledger.pub"),
        );
        std::fs::write(at("onecard.toml"), text).unwrap();
        Self {
            config: at("onecard.toml"),
            root: root.to_owned(),
            address,
        }
    }

    fn found(root: &Path) -> Self {
        let site = Self::prepare(root);
        let officers = ["--officer1", "Lin", "--officer2", "Chen"];
        let components = root.join("components").display().to_string();
        site.good(&[&["hsm", "init", "--components", &components], &officers[..]].concat());
        site
    }

    fn run(&self, arguments: &[&str]) -> Output {
        onecard(&[arguments, &["--config", &self.config]].concat())
    }

    fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a refused command says.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Both officers approve.
    fn approve(&self, reason: &str) {
        for officer in ["Lin", "Chen"] {
            self.good(&["hsm", "approve", "--reason", reason, "--officer", officer]);
        }
    }

    fn serve(&self) -> Service {
        let service = Command::new(env!("CARGO_BIN_EXE_onecard"))
            .args(["hsm", "serve", "--config", &self.config])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let service = Service(service);
        until(|| self.run(&["hsm", "status"]));
        service
    }

    fn client(&self, role: Role) -> RemoteHsm {
        let folder = self.root.join("certificates");
        let credential = Credential::load(&folder, role.name()).unwrap();
        RemoteHsm::connect(std::slice::from_ref(&self.address), &credential).unwrap()
    }

    /// Blank cards with the transport keys of this HSM's card maker.
    fn blanks<const N: usize>(&self, serials: [u8; N]) -> [VirtualCard; N] {
        let hsm = SoftHsm::open(hsm::Config {
            directory: self.root.join("hsm"),
            passphrase: Zeroizing::new(PASSPHRASE.to_owned()),
            actor: "tests".to_owned(),
            entropy: Entropy::os(),
            clock: Arc::new(|| "2026-03-16T08:00:00".parse().unwrap()),
            ledger_key: None,
            limits: LoadLimits::default(),
            token: None,
        })
        .unwrap();
        let folder = self.root.join("certificates");
        let [lin, chen] = ["officer-Lin", "officer-Chen"]
            .map(|officer| Credential::load(&folder, officer).unwrap());
        let control = hsm
            .authorise([&lin, &chen], "the card maker's copy")
            .unwrap();
        let maker = hsm.manufacturer(&control).unwrap();
        serials.map(|n| {
            let serial = [0, 0, 0, 0, 0, 0, 0, 0, 0x12, n];
            let keys = maker.transport_keys(serial).unwrap();
            VirtualCard::blank(serial, keys, [n; 32]).unwrap()
        })
    }
}

fn ask(card: &mut VirtualCard, command: &[u8]) -> Vec<u8> {
    let reply = exchange(card, command).unwrap();
    assert!(reply.sw.is_ok(), "{}", reply.sw);
    reply.data.to_vec()
}

fn protected(hsm: &dyn Hsm, card: &mut VirtualCard, session: SessionId, commands: &[Vec<u8>]) {
    for command in hsm.scp03_wrap(session, commands).unwrap() {
        ask(card, &command);
    }
}

fn open(hsm: &dyn Hsm, card: &mut VirtualCard, kvn: u8) -> SessionId {
    ask(card, &apdu::select(aid::ISD));
    let host = [9; 8];
    let answer = ask(card, &initialize_update(kvn, host));
    let opened = hsm.scp03_open(host, &answer, 0x03).unwrap();
    ask(card, &opened.external_authenticate);
    opened.session
}

fn person() -> CardRef {
    CardRef {
        pan: "03500000000000001234".parse().unwrap(),
        generation: card_spec::id::Generation(1),
        region: "350200".parse().unwrap(),
    }
}

/// Personalises the social-security application; returns the version of the key that the card got.
fn issue(hsm: &dyn Hsm, card: &mut VirtualCard) -> u8 {
    let transport = open(hsm, card, 0x01);
    let put = hsm.put_issuer_keys(transport).unwrap();
    protected(hsm, card, transport, &[put]);
    hsm.scp03_close(transport).unwrap();
    let session = open(hsm, card, 0x30);
    let irk = KeyHeader {
        key_type: KeyType::Irk,
        index: ssse_kid::INTERNAL,
        version: CURRENT,
        suite: SuiteId::Aes,
    };
    let order = KeyOrder::Card {
        card: person(),
        headers: vec![irk],
    };
    let key = hsm.wrap_keys(session, &order).unwrap().remove(0);
    let mut stream = heapless::Vec::<u8, 256>::new();
    let profile = [ssse::Profile::V2 as u8];
    card_spec::perso::push_dgi(&mut stream, Dgi::PROFILE, &profile).unwrap();
    card_spec::perso::push_dgi(&mut stream, Dgi::KEY, &key).unwrap();
    let commands = [
        install_for_personalization(aid::SSSE).to_vec(),
        store_data(true, 0, &stream).to_vec(),
    ];
    protected(hsm, card, session, &commands);
    hsm.scp03_close(session).unwrap();
    KeyHeader::from_bytes(key[..4].try_into().unwrap())
        .unwrap()
        .version
}

/// The card shows that it is here.
fn proof(card: &mut VirtualCard, version: u8) -> ProofCheck {
    card.power_cycle();
    ask(card, &apdu::select(aid::SSSE));
    let challenge = [0x5A; 8];
    let command = ssse::internal_authenticate(ssse_kid::INTERNAL, challenge);
    ProofCheck::Presence {
        card: person(),
        suite: SuiteId::Aes,
        version,
        challenge,
        cryptogram: ask(card, &command).try_into().unwrap(),
    }
}

/// A key is rotated while the HSM serves: what cards of the old version prove is still judged, a new
/// card gets the new version, and a compromised version proves nothing more. The same commands work
/// on the store of a stopped service.
#[test]
fn keys_are_rotated_while_the_hsm_serves() {
    let directory = temporary();
    let site = Site::found(directory.path());
    let [mut old, mut new] = site.blanks([1, 2]);
    let components = directory.path().join("components").display().to_string();
    let components = ["--components", &components];
    let irk = ["--key", "IRK", "--index", "01", "--suite", "aes"];
    let with = |command: &[&'static str], who: &[&'static str]| [command, &irk, who].concat();
    let rotate = |who: &[&'static str]| with(&["hsm", "key", "rotate"], who);
    let state = |version, to, who: &[&'static str]| {
        with(&["hsm", "key", "state", to, "--key-version", version], who)
    };
    let served = ["--officer", "Lin"];
    let stopped = ["--stopped", "--officer1", "Lin", "--officer2", "Chen"];

    let service = site.serve();
    let issuance = site.client(Role::Issuance);
    let clearing = site.client(Role::Clearing);
    assert_eq!(issue(&issuance, &mut old), 1);
    let early = site.refused(&[&rotate(&served)[..], &components].concat());
    assert!(early.contains("HSM 6"), "nobody has approved: {early}");
    site.approve("new IRK");
    let twice = site.refused(&state("1", "active", &served));
    assert!(twice.contains("HSM 4"), "{twice}");
    site.good(&[&rotate(&served)[..], &components].concat());
    site.good(&state("2", "active", &served));
    // No restart: the connections of before are served with the new keys.
    assert_eq!(issue(&issuance, &mut new), 2);
    let proofs = [proof(&mut old, 1), proof(&mut new, 2), proof(&mut new, 1)];
    assert_eq!(
        clearing.verify(&proofs).unwrap(),
        [Ok(true), Ok(true), Ok(false)]
    );
    site.good(&state("1", "compromised", &served));
    let after = clearing.verify(&proofs).unwrap();
    assert!(
        matches!(&after[0], Err(HsmError::Refused { why }) if why.contains("compromised")),
        "{after:?}"
    );
    assert_eq!(after[1], Ok(true));
    // A running service's store is nobody else's.
    assert!(
        site.refused(&state("1", "destroyed", &stopped))
            .contains("another process")
    );
    drop(service);

    site.good(&state("1", "destroyed", &stopped));
    let one = ["--stopped", "--officer1", "Lin", "--officer2", "lin"];
    assert!(
        site.refused(&state("2", "compromised", &one))
            .contains("two different")
    );
    site.good(&[&rotate(&stopped)[..], &components].concat());
    site.good(&["hsm", "audit", "verify"]);
    let _service = site.serve();
    let keys: serde_json::Value =
        serde_json::from_str(&site.good(&["hsm", "keys", "--json"])).unwrap();
    let states: Vec<(u64, &str)> = keys["masters"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|k| k["key_type"] == "irk" && k["index"] == 1 && k["suite"] == "aes")
        .map(|k| (k["version"].as_u64().unwrap(), k["state"].as_str().unwrap()))
        .collect();
    assert_eq!(states, [(1, "destroyed"), (2, "active"), (3, "pre-active")]);

    // Drawn: not what the components would have given, nor twice the same.
    let generate = with(&["hsm", "key", "generate"], &served);
    let early = site.refused(&generate);
    assert!(early.contains("HSM 6"), "nobody has approved: {early}");
    site.approve("a drawn IRK");
    site.good(&generate);
    site.good(&generate);
    let keys: serde_json::Value =
        serde_json::from_str(&site.good(&["hsm", "keys", "--json"])).unwrap();
    let mut kcvs: Vec<&str> = keys["masters"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|k| k["key_type"] == "irk" && k["index"] == 1 && k["suite"] == "aes")
        .filter(|k| k["version"].as_u64() > Some(3))
        .map(|k| k["kcv"].as_str().unwrap())
        .collect();
    kcvs.dedup();
    assert_eq!(kcvs.len(), 2, "{kcvs:?}");
}

/// Certificates of the running HSM: issued, listed, revoked.
#[test]
fn a_certificate_is_revoked_by_command() {
    let directory = temporary();
    let site = Site::found(directory.path());
    let _service = site.serve();
    let out = directory.path().join("certificates").display().to_string();
    let issue = [
        "hsm",
        "certificate",
        "issue",
        "clearing-2",
        "--role",
        "clearing",
    ];
    let issue = [&issue[..], &["--out", &out, "--officer", "Lin"]].concat();
    let revoke = ["hsm", "certificate", "revoke", "--officer", "Lin"];
    let revoke = |what: &[&'static str]| [&revoke[..], what].concat();
    site.approve("a second clearing house");
    site.good(&issue);
    let folder = directory.path().join("certificates");
    let credential = Credential::load(&folder, "clearing-2").unwrap();
    let client = RemoteHsm::connect(std::slice::from_ref(&site.address), &credential).unwrap();
    assert!(
        site.refused(&revoke(&["--subject", "clearing-3"]))
            .contains("certificate list")
    );
    site.good(&revoke(&["--subject", "clearing-2"]));
    assert_eq!(client.random(8).unwrap_err().code(), 28);
    let list: Vec<hsm_client::CertificateInfo> =
        serde_json::from_str(&site.good(&["hsm", "certificate", "list", "--json"])).unwrap();
    let revoked: Vec<&str> = list
        .iter()
        .filter(|c| c.revoked.is_some())
        .filter_map(|c| Some(c.issued.as_ref()?.subject.as_str()))
        .collect();
    assert_eq!(revoked, ["clearing-2"]);
    assert!(
        site.good(&["hsm", "certificate", "list"])
            .contains("officer")
    );
}

/// A founding that cannot write its certificates makes no key store, and can be repeated.
#[test]
fn a_failed_founding_leaves_nothing() {
    let directory = temporary();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("certificates"), "a file where the directory should be").unwrap();
    let components = at("components").display().to_string();
    let site = Site::prepare(directory.path());
    let init = |officers: [&'static str; 2]| {
        let [one, two] = officers;
        let init = ["hsm", "init", "--officer1", one, "--officer2", two];
        site.run(&[&init[..], &["--components", &components]].concat())
    };
    assert_eq!(init(["Lin Mei", "Chen"]).status.code(), Some(1));
    assert!(!at("hsm").exists() && !at("components/custodian-1.component").exists());
    std::fs::remove_file(at("certificates")).unwrap();
    std::fs::create_dir(at("certificates")).unwrap();
    std::fs::write(at("certificates/auditor.key"), "somebody's").unwrap();
    let other = init(["Lin Mei", "Chen"]);
    assert!(String::from_utf8_lossy(&other.stderr).contains("auditor.key"));
    assert!(!at("hsm").exists());
    std::fs::remove_file(at("certificates/auditor.key")).unwrap();
    // Two names that differ in what a file name cannot hold alike.
    let made = init(["Lin Mei", "Lin-Mei"]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let files = ["officer-Lin-Mei.key", "officer-Lin=2d=Mei.key"];
    let [one, two] = files.map(|f| std::fs::read(at("certificates").join(f)).unwrap());
    assert_ne!(one, two);
}
