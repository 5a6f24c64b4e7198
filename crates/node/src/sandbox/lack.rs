//! Why a part of a sandbox is not there, and whether that is tolerated.

use anyhow::anyhow;
use std::error::Error;
use std::io;

/// Why a part of a sandbox is not there.
#[derive(Debug)]
pub(super) enum Lack {
    /// The kernel cannot do it, which is no reason to end.
    Kernel(String),
    /// It can, and yet something went wrong.
    Failure(String),
}

impl Lack {
    /// What an error means for `what` was to be limited.
    pub(super) fn of(what: &str, error: &(dyn Error + 'static)) -> Self {
        let said = format!("{what} are not limited ({error})");
        let mut cause = Some(error);
        while let Some(error) = cause {
            let number = error.downcast_ref().and_then(io::Error::raw_os_error);
            // What a kernel says that lacks the call, or a container's filter that keeps it back.
            if let Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::EINVAL | libc::EPERM) = number {
                return Self::Kernel(said);
            }
            cause = error.source();
        }
        Self::Failure(said)
    }

    /// The sentence about what the kernel lacks; all else is an error.
    pub(super) fn tolerate(self) -> anyhow::Result<String> {
        match self {
            Self::Kernel(missing) => Ok(missing),
            Self::Failure(why) => Err(anyhow!(
                "this process cannot be confined: {why}; give it what it lacks, or run it with `--no-sandbox`"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_kernel_lacks_is_tolerated() {
        let lack = |number| Lack::of("files", &io::Error::from_raw_os_error(number));
        for number in [libc::ENOSYS, libc::EOPNOTSUPP, libc::EPERM] {
            assert!(lack(number).tolerate().unwrap().contains("not limited"));
        }
        for number in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::E2BIG] {
            let error = lack(number).tolerate().unwrap_err().to_string();
            assert!(error.contains("--no-sandbox"), "{error}");
        }
        let deep = seccompiler::Error::Seccomp(io::Error::from_raw_os_error(libc::ENOSYS));
        assert!(matches!(Lack::of("calls", &deep), Lack::Kernel(_)));
        let other = seccompiler::Error::ThreadSync(7);
        assert!(matches!(Lack::of("calls", &other), Lack::Failure(_)));
    }
}
