//! Bad input, one row each: which field is blamed.
use chassis::status::{field_violations, reason};

use super::*;

const ORDER: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn share(seller: &str, amount_minor: i64) -> SellerShare {
    SellerShare { seller_id: seller.into(), amount_minor }
}

fn good() -> AuthoriseRequest {
    AuthoriseRequest {
        order_id: ORDER.into(),
        amount: Some(MoneyMessage { minor_units: 300, currency_code: "GBP".into() }),
        card_token: "tok_visa".into(),
        shares: vec![share("acme", 100), share("globex", 200)],
    }
}

fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert_eq!(reason(status).as_deref(), Some("INVALID_REQUEST"));
    field_violations(status).into_iter().map(|violation| violation.field).collect()
}

#[test]
fn a_bad_authorise_names_every_field_that_is_wrong() {
    let amount = |minor_units, currency: &str| Some(MoneyMessage { minor_units, currency_code: currency.into() });
    let with = |change: &dyn Fn(&mut AuthoriseRequest)| {
        let mut request = good();
        change(&mut request);
        request
    };
    let many: Vec<_> = (0..=SHARES_MAX).map(|n| share(&format!("s{n}"), 1)).collect();
    for (request, expected) in [
        (with(&|r| r.order_id = String::new()), vec!["order_id"]),
        (with(&|r| r.order_id = "536365".into()), vec!["order_id"]),
        (with(&|r| r.amount = None), vec!["amount"]),
        (with(&|r| r.amount = amount(0, "GBP")), vec!["amount.minor_units"]),
        (with(&|r| r.amount = amount(-300, "GBP")), vec!["amount.minor_units"]),
        (with(&|r| r.amount = amount(i64::MAX, "GBP")), vec!["amount.minor_units"]),
        (with(&|r| r.amount = amount(AMOUNT_MINOR_MAX + 1, "GBP")), vec!["amount.minor_units"]),
        (with(&|r| r.amount = amount(300, "XXX")), vec!["amount.currency_code"]),
        (with(&|r| r.amount = amount(300, "gbp")), vec!["amount.currency_code"]),
        (with(&|r| r.amount = amount(0, "")), vec!["amount.currency_code", "amount.minor_units"]),
        (with(&|r| r.card_token = String::new()), vec!["card_token"]),
        (with(&|r| r.card_token = "4242424242424242".into()), vec!["card_token"]),
        (with(&|r| r.card_token = "4242 4242 4242 4242".into()), vec!["card_token"]),
        (with(&|r| r.card_token = "tok_4242424242424242".into()), vec!["card_token"]),
        (with(&|r| r.card_token = "visa".into()), vec!["card_token"]),
        (with(&|r| r.card_token = format!("tok_{}", "x".repeat(125))), vec!["card_token"]),
        (with(&|r| r.card_token = "tok visa".into()), vec!["card_token"]),
        (with(&|r| r.shares.clear()), vec!["shares"]),
        (with(&|r| r.shares[1].amount_minor = 201), vec!["shares"]),
        (with(&|r| r.shares[1].amount_minor = 0), vec!["shares[1].amount_minor"]),
        (with(&|r| r.shares[0].amount_minor = i64::MIN), vec!["shares[0].amount_minor"]),
        (with(&|r| r.shares[1].seller_id = "acme".into()), vec!["shares[1].seller_id"]),
        (with(&|r| r.shares[1].seller_id = "a/b".into()), vec!["shares[1].seller_id"]),
        (with(&|r| r.shares[0].seller_id = "x".repeat(65)), vec!["shares[0].seller_id"]),
        (with(&|r| r.shares = many.clone()), vec!["shares"]),
        (AuthoriseRequest::default(), vec!["order_id", "amount", "card_token", "shares"]),
    ] {
        let status = authorise(request.clone()).unwrap_err();
        assert_eq!(fields(&status), expected, "{} {:?}", request.order_id, request.amount);
        assert!(!status.message().contains("4242"), "the refusal repeats the card number");
    }
    assert!(authorise(good()).is_ok());
}

#[test]
fn a_bad_refund_names_every_field_that_is_wrong() {
    let good = RefundMessage { refund_id: ORDER.into(), order_id: ORDER.into(), shares: vec![share("acme", 1)] };
    assert!(refund(good.clone()).is_ok());
    for (request, expected) in [
        (RefundMessage { refund_id: "1".into(), ..good.clone() }, vec!["refund_id"]),
        (RefundMessage { order_id: "1".into(), ..good.clone() }, vec!["order_id"]),
        (RefundMessage { shares: vec![], ..good.clone() }, vec!["shares"]),
        (RefundMessage { shares: vec![share("acme", -1)], ..good.clone() }, vec!["shares[0].amount_minor"]),
        (RefundMessage { shares: vec![share("acme", 1), share("acme", 1)], ..good }, vec!["shares[1].seller_id"]),
        (RefundMessage::default(), vec!["refund_id", "order_id", "shares"]),
    ] {
        assert_eq!(fields(&refund(request).unwrap_err()), expected);
    }
}

#[test]
fn an_order_id_must_be_a_uuid() {
    for refused in ["", "1", "not-a-uuid", &"0".repeat(10_000)] {
        assert_eq!(fields(&order(refused).unwrap_err()), ["order_id"]);
    }
}
