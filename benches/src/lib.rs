//! highwater beside its peers. The tool is `src/bin/versus.rs`.

pub mod contestants;
pub mod harness;
pub mod race;
pub mod workloads;
