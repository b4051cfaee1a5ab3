//! The atoms at the start: read, generated, repeated, given masses and charges.
use super::groups::{self, GroupSpec};
use super::lattice::LatticeSpec;
use super::molecules::{ConstraintsSpec, Molecules, RigidSpec};
use super::packing::RandomSpec;
use super::velocities::{self, VelocitiesSpec};
use caloron_engine::Topology;
use caloron_engine::error::nearest;
use caloron_engine::quantity::{Angle, Charge, Length, Mass};
use caloron_engine::{
    Cell, Mat3, NeighborList, Quantity, SpecError, Species, State, Stream, Streams, System, UnitSystem, Vec3,
    elements, neighbors,
};
use caloron_io::{Format, Frame};
use caloron_potentials::force_field::{ForceFieldSpec, MolecularModel};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

/// What is simulated: `[system]`. Give exactly one of `structure`, `lattice` and `random`; a force field whose file holds
/// positions can do without.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemSpec {
    /// File with the atoms, relative to the folder of the input file; any format that is read.
    pub structure: Option<PathBuf>,
    /// Frame of the file, from 0; negative numbers count from the end. Default -1, the last.
    pub frame: Option<i64>,
    /// Format of the file, where its name does not tell.
    pub format: Option<String>,
    /// A crystal.
    pub lattice: Option<LatticeSpec>,
    /// Atoms at random places.
    pub random: Option<RandomSpec>,
    /// A molecular force field, which gives the structure its masses, charges, bonds, constraints and interactions.
    pub force_field: Option<ForceFieldSpec>,
    /// Replaces the cell of the structure, or some of its properties; positions stay. Applied before `repeat`.
    pub cell: Option<CellOverride>,
    /// Repeats the cell along its vectors.
    pub repeat: Option<[u32; 3]>,
    /// Standard deviation of a random displacement of every free atom along each axis; default none.
    pub rattle: Option<Quantity<Length>>,
    /// Mass of each species. Default: those of the file, else the standard atomic weights; 1 with `units = "lj"`.
    #[serde(default)]
    pub masses: BTreeMap<String, Quantity<Mass>>,
    /// Charge of each species. Default: those of the file, else 0.
    #[serde(default)]
    pub charges: BTreeMap<String, Quantity<Charge>>,
    /// Named groups of atoms.
    #[serde(default)]
    pub groups: BTreeMap<String, GroupSpec>,
    /// Group of atoms that never move; default none.
    pub fixed: Option<String>,
    /// Distances that are kept; default those of the force-field file alone.
    pub constraints: Option<ConstraintsSpec>,
    /// Atoms that move as rigid bodies.
    #[serde(default)]
    pub rigid: Vec<RigidSpec>,
    /// Mass of every hydrogen outside of water, taken from the atom it is bonded to, so that bonds to hydrogen move more
    /// slowly and the time step can be longer (hydrogen mass repartitioning). Needs bonds. Default: masses as they are.
    pub hydrogen_mass: Option<Quantity<Mass>>,
    /// Initial velocities: drawn at a temperature, or "from_file". Default: those of the file when it has some
    /// (the run says so), else all atoms at rest.
    pub velocities: Option<VelocitiesSpec>,
    /// Two atoms closer than this are refused as overlapping. Default 0.3 Å, in reduced units 0.1; 0 allows all.
    pub min_distance: Option<Quantity<Length>>,
}

/// A cell: `vectors`, or `lengths` with `angles`; or the periodic directions alone.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CellOverride {
    /// Edges a, b, c.
    pub lengths: Option<[Quantity<Length>; 3]>,
    /// Angles alpha (between b and c), beta (a and c), gamma (a and b); default right angles. Needs `lengths`.
    pub angles: Option<[Quantity<Angle>; 3]>,
    /// Lattice vectors a, b, c, each with its x, y, z components.
    pub vectors: Option<[[Quantity<Length>; 3]; 3]>,
    /// Directions that repeat; default those of the structure, or all when it has none.
    pub periodic: Option<[bool; 3]>,
}

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
}

/// Largest number of atoms an input may make; more is a mistake in `repeat`.
const LARGEST: u64 = 200_000_000;

