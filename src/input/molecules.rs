//! What ties atoms together: constraints, rigid bodies, masses of hydrogen, virtual sites.
use super::groups;
use super::structure::Structure;
use caloron_engine::quantity::Mass;
use caloron_engine::topology::{Bond, Constraint, RigidBody, Topology, TopologyParts};
use caloron_engine::{Quantity, SpecError, System, UnitSystem, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;

/// Distances that are kept, beside those that a force-field file constrains already. They need bonds, which come with a
/// force-field file. Lengths are the equilibrium lengths of the force field.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConstraintsSpec {
    /// Which bonds keep their length. Default: those of the file alone.
    pub bonds: Option<ConstrainedBonds>,
    /// What water is. Default: as the file says.
    pub water: Option<WaterSpec>,
    /// Largest relative error of a distance after a step, from 1e-14 to 1e-4. Default 1e-10. Rigid water is exact.
    pub tolerance: Option<f64>,
}

/// Bonds that keep their length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConstrainedBonds {
    /// Bonds to hydrogen: for time steps of 2 fs.
    Hydrogen,
    /// All bonds.
    All,
}

/// What water molecules are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaterSpec {
    /// Rigid: both bonds and the angle.
    Rigid,
}

/// Atoms that move as rigid bodies, with the shape they have in the structure.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RigidSpec {
    /// Group of the atoms.
    pub group: String,
    /// What of the group is one body. Default: all of it.
    #[serde(default)]
    pub bodies: BodiesSpec,
}

/// How a group makes rigid bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BodiesSpec {
    /// The group is one body.
    #[default]
    Group,
    /// Every molecule is a body (molecules are known from the bonds of a force-field file).
    Molecules,
    /// So many atoms, one after the other in the order of the structure, are a body each.
    Size(usize),
}

/// What an input says about connections.
pub(crate) struct Molecules<'a> {
    pub constraints: Option<&'a ConstraintsSpec>,
    pub rigid: &'a [RigidSpec],
    pub hydrogen_mass: Option<Quantity<Mass>>,
    pub units: UnitSystem,
}

/// Smallest share of its mass that an atom may keep which gives mass to its hydrogens; that of methyl carbon at 4 u is 0.25.
const LIGHTEST: f64 = 0.1;

