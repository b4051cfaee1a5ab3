//! The non-bonded interaction of molecular force fields: Lennard-Jones and charges by atom, with excluded pairs and
//! pairs of their own, in one pass over the neighbours.
mod dispersion;
mod kernel;
mod lattice;
mod model;
mod pairs;
pub(crate) mod rows;

#[cfg(test)]
mod tests;

pub use model::{Combination, ExceptionPair, LennardJonesTypes, Mesh, Method, NonBondedModel, coefficients};

use crate::bonded::Terms;
use crate::electrostatics::{Damped, Exclusions, LongRange, PairForm, ReactionField, ScaledPair, Smooth};
use crate::kernels::symmetric;
use crate::simd::{self, LANES, Level};
use caloron_engine::neighbors::Site;
use caloron_engine::{
    Cell, Extra, ExtraSpec, Input, Mat3, Outputs, Potential, PotentialError, Properties, Scope, SpecError,
    Vec3,
};
use kernel::{Field, LATTICE, NUMBERS, PLAIN, Rows, SWITCHED, Sum, Table};
use lattice::DispersionSum;
use pairs::{Excluded, OwnPair};
use rayon::prelude::*;
use rows::{Block, ROWS, Takes};

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
const NEAR: usize = 5;

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

/// The radial form of the charges, and the sums that go with it. There is one of it in a run, so its size does not matter.
#[expect(clippy::large_enum_variant)]
enum Charges {
    Radial(ReactionField),
    Lattice(Screened, Box<LongRange>),
}

/// erfc(α r)/r, by the quick form where it is accurate.
#[derive(Clone, Copy)]
#[expect(clippy::large_enum_variant)]
enum Screened {
    Any(Damped),
    Quick(Smooth),
}

impl Screened {
    fn new(alpha: f64, cutoff: f64) -> Self {
        Smooth::new(alpha, cutoff).map_or(Self::Any(Damped::ewald(alpha, cutoff)), Self::Quick)
    }
}

