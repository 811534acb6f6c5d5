//! The batches that were sent and are not acknowledged yet.

use std::collections::VecDeque;

use crate::{Config, Position};

/// Where each unacknowledged batch ends and what it weighs. Not its entries: they are in the log, and are read again when needed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    batches: VecDeque<(Position, usize)>,
    bytes: usize,
}

impl Window {
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(crate) fn batches(&self) -> usize {
        self.batches.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that may be sent now; `None` when the window is full.
    pub(crate) fn room(&self, config: &Config) -> Option<usize> {
        let left = config.window_bytes_max.saturating_sub(self.bytes);
        (self.batches.len() < config.window_batches_max && left > 0).then_some(left)
    }

    pub(crate) fn push(&mut self, through: Position, bytes: usize) {
        self.batches.push_back((through, bytes));
        self.bytes += bytes;
    }

    pub(crate) fn acknowledge(&mut self, through: Position) {
        while let Some((_, bytes)) = self.batches.pop_front_if(|(end, _)| *end <= through) {
            self.bytes -= bytes;
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
