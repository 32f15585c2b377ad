//! Triangles to pixels. What egui tessellates is drawn here by the processor alone, so that a
//! device needs no graphics card and a picture in a test has the pixels of its window.

use std::collections::HashMap;

use egui::{ClippedPrimitive, Color32, ColorImage, ImageData, Rect, TextureId, epaint};

/// Steps of a pixel in which corners are placed.
const STEPS: f32 = 256.0;

/// A drawn screen, row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Opaque red, green and blue.
    pub pixels: Vec<[u8; 3]>,
}

impl Picture {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: vec![[0; 3]; width * height],
        }
    }

    /// One pixel; `None` beyond the edge.
    pub fn at(&self, x: usize, y: usize) -> Option<[u8; 3]> {
        let is_inside = x < self.width;
        is_inside
            .then(|| self.pixels.get(y * self.width + x))
            .flatten()
            .copied()
    }
}

/// The textures that egui has sent: its glyphs.
#[derive(Default)]
pub(crate) struct Textures(HashMap<TextureId, ColorImage>);

impl Textures {
    /// Takes over what a frame brought and dropped.
    pub(crate) fn update(&mut self, mut delta: epaint::textures::TexturesDelta) {
        let changes = delta.set.drain();
        let changes = changes.flat_map(|(id, all)| all.into_iter().map(move |one| (id, one)));
        for (id, change) in changes {
            let ImageData::Color(image) = change.image;
            match (change.pos, self.0.get_mut(&id)) {
                (Some([left, top]), Some(whole)) => {
                    let [width, _] = whole.size;
                    let rows = image.pixels.chunks_exact(image.size[0].max(1));
                    for (y, row) in rows.enumerate() {
                        let begin = (top + y) * width + left;
                        if let Some(place) = whole.pixels.get_mut(begin..begin + row.len()) {
                            place.copy_from_slice(row);
                        }
                    }
                }
                _ => {
                    self.0.insert(id, image.as_ref().clone());
                }
            }
        }
        for id in delta.free.drain() {
            self.0.remove(&id);
        }
    }
}

/// Draws over what the picture shows.
pub(crate) fn draw(
    picture: &mut Picture,
    textures: &Textures,
    primitives: &[ClippedPrimitive],
    pixels_per_point: f32,
) {
    for ClippedPrimitive {
        clip_rect,
        primitive,
    } in primitives
    {
        // Nothing here asks for callbacks into a graphics library.
        let epaint::Primitive::Mesh(mesh) = primitive else {
            continue;
        };
        let Some(texture) = textures.0.get(&mesh.texture_id) else {
            continue;
        };
        let clip = Clip::new(picture, *clip_rect, pixels_per_point);
        for corners in mesh.indices.chunks_exact(3) {
            let corner = |at: usize| {
                let vertex = mesh.vertices.get(*corners.get(at)? as usize)?;
                Some(Corner::new(vertex, pixels_per_point))
            };
            if let (Some(a), Some(b), Some(c)) = (corner(0), corner(1), corner(2)) {
                triangle(picture, texture, &clip, [a, b, c]);
            }
        }
    }
}

/// Pixels that may be touched.
struct Clip {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
}

impl Clip {
    fn new(picture: &Picture, rect: Rect, scale: f32) -> Self {
        let edge = |at: f32, most: usize| ((at * scale).round() as i64).clamp(0, most as i64);
        Self {
            left: edge(rect.min.x, picture.width),
            top: edge(rect.min.y, picture.height),
            right: edge(rect.max.x, picture.width),
            bottom: edge(rect.max.y, picture.height),
        }
    }
}

#[derive(Clone, Copy)]
struct Corner {
    x: i64,
    y: i64,
    u: f32,
    v: f32,
    colour: [f32; 4],
}

impl Corner {
    fn new(vertex: &epaint::Vertex, scale: f32) -> Self {
        // Far outside is far enough: the products below must not overflow.
        let place = |at: f32| (at * scale * STEPS).round().clamp(-1e9, 1e9) as i64;
        let colour = vertex.color.to_array().map(f32::from);
        Self {
            x: place(vertex.pos.x),
            y: place(vertex.pos.y),
            u: vertex.uv.x,
            v: vertex.uv.y,
            colour,
        }
    }
}

/// Twice the area of the triangle `a b p`; positive on one side of the edge `a b`.
const fn side(a: &Corner, b: &Corner, x: i64, y: i64) -> i64 {
    (b.x - a.x) * (y - a.y) - (b.y - a.y) * (x - a.x)
}

/// Of two triangles that share an edge only one draws a pixel on it.
const fn owns(a: &Corner, b: &Corner) -> i64 {
    let is_top = a.y == b.y && b.x > a.x;
    let is_left = b.y < a.y;
    if is_top || is_left { 0 } else { -1 }
}

