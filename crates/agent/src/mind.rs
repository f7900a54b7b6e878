//! What the turn function asks for: a mind that answers and acts.
//!
//! A trait, so that a simulation can drive the turn function with a scripted mind.

use std::pin::Pin;

use domain::turn::ToolRules;
use domain::{Answer, Bot, ToolCall, ToolResult, TurnId};

use crate::{
    Agent, BotView, ListenError, ModelError, ModelRequest, PromptReport, Recording, ToolContext, looking, prompt,
};

/// A future that workers may hold across threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who is told an answer while it comes.
pub trait Progress: Send + Sync {
    /// The text so far, from its beginning. It may be taken back: when a model fails on the way and is asked again, the
    /// text begins anew.
    fn said(&self, text: &str);
}

/// Answers, and runs the tools that its answers ask for.
pub trait Mind: ToolRules + Send + Sync {
    /// Asks the model what [`ModelRequest::question`] says. Takes at most [`crate::AgentConfig::model_timeout`].
    fn answer<'a>(&'a self, request: &'a ModelRequest<'a>) -> BoxFuture<'a, Result<Answer, ModelError>>;

    /// Runs one tool call. Never fails: what went wrong is for the model to read.
    fn run_tool<'a>(&'a self, call: &'a ToolCall, context: &'a ToolContext<'a>) -> BoxFuture<'a, ToolResult>;

    /// A turn has ended: what was held for its tools is let go.
    fn turn_ended(&self, _turn: TurnId) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// Writes down what is said in a recording.
    fn listen<'a>(
        &'a self,
        _bot: &'a BotView<'a>,
        _recording: Recording,
    ) -> BoxFuture<'a, Result<String, ListenError>> {
        Box::pin(async { Err(ListenError::NoEars) })
    }

    /// The most that [`Mind::answer`] may cost, in micro-dollars. `None` if the model's price is not known.
    fn estimate(&self, request: &ModelRequest<'_>) -> Option<u64>;

    /// The most that the models may cost that these tool calls ask, in micro-dollars. `None` if a price is not known.
    fn estimate_tools(&self, _bot: &BotView<'_>, _calls: &[ToolCall]) -> Option<u64> {
        Some(0)
    }

    /// The tools that a bot's model is given, by name.
    fn tool_names(&self, bot: &BotView<'_>) -> Vec<String>;

    /// What a model is sent for a request, by parts. A mind that says nothing else declares no tools.
    fn prompt_report(&self, request: &ModelRequest<'_>) -> PromptReport {
        prompt::report(request, &[])
    }

    /// How many tokens a bot's model is given at most.
    fn context_window(&self, bot: &BotView<'_>) -> u64;
}

impl Mind for Agent {
    fn answer<'a>(&'a self, request: &'a ModelRequest<'a>) -> BoxFuture<'a, Result<Answer, ModelError>> {
        Box::pin(self.models.answer(request, &self.toolbox))
    }

    fn run_tool<'a>(&'a self, call: &'a ToolCall, context: &'a ToolContext<'a>) -> BoxFuture<'a, ToolResult> {
        Box::pin(async move {
            let result = self.toolbox.run(call, context).await;
            looking::looked_at(&self.models, &self.toolbox, call, context, result).await
        })
    }

    fn turn_ended(&self, turn: TurnId) -> BoxFuture<'_, ()> {
        Box::pin(self.toolbox.turn_ended(turn))
    }

    fn listen<'a>(&'a self, bot: &'a BotView<'a>, recording: Recording) -> BoxFuture<'a, Result<String, ListenError>> {
        Box::pin(self.ears.listen(bot, recording))
    }

    fn estimate(&self, request: &ModelRequest<'_>) -> Option<u64> {
        self.models.estimate(request, &self.toolbox)
    }

    fn estimate_tools(&self, bot: &BotView<'_>, calls: &[ToolCall]) -> Option<u64> {
        let costs = calls.iter().map(|call| looking::estimate(&self.models, &self.toolbox, call, bot));
        costs.sum()
    }

    fn tool_names(&self, bot: &BotView<'_>) -> Vec<String> {
        self.toolbox.names(bot)
    }

    fn prompt_report(&self, request: &ModelRequest<'_>) -> PromptReport {
        Agent::prompt_report(self, request)
    }

    fn context_window(&self, bot: &BotView<'_>) -> u64 {
        bot.window()
    }
}

impl ToolRules for Agent {
    fn may_repeat(&self, bot: &Bot, call: &ToolCall) -> bool {
        self.toolbox.may_repeat(bot, call)
    }

    fn needs_approval(&self, bot: &Bot, call: &ToolCall) -> bool {
        self.toolbox.needs_approval(bot, call)
    }

    fn asks_model(&self, bot: &Bot, call: &ToolCall) -> bool {
        self.toolbox.asks_model(bot, call)
    }
}
