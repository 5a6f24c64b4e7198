//! Nodes of one machine that are configured otherwise never become a pair; the one that would join says why, and ends.

use crate::pair::{Site, count, protected};

#[test]
fn a_joiner_that_is_configured_otherwise_says_how_and_ends() {
    let site = Site::new(14);
    let a = site.start("a");
    a.wait("primary", |status| status.role == "primary");
    let differences = [
        (
            r#"memory = "16M""#,
            r#"memory = "32M""#,
            "`machine.memory` is `32M` here and `16M` at node a",
        ),
        (
            r#"memory = "16M""#,
            r#"append = "quiet", memory = "16M""#,
            "`machine.append` is `quiet` here and `` at node a",
        ),
        (
            r#"bios = "counter.bin""#,
            r#"bios = "a.toml""#,
            "`machine.bios` is ",
        ),
    ];
    for (from, to, sentence) in differences {
        let mut b = site.start_with("b", |text| text.replacen(from, to, 1));
        assert_eq!(b.wait_end(), 6);
        let log = b.log();
        assert!(
            log.contains("node ended: this node cannot join its peers"),
            "{log}"
        );
        assert!(log.contains(sentence), "{log}");
    }
    // The machine has refused all three, each with the sentence from its own side (twice, where both dialled), and goes on.
    let status = a.wait("the machine", |status| status.refused_peers >= 3);
    assert_eq!(status.role, "primary");
    assert!(
        a.log()
            .contains("`machine.memory` is `16M` here and `32M` at node b"),
        "{}",
        a.log()
    );
    let b = site.start("b");
    protected(&a, &b);
    count(&mut a.console(), 1);
}
