//! `lowtide dashboard`, `keys`, `members` and `audit`: who may come in, and what they did.

use api::views::{AuditView, BrowserView, KeyCreate, KeyView, LinkOffer, MemberInvite, MemberPatch, MemberView};
use clap::{Args, Subcommand};
use domain::{Role, SignedInAs};
use runtime::Clock;
use store::Actor;

use crate::client::Client;
use crate::failure::Failure;
use crate::table::{ago, table};
use crate::{Output, word};

#[derive(Args)]
pub(crate) struct DashboardArgs {
    /// What the browser may do: owner, operator or viewer [default: owner]
    #[arg(long, value_parser = word::<Role>)]
    role: Option<Role>,
}

/// Runs `lowtide dashboard`.
pub(crate) async fn dashboard(client: &Client, output: Output, args: DashboardArgs) -> anyhow::Result<()> {
    let offered = client.sign_in_link(&LinkOffer { role: args.role }).await?;
    output.show(&offered, || {
        let note = "It lets one browser in, once, within 15 minutes.";
        format!("{}{}\n{}", client.address(), offered.path, output.style.dim(note))
    })
}

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// List the API keys of your account
    #[command(visible_alias = "ls")]
    List,
    /// Make an API key, and print it: it is shown once
    Create {
        /// What you call it
        name: String,
        /// What it may do, such as `bots:read,chat` [default: what your key may]
        #[arg(long, value_delimiter = ',')]
        scopes: Option<Vec<String>>,
    },
    /// Delete an API key: it does not work any more
    #[command(visible_alias = "rm")]
    Delete {
        /// Its id, or its name
        key: String,
    },
}

