//! The machine: a [`Core`] and the engine that runs it, driven by inputs and positions.

use crate::boot::{self, BootError};
use crate::bus::InputError;
use crate::clock::GuestClock;
use crate::core::{Core, EVENT_EFFORT, RUN_EFFORT_MAX};
use crate::digest::{DIGEST_PAGES_MAX, Digest, Parts};
use crate::engine::Engine;
use crate::hart::csr::{self, STCE, SUPERVISOR_INTERRUPTS};
use crate::hart::{Hart, Mode, NO_RESERVATION};
use crate::snapshot::{Snapshot, SnapshotError, State};
use crate::watch::{Illegal, Watch};
use crate::{
    AccessFault, Board, Boot, Bus, Clock, Faults, Firmware, GuestAddr, Input, Interpreter,
    InterpreterOptions, Output, Position, Stop, StopRequest,
};

/// To hash a page, and to find it written anew.
const PAGE_HASH_EFFORT: u64 = 1_500;

/// To copy and to hash so many bytes of outputs takes a unit.
const OUTPUT_BYTES_PER_EFFORT: u64 = 2;

/// Where a run ends if nothing else ends it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// At its limit.
    There,
    /// There, or before if it takes long.
    Soon,
    /// Also where it is easy.
    Easily,
}

/// One deterministic computer.
pub struct Machine {
    core: Core,
    engine: Box<dyn Engine>,
    board: Board,
    /// Where the translation caches were last emptied by [`Input::Synchronize`].
    synchronized: Option<Position>,
}

impl Machine {
    /// Builds the computer and loads what it starts with.
    pub fn boot(board: &Board, boot: &Boot, engine: Box<dyn Engine>) -> Result<Machine, BootError> {
        let mut bus = Bus::new(board)?;
        let entry = boot::load(&mut bus, board, boot)?;
        let mut hart = Hart::new(entry.pc);
        hart.x[10] = entry.a0;
        hart.x[11] = entry.a1;
        hart.x[12] = entry.a2;
        if entry.supervisor {
            enter_supervisor(&mut hart);
        }
        let built_in = boot.firmware == Firmware::BuiltIn;
        let mut core = Core::new(hart, bus, GuestClock::default(), built_in);
        core.watch = Watch::armed();
        Ok(Machine {
            core,
            engine,
            board: board.clone(),
            synchronized: None,
        })
    }

    /// The computer as it was when the snapshot was taken.
    pub fn restore(snapshot: &Snapshot, engine: Box<dyn Engine>) -> Result<Machine, SnapshotError> {
        let (state, ram) = snapshot.open()?;
        let hart = Hart::from_registers(&state.registers, state.position)?;
        if state.clock.at() > state.position {
            return Err(SnapshotError::Clock);
        }
        let bus = Bus::restore(&state.board, ram, state.bus)?;
        Ok(Machine {
            core: Core::new(hart, bus, state.clock, state.built_in_firmware),
            engine,
            board: state.board,
            synchronized: Some(state.position),
        })
    }

    /// The whole state. Outputs must have been taken before.
    ///
    /// # Panics
    /// Unless [`Input::Synchronize`] was applied at this position: a snapshot has no translation caches, so
    /// the machine that goes on must not have any either.
    pub fn snapshot(&mut self) -> Snapshot {
        assert_eq!(
            self.synchronized,
            Some(self.position()),
            "a snapshot follows Synchronize"
        );
        let now = self.core.now();
        let state = State {
            board: self.board.clone(),
            position: self.position(),
            clock: self.core.clock,
            registers: self.core.hart.registers(),
            bus: self.core.bus.save(now),
            dirty: self.core.bus.ram.dirty_words().to_vec(),
            digest_next: self.core.bus.ram.digest_next() as u64,
            built_in_firmware: self.core.built_in_firmware,
        };
        Snapshot::new(&state, &self.core.bus.ram)
    }

    /// Executes up to `until`. At a position at which an interrupt is due, the run ends before it is taken:
    /// where runs end is invisible to the guest.
    pub fn run(&mut self, until: Position) -> Stop {
        self.execute(until, End::There)
    }

    /// Executes up to `until`, or less if that is easier or what was done since the last run takes the host long: for
    /// those who choose as they go where runs end. What has been reached is where the machine is.
    pub fn run_about(&mut self, until: Position) -> Stop {
        self.execute(until, End::Easily)
    }

    /// Executes up to `until`, or less only if what was done since the last run takes the host long: for those who have
    /// something to do at `until`, and may come back for it.
    pub fn run_towards(&mut self, until: Position) -> Stop {
        self.execute(until, End::Soon)
    }

    /// Whoever looks at the machine where a run ends finds done what is due there, as it is where a run goes on.
    fn execute(&mut self, until: Position, end: End) -> Stop {
        let stop = self.execute_to_stop(until, end);
        self.core.go_on();
        self.core.take_devices_effort();
        self.core.rest();
        stop
    }