/// The non-bonded interaction,
///
/// E = Σ [S(r) (c12/r¹² - c6/r⁶) + k_e q_i q_j φ(r)] over pairs within the cutoff that are no exceptions,
/// + Σ [k_e (qq)/r + c12/r¹² - c6/r⁶] over exceptions with their own numbers, without a cutoff,
/// + what belongs to the method: reciprocal sums, corrections of excluded pairs, dispersion beyond the cutoff.
///
/// S(x) = 1 - 10x³ + 15x⁴ - 6x⁵ with x = (r - r_s)/(r_c - r_s) where switched, else 1; φ is 1/r, that of a reaction field,
/// or erfc(α r)/r.
pub struct NonBonded {
    share: Share,
    cutoff: Option<f64>,
    constant: f64,
    charge: Vec<f64>,
    types: Vec<u32>,
    takes: Vec<Takes>,
    table: Table,
    switch: Option<f64>,
    charges: Charges,
    dispersion: Option<DispersionSum>,
    beta: f64,
    /// E = tail / V.
    tail: Option<f64>,
    exclusions: Exclusions,
    own: Terms<OwnPair, 2>,
    excluded: Terms<Excluded, 2>,
    level: Level,
    jumps: bool,
    rows: Vec<Block>,
    built_for: Option<caloron_engine::Revision>,
    sites: Vec<Site>,
    site_types: Vec<f64>,
    centers: Vec<u32>,
    sums: Vec<Sum>,
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
        let long_range = |sum: LongRange| Box::new(sum.prepared_for_charges(&model.charges, cell));
        let none = Exclusions::default;
        let (charges, alpha) = match model.method {
            Method::NoCutoff | Method::Cut => (Charges::Radial(ReactionField::truncated()), 0.0),
            Method::ReactionField { dielectric } => {
                (Charges::Radial(ReactionField::new(model.cutoff, dielectric)), 0.0)
            }
            Method::Ewald { alpha, wave_cutoff } => {
                let sum = LongRange::ewald(alpha, model.cutoff, wave_cutoff, constant, none());
                (Charges::Lattice(Screened::new(alpha, model.cutoff), long_range(sum)), alpha)
            }
            Method::Pme(m) | Method::LjPme { charges: m, .. } => {
                let sum = LongRange::pme(m.alpha, model.cutoff, m.grid, m.order, constant, none());
                let screened = match model.method {
                    Method::LjPme { .. } => Screened::Any(Damped::ewald(m.alpha, model.cutoff)),
                    _ => Screened::new(m.alpha, model.cutoff),
                };
                (Charges::Lattice(screened, long_range(sum)), m.alpha)
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
        let lattice = matches!(charges, Charges::Lattice(..));
        let excluded = model.exceptions.iter().filter(|_| lattice).filter_map(|e| {
            let [i, j] = e.atoms.map(|a| a as usize);
            let charges = constant * model.charges[i] * model.charges[j];
            let [a, b] = [i, j].map(|a| root(model.types[a] as usize));
            let dispersion = if beta > 0.0 { a * b } else { 0.0 };
            let term = Excluded { charges, alpha, dispersion, beta };
            (charges != 0.0 || dispersion != 0.0).then_some((e.atoms, term))
        });
        let acts: Vec<bool> = (0..numbers.len()).map(|t| numbers.acts(t)).collect();
        let switch = model.switch.filter(|_| !open && beta == 0.0);
        let tail = (model.dispersion_correction && !open && beta == 0.0)
            .then(|| dispersion::coefficient(&model.types, numbers, model.cutoff, switch));
        let charged = model.charges.iter().any(|q| *q != 0.0);
        let takes = |i: usize| Takes::new(acts[model.types[i] as usize], model.charges[i] != 0.0);
        Ok(Self {
            share: Share::Whole,
            cutoff: (!open).then_some(model.cutoff),
            constant,
            charge: model.charges.clone(),
            types: model.types.clone(),
            takes: (0..atoms).map(takes).collect(),
            table: table(numbers, model.cutoff, beta),
            switch,
            dispersion,
            beta,
            tail,
            exclusions,
            own: Terms::new(atoms, own)?,
            excluded: Terms::new(atoms, excluded)?,
            level: Level::detect(),
            jumps: match charges {
                _ if open => false,
                Charges::Radial(_) => charged || switch.is_none(),
                Charges::Lattice(..) => switch.is_none() && beta == 0.0,
            },
            charges,
            rows: vec![],
            built_for: None,
            sites: vec![],
            site_types: vec![],
            centers: vec![],
            sums: vec![],
        })
    }
    /// The interaction in two parts: everything but the reciprocal sums, and these.
    ///
    /// # Errors
    /// As [`Self::new`], and when the method has no reciprocal sums.
    pub fn parts(model: &NonBondedModel, cell: &Cell) -> Result<[Self; 2], SpecError> {
        let mut parts = [Self::new(model, cell)?, Self::new(model, cell)?];
        if !matches!(parts[0].charges, Charges::Lattice(..)) {
            return Err(SpecError::new("electrostatics", "this method has no reciprocal sum to separate")
                .hint("`ewald`, `pme` and `lj_pme` have one"));
        }
        (parts[0].share, parts[1].share) = (Share::Near, Share::Reciprocal);
        Ok(parts)
    }
    /// Restricts the instructions that are used (for tests; numbers do not change).
    pub fn set_level(&mut self, level: Level) {
        self.level = level;
    }
    /// Brings sites and rows up to date.
    fn prepare(&mut self, input: &Input<'_>) {
        let Some(_) = self.cutoff else { return self.prepare_open(input) };
        let list = input.neighbors;
        let real = list.sites().len();
        if self.built_for != list.revision() {
            self.built_for = list.revision();
            self.site_types.clear();
            self.site_types.extend((0..real as u32).map(|s| f64::from(self.types[list.atom(s)])));
            self.site_types.push(0.0);
            let centers = list.centers();
            let count = centers.len();
            self.centers.clear();
            self.centers.extend_from_slice(centers);
            self.rows.resize_with(count.div_ceil(ROWS), Block::default);
            let of_sites: Vec<Takes> = (0..real as u32).map(|s| self.takes[list.atom(s)]).collect();
            let (takes, exclusions) = (&of_sites, &self.exclusions);
            let fill = |(b, block): (usize, &mut Block)| {
                let (first, count) = (b * ROWS, ROWS.min(count - b * ROWS));
                rows::from_list(block, first..first + count, input, takes, exclusions);
            };
            if count <= 2 * ROWS {
                self.rows.iter_mut().enumerate().for_each(fill);
            } else {
                self.rows.par_iter_mut().enumerate().for_each(fill);
            }
        }
        self.sites.clear();
        self.sites.extend_from_slice(list.padded_sites());
        let charge = &self.charge;
        for (k, site) in self.sites.iter_mut().enumerate() {
            site.species = if k < real { charge[list.atom(k as u32)] } else { 0.0 };
        }
    }
    /// All pairs: the rows stay, as nothing but the positions changes.
    fn prepare_open(&mut self, input: &Input<'_>) {
        let n = self.takes.len();
        let site = |k: usize| Site { position: input.positions[k].into(), species: self.charge[k] };
        self.sites.clear();
        self.sites.extend((0..n).map(site));
        self.sites.push(Site { position: [1e9; 3], species: 0.0 });
        if self.site_types.len() == n + 1 {
            return;
        }
        self.site_types.clear();
        self.site_types.extend(self.types.iter().map(|t| f64::from(*t)));
        self.site_types.push(0.0);
        self.centers.clear();
        self.centers.extend(0..n as u32);
        self.rows.resize_with(n.div_ceil(ROWS), Block::default);
        let (takes, exclusions) = (&self.takes, &self.exclusions);
        self.rows.par_iter_mut().enumerate().for_each(|(b, block)| {
            rows::all_pairs(block, b * ROWS, ROWS.min(n - b * ROWS), takes, exclusions);
        });
    }
    /// The pair sums of all rows.
    fn pairs(&mut self, virial: bool) {
        let lj = match (self.switch, self.beta > 0.0) {
            (_, true) => LATTICE,
            (Some(_), _) => SWITCHED,
            (None, _) => PLAIN,
        };
        // every kernel costs compile time: one without virials is there where it matters
        match (&self.charges, lj, virial) {
            (Charges::Radial(f), SWITCHED, _) => self.run::<_, SWITCHED, true>(*f),
            (Charges::Radial(f), _, _) => self.run::<_, PLAIN, true>(*f),
            (Charges::Lattice(Screened::Quick(f), _), SWITCHED, true) => self.run::<_, SWITCHED, true>(*f),
            (Charges::Lattice(Screened::Quick(f), _), SWITCHED, false) => self.run::<_, SWITCHED, false>(*f),
            (Charges::Lattice(Screened::Quick(f), _), _, true) => self.run::<_, PLAIN, true>(*f),
            (Charges::Lattice(Screened::Quick(f), _), _, false) => self.run::<_, PLAIN, false>(*f),
            (Charges::Lattice(Screened::Any(f), _), SWITCHED, _) => self.run::<_, SWITCHED, true>(*f),
            (Charges::Lattice(Screened::Any(f), _), LATTICE, _) => self.run::<_, LATTICE, true>(*f),
            (Charges::Lattice(Screened::Any(f), _), _, _) => self.run::<_, PLAIN, true>(*f),
        }
    }
    fn run<F: PairForm, const LJ: u8, const VIRIAL: bool>(&mut self, form: F) {
        let cutoff = self.cutoff.unwrap_or(3e8);
        let field = Field {
            form,
            constant: self.constant,
            cutoff2: cutoff * cutoff,
            switch: self.switch.map_or([0.0; 2], |from| [from, 1.0 / (cutoff - from)]),
            beta: self.beta,
            sites: &self.sites,
            types: &self.site_types,
            table: &self.table,
        };
        self.sums.resize(self.centers.len(), Sum::default());
        let (rows, centers, level) = (&self.rows, &self.centers, self.level);
        let work = |(b, sums): (usize, &mut [Sum])| {
            let centers = &centers[b * ROWS..b * ROWS + sums.len()];
            simd::run(level, Rows::<F, LJ, VIRIAL> { field, centers, block: &rows[b], sums });
        };
        if centers.len() <= ROWS {
            self.sums.chunks_mut(ROWS).enumerate().for_each(work);
        } else {
            self.sums.par_chunks_mut(ROWS).enumerate().for_each(work);
        }
    }
    /// Adds the sums of the rows; energies of Lennard-Jones and of charges.
    fn collect(&self, input: &Input<'_>, want: Properties, out: &mut Outputs) -> [f64; 2] {
        let open = self.cutoff.is_none();
        let atom = |k: usize| if open { k } else { input.neighbors.atom(self.centers[k]) };
        let mut energies = [0.0; 2];
        let mut virial = [0.0; 6];
        for (k, s) in self.sums.iter().enumerate() {
            energies[0] += s.lennard_jones;
            energies[1] += s.coulomb;
            if want.contains(Properties::FORCES) {
                out.forces[atom(k)] += Vec3::from(s.force);
            }
            if want.contains(Properties::ATOM_ENERGIES) {
                out.atom_energies[atom(k)] += s.lennard_jones + s.coulomb;
            }
            if want.contains(Properties::VIRIAL) {
                for (v, w) in virial.iter_mut().zip(s.virial) {
                    *v += w;
                }
            }
            if want.contains(Properties::ATOM_VIRIALS) {
                out.atom_virials[atom(k)] += symmetric(s.virial);
            }
        }
        out.energy += energies[0] + energies[1];
        if want.contains(Properties::VIRIAL) {
            out.virial += symmetric(virial);
        }
        energies
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
        let share = energy / self.types.len() as f64;
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

/// The numbers of all pairs of types in the order of the kernel.
fn table(numbers: &LennardJonesTypes, cutoff: f64, beta: f64) -> Table {
    let n = numbers.len();
    let stride = n.max(LANES);
    let mut values = vec![0.0; n * NUMBERS * stride];
    let x2 = (beta * cutoff).powi(2);
    let rest = 1.0 - (-x2).exp() * (1.0 + x2 + 0.5 * x2 * x2);
    for i in 0..n {
        for j in 0..n {
            let [c12, c6] = numbers.get(i, j);
            let cc = (numbers.get(i, i)[1].max(0.0) * numbers.get(j, j)[1].max(0.0)).sqrt();
            let at_cutoff = (c12 * cutoff.powi(-6) - c6 + cc * rest) * cutoff.powi(-6);
            for (k, x) in [c12, c6, cc, at_cutoff].into_iter().enumerate() {
                values[(i * NUMBERS + k) * stride + j] = x;
            }
        }
    }
    Table { stride, values }
}

impl Potential for NonBonded {
    fn name(&self) -> &'static str {
        if self.share == Share::Reciprocal { "reciprocal" } else { NAME }
    }
    fn cutoff(&self) -> Option<f64> {
        self.cutoff.filter(|_| self.share != Share::Reciprocal)
    }
    fn provides(&self) -> Properties {
        match (&self.charges, &self.dispersion) {
            _ if self.share == Share::Near => Properties::all(),
            (_, Some(_)) => Properties::all().difference(Properties::ATOM_VIRIALS),
            (Charges::Lattice(_, sum), _) => sum.provides() | Properties::EXTRAS,
            _ => Properties::all(),
        }
    }
    fn extras(&self) -> &'static [ExtraSpec] {
        match self.share {
            Share::Whole => &EXTRAS,
            Share::Near => &EXTRAS[..NEAR],
            Share::Reciprocal => &EXTRAS[NEAR..],
        }
    }
    fn uses_mesh(&self) -> bool {
        self.share != Share::Near && matches!(&self.charges, Charges::Lattice(_, sum) if sum.uses_mesh())
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
        if input.positions.len() != self.types.len() {
            let (own, given) = (self.types.len(), input.positions.len());
            return refuse(format!("the force field is that of {own} atoms, not {given}"));
        }
        if self.cutoff.is_none() && !input.cell.is_open() {
            return refuse("a periodic system needs a cutoff".into());
        }
        let mut energies = [0.0; EXTRAS.len()];
        if self.share != Share::Reciprocal {
            self.prepare(&input);
            self.pairs(want.intersects(Properties::VIRIAL | Properties::ATOM_VIRIALS));
            [energies[0], energies[1]] = self.collect(&input, want, out);
            energies[2] = self.own.add(&input, want, out);
            energies[3] = self.excluded.add(&input, want, out);
            energies[4] = self.add_tail(&input, want, out)?;
        }
        if self.share != Share::Near {
            let before = out.energy;
            if let Charges::Lattice(_, sum) = &mut self.charges {
                sum.add_smooth(&input, &self.charge, want, out)?;
            }
            if let Some(sum) = &mut self.dispersion {
                if !input.cell.is_fully_periodic() {
                    return refuse("a lattice sum of the dispersion needs three periodic directions".into());
                }
                sum.add(&input, want, out);
            }
            energies[NEAR] = out.energy - before;
        }
        if want.contains(Properties::EXTRAS) {
            let of = |spec: &ExtraSpec| EXTRAS.iter().position(|e| e.name == spec.name).unwrap_or(0);
            let own = self.extras();
            out.extras.extend(own.iter().map(|spec| Extra { spec, values: vec![energies[of(spec)]] }));
        }
        Ok(())
    }
    fn citations(&self) -> Vec<&'static str> {
        match &self.charges {
            Charges::Lattice(_, sum) => sum.citations(),
            Charges::Radial(_) => vec![],
        }
    }
    fn warnings(&self) -> Vec<String> {
        match &self.charges {
            Charges::Lattice(_, sum) => sum.warnings(),
            Charges::Radial(_) => vec![],
        }
    }
    fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.share == Share::Reciprocal {
            lines.push("reciprocal sums alone".to_owned());
            if let Charges::Lattice(_, sum) = &self.charges {
                lines.extend(sum.describe());
            }
            lines.extend(self.dispersion.as_ref().map(DispersionSum::describe));
            return lines;
        }
        let cut = match (self.cutoff, self.switch) {
            (None, _) => "no cutoff".to_owned(),
            (Some(c), None) => format!("cutoff {c:.4}"),
            (Some(c), Some(s)) => format!("cutoff {c:.4}, switched from {s:.4}"),
        };
        let tail = if self.tail.is_some() { ", dispersion correction beyond it" } else { "" };
        lines.push(format!(
            "Lennard-Jones {cut}{tail}; {} pairs excluded, {} of them with their own interaction",
            self.exclusions.len(),
            self.own.len()
        ));
        match &self.charges {
            Charges::Lattice(..) if self.share == Share::Near => {
                lines.push("charges: the real-space part of the lattice sum".into());
            }
            Charges::Lattice(_, sum) => lines.extend(sum.describe()),
            Charges::Radial(form) if *form != ReactionField::truncated() => {
                lines.push("reaction field of the charges".into());
            }
            Charges::Radial(_) => {}
        }
        lines.extend(
            self.dispersion.as_ref().filter(|_| self.share == Share::Whole).map(DispersionSum::describe),
        );
        lines
    }
}
