//! The ratios as a picture: for each workload a bar for each peer, on a logarithmic scale, from the line where both are
//! equally fast.

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::report::mean;
use super::results::{Peer, Results};

const WIDTH: u32 = 900;
const LABELS_WIDTH: u32 = 290;
const ROW_HEIGHT: u32 = 26;
/// What is above and below the rows.
const REST_HEIGHT: u32 = 110;
/// Of a row, what one bar takes.
const BAR: f64 = 0.38;

const BARS: [(Peer, RGBColor); 2] = [
    (Peer::Tcg, RGBColor(0x44, 0x77, 0xaa)),
    (Peer::Record, RGBColor(0xee, 0x99, 0x44)),
];

/// A title, and the ratio to each peer of [`BARS`].
type Row<'a> = (&'a str, [Option<f64>; 2]);

/// Draws the picture, as SVG.
///
/// # Errors
/// The library cannot draw it.
pub(super) fn svg(results: &Results) -> Result<String> {
    let mut rows: Vec<Row> = (results.rows.iter())
        .map(|row| {
            let ratios = BARS.map(|(peer, _)| row.ratio(peer, results.clock));
            (row.workload.title, ratios)
        })
        .collect();
    rows.push(("geometric mean", BARS.map(|(peer, _)| mean(results, peer))));
    draw(&rows).map_err(|error| anyhow!("cannot draw the ratios: {error}"))
}

/// Wide enough for all ratios, and for 1.
fn range(rows: &[Row]) -> (f64, f64) {
    let ratios = rows.iter().flat_map(|(_, ratios)| ratios.iter().flatten());
    let sound = ratios.filter(|ratio| ratio.is_finite() && **ratio > 0.0);
    sound.fold((0.5, 2.0), |(low, high), ratio| {
        (low.min(*ratio), high.max(*ratio))
    })
}

fn draw(rows: &[Row]) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    {
        let height = rows.len() as u32 * ROW_HEIGHT + REST_HEIGHT;
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let (low, high) = range(rows);
        let bottom = rows.len() as f64;
        let mut chart = ChartBuilder::on(&area)
            .caption(
                "How many times faster Futago's guest is",
                ("sans-serif", 16),
            )
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(LABELS_WIDTH)
            .build_cartesian_2d((low..high * 1.2).log_scale(), bottom..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .y_labels(0)
            .draw()?;
        for (index, (peer, colour)) in BARS.iter().enumerate() {
            let top = |row: usize| row as f64 + 0.1 + index as f64 * (BAR + 0.02);
            let ratios = rows.iter().enumerate();
            let bars: Vec<(usize, f64)> = ratios
                .filter_map(|(row, (_, ratios))| Some((row, ratios[index]?)))
                .collect();
            let drawn = bars.iter().map(|(row, ratio)| {
                let corners = [(1.0, top(*row)), (*ratio, top(*row) + BAR)];
                Rectangle::new(corners, colour.filled())
            });
            chart
                .draw_series(drawn)?
                .label(format!("than QEMU {}", peer.title()))
                .legend(|(x, y)| Rectangle::new([(x, y - 6), (x + 12, y + 6)], colour.filled()));
            let figures = bars.iter().map(|(row, ratio)| {
                let place = (ratio.max(1.0), top(*row));
                Text::new(format!(" {ratio:.2}"), place, ("sans-serif", 10))
            });
            chart.draw_series(figures)?;
        }
        chart.draw_series([PathElement::new([(1.0, 0.0), (1.0, bottom)], BLACK)])?;
        let left = chart.plotting_area().get_x_axis_pixel_range().start;
        let titles = rows.iter().enumerate();
        for (row, (title, _)) in titles {
            let (_, y) = chart
                .plotting_area()
                .map_coordinate(&(1.0, row as f64 + 0.5));
            let style = TextStyle::from(("sans-serif", 12).into_font())
                .pos(Pos::new(HPos::Right, VPos::Center));
            area.draw(&Text::new(*title, (left - 8, y), style))?;
        }
        chart
            .configure_series_labels()
            .background_style(WHITE)
            .draw()?;
        area.present()?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ratio_is_a_bar_beside_its_title() {
        let rows = [
            ("fast & small", [Some(4.0), Some(0.25)]),
            ("never measured", [None, None]),
        ];
        assert_eq!(range(&rows), (0.25, 4.0));
        let svg = draw(&rows).unwrap();
        for words in [
            "fast &amp; small",
            "never measured",
            " 4.00",
            " 0.25",
            "</svg>",
        ] {
            assert!(svg.contains(words), "{words} is not in {svg}");
        }
    }
}
