//! The Coulomb interaction in an input file.
use super::ewald_sum::EwaldSum;
use super::exclusions::{Exclusions, ScaledPair};
use super::long_range::{LongRange, Reciprocal};
use super::pme::{GridRule, PmeSum, SplineOrder};
use super::truncated::TruncatedCoulomb;
use crate::{BuildContext, Precision};
use caloron_engine::quantity::{EnergyLength, InverseLength, Length};
use caloron_engine::{Cell, Potential, Quantity, SpecError, UnitSystem, units};
use schemars::JsonSchema;
use serde::Deserialize;
use std::f64::consts::PI;

/// Coulomb interaction of the charges of the atoms.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coulomb {
    /// How the interaction is summed.
    pub method: CoulombMethod,
    /// Coulomb constant e²/(4 π ε0), for comparison with programs that use another value. Default: CODATA 2018
    /// (14.399645478425668 eV Å), or 1 with `units = "lj"`.
    #[serde(default)]
    pub coulomb_constant: Option<Quantity<EnergyLength>>,
    /// Relative permittivity of the medium, which divides the constant. Default: 1.
    #[serde(default)]
    pub dielectric: Option<f64>,
    /// Pairs of atoms whose interaction is left out or scaled, in their nearest images. Default: none.
    #[serde(default)]
    pub scaled_pairs: Vec<ScaledPairSpec>,
}

/// A pair of atoms with a scaled interaction.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaledPairSpec {
    /// The two atoms, counted from 0.
    pub atoms: [u32; 2],
    /// Factor of the interaction; 0 leaves it out. Default: 0.
    #[serde(default)]
    pub scale: f64,
}

/// Ways to sum the Coulomb interaction.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CoulombMethod {
    /// All pairs of an open system.
    Direct,
    /// Plain truncation: energy and forces jump at the cutoff.
    Cut {
        /// Cutoff.
        cutoff: Quantity<Length>,
    },
    /// Wolf sum: screened by erfc and shifted in energy.
    Wolf {
        /// Cutoff.
        cutoff: Quantity<Length>,
        /// Screening parameter α of erfc(α r).
        alpha: Quantity<InverseLength>,
    },
    /// Damped shifted force (Fennell and Gezelter): screened by erfc, energy and force vanish at the cutoff.
    DampedShiftedForce {
        /// Cutoff.
        cutoff: Quantity<Length>,
        /// Screening parameter α of erfc(α r); 0 gives the undamped shifted force.
        alpha: Quantity<InverseLength>,
    },
    /// A dielectric continuum beyond the cutoff.
    ReactionField {
        /// Cutoff.
        cutoff: Quantity<Length>,
        /// Relative permittivity of the continuum, `inf` or 0 for a conductor. Default: 78.3 (water).
        #[serde(default = "water")]
        dielectric: f64,
    },
    /// Smooth particle-mesh Ewald, for fully periodic systems and slabs. Cost per step grows as N log N.
    Pme {
        /// Cutoff of the real-space part. Default: that of `alpha` where it is given, else a sphere with 300 atoms.
        #[serde(default)]
        cutoff: Option<Quantity<Length>>,
        /// Accuracy: about the rms error of the forces over the rms force (more in crystals, whose forces are small); α
        /// and the grid follow from it. Default: 1e-4.
        #[serde(default = "pme_tolerance")]
        tolerance: f64,
        /// Order of the B-splines: 4, 5 or 6. Default: 5.
        #[serde(default = "quartic")]
        order: usize,
        /// Splitting parameter α. Default: sqrt(-ln tolerance) / cutoff.
        #[serde(default)]
        alpha: Option<Quantity<InverseLength>>,
        /// Largest distance between grid points. Default: (10 tolerance)^(1/order) / α.
        #[serde(default)]
        spacing: Option<Quantity<Length>>,
        /// Grid points along the three lattice vectors, instead of a distance; they then stay when the cell changes. A slab has
        /// `slab_factor` times as many along its normal.
        #[serde(default)]
        grid: Option<[usize; 3]>,
        /// For a slab (two periodic directions): distance of the repeated slabs in heights of the cell. Default: 3.
        #[serde(default = "slab_factor")]
        slab_factor: f64,
    },
    /// Ewald sum, for fully periodic systems and slabs. Cost per step grows as N^1.5 at best.
    Ewald {
        /// Cutoff of the real-space part. Default: sqrt(-ln tolerance) / α, where α makes both parts take about the same time,
        /// √π (5.5 N/V²)^(1/6) for N atoms in a volume V.
        #[serde(default)]
        cutoff: Option<Quantity<Length>>,
        /// Accuracy: both parts are truncated where their terms have fallen to this fraction. α and the wave cutoff
        /// follow from it. Default: 1e-6.
        #[serde(default = "ewald_tolerance")]
        tolerance: f64,
        /// Splitting parameter α. Default: sqrt(-ln tolerance) / cutoff.
        #[serde(default)]
        alpha: Option<Quantity<InverseLength>>,
        /// Largest wave number |k| = 2π |h⁻ᵀ n|. Default: 2 α sqrt(-ln tolerance).
        #[serde(default)]
        wave_cutoff: Option<Quantity<InverseLength>>,
        /// For a slab (two periodic directions): distance of the repeated slabs in heights of the cell. Default: 3.
        #[serde(default = "slab_factor")]
        slab_factor: f64,
    },
}

