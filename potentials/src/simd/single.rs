//! Sixteen numbers of single precision: AVX-512, AVX2 with FMA, and plain Rust, with the same bits from each.
use super::count::operations;
use super::vector::Vector;
use std::ops::{Add, Mul, Sub};

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2Single, Avx512Single};

const N: usize = 16;
/// The bits of x subtracted from this are those of about 1/x.
const GUESS: u32 = 0x7EF3_11C7;

/// Sixteen numbers in an array.
#[derive(Clone, Copy, Debug)]
pub struct PortableSingle(pub(super) [f32; N]);

impl PortableSingle {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|k| f(self.0[k], other.0[k])))
    }
}
macro_rules! portable {
    ($trait:ident, $name:ident, $op:tt) => {
        impl $trait for PortableSingle {
            type Output = Self;
            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                operations(N);
                self.zip(other, |a, b| a $op b)
            }
        }
    };
}
portable!(Add, add, +);
portable!(Sub, sub, -);
portable!(Mul, mul, *);

impl Vector for PortableSingle {
    type Scalar = f32;
    const WIDE: bool = false;
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the caller promises
        Self(unsafe { from.cast::<[f32; N]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the caller promises
        unsafe { to.cast::<[f32; N]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; N])
    }
    // out of line: without the instruction this is a call for each number, and speed is elsewhere
    #[inline(never)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        operations(2 * N);
        Self(std::array::from_fn(|k| self.0[k].mul_add(a.0[k], b.0[k])))
    }
    #[inline(never)]
    fn neg_mul_add(self, a: Self, b: Self) -> Self {
        operations(2 * N);
        Self(std::array::from_fn(|k| (-self.0[k]).mul_add(a.0[k], b.0[k])))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn round(self) -> Self {
        Self(self.0.map(f32::round_ties_even))
    }
    #[inline(always)]
    fn exp2_integer(self) -> Self {
        Self(self.0.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23)))
    }
    #[inline(always)]
    fn reciprocal_guess(self) -> Self {
        Self(self.0.map(|x| f32::from_bits(GUESS.wrapping_sub(x.to_bits()))))
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        operations(N - 1);
        let x: [f32; 8] = std::array::from_fn(|k| self.0[k] + self.0[k + 8]);
        ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Add, GUESS, Mul, Sub, Vector};
    use std::arch::x86_64::*;

    /// Sixteen numbers in a 512-bit register. Use it only where AVX-512 (F, DQ, VL) is enabled.
    #[derive(Clone, Copy, Debug)]
    pub struct Avx512Single(pub(in crate::simd) __m512);

    /// Sixteen numbers in two 256-bit registers. Use it only where AVX2 and FMA are enabled.
    #[derive(Clone, Copy, Debug)]
    pub struct Avx2Single(pub(in crate::simd) __m256, pub(in crate::simd) __m256);

    macro_rules! operator {
        ($trait:ident, $name:ident, $wide:ident, $narrow:ident) => {
            impl $trait for Avx512Single {
                type Output = Self;
                #[inline(always)]
                fn $name(self, other: Self) -> Self {
                    // SAFETY: used only where AVX-512 is enabled
                    Self(unsafe { $wide(self.0, other.0) })
                }
            }
            impl $trait for Avx2Single {
                type Output = Self;
                #[inline(always)]
                fn $name(self, other: Self) -> Self {
                    // SAFETY: used only where AVX2 is enabled
                    unsafe { Self($narrow(self.0, other.0), $narrow(self.1, other.1)) }
                }
            }
        };
    }
    operator!(Add, add, _mm512_add_ps, _mm256_add_ps);
    operator!(Sub, sub, _mm512_sub_ps, _mm256_sub_ps);
    operator!(Mul, mul, _mm512_mul_ps, _mm256_mul_ps);

    /// Sum of eight: ((0+4) + (2+6)) + ((1+5) + (3+7)).
    ///
    /// # Safety
    /// AVX must be enabled.
    #[inline(always)]
    unsafe fn sum8(x: __m256) -> f32 {
        // SAFETY: as the caller promises
        unsafe {
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
    }

    /// 2^n of eight integers.
    ///
    /// # Safety
    /// AVX2 must be enabled.
    #[inline(always)]
    unsafe fn exp2_8(x: __m256) -> __m256 {
        // SAFETY: as the caller promises
        unsafe {
            let n = _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(n))
        }
    }
    /// About 1/x of eight numbers.
    ///
    /// # Safety
    /// AVX2 must be enabled.
    #[inline(always)]
    unsafe fn guess8(x: __m256) -> __m256 {
        // SAFETY: as the caller promises
        unsafe {
            _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_set1_epi32(GUESS as i32), _mm256_castps_si256(x)))
        }
    }

    // SAFETY of all blocks below: the types are used only where their instructions are enabled; memory as the caller
    // promises.
    impl Vector for Avx512Single {
        type Scalar = f32;
        const WIDE: bool = true;
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(unsafe { _mm512_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        fn splat(x: f32) -> Self {
            Self(unsafe { _mm512_set1_ps(x) })
        }
        #[inline(always)]
        fn mul_add(self, a: Self, b: Self) -> Self {
            Self(unsafe { _mm512_fmadd_ps(self.0, a.0, b.0) })
        }
        #[inline(always)]
        fn neg_mul_add(self, a: Self, b: Self) -> Self {
            Self(unsafe { _mm512_fnmadd_ps(self.0, a.0, b.0) })
        }
        #[inline(always)]
        fn min(self, other: Self) -> Self {
            Self(unsafe { _mm512_min_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Self(unsafe { _mm512_max_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn round(self) -> Self {
            Self(unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
        }
        #[inline(always)]
        fn exp2_integer(self) -> Self {
            unsafe {
                let n = _mm512_add_epi32(_mm512_cvtps_epi32(self.0), _mm512_set1_epi32(127));
                Self(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(n)))
            }
        }
        #[inline(always)]
        fn reciprocal_guess(self) -> Self {
            unsafe {
                let n = _mm512_sub_epi32(_mm512_set1_epi32(GUESS as i32), _mm512_castps_si512(self.0));
                Self(_mm512_castsi512_ps(n))
            }
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            unsafe {
                sum8(_mm256_add_ps(_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0)))
            }
        }
    }

    impl Vector for Avx2Single {
        type Scalar = f32;
        const WIDE: bool = false;
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                _mm256_storeu_ps(to, self.0);
                _mm256_storeu_ps(to.add(8), self.1);
            }
        }
        #[inline(always)]
        fn splat(x: f32) -> Self {
            unsafe { Self(_mm256_set1_ps(x), _mm256_set1_ps(x)) }
        }
        #[inline(always)]
        fn mul_add(self, a: Self, b: Self) -> Self {
            unsafe { Self(_mm256_fmadd_ps(self.0, a.0, b.0), _mm256_fmadd_ps(self.1, a.1, b.1)) }
        }
        #[inline(always)]
        fn neg_mul_add(self, a: Self, b: Self) -> Self {
            unsafe { Self(_mm256_fnmadd_ps(self.0, a.0, b.0), _mm256_fnmadd_ps(self.1, a.1, b.1)) }
        }
        #[inline(always)]
        fn min(self, other: Self) -> Self {
            unsafe { Self(_mm256_min_ps(self.0, other.0), _mm256_min_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn round(self) -> Self {
            const MODE: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            unsafe { Self(_mm256_round_ps::<MODE>(self.0), _mm256_round_ps::<MODE>(self.1)) }
        }
        #[inline(always)]
        fn exp2_integer(self) -> Self {
            unsafe { Self(exp2_8(self.0), exp2_8(self.1)) }
        }
        #[inline(always)]
        fn reciprocal_guess(self) -> Self {
            unsafe { Self(guess8(self.0), guess8(self.1)) }
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            unsafe { sum8(_mm256_add_ps(self.0, self.1)) }
        }
    }
}
