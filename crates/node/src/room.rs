//! How much memory this process could still take: what the host has, what its control group leaves, and its own limit.

use rustix::process::{Resource, getrlimit};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What is read of a file at once; those of interest are far shorter.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// The files that say so, opened while files may still be opened.
#[derive(Debug)]
pub(crate) struct Room {
    host: Option<File>,
    /// Limit, use, and what the use is made of.
    group: Option<[File; 3]>,
    process: Option<File>,
}

impl Room {
    pub(crate) fn open() -> Self {
        let open = |path: &str| File::open(path).ok();
        Self {
            host: open("/proc/meminfo"),
            group: open_group(),
            process: open("/proc/self/status"),
        }
    }

    /// Bytes that this process could take now, as far as the host says; `u64::MAX` where it does not say.
    pub(crate) fn free_bytes(&self) -> u64 {
        let host = self.host.as_ref().and_then(read);
        let host = host.and_then(|text| field(&text, "MemAvailable:", 1 << 10));
        let parts = [host, self.group_bytes(), self.limit_bytes()];
        parts.into_iter().flatten().min().unwrap_or(u64::MAX)
    }

    /// What the control group leaves: its use counts the page cache, which gives way.
    fn group_bytes(&self) -> Option<u64> {
        let [limit, used, parts] = self.group.as_ref()?;
        // `max`, where there is no limit, is no number.
        let number = |file| read(file)?.trim().parse::<u64>().ok();
        let (limit, used) = (number(limit)?, number(used)?);
        let parts = read(parts)?;
        let cache = ["active_file", "inactive_file"]
            .into_iter()
            .filter_map(|name| field(&parts, name, 1));
        Some(limit.saturating_sub(used.saturating_sub(cache.sum())))
    }

    /// What the limit on the process's address space leaves.
    fn limit_bytes(&self) -> Option<u64> {
        let limit = getrlimit(Resource::As).current?;
        let text = read(self.process.as_ref()?)?;
        Some(limit.saturating_sub(field(&text, "VmSize:", 1 << 10)?))
    }
}

fn read(file: &File) -> Option<String> {
    let mut bytes = vec![0; TEXT_BYTES_MAX];
    let length = file.read_at(&mut bytes, 0).ok()?;
    bytes.truncate(length);
    String::from_utf8(bytes).ok()
}

/// The number behind `name` in a text of one name and number a line.
fn field(text: &str, name: &str, unit: u64) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| {
        let number = words
            .next()
            .filter(|word| *word == name)
            .and(words.next())?;
        number.parse::<u64>().ok()?.checked_mul(unit)
    })
}

/// The files of this process's control group (version 2).
fn open_group() -> Option<[File; 3]> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folder = Path::new("/sys/fs/cgroup").join(path);
    let open = |name| File::open(folder.join(name)).ok();
    Some([
        open("memory.max")?,
        open("memory.current")?,
        open("memory.stat")?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_says_what_is_free() {
        let text = "MemTotal:       16384 kB\nMemAvailable:   2048 kB\nBuffers: 1 kB\n";
        assert_eq!(field(text, "MemAvailable:", 1 << 10), Some(2 << 20));
        assert_eq!(field("MemTotal: 1 kB\n", "MemAvailable:", 1), None);
        let free = Room::open().free_bytes();
        assert!(free > 1 << 20, "{free}");
    }
}
