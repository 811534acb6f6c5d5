//! Edits of the delivery address. Rare beside those of lines, so nothing of them is remembered: each reads, and then writes once.

use chassis::status::Fields;
use contracts::cart::v1::{
    ClearDeliveryAddressRequest, ClearDeliveryAddressResponse, DeliveryAddress, SetDeliveryAddressRequest,
    SetDeliveryAddressResponse,
};
use ids::{CartId, CustomerId, IdempotencyKey};
use prost::Message;
use tonic::Status;

use super::digest::digest;
use super::edit::repeated;
use super::{CartGrpc, error};
use crate::domain::{Address, AddressEdit, Text, Version};
use crate::store::{self, Stored, Write};

/// A checked request.
struct AddressRequest {
    cart_id: CartId,
    owner_id: CustomerId,
    key: IdempotencyKey,
    edit: AddressEdit,
}

impl CartGrpc {
    pub(super) async fn set_address(
        &self,
        request: SetDeliveryAddressRequest,
    ) -> Result<SetDeliveryAddressResponse, Status> {
        let SetDeliveryAddressRequest { cart_id, owner_id, idempotency_key, address } = request;
        let mut fields = Fields::default();
        let edit = checked_address(&mut fields, address.unwrap_or_default()).map(AddressEdit::Assign);
        let request = checked(fields, &cart_id, &owner_id, &idempotency_key, edit)?;
        self.edit_address(request, |version| SetDeliveryAddressResponse { version }).await
    }

    pub(super) async fn clear_address(
        &self,
        request: ClearDeliveryAddressRequest,
    ) -> Result<ClearDeliveryAddressResponse, Status> {
        let ClearDeliveryAddressRequest { cart_id, owner_id, idempotency_key } = request;
        let request = checked(Fields::default(), &cart_id, &owner_id, &idempotency_key, Some(AddressEdit::Clear))?;
        self.edit_address(request, |version| ClearDeliveryAddressResponse { version }).await
    }

    async fn edit_address<R: Message + Default>(
        &self,
        request: AddressRequest,
        reply: fn(String) -> R,
    ) -> Result<R, Status> {
        self.editable()?;
        let AddressRequest { cart_id, owner_id, key, edit } = request;
        let operation_key = format!("client:{key}");
        let request_digest = digest_of(&edit);
        let mut connection = self.connection().await?;
        for _ in 0..error::RACES_MAX {
            let loaded = store::load_address(&mut *connection, cart_id, &operation_key).await?;
            let loaded = loaded.filter(|loaded| loaded.owner_id == owner_id);
            let loaded = loaded.ok_or_else(|| error::cart_not_found(cart_id))?;
            if let Some(stored) = &loaded.stored {
                return repeated(stored, &request_digest);
            }
            let edited = loaded.state.edited(&edit, self.replica.id());
            let Some((edited, delta)) = edited.map_err(|error| chassis::status::internal(&error))? else {
                // Nothing changes, and a repeat must not change anything either, should an address have been assigned since.
                let reply = reply(Version(loaded.state.context).to_string());
                let stored = Stored { request_digest: request_digest.clone(), outcome: reply.encode_to_vec() };
                match store::remember(&mut *connection, cart_id, &operation_key, &stored).await? {
                    Write::Done => {
                        self.replica.log_grew();
                        return Ok(reply);
                    }
                    Write::Raced => continue,
                }
            };
            // The reply, and so what is kept of it for a repeat, has no address in it.
            let reply = reply(Version(edited.context.clone()).to_string());
            let stored = Stored { request_digest: request_digest.clone(), outcome: reply.encode_to_vec() };
            let key = &operation_key;
            let written =
                store::commit_address(&mut *connection, cart_id, loaded.revision, &edited, &delta, key, &stored)
                    .await?;
            if written == Write::Done {
                self.replica.log_grew();
                self.reader.changed(cart_id).await;
                // The revision has moved on; the next edit of a line reads at once what it would find out after a failed write.
                self.recent.forget(cart_id).await;
                return Ok(reply);
            }
        }
        Err(error::cart_contended())
    }
}

fn checked(
    mut fields: Fields,
    cart_id: &str,
    owner_id: &str,
    key: &str,
    edit: Option<AddressEdit>,
) -> Result<AddressRequest, Status> {
    let cart_id = fields.parse("cart_id", cart_id);
    let owner_id = fields.parse("owner_id", owner_id);
    let key = fields.name("idempotency_key", key);
    match (cart_id, owner_id, key, edit) {
        (Some(cart_id), Some(owner_id), Some(key), Some(edit)) => Ok(AddressRequest { cart_id, owner_id, key, edit }),
        _ => Err(fields.refusal()),
    }
}

fn checked_address(fields: &mut Fields, address: DeliveryAddress) -> Option<Address> {
    let recipient = part(fields, "address.recipient", address.recipient);
    let street = part(fields, "address.street", address.street);
    let city = part(fields, "address.city", address.city);
    let postal_code = part(fields, "address.postal_code", address.postal_code);
    let country = part(fields, "address.country", address.country);
    Some(Address { recipient: recipient?, street: street?, city: city?, postal_code: postal_code?, country: country? })
}

/// A part as it comes in now. [`Text`] alone bounds what is stored and replicated: a rule that came later must not make it unreadable.
fn part<const MIN: usize, const MAX: usize>(fields: &mut Fields, field: &str, text: String) -> Option<Text<MIN, MAX>> {
    let text = fields.text(field, text, MIN, MAX)?;
    fields.check(field, text.try_into())
}

fn digest_of(edit: &AddressEdit) -> Vec<u8> {
    match edit {
        AddressEdit::Assign(address) => digest(&[
            "set address",
            address.recipient.reveal(),
            address.street.reveal(),
            address.city.reveal(),
            address.postal_code.reveal(),
            address.country.reveal(),
        ]),
        AddressEdit::Clear => digest(&["clear address"]),
    }
}
