//! GROMACS: topologies (`top`, `itp`) with includes, definitions and conditions.
//!
//! nm, kJ/mol, degrees, u, e. Source: the GROMACS reference manual, file formats and topologies.
mod molecule;
mod preprocess;
mod types;

use super::composition::Composition;
use super::model::{KJ_PER_MOL, MOST_TYPES, MolecularModel, NANOMETRE};
use super::text::{TextFile, real};
use crate::bonded::{CmapForm, Map};
use crate::nonbonded::{Combination, LennardJonesTypes, coefficients};
use caloron_engine::error::nearest;
use caloron_engine::{SpecError, elements};
use molecule::Molecule;
use preprocess::{Line, Lines};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use types::{AtomType, DihedralType, Types, directed, family};

const KJ: f64 = KJ_PER_MOL;
const NM: f64 = NANOMETRE;
/// Most atoms a topology may describe.
const MOST_ATOMS: usize = 20_000_000;

/// The first section of a file.
#[derive(Clone, Copy, Debug)]
struct Defaults {
    rule: u32,
    generate_pairs: bool,
    fudge_lj: f64,
    fudge_qq: f64,
}

/// Everything that is read before molecules are put together.
struct Topology<'a> {
    lines: &'a Lines,
    /// Sections that the user leaves out.
    ignored: &'a [String],
    defaults: Option<Defaults>,
    names: HashMap<String, usize>,
    atom_types: Vec<AtomType>,
    types: Types,
    /// Numbers of pairs of types: `[ nonbond_params ]` and `[ pairtypes ]`, as [c12, c6].
    pairs: HashMap<(usize, usize), [f64; 2]>,
    pairs_14: HashMap<(usize, usize), [f64; 2]>,
    molecules: Vec<Molecule>,
    system: Vec<(usize, usize)>,
    maps: HashMap<Vec<String>, Arc<Map>>,
    warnings: Vec<String>,
}

/// A line with its words.
struct Words<'a> {
    file: &'a TextFile,
    line: usize,
    words: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn error(&self, message: impl std::fmt::Display) -> SpecError {
        self.file.error(self.line, message)
    }
    fn word(&self, k: usize) -> Result<&'a str, SpecError> {
        let missing =
            || self.error(format!("expected at least {} entries, found {}", k + 1, self.words.len()));
        self.words.get(k).copied().ok_or_else(missing)
    }
    fn real(&self, k: usize) -> Result<f64, SpecError> {
        let word = self.word(k)?;
        real(word).ok_or_else(|| self.error(format!("expected a number, found `{word}`")))
    }
    fn integer(&self, k: usize) -> Result<u32, SpecError> {
        let word = self.word(k)?;
        word.parse().map_err(|_| self.error(format!("expected a whole number, found `{word}`")))
    }
    /// Refuses words after the first `count`.
    fn at_most(&self, count: usize) -> Result<(), SpecError> {
        match self.words.get(count) {
            None => Ok(()),
            Some(word) => {
                Err(self.error(format!("expected {count} entries at most, found `{word}` after them")))
            }
        }
    }
    /// Refuses numbers after the first `count`, which stand for a perturbed state, unless they repeat the first `count`.
    fn unperturbed(&self, values: &[f64], count: usize) -> Result<(), SpecError> {
        let (own, other) = values.split_at(count.min(values.len()));
        // the multiplicity of a dihedral need not be repeated
        let repeats = own == other || (count == 3 && other.len() == 2 && own[..2] == *other);
        if other.is_empty() || repeats {
            return Ok(());
        }
        let message = format!(
            "{} numbers where {count} are expected: those of a perturbed state (B) are not supported",
            values.len()
        );
        Err(self.error(message).hint("keep one state; a B state that is the same as the A state may stay"))
    }
    /// The numbers from word `first` on.
    fn reals(&self, first: usize) -> Result<Vec<f64>, SpecError> {
        (first..self.words.len()).map(|k| self.real(k)).collect()
    }
}

