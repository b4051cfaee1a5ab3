//! Matrices of every node and channel, in nine coordinates.
//!
//! A 3 × 3 matrix is the sum of a multiple of the identity, a skew and a symmetric traceless part: T = Σ t_k E_k with nine matrices E_k that are
//! orthonormal, so that ‖T‖² = Σ t_k² and coordinates of a matrix and derivatives with respect to them are found by the same projections. The
//! coordinates of the parts are those of spherical harmonics of degree 0, 1 and 2 in e3nn's order: 1; x, y, z; xz, xy, 2y² − x² − z², yz, z² − x².
use crate::simd::{Real, Vector, VectorKernel};

/// Coordinates of a matrix.
pub const COORDINATES: usize = 9;
/// Degree of each coordinate, as its first coordinate and how many there are.
pub const PARTS: [(usize, usize); 3] = [(0, 1), (1, 3), (4, 5)];

const THIRD: f64 = 0.577_350_269_189_625_8; // 1/√3
const HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;
const SIXTH: f64 = 0.408_248_290_463_863; // 1/√6

#[inline(always)]
fn number<V: Vector>(x: f64) -> V {
    V::splat(V::Scalar::from_f64(x))
}

/// The matrix of coordinates, by rows.
#[inline(always)]
pub fn matrix<V: Vector>(t: [V; 9]) -> [V; 9] {
    let (third, half, sixth) = (number::<V>(THIRD), number::<V>(HALF), number::<V>(SIXTH));
    let d = t[0] * third;
    let (ax, ay, az) = (t[1] * half, t[2] * half, t[3] * half);
    let (xz, xy, yz) = (t[4] * half, t[5] * half, t[7] * half);
    let (p, w) = (t[6] * sixth, t[8] * half);
    let low = d - p;
    [low - w, xy - az, xz + ay, xy + az, d + (p + p), yz - ax, xz - ay, yz + ax, low + w]
}

/// The coordinates of a matrix: its projections on the nine.
#[inline(always)]
pub fn coordinates<V: Vector>(m: [V; 9]) -> [V; 9] {
    let (third, half, sixth) = (number::<V>(THIRD), number::<V>(HALF), number::<V>(SIXTH));
    let ends = m[0] + m[8];
    [
        (ends + m[4]) * third,
        (m[7] - m[5]) * half,
        (m[2] - m[6]) * half,
        (m[3] - m[1]) * half,
        (m[2] + m[6]) * half,
        (m[1] + m[3]) * half,
        ((m[4] + m[4]) - ends) * sixth,
        (m[5] + m[7]) * half,
        (m[8] - m[0]) * half,
    ]
}

/// c + A B, with A or B transposed where asked for.
#[inline(always)]
fn times<V: Vector, const TA: bool, const TB: bool>(a: &[V; 9], b: &[V; 9], c: &mut [V; 9]) {
    for i in 0..3 {
        for j in 0..3 {
            let mut sum = c[3 * i + j];
            for k in 0..3 {
                let x = if TA { a[3 * k + i] } else { a[3 * i + k] };
                let y = if TB { b[3 * j + k] } else { b[3 * k + j] };
                sum = x.mul_add(y, sum);
            }
            c[3 * i + j] = sum;
        }
    }
}

#[inline(always)]
fn zeros<V: Vector>() -> [V; 9] {
    [V::splat(V::Scalar::default()); 9]
}

#[inline(always)]
fn scaled<V: Vector>(mut x: [V; 9], by: V) -> [V; 9] {
    for x in &mut x {
        *x = *x * by;
    }
    x
}

#[inline(always)]
fn dot<V: Vector>(a: &[V; 9], b: &[V; 9]) -> V {
    let mut sum = a[0] * b[0];
    for k in 1..9 {
        sum = a[k].mul_add(b[k], sum);
    }
    sum
}

/// X/(‖X‖² + 1).
#[inline(always)]
fn bounded<V: Vector>(x: &[V; 9]) -> [V; 9] {
    let n = (dot(x, x) + number::<V>(1.0)).reciprocal();
    scaled(*x, n)
}

/// Derivatives with respect to X from those with respect to X n, n = 1/(‖X‖² + 1): n (G − 2 n ⟨G, X⟩ X).
#[inline(always)]
fn bounded_backward<V: Vector>(x: &[V; 9], g: &[V; 9]) -> [V; 9] {
    let n = (dot(x, x) + number::<V>(1.0)).reciprocal();
    let along = number::<V>(-2.0) * n * dot(g, x);
    let mut out = *g;
    for k in 0..9 {
        out[k] = along.mul_add(x[k], g[k]) * n;
    }
    out
}

