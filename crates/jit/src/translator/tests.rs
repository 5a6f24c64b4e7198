//! Guests that drive what is kept for them to its bounds.

use isa::csr;
use std::sync::mpsc::{Sender, channel};

use isa::{Insn, Op};
use machine::{
    Board, BoardConfig, Boot, Cpu, Engine, Firmware, Interpreter, InterpreterOptions, Machine,
    Position,
};

use super::*;
use crate::options::{Bounds, PAGES_MIN, TABLE_BYTES, memory_bytes_max};

/// What a translator keeps after a run.
struct Kept {
    /// Pages with code.
    taken: usize,
    /// Pages of these with an instruction that straddles.
    straddled: usize,
    /// Of tables and notes.
    bytes: usize,
}

/// A translator that tells after each run what it keeps.
struct Watched(Translator, Sender<Kept>);

impl Engine for Watched {
    fn run(&mut self, cpu: &mut Cpu, board: &mut Board, limit: Position) {
        self.0.run(cpu, board, limit);
        let entries = self.0.entries.as_ref().expect("it has run");
        let kept = Kept {
            taken: entries.taken(),
            straddled: self.0.straddled.len(),
            bytes: entries.taken_bytes() + self.0.cache.notes_bytes(),
        };
        self.1.send(kept).unwrap();
    }
}

/// Puts an instruction with these registers and this immediate into an image.
fn put(image: &mut [u8], at: usize, (op, rd, rs1, imm): (Op, u8, u8, i32)) {
    let insn = Insn {
        rd,
        rs1,
        imm,
        ..Insn::new(op)
    };
    image[at..at + 4].copy_from_slice(&insn.encode().to_le_bytes());
}

const PAGES: usize = 200;

/// Adds 1 once in each of [`PAGES`] pages, by an instruction that ends in the next page, over and over.
fn image() -> Vec<u8> {
    let mut image = vec![0; (PAGES + 2) * PAGE_BYTES];
    let mut put = |at, op, rd, rs1, imm| put(&mut image, at, (op, rd, rs1, imm));
    let end = PAGE_BYTES - 2;
    put(0, Op::Jal, 0, 0, end as i32);
    for page in 0..PAGES {
        let start = page * PAGE_BYTES;
        put(start + end, Op::Addi, 10, 10, 1);
        put(start + PAGE_BYTES + 2, Op::Jal, 0, 0, end as i32 - 2);
    }
    let last = PAGES * PAGE_BYTES;
    put(last + 2, Op::Jal, 0, 0, end as i32 - 2 - last as i32);
    image
}

#[test]
fn a_guest_that_executes_everywhere_takes_no_more_than_it_may() {
    let bounds = Bounds {
        translation_bytes: 1024,
        pages: 7,
        straddled: 5,
    };
    let options = Options {
        bounds,
        ..Options::default()
    };
    let (sender, counts) = channel();
    let board = BoardConfig {
        memory_bytes: 16 << 20,
        ..BoardConfig::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(image()),
        ..Boot::default()
    };
    let engine = Box::new(Watched(Translator::new(options).unwrap(), sender));
    let mut machine = Machine::boot(&board, &boot, engine).unwrap();
    let mut most = (0, 0);
    for position in (0..10_000).step_by(11) {
        machine.run(Position(position));
    }
    for kept in counts.try_iter() {
        let (taken, straddled) = (kept.taken, kept.straddled);
        assert!(taken <= bounds.pages && straddled <= bounds.straddled);
        most = (most.0.max(taken), most.1.max(straddled));
    }
    assert_eq!(
        most,
        (bounds.pages, bounds.straddled),
        "the bounds were met"
    );
    let position = machine.position().0;
    assert!(machine.hart().x[10].abs_diff(position / 2) <= 1);
}

/// Pages in 64 MiB of memory, but for some at the end, which the device tree takes.
const PAGES_OF_64_MIB: usize = 15_000;

