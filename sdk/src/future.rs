//! Several futures at once.
//!
//! ```
//! use tamis_sdk::prelude::*;
//! use tamis_sdk::future::join;
//!
//! async fn both(user: Callout, quota: Callout) -> Result<bool> {
//!     let (user, quota) = join(user.send(), quota.send()).await;
//!     Ok(user?.is_success() && quota?.is_success())
//! }
//! ```

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// What came first.
///
/// ```
/// use std::future::ready;
/// use tamis_sdk::future::{Either, race};
///
/// async fn first() -> &'static str {
///     match race(ready(1), ready(2)).await {
///         Either::First(_) => "the first",
///         Either::Second(_) => "the second",
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first future's.
    First(A),
    /// The second future's.
    Second(B),
}

/// Polls a future until it is ready, once; true when its output is there.
fn keep<F: Future>(future: Pin<&mut F>, output: &mut Option<F::Output>, context: &mut Context<'_>) -> bool {
    if output.is_none()
        && let Poll::Ready(ready) = future.poll(context)
    {
        *output = Some(ready);
    }
    output.is_some()
}

/// Waits for both.
pub async fn join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut first, mut second) = (None, None);
    poll_fn(|context| {
        // Both are polled, whatever the other says.
        let done = keep(a.as_mut(), &mut first, context) & keep(b.as_mut(), &mut second, context);
        match (done, first.take(), second.take()) {
            (true, Some(a), Some(b)) => Poll::Ready((a, b)),
            (_, a, b) => {
                (first, second) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

/// Waits for whichever is first; the other one is dropped. When both are ready the first one wins.
///
/// ```
/// use std::time::Duration;
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::future::{Either, race};
///
/// /// One deadline over as many callouts as there may be.
/// async fn in_time(root: &Root, work: impl Future<Output = bool>) -> Option<bool> {
///     match race(work, root.sleep(Duration::from_millis(200))).await {
///         Either::First(done) => Some(done),
///         Either::Second(()) => None,
///     }
/// }
/// ```
pub async fn race<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|context| match a.as_mut().poll(context) {
        Poll::Ready(a) => Poll::Ready(Either::First(a)),
        Poll::Pending => b.as_mut().poll(context).map(Either::Second),
    })
    .await
}

/// Waits for all, outputs in the order of the futures. None there is ready at once.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut done = true;
        for (future, output) in &mut all {
            done &= keep(future.as_mut(), output, context);
        }
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    all.into_iter().filter_map(|(_, output)| output).collect()
}

/// Waits for the first that is ready and gives its place in the list too; the others are dropped. `None` when the list
/// is empty, where waiting would be for ever.
pub async fn race_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Option<(usize, F::Output)> {
    let mut all: Vec<_> = futures.into_iter().map(Box::pin).collect();
    poll_fn(|context| {
        for (place, future) in all.iter_mut().enumerate() {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some((place, output)));
            }
        }
        if all.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::future::{pending, ready};
    use std::rc::Rc;
    use std::task::Waker;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Ready at its `n`-th poll, and never polled again.
    fn nth<T: Copy>(n: u32, value: T) -> impl Future<Output = T> {
        let mut left = n;
        poll_fn(move |_| {
            left = left.checked_sub(1).expect("polled after it was ready");
            if left == 0 { Poll::Ready(value) } else { Poll::Pending }
        })
    }

    #[test]
    fn join_polls_each_until_it_is_ready() {
        let mut both = pin!(join(nth(1, 'a'), nth(3, 'b')));
        assert_eq!(poll(both.as_mut()), Poll::Pending);
        assert_eq!(poll(both.as_mut()), Poll::Pending);
        assert_eq!(poll(both.as_mut()), Poll::Ready(('a', 'b')));
    }

    #[test]
    fn join_all_keeps_the_order() {
        let mut all = pin!(join_all([nth(3, 1), nth(1, 2), nth(2, 3)]));
        assert!(poll(all.as_mut()).is_pending());
        assert!(poll(all.as_mut()).is_pending());
        assert_eq!(poll(all.as_mut()), Poll::Ready(vec![1, 2, 3]));
        assert_eq!(poll(pin!(join_all(Vec::<std::future::Ready<()>>::new()))), Poll::Ready(Vec::new()));
    }

    #[test]
    fn who_loses_a_race_is_dropped() {
        struct Gone(Rc<Cell<u32>>);
        impl Drop for Gone {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let gone = Rc::new(Cell::new(0));
        let hold = |gone: &Rc<Cell<u32>>| {
            let held = Gone(gone.clone());
            async move {
                let _held = held;
                pending::<()>().await;
            }
        };
        assert_eq!(poll(pin!(race(hold(&gone), ready(7)))), Poll::Ready(Either::Second(7)));
        assert_eq!(gone.get(), 1, "at once");
        {
            let mut raced = Box::pin(race(ready(1), hold(&gone)));
            assert_eq!(poll(raced.as_mut()), Poll::Ready(Either::First(1)));
        }
        assert_eq!(gone.get(), 2);
        assert_eq!(poll(pin!(race_all([nth(2, 1), nth(1, 2)]))), Poll::Ready(Some((1, 2))));
        assert_eq!(poll(pin!(race_all(Vec::<std::future::Ready<()>>::new()))), Poll::Ready(None));
    }
}
