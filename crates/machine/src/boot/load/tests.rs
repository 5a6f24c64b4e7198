//! Tests of the loader.

use super::*;
use crate::Width;
use crate::config::MEMORY_BYTES_MIN;

const GIB: u64 = 1 << 30;

/// A kernel of `len` bytes that says it takes `image_bytes`.
fn image(len: usize, text_offset: u64, image_bytes: u64) -> Vec<u8> {
    let mut image = vec![0x13; len];
    image[8..16].copy_from_slice(&text_offset.to_le_bytes());
    image[16..24].copy_from_slice(&image_bytes.to_le_bytes());
    image[24..32].copy_from_slice(&0u64.to_le_bytes());
    image[48..56].copy_from_slice(b"RISCV\0\0\0");
    image[56..60].copy_from_slice(b"RSC\x05");
    image
}

fn kernel(kernel: Vec<u8>) -> Boot {
    Boot {
        kernel: Some(kernel),
        ..Boot::default()
    }
}

fn start(memory_bytes: u64, boot: &Boot) -> Result<(Board, Entry), BootError> {
    let config = BoardConfig {
        memory_bytes,
        ..BoardConfig::default()
    };
    let mut board = Board::new(&config).unwrap();
    let entry = load(&mut board, &config, boot)?;
    Ok((board, entry))
}

fn tree_at(board: &Board, address: u64) -> Tree {
    let len = (RAM_BASE + board.ram.len() - address).min(1 << 20);
    let mut blob = vec![0; len as usize];
    board.ram.read(GuestAddr(address), &mut blob).unwrap();
    Tree::parse(&blob).unwrap()
}

fn chosen(board: &Board, entry: Entry, name: &str) -> Option<Vec<u8>> {
    let mut tree = tree_at(board, entry.a1);
    let chosen = tree.root.child_mut("chosen");
    chosen.get(name).map(<[u8]>::to_vec)
}

#[test]
fn kernel_initrd_and_tree_lie_where_qemu_has_them() {
    let boot = Boot {
        initrd: Some(b"initrd".to_vec()),
        append: Some("console=ttyS0".to_owned()),
        ..kernel(image(100, 0x20_0000, 50 << 20))
    };
    let (board, entry) = start(GIB, &boot).unwrap();
    assert_eq!(
        entry,
        Entry {
            pc: 0x8020_0000,
            supervisor: true,
            a0: 0,
            a1: 0xbfe0_0000,
            a2: 0
        }
    );
    let initrd = 0xa020_0000u64;
    let text = |name| chosen(&board, entry, name);
    assert_eq!(text("bootargs"), Some(b"console=ttyS0\0".to_vec()));
    assert_eq!(
        text("linux,initrd-start"),
        Some(initrd.to_be_bytes().into())
    );
    assert_eq!(
        text("linux,initrd-end"),
        Some((initrd + 6).to_be_bytes().into())
    );
    let mut bytes = [0; 6];
    board.ram.read(GuestAddr(initrd), &mut bytes).unwrap();
    assert_eq!(&bytes, b"initrd");
}

#[test]
fn small_memory() {
    // The kernel's bss ends past half of memory, and the disk goes behind it, below the tree.
    let boot = |len| Boot {
        initrd: Some(vec![1; len]),
        ..kernel(image(100, 0x20_0000, 9 << 20))
    };
    let (board, entry) = start(MEMORY_BYTES_MIN, &boot(1 << 20)).unwrap();
    assert_eq!(entry.a1, 0x80e0_0000);
    assert_eq!(
        chosen(&board, entry, "linux,initrd-start"),
        Some(0x80b0_0000u64.to_be_bytes().into())
    );
    let room = 3 << 20;
    assert!(start(MEMORY_BYTES_MIN, &boot(room)).is_ok());
    assert_eq!(
        start(MEMORY_BYTES_MIN, &boot(room + 1)).err(),
        Some(BootError::InitrdTooLarge {
            bytes: room as u64 + 1,
            room: room as u64
        })
    );
}

