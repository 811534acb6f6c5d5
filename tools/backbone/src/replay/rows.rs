//! The published rows and what each of them is: a line of an order, a line of a refund, or skipped for a named reason.

use std::fmt;
use std::io::Read;

use serde::Deserialize;

use super::pence::{self, NotAPrice, Price};

/// A row with the columns as published.
#[derive(Debug, Deserialize)]
struct Row {
    #[serde(rename = "InvoiceNo")]
    invoice: String,
    #[serde(rename = "StockCode")]
    stock_code: String,
    #[serde(rename = "Description")]
    description: String,
    #[serde(rename = "Quantity")]
    quantity: i64,
    #[serde(rename = "UnitPrice")]
    unit_price: String,
    #[serde(rename = "CustomerID")]
    customer: String,
    #[serde(rename = "Country")]
    country: String,
}

/// What is sold: a stock code at a price. Orders by stock code, then by price, as refunds are matched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferKey {
    /// As published.
    pub stock_code: Box<str>,
    /// Price of one unit.
    pub pence: i64,
}

/// A row that counts.
#[derive(Debug)]
pub struct CountedRow {
    /// The digits of the invoice's number.
    pub invoice: u64,
    /// What was sold or came back.
    pub offer: OfferKey,
    /// The shop's name of it, trimmed; may be empty.
    pub description: String,
    /// Units, more than zero.
    pub units: i64,
    /// `None` is a guest.
    pub customer: Option<Box<str>>,
    /// Where it goes.
    pub country: String,
}

/// Why a row of an order does not count. The names are those of `expected.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skipped {
    /// Neither digits only nor a refund's: a correction of the books.
    InvoiceNotNumeric,
    /// Nothing was sold.
    QuantityNotPositive,
    /// It was given away or written off.
    PriceNotPositive,
    /// Less than a penny.
    PriceBelowOnePenny,
    /// A part of a penny is left over.
    PriceNotWholePence,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvoiceNotNumeric => "invoice_not_numeric",
            Self::QuantityNotPositive => "quantity_not_positive",
            Self::PriceNotPositive => "price_not_positive",
            Self::PriceBelowOnePenny => "price_below_one_penny",
            Self::PriceNotWholePence => "price_not_whole_pence",
        })
    }
}

/// What a row is.
#[derive(Debug)]
pub enum Kind {
    /// A line of an order.
    Order(CountedRow),
    /// A line of a refund; its units are what came back.
    Refund(CountedRow),
    /// A line of a refund that names no units or no whole-pence price. The published months have none.
    RefundWithoutGoods,
    /// Not counted.
    Skipped(Skipped),
}

/// Why a month cannot be read. Line numbers are those of the CSV.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// Not CSV with the columns as published.
    #[error("the rows cannot be read")]
    Csv(#[from] csv::Error),
    /// A price that is no number.
    #[error("row {row}")]
    Price {
        /// Row, from 1, without the heading.
        row: u64,
        /// What it says.
        source: NotAPrice,
    },
}

/// Reads every row. The reader is the uncompressed CSV.
///
/// # Errors
/// [`RowError`] at the first row that is not as published: silently leaving one out would make every sum a guess.
pub fn read(csv: impl Read) -> Result<Vec<Kind>, RowError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(true).from_reader(csv);
    let mut kinds = Vec::new();
    for (position, row) in reader.deserialize::<Row>().enumerate() {
        let kind = classify(row?).map_err(|source| RowError::Price { row: position as u64 + 1, source })?;
        kinds.push(kind);
    }
    Ok(kinds)
}

fn digits(text: &str) -> Option<u64> {
    // `parse` alone would let a sign pass.
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn classify(row: Row) -> Result<Kind, NotAPrice> {
    let price = pence::parse(&row.unit_price)?;
    if let Some(invoice) = row.invoice.strip_prefix('C').and_then(digits) {
        return Ok(match (row.quantity.checked_neg(), price) {
            (Some(units @ 1..), Price::Pence(pence)) => Kind::Refund(counted(row, invoice, units, pence)),
            _ => Kind::RefundWithoutGoods,
        });
    }
    let Some(invoice) = digits(&row.invoice) else { return Ok(Kind::Skipped(Skipped::InvoiceNotNumeric)) };
    if row.quantity <= 0 {
        return Ok(Kind::Skipped(Skipped::QuantityNotPositive));
    }
    let units = row.quantity;
    Ok(match price {
        Price::Pence(pence) => Kind::Order(counted(row, invoice, units, pence)),
        Price::NotPositive => Kind::Skipped(Skipped::PriceNotPositive),
        Price::BelowOnePenny => Kind::Skipped(Skipped::PriceBelowOnePenny),
        Price::NotWholePence => Kind::Skipped(Skipped::PriceNotWholePence),
    })
}

fn counted(row: Row, invoice: u64, units: i64, pence: i64) -> CountedRow {
    // The data set's export wrote customer numbers as floats, such as 17850.0; as text they lose the tail, unread.
    let customer = row.customer.strip_suffix(".0").unwrap_or(&row.customer);
    CountedRow {
        invoice,
        offer: OfferKey { stock_code: row.stock_code.into(), pence },
        description: row.description.trim().to_owned(),
        units,
        customer: (!customer.is_empty()).then(|| customer.into()),
        country: row.country,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    fn one(row: &str) -> Kind {
        read(format!("{HEADING}{row}\n").as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn a_row_is_an_orders_a_refunds_or_skipped() {
        let Kind::Order(row) =
            one("536365,85123A,\"T-LIGHT, \"\"HEART\"\" \",6,2010-12-01,2.55,17850.0,United Kingdom")
        else {
            panic!("an order's row")
        };
        assert_eq!((row.invoice, row.units, row.offer.pence), (536_365, 6, 255));
        assert_eq!((row.description.as_str(), row.customer.as_deref()), ("T-LIGHT, \"HEART\"", Some("17850")));
        let Kind::Refund(row) = one("C536379,D,,-1,2010-12-01,27.50,,EIRE") else { panic!("a refund's row") };
        assert_eq!((row.invoice, row.units, row.customer), (536_379, 1, None));
    }

    #[test]
    fn the_first_reason_to_skip_is_the_one_counted() {
        for (row, reason) in [
            ("A563185,B,Adjust,1,2011-08-12,11062.06,,United Kingdom", Skipped::InvoiceNotNumeric),
            ("536589,21777,,-10,2010-12-01,0.0,,United Kingdom", Skipped::QuantityNotPositive),
            ("536414,22139,,56,2010-12-01,0.0,,United Kingdom", Skipped::PriceNotPositive),
            ("550193,PADS,,1,2011-04-15,0.001,13952.0,United Kingdom", Skipped::PriceBelowOnePenny),
            ("550193,PADS,,1,2011-04-15,1.005,13952.0,United Kingdom", Skipped::PriceNotWholePence),
        ] {
            assert!(matches!(one(row), Kind::Skipped(actual) if actual == reason), "{row}");
        }
    }

    #[test]
    fn a_row_that_is_not_as_published_stops_the_reading() {
        for row in ["536365,85123A", "536365,85123A,X,six,2010-12-01,2.55,17850.0,UK", "1,A,X,6,2010,free,1.0,UK"] {
            assert!(read(format!("{HEADING}{row}\n").as_bytes()).is_err(), "{row}");
        }
    }
}
