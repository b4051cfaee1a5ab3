//! Lanes in one 512-bit register.
use super::{LANES, Lanes};
use caloron_engine::neighbors::Site;
use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Eight numbers in a 512-bit register. Use it only where AVX-512 (F, DQ, VL) is enabled.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(__m512d);

macro_rules! operator {
    ($trait:ident, $name:ident, $op:ident) => {
        impl $trait for Avx512 {
            type Output = Self;
            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                // SAFETY: used only where AVX-512 is enabled
                Self(unsafe { $op(self.0, other.0) })
            }
        }
    };
}
operator!(Add, add, _mm512_add_pd);
operator!(Sub, sub, _mm512_sub_pd);
operator!(Mul, mul, _mm512_mul_pd);
operator!(Div, div, _mm512_div_pd);
impl Neg for Avx512 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: used only where AVX-512 is enabled
        Self(unsafe { _mm512_xor_pd(self.0, _mm512_set1_pd(-0.0)) })
    }
}

/// Two sites in one register.
///
/// # Safety
/// AVX-512 is enabled and the sites can be read.
#[inline(always)]
unsafe fn pair(a: *const Site, b: *const Site) -> __m512d {
    // SAFETY: as the caller promises
    unsafe {
        let (a, b) = (_mm256_load_pd(a.cast()), _mm256_load_pd(b.cast()));
        _mm512_insertf64x4::<1>(_mm512_castpd256_pd512(a), b)
    }
}

/// x, y, z, s of eight sites, two in each register: 0 and 2, 1 and 3, 4 and 6, 5 and 7.
///
/// # Safety
/// AVX-512 is enabled.
#[inline(always)]
unsafe fn columns(r02: __m512d, r13: __m512d, r46: __m512d, r57: __m512d) -> [Avx512; 4] {
    // SAFETY: as the caller promises
    unsafe {
        let (xz0, ys0) = (_mm512_unpacklo_pd(r02, r13), _mm512_unpackhi_pd(r02, r13));
        let (xz4, ys4) = (_mm512_unpacklo_pd(r46, r57), _mm512_unpackhi_pd(r46, r57));
        [
            Avx512(_mm512_shuffle_f64x2::<0b10_00_10_00>(xz0, xz4)),
            Avx512(_mm512_shuffle_f64x2::<0b10_00_10_00>(ys0, ys4)),
            Avx512(_mm512_shuffle_f64x2::<0b11_01_11_01>(xz0, xz4)),
            Avx512(_mm512_shuffle_f64x2::<0b11_01_11_01>(ys0, ys4)),
        ]
    }
}

/// Writes a register (x y | x y | z s | z s) as the site `to` and the second after it.
///
/// # Safety
/// AVX-512 is enabled and there are three sites from `to` on.
#[inline(always)]
unsafe fn put_pair(two: __m512d, to: *mut Site) {
    // SAFETY: as the caller promises
    unsafe {
        let two = _mm512_shuffle_f64x2::<0b11_01_10_00>(two, two);
        _mm256_store_pd(to.cast(), _mm512_castpd512_pd256(two));
        _mm256_store_pd(to.add(2).cast(), _mm512_extractf64x4_pd::<1>(two));
    }
}

