//! Many-body interactions as energies of sites.
//!
//! An interaction of this kind is E = Σ_i E_i({d_ij}), where E_i depends on the vectors d_ij = r_j − r_i to the
//! neighbours within a short cutoff. It gives E_i and g_ij = ∂E_i/∂d_ij; what follows from them is computed here once for
//! all of them, without scattered writes, so that threads never collide and every sum has a fixed order:
//!
//! - forces F_i = Σ_j (g_ij − g_ji),
//! - virial W = −Σ_ij d_ij ⊗ g_ij,
//! - virial of an atom W_i = Σ_j d_ij ⊗ g_ji (Fan et al., Phys. Rev. B 92, 094301 (2015), doi 10.1103/PhysRevB.92.094301),
//! - energy of an atom: E_i less what the interaction ascribes to neighbours, plus what it is ascribed by them.
//!
//! Interactions are written for one site ([`SiteEnergy`]) or, where speed matters most, for the sites of a block together
//! with the lanes along all of their edges ([`BlockEnergy`]).
mod block;
mod sum;

use crate::simd::{LANES, Lanes};
use caloron_engine::neighbors;
use caloron_engine::{Input, PotentialError};
pub use sum::SiteSum;

/// The vector to a neighbour.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub struct Edge {
    /// d = r_j − r_i, Å.
    pub d: [f64; 3],
    /// |d|, Å.
    pub r: f64,
}

/// What a site says about a neighbour.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub struct Share {
    /// ∂E_i/∂d, eV/Å.
    pub g: [f64; 3],
    /// The part of E_i that is ascribed to the neighbour, eV.
    pub energy: f64,
}

/// What is read and written eight at a time as records.
///
/// # Safety
/// Must be `repr(C)`, four `f64`.
pub(super) unsafe trait Recorded: Sized {
    /// Items as records, in the order of their fields.
    #[inline(always)]
    fn records(items: &[Self]) -> &[Record] {
        const { assert!(size_of::<Self>() == size_of::<Record>() && align_of::<Self>() == align_of::<Record>()) };
        // SAFETY: both are four numbers of the same size and alignment
        unsafe { std::slice::from_raw_parts(items.as_ptr().cast(), items.len()) }
    }
    /// The same, to be written.
    #[inline(always)]
    fn records_mut(items: &mut [Self]) -> &mut [Record] {
        const { assert!(size_of::<Self>() == size_of::<Record>() && align_of::<Self>() == align_of::<Record>()) };
        // SAFETY: as above
        unsafe { std::slice::from_raw_parts_mut(items.as_mut_ptr().cast(), items.len()) }
    }
}
// SAFETY: a vector and a number, repr(C)
unsafe impl Recorded for Edge {}
// SAFETY: as above
unsafe impl Recorded for Share {}

impl Share {
    /// Adds `s` times the vector `d` to the derivative.
    #[inline(always)]
    pub fn add(&mut self, s: f64, d: &[f64; 3]) {
        for c in 0..3 {
            self.g[c] += s * d[c];
        }
    }
}

/// A site and its neighbours within the cutoffs of its species.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// Species index of the site.
    pub species: usize,
    /// Vectors to the neighbours.
    pub edges: &'a [Edge],
    /// Species index of each neighbour.
    pub neighbors: &'a [u32],
}

/// The sites of a block and their edges, those of a site one after another.
#[derive(Clone, Copy)]
pub struct Sites<'a> {
    /// Species index of each site.
    pub species: &'a [u32],
    /// The first edge of each site, and after the last their number.
    pub offsets: &'a [u32],
    /// The edges, filled up to a multiple of eight with edges as long as the largest cutoff.
    pub edges: &'a [Edge],
    /// The site each edge belongs to (0 for those that fill up).
    pub owners: &'a [u32],
    /// Species index of the neighbour (0 for those that fill up).
    pub neighbors: &'a [u32],
}

impl<'a> Sites<'a> {
    /// Number of sites.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.species.len()
    }
    /// The edges of site `k`.
    #[inline(always)]
    pub fn row(&self, k: usize) -> std::ops::Range<usize> {
        self.offsets[k] as usize..self.offsets[k + 1] as usize
    }
    /// Site `k` alone.
    #[inline(always)]
    pub fn site(&self, k: usize) -> Site<'a> {
        let row = self.row(k);
        let (edges, neighbors) = (&self.edges[row.clone()], &self.neighbors[row]);
        Site { species: self.species[k] as usize, edges, neighbors }
    }
}

