//! The steps, their order, and the pivot.

use saga::{Duty, Event, Plan};

use crate::domain::Refusal;

/// A step of placing an order. The names are kept on disk (`customer_order.unwind_from`): never change one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `cart.BeginCheckout`, made durable by the pending row. Compensation: `cart.AbandonCheckout`.
    CutCart,
    /// `inventory.Reserve`. Compensation: `inventory.Release`.
    ReserveStock,
    /// `payment.Authorise`. Compensation: `payment.Void`.
    AuthorisePayment,
    /// The pivot: the order is placed and its event is in the outbox, in one transaction.
    Place,
}

/// The saga. There are no steps after the pivot: from there on `order.placed.v1` does the work.
pub const PLAN: Plan<Step> = Plan::new(&[Step::CutCart, Step::ReserveStock, Step::AuthorisePayment, Step::Place], 3);

impl Step {
    /// The name kept on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CutCart => "cut_cart",
            Self::ReserveStock => "reserve_stock",
            Self::AuthorisePayment => "authorise_payment",
            Self::Place => "place",
        }
    }

    /// The step of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        PLAN.steps().iter().copied().find(|step| step.name() == name)
    }

    /// What a refusal of the step's action means for the saga.
    ///
    /// Inventory stores no refusal: it judges every reserve by the stock of its own moment. So another driver may have got past what
    /// one was refused, and a reserve that was sent before, and is late, may yet be granted. That is no "refused, without effect" but the
    /// case of an unknown outcome that nobody asks about any more: every compensation runs, and leaves its tombstone.
    pub const fn refused(self, why: Refusal) -> Event<Self, Refusal> {
        match self {
            Self::ReserveStock => Event::GivenUp(self, why),
            Self::CutCart | Self::AuthorisePayment | Self::Place => Event::Refused(self, why),
        }
    }

    /// Whom the step waits for, in words.
    pub const fn callee(self) -> &'static str {
        match self {
            Self::CutCart => "the cart",
            Self::ReserveStock => "the inventory",
            Self::AuthorisePayment => "the payment",
            Self::Place => "the order database",
        }
    }
}

/// How many calls are left in the direction of `duty`, its own included: up to the pivot, which is none, or back to the first step.
pub(super) fn calls_to_go(duty: Duty<Step>) -> usize {
    let rank = |step| PLAN.steps().iter().position(|known| *known == step).unwrap_or_default();
    match duty {
        Duty::Act(step) => rank(Step::Place).saturating_sub(rank(step)),
        Duty::Compensate(step) => rank(step) + 1,
        Duty::Rest => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_to_the_end_of_the_direction() {
        let forward = PLAN.steps().iter().map(|step| calls_to_go(Duty::Act(*step))).collect::<Vec<_>>();
        let back = PLAN.steps().iter().map(|step| calls_to_go(Duty::Compensate(*step))).collect::<Vec<_>>();
        assert_eq!((forward, back), (vec![3, 2, 1, 0], vec![1, 2, 3, 4]));
    }

    #[test]
    fn every_step_is_found_by_its_name() {
        for step in PLAN.steps() {
            assert_eq!(Step::from_name(step.name()), Some(*step));
        }
        assert_eq!(Step::from_name("ship"), None);
    }

    #[test]
    fn a_refused_reservation_is_released_all_the_same() {
        let why = crate::domain::Refusal::placement_timed_out("a test");
        for (step, from) in [(Step::ReserveStock, Step::AuthorisePayment), (Step::AuthorisePayment, Step::ReserveStock)]
        {
            let after = PLAN.apply(saga::State::Running { next: step }, step.refused(why.clone()));
            assert_eq!(after, Ok(saga::State::Unwinding { next: from, reason: why.clone() }));
        }
    }

    #[test]
    fn the_pivot_is_placing() {
        let why = || "too late";
        let state = saga::State::Running { next: Step::Place };
        assert!(PLAN.apply(state, saga::Event::GivenUp(Step::Place, why())).is_err());
        let state = saga::State::Running { next: Step::AuthorisePayment };
        assert!(PLAN.apply(state, saga::Event::GivenUp(Step::AuthorisePayment, why())).is_ok());
    }
}
