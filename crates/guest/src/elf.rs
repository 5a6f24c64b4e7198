//! What the build needs to know of ELF files: the libraries a program needs, and the modules a kernel
//! module needs. The bytes come from packages and are not trusted.

use object::LittleEndian;
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader};
use thiserror::Error;

/// Why a file cannot be read as an ELF file.
#[derive(Debug, Error)]
pub(crate) enum ElfError {
    #[error("it is not a well-formed 64-bit ELF file: {0}")]
    Malformed(#[from] object::read::Error),
    #[error("a name in it is not text")]
    NotText,
}

/// How a program is linked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Linkage {
    /// Absolute path of the dynamic loader, if the program asks for one.
    pub(crate) loader: Option<String>,
    /// File names of the libraries it needs.
    pub(crate) libraries: Vec<String>,
}

type Header = FileHeader64<LittleEndian>;

/// Reads how a program or library is linked.
pub(crate) fn linkage(data: &[u8]) -> Result<Linkage, ElfError> {
    let header = Header::parse(data)?;
    let endian = header.endian()?;
    let mut linkage = Linkage::default();
    for segment in header.program_headers(endian, data)? {
        if let Some(loader) = segment.interpreter(endian, data)? {
            linkage.loader = Some(text(loader)?);
        }
    }
    let sections = header.sections(endian, data)?;
    if let Some((entries, names)) = sections.dynamic(endian, data)? {
        let names = sections.strings(endian, data, names)?;
        for entry in entries.iter().filter(|e| e.tag(endian) == DT_NEEDED) {
            linkage.libraries.push(text(entry.string(endian, names)?)?);
        }
    }
    Ok(linkage)
}

/// Reads the names of the modules that a kernel module needs: the `depends` entry of its `.modinfo`
/// section, a list of `key=value` strings that end in a zero byte.
pub(crate) fn module_dependencies(data: &[u8]) -> Result<Vec<String>, ElfError> {
    let header = Header::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let Some((_, section)) = sections.section_by_name(endian, b".modinfo") else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for line in section.data(endian, data)?.split(|&byte| byte == 0) {
        if let Some(list) = line.strip_prefix(b"depends=") {
            let list = text(list)?;
            names.extend(list.split(',').filter(|n| !n.is_empty()).map(str::to_owned));
        }
    }
    Ok(names)
}

fn text(bytes: &[u8]) -> Result<String, ElfError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ElfError::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_linked_with_a_c_library() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let linkage = linkage(&own).unwrap();
        assert!(linkage.loader.unwrap().starts_with('/'));
        assert!(linkage.libraries.iter().any(|l| l.starts_with("libc.so")));
        assert!(module_dependencies(&own).unwrap().is_empty());
    }

    #[test]
    fn nonsense_is_an_error() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(linkage(b"").is_err());
        assert!(linkage(&own[..own.len() / 2]).is_err());
        assert!(module_dependencies(b"\x7fELF").is_err());
    }
}
