//! Real nodes before stores that are not theirs, and after the loss of the last state.

use crate::arbiter_identity::copy;
use crate::pair::{Site, console_after, count, protected};
use node::arbiter::{init_store, recover, show};
use node::control;
use std::fs;
use std::time::Duration;

#[test]
fn a_store_made_beside_the_right_one_starts_no_second_machine() {
    let site = Site::new(16);
    let root = site.directory.path();
    init_store(&root.join("beside")).unwrap();
    let a = site.start("a");
    a.wait("primary", |status| status.role == "primary");
    let mut b = site.start_with("b", |text| {
        text.replace(r#"directory = "arbiter""#, r#"directory = "beside""#)
    });
    assert_eq!(b.wait_end(), 6);
    assert!(b.log().contains("`arbiter store` is "), "{}", b.log());
    assert_eq!(show(&root.join("beside"), "counter").unwrap().mode, "none");
    // Now that it has seen that store, the right one would be refused.
    let mut b = site.start("b");
    assert_eq!(b.wait_end(), 1);
    assert!(b.log().contains("mount that one"), "{}", b.log());
    fs::remove_file(root.join("b.seen")).unwrap();
    let b = site.start("b");
    protected(&a, &b);
}

#[test]
fn after_the_loss_of_the_last_state_an_operator_recovers_and_the_epochs_go_on() {
    let site = Site::new(17);
    let (a, b) = site.start_pair();
    count(&mut a.console(), 1);
    let arbiter = site.directory.path().join("arbiter");
    b.signal("-KILL");
    let alone = a.wait("alone", |status| status.flag == Some(1));
    a.signal("-KILL");
    drop((a, b));
    let mut a = site.start("a");
    assert_eq!(a.wait_end(), 7);
    assert!(
        a.log().contains("futago arbiter recover") && a.log().contains("only state"),
        "{}",
        a.log()
    );
    assert_eq!(show(&arbiter, "counter").unwrap().epoch, alone.epoch);
    let view = recover(&arbiter, "counter", 0).unwrap();
    assert_eq!((view.epoch, view.mode), (alone.epoch + 1, "down"));
    let a = site.start("a");
    let status = a.wait("primary", |status| status.role == "primary");
    assert_eq!(
        status.epoch,
        alone.epoch + 2,
        "no switch has heard a newer one"
    );
    let b = site.start("b");
    protected(&a, &b);
    count(&mut a.console(), 1);
    // An operator who is mistaken ends the machine, and does not double it.
    recover(&arbiter, "counter", 0).unwrap();
    let (mut a, mut b) = (a, b);
    assert_eq!(a.wait_end(), 3);
    assert!(
        a.log().contains("an operator ended the machine"),
        "{}",
        a.log()
    );
    b.wait_end();
}

/// Two hosts, each with a copy of one store.
fn with_copies(site: &Site) -> fn(&str) -> String {
    let root = site.directory.path();
    copy(&root.join("arbiter"), &root.join("copy"));
    |text| text.replace(r#"directory = "arbiter""#, r#"directory = "copy""#)
}

#[test]
fn two_copies_of_one_store_do_not_make_two_owners() {
    let site = Site::new(40);
    let on_copy = with_copies(&site);
    let a = site.start("a");
    a.wait("primary", |status| status.role == "primary");
    let mut b = site.start_with("b", on_copy);
    assert_eq!(b.wait_end(), 7);
    assert!(b.log().contains("they are two copies"), "{}", b.log());
    let copied = site.directory.path().join("copy");
    assert_eq!(show(&copied, "counter").unwrap().mode, "none");
    assert_eq!(a.status().unwrap().role, "primary");
    count(&mut a.console(), 1);
}

#[test]
fn owners_by_two_copies_of_one_store_find_out_when_they_can_talk() {
    let site = Site::new(41);
    let on_copy = with_copies(&site);
    let mut a = site.start("a");
    a.wait("primary", |status| status.role == "primary");
    // Nobody tells b before it starts the machine.
    a.signal("-STOP");
    let mut b = site.start_with("b", on_copy);
    b.wait("primary", |status| status.role == "primary");
    a.signal("-CONT");
    let (ended, other) = loop {
        match (a.ended(), b.ended()) {
            (Some(code), None) => break (code, &b),
            (None, Some(code)) => break (code, &a),
            (None, None) => std::thread::sleep(Duration::from_millis(10)),
            both => panic!("nobody goes on: {both:?}"),
        }
    };
    assert_eq!(ended, 7);
    count(&mut other.console(), 1);
}

#[test]
fn a_node_that_waits_for_a_machine_that_is_given_up_ends() {
    let site = Site::new(42);
    let (a, b) = site.start_pair();
    a.signal("-KILL");
    b.signal("-KILL");
    drop((a, b));
    let mut waiting = [site.start("a"), site.start("b")];
    for node in &waiting {
        node.wait("joining", |status| status.role == "joining");
        node.wait_log("gives its state up");
    }
    recover(&site.directory.path().join("arbiter"), "counter", 0).unwrap();
    for node in &mut waiting {
        assert_eq!(node.wait_end(), 3);
        assert!(node.log().contains("start it anew"), "{}", node.log());
    }
}

#[test]
fn the_only_node_with_the_state_is_not_stopped_unless_it_is_given_up() {
    let site = Site::new(43);
    let mut a = site.start("a");
    a.wait("primary", |status| status.role == "primary");
    let refused = control::stop(&a.control, false).unwrap_err().to_string();
    assert!(refused.contains("no backup protects it"), "{refused}");
    count(&mut a.console(), 1);
    control::stop(&a.control, true).unwrap();
    assert_eq!(a.wait_end(), 0);
    let view = show(&site.directory.path().join("arbiter"), "counter").unwrap();
    assert_eq!(view.mode, "down", "its nodes may start it anew");
}

#[test]
fn a_takeover_is_told_in_its_parts() {
    let site = Site::new(18);
    let (a, b) = site.start_pair();
    count(&mut a.console(), 1);
    a.signal("-KILL");
    b.wait("the machine", |status| status.role == "primary");
    console_after(&b, 2);
    let status = b.wait("live", |status| {
        status.takeover.is_some_and(|parts| parts.live_ms > 0.0)
    });
    let parts = status.takeover.unwrap();
    assert!(
        parts.detected_ms > 0.0 && parts.swapped_ms > 0.0,
        "{parts:?}"
    );
    assert!(b.log().contains(" detected, "), "{}", b.log());
}
