//! The interface of every interaction.
use crate::{
    Archive, ArchiveError, Cell, Domain, ExtraSpec, NeighborList, Outputs, Properties, System, Vec3,
};

/// One geometry, as a potential sees it. Atoms are in the order of the input.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// What is fixed in a run.
    pub system: &'a System,
    /// Positions, Å; they may lie outside the cell.
    pub positions: &'a [Vec3],
    /// The cell.
    pub cell: &'a Cell,
    /// All pairs within at least the potential's cutoff (and some beyond: test the distance).
    pub neighbors: &'a NeighborList,
}

/// Why a potential cannot compute.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PotentialError {
    /// It does not provide what was asked.
    #[error("{potential} does not provide {missing:?}")]
    Unsupported {
        /// Name of the potential.
        potential: &'static str,
        /// What is missing.
        missing: Properties,
    },
    /// A species it has no parameters for.
    #[error("{potential} has no parameters for species `{species}`")]
    UnknownSpecies {
        /// Name of the potential.
        potential: &'static str,
        /// Symbol.
        species: String,
    },
    /// A geometry it cannot treat.
    #[error("{potential}: {reason}")]
    Geometry {
        /// Name of the potential.
        potential: &'static str,
        /// Why.
        reason: String,
    },
}

/// An interaction: adds energy, forces, virial and extras for a geometry.
pub trait Potential: Send {
    /// Short name for messages and reports.
    fn name(&self) -> &'static str;
    /// Radius within which it needs all pairs, Å; `None` when it needs no pairs.
    fn cutoff(&self) -> Option<f64>;
    /// What it can compute.
    fn provides(&self) -> Properties {
        Properties::all().difference(Properties::EXTRAS)
    }
    /// Extras it computes when `EXTRAS` is wanted.
    fn extras(&self) -> &'static [ExtraSpec] {
        &[]
    }
    /// Adds its contribution for every property in `want` to `out`. The numbers must not depend on what
    /// else is wanted, nor on the number of threads.
    ///
    /// # Errors
    /// When the system or the geometry is outside its domain.
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError>;
    /// True when the energy depends on absolute positions or directions (a wall, a field, a restraint), so
    /// that translations and rotations are no symmetries.
    fn breaks_symmetry(&self) -> bool {
        false
    }
    /// True when sums over a mesh make the energy depend a little on where the atoms are on it, so that translations are a
    /// symmetry up to the accuracy of the mesh alone.
    fn uses_mesh(&self) -> bool {
        false
    }
    /// True when the energy jumps where a pair crosses the cutoff, so that a trajectory cannot conserve it.
    fn jumps_at_cutoff(&self) -> bool {
        false
    }
    /// What a learned potential knows of the geometries it was fitted to; `None` for a form that is right everywhere.
    fn domain(&self) -> Option<&Domain> {
        None
    }
    /// True when forces are computed in single precision, which limits how well a trajectory conserves energy.
    fn single_precision(&self) -> bool {
        false
    }
    /// How much the constants of a published model break the symmetry under rotations, relative to the numbers: coupling
    /// coefficients that were rounded to single precision do so whatever the precision of the arithmetic. 0 for all else.
    fn rotation_error(&self) -> f64 {
        0.0
    }
    /// Forgets what it keeps of earlier geometries, so that the next one has the bits it has in a new potential.
    fn forget(&mut self) {}
    /// Papers to cite for a run that uses it.
    fn citations(&self) -> Vec<&'static str> {
        Vec::new()
    }
    /// Choices it made that a reader of the log should see (a splitting parameter, a grid), one line each.
    fn describe(&self) -> Vec<String> {
        Vec::new()
    }
    /// Saves or restores what it remembers between calls and its numbers depend on, such as a neighbour list of its own.
    ///
    /// # Errors
    /// When the archive does not fit.
    fn archive(&mut self, _archive: &mut Archive) -> Result<(), ArchiveError> {
        Ok(())
    }
    /// Warnings for the user about its set-up (for example a truncation that only shifts the energy).
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
