//! Forces, virials and energies of atoms from what the sites say about their neighbours.
use super::block::{BLOCK, Block, Evaluate, Work};
use super::{BlockEnergy, Share, check_species};
use crate::simd::{self, Kernel, LANES, Lanes, Level};
use caloron_engine::neighbors::AtomRows;
use caloron_engine::{Input, Outputs, Potential, PotentialError, Properties, Vec3, parallel};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// The [`Potential`] of a [`BlockEnergy`].
pub struct SiteSum<M: BlockEnergy> {
    model: M,
    cutoff: f64,
    /// Squared cutoffs, by species of the site and of the neighbour.
    cutoffs: Vec<f64>,
    blocks: Vec<Block>,
    /// One for each thread.
    work: Vec<Mutex<Work<M::Scratch>>>,
    row_of_atom: AtomRows,
    /// Forces in the order of the rows.
    forces: Vec<Vec3>,
    level: Level,
}

impl<M: BlockEnergy> SiteSum<M> {
    /// The potential of a model.
    pub fn new(model: M) -> Self {
        let n = model.species();
        let cutoffs: Vec<f64> = (0..n * n).map(|k| model.cutoff(k / n, k % n)).collect();
        let cutoff = cutoffs.iter().copied().fold(0.0, f64::max);
        let cutoffs = cutoffs.iter().map(|c| c * c).collect();
        Self {
            model,
            cutoff,
            cutoffs,
            blocks: Vec::new(),
            work: Vec::new(),
            row_of_atom: AtomRows::default(),
            forces: Vec::new(),
            level: Level::detect(),
        }
    }
    /// Restricts the instructions that are used (for tests; numbers do not change).
    pub fn set_level(&mut self, level: Level) {
        self.level = level;
    }
}

/// The share of edge `e` of row `row` seen from its other end. With `unique` no atom has two images within the cutoff
/// of another. `None` where rounding leaves the other end just outside the cutoff, where its share is zero.
#[inline(always)]
fn seen_from_afar(blocks: &[Block], row: usize, e: usize, unique: bool) -> Option<&Share> {
    let block = &blocks[row / BLOCK];
    let other = block.rows[e] as usize;
    let far = &blocks[other / BLOCK];
    let range = far.row(other % BLOCK);
    let mut from = range.start;
    while from < range.end {
        // there are always eight more entries, some of them perhaps of the next row
        let eight: &[u32; LANES] = far.rows[from..from + LANES].try_into().expect("eight rows");
        let mut same: u32 = 0;
        for (k, &r) in eight.iter().enumerate() {
            same |= u32::from(r == row as u32) << k;
        }
        while same != 0 {
            let f = from + same.trailing_zeros() as usize;
            if f >= range.end {
                return None;
            }
            // images of one atom are never as close as this to each other
            let opposite = || {
                let (here, there) = (&block.edges[e].d, &far.edges[f].d);
                [0, 1, 2].iter().all(|&c| (here[c] + there[c]).abs() < 1e-6)
            };
            if unique || opposite() {
                return Some(&far.shares[f]);
            }
            same &= same - 1;
        }
        from += LANES;
    }
    None
}

/// For a row: each of its edges and the share of the same edge seen from the other end.
fn visit(blocks: &[Block], row: usize, unique: bool, mut with: impl FnMut(usize, &Share)) {
    for e in blocks[row / BLOCK].row(row % BLOCK) {
        if let Some(share) = seen_from_afar(blocks, row, e, unique) {
            with(e, share);
        }
    }
}

/// Forces of a block of rows.
struct Forces<'a> {
    blocks: &'a [Block],
    unique: bool,
    block: usize,
    forces: &'a mut [Vec3],
}

/// Shares that are brought near before the first of them is used.
const AHEAD: usize = 64;

impl Kernel for Forces<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { blocks, unique, block, forces } = self;
        let nothing = Share::default();
        let mut pending = [(0, &nothing); AHEAD];
        let mut waiting = 0;
        for k in 0..forces.len() {
            forces[k] = Vec3::from(blocks[block].slopes[k]);
            for e in blocks[block].row(k) {
                let Some(share) = seen_from_afar(blocks, block * BLOCK + k, e, unique) else { continue };
                V::prefetch(share);
                pending[waiting] = (k, share);
                waiting += 1;
                if waiting == AHEAD {
                    subtract(&pending, forces);
                    waiting = 0;
                }
            }
        }
        subtract(&pending[..waiting], forces);
    }
}

