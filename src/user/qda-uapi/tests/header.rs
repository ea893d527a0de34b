// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Compares the Rust mirror with what C and C++ compilers make of the header.
//!
//! A program is written that prints every macro of the header and the layout of
//! every structure; it is compiled as C and as C++ with warnings as errors, run,
//! and its output compared with the constants and types of this crate. The list
//! of macros comes from the preprocessor, so a macro without a mirror fails too.
//! The header is included together with the one of the in-tree driver.
//! covers: T157, T158
//!
//! `CC` and `CXX` name other compilers than gcc and g++.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use qda_uapi::*;

macro_rules! constants {
    ($($name:ident),+ $(,)?) => {
        BTreeMap::from([$((stringify!($name).to_string(), i64::from($name))),+])
    };
}

/// Every object-like macro of the header with the value of its Rust mirror.
fn rust_constants() -> BTreeMap<String, i64> {
    constants![
        DRM_IOCTL_QDA_CALL,
        DRM_IOCTL_QDA_GEM_CREATE,
        DRM_IOCTL_QDA_GEM_MMAP_OFFSET,
        DRM_IOCTL_QDA_INIT_ATTACH,
        DRM_IOCTL_QDA_QUERY,
        DRM_IOCTL_QDA_REMOTE_INVOKE,
        DRM_IOCTL_QDA_REMOTE_MAP,
        DRM_IOCTL_QDA_REMOTE_MUNMAP,
        DRM_IOCTL_QDA_REMOTE_SESSION_CREATE,
        DRM_QDA_ARG_BUFFER,
        DRM_QDA_ARG_HANDLE,
        DRM_QDA_ARG_IN,
        DRM_QDA_ARG_INLINE,
        DRM_QDA_ARG_OUT,
        DRM_QDA_ATTR_ADAPTIVE_QOS,
        DRM_QDA_ATTR_DEBUG,
        DRM_QDA_ATTR_PRIVILEGED,
        DRM_QDA_ATTR_PTRACE,
        DRM_QDA_ATTR_SYSTEM,
        DRM_QDA_ATTR_UNSIGNED,
        DRM_QDA_CALL,
        DRM_QDA_DSP_NAME_LEN,
        DRM_QDA_FD_NONE,
        DRM_QDA_GEM_CREATE,
        DRM_QDA_GEM_MMAP_OFFSET,
        DRM_QDA_HANDLE_KERNEL,
        DRM_QDA_HANDLE_UTILITIES,
        DRM_QDA_HANDLE_REMOTECTL,
        DRM_QDA_HANDLE_REMOTECTL0,
        DRM_QDA_INIT_ATTACH,
        DRM_QDA_MAP_FD,
        DRM_QDA_MAP_FD_DELAYED,
        DRM_QDA_MAP_FD_NOMAP,
        DRM_QDA_MAP_STATIC,
        DRM_QDA_MAX_ARGS,
        DRM_QDA_MAX_ARG_STRIDE,
        DRM_QDA_MAX_BUFS,
        DRM_QDA_MAX_HANDLES,
        DRM_QDA_MAX_INLINE_SIZE,
        DRM_QDA_MAX_SHELL_SIZE,
        DRM_QDA_MIN_ARG_STRIDE,
        DRM_QDA_MMAP_ADD_PAGES,
        DRM_QDA_MMAP_ADD_PAGES_LLC,
        DRM_QDA_MMAP_BUFFER,
        DRM_QDA_QUERY,
        DRM_QDA_REMOTE_INVOKE,
        DRM_QDA_REMOTE_MAP,
        DRM_QDA_REMOTE_MUNMAP,
        DRM_QDA_REMOTE_SESSION_CREATE,
        DRM_QDA_RESULT_BAD_STATE,
        DRM_QDA_RESULT_BASE,
        DRM_QDA_RESULT_UNSUPPORTED,
        DRM_QDA_VERSION_MAJOR,
        DRM_QDA_VERSION_MINOR,
        QDA_MAP_REQUEST_ATTR,
        QDA_MAP_REQUEST_LEGACY,
        QDA_MUNMAP_REQUEST_ATTR,
        QDA_MUNMAP_REQUEST_LEGACY,
    ]
}

macro_rules! layouts {
    ($($name:ident { $($field:ident),+ })+) => {{
        let mut map = BTreeMap::new();
        $(
            map.insert(format!("sizeof {}", stringify!($name)), size_of::<$name>() as i64);
            $(map.insert(
                format!("offsetof {}.{}", stringify!($name), stringify!($field)),
                offset_of!($name, $field) as i64,
            );)+
        )+
        map
    }};
}

