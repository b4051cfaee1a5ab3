//! LAMMPS: data files with coefficient sections (`write_data`), atom styles atomic, charge, molecular and full.
//!
//! Styles stand behind the titles of the sections (`Pair Coeffs # lj/cut/coul/long`) or in the input. Units `real`
//! (Å, kcal/mol, fs) or `metal` (Å, eV, ps). Source: the LAMMPS documentation.
mod pairs;

use super::model::{KCAL_PER_MOL, MOST_TYPES, MolecularModel};
use super::text::{TextFile, real};
use crate::bonded::{AngleForm, BondForm, DihedralForm};
use crate::electrostatics::{Exclusions, ScaledPair};
use crate::nonbonded::ExceptionPair;
use caloron_engine::topology::{Angle, Bond, Residue};
use caloron_engine::{Cell, Mat3, SpecError, Vec3, elements, units};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// What a LAMMPS data file does not say.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LammpsStyles {
    /// Units of the file: "real" or "metal". Default: those of its title, as `write_data` writes them.
    pub units: Option<String>,
    /// Atom style. Default: that behind the title `Atoms`.
    pub atom: Option<String>,
    /// Pair style, such as "lj/cut/coul/long" or, with cutoffs in Å as in an input script, "hybrid/overlay buck 8 coul/long 10". Default: that
    /// behind the title of the section.
    pub pair: Option<String>,
    /// Arguments of `pair_coeff` commands that come after the coefficients of the file, such as "1 2 buck 1388.8 0.3623 175.0" or
    /// "* * coul/long". Default: none.
    #[serde(default)]
    pub pair_coeff: Vec<String>,
    /// Bond style. Default: as for `pair`.
    pub bond: Option<String>,
    /// Angle style. Default: as for `pair`.
    pub angle: Option<String>,
    /// Dihedral style. Default: as for `pair`.
    pub dihedral: Option<String>,
    /// Improper style. Default: as for `pair`.
    pub improper: Option<String>,
    /// `special_bonds lj`: factors of Lennard-Jones pairs one, two and three bonds apart. Default: 0, 0, 0.
    pub special_lj: Option<[f64; 3]>,
    /// `special_bonds coul`: factors of Coulomb pairs. Default: 0, 0, 0.
    pub special_coul: Option<[f64; 3]>,
    /// `pair_modify mix`: "geometric", "arithmetic" or "sixthpower". Default: geometric (arithmetic for lj/charmm styles), as in LAMMPS.
    pub mix: Option<String>,
}

/// A pair at the ends of a `charmm` dihedral, which interacts with this weight.
type Weight = ([u32; 2], f64);

/// A row: its line and its words.
type Row<'a> = (usize, Vec<&'a str>);

/// A section: its style and its rows with their lines.
#[derive(Default)]
struct Section<'a> {
    line: usize,
    style: Option<&'a str>,
    rows: Vec<Row<'a>>,
}

const SECTIONS: [&str; 14] = [
    "Masses",
    "Atoms",
    "Velocities",
    "Bonds",
    "Angles",
    "Dihedrals",
    "Impropers",
    "Pair Coeffs",
    "PairIJ Coeffs",
    "Bond Coeffs",
    "Angle Coeffs",
    "Dihedral Coeffs",
    "Improper Coeffs",
    "Atom Type Labels",
];

struct Data<'a> {
    file: &'a TextFile,
    sections: BTreeMap<&'a str, Section<'a>>,
    lo: [f64; 3],
    hi: [f64; 3],
    tilt: [f64; 3],
    types: usize,
}

/// Reads a data file.
///
/// # Errors
/// What is wrong or not supported, with file and line.
pub fn read(path: &Path, styles: &LammpsStyles) -> Result<MolecularModel, SpecError> {
    let file = TextFile::read("lammps", path)?;
    let data = Data::read(&file)?;
    let scales = Scales::of(&file, styles)?;
    let mut model = MolecularModel { format: "LAMMPS", ..MolecularModel::default() };
    model.settings.constant = Some(scales.constant);
    model.settings.dispersion_correction = Some(false);
    let ids = data.atoms(styles, &scales, &mut model)?;
    let weights = data.bonded(styles, &scales, &ids, &mut model)?;
    let pairs = data.pairs(styles, &scales, &mut model)?;
    data.special(styles, &mut model)?;
    if !pairs.charged {
        model.charges.iter_mut().for_each(|q| *q = 0.0);
        model.exceptions.iter_mut().for_each(|e| e.charges = 0.0);
    }
    pairs.weigh(&data, &weights, &mut model)?;
    Ok(model)
}

