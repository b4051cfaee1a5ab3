//! The non-bonded interaction of molecular force fields: Lennard-Jones and charges by atom, with excluded pairs and
//! pairs of their own, in one pass over the neighbours.
mod dispersion;
mod kernel;
mod lattice;
mod model;
mod near;
mod pairs;
pub(crate) mod rows;
mod single;
mod sorter;

#[cfg(test)]
mod tests;

pub use model::{
    Combination, ExceptionPair, LennardJonesTypes, Mesh, Method, Modifier, NonBondedModel, coefficients,
};

use crate::bonded::Terms;
use crate::electrostatics::{Damped, Exclusions, LongRange, ReactionField, ScaledPair};
use crate::simd::Level;
use caloron_engine::{
    Cell, Extra, ExtraSpec, Input, Mat3, Outputs, Potential, PotentialError, Properties, Scope, SpecError,
};
use lattice::DispersionSum;
use near::{Ending, Near, Radial};
use pairs::{Excluded, OwnPair};

const NAME: &str = "non_bonded";

const fn energy(name: &'static str) -> ExtraSpec {
    ExtraSpec { name, scope: Scope::System, components: 1, unit: "eV" }
}
static EXTRAS: [ExtraSpec; 6] = [
    energy("energy_lennard_jones"),
    energy("energy_coulomb"),
    energy("energy_pairs"),
    energy("energy_excluded"),
    energy("energy_dispersion_correction"),
    energy("energy_reciprocal"),
];

/// How many of the extras come before that of the reciprocal sums.
const NEAR_EXTRAS: usize = 5;

/// Which part of the interaction a potential computes, where the parts are kicked at different time steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// All of it.
    #[default]
    Whole,
    /// Everything but the reciprocal sums.
    Near,
    /// The reciprocal sums alone; they need no neighbours.
    Reciprocal,
}

/// The non-bonded interaction,
///
/// E = Σ [S(r) (c12/r¹² - c6/r⁶) + k_e q_i q_j φ(r)] over pairs within the cutoff that are no exceptions,
/// + Σ [k_e (qq)/r + c12/r¹² - c6/r⁶] over exceptions with their own numbers, without a cutoff,
/// + what belongs to the method: reciprocal sums, corrections of excluded pairs, dispersion beyond the cutoff.
///
/// S(x) = 1 - 10x³ + 15x⁴ - 6x⁵ with x = (r - r_s)/(r_c - r_s) where switched, else 1 (see [`Modifier`] for other ends); φ is 1/r, that of a reaction field,
/// or erfc(α r)/r.
pub struct NonBonded {
    share: Share,
    near: Near,
    long_range: Option<Box<LongRange>>,
    dispersion: Option<DispersionSum>,
    /// E = tail / V.
    tail: Option<f64>,
    own: Terms<OwnPair, 2>,
    excluded: Terms<Excluded, 2>,
    jumps: bool,
}

