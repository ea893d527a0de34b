// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Pictures: PNG files, and their pixels as shades of grey.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use png::{ColorType, DecodingError, EncodingError, Transformations};

/// Most pixels of a picture. Decoded, they take at most 4 bytes each.
const MAX_PIXELS: u64 = 1 << 27;

/// A grey picture: one byte per pixel, row after row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
}

/// Why a picture cannot be read.
#[derive(Debug)]
pub enum PictureError {
    /// The file cannot be read.
    Read { file: PathBuf, source: io::Error },
    /// The file is no PNG, or a broken one.
    Format { file: PathBuf, reason: String },
    /// More pixels than this program takes.
    TooLarge {
        file: PathBuf,
        width: u32,
        height: u32,
    },
    /// Pixels that are not opaque have no shade of grey.
    Transparent { file: PathBuf, x: usize, y: usize },
}

impl fmt::Display for PictureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, source } => write!(f, "{}: {source}", file.display()),
            Self::Format { file, reason } => {
                write!(f, "{}: not a usable PNG file: {reason}", file.display())
            }
            Self::TooLarge {
                file,
                width,
                height,
            } => write!(
                f,
                "{}: {width} x {height} pixels are too many; the limit is {MAX_PIXELS}",
                file.display()
            ),
            Self::Transparent { file, x, y } => write!(
                f,
                "{}: the pixel in column {x} of row {y} is not opaque, so it has no shade of grey",
                file.display()
            ),
        }
    }
}

/// Reads a PNG file of any colour type. Colours become grey by the weights of ITU-R
/// BT.601, of samples with 16 bits the upper 8 count.
pub fn read(path: &Path) -> Result<Picture, PictureError> {
    let failed = |error: DecodingError| match error {
        DecodingError::IoError(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
            PictureError::Format {
                file: path.into(),
                reason: "the file ends too early".into(),
            }
        }
        DecodingError::IoError(source) => PictureError::Read {
            file: path.into(),
            source,
        },
        other => PictureError::Format {
            file: path.into(),
            reason: other.to_string(),
        },
    };
    let file = File::open(path).map_err(|source| PictureError::Read {
        file: path.into(),
        source,
    })?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let (width, height) = decoder.read_header_info().map_err(failed)?.size();
    let too_large = || PictureError::TooLarge {
        file: path.into(),
        width,
        height,
    };
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(too_large());
    }
    let mut reader = decoder.read_info().map_err(failed)?;
    let mut bytes = vec![0; reader.output_buffer_size().ok_or_else(too_large)?];
    let frame = reader.next_frame(&mut bytes).map_err(failed)?;
    // Finds what is wrong behind the pixels, as a missing end.
    reader.finish().map_err(failed)?;
    bytes.truncate(frame.buffer_size());
    let pixels = grey(frame.color_type, bytes).map_err(|at| PictureError::Transparent {
        file: path.into(),
        x: at % width as usize,
        y: at / width as usize,
    })?;
    Ok(Picture {
        width,
        height,
        pixels,
    })
}

/// One byte per pixel, or the number of the first pixel that is not opaque.
fn grey(color: ColorType, bytes: Vec<u8>) -> Result<Vec<u8>, usize> {
    let opaque = |alpha: &u8| *alpha == u8::MAX;
    let samples = color.samples();
    if matches!(color, ColorType::GrayscaleAlpha | ColorType::Rgba) {
        let alphas = bytes.iter().skip(samples - 1).step_by(samples);
        if let Some(at) = alphas.into_iter().position(|alpha| !opaque(alpha)) {
            return Err(at);
        }
    }
    Ok(match color {
        ColorType::Grayscale => bytes,
        ColorType::GrayscaleAlpha => bytes.chunks_exact(2).map(|pixel| pixel[0]).collect(),
        // The decoder turns palettes into colours.
        ColorType::Rgb | ColorType::Rgba | ColorType::Indexed => {
            bytes.chunks_exact(samples.max(3)).map(luma).collect()
        }
    })
}

/// The shade of grey of a colour, rounded.
fn luma(pixel: &[u8]) -> u8 {
    let weights = [299, 587, 114];
    let sum: u32 = weights
        .iter()
        .zip(pixel)
        .map(|(w, &p)| w * u32::from(p))
        .sum();
    // The weights have the sum 1000.
    ((sum + 500) / 1000) as u8
}

/// Writes a PNG file. It gets its name when all of it is written: a file with this
/// name is always a whole one.
pub fn write(path: &Path, picture: &Picture) -> io::Result<()> {
    let part = Part::new(path)?;
    let mut out = BufWriter::new(&part.file);
    let mut encoder = png::Encoder::new(&mut out, picture.width, picture.height);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder
        .write_header()
        .and_then(|mut writer| {
            writer.write_image_data(&picture.pixels)?;
            writer.finish()
        })
        .map_err(|error| match error {
            EncodingError::IoError(error) => error,
            other => io::Error::other(other),
        })?;
    out.flush()?;
    drop(out);
    part.finish(path)
}

/// A file that is not finished, beside the one it is going to be. Dropping it
/// removes it.
struct Part {
    file: File,
    path: PathBuf,
}

