//! Pair styles of LAMMPS: one for all pairs, or several (`hybrid`, `hybrid/overlay`), from data files and `pair_coeff` lines.
use super::super::model::FileMethod;
use super::{Data, LammpsStyles, MolecularModel, Scales, Weight, real};
use crate::nonbonded::{Combination, LennardJonesTypes, coefficients};
use crate::pair::{Truncation, TypedForm, TypedPair, TypedPairs};
use caloron_engine::{Quantity, SpecError};
use std::collections::BTreeMap;
use std::ops::Range;

/// What a style is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Core {
    LennardJones,
    /// With CHARMM's switching and numbers of 1-4 pairs.
    Charmm,
    Buckingham,
    Born,
    Morse,
    Mie,
    /// Charges alone, or nothing.
    None,
}

/// How a style treats charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charge {
    None,
    Cut,
    Long,
    /// With lattice sums of the dispersion.
    LongDispersion,
}

const STYLES: [(&str, Core, Charge); 15] = [
    ("lj/cut", Core::LennardJones, Charge::None),
    ("lj/cut/coul/cut", Core::LennardJones, Charge::Cut),
    ("lj/cut/coul/long", Core::LennardJones, Charge::Long),
    ("lj/long/coul/long", Core::LennardJones, Charge::LongDispersion),
    ("lj/charmm/coul/long", Core::Charmm, Charge::Long),
    ("buck", Core::Buckingham, Charge::None),
    ("buck/coul/cut", Core::Buckingham, Charge::Cut),
    ("buck/coul/long", Core::Buckingham, Charge::Long),
    ("born", Core::Born, Charge::None),
    ("born/coul/long", Core::Born, Charge::Long),
    ("morse", Core::Morse, Charge::None),
    ("mie/cut", Core::Mie, Charge::None),
    ("coul/cut", Core::None, Charge::Cut),
    ("coul/long", Core::None, Charge::Long),
    ("zero", Core::None, Charge::None),
];

/// One of the styles of a line.
#[derive(Clone, Debug)]
struct Style {
    name: String,
    core: Core,
    charge: Charge,
    arguments: Vec<f64>,
}

impl Style {
    fn find(name: &str) -> Option<(Core, Charge)> {
        STYLES.iter().find(|s| s.0 == name).map(|s| (s.1, s.2))
    }
    /// The cutoff of the core, of the line.
    fn cutoff(&self) -> Option<f64> {
        let at = usize::from(self.core == Core::Charmm);
        self.arguments.get(at).copied()
    }
    /// The cutoff of the charges, of the line.
    fn charge_cutoff(&self) -> Option<f64> {
        match self.charge {
            Charge::None => None,
            _ => self.arguments.last().copied(),
        }
    }
    /// Number of coefficients of a row, without its cutoffs, and how many cutoffs it may have.
    fn row(&self) -> (usize, usize) {
        let own = match self.core {
            Core::LennardJones => 2,
            Core::Charmm => 4,
            Core::Buckingham | Core::Morse => 3,
            Core::Born => 5,
            Core::Mie => 4,
            Core::None => 0,
        };
        let cutoffs = match (self.core, self.charge) {
            (Core::Charmm, _) | (Core::None, Charge::Long) => 0,
            (_, Charge::Cut) if self.core != Core::None => 2,
            _ => 1,
        };
        (own, cutoffs)
    }
}

/// What a line says of a pair with one of the styles.
#[derive(Clone, Debug)]
struct Assigned {
    style: usize,
    values: Vec<f64>,
    cutoff: Option<f64>,
}

/// What pairs of a file add up to.
pub(super) struct Pairs {
    /// Whether charges interact.
    pub charged: bool,
    /// Numbers of pairs at the ends of dihedrals by pairs of types, where a style has them.
    one_four: Option<LennardJonesTypes>,
}

