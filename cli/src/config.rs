//! Which Lowtide to talk to: flags, then the environment, then `client.json` in the state directory.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::dev::ClientFile;
use crate::failure::{Exit, Failure};

/// Options that every command has.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Connection {
    /// Address of the API [default: the `lowtide dev` of this machine]
    #[arg(long, global = true, env = "LOWTIDE_URL", value_name = "URL", help_heading = "Connection")]
    pub(crate) url: Option<String>,

    /// API key; better set as `LOWTIDE_API_KEY`, because arguments show in the list of processes
    #[arg(
        long,
        global = true,
        env = "LOWTIDE_API_KEY",
        hide_env_values = true,
        value_name = "KEY",
        help_heading = "Connection"
    )]
    pub(crate) key: Option<String>,

    /// Where `lowtide dev` keeps its state [default: ~/.lowtide]
    #[arg(long, global = true, env = "LOWTIDE_STATE_DIR", value_name = "DIR", help_heading = "Connection")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// Where to send requests, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Without a trailing slash.
    pub(crate) url: String,
    pub(crate) key: String,
    /// The bot to talk to when none is named.
    pub(crate) bot: Option<String>,
}

impl Connection {
    /// The state directory, which need not exist yet.
    pub(crate) fn state_dir(&self) -> Result<PathBuf, Failure> {
        if let Some(dir) = &self.state_dir {
            return Ok(dir.clone());
        }
        match env::var_os("HOME").filter(|home| !home.is_empty()) {
            Some(home) => Ok(Path::new(&home).join(".lowtide")),
            None => Err(Failure::usage("There is no home directory. Say where the state is with --state-dir.")),
        }
    }

    /// Decides where to send requests. A key from `client.json` goes to the address there and to no other.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        let url = self.url.as_deref().map(|url| url.trim().trim_end_matches('/').to_owned());
        let key = self.key.as_deref().map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        if let (Some(url), Some(key)) = (&url, &key) {
            return Ok(Target { url: url.clone(), key: key.clone(), bot: None });
        }
        let dir = self.state_dir()?;
        let known = read(&dir.join("client.json"))?;
        match (url, key, known) {
            (None, key, Some(known)) => {
                let bot = known.bot.filter(|_| key.is_none());
                Ok(Target { url: known.url, key: key.unwrap_or(known.key), bot })
            }
            (Some(url), None, Some(known)) if url == known.url => Ok(Target { url, key: known.key, bot: known.bot }),
            (Some(url), ..) => Err(Failure::usage(format!("No API key for {url}. Set LOWTIDE_API_KEY."))),
            (None, _, None) => Err(Failure::new(
                Exit::Unreachable,
                format!(
                    "Cannot reach Lowtide: {} holds no client.json. Is `lowtide dev` running? To use a deployment, set \
                     LOWTIDE_URL and LOWTIDE_API_KEY.",
                    dir.display()
                ),
            )),
        }
    }
}

fn read(path: &Path) -> Result<Option<ClientFile>, Failure> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| {
            Failure::usage(format!("{} is damaged. Delete it, and `lowtide dev` makes a new one.", path.display()))
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::usage(format!("Cannot read {}: {error}.", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(dir: &Path, url: Option<&str>, key: Option<&str>) -> Connection {
        let own = |text: &str| text.to_owned();
        Connection { url: url.map(own), key: key.map(own), state_dir: Some(dir.to_owned()) }
    }

    fn with_client_json() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"url":"http://127.0.0.1:8787","key":"lt_local","bot":"tidy"}"#;
        fs::write(dir.path().join("client.json"), text).unwrap();
        dir
    }

    #[test]
    fn the_local_one_is_the_default() {
        let dir = with_client_json();
        let target = connection(dir.path(), None, None).target().ok().unwrap();
        assert_eq!((target.url.as_str(), target.key.as_str()), ("http://127.0.0.1:8787", "lt_local"));
        assert_eq!(target.bot.as_deref(), Some("tidy"));
    }

    #[test]
    fn flags_come_first() {
        let dir = with_client_json();
        let target = connection(dir.path(), Some("https://bots.example/"), Some("lt_far")).target().ok().unwrap();
        assert_eq!((target.url.as_str(), target.key.as_str()), ("https://bots.example", "lt_far"));
        assert_eq!(target.bot, None);
        let other_account = connection(dir.path(), None, Some("lt_other")).target().ok().unwrap();
        assert_eq!((other_account.key.as_str(), other_account.bot), ("lt_other", None));
    }

    #[test]
    fn the_local_key_goes_to_no_other_address() {
        let dir = with_client_json();
        let failure = connection(dir.path(), Some("https://bots.example"), None).target().err().unwrap();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains("LOWTIDE_API_KEY"), "{failure}");
        assert!(connection(dir.path(), Some("http://127.0.0.1:8787/"), None).target().is_ok());
    }

    #[test]
    fn without_anything_it_says_how_to_begin() {
        let dir = tempfile::tempdir().unwrap();
        let failure = connection(dir.path(), None, None).target().err().unwrap();
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.message.contains("`lowtide dev`"), "{failure}");
        fs::write(dir.path().join("client.json"), "{").unwrap();
        assert!(connection(dir.path(), None, None).target().err().unwrap().message.contains("is damaged"));
    }
}
