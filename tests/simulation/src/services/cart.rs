//! `services/cart`, as far as orders need it.

use std::rc::Rc;

use ::cart::domain::{Edit, Item};
use ids::OrderId;
use order::domain::Fate;
use rand::Rng;

use super::{Me, order as orders};
use crate::consumer::Consumer;
use crate::coverage::Seen;
use crate::network::call;
use crate::runtime::Sim;
use crate::sabotage::Sabotage;
use crate::spine::{Lost, Topic, statement};
use crate::stores::carts::{Asked, CheckoutState, Cut, NoCut, Shown, Unguarded, batches};
use crate::world::{RegionId, Service, World, home_of};
use crate::{MILLISECOND, SECOND};

/// `workers::placed_orders`.
pub const PLACED_ORDERS: Consumer = Consumer {
    group: "cart",
    topics: &[Topic::OrderPlaced],
    effect: |world, at, event| consume(world, at, event.order),
};

fn consume(world: &mut World, at: RegionId, order: OrderId) -> Result<(), String> {
    let carts = &mut world.regions[at].carts;
    let cart = carts.checkouts.get(&order).filter(|it| it.state == CheckoutState::Undecided).map(|it| it.cart);
    let before = cart.and_then(|cart| Some((carts.carts.get(&cart)?.clone(), carts.visible_lines(cart))));
    carts.consume(at, order)?;
    if let Some((state, shown)) = before
        && let Err((verdict, what)) = carts.check_placing(order, (&state, shown.as_slice()))
    {
        world.fail(verdict, what);
    }
    Ok(())
}

/// `GetCart`.
pub async fn read(sim: Sim, me: Me, cart: u64) -> Option<Shown> {
    sim.moment().await;
    sim.with(|world| world.regions[me.region].carts.shown(cart))
}

/// `AddItem` and `RemoveItem`. Key: the edit's.
pub async fn edit(sim: Sim, me: Me, named: (u64, u64), item: Item, change: Edit) -> Result<(), Lost> {
    statement(&sim, |world| world.edit(me.region, named, &item, &change)).await
}

impl World {
    /// An edit, and what the history of its cart keeps of it.
    pub fn edit(&mut self, at: RegionId, (key, cart): (u64, u64), item: &Item, edit: &Edit) {
        let carts = &mut self.regions[at].carts;
        let is_held = carts.is_held(cart);
        match carts.edit(at, (key, cart), item, edit) {
            Ok(taken) => {
                let history = self.histories.entry(cart).or_default();
                if let Edit::Add(units, snapshot) = edit {
                    history.added.insert((item.0.clone(), snapshot.unit_price.minor_units()), units.units());
                }
                history.removed.extend(batches(&taken).map(|(batch, _)| batch));
                if is_held {
                    self.saw(Seen::EditedWhileHeld);
                }
            }
            Err(refused) => self.fail(crate::Verdict::Illegal, format!("cart {cart}: {refused}")),
        }
    }
}

/// `BeginCheckout`. Key: the request's.
pub async fn begin_checkout(
    sim: Sim,
    me: Me,
    asked: Rc<Asked>,
    new_order: OrderId,
) -> Result<Result<Cut, NoCut>, Lost> {
    statement(&sim, |world| {
        let without =
            Unguarded { version: world.removed(Sabotage::CartVersion), held: world.removed(Sabotage::CutWhatIsHeld) };
        let cut = world.regions[me.region].carts.begin((me.region, world.now), &asked, new_order, without);
        if let Ok(cut) = &cut {
            world.touch(home_of(cut.order), cut.order);
        }
        cut
    })
    .await
}

/// `replication::ship`: in order, again and again until the other region has it.
pub async fn replicate(sim: Sim, me: Me) {
    loop {
        let pause = sim.with(|world| {
            world.rng.random_range(0..if world.healed { 200 * MILLISECOND } else { world.plan.cart_lag })
        });
        sim.sleep(100 * MILLISECOND + pause).await;
        let (entries, through) = sim.with(|world| {
            let carts = &world.regions[me.region].carts;
            (Rc::new(carts.unacknowledged()), carts.log.len())
        });
        if entries.is_empty() {
            continue;
        }
        let receive = move |sim: Sim, there: Me| {
            let entries = entries.clone();
            async move { statement(&sim, |world| world.regions[there.region].carts.join(there.region, &entries)).await }
        };
        if let Some(Ok(())) = call(&sim, (me.region, 1 - me.region), Service::Cart, SECOND, receive).await {
            sim.with(|world| {
                let carts = &mut world.regions[me.region].carts;
                carts.acknowledged = carts.acknowledged.max(through);
            });
        }
    }
}

/// `AbandonCheckout`. Key: the order.
pub async fn abandon_checkout(sim: Sim, me: Me, order: OrderId) -> Result<(), Lost> {
    statement(&sim, |world| {
        let carts = &mut world.regions[me.region].carts;
        let was_undecided = carts.checkouts.get(&order).is_some_and(|it| it.state == CheckoutState::Undecided);
        carts.abandon(me.region, order);
        world.touch(me.region, order);
        let has_row = world.regions[me.region].orders.rows.contains_key(&order);
        if was_undecided && !has_row {
            world.saw(Seen::LateCut);
        }
    })
    .await
}

/// `workers::overdue_checkouts`: the time-out is longer than an order may be undecided, so an order unknown by then never is.
pub async fn settle_overdue(sim: Sim, me: Me) {
    loop {
        sim.sleep(2 * SECOND).await;
        let overdue = sim.with(|world| {
            let before = world.now.saturating_sub(world.plan.placement_limit + 5 * SECOND);
            world.regions[me.region].carts.overdue(me.region, before)
        });
        for order in overdue {
            match orders::ask_fate(&sim, me, order).await {
                Some(None | Some(Fate::Ended)) => drop(abandon_checkout(sim.clone(), me, order).await),
                Some(Some(Fate::Placed | Fate::Undecided)) => {}
                None => break,
            }
        }
    }
}
