//! What the database itself refuses, whatever the code above it does.

use sqlx::PgPool;

use super::world::World;

/// Tries one SQL script in a transaction of its own and returns the constraint that stopped it.
async fn stopped_by(world: &World, sql: &'static str) -> String {
    let mut tx = world.pool.begin().await.unwrap();
    let result = match sqlx::raw_sql(sql).execute(&mut *tx).await {
        Ok(_) => tx.commit().await,
        Err(error) => Err(error),
    };
    let error = result.expect_err(sql);
    error.as_database_error().unwrap().constraint().unwrap_or("another error").to_owned()
}

#[sqlx::test(migrations = false)]
async fn the_database_keeps_the_ledger(pool: PgPool) {
    let world = World::new(pool).await;
    world.captured(&[("acme", 100)]).await;
    world.captured(&[("globex", 200)]).await;
    for (sql, constraint) in [
        ("update posting set amount_minor = amount_minor + 1", "ledger_append_only"),
        ("delete from posting", "ledger_append_only"),
        ("truncate posting", "ledger_append_only"),
        ("update journal_entry set kind = 'refund'", "ledger_append_only"),
        ("delete from journal_entry", "ledger_append_only"),
        // One side only, into an entry that is committed.
        (
            "insert into posting select entry_id, 'seller_payable:globex', 5, 'GBP' from journal_entry order by entry_id limit 1",
            "journal_entry_balanced",
        ),
        // An entry without sides.
        (
            "insert into refund select gen_random_uuid(), order_id, 'succeeded', 1, '', 'r' from payment limit 1;
             insert into journal_entry select gen_random_uuid(), 'refund', order_id, refund_id, 'GBP' from refund",
            "journal_entry_balanced",
        ),
        // A second capture of an order.
        (
            "insert into journal_entry select gen_random_uuid(), 'capture', order_id, null, 'GBP' from payment limit 1",
            "journal_entry_one_capture",
        ),
        // Two currencies in one entry.
        (
            "insert into posting select entry_id, account, amount, 'EUR' from
                 (select entry_id from journal_entry order by entry_id limit 1) as entry,
                 (values ('seller_payable:globex', 5), ('seller_payable:acme', -5)) as side (account, amount)",
            "another error",
        ),
        ("insert into account values ('seller_payable:other', 'seller_payable', 'acme')", "account_name_follows_kind"),
        ("insert into account values ('slush', 'slush', null)", "account_name_follows_kind"),
        ("update payment set refunded_minor = amount_minor + 1", "payment_refunds_within_capture"),
        ("update payment set state = 'authorised', refunded_minor = 1", "payment_refunds_within_capture"),
        ("update payment_share set refunded_minor = amount_minor + 1", "payment_share_refunds_within_share"),
        ("update payment set card_token = 'tok_visa'", "payment_card_token_only_in_doubt"),
        ("update payment set state = 'capturing'", "payment_due_while_in_flight"),
        ("update payment set intent_id = null", "payment_intent_known"),
    ] {
        let stopped = stopped_by(&world, sql).await;
        if constraint == "another error" {
            assert!(["posting_pkey", "posting_entry"].contains(&stopped.as_str()), "{stopped}: {sql}");
        } else {
            assert_eq!(stopped, constraint, "{sql}");
        }
    }
}

#[sqlx::test(migrations = false)]
async fn migrations_apply_to_an_empty_database_and_again_to_a_full_one(pool: PgPool) {
    let world = World::new(pool).await;
    world.captured(&[("acme", 100)]).await;
    chassis::migrate::run(&world.pool, &[&outbox::MIGRATIONS, &crate::MIGRATIONS]).await.unwrap();
    assert_eq!(world.count("select count(*) from payment").await, 1);
}
