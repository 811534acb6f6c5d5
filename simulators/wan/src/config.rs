//! Configuration: flags for the process, plain values for a test that starts the link in-process.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::direction::{Directed, Direction};
use crate::properties::Properties;

/// What the link needs to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is connected with what.
    pub routes: Vec<Route>,
    /// What the link is like at first, and again after a reset.
    pub initial: Directed<Properties>,
    /// Seed of all dice, so that a drill can be repeated.
    pub seed: u64,
}

/// A way across: who dials `listen` reaches `to`, in the other region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// In logs.
    pub name: String,
    /// Which way the dialler's bytes go.
    pub direction: Direction,
    /// Where the link stands in for the far end.
    pub listen: SocketAddr,
    /// The far end.
    pub to: SocketAddr,
}

/// The text is not a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a route is name,east-west|west-east,listen-address,target-address")]
pub struct InvalidRoute;

impl FromStr for Route {
    type Err = InvalidRoute;

    fn from_str(text: &str) -> Result<Self, InvalidRoute> {
        let fields: Vec<&str> = text.split(',').collect();
        let [name, direction, listen, to] = fields.as_slice() else { return Err(InvalidRoute) };
        if name.is_empty() {
            return Err(InvalidRoute);
        }
        Ok(Self {
            name: (*name).to_owned(),
            direction: direction.parse().map_err(|_| InvalidRoute)?,
            listen: listen.parse().map_err(|_| InvalidRoute)?,
            to: to.parse().map_err(|_| InvalidRoute)?,
        })
    }
}

/// As the command line takes it.
impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, direction, listen, to } = self;
        write!(f, "{name},{},{listen},{to}", direction.name())
    }
}

/// The command line of the `wan` process.
#[derive(Debug, clap::Parser)]
#[command(name = "wan", about = "The link between the regions: slow, lossy, narrow or cut, on command", version)]
pub struct Arguments {
    /// Address of the control panel (HTTP).
    #[arg(long, env, default_value = "127.3.0.30:8080")]
    pub listen: SocketAddr,
    /// name,east-west|west-east,listen-address,target-address; give it once per route. The direction is the dialler's.
    #[arg(long = "route", required = true)]
    routes: Vec<Route>,
    /// Round trip at first, in milliseconds; each direction takes half of it.
    #[arg(long, env, default_value_t = 80, value_parser = clap::value_parser!(u64).range(..=20_000))]
    round_trip_ms: u64,
    /// Seed of the dice of jitter, loss and reordering.
    #[arg(long, env, default_value_t = 1)]
    seed: u64,
    /// Log filter.
    #[arg(long, env, default_value = "info")]
    pub log: String,
}

impl Arguments {
    /// The configuration they ask for.
    pub fn config(&self) -> Config {
        let delay = Duration::from_millis(self.round_trip_ms) / 2;
        let initial = Directed::from_fn(|_| Properties { delay, ..Properties::default() });
        Config { routes: self.routes.clone(), initial, seed: self.seed }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn a_route_has_four_fields_and_reads_as_it_is_written() {
        let text = "cart,west-east,127.3.0.111:50051,127.1.0.11:50051";
        let route: Route = text.parse().unwrap();
        assert_eq!((route.direction, route.to_string().as_str()), (Direction::WestEast, text));
        for refused in
            ["", "a,b", ",east-west,127.0.0.1:1,127.0.0.1:2", "a,east,127.0.0.1:1,127.0.0.1:2", "a,east-west,x,y"]
        {
            assert_eq!(refused.parse::<Route>(), Err(InvalidRoute), "{refused:?}");
        }
    }

    #[test]
    fn each_direction_takes_half_of_the_round_trip() {
        let arguments = ["wan", "--route", "a,east-west,127.0.0.1:1,127.0.0.1:2", "--round-trip-ms", "25"];
        let config = Arguments::try_parse_from(arguments).unwrap().config();
        assert_eq!(config.initial.east_west.delay, Duration::from_micros(12_500));
        assert!(Arguments::try_parse_from(["wan"]).is_err(), "a link without a route links nothing");
    }
}
