//! What a node that wants to join costs the machine when it cannot.

use crate::pair::{Site, protected};
use std::fs;
use std::process::Command;

#[test]
fn a_joiner_without_memory_is_refused_before_the_guest_is_stopped() {
    let site = Site::new(24);
    let large = |text: &str| text.replace("\"16M\"", "\"768M\"");
    // Enough for the process, and not for the guest.
    let mut limited = Command::new("prlimit");
    limited
        .arg("--as=805306368:unlimited")
        .arg(std::env::current_exe().unwrap());
    let b = site.start_by(
        "b",
        |text| large(text).replace("control =", "may_start = false, control ="),
        limited,
    );
    let a = site.start_with("a", large);
    let refused = |status: &node::status::NodeStatus| {
        let told = status.join_refused.as_deref();
        // How much it is beyond the guest's memory depends on what the guest has written by then.
        told.is_some_and(|told| told.contains("MiB of memory there, and"))
    };
    let there = b.wait("refused", refused);
    assert!(
        there
            .join_refused
            .is_some_and(|told| told.starts_with("a: "))
    );
    let here = a.wait("refusing", refused);
    assert!(
        here.join_refused
            .is_some_and(|told| told.starts_with("b: "))
    );
    assert_eq!(here.snapshot_pause_ms, 0.0, "the guest was never stopped");
    let pid = b.child.id().to_string();
    let raised = Command::new("prlimit")
        .args(["--pid", &pid, "--as=unlimited"])
        .status();
    assert!(raised.unwrap().success());
    protected(&a, &b);
    assert_eq!(a.status().unwrap().join_refused, None);
    let log = fs::read_to_string(&a.log).unwrap();
    let told = log.matches("asks to join, and must wait").count();
    assert_eq!(told, 1, "the log is told once: {log}");
}
