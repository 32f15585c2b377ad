//! Keys on the screen.

use egui::{Event, Modifiers, PointerButton, Pos2, pos2};
use terminal::machine::{Digit, Key, Screen};
use terminal_screens::{Canvas, Language};

use crate::gallery;

fn state(wanted: &str) -> Screen {
    let found = gallery().into_iter().find(|(name, _)| *name == wanted);
    found.unwrap().1
}

/// Touches a place, as a window tells it: once down, once up.
fn touch(screen: &Screen, at: Pos2) -> Vec<Key> {
    let mut canvas = Canvas::new().unwrap();
    let mut draw = |events| {
        let frame = canvas.draw(screen, Language::Chinese, (1_600, 960), events);
        frame.pressed
    };
    let button = |pressed| Event::PointerButton {
        pos: at,
        button: PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    };
    assert_eq!(draw(vec![]), []);
    assert_eq!(draw(vec![Event::PointerMoved(at), button(true)]), []);
    draw(vec![button(false)])
}

#[test]
fn keys_of_the_screen_are_touched() {
    let menu = state("pos-menu");
    assert_eq!(touch(&menu, pos2(60.0, 440.0)), [Key::Soft(0)]);
    assert_eq!(touch(&menu, pos2(740.0, 440.0)), [Key::Soft(4)]);
    assert_eq!(touch(&menu, pos2(400.0, 200.0)), []);
}

#[test]
fn a_pin_is_keyed_in_on_the_screen() {
    let pin = state("kiosk-pin");
    let digit = |value| Key::Digit(Digit::new(value).unwrap());
    assert_eq!(touch(&pin, pos2(545.0, 190.0)), [digit(1)]);
    assert_eq!(touch(&pin, pos2(640.0, 360.0)), [digit(0)]);
    assert_eq!(touch(&pin, pos2(735.0, 360.0)), [Key::Enter]);
    assert_eq!(touch(&pin, pos2(545.0, 360.0)), [Key::Delete]);
    assert_eq!(touch(&pin, pos2(640.0, 450.0)), [Key::Cancel]);
}

/// A key that cannot be pressed now says nothing.
#[test]
fn a_key_that_is_switched_off_is_deaf() {
    let mut menu = state("pos-menu");
    menu.face.keys[0].enabled = false;
    assert_eq!(touch(&menu, pos2(60.0, 440.0)), []);
}