/// Adds 1 in each page, at the same place, and begins again: at the next place, so that a page is never through with. Small
/// blocks are what makes the table large and the code small.
fn image_with_code_on_each_page() -> Vec<u8> {
    let mut image = vec![0; PAGES_OF_64_MIB * PAGE_BYTES];
    let mut put = |at, op, rd, rs1, imm| put(&mut image, at, (op, rd, rs1, imm));
    // The start of memory is kept in a register, since no jump reaches so far.
    put(0, Op::Auipc, 6, 0, 0);
    for page in 0..PAGES_OF_64_MIB {
        for place in [16, 32, 48, 64] {
            let at = page * PAGE_BYTES + place;
            put(at, Op::Addi, 10, 10, 1);
            put(at + 4, Op::Jal, 0, 0, PAGE_BYTES as i32 - 4);
        }
    }
    put(4, Op::Jal, 0, 0, 16 - 4);
    let last = (PAGES_OF_64_MIB - 1) * PAGE_BYTES;
    for (place, next) in [(16, 32), (32, 48), (48, 64), (64, 16)] {
        put(last + place + 4, Op::Jalr, 0, 6, next);
    }
    image
}

#[test]
fn a_guest_with_code_on_each_page_takes_a_share_of_the_cache() {
    let board = BoardConfig {
        memory_bytes: 64 << 20,
        ..BoardConfig::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(image_with_code_on_each_page()),
        ..Boot::default()
    };
    for cache_bytes in [1 << 20, 32 << 20, Options::default().cache_bytes] {
        let options = Options {
            cache_bytes,
            ..Options::default()
        };
        let (sender, counts) = channel();
        let engine = Watched(Translator::new(options).unwrap(), sender);
        let mut machine = Machine::boot(&board, &boot, Box::new(engine)).unwrap();
        let interpreter = Interpreter::new(InterpreterOptions { block_cache: true });
        let mut reference = Machine::boot(&board, &boot, Box::new(interpreter)).unwrap();
        // Each of the four places twice.
        let until = 8 * 2 * PAGES_OF_64_MIB as u64;
        for position in (0..until).step_by(4999) {
            machine.run(Position(position));
            reference.run(Position(position));
            assert_eq!(machine.position(), reference.position());
            let state = |machine: &Machine| (machine.hart().pc, machine.hart().x[..32].to_vec());
            assert_eq!(state(&machine), state(&reference), "at {position}");
        }
        assert_eq!(machine.digest(), reference.digest());
        let pages = pages_max(cache_bytes);
        let rest = memory_bytes_max(cache_bytes, board.memory_bytes) as usize - cache_bytes;
        let mut most = 0;
        for kept in counts.try_iter() {
            assert!(kept.bytes <= rest, "{} bytes of {rest}", kept.bytes);
            most = most.max(kept.taken);
        }
        assert_eq!(most, pages, "the bound is met, and kept");
        assert!(pages == PAGES_MIN || pages * TABLE_BYTES <= cache_bytes / 3);
    }
}

/// What a guest costs that adds 1 and reads a CSR, over and over: no region is made of that.
fn spent(glance: u64) -> u64 {
    let mut image = vec![0; PAGE_BYTES];
    let insns = [
        (Op::Addi, 10, 10, 1),
        (Op::Csrrs, 11, 0, csr::MSCRATCH.into()),
        (Op::Jal, 0, 0, -8),
    ];
    for (at, insn) in (0..).step_by(4).zip(insns) {
        put(&mut image, at, insn);
    }
    let boot = Boot {
        firmware: Firmware::Image(image),
        ..Boot::default()
    };
    let engine = Translator::new(Options {
        glance,
        ..Options::default()
    });
    let mut machine =
        Machine::boot(&BoardConfig::default(), &boot, Box::new(engine.unwrap())).unwrap();
    machine.run(Position(100_000));
    machine.cost()
}

#[test]
fn to_look_for_a_region_in_vain_costs_something() {
    let (often, never) = (spent(1), spent(1 << 40));
    // So does each CSR.
    assert!(never >= 100_000 / 3 * 32, "{never}");
    assert!(often >= never + FIND_EFFORT, "{often} and {never}");
}

#[test]
fn impossible_bounds_are_refused() {
    let usual = Bounds::default();
    for bounds in [
        Bounds {
            translation_bytes: 48,
            ..usual
        },
        Bounds {
            translation_bytes: TRANSLATION_BYTES_MAX + 16,
            ..usual
        },
        Bounds {
            translation_bytes: 100,
            ..usual
        },
        Bounds { pages: 0, ..usual },
        Bounds {
            straddled: 0,
            ..usual
        },
    ] {
        let options = Options {
            bounds,
            ..Options::default()
        };
        assert!(matches!(
            Translator::new(options),
            Err(Unsupported::Bounds(refused)) if refused == bounds
        ));
    }
}
