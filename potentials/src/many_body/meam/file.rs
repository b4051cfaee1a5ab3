//! The library of elements and the file of parameters.
use super::Meam;
use super::lattice::Lattice;
use crate::BuildContext;
use crate::many_body::files::{Words, at_line, map_species, number, read};
use crate::many_body::site_energy::SiteSum;
use caloron_engine::SpecError;
use caloron_engine::error::nearest;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Modified embedded-atom potential from a library of elements and a parameter file in LAMMPS' formats.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeamSpec {
    /// The library of elements, relative to the input file. Of several entries with one name the first counts.
    pub library: PathBuf,
    /// Elements taken from the library, in the order in which the parameter file numbers them from 1.
    pub names: Vec<String>,
    /// The parameter file. Without it everything is as in the library, with r_c = 4 Å and no second neighbours.
    #[serde(default)]
    pub parameters: Option<PathBuf>,
    /// Element among `names` for a species, such as `{ Si = "SiS" }`. Default: the element of the same name.
    #[serde(default)]
    pub elements: Option<BTreeMap<String, String>>,
}

/// All parameters of the elements in use, in the order of the numbers of the parameter file, later of the species.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    pub lattice: Vec<Vec<Lattice>>,
    /// The angle of bent reference structures, rad.
    pub angle: Vec<Vec<f64>>,
    /// Atomic number as the library states it.
    pub nuclear: Vec<f64>,
    pub beta: Vec<[f64; 4]>,
    pub t: Vec<[f64; 3]>,
    pub rho0: Vec<f64>,
    pub asub: Vec<f64>,
    pub ibar: Vec<i32>,
    pub alpha: Vec<Vec<f64>>,
    pub ec: Vec<Vec<f64>>,
    pub re: Vec<Vec<f64>>,
    pub delta: Vec<Vec<f64>>,
    pub attrac: Vec<Vec<f64>>,
    pub repuls: Vec<Vec<f64>>,
    pub zbl: Vec<Vec<bool>>,
    /// The second-neighbour formulation (`nn2`).
    pub second: Vec<Vec<bool>>,
    /// C_min and C_max of a pair (i, j) screened by k.
    pub c_limits: Vec<Vec<Vec<(f64, f64)>>>,
    /// Largest r² of a screening atom over r_ij².
    pub bound: Vec<Vec<f64>>,
    /// r_c and the width of its smooth end, Å.
    pub cutoff: f64,
    pub width: f64,
    pub gsmooth: f64,
    pub alloy: u8,
    pub rose_form: u8,
    pub linear_negative: bool,
    pub dynamic_background: bool,
    pub mixture_reference: bool,
    augment: bool,
}

/// An element of a library.
struct Element {
    lattice: Lattice,
    nuclear: f64,
    alpha: f64,
    beta: [f64; 4],
    constant: f64,
    ec: f64,
    asub: f64,
    t: [f64; 3],
    rho0: f64,
    ibar: i32,
}

/// A line without its comment and the quotes around words.
fn clean(line: &str) -> String {
    line.split('#').next().unwrap_or("").replace(['\'', '"'], " ")
}

/// The next element of a library.
fn element(words: &mut Words<'_>, name: &str, wanted: bool) -> Result<Option<Element>, SpecError> {
    let structure = words.word(&format!("the lattice of {name}"))?;
    let mut x = [0.0; 17];
    for x in &mut x {
        *x = words.number(&format!("a parameter of {name}"))?;
    }
    if !wanted {
        return Ok(None);
    }
    let [z, nuclear, _mass, alpha, b0, b1, b2, b3, constant, ec, asub, t0, t1, t2, t3, rho0, ibar] = x;
    let lattice = Lattice::read(structure).filter(|l| !l.needs_two()).ok_or_else(|| {
        words
            .error(format!("the reference structure `{structure}` of {name} is not supported"))
            .hint(format!("supported are {}", Lattice::known_of_one()))
    })?;
    if z != lattice.neighbors() {
        let message =
            format!("{name} has z = {z}, but an atom of {structure} has {} neighbours", lattice.neighbors());
        return Err(words.error(message));
    }
    if t0 != 1.0 {
        return Err(words.error(format!("{name} has t0 = {t0}; only t0 = 1 is defined")));
    }
    if ![-5.0, 0.0, 1.0, 3.0, 4.0].contains(&ibar) {
        let message = format!("ibar = {ibar} of {name} is not supported");
        return Err(words.error(message).hint("supported are -5, 0, 1, 3 and 4"));
    }
    if nuclear < 1.0 || alpha <= 0.0 || constant <= 0.0 || rho0 <= 0.0 {
        let message = format!(
            "the atomic number, alpha, the lattice constant and the density scale of {name} must be positive"
        );
        return Err(words.error(message));
    }
    let (beta, t) = ([b0, b1, b2, b3], [t1, t2, t3]);
    Ok(Some(Element { lattice, nuclear, alpha, beta, constant, ec, asub, t, rho0, ibar: ibar as i32 }))
}

