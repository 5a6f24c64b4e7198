//! Output marks: what the primary said up to a position, in a form that the backup can check without
//! being sent the outputs themselves.

use machine::Output;

/// How many outputs a mark covers, and what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputMark {
    /// Number of outputs, after `join_console`.
    pub count: u32,
    /// The first eight bytes of the BLAKE3 hash over all of them.
    pub hash: [u8; 8],
}

impl OutputMark {
    /// The mark for these outputs, which `join_console` has been through.
    pub fn of(outputs: &[Output]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for output in outputs {
            let (tag, bytes) = match output {
                Output::Console(bytes) => (u16::MAX, bytes),
                Output::Frame { device, frame } => (u16::from(*device), frame),
            };
            hasher.update(&tag.to_le_bytes());
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        let mut hash = [0; 8];
        hasher.finalize_xof().fill(&mut hash);
        Self {
            count: u32::try_from(outputs.len()).unwrap_or(u32::MAX),
            hash,
        }
    }
}

/// Appends `more` to `outputs`, joining console bytes that follow one another: where a run was cut into
/// steps must not show in a mark.
pub(crate) fn join_console(outputs: &mut Vec<Output>, more: Vec<Output>) {
    for output in more {
        match (outputs.last_mut(), output) {
            (Some(Output::Console(said)), Output::Console(next)) => said.extend_from_slice(&next),
            (_, output) => outputs.push(output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark_of(pieces: Vec<Output>) -> OutputMark {
        let mut outputs = Vec::new();
        join_console(&mut outputs, pieces);
        OutputMark::of(&outputs)
    }

    #[test]
    fn where_console_output_was_cut_does_not_matter() {
        let say = |text: &str| Output::Console(text.as_bytes().to_vec());
        let frame = || Output::Frame {
            device: 0,
            frame: vec![1, 2, 3],
        };
        let whole = mark_of(vec![say("login: "), frame(), say("root")]);
        assert_eq!(
            whole,
            mark_of(vec![say("log"), say("in: "), frame(), say("r"), say("oot")])
        );
        assert_eq!(whole.count, 3);
        assert_ne!(whole, mark_of(vec![say("login: "), say("root"), frame()]));
        assert_ne!(mark_of(vec![say("a")]), mark_of(vec![say("b")]));
    }
}
