//! Systems put together of molecules: copies of a model, molecules of other models after its atoms, molecules taken out of it.
use super::model::{MOST_TYPES, MolecularModel};
use crate::nonbonded::{Combination, LennardJonesTypes, coefficients};
use caloron_engine::topology::{Residue, SiteKind};
use caloron_engine::{Cell, SpecError, Topology};

/// Which molecules a system has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composition {
    /// How often the molecules that the file lists occur, as a whole.
    pub own: usize,
    /// Molecules after those: name and number.
    pub added: Vec<(String, usize)>,
}

impl Default for Composition {
    fn default() -> Self {
        Self { own: 1, added: vec![] }
    }
}

impl MolecularModel {
    /// The model without its atoms: types, settings and warnings alone.
    fn emptied(&self) -> Self {
        Self {
            format: self.format,
            lennard_jones: self.lennard_jones.clone(),
            rule: self.rule,
            pair_styles: crate::pair::PairStylesModel {
                tables: self.pair_styles.tables.clone(),
                scaled: vec![],
            },
            settings: self.settings,
            solvent: self.solvent.clone().map(|mut s| {
                s.atoms.clear();
                s
            }),
            born: self.born.as_ref().map(|_| (vec![], vec![])),
            cell: self.cell.clone().filter(Cell::is_open),
            warnings: self.warnings.clone(),
            ..Self::default()
        }
    }
    /// The model of `count` copies of its atoms, one copy after the other. Positions and the cell are left out.
    #[must_use]
    pub fn repeated(&self, count: usize) -> Self {
        let mut out = self.emptied();
        for _ in 0..count {
            out.append(self, 0);
        }
        out
    }
    /// Applies `to` to every index of an atom.
    fn renumber(&mut self, to: impl Fn(u32) -> u32) {
        let each = |atoms: &mut [u32]| atoms.iter_mut().for_each(|a| *a = to(*a));
        let b = &mut self.bonded;
        b.bonds.iter_mut().for_each(|x| each(&mut x.0));
        b.urey_bradley.iter_mut().for_each(|x| each(&mut x.0));
        b.angles.iter_mut().for_each(|x| each(&mut x.0));
        b.dihedrals.iter_mut().for_each(|x| each(&mut x.0));
        b.impropers.iter_mut().for_each(|x| each(&mut x.0));
        b.cmaps.iter_mut().for_each(|x| each(&mut x.0));
        self.exceptions.iter_mut().for_each(|x| each(&mut x.atoms));
        self.pair_styles.scaled.iter_mut().for_each(|x| each(&mut x.0));
        let t = &mut self.topology;
        t.bonds.iter_mut().for_each(|x| each(&mut x.atoms));
        t.angles.iter_mut().for_each(|x| each(&mut x.atoms));
        t.constraints.iter_mut().for_each(|x| each(&mut x.atoms));
        t.rigid_bodies.iter_mut().for_each(|x| each(&mut x.atoms));
        for site in &mut t.virtual_sites {
            site.site = to(site.site);
            match &mut site.kind {
                SiteKind::TwoAverage { parents, .. } => each(parents),
                SiteKind::ThreeAverage { parents, .. } | SiteKind::OutOfPlane { parents, .. } => {
                    each(parents)
                }
                SiteKind::LocalCoordinates { parents, .. } => each(parents),
            }
        }
    }
    /// Adds the atoms of another model, whose Lennard-Jones types begin at `first` in the table of this one.
    fn append(&mut self, other: &Self, first: u32) {
        let (n, residues) = (self.len() as u32, self.topology.residues.len() as u32);
        let mut other = Self { lennard_jones: LennardJonesTypes::default(), ..other.clone() };
        other.renumber(|a| a + n);
        let (b, more) = (&mut self.bonded, other.bonded);
        b.bonds.extend(more.bonds);
        b.urey_bradley.extend(more.urey_bradley);
        b.angles.extend(more.angles);
        b.dihedrals.extend(more.dihedrals);
        b.impropers.extend(more.impropers);
        b.cmaps.extend(more.cmaps);
        self.exceptions.extend(other.exceptions);
        self.pair_styles.scaled.extend(other.pair_styles.scaled);
        let (t, more) = (&mut self.topology, other.topology);
        t.bonds.extend(more.bonds);
        t.angles.extend(more.angles);
        t.constraints.extend(more.constraints);
        t.rigid_bodies.extend(more.rigid_bodies);
        t.virtual_sites.extend(more.virtual_sites);
        t.atom_names.extend(more.atom_names);
        t.residues.extend(more.residues);
        t.residue_of.extend(more.residue_of.into_iter().map(|r| r + residues));
        self.symbols.extend(other.symbols);
        self.masses.extend(other.masses);
        self.charges.extend(other.charges);
        self.types.extend(other.types.into_iter().map(|t| t + first));
        // an implicit solvent needs the numbers of all atoms
        self.born = match (self.born.take(), other.born) {
            (Some(mut own), Some(more)) => {
                own.0.extend(more.0);
                own.1.extend(more.1);
                Some(own)
            }
            _ => None,
        };
        if let (Some(own), Some(more)) = (&mut self.solvent, other.solvent) {
            own.atoms.extend(more.atoms);
        }
    }
    /// A molecule of the model: the atoms that bonds, constraints and sites connect with `atom`.
    ///
    /// # Errors
    /// When the topology is inconsistent.
    fn molecule_of(&self, atom: u32) -> Result<Self, SpecError> {
        let topology = Topology::new(self.len(), self.topology.clone())?;
        let molecules = topology.molecules();
        let mut members = molecules.members(molecules.group_of(atom as usize)).to_vec();
        members.sort_unstable();
        Ok(self.selected(&members))
    }
    /// The model of some of the atoms, ascending, with the terms among them; the table of types is kept.
    fn selected(&self, atoms: &[u32]) -> Self {
        const OUT: u32 = u32::MAX;
        let mut place = vec![OUT; self.len()];
        for (k, &a) in atoms.iter().enumerate() {
            place[a as usize] = k as u32;
        }
        let inside = |atoms: &[u32]| atoms.iter().all(|a| place[*a as usize] != OUT);
        fn pick<T: Clone>(of: &[T], atoms: &[u32]) -> Vec<T> {
            // lists of atoms are complete or absent
            if of.is_empty() { vec![] } else { atoms.iter().map(|&a| of[a as usize].clone()).collect() }
        }
        let mut out = self.clone();
        let b = &mut out.bonded;
        b.bonds.retain(|x| inside(&x.0));
        b.urey_bradley.retain(|x| inside(&x.0));
        b.angles.retain(|x| inside(&x.0));
        b.dihedrals.retain(|x| inside(&x.0));
        b.impropers.retain(|x| inside(&x.0));
        b.cmaps.retain(|x| inside(&x.0));
        out.exceptions.retain(|x| inside(&x.atoms));
        out.pair_styles.scaled.retain(|x| inside(&x.0));
        let t = &mut out.topology;
        t.bonds.retain(|x| inside(&x.atoms));
        t.angles.retain(|x| inside(&x.atoms));
        t.constraints.retain(|x| inside(&x.atoms));
        t.rigid_bodies.retain(|x| inside(&x.atoms));
        t.virtual_sites.retain(|x| inside(&[x.site]) && inside(x.kind.parents()));
        t.atom_names = pick(&t.atom_names, atoms);
        let residue_of = pick(&t.residue_of, atoms);
        let mut residues: Vec<u32> = residue_of.clone();
        residues.dedup();
        t.residues = residues.iter().map(|r| t.residues[*r as usize].clone()).collect();
        let mut at = 0;
        t.residue_of = (0..residue_of.len())
            .map(|k| {
                at += u32::from(k > 0 && residue_of[k] != residue_of[k - 1]);
                at
            })
            .collect();
        out.renumber(|a| place[a as usize]);
        out.symbols = pick(&self.symbols, atoms);
        out.masses = pick(&self.masses, atoms);
        out.charges = pick(&self.charges, atoms);
        out.types = pick(&self.types, atoms);
        out.born = self.born.as_ref().map(|(r, s)| (pick(r, atoms), pick(s, atoms)));
        if let Some(solvent) = &mut out.solvent {
            solvent.atoms = pick(&solvent.atoms, atoms);
        }
        (out.positions, out.velocities, out.cell) = (None, None, None);
        out
    }
    /// σ and ε of a type, if its interaction with its like is of this form.
    fn own(&self, t: usize) -> Option<[f64; 2]> {
        let [c12, c6] = self.lennard_jones.get(t, t);
        if [c12, c6] == [0.0; 2] {
            return Some([0.0; 2]);
        }
        (c12 > 0.0 && c6 > 0.0).then(|| [(c12 / c6).powf(1.0 / 6.0), c6 * c6 / (4.0 * c12)])
    }
    /// Takes the Lennard-Jones types of another file's model into the table, pairs of types of both by the rule that both
    /// files have. Returns where they begin.
    fn adopt_types(&mut self, other: &Self, name: &str) -> Result<u32, SpecError> {
        let wrong = |message: String| Err(SpecError::new("", message));
        if !(self.pair_styles.tables.is_empty() && other.pair_styles.tables.is_empty()) {
            return wrong(format!(
                "`{name}` cannot be added: pairs of types other than Lennard-Jones ones cannot be mixed between files"
            ));
        }
        let rule = match (self.rule, other.rule) {
            (Some(a), Some(b)) if a == b => a,
            (Some(a), Some(b)) => {
                return wrong(format!(
                    "`{name}` cannot be added: its file mixes Lennard-Jones numbers by another rule ({}) than the first ({})",
                    rule_name(b),
                    rule_name(a)
                ));
            }
            _ => {
                return wrong(format!(
                    "`{name}` cannot be added: one of the files has no rule that mixes its Lennard-Jones numbers"
                ));
            }
        };
        let (n, m) = (self.lennard_jones.len(), other.lennard_jones.len());
        if n + m > MOST_TYPES {
            return wrong(format!("{} Lennard-Jones types; at most {MOST_TYPES} are supported", n + m));
        }
        let numbers = |model: &Self, count: usize, which: &str| {
            let all = (0..count).map(|t| {
                model.own(t).ok_or_else(|| {
                    let message = format!(
                        "`{name}` cannot be added: the Lennard-Jones type {} of {which} file has no σ and ε",
                        t + 1
                    );
                    SpecError::new("", message)
                })
            });
            all.collect::<Result<Vec<[f64; 2]>, SpecError>>()
        };
        let (own, theirs) = (numbers(self, n, "the first")?, numbers(other, m, "its")?);
        let table = LennardJonesTypes::from_pairs(n + m, |i, j| match (i < n, j < n) {
            (true, true) => self.lennard_jones.get(i, j),
            (false, false) => other.lennard_jones.get(i - n, j - n),
            (true, false) => coefficients(rule.of(own[i], theirs[j - n])),
            (false, true) => coefficients(rule.of(own[j], theirs[i - n])),
        });
        self.lennard_jones = table;
        Ok(n as u32)
    }
    /// Gives every atom a name and a residue where the model has none.
    fn name_atoms(&mut self, residue: &str) {
        let n = self.len();
        self.topology.atom_names.resize(n, String::new());
        if self.topology.residue_of.len() < n {
            self.topology.residues =
                vec![Residue { name: residue.to_owned(), number: 1, chain: String::new() }];
            self.topology.residue_of = vec![0; n];
        }
    }
    /// The first molecule of this residue name that is one residue.
    fn molecule_named(&self, name: &str) -> Result<Option<Self>, SpecError> {
        let topology = Topology::new(self.len(), self.topology.clone())?;
        let of = &self.topology.residue_of;
        if of.is_empty() {
            return Ok(None);
        }
        let found = topology.molecules().iter().find(|members| {
            let first = of[members[0] as usize];
            self.topology.residues[first as usize].name == name
                && members.iter().all(|a| of[*a as usize] == first)
        });
        let Some(members) = found else { return Ok(None) };
        let mut members = members.to_vec();
        members.sort_unstable();
        Ok(Some(self.selected(&members)))
    }
    /// Number of molecules.
    fn molecules(&self) -> Result<usize, SpecError> {
        Ok(Topology::new(self.len(), self.topology.clone())?.molecules().len())
    }
}

