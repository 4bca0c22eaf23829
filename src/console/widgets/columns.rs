//! Columns that fit: some wish for more than they need, some go when it is narrow.

/// What a column wants, in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Under this it is of no use.
    pub least: u16,
    /// More than this it does not need.
    pub most: u16,
    /// When it goes: the highest first; 0 never goes.
    pub drop: u8,
}

/// The widths of columns with one cell of gap between them, in `room` cells;
/// 0: it does not fit. Columns go by [`Wish::drop`] until the least of the
/// others fits; what is left over is shared out, in order.
#[must_use]
pub fn fit(wishes: &[Wish], room: u16) -> Vec<u16> {
    let mut widths: Vec<u16> = wishes.iter().map(|wish| wish.least).collect();
    let total = |widths: &[u16]| -> u32 {
        let shown = widths.iter().filter(|&&width| width > 0).count();
        let cells: u32 = widths.iter().map(|&width| u32::from(width)).sum();
        cells + u32::try_from(shown.saturating_sub(1)).unwrap_or(0)
    };
    while total(&widths) > u32::from(room) {
        let next = (0..wishes.len())
            .filter(|&i| widths[i] > 0 && wishes[i].drop > 0)
            .max_by_key(|&i| wishes[i].drop);
        match next {
            Some(i) => widths[i] = 0,
            None => break,
        }
    }
    let mut spare = u32::from(room).saturating_sub(total(&widths));
    for (width, wish) in widths.iter_mut().zip(wishes).filter(|(width, _)| **width > 0) {
        let more = u16::try_from(spare).unwrap_or(u16::MAX).min(wish.most.saturating_sub(*width));
        *width += more;
        spare -= u32::from(more);
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISHES: [Wish; 3] = [
        Wish { least: 4, most: 6, drop: 0 },
        Wish { least: 3, most: 3, drop: 9 },
        Wish { least: 5, most: 20, drop: 1 },
    ];

    #[test]
    fn columns_go_in_order_and_share_the_rest() {
        for (room, widths) in [
            (40, [6, 3, 20]),
            (20, [6, 3, 9]),
            (14, [4, 3, 5]),
            (13, [6, 0, 6]),
            (10, [4, 0, 5]),
            (9, [6, 0, 0]),
            (2, [4, 0, 0]),
        ] {
            assert_eq!(fit(&WISHES, room), widths, "{room}");
        }
    }
}
