//! Storage of the rows: blocks of consecutive centres, each with its own memory, so that threads fill them
//! without copying and the next build finds the memory in place.

/// Centres per block.
pub const BLOCK: usize = 256;
/// Entries a vector kernel reads at once; rows are filled up to a multiple of it.
pub const WIDTH: usize = 8;

/// The rows of up to [`BLOCK`] consecutive centres.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    entries: Vec<u32>,
    start: Vec<u32>,
    len: Vec<u32>,
}

impl Block {
    pub fn clear(&mut self) {
        self.entries.clear();
        self.start.clear();
        self.len.clear();
    }
    /// Adds a row: `fill` gets room for `most` entries and [`WIDTH`] more, and says how many it wrote.
    pub fn push(&mut self, most: usize, dummy: u32, fill: impl FnOnce(&mut [u32]) -> usize) {
        let at = self.entries.len();
        let need = at + most + 2 * WIDTH;
        if need > self.entries.capacity() {
            // a quarter more than what the rows so far suggest, so that memory is not doubled
            let rows = self.len.len();
            let guess = if rows < 16 { need } else { at / rows * (BLOCK + 8) + most + 2 * WIDTH };
            self.entries.reserve_exact(need.max(guess).max(at + at / 4) - at);
        }
        self.entries.resize(need, dummy);
        let count = fill(&mut self.entries[at..]);
        let end = at + count.next_multiple_of(WIDTH);
        self.entries[at + count..end].fill(dummy);
        self.entries.truncate(end);
        self.start.push(at as u32);
        self.len.push(count as u32);
    }
    pub fn row(&self, k: usize) -> &[u32] {
        let at = self.start[k] as usize;
        &self.entries[at..at + self.len[k] as usize]
    }
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
