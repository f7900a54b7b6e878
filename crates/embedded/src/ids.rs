//! The wall clock and the unique ids of the three stores.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since_epoch = since_epoch();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// The stores stand in for services that keep their own time, so this is the machine's clock, not the caller's.
#[expect(clippy::disallowed_methods, reason = "as above: a queue's delays run on its server's clock")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A value no other call returns, in this process or a later one over the same directory.
///
/// Unique, not secret: time and a counter, mixed with a seed drawn once per process.
fn unique() -> (u64, u64) {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut half = SEED.build_hasher();
    half.write_u128(since_epoch().as_nanos());
    half.write_u64(count);
    let high = half.finish();
    half.write_u64(high);
    (high, half.finish())
}

/// 32 hexadecimal digits: the name of a blob or of an upload.
pub(crate) fn unique_hex() -> String {
    let (high, low) = unique();
    format!("{high:016x}{low:016x}")
}

/// The same in the form of a UUID of version 4, which SQS uses for message ids.
pub(crate) fn unique_uuid() -> String {
    let (high, low) = unique();
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0x0fff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}
