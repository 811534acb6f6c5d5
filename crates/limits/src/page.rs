//! Which part of a list goes onto one page.

/// How many of the next items, of these sizes in bytes, fit into `bytes_max`: as many as there is room for, and at least one, unless there
/// are none. A page that is never empty is how a client gets to the end of a list.
pub fn fitting(sizes: impl IntoIterator<Item = usize>, bytes_max: usize) -> usize {
    let mut bytes = 0_usize;
    let fits = |(index, size): &(usize, usize)| {
        bytes = bytes.saturating_add(*size);
        *index == 0 || bytes <= bytes_max
    };
    sizes.into_iter().enumerate().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded_by_bytes_and_never_empty() {
        assert_eq!(fitting([], 10), 0);
        assert_eq!(fitting([11, 1], 10), 1);
        assert_eq!(fitting([4, 6, 1], 10), 2);
        assert_eq!(fitting([usize::MAX, usize::MAX], 10), 1);
        assert_eq!(fitting([1; 7], 10), 7);
    }
}
