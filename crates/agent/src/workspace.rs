//! A bot's workspace: the Markdown files that make its character and its memory, and the templates that new bots begin with.

/// The files of one bot, in no particular order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workspace {
    pub files: Vec<WorkspaceFile>,
}

/// One file of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceFile {
    /// Path from the workspace's root, such as `SOUL.md`.
    pub name: String,
    /// Markdown.
    pub text: String,
}

impl Workspace {
    /// The text of a file, if there is one of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.files.iter().find(|file| file.name == name).map(|file| file.text.as_str())
    }
}

/// What a new bot can begin as.
#[derive(Debug)]
pub struct Template {
    /// What requests call it.
    pub id: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// Names and texts of its files.
    files: &'static [(&'static str, &'static str)],
}

const IDENTITY: (&str, &str) = ("IDENTITY.md", include_str!("../templates/IDENTITY.md"));
const USER: (&str, &str) = ("USER.md", include_str!("../templates/USER.md"));
const BOOTSTRAP: (&str, &str) = ("BOOTSTRAP.md", include_str!("../templates/BOOTSTRAP.md"));

/// All templates. The first is what a bot begins as when nobody says otherwise.
pub static TEMPLATES: [Template; 5] = [
    Template {
        id: "assistant",
        title: "Assistant",
        about: "Helps with whatever comes, and asks first who you are.",
        files: &[
            ("AGENTS.md", include_str!("../templates/AGENTS.md")),
            ("SOUL.md", include_str!("../templates/SOUL.md")),
            IDENTITY,
            USER,
            BOOTSTRAP,
        ],
    },
    Template {
        id: "support",
        title: "Support",
        about: "Answers questions from the files that you give it, and leaves to people what is theirs.",
        files: &[
            ("AGENTS.md", include_str!("../templates/support/AGENTS.md")),
            ("SOUL.md", include_str!("../templates/support/SOUL.md")),
            IDENTITY,
            USER,
        ],
    },
    Template {
        id: "reminder",
        title: "Reminder",
        about: "Keeps lists, and says at the right time what you wanted to be told.",
        files: &[
            ("AGENTS.md", include_str!("../templates/reminder/AGENTS.md")),
            ("SOUL.md", include_str!("../templates/reminder/SOUL.md")),
            IDENTITY,
            USER,
            BOOTSTRAP,
        ],
    },
    Template {
        id: "researcher",
        title: "Researcher",
        about: "Looks things up, and says what they rest on.",
        files: &[
            ("AGENTS.md", include_str!("../templates/researcher/AGENTS.md")),
            ("SOUL.md", include_str!("../templates/researcher/SOUL.md")),
            IDENTITY,
            USER,
            BOOTSTRAP,
        ],
    },
    Template {
        id: "blank",
        title: "Blank",
        about: "A name and empty pages: you write who it is.",
        files: &[
            ("AGENTS.md", include_str!("../templates/blank/AGENTS.md")),
            ("SOUL.md", include_str!("../templates/blank/SOUL.md")),
            IDENTITY,
            USER,
        ],
    },
];

impl Template {
    /// The template of this id.
    pub fn find(id: &str) -> Option<&'static Template> {
        TEMPLATES.iter().find(|template| template.id == id)
    }

    /// What a bot of this name begins with.
    pub fn workspace(&self, bot_name: &str) -> Workspace {
        let file = |(name, text): &(&str, &str)| WorkspaceFile {
            name: (*name).to_owned(),
            text: text.replace("{name}", bot_name),
        };
        Workspace { files: self.files.iter().map(file).collect() }
    }
}

/// What a new bot starts with when nobody says otherwise.
pub fn default_workspace(bot_name: &str) -> Workspace {
    let [assistant, ..] = &TEMPLATES;
    assistant.workspace(bot_name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_new_bot_knows_its_name_and_has_what_its_template_says() {
        for template in &TEMPLATES {
            let workspace = template.workspace("Heron");
            assert!(workspace.text("IDENTITY.md").unwrap().contains("Heron"), "{}", template.id);
            for name in ["AGENTS.md", "SOUL.md", "USER.md"] {
                assert!(workspace.text(name).is_some_and(|text| text.starts_with("# ")), "{}: {name}", template.id);
            }
            assert!(workspace.files.iter().all(|file| !file.text.contains("{name}") && file.text.len() < 2000));
            assert!(Template::find(template.id).is_some() && Template::find("nothing").is_none());
        }
        let ids: BTreeSet<_> = TEMPLATES.iter().map(|template| template.id).collect();
        assert_eq!(ids.len(), TEMPLATES.len());
        assert_eq!(default_workspace("Heron"), Template::find("assistant").unwrap().workspace("Heron"));
    }
}
