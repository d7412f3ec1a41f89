//! One picture for each workload: a bar for each contestant, as long as its median, with a whisker from its
//! minimum to its maximum.

use super::{
    report::{number, Summary},
    run::{CaseResults, ContestantResults, WorkloadResults},
    Better, Role,
};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use std::path::Path;

const WIDTH: i32 = 860;
const NAMES: i32 = 250;
/// Where bars end at most; to the right of it stand the figures.
const BARS_END: i32 = WIDTH - 150;
const ROW: i32 = 22;
const HEAD: i32 = 58;
const CASE_HEAD: i32 = 34;

const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const PEER: RGBColor = RGBColor(0xb4, 0xba, 0xc2);
const LIMIT: RGBColor = RGBColor(0xe3, 0xc9, 0x8b);
const INK: RGBColor = RGBColor(0x22, 0x26, 0x2b);
const FAINT: RGBColor = RGBColor(0x6a, 0x72, 0x7b);

pub fn draw(results: &WorkloadResults, path: &Path) -> anyhow::Result<()> {
    let rows = |case: &CaseResults| case.contestants.len() as i32;
    let height: i32 = HEAD
        + results
            .cases
            .iter()
            .map(|case| CASE_HEAD + ROW * rows(case))
            .sum::<i32>()
        + 12;
    let area = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    area.fill(&WHITE)?;

    let figure = &results.figures[0];
    let better = match figure.better {
        Better::More => "more is better",
        Better::Less => "less is better",
    };
    let text = |text: &str, at: (i32, i32), size: i32, color: &RGBColor, side: HPos| {
        let style = ("sans-serif", size)
            .into_font()
            .color(color)
            .pos(Pos::new(side, VPos::Center));
        area.draw(&Text::new(text.to_owned(), at, style))
    };
    text(results.name, (12, 20), 17, &INK, HPos::Left)?;
    let subtitle = format!("{} ({better}): median, and minimum to maximum", figure.name);
    text(&subtitle, (12, 42), 13, &FAINT, HPos::Left)?;

    let mut y = HEAD;
    for case in &results.cases {
        text(
            &case.name,
            (NAMES, y + CASE_HEAD - 14),
            14,
            &INK,
            HPos::Left,
        )?;
        y += CASE_HEAD;
        let longest = case
            .contestants
            .iter()
            .filter_map(|contestant| contestant.summary(0))
            .map(|summary| summary.max)
            .fold(f64::MIN_POSITIVE, f64::max);
        let x = |value: f64| NAMES + (value / longest * f64::from(BARS_END - NAMES)) as i32;
        for contestant in by_rank(case, figure.better) {
            let middle = y + ROW / 2;
            let (color, ink) = match contestant.role {
                Role::Ours => (OURS, OURS),
                Role::Peer => (PEER, INK),
                Role::Limit => (LIMIT, FAINT),
            };
            text(
                &contestant.name,
                (NAMES - 10, middle),
                13,
                &ink,
                HPos::Right,
            )?;
            match contestant.summary(0) {
                None => {
                    let troubles = contestant.troubles().unwrap_or_default();
                    // What a failure says may be long.
                    let troubles: String = troubles.chars().take(70).collect();
                    text(&troubles, (NAMES + 4, middle), 12, &FAINT, HPos::Left)?;
                }
                Some(Summary { median, min, max }) => {
                    let bar = [(NAMES, y + 4), (x(median), y + ROW - 4)];
                    area.draw(&Rectangle::new(bar, color.filled()))?;
                    for line in [
                        [(x(min), middle), (x(max), middle)],
                        [(x(min), middle - 4), (x(min), middle + 4)],
                        [(x(max), middle - 4), (x(max), middle + 4)],
                    ] {
                        area.draw(&PathElement::new(line, INK))?;
                    }
                    let mut said = number(median);
                    if contestant.hangs > 0 {
                        said += &format!(", hangs: {}", contestant.hangs);
                    }
                    text(&said, (x(max) + 8, middle), 13, &ink, HPos::Left)?;
                }
            }
            y += ROW;
        }
    }
    area.present()?;
    Ok(())
}

/// The best first; who has no figure last.
fn by_rank(case: &CaseResults, better: Better) -> Vec<&ContestantResults> {
    let mut contestants: Vec<_> = case.contestants.iter().collect();
    contestants.sort_by(|a, b| {
        let median = |c: &ContestantResults| {
            let worst = match better {
                Better::More => f64::NEG_INFINITY,
                Better::Less => f64::INFINITY,
            };
            c.summary(0).map_or(worst, |summary| summary.median)
        };
        let order = median(a).total_cmp(&median(b));
        match better {
            Better::More => order.reverse(),
            Better::Less => order,
        }
    });
    contestants
}
