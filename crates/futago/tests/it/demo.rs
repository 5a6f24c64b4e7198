//! The story itself: a guest outlives its primary, and programs can read so.

use crate::process::{alone, futago};

/// After two kills each node has been the primary, and each the backup that went live.
fn check(engines: &str) {
    let _alone = alone();
    let output = futago(&["demo", "--kills", "2", "--json", "--engine", engines])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{told}{json}");
    assert_eq!(json["verdict"], "pass");
    assert_eq!(json["kills"], 2);
    for nothing in ["lost", "repeated", "connections_broken"] {
        assert_eq!(json[nothing], 0, "{told}{json}");
    }
    assert!(json["operations"].as_u64().unwrap() > 100, "{told}{json}");
    assert!(
        json["failover_ms_max"].as_f64().unwrap() >= json["failover_ms_median"].as_f64().unwrap()
    );
}

#[test]
fn the_story_ends_well_by_translation() {
    check("translator");
}

#[test]
fn the_story_ends_well_with_two_kinds_of_engines() {
    check("translator,interpreter");
}
