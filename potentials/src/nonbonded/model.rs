//! What the non-bonded interaction of a force field is made of.
use crate::Precision;
use crate::electrostatics::{GridRule, SplineOrder};

/// Lennard-Jones numbers of every pair of types, u = c12/r¹² - c6/r⁶.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LennardJonesTypes {
    count: usize,
    c12: Vec<f64>,
    c6: Vec<f64>,
}

/// How the numbers of two different types follow from their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    /// σ = (σ1 + σ2)/2, ε = sqrt(ε1 ε2).
    LorentzBerthelot,
    /// σ = sqrt(σ1 σ2), ε = sqrt(ε1 ε2).
    Geometric,
    /// σ⁶ = (σ1⁶ + σ2⁶)/2, ε = 2 sqrt(ε1 ε2) σ1³ σ2³/(σ1⁶ + σ2⁶) (Waldman and Hagler).
    SixthPower,
}

impl Combination {
    /// σ and ε of a pair.
    pub fn of(self, [s1, e1]: [f64; 2], [s2, e2]: [f64; 2]) -> [f64; 2] {
        match self {
            Self::LorentzBerthelot => [0.5 * (s1 + s2), (e1 * e2).sqrt()],
            Self::Geometric => [(s1 * s2).sqrt(), (e1 * e2).sqrt()],
            Self::SixthPower => {
                let sum = s1.powi(6) + s2.powi(6);
                let epsilon = if sum > 0.0 { 2.0 * (e1 * e2).sqrt() * (s1 * s2).powi(3) / sum } else { 0.0 };
                [(0.5 * sum).powf(1.0 / 6.0), epsilon]
            }
        }
    }
}

/// c12 and c6 of σ (Å) and ε (eV).
pub fn coefficients([sigma, epsilon]: [f64; 2]) -> [f64; 2] {
    let s6 = sigma.powi(6);
    [4.0 * epsilon * s6 * s6, 4.0 * epsilon * s6]
}

impl LennardJonesTypes {
    /// From σ (Å) and ε (eV) of each type.
    pub fn mixed(own: &[[f64; 2]], rule: Combination) -> Self {
        Self::from_pairs(own.len(), |i, j| {
            coefficients(if i == j { own[i] } else { rule.of(own[i], own[j]) })
        })
    }
    /// From [c12, c6] (eV Å¹², eV Å⁶) of pairs of types, the same in either order.
    pub fn from_pairs(count: usize, pair: impl Fn(usize, usize) -> [f64; 2]) -> Self {
        let mut this = Self { count, c12: vec![0.0; count * count], c6: vec![0.0; count * count] };
        for i in 0..count {
            for j in 0..=i {
                this.set(i, j, pair(i, j));
            }
        }
        this
    }
    /// Replaces [c12, c6] of a pair of types.
    pub fn set(&mut self, i: usize, j: usize, [c12, c6]: [f64; 2]) {
        for at in [i * self.count + j, j * self.count + i] {
            (self.c12[at], self.c6[at]) = (c12, c6);
        }
    }
    /// Number of types.
    pub fn len(&self) -> usize {
        self.count
    }
    /// True without types.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// [c12, c6] of a pair of types.
    pub fn get(&self, i: usize, j: usize) -> [f64; 2] {
        [self.c12[i * self.count + j], self.c6[i * self.count + j]]
    }
    /// True when a type interacts with any.
    pub fn acts(&self, i: usize) -> bool {
        (0..self.count).any(|j| self.get(i, j) != [0.0; 2])
    }
}

/// A pair whose interaction is its own instead of the common one, without a cutoff; all zero for an exclusion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExceptionPair {
    /// The two atoms.
    pub atoms: [u32; 2],
    /// Product of the charges, e².
    pub charges: f64,
    /// eV Å¹².
    pub c12: f64,
    /// eV Å⁶.
    pub c6: f64,
}

/// How the interaction beyond near pairs is treated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// All pairs of an open system.
    NoCutoff,
    /// Plain Coulomb interaction within the cutoff.
    Cut,
    /// A dielectric continuum beyond the cutoff.
    ReactionField {
        /// Relative permittivity; infinite for a conductor.
        dielectric: f64,
    },
    /// Ewald sum of the charges.
    Ewald {
        /// Splitting parameter, 1/Å.
        alpha: f64,
        /// Largest wave number, 1/Å.
        wave_cutoff: f64,
    },
    /// Particle-mesh Ewald of the charges.
    Pme(Mesh),
    /// Particle-mesh Ewald of the charges and of the dispersion.
    LjPme {
        /// For the charges.
        charges: Mesh,
        /// For the dispersion.
        dispersion: Mesh,
    },
}