fn rust_layouts() -> BTreeMap<String, i64> {
    layouts! {
        drm_qda_query { dsp_name }
        drm_qda_gem_create { size, handle, pad }
        drm_qda_gem_mmap_offset { offset, handle, pad }
        drm_qda_init_create { filelen, filefd, attrs, siglen, file }
        drm_qda_mem_map { request, flags, fd, attrs, offset, pad, vaddrin, size, vaddrout }
        drm_qda_mem_unmap { request, fd, vaddr, vaddrout, size }
        drm_qda_fastrpc_invoke_args { ptr, length, fd, attr }
        drm_qda_invoke_args { handle, sc, args }
        drm_qda_call { args, deadline_ns, handle, method, arg_count, arg_stride, flags, result }
        drm_qda_call_arg {
            address, offset, length, kind, direction, handle, tag, flags, pad
        }
    }
}

/// Parts of scalars words that the function-like macros are tried with: the
/// edges of every field and values that do not fit.
const PARTS: [[u32; 5]; 8] = [
    [0, 0, 0, 0, 0],
    [2, 2, 1, 0, 0],
    [31, 255, 255, 15, 15],
    [32, 256, 256, 16, 16],
    [5, 0, 0, 1, 0],
    [1, 0, 0, 0, 15],
    [0, 0x1ff, 0x101, 0x1f, 0x11],
    [
        0xffff_ffff,
        0xffff_ffff,
        0xffff_ffff,
        0xffff_ffff,
        0xffff_ffff,
    ],
];

/// A scalars function macro with its mirror.
type ScalarsPart = (&'static str, fn(u32) -> u32);

const SCALARS_PARTS: [ScalarsPart; 6] = [
    ("DRM_QDA_SCALARS_METHOD", scalars_method),
    ("DRM_QDA_SCALARS_IN_BUFS", scalars_in_bufs),
    ("DRM_QDA_SCALARS_OUT_BUFS", scalars_out_bufs),
    ("DRM_QDA_SCALARS_IN_HANDLES", scalars_in_handles),
    ("DRM_QDA_SCALARS_OUT_HANDLES", scalars_out_handles),
    ("DRM_QDA_SCALARS_ARGS", scalars_args),
];

fn rust_scalars() -> BTreeMap<String, i64> {
    let mut map = BTreeMap::new();
    for p in PARTS {
        let sc = scalars(p[0], p[1], p[2], p[3], p[4]);
        map.insert(format!("scalars {p:?}"), i64::from(sc));
        for (name, part) in SCALARS_PARTS {
            map.insert(format!("{name} {sc:#x}"), i64::from(part(sc)));
            map.insert(format!("{name} {:#x}", !sc), i64::from(part(!sc)));
        }
    }
    map
}

fn header_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../uapi")
}

/// One compiler of the test: the language as the compiler and as a file name
/// wants it, and the standard that the header must satisfy.
struct Compiler {
    program: String,
    language: &'static str,
    standard: &'static str,
}

impl Compiler {
    fn c() -> Self {
        let program = std::env::var("CC").unwrap_or_else(|_| "gcc".into());
        Self {
            program,
            language: "c",
            standard: "-std=c99",
        }
    }

