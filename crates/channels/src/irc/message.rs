//! A line as the parts that it is made of.

/// <https://modern.ircdocs.horse/#client-to-server-protocol-structure>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    tags: Vec<(String, String)>,
    /// Who it comes from: a server's name, or `nick!user@host`.
    pub(super) source: String,
    /// In capitals.
    pub(super) command: String,
    pub(super) params: Vec<String>,
}

impl Message {
    /// Reads a line without its end; `None` if it has no command.
    pub(super) fn parse(line: &str) -> Option<Message> {
        let mut message = Message::default();
        let mut rest = line.trim_start_matches(' ');
        if let Some(tagged) = rest.strip_prefix('@') {
            let (tags, after) = tagged.split_once(' ')?;
            message.tags = tags.split(';').filter(|tag| !tag.is_empty()).map(tag).collect();
            rest = after.trim_start_matches(' ');
        }
        if let Some(sourced) = rest.strip_prefix(':') {
            let (source, after) = sourced.split_once(' ')?;
            source.clone_into(&mut message.source);
            rest = after.trim_start_matches(' ');
        }
        let (command, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
        if command.is_empty() {
            return None;
        }
        message.command = command.to_ascii_uppercase();
        loop {
            rest = rest.trim_start_matches(' ');
            if let Some(last) = rest.strip_prefix(':') {
                message.params.push(last.to_owned());
                return Some(message);
            }
            if rest.is_empty() {
                return Some(message);
            }
            let (param, after) = rest.split_once(' ').unwrap_or((rest, ""));
            message.params.push(param.to_owned());
            rest = after;
        }
    }

    /// The value of a tag that is there and not empty.
    pub(super) fn tag(&self, name: &str) -> Option<&str> {
        let found = self.tags.iter().rev().find(|(tag, _)| tag == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether a tag is there, whatever its value.
    pub(super) fn has_tag(&self, name: &str) -> bool {
        self.tags.iter().any(|(tag, _)| tag == name)
    }

    /// A parameter, counted from 0; empty if there is none.
    pub(super) fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }

    /// The last parameter, which is where servers explain themselves.
    pub(super) fn last(&self) -> &str {
        self.params.last().map_or("", String::as_str)
    }

    /// The nick of who sent it; a server's name if a server did.
    pub(super) fn nick(&self) -> &str {
        self.source.split(['!', '@']).next().unwrap_or_default()
    }
}

fn tag(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), unescape(value))
}

/// <https://ircv3.net/specs/extensions/message-tags#escaping-values>
fn unescape(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some(':') => plain.push(';'),
            Some('s') => plain.push(' '),
            Some('r') => plain.push('\r'),
            Some('n') => plain.push('\n'),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

/// A tag's value as it is sent.
pub(super) fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            ';' => escaped.push_str("\\:"),
            ' ' => escaped.push_str("\\s"),
            '\\' => escaped.push_str("\\\\"),
            '\r' => escaped.push_str("\\r"),
            '\n' => escaped.push_str("\\n"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_read_with_all_of_its_parts() {
        let line =
            r"@time=2026-11-23T03:00:00.000Z;msgid=a\:b\\c;+x :ada!~a@host.example PRIVMSG  #marsh :hello: there ";
        let message = Message::parse(line).unwrap();
        assert_eq!(message.tag("msgid"), Some(r"a;b\c"));
        assert_eq!(message.tag("+x"), None);
        assert_eq!((message.nick(), message.source.as_str()), ("ada", "ada!~a@host.example"));
        assert_eq!(
            (message.command.as_str(), message.param(0), message.last()),
            ("PRIVMSG", "#marsh", "hello: there ")
        );
        assert_eq!(message.param(7), "");
    }

    #[test]
    fn lines_without_a_command_are_none() {
        for line in ["", " ", "@a=b", ":server", ":server ", "@a=b :server "] {
            assert_eq!(Message::parse(line), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn no_line_brings_it_down_and_tags_survive_their_way(line in ".{0,80}", value in ".{1,20}") {
            let _ = Message::parse(&line);
            prop_assert_eq!(unescape(&escape(&value)), value);
        }
    }
}
