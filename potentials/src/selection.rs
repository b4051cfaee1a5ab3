//! Parts of an interaction: between chosen atoms, or times a factor.
//!
//! Any interaction E can enter a sum as λ E_S, where E_S acts between the atoms of a set S alone, as if the others were not
//! there. λ E has the derivative ∂(λE)/∂λ = E, which thermodynamic integration averages.
use caloron_engine::neighbors::Search;
use caloron_engine::{
    Archive, ArchiveError, Cell, Domain, Extra, ExtraSpec, Input, NeighborList, Outputs, Potential,
    PotentialError, Properties, Scope, SpecError, Species, System, Vec3,
};

/// The atoms an interaction is restricted to.
#[derive(Clone, Debug, PartialEq)]
pub enum Atoms {
    /// Those of the species with these symbols.
    Species(Vec<String>),
    /// Those of at least one of the groups with these names.
    Groups(Vec<String>),
}

impl Atoms {
    /// Their indices, ascending.
    ///
    /// # Errors
    /// When a name is not known, or no atom is left; the error is at the key.
    pub fn indices(&self, system: &System) -> Result<Vec<u32>, SpecError> {
        let (key, names) = match self {
            Self::Species(names) => ("species", names),
            Self::Groups(names) => ("groups", names),
        };
        if names.is_empty() {
            return Err(SpecError::new(key, "the list is empty, so the interaction acts between no atoms")
                .hint("leave the key out for all atoms"));
        }
        let mut chosen = vec![false; system.len()];
        for (n, name) in names.iter().enumerate() {
            let unknown = |what: &str, known: Vec<&str>| {
                let hint = match known.is_empty() {
                    true => format!("define it in [system]: `groups = {{ {name} = {{ ... }} }}`"),
                    false => format!("known are {}", known.join(", ")),
                };
                SpecError::new(format!("{key}[{n}]"), format!("there is no {what} `{name}`")).hint(hint)
            };
            match self {
                Self::Species(_) => {
                    let table = system.species();
                    let Some(kind) = table.iter().position(|s| s.symbol == *name) else {
                        return Err(unknown("species", table.iter().map(|s| s.symbol.as_str()).collect()));
                    };
                    for (chosen, &t) in chosen.iter_mut().zip(system.types()) {
                        *chosen |= usize::from(t) == kind;
                    }
                }
                Self::Groups(_) => {
                    let Some(group) = system.group(name) else {
                        return Err(unknown("group", system.groups().keys().map(String::as_str).collect()));
                    };
                    group.iter().for_each(|&i| chosen[i as usize] = true);
                }
            }
        }
        let atoms: Vec<u32> = (0..system.len() as u32).filter(|&i| chosen[i as usize]).collect();
        if atoms.is_empty() {
            return Err(SpecError::new(key, "no atom is in what the interaction is restricted to"));
        }
        Ok(atoms)
    }
}

/// A hydrogen atom that closes a bond which a selection cuts, at r = r_i + g (r_o − r_i) with the atom i inside of the selection, o outside of it
/// and a fixed ratio g. Its force f acts on them by the chain rule: (1 − g) f on i, g f on o; its energy counts with i.
///
/// U. C. Singh, P. A. Kollman, J. Comput. Chem. 7, 718 (1986), doi:10.1002/jcc.540070604; the ratio: S. Dapprich et al., J. Mol. Struct. THEOCHEM
/// 461, 1 (1999), doi:10.1016/S0166-1280(98)00475-8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// The atom inside, by its place in the selection.
    pub place: u32,
    /// The same atom, by its number.
    pub inside: u32,
    /// The atom outside.
    pub outside: u32,
    /// g.
    pub ratio: f64,
}

