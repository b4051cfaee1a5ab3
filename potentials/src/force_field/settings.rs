//! From what a file and the input say about non-bonded pairs to the interaction.
use super::model::{FileMethod, MolecularModel};
use crate::Precision;
use crate::electrostatics::{GridRule, SplineOrder, permittivity};
use crate::nonbonded::{Mesh, Method, Modifier, NonBondedModel};
use caloron_engine::{Cell, SpecError, units};

/// How the charges are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Electrostatics {
    /// All pairs, open boundaries.
    NoCutoff,
    /// Plain cutoff.
    Cut,
    /// Reaction field.
    ReactionField,
    /// Ewald sum.
    Ewald,
    /// Particle-mesh Ewald.
    Pme,
    /// Particle-mesh Ewald of charges and dispersion.
    LjPme,
}

/// What the input says beside or against the file; `None` leaves it to the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Treatment of the charges.
    pub electrostatics: Option<Electrostatics>,
    /// Cutoff, Å.
    pub cutoff: Option<f64>,
    /// Start of the switching, Å; the cutoff itself for none.
    pub switch: Option<f64>,
    /// How the Lennard-Jones interaction ends at the cutoff.
    pub modifier: Option<Modifier>,
    /// Correction for the dispersion beyond the cutoff.
    pub dispersion_correction: Option<bool>,
    /// Tolerance of lattice sums.
    pub tolerance: Option<f64>,
    /// Splitting parameter, 1/Å.
    pub alpha: Option<f64>,
    /// Grid of the charges.
    pub grid: Option<[usize; 3]>,
    /// Order of the splines.
    pub order: Option<usize>,
    /// Relative permittivity beyond the cutoff of a reaction field.
    pub dielectric: Option<f64>,
    /// Coulomb constant, eV Å.
    pub constant: Option<f64>,
    /// Precision of the pairs within the cutoff.
    pub precision: Precision,
}

/// The non-bonded interaction of a model in a cell.
///
/// # Errors
/// When a setting is missing or out of range; keys are those of the input.
pub fn non_bonded(
    model: &MolecularModel,
    overrides: &Overrides,
    cell: &Cell,
) -> Result<NonBondedModel, SpecError> {
    let file = &model.settings;
    let electrostatics = match (overrides.electrostatics, file.method) {
        (Some(chosen), _) => chosen,
        (None, Some(FileMethod::NoCutoff)) => Electrostatics::NoCutoff,
        (None, Some(FileMethod::Cut)) => Electrostatics::Cut,
        (None, Some(FileMethod::ReactionField { .. })) => Electrostatics::ReactionField,
        (None, Some(FileMethod::Ewald)) => Electrostatics::Ewald,
        (None, Some(FileMethod::Pme)) => Electrostatics::Pme,
        (None, Some(FileMethod::LjPme)) => Electrostatics::LjPme,
        (None, None) if cell.is_open() && overrides.cutoff.is_none() => Electrostatics::NoCutoff,
        (None, None) => {
            let message = format!("{} files do not say how non-bonded pairs are treated", model.format);
            return Err(SpecError::new("electrostatics", message).hint(
                "for a periodic box write electrostatics = \"pme\" and cutoff = \"9 Å\"; other choices: no_cutoff, cut, \
                 reaction_field, ewald, lj_pme",
            ));
        }
    };
    let open = electrostatics == Electrostatics::NoCutoff;
    let given = overrides.cutoff.or(file.cutoff);
    let cutoff = match given {
        Some(c) if c > 0.0 && c.is_finite() => c,
        Some(c) => return Err(SpecError::new("cutoff", format!("the cutoff must be positive, not {c}"))),
        None if open => 0.0,
        None => {
            return Err(SpecError::new("cutoff", format!("{} files give no cutoff", model.format))
                .hint("write one, such as cutoff = \"9 Å\""));
        }
    };
    if open && !cell.is_open() {
        return Err(SpecError::new("electrostatics", "a periodic system cannot be without a cutoff").hint(
            "choose \"pme\" and a cutoff, or open the cell with `cell = { periodic = [false, false, false] }`",
        ));
    }
    let modifier = overrides.modifier.unwrap_or_default();
    if let (Some(_), true) = (overrides.modifier, open) {
        return Err(SpecError::new("modifier", "an interaction without a cutoff has no end to modify")
            .hint("leave it out"));
    }
    let switch = overrides.switch.or(file.switch.filter(|_| modifier != Modifier::PotentialShift));
    let switch = switch.filter(|s| *s != cutoff && !open);
    if modifier == Modifier::PotentialShift && switch.is_some() {
        return Err(SpecError::new("switch", "a shifted interaction is not switched")
            .hint("leave `switch` out, or write modifier = \"force_switch\""));
    }
    let tolerance = overrides.tolerance.or(file.tolerance);
    if let Some(t) = tolerance
        && !(1e-16..=0.1).contains(&t)
    {
        return Err(SpecError::new("tolerance", format!("{t} is out of range: between 1e-16 and 0.1")));
    }
    let order = match overrides.order.unwrap_or(5) {
        4 => SplineOrder::Four,
        5 => SplineOrder::Five,
        6 => SplineOrder::Six,
        n => return Err(SpecError::new("order", format!("{n} is out of range: it must be 4, 5 or 6"))),
    };
    let lattice = Lattice { model, overrides, cell, cutoff, tolerance, order };
    let method = match electrostatics {
        Electrostatics::NoCutoff => Method::NoCutoff,
        Electrostatics::Cut => Method::Cut,
        Electrostatics::ReactionField => {
            let of_file = match file.method {
                Some(FileMethod::ReactionField { dielectric, .. }) => dielectric,
                _ => 78.3,
            };
            let dielectric = overrides.dielectric.unwrap_or(of_file);
            Method::ReactionField { dielectric: permittivity(dielectric)? }
        }
        Electrostatics::Ewald => {
            let tolerance = tolerance.unwrap_or(1e-6);
            let alpha = lattice.alpha(0)?;
            Method::Ewald { alpha, wave_cutoff: 2.0 * alpha * (-tolerance.ln()).sqrt() }
        }
        Electrostatics::Pme => Method::Pme(lattice.mesh(0)?),
        Electrostatics::LjPme => Method::LjPme { charges: lattice.mesh(0)?, dispersion: lattice.mesh(1)? },
    };
    let periodic = cell.is_fully_periodic();
    let correction = overrides.dispersion_correction.or(file.dispersion_correction).unwrap_or(periodic);
    if correction && !periodic && overrides.dispersion_correction.is_some() {
        let message = "a correction for the dispersion beyond the cutoff needs a cell that is periodic in all directions";
        return Err(SpecError::new("dispersion_correction", message));
    }
    Ok(NonBondedModel {
        types: model.types.clone(),
        charges: model.charges.clone(),
        lennard_jones: model.lennard_jones.clone(),
        exceptions: model.exceptions.clone(),
        method,
        cutoff,
        switch,
        modifier,
        dispersion_correction: correction && periodic,
        constant: overrides.constant.or(file.constant).unwrap_or(units::COULOMB),
        precision: overrides.precision,
    })
}

