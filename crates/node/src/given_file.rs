//! Files that a user names, to be read whole: regular ones, and no larger than what they could mean. Anything else would keep
//! the program waiting, or fill its memory, instead of being the mistake that it is.

use anyhow::bail;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Opens a file to be read. The error says what is wrong with it, but not which it is.
pub(crate) fn open(path: &Path, bytes_max: u64) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        // A pipe would wait for its other end, and a terminal become ours.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        let why = "it is a pipe or a device, and no regular file";
        return Err(io::Error::new(ErrorKind::InvalidInput, why));
    }
    too_large(metadata.len(), bytes_max)?;
    Ok(file)
}

/// Reads a file. The error says what is wrong with it, but not which it is.
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = open(path, bytes_max)?;
    let mut bytes = Vec::new();
    let length = usize::try_from(file.metadata()?.len()).map_err(|_| ErrorKind::OutOfMemory)?;
    bytes.try_reserve_exact(length)?;
    // It may grow meanwhile, and some of `/proc` have no length.
    let read = file
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    too_large(read as u64, bytes_max)?;
    Ok(bytes)
}

/// Reads a file of text.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    String::from_utf8(read(path, bytes_max)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is no text"))
}

/// Makes sure that a file that is to be written is none of those that are read, under whatever name.
pub(crate) fn ensure_not_read<'a>(
    written: &Path,
    mut read: impl Iterator<Item = &'a PathBuf>,
) -> anyhow::Result<()> {
    let identity = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
    };
    let Some(own) = identity(written) else {
        return Ok(());
    };
    if let Some(input) = read.find(|input| identity(input) == Some(own)) {
        let name = match input == written {
            true => String::new(),
            false => format!(", as {}", input.display()),
        };
        bail!(
            "{} is to be written, and is also read{name}: name another file to write",
            written.display()
        );
    }
    Ok(())
}

fn too_large(bytes: u64, bytes_max: u64) -> io::Result<()> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::FileTooLarge,
        format!("it is too large: {bytes} bytes, where at most {bytes_max} make sense"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_sensible_size_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("text"), "text").unwrap();
        assert_eq!(read_text(&path("text"), 4).unwrap(), "text");
        std::fs::write(path("bytes"), [0xff]).unwrap();
        let fifo = path("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        File::create(path("huge"))
            .unwrap()
            .set_len(20 << 30)
            .unwrap();
        for (path, bytes_max, why) in [
            (path("text"), 3, "too large: 4 bytes"),
            (path("huge"), 1 << 30, "too large"),
            (path("bytes"), 4, "no text"),
            (fifo, 4, "pipe"),
            ("/dev/zero".into(), 4, "no regular file"),
            (directory.path().to_owned(), 4, "directory"),
        ] {
            let error = read_text(&path, bytes_max).unwrap_err().to_string();
            assert!(error.contains(why), "{}: {error}", path.display());
        }
    }
}
