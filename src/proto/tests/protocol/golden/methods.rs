// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The methods of the kernel against the vectors: the arguments that they produce are those of the
//! document, and those that the stock driver sent.

use fastrpc_proto::layout::Arg;
use fastrpc_proto::methods::attrs::ProcessAttrs;
use fastrpc_proto::methods::memory::{
    HeapFlags, MapFlags, MapReply, MemMap, MemUnmap, Mmap, Munmap,
};
use fastrpc_proto::methods::name::{StaticName, TaskName};
use fastrpc_proto::methods::process::{CreateArgs, CreateCall, CreateStatic};
use fastrpc_proto::methods::{Attach, Capabilities, Method, Release};
use fastrpc_proto::wire::{ClientId, PageEntry};
use zerocopy::byteorder::little_endian::U64;

use super::vector::{folder, read, scalars, to_arg, GArg, Vector};

/// Compares a kernel method with the vector of that name.
fn check_method<M: Method>(name: &str, method: &M) {
    let vector = read(&folder().join(name).with_extension("json"));
    let Vector::Call { call, args, .. } = vector else {
        panic!("{name} is no call");
    };
    assert_eq!(M::HANDLE, call.handle, "{name}");
    assert_eq!(M::SCALARS, scalars(&call), "{name}");
    for (index, arg) in args.iter().enumerate() {
        assert_eq!(
            method.arg(index),
            Some(to_arg(arg)),
            "{name} argument {index}"
        );
        if let (
            GArg::Inline {
                data: Some(data), ..
            },
            Some(input),
        ) = (arg, method.input(index))
        {
            assert_eq!(input, data, "{name} argument {index}");
        }
    }
    assert_eq!(method.arg(args.len()), None);
}

fn client(id: i32) -> ClientId {
    ClientId::new(id).expect("it is not 0")
}

fn reply(address: u64) -> MapReply {
    MapReply {
        address: U64::new(address),
    }
}

fn create(id: i32, len: u64, name: &[u8], attrs: u32, memory: PageEntry) -> CreateCall {
    CreateArgs::new(
        client(id),
        TaskName::snapshot(name),
        Arg::inline(len),
        0,
        ProcessAttrs::new(attrs).expect("the bits are known"),
        memory,
    )
    .expect("the shell is short")
    .call()
}

fn check_create(name: &str, call: CreateCall) {
    match call {
        CreateCall::Plain(method) => check_method(name, &method),
        CreateCall::Attr(method) => check_method(name, &method),
    }
}

#[test]
fn methods_are_their_vectors() {
    let audio = StaticName::exact(b"audiopd").expect("it is short");
    let heap = PageEntry::new(0x96b8_0000, 0x280_0000);

    check_method("attach-root", &Attach::new(client(7)));
    check_method("attach-sensors", &Attach::new(client(7)));
    check_method("release", &Release::new(client(i32::MAX)));
    check_method(
        "create-static-with-heap",
        &CreateStatic::new(client(3), audio, Some(heap)),
    );
    check_method(
        "create-static-without-heap",
        &CreateStatic::new(client(4), audio, None),
    );
    let page = PageEntry::new(0x3_0080_0000, 0x10_0000);
    check_method(
        "mmap-add-pages",
        &Mmap::new(client(9), HeapFlags::AddPages, 0, page),
    );
    check_method(
        "munmap",
        &Munmap::new(client(9), reply(0xe500_0000), 0x10_0000),
    );
    let page = PageEntry::new(0x3_0090_0000, 0x3000);
    let map = MemMap::new(client(9), 11, 0, MapFlags::Fd, 0xffff_8000_1000, page);
    check_method("mem-map", &map);
    check_method(
        "mem-unmap",
        &MemUnmap::new(client(9), 11, reply(0xe600_0000), 0x3000),
    );
    check_method("capabilities", &Capabilities::new());
    let memory = PageEntry::new(0x3_0040_0000, 0x40_0000);
    check_create("create-without-shell", create(9, 0, b"qda-test", 0, memory));
    check_create(
        "create-attr-inline-shell",
        create(9, 200, b"abc", 8, memory),
    );
}

/// The number of `N` bytes at an offset of an input's data, which the caller of the stock driver
/// was told or chose. It is another one in another recording.
fn told<const N: usize>(name: &str, index: usize, at: usize) -> u64 {
    let vector = read(&folder().join(name).with_extension("json"));
    let Vector::Call { args, .. } = vector else {
        panic!("{name} is no call");
    };
    let GArg::Inline {
        data: Some(data), ..
    } = &args[index]
    else {
        panic!("{name}: argument {index} is no input");
    };
    let mut bytes = [0; 8];
    bytes[..N].copy_from_slice(&data[at..at + N]);
    u64::from_le_bytes(bytes)
}

/// The page entry that is the whole of an input.
fn told_page(name: &str, index: usize) -> PageEntry {
    PageEntry::new(told::<8>(name, index, 0), told::<8>(name, index, 8))
}

// covers: T180
#[test]
#[cfg_attr(miri, ignore = "reads many files, which takes minutes")]
fn methods_are_those_of_the_stock_driver() {
    check_method("stock-attach", &Attach::new(client(1)));
    check_method("stock-attach-sensors", &Attach::new(client(1)));
    check_method("stock-release", &Release::new(client(2)));
    check_method("stock-release-root", &Release::new(client(1)));
    check_method("stock-release-sensors", &Release::new(client(1)));
    check_method("stock-capabilities", &Capabilities::new());
    for (name, id, attrs) in [("stock-create", 2, 0), ("stock-create-attr", 1, 8)] {
        let memory = told_page(name, 3);
        check_create(name, create(id, 0, b"golden-record", attrs, memory));
    }

    let fd = i32::try_from(told::<4>("stock-mem-map", 0, 4)).expect("it is a descriptor");
    let hint = told::<8>("stock-mem-map", 0, 16);
    let page = told_page("stock-mem-map", 1);
    let map = MemMap::new(client(1), fd, 0, MapFlags::Fd, hint, page);
    check_method("stock-mem-map", &map);
    let mapped = reply(told::<8>("stock-mem-unmap", 0, 8));
    check_method(
        "stock-mem-unmap",
        &MemUnmap::new(client(1), fd, mapped, 0x2000),
    );

    let page = told_page("stock-mmap", 1);
    check_method(
        "stock-mmap",
        &Mmap::new(client(1), HeapFlags::AddPages, 0, page),
    );
    let mapped = reply(told::<8>("stock-munmap", 0, 8));
    check_method("stock-munmap", &Munmap::new(client(1), mapped, 0x2000));
}
