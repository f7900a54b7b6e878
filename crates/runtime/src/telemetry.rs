//! Logs: JSON lines in the cloud, plain lines in a terminal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Plain,
}

/// Starts logging to standard error. `LOWTIDE_LOG` sets the filter (`info` unless set, in the form of
/// `tracing`'s `EnvFilter`). Later calls do nothing.
pub fn init_telemetry(format: LogFormat) {
    let filter = EnvFilter::try_from_env("LOWTIDE_LOG").unwrap_or_else(|_| {
        EnvFilter::new("info,aws_smithy_runtime=warn,aws_config=warn,dynoxide=error,lambda_runtime=warn,s3s=off")
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // The error only says that logging has been started already.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Plain => builder.compact().try_init(),
    };
}