    fn cxx() -> Self {
        let program = std::env::var("CXX").unwrap_or_else(|_| "g++".into());
        Self {
            program,
            language: "c++",
            standard: "-std=c++11",
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = Command::new(&self.program)
            .args(["-x", self.language, self.standard, "-I"])
            .arg(header_dir())
            .args(arguments)
            .output()
            .unwrap_or_else(|e| {
                panic!(
                    "{}: {e}; this test needs gcc and g++ (or CC and CXX)",
                    self.program
                )
            });
        assert!(
            output.status.success(),
            "{} {arguments:?} failed:\n{}",
            self.program,
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }
}

/// Names of the macros that the header defines: (object-like, function-like).
fn macros_of_header(compiler: &Compiler) -> (Vec<String>, Vec<String>) {
    let header = header_dir().join("drm/qda_accel.h");
    let header = header.to_str().expect("the checkout has a printable path");
    let output = compiler.run(&["-E", "-dM", header]);
    let (mut objects, mut functions) = (Vec::new(), Vec::new());
    for line in String::from_utf8(output.stdout)
        .expect("macros are ASCII")
        .lines()
    {
        let name = line
            .strip_prefix("#define ")
            .expect("-dM prints definitions");
        let name = name.split(' ').next().unwrap_or(name);
        if !["DRM_QDA_", "DRM_IOCTL_QDA_", "QDA_"]
            .iter()
            .any(|p| name.starts_with(p))
        {
            continue;
        }
        match name.split_once('(') {
            Some((function, _)) => functions.push(function.to_string()),
            None => objects.push(name.to_string()),
        }
    }
    objects.sort();
    functions.sort();
    (objects, functions)
}

/// The program that prints what the compiler makes of the header.
fn program() -> String {
    let mut text = String::from(
        "#include <misc/fastrpc.h>\n#include <drm/qda_accel.h>\n#include <drm/qda_accel.h>\n\
         #include <stddef.h>\n#include <stdio.h>\nint main(void)\n{\n",
    );
    for name in rust_constants().keys() {
        // In #if too: a constant must not need a compiler's sizeof or cast
        // unless it is an ioctl number.
        if !name.starts_with("DRM_IOCTL_") {
            writeln!(text, "#if {name} != 0 || 1\n#endif").unwrap();
        }
        writeln!(text, "printf(\"{name}\\t%lld\\n\", (long long)({name}));").unwrap();
    }
    for name in rust_layouts().keys() {
        let value = match name.split_once(' ') {
            Some(("sizeof", of)) => format!("sizeof(struct {of})"),
            Some((_, of)) => {
                let (of, field) = of.split_once('.').expect("structure.field");
                format!("offsetof(struct {of}, {field})")
            }
            None => unreachable!("{name}"),
        };
        writeln!(text, "printf(\"{name}\\t%lld\\n\", (long long){value});").unwrap();
    }
    for p in PARTS {
        writeln!(
            text,
            "printf(\"scalars {p:?}\\t%lld\\n\", (long long)DRM_QDA_SCALARS({}u, {}u, {}u, {}u, {}u));",
            p[0], p[1], p[2], p[3], p[4]
        )
        .unwrap();
        let sc = scalars(p[0], p[1], p[2], p[3], p[4]);
        for (name, _) in SCALARS_PARTS {
            for word in [sc, !sc] {
                writeln!(
                    text,
                    "printf(\"{name} {word:#x}\\t%lld\\n\", (long long){name}({word:#x}u));"
                )
                .unwrap();
            }
        }
    }
    text.push_str("return 0;\n}\n");
    text
}

fn compare(compiler: &Compiler) {
    let expected_objects: Vec<String> = rust_constants().into_keys().collect();
    let mut expected_functions: Vec<String> = SCALARS_PARTS
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    expected_functions.push("DRM_QDA_SCALARS".into());
    expected_functions.sort();
    let (objects, functions) = macros_of_header(compiler);
    assert_eq!(
        objects, expected_objects,
        "macros of the header against this test's list"
    );
    assert_eq!(functions, expected_functions, "function-like macros");

    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let stem = compiler.language.replace('+', "x");
    let source = dir.join(format!("header-{stem}.txt"));
    let binary = dir.join(format!("header-{stem}"));
    std::fs::write(&source, program()).expect("the target folder is writable");
    compiler.run(&[
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-Wno-error=variadic-macros",
        source.to_str().expect("printable path"),
        "-o",
        binary.to_str().expect("printable path"),
    ]);
    let output = Command::new(&binary).output().expect("the program starts");
    assert!(output.status.success());

    let mut expected = rust_constants();
    expected.extend(rust_layouts());
    expected.extend(rust_scalars());
    let printed: BTreeMap<String, i64> = String::from_utf8(output.stdout)
        .expect("the program prints ASCII")
        .lines()
        .map(|line| {
            let (name, value) = line.split_once('\t').expect("name, tab, value");
            (name.to_string(), value.parse().expect("a number"))
        })
        .collect();
    let names: BTreeSet<&String> = printed.keys().chain(expected.keys()).collect();
    let wrong: Vec<String> = names
        .into_iter()
        .filter(|name| printed.get(*name) != expected.get(*name))
        .map(|name| {
            format!(
                "{name}: header {:?}, mirror {:?}",
                printed.get(name),
                expected.get(name)
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn c_agrees_with_the_mirror() {
    compare(&Compiler::c());
}

#[test]
fn cxx_agrees_with_the_mirror() {
    compare(&Compiler::cxx());
}

/// The generator's output has no structure that `rust_layouts` forgets.
#[test]
fn every_structure_is_compared() {
    let text = include_str!("../src/bindings.rs");
    let mut names: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub struct "))
        .map(|rest| format!("sizeof {}", rest.trim_end_matches(" {")))
        .collect();
    names.sort();
    let expected: Vec<String> = rust_layouts()
        .into_keys()
        .filter(|name| name.starts_with("sizeof"))
        .collect();
    assert_eq!(names, expected);
}
