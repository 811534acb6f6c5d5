//! The scheduler: one queue of wake-ups, ordered by simulated time, and the tasks that they wake.
//!
//! A task is a future that belongs to a process, or to nobody (the network, shoppers, whoever breaks things). Nothing runs but what the
//! queue says, in the order it says, on one thread, so a seed is a history. A process that dies loses its tasks where they stand: what
//! they held in memory is gone, what they committed is there. A process that is paused keeps them and is woken late: a zombie.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::future::{Either, select};
use rand::Rng;
use rand::distr::uniform::{SampleRange, SampleUniform};

use crate::checks;
use crate::coverage::Seen;
use crate::world::World;
use crate::{MILLISECOND, Micros};

/// Index of a process in the world.
pub type ProcessId = usize;
type TaskId = usize;

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    /// The process and which of its lives; none for what never dies.
    of: Option<(ProcessId, u32)>,
}

#[derive(Default)]
struct Inner {
    queue: RefCell<BinaryHeap<Reverse<(Micros, u64, TaskId)>>>,
    scheduled: Cell<u64>,
    tasks: RefCell<Vec<Option<Task>>>,
    current: Cell<TaskId>,
    now: Cell<Micros>,
}

/// A handle on the scheduler and the world. Cheap to clone.
#[derive(Clone)]
pub struct Sim {
    inner: Rc<Inner>,
    world: Rc<RefCell<World>>,
}

impl Sim {
    pub fn new(world: World) -> Self {
        Self { inner: Rc::default(), world: Rc::new(RefCell::new(world)) }
    }

    /// Looks at or changes the world. Never across an await: what happens in `with` happens at once, as a committed statement does.
    pub fn with<T>(&self, with: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.borrow_mut();
        world.now = self.now();
        with(&mut world)
    }

    pub fn now(&self) -> Micros {
        self.inner.now.get()
    }

    pub fn saw(&self, what: Seen) {
        self.with(|world| world.saw(what));
    }

    pub fn chance(&self, probability: f64) -> bool {
        self.with(|world| world.chance(probability))
    }

    pub fn random<T: SampleUniform, R: SampleRange<T>>(&self, range: R) -> T {
        self.with(|world| world.rng.random_range(range))
    }

    fn wake_at(&self, at: Micros, task: TaskId) {
        let order = self.inner.scheduled.get();
        self.inner.scheduled.set(order + 1);
        self.inner.queue.borrow_mut().push(Reverse((at, order, task)));
    }

    fn start(&self, of: Option<(ProcessId, u32)>, future: impl Future<Output = ()> + 'static) {
        let id = self.inner.tasks.borrow().len();
        self.inner.tasks.borrow_mut().push(Some(Task { future: Box::pin(future), of }));
        self.wake_at(self.now(), id);
    }

