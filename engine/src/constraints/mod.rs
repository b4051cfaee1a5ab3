//! Keeps distances: rigid water, bonds to hydrogen, all bonds, rigid bodies.
//!
//! Constraints σ_k = (|r_i - r_j|² - d_k²)/2 = 0 add forces Σ λ_k ∇σ_k. A drift from r⁰ to r⁰ + v dt is brought back
//! along the gradients at r⁰ (SHAKE), r = r⁰ + v dt + M⁻¹ Σ λ_k ∇σ_k(r⁰), and the velocity follows, v' = (r - r⁰)/dt;
//! after a kick velocities are projected onto v · ∇σ_k(r) = 0 (RATTLE). Together with velocity Verlet this is a
//! symplectic and time-reversible integrator of the constrained system. What a velocity has along the gradients at the
//! start of a drift does not change where the drift ends, so a projection is needed only where kinetic energies count.
//!
//! The graph of constraints falls into independent clusters, each solved by the method that fits:
//! rigid three-site water in closed form (SETTLE); up to 8 coupled constraints (groups X-H_n) by Newton's method with a
//! dense matrix (M-SHAKE); larger clusters (all bonds of a protein) by Newton steps with a sparse L D Lᵀ factor; rigid
//! bodies by exact projection and the symplectic splitting of the free rotor.
//!
//! Sources: Ryckaert, Ciccotti and Berendsen, J. Comput. Phys. 23, 327 (1977), doi:10.1016/0021-9991(77)90098-5 (SHAKE);
//! Andersen, J. Comput. Phys. 52, 24 (1983), doi:10.1016/0021-9991(83)90014-1 (RATTLE); Miyamoto and Kollman, J. Comput.
//! Chem. 13, 952 (1992), doi:10.1002/jcc.540130805 (SETTLE); Kräutler, van Gunsteren and Hünenberger, J. Comput. Chem. 22,
//! 501 (2001), doi:10.1002/1096-987X(20010415)22:5<501::AID-JCC1021>3.0.CO;2-V (M-SHAKE).
mod body;
mod dense;
mod settle;
mod sparse;
mod units;

#[cfg(test)]
mod tests;

use crate::topology::{Partition, Topology};
use crate::{EngineError, Vec3, error::Divergence};
use body::Body;
use dense::Small;
use settle::Waters;
use sparse::Large;
use std::ops::Range;
pub use units::Units;

/// Relative accuracy of the distances unless said otherwise.
pub const TOLERANCE: f64 = 1e-10;

/// Atoms in a block: work is divided among threads by blocks, which no cluster crosses.
const BLOCK: usize = 1024;

/// A distance in a cluster, by the places of its atoms in the block or the cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pair {
    i: u32,
    j: u32,
    /// Square of the distance.
    d2: f64,
}

impl Pair {
    /// The coupling of two constraints through the atoms they share: ∇σ_k M⁻¹ ∇σ_l = c_kl (r_k · r_l), with the inverse masses.
    fn coupling(&self, other: &Self, inverse: &[f64]) -> f64 {
        let w = |a: u32| inverse[a as usize];
        let mut c = 0.0;
        if self.i == other.i {
            c += w(self.i);
        }
        if self.j == other.j {
            c += w(self.j);
        }
        if self.i == other.j {
            c -= w(self.i);
        }
        if self.j == other.i {
            c -= w(self.j);
        }
        c
    }
}

/// The worst relative error of some constraints, and which has it.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    pair: usize,
    error: f64,
}

impl Worst {
    /// Of no constraint yet, in an iteration that has not begun.
    const UNKNOWN: Self = Self { pair: 0, error: f64::INFINITY };
    /// σ_k = (|d|² - d_k²)/2 of a constraint whose atoms are `d` apart, taken into account.
    fn add(&mut self, k: usize, pair: &Pair, d: &Vec3) -> f64 {
        let error = 0.5 * (d.norm_squared() - pair.d2);
        let relative = error.abs() / pair.d2;
        if relative > self.error || relative.is_nan() {
            *self = Self { pair: k, error: relative };
        }
        error
    }
}

/// A constraint that cannot be kept: its atoms and relative error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Broken {
    /// The two atoms.
    pub atoms: [usize; 2],
    /// | |r|² - d² | / 2 d² where the iteration gave up.
    pub error: f64,
}

impl Broken {
    fn shifted(self, first: usize) -> Self {
        Self { atoms: self.atoms.map(|a| a + first), error: self.error }
    }
    /// The failure of a run at a step.
    pub fn at(self, step: u64) -> EngineError {
        let cause = Divergence::Constraint { atoms: self.atoms, error: self.error };
        EngineError::Diverged { step, cause }
    }
}

/// A range of atoms with all that ties them.
#[derive(Clone, Debug, Default)]
struct Block {
    atoms: Range<usize>,
    /// Places of atoms that nothing ties.
    free: Vec<Range<usize>>,
    waters: Waters,
    small: Vec<Small>,
    large: Vec<Large>,
    bodies: Vec<Body>,
}

