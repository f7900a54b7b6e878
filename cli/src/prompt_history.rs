//! What was typed at the prompt of `lowtide chat`, kept in the state directory for the arrow keys.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How many lines are kept. The file may grow to twice as many before it is cut.
const KEPT: usize = 500;

/// The file that the lines are in.
pub(crate) struct PromptHistory {
    path: PathBuf,
}

impl PromptHistory {
    /// `None` if there is no state directory to keep it in: a remote Lowtide needs none.
    pub(crate) fn in_dir(state_dir: &Path) -> Option<PromptHistory> {
        state_dir.is_dir().then(|| PromptHistory { path: state_dir.join("chat_history") })
    }

    /// The lines, oldest first.
    pub(crate) fn load(&self) -> Vec<String> {
        // History is a convenience: without it the chat goes on.
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let kept = lines[lines.len().saturating_sub(KEPT)..].to_vec();
        if lines.len() > KEPT * 2 {
            let text: String = kept.iter().flat_map(|line| [line, "\n"]).collect();
            let _ = self.write(&text, false);
        }
        kept
    }

    /// Adds a line.
    pub(crate) fn add(&self, line: &str) {
        if !line.contains('\n') {
            let _ = self.write(&format!("{line}\n"), true);
        }
    }

    fn write(&self, text: &str, append: bool) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.create(true).append(append).write(true).truncate(!append).mode(0o600);
        options.open(&self.path)?.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let history = PromptHistory::in_dir(dir.path()).unwrap();
        assert!(history.load().is_empty());
        (0..=KEPT * 2).for_each(|i| history.add(&i.to_string()));
        history.add("two\nlines");
        let kept = history.load();
        assert_eq!((kept.len(), kept.last().unwrap().as_str()), (KEPT, "1000"));
        assert_eq!(fs::read_to_string(&history.path).unwrap().lines().count(), KEPT);
        assert!(PromptHistory::in_dir(&dir.path().join("none")).is_none());
    }
}