    fn execute_to_stop(&mut self, mut until: Position, mut end: End) -> Stop {
        let core = &mut self.core;
        loop {
            core.go_on();
            core.effort += EVENT_EFFORT;
            core.take_devices_effort();
            if let Some(stop) = core.bus.stop() {
                return match stop {
                    StopRequest::Reset => Stop::Reset,
                    StopRequest::PowerOff
                    | StopRequest::Fail(_)
                    | StopRequest::Exit(_)
                    | StopRequest::Refused(_) => Stop::PowerOff,
                };
            }
            if core.bus.output_due() {
                return Stop::Output;
            }
            if core.hart.position >= until {
                return Stop::Reached;
            }
            if core.effort >= RUN_EFFORT_MAX {
                if end == End::There {
                    core.rest();
                } else {
                    // What is next may have been looked up, or its handler entered, as for whoever runs further: it ends
                    // behind that, as an exact run to there does.
                    until = Position(core.hart.position.0 + 1);
                    end = End::There;
                }
            }
            let change = core.refresh();
            if core.hart.waiting {
                if core.hart.pending() & core.hart.csr.mie == 0 {
                    return Stop::Idle;
                }
                core.hart.waiting = false;
            }
            let mut limit = change.map_or(until, |change| change.min(until));
            if let Some(interrupt) = core.hart.due_interrupt()
                && !core.take_interrupt(interrupt)
            {
                limit = Position(core.hart.position.0 + 1);
            }
            core.attention = false;
            self.synchronized = None;
            let host_due = core.bus.host_due();
            if let Some(due) = host_due {
                limit = limit.min(due);
            }
            let to_limit = end != End::Easily || limit != until;
            let engine = &mut self.engine;
            let ended = core.contain(|core| {
                if to_limit {
                    engine.run(core, limit);
                } else {
                    engine.run_about(core, limit);
                }
            });
            if ended.is_none() {
                // What it holds may be half done.
                self.engine = Box::new(Interpreter::new(InterpreterOptions::default()));
            }
            let begun = core.faults.take_begun();
            if begun || ended.is_none() {
                if core.hart.position < limit {
                    core.once_more(begun);
                }
                core.attention = true;
            }
            // Nothing else happens between the last instruction and this look, wherever runs end. Where the hart begins to
            // wait, no other position follows at which to look.
            if host_due.is_some_and(|due| due <= core.hart.position || core.hart.waiting) {
                core.contain(|core| core.bus.look_at_host_words(core.hart.position));
                continue;
            }
            if !to_limit && !core.attention {
                return Stop::Reached;
            }
        }
    }

    /// What runs, inputs, outputs and digests have cost the host beside plain instructions since the machine was made here, in about
    /// nanoseconds. No part of the state: engines differ.
    pub fn spent(&self) -> u64 {
        self.core.spent + self.core.effort
    }

    /// For tests: what panics from here on.
    #[doc(hidden)]
    pub fn rig(&mut self, rig: crate::Rig) {
        self.core.rig = rig;
    }

    /// The panics that were contained since the machine was made here.
    pub fn faults(&self) -> &Faults {
        &self.core.faults
    }

    /// Where execution stands.
    pub fn position(&self) -> Position {
        self.core.hart.position
    }

    /// Takes an input at the present position. An error changes nothing.
    pub fn apply(&mut self, input: Input) -> Result<(), InputError> {
        let position = self.position();
        self.core.effort += EVENT_EFFORT + input.bytes() as u64;
        let applied = self.apply_at(input, position);
        self.core.take_devices_effort();
        applied
    }

    #[expect(clippy::needless_pass_by_value, reason = "an input is used up")]
    fn apply_at(&mut self, input: Input, position: Position) -> Result<(), InputError> {
        match input {
            Input::Clock(clock) => {
                self.core.clock.set(clock, position);
                self.core.go_on();
            }
            Input::Synchronize => {
                self.core.tlb.flush();
                self.core.hart.reservation = NO_RESERVATION;
                self.synchronized = Some(position);
            }
            Input::Reset => self.core.bus.request_stop(StopRequest::Reset),
            Input::PowerOff => self.core.bus.request_stop(StopRequest::PowerOff),
            Input::Frame { .. } | Input::Console(_) | Input::Seed(_) => {
                let now = self.core.now();
                // What panicked was applied, as far as it went: here as on the other replica.
                match self.core.contain(|core| core.bus.apply(&input, now)) {
                    Some(applied) => applied?,
                    None => self.core.bus.settle(),
                }
            }
        }
        Ok(())
    }

