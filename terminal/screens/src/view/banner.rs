//! The coloured part: sign, headline, what to do next, money, code.

use egui::{Align2, Color32, FontId, Rect, pos2, vec2};
use terminal::machine::{Amount, Colour, Face};

use super::{Language, MARGIN, inside, part};
use crate::{style, write::Pen};

/// Width of the money.
const MONEY: f32 = 250.0;

/// Filling the screen.
pub(super) fn high(pen: &mut Pen<'_>, face: &Face, language: Language, place: Rect) {
    let (_, ink) = style::ground(face.colour);
    band(pen, face, place);
    let middle = place.center().y;
    let centre = pos2(place.left() + 104.0, middle - 16.0);
    style::symbol(pen.painter, face.colour, centre, 62.0, ink);
    let right = match has_right(face) {
        true => MONEY + MARGIN + 12.0,
        false => MARGIN,
    };
    let column = inside(place, 196.0, right);
    let row = |top: f32, height: f32| {
        Rect::from_min_size(
            pos2(column.left(), middle + top),
            vec2(column.width(), height),
        )
    };
    let left = Align2::LEFT_CENTER;
    let (first, second) = language.order(&face.headline);
    pen.write(
        first,
        row(-128.0, 84.0),
        Align2::LEFT_BOTTOM,
        26.0..=58.0,
        ink,
    );
    pen.write(second, row(-42.0, 36.0), left, 13.0..=26.0, ink);
    let (first, second) = language.order(&face.action);
    pen.write(
        first,
        row(14.0, 60.0),
        Align2::LEFT_BOTTOM,
        17.0..=34.0,
        ink,
    );
    pen.write(second, row(76.0, 30.0), left, 12.0..=20.0, ink);
    if has_right(face) {
        let money = Rect::from_min_max(
            pos2(place.right() - MARGIN - MONEY, middle - 112.0),
            pos2(place.right() - MARGIN, middle + 108.0),
        );
        right_column(pen, face, language, money, ink);
    }
    code(pen, face, place, ink);
}

/// Over a sheet.
pub(super) fn low(pen: &mut Pen<'_>, face: &Face, language: Language, place: Rect) {
    let (_, ink) = style::ground(face.colour);
    band(pen, face, place);
    let centre = pos2(place.left() + 64.0, place.center().y);
    style::symbol(pen.painter, face.colour, centre, 34.0, ink);
    let right = match has_right(face) {
        true => MONEY + MARGIN + 12.0,
        false => MARGIN,
    };
    let column = inside(place, 120.0, right);
    let row = |top: f32, height: f32| part(column, 0.0, top, column.width(), height);
    let left = Align2::LEFT_CENTER;
    let (first, second) = language.order(&face.headline);
    pen.write(first, row(8.0, 44.0), left, 20.0..=34.0, ink);
    pen.write(second, row(50.0, 24.0), left, 12.0..=18.0, ink);
    let (first, second) = language.order(&face.action);
    let action = format!("{first}  {second}");
    pen.write(&action, row(78.0, 38.0), left, 12.0..=19.0, ink);
    if has_right(face) {
        let money = part(place, place.width() - MARGIN - MONEY, 6.0, MONEY, 110.0);
        right_column(pen, face, language, money, ink);
    }
    code(pen, face, place, ink);
}

const fn has_right(face: &Face) -> bool {
    face.amount.is_some() || face.balance.is_some() || face.countdown.is_some()
}

/// A concession is seen from the side too.
fn band(pen: &Pen<'_>, face: &Face, place: Rect) {
    if face.colour == Colour::GoConcession {
        let band = part(place, 0.0, 0.0, 14.0, place.height());
        pen.painter.rect_filled(band, 0.0, style::GOLD);
    }
}

fn right_column(pen: &mut Pen<'_>, face: &Face, language: Language, place: Rect, ink: Color32) {
    if let (Some(seconds), None) = (face.countdown, face.amount) {
        return countdown(pen, seconds, place, ink);
    }
    let is_low = place.height() < 150.0;
    let (caption, number, balance) = match is_low {
        true => (20.0, 50.0, 30.0),
        false => (30.0, 96.0, 44.0),
    };
    let mut top = (place.height() - caption - number - balance) / 2.0;
    let mut row = |height: f32| {
        let row = part(place, 0.0, top, place.width(), height);
        top += height;
        row
    };
    if let Some(amount) = face.amount {
        let (zh, en, fen) = match amount {
            Amount::Due(fen) => ("应付", "To pay", fen),
            Amount::Paid(fen) => ("实付", "Paid", fen),
            Amount::Loaded(fen) => ("充值", "Loaded", fen),
        };
        let (first, second) = language.pick(zh, en);
        let text = format!("{first}  {second}");
        pen.write(&text, row(caption), Align2::RIGHT_CENTER, 13.0..=20.0, ink);
        let text = format!("¥{fen}");
        pen.write(&text, row(number), Align2::RIGHT_CENTER, 24.0..=76.0, ink);
    }
    if let Some(fen) = face.balance {
        let (first, second) = language.pick("余额", "Balance");
        let text = format!("{first} {second}  ¥{fen}");
        pen.write(&text, row(balance), Align2::RIGHT_CENTER, 13.0..=22.0, ink);
    }
}

/// Seconds left, in a ring.
fn countdown(pen: &mut Pen<'_>, seconds: u32, place: Rect, ink: Color32) {
    let radius = (place.height() / 2.0 - 6.0).min(78.0);
    let centre = pos2(place.right() - radius - 6.0, place.center().y);
    let stroke = egui::Stroke::new(radius / 9.0, ink);
    pen.painter.circle_stroke(centre, radius, stroke);
    let inner = Rect::from_center_size(centre, vec2(radius, radius) * 1.4);
    let text = seconds.to_string();
    pen.write(&text, inner, Align2::CENTER_CENTER, 20.0..=72.0, ink);
}

/// The number that staff look up.
fn code(pen: &Pen<'_>, face: &Face, place: Rect, ink: Color32) {
    let Some(code) = face.code else { return };
    let at = match super::has_sheet(face) {
        true => pos2(place.left() + 64.0, place.bottom() - 4.0),
        false => pos2(place.right() - MARGIN, place.bottom() - 12.0),
    };
    let align = match super::has_sheet(face) {
        true => Align2::CENTER_BOTTOM,
        false => Align2::RIGHT_BOTTOM,
    };
    let text = match super::has_sheet(face) {
        true => code.number().to_string(),
        false => format!("代码 code {}", code.number()),
    };
    let font = FontId::proportional(17.0);
    pen.painter.text(at, align, text, font, ink);
}
