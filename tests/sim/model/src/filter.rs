// SPDX-License-Identifier: GPL-2.0

//! Module filter: edges of a picture.
//!
//! Works on the caller's pages through the SMMU, a strip of a row at a time: pictures of any
//! size need the scratch room only.

use super::args::Arg;
use super::env::Env;
use super::state::State;
use super::wire::{result, u32_at, Request};

/// Size and layout of a picture and its result.
struct Picture {
    width: u64,
    height: u64,
    stride_in: u64,
    stride_out: u64,
}

impl Picture {
    /// Reads the 16 bytes of in[0] and checks them against the buffers.
    fn new(head: &[u8], from: &Arg, to: &Arg) -> Option<Self> {
        let p = Self {
            width: u64::from(u32_at(head, 0)),
            height: u64::from(u32_at(head, 4)),
            stride_in: u64::from(u32_at(head, 8)),
            stride_out: u64::from(u32_at(head, 12)),
        };
        let fits = p.width != 0
            && p.height != 0
            && p.stride_in >= p.width
            && p.stride_out >= p.width
            && p.stride_in * p.height <= from.len
            && p.stride_out * p.height <= to.len;
        fits.then_some(p)
    }
}

/// Three pixels above each other, added up: {1 2 1} smoothes, {-1 0 1} finds the step.
#[derive(Clone, Copy)]
struct Column {
    smooth: i32,
    step: i32,
}

impl Column {
    fn new(above: u8, at: u8, below: u8) -> Self {
        let [a, b, c] = [above, at, below].map(i32::from);
        Self {
            smooth: a + 2 * b + c,
            step: c - a,
        }
    }
}

/// The result of a pixel from its column and the ones beside it.
fn sobel(left: Column, at: Column, right: Column) -> u8 {
    let gx = right.smooth - left.smooth;
    let gy = left.step + 2 * at.step + right.step;
    (gx.abs() + gy.abs()).min(255) as u8
}

/// Filters a strip: the rows have one more pixel on each side than `out`.
fn filter(above: &[u8], at: &[u8], below: &[u8], out: &mut [u8]) {
    let rows = above.iter().zip(at).zip(below);
    let mut columns = rows.map(|((a, b), c)| Column::new(*a, *b, *c));
    let (Some(mut left), Some(mut middle)) = (columns.next(), columns.next()) else {
        return;
    };
    for (pixel, right) in out.iter_mut().zip(columns) {
        *pixel = sobel(left, middle, right);
        (left, middle) = (middle, right);
    }
}

impl State<'_> {
    /// Method sobel.
    pub fn sobel(&mut self, env: &mut impl Env, req: &Request, sid: u32) -> Result<(), u32> {
        let (head, from, to) = (self.input(req, 0), self.input(req, 1), self.output(req, 0));
        let mut b = [0u8; 16];
        self.get(env, sid, &head, 0, &mut b)?;
        let p = Picture::new(&b, &from, &to).ok_or(result::BAD_PARAM)?;
        // A strip has one more pixel on each side.
        let strip = (self.t.scratch.len() / 4).saturating_sub(2) as u64;
        if strip == 0 {
            return Err(result::NO_MEMORY);
        }
        for y in 0..p.height {
            let mut x = 0u64;
            while x < p.width {
                let n = (p.width - x).min(strip);
                self.sobel_strip(env, sid, &p, (from.data, to.data), (x, y), n as usize)?;
                x += n;
            }
            env.rest();
        }
        Ok(())
    }

    /// Writes `n` pixels from `at` on.
    fn sobel_strip(
        &mut self,
        env: &mut impl Env,
        sid: u32,
        p: &Picture,
        (from, to): (u64, u64),
        (x, y): (u64, u64),
        n: usize,
    ) -> Result<(), u32> {
        let quarter = self.t.scratch.len() / 4;
        let (upper, lower) = self.t.scratch.split_at_mut(2 * quarter);
        let (above, at) = upper.split_at_mut(quarter);
        let (below, out) = lower.split_at_mut(quarter);

        let rows = [
            (&mut *above, y.saturating_sub(1)),
            (&mut *at, y),
            (&mut *below, (y + 1).min(p.height - 1)),
        ];
        // Outside, the first and the last pixel of a row count again.
        let first = x.saturating_sub(1);
        let last = (x + n as u64).min(p.width - 1);
        let lead = usize::from(x == 0);
        let count = (last - first) as usize + 1;
        let mut fault = None;
        for (row, line) in rows {
            let iova = from.wrapping_add(p.stride_in * line).wrapping_add(first);
            if let Some(part) = row.get_mut(lead..lead + count) {
                fault = fault.or(env.read(sid, iova, part).err());
            }
            if lead == 1 {
                row.copy_within(1..2, 0);
            }
            if lead + count < n + 2 {
                row.copy_within(lead + count - 1..lead + count, lead + count);
            }
        }
        let iova = to.wrapping_add(p.stride_out * y).wrapping_add(x);
        if let (None, Some(part)) = (fault, out.get_mut(..n)) {
            filter(above, at, below, part);
            fault = env.write(sid, iova, part).err();
        }
        match fault {
            Some(f) => Err(self.faulted(env, f)),
            None => Ok(()),
        }
    }
}
