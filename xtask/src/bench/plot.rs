//! The table as a picture: for each row how many times its goal is reached. On a logarithmic scale, so that twice
//! as good is as long as half as good.

use std::fmt::Write;

use super::row::{Outcome, Row};

const WIDTH: f64 = 1060.0;
const TOP: f64 = 58.0;
const LINE: f64 = 34.0;
/// Where the bars stand; the names stand left of them.
const LEFT: f64 = 460.0;
const RIGHT: f64 = 900.0;
/// The scale reaches so many doublings to both sides of the goal; what lies beyond is cut off there.
const DOUBLINGS: f64 = 4.0;
/// Told apart by those who see no red and green too.
const MET: &str = "#0072b2";
const MISSED: &str = "#d55e00";

/// The rows that were measured, as SVG.
pub(super) fn svg(rows: &[Row]) -> String {
    let measured = rows.iter().filter_map(|row| match &row.outcome {
        Outcome::Measured { value, .. } => Some((row, row.goal.reached(*value))),
        Outcome::Skipped(_) => None,
    });
    let measured: Vec<_> = measured.collect();
    let bottom = TOP + measured.len() as f64 * LINE;
    let mut svg = String::new();
    let height = bottom + 16.0;
    element(
        &mut svg,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">"
        ),
    );
    element(&mut svg, format_args!("<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>"));
    let title = "How many times each goal is reached (logarithmic; right of the line: met)";
    element(
        &mut svg,
        format_args!("<text x=\"12\" y=\"22\" font-size=\"15\" fill=\"#222222\">{title}</text>"),
    );
    for (times, name) in
        [(0.125, "1/8"), (0.25, "1/4"), (0.5, "1/2"), (1.0, "goal"), (2.0, "2x"), (4.0, "4x"), (8.0, "8x")]
    {
        let (x, color) = (place(times), if times == 1.0 { "#222222" } else { "#dddddd" });
        element(
            &mut svg,
            format_args!(
                "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{color}\"/>"
            ),
        );
        element(
            &mut svg,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555555\">{name}</text>",
                TOP - 8.0
            ),
        );
    }
    for (n, (row, reached)) in measured.iter().enumerate() {
        bar(&mut svg, TOP + n as f64 * LINE, row, *reached);
    }
    element(&mut svg, format_args!("</svg>"));
    svg
}

fn bar(svg: &mut String, y: f64, row: &Row, reached: f64) {
    let (goal, end) = (place(1.0), place(reached));
    let (value, verdict) = row.verdict();
    let color = if verdict == "met" { MET } else { MISSED };
    let (text, left, width) = (y + 21.0, goal.min(end), (goal - end).abs().max(2.0));
    element(
        svg,
        format_args!(
            "<text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\" fill=\"#222222\">{}</text>",
            LEFT - 12.0,
            escaped(&row.what)
        ),
    );
    element(
        svg,
        format_args!(
            "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"18\" fill=\"{color}\"/>",
            y + 8.0
        ),
    );
    element(
        svg,
        format_args!(
            "<text x=\"{:.1}\" y=\"{text:.1}\" fill=\"{color}\">{} {verdict}</text>",
            RIGHT + 8.0,
            escaped(&value)
        ),
    );
}

/// Where on the scale so many times the goal stands.
fn place(times: f64) -> f64 {
    let doublings = times.log2().clamp(-DOUBLINGS, DOUBLINGS);
    LEFT + (RIGHT - LEFT) * (doublings + DOUBLINGS) / (2.0 * DOUBLINGS)
}

fn element(svg: &mut String, element: std::fmt::Arguments<'_>) {
    // Into a string nothing fails.
    let _written = writeln!(svg, "{element}");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::super::row::Goal;
    use super::*;

    #[test]
    fn what_is_met_stands_right_of_the_goal_and_what_is_missed_left() {
        assert!(place(0.5) < place(1.0) && place(1.0) < place(2.0));
        let row = |value| Row::measured("a < b", Goal::AtMost(64.0, "MiB"), "", "", value);
        let svg = svg(&[row(32.0), row(128.0)]);
        let bars: Vec<_> = svg.lines().filter(|line| line.contains("height=\"18\"")).collect();
        assert!(bars[0].contains(MET) && bars[0].contains(&format!("x=\"{:.1}\"", place(1.0))), "{svg}");
        assert!(bars[1].contains(MISSED) && bars[1].contains(&format!("x=\"{:.1}\"", place(0.5))), "{svg}");
        assert!(svg.contains("a &lt; b"), "{svg}");
    }
}
