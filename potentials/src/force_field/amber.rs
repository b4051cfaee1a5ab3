//! AMBER: parameter and topology files (`prmtop`, `parm7`), also those that hold a CHARMM force field (chamber).
//!
//! Å, kcal/mol, degrees and radians, charges times 18.2223. Source: the format description of ambermd.org; M. F. Crowley, M. J.
//! Williamson, R. C. Walker, Int. J. Quantum Chem. 109, 3767 (2009), doi:10.1002/qua.22372 (chamber).
use super::model::{KCAL_PER_MOL, MOST_TYPES, MolecularModel};
use super::text::{TextFile, real};
use crate::bonded::{AngleForm, BondForm, CmapForm, DihedralForm, Map};
use crate::nonbonded::{Combination, ExceptionPair, LennardJonesTypes};
use caloron_engine::topology::{Angle, Bond, Residue, SiteKind, VirtualSite};
use caloron_engine::{Cell, SpecError, elements};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

const KCAL: f64 = KCAL_PER_MOL;
/// Charges of the file are multiplied by this, so that their products over Å are kcal/mol.
const CHARGE: f64 = 18.2223;
/// The square of the same number for files with a CHARMM force field: CHARMM's Coulomb constant, kcal Å/(mol e²).
const CHARMM_CONSTANT: f64 = 332.0716;

/// Widest field.
const LONGEST: usize = 1000;

/// A section of fixed-width fields.
struct Section {
    line: usize,
    /// Fields with the lines they stand on.
    fields: Vec<(usize, String)>,
}

/// The sections of a file by their flags.
struct Sections<'a> {
    file: &'a TextFile,
    by_flag: BTreeMap<String, Section>,
    /// Whether the force field is CHARMM's.
    chamber: bool,
}

/// Sections that say nothing about energies, or that are read from other places.
const INFORMATION: [&str; 24] = [
    "TITLE",
    "CTITLE",
    "SOLTY",
    "HBCUT",
    "TREE_CHAIN_CLASSIFICATION",
    "JOIN_ARRAY",
    "IROTAT",
    "SOLVENT_POINTERS",
    "ATOMS_PER_MOLECULE",
    "RADIUS_SET",
    "AMBER_ATOM_TYPE",
    "ATOM_NUMBER",
    "ATOM_BFACTOR",
    "ATOM_OCCUPANCY",
    "ATOM_ELEMENT",
    "ATOM_FORMAL_CHARGE",
    "RESIDUE_NUMBER",
    "RESIDUE_ID",
    "RESIDUE_CHAINID",
    "RESIDUE_ICODE",
    "FORCE_FIELD_TYPE",
    "CAP_INFO",
    "CAP_INFO2",
    "RADII",
];
/// Sections that change energies in ways that are not known here.
const UNSUPPORTED: [&str; 4] =
    ["LENNARD_JONES_CCOEF", "POLARIZABILITY", "AMOEBA_FORCEFIELD", "DIPOLE_DAMP_FACTOR"];
const USED: [&str; 51] = [
    "POINTERS",
    "ATOM_NAME",
    "CHARGE",
    "ATOMIC_NUMBER",
    "MASS",
    "ATOM_TYPE_INDEX",
    "NUMBER_EXCLUDED_ATOMS",
    "NONBONDED_PARM_INDEX",
    "RESIDUE_LABEL",
    "RESIDUE_POINTER",
    "BOND_FORCE_CONSTANT",
    "BOND_EQUIL_VALUE",
    "ANGLE_FORCE_CONSTANT",
    "ANGLE_EQUIL_VALUE",
    "DIHEDRAL_FORCE_CONSTANT",
    "DIHEDRAL_PERIODICITY",
    "DIHEDRAL_PHASE",
    "SCEE_SCALE_FACTOR",
    "SCNB_SCALE_FACTOR",
    "LENNARD_JONES_ACOEF",
    "LENNARD_JONES_BCOEF",
    "BONDS_INC_HYDROGEN",
    "BONDS_WITHOUT_HYDROGEN",
    "ANGLES_INC_HYDROGEN",
    "ANGLES_WITHOUT_HYDROGEN",
    "DIHEDRALS_INC_HYDROGEN",
    "DIHEDRALS_WITHOUT_HYDROGEN",
    "EXCLUDED_ATOMS_LIST",
    "HBOND_ACOEF",
    "HBOND_BCOEF",
    "BOX_DIMENSIONS",
    "SCREEN",
    "IPOL",
    "CMAP_COUNT",
    "CMAP_RESOLUTION",
    "CMAP_INDEX",
    "CMAP_COMMENT",
    "CHARMM_UREY_BRADLEY_COUNT",
    "CHARMM_UREY_BRADLEY",
    "CHARMM_UREY_BRADLEY_FORCE_CONSTANT",
    "CHARMM_UREY_BRADLEY_EQUIL_VALUE",
    "CHARMM_NUM_IMPROPERS",
    "CHARMM_IMPROPERS",
    "CHARMM_NUM_IMPR_TYPES",
    "CHARMM_IMPROPER_FORCE_CONSTANT",
    "CHARMM_IMPROPER_PHASE",
    "LENNARD_JONES_14_ACOEF",
    "LENNARD_JONES_14_BCOEF",
    "CHARMM_CMAP_COUNT",
    "CHARMM_CMAP_RESOLUTION",
    "CHARMM_CMAP_INDEX",
];

