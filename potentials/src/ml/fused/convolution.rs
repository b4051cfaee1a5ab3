//! The loops over edges.
//!
//! For a path (l₁, l₂, l₃), Φ_(m₁ m₂) = Σ_e R(r_e) h_(m₁)(j_e) Y_(m₂)(e) is accumulated in registers for a vector of channels at a
//! time, and coupled with the 3j symbols once for each node. The reverse pass does the same with the derivatives. Weights
//! R of a tile of edges are evaluated just before they are used; nothing of the size edges times channels is stored.
use super::radial::{Mode, Weights};
use crate::simd::{Real, Vector, VectorKernel};

/// Edges treated together.
pub const TILE: usize = 32;
/// Vectors of channels that the reverse pass adds up before it sums over their lanes.
const GROUP: usize = 2;

/// A path with its place in the features.
pub struct Path<T> {
    /// l₁, l₂, l₃.
    pub degrees: [usize; 3],
    /// Components of the features of a node that come before those of l₁.
    pub row: usize,
    /// Numbers that they take.
    pub offset: usize,
    /// Numbers from one component of l₁ to the next.
    pub stride: usize,
    /// Numbers from one component of the sums to the next.
    pub sums: usize,
    /// Vectors of channels.
    pub chunks: usize,
    /// m₁, m₂, m₃ and the 3j symbol.
    pub coupling: Vec<([u8; 3], T)>,
}

/// What the loops over the edges of a block read.
#[derive(Clone, Copy)]
pub struct Edges<'a, T: Real> {
    /// Edges of node k of the block: `offsets[k]..offsets[k + 1]`.
    pub offsets: &'a [u32],
    /// Spherical harmonics, `lm` for each edge.
    pub y: *const T,
    /// Number of spherical harmonics.
    pub lm: usize,
    /// Interval of the tables.
    pub cell: &'a [u32],
    /// Place in it.
    pub local: &'a [T],
    /// Hidden values of the networks and their derivatives, for exact evaluation.
    pub hidden: &'a [T],
    /// Node (or species) whose features each edge takes.
    pub source: &'a [u32],
    /// Features.
    pub h: *const T,
    /// Their number of nodes (or species): components of degree l of all of them follow each other, degree after degree.
    pub h_nodes: usize,
}

/// Σ over edges of one path.
pub struct Forward<'a, T: Real> {
    /// Geometry and features.
    pub edges: Edges<'a, T>,
    /// The path.
    pub path: &'a Path<T>,
    /// Its number.
    pub number: usize,
    /// Radial weights.
    pub weights: &'a Weights<T>,
    /// How they are evaluated.
    pub mode: Mode,
    /// Coupled sums, 2l₃ + 1 rows for each node of the block.
    pub out: *mut T,
}

/// Calls a method with the numbers of components of l₁ and l₂ as constants.
macro_rules! by_degrees {
    ($degrees:expr, $self:ident . $name:ident :: <$v:ident> ($($argument:expr),*)) => {
        match ($degrees[0], $degrees[1]) {
            (0, 0) => $self.$name::<$v, 1, 1>($($argument),*),
            (0, 1) => $self.$name::<$v, 1, 3>($($argument),*),
            (0, 2) => $self.$name::<$v, 1, 5>($($argument),*),
            (0, 3) => $self.$name::<$v, 1, 7>($($argument),*),
            (0, 4) => $self.$name::<$v, 1, 9>($($argument),*),
            (1, 0) => $self.$name::<$v, 3, 1>($($argument),*),
            (1, 1) => $self.$name::<$v, 3, 3>($($argument),*),
            (1, 2) => $self.$name::<$v, 3, 5>($($argument),*),
            (1, 3) => $self.$name::<$v, 3, 7>($($argument),*),
            (1, 4) => $self.$name::<$v, 3, 9>($($argument),*),
            (2, 0) => $self.$name::<$v, 5, 1>($($argument),*),
            (2, 1) => $self.$name::<$v, 5, 3>($($argument),*),
            (2, 2) => $self.$name::<$v, 5, 5>($($argument),*),
            (2, 3) => $self.$name::<$v, 5, 7>($($argument),*),
            (2, 4) => $self.$name::<$v, 5, 9>($($argument),*),
            (3, 0) => $self.$name::<$v, 7, 1>($($argument),*),
            (3, 1) => $self.$name::<$v, 7, 3>($($argument),*),
            (3, 2) => $self.$name::<$v, 7, 5>($($argument),*),
            (3, 3) => $self.$name::<$v, 7, 7>($($argument),*),
            (3, 4) => $self.$name::<$v, 7, 9>($($argument),*),
            _ => unreachable!("degrees are checked when the model is built"),
        }
    };
}