    /// Starts what no process runs.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.start(None, future);
    }

    /// Starts a task of a process in its present life. A process that is down starts nothing.
    pub fn spawn_in(&self, process: ProcessId, future: impl Future<Output = ()> + 'static) {
        let life = self.with(|world| world.processes[process].is_up.then_some(world.processes[process].life));
        if let Some(life) = life {
            self.start(Some((process, life)), future);
        }
    }

    /// Runs until `is_done`, or until something is wrong.
    pub fn run(&self, is_done: impl Fn(&mut World) -> bool) {
        loop {
            let Some(Reverse((at, _, id))) = self.inner.queue.borrow_mut().pop() else {
                return self.with(|world| world.fail(crate::Verdict::Settled, "everything stands still".to_owned()));
            };
            self.inner.now.set(at);
            self.step(id);
            let ended = self.with(|world| {
                world.report.steps += 1;
                checks::after_each_step(world);
                world.failure.is_some() || is_done(world)
            });
            if ended {
                return;
            }
        }
    }

    fn step(&self, id: TaskId) {
        let Some(mut task) = self.inner.tasks.borrow_mut()[id].take() else { return };
        let of = task.of;
        if let Some((process, life)) = of {
            let (is_alive, paused_until) = self.with(|world| {
                let process = &world.processes[process];
                (process.is_up && process.life == life, process.paused_until)
            });
            if !is_alive {
                return;
            }
            if paused_until > self.now() {
                self.inner.tasks.borrow_mut()[id] = Some(task);
                return self.wake_at(paused_until, id);
            }
            if self.with(|world| world.dies_at_this_step(process)) {
                return self.crash(process);
            }
        }
        self.inner.current.set(id);
        let ended = task.future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        if !ended {
            self.inner.tasks.borrow_mut()[id] = Some(task);
        }
        if let Some((process, _)) = of
            && self.with(|world| world.dies_at_this_step(process))
        {
            self.with(|world| world.power_off(process));
        }
        self.bury();
    }

    /// Ends all tasks, which hold this scheduler as it holds them.
    pub fn finish(&self) {
        let tasks = std::mem::take(&mut *self.inner.tasks.borrow_mut());
        drop(tasks);
    }

    /// A process dies on the spot, wherever its tasks stand.
    pub fn crash(&self, process: ProcessId) {
        self.with(|world| world.power_off(process));
        self.bury();
    }

    /// Drops the tasks of processes that have died, and with them what they held: their transactions roll back.
    fn bury(&self) {
        if !self.with(|world| std::mem::take(&mut world.has_new_dead)) {
            return;
        }
        let is_dead = |task: &Task| {
            task.of.is_some_and(|(process, life)| {
                self.with(|world| !world.processes[process].is_up || world.processes[process].life != life)
            })
        };
        let mut tasks = self.inner.tasks.borrow_mut();
        let dead: Vec<_> = tasks.iter_mut().filter_map(|slot| slot.take_if(|task| is_dead(task))).collect();
        drop(tasks);
        drop(dead);
    }

    pub fn sleep(&self, time: Micros) -> Sleep {
        Sleep { sim: self.clone(), until: self.now() + time, is_set: false }
    }

    /// A short while, such as a round trip to the database.
    pub fn moment(&self) -> Sleep {
        let time = self.random(0..3 * MILLISECOND);
        self.sleep(time)
    }

    /// What comes of `future` within `time`. What does not is dropped.
    pub async fn within<T>(&self, time: Micros, future: impl Future<Output = T>) -> Option<T> {
        match select(pin!(future), pin!(self.sleep(time))).await {
            Either::Left((value, _)) => Some(value),
            Either::Right(_) => None,
        }
    }
}

/// Ends at a time.
pub struct Sleep {
    sim: Sim,
    until: Micros,
    is_set: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.sim.now() >= self.until && self.is_set {
            return Poll::Ready(());
        }
        if !self.is_set {
            self.is_set = true;
            self.sim.wake_at(self.until, self.sim.inner.current.get());
        }
        Poll::Pending
    }
}

/// One value on its way from one task to another.
pub struct Slot<T> {
    sim: Sim,
    state: Rc<RefCell<(Option<T>, Option<TaskId>)>>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self { sim: self.sim.clone(), state: self.state.clone() }
    }
}

impl<T> Slot<T> {
    pub fn new(sim: &Sim) -> Self {
        Self { sim: sim.clone(), state: Rc::new(RefCell::new((None, None))) }
    }

    /// The first value counts.
    pub fn fill(&self, value: T) {
        let mut state = self.state.borrow_mut();
        if state.0.is_none() {
            state.0 = Some(value);
            if let Some(task) = state.1 {
                self.sim.wake_at(self.sim.now(), task);
            }
        }
    }
}

impl<T> Future for Slot<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        let mut state = self.state.borrow_mut();
        state.1 = Some(self.sim.inner.current.get());
        state.0.take().map_or(Poll::Pending, Poll::Ready)
    }
}
