//! Parts of an interaction: between chosen atoms, or times a factor.
//!
//! Any interaction E can enter a sum as λ E_S, where E_S acts between the atoms of a set S alone, as if the others were not
//! there. λ E has the derivative ∂(λE)/∂λ = E, which thermodynamic integration averages.
use caloron_engine::neighbors::Search;
use caloron_engine::{
    Archive, ArchiveError, Domain, Extra, ExtraSpec, Input, NeighborList, Outputs, Potential, PotentialError,
    Properties, Scope, SpecError, System, Vec3,
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

/// An interaction between some of the atoms.
pub struct Selected {
    inner: Box<dyn Potential>,
    atoms: Atoms,
    /// Types of all atoms when the selection was made.
    types: Vec<u16>,
    indices: Vec<u32>,
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
        let list = inner.cutoff().map(|cutoff| NeighborList::new(cutoff, skin, search));
        let indices = atoms.indices(system)?;
        let domain = inner.domain().map(|d| d.clone().restricted(system.len(), &indices));
        Ok(Self {
            domain,
            inner,
            types: system.types().to_vec(),
            system: system.subset(&indices),
            indices,
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
            self.system = input.system.subset(&self.indices);
            self.types = input.system.types().to_vec();
        }
        self.positions.clear();
        self.positions.extend(self.indices.iter().map(|&i| input.positions[i as usize]));
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
