//! The machine: a [`Cpu`], the engine that runs it, and the [`Board`] around it, driven by inputs and positions.

use crate::board::{Board, InputError, memory_of};
use crate::boot::{self, BootError};
use crate::cpu::{Cpu, EVENT_COST, RUN_COST_MAX};
use crate::digest::{DIGEST_PAGES_MAX, Digest, Parts};
use crate::engine::Engine;
use crate::hart::csr::{self, STCE, SUPERVISOR_INTERRUPTS};
use crate::hart::{Hart, Mode, NO_RESERVATION};
use crate::snapshot::{Capture, Chunk, Snapshot, SnapshotError, State, StateBytes};
use crate::watch::{Illegal, Watch};
use crate::{
    AccessFault, BoardConfig, Boot, Clock, Faults, GuestAddr, Input, Interpreter,
    InterpreterOptions, Output, Position, Request, Stop, StopRequest,
};

/// To hash a page, and to find it written anew.
const PAGE_HASH_COST: u64 = 1_500;

/// To copy and to hash so many bytes of outputs takes a unit.
const OUTPUT_BYTES_PER_COST: u64 = 2;

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
    cpu: Cpu,
    engine: Box<dyn Engine>,
    board: Board,
    /// Where the translation caches were last emptied by [`Input::Synchronize`].
    synchronized: Option<Position>,
}

impl Machine {
    /// Builds the computer and loads what it starts with.
    ///
    /// # Errors
    /// The board cannot be built, or what it starts with does not fit.
    pub fn boot(
        config: &BoardConfig,
        boot: &Boot,
        engine: Box<dyn Engine>,
    ) -> Result<Machine, BootError> {
        let mut board = Board::new(config)?;
        let entry = boot::load(&mut board, config, boot)?;
        let mut hart = Hart::new(entry.pc);
        hart.x[10] = entry.a0;
        hart.x[11] = entry.a1;
        hart.x[12] = entry.a2;
        if entry.supervisor {
            enter_supervisor(&mut hart);
        }
        let mut cpu = Cpu::new(hart, &board.ram);
        cpu.watch = Watch::armed();
        Ok(Machine {
            cpu,
            engine,
            board,
            synchronized: None,
        })
    }

    /// The computer as it was when the snapshot was taken.
    ///
    /// # Errors
    /// The snapshot holds what no machine can be, or more than this host can give.
    pub fn restore(snapshot: &Snapshot, engine: Box<dyn Engine>) -> Result<Machine, SnapshotError> {
        let (state, requests) = snapshot.state()?;
        let hart = Hart::from_registers(&state.registers, state.position)?;
        if state.clock.at() > state.position {
            return Err(SnapshotError::Clock);
        }
        let ram = memory_of(&state.config)?;
        let mut board = Board::restore(&state.config, ram, state.board)?;
        board.clock = state.clock;
        board.built_in_firmware = state.built_in_firmware;
        if let Some(requests) = requests {
            board.restore_requests(requests)?;
        }
        for chunk in snapshot.chunks() {
            chunk.restore(&mut board.ram)?;
        }
        let digester = &mut board.digester;
        if !digester.restore(&mut board.ram, &state.dirty, state.digest_next) {
            return Err(SnapshotError::Memory);
        }
        Ok(Machine {
            cpu: Cpu::new(hart, &board.ram),
            engine,
            board,
            synchronized: Some(state.position),
        })
    }

    /// The whole state. Outputs must have been taken before.
    ///
    /// # Panics
    /// As [`Machine::capture`].
    pub fn snapshot(&mut self) -> Snapshot {
        let mut capture = self.capture();
        let chunks = std::iter::from_fn(|| self.take_chunk(&mut capture)).collect();
        Snapshot::new(self.end_capture(capture), chunks)
    }

