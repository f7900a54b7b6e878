//! The words of Lowtide and its decisions, without any I/O.
//!
//! Everything here is pure: no async, no clock, no randomness, no network. Time ([`Timestamp`]) and
//! identity ([`id`]) come in as arguments, so that a simulation can replay any history.

pub mod abilities;
pub mod access;
pub mod account;
pub mod budget;
pub mod command;
pub mod context;
pub mod control;
pub mod entry;
pub mod heartbeat;
pub mod id;
pub mod job;
pub mod link;
pub mod media;
pub mod member;
pub mod message;
pub mod queueing;
pub mod reset;
pub mod schedule;
pub mod session;
pub mod task;
pub mod time;
pub mod transcript_line;
pub mod turn;
pub mod when;

pub use abilities::{Abilities, ToolPolicy, ToolProfile};
pub use access::{Access, AccessPolicy};
pub use account::{Account, Bot, BotStatus, HeardIn, ModelSettings, Rest, Sealed, StreamMode, Thinking};
pub use budget::{Budget, BudgetScope, Price};
pub use context::Context;
pub use control::{COMMANDS, Control, Decision};
pub use entry::{
    Answer, AskedModel, Entry, EntryBody, Native, ResetReason, StoppedBy, ToolCall, ToolOutcome, ToolResult, Usage,
    UserMessage,
};
pub use heartbeat::HeartbeatSettings;
pub use id::{
    AccountId, BotId, DeadLetterId, EntryId, HolderId, JobId, KeyId, LinkId, MessageId, SignInId, TurnId, UserId,
};
pub use job::Job;
pub use link::{Link, LinkSettings, LinkStatus};
pub use media::{Media, MediaId};
pub use member::{Invitation, Member, Person, Role, SignIn, SignedInAs};
pub use message::{
    Address, Attachment, AttachmentKind, Author, Button, Channel, ChatKind, Inbound, Mark, Outbound, OutboundId, Quote,
    Sender,
};
pub use queueing::{QueueMode, QueueSettings};
pub use reset::ResetSettings;
pub use schedule::Schedule;
pub use session::{SessionKey, SessionScope};
pub use task::Task;
pub use time::Timestamp;
