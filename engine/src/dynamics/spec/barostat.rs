//! Barostats of an input file.
use super::thermostat::relaxation;
use super::{Ramp, positive};
use crate::dynamics::{
    Axis, CellMode, ChainSettings, CompositionOrder, FlexibleCell, Rescaling, Target, cell_rescale, mtk,
    weak_coupling,
};
use crate::monte_carlo::{MonteCarloBarostat, VolumeMoves};
use crate::quantity::{Compressibility, Pressure, Quantity, Time};
use crate::units::BAR;
use crate::{Mat3, Op, Schedule, SpecError, State, System, UnitSystem};
use schemars::JsonSchema;
use serde::Deserialize;

/// What keeps the pressure.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BarostatSpec {
    /// Stochastic cell rescaling: first order, isothermal-isobaric, for equilibration and production.
    CellRescale(CellRescaleSpec),
    /// Martyna, Tobias and Klein: an inertial cell with a Nosé-Hoover chain, isothermal-isobaric.
    Mtk(MtkSpec),
    /// Monte Carlo moves of the cell: isothermal-isobaric, needs no virial.
    MonteCarlo(MonteCarloBarostatSpec),
    /// Weak coupling: relaxes a start, samples no ensemble.
    Berendsen(WeakBarostatSpec),
}

/// Stochastic cell rescaling.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CellRescaleSpec {
    /// Relaxation time of the volume; 0.5 to 5 ps is usual. At least 10 time steps.
    pub relaxation: Quantity<Time>,
    /// Isothermal compressibility; an estimate, it changes how fast the cell follows and not the ensemble. Default: that
    /// of water, 4.5e-5 1/bar. Required in reduced units.
    pub compressibility: Option<Quantity<Compressibility>>,
    /// Which deformations are free. Default isotropic.
    pub mode: Option<CellMode>,
    /// Axes that keep their length (for modes that treat them apart). Default: none.
    pub fixed: Option<Vec<Axis>>,
}

/// Weak coupling of the cell.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeakBarostatSpec {
    /// Relaxation time of the volume. At least 10 time steps.
    pub relaxation: Quantity<Time>,
    /// Isothermal compressibility. Default: that of water, 4.5e-5 1/bar. Required in reduced units.
    pub compressibility: Option<Quantity<Compressibility>>,
    /// Which deformations are free. Default isotropic.
    pub mode: Option<CellMode>,
    /// Axes that keep their length. Default: none.
    pub fixed: Option<Vec<Axis>>,
}

/// Martyna, Tobias and Klein.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MtkSpec {
    /// Time scale τ of the cell; sets its mass (N + 3) kT τ² / 3. About 1 ps; at least 20 time steps.
    pub relaxation: Quantity<Time>,
    /// Number of thermostats in the chain on the cell, 1 to 20. Default 3.
    pub chain: Option<usize>,
    /// Which deformations are free. Default isotropic.
    pub mode: Option<CellMode>,
    /// Axes that keep their length (for modes that treat them apart). Default: none.
    pub fixed: Option<Vec<Axis>>,
}

/// Monte Carlo moves of the cell.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MonteCarloBarostatSpec {
    /// A move at every n-th step. Default 25.
    pub every: Option<u64>,
    /// Largest relative change of the volume in a move, at the start. Default 0.01.
    pub step: Option<f64>,
    /// Number of moves during which the step adapts to an acceptance of one half; afterwards it stays. Results from
    /// before are to be discarded. Default 200.
    pub adapt: Option<u64>,
    /// Which deformations are free; not triclinic. Default isotropic.
    pub mode: Option<CellMode>,
    /// Axes that keep their length (for modes that treat them apart). Default: none.
    pub fixed: Option<Vec<Axis>>,
}

/// A stress, tensile positive (a compressed sample has negative diagonal components), true at the cell of the start of
/// the stage; later it is a constant thermodynamic tension with the mean as hydrostatic pressure.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StressSpec {
    /// Component xx.
    pub xx: Ramp<Pressure>,
    /// Component yy.
    pub yy: Ramp<Pressure>,
    /// Component zz.
    pub zz: Ramp<Pressure>,
    /// Component yz. Default 0.
    pub yz: Option<Ramp<Pressure>>,
    /// Component xz. Default 0.
    pub xz: Option<Ramp<Pressure>>,
    /// Component xy. Default 0.
    pub xy: Option<Ramp<Pressure>>,
}

impl StressSpec {
    fn has_shear(&self) -> bool {
        let nonzero = |r: &Option<Ramp<Pressure>>| r.is_some_and(|r| r.range() != (0.0, 0.0));
        nonzero(&self.yz) || nonzero(&self.xz) || nonzero(&self.xy)
    }
}

