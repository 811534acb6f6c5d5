//! On the schemas of the services as their migrations make them: the statements fit, and rows are read as they are.

use std::path::{Path, PathBuf};

use ids::Region;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{cart, inventory, order, outbox, payment};

const ORDER: Uuid = Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057);

/// A connection to a database with the schema of a service.
async fn database_of(service: &str, pool: &PgPool) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
    let mut conn = pool.acquire().await.unwrap();
    for folder in ["outbox", service] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(folder);
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files {
            execute(&mut conn, std::fs::read_to_string(file).unwrap()).await;
        }
    }
    conn
}

async fn execute(conn: &mut PgConnection, statements: String) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(conn).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn an_order_is_read_with_its_lines_and_returns(pool: PgPool) {
    let mut conn = database_of("order", &pool).await;
    let rows = format!(
        "insert into customer_order
             (order_id, customer_id, idempotency_key, request_digest, home_region, cart_id, state, currency, total_minor,
              line_count, captured, delivery_recipient, delivery_street, delivery_city, delivery_postal_code,
              delivery_country, created_at)
         values ('{ORDER}', gen_random_uuid(), 'a key', '', 'east', gen_random_uuid(), 'shipped', 'EUR', 6900, 1, true,
                 '', '', '', '', '', now());
         insert into order_line (order_id, offer_id, seller_id, title, unit_price_minor, quantity)
         values ('{ORDER}', 'board', 's', 't', 3450, 2);
         insert into order_return
             (return_id, order_id, idempotency_key, request_digest, state, amount_minor, drive_after, created_at)
         values ('{ORDER}', '{ORDER}', 'another', '', 'requested', 3450, now(), now());
         insert into order_return_line (return_id, offer_id, quantity) values ('{ORDER}', 'board', 1);
         insert into outbox (id, aggregatetype, aggregateid, type, payload, home_region)
         values (gen_random_uuid(), 'order', '{ORDER}', 'order.shipped.v1', '', 'east'),
                (gen_random_uuid(), 'order', '{}', 'order.shipped.v1', '', 'east');
         insert into outbox_peer (id, aggregatetype, aggregateid, type, payload, position, home_region, created_at)
         values (gen_random_uuid(), 'order', '{ORDER}', 'order.placed.v1', '', 1, 'east', now());",
        Uuid::nil(),
    );
    execute(&mut conn, rows).await;

    assert_eq!(order::find(&mut conn, Uuid::nil(), Uuid::max(), 10).await.unwrap(), [ORDER]);
    let (row, lines, returns, actions) = order::read(&mut conn, ORDER).await.unwrap();
    assert_eq!((row.state.as_str(), row.total_minor, row.captured, row.parked_at), ("shipped", 6_900, true, None));
    assert_eq!((lines[0].quantity, lines[0].unit_price_minor, actions.len()), (2, 3_450, 0));
    assert_eq!((returns[0].state.as_str(), returns[0].lines.as_deref()), ("requested", Some("1 × board")));
    let waiting = outbox::read(&mut conn, "order", ORDER).await.unwrap();
    let waiting: Vec<_> = waiting.iter().map(|one| (one.table, one.event.topic.as_str(), one.event.home)).collect();
    let expected = [("outbox", "order.shipped.v1", Region::East), ("outbox_peer", "order.placed.v1", Region::East)];
    assert_eq!(waiting, expected);
}

#[sqlx::test(migrations = false)]
async fn a_checkout_is_read(pool: PgPool) {
    let mut conn = database_of("cart", &pool).await;
    let checkout =
        format!("insert into cart_checkout (order_id, cart_id, cut) values ('{ORDER}', gen_random_uuid(), '')");
    execute(&mut conn, checkout).await;
    let read = cart::read(&mut conn, ORDER).await.unwrap().unwrap();
    assert_eq!((read.state.as_str(), read.begun_here), ("undecided", true));
    assert!(cart::read(&mut conn, Uuid::nil()).await.unwrap().is_none());
}

