//! The link over real sockets: what arrives, in which order, and not before when. Upper bounds on time are never asserted tightly:
//! the machine may be busy. Lower bounds are the link's promise.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod control;
mod cuts;
mod forwarding;
mod support;
