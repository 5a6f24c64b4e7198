//! The device tree of this board: the shape of QEMU's `virt`, with what this machine has.

use super::fdt::{Node, Tree, cells, strings};
use crate::TICKS_PER_SECOND;
use crate::config::{BoardConfig, VIRTIO_SLOTS};
use crate::ram::RAM_BASE;

/// ISA extensions of the hart, beside the base, in the order of the ISA string.
pub(crate) const EXTENSIONS: [&str; 10] = [
    "i", "m", "a", "f", "d", "c", "zicntr", "zicsr", "zifencei", "sstc",
];

const CPU: u32 = 1;
const CPU_INTERRUPTS: u32 = 2;
const PLIC: u32 = 3;
const TEST: u32 = 4;

/// Interrupt numbers at the hart.
const M_SOFTWARE: u32 = 3;
const M_TIMER: u32 = 7;
const S_EXTERNAL: u32 = 9;
const M_EXTERNAL: u32 = 11;

const SERIAL_PATH: &str = "/soc/serial@10000000";
/// Input clock of the serial port in hertz, from which drivers compute divisors.
const SERIAL_CLOCK: u32 = 3_686_400;

fn string(value: &str) -> Vec<u8> {
    strings(&[value])
}

/// Address and size, two cells each.
fn region(address: u64, size: u64) -> Vec<u8> {
    [address.to_be_bytes(), size.to_be_bytes()].concat()
}

/// A node at `address`, named after it.
fn device(name: &str, address: u64, size: u64, compatible: &[&str]) -> Node {
    Node::new(&format!("{name}@{address:x}"))
        .with("reg", region(address, size))
        .with("compatible", strings(compatible))
}

fn interrupts(node: Node, source: u32) -> Node {
    node.with("interrupt-parent", cells(&[PLIC]))
        .with("interrupts", cells(&[source]))
}

fn syscon(name: &str, value: u32) -> Node {
    Node::new(name)
        .with("compatible", string(&format!("syscon-{name}")))
        .with("regmap", cells(&[TEST]))
        .with("offset", cells(&[0]))
        .with("value", cells(&[value]))
}

/// The ISA string: single letters first, longer names after underscores.
pub(crate) fn isa_string() -> String {
    let mut isa = "rv64".to_owned();
    for extension in EXTENSIONS {
        if extension.len() > 1 {
            isa.push('_');
        }
        isa.push_str(extension);
    }
    isa
}

fn cpus() -> Node {
    let interrupts = Node::new("interrupt-controller")
        .with("#address-cells", cells(&[0]))
        .with("#interrupt-cells", cells(&[1]))
        .with("interrupt-controller", [])
        .with("compatible", string("riscv,cpu-intc"))
        .with("phandle", cells(&[CPU_INTERRUPTS]));
    let cpu = Node::new("cpu@0")
        .with("phandle", cells(&[CPU]))
        .with("device_type", string("cpu"))
        .with("reg", cells(&[0]))
        .with("status", string("okay"))
        .with("compatible", string("riscv"))
        .with("riscv,isa-extensions", strings(&EXTENSIONS))
        .with("riscv,isa-base", string("rv64i"))
        .with("riscv,isa", string(&isa_string()))
        .with("mmu-type", string("riscv,sv48"))
        .child(interrupts);
    let core = Node::new("core0").with("cpu", cells(&[CPU]));
    Node::new("cpus")
        .with("#address-cells", cells(&[1]))
        .with("#size-cells", cells(&[0]))
        .with("timebase-frequency", cells(&[TICKS_PER_SECOND as u32]))
        .child(cpu)
        .child(Node::new("cpu-map").child(Node::new("cluster0").child(core)))
}

