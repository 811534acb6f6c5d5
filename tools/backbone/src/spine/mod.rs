//! The event spine as an onlooker sees it: who consumes what, what lies in the topics, what the inboxes remember. It disturbs
//! nobody: topics are read without a group, databases in a read-only snapshot.

pub mod consumers;
pub(crate) mod inbox;
pub(crate) mod restore;
pub(crate) mod topics;
