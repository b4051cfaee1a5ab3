use super::{Kernel, LANES, Lanes, Level, Portable, Site, run};

/// Everything the kernels use, on the same numbers.
struct Everything<'a>(&'a [f64], &'a [Site]);

impl Kernel for Everything<'_> {
    type Output = Vec<u64>;
    #[inline(always)]
    fn run<V: Lanes>(self) -> Vec<u64> {
        let mut bits = Vec::new();
        let mut put = |v: V| bits.extend(v.to_array().map(f64::to_bits));
        for c in self.0.chunks_exact(LANES) {
            let x = V::from_array(c.try_into().expect("a chunk"));
            let y = V::splat(1.25) - x * V::splat(0.37);
            put(x + y / x);
            put(x.mul_add(y, -x));
            put((x * x).sqrt());
            put(x.min(y));
            put(x.max(y));
            put(V::select(x.lt(y), x, y));
            put(V::keep(x.not_ge(V::splat(1.0)), y));
            put(x.round());
            put(x.exp());
            put((x * x).ln());
            put(x.ln());
            let (sin, cos) = (x * V::splat(0.01)).sin_cos_half_pi();
            put(sin);
            put(cos);
            let (mantissa, exponent) = (x * x).split();
            put(mantissa);
            put(exponent);
            let mut sites = [Site::default(); LANES];
            V::store_sites([x, y, sin, cos], &mut sites);
            for site in sites {
                let [a, b, c] = site.position;
                put(V::from_array([a, b, c, site.species, a, b, c, site.species]));
            }
            let (sin, cos) = super::sin_cos(x);
            put(sin);
            put(cos);
            put(V::splat(x.sum()));
            let index = [7, 3, 1, 1, 0, 9, 4, 8];
            // SAFETY: there are ten sites and as many numbers
            unsafe {
                V::load_sites(self.1.as_ptr(), index.as_ptr()).into_iter().for_each(&mut put);
                put(V::lookup(self.0.as_ptr(), V::from_array(index.map(f64::from))));
                put(V::lookup8(self.0.as_ptr(), V::from_array(index.map(|k| f64::from(k % 8)))));
            }
            let (mut indices, mut values) = ([0; LANES], [0.0; LANES]);
            let n = x.compress(x.lt(y), &index, &mut indices, &mut values);
            let mut again = [0.0; LANES];
            x.compact(x.lt(y), &mut again);
            again[n..].fill(0.0);
            put(V::from_array(again));
            indices[n..].fill(0);
            values[n..].fill(0.0);
            put(V::from_array(values));
            put(V::from_array(indices.map(f64::from)));
            put(V::from_array((x * x).round().indices().map(f64::from)));
        }
        bits
    }
}

#[test]
fn all_levels_give_the_same_bits() {
    let numbers: Vec<f64> = (0..400).map(|k| (f64::from(k) - 180.3) * 0.37).collect();
    let site = |k: u32| {
        let x = f64::from(k);
        Site { position: [x, 10.0 * x, 100.0 * x], species: 0.5 * x }
    };
    let sites: Vec<Site> = (0..10).map(site).collect();
    let plain = run(Level::Portable, Everything(&numbers, &sites));
    assert_eq!(plain, run(Level::Avx2, Everything(&numbers, &sites)));
    assert_eq!(plain, run(Level::Avx512, Everything(&numbers, &sites)));
    let [x, y, z, s] = {
        // SAFETY: the indices are within the array
        unsafe { Portable::load_sites(sites.as_ptr(), [3, 1, 4, 1, 5, 9, 2, 6].as_ptr()) }
    };
    assert_eq!(x.to_array(), [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]);
    assert_eq!((y.to_array()[2], z.to_array()[5], s.to_array()[0]), (40.0, 900.0, 1.5));
}

fn ulps(a: f64, b: f64) -> u64 {
    a.to_bits().abs_diff(b.to_bits())
}

#[test]
fn exp_and_ln_are_accurate() {
    let (mut worst_exp, mut worst_ln) = (0, 0);
    for k in 0..200_000 {
        let x = -700.0 + 0.00707 * f64::from(k);
        if x < 700.0 {
            worst_exp = worst_exp.max(ulps(Portable::splat(x).exp().to_array()[0], x.exp()));
        }
        let y = 1e-6 * 1.0002f64.powi(k);
        if y < 1e12 {
            worst_ln = worst_ln.max(ulps(Portable::splat(y).ln().to_array()[0], y.ln()));
        }
    }
    assert!(worst_exp <= 2 && worst_ln <= 2, "exp {worst_exp} ulp, ln {worst_ln} ulp");
    let at = |x: f64| Portable::splat(x).exp().to_array()[0];
    assert_eq!((at(0.0), at(-1e9), at(f64::NEG_INFINITY)), (1.0, 0.0, 0.0));
    assert!(at(f64::NAN).is_nan() && at(1e9) > 1e300);
    let ln = |x: f64| Portable::splat(x).ln().to_array()[0];
    assert_eq!((ln(1.0), ln(0.0), ln(f64::INFINITY)), (0.0, f64::NEG_INFINITY, f64::INFINITY));
    assert!(ln(-1.0).is_nan() && ln(f64::NAN).is_nan());
    for k in -1570..=1570 {
        let x = 1e-3 * f64::from(k);
        let (sin, cos) = Portable::splat(x).sin_cos_half_pi();
        let error = (sin.to_array()[0] - x.sin()).abs().max((cos.to_array()[0] - x.cos()).abs());
        assert!(error < 3e-16, "{x}: {error}");
    }
}

#[test]
fn sines_and_cosines_are_accurate() {
    let mut worst = 0.0f64;
    for k in 0..100_000 {
        let x = -60.0 + 0.001_234 * f64::from(k);
        let (sin, cos) = super::sin_cos(Portable::splat(x));
        let error = (sin.to_array()[0] - x.sin()).abs().max((cos.to_array()[0] - x.cos()).abs());
        worst = worst.max(error);
    }
    assert!(worst < 3e-16, "{worst:e}");
    let (sin, cos) = super::sin_cos(Portable::splat(0.0));
    assert_eq!((sin.to_array()[0], cos.to_array()[0]), (0.0, 1.0));
}