impl<'a> Sections<'a> {
    fn read(file: &'a TextFile) -> Result<Self, SpecError> {
        let mut by_flag: BTreeMap<String, Section> = BTreeMap::new();
        let mut flag: Option<String> = None;
        let mut width = 0;
        for (k, line) in file.text.lines().enumerate() {
            let at = k + 1;
            if let Some(name) = line.strip_prefix("%FLAG") {
                let name = name.trim().to_owned();
                let section = Section { line: at, fields: vec![] };
                if by_flag.insert(name.clone(), section).is_some() {
                    return Err(file.error(at, format!("the section {name} stands twice")));
                }
                flag = Some(name);
            } else if let Some(format) = line.strip_prefix("%FORMAT") {
                width = field_width(format).ok_or_else(|| {
                    file.error(at, format!("the format `{}` cannot be read", format.trim()))
                })?;
            } else if line.starts_with('%') {
                // %VERSION and comments
            } else if let Some(section) = flag.as_ref().and_then(|f| by_flag.get_mut(f)) {
                if width == 0 {
                    return Err(file.error(at, "a section without a %FORMAT"));
                }
                let line = line.trim_end();
                if !line.is_ascii() {
                    return Err(file.error(at, "expected fields of fixed width in ASCII"));
                }
                for start in (0..line.len()).step_by(width) {
                    let field = line[start..(start + width).min(line.len())].trim();
                    section.fields.push((at, field.to_owned()));
                }
            } else if !line.trim().is_empty() {
                return Err(file
                    .error(at, "expected a section that begins with %FLAG")
                    .hint("prmtop files before AMBER 7 are not read; convert the file with ParmEd"));
            }
        }
        // its title has a flag of its own
        let chamber = by_flag.contains_key("CTITLE");
        Ok(Self { file, by_flag, chamber })
    }
    fn has(&self, flag: &str) -> bool {
        self.by_flag.get(flag).is_some_and(|s| !s.fields.is_empty())
    }
    fn section(&self, flag: &str) -> Result<&Section, SpecError> {
        self.by_flag.get(flag).ok_or_else(|| self.file.whole(format!("the section {flag} is missing")))
    }
    /// The first `count` fields of a section, read by `parse`.
    fn list<T>(
        &self,
        flag: &str,
        count: usize,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, SpecError> {
        let section = self.section(flag)?;
        if section.fields.len() < count {
            let message = format!("{flag} has {} entries instead of {count}", section.fields.len());
            return Err(self.file.error(section.line, message));
        }
        let fields = section.fields[..count].iter();
        fields
            .map(|(line, field)| {
                parse(field)
                    .ok_or_else(|| self.file.error(*line, format!("expected {what}, found `{field}`")))
            })
            .collect()
    }
    fn reals(&self, flag: &str, count: usize) -> Result<Vec<f64>, SpecError> {
        self.list(flag, count, "a number", real)
    }
    fn integers(&self, flag: &str, count: usize) -> Result<Vec<i64>, SpecError> {
        self.list(flag, count, "a whole number", |f| f.parse().ok())
    }
    fn texts(&self, flag: &str, count: usize) -> Result<Vec<String>, SpecError> {
        // blank fields at the end of a line are cut off
        let section = self.section(flag)?;
        let mut out: Vec<String> = section.fields.iter().take(count).map(|f| f.1.clone()).collect();
        out.resize(count, String::new());
        Ok(out)
    }
    /// What charges of the file are multiplied by.
    fn charge_unit(&self) -> f64 {
        if self.chamber { CHARMM_CONSTANT.sqrt() } else { CHARGE }
    }
    /// A count: not negative, and possible for a file of this size.
    fn count(&self, flag: &str, number: i64) -> Result<usize, SpecError> {
        // every entry of the file takes at least one character
        usize::try_from(number).ok().filter(|n| *n <= self.file.text.len()).ok_or_else(|| {
            self.error(flag, format!("the count {number} is impossible for a file of this size"))
        })
    }
    fn error(&self, flag: &str, message: String) -> SpecError {
        self.file.error(self.by_flag.get(flag).map_or(1, |s| s.line), message)
    }
}

/// 16 of `(5E16.8)`. Lines of several kinds of fields, such as `(i2,a78)`, are kept whole.
fn field_width(format: &str) -> Option<usize> {
    let inner = format.trim().strip_prefix('(')?.split(')').next()?;
    if inner.contains(',') {
        return Some(LONGEST);
    }
    let letter = inner.find(|c: char| c.is_ascii_alphabetic())?;
    let width: usize = inner[letter + 1..].split('.').next()?.trim().parse().ok()?;
    (1..=LONGEST).contains(&width).then_some(width)
}

/// Reads a prmtop file; `ignored` are sections that are left out although they may change energies.
///
/// # Errors
/// What is wrong or not supported, with file and line.
pub fn read(path: &Path, ignored: &[String]) -> Result<MolecularModel, SpecError> {
    let file = TextFile::read("amber", path)?;
    let s = Sections::read(&file)?;
    let mut model = MolecularModel { format: "AMBER", ..MolecularModel::default() };
    model.settings.constant = Some(s.charge_unit().powi(2) * KCAL);
    model.rule = Some(Combination::LorentzBerthelot);
    for flag in UNSUPPORTED {
        if s.has(flag) {
            return Err(s.error(flag, format!("the section {flag} is not supported")));
        }
    }
    let pointers = s.integers("POINTERS", 30)?;
    let mut counts = [0usize; 30];
    for (c, p) in counts.iter_mut().zip(&pointers) {
        *c = s.count("POINTERS", *p)?;
    }
    let n = counts[0];
    if n == 0 {
        return Err(s.error("POINTERS", "there are no atoms".into()));
    }
    if pointers[20..26].iter().any(|p| *p != 0) && counts[20] != 0 {
        return Err(s.error("POINTERS", "perturbed topologies (IFPERT) are not supported".into()));
    }
    if s.has("IPOL") && s.integers("IPOL", 1)?[0] != 0 {
        return Err(s.error("IPOL", "polarisable force fields are not supported".into()));
    }
    atoms(&s, n, counts[11], &mut model)?;
    lennard_jones(&s, n, counts[1], &mut model)?;
    let terms = Terms { s: &s, n };
    terms.bonds([counts[2], counts[12]], counts[15], &mut model)?;
    terms.angles([counts[4], counts[13]], counts[16], &mut model)?;
    terms.charmm(&mut model)?;
    let one_four = terms.dihedrals([counts[6], counts[14]], counts[17], &mut model)?;
    let one_four_table = one_four_table(&s, counts[1], &model)?;
    exceptions(&s, n, counts[10], &one_four, &one_four_table, &mut model)?;
    cmaps(&s, n, &mut model)?;
    extra_points(&s, &mut model)?;
    if counts[27] > 0 && s.has("BOX_DIMENSIONS") {
        let b = s.reals("BOX_DIMENSIONS", 4)?;
        let angles = if counts[27] == 1 { [90.0, b[0], 90.0] } else { [b[0]; 3] };
        let cell = Cell::from_lengths_angles([b[1], b[2], b[3]], angles);
        model.cell = Some(cell.map_err(|e| s.error("BOX_DIMENSIONS", e.to_string()))?);
    }
    if s.has("RADII") && s.has("SCREEN") {
        model.born = Some((s.reals("RADII", n)?, s.reals("SCREEN", n)?));
    }
    for flag in s.by_flag.keys() {
        let known = USED.contains(&flag.as_str()) || INFORMATION.contains(&flag.as_str());
        let map = flag.strip_prefix("CHARMM_").unwrap_or(flag).starts_with("CMAP_PARAMETER");
        if known || map || !s.has(flag) {
            continue;
        }
        if !ignored.contains(flag) {
            let hint =
                format!("if it says nothing about energies, leave it out: ignored_sections = [\"{flag}\"]");
            return Err(s.error(flag, format!("the section {flag} is not known")).hint(hint));
        }
        model.warnings.push(format!("the section {flag} of `{}` is not used", path.display()));
    }
    Ok(model)
}

fn atoms(s: &Sections<'_>, n: usize, residues: usize, model: &mut MolecularModel) -> Result<(), SpecError> {
    model.masses = s.reals("MASS", n)?;
    if let Some(i) = model.masses.iter().position(|m| *m < 0.0) {
        return Err(s.error("MASS", format!("the mass of atom {} is negative", i + 1)));
    }
    let unit = s.charge_unit();
    model.charges = s.reals("CHARGE", n)?.into_iter().map(|q| q / unit).collect();
    model.symbols = if s.has("ATOMIC_NUMBER") {
        let symbol = |z: &i64| u8::try_from(*z).ok().and_then(elements::symbol).map(str::to_owned);
        s.integers("ATOMIC_NUMBER", n)?.iter().map(symbol).collect()
    } else {
        model.masses.iter().map(|m| elements::by_mass(*m).filter(|_| *m > 0.0).map(str::to_owned)).collect()
    };
    model.topology.atom_names = s.texts("ATOM_NAME", n)?;
    let first = s.integers("RESIDUE_POINTER", residues)?;
    let names = s.texts("RESIDUE_LABEL", residues)?;
    model.topology.residue_of = vec![0; n];
    for (k, name) in names.into_iter().enumerate() {
        let end = first.get(k + 1).copied().unwrap_or(n as i64 + 1);
        if !(1..=n as i64 + 1).contains(&first[k]) || end < first[k] || end > n as i64 + 1 {
            return Err(s.error("RESIDUE_POINTER", format!("residue {} begins at atom {}", k + 1, first[k])));
        }
        model.topology.residue_of[first[k] as usize - 1..end as usize - 1].fill(k as u32);
        model.topology.residues.push(Residue { name, number: k as i64 + 1, chain: String::new() });
    }
    if residues == 0 {
        model.topology.residue_of.clear();
    }
    Ok(())
}

fn lennard_jones(
    s: &Sections<'_>,
    n: usize,
    types: usize,
    model: &mut MolecularModel,
) -> Result<(), SpecError> {
    if types > MOST_TYPES {
        return Err(s.error("POINTERS", format!("{types} types; at most {MOST_TYPES} are supported")));
    }
    for t in s.integers("ATOM_TYPE_INDEX", n)? {
        if !(1..=types as i64).contains(&t) {
            return Err(s.error("ATOM_TYPE_INDEX", format!("the type {t} is not among 1 to {types}")));
        }
        model.types.push(t as u32 - 1);
    }
    model.lennard_jones = pair_table(s, types, "LENNARD_JONES")?;
    Ok(())
}

/// The table of 1-4 pairs: that of CHARMM force fields, else the common one.
fn one_four_table(
    s: &Sections<'_>,
    types: usize,
    model: &MolecularModel,
) -> Result<LennardJonesTypes, SpecError> {
    if s.has("LENNARD_JONES_14_ACOEF") {
        return pair_table(s, types, "LENNARD_JONES_14");
    }
    if s.chamber {
        let message = "a CHARMM force field without the section LENNARD_JONES_14_ACOEF";
        return Err(s.file.whole(message));
    }
    Ok(model.lennard_jones.clone())
}

/// The coefficients of all pairs of types, from the sections of this name.
fn pair_table(s: &Sections<'_>, types: usize, name: &str) -> Result<LennardJonesTypes, SpecError> {
    let index = s.integers("NONBONDED_PARM_INDEX", types * types)?;
    let pairs = types * (types + 1) / 2;
    let (a, b) = (s.reals(&format!("{name}_ACOEF"), pairs)?, s.reals(&format!("{name}_BCOEF"), pairs)?);
    let mut table = LennardJonesTypes::from_pairs(types, |_, _| [0.0; 2]);
    for i in 0..types {
        for j in 0..types {
            let k = index[i * types + j];
            if k < 0 {
                let h = (-k) as usize;
                let zero =
                    |flag: &str| Ok::<bool, SpecError>(s.reals(flag, h)?.last().is_none_or(|x| *x == 0.0));
                if zero("HBOND_ACOEF")? && zero("HBOND_BCOEF")? {
                    continue;
                }
                return Err(s.error("HBOND_ACOEF", "10-12 hydrogen-bond terms are not supported".into()));
            }
            let Some(k) = usize::try_from(k).ok().and_then(|k| k.checked_sub(1)).filter(|k| *k < pairs)
            else {
                return Err(s.error("NONBONDED_PARM_INDEX", format!("the index {k} is out of range")));
            };
            table.set(i, j, [a[k] * KCAL, b[k] * KCAL]);
        }
    }
    Ok(table)
}

/// Scalings of 1-4 pairs: Coulomb and Lennard-Jones.
type OneFour = HashMap<[u32; 2], [f64; 2]>;

/// A line of a list: atoms, which of them are negative, and the type.
type Entry<const N: usize> = ([u32; N], [bool; N], usize);

struct Terms<'a> {
    s: &'a Sections<'a>,
    n: usize,
}

