//! Nothing but a test: see `tests/listing.rs`.
