//! Edits of a line: add, set quantity, remove. They differ in what they ask and answer; reading, deciding, storing, and answering
//! a repeat with the stored reply is one path.

use chassis::status::Fields;
use contracts::cart::v1::{
    AddLineRequest, AddLineResponse, CartLine, RemoveLineRequest, RemoveLineResponse, SetLineQuantityRequest,
    SetLineQuantityResponse,
};
use ids::{CartId, CustomerId, IdempotencyKey, OfferId};
use money::Currency;
use prost::Message;
use sqlx::{PgConnection, PgExecutor};
use tonic::Status;

use super::digest::digest;
use super::{CartGrpc, error, wire};
use crate::domain::{Edit, EditedLine, Item, Quantity, Version, decide};
use crate::store::{self, LoadedLine, Stored, Write};

/// Which edit is asked for; one that adds units needs the catalogue before it can be decided.
#[derive(Clone, Copy)]
enum Ask {
    Add(Quantity),
    Set(Quantity),
    /// In one currency, or in all.
    Remove(Option<Currency>),
}

/// A checked request.
struct EditRequest {
    cart_id: CartId,
    owner_id: CustomerId,
    key: IdempotencyKey,
    item: Item,
    ask: Ask,
}

/// An edit and everything that stays the same over its tries.
struct Asked<R> {
    request: EditRequest,
    operation_key: String,
    digest: Vec<u8>,
    reply: fn(Reply) -> R,
}

/// What the shopper sees after an edit.
struct Reply {
    line: Option<CartLine>,
    version: String,
}

impl CartGrpc {
    pub(super) async fn add(&self, request: AddLineRequest) -> Result<AddLineResponse, Status> {
        self.edit(added(&request)?, |Reply { line, version }| AddLineResponse { line, version }).await
    }

    pub(super) async fn set(&self, request: SetLineQuantityRequest) -> Result<SetLineQuantityResponse, Status> {
        self.edit(set(&request)?, |Reply { line, version }| SetLineQuantityResponse { line, version }).await
    }

    pub(super) async fn remove(&self, request: RemoveLineRequest) -> Result<RemoveLineResponse, Status> {
        self.edit(removed(&request)?, |Reply { version, .. }| RemoveLineResponse { version }).await
    }

    async fn edit<R: Message + Default>(&self, request: EditRequest, reply: fn(Reply) -> R) -> Result<R, Status> {
        self.editable()?;
        let asked =
            Asked { operation_key: format!("client:{}", request.key), digest: request.digest(), request, reply };
        if let Some(reply) = self.edit_remembered(&asked).await? {
            return Ok(reply);
        }
        // One connection for both statements: the pool checks a connection at each return, which costs a round trip.
        let mut connection = self.connection().await?;
        let request = &asked.request;
        for _ in 0..error::RACES_MAX {
            let key = &asked.operation_key;
            let loaded = store::load_line(&mut *connection, request.cart_id, &request.item, key).await?;
            let loaded = loaded.filter(|loaded| loaded.owner_id == request.owner_id);
            let loaded = loaded.ok_or_else(|| error::cart_not_found(request.cart_id))?;
            if let Some(stored) = &loaded.stored {
                return repeated(stored, &asked.digest);
            }
            let edit = self.edit_of(request, &loaded).await?;
            let edited = match decide(&loaded.state, &request.item, &edit, self.replica.id()) {
                Ok(Some(edited)) => edited,
                // Nothing changes. The answer is kept all the same: a repeat of the request must do no more than the request did, however
                // the cart has changed since.
                Ok(None) => {
                    let reply = reply(Reply { line: None, version: Version(loaded.state.context).to_string() });
                    match self.remember(&mut connection, &asked, reply.encode_to_vec()).await? {
                        Write::Done => return Ok(reply),
                        Write::Raced => continue,
                    }
                }
                Err(rejection) => {
                    if let Some(outcome) = wire::refused_outcome(rejection)
                        && self.remember(&mut connection, &asked, outcome).await? == Write::Raced
                    {
                        continue;
                    }
                    return Err(rejection.into());
                }
            };
            if let Some(reply) = self.commit(&mut *connection, &asked, &loaded, &edited).await? {
                return Ok(reply);
            }
        }
        Err(error::cart_contended())
    }

