//! The skills that every bot has: from a directory, or those that are in this binary.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::Skills;

macro_rules! skill {
    ($name:literal) => {
        (
            concat!("skills/", $name, "/SKILL.md"),
            include_str!(concat!("../../../../layers/skills/skills/", $name, "/SKILL.md")),
        )
    };
}

/// What `layers/skills` holds, so that one binary works anywhere.
const EMBEDDED: [(&str, &str); 7] = [
    skill!("daily-briefing"),
    skill!("meeting-notes"),
    skill!("research-compare"),
    skill!("summarise-page"),
    skill!("translate-carefully"),
    skill!("travel-plan"),
    skill!("write-skill"),
];

/// A directory of skills that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the skills in {path} cannot be read: {source}")]
pub struct SkillsError {
    path: PathBuf,
    source: io::Error,
}

impl Skills {
    /// The skills that are in this binary.
    pub fn embedded() -> Skills {
        Skills::discover(EMBEDDED)
    }

    /// The skills of a directory that has one folder for each, such as a layer's `/opt/skills`. Reads the disk: for a
    /// process's beginning.
    pub fn from_dir(dir: &Path) -> Result<Skills, SkillsError> {
        let mut files = Vec::new();
        read(dir, "skills", &mut files).map_err(|(path, source)| SkillsError { path, source })?;
        Ok(Skills::discover(files.iter().map(|(path, text)| (path.as_str(), text.as_str()))))
    }
}

/// All texts below a directory. What is no text is left out: a model could not read it.
fn read(dir: &Path, name: &str, files: &mut Vec<(String, String)>) -> Result<(), (PathBuf, io::Error)> {
    let failed = |error| (dir.to_owned(), error);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(failed)?.is_dir() {
            read(&entry.path(), &name, files)?;
        } else {
            match fs::read_to_string(entry.path()) {
                Ok(text) => files.push((name, text)),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => return Err((entry.path(), error)),
            }
        }
    }
    Ok(())
}