/// The parameters of lattice sums.
struct Lattice<'a> {
    model: &'a MolecularModel,
    overrides: &'a Overrides,
    cell: &'a Cell,
    cutoff: f64,
    tolerance: Option<f64>,
    order: SplineOrder,
}

/// Largest number of grid points along one direction.
const LARGEST: usize = 4096;
/// Largest number of all points.
const MOST: f64 = 3e8;
/// Smallest.
const SMALLEST: usize = 8;

impl Lattice<'_> {
    fn tolerance(&self) -> f64 {
        self.tolerance.unwrap_or(if self.model.settings.openmm_rules { 5e-4 } else { 1e-4 })
    }
    /// The splitting parameter of the charges (0) or the dispersion (1).
    ///
    /// OpenMM: α = sqrt(-ln 2δ)/R; else that of the `coulomb` potential.
    fn alpha(&self, kind: usize) -> Result<f64, SpecError> {
        let own = if kind == 0 { self.overrides.alpha } else { None };
        let alpha = own.or(self.model.settings.alpha[kind]).unwrap_or_else(|| {
            let delta = self.tolerance();
            if self.model.settings.openmm_rules {
                (-(2.0 * delta).min(0.5).ln()).sqrt() / self.cutoff
            } else {
                self.order.parameters(delta, self.cutoff).0
            }
        });
        if alpha > 0.0 && alpha.is_finite() {
            return Ok(alpha);
        }
        Err(SpecError::new("alpha", format!("{alpha} is out of range: it must be positive")))
    }
    fn mesh(&self, kind: usize) -> Result<Mesh, SpecError> {
        let alpha = self.alpha(kind)?;
        let own = if kind == 0 { self.overrides.grid } else { None };
        let grid = match own.or(self.model.settings.grid[kind].filter(|_| self.overrides.alpha.is_none())) {
            Some(n) => n,
            None if self.model.settings.openmm_rules => {
                // 2 α L / (3 δ^(1/5)), half of it for the dispersion; OpenMM's lengths are the diagonal of the cell
                let scale = if kind == 0 { 2.0 } else { 1.0 } * alpha / (3.0 * self.tolerance().powf(0.2));
                std::array::from_fn(|d| {
                    ((scale * self.cell.matrix()[(d, d)].abs()).ceil() as usize).max(SMALLEST)
                })
            }
            None => {
                let (standard, spacing) = self.order.parameters(self.tolerance(), self.cutoff);
                let spacing = spacing * standard / alpha;
                let most = (0..3).map(|d| self.cell.vector(d).norm()).fold(0.0, f64::max) / spacing;
                if most > LARGEST as f64 {
                    return Err(SpecError::new(
                        "tolerance",
                        format!("a grid of {most:.0} points along one direction is needed"),
                    )
                    .hint("choose a larger tolerance"));
                }
                return Ok(Mesh { alpha, grid: GridRule::Spacing(spacing), order: self.order });
            }
        };
        let total: f64 = grid.iter().map(|n| *n as f64).product();
        if grid.iter().any(|n| !(SMALLEST..=LARGEST).contains(n)) || total > MOST {
            let message = format!(
                "{grid:?} is out of range: {SMALLEST} to {LARGEST} points in each direction, {MOST:e} together"
            );
            return Err(SpecError::new("grid", message));
        }
        Ok(Mesh { alpha, grid: GridRule::Fixed(grid), order: self.order })
    }
}