/// The pressure tensor from exactly one of `pressure` and `stress`.
pub(super) fn target(
    pressure: Option<&Ramp<Pressure>>,
    stress: Option<&StressSpec>,
    mode: CellMode,
) -> Result<Target, SpecError> {
    match (pressure, stress) {
        (Some(p), None) => Ok(Target::pressure(p.schedule(1.0))),
        (None, Some(s)) => {
            if mode == CellMode::Isotropic {
                return Err(SpecError::new("stress", "an isotropic barostat follows the pressure alone")
                    .hint("give `pressure`, or choose another `mode`"));
            }
            if s.has_shear() && mode != CellMode::Triclinic {
                return Err(SpecError::new("stress", "a shear stress needs a cell whose angles can change")
                    .hint("use `mode = \"triclinic\"`"));
            }
            let component = |r: &Ramp<Pressure>| r.schedule(-1.0);
            let shear = |r: &Option<Ramp<Pressure>>| r.as_ref().map_or(Schedule::constant(0.0), component);
            let [xx, yy, zz] = [&s.xx, &s.yy, &s.zz].map(component);
            Ok(Target([xx, yy, zz, shear(&s.yz), shear(&s.xz), shear(&s.xy)]))
        }
        (Some(_), Some(_)) => Err(SpecError::new("stress", "`pressure` and `stress` exclude each other")
            .hint("keep one of them; the pressure is minus the mean of the diagonal of the stress")),
        (None, None) => Err(SpecError::new("", "a barostat needs a `pressure` or a `stress`")
            .hint("for example `pressure = \"1 bar\"`")),
    }
}

/// A cell and atoms that a barostat can act on.
pub(super) fn check(system: &System, state: &State) -> Result<(), SpecError> {
    if !state.cell().is_fully_periodic() {
        let message = "constant pressure needs a cell that is periodic in all three directions";
        return Err(
            SpecError::new("barostat", message).hint("use `nvt`, or give the structure a periodic cell")
        );
    }
    if system.fixed() > 0 {
        let message = "a barostat moves all atoms with the cell, which fixed atoms cannot follow";
        return Err(SpecError::new("barostat", message)
            .hint("use `nvt`, or restrain the atoms instead of fixing them"));
    }
    Ok(())
}

fn basis(mode: CellMode, fixed: Option<&Vec<Axis>>) -> Result<Vec<Mat3>, SpecError> {
    let fixed = fixed.map_or(&[][..], Vec::as_slice);
    let basis = mode.basis(fixed);
    if basis.is_empty() {
        let hint = "isotropic and semi_isotropic modes tie axes together; use `mode = \"anisotropic\"`, or free an axis";
        return Err(SpecError::new("fixed", "no deformation of the cell is left").hint(hint));
    }
    Ok(basis)
}

fn compressibility(value: Option<Quantity<Compressibility>>, units: UnitSystem) -> Result<f64, SpecError> {
    match (value, units) {
        (Some(b), _) => positive(b, "compressibility", "compressibility"),
        (None, UnitSystem::Physical) => Ok(4.5e-5 / BAR),
        (None, UnitSystem::Lj) => {
            Err(SpecError::new("compressibility", "reduced units have no default compressibility").hint(
                "a dense Lennard-Jones liquid has about 0.08; the value sets the rate and not the ensemble",
            ))
        }
    }
}

/// What a barostat is built against.
pub(super) struct Surroundings {
    pub target: Target,
    pub kt: Schedule,
    pub dt: f64,
    pub units: UnitSystem,
}