fn triangle(picture: &mut Picture, texture: &ColorImage, clip: &Clip, corners: [Corner; 3]) {
    let [a, mut b, mut c] = corners;
    let mut area = side(&a, &b, c.x, c.y);
    if area == 0 {
        return;
    }
    if area < 0 {
        (b, c, area) = (c, b, -area);
    }
    let step = STEPS as i64;
    let low = |p: i64, q: i64, r: i64| p.min(q).min(r).div_euclid(step);
    let high = |p: i64, q: i64, r: i64| p.max(q).max(r).div_euclid(step) + 1;
    let columns = low(a.x, b.x, c.x).max(clip.left)..high(a.x, b.x, c.x).min(clip.right);
    let rows = low(a.y, b.y, c.y).max(clip.top)..high(a.y, b.y, c.y).min(clip.bottom);
    let edges = [(&b, &c), (&c, &a), (&a, &b)];
    let is_plain = a.colour == b.colour && b.colour == c.colour;
    let is_one_texel = (a.u, a.v) == (b.u, b.v) && (b.u, b.v) == (c.u, c.v);
    for y in rows {
        for x in columns.clone() {
            let (at_x, at_y) = (x * step + step / 2, y * step + step / 2);
            let [wa, wb, wc] = edges.map(|(from, to)| side(from, to, at_x, at_y));
            let [oa, ob, oc] = edges.map(|(from, to)| owns(from, to));
            if wa + oa < 0 || wb + ob < 0 || wc + oc < 0 {
                continue;
            }
            let (wa, wb, wc) = (
                wa as f32 / area as f32,
                wb as f32 / area as f32,
                wc as f32 / area as f32,
            );
            let mix = |p: f32, q: f32, r: f32| p * wa + q * wb + r * wc;
            let texel = match is_one_texel {
                true => texel(texture, a.u, a.v),
                false => texel(texture, mix(a.u, b.u, c.u), mix(a.v, b.v, c.v)),
            };
            let colour = match is_plain {
                true => a.colour,
                false => {
                    let channel = |n: usize| {
                        let of = |corner: &Corner| corner.colour.get(n).copied().unwrap_or(0.0);
                        mix(of(&a), of(&b), of(&c))
                    };
                    [channel(0), channel(1), channel(2), channel(3)]
                }
            };
            let place = y as usize * picture.width + x as usize;
            if let Some(pixel) = picture.pixels.get_mut(place) {
                blend(pixel, colour, texel);
            }
        }
    }
}

fn texel(texture: &ColorImage, u: f32, v: f32) -> Color32 {
    let [width, height] = texture.size;
    let place = |at: f32, size: usize| {
        let texel = (at * size as f32).floor().max(0.0) as usize;
        texel.min(size.saturating_sub(1))
    };
    let at = place(v, height) * width + place(u, width);
    texture.pixels.get(at).copied().unwrap_or(Color32::WHITE)
}

/// Colours are multiplied with their opacity already, as egui has them.
fn blend(pixel: &mut [u8; 3], colour: [f32; 4], texel: Color32) {
    let [.., opacity] = colour;
    let [r, g, b, a] = texel.to_array();
    let kept = 1.0 - opacity * f32::from(a) / (255.0 * 255.0);
    for ((under, over), texel) in pixel.iter_mut().zip(colour).zip([r, g, b]) {
        let over = over * f32::from(texel) / 255.0;
        *under = (over + f32::from(*under) * kept).round() as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corner(x: f32, y: f32, colour: Color32) -> epaint::Vertex {
        epaint::Vertex {
            pos: egui::pos2(x, y),
            uv: egui::pos2(0.0, 0.0),
            color: colour,
        }
    }

    fn drawn(vertices: Vec<epaint::Vertex>, indices: Vec<u32>, clip: Rect) -> Picture {
        let mut textures = Textures::default();
        let white = ColorImage::filled([1, 1], Color32::WHITE);
        textures.0.insert(TextureId::default(), white);
        let mesh = epaint::Mesh {
            indices,
            vertices,
            texture_id: TextureId::default(),
        };
        let primitive = ClippedPrimitive {
            clip_rect: clip,
            primitive: epaint::Primitive::Mesh(mesh),
        };
        let mut picture = Picture::new(8, 8);
        draw(&mut picture, &textures, &[primitive], 1.0);
        picture
    }

    /// A see-through square of two triangles: the pixels on their common edge are blended once.
    #[test]
    fn a_common_edge_is_drawn_once() {
        let half = Color32::from_rgba_premultiplied(100, 100, 100, 128);
        let corners = [(1.0, 1.0), (7.0, 1.0), (7.0, 7.0), (1.0, 7.0)];
        for indices in [[0, 1, 2, 0, 2, 3], [0, 2, 1, 3, 2, 0], [1, 2, 3, 3, 0, 1]] {
            let corners = corners.map(|(x, y)| corner(x, y, half)).to_vec();
            let picture = drawn(corners, indices.to_vec(), Rect::EVERYTHING);
            for y in 0..8 {
                for x in 0..8 {
                    let inside = (1..7).contains(&x) && (1..7).contains(&y);
                    let expected = if inside { [100; 3] } else { [0; 3] };
                    assert_eq!(picture.at(x, y), Some(expected), "{x} {y}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_drawn_beyond_clip_and_picture() {
        let white = Color32::WHITE;
        let corners = vec![
            corner(-1e6, -1e6, white),
            corner(1e6, -1e6, white),
            corner(0.0, 1e6, white),
        ];
        let clip = Rect::from_min_max(egui::pos2(2.0, 3.0), egui::pos2(100.0, 5.0));
        let picture = drawn(corners, vec![0, 1, 2, 0, 1, 9], clip);
        let count = picture.pixels.iter().filter(|p| **p == [255; 3]).count();
        assert_eq!(count, 6 * 2);
        assert_eq!(picture.at(8, 0), None);
    }

    #[test]
    fn colours_run_from_corner_to_corner() {
        let corners = vec![
            corner(0.0, 0.0, Color32::BLACK),
            corner(8.0, 0.0, Color32::WHITE),
            corner(0.0, 8.0, Color32::BLACK),
        ];
        let picture = drawn(corners, vec![0, 1, 2], Rect::EVERYTHING);
        let greys: Vec<u8> = (0..7).filter_map(|x| Some(picture.at(x, 0)?[0])).collect();
        assert!(greys.is_sorted_by(|a, b| a < b), "{greys:?}");
        assert!(greys[0] < 20 && greys[6] > 190, "{greys:?}");
    }
}
