//! The line on top: what the device is, its mode, who works there, network, time.

use egui::{Align2, Color32, FontId, Rect, pos2, vec2};
use terminal::machine::{Mode, Status};

use super::{Language, MARGIN, part};
use crate::{style, write::Pen};

pub(super) fn show(pen: &mut Pen<'_>, status: &Status, language: Language, place: Rect) {
    let (first, second) = language.order(&status.place);
    let left = part(place, MARGIN, 0.0, 330.0, place.height());
    pen.write(
        &format!("{first}  {second}"),
        left,
        Align2::LEFT_CENTER,
        13.0..=19.0,
        Color32::WHITE,
    );
    // From the right: time, network, operator, mode.
    let mut right = place.right() - MARGIN;
    let time = status.at.to_string();
    let clock = time.get(11..16).unwrap_or(&time);
    right = word(pen, clock, place, right, 22.0, Color32::WHITE);
    let dot = match status.online {
        Some(true) => style::ONLINE,
        Some(false) => style::GOLD,
        None => style::STATUS_DIM,
    };
    let is_offline = status.online == Some(false);
    if is_offline || status.waiting > 0 {
        let (zh, en) = match is_offline {
            true => (
                format!("离线 待传 {}", status.waiting),
                format!("offline, {} waiting", status.waiting),
            ),
            false => (
                format!("待传 {}", status.waiting),
                format!("{} waiting", status.waiting),
            ),
        };
        right = word(pen, language.pick(&zh, &en).0, place, right, 16.0, dot);
    }
    pen.painter
        .circle_filled(pos2(right - 6.0, place.center().y), 6.0, dot);
    right -= 26.0;
    if let Some(operator) = &status.operator {
        let (zh, en) = (format!("工号 {operator}"), format!("operator {operator}"));
        let ink = style::STATUS_DIM;
        right = word(pen, language.pick(&zh, &en).0, place, right, 16.0, ink);
    }
    if let Some((zh, en)) = mode(status.mode) {
        let (first, _) = language.pick(zh, en);
        let font = FontId::proportional(15.0);
        let ink = style::INK;
        let galley = pen.painter.layout_no_wrap(first.to_owned(), font, ink);
        let size = galley.size() + vec2(16.0, 6.0);
        let chip = Rect::from_min_size(pos2(right - size.x, place.center().y - size.y / 2.0), size);
        pen.painter.rect_filled(chip, 5.0, style::GOLD);
        pen.painter.galley(chip.min + vec2(8.0, 3.0), galley, ink);
        right -= size.x + 18.0;
    }
    if right < left.right() {
        pen.troubles.push("the status line is too long".to_owned());
    }
}

/// Writes to the left of `right`; answers where the next word ends.
fn word(pen: &Pen<'_>, text: &str, place: Rect, right: f32, size: f32, ink: Color32) -> f32 {
    let at = pos2(right, place.center().y);
    let font = FontId::proportional(size);
    let drawn = pen.painter.text(at, Align2::RIGHT_CENTER, text, font, ink);
    drawn.left() - 14.0
}

const fn mode(mode: Mode) -> Option<(&'static str, &'static str)> {
    match mode {
        Mode::Normal => None,
        Mode::Closed => Some(("停用", "closed")),
        Mode::Degraded => Some(("降级", "degraded")),
        Mode::TrainFailure => Some(("列车故障", "train failure")),
        Mode::EmergencyRelease => Some(("紧急放行", "emergency")),
        Mode::Test => Some(("测试", "test")),
    }
}