/// What the input says about a topology.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings<'a> {
    /// Folders in which included files are searched, beside that of the topology.
    pub folders: &'a [PathBuf],
    /// Names that are defined, such as `FLEXIBLE` or `NAME=value`.
    pub defines: &'a [String],
    /// Sections that are left out although they are not known.
    pub ignored: &'a [String],
}

/// Reads a topology.
///
/// # Errors
/// What is wrong or not supported, with file and line.
pub fn read(path: &Path, settings: Settings<'_>) -> Result<MolecularModel, SpecError> {
    read_composed(path, settings, &Composition::default())
}

/// Reads a topology for other molecules than its `[ molecules ]` lists.
///
/// # Errors
/// What is wrong or not supported, with file and line; unknown names of molecules.
pub fn read_composed(
    path: &Path,
    settings: Settings<'_>,
    composition: &Composition,
) -> Result<MolecularModel, SpecError> {
    let lines = preprocess::read(path, settings.folders, settings.defines)?;
    let mut top = Topology {
        lines: &lines,
        ignored: settings.ignored,
        defaults: None,
        names: HashMap::new(),
        atom_types: vec![],
        types: Types::default(),
        pairs: HashMap::new(),
        pairs_14: HashMap::new(),
        molecules: vec![],
        system: vec![],
        maps: HashMap::new(),
        warnings: vec![],
    };
    let mut section = String::new();
    for line in &lines.lines {
        let words = top.words(line);
        if line.text.starts_with('[') {
            let name = line.text.trim_start_matches('[').split(']').next().unwrap_or_default().trim();
            section = name.to_ascii_lowercase();
            top.begin(&section, &words)?;
            continue;
        }
        top.line(&section, &words)?;
    }
    top.compose(composition)?;
    top.model()
}

