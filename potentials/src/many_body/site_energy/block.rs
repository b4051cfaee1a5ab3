//! Neighbours and results of some rows.
use super::{BlockEnergy, Edge, Recorded, Share, Sites, lanes, load, store};
use crate::simd::{Kernel, LANES, Lanes};
use caloron_engine::{Mat3, NeighborList};
use std::ops::Range;

/// Rows that one task treats together.
pub(super) const BLOCK: usize = 128;

/// Results of some rows.
#[derive(Default)]
pub(super) struct Block {
    /// The first edge of each row, and after the last their number.
    pub offsets: Vec<u32>,
    /// Kept only when they are needed later.
    pub edges: Vec<Edge>,
    /// One for each edge, filled up to a multiple of eight.
    pub shares: Vec<Share>,
    /// Row of the atom each neighbour is an image of; filled up with at least eight more.
    pub rows: Vec<u32>,
    /// Energies of the rows, less what they ascribe to neighbours.
    pub energies: Vec<f64>,
    /// Σ_j g_ij of the rows.
    pub slopes: Vec<[f64; 3]>,
    pub energy: f64,
    pub virial: Mat3,
}

/// What a thread needs while it treats a block.
#[derive(Default)]
pub(super) struct Work<S> {
    centers: Vec<u32>,
    owners: Vec<u32>,
    neighbors: Vec<u32>,
    edges: Vec<Edge>,
    /// Sites within the cutoffs, and x, y, z, r² to them.
    close: Vec<u32>,
    across: [Vec<f64>; 4],
    scratch: S,
}

impl Block {
    pub fn row(&self, k: usize) -> Range<usize> {
        self.offsets[k] as usize..self.offsets[k + 1] as usize
    }
}

/// Neighbours, energies and derivatives of a range of rows.
pub(super) struct Evaluate<'a, M: BlockEnergy> {
    pub model: &'a M,
    /// Squared cutoffs, by species of the site and of the neighbour.
    pub cutoffs: &'a [f64],
    /// The largest cutoff.
    pub cutoff: f64,
    pub list: &'a NeighborList,
    pub row_of_atom: &'a [u32],
    pub rows: Range<usize>,
    pub virial: bool,
    pub keep_edges: bool,
    pub block: &'a mut Block,
    pub work: &'a mut Work<M::Scratch>,
}

impl<M: BlockEnergy> Kernel for Evaluate<'_, M> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { model, cutoffs, cutoff, list, row_of_atom, rows, virial, keep_edges, block, work } = self;
        gather::<V, _>(model.species(), cutoffs, list, rows, block, work);
        connect::<V, _>(list, row_of_atom, cutoff, block, work);
        let Work { centers, owners, neighbors, edges, scratch, .. } = work;
        let Block { offsets, shares, energies, .. } = block;
        let owners = &owners[..edges.len()];
        let sites = Sites { species: centers, offsets, edges, owners, neighbors };
        shares.clear();
        shares.resize(edges.len(), Share::default());
        energies.clear();
        energies.resize(centers.len(), 0.0);
        model.energies::<V>(sites, energies, shares, scratch);
        let used = offsets[offsets.len() - 1] as usize;
        shares[used..].fill(Share::default());
        block.energy = energies.iter().sum();
        block.edges.clear();
        if keep_edges {
            block.edges.extend_from_slice(edges);
        }
        if virial {
            block.virial = sum_virial::<V>(edges, shares);
        }
        block.slopes.clear();
        for k in 0..block.energies.len() {
            let row = block.row(k);
            let mut slope = [0.0; 3];
            for share in &block.shares[row] {
                for (sum, g) in slope.iter_mut().zip(share.g) {
                    *sum += g;
                }
                block.energies[k] -= share.energy;
            }
            block.slopes.push(slope);
        }
    }
}