    /// Keeps the outcome of a request that changed nothing.
    async fn remember<R>(
        &self,
        connection: &mut PgConnection,
        asked: &Asked<R>,
        outcome: Vec<u8>,
    ) -> Result<Write, Status> {
        let stored = Stored { request_digest: asked.digest.clone(), outcome };
        let written = store::remember(connection, asked.request.cart_id, &asked.operation_key, &stored).await?;
        if written == Write::Done {
            self.replica.log_grew();
        }
        Ok(written)
    }

    /// Tries the edit on what this process remembers of the cart: one statement. `None` when it must be decided on a fresh read:
    /// nothing is remembered, it is out of date, or it would refuse, which only the truth may do.
    async fn edit_remembered<R: Message>(&self, asked: &Asked<R>) -> Result<Option<R>, Status> {
        let request = &asked.request;
        let Some(loaded) = self.recent.line(request.cart_id, &request.item).await else { return Ok(None) };
        if loaded.owner_id != request.owner_id {
            return Ok(None);
        }
        let Ok(edit) = self.edit_of(request, &loaded).await else { return Ok(None) };
        let Ok(Some(edited)) = decide(&loaded.state, &request.item, &edit, self.replica.id()) else { return Ok(None) };
        self.commit(&self.pool, asked, &loaded, &edited).await
    }

    /// Writes a decided edit; `None` when the cart was no longer what it was decided on.
    async fn commit<R: Message>(
        &self,
        database: impl PgExecutor<'_>,
        asked: &Asked<R>,
        loaded: &LoadedLine,
        edited: &EditedLine,
    ) -> Result<Option<R>, Status> {
        let EditRequest { cart_id, item, .. } = &asked.request;
        let reply = (asked.reply)(Reply::of(edited));
        let stored = Stored { request_digest: asked.digest.clone(), outcome: reply.encode_to_vec() };
        let written =
            store::commit_edit(database, *cart_id, loaded, item, edited, &asked.operation_key, &stored).await?;
        match written {
            Write::Done => {
                self.replica.log_grew();
                self.reader.changed(*cart_id).await;
                self.recent.edited(*cart_id, item, loaded, edited).await;
                Ok(Some(reply))
            }
            Write::Raced => {
                self.recent.forget(*cart_id).await;
                Ok(None)
            }
        }
    }

    /// A unit has the price of the moment when it is added, so the catalogue is asked whenever units are.
    async fn edit_of(&self, request: &EditRequest, loaded: &LoadedLine) -> Result<Edit, Status> {
        Ok(match request.ask {
            Ask::Add(quantity) => Edit::Add(quantity, self.catalog.snapshot(&request.item.0).await?),
            Ask::Set(quantity) if loaded.state.lacks(&request.item, quantity) => {
                Edit::Set(quantity, Some(self.catalog.snapshot(&request.item.0).await?))
            }
            Ask::Set(quantity) => Edit::Set(quantity, None),
            Ask::Remove(currency) => Edit::Remove(currency),
        })
    }
}

fn added(request: &AddLineRequest) -> Result<EditRequest, Status> {
    let AddLineRequest { cart_id, owner_id, idempotency_key, offer_id, quantity } = request;
    of_units((cart_id, owner_id, idempotency_key), offer_id, *quantity, Ask::Add)
}

fn set(request: &SetLineQuantityRequest) -> Result<EditRequest, Status> {
    let SetLineQuantityRequest { cart_id, owner_id, idempotency_key, offer_id, quantity } = request;
    of_units((cart_id, owner_id, idempotency_key), offer_id, *quantity, Ask::Set)
}

