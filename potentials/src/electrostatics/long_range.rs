//! Coulomb interactions of periodic systems: what Ewald sums and particle-mesh Ewald have in common.
use super::exclusions::Exclusions;
use super::forms::{Damped, PairForm, bare};
use super::pair_sum::{ExclusionSum, PairSum};
use super::slab::Slab;
use caloron_engine::{Cell, Input, Mat3, Outputs, Potential, PotentialError, Properties, System, Vec3};
use std::f64::consts::PI;

/// Geometry and charges of the reciprocal part; the cell is periodic in all directions.
#[derive(Clone, Copy)]
pub(crate) struct Waves<'a> {
    pub h: &'a Mat3,
    pub h_inv: &'a Mat3,
    /// How many times the cell of the system each lattice vector is; more than 1 for the vacuum of slabs.
    pub stretch: [f64; 3],
    pub positions: &'a [Vec3],
    pub charges: &'a [f64],
}

/// A way to sum the reciprocal part.
pub(crate) trait Reciprocal: Send {
    /// Chooses what depends on the cell, which is periodic in all directions.
    fn prepare(&mut self, h: &Mat3, h_inv: &Mat3);
    /// Adds energy, forces, virial and what is wanted for atoms.
    fn add(&mut self, waves: &Waves<'_>, want: Properties, out: &mut Outputs);
    /// Its settings in words.
    fn describe(&self) -> String;
    /// Papers.
    fn citations(&self) -> Vec<&'static str>;
    /// True when it sums over a mesh.
    fn is_mesh(&self) -> bool {
        false
    }
    /// What it does not provide.
    fn lacks(&self) -> Properties {
        Properties::empty()
    }
}

/// The Coulomb energy of a periodic system with conducting ("tin foil") surroundings,
///
/// E = k_e [ Σ_{i<j} q_i q_j erfc(α r_ij)/r_ij + Σ_{k≠0} (2 π/V k²) exp(-k²/4α²) |S(k)|² - (α/√π) Σ q_i²
///     - π Q²/(2 α² V) - Σ_excluded (1 - scale) q_i q_j / r_ij ],
///
/// real-space pairs within the cutoff over all images; Q = Σ q_i, whose term is the neutralising background.
/// With two periodic directions the sum is that of a slab (`Slab`).
pub struct LongRange {
    name: &'static str,
    alpha: f64,
    cutoff: f64,
    constant: f64,
    real: PairSum<Damped>,
    reciprocal: Box<dyn Reciprocal>,
    exclusions: ExclusionSum,
    slab: Slab,
    warnings: Vec<String>,
}

impl LongRange {
    pub(crate) fn new(
        name: &'static str,
        alpha: f64,
        cutoff: f64,
        constant: f64,
        exclusions: Exclusions,
        reciprocal: Box<dyn Reciprocal>,
    ) -> Self {
        Self {
            name,
            alpha,
            cutoff,
            constant,
            real: PairSum::new(Damped::ewald(alpha, cutoff), cutoff),
            reciprocal,
            exclusions: ExclusionSum::new(exclusions),
            slab: Slab::new(3.0),
            warnings: Vec::new(),
        }
    }
    /// Sets how many times the height of the cell the slab is repeated at.
    #[must_use]
    pub fn with_slab_factor(mut self, factor: f64) -> Self {
        self.slab = Slab::new(factor);
        self
    }
    /// Notes what the user should know about the charges of a system, and chooses what depends on the cell.
    #[must_use]
    pub fn prepared_for(self, system: &System, cell: &Cell) -> Self {
        self.prepared_for_charges(system.charges(), cell)
    }
    /// As [`LongRange::prepared_for`] for charges that are not those of the system.
    #[must_use]
    pub(crate) fn prepared_for_charges(mut self, charges: &[f64], cell: &Cell) -> Self {
        if cell.is_fully_periodic() {
            self.reciprocal.prepare(cell.matrix(), cell.inverse());
        }
        self.note(charges);
        self
    }
    fn note(&mut self, charges: &[f64]) {
        let total: f64 = charges.iter().sum();
        if total.abs() > 1e-6 {
            self.warnings.push(format!(
                "the total charge is {total:.6} e: a uniform background neutralises it, which shifts energy and \
                 pressure"
            ));
        }
    }
    /// Splitting parameter α.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }
    /// Self energy and neutralising background.
    fn add_charge_terms(&self, charges: &[f64], volume: f64, want: Properties, out: &mut Outputs) {
        let total: f64 = charges.iter().sum();
        let squares: f64 = charges.iter().map(|q| q * q).sum();
        let own = self.constant * self.real.form().self_energy();
        let background = -self.constant * PI / (2.0 * self.alpha * self.alpha * volume);
        out.energy += own * squares + background * total * total;
        if want.contains(Properties::VIRIAL) {
            out.virial += Mat3::from_diagonal_element(background * total * total);
        }
        if want.contains(Properties::ATOM_ENERGIES) {
            for (e, q) in out.atom_energies.iter_mut().zip(charges) {
                *e += own * q * q + background * total * q;
            }
        }
        if want.contains(Properties::ATOM_VIRIALS) {
            for (w, q) in out.atom_virials.iter_mut().zip(charges) {
                *w += Mat3::from_diagonal_element(background * total * q);
            }
        }
    }
}

impl Potential for LongRange {
    fn name(&self) -> &'static str {
        self.name
    }
    fn cutoff(&self) -> Option<f64> {
        Some(self.cutoff)
    }
    fn provides(&self) -> Properties {
        Properties::all().difference(Properties::EXTRAS | self.reciprocal.lacks())
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        let charges = input.system.charges();
        self.real.add(&input, charges, self.constant, want, out);
        self.add_smooth(&input, charges, want, out)?;
        self.exclusions.add(&input, charges, bare, self.constant, want, out);
        Ok(())
    }
    fn uses_mesh(&self) -> bool {
        self.reciprocal.is_mesh()
    }
    fn citations(&self) -> Vec<&'static str> {
        self.reciprocal.citations()
    }
    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
    fn describe(&self) -> Vec<String> {
        let reciprocal = self.reciprocal.describe();
        vec![format!(
            "alpha = {:.6} 1/length, real-space cutoff {:.4}, {reciprocal}",
            self.alpha, self.cutoff
        )]
    }
}

