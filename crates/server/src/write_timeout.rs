//! A stream whose other end must take what is written. Otherwise a client that asks and reads nothing
//! would keep a connection, and with it everybody else's place, for as long as it likes.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// `inner`, but a write that makes no progress for `limit` is an error. Reads are not limited here.
pub(crate) struct WriteTimeout<S> {
    inner: S,
    limit: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteTimeout<S> {
    pub(crate) fn new(inner: S, limit: Duration) -> Self {
        WriteTimeout { inner, limit, waiting: None }
    }

    /// `progress`, or an error where there has been none for too long.
    fn limited<T>(&mut self, context: &mut Context<'_>, progress: Poll<Result<T>>) -> Poll<Result<T>> {
        if progress.is_ready() {
            self.waiting = None;
            return progress;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(Error::new(
            ErrorKind::TimedOut,
            "the client did not take its answer (WRITE_TIMEOUT)",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let progress = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.limited(context, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let progress = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.limited(context, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let progress = Pin::new(&mut self.inner).poll_flush(context);
        self.limited(context, progress)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let progress = Pin::new(&mut self.inner).poll_shutdown(context);
        self.limited(context, progress)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up() {
        let (ours, _theirs) = duplex(8);
        let (mut stream, start) = (WriteTimeout::new(ours, LIMIT), Instant::now());
        let error = stream.write_all(&[0; 9]).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed().as_secs()), (ErrorKind::TimedOut, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_little_now_and_then_gets_all() {
        let (ours, mut theirs) = duplex(8);
        let (mut stream, start) = (WriteTimeout::new(ours, LIMIT), Instant::now());
        let writing = tokio::spawn(async move { stream.write_all(&[0; 80]).await });
        for _ in 0..10 {
            sleep(LIMIT - Duration::from_secs(1)).await;
            theirs.read_exact(&mut [0; 8]).await.unwrap();
        }
        writing.await.unwrap().unwrap();
        assert!(start.elapsed() > 9 * LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_between_writes_does_not_count() {
        let (ours, mut theirs) = duplex(8);
        let mut stream = WriteTimeout::new(ours, LIMIT);
        for _ in 0..2 {
            stream.write_all(&[0; 8]).await.unwrap();
            sleep(2 * LIMIT).await;
            theirs.read_exact(&mut [0; 8]).await.unwrap();
        }
    }
}
