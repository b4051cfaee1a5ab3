//! Atoms in a cell, with what a file or a force field says about them.
use caloron_engine::error::nearest;
use caloron_engine::quantity::{Charge, Mass};
use caloron_engine::topology::{Residue, TopologyParts};
use caloron_engine::{Cell, Quantity, SpecError, Species, System, Topology, UnitSystem, Vec3, elements};
use caloron_io::{Array, Frame};
use caloron_potentials::force_field::{ForceFieldSpec, MolecularModel};
use std::collections::BTreeMap;

/// Atoms in a cell, with what a file may say about them.
#[derive(Clone, Debug)]
pub(crate) struct Structure {
    pub symbols: Vec<String>,
    pub positions: Vec<Vec3>,
    pub cell: Cell,
    pub velocities: Option<Vec<Vec3>>,
    pub masses: Option<Vec<f64>>,
    pub charges: Option<Vec<f64>>,
    pub topology: Option<Topology>,
    /// Names of atoms and residues in a structure file.
    names: TopologyParts,
    /// Directions along which the first atoms may move, where a structure file says so; all others are free.
    pub free: Option<Vec<[bool; 3]>>,
}

impl Structure {
    pub(crate) fn empty(cell: Cell) -> Self {
        let (symbols, positions) = (Vec::new(), Vec::new());
        let names = TopologyParts::default();
        Self {
            symbols,
            positions,
            cell,
            velocities: None,
            masses: None,
            charges: None,
            topology: None,
            names,
            free: None,
        }
    }
    pub(crate) fn from_frame(frame: Frame) -> Self {
        let names = names_of(&frame);
        Self {
            names,
            free: free_of(&frame),
            symbols: frame.symbols,
            positions: frame.positions,
            cell: frame.cell,
            velocities: frame.velocities,
            masses: frame.masses,
            charges: frame.charges,
            topology: None,
        }
    }
    /// The atoms of a force-field file, where it has positions.
    pub(crate) fn coordinates_of(model: &MolecularModel) -> Option<Self> {
        let mut structure = Self::empty(model.cell.clone().unwrap_or_else(Cell::open));
        structure.positions.clone_from(model.positions.as_ref()?);
        structure.symbols = model.symbols.iter().map(|s| s.clone().unwrap_or_else(|| "X".into())).collect();
        structure.velocities.clone_from(&model.velocities);
        Some(structure)
    }
    /// Takes over what a force field says of its atoms; the errors are at `force_field`. Notes go to `notes`.
    pub(crate) fn apply(
        &mut self,
        (spec, model): &(ForceFieldSpec, MolecularModel),
        notes: &mut Vec<String>,
    ) -> Result<(), SpecError> {
        let n = self.len();
        if model.len() != n {
            let message = format!("the force field has {} atoms, the structure {n}", model.len());
            return Err(SpecError::new("", message)
                .hint("both must list the same atoms in the same order, virtual sites included"));
        }
        for (own, symbol) in self.symbols.iter_mut().zip(&model.symbols) {
            if let Some(symbol) = symbol {
                own.clone_from(symbol);
            }
        }
        self.masses = Some(model.masses.clone());
        self.charges = Some(model.charges.clone());
        if spec.is_open(model) {
            if !self.cell.is_open() {
                notes.push(
                    "the force field is that of an open system: the cell of the structure is not used".into(),
                );
            }
            self.cell = Cell::open();
        } else if let (Some(cell), true) = (&model.cell, self.cell == Cell::open()) {
            self.cell = cell.clone();
        }
        self.topology = Some(Topology::new(n, self.named(model.topology.clone()))?);
        Ok(())
    }
    /// Connections with the names of the structure file, where they come without names.
    fn named(&self, mut parts: TopologyParts) -> TopologyParts {
        let own = &self.names;
        if parts.atom_names.is_empty() && own.atom_names.len() == self.len() {
            parts.atom_names.clone_from(&own.atom_names);
        }
        if parts.residue_of.is_empty() && own.residue_of.len() == self.len() {
            parts.residue_of.clone_from(&own.residue_of);
            parts.residues.clone_from(&own.residues);
        }
        parts
    }
    /// Fixes the atoms that the structure file holds; what the user should know of it.
    pub(crate) fn hold(&self, system: &mut System) -> Option<String> {
        let free = self.free.as_ref()?;
        let free = &free[..free.len().min(self.len())];
        let held: Vec<u32> = (0..free.len() as u32).filter(|i| free[*i as usize] == [false; 3]).collect();
        let partly = free.iter().filter(|f| **f != [false; 3] && **f != [true; 3]).count();
        if held.len() == system.len() {
            return Some(
                "the structure file holds all atoms in place, which is not done: none is fixed".into(),
            );
        }
        system.fix(&held);
        let but = match partly {
            0 => String::new(),
            n => format!("; {n} atoms that it holds along some directions alone move freely"),
        };
        let said = format!("the structure file holds {} atoms in place: they are fixed{but}", held.len());
        (held.len() + partly > 0).then_some(said)
    }
    /// Forgets names that are those of other atoms.
    pub(crate) fn forget_names(&mut self) {
        self.names = TopologyParts::default();
    }
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }
    pub(crate) fn push(&mut self, symbol: &str, position: Vec3) {
        self.symbols.push(symbol.to_owned());
        self.positions.push(position);
    }
    /// The atoms with species, masses and charges; the errors are relative to the table that holds `masses`
    /// and `charges`.
    pub(crate) fn system(
        &self,
        masses: &BTreeMap<String, Quantity<Mass>>,
        charges: &BTreeMap<String, Quantity<Charge>>,
        names: &BTreeMap<String, String>,
        units: UnitSystem,
    ) -> Result<System, SpecError> {
        let mut species: Vec<Species> = Vec::new();
        let mut index: BTreeMap<&str, u16> = BTreeMap::new();
        let mut types = Vec::with_capacity(self.len());
        for (i, symbol) in self.symbols.iter().enumerate() {
            let t = match index.get(symbol.as_str()) {
                Some(&t) => t,
                None => {
                    let t = u16::try_from(species.len()).map_err(|_| {
                        SpecError::new("", "the structure has more than 65535 species")
                            .hint("merge some of them")
                    })?;
                    let of_file = self.masses.as_ref().map(|m| m[i]);
                    let mass = match (masses.get(symbol), of_file) {
                        (None, Some(m)) if self.is_site(i) => m,
                        (None, Some(m)) => check_mass("structure", symbol, m)?,
                        _ => mass_of(symbol, masses, names, units)?,
                    };
                    species.push(Species {
                        symbol: symbol.clone(),
                        number: elements::atomic_number(symbol),
                        mass,
                    });
                    index.insert(symbol, t);
                    t
                }
            };
            types.push(t);
        }
        let known = || index.keys().copied();
        for (table, name) in
            masses.keys().map(|k| ("masses", k)).chain(charges.keys().map(|k| ("charges", k)))
        {
            if !index.contains_key(name.as_str()) {
                let list = known().collect::<Vec<_>>().join(", ");
                return Err(SpecError::new(
                    format!("{table}.{name}"),
                    format!("no atom has the species `{name}`"),
                )
                .hint(match nearest(name, known()) {
                    Some(n) => format!("did you mean `{n}`?"),
                    None => format!("the species of this structure are {list}"),
                }));
            }
        }
        for (name, q) in charges {
            if !q.internal().is_finite() {
                return Err(SpecError::new(format!("charges.{name}"), "the charge is not finite"));
            }
        }
        let mut system = System::new(species, types);
        if let Some(of_file) = &self.masses {
            let kept = |i: usize| {
                if masses.contains_key(&self.symbols[i]) { system.masses()[i] } else { of_file[i] }
            };
            let all: Vec<f64> = (0..self.len()).map(kept).collect();
            for (i, &m) in all.iter().enumerate().filter(|(i, _)| !self.is_site(*i)) {
                check_mass("structure", &self.symbols[i], m)?;
            }
            system.set_masses(all);
        }
        if self.charges.is_some() || !charges.is_empty() {
            let charge = |i: usize| match charges.get(&self.symbols[i]) {
                Some(q) => q.internal(),
                None => self.charges.as_ref().map_or(0.0, |c| c[i]),
            };
            system.set_charges((0..self.len()).map(charge).collect());
        }
        let names = self.named(TopologyParts::default());
        if let Some(topology) = &self.topology {
            system.set_topology(topology.clone())?;
        } else if names != TopologyParts::default() {
            system.set_topology(Topology::new(self.len(), names)?)?;
        }
        Ok(system)
    }
    fn is_site(&self, atom: usize) -> bool {
        self.topology.as_ref().is_some_and(|t| t.is_site(atom))
    }
}

