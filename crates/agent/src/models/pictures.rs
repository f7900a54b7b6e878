//! Pictures that a model is shown: the newest few, loaded before it is asked.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{Media, MediaId};

use crate::Host;
use crate::transcript::Step;

/// How many pictures a model is shown with one question.
pub(super) const MAX_PICTURES: usize = 8;
/// The largest picture that a model is shown, in bytes (Anthropic's limit, the lowest).
const MAX_PICTURE: u64 = 5 << 20;

/// The loaded pictures, in base64.
#[derive(Debug, Default)]
pub(super) struct Pictures(HashMap<MediaId, String>);

/// Why a picture is not shown.
enum Hidden {
    Blind,
    Older,
    TooLarge,
    Lost,
}

impl Pictures {
    /// Loads the newest pictures of a conversation. Those that are not loaded are taken from their steps, and a line of
    /// text stands in their place. A model that does not see is told so of all of them.
    pub(super) async fn load(steps: &mut [Step<'_>], host: &dyn Host, sees: bool) -> Pictures {
        let wanted: Vec<Media> = wanted(steps).cloned().collect();
        let mut pictures = Pictures::default();
        let mut hidden: HashMap<MediaId, Hidden> = HashMap::new();
        for media in wanted.into_iter().rev() {
            if pictures.0.contains_key(&media.id) || hidden.contains_key(&media.id) {
                continue;
            }
            let why = match () {
                () if !sees => Hidden::Blind,
                () if pictures.0.len() >= MAX_PICTURES => Hidden::Older,
                () if media.size > MAX_PICTURE => Hidden::TooLarge,
                () => match host.media(&media.id).await {
                    Ok(bytes) if bytes.len() as u64 <= MAX_PICTURE => {
                        pictures.0.insert(media.id, STANDARD.encode(&bytes));
                        continue;
                    }
                    Ok(_) => Hidden::TooLarge,
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

    /// As [`Pictures::load`] does with all of them hidden; says how many could have been shown.
    pub(super) fn count(steps: &mut [Step<'_>], sees: bool) -> usize {
        let hidden: HashMap<MediaId, Hidden> = wanted(steps).map(|media| (media.id.clone(), Hidden::Older)).collect();
        hide(steps, &hidden);
        if sees { hidden.len().min(MAX_PICTURES) } else { 0 }
    }

    /// A loaded picture's bytes in base64.
    pub(super) fn base64(&self, media: &Media) -> &str {
        self.0.get(&media.id).map_or("", String::as_str)
    }

    /// As [`Pictures::base64`], as a URL.
    pub(super) fn data_url(&self, media: &Media) -> String {
        format!("data:{};base64,{}", media.mime, self.base64(media))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many bytes of a request they take.
    pub(super) fn bytes(&self) -> usize {
        self.0.values().map(String::len).sum()
    }
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
        Hidden::Older => "there are newer ones",
        Hidden::TooLarge => "it is larger than 5 MB",
        Hidden::Lost => "it could not be read",
    };
    format!("\n[A picture ({}) is not shown: {why}.]", media.mime)
}
