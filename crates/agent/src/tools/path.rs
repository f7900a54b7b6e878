//! The names of a workspace's files, as models may write them.

/// The longest path of a file, in bytes.
const MAX_PATH: usize = 512;

/// The path from the workspace's root that a text means, if it means one; otherwise why not, for the model to read.
pub(super) fn checked(text: &str) -> Result<String, String> {
    let mut path = text;
    while let Some(rest) = path.strip_prefix("./") {
        path = rest;
    }
    let wrong = if path.is_empty() {
        "it is empty"
    } else if path.len() > MAX_PATH {
        return Err(format!("The path is too long: {} bytes, where {MAX_PATH} are allowed.", path.len()));
    } else if path.chars().any(char::is_control) {
        return Err("The path has control characters in it.".to_owned());
    } else if path.contains('\\') {
        "its parts are divided by `/`, not `\\`"
    } else if path.starts_with('/') {
        "it begins at the workspace's root, without a `/`"
    } else if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "no part of it may be empty, `.` or `..`"
    } else {
        return Ok(path.to_owned());
    };
    Err(format!("`{path}` is not a path in the workspace: {wrong}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_kept_as_they_are() {
        for path in ["a", "memory/2026-11-22.md", "%2e%2e/x", "C:/x", "...", "a b/ü.md", "u\u{308}", ".hidden", "~/x"]
        {
            assert_eq!(checked(path), Ok(path.to_owned()));
        }
        assert_eq!(checked("./a/b"), Ok("a/b".to_owned()));
        assert_eq!(checked("././a"), Ok("a".to_owned()));
        assert_eq!(checked(&"a".repeat(512)), Ok("a".repeat(512)));
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for (path, why) in [
            ("", "it is empty"),
            ("./", "it is empty"),
            (".", "`.` or `..`"),
            ("..", "`.` or `..`"),
            ("../x", "`.` or `..`"),
            ("./../x", "`.` or `..`"),
            ("a/../b", "`.` or `..`"),
            ("a/./b", "`.` or `..`"),
            ("a//b", "empty"),
            ("a/", "empty"),
            ("/etc/passwd", "without a `/`"),
            (".//etc/passwd", "without a `/`"),
            ("a\\b", "not `\\`"),
            ("C:\\x", "not `\\`"),
            ("..\\x", "not `\\`"),
            ("a\0b", "control characters"),
            ("a\nb", "control characters"),
            ("a\u{85}b", "control characters"),
            (&"ü".repeat(300), "600 bytes, where 512 are allowed"),
        ] {
            let refused = checked(path).expect_err(path);
            assert!(refused.contains(why), "{path:?}: {refused}");
        }
    }
}