impl Terms<'_> {
    /// The lines of a list: atoms (three times their index, negative ones flagged) and the index of the type.
    fn list<const N: usize>(
        &self,
        flag: &str,
        count: usize,
        types: usize,
    ) -> Result<Vec<Entry<N>>, SpecError> {
        let s = self.s;
        let numbers = if count == 0 { vec![] } else { s.integers(flag, count * (N + 1))? };
        let term = |t: &[i64]| {
            let mut atoms = [0; N];
            let mut negative = [false; N];
            for k in 0..N {
                let place = t[k].unsigned_abs() as usize;
                if !place.is_multiple_of(3) || place / 3 >= self.n {
                    let message = format!("the entry {} of {flag} is no atom of {}", t[k], self.n);
                    return Err(s.error(flag, message));
                }
                (atoms[k], negative[k]) = (place as u32 / 3, t[k] < 0);
            }
            let kind = usize::try_from(t[N]).ok().and_then(|k| k.checked_sub(1)).filter(|k| *k < types);
            let kind = kind.ok_or_else(|| s.error(flag, format!("there is no type {} for {flag}", t[N])))?;
            Ok((atoms, negative, kind))
        };
        numbers.chunks_exact(N + 1).map(term).collect()
    }
    fn both<const N: usize>(
        &self,
        name: &str,
        counts: [usize; 2],
        types: usize,
    ) -> Result<Vec<Entry<N>>, SpecError> {
        let mut all = self.list(&format!("{name}_INC_HYDROGEN"), counts[0], types)?;
        all.extend(self.list(&format!("{name}_WITHOUT_HYDROGEN"), counts[1], types)?);
        Ok(all)
    }
    fn bonds(&self, counts: [usize; 2], types: usize, model: &mut MolecularModel) -> Result<(), SpecError> {
        let k = self.s.reals("BOND_FORCE_CONSTANT", types)?;
        let r0 = self.s.reals("BOND_EQUIL_VALUE", types)?;
        for (atoms, _, t) in self.both::<2>("BONDS", counts, types)? {
            let length = Some(r0[t]).filter(|r| *r > 0.0);
            model.topology.bonds.push(Bond { atoms, length });
            // the distances of extra points are kept by construction
            if atoms.iter().all(|a| model.masses[*a as usize] > 0.0) {
                model.bonded.bonds.push((atoms, BondForm::Harmonic { k: 2.0 * KCAL * k[t], r0: r0[t] }));
            }
        }
        Ok(())
    }
    fn angles(&self, counts: [usize; 2], types: usize, model: &mut MolecularModel) -> Result<(), SpecError> {
        let k = self.s.reals("ANGLE_FORCE_CONSTANT", types)?;
        let theta0 = self.s.reals("ANGLE_EQUIL_VALUE", types)?;
        for (atoms, _, t) in self.both::<3>("ANGLES", counts, types)? {
            model.topology.angles.push(Angle { atoms, angle: Some(theta0[t]) });
            model
                .bonded
                .angles
                .push((atoms, AngleForm::Harmonic { k: 2.0 * KCAL * k[t], theta0: theta0[t] }));
        }
        Ok(())
    }
    /// The terms of CHARMM force fields: K (r - r0)² between the ends of angles and K (ψ - ψ0)². Atoms count from 1 here.
    fn charmm(&self, model: &mut MolecularModel) -> Result<(), SpecError> {
        let s = self.s;
        let counts = |flag: &str, of: usize| match s.has(flag) {
            true => s.integers(flag, of)?.into_iter().map(|x| s.count(flag, x)).collect(),
            false => Ok(vec![0; of]),
        };
        let springs: Vec<usize> = counts("CHARMM_UREY_BRADLEY_COUNT", 2)?;
        let numbers = |name: &str, count: usize| if count == 0 { Ok(vec![]) } else { s.reals(name, count) };
        let k = numbers("CHARMM_UREY_BRADLEY_FORCE_CONSTANT", springs[1])?;
        let r0 = numbers("CHARMM_UREY_BRADLEY_EQUIL_VALUE", springs[1])?;
        for (atoms, t) in self.counted::<2>("CHARMM_UREY_BRADLEY", springs[0], springs[1])? {
            let form = BondForm::Harmonic { k: 2.0 * KCAL * k[t], r0: r0[t] };
            model.bonded.urey_bradley.push((atoms, form));
        }
        let terms = counts("CHARMM_NUM_IMPROPERS", 1)?[0];
        let types = counts("CHARMM_NUM_IMPR_TYPES", 1)?[0];
        let k = numbers("CHARMM_IMPROPER_FORCE_CONSTANT", types)?;
        let psi = numbers("CHARMM_IMPROPER_PHASE", types)?;
        for (atoms, t) in self.counted::<4>("CHARMM_IMPROPERS", terms, types)? {
            let form = DihedralForm::Harmonic { k: 2.0 * KCAL * k[t], phi0: psi[t] };
            model.bonded.impropers.push((atoms, form));
        }
        Ok(())
    }
    /// The lines of a list whose atoms and types count from 1.
    fn counted<const N: usize>(
        &self,
        flag: &str,
        count: usize,
        types: usize,
    ) -> Result<Vec<([u32; N], usize)>, SpecError> {
        let s = self.s;
        if count == 0 {
            return Ok(vec![]);
        }
        let place = |x: i64, most: usize, what: &str| {
            let place = usize::try_from(x).ok().and_then(|k| k.checked_sub(1)).filter(|k| *k < most);
            place.ok_or_else(|| s.error(flag, format!("there is no {what} {x} for {flag}")))
        };
        let numbers = s.integers(flag, count * (N + 1))?;
        let term = |t: &[i64]| {
            let mut atoms = [0; N];
            for (a, x) in atoms.iter_mut().zip(t) {
                *a = place(*x, self.n, "atom")? as u32;
            }
            Ok((atoms, place(t[N], types, "type")?))
        };
        numbers.chunks_exact(N + 1).map(term).collect()
    }
    fn dihedrals(
        &self,
        counts: [usize; 2],
        types: usize,
        model: &mut MolecularModel,
    ) -> Result<OneFour, SpecError> {
        let s = self.s;
        let k = s.reals("DIHEDRAL_FORCE_CONSTANT", types)?;
        let period = s.reals("DIHEDRAL_PERIODICITY", types)?;
        let phase = s.reals("DIHEDRAL_PHASE", types)?;
        let scale = |flag: &str, default: f64| match (s.has(flag), s.chamber) {
            (true, _) => s.reals(flag, types),
            (false, chamber) => Ok(vec![if chamber { 1.0 } else { default }; types]),
        };
        let (scee, scnb) = (scale("SCEE_SCALE_FACTOR", 1.2)?, scale("SCNB_SCALE_FACTOR", 2.0)?);
        let mut one_four = OneFour::new();
        for (atoms, negative, t) in self.both::<4>("DIHEDRALS", counts, types)? {
            let n = period[t].abs().round();
            if (period[t].abs() - n).abs() > 1e-6 || n > 100.0 {
                return Err(s.error("DIHEDRAL_PERIODICITY", format!("{} is no whole number", period[t])));
            }
            let form = DihedralForm::Periodic { k: KCAL * k[t], n: n as u32, phase: phase[t] };
            let improper = negative[3];
            let list = if improper { &mut model.bonded.impropers } else { &mut model.bonded.dihedrals };
            if k[t] != 0.0 {
                list.push((atoms, form));
            }
            if !negative[2] && !improper {
                let factor = |x: f64| if x == 0.0 { 0.0 } else { 1.0 / x };
                let pair = [atoms[0].min(atoms[3]), atoms[0].max(atoms[3])];
                one_four.insert(pair, [factor(scee[t]), factor(scnb[t])]);
            }
        }
        Ok(one_four)
    }
}

