//! Committees: the mean of several potentials, and how far they are apart.
//!
//! Models that were fitted with other initial numbers or on other parts of the data agree where the data were and disagree
//! elsewhere. For M members with energies E_m and forces F_mi:
//!
//! - energy Ē = Σ_m E_m/M, forces F̄_i = Σ_m F_mi/M, and so for the other properties,
//! - spread of the force on an atom s_i = √(Σ_m |F_mi − F̄_i|²/M), eV/Å,
//! - spread of the energy √(Σ_m (E_m − Ē)²/M)/N for N atoms, eV per atom.
//!
//! Source: Schran, Brezina and Marsalek, J. Chem. Phys. 153, 104105 (2020), doi 10.1063/5.0016004.
use crate::{BuildContext, PotentialSpec};
use caloron_engine::quantity::Force;
use caloron_engine::{
    Extra, ExtraSpec, Input, Mat3, Outputs, Potential, PotentialError, Properties, Quantity, Scope,
    SpecError, Vec3, parallel,
};
use schemars::JsonSchema;
use serde::Deserialize;

const NAME: &str = "committee";
static EXTRAS: [ExtraSpec; 2] = [
    ExtraSpec { name: "force_spread", scope: Scope::Atom, components: 1, unit: "eV/Å" },
    ExtraSpec { name: "energy_spread", scope: Scope::System, components: 1, unit: "eV/atom" },
];

/// The mean of several potentials, with the spread of their forces and energies.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitteeSpec {
    /// The potentials, at least two, each as in a `[[potential]]` table: `{ nep = { file = "a.txt" } }`.
    pub members: Vec<PotentialSpec>,
    /// Stop when the forces on an atom are farther apart than this. Default: never.
    #[serde(default)]
    pub max_force_spread: Option<Quantity<Force>>,
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
        let build = |(k, spec): (usize, &PotentialSpec)| {
            spec.build(context).map_err(|e| e.within(&format!("[{k}]")).within("members"))
        };
        let members: Vec<_> = self.members.iter().enumerate().map(build).collect::<Result<_, _>>()?;
        Ok(Committee::new(members, limit))
    }
}

/// The potential.
pub struct Committee {
    members: Vec<Box<dyn Potential>>,
    outputs: Vec<Outputs>,
    /// Largest spread of the force on an atom that is let through, eV/Å.
    limit: Option<f64>,
}

impl Committee {
    /// The mean of potentials; with a limit on the spread of the force on an atom, eV/Å.
    pub fn new(members: Vec<Box<dyn Potential>>, limit: Option<f64>) -> Self {
        let outputs = members.iter().map(|_| Outputs::default()).collect();
        Self { members, outputs, limit }
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
        &EXTRAS
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        let atoms = input.system.len();
        let spread = self.limit.is_some() || want.contains(Properties::EXTRAS);
        let mut need = want.difference(Properties::EXTRAS);
        if spread {
            need |= Properties::FORCES;
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
            && variance.sqrt() > limit
        {
            let species = &input.system.species()[usize::from(input.system.types()[atom])].symbol;
            return Err(PotentialError::Geometry {
                potential: NAME,
                reason: format!(
                    "the members disagree by {:.4} eV/Å in the force on atom {atom} ({species}), more than `max_force_spread` = {limit}",
                    variance.sqrt()
                ),
            });
        }
        if want.contains(Properties::EXTRAS) {
            let mut values = vec![0.0; atoms];
            parallel::for_each_mut(&mut values, |i, s| *s = Self::force_variance(outputs, i).sqrt());
            out.extras.push(Extra { spec: &EXTRAS[0], values });
            let variance = outputs.iter().map(|o| (o.energy - energy).powi(2)).sum::<f64>() * part;
            out.extras.push(Extra { spec: &EXTRAS[1], values: vec![variance.sqrt() / atoms.max(1) as f64] });
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
    fn citations(&self) -> Vec<&'static str> {
        let mut all: Vec<&'static str> = self.members.iter().flat_map(|m| m.citations()).collect();
        all.push("Schran, Brezina and Marsalek, J. Chem. Phys. 153, 104105 (2020), doi 10.1063/5.0016004");
        all.dedup();
        all
    }
    fn describe(&self) -> Vec<String> {
        let mut lines = vec![format!("committee: the mean of {} potentials", self.members.len())];
        lines.extend(self.members.iter().flat_map(|m| m.describe()));
        lines
    }
    fn warnings(&self) -> Vec<String> {
        self.members.iter().flat_map(|m| m.warnings()).collect()
    }
}
