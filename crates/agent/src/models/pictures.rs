//! Pictures that a model is shown: the newest few, loaded before it is asked.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::account::ModelApi;
use domain::{Media, MediaId};

use super::wire;
use crate::Host;
use crate::tools::picture;
use crate::transcript::Step;

/// How many pictures a model is shown with one question.
pub(super) const MAX_PICTURES: usize = 8;
/// The largest picture that a model is shown, in bytes: 5 MB once it is written in base64 (Anthropic's and Bedrock's limit,
/// the lowest).
const MAX_PICTURE: u64 = 3_750_000;
/// All pictures of a question together, in bytes: Google takes requests of 20 MB.
const MAX_TOGETHER: usize = 12_000_000;

/// A loaded picture.
#[derive(Debug)]
struct Picture {
    /// By what is in it, whatever it was called.
    mime: &'static str,
    base64: String,
}

/// The loaded pictures.
#[derive(Debug, Default)]
pub(super) struct Pictures(HashMap<MediaId, Picture>);

/// How a model comes to know pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Sees,
    /// Another model looks at them for it, by the tool `image`.
    ByTool,
    Blind,
}

/// Why a picture is not shown.
#[derive(Clone, Copy)]
enum Hidden {
    Blind,
    /// Another model looks at it instead.
    ForOthers,
    Older,
    TooLarge,
    Lost,
    /// Its type is none that the protocol takes.
    Foreign,
    /// The provider refused a request that it was a part of.
    Refused,
}

