//! Neighbours within the cutoffs, and an edge seen from its other end.
use crate::simd::{LANES, Lanes};
use caloron_engine::NeighborList;

/// The vector to a neighbour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    /// d = r_j − r_i, Å.
    pub d: [f64; 3],
    /// Row of the atom at the other end.
    pub far: u32,
}

/// Writes the sites of row `k` that are within the cutoffs to `close`; `reach` are squared cutoffs by species of the
/// neighbour.
#[inline(always)]
pub(super) fn close_sites<V: Lanes>(list: &NeighborList, k: usize, reach: &[f64], close: &mut Vec<u32>) {
    let (sites, row) = (list.padded_sites(), list.padded_row(k));
    let [x, y, z] = sites[list.centers()[k] as usize].position;
    let (x, y, z) = (V::splat(x), V::splat(y), V::splat(z));
    let mut cutoff = V::splat(reach[0]);
    let mut unused = [0.0; LANES];
    let mut used = 0;
    close.resize(row.len() + LANES, 0);
    for part in row.chunks_exact(LANES) {
        // SAFETY: rows hold indices of sites or of the dummy behind them, and a part has LANES of them
        let [sx, sy, sz, kind] = unsafe { V::load_sites(sites.as_ptr(), part.as_ptr()) };
        if reach.len() > 1 {
            // SAFETY: species (0 for the dummy) are below their number
            cutoff = unsafe { V::lookup(reach.as_ptr(), kind) };
        }
        let (dx, dy, dz) = (sx - x, sy - y, sz - z);
        let r2 = dx.mul_add(dx, dy.mul_add(dy, dz * dz));
        let part: &[u32; LANES] = part.try_into().expect("a part of eight");
        let window = (&mut close[used..used + LANES]).try_into().expect("a part of eight");
        used += r2.compress(r2.lt(cutoff), part, window, &mut unused);
    }
    close.truncate(used);
}

/// Which of the edges of the atom at the other end is this edge of `row`. With `unique` no atom has two images within the
/// cutoff of another.
#[inline(always)]
pub(super) fn mirror(row: usize, edge: &Edge, edges: &[Edge], unique: bool) -> Option<usize> {
    edges.iter().position(|other| {
        // images of one atom are never as close as this to each other
        let same = || [0, 1, 2].iter().all(|&c| (edge.d[c] + other.d[c]).abs() < 1e-6);
        other.far as usize == row && (unique || same())
    })
}