impl NonBonded {
    /// The interaction from its model; `cell` is the cell at the start.
    ///
    /// # Errors
    /// When the numbers of atoms differ, a type or atom does not exist, or a setting is out of range.
    pub fn new(model: &NonBondedModel, cell: &Cell) -> Result<Self, SpecError> {
        let atoms = model.types.len();
        let wrong = |key: &str, message: String| Err(SpecError::new(key, message));
        if model.charges.len() != atoms {
            return wrong("charges", format!("{} charges for {atoms} atoms", model.charges.len()));
        }
        let numbers = &model.lennard_jones;
        if let Some(t) = model.types.iter().find(|t| **t as usize >= numbers.len()) {
            return wrong("types", format!("the Lennard-Jones type {t} does not exist"));
        }
        if numbers.len() >= usize::from(u16::MAX) {
            return wrong("types", format!("{} Lennard-Jones types are too many", numbers.len()));
        }
        let open = model.method == Method::NoCutoff;
        let possible = model.cutoff > 0.0 && model.cutoff.is_finite();
        if !(open || possible) {
            return wrong("cutoff", format!("the cutoff must be positive and finite, not {}", model.cutoff));
        }
        if let Some(from) = model.switch
            && !open
            && !(from >= 0.0 && from < model.cutoff)
        {
            return Err(SpecError::new("switch", "the switching distance must lie between 0 and the cutoff"));
        }
        if model.modifier == Modifier::ForceSwitch && !open && model.switch.is_none() {
            let message = "switching the force needs the distance from which it is switched";
            return Err(
                SpecError::new("switch", message).hint("such as switch = \"10 Å\" with a cutoff of 12 Å")
            );
        }
        if model.modifier != Modifier::PotentialSwitch && matches!(model.method, Method::LjPme { .. }) {
            let message = "a lattice sum of the dispersion ends at the cutoff by itself";
            return Err(SpecError::new("modifier", message).hint("leave it out"));
        }
        let mut pairs = Vec::with_capacity(model.exceptions.len());
        for (k, e) in model.exceptions.iter().enumerate() {
            if let Some(x) = [e.charges, e.c12, e.c6].into_iter().find(|x| !x.is_finite()) {
                return wrong(&format!("exceptions[{k}]"), format!("{x} is not finite"));
            }
            pairs.push(ScaledPair::excluded(e.atoms[0], e.atoms[1]));
        }
        let exclusions = Exclusions::new(atoms, &pairs).map_err(|e| e.within("exceptions"))?;
        if exclusions.len() != model.exceptions.len() {
            return wrong("exceptions", "a pair is given twice".into());
        }
        let constant = model.constant;
        let own = model.exceptions.iter().filter(|e| [e.charges, e.c12, e.c6] != [0.0; 3]);
        let own = own.map(|e| (e.atoms, OwnPair { charges: constant * e.charges, c12: e.c12, c6: e.c6 }));
        let none = Exclusions::default;
        let (form, long_range, alpha) = match model.method {
            Method::NoCutoff | Method::Cut => (Radial::Field(ReactionField::truncated()), None, 0.0),
            Method::ReactionField { dielectric } => {
                (Radial::Field(ReactionField::new(model.cutoff, dielectric)), None, 0.0)
            }
            Method::Ewald { alpha, wave_cutoff } => {
                let sum = LongRange::ewald(alpha, model.cutoff, wave_cutoff, constant, none());
                (Radial::screened(alpha, model.cutoff), Some(sum), alpha)
            }
            Method::Pme(m) | Method::LjPme { charges: m, .. } => {
                let mesh = |precision| LongRange::mesh(precision, m.alpha, m.grid, m.order, constant);
                let sum =
                    LongRange::new("pme", m.alpha, model.cutoff, constant, none(), mesh(model.precision));
                let form = match model.method {
                    Method::LjPme { .. } => Radial::Screened(Damped::ewald(m.alpha, model.cutoff)),
                    _ => Radial::screened(m.alpha, model.cutoff),
                };
                (form, Some(sum), m.alpha)
            }
        };
        let root = |i: usize| numbers.get(i, i)[1].max(0.0).sqrt();
        let (dispersion, beta) = match model.method {
            Method::LjPme { dispersion: mesh, .. } => {
                let own = model.types.iter().map(|t| root(*t as usize)).collect();
                (Some(DispersionSum::new(mesh, own)), mesh.alpha)
            }
            _ => (None, 0.0),
        };
        let lattice = long_range.is_some();
        let excluded = model.exceptions.iter().filter(|_| lattice).filter_map(|e| {
            let [i, j] = e.atoms.map(|a| a as usize);
            let charges = constant * model.charges[i] * model.charges[j];
            let [a, b] = [i, j].map(|a| root(model.types[a] as usize));
            let dispersion = if beta > 0.0 { a * b } else { 0.0 };
            let term = Excluded { charges, alpha, dispersion, beta };
            (charges != 0.0 || dispersion != 0.0).then_some((e.atoms, term))
        });
        let ending = if open || beta > 0.0 { Ending::Truncated } else { Ending::of(model) };
        let tail = (model.dispersion_correction && !open && beta == 0.0)
            .then(|| dispersion::coefficient(&model.types, numbers, model.cutoff, ending));
        let charged = model.charges.iter().any(|q| *q != 0.0);
        Ok(Self {
            share: Share::Whole,
            near: Near::new(model, (!open).then_some(model.cutoff), form, ending, beta, exclusions)?,
            long_range: long_range.map(|sum| Box::new(sum.prepared_for_charges(&model.charges, cell))),
            dispersion,
            tail,
            own: Terms::new(atoms, own)?,
            excluded: Terms::new(atoms, excluded)?,
            jumps: !open && ending == Ending::Truncated && beta == 0.0 || !open && !lattice && charged,
        })
    }
    /// The interaction in two parts: everything but the reciprocal sums, and these.
    ///
    /// # Errors
    /// As [`Self::new`], and when the method has no reciprocal sums.
    pub fn parts(model: &NonBondedModel, cell: &Cell) -> Result<[Self; 2], SpecError> {
        let mut parts = [Self::new(model, cell)?, Self::new(model, cell)?];
        if parts[0].long_range.is_none() {
            return Err(SpecError::new("electrostatics", "this method has no reciprocal sum to separate")
                .hint("`ewald`, `pme` and `lj_pme` have one"));
        }
        (parts[0].share, parts[1].share) = (Share::Near, Share::Reciprocal);
        Ok(parts)
    }
    /// Restricts the instructions that are used (for tests; numbers do not change).
    pub fn set_level(&mut self, level: Level) {
        self.near.level = level;
    }
    fn add_tail(
        &self,
        input: &Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<f64, PotentialError> {
        let Some(tail) = self.tail else { return Ok(0.0) };
        if !input.cell.is_fully_periodic() {
            let reason =
                "the dispersion correction needs a cell that is periodic in three directions; turn it off"
                    .into();
            return Err(PotentialError::Geometry { potential: NAME, reason });
        }
        let energy = tail / input.cell.volume();
        let share = energy / self.near.charges().len() as f64;
        out.energy += energy;
        if want.contains(Properties::VIRIAL) {
            out.virial += Mat3::from_diagonal_element(energy);
        }
        if want.contains(Properties::ATOM_ENERGIES) {
            out.atom_energies.iter_mut().for_each(|e| *e += share);
        }
        if want.contains(Properties::ATOM_VIRIALS) {
            out.atom_virials.iter_mut().for_each(|w| *w += Mat3::from_diagonal_element(share));
        }
        Ok(energy)
    }
}

/// Adds the sums over all images; returns their energy.
fn add_lattice_sums(
    long_range: &mut Option<Box<LongRange>>,
    dispersion: &mut Option<DispersionSum>,
    charges: &[f64],
    input: &Input<'_>,
    want: Properties,
    out: &mut Outputs,
) -> Result<f64, PotentialError> {
    let before = out.energy;
    if let Some(sum) = long_range {
        sum.add_smooth(input, charges, want, out)?;
    }
    if let Some(sum) = dispersion {
        if !input.cell.is_fully_periodic() {
            let reason = "a lattice sum of the dispersion needs three periodic directions".into();
            return Err(PotentialError::Geometry { potential: NAME, reason });
        }
        sum.add(input, want, out);
    }
    Ok(out.energy - before)
}

impl Potential for NonBonded {
    fn name(&self) -> &'static str {
        if self.share == Share::Reciprocal { "reciprocal" } else { NAME }
    }
    fn cutoff(&self) -> Option<f64> {
        self.near.cutoff().filter(|_| self.share != Share::Reciprocal)
    }
    fn provides(&self) -> Properties {
        match (&self.long_range, &self.dispersion) {
            _ if self.share == Share::Near => Properties::all(),
            (_, Some(_)) => Properties::all().difference(Properties::ATOM_VIRIALS),
            (Some(sum), _) => sum.provides() | Properties::EXTRAS,
            _ => Properties::all(),
        }
    }
    fn extras(&self) -> &'static [ExtraSpec] {
        match self.share {
            Share::Whole => &EXTRAS,
            Share::Near => &EXTRAS[..NEAR_EXTRAS],
            Share::Reciprocal => &EXTRAS[NEAR_EXTRAS..],
        }
    }
    fn uses_mesh(&self) -> bool {
        self.share != Share::Near && self.long_range.as_ref().is_some_and(|sum| sum.uses_mesh())
    }
    fn single_precision(&self) -> bool {
        self.near.is_single() && self.share != Share::Reciprocal
    }
    fn jumps_at_cutoff(&self) -> bool {
        self.jumps && self.share != Share::Reciprocal
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        let refuse = |reason: String| Err(PotentialError::Geometry { potential: NAME, reason });
        let atoms = self.near.charges().len();
        if input.positions.len() != atoms {
            let given = input.positions.len();
            return refuse(format!("the force field is that of {atoms} atoms, not {given}"));
        }
        if self.near.cutoff().is_none() && !input.cell.is_open() {
            return refuse("a periodic system needs a cutoff".into());
        }
        let mut energies = [0.0; EXTRAS.len()];
        match self.share {
            Share::Reciprocal => {
                let Self { near, long_range, dispersion, .. } = self;
                let charges = near.charges();
                energies[NEAR_EXTRAS] = add_lattice_sums(long_range, dispersion, charges, &input, want, out)?;
            }
            Share::Near => {
                self.near.prepare(&input).or_else(refuse)?;
                self.near.pairs(want);
            }
            Share::Whole => {
                self.near.prepare(&input).or_else(refuse)?;
                // pairs fill the gaps in which the lattice sums keep one thread
                let Self { near, long_range, dispersion, .. } = self;
                let charges = near.charges().clone();
                let sums = || add_lattice_sums(long_range, dispersion, &charges, &input, want, out);
                let (sums, ()) = rayon::join(sums, || near.pairs(want));
                energies[NEAR_EXTRAS] = sums?;
            }
        }
        if self.share != Share::Reciprocal {
            [energies[0], energies[1]] = self.near.collect(want, out);
            energies[2] = self.own.add(&input, want, out);
            energies[3] = self.excluded.add(&input, want, out);
            energies[4] = self.add_tail(&input, want, out)?;
        }
        if want.contains(Properties::EXTRAS) {
            let of = |spec: &ExtraSpec| EXTRAS.iter().position(|e| e.name == spec.name).unwrap_or(0);
            let own = self.extras();
            out.extras.extend(own.iter().map(|spec| Extra { spec, values: vec![energies[of(spec)]] }));
        }
        Ok(())
    }
    fn citations(&self) -> Vec<&'static str> {
        self.long_range.as_ref().map_or_else(Vec::new, |sum| sum.citations())
    }
    fn warnings(&self) -> Vec<String> {
        self.long_range.as_ref().map_or_else(Vec::new, |sum| sum.warnings())
    }
    fn describe(&self) -> Vec<String> {
        let sums = || {
            let charges = self.long_range.iter().flat_map(|sum| sum.describe());
            charges.chain(self.dispersion.iter().map(DispersionSum::describe))
        };
        let mut lines = Vec::new();
        if self.share == Share::Reciprocal {
            lines.push("reciprocal sums alone".to_owned());
            lines.extend(sums());
            return lines;
        }
        lines.extend(self.near.describe(self.own.len(), self.tail.is_some()));
        match self.share {
            Share::Near => lines.push("charges: the real-space part of the lattice sum".into()),
            _ => lines.extend(sums()),
        }
        lines
    }
}
