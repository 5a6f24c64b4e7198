//! A guest that changes everything under the feet of its own program: a small kernel, whose timer goes off at any
//! position, and above it a random program of loops, calls, branches, accesses, floats and stores into code. At each
//! interrupt or call the kernel does one of many things: takes pages away, switches address spaces, aliases and modes,
//! fences, overwrites code, changes how floats round or whether there are any, and whether user pages may be touched.
//!
//! ```text
//! memory + 0        prologue, in M-mode
//!        + 0x1000   handler of traps into M-mode, + 0x2000 of those into S-mode
//!        + 0x3000   initial registers; + 0x3800 what the handler knows
//!        + 0x4000   address space A: root, middle, leaves, and the leaves as they should be
//!        + 0x8000   address space B, likewise
//!        + 0x10000  program, 8 pages
//!        + 0x20000  data, 8 pages
//! ```
//! With paging, memory is mapped for S-mode where it is, the program from 0x10000 and 0x30000 on for S-mode and from
//! 0x20000 and 0x60000 on for U-mode, the data at 0x40000 and, in another order, at 0x50000. Space B has its data pages
//! in another order than A. All of this, but for the memory itself, is also mapped 64 MiB further on.

mod body;
mod items;
mod supervisor;

use crate::generate::Random;

use super::lockstep::{Guest, Origin};
use machine::config::{BoardConfig, MEMORY_BYTES_MIN};
use machine::hart::Mode;
use machine::ram::RAM_BASE;
use machine::{Boot, Clock, Firmware, GuestAddr, Input, Machine, Position};

const MACHINE_HANDLER: usize = 0x1000;
const SUPERVISOR_HANDLER: usize = 0x2000;
const STATE: usize = 0x3800;
const SPACES: [usize; 2] = [0x4000, 0x8000];
const CODE: usize = 0x1_0000;
const DATA: usize = 0x2_0000;
/// Pages of the program, and of the data.
const PAGES: usize = 8;
const IMAGE_BYTES: usize = DATA + PAGES * PAGE;
const PAGE: usize = 0x1000;

/// All that is mapped below is mapped again so far on.
const FAR: u64 = 64 << 20;

/// Where the data is with paging.
const PAGED_DATA: u64 = 0x4_0000;
/// Where the program is with paging, for S-mode and for U-mode.
const PAGED_CODE: [u64; 2] = [0x1_0000, 0x2_0000];

/// How a guest is set up.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// In which the program starts.
    mode: Mode,
    /// Traps go to S-mode, else to M-mode.
    delegated: bool,
    paged: bool,
    /// The timer of M-mode is used, else that of S-mode.
    machine_timer: bool,
    /// The timer goes off after up to so many more ticks: a power of two less one.
    interval: u64,
}

impl Setting {
    fn draw(random: &mut Random) -> Setting {
        let mode = random.pick(&[
            Mode::User,
            Mode::User,
            Mode::Supervisor,
            Mode::Supervisor,
            Mode::Machine,
        ]);
        let delegated = mode != Mode::Machine && !random.one_in(4);
        Setting {
            mode,
            delegated,
            paged: mode != Mode::Machine && !random.one_in(6),
            machine_timer: !delegated && random.one_in(2),
            interval: random.pick(&[31, 127, 511, 2047, 8191]),
        }
    }

    /// Where the program and the data are when it starts.
    fn places(self) -> [u64; 2] {
        match (self.paged, self.mode) {
            (false, _) => [RAM_BASE + CODE as u64, RAM_BASE + DATA as u64],
            (true, Mode::User) => [PAGED_CODE[1], PAGED_DATA],
            (true, _) => [PAGED_CODE[0], PAGED_DATA],
        }
    }
}

/// A store that the kernel makes into the program now and then: what is there stays an instruction.
#[derive(Clone, Copy, Debug)]
struct Patch {
    /// From the start of the program.
    offset: usize,
    word: u32,
}

/// The guest of a seed. It never ends.
pub fn guest(seed: u64) -> Guest {
    let mut random = Random::new(seed);
    let setting = Setting::draw(&mut random);
    let program = body::program(&mut random, setting);
    let image = supervisor::image(&mut random, setting, &program);
    let board = BoardConfig {
        memory_bytes: MEMORY_BYTES_MIN,
        ..BoardConfig::default()
    };
    let boot = Boot {
        firmware: Firmware::Image(image),
        ..Boot::default()
    };
    Guest {
        origin: Origin::Boot(Box::new(board), Box::new(boot)),
        inputs: inputs(&mut random),
    }
}

/// A clock that ticks about once a position, so that a timer is for one position, and a few interruptions.
fn inputs(random: &mut Random) -> Vec<(Position, Input)> {
    let rate = random.pick(&[1 << 32, 1 << 32, 3 << 31, 1 << 31]);
    let mut list = vec![(Position(0), Input::Clock(Clock { time: 0, rate }))];
    let mut position = 0;
    for _ in 0..random.below(4) {
        position += 1 + random.below(20_000) as u64;
        list.push((Position(position), Input::Synchronize));
    }
    list
}

/// What the kernel of a guest has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Exceptions, by cause.
    pub exceptions: [u64; 16],
    /// Interrupts.
    pub interrupts: u64,
    /// Times that the program started anew.
    pub restarts: u64,
    /// Deeds of the kernel.
    pub deeds: [u64; supervisor::DEEDS],
}

impl Counts {
    /// Of a machine that runs such a guest.
    pub fn of(machine: &Machine) -> Counts {
        let read = |offset: i32| {
            let mut bytes = [0; 8];
            let addr = GuestAddr(RAM_BASE + STATE as u64 + offset as u64);
            (machine.read_memory(addr, &mut bytes)).expect("the state lies in memory");
            u64::from_le_bytes(bytes)
        };
        Counts {
            exceptions: std::array::from_fn(|n| read(supervisor::EXCEPTIONS + 8 * n as i32)),
            interrupts: read(supervisor::INTERRUPTS),
            restarts: read(supervisor::RESTARTS),
            deeds: std::array::from_fn(|n| read(supervisor::DEEDS_DONE + 8 * n as i32)),
        }
    }
}