/// Either may add units, so the offer is one that can be bought.
fn of_units(
    whose: (&str, &str, &str),
    offer_id: &str,
    quantity: i64,
    ask: fn(Quantity) -> Ask,
) -> Result<EditRequest, Status> {
    let mut fields = Fields::default();
    let ask = fields.check("quantity", Quantity::try_from(quantity)).map(ask);
    let offer = fields.name("offer_id", offer_id);
    checked(fields, whose, offer, ask)
}

/// What is in the cart can be taken out of it, however it was named before today's rules.
fn removed(request: &RemoveLineRequest) -> Result<EditRequest, Status> {
    let RemoveLineRequest { cart_id, owner_id, idempotency_key, offer_id, currency_code } = request;
    let mut fields = Fields::default();
    let currency = if currency_code.is_empty() {
        Some(None)
    } else {
        fields.check("currency_code", currency_code.parse::<Currency>()).map(Some)
    };
    let offer = fields.parse("offer_id", offer_id);
    checked(fields, (cart_id, owner_id, idempotency_key), offer, currency.map(Ask::Remove))
}

/// `whose`: the cart, its owner and the request's key, as they came.
fn checked(
    mut fields: Fields,
    whose: (&str, &str, &str),
    offer: Option<OfferId>,
    ask: Option<Ask>,
) -> Result<EditRequest, Status> {
    let cart_id = fields.parse("cart_id", whose.0);
    let owner_id = fields.parse("owner_id", whose.1);
    let key = fields.name("idempotency_key", whose.2);
    match (cart_id, owner_id, key, offer, ask) {
        (Some(cart_id), Some(owner_id), Some(key), Some(offer), Some(ask)) => {
            Ok(EditRequest { cart_id, owner_id, key, item: Item(offer), ask })
        }
        _ => Err(fields.refusal()),
    }
}

/// The stored reply, if this is the same request.
pub(super) fn repeated<R: Message + Default>(stored: &Stored, request_digest: &[u8]) -> Result<R, Status> {
    if stored.request_digest != request_digest {
        return Err(error::key_reused());
    }
    wire::stored_reply(&stored.outcome)
}

impl EditRequest {
    fn digest(&self) -> Vec<u8> {
        let (kind, units) = match self.ask {
            Ask::Add(quantity) => ("add", quantity.units()),
            Ask::Set(quantity) => ("set", quantity.units()),
            Ask::Remove(Some(currency)) => return digest(&["remove", self.item.0.as_str(), "0", currency.code()]),
            Ask::Remove(None) => ("remove", 0),
        };
        digest(&[kind, self.item.0.as_str(), &units.to_string()])
    }
}

impl Reply {
    fn of(edited: &EditedLine) -> Self {
        Self { line: edited.visible.as_ref().map(wire::line), version: Version(edited.context.clone()).to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose() -> [String; 3] {
        [CartId::generate().to_string(), CustomerId::generate().to_string(), "k".to_owned()]
    }

    #[test]
    fn a_line_of_an_offer_of_before_the_rules_can_be_removed_and_nothing_else() {
        for (old, is_removed) in [("..", true), ("4242424242424242", true), ("4242 4242 4242 4242", false)] {
            let ([cart_id, owner_id, idempotency_key], offer_id) = (whose(), old.to_owned());
            let remove = RemoveLineRequest { cart_id, owner_id, idempotency_key, offer_id, ..Default::default() };
            assert_eq!(removed(&remove).ok().map(|edit| edit.item.0.to_string()), is_removed.then(|| old.to_owned()));
            let ([cart_id, owner_id, idempotency_key], offer_id) = (whose(), old.to_owned());
            let add = AddLineRequest { cart_id, owner_id, idempotency_key, offer_id, quantity: 1 };
            assert!(added(&add).is_err(), "{old:?}");
            let ([cart_id, owner_id, idempotency_key], offer_id) = (whose(), old.to_owned());
            let set_one = SetLineQuantityRequest { cart_id, owner_id, idempotency_key, offer_id, quantity: 1 };
            assert!(set(&set_one).is_err(), "{old:?}");
        }
    }
}
