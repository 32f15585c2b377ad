use super::*;
use hex_literal::hex;
use proptest::prelude::*;

fn attributes(usage: [u8; 2], mode: u8, exportability: u8) -> Attributes {
    Attributes {
        usage,
        algorithm: b'A',
        mode,
        version: *b"00",
        exportability,
        optional: Vec::new(),
    }
}

const D_KEY: [u8; 32] = hex!("88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6");
const D_BLOCK: &str = "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34";

/// ANSI X9.143-2022 and TR-31:2018, A.7.4: the AES key block example.
#[test]
fn version_d_of_the_standard() {
    let opened = unwrap(&D_KEY, D_BLOCK).expect("authentic");
    assert_eq!(opened.key[..], hex!("3f419e1cb7079442aa37474c2efbf8b8"));
    assert_eq!(opened.attributes, attributes(*b"P0", b'E', b'E'));
}

/// TR-31:2018, A.7.2.2 and A.7.3.2; the others are the known values of other implementations
/// that psec 1.3 (`test_tr31.py`) collects.
#[test]
fn version_b_of_the_standard_and_of_others() {
    for (protection, key, block) in [
        (
            &hex!("DD7515F2BFC17F85CE48F3CA25CB21F6")[..],
            hex!("3F419E1CB7079442AA37474C2EFBF8B8"),
            "B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E",
        ),
        (
            &hex!("1D22BF32387C600AD97F9B97A51311AC"),
            hex!("E8BC63E5479455E26577F715D587FE68"),
            "B0104B0TX12S0100KS1800604B120F9292800000BB68BE8680A400D9191AD4ECE45B6E6C0D21C4738A52190E248719E24B433627",
        ),
        (
            &hex!("89E88CF7931444F334BD7547FC3F380C"),
            hex!("F039121BEC83D26B169BDCD5B22AAF8F"),
            "B0120P0TE12E0100KS1800604B120F9292800000E6E28F097CB0350B2EB2DF520947F779FA34D9759CEE7E0DEEACF8353DB778D47FA4EC20DA3A9754",
        ),
        (
            &hex!("AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBCCCCCCCCCCCCCCCC"),
            hex!("CCCCCCCCCCCCCCCCDDDDDDDDDDDDDDDD"),
            "B0096M3TC00E0000C7C6FE86A5DE769C20DCA238C52341378B484D544A9764D43963C3B2824AE56C2D07A565DD3AB342",
        ),
    ] {
        let opened = unwrap(protection, block).expect(block);
        assert_eq!(opened.key[..], key, "{block}");
        assert_eq!(&opened.attributes.usage, &block.as_bytes()[5..7]);
    }
    let opened = unwrap(
        &hex!("1D22BF32387C600AD97F9B97A51311AC"),
        "B0104B0TX12S0100KS1800604B120F9292800000BB68BE8680A400D9191AD4ECE45B6E6C0D21C4738A52190E248719E24B433627",
    )
    .expect("authentic");
    let ksi = Optional {
        id: *b"KS",
        data: "00604B120F9292800000".to_owned(),
    };
    assert_eq!(opened.attributes.optional, [ksi]);
    assert_eq!(&opened.attributes.version, b"12");
    assert_eq!(opened.attributes.exportability, b'S');
}

/// ANSI X9.143:2021, 8.4.2: a double-length 3DES key whose length is hidden by padding.
#[test]
fn length_padding() {
    let block = "B0120B0TX12S0100KS1800604B120F929280000015CEB14B76D551F21EC43A75390FA118A98C6CB049E3B9E864A5F4A8B9A5108A6DB5635C95B042D7";
    let opened = unwrap(&hex!("1D22BF32387C600AD97F9B97A51311AC"), block).expect("authentic");
    assert_eq!(opened.key[..], hex!("E8BC63E5479455E26577F715D587FE68"));
    // More than would hide the longest key.
    let keys = Protection::new(b'D', &[7; 16]).expect("AES");
    let mut clear = vec![0; 96];
    clear[1] = 128;
    let header = "D0240P0AE00E0000";
    let mac = keys.authentication.mac(&[header.as_bytes(), &clear]);
    keys.encryption.cbc_encrypt(&mac, &mut clear);
    let long = format!(
        "{header}{}{}",
        hex::encode_upper(clear),
        hex::encode_upper(mac)
    );
    assert!(matches!(unwrap(&[7; 16], &long), Err(Malformed(why)) if why.contains("padding")));
}

/// Check values of the standard's examples: of the key of A.7.4 and of the protection key of
/// X9.143:2021, 8.5 (CMAC), of the key of 8.4.2 (3DES, zeros).
#[test]
fn check_values_in_a_header_are_checked() {
    let key = hex!("3f419e1cb7079442aa37474c2efbf8b8");
    let kbpk = hex!("FA36E44278DB3AB5F298F9F7DA8F1F88");
    let block = |optional: &[(&[u8; 2], &str)], algorithm, key: &[u8]| {
        let mut given = attributes(*b"P0", b'E', b'E');
        given.algorithm = algorithm;
        let optional = optional.iter().map(|(id, data)| Optional {
            id: **id,
            data: (*data).to_owned(),
        });
        given.optional = optional.collect();
        let block = wrap(&kbpk, &given, key, &[0; 16]).expect("wraps");
        unwrap(&kbpk, &block).map(|_| ())
    };
    let tdes = hex!("E8BC63E5479455E26577F715D587FE68");
    assert_eq!(
        block(
            &[(b"KC", "0108793E25AB"), (b"KP", "01D77F007724")],
            b'A',
            &key
        ),
        Ok(())
    );
    assert_eq!(block(&[(b"KC", "009A4212")], b'T', &tdes), Ok(()));
    for (id, data, name) in [
        (b"KC", "0108793E25AC", "KC"),
        (b"KC", "0208793E25AB", "KC"),
        (b"KC", "0108", "KC"),
        (b"KC", "01", "KC"),
        (b"KC", "x", "KC"),
        (b"KP", "01D77F007725", "KP"),
        (b"KP", "00D77F0077", "KP"),
    ] {
        let refused = block(&[(id, data)], b'A', &key);
        assert_eq!(refused, Err(KeyBlockError::CheckValue(name)), "{data}");
    }
    // Of a private algorithm nothing can be checked here.
    assert!(block(&[(b"KC", "0108793E25AB")], b'4', &key).is_err());
}

