//! The ratios as a picture: for each workload a bar for each peer, on a logarithmic scale, from the line where both are
//! equally fast.

use std::fmt::Write;

use super::report::mean;
use super::results::{Peer, Results};

const LABELS_WIDTH: f64 = 290.0;
const BARS_WIDTH: f64 = 560.0;
const ROW_HEIGHT: f64 = 26.0;
const BAR_HEIGHT: f64 = 9.0;
const TOP: f64 = 64.0;
const MARGIN: f64 = 50.0;

const BARS: [(Peer, &str); 2] = [(Peer::Tcg, "#4477aa"), (Peer::Record, "#ee9944")];
const MARKS: [f64; 13] = [
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0,
];

/// From ratios to places in the picture.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Wide enough for all ratios, and for 1.
    fn of(ratios: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (0.5_f64, 2.0_f64);
        for ratio in ratios.filter(|ratio| ratio.is_finite() && *ratio > 0.0) {
            low = low.min(ratio);
            high = high.max(ratio);
        }
        Self { low, high }
    }

    fn place(&self, ratio: f64) -> f64 {
        let share = (ratio / self.low).ln() / (self.high / self.low).ln();
        LABELS_WIDTH + share * BARS_WIDTH
    }
}

/// Draws the picture.
pub(super) fn svg(results: &Results) -> String {
    let mut rows: Vec<(&str, [Option<f64>; 2])> = (results.rows.iter())
        .map(|row| {
            (
                row.workload.title,
                BARS.map(|(peer, _)| row.ratio(peer, results.clock)),
            )
        })
        .collect();
    rows.push(("geometric mean", BARS.map(|(peer, _)| mean(results, peer))));
    let scale = Scale::of(
        rows.iter()
            .flat_map(|(_, ratios)| ratios.iter().flatten().copied()),
    );
    let width = LABELS_WIDTH + BARS_WIDTH + MARGIN;
    let bottom = TOP + rows.len() as f64 * ROW_HEIGHT;
    let height = bottom + MARGIN;
    // Writing into a string does not fail, here and below.
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"16\">How many times faster Futago's guest is</text>"
    );
    for (index, (peer, colour)) in BARS.iter().enumerate() {
        let x = LABELS_WIDTH + index as f64 * 190.0;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"36\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"47\">than QEMU {}</text>",
            x + 18.0,
            peer.title()
        );
    }
    for mark in MARKS
        .iter()
        .filter(|mark| (scale.low..=scale.high).contains(*mark))
    {
        let x = scale.place(*mark);
        let stroke = if *mark == 1.0 { "#000" } else { "#ddd" };
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{stroke}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{mark}</text>",
            bottom + 18.0
        );
    }
    for (index, (title, ratios)) in rows.iter().enumerate() {
        let y = TOP + index as f64 * ROW_HEIGHT;
        let weight = if index + 1 == rows.len() {
            "bold"
        } else {
            "normal"
        };
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" font-weight=\"{weight}\">{}</text>",
            LABELS_WIDTH - 8.0,
            y + 16.0,
            escape(title)
        );
        for (bar, ratio) in ratios.iter().enumerate() {
            if let Some(ratio) = *ratio {
                bar_of(
                    &mut out,
                    &scale,
                    ratio,
                    y + 3.0 + bar as f64 * (BAR_HEIGHT + 1.0),
                    BARS[bar].1,
                );
            }
        }
    }
    out + "</svg>\n"
}

fn bar_of(out: &mut String, scale: &Scale, ratio: f64, y: f64, colour: &str) {
    let (one, end) = (scale.place(1.0), scale.place(ratio));
    let (from, to) = (one.min(end), one.max(end));
    let _ = writeln!(
        out,
        "<rect x=\"{from:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{colour}\"/>\
         <text x=\"{:.1}\" y=\"{}\" font-size=\"9\">{ratio:.2}</text>",
        (to - from).max(0.5),
        to + 3.0,
        y + 8.0
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_logarithmic() {
        let scale = Scale::of([0.25, 4.0].into_iter());
        assert!((scale.place(0.25) - LABELS_WIDTH).abs() < 1e-9);
        assert!((scale.place(1.0) - LABELS_WIDTH - BARS_WIDTH / 2.0).abs() < 1e-9);
        assert!((scale.place(4.0) - LABELS_WIDTH - BARS_WIDTH).abs() < 1e-9);
    }
}
