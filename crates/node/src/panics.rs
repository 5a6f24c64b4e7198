//! What is printed of panics: those that are contained are the guest's to repeat, so that there is a bound.

use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many are printed; `status` counts those that were contained.
const PRINTED_MAX: u64 = 8;

/// From here on, few panics of this process are printed.
pub(crate) fn print_few() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        let seen = AtomicU64::new(0);
        panic::set_hook(Box::new(move |info| {
            match seen.fetch_add(1, Ordering::Relaxed) {
                0..PRINTED_MAX => usual(info),
                PRINTED_MAX => tracing::error!("there were more panics, which are not shown"),
                _ => {}
            }
        }));
    });
}

/// Says, once for a machine, that a panic was contained.
pub(crate) fn say(fault: &machine::Fault) {
    tracing::error!(
        "a bug of this program: executing the guest panicked at position {}, pc {:#x} ({}); \
         the guest goes on from there, more slowly perhaps, and `engine_faults` counts",
        fault.position.0,
        fault.pc,
        fault.message
    );
}