fn exceptions(
    s: &Sections<'_>,
    n: usize,
    count: usize,
    one_four: &OneFour,
    one_four_table: &LennardJonesTypes,
    model: &mut MolecularModel,
) -> Result<(), SpecError> {
    let numbers = s.integers("NUMBER_EXCLUDED_ATOMS", n)?;
    let list = s.integers("EXCLUDED_ATOMS_LIST", count)?;
    let mut at = 0;
    let mut pairs = std::collections::BTreeSet::new();
    for (i, number) in numbers.iter().enumerate() {
        let number = usize::try_from(*number).ok().filter(|k| at + k <= list.len()).ok_or_else(|| {
            s.error("NUMBER_EXCLUDED_ATOMS", format!("atom {} has {number} excluded atoms", i + 1))
        })?;
        for &j in &list[at..at + number] {
            match usize::try_from(j).ok().filter(|j| *j <= n) {
                Some(0) => {}
                Some(j) if j - 1 != i => {
                    let j = j - 1;
                    pairs.insert([i.min(j) as u32, i.max(j) as u32]);
                }
                _ => return Err(s.error("EXCLUDED_ATOMS_LIST", format!("atom {} excludes {j}", i + 1))),
            }
        }
        at += number;
    }
    pairs.extend(one_four.keys().filter(|p| p[0] != p[1]));
    for atoms in pairs {
        let [i, j] = atoms.map(|a| a as usize);
        let [coulomb, dispersion] = one_four.get(&atoms).copied().unwrap_or([0.0; 2]);
        let [c12, c6] = one_four_table.get(model.types[i] as usize, model.types[j] as usize);
        model.exceptions.push(ExceptionPair {
            atoms,
            charges: coulomb * model.charges[i] * model.charges[j],
            c12: dispersion * c12,
            c6: dispersion * c6,
        });
    }
    Ok(())
}

