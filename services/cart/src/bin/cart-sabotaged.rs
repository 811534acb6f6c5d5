//! The cart service with crash points that can be armed and guards that can be removed and a switch to merge wrongly (`CART_MERGE=last-writer-wins`), for `backbone drill`.

#[path = "../main.rs"]
mod service;

fn main() -> anyhow::Result<()> {
    sabotage::arm_from_environment()?;
    service::main()
}
