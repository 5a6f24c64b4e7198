//! The device tree against the device tree compiler, and against the tree of QEMU's board.

use std::io::Write;
use std::process::{Command, Stdio};

use machine::{BoardConfig, boot};

/// Runs `dtc` (Debian package `device-tree-compiler`); returns what it writes and what it complains of.
fn dtc(from: &str, to: &str, input: &[u8]) -> (String, String) {
    let mut child = Command::new("dtc")
        .args(["-I", from, "-O", to, "-s", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dtc runs: it is in the Debian package device-tree-compiler");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input).expect("dtc reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("dtc ends");
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaints}");
    let written = String::from_utf8_lossy(&output.stdout).into_owned();
    (written, complaints)
}

/// `board.dts` is QEMU's tree without what this board lacks (flash, fw-cfg, PCI, platform bus, performance
/// counters), with this hart's ISA, and sorted.
#[test]
fn is_what_the_board_is_said_to_be() {
    let board = BoardConfig {
        memory_bytes: 1 << 30,
        ..BoardConfig::default()
    };
    let mut tree = boot::tree::describe(&board, &[0xab; 32]);
    boot::tree::choose(
        &mut tree,
        Some("console=ttyS0"),
        Some((0xa020_0000, 0xa200_0000)),
    );
    let (ours, complaints) = dtc("dtb", "dts", &tree.to_blob().unwrap());
    assert_eq!(complaints, "");
    let (expected, _) = dtc("dts", "dts", include_bytes!("board.dts"));
    assert_eq!(ours, expected);
}
