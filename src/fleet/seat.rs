//! Seats: small dense numbers of rows, so that what is kept of every row can
//! stand in an array.

/// The number of a row while it is there; given to another row once it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Seat(u32);

impl Seat {
    /// Its place in an array.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which seats are free.
#[derive(Debug, Default)]
pub(super) struct Seats {
    /// How many there are, free ones too.
    count: u32,
    free: Vec<Seat>,
}

impl Seats {
    /// One that nobody has.
    pub fn take(&mut self) -> Seat {
        self.free.pop().unwrap_or_else(|| {
            let seat = Seat(self.count);
            self.count += 1;
            seat
        })
    }

    /// Its row is gone.
    pub fn leave(&mut self, seat: Seat) {
        self.free.push(seat);
    }
}
