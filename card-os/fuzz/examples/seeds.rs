//! Writes the seeds of every target into a folder: real sessions, as a terminal, an issuer and a
//! SAM hold them. After a change of the card's chance or memory layout they are made again:
//! `cargo run --no-default-features --example seeds -- corpus`.

use card_fuzz::{
    raw_apdu::write,
    start::{STARTS, Start},
};
use card_spec::{
    Channel, ChannelError, Fen, SuiteId, aid, apdu,
    channel::exchange,
    keys::{KeyType, class, ssse_kid, ssse_process_key},
    medical,
    perso::{self, Dgi},
    pki,
    purse::{
        self, InitRequest, PurchaseInit, TxType,
        files::Journey,
        mac::{ContextBuilder, Purchase},
        sfi,
    },
    sam, ssse,
    time::CardTime,
};
use std::{fs, path::PathBuf};
use virtual_card::{
    VirtualCard,
    host::{self, Scp03},
    sample,
};

/// A card whose conversation is written down as an input of `raw_apdu`.
struct Recorder {
    card: VirtualCard,
    out: Vec<u8>,
}

impl Recorder {
    fn new(start: Start) -> Self {
        let at = STARTS.iter().position(|s| *s == start).expect("listed");
        Self {
            card: start.card(),
            out: vec![at as u8],
        }
    }

    fn say(&mut self, command: &[u8]) -> Vec<u8> {
        exchange(self, command).expect("in memory").data.to_vec()
    }
}

impl Channel for Recorder {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        write::apdu(&mut self.out, command);
        self.card.transmit(command, response)
    }
    fn atr(&self) -> &[u8] {
        self.card.atr()
    }
}

fn time() -> CardTime {
    sample::sample_time(0).expect("a time")
}

fn request(kid: u8, amount: i64) -> InitRequest {
    InitRequest {
        kid,
        amount: Fen(amount),
        terminal: "350100000001".parse().expect("digits"),
    }
}

/// Every file read, as a reader at a desk does.
fn reading(suite: SuiteId, start: Start) -> Vec<u8> {
    let _ = suite;
    let mut card = Recorder::new(start);
    card.say(&apdu::select(aid::T_UNION));
    card.say(&purse::get_balance());
    for file in [sfi::PUBLIC, sfi::HOLDER, sfi::REGION] {
        card.say(&apdu::read_binary(file, 0, 256));
    }
    for (file, length) in [(sfi::LOG, 23), (sfi::METRO, 128), (sfi::JOURNEY, 48)] {
        card.say(&apdu::read_record(file, 1, length));
    }
    card.say(&apdu::select(aid::SSSE));
    card.say(&apdu::select_ef(ssse::fid::EF05));
    card.say(&ssse::read_by_tag(ssse::tag::CARD_NO));
    card.say(&apdu::select_ef(ssse::fid::EF06));
    card.say(&ssse::read_by_number(6, 2, ssse::tag::NAME));
    card.say(&apdu::search_record(6, 1, b"1"));
    card.say(&apdu::select(aid::HEALTH));
    card.say(&apdu::read_record(5, 1, 4));
    card.say(&apdu::build(0, 0xB2, 0x42, 0x0E << 3 | 2, &[], Some(256)));
    card.say(&apdu::select(aid::SSSE_MEDICAL));
    card.say(&medical::get_balance(medical::Balance::Pooled));
    card.say(&apdu::select(aid::ISD));
    card.say(&apdu::read(0x80, 0xCA, 0, 0xE0, Some(256)));
    write::control(&mut card.out, 2);
    card.say(&apdu::select(aid::SSSE));
    card.say(&apdu::read_record(5, 1, 18));
    card.out
}

