//! Pictures that another model looks at: a bot's image model, which its own model has in place of eyes.
//!
//! The tool `image` brings the picture; what the image model says of it becomes the tool's result, with what that cost.

use domain::{AskedModel, Media, Timestamp, ToolCall, ToolOutcome, ToolResult};

use crate::models::{ModelError, Models};
use crate::tools::{self, ToolContext, Toolbox};
use crate::{BotView, Host, NoHost};

/// How much of what is said of a picture is given, in characters.
const MAX_TOLD: usize = 20_000;

const NOT_LOOKED_AT: &str = "The picture was not looked at: the model that looks at pictures did not answer, or cannot be \
                             shown this one. Say so if it matters, and go on without it.";

/// A picture that is to be looked at.
#[derive(Clone, Copy)]
pub(crate) struct PictureRequest<'a> {
    pub(crate) bot: BotView<'a>,
    pub(crate) picture: &'a Media,
    /// What to look for; may be empty.
    pub(crate) prompt: &'a str,
    /// Where the picture is read from.
    pub(crate) host: &'a dyn Host,
    pub(crate) now: Timestamp,
}

/// Whether a tool call ends with a look of the bot's image model.
pub(crate) fn is_look(call: &ToolCall, bot: &BotView<'_>) -> bool {
    call.name == tools::IMAGE && bot.image_model.is_some()
}

/// The result of a tool call, of which the picture was looked at if the bot has an image model.
pub(crate) async fn looked_at(
    models: &Models,
    toolbox: &Toolbox,
    call: &ToolCall,
    context: &ToolContext<'_>,
    result: ToolResult,
) -> ToolResult {
    let ToolContext { bot, host, now, .. } = *context;
    let is_there = is_look(call, &bot) && result.outcome == ToolOutcome::Ok;
    let Some(picture) = result.media.first().filter(|_| is_there).cloned() else { return result };
    let prompt = tools::image_prompt(call);
    let request = PictureRequest { bot, picture: &picture, prompt: &prompt, host, now };
    match models.look(&request, toolbox).await {
        Ok(answer) => {
            let source = format!("the picture, as {} sees it", answer.model);
            let text = format!("{}\n{}", result.text, tools::framed(&source, &answer.text, MAX_TOLD));
            let asked = Some(AskedModel { model: answer.model, usage: answer.usage, cost: answer.cost });
            ToolResult { text, media: vec![], asked, ..result }
        }
        Err(error) => {
            tracing::warn!(call = call.id, detail = error.detail(), "A picture was not looked at");
            // What was set aside stays spent where the provider may have billed it.
            let may_have_cost = bot.metered && matches!(error, ModelError::Temporary { was_refused: false, .. });
            let cost = models.estimate_look(&request, toolbox).filter(|_| may_have_cost);
            let model = bot.image_model.map(|image| image.primary.model.clone()).unwrap_or_default();
            let asked = cost.map(|cost| AskedModel { model, cost, ..AskedModel::default() });
            let (outcome, text) = (ToolOutcome::Error, NOT_LOOKED_AT.to_owned());
            ToolResult { outcome, text, media: vec![], asked, ..result }
        }
    }
}

/// The most that a tool call may cost by the models that it asks, in micro-dollars; `None` if a price is not known.
pub(crate) fn estimate(models: &Models, toolbox: &Toolbox, call: &ToolCall, bot: &BotView<'_>) -> Option<u64> {
    if !is_look(call, bot) {
        return Some(0);
    }
    // One picture costs at most what any other does.
    let picture = Media { id: domain::MediaId::of(&[]), mime: "image/png".to_owned(), size: 0, name: None };
    let prompt = tools::image_prompt(call);
    let now = Timestamp::default();
    models.estimate_look(&PictureRequest { bot: *bot, picture: &picture, prompt: &prompt, host: &NoHost, now }, toolbox)
}
