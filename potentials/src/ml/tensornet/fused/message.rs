//! The reverse pass of the messages.
//!
//! M_i = Σ_j f(r_ij) Y_j with weights that are the same for i → j and j → i, and every edge is there in both directions. What is needed for
//! atom i, Ȳ_i = Σ_j f(r_ij) M̄_j, is therefore a sum over its own row; so is the derivative f'(r_ij) ⟨Y_i, M̄_j⟩ of the message that goes from i to j, which is
//! kept for the edge from i to j. Nothing is scattered.
use super::algebra::{PARTS, Rows};
use crate::ml::fused::convolution::{Edges, TILE};
use crate::ml::fused::radial::{Mode, Weights};
use crate::simd::{Real, Vector, VectorKernel};

/// Derivatives of messages for some nodes.
pub struct Adjoint<'a, T: Real> {
    /// Geometry, and M̄ of all nodes as the features.
    pub edges: Edges<'a, T>,
    /// Radial weights, one path for each part.
    pub weights: &'a Weights<T>,
    /// How they are evaluated.
    pub mode: Mode,
    /// Y of the nodes.
    pub y: Rows<T>,
    /// Ȳ of the nodes (added).
    pub y_bar: Rows<T>,
    /// Vectors of channels.
    pub chunks: usize,
    /// Derivatives along each edge (added), the first of so many numbers for each.
    pub along: *mut T,
    /// Numbers for each edge.
    pub rows: usize,
}

impl<T: Real> VectorKernel<T> for Adjoint<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        let edges = &self.edges;
        let (lanes, stride) = (T::LANES, self.y.stride);
        let zero = V::splat(T::default());
        let mut radial = [[[zero; 2]; TILE]; 3];
        for chunk in 0..self.chunks {
            for (n, ends) in edges.offsets.windows(2).enumerate() {
                let (mut at, end) = (ends[0] as usize, ends[1] as usize);
                // SAFETY: arrays have a place for each of these edges, features one for each source; the rows are those of this task
                unsafe {
                    let y = self.y.load::<V>(n, chunk * lanes);
                    let mut sums = self.y_bar.load::<V>(n, chunk * lanes);
                    while at < end {
                        let count = (end - at).min(TILE);
                        for (number, radial) in radial.iter_mut().enumerate() {
                            self.weights.slopes::<V>(self.mode, edges, number, chunk, at, count, radial);
                        }
                        for k in 0..count {
                            let source = *edges.source.get_unchecked(at + k) as usize;
                            let mut along = zero;
                            for (degree, (first, width)) in PARTS.into_iter().enumerate() {
                                let from = (edges.h_nodes * first + source * width) * stride + chunk * lanes;
                                let from = edges.h.wrapping_add(from);
                                let [w, slope] = radial[degree][k];
                                let mut dot = zero;
                                for m in 0..width {
                                    let g = V::load(from.wrapping_add(m * stride));
                                    sums[first + m] = g.mul_add(w, sums[first + m]);
                                    dot = g.mul_add(y[first + m], dot);
                                }
                                along = dot.mul_add(slope, along);
                            }
                            *self.along.add((at + k) * self.rows) += along.sum();
                        }
                        at += count;
                    }
                    self.y_bar.store(n, chunk * lanes, sums);
                }
            }
        }
    }
}