/// Rows of coordinates of some nodes: those of degree l of all nodes follow each other, degree after degree.
#[derive(Clone, Copy)]
pub struct Rows<T> {
    /// Start of the memory.
    pub start: *mut T,
    /// Nodes in it.
    pub nodes: usize,
    /// The first of those that are meant.
    pub first: usize,
    /// Numbers from one coordinate to the next.
    pub stride: usize,
}

impl<T> Rows<T> {
    /// Where a part of the first node starts.
    #[inline(always)]
    pub fn part(&self, degree: usize) -> usize {
        let (first, width) = PARTS[degree];
        (self.nodes * first + self.first * width) * self.stride
    }
    /// The coordinates of a node for a vector of channels.
    ///
    /// # Safety
    /// The memory must hold them.
    #[inline(always)]
    pub unsafe fn load<V: Vector<Scalar = T>>(&self, node: usize, channel: usize) -> [V; 9]
    where
        T: Real,
    {
        let mut out = zeros::<V>();
        for (degree, (first, width)) in PARTS.into_iter().enumerate() {
            let row = self.part(degree) + node * width * self.stride + channel;
            for m in 0..width {
                // SAFETY: as the caller promises
                out[first + m] = unsafe { V::load(self.start.wrapping_add(row + m * self.stride)) };
            }
        }
        out
    }
    /// Writes them.
    ///
    /// # Safety
    /// The memory must hold them, and belong to this task.
    #[inline(always)]
    pub unsafe fn store<V: Vector<Scalar = T>>(&self, node: usize, channel: usize, x: [V; 9])
    where
        T: Real,
    {
        for (degree, (first, width)) in PARTS.into_iter().enumerate() {
            let row = self.part(degree) + node * width * self.stride + channel;
            for m in 0..width {
                // SAFETY: as the caller promises
                unsafe { x[first + m].store(self.start.wrapping_add(row + m * self.stride)) };
            }
        }
    }
}

/// What is done at every node and channel.
pub enum Task<T> {
    /// to = a/(‖a‖² + 1).
    Bound {
        /// X.
        a: Rows<T>,
        /// Result.
        to: Rows<T>,
    },
    /// to = derivatives with respect to a from those, `bar`, with respect to a/(‖a‖² + 1).
    BoundBackward {
        /// X.
        a: Rows<T>,
        /// Derivatives that are known.
        bar: Rows<T>,
        /// Result.
        to: Rows<T>,
    },
    /// to = C/(‖C‖² + 1) with C = factor (M Y + Y M), or factor Y M.
    Multiply {
        /// Messages M.
        m: Rows<T>,
        /// Y.
        y: Rows<T>,
        /// Result.
        to: Rows<T>,
    },
    /// Derivatives with respect to M and Y from those, `bar`, with respect to C/(‖C‖² + 1); those of Y get what M had of the node itself added.
    MultiplyBackward {
        /// Messages M.
        m: Rows<T>,
        /// Y.
        y: Rows<T>,
        /// Derivatives that are known.
        bar: Rows<T>,
        /// Derivatives with respect to M.
        m_bar: Rows<T>,
        /// Derivatives with respect to Y.
        y_bar: Rows<T>,
        /// By degree and channel: what M has of Y at the node itself.
        own: *const T,
    },
    /// to = x + D + factor D D.
    Update {
        /// x.
        x: Rows<T>,
        /// D.
        d: Rows<T>,
        /// Result.
        to: Rows<T>,
    },
    /// to = derivatives with respect to D.
    UpdateBackward {
        /// Derivatives with respect to the result.
        bar: Rows<T>,
        /// D.
        d: Rows<T>,
        /// Result.
        to: Rows<T>,
    },
    /// ‖·‖² of all of a: one row for each node.
    Norm {
        /// X.
        a: Rows<T>,
        /// Result, one row for each node.
        to: *mut T,
    },
    /// to += 2 a bar, where `bar` has one row for each node.
    NormBackward {
        /// X.
        a: Rows<T>,
        /// One row for each node.
        bar: *const T,
        /// Result.
        to: Rows<T>,
    },
    /// ‖·‖² of each part of a: three rows for each node.
    Norms {
        /// X.
        a: Rows<T>,
        /// Result.
        to: *mut T,
    },
    /// to = 2 a bar, where `bar` has three rows for each node.
    NormsBackward {
        /// X.
        a: Rows<T>,
        /// Three rows for each node.
        bar: *const T,
        /// Result.
        to: Rows<T>,
    },
    /// to = a h, where h has a row for each part.
    Gate {
        /// X.
        a: Rows<T>,
        /// Three rows for each node.
        h: *const T,
        /// Result.
        to: Rows<T>,
    },
    /// Derivatives with respect to a and h of a h.
    GateBackward {
        /// X.
        a: Rows<T>,
        /// Three rows for each node.
        h: *const T,
        /// Derivatives with respect to the result.
        bar: Rows<T>,
        /// Derivatives with respect to a.
        to: Rows<T>,
        /// Derivatives with respect to h.
        h_bar: *mut T,
    },
    /// to += w a, where w has a row for each part.
    Own {
        /// X.
        a: Rows<T>,
        /// By degree and channel.
        own: *const T,
        /// Result.
        to: Rows<T>,
    },
}