impl<'a> Topology<'a> {
    fn words(&self, line: &'a Line) -> Words<'a> {
        Words {
            file: &self.lines.files[line.file as usize],
            line: line.number as usize,
            words: line.text.split_whitespace().collect(),
        }
    }
    fn begin(&mut self, section: &str, at: &Words<'_>) -> Result<(), SpecError> {
        const KNOWN: [&str; 24] = [
            "defaults",
            "atomtypes",
            "bondtypes",
            "constrainttypes",
            "pairtypes",
            "angletypes",
            "dihedraltypes",
            "nonbond_params",
            "cmaptypes",
            "moleculetype",
            "atoms",
            "bonds",
            "pairs",
            "angles",
            "dihedrals",
            "constraints",
            "settles",
            "exclusions",
            "virtual_sites2",
            "virtual_sites3",
            "virtual_sitesn",
            "cmap",
            "system",
            "molecules",
        ];
        let leave_out = || format!("to leave it out, write ignored_sections = [\"{section}\"]");
        match section {
            s if self.ignored.iter().any(|i| i == s) => {
                self.warnings.push(format!("[ {section} ] of `{}` is not used", at.file.path.display()));
                Ok(())
            }
            s if KNOWN.contains(&s) => Ok(()),
            "position_restraints" => Err(at
                .error("[ position_restraints ] is not read from topologies")
                .hint("leave its definition out, and add a [[potential]] with `position_restraint`")),
            "implicit_genborn_params" => Err(at
                .error("[ implicit_genborn_params ] is not read: implicit solvents of GROMACS files are not supported")
                .hint(leave_out())),
            other => Err(at.error(format!("the section [ {other} ] is not supported")).hint(leave_out())),
        }
    }
    fn line(&mut self, section: &str, w: &Words<'_>) -> Result<(), SpecError> {
        if self.ignored.iter().any(|i| i == section) {
            return Ok(());
        }
        match section {
            "defaults" => self.read_defaults(w),
            "atomtypes" => self.atom_type(w),
            "nonbond_params" | "pairtypes" => self.pair_type(section, w),
            "bondtypes" | "constrainttypes" | "angletypes" => self.bonded_type(section, w),
            "dihedraltypes" => self.dihedral_type(w),
            "cmaptypes" => self.cmap_type(w),
            "moleculetype" => {
                w.at_most(2)?;
                let molecule = Molecule::new(w.word(0)?, w.integer(1)? as usize);
                self.molecules.push(molecule);
                Ok(())
            }
            "system" => Ok(()),
            "molecules" => {
                let name = w.word(0)?;
                let kind = self.molecules.iter().position(|m| m.name == name);
                let kind = kind.ok_or_else(|| w.error(format!("the molecule `{name}` is not defined")))?;
                w.at_most(2)?;
                self.system.push((kind, w.integer(1)? as usize));
                Ok(())
            }
            "" => Err(w.error("expected a section such as [ defaults ]")),
            _ => {
                let Some(mut molecule) = self.molecules.pop() else {
                    return Err(w.error(format!("[ {section} ] stands before [ moleculetype ]")));
                };
                let result = molecule.line(self, section, w);
                self.molecules.push(molecule);
                result
            }
        }
    }
    /// Replaces what `[ molecules ]` lists.
    fn compose(&mut self, composition: &Composition) -> Result<(), SpecError> {
        self.system = std::iter::repeat_n(&self.system, composition.own).flatten().copied().collect();
        for (name, count) in &composition.added {
            let Some(kind) = self.molecules.iter().position(|m| m.name == *name) else {
                let known: Vec<&str> = self.molecules.iter().map(|m| m.name.as_str()).collect();
                let file = self.lines.files[0].path.display().to_string();
                let hint = match nearest(name, known.iter().copied()) {
                    Some(n) => format!("did you mean `{n}`?"),
                    None => format!("its molecule types are {}", known.join(", ")),
                };
                return Err(SpecError::new("", format!("`{file}` has no molecule `{name}`")).hint(hint));
            };
            self.system.push((kind, *count));
        }
        Ok(())
    }
    fn read_defaults(&mut self, w: &Words<'_>) -> Result<(), SpecError> {
        if w.integer(0)? != 1 {
            return Err(w.error("the Buckingham potential (nbfunc 2) is not supported"));
        }
        let rule = w.integer(1)?;
        if !(1..=3).contains(&rule) {
            return Err(w.error(format!("the combination rule {rule} is not known (1 to 3 are)")));
        }
        let or = |k: usize, default: f64| if w.words.len() > k { w.real(k) } else { Ok(default) };
        self.defaults = Some(Defaults {
            rule,
            generate_pairs: w.words.get(2).is_some_and(|x| x.eq_ignore_ascii_case("yes")),
            fudge_lj: or(3, 1.0)?,
            fudge_qq: or(4, 1.0)?,
        });
        // the power of the repulsion, which only the Buckingham potential could change
        if or(5, 12.0)? != 12.0 {
            return Err(w.error("the power of the repulsion must be 12"));
        }
        w.at_most(6)
    }
    fn defaults(&self, w: &Words<'_>) -> Result<Defaults, SpecError> {
        self.defaults.ok_or_else(|| w.error("[ defaults ] must come first"))
    }
    /// [c12, c6] of two numbers of a file.
    fn coefficients(&self, rule: u32, [v, x]: [f64; 2]) -> [f64; 2] {
        match rule {
            1 => [x * KJ * NM.powi(12), v * KJ * NM.powi(6)],
            _ => coefficients([v * NM, x * KJ]),
        }
    }
    fn atom_type(&mut self, w: &Words<'_>) -> Result<(), SpecError> {
        let kind =
            (3..w.words.len()).find(|&k| matches!(w.words[k], "A" | "S" | "V" | "D" | "a" | "s" | "v" | "d"));
        let Some(k) = kind.filter(|k| w.words.len() > k + 2) else {
            return Err(w.error("expected an atom type: name, optional bonded type and number, mass, charge, A or V, two numbers"));
        };
        w.at_most(k + 3)?;
        let (mut bonded, mut number) = (w.words[0], None);
        if k > 5 {
            return Err(w.error(format!("`{}` stands where the mass is expected", w.words[3])));
        }
        for word in &w.words[1..k - 2] {
            match word.parse::<u8>() {
                Ok(n) => number = Some(n),
                Err(_) => bonded = word,
            }
        }
        let atom_type = AtomType {
            bonded: bonded.to_owned(),
            number: number.filter(|n| *n > 0),
            mass: w.real(k - 2)?,
            charge: w.real(k - 1)?,
            virtual_site: matches!(w.words[k], "V" | "v" | "D" | "d"),
            numbers: [w.real(k + 1)?, w.real(k + 2)?],
        };
        if self.names.insert(w.words[0].to_owned(), self.atom_types.len()).is_some() {
            self.warnings
                .push(format!("the atom type `{}` is defined twice; the last one counts", w.words[0]));
        }
        self.atom_types.push(atom_type);
        Ok(())
    }
    fn type_of(&self, w: &Words<'_>, name: &str) -> Result<usize, SpecError> {
        self.names.get(name).copied().ok_or_else(|| w.error(format!("the atom type `{name}` is not defined")))
    }
    fn pair_type(&mut self, section: &str, w: &Words<'_>) -> Result<(), SpecError> {
        let rule = self.defaults(w)?.rule;
        let (i, j) = (self.type_of(w, w.word(0)?)?, self.type_of(w, w.word(1)?)?);
        if w.integer(2)? != 1 {
            return Err(w.error(format!("function {} of [ {section} ] is not supported", w.words[2])));
        }
        w.unperturbed(&w.reals(3)?, 2)?;
        let numbers = self.coefficients(rule, [w.real(3)?, w.real(4)?]);
        let table = if section == "pairtypes" { &mut self.pairs_14 } else { &mut self.pairs };
        table.insert((i.min(j), i.max(j)), numbers);
        Ok(())
    }
    fn bonded_type(&mut self, section: &str, w: &Words<'_>) -> Result<(), SpecError> {
        let n = if section == "angletypes" { 3 } else { 2 };
        w.word(n)?;
        let function = w.integer(n)?;
        let key = (directed(&w.words[..n]), function);
        let values = w.reals(n + 1)?;
        let table = match section {
            "bondtypes" => &mut self.types.bonds,
            "angletypes" => &mut self.types.angles,
            _ => &mut self.types.constraints,
        };
        table.insert(key, values);
        Ok(())
    }
    fn dihedral_type(&mut self, w: &Words<'_>) -> Result<(), SpecError> {
        // four types, or the two of the middle (of the ends for impropers)
        let two =
            w.word(2)?.parse::<u32>().is_ok() && (w.words.len() < 5 || w.words[3].parse::<f64>().is_ok());
        let at = if two { 2 } else { 4 };
        let function = family(w.integer(at)?);
        let own = |k: usize| w.words[k].to_owned();
        let any = || "X".to_owned();
        let types = match (two, function) {
            (false, _) => [own(0), own(1), own(2), own(3)],
            (true, 2 | 4) => [own(0), any(), any(), own(1)],
            (true, _) => [any(), own(0), own(1), any()],
        };
        let values = w.reals(at + 1)?;
        // terms of several lines follow each other
        match self.types.dihedrals.last_mut() {
            Some(last) if last.types == types && last.function == function && w.words[at] == "9" => {
                last.terms.push(values);
            }
            _ => self.types.dihedrals.push(DihedralType { types, function, terms: vec![values] }),
        }
        Ok(())
    }
    fn cmap_type(&mut self, w: &Words<'_>) -> Result<(), SpecError> {
        if w.integer(5)? != 1 {
            return Err(w.error(format!("function {} of [ cmaptypes ] is not supported", w.words[5])));
        }
        let (n, m) = (w.integer(6)? as usize, w.integer(7)? as usize);
        let values = w.reals(8)?;
        if n != m || values.len() != n * m {
            return Err(w.error(format!("a map of {n} x {m} points with {} values", values.len())));
        }
        let key = w.words[..5].iter().map(|t| (*t).to_owned()).collect();
        self.types.cmaps.insert(key, (n, values));
        Ok(())
    }
    /// The map of five bonded types.
    fn cmap(&mut self, w: &Words<'_>, key: Vec<String>) -> Result<CmapForm, SpecError> {
        if let Some(map) = self.maps.get(&key) {
            return Ok(CmapForm(map.clone()));
        }
        let Some((n, grid)) = self.types.cmaps.get(&key) else {
            return Err(w.error(format!("no [ cmaptypes ] for the types {}", key.join(" "))));
        };
        // the file begins at -180 degrees and runs over the second angle first
        let (n, shifted) = (*n, |i: usize| (i + n / 2) % n);
        let energies: Vec<f64> = (0..n * n).map(|p| KJ * grid[n * shifted(p % n) + shifted(p / n)]).collect();
        let map = Arc::new(Map::new(n, &energies).map_err(|e| w.error(e.message))?);
        self.maps.insert(key, map.clone());
        Ok(CmapForm(map))
    }
    /// The Lennard-Jones numbers of all pairs of types that molecules use.
    fn lennard_jones(&self, rule: u32, used: &[usize]) -> LennardJonesTypes {
        let own: Vec<[f64; 2]> = used.iter().map(|t| self.atom_types[*t].numbers).collect();
        LennardJonesTypes::from_pairs(used.len(), |a, b| {
            let (i, j) = (used[a].min(used[b]), used[a].max(used[b]));
            if let Some(pair) = self.pairs.get(&(i, j)) {
                return *pair;
            }
            let (x, y) = (own[a], own[b]);
            let mixed = match rule {
                1 => [(x[0] * y[0]).sqrt(), (x[1] * y[1]).sqrt()],
                2 => Combination::LorentzBerthelot.of(x, y),
                _ => Combination::Geometric.of(x, y),
            };
            self.coefficients(rule, mixed)
        })
    }
    fn model(self) -> Result<MolecularModel, SpecError> {
        let whole = |message: String| {
            let file = &self.lines.files[0];
            file.whole(message)
        };
        let Some(defaults) = self.defaults else {
            return Err(whole("the section [ defaults ] is missing".into())
                .hint("name the whole topology (top), not a part of it (itp)"));
        };
        let atoms = self.system.iter().try_fold(0usize, |n, (kind, count)| {
            n.checked_add(self.molecules[*kind].len().checked_mul(*count)?).filter(|n| *n <= MOST_ATOMS)
        });
        match atoms {
            Some(0) => return Err(whole("the section [ molecules ] names no atoms".into())),
            None => return Err(whole(format!("more than {MOST_ATOMS} atoms"))),
            Some(_) => {}
        }
        let mut used = Vec::new();
        let mut place: HashMap<usize, u32> = HashMap::new();
        for (kind, _) in &self.system {
            for t in self.molecules[*kind].types() {
                place.entry(t).or_insert_with(|| {
                    used.push(t);
                    used.len() as u32 - 1
                });
            }
        }
        if used.len() > MOST_TYPES {
            return Err(whole(format!("{} atom types; at most {MOST_TYPES} are supported", used.len())));
        }
        let mut model = MolecularModel { format: "GROMACS", ..MolecularModel::default() };
        model.lennard_jones = self.lennard_jones(defaults.rule, &used);
        model.rule =
            Some(if defaults.rule == 2 { Combination::LorentzBerthelot } else { Combination::Geometric });
        model.warnings = self.warnings;
        for (kind, count) in &self.system {
            let molecule = &self.molecules[*kind];
            let ready = molecule.finish(&defaults, &self.pairs_14, &place, &model.lennard_jones)?;
            for _ in 0..*count {
                ready.append(molecule, &mut model, &place);
            }
        }
        Ok(model)
    }
    fn symbol(&self, atom_type: &AtomType, mass: f64) -> Option<String> {
        let by_number = atom_type.number.and_then(elements::symbol);
        by_number.or_else(|| elements::by_mass(mass)).filter(|_| !atom_type.virtual_site).map(str::to_owned)
    }
}
