//! Letters that a person has closed, in the databases of the consumers that refused them.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ids::Region;
use sqlx::{Connection as _, PgConnection};

use super::letter::Letter;
use crate::audit::sources::database::snapshot;
use crate::audit::sources::{Read, Unreadable};
use crate::platform::{Layout, secrets};
use crate::spine::consumers::Consumer;

/// For the one statement that closes a letter.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);
/// Where letters of a consumer that nobody knows are closed.
const DATABASE_OF_STRAYS: &str = "order";

/// Who closed a letter, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Letters of its matter refused up to then are closed.
    pub refused_until: DateTime<Utc>,
    pub at: DateTime<Utc>,
    pub by: String,
    pub reason: String,
}

/// Region, consumer, topic and subject.
type Key = (Region, String, String, String);

/// All that was closed; of each matter the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlements(BTreeMap<Key, Settlement>);

impl Settlements {
    /// What closed the letter; none when it is open, or was refused again since.
    pub fn of(&self, letter: &Letter) -> Option<&Settlement> {
        let settlement = self.0.get(&key(letter))?;
        (letter.refused_at.is_none_or(|at| at <= settlement.refused_until)).then_some(settlement)
    }

    /// With this letter closed too.
    #[cfg(test)]
    pub fn add(&mut self, letter: &Letter, settlement: Settlement) {
        let known = self.0.entry(key(letter)).or_insert_with(|| settlement.clone());
        if known.refused_until < settlement.refused_until {
            *known = settlement;
        }
    }
}

fn key(letter: &Letter) -> Key {
    let place = letter.position.place;
    (letter.position.region, letter.consumer.clone(), place.topic.to_owned(), letter.subject())
}

/// The database whose inbox the letter's consumer has.
fn database(letter: &Letter) -> &'static str {
    Consumer::named(&letter.consumer).map_or(DATABASE_OF_STRAYS, |consumer| consumer.database)
}

/// What was closed of these letters of a region. A database that none of them is about is not asked.
///
/// # Errors
/// [`Unreadable`]: one of the databases.
pub async fn read(layout: &Layout, region: Region, letters: &[Letter]) -> Read<Settlements> {
    let mut found = Settlements::default();
    for name in secrets::DATABASES {
        let here: Vec<&Letter> = letters.iter().filter(|letter| database(letter) == name).collect();
        if here.is_empty() {
            continue;
        }
        let subjects: Vec<String> = here.iter().map(|letter| letter.subject()).collect();
        type Row = (String, String, String, DateTime<Utc>, DateTime<Utc>, String, String);
        let rows: Vec<Row> = snapshot(layout, region, name, async |conn| {
            sqlx::query_as(
                "select consumer, topic, subject, refused_until, settled_at, settled_by, reason
                 from dead_letter_settlement where subject = any($1) order by refused_until",
            )
            .bind(&subjects)
            .fetch_all(conn)
            .await
        })
        .await?;
        for (consumer, topic, subject, refused_until, at, by, reason) in rows {
            found.0.insert((region, consumer, topic, subject), Settlement { refused_until, at, by, reason });
        }
    }
    Ok(found)
}

/// Closes the letter, durably. Repeating it changes nothing.
///
/// # Errors
/// [`Unreadable`]: the database took nothing.
pub async fn write(layout: &Layout, letter: &Letter, by: &str, reason: &str) -> Read<()> {
    let (region, database) = (letter.position.region, database(letter));
    let failed = |why: String| Unreadable::new(format!("the {region} {database} database"), why);
    let url = secrets::superuser_url(layout, region, database).map_err(|error| failed(error.to_string()))?;
    let work = async {
        let mut connection = PgConnection::connect(&url).await?;
        // no crash point: it is one statement, and who ends this command runs it again
        sqlx::query(
            "insert into dead_letter_settlement (consumer, topic, subject, refused_until, settled_by, reason)
             values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
        )
        .bind(&letter.consumer)
        .bind(letter.position.place.topic)
        .bind(letter.subject())
        .bind(letter.refused_at.unwrap_or_else(Utc::now))
        .bind(by)
        .bind(reason)
        .execute(&mut connection)
        .await?;
        connection.close().await
    };
    match tokio::time::timeout(WRITTEN_WITHIN, work).await {
        Ok(written) => written.map_err(|error| failed(error.to_string())),
        Err(_) => Err(failed(format!("not done after {WRITTEN_WITHIN:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use ids::EventId;

    use super::super::letter::tests::letter;
    use super::*;

    #[test]
    fn a_letter_refused_again_after_it_was_closed_is_open_again() {
        let event = EventId::generate();
        let (first, again) = (letter(0, event, 10), letter(1, event, 20));
        let mut settlements = Settlements::default();
        assert_eq!(settlements.of(&first), None);
        let refused_until = first.refused_at.unwrap_or_default();
        let by_whom = Settlement { refused_until, at: refused_until, by: "ann".into(), reason: "a test".into() };
        settlements.add(&first, by_whom.clone());
        assert_eq!((settlements.of(&first), settlements.of(&again)), (Some(&by_whom), None));
        let other = Letter { consumer: "inventory".to_owned(), ..first };
        assert_eq!(settlements.of(&other), None);
    }
}