fn rule_name(rule: Combination) -> &'static str {
    match rule {
        Combination::LorentzBerthelot => "Lorentz-Berthelot",
        Combination::Geometric => "geometric",
        Combination::SixthPower => "sixth power",
    }
}

/// Where the description of an added molecule comes from.
pub(super) enum Template {
    /// From another file.
    File(Box<MolecularModel>),
    /// The molecule of the first file that this atom belongs to.
    Like(u32),
    /// The molecule of the first file with this residue name.
    Named,
}

impl MolecularModel {
    /// The system with other molecules than the file lists; `template` says where a name's description comes from.
    ///
    /// # Errors
    /// When a molecule is not known or does not fit.
    pub(super) fn composed(
        &self,
        composition: &Composition,
        mut template: impl FnMut(&str) -> Result<Template, SpecError>,
    ) -> Result<Self, SpecError> {
        if *composition == Composition::default() {
            return Ok(self.clone());
        }
        let mut own = self.clone();
        if !composition.added.is_empty() {
            own.name_atoms("MOL");
        }
        let mut out = own.repeated(composition.own);
        for (name, count) in &composition.added {
            let (mut molecule, first) = match template(name)? {
                Template::Like(atom) => {
                    if atom as usize >= own.len() {
                        let message = format!(
                            "there is no atom {atom}: the file has {} atoms, counted from 0",
                            own.len()
                        );
                        return Err(SpecError::new(format!("molecules.{name}.like_atom"), message));
                    }
                    (own.molecule_of(atom)?, 0)
                }
                Template::Named => match own.molecule_named(name)? {
                    Some(molecule) => (molecule, 0),
                    None => {
                        let message = format!("the force field does not know the molecule `{name}`");
                        let other = match self.format {
                            "AMBER" => "a molecule of the file with this residue name, ",
                            _ => "",
                        };
                        return Err(SpecError::new("", message).hint(format!(
                            "it can be {other}a molecule of the file that holds an atom, force_field.molecules = {{ {name} = {{ like_atom = 17 }} }}, or \
                             one of another file, {{ {name} = {{ amber = \"water.prmtop\" }} }}"
                        )));
                    }
                },
                Template::File(model) => {
                    let key = |e: SpecError| e.within(&format!("molecules.{name}"));
                    let count = model.molecules()?;
                    if count != 1 {
                        let message =
                            format!("the file of `{name}` describes {count} molecules instead of one");
                        return Err(key(SpecError::new("", message)));
                    }
                    if self.solvent.is_some() || model.solvent.is_some() {
                        let message =
                            format!("`{name}` cannot be added to a system with an implicit solvent");
                        return Err(key(SpecError::new("", message)));
                    }
                    let first = out.adopt_types(&model, name).map_err(key)?;
                    (*model, first)
                }
            };
            molecule.name_atoms(name);
            for _ in 0..*count {
                out.append(&molecule, first);
            }
        }
        if out.is_empty() {
            return Err(SpecError::new("", "there are no atoms"));
        }
        Ok(out)
    }
}
