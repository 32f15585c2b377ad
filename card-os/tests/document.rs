//! `docs/card.md` says what the card does: its tables come from the code, and the command list is
//! held to the card in both directions. `UPDATE_DOCS=1` writes the tables anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    SuiteId, Sw, apdu,
    commands::{Application, COMMANDS},
    health,
    keys::{KeyType, class, ssse_kid},
    ssse::Profile,
    tlv::Tlv,
};
use common::apps;
use std::fmt::Write;
use virtual_card::{Interface, VirtualCard, sample::Sample};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/card.md");

/// Whether the selected application obeys an instruction: in no form does it answer "unknown".
/// DF04 has no files, and says so.
fn obeys(card: &mut VirtualCard, application: Application, cla: u8, ins: u8) -> bool {
    let mut forms = [(0, 0), (1, 0), (2, 0), (3, 0), (1, 4)]
        .into_iter()
        .flat_map(|parameters| [&[][..], &[0; 4]].map(|data| (parameters, data)));
    forms.all(|((p1, p2), data)| {
        assert_eq!(
            common::send(card, &apdu::select(application.name())).sw,
            Sw::OK
        );
        let sw = common::send(card, &apdu::build(cla, ins, p1, p2, data, None)).sw;
        !(matches!(sw, Sw::INS | Sw::CLA)
            || (application == Application::Medical && sw == Sw::NOT_FOUND && ins != 0xA4))
    })
}

