//! Pages of lists.

/// Entries of a page when the caller names no number.
pub const PAGE_DEFAULT: u32 = 50;
/// Most entries of one page.
pub const PAGE_MAX: u32 = 100;

/// Brings a wished page size into 1..=[`PAGE_MAX`]; none means [`PAGE_DEFAULT`].
pub fn page_limit(wish: Option<u32>) -> u32 {
    wish.map_or(PAGE_DEFAULT, |n| n.clamp(1, PAGE_MAX))
}

/// One page of a list that is read by offset or cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries, in the order the list is defined by.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<u64>,
}
