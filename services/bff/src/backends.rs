//! The services behind, and how long each call may take: the whole list of what the bff asks of them.

use std::time::Duration;

use chassis::client::{Dependency, DependencyConfig, InvalidUrl};
use contracts::cart::v1::cart_service_client::CartServiceClient;
use contracts::cart::v1::*;
use contracts::catalog::v1::catalog_service_client::CatalogServiceClient;
use contracts::catalog::v1::*;
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::*;
use tonic::{Response, Status, Streaming};

macro_rules! backends {
    ($(
        $(#[$doc:meta])*
        $backend:ident($name:literal, $client:ident) {
            $($(#[$call_doc:meta])* $method:ident($request:ty) -> $response:ty, within $deadline_ms:literal ms;)*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $backend(Dependency);

        impl $backend {
            /// The service at `url`; connects on first use.
            ///
            /// # Errors
            /// [`InvalidUrl`].
            pub fn new(url: &str) -> Result<Self, InvalidUrl> {
                Dependency::new($name, url, DependencyConfig::default()).map(Self)
            }

            $(
                $(#[$call_doc])*
                pub(crate) async fn $method(&self, request: $request) -> Result<$response, Status> {
                    self.0
                        .call(Duration::from_millis($deadline_ms), |channel| {
                            let request = request.clone();
                            async move { $client::new(channel).$method(request).await }
                        })
                        .await
                }
            )*
        }
    )*};
}

backends! {
    /// `cart.v1`.
    Carts("cart", CartServiceClient) {
        create_cart(CreateCartRequest) -> CreateCartResponse, within 2_000 ms;
        get_cart(GetCartRequest) -> GetCartResponse, within 2_000 ms;
        add_line(AddLineRequest) -> AddLineResponse, within 2_000 ms;
        set_line_quantity(SetLineQuantityRequest) -> SetLineQuantityResponse, within 2_000 ms;
        remove_line(RemoveLineRequest) -> RemoveLineResponse, within 2_000 ms;
        set_delivery_address(SetDeliveryAddressRequest) -> SetDeliveryAddressResponse, within 2_000 ms;
        clear_delivery_address(ClearDeliveryAddressRequest) -> ClearDeliveryAddressResponse, within 2_000 ms;
    }

    /// `catalog.v1`.
    Catalog("catalog", CatalogServiceClient) {
        get_offer(GetOfferRequest) -> GetOfferResponse, within 1_000 ms;
        list_offers(ListOffersRequest) -> ListOffersResponse, within 2_000 ms;
    }

    /// `order.v1`.
    Orders("order", OrderServiceClient) {
        /// Reserves stock and asks the payment provider, who may take seconds; the answer then is a pending order.
        place_order(PlaceOrderRequest) -> PlaceOrderResponse, within 10_000 ms;
        get_order(GetOrderRequest) -> GetOrderResponse, within 2_000 ms;
        list_orders(ListOrdersRequest) -> ListOrdersResponse, within 3_000 ms;
        /// Voids the payment at the provider.
        cancel_order(CancelOrderRequest) -> CancelOrderResponse, within 10_000 ms;
        /// Refunds at the provider.
        return_order(ReturnOrderRequest) -> ReturnOrderResponse, within 10_000 ms;
    }
}

/// `cart.v1`'s `WatchCart`, over a connection and behind a breaker of its own: streams stay for minutes and must not take the
/// places of calls, and a cart service that cannot hear of changes is not one that cannot be read.
#[derive(Debug, Clone)]
pub struct CartChanges(Dependency);

impl CartChanges {
    /// The service at `url`; connects on first use.
    ///
    /// # Errors
    /// [`InvalidUrl`].
    pub fn new(url: &str) -> Result<Self, InvalidUrl> {
        Dependency::new("cart-changes", url, DependencyConfig::default()).map(Self)
    }

    /// The first cart, and the stream of those that follow. The deadline is the first's.
    pub(crate) async fn watch_cart(
        &self,
        request: WatchCartRequest,
    ) -> Result<(WatchCartResponse, Streaming<WatchCartResponse>), Status> {
        self.0
            .call(Duration::from_millis(2_000), |channel| {
                let request = request.clone();
                async move {
                    let mut carts = CartServiceClient::new(channel).watch_cart(request).await?.into_inner();
                    let first = carts.message().await?.ok_or_else(|| Status::unavailable("no cart came"))?;
                    Ok(Response::new((first, carts)))
                }
            })
            .await
    }
}

/// All of them.
#[derive(Debug, Clone)]
pub struct Backends {
    /// Carts.
    pub carts: Carts,
    /// What changes in carts.
    pub cart_changes: CartChanges,
    /// The catalogue.
    pub catalog: Catalog,
    /// Orders.
    pub orders: Orders,
}
