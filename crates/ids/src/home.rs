//! Identifiers that name the region they belong to.
//!
//! An order belongs to one region for ever, its home, and so does the owner of a cart. The id itself says which, so that any
//! region knows whom to ask without a look-up, also while it cannot talk to the other one.
//!
//! The form is RFC 9562's version 8 with the fields of version 7: 48 bits of Unix milliseconds, a counter and random bits, so that ids
//! sort by time. The last byte is the region's replica number. The version tells such an id from the older ones, which name no region.

use std::time::Duration;

use uuid::{Builder, NoContext, Timestamp, Uuid, Version};

use crate::{CustomerId, OrderId, Region};

/// Where the region's number stands. The bytes before it hold 24 random bits and the counter of version 7.
const REGION_BYTE: usize = 15;

fn generate_in(region: Region) -> Uuid {
    in_region(Uuid::now_v7(), region)
}

fn generate_at(region: Region, since_epoch: Duration) -> Uuid {
    let time = Timestamp::from_unix(NoContext, since_epoch.as_secs(), since_epoch.subsec_nanos());
    in_region(Uuid::new_v7(time), region)
}

fn in_region(uuid: Uuid, region: Region) -> Uuid {
    let mut bytes = uuid.into_bytes();
    bytes[REGION_BYTE] = region.replica();
    Builder::from_custom_bytes(bytes).into_uuid()
}

fn home(uuid: &Uuid) -> Option<Region> {
    match uuid.get_version() {
        Some(Version::Custom) => Region::of_replica(uuid.as_bytes()[REGION_BYTE]),
        _ => None,
    }
}

/// Time since the Unix epoch at which a time-ordered id was made; `None` for an id without a time in it.
fn made_at(uuid: &Uuid) -> Option<Duration> {
    match uuid.get_version() {
        Some(Version::SortRand | Version::Custom) => {
            let millis = uuid.as_bytes()[..6].iter().fold(0, |millis, byte| millis << 8 | u64::from(*byte));
            Some(Duration::from_millis(millis))
        }
        _ => None,
    }
}

impl OrderId {
    /// A new order's id: the order belongs to `region` for ever.
    pub fn generate_in(region: Region) -> Self {
        Self::from_uuid(generate_in(region))
    }

    /// The same, by a clock that is not this process's.
    pub fn generate_at(region: Region, since_epoch: Duration) -> Self {
        Self::from_uuid(generate_at(region, since_epoch))
    }

    /// The region that the order belongs to; `None` for an id of before ids named one.
    pub fn home(self) -> Option<Region> {
        home(&self.as_uuid())
    }

    /// Whether the id says that the order is another region's than `region`.
    pub fn is_foreign_to(self, region: Region) -> bool {
        self.home().is_some_and(|home| home != region)
    }

    /// When the id was made, as time since the Unix epoch; `None` for an id without a time in it, which we never make.
    pub fn made_at(self) -> Option<Duration> {
        made_at(&self.as_uuid())
    }
}

impl CustomerId {
    /// A new customer's id: their carts are ordered in `region` while the regions can talk.
    pub fn generate_in(region: Region) -> Self {
        Self::from_uuid(generate_in(region))
    }

    /// The region in which this customer's carts are ordered while the regions can talk. An id that names none belongs to the first
    /// region: any rule will do that all regions follow alike.
    pub fn home(self) -> Region {
        home(&self.as_uuid()).unwrap_or(Region::East)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_id_names_its_region_for_ever() {
        for region in Region::ALL {
            let order = OrderId::generate_in(region);
            assert_eq!(order.home(), Some(region));
            assert_eq!(order.to_string().parse::<OrderId>().unwrap().home(), Some(region));
            assert!(order.is_foreign_to(region.peer()) && !order.is_foreign_to(region));
            assert_eq!(CustomerId::generate_in(region).home(), region);
        }
    }

    #[test]
    fn an_id_may_be_made_by_another_clock() {
        let time = Duration::from_millis(1_234_567_890_123);
        let id = OrderId::generate_at(Region::West, time);
        assert_eq!((id.home(), id.made_at()), (Some(Region::West), Some(time)));
        assert_ne!(id, OrderId::generate_at(Region::West, time));
    }

    #[test]
    fn an_older_id_names_no_region_and_its_customer_belongs_to_the_first() {
        for older in [Uuid::now_v7(), Uuid::new_v4(), Uuid::nil(), Uuid::max()] {
            assert_eq!(OrderId::from_uuid(older).home(), None, "{older}");
            assert!(!OrderId::from_uuid(older).is_foreign_to(Region::West));
            assert_eq!(CustomerId::from_uuid(older).home(), Region::East, "{older}");
        }
        let mut nowhere = *OrderId::generate_in(Region::East).as_uuid().as_bytes();
        nowhere[REGION_BYTE] = 77;
        assert_eq!(OrderId::from_uuid(Uuid::from_bytes(nowhere)).home(), None);
    }

    #[test]
    fn ids_sort_by_time_beside_the_older_ones_and_are_all_different() {
        let older = OrderId::generate();
        std::thread::sleep(Duration::from_millis(2));
        let ids: Vec<_> = (0..10_000).map(|_| OrderId::generate_in(Region::West)).collect();
        std::thread::sleep(Duration::from_millis(2));
        let newer = OrderId::generate();
        assert!(ids.iter().all(|id| older < *id && *id < newer));
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        let made = ids[0].made_at().unwrap().abs_diff(newer.made_at().unwrap());
        assert!(made < Duration::from_secs(60), "{made:?}");
        assert_eq!(OrderId::from_uuid(Uuid::new_v4()).made_at(), None);
    }
}
