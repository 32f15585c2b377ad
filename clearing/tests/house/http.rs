//! Over HTTP, with the blocking client.

use crate::fake_hsm::FakeHsm;
use crate::medical::{caller, keys, lines, pre};
use crate::world::*;
use clearing::{
    Clock, Config, Role, Running, SimClock, StartError, Token, TopUpLimits, start,
    store::Registered,
};
use clearing_api::{Client, ClientError, client::sign_body, national::*};
use ed25519_dalek::SigningKey;
use std::sync::Arc;

pub(crate) fn config() -> Config {
    Config {
        address: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        database: None,
        data: data(),
        ledger_key: LEDGER,
        limits: TopUpLimits::default(),
        tokens: vec![
            Token::new(Role::Issuance, "issuance-token"),
            Token::new(Role::Staff, "staff-token"),
            Token::new(Role::Auditor, "auditor-token"),
        ],
        hospitals: keys(),
    }
}

pub(crate) fn serve(config: Config) -> Result<Running, StartError> {
    let hsm = FakeHsm::new(SigningKey::from_bytes(&LEDGER).verifying_key());
    let clock = Arc::new(SimClock::at(time("2026-11-23T10:00:00")));
    start(config, Arc::new(hsm), clock as Arc<dyn Clock>)
}

pub(crate) fn register(client: &Client) {
    for item in registry() {
        match item {
            Registered::Operator(item) => drop(client.put_operator(&item).unwrap()),
            Registered::Device(item) => drop(client.put_device(&item).unwrap()),
            Registered::Sam(item) => drop(client.put_sam(&item).unwrap()),
            Registered::Card(item) => drop(client.put_card(&item).unwrap()),
            Registered::Insured(item) => drop(client.put_insured(&item).unwrap()),
        }
    }
}

#[test]
fn a_day_over_http() {
    let running = serve(config()).unwrap();
    let issuance = Client::new(&running.url()).with_token("issuance-token");
    register(&issuance);
    let device = Client::new(&running.url());
    let records = (0..3u16)
        .map(|n| {
            let one = Tap {
                card: 1,
                seq: n,
                before: 10_000,
                amount: fare(),
                sam: 1,
                terminal_seq: u32::from(n) + 1,
            };
            tap(u64::from(n) + 1, one)
        })
        .collect();
    let body = serde_json::to_vec(&batch(1, records)).unwrap();
    let answer = device
        .upload(&body, &sign_body(&device_key(1), &body))
        .unwrap();
    assert_eq!(answer.items.len(), 3);
    assert_eq!(device.hotlist(0).unwrap().version, 0);

    // A hospital bill through the client.
    let credentials = &keys()[0].credentials;
    let at = time("2026-11-23T10:00:00");
    let ms = clearing::clock::millis(at) as u64;
    let mut seq = 0;
    let mut send = |request: &dyn Fn(u16) -> Request| {
        seq += 1;
        device.national(credentials, &request(seq), ms).unwrap()
    };
    let register = Register {
        data: RegisterData {
            psn_no: psn(1),
            insutype: "310".into(),
            begntime: "2026-11-23 09:00:00".into(),
            mdtrt_cert_type: "03".into(),
            mdtrt_cert_no: pan(1).to_string(),
            ipt_otp_no: "1".into(),
            atddr_no: "1".into(),
            dr_name: "医生".into(),
            dept_code: "1".into(),
            dept_name: "内科".into(),
            caty: "A03".into(),
        },
    };
    let insuplc = Some(region());
    let registered: RegisterOutput =
        send(&|seq| Request::new(&caller(), insuplc, at, seq, &register).unwrap())
            .output()
            .unwrap();
    let mdtrt_id = registered.data.mdtrt_id;
    let bill = lines(&mdtrt_id, 1, "B1");
    send(&|seq| Request::new(&caller(), insuplc, at, seq, &bill).unwrap())
        .output::<LinesOutput>()
        .unwrap();
    let pre = PreSettle {
        data: pre(&mdtrt_id, 1, "B1"),
    };
    let settled: Settled = send(&|seq| Request::new(&caller(), insuplc, at, seq, &pre).unwrap())
        .output()
        .unwrap();
    assert_eq!(settled.setlinfo.hifp_pay.0, 187_200);

    let staff = Client::new(&running.url()).with_token("staff-token");
    let report = staff.close_day(today()).unwrap();
    assert_eq!(staff.day(today()).unwrap(), report);
    assert_eq!(report.modes["bus"].posted, 3);
    assert!(
        staff
            .statement(today(), "operator:FZBUS")
            .unwrap()
            .contains(",net,")
    );
    assert_eq!(staff.card(pan(1)).unwrap().last_seq, Some(2));
    assert_eq!(issuance.pension(&psn(9)).unwrap().monthly.0, 350_000);
    running.stop();
}

