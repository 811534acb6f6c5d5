//! The contracts between services: messages, gRPC clients and servers generated from `proto/`.
//!
//! Services meet only here and in events. A module per package and version; [`DESCRIPTORS`] is the whole set for gRPC
//! reflection. Wire types stop at a service's edge, where `TryFrom` turns them into domain types.
#![allow(missing_docs, clippy::all, reason = "generated code; the docs stand in proto/")]

/// The encoded `FileDescriptorSet` of every contract.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

macro_rules! packages {
    ($($package:ident: $path:literal),* $(,)?) => {$(
        pub mod $package {
            pub mod v1 {
                tonic::include_proto!($path);
            }
        }
    )*};
}

packages! {
    cart: "cart.v1",
    catalog: "catalog.v1",
    inventory: "inventory.v1",
    money: "money.v1",
    order: "order.v1",
    payment: "payment.v1",
}
