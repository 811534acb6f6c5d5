//! A thing of each region.

use ids::Region;

/// One of east, one of west.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Both<T> {
    /// Region east's.
    pub east: T,
    /// Region west's.
    pub west: T,
}

impl<T> Both<T> {
    /// That of `region`.
    pub const fn of(&self, region: Region) -> &T {
        match region {
            Region::East => &self.east,
            Region::West => &self.west,
        }
    }

    /// That of `region`.
    #[cfg(test)]
    pub const fn of_mut(&mut self, region: Region) -> &mut T {
        match region {
            Region::East => &mut self.east,
            Region::West => &mut self.west,
        }
    }

    /// Each with its region.
    pub const fn each(&self) -> [(Region, &T); 2] {
        [(Region::East, &self.east), (Region::West, &self.west)]
    }

    /// Both by reference.
    #[cfg(test)]
    pub const fn as_ref(&self) -> Both<&T> {
        Both { east: &self.east, west: &self.west }
    }
}

impl<T, E: Clone> Both<Result<T, E>> {
    /// Both, or why one of them is not there.
    ///
    /// # Errors
    /// The first of them.
    pub fn all(&self) -> Result<Both<&T>, E> {
        Ok(Both { east: self.east.as_ref().map_err(E::clone)?, west: self.west.as_ref().map_err(E::clone)? })
    }
}
