//! Payment intents and refunds. Lists are Stripe's: by reference, or newest first by `created[gte]`, `created[lt]`, `limit` and
//! `starting_after`, with `has_more`.

use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::account::{Caller, Key};
use super::{Carried, Kind, Shared, State, answer};
use crate::books::{Page, Window};
use crate::counts::Count;
use crate::intent::{IntentId, Refusal};
use crate::provider::{Command, CommandError};

#[derive(Deserialize)]
struct AuthoriseBody {
    amount: i64,
    currency: String,
    payment_method: String,
    reference: String,
}

#[derive(Default, Deserialize)]
struct CaptureBody {
    amount: Option<i64>,
}

#[derive(Deserialize)]
struct RefundBody {
    payment_intent: String,
    amount: i64,
    reference: String,
}

/// `?reference=`, or a page of what was made in a span of time.
#[derive(Deserialize)]
pub(super) struct Listed {
    reference: Option<String>,
    /// Unix seconds.
    #[serde(rename = "created[gte]", default)]
    from: i64,
    /// Unix seconds.
    #[serde(rename = "created[lt]")]
    to: Option<i64>,
    /// The last id of the page before.
    starting_after: Option<String>,
    limit: Option<usize>,
}

/// Objects in one page when the caller names no number.
const PAGE_DEFAULT: usize = 10;
/// Most objects in one page.
const PAGE_MAX: usize = 100;

impl Listed {
    fn window<Id: FromStr>(&self) -> Result<Window<Id>, Refusal> {
        let after = self.starting_after.as_deref().map(str::parse).transpose();
        Ok(Window {
            from: self.from,
            to: self.to.unwrap_or(i64::MAX),
            after: after.map_err(|_| Refusal::Invalid("starting_after is no id"))?,
            limit: self.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX),
        })
    }
}

#[derive(Serialize)]
struct List<T> {
    data: Vec<T>,
    has_more: bool,
}

impl<T: Serialize> List<T> {
    fn answer(self) -> Carried {
        question(Json(self).into_response())
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(data: Vec<T>) -> Self {
        Self { data, has_more: false }
    }
}

impl<T> From<Page<T>> for List<T> {
    fn from(page: Page<T>) -> Self {
        Self { data: page.data, has_more: page.has_more }
    }
}

const fn question(response: Response) -> Carried {
    Carried { response, is_new: false }
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, CommandError> {
    serde_json::from_slice(body).map_err(CommandError::Body)
}

/// What cannot be an id is no intent of anyone.
fn parse_intent_id(text: &str) -> Result<IntentId, CommandError> {
    text.parse().map_err(|_| CommandError::Refused(Refusal::NoSuchIntent))
}

/// Carries a command out under the panel's fate, and sends the webhook of what is new.
async fn execute(shared: &Arc<Shared>, caller: Caller, key: Key, command: Result<Command, CommandError>) -> Response {
    let command = match command {
        Ok(command) => command,
        Err(error) => return answer::command_error(&error),
    };
    let (at, whim) = (Arc::clone(shared), shared.panel.draw_whim());
    let work = move || match at.provider.execute(&caller.0.name, &key.0, &command, whim, Utc::now()) {
        Ok(outcome) => {
            if outcome.replayed {
                at.counts.add(Count::Replays);
            }
            if let Some(whim) = outcome.whim {
                at.counts.add(whim);
            }
            if let (false, Some(target)) = (outcome.replayed, &caller.0.webhook) {
                at.webhooks.send(target, &outcome.entry, at.panel.draw_delivery());
            }
            Carried { response: answer::outcome(&outcome), is_new: !outcome.replayed }
        }
        Err(error) => question(answer::command_error(&error)),
    };
    shared.answer(Kind::Call, work).await
}

pub(super) async fn authorise(shared: State, caller: Caller, key: Key, body: Bytes) -> Response {
    let command = parse(&body).map(|body: AuthoriseBody| Command::Authorise {
        amount: body.amount,
        currency: body.currency,
        payment_method: body.payment_method,
        reference: body.reference,
    });
    execute(&shared, caller, key, command).await
}

pub(super) async fn capture(shared: State, caller: Caller, key: Key, Path(id): Path<String>, body: Bytes) -> Response {
    let parsed = if body.is_empty() { Ok(CaptureBody::default()) } else { parse(&body) };
    let command = parsed.and_then(|body| Ok(Command::Capture { intent: parse_intent_id(&id)?, amount: body.amount }));
    execute(&shared, caller, key, command).await
}

pub(super) async fn cancel(shared: State, caller: Caller, key: Key, Path(id): Path<String>) -> Response {
    let command = parse_intent_id(&id).map(|intent| Command::Cancel { intent });
    execute(&shared, caller, key, command).await
}

pub(super) async fn refund(shared: State, caller: Caller, key: Key, body: Bytes) -> Response {
    let command = parse(&body).and_then(|body: RefundBody| {
        let intent = parse_intent_id(&body.payment_intent)?;
        Ok(Command::Refund { intent, amount: body.amount, reference: body.reference })
    });
    execute(&shared, caller, key, command).await
}

pub(super) async fn get_intent(shared: State, caller: Caller, Path(id): Path<String>) -> Response {
    let at = Arc::clone(&shared);
    let work = move || {
        let found = parse_intent_id(&id).map(|id| at.provider.intent(&caller.0.name, id));
        let found = found.and_then(|intent| intent.ok_or(CommandError::Refused(Refusal::NoSuchIntent)));
        question(found.map_or_else(|error| answer::command_error(&error), |intent| Json(intent).into_response()))
    };
    shared.answer(Kind::Question, work).await
}

pub(super) async fn list_intents(shared: State, caller: Caller, Query(query): Query<Listed>) -> Response {
    let at = Arc::clone(&shared);
    let work = move || match (&query.reference, query.window()) {
        (Some(reference), _) => List::from(at.provider.intents_of(&caller.0.name, reference)).answer(),
        (None, Ok(window)) => List::from(at.provider.intents_in(&caller.0.name, &window)).answer(),
        (None, Err(refusal)) => question(answer::command_error(&refusal.into())),
    };
    shared.answer(Kind::Question, work).await
}

pub(super) async fn list_refunds(shared: State, caller: Caller, Query(query): Query<Listed>) -> Response {
    let at = Arc::clone(&shared);
    let work = move || match (&query.reference, query.window()) {
        (Some(reference), _) => List::from(at.provider.refunds_of(&caller.0.name, reference)).answer(),
        (None, Ok(window)) => List::from(at.provider.refunds_in(&caller.0.name, &window)).answer(),
        (None, Err(refusal)) => question(answer::command_error(&refusal.into())),
    };
    shared.answer(Kind::Question, work).await
}
