//! The services' tables, in memory. Each function is one statement or one transaction and happens in one moment; its document names
//! what it stands for. The rules in them are the services' own: guards ask `order::domain`, `inventory::domain`, `payment::domain`.

pub mod carts;
pub mod homes;
pub mod orders;
pub mod payments;
pub mod stock;
