//! Ultra-fast force fields (UF3): pair and three-body functions in cubic B-splines.
//!
//! E = Σ_{i≠j} V₂(r_ij) + Σ_i Σ_{j<k} V₃(r_ij, r_ik, r_jk),
//! V₂(r) = Σ_n c_n B_n(r), V₃(r_ij, r_ik, r_jk) = Σ_{lmn} c_lmn B_l(r_ij) B_m(r_ik) B_n(r_jk).
//!
//! A three-body block `3B A B C` has A in the centre. Outside of their knots the functions are zero.
//!
//! Source: Xie, Rupp and Hennig, npj Comput. Mater. 9, 162 (2023), doi 10.1038/s41524-023-01092-7.
use super::files::{ParameterFile, Words, file_spec, map_species};
use super::site_energy::{Share, Site, SiteEnergy, SiteSum};
use crate::BuildContext;
use crate::kernels::b_spline::Basis;
use caloron_engine::SpecError;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
struct Pair {
    basis: Basis,
    coefficients: Vec<f64>,
    cutoff: f64,
}

#[derive(Clone, Debug)]
struct Triple {
    /// Bases of r_ij, r_ik, r_jk.
    bases: [Basis; 3],
    /// c_lmn, n fastest.
    coefficients: Vec<f64>,
    /// Cutoffs of r_ij, r_ik, r_jk.
    cutoffs: [f64; 3],
}

/// The model; the potential is `SiteSum<Uf3>`.
pub struct Uf3 {
    species: usize,
    pairs: Vec<Pair>,
    /// By species of centre, j, k; without three-body terms empty.
    triples: Vec<Option<Triple>>,
}

file_spec! {
    /// Ultra-fast force field from a file in LAMMPS' `uf3` format.
    Uf3Spec => SiteSum<Uf3>, build
}

/// The blocks of a file by their elements.
#[derive(Default)]
struct Blocks {
    names: Vec<String>,
    pairs: BTreeMap<[String; 2], Pair>,
    triples: BTreeMap<[String; 3], Triple>,
}

fn knots(words: &mut Words<'_>, n: usize, what: &str) -> Result<Basis, SpecError> {
    let knots = words.numbers(n, what)?;
    words.finish_line()?;
    Basis::new(knots).ok_or_else(|| words.error(format!("{what} must be at least eight ascending numbers")))
}

fn read_blocks(spec: &ParameterFile, text: &str) -> Result<Blocks, SpecError> {
    let mut words = Words::new("file", &spec.file, text);
    let mut blocks = Blocks::default();
    while let Ok(line) = words.line("a block") {
        let line: Vec<&str> = line.split('#').next().unwrap_or("").split_whitespace().collect();
        let Some(&kind) = line.first() else { continue };
        let elements = match kind {
            "2B" => 2,
            "3B" => 3,
            _ => return Err(words.error(format!("expected a block `2B` or `3B`, found `{kind}`"))),
        };
        if line.len() != elements + 4 || !matches!(line[elements + 3], "uk" | "nk") {
            return Err(words.error(format!(
                "expected `{kind}`, {elements} elements, two trims and `uk` or `nk`, found `{}`",
                line.join(" ")
            )));
        }
        for name in &line[1..=elements] {
            if !blocks.names.iter().any(|n| n == name) {
                blocks.names.push((*name).to_owned());
            }
        }
        let names = &line[1..=elements];
        let header = words.error("a second block for the same elements");
        let sizes = words.line_words("cutoffs and numbers of knots")?;
        let earlier = if elements == 2 {
            let cutoff = words.field(&sizes, 0, "the cutoff")?;
            let n = words.count(&sizes, 1, 8, "the number of knots")?;
            let basis = knots(&mut words, n, "the knots")?;
            let counts = words.line_words("the number of coefficients")?;
            if words.count(&counts, 0, 4, "the number of coefficients")? != basis.len() {
                return Err(words.error(format!("{n} knots need {} coefficients", basis.len())));
            }
            let coefficients = words.numbers(basis.len(), "the coefficients")?;
            let mut key = [names[0].to_owned(), names[1].to_owned()];
            key.sort();
            blocks.pairs.insert(key, Pair { basis, coefficients, cutoff }).is_some()
        } else {
            // the file has r_jk first
            let mut cutoffs = [0.0; 3];
            let mut counts = [0; 3];
            for k in 0..3 {
                cutoffs[2 - k] = words.field(&sizes, k, "a cutoff")?;
                counts[2 - k] = words.count(&sizes, 3 + k, 8, "a number of knots")?;
            }
            let far = knots(&mut words, counts[2], "the knots of r_jk")?;
            let second = knots(&mut words, counts[1], "the knots of r_ik")?;
            let first = knots(&mut words, counts[0], "the knots of r_ij")?;
            let shape = [first.len(), second.len(), far.len()];
            let line = words.line_words("the numbers of coefficients")?;
            for (k, n) in shape.iter().enumerate() {
                if words.count(&line, k, 4, "a number of coefficients")? != *n {
                    return Err(words.error(format!("the knots need {shape:?} coefficients")));
                }
            }
            let coefficients = words.numbers(shape.iter().product(), "the coefficients")?;
            let triple = Triple { bases: [first, second, far], coefficients, cutoffs };
            let key = [0, 1, 2].map(|k| names[k].to_owned());
            blocks.triples.insert(key, triple).is_some()
        };
        if earlier {
            return Err(header);
        }
        // the rest of the line of the last number
        words.finish_line()?;
    }
    if blocks.pairs.is_empty() {
        return Err(words.error("the file has no `2B` block"));
    }
    Ok(blocks)
}

