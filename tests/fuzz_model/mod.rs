//! Models, and how bytes are read as operations on them: for the fuzz targets in `fuzz/`, and for the tests.

pub mod bytes;
pub mod items;
pub mod pipes;