impl Pairs {
    /// Gives pairs at the ends of `charmm` dihedrals their interactions.
    pub fn weigh(
        &self,
        data: &Data<'_>,
        weights: &[Weight],
        model: &mut MolecularModel,
    ) -> Result<(), SpecError> {
        if weights.is_empty() {
            return Ok(());
        }
        let Some(table) = &self.one_four else {
            let message = "charmm dihedrals with a 1-4 weight need a pair style of CHARMM";
            return Err(data
                .file
                .whole(message)
                .hint("lammps_styles = { pair = \"lj/charmm/coul/long 8 10\" }, or weights of 0"));
        };
        let places: BTreeMap<[u32; 2], usize> =
            model.exceptions.iter().enumerate().map(|(k, e)| (e.atoms, k)).collect();
        for (atoms, weight) in weights {
            let Some(&k) = places.get(atoms) else {
                let [i, j] = atoms.map(|a| a + 1);
                let message = format!(
                    "the atoms in places {i} and {j} end a charmm dihedral and are not three bonds apart"
                );
                return Err(data.file.whole(message));
            };
            let [i, j] = atoms.map(|a| a as usize);
            let [c12, c6] = table.get(model.types[i] as usize, model.types[j] as usize);
            let pair = &mut model.exceptions[k];
            pair.charges += weight * model.charges[i] * model.charges[j];
            pair.c12 += weight * c12;
            pair.c6 += weight * c6;
        }
        Ok(())
    }
}

/// The table of a run of lines: for each pair of types the styles it has, `None` before anything is said.
struct Assignments<'a> {
    data: &'a Data<'a>,
    styles: Vec<Style>,
    hybrid: bool,
    overlay: bool,
    /// Whether the styles are those of the rows, because the line names none.
    open: bool,
    pairs: Vec<Option<Vec<Assigned>>>,
}

const KNOWN: &str = "lj/cut, lj/cut/coul/cut, lj/cut/coul/long, lj/long/coul/long, lj/charmm/coul/long, buck, buck/coul/cut, \
                     buck/coul/long, born, born/coul/long, morse, mie/cut, coul/cut, coul/long, zero, and hybrid or \
                     hybrid/overlay of them";

