//! The rounds: all places are asked for their latest head, again and again.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use quipu_verify::{Client, Error, Refreshed};
use tokio::time::{Instant, timeout};

use super::event::Kind;
use super::shared::{Shared, now};
use super::watch::Outcome;

/// Asks all places.
pub(super) struct Rounds {
    pub(super) shared: Arc<Shared>,
    /// Where the database is served, under what name that is reported; the first is the database itself.
    pub(super) places: Vec<(String, Client)>,
    pub(super) pace: Pace,
    pub(super) keep_going: bool,
    /// The longest that one place may keep a round.
    pub(super) limit: Duration,
}

/// How often to ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) every: Duration,
    /// The longest time between two rounds.
    pub(super) slowest: Duration,
}

impl Pace {
    /// The time to the next round after so many failed ones, before it is made uneven.
    pub(super) fn after(self, failures: u32) -> Duration {
        let slower = self.every.saturating_mul(1 << failures.min(6));
        slower.min(self.slowest.max(self.every))
    }
}

impl Rounds {
    /// Goes on until it is time to stop; says whether a fork is the reason.
    ///
    /// # Errors
    /// Nothing can be remembered any more.
    pub(super) async fn run(&self) -> Result<bool> {
        let mut failures = 0;
        while !self.shared.is_stopped() {
            failures = if self.one().await? { 0 } else { failures + 1 };
            if self.forked() && !self.keep_going {
                return Ok(true);
            }
            self.rest(uneven(self.pace.after(failures))).await?;
        }
        Ok(false)
    }

    /// One round. Says whether the database itself gave an answer that it need not be spared after.
    ///
    /// # Errors
    /// Nothing can be remembered any more.
    pub(super) async fn one(&self) -> Result<bool> {
        let ask = async |client: &Client| timeout(self.limit, client.refresh()).await;
        let answers = join_all(self.places.iter().map(|(_, client)| ask(client))).await;
        let latest = answers.iter().flatten().flatten().map(|seen| seen.latest.size()).max();
        let answered = matches!(answers.first(), Some(Ok(Ok(_) | Err(Error::Misbehaved(_)))));
        for ((from, _), answer) in self.places.iter().zip(answers) {
            match answer {
                Ok(Ok(Refreshed { served, latest })) => {
                    let (served, latest) = (served.size(), latest.size());
                    self.shared.take(from, Outcome::Head { served, latest });
                }
                Ok(Err(error)) => self.shared.refuse(from, &error),
                Err(_) => {
                    let text = format!("no whole answer in {} s", self.limit.as_secs());
                    self.shared.take(from, Outcome::Bad { kind: Kind::Unreachable, text, evidence: None });
                }
            }
        }
        self.shared.with(|watch| {
            latest.map(|size| watch.begin(size));
            watch.round(now());
        });
        self.shared.tick();
        self.shared.save()?;
        self.shared.ring();
        Ok(answered)
    }

    fn forked(&self) -> bool {
        self.shared.with(|watch| watch.wrong().contains(&Kind::Fork))
    }

    /// Waits for the next round, with an eye on the clock.
    async fn rest(&self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while !self.shared.is_stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.shared.pause(left.min(self.pace.every)).await;
            let alerts = self.shared.with(|watch| watch.memory().alerts);
            self.shared.tick();
            if self.shared.with(|watch| watch.memory().alerts) > alerts {
                self.shared.save()?;
            }
        }
        Ok(())
    }
}

/// A time up to a tenth shorter or longer, so that many monitors do not ask at the same moment.
pub(super) fn uneven(time: Duration) -> Duration {
    // The hasher's keys are drawn anew each time: no more chance than that is needed.
    let chance = RandomState::new().hash_one(()) % 2001;
    time.mul_f64(0.9 + 0.0001 * chance as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_slow_down_to_a_limit() {
        let pace = |every, slowest| Pace {
            every: Duration::from_secs(every),
            slowest: Duration::from_secs(slowest),
        };
        let seconds = |pace: Pace| [0, 1, 2, 5, 99].map(|failures| pace.after(failures).as_secs());
        assert_eq!(seconds(pace(30, 600)), [30, 60, 120, 600, 600]);
        assert_eq!(seconds(pace(900, 600)), [900; 5]);
        let (time, spread) = (Duration::from_secs(100), 90.0..=110.1);
        assert!((0..100).all(|_| spread.contains(&uneven(time).as_secs_f64())));
    }
}
