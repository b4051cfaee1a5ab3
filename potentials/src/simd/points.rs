//! What pair kernels of single precision need beside [`Vector`]: positions as integers, tests, tables.
//!
//! Positions are multiples of a quantum modulo 2³², so differences of near ones are exact and d_ij = -d_ji to the last bit,
//! wherever in space a pair is.
#[cfg(target_arch = "x86_64")]
use super::{Avx2Single, Avx512Single};
use super::{Level, PortableSingle, Vector};

/// Lanes of single precision.
pub const WIDE: usize = 16;

/// A position in quanta, modulo 2³², and a charge: 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(16))]
pub struct Point {
    /// x, y, z.
    pub at: [i32; 3],
    /// Charge.
    pub charge: f32,
}

/// Sixteen pairs.
pub trait Pairs: Vector<Scalar = f32> {
    /// One truth value per pair.
    type Mask: Copy;
    /// 1/sqrt(self), the root and the quotient each correctly rounded.
    fn inverse_sqrt(self) -> Self;
    /// self < other; false for NaN.
    fn less(self, other: Self) -> Self::Mask;
    /// `x` where the mask is true, else 0.
    fn keep(mask: Self::Mask, x: Self) -> Self;
    /// Vectors from a centre to points, in quanta, and the charges of the points.
    ///
    /// # Safety
    /// There are sixteen indices, all of points of the array.
    unsafe fn differences(points: *const Point, index: *const u32, center: &[i32; 3]) -> [Self; 4];
    /// `table[kind]` of sixteen kinds.
    ///
    /// # Safety
    /// There are sixteen kinds, all within the table, and the table has at least sixteen numbers.
    unsafe fn lookup(table: &[f32], kinds: *const u16) -> Self;
}

/// A computation for sixteen pairs at a time; run it with [`run_pairs`].
pub trait PairKernel {
    /// The computation; must be `#[inline(always)]`.
    fn run<V: Pairs>(self);
}

/// Runs a kernel with the instructions of `level`. A level the machine lacks is replaced by plain Rust; the numbers are
/// the same.
#[inline]
pub fn run_pairs<K: PairKernel>(level: Level, kernel: K) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
    fn wide<K: PairKernel>(kernel: K) {
        kernel.run::<Avx512Single>();
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn narrow<K: PairKernel>(kernel: K) {
        kernel.run::<Avx2Single>();
    }
    match level {
        // SAFETY: detected
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 if Level::detect() == Level::Avx512 => unsafe { wide(kernel) },
        // SAFETY: detected
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 if Level::detect() != Level::Portable => unsafe { narrow(kernel) },
        _ => kernel.run::<PortableSingle>(),
    }
}

impl Pairs for PortableSingle {
    type Mask = [bool; WIDE];
    #[inline(always)]
    fn inverse_sqrt(self) -> Self {
        Self(self.0.map(|x| 1.0 / x.sqrt()))
    }
    #[inline(always)]
    fn less(self, other: Self) -> Self::Mask {
        std::array::from_fn(|k| self.0[k] < other.0[k])
    }
    #[inline(always)]
    fn keep(mask: Self::Mask, x: Self) -> Self {
        Self(std::array::from_fn(|k| if mask[k] { x.0[k] } else { 0.0 }))
    }
    #[inline(always)]
    unsafe fn differences(points: *const Point, index: *const u32, center: &[i32; 3]) -> [Self; 4] {
        // SAFETY: as the caller promises
        let near: [Point; WIDE] = std::array::from_fn(|k| unsafe { *points.add(*index.add(k) as usize) });
        let along = |d: usize| Self(near.map(|p| p.at[d].wrapping_sub(center[d]) as f32));
        [along(0), along(1), along(2), Self(near.map(|p| p.charge))]
    }
    #[inline(always)]
    unsafe fn lookup(table: &[f32], kinds: *const u16) -> Self {
        // SAFETY: as the caller promises
        Self(std::array::from_fn(|k| unsafe { table[*kinds.add(k) as usize] }))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Avx2Single, Avx512Single, Pairs, Point, WIDE};
    use std::arch::x86_64::*;

    /// The places of the points of a register: one of each four consecutive indices, beginning with k.
    ///
    /// # Safety
    /// As [`Pairs::differences`].
    #[inline(always)]
    unsafe fn place(points: *const Point, index: *const u32, k: usize) -> __m128i {
        // SAFETY: as the caller promises
        unsafe { _mm_load_si128(points.add(*index.add(k) as usize).cast()) }
    }

    /// Four points, 4 apart in the row from k on.
    ///
    /// # Safety
    /// As [`Pairs::differences`], with AVX-512.
    #[inline(always)]
    unsafe fn four(points: *const Point, index: *const u32, k: usize) -> __m512 {
        // SAFETY: as the caller promises
        unsafe {
            let low = _mm512_castsi128_si512(place(points, index, k));
            let x = _mm512_inserti32x4::<1>(low, place(points, index, k + 4));
            let x = _mm512_inserti32x4::<2>(x, place(points, index, k + 8));
            _mm512_castsi512_ps(_mm512_inserti32x4::<3>(x, place(points, index, k + 12)))
        }
    }

    /// Two points, 4 apart in the row from k on.
    ///
    /// # Safety
    /// As [`Pairs::differences`], with AVX2.
    #[inline(always)]
    unsafe fn two(points: *const Point, index: *const u32, k: usize) -> __m256 {
        // SAFETY: as the caller promises
        unsafe {
            let low = _mm256_castsi128_si256(place(points, index, k));
            _mm256_castsi256_ps(_mm256_inserti128_si256::<1>(low, place(points, index, k + 4)))
        }
    }

