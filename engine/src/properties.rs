//! What a potential can compute, and where it puts it.
use crate::{Mat3, Vec3, parallel};

bitflags::bitflags! {
    /// A set of properties that is wanted or available.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Properties: u32 {
        /// Potential energy.
        const ENERGY = 1;
        /// Forces.
        const FORCES = 2;
        /// Virial of the whole system.
        const VIRIAL = 4;
        /// Energy of each atom.
        const ATOM_ENERGIES = 8;
        /// Virial of each atom.
        const ATOM_VIRIALS = 16;
        /// The extras a potential declares.
        const EXTRAS = 32;
    }
}

/// Whether an extra belongs to the system or to every atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One value (of some components) for the system.
    System,
    /// One value (of some components) for each atom.
    Atom,
}

/// Declaration of an extra output: magnetic moments, charges, an uncertainty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraSpec {
    /// Name of the column or key in files.
    pub name: &'static str,
    /// Per system or per atom.
    pub scope: Scope,
    /// Number of components of one value.
    pub components: usize,
    /// Unit, for headers.
    pub unit: &'static str,
}

/// An extra output with its values, `components` numbers per value.
#[derive(Clone, Debug)]
pub struct Extra {
    /// Declaration.
    pub spec: &'static ExtraSpec,
    /// Values, atom after atom.
    pub values: Vec<f64>,
}

/// Results of an evaluation. Potentials add to what is here.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// Potential energy, eV.
    pub energy: f64,
    /// Forces, eV/Å, one per atom.
    pub forces: Vec<Vec3>,
    /// Virial W = Σ r ⊗ f = -∂E/∂strain, eV; positive under compression.
    pub virial: Mat3,
    /// Energies of the atoms, eV; their sum is the energy.
    pub atom_energies: Vec<f64>,
    /// Virials of the atoms, eV; their sum is the virial.
    pub atom_virials: Vec<Mat3>,
    /// Declared extras.
    pub extras: Vec<Extra>,
}

impl Outputs {
    /// Zeroes everything and gives the per-atom arrays in `want` their length.
    pub fn reset(&mut self, atoms: usize, want: Properties) {
        fn zero<T: Copy + Send + Sync>(v: &mut Vec<T>, n: usize, value: T) {
            if v.len() == n {
                parallel::for_each_mut(v, |_, x| *x = value);
            } else {
                v.clear();
                v.resize(n, value);
            }
        }
        let n = |p| if want.contains(p) { atoms } else { 0 };
        self.energy = 0.0;
        self.virial = Mat3::zeros();
        self.extras.clear();
        zero(&mut self.forces, n(Properties::FORCES), Vec3::zeros());
        zero(&mut self.atom_energies, n(Properties::ATOM_ENERGIES), 0.0);
        zero(&mut self.atom_virials, n(Properties::ATOM_VIRIALS), Mat3::zeros());
    }
    /// Adds `other`, which holds the same properties.
    pub fn add(&mut self, other: &Self) {
        self.energy += other.energy;
        self.virial += other.virial;
        for (a, b) in self.forces.iter_mut().zip(&other.forces) {
            *a += b;
        }
        for (a, b) in self.atom_energies.iter_mut().zip(&other.atom_energies) {
            *a += b;
        }
        for (a, b) in self.atom_virials.iter_mut().zip(&other.atom_virials) {
            *a += b;
        }
        self.extras.extend(other.extras.iter().cloned());
    }
}
