//! Pair potentials: energies that are sums of functions of the distance of two atoms.
//!
//! A form is one file: its spec, and a [`PairFunction`]. Everything else (species, mixing, cutoffs, truncation, tail
//! corrections, vectors, threads, virials) is in the driver [`Pair`].
mod kernel;
mod table;
mod tail;
mod truncation;
mod typed;

pub mod born;
pub mod buckingham;
pub mod lennard_jones;
pub mod mie;
pub mod mixing;
pub mod morse;
pub mod soft_sphere;
pub mod tabulated;
pub mod wca;
pub mod yukawa;
pub mod zbl;

pub use table::{PairTable, Parameters, Unlisted};
pub use truncation::Truncation;
pub use typed::{PairStyles, PairStylesModel, TypedForm, TypedPair, TypedPairs};

use crate::kernels::symmetric;
use crate::simd::{Lanes, Level};
use caloron_engine::quantity::{Dimension, Length, Quantity};
use caloron_engine::{Input, Outputs, Potential, PotentialError, Properties, SpecError};
pub use kernel::Job;
use kernel::{ALL, Around, ENERGY, FORCES, Sink, Totals};

/// A function of the distance with K coefficients for each pair of species.
pub trait PairFunction<const K: usize>: Send + Sync + 'static {
    /// Name for messages.
    const NAME: &'static str;
    /// u(r) and -u'(r)/r at r²; must be `#[inline(always)]`.
    fn eval<V: Lanes>(&self, c: &[V; K], r2: V) -> (V, V);
    /// Runs the kernel over all rows. Forms that matter for speed may choose [`Job::specialized`], which costs compile
    /// time and memory for code.
    fn run(job: Job<'_, Self, K>)
    where
        Self: Sized,
    {
        job.general();
    }
    /// Papers to cite.
    fn citations(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// The driver of all pair potentials.
pub struct Pair<F, const K: usize> {
    function: F,
    table: PairTable<K>,
    tail: Option<tail::Tail>,
    level: Level,
    warnings: Vec<String>,
    totals: Vec<Totals>,
}

impl<F: PairFunction<K>, const K: usize> Pair<F, K> {
    /// A potential from its function and the parameters of the pairs.
    ///
    /// # Errors
    /// When a tail correction is asked for with a truncation that changes the potential inside of the cutoff, or does
    /// not converge.
    pub fn new(function: F, table: PairTable<K>, tail_correction: bool) -> Result<Self, SpecError> {
        let tail = tail_correction.then(|| tail::Tail::new(&function, &table)).transpose()?;
        let mut warnings = Vec::new();
        match table.truncation {
            Truncation::Truncated => warnings.push(format!(
                "{}: the energy jumps at the cutoff (truncation = \"truncated\"), so dynamics will not conserve it",
                F::NAME
            )),
            Truncation::EnergyShifted => warnings.push(format!(
                "{}: the force jumps at the cutoff (truncation = \"energy_shifted\"): energy conservation does not \
                 improve with the square of the time step",
                F::NAME
            )),
            _ => {}
        }
        Ok(Self { function, table, tail, level: Level::detect(), warnings, totals: Vec::new() })
    }
    /// The same with a warning for the user.
    #[must_use]
    pub fn with_warning(mut self, warning: String) -> Self {
        self.warnings.push(warning);
        self
    }
    /// The same without warnings, for forms whose truncation is part of their definition.
    #[must_use]
    pub fn without_warnings(mut self) -> Self {
        self.warnings.clear();
        self
    }
    /// Restricts the instructions that are used (for tests; numbers do not change).
    pub fn set_level(&mut self, level: Level) {
        self.level = level;
    }
    /// Energy and force -u'(r) of two atoms of the given species at a distance, without truncation.
    pub fn energy_force(&self, species: [usize; 2], r: f64) -> Option<(f64, f64)> {
        let (c, _) = self.table.pairs.get(species[0] * self.table.species + species[1])?.as_ref()?;
        Some(truncation::energy_force(&self.function, c, r))
    }
}

impl<F: PairFunction<K>, const K: usize> Potential for Pair<F, K> {
    fn name(&self) -> &'static str {
        F::NAME
    }
    fn cutoff(&self) -> Option<f64> {
        Some(self.table.cutoff)
    }
    fn jumps_at_cutoff(&self) -> bool {
        self.table.truncation == Truncation::Truncated
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        let species = input.system.species();
        if species.len() != self.table.species {
            let name = species.get(self.table.species).map_or(String::new(), |s| s.symbol.clone());
            return Err(PotentialError::UnknownSpecies { potential: F::NAME, species: name });
        }
        self.add(Around::list(input.neighbors), want, out);
        self.tail.as_ref().map_or(Ok(()), |tail| tail.add(F::NAME, input, want, out))
    }
    fn citations(&self) -> Vec<&'static str> {
        self.function.citations()
    }
    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

impl<F: PairFunction<K>, const K: usize> Pair<F, K> {
    /// Adds the sums over rows whose sites have species of the table; returns the energy where it is wanted.
    fn add(&mut self, around: Around<'_>, want: Properties, out: &mut Outputs) -> f64 {
        let compute =
            if want.intersects(Properties::VIRIAL | Properties::ATOM_ENERGIES | Properties::ATOM_VIRIALS) {
                ALL
            } else if want.contains(Properties::ENERGY) {
                ENERGY
            } else {
                FORCES
            };
        fn target<T>(v: &mut [T], wanted: bool) -> *mut T {
            if wanted { v.as_mut_ptr() } else { std::ptr::null_mut() }
        }
        let sink = Sink {
            forces: target(&mut out.forces, want.contains(Properties::FORCES)),
            energies: target(&mut out.atom_energies, want.contains(Properties::ATOM_ENERGIES)),
            virials: target(&mut out.atom_virials, want.contains(Properties::ATOM_VIRIALS)),
        };
        let blocks = around.centers().len().div_ceil(caloron_engine::neighbors::BLOCK);
        self.totals.resize(blocks, Totals::default());
        F::run(Job {
            function: &self.function,
            table: &self.table,
            around,
            level: self.level,
            want: compute,
            sink,
            totals: &mut self.totals,
        });
        let mut energy = 0.0;
        if want.contains(Properties::ENERGY) {
            energy = self.totals.iter().fold(0.0, |s, t| s + t.energy);
            out.energy += energy;
        }
        if want.contains(Properties::VIRIAL) {
            let mut w = [0.0; 6];
            for t in &self.totals {
                for k in 0..6 {
                    w[k] += t.virial[k];
                }
            }
            out.virial += symmetric(w);
        }
        energy
    }
}

/// Checks of values that specs share.
pub(crate) mod check {
    use super::*;

    /// A value above zero.
    pub fn positive<D: Dimension>(key: &str, value: Quantity<D>) -> Result<f64, SpecError> {
        let x = value.internal();
        if x.is_finite() && x > 0.0 {
            Ok(x)
        } else {
            Err(SpecError::new(key, format!("the {} must be above zero, not {x}", D::NAME)))
        }
    }
    /// A value not below zero.
    pub fn non_negative<D: Dimension>(key: &str, value: Quantity<D>) -> Result<f64, SpecError> {
        let x = value.internal();
        if x.is_finite() && x >= 0.0 {
            Ok(x)
        } else {
            Err(SpecError::new(key, format!("the {} must not be negative, as {x} is", D::NAME)))
        }
    }
    /// The cutoff of a pair: its own, else that of the table.
    pub fn cutoff(own: Option<Quantity<Length>>, table: f64) -> Result<f64, SpecError> {
        own.map_or(Ok(table), |c| positive("cutoff", c))
    }
}
