//! A bus on the road: its records go up over HTTPS with its certificate, tariffs and modes come down.

use crate::{
    commands::{Service, config_address, configure, onecard, pcscd, temporary, until},
    hotplug::{Lines, start, stop, transit_sam},
    reader::bus_profile,
};
use card_reader::pcscd;
use card_spec::{SuiteId, ssse::Profile, time::CardTime};
use clearing::Clock as _;
use clearing_api::{
    Client, Tls,
    registry::{Device, Operator, OperatorKind},
};
use ed25519_dalek::SigningKey;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};
use virtual_card::{
    VirtualCard,
    sample::Sample,
    vpcd::{PORTS, Slot},
};

const NUMBER: &str = "3501000000009001";

/// HSM and clearing house behind certificates.
struct Site {
    root: PathBuf,
    config: PathBuf,
    _services: Vec<Service>,
}

impl Site {
    fn start(root: &Path) -> Self {
        let mut site = Self {
            root: root.to_owned(),
            config: configure(root),
            _services: Vec::new(),
        };
        site.good(&["clearing", "init"]);
        let components = root.join("components").display().to_string();
        let init = ["hsm", "init", "--components", &components];
        site.good(&[&init[..], &["--officer1", "Lin", "--officer2", "Chen"]].concat());
        site.serve("hsm");
        assert!(until(|| site.run(&["hsm", "keys"])).status.success());
        for officer in ["Lin", "Chen"] {
            let approve = ["hsm", "approve", "--reason", "the road", "--officer"];
            site.good(&[&approve[..], &[officer]].concat());
        }
        site.certificate("clearing-server", &["--host", "127.0.0.1"]);
        site.certificate("bus-tls", &["--device", NUMBER]);
        let tls = toml::to_string(&site.tls("clearing-server")).expect("TOML");
        let mut text = std::fs::read_to_string(&site.config).expect("read");
        text.push_str(&format!("\n[clearing.tls]\n{tls}"));
        std::fs::write(&site.config, text).expect("written");
        site.serve("clearing");
        let day = || site.run(&["clearing", "day", "2026-03-16"]);
        assert!(
            until(day).status.success(),
            "staff commands speak HTTPS too"
        );
        site
    }

    fn secrets(&self) -> PathBuf {
        self.root.join("secrets/hsm")
    }

    fn tls(&self, name: &str) -> Tls {
        Tls {
            ca: self.secrets().join("ca.pem"),
            certificate: self.secrets().join(name).with_extension("pem"),
            key: self.secrets().join(name).with_extension("key"),
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let config = self.config.display().to_string();
        onecard(&[arguments, &["--config", &config]].concat())
    }

    fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn certificate(&self, name: &str, of: &[&str]) {
        let out = self.secrets().display().to_string();
        let issue = ["hsm", "certificate", "issue", name, "--officer", "Lin"];
        self.good(&[&issue[..], &["--out", &out], of].concat());
    }

    fn serve(&mut self, service: &str) {
        let served = Command::new(env!("CARGO_BIN_EXE_onecard"))
            .args([service, "serve", "--config"])
            .arg(&self.config)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::null())
            .spawn();
        self._services
            .push(Service(served.expect("the service starts")));
    }

    fn address(&self) -> String {
        format!("https://{}", config_address(&self.config, "clearing"))
    }

    /// Registers the bus, by the hand of issuance.
    fn register(&self, key: &SigningKey) {
        let tokens = std::fs::read_to_string(self.root.join("secrets/clearing.tokens"));
        let tokens = tokens.expect("tokens");
        let token = tokens
            .lines()
            .find_map(|line| line.strip_prefix("issuance "))
            .expect("a token of issuance");
        let tls = self.tls("clearing");
        let client = Client::open(&self.address(), Some(&tls)).expect("certificates");
        let client = client.with_token(token.trim());
        let operator = Operator {
            id: "FZBUS".to_owned(),
            kind: OperatorKind::Bus,
            name_zh: "福州公交".to_owned(),
            name_en: "Fuzhou Bus".to_owned(),
            region: "350100".parse().expect("a region"),
        };
        client.put_operator(&operator).expect("an operator");
        let device = Device {
            device: NUMBER.parse().expect("a number"),
            operator: operator.id,
            public_key: hex::encode(key.verifying_key().to_bytes()),
        };
        client.put_device(&device).expect("a device");
    }

    /// One proposes, the other agrees; what they say.
    fn agree(&self, proposal: &[&str]) -> Output {
        let proposed = self.good(proposal);
        let number = proposed.split([' ', ':']).nth(1).expect("a number");
        self.run(&["clearing", "approve", number])
    }

    /// Publishes for a few seconds from now: more of them where the machine is too slow to agree in time.
    fn publish(&self, version: &str, tariffs: &str) {
        for seconds in [5, 15, 45] {
            let starts = in_seconds(seconds).to_string();
            let publish = ["clearing", "publish", "--version", version];
            let more = ["--starts", &starts, "--tariffs", tariffs];
            let agreed = self.agree(&[publish, more].concat());
            if agreed.status.success() {
                return;
            }
            let why = String::from_utf8_lossy(&agreed.stderr).into_owned();
            assert!(why.contains("to come"), "{why}");
        }
        panic!("not agreed in time");
    }
}

