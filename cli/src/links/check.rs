//! `lowtide links check`: what a channel says of a bot now, and what its owner has to do there.

use api::views::FindingView;

use super::{Which, find};
use crate::Output;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::terminal::{Style, one_line};

/// Checks a link and shows what is found. Something that is not as the bot needs it is a failure.
pub(super) async fn run(client: &Client, output: Output, which: &Which) -> anyhow::Result<()> {
    let (bot, link) = find(client, which).await?;
    let check = client.link_check(bot.id, link.id).await?;
    output.show(&check, || {
        let lines: Vec<String> = check.findings.iter().map(|finding| shown(output.style, finding)).collect();
        lines.join("\n")
    })?;
    let count = check.findings.iter().filter(|finding| !finding.ok).count();
    match count {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Failed, "One finding needs you.").into()),
        more => Err(Failure::new(Exit::Failed, format!("{more} findings need you.")).into()),
    }
}

/// A finding, and below it what is wrong and what to do.
fn shown(style: Style, finding: &FindingView) -> String {
    let mark = if finding.ok { "✓".to_owned() } else { style.red("✗") };
    let mut lines = vec![format!("{mark}  {}", one_line(&finding.what, usize::MAX))];
    let below = [("", &finding.problem), ("→ ", &finding.what_to_do)];
    lines.extend(
        below.into_iter().filter_map(|(before, text)| {
            text.as_ref().map(|text| format!("   {before}{}", one_line(text, usize::MAX)))
        }),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_amiss_says_what_to_do() {
        let fine = FindingView { what: "link: active".to_owned(), ok: true, problem: None, what_to_do: None };
        assert_eq!(shown(Style::PLAIN, &fine), "✓  link: active");
        let amiss = FindingView {
            what: "webhook".to_owned(),
            ok: false,
            problem: Some("None\nis set.".to_owned()),
            what_to_do: Some("Set one.".to_owned()),
        };
        assert_eq!(shown(Style::PLAIN, &amiss), "✗  webhook\n   None is set.\n   → Set one.");
    }
}
