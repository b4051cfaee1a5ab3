use super::*;

/// Everything the kernels of both precisions use.
struct Both<'a, T>(&'a [T]);

impl<T: Real> VectorKernel<T> for Both<'_, T> {
    type Output = Vec<u64>;
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) -> Vec<u64> {
        let mut bits = Vec::new();
        let mut put = |v: V| {
            let mut x = vec![T::default(); T::LANES];
            // SAFETY: there is room for a vector
            unsafe { v.store(x.as_mut_ptr()) };
            bits.extend(x.into_iter().map(|x| x.to_f64().to_bits()));
        };
        for c in self.0.chunks_exact(T::LANES) {
            // SAFETY: a chunk holds a vector
            let x = unsafe { V::load(c.as_ptr()) };
            let y = V::splat(T::from_f64(1.25)) - x * V::splat(T::from_f64(0.37));
            let square = V::splat(T::from_f64(1e-3)) + x * x;
            put(x.mul_add(y, x) + x.neg_mul_add(y, x));
            put(x.min(y));
            put(x.max(y));
            put(x.round());
            put(V::splat(x.sum()));
            put(square.reciprocal());
            put(V::splat(T::from_f64(0.1)).min(x).exp());
            let (a, b) = V::sigmoid_pair(x, y);
            put(a);
            put(b);
        }
        bits
    }
}

#[test]
fn both_precisions_give_the_same_bits_at_all_levels() {
    fn check<T: Real>() {
        let numbers: Vec<T> = (0..800).map(|k| T::from_f64((f64::from(k) - 380.3) * 0.037)).collect();
        let plain = run_vector(Level::Portable, Both(&numbers));
        assert_eq!(plain, run_vector(Level::Avx2, Both(&numbers)));
        assert_eq!(plain, run_vector(Level::Avx512, Both(&numbers)));
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn sigmoids_reciprocals_and_exponentials_are_accurate() {
    fn check<V: Vector>(epsilon: f64) {
        let of = |v: V| {
            let mut x = vec![V::Scalar::default(); V::Scalar::LANES];
            // SAFETY: there is room for a vector
            unsafe { v.store(x.as_mut_ptr()) };
            x[0].to_f64()
        };
        let mut worst = [0f64; 4];
        for k in 0..20_000 {
            let x = V::Scalar::from_f64(-35.0 + 0.0035 * f64::from(k));
            let (exact, v) = (x.to_f64(), V::splat(x));
            let (a, b) = V::sigmoid_pair(v, V::splat(-x));
            let y = V::Scalar::from_f64(1.0 + 1e-3 * exact * exact);
            let relative = |got: V, expected: f64| (of(got) / expected - 1.0).abs() / epsilon;
            for (worst, error) in worst.iter_mut().zip([
                relative(v.exp(), exact.exp()),
                relative(a, 1.0 / (1.0 + (-exact).exp())),
                relative(b, 1.0 / (1.0 + exact.exp())),
                relative(V::splat(y).reciprocal(), 1.0 / y.to_f64()),
            ]) {
                *worst = worst.max(error);
            }
        }
        assert!(worst.iter().all(|&w| w < 4.0), "units of the last place: {worst:?}");
        let nan = V::splat(V::Scalar::from_f64(f64::NAN));
        assert!(of(V::sigmoid_pair(nan, nan).0).is_nan());
        let far = V::splat(V::Scalar::from_f64(-1e30));
        assert!(of(V::sigmoid_pair(far, far).0) < 1e-16);
    }
    check::<PortableSingle>(f64::from(f32::EPSILON));
    check::<Portable>(f64::EPSILON);
}
