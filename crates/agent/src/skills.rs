//! Skills: folders with a `SKILL.md` that tell a model how to do one kind of work (the `AgentSkills` format).
//!
//! [`Skills::discover`] reads them from texts alone, so that it does not matter where those are kept. The prompt lists
//! names and descriptions; the model reads the rest by the tool `skill`, and from then on the skill's [`Manifest`] says
//! which tools and hosts it may use ([`in_force`], [`Manifest::allows`]).

mod built_in;
mod manifest;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use built_in::SkillsError;
pub use manifest::Manifest;
pub use rules::in_force;

use manifest::MAX_NAME;

/// Of more skills than this in one place the rest is left out, and the owner told so.
const MAX_SKILLS: usize = 100;
/// The longest `SKILL.md`, in bytes.
const MAX_TEXT: usize = 64 * 1024;

/// The skills of one bot, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skills {
    skills: BTreeMap<String, Arc<Skill>>,
    broken: Vec<BrokenSkill>,
}

/// One skill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skill {
    pub manifest: Manifest,
    /// Where it stands, such as `skills/travel-plan`.
    pub folder: String,
    /// What stands below the front matter: Markdown.
    pub body: String,
    /// Other texts of its folder that came with it, by their paths in it.
    pub(crate) files: BTreeMap<String, String>,
}

/// A `SKILL.md` that cannot be used. For the owner; a model does not see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenSkill {
    /// Without control characters.
    pub path: String,
    pub error: String,
}

/// A skill as the bot's owner is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillStatus {
    /// Its name; of one that cannot be read its path.
    pub name: String,
    pub description: String,
    /// Why the bot's model is not told of it, if so.
    pub left_out: Option<String>,
}

impl Skills {
    pub(crate) const NONE: Skills = Skills { skills: BTreeMap::new(), broken: vec![] };

    /// Reads skills from the paths and texts of files: each `skills/NAME/SKILL.md`, with what else stands in its folder.
    /// Never fails: what is wrong with one is in [`Skills::broken`].
    pub fn discover<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Skills {
        let mut found = Skills::NONE;
        let mut others: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
        let mut folders = Vec::new();
        for (path, text) in files {
            let Some(inner) = path.strip_prefix("skills/") else { continue };
            match inner.split_once('/') {
                _ if !is_plain_path(inner) => found.broken.push(BrokenSkill::new(path, "its path is not a plain one")),
                Some((folder, "SKILL.md")) => folders.push((folder, path, text)),
                Some((folder, file)) => {
                    others.entry(folder).or_default().insert(file.to_owned(), text.to_owned());
                }
                None => {}
            }
        }
        folders.sort_unstable();
        for (folder, path, text) in folders {
            let files = others.remove(folder).unwrap_or_default();
            if let Err(error) = found.add(folder, text, files) {
                found.broken.push(BrokenSkill::new(path, error));
            }
        }
        found
    }

    fn add(&mut self, folder: &str, text: &str, files: BTreeMap<String, String>) -> Result<(), String> {
        if self.skills.len() >= MAX_SKILLS {
            return Err(format!("there are more than {MAX_SKILLS} skills"));
        }
        if text.len() > MAX_TEXT {
            return Err(format!("it is longer than {MAX_TEXT} bytes; move parts of it into files beside it"));
        }
        let (manifest, body) = Manifest::parse(text)?;
        if let Some(other) = self.skills.get(&manifest.name) {
            return Err(format!("{}/SKILL.md has the name `{}`, too", other.folder, manifest.name));
        }
        let (folder, body) = (format!("skills/{folder}"), body.trim().to_owned());
        self.skills.insert(manifest.name.clone(), Arc::new(Skill { manifest, folder, body, files }));
        Ok(())
    }

    /// These skills, and of others those whose names are still free.
    pub fn over(mut self, others: &Skills) -> Skills {
        for (name, skill) in &others.skills {
            self.skills.entry(name.clone()).or_insert_with(|| skill.clone());
        }
        self.broken.extend(others.broken.iter().cloned());
        self
    }

    pub fn get(&self, name: &str) -> Option<&Skill> {
        self.skills.get(name).map(Arc::as_ref)
    }

    /// All that could be read, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Skill> {
        self.skills.values().map(Arc::as_ref)
    }

    /// What could not be read, and why.
    pub fn broken(&self) -> &[BrokenSkill] {
        &self.broken
    }

    /// Those that a model is told of, by name. `only` is [`domain::Abilities::skills`].
    pub fn for_model<'a>(&'a self, only: Option<&'a [String]>) -> impl Iterator<Item = &'a Skill> {
        self.iter().filter(move |skill| skill.manifest.left_out(only).is_none())
    }

    /// All skills for the owner's eyes: by name, then what cannot be read. `only` is [`domain::Abilities::skills`].
    pub fn statuses(&self, only: Option<&[String]>) -> Vec<SkillStatus> {
        let known = self.iter().map(|Skill { manifest, .. }| SkillStatus {
            name: manifest.name.clone(),
            description: manifest.description.clone(),
            left_out: manifest.left_out(only),
        });
        let broken = self.broken.iter().map(|BrokenSkill { path, error }| SkillStatus {
            name: path.clone(),
            description: String::new(),
            left_out: Some(error.clone()),
        });
        known.chain(broken).collect()
    }
}

impl Manifest {
    /// Why a bot's model is not told of the skill, if so.
    fn left_out(&self, only: Option<&[String]>) -> Option<String> {
        if self.unmet.is_some() {
            return self.unmet.clone();
        }
        let reason = match self.for_people_only {
            true => "only people may start it",
            false if !is_among(only, &self.name) => "it is not among the skills that this bot may use",
            false => return None,
        };
        Some(reason.to_owned())
    }
}

/// Whether a bot that is restricted to `only` may use a skill.
pub(crate) fn is_among(only: Option<&[String]>, name: &str) -> bool {
    only.is_none_or(|only| only.iter().any(|one| one == name))
}

impl BrokenSkill {
    fn new(path: &str, error: impl Into<String>) -> BrokenSkill {
        let path = path.chars().take(3 * MAX_NAME).map(|c| if c.is_control() { '�' } else { c }).collect();
        BrokenSkill { path, error: error.into() }
    }
}

/// Whether a path leads down only, and has nothing in it that could be taken for something else.
pub(crate) fn is_plain_path(path: &str) -> bool {
    let is_plain =
        |part: &str| !matches!(part, "" | "." | "..") && !part.contains(|c: char| c.is_control() || c == '\\');
    path.len() <= 256 && path.split('/').all(is_plain)
}

#[cfg(test)]
mod tests;
