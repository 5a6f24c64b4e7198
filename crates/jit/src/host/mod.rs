//! What a host gives, whichever it is: another one is a folder beside this one's, with the same names.
//!
//! - [`Thunks`]: code that all other code shares, made once.
//! - [`target`]: what plans take of the host.
//! - [`emit`]: from a plan to [`Code`], which depends on the plan and on nothing else; it keeps a [`Scratch`] for its capacity.
//! - [`enter`]: executes code until there is a [`Reason`] to leave it.
//! - [`link`] and [`replace`]: change code that was made.

mod x86_64;

pub(crate) use x86_64::{Code, Reason, Scratch, Thunks, emit, enter, link, replace, target};
