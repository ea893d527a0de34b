// SPDX-License-Identifier: GPL-2.0

//! qda

use kernel::prelude::*;

mod sys;

struct M;
impl kernel::Module for M { fn init(_m: &'static ThisModule) -> Result<Self> { Ok(M) } }
module! { type: M, name: "qda", authors: ["x"], description: "x", license: "GPL", }