impl<T: Real> VectorKernel<T> for Forward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        by_degrees!(self.path.degrees, self.sum::<V>())
    }
}

impl<T: Real> Forward<'_, T> {
    #[inline(always)]
    fn sum<V: Vector<Scalar = T>, const A: usize, const B: usize>(&self) {
        let edges = &self.edges;
        let lanes = T::LANES;
        let zero = V::splat(T::default());
        let width = 2 * self.path.degrees[2] + 1;
        let harmonic = self.path.degrees[1] * self.path.degrees[1];
        let (base, stride) = (edges.h_nodes * self.path.offset, self.path.stride);
        let mut radial = [zero; TILE];
        for chunk in 0..self.path.chunks {
            for (n, ends) in edges.offsets.windows(2).enumerate() {
                let mut sums = [[zero; B]; A];
                let (mut at, end) = (ends[0] as usize, ends[1] as usize);
                while at < end {
                    let count = (end - at).min(TILE);
                    // SAFETY: arrays have a place for each of these edges, features one for each source
                    unsafe {
                        self.weights.values::<V>(
                            self.mode,
                            edges,
                            self.number,
                            chunk,
                            at,
                            count,
                            &mut radial,
                        );
                        for (k, r) in radial[..count].iter().enumerate() {
                            let e = at + k;
                            let source = *edges.source.get_unchecked(e) as usize;
                            let h = edges.h.add(base + source * A * stride + chunk * lanes);
                            let y = edges.y.add(e * edges.lm + harmonic);
                            for (m1, sums) in sums.iter_mut().enumerate() {
                                let x = V::load(h.add(m1 * stride)) * *r;
                                for (m2, sum) in sums.iter_mut().enumerate() {
                                    *sum = x.mul_add(V::splat(*y.add(m2)), *sum);
                                }
                            }
                        }
                    }
                    at += count;
                }
                let mut out = [zero; 16];
                for ([m1, m2, m3], c) in &self.path.coupling {
                    let o = &mut out[usize::from(*m3) % 16];
                    *o = sums[usize::from(*m1) % A][usize::from(*m2) % B].mul_add(V::splat(*c), *o);
                }
                for (m, o) in out[..width].iter().enumerate() {
                    // SAFETY: there are `width` rows for every node
                    unsafe { o.store(self.out.add((n * width + m) * self.path.sums + chunk * lanes)) };
                }
            }
        }
    }
}

/// Derivatives of all paths.
pub struct Backward<'a, T: Real> {
    /// Geometry and features.
    pub edges: Edges<'a, T>,
    /// Paths.
    pub paths: &'a [Path<T>],
    /// Radial weights.
    pub weights: &'a Weights<T>,
    /// How they are evaluated.
    pub mode: Mode,
    /// Derivatives with respect to the coupled sums of every path.
    pub bars: *const T,
    /// Where those of each path start.
    pub first: &'a [usize],
    /// Derivatives (added), [`edge_rows`] numbers for each edge: first along the edge, then with respect to the spherical harmonics
    /// beyond the constant one.
    pub edge_bar: *mut T,
    /// Derivatives with respect to the features of the sources (added): for each vector of channels, rows of nodes as in
    /// the list of sources of the block. Null when they are not needed.
    pub h_bar: *mut T,
    /// Rows of features of a node, for each vector of channels.
    pub h_rows: &'a [usize],
    /// Nodes in the list.
    pub h_count: usize,
    /// Place in the list of the source of each edge.
    pub place: &'a [u32],
    /// Scratch memory for a tile.
    pub scratch: *mut T,
}

