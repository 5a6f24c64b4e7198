//! The translator as tests make it.

use jit::{Options, Translator};
use machine::Engine;
use machine::hostile::lockstep::Maker;

/// As it is used, and with the smallest cache, so that code is given up all the time.
pub(crate) const ENGINES: [(&str, Maker<'static>); 2] =
    [("translator", &usual), ("translator with 1 MiB", &small)];

pub(crate) fn usual() -> Box<dyn Engine> {
    Box::new(Translator::new(Options::default()).expect("this host can be translated for"))
}

pub(crate) fn small() -> Box<dyn Engine> {
    let options = Options {
        cache_bytes: 1 << 20,
        glance: 1,
    };
    Box::new(Translator::new(options).expect("this host can be translated for"))
}
