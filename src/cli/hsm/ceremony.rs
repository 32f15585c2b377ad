//! `onecard hsm ceremony`: walks officers and custodians through the forming of keys.

use super::{
    cards::Cards,
    console::{Answer, Console},
};
use crate::exit::{Code, Done, Stop};
use card_spec::time::CardTime;
use clap::Args;
use hsm::{
    Entropy, Officers, Quorum,
    ceremony::{
        Ceremony, CeremonyError, CheckValue, Dealing, Form, Formed, Medium as _, Part, Plan, Sheet,
        Step, Transcript, deal, envelope,
    },
};
use std::str::FromStr;
use zeroize::Zeroizing;

/// How keys are divided, as it is typed: `3` components or `3/5` shares.
#[derive(Debug, Clone, Copy)]
pub struct Division(pub Form);

impl FromStr for Division {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |t: &str| {
            t.parse::<u8>()
                .map_err(|_| "give a number of components (3), or shares as M/N (3/5)".to_owned())
        };
        match text.split_once('/') {
            None => Ok(Self(Form::Components(number(text)?))),
            Some((needed, of)) => Quorum::new(number(needed)?, number(of)?)
                .map(|q| Self(Form::Shares(q)))
                .map_err(|e| e.to_string()),
        }
    }
}

/// How a ceremony is held.
#[derive(Args)]
pub struct Manner {
    /// Into how many parts each key is divided: N components, all needed (3), or M/N shares (3/5)
    #[arg(long, value_name = "N or M/N", default_value = "3")]
    pub parts: Division,
    /// Draw the parts here and show each to its custodian, to be written down; then they are
    /// entered like any others. Without it the custodians bring them
    #[arg(long)]
    pub draw: bool,
    /// Practise: test keys, nothing is kept, and every line says so
    #[arg(long)]
    pub dry_run: bool,
    /// Events as lines of JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// The end that somebody wished.
pub fn aborted() -> Stop {
    Stop::new(
        Code::Interrupted,
        "ceremony aborted 仪式已中止: nothing was kept; begin again when everybody is ready",
    )
}

pub fn given<T>(answer: Answer<T>) -> Done<T> {
    match answer {
        Answer::Given(value) => Ok(value),
        Answer::Abort => Err(aborted()),
    }
}

fn failed(error: CeremonyError) -> Stop {
    Stop::new(Code::Auth, format!("key ceremony: {error}"))
}

/// The two officers, asked for their names.
pub fn officers(console: &mut Console) -> Done<Officers> {
    console.screen("两名主管到场", "two officers are present");
    console.both(
        "两名主管全程在场，各自监督，共同对结果负责。",
        "Two officers stay for the whole ceremony and answer for it together.",
    );
    loop {
        let first = given(console.ask("主管一姓名", "name of the first officer")?)?;
        let second = given(console.ask("主管二姓名", "name of the second officer")?)?;
        match Officers::new(&first, &second) {
            Ok(officers) => return Ok(officers),
            Err(error) => console.refused(&error),
        }
    }
}

/// The custodians, one a part, asked for their names.
pub fn custodians(console: &mut Console, form: Form, officers: &Officers) -> Done<Vec<String>> {
    let of = form.of();
    console.screen("保管人", "the custodians");
    let english = match form {
        Form::Components(_) => {
            format!("Each of {of} custodians carries one component; all are needed.")
        }
        Form::Shares(q) => format!(
            "Each of {of} custodians carries one share; any {} are enough.",
            q.needed()
        ),
    };
    let chinese = match form {
        Form::Components(_) => format!("{of} 名保管人各持一个分量，缺一不可。"),
        Form::Shares(q) => format!("{of} 名保管人各持一份，任意 {} 份即可恢复。", q.needed()),
    };
    console.both(&chinese, &english);
    loop {
        let mut names = Vec::new();
        for number in 1..=of {
            names.push(given(console.ask(
                &format!("保管人 {number} 姓名"),
                &format!("name of custodian {number}"),
            )?)?);
        }
        let is_officer = |name: &&String| {
            let mut both = officers.names().into_iter();
            both.any(|officer| officer.to_lowercase() == name.to_lowercase())
        };
        if let Some(name) = names.iter().find(is_officer) {
            console.refused(&format!(
                "{name} is an officer, who watches and carries no part 主管不保管分量"
            ));
            continue;
        }
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        match Plan::roots(form, &all) {
            Ok(_) => return Ok(names),
            Err(error) => console.refused(&error),
        }
    }
}

/// Draws the parts and shows each custodian theirs. Returns the record of the dealing.
pub fn draw(
    console: &mut Console,
    entropy: &Entropy,
    plan: &Plan,
    names: &[&str],
    cards: Option<&Cards>,
) -> Done<Dealing> {
    let sheets = deal(entropy, plan.form(), plan.subjects(), names).map_err(failed)?;
    hand_out(console, &sheets, cards)?;
    Ok(Dealing::of(plan.form(), &sheets))
}

/// Shows each custodian their sheet, one after the other.
pub fn hand_out(console: &mut Console, sheets: &[Sheet], cards: Option<&Cards>) -> Done {
    for sheet in sheets {
        let name = &sheet.custodian;
        if let Some(cards) = cards {
            cards.keep(console, sheet)?;
            console.event(&serde_json::json!({ "event": "dealt", "custodian": name }));
            continue;
        }
        console.screen(&format!("{name} 抄录"), &format!("{name} writes down"));
        console.both(
            &format!("请 {name} 独自面对屏幕；其他人转身。抄录后封入信封。"),
            &format!("{name} alone looks at the screen; everybody else turns away. Write it down and seal it."),
        );
        given(console.ask("准备好后按回车", "press Enter when ready")?)?;
        console.line("");
        let mut envelope = envelope::Envelope::default();
        let printed = match sheet.parts.first().map(Part::form) {
            Some(Form::Shares(_)) => envelope.keep(&sheet.parts),
            _ => Ok(()),
        };
        printed.map_err(Stop::because("writing the envelope"))?;
        for line in envelope.text() {
            console.line(&format!("  {line}"));
        }
        for part in &sheet.parts {
            if let Form::Components(_) = part.form() {
                let (value, check) = part.on_paper();
                console.line(&format!("  {}  #{}", part.subject(), part.number()));
                console.line(&format!("    {}", &*value));
                console.line(&format!("    KCV {check}"));
            }
        }
        console.line("");
        given(console.ask(
            "抄录并核对后按回车，屏幕将清除",
            "press Enter when written down and compared; the screen is cleared",
        )?)?;
        console.event(&serde_json::json!({ "event": "dealt", "custodian": name }));
    }
    Ok(())
}

/// Holds a ceremony to its end.
pub fn hold(
    console: &mut Console,
    plan: Plan,
    officers: &Officers,
    at: CardTime,
    cards: Option<&Cards>,
) -> Done<(Formed, Transcript)> {
    let mut ceremony = Ceremony::new(plan, officers, at);
    match walk(console, &mut ceremony, cards) {
        Ok(()) => {
            let (formed, transcript) = ceremony.finish().map_err(failed)?;
            console.event(&serde_json::json!({ "event": "formed", "transcript": transcript }));
            Ok((formed, transcript))
        }
        Err(stop) => {
            let [first, _] = officers.names();
            let transcript = ceremony.abort(first);
            console.screen("已中止", "aborted");
            console.both(
                "已输入的内容全部清除，没有形成任何密钥。",
                "Everything that was entered is wiped; no key was formed.",
            );
            console.event(&serde_json::json!({ "event": "aborted", "transcript": transcript }));
            Err(stop)
        }
    }
}

fn walk(console: &mut Console, ceremony: &mut Ceremony, cards: Option<&Cards>) -> Done {
    let mut at_the_terminal: Option<String> = None;
    let mut on_the_card: Vec<Part> = Vec::new();
    loop {
        match ceremony.next() {
            Step::Complete => return Ok(()),
            Step::Confirm { formed, officers } => confirm(console, ceremony, &formed, &officers)?,
            Step::Part {
                subject,
                entered,
                needed,
                custodians,
            } => {
                let who = match at_the_terminal.take().filter(|w| custodians.contains(w)) {
                    Some(who) => who,
                    None => {
                        let who = who_enters(console, entered, needed, &custodians)?;
                        if let Some(cards) = cards {
                            on_the_card = cards.parts(console)?;
                        }
                        who
                    }
                };
                console.line("");
                console.line(&format!("  {subject}"));
                let done = if cards.is_some() {
                    let part = on_the_card.iter().find(|p| p.subject() == subject);
                    part.ok_or(CeremonyError::NoPart)
                        .and_then(|part| ceremony.enter(&who, part))
                } else {
                    enter(console, ceremony, &who)?
                };
                match done {
                    Ok(()) => {
                        console.line("  ✓ 已接受 · accepted");
                        console.event(&serde_json::json!({ "event": "accepted", "subject": subject, "custodian": who }));
                    }
                    Err(error) => {
                        console.refused(&error);
                        if cards.is_some() {
                            given(console.ask("按回车继续", "press Enter to go on")?)?;
                            // Another card is wanted, and perhaps another custodian.
                            continue;
                        }
                    }
                }
                at_the_terminal = Some(who);
            }
        }
    }
}

fn who_enters(
    console: &mut Console,
    entered: usize,
    needed: usize,
    custodians: &[String],
) -> Done<String> {
    console.screen(
        &format!("录入 {}/{needed}", entered + 1),
        &format!("entering, {} of {needed}", entered + 1),
    );
    if let [only] = custodians {
        console.both(
            &format!("请 {only} 独自面对终端。录入不显示。随时可输入 abort 或 中止。"),
            &format!("{only} alone at the terminal. What is typed is not shown. Type abort at any time to end."),
        );
        given(console.ask("准备好后按回车", "press Enter when ready")?)?;
        return Ok(only.clone());
    }
    console.both(
        &format!("还未录入：{}", custodians.join("、")),
        &format!(
            "Not yet entered: {}. Any of them is next.",
            custodians.join(", ")
        ),
    );
    loop {
        let name = given(console.ask("谁来录入", "who is next")?)?;
        if let Some(name) = custodians.iter().find(|c| **c == name) {
            return Ok(name.clone());
        }
        console.refused(&format!("{name} is not one of them 不在名单中"));
    }
}

/// One part, as paper has it: a component with its check value, or the lines of an envelope.
fn enter(console: &Console, ceremony: &mut Ceremony, who: &str) -> Done<Result<(), CeremonyError>> {
    if let Form::Components(_) = ceremony.form() {
        let value = given(console.secret("分量（十六进制）", "component (hex)")?)?;
        let check = given(console.ask("其校验值 KCV", "its check value KCV")?)?;
        let mut kcv = CheckValue::default();
        let Ok(value) = hex::decode(Zeroizing::new(value.replace(' ', "")).as_bytes()) else {
            return Ok(Err(CeremonyError::NoPart));
        };
        let value = Zeroizing::new(value);
        return Ok(
            match hex::decode_to_slice(check.replace(' ', ""), &mut kcv) {
                Ok(()) => ceremony.enter_component(who, value, kcv),
                Err(_) => Err(CeremonyError::CheckValue { expected: check }),
            },
        );
    }
    let mut typed = envelope::Typed::default();
    loop {
        let number = typed.number();
        let line = given(console.secret(&format!("第 {number} 行"), &format!("line {number}"))?)?;
        match typed.line(&line) {
            Ok(Some(part)) => return Ok(ceremony.enter(who, &part)),
            Ok(None) => {}
            Err(envelope::LineError::Part(error)) => return Ok(Err(error)),
            Err(error) => console.refused(&error),
        }
    }
}

fn confirm(
    console: &mut Console,
    ceremony: &mut Ceremony,
    formed: &[(hsm::ceremony::Subject, CheckValue)],
    officers: &[String],
) -> Done {
    console.screen("核对并确认", "compare and confirm");
    console.both(
        "密钥已合成。两名主管与书面记录核对校验值：",
        "The keys are formed. Both officers compare the check values with what is written down:",
    );
    for (subject, check) in formed {
        console.line(&format!(
            "    {subject:<14} KCV {}",
            hex::encode_upper(check)
        ));
    }
    console.line("");
    let name = given(console.ask(
        &format!("相符则由 {} 输入本人姓名", officers.join(" 或 ")),
        &format!(
            "if they agree, {} types their own name",
            officers.join(" or ")
        ),
    )?)?;
    match ceremony.confirm(&name) {
        Ok(()) => console.event(&serde_json::json!({ "event": "confirmed", "officer": name })),
        Err(error) => console.refused(&error),
    }
    Ok(())
}
