//! What the function is invoked with: HTTP requests of its URL, and what only who has rights in the cloud may ask for.
//!
//! `{"lowtide": "owner-link"}` is asked for by `aws lambda invoke`, which takes the permission `lambda:InvokeFunction`. The
//! function's URL cannot carry it: there the whole of a request is told in the fields of an HTTP event, whose names no
//! client chooses, and an invocation with any other field beside `lowtide` and `account` is no such order.

use std::convert::Infallible;

use axum::Router;
use domain::{Account, AccountId};
use futures::future::{FutureExt, LocalBoxFuture};
use lambda_http::lambda_runtime::{self, FunctionResponse, LambdaEvent, service_fn};
use lambda_http::request::LambdaRequest;
use lambda_http::{Service, StreamAdapter};
use runtime::Environment;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::sign_in::owner_link;

/// The field that tells an order from an HTTP event.
const ORDER: &str = "lowtide";

enum Invocation {
    Http(Box<LambdaRequest>),
    Order(Order),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    lowtide: What,
    /// Whose owner is to be let in; the deployment's first account, if left out.
    account: Option<AccountId>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    OwnerLink,
}

/// A link that signs one browser in, once, as an owner.
#[derive(Debug, Serialize)]
struct Offered {
    account: AccountId,
    /// To be put behind the address of the API.
    path: String,
    minutes: u64,
}

impl<'de> Deserialize<'de> for Invocation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Invocation, D::Error> {
        use serde::de::Error;
        let event = Value::deserialize(deserializer)?;
        if event.get(ORDER).is_some() {
            return Order::deserialize(event).map(Invocation::Order).map_err(D::Error::custom);
        }
        LambdaRequest::deserialize(event).map(|request| Invocation::Http(Box::new(request))).map_err(D::Error::custom)
    }
}

/// Answers invocations until the function ends: requests by `router`, orders by themselves.
///
/// What the runtime is made of stays behind the box: its type is too deep for whoever awaits it.
pub fn run(environment: Environment, router: Router) -> LocalBoxFuture<'static, Result<(), lambda_http::Error>> {
    let http = StreamAdapter::from(router);
    let handler = service_fn(move |event: LambdaEvent<Invocation>| {
        let (mut http, environment) = (http.clone(), environment.clone());
        let answer = async move {
            let LambdaEvent { payload, context } = event;
            match payload {
                Invocation::Http(request) => {
                    let answer = http.call(LambdaEvent::new(*request, context)).await;
                    let answer = answer.unwrap_or_else(|never: Infallible| match never {});
                    Ok::<_, lambda_http::Error>(FunctionResponse::StreamingResponse(answer))
                }
                Invocation::Order(Order { lowtide: What::OwnerLink, account }) => {
                    Ok(FunctionResponse::BufferedResponse(offer(&environment, account).await?))
                }
            }
        };
        answer.boxed_local()
    });
    Box::pin(lambda_runtime::run(handler))
}

async fn offer(environment: &Environment, account: Option<AccountId>) -> anyhow::Result<Offered> {
    let account = match account {
        Some(account) => known(environment, account).await?,
        None => first(environment).await?,
    };
    let path = owner_link(environment, account).await?;
    tracing::info!(%account, "A link for an owner was made by who has rights in the cloud.");
    Ok(Offered { account, path, minutes: crate::sign_in::browsers::LINK_TTL.as_secs() / 60 })
}

async fn known(environment: &Environment, account: AccountId) -> anyhow::Result<AccountId> {
    let found = environment.store.account(account).account_get().await?;
    anyhow::ensure!(
        found.is_some(),
        "there is no account {account}; leave `account` out for the deployment's first one"
    );
    Ok(account)
}

/// The account of who deployed this. It is made when it is asked for first; an attempt that was cut short is completed.
async fn first(environment: &Environment) -> anyhow::Result<AccountId> {
    let now = environment.clock.now();
    let new = AccountId::from_parts(now, environment.entropy.next_u128());
    let id = environment.store.first_account(new).await?;
    let account = environment.store.account(id);
    if account.account_get().await?.is_none() {
        let record = Account { id, name: "Owner".to_owned(), budget: Default::default(), created_at: now };
        // Whoever asked at the same time has made it.
        let _ = account.account_put(&record).await;
        known(environment, id).await?;
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_order_is_told_from_what_a_url_carries() {
        let read = |event: Value| serde_json::from_value::<Invocation>(event);
        assert!(matches!(read(json!({ "lowtide": "owner-link" })), Ok(Invocation::Order(_))));
        let mut http: Value = serde_json::from_str(include_str!("../../../events/api-health.json")).unwrap();
        http["body"] = r#"{"lowtide": "owner-link"}"#.into();
        http["headers"]["lowtide"] = "owner-link".into();
        assert!(matches!(read(http.clone()), Ok(Invocation::Http(_))));
        http["lowtide"] = "owner-link".into();
        let (other, stranger) =
            (json!({ "lowtide": "owner-links" }), json!({ "lowtide": "owner-link", "account": "x" }));
        for bad in [http, other, stranger] {
            assert!(read(bad).is_err());
        }
    }
}
