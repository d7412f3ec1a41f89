//! The steps of a byte stream in a task, for both families of traits. What waits is here; what moves the
//! bytes is the blocking form, which has no reason to sleep any more.
#![forbid(unsafe_code)]

use super::{total, ByteConsumer, ByteProducer};
use core::task::{Context, Poll};
use futures_core::ready;
use std::io::{self, BufRead, IoSlice, Write};
#[cfg(feature = "futures-io")]
use std::io::{IoSliceMut, Read};

impl ByteProducer {
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.items.write_slice_in_turn(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.items.poll_room(cx))?;
        Poll::Ready(self.write(bytes))
    }

    pub(super) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if total(slices) == 0 {
            return Poll::Ready(Ok(0));
        }
        ready!(self.items.poll_room(cx))?;
        Poll::Ready(self.write_vectored(slices))
    }

    pub(super) fn poll_flush(&mut self) -> Poll<io::Result<()>> {
        self.items.publish_forgotten();
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_end(&mut self) -> Poll<io::Result<()>> {
        self.items.writer.end_mut().close_as_sink();
        Poll::Ready(Ok(()))
    }
}

impl ByteConsumer {
    /// Waits until there is a byte, or it is clear that none will come: which of them says the read.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.items.has_in_turn(1) {
            return Poll::Ready(());
        }
        let end = self.items.reader.end_mut();
        end.poll_when_there(cx, |end| end.look_for(1, 1)).map(drop)
    }

    #[cfg(feature = "futures-io")]
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if to.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.items.read_slice_in_turn(to) {
            return Poll::Ready(Ok(to.len()));
        }
        ready!(self.poll_readable(cx));
        Poll::Ready(self.read(to))
    }

    #[cfg(feature = "futures-io")]
    pub(super) fn poll_read_vectored(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if to.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll_readable(cx));
        Poll::Ready(self.read_vectored(to))
    }

    pub(super) fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        ready!(self.poll_readable(cx));
        Poll::Ready(self.fill_buf())
    }
}