    /// Begins a snapshot of the present state, whose memory [`Machine::take_chunk`] hands out while the machine may go on.
    /// Outputs must have been taken before.
    ///
    /// # Panics
    /// Unless [`Input::Synchronize`] was applied at this position: a snapshot has no translation caches, so
    /// the machine that goes on must not have any either.
    pub fn capture(&mut self) -> Capture {
        assert_eq!(
            self.synchronized,
            Some(self.position()),
            "a snapshot follows Synchronize"
        );
        let now = self.cpu.now(&self.board);
        let board = &mut self.board;
        let state = State {
            config: board.config().clone(),
            position: self.cpu.hart.position,
            clock: board.clock,
            registers: self.cpu.hart.registers(),
            board: board.save(now),
            dirty: board.written_since_digest().words().to_vec(),
            digest_next: board.digester.next() as u64,
            built_in_firmware: board.built_in_firmware,
        };
        // No store is fast that would have to be told: Synchronize has emptied the caches at this position.
        let requests = board.save_requests();
        Capture::new(&state, requests.as_ref(), &mut board.ram)
    }

    /// The next chunk of memory as it was when the capture began; `None` behind the last.
    pub fn take_chunk(&mut self, capture: &mut Capture) -> Option<Chunk> {
        capture.take_chunk(&mut self.board.ram)
    }

    /// Ends a capture, whether or not all its chunks were taken: nothing is kept for it any longer.
    pub fn end_capture(&mut self, capture: Capture) -> StateBytes {
        capture.end(&mut self.board.ram)
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
        self.cpu.go_on(&mut self.board);
        self.cpu.take_devices_cost(&mut self.board);
        self.cpu.rest();
        stop
    }

    fn execute_to_stop(&mut self, mut until: Position, mut end: End) -> Stop {
        let (cpu, board) = (&mut self.cpu, &mut self.board);
        loop {
            cpu.go_on(board);
            cpu.cost += EVENT_COST;
            cpu.take_devices_cost(board);
            if let Some(stop) = board.stop() {
                return match stop {
                    StopRequest::Reset => Stop::Reset,
                    StopRequest::PowerOff
                    | StopRequest::Fail(_)
                    | StopRequest::Exit(_)
                    | StopRequest::Refused(_) => Stop::PowerOff,
                };
            }
            if board.output_due() {
                return Stop::Output;
            }
            if cpu.hart.position >= until {
                return Stop::Reached;
            }
            if cpu.cost >= RUN_COST_MAX {
                if end == End::There {
                    cpu.rest();
                } else {
                    // What is next may have been looked up, or its handler entered, as for whoever runs further: it ends
                    // behind that, as an exact run to there does.
                    until = Position(cpu.hart.position.0 + 1);
                    end = End::There;
                }
            }
            let change = cpu.refresh(board);
            if cpu.hart.waiting {
                if cpu.hart.pending() & cpu.hart.csr.mie == 0 {
                    return Stop::Idle;
                }
                cpu.hart.waiting = false;
            }
            let mut limit = change.map_or(until, |change| change.min(until));
            if let Some(interrupt) = cpu.hart.due_interrupt()
                && !cpu.take_interrupt(interrupt)
            {
                limit = Position(cpu.hart.position.0 + 1);
            }
            cpu.attention = false;
            self.synchronized = None;
            let host_due = board.host_due();
            if let Some(due) = host_due {
                limit = limit.min(due);
            }
            let to_limit = end != End::Easily || limit != until;
            let engine = &mut self.engine;
            let ended = cpu.contain(|cpu| {
                if to_limit {
                    engine.run(cpu, board, limit);
                } else {
                    engine.run_about(cpu, board, limit);
                }
            });
            if ended.is_none() {
                // What it holds may be half done.
                self.engine = Box::new(Interpreter::new(InterpreterOptions::default()));
            }
            let begun = cpu.faults.take_begun();
            if begun || ended.is_none() {
                if cpu.hart.position < limit {
                    cpu.once_more(board, begun);
                }
                cpu.attention = true;
            }
            // Nothing else happens between the last instruction and this look, wherever runs end. Where the hart begins to
            // wait, no other position follows at which to look.
            if host_due.is_some_and(|due| due <= cpu.hart.position || cpu.hart.waiting) {
                cpu.contain(|cpu| board.look_at_host_words(cpu.hart.position));
                continue;
            }
            if !to_limit && !cpu.attention {
                return Stop::Reached;
            }
        }
    }

