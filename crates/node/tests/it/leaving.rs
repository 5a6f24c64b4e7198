//! Real nodes that are told to end: the machine goes on, or its last node stays.

use crate::pair::{Node, Site, console_after, count};
use node::arbiter::show;
use node::control;
use std::time::{Duration, Instant};

#[test]
fn the_last_node_stays_when_both_are_told_to_end() {
    let site = Site::new(44);
    for round in 0..3 {
        let (mut a, mut b) = site.start_pair();
        count(&mut a.console(), 1);
        for node in [[&a, &b], [&b, &a]][round % 2] {
            node.signal("-TERM");
        }
        let (left, stays) = loop {
            match (a.ended(), b.ended()) {
                (Some(code), None) => break (code, &mut b),
                (None, Some(code)) => break (code, &mut a),
                (None, None) => std::thread::sleep(Duration::from_millis(10)),
                both => panic!("both ended: {both:?}"),
            }
        };
        assert_eq!(left, 0);
        stays.wait("the machine, alone", |status| {
            status.role == "primary" && status.flag == Some(1)
        });
        stays.wait_log("no backup protects it");
        console_after(stays, 2);
        // Whoever means it says it twice; the third time does not wait for the store, in which the next round finds the machine off.
        let said = |stays: &Node, words: &str| stays.log().matches(words).count();
        let (refused, given_up) = ("not stopped: ", "the machine is given up");
        let before = said(stays, given_up);
        let deadline = Instant::now() + Duration::from_secs(60);
        while said(stays, given_up) == before {
            let heard = said(stays, refused);
            stays.signal("-TERM");
            while said(stays, given_up) == before && said(stays, refused) == heard {
                assert!(Instant::now() < deadline, "it hears nothing");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        assert_eq!(stays.wait_end(), 0);
    }
}

#[test]
fn the_only_node_heeds_the_second_signal() {
    let site = Site::new(45);
    let mut a = site.start("a");
    a.wait("primary", |status| status.role == "primary");
    a.signal("-INT");
    a.wait_log("a second signal");
    count(&mut a.console(), 1);
    a.signal("-TERM");
    assert_eq!(a.wait_end(), 0);
    let view = show(&site.directory.path().join("arbiter"), "counter").unwrap();
    assert_eq!(view.mode, "down", "its nodes may start it anew");
}

#[test]
fn a_backup_that_is_told_to_end_is_let_go_by_its_primary() {
    let site = Site::new(46);
    let (a, mut b) = site.start_pair();
    let refused = control::power_off(&b.control).unwrap_err().to_string();
    assert!(refused.contains("its primary, node `a`"), "{refused}");
    count(&mut a.console(), 1);
    control::stop(&b.control, false).unwrap();
    assert_eq!(b.wait_end(), 0);
    let view = show(&site.directory.path().join("arbiter"), "counter").unwrap();
    assert_eq!(view.mode, "solo", "it goes after its primary went on alone");
    console_after(&a, 2);
}
