//! All quick tests in one program, for `cargo mutants`: one to build, and one to link, for each mutant.
#[path = "../async_bytes.rs"]
mod async_bytes;
#[path = "../backpressure.rs"]
mod backpressure;
#[path = "../builder.rs"]
mod builder;
#[path = "../bytes.rs"]
mod bytes;
#[path = "../chunks.rs"]
mod chunks;
#[path = "../common/mod.rs"]
mod common;
#[path = "../corpus.rs"]
mod corpus;
#[path = "../doors.rs"]
mod doors;
#[path = "../drops.rs"]
mod drops;
#[path = "../ends.rs"]
mod ends;
#[path = "../errors.rs"]
mod errors;
#[path = "../event_loops.rs"]
mod event_loops;
#[path = "../fairness.rs"]
mod fairness;
#[path = "../item_types.rs"]
mod item_types;
#[path = "../monitor.rs"]
mod monitor;
#[path = "../node_traces.rs"]
mod node_traces;
#[path = "../operations.rs"]
mod operations;
#[path = "../pipes.rs"]
mod pipes;
#[path = "../signals.rs"]
mod signals;
#[path = "../tasks.rs"]
mod tasks;
#[path = "../timeouts.rs"]
mod timeouts;
#[path = "../weights.rs"]
mod weights;