#[test]
fn seeds() {
    let boot = |seed| Boot {
        seed: [seed; 32],
        ..kernel(image(100, 0, 0))
    };
    let seed = |byte| {
        let (board, entry) = start(MEMORY_BYTES_MIN, &boot(byte)).unwrap();
        chosen(&board, entry, "rng-seed").unwrap()
    };
    assert_eq!(seed(1), seed(1));
    assert_ne!(seed(1), seed(2));
    assert_ne!(seed(1), [1; 32]);
}

#[test]
fn firmware_gets_what_qemu_gives_it() {
    let boot = Boot {
        firmware: Firmware::Image(vec![0x73; 3 << 20]),
        ..kernel(image(64, 0x20_0000, 0))
    };
    let (mut board, entry) = start(GIB, &boot).unwrap();
    assert_eq!((entry.pc, entry.supervisor), (RAM_BASE, false));
    let mut at = |address| board.load(GuestAddr(address), Width::Double, 0).unwrap();
    assert_eq!(at(entry.a2), 0x4942_534f);
    assert_eq!(at(entry.a2 + 16), 0x8040_0000, "next stage, after firmware");
    assert_eq!(at(entry.a2 + 24), 1);
    // What the ROM's own code would load.
    assert_eq!(at(0x1000 + 32), entry.a1);
    assert_eq!(at(0x1000 + 24), entry.pc);
}

#[test]
fn raw_kernels_lie_where_qemu_has_them() {
    // A jump to itself, and what is never executed.
    let raw = [&[0x6f, 0, 0, 0][..], &[0; 96]].concat();
    let (board, entry) = start(MEMORY_BYTES_MIN, &kernel(raw.clone())).unwrap();
    assert_eq!((entry.pc, entry.supervisor), (0x8020_0000, true));
    let mut bytes = [0; 4];
    board.ram.read(GuestAddr(0x8020_0000), &mut bytes).unwrap();
    assert_eq!(bytes, raw[..4]);

    let alone = |image| Boot {
        firmware: Firmware::None,
        ..kernel(image)
    };
    let (mut board, entry) = start(MEMORY_BYTES_MIN, &alone(raw)).unwrap();
    assert_eq!((entry.pc, entry.supervisor), (RAM_BASE, false));
    let mut at = |address| board.load(GuestAddr(address), Width::Double, 0).unwrap();
    assert_eq!(at(0x1000 + 24), RAM_BASE, "the ROM jumps to the kernel");
    assert_eq!(at(entry.a2 + 16), RAM_BASE);
    let (_, entry) = start(MEMORY_BYTES_MIN, &alone(image(64, 0, 0))).unwrap();
    assert_eq!(entry.pc, RAM_BASE, "a kernel for M-mode");
    let nothing = Boot {
        firmware: Firmware::None,
        ..Boot::default()
    };
    assert_eq!(
        start(MEMORY_BYTES_MIN, &nothing).err(),
        Some(BootError::NoKernel)
    );
}

#[test]
fn bad_kernels() {
    let fails = |boot: &Boot| start(MEMORY_BYTES_MIN, boot).err().unwrap();
    assert_eq!(fails(&Boot::default()), BootError::NoKernel);
    assert_eq!(fails(&kernel(vec![])), BootError::KernelFormat);
    assert_eq!(fails(&kernel(vec![0; 4096])), BootError::KernelFormat);
    assert_eq!(
        fails(&kernel(b"no kernel\n".to_vec())),
        BootError::KernelFormat
    );
    assert_eq!(
        fails(&kernel(b"\x1f\x8b\x08".to_vec())),
        BootError::KernelPacked("gzip")
    );
    let mut foreign = vec![0x13; 4096];
    foreign[..2].copy_from_slice(b"MZ");
    assert_eq!(fails(&kernel(foreign)), BootError::KernelForeign);
    let mut big = image(64, 0x20_0000, 0);
    big[24] = 1;
    assert_eq!(fails(&kernel(big)), BootError::KernelBigEndian);
    for (offset, size) in [(0x20_0000, 15 << 20), (0, u64::MAX), (u64::MAX, 1)] {
        assert!(matches!(
            fails(&kernel(image(64, offset, size))),
            BootError::Outside { what: "kernel", .. }
        ));
    }
    // The tree would lie in the kernel.
    assert!(matches!(
        fails(&kernel(image(64, 0x20_0000, 14 << 20))),
        BootError::Overlap {
            what: "device tree",
            other: "kernel",
            ..
        }
    ));
    assert!(matches!(
        fails(&kernel(b"\x7fELF\x02\x01".to_vec())),
        BootError::Elf { what: "kernel", .. }
    ));
}