impl<'a> Assignments<'a> {
    /// The styles of a line such as `hybrid/overlay buck 8 coul/long 10`.
    fn new(data: &'a Data<'a>, section: &str, line: &str) -> Result<Self, SpecError> {
        let mut words = line.split_whitespace().peekable();
        let first = words.peek().copied().unwrap_or_default();
        let hybrid = matches!(first, "hybrid" | "hybrid/overlay");
        if hybrid {
            words.next();
        }
        let mut styles: Vec<Style> = Vec::new();
        for word in words {
            if let Some(x) = real(word) {
                let Some(style) = styles.last_mut() else {
                    return data.unsupported(section, line, KNOWN);
                };
                style.arguments.push(x);
                continue;
            }
            if word == "long" && styles.last().is_some_and(|s| s.name == "lj/long/coul/long") {
                continue;
            }
            let Some((core, charge)) = Style::find(word) else {
                return data.unsupported(section, word, KNOWN);
            };
            styles.push(Style { name: word.to_owned(), core, charge, arguments: vec![] });
        }
        if !hybrid && styles.len() != 1 {
            return data.unsupported(section, line, KNOWN);
        }
        if let Some(x) = styles.iter().flat_map(|s| &s.arguments).find(|x| **x <= 0.0) {
            let message = format!("the cutoff {x} of the pair style must be positive");
            return Err(SpecError::new("lammps_styles.pair", message));
        }
        let pairs = vec![None; data.types * data.types];
        Ok(Self { data, open: styles.is_empty(), styles, hybrid, overlay: first == "hybrid/overlay", pairs })
    }
    /// One row: types, then in hybrid files the style, then numbers. `error` places messages.
    fn row(
        &mut self,
        types: [Range<usize>; 2],
        words: &[&str],
        error: &dyn Fn(String) -> SpecError,
    ) -> Result<(), SpecError> {
        let n = self.data.types;
        let mut words = words;
        let mut style = 0;
        if self.hybrid {
            let Some((&name, rest)) = words.split_first().filter(|(name, _)| real(name).is_none()) else {
                let message = "with a hybrid pair style each row names its style before the numbers";
                return Err(error(message.into()));
            };
            words = rest;
            if name == "none" {
                for (i, j) in ordered(&types) {
                    self.pairs[i * n + j] = Some(vec![]);
                }
                return Ok(());
            }
            let same: Vec<usize> = (0..self.styles.len()).filter(|k| self.styles[*k].name == name).collect();
            style = match (same.as_slice(), Style::find(name)) {
                ([one], _) => *one,
                ([], Some((core, charge))) if self.open => {
                    self.styles.push(Style { name: name.to_owned(), core, charge, arguments: vec![] });
                    self.styles.len() - 1
                }
                ([], Some(_)) => {
                    return Err(error(format!(
                        "the pair style `{name}` is not among those of the style line"
                    )));
                }
                ([], None) => {
                    return Err(error(format!("the pair style `{name}` is not supported"))
                        .hint(format!("supported are {KNOWN}")));
                }
                (several, _) => {
                    // a style that is used more than once is numbered
                    let which = words.first().and_then(|w| w.parse::<usize>().ok());
                    let Some(&k) = which.and_then(|w| several.get(w.checked_sub(1)?)) else {
                        let message = format!(
                            "`{name}` is in the style line {} times: expected a number from 1 to {0} after it",
                            several.len()
                        );
                        return Err(error(message));
                    };
                    words = &words[1..];
                    k
                }
            };
        }
        let mut values = Vec::new();
        for word in words {
            values.push(real(word).ok_or_else(|| error(format!("expected a number, found `{word}`")))?);
        }
        let assigned = self.assign(style, values, error)?;
        for (i, j) in ordered(&types) {
            let place = &mut self.pairs[i * n + j];
            match place {
                Some(list) if self.overlay => {
                    list.retain(|a| a.style != style);
                    list.push(assigned.clone());
                }
                _ => *place = Some(vec![assigned.clone()]),
            }
        }
        Ok(())
    }
    /// Checks the numbers of a row.
    fn assign(
        &self,
        style: usize,
        mut values: Vec<f64>,
        error: &dyn Fn(String) -> SpecError,
    ) -> Result<Assigned, SpecError> {
        let of = &self.styles[style];
        let (count, cutoffs) = of.row();
        if of.core == Core::Charmm && values.len() == 2 {
            values.extend_from_within(..);
        }
        // `zero` takes what files hold
        if of.core == Core::None && of.charge == Charge::None {
            values.clear();
        }
        if values.len() < count || values.len() > count + cutoffs {
            let and = if cutoffs > 0 { " and its cutoffs" } else { "" };
            let message = format!("{} takes {count} numbers{and}, found {}", of.name, values.len());
            return Err(error(message));
        }
        let cuts = values.split_off(count);
        let bad = |what: &str, x: f64| Err(error(format!("the {what} of {} cannot be {x}", of.name)));
        let negative = |k: usize| values[k] < 0.0;
        match of.core {
            Core::LennardJones | Core::Charmm | Core::Mie => {
                if let Some(k) = (0..2).find(|k| negative(*k)) {
                    return bad(["depth", "distance"][k], values[k]);
                }
                if of.core == Core::Mie && !(values[3] > 0.0 && values[2] > values[3] && values[1] > 0.0) {
                    return bad("exponents or the distance", values[2]);
                }
            }
            Core::Buckingham | Core::Born if values[1] <= 0.0 => return bad("range", values[1]),
            _ => {}
        }
        if let Some(&x) = cuts.iter().find(|x| **x <= 0.0) {
            return bad("cutoff", x);
        }
        let charge_cut = if of.core == Core::None { cuts.first() } else { cuts.get(1) };
        if let Some(own) = charge_cut
            && Some(*own) != of.charge_cutoff()
        {
            let message = format!("charges with the cutoff {own} of this row alone are not supported");
            return Err(error(message).hint("one cutoff for all charges, which the style line names, is"));
        }
        let cutoff = if of.core == Core::None { None } else { cuts.first().copied().or(of.cutoff()) };
        Ok(Assigned { style, values, cutoff })
    }
    /// Mixes what is not said, as LAMMPS does: pairs of types with the same styles, where these can be mixed.
    fn mix(&mut self, used: &[bool], rule: Combination) -> Result<(), SpecError> {
        let n = self.data.types;
        for i in (0..n).filter(|i| used[*i]) {
            for j in (i..n).filter(|j| used[*j]) {
                if self.pairs[i * n + j].is_some() {
                    continue;
                }
                let missing = || {
                    let message = match i == j {
                        true => format!("the type {} has no pair coefficients", i + 1),
                        false => format!(
                            "the types {} and {} have no pair coefficients and cannot be mixed",
                            i + 1,
                            j + 1
                        ),
                    };
                    self.data.file.whole(message).hint(
                        "give them in PairIJ Coeffs or in lammps_styles = { pair_coeff = [\"...\"] }; `none` stands for no interaction",
                    )
                };
                let (Some(a), Some(b)) = (&self.pairs[i * n + i], &self.pairs[j * n + j]) else {
                    return Err(missing());
                };
                if i == j || a.len() != b.len() || a.is_empty() {
                    return Err(missing());
                }
                let mut mixed = Vec::new();
                for a in a {
                    let Some(b) = b.iter().find(|b| b.style == a.style) else { return Err(missing()) };
                    let mut both = a.clone();
                    let own = |v: &[f64], k: usize| [v[k + 1], v[k]];
                    match self.styles[a.style].core {
                        Core::LennardJones | Core::Charmm => {
                            for k in (0..a.values.len()).step_by(2) {
                                let [sigma, epsilon] = rule.of(own(&a.values, k), own(&b.values, k));
                                (both.values[k], both.values[k + 1]) = (epsilon, sigma);
                            }
                            if let (Some(x), Some(y)) = (a.cutoff, b.cutoff)
                                && x != y
                            {
                                both.cutoff = Some(rule.of([x, 0.0], [y, 0.0])[0]);
                            }
                        }
                        Core::None => {}
                        _ => return Err(missing()),
                    }
                    mixed.push(both);
                }
                self.pairs[i * n + j] = Some(mixed);
            }
        }
        Ok(())
    }
}