#[test]
fn the_command_list_is_what_the_card_obeys_and_nothing_else() {
    let mut wrong = Vec::new();
    for application in Application::ALL {
        if application == Application::Every {
            continue;
        }
        let mut card = match application {
            Application::Sam => common::sam_for(class::TRANSIT),
            _ => common::card(SuiteId::Aes),
        };
        for cla in [0x00, 0x04, 0x80, 0x84, 0xB0, 0xBF] {
            // Inside a secure channel every instruction meets the same check first.
            if application == Application::Issuer && matches!(cla, 0x04 | 0x84) {
                continue;
            }
            for ins in 0x00..=0xFF {
                let listed = COMMANDS.iter().any(|c| {
                    (c.cla, c.ins) == (cla, ins)
                        && (c.application == application || c.application == Application::Every)
                });
                if listed != obeys(&mut card, application, cla, ins) {
                    wrong.push(format!(
                        "{application:?} {cla:02X} {ins:02X}: listed {listed}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn commands() -> String {
    let mut out = String::new();
    for application in Application::ALL {
        write!(
            out,
            "\n### {}\n\n| command | CLA INS | P1 P2 | data | answer | wants |\n|---|---|---|---|---|---|\n",
            application.title()
        )
        .unwrap();
        for c in COMMANDS.iter().filter(|c| c.application == application) {
            let (name, parameters, data, answer, access) =
                (c.name, c.parameters, c.data, c.answer, c.access);
            writeln!(
                out,
                "| {name} | `{:02X} {:02X}` | {parameters} | {data} | {answer} | {access} |",
                c.cla, c.ins
            )
            .unwrap();
        }
    }
    out
}

fn keys() -> String {
    let mut out = "\n| type | name |\n|---|---|\n".to_owned();
    for key_type in KeyType::ALL {
        writeln!(out, "| `{:02X}` | {} |", key_type as u8, key_type.name()).unwrap();
    }
    out
}

fn status_words() -> String {
    let mut out = "\n| status word | meaning |\n|---|---|\n".to_owned();
    // Every value that has a meaning of its own; 61xx, 6Cxx and 63Cx carry a number.
    let unknown = Sw(0x0000).meaning();
    for value in 0x6200..=0x9FFF {
        let sw = Sw(value);
        if sw.tries().is_none() && sw.meaning() != unknown {
            writeln!(out, "| `{sw}` | {} |", sw.meaning()).unwrap();
        }
    }
    writeln!(out, "| `63Cx` | {} |", Sw::tries_left(3).meaning()).unwrap();
    out.push_str("| `61xx` | xx more bytes wait for GET RESPONSE |\n");
    out.push_str("| `6Cxx` | wrong Le; xx is right |\n");
    out
}

/// What SELECT says of every file, and whether a stranger may read it.
fn files() -> String {
    let mut out = "\n| application | file | SFI | kind | size | read in clear, V2 | V3 | over the air | written with |\n|---|---|---|---|---|---|---|---|---|\n".to_owned();
    for application in [
        Application::Purse,
        Application::Social,
        Application::Health,
        Application::Pki,
    ] {
        for fid in (0x0000..=0x001F).chain(0xEF00..=0xEF1F) {
            let mut card = common::card(SuiteId::Aes);
            let Some(fcp) = select(&mut card, application, fid) else {
                continue;
            };
            let fcp = Tlv::find(&fcp, 0x62).expect("FCP");
            let find = |tag| Tlv::find(fcp, tag).expect("an object of the FCP");
            let number = |bytes: &[u8]| bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b));
            let (kind, records) = match find(0x82) {
                [0x01] => ("transparent", false),
                [0x02, ..] => ("linear fixed", true),
                [0x05, ..] => ("linear variable", true),
                [0x06, ..] => ("cyclic", true),
                other => panic!("descriptor {other:02X?}"),
            };
            let size = match find(0x82) {
                [_, _, high, low, count] => format!("{count} x {}", number(&[*high, *low])),
                _ => number(find(0x80)).to_string(),
            };
            let read = |card: &mut VirtualCard| {
                let command: &[u8] = if records {
                    &[0x00, 0xB2, 0x01, 0x04, 0x00]
                } else {
                    &[0x00, 0xB0, 0x00, 0x00, 0x00]
                };
                select(card, application, fid);
                match common::send(card, command).sw {
                    Sw::OK | Sw::RECORD_NOT_FOUND | Sw::OFFSET => "yes",
                    Sw::SECURITY | Sw::CONDITIONS | Sw::NO_CURRENT_FILE => "no",
                    sw => panic!("{fid:04X}: {sw}"),
                }
            };
            let v2 = read(&mut card);
            card.set_interface(Interface::Contactless);
            let air = read(&mut card);
            let mut card = Sample::new(SuiteId::Aes, Profile::V3)
                .card(common::SEED)
                .unwrap();
            let v3 = read(&mut card);
            writeln!(
                out,
                "| {} | `{fid:04X}` | {:02X} | {kind} | {size} | {v2} | {v3} | {air} | {} |",
                application.title(),
                find(0x88)[0] >> 3,
                written_with(application, fid, find(0x82)[0])
            )
            .unwrap();
        }
    }
    out
}

/// The key that opens a file to UPDATE or APPEND: each of the application's is tried, alone.
fn written_with(application: Application, fid: u16, descriptor: u8) -> String {
    let keys: &[(KeyType, u8)] = match application {
        Application::Social => &[
            (KeyType::Rk, ssse_kid::READ_V3),
            (KeyType::Uk, ssse_kid::WRITE_BASIC),
            (KeyType::Uk, ssse_kid::EF0C),
            (KeyType::Uk, ssse_kid::EF0D),
            (KeyType::Puk, ssse_kid::PIN_UNBLOCK),
        ],
        Application::Health => &[
            (KeyType::Rk, health::kid::READ),
            (KeyType::Rk, health::kid::EMERGENCY),
            (KeyType::Uk, health::kid::WRITE),
        ],
        Application::Purse => &[(KeyType::Damk, class::ONLY), (KeyType::Dpuk, class::ONLY)],
        _ => &[(KeyType::Uk, class::ONLY)],
    };
    let secured = matches!(application, Application::Purse | Application::Pki);
    let size = if application == Application::Purse {
        2
    } else {
        1
    };
    let (ins, p1, data) = match descriptor {
        0x01 => (0xD6, 0, vec![0x31]),
        0x02 => (0xDC, 1, vec![0x31; 128]),
        0x05 => (0xDC, 0xEE, vec![0xEE, 1, 0x31]),
        _ => (0xE2, 0, vec![0x31; 16 * size]),
    };
    let p2 = if descriptor == 0x02 { 4 } else { 0 };
    let allowed = |(key_type, kid): &(KeyType, u8)| {
        let mut card = common::card(SuiteId::Aes);
        select(&mut card, application, fid).expect("the file is there");
        let command = if secured {
            let key = apps::key(*key_type, *kid);
            common::maintenance(&mut card, SuiteId::Aes, &key, [0x04, ins, p1, p2], &data)
        } else {
            assert_eq!(apps::authenticate(&mut card, *key_type, *kid), Sw::OK);
            apdu::build(0x00, ins, p1, p2, &data, None)
        };
        // Past the access check what is wrong is the data.
        let sw = common::send(&mut card, &command).sw;
        !matches!(
            sw,
            Sw::SECURITY | Sw::CONDITIONS | Sw::SM_WRONG | Sw::NOT_FOUND
        )
    };
    let opened: Vec<_> = keys
        .iter()
        .filter(|key| allowed(key))
        .map(|(key_type, kid)| match secured {
            true => key_type.name().to_owned(),
            false => format!("{} {kid:02X}", key_type.name()),
        })
        .collect();
    match opened.as_slice() {
        [] => "none".to_owned(),
        keys => keys.join(", "),
    }
}

fn select(card: &mut VirtualCard, application: Application, fid: u16) -> Option<Vec<u8>> {
    common::send(card, &apdu::select(application.name()));
    let [high, low] = fid.to_be_bytes();
    let reply = common::send(card, &[0x00, 0xA4, 0x02, 0x04, 0x02, high, low, 0x00]);
    reply.sw.is_ok().then(|| reply.data.to_vec())
}

#[test]
fn the_tables_are_the_code_s() {
    let before = std::fs::read_to_string(FILE).expect("docs/card.md");
    let mut text = before.clone();
    for (name, table) in [
        ("files", files()),
        ("commands", commands()),
        ("keys", keys()),
        ("status words", status_words()),
    ] {
        let (begin, end) = (
            format!("<!-- {name}: from the code -->\n"),
            format!("<!-- end of {name} -->"),
        );
        let (head, rest) = text.split_once(&begin).expect("the table's first mark");
        let (_, tail) = rest.split_once(&end).expect("the table's last mark");
        text = format!("{head}{begin}{table}\n{end}{tail}");
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(FILE, &text).expect("written");
        return;
    }
    assert!(
        text == before,
        "docs/card.md is behind the code: UPDATE_DOCS=1 cargo test -p card-os --test document"
    );
}
