//! Notices to the owner: listed, and removed once they were read.

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use runtime::Environment;
use store::Notice;

use crate::auth::Caller;
use crate::extract::{Parameters, Segments};
use crate::pages::{List, PageQuery};
use crate::problem::Problem;
use crate::views::{NoticeView, Page};

/// `GET /v1/notices`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Page<NoticeView>>, Problem> {
    let list = List::new(caller.account, "notices");
    let (account, range) = (environment.store.account(caller.account), list.range(&query)?);
    Ok(list.answer(account.notice_page(&range, environment.clock.now()).await?, view))
}

/// `DELETE /v1/notices/{about}`
pub(crate) async fn delete(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(about): Segments<String>,
) -> Result<NoContent, Problem> {
    let account = environment.store.account(caller.account);
    if account.notice_delete(&about, environment.clock.now()).await? {
        return Ok(NoContent);
    }
    let shown: String = about.chars().take(80).collect();
    Err(Problem::not_found(format!("There is no notice about `{shown}`. GET /v1/notices lists yours.")))
}

pub(crate) fn view(notice: Notice) -> NoticeView {
    NoticeView { about: notice.about, bot: notice.bot, text: notice.text, at: notice.at }
}
