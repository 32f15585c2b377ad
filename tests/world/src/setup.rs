//! The houses of the province, wired in one process: clock, key service, clearing house, issuer.

use crate::{
    Result, WorldError,
    chance::{Chance, stream_seed},
    network::{AGENCY, TOPUP},
};
use benefit::{Catalogue, Institutions};
use card_spec::{id::RegionCode, time::CardTime};
use clearing::{Clock as _, HospitalKey, Role, Running, SimClock, Token, TopUpLimits};
use clearing_api::{
    Client,
    national::Credentials,
    registry::{Operator, OperatorKind},
};
use fare::Tariffs;
use hsm::{Config, Entropy, KdfCost, LoadLimits, Manufacturer, Officers, SoftHsm, ceremony};
use hsm_client::Hsm;
use hsm_client::{Credential, Subject};
use issuance::Office;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What a run is asked for.
pub struct Options {
    /// Everything that is drawn comes from it.
    pub seed: u64,
    /// Empty directory for databases, journals and images.
    pub dir: PathBuf,
    /// The province's data, `data/fujian`.
    pub data: PathBuf,
    /// The sample persons, `data/samples/persons.csv`.
    pub samples: PathBuf,
    /// Whether card images are wanted in the directory afterwards.
    pub keep_images: bool,
    /// Set when the user wants it to end.
    pub interrupted: Arc<AtomicBool>,
}

/// Everything that serves the province.
pub struct House {
    /// Seed.
    pub seed: u64,
    /// Working directory.
    pub dir: PathBuf,
    /// The simulated clock of every service.
    pub clock: Arc<SimClock>,
    /// Midnight of the demonstrated day.
    pub day: CardTime,
    /// Key service.
    pub hsm: Arc<SoftHsm>,
    /// What the key ceremony did.
    pub transcript: ceremony::Transcript,
    /// The card maker's copy of the transport keys.
    pub manufacturer: Manufacturer,
    /// Issuance.
    pub office: Office,
    /// Clearing house.
    pub clearing: Running,
    /// Its address.
    pub address: String,
    /// Client without token: devices.
    pub public: Client,
    /// Client of the issuer.
    pub issuer: Client,
    /// Client of clearing staff.
    pub staff: Client,
    /// Tariffs.
    pub tariffs: Arc<Tariffs>,
    /// Medical catalogue.
    pub catalogue: Catalogue,
    /// What the key service and an auditor show each other when it is served.
    server: Credential,
    auditor: Credential,
    staff_token: String,
    parties: BTreeMap<String, Operator>,
    keys: BTreeMap<String, Credentials>,
    interrupted: Arc<AtomicBool>,
}

/// The demonstrated day, a Monday.
const DAY: &str = "2026-03-16T00:00:00";
/// The ceremony and the issue of cards happen on the afternoon before.
const EVE: &str = "2026-03-15T14:00:00";

