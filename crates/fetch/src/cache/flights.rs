//! One piece of work for however many ask for its result.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::client::Hops;
use crate::error::{Error, Result};

/// Longest time that one flight may take, all its upstreams included.
const MAX_FLIGHT: Duration = Duration::from_secs(15 * 60);

/// Most flights of others whose failure one request waits for.
const MAX_FOREIGN: usize = 2;

/// Where a flight's result comes, and on behalf of which request it was started.
#[derive(Clone)]
struct Landing<T> {
    result: watch::Receiver<Option<Result<T>>>,
    hops: Hops,
}

/// The work under way, by key.
///
/// A flight is a task of its own: it ends by its own rules, not when the one who started it goes away.
pub(crate) struct Flights<T> {
    /// Held for a look or a change, never while waiting.
    under_way: Mutex<HashMap<String, Landing<T>>>,
    most: usize,
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { under_way: Mutex::default(), most })
    }

    /// Joins the flight with this key, or starts `work` as one, and waits for its result.
    ///
    /// What failed on behalf of a request that came by another way may have failed because of that way, which anybody can
    /// invent: then `work` is tried, too.
    pub(crate) async fn join<W>(self: &Arc<Self>, key: &str, work: impl FnOnce() -> W) -> Result<T>
    where
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let (mut work, mut foreign) = (Some(work), 0);
        loop {
            let mut landing = self.board(key, &mut work, Hops::current())?;
            let landed =
                landing.result.wait_for(Option::is_some).await.ok().and_then(|result| result.clone());
            let landed = landed.unwrap_or_else(|| Err(Error::unavailable("internal error while fetching")));
            if landed.is_ok() || landing.hops == Hops::current() || foreign == MAX_FOREIGN {
                return landed;
            }
            foreign += 1;
        }
    }

    /// Starts `work` as a flight unless there is one with this key; nobody waits here. At the limit nothing happens.
    ///
    /// It is done on nobody's behalf: the way of the request that gave the occasion may be invented, and would spoil what is
    /// remembered of the result for all. A loop that is one ends at this server's own name all the same.
    pub(crate) fn launch<W>(self: &Arc<Self>, key: &str, work: impl FnOnce() -> W)
    where
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let _ = self.board(key, &mut Some(work), Hops::default());
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Takes `work`, which came by this way, only if there is no flight with this key.
    fn board<W>(
        self: &Arc<Self>,
        key: &str,
        work: &mut Option<impl FnOnce() -> W>,
        hops: Hops,
    ) -> Result<Landing<T>>
    where
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landing) = under_way.get(key) {
            return Ok(landing.clone());
        }
        if under_way.len() >= self.most {
            return Err(Error::unavailable("too many fetches are under way, try again"));
        }
        let work = work.take().ok_or_else(|| Error::unavailable("internal error while fetching"))?;
        let (sender, result) = watch::channel(None);
        let landing = Landing { result, hops: hops.clone() };
        under_way.insert(key.to_owned(), landing.clone());
        let departure = Departure { flights: self.clone(), key: key.to_owned() };
        let work = hops.scope(work());
        tokio::spawn(async move {
            let result = timeout(MAX_FLIGHT, work).await;
            // Who comes between these two lines starts anew and finds on disk what this one left there.
            drop(departure);
            sender.send_replace(Some(
                result.unwrap_or_else(|_| Err(Error::timeout("the fetch took too long"))),
            ));
        });
        Ok(landing)
    }
}

/// Takes the flight off the board when its task ends, also by a panic.
struct Departure<T> {
    flights: Arc<Flights<T>>,
    key: String,
}

impl<T> Drop for Departure<T> {
    fn drop(&mut self) {
        self.flights.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn many_share_one_flight_and_its_starter_may_leave() {
        let flights = Flights::new(10);
        let runs = Arc::new(AtomicUsize::new(0));
        let ask = || {
            let (flights, runs) = (flights.clone(), runs.clone());
            async move {
                let work = || async move {
                    runs.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Ok(7)
                };
                flights.join("key", work).await
            }
        };
        let first = tokio::spawn(ask());
        tokio::time::sleep(Duration::from_millis(10)).await;
        first.abort();
        let others: Vec<_> = (0..100).map(|_| tokio::spawn(ask())).collect();
        for other in others {
            assert_eq!(other.await.unwrap(), Ok(7));
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert_eq!(flights.len(), 0);
        assert_eq!(ask().await, Ok(7));
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn an_invented_way_spoils_the_result_for_nobody_else() {
        let flights = Flights::new(10);
        let mut headers = http::HeaderMap::new();
        headers.insert(crate::HOP_HEADER, http::HeaderValue::from_static("invented"));
        let spoiled = || async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Err(Error::unavailable("upstream leads back to this server"))
        };
        let spoiler = Hops::read(&headers).scope({
            let flights = Arc::clone(&flights);
            async move { flights.join("key", spoiled).await }
        });
        let spoiler = tokio::spawn(spoiler);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(flights.join("key", || async { Ok(7) }).await, Ok(7));
        assert!(spoiler.await.unwrap().is_err());
        // Who came the same way shares the failure.
        let (one, two) = tokio::join!(flights.join("key", spoiled), flights.join("key", || async { Ok(8) }));
        assert!(one.is_err() && two.is_err());
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_done_on_nobodys_behalf() {
        let flights = Flights::new(10);
        let mut headers = http::HeaderMap::new();
        headers.insert(crate::HOP_HEADER, http::HeaderValue::from_static("invented"));
        let (sender, came) = tokio::sync::oneshot::channel();
        let work = || async {
            let _ = sender.send(Hops::current());
            Ok(())
        };
        let occasion = async { flights.launch("key", work) };
        Hops::read(&headers).scope(occasion).await;
        assert_eq!(came.await.unwrap(), Hops::default());
    }

    #[tokio::test]
    async fn the_number_of_flights_is_bounded_and_panics_land() {
        let flights = Flights::<()>::new(1);
        flights.launch("a", std::future::pending);
        assert!(flights.join("b", || async { Ok(()) }).await.is_err());
        let flights = Flights::<()>::new(1);
        let crash = flights.join("a", || async { panic!("as a test") }).await;
        assert_eq!(crash.unwrap_err().text(), "internal error while fetching");
        assert_eq!(flights.join("b", || async { Ok(()) }).await, Ok(()));
    }
}