/// Refuses absurd numbers of atoms before anything is allocated.
pub(crate) fn check_count(key: &str, count: u64) -> Result<(), SpecError> {
    if count <= LARGEST {
        return Ok(());
    }
    Err(SpecError::new(key, format!("this makes {count} atoms; at most {LARGEST} are possible"))
        .hint("check the repetitions and counts"))
}

/// Refuses atoms so far away that differences of positions lose their digits or images cannot be counted; the
/// error is at the source of the atoms itself.
pub(crate) fn check_places(structure: &Structure) -> Result<(), SpecError> {
    const FARTHEST: f64 = 1e8;
    const CELLS: f64 = 3e4;
    let periodic = structure.cell.periodic();
    for (i, r) in structure.positions.iter().enumerate() {
        let [x, y, z] = [r[0], r[1], r[2]];
        if !r.iter().all(|x| x.is_finite()) {
            return Err(SpecError::new("", format!("the position of atom {i} is not finite: {x}, {y}, {z}"))
                .hint("correct the structure; atoms are counted from 0"));
        }
        let s = structure.cell.fractional(r);
        if r.amax() > FARTHEST || (0..3).any(|k| periodic[k] && s[k].abs() > CELLS) {
            return Err(SpecError::new(
                "",
                format!("atom {i} is far outside the cell, at {x:e}, {y:e}, {z:e}"),
            )
            .hint("check the units of positions, cell and `rattle`"));
        }
    }
    Ok(())
}

/// Refuses distances that reach over so many periodic images that their atoms fill the memory.
pub(crate) fn check_reach(
    key: &str,
    name: &str,
    reach: f64,
    cell: &Cell,
    atoms: usize,
) -> Result<(), SpecError> {
    let (heights, periodic) = (cell.heights(), cell.periodic());
    let images = |k: usize| if periodic[k] { 1.0 + 2.0 * (reach / heights[k]).ceil() } else { 1.0 };
    // the cells within reach bound the images that are kept; a cell is visited as a whole
    let sites = images(0) * images(1) * images(2) * atoms as f64;
    if sites <= LARGEST as f64 && (0..3).all(|k| images(k) < 2e4) {
        return Ok(());
    }
    let [a, b, c] = heights;
    let message = format!(
        "the {name} reaches over {:.1e} periodic images of the cell ({a:.3e} x {b:.3e} x {c:.3e})",
        sites / atoms as f64
    );
    Err(SpecError::new(key, message).hint("check its unit, or the size of the cell"))
}

impl Structure {
    pub(crate) fn empty(cell: Cell) -> Self {
        let (symbols, positions) = (Vec::new(), Vec::new());
        Self { symbols, positions, cell, velocities: None, masses: None, charges: None, topology: None }
    }
    pub(crate) fn from_frame(frame: Frame) -> Self {
        Self {
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
        self.topology = Some(Topology::new(n, model.topology.clone())?);
        Ok(())
    }
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }
    pub(crate) fn push(&mut self, symbol: &str, position: Vec3) {
        self.symbols.push(symbol.to_owned());
        self.positions.push(position);
    }
    /// The structure repeated along its lattice vectors; the error is at `repeat`.
    pub(crate) fn repeated(self, repeat: [u32; 3]) -> Result<Self, SpecError> {
        if repeat == [1; 3] {
            return Ok(self);
        }
        if repeat.contains(&0) {
            return Err(SpecError::new("repeat", "a repetition of 0 leaves no atoms")
                .hint("write 1 to keep a direction"));
        }
        if self.cell == Cell::open() {
            return Err(SpecError::new("repeat", "a structure without a cell cannot be repeated")
                .hint("give it lattice vectors with `cell = { lengths = [...] }`"));
        }
        let cells = repeat.iter().fold(1u64, |p, &n| p.saturating_mul(n.into()));
        check_count("repeat", cells.saturating_mul(self.len() as u64))?;
        let h = self.cell.matrix();
        let vectors = std::array::from_fn(|k| Vec3::from(h.column(k)) * f64::from(repeat[k]));
        let cell =
            Cell::new(vectors, self.cell.periodic()).map_err(|e| SpecError::new("repeat", e.to_string()))?;
        let n = cells as usize;
        let mut out = Self::empty(cell);
        out.symbols = many(&self.symbols, n);
        for a in 0..repeat[0] {
            for b in 0..repeat[1] {
                for c in 0..repeat[2] {
                    let shift = self.cell.translation([a as i32, b as i32, c as i32]);
                    out.positions.extend(self.positions.iter().map(|r| r + shift));
                }
            }
        }
        out.velocities = self.velocities.map(|v| many(&v, n));
        out.masses = self.masses.map(|v| many(&v, n));
        out.charges = self.charges.map(|v| many(&v, n));
        Ok(out)
    }
    /// The atoms with species, masses and charges; the errors are relative to the table that holds `masses`
    /// and `charges`.
    pub(crate) fn system(
        &self,
        masses: &BTreeMap<String, Quantity<Mass>>,
        charges: &BTreeMap<String, Quantity<Charge>>,
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
                        _ => mass_of(symbol, masses, units)?,
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
        if let Some(topology) = &self.topology {
            system.set_topology(topology.clone())?;
        }
        Ok(system)
    }
    fn is_site(&self, atom: usize) -> bool {
        self.topology.as_ref().is_some_and(|t| t.is_site(atom))
    }
}

