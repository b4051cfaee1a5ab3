//! A molecule of a topology: read with indices of its own, put into a system as often as asked.
use super::types::{self, directed};
use super::{Defaults, NM, Topology, Words};
use crate::bonded::BondedTerms;
use crate::electrostatics::Exclusions;
use crate::force_field::model::MolecularModel;
use crate::nonbonded::{ExceptionPair, LennardJonesTypes};
use caloron_engine::SpecError;
use caloron_engine::topology::{Angle, Bond, Constraint, Residue, SiteKind, VirtualSite};
use std::collections::{BTreeMap, BTreeSet, HashMap};

struct Atom {
    kind: usize,
    bonded: String,
    symbol: Option<String>,
    name: String,
    residue: usize,
    charge: f64,
    mass: f64,
}

/// A pair of `[ pairs ]`: numbers [c12, c6] and charge product where the line has them.
struct Pair {
    atoms: [u32; 2],
    numbers: Option<[f64; 2]>,
    charges: Option<f64>,
    place: String,
}

/// A molecule type.
pub(super) struct Molecule {
    pub name: String,
    bonds_excluded: usize,
    atoms: Vec<Atom>,
    residues: Vec<Residue>,
    terms: BondedTerms,
    bonds: Vec<Bond>,
    /// Bonds that count for exclusions.
    chemical: Vec<[u32; 2]>,
    angles: Vec<Angle>,
    constraints: Vec<Constraint>,
    sites: Vec<VirtualSite>,
    pairs: Vec<Pair>,
    exclusions: BTreeSet<[u32; 2]>,
}

fn sorted(i: u32, j: u32) -> [u32; 2] {
    [i.min(j), i.max(j)]
}

