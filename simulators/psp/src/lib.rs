//! The payment provider's stand-in: an outside party with a ledger of its own, and no friend of ours.
//!
//! Stripe-like over HTTP/JSON: payment intents are authorised, captured, cancelled and refunded; `Idempotency-Key` replays the
//! stored answer; webhooks are signed, repeated and reordered; test tokens decline; a fault panel makes it slow, silent, wrong or
//! impersonated, and counts what it did.
//!
//! It keeps **no unique key on our references**. Two intents for one order are two charges, and `GET /v1/ledger` shows both:
//! that is what makes it the independent witness of "charged once". It shares no code with the services that call it.
//!
//! Read in this order: [`intent`] (what can happen to money), [`ledger`] (how it is remembered), [`provider`] (one decision at
//! a time), [`faults`] and [`counts`], [`webhook`], [`http`].

pub mod books;
pub mod config;
pub mod counts;
pub mod faults;
pub mod http;
pub mod intent;
pub mod ledger;
pub mod order;
pub mod provider;
pub mod webhook;

pub use config::{Account, Config, WebhookTarget};
pub use http::{ServeError, serve};