impl BarostatSpec {
    /// Free deformations.
    pub fn mode(&self) -> CellMode {
        match self {
            Self::CellRescale(s) => s.mode,
            Self::Mtk(s) => s.mode,
            Self::MonteCarlo(s) => s.mode,
            Self::Berendsen(s) => s.mode,
        }
        .unwrap_or_default()
    }
    /// Axes that keep their length.
    pub fn fixed(&self) -> &[Axis] {
        match self {
            Self::CellRescale(s) => &s.fixed,
            Self::Mtk(s) => &s.fixed,
            Self::MonteCarlo(s) => &s.fixed,
            Self::Berendsen(s) => &s.fixed,
        }
        .as_deref()
        .unwrap_or(&[])
    }
    /// Key of the variant.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CellRescale(_) => "cell_rescale",
            Self::Mtk(_) => "mtk",
            Self::MonteCarlo(_) => "monte_carlo",
            Self::Berendsen(_) => "berendsen",
        }
    }
    /// The operator: a whole step with a moving cell and `center` as the thermostat in its middle, or (Monte Carlo) moves
    /// after a step.
    pub(super) fn build(
        &self,
        s: &Surroundings,
        center: Option<Box<dyn Op>>,
    ) -> Result<Box<dyn Op>, SpecError> {
        self.build_inner(s, center).map_err(|e| e.within(self.name()).within("barostat"))
    }
    fn build_inner(
        &self,
        around: &Surroundings,
        center: Option<Box<dyn Op>>,
    ) -> Result<Box<dyn Op>, SpecError> {
        let (target, kt) = (around.target, around.kt);
        let core = |cell: FlexibleCell| Ok(Box::new(cell) as Box<dyn Op>);
        match self {
            Self::CellRescale(CellRescaleSpec { relaxation: tau, compressibility: b, mode, fixed })
            | Self::Berendsen(WeakBarostatSpec { relaxation: tau, compressibility: b, mode, fixed }) => {
                let mode = mode.unwrap_or_default();
                basis(mode, fixed.as_ref())?;
                let settings = Rescaling {
                    relaxation: relaxation(*tau, around.dt, 10.0)?,
                    compressibility: compressibility(*b, around.units)?,
                    mode,
                    fixed: fixed.clone().unwrap_or_default(),
                };
                let noise = matches!(self, Self::CellRescale(_));
                core(if noise { cell_rescale } else { weak_coupling }(&settings, target, kt, center))
            }
            Self::Mtk(m) => {
                let mode = m.mode.unwrap_or_default();
                basis(mode, m.fixed.as_ref())?;
                let tau = relaxation(m.relaxation, around.dt, 20.0)?;
                let length = m.chain.unwrap_or(3);
                if !(1..=20).contains(&length) {
                    return Err(SpecError::new(
                        "chain",
                        format!("`chain` is {length}; it goes from 1 to 20"),
                    ));
                }
                let chain = ChainSettings {
                    relaxation: tau,
                    length,
                    order: CompositionOrder::Fourth,
                    repetitions: 1,
                };
                let free = (mode, m.fixed.as_deref().unwrap_or(&[]));
                core(mtk(tau, Some(chain), free, target, kt, center))
            }
            Self::MonteCarlo(m) => {
                let mode = m.mode.unwrap_or_default();
                if mode == CellMode::Triclinic {
                    return Err(SpecError::new(
                        "mode",
                        "Monte Carlo moves do not change the angles of the cell",
                    )
                    .hint("use `anisotropic`, or the barostat `cell_rescale` or `mtk`"));
                }
                let basis = basis(mode, m.fixed.as_ref())?;
                let moves = VolumeMoves {
                    every: m.every.unwrap_or(25),
                    step: m.step.unwrap_or(0.01),
                    adapt: m.adapt.unwrap_or(200),
                };
                if moves.every == 0 {
                    return Err(SpecError::new("every", "`every` must be at least 1"));
                }
                if !(moves.step > 0.0 && moves.step <= 0.3) {
                    return Err(SpecError::new(
                        "step",
                        format!("`step` is {}; it goes above 0 up to 0.3", moves.step),
                    ));
                }
                Ok(Box::new(MonteCarloBarostat::new(&basis, target, kt, moves)))
            }
        }
    }
    /// Papers to cite.
    pub fn cite(&self) -> Vec<&'static str> {
        match self {
            Self::CellRescale(s) => {
                let mut papers = vec![
                    "M. Bernetti and G. Bussi, J. Chem. Phys. 153, 114107 (2020), doi:10.1063/5.0020514",
                ];
                if s.mode.unwrap_or_default() != CellMode::Isotropic {
                    papers.push(
                        "V. Del Tatto, P. Raiteri, M. Bernetti and G. Bussi, Appl. Sci. 12, 1139 (2022), doi:10.3390/app12031139",
                    );
                }
                papers
            }
            Self::Mtk(_) => MTK.to_vec(),
            Self::MonteCarlo(_) => vec![
                "K.-H. Chow and D. M. Ferguson, Comput. Phys. Commun. 91, 283 (1995), doi:10.1016/0010-4655(95)00059-O",
            ],
            Self::Berendsen(_) => vec![
                "H. J. C. Berendsen, J. P. M. Postma, W. F. van Gunsteren, A. DiNola and J. R. Haak, J. Chem. Phys. 81, 3684 (1984), doi:10.1063/1.448118",
            ],
        }
    }
    /// What the user should know.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Berendsen(_) => vec![
                "barostat.berendsen: weak coupling samples no known ensemble; use `cell_rescale` for production".into(),
            ],
            Self::CellRescale(CellRescaleSpec { compressibility: None, .. }) => vec![
                "barostat.cell_rescale: compressibility of water, 4.5e-5 1/bar, taken; it sets how fast the volume follows and not the ensemble"
                    .into(),
            ],
            _ => Vec::new(),
        }
    }
}

pub(super) const MTK: [&str; 3] = [
    "G. J. Martyna, D. J. Tobias and M. L. Klein, J. Chem. Phys. 101, 4177 (1994), doi:10.1063/1.467468",
    "G. J. Martyna, M. E. Tuckerman, D. J. Tobias and M. L. Klein, Mol. Phys. 87, 1117 (1996), doi:10.1080/00268979600100761",
    "M. E. Tuckerman, J. Alejandre, R. López-Rendón, A. L. Jochim and G. J. Martyna, J. Phys. A 39, 5629 (2006), doi:10.1088/0305-4470/39/19/S18",
];

/// The cell of an NPH run.
pub(super) fn isenthalpic(
    tau: Quantity<Time>,
    mode: CellMode,
    fixed: Option<&Vec<Axis>>,
    s: &Surroundings,
) -> Result<Box<dyn Op>, SpecError> {
    basis(mode, fixed)?;
    let tau = relaxation(tau, s.dt, 20.0)?;
    let free = (mode, fixed.map_or(&[][..], Vec::as_slice));
    Ok(Box::new(mtk(tau, None, free, s.target, s.kt, None)))
}
