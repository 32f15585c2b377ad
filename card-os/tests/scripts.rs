//! Every script of `scripts/`, on cards in memory, in every suite it names; and the runner itself,
//! which must notice a card that answers otherwise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use card_spec::{Channel, ChannelError, SuiteId};
use std::path::Path;
use virtual_card::script::{Fault, Powered, Script, ScriptError};

const SEED: [u8; 32] = [7; 32];

fn scripts() -> Vec<Script> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    Script::all(&directory).unwrap_or_else(|error| panic!("{error}"))
}

fn run(script: &Script, suite: SuiteId) -> Result<usize, ScriptError> {
    let mut card = script.card(suite, SEED).expect("the card is made");
    let mut sam = script.sam(suite, [8; 32]).expect("the SAM is made");
    let sam = sam.as_mut().map(|sam| sam as &mut dyn Powered);
    script.run(suite, &mut card, sam).map(|ran| ran.commands)
}

#[test]
fn every_script_holds_in_every_suite() {
    let (mut runs, mut commands, mut wrong) = (0, 0, Vec::new());
    let scripts = scripts();
    for script in &scripts {
        for suite in script.suites() {
            match run(script, *suite) {
                Ok(ran) => {
                    assert_eq!(ran, script.commands(*suite).count(), "{}", script.file());
                    commands += ran;
                    runs += 1;
                }
                Err(error) => wrong.push(error.to_string()),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!(
        "scripts: {}, runs in all suites: {runs}, commands: {commands}",
        scripts.len()
    );
}

fn failure(text: &str) -> ScriptError {
    let script = Script::parse("test.apdu", text).unwrap_or_else(|error| panic!("{error}"));
    run(&script, SuiteId::Aes).expect_err("the card does not do this")
}

#[test]
fn a_wrong_answer_is_told_with_line_command_and_meaning() {
    let error = failure(
        "# Test\nlet aid = A000000632010105\n\n> 00 A4 04 00 [{aid}] 00 # select\n< 6F 34 * 9000\n\
         > 80 5C 00 02 04\n< 00 00 27 11 9000\n",
    );
    assert_eq!(
        error.to_string(),
        "test.apdu:7 (aes): the card answered otherwise\n  sent     80 5C 00 02 04\n  \
         expected 00 00 27 11 9000\n  got      00 00 27 10 9000 (success)"
    );
    assert_eq!(error.channel(), None);
}

#[test]
fn every_part_of_an_expectation_is_compared() {
    let select = "# Test\n> 00 A4 04 00 [A000000632010105] 00\n< fci:* 9000\n";
    for wrong in [
        "> 80 5C 00 02 04\n< 9000",                           // data left over
        "> 80 5C 00 02 04\n< balance:5 9000",                 // data too short
        "> 80 5C 00 02 04\n< ?1 * 9000",                      // nibble
        "> 80 5C 00 02 04\n< * 9001|6???",                    // status word
        "> 80 5C 00 02 04\n< b:4 9000\ncheck {b} = 00002711", // check
        "> 80 5C 00 02 04\n< 00000000 9000",                  // bytes
    ] {
        failure(&format!("{select}{wrong}\n"));
    }
    for right in [
        "> 80 5C 00 02 04\n< 00 b:3 9000\ncheck {b[1..3]} = add(2711, FFFF)",
        "> 80 5C 00 02 04\n< ?0 ?? 2? 10 9000|6A82",
        "> 80 5C 00 02 04\n< * 90??",
        "> 80 5C 00 02 04\nsm4 tdes: < 6D00\naes: < 00*2 2710 9000",
    ] {
        let script = Script::parse("test.apdu", &format!("{select}{right}\n"));
        let script = script.unwrap_or_else(|error| panic!("{error}"));
        run(&script, SuiteId::Aes).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn what_is_not_the_language_is_refused_with_its_line() {
    for (text, line) in [
        ("80 5C\n", 1),
        ("# Test\nhello\n", 2),
        ("# Test\n> 80 5C 00 02 4\n< 9000\n", 2),
        ("# Test\n> 80 5C 00 02 04\n", 2),
        ("# Test\n> 80 5C 00 02 04\n> 80 5C 00 02 04\n< * 9000\n", 2),
        ("# Test\n> 80 5C 00 02 04\naes: < * 9000\n", 2),
        ("# Test\n< 9000\n", 2),
        ("# Test\n> 80 5C\n< * 01 9000\n", 3),
        ("# Test\n> 80 5C\n< 01 02\n", 3),
        ("# Test\nsam\n", 2),
        ("# Test\nreset\nwith sam transit\n", 3),
        ("# Test\nwith suites rot13\n", 2),
        ("# Test\nlet Big = 00\n", 2),
        ("# Test\nlet a = DPX:01\n", 2),
        ("# Test\nlet a = tac(DTK:01, 00\n", 2),
        ("# Test\nlet a = 00\n\n  zz # goes on\n", 2),
    ] {
        let error = Script::parse("test.apdu", text).expect_err(text);
        assert_eq!(error.line, line, "{text}: {error}");
    }
    for text in [
        "# Test\nlet a = {nothing}\n",
        "# Test\nlet a = {pan[8..12]}\n",
        "# Test\nlet a = frobnicate(00)\n",
        "# Test\nlet a = tac(00, 00)\n",
        "# Test\nlet a = [00*256]\n",
    ] {
        assert!(matches!(failure(text).fault, Fault::Value(_)), "{text}");
    }
}

/// A card that is taken out in front of the n-th command.
struct Removed<C>(C, usize);

impl<C: Channel> Channel for Removed<C> {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        self.1 = self.1.checked_sub(1).ok_or(ChannelError::CardRemoved)?;
        self.0.transmit(command, response)
    }
    fn atr(&self) -> &[u8] {
        self.0.atr()
    }
}

impl<C: Powered> Powered for Removed<C> {
    fn reset(&mut self) -> Result<(), ChannelError> {
        self.0.reset()
    }
    fn contactless(&mut self, on: bool) -> Result<(), ChannelError> {
        self.0.contactless(on)
    }
}

#[test]
fn a_removed_card_is_no_wrong_answer() {
    let text = "# Test\n> 00 A4 04 00 00\n< * 9000\nscp03 33 30\n>> 80 CA 00 E0\n< * 9000\n";
    let script = Script::parse("test.apdu", text).expect("a script");
    for after in 0..5 {
        let card = script.card(SuiteId::Aes, SEED).expect("the card is made");
        let error = script.run(SuiteId::Aes, &mut Removed(card, after), None);
        let error = error.expect_err("the card is gone");
        assert_eq!(error.channel(), Some(ChannelError::CardRemoved), "{after}");
    }
    let card = script.card(SuiteId::Aes, SEED).expect("the card is made");
    script
        .run(SuiteId::Aes, &mut Removed(card, 5), None)
        .expect("five commands are all it sends");
}
