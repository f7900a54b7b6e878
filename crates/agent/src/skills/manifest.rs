//! The front matter of a `SKILL.md`.

use serde::Deserialize;
use serde_json::Value;

/// The longest name, in bytes, and the longest description, in characters, as the format has them.
pub(super) const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 1024;
/// The longest front matter, in bytes.
const MAX_FRONT_MATTER: usize = 16 * 1024;

/// What a skill says of itself, and what it may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// What it is for and when to use it, in one line.
    pub description: String,
    pub homepage: Option<String>,
    pub license: Option<String>,
    pub emoji: Option<String>,
    /// A person may start it by name.
    pub user_invocable: bool,
    /// Only a person may start it: the model is not told of it.
    pub for_people_only: bool,
    /// Why it cannot be used here, if so. For the owner.
    pub unmet: Option<String>,
    /// The tools that may be called while it is in force, by our names; a trailing `*` stands for any rest. `None`: all.
    pub allowed_tools: Option<Vec<String>>,
    /// The hosts that pages may be fetched from while it is in force; `*.` stands for any subdomain. `None`: all.
    pub hosts: Option<Vec<String>>,
}

/// The front matter as it is written. What is not known is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FrontMatter {
    name: String,
    description: String,
    homepage: Option<String>,
    license: Option<String>,
    user_invocable: Option<bool>,
    disable_model_invocation: Option<bool>,
    #[serde(alias = "allowedTools", alias = "allowed_tools")]
    allowed_tools: Option<Words>,
    #[serde(default)]
    metadata: Value,
}

/// A list, or its items in one text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    List(Vec<String>),
    Text(String),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    openclaw: OpenClaw,
    lowtide: Lowtide,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OpenClaw {
    always: bool,
    emoji: Option<String>,
    os: Vec<String>,
    requires: Requires,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Requires {
    bins: Vec<String>,
    any_bins: Vec<String>,
    env: Vec<String>,
    config: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Lowtide {
    hosts: Option<Vec<String>>,
}

impl Manifest {
    /// Reads the front matter of a `SKILL.md`; what stands below it comes with it. The error is for the skill's author.
    pub(super) fn parse(text: &str) -> Result<(Manifest, &str), String> {
        let (front_matter, body) = split(text)?;
        let front_matter: FrontMatter = serde_saphyr::from_str(front_matter).map_err(|error| {
            let error = error.to_string();
            format!("its front matter cannot be read: {}", error.lines().next().unwrap_or_default())
        })?;
        let name = front_matter.name;
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_letter) {
            return Err(format!("its name must have 1 to {MAX_NAME} of a-z A-Z 0-9 - _"));
        }
        let printable = front_matter.description.replace(|c: char| c.is_control(), " ");
        let description = printable.split_whitespace().collect::<Vec<_>>().join(" ");
        if description.is_empty() || description.chars().count() > MAX_DESCRIPTION {
            return Err(format!("its description must have 1 to {MAX_DESCRIPTION} characters"));
        }
        let Metadata { openclaw, lowtide } = metadata(front_matter.metadata)?;
        let mut hosts = lowtide.hosts;
        let allowed_tools = front_matter.allowed_tools.map(|words| allowed_tools(&words.items(), &mut hosts));
        let manifest = Manifest {
            name,
            description,
            homepage: front_matter.homepage,
            license: front_matter.license,
            user_invocable: front_matter.user_invocable.unwrap_or(true),
            for_people_only: front_matter.disable_model_invocation.unwrap_or(false),
            unmet: openclaw.unmet(),
            emoji: openclaw.emoji,
            allowed_tools,
            hosts: hosts.map(|hosts| hosts.iter().map(|host| host.trim().to_ascii_lowercase()).collect()),
        };
        Ok((manifest, body))
    }
}

/// The front matter and what stands below it.
fn split(text: &str) -> Result<(&str, &str), String> {
    const MISSING: &str = "it must begin with front matter between two lines of `---`";
    let text = text.trim_start_matches('\u{feff}');
    let inner = text.strip_prefix("---").ok_or(MISSING)?;
    let inner = inner.trim_start_matches([' ', '\t', '\r']).strip_prefix('\n').ok_or(MISSING)?;
    let mut end = 0;
    for line in inner.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Ok((&inner[..end], &inner[end + line.len()..]));
        }
        end += line.len();
        if end > MAX_FRONT_MATTER {
            return Err(format!("its front matter is longer than {MAX_FRONT_MATTER} bytes"));
        }
    }
    Err(MISSING.to_owned())
}

/// Some authors write the metadata as a text of JSON.
fn metadata(value: Value) -> Result<Metadata, String> {
    let value = match &value {
        Value::Null => return Ok(Metadata::default()),
        Value::String(text) => serde_json::from_str(text),
        _ => Ok(value),
    };
    value.and_then(serde_json::from_value).map_err(|error| format!("its metadata cannot be read: {error}"))
}

impl Words {
    /// The items; in a text they stand between spaces or commas, and those in brackets belong to their item.
    fn items(self) -> Vec<String> {
        let text = match self {
            Words::List(items) => return items,
            Words::Text(text) => text,
        };
        let mut depth = 0_u32;
        let is_between = |c: char| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && (c == ',' || c.is_whitespace())
        };
        text.split(is_between).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}

/// Tools by our names. `WebFetch(domain:…)` also names a host. Any other bracket is a condition that cannot be kept here, so the
/// tool stays closed.
fn allowed_tools(items: &[String], hosts: &mut Option<Vec<String>>) -> Vec<String> {
    let mut names = Vec::new();
    for item in items.iter().map(|item| item.trim()) {
        let Some((name, condition)) = item.split_once('(') else {
            names.push(our_name(item));
            continue;
        };
        let host = condition.trim_end_matches(')').trim().strip_prefix("domain:");
        if let Some(host) = host.filter(|_| our_name(name) == "web_fetch") {
            names.push("web_fetch".to_owned());
            hosts.get_or_insert_default().push(host.trim().to_owned());
        }
    }
    names.dedup();
    names
}

/// A tool's name as we have it, from ours or Claude's.
fn our_name(name: &str) -> String {
    let ours = match name.trim() {
        "Read" => "read",
        "Write" => "write",
        "Edit" | "MultiEdit" => "edit",
        "WebFetch" => "web_fetch",
        "WebSearch" => "web_search",
        "Bash" => "exec",
        "Task" => "sessions_spawn",
        name => name,
    };
    ours.to_owned()
}

impl OpenClaw {
    fn unmet(&self) -> Option<String> {
        let Requires { bins, any_bins, env, config } = &self.requires;
        let is_for_linux = self.os.is_empty() || self.os.iter().any(|os| os == "linux");
        if self.always {
            None
        } else if !is_for_linux {
            Some(format!("it works on {} only", self.os.join(", ")))
        } else if !bins.is_empty() || !any_bins.is_empty() {
            let programs: Vec<&str> = bins.iter().chain(any_bins).map(String::as_str).collect();
            Some(format!("it runs programs ({}), and bots have no shell here", programs.join(", ")))
        } else if !env.is_empty() {
            Some(format!("it reads environment variables ({}), and bots have none here", env.join(", ")))
        } else if !config.is_empty() {
            Some(format!("it needs settings of OpenClaw ({})", config.join(", ")))
        } else {
            None
        }
    }
}
