//! Every bad request of both services, and what it is told.

use chassis::status::{field_violations, reason, retry_delay, violations};
use contracts::catalog::v1::catalog_service_client::CatalogServiceClient;
use contracts::catalog::v1::{
    BatchGetOffersRequest, GetOfferRequest, ListOffersRequest, Offer as WireOffer, UpsertOffersRequest,
};
use contracts::inventory::v1::inventory_service_client::InventoryServiceClient;
use contracts::inventory::v1::{
    BatchGetStockRequest, ReceiveStockRequest, ReleaseRequest, ReserveRequest, StockLine, TransferRightsRequest,
};
use contracts::money::v1::Money;
use ids::{OrderId, Region};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tonic::{Code, Status};

use crate::fixture::{NoPeer, Site, TwoRegions, offer};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// The field a status blames first.
fn blamed(status: &Status) -> String {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(reason(status).as_deref(), Some("INVALID_REQUEST"));
    field_violations(status)[0].field.clone()
}

fn stock_lines(lines: &[(&str, i64)]) -> Vec<StockLine> {
    lines.iter().map(|(id, units)| StockLine { offer_id: (*id).to_owned(), units: *units }).collect()
}

#[sqlx::test(migrations = false)]
async fn every_bad_line_is_blamed_in_every_rpc_that_takes_lines(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    let (url, _guard) = east.serve(NoPeer).await;
    let mut inventory = InventoryServiceClient::connect(url).await.unwrap();
    let too_many: Vec<(String, i64)> = (0..=1_500).map(|index| (index.to_string(), 1)).collect();
    let too_many: Vec<(&str, i64)> = too_many.iter().map(|(id, units)| (id.as_str(), *units)).collect();
    let table: [(&[(&str, i64)], &str); 9] = [
        (&[], "lines"),
        (&too_many, "lines"),
        (&[("a", 0)], "lines[0].units"),
        (&[("a", 1), ("b", -1)], "lines[1].units"),
        (&[("a", 1_000_001)], "lines[0].units"),
        (&[("a", i64::MAX)], "lines[0].units"),
        (&[("", 1)], "lines[0].offer_id"),
        (&[("a b", 1)], "lines[0].offer_id"),
        (&[("a", 1), ("a", 1)], "lines[1].offer_id"),
    ];
    for (bad, field) in table {
        let lines = stock_lines(bad);
        let reserve = ReserveRequest { order_id: ID.to_owned(), lines: lines.clone() };
        assert_eq!(blamed(&inventory.reserve(reserve).await.unwrap_err()), field);
        let receive = ReceiveStockRequest { receipt_id: ID.to_owned(), lines: lines.clone() };
        assert_eq!(blamed(&inventory.receive_stock(receive).await.unwrap_err()), field);
        let transfer = TransferRightsRequest { transfer_id: ID.to_owned(), to_region: "west".to_owned(), lines };
        assert_eq!(blamed(&inventory.transfer_rights(transfer).await.unwrap_err()), field);
    }
}

#[sqlx::test(migrations = false)]
async fn bad_ids_regions_and_lists_are_blamed(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    let (url, _guard) = east.serve(NoPeer).await;
    let mut inventory = InventoryServiceClient::connect(url.clone()).await.unwrap();
    let lines = stock_lines(&[("a", 1)]);
    for bad in ["", "17", "not-a-uuid", &"x".repeat(100_000)] {
        let reserve = ReserveRequest { order_id: bad.to_owned(), lines: lines.clone() };
        assert_eq!(blamed(&inventory.reserve(reserve).await.unwrap_err()), "order_id");
        let release = ReleaseRequest { order_id: bad.to_owned() };
        assert_eq!(blamed(&inventory.release(release).await.unwrap_err()), "order_id");
        let receive = ReceiveStockRequest { receipt_id: bad.to_owned(), lines: lines.clone() };
        assert_eq!(blamed(&inventory.receive_stock(receive).await.unwrap_err()), "receipt_id");
    }
    for bad in ["", "east", "north"] {
        let transfer_id = ID.to_owned();
        let transfer = TransferRightsRequest { transfer_id, to_region: bad.to_owned(), lines: lines.clone() };
        assert_eq!(blamed(&inventory.transfer_rights(transfer).await.unwrap_err()), "to_region");
    }
    for (offer_ids, field) in [(vec![], "offer_ids"), (vec!["a"; 1_501], "offer_ids"), (vec!["a", "é"], "offer_ids[1]")]
    {
        let offer_ids: Vec<String> = offer_ids.into_iter().map(str::to_owned).collect();
        let stock = BatchGetStockRequest { offer_ids: offer_ids.clone() };
        assert_eq!(blamed(&inventory.batch_get_stock(stock).await.unwrap_err()), field);
        let mut catalog = CatalogServiceClient::connect(url.clone()).await.unwrap();
        assert_eq!(blamed(&catalog.batch_get_offers(BatchGetOffersRequest { offer_ids }).await.unwrap_err()), field);
    }
}

