// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Draws tests/data/picture.png, the default picture of "make run".
//!
//! Usage: cargo run -p qdactl --example draw-picture -- FILE.png
//!
//! Everything is computed with integers, so that the pixels are the same
//! everywhere; a test compares them with the file.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;

pub const WIDTH: u32 = 640;
pub const HEIGHT: u32 = 480;

type Colour = [u8; 3];

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("usage: draw-picture FILE.png")?;
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels())?;
    writer.finish()?;
    Ok(())
}

/// The picture, three bytes per pixel.
pub fn pixels() -> Vec<u8> {
    let (width, height) = (WIDTH as i32, HEIGHT as i32);
    (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| pixel(x, y)))
        .collect()
}

/// Sun and hills behind a lake, a house, and the corners of a test chart.
fn pixel(x: i32, y: i32) -> Colour {
    chart(x, y)
        .or_else(|| house(x, y))
        .or_else(|| hills(x, y))
        .or_else(|| sun(x, y))
        .unwrap_or_else(|| sky(y))
}

fn inside(x: i32, y: i32, left: i32, top: i32, width: i32, height: i32) -> bool {
    (left..left + width).contains(&x) && (top..top + height).contains(&y)
}

fn squared(x: i32, y: i32) -> i32 {
    x * x + y * y
}

/// A soft gradient, in which a filter finds almost nothing.
fn sky(y: i32) -> Colour {
    [(90 + y / 4) as u8, (130 + y / 5) as u8, (220 - y / 8) as u8]
}

fn sun(x: i32, y: i32) -> Option<Colour> {
    let distance = squared(x - 480, y - 110);
    if distance < 48 * 48 {
        return Some([255, 240, 150]);
    }
    // Rings, closer from one to the next.
    (distance < 96 * 96 && distance / 640 % 2 == 1).then_some([240, 215, 160])
}

fn hills(x: i32, y: i32) -> Option<Colour> {
    if y >= 400 {
        // The lake: waves of different length.
        let wave = (x + 7 * (y - 400)) / (8 + (y - 400) / 4) % 2;
        return Some([40, (90 + 25 * wave) as u8, (140 + 30 * wave) as u8]);
    }
    let peak = |at: i32, height: i32, slope: i32| 400 - height + (x - at).abs() * slope / 8;
    if y > peak(150, 260, 10) {
        let snow = y < 185 + (x / 8 % 2) * 6;
        return Some(if snow {
            [245, 245, 250]
        } else {
            [110, 100, 105]
        });
    }
    if y > peak(330, 190, 7) {
        return Some([80, 120, 70]);
    }
    (y > peak(600, 230, 9)).then_some([95, 110, 95])
}

fn house(x: i32, y: i32) -> Option<Colour> {
    if inside(x, y, 240, 300, 110, 100) {
        for left in [255, 308] {
            if inside(x, y, left, 320, 28, 28) {
                let cross = (x - left - 14).abs() < 2 || (y - 334).abs() < 2;
                return Some(if cross {
                    [250, 250, 250]
                } else {
                    [70, 90, 130]
                });
            }
        }
        if inside(x, y, 285, 355, 20, 45) {
            return Some([120, 70, 40]);
        }
        // Bricks.
        let row = y / 6;
        let joint = y % 6 == 0 || (x + row % 2 * 8) % 16 == 0;
        return Some(if joint {
            [190, 180, 170]
        } else {
            [180, 95, 75]
        });
    }
    (y < 300 && y > 240 && (x - 295).abs() < (y - 240) * 75 / 60).then_some([130, 50, 45])
}

/// Squares of a chessboard, lines of one pixel, and a step between two greys at
/// the very border, where a filter goes beyond the picture.
fn chart(x: i32, y: i32) -> Option<Colour> {
    let grey = |value: bool| Some(if value { [235; 3] } else { [20; 3] });
    if inside(x, y, 0, 0, 96, 96) {
        return grey((x / 12 + y / 12) % 2 == 0);
    }
    if inside(x, y, 560, 0, 80, 80) {
        return grey((x - 560) * 3 > (y * 2) && squared(x - 600, y - 40) > 500);
    }
    if inside(x, y, 0, 416, 64, 64) {
        return grey(x % 4 == 0 || y % 8 == 0);
    }
    inside(x, y, 576, 448, 64, 32).then_some([if x < 608 { 100 } else { 101 }; 3])
}
