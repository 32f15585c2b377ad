//! Pictures as PNG files with a palette: a screen has few colours, and the documentation many
//! screens.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, BufWriter},
    path::Path,
};

use crate::Picture;

/// Why a picture was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file system.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// PNG refused.
    #[error("{0}")]
    Write(#[from] png::EncodingError),
    /// Not a PNG.
    #[error("{0}")]
    Read(#[from] png::DecodingError),
    /// Another kind of PNG than the ones written here.
    #[error("not a picture with a palette of red, green and blue")]
    Kind,
}

impl Picture {
    /// Writes a PNG of at most 256 colours; rarer shades become the nearest of them.
    pub fn write(&self, path: &Path) -> Result<(), PictureError> {
        let palette = self.palette();
        let mut places = HashMap::new();
        let indices: Vec<u8> = (self.pixels.iter())
            .map(|pixel| {
                *places
                    .entry(*pixel)
                    .or_insert_with(|| nearest(&palette, *pixel))
            })
            .collect();
        let file = BufWriter::new(File::create(path)?);
        let mut encoder = png::Encoder::new(file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        encoder.set_palette(palette.concat());
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&indices)?;
        Ok(writer.finish()?)
    }

    /// Reads what [`Self::write`] wrote.
    pub fn read(path: &Path) -> Result<Self, PictureError> {
        let mut decoder = png::Decoder::new(BufReader::new(File::open(path)?));
        decoder.set_transformations(png::Transformations::IDENTITY);
        let mut reader = decoder.read_info()?;
        let palette: Vec<[u8; 3]> = match (&reader.info().palette, reader.output_color_type()) {
            (Some(colours), (png::ColorType::Indexed, png::BitDepth::Eight)) => {
                colours.as_chunks().0.to_vec()
            }
            _ => return Err(PictureError::Kind),
        };
        let mut indices = vec![0; reader.output_buffer_size().ok_or(PictureError::Kind)?];
        let info = reader.next_frame(&mut indices)?;
        let pixels = (indices.iter())
            .map(|index| palette.get(usize::from(*index)).copied())
            .collect::<Option<_>>();
        Ok(Self {
            width: info.width as usize,
            height: info.height as usize,
            pixels: pixels.ok_or(PictureError::Kind)?,
        })
    }

    /// The most frequent colours, the same for the same picture.
    fn palette(&self) -> Vec<[u8; 3]> {
        let mut counts: HashMap<[u8; 3], usize> = HashMap::new();
        for pixel in &self.pixels {
            *counts.entry(*pixel).or_default() += 1;
        }
        let mut colours: Vec<_> = counts.into_iter().collect();
        colours.sort_unstable_by_key(|(colour, count)| (std::cmp::Reverse(*count), *colour));
        colours.truncate(256);
        colours.into_iter().map(|(colour, _)| colour).collect()
    }
}

fn nearest(palette: &[[u8; 3]], pixel: [u8; 3]) -> u8 {
    let distance = |colour: &[u8; 3]| -> u32 {
        let parts = colour.iter().zip(pixel);
        parts.map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
    };
    let best = palette.iter().enumerate().min_by_key(|(_, c)| distance(c));
    best.map_or(0, |(at, _)| at as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let mut picture = Picture::new(40, 30);
        for (n, pixel) in picture.pixels.iter_mut().enumerate() {
            *pixel = [(n % 7) as u8, (n % 5) as u8, 9];
        }
        picture.write(&path).unwrap();
        assert_eq!(Picture::read(&path).unwrap(), picture);
    }

    #[test]
    fn of_too_many_colours_the_rare_ones_move_a_little() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let mut picture = Picture::new(40, 30);
        for (n, pixel) in picture.pixels.iter_mut().enumerate() {
            let green = if n < 1_024 { 0 } else { 3 };
            *pixel = [(n % 256) as u8, green, 0];
        }
        picture.write(&path).unwrap();
        let back = Picture::read(&path).unwrap();
        let far = |(a, b): (&[u8; 3], &[u8; 3])| a[0].abs_diff(b[0]).max(a[1].abs_diff(b[1]));
        let most = picture.pixels.iter().zip(&back.pixels).map(far).max();
        assert_eq!(most, Some(3));
    }
}
