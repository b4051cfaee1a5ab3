//! Lanes in two 256-bit registers.
use super::{LANES, Lanes};
use caloron_engine::neighbors::Site;
use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Eight numbers in two 256-bit registers. Use it only where AVX2 and FMA are enabled.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(__m256d, __m256d);

macro_rules! operator {
    ($trait:ident, $name:ident, $op:ident) => {
        impl $trait for Avx2 {
            type Output = Self;
            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                // SAFETY: used only where AVX2 is enabled
                unsafe { Self($op(self.0, other.0), $op(self.1, other.1)) }
            }
        }
    };
}
operator!(Add, add, _mm256_add_pd);
operator!(Sub, sub, _mm256_sub_pd);
operator!(Mul, mul, _mm256_mul_pd);
operator!(Div, div, _mm256_div_pd);
impl Neg for Avx2 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: used only where AVX2 is enabled
        unsafe {
            let sign = _mm256_set1_pd(-0.0);
            Self(_mm256_xor_pd(self.0, sign), _mm256_xor_pd(self.1, sign))
        }
    }
}

/// Columns of four sites.
///
/// # Safety
/// AVX2 is enabled and the indices are within the array.
#[inline(always)]
unsafe fn four(sites: *const Site, index: *const u32) -> [__m256d; 4] {
    // SAFETY: as the caller promises
    unsafe {
        let a = _mm256_load_pd(sites.add(*index as usize).cast());
        let b = _mm256_load_pd(sites.add(*index.add(1) as usize).cast());
        let c = _mm256_load_pd(sites.add(*index.add(2) as usize).cast());
        let d = _mm256_load_pd(sites.add(*index.add(3) as usize).cast());
        let (xz0, ys0) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
        let (xz2, ys2) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
        [
            _mm256_permute2f128_pd::<0x20>(xz0, xz2),
            _mm256_permute2f128_pd::<0x20>(ys0, ys2),
            _mm256_permute2f128_pd::<0x31>(xz0, xz2),
            _mm256_permute2f128_pd::<0x31>(ys0, ys2),
        ]
    }
}

/// 2^n for four integers: n plus 1.5 2^52 has n in its low bits.
///
/// # Safety
/// AVX2 is enabled.
#[inline(always)]
unsafe fn exp2(n: __m256d) -> __m256d {
    // SAFETY: as the caller promises
    unsafe {
        let bits = _mm256_castpd_si256(_mm256_add_pd(n, _mm256_set1_pd(6_755_399_441_055_744.0)));
        let biased = _mm256_add_epi64(bits, _mm256_set1_epi64x(1023));
        _mm256_castsi256_pd(_mm256_slli_epi64::<52>(biased))
    }
}

// SAFETY of all blocks below: the type is used only where AVX2 and FMA are enabled.
impl Lanes for Avx2 {
    type Mask = (__m256d, __m256d);
    #[inline(always)]
    fn splat(x: f64) -> Self {
        unsafe { Self(_mm256_set1_pd(x), _mm256_set1_pd(x)) }
    }
    #[inline(always)]
    fn from_array(x: [f64; LANES]) -> Self {
        unsafe { Self(_mm256_loadu_pd(x.as_ptr()), _mm256_loadu_pd(x.as_ptr().add(4))) }
    }
    #[inline(always)]
    fn to_array(self) -> [f64; LANES] {
        let mut x = [0.0; LANES];
        unsafe {
            _mm256_storeu_pd(x.as_mut_ptr(), self.0);
            _mm256_storeu_pd(x.as_mut_ptr().add(4), self.1);
        }
        x
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        unsafe { Self(_mm256_fmadd_pd(self.0, a.0, b.0), _mm256_fmadd_pd(self.1, a.1, b.1)) }
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        unsafe { Self(_mm256_sqrt_pd(self.0), _mm256_sqrt_pd(self.1)) }
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        unsafe { Self(_mm256_min_pd(self.0, other.0), _mm256_min_pd(self.1, other.1)) }
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        unsafe { Self(_mm256_max_pd(self.0, other.0), _mm256_max_pd(self.1, other.1)) }
    }
    #[inline(always)]
    fn lt(self, other: Self) -> Self::Mask {
        unsafe {
            (_mm256_cmp_pd::<_CMP_LT_OQ>(self.0, other.0), _mm256_cmp_pd::<_CMP_LT_OQ>(self.1, other.1))
        }
    }
    #[inline(always)]
    fn not_ge(self, other: Self) -> Self::Mask {
        unsafe {
            (_mm256_cmp_pd::<_CMP_NGE_UQ>(self.0, other.0), _mm256_cmp_pd::<_CMP_NGE_UQ>(self.1, other.1))
        }
    }
    #[inline(always)]
    fn select(mask: Self::Mask, a: Self, b: Self) -> Self {
        unsafe { Self(_mm256_blendv_pd(b.0, a.0, mask.0), _mm256_blendv_pd(b.1, a.1, mask.1)) }
    }
    #[inline(always)]
    fn keep(mask: Self::Mask, x: Self) -> Self {
        unsafe { Self(_mm256_and_pd(mask.0, x.0), _mm256_and_pd(mask.1, x.1)) }
    }
    #[inline(always)]
    fn round(self) -> Self {
        const MODE: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        unsafe { Self(_mm256_round_pd::<MODE>(self.0), _mm256_round_pd::<MODE>(self.1)) }
    }
    #[inline(always)]
    fn exp2_integer(self) -> Self {
        unsafe { Self(exp2(self.0), exp2(self.1)) }
    }
    #[inline(always)]
    unsafe fn load_sites(sites: *const Site, index: *const u32) -> [Self; 4] {
        // SAFETY: as the caller promises
        let (a, b) = unsafe { (four(sites, index), four(sites, index.add(4))) };
        [Self(a[0], b[0]), Self(a[1], b[1]), Self(a[2], b[2]), Self(a[3], b[3])]
    }
    #[inline(always)]
    unsafe fn lookup(table: *const f64, index: Self) -> Self {
        // SAFETY: as the caller promises
        unsafe {
            Self(
                _mm256_i32gather_pd::<8>(table, _mm256_cvtpd_epi32(index.0)),
                _mm256_i32gather_pd::<8>(table, _mm256_cvtpd_epi32(index.1)),
            )
        }
    }
    #[inline(always)]
    fn sum(self) -> f64 {
        unsafe {
            let x = _mm256_add_pd(self.0, self.1);
            let x = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
            _mm_cvtsd_f64(x) + _mm_cvtsd_f64(_mm_unpackhi_pd(x, x))
        }
    }
}
