//! The cart service with a switch to sabotage it (`CART_MERGE=last-writer-wins`), for `backbone drill partition`.

#[path = "../main.rs"]
mod service;

fn main() -> anyhow::Result<()> {
    service::main()
}
