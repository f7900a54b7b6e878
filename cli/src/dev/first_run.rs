//! What the first run leaves in the state directory: the root key, the account, a bot, and how clients get in.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, bail};
use domain::{Account, AccountId, Bot, BotId, BotStatus, KeyId, ModelSettings, SessionScope};
use runtime::{Entropy, Environment};
use serde::{Deserialize, Serialize};
use store::PageRange;

const FIRST_BOT: &str = "tidy";

/// `client.json` in the state directory: how the terminal reaches the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientFile {
    pub url: String,
    /// An API key of the first account.
    pub key: String,
    /// The bot to talk to when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<String>,
}

/// Creates a directory that only its owner can read.
pub(super) fn make_private_dir(dir: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot create the state directory {} (--state-dir chooses another)", dir.display()))
}

/// The key that credentials are encrypted under: `root.key`, made on the first run.
pub(super) fn root_key(dir: &Path, entropy: &Entropy) -> anyhow::Result<[u8; 32]> {
    let path = dir.join("root.key");
    match fs::read(&path) {
        Ok(bytes) => match bytes.as_slice().try_into() {
            Ok(key) => Ok(key),
            Err(_) => bail!("{} is damaged: it should have 32 bytes. Restore it from a backup.", path.display()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if dir.join("account").exists() {
                bail!(
                    "{} is missing, and without it the stored credentials cannot be opened. Restore it from a backup, \
                     or start with another --state-dir.",
                    path.display()
                );
            }
            let key = [entropy.next_u128().to_le_bytes(), entropy.next_u128().to_le_bytes()].concat();
            write_private(&path, &key)?;
            root_key(dir, entropy)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Makes the first account, bot and key if they are missing, and says whether they were. A run that was
/// cut short here is completed by the next.
pub(super) async fn prepare(
    environment: &Environment,
    dir: &Path,
    url: &str,
) -> anyhow::Result<(ClientFile, AccountId, bool)> {
    let path = dir.join("client.json");
    let account = account(environment, dir).await?;
    if let Some(mut known) = read_client_file(&path)?
        && environment.store.api_key_find(&known.key).await?.is_some_and(|owner| owner.account == account)
    {
        if known.url != url {
            known.url = url.to_owned();
            write_private(&path, &serde_json::to_vec_pretty(&known)?)?;
        }
        return Ok((known, account, false));
    }
    let now = environment.clock.now();
    let state = environment.store.account(account);
    let first = PageRange { after: None, limit: 1 };
    let bot = match Box::pin(state.bot_page(&first, now)).await?.items.pop() {
        Some(line) => line.bot,
        None => first_bot(environment, account).await?,
    };
    let key = environment.entropy.secret("lt_");
    let id = KeyId::from_parts(now, environment.entropy.next_u128());
    state.api_key_create(id, "this machine", None, &key, now).await?;
    let client = ClientFile { url: url.to_owned(), key, bot: Some(bot.name) };
    write_private(&path, &serde_json::to_vec_pretty(&client)?)?;
    Ok((client, account, true))
}

async fn account(environment: &Environment, dir: &Path) -> anyhow::Result<AccountId> {
    let path = dir.join("account");
    let now = environment.clock.now();
    let id = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().with_context(|| format!("{} is damaged", path.display()))?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let id = AccountId::from_parts(now, environment.entropy.next_u128());
            write_private(&path, id.to_string().as_bytes())?;
            id
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let account = environment.store.account(id);
    if account.account_get().await?.is_none() {
        account
            .account_put(&Account { id, name: "me".to_owned(), budget: Default::default(), created_at: now })
            .await?;
    }
    Ok(id)
}

async fn first_bot(environment: &Environment, account: AccountId) -> anyhow::Result<Bot> {
    let now = environment.clock.now();
    let bot = Bot {
        id: BotId::from_parts(now, environment.entropy.next_u128()),
        account,
        name: FIRST_BOT.to_owned(),
        status: BotStatus::Active,
        rest: None,
        agent: "main".to_owned(),
        model: ModelSettings::default(),
        time_zone: local_time_zone(),
        dm_scope: SessionScope::default(),
        queue: Default::default(),
        resets: Default::default(),
        budget: Default::default(),
        turn_budget: None,
        abilities: Default::default(),
        streaming: Default::default(),
        heartbeat: Default::default(),
        heard_at: None,
        heard_in: Default::default(),
        created_at: now,
        updated_at: now,
        version: 1,
    };
    let state = environment.store.account(account);
    for file in agent::default_workspace(&bot.name).files {
        state.workspace_put(bot.id, &file.name, &file.text).await?;
    }
    state.bot_create(&bot).await?;
    Ok(bot)
}

/// The machine's time zone, as far as it says so by name.
fn local_time_zone() -> String {
    let from_env = std::env::var("TZ").ok().map(|zone| zone.trim_start_matches(':').to_owned());
    let from_link = || {
        let target = fs::read_link("/etc/localtime").ok()?;
        let (_, zone) = target.to_str()?.split_once("zoneinfo/")?;
        Some(zone.to_owned())
    };
    let known = |zone: &String| zone.parse::<chrono_tz::Tz>().is_ok();
    from_env.filter(known).or_else(|| from_link().filter(known)).unwrap_or_else(|| "UTC".to_owned())
}

fn read_client_file(path: &Path) -> anyhow::Result<Option<ClientFile>> {
    match fs::read(path) {
        Ok(bytes) => {
            let damaged = || format!("{} is damaged; delete it, and a new one is made", path.display());
            Ok(Some(serde_json::from_slice(&bytes).with_context(damaged)?))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a file that only its owner can read, all of it or nothing.
fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let temporary = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        match path.parent() {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
