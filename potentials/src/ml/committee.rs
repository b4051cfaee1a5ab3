//! Committees: the mean of several potentials, and how far they are apart.
//!
//! Models that were fitted with other initial numbers or on other parts of the data agree where the data were and disagree
//! elsewhere. For M members with energies E_m and forces F_mi:
//!
//! - energy Ē = Σ_m E_m/M, forces F̄_i = Σ_m F_mi/M, and so for the other properties,
//! - extras that all members have, such as magnetic moments: their mean,
//! - spread of the force on an atom s_i = √(Σ_m |F_mi − F̄_i|²/M), eV/Å,
//! - spread of the energy √(Σ_m (E_m − Ē)²/M)/N for N atoms, eV per atom.
//!
//! Spreads of few similar models are smaller than their errors. A calibration multiplies them with factors that make them right on
//! average for labelled structures: α² = Σ |F_i − F̄_i|²/Σ s_i² over all atoms, and so for the energies (`caloron model calibrate`).
//!
//! Sources: Schran, Brezina and Marsalek, J. Chem. Phys. 153, 104105 (2020), doi 10.1063/5.0016004; Imbalzano et al., J. Chem.
//! Phys. 154, 074102 (2021), doi 10.1063/5.0036522 (calibration).
use crate::{BuildContext, PotentialSpec};
use caloron_engine::quantity::Force;
use caloron_engine::watch::{ENERGY_SPREAD, FORCE_SPREAD};
use caloron_engine::{
    Archive, ArchiveError, Domain, Extra, ExtraSpec, Input, Mat3, Outputs, Potential, PotentialError,
    Properties, Quantity, Scope, SpecError, Vec3, parallel,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const NAME: &str = "committee";
/// What every committee gives.
static SPREADS: [ExtraSpec; 2] = [
    ExtraSpec { name: FORCE_SPREAD, scope: Scope::Atom, components: 1, unit: "eV/Å" },
    ExtraSpec { name: ENERGY_SPREAD, scope: Scope::System, components: 1, unit: "eV/atom" },
];

/// The mean of several potentials, with the spread of their forces and energies.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitteeSpec {
    /// The potentials, at least two, each as in a `[[potential]]` table: `{ nep = { file = "a.txt" } }`.
    pub members: Vec<PotentialSpec>,
    /// Stop when the forces on an atom are farther apart than this, whatever `[guard.learned]` says. Default: never.
    #[serde(default)]
    pub max_force_spread: Option<Quantity<Force>>,
    /// File of `caloron model calibrate`, relative to the input file: spreads are multiplied by its factors. Default: they are not.
    #[serde(default)]
    pub calibration: Option<PathBuf>,
}

/// Factors that make the spreads of a committee the errors it has on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Factor of the spread of forces.
    pub force_factor: f64,
    /// Factor of the spread of the energy.
    pub energy_factor: f64,
    /// Members of the committee.
    pub members: usize,
    /// Labelled structures it was made from.
    pub structures: usize,
    /// Atoms in all of them.
    pub atoms: usize,
}

impl CommitteeSpec {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When there are fewer than two members, one of them cannot be built, or the limit is not positive.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Committee, SpecError> {
        if self.members.len() < 2 {
            return Err(SpecError::new(
                "members",
                format!("a committee needs two members, found {}", self.members.len()),
            )
            .hint("without others, write the potential itself"));
        }
        let limit = self.max_force_spread.map(Quantity::internal);
        if let Some(limit) = limit.filter(|l| *l <= 0.0) {
            return Err(SpecError::new(
                "max_force_spread",
                format!("the spread must be positive, not {limit}"),
            )
            .hint("leave it out to never stop"));
        }
        let (mut members, mut sources) = (Vec::new(), Vec::new());
        for (k, spec) in self.members.iter().enumerate() {
            let before = context.files.len();
            members.push(spec.build(context).map_err(|e| e.within(&format!("[{k}]")).within("members"))?);
            let names = context.files[before..].iter().map(|f| f.display().to_string());
            sources.push(names.collect::<Vec<_>>().join(", "));
        }
        let mut committee = Committee::new(members, limit);
        committee.sources = sources;
        if let Some(file) = &self.calibration {
            committee.calibration = Some(self.read_calibration(context, file)?);
        }
        Ok(committee)
    }
    fn read_calibration(
        &self,
        context: &mut BuildContext<'_>,
        file: &Path,
    ) -> Result<Calibration, SpecError> {
        let text = context.read("calibration", file)?;
        let wrong = |what: String| {
            SpecError::new("calibration", format!("`{}`: {what}", file.display()))
                .hint("make it with `caloron model calibrate`")
        };
        let c: Calibration = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if c.members != self.members.len() {
            return Err(wrong(format!(
                "it is of a committee of {} members, this one has {}",
                c.members,
                self.members.len()
            )));
        }
        let good = |x: f64| x > 0.0 && x.is_finite();
        if !good(c.force_factor) || !good(c.energy_factor) {
            return Err(wrong("its factors must be positive".to_owned()));
        }
        Ok(c)
    }
}