/// A demo-sized day on a database file: 100 batches of 20 taps from four devices at once, while the
/// day is read; nothing waits on anything and nothing is lost.
#[test]
fn many_devices_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.database = Some(folder.path().join("clearing.db"));
    let running = serve(config).unwrap();
    register(&Client::new(&running.url()).with_token("issuance-token"));
    let started = std::time::Instant::now();
    std::thread::scope(|scope| {
        for n in 1..=4u32 {
            let client = Client::new(&running.url());
            scope.spawn(move || {
                for round in 0..25u32 {
                    let records = (0..20u32)
                        .map(|i| {
                            let at = round * 20 + i;
                            let one = Tap {
                                card: n,
                                seq: at as u16,
                                before: 100_000,
                                amount: fare(),
                                sam: n,
                                terminal_seq: at + 1,
                            };
                            tap(u64::from(at) + 1, one)
                        })
                        .collect();
                    let body = serde_json::to_vec(&batch(n, records)).unwrap();
                    let answer = client
                        .upload(&body, &sign_body(&device_key(n), &body))
                        .unwrap();
                    assert!(
                        answer.items.iter().all(|item| item.number == 0),
                        "{answer:?}"
                    );
                }
            });
        }
        let staff = Client::new(&running.url()).with_token("staff-token");
        scope.spawn(move || staff.day(today()).unwrap());
    });
    let took = started.elapsed();
    let staff = Client::new(&running.url()).with_token("staff-token");
    let report = staff.close_day(today()).unwrap();
    assert_eq!(report.modes["bus"].posted, 2_000);
    assert_eq!(report.purse_float.0, -2_000 * fare());
    // Seconds even unoptimised on a busy machine; a transaction a record would take far longer.
    assert!(took.as_secs() < 30, "{took:?}");
    println!("2,000 records in 100 batches: {took:?}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let audit = runtime
        .block_on(clearing::audit::run(&folder.path().join("clearing.db")))
        .unwrap();
    assert!(audit.ok(), "{audit:#?}");
}

fn refused(error: ClientError) -> (u16, String) {
    match error {
        ClientError::Refused(problem) => (problem.status, problem.code),
        other => panic!("{other}"),
    }
}

#[test]
fn roles_are_kept_apart() {
    let running = serve(config()).unwrap();
    let url = running.url();
    let with = |token: &str| Client::new(&url).with_token(token);
    assert_eq!(refused(Client::new(&url).day(today()).unwrap_err()).0, 401);
    assert_eq!(refused(with("wrong").day(today()).unwrap_err()).0, 401);
    assert_eq!(
        refused(with("issuance-token").day(today()).unwrap_err()),
        (403, "forbidden".into())
    );
    assert_eq!(
        refused(with("auditor-token").close_day(today()).unwrap_err()).0,
        403
    );
    assert!(with("auditor-token").day(today()).is_ok());
    assert_eq!(
        refused(with("auditor-token").card(pan(1)).unwrap_err()),
        (404, "not-found".into())
    );
    let Registered::Card(card) = registry()
        .into_iter()
        .find(|r| matches!(r, Registered::Card(_)))
        .unwrap()
    else {
        panic!()
    };
    assert_eq!(
        refused(with("staff-token").put_card(&card).unwrap_err()).0,
        403
    );
    // A body that is not signed by its device.
    let world_request = serde_json::json!({"device": device(20)}).to_string();
    let error = Client::new(&url)
        .top_up(world_request.as_bytes(), &[0; 64])
        .unwrap_err();
    assert_eq!(refused(error), (400, "malformed".into()));
}