/// Finds the sites within the cutoffs of a range of rows, and the vectors to them.
#[inline(always)]
fn gather<V: Lanes, S>(
    species: usize,
    cutoffs: &[f64],
    list: &NeighborList,
    rows: Range<usize>,
    block: &mut Block,
    work: &mut Work<S>,
) {
    let (sites, centers) = (list.padded_sites(), list.centers());
    let (offsets, Work { centers: kinds, owners, close, across, .. }) = (&mut block.offsets, work);
    offsets.clear();
    offsets.push(0);
    kinds.clear();
    let mut used = 0;
    for (at, k) in rows.enumerate() {
        let row = list.padded_row(k);
        let here = &sites[centers[k] as usize];
        let [x, y, z] = here.position;
        let (x, y, z) = (V::splat(x), V::splat(y), V::splat(z));
        kinds.push(here.species as u32);
        let own = &cutoffs[here.species as usize * species..][..species];
        let mut cutoff = V::splat(own[0]);
        let most = used + row.len() + 2 * LANES;
        if close.len() < most {
            close.resize(most, 0);
            owners.resize(most, 0);
            across.iter_mut().for_each(|x| x.resize(most, 0.0));
        }
        let start = used;
        let [ax, ay, az, a2] = across.each_mut().map(Vec::as_mut_slice);
        for part in row.chunks_exact(LANES) {
            // SAFETY: rows hold indices of sites or of the dummy behind them, and a part has LANES of them
            let [sx, sy, sz, kind] = unsafe { V::load_sites(sites.as_ptr(), part.as_ptr()) };
            if species > 1 {
                // SAFETY: species (0 for the dummy) are below their number
                cutoff = unsafe { V::lookup(own.as_ptr(), kind) };
            }
            let (dx, dy, dz) = (sx - x, sy - y, sz - z);
            let r2 = dx.mul_add(dx, dy.mul_add(dy, dz * dz));
            let inside = r2.lt(cutoff);
            dx.compact(inside, window(ax, used));
            dy.compact(inside, window(ay, used));
            dz.compact(inside, window(az, used));
            let part: &[u32; LANES] = part.try_into().expect("eight sites");
            used += r2.compress(inside, part, window(close, used), window(a2, used));
        }
        owners[start..used].fill(at as u32);
        offsets.push(used as u32);
    }
}

/// Eight entries from `at` on.
#[inline(always)]
fn window<T>(of: &mut [T], at: usize) -> &mut [T; LANES] {
    (&mut of[at..at + LANES]).try_into().expect("eight entries")
}

/// Makes the edges of what was gathered.
#[inline(always)]
fn connect<V: Lanes, S>(
    list: &NeighborList,
    row_of_atom: &[u32],
    cutoff: f64,
    block: &mut Block,
    work: &mut Work<S>,
) {
    let used = block.offsets[block.offsets.len() - 1] as usize;
    let padded = used.next_multiple_of(LANES);
    let (rows, Work { edges, owners, neighbors, close, across, .. }) = (&mut block.rows, work);
    if padded > 0 {
        let far = [cutoff, 0.0, 0.0, cutoff * cutoff];
        across.iter_mut().zip(far).for_each(|(x, far)| x[used..padded].fill(far));
        owners[used..padded].fill(0);
    }
    edges.resize(padded, Edge::default());
    for e in (0..padded).step_by(LANES) {
        let r: V = lanes(&across[3], e);
        let edge = [lanes(&across[0], e), lanes(&across[1], e), lanes(&across[2], e), r.sqrt()];
        store(edge, Edge::records_mut(edges), e);
    }
    let sites = list.sites();
    neighbors.clear();
    neighbors.extend(close[..used].iter().map(|&s| sites[s as usize].species as u32));
    neighbors.resize(padded, 0);
    rows.clear();
    rows.extend(close[..used].iter().map(|&s| row_of_atom[list.atom(s)]));
    rows.resize(padded + LANES, u32::MAX);
}

/// −Σ d ⊗ g.
#[inline(always)]
fn sum_virial<V: Lanes>(edges: &[Edge], shares: &[Share]) -> Mat3 {
    let mut sum = [[V::splat(0.0); 3]; 3];
    for e in (0..edges.len()).step_by(LANES) {
        let [dx, dy, dz, _] = load::<V>(Edge::records(edges), e);
        let [gx, gy, gz, _] = load::<V>(Share::records(shares), e);
        for (row, d) in sum.iter_mut().zip([dx, dy, dz]) {
            for (s, g) in row.iter_mut().zip([gx, gy, gz]) {
                *s = d.mul_add(g, *s);
            }
        }
    }
    let mut virial = Mat3::zeros();
    for a in 0..3 {
        for c in 0..3 {
            virial[(a, c)] = -sum[a][c].sum();
        }
    }
    virial
}