/// The spreads, and the extras that all members have and that are none of them. Lists live as long as the program, each once.
fn extras(members: &[Box<dyn Potential>]) -> &'static [ExtraSpec] {
    static LISTS: Mutex<Vec<&'static [ExtraSpec]>> = Mutex::new(Vec::new());
    let has = |m: &dyn Potential, e: &ExtraSpec| {
        m.provides().contains(Properties::EXTRAS) && m.extras().contains(e)
    };
    let own = |e: &ExtraSpec| SPREADS.iter().any(|s| s.name == e.name);
    let first = members.first().map_or(&[][..], |m| m.extras()).iter();
    let common = first.filter(|e| !own(e) && members.iter().all(|m| has(m.as_ref(), e)));
    let list: Vec<ExtraSpec> = SPREADS.iter().chain(common).cloned().collect();
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lists.iter().find(|l| ***l == *list) {
        return known;
    }
    let list: &'static [ExtraSpec] = Box::leak(list.into_boxed_slice());
    lists.push(list);
    list
}

/// The potential.
pub struct Committee {
    members: Vec<Box<dyn Potential>>,
    outputs: Vec<Outputs>,
    /// What it gives beside energies and forces: the spreads, and what all members give.
    extras: &'static [ExtraSpec],
    /// Files of the members, as far as they are known.
    sources: Vec<String>,
    /// Largest spread of the force on an atom that is let through, eV/Å.
    limit: Option<f64>,
    calibration: Option<Calibration>,
    domain: Option<Domain>,
}

impl Committee {
    /// The mean of potentials; with a limit on the spread of the force on an atom, eV/Å.
    pub fn new(members: Vec<Box<dyn Potential>>, limit: Option<f64>) -> Self {
        let outputs = members.iter().map(|_| Outputs::default()).collect();
        let domains = members.iter().filter_map(|m| m.domain());
        let domain = domains.fold(None, |all: Option<Domain>, d| Some(all.unwrap_or_default().and(d)));
        let extras = extras(&members);
        Self { members, outputs, extras, sources: Vec::new(), limit, calibration: None, domain }
    }
    /// Multiplies spreads by the factors of a calibration.
    #[must_use]
    pub fn calibrated(mut self, calibration: Calibration) -> Self {
        self.calibration = Some(calibration);
        self
    }
    /// Factors of the spreads of forces and energy.
    fn factors(&self) -> [f64; 2] {
        self.calibration.map_or([1.0; 2], |c| [c.force_factor, c.energy_factor])
    }
    /// Squared spread of the force on atom i, of the members' forces.
    fn force_variance(outputs: &[Outputs], i: usize) -> f64 {
        let part = 1.0 / outputs.len() as f64;
        let mean = outputs.iter().map(|o| o.forces[i]).sum::<Vec3>() * part;
        outputs.iter().map(|o| (o.forces[i] - mean).norm_squared()).sum::<f64>() * part
    }
}

