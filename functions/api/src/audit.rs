//! The audit log, page by page.

use axum::Json;
use axum::extract::State;
use runtime::Environment;
use store::AuditLine;

use crate::auth::Caller;
use crate::extract::Parameters;
use crate::pages::{List, PageQuery};
use crate::problem::Problem;
use crate::views::{AuditView, Page};

/// `GET /v1/audit`
pub(crate) async fn list(
    State(environment): State<Environment>,
    caller: Caller,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Page<AuditView>>, Problem> {
    let list = List::new(caller.account, "audit");
    let account = environment.store.account(caller.account);
    let page = account.audit_page(&list.range(&query)?).await?;
    let names = account.actor_names(&page.items.iter().map(|line| line.actor).collect()).await?;
    Ok(list.answer(page, |line: AuditLine| AuditView {
        at: line.at,
        name: names.get(&line.actor).cloned(),
        actor: line.actor,
        action: line.action,
        fields: line.fields,
        status: line.status,
    }))
}
