//! The kinds of trouble. Each begins with a protected machine, and ends with all that it needs to be protected again.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::disk::Disk;
use super::junk::Flood;
use super::watch::{BACKUP, JOINER, LOOK_EVERY, PRIMARY, Siege};
use crate::bench::site::Site;
use crate::say::say;

/// How long trouble lasts.
const STRIKE: Duration = Duration::from_secs(10);
/// Address space of a joiner that has too little memory, in KiB: enough to start, not to hold the machine.
const LITTLE_KIB: u64 = 320 << 10;
/// What the guest says at once to a console that nobody reads: some megabytes.
const TALK: &str = "seq 1 500000\n";

#[derive(Clone, Copy)]
pub(super) enum Strike {
    Junk,
    Joiner,
    Disk,
    Console,
    Stall,
}

impl Strike {
    pub(super) const ALL: [Self; 5] = [
        Self::Junk,
        Self::Joiner,
        Self::Disk,
        Self::Console,
        Self::Stall,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Junk => "junk datagrams",
            Self::Joiner => "failing joiner",
            Self::Disk => "full disk",
            Self::Console => "unread console",
            Self::Stall => "stalled backup",
        }
    }

    /// What happens, in a sentence.
    pub(super) fn story(self) -> &'static str {
        match self {
            Self::Junk => {
                "both nodes' UDP ports are flooded with noise and requests for connections"
            }
            Self::Joiner => {
                "the backup leaves; a node with too little memory wants to join, then one that dies of each state that it is sent"
            }
            Self::Disk => {
                "arbiter, logs and configurations are on a disk that is full to the last byte"
            }
            Self::Console => {
                "the guest talks without end to a console that is attached and never read"
            }
            Self::Stall => {
                "the backup's process is stopped, and comes back as one that was left behind"
            }
        }
    }

    pub(super) fn run(self, siege: &mut Siege, disk: &Disk) -> Result<()> {
        match self {
            Self::Junk => junk(siege),
            Self::Joiner => failing_joiner(siege),
            Self::Disk => full_disk(siege, disk),
            Self::Console => unread_console(siege),
            Self::Stall => stalled_backup(siege),
        }
    }
}

fn junk(siege: &mut Siege) -> Result<()> {
    let targets = vec![siege.site.listen[PRIMARY], siege.site.listen[BACKUP]];
    let flood = Flood::start(targets)?;
    let watched = siege.watch(STRIKE);
    let sent = flood.end();
    say(&format!("  {} datagrams a second", sent / STRIKE.as_secs()));
    watched?;
    ensure!(siege.site.is_protected(), "junk datagrams parted the pair");
    Ok(())
}

fn failing_joiner(siege: &mut Siege) -> Result<()> {
    siege.site.stop(BACKUP)?;
    siege
        .site
        .wait("the primary to go on alone", Site::is_alone)?;
    too_little_memory(siege)?;
    dies_of_the_state(siege)?;
    siege.site.start(BACKUP)
}

/// It says how much it has, and must be told that this is too little, at no cost to the guest.
fn too_little_memory(siege: &mut Siege) -> Result<()> {
    siege.site.start_with_little_memory(JOINER, LITTLE_KIB)?;
    let begun = Instant::now();
    let mut told = None;
    while begun.elapsed() < STRIKE {
        siege.watch(LOOK_EVERY)?;
        let status = siege.site.status(PRIMARY)?;
        ensure!(
            status.transfer == "idle",
            "a joiner with too little memory is sent the state"
        );
        told = status.join_refused.or(told);
    }
    siege.site.kill(JOINER);
    let told = told.context("the joiner with too little memory never asked to join")?;
    say(&format!("  refused: {told}"));
    Ok(())
}

/// It dies whenever the state is on its way to it, and its host starts it again at once.
fn dies_of_the_state(siege: &mut Siege) -> Result<()> {
    let begun = Instant::now();
    let mut deaths = 0;
    while begun.elapsed() < STRIKE * 2 {
        if siege.site.reap(JOINER)? {
            siege.site.start(JOINER)?;
        }
        siege.look()?;
        let status = siege.site.status(PRIMARY)?;
        if matches!(status.transfer.as_str(), "copying" | "closing" | "arming") {
            siege.site.kill(JOINER);
            deaths += 1;
            siege.pauses_ms += status.snapshot_pause_ms;
            siege.site.wait("the transfer to be given up", |site| {
                site.status(PRIMARY)
                    .is_ok_and(|status| status.transfer == "idle")
            })?;
        }
        sleep(Duration::from_millis(5));
    }
    siege.site.kill(JOINER);
    ensure!(deaths > 0, "the joiner was never sent the state");
    ensure!(
        siege.site.is_alone(),
        "the joiner was to fail, and became a backup"
    );
    say(&format!("  died {deaths} times with the state on its way"));
    Ok(())
}

fn full_disk(siege: &mut Siege, disk: &Disk) -> Result<()> {
    disk.fill()?;
    let watched = siege.watch(STRIKE);
    disk.free()?;
    watched?;
    ensure!(siege.site.is_protected(), "a full disk parted the pair");
    Ok(())
}

fn unread_console(siege: &mut Siege) -> Result<()> {
    let unread = siege.site.attach()?;
    siege.site.type_in(TALK)?;
    siege.watch(STRIKE)?;
    drop(unread);
    ensure!(
        siege.site.is_protected(),
        "an unread console parted the pair"
    );
    Ok(())
}

fn stalled_backup(siege: &mut Siege) -> Result<()> {
    siege.site.signal(BACKUP, "STOP")?;
    siege
        .site
        .wait("the primary to go on alone", Site::is_alone)?;
    siege.watch(STRIKE)?;
    siege.site.signal(BACKUP, "CONT")?;
    // It learns that it was left behind, and ends by itself.
    while !siege.site.reap(BACKUP)? {
        siege.watch(LOOK_EVERY)?;
    }
    siege.site.start(BACKUP)
}
