//! Futures that seldom have anything to say, beside one that is polled all the time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// A future that is polled once at first, and then only when it was itself woken, not whenever another one of its task is.
///
/// A connection is polled for each request, its time limit and the end of the server are not: a timer and a watch cost more
/// to ask than a flag.
pub(crate) struct Seldom<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
}

/// What a future wakes: notes it, and passes it on to the task.
struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future> Seldom<F> {
    pub(crate) fn new(future: F) -> Self {
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { future: Box::pin(future), waker: Waker::from(Arc::clone(&bell)), bell }
    }
}

impl<F: Future> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Before the flag is looked at, so that a bell that rings in between wakes the task again.
        self.bell.task.register(cx.waker());
        if !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let Self { future, waker, .. } = &mut *self;
        future.as_mut().poll(&mut Context::from_waker(waker))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    /// Counts how often it is polled.
    async fn counted<F: Future + Unpin>(mut future: F, polls: Arc<AtomicU32>) -> F::Output {
        std::future::poll_fn(|cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut future).poll(cx)
        })
        .await
    }

    #[tokio::test]
    async fn what_goes_on_beside_it_does_not_poll_it() {
        let (tell, told) = oneshot::channel::<u8>();
        let polls = Arc::new(AtomicU32::new(0));
        let mut seldom = Seldom::new(counted(told, Arc::clone(&polls)));
        for _ in 0..100 {
            tokio::select! {
                biased;
                _ = &mut seldom => panic!("nothing was told"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        tell.send(7).unwrap();
        assert_eq!(seldom.await, Ok(7));
        assert_eq!(polls.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_wakes_the_task_it_is_in_now() {
        let mut seldom = Seldom::new(tokio::time::sleep(Duration::from_secs(5)));
        tokio::select! {
            biased;
            () = &mut seldom => panic!("no time has passed"),
            () = tokio::task::yield_now() => {}
        }
        tokio::spawn(seldom).await.unwrap();
    }
}