impl Part {
    fn new(path: &Path) -> io::Result<Self> {
        let Some(name) = path.file_name() else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not the name of a file",
            ));
        };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let path = path.with_file_name(hidden);
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Self { file, path })
    }

    fn finish(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        // The drop that follows finds nothing to remove.
        fs::rename(&self.path, path)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for one test, gone at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("qdactl-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("a writable temporary folder");
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(&self.0)
                .expect("the folder")
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn gradient(width: u32, height: u32) -> Picture {
        Picture {
            width,
            height,
            pixels: (0..width * height).map(|n| n as u8).collect(),
        }
    }

    /// A PNG file made by the encoder of the library.
    fn encoded(
        folder: &Folder,
        color: ColorType,
        depth: png::BitDepth,
        palette: &[u8],
        data: &[u8],
        (width, height): (u32, u32),
    ) -> PathBuf {
        let path = folder.0.join(format!("{color:?}-{depth:?}.png"));
        let mut encoder = png::Encoder::new(File::create(&path).unwrap(), width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if !palette.is_empty() {
            encoder.set_palette(palette.to_vec());
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(data).unwrap();
        writer.finish().unwrap();
        path
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = Folder::new("roundtrip");
        let path = folder.0.join("a.png");
        for (width, height) in [(1, 1), (3, 5), (640, 1), (257, 255)] {
            let picture = gradient(width, height);
            write(&path, &picture).unwrap();
            assert_eq!(read(&path).unwrap(), picture, "{width}x{height}");
        }
        assert_eq!(folder.names(), ["a.png"], "no parts are left");
    }

    #[test]
    fn a_file_that_cannot_be_finished_leaves_nothing() {
        let folder = Folder::new("unfinished");
        // A folder has the name, so the last step fails.
        let path = folder.0.join("taken.png");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("x"), "").unwrap();
        assert!(write(&path, &gradient(2, 2)).is_err());
        assert_eq!(folder.names(), ["taken.png"]);
        // Fewer pixels than the size says.
        let mut short = gradient(4, 4);
        short.pixels.pop();
        assert!(write(&folder.0.join("short.png"), &short).is_err());
        assert_eq!(folder.names(), ["taken.png"]);
        assert!(write(Path::new("/"), &gradient(1, 1)).is_err());
    }

    #[test]
    fn all_colour_types_become_grey() {
        use png::BitDepth::{Eight, One, Sixteen};
        use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
        let folder = Folder::new("colours");
        // White, black; then red, green as grey.
        let colours = [76, 150];
        for (color, depth, palette, data, wanted) in [
            (Grayscale, Eight, &[][..], &[255, 0][..], [255, 0]),
            (Grayscale, One, &[], &[0b1000_0000], [255, 0]),
            (Grayscale, Sixteen, &[], &[0xab, 0xcd, 0, 0xff], [0xab, 0]),
            (GrayscaleAlpha, Eight, &[], &[9, 255, 8, 255], [9, 8]),
            (Rgb, Eight, &[], &[255, 0, 0, 0, 255, 0], colours),
            (Rgba, Eight, &[], &[255, 0, 0, 255, 0, 255, 0, 255], colours),
            (
                Indexed,
                One,
                &[0, 255, 0, 255, 0, 0],
                &[0b1000_0000],
                colours,
            ),
        ] {
            let path = encoded(&folder, color, depth, palette, data, (2, 1));
            let picture = read(&path).unwrap();
            assert_eq!(picture.pixels, wanted, "{color:?} {depth:?}");
            assert_eq!((picture.width, picture.height), (2, 1));
        }
    }

    #[test]
    fn transparent_pixels_are_refused_with_their_place() {
        let folder = Folder::new("alpha");
        let mut data = [255; 4 * 6];
        data[4 * 4 + 3] = 254;
        let eight = png::BitDepth::Eight;
        let path = encoded(&folder, ColorType::Rgba, eight, &[], &data, (3, 2));
        let text = read(&path).unwrap_err().to_string();
        assert!(text.contains("column 1 of row 1"), "{text}");
    }

    #[test]
    fn the_weights_are_those_of_the_standard() {
        assert_eq!(luma(&[255, 255, 255]), 255);
        assert_eq!(luma(&[0, 0, 0]), 0);
        assert_eq!(
            [luma(&[255, 0, 0]), luma(&[0, 255, 0]), luma(&[0, 0, 255])],
            [76, 150, 29]
        );
        assert_eq!(luma(&[1, 1, 1]), 1);
    }

    #[test]
    fn broken_files_are_told_apart() {
        let folder = Folder::new("broken");
        let path = folder.0.join("x.png");
        let text = |path: &Path| read(path).unwrap_err().to_string();

        let missing = text(&path);
        assert!(missing.contains("x.png: No such file"), "{missing}");

        fs::write(&path, "numbers are no picture\n").unwrap();
        let other = text(&path);
        assert!(other.contains("x.png: not a usable PNG file"), "{other}");

        write(&path, &gradient(64, 64)).unwrap();
        let whole = fs::read(&path).unwrap();
        for len in [0, 7, 20, 60, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..len]).unwrap();
            let short = text(&path);
            assert!(short.contains("x.png: not a usable PNG"), "{len}: {short}");
        }
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        assert!(text(&path).contains("not a usable PNG file"));
    }

    #[test]
    fn absurd_sizes_are_refused_before_memory_is_asked_for() {
        let folder = Folder::new("large");
        let path = folder.0.join("large.png");
        let side = 1 << 16;
        let mut encoder = png::Encoder::new(File::create(&path).unwrap(), side, side);
        encoder.set_color(ColorType::Grayscale);
        // The head alone; the encoder complains that there is nothing behind it.
        let _ = encoder.write_header().unwrap();
        let text = read(&path).unwrap_err().to_string();
        assert!(text.contains("65536 x 65536 pixels are too many"), "{text}");
    }
}
