//! Payment intents and refunds.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::account::{Caller, Key};
use super::{Shared, State, answer};
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

/// `?reference=`
#[derive(Deserialize)]
pub(super) struct ByReference {
    reference: String,
}

#[derive(Serialize)]
struct List<T> {
    data: Vec<T>,
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, CommandError> {
    serde_json::from_slice(body).map_err(CommandError::Body)
}

/// What cannot be an id is no intent of anyone.
fn parse_intent_id(text: &str) -> Result<IntentId, CommandError> {
    text.parse().map_err(|_| CommandError::Refused(Refusal::NoSuchIntent))
}

/// Carries a command out under the panel's fate, and sends the webhook of what is new.
async fn execute(shared: &Shared, caller: &Caller, key: &Key, command: Result<Command, CommandError>) -> Response {
    let command = match command {
        Ok(command) => command,
        Err(error) => return answer::command_error(&error),
    };
    shared
        .answer(|| match shared.provider.execute(&caller.0.name, &key.0, &command, Utc::now()) {
            Ok(outcome) => {
                if let (false, Some(target)) = (outcome.replayed, &caller.0.webhook) {
                    shared.webhooks.send(target, &outcome.entry, shared.panel.draw_delivery());
                }
                answer::outcome(&outcome)
            }
            Err(error) => answer::command_error(&error),
        })
        .await
}

pub(super) async fn authorise(shared: State, caller: Caller, key: Key, body: Bytes) -> Response {
    let command = parse(&body).map(|body: AuthoriseBody| Command::Authorise {
        amount: body.amount,
        currency: body.currency,
        payment_method: body.payment_method,
        reference: body.reference,
    });
    execute(&shared, &caller, &key, command).await
}

pub(super) async fn capture(shared: State, caller: Caller, key: Key, Path(id): Path<String>, body: Bytes) -> Response {
    let parsed = if body.is_empty() { Ok(CaptureBody::default()) } else { parse(&body) };
    let command = parsed.and_then(|body| Ok(Command::Capture { intent: parse_intent_id(&id)?, amount: body.amount }));
    execute(&shared, &caller, &key, command).await
}

pub(super) async fn cancel(shared: State, caller: Caller, key: Key, Path(id): Path<String>) -> Response {
    let command = parse_intent_id(&id).map(|intent| Command::Cancel { intent });
    execute(&shared, &caller, &key, command).await
}

pub(super) async fn refund(shared: State, caller: Caller, key: Key, body: Bytes) -> Response {
    let command = parse(&body).and_then(|body: RefundBody| {
        let intent = parse_intent_id(&body.payment_intent)?;
        Ok(Command::Refund { intent, amount: body.amount, reference: body.reference })
    });
    execute(&shared, &caller, &key, command).await
}

pub(super) async fn get_intent(shared: State, caller: Caller, Path(id): Path<String>) -> Response {
    let find = || {
        let intent = shared.provider.intent(&caller.0.name, parse_intent_id(&id)?);
        intent.ok_or(CommandError::Refused(Refusal::NoSuchIntent))
    };
    shared
        .answer(|| find().map_or_else(|error| answer::command_error(&error), |intent| Json(intent).into_response()))
        .await
}

pub(super) async fn list_intents(shared: State, caller: Caller, Query(query): Query<ByReference>) -> Response {
    let list = || List { data: shared.provider.intents_of(&caller.0.name, &query.reference) };
    shared.answer(|| Json(list()).into_response()).await
}

pub(super) async fn list_refunds(shared: State, caller: Caller, Query(query): Query<ByReference>) -> Response {
    let list = || List { data: shared.provider.refunds_of(&caller.0.name, &query.reference) };
    shared.answer(|| Json(list()).into_response()).await
}
