//! `lowtide approvals`: what your bots' tools want to do and may not without you.

use api::views::{ApprovalDecision, ApprovalView};
use clap::Subcommand;
use domain::Decision;
use runtime::Clock;

use crate::Output;
use crate::client::Client;
use crate::table::ago;
use crate::terminal::one_line;

#[derive(Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// List what waits for you
    #[command(visible_alias = "ls")]
    List,
    /// Let a call be made
    Allow {
        /// The code, as the list says
        code: String,
        /// And all further calls of this tool in this session
        #[arg(long)]
        always: bool,
    },
    /// Have the bot go on without a call
    Deny {
        /// The code, as the list says
        code: String,
    },
}

/// Runs `lowtide approvals`.
pub(crate) async fn run(client: &Client, output: Output, command: ApprovalsCommand) -> anyhow::Result<()> {
    let (code, decision) = match command {
        ApprovalsCommand::List => {
            let approvals = client.approval_list().await?;
            return output.show(&approvals, || {
                if approvals.items.is_empty() {
                    return "Nothing waits for you.".to_owned();
                }
                approvals.items.iter().map(|approval| told(output, approval)).collect::<Vec<_>>().join("\n\n")
            });
        }
        ApprovalsCommand::Allow { code, always: false } => (code, Decision::Once),
        ApprovalsCommand::Allow { code, always: true } => (code, Decision::Always),
        ApprovalsCommand::Deny { code } => (code, Decision::Deny),
    };
    client.approval_decide(&code, ApprovalDecision { decision }).await?;
    output.done(|| match decision {
        Decision::Once | Decision::Always => "It may be done.".to_owned(),
        Decision::Deny => "It is not done.".to_owned(),
    })
}

fn told(output: Output, approval: &ApprovalView) -> String {
    let when = ago(approval.asked_at, Clock::system().now());
    let about = format!("{when} · {}", one_line(approval.session.as_str(), usize::MAX));
    format!(
        "{}  {}\n{}",
        output.style.bold(&approval.code),
        output.style.dim(about),
        output.style.shown(approval.text.trim())
    )
}