/// How the Lennard-Jones interaction ends at the cutoff.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Modifier {
    /// Multiplied by a function that falls to zero, from `switch` on; truncated without `switch`.
    #[default]
    PotentialSwitch,
    /// Shifted to zero at the cutoff.
    PotentialShift,
    /// A polynomial is added from `switch` on that makes force and its slope zero at the cutoff, and the energy shifted.
    ForceSwitch,
}

/// What is taken from r⁻ⁿ, n = 12 and 6, so that it ends smoothly at the cutoff R:
///
/// P(r) = (A/3) t³ + (B/4) t⁴ + C, t = max(r - r1, 0), w = R - r1,
/// A = -n ((n+4) R - (n+1) r1)/(R^(n+2) w²), B = n ((n+3) R - (n+1) r1)/(R^(n+2) w³), C = R⁻ⁿ - (A/3) w³ - (B/4) w⁴.
///
/// A shift is the case A = B = 0, r1 = R. Source: D. van der Spoel, P. J. van Maaren, J. Chem. Theory Comput. 2, 1 (2006),
/// doi:10.1021/ct0502256.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Smoothing {
    /// r1, Å.
    pub from: f64,
    /// A/3, B/4 and C for r⁻¹².
    pub twelve: [f64; 3],
    /// The same for r⁻⁶.
    pub six: [f64; 3],
}

impl Smoothing {
    pub fn shift(cutoff: f64) -> Self {
        Self { from: cutoff, twelve: [0.0, 0.0, cutoff.powi(-12)], six: [0.0, 0.0, cutoff.powi(-6)] }
    }
    pub fn force_switch(from: f64, cutoff: f64) -> Self {
        let w = cutoff - from;
        let of = |n: i32| {
            let (m, scale) = (f64::from(n), cutoff.powi(-(n + 2)));
            let a = -m * ((m + 4.0) * cutoff - (m + 1.0) * from) * scale / (3.0 * w * w);
            let b = m * ((m + 3.0) * cutoff - (m + 1.0) * from) * scale / (4.0 * w.powi(3));
            [a, b, cutoff.powi(-n) - a * w.powi(3) - b * w.powi(4)]
        };
        Self { from, twelve: of(12), six: of(6) }
    }
    /// What is taken from c12/r¹² - c6/r⁶.
    pub fn at(&self, [c12, c6]: [f64; 2], r: f64) -> f64 {
        let t = (r - self.from).max(0.0);
        let p = |[a, b, c]: [f64; 3]| t.powi(3) * (a + b * t) + c;
        c12 * p(self.twelve) - c6 * p(self.six)
    }
}

/// Settings of a particle-mesh sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mesh {
    /// Splitting parameter, 1/Å.
    pub alpha: f64,
    /// Grid.
    pub grid: GridRule,
    /// Order of the splines.
    pub order: SplineOrder,
}

/// The non-bonded interaction of a system.
#[derive(Clone, Debug)]
pub struct NonBondedModel {
    /// Lennard-Jones type of each atom.
    pub types: Vec<u32>,
    /// Charge of each atom, e.
    pub charges: Vec<f64>,
    /// Numbers of the types.
    pub lennard_jones: LennardJonesTypes,
    /// Pairs that are excluded or have their own interaction.
    pub exceptions: Vec<ExceptionPair>,
    /// Long-range treatment.
    pub method: Method,
    /// Cutoff, Å; not used by [`Method::NoCutoff`].
    pub cutoff: f64,
    /// Where the Lennard-Jones interaction begins to be switched off, Å.
    pub switch: Option<f64>,
    /// How it ends at the cutoff.
    pub modifier: Modifier,
    /// Correction for the dispersion beyond the cutoff.
    pub dispersion_correction: bool,
    /// Coulomb constant, eV Å.
    pub constant: f64,
    /// Precision of the pairs within the cutoff.
    pub precision: Precision,
}
