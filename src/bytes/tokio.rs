//! The ends of a byte stream for tokio.
#![forbid(unsafe_code)]

use super::{end_of_file, ByteConsumer, ByteProducer};
use crate::chunk::ReadChunk;
use core::{
    pin::Pin,
    task::{Context, Poll},
};
use futures_core::ready;
use std::io::{self, BufRead, IoSlice};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// (With feature `tokio`.) To shut down is to [end](ByteProducer::end) the stream.
///
/// # Examples
///
/// A thread reads what a task writes:
///
/// ```
/// use std::{io::Read, thread};
/// use tokio::io::AsyncWriteExt;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (mut producer, mut consumer) = highwater::bytes(8);
/// let reader = thread::spawn(move || {
///     let mut bytes = Vec::new();
///     consumer.read_to_end(&mut bytes).map(|_| bytes)
/// });
/// producer.write_all(&[7; 1000]).await?;
/// producer.shutdown().await?; // without it the reader gets `UnexpectedEof`
/// producer.end().await.expect("the reader reads it all");
/// assert_eq!(reader.join().unwrap()?, [7; 1000]);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
impl AsyncWrite for ByteProducer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_flush()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_end()
    }
}

/// (With feature `tokio`.)
///
/// # Examples
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let (mut producer, mut consumer) = highwater::bytes(8);
/// let writer = tokio::spawn(async move {
///     producer.write_all(&[7; 1000]).await?;
///     producer.shutdown().await
/// });
/// let mut bytes = Vec::new();
/// consumer.read_to_end(&mut bytes).await?;
/// assert_eq!(bytes, [7; 1000]);
/// # writer.await.unwrap()?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
impl AsyncRead for ByteConsumer {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if to.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let this = self.get_mut();
        let is_read = this
            .items
            .copy_out_in_turn(to.remaining(), |first, second| {
                to.put_slice(first);
                to.put_slice(second);
            });
        if is_read {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_readable(cx));
        let read = this
            .items
            .chunk_up_to(to.remaining())
            .map(|chunk| put(chunk, to));
        Poll::Ready(end_of_file(read).map(drop))
    }
}

fn put(chunk: ReadChunk<'_, u8>, to: &mut ReadBuf<'_>) -> usize {
    let (first, second) = chunk.as_slices();
    to.put_slice(first);
    to.put_slice(second);
    let count = chunk.len();
    chunk.consume(count);
    count
}

/// (With feature `tokio`.) Lends out the memory of the stream: no copy is made.
impl AsyncBufRead for ByteConsumer {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.get_mut().poll_fill_buf(cx)
    }

    /// # Panics
    ///
    /// If `count` is more than lies in the memory at the place that `poll_fill_buf` shows: what it gave, and what has come behind
    /// that since.
    fn consume(self: Pin<&mut Self>, count: usize) {
        BufRead::consume(self.get_mut(), count);
    }
}
