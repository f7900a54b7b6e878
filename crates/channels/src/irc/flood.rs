//! How fast lines may leave: networks disconnect who writes faster.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket of tokens, each of which is one line.
#[derive(Debug)]
pub(super) struct Bucket {
    capacity: u32,
    refill: Duration,
    tokens: u32,
    /// Since when the tokens are what they are.
    counted: Instant,
}

impl Bucket {
    /// `capacity` lines at once, then one for each `refill`.
    pub(super) fn new(capacity: u32, refill: Duration, now: Instant) -> Bucket {
        Bucket { capacity, refill, tokens: capacity, counted: now }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        while self.tokens < self.capacity && self.counted + self.refill <= now {
            self.tokens += 1;
            self.counted += self.refill;
        }
        if self.tokens == self.capacity {
            self.counted = now;
        }
        let has_one = self.tokens > 0;
        self.tokens -= u32::from(has_one);
        has_one
    }

    /// When there is a token again, for who was refused one.
    pub(super) fn ready_at(&self) -> Instant {
        self.counted + self.refill
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_lines_leave_at_once_and_then_one_per_interval() {
        let start = Instant::now();
        let mut bucket = Bucket::new(4, Duration::from_secs(2), start);
        let mut left = Vec::new();
        for _ in 0..7 {
            while !bucket.take(Instant::now()) {
                tokio::time::sleep_until(bucket.ready_at()).await;
            }
            left.push(start.elapsed().as_secs());
        }
        assert_eq!(left, [0, 0, 0, 0, 2, 4, 6]);

        tokio::time::sleep(Duration::from_secs(3600)).await;
        let burst = (0..10).filter(|_| bucket.take(Instant::now())).count();
        assert_eq!(burst, 4, "patience is not saved up");
    }
}
