//! The HTTP service, over a real socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{persons, soft_hsm};
use issuance::{Config, Office, Running, service::Role, start};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

struct Service {
    running: Running,
    office: Office,
    _directory: tempfile::TempDir,
}

const MAKER: &str = "maker-token-0000001";
const REVIEWER: &str = "reviewer-token-0001";
const LOSS: &str = "loss-clerk-token-01";
const ADMIN: &str = "administrator-token";
const BOTH: &str = "reviewer-who-is-lin";

fn config() -> Config {
    let staff = [
        (MAKER, "lin", Role::Maker),
        (REVIEWER, "chen", Role::Reviewer),
        (LOSS, "wu", Role::LossClerk),
        (ADMIN, "admin", Role::Administrator),
        (BOTH, "lin", Role::Reviewer),
    ];
    let tokens: BTreeMap<_, _> = staff
        .into_iter()
        .map(|(token, name, role)| (token.to_owned(), (name.parse().unwrap(), role)))
        .collect();
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        tokens,
        clock: Arc::new(|| "2026-03-16T09:00:00".parse().unwrap()),
    }
}

impl Service {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let office = Office::memory(soft_hsm(directory.path()).0).unwrap();
        let running = start(config(), Arc::clone(office.store())).unwrap();
        Self {
            running,
            office,
            _directory: directory,
        }
    }

    fn call(&self, method: &str, path: &str, token: &str, body: &[u8]) -> (u16, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .build()
            .into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.running.address()))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(body.to_vec())
            .unwrap();
        let mut response = agent.run(request).unwrap();
        let status = response.status().as_u16();
        let kind = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let text = response.body_mut().read_to_string().unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        if status >= 400 {
            assert_eq!(kind, "application/problem+json", "{text}");
            assert_eq!(value["status"], status);
            assert!(
                value["type"]
                    .as_str()
                    .unwrap()
                    .starts_with("urn:onecard:problem:")
            );
        }
        (status, value)
    }

    fn get(&self, path: &str, token: &str) -> (u16, Value) {
        self.call("GET", path, token, b"")
    }

    fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        self.call("POST", path, token, body.to_string().as_bytes())
    }
}

fn sample() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/samples/persons.csv");
    std::fs::read(path).unwrap()
}

#[test]
fn from_a_file_of_persons_to_a_queue_of_cards() {
    let service = Service::new();
    let (status, report) = service.call("POST", "/v1/persons", MAKER, &sample());
    assert_eq!(
        (status, &report["added"], &report["refused"]),
        (200, &json!(540), &json!(23))
    );
    assert_eq!(report["errors"][0]["field"], "certno");
    let (_, again) = service.call("POST", "/v1/persons", MAKER, &sample());
    assert_eq!(
        (&again["added"], &again["unchanged"]),
        (&json!(0), &json!(540))
    );

    let (status, page) = service.get("/v1/persons?limit=100", MAKER);
    assert_eq!((status, page["data"].as_array().unwrap().len()), (200, 100));
    assert_eq!(page["has_more"], true);
    assert!(
        page["data"][0]["certno"]
            .as_str()
            .unwrap()
            .contains("********")
    );

    let who: Vec<_> = persons()[..2].iter().map(|p| p.psn_no.clone()).collect();
    let order = json!({ "purpose": "first", "persons": who });
    let (status, draft) = service.post("/v1/orders", MAKER, &order);
    assert_eq!((status, &draft["options"]["profile"]), (201, &json!("v3")));
    // Another role of the same person does not make a second person.
    let (status, problem) = service.post("/v1/orders/1/approval", BOTH, &json!({}));
    assert_eq!((status, &problem["code"]), (409, &json!("self-approval")));
    let (status, approved) = service.post("/v1/orders/1/approval", REVIEWER, &json!({}));
    assert_eq!(
        (status, approved["cards"].as_array().unwrap().len()),
        (200, 2)
    );
    let (_, queue) = service.get("/v1/orders/1/queue", MAKER);
    assert_eq!(queue["data"][0]["pan"], approved["cards"][0]["pan"]);
    let pan = approved["cards"][0]["pan"].as_str().unwrap();
    assert_eq!(
        service.get(&format!("/v1/cards/{pan}"), LOSS).1["state"],
        "queued"
    );
    let (status, problem) = service.post(
        &format!("/v1/cards/{pan}/events"),
        MAKER,
        &json!({ "event": "deliver" }),
    );
    assert_eq!((status, &problem["code"]), (409, &json!("state")));
    let (status, stock) = service.post("/v1/blanks", ADMIN, &json!({ "count": 50 }));
    assert_eq!((status, &stock["remaining"]), (200, &json!(50)));
    assert_eq!(service.get("/health", "").1["blanks"], 50);
    let (_, log) = service.get("/v1/audit?limit=2", ADMIN);
    assert_eq!(
        (&log["data"][0]["action"], &log["next_cursor"]),
        (&json!("import"), &json!("2"))
    );
    service.running.stop();
}

#[test]
fn what_is_refused_says_why() {
    let service = Service::new();
    let code = |answer: (u16, Value)| (answer.0, answer.1["code"].as_str().unwrap().to_owned());
    let is = |status: u16, text: &str| (status, text.to_owned());
    assert_eq!(
        code(service.get("/v1/persons", "nobody")),
        is(401, "unauthenticated")
    );
    assert_eq!(code(service.get("/v1/audit", MAKER)), is(403, "forbidden"));
    assert_eq!(code(service.get("/v2", MAKER)), is(404, "no-such-path"));
    assert_eq!(
        code(service.call("DELETE", "/v1/orders", MAKER, b"")),
        is(405, "method")
    );
    assert_eq!(
        code(service.call("POST", "/v1/orders", MAKER, b"{")),
        is(400, "malformed")
    );
    assert_eq!(
        code(service.get("/v1/cards?limit=0", MAKER)),
        is(422, "field")
    );
    assert_eq!(
        code(service.get("/v1/cards?starting_after=x", MAKER)),
        is(422, "field")
    );
    assert_eq!(code(service.get("/v1/cards/1", MAKER)), is(422, "field"));
    assert_eq!(
        code(service.get("/v1/cards/03500350100000000018", MAKER)),
        is(404, "not-found")
    );
    assert_eq!(
        code(service.call("POST", "/v1/persons", MAKER, b"a,b\n1,2\n")),
        is(422, "file")
    );
    let start = json!({ "event": "check" });
    assert_eq!(
        code(service.post("/v1/cards/03500350100000000018/events", MAKER, &start)),
        is(422, "field")
    );
    let big = vec![b'x'; (1 << 20) + 1];
    let file = vec![b'x'; (16 << 20) + 1];
    assert_eq!(
        code(service.call("POST", "/v1/persons", MAKER, &file)),
        is(413, "too-large")
    );
    assert_eq!(
        code(service.call("POST", "/v1/orders", MAKER, &big)),
        is(413, "too-large")
    );
}

#[test]
fn a_service_that_cannot_start_says_what_to_do() {
    let service = Service::new();
    let begin = |config| {
        start(config, Arc::clone(service.office.store()))
            .err()
            .unwrap()
            .to_string()
    };
    let taken = Config {
        listen: service.running.address(),
        ..config()
    };
    assert!(begin(taken).contains("another service"));
    let open = Config {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..config()
    };
    assert!(begin(open).contains("loopback"));
    let weak = Config {
        tokens: BTreeMap::from([("short".to_owned(), ("lin".parse().unwrap(), Role::Maker))]),
        ..config()
    };
    assert!(begin(weak).contains("lin"));
}
