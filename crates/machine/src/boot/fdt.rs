//! Device trees as values: read from a blob, changed, written as a blob (Devicetree specification 0.4,
//! chapter 5). What the tree of this board says is in `tree`.

use vm_fdt::{FdtReserveEntry, FdtWriter};

/// Largest blob that is read, in bytes.
pub const BLOB_BYTES_MAX: usize = 1 << 20;

const MAGIC: u32 = 0xd00d_feed;
const HEADER_BYTES: usize = 40;
/// The version of the format that this understands; blobs say the oldest that they are compatible with.
const VERSION: u32 = 17;
const DEPTH_MAX: usize = 32;
/// Longest name of a node or a property, in bytes: the specification has 31, and a unit address.
const NAME_BYTES_MAX: usize = 255;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// What is wrong with a device tree blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FdtError {
    /// Not a blob at all.
    #[error("it does not start with the device tree magic number")]
    Magic,
    /// The header says more than there is, or too much.
    #[error("its header does not fit its {0} bytes")]
    Header(usize),
    /// Another version of the format.
    #[error("it needs version {0} of the format, and this program understands 17")]
    Version(u32),
    /// The structure is cut off or does not nest.
    #[error("its structure is damaged at byte {0}")]
    Structure(usize),
    /// It cannot be written again.
    #[error("it cannot be written: {0}")]
    Write(String),
}

/// A node of a device tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name, with unit address; empty for the root.
    pub name: String,
    /// Names and values, in order.
    pub properties: Vec<(String, Vec<u8>)>,
    /// The nodes in it, in order.
    pub children: Vec<Node>,
}

/// A whole device tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Address and size of each reserved piece of memory.
    pub reserved: Vec<(u64, u64)>,
    /// The root.
    pub root: Node,
}

impl Node {
    /// A node without content.
    pub fn new(name: &str) -> Node {
        Node {
            name: name.to_owned(),
            ..Node::default()
        }
    }

    /// Sets a property, in place if it exists.
    pub fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        let value = value.into();
        match self.properties.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.properties.push((name.to_owned(), value)),
        }
    }

    /// The same, for building a tree.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Node {
        self.set(name, value);
        self
    }

    /// Adds a node.
    #[must_use]
    pub fn child(mut self, child: Node) -> Node {
        self.children.push(child);
        self
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.properties.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_slice())
    }

    /// The child of that name; made if there is none.
    pub(crate) fn child_mut(&mut self, name: &str) -> &mut Node {
        let index = match self.children.iter().position(|node| node.name == name) {
            Some(index) => index,
            None => {
                self.children.push(Node::new(name));
                self.children.len() - 1
            }
        };
        &mut self.children[index]
    }

    fn write(&self, writer: &mut FdtWriter) -> Result<(), vm_fdt::Error> {
        let node = writer.begin_node(&self.name)?;
        for (name, value) in &self.properties {
            writer.property(name, value)?;
        }
        for child in &self.children {
            child.write(writer)?;
        }
        writer.end_node(node)
    }
}

/// Cells: 32-bit big-endian numbers.
pub fn cells(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect()
}

/// Strings, each with its terminating zero.
pub fn strings(values: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
    }
    bytes
}

impl Tree {
    /// Writes the blob.
    ///
    /// # Errors
    /// A name or a value cannot be written.
    pub fn to_blob(&self) -> Result<Vec<u8>, FdtError> {
        let failed = |error: vm_fdt::Error| FdtError::Write(error.to_string());
        let reserved: Result<Vec<_>, _> = (self.reserved.iter())
            .map(|(address, size)| FdtReserveEntry::new(*address, *size))
            .collect();
        let mut writer =
            FdtWriter::new_with_mem_reserv(&reserved.map_err(failed)?).map_err(failed)?;
        self.root.write(&mut writer).map_err(failed)?;
        writer.finish().map_err(failed)
    }

