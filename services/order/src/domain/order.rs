//! An order.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ids::{CartId, CustomerId, OfferId, OrderId, Region, SellerId};
use money::{Money, MoneyError};

use super::{CutLine, DeliveryAddress, OrderState, Prices, Share, UnorderableCut, shares_of, total_of};

/// An order as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its name; also that of its payment and its reservation.
    pub id: OrderId,
    /// Whose it is.
    pub customer: CustomerId,
    /// The cart it was cut from.
    pub cart: CartId,
    /// The region that drives it.
    pub home_region: Region,
    /// Where it stands.
    pub state: OrderState,
    /// What was ordered, by offer.
    pub lines: Vec<OrderLine>,
    /// What it costs: the sum of its lines.
    pub total: Money,
    /// Whether the money came in.
    pub captured: bool,
    /// Paid back so far, in minor units of the total's currency.
    pub refunded_minor: i64,
    /// Where the goods go.
    pub delivery: DeliveryAddress,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// The other region's order of the same request, which stands in this one's place.
    pub superseded_by: Option<OrderId>,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    /// The offer.
    pub offer: OfferId,
    /// Who earns it.
    pub seller: SellerId,
    /// Title as the shopper saw it.
    pub title: String,
    /// Units ordered by price, in minor units of the order's currency.
    pub prices: Prices,
    /// Units returned so far, at most those ordered; the dearest came back first.
    pub returned_quantity: i64,
}

impl OrderLine {
    /// Units ordered.
    pub fn quantity(&self) -> i64 {
        self.prices.quantity()
    }
}

impl Order {
    /// A new pending order of the lines cut out of a cart.
    ///
    /// # Errors
    /// [`UnorderableCut`] when the lines have no one price.
    pub fn pending(
        id: OrderId,
        home_region: Region,
        (customer, cart): (CustomerId, CartId),
        cut: Vec<CutLine>,
        delivery: DeliveryAddress,
        created_at: DateTime<Utc>,
    ) -> Result<Self, UnorderableCut> {
        let total = total_of(&cut)?;
        let mut lines: Vec<OrderLine> = cut.into_iter().map(OrderLine::from).collect();
        lines.sort_by(|left, right| left.offer.cmp(&right.offer));
        let state = OrderState::Pending;
        Ok(Self {
            id,
            customer,
            cart,
            home_region,
            state,
            lines,
            total,
            captured: false,
            refunded_minor: 0,
            delivery,
            created_at,
            superseded_by: None,
        })
    }

    /// Who earns what of it.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`]; the total of its lines fits, so they are corrupt.
    pub fn shares(&self) -> Result<Vec<Share>, MoneyError> {
        let worth = self.lines.iter().map(|line| line.prices.worth_minor()).collect::<Result<Vec<_>, _>>()?;
        shares_of(self.lines.iter().map(|line| &line.seller).zip(worth))
    }

    /// Until when it may be undecided, by the clock of the orders' database: `limit` after its id was made, which for the repeat of a request
    /// that died is earlier than the row. (An id without a time in it, which we never make, counts as made with the row.)
    pub fn placement_deadline(&self, limit: Duration) -> DateTime<Utc> {
        let made_at = self
            .id
            .made_at()
            .and_then(|since_epoch| DateTime::from_timestamp_millis(i64::try_from(since_epoch.as_millis()).ok()?));
        made_at.unwrap_or(self.created_at) + limit
    }
}

impl From<CutLine> for OrderLine {
    fn from(line: CutLine) -> Self {
        Self { offer: line.offer, seller: line.seller, title: line.title, prices: line.prices, returned_quantity: 0 }
    }
}
