//! What a build tells its caller as it goes.

use std::fmt;

/// A step of a build. Its `Display` form is one line for a terminal or a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The image is in the cache: nothing to do.
    Cached,
    /// Another process is building in the same cache.
    Waiting,
    /// The list of packages is being fetched and its signature checked.
    Updating,
    /// A source of packages failed, and the next one is tried.
    Retrying {
        /// Why.
        reason: String,
    },
    /// A package is being downloaded.
    Downloading {
        /// The package's name.
        package: String,
        /// How many have begun, this one included.
        number: usize,
        /// How many there are, or 0 while that is not known.
        total: usize,
    },
    /// All packages are here and are being unpacked.
    Unpacking,
    /// The initramfs is being put together.
    Assembling,
    /// The image is finished.
    Built {
        /// Size of the kernel in bytes.
        kernel: u64,
        /// Size of the initramfs in bytes.
        initrd: u64,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Cached => write!(f, "guest: the image is in the cache"),
            Progress::Waiting => write!(f, "guest: waiting for another build to finish"),
            Progress::Updating => write!(f, "guest: fetching the signed list of packages"),
            Progress::Retrying { reason } => {
                write!(f, "guest: trying the next source, since {reason}")
            }
            Progress::Downloading {
                package,
                number,
                total,
            } => write!(f, "guest: downloading {number}/{total} {package}"),
            Progress::Unpacking => write!(f, "guest: unpacking the packages"),
            Progress::Assembling => write!(f, "guest: assembling the initramfs"),
            Progress::Built { kernel, initrd } => write!(
                f,
                "guest: built (kernel {:.1} MB, initramfs {:.1} MB)",
                *kernel as f64 / 1e6,
                *initrd as f64 / 1e6
            ),
        }
    }
}
