//! Slash commands: what a person types to steer the bot instead of talking to it.

/// A message that is a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// Lower case, without the slash and without `@handle`.
    pub name: String,
    /// What follows, trimmed.
    pub rest: &'a str,
}

/// Reads a command, if the text is one that is meant for this bot.
///
/// `/start@other_bot` in a group is another bot's business and yields `None`.
pub fn parse<'a>(text: &'a str, handle: Option<&str>) -> Option<Command<'a>> {
    let line = text.trim().strip_prefix('/')?;
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (name, target) = word.split_once('@').map_or((word, None), |(name, target)| (name, Some(target)));
    if target.is_some_and(|t| handle.is_none_or(|h| !h.eq_ignore_ascii_case(t))) {
        return None;
    }
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    is_name.then(|| Command { name: name.to_ascii_lowercase(), rest: rest.trim() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_paths_and_other_bots() {
        let start = Command { name: "start".into(), rest: "now please" };
        assert_eq!(parse(" /Start@tidy_bot  now please ", Some("Tidy_Bot")), Some(start));
        assert_eq!(parse("/start@other_bot", Some("tidy_bot")), None);
        assert_eq!(parse("/etc/passwd", None), None);
        assert_eq!(parse("/", None), None);
        assert_eq!(parse("hello /start", None), None);
    }
}
