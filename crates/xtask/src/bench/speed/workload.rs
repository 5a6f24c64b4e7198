//! What is run: programs of our own, which are in `bench/programs`, and programs of Debian, which `bench/run` starts.

use anyhow::{Result, bail};

/// Where a workload's program comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The boot of the default guest, from the process' start to the prompt.
    Boot,
    /// `bench/programs/NAME.c`.
    Own,
    /// The same, in floating point where a fused multiply-add rounds otherwise than the host, which may have none.
    OwnFused,
    /// A program of Debian's packages, which `bench/run` starts.
    Debian,
}

/// One workload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Workload {
    /// By which it is selected; the name of its program.
    pub(super) name: &'static str,
    /// What the table calls it.
    pub(super) title: &'static str,
    pub(super) kind: Kind,
}

const fn workload(kind: Kind, name: &'static str, title: &'static str) -> Workload {
    Workload { name, title, kind }
}

/// The workload that is a machine of its own.
pub(super) const BOOT: &str = "boot";

/// All of them, in the order in which they run.
pub(super) const ALL: &[Workload] = &[
    workload(Kind::Boot, BOOT, "boot, kernel to shell in an initramfs"),
    workload(Kind::Own, "alu", "ALU loop"),
    workload(Kind::Own, "sieve", "sieve"),
    workload(Kind::Own, "crc32", "CRC-32 by table"),
    workload(Kind::Own, "chacha", "ChaCha20"),
    workload(Kind::Own, "divide", "division, 128-bit products"),
    workload(Kind::Own, "matmul", "matrix multiply, doubles"),
    workload(Kind::OwnFused, "nbody", "n-body, doubles"),
    workload(Kind::OwnFused, "mandelbrot", "Mandelbrot set, floats"),
    workload(Kind::Own, "libm", "sin, exp, log, pow"),
    workload(Kind::Own, "quicksort", "quicksort with a function pointer"),
    workload(Kind::Own, "permute", "permutations"),
    workload(Kind::Own, "chase", "pointer chase, 32 MiB"),
    workload(Kind::Own, "hash", "hash table"),
    workload(Kind::Own, "trees", "binary trees on the heap"),
    workload(Kind::Own, "records", "Dhrystone-like mix"),
    workload(Kind::Own, "strings", "string functions"),
    workload(Kind::Own, "virtual", "calls by tables of functions"),
    workload(Kind::Own, "fib", "recursion"),
    workload(Kind::Own, "bytecode", "byte code interpreter, by switch"),
    workload(Kind::Own, "memcpy", "memcpy 1 MiB"),
    workload(Kind::Own, "threads", "two threads, one mutex"),
    workload(Kind::Own, "syscalls", "1M system calls"),
    workload(Kind::Own, "signals", "signals"),
    workload(Kind::Own, "mmap", "mmap, touch, unmap"),
    workload(Kind::Own, "fork", "300 forks"),
    workload(Kind::Own, "exec", "200 programs started"),
    workload(Kind::Own, "pipe", "pipe ping-pong"),
    workload(Kind::Own, "yield", "yield between four processes"),
    workload(Kind::Own, "files", "files in memory"),
    workload(Kind::Debian, "openssl", "openssl sha256"),
    workload(Kind::Debian, "gzip", "gzip"),
    workload(Kind::Debian, "7z", "7z"),
    workload(Kind::Debian, "python", "python"),
    workload(Kind::Debian, "sqlite", "sqlite"),
    workload(Kind::Debian, "shell", "shell loop"),
    workload(Kind::Debian, "redis", "redis-benchmark SET, in the guest"),
    workload(Kind::Debian, "compile", "C compile, gcc -O2"),
];

/// The selected workloads, in order; all, if none is named.
pub(super) fn select(names: &[String]) -> Result<Vec<&'static Workload>> {
    let known = |name: &String| ALL.iter().any(|workload| workload.name == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let all: Vec<_> = ALL.iter().map(|workload| workload.name).collect();
        bail!("no workload `{unknown}`: there are {}", all.join(", "));
    }
    let selected =
        |workload: &&Workload| names.is_empty() || names.iter().any(|name| name == workload.name);
    Ok(ALL.iter().filter(selected).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_select() {
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(select(&[]).unwrap().len(), ALL.len());
        let two = select(&names(&["sieve", "boot"])).unwrap();
        assert_eq!(two[0].name, "boot");
        assert_eq!(two[1].name, "sieve");
        assert!(select(&names(&["nothing"])).is_err());
    }

    #[test]
    fn every_workload_has_its_program() {
        let script = fs::read_to_string(crate::process::root().join("bench/run")).unwrap();
        let programs = crate::process::root().join("bench/programs");
        for workload in ALL {
            let own = matches!(workload.kind, Kind::Own | Kind::OwnFused);
            let source = programs.join(format!("{}.c", workload.name));
            assert_eq!(own, source.exists(), "{}", workload.name);
            let started = script.contains(&format!("work.{})", workload.name));
            assert_eq!(workload.kind == Kind::Debian, started, "{}", workload.name);
        }
    }
}
