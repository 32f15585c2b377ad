//! A screen laid out: status line, banner, sheet with list and field, keys. Always 800 by 480
//! points; a larger or smaller surface has more or fewer pixels a point.

mod banner;
mod keys;
mod sheet;
mod status;

use egui::{Rect, Ui, pos2, vec2};
use terminal::machine::{Face, Key, Screen, Text};

use crate::{style, write::Pen};

/// Points from left to right.
pub const WIDTH: f32 = 800.0;
/// Points from top to bottom.
pub const HEIGHT: f32 = 480.0;

const STATUS: f32 = 44.0;
const KEYS: f32 = 80.0;
/// A banner over a sheet.
const LOW_BANNER: f32 = 122.0;
/// Left and right of everything.
const MARGIN: f32 = 24.0;

/// Which language stands first, and larger. The other one always stands below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// Chinese.
    #[default]
    Chinese,
    /// English.
    English,
}

impl Language {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Chinese, Self::English];

    /// `zh` or `en`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Chinese => "zh",
            Self::English => "en",
        }
    }

    fn order(self, text: &Text) -> (&str, &str) {
        match self {
            Self::Chinese => (&text.zh, &text.en),
            Self::English => (&text.en, &text.zh),
        }
    }

    /// Two words of the views themselves.
    const fn pick<'t>(self, zh: &'t str, en: &'t str) -> (&'t str, &'t str) {
        match self {
            Self::Chinese => (zh, en),
            Self::English => (en, zh),
        }
    }
}

/// Draws; adds the keys that were touched and the texts that did not fit.
pub(crate) fn show(
    ui: &mut Ui,
    screen: &Screen,
    language: Language,
    pressed: &mut Vec<Key>,
    troubles: &mut Vec<String>,
) {
    let face = &screen.face;
    let surface = ui.ctx().content_rect();
    let painter = ui.painter().with_clip_rect(surface);
    let (ground, _) = style::ground(face.colour);
    painter.rect_filled(surface, 0.0, style::STATUS);
    let whole = Rect::from_center_size(surface.center(), vec2(WIDTH, HEIGHT));
    let (top, rest) = whole.split_top_bottom_at_y(whole.top() + STATUS);
    let keys_height = if face.keys.is_empty() { 0.0 } else { KEYS };
    let (body, bottom) = rest.split_top_bottom_at_y(rest.bottom() - keys_height);
    let mut pen = Pen {
        painter: &painter,
        troubles,
    };
    status::show(&mut pen, &screen.status, language, top);
    if has_sheet(face) {
        let (banner, sheet) = body.split_top_bottom_at_y(body.top() + LOW_BANNER);
        painter.rect_filled(banner, 0.0, ground);
        painter.rect_filled(sheet, 0.0, style::PAPER);
        banner::low(&mut pen, face, language, banner);
        let pad = sheet::show(&mut pen, face, language, sheet);
        if let Some(pad) = pad {
            keys::pad(ui, &mut pen, language, pad, pressed);
        }
    } else {
        painter.rect_filled(body, 0.0, ground);
        banner::high(&mut pen, face, language, body);
    }
    keys::show(ui, &mut pen, &face.keys, language, bottom, pressed);
}

const fn has_sheet(face: &Face) -> bool {
    !face.rows.is_empty() || face.field.is_some()
}

/// A part of a rectangle, from its left upper corner.
fn part(of: Rect, x: f32, y: f32, width: f32, height: f32) -> Rect {
    Rect::from_min_size(of.min + vec2(x, y), vec2(width, height))
}

/// What is between two heights, inside the margins.
fn inside(of: Rect, left: f32, right: f32) -> Rect {
    Rect::from_min_max(
        pos2(of.left() + left, of.top()),
        pos2(of.right() - right, of.bottom()),
    )
}
