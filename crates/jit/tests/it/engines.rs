//! The translator as tests make it.

use jit::{Bounds, Options, Translator};
use machine::Engine;
use torture::lockstep::Maker;

/// As it is used; with the smallest cache, so that code is given up all the time; and with bounds that are met all the time.
pub(crate) const ENGINES: [(&str, Maker<'static>); 3] = [
    ("translator", &usual),
    ("translator with 1 MiB", &small),
    ("translator with little room", &bounded),
];

pub(crate) fn usual() -> Box<dyn Engine> {
    Box::new(Translator::new(Options::default()).expect("this host can be translated for"))
}

pub(crate) fn small() -> Box<dyn Engine> {
    let options = Options {
        cache_bytes: 1 << 20,
        glance: 1,
        ..Options::default()
    };
    Box::new(Translator::new(options).expect("this host can be translated for"))
}

pub(crate) fn bounded() -> Box<dyn Engine> {
    let options = Options {
        cache_bytes: 1 << 20,
        glance: 501,
        bounds: Bounds {
            translation_bytes: 512,
            pages: 4,
            straddled: 2,
        },
    };
    Box::new(Translator::new(options).expect("this host can be translated for"))
}