    /// What runs, inputs, outputs and digests have cost the host beside plain instructions since the machine was made here, in about
    /// nanoseconds. No part of the state: engines differ.
    pub fn cost(&self) -> u64 {
        self.cpu.cost_before + self.cpu.cost
    }

    /// For tests: what panics from here on.
    #[doc(hidden)]
    pub fn rig(&mut self, rig: crate::Rig) {
        self.cpu.rig = rig;
    }

    /// The panics that were contained since the machine was made here.
    pub fn faults(&self) -> &Faults {
        &self.cpu.faults
    }

    /// Where execution stands.
    pub fn position(&self) -> Position {
        self.cpu.hart.position
    }

    /// Takes an input at the present position.
    ///
    /// # Errors
    /// The machine cannot take it: there is no such device or request, or it is too long. Nothing is changed.
    pub fn apply(&mut self, input: Input) -> Result<(), InputError> {
        let position = self.position();
        self.cpu.cost += EVENT_COST + input.bytes() as u64;
        let applied = self.apply_at(input, position);
        self.cpu.take_devices_cost(&mut self.board);
        applied
    }

    #[expect(clippy::needless_pass_by_value, reason = "an input is used up")]
    fn apply_at(&mut self, input: Input, position: Position) -> Result<(), InputError> {
        match input {
            Input::Clock(clock) => {
                self.board.clock.set(clock, position);
                self.cpu.go_on(&mut self.board);
            }
            Input::Synchronize => {
                self.cpu.tlb.flush();
                self.cpu.hart.reservation = NO_RESERVATION;
                self.synchronized = Some(position);
            }
            Input::Reset => self.board.request_stop(StopRequest::Reset),
            Input::PowerOff => self.board.request_stop(StopRequest::PowerOff),
            Input::Frame { .. } | Input::Console(_) | Input::Seed(_) | Input::Completion(_) => {
                let now = self.cpu.now(&self.board);
                // What panicked was applied, as far as it went: here as on the other replica.
                match self.cpu.contain(|_| self.board.apply(&input, now)) {
                    Some(applied) => applied?,
                    None => self.board.settle(),
                }
            }
        }
        Ok(())
    }

