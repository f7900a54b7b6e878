//! What a client says: the conversation that it repeats, and what is new in it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use channels::webchat;

use crate::problem::Problem;
use crate::views::{ContentIn, ImageIn, MessageIn, PartIn};

/// How many pictures one message may have.
const MAX_PICTURES: usize = 10;

/// The kinds of pictures that models look at.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// A picture, read from its data URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) mime: String,
    pub(super) bytes: Vec<u8>,
}

/// A conversation, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// What the client's own instructions say.
    pub(super) instructions: String,
    /// What was said before, as `(role, text)`.
    pub(super) history: Vec<(String, String)>,
    /// What is new.
    pub(super) text: String,
    pub(super) pictures: Vec<Picture>,
}

impl Said {
    /// Reads the messages of a request. What is new is what the user says after the last answer.
    pub(super) fn read(messages: &[MessageIn]) -> Result<Said, Problem> {
        let mut said = Said::default();
        let mut new: Vec<&MessageIn> = vec![];
        for (index, message) in messages.iter().enumerate() {
            match message.role.as_str() {
                "system" | "developer" => join(&mut said.instructions, &text_of(message)),
                "user" => new.push(message),
                "assistant" => {
                    let asked = new.drain(..).map(|user| ("user".to_owned(), text_of(user)));
                    said.history.extend(asked);
                    said.history.push(("assistant".to_owned(), text_of(message)));
                }
                // What a client's own tools gave it is behind the answer that it repeats.
                "tool" | "function" => {}
                other => {
                    let role: String = other.chars().take(40).collect();
                    return Err(Problem::bad_request(format!(
                        "messages[{index}].role: `{role}` is not known. Give system, developer, user, assistant or tool."
                    )));
                }
            }
        }
        if new.is_empty() {
            return Err(Problem::bad_request("messages: the last message must be the user's: it is what is answered."));
        }
        for message in new {
            said.add(message.content.as_ref())?;
        }
        said.check()?;
        Ok(said)
    }

    /// Takes in something new that the user says.
    fn add(&mut self, content: Option<&ContentIn>) -> Result<(), Problem> {
        match content {
            None => {}
            Some(ContentIn::Text(text)) => join(&mut self.text, text),
            Some(ContentIn::Parts(parts)) => {
                for part in parts {
                    self.add_part(part)?;
                }
            }
        }
        Ok(())
    }

