//! A connection that has to go on: who sends a head drop by drop, or does not
//! take their answer, is let go. A timer is set only where something is
//! unfinished: a connection whose heads come whole never has one.

use std::future::Future as _;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a head may take from its first byte on, and the first one from the connection's beginning.
pub(super) const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long an answer may stand still because its reader takes nothing.
pub(super) const STALL_TIME: Duration = Duration::from_secs(30);

/// What is under way on a connection.
#[derive(Debug)]
pub(super) struct Progress {
    /// A call is being answered.
    answering: AtomicBool,
    /// A head has begun, and is not whole.
    begun: AtomicBool,
}

/// A connection begins with a head to come.
impl Default for Progress {
    fn default() -> Self {
        Self { answering: AtomicBool::new(false), begun: AtomicBool::new(true) }
    }
}

impl Progress {
    /// A head is whole: its call is answered until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Answering {
        self.begun.store(false, Ordering::Relaxed);
        self.answering.store(true, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }
}

/// A call that is being answered.
#[derive(Debug)]
pub(super) struct Answering(Arc<Progress>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.store(false, Ordering::Relaxed);
    }
}

/// A stream that ends with an error where it does not go on.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    progress: Arc<Progress>,
    head: Option<Pin<Box<Sleep>>>,
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    /// Of a connection that begins now.
    pub(super) const fn new(stream: S, progress: Arc<Progress>) -> Self {
        Self { stream, progress, head: None, stall: None }
    }
}

/// Whether `timer`, which is set to `time` if it is not yet, has run out.
fn is_over(timer: &mut Option<Pin<Box<Sleep>>>, time: Duration, cx: &mut Context<'_>) -> bool {
    timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(time))).as_mut().poll(cx).is_ready()
}

/// What a write came to, or that it has stood still for too long.
fn moved<T>(
    wrote: Poll<io::Result<T>>,
    stall: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<T>> {
    if wrote.is_ready() {
        *stall = None;
    } else if is_over(stall, STALL_TIME, cx) {
        return Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "its reader takes nothing")));
    }
    wrote
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let progress = &this.progress;
        if progress.answering.load(Ordering::Relaxed) {
            // It is the body, or a head that comes early: those have limits of their own.
            this.head = None;
        } else if read.is_ready() {
            if buf.filled().len() > before && !progress.begun.swap(true, Ordering::Relaxed) {
                this.head = None;
            }
        } else if !progress.begun.load(Ordering::Relaxed) {
            this.head = None;
        } else if is_over(&mut this.head, HEAD_TIME, cx) {
            return Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "its head took too long")));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        moved(Pin::new(&mut this.stream).poll_write(cx, bytes), &mut this.stall, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        moved(Pin::new(&mut this.stream).poll_write_vectored(cx, pieces), &mut this.stall, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        moved(Pin::new(&mut this.stream).poll_flush(cx), &mut this.stall, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        moved(Pin::new(&mut this.stream).poll_shutdown(cx), &mut this.stall, cx)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests read tokio's paused clock")]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_head_that_comes_drop_by_drop_is_not_waited_for() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut paced = Paced::new(server, Arc::new(Progress::default()));
        let begin = Instant::now();
        let dripping = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if client.write_all(b"G").await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let mut got = [0; 1];
        let reading = async { while paced.read_exact(&mut got).await.is_ok() {} };
        tokio::select! { () = dripping => {} () = reading => {} }
        assert_eq!(begin.elapsed().as_secs(), HEAD_TIME.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn between_calls_it_may_rest_and_the_next_head_has_its_own_time() {
        let (mut client, server) = tokio::io::duplex(64);
        let progress = Arc::new(Progress::default());
        let mut paced = Paced::new(server, Arc::clone(&progress));
        let mut got = [0; 3];
        client.write_all(b"GET").await.unwrap();
        paced.read_exact(&mut got).await.unwrap();
        drop(progress.begin());
        let rest = HEAD_TIME * 3;
        assert!(
            tokio::time::timeout(rest, paced.read(&mut got)).await.is_err(),
            "nothing came, and nothing broke"
        );
        client.write_all(b"G").await.unwrap();
        assert_eq!(paced.read(&mut got).await.unwrap(), 1);
        let begin = Instant::now();
        assert_eq!(paced.read(&mut got).await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(begin.elapsed().as_secs(), HEAD_TIME.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_call_is_answered_reading_has_no_limit_here() {
        let (_client, server) = tokio::io::duplex(64);
        let progress = Arc::new(Progress::default());
        let mut paced = Paced::new(server, Arc::clone(&progress));
        let answering = progress.begin();
        assert!(tokio::time::timeout(HEAD_TIME * 100, paced.read(&mut [0])).await.is_err());
        drop(answering);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_given_up() {
        let (_client, server) = tokio::io::duplex(4);
        let mut paced = Paced::new(server, Arc::new(Progress::default()));
        let begin = Instant::now();
        assert_eq!(paced.write_all(b"too much").await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(begin.elapsed().as_secs(), STALL_TIME.as_secs());
        // Who takes it slowly is waited for.
        let (mut client, server) = tokio::io::duplex(4);
        let mut paced = Paced::new(server, Arc::new(Progress::default()));
        let taking = async {
            for _ in 0..100 {
                tokio::time::sleep(STALL_TIME / 2).await;
                client.read_exact(&mut [0; 1]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(paced.write_all(&[0; 100]), taking);
        written.unwrap();
    }
}