/// Pairs of two ranges of types, the lower one first. Of ranges, only those in this order count.
fn ordered(types: &[Range<usize>; 2]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let [a, b] = types;
    let one = a.len() == 1 && b.len() == 1;
    let pairs = a.clone().flat_map(move |i| b.clone().map(move |j| (i, j)));
    pairs.filter(move |(i, j)| one || i <= j).map(|(i, j)| (i.min(j), i.max(j)))
}

/// 0..3 of `1*3`, for types from 1 to `count`.
fn range(word: &str, count: usize) -> Option<Range<usize>> {
    let number = |w: &str| w.parse::<usize>().ok().filter(|t| (1..=count).contains(t));
    let Some((low, high)) = word.split_once('*') else { return number(word).map(|t| t - 1..t) };
    let low = if low.is_empty() { 1 } else { number(low)? };
    let high = if high.is_empty() { count } else { number(high)? };
    (low <= high).then_some(low - 1..high)
}

impl Data<'_> {
    /// The interactions of pairs of types.
    pub(super) fn pairs(
        &self,
        styles: &LammpsStyles,
        scales: &Scales,
        model: &mut MolecularModel,
    ) -> Result<Pairs, SpecError> {
        let section =
            if self.sections.contains_key("PairIJ Coeffs") { "PairIJ Coeffs" } else { "Pair Coeffs" };
        let line = self.style(section, "pair", styles.pair.as_deref())?;
        let mut table = Assignments::new(self, section, &line)?;
        let n = self.types;
        for row in self.rows("Pair Coeffs") {
            let t = self.type_index(row, 0, n)?;
            let error = |message: String| self.file.error(row.0, message);
            table.row([t..t + 1, t..t + 1], &row.1[1..], &error)?;
        }
        for row in self.rows("PairIJ Coeffs") {
            let (i, j) = (self.type_index(row, 0, n)?, self.type_index(row, 1, n)?);
            let error = |message: String| self.file.error(row.0, message);
            table.row([i..i + 1, j..j + 1], &row.1[2..], &error)?;
        }
        for (k, text) in styles.pair_coeff.iter().enumerate() {
            let error = |message: String| SpecError::new(format!("lammps_styles.pair_coeff[{k}]"), message);
            let words: Vec<&str> = text.split_whitespace().collect();
            let types = |at: usize| {
                let word = words.get(at).copied().unwrap_or("nothing");
                range(word, n).ok_or_else(|| {
                    error(format!("expected types from 1 to {n} such as 2, 1*3 or *, found `{word}`"))
                })
            };
            table.row([types(0)?, types(1)?], &words[2..], &error)?;
        }
        let charmm = table.styles.iter().any(|s| s.core == Core::Charmm);
        let rule = match styles.mix.as_deref() {
            None if charmm => Combination::LorentzBerthelot,
            None | Some("geometric") => Combination::Geometric,
            Some("arithmetic") => Combination::LorentzBerthelot,
            Some("sixthpower") => Combination::SixthPower,
            Some(other) => {
                return Err(SpecError::new("lammps_styles.mix", format!("`{other}` is no mixing rule"))
                    .hint("geometric, arithmetic or sixthpower"));
            }
        };
        let mut used = vec![false; n];
        let mut charged_types = vec![false; n];
        for (t, q) in model.types.iter().zip(&model.charges) {
            used[*t as usize] = true;
            charged_types[*t as usize] |= *q != 0.0;
        }
        model.rule = Some(rule);
        table.mix(&used, rule)?;
        let (charge, cutoff) = self.charges(&table, &used, &charged_types)?;
        model.settings.method = Some(match charge {
            Charge::None | Charge::Cut => FileMethod::Cut,
            Charge::Long => FileMethod::Pme,
            Charge::LongDispersion => FileMethod::LjPme,
        });
        model.settings.cutoff = cutoff;
        let charged = charge != Charge::None;
        let one_four = self.tables(&table, scales.energy, charge, model)?;
        Ok(Pairs { charged, one_four: charmm.then_some(one_four) })
    }
    /// How charges are treated, and the cutoff of charges and of the common Lennard-Jones interaction.
    fn charges(
        &self,
        table: &Assignments<'_>,
        used: &[bool],
        charged: &[bool],
    ) -> Result<(Charge, Option<f64>), SpecError> {
        // where charges name no cutoff the common one is that of the Lennard-Jones pairs, else the largest
        let own = || {
            let all = || table.pairs.iter().flatten().flatten();
            let lennard_jones = || all().filter(|a| table.styles[a.style].core == Core::LennardJones);
            let first = lennard_jones().find_map(|a| a.cutoff);
            match lennard_jones().next() {
                Some(_) => first.filter(|_| lennard_jones().all(|a| a.cutoff == first)),
                None => all().filter_map(|a| a.cutoff).reduce(f64::max),
            }
        };
        let mut found = table.styles.iter().filter(|s| s.charge != Charge::None);
        let Some(first) = found.next() else { return Ok((Charge::None, own())) };
        let mut cutoff = first.charge_cutoff();
        for other in found {
            if other.charge != first.charge {
                let message = format!("{} and {} treat charges differently", first.name, other.name);
                return Err(self.file.whole(message));
            }
            match (cutoff, other.charge_cutoff()) {
                (Some(a), Some(b)) if a != b => {
                    let message = format!("{} and {} cut charges at {a} and {b}", first.name, other.name);
                    return Err(self.file.whole(message).hint("one cutoff for all charges is supported"));
                }
                (None, other) => cutoff = other,
                _ => {}
            }
        }
        let n = self.types;
        for i in 0..n {
            for j in i..n {
                if !(used[i] && used[j] && charged[i] && charged[j]) {
                    continue;
                }
                let list = table.pairs[i * n + j].iter().flatten();
                let count = list.filter(|a| table.styles[a.style].charge != Charge::None).count();
                if count != 1 {
                    let message = format!(
                        "the charges of the types {} and {} interact through {count} pair styles instead of one",
                        i + 1,
                        j + 1
                    );
                    return Err(self.file.whole(message).hint(
                        "in LAMMPS too the rest of a lattice sum would be missing; `hybrid/overlay ... coul/long` with pair_coeff = [\"* * coul/long\"] \
                         covers all pairs",
                    ));
                }
            }
        }
        Ok((first.charge, cutoff.or_else(own)))
    }
    /// Fills in the common Lennard-Jones table and the other forms; returns the numbers of 1-4 pairs.
    fn tables(
        &self,
        table: &Assignments<'_>,
        energy: f64,
        charge: Charge,
        model: &mut MolecularModel,
    ) -> Result<LennardJonesTypes, SpecError> {
        let n = self.types;
        let common = model.settings.cutoff;
        let none = || LennardJonesTypes::from_pairs(n, |_, _| [0.0; 2]);
        let (mut lennard_jones, mut one_four) = (none(), none());
        let mut others: Vec<TypedPairs> = Vec::new();
        for i in 0..n {
            for j in i..n {
                for a in table.pairs[i * n + j].iter().flatten() {
                    let (v, style) = (&a.values, &table.styles[a.style]);
                    let own = |k: usize| coefficients([v[k + 1], energy * v[k]]);
                    let mut truncation = Truncation::Truncated;
                    let (form, c) = match style.core {
                        Core::None => continue,
                        Core::LennardJones if a.cutoff.is_none() || a.cutoff == common => {
                            lennard_jones.set(i, j, own(0));
                            continue;
                        }
                        Core::LennardJones if charge == Charge::LongDispersion => {
                            let message = "lj/long/coul/long with different cutoffs of dispersion and charges is not supported";
                            return Err(self.file.whole(message));
                        }
                        Core::LennardJones => (TypedForm::LennardJones, [energy * v[0], v[1], 0.0, 0.0, 0.0]),
                        Core::Charmm => {
                            one_four.set(i, j, own(2));
                            let (Some(&inner), Some(outer)) = (style.arguments.first(), a.cutoff) else {
                                let message = format!(
                                    "{} needs the distances between which it is switched",
                                    style.name
                                );
                                return Err(self
                                    .file
                                    .whole(message)
                                    .hint(format!("lammps_styles = {{ pair = \"{} 8 10\" }}", style.name)));
                            };
                            if inner >= outer {
                                let message = format!("{} is switched from {inner} to {outer}", style.name);
                                return Err(SpecError::new("lammps_styles.pair", message));
                            }
                            truncation = Truncation::CharmmSwitch { inner: Quantity::new(inner) };
                            (TypedForm::LennardJones, [energy * v[0], v[1], 0.0, 0.0, 0.0])
                        }
                        Core::Buckingham => {
                            (TypedForm::Buckingham, [energy * v[0], v[1], energy * v[2], 0.0, 0.0])
                        }
                        Core::Born => {
                            // the sign of D is the opposite
                            (TypedForm::Born, [energy * v[0], v[1], v[2], energy * v[3], -energy * v[4]])
                        }
                        Core::Morse => (TypedForm::Morse, [energy * v[0], v[1], v[2], 0.0, 0.0]),
                        Core::Mie => (TypedForm::Mie, [energy * v[0], v[1], v[2], v[3], 0.0]),
                    };
                    let pair = TypedPair { types: [i as u32, j as u32], coefficients: c, cutoff: a.cutoff };
                    // a pair may have one form twice
                    let place = others.iter_mut().find(|t| {
                        t.form == form
                            && t.truncation == truncation
                            && t.pairs.iter().all(|p| p.types != pair.types)
                    });
                    match place {
                        Some(table) => table.pairs.push(pair),
                        None => others.push(TypedPairs { form, truncation, pairs: vec![pair] }),
                    }
                }
            }
        }
        model.lennard_jones = lennard_jones;
        model.pair_styles.tables = others;
        Ok(one_four)
    }
}
