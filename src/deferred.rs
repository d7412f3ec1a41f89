//! What is done behind a value that is returned.
#![forbid(unsafe_code)]

/// Calls `then` with `with` when it is dropped, which is at the end of the scope.
///
/// What a function ends with is made in the place for what it returns. What is kept in a local, so that something can be done
/// before it is returned, is moved once more, as the compiler moves nothing across what is done to an atomic: 4 KiB, for
/// an item of that size.
pub(crate) struct Deferred<V, F: FnOnce(V)>(Option<(V, F)>);

impl<V, F: FnOnce(V)> Deferred<V, F> {
    #[inline(always)]
    pub(crate) fn new(with: V, then: F) -> Self {
        Self(Some((with, then)))
    }

    /// What `then` will get.
    #[inline(always)]
    pub(crate) fn with(&mut self) -> &mut V {
        match &mut self.0 {
            Some((with, _)) => with,
            None => unreachable!("it is taken by the drop alone"),
        }
    }
}

impl<V, F: FnOnce(V)> Drop for Deferred<V, F> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some((with, then)) = self.0.take() {
            then(with);
        }
    }
}