impl Link {
    /// The bonds of a topology that a selection cuts.
    pub fn cut(system: &System, indices: &[u32], ratio: f64) -> Vec<Self> {
        let place = |a: u32| indices.binary_search(&a).ok().map(|k| k as u32);
        let topology = system.topology();
        let real = |atoms: &[u32; 2]| atoms.iter().all(|a| !topology.is_site(*a as usize));
        let cut = topology.bonds().iter().filter(|b| real(&b.atoms)).filter_map(|b| {
            let [a, o] = b.atoms;
            match (place(a), place(o)) {
                (Some(place), None) => Some(Self { place, inside: a, outside: o, ratio }),
                (None, Some(place)) => Some(Self { place, inside: o, outside: a, ratio }),
                _ => None,
            }
        });
        cut.collect()
    }
    fn position(&self, positions: &[Vec3], cell: &Cell) -> Vec3 {
        let [i, o] = [self.inside, self.outside].map(|a| &positions[a as usize]);
        i + self.ratio * cell.shortest(i, o)
    }
}

/// The atoms of a selection and then its links, as a system with its positions.
pub fn part(
    system: &System,
    indices: &[u32],
    links: &[Link],
    positions: &[Vec3],
    cell: &Cell,
) -> (System, Vec<Vec3>) {
    let mut places: Vec<Vec3> = indices.iter().map(|&i| positions[i as usize]).collect();
    places.extend(links.iter().map(|l| l.position(positions, cell)));
    (with_hydrogen(system.subset(indices), links.len()), places)
}

/// A system with further atoms of hydrogen.
fn with_hydrogen(system: System, count: usize) -> System {
    if count == 0 {
        return system;
    }
    let mut species = system.species().to_vec();
    let known = species.iter().position(|s| s.number == Some(1));
    let hydrogen = known.unwrap_or_else(|| {
        species.push(Species { symbol: "H".into(), number: Some(1), mass: 1.008 });
        species.len() - 1
    });
    let mut types = system.types().to_vec();
    types.extend(std::iter::repeat_n(hydrogen as u16, count));
    let mut out = System::new(species, types);
    out.set_masses(system.masses().iter().copied().chain(std::iter::repeat_n(1.008, count)).collect());
    out.set_charges(system.charges().iter().copied().chain(std::iter::repeat_n(0.0, count)).collect());
    let fixed: Vec<u32> = (0..system.len() as u32).filter(|i| system.is_fixed(*i as usize)).collect();
    out.fix(&fixed);
    for (name, atoms) in system.groups() {
        out.set_group(name.clone(), atoms.to_vec());
    }
    out
}

/// An interaction between some of the atoms.
pub struct Selected {
    inner: Box<dyn Potential>,
    atoms: Atoms,
    /// Types of all atoms when the selection was made.
    types: Vec<u16>,
    indices: Vec<u32>,
    /// Ratio of link atoms, where bonds that are cut have them.
    ratio: Option<f64>,
    links: Vec<Link>,
    system: System,
    positions: Vec<Vec3>,
    list: Option<NeighborList>,
    outputs: Outputs,
    domain: Option<Domain>,
}

impl Selected {
    /// `inner`, which was built for the subset of the system with these atoms. Its neighbours are searched among them alone,
    /// with a skin in Å.
    ///
    /// # Errors
    /// As [`Atoms::indices`].
    pub fn new(
        inner: Box<dyn Potential>,
        atoms: Atoms,
        system: &System,
        skin: f64,
        search: Search,
    ) -> Result<Self, SpecError> {
        Self::linked(inner, atoms, system, skin, search, None)
    }
    /// The same with hydrogen atoms on the bonds that the selection cuts, at this ratio of their length; `inner` was built for the
    /// atoms and then the links, as [`part`] makes them.
    ///
    /// # Errors
    /// As [`Atoms::indices`].
    pub fn linked(
        inner: Box<dyn Potential>,
        atoms: Atoms,
        system: &System,
        skin: f64,
        search: Search,
        ratio: Option<f64>,
    ) -> Result<Self, SpecError> {
        let list = inner.cutoff().map(|cutoff| NeighborList::new(cutoff, skin, search));
        let indices = atoms.indices(system)?;
        let links = ratio.map_or(vec![], |g| Link::cut(system, &indices, g));
        let domain = inner.domain().map(|d| d.clone().restricted(system.len(), &indices));
        Ok(Self {
            domain,
            inner,
            types: system.types().to_vec(),
            system: with_hydrogen(system.subset(&indices), links.len()),
            indices,
            ratio,
            links,
            atoms,
            positions: Vec::new(),
            list,
            outputs: Outputs::default(),
        })
    }
}

