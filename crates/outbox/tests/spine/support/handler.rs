//! A handler that does what the payload says, and whose effects can be counted: its table has no key that would hide a
//! double one.

use outbox::{HandleError, Handler, Received};
use sqlx::{PgConnection, PgPool};

pub async fn create_effects(pool: &PgPool) {
    sqlx::raw_sql(
        "create table effect (
             place bigint generated always as identity,
             event_id uuid not null,
             aggregate_id text not null,
             payload text not null,
             -- Whose connection made it, where members have names.
             member text not null default current_setting('application_name')
         )",
    )
    .execute(pool)
    .await
    .unwrap();
}

/// Aggregate and payload of every effect, in the order in which they were made.
pub async fn effects(pool: &PgPool) -> Vec<(String, String)> {
    sqlx::query_as("select aggregate_id, payload from effect order by place").fetch_all(pool).await.unwrap()
}

/// Payload `poison` and `fail` do not succeed, the rest is recorded.
pub struct Effects {
    pub topics: &'static [&'static str],
}

impl Handler for Effects {
    fn topics(&self) -> &'static [&'static str] {
        self.topics
    }

    async fn handle(&self, conn: &mut PgConnection, event: &Received) -> Result<(), HandleError> {
        let payload = String::from_utf8_lossy(&event.payload);
        // Before the verdict: a failure must undo it.
        sqlx::query("insert into effect (event_id, aggregate_id, payload) values ($1, $2, $3)")
            .bind(event.id.as_uuid())
            .bind(&event.aggregate_id)
            .bind(payload.as_ref())
            .execute(conn)
            .await?;
        // The marker in the middle of a batch.
        sabotage::crash_point("test.effect.before-commit").await;
        match payload.as_ref() {
            "poison" => Err(HandleError::Poison("told to be poison".to_owned())),
            "fail" => Err(HandleError::Retry("told to fail".to_owned())),
            _ => Ok(()),
        }
    }
}
