//! What the kernels of equivariant message-passing models share: loops over edges that accumulate products of features, radial
//! weights and spherical harmonics (`convolution`), radial networks as piecewise polynomials (`radial`), what belongs to the
//! edges of a geometry (`edges`), and blocks of atoms that are treated together.
//!
//! Derivatives for atoms outside of a block are collected in memory of the block and added in the order of the blocks, so that
//! sums do not depend on the number of threads.
pub(crate) mod convolution;
pub(crate) mod edges;
pub(crate) mod grid;
pub mod potential;
pub(crate) mod radial;
#[cfg(test)]
pub(crate) mod scene;

pub use potential::{Evaluation, GraphPotential, Kernel};
pub use radial::Mode;

use super::graph::Graph;
use super::kernels::gemm::Matrix;
use super::radial::Dense;
use crate::simd::Real;
use rayon::prelude::*;

/// Atoms that one task treats together.
pub(crate) const BLOCK: usize = 12;
/// Blocks whose results for other atoms are kept before they are added.
pub(crate) const WAVE: usize = 32;

/// A pointer that tasks share; each writes to its own places.
#[derive(Clone, Copy)]
pub(crate) struct Shared<X>(pub *mut X);
// SAFETY: blocks write to rows of their own nodes and edges
unsafe impl<X> Send for Shared<X> {}
// SAFETY: as above
unsafe impl<X> Sync for Shared<X> {}

impl<X> Shared<X> {
    pub(crate) fn at(&self, k: usize) -> *mut X {
        self.0.wrapping_add(k)
    }
    /// # Safety
    /// Nobody else may use these elements, which must exist.
    #[expect(clippy::mut_from_ref, reason = "a place of its own for every task")]
    pub(crate) unsafe fn slice(&self, start: usize, len: usize) -> &mut [X] {
        // SAFETY: as the caller promises
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}

/// Runs a task for every block, a wave at a time, and something after each wave.
pub(crate) fn waves<S: Send>(
    slots: &mut [S],
    blocks: usize,
    task: impl Fn(usize, &mut S) + Sync,
    after: impl Fn(usize, &[S]),
) {
    let mut first = 0;
    while first < blocks {
        let count = (blocks - first).min(slots.len());
        let wave = &mut slots[..count];
        wave.par_iter_mut().with_max_len(1).enumerate().for_each(|(k, slot)| task(first + k, slot));
        after(first, &slots[..count]);
        first += count;
    }
}

/// First node and number of nodes of a block.
pub(crate) fn nodes(b: usize, graph: &Graph) -> (usize, usize) {
    (b * BLOCK, graph.nodes().min((b + 1) * BLOCK) - b * BLOCK)
}

/// A number of channels filled up to whole vectors of either precision.
pub(crate) const fn pad(channels: usize) -> usize {
    channels.div_ceil(16) * 16
}

/// A matrix and its transpose.
pub(crate) struct Both<T: Real> {
    /// C_in rows, padded C_out columns.
    pub forward: Matrix<T>,
    /// C_out rows, padded C_in columns.
    pub backward: Matrix<T>,
}

impl<T: Real> Both<T> {
    pub(crate) fn new(w: &Dense) -> Self {
        let forward =
            Matrix::new(w.inputs, pad(w.outputs), |i, o| if o < w.outputs { w.at(i, o) } else { 0.0 });
        let backward =
            Matrix::new(w.outputs, pad(w.inputs), |o, i| if i < w.inputs { w.at(i, o) } else { 0.0 });
        Self { forward, backward }
    }
}
