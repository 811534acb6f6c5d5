//! The provider's books of our account, for whoever compares them with ours: what was made in a span of time, page by page, and
//! what there is under one of our references. Only asks.

use std::future::Future;

use super::{CallError, Intent, Receipt};
use crate::domain::IntentId;

/// An authorisation as it stands in the provider's books.
#[derive(Clone, Debug)]
pub struct StatedIntent {
    /// What we called it: an order's id, or whatever stands there.
    pub reference: Box<str>,
    /// The authorisation.
    pub intent: Intent,
    /// Paid back of it, in minor units.
    pub refunded_minor: i64,
}

/// A refund as it stands in the provider's books.
#[derive(Clone, Debug)]
pub struct StatedRefund {
    /// What we called it: a refund's id, or whatever stands there.
    pub reference: Box<str>,
    /// The charge that it pays back.
    pub intent: IntentId,
    /// The refund.
    pub receipt: Receipt,
}

/// A span of time, in Unix seconds, by when things were made at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Then or later.
    pub from: i64,
    /// Before then.
    pub to: i64,
}

/// A part of a list, newest first.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// At most a hundred.
    pub data: Vec<T>,
    /// The id to go on after, unless this is all.
    pub next: Option<Box<str>>,
}

/// The provider's books. Every call is bounded in time by the implementation.
pub trait Statement: Send + Sync + 'static {
    /// Authorisations made in a span, from `after` on.
    fn intents(
        &self,
        span: Span,
        after: Option<&str>,
    ) -> impl Future<Output = Result<Page<StatedIntent>, CallError>> + Send;
    /// Refunds made in a span, from `after` on.
    fn refunds(
        &self,
        span: Span,
        after: Option<&str>,
    ) -> impl Future<Output = Result<Page<StatedRefund>, CallError>> + Send;
    /// Every authorisation under a reference: more than one when it was charged twice.
    fn intents_under(&self, reference: &str) -> impl Future<Output = Result<Vec<StatedIntent>, CallError>> + Send;
    /// Every refund under a reference.
    fn refunds_under(&self, reference: &str) -> impl Future<Output = Result<Vec<StatedRefund>, CallError>> + Send;
}
