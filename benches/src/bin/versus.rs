//! Races all contestants, interleaved round by round, and prints a Markdown table of medians,
//! spreads and ratios. `cargo run --release --bin versus [ROUNDS]`

use highwater_benches::CONTESTANTS;

const ITEMS: u64 = 10_000_000;

fn main() {
    let rounds = std::env::args()
        .nth(1)
        .map_or(11, |rounds| rounds.parse().expect("ROUNDS is a number"));

    println!(
        "| u64, one at a time | capacity | million items/s, median | min to max | to the peer |"
    );
    println!("|---|---|---|---|---|");
    for capacity in [64, 1024, 65_536] {
        let mut results = vec![Vec::new(); CONTESTANTS.len()];
        for _ in 0..rounds {
            for (contestant, results) in CONTESTANTS.iter().zip(&mut results) {
                let items = if contestant.slow { ITEMS / 5 } else { ITEMS };
                let seconds = contestant.race(capacity, items).as_secs_f64();
                results.push(items as f64 / seconds / 1e6);
            }
        }
        for results in &mut results {
            results.sort_by(f64::total_cmp);
        }
        for (contestant, result) in CONTESTANTS.iter().zip(&results) {
            let is_peer = |name: &str| !name.starts_with("highwater");
            // Each is compared with the peer that waits the same way.
            let peer = CONTESTANTS
                .iter()
                .zip(&results)
                .find(|(c, _)| is_peer(c.name) && c.blocking == contestant.blocking)
                .map(|(_, results)| median(results))
                .expect("there is a peer of each kind");
            println!(
                "| {}, {} | {capacity} | {:.0} | {:.0} to {:.0} | {:.2} |",
                contestant.name,
                if contestant.blocking {
                    "blocking"
                } else {
                    "polling"
                },
                median(result),
                result[0],
                result[result.len() - 1],
                median(result) / peer,
            );
        }
    }
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}