fn water() -> f64 {
    78.3
}
fn ewald_tolerance() -> f64 {
    1e-6
}
fn pme_tolerance() -> f64 {
    1e-4
}
fn quartic() -> usize {
    5
}
fn slab_factor() -> f64 {
    3.0
}

fn positive(key: &str, value: f64) -> Result<f64, SpecError> {
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(SpecError::new(key, format!("{value} is out of range: it must be positive and finite")))
}

/// sqrt(-ln δ), the reduced length at which a Gaussian has fallen to δ.
fn reach(tolerance: f64) -> Result<f64, SpecError> {
    if (1e-16..=0.1).contains(&tolerance) {
        return Ok((-tolerance.ln()).sqrt());
    }
    Err(SpecError::new("tolerance", format!("{tolerance} is out of range: it must be between 1e-16 and 0.1"))
        .hint("1e-6 is a good value for most work"))
}

impl Coulomb {
    /// True when it acts between atoms by their charges alone.
    pub(crate) fn names_no_atoms(&self) -> bool {
        self.scaled_pairs.is_empty()
    }
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a value is out of range or no atom has a charge.
    pub fn build(&self, context: &BuildContext<'_>) -> Result<Box<dyn Potential>, SpecError> {
        let system = context.system;
        if system.charges().iter().all(|q| *q == 0.0) {
            return Err(SpecError::new("", "no atom has a charge").hint(
                "give the charges of the species or atoms in the system section or the structure file",
            ));
        }
        let given = self.coulomb_constant.map(Quantity::internal);
        let constant = given.unwrap_or(match context.units {
            UnitSystem::Physical => units::COULOMB,
            UnitSystem::Lj => 1.0,
        });
        let constant = positive("coulomb_constant", constant)?;
        let constant = constant / positive("dielectric", self.dielectric.unwrap_or(1.0))?;
        let pairs: Vec<ScaledPair> = self
            .scaled_pairs
            .iter()
            .map(|p| ScaledPair { atoms: p.atoms, coulomb: p.scale, van_der_waals: 1.0 })
            .collect();
        let exclusions = Exclusions::new(system.len(), &pairs).map_err(|e| e.within("scaled_pairs"))?;
        let at = |name: &'static str| move |e: SpecError| e.within(name).within("method");
        let (atoms, volume) = (system.len() as f64, context.cell.volume());
        Ok(match &self.method {
            CoulombMethod::Direct => Box::new(TruncatedCoulomb::direct(constant, exclusions)),
            CoulombMethod::Cut { cutoff } => {
                let cutoff = positive("cutoff", cutoff.internal()).map_err(at("cut"))?;
                Box::new(TruncatedCoulomb::cut(cutoff, constant, exclusions))
            }
            CoulombMethod::Wolf { cutoff, alpha } => {
                let cutoff = positive("cutoff", cutoff.internal()).map_err(at("wolf"))?;
                let alpha = screening(alpha).map_err(at("wolf"))?;
                Box::new(TruncatedCoulomb::wolf(alpha, cutoff, constant, exclusions))
            }
            CoulombMethod::DampedShiftedForce { cutoff, alpha } => {
                let cutoff = positive("cutoff", cutoff.internal()).map_err(at("damped_shifted_force"))?;
                let alpha = screening(alpha).map_err(at("damped_shifted_force"))?;
                Box::new(TruncatedCoulomb::shifted_force(alpha, cutoff, constant, exclusions))
            }
            CoulombMethod::ReactionField { cutoff, dielectric } => {
                let cutoff = positive("cutoff", cutoff.internal()).map_err(at("reaction_field"))?;
                let dielectric = permittivity(*dielectric).map_err(at("reaction_field"))?;
                Box::new(TruncatedCoulomb::reaction_field(cutoff, dielectric, constant, exclusions))
            }
            CoulombMethod::Ewald { cutoff, tolerance, alpha, wave_cutoff, slab_factor } => {
                let build = || -> Result<LongRange, SpecError> {
                    let reach = reach(*tolerance)?;
                    let cutoff = real_space(*cutoff, *alpha, reach, || {
                        reach / (PI.sqrt() * (COST_RATIO * atoms / (volume * volume)).powf(1.0 / 6.0))
                    })?;
                    let alpha = alpha.map_or(reach / cutoff, Quantity::internal);
                    let alpha = positive("alpha", alpha)?;
                    let waves = wave_cutoff.map_or(2.0 * alpha * reach, Quantity::internal);
                    let waves = positive("wave_cutoff", waves)?;
                    let factor = slab(*slab_factor)?;
                    Ok(LongRange::ewald(alpha, cutoff, waves, constant, exclusions).with_slab_factor(factor))
                };
                Box::new(build().map_err(at("ewald"))?.prepared_for(system, context.cell))
            }
            CoulombMethod::Pme { cutoff, tolerance, order, alpha, spacing, grid, slab_factor } => {
                let build = || -> Result<LongRange, SpecError> {
                    reach(*tolerance)?;
                    let order = spline_order(*order)?;
                    let cutoff = real_space(*cutoff, *alpha, order.parameters(*tolerance, 1.0).0, || {
                        (0.75 / PI * ATOMS_WITHIN * volume / atoms).cbrt()
                    })?;
                    let (default_alpha, default_spacing) = order.parameters(*tolerance, cutoff);
                    let alpha = positive("alpha", alpha.map_or(default_alpha, Quantity::internal))?;
                    // the product of α and the spacing sets the accuracy
                    let scaled = default_spacing * default_alpha / alpha;
                    let spacing = positive("spacing", spacing.map_or(scaled, Quantity::internal))?;
                    let factor = slab(*slab_factor)?;
                    let rule = grid_rule(*grid, spacing, context.cell, factor)?;
                    let sum = LongRange::pme(alpha, cutoff, rule, order, constant, exclusions);
                    Ok(sum.with_slab_factor(factor))
                };
                Box::new(build().map_err(at("pme"))?.prepared_for(system, context.cell))
            }
        })
    }
}

