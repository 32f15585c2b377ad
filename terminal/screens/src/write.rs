//! Text that fits its place, or is reported.

use std::{ops::RangeInclusive, sync::Arc};

use egui::{Align2, Color32, FontId, Galley, Painter, Rect};

/// Writes on a painter.
pub(crate) struct Pen<'a> {
    pub(crate) painter: &'a Painter,
    pub(crate) troubles: &'a mut Vec<String>,
}

impl Pen<'_> {
    /// Writes at the largest of `sizes` at which the text fits `place`, in one line or in several.
    pub(crate) fn write(
        &mut self,
        text: &str,
        place: Rect,
        align: Align2,
        sizes: RangeInclusive<f32>,
        ink: Color32,
    ) {
        if text.is_empty() {
            return;
        }
        let font = FontId::proportional(*sizes.end());
        if !self
            .painter
            .fonts_mut(|fonts| fonts.has_glyphs(&font, text))
        {
            self.troubles
                .push(format!("the font lacks a character of `{text}`"));
        }
        let galley = self.fitted(text, place, &sizes, ink).unwrap_or_else(|| {
            let (width, height) = (place.width(), place.height());
            self.troubles
                .push(format!("`{text}` does not fit {width} by {height} points"));
            self.layout(text, *sizes.start(), ink, place.width())
        });
        // A wrapped galley is as wide as its longest row; its rows are laid out from the left.
        let at = align.anchor_size(align.pos_in_rect(&place), galley.size());
        self.painter.galley(at.min, galley, ink);
    }

    fn fitted(
        &self,
        text: &str,
        place: Rect,
        sizes: &RangeInclusive<f32>,
        ink: Color32,
    ) -> Option<Arc<Galley>> {
        let mut size = *sizes.end();
        while size >= *sizes.start() {
            for width in [f32::INFINITY, place.width()] {
                let galley = self.layout(text, size, ink, width);
                // egui breaks a word that is wider than its place; here that does not fit.
                let breaks_word = galley.rows.iter().rev().skip(1).any(|row| {
                    let ends = row.glyphs.last().map(|glyph| glyph.chr);
                    ends.is_some_and(|last| last.is_ascii_alphanumeric())
                });
                let fits = galley.size().x <= place.width() && galley.size().y <= place.height();
                if fits && !breaks_word {
                    return Some(galley);
                }
            }
            size -= 1.0;
        }
        None
    }

    fn layout(&self, text: &str, size: f32, ink: Color32, width: f32) -> Arc<Galley> {
        let font = FontId::proportional(size);
        self.painter.layout(text.to_owned(), font, ink, width)
    }
}
