//! A figure beside its bar.

use serde::Serialize;

/// One figure.
#[derive(Serialize)]
pub(super) struct Figure {
    /// What was measured.
    what: String,
    /// The figure, in `unit`.
    value: f64,
    unit: &'static str,
    /// What it must reach, and whether it did; none if it is there to compare with.
    bar: Option<Bar>,
}

/// A bar: at most, or at least.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Bar {
    fn reached(self, value: f64) -> bool {
        match self {
            Self::AtMost(bar) => value <= bar,
            Self::AtLeast(bar) => value >= bar,
        }
    }
}

impl Figure {
    pub(super) fn new(
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        bar: Option<Bar>,
    ) -> Self {
        Self {
            what: what.into(),
            value,
            unit,
            bar,
        }
    }

    /// As people read it.
    pub(super) fn line(&self) -> String {
        let Self {
            what, value, unit, ..
        } = self;
        let bar = match self.bar {
            None => String::new(),
            Some(bar) => {
                let words = match bar {
                    Bar::AtMost(bar) => format!("at most {bar}"),
                    Bar::AtLeast(bar) => format!("at least {bar}"),
                };
                let verdict = if bar.reached(*value) {
                    "reached"
                } else {
                    "NOT reached"
                };
                format!("{words}: {verdict}")
            }
        };
        format!("{what:<62} {value:>10.2} {unit:<7} {bar}")
    }
}
