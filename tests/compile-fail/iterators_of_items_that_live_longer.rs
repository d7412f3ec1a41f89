use highwater::{IntoIter, Iter, ReadChunkIter, TryIter};

/// What comes out would be used after it is gone.
fn lengthened<'c, 'a>(iter: Iter<'c, &'a str>) -> Iter<'c, &'static str> {
    iter
}

fn lengthened_try<'c, 'a>(iter: TryIter<'c, &'a str>) -> TryIter<'c, &'static str> {
    iter
}

fn lengthened_into<'a>(iter: IntoIter<&'a str>) -> IntoIter<&'static str> {
    iter
}

fn lengthened_chunk<'c, 'a>(iter: ReadChunkIter<'c, &'a str>) -> ReadChunkIter<'c, &'static str> {
    iter
}

fn main() {}
