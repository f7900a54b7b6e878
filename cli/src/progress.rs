//! The line that shows that a bot is at work: a spinner with the seconds, drawn over and wiped.

use std::io::{self, Write};
use std::time::Duration;

use tokio::time::Instant;

use crate::terminal::{Style, one_line};

const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// How often the line is drawn.
pub(crate) const TICK: Duration = Duration::from_millis(120);

/// How much of an answer the line shows, in characters.
const MAX_SAID: usize = 48;

/// The line, on standard error. Nothing is drawn where nobody looks.
pub(crate) struct Progress {
    name: String,
    started: Instant,
    style: Style,
    frame: usize,
    is_drawn: bool,
    /// The end of the answer so far; empty as long as there is none.
    said: String,
}

impl Progress {
    pub(crate) fn new(name: &str) -> Progress {
        let style = Style::of(&io::stderr());
        Progress {
            name: one_line(name, 64),
            started: Instant::now(),
            style,
            frame: 0,
            is_drawn: false,
            said: String::new(),
        }
    }

    /// Draws the next frame.
    pub(crate) fn draw(&mut self) {
        if !self.style.is_terminal {
            return;
        }
        let frame = FRAMES[self.frame % FRAMES.len()];
        self.frame += 1;
        let line = match self.said.as_str() {
            "" => format!("{frame} {} is thinking… {} s", self.name, self.started.elapsed().as_secs()),
            said => format!("{frame} {} › …{said}", self.name),
        };
        // A line that cannot be drawn is not missed.
        let _ = write!(io::stderr(), "\r\x1b[2K{}", self.style.dim(line)).and_then(|()| io::stderr().flush());
        self.is_drawn = true;
    }

    /// Shows the end of the answer so far: as much as fits a line of any terminal.
    pub(crate) fn say(&mut self, text: &str) {
        let line = one_line(text, usize::MAX);
        let surplus = line.chars().count().saturating_sub(MAX_SAID);
        self.said = line.chars().skip(surplus).collect();
    }

    /// Makes room for something else.
    pub(crate) fn wipe(&mut self) {
        self.said.clear();
        if self.is_drawn {
            let _ = write!(io::stderr(), "\r\x1b[2K").and_then(|()| io::stderr().flush());
            self.is_drawn = false;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.wipe();
    }
}
