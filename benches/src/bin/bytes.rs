//! Races all byte streams, interleaved round by round, and prints a Markdown table of medians, spreads and
//! ratios. `cargo run --release --bin bytes [ROUNDS]`

use highwater_benches::bytes::{PIECE, STREAMS};

/// 1 GiB.
const PIECES: u64 = (1 << 30) / PIECE as u64;

fn main() {
    let rounds = std::env::args()
        .nth(1)
        .map_or(11, |rounds| rounds.parse().expect("ROUNDS is a number"));
    let mut results = vec![Vec::new(); STREAMS.len()];
    for _ in 0..rounds {
        for (stream, results) in STREAMS.iter().zip(&mut results) {
            let seconds = (stream.race)(PIECES).as_secs_f64();
            results.push((PIECES * PIECE as u64) as f64 / seconds / f64::from(1 << 30));
        }
    }
    for results in &mut results {
        results.sort_by(f64::total_cmp);
    }
    let median = |results: &Vec<f64>| results[results.len() / 2];
    let best_peer = STREAMS
        .iter()
        .zip(&results)
        .filter(|(stream, _)| {
            !stream.name.starts_with("highwater") && !stream.name.contains("limit")
        })
        .map(|(_, results)| median(results))
        .fold(0.0, f64::max);
    println!(
        "| 64 KiB of bytes, 4 KiB at a time | GiB/s, median | min to max | to the best peer |"
    );
    println!("|---|---|---|---|");
    for (stream, results) in STREAMS.iter().zip(&results) {
        println!(
            "| {} | {:.2} | {:.2} to {:.2} | {:.2} |",
            stream.name,
            median(results),
            results[0],
            results[results.len() - 1],
            median(results) / best_peer,
        );
    }
}
