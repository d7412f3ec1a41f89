//! The ends of a byte stream for `futures-io`: `futures-lite`, `futures-util`, `smol`, `async-std`.
#![forbid(unsafe_code)]

use super::{ByteConsumer, ByteProducer};
use core::{
    pin::Pin,
    task::{Context, Poll},
};
use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use std::io::{self, BufRead, IoSlice, IoSliceMut};

/// (With feature `futures-io`.) To close is to [end](ByteProducer::end) the stream.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// use futures_lite::{future::try_zip, io::AsyncWriteExt, AsyncBufReadExt, StreamExt};
///
/// let (mut producer, consumer) = highwater::bytes(8);
/// let write = async {
///     for i in 0..100 {
///         producer.write_all(format!("line {i}\n").as_bytes()).await?;
///     }
///     producer.close().await // without it the reader gets `UnexpectedEof`
/// };
/// let last = async { consumer.lines().last().await.unwrap() };
/// assert_eq!(try_zip(write, last).await?.1, "line 99");
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

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_flush()
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_end()
    }
}

/// (With feature `futures-io`.)
///
/// # Examples
///
/// A thread writes, a task reads:
///
/// ```
/// # futures_lite::future::block_on(async {
/// use futures_lite::AsyncReadExt;
/// use std::{io::Write, thread};
///
/// let (mut producer, mut consumer) = highwater::bytes(8);
/// let writer = thread::spawn(move || producer.write_all(&[7; 1000]).map(|()| producer.end()));
/// let mut bytes = Vec::new();
/// consumer.read_to_end(&mut bytes).await?;
/// assert_eq!(bytes, [7; 1000]);
/// # writer.join().unwrap()?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
impl AsyncRead for ByteConsumer {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_read(cx, to)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_read_vectored(cx, to)
    }
}

/// (With feature `futures-io`.) Lends out the memory of the stream: no copy is made.
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