impl Potential for Committee {
    fn name(&self) -> &'static str {
        NAME
    }
    fn cutoff(&self) -> Option<f64> {
        self.members.iter().filter_map(|m| m.cutoff()).reduce(f64::max)
    }
    fn provides(&self) -> Properties {
        let all = Properties::all().difference(Properties::EXTRAS);
        let common = self.members.iter().fold(all, |p, m| p & m.provides());
        common | Properties::EXTRAS
    }
    fn extras(&self) -> &'static [ExtraSpec] {
        self.extras
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        let atoms = input.system.len();
        let [force_factor, energy_factor] = self.factors();
        let spread = self.limit.is_some() || want.contains(Properties::EXTRAS);
        let mut need = want.difference(Properties::EXTRAS);
        if spread {
            need |= Properties::FORCES;
        }
        let common = &self.extras[SPREADS.len()..];
        if want.contains(Properties::EXTRAS) && !common.is_empty() {
            need |= Properties::EXTRAS;
        }
        for (member, outputs) in self.members.iter_mut().zip(&mut self.outputs) {
            outputs.reset(atoms, need);
            member.compute(input, need, outputs)?;
        }
        let outputs = &self.outputs;
        let part = 1.0 / outputs.len() as f64;
        let energy = outputs.iter().map(|o| o.energy).sum::<f64>() * part;
        out.energy += energy;
        if want.contains(Properties::FORCES) {
            parallel::for_each_mut(&mut out.forces, |i, f| {
                *f += outputs.iter().map(|o| o.forces[i]).sum::<Vec3>() * part;
            });
        }
        if want.contains(Properties::VIRIAL) {
            out.virial += outputs.iter().map(|o| o.virial).sum::<Mat3>() * part;
        }
        if want.contains(Properties::ATOM_ENERGIES) {
            parallel::for_each_mut(&mut out.atom_energies, |i, e| {
                *e += outputs.iter().map(|o| o.atom_energies[i]).sum::<f64>() * part;
            });
        }
        if want.contains(Properties::ATOM_VIRIALS) {
            parallel::for_each_mut(&mut out.atom_virials, |i, w| {
                *w += outputs.iter().map(|o| o.atom_virials[i]).sum::<Mat3>() * part;
            });
        }
        if let Some(limit) = self.limit
            && let Some((atom, variance)) = parallel::largest(atoms, |i| Self::force_variance(outputs, i))
            && force_factor * variance.sqrt() > limit
        {
            let species = &input.system.species()[usize::from(input.system.types()[atom])].symbol;
            return Err(PotentialError::Geometry {
                potential: NAME,
                reason: format!(
                    "the members disagree by {:.4} eV/Å in the force on atom {atom} ({species}), more than `max_force_spread` = {limit}",
                    force_factor * variance.sqrt()
                ),
            });
        }
        if want.contains(Properties::EXTRAS) {
            let mut values = vec![0.0; atoms];
            parallel::for_each_mut(&mut values, |i, s| {
                *s = force_factor * Self::force_variance(outputs, i).sqrt()
            });
            out.extras.push(Extra { spec: &SPREADS[0], values });
            let variance = outputs.iter().map(|o| (o.energy - energy).powi(2)).sum::<f64>() * part;
            let spread = energy_factor * variance.sqrt() / atoms.max(1) as f64;
            out.extras.push(Extra { spec: &SPREADS[1], values: vec![spread] });
            for spec in common {
                let mut values: Vec<f64> = Vec::new();
                for found in outputs.iter().filter_map(|o| o.extras.iter().find(|e| e.spec == spec)) {
                    values.resize(found.values.len(), 0.0);
                    values.iter_mut().zip(&found.values).for_each(|(v, x)| *v += part * x);
                }
                out.extras.push(Extra { spec, values });
            }
        }
        Ok(())
    }
    fn breaks_symmetry(&self) -> bool {
        self.members.iter().any(|m| m.breaks_symmetry())
    }
    fn uses_mesh(&self) -> bool {
        self.members.iter().any(|m| m.uses_mesh())
    }
    fn jumps_at_cutoff(&self) -> bool {
        self.members.iter().any(|m| m.jumps_at_cutoff())
    }
    fn domain(&self) -> Option<&Domain> {
        self.domain.as_ref()
    }
    fn single_precision(&self) -> bool {
        self.members.iter().any(|m| m.single_precision())
    }
    fn rotation_error(&self) -> f64 {
        self.members.iter().map(|m| m.rotation_error()).fold(0.0, f64::max)
    }
    fn forget(&mut self) {
        self.members.iter_mut().for_each(|m| m.forget());
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        self.members.iter_mut().try_for_each(|m| m.archive(archive))
    }
    fn citations(&self) -> Vec<&'static str> {
        let mut all: Vec<&'static str> = self.members.iter().flat_map(|m| m.citations()).collect();
        all.push("Schran, Brezina and Marsalek, J. Chem. Phys. 153, 104105 (2020), doi 10.1063/5.0016004");
        all.dedup();
        all
    }
    fn describe(&self) -> Vec<String> {
        let mut lines = vec![format!("committee: the mean of {} potentials", self.members.len())];
        lines.push(match self.calibration {
            None => "committee: spreads are not calibrated".to_owned(),
            Some(c) => format!(
                "committee: spreads calibrated on {} structures, times {:.3} (forces) and {:.3} (energy)",
                c.structures, c.force_factor, c.energy_factor
            ),
        });
        for (k, member) in self.members.iter().enumerate() {
            if let Some(source) = self.sources.get(k).filter(|s| !s.is_empty()) {
                lines.push(format!("committee: member {}: {source}", k + 1));
            }
            lines.extend(member.describe());
        }
        lines
    }
    fn warnings(&self) -> Vec<String> {
        self.members.iter().flat_map(|m| m.warnings()).collect()
    }
}