/// Time for a wave and an atom over that for a pair: what balances the two parts of an Ewald sum (Fincham, Mol. Simul. 13, 1 (1994),
/// doi:10.1080/08927029408022180).
const COST_RATIO: f64 = 5.5;
/// Atoms within the cutoff of a particle-mesh sum that names none: 9 Å in water.
const ATOMS_WITHIN: f64 = 300.0;

/// The cutoff that is given; else where the screened interaction of the given α ends, α R being `product`; else the automatic one.
fn real_space(
    cutoff: Option<Quantity<Length>>,
    alpha: Option<Quantity<InverseLength>>,
    product: f64,
    automatic: impl Fn() -> f64,
) -> Result<f64, SpecError> {
    let value = match (cutoff, alpha) {
        (Some(cutoff), _) => cutoff.internal(),
        (None, Some(alpha)) => product / positive("alpha", alpha.internal())?,
        (None, None) => automatic(),
    };
    positive("cutoff", value)
}

/// The relative permittivity beyond the cutoff of a reaction field; 0 stands for a conductor.
pub(crate) fn permittivity(dielectric: f64) -> Result<f64, SpecError> {
    match dielectric {
        0.0 => Ok(f64::INFINITY),
        d if d >= 1.0 => Ok(d),
        d => {
            let message = format!("{d} is out of range: it must be 1 or more");
            Err(SpecError::new("dielectric", message).hint("`inf`, or 0, stands for a conductor"))
        }
    }
}