impl Potential for Selected {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    // neighbours come from its own list
    fn cutoff(&self) -> Option<f64> {
        None
    }
    fn provides(&self) -> Properties {
        self.inner.provides()
    }
    fn extras(&self) -> &'static [ExtraSpec] {
        self.inner.extras()
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        if self.types != input.system.types() {
            self.indices = self
                .atoms
                .indices(input.system)
                .map_err(|e| PotentialError::Geometry { potential: self.inner.name(), reason: e.message })?;
            self.links = self.ratio.map_or(vec![], |g| Link::cut(input.system, &self.indices, g));
            self.system = with_hydrogen(input.system.subset(&self.indices), self.links.len());
            self.types = input.system.types().to_vec();
        }
        self.positions.clear();
        self.positions.extend(self.indices.iter().map(|&i| input.positions[i as usize]));
        self.positions.extend(self.links.iter().map(|l| l.position(input.positions, input.cell)));
        if let Some(list) = &mut self.list {
            list.update(&self.system, &self.positions, input.cell);
            if list.non_finite().is_some() {
                out.energy = f64::NAN;
                return Ok(());
            }
        }
        let neighbors = self.list.as_ref().unwrap_or(input.neighbors);
        let part = Input { system: &self.system, positions: &self.positions, cell: input.cell, neighbors };
        self.outputs.reset(self.system.len(), want);
        self.inner.compute(part, want, &mut self.outputs)?;
        let from = &mut self.outputs;
        out.energy += from.energy;
        out.virial += from.virial;
        for (k, &i) in self.indices.iter().enumerate() {
            let i = i as usize;
            if want.contains(Properties::FORCES) {
                out.forces[i] += from.forces[k];
            }
            if want.contains(Properties::ATOM_ENERGIES) {
                out.atom_energies[i] += from.atom_energies[k];
            }
            if want.contains(Properties::ATOM_VIRIALS) {
                out.atom_virials[i] += from.atom_virials[k];
            }
        }
        for (link, k) in self.links.iter().zip(self.indices.len()..) {
            let (i, o, g) = (link.inside as usize, link.outside as usize, link.ratio);
            if want.contains(Properties::FORCES) {
                out.forces[i] += (1.0 - g) * from.forces[k];
                out.forces[o] += g * from.forces[k];
            }
            if want.contains(Properties::ATOM_ENERGIES) {
                out.atom_energies[i] += from.atom_energies[k];
            }
            if want.contains(Properties::ATOM_VIRIALS) {
                out.atom_virials[i] += from.atom_virials[k];
            }
        }
        for extra in from.extras.drain(..) {
            let width = extra.spec.components;
            let values = match extra.spec.scope {
                Scope::System => extra.values,
                Scope::Atom => {
                    let mut all = vec![0.0; width * input.system.len()];
                    for (value, &i) in extra.values.chunks(width.max(1)).zip(&self.indices) {
                        all[width * i as usize..][..width].copy_from_slice(value);
                    }
                    all
                }
            };
            out.extras.push(Extra { spec: extra.spec, values });
        }
        Ok(())
    }
    fn breaks_symmetry(&self) -> bool {
        self.inner.breaks_symmetry()
    }
    fn uses_mesh(&self) -> bool {
        self.inner.uses_mesh()
    }
    fn jumps_at_cutoff(&self) -> bool {
        self.inner.jumps_at_cutoff()
    }
    fn domain(&self) -> Option<&Domain> {
        self.domain.as_ref()
    }
    fn single_precision(&self) -> bool {
        self.inner.single_precision()
    }
    fn rotation_error(&self) -> f64 {
        self.inner.rotation_error()
    }
    fn forget(&mut self) {
        if let Some(list) = &mut self.list {
            list.forget();
        }
        self.inner.forget();
    }
    fn citations(&self) -> Vec<&'static str> {
        self.inner.citations()
    }
    fn describe(&self) -> Vec<String> {
        let mut lines = self.inner.describe();
        let what = match &self.atoms {
            Atoms::Species(names) => format!("species {}", names.join(", ")),
            Atoms::Groups(names) => format!("groups {}", names.join(", ")),
        };
        let (name, some, all) = (self.inner.name(), self.indices.len(), self.types.len());
        lines.push(format!("{name}: acts between {some} of {all} atoms ({what})"));
        if let (Some(ratio), n) = (self.ratio, self.links.len()) {
            lines
                .push(format!("{name}: {n} bonds are cut and closed by hydrogen at {ratio} of their length"));
        }
        lines
    }
    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        if let Some(list) = &mut self.list {
            list.archive(archive)?;
        }
        self.inner.archive(archive)
    }
}