impl<T: Real> VectorKernel<T> for Backward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        let edges = &self.edges;
        let (lanes, rows) = (T::LANES, edge_rows::<T>(edges.lm));
        let zero = V::splat(T::default());
        let mut h_bar = self.h_bar;
        for (group, rows_of_chunks) in self.h_rows.chunks(GROUP).enumerate() {
            let mut targets = [Target { h_bar, h_rows: 0, chunk: 0 }; GROUP];
            for (k, (target, h_rows)) in targets.iter_mut().zip(rows_of_chunks).enumerate() {
                *target = Target { h_bar, h_rows: *h_rows, chunk: group * GROUP + k };
                if !h_bar.is_null() {
                    let len = self.h_count * h_rows * lanes;
                    // SAFETY: there are that many rows for every vector of channels; cleared here, they are in the cache
                    unsafe { std::slice::from_raw_parts_mut(h_bar, len) }.fill(T::default());
                    h_bar = h_bar.wrapping_add(len);
                }
            }
            let targets = &targets[..rows_of_chunks.len()];
            for (n, ends) in edges.offsets.windows(2).enumerate() {
                let (mut at, end) = (ends[0] as usize, ends[1] as usize);
                while at < end {
                    let count = (end - at).min(TILE);
                    // SAFETY: the scratch memory holds a tile, and the arrays have a place for every edge
                    unsafe {
                        for k in 0..count * rows {
                            zero.store(self.scratch.add(k * lanes));
                        }
                        for target in targets {
                            for number in 0..self.paths.len() {
                                if target.chunk < self.paths[number].chunks {
                                    by_degrees!(
                                        self.paths[number].degrees,
                                        self.path::<V>(number, target, n, at, count)
                                    );
                                }
                            }
                        }
                        for k in 0..count * rows / lanes {
                            let to = self.edge_bar.add(at * rows + k * lanes);
                            (V::load(to) + row_sums::<T, V>(self.scratch.add(k * lanes * lanes))).store(to);
                        }
                    }
                    at += count;
                }
            }
        }
    }
}

/// Where the derivatives of a vector of channels go.
#[derive(Clone, Copy)]
struct Target<T> {
    h_bar: *mut T,
    h_rows: usize,
    chunk: usize,
}

impl<T: Real> Backward<'_, T> {
    #[inline(always)]
    unsafe fn path<V: Vector<Scalar = T>, const A: usize, const B: usize>(
        &self,
        number: usize,
        target: &Target<T>,
        n: usize,
        at: usize,
        count: usize,
    ) {
        let (edges, path, chunk, stride) =
            (&self.edges, &self.paths[number], target.chunk, self.paths[number].stride);
        let (lanes, lm, tile_rows) = (T::LANES, edges.lm, edge_rows::<T>(edges.lm));
        let zero = V::splat(T::default());
        let width = 2 * path.degrees[2] + 1;
        let harmonic = path.degrees[1] * path.degrees[1];
        let base = edges.h_nodes * path.offset;
        let mut radial = [[zero; 2]; TILE];
        let mut bars = [[zero; B]; A];
        // SAFETY: as in `run`
        unsafe {
            let rows = self.bars.add(self.first[number] + n * width * path.sums + chunk * lanes);
            for ([m1, m2, m3], c) in &path.coupling {
                let bar = V::load(rows.add(usize::from(*m3) * path.sums));
                let b = &mut bars[usize::from(*m1) % A][usize::from(*m2) % B];
                *b = bar.mul_add(V::splat(*c), *b);
            }
            self.weights.slopes::<V>(self.mode, edges, number, chunk, at, count, &mut radial);
            for (k, [r, slope]) in radial[..count].iter().enumerate() {
                let e = at + k;
                let source = *edges.source.get_unchecked(e) as usize;
                let h = edges.h.add(base + source * A * stride + chunk * lanes);
                let y = edges.y.add(e * lm + harmonic);
                let tile = self.scratch.add(k * tile_rows * lanes);
                let mut along = zero;
                let mut turned = [zero; B];
                let mut feature = [zero; A];
                for m1 in 0..A {
                    let x = V::load(h.add(m1 * stride));
                    let rx = x * *r;
                    let mut g = bars[m1][0] * V::splat(*y);
                    for m2 in 1..B {
                        g = bars[m1][m2].mul_add(V::splat(*y.add(m2)), g);
                    }
                    along = x.mul_add(g, along);
                    if B > 1 {
                        for m2 in 0..B {
                            turned[m2] = rx.mul_add(bars[m1][m2], turned[m2]);
                        }
                    }
                    feature[m1] = g;
                }
                along.mul_add(*slope, V::load(tile)).store(tile);
                if B > 1 {
                    for (m2, turned) in turned.iter().enumerate() {
                        let to = tile.add((harmonic + m2) * lanes);
                        (V::load(to) + *turned).store(to);
                    }
                }
                if !target.h_bar.is_null() {
                    let place = *self.place.get_unchecked(e) as usize;
                    let row = place * target.h_rows + path.row;
                    for (m1, g) in feature.iter().enumerate() {
                        let to = target.h_bar.add((row + m1) * lanes);
                        g.mul_add(*r, V::load(to)).store(to);
                    }
                }
            }
        }
    }
}

/// Numbers kept for each edge in the reverse pass: those of the spherical harmonics, filled up to whole vectors.
pub const fn edge_rows<T: Real>(lm: usize) -> usize {
    lm.div_ceil(T::LANES) * T::LANES
}

