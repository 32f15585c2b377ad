//! Keys on the screen: those that it names, and a keypad beside a field.

use egui::{Align2, Id, Rect, Sense, Stroke, StrokeKind, Ui, WidgetInfo, vec2};
use terminal::machine::{Digit, Key, SoftKey};

use super::{Language, MARGIN, inside, part};
use crate::{style, write::Pen};

const GAP: f32 = 12.0;

/// The keys that the screen names, along the lower edge.
pub(super) fn show(
    ui: &Ui,
    pen: &mut Pen<'_>,
    keys: &[SoftKey],
    language: Language,
    place: Rect,
    pressed: &mut Vec<Key>,
) {
    let place = inside(place, MARGIN, MARGIN).shrink2(vec2(0.0, 8.0));
    let count = keys.len().max(1) as f32;
    let width = ((place.width() - GAP * (count - 1.0)) / count).min(260.0);
    for (n, key) in keys.iter().enumerate() {
        let button = part(place, n as f32 * (width + GAP), 0.0, width, place.height());
        let (first, second) = language.order(&key.name);
        let (first, second) = match (first.is_empty(), first == second) {
            (false, false) => (first, second),
            _ => (first, ""),
        };
        let touched = touch(ui, pen, button, first, key.enabled);
        let ink = ink(key.enabled);
        let upper = part(button, 8.0, 3.0, width - 16.0, 36.0);
        let lower = part(button, 8.0, 38.0, width - 16.0, 22.0);
        pen.write(first, upper, Align2::CENTER_CENTER, 12.0..=24.0, ink);
        pen.write(second, lower, Align2::CENTER_CENTER, 10.0..=15.0, ink);
        if touched && let Ok(place) = u8::try_from(n) {
            pressed.push(Key::Soft(place));
        }
    }
}

/// Digits, delete, Enter; cancel has a wide key below.
pub(super) fn pad(
    ui: &Ui,
    pen: &mut Pen<'_>,
    language: Language,
    place: Rect,
    pressed: &mut Vec<Key>,
) {
    const GAP: f32 = 6.0;
    let digit = |value: u8| Digit::new(value).map(Key::Digit);
    let rows: [[Option<Key>; 3]; 4] = [
        [digit(1), digit(2), digit(3)],
        [digit(4), digit(5), digit(6)],
        [digit(7), digit(8), digit(9)],
        [Some(Key::Delete), digit(0), Some(Key::Enter)],
    ];
    let lines = rows.len() as f32 + 1.0;
    let height = (place.height() - GAP * (lines - 1.0)) / lines;
    let width = (place.width() - GAP * 2.0) / 3.0;
    let mut key = |key: Key, button: Rect| {
        let name = match key {
            Key::Digit(digit) => digit.character().to_string(),
            Key::Delete => language.pick("退格", "Delete").0.to_owned(),
            Key::Cancel => language.pick("取消", "Cancel").0.to_owned(),
            Key::Enter => language.pick("确认", "Enter").0.to_owned(),
            Key::Soft(_) => String::new(),
        };
        if touch(ui, pen, button, &name, true) {
            pressed.push(key);
        }
        let inner = button.shrink2(vec2(6.0, 1.0));
        pen.write(&name, inner, Align2::CENTER_CENTER, 11.0..=24.0, style::INK);
    };
    for (y, row) in rows.iter().enumerate() {
        for (x, name) in row.iter().enumerate() {
            let left = x as f32 * (width + GAP);
            let button = part(place, left, y as f32 * (height + GAP), width, height);
            if let Some(name) = name {
                key(*name, button);
            }
        }
    }
    let top = (lines - 1.0) * (height + GAP);
    key(Key::Cancel, part(place, 0.0, top, place.width(), height));
}

const fn ink(enabled: bool) -> egui::Color32 {
    if enabled {
        style::INK
    } else {
        style::STATUS_DIM
    }
}

/// A button; whether it was touched.
fn touch(ui: &Ui, pen: &Pen<'_>, place: Rect, name: &str, enabled: bool) -> bool {
    let id = Id::unique(("key", place.left() as i32, place.top() as i32));
    let response = ui.interact(place, id, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Button, enabled, name));
    let fill = match (enabled, response.is_pointer_button_down_on()) {
        (false, _) => style::GREY_INK,
        (true, true) => style::GOLD,
        (true, false) => egui::Color32::WHITE,
    };
    let edge = Stroke::new(1.5, style::RULE);
    pen.painter
        .rect(place, 10.0, fill, edge, StrokeKind::Inside);
    enabled && response.clicked()
}