/// A task for some nodes.
pub struct Pointwise<T> {
    /// Nodes.
    pub count: usize,
    /// Channels, filled up to whole vectors.
    pub padded: usize,
    /// Numbers from one row of scalars to the next.
    pub stride: usize,
    /// 1 + charge/10, for products.
    pub charge: T,
    /// Whether products are symmetrised.
    pub both: bool,
    /// What.
    pub task: Task<T>,
}

impl<T: Real> VectorKernel<T> for Pointwise<T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        let Self { count, padded, stride, charge, both, task } = self;
        let charge = V::splat(charge);
        // SO(3) has 2 Y M whatever the charge
        let factor = if both { charge } else { number::<V>(2.0) };
        let two = number::<V>(2.0);
        for n in 0..count {
            for c in (0..padded).step_by(T::LANES) {
                let scalar = |rows: usize, k: usize| (n * rows + k) * stride + c;
                // SAFETY: rows of the nodes of this task
                unsafe {
                    match &task {
                        Task::Bound { a, to } => to.store(n, c, bounded(&a.load::<V>(n, c))),
                        Task::BoundBackward { a, bar, to } => {
                            let (x, g) = (a.load::<V>(n, c), bar.load::<V>(n, c));
                            to.store(n, c, bounded_backward(&x, &g));
                        }
                        Task::Multiply { m, y, to } => {
                            let (m, y) = (matrix(m.load::<V>(n, c)), matrix(y.load::<V>(n, c)));
                            to.store(n, c, bounded(&product(&m, &y, factor, both)));
                        }
                        Task::MultiplyBackward { m, y, bar, m_bar, y_bar, own } => {
                            let (m, y) = (matrix(m.load::<V>(n, c)), matrix(y.load::<V>(n, c)));
                            let of = product(&m, &y, factor, both);
                            let g = bounded_backward(&of, &bar.load::<V>(n, c));
                            let g = scaled(matrix(g), factor);
                            let (mut gm, mut gy) = (zeros::<V>(), zeros::<V>());
                            // C = Y M, and M Y
                            times::<V, true, false>(&y, &g, &mut gm);
                            times::<V, false, true>(&g, &m, &mut gy);
                            if both {
                                times::<V, false, true>(&g, &y, &mut gm);
                                times::<V, true, false>(&m, &g, &mut gy);
                            }
                            let (gm, mut gy) = (coordinates(gm), coordinates(gy));
                            for (degree, (first, width)) in PARTS.into_iter().enumerate() {
                                let w = V::load(own.wrapping_add(degree * stride + c));
                                for k in first..first + width {
                                    gy[k] = w.mul_add(gm[k], gy[k]);
                                }
                            }
                            m_bar.store(n, c, gm);
                            y_bar.store(n, c, gy);
                        }
                        Task::Update { x, d, to } => {
                            let (mut x, d) = (x.load::<V>(n, c), d.load::<V>(n, c));
                            let square = squared(&matrix(d));
                            for k in 0..9 {
                                x[k] = square[k].mul_add(charge, x[k] + d[k]);
                            }
                            to.store(n, c, x);
                        }
                        Task::UpdateBackward { bar, d, to } => {
                            let g = bar.load::<V>(n, c);
                            let (m, d) = (matrix(g), matrix(d.load::<V>(n, c)));
                            let mut sum = zeros::<V>();
                            times::<V, false, true>(&m, &d, &mut sum);
                            times::<V, true, false>(&d, &m, &mut sum);
                            let mut sum = coordinates(sum);
                            for k in 0..9 {
                                sum[k] = sum[k].mul_add(charge, g[k]);
                            }
                            to.store(n, c, sum);
                        }
                        Task::Norm { a, to } => {
                            let a = a.load::<V>(n, c);
                            dot(&a, &a).store(to.wrapping_add(scalar(1, 0)));
                        }
                        Task::NormBackward { a, bar, to } => {
                            let a = a.load::<V>(n, c);
                            let g = V::load(bar.wrapping_add(scalar(1, 0))) * two;
                            let mut sum = to.load::<V>(n, c);
                            for k in 0..9 {
                                sum[k] = g.mul_add(a[k], sum[k]);
                            }
                            to.store(n, c, sum);
                        }
                        Task::Norms { a, to } => {
                            let a = a.load::<V>(n, c);
                            for (degree, (first, width)) in PARTS.into_iter().enumerate() {
                                let mut sum = number::<V>(0.0);
                                for k in first..first + width {
                                    sum = a[k].mul_add(a[k], sum);
                                }
                                sum.store(to.wrapping_add(scalar(3, degree)));
                            }
                        }
                        Task::NormsBackward { a, bar, to } => {
                            let mut a = a.load::<V>(n, c);
                            for (degree, (first, width)) in PARTS.into_iter().enumerate() {
                                let g = V::load(bar.wrapping_add(scalar(3, degree))) * two;
                                for k in first..first + width {
                                    a[k] = a[k] * g;
                                }
                            }
                            to.store(n, c, a);
                        }
                        Task::Gate { a, h, to } => {
                            let mut a = a.load::<V>(n, c);
                            for (degree, (first, width)) in PARTS.into_iter().enumerate() {
                                let h = V::load(h.wrapping_add(scalar(3, degree)));
                                for k in first..first + width {
                                    a[k] = a[k] * h;
                                }
                            }
                            to.store(n, c, a);
                        }
                        Task::GateBackward { a, h, bar, to, h_bar } => {
                            let (a, mut g) = (a.load::<V>(n, c), bar.load::<V>(n, c));
                            for (degree, (first, width)) in PARTS.into_iter().enumerate() {
                                let h = V::load(h.wrapping_add(scalar(3, degree)));
                                let mut sum = number::<V>(0.0);
                                for k in first..first + width {
                                    sum = a[k].mul_add(g[k], sum);
                                    g[k] = g[k] * h;
                                }
                                sum.store(h_bar.wrapping_add(scalar(3, degree)));
                            }
                            to.store(n, c, g);
                        }
                        Task::Own { a, own, to } => {
                            let (a, mut sum) = (a.load::<V>(n, c), to.load::<V>(n, c));
                            for (degree, (first, width)) in PARTS.into_iter().enumerate() {
                                let w = V::load(own.wrapping_add(degree * stride + c));
                                for k in first..first + width {
                                    sum[k] = w.mul_add(a[k], sum[k]);
                                }
                            }
                            to.store(n, c, sum);
                        }
                    }
                }
            }
        }
    }
}

