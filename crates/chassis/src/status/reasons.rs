//! Reasons that any service may give. A service's own stand beside the rules they come from.

/// The request breaks a rule that can be checked without looking anything up.
pub const INVALID_REQUEST: &str = "INVALID_REQUEST";
/// The key was used before, with another request.
pub const IDEMPOTENCY_KEY_REUSED: &str = "IDEMPOTENCY_KEY_REUSED";
/// More requests than the service takes at once; this one was not begun.
pub const OVERLOADED: &str = "OVERLOADED";
/// Something the service needs did not answer; the effect of the call is unknown, repeating it is safe.
pub const DEPENDENCY_UNAVAILABLE: &str = "DEPENDENCY_UNAVAILABLE";
/// Time ran out; the effect of the call is unknown, repeating it is safe.
pub const DEADLINE_EXCEEDED: &str = "DEADLINE_EXCEEDED";
/// The order belongs to another region, which alone does anything for it.
pub const ORDER_HOME_ELSEWHERE: &str = "ORDER_HOME_ELSEWHERE";
/// A version of a cart names what its region has not seen yet.
pub const CART_VERSION_AHEAD: &str = "CART_VERSION_AHEAD";
/// A fault of ours; the log has it under the trace id.
pub const INTERNAL: &str = "INTERNAL";
