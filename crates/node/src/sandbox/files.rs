//! Which files a process may open: everything that is not named is out of reach, whoever its user is.

use super::lack::Lack;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, Compatible, LandlockStatus, PathBeneath, PathFd,
    PathFdError, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The newest rights that are limited here; older kernels limit fewer. By this version there are files, TCP, devices,
/// abstract sockets and signals.
const RIGHTS: ABI = ABI::V6;
/// What is limited here, for sentences.
const WHAT: &str = "files and TCP";

/// Files, or directories with all that is in them, that stay within reach. One that does not exist is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// To be read.
    Read(PathBuf),
    /// A directory in which files are made, written and replaced, but not read.
    Write(PathBuf),
    /// A directory in which sockets of ours are, to be made again, and removed.
    Sockets(PathBuf),
}

impl Place {
    /// What every process of ours may read: its own program, and what the kernel says of it, for backtraces; and how much
    /// memory there is, which the C library asks.
    fn common() -> Vec<Self> {
        let mut paths = vec![PathBuf::from("/proc/self"), PathBuf::from("/proc/meminfo")];
        paths.extend(std::env::current_exe());
        paths.into_iter().map(Self::Read).collect()
    }

    fn path(&self) -> &Path {
        match self {
            // The directory of a bare file name.
            Self::Read(path) | Self::Write(path) | Self::Sockets(path)
                if path.as_os_str().is_empty() =>
            {
                Path::new(".")
            }
            Self::Read(path) | Self::Write(path) | Self::Sockets(path) => path,
        }
    }

    fn access(&self) -> BitFlags<AccessFs> {
        let access = match self {
            Self::Read(_) => AccessFs::ReadFile | AccessFs::ReadDir,
            Self::Write(_) => {
                AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::RemoveFile
            }
            Self::Sockets(_) => AccessFs::MakeSock | AccessFs::RemoveFile,
        };
        if self.path().is_dir() {
            access
        } else {
            access & AccessFs::from_file(RIGHTS)
        }
    }
}

/// Limits this thread and those that it starts.
pub(super) fn limit(places: &[Place]) -> Result<(), Lack> {
    let failed = |error: RulesetError| Lack::of(WHAT, &error);
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp))
        .and_then(|ruleset| ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal))
        .and_then(Ruleset::create)
        .map_err(failed)?
        .set_compatibility(landlock::CompatLevel::BestEffort);
    for place in Place::common().iter().chain(places) {
        if let Some(opened) = open(place.path())? {
            ruleset = ruleset
                .add_rule(PathBeneath::new(opened, place.access()))
                .map_err(failed)?;
        }
    }
    let status = ruleset.restrict_self().map_err(failed)?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, _) => Ok(()),
        (RulesetStatus::PartiallyEnforced, LandlockStatus::Available { effective_abi, .. }) => {
            Err(Lack::Kernel(format!(
                "this kernel's Landlock ({effective_abi:?}) limits fewer rights than {RIGHTS:?} would"
            )))
        }
        (RulesetStatus::PartiallyEnforced | RulesetStatus::NotEnforced, _) => Err(Lack::Kernel(
            format!("{WHAT} are not limited (this kernel has no Landlock, or does not use it)"),
        )),
    }
}

/// Opens a place; none if it is not there, or out of reach already. A place that could not be opened for any other reason
/// would be missing later, without a word.
fn open(path: &Path) -> Result<Option<PathFd>, Lack> {
    match PathFd::new(path) {
        Ok(opened) => Ok(Some(opened)),
        Err(PathFdError::OpenCall { source, .. })
            if matches!(
                source.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(Lack::of(WHAT, &error)),
    }
}
