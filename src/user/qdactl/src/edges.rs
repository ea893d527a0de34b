// SPDX-License-Identifier: GPL-2.0 OR MIT
//! The job of `filter`: the edges of a picture, found by the DSP in two buffers
//! and by the CPU.

use std::time::{Duration, Instant};

use qda::filter::{sobel_on_cpu, Filter, Layout};
use qda::Session;

use crate::picture::Picture;

/// What came out.
#[derive(Debug)]
pub struct Edges {
    /// What the DSP made of the picture.
    pub picture: Picture,
    /// Time of the call, with the mapping of the buffers.
    pub time: Duration,
    /// Bytes of the arguments that are in buffers.
    pub buffer_bytes: u64,
    /// Bytes that the kernel copied for the call, if it tells.
    pub copied: Option<Copied>,
    /// Pixels in which DSP and CPU do not agree.
    pub differing: usize,
    /// The first of them: column, row, DSP, CPU.
    pub first: Option<(usize, usize, u8, u8)>,
}

/// What the kernel copied for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// All bytes.
    pub all: u64,
    /// Without those that describe the picture.
    pub pixels: u64,
}

impl Copied {
    /// From the counter before and after the call.
    fn between(before: Option<u64>, after: Option<u64>) -> Option<Self> {
        let all = after?.checked_sub(before?)?;
        Some(Self {
            all,
            pixels: all.checked_sub(Filter::BYTES_COPIED)?,
        })
    }
}

/// Finds the edges of `picture`, which is not empty.
pub fn run(session: &Session, picture: &Picture) -> qda::Result<Edges> {
    let layout = Layout::dense(picture.width, picture.height);
    let input = session.create_buffer(layout.input_size())?;
    let output = session.create_buffer(layout.output_size())?;
    // The CPU's views end before the DSP's turn.
    input.map()?.write_at(0, &picture.pixels)?;

    let filter = Filter::open(session)?;
    let before = session.facts()?.bytes_copied;
    let start = Instant::now();
    filter.sobel(layout, &input, &output)?;
    let time = start.elapsed();
    let after = session.facts()?.bytes_copied;
    filter.close()?;

    let pixels = output.map()?.to_vec(0, picture.pixels.len())?;
    let expected = sobel_on_cpu(layout, &picture.pixels)?;
    let (differing, first) = compare(&pixels, &expected, picture.width as usize);
    Ok(Edges {
        picture: Picture { pixels, ..*picture },
        time,
        buffer_bytes: layout.input_size() + layout.output_size(),
        copied: Copied::between(before, after),
        differing,
        first,
    })
}

/// How many pixels differ, and the first of them.
fn compare(dsp: &[u8], cpu: &[u8], width: usize) -> (usize, Option<(usize, usize, u8, u8)>) {
    let mut differing = dsp
        .iter()
        .zip(cpu)
        .enumerate()
        .filter(|(_, (dsp, cpu))| dsp != cpu)
        .map(|(at, (&dsp, &cpu))| (at % width, at / width, dsp, cpu));
    let first = differing.next();
    let shared = usize::from(first.is_some()) + differing.count();
    (shared + dsp.len().abs_diff(cpu.len()), first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_differing_pixel_counts() {
        let cpu = [1, 2, 3, 4, 5, 6];
        assert_eq!(compare(&cpu, &cpu, 3), (0, None));
        let dsp = [1, 2, 3, 9, 5, 8];
        assert_eq!(compare(&dsp, &cpu, 3), (2, Some((0, 1, 9, 4))));
        assert_eq!(compare(&dsp[..3], &cpu, 3), (3, None), "missing pixels");
        assert_eq!(compare(&[], &cpu, 3), (6, None));
    }

    #[test]
    fn the_description_of_the_picture_is_no_pixel() {
        let copied = |all, pixels| Some(Copied { all, pixels });
        assert_eq!(Copied::between(Some(100), Some(116)), copied(16, 0));
        assert_eq!(Copied::between(Some(0), Some(116)), copied(116, 100));
        assert_eq!(Copied::between(None, Some(16)), None);
        assert_eq!(Copied::between(Some(16), None), None);
        // A counter that cannot be right says nothing.
        assert_eq!(Copied::between(Some(16), Some(20)), None);
        assert_eq!(Copied::between(Some(16), Some(15)), None);
    }
}
