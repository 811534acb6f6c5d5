//! The payment service with crash points that can be armed and guards that can be removed, for `backbone drill`.

#[path = "../main.rs"]
mod service;

fn main() -> anyhow::Result<std::process::ExitCode> {
    sabotage::arm_from_environment()?;
    service::main()
}