    /// Reads a blob, which may be anything.
    ///
    /// # Errors
    /// It is no device tree, or damaged, or nested too deeply.
    pub fn parse(blob: &[u8]) -> Result<Tree, FdtError> {
        let header = |index: usize| word(blob, index * 4).ok_or(FdtError::Header(blob.len()));
        if word(blob, 0) != Some(MAGIC) {
            return Err(FdtError::Magic);
        }
        let total = header(1)? as usize;
        if total < HEADER_BYTES || total > blob.len() || total > BLOB_BYTES_MAX {
            return Err(FdtError::Header(blob.len()));
        }
        let blob = &blob[..total];
        let compatible = header(6)?;
        if compatible > VERSION || header(5)? < VERSION {
            return Err(FdtError::Version(compatible));
        }
        let section = |offset: u32, size: u32| {
            let (offset, size) = (offset as usize, size as usize);
            let end = offset.checked_add(size);
            end.and_then(|end| blob.get(offset..end))
                .ok_or(FdtError::Header(total))
        };
        let mut parser = Parser {
            structure: section(header(2)?, header(9)?)?,
            strings: section(header(3)?, header(8)?)?,
            at: 0,
        };
        if parser.token()? != BEGIN_NODE {
            return Err(FdtError::Structure(0));
        }
        let root = parser.node(0)?;
        if parser.token()? != END {
            return Err(FdtError::Structure(parser.at));
        }
        let reserved = reservations(blob, header(4)? as usize)?;
        Ok(Tree { reserved, root })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

fn reservations(blob: &[u8], mut at: usize) -> Result<Vec<(u64, u64)>, FdtError> {
    let mut reserved = Vec::new();
    loop {
        let number = |at: usize| -> Option<u64> {
            Some(u64::from(word(blob, at)?) << 32 | u64::from(word(blob, at.checked_add(4)?)?))
        };
        let entry = number(at).zip(number(at.saturating_add(8)));
        match entry.ok_or(FdtError::Header(blob.len()))? {
            (0, 0) => return Ok(reserved),
            entry => reserved.push(entry),
        }
        at += 16;
    }
}

struct Parser<'a> {
    structure: &'a [u8],
    strings: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn damaged(&self) -> FdtError {
        FdtError::Structure(self.at)
    }

    fn word(&mut self) -> Result<u32, FdtError> {
        let value = word(self.structure, self.at).ok_or_else(|| self.damaged())?;
        self.at += 4;
        Ok(value)
    }

    fn token(&mut self) -> Result<u32, FdtError> {
        loop {
            match self.word()? {
                NOP => {}
                token => return Ok(token),
            }
        }
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8], FdtError> {
        let rest = self.structure.get(self.at..).unwrap_or(&[]);
        let bytes = rest.get(..len).ok_or_else(|| self.damaged())?;
        self.at = (self.at + len).next_multiple_of(4);
        Ok(bytes)
    }

    /// The string at the start of `bytes`, without its zero. Each property may name the same part of the strings: none is
    /// long.
    fn string(&self, bytes: &'a [u8]) -> Result<&'a str, FdtError> {
        let bytes = &bytes[..bytes.len().min(NAME_BYTES_MAX + 1)];
        let len = bytes.iter().position(|byte| *byte == 0);
        let bytes = &bytes[..len.ok_or_else(|| self.damaged())?];
        std::str::from_utf8(bytes).map_err(|_| self.damaged())
    }

    /// A node whose begin token has been read.
    fn node(&mut self, depth: usize) -> Result<Node, FdtError> {
        if depth > DEPTH_MAX {
            return Err(self.damaged());
        }
        let name = self.string(self.structure.get(self.at..).unwrap_or(&[]))?;
        self.bytes(name.len() + 1)?;
        let mut node = Node::new(name);
        loop {
            match self.token()? {
                BEGIN_NODE => node.children.push(self.node(depth + 1)?),
                END_NODE => return Ok(node),
                PROPERTY => {
                    let len = self.word()? as usize;
                    let name = self.word()? as usize;
                    let value = self.bytes(len)?;
                    let name = self.string(self.strings.get(name..).unwrap_or(&[]))?;
                    node.properties.push((name.to_owned(), value.to_vec()));
                }
                _ => return Err(self.damaged()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Tree {
        let leaf = Node::new("leaf@10")
            .with("reg", cells(&[0x10, 4]))
            .with("empty", []);
        Tree {
            reserved: vec![(0x8000_0000, 0x1000)],
            root: Node::new("")
                .with("model", strings(&["a", "bc"]))
                .child(Node::new("soc").child(leaf))
                .child(Node::new("chosen")),
        }
    }

    #[test]
    fn writes_what_it_reads() {
        let blob = example().to_blob().unwrap();
        assert_eq!(Tree::parse(&blob), Ok(example()));
    }

    #[test]
    fn changes_in_place() {
        let mut tree = example();
        tree.root
            .child_mut("chosen")
            .set("bootargs", strings(&["x"]));
        tree.root
            .child_mut("chosen")
            .set("bootargs", strings(&["y"]));
        tree.root.child_mut("new").set("a", []);
        assert_eq!(tree.root.children[1].get("bootargs"), Some(&b"y\0"[..]));
        assert_eq!(tree.root.children.len(), 3);
    }

    /// A tree of one property, whose name has so many bytes.
    fn named(len: usize) -> Vec<u8> {
        let structure = cells(&[BEGIN_NODE, 0, PROPERTY, 0, 0, END_NODE, END]);
        let mut strings = vec![b'n'; len];
        strings.push(0);
        let at = [HEADER_BYTES + 16, HEADER_BYTES + 16 + structure.len()].map(|at| at as u32);
        let total = at[1] + strings.len() as u32;
        let sizes = [strings.len() as u32, structure.len() as u32];
        let head = [MAGIC, total, at[0], at[1], HEADER_BYTES as u32, VERSION];
        let header = cells(&[&head[..], &[16, 0], &sizes].concat());
        [&header[..], &[0; 16], &structure, &strings].concat()
    }

    /// Each property could name the same long part of the strings, and a blob of 1 MiB become a tree of gigabytes.
    #[test]
    fn a_long_name_is_an_error() {
        assert!(Tree::parse(&named(NAME_BYTES_MAX)).is_ok());
        assert!(Tree::parse(&named(NAME_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let blob = example().to_blob().unwrap();
        assert_eq!(Tree::parse(&[]), Err(FdtError::Magic));
        for len in 0..blob.len() {
            assert!(Tree::parse(&blob[..len]).is_err());
        }
        // Any single byte changed to anything: parsed or refused.
        for at in 0..blob.len() {
            for value in [0, 1, 2, 3, 9, 0x7f, 0x80, 0xff] {
                let mut bad = blob.clone();
                bad[at] = value;
                if let Ok(tree) = Tree::parse(&bad) {
                    let _ = tree.to_blob();
                }
            }
        }
    }
}
