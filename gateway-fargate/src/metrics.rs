//! What a holder counts, in Prometheus' text format.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use domain::Timestamp;

/// What a link's connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Connecting, or waiting for its turn to connect.
    Opening,
    /// Events flow.
    Connected,
    /// The connection was lost, and the next attempt waits.
    Waiting,
}

impl LinkState {
    const ALL: [LinkState; 3] = [LinkState::Opening, LinkState::Connected, LinkState::Waiting];

    fn as_str(self) -> &'static str {
        match self {
            LinkState::Opening => "opening",
            LinkState::Connected => "connected",
            LinkState::Waiting => "waiting",
        }
    }
}

/// The upper bounds of the histogram's buckets, in milliseconds.
const BUCKETS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 30_000];

/// The counters of a process.
#[derive(Debug, Default)]
pub struct Metrics {
    links: [AtomicI64; 3],
    opened: AtomicU64,
    lost: AtomicU64,
    events: AtomicU64,
    forwards: [AtomicU64; BUCKETS.len()],
    forward_micros: AtomicU64,
    slots: AtomicU64,
    /// When the table of leases was last read, in milliseconds.
    table_read_at: AtomicU64,
}

impl Metrics {
    pub(crate) fn link_enters(&self, state: LinkState) {
        self.links[state as usize].fetch_add(1, Ordering::Relaxed);
        match state {
            LinkState::Connected => self.opened.fetch_add(1, Ordering::Relaxed),
            LinkState::Waiting => self.lost.fetch_add(1, Ordering::Relaxed),
            LinkState::Opening => 0,
        };
    }

    pub(crate) fn link_leaves(&self, state: LinkState) {
        self.links[state as usize].fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes a message that was queued `took` after it had been read from the network.
    pub(crate) fn forwarded(&self, took: Duration) {
        self.events.fetch_add(1, Ordering::Relaxed);
        self.forward_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if let Some(bucket) = BUCKETS.iter().position(|bound| took <= Duration::from_millis(*bound)) {
            self.forwards[bucket].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn has_slots(&self, count: usize, table_read_at: Timestamp) {
        self.slots.store(count as u64, Ordering::Relaxed);
        self.table_read_at.store(table_read_at.as_millis(), Ordering::Relaxed);
    }

    /// How many links are in a state.
    pub fn links(&self, state: LinkState) -> i64 {
        self.links[state as usize].load(Ordering::Relaxed)
    }

    /// How many messages were queued.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// When the table of leases was last read.
    pub fn table_read_at(&self) -> Timestamp {
        Timestamp::from_millis(self.table_read_at.load(Ordering::Relaxed))
    }

    /// All of it, as Prometheus reads it at `now`.
    pub fn render(&self, now: Timestamp) -> String {
        let mut out = String::new();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut family = |name: &str, kind: &str, help: &str, lines: &[(String, String)]| {
            let _ = writeln!(out, "# HELP lowtide_holder_{name} {help}\n# TYPE lowtide_holder_{name} {kind}");
            for (suffix, value) in lines {
                let _ = writeln!(out, "lowtide_holder_{name}{suffix} {value}");
            }
        };
        let one = |value: u64| vec![(String::new(), value.to_string())];
        let states =
            LinkState::ALL.map(|state| (format!("{{state=\"{}\"}}", state.as_str()), self.links(state).to_string()));
        family("links", "gauge", "Links by the state of their connection.", &states);
        family(
            "connections_opened_total",
            "counter",
            "Connections on which events began to flow.",
            &one(load(&self.opened)),
        );
        family("connections_lost_total", "counter", "Connections that broke or did not open.", &one(load(&self.lost)));
        family("events_total", "counter", "Messages that were queued or decided at the door.", &one(self.events()));
        let mut sum = 0;
        let mut buckets: Vec<(String, String)> = BUCKETS
            .iter()
            .zip(&self.forwards)
            .map(|(bound, count)| {
                sum += load(count);
                #[allow(clippy::cast_precision_loss, reason = "bounds are small")]
                let bound = *bound as f64 / 1000.0;
                (format!("_bucket{{le=\"{bound}\"}}"), sum.to_string())
            })
            .collect();
        buckets.push(("_bucket{le=\"+Inf\"}".to_owned(), self.events().to_string()));
        let micros = load(&self.forward_micros);
        buckets.push(("_sum".to_owned(), format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)));
        buckets.push(("_count".to_owned(), self.events().to_string()));
        family("forward_seconds", "histogram", "From a socket's frame to its message in the queue.", &buckets);
        family("slots", "gauge", "Slots that this holder has.", &one(load(&self.slots)));
        let lag = now.since(self.table_read_at());
        let lag = vec![(String::new(), format!("{}.{:03}", lag.as_secs(), lag.subsec_millis()))];
        family("lease_lag_seconds", "gauge", "Time since the table of leases was read.", &lag);
        family("resident_bytes", "gauge", "Memory of the process.", &one(resident_bytes().unwrap_or_default()));
        out
    }
}

/// The memory that the process has in RAM, as Linux tells.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histograms_buckets_add_up() {
        let metrics = Metrics::default();
        for millis in [1, 4, 4, 40, 60_000] {
            metrics.forwarded(Duration::from_millis(millis));
        }
        metrics.link_enters(LinkState::Connected);
        metrics.has_slots(64, Timestamp::from_secs(10));
        let text = metrics.render(Timestamp::from_millis(11_500));
        for line in [
            "lowtide_holder_links{state=\"connected\"} 1",
            "lowtide_holder_forward_seconds_bucket{le=\"0.001\"} 1",
            "lowtide_holder_forward_seconds_bucket{le=\"0.005\"} 3",
            "lowtide_holder_forward_seconds_bucket{le=\"30\"} 4",
            "lowtide_holder_forward_seconds_bucket{le=\"+Inf\"} 5",
            "lowtide_holder_forward_seconds_sum 60.049000",
            "lowtide_holder_lease_lag_seconds 1.500",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
    }
}
