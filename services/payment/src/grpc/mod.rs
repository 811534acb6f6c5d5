//! `payment.v1.PaymentService`: converts, calls the driver, converts back. No rule lives here.

mod convert;
mod operator;
mod status;

pub use operator::OperatorGrpc;

use contracts::payment::v1::payment_service_server::PaymentService;
use contracts::payment::v1::{
    AuthoriseRequest, AuthoriseResponse, GetPaymentRequest, GetPaymentResponse, RefundRequest, RefundResponse,
    VoidRequest, VoidResponse,
};
use tonic::{Request, Response, Status};

use crate::driver::Driver;
use crate::psp::Provider;

/// The service.
#[derive(Debug)]
pub struct PaymentGrpc<P> {
    driver: Driver<P>,
}

impl<P: Provider> PaymentGrpc<P> {
    /// The service on `driver`.
    pub const fn new(driver: Driver<P>) -> Self {
        Self { driver }
    }
}

#[tonic::async_trait]
impl<P: Provider> PaymentService for PaymentGrpc<P> {
    async fn authorise(&self, request: Request<AuthoriseRequest>) -> Result<Response<AuthoriseResponse>, Status> {
        let (order, terms) = convert::authorise(request.into_inner())?;
        // The second wall: one order is charged through one region's account only, whoever asks.
        chassis::status::require_home(order, self.driver.store().region())?;
        let payment = self.driver.authorise(order, &terms).await.map_err(|error| status::of_authorise(order, error))?;
        Ok(Response::new(AuthoriseResponse { payment: Some(convert::payment(&payment)) }))
    }

    async fn void(&self, request: Request<VoidRequest>) -> Result<Response<VoidResponse>, Status> {
        let order = convert::order(&request.into_inner().order_id)?;
        let payment = self.driver.void(order).await.map_err(|error| status::of_void(order, error))?;
        Ok(Response::new(VoidResponse { payment: Some(convert::payment(&payment)) }))
    }

    async fn refund(&self, request: Request<RefundRequest>) -> Result<Response<RefundResponse>, Status> {
        let request = convert::refund(request.into_inner())?;
        let refunded = self.driver.refund(&request).await;
        let refunded = refunded.map_err(|error| status::of_drive(request.order, error))?;
        Ok(Response::new(RefundResponse {
            state: convert::refund_state(refunded.state).into(),
            payment: Some(convert::payment(&refunded.payment)),
            paid_minor: Some(refunded.paid_minor),
        }))
    }

    async fn get_payment(&self, request: Request<GetPaymentRequest>) -> Result<Response<GetPaymentResponse>, Status> {
        let order = convert::order(&request.into_inner().order_id)?;
        let payment = self.driver.store().payment(order).await.map_err(|error| status::of_store(order, error))?;
        let payment = payment.ok_or_else(|| status::payment_not_found(order))?;
        Ok(Response::new(GetPaymentResponse { payment: Some(convert::payment(&payment)) }))
    }
}