#[test]
fn what_is_refused_is_told_apart() {
    let refused = |protection: &[u8], block: &str| match unwrap(protection, block) {
        Err(error) => error,
        Ok(_) => panic!("opened {block}"),
    };
    assert_eq!(
        refused(
            &[0; 16],
            "A0072P0TE00E0000F5161ED902807AF26F1D62263644BD24192FDB3193C730301CEE8701"
        ),
        KeyBlockError::Version('A')
    );
    assert!(matches!(
        refused(&[0; 8], D_BLOCK),
        KeyBlockError::ProtectionKey { .. }
    ));
    assert_eq!(refused(&[0; 32], D_BLOCK), KeyBlockError::NotAuthentic);
    // Header fields are under the MAC: usage, mode, version, exportability.
    for at in [5, 8, 9, 11] {
        let mut changed = D_BLOCK.as_bytes().to_vec();
        changed[at] = if changed[at] == b'B' { b'X' } else { b'B' };
        let changed = String::from_utf8(changed).expect("ASCII");
        assert_eq!(
            refused(&D_KEY, &changed),
            KeyBlockError::NotAuthentic,
            "{at}"
        );
    }
    // psec, test_kb_unwrap_exceptions: authentic blocks of keys of 0 bits and of 128 bits in 64.
    for block in [
        "B0064M3TC00E000013F1B06566ECAE897A6DF8C7AA651FCEF9480447EEEC9933",
        "B0064M3TC00E00000398DC96A5DDB0EF61E26F8935173BD478DF9484050A672A",
    ] {
        assert!(
            matches!(refused(&[b'E'; 16], block), Malformed(_)),
            "{block}"
        );
    }
    // psec, test_header_block_load_exceptions: optional blocks that are cut or state wrong lengths.
    for tail in [
        "",
        "K",
        "KS",
        "KS1",
        "KS1Y",
        "KS02",
        "KS071",
        "KS00",
        "KS001",
        "KS0000",
        "KS0001",
        "KS000101",
        "KS0001FF",
        "**04",
        "KS05\u{3}",
    ] {
        let block = format!("B{:04}P0TE00N0100{tail}", 16 + tail.len());
        assert!(
            matches!(refused(&[b'E'; 16], &block), Malformed(_)),
            "{tail}"
        );
    }
}

/// psec, test_header_load_optional_256 and _extended_length.
#[test]
fn long_optional_blocks() {
    for (text, data) in [
        (
            format!("KS0002010A{}PB0600", "P".repeat(256)),
            "P".repeat(256),
        ),
        (
            "KS00011600604B120F9292PB0A000000".to_owned(),
            "00604B120F9292".to_owned(),
        ),
    ] {
        let block = format!("B{:04}P0TE00N0200{text}", 16 + text.len());
        let read = peek(&block).expect("header");
        assert_eq!(read.optional, [Optional { id: *b"KS", data }]);
    }
}

proptest! {
    #[test]
    fn what_is_wrapped_comes_back(
        protection in prop_oneof![
            proptest::collection::vec(any::<u8>(), 16),
            proptest::collection::vec(any::<u8>(), 24),
            proptest::collection::vec(any::<u8>(), 32)],
        key in proptest::collection::vec(any::<u8>(), 1..=KEY_MAX),
        data in "[ -~]{0,40}", random: [u8; 16], at: prop::sample::Index, bit in 0u8..7,
    ) {
        let mut given = attributes(*b"41", b'X', b'E');
        given.optional = vec![Optional { id: *b"10", data }];
        let block = wrap(&protection, &given, &key, &random).expect("bounded");
        let opened = unwrap(&protection, &block).expect("authentic");
        prop_assert_eq!(&*opened.key, &key);
        prop_assert_eq!(opened.attributes, given);
        // No character may change, but for the case of a hex digit, which is no change.
        let mut changed = block.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] ^= 1 << bit;
        let changed = String::from_utf8(changed).expect("7 bits");
        if !changed.eq_ignore_ascii_case(&block) {
            prop_assert!(unwrap(&protection, &changed).is_err());
        }
    }

    #[test]
    fn foreign_text_never_panics(text in ".{0,200}", head in "[BD]00[0-9]{2}[ -~]{11,90}") {
        for text in [&text, &head] {
            let _ = peek(text);
            prop_assert!(unwrap(&[7; 16], text).is_err());
        }
        let framed = format!("D{:04}{}", (head.len()) % 10_000, head.get(5..).unwrap_or_default());
        prop_assert!(unwrap(&[7; 32], &framed).is_err());
    }
}
