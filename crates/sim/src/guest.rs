//! Builds the bare-metal guest of simulations with the real machine.

use std::path::Path;
use std::process::Command;

const FLAGS: &str = "-O2 -ffreestanding -nostdlib -static -mcmodel=medany -march=rv64imafdc -mabi=lp64d \
                     -fno-pic -fno-stack-protector -Wl,-T,guest.ld,--build-id=none,-z,norelro,--no-warn-rwx-segments";

/// The guest as an ELF, compiled for the occasion: it takes no time, and nothing can be stale.
pub(crate) fn build() -> Result<Vec<u8>, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest");
    let elf = std::env::temp_dir().join(format!("futago-sim-{}.elf", std::process::id()));
    let status = Command::new("riscv64-linux-gnu-gcc")
        .args(FLAGS.split_whitespace())
        .args(["start.S", "counter.c", "-o"])
        .arg(&elf)
        .current_dir(sources)
        .status()
        .map_err(|error| {
            format!(
                "cannot run riscv64-linux-gnu-gcc (Debian package gcc-riscv64-linux-gnu): {error}"
            )
        })?;
    if !status.success() {
        return Err("riscv64-linux-gnu-gcc cannot compile crates/sim/guest".to_owned());
    }
    let bytes = std::fs::read(&elf).map_err(|error| format!("cannot read the guest: {error}"))?;
    std::fs::remove_file(&elf)
        .map_err(|error| format!("cannot remove the guest's file: {error}"))?;
    Ok(bytes)
}