/// The coordinates of factor (M Y + Y M), or factor Y M, of matrices.
#[inline(always)]
fn product<V: Vector>(m: &[V; 9], y: &[V; 9], factor: V, both: bool) -> [V; 9] {
    let mut c = zeros::<V>();
    times::<V, false, false>(y, m, &mut c);
    if both {
        times::<V, false, false>(m, y, &mut c);
    }
    scaled(coordinates(c), factor)
}

/// The coordinates of D D of a matrix.
#[inline(always)]
fn squared<V: Vector>(d: &[V; 9]) -> [V; 9] {
    let mut c = zeros::<V>();
    times::<V, false, false>(d, d, &mut c);
    coordinates(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable;

    #[test]
    fn coordinates_are_orthonormal() {
        for k in 0..9 {
            let mut t = zeros::<Portable>();
            t[k] = Vector::splat(1.0);
            let m = matrix(t);
            let length: f64 = m.iter().map(|x| x.sum() / 8.0 * (x.sum() / 8.0)).sum();
            assert!((length - 1.0).abs() < 1e-15, "{k}: {length}");
            for (j, x) in coordinates(m).iter().enumerate() {
                let expected = if j == k { 1.0 } else { 0.0 };
                assert!((Vector::sum(*x) / 8.0 - expected).abs() < 1e-15, "{k} {j}");
            }
        }
    }
}