impl Triple {
    /// The same function with j and k exchanged.
    fn exchanged(&self) -> Self {
        let [a, b, c] = &self.bases;
        let [na, nb, nc] = [a.len(), b.len(), c.len()];
        let coefficients = (0..na * nb * nc)
            .map(|k| (k / (na * nc), k / nc % na, k % nc))
            .map(|(second, first, far)| self.coefficients[(first * nb + second) * nc + far])
            .collect();
        let [x, y, z] = self.cutoffs;
        Self { bases: [b.clone(), a.clone(), c.clone()], coefficients, cutoffs: [y, x, z] }
    }
    /// V₃ and its derivatives with respect to r_ij, r_ik, r_jk.
    fn value(&self, r: [f64; 3]) -> Option<[f64; 4]> {
        let (l, a, da) = self.bases[0].evaluate(r[0])?;
        let (m, b, db) = self.bases[1].evaluate(r[1])?;
        let (n, c, dc) = self.bases[2].evaluate(r[2])?;
        let (nb, nc) = (self.bases[1].len(), self.bases[2].len());
        let mut out = [0.0; 4];
        for x in 0..4 {
            let mut row = [0.0; 3];
            for y in 0..4 {
                let at = ((l + x) * nb + m + y) * nc + n;
                let four = &self.coefficients[at..at + 4];
                let (mut v, mut dv) = (0.0, 0.0);
                for z in 0..4 {
                    v += four[z] * c[z];
                    dv += four[z] * dc[z];
                }
                row[0] += b[y] * v;
                row[1] += db[y] * v;
                row[2] += b[y] * dv;
            }
            out[0] += a[x] * row[0];
            out[1] += da[x] * row[0];
            out[2] += a[x] * row[1];
            out[3] += a[x] * row[2];
        }
        Some(out)
    }
}

fn build(spec: &ParameterFile, context: &mut BuildContext<'_>) -> Result<SiteSum<Uf3>, SpecError> {
    let text = spec.read(context)?;
    let blocks = read_blocks(spec, &text)?;
    let map = map_species(context.system, spec.elements.as_ref(), &blocks.names, &spec.file)?;
    let n = map.len();
    let name = |species: usize| blocks.names[map[species]].clone();
    let missing = |block: String| {
        SpecError::new("file", format!("`{}` has no block `{block}`", spec.file.display()))
            .hint("the file may be truncated")
    };
    let mut pairs = Vec::new();
    for k in 0..n * n {
        let mut key = [name(k / n), name(k % n)];
        key.sort();
        let pair = blocks.pairs.get(&key).ok_or_else(|| missing(format!("2B {}", key.join(" "))))?;
        pairs.push(pair.clone());
    }
    let mut triples = Vec::new();
    for (i, j, k) in super::files::triples(n) {
        let [a, b, c] = [name(i), name(j), name(k)];
        let direct = blocks.triples.get(&[a.clone(), b.clone(), c.clone()]);
        let exchanged = blocks.triples.get(&[a.clone(), c.clone(), b.clone()]).map(Triple::exchanged);
        let triple = direct.cloned().or(exchanged);
        if triple.is_none() && !blocks.triples.is_empty() {
            return Err(missing(format!("3B {a} {b} {c}")));
        }
        if let Some(t) = triple.as_ref().filter(|_| j == k) {
            let mirror = t.exchanged();
            if mirror.coefficients != t.coefficients || mirror.cutoffs != t.cutoffs {
                return Err(SpecError::new(
                    "file",
                    format!(
                        "`{}`: block `3B {a} {b} {c}` changes when its equal ends are exchanged",
                        spec.file.display()
                    ),
                ));
            }
        }
        triples.push(triple);
    }
    Ok(SiteSum::new(Uf3 { species: n, pairs, triples }))
}

