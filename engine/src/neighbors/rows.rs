//! Storage of the rows: blocks of consecutive centres, each with its own memory, so that threads fill them
//! without copying and the next build finds the memory in place.

/// Centres per block.
pub const BLOCK: usize = 256;
/// Entries a vector kernel reads at once; rows are filled up to a multiple of it.
pub const WIDTH: usize = 8;

/// The rows of up to [`BLOCK`] consecutive centres.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// Entries of all rows, then space that keeps what earlier builds left in it.
    entries: Vec<u32>,
    used: usize,
    start: Vec<u32>,
    len: Vec<u32>,
}

impl Block {
    pub fn clear(&mut self) {
        self.used = 0;
        self.start.clear();
        self.len.clear();
    }
    /// Adds a row: `fill` gets room for `most` entries and [`WIDTH`] more, and says how many it wrote.
    #[inline]
    pub fn push(&mut self, most: usize, dummy: u32, fill: impl FnOnce(&mut [u32]) -> usize) {
        let at = self.used;
        if at + most + 2 * WIDTH > self.entries.len() {
            self.grow(at + most + 2 * WIDTH);
        }
        let count = fill(&mut self.entries[at..]);
        let end = at + count.next_multiple_of(WIDTH);
        // more than needed, and without a call
        self.entries[at + count..at + count + WIDTH].copy_from_slice(&[dummy; WIDTH]);
        self.used = end;
        self.start.push(at as u32);
        self.len.push(count as u32);
    }
    /// Makes room for `need` entries: what the rows so far suggest for the whole block, not twice as much.
    #[cold]
    fn grow(&mut self, need: usize) {
        let rows = self.len.len();
        let guess = if rows < 16 { need } else { self.used / rows * (BLOCK + 16) };
        let size = need.max(guess).max(need + need / 16);
        self.entries.reserve_exact(size - self.entries.len());
        self.entries.resize(size, 0);
    }
    #[inline]
    pub fn row(&self, k: usize) -> &[u32] {
        let at = self.start[k] as usize;
        &self.entries[at..at + self.len[k] as usize]
    }
    #[inline]
    pub fn padded(&self, k: usize) -> &[u32] {
        let at = self.start[k] as usize;
        &self.entries[at..at + (self.len[k] as usize).next_multiple_of(WIDTH)]
    }
    pub fn entries(&self) -> usize {
        self.len.iter().map(|&n| n as usize).sum()
    }
    pub fn bytes(&self) -> usize {
        4 * (self.entries.capacity() + self.start.capacity() + self.len.capacity())
    }
}