    /// Takes what the guest has said since the last call, in order.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        let outputs = self.core.bus.take_outputs();
        self.core.watch.hear(&outputs);
        let bytes: usize = outputs.iter().map(Output::bytes).sum();
        self.core.effort += bytes as u64 / OUTPUT_BYTES_PER_EFFORT;
        outputs
    }

    /// The first illegal instruction since the machine was started, as long as the guest has said nothing on a console:
    /// why it may never say anything. Of a machine that was restored, nothing is known.
    pub fn first_illegal(&self) -> Option<Illegal> {
        self.core.watch.first()
    }

    /// Guest time in ticks.
    pub fn time(&self) -> u64 {
        self.core.now()
    }

    /// The guest clock at the present position.
    pub fn clock(&self) -> Clock {
        self.core.clock.clock(self.position())
    }

    /// The guest time in ticks at which a timer next raises (or ends) an interrupt by itself: when an idle
    /// hart would wake.
    pub fn timer_deadline(&mut self) -> Option<u64> {
        self.core.look_for_timer()
    }

    /// Whether the hart waits in WFI with nothing pending.
    pub fn is_idle(&mut self) -> bool {
        self.core.refresh();
        self.core.hart.waiting && self.core.hart.pending() & self.core.hart.csr.mie == 0
    }

    /// Whether the hart waits for what can never come: it has stopped itself, or waits with every interrupt off but those that
    /// only it could raise. To be asked where a run has ended.
    pub fn waits_for_good(&self) -> bool {
        let hart = &self.core.hart;
        let own = csr::SSIP | csr::MSIP;
        hart.waiting && hart.csr.mie & !own == 0 && hart.pending() & hart.csr.mie == 0
    }

    /// What the guest asked for, if it wants the machine to stop.
    pub fn stop_request(&self) -> Option<StopRequest> {
        self.core.bus.stop()
    }

    /// What the machine consists of.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Whether an input would be dropped now, and not later: it is a frame, and the guest has yet to take those that came before.
    pub fn must_wait(&self, input: &Input) -> bool {
        self.core.bus.must_wait(input)
    }

    /// Typed bytes that the guest has yet to read. At most [`CONSOLE_BACKLOG_MAX`](crate::CONSOLE_BACKLOG_MAX) wait; beyond, they are dropped.
    pub fn console_waiting(&self) -> usize {
        self.core.bus.console_waiting()
    }

    /// Bytes of the pages of memory that the guest has ever written: no snapshot's memory is larger.
    pub fn touched_bytes(&self) -> u64 {
        self.core.bus.ram.touched_bytes()
    }

    /// Hashes registers, devices and pages written since a digest last looked at them: at most [`DIGEST_PAGES_MAX`], which
    /// are chosen by what was written and by where the digest before ended, and nothing else.
    pub fn digest(&mut self) -> Digest {
        let core = &mut self.core;
        let now = core.now();
        let written = core.bus.ram.dirty_count();
        let chosen = core.bus.ram.take_dirty(DIGEST_PAGES_MAX);
        let digest = Digest::new(&Parts {
            position: core.hart.position,
            registers: &core.hart.registers(),
            devices: &core.bus.device_states(now),
            tlb: core.tlb.hash(),
            ram: &core.bus.ram,
            written,
            chosen: &chosen,
        });
        core.tlb.slow_stores();
        core.effort += digest.pages_hashed() * PAGE_HASH_EFFORT;
        digest
    }

    /// Copies from memory at a physical address.
    pub fn read_memory(&self, addr: GuestAddr, out: &mut [u8]) -> Result<(), AccessFault> {
        self.core.bus.ram.read(addr, out)
    }

    /// Writes to memory at a physical address, as a device would.
    pub fn write_memory(&mut self, addr: GuestAddr, data: &[u8]) -> Result<(), AccessFault> {
        self.core.bus.ram.write(addr, data)
    }

    /// Everything but the engine, to look at.
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// The same, where looking takes more.
    pub(crate) fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    /// The next instruction, if it can be fetched: which may change what is cached.
    pub(crate) fn instruction(&mut self) -> Option<isa::Insn> {
        let pc = self.core.hart.pc;
        let low = self.core.fetch(pc).ok()?;
        if isa::Insn::length_of(low) == 2 {
            return Some(isa::decode(low.into()));
        }
        let high = self.core.fetch(pc.wrapping_add(2)).ok()?;
        Some(isa::decode(u32::from(high) << 16 | u32::from(low)))
    }

    /// The registers, to look at.
    pub fn hart(&self) -> &Hart {
        &self.core.hart
    }
}

/// What firmware leaves behind when it enters S-mode: traps delegated, all memory permitted, timer and counters
/// accessible, the latter to user programs too, because Linux leaves that as it finds it.
fn enter_supervisor(hart: &mut Hart) {
    hart.mode = Mode::Supervisor;
    hart.csr.medeleg = csr::DELEGABLE & !(1 << 9);
    hart.csr.mideleg = SUPERVISOR_INTERRUPTS;
    hart.csr.mcounteren = 7;
    hart.csr.scounteren = 7;
    hart.csr.menvcfg = STCE;
    hart.csr.stimecmp = u64::MAX;
    hart.allow_all_memory();
}