fn many<T: Clone>(items: &[T], n: usize) -> Vec<T> {
    items.iter().cloned().cycle().take(items.len() * n).collect()
}

/// The mass of a species that the structure says nothing about.
pub(crate) fn mass_of(
    symbol: &str,
    masses: &BTreeMap<String, Quantity<Mass>>,
    units: UnitSystem,
) -> Result<f64, SpecError> {
    if let Some(m) = masses.get(symbol) {
        return check_mass(&format!("masses.{symbol}"), symbol, m.internal());
    }
    match (units, elements::mass(symbol)) {
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

/// The atoms at the start of a run.
pub(crate) struct Start {
    pub system: System,
    /// The force field, with what the input says about it.
    pub force_field: Option<(ForceFieldSpec, MolecularModel)>,
    pub state: State,
    /// Files that were read.
    pub files: Vec<PathBuf>,
    /// What was chosen where the input is silent, for the user.
    pub notes: Vec<String>,
    pub warnings: Vec<String>,
}

impl SystemSpec {
    /// Reads or generates everything `[system]` asks for; errors are relative to that table.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn build(&self, units: UnitSystem, seed: u64, directory: &Path) -> Result<Start, SpecError> {
        let (mut files, mut notes, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        let mut force_field = read_force_field(self.force_field.as_ref(), units, directory, &mut files)?;
        if force_field.is_some() && !self.charges.is_empty() {
            return Err(SpecError::new("charges", "`charges` cannot be combined with a force field")
                .hint("the force-field file lists every atom with its charge; change the file"));
        }
        let of_model = force_field.as_ref().and_then(|(_, model)| self.coordinates_of(model));
        let mut structure = match of_model {
            Some(structure) => structure,
            None => self.source(units, seed, directory, &mut files)?,
        };
        if let Some(field) = &force_field {
            structure.apply(field, &mut notes).map_err(|e| e.within("force_field"))?;
            warnings.extend(field.1.warnings.iter().cloned());
        }
        let mut structure = match &self.cell {
            Some(spec) => spec.apply(structure).map_err(|e| e.within("cell"))?,
            None => structure,
        };
        if let Some(repeat) = self.repeat {
            // a molecule that the cell cuts must not be copied in pieces
            if let Some(topology) = &structure.topology {
                let cell = structure.cell.clone();
                topology.make_whole(&mut structure.positions, &cell).map_err(|e| e.within("repeat"))?;
            }
            structure = structure.repeated(repeat)?;
            if let Some((_, model)) = &mut force_field {
                *model = model.repeated(structure.len() / model.len());
                structure.topology = Some(Topology::new(model.len(), model.topology.clone())?);
            }
        }
        let key = self.source_key();
        if structure.len() == 0 {
            return Err(
                SpecError::new(key, "the structure has no atoms").hint("name a file or frame that has some")
            );
        }
        check_places(&structure).map_err(|e| e.within(key))?;
        let mut system = structure.system(&self.masses, &self.charges, units)?;
        for (name, atoms) in groups::resolve(&self.groups, &system, &structure.positions, &structure.cell)? {
            system.set_group(name, atoms);
        }
        if let Some(name) = &self.fixed {
            let atoms = groups::find(&system, name).map_err(|e| e.within("fixed"))?.to_vec();
            system.fix(&atoms);
            if system.fixed() == system.len() {
                return Err(SpecError::new("fixed", format!("all {} atoms are fixed", system.len()))
                    .hint("fix a group that leaves some atoms free"));
            }
        }
        self.shake(&mut structure, &system, seed)?;
        check_places(&structure).map_err(|e| e.within(key))?;
        let molecules = Molecules {
            constraints: self.constraints.as_ref(),
            rigid: &self.rigid,
            hydrogen_mass: self.hydrogen_mass,
            units,
        };
        let connections = system.topology().parts().clone();
        molecules.connect(connections, &mut system, &mut structure, &mut notes, &mut warnings)?;
        self.check_distances(&structure, &system, units)?;
        let state = State::at_rest(Vec::new(), Cell::open());
        let mut start = Start { state, system, force_field, files, notes, warnings };
        let v = velocities::initial(
            self.velocities.as_ref(),
            structure.velocities.take(),
            &structure.positions,
            &mut start,
            units,
            seed,
        )
        .map_err(|e| e.within("velocities"))?;
        start.state = State::new(structure.positions, v, structure.cell);
        Ok(start)
    }
    /// The atoms of a force-field file that has positions, where no other source is named.
    fn coordinates_of(&self, model: &MolecularModel) -> Option<Structure> {
        if self.structure.is_some() || self.lattice.is_some() || self.random.is_some() {
            return None;
        }
        Structure::coordinates_of(model)
    }
    /// The key that says where the atoms come from.
    fn source_key(&self) -> &'static str {
        if self.structure.is_some() {
            "structure"
        } else if self.lattice.is_some() {
            "lattice"
        } else {
            "random"
        }
    }
    fn source(
        &self,
        units: UnitSystem,
        seed: u64,
        directory: &Path,
        files: &mut Vec<PathBuf>,
    ) -> Result<Structure, SpecError> {
        if self.structure.is_none() {
            for (key, given) in [("frame", self.frame.is_some()), ("format", self.format.is_some())] {
                if given {
                    return Err(SpecError::new(
                        key,
                        format!("`{key}` belongs to `structure`, which is not given"),
                    )
                    .hint(format!("remove `{key}`, or name a file with `structure`")));
                }
            }
        }
        let one = "give exactly one of `structure`, `lattice` and `random`";
        match (&self.structure, &self.lattice, &self.random) {
            (Some(file), None, None) => {
                let path = directory.join(file);
                let frame = read_frame(&path, self.format.as_deref(), self.frame.unwrap_or(-1))?;
                files.push(path);
                Ok(Structure::from_frame(frame))
            }
            (None, Some(lattice), None) => lattice.build().map_err(|e| e.within("lattice")),
            (None, None, Some(random)) => random
                .build(seed, |symbol| mass_of(symbol, &self.masses, units))
                .map_err(|e| e.within("random")),
            (None, None, None) => {
                Err(SpecError::new("", "there are no atoms: `[system]` names no source").hint(one))
            }
            (Some(_), _, _) => {
                Err(SpecError::new("structure", "the atoms have more than one source").hint(one))
            }
            (None, Some(_), _) => {
                Err(SpecError::new("lattice", "the atoms have more than one source").hint(one))
            }
        }
    }
    /// Random displacements of the free atoms.
    fn shake(&self, structure: &mut Structure, system: &System, seed: u64) -> Result<(), SpecError> {
        let Some(width) = self.rattle.map(Quantity::internal) else { return Ok(()) };
        if !(width >= 0.0 && width.is_finite()) {
            return Err(
                SpecError::new("rattle", "`rattle` must not be negative").hint("leave it out for none")
            );
        }
        let random = Streams { seed };
        for (i, r) in structure.positions.iter_mut().enumerate() {
            if !system.is_fixed(i) {
                *r += width * random.normal3(Stream::Rattle, 0, 0, i as u64);
            }
        }
        Ok(())
    }
    fn check_distances(
        &self,
        structure: &Structure,
        system: &System,
        units: UnitSystem,
    ) -> Result<(), SpecError> {
        let default = if units == UnitSystem::Lj { 0.1 } else { 0.3 };
        let limit = self.min_distance.map_or(default, Quantity::internal);
        if !(limit >= 0.0 && limit.is_finite()) {
            return Err(SpecError::new("min_distance", "`min_distance` must not be negative")
                .hint("write 0 to allow all"));
        }
        if limit == 0.0 {
            return Ok(());
        }
        check_reach("min_distance", "distance", limit, &structure.cell, structure.len())?;
        let Some((i, j, d)) = closest(structure, system, limit) else { return Ok(()) };
        let length = units.length_label();
        let who = if i == j {
            format!("atom {i} ({}) and its own periodic image are {d:.4} {length} apart", system.symbol(i))
        } else {
            format!(
                "atoms {i} ({}) and {j} ({}) are {d:.4} {length} apart: they overlap (limit {limit} {length})",
                system.symbol(i),
                system.symbol(j)
            )
        };
        Err(SpecError::new(self.source_key(), who)
            .hint("correct the structure or its cell; `min_distance` in [system] sets the limit, 0 turns the check off"))
    }
}

/// Reads the force field of an input; the errors are at `force_field`.
pub(crate) fn read_force_field(
    spec: Option<&ForceFieldSpec>,
    units: UnitSystem,
    directory: &Path,
    files: &mut Vec<PathBuf>,
) -> Result<Option<(ForceFieldSpec, MolecularModel)>, SpecError> {
    let Some(spec) = spec else { return Ok(None) };
    if units == UnitSystem::Lj {
        return Err(SpecError::new("force_field", "force-field files have physical units")
            .hint("remove `units = \"lj\"`"));
    }
    let model = spec.read(directory, files).map_err(|e| e.within("force_field"))?;
    Ok(Some((spec.clone(), model)))
}

/// The closest pair within a distance (first index not above the second).
fn closest(structure: &Structure, system: &System, within: f64) -> Option<(usize, usize, f64)> {
    let mut list = NeighborList::new(within, 0.0, neighbors::Search::Auto);
    list.update(system, &structure.positions, &structure.cell);
    let mut best: Option<(usize, usize, f64)> = None;
    for (k, &center) in list.centers().iter().enumerate() {
        let r = Vec3::from(list.sites()[center as usize].position);
        for &s in list.row(k) {
            let d = (Vec3::from(list.sites()[s as usize].position) - r).norm();
            let (i, j) = (list.atom(center), list.atom(s));
            let pair = (i.min(j), i.max(j), d);
            // a virtual site may lie in an atom
            if system.topology().is_site(i) || system.topology().is_site(j) {
                continue;
            }
            if d < within && best.is_none_or(|b| d < b.2 || (d == b.2 && (pair.0, pair.1) < (b.0, b.1))) {
                best = Some(pair);
            }
        }
    }
    best
}

impl CellOverride {
    fn apply(&self, mut structure: Structure) -> Result<Structure, SpecError> {
        let default = if structure.cell.is_open() { [true; 3] } else { structure.cell.periodic() };
        let matrix = match (&self.vectors, &self.lengths) {
            (Some(_), Some(_)) => {
                return Err(SpecError::new("lengths", "the cell is given by `vectors` and by `lengths`")
                    .hint("keep one of them"));
            }
            (Some(v), None) => {
                if self.angles.is_some() {
                    return Err(SpecError::new("angles", "`angles` belong to `lengths`, not to `vectors`")
                        .hint("remove `angles`"));
                }
                Some(Mat3::from_columns(&v.map(|v| Vec3::from(v.map(Quantity::internal)))))
            }
            (None, Some(l)) => {
                let lengths = l.map(Quantity::internal);
                let angles = self.angles.map_or([90.0; 3], |a| a.map(|x| x.internal().to_degrees()));
                let right = |x: f64| if (x - 90.0).abs() < 1e-10 { 90.0 } else { x };
                let cell = Cell::from_lengths_angles(lengths, angles.map(right)).map_err(|e| {
                    SpecError::new("lengths", e.to_string())
                        .hint("lengths are positive, angles below 180 degrees")
                })?;
                Some(*cell.matrix())
            }
            (None, None) => {
                if self.angles.is_some() {
                    return Err(
                        SpecError::new("angles", "`angles` need `lengths`").hint("add `lengths = [...]`")
                    );
                }
                None
            }
        };
        let cell = match matrix {
            Some(h) => Cell::from_matrix(h, self.periodic.unwrap_or(default)),
            None => {
                let periodic = self.periodic.unwrap_or(default);
                if structure.cell == Cell::open() && periodic != [false; 3] {
                    return Err(SpecError::new(
                        "periodic",
                        "the structure has no lattice vectors to repeat along",
                    )
                    .hint("add `lengths` or `vectors`"));
                }
                Cell::from_matrix(*structure.cell.matrix(), periodic)
            }
        };
        structure.cell = cell.map_err(|e| {
            SpecError::new("vectors", e.to_string()).hint("give three independent lattice vectors")
        })?;
        Ok(structure)
    }
}

/// One frame of a file; the errors are at `structure`, `frame` or `format`.
pub(crate) fn read_frame(path: &Path, format: Option<&str>, index: i64) -> Result<Frame, SpecError> {
    check_exists("structure", path)?;
    let io = |e: caloron_io::IoError| {
        let source = e.source.as_ref().map_or(String::new(), |s| format!(" ({s})"));
        let error = SpecError::new("structure", format!("{e}{source}"));
        let hint = e
            .hint
            .unwrap_or_else(|| "check that the file is complete and of the format its name says".into());
        error.hint(hint)
    };
    let mut reader = match format {
        None => caloron_io::open(path).map_err(io)?,
        Some(name) => caloron_io::open_as(path, format_by_name(name)?).map_err(io)?,
    };
    let mut seen: usize = 0;
    // counted from the end: the last |index| frames are kept
    let keep = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
    let mut last = VecDeque::new();
    while let Some(frame) = reader.next_frame().map_err(io)? {
        seen += 1;
        if index >= 0 {
            if seen == keep.saturating_add(1) {
                return Ok(frame);
            }
        } else {
            if last.len() == keep {
                last.pop_front();
            }
            last.push_back(frame);
        }
    }
    match last.pop_front() {
        Some(frame) if last.len() + 1 == keep => Ok(frame),
        _ if seen == 0 => {
            Err(SpecError::new("structure", format!("`{}` holds no structure", path.display()))
                .hint("name a file with at least one frame"))
        }
        _ => {
            Err(SpecError::new("frame", format!("frame {index} does not exist: the file has {seen} frames"))
                .hint(format!("frames are counted from 0 to {}, or from -1 backwards", seen - 1)))
        }
    }
}

/// The format of a name such as `xtc`; the error is at `format`.
pub(crate) fn format_by_name(name: &str) -> Result<Format, SpecError> {
    Format::by_name(name).ok_or_else(|| {
        let names: Vec<&str> = Format::all().map(Format::name).collect();
        SpecError::new("format", format!("`{name}` is no known format")).hint(
            match nearest(name, names.iter().copied()) {
                Some(n) => format!("did you mean `{n}`?"),
                None => format!("known formats: {}", names.join(", ")),
            },
        )
    })
}

/// Refuses a file that does not exist, naming the nearest file of the folder.
pub(crate) fn check_exists(key: &str, path: &Path) -> Result<(), SpecError> {
    if path.is_file() {
        return Ok(());
    }
    if path.is_dir() {
        return Err(
            SpecError::new(key, format!("`{}` is a folder", path.display())).hint("name a file in it")
        );
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder);
    let Ok(entries) = entries else {
        return Err(SpecError::new(key, format!("the folder `{}` does not exist", folder.display()))
            .hint("file names are relative to the folder of the input file"));
    };
    let mut names: Vec<String> =
        entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).take(10_000).collect();
    names.sort();
    let wanted = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Err(SpecError::new(key, format!("there is no file `{}`", path.display())).hint(
        match nearest(&wanted, names.iter().map(String::as_str)) {
            Some(n) => format!("did you mean `{n}`?"),
            None => "file names are relative to the folder of the input file".into(),
        },
    ))
}
