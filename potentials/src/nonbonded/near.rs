//! The pairs within the cutoff: rows of neighbours by what they take part in, and the sums over them.
use super::kernel::{Field, LATTICE, NUMBERS, PLAIN, Rows, SMOOTHED, SWITCHED, Sum, Table};
use super::model::{LennardJonesTypes, Modifier, NonBondedModel, Smoothing};
use super::rows::{self, Block, Filling, ROWS};
use super::single::Single;
use super::sorter::Takes;
use crate::Precision;
use crate::electrostatics::{Damped, Exclusions, PairForm, ReactionField, Smooth};
use crate::kernels::symmetric;
use crate::simd::{self, LANES, Level, WIDE};
use caloron_engine::neighbors::{AtomRows, Site};
use caloron_engine::{Input, Outputs, Properties, Revision, SpecError, Vec3, parallel};
use rayon::prelude::*;
use std::sync::Arc;

/// The radial form of the charges. There is one of it in a run, so its size does not matter.
#[derive(Clone, Copy, PartialEq)]
#[expect(clippy::large_enum_variant)]
pub(super) enum Radial {
    Field(ReactionField),
    /// erfc(α r)/r.
    Screened(Damped),
    /// The same by the quick form, where it is accurate.
    Quick(Smooth),
}

impl Radial {
    pub fn screened(alpha: f64, cutoff: f64) -> Self {
        Smooth::new(alpha, cutoff).map_or(Self::Screened(Damped::ewald(alpha, cutoff)), Self::Quick)
    }
}

/// How the Lennard-Jones interaction ends at the cutoff.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Ending {
    Truncated,
    /// Multiplied by a switching function from here on.
    Switched(f64),
    Smoothed(Smoothing),
}

impl Ending {
    /// That of a model with a cutoff.
    pub fn of(model: &NonBondedModel) -> Self {
        match (model.modifier, model.switch) {
            (Modifier::PotentialShift, _) => Self::Smoothed(Smoothing::shift(model.cutoff)),
            (Modifier::ForceSwitch, Some(from)) => {
                Self::Smoothed(Smoothing::force_switch(from, model.cutoff))
            }
            (Modifier::PotentialSwitch, Some(from)) => Self::Switched(from),
            (_, None) => Self::Truncated,
        }
    }
}

/// The pairs within the cutoff, or all pairs of an open system.
pub(super) struct Near {
    cutoff: Option<f64>,
    constant: f64,
    charge: Arc<[f64]>,
    types: Vec<u32>,
    takes: Vec<Takes>,
    table: Table,
    ending: Ending,
    form: Radial,
    beta: f64,
    exclusions: Exclusions,
    pub level: Level,
    /// The pairs in single precision, where that was chosen.
    single: Option<Box<Single>>,
    rows: Vec<Block>,
    row_of: AtomRows,
    built_for: Option<Revision>,
    sites: Vec<Site>,
    /// Type of each site.
    kinds: Vec<u16>,
    centers: Vec<u32>,
    sums: Vec<Sum>,
}

