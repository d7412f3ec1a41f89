//! A soak test: channels of all kinds, whose ends live at random doors and die random deaths, several at a
//! time, one after another, for as long as you like. It counts each item, each byte and each drop, notices when
//! nothing moves any more, and watches memory and descriptors.
//!
//! `cargo run --release --example soak --all-features -- --minutes 10`. A line a second, and a verdict; what
//! goes wrong is told with a seed, and `--repeat SEED` plays that round again and again.

// The minimum Rust version is the library's; what the example depends on needs more.
#![allow(clippy::incompatible_msrv)]

#[cfg(target_os = "linux")]
mod bytes;
#[cfg(target_os = "linux")]
mod ends;
#[cfg(target_os = "linux")]
mod items;
#[cfg(target_os = "linux")]
mod ledger;
#[cfg(target_os = "linux")]
mod plan;
#[cfg(target_os = "linux")]
mod round;
#[cfg(target_os = "linux")]
mod side;
#[cfg(target_os = "linux")]
mod soak;

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<std::process::ExitCode> {
    soak::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("epoll is Linux's");
}