#[test]
fn a_given_tree_is_kept_and_completed() {
    let mut tree = tree::describe(&BoardConfig::default(), &[0; 32]);
    tree.root.set("model", *b"mine\0");
    let boot = Boot {
        dtb: Some(tree.to_blob().unwrap()),
        append: Some("single".to_owned()),
        ..kernel(image(64, 0, 0))
    };
    let (board, entry) = start(MEMORY_BYTES_MIN, &boot).unwrap();
    assert_eq!(
        tree_at(&board, entry.a1).root.get("model"),
        Some(&b"mine\0"[..])
    );
    assert_eq!(
        chosen(&board, entry, "bootargs"),
        Some(b"single\0".to_vec())
    );
    let bad = Boot {
        dtb: Some(b"nonsense".to_vec()),
        ..boot.clone()
    };
    assert_eq!(
        start(MEMORY_BYTES_MIN, &bad).err(),
        Some(BootError::Dtb(FdtError::Magic))
    );
    let bad = Boot {
        append: Some("a\0b".to_owned()),
        ..boot.clone()
    };
    assert_eq!(start(MEMORY_BYTES_MIN, &bad).err(), Some(BootError::Append));
    for (len, error) in [(1023, None), (1024, Some(BootError::AppendTooLong(1024)))] {
        let long = Boot {
            append: Some("a".repeat(len)),
            dtb: None,
            ..boot.clone()
        };
        assert_eq!(start(MEMORY_BYTES_MIN, &long).err(), error);
    }
}

#[test]
fn a_kernel_that_is_cut_off_is_refused_wherever_it_ends() {
    let mut whole = image(0x3000, 0x20_0000, 1 << 20);
    let mut put = |at: usize, bytes: &[u8]| whole[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(60, &64_u32.to_le_bytes());
    // Two sections, an optional header of 160 bytes.
    put(64 + 6, &2_u16.to_le_bytes());
    put(64 + 20, &160_u16.to_le_bytes());
    for (number, bytes, at) in [(0, 0x1000_u32, 0x1000_u32), (1, 0x1000, 0x2000)] {
        let section = 64 + 24 + 160 + number * 40;
        put(section + 16, &bytes.to_le_bytes());
        put(section + 20, &at.to_le_bytes());
    }
    assert!(start(MEMORY_BYTES_MIN, &kernel(whole.clone())).is_ok());
    for bytes in 0..whole.len() {
        // Each length among the headers, some beyond.
        if bytes > 400 && bytes % 509 != 0 && bytes + 1 != whole.len() {
            continue;
        }
        let error = start(MEMORY_BYTES_MIN, &kernel(whole[..bytes].to_vec())).err();
        assert!(
            matches!(
                error,
                Some(
                    BootError::KernelCutOff { .. }
                        | BootError::KernelForeign
                        | BootError::KernelFormat
                )
            ),
            "{bytes}: {error:?}"
        );
    }
    // Whatever the headers say, it is a number.
    whole[70..].fill(0xff);
    assert!(matches!(
        start(MEMORY_BYTES_MIN, &kernel(whole)).err(),
        Some(BootError::KernelCutOff { .. })
    ));
}

/// An ELF file with one segment and a program header table that ends where the segment's bytes start.
fn elf(physical: u64, virtual_address: u64, data: &[u8], memory_bytes: u64) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, values: &[u16]| {
        values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    };
    let double = |file: &mut Vec<u8>, values: &[u64]| {
        values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    };
    half(&mut file, &[2, 243, 1, 0]);
    // Entry, program headers, section headers.
    double(&mut file, &[virtual_address + 4, 64, 0]);
    half(&mut file, &[0, 0, 64, 56, 1, 64, 0, 0]);
    half(&mut file, &[1, 0, 5, 0]);
    double(
        &mut file,
        &[
            120,
            virtual_address,
            physical,
            data.len() as u64,
            memory_bytes,
            4096,
        ],
    );
    file.extend_from_slice(data);
    file
}

