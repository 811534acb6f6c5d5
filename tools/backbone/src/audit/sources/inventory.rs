//! Stock, reservations and transfers, as `inventory` stores them.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use ids::{OrderId, TransferId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::unpublished::{self, Unpublished};

/// Units by offer.
pub type Units = BTreeMap<String, i64>;

/// A region's stock.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    pub levels: BTreeMap<String, Level>,
    /// Came in from outside.
    pub received: Units,
    pub reservations: BTreeMap<OrderId, Reservation>,
    /// Orders that have lines but no reservation: no foreign key keeps the two together.
    pub stray_lines: BTreeSet<OrderId>,
    pub transfers_in: BTreeMap<TransferId, TransferIn>,
    pub transfers_out: BTreeMap<TransferId, TransferOut>,
    pub unpublished: Vec<Unpublished>,
}

/// What a region holds of an offer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Level {
    pub available: i64,
    pub reserved: i64,
    pub sold: i64,
}

impl Level {
    /// All of it.
    pub const fn total(self) -> i128 {
        self.available as i128 + self.reserved as i128 + self.sold as i128
    }
}

/// A reservation, or the tombstone of one.
#[derive(Clone, Debug)]
pub struct Reservation {
    pub state: ReservationState,
    pub lines: Units,
}

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum ReservationState {
    Reserved,
    Committed,
    Released,
}

/// Rights that this region asked for.
#[derive(Clone, Debug)]
pub struct TransferIn {
    /// Not credited yet: the other region may have given the units up already.
    pub is_pending: bool,
    /// Zero until credited.
    pub granted: Units,
}

/// Rights that this region gave up.
#[derive(Clone, Debug)]
pub struct TransferOut {
    pub to_region: String,
    pub granted_units: i64,
    pub granted: Units,
}

/// A transfer's header beside one of its lines; a transfer that granted nothing has none.
type OutRow = (Uuid, String, i64, Option<String>, Option<i64>);

impl Inventory {
    /// Reads it all.
    ///
    /// # Errors
    /// What the server said, or a state that is not known here.
    pub async fn read(conn: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let mut all = Self { unpublished: unpublished::read(conn).await?, ..Self::default() };
        let levels: Vec<(String, i64, i64, i64)> =
            sqlx::query_as("select offer_id, available, reserved, sold from stock").fetch_all(&mut *conn).await?;
        let level = |(offer, available, reserved, sold)| (offer, Level { available, reserved, sold });
        all.levels = levels.into_iter().map(level).collect();
        let received: Vec<(String, i64)> =
            sqlx::query_as("select offer_id, sum(units)::bigint from stock_receipt_line group by offer_id")
                .fetch_all(&mut *conn)
                .await?;
        all.received = received.into_iter().collect();
        all.read_reservations(conn).await?;
        all.read_transfers_in(conn).await?;
        all.read_transfers_out(conn).await?;
        Ok(all)
    }

    async fn read_reservations(&mut self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let rows: Vec<(Uuid, ReservationState)> =
            sqlx::query_as("select order_id, state from reservation").fetch_all(&mut *conn).await?;
        let reservation = |(order, state)| (OrderId::from_uuid(order), Reservation { state, lines: Units::new() });
        self.reservations = rows.into_iter().map(reservation).collect();
        let mut rows =
            sqlx::query_as::<_, (Uuid, String, i64)>("select order_id, offer_id, units from reservation_line")
                .fetch(conn);
        while let Some((order, offer, units)) = rows.try_next().await? {
            let order = OrderId::from_uuid(order);
            if let Some(reservation) = self.reservations.get_mut(&order) {
                reservation.lines.insert(offer, units);
            } else {
                self.stray_lines.insert(order);
            }
        }
        Ok(())
    }

    async fn read_transfers_in(&mut self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let rows: Vec<(Uuid, bool, Option<String>, Option<i64>)> = sqlx::query_as(
            "select transfer_id, state = 'pending', offer_id, granted
             from rights_transfer_in left join rights_transfer_in_line using (transfer_id)",
        )
        .fetch_all(conn)
        .await?;
        for (id, is_pending, offer, granted) in rows {
            let transfer = self.transfers_in.entry(TransferId::from_uuid(id));
            let transfer = transfer.or_insert_with(|| TransferIn { is_pending, granted: Units::new() });
            transfer.granted.extend(offer.zip(granted));
        }
        Ok(())
    }

    async fn read_transfers_out(&mut self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let rows: Vec<OutRow> = sqlx::query_as(
            "select transfer_id, to_region, granted_units, offer_id, granted
             from rights_transfer_out left join rights_transfer_out_line using (transfer_id)",
        )
        .fetch_all(conn)
        .await?;
        for (id, to_region, granted_units, offer, granted) in rows {
            let transfer = self.transfers_out.entry(TransferId::from_uuid(id));
            let transfer = transfer.or_insert_with(|| TransferOut { to_region, granted_units, granted: Units::new() });
            transfer.granted.extend(offer.zip(granted));
        }
        Ok(())
    }
}
