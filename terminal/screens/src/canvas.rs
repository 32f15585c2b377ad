//! A screen to pixels: egui lays it out and tessellates, [`crate::raster`] draws.

use std::{path::Path, sync::Arc};

use egui::{Context, FontData, FontDefinitions, FontFamily, RawInput, pos2, vec2};
use terminal::machine::{Key, Screen};

use crate::{
    Picture,
    raster::{self, Textures},
    view::{self, HEIGHT, Language, WIDTH},
};

/// The font: WenQuanYi Micro Hei 文泉驿微米黑, Debian's `fonts-wqy-microhei`. It has every character
/// of both languages.
pub const FONT: &str = "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc";

/// The font is not there.
#[derive(Debug, thiserror::Error)]
#[error("font {FONT}: {0}; install the package fonts-wqy-microhei (`make setup` does)")]
pub struct FontError(#[from] std::io::Error);

/// Draws screens, of any size, one after the other.
pub struct Canvas {
    context: Context,
    textures: Textures,
}

/// A drawn screen.
pub struct Frame {
    /// Its pixels.
    pub picture: Picture,
    /// Keys on the screen that were touched.
    pub pressed: Vec<Key>,
    /// Texts that do not fit their place, and characters that the font lacks.
    pub troubles: Vec<String>,
}

impl Canvas {
    /// With the font of the system.
    pub fn new() -> Result<Self, FontError> {
        let data = FontData::from_owned(std::fs::read(Path::new(FONT))?);
        let mut fonts = FontDefinitions::empty();
        fonts.font_data.insert("hei".to_owned(), Arc::new(data));
        for family in [FontFamily::Proportional, FontFamily::Monospace] {
            fonts.families.insert(family, vec!["hei".to_owned()]);
        }
        let context = Context::default();
        context.set_fonts(fonts);
        Ok(Self {
            context,
            textures: Textures::default(),
        })
    }

    /// How many pixels a point has on a surface of this size: the whole screen fits in.
    pub fn scale(width: usize, height: usize) -> f32 {
        let scale = (width as f32 / WIDTH).min(height as f32 / HEIGHT);
        scale.max(0.1)
    }

    /// Draws `screen` on `width` times `height` pixels. `events` tell of touches, in points.
    pub fn draw(
        &mut self,
        screen: &Screen,
        language: Language,
        (width, height): (usize, usize),
        events: Vec<egui::Event>,
    ) -> Frame {
        let scale = Self::scale(width, height);
        let surface = vec2(width as f32, height as f32) / scale;
        let mut input = RawInput {
            screen_rect: Some(egui::Rect::from_min_size(pos2(0.0, 0.0), surface)),
            events,
            ..RawInput::default()
        };
        if let Some(viewport) = input.viewports.get_mut(&egui::ViewportId::ROOT) {
            viewport.native_pixels_per_point = Some(scale);
        }
        let (mut pressed, mut troubles) = (Vec::new(), Vec::new());
        let output = self.context.run_ui(input, |ui| {
            // egui may ask for a second pass over the same events.
            pressed.clear();
            troubles.clear();
            view::show(ui, screen, language, &mut pressed, &mut troubles);
        });
        self.textures.update(output.textures_delta);
        let primitives = self.context.tessellate(output.shapes, scale);
        let mut picture = Picture::new(width, height);
        raster::draw(&mut picture, &self.textures, &primitives, scale);
        Frame {
            picture,
            pressed,
            troubles,
        }
    }
}
