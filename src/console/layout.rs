//! Geometry: where things are, as a pure function of size and state. Shared by
//! update (paging, keeping the cursor in view) and by the screens.

use super::state::Screen;

/// From this width on the detail stands beside the table, else over it.
pub const DETAIL_BESIDE: u16 = 140;

/// How many rows of data the list of `screen` has at this size.
#[must_use]
pub fn list_rows(screen: Screen, width: u16, height: u16, message_line: bool) -> usize {
    todo!()
}

/// How many lines of content the open detail has at this size.
#[must_use]
pub fn detail_rows(width: u16, height: u16) -> usize {
    todo!()
}