    // SAFETY of all blocks below: the types are used only where their instructions are enabled; memory as the caller
    // promises.
    impl Pairs for Avx512Single {
        type Mask = __mmask16;
        #[inline(always)]
        fn inverse_sqrt(self) -> Self {
            Self(unsafe { _mm512_div_ps(_mm512_set1_ps(1.0), _mm512_sqrt_ps(self.0)) })
        }
        #[inline(always)]
        fn less(self, other: Self) -> __mmask16 {
            unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0) }
        }
        #[inline(always)]
        fn keep(mask: __mmask16, x: Self) -> Self {
            Self(unsafe { _mm512_maskz_mov_ps(mask, x.0) })
        }
        #[inline(always)]
        unsafe fn differences(points: *const Point, index: *const u32, center: &[i32; 3]) -> [Self; 4] {
            unsafe {
                let (a, b) = (four(points, index, 0), four(points, index, 1));
                let (c, d) = (four(points, index, 2), four(points, index, 3));
                let (xy0, xy2) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
                let (zq0, zq2) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
                let x = _mm512_castps_si512(_mm512_shuffle_ps::<0b01_00_01_00>(xy0, xy2));
                let y = _mm512_castps_si512(_mm512_shuffle_ps::<0b11_10_11_10>(xy0, xy2));
                let z = _mm512_castps_si512(_mm512_shuffle_ps::<0b01_00_01_00>(zq0, zq2));
                let q = _mm512_shuffle_ps::<0b11_10_11_10>(zq0, zq2);
                [
                    Self(_mm512_cvtepi32_ps(_mm512_sub_epi32(x, _mm512_set1_epi32(center[0])))),
                    Self(_mm512_cvtepi32_ps(_mm512_sub_epi32(y, _mm512_set1_epi32(center[1])))),
                    Self(_mm512_cvtepi32_ps(_mm512_sub_epi32(z, _mm512_set1_epi32(center[2])))),
                    Self(q),
                ]
            }
        }
        #[inline(always)]
        unsafe fn lookup(table: &[f32], kinds: *const u16) -> Self {
            unsafe {
                let kinds = _mm512_cvtepu16_epi32(_mm256_loadu_si256(kinds.cast()));
                let from = table.as_ptr();
                Self(match table.len() {
                    WIDE => _mm512_permutexvar_ps(kinds, _mm512_loadu_ps(from)),
                    32 => {
                        let (low, high) = (_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(WIDE)));
                        _mm512_permutex2var_ps(low, kinds, high)
                    }
                    _ => _mm512_i32gather_ps::<4>(kinds, from),
                })
            }
        }
    }

    impl Pairs for Avx2Single {
        type Mask = (__m256, __m256);
        #[inline(always)]
        fn inverse_sqrt(self) -> Self {
            unsafe {
                let one = _mm256_set1_ps(1.0);
                Self(_mm256_div_ps(one, _mm256_sqrt_ps(self.0)), _mm256_div_ps(one, _mm256_sqrt_ps(self.1)))
            }
        }
        #[inline(always)]
        fn less(self, other: Self) -> Self::Mask {
            unsafe {
                (_mm256_cmp_ps::<_CMP_LT_OQ>(self.0, other.0), _mm256_cmp_ps::<_CMP_LT_OQ>(self.1, other.1))
            }
        }
        #[inline(always)]
        fn keep(mask: Self::Mask, x: Self) -> Self {
            unsafe { Self(_mm256_and_ps(mask.0, x.0), _mm256_and_ps(mask.1, x.1)) }
        }
        #[inline(always)]
        unsafe fn differences(points: *const Point, index: *const u32, center: &[i32; 3]) -> [Self; 4] {
            unsafe {
                let zero = _mm256_setzero_ps();
                let mut out = [Self(zero, zero); 4];
                let mut halves = [[zero; 4]; 2];
                for (h, half) in halves.iter_mut().enumerate() {
                    let index = index.add(8 * h);
                    let (a, b) = (two(points, index, 0), two(points, index, 1));
                    let (c, d) = (two(points, index, 2), two(points, index, 3));
                    let (xy0, xy2) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
                    let (zq0, zq2) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
                    let x = _mm256_castps_si256(_mm256_shuffle_ps::<0b01_00_01_00>(xy0, xy2));
                    let y = _mm256_castps_si256(_mm256_shuffle_ps::<0b11_10_11_10>(xy0, xy2));
                    let z = _mm256_castps_si256(_mm256_shuffle_ps::<0b01_00_01_00>(zq0, zq2));
                    *half = [
                        _mm256_cvtepi32_ps(_mm256_sub_epi32(x, _mm256_set1_epi32(center[0]))),
                        _mm256_cvtepi32_ps(_mm256_sub_epi32(y, _mm256_set1_epi32(center[1]))),
                        _mm256_cvtepi32_ps(_mm256_sub_epi32(z, _mm256_set1_epi32(center[2]))),
                        _mm256_shuffle_ps::<0b11_10_11_10>(zq0, zq2),
                    ];
                }
                for (k, out) in out.iter_mut().enumerate() {
                    *out = Self(halves[0][k], halves[1][k]);
                }
                out
            }
        }
        #[inline(always)]
        unsafe fn lookup(table: &[f32], kinds: *const u16) -> Self {
            unsafe {
                let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(kinds.cast()));
                let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(kinds.add(8).cast()));
                let from = table.as_ptr();
                Self(_mm256_i32gather_ps::<4>(from, low), _mm256_i32gather_ps::<4>(from, high))
            }
        }
    }
}
