//! One master as components on paper, out and in.

use super::super::{
    ceremony as steps,
    console::Console,
    keeping::{open, strs},
    people, stop,
};
use crate::{
    config,
    exit::{Code, Done, Stop},
};
use card_spec::keys::KeyHeader;
use hsm::{
    SoftHsm, Zeroizing,
    ceremony::Form,
    exchange::{self, Component},
};
use hsm_client::{Hsm as _, KeyId};
use serde_json::json;

/// The one master that is named.
pub(super) fn one_master(names: &[String]) -> Done<KeyHeader> {
    let usage = |why: String| Stop::new(Code::Usage, why);
    let [name] = names else {
        return Err(usage("components are of one key: name one".to_owned()));
    };
    match exchange::parse(name).map_err(|error| usage(error.to_string()))? {
        KeyId::Master(header) => Ok(header),
        _ => Err(usage(format!(
            "{name} is no master: it travels in a bundle"
        ))),
    }
}

/// Shows each custodian their component, alone.
pub(super) fn out(
    hsm: &SoftHsm,
    settings: &config::Hsm,
    console: &mut Console,
    master: KeyHeader,
    parts: u8,
) -> Done {
    let officers = steps::officers(console)?;
    let signers = people::credentials(settings, &officers)?;
    let names = steps::custodians(console, Form::Components(parts), &officers)?;
    people::authorise(hsm, &signers, "onecard hsm export")?;
    let components = hsm.export_components(master, &strs(&names)).map_err(stop)?;
    for component in &components {
        let name = &component.custodian;
        console.screen(&format!("{name} 抄录"), &format!("{name} writes down"));
        console.both(
            &format!("请 {name} 独自面对屏幕；其他人转身。抄录后封入信封。"),
            &format!("{name} alone looks at the screen; everybody else turns away. Write it down and seal it."),
        );
        steps::given(console.ask("准备好后按回车", "press Enter when ready")?)?;
        let value = Zeroizing::new(hex::encode(*component.value));
        console.line(&format!("    {}", &*value));
        console.line(&format!("    KCV {}", hex::encode_upper(component.check)));
        steps::given(console.ask(
            "抄录并核对后按回车，屏幕将清除",
            "press Enter when written down and compared; the screen is cleared",
        )?)?;
    }
    let keys = hsm.keys().map_err(stop)?;
    let same = |k: &&hsm_client::KeyInfo| {
        (k.key_type, k.index, k.version, k.suite)
            == (master.key_type, master.index, master.version, master.suite)
    };
    let kcv = keys.iter().find(same).map_or("", |key| &key.kcv);
    let name = exchange::name(KeyId::Master(master));
    console.screen("导出完成", "exported");
    console.line(&format!("    {name} KCV {kcv}"));
    console.event(&json!({ "event": "exported", "key": name, "kcv": kcv, "parts": parts }));
    Ok(())
}

/// Asks each custodian for their component.
pub(super) fn take_in(
    settings: &config::Hsm,
    console: &mut Console,
    master: KeyHeader,
    parts: u8,
) -> Done {
    let hsm = open(settings, "onecard hsm import")?;
    let officers = steps::officers(console)?;
    let signers = people::credentials(settings, &officers)?;
    let names = steps::custodians(console, Form::Components(parts), &officers)?;
    let mut components = Vec::with_capacity(names.len());
    for custodian in names {
        console.screen(&format!("{custodian} 录入"), &format!("{custodian} enters"));
        let mut value = Zeroizing::new([0; 16]);
        loop {
            let typed = steps::given(console.secret("分量（十六进制）", "component (hex)")?)?;
            let typed = Zeroizing::new(typed.replace(' ', ""));
            if hex::decode_to_slice(typed.as_bytes(), &mut value[..]).is_ok() {
                break;
            }
            console.refused(&"a component has 32 hexadecimal digits");
        }
        let check = check_value(console, "其校验值 KCV", "its check value KCV")?;
        components.push(Component {
            custodian,
            value,
            check,
        });
    }
    let expected = check_value(
        console,
        "密钥校验值 KCV",
        "check value KCV of the whole key",
    )?;
    people::authorise(&hsm, &signers, "onecard hsm import")?;
    hsm.import_components(master, &components, expected)
        .map_err(stop)?;
    let name = exchange::name(KeyId::Master(master));
    console.screen("导入完成", "imported");
    console.line(&format!("    + {name} {}", hex::encode_upper(expected)));
    console.line("下一步 · Next: onecard hsm key state ... active");
    console.event(&json!({ "event": "imported", "added": [name] }));
    Ok(())
}

fn check_value(console: &Console, chinese: &str, english: &str) -> Done<[u8; 3]> {
    loop {
        let typed = steps::given(console.ask(chinese, english)?)?;
        let mut check = [0; 3];
        if hex::decode_to_slice(typed.replace(' ', ""), &mut check).is_ok() {
            return Ok(check);
        }
        console.refused(&"a check value has six hexadecimal digits");
    }
}
