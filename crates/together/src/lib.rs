//! What many ask for at the same time, asked for in a few calls.
//!
//! Nobody waits for others to come: a caller that is alone is served at once, alone. Only while all calls are under way do
//! requests gather, and then the next call takes as many of them as it may. So the load decides how large calls are.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

/// Gathers requests `Q`, each of which gets an answer `A`. Cheap to clone; its calls end with the last clone.
pub struct Together<Q, A> {
    asked: mpsc::UnboundedSender<Asked<Q, A>>,
}

struct Asked<Q, A> {
    request: Q,
    answer: oneshot::Sender<A>,
}

impl<Q, A> Clone for Together<Q, A> {
    fn clone(&self) -> Self {
        Together { asked: self.asked.clone() }
    }
}

impl<Q: Send + 'static, A: Send + 'static> Together<Q, A> {
    /// Makes up to `calls` calls at the same time, each with `most` requests or fewer. `call` answers requests in their order.
    ///
    /// Must be used within a Tokio runtime.
    pub fn start<C, F>(calls: usize, most: usize, call: C) -> Together<Q, A>
    where
        C: Fn(Vec<Q>) -> F + Clone + Send + 'static,
        F: Future<Output = Vec<A>> + Send + 'static,
    {
        let (asked, requests) = mpsc::unbounded_channel();
        let requests = Arc::new(Mutex::new(requests));
        for _ in 0..calls {
            tokio::spawn(work(requests.clone(), most, call.clone()));
        }
        Together { asked }
    }

    /// Asks for one thing. `None`: nobody answers any more, since the process is about to end.
    pub async fn ask(&self, request: Q) -> Option<A> {
        let (answer, answered) = oneshot::channel();
        self.asked.send(Asked { request, answer }).ok()?;
        answered.await.ok()
    }
}

async fn work<Q, A, C, F>(requests: Arc<Mutex<mpsc::UnboundedReceiver<Asked<Q, A>>>>, most: usize, call: C)
where
    C: Fn(Vec<Q>) -> F,
    F: Future<Output = Vec<A>>,
{
    loop {
        let mut gathered = Vec::new();
        // Whoever has the lock waits for the next request; the others are at work.
        if requests.lock().await.recv_many(&mut gathered, most).await == 0 {
            return;
        }
        let (asked, answers): (Vec<Q>, Vec<_>) = gathered.into_iter().map(|it| (it.request, it.answer)).unzip();
        for (answer, to) in call(asked).await.into_iter().zip(answers) {
            // One that has gone meanwhile wants none.
            let _ = to.send(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn whoever_is_alone_is_served_alone_and_a_crowd_together() {
        let (calls, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (counted, opened) = (calls.clone(), gate.clone());
        let together = Together::start(1, 10, move |requests: Vec<u32>| {
            let (counted, opened) = (counted.clone(), opened.clone());
            async move {
                counted.fetch_add(1, Ordering::Relaxed);
                opened.notified().await;
                requests.into_iter().map(|request| request * 2).collect()
            }
        });
        let ask = |n: u32| {
            let together = together.clone();
            tokio::spawn(async move { together.ask(n).await })
        };
        let first = ask(1);
        while calls.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let crowd: Vec<_> = (2..27).map(ask).collect();
        // Who came while the first call was under way is served by calls of ten.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        gate.notify_one();
        assert_eq!(first.await.unwrap(), Some(2));
        for (n, asked) in (2..27).zip(crowd) {
            gate.notify_one();
            assert_eq!(asked.await.unwrap(), Some(n * 2));
        }
        assert_eq!(calls.load(Ordering::Relaxed), 1 + 3);
    }
}
