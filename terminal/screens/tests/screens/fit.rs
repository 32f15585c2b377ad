//! No text is cut off, in either language, at any size of the window; colours can be told apart.

use card_spec::Fen;
use terminal::{
    code::Code,
    machine::{Amount, Colour, Face, Row, Screen},
};
use terminal_screens::{Canvas, Language, contrast};

use crate::gallery;

const COLOURS: [Colour; 7] = [
    Colour::Ready,
    Colour::Busy,
    Colour::Go,
    Colour::GoConcession,
    Colour::Again,
    Colour::Stop,
    Colour::Out,
];

fn troubles(screens: &[(String, Screen)]) -> Vec<String> {
    let mut canvas = Canvas::new().unwrap();
    let mut all = Vec::new();
    for (name, screen) in screens {
        for language in Language::ALL {
            let frame = canvas.draw(screen, language, (800, 480), Vec::new());
            let of_screen = frame.troubles.into_iter();
            all.extend(of_screen.map(|t| format!("{name}.{}: {t}", language.code())));
        }
    }
    all
}

#[test]
fn every_state_fits() {
    let screens: Vec<_> = (gallery().into_iter())
        .map(|(name, screen)| (name.to_owned(), screen))
        .collect();
    assert_eq!(troubles(&screens), Vec::<String>::new());
}

/// Every code, alone and with the largest money and a list.
#[test]
fn every_code_fits_with_the_largest_money() {
    let (_, sample) = gallery().swap_remove(0);
    let mut screens = Vec::new();
    for code in Code::ALL {
        let mut face = Face::of(Colour::Stop, *code);
        let screen = |face: &Face| Screen {
            face: face.clone(),
            status: sample.status.clone(),
        };
        screens.push((format!("{code:?}"), screen(&face)));
        face.amount = Some(Amount::Paid(Fen(9_999_999)));
        face.balance = Some(Fen(-9_999_999));
        screens.push((format!("{code:?} with money"), screen(&face)));
        face.rows = vec![Row::new("卡种", "Card", "老年人 elderly"); 12];
        screens.push((format!("{code:?} with a list"), screen(&face)));
    }
    assert_eq!(troubles(&screens), Vec::<String>::new());
}

/// What does not fit is told: the tests above can fail.
#[test]
fn a_text_that_is_too_long_is_told() {
    let (_, mut screen) = gallery().swap_remove(0);
    screen.face.headline.zh = "请".repeat(200);
    screen.face.headline.en = "\u{1F68C}".to_owned();
    let told = troubles(&[("long".to_owned(), screen)]);
    assert!(told.iter().any(|t| t.contains("does not fit")), "{told:?}");
    assert!(told.iter().any(|t| t.contains("lacks")), "{told:?}");
}

#[test]
fn every_size_of_window_is_drawn() {
    let mut canvas = Canvas::new().unwrap();
    let (_, screen) = gallery().swap_remove(0);
    for (width, height) in [(1, 1), (320, 240), (480, 800), (1_280, 800), (3_000, 100)] {
        let frame = canvas.draw(&screen, Language::Chinese, (width, height), Vec::new());
        assert_eq!(frame.picture.pixels.len(), width * height);
    }
}

/// WCAG 2.2 asks 4.5 of ordinary text.
#[test]
fn every_colour_is_read_easily() {
    for colour in COLOURS {
        let contrast = contrast(colour);
        assert!(contrast >= 4.5, "{colour:?}: {contrast}");
    }
}
