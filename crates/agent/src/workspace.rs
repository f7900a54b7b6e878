//! A bot's workspace: the Markdown files that make its character and its memory.

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

const TEMPLATES: [(&str, &str); 5] = [
    ("AGENTS.md", include_str!("../templates/AGENTS.md")),
    ("SOUL.md", include_str!("../templates/SOUL.md")),
    ("IDENTITY.md", include_str!("../templates/IDENTITY.md")),
    ("USER.md", include_str!("../templates/USER.md")),
    ("BOOTSTRAP.md", include_str!("../templates/BOOTSTRAP.md")),
];

/// What a new bot starts with.
pub fn default_workspace(bot_name: &str) -> Workspace {
    let file =
        |(name, text): (&str, &str)| WorkspaceFile { name: name.to_owned(), text: text.replace("{name}", bot_name) };
    Workspace { files: TEMPLATES.into_iter().map(file).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_bot_knows_its_name() {
        let workspace = default_workspace("Heron");
        assert!(workspace.text("IDENTITY.md").unwrap().contains("Heron"));
        assert!(workspace.files.iter().all(|file| !file.text.contains("{name}") && file.text.len() < 2000));
    }
}
