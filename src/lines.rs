//! Cache lines; and for tests of the layout, on which of them something lies.
#![forbid(unsafe_code)]

#[cfg(test)]
use {
    core::{mem::align_of, ops::Range},
    crossbeam_utils::CachePadded,
};

/// What is passed between processors as one, in bytes.
pub(crate) const LINE: usize = 64;

/// The distance at which two threads do not disturb each other: two lines where the processor fetches them
/// in pairs.
#[cfg(test)]
pub(crate) const PAIR: usize = align_of::<CachePadded<u8>>();

/// The numbers of the pairs that a field lies on.
#[cfg(test)]
pub(crate) fn pairs<T>(field: &T) -> Range<usize> {
    let begin = field as *const T as usize;
    let end = begin + core::mem::size_of::<T>();
    begin / PAIR..(end + PAIR - 1) / PAIR
}

/// Fails if two fields share a pair.
#[cfg(test)]
#[track_caller]
pub(crate) fn assert_apart<const N: usize>(fields: [(&str, Range<usize>); N]) {
    for (i, (name, pairs)) in fields.iter().enumerate() {
        for (other_name, other) in &fields[i + 1..] {
            let apart = pairs.end <= other.start || other.end <= pairs.start;
            assert!(
                apart,
                "{name} ({pairs:?}) and {other_name} ({other:?}) share lines"
            );
        }
    }
}
