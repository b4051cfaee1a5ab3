//! Estimators: block averages, drifts, and series of bounded memory.
use crate::{Archive, ArchiveError};

/// A mean with its standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    /// Mean.
    pub value: f64,
    /// Standard error of the mean, correlations included.
    pub error: f64,
    /// How many times larger the variance of the mean is than for independent values (statistical inefficiency g).
    pub inefficiency: f64,
    /// True when the blocks became long enough to be independent; if not, the error is a lower bound.
    pub resolved: bool,
}

/// A slope with its standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slope {
    /// Change of the value from one entry to the next.
    pub value: f64,
    /// Standard error, correlations of the residuals included.
    pub error: f64,
    /// True when the correlations of the residuals were resolved.
    pub resolved: bool,
}

/// Fewest blocks an error is estimated from.
const FEWEST_BLOCKS: usize = 8;

/// Mean and error of a correlated series by blocking.
///
/// Values are averaged in blocks of B = 1, 2, 4 …; the error of n/B independent blocks with means b is
/// `e_B² = Σ (b - mean)² / (k (k - 1))` for k blocks. Taken is the smallest B with `B³ > 2 n (e_B/e_1)⁴`, which
/// balances the bias of short blocks against the noise of few.
/// Sources: Flyvbjerg, Petersen, J. Chem. Phys. 91, 461 (1989), doi:10.1063/1.457480; the choice of B from Lee,
/// Needs, Towler, Phys. Rev. E 83, 066706 (2011), doi:10.1103/PhysRevE.83.066706.
pub fn block_average(values: &[f64]) -> Mean {
    let n = values.len();
    if n == 0 {
        return Mean { value: f64::NAN, error: f64::INFINITY, inefficiency: 1.0, resolved: false };
    }
    let value = values.iter().sum::<f64>() / n as f64;
    let mut blocks: Vec<f64> = values.iter().map(|x| x - value).collect();
    let (mut plain, mut largest, mut size) = (0.0, 0.0f64, 1usize);
    while blocks.len() >= FEWEST_BLOCKS {
        let k = blocks.len() as f64;
        let center = blocks.iter().sum::<f64>() / k;
        let error = (blocks.iter().map(|b| (b - center).powi(2)).sum::<f64>() / (k * (k - 1.0))).sqrt();
        if size == 1 {
            plain = error;
        }
        if error == 0.0 && plain == 0.0 {
            return Mean { value, error, inefficiency: 1.0, resolved: true };
        }
        let ratio = error / plain;
        if (size as f64).powi(3) > 2.0 * n as f64 * ratio.powi(4) {
            return Mean { value, error, inefficiency: ratio * ratio, resolved: true };
        }
        largest = largest.max(error);
        blocks = blocks.chunks_exact(2).map(|b| 0.5 * (b[0] + b[1])).collect();
        size *= 2;
    }
    let error = if n < FEWEST_BLOCKS { f64::INFINITY } else { largest };
    let ratio = if plain > 0.0 { error / plain } else { 1.0 };
    Mean { value, error, inefficiency: ratio * ratio, resolved: false }
}

/// Slope of a series against its index by least squares.
///
/// The error is that for independent residuals times √g, with the inefficiency g ≥ 1 of the residuals from
/// [`block_average`]. When their correlations are not resolved (a random walk), it is the larger of that and the
/// scatter of the increments over 8 equal parts.
pub fn drift(values: &[f64]) -> Slope {
    let n = values.len();
    if n < FEWEST_BLOCKS {
        return Slope { value: f64::NAN, error: f64::INFINITY, resolved: false };
    }
    let m = n as f64;
    let (middle, mean) = (0.5 * (m - 1.0), values.iter().sum::<f64>() / m);
    let spread = m * (m * m - 1.0) / 12.0;
    let along = |(i, y): (usize, &f64)| (i as f64 - middle) * (y - mean);
    let value = values.iter().enumerate().map(along).sum::<f64>() / spread;
    let residuals: Vec<f64> =
        values.iter().enumerate().map(|(i, y)| y - mean - value * (i as f64 - middle)).collect();
    let variance = residuals.iter().map(|r| r * r).sum::<f64>() / (m - 2.0);
    let noise = block_average(&residuals);
    let mut error = (variance * noise.inefficiency.max(1.0) / spread).sqrt();
    if !noise.resolved {
        let part = n / FEWEST_BLOCKS;
        let mean_of = |k: usize| values[k * part..(k + 1) * part].iter().sum::<f64>() / part as f64;
        let steps: Vec<f64> = (1..FEWEST_BLOCKS).map(|k| mean_of(k) - mean_of(k - 1)).collect();
        let k = steps.len() as f64;
        let center = steps.iter().sum::<f64>() / k;
        let scatter = (steps.iter().map(|s| (s - center).powi(2)).sum::<f64>() / (k - 1.0)).sqrt();
        error = error.max(scatter / (k.sqrt() * part as f64));
    }
    Slope { value, error, resolved: noise.resolved }
}

