//! Notices to the owner: listed, and removed once they were read.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use runtime::Environment;
use store::Notice;

use crate::auth::Caller;
use crate::extract::Segments;
use crate::problem::Problem;
use crate::views::{Items, NoticeView};

/// `GET /v1/notices`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
) -> Result<Json<Items<NoticeView>>, Problem> {
    let notices = environment.store.account(caller.account).notice_list(environment.clock.now()).await?;
    Ok(Json(Items { items: notices.into_iter().map(view).collect() }))
}

/// `DELETE /v1/notices/{about}`
pub(crate) async fn delete(
    State(environment): State<Environment>,
    caller: Caller,
    Segments(about): Segments<String>,
) -> Result<StatusCode, Problem> {
    let account = environment.store.account(caller.account);
    // What is listed has a key that can be deleted; anything else may be too long for one.
    let notices = account.notice_list(environment.clock.now()).await?;
    if !notices.iter().any(|notice| notice.about == about) {
        let shown: String = about.chars().take(80).collect();
        return Err(Problem::not_found(format!("There is no notice about `{shown}`. GET /v1/notices lists yours.")));
    }
    account.notice_delete(&about).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(notice: Notice) -> NoticeView {
    NoticeView { about: notice.about, bot: notice.bot, text: notice.text, at: notice.at }
}
