//! Paths in a workspace.

/// The longest path, in bytes.
const MAX_PATH: usize = 512;

/// A path that stays within the workspace, without a leading `./`. The error is for the model to read.
pub(super) fn checked(path: &str) -> Result<String, String> {
    let refused = |why: &str| {
        let shown: String = path.chars().filter(|c| !c.is_control()).take(80).collect();
        Err(format!("`{shown}` is refused: {why}. Give a path within the workspace, such as notes/plan.md."))
    };
    let path = path.strip_prefix("./").unwrap_or(path);
    if path.is_empty() || path.len() > MAX_PATH {
        return refused("it is empty or too long");
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return refused("it has a backslash or a control character");
    }
    if path.starts_with('/') || path.contains(':') {
        return refused("it is not relative to the workspace");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refused("it leads elsewhere");
    }
    Ok(path.to_owned())
}
