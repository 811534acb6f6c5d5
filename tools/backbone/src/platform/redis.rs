//! A region's Redis.

use ids::Region;

use super::layout::Layout;
use super::part::{Kind, Part, PartName, Probe, StopSignal, Wave, Zone};
use super::template::fill;

const TEMPLATE: &str = include_str!("../../../../deploy/local/redis.conf");

/// The region's Redis.
pub fn part(layout: &Layout, region: Region) -> Part {
    let name = PartName::new(Zone::Region(region), "redis");
    let address = layout.redis(region);
    let data = layout.data(&name);
    Part {
        kind: Kind::Redis,
        wave: Wave::Servers,
        program: "redis-server".into(),
        arguments: vec![layout.conf(&name).into()],
        environment: Vec::new(),
        configuration: Some(fill(
            TEMPLATE,
            &[("address", &address.ip().to_string()), ("data", &data.display().to_string())],
        )),
        listens: vec![address],
        probe: Probe::Redis(address),
        stop_signal: StopSignal::Terminate,
        name,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::platform::Settings;

    #[test]
    fn the_configuration_is_filled_in() {
        let layout = Layout::new(Path::new("/run-dir"), Settings::default()).unwrap();
        let configuration = part(&layout, Region::East).configuration.unwrap();
        assert!(configuration.contains("bind 127.1.0.2\n") && !configuration.contains("{{"), "{configuration}");
    }
}