/// The sums of as many rows as there are lanes, one in each lane.
///
/// Every sum is ((q₀ + q₁) + (q₂ + q₃)), where q_j = x_2j + x_(2j+1) of eight and (x_4j + x_(4j+2)) + (x_(4j+1) + x_(4j+3)) of sixteen numbers, at every
/// level of instructions.
///
/// # Safety
/// There must be that many rows.
#[inline(always)]
unsafe fn row_sums<T: Real, V: Vector<Scalar = T>>(from: *const T) -> V {
    #[cfg(target_arch = "x86_64")]
    if V::WIDE {
        // SAFETY: wide vectors are those of AVX-512, and run only where it is enabled
        return unsafe { if T::LANES == 16 { sums16(from.cast()) } else { sums8(from.cast()) } };
    }
    let mut sums = [T::default(); 16];
    for (k, sum) in sums[..T::LANES].iter_mut().enumerate() {
        // SAFETY: as the caller promises
        let x = |j: usize| unsafe { *from.add(k * T::LANES + j) };
        let q = |j: usize| {
            if T::LANES == 16 {
                (x(4 * j) + x(4 * j + 2)) + (x(4 * j + 1) + x(4 * j + 3))
            } else {
                x(2 * j) + x(2 * j + 1)
            }
        };
        *sum = (q(0) + q(1)) + (q(2) + q(3));
    }
    // SAFETY: sixteen numbers are enough for any vector
    unsafe { V::load(sums.as_ptr()) }
}

/// [`row_sums`] of sixteen rows of sixteen numbers.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
unsafe fn sums16<V: Vector>(from: *const f32) -> V {
    use std::arch::x86_64::*;
    // SAFETY: as the caller promises
    unsafe {
        let row = |k: usize| _mm512_loadu_ps(from.add(16 * k));
        let two = |k: usize| {
            let (a, b) = (row(k), row(k + 1));
            _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)))
        };
        let four = |k: usize| {
            let (a, b) = (two(k), two(k + 2));
            _mm512_add_ps(
                _mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)),
            )
        };
        let pair = |a: __m512, b: __m512| {
            _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b))
        };
        let all = pair(pair(four(0), four(4)), pair(four(8), four(12)));
        let mut out = [0.0f32; 16];
        _mm512_storeu_ps(out.as_mut_ptr(), all);
        V::load(out.as_ptr().cast())
    }
}

/// [`row_sums`] of eight rows of eight numbers.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
unsafe fn sums8<V: Vector>(from: *const f64) -> V {
    use std::arch::x86_64::*;
    // SAFETY: as the caller promises
    unsafe {
        let row = |k: usize| _mm512_loadu_pd(from.add(8 * k));
        let two = |k: usize| {
            let (a, b) = (row(k), row(k + 1));
            _mm512_add_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b))
        };
        let pair = |a: __m512d, b: __m512d| {
            _mm512_add_pd(_mm512_shuffle_f64x2::<0x88>(a, b), _mm512_shuffle_f64x2::<0xdd>(a, b))
        };
        let all = pair(pair(two(0), two(2)), pair(two(4), two(6)));
        let mut out = [0.0f64; 8];
        _mm512_storeu_pd(out.as_mut_ptr(), all);
        V::load(out.as_ptr().cast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Level, run_vector};

    struct Sums<'a, T>(&'a [T]);

    impl<T: Real> VectorKernel<T> for Sums<'_, T> {
        type Output = Vec<T>;
        #[inline(always)]
        fn run<V: Vector<Scalar = T>>(self) -> Vec<T> {
            let mut out = vec![T::default(); T::LANES];
            // SAFETY: the test gives enough rows
            unsafe { row_sums::<T, V>(self.0.as_ptr()).store(out.as_mut_ptr()) };
            out
        }
    }

    fn check<T: Real>(epsilon: f64) {
        let n = T::LANES;
        let x: Vec<T> = (0..n * n).map(|k| T::from_f64(((k * 7919 % 1009) as f64 - 500.0) / 77.0)).collect();
        let sums = run_vector(Level::detect(), Sums(&x));
        for other in [Level::Avx2, Level::Portable] {
            assert_eq!(sums, run_vector(other, Sums(&x)), "{other:?}");
        }
        for (k, sum) in sums.iter().enumerate() {
            let expected: f64 = x[k * n..(k + 1) * n].iter().map(|x| x.to_f64()).sum();
            assert!((sum.to_f64() - expected).abs() < epsilon, "row {k}");
        }
    }

    #[test]
    fn sums_of_rows_are_the_same_at_every_level() {
        check::<f64>(1e-12);
        check::<f32>(1e-4);
    }
}
