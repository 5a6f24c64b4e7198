//! Blobs that claim to be device trees: the board's own, with something else in its midst, and some that are made of nothing
//! but the words of the format.

use machine::BoardConfig;
use machine::boot::fdt::{BLOB_BYTES_MAX, Node, Tree};
use machine::boot::tree::{choose, describe};

use crate::Stops;

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const HEADER_BYTES: usize = 40;
/// Nobody asks for more names than this of one tree, and none is long.
const NAMES_BYTES_MAX: usize = 4 * BLOB_BYTES_MAX;

/// A blob is a tree or an error; what can be written again is the same then.
pub(crate) fn tree(bytes: &[u8], stops: &mut Stops) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let blob = match kind % 4 {
        0 => bytes.to_vec(),
        1 => damaged(rest),
        _ => of_words(rest),
    };
    let Ok(tree) = stops.time(|| Tree::parse(&blob)) else {
        return;
    };
    let names = names(&tree.root);
    assert!(names <= NAMES_BYTES_MAX, "{names} bytes of names");
    let Ok(written) = tree.to_blob() else {
        return;
    };
    let again = Tree::parse(&written).expect("what we wrote can be read");
    assert_eq!(again, tree, "it says the same");
    let mut chosen = tree;
    choose(&mut chosen, Some("console=ttyS0"), Some((1 << 31, 1 << 20)));
    let _ = chosen.to_blob();
}

fn names(node: &Node) -> usize {
    let own = node.name.len()
        + node
            .properties
            .iter()
            .map(|(name, _)| name.len())
            .sum::<usize>();
    own + node.children.iter().map(names).sum::<usize>()
}

/// The board's tree, with bytes, words or pieces of it changed.
fn damaged(bytes: &[u8]) -> Vec<u8> {
    let tree = describe(&BoardConfig::default(), &[7; 32]);
    let mut blob = tree.to_blob().expect("our own tree can be written");
    for change in bytes.chunks_exact(4).take(64) {
        let [high, low, how, value] = [change[0], change[1], change[2], change[3]];
        let at = usize::from(u16::from_be_bytes([high, low])) % blob.len();
        match how % 4 {
            0 => blob[at] = value,
            1 => blob[at] ^= 1 << (value % 8),
            2 => {
                let word = at / 4 * 4;
                let end = (word + 4).min(blob.len());
                blob[word..end].fill(value);
            }
            // Of the header.
            _ => blob[at % HEADER_BYTES] = value,
        }
    }
    blob
}

/// A structure of tokens that bytes spell, over strings that may be long.
fn of_words(bytes: &[u8]) -> Vec<u8> {
    let (first, bytes) = bytes.split_at(bytes.len().min(2));
    let long = first
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        * 4;
    let mut strings = vec![b'n'; long];
    strings.extend_from_slice(b"\0reg\0\xff\0");
    let mut structure = Vec::new();
    let mut put = |word: u32| structure.extend_from_slice(&word.to_be_bytes());
    put(1);
    put(0);
    for pair in bytes.chunks_exact(2) {
        let [what, value] = [pair[0], pair[1]];
        match what % 8 {
            0 | 1 => {
                put(1);
                put(u32::from_be_bytes([
                    b'a' + value % 26,
                    b'@',
                    b'0' + value % 10,
                    0,
                ]));
            }
            2 | 3 => put(2),
            // Many at once.
            4 | 5 => {
                for number in 0..u32::from(value) {
                    put(3);
                    put(0);
                    put(match what & 32 {
                        0 => strings.len() as u32 - 7,
                        _ => number % strings.len() as u32,
                    });
                }
            }
            6 => put(4),
            _ => put(u32::from(value)),
        }
    }
    put(2);
    put(9);
    let [structure_at, strings_at] = [HEADER_BYTES + 16, HEADER_BYTES + 16 + structure.len()];
    let total = strings_at + strings.len();
    let header = [
        MAGIC,
        total as u32,
        structure_at as u32,
        strings_at as u32,
        HEADER_BYTES as u32,
        VERSION,
        16,
        0,
        strings.len() as u32,
        structure.len() as u32,
    ];
    let mut blob: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
    blob.extend_from_slice(&[0; 16]);
    blob.extend_from_slice(&structure);
    blob.extend_from_slice(&strings);
    blob
}
