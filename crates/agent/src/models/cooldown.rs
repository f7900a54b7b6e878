//! Models that failed are left alone for a while, so that each message does not wait for them anew.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::BotView;

/// How long a model is left alone after the first failure; five times as long after each further one (OpenClaw's times).
const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// How many models are remembered before those that may be asked again are forgotten.
const MANY: usize = 1_000;

/// A model at an address, asked with a key; without one, by a bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked(u64);

impl Asked {
    pub(super) fn of(bot: &BotView<'_>) -> Asked {
        let mut hasher = DefaultHasher::new();
        // Who asks without a key has nothing else that tells them from others: one bot's trouble is not another's.
        let key = bot.api_key.map(super::Secret::expose).filter(|key| !key.is_empty());
        (bot.model, bot.base_url, key, bot.id.filter(|_| key.is_none())).hash(&mut hasher);
        Asked(hasher.finish())
    }
}

#[derive(Clone, Copy, Debug)]
struct Cooldown {
    failures: u32,
    until: Instant,
}

/// The models that failed, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Cooldowns(Mutex<HashMap<Asked, Cooldown>>);

impl Cooldowns {
    /// How long a model is still to be left alone.
    pub(super) fn left(&self, asked: Asked, now: Instant) -> Option<Duration> {
        let until = self.lock().get(&asked)?.until;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// A model failed; its provider may have said for how long.
    pub(super) fn failed(&self, asked: Asked, retry_after: Option<Duration>, now: Instant) {
        let mut all = self.lock();
        if all.len() >= MANY {
            all.retain(|_, cooldown| cooldown.until > now);
        }
        let failures = all.get(&asked).map_or(0, |cooldown| cooldown.failures);
        let own = FIRST * 5u32.saturating_pow(failures.min(4));
        let wait = retry_after.unwrap_or_default().max(own).min(LONGEST);
        all.insert(asked, Cooldown { failures: failures + 1, until: now + wait });
    }

    pub(super) fn answered(&self, asked: Asked) {
        self.lock().remove(&asked);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Asked, Cooldown>> {
        // What another thread left half-done is still a map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_left_alone_longer_each_time() {
        let (cooldowns, now) = (Cooldowns::default(), Instant::now());
        let asked = Asked::of(&BotView { model: Some("openai/m"), ..BotView::default() });
        let other = Asked::of(&BotView { model: Some("openai/n"), ..BotView::default() });
        let mut minutes = Vec::new();
        for _ in 0..5 {
            cooldowns.failed(asked, None, now);
            minutes.push(cooldowns.left(asked, now).unwrap().as_secs() / 60);
        }
        assert_eq!(minutes, [1, 5, 25, 60, 60]);
        assert_eq!((cooldowns.left(other, now), cooldowns.left(asked, now + LONGEST)), (None, None));
        cooldowns.answered(asked);
        cooldowns.failed(asked, Some(Duration::from_secs(90)), now);
        assert_eq!(cooldowns.left(asked, now), Some(Duration::from_secs(90)));
        let of_bot = |n| {
            let id = Some(domain::BotId::from_parts(domain::Timestamp::from_secs(1), n));
            Asked::of(&BotView { model: Some("bedrock/m"), id, ..BotView::default() })
        };
        assert_ne!(of_bot(1), of_bot(2), "both ask with the deployment's role");
        let key = super::super::Secret::new("k");
        assert_ne!(asked, Asked::of(&BotView { model: Some("openai/m"), api_key: Some(&key), ..BotView::default() }));
    }
}