impl Pictures {
    /// Loads the newest pictures of a conversation. Those that are not loaded are taken from their steps, and a line of
    /// text stands in their place. A model that does not see is told so of all of them.
    pub(super) async fn load(steps: &mut [Step<'_>], host: &dyn Host, sight: Sight, api: ModelApi) -> Pictures {
        let wanted: Vec<Media> = wanted(steps).cloned().collect();
        let mut pictures = Pictures::default();
        let mut hidden: HashMap<MediaId, Hidden> = HashMap::new();
        for media in wanted.into_iter().rev() {
            if pictures.0.contains_key(&media.id) || hidden.contains_key(&media.id) {
                continue;
            }
            let why = match () {
                () if sight == Sight::Blind => Hidden::Blind,
                () if sight == Sight::ByTool => Hidden::ForOthers,
                () if pictures.0.len() >= MAX_PICTURES || is_full(&pictures, media.size) => Hidden::Older,
                () if media.size > MAX_PICTURE => Hidden::TooLarge,
                () => match host.media(&media.id).await {
                    Ok(bytes) if bytes.len() as u64 > MAX_PICTURE => Hidden::TooLarge,
                    Ok(bytes) => match picture::sniff(&bytes).filter(|mime| wire::takes_picture(api, mime)) {
                        Some(mime) => {
                            pictures.0.insert(media.id, Picture { mime, base64: STANDARD.encode(&bytes) });
                            continue;
                        }
                        None => Hidden::Foreign,
                    },
                    Err(error) => {
                        tracing::warn!(media = %media.id, %error, "A picture could not be shown to a model.");
                        Hidden::Lost
                    }
                },
            };
            hidden.insert(media.id, why);
        }
        hide(steps, &hidden);
        pictures
    }

    /// Takes all pictures from a conversation whose provider refused it with them.
    pub(super) fn leave_out(&mut self, steps: &mut [Step<'_>]) {
        let refused = self.0.drain().map(|(id, _)| (id, Hidden::Refused)).collect();
        hide(steps, &refused);
    }

    /// As [`Pictures::load`] does with all of them hidden; says how many could have been shown.
    pub(super) fn count(steps: &mut [Step<'_>], sight: Sight) -> usize {
        let (why, most) = match sight {
            Sight::Sees => (Hidden::Older, MAX_PICTURES),
            Sight::ByTool => (Hidden::ForOthers, 0),
            Sight::Blind => (Hidden::Blind, 0),
        };
        let hidden: HashMap<MediaId, Hidden> = wanted(steps).map(|media| (media.id.clone(), why)).collect();
        hide(steps, &hidden);
        hidden.len().min(most)
    }

    /// A loaded picture's bytes in base64.
    pub(super) fn base64(&self, media: &Media) -> &str {
        self.0.get(&media.id).map_or("", |picture| &picture.base64)
    }

    /// A loaded picture's type.
    pub(super) fn mime<'m>(&self, media: &'m Media) -> &'m str {
        self.0.get(&media.id).map_or(&media.mime, |picture| picture.mime)
    }

    /// As [`Pictures::base64`], as a URL.
    pub(super) fn data_url(&self, media: &Media) -> String {
        format!("data:{};base64,{}", self.mime(media), self.base64(media))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many bytes of a request they take.
    pub(super) fn bytes(&self) -> usize {
        self.0.values().map(|picture| picture.base64.len()).sum()
    }
}

/// Whether a further picture of `size` bytes would be too much.
fn is_full(pictures: &Pictures, size: u64) -> bool {
    pictures.bytes() as u64 / 4 * 3 + size > MAX_TOGETHER as u64
}

fn wanted<'s>(steps: &'s [Step<'_>]) -> impl Iterator<Item = &'s Media> {
    steps.iter().flat_map(|step| match step {
        Step::User { pictures, .. } => pictures.clone(),
        Step::Assistant { calls, .. } => calls.iter().flat_map(|answered| answered.pictures.clone()).collect(),
    })
}

fn hide(steps: &mut [Step<'_>], hidden: &HashMap<MediaId, Hidden>) {
    let without = |pictures: &mut Vec<&Media>, text: &mut String| {
        pictures.retain(|media| match hidden.get(&media.id) {
            Some(why) => {
                text.push_str(&line(media, why));
                false
            }
            None => true,
        });
    };
    for step in steps {
        match step {
            Step::User { text, pictures } => without(pictures, text),
            Step::Assistant { calls, .. } => {
                for answered in calls.iter_mut().filter(|answered| !answered.pictures.is_empty()) {
                    without(&mut answered.pictures, answered.result.to_mut());
                }
            }
        }
    }
}

fn line(media: &Media, why: &Hidden) -> String {
    let why = match why {
        Hidden::Blind => "you cannot see pictures",
        Hidden::ForOthers => {
            return format!(
                "\n[A picture ({}) that you cannot see. The tool `image` has it looked at for you, if you give it {}.]",
                media.mime, media.id
            );
        }
        Hidden::Older => "there are newer ones",
        Hidden::TooLarge => "it is too large",
        Hidden::Lost => "it could not be read",
        Hidden::Foreign => "you cannot see pictures of its type",
        Hidden::Refused => "your provider refused it, or another one beside it",
    };
    format!("\n[A picture ({}) is not shown: {why}.]", media.mime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoHost;

    fn picture(name: &str, size: u64) -> Media {
        Media { id: MediaId::of(name.as_bytes()), mime: "image/png".into(), size, name: None }
    }

    #[tokio::test]
    async fn what_is_not_shown_is_told_of() {
        let (lost, large) = (picture("lost", 3), picture("large", MAX_PICTURE + 1));
        let steps = || [Step::User { text: "look".into(), pictures: vec![&lost, &large] }];
        let told = async |sight| {
            let mut steps = steps();
            assert_eq!(Pictures::load(&mut steps, &NoHost, sight, ModelApi::AnthropicMessages).await.len(), 0);
            let [Step::User { text, pictures }] = steps else { panic!("{steps:?}") };
            assert!(pictures.is_empty());
            text.replace("[A picture (image/png) is not shown: ", "[")
        };
        assert_eq!(told(Sight::Sees).await, "look\n[it could not be read.]\n[it is too large.]");
        assert_eq!(told(Sight::Blind).await, "look\n[you cannot see pictures.]\n[you cannot see pictures.]");
        let by_tool = told(Sight::ByTool).await;
        assert!(by_tool.contains(&format!("if you give it {}.]", lost.id)), "{by_tool}");
        let counted = [Sight::Sees, Sight::ByTool, Sight::Blind].map(|sight| Pictures::count(&mut steps(), sight));
        assert_eq!(counted, [2, 0, 0]);
    }

    #[test]
    fn each_protocol_takes_its_own_types() {
        for (api, gif) in [(ModelApi::GoogleGenerativeAi, false), (ModelApi::AnthropicMessages, true)] {
            assert!(wire::takes_picture(api, "image/png") && !wire::takes_picture(api, "image/tiff"));
            assert_eq!(wire::takes_picture(api, "image/gif"), gif, "{api:?}");
        }
    }

    #[test]
    fn all_together_are_bounded() {
        let base64 = "A".repeat(MAX_TOGETHER / 3 * 4);
        let loaded = Pictures([(picture("a", 0).id, Picture { mime: "image/png", base64 })].into());
        assert!(is_full(&loaded, 10) && !is_full(&Pictures::default(), MAX_PICTURE));
    }
}