/// Runs `lowtide keys`.
pub(crate) async fn keys(client: &Client, output: Output, command: KeysCommand) -> anyhow::Result<()> {
    match command {
        KeysCommand::List => {
            let keys = client.key_list().await?;
            output.show(&keys, || {
                let now = Clock::system().now();
                let row = |key: &KeyView| {
                    [key.name.clone(), ago(key.created_at, now), key.id.to_string(), key.scopes.join(" ")]
                };
                table(output.style, ["NAME", "MADE", "ID", "SCOPES"], &keys.items.iter().map(row).collect::<Vec<_>>())
            })
        }
        KeysCommand::Create { name, scopes } => {
            let created = client.key_create(&KeyCreate { name, scopes }).await?;
            output.show(&created, || {
                let note = "It is not shown again.";
                format!("{}\n{}", created.secret, output.style.dim(note))
            })
        }
        KeysCommand::Delete { key } => {
            let keys = client.key_list().await?;
            let named: Vec<&KeyView> =
                keys.items.iter().filter(|it| it.id.to_string() == key || it.name == key).collect();
            let [found] = named.as_slice() else {
                let what = if named.is_empty() { "There is no key" } else { "There are several keys" };
                return Err(Failure::usage(format!("{what} `{key}`. `lowtide keys list` shows their ids.")).into());
            };
            client.key_delete(&found.id.to_string()).await?;
            output.done(|| format!("The key {} is deleted: it does not work any more.", found.name))
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum BrowsersCommand {
    /// List browsers that are signed in to your account
    #[command(visible_alias = "ls")]
    List,
    /// Sign a browser out
    SignOut {
        /// Its id
        browser: String,
    },
}

/// Runs `lowtide browsers`.
pub(crate) async fn browsers(client: &Client, output: Output, command: BrowsersCommand) -> anyhow::Result<()> {
    match command {
        BrowsersCommand::List => {
            let browsers = client.browser_list().await?;
            output.show(&browsers, || {
                let now = Clock::system().now();
                let row = |it: &BrowserView| {
                    let who = match it.who {
                        SignedInAs::User { id } => id.to_string(),
                        SignedInAs::Key { id } => id.to_string(),
                        SignedInAs::Link { role: of } => format!("a link ({})", role(of)),
                    };
                    [it.id.to_string(), who, ago(it.created_at, now), it.agent.clone()]
                };
                let rows: Vec<_> = browsers.items.iter().map(row).collect();
                table(output.style, ["ID", "WHO", "SIGNED IN", "BROWSER"], &rows)
            })
        }
        BrowsersCommand::SignOut { browser } => {
            client.browser_delete(&browser).await?;
            output.done(|| format!("The browser {browser} is signed out."))
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum MembersCommand {
    /// List who may come into your account
    #[command(visible_alias = "ls")]
    List,
    /// Keep a place for whoever signs in with an e-mail address
    Invite {
        email: String,
        /// What they may do: owner, operator or viewer
        #[arg(long, value_parser = word::<Role>, default_value = "operator")]
        role: Role,
    },
    /// Change what a member may do
    Role {
        /// Their e-mail address, name or id
        member: String,
        #[arg(value_parser = word::<Role>)]
        role: Role,
    },
    /// Take a member out of the account, or an invitation back
    #[command(visible_alias = "rm")]
    Remove {
        /// Their e-mail address, name or id
        member: String,
    },
}

/// Runs `lowtide members`.
pub(crate) async fn members(client: &Client, output: Output, command: MembersCommand) -> anyhow::Result<()> {
    match command {
        MembersCommand::List => {
            let members = client.member_list().await?;
            output.show(&members, || {
                let now = Clock::system().now();
                let joined = members.items.iter().map(|member| {
                    let email = member.email.clone().unwrap_or_default();
                    [
                        member.name.clone(),
                        email,
                        role(member.role).to_owned(),
                        format!("joined {}", ago(member.joined_at, now)),
                    ]
                });
                let invited = members.invitations.iter().map(|it| {
                    let since = format!("invited {}", ago(it.invited_at, now));
                    [String::new(), it.email.clone(), role(it.role).to_owned(), since]
                });
                let rows: Vec<_> = joined.chain(invited).collect();
                if rows.is_empty() {
                    return "No members: whoever comes in has an API key or a one-time link.".to_owned();
                }
                table(output.style, ["NAME", "E-MAIL", "ROLE", "SINCE"], &rows)
            })
        }
        MembersCommand::Invite { email, role: given } => {
            let invitation = client.member_invite(&MemberInvite { email, role: given }).await?;
            output.show(&invitation, || {
                format!("{} may sign in within two weeks, as {}.", invitation.email, role(invitation.role))
            })
        }
        MembersCommand::Role { member, role: given } => {
            let found = find_member(client.member_list().await?.items, &member)?;
            let changed = client.member_change(&found.user.to_string(), &MemberPatch { role: given }).await?;
            output.show(&changed, || format!("{} is {} now.", changed.name, role(changed.role)))
        }
        MembersCommand::Remove { member } => {
            let members = client.member_list().await?;
            if members.invitations.iter().any(|invitation| invitation.email == member.to_lowercase()) {
                client.invitation_delete(&member.to_lowercase()).await?;
                return output.done(|| "The invitation is taken back.".to_owned());
            }
            let found = find_member(client.member_list().await?.items, &member)?;
            client.member_delete(&found.user.to_string()).await?;
            output.done(|| format!("{} is out: their browsers are signed out.", found.name))
        }
    }
}

/// A member by e-mail address, name or id.
pub(crate) fn find_member(members: Vec<MemberView>, who: &str) -> anyhow::Result<MemberView> {
    let is_named = |member: &MemberView| {
        member.user.to_string() == who || member.name == who || member.email.as_deref() == Some(&who.to_lowercase())
    };
    let mut named: Vec<MemberView> = members.into_iter().filter(is_named).collect();
    match (named.pop(), named.is_empty()) {
        (Some(member), true) => Ok(member),
        (Some(_), false) => {
            Err(Failure::usage(format!("There are several members `{who}`. Give an e-mail address.")).into())
        }
        (None, _) => {
            Err(Failure::usage(format!("There is no member `{who}`. `lowtide members list` shows them.")).into())
        }
    }
}

#[derive(Args)]
pub(crate) struct AuditArgs {
    /// All changes that are kept, not only the newest
    #[arg(long)]
    all: bool,
}

/// Runs `lowtide audit`.
pub(crate) async fn audit(client: &Client, output: Output, args: AuditArgs) -> anyhow::Result<()> {
    let page = if args.all { client.audit_all().await? } else { client.audit().await? };
    output.show(&page, || {
        let now = Clock::system().now();
        let row = |line: &AuditView| {
            let who = match line.actor {
                Actor::Key { id } => id.to_string(),
                Actor::User { id } => id.to_string(),
                Actor::Browser { id } => id.to_string(),
            };
            let who = line.name.as_ref().map_or(who.clone(), |name| format!("{name} ({who})"));
            [ago(line.at, now), who, line.action.clone(), line.fields.join(" "), line.status.to_string()]
        };
        table(
            output.style,
            ["WHEN", "WHO", "WHAT", "FIELDS", "ANSWER"],
            &page.items.iter().map(row).collect::<Vec<_>>(),
        )
    })
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Operator => "operator",
        Role::Viewer => "viewer",
    }
}