/// An edge within the range of three-body terms.
#[derive(Clone, Copy, Default)]
#[doc(hidden)]
pub struct Arm {
    edge: usize,
    unit: [f64; 3],
}

impl SiteEnergy for Uf3 {
    type Scratch = Vec<Arm>;
    const NAME: &'static str = "uf3";
    fn species(&self) -> usize {
        self.species
    }
    fn cutoff(&self, i: usize, j: usize) -> f64 {
        let reach = |i: usize, j: usize| {
            (0..self.species)
                .filter_map(|k| self.triples[(i * self.species + j) * self.species + k].as_ref())
                .map(|t| t.cutoffs[0])
                .fold(0.0, f64::max)
        };
        self.pairs[i * self.species + j].cutoff.max(reach(i, j)).max(reach(j, i))
    }
    fn energy(&self, site: Site<'_>, shares: &mut [Share], arms: &mut Vec<Arm>) -> f64 {
        let i = site.species * self.species;
        let mut energy = 0.0;
        arms.clear();
        for (e, (edge, &j)) in site.edges.iter().zip(site.neighbors).enumerate() {
            let inverse = 1.0 / edge.r;
            let unit = edge.d.map(|x| x * inverse);
            let pair = &self.pairs[i + j as usize];
            if edge.r < pair.cutoff
                && let Some((first, b, db)) = pair.basis.evaluate(edge.r)
            {
                let (mut v, mut slope) = (0.0, 0.0);
                for k in 0..4 {
                    v += b[k] * pair.coefficients[first + k];
                    slope += db[k] * pair.coefficients[first + k];
                }
                energy += v;
                shares[e].energy += 0.5 * v;
                shares[e].add(slope, &unit);
            }
            let of = &self.triples[(i + j as usize) * self.species..][..self.species];
            if of.iter().flatten().any(|t| edge.r < t.cutoffs[0]) {
                arms.push(Arm { edge: e, unit });
            }
        }
        for (n, a) in arms.iter().enumerate() {
            let (ea, ja) = (&site.edges[a.edge], site.neighbors[a.edge] as usize);
            for b in &arms[..n] {
                let (eb, jb) = (&site.edges[b.edge], site.neighbors[b.edge] as usize);
                let Some(triple) = &self.triples[(i + ja) * self.species + jb] else { continue };
                let across = [0, 1, 2].map(|c| eb.d[c] - ea.d[c]);
                let r = across.iter().map(|x| x * x).sum::<f64>().sqrt();
                if ea.r >= triple.cutoffs[0] || eb.r >= triple.cutoffs[1] || r >= triple.cutoffs[2] {
                    continue;
                }
                let Some([v, by_a, by_b, by_r]) = triple.value([ea.r, eb.r, r]) else { continue };
                energy += v;
                let pull = by_r / r;
                shares[a.edge].add(by_a, &a.unit);
                shares[a.edge].add(-pull, &across);
                shares[b.edge].add(by_b, &b.unit);
                shares[b.edge].add(pull, &across);
                shares[a.edge].energy += v / 3.0;
                shares[b.edge].energy += v / 3.0;
            }
        }
        energy
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["Xie, Rupp and Hennig, npj Comput. Mater. 9, 162 (2023), doi 10.1038/s41524-023-01092-7"]
    }
}
