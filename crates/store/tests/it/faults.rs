//! A worker that dies: from some request on, none leaves it any more.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;

/// When the worker dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Death {
    #[default]
    Never,
    /// After this many requests.
    After(i64),
    /// After this many requests, and before the answer of the last of them comes.
    BeforeAnswer(i64),
}

/// Sees all requests of a world's store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    death: Arc<Mutex<Death>>,
    sent: Arc<AtomicI64>,
}

impl Faults {
    /// Counts requests anew.
    pub(crate) fn set(&self, death: Death) {
        *self.death.lock().unwrap() = death;
        self.sent.store(0, Ordering::SeqCst);
    }

    /// How many requests were made since [`Faults::set`], those that failed included.
    pub(crate) fn sent(&self) -> i64 {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Intercept for Faults {
    fn name(&self) -> &'static str {
        "Faults"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let sent = self.sent.fetch_add(1, Ordering::SeqCst);
        match *self.death.lock().unwrap() {
            Death::After(most) | Death::BeforeAnswer(most) if sent >= most => Err("the worker is dead".into()),
            _ => Ok(()),
        }
    }

    fn read_after_transmit(
        &self,
        _: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        match *self.death.lock().unwrap() {
            Death::BeforeAnswer(most) if self.sent() >= most => Err("the worker died before the answer came".into()),
            _ => Ok(()),
        }
    }
}
