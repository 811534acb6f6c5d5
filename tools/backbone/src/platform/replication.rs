//! How far each region's carts are behind in the other one, and what holds them back.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use ids::Region;
use sqlx::{Connection as _, PgConnection};

use super::layout::Layout;
use super::secrets;

/// A local server answers at once; a region that does not is said not to.
const WITHIN: Duration = Duration::from_secs(2);
/// What is older has not just been written.
const NOTABLE_S: f64 = 5.0;

/// Of one region.
#[derive(Debug)]
struct Lag {
    behind_s: f64,
    /// The transaction that may yet write before what waits: process, database, since when, what it does.
    held_by: Option<(Option<i32>, Option<DateTime<Utc>>, String)>,
}

/// A line for each region whose carts the other one lacks, and for each that could not be asked; one line when all is well. The flag says
/// whether nobody needs to act: a link that is cut heals, a transaction that somebody left open does not end by itself.
pub async fn summary(layout: &Layout) -> (Vec<String>, bool) {
    let asked = join_all(Region::ALL.map(async |region| (region, of(layout, region).await))).await;
    let is_held =
        |lag: &Result<Lag, String>| matches!(lag, Ok(Lag { behind_s, held_by: Some(_) }) if *behind_s >= NOTABLE_S);
    let all_well = !asked.iter().any(|(_, lag)| is_held(lag));
    let troubles: Vec<String> = asked.into_iter().filter_map(|(region, lag)| trouble(region, lag)).collect();
    let lines = if troubles.is_empty() { vec!["carts: replicated, both ways".to_owned()] } else { troubles };
    (lines, all_well)
}

fn trouble(region: Region, lag: Result<Lag, String>) -> Option<String> {
    let (from, to) = (region, region.peer());
    match lag {
        Ok(Lag { behind_s, .. }) if behind_s < NOTABLE_S => None,
        Ok(Lag { behind_s, held_by: Some((pid, since, what)) }) => {
            let who = pid.map_or_else(|| "a prepared transaction".to_owned(), |pid| format!("process {pid}"));
            let since = since.map(|since| format!(" since {}", since.format("%H:%M:%S"))).unwrap_or_default();
            Some(format!(
                "carts: {to} lacks what {from} wrote {behind_s:.0} s ago; {who} holds it back in {from}'s database cart{since} ({what})"
            ))
        }
        Ok(Lag { behind_s, held_by: None }) => {
            Some(format!("carts: {to} lacks what {from} wrote {behind_s:.0} s ago; is the link cut?"))
        }
        Err(why) => Some(format!("carts: what {to} lacks of {from} is not known: {why}")),
    }
}

async fn of(layout: &Layout, region: Region) -> Result<Lag, String> {
    let url = secrets::superuser_url(layout, region, "cart").map_err(|error| error.to_string())?;
    let asked = async {
        let mut connection = PgConnection::connect(&url).await?;
        let behind_s: Option<f64> = sqlx::query_scalar(
            "select extract(epoch from now() - created_at)::double precision from cart_operation
             where origin is null and (transaction_id, position) > (
                 (select coalesce(max(acked_transaction), 0)::text::xid8 from cart_replica
                  where replica = (select max(replica) from cart_replica where replica % 2 = $1)),
                 (select coalesce(max(acked_sequence), 0) from cart_replica
                  where replica = (select max(replica) from cart_replica where replica % 2 = $1))
             )
             order by transaction_id, position limit 1",
        )
        .bind(i32::from(region.peer().replica() % 2))
        .fetch_optional(&mut connection)
        .await?;
        let held_by = sqlx::query_as(
            "select pid, xact_start, coalesce(nullif(application_name, ''), usename) || ', ' || coalesce(state, '')
             from pg_stat_activity
             where datname = current_database() and backend_xid is not null and pid <> pg_backend_pid()
             union all
             select null, prepared, owner || ', prepared' from pg_prepared_xacts where database = current_database()
             order by 2 limit 1",
        )
        .fetch_optional(&mut connection)
        .await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(Lag { behind_s: behind_s.unwrap_or_default(), held_by })
    };
    match tokio::time::timeout(WITHIN, asked).await {
        Ok(lag) => lag.map_err(|error| error.to_string()),
        Err(_) => Err(format!("{region}'s database does not answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lags_is_said_with_what_holds_it_back() {
        let lag = |behind_s, held_by| Ok(Lag { behind_s, held_by });
        assert_eq!(trouble(Region::East, lag(0.4, None)), None);
        let cut = trouble(Region::East, lag(31.0, None)).unwrap();
        assert!(cut.contains("west lacks what east wrote 31 s ago") && cut.contains("link"), "{cut}");
        let held = lag(31.0, Some((Some(4_711), Some(DateTime::UNIX_EPOCH), "psql, idle in transaction".to_owned())));
        let held = trouble(Region::West, held).unwrap();
        for expected in ["process 4711", "since 00:00:00", "psql, idle in transaction", "west's database cart"] {
            assert!(held.contains(expected), "{expected:?} in {held}");
        }
        assert!(trouble(Region::West, Err("no route".to_owned())).unwrap().contains("no route"));
    }
}
