//! The service as its callers see it.

use chassis::status::{reason, retry_delay};
use contracts::money::v1::Money;
use contracts::payment::v1::payment_service_server::PaymentService as _;
use contracts::payment::v1::{
    AuthoriseRequest, GetPaymentRequest, PaymentState, RefundRequest, RefundState, SellerShare, VoidRequest,
};
use ids::{OrderId, RefundId, Region};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tonic::{Code, Request, Status};

use super::world::World;
use crate::driver::Driver;
use crate::grpc::PaymentGrpc;
use crate::psp::HttpProvider;
use crate::store::Store;

fn authorise(order: OrderId, card_token: &str, amount_minor: i64) -> Request<AuthoriseRequest> {
    Request::new(AuthoriseRequest {
        order_id: order.to_string(),
        amount: Some(Money { minor_units: amount_minor, currency_code: "GBP".into() }),
        card_token: card_token.into(),
        shares: vec![SellerShare { seller_id: "acme".into(), amount_minor }],
    })
}

fn refund(order: OrderId, amount_minor: i64) -> Request<RefundRequest> {
    Request::new(RefundRequest {
        refund_id: RefundId::generate().to_string(),
        order_id: order.to_string(),
        shares: vec![SellerShare { seller_id: "acme".into(), amount_minor }],
    })
}

fn void(order: OrderId) -> Request<VoidRequest> {
    Request::new(VoidRequest { order_id: order.to_string() })
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, expected: &str) {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_deref()), (code, Some(expected)), "{status:?}");
    assert_eq!(retry_delay(&status).is_some(), code == Code::Unavailable);
}

#[sqlx::test(migrations = false)]
async fn an_order_from_authorisation_to_refund(pool: PgPool) {
    let world = World::new(pool).await;
    let grpc = PaymentGrpc::new(world.driver.clone());
    let order = OrderId::generate();
    let state = async || {
        let request = Request::new(GetPaymentRequest { order_id: order.to_string() });
        grpc.get_payment(request).await.unwrap().into_inner().payment.unwrap()
    };

    let answer = grpc.authorise(authorise(order, "tok_visa", 100)).await.unwrap().into_inner().payment.unwrap();
    assert_eq!((answer.state(), answer.amount.unwrap().minor_units), (PaymentState::Authorised, 100));
    world.ship(order).await.unwrap();
    assert_eq!(state().await.state(), PaymentState::Authorised, "being captured it is still that");
    refused(grpc.void(void(order)).await, Code::FailedPrecondition, "PAYMENT_CAPTURED");
    refused(grpc.refund(refund(order, 1)).await, Code::FailedPrecondition, "PAYMENT_NOT_CAPTURED");
    world.work_until_idle().await;
    assert_eq!(state().await.state(), PaymentState::Captured);
    refused(grpc.void(void(order)).await, Code::FailedPrecondition, "PAYMENT_CAPTURED");
    refused(grpc.refund(refund(order, 101)).await, Code::FailedPrecondition, "REFUND_EXCEEDS_CAPTURE");
    let answer = grpc.refund(refund(order, 40)).await.unwrap().into_inner();
    assert_eq!((answer.state(), answer.payment.unwrap().refunded_minor), (RefundState::Succeeded, 40));
    refused(grpc.refund(refund(order, 61)).await, Code::FailedPrecondition, "REFUND_EXCEEDS_CAPTURE");
    assert_eq!(state().await.refunded_minor, 40);
}

#[sqlx::test(migrations = false)]
async fn each_refusal_says_what_to_do_next(pool: PgPool) {
    let world = World::new(pool).await;
    let grpc = PaymentGrpc::new(world.driver.clone());
    let (unknown, declined, other, voided) =
        (OrderId::generate(), OrderId::generate(), OrderId::generate(), OrderId::generate());

    let get = Request::new(GetPaymentRequest { order_id: unknown.to_string() });
    refused(grpc.get_payment(get).await, Code::NotFound, "PAYMENT_NOT_FOUND");
    refused(grpc.refund(refund(unknown, 1)).await, Code::NotFound, "PAYMENT_NOT_FOUND");
    let answer = grpc.authorise(authorise(declined, "tok_chargeDeclined", 100)).await;
    refused(answer, Code::FailedPrecondition, "CARD_DECLINED");
    grpc.authorise(authorise(other, "tok_visa", 100)).await.unwrap();
    refused(grpc.authorise(authorise(other, "tok_visa", 101)).await, Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED");
    let answer = grpc.void(void(voided)).await.unwrap().into_inner().payment.unwrap();
    assert_eq!((answer.state(), answer.amount), (PaymentState::Voided, None));
    refused(grpc.authorise(authorise(voided, "tok_visa", 100)).await, Code::FailedPrecondition, "PAYMENT_VOIDED");
    refused(grpc.authorise(authorise(other, "4242424242424242", 100)).await, Code::InvalidArgument, "INVALID_REQUEST");
}

#[sqlx::test(migrations = false)]
async fn with_the_database_gone_every_call_is_unavailable(pool: PgPool) {
    let world = World::new(pool).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = PgConnectOptions::new().host("127.0.0.1").port(nobody.port()).username("nobody");
    let gone = PgPoolOptions::new().acquire_timeout(std::time::Duration::from_millis(200)).connect_lazy_with(options);
    let provider = std::sync::Arc::clone(world.driver.provider());
    let driver: Driver<HttpProvider> = Driver::new(Store::new(gone, Region::East), provider, 1_000);
    let grpc = PaymentGrpc::new(driver);
    let order = OrderId::generate();
    let get = Request::new(GetPaymentRequest { order_id: order.to_string() });
    refused(grpc.authorise(authorise(order, "tok_visa", 1)).await, Code::Unavailable, "DEPENDENCY_UNAVAILABLE");
    refused(grpc.void(void(order)).await, Code::Unavailable, "DEPENDENCY_UNAVAILABLE");
    refused(grpc.refund(refund(order, 1)).await, Code::Unavailable, "DEPENDENCY_UNAVAILABLE");
    refused(grpc.get_payment(get).await, Code::Unavailable, "DEPENDENCY_UNAVAILABLE");
    assert!(world.provider.books().calls.is_empty(), "no intent, no call");
}