/// A load, a compound purchase with both records, and its proof.
fn money(suite: SuiteId, start: Start) -> Vec<u8> {
    let key = |kind, index| sample::card_key(sample::header(kind, index, suite)).expect("a key");
    let mut card = Recorder::new(start);
    let fci = card.say(&apdu::select(aid::T_UNION));
    let dlk = key(KeyType::Dlk, class::ONLY);
    host::load_purse(&mut card, &sample::PIN_BYTES, &dlk, request(1, 500), time()).expect("a load");
    let request = request(class::TRANSIT, 120);
    let data = card.say(&request.capp_purchase().expect("an amount"));
    let init = PurchaseInit::from_bytes(&data).expect("INIT");
    let mut context = ContextBuilder::new(&fci);
    let metro = card.say(&apdu::read_record(sfi::METRO, 1, 128));
    context.read_1a(&metro);
    for command in [
        purse::update_capp_cache(sfi::JOURNEY, 0, &[0x11; Journey::LEN]),
        purse::update_capp_cache(sfi::METRO, 1, &[0x22; 128]),
    ] {
        card.say(&command);
        context.update(command[2], command[3], &command[5..]);
    }
    let purchase = Purchase {
        amount: request.amount,
        tx: TxType::Capp,
        terminal: request.terminal,
        terminal_seq: 9,
        time: time(),
        seq: init.seq,
        rnd: init.rnd,
        context: context.finish(),
    };
    let mac1 = purchase.mac1(suite, &key(KeyType::Dpk, class::TRANSIT));
    let answer = card.say(&purse::debit(9, time(), mac1));
    assert_eq!(answer.len(), 8, "the seed's debit goes through");
    write::control(&mut card.out, 0);
    card.say(&apdu::select(aid::T_UNION));
    card.say(&purse::prove(TxType::Capp, init.seq + 1));
    card.out
}

/// A key pair, a message in two parts, its signature, and the files of the PKI application.
fn signing(start: Start) -> Vec<u8> {
    let mut card = Recorder::new(start);
    card.say(&apdu::select(aid::PKI));
    card.say(&apdu::select(aid::PKI_CERTIFICATES));
    let pin = apdu::verify(0, &sample::SIGN_PIN_BYTES);
    card.say(&pki::hash_part(b"one part").expect("a short part"));
    card.say(&pki::hash_last(b" and another"));
    card.say(&pin);
    let signature = card.say(&pki::sign());
    assert_eq!(
        signature.len(),
        pki::SIGNATURE,
        "the seed's signature is made"
    );
    card.say(&apdu::read_binary(0x18, 0, 256));
    card.say(&apdu::get_challenge(8));
    card.say(&apdu::build(0x04, 0xD6, 0x98, 0, &[0x30; 44], None));
    card.say(&pin);
    card.say(&pki::generate_key_pair());
    card.say(&pki::read_public_key());
    card.say(&apdu::read(0, 0xCA, 0, 0x93, Some(4)));
    card.out
}

/// Authentication over the air, reading, the holder's PIN and a medical visit's INIT.
fn social(suite: SuiteId, start: Start) -> Vec<u8> {
    let mut card = Recorder::new(start);
    card.say(&apdu::select(aid::SSSE));
    for (kind, kid) in [
        (KeyType::Rk, ssse_kid::READ_V3),
        (KeyType::Uk, ssse_kid::WRITE_BASIC),
    ] {
        let challenge = card
            .say(&apdu::get_challenge(8))
            .try_into()
            .expect("eight bytes");
        let key = sample::card_key(sample::header(kind, kid, suite)).expect("a key");
        let proof = ssse_process_key(&key, suite, &challenge).cryptogram8(suite, &[9; 8]);
        card.say(&ssse::external_authenticate(kid, proof, [9; 8]));
    }
    card.say(&apdu::read_binary(8, 0, 40));
    let expires = [0x20, 0x40, 0x12, 0x31];
    card.say(&ssse::update_by_tag(5, ssse::tag::EXPIRES.0, &expires).expect("four bytes"));
    card.say(&apdu::build(0, 0xD6, 0x88, 0, &[1, 2, 3], None));
    card.say(&ssse::internal_authenticate(ssse_kid::INTERNAL, [3; 8]));
    card.say(&apdu::verify(0, &sample::PIN_BYTES));
    card.say(&apdu::select(aid::SSSE_MEDICAL));
    let terminal = "350100000001".parse().expect("digits");
    card.say(&medical::init_load(1, Fen(100), terminal).expect("an amount"));
    let split = medical::Split {
        personal: Fen(1),
        self_paid: Fen(2),
        pooled: Fen(3),
    };
    card.say(&medical::init_purchase(1, split, terminal).expect("amounts"));
    card.out
}

