//! Sorting the neighbours of a centre into the parts of its row, sixteen at a time where the machine can.
use super::rows::PARTS;
use crate::simd::{Level, WIDE};

/// What a site takes part in, and the low digits of its atom, by which most sites are seen to be no partner of a centre.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Takes(u32);

impl Takes {
    const DISPERSION: u32 = 1;
    const CHARGE: u32 = 2;
    const BOTH: u32 = Self::DISPERSION | Self::CHARGE;
    /// What the parts of a row share, in their order.
    const OF_PARTS: [u32; PARTS] = [Self::DISPERSION, Self::BOTH, Self::CHARGE];
    pub fn new(atom: usize, dispersion: bool, charge: bool) -> Self {
        let takes = (u32::from(dispersion) * Self::DISPERSION) | (u32::from(charge) * Self::CHARGE);
        Self(takes | ((atom % 1024) as u32) << 2)
    }
}

/// A few atoms: a set that may hold more than was put in, but never less.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Partners {
    /// A bit for the last five binary digits of each, and for the five before.
    bits: [u32; 2],
}

impl Partners {
    pub fn add(&mut self, atom: usize) {
        self.bits[0] |= 1 << (atom % 32);
        self.bits[1] |= 1 << (atom / 32 % 32);
    }
    fn may_hold(self, site: Takes) -> bool {
        (self.bits[0] >> (site.0 >> 2 & 31)) & (self.bits[1] >> (site.0 >> 7)) & 1 == 1
    }
}

/// The parts of one row.
#[derive(Clone, Debug, Default)]
pub(super) struct Sorter {
    parts: [Vec<u32>; PARTS],
    count: [usize; PARTS],
}

impl Sorter {
    pub fn part(&self, p: usize) -> &[u32] {
        &self.parts[p][..self.count[p]]
    }
    /// Sorts the neighbours `row` of a centre that takes part in `center`; `takes` is that of each site. Neighbours that may be
    /// among the partners are left out where `excluded` says so.
    ///
    /// # Safety
    /// The row must hold indices of `takes`.
    pub unsafe fn sort(
        &mut self,
        level: Level,
        row: &[u32],
        takes: &[Takes],
        center: Takes,
        partners: Partners,
        excluded: impl FnMut(u32) -> bool,
    ) {
        self.count = [0; PARTS];
        // whole registers are written
        let room = row.len() + WIDE;
        for part in &mut self.parts {
            if part.len() < room {
                part.resize(room, 0);
            }
        }
        #[cfg(target_arch = "x86_64")]
        if level == Level::Avx512 && Level::detect() == Level::Avx512 {
            // SAFETY: detected; indices as the caller promises; parts have room for all of the row and a register more
            return unsafe { self.sort_wide(row, takes, center, partners, excluded) };
        }
        let _ = level;
        self.sort_plain(row, takes, center, partners, excluded);
    }
    fn sort_plain(
        &mut self,
        row: &[u32],
        takes: &[Takes],
        center: Takes,
        partners: Partners,
        mut excluded: impl FnMut(u32) -> bool,
    ) {
        for &s in row {
            let other = takes[s as usize];
            if partners.may_hold(other) && excluded(s) {
                continue;
            }
            let shared = center.0 & other.0 & Takes::BOTH;
            for (p, kind) in Takes::OF_PARTS.into_iter().enumerate() {
                // written to every part, counted in one, which needs no branch
                self.parts[p][self.count[p]] = s;
                self.count[p] += usize::from(shared == kind);
            }
        }
    }
    /// # Safety
    /// The machine has AVX-512, the row holds indices of `takes`, and parts have room for it and [`WIDE`] more.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
    unsafe fn sort_wide(
        &mut self,
        row: &[u32],
        takes: &[Takes],
        center: Takes,
        partners: Partners,
        mut excluded: impl FnMut(u32) -> bool,
    ) {
        use std::arch::x86_64::*;
        let own = _mm512_set1_epi32((center.0 & Takes::BOTH) as i32);
        let [low, high] = partners.bits.map(|b| b as i32);
        let (low, high) = (_mm512_set1_epi32(low), _mm512_set1_epi32(high));
        let (digits, one) = (_mm512_set1_epi32(31), _mm512_set1_epi32(1));
        for chunk in row.chunks(WIDE) {
            let valid = (0xFFFF_u32 >> (WIDE - chunk.len())) as __mmask16;
            // SAFETY: masked to what there is; indices are within `takes`
            let (index, other) = unsafe {
                let index = _mm512_maskz_loadu_epi32(valid, chunk.as_ptr().cast());
                (index, _mm512_mask_i32gather_epi32::<4>(own, valid, index, takes.as_ptr().cast()))
            };
            let atom = _mm512_srli_epi32::<2>(other);
            let first = _mm512_srlv_epi32(low, _mm512_and_si512(atom, digits));
            let second = _mm512_srlv_epi32(high, _mm512_srli_epi32::<5>(atom));
            let maybe = _mm512_and_si512(_mm512_and_si512(first, second), one);
            let mut left = valid;
            let look = _mm512_mask_test_epi32_mask(valid, maybe, maybe);
            if look != 0 {
                left = without(left, look, chunk, &mut excluded);
            }
            let shared = _mm512_and_si512(own, other);
            for p in 0..PARTS {
                let kind = _mm512_set1_epi32(Takes::OF_PARTS[p] as i32);
                let mask = _mm512_mask_cmpeq_epi32_mask(left, shared, kind);
                // SAFETY: parts have room
                unsafe {
                    let to = self.parts[p].as_mut_ptr().add(self.count[p]);
                    _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi32(mask, index));
                }
                self.count[p] += mask.count_ones() as usize;
            }
        }
    }
}

/// The lanes of `left` less those of `look` that are excluded. Out of line, so that the loop keeps its registers.
#[cfg(target_arch = "x86_64")]
#[cold]
#[inline(never)]
fn without(mut left: u16, mut look: u16, chunk: &[u32], excluded: &mut impl FnMut(u32) -> bool) -> u16 {
    while look != 0 {
        let lane = look.trailing_zeros();
        if excluded(chunk[lane as usize]) {
            left &= !(1 << lane);
        }
        look &= look - 1;
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_sorts_alike() {
        let takes: Vec<Takes> = (0..300).map(|s| Takes::new(s * 5, s % 3 != 0, s % 5 != 0)).collect();
        for (n, some) in
            [(0, vec![]), (5, vec![15]), (16, vec![15, 50, 120]), (250, (0..900).collect()), (300, vec![])]
        {
            let mut partners = Partners::default();
            some.iter().for_each(|i| partners.add(*i));
            let row: Vec<u32> = (0..n).map(|k| (k * 7 + 3) % 300).collect();
            let excluded = |s: u32| s % 4 == 1 && some.contains(&(s as usize * 5));
            let sorted = |level| {
                let mut sorter = Sorter::default();
                // SAFETY: indices are below 300
                unsafe { sorter.sort(level, &row, &takes, Takes::new(0, true, true), partners, excluded) };
                [0, 1, 2].map(|p| sorter.part(p).to_vec())
            };
            let plain = sorted(Level::Portable);
            assert_eq!(plain, sorted(Level::detect()));
            let kept = row.iter().filter(|s| !excluded(**s) && (**s % 3 != 0 || **s % 5 != 0));
            assert_eq!(plain.iter().map(Vec::len).sum::<usize>(), kept.count());
        }
    }
}