impl House {
    /// Runs the key ceremony and starts the services.
    pub(crate) fn open(options: &Options) -> Result<Self> {
        let seed = options.seed;
        let day: CardTime = DAY.parse().map_err(WorldError::at("reading the day"))?;
        let eve: CardTime = EVE.parse().map_err(WorldError::at("reading the day"))?;
        let clock = Arc::new(SimClock::at(eve));
        let ledger_key = stream_seed(seed, "ledger-key");
        let (hsm, transcript) = open_hsm(options, &clock, ledger_key)?;
        let hsm = Arc::new(hsm);
        // The officers of the ceremony are still there.
        let manufacturer = hsm
            .authorised()
            .and_then(|control| hsm.manufacturer(&control))
            .map_err(WorldError::at("copying transport keys"))?;
        let certificate = |subject| {
            hsm.credential(subject, CERTIFICATE_DAYS)
                .map_err(WorldError::at("issuing certificates"))
        };
        let hosts = vec!["127.0.0.1".to_owned()];
        let server = certificate(Subject::Server { hosts })?;
        let auditor = certificate(Subject::Client {
            name: "demo-auditor".to_owned(),
            role: hsm_client::Role::Auditor,
        })?;
        let institutions = Institutions::load(&options.data.join("institutions.toml"))
            .map_err(WorldError::at("reading institutions"))?;
        let tariffs = Tariffs::load(&options.data).map_err(WorldError::at("reading tariffs"))?;
        let catalogue = Catalogue::load(&options.data.join("catalogue.csv"))
            .map_err(WorldError::at("reading the catalogue"))?;

        let mut chance = Chance::stream(seed, "access");
        let mut word = || hex::encode(chance.bytes::<16>());
        let (issuer_token, staff_token) = (word(), word());
        let keys: BTreeMap<String, Credentials> = institutions
            .iter()
            .map(|i| {
                let credentials = Credentials {
                    access_key: word(),
                    secret_key: word(),
                };
                (i.fixmedins_code.to_string(), credentials)
            })
            .collect();
        let config = clearing::Config {
            address: ([127, 0, 0, 1], 0).into(),
            tls: None,
            database: Some(options.dir.join("clearing.db")),
            data: options.data.clone(),
            ledger_key,
            limits: TopUpLimits::default(),
            tokens: vec![
                Token::new(Role::Issuance, &issuer_token),
                Token::new(Role::Staff, &staff_token),
            ],
            hospitals: keys
                .iter()
                .map(|(institution, credentials)| HospitalKey {
                    institution: institution.clone(),
                    credentials: credentials.clone(),
                })
                .collect(),
        };
        let service: Arc<dyn Hsm> = hsm.clone();
        let clearing = clearing::start(config, service.clone(), clock.clone())
            .map_err(WorldError::at("starting the clearing house"))?;
        let address = clearing.url();
        let parties = parties(&tariffs, &institutions)?;
        let house = Self {
            seed,
            dir: options.dir.clone(),
            clock,
            day,
            hsm,
            transcript,
            manufacturer,
            office: Office::open(&options.dir.join("issuance.db"), service)
                .map_err(WorldError::at("opening issuance"))?,
            public: Client::new(&address),
            issuer: Client::new(&address).with_token(&issuer_token),
            staff: Client::new(&address).with_token(&staff_token),
            address,
            server,
            auditor,
            clearing,
            tariffs: Arc::new(tariffs),
            catalogue,
            staff_token,
            parties,
            keys,
            interrupted: options.interrupted.clone(),
        };
        for party in house.parties.values() {
            house
                .staff
                .put_operator(party)
                .map_err(WorldError::at("registering an operator"))?;
        }
        Ok(house)
    }

    /// Starts what only other processes need: the HSM's frames and the issuance service.
    pub fn serve(&self) -> Result<Services> {
        let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let places = hsm::server::Settings {
            address: loopback,
            health: None,
            limits: hsm::server::limits::Limits::default(),
        };
        let certificates = self.dir.join("hsm-certificates");
        save_credential(&certificates, &self.auditor)
            .map_err(WorldError::at("serving the key service"))?;
        let hsm = hsm::server::bind(places)
            .and_then(|offline| offline.serve(SoftHsm::clone(&self.hsm), &self.server))
            .map_err(WorldError::at("serving the key service"))?;
        let hsm_address = hsm.address();
        let token = hex::encode(stream_seed(self.seed, "issuance-token"));
        let clock = self.clock.clone();
        let staff = "demo-auditor"
            .parse()
            .map_err(WorldError::at("naming staff"))?;
        let config = issuance::Config {
            listen: loopback,
            tokens: BTreeMap::from([(token.clone(), (staff, issuance::service::Role::Auditor))]),
            clock: Arc::new(move || clock.now()),
        };
        let issuance = issuance::start(config, Arc::clone(self.office.store()))
            .map_err(WorldError::at("serving issuance"))?;
        let addresses = vec![
            (
                "clearing",
                self.address.clone(),
                format!("staff token {}", self.staff_token),
            ),
            (
                "issuance",
                format!("http://{}", issuance.address()),
                format!("auditor token {token}"),
            ),
            (
                "hsm",
                hsm_address.to_string(),
                format!("TLS, auditor certificate in {}", certificates.display()),
            ),
        ];
        Ok(Services {
            addresses,
            hsm,
            issuance,
        })
    }

    /// The time now.
    pub fn now(&self) -> CardTime {
        self.clock.now()
    }

    /// Ends the run when the user asked for it.
    pub(crate) fn check_interrupt(&self) -> Result<()> {
        if self.interrupted.load(Ordering::SeqCst) {
            Err(WorldError::Interrupted)
        } else {
            Ok(())
        }
    }

    fn party(&self, id: &str) -> Result<&Operator> {
        self.parties
            .get(id)
            .ok_or_else(|| WorldError::at("looking up a party")(id))
    }

    /// Region of a party.
    pub(crate) fn region_of(&self, id: &str) -> Result<RegionCode> {
        Ok(self.party(id)?.region)
    }

    /// Chinese name of a party.
    pub(crate) fn name_of(&self, id: &str) -> Result<String> {
        Ok(self.party(id)?.name_zh.clone())
    }

    /// National-interface credentials of an institution.
    pub(crate) fn credentials(&self, institution: &str) -> Result<Credentials> {
        self.keys
            .get(institution)
            .cloned()
            .ok_or_else(|| WorldError::at("looking up a hospital's access keys")(institution))
    }
}

