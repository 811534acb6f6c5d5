//! The channel that generated clients speak through: adds the trace and the remaining time to each request.

use std::task::{Context, Poll};

use http::{HeaderName, Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::{Channel, Error};
use tower::Service;

use crate::{deadline, trace_context};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static(deadline::GRPC_TIMEOUT);

/// A cheap handle on the connection to a dependency.
#[derive(Debug, Clone)]
pub struct DependencyChannel {
    inner: Channel,
    deadline: Option<Instant>,
}

impl DependencyChannel {
    pub(super) const fn new(inner: Channel, deadline: Option<Instant>) -> Self {
        Self { inner, deadline }
    }
}

impl Service<Request<Body>> for DependencyChannel {
    type Response = Response<Body>;
    type Error = Error;
    type Future = <Channel as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        trace_context::inject(request.headers_mut());
        if let Some(deadline) = self.deadline {
            let remaining = deadline.saturating_duration_since(Instant::now());
            request.headers_mut().insert(GRPC_TIMEOUT, deadline::format(remaining));
        }
        self.inner.call(request)
    }
}