/// Personalisation over SCP03 at a level.
fn issuing(start: Start, level: u8) -> Vec<u8> {
    let mut card = Recorder::new(start);
    let (keys, kvn) = match start {
        Start::Blank => (sample::transport_keys(), perso::KVN_TRANSPORT),
        _ => (sample::issuer_keys(), perso::KVN_ISSUER),
    };
    let mut host = Scp03::open(&mut card, &keys, kvn, level, [1; 8]).expect("a session");
    if start == Start::Blank {
        host.put_keys(&mut card, perso::KVN_ISSUER, &sample::issuer_keys())
            .expect("keys");
    }
    let pin = host.pin_group(&sample::PIN_BYTES).expect("a PIN");
    let dtk = sample::header(KeyType::Dtk, class::ONLY, SuiteId::Aes);
    let key = host.key_group(dtk, &sample::card_key(dtk).expect("a key"));
    let photo = (Dgi::file(0x17), vec![0; 60]);
    host.personalise(&mut card, aid::T_UNION, &[pin, key, photo])
        .expect("data groups");
    host.send(
        &mut card,
        "GET STATUS",
        &[0x80, 0xF2, 0x40, 0x02, 2, 0x4F, 0],
    )
    .ok();
    card.out
}

/// A PSAM's or social SAM's day.
fn terminal_side(start: Start) -> Vec<u8> {
    let mut sam = Recorder::new(start);
    sam.say(&apdu::select(aid::T_UNION_SAM));
    sam.say(&sam::read_terminal_no());
    let mut card = Start::card(STARTS[0]);
    let fci = exchange(&mut card, &apdu::select(aid::T_UNION))
        .expect("in memory")
        .data;
    let public = purse::files::Public::from_fci(&fci).expect("an FCI");
    let request = request(class::TRANSIT, 100);
    let init = exchange(&mut card, &request.purchase().expect("an amount")).expect("in memory");
    let init = PurchaseInit::from_bytes(&init.data).expect("INIT");
    let (serial, issuer) = (public.pan.serial8(), public.issuer);
    let command = sam::InitForPurchase::new(
        &init,
        request.amount,
        TxType::Purchase,
        time(),
        serial,
        issuer,
        Default::default(),
    );
    sam.say(&command.to_apdu().expect("a command"));
    sam.say(&sam::credit([1; 4]));
    sam.say(&sam::deliver_lock_key(serial, issuer, None));
    sam.say(&sam::lock_mac([7; 4]));
    sam.say(&sam::ssse_deliver(10, serial, *b"350100sx", [7; 8], None));
    sam.say(&sam::encrypt([7; 8]));
    sam.say(&sam::raise_ceiling(9, [7; 4]));
    sam.out
}

fn raw() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for start in STARTS {
        if let Start::Card(suite, _) = start {
            let name = suite as u8;
            seeds.push((format!("reading-{name:02x}"), reading(suite, start)));
            seeds.push((format!("money-{name:02x}"), money(suite, start)));
            seeds.push((format!("social-{name:02x}"), social(suite, start)));
        }
    }
    for level in card_spec::scp03::level::ALL {
        seeds.push((format!("issuing-{level:02x}"), issuing(STARTS[0], level)));
    }
    seeds.push(("signing".into(), signing(STARTS[0])));
    seeds.push(("issuing-blank".into(), issuing(Start::Blank, 0x33)));
    seeds.push(("psam".into(), terminal_side(Start::Psam)));
    seeds.push(("social-sam".into(), terminal_side(Start::SocialSam)));
    let mut short = vec![0];
    for length in 0..6 {
        write::apdu(&mut short, &[0; 6][..length]);
    }
    write::apdu(&mut short, &[0xAA; 300]);
    write::control(&mut short, 5);
    write::apdu(&mut short, &apdu::select(aid::T_UNION));
    write::apdu(&mut short, &apdu::get_response(256));
    seeds.push(("lengths".into(), short));
    seeds
}

