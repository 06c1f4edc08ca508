//! Callouts again, within reason.

use crate::callout::{Callout, CalloutError, CalloutReply};
use crate::{Root, clock};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Hundredths of a try that one retry costs.
const WHOLE: u64 = 100;

/// How many retries there may be, over all callouts that share it: a share of the first tries plus a reserve. When a
/// service is down, each caller that tries three times makes it three times as much to do; this bounds that.
///
/// ```
/// use tamis_sdk::retry::Budget;
///
/// // One retry for each five calls, and ten to begin with.
/// let budget = Budget::new(20, 10);
/// # let _ = budget;
/// ```
#[derive(Debug, Clone)]
pub struct Budget(Rc<State>);

#[derive(Debug)]
struct State {
    share: u64,
    most: u64,
    left: Cell<u64>,
}

impl Budget {
    /// `percent` of the first tries may be tried again, and `reserve` retries are there at the start, which is also the
    /// most that is ever saved up.
    pub fn new(percent: u32, reserve: u32) -> Self {
        let most = u64::from(reserve) * WHOLE;
        Self(Rc::new(State { share: percent.into(), most, left: Cell::new(most) }))
    }

    fn earn(&self) {
        let State { share, most, left } = &*self.0;
        // At least one retry can be saved up, or no share would ever come to one.
        left.set((left.get() + share).min((*most).max(WHOLE)));
    }

    fn spend(&self) -> bool {
        match self.0.left.get().checked_sub(WHOLE) {
            Some(left) => {
                self.0.left.set(left);
                true
            }
            None => false,
        }
    }
}

/// How a callout is tried again.
///
/// Again means: when it could not start, when the proxy could not reach the service or waited too long, when the
/// connection broke, and on 502, 503 and 504. What may have reached the service is sent again only when its method is
/// idempotent (RFC 9110 9.2.2: `GET`, `HEAD`, `OPTIONS`, `TRACE`, `PUT`, `DELETE`).
///
/// ```
/// use std::time::Duration;
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::retry::{Budget, Retry};
///
/// struct Check { retry: Retry }
///
/// impl Filter for Check {
///     type Config = ();
///
///     fn new(_: (), root: &Root) -> Result<Self> {
///         let retry = Retry::new(root, Budget::new(20, 10)).tries(3).pause(Duration::from_millis(25));
///         Ok(Self { retry })
///     }
///
///     async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
///         let reply = self.retry.send(Callout::get("idp", "idp.test", "/check")).await?;
///         if !reply.is_success() {
///             return Ok(Reply::new(403).into());
///         }
///         next.run(request).await
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Retry {
    root: Root,
    budget: Budget,
    tries: u32,
    pause: Duration,
}

impl Retry {
    /// Two tries, without a pause.
    pub fn new(root: &Root, budget: Budget) -> Self {
        Self { root: root.clone(), budget, tries: 2, pause: Duration::ZERO }
    }

    /// How often at most, the first time among them.
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries;
        self
    }

    /// The longest pause before the second try; it doubles with each further one. How long it is up to that is
    /// random, so that callers that failed together do not come back together.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Sends until there is an answer to keep, the tries are used up, or the budget is.
    ///
    /// # Errors
    /// The last one.
    pub async fn send(&self, call: Callout) -> Result<CalloutReply, CalloutError> {
        self.budget.earn();
        let again = call.is_idempotent();
        let mut tried = 1;
        loop {
            let outcome = call.clone().send().await;
            if tried >= self.tries || !is_worth_it(&outcome, again) || !self.budget.spend() {
                return outcome;
            }
            if !self.pause.is_zero() {
                self.root.sleep(spread(self.pause.saturating_mul(1 << (tried - 1).min(16)))).await;
            }
            tried += 1;
        }
    }
}

fn is_worth_it(outcome: &Result<CalloutReply, CalloutError>, idempotent: bool) -> bool {
    match outcome {
        Err(CalloutError::NotStarted(_)) => true,
        Err(CalloutError::Unreachable(_) | CalloutError::Timeout | CalloutError::Reset) => idempotent,
        Err(_) => false,
        Ok(reply) => idempotent && matches!(reply.status(), 502..=504),
    }
}

/// Some time up to this one; all of it where there is no randomness.
fn spread(most: Duration) -> Duration {
    let mut bytes = [0xff; 4];
    let _ = clock::random(&mut bytes);
    most.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_share_and_a_reserve() {
        let budget = Budget::new(20, 1);
        assert!(budget.spend() && !budget.spend(), "the reserve");
        (0..4).for_each(|_| budget.earn());
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend(), "five calls earn one retry");
        (0..1000).for_each(|_| budget.earn());
        assert!(budget.spend() && !budget.spend(), "no more than the reserve is saved up");
    }
}
