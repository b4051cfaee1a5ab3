//! Counter-based random numbers: Philox 4x32 with 10 rounds.
//!
//! A number is a function of (seed, stream, step, sub-step, index) alone, so neither the number of threads
//! nor a restart changes it.
//! Source: Salmon, Moraes, Dror, Shaw, SC'11, doi:10.1145/2063384.2063405.
use crate::Vec3;

/// Named streams; one for each independent use of random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stream {
    /// Initial velocities.
    Velocities = 0,
    /// Langevin and Brownian noise.
    Langevin = 1,
    /// Stochastic velocity rescaling.
    Bussi = 2,
    /// Andersen collisions.
    Andersen = 3,
    /// Stochastic cell rescaling.
    CellRescale = 4,
    /// Monte Carlo barostat.
    MonteCarloBarostat = 5,
    /// Monte Carlo moves.
    MonteCarlo = 6,
    /// Random displacements of a structure.
    Rattle = 7,
    /// Structures that are built: alloys, vacancies, packed molecules.
    Building = 9,
    /// Tests and gates.
    Test = 8,
}

/// The random numbers of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// Seed of the run.
    pub seed: u64,
}

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Philox 4x32-10: four random words for a counter and a key.
pub fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(MULTIPLIER[0]) * u64::from(counter[0]);
        let b = u64::from(MULTIPLIER[1]) * u64::from(counter[2]);
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

