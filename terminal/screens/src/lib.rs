//! Screens of the devices 终端屏幕: what [`terminal::machine::Screen`] says, drawn.
//!
//! | file | |
//! |---|---|
//! | `view.rs` | a screen laid out in egui: status, banner, list, keys |
//! | `style.rs` | colours, symbols, sizes |
//! | `write.rs` | text that fits its place, or is reported |
//! | `canvas.rs`, `raster.rs` | egui's frame to pixels, without a graphics card |
//! | `picture.rs` | pixels to PNG and back |
//! | `tone.rs` | the sounds |
//! | `window.rs` | a window on X11, its keys and its device |
#![allow(
    clippy::float_arithmetic,
    reason = "places and colours on a screen; no money is computed here"
)]

mod canvas;
mod picture;
mod raster;
mod style;
pub mod tone;
mod view;
pub mod window;
mod write;

pub use canvas::{Canvas, FONT, FontError, Frame};
pub use picture::PictureError;
pub use raster::Picture;
pub use style::contrast;
pub use view::{HEIGHT, Language, WIDTH};
