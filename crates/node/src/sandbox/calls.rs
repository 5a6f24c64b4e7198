//! Which system calls a process or thread may make: short lists of what each needs, by names of the kernel's.

use super::kind::Kind;
use super::lack::Lack;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, apply_filter_all_threads,
};
use std::collections::BTreeMap;

/// Memory, time, waiting, and the end of a thread: what any thread needs, and with the next list, all that a hart does.
const ANY_THREAD: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// The arena for translated code is a memory file, made anew with each state that is restored.
const ENGINE: &[i64] = &[libc::SYS_ftruncate, libc::SYS_memfd_create];

/// Event loops, and sockets that are open already.
const EVENTS: &[i64] = &[
    libc::SYS_accept4,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_fcntl,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_getuid,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_rt_sigaction,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_unlinkat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
];

/// What makes a listening socket again whose file was removed, and looks whether it was.
const LISTENER: &[i64] = &[
    libc::SYS_bind,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_listen,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
];

/// Files: which ones, Landlock says.
const FILES: &[i64] = &[
    libc::SYS_fchmod,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_linkat,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_readlinkat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_renameat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
];

/// Calls that are allowed by an argument: which one, and what must be so about it.
type Argument = (i64, u8, SeccompCmpOp, u64);

/// Memory that was made otherwise does not become code: the arena is mapped as what it is.
const NO_NEW_CODE: Argument = (
    libc::SYS_mprotect,
    2,
    SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64),
    0,
);

/// Threads, no processes; the limits of a thread are read and its name set; a filter can only be added.
const THREADS: &[Argument] = &[
    (
        libc::SYS_clone,
        0,
        SeccompCmpOp::MaskedEq(libc::CLONE_THREAD as u64),
        libc::CLONE_THREAD as u64,
    ),
    (libc::SYS_prlimit64, 2, SeccompCmpOp::Eq, 0),
    (
        libc::SYS_prctl,
        0,
        SeccompCmpOp::Eq,
        libc::PR_SET_NAME as u64,
    ),
    (
        libc::SYS_prctl,
        0,
        SeccompCmpOp::Eq,
        libc::PR_SET_NO_NEW_PRIVS as u64,
    ),
    (
        libc::SYS_seccomp,
        0,
        SeccompCmpOp::Eq,
        libc::SECCOMP_SET_MODE_FILTER as u64,
    ),
];

/// Whether reading would wait, and the state of a terminal.
const DEVICES: &[Argument] = &[
    (libc::SYS_ioctl, 1, SeccompCmpOp::Eq, libc::FIONBIO),
    (libc::SYS_ioctl, 1, SeccompCmpOp::Eq, libc::TCGETS),
    (libc::SYS_ioctl, 1, SeccompCmpOp::Eq, libc::TCSETS),
    (libc::SYS_ioctl, 1, SeccompCmpOp::Eq, libc::TCSETSW),
    (libc::SYS_ioctl, 1, SeccompCmpOp::Eq, libc::TCSETSF),
    (libc::SYS_ioctl, 1, SeccompCmpOp::Eq, libc::TIOCGWINSZ),
];

/// The network is a UNIX socket that may have to be connected anew; others that may have to be made again are listened on.
const SOCKETS: &[Argument] = &[
    (libc::SYS_socket, 0, SeccompCmpOp::Eq, libc::AF_UNIX as u64),
    (
        libc::SYS_socketpair,
        0,
        SeccompCmpOp::Eq,
        libc::AF_UNIX as u64,
    ),
];

/// Limits all threads of this process.
pub(super) fn limit_process(kind: Kind) -> Result<(), Lack> {
    let (lists, arguments): (&[&[i64]], &[&[Argument]]) = match kind {
        Kind::Node => (
            &[
                ANY_THREAD,
                ENGINE,
                EVENTS,
                FILES,
                LISTENER,
                &[libc::SYS_clone3, libc::SYS_connect],
            ],
            &[THREADS, DEVICES, SOCKETS],
        ),
        Kind::Machine => (
            &[ANY_THREAD, ENGINE, EVENTS, FILES, &[libc::SYS_clone3]],
            &[THREADS, DEVICES],
        ),
        Kind::MachineWithNetwork => (
            &[
                ANY_THREAD,
                ENGINE,
                EVENTS,
                FILES,
                &[libc::SYS_clone3, libc::SYS_connect],
            ],
            &[THREADS, DEVICES, SOCKETS],
        ),
        Kind::Switch => (&[ANY_THREAD, EVENTS, LISTENER], &[DEVICES, SOCKETS]),
    };
    // Its flags are in memory, where no filter sees them: libraries take this answer for an old kernel's, and use `clone`.
    // Of two filters, an error goes before a permission.
    let no_clone3 = filter(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
    )?;
    let allowed = allow_only(lists, arguments)?;
    apply_filter_all_threads(&no_clone3)
        .and_then(|()| apply_filter_all_threads(&allowed))
        .map_err(lacks)
}

/// Limits this thread to what a hart needs.
pub(super) fn limit_hart() -> Result<(), Lack> {
    apply_filter(&allow_only(&[ANY_THREAD, ENGINE], &[])?).map_err(lacks)
}

fn lacks(error: impl std::error::Error + 'static) -> Lack {
    Lack::of("system calls", &error)
}

fn allow_only(lists: &[&[i64]], arguments: &[&[Argument]]) -> Result<BpfProgram, Lack> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = lists
        .iter()
        .copied()
        .flatten()
        .map(|call| (*call, Vec::new()))
        .collect();
    for (call, number, operator, value) in arguments.iter().copied().flatten().chain([&NO_NEW_CODE])
    {
        let condition =
            SeccompCondition::new(*number, SeccompCmpArgLen::Dword, operator.clone(), *value)
                .and_then(|condition| SeccompRule::new(vec![condition]))
                .map_err(lacks)?;
        rules.entry(*call).or_default().push(condition);
    }
    filter(
        rules,
        SeccompAction::Errno(libc::EPERM as u32),
        SeccompAction::Allow,
    )
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, Lack> {
    // An architecture that the filters are not made for.
    let host = TargetArch::try_from(std::env::consts::ARCH)
        .map_err(|error| Lack::Kernel(format!("system calls are not limited ({error})")))?;
    SeccompFilter::new(rules, otherwise, listed, host)
        .and_then(BpfProgram::try_from)
        .map_err(lacks)
}