/// The services of a finished day, kept up.
pub struct Services {
    /// Name, address, and the token that opens it (published: this is a demonstration).
    pub addresses: Vec<(&'static str, String, String)>,
    hsm: hsm::server::Running,
    issuance: issuance::Running,
}

impl Services {
    /// Stops what was started for serving.
    pub fn stop(self) {
        self.issuance.stop();
        self.hsm.stop();
    }
}

/// A served demonstration is over within a day.
const CERTIFICATE_DAYS: u16 = 2;

/// The files of a client of the demonstration's key service. Its key opens nothing but a
/// demonstration.
fn save_credential(folder: &Path, credential: &Credential) -> std::io::Result<()> {
    let (certificate, key) = credential.to_pem();
    let authority = Credential::pem_of(credential.authority());
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("ca.pem"), authority)?;
    std::fs::write(folder.join("auditor.pem"), certificate)?;
    std::fs::write(folder.join("auditor.key"), key.as_bytes())
}

fn officers() -> Result<Officers> {
    Officers::new("officer-wang", "officer-zhao").map_err(WorldError::at("naming officers"))
}

fn open_hsm(
    options: &Options,
    clock: &Arc<SimClock>,
    ledger_key: [u8; 32],
) -> Result<(SoftHsm, ceremony::Transcript)> {
    let entropy = Entropy::seeded(stream_seed(options.seed, "hsm"));
    let custodians = ["custodian-li", "custodian-wu", "custodian-zheng"];
    let (roots, transcript) = ceremony::run(&entropy, &officers()?, &custodians, clock.now())
        .map_err(WorldError::at("holding the key ceremony"))?;
    save_transcript(&options.dir, &transcript)?;
    let hsm_clock = clock.clone();
    let public = ed25519_dalek::SigningKey::from_bytes(&ledger_key)
        .verifying_key()
        .to_bytes();
    let config = Config {
        directory: options.dir.join("hsm"),
        passphrase: hsm::Zeroizing::new(hex::encode(stream_seed(options.seed, "passphrase"))),
        actor: "onecard demo".to_owned(),
        entropy,
        clock: Arc::new(move || hsm_clock.now()),
        ledger_key: Some(public),
        limits: LoadLimits::default(),
        token: None,
    };
    let hsm = SoftHsm::create(config, KdfCost::LIGHT, roots, &transcript)
        .map_err(WorldError::at("creating the key store"))?;
    Ok((hsm, transcript))
}

fn save_transcript(dir: &Path, transcript: &ceremony::Transcript) -> Result<()> {
    let text = serde_json::to_string_pretty(transcript)
        .map_err(WorldError::at("writing the ceremony's transcript"))?;
    std::fs::write(dir.join("ceremony.json"), text)
        .map_err(WorldError::at("writing the ceremony's transcript"))
}

/// Operators of the tariff data, designated institutions, and two synthetic parties.
fn parties(tariffs: &Tariffs, institutions: &Institutions) -> Result<BTreeMap<String, Operator>> {
    let fuzhou: RegionCode = "350100"
        .parse()
        .map_err(WorldError::at("reading a region"))?;
    let own = |id: &str, zh: &str, en: &str, kind| Operator {
        id: id.to_owned(),
        name_zh: zh.to_owned(),
        name_en: en.to_owned(),
        kind,
        region: fuzhou,
    };
    let mut all = vec![
        own(
            TOPUP,
            "合成充值网",
            "Synthetic top-up network",
            OperatorKind::TopUp,
        ),
        own(
            AGENCY,
            "合成社保经办",
            "Synthetic insurance agency",
            OperatorKind::Agency,
        ),
    ];
    all.extend(tariffs.operators().map(|o| Operator {
        id: o.id.to_string(),
        name_zh: o.zh.clone(),
        name_en: o.en.clone(),
        kind: match o.kind {
            fare::OperatorKind::Metro | fare::OperatorKind::Brt => OperatorKind::Metro,
            fare::OperatorKind::Bus => OperatorKind::Bus,
            fare::OperatorKind::Taxi => OperatorKind::Taxi,
            fare::OperatorKind::StreetParking | fare::OperatorKind::CarPark => {
                OperatorKind::Parking
            }
        },
        region: o.city,
    }));
    all.extend(institutions.iter().map(|i| Operator {
        id: i.fixmedins_code.to_string(),
        name_zh: i.name_zh.clone(),
        name_en: i.name_en.clone(),
        kind: OperatorKind::Hospital,
        region: i.city,
    }));
    Ok(all
        .into_iter()
        .map(|party| (party.id.clone(), party))
        .collect())
}
