//! The white part: what is keyed in, and a list.

use egui::{Align2, Rect, Stroke, StrokeKind, pos2};
use terminal::machine::{Face, Field, Row};

use super::{Language, MARGIN, inside, part};
use crate::{style, write::Pen};

/// Height of a field with its name.
const FIELD: f32 = 104.0;
/// Width of the keypad that stands beside a field.
const PAD: f32 = 270.0;
/// Most rows in one column.
const COLUMN: usize = 6;

/// Draws; answers the place of the keypad where there is something to key in.
pub(super) fn show(
    pen: &mut Pen<'_>,
    face: &Face,
    language: Language,
    place: Rect,
) -> Option<Rect> {
    let (place, pad) = match &face.field {
        Some(_) => {
            let (left, right) = place.split_left_right_at_x(place.right() - PAD - MARGIN);
            (
                left,
                Some(inside(right, 0.0, MARGIN).shrink2(egui::vec2(0.0, 8.0))),
            )
        }
        None => (place, None),
    };
    let mut list = inside(place, MARGIN, MARGIN);
    if let Some(asked) = &face.field {
        let (top, rest) = list.split_top_bottom_at_y(list.top() + FIELD);
        field(pen, asked, language, top);
        list = rest;
    }
    rows(pen, &face.rows, language, list);
    pad
}

fn field(pen: &mut Pen<'_>, field: &Field, language: Language, place: Rect) {
    let (first, second) = language.order(&field.what);
    let name = part(place, 0.0, 8.0, place.width(), 28.0);
    let text = format!("{first}  {second}");
    pen.write(
        &text,
        name,
        Align2::LEFT_CENTER,
        12.0..=19.0,
        style::GREY_INK,
    );
    let line = part(place, 0.0, 38.0, place.width(), 58.0);
    pen.painter.rect(
        line,
        8.0,
        egui::Color32::WHITE,
        Stroke::new(2.0, style::ground(terminal::machine::Colour::Ready).0),
        StrokeKind::Inside,
    );
    let unit = language.order(&field.unit).0;
    let (value, end) = line.split_left_right_at_x(line.right() - 110.0);
    let value = inside(value, 16.0, 4.0);
    pen.write(
        &field.shown,
        value,
        Align2::LEFT_CENTER,
        18.0..=36.0,
        style::INK,
    );
    let end = inside(end, 0.0, 14.0);
    pen.write(
        unit,
        end,
        Align2::RIGHT_CENTER,
        11.0..=18.0,
        style::GREY_INK,
    );
}

fn rows(pen: &mut Pen<'_>, rows: &[Row], language: Language, place: Rect) {
    let columns = if rows.len() > COLUMN { 2 } else { 1 };
    let in_column = rows.len().div_ceil(columns).max(1);
    let height = (place.height() / in_column as f32).min(56.0);
    if !rows.is_empty() && height < 18.0 {
        pen.troubles
            .push(format!("{} rows are too many", rows.len()));
    }
    let gap = 28.0;
    let width = (place.width() - gap * (columns - 1) as f32) / columns as f32;
    for (n, line) in rows.iter().enumerate() {
        let (column, at) = (n / in_column, n % in_column);
        let left = column as f32 * (width + gap);
        let line_place = part(place, left, at as f32 * height, width, height);
        row(pen, line, language, line_place);
    }
}

fn row(pen: &mut Pen<'_>, row: &Row, language: Language, place: Rect) {
    let rule = Stroke::new(1.0, style::RULE);
    pen.painter.hline(place.x_range(), place.bottom(), rule);
    let (first, second) = language.order(&row.what);
    // Long values are times and amounts, long names explain a price.
    let chars =
        |text: &str| -> usize { text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum() };
    let (name, value) = (chars(first) + chars(second) + 2, chars(&row.value) + 2);
    let share = name as f32 / (name + value) as f32;
    let at = place.left() + place.width() * share.clamp(0.3, 0.75);
    let (left, right) = place.split_left_right_at_x(at);
    let right = Rect::from_min_max(pos2(right.left() + 6.0, right.top()), right.max);
    let text = match second.is_empty() || first == second {
        true => first.to_owned(),
        false => format!("{first}  {second}"),
    };
    let most = (place.height() * 0.45).clamp(14.0, 23.0);
    pen.write(&text, left, Align2::LEFT_CENTER, 10.0..=most, style::INK);
    pen.write(
        &row.value,
        right,
        Align2::RIGHT_CENTER,
        10.0..=most,
        style::INK,
    );
}