/// Every error is a problem document, also those that no handler makes.
#[test]
fn errors_are_problem_documents() {
    let running = serve(config()).unwrap();
    let agent = ureq::Agent::new_with_config(
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build(),
    );
    let check = |method: &str, path: &str, body: Vec<u8>, status: u16, allow: Option<&str>| {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", running.url()))
            .header("Authorization", "Bearer staff-token")
            .body(body)
            .unwrap();
        let mut response = agent.run(request).unwrap();
        let kind = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let allowed = response
            .headers()
            .get("allow")
            .map(|v| v.to_str().unwrap().to_owned());
        let text = response.body_mut().read_to_string().unwrap();
        let problem: clearing_api::Problem = serde_json::from_str(&text).expect(&text);
        assert_eq!(
            (problem.status, response.status().as_u16()),
            (status, status),
            "{path}"
        );
        assert_eq!(kind, "application/problem+json");
        assert_eq!(allowed.as_deref(), allow, "{path}");
    };
    check("GET", "/nowhere", vec![], 404, None);
    check("DELETE", "/v1/hotlist", vec![], 405, Some("GET, POST"));
    check("GET", "/v1/batches", vec![], 405, Some("POST"));
    check("GET", "/national", vec![], 405, Some("POST"));
    check("POST", "/v1/hotlist", b"{".to_vec(), 400, None);
    check(
        "POST",
        "/v1/hotlist",
        vec![b' '; 5 * 1024 * 1024],
        413,
        None,
    );
    check("GET", "/v1/days/yesterday", vec![], 422, None);
    for since in ["x", "9223372036854775808", "99999999999999999999999"] {
        let path = format!("/v1/hotlist?since={since}");
        check("GET", &path, vec![], 400, None);
    }
    check(
        "PUT",
        "/v1/operators/A",
        br#"{"id":"B","name_zh":"","name_en":"","kind":"bus","region":"350100"}"#.to_vec(),
        422,
        None,
    );
}

#[test]
fn a_port_in_use_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config();
    config.address = taken.local_addr().unwrap();
    let error = serve(config).unwrap_err();
    assert!(matches!(error, StartError::Address { .. }));
    assert!(
        error.to_string().contains("choose another address"),
        "{error}"
    );
}

#[test]
fn a_database_that_cannot_be_opened_says_so() {
    let mut config = config();
    config.database = Some("/nonexistent/folder/clearing.db".into());
    let error = serve(config).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/folder"), "{error}");
}

#[test]
fn plain_http_stays_on_loopback_and_keys_out_of_the_log() {
    let open = Config {
        address: "0.0.0.0:0".parse().unwrap(),
        ..config()
    };
    let shown = format!("{open:?}");
    assert!(!shown.contains(&format!("{:?}", LEDGER)), "{shown}");
    assert!(!shown.contains("ledger_key"), "{shown}");
    let error = serve(open).unwrap_err();
    assert!(matches!(error, StartError::NotLoopback(_)), "{error}");
}

/// Who registered, listed and closed is in a chained log that the auditor follows.
#[test]
fn privileged_acts_are_attributed() {
    use sqlx::{ConnectOptions, Executor, Row};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clearing.db");
    let running = serve(Config {
        database: Some(path.clone()),
        ..config()
    })
    .unwrap();
    let staff = Client::new(&running.url()).with_token("staff-token");
    let issuance = Client::new(&running.url()).with_token("issuance-token");
    register(&issuance);
    staff
        .list_card(&clearing_api::registry::ListCard {
            pan: pan(1),
            generation: card_spec::id::Generation(1),
            reason: "lost".into(),
        })
        .unwrap();
    staff.close_day(today()).unwrap();
    running.stop();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        assert!(clearing::audit::run(&path).await.unwrap().ok());
        let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(&path)
            .connect()
            .await
            .unwrap();
        let rows = sqlx::query("SELECT who, what FROM acts ORDER BY number")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        assert_eq!(rows.len(), registry().len() + 2);
        let last = &rows[rows.len() - 1];
        assert!(last.get::<&str, _>("who").starts_with("Staff:"));
        assert_eq!(last.get::<&str, _>("what"), "closes day 2026-11-23");
        connection
            .execute("UPDATE acts SET who = 'Issuance:00000000' WHERE what LIKE 'lists%'")
            .await
            .unwrap();
        let found = clearing::audit::run(&path).await.unwrap();
        assert!(
            found
                .checks
                .iter()
                .any(|check| check.name == "privileged acts are chained" && !check.ok)
        );
    });
}