/// The same file with a symbol table at its end, for `tohost` at `value`.
fn with_symbol(mut file: Vec<u8>, value: u64) -> Vec<u8> {
    let strings = file.len();
    file.extend_from_slice(b"\0tohost\0");
    let symbols = file.len();
    file.extend_from_slice(&[0; 24]);
    file.extend_from_slice(&[1, 0, 0, 0, 0x10, 0, 0xf1, 0xff]);
    file.extend_from_slice(&value.to_le_bytes());
    file.extend_from_slice(&[0; 8]);
    let table = file.len();
    file.extend_from_slice(&[0; 64]);
    // Type, place, size, link, entry size: the symbols, then their names.
    for (kind, at, len, link, entry) in [(2u32, symbols, 48u64, 2u32, 24u64), (3, strings, 8, 0, 0)]
    {
        file.extend_from_slice(&[0; 4]);
        file.extend_from_slice(&kind.to_le_bytes());
        file.extend_from_slice(&[0; 16]);
        file.extend_from_slice(&(at as u64).to_le_bytes());
        file.extend_from_slice(&len.to_le_bytes());
        file.extend_from_slice(&link.to_le_bytes());
        file.extend_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        file.extend_from_slice(&entry.to_le_bytes());
    }
    file[40..48].copy_from_slice(&(table as u64).to_le_bytes());
    // Three sections; their own names are in the last, too.
    file[60..64].copy_from_slice(&[3, 0, 2, 0]);
    file
}

#[test]
fn symbols_of_elf_files() {
    let file = with_symbol(elf(RAM_BASE, RAM_BASE, b"code", 4), RAM_BASE + 0x1000);
    let elf = Elf::parse(&file).unwrap();
    assert_eq!(elf.symbol("tohost"), Some(RAM_BASE + 0x1000));
    assert_eq!(elf.symbol("begin_signature"), None);
}

#[test]
fn elf_files() {
    let boot = kernel(elf(0x8030_0000, 0xffff_ffff_8000_0000, b"text", 100));
    let (board, entry) = start(MEMORY_BYTES_MIN, &boot).unwrap();
    assert_eq!(entry.pc, 0x8030_0000, "as QEMU, at the first byte");
    let mut bytes = [0; 4];
    board.ram.read(GuestAddr(0x8030_0000), &mut bytes).unwrap();
    assert_eq!(&bytes, b"text");

    let firmware = |image| Boot {
        firmware: Firmware::Image(image),
        ..Boot::default()
    };
    let boot = firmware(elf(RAM_BASE, RAM_BASE, b"code", 4));
    let (_, entry) = start(MEMORY_BYTES_MIN, &boot).unwrap();
    assert_eq!((entry.pc, entry.supervisor), (RAM_BASE + 4, false));
    for (address, memory_bytes) in [(0, 4), (RAM_BASE, u64::MAX), (u64::MAX, 8)] {
        assert!(matches!(
            start(
                MEMORY_BYTES_MIN,
                &firmware(elf(address, 0, b"code", memory_bytes))
            ),
            Err(BootError::Outside { .. })
        ));
    }
    let short = firmware(elf(RAM_BASE, 0, b"code", 3));
    assert!(matches!(
        start(MEMORY_BYTES_MIN, &short),
        Err(BootError::Elf { .. })
    ));
    let whole = elf(RAM_BASE, 0, b"code", 4);
    for len in 4..whole.len() {
        assert!(start(MEMORY_BYTES_MIN, &firmware(whole[..len].to_vec())).is_err());
    }
}
