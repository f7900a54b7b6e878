//! What can go wrong with state, by what the caller does next.

use std::error::Error;
use std::fmt;

use domain::{BudgetScope, MessageId};

/// Why a read or write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The record changed since it was read, or exists already: read it again and decide anew.
    #[error("{0}")]
    Conflict(&'static str),
    /// These messages of the commit were taken in by an earlier commit.
    #[error("{} of the messages were taken in before", .0.len())]
    AlreadyTaken(Vec<MessageId>),
    /// The budget of this scope does not allow what was to be spent.
    #[error("the {0}'s budget is used up")]
    OverBudget(BudgetScope),
    /// A record or secret cannot be read: somebody has to look. Trying again does not help.
    #[error("{0}")]
    Corrupt(String),
    /// The service did not answer, or refused for now: try again later. Whether the write took effect
    /// is not known.
    #[error("could not {what}: {detail}")]
    Unavailable { what: &'static str, detail: String },
}

/// An error of the SDK with its causes in one line.
pub(crate) fn unavailable(what: &'static str, error: &(dyn Error + 'static)) -> StoreError {
    StoreError::Unavailable { what, detail: Chain(error).to_string() }
}

struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
