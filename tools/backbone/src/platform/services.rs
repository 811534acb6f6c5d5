//! Our own processes: the five services of each region and the stand-in for the payment provider. One table says who they
//! are, where they listen and whom they call.

use std::ffi::OsString;
use std::net::SocketAddrV4;

use ids::Region;

use super::error::PlatformError;
use super::layout::Layout;
use super::part::{Kind, Part, PartName, Probe, StopSignal, Wave, Zone};
use super::secrets;

/// Port of gRPC on each service's own address.
const GRPC: u16 = 50051;
/// Port of HTTP: the front door, payment's webhooks.
const HTTP: u16 = 8080;
/// Port of `/healthz`, `/readyz`, `/metrics`.
const ADMIN: u16 = 8081;

/// A service of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Carts.
    Cart,
    /// Stock and the catalogue.
    Inventory,
    /// Payments and the ledger.
    Payment,
    /// Orders.
    Order,
    /// The front door.
    Bff,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 5] = [Self::Inventory, Self::Payment, Self::Cart, Self::Order, Self::Bff];

    /// Name of the part, the binary, the database and the role.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cart => "cart",
            Self::Inventory => "inventory",
            Self::Payment => "payment",
            Self::Order => "order",
            Self::Bff => "bff",
        }
    }

    /// Whether it owns a database, and so has migrations.
    pub const fn has_database(self) -> bool {
        !matches!(self, Self::Bff)
    }

    /// Its last address number, after the region's prefix.
    const fn host(self) -> u8 {
        match self {
            Self::Cart => 11,
            Self::Inventory => 12,
            Self::Payment => 13,
            Self::Order => 14,
            Self::Bff => 15,
        }
    }

    const fn wave(self) -> Wave {
        match self {
            Self::Inventory | Self::Payment => Wave::Leaves,
            Self::Cart => Wave::Carts,
            Self::Order => Wave::Orders,
            Self::Bff => Wave::Doors,
        }
    }

    /// Where its contract is served: gRPC, or HTTP for the front door.
    pub const fn listen(self, layout: &Layout, region: Region) -> SocketAddrV4 {
        let port = if self.has_database() { GRPC } else { HTTP };
        layout.address(region, self.host(), port)
    }

    /// Where its health and metrics are.
    pub const fn admin(self, layout: &Layout, region: Region) -> SocketAddrV4 {
        layout.address(region, self.host(), ADMIN)
    }
}

/// Flags of a command line, in order.
struct Flags(Vec<OsString>);

impl Flags {
    fn set(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.extend([format!("--{name}").into(), value.into()]);
        self
    }

    fn url(&mut self, name: &str, address: SocketAddrV4) -> &mut Self {
        self.set(name, format!("http://{address}"))
    }
}

/// The command line of a service: where it listens, and whom it calls. Never an address of the other region: those are behind the
/// link.
pub fn arguments(layout: &Layout, region: Region, service: Service) -> Vec<OsString> {
    let (listen, admin) = (service.listen(layout, region), service.admin(layout, region));
    let at = |other: Service| other.listen(layout, region);
    let mut flags = Flags(vec!["serve".into()]);
    flags.set("region", region.name()).set("listen", listen.to_string()).set("admin-listen", admin.to_string());
    if service.has_database() {
        flags.set("kafka-brokers", layout.kafka_bootstrap(region));
        flags.set("peer-kafka-brokers", layout.wan_kafka_bootstrap(region.peer()));
    }
    match service {
        Service::Cart => {
            flags.url("catalog-url", at(Service::Inventory)).url("order-url", at(Service::Order));
            flags.url("peer-cart-url", layout.wan_service(region.peer(), Service::Cart));
            flags.set("redis-url", format!("redis://{}", layout.redis(region)));
        }
        Service::Inventory => {
            flags.url("peer-inventory-url", layout.wan_service(region.peer(), Service::Inventory));
            flags.url("order-url", at(Service::Order));
        }
        Service::Payment => {
            flags.url("psp-url", layout.psp()).set("webhook-listen", webhook_listen(layout, region).to_string());
            flags.set("psp-api-key-file", layout.secret(&secrets::psp_api_key(region)));
            flags.set("webhook-secret-file", layout.secret(&secrets::psp_webhook_secret(region)));
        }
        Service::Order => {
            flags.url("cart-url", at(Service::Cart)).url("inventory-url", at(Service::Inventory));
            flags.url("payment-url", at(Service::Payment));
            flags.url("peer-order-url", layout.wan_service(region.peer(), Service::Order));
        }
        Service::Bff => {
            flags.url("cart-url", at(Service::Cart)).url("catalog-url", at(Service::Inventory));
            flags.url("order-url", at(Service::Order));
            flags.set("redis-url", format!("redis://{}", layout.redis(region)));
            flags.set("session-key-file", layout.secret("session.key"));
        }
    }
    flags.0
}

/// A service of a region.
///
/// # Errors
/// Its secrets were not made yet.
pub fn part(layout: &Layout, region: Region, service: Service) -> Result<Part, PlatformError> {
    let (listen, admin) = (service.listen(layout, region), service.admin(layout, region));
    let mut listens = vec![listen, admin];
    if service == Service::Payment {
        listens.push(webhook_listen(layout, region));
    }
    let ready_url = format!("http://{admin}/readyz");
    Ok(Part {
        name: PartName::new(Zone::Region(region), service.name()),
        kind: Kind::Service,
        wave: service.wave(),
        program: layout.bin_dir.join(service.name()),
        arguments: arguments(layout, region, service),
        environment: environment(layout, region, service)?,
        configuration: None,
        listens,
        probe: if service.has_database() { Probe::Grpc { ready_url, address: listen } } else { Probe::Http(ready_url) },
        stop_signal: StopSignal::Terminate,
    })
}

/// The database's URL holds its password, so it goes by the environment, which only the account itself can read.
///
/// # Errors
/// The secrets were not made yet.
pub fn environment(
    layout: &Layout,
    region: Region,
    service: Service,
) -> Result<Vec<(&'static str, String)>, PlatformError> {
    if service.has_database() {
        Ok(vec![("DATABASE_URL", secrets::database_url(layout, region, service.name())?)])
    } else {
        Ok(Vec::new())
    }
}

const fn webhook_listen(layout: &Layout, region: Region) -> SocketAddrV4 {
    layout.address(region, Service::Payment.host(), HTTP)
}

/// The payment provider: an outside party with an account for each region.
pub fn psp(layout: &Layout) -> Part {
    let listen = layout.psp();
    let mut flags = Flags(Vec::new());
    flags.set("listen", listen.to_string()).set("ledger-file", layout.psp_ledger());
    for region in Region::ALL {
        let api_key = layout.secret(&secrets::psp_api_key(region));
        let webhook_secret = layout.secret(&secrets::psp_webhook_secret(region));
        let webhook_url = format!("http://{}/webhooks/psp", webhook_listen(layout, region));
        let account = format!("{},{},{webhook_url},{}", region.name(), api_key.display(), webhook_secret.display());
        flags.set("account", account);
    }
    Part {
        name: PartName::new(Zone::Outside, "psp"),
        kind: Kind::Psp,
        wave: Wave::Servers,
        program: layout.bin_dir.join("psp"),
        arguments: flags.0,
        environment: Vec::new(),
        configuration: None,
        listens: vec![listen],
        probe: Probe::Http(format!("http://{listen}/healthz")),
        stop_signal: StopSignal::Terminate,
    }
}