impl Molecules<'_> {
    /// Connects the atoms of a system by what a force-field file says (`parts`) and the input adds: molecules become
    /// whole, virtual sites take their places, positions meet the constraints. Errors are relative to `[system]`.
    pub fn connect(
        &self,
        mut parts: TopologyParts,
        system: &mut System,
        structure: &mut Structure,
        notes: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) -> Result<(), SpecError> {
        if parts == TopologyParts::default() && self.says_nothing() {
            return Ok(());
        }
        let atoms = system.len();
        let first = Topology::new(atoms, parts.clone())?;
        let whole = first.make_whole(&mut structure.positions, &structure.cell)?;
        if whole.moved > 0 {
            notes
                .push(format!("{} atoms were moved by lattice vectors to make molecules whole", whole.moved));
        }
        if let Some(mass) = self.hydrogen_mass {
            let masses =
                self.repartition(&first, system, mass, notes).map_err(|e| e.within("hydrogen_mass"))?;
            system.set_masses(masses);
        }
        if let Some(spec) = self.constraints {
            self.constrain(spec, &mut parts, &first, system, &structure.positions, notes)
                .map_err(|e| e.within("constraints"))?;
        }
        for (k, rigid) in self.rigid.iter().enumerate() {
            let at = format!("rigid[{k}]");
            bodies(rigid, &first, system, structure, &mut parts).map_err(|e| e.within(&at))?;
        }
        if let Some(t) = self.constraints.and_then(|c| c.tolerance) {
            system.set_constraint_tolerance(t);
        }
        let topology = Topology::new(atoms, parts).map_err(|e| {
            // the lists are those of the force field but for the bodies, which the input names
            let of_input = e.key.starts_with("rigid_bodies") || e.message.contains("rigid body");
            if of_input { SpecError { key: "rigid".into(), ..e } } else { e }
        })?;
        topology.make_whole(&mut structure.positions, &structure.cell)?;
        system.set_topology(topology)?;
        self.meet(system, structure, notes, warnings)
    }
    fn says_nothing(&self) -> bool {
        self.constraints.is_none() && self.rigid.is_empty() && self.hydrogen_mass.is_none()
    }
    /// Positions that meet the constraints, and virtual sites in their places.
    fn meet(
        &self,
        system: &System,
        structure: &mut Structure,
        notes: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) -> Result<(), SpecError> {
        let before = structure.positions.clone();
        system.solver().constrain(&mut structure.positions).map_err(|e| {
            let [i, j] = e.atoms;
            let message = format!(
                "the structure cannot be brought to its constraints: that of atoms {i} and {j} fails (relative error {:.1e})",
                e.error
            );
            SpecError::new("constraints", message).hint(
                "is the structure far from the lengths of the force field, or does one constraint follow from others \
                 (a planar or linear group with all its distances)? Such groups can be rigid bodies: `rigid`",
            )
        })?;
        caloron_engine::virtual_sites::place(system.topology().virtual_sites(), &mut structure.positions);
        let kinds = system.solver().kinds();
        let count = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}"));
        let list: Vec<String> = [
            count(kinds.waters, "rigid three-site molecules"),
            count(kinds.small, "small clusters of constraints"),
            count(kinds.large, "large clusters of constraints"),
            count(kinds.bodies, "rigid bodies"),
            count(system.topology().virtual_sites().len(), "virtual sites"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !list.is_empty() {
            notes.push(list.join(", "));
        }
        let site = |i: usize| system.topology().is_site(i);
        let moved = before.iter().zip(&structure.positions).enumerate().filter(|(i, _)| !site(*i));
        let (atom, far) = moved
            .map(|(i, (a, b))| (i, (a - b).norm()))
            .fold((0, 0.0), |m: (usize, f64), x| if x.1 > m.1 { x } else { m });
        let length = self.units.length_label();
        let limit = if self.units == UnitSystem::Lj { 0.1 } else { 0.3 };
        if far > limit {
            warnings.push(format!(
                "atom {atom} ({}) was moved by {far:.3} {length} to meet its constraints: the structure is far from the \
                 lengths of the force field",
                system.symbol(atom)
            ));
        } else if far > 1e-6 {
            notes.push(format!("atoms were moved by up to {far:.2e} {length} to meet the constraints"));
        }
        Ok(())
    }
    /// Masses with `mass` on every hydrogen outside of water, taken from the atom it is bonded to.
    fn repartition(
        &self,
        topology: &Topology,
        system: &System,
        mass: Quantity<Mass>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<f64>, SpecError> {
        let mass = mass.internal();
        if !(mass > 0.0 && mass.is_finite()) {
            return Err(SpecError::new("", "the mass must be positive").hint("3 u to 4 u is usual"));
        }
        needs_bonds(topology)?;
        let mut masses = system.masses().to_vec();
        let mut changed = 0;
        let mut lightened = std::collections::BTreeSet::new();
        for Bond { atoms: [i, j], .. } in topology.bonds() {
            let (i, j) = (*i as usize, *j as usize);
            let (h, heavy) = match (is_hydrogen(system, i), is_hydrogen(system, j)) {
                (true, false) => (i, j),
                (false, true) => (j, i),
                _ => continue,
            };
            if topology.is_site(heavy)
                || is_water(topology, system, topology.molecules().group_of(h)).is_some()
            {
                continue;
            }
            let added = mass - masses[h];
            masses[heavy] -= added;
            masses[h] = mass;
            changed += 1;
            lightened.insert(heavy);
        }
        for &heavy in &lightened {
            if masses[heavy] < LIGHTEST * system.masses()[heavy] {
                let message = format!(
                    "atom {heavy} ({}) would be left with {:.3} of its {:.3} u",
                    system.symbol(heavy),
                    masses[heavy],
                    system.masses()[heavy]
                );
                return Err(SpecError::new("", message).hint("use a smaller mass; 3 u to 4 u is usual"));
            }
        }
        if changed == 0 {
            notes.push(
                "no hydrogen is bonded to a heavier atom outside of water: `hydrogen_mass` changes nothing"
                    .into(),
            );
        }
        let lighter = lightened.iter().filter(|a| masses[**a] < mass);
        if let Some(least) = lighter.clone().min_by(|a, b| masses[**a].total_cmp(&masses[**b])) {
            notes.push(format!(
                "{} atoms are lighter than the hydrogens they gave mass to; the lightest, atom {least} ({}), is left with {:.3} u",
                lighter.count(),
                system.symbol(*least),
                masses[*least]
            ));
        }
        Ok(masses)
    }
    fn constrain(
        &self,
        spec: &ConstraintsSpec,
        parts: &mut TopologyParts,
        topology: &Topology,
        system: &System,
        positions: &[Vec3],
        notes: &mut Vec<String>,
    ) -> Result<(), SpecError> {
        if let Some(t) = spec.tolerance
            && !(1e-14..=1e-4).contains(&t)
        {
            return Err(SpecError::new(
                "tolerance",
                format!("the tolerance is {t}; it goes from 1e-14 to 1e-4"),
            )
            .hint("the default is 1e-10"));
        }
        if spec.bonds.is_none() && spec.water.is_none() {
            if spec.tolerance.is_none() {
                return Err(SpecError::new("", "`constraints` says nothing")
                    .hint("for example constraints = { bonds = \"hydrogen\", water = \"rigid\" }"));
            }
            return Ok(());
        }
        needs_bonds(topology)?;
        let mut have: std::collections::BTreeSet<[u32; 2]> =
            parts.constraints.iter().map(|c| sorted(c.atoms)).collect();
        let mut measured = 0;
        let mut add = |atoms: [u32; 2], length: Option<f64>, parts: &mut TopologyParts| {
            if have.insert(sorted(atoms)) {
                let [i, j] = atoms.map(|a| &positions[a as usize]);
                measured += usize::from(length.is_none());
                parts.constraints.push(Constraint { atoms, length: length.unwrap_or((i - j).norm()) });
            }
        };
        let site = |a: u32| topology.is_site(a as usize);
        let hydrogen = |a: u32| is_hydrogen(system, a as usize);
        for bond in topology.bonds() {
            let wanted = match spec.bonds {
                None => false,
                Some(ConstrainedBonds::All) => true,
                Some(ConstrainedBonds::Hydrogen) => bond.atoms.iter().any(|&a| hydrogen(a)),
            };
            if wanted && !bond.atoms.iter().any(|&a| site(a)) {
                add(bond.atoms, bond.length, parts);
            }
        }
        let waters: Vec<[u32; 3]> =
            (0..topology.molecules().len()).filter_map(|m| is_water(topology, system, m)).collect();
        if spec.water == Some(WaterSpec::Rigid) {
            if waters.is_empty() {
                return Err(SpecError::new(
                    "water",
                    "there is no water: no molecule is one oxygen with two hydrogens",
                )
                .hint("leave `water` out"));
            }
            let bond: std::collections::BTreeMap<[u32; 2], Option<f64>> =
                topology.bonds().iter().map(|b| (sorted(b.atoms), b.length)).collect();
            let angle: std::collections::BTreeMap<u32, Option<f64>> =
                topology.angles().iter().map(|a| (a.atoms[1], a.angle)).collect();
            for [o, a, b] in waters {
                let of = |i, j| bond.get(&sorted([i, j])).copied().flatten();
                let (oa, ob) = (of(o, a), of(o, b));
                add([o, a], oa, parts);
                add([o, b], ob, parts);
                let from_angle = || {
                    let theta = angle.get(&o).copied().flatten()?;
                    let (x, y) = (oa?, ob?);
                    Some((x * x + y * y - 2.0 * x * y * theta.cos()).sqrt())
                };
                add([a, b], of(a, b).or_else(from_angle), parts);
            }
        }
        if measured > 0 {
            notes.push(format!(
                "{measured} constraints have no length in the force field: they keep that of the structure"
            ));
        }
        Ok(())
    }
}

fn sorted([i, j]: [u32; 2]) -> [u32; 2] {
    [i.min(j), i.max(j)]
}

fn needs_bonds(topology: &Topology) -> Result<(), SpecError> {
    if topology.bonds().is_empty() && topology.constraints().is_empty() {
        return Err(SpecError::new("", "no bonds are known: the structure comes without a force-field file")
            .hint("take the interactions from a force-field file; groups of atoms can be rigid bodies with `rigid`"));
    }
    Ok(())
}

fn is_hydrogen(system: &System, atom: usize) -> bool {
    let species = &system.species()[usize::from(system.types()[atom])];
    match species.number {
        Some(z) => z == 1,
        // a label that is no element: the mass tells
        None => system.masses()[atom] > 0.9 && system.masses()[atom] < 1.2,
    }
}

/// Oxygen and hydrogens of a molecule, if it is water: one oxygen, two hydrogens, virtual sites at will.
fn is_water(topology: &Topology, system: &System, molecule: usize) -> Option<[u32; 3]> {
    let mut real = topology.molecules().members(molecule).iter().filter(|a| !topology.is_site(**a as usize));
    let (&a, &b, &c) = (real.next()?, real.next()?, real.next()?);
    if real.next().is_some() {
        return None;
    }
    let oxygen = |i: u32| {
        let species = &system.species()[usize::from(system.types()[i as usize])];
        species.number == Some(8)
            || species.number.is_none() && (system.masses()[i as usize] - 16.0).abs() < 0.1
    };
    let h = |i: u32| is_hydrogen(system, i as usize);
    [[a, b, c], [b, a, c], [c, a, b]].into_iter().find(|[o, p, q]| oxygen(*o) && h(*p) && h(*q))
}

/// Adds the bodies of one entry of `rigid`.
fn bodies(
    spec: &RigidSpec,
    topology: &Topology,
    system: &System,
    structure: &Structure,
    parts: &mut TopologyParts,
) -> Result<(), SpecError> {
    let (positions, cell) = (&structure.positions, &structure.cell);
    let group = groups::find(system, &spec.group).map_err(|e| e.within("group"))?;
    let real: Vec<u32> = group.iter().copied().filter(|&a| !topology.is_site(a as usize)).collect();
    let lists: Vec<Vec<u32>> = match spec.bodies {
        BodiesSpec::Group => vec![real],
        BodiesSpec::Size(n) => {
            if n < 2 || !real.len().is_multiple_of(n) {
                let message = format!("the {} atoms of the group are no bodies of {n} atoms", real.len());
                return Err(SpecError::new("bodies.size", message)
                    .hint("the number of atoms must be a multiple of the size, which is at least 2"));
            }
            real.chunks(n).map(<[u32]>::to_vec).collect()
        }
        BodiesSpec::Molecules => {
            needs_bonds(topology).map_err(|e| e.within("bodies"))?;
            let mut of: std::collections::BTreeMap<usize, Vec<u32>> = std::collections::BTreeMap::new();
            for a in real {
                of.entry(topology.molecules().group_of(a as usize)).or_default().push(a);
            }
            of.into_values().filter(|b| b.len() > 1).collect()
        }
    };
    for atoms in lists {
        if let Some(a) = atoms.iter().find(|a| system.is_fixed(**a as usize)) {
            return Err(SpecError::new("group", format!("atom {a} is fixed and in a rigid body"))
                .hint("fix no atom of a rigid body"));
        }
        // atom by atom the nearest image, as molecules are made whole
        let mut shape: Vec<Vec3> = Vec::with_capacity(atoms.len());
        for &a in &atoms {
            let r = positions[a as usize];
            shape.push(shape.last().map_or(r, |last| last + cell.shortest(last, &r)));
        }
        parts.rigid_bodies.push(RigidBody { atoms, shape });
    }
    // what a body keeps anyway
    let mut body_of = vec![None; system.len()];
    for (k, body) in parts.rigid_bodies.iter().enumerate() {
        body.atoms.iter().for_each(|&a| body_of[a as usize] = Some(k));
    }
    parts.constraints.retain(|c| {
        let [a, b] = c.atoms.map(|a| body_of[a as usize]);
        a.is_none() || a != b
    });
    Ok(())
}
