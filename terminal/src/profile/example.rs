//! A commented profile of every kind, for the sample data and the two virtual readers.

use super::Kind;

const FORM: &str = include_str!("../profile.example.toml");

const TRANSIT: &str = " --with-sam transit";
const PARKING: &str = " --with-sam parking";
const SOCIAL: &str = " --with-sam social";

/// A commented profile that works as printed with the repository's data.
pub fn example(kind: Kind) -> String {
    let (with_sam, place, more) = match kind {
        Kind::Bus => (
            TRANSIT,
            r#"operator = "FZBUS"                   # agency id of the tariff data
route = "FZB17"
companions = true                    # several riders may pay with one card
"#,
            STAFF,
        ),
        Kind::MetroEntry | Kind::MetroExit => (TRANSIT, METRO, ""),
        Kind::FareDesk => (TRANSIT, METRO, STAFF),
        Kind::Inspector => (
            "",
            r#"operator = "FZBUS"                   # agency id of the tariff data
route = "FZB17"                      # on buses; in a metro none
"#,
            STAFF,
        ),
        Kind::Taxi => (
            PARKING,
            r#"operator = "FZTAXI"
plate = "闽A·T0001"
"#,
            STAFF,
        ),
        Kind::ParkingMeter => (
            PARKING,
            r#"operator = "FZSTREET"
zone = "I"                           # class of its spaces in street-parking.toml
vehicle_class = "small"
"#,
            "",
        ),
        Kind::CarParkEntry | Kind::CarParkExit => (
            PARKING,
            r#"operator = "FZPARK"
park = "FZP-STATION"                 # id in car-park.toml
vehicle_class = "small"
"#,
            "",
        ),
        Kind::Pos => (
            "",
            r#"operator = "FZBUS"                   # whose till it is
terminal = "350100000901"            # its number in every load, 12 digits
"#,
            STAFF,
        ),
        Kind::Kiosk => (
            SOCIAL,
            r#"operator = "SSAGENCY"                # the social-insurance agency
terminal = "350100000902"            # its number in every load, 12 digits
"#,
            "",
        ),
        Kind::Hospital => (
            SOCIAL,
            r#"operator = "HSYN35010001"            # the institution's code
"#,
            r#"
[hospital]
name = "虚拟福州第一示范医院"
opter = "0001"                       # operator at the national platform
opter_name = "收费员"
access_key = "sample"
secret_key_file = "var/secrets/hospital.secret"
"#,
        ),
    };
    let place = place.trim_end();
    let tariffs = match kind {
        Kind::Kiosk | Kind::Hospital => "",
        _ => "tariffs = \"data/fujian\"\n",
    };
    let sam_reader = match kind {
        Kind::Inspector => "# An inspector's hand-held has no SAM.",
        Kind::Pos => "# With a retail SAM it sells, too: sam_reader = \"...\"",
        _ => {
            "sam_reader = \"Virtual PCD 00 01\"     # SAMs of one class; the others go on when one fails"
        }
    };
    let limits = match kind {
        Kind::Kiosk => "load_max_fen = 100000",
        Kind::Pos => "per_tap_max_fen = 20000\nload_max_fen = 100000",
        _ => "per_tap_max_fen = 20000\npassback_seconds = 3",
    };
    let place_of_kind = Kind::ALL.into_iter().position(|k| k == kind);
    let device = format!("35010000000090{:02}", place_of_kind.unwrap_or(0) + 1);
    [
        ("{title}", format!("{} {}", kind.en(), kind.zh()).as_str()),
        ("{with_sam}", with_sam),
        ("{kind}", kind.name()),
        ("{device}", &device),
        ("{place}", place),
        ("{tariffs}", tariffs),
        ("{sam_reader}", sam_reader),
        ("{more}", more),
        ("{limits}", limits),
    ]
    .into_iter()
    .fold(FORM.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    })
}

const METRO: &str = r#"operator = "FZMTR"                   # agency id of the tariff data
route = "FZM1"                       # the line
stop = "FZM101"
"#;

/// Of kinds with shifts. A table of the file, so after its fields.
const STAFF: &str = r#"
# Who may open a shift; where nobody is named any number may, and none is needed.
# [[operators]]
# number = "1001"
"#;

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::{
        journal::{Journal, MemoryStorage},
        profile::DeviceProfile,
        run::Device,
    };

    #[test]
    fn every_example_builds_its_device_from_the_sample_data() {
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let secret = std::env::temp_dir().join(format!("secret-{}", std::process::id()));
        std::fs::write(&secret, "sample").expect("a file");
        for kind in Kind::ALL {
            let text = example(kind);
            assert!(!text.contains('{'), "{text}");
            let mut profile = DeviceProfile::parse(&text).expect(&text);
            assert_eq!(profile.kind, kind);
            assert!(profile.sample_cards);
            assert_eq!(
                profile.sam_reader.is_some(),
                !matches!(kind, Kind::Inspector | Kind::Pos)
            );
            profile.resolve(root);
            if let Some(hospital) = &mut profile.hospital {
                hospital.secret_key_file.clone_from(&secret);
            }
            let journal = Journal::open(MemoryStorage::default(), profile.device, 0).expect("new");
            let key = SigningKey::from_bytes(&[1; 32]);
            let built = Device::new(&profile, journal, key);
            assert!(built.is_ok(), "{text}: {:?}", built.err());
        }
        std::fs::remove_file(secret).expect("cleaned");
    }
}
