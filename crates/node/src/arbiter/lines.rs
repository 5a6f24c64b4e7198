//! The form of the small texts around a record: a header, one named value a line, and a checksum as the last line, so
//! that an operator can read them with `cat`.

use thiserror::Error;

/// No such text is longer; more bytes are not read.
pub(super) const TEXT_BYTES_MAX: u64 = 1024;

/// Why bytes are not the text that they should be.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LinesError {
    /// Another format, another version, or no such text at all.
    #[error("the first line is not `{0}`: another format or version")]
    Header(&'static str),
    /// A line is missing or is not what belongs there.
    #[error("the line `{0}` is missing or malformed")]
    Line(&'static str),
    /// The checksum does not agree with the rest.
    #[error("the checksum does not agree: the file is damaged")]
    Checksum,
    /// Something follows the checksum.
    #[error("there is something after the checksum")]
    Trailing,
}

/// `header` and `lines`, with the checksum.
pub(super) fn render(header: &str, lines: &[(&str, String)]) -> String {
    let mut body = format!("{header}\n");
    for (name, value) in lines {
        body.push_str(&format!("{name} {value}\n"));
    }
    let checksum = blake3::hash(body.as_bytes());
    format!("{body}blake3 {checksum}\n")
}

/// The values of the lines called `names`, all of them and in this order.
///
/// # Errors
/// Anything but what [`render`] writes, byte for byte, is refused.
pub(super) fn parse<'a, const N: usize>(
    text: &'a str,
    header: &'static str,
    names: [&'static str; N],
) -> Result<[&'a str; N], LinesError> {
    let mut lines = text.split_inclusive('\n');
    if lines.next().and_then(|line| line.strip_suffix('\n')) != Some(header) {
        return Err(LinesError::Header(header));
    }
    let mut values = [""; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = field(lines.next(), name)?;
    }
    let checksum = field(lines.next(), "blake3")?;
    if lines.next().is_some() {
        return Err(LinesError::Trailing);
    }
    let body_len = text.len() - "blake3 \n".len() - checksum.len();
    if blake3::hash(&text.as_bytes()[..body_len]).to_string() != checksum {
        return Err(LinesError::Checksum);
    }
    Ok(values)
}

fn field<'a>(line: Option<&'a str>, name: &'static str) -> Result<&'a str, LinesError> {
    line.and_then(|line| line.strip_suffix('\n'))
        .and_then(|line| line.strip_prefix(name))
        .and_then(|line| line.strip_prefix(' '))
        .ok_or(LinesError::Line(name))
}
