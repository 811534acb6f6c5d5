//! What a line keeps of the offer as it was when it was added.

use crdt::Denominated;
use crdt::codec::{DecodeError, Reader, Wire};
use ids::SellerId;
use money::{Currency, Money};

/// Seller, name and price at the moment when a unit was added. A later change of the catalogue leaves it alone.
///
/// The price comes first: a line's units order by what they cost, so that the dearest are those that go first. (Amounts of two currencies
/// order by currency; nothing compares them.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snapshot {
    /// Price of one unit.
    pub unit_price: Money,
    /// Who earns it.
    pub seller_id: SellerId,
    /// The offer's title.
    pub title: String,
}

impl Denominated for Snapshot {
    type Denomination = Currency;

    fn denomination(&self) -> Currency {
        self.unit_price.currency()
    }
}

impl Wire for Snapshot {
    fn write(&self, out: &mut Vec<u8>) {
        self.unit_price.minor_units().unsigned_abs().write(out);
        self.unit_price.currency().code().to_owned().write(out);
        self.seller_id.as_str().to_owned().write(out);
        self.title.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let minor_units = i64::try_from(u64::read(reader)?).map_err(|_| DecodeError::Malformed)?;
        let currency = String::read(reader)?.parse().map_err(|_| DecodeError::Malformed)?;
        let seller_id = String::read(reader)?.parse().map_err(|_| DecodeError::Malformed)?;
        Ok(Self { unit_price: Money::new(minor_units, currency), seller_id, title: String::read(reader)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_orders_by_price() {
        let cheap = Snapshot {
            unit_price: Money::new(99, "GBP".parse().unwrap()),
            seller_id: "zeta".parse().unwrap(),
            title: "Teapot, \"blue\"".to_owned(),
        };
        let dear = Snapshot {
            unit_price: Money::new(100, "GBP".parse().unwrap()),
            seller_id: "alpha".parse().unwrap(),
            ..cheap.clone()
        };
        assert!(cheap < dear);
        let mut bytes = Vec::new();
        cheap.write(&mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(Snapshot::read(&mut reader).unwrap(), cheap);
        reader.end().unwrap();
    }
}