#[sqlx::test(migrations = false)]
async fn a_reservation_and_its_transfers_are_read(pool: PgPool) {
    let mut conn = database_of("inventory", &pool).await;
    let rows = format!(
        "insert into reservation (order_id, request_digest, state, expires_at) values ('{ORDER}', '', 'reserved', now());
         insert into reservation_line (order_id, offer_id, units) values ('{ORDER}', 'board', 2), ('{ORDER}', 'bowl', 1);
         insert into rights_transfer_in (transfer_id, order_id, state, ask_again_at)
         values ('{ORDER}', '{ORDER}', 'credited', now());
         insert into rights_transfer_in_line (transfer_id, offer_id, asked, granted) values ('{ORDER}', 'board', 7, 5);
         insert into rights_transfer_out (transfer_id, to_region, request_digest, granted_units)
         values ('{ORDER}', 'east', '', 5);"
    );
    execute(&mut conn, rows).await;
    let (reservation, transfers) = inventory::read(&mut conn, ORDER).await.unwrap();
    let reservation = reservation.unwrap();
    assert_eq!((reservation.lines.as_deref(), reservation.is_tombstone), (Some("2 × board, 1 × bowl"), false));
    assert_eq!(transfers[0].lines.as_deref(), Some("5 of 7 × board"));
    let granted = inventory::granted(&mut conn, &[transfers[0].transfer_id]).await.unwrap();
    assert_eq!((granted.len(), granted[0].granted_units), (1, 5));
}

#[sqlx::test(migrations = false)]
async fn a_payment_is_read_with_its_refunds_and_postings(pool: PgPool) {
    let mut conn = database_of("payment", &pool).await;
    let rows = format!(
        "insert into payment
             (order_id, state, amount_minor, currency, commission_basis_points, terms_digest, intent_id, refunded_minor)
         values ('{ORDER}', 'captured', 6900, 'EUR', 1000, '', 'pi_1', 3450);
         insert into refund (refund_id, order_id, state, amount_minor, terms_digest, provider_refund_id)
         values ('{ORDER}', '{ORDER}', 'succeeded', 3450, '', 're_1');
         insert into account (account_id, kind, seller_id) values ('seller_payable:s', 'seller_payable', 's');
         begin;
         insert into journal_entry (entry_id, kind, order_id, currency) values ('{ORDER}', 'capture', '{ORDER}', 'EUR');
         insert into posting (entry_id, account_id, amount_minor, currency)
         values ('{ORDER}', 'psp_receivable', 6900, 'EUR'), ('{ORDER}', 'seller_payable:s', -6900, 'EUR');
         insert into journal_entry (entry_id, kind, order_id, refund_id, currency)
         values ('{}', 'refund', '{ORDER}', '{ORDER}', 'EUR');
         insert into posting (entry_id, account_id, amount_minor, currency)
         values ('{}', 'psp_receivable', -3450, 'EUR'), ('{}', 'seller_payable:s', 3450, 'EUR');
         commit;
         insert into webhook_event (event_id) values ('evt_1');",
        Uuid::max(),
        Uuid::max(),
        Uuid::max(),
    );
    execute(&mut conn, rows).await;
    let read = payment::read(&mut conn, ORDER).await.unwrap();
    let payment = read.payment.unwrap();
    assert_eq!((payment.state.as_str(), payment.amount_minor, payment.due_at), ("captured", Some(6_900), None));
    assert_eq!(read.refunds[0].provider_refund_id.as_deref(), Some("re_1"));
    let kinds: Vec<&str> = read.entries.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!((kinds.len(), kinds.contains(&"capture"), kinds.contains(&"refund")), (2, true, true));
    let capture = read.entries.iter().find(|entry| entry.kind == "capture").unwrap();
    assert_eq!(
        (capture.accounts.as_slice(), capture.amounts.as_slice()),
        (["psp_receivable".to_owned(), "seller_payable:s".to_owned()].as_slice(), [6_900, -6_900].as_slice())
    );
    let webhooks = payment::webhooks(&mut conn, &["evt_1".to_owned(), "evt_2".to_owned()]).await.unwrap();
    assert_eq!(webhooks.len(), 1);
}