/// The elements of a library that are asked for.
fn library(file: &Path, text: &str, names: &[String]) -> Result<Vec<Element>, SpecError> {
    let text = text.lines().map(clean).collect::<Vec<_>>().join("\n");
    let mut words = Words::new("library", file, &text);
    let mut found: Vec<Option<Element>> = names.iter().map(|_| None).collect();
    let mut known: Vec<String> = Vec::new();
    while let Ok(name) = words.word("an element") {
        // of several entries the first counts
        let slot = names.iter().position(|n| n == name).filter(|k| found[*k].is_none());
        let element = element(&mut words, name, slot.is_some())?;
        if let Some(slot) = slot {
            found[slot] = element;
        }
        if !known.iter().any(|k| k == name) {
            known.push(name.to_owned());
        }
    }
    let mut elements = Vec::new();
    for (k, (slot, name)) in found.into_iter().zip(names).enumerate() {
        elements.push(slot.ok_or_else(|| {
            if let Some(first) = names.iter().position(|n| n == name).filter(|first| *first < k) {
                return SpecError::new(format!("names[{k}]"), format!("`{name}` is also names[{first}]"));
            }
            SpecError::new(format!("names[{k}]"), format!("`{}` has no element `{name}`", file.display()))
                .hint(format!("it has {}", known.join(", ")))
        })?);
    }
    Ok(elements)
}

/// Keys of a parameter file, by the number of their indices.
const KEYS: [&[&str]; 4] = [
    &[
        "rc",
        "delr",
        "augt1",
        "gsmooth_factor",
        "ialloy",
        "mixture_ref_t",
        "erose_form",
        "emb_lin_neg",
        "bkgd_dyn",
    ],
    &["rho0"],
    &["ec", "alpha", "re", "delta", "lattce", "attrac", "repuls", "nn2", "zbl", "theta"],
    &["cmin", "cmax"],
];

/// Sets an element of a table and its mirror image.
fn set<T: Copy>(table: &mut [Vec<T>], a: usize, b: usize, x: T) {
    table[a][b] = x;
    table[b][a] = x;
}