impl Streams {
    /// 128 random bits for (stream, step, sub-step, index). `substep` < 2²⁴ (8 bits hold the stream),
    /// `index` < 2³², `step` is used in full.
    pub fn bits(&self, stream: Stream, step: u64, substep: u32, index: u64) -> [u32; 4] {
        let counter =
            [index as u32, (stream as u32) << 24 | (substep & 0x00FF_FFFF), step as u32, (step >> 32) as u32];
        philox4x32(counter, [self.seed as u32, (self.seed >> 32) as u32])
    }
    /// Two uniform numbers in the open interval (0, 1).
    pub fn uniform2(&self, stream: Stream, step: u64, substep: u32, index: u64) -> [f64; 2] {
        let b = self.bits(stream, step, substep, index);
        let u = |lo: u32, hi: u32| {
            ((u64::from(hi) << 32 | u64::from(lo)) >> 12) as f64 * (1.0 / (1u64 << 52) as f64)
                + 0.5 / (1u64 << 52) as f64
        };
        [u(b[0], b[1]), u(b[2], b[3])]
    }
    /// Two independent standard normal numbers (Box and Muller).
    pub fn normal2(&self, stream: Stream, step: u64, substep: u32, index: u64) -> [f64; 2] {
        let [u, v] = self.uniform2(stream, step, substep, index);
        let r = (-2.0 * u.ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
        [r * cos, r * sin]
    }
    /// Three independent standard normal numbers; uses indices 2 `index` and 2 `index` + 1.
    pub fn normal3(&self, stream: Stream, step: u64, substep: u32, index: u64) -> Vec3 {
        let [x, y] = self.normal2(stream, step, substep, 2 * index);
        let [z, _] = self.normal2(stream, step, substep, 2 * index + 1);
        Vec3::new(x, y, z)
    }
}

/// c₀ + c₁ x + c₂ x² + ...
fn horner<const N: usize>(x: f64, c: &[f64; N]) -> f64 {
    c.iter().rev().fold(0.0, |s, c| s * x + c)
}

const LN_SERIES: [f64; 10] = {
    let mut c = [0.0; 10];
    let mut k = 0;
    while k < 10 {
        c[k] = 1.0 / (2 * k + 1) as f64;
        k += 1;
    }
    c
};

/// (-1)^k / (2 k + first)!
const fn alternating<const N: usize>(first: u32) -> [f64; N] {
    let mut c = [1.0; N];
    let mut k = 1;
    while k < N {
        let n = (2 * k as u32 + first) as f64;
        c[k] = -c[k - 1] / (n * (n - 1.0));
        k += 1;
    }
    c
}
const SIN_SERIES: [f64; 8] = alternating(1);
const COS_SERIES: [f64; 9] = alternating(0);

/// ln of (k + 1/2) 2⁻⁴⁰ for k < 2⁴⁰, in (0, 1); relative error below 1e-15.
///
/// With x = 2^e m, √½ <= m < √2 and s = (m - 1)/(m + 1): ln x = e ln 2 + 2 (s + s³/3 + s⁵/5 + ...).
fn ln_fraction(k: u64) -> f64 {
    let bits = ((2 * k + 1) as f64).to_bits();
    let high = bits.wrapping_add(0x0009_5F61_9980_C433); // carries into the exponent when m >= √2
    let exponent = (high >> 52) as i64 - 1023;
    let m = f64::from_bits(bits.wrapping_sub((exponent as u64) << 52));
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let series = horner(q, &LN_SERIES);
    (exponent - 41) as f64 * std::f64::consts::LN_2 + 2.0 * s * series
}

/// cos and sin of 2π (k + 1/2) 2⁻²⁴ for k < 2²⁴: the quadrant from the two high bits, Taylor series about its middle.
fn cos_sin_turn(k: u32) -> (f64, f64) {
    let x = (f64::from(k & 0x003F_FFFF) + 0.5 - 2_097_152.0) * (std::f64::consts::FRAC_PI_2 / 4_194_304.0);
    let y = x * x;
    let (s, c) = (x * horner(y, &SIN_SERIES), horner(y, &COS_SERIES));
    let root = std::f64::consts::FRAC_1_SQRT_2;
    let (a, b) = (root * (c - s), root * (c + s)); // the first quadrant
    match k >> 22 {
        0 => (a, b),
        1 => (-b, a),
        2 => (-a, -b),
        _ => (b, -a),
    }
}

impl Streams {
    /// Three independent standard normal numbers from a single block of random bits, for the noise on many atoms: Box and
    /// Muller with 40 bits for the radius (up to 7.5 standard deviations) and 24 bits for the angle. Arithmetic alone, no
    /// library functions, so that the numbers are the same on every machine.
    pub fn noise3(&self, stream: Stream, step: u64, substep: u32, index: u64) -> Vec3 {
        let b = self.bits(stream, step, substep, index);
        let (first, second) =
            (u64::from(b[0]) << 32 | u64::from(b[1]), u64::from(b[2]) << 32 | u64::from(b[3]));
        let r = (-2.0 * ln_fraction(first >> 24)).sqrt();
        let (cos, sin) = cos_sin_turn(first as u32 & 0x00FF_FFFF);
        let (cos2, _) = cos_sin_turn(second as u32 & 0x00FF_FFFF);
        Vec3::new(r * cos, r * sin, (-2.0 * ln_fraction(second >> 24)).sqrt() * cos2)
    }
}

/// A sequence of random numbers at one (stream, step, sub-step), for scalar algorithms of unknown length
/// (a gamma variate, a Monte Carlo move).
pub struct Sequence {
    streams: Streams,
    at: (Stream, u64, u32),
    next: u64,
}

impl Streams {
    /// The sequence of numbers at a place.
    pub fn sequence(&self, stream: Stream, step: u64, substep: u32) -> Sequence {
        Sequence { streams: *self, at: (stream, step, substep), next: 0 }
    }
}

impl Sequence {
    /// A uniform number in (0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.next += 1;
        self.streams.uniform2(self.at.0, self.at.1, self.at.2, self.next - 1)[0]
    }
    /// A standard normal number.
    pub fn normal(&mut self) -> f64 {
        self.next += 1;
        self.streams.normal2(self.at.0, self.at.1, self.at.2, self.next - 1)[0]
    }
    /// A gamma variate of the given shape > 0 and unit scale (Marsaglia and Tsang 2000, doi:10.1145/358407.358414).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let u = self.uniform();
            return self.gamma(shape + 1.0) * u.powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v <= 0.0 {
                continue;
            }
            let u = self.uniform();
            if u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }
    /// A chi-squared variate: the sum of `n` squared standard normal numbers (0 for n = 0).
    pub fn chi_squared(&mut self, n: f64) -> f64 {
        if n > 0.0 { 2.0 * self.gamma(0.5 * n) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_matches_the_published_vectors() {
        // kat_vectors of the Random123 distribution, philox4x32 10
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox4x32([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn logarithm_and_circle_functions_are_exact_to_rounding() {
        let rng = Streams { seed: 1 };
        let mut worst = [0.0f64; 2];
        for i in 0..100_000 {
            let b = rng.bits(Stream::Test, 0, 9, i);
            for k in [u64::from(b[0]) << 8 | u64::from(b[1] & 255), i, (1 << 40) - 1 - i, 777 << (i % 30)] {
                let exact = ((k as f64 + 0.5) / (1u64 << 40) as f64).ln();
                worst[0] = worst[0].max((ln_fraction(k) / exact - 1.0).abs());
            }
            let k = b[2] >> 8;
            let (sin, cos) = (std::f64::consts::TAU * (f64::from(k) + 0.5) / f64::from(1 << 24)).sin_cos();
            let (c, s) = cos_sin_turn(k);
            worst[1] = worst[1].max((c - cos).abs()).max((s - sin).abs());
        }
        assert!(worst[0] < 2e-15 && worst[1] < 3e-15, "{worst:?}");
    }

    #[test]
    fn noise_is_normal_and_independent() {
        let rng = Streams { seed: 21 };
        let n = 300_000;
        let mut sums = [0.0; 12];
        for i in 0..n {
            let x = rng.noise3(Stream::Test, 1, 0, i);
            for k in 0..3 {
                sums[k] += x[k];
                sums[3 + k] += x[k] * x[k] - 1.0;
                sums[6 + k] += x[k].powi(4) - 3.0;
                sums[9 + k] += x[k] * x[(k + 1) % 3];
            }
        }
        let variances = [1.0, 2.0, 96.0, 1.0];
        for (k, sum) in sums.iter().enumerate() {
            let z = sum / (n as f64 * variances[k / 3]).sqrt();
            assert!(z.abs() < 5.0, "{k}: {z}");
        }
    }

    #[test]
    fn moments_are_right() {
        let s = Streams { seed: 11 };
        let n = 200_000u64;
        let (mut m, mut v, mut k) = (0.0, 0.0, 0.0);
        for i in 0..n {
            let x = s.normal2(Stream::Test, 3, 1, i)[1];
            m += x;
            v += x * x;
            k += x.powi(4);
        }
        let n = n as f64;
        assert!((m / n).abs() < 5.0 / n.sqrt());
        assert!((v / n - 1.0).abs() < 5.0 * (2.0 / n).sqrt());
        assert!((k / n - 3.0).abs() < 5.0 * (96.0 / n).sqrt());
        for shape in [0.3, 1.5, 40.0] {
            let mean =
                (0..20_000u64).map(|i| s.sequence(Stream::Test, i, 2).gamma(shape)).sum::<f64>() / 20_000.0;
            assert!((mean - shape).abs() < 5.0 * (shape / 20_000.0).sqrt(), "{shape} {mean}");
        }
    }
}