fn spline_order(order: usize) -> Result<SplineOrder, SpecError> {
    match order {
        4 => Ok(SplineOrder::Four),
        5 => Ok(SplineOrder::Five),
        6 => Ok(SplineOrder::Six),
        _ => Err(SpecError::new("order", format!("{order} is out of range: it must be 4, 5 or 6"))),
    }
}

/// Largest number of points of a grid, and of one direction.
const LARGEST_GRID: [f64; 2] = [1e9, 4096.0];

/// The number of heights of the cell at which a slab is repeated.
fn slab(factor: f64) -> Result<f64, SpecError> {
    if (1.0..=100.0).contains(&factor) {
        return Ok(factor);
    }
    Err(SpecError::new("slab_factor", format!("{factor} is out of range: it must be from 1 to 100"))
        .hint("3 is the default; the vacuum between the repeated slabs must exceed the cutoff and their lattice vectors"))
}

fn grid_rule(
    grid: Option<[usize; 3]>,
    spacing: f64,
    cell: &Cell,
    slab_factor: f64,
) -> Result<GridRule, SpecError> {
    let is_slab = cell.periodic().iter().filter(|p| **p).count() == 2;
    let stretch = cell.periodic().map(|p| if is_slab && !p { slab_factor } else { 1.0 });
    let points =
        |n: [f64; 3]| n.iter().product::<f64>() <= LARGEST_GRID[0] && n.iter().all(|n| *n <= LARGEST_GRID[1]);
    if let Some(n) = grid {
        if n.iter().any(|n| *n < 8) || !points(std::array::from_fn(|d| stretch[d] * n[d] as f64)) {
            return Err(SpecError::new(
                "grid",
                format!("{n:?} is out of range: 8 to 4096 points in each direction"),
            )
            .hint("leave the grid out: it then follows from the tolerance"));
        }
        return Ok(GridRule::Fixed(n));
    }
    let n: [f64; 3] = std::array::from_fn(|d| stretch[d] * cell.vector(d).norm() / spacing);
    if !points(n) {
        let n = n.map(f64::ceil);
        return Err(SpecError::new("spacing", format!("a grid of {n:?} points would be needed"))
            .hint("choose a larger spacing or tolerance"));
    }
    Ok(GridRule::Spacing(spacing))
}

fn screening(alpha: &Quantity<InverseLength>) -> Result<f64, SpecError> {
    let alpha = alpha.internal();
    if alpha >= 0.0 && alpha.is_finite() {
        return Ok(alpha);
    }
    Err(SpecError::new("alpha", format!("{alpha} is out of range: it must be 0 or more")))
}

impl LongRange {
    /// An Ewald sum with splitting parameter `alpha`, over pairs within `cutoff` and waves with |k| < `wave_cutoff`.
    pub fn ewald(alpha: f64, cutoff: f64, wave_cutoff: f64, constant: f64, exclusions: Exclusions) -> Self {
        let sum = EwaldSum::new(alpha, wave_cutoff, constant);
        Self::new("ewald", alpha, cutoff, constant, exclusions, Box::new(sum))
    }
    /// Smooth particle-mesh Ewald with splitting parameter `alpha`, over pairs within `cutoff`.
    pub fn pme(
        alpha: f64,
        cutoff: f64,
        grid: GridRule,
        order: SplineOrder,
        constant: f64,
        exclusions: Exclusions,
    ) -> Self {
        let sum = Self::mesh(Precision::F64, alpha, grid, order, constant);
        Self::new("pme", alpha, cutoff, constant, exclusions, sum)
    }
    /// The reciprocal part by particle-mesh Ewald with a grid of a precision.
    pub(crate) fn mesh(
        precision: Precision,
        alpha: f64,
        grid: GridRule,
        order: SplineOrder,
        constant: f64,
    ) -> Box<dyn Reciprocal> {
        match precision {
            Precision::F32 => Box::new(PmeSum::<f32>::new(alpha, grid, order, constant)),
            Precision::F64 => Box::new(PmeSum::<f64>::new(alpha, grid, order, constant)),
        }
    }
}
