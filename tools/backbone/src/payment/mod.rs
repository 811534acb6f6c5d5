//! `backbone payment`: money that is stuck, and what the provider's books and ours do not agree on, for the people who look after it.

mod ask;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use ids::{OrderId, RefundId};
use uuid::Uuid;

use crate::platform::Layout;

/// What to do about payments.
#[derive(Debug, Args)]
pub struct PaymentArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the payments and refunds that the provider refuses, or never answers, until somebody decides.
    Parked,
    /// Look at what is parked of an order at once, after the provider was mended.
    Retry {
        /// The order.
        order: OrderId,
        #[command(flatten)]
        by: Decision,
    },
    /// Say what came in of a parked payment, after a look at the provider's books.
    Settle {
        /// The order.
        order: OrderId,
        /// What came in, in minor units; only for a capture. 0: nothing did, and nothing is held any more.
        #[arg(long, value_name = "MINOR", value_parser = clap::value_parser!(i64).range(0..))]
        captured_minor: i64,
        #[command(flatten)]
        by: Decision,
    },
    /// Say what became of a parked refund.
    SettleRefund {
        /// The refund.
        refund: RefundId,
        /// The provider's id of it, when it was paid; without, it was not paid through the provider and will not be.
        #[arg(long, value_name = "ID")]
        paid_as: Option<String>,
        #[command(flatten)]
        by: Decision,
    },
    /// List what the provider's books and ours do not agree on.
    Differences,
    /// Accept a difference as it is, such as a short capture. It is listed again if it changes.
    SettleDifference {
        /// The difference.
        difference: Uuid,
        #[command(flatten)]
        by: Decision,
    },
}

/// Who decides, and why.
#[derive(Debug, Args)]
struct Decision {
    /// Why; kept for good beside who and when.
    #[arg(long)]
    reason: String,
    /// Who decides.
    #[arg(long, env = "USER")]
    operator: String,
    /// Names this decision: repeating the command under the same key changes nothing more [default: a new one]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// Does what was asked.
///
/// # Errors
/// No region has it, the payment refuses, or a region does not answer.
pub async fn run(layout: &Layout, asked: PaymentArgs, print: &(dyn Fn(&str) + Sync)) -> Result<ExitCode> {
    let regions = ask::all(layout)?;
    let shown = match asked.command {
        Command::Parked => table::parked(regions).await?,
        Command::Differences => table::differences(regions).await?,
        Command::Retry { order, by } => ask::change(regions, &ask::Change::Retry(order), &by).await?,
        Command::Settle { order, captured_minor, by } => {
            ask::change(regions, &ask::Change::Settle(order, captured_minor), &by).await?
        }
        Command::SettleRefund { refund, paid_as, by } => {
            ask::change(regions, &ask::Change::SettleRefund(refund, paid_as.unwrap_or_default()), &by).await?
        }
        Command::SettleDifference { difference, by } => {
            ask::change(regions, &ask::Change::SettleDifference(difference), &by).await?
        }
    };
    print(&shown);
    Ok(ExitCode::SUCCESS)
}