impl Molecule {
    pub fn new(name: &str, bonds_excluded: usize) -> Self {
        Self {
            name: name.to_owned(),
            bonds_excluded,
            atoms: vec![],
            residues: vec![],
            terms: BondedTerms::default(),
            bonds: vec![],
            chemical: vec![],
            angles: vec![],
            constraints: vec![],
            sites: vec![],
            pairs: vec![],
            exclusions: BTreeSet::new(),
        }
    }
    pub fn len(&self) -> usize {
        self.atoms.len()
    }
    pub fn types(&self) -> impl Iterator<Item = usize> {
        self.atoms.iter().map(|a| a.kind)
    }
    /// The atoms of a line, from word `first` on.
    fn indices<const N: usize>(&self, w: &Words<'_>, first: usize) -> Result<[u32; N], SpecError> {
        let mut out = [0; N];
        for (k, atom) in out.iter_mut().enumerate() {
            *atom = self.index(w, first + k)?;
        }
        Ok(out)
    }
    fn index(&self, w: &Words<'_>, k: usize) -> Result<u32, SpecError> {
        let i = w.integer(k)?;
        if (1..=self.len()).contains(&(i as usize)) {
            return Ok(i - 1);
        }
        Err(w.error(format!("the molecule `{}` has no atom {i}: it has {} so far", self.name, self.len())))
    }
    fn types_of(&self, atoms: &[u32]) -> Vec<&str> {
        atoms.iter().map(|a| self.atoms[*a as usize].bonded.as_str()).collect()
    }
    /// The parameters of a line, or those of the types where the line has none.
    fn parameters(
        &self,
        w: &Words<'_>,
        atoms: &[u32],
        function: u32,
        count: usize,
        table: &HashMap<(Vec<String>, u32), Vec<f64>>,
    ) -> Result<Vec<f64>, SpecError> {
        let given = w.reals(atoms.len() + 1)?;
        if given.len() >= count {
            w.unperturbed(&given, count)?;
            return Ok(given);
        }
        if !given.is_empty() {
            return Err(w.error(format!("expected {count} parameters, found {}", given.len())));
        }
        let types = self.types_of(atoms);
        match table.get(&(directed(&types), function)) {
            Some(values) if values.len() >= count => {
                w.unperturbed(values, count)?;
                Ok(values.clone())
            }
            Some(values) => Err(w.error(format!(
                "the types {} have {} parameters instead of {count}",
                types.join(" "),
                values.len()
            ))),
            None => Err(
                w.error(format!("no parameters for the types {} and function {function}", types.join(" ")))
            ),
        }
    }
    /// A line of a section that belongs to a molecule.
    pub fn line(&mut self, top: &mut Topology<'_>, section: &str, w: &Words<'_>) -> Result<(), SpecError> {
        match section {
            "atoms" => self.atom(top, w),
            "bonds" => self.bond(top, w),
            "pairs" => self.pair(top, w),
            "angles" => self.angle(top, w),
            "dihedrals" => self.dihedral(top, w),
            "cmap" => {
                let [a, b, c, d, e] = self.indices::<5>(w, 0)?;
                if w.integer(5)? != 1 {
                    return Err(w.error(format!("function {} of [ cmap ] is not supported", w.words[5])));
                }
                w.at_most(6)?;
                let key = self.types_of(&[a, b, c, d, e]).into_iter().map(str::to_owned).collect();
                self.terms.cmaps.push(([a, b, c, d, b, c, d, e], top.cmap(w, key)?));
                Ok(())
            }
            "constraints" => {
                let atoms = self.indices::<2>(w, 0)?;
                let function = w.integer(2)?;
                if !(1..=2).contains(&function) {
                    return Err(w.error(format!("constraints of function {function} are not known")));
                }
                let length = NM * self.parameters(w, &atoms, function, 1, &top.types.constraints)?[0];
                self.constraints.push(Constraint { atoms, length });
                if function == 1 {
                    self.chemical.push(atoms);
                }
                Ok(())
            }
            "settles" => {
                let o = self.index(w, 0)?;
                let (oh, hh) = (NM * w.real(2)?, NM * w.real(3)?);
                w.at_most(4)?;
                if o as usize + 2 >= self.len() {
                    return Err(w.error("[ settles ] needs an oxygen atom followed by two hydrogen atoms"));
                }
                let distances = [([o, o + 1], oh), ([o, o + 2], oh), ([o + 1, o + 2], hh)];
                self.constraints.extend(distances.map(|(atoms, length)| Constraint { atoms, length }));
                self.bonds
                    .extend(distances[..2].iter().map(|(atoms, l)| Bond { atoms: *atoms, length: Some(*l) }));
                Ok(())
            }
            "exclusions" => {
                let i = self.index(w, 0)?;
                for k in 1..w.words.len() {
                    let j = self.index(w, k)?;
                    if i != j {
                        self.exclusions.insert(sorted(i, j));
                    }
                }
                Ok(())
            }
            "virtual_sites2" | "virtual_sites3" | "virtual_sitesn" => self.site(section, w),
            other => Err(w.error(format!("the section [ {other} ] is not supported"))),
        }
    }
    fn atom(&mut self, top: &Topology<'_>, w: &Words<'_>) -> Result<(), SpecError> {
        if w.integer(0)? as usize != self.len() + 1 {
            return Err(w.error(format!("atom {} stands where atom {} should", w.words[0], self.len() + 1)));
        }
        let kind = top.type_of(w, w.word(1)?)?;
        let of_type = &top.atom_types[kind];
        let (number, residue, name) = (w.word(2)?, w.word(3)?, w.word(4)?);
        let digits: String = number.chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
        let number = digits.parse().map_err(|_| w.error(format!("`{number}` is no residue number")))?;
        let residue = Residue { name: residue.to_owned(), number, chain: String::new() };
        if self.residues.last() != Some(&residue) {
            self.residues.push(residue);
        }
        let or = |k: usize, default: f64| if w.words.len() > k { w.real(k) } else { Ok(default) };
        let mass = or(7, of_type.mass)?;
        let charge = or(6, of_type.charge)?;
        w.at_most(11)?;
        let other = w.words.get(8).map(|name| top.type_of(w, name)).transpose()?;
        if other.is_some_and(|t| t != kind) || or(9, charge)? != charge || or(10, mass)? != mass {
            return Err(w
                .error("the perturbed state (B) of this atom is another, which is not supported")
                .hint("keep one state; a B state that is the same as the A state may stay"));
        }
        let symbol = top.symbol(of_type, mass);
        self.atoms.push(Atom {
            kind,
            bonded: of_type.bonded.clone(),
            symbol,
            name: name.to_owned(),
            residue: self.residues.len() - 1,
            charge,
            mass,
        });
        Ok(())
    }
    fn bond(&mut self, top: &Topology<'_>, w: &Words<'_>) -> Result<(), SpecError> {
        let atoms = self.indices::<2>(w, 0)?;
        let function = w.integer(2)?;
        let count = types::bond_parameters(function).map_err(|e| w.error(e))?;
        let p = self.parameters(w, &atoms, function, count, &top.types.bonds)?;
        let length = p.first().map(|b| b * NM).filter(|b| *b > 0.0);
        if let Some(form) = types::bond(function, &p) {
            self.terms.bonds.push((atoms, form));
        }
        if function < 6 {
            self.chemical.push(atoms);
            self.bonds.push(Bond { atoms, length });
        }
        Ok(())
    }
    fn pair(&mut self, top: &Topology<'_>, w: &Words<'_>) -> Result<(), SpecError> {
        let atoms = self.indices::<2>(w, 0)?;
        let rule = top.defaults(w)?.rule;
        let place = format!("`{}`, line {}", w.file.path.display(), w.line);
        let (numbers, charges) = match (w.integer(2)?, w.words.len()) {
            (1, 3) => (None, None),
            (1, _) => {
                let numbers = [w.real(3)?, w.real(4)?];
                w.unperturbed(&w.reals(3)?, 2)?;
                (Some(top.coefficients(rule, numbers)), None)
            }
            (2, _) => {
                w.at_most(8)?;
                let charges = w.real(3)? * w.real(4)? * w.real(5)?;
                (Some(top.coefficients(rule, [w.real(6)?, w.real(7)?])), Some(charges))
            }
            (f, _) => return Err(w.error(format!("pairs of function {f} are not known"))),
        };
        self.pairs.push(Pair { atoms: sorted(atoms[0], atoms[1]), numbers, charges, place });
        Ok(())
    }
    fn angle(&mut self, top: &Topology<'_>, w: &Words<'_>) -> Result<(), SpecError> {
        let atoms = self.indices::<3>(w, 0)?;
        let function = w.integer(3)?;
        let count = types::angle_parameters(function).map_err(|e| w.error(e))?;
        let p = self.parameters(w, &atoms, function, count, &top.types.angles)?;
        let (form, urey) = types::angle(function, &p);
        self.terms.angles.push((atoms, form));
        self.angles.push(Angle { atoms, angle: Some(p[0].to_radians()) });
        self.terms.urey_bradley.extend(urey.map(|form| ([atoms[0], atoms[2]], form)));
        Ok(())
    }
    fn dihedral(&mut self, top: &Topology<'_>, w: &Words<'_>) -> Result<(), SpecError> {
        let atoms = self.indices::<4>(w, 0)?;
        let function = w.integer(4)?;
        let count = types::dihedral_parameters(function).map_err(|e| w.error(e))?;
        let given = w.reals(5)?;
        let terms = if given.len() >= count {
            vec![given]
        } else if given.is_empty() {
            let names = self.types_of(&atoms);
            let found = top.types.dihedral([names[0], names[1], names[2], names[3]], function);
            let found = found.ok_or_else(|| {
                w.error(format!("no parameters for the types {} and function {function}", names.join(" ")))
            })?;
            if found.terms.len() > 1 && function != 9 {
                return Err(w.error("the types have several terms, which function 9 adds up"));
            }
            found.terms.clone()
        } else {
            return Err(w.error(format!("expected {count} parameters, found {}", given.len())));
        };
        for p in terms {
            if p.len() < count {
                return Err(w.error(format!("the types have {} parameters instead of {count}", p.len())));
            }
            w.unperturbed(&p, count)?;
            let (form, improper) = types::dihedral(function, &p).map_err(|e| w.error(e))?;
            let list = if improper { &mut self.terms.impropers } else { &mut self.terms.dihedrals };
            list.push((atoms, form));
        }
        Ok(())
    }
    fn site(&mut self, section: &str, w: &Words<'_>) -> Result<(), SpecError> {
        let site = self.index(w, 0)?;
        let unsupported = |f: u32| w.error(format!("function {f} of [ {section} ] is not supported"));
        let kind = match section {
            "virtual_sites2" => {
                let parents = self.indices::<2>(w, 1)?;
                let a = w.real(4)?;
                w.at_most(5)?;
                match w.integer(3)? {
                    1 => SiteKind::TwoAverage { parents, weights: [1.0 - a, a] },
                    f => return Err(unsupported(f)),
                }
            }
            "virtual_sites3" => {
                let parents = self.indices::<3>(w, 1)?;
                let (a, b) = (w.real(5)?, w.real(6)?);
                w.at_most(if w.integer(4)? == 4 { 8 } else { 7 })?;
                let local = |x: [f64; 3], y: [f64; 3], position: [f64; 3]| SiteKind::LocalCoordinates {
                    parents: parents.to_vec(),
                    origin: vec![1.0, 0.0, 0.0],
                    x: x.to_vec(),
                    y: y.to_vec(),
                    position: position.into(),
                };
                match w.integer(4)? {
                    1 => SiteKind::ThreeAverage { parents, weights: [1.0 - a - b, a, b] },
                    2 => local([-1.0, 1.0 - a, a], [-1.0, 0.0, 1.0], [b * NM, 0.0, 0.0]),
                    3 => {
                        let (sin, cos) = a.to_radians().sin_cos();
                        local([-1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [b * NM * cos, b * NM * sin, 0.0])
                    }
                    4 => SiteKind::OutOfPlane { parents, w12: a, w13: b, cross: w.real(7)? / NM },
                    f => return Err(unsupported(f)),
                }
            }
            _ => {
                let function = w.integer(1)?;
                let step = if function == 3 { 2 } else { 1 };
                let (mut parents, mut origin) = (vec![], vec![]);
                for k in (2..w.words.len()).step_by(step) {
                    let parent = self.index(w, k)?;
                    parents.push(parent);
                    origin.push(match function {
                        1 => 1.0,
                        2 => self.atoms[parent as usize].mass,
                        3 => w.real(k + 1)?,
                        f => return Err(unsupported(f)),
                    });
                }
                let sum: f64 = origin.iter().sum();
                if parents.len() < 2 || sum == 0.0 {
                    return Err(w.error("a virtual site needs two or more atoms with weights"));
                }
                origin.iter_mut().for_each(|o| *o /= sum);
                let mut along = vec![0.0; parents.len()];
                (along[0], along[1]) = (-1.0, 1.0);
                // a site at the origin of its frame needs no axes; any will do
                let position = caloron_engine::Vec3::zeros();
                if let (&[a, b], &[u, v]) = (parents.as_slice(), origin.as_slice()) {
                    SiteKind::TwoAverage { parents: [a, b], weights: [u, v] }
                } else if let (&[a, b, c], &[u, v, x]) = (parents.as_slice(), origin.as_slice()) {
                    SiteKind::ThreeAverage { parents: [a, b, c], weights: [u, v, x] }
                } else {
                    let mut across = vec![0.0; parents.len()];
                    (across[0], across[2]) = (-1.0, 1.0);
                    SiteKind::LocalCoordinates { parents, origin, x: along, y: across, position }
                }
            }
        };
        self.sites.push(VirtualSite { site, kind });
        Ok(())
    }
    /// Exclusions and pairs.
    pub fn finish(
        &self,
        defaults: &Defaults,
        pairs_14: &HashMap<(usize, usize), [f64; 2]>,
        place: &HashMap<usize, u32>,
        table: &LennardJonesTypes,
    ) -> Result<Ready, SpecError> {
        let error = |place: &str, message: String| SpecError::new("gromacs", format!("{place}: {message}"));
        let mut excluded: BTreeMap<[u32; 2], ExceptionPair> = BTreeMap::new();
        let none = |atoms| ExceptionPair { atoms, charges: 0.0, c12: 0.0, c6: 0.0 };
        for atoms in within(&self.chemical, self.len(), self.bonds_excluded)? {
            excluded.insert(atoms, none(atoms));
        }
        for &atoms in &self.exclusions {
            excluded.insert(atoms, none(atoms));
        }
        for pair in &self.pairs {
            let [a, b] = pair.atoms.map(|i| &self.atoms[i as usize]);
            let key = (a.kind.min(b.kind), a.kind.max(b.kind));
            let numbers = match (pair.numbers, pairs_14.get(&key)) {
                (Some(own), _) => own,
                (None, Some(of_types)) => *of_types,
                (None, None) if defaults.generate_pairs => {
                    table.get(place[&a.kind] as usize, place[&b.kind] as usize).map(|c| c * defaults.fudge_lj)
                }
                (None, None) => {
                    let message = format!("no [ pairtypes ] for {} and {}", a.bonded, b.bonded);
                    return Err(error(&pair.place, message));
                }
            };
            let charges = pair.charges.unwrap_or(defaults.fudge_qq * a.charge * b.charge);
            let Some(slot) = excluded.get_mut(&pair.atoms) else {
                let message = format!(
                    "the pair of atoms {} and {} is not excluded from the common interaction, which is not supported",
                    pair.atoms[0] + 1,
                    pair.atoms[1] + 1
                );
                return Err(error(&pair.place, message).hint("add it to [ exclusions ], or raise nrexcl"));
            };
            slot.charges += charges;
            slot.c12 += numbers[0];
            slot.c6 += numbers[1];
        }
        Ok(Ready { exceptions: excluded.into_values().collect() })
    }
}

/// The pairs of atoms up to `depth` bonds apart.
fn within(bonds: &[[u32; 2]], atoms: usize, depth: usize) -> Result<BTreeSet<[u32; 2]>, SpecError> {
    let pairs: Vec<_> =
        bonds.iter().map(|b| crate::electrostatics::ScaledPair::excluded(b[0], b[1])).collect();
    let bonded = Exclusions::new(atoms, &pairs).map_err(|e| e.within("gromacs"))?;
    let mut out = BTreeSet::new();
    for i in 0..atoms as u32 {
        let mut shell = vec![i];
        let mut seen = BTreeSet::from([i]);
        for _ in 0..depth {
            let mut next = Vec::new();
            for &a in &shell {
                next.extend(bonded.partners(a as usize).iter().map(|p| p.atom).filter(|b| seen.insert(*b)));
            }
            out.extend(next.iter().filter(|j| **j > i).map(|&j| [i, j]));
            shell = next;
        }
    }
    Ok(out)
}

/// What a molecule needs beside what it lists.
pub(super) struct Ready {
    exceptions: Vec<ExceptionPair>,
}

impl Ready {
    /// Adds a copy of the molecule to a system.
    pub fn append(&self, m: &Molecule, model: &mut MolecularModel, place: &HashMap<usize, u32>) {
        let first = model.masses.len() as u32;
        let first_residue = model.topology.residues.len() as u32;
        fn moved<const N: usize>(atoms: [u32; N], by: u32) -> [u32; N] {
            atoms.map(|a| a + by)
        }
        let site: BTreeSet<u32> = m.sites.iter().map(|s| s.site).collect();
        for (i, a) in m.atoms.iter().enumerate() {
            let is_site = site.contains(&(i as u32));
            model.symbols.push(a.symbol.clone());
            model.masses.push(if is_site { 0.0 } else { a.mass });
            model.charges.push(a.charge);
            model.types.push(place[&a.kind]);
            model.topology.atom_names.push(a.name.clone());
            model.topology.residue_of.push(first_residue + a.residue as u32);
        }
        model.topology.residues.extend(m.residues.iter().cloned());
        let t = &m.terms;
        let to = &mut model.bonded;
        to.bonds.extend(t.bonds.iter().map(|(a, f)| (moved(*a, first), f.clone())));
        to.urey_bradley.extend(t.urey_bradley.iter().map(|(a, f)| (moved(*a, first), f.clone())));
        to.angles.extend(t.angles.iter().map(|(a, f)| (moved(*a, first), f.clone())));
        to.dihedrals.extend(t.dihedrals.iter().map(|(a, f)| (moved(*a, first), f.clone())));
        to.impropers.extend(t.impropers.iter().map(|(a, f)| (moved(*a, first), f.clone())));
        to.cmaps.extend(t.cmaps.iter().map(|(a, f)| (moved(*a, first), f.clone())));
        let topology = &mut model.topology;
        topology.bonds.extend(m.bonds.iter().map(|b| Bond { atoms: moved(b.atoms, first), ..*b }));
        topology.angles.extend(m.angles.iter().map(|a| Angle { atoms: moved(a.atoms, first), ..*a }));
        topology
            .constraints
            .extend(m.constraints.iter().map(|c| Constraint { atoms: moved(c.atoms, first), ..*c }));
        topology.virtual_sites.extend(m.sites.iter().map(|s| {
            let mut kind = s.kind.clone();
            match &mut kind {
                SiteKind::TwoAverage { parents, .. } => *parents = moved(*parents, first),
                SiteKind::ThreeAverage { parents, .. } | SiteKind::OutOfPlane { parents, .. } => {
                    *parents = moved(*parents, first);
                }
                SiteKind::LocalCoordinates { parents, .. } => parents.iter_mut().for_each(|p| *p += first),
            }
            VirtualSite { site: s.site + first, kind }
        }));
        model
            .exceptions
            .extend(self.exceptions.iter().map(|e| ExceptionPair { atoms: moved(e.atoms, first), ..*e }));
    }
}