/// Steps of `structured_apdu`; see its opcodes.
fn structured() -> Vec<(String, Vec<u8>)> {
    const LOAD: [u8; 6] = [4, 5, 0x01, 0x00, 6, 3];
    const TAP: [u8; 6] = [7, 0, 0x00, 0x10, 10, 4];
    const CAPP: [u8; 10] = [8, 0, 0x00, 0x10, 9, 0, 1, 10, 4, 11];
    const METRO: [u8; 10] = [8, 1, 0x00, 0x10, 9, 1, 7, 10, 5, 11];
    const VISIT: [u8; 10] = [4, 18, 0, 9, 0, 8, 0, 7, 19, 3];
    const FUND: [u8; 6] = [4, 16, 0x02, 0x00, 17, 3];
    let story = |parts: &[&[u8]]| parts.concat();
    let mut seeds = Vec::new();
    for start in 0..3u8 {
        let mut add = |name: &str, parts: &[&[u8]]| {
            let steps = [&[start][..], &story(parts)].concat();
            seeds.push((format!("{name}-{start}"), steps));
        };
        add(
            "day",
            &[&[0], &LOAD, &TAP, &CAPP, &METRO, &[12, 0], &TAP, &[27]],
        );
        add("hospital", &[&[1, 20, 21, 2], &VISIT, &FUND, &VISIT, &[12]]);
        add(
            "wrong",
            &[
                &[0],
                &[132, 4, 5, 1, 0, 134, 3],
                &[7, 0, 0, 1, 138, 3],
                &TAP,
            ],
        );
        add(
            "maintenance",
            &[&[0, 24, 10, 1, 2, 25, 1, 9, 22, 27, 23], &TAP, &[150, 151]],
        );
        // An overdraft granted, used, paid back; then the issuer's acts, one after the other.
        let grant = [0, 4, 27, 3, 0x10, 0x00];
        let spend: Vec<u8> = [TAP, TAP, TAP].concat();
        let back = [27, 3, 0, 0, 4, 5, 0x20, 0x00, 6, 3, 27, 3, 0, 0];
        add(
            "overdraft",
            &[&grant, &spend, &back, &[15, 2, 2], &grant, &[27]],
        );
        let acts: Vec<u8> = (0..6)
            .flat_map(|act| [&[28, act, act, 1, 2, 3, 4, 1, 15, act, 3], &TAP[..]].concat())
            .collect();
        add("issuer", &[&acts, &grant, &acts]);
        // Files under secure messaging: the region and the metro record read and written, the
        // photo read, the expiry date and a visit written.
        let purse = [
            29, 0, 0, 0x97, 0, 0, 0, 29, 0, 1, 1, 0xD4, 0, 0, 29, 0, 2, 0x97, 2, 0, 1, 9,
        ];
        let social = [
            29, 1, 0, 0x88, 0, 0, 0, 29, 2, 3, 6, 0x2C, 0, 6, 6, 4, 0x20, 0x40, 0x12, 0x31,
        ];
        let visit = [&[30, 31, 29, 6, 4, 0, 0x90, 1, 64][..], &[0x11; 64]].concat();
        add(
            "files",
            &[
                &[0],
                &purse,
                &[1, 20],
                &social,
                &visit,
                &[29, 5, 1, 1, 0x94, 0, 0],
            ],
        );
        let torn: Vec<u8> = (0..10)
            .flat_map(|n| [&[15, n, n][..], &METRO, &[0]].concat())
            .collect();
        add("torn", &[&[0], &torn]);
        let torn: Vec<u8> = (0..8)
            .flat_map(|n| [&[0, 4][..], &[15, n, n], &LOAD[1..]].concat())
            .collect();
        add("torn-load", &[&torn]);
        add(
            "air",
            &[
                &[14, 0],
                &TAP,
                &[1, 20, 2, 4],
                &VISIT[1..],
                &[13, 26, 5, 0, 0xA4, 0, 0, 0],
            ],
        );
    }
    seeds
}