    /// Takes what the guest has said since the last call, in order.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        let outputs = self.board.take_outputs();
        self.cpu.watch.hear(&outputs);
        let bytes: usize = outputs.iter().map(Output::bytes).sum();
        self.cpu.cost += bytes as u64 / OUTPUT_BYTES_PER_COST;
        outputs
    }

    /// Takes the requests that were made since the last call, in order: the host is to carry them out, each on its own, and to
    /// say by [`Input::Completion`] how they ended. From a machine that was restored, all that are pending.
    pub fn take_requests(&mut self) -> Vec<Request> {
        let requests = self.board.take_requests();
        let bytes: usize = requests.iter().map(|request| request.task.bytes()).sum();
        self.cpu.cost += bytes as u64 / OUTPUT_BYTES_PER_COST;
        requests
    }

    /// Lets [`Machine::take_requests`] give all that are pending once more: whoever goes live carries them out again, since nobody
    /// knows how far another host has come with them.
    pub fn repeat_requests(&mut self) {
        self.board.repeat_requests();
    }

    /// For tests: adds a device that makes requests, at 0x102000 (`device/requester.rs`), with interrupt 12.
    #[doc(hidden)]
    pub fn add_requester(&mut self) {
        self.board.add_requester();
    }

    /// The first illegal instruction since the machine was started, as long as the guest has said nothing on a console:
    /// why it may never say anything. Of a machine that was restored, nothing is known.
    pub fn first_illegal(&self) -> Option<Illegal> {
        self.cpu.watch.first()
    }

    /// Guest time in ticks.
    pub fn time(&self) -> u64 {
        self.cpu.now(&self.board)
    }

    /// The guest clock at the present position.
    pub fn clock(&self) -> Clock {
        self.board.clock.clock(self.position())
    }

    /// The guest time in ticks at which a timer next raises (or ends) an interrupt by itself: when an idle
    /// hart would wake.
    pub fn timer_deadline(&mut self) -> Option<u64> {
        self.cpu.look_for_timer(&mut self.board)
    }

    /// Whether the hart waits in WFI with nothing pending.
    pub fn is_idle(&mut self) -> bool {
        self.cpu.refresh(&mut self.board);
        self.cpu.hart.waiting && self.cpu.hart.pending() & self.cpu.hart.csr.mie == 0
    }

    /// Whether the hart waits for what can never come: it has stopped itself, or waits with every interrupt off but those that
    /// only it could raise. To be asked where a run has ended.
    pub fn waits_for_good(&self) -> bool {
        let hart = &self.cpu.hart;
        let own = csr::SSIP | csr::MSIP;
        hart.waiting && hart.csr.mie & !own == 0 && hart.pending() & hart.csr.mie == 0
    }

    /// What the guest asked for, if it wants the machine to stop.
    pub fn stop_request(&self) -> Option<StopRequest> {
        self.board.stop()
    }

    /// Memory, devices, lines and clock, to look at.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Whether an input would be dropped now, and not later: it is a frame, and the guest has yet to take those that came before.
    pub fn must_wait(&self, input: &Input) -> bool {
        self.board.must_wait(input)
    }

    /// Typed bytes that the guest has yet to read. At most [`CONSOLE_BACKLOG_MAX`](crate::CONSOLE_BACKLOG_MAX) wait; beyond, they are dropped.
    pub fn console_waiting(&self) -> usize {
        self.board.console_waiting()
    }

    /// Bytes of the pages of memory that the guest has ever written: no snapshot's memory is larger.
    pub fn touched_bytes(&self) -> u64 {
        self.board.ram.touched_bytes()
    }

    /// Hashes registers, devices and pages written since a digest last looked at them: at most [`DIGEST_PAGES_MAX`], which
    /// are chosen by what was written and by where the digest before ended, and nothing else.
    pub fn digest(&mut self) -> Digest {
        let (cpu, board) = (&mut self.cpu, &mut self.board);
        let now = cpu.now(board);
        let written = board.written_since_digest().count() as u64;
        let chosen = (board.digester).choose(&mut board.ram, DIGEST_PAGES_MAX);
        let digest = Digest::new(&Parts {
            position: cpu.hart.position,
            registers: &cpu.hart.registers(),
            devices: &board.device_states(now),
            tlb: cpu.tlb.hash(),
            ram: &board.ram,
            written,
            chosen: &chosen,
        });
        cpu.tlb.slow_stores();
        cpu.cost += digest.pages_hashed() * PAGE_HASH_COST;
        digest
    }

    /// Copies from memory at a physical address.
    ///
    /// # Errors
    /// Not all of it is memory.
    pub fn read_memory(&self, addr: GuestAddr, out: &mut [u8]) -> Result<(), AccessFault> {
        self.board.ram.read(addr, out)
    }

    /// Writes to memory at a physical address, as a device would.
    ///
    /// # Errors
    /// Not all of it is memory; nothing is written.
    pub fn write_memory(&mut self, addr: GuestAddr, data: &[u8]) -> Result<(), AccessFault> {
        self.board.ram.write(addr, data)
    }

    /// The hart and all that belongs to it, to look at.
    pub fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// Name and serialised state of each device.
    pub fn device_states(&mut self) -> Vec<(String, Vec<u8>)> {
        let now = self.cpu.now(&self.board);
        self.board.device_states(now)
    }

    /// The next instruction, if it can be fetched: which may change what is cached.
    pub fn instruction(&mut self) -> Option<isa::Insn> {
        let pc = self.cpu.hart.pc;
        let low = self.cpu.fetch(&mut self.board, pc).ok()?;
        if isa::Insn::length_of(low) == 2 {
            return Some(isa::decode(low.into()));
        }
        let high = self.cpu.fetch(&mut self.board, pc.wrapping_add(2)).ok()?;
        Some(isa::decode(u32::from(high) << 16 | u32::from(low)))
    }

    /// The registers, to look at.
    pub fn hart(&self) -> &Hart {
        &self.cpu.hart
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