    fn add_part(&mut self, part: &PartIn) -> Result<(), Problem> {
        match (part.kind.as_str(), &part.text, &part.image_url) {
            ("text" | "input_text" | "output_text", Some(text), _) => join(&mut self.text, text),
            ("image_url" | "input_image", _, Some(ImageIn::Url(url) | ImageIn::Image { url })) => {
                self.pictures.push(picture(url)?);
            }
            (kind, ..) => {
                let kind: String = kind.chars().take(40).collect();
                return Err(Problem::bad_request(format!(
                    "A part of the type `{kind}` is not understood as it is. Give {{\"type\": \"text\", \"text\": …}} or \
                     {{\"type\": \"image_url\", \"image_url\": {{\"url\": \"data:image/png;base64,…\"}}}}."
                )));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Problem> {
        if self.text.trim().is_empty() && self.pictures.is_empty() {
            let error = webchat::BadMessage::Empty;
            return Err(Problem::bad_request(format!("Not sent: {error}.")));
        }
        let length = self.text.chars().count();
        if length > webchat::MAX_TEXT {
            let error = webchat::BadMessage::TooLong(length);
            return Err(Problem::bad_request(format!("Not sent: {error}.")));
        }
        if self.pictures.len() > MAX_PICTURES {
            return Err(Problem::bad_request(format!("Send {MAX_PICTURES} pictures at most with one message.")));
        }
        Ok(())
    }

    /// What is said to a session that knows nothing of the conversation yet: the instructions and the history with it, as
    /// much of its end as there is room for.
    pub(super) fn with_history(&self) -> String {
        if self.instructions.is_empty() && self.history.is_empty() {
            return self.text.clone();
        }
        let mut room = webchat::MAX_TEXT.saturating_sub(self.text.chars().count() + FRAME);
        let instructions = beginning(&self.instructions, room / 2);
        room = room.saturating_sub(instructions.chars().count());
        let mut lines = vec![];
        for (role, text) in self.history.iter().rev() {
            let line = format!("{}: {text}", if role == "user" { "User" } else { "You" });
            let length = line.chars().count() + 1;
            if length > room {
                lines.push("[What was said before is left out.]".to_owned());
                break;
            }
            room -= length;
            lines.push(line);
        }
        lines.reverse();
        let mut whole = String::new();
        if !instructions.is_empty() {
            whole.push_str(&format!("[Instructions of the program that passes this on]\n{instructions}\n\n"));
        }
        if !lines.is_empty() {
            whole.push_str(&format!("[This conversation so far, as the program tells it]\n{}\n\n", lines.join("\n")));
        }
        whole.push_str(&format!("[The message]\n{}", self.text));
        whole
    }

    /// What names the conversation before what is new: the same for a client that repeats it with `answer`.
    pub(super) fn name(&self) -> String {
        name(&self.instructions, &self.history)
    }

    /// What the next request of the conversation will be named by, once it was answered like this.
    pub(super) fn name_after(&self, answer: &str) -> String {
        let new = [("user".to_owned(), self.text.clone()), ("assistant".to_owned(), answer.to_owned())];
        let history: Vec<_> = self.history.iter().cloned().chain(new).collect();
        name(&self.instructions, &history)
    }
}

/// Room for the words around a history.
const FRAME: usize = 300;

/// Several messages of the user in a row are one, however they are divided.
fn name(instructions: &str, history: &[(String, String)]) -> String {
    let mut turns: Vec<(&str, String)> = vec![];
    for (role, text) in history {
        match turns.last_mut() {
            Some((last, all)) if *last == role => join(all, text),
            _ => turns.push((role, text.trim().to_owned())),
        }
    }
    // Strings and pairs of them are always JSON.
    serde_json::to_string(&(instructions, turns)).unwrap_or_default()
}

fn join(all: &mut String, text: &str) {
    let text = text.trim();
    if !all.is_empty() && !text.is_empty() {
        all.push_str("\n\n");
    }
    all.push_str(text);
}

/// The text of a message, without its pictures.
fn text_of(message: &MessageIn) -> String {
    match &message.content {
        None => String::new(),
        Some(ContentIn::Text(text)) => text.trim().to_owned(),
        Some(ContentIn::Parts(parts)) => {
            let mut all = String::new();
            parts.iter().filter_map(|part| part.text.as_deref()).for_each(|text| join(&mut all, text));
            all
        }
    }
}

fn beginning(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

fn picture(url: &str) -> Result<Picture, Problem> {
    let refuse = || {
        Problem::bad_request(format!(
            "A picture is not understood. Send it as a data URL, `data:image/png;base64,…`, of one of these types: {}.",
            PICTURES.join(", ")
        ))
    };
    let (mime, data) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")).ok_or_else(refuse)?;
    let mime = mime.to_ascii_lowercase();
    let bytes = STANDARD.decode(data.trim()).map_err(|_| refuse())?;
    if PICTURES.contains(&mime.as_str()) && !bytes.is_empty() { Ok(Picture { mime, bytes }) } else { Err(refuse()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(messages: serde_json::Value) -> Result<Said, Problem> {
        Said::read(&serde_json::from_value::<Vec<MessageIn>>(messages).unwrap())
    }

    #[test]
    fn what_is_new_follows_the_last_answer() {
        let said = read(json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "Hello" },
            { "role": "assistant", "content": "Hi." },
            { "role": "user", "content": [{ "type": "text", "text": "What is" }, { "type": "text", "text": "this?" },
              { "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw==" } }] },
        ]));
        let said = said.unwrap();
        assert_eq!((said.text.as_str(), said.pictures.len()), ("What is\n\nthis?", 1));
        insta::assert_snapshot!(said.with_history(), @r"
        [Instructions of the program that passes this on]
        Be brief.

        [This conversation so far, as the program tells it]
        User: Hello
        You: Hi.

        [The message]
        What is

        this?
        ");
    }

    #[test]
    fn a_conversation_is_known_by_its_end() {
        let first = read(json!([{ "role": "user", "content": "Hello" }])).unwrap();
        let second = read(json!([
            { "role": "user", "content": "Hello" },
            { "role": "assistant", "content": "Hi.\n" },
            { "role": "user", "content": "How are you?" },
        ]));
        let second = second.unwrap();
        assert_eq!(first.name_after("Hi."), second.name());
        assert_ne!(first.name_after("Ho."), second.name());
        assert_ne!(first.name(), second.name());
    }

    #[test]
    fn a_long_history_loses_its_beginning() {
        let long = "é".repeat(20_000);
        let said = read(json!([
            { "role": "user", "content": format!("first {long}") },
            { "role": "assistant", "content": format!("second {long}") },
            { "role": "user", "content": "third" },
        ]));
        let text = said.unwrap().with_history();
        assert!(text.chars().count() <= webchat::MAX_TEXT, "{}", text.chars().count());
        assert!(text.contains("left out") && text.contains("second") && !text.contains("first"), "{text}");
        assert!(text.ends_with("third"));
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let details: Vec<String> = [
            json!([]),
            json!([{ "role": "user", "content": "x" }, { "role": "assistant", "content": "y" }]),
            json!([{ "role": "robot", "content": "x" }]),
            json!([{ "role": "user", "content": " " }]),
            json!([{ "role": "user", "content": "é".repeat(32_001) }]),
            json!([{ "role": "user", "content": [{ "type": "input_audio" }] }]),
            json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "https://x.example/a.png" } }] }]),
            json!([{ "role": "user", "content": [{ "type": "input_image", "image_url": "data:image/svg+xml;base64,AAAA" }] }]),
        ]
        .into_iter()
        .map(|messages| read(messages).unwrap_err().detail().to_owned())
        .collect();
        insta::assert_snapshot!(details.join("\n"), @r#"
        messages: the last message must be the user's: it is what is answered.
        messages: the last message must be the user's: it is what is answered.
        messages[0].role: `robot` is not known. Give system, developer, user, assistant or tool.
        Not sent: the message is empty; send 1 to 32000 characters, or a file.
        Not sent: the message has 32001 characters; send 32000 at most, and more as further messages.
        A part of the type `input_audio` is not understood as it is. Give {"type": "text", "text": …} or {"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}.
        A picture is not understood. Send it as a data URL, `data:image/png;base64,…`, of one of these types: image/png, image/jpeg, image/gif, image/webp.
        A picture is not understood. Send it as a data URL, `data:image/png;base64,…`, of one of these types: image/png, image/jpeg, image/gif, image/webp.
        "#);
    }
}