/// How many clusters of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Rigid three-site molecules in closed form.
    pub waters: usize,
    /// Clusters with a dense matrix.
    pub small: usize,
    /// Clusters with a sparse matrix.
    pub large: usize,
    /// Rigid bodies.
    pub bodies: usize,
}

/// The solver: everything that follows from topology, masses and fixed atoms.
#[derive(Clone, Debug, Default)]
pub struct Constraints {
    tolerance: f64,
    blocks: Vec<Block>,
    units: Units,
}

impl Constraints {
    /// For a topology. `masses` are those of the metric (the true ones for dynamics, 1 for a minimisation) with their
    /// inverses, which are 0 for atoms that do not move; `tolerance` is the relative accuracy of distances.
    pub fn new(topology: &Topology, masses: &[f64], inverse: &[f64], tolerance: f64) -> Self {
        let n = topology.len();
        let moves = |i: u32| inverse[i as usize] != 0.0;
        let active = || topology.constraints().iter().filter(|c| c.atoms.iter().any(|&a| moves(a)));
        if active().next().is_none() && topology.rigid_bodies().is_empty() {
            return Self { tolerance, blocks: Vec::new(), units: Units::single(topology) };
        }
        let bodies = topology.rigid_bodies().iter().flat_map(|b| b.atoms.windows(2).map(|w| [w[0], w[1]]));
        let clusters = Partition::components(n, active().map(|c| c.atoms).chain(bodies));
        let mut blocks = blocks(&clusters, n);
        let mut of_cluster: Vec<Vec<Pair>> = vec![Vec::new(); clusters.len()];
        for c in active() {
            let [i, j] = c.atoms;
            of_cluster[clusters.group_of(i as usize)].push(Pair { i, j, d2: c.length * c.length });
        }
        let mut body_of = vec![None; clusters.len()];
        for (k, b) in topology.rigid_bodies().iter().enumerate() {
            body_of[clusters.group_of(b.atoms[0] as usize)] = Some(k);
        }
        for block in &mut blocks {
            let first = block.atoms.start;
            let mut free: Option<Range<usize>> = None;
            for i in block.atoms.clone() {
                let g = clusters.group_of(i);
                let members = clusters.members(g);
                if members.len() == 1 {
                    let place = i - first;
                    match &mut free {
                        Some(run) if run.end == place => run.end = place + 1,
                        _ => block.free.extend(free.replace(place..place + 1)),
                    }
                    continue;
                }
                if members[0] as usize != i {
                    continue;
                }
                if let Some(k) = body_of[g] {
                    block.bodies.push(Body::new(&topology.rigid_bodies()[k], first, masses));
                    continue;
                }
                let mut pairs = std::mem::take(&mut of_cluster[g]);
                for p in &mut pairs {
                    (p.i, p.j) = (p.i - first as u32, p.j - first as u32);
                }
                let members: Vec<u32> = members.iter().map(|&a| a - first as u32).collect();
                let (masses, inverse) = (&masses[block.atoms.clone()], &inverse[block.atoms.clone()]);
                if block.waters.accept(&members, &pairs, masses, inverse) {
                    continue;
                }
                if pairs.len() <= dense::MAX {
                    block.small.push(Small::new(&members, &pairs, inverse));
                } else {
                    block.large.push(Large::new(&members, &pairs, inverse));
                }
            }
            block.free.extend(free);
            block.waters.sort();
        }
        let units = Units::new(topology, &clusters, masses);
        Self { tolerance, blocks, units }
    }
    /// True when nothing is tied.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
    /// Relative accuracy of distances.
    pub fn tolerance(&self) -> f64 {
        self.tolerance
    }
    /// What a deformation of the cell moves as a whole: clusters of constraints, rigid bodies, single atoms.
    pub fn units(&self) -> &Units {
        &self.units
    }
    /// Clusters by method.
    pub fn kinds(&self) -> Kinds {
        self.blocks.iter().fold(Kinds::default(), |k, b| Kinds {
            waters: k.waters + b.waters.len(),
            small: k.small + b.small.len(),
            large: k.large + b.large.len(),
            bodies: k.bodies + b.bodies.len(),
        })
    }
    /// Papers to cite for the methods that are used.
    pub fn cite(&self) -> Vec<&'static str> {
        let k = self.kinds();
        let used = [
            (
                k.waters + k.small + k.large > 0,
                "H. C. Andersen, J. Comput. Phys. 52, 24 (1983), doi:10.1016/0021-9991(83)90014-1",
            ),
            (
                k.waters > 0,
                "S. Miyamoto and P. A. Kollman, J. Comput. Chem. 13, 952 (1992), doi:10.1002/jcc.540130805",
            ),
            (
                k.small > 0,
                "V. Kräutler, W. F. van Gunsteren and P. H. Hünenberger, J. Comput. Chem. 22, 501 (2001), \
                 doi:10.1002/1096-987X(20010415)22:5<501::AID-JCC1021>3.0.CO;2-V",
            ),
            (
                k.large > 0,
                "P. García-Risueño, P. Echenique and J. L. Alonso, J. Comput. Chem. 32, 3039 (2011), doi:10.1002/jcc.21885",
            ),
            (
                k.bodies > 0,
                "A. Dullweber, B. Leimkuhler and R. McLachlan, J. Chem. Phys. 107, 5840 (1997), doi:10.1063/1.474310",
            ),
        ];
        used.into_iter().filter_map(|(used, paper)| used.then_some(paper)).collect()
    }
    /// A drift r' = r + v dt with all distances kept and v' = (r' - r)/dt. Rigid bodies turn freely.
    ///
    /// # Errors
    /// The first constraint that cannot be kept (a step far too large, or constraints that contradict each other).
    pub fn drift(&self, positions: &mut [Vec3], velocities: &mut [Vec3], dt: f64) -> Result<(), Broken> {
        walk2(&self.blocks, positions, velocities, &|block, r, v| {
            for run in &block.free {
                for i in run.clone() {
                    r[i] += v[i] * dt;
                }
            }
            block.waters.drift(r, v, dt)?;
            block.small.iter().try_for_each(|c| c.drift(r, v, dt, self.tolerance))?;
            block.large.iter().try_for_each(|c| c.drift(r, v, dt, self.tolerance))?;
            block.bodies.iter().for_each(|b| b.drift(r, v, dt));
            Ok(())
        })
    }
    /// Takes out of vectors what would change a distance, orthogonally in the metric of the masses: v · ∇σ_k = 0.
    ///
    /// # Errors
    /// The first constraint that depends on others.
    pub fn project(&self, positions: &[Vec3], vectors: &mut [Vec3]) -> Result<(), Broken> {
        walk(&self.blocks, vectors, &|block, v| {
            let r = &positions[block.atoms.clone()];
            block.waters.project(r, v)?;
            block.small.iter().try_for_each(|c| c.project(r, v))?;
            block.large.iter().try_for_each(|c| c.project(r, v))?;
            block.bodies.iter().for_each(|b| b.project(r, v));
            Ok(())
        })
    }
    /// Brings positions to the distances, along the gradients where they are; rigid bodies are fitted.
    ///
    /// # Errors
    /// The first constraint that cannot be kept.
    pub fn constrain(&self, positions: &mut [Vec3]) -> Result<(), Broken> {
        walk(&self.blocks, positions, &|block, r| {
            block.waters.constrain(r, self.tolerance)?;
            block.small.iter().try_for_each(|c| c.constrain(r, self.tolerance))?;
            block.large.iter().try_for_each(|c| c.constrain(r, self.tolerance))?;
            block.bodies.iter().for_each(|b| b.fit(r));
            Ok(())
        })
    }
}