#[inline(always)]
fn subtract(shares: &[(usize, &Share)], forces: &mut [Vec3]) {
    for &(k, share) in shares {
        let [x, y, z] = share.g;
        let f = &mut forces[k];
        f.x -= x;
        f.y -= y;
        f.z -= z;
    }
}

impl<M: BlockEnergy> Potential for SiteSum<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }
    fn cutoff(&self) -> Option<f64> {
        Some(self.cutoff)
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        check_species(M::NAME, self.model.species(), &input)?;
        let list = input.neighbors;
        let centers = list.centers();
        self.row_of_atom.update(list);
        let mut blocks = std::mem::take(&mut self.blocks);
        blocks.resize_with(centers.len().div_ceil(BLOCK), Block::default);
        let apart = input.cell.images_are_beyond(2.0 * self.cutoff);
        let keep_edges = !apart || want.contains(Properties::ATOM_VIRIALS);
        let virial = want.contains(Properties::VIRIAL);
        self.work.resize_with(rayon::current_num_threads() + 1, Mutex::default);
        let Self { model, cutoff, cutoffs, row_of_atom, level, work, .. } = &*self;
        let evaluate = |(b, block): (usize, &mut Block)| {
            let rows = b * BLOCK..((b + 1) * BLOCK).min(centers.len());
            // the last one is for a thread that is not of the pool
            let own = rayon::current_thread_index().unwrap_or(usize::MAX).min(work.len() - 1);
            let mut work = work[own].lock().unwrap_or_else(PoisonError::into_inner);
            let (cutoff, work) = (*cutoff, &mut *work);
            simd::run(
                *level,
                Evaluate { model, cutoffs, cutoff, list, row_of_atom, rows, virial, keep_edges, block, work },
            );
        };
        if blocks.len() <= 2 {
            blocks.iter_mut().enumerate().for_each(evaluate);
        } else {
            blocks.par_iter_mut().enumerate().for_each(evaluate);
        }
        for block in &blocks {
            out.energy += block.energy;
            if want.contains(Properties::VIRIAL) {
                out.virial += block.virial;
            }
        }
        let rows = &self.row_of_atom;
        let at = |i: usize| rows[i] as usize;
        if want.contains(Properties::FORCES) {
            // in the order of the rows, so that what neighbours share is still in the cache
            self.forces.resize(rows.len(), Vec3::zeros());
            let level = self.level;
            let assemble = |(b, forces): (usize, &mut [Vec3])| {
                simd::run(level, Forces { blocks: &blocks, unique: apart, block: b, forces });
            };
            if blocks.len() <= 2 {
                self.forces.chunks_mut(BLOCK).enumerate().for_each(assemble);
            } else {
                self.forces.par_chunks_mut(BLOCK).enumerate().for_each(assemble);
            }
            let forces = &self.forces;
            parallel::for_each_mut(&mut out.forces, |i, force| *force += forces[at(i)]);
        }
        if want.contains(Properties::ATOM_ENERGIES) {
            parallel::for_each_mut(&mut out.atom_energies, |i, energy| {
                let row = at(i);
                let mut e = blocks[row / BLOCK].energies[row % BLOCK];
                visit(&blocks, row, apart, |_, back| e += back.energy);
                *energy += e;
            });
        }
        if want.contains(Properties::ATOM_VIRIALS) {
            parallel::for_each_mut(&mut out.atom_virials, |i, virial| {
                let edges = &blocks[at(i) / BLOCK].edges;
                visit(&blocks, at(i), apart, |e, back| {
                    *virial += Vec3::from(edges[e].d) * Vec3::from(back.g).transpose();
                });
            });
        }
        self.blocks = blocks;
        Ok(())
    }
    fn citations(&self) -> Vec<&'static str> {
        self.model.citations()
    }
}