impl Parameters {
    fn new(elements: &[Element]) -> Self {
        let n = elements.len();
        let square = |x: f64| vec![vec![x; n]; n];
        let mut p = Self {
            lattice: vec![vec![Lattice::Fcc; n]; n],
            angle: square(std::f64::consts::PI),
            nuclear: elements.iter().map(|e| e.nuclear).collect(),
            beta: elements.iter().map(|e| e.beta).collect(),
            t: elements.iter().map(|e| e.t).collect(),
            rho0: elements.iter().map(|e| e.rho0).collect(),
            asub: elements.iter().map(|e| e.asub).collect(),
            ibar: elements.iter().map(|e| e.ibar).collect(),
            alpha: square(0.0),
            ec: square(0.0),
            re: square(0.0),
            delta: square(0.0),
            attrac: square(0.0),
            repuls: square(0.0),
            zbl: vec![vec![true; n]; n],
            second: vec![vec![false; n]; n],
            c_limits: vec![vec![vec![(2.0, 2.8); n]; n]; n],
            bound: square(1.0),
            cutoff: 4.0,
            width: 0.1,
            gsmooth: 99.0,
            alloy: 0,
            rose_form: 0,
            linear_negative: false,
            dynamic_background: false,
            mixture_reference: false,
            augment: true,
        };
        for (a, e) in elements.iter().enumerate() {
            p.lattice[a][a] = e.lattice;
            p.alpha[a][a] = e.alpha;
            p.re[a][a] = e.lattice.distance(e.constant);
            p.ec[a][a] = e.ec;
        }
        p
    }
    /// Reads the parameter file.
    fn read(&mut self, file: &Path, text: &str) -> Result<(), SpecError> {
        // first line and value of what was set for pairs in order, and what was set for the same pairs the other way
        let mut set: BTreeMap<(String, Vec<usize>), String> = BTreeMap::new();
        let mut mirrored: Vec<(usize, String, Vec<usize>, String)> = Vec::new();
        for (k, line) in text.lines().enumerate() {
            let line = clean(line);
            if line.trim().is_empty() {
                continue;
            }
            let error = |message: String| at_line("parameters", file, k + 1, message);
            let (name, indices, value) = self.split(&line, &error)?;
            if indices.len() >= 2 && indices[0] > indices[1] {
                mirrored.push((k + 1, name, indices, value));
                continue;
            }
            self.set(&name, &indices, &value, &error)?;
            set.insert((name, indices), value);
        }
        // files list some pairs both ways; only the order I <= J counts
        for (line, name, mut indices, value) in mirrored {
            indices.swap(0, 1);
            let counts = set.get(&(name.clone(), indices.clone()));
            let same = |a: &str| a == value || number(a).is_some_and(|a| number(&value) == Some(a));
            if counts.is_none_or(|a| !same(a)) {
                let list = indices.iter().map(|i| (i + 1).to_string()).collect::<Vec<_>>().join(",");
                let message = match counts {
                    None => format!("pairs are given with the lower number first: {name}({list}) = {value}"),
                    Some(other) => format!("this differs from {name}({list}) = {other}, which counts"),
                };
                return Err(at_line("parameters", file, line, message));
            }
        }
        Ok(())
    }
    /// The parts of `name(i,j) = value`, with the name in lower case and indices from 0.
    fn split(
        &self,
        line: &str,
        error: &dyn Fn(String) -> SpecError,
    ) -> Result<(String, Vec<usize>, String), SpecError> {
        let n = self.rho0.len();
        let (left, right) = line
            .split_once('=')
            .ok_or_else(|| error("expected `name = value` or `name(i,j) = value`".into()))?;
        let (name, inside) = match left.trim().split_once('(') {
            None => (left.trim(), None),
            Some((name, rest)) => {
                let inside = rest.trim().strip_suffix(')').ok_or_else(|| error("`)` is missing".into()))?;
                (name.trim(), Some(inside))
            }
        };
        let mut indices = Vec::new();
        for word in inside.iter().flat_map(|inside| inside.split(',')) {
            match word.trim().parse::<usize>() {
                Ok(i) if (1..=n).contains(&i) => indices.push(i - 1),
                _ => return Err(error(format!("expected a number from 1 to {n}, found `{}`", word.trim()))),
            }
        }
        let key = name.to_ascii_lowercase();
        let Some(count) = KEYS.iter().position(|keys| keys.contains(&key.as_str())) else {
            let all = || KEYS.iter().flat_map(|keys| keys.iter().copied());
            let hint = match nearest(&key, all()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("supported are {}", all().collect::<Vec<_>>().join(", ")),
            };
            return Err(error(format!("`{name}` is not supported")).hint(hint));
        };
        if indices.len() != count {
            return Err(error(format!(
                "`{name}` takes {count} numbers of elements, found {}",
                indices.len()
            )));
        }
        Ok((key, indices, right.trim().to_owned()))
    }
    fn set(
        &mut self,
        name: &str,
        indices: &[usize],
        text: &str,
        error: &dyn Fn(String) -> SpecError,
    ) -> Result<(), SpecError> {
        let value = || number(text).ok_or_else(|| error(format!("expected a number, found `{text}`")));
        let choice = |most: u8| {
            let x = value()?;
            (0..=most).find(|a| f64::from(*a) == x).ok_or_else(|| {
                error(format!("{name} = {text} is not supported"))
                    .hint(format!("supported are the integers from 0 to {most}"))
            })
        };
        match (name, indices) {
            ("rc", _) => self.cutoff = value()?,
            ("delr", _) => self.width = value()?,
            ("gsmooth_factor", _) => self.gsmooth = value()?,
            ("augt1", _) => self.augment = choice(1)? == 1,
            ("ialloy", _) => self.alloy = choice(2)?,
            ("erose_form", _) => self.rose_form = choice(2)?,
            ("emb_lin_neg", _) => self.linear_negative = choice(1)? == 1,
            ("bkgd_dyn", _) => self.dynamic_background = choice(1)? == 1,
            ("mixture_ref_t", _) => self.mixture_reference = choice(1)? == 1,
            ("rho0", &[a]) => self.rho0[a] = value()?,
            ("nn2", &[a, b]) => set(&mut self.second, a, b, choice(1)? == 1),
            ("zbl", &[a, b]) => set(&mut self.zbl, a, b, choice(1)? == 1),
            ("lattce", &[a, b]) => {
                let lattice = Lattice::read(text).ok_or_else(|| {
                    error(format!("the reference structure `{text}` is not supported"))
                        .hint(format!("supported are {}", Lattice::known()))
                })?;
                if a == b && lattice.needs_two() {
                    return Err(error(format!("`{text}` is a structure of two elements")));
                }
                set(&mut self.lattice, a, b, lattice);
            }
            ("theta", &[a, b]) => {
                let degrees = value()?;
                if !(degrees > 0.0 && degrees <= 180.0) {
                    return Err(error(format!("the angle {degrees} is not between 0 and 180 degrees")));
                }
                set(&mut self.angle, a, b, degrees.to_radians());
            }
            ("ec", &[a, b]) => set(&mut self.ec, a, b, value()?),
            ("alpha", &[a, b]) => set(&mut self.alpha, a, b, value()?),
            ("re", &[a, b]) => set(&mut self.re, a, b, value()?),
            ("delta", &[a, b]) => set(&mut self.delta, a, b, value()?),
            ("attrac", &[a, b]) => set(&mut self.attrac, a, b, value()?),
            ("repuls", &[a, b]) => set(&mut self.repuls, a, b, value()?),
            ("cmin" | "cmax", &[a, b, c]) => {
                let x = value()?;
                for (a, b) in [(a, b), (b, a)] {
                    let limits = &mut self.c_limits[a][b][c];
                    *(if name == "cmin" { &mut limits.0 } else { &mut limits.1 }) = x;
                }
            }
            _ => return Err(error(format!("`{name}` is not supported"))),
        }
        Ok(())
    }
    /// Fills in what follows from the rest, and checks it all.
    fn finish(&mut self, names: &[String]) -> Result<(), String> {
        let n = names.len();
        if self.augment {
            self.t.iter_mut().for_each(|t| t[0] += 0.6 * t[2]);
        }
        for (a, name) in names.iter().enumerate() {
            if self.rho0[a] <= 0.0 {
                return Err(format!("rho0 of {name} must be positive"));
            }
            for b in a..n {
                let pair = format!("{name} and {}", names[b]);
                let mean = |x: &[Vec<f64>]| 0.5 * (x[a][a] + x[b][b]);
                if a != b && self.ec[a][b] == 0.0 {
                    let mean = match self.lattice[a][b] {
                        Lattice::L12 => (3.0 * self.ec[a][a] + self.ec[b][b]) / 4.0,
                        Lattice::C11 => {
                            let (two, one) = if self.silicide(a) { (a, b) } else { (b, a) };
                            (2.0 * self.ec[two][two] + self.ec[one][one]) / 3.0
                        }
                        _ => mean(&self.ec),
                    };
                    let ec = mean - self.delta[a][b];
                    set(&mut self.ec, a, b, ec);
                }
                if self.alpha[a][b] == 0.0 {
                    let x = mean(&self.alpha);
                    set(&mut self.alpha, a, b, x);
                }
                if self.re[a][b] == 0.0 {
                    let x = mean(&self.re);
                    set(&mut self.re, a, b, x);
                }
                if self.alpha[a][b] <= 0.0 || self.re[a][b] <= 0.0 {
                    return Err(format!("alpha and re of {pair} must be positive"));
                }
                let lattice = self.lattice[a][b];
                if self.second[a][b] && (lattice == Lattice::C11) {
                    return Err(format!(
                        "nn2 of {pair} is set, but c11 is defined for first neighbours alone; set nn2 = 0"
                    ));
                }
                for (k, &(low, high)) in self.c_limits[a][b].iter().enumerate() {
                    if low >= high {
                        return Err(format!(
                            "Cmin = {low} of {pair} screened by {} must be below Cmax = {high}",
                            names[k]
                        ));
                    }
                    // where the ellipse is narrow, its ends are farthest away
                    let bound = if high > 2.0 { high * high / (4.0 * (high - 1.0)) } else { 1.0 };
                    let bound = self.bound[a][b].max(bound);
                    set(&mut self.bound, a, b, bound);
                }
            }
        }
        let reach = self.cutoff * self.bound.iter().flatten().copied().fold(1.0, f64::max).sqrt();
        if !(self.width > 0.0 && self.width <= self.cutoff && reach <= 100.0) {
            return Err(format!(
                "rc = {} and delr = {} must obey 0 < delr <= rc, and no atom beyond 100 Å can screen (here {reach:.1})",
                self.cutoff, self.width
            ));
        }
        if self.gsmooth <= 0.0 {
            return Err(format!("gsmooth_factor = {} must be positive", self.gsmooth));
        }
        Ok(())
    }
    /// Whether a, the lower number of a pair in MoSi₂'s structure, is the element with two atoms in the formula: the one whose own
    /// structure is diamond.
    pub fn silicide(&self, a: usize) -> bool {
        self.lattice[a][a] == Lattice::Diamond
    }
    /// The parameters of the elements `map`, in this order.
    pub fn of(&self, map: &[usize]) -> Self {
        fn pick<T: Clone>(of: &[T], map: &[usize]) -> Vec<T> {
            map.iter().map(|&k| of[k].clone()).collect()
        }
        fn pick2<T: Clone>(of: &[Vec<T>], map: &[usize]) -> Vec<Vec<T>> {
            pick(of, map).iter().map(|row| pick(row, map)).collect()
        }
        Self {
            lattice: pick2(&self.lattice, map),
            angle: pick2(&self.angle, map),
            nuclear: pick(&self.nuclear, map),
            beta: pick(&self.beta, map),
            t: pick(&self.t, map),
            rho0: pick(&self.rho0, map),
            asub: pick(&self.asub, map),
            ibar: pick(&self.ibar, map),
            alpha: pick2(&self.alpha, map),
            ec: pick2(&self.ec, map),
            re: pick2(&self.re, map),
            delta: pick2(&self.delta, map),
            attrac: pick2(&self.attrac, map),
            repuls: pick2(&self.repuls, map),
            zbl: pick2(&self.zbl, map),
            second: pick2(&self.second, map),
            c_limits: pick2(&self.c_limits, map)
                .into_iter()
                .map(|row| row.into_iter().map(|of| pick(&of, map)).collect())
                .collect(),
            bound: pick2(&self.bound, map),
            ..*self
        }
    }
}