/// The directions along which atoms may move (selective dynamics of POSCAR, `move_mask` of extended XYZ).
fn free_of(frame: &Frame) -> Option<Vec<[bool; 3]>> {
    let array = frame.arrays.get("selective_dynamics").or_else(|| frame.arrays.get("move_mask"))?;
    let values = array.as_bools()?;
    match array.columns {
        1 => Some(values.iter().map(|f| [*f; 3]).collect()),
        3 => Some(values.chunks_exact(3).map(|f| [f[0], f[1], f[2]]).collect()),
        _ => None,
    }
}

/// What a frame says about names of atoms and residues.
fn names_of(frame: &Frame) -> TopologyParts {
    let column = |name: &str| frame.arrays.get(name).filter(|a| a.columns == 1);
    let texts = |name: &str| column(name).and_then(Array::as_texts);
    let mut parts = TopologyParts::default();
    let of_residues = (texts("residuenames"), column("residuenumbers").and_then(Array::as_ints));
    if let (Some(names), Some(numbers)) = of_residues {
        let chains = texts("chainids");
        for (i, (name, number)) in names.iter().zip(numbers).enumerate() {
            let chain = chains.map_or("", |c| c[i].as_str()).trim_start_matches('-').to_owned();
            let residue = Residue { name: name.clone(), number: *number, chain };
            if parts.residues.last() != Some(&residue) {
                parts.residues.push(residue);
            }
            parts.residue_of.push(parts.residues.len() as u32 - 1);
        }
    }
    // a file that names residues calls atoms by the names it gives, which may be those of their elements
    match texts("atomtypes") {
        Some(names) => parts.atom_names = names.to_vec(),
        None if !parts.residues.is_empty() => parts.atom_names.clone_from(&frame.symbols),
        None => {}
    }
    parts
}