/// An interaction times a factor λ, with its derivative ∂(λE)/∂λ = E as an extra of the system.
pub struct Scaled {
    inner: Box<dyn Potential>,
    factor: f64,
    extras: &'static [ExtraSpec],
    outputs: Outputs,
}

impl Scaled {
    /// λ `inner`; the extra is called `du_dscale_LABEL`.
    pub fn new(inner: Box<dyn Potential>, factor: f64, label: usize) -> Self {
        // names of extras live as long as the program; there is one for each term of an input
        let name: &'static str = Box::leak(format!("du_dscale_{label}").into_boxed_str());
        let mut extras = inner.extras().to_vec();
        extras.push(ExtraSpec { name, scope: Scope::System, components: 1, unit: "eV" });
        Self { inner, factor, extras: Box::leak(extras.into_boxed_slice()), outputs: Outputs::default() }
    }
    /// λ.
    pub fn factor(&self) -> f64 {
        self.factor
    }
    /// Changes λ.
    pub fn set_factor(&mut self, factor: f64) {
        self.factor = factor;
    }
}

impl Potential for Scaled {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn cutoff(&self) -> Option<f64> {
        self.inner.cutoff()
    }
    fn provides(&self) -> Properties {
        self.inner.provides() | Properties::EXTRAS
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
        // the derivative is the energy
        let needed = if want.contains(Properties::EXTRAS) { want | Properties::ENERGY } else { want };
        self.outputs.reset(input.system.len(), needed);
        self.inner.compute(input, needed, &mut self.outputs)?;
        let (from, factor) = (&mut self.outputs, self.factor);
        out.energy += factor * from.energy;
        out.virial += factor * from.virial;
        out.forces.iter_mut().zip(&from.forces).for_each(|(a, b)| *a += factor * b);
        out.atom_energies.iter_mut().zip(&from.atom_energies).for_each(|(a, b)| *a += factor * b);
        out.atom_virials.iter_mut().zip(&from.atom_virials).for_each(|(a, b)| *a += factor * b);
        if want.contains(Properties::EXTRAS) {
            out.extras.append(&mut from.extras);
            if let Some(spec) = self.extras.last() {
                out.extras.push(Extra { spec, values: vec![from.energy] });
            }
        }
        Ok(())
    }
    fn breaks_symmetry(&self) -> bool {
        self.inner.breaks_symmetry()
    }
    fn uses_mesh(&self) -> bool {
        self.inner.uses_mesh()
    }
    fn jumps_at_cutoff(&self) -> bool {
        self.inner.jumps_at_cutoff() && self.factor != 0.0
    }
    fn domain(&self) -> Option<&Domain> {
        self.inner.domain()
    }
    fn single_precision(&self) -> bool {
        self.inner.single_precision()
    }
    fn rotation_error(&self) -> f64 {
        self.inner.rotation_error()
    }
    fn forget(&mut self) {
        self.inner.forget();
    }
    fn citations(&self) -> Vec<&'static str> {
        self.inner.citations()
    }
    fn describe(&self) -> Vec<String> {
        let mut lines = self.inner.describe();
        lines.push(format!("{}: times {}", self.inner.name(), self.factor));
        lines
    }
    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        self.inner.archive(archive)
    }
}
