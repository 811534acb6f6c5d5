//! Edits of a line: add, set quantity, remove. They differ in what they ask and answer; reading, deciding, storing, and answering
//! a repeat with the stored reply is one path.

use chassis::status::Fields;
use contracts::cart::v1::{
    AddLineRequest, AddLineResponse, CartLine, RemoveLineRequest, RemoveLineResponse, SetLineQuantityRequest,
    SetLineQuantityResponse,
};
use ids::{CartId, CustomerId, IdempotencyKey};
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
        let mut fields = Fields::default();
        let quantity = fields.check("quantity", Quantity::try_from(request.quantity));
        let AddLineRequest { cart_id, owner_id, idempotency_key, offer_id, .. } = request;
        let edit = checked(fields, &cart_id, &owner_id, &idempotency_key, &offer_id, quantity.map(Ask::Add))?;
        self.edit(edit, |Reply { line, version }| AddLineResponse { line, version }).await
    }

    pub(super) async fn set(&self, request: SetLineQuantityRequest) -> Result<SetLineQuantityResponse, Status> {
        let mut fields = Fields::default();
        let quantity = fields.check("quantity", Quantity::try_from(request.quantity));
        let SetLineQuantityRequest { cart_id, owner_id, idempotency_key, offer_id, .. } = request;
        let edit = checked(fields, &cart_id, &owner_id, &idempotency_key, &offer_id, quantity.map(Ask::Set))?;
        self.edit(edit, |Reply { line, version }| SetLineQuantityResponse { line, version }).await
    }

    pub(super) async fn remove(&self, request: RemoveLineRequest) -> Result<RemoveLineResponse, Status> {
        let RemoveLineRequest { cart_id, owner_id, idempotency_key, offer_id, currency_code } = request;
        let mut fields = Fields::default();
        let currency = if currency_code.is_empty() {
            Some(None)
        } else {
            fields.check("currency_code", currency_code.parse::<Currency>()).map(Some)
        };
        let ask = currency.map(Ask::Remove);
        let edit = checked(fields, &cart_id, &owner_id, &idempotency_key, &offer_id, ask)?;
        self.edit(edit, |Reply { version, .. }| RemoveLineResponse { version }).await
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

fn checked(
    mut fields: Fields,
    cart_id: &str,
    owner_id: &str,
    key: &str,
    offer_id: &str,
    ask: Option<Ask>,
) -> Result<EditRequest, Status> {
    let cart_id = fields.parse("cart_id", cart_id);
    let owner_id = fields.parse("owner_id", owner_id);
    let key = fields.parse("idempotency_key", key);
    let offer_id = fields.parse("offer_id", offer_id);
    match (cart_id, owner_id, key, offer_id, ask) {
        (Some(cart_id), Some(owner_id), Some(key), Some(offer_id), Some(ask)) => {
            Ok(EditRequest { cart_id, owner_id, key, item: Item(offer_id), ask })
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
