//! How a command fails: what to tell the person, and what the exit code tells a script.

use std::fmt;
use std::process::ExitCode;

/// Exit codes. Scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    /// It was tried and did not work, or the bot could not answer.
    Failed = 1,
    /// The request itself is wrong: unknown options, unknown names, refused keys.
    Usage = 2,
    /// Lowtide cannot be reached.
    Unreachable = 3,
    /// No answer came within the time given.
    TimedOut = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error with its exit code. The message says what happened and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    /// The same request may succeed in a moment.
    pub may_pass: bool,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), may_pass: false }
    }

    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The exit code of a command's result. Whoever closes our output early (`| head`) has read enough.
pub fn exit_of(result: &anyhow::Result<()>) -> Exit {
    let Err(error) = result else { return Exit::Done };
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.exit;
    }
    let io = error.downcast_ref::<std::io::Error>();
    if io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe) { Exit::Done } else { Exit::Failed }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn exit_codes_follow_the_failure_through_context() {
        assert_eq!(exit_of(&Ok(())), Exit::Done);
        assert_eq!(exit_of(&Err(anyhow::anyhow!("something"))), Exit::Failed);
        let unreachable: Result<(), _> = Err(Failure::new(Exit::Unreachable, "gone"));
        assert_eq!(exit_of(&unreachable.context("while listing")), Exit::Unreachable);
        assert_eq!(Exit::TimedOut as u8, 4);
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(exit_of(&Err(closed.into())), Exit::Done);
    }
}