#[sqlx::test(migrations = false)]
async fn bad_offers_and_pages_are_blamed(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    let (url, _guard) = east.serve(NoPeer).await;
    let mut catalog = CatalogServiceClient::connect(url).await.unwrap();
    let good: WireOffer = offer("a").into();
    let price = |minor_units, code: &str| Some(Money { minor_units, currency_code: code.to_owned() });
    let table = [
        (WireOffer { offer_id: "a/b".into(), ..good.clone() }, "offers[0].offer_id"),
        (WireOffer { seller_id: String::new(), ..good.clone() }, "offers[0].seller_id"),
        (WireOffer { title: String::new(), ..good.clone() }, "offers[0].title"),
        (WireOffer { title: "x".repeat(201), ..good.clone() }, "offers[0].title"),
        (WireOffer { title: "nul \0".into(), ..good.clone() }, "offers[0].title"),
        (WireOffer { unit_price: None, ..good.clone() }, "offers[0].unit_price.currency_code"),
        (WireOffer { unit_price: price(1, "gbp"), ..good.clone() }, "offers[0].unit_price.currency_code"),
        (WireOffer { unit_price: price(1, "XXX"), ..good.clone() }, "offers[0].unit_price.currency_code"),
        (WireOffer { unit_price: price(0, "GBP"), ..good.clone() }, "offers[0].unit_price.minor_units"),
        (WireOffer { unit_price: price(-1, "GBP"), ..good.clone() }, "offers[0].unit_price.minor_units"),
        (WireOffer { unit_price: price(i64::MAX, "GBP"), ..good.clone() }, "offers[0].unit_price.minor_units"),
        (
            WireOffer { attributes: (0..33).map(|i| (i.to_string(), String::new())).collect(), ..good.clone() },
            "offers[0].attributes",
        ),
    ];
    for (bad, field) in table {
        let status =
            catalog.upsert_offers(UpsertOffersRequest { offers: vec![bad], ..Default::default() }).await.unwrap_err();
        assert_eq!(blamed(&status), field);
    }
    for (offers, field) in
        [(vec![], "offers"), (vec![good.clone(); 2], "offers[1].offer_id"), (vec![good; 1_501], "offers")]
    {
        assert_eq!(
            blamed(&catalog.upsert_offers(UpsertOffersRequest { offers, ..Default::default() }).await.unwrap_err()),
            field
        );
    }
    for (page_size, page_token, field) in [
        (-1, "", "page_size"),
        (201, "", "page_size"),
        (1, "rubbish!", "page_token"),
        (1, "b3JkZXJzLjE6YQ", "page_token"),
    ] {
        let list = ListOffersRequest { page_size, page_token: page_token.to_owned() };
        assert_eq!(blamed(&catalog.list_offers(list).await.unwrap_err()), field);
    }
    let get = |id: &str| GetOfferRequest { offer_id: id.to_owned() };
    assert_eq!(blamed(&catalog.get_offer(get("a b")).await.unwrap_err()), "offer_id");
    let missing = catalog.get_offer(get("no-such")).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing).as_deref()), (Code::NotFound, Some("OFFER_NOT_FOUND")));
}

#[sqlx::test(migrations = false)]
async fn refusals_name_their_reason(_: PgPoolOptions, options: PgConnectOptions) {
    let regions = TwoRegions::new(&options).await;
    regions.east.receive(&[("a", 3)]).await;
    let (url, _guard) = regions.east.serve(regions.peer_of_east.clone()).await;
    let mut inventory = InventoryServiceClient::connect(url).await.unwrap();
    let reserve = |order: OrderId, lines: &[(&str, i64)]| ReserveRequest {
        order_id: order.to_string(),
        lines: stock_lines(lines),
    };
    let told = |status: &Status| (status.code(), reason(status).unwrap_or_default());
    let [held, released, short, silent] = [(); 4].map(|()| OrderId::generate());

    let first = inventory.reserve(reserve(held, &[("a", 1)])).await.unwrap().into_inner();
    assert_eq!(inventory.reserve(reserve(held, &[("a", 1)])).await.unwrap().into_inner(), first);
    let reused = inventory.reserve(reserve(held, &[("a", 2)])).await.unwrap_err();
    assert_eq!(told(&reused), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED".to_owned()));

    for _ in 0..2 {
        inventory.release(ReleaseRequest { order_id: released.to_string() }).await.unwrap();
    }
    let late = inventory.reserve(reserve(released, &[("a", 1)])).await.unwrap_err();
    assert_eq!(told(&late), (Code::FailedPrecondition, "RESERVATION_RELEASED".to_owned()));

    let out = inventory.reserve(reserve(short, &[("a", 5), ("b", 1)])).await.unwrap_err();
    assert_eq!(told(&out), (Code::FailedPrecondition, "OUT_OF_STOCK".to_owned()));
    let lines: Vec<_> = violations(&out).into_iter().map(|line| (line.subject, line.description)).collect();
    let expected = [("a", "wanted 5, 2 left"), ("b", "wanted 1, 0 left")];
    assert_eq!(lines, expected.map(|(subject, description)| (subject.to_owned(), description.to_owned())));

    regions.peer_of_east.refuse_calls(1);
    let unreachable = inventory.reserve(reserve(silent, &[("a", 5)])).await.unwrap_err();
    assert_eq!(told(&unreachable), (Code::Unavailable, "PEER_UNAVAILABLE".to_owned()));
    assert!(retry_delay(&unreachable).is_some());

    let unknown = ReceiveStockRequest { receipt_id: ID.to_owned(), lines: stock_lines(&[("no-such", 1)]) };
    let unknown = inventory.receive_stock(unknown).await.unwrap_err();
    assert_eq!(told(&unknown), (Code::NotFound, "OFFER_NOT_FOUND".to_owned()));
}