/// An interaction that is a sum of energies of sites, one at a time.
pub trait SiteEnergy: Send + Sync {
    /// Memory that is kept between sites.
    type Scratch: Default + Send + Sync;
    /// Name for messages.
    const NAME: &'static str;
    /// Number of species there are parameters for.
    fn species(&self) -> usize;
    /// Cutoff for a neighbour of species `j` seen from species `i`, Å; the same with i and j exchanged.
    fn cutoff(&self, i: usize, j: usize) -> f64;
    /// Energy E_i; adds to `shares` (one for each edge, zero at the start).
    fn energy(&self, site: Site<'_>, shares: &mut [Share], scratch: &mut Self::Scratch) -> f64;
    /// Papers to cite.
    fn citations(&self) -> Vec<&'static str>;
}

/// An interaction that is a sum of energies of sites, for the sites of a block together.
pub trait BlockEnergy: Send + Sync {
    /// Memory that is kept between blocks.
    type Scratch: Default + Send + Sync;
    /// Name for messages.
    const NAME: &'static str;
    /// Number of species there are parameters for.
    fn species(&self) -> usize;
    /// Cutoff for a neighbour of species `j` seen from species `i`, Å; the same with i and j exchanged.
    fn cutoff(&self, i: usize, j: usize) -> f64;
    /// Energies E_i (one for each site) and what the sites say about their neighbours (one share for each edge, zero at
    /// the start); must be `#[inline(always)]`.
    fn energies<V: Lanes>(
        &self,
        sites: Sites<'_>,
        energies: &mut [f64],
        shares: &mut [Share],
        scratch: &mut Self::Scratch,
    );
    /// Papers to cite.
    fn citations(&self) -> Vec<&'static str>;
}

impl<M: SiteEnergy> BlockEnergy for M {
    type Scratch = M::Scratch;
    const NAME: &'static str = M::NAME;
    fn species(&self) -> usize {
        SiteEnergy::species(self)
    }
    fn cutoff(&self, i: usize, j: usize) -> f64 {
        SiteEnergy::cutoff(self, i, j)
    }
    #[inline(always)]
    fn energies<V: Lanes>(
        &self,
        sites: Sites<'_>,
        energies: &mut [f64],
        shares: &mut [Share],
        scratch: &mut Self::Scratch,
    ) {
        for (k, energy) in energies.iter_mut().enumerate() {
            *energy = self.energy(sites.site(k), &mut shares[sites.row(k)], scratch);
        }
    }
    fn citations(&self) -> Vec<&'static str> {
        SiteEnergy::citations(self)
    }
}

/// Four numbers that travel in one register, laid out as the sites of neighbour lists are.
pub(super) type Record = neighbors::Site;

/// Records `first` to `first + 8`, transposed.
#[inline(always)]
pub(super) fn load<V: Lanes>(records: &[Record], first: usize) -> [V; 4] {
    let eight: &[Record; LANES] = records[first..first + LANES].try_into().expect("eight records");
    // SAFETY: the indices are those of the eight records
    unsafe { V::load_sites(eight.as_ptr(), [0, 1, 2, 3, 4, 5, 6, 7].as_ptr()) }
}

/// Writes eight records from `first` on.
#[inline(always)]
pub(super) fn store<V: Lanes>(columns: [V; 4], records: &mut [Record], first: usize) {
    V::store_sites(columns, (&mut records[first..first + LANES]).try_into().expect("eight records"));
}

/// The species of the sites that eight edges from `first` on belong to.
#[inline(always)]
pub(super) fn species_of<V: Lanes>(sites: &Sites<'_>, first: usize) -> V {
    let owners: &[u32; LANES] = sites.owners[first..first + LANES].try_into().expect("eight sites");
    V::from_array(owners.map(|o| f64::from(sites.species[o as usize])))
}

/// For each of eight edges the other edges of its site, one after another.
pub(super) struct Others<V> {
    edge: V,
    end: V,
    count: V,
    /// The largest number of edges of a site.
    pub most: u32,
}

impl<V: Lanes> Others<V> {
    /// Those of the edges from `first` on.
    #[inline(always)]
    pub fn of(sites: &Sites<'_>, first: usize) -> Self {
        let owners: &[u32; LANES] = sites.owners[first..first + LANES].try_into().expect("eight sites");
        let ends = owners.map(|o| sites.offsets[o as usize + 1]);
        let counts: [u32; LANES] = std::array::from_fn(|k| ends[k] - sites.offsets[owners[k] as usize]);
        let edge = std::array::from_fn(|k| (first + k) as f64);
        let most = counts.iter().copied().fold(0, u32::max);
        let (end, count) = (V::from_array(ends.map(f64::from)), V::from_array(counts.map(f64::from)));
        Self { edge: V::from_array(edge), end, count, most }
    }
    /// The edge `t` places further on, round the row, and where there is such a one.
    #[inline(always)]
    pub fn at(&self, t: u32) -> (V::Mask, [u32; LANES]) {
        let t = V::splat(f64::from(t));
        let active = t.lt(self.count);
        let k = self.edge + t;
        let k = V::select(k.lt(self.end), k, k - self.count);
        (active, V::select(active, k, self.edge).indices())
    }
}

/// Entries of a table by index, or its only entry.
#[inline(always)]
pub(super) fn look<V: Lanes>(table: &[f64], index: V) -> V {
    match table {
        [one] => V::splat(*one),
        // SAFETY: indices of pairs and triples are made of species, which the driver has checked
        _ => unsafe { V::lookup(table.as_ptr(), index) },
    }
}

/// Eight numbers from `first` on.
#[inline(always)]
pub(super) fn lanes<V: Lanes>(numbers: &[f64], first: usize) -> V {
    V::from_array(numbers[first..first + LANES].try_into().expect("eight numbers"))
}

/// Eight whole numbers from `first` on.
#[inline(always)]
pub(super) fn whole<V: Lanes>(numbers: &[u32], first: usize) -> V {
    let eight: &[u32; LANES] = numbers[first..first + LANES].try_into().expect("eight numbers");
    V::from_array(eight.map(f64::from))
}

/// Writes eight numbers from `first` on.
#[inline(always)]
pub(super) fn put<V: Lanes>(value: V, numbers: &mut [f64], first: usize) {
    numbers[first..first + LANES].copy_from_slice(&value.to_array());
}

/// Refuses a system with species beyond those the parameters were made for.
pub(crate) fn check_species(
    potential: &'static str,
    known: usize,
    input: &Input<'_>,
) -> Result<(), PotentialError> {
    match input.system.species().get(known) {
        Some(s) => Err(PotentialError::UnknownSpecies { potential, species: s.symbol.clone() }),
        None => Ok(()),
    }
}