/// A series of samples in bounded memory: means of equal bins, whose width doubles when there are too many.
///
/// Values are kept relative to the first one, so that a drift in the last digits of a large number survives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    origin: f64,
    bins: Vec<f64>,
    width: u64,
    partial: f64,
    in_partial: u64,
    count: u64,
    sum: f64,
    squares: f64,
}

/// Bins at most; half as many after each doubling.
const BINS: usize = 1024;

impl Series {
    /// Adds a sample.
    pub fn push(&mut self, x: f64) {
        if self.count == 0 {
            self.origin = x;
            self.width = 1;
            self.bins.reserve(BINS);
        }
        let x = x - self.origin;
        self.count += 1;
        let d = x - self.sum;
        // running mean and sum of squares about it (Welford)
        self.sum += d / self.count as f64;
        self.squares += d * (x - self.sum);
        self.partial += x;
        self.in_partial += 1;
        if self.in_partial == self.width {
            self.bins.push(self.partial / self.width as f64);
            (self.partial, self.in_partial) = (0.0, 0);
            if self.bins.len() == BINS {
                for k in 0..BINS / 2 {
                    self.bins[k] = 0.5 * (self.bins[2 * k] + self.bins[2 * k + 1]);
                }
                self.bins.truncate(BINS / 2);
                self.width *= 2;
            }
        }
    }
    /// Number of samples.
    pub fn len(&self) -> u64 {
        self.count
    }
    /// True without samples.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// Number of complete bins.
    pub fn bins(&self) -> usize {
        self.bins.len()
    }
    /// Samples in a bin.
    pub fn width(&self) -> u64 {
        self.width
    }
    /// Variance of the samples.
    pub fn variance(&self) -> f64 {
        if self.count > 1 { self.squares / (self.count - 1) as f64 } else { 0.0 }
    }
    /// Mean and error of the part after the first `skip` (a fraction).
    pub fn mean(&self, skip: f64) -> Mean {
        let first = (skip * self.bins.len() as f64) as usize;
        let mut mean = block_average(&self.bins[first.min(self.bins.len())..]);
        mean.value += self.origin;
        mean
    }
    /// Change per sample.
    pub fn drift(&self) -> Slope {
        let mut slope = drift(&self.bins);
        slope.value /= self.width.max(1) as f64;
        slope.error /= self.width.max(1) as f64;
        slope
    }
    /// Means of the first and the second half of the part after the first `skip`.
    pub fn halves(&self, skip: f64) -> [Mean; 2] {
        let first = ((skip * self.bins.len() as f64) as usize).min(self.bins.len());
        let rest = &self.bins[first..];
        let (a, b) = rest.split_at(rest.len() / 2);
        [a, b].map(|half| {
            let mut mean = block_average(half);
            mean.value += self.origin;
            mean
        })
    }
    /// Saves or restores everything.
    ///
    /// # Errors
    /// When the archive does not fit.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.f64_vec(&mut self.bins)?;
        for x in [&mut self.origin, &mut self.partial, &mut self.sum, &mut self.squares] {
            archive.f64(x)?;
        }
        for n in [&mut self.width, &mut self.in_partial, &mut self.count] {
            archive.u64(n)?;
        }
        if archive.is_reading() && self.bins.len() >= BINS {
            return Err(ArchiveError::Invalid { section: "series".into() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stream, Streams};

    /// x' = φ x + √(1-φ²) ξ: unit variance, inefficiency (1+φ)/(1-φ).
    fn correlated(phi: f64, n: usize, seed: u64) -> Vec<f64> {
        let mut rng = Streams { seed }.sequence(Stream::Test, 0, 0);
        let mut x = rng.normal();
        (0..n)
            .map(|_| {
                x = phi * x + (1.0 - phi * phi).sqrt() * rng.normal();
                x
            })
            .collect()
    }

    #[test]
    fn errors_of_means_have_the_size_of_the_deviations() {
        for phi in [0.0, 0.8] {
            let z2: f64 = (0..300)
                .map(|seed| {
                    let m = block_average(&correlated(phi, 4096, seed));
                    assert!(m.resolved);
                    (m.value / m.error).powi(2)
                })
                .sum::<f64>()
                / 300.0;
            // χ²/300 has a standard deviation of 0.08; few blocks widen z a little
            assert!((0.75..1.35).contains(&z2), "{phi} {z2}");
        }
        let m = block_average(&correlated(0.9, 1 << 16, 7));
        assert!((m.inefficiency / 19.0 - 1.0).abs() < 0.35, "{}", m.inefficiency);
    }

    #[test]
    fn errors_of_drifts_have_the_size_of_the_deviations() {
        let slope = 3e-4;
        let z2: f64 = (0..300)
            .map(|seed| {
                let mut x = correlated(0.7, 1024, seed);
                x.iter_mut().enumerate().for_each(|(i, x)| *x += slope * i as f64 - 1e4);
                let d = drift(&x);
                ((d.value - slope) / d.error).powi(2)
            })
            .sum::<f64>()
            / 300.0;
        assert!((0.7..1.5).contains(&z2), "{z2}");
        let walks = (0..200).filter(|&seed| {
            let mut sum = 0.0;
            let walk: Vec<f64> = correlated(0.0, 1024, seed)
                .iter()
                .map(|x| {
                    sum += x;
                    sum
                })
                .collect();
            let d = drift(&walk);
            d.value.abs() > 4.0 * d.error
        });
        // a random walk has no drift
        assert!(walks.count() <= 6);
    }

    #[test]
    fn short_or_constant_series_are_told() {
        assert!(!block_average(&[1.0, 2.0]).resolved && block_average(&[1.0, 2.0]).error.is_infinite());
        assert!(!drift(&[1.0; 5]).resolved);
        let m = block_average(&[2.0; 64]);
        assert_eq!((m.value, m.error, m.resolved), (2.0, 0.0, true));
        let walk: Vec<f64> = (0..64).map(f64::from).collect();
        assert!(!block_average(&walk).resolved);
        assert!(block_average(&[]).value.is_nan());
    }

    #[test]
    fn series_keep_means_and_drifts_in_bounded_memory() {
        let mut s = Series::default();
        let n = 300_000u64;
        for i in 0..n {
            s.push(-1e6 + 1e-7 * i as f64 + if i % 2 == 0 { 0.5 } else { -0.5 });
        }
        assert!(s.bins() < BINS && s.width() >= n / BINS as u64);
        let d = s.drift();
        assert!((d.value / 1e-7 - 1.0).abs() < 1e-3, "{d:?}");
        assert!((s.mean(0.0).value + 1e6 - 0.5e-7 * n as f64).abs() < 1e-4);
        assert!((s.variance() - 0.25 - (1e-7 * n as f64).powi(2) / 12.0).abs() < 1e-6);
        let mut copy = Series::default();
        let mut a = Archive::writer();
        s.archive(&mut a).unwrap();
        copy.archive(&mut Archive::reader(a.into_bytes())).unwrap();
        for s in [&mut s, &mut copy] {
            (0..5000).for_each(|i| s.push(f64::from(i)));
        }
        assert_eq!(s, copy);
    }
}