impl Near {
    /// The pairs of a model; `ending` and `beta` (the splitting of the dispersion) are those that act.
    ///
    /// # Errors
    /// When the precision asked for is not possible.
    pub fn new(
        model: &NonBondedModel,
        cutoff: Option<f64>,
        form: Radial,
        ending: Ending,
        beta: f64,
        exclusions: Exclusions,
    ) -> Result<Self, SpecError> {
        let numbers = &model.lennard_jones;
        let acts: Vec<bool> = (0..numbers.len()).map(|t| numbers.acts(t)).collect();
        let takes = |i: usize| Takes::new(i, acts[model.types[i] as usize], model.charges[i] != 0.0);
        Ok(Self {
            cutoff,
            constant: model.constant,
            charge: model.charges.as_slice().into(),
            types: model.types.clone(),
            takes: (0..model.types.len()).map(takes).collect(),
            table: table(numbers, model.cutoff, beta),
            ending,
            form,
            beta,
            exclusions,
            level: Level::detect(),
            single: match model.precision {
                Precision::F64 => None,
                Precision::F32 => Some(Box::new(Single::new(model)?)),
            },
            rows: vec![],
            row_of: AtomRows::default(),
            built_for: None,
            sites: vec![],
            kinds: vec![],
            centers: vec![],
            sums: vec![],
        })
    }
    pub fn cutoff(&self) -> Option<f64> {
        self.cutoff
    }
    pub fn charges(&self) -> &Arc<[f64]> {
        &self.charge
    }
    pub fn is_single(&self) -> bool {
        self.single.is_some()
    }
    /// What a reader of the log should know, with the numbers of excluded pairs and of those with their own interaction.
    pub fn describe(&self, own: usize, tail: bool) -> Vec<String> {
        let cut = match (self.cutoff, self.ending) {
            (None, _) => "no cutoff".to_owned(),
            (Some(c), Ending::Truncated) => format!("cutoff {c:.4}"),
            (Some(c), Ending::Switched(s)) => format!("cutoff {c:.4}, switched from {s:.4}"),
            (Some(c), Ending::Smoothed(s)) if s.from < c => {
                format!("cutoff {c:.4}, its force switched from {:.4}", s.from)
            }
            (Some(c), Ending::Smoothed(_)) => format!("cutoff {c:.4}, shifted to zero there"),
        };
        let tail = if tail { ", dispersion correction beyond it" } else { "" };
        let excluded = self.exclusions.len();
        let mut lines = vec![format!(
            "Lennard-Jones {cut}{tail}; {excluded} pairs excluded, {own} of them with their own interaction"
        )];
        lines.extend(self.single.as_ref().map(|s| s.describe()));
        if matches!(self.form, Radial::Field(f) if f != ReactionField::truncated()) {
            lines.push("reaction field of the charges".into());
        }
        lines
    }
    /// Brings sites and rows up to date.
    ///
    /// # Errors
    /// A geometry that cannot be computed.
    pub fn prepare(&mut self, input: &Input<'_>) -> Result<(), String> {
        if self.cutoff.is_none() {
            self.prepare_open(input);
            return Ok(());
        }
        let list = input.neighbors;
        let real = list.sites().len();
        self.row_of.update(list);
        if self.built_for != list.revision() {
            self.built_for = list.revision();
            let centers = list.centers();
            let count = centers.len();
            self.centers.clear();
            self.centers.extend_from_slice(centers);
            self.rows.resize_with(count.div_ceil(ROWS), Block::default);
            let of_sites: Vec<Takes> = (0..real as u32).map(|s| self.takes[list.atom(s)]).collect();
            let (kinds, width) = match &mut self.single {
                Some(single) => (single.sites_of(list), WIDE),
                None => {
                    self.kinds.clear();
                    self.kinds.extend((0..real as u32).map(|s| self.types[list.atom(s)] as u16));
                    self.kinds.push(0);
                    (&self.kinds[..], LANES)
                }
            };
            let filling =
                Filling { takes: &of_sites, kinds, exclusions: &self.exclusions, width, level: self.level };
            let fill = |(b, block): (usize, &mut Block)| {
                let (first, count) = (b * ROWS, ROWS.min(count - b * ROWS));
                rows::from_list(block, first..first + count, input, &filling);
            };
            if count <= 2 * ROWS {
                self.rows.iter_mut().enumerate().for_each(fill);
            } else {
                self.rows.par_iter_mut().enumerate().for_each(fill);
            }
        }
        if let Some(single) = &mut self.single {
            let refuse = |x| format!("a coordinate of {x:.3e} Å is too large for single precision");
            return single.refresh(list).map_err(refuse);
        }
        self.sites.clear();
        self.sites.extend_from_slice(list.padded_sites());
        let charge = &self.charge;
        for (k, site) in self.sites.iter_mut().enumerate() {
            site.species = if k < real { charge[list.atom(k as u32)] } else { 0.0 };
        }
        Ok(())
    }
    /// All pairs: the rows stay, as nothing but the positions changes.
    fn prepare_open(&mut self, input: &Input<'_>) {
        let n = self.takes.len();
        let site = |k: usize| Site { position: input.positions[k].into(), species: self.charge[k] };
        self.sites.clear();
        self.sites.extend((0..n).map(site));
        self.sites.push(Site { position: [1e9; 3], species: 0.0 });
        if self.kinds.len() == n + 1 {
            return;
        }
        self.kinds.clear();
        self.kinds.extend(self.types.iter().map(|t| *t as u16));
        self.kinds.push(0);
        self.centers.clear();
        self.centers.extend(0..n as u32);
        self.rows.resize_with(n.div_ceil(ROWS), Block::default);
        let Self { takes, kinds, exclusions, level, .. } = self;
        let filling = Filling { takes, kinds, exclusions, width: LANES, level: *level };
        self.rows.par_iter_mut().enumerate().for_each(|(b, block)| {
            rows::all_pairs(block, b * ROWS, ROWS.min(n - b * ROWS), &filling);
        });
    }
    /// The sums of all rows.
    pub fn pairs(&mut self, want: Properties) {
        let virial = want.intersects(Properties::VIRIAL | Properties::ATOM_VIRIALS);
        let lj = match (self.ending, self.beta > 0.0) {
            (_, true) => LATTICE,
            (Ending::Switched(_), _) => SWITCHED,
            (Ending::Smoothed(_), _) => SMOOTHED,
            (Ending::Truncated, _) => PLAIN,
        };
        self.sums.resize(self.centers.len(), Sum::default());
        if let Some(single) = &self.single {
            return single.run(self.level, &self.rows, &self.centers, &mut self.sums, virial);
        }
        // every kernel costs compile time: one without virials is there where it matters
        match (self.form, lj, virial) {
            (Radial::Field(f), SMOOTHED, _) => self.run::<_, SMOOTHED, true>(f),
            (Radial::Quick(f), SMOOTHED, _) => self.run::<_, SMOOTHED, true>(f),
            (Radial::Screened(f), SMOOTHED, _) => self.run::<_, SMOOTHED, true>(f),
            (Radial::Field(f), SWITCHED, _) => self.run::<_, SWITCHED, true>(f),
            (Radial::Field(f), _, _) => self.run::<_, PLAIN, true>(f),
            (Radial::Quick(f), SWITCHED, true) => self.run::<_, SWITCHED, true>(f),
            (Radial::Quick(f), SWITCHED, false) => self.run::<_, SWITCHED, false>(f),
            (Radial::Quick(f), _, true) => self.run::<_, PLAIN, true>(f),
            (Radial::Quick(f), _, false) => self.run::<_, PLAIN, false>(f),
            (Radial::Screened(f), SWITCHED, _) => self.run::<_, SWITCHED, true>(f),
            (Radial::Screened(f), LATTICE, _) => self.run::<_, LATTICE, true>(f),
            (Radial::Screened(f), _, _) => self.run::<_, PLAIN, true>(f),
        }
    }
    fn run<F: PairForm, const LJ: u8, const VIRIAL: bool>(&mut self, form: F) {
        let cutoff = self.cutoff.unwrap_or(3e8);
        let field = Field {
            form,
            constant: self.constant,
            cutoff2: cutoff * cutoff,
            switch: match self.ending {
                Ending::Switched(from) => [from, 1.0 / (cutoff - from)],
                _ => [0.0; 2],
            },
            smoothing: match self.ending {
                Ending::Smoothed(s) => s,
                _ => Smoothing::default(),
            },
            beta: self.beta,
            sites: &self.sites,
            kinds: &self.kinds,
            table: &self.table,
        };
        let (blocks, centers, level) = (&self.rows, &self.centers, self.level);
        rows::for_blocks(&mut self.sums, |(b, sums)| {
            let centers = &centers[b * ROWS..b * ROWS + sums.len()];
            simd::run(level, Rows::<F, LJ, VIRIAL> { field, centers, block: &blocks[b], sums });
        });
    }
    /// Adds the sums of the rows; energies of Lennard-Jones and of charges.
    pub fn collect(&self, want: Properties, out: &mut Outputs) -> [f64; 2] {
        let mut energies = [0.0; 2];
        for s in &self.sums {
            energies[0] += s.lennard_jones;
            energies[1] += s.coulomb;
        }
        out.energy += energies[0] + energies[1];
        if want.contains(Properties::VIRIAL) {
            let mut virial = [0.0; 6];
            for s in &self.sums {
                for (v, w) in virial.iter_mut().zip(s.virial) {
                    *v += w;
                }
            }
            out.virial += symmetric(virial);
        }
        let (open, sums, rows) = (self.cutoff.is_none(), &self.sums, &self.row_of);
        let of = |i: usize| &sums[if open { i } else { rows[i] as usize }];
        if want.contains(Properties::FORCES) {
            parallel::for_each_mut(&mut out.forces, |i, f| *f += Vec3::from(of(i).force));
        }
        if want.contains(Properties::ATOM_ENERGIES) {
            parallel::for_each_mut(&mut out.atom_energies, |i, e| *e += of(i).lennard_jones + of(i).coulomb);
        }
        if want.contains(Properties::ATOM_VIRIALS) {
            parallel::for_each_mut(&mut out.atom_virials, |i, w| *w += symmetric(of(i).virial));
        }
        energies
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
