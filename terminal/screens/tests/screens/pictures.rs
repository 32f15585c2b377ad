//! `docs/screens` shows what the devices show.

use std::collections::BTreeSet;

use terminal_screens::{Canvas, Language, Picture};

use crate::{gallery, root};

/// How far a channel may be off: the palette, and processors that round differently.
const SHADE: u8 = 40;
/// Pixels in a thousand that may be off by more.
const PIXELS: usize = 1;

#[test]
fn every_state_looks_as_its_picture() {
    let folder = root().join("docs/screens");
    let mut canvas = Canvas::new().unwrap();
    let (mut drawn, mut changed) = (BTreeSet::new(), Vec::new());
    for (name, screen) in gallery() {
        for language in Language::ALL {
            let file = format!("{name}.{}.png", language.code());
            let frame = canvas.draw(&screen, language, (800, 480), Vec::new());
            let is_same = Picture::read(&folder.join(&file))
                .is_ok_and(|kept| are_alike(&kept, &frame.picture));
            if !is_same {
                changed.push(file.clone());
            }
            assert!(drawn.insert(file), "two states are called {name}");
        }
    }
    let kept: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.ends_with(".png"))
        .collect();
    let without_state: Vec<_> = kept.difference(&drawn).collect();
    assert!(
        changed.is_empty() && without_state.is_empty(),
        "changed or missing: {changed:?}; without a state: {without_state:?}. \
         Look at them and run `make screens`"
    );
}

fn are_alike(a: &Picture, b: &Picture) -> bool {
    let far = |(a, b): (&[u8; 3], &[u8; 3])| a.iter().zip(b).any(|(a, b)| a.abs_diff(*b) > SHADE);
    let off = a
        .pixels
        .iter()
        .zip(&b.pixels)
        .filter(|pair| far(*pair))
        .count();
    (a.width, a.height) == (b.width, b.height) && off * 1_000 <= a.pixels.len() * PIXELS
}

/// The comparison can fail: one digit more or less is seen.
#[test]
fn a_changed_digit_is_another_picture() {
    let mut canvas = Canvas::new().unwrap();
    let (_, mut screen) = gallery()
        .into_iter()
        .find(|(name, _)| *name == "bus-paid")
        .unwrap();
    let mut draw = |screen: &_| canvas.draw(screen, Language::Chinese, (800, 480), Vec::new());
    let before = draw(&screen).picture;
    assert!(are_alike(&before, &draw(&screen).picture));
    screen.face.amount = Some(terminal::machine::Amount::Paid(card_spec::Fen(201)));
    assert!(!are_alike(&before, &draw(&screen).picture));
}