fn formats() -> Vec<(String, Vec<u8>)> {
    let mut card = STARTS[0].card();
    let mut ask = |command: &[u8]| {
        exchange(&mut card, command)
            .expect("in memory")
            .data
            .to_vec()
    };
    let fci = ask(&apdu::select(aid::T_UNION));
    let mut seeds = vec![
        ("fci".to_owned(), [&[0][..], &fci].concat()),
        ("fci-tlv".into(), [&[3][..], &fci].concat()),
    ];
    for file in [sfi::PUBLIC, sfi::HOLDER, sfi::REGION] {
        let data = ask(&apdu::read_binary(file, 0, 256));
        seeds.push((format!("file-{file:02x}"), [&[0][..], &data].concat()));
    }
    for (file, length) in [(sfi::LOG, 23), (sfi::METRO, 128)] {
        let data = ask(&apdu::read_record(file, 1, length));
        seeds.push((format!("record-{file:02x}"), [&[0][..], &data].concat()));
    }
    let recognition = {
        ask(&apdu::select(aid::ISD));
        ask(&apdu::read(0x80, 0xCA, 0, 0x66, Some(256)))
    };
    let update = ask(&perso::initialize_update(0, [1; 8]));
    seeds.push(("recognition".into(), [&[3][..], &recognition].concat()));
    seeds.push(("initialize-update".into(), [&[1][..], &update].concat()));
    let init = request(1, 100).to_bytes().expect("an amount");
    seeds.push(("init".into(), [&[1][..], &init].concat()));
    seeds.push((
        "pin-block".into(),
        [&[1][..], &perso::pin_block(&[1, 2, 3]).expect("a PIN")].concat(),
    ));
    for (name, text) in [
        ("pan", &b"09990035010000000016"[..]),
        ("citizen", b"000000199001010018"),
        ("amount", b"-12.34"),
        ("time", &[0x20, 0x26, 0x03, 0x16, 0x08, 0, 0]),
        ("date", &[0x20, 0x28, 0x02, 0x29]),
        ("key-header", &[0x01, 0x01, 0x01, 0x09]),
    ] {
        seeds.push((name.into(), [&[2][..], text].concat()));
    }
    seeds
}

fn sessions() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for level in 0..5u8 {
        // GET DATA and INSTALL as they are, limits stored, then a flipped bit.
        let honest = [0, 0, 0, 2, 0, 0, 3, 0x10, 0, 0, 1, 0, 0];
        let flipped = [&honest[..], &[0, 1, 1, 0, level * 3, 0x40]].concat();
        let replayed = [&honest[..], &[3, 0x20, 0, 4]].concat();
        let cut = [&honest[..], &[3, 0x20, 0, 2, 9]].concat();
        let grown = [&honest[..], &[5, 2, 3, 4, 1, 2, 3, 4]].concat();
        for (name, tail) in [
            ("flip", flipped),
            ("replay", replayed),
            ("cut", cut),
            ("grow", grown),
        ] {
            seeds.push((
                format!("{name}-{level}"),
                [&[level % 3, level][..], &tail].concat(),
            ));
        }
    }
    seeds
}

fn damages() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for start in 0..STARTS.len() as u8 {
        seeds.push((format!("sound-{start}"), vec![start]));
        seeds.push((format!("bit-{start}"), vec![start, 0, 0, start, 7, 1]));
        seeds.push((
            format!("erased-{start}"),
            vec![start, 1, 0, 8, 0, 0x08, 0x00, 0],
        ));
        seeds.push((
            format!("other-{start}"),
            vec![start, 2, 0, 0, 18, 2, 0xFF, 0x30],
        ));
        seeds.push((
            format!("twice-{start}"),
            vec![start, 3, 0, 1, 0, 0, 0, 2, 0],
        ));
    }
    seeds
}

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "corpus".into()));
    for (target, seeds) in [
        ("raw_apdu", raw()),
        ("structured_apdu", structured()),
        ("spec_formats", formats()),
        ("scp03_unwrap", sessions()),
        ("image_load", damages()),
    ] {
        fs::create_dir_all(folder.join(target)).expect("a folder");
        for (name, bytes) in seeds {
            fs::write(folder.join(target).join(name), bytes).expect("a file");
        }
    }
}
