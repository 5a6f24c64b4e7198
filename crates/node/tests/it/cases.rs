//! Small programs that once failed, each of which ends with status 0 where all is well: under both engines.

use node::engine::EngineChoice;
use node::unprotected::{Ending, RunOptions, run};
use node::vm::VmOptions;
use std::path::Path;
use std::process::Command;

fn check(name: &str) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest");
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join(name);
    let built = Command::new("riscv64-linux-gnu-gcc")
        .args([
            "-march=rv64gc_zicsr",
            "-mabi=lp64",
            "-nostdlib",
            "-static",
            "-Wl,--no-warn-rwx-segments,--build-id=none",
        ])
        .arg("-T")
        .arg(sources.join("bare.ld"))
        .arg("-o")
        .args([&program, &sources.join(format!("{name}.S"))])
        .status()
        .expect("the cross compiler is installed (Debian: gcc-riscv64-linux-gnu)");
    assert!(built.success());
    for engine in [EngineChoice::INTERPRETER, EngineChoice::default()] {
        let vm = VmOptions {
            bios: Some(program.clone()),
            memory_bytes: 64 << 20,
            ..VmOptions::new(engine)
        };
        let options = RunOptions {
            vm,
            signature: None,
        };
        assert_eq!(
            run(&options).unwrap().ending,
            Ending::Code(0),
            "{name}, {engine:?}"
        );
    }
}

#[test]
fn code_that_swells() {
    check("code-that-swells");
}

#[test]
fn what_retired() {
    check("retired");
}
