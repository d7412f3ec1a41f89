use highwater::{Batch, WriteChunk};

/// What is put in would get into a channel of items that live longer.
fn shortened_chunk<'c, 'a>(chunk: WriteChunk<'c, &'static str>) -> WriteChunk<'c, &'a str> {
    chunk
}

fn shortened_batch<'c, 'a>(batch: Batch<'c, &'static str>) -> Batch<'c, &'a str> {
    batch
}

fn main() {}