fn cmaps(s: &Sections<'_>, n: usize, model: &mut MolecularModel) -> Result<(), SpecError> {
    let Some(prefix) = ["", "CHARMM_"].into_iter().find(|p| s.has(&format!("{p}CMAP_COUNT"))) else {
        return Ok(());
    };
    let flag = |name: &str| format!("{prefix}CMAP_{name}");
    let counts = s.integers(&flag("COUNT"), 2)?;
    let [terms, types] = [s.count(&flag("COUNT"), counts[0])?, s.count(&flag("COUNT"), counts[1])?];
    let mut maps = Vec::new();
    for (k, size) in s.integers(&flag("RESOLUTION"), types)?.into_iter().enumerate() {
        let grid_flag = flag(&format!("PARAMETER_{:02}", k + 1));
        let size = usize::try_from(size).ok().filter(|n| (3..=1000).contains(n)).ok_or_else(|| {
            s.error(&flag("RESOLUTION"), format!("a map of {size} points along one direction is impossible"))
        })?;
        let grid = s.reals(&grid_flag, size * size)?;
        // the file begins at -180 degrees and runs over the second angle first
        let shifted = |i: usize| (i + size / 2) % size;
        let energies: Vec<f64> =
            (0..size * size).map(|p| KCAL * grid[size * shifted(p % size) + shifted(p / size)]).collect();
        maps.push(Arc::new(Map::new(size, &energies).map_err(|e| s.error(&grid_flag, e.message))?));
    }
    let index = flag("INDEX");
    for t in s.integers(&index, 6 * terms)?.chunks_exact(6) {
        let atom = |k: usize| {
            let place = usize::try_from(t[k]).ok().and_then(|a| a.checked_sub(1)).filter(|a| *a < n);
            place.map(|a| a as u32).ok_or_else(|| s.error(&index, format!("there is no atom {}", t[k])))
        };
        let [a, b, c, d, e] = [atom(0)?, atom(1)?, atom(2)?, atom(3)?, atom(4)?];
        let map = usize::try_from(t[5]).ok().and_then(|k| maps.get(k.checked_sub(1)?));
        let map = map.ok_or_else(|| s.error(&index, format!("there is no map {}", t[5])))?;
        model.bonded.cmaps.push(([a, b, c, d, b, c, d, e], CmapForm(map.clone())));
    }
    Ok(())
}

