//! Whole-system tests. One system of two regions, apart from any that `make up` runs, is brought up on addresses of its own; the
//! scenarios run one after the other on it; then it is taken down.
//!
//! `make test` runs them all. A name as an argument of this test runs those that contain it.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod client;
mod deployment;
mod scenarios;

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use deployment::Deployment;

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // They share one system, and some break a part of it.
    arguments.test_threads = Some(1);
    let runtime = Arc::new(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?);
    if arguments.list {
        return Ok(libtest_mimic::run(&arguments, scenarios::all(&Scenarios::unstarted(runtime))).exit_code());
    }
    let deployment = Arc::new(runtime.block_on(Deployment::bring_up())?);
    let scenarios = Scenarios { runtime: runtime.clone(), deployment: Some(deployment.clone()) };
    let conclusion = libtest_mimic::run(&arguments, scenarios::all(&scenarios));
    drop(scenarios);
    runtime.block_on(deployment.tear_down(conclusion.has_failed()))?;
    Ok(conclusion.exit_code())
}

/// Makes trials of scenarios.
struct Scenarios {
    runtime: Arc<tokio::runtime::Runtime>,
    deployment: Option<Arc<Deployment>>,
}

impl Scenarios {
    /// For listing names only.
    fn unstarted(runtime: Arc<tokio::runtime::Runtime>) -> Self {
        Self { runtime, deployment: None }
    }

    /// A scenario named after the behaviour it shows.
    fn trial<Run, Work>(&self, name: &str, scenario: Run) -> Trial
    where
        Run: FnOnce(Arc<Deployment>) -> Work + Send + 'static,
        Work: Future<Output = anyhow::Result<()>>,
    {
        let (runtime, deployment) = (self.runtime.clone(), self.deployment.clone());
        Trial::test(name, move || {
            let deployment = deployment.ok_or("the system was not brought up")?;
            runtime.block_on(scenario(deployment)).map_err(|error| Failed::from(format!("{error:?}")))
        })
    }
}
