//! The `lowtide` binary: parses, runs, and turns failures into a message and an exit code.

use std::process::ExitCode;

use clap::Parser;
use lowtide::{Cli, Exit, exit_of, run};

fn main() -> ExitCode {
    // `dev` starts this binary to read PDFs that came with messages.
    if let Some(read) = turn::read_pdf_if_asked() {
        return read;
    }
    let cli = Cli::parse();
    let result = match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let result = runtime.block_on(run(cli));
            // A read from the terminal cannot be called off, and must not keep the program alive.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(error.into()),
    };
    let exit = exit_of(&result);
    if let Err(error) = result
        && exit != Exit::Done
    {
        eprintln!("{error:#}");
    }
    exit.into()
}
