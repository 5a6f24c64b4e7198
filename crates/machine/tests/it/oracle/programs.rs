//! The programs.

use std::path::Path;

use super::check;

/// Runs `tests/guest/oracle/NAME.c`.
macro_rules! program {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[test]
        fn $name() {
            let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest/oracle");
            let name = stringify!($name);
            let allowed =
                include_str!(concat!("../../guest/oracle/", stringify!($name), ".differences"));
            check(name, &guest.join(format!("{name}.c")), allowed);
        }
    };
}

program!(csr);
program!(paging);
program!(traps);
program!(interrupts);
program!(protection);
program!(atomics);
program!(devices);
program!(board);