// SAFETY of all blocks below: the type is used only where AVX-512 is enabled.
impl Lanes for Avx512 {
    type Mask = __mmask8;
    #[inline(always)]
    fn splat(x: f64) -> Self {
        Self(unsafe { _mm512_set1_pd(x) })
    }
    #[inline(always)]
    fn from_array(x: [f64; LANES]) -> Self {
        Self(unsafe { _mm512_loadu_pd(x.as_ptr()) })
    }
    #[inline(always)]
    fn to_array(self) -> [f64; LANES] {
        let mut x = [0.0; LANES];
        unsafe { _mm512_storeu_pd(x.as_mut_ptr(), self.0) };
        x
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        Self(unsafe { _mm512_fmadd_pd(self.0, a.0, b.0) })
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(unsafe { _mm512_sqrt_pd(self.0) })
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(unsafe { _mm512_min_pd(self.0, other.0) })
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(unsafe { _mm512_max_pd(self.0, other.0) })
    }
    #[inline(always)]
    fn lt(self, other: Self) -> __mmask8 {
        unsafe { _mm512_cmp_pd_mask::<_CMP_LT_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    fn not_ge(self, other: Self) -> __mmask8 {
        unsafe { _mm512_cmp_pd_mask::<_CMP_NGE_UQ>(self.0, other.0) }
    }
    #[inline(always)]
    fn select(mask: __mmask8, a: Self, b: Self) -> Self {
        Self(unsafe { _mm512_mask_blend_pd(mask, b.0, a.0) })
    }
    #[inline(always)]
    fn keep(mask: __mmask8, x: Self) -> Self {
        Self(unsafe { _mm512_maskz_mov_pd(mask, x.0) })
    }
    #[inline(always)]
    fn round(self) -> Self {
        Self(unsafe { _mm512_roundscale_pd::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
    }
    #[inline(always)]
    fn exp2_integer(self) -> Self {
        unsafe {
            let n = _mm512_add_epi64(_mm512_cvtpd_epi64(self.0), _mm512_set1_epi64(1023));
            Self(_mm512_castsi512_pd(_mm512_slli_epi64::<52>(n)))
        }
    }
    #[inline(always)]
    unsafe fn load_sites(sites: *const Site, index: *const u32) -> [Self; 4] {
        // SAFETY: as the caller promises
        unsafe {
            let index = &*index.cast::<[u32; LANES]>();
            let [a, b, c, d, e, f, g, h] = index.map(|k| sites.add(k as usize));
            columns(pair(a, c), pair(b, d), pair(e, g), pair(f, h))
        }
    }
    #[inline(always)]
    unsafe fn load_records(table: *const f64, offsets: &[u32; LANES]) -> [Self; 4] {
        // offsets are addressed without a shift, which load_sites needs for each
        // SAFETY: as the caller promises
        unsafe {
            let [a, b, c, d, e, f, g, h] = offsets.map(|k| table.add(k as usize).cast());
            columns(pair(a, c), pair(b, d), pair(e, g), pair(f, h))
        }
    }
    #[inline(always)]
    unsafe fn lookup(table: *const f64, index: Self) -> Self {
        // SAFETY: as the caller promises
        Self(unsafe { _mm512_i32gather_pd::<8>(_mm512_cvtpd_epi32(index.0), table) })
    }
    #[inline(always)]
    unsafe fn lookup8(table: *const f64, index: Self) -> Self {
        // SAFETY: as the caller promises
        unsafe { Self(_mm512_permutexvar_pd(_mm512_cvtpd_epi64(index.0), _mm512_loadu_pd(table))) }
    }
    #[inline(always)]
    fn indices(self) -> [u32; LANES] {
        let mut x = [0; LANES];
        unsafe { _mm256_storeu_si256(x.as_mut_ptr().cast(), _mm512_cvtpd_epi32(self.0)) };
        x
    }
    #[inline(always)]
    fn compress(
        self,
        mask: __mmask8,
        index: &[u32; LANES],
        indices: &mut [u32; LANES],
        values: &mut [f64; LANES],
    ) -> usize {
        unsafe {
            let index = _mm256_loadu_si256(index.as_ptr().cast());
            _mm256_storeu_si256(indices.as_mut_ptr().cast(), _mm256_maskz_compress_epi32(mask, index));
            _mm512_storeu_pd(values.as_mut_ptr(), _mm512_maskz_compress_pd(mask, self.0));
        }
        mask.count_ones() as usize
    }
    #[inline(always)]
    fn compact(self, mask: __mmask8, values: &mut [f64; LANES]) {
        unsafe { _mm512_storeu_pd(values.as_mut_ptr(), _mm512_maskz_compress_pd(mask, self.0)) };
    }
    #[inline(always)]
    fn store_sites(columns: [Self; 4], sites: &mut [Site; LANES]) {
        let [Self(x), Self(y), Self(z), Self(s)] = columns;
        unsafe {
            // registers of two sites: (0, 2), (4, 6) and (1, 3), (5, 7)
            let (xy0, xy1) = (_mm512_unpacklo_pd(x, y), _mm512_unpackhi_pd(x, y));
            let (zs0, zs1) = (_mm512_unpacklo_pd(z, s), _mm512_unpackhi_pd(z, s));
            let to = sites.as_mut_ptr();
            put_pair(_mm512_shuffle_f64x2::<0b01_00_01_00>(xy0, zs0), to);
            put_pair(_mm512_shuffle_f64x2::<0b01_00_01_00>(xy1, zs1), to.add(1));
            put_pair(_mm512_shuffle_f64x2::<0b11_10_11_10>(xy0, zs0), to.add(4));
            put_pair(_mm512_shuffle_f64x2::<0b11_10_11_10>(xy1, zs1), to.add(5));
        }
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        unsafe {
            let bits = _mm512_castpd_si512(self.0);
            let exponent = _mm512_sub_epi64(_mm512_srli_epi64::<52>(bits), _mm512_set1_epi64(1023));
            let fraction = _mm512_and_si512(bits, _mm512_set1_epi64((1 << 52) - 1));
            let mantissa = _mm512_or_si512(fraction, _mm512_set1_epi64(1023 << 52));
            (Self(_mm512_castsi512_pd(mantissa)), Self(_mm512_cvtepi64_pd(exponent)))
        }
    }
    #[inline(always)]
    fn prefetch<T>(place: *const T) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) }
    }
    #[inline(always)]
    fn sum(self) -> f64 {
        unsafe {
            let x = _mm256_add_pd(_mm512_castpd512_pd256(self.0), _mm512_extractf64x4_pd::<1>(self.0));
            let x = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
            _mm_cvtsd_f64(x) + _mm_cvtsd_f64(_mm_unpackhi_pd(x, x))
        }
    }
}