/// Places the massless points of four- and five-site water.
fn extra_points(s: &Sections<'_>, model: &mut MolecularModel) -> Result<(), SpecError> {
    if model.masses.iter().all(|m| *m > 0.0) {
        return Ok(());
    }
    let of = model.topology.residue_of.clone();
    let mut residues: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (i, r) in of.iter().enumerate() {
        residues.entry(*r).or_default().push(i as u32);
    }
    let mut lengths: HashMap<[u32; 2], f64> = HashMap::new();
    for b in &model.topology.bonds {
        lengths.extend(b.length.map(|l| ([b.atoms[0].min(b.atoms[1]), b.atoms[0].max(b.atoms[1])], l)));
    }
    let mut angles: HashMap<u32, f64> = HashMap::new();
    for a in &model.topology.angles {
        angles.extend(a.angle.map(|x| (a.atoms[1], x)));
    }
    for atoms in residues.values() {
        let (points, real): (Vec<u32>, Vec<u32>) =
            atoms.iter().partition(|a| model.masses[**a as usize] == 0.0);
        if points.is_empty() {
            continue;
        }
        let refuse = || {
            let name = model.topology.atom_names.get(points[0] as usize).cloned().unwrap_or_default();
            let message = format!(
                "atom {} ({name}) is an extra point outside of a water molecule with three atoms, which is not supported",
                points[0] + 1
            );
            s.error("MASS", message)
        };
        let &[o, h1, h2] = real.as_slice() else { return Err(refuse()) };
        let length = |a: u32, b: u32| lengths.get(&[a.min(b), a.max(b)]).copied();
        let (Some(oh), Some(oe)) = (length(o, h1), length(o, points[0])) else { return Err(refuse()) };
        let hh = length(h1, h2).or_else(|| angles.get(&o).map(|a| 2.0 * oh * (0.5 * a).sin()));
        let Some(hh) = hh else { return Err(refuse()) };
        // the bisector of the angle at O, from O to the middle of the hydrogen atoms
        let middle = (oh * oh - 0.25 * hh * hh).sqrt();
        match points.as_slice() {
            [p] => {
                let w = oe / middle;
                let kind =
                    SiteKind::ThreeAverage { parents: [o, h1, h2], weights: [1.0 - w, 0.5 * w, 0.5 * w] };
                model.topology.virtual_sites.push(VirtualSite { site: *p, kind });
            }
            [p, q] => {
                // half the tetrahedral angle out of the plane, behind the oxygen atom
                let half = 0.5 * (-1.0f64 / 3.0).acos();
                let w = -oe * half.cos() / middle;
                let cross = oe * half.sin() / (middle * hh);
                for (site, sign) in [(*p, 1.0), (*q, -1.0)] {
                    let (w12, w13) = (0.5 * w, 0.5 * w);
                    let kind = SiteKind::OutOfPlane { parents: [o, h1, h2], w12, w13, cross: sign * cross };
                    model.topology.virtual_sites.push(VirtualSite { site, kind });
                }
            }
            _ => return Err(refuse()),
        }
    }
    let site: Vec<bool> = model.masses.iter().map(|m| *m == 0.0).collect();
    model.bonded.angles.retain(|(a, _)| a.iter().all(|a| !site[*a as usize]));
    model.topology.angles.retain(|a| a.atoms.iter().all(|a| !site[*a as usize]));
    model.topology.bonds.retain(|b| b.atoms.iter().all(|a| !site[*a as usize]));
    Ok(())
}