/// Units of a file.
struct Scales {
    energy: f64,
    velocity: f64,
    constant: f64,
}

impl Scales {
    fn of(file: &TextFile, styles: &LammpsStyles) -> Result<Self, SpecError> {
        let title = file.text.lines().next().unwrap_or_default();
        let stated = title.split("units = ").nth(1).and_then(|u| u.split([',', ' ']).next());
        match styles.units.as_deref().or(stated) {
            Some("real") => Ok(Self {
                energy: KCAL_PER_MOL,
                velocity: 1.0 / units::FEMTOSECOND,
                constant: 332.06371 * KCAL_PER_MOL,
            }),
            Some("metal") => {
                Ok(Self { energy: 1.0, velocity: 1e-3 / units::FEMTOSECOND, constant: 14.399645 })
            }
            Some(other) => {
                Err(SpecError::new("lammps_styles.units", format!("the units `{other}` are not supported"))
                    .hint("\"real\" and \"metal\" are"))
            }
            None => Err(file
                .error(1, "the title does not state the units of the file")
                .hint("add `lammps_styles = { units = \"real\" }`")),
        }
    }
}

impl<'a> Data<'a> {
    fn read(file: &'a TextFile) -> Result<Self, SpecError> {
        let mut data =
            Self { file, sections: BTreeMap::new(), lo: [0.0; 3], hi: [0.0; 3], tilt: [0.0; 3], types: 0 };
        let mut current: Option<&'a str> = None;
        let mut boxed = [false; 3];
        for (k, line) in file.text.lines().enumerate().skip(1) {
            let number = k + 1;
            let (content, comment) = match line.split_once('#') {
                Some((content, comment)) => (content.trim(), Some(comment.trim())),
                None => (line.trim(), None),
            };
            if content.is_empty() {
                continue;
            }
            if let Some(name) = SECTIONS.iter().find(|s| **s == content) {
                let section =
                    Section { line: number, style: comment.filter(|c| !c.is_empty()), rows: vec![] };
                if data.sections.insert(name, section).is_some() {
                    return Err(file.error(number, format!("the section {name} stands twice")));
                }
                current = Some(name);
                continue;
            }
            if content.ends_with("Coeffs") || content.ends_with("Labels") {
                return Err(file.error(number, format!("the section {content} is not supported")));
            }
            let words: Vec<&str> = content.split_whitespace().collect();
            match current.and_then(|c| data.sections.get_mut(c)) {
                Some(section) => {
                    if words[0].parse::<i64>().is_err() {
                        let message = format!("the section `{content}` is not known");
                        return Err(file.error(number, message));
                    }
                    let mut words = words;
                    // the label of a type
                    if current == Some("Masses") {
                        words.extend(comment);
                    }
                    section.rows.push((number, words));
                }
                None => data.header(number, &words, &mut boxed)?,
            }
        }
        if boxed != [true; 3] {
            return Err(file.whole("the header gives no box (xlo xhi, ylo yhi, zlo zhi)"));
        }
        Ok(data)
    }
    fn header(&mut self, line: usize, words: &[&str], boxed: &mut [bool; 3]) -> Result<(), SpecError> {
        let wrong = || self.file.error(line, format!("`{}` is no line of a header", words.join(" ")));
        let number = |k: usize| words.get(k).and_then(|w| real(w)).ok_or_else(wrong);
        match words {
            [_, _, "xlo", "xhi"] => (self.lo[0], self.hi[0], boxed[0]) = (number(0)?, number(1)?, true),
            [_, _, "ylo", "yhi"] => (self.lo[1], self.hi[1], boxed[1]) = (number(0)?, number(1)?, true),
            [_, _, "zlo", "zhi"] => (self.lo[2], self.hi[2], boxed[2]) = (number(0)?, number(1)?, true),
            [_, _, _, "xy", "xz", "yz"] => self.tilt = [number(0)?, number(1)?, number(2)?],
            [_, "atom", "types"] => {
                let n = number(0)?;
                if !(1.0..=MOST_TYPES as f64).contains(&n) {
                    return Err(self
                        .file
                        .error(line, format!("{n} atom types; 1 to {MOST_TYPES} are supported")));
                }
                self.types = n as usize;
            }
            [_, "atoms" | "bonds" | "angles" | "dihedrals" | "impropers"]
            | [_, _, "types"]
            | [_, "extra", ..] => {
                number(0)?;
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }
    fn rows(&self, name: &str) -> &[Row<'a>] {
        self.sections.get(name).map_or(&[], |s| &s.rows)
    }
    fn real(&self, row: &Row<'_>, k: usize) -> Result<f64, SpecError> {
        let word = row.1.get(k).copied().unwrap_or("nothing");
        real(word).ok_or_else(|| self.file.error(row.0, format!("expected a number, found `{word}`")))
    }
    fn integer(&self, row: &Row<'_>, k: usize) -> Result<i64, SpecError> {
        let word = row.1.get(k).copied().unwrap_or("nothing");
        word.parse().map_err(|_| self.file.error(row.0, format!("expected a whole number, found `{word}`")))
    }
    /// The style of a section: of the input, else behind its title.
    fn style(&self, section: &str, key: &str, given: Option<&str>) -> Result<String, SpecError> {
        let of_file = self.sections.get(section).and_then(|s| s.style);
        given.or(of_file).map(str::to_owned).ok_or_else(|| {
            let message = format!("nothing says the {key} style of the section {section}");
            let error = match self.sections.get(section) {
                Some(s) => self.file.error(s.line, message),
                None => self
                    .file
                    .whole(format!("there is no section {section}, and nothing says the {key} style")),
            };
            error.hint(format!("add `lammps_styles = {{ {key} = \"...\" }}`"))
        })
    }
    /// Atoms in the order of their numbers; returns their places.
    fn atoms(
        &self,
        styles: &LammpsStyles,
        scales: &Scales,
        model: &mut MolecularModel,
    ) -> Result<HashMap<i64, u32>, SpecError> {
        let style = self.style("Atoms", "atom", styles.atom.as_deref())?;
        // columns of molecule, type, charge, position
        let (molecule, kind, charge, at) = match style.as_str() {
            "atomic" => (None, 1, None, 2),
            "charge" => (None, 1, Some(2), 3),
            "molecular" | "bond" | "angle" => (Some(1), 2, None, 3),
            "full" => (Some(1), 2, Some(3), 4),
            other => {
                let line = self.sections.get("Atoms").map_or(1, |s| s.line);
                return Err(self
                    .file
                    .error(line, format!("the atom style `{other}` is not supported"))
                    .hint("atomic, charge, molecular and full are"));
            }
        };
        let mut masses = vec![None; self.types];
        for row in self.rows("Masses") {
            let t = self.type_index(row, 0, self.types)?;
            masses[t] = Some((self.real(row, 1)?, row.1.get(2).copied()));
        }
        let mut rows: Vec<(i64, &Row<'_>)> = self
            .rows("Atoms")
            .iter()
            .map(|r| Ok((self.integer(r, 0)?, r)))
            .collect::<Result<_, SpecError>>()?;
        rows.sort_by_key(|r| r.0);
        let [a, b, c] = std::array::from_fn(|k| self.hi[k] - self.lo[k]);
        let [xy, xz, yz] = self.tilt;
        let h = Mat3::new(a, xy, xz, 0.0, b, yz, 0.0, 0.0, c);
        let cell = Cell::from_matrix(h, [true; 3]).map_err(|e| self.file.whole(e))?;
        let origin = Vec3::from(self.lo);
        let mut ids = HashMap::new();
        let (mut positions, mut residues) = (Vec::new(), HashMap::new());
        for (id, row) in rows {
            let t = self.type_index(row, kind, self.types)?;
            let Some((mass, label)) = masses[t] else {
                return Err(self.file.error(row.0, format!("the type {} has no mass", t + 1)));
            };
            if ids.insert(id, positions.len() as u32).is_some() {
                return Err(self.file.error(row.0, format!("the atom {id} stands twice")));
            }
            let mut r =
                Vec3::new(self.real(row, at)?, self.real(row, at + 1)?, self.real(row, at + 2)?) - origin;
            if row.1.len() >= at + 6 {
                let image = Vec3::new(
                    self.integer(row, at + 3)? as f64,
                    self.integer(row, at + 4)? as f64,
                    self.integer(row, at + 5)? as f64,
                );
                r += h * image;
            }
            positions.push(r);
            model.masses.push(mass);
            let element = label.filter(|l| elements::atomic_number(l).is_some());
            model.symbols.push(element.or_else(|| elements::by_mass(mass)).map(str::to_owned));
            model.charges.push(charge.map_or(Ok(0.0), |k| self.real(row, k))?);
            model.types.push(t as u32);
            if let Some(k) = molecule {
                let number = self.integer(row, k)?;
                let next = residues.len() as u32;
                let place = *residues.entry(number).or_insert(next);
                if place == next {
                    let (name, chain) = ("MOL".to_owned(), String::new());
                    model.topology.residues.push(Residue { name, number, chain });
                }
                model.topology.residue_of.push(place);
            }
        }
        if positions.is_empty() {
            return Err(self.file.whole("the file has no atoms"));
        }
        let velocities = self.rows("Velocities");
        if !velocities.is_empty() {
            let mut v = vec![Vec3::zeros(); positions.len()];
            for row in velocities {
                let i = self.atom(row, 0, &ids)?;
                v[i as usize] =
                    scales.velocity * Vec3::new(self.real(row, 1)?, self.real(row, 2)?, self.real(row, 3)?);
            }
            model.velocities = Some(v);
        }
        (model.positions, model.cell) = (Some(positions), Some(cell));
        Ok(ids)
    }
    fn atom(&self, row: &Row<'_>, k: usize, ids: &HashMap<i64, u32>) -> Result<u32, SpecError> {
        let id = self.integer(row, k)?;
        ids.get(&id).copied().ok_or_else(|| self.file.error(row.0, format!("there is no atom {id}")))
    }
    fn type_index(&self, row: &Row<'_>, k: usize, count: usize) -> Result<usize, SpecError> {
        let t = self.integer(row, k)?;
        usize::try_from(t - 1)
            .ok()
            .filter(|t| *t < count)
            .ok_or_else(|| self.file.error(row.0, format!("the type {t} is not among 1 to {count}")))
    }
    /// The coefficients of bonded types, by their number. With the style `hybrid` every row names its own style after the
    /// number.
    fn coefficients<T>(
        &self,
        section: &str,
        style: &str,
        form: impl Fn(&Row<'_>, &str) -> Result<T, SpecError>,
    ) -> Result<HashMap<i64, T>, SpecError> {
        let hybrid = style.split_whitespace().next() == Some("hybrid");
        let one = |row: &Row<'_>| {
            let number = self.integer(row, 0)?;
            if !hybrid {
                return Ok((number, form(row, style)?));
            }
            let mut words = row.1.clone();
            if words.len() < 2 || real(words[1]).is_some() {
                return Err(self
                    .file
                    .error(row.0, "with the style hybrid each row names its style after the number"));
            }
            let own = words.remove(1);
            Ok((number, form(&(row.0, words), own)?))
        };
        self.rows(section).iter().map(one).collect()
    }
    /// The terms of a list with the forms of their types.
    fn terms<T: Clone, const N: usize>(
        &self,
        list: &str,
        forms: &HashMap<i64, T>,
        ids: &HashMap<i64, u32>,
    ) -> Result<Vec<([u32; N], T)>, SpecError> {
        let term = |row: &Row<'_>| {
            let kind = self.integer(row, 1)?;
            let form = forms.get(&kind);
            let form = form.ok_or_else(|| {
                self.file.error(row.0, format!("the type {kind} of {list} has no coefficients"))
            })?;
            let mut atoms = [0; N];
            for (k, a) in atoms.iter_mut().enumerate() {
                *a = self.atom(row, 2 + k, ids)?;
            }
            Ok((atoms, form.clone()))
        };
        self.rows(list).iter().map(term).collect()
    }
    fn unsupported<T>(&self, section: &str, style: &str, known: &str) -> Result<T, SpecError> {
        let line = self.sections.get(section).map_or(1, |s| s.line);
        let message = format!("the style `{style}` of {section} is not supported");
        Err(self.file.error(line, message).hint(format!("supported are {known}")))
    }
    fn bonded(
        &self,
        styles: &LammpsStyles,
        scales: &Scales,
        ids: &HashMap<i64, u32>,
        model: &mut MolecularModel,
    ) -> Result<Vec<Weight>, SpecError> {
        let mut weights = Vec::new();
        let e = scales.energy;
        let used = |list: &str| !self.rows(list).is_empty();
        if used("Bonds") {
            let style = self.style("Bond Coeffs", "bond", styles.bond.as_deref())?;
            let forms = self.coefficients("Bond Coeffs", &style, |row, style| {
                let p = |k: usize| self.real(row, k);
                Ok(Some(match style {
                    "harmonic" => BondForm::Harmonic { k: 2.0 * e * p(1)?, r0: p(2)? },
                    "morse" => BondForm::Morse { depth: e * p(1)?, a: p(2)?, r0: p(3)? },
                    "class2" => BondForm::Quartic { r0: p(1)?, c: [e * p(2)?, e * p(3)?, e * p(4)?] },
                    "zero" => return Ok(None),
                    other => return self.unsupported("Bond Coeffs", other, "harmonic, morse, class2, zero"),
                }))
            })?;
            for (atoms, form) in self.terms::<_, 2>("Bonds", &forms, ids)? {
                let length = match &form {
                    Some(
                        BondForm::Harmonic { r0, .. }
                        | BondForm::Morse { r0, .. }
                        | BondForm::Quartic { r0, .. },
                    ) => Some(*r0),
                    _ => None,
                };
                model.topology.bonds.push(Bond { atoms, length: length.filter(|r| *r > 0.0) });
                model.bonded.bonds.extend(form.map(|f| (atoms, f)));
            }
        }
        if used("Angles") {
            let style = self.style("Angle Coeffs", "angle", styles.angle.as_deref())?;
            let forms = self.coefficients("Angle Coeffs", &style, |row, style| {
                let p = |k: usize| self.real(row, k);
                let theta = |k: usize| Ok::<f64, SpecError>(self.real(row, k)?.to_radians());
                let mut urey = None;
                let (form, angle) = match style {
                    "harmonic" => {
                        (AngleForm::Harmonic { k: 2.0 * e * p(1)?, theta0: theta(2)? }, Some(theta(2)?))
                    }
                    "charmm" => {
                        let spring = BondForm::Harmonic { k: 2.0 * e * p(3)?, r0: p(4)? };
                        urey = Some(spring).filter(|_| p(3).is_ok_and(|k| k != 0.0));
                        (AngleForm::Harmonic { k: 2.0 * e * p(1)?, theta0: theta(2)? }, Some(theta(2)?))
                    }
                    "cosine" => (AngleForm::Cosine { k: e * p(1)? }, None),
                    "cosine/squared" => {
                        let cos0 = theta(2)?.cos();
                        (AngleForm::CosineSquared { k: 2.0 * e * p(1)?, cos0 }, Some(theta(2)?))
                    }
                    "zero" => return Ok((None, None, None)),
                    other => {
                        let known = "harmonic, charmm, cosine, cosine/squared, zero";
                        return self.unsupported("Angle Coeffs", other, known);
                    }
                };
                Ok((Some(form), angle, urey))
            })?;
            for (atoms, (form, angle, urey)) in self.terms::<_, 3>("Angles", &forms, ids)? {
                model.topology.angles.push(Angle { atoms, angle });
                model.bonded.angles.extend(form.map(|f| (atoms, f)));
                model.bonded.urey_bradley.extend(urey.map(|f| ([atoms[0], atoms[2]], f)));
            }
        }
        if used("Dihedrals") {
            let style = self.style("Dihedral Coeffs", "dihedral", styles.dihedral.as_deref())?;
            let forms =
                self.coefficients("Dihedral Coeffs", &style, |row, style| self.dihedral(row, style, e))?;
            for (atoms, (forms, weight)) in self.terms::<_, 4>("Dihedrals", &forms, ids)? {
                model.bonded.dihedrals.extend(forms.into_iter().map(|f| (atoms, f)));
                if weight != 0.0 {
                    weights.push(([atoms[0].min(atoms[3]), atoms[0].max(atoms[3])], weight));
                }
            }
        }
        if used("Impropers") {
            let style = self.style("Improper Coeffs", "improper", styles.improper.as_deref())?;
            let forms = self.coefficients("Improper Coeffs", &style, |row, style| match style {
                "cvff" => Ok(Some(self.cosine(row, e)?)),
                "harmonic" => {
                    let (k, phi0) = (2.0 * e * self.real(row, 1)?, self.real(row, 2)?.to_radians());
                    // the sign of the angle does not matter where the minimum is planar
                    Ok(Some(match phi0 == 0.0 || phi0 == std::f64::consts::PI {
                        true => DihedralForm::Harmonic { k, phi0 },
                        false => DihedralForm::HarmonicUnsigned { k, phi0 },
                    }))
                }
                "zero" => Ok(None),
                other => self.unsupported("Improper Coeffs", other, "harmonic, cvff, zero"),
            })?;
            for (atoms, form) in self.terms::<_, 4>("Impropers", &forms, ids)? {
                model.bonded.impropers.extend(form.map(|f| (atoms, f)));
            }
        }
        Ok(weights)
    }
    fn multiplicity(&self, row: &Row<'_>, k: usize) -> Result<u32, SpecError> {
        let n = self.integer(row, k)?;
        u32::try_from(n)
            .ok()
            .filter(|n| *n <= 100)
            .ok_or_else(|| self.file.error(row.0, format!("the multiplicity {n} is out of range")))
    }
    /// K (1 + d cos(n φ)) of K, d = ±1, n.
    fn cosine(&self, row: &Row<'_>, e: f64) -> Result<DihedralForm, SpecError> {
        let phase = match self.integer(row, 2)? {
            1 => 0.0,
            -1 => std::f64::consts::PI,
            d => return Err(self.file.error(row.0, format!("d must be 1 or -1, not {d}"))),
        };
        Ok(DihedralForm::Periodic { k: e * self.real(row, 1)?, n: self.multiplicity(row, 3)?, phase })
    }
    /// The forms of a dihedral, and the weight of the pair at its ends.
    fn dihedral(&self, row: &Row<'_>, style: &str, e: f64) -> Result<(Vec<DihedralForm>, f64), SpecError> {
        let p = |k: usize| self.real(row, k);
        let mut weight = 0.0;
        let forms = match style {
            "harmonic" => vec![self.cosine(row, e)?],
            "charmm" => {
                weight = p(4)?;
                if !(0.0..=1.0).contains(&weight) {
                    return Err(self
                        .file
                        .error(row.0, format!("the weight {weight} is not between 0 and 1")));
                }
                let (n, phase) = (self.multiplicity(row, 2)?, p(3)?.to_radians());
                vec![DihedralForm::Periodic { k: e * p(1)?, n, phase }]
            }
            "opls" => vec![DihedralForm::Fourier { v: [e * p(1)?, e * p(2)?, e * p(3)?, e * p(4)?] }],
            "multi/harmonic" => {
                // powers of cos φ = -cos(φ - π)
                let c = [e * p(1)?, -e * p(2)?, e * p(3)?, -e * p(4)?, e * p(5)?, 0.0];
                vec![DihedralForm::RyckaertBellemans { c }]
            }
            "fourier" => {
                let m = self.multiplicity(row, 1)? as usize;
                (0..m)
                    .map(|t| {
                        let at = 2 + 3 * t;
                        let (n, phase) = (self.multiplicity(row, at + 1)?, p(at + 2)?.to_radians());
                        Ok(DihedralForm::Periodic { k: e * p(at)?, n, phase })
                    })
                    .collect::<Result<_, SpecError>>()?
            }
            "zero" => vec![],
            other => {
                let known = "harmonic, charmm, opls, multi/harmonic, fourier, zero";
                return self.unsupported("Dihedral Coeffs", other, known);
            }
        };
        Ok((forms, weight))
    }
    /// Exceptions by the number of bonds between atoms.
    fn special(&self, styles: &LammpsStyles, model: &mut MolecularModel) -> Result<(), SpecError> {
        let (lj, coul) = (styles.special_lj.unwrap_or_default(), styles.special_coul.unwrap_or_default());
        if let Some(x) = lj.iter().chain(&coul).find(|x| !(0.0..=1.0).contains(*x)) {
            return Err(SpecError::new("lammps_styles", format!("the factor {x} is not between 0 and 1")));
        }
        let n = model.len();
        let direct: Vec<ScaledPair> =
            model.topology.bonds.iter().map(|b| ScaledPair::excluded(b.atoms[0], b.atoms[1])).collect();
        let bonded = Exclusions::new(n, &direct).map_err(|e| self.file.whole(e.message))?;
        for i in 0..n as u32 {
            let mut seen = BTreeSet::from([i]);
            let mut shell = vec![i];
            for (lj, coul) in lj.into_iter().zip(coul) {
                let mut next = Vec::new();
                for &a in &shell {
                    next.extend(
                        bonded.partners(a as usize).iter().map(|p| p.atom).filter(|b| seen.insert(*b)),
                    );
                }
                for &j in next.iter().filter(|j| **j > i) {
                    let [a, b] = [i as usize, j as usize];
                    let [c12, c6] = model.lennard_jones.get(model.types[a] as usize, model.types[b] as usize);
                    let charges = coul * model.charges[a] * model.charges[b];
                    let atoms = [i, j];
                    model.exceptions.push(ExceptionPair { atoms, charges, c12: lj * c12, c6: lj * c6 });
                    if lj != 0.0 && !model.pair_styles.tables.is_empty() {
                        model.pair_styles.scaled.push((atoms, lj));
                    }
                }
                shell = next;
            }
        }
        Ok(())
    }
}
