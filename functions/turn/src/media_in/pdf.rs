//! The text of PDFs.
//!
//! Strangers send these, and a file of a kilobyte can make its reader run in circles, fill the memory or overflow the stack,
//! which ends a process and cannot be caught. So a PDF is read in a process of its own: the same program, started with
//! [`ARGUMENT`], without an environment, and with bounds on its memory and time that the system keeps. It gets the file
//! by standard input and writes the text page by page to standard output; what it wrote before its end counts.

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use pdf_extract::{Document, PlainTextOutput, output_doc_page};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::MAX_TEXT;

/// What a program that runs turns is started with to read a PDF.
const ARGUMENT: &str = "read-pdf";

/// How long a PDF may take to be read.
const TIME: Duration = Duration::from_secs(10);

/// How much memory its reader may have, in bytes, for the file, what is unpacked of it, and the text: the turn function has 256 MB.
const MEMORY: u64 = 96 << 20;

/// One reader at a time: a function has little memory.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

const TOO_SLOW: &str = "it took too long";
const BROKEN: &str = "it is a PDF that is damaged, locked or too large";
const NO_TEXT: &str = "it is a PDF without text, perhaps scanned";

/// What a PDF says, or why that is not known.
pub(super) async fn text(bytes: Bytes, reader: Option<&Path>) -> Result<String, &'static str> {
    let _turn = ONE_AT_A_TIME.acquire().await.map_err(|_| BROKEN)?;
    let mut child = start(reader).map_err(|error| {
        tracing::error!("The reader of PDFs was not started: {error}");
        "there is nobody to read PDFs"
    })?;
    let mut text = Vec::new();
    let ended = timeout(TIME, converse(&mut child, &bytes, &mut text)).await;
    // One that has ended is not there to be killed.
    let _ = child.kill().await;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    match ended {
        _ if !text.is_empty() => Ok(text),
        Err(_) => Err(TOO_SLOW),
        Ok(Ok(status)) if status.success() => Err(NO_TEXT),
        Ok(_) => Err(BROKEN),
    }
}

fn start(reader: Option<&Path>) -> std::io::Result<Child> {
    let program = reader.map_or_else(std::env::current_exe, |reader| Ok(PathBuf::from(reader)))?;
    let mut command = Command::new(program);
    command.arg(ARGUMENT).env_clear().kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
}

/// Hands a file to its reader, and takes as much text as is wanted.
async fn converse(child: &mut Child, bytes: &[u8], text: &mut Vec<u8>) -> std::io::Result<ExitStatus> {
    let (mut stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let give = async {
        if let Some(stdin) = &mut stdin {
            // Who has died reads no more, which its status tells.
            let _ = stdin.write_all(bytes).await;
        }
        drop(stdin);
    };
    let take = async {
        match stdout {
            Some(stdout) => stdout.take(MAX_TEXT as u64 * 4).read_to_end(text).await.map(drop),
            None => Ok(()),
        }
    };
    let ((), taken) = tokio::join!(give, take);
    taken?;
    child.wait().await
}

/// If this process was started to read a PDF, reads it and says how to end. To be called before anything else: what the
/// process does later counts towards its bounds.
#[must_use]
pub fn read_pdf_if_asked() -> Option<ExitCode> {
    let is_asked = std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT);
    is_asked.then(|| match bounded().and_then(|()| read()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

/// Bounds this process.
#[cfg(unix)]
fn bounded() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    for (resource, most) in [(Resource::Data, MEMORY), (Resource::Cpu, TIME.as_secs()), (Resource::Core, 0)] {
        let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Without bounds that the system keeps nothing is read.
#[cfg(not(unix))]
fn bounded() -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

fn read() -> std::io::Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let mut out = std::io::stdout().lock();
    let document = Document::load_mem(&bytes).map_err(std::io::Error::other)?;
    drop(bytes);
    let mut left = MAX_TEXT;
    for page in document.get_pages().into_keys() {
        let mut text = String::new();
        // A page that cannot be read costs only itself.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            output_doc_page(&document, &mut PlainTextOutput::new(&mut text), page).is_ok()
        }));
        let text: String = text.trim().chars().take(left).collect();
        left -= text.chars().count();
        write!(out, "{text}\n\n")?;
        out.flush()?;
        if left == 0 {
            break;
        }
    }
    Ok(())
}