fn soc() -> Node {
    let test = device(
        "test",
        0x10_0000,
        0x1000,
        &["sifive,test1", "sifive,test0", "syscon"],
    );
    let serial = device("serial", 0x1000_0000, 0x100, &["ns16550a"])
        .with("clock-frequency", cells(&[SERIAL_CLOCK]));
    let plic = device(
        "plic",
        0xc00_0000,
        0x60_0000,
        &["sifive,plic-1.0.0", "riscv,plic0"],
    )
    .with("phandle", cells(&[PLIC]))
    .with("riscv,ndev", cells(&[95]))
    .with(
        "interrupts-extended",
        cells(&[CPU_INTERRUPTS, M_EXTERNAL, CPU_INTERRUPTS, S_EXTERNAL]),
    )
    .with("interrupt-controller", [])
    .with("#address-cells", cells(&[0]))
    .with("#interrupt-cells", cells(&[1]));
    let clint = device(
        "clint",
        0x200_0000,
        0x1_0000,
        &["sifive,clint0", "riscv,clint0"],
    )
    .with(
        "interrupts-extended",
        cells(&[CPU_INTERRUPTS, M_SOFTWARE, CPU_INTERRUPTS, M_TIMER]),
    );
    let rtc = device("rtc", 0x10_1000, 0x1000, &["google,goldfish-rtc"]);
    let mut soc = Node::new("soc")
        .with("#address-cells", cells(&[2]))
        .with("#size-cells", cells(&[2]))
        .with("compatible", string("simple-bus"))
        .with("ranges", [])
        .child(interrupts(rtc, 11))
        .child(interrupts(serial, 10))
        .child(test.with("phandle", cells(&[TEST])));
    // From the lowest address up, so that a kernel numbers network devices as the board does.
    for slot in 0..VIRTIO_SLOTS as u32 {
        let address = 0x1000_1000 + u64::from(slot) * 0x1000;
        let virtio = device("virtio_mmio", address, 0x1000, &["virtio,mmio"]);
        soc = soc.child(interrupts(virtio, slot + 1));
    }
    soc.child(plic).child(clint)
}

/// The tree of `board`, except for what the kernel is started with.
pub fn describe(config: &BoardConfig, rng_seed: &[u8; 32]) -> Tree {
    let memory = Node::new(&format!("memory@{RAM_BASE:x}"))
        .with("device_type", string("memory"))
        .with("reg", region(RAM_BASE, config.memory_bytes));
    let chosen = Node::new("chosen")
        .with("stdout-path", string(SERIAL_PATH))
        .with("rng-seed", *rng_seed);
    let root = Node::new("")
        .with("#address-cells", cells(&[2]))
        .with("#size-cells", cells(&[2]))
        .with("compatible", string("riscv-virtio"))
        .with("model", string("riscv-virtio,qemu"))
        .child(syscon("poweroff", 0x5555))
        .child(syscon("reboot", 0x7777))
        .child(memory)
        .child(cpus())
        .child(Node::new("aliases").with("serial0", string(SERIAL_PATH)))
        .child(chosen)
        .child(soc());
    Tree {
        reserved: Vec::new(),
        root,
    }
}

/// What the kernel is started with, as the tree's `chosen` node says it. `initrd` is its first address and
/// the one after its last.
pub fn choose(tree: &mut Tree, append: Option<&str>, initrd: Option<(u64, u64)>) {
    let chosen = tree.root.child_mut("chosen");
    if let Some(append) = append {
        chosen.set("bootargs", string(append));
    }
    if let Some((start, end)) = initrd {
        chosen.set("linux,initrd-start", start.to_be_bytes());
        chosen.set("linux,initrd-end", end.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isa() {
        assert_eq!(isa_string(), "rv64imafdc_zicntr_zicsr_zifencei_sstc");
    }

    #[test]
    fn chosen() {
        let mut tree = describe(&BoardConfig::default(), &[7; 32]);
        choose(&mut tree, Some("quiet"), Some((1, 2)));
        let chosen = tree.root.child_mut("chosen");
        assert_eq!(chosen.get("bootargs"), Some(&b"quiet\0"[..]));
        assert_eq!(
            chosen.get("linux,initrd-end"),
            Some(&2u64.to_be_bytes()[..])
        );
        assert_eq!(chosen.get("rng-seed"), Some(&[7; 32][..]));
        let blob = tree.to_blob().unwrap();
        assert_eq!(Tree::parse(&blob), Ok(tree));
    }
}