fn in_seconds(seconds: i64) -> CardTime {
    let now = clearing::SystemClock.now();
    CardTime::from_seconds(now.seconds() + seconds).expect("a time")
}

/// The province's tariffs, in a folder of their own, with one file changed.
fn tariffs(folder: &Path, file: &str, from: &str, to: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fujian");
    for (name, text) in fare::Tariffs::texts(&source).expect("tariffs") {
        let path = folder.join(&name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let changed = if name == file {
            assert!(text.contains(from), "{file}");
            text.replace(from, to)
        } else {
            text
        };
        std::fs::write(path, changed).expect("written");
    }
    folder.display().to_string()
}

/// The same, with a bus route under another name in every file.
fn tariffs_without(folder: &Path, route: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fujian");
    for (name, text) in fare::Tariffs::texts(&source).expect("tariffs") {
        let path = folder.join(&name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text.replace(route, "FZB17X")).expect("written");
    }
    folder.display().to_string()
}

#[test]
fn a_bus_sends_up_and_takes_down_over_https() {
    let _turn = pcscd();
    let _pcscd = pcscd::ensure().expect("pcscd with virtual readers");
    let directory = temporary();
    let root = directory.path();
    let site = Site::start(root);
    let profile = bus_profile(root);
    site.register(&SigningKey::from_bytes(&[7; 32]));
    let text = std::fs::read_to_string(&profile).expect("the profile");
    let text = text
        .replace("http://127.0.0.1:7402", &site.address())
        .replace("upload_seconds = 30", "upload_seconds = 1")
        .replace("passback_seconds = 3", "passback_seconds = 0");
    let keys: String = ["hotlist", "parameters"]
        .iter()
        .map(|of| {
            let key = site.good(&["hsm", "key", "public", of]);
            format!("{of}_key = \"{}\"\n", key.trim())
        })
        .collect();
    let tls = toml::to_string(&site.tls("bus-tls")).expect("TOML");
    std::fs::write(&profile, format!("{keys}{text}\n[tls]\n{tls}")).expect("written");

    let mut card: Slot<VirtualCard> = Slot::new(PORTS[0]);
    let mut sam: Slot<VirtualCard> = Slot::new(PORTS[1]);
    sam.insert(transit_sam()).expect("the SAM's slot");
    let mut terminal = start(&profile);
    let lines = Lines::of(&mut terminal);
    lines.line("ready");
    let mut holder = Some(
        Sample::new(SuiteId::Aes, Profile::V2)
            .card([1; 32])
            .expect("a card"),
    );
    let mut tap = || {
        card.insert(holder.take().expect("the card"))
            .expect("the card's slot");
        let tap = lines.line("tap");
        holder = Some(card.remove().expect("the card"));
        tap
    };
    assert_eq!(tap()["amount"], 90);
    let sent = lines.line("upload");
    assert_eq!((&sent["records"], &sent["waiting"]), (&1.into(), &0.into()));

    // Dearer from a time on, which comes.
    let fares = "transit/fuzhou/gtfs/fare_attributes.txt";
    let dearer = tariffs(
        &root.join("dearer"),
        fares,
        "FZ-FLAT-1,1.00",
        "FZ-FLAT-1,4.00",
    );
    site.publish("1", &dearer);
    let waiting = lines.line("parameters");
    assert_eq!(
        (&waiting["state"], &waiting["version"]),
        (&"waiting".into(), &1.into())
    );
    let begun = lines.line("parameters");
    assert_eq!(begun["state"], "in-effect", "{begun}");
    assert_eq!(tap()["amount"], 400);
    // The device's second may begin a little before the clearing house's.
    std::thread::sleep(Duration::from_secs(1));

    // What cannot be is refused at once; a bundle without the bus's route is none that it can work by:
    // it goes back, and staff can see why.
    let limits = root.join("limits.toml");
    std::fs::write(&limits, "per_tap_max_fenn = 1\n").expect("written");
    let limits = limits.display().to_string();
    let publish = ["clearing", "publish", "--version", "2"];
    let starts = ["--starts", "2099-01-01T00:00:00", "--limits", &limits];
    let refused = site.run(&[&publish[..], &starts].concat());
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("per_tap_max_fenn"), "{refused}");
    let other = tariffs_without(&root.join("without"), "FZB17");
    site.publish("2", &other);
    assert_eq!(lines.line("parameters")["state"], "waiting");
    let back = lines.line("parameters");
    assert_eq!(
        (&back["state"], &back["to"]),
        (&"rolled-back".into(), &1.into()),
        "{back}"
    );
    let told = until(|| {
        let output = site.run(&["clearing", "devices"]);
        match String::from_utf8_lossy(&output.stdout).contains("no route FZB17") {
            true => output,
            false => site.run(&["clearing", "day", "no day"]),
        }
    });
    assert!(told.status.success(), "a device's refusal is shown");
    let mode = || lines.line("mode")["mode"].clone();
    assert_eq!(mode(), "degraded", "it works by an old version");

    // A mode is an order of its own: it begins at once, and the tariff stays.
    assert!(site.agree(&["clearing", "mode", "closed"]).status.success());
    assert_eq!(mode(), "closed");
    assert!(site.agree(&["clearing", "mode", "normal"]).status.success());
    assert_eq!(mode(), "degraded");
    assert_eq!(tap()["amount"], 400);
    stop(&mut terminal);
}
