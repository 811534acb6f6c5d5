//! The link between the regions, as a part: every address that one region has for the other.

use ids::Region;
use wan::{Direction, Route};

use super::kafka;
use super::layout::Layout;
use super::part::{Kind, Part, PartName, Probe, StopSignal, Wave, Zone};
use super::services::Service;

/// Services that the other region calls.
const CALLED_ACROSS: [Service; 3] = [Service::Cart, Service::Inventory, Service::Order];

/// The link. Its routes are its only configuration: a restarted one is a good line again.
pub fn part(layout: &Layout) -> Part {
    let panel = layout.wan();
    let routes: Vec<Route> = Region::ALL.into_iter().flat_map(|region| routes_to(layout, region)).collect();
    let mut arguments = vec!["--listen".into(), panel.to_string().into()];
    for route in &routes {
        arguments.extend(["--route".into(), route.to_string().into()]);
    }
    let taken = routes.iter().filter_map(|route| match route.listen {
        std::net::SocketAddr::V4(address) => Some(address),
        std::net::SocketAddr::V6(_) => None,
    });
    Part {
        name: PartName::new(Zone::Outside, "wan"),
        kind: Kind::Wan,
        wave: Wave::Servers,
        program: layout.bin_dir.join("wan"),
        arguments,
        environment: Vec::new(),
        configuration: None,
        listens: std::iter::once(panel).chain(taken).collect(),
        probe: Probe::Http(format!("http://{panel}/healthz")),
        stop_signal: StopSignal::Terminate,
    }
}

/// How the other region reaches `region`.
fn routes_to(layout: &Layout, region: Region) -> Vec<Route> {
    let direction = match region {
        Region::East => Direction::WestEast,
        Region::West => Direction::EastWest,
    };
    let name = |what: &str| format!("{}-{what}", region.name());
    let services = CALLED_ACROSS.map(|service| Route {
        name: name(service.name()),
        direction,
        listen: layout.wan_service(region, service).into(),
        to: service.listen(layout, region).into(),
    });
    let brokers = (0..layout.settings.brokers).map(|index| Route {
        name: name(&format!("kafka-{}", index + 1)),
        direction,
        listen: layout.wan_to(region, 3 + index, 9092).into(),
        to: layout.address(region, 3 + index, kafka::WAN_PORT).into(),
    });
    services.into_iter().chain(brokers).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::*;
    use crate::platform::{Settings, services};

    fn text(arguments: &[OsString]) -> String {
        arguments.iter().map(|argument| argument.to_string_lossy() + " ").collect()
    }

    #[test]
    fn each_route_leads_from_the_links_address_to_the_other_regions() {
        let layout = Layout::new(Path::new("/nowhere"), Settings { brokers: 3, ..Settings::default() }).unwrap();
        let arguments = text(&part(&layout).arguments);
        for route in [
            "east-cart,west-east,127.3.0.111:50051,127.1.0.11:50051",
            "west-inventory,east-west,127.3.0.212:50051,127.2.0.12:50051",
            "west-kafka-3,east-west,127.3.0.205:9092,127.2.0.5:9094",
        ] {
            assert!(arguments.contains(route), "{route} in {arguments}");
        }
    }

    #[test]
    fn no_service_is_told_an_address_of_the_other_region() {
        let layout = Layout::new(Path::new("/nowhere"), Settings::default()).unwrap();
        for region in Region::ALL {
            let theirs = layout.prefix(Zone::Region(region.peer())).to_string() + ".";
            for service in Service::ALL {
                let arguments = text(&services::arguments(&layout, region, service));
                assert!(!arguments.contains(&theirs), "{region}/{}: {arguments}", service.name());
            }
        }
    }
}
