//! Colours, symbols and sizes.

use egui::{Color32, Painter, Pos2, Shape, Stroke, Vec2, pos2, vec2};
use terminal::machine::Colour;

/// Ink on light grounds.
pub(crate) const INK: Color32 = Color32::from_rgb(0x14, 0x1B, 0x24);
/// Quieter ink.
pub(crate) const GREY_INK: Color32 = Color32::from_rgb(0x4A, 0x55, 0x63);
/// Sheets on which lists and fields stand.
pub(crate) const PAPER: Color32 = Color32::from_rgb(0xF7, 0xF8, 0xFA);
/// Lines on paper.
pub(crate) const RULE: Color32 = Color32::from_rgb(0xD5, 0xDA, 0xE1);
/// The status line.
pub(crate) const STATUS: Color32 = Color32::from_rgb(0x14, 0x1B, 0x24);
/// Quieter text on the status line.
pub(crate) const STATUS_DIM: Color32 = Color32::from_rgb(0xA9, 0xB4, 0xC2);
/// The band of a concession, and warnings on the status line.
pub(crate) const GOLD: Color32 = Color32::from_rgb(0xFF, 0xC7, 0x2C);
/// A good sign on the status line.
pub(crate) const ONLINE: Color32 = Color32::from_rgb(0x4A, 0xD0, 0x7D);

/// What fills the screen, and what is written on it.
pub(crate) const fn ground(colour: Colour) -> (Color32, Color32) {
    match colour {
        Colour::Ready => (Color32::from_rgb(0x0B, 0x4F, 0x9C), Color32::WHITE),
        Colour::Busy => (Color32::from_rgb(0xE9, 0xEE, 0xF5), INK),
        Colour::Go | Colour::GoConcession => (Color32::from_rgb(0x0B, 0x73, 0x3A), Color32::WHITE),
        Colour::Again => (Color32::from_rgb(0xFF, 0xC7, 0x2C), INK),
        Colour::Stop => (Color32::from_rgb(0xB4, 0x1E, 0x1E), Color32::WHITE),
        Colour::Out => (Color32::from_rgb(0x4B, 0x54, 0x60), Color32::WHITE),
    }
}

/// Contrast of ground and ink as WCAG 2.2 computes it (1 to 21).
pub fn contrast(colour: Colour) -> f32 {
    let (ground, ink) = ground(colour);
    let (a, b) = (luminance(ground), luminance(ink));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(colour: Color32) -> f32 {
    let linear = |channel: u8| {
        let c = f32::from(channel) / 255.0;
        match c <= 0.04045 {
            true => c / 12.92,
            false => ((c + 0.055) / 1.055).powf(2.4),
        }
    };
    let [r, g, b, _] = colour.to_array();
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

/// The sign beside the headline: each colour has its own, for who cannot tell the colours apart.
pub(crate) fn symbol(painter: &Painter, colour: Colour, centre: Pos2, size: f32, ink: Color32) {
    let at = |x: f32, y: f32| centre + vec2(x, y) * size;
    let stroke = Stroke::new(size * 0.16, ink);
    let thin = Stroke::new(size * 0.09, ink);
    let path = |points: Vec<Pos2>| {
        // Round ends.
        for end in [points.first(), points.last()].into_iter().flatten() {
            painter.circle_filled(*end, stroke.width / 2.0, ink);
        }
        painter.add(Shape::line(points, stroke));
    };
    match colour {
        Colour::Ready => {
            let card = egui::Rect::from_center_size(at(-0.18, 0.22), vec2(1.0, 0.66) * size);
            painter.rect_stroke(card, size * 0.09, thin, egui::StrokeKind::Inside);
            let stripe = egui::Rect::from_min_size(
                card.min + vec2(0.12, 0.14) * size,
                vec2(0.2, 0.15) * size,
            );
            painter.rect_filled(stripe, size * 0.03, ink);
            for ring in [0.34, 0.56, 0.78] {
                painter.add(Shape::line(
                    arc(at(0.2, -0.12), ring * size, -80.0, -10.0),
                    thin,
                ));
            }
        }
        Colour::Busy => {
            painter.add(Shape::line(arc(centre, size * 0.66, -90.0, 150.0), stroke));
            painter.circle_filled(centre, size * 0.16, ink);
        }
        Colour::Go => path(vec![at(-0.55, 0.05), at(-0.15, 0.45), at(0.6, -0.45)]),
        Colour::GoConcession => {
            path(vec![at(-0.55, -0.05), at(-0.15, 0.35), at(0.6, -0.55)]);
            painter.rect_filled(
                egui::Rect::from_center_size(at(0.0, 0.72), vec2(1.1, 0.16) * size),
                size * 0.08,
                GOLD,
            );
        }
        Colour::Again => {
            painter.add(Shape::line(arc(centre, size * 0.58, -40.0, 260.0), stroke));
            let tip = centre + turned(size * 0.58, -40.0);
            let points = vec![
                tip + vec2(-0.34, -0.1) * size,
                tip + vec2(0.2, -0.26) * size,
                tip + vec2(0.14, 0.3) * size,
            ];
            painter.add(Shape::convex_polygon(points, ink, Stroke::NONE));
        }
        Colour::Stop => {
            path(vec![at(-0.45, -0.45), at(0.45, 0.45)]);
            path(vec![at(-0.45, 0.45), at(0.45, -0.45)]);
        }
        Colour::Out => {
            painter.circle_stroke(centre, size * 0.62, stroke);
            path(vec![at(-0.32, 0.0), at(0.32, 0.0)]);
        }
    }
}

fn turned(radius: f32, degrees: f32) -> Vec2 {
    let angle = degrees.to_radians();
    vec2(angle.cos(), angle.sin()) * radius
}

fn arc(centre: Pos2, radius: f32, from: f32, to: f32) -> Vec<Pos2> {
    const PARTS: u8 = 40;
    (0..=PARTS)
        .map(|n| centre + turned(radius, from + (to - from) * f32::from(n) / f32::from(PARTS)))
        .map(|at| pos2(at.x, at.y))
        .collect()
}
