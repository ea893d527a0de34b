// SPDX-License-Identifier: GPL-2.0 OR MIT
//! A client of the filter module of the simulated DSP, with pictures in buffers.
//!
//! It shows calls without copies: the pixels go in and come out in [`Buffer`]s,
//! only the 16 bytes that describe them are copied.

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::module::Module;
use crate::session::Session;

/// Name of the module for the DSP's loader.
pub const URI: &str = "file:///libfilter_skel.so?filter_skel_handle_invoke&_modver=1.0";

const SOBEL: u32 = 2;

/// Size of a grey picture, and how its rows lie in its two buffers. A pixel is
/// one byte; a row begins `stride` bytes behind the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from row to row of the input, at least the width.
    pub stride_in: u32,
    /// Bytes from row to row of the output, at least the width.
    pub stride_out: u32,
}

impl Layout {
    /// Rows that follow each other without gaps.
    pub fn dense(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            stride_in: width,
            stride_out: width,
        }
    }

    /// Bytes of the input.
    pub fn input_size(&self) -> u64 {
        u64::from(self.stride_in) * u64::from(self.height)
    }

    /// Bytes of the output.
    pub fn output_size(&self) -> u64 {
        u64::from(self.stride_out) * u64::from(self.height)
    }

    /// The first argument of the module's methods.
    fn to_bytes(self) -> [u8; 16] {
        let words = [self.width, self.height, self.stride_in, self.stride_out];
        let mut bytes = [0; 16];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// The filter, loaded into a session.
#[derive(Debug)]
pub struct Filter<'s> {
    module: Module<'s>,
}

impl<'s> Filter<'s> {
    /// Bytes that the kernel copies for each call: the description of the picture.
    pub const BYTES_COPIED: u64 = 16;

    /// Loads the module, see [`Module::open`].
    pub fn open(session: &'s Session) -> Result<Self> {
        Ok(Self {
            module: Module::open(session, URI)?,
        })
    }

    /// Finds the edges of the picture at the begin of `input` and writes them to
    /// the begin of `output`; see [`sobel_on_cpu`] for what exactly.
    ///
    /// [`Error::Argument`] if a buffer is too small, and all errors of
    /// [`crate::Call::run`].
    pub fn sobel(&self, layout: Layout, input: &Buffer<'_>, output: &Buffer<'_>) -> Result<()> {
        self.module
            .call(SOBEL)
            .input(&layout.to_bytes())
            .input_buffer(input, ..layout.input_size())
            .output_buffer(output, ..layout.output_size())
            .run()
    }

    /// Unloads the module.
    pub fn close(self) -> Result<()> {
        self.module.close()
    }
}

/// What [`Filter::sobel`] computes, on the CPU: for each pixel the sum of the
/// amounts of the two Sobel kernels, at most 255. Beyond its border the picture
/// goes on with the pixels of the border. Bytes of the output between the rows are
/// 0.
///
/// [`Error::Argument`] if the picture is empty, if a stride is less than the width
/// or if `input` is shorter than the layout says.
pub fn sobel_on_cpu(layout: Layout, input: &[u8]) -> Result<Vec<u8>> {
    let [width, height, stride_in, stride_out] = [
        layout.width,
        layout.height,
        layout.stride_in,
        layout.stride_out,
    ]
    .map(|n| n as usize);
    if width == 0 || height == 0 || stride_in < width || stride_out < width {
        return Err(Error::Argument("the picture is empty or its rows overlap"));
    }
    if layout.input_size() > input.len() as u64 {
        return Err(Error::Argument("there are fewer pixels than the size says"));
    }
    let output_size = usize::try_from(layout.output_size())
        .map_err(|_| Error::Argument("the picture does not fit the address space"))?;
    let mut output = vec![0; output_size];
    for y in 0..height {
        let rows = [y.saturating_sub(1), y, (y + 1).min(height - 1)]
            .map(|y| &input[y * stride_in..][..width]);
        for x in 0..width {
            let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
            let at = |row: usize, x: usize| i32::from(rows[row][x]);
            let column = |x: usize| at(0, x) + 2 * at(1, x) + at(2, x);
            let line = |row: usize| at(row, left) + 2 * at(row, x) + at(row, right);
            let gradient = (column(right) - column(left)).abs() + (line(2) - line(0)).abs();
            output[y * stride_out + x] = gradient.min(255) as u8;
        }
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_picture_has_no_edges() {
        for (width, height) in [(1, 1), (1, 7), (7, 1), (5, 4)] {
            let layout = Layout::dense(width, height);
            let flat = vec![200; (width * height) as usize];
            let edges = sobel_on_cpu(layout, &flat).unwrap();
            assert!(edges.iter().all(|&edge| edge == 0), "{width}x{height}");
            assert_eq!(edges.len(), flat.len());
        }
    }

    /// Worked out with pencil and paper.
    #[test]
    fn edges_have_the_values_of_the_two_kernels() {
        // A step of 10 between the columns 1 and 2: 4 * 10 on both sides of it.
        let step = [0, 0, 10, 10].repeat(3);
        let edges = sobel_on_cpu(Layout::dense(4, 3), &step).unwrap();
        assert_eq!(edges, [0, 40, 40, 0].repeat(3));
        // The same step between rows.
        let step = [[0; 3], [0; 3], [10; 3], [10; 3]].concat();
        let edges = sobel_on_cpu(Layout::dense(3, 4), &step).unwrap();
        assert_eq!(edges, [[0; 3], [40; 3], [40; 3], [0; 3]].concat());
        // One bright pixel: corners 9 + 9, sides 18 + 0, nothing in the middle.
        let dot = [0, 0, 0, 0, 9, 0, 0, 0, 0];
        let edges = sobel_on_cpu(Layout::dense(3, 3), &dot).unwrap();
        assert_eq!(edges, [18, 18, 18, 18, 0, 18, 18, 18, 18]);
        // Steps that do not fit a byte end at 255.
        let edges = sobel_on_cpu(Layout::dense(2, 1), &[0, 255]).unwrap();
        assert_eq!(edges, [255, 255]);
    }

    #[test]
    fn gaps_between_rows_are_not_pixels() {
        let layout = Layout {
            width: 2,
            height: 2,
            stride_in: 4,
            stride_out: 3,
        };
        let edges = sobel_on_cpu(layout, &[5, 5, 99, 77, 5, 5, 88, 66]).unwrap();
        assert_eq!(edges, [0; 6]);
    }

    #[test]
    fn pictures_that_are_none_are_refused() {
        for (width, height, stride_in, stride_out) in [
            (0, 1, 1, 1),
            (1, 0, 1, 1),
            (2, 1, 1, 2),
            (2, 1, 2, 1),
            (2, 2, 2, 2),
        ] {
            let layout = Layout {
                width,
                height,
                stride_in,
                stride_out,
            };
            assert!(sobel_on_cpu(layout, &[0; 3]).is_err(), "{layout:?}");
        }
    }

    #[test]
    fn sizes_do_not_wrap() {
        let layout = Layout::dense(u32::MAX, u32::MAX);
        assert_eq!(layout.input_size(), u64::from(u32::MAX).pow(2));
        assert!(sobel_on_cpu(layout, &[0; 16]).is_err());
    }

    #[test]
    fn the_description_is_little_endian() {
        let layout = Layout {
            width: 1,
            height: 0x0203,
            stride_in: 4,
            stride_out: 5,
        };
        assert_eq!(
            layout.to_bytes(),
            [1, 0, 0, 0, 3, 2, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0]
        );
    }
}