impl MeamSpec {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a file is malformed, or a species is not in it.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<SiteSum<Meam>, SpecError> {
        let text = read(context, "library", &self.library)?;
        let elements = library(&self.library, &text, &self.names)?;
        let mut parameters = Parameters::new(&elements);
        let mut place = ("library", &self.library);
        if let Some(file) = &self.parameters {
            let text = read(context, "parameters", file)?;
            parameters.read(file, &text)?;
            place = ("parameters", file);
        }
        let (key, file) = place;
        parameters
            .finish(&self.names)
            .map_err(|message| SpecError::new(key, format!("`{}`: {message}", file.display())))?;
        let map = map_species(context.system, self.elements.as_ref(), &self.names, &self.library).map_err(
            |mut e| {
                // the elements in use are named in the input
                if e.key == "file" {
                    e.key = "names".into();
                }
                e
            },
        )?;
        let model = Meam::new(&parameters, &map).map_err(|([a, b], r)| {
            let (a, b) = (&self.names[a], &self.names[b]);
            let message = format!("`{}`: the pair potential of {a} and {b} is not finite at {r:.3} Å", file.display());
            SpecError::new(key, message)
                .hint("the reference structure of the pair has densities whose ratios diverge; check beta, t and lattce")
        })?;
        Ok(SiteSum::new(model))
    }
}
