//! All quick tests in one program, for `cargo mutants`: one to build, and one to link, for each mutant.
//! The modules are named so that those come first that need no second thread: they fail soonest.
#[path = "../common/mod.rs"]
mod common;

#[path = "../backpressure.rs"]
mod a_backpressure;
#[path = "../builder.rs"]
mod a_builder;
#[path = "../chunks.rs"]
mod a_chunks;
#[path = "../corpus.rs"]
mod a_corpus;
#[path = "../errors.rs"]
mod a_errors;
#[path = "../item_types.rs"]
mod a_item_types;
#[path = "../monitor.rs"]
mod a_monitor;
#[path = "../weights.rs"]
mod a_weights;

#[path = "../async_bytes.rs"]
mod b_async_bytes;
#[path = "../bytes.rs"]
mod b_bytes;
#[path = "../doors.rs"]
mod b_doors;
#[path = "../drops.rs"]
mod b_drops;
#[path = "../ends.rs"]
mod b_ends;
#[path = "../event_loops.rs"]
mod b_event_loops;
#[path = "../fairness.rs"]
mod b_fairness;
#[path = "../node_traces.rs"]
mod b_node_traces;
#[path = "../operations.rs"]
mod b_operations;
#[path = "../pipes.rs"]
mod b_pipes;
#[path = "../signals.rs"]
mod b_signals;
#[path = "../tasks.rs"]
mod b_tasks;
#[path = "../timeouts.rs"]
mod b_timeouts;