/// Ranges of at least [`BLOCK`] atoms that no cluster crosses.
fn blocks(clusters: &Partition, atoms: usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut start, mut reach) = (0, 0);
    for i in 0..atoms {
        if i >= start + BLOCK && i > reach {
            blocks.push(Block { atoms: start..i, ..Block::default() });
            start = i;
        }
        let last = clusters.members(clusters.group_of(i)).last().map_or(i, |&l| l as usize);
        reach = reach.max(last);
    }
    if start < atoms {
        blocks.push(Block { atoms: start..atoms, ..Block::default() });
    }
    blocks
}

/// Calls `f` with each block and its part of the items, in parallel; the first error in the order of the blocks.
fn walk<F>(blocks: &[Block], items: &mut [Vec3], f: &F) -> Result<(), Broken>
where
    F: Fn(&Block, &mut [Vec3]) -> Result<(), Broken> + Sync,
{
    match blocks {
        [] => Ok(()),
        [block] => f(block, items).map_err(|e| e.shifted(block.atoms.start)),
        _ => {
            let (left, right) = blocks.split_at(blocks.len() / 2);
            let (a, b) = items.split_at_mut(right[0].atoms.start - left[0].atoms.start);
            let (x, y) = rayon::join(|| walk(left, a, f), || walk(right, b, f));
            x.and(y)
        }
    }
}

/// As [`walk`] with two arrays.
fn walk2<F>(blocks: &[Block], one: &mut [Vec3], two: &mut [Vec3], f: &F) -> Result<(), Broken>
where
    F: Fn(&Block, &mut [Vec3], &mut [Vec3]) -> Result<(), Broken> + Sync,
{
    match blocks {
        [] => Ok(()),
        [block] => f(block, one, two).map_err(|e| e.shifted(block.atoms.start)),
        _ => {
            let (left, right) = blocks.split_at(blocks.len() / 2);
            let cut = right[0].atoms.start - left[0].atoms.start;
            let ((a, b), (c, d)) = (one.split_at_mut(cut), two.split_at_mut(cut));
            let (x, y) = rayon::join(|| walk2(left, a, c, f), || walk2(right, b, d, f));
            x.and(y)
        }
    }
}
