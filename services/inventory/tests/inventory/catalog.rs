//! The catalogue over gRPC.

use contracts::catalog::v1::catalog_service_client::CatalogServiceClient;
use contracts::catalog::v1::{
    BatchGetOffersRequest, GetOfferRequest, ListOffersRequest, Offer as WireOffer, UpsertOffersRequest,
};
use ids::Region;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::fixture::{NoPeer, Site, offer};

#[sqlx::test(migrations = false)]
async fn offers_are_written_read_and_listed_page_by_page(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    let (url, _guard) = east.serve(NoPeer).await;
    let mut catalog = CatalogServiceClient::connect(url).await.unwrap();
    let offers: Vec<WireOffer> = (0..7).map(|index| offer(&format!("offer-{index}")).into()).collect();
    for _ in 0..2 {
        let request = UpsertOffersRequest { offers: offers.clone(), ..Default::default() };
        assert_eq!(catalog.upsert_offers(request).await.unwrap().into_inner().offers_written, 7);
    }
    east.receive(&[("offer-3", 5)]).await;

    let got = catalog.get_offer(GetOfferRequest { offer_id: "offer-3".to_owned() }).await.unwrap().into_inner();
    assert_eq!((got.offer.as_ref(), got.available_here), (Some(&offers[3]), 5));

    let offer_ids = ["offer-6", "no-such", "offer-0"].map(str::to_owned).to_vec();
    let batch = catalog.batch_get_offers(BatchGetOffersRequest { offer_ids }).await.unwrap().into_inner();
    assert_eq!(batch.offers, [offers[6].clone(), offers[0].clone()]);
    assert_eq!(batch.missing_offer_ids, ["no-such"]);

    let (mut listed, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = catalog.list_offers(ListOffersRequest { page_size: 3, page_token }).await.unwrap().into_inner();
        listed.extend(page.offers);
        pages += 1;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((listed, pages), (offers, 3));
}

/// A merchant's change whose answer was lost is repeated when somebody has changed the offer again: the newer price stands.
#[sqlx::test(migrations = false)]
async fn a_late_repeat_of_a_change_changes_nothing(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    let (url, _guard) = east.serve(NoPeer).await;
    let mut catalog = CatalogServiceClient::connect(url).await.unwrap();
    let priced = |minor_units| {
        let mut offer: WireOffer = offer("vase").into();
        offer.unit_price.as_mut().unwrap().minor_units = minor_units;
        offer
    };
    let change = |minor_units, key: &str| UpsertOffersRequest {
        offers: vec![priced(minor_units)],
        idempotency_key: key.to_owned(),
    };
    let first = catalog.upsert_offers(change(100, "a")).await.unwrap().into_inner();
    catalog.upsert_offers(change(200, "b")).await.unwrap();
    assert_eq!(catalog.upsert_offers(change(100, "a")).await.unwrap().into_inner(), first);
    let got = catalog.get_offer(GetOfferRequest { offer_id: "vase".to_owned() }).await.unwrap().into_inner();
    assert_eq!(got.offer, Some(priced(200)));
    let reused = catalog.upsert_offers(change(300, "a")).await.unwrap_err();
    assert_eq!(chassis::status::reason(&reused).as_deref(), Some("IDEMPOTENCY_KEY_REUSED"));
}
