//! `backbone wan`: the link between the regions, from the command line. The link itself is the process `outside/wan`
//! (`simulators/wan`), which says what each property means.

mod panel;
mod quantity;
mod show;

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use wan::Direction;
use wan::wire::{Change, Changes};

use crate::platform::Layout;
use quantity::{Bandwidth, Probability};

pub use panel::Panel;
pub use quantity::parse_delay;

/// What to do with the link.
#[derive(Debug, Args)]
pub struct WanArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what the link is like and what it has carried.
    Show,
    /// Let nothing pass. Bytes are held, new connections hang, nothing is refused.
    Cut {
        /// Which way. After a cut of one direction the other stops too, when its senders miss their acknowledgements.
        #[arg(default_value = "both")]
        ways: Ways,
        /// Heal it after this long, such as 30s or 5m [default: on command]
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        heal_after: Option<Duration>,
    },
    /// Let everything pass again. Each connection goes on where it was, at its next retransmission.
    Heal {
        /// Which way.
        #[arg(default_value = "both")]
        ways: Ways,
    },
    /// Set the round trip, such as 80ms; each direction takes half.
    Delay {
        /// The round trip, up to 20s.
        #[arg(value_parser = parse_delay)]
        round_trip: Duration,
        /// Up to this much more each way, evenly spread [default: as it is]
        #[arg(long, value_parser = parse_delay)]
        jitter: Option<Duration>,
        #[command(flatten)]
        only: Only,
    },
    /// Lose segments, such as 1%: each is a pause of its connection until it is sent again.
    Loss {
        /// Share of all segments, up to 50%; 0 for none.
        share: Probability,
        #[command(flatten)]
        only: Only,
    },
    /// Send segments by a detour of half the delay, such as 5%: other connections overtake them.
    Reorder {
        /// Share of all segments, up to 50%; 0 for none.
        share: Probability,
        #[command(flatten)]
        only: Only,
    },
    /// Narrow the link, such as 10mbit; all connections share it.
    Bandwidth {
        /// Bits per second with kbit, mbit or gbit, from 64kbit; or unlimited.
        rate: Bandwidth,
        #[command(flatten)]
        only: Only,
    },
    /// Make it the good line again that it was at first.
    Reset,
}

#[derive(Debug, Args)]
struct Only {
    /// Change one direction only.
    #[arg(long, default_value = "both", value_name = "WAYS")]
    only: Ways,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ways {
    EastWest,
    WestEast,
    Both,
}

impl Ways {
    const fn directions(self) -> &'static [Direction] {
        match self {
            Self::EastWest => &[Direction::EastWest],
            Self::WestEast => &[Direction::WestEast],
            Self::Both => &Direction::ALL,
        }
    }
}

/// Does what was asked, and returns what to show.
///
/// # Errors
/// The link does not run, or refuses.
pub async fn run(layout: &Layout, asked: &WanArgs) -> Result<String> {
    let panel = Panel::of(layout)?;
    let view = match changes(&asked.command) {
        Some(changes) => panel.change(&changes).await?,
        None if matches!(asked.command, Command::Reset) => panel.reset().await?,
        None => panel.show().await?,
    };
    let summary = show::summary(&view);
    Ok(match asked.command {
        Command::Show => format!("{summary}\n\n{}", show::table(&view)),
        _ => summary,
    })
}

/// The line under the table of `backbone status`; `None` when the link does not answer, which the table says already.
pub async fn summary(layout: &Layout) -> Option<String> {
    let view = Panel::of(layout).ok()?.show().await.ok()?;
    Some(show::summary(&view))
}

/// Sets the round trip, as `backbone wan delay` does.
///
/// # Errors
/// The link does not run, or refuses.
pub async fn set_round_trip(layout: &Layout, round_trip: Duration) -> Result<()> {
    let changes = Changes::of(&Direction::ALL, delay(round_trip, None));
    Panel::of(layout)?.change(&changes).await.map(|_| ())
}

fn delay(round_trip: Duration, jitter: Option<Duration>) -> Change {
    Change { delay_us: Some(micros(round_trip / 2)), jitter_us: jitter.map(micros), ..Change::default() }
}

/// Saturates far above what the link accepts.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What a command changes; `None` when nothing, or everything.
fn changes(command: &Command) -> Option<Changes> {
    let (ways, change) = match command {
        Command::Show | Command::Reset => return None,
        Command::Cut { ways, heal_after } => {
            let heal_after_ms = heal_after.map(|after| micros(after) / 1_000);
            (*ways, Change { cut: Some(true), heal_after_ms, ..Change::default() })
        }
        Command::Heal { ways } => (*ways, Change { cut: Some(false), ..Change::default() }),
        Command::Delay { round_trip, jitter, only } => (only.only, delay(*round_trip, *jitter)),
        Command::Loss { share, only } => (only.only, Change { loss: Some(share.0), ..Change::default() }),
        Command::Reorder { share, only } => (only.only, Change { reorder: Some(share.0), ..Change::default() }),
        Command::Bandwidth { rate, only } => {
            (only.only, Change { bandwidth_bits_per_s: Some(rate.0), ..Change::default() })
        }
    };
    Some(Changes::of(ways.directions(), change))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        wan: WanArgs,
    }

    fn asks(line: &str) -> Changes {
        changes(&Line::try_parse_from(line.split(' ')).unwrap().wan.command).unwrap()
    }

    #[test]
    fn each_command_changes_what_it_says_and_nothing_else() {
        let nothing = Change::default();
        let cut = Change { cut: Some(true), ..nothing };
        assert_eq!(asks("wan cut"), Changes { east_west: cut, west_east: cut });
        let cut = Change { heal_after_ms: Some(90_000), ..cut };
        assert_eq!(asks("wan cut west-east --for 1m30s"), Changes { east_west: nothing, west_east: cut });
        let slow = Change { delay_us: Some(12_500), jitter_us: Some(5_000), ..nothing };
        assert_eq!(asks("wan delay 25ms --jitter 5ms"), Changes { east_west: slow, west_east: slow });
        let lossy = Change { loss: Some(0.01), ..nothing };
        assert_eq!(asks("wan loss 1% --only east-west"), Changes { east_west: lossy, west_east: nothing });
        for refused in ["wan", "wan cut north", "wan delay 80", "wan loss 60%", "wan bandwidth 1bit"] {
            assert!(Line::try_parse_from(refused.split(' ')).is_err(), "{refused}");
        }
    }
}
