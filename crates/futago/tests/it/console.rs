//! The guest's console on its way out of a node: to its file, and to whoever is attached.

use std::fs;

use crate::seen::Site;

/// `lui t0, 0x10000; li t1, 'x'; sb t1, (t0); j -4`: a guest that says as much as it can, for ever.
const CHATTERS: [u32; 4] = [0x1000_02b7, 0x0780_0313, 0x0062_8023, 0xffdf_f06f];

/// Writes a guest of raw instructions beside the configurations.
fn write_guest(site: &Site, name: &str, code: &[u32]) {
    let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(site.path().join(name), bytes).unwrap();
}

#[test]
fn a_console_file_has_a_bound_under_a_guest_that_floods_it() {
    let site = Site::new(20);
    write_guest(&site, "chatter.bin", &CHATTERS);
    let a = site.start_with("a", |text| {
        text.replace("guest.bin", "chatter.bin").replace(
            "engine =",
            "console = \"a.console\", console_size = \"1M\", engine =",
        )
    });
    a.waits_for("console_file_rotated_bytes", &["--json"], |said| {
        !said.contains(r#""console_file_rotated_bytes":0"#)
            && said.contains(r#""console_file_bytes":0"#)
    });
    a.shows("of its file gave way to newer ones");
    let sizes = || {
        ["a.console", "a.console.1"].map(|name| {
            let file = fs::metadata(site.path().join(name));
            file.unwrap().len()
        })
    };
    assert!(
        sizes().iter().all(|size| *size <= 512 << 10),
        "{:?}",
        sizes()
    );
    // It is confined, and could rotate all the same.
    a.shows_json(r#""sandbox":"full""#);
}