impl LongRange {
    /// Adds everything but the pairs: the reciprocal part, the self energy, the background, the dipole of a slab.
    ///
    /// # Errors
    /// When the cell is not periodic in three or two directions.
    pub(crate) fn add_smooth(
        &mut self,
        input: &Input<'_>,
        charges: &[f64],
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        let (cell, positions) = (input.cell, input.positions);
        let refuse = |reason: String| Err(PotentialError::Geometry { potential: self.name, reason });
        let extended = match cell.periodic().iter().filter(|p| **p).count() {
            3 => None,
            2 => match self.slab.extend(cell, positions, self.cutoff) {
                Ok(extended) => Some(extended),
                Err(reason) => return refuse(reason),
            },
            n => {
                return refuse(format!(
                    "the cell is periodic in {n} directions; a lattice sum needs three, or two for a slab. For an \
                     open system use coulomb with method \"direct\""
                ));
            }
        };
        let (h, h_inv, stretch) = match &extended {
            Some(e) => (&e.h, &e.h_inv, e.stretch),
            None => (cell.matrix(), cell.inverse(), [1.0; 3]),
        };
        self.reciprocal.add(&Waves { h, h_inv, stretch, positions, charges }, want, out);
        self.add_charge_terms(charges, h.determinant().abs(), want, out);
        if let Some(e) = &extended {
            e.add_dipole_term(positions, charges, self.constant, want, out);
        }
        Ok(())
    }
}