/// The mass of a species that the structure says nothing about.
pub(crate) fn mass_of(
    symbol: &str,
    masses: &BTreeMap<String, Quantity<Mass>>,
    names: &BTreeMap<String, String>,
    units: UnitSystem,
) -> Result<f64, SpecError> {
    if let Some(m) = masses.get(symbol) {
        return check_mass(&format!("masses.{symbol}"), symbol, m.internal());
    }
    let named = || elements::mass(names.get(symbol)?);
    match (units, elements::mass(symbol).or_else(named)) {
        (UnitSystem::Lj, _) => Ok(1.0),
        (UnitSystem::Physical, Some(m)) => Ok(m),
        (UnitSystem::Physical, None) => {
            Err(SpecError::new("masses", format!("the species `{symbol}` is no element and has no mass"))
                .hint(format!(
                    "add `masses = {{ {symbol} = \"... u\" }}` to this table, or use element symbols"
                )))
        }
    }
}

fn check_mass(key: &str, symbol: &str, mass: f64) -> Result<f64, SpecError> {
    if mass > 0.0 && mass.is_finite() {
        return Ok(mass);
    }
    Err(SpecError::new(key, format!("the mass of `{symbol}` is {mass}: masses must be positive"))
        .hint("to keep atoms in place, put them into a group and name it in `fixed`"))
}
