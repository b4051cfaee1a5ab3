//! Readers of the table files of embedded-atom potentials: funcfl, setfl, Finnis-Sinclair setfl.
use super::super::files::{Words, at_line};
use caloron_engine::SpecError;
use std::path::Path;

/// Hartree times bohr in eV Å as the programs of the field round it: effective charges of a funcfl file are in their
/// square root.
const HARTREE_BOHR: f64 = 27.2 * 0.529;

/// Functions of one element or of an alloy on common grids.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    /// Elements.
    pub elements: Vec<String>,
    /// Grid of distances, Å.
    pub dr: f64,
    /// Grid of densities.
    pub drho: f64,
    /// The largest density of the tables.
    pub rho_max: f64,
    /// Cutoff, Å.
    pub cutoff: f64,
    /// F(ρ) of each element, eV.
    pub embedding: Vec<Vec<f64>>,
    /// Density that element a makes at an atom of element b, at index a n + b.
    pub density: Vec<Vec<f64>>,
    /// r φ(r), eV Å, at index a n + b, symmetric.
    pub r_phi: Vec<Vec<f64>>,
    /// u(r) and w(r) of angular-dependent potentials, as r φ; otherwise empty.
    pub angular: [Vec<Vec<f64>>; 2],
}

/// What a setfl file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setfl {
    /// One density for each element.
    Alloy,
    /// A density for each element at each element.
    FinnisSinclair,
    /// As `Alloy`, with dipole and quadrupole functions of pairs behind the pair potentials.
    Angular,
}

/// Grid sizes and spacings of a header line, all checked.
struct Grid {
    nrho: usize,
    drho: f64,
    nr: usize,
    dr: f64,
    cutoff: f64,
}

fn grid(words: &Words<'_>, line: &[&str]) -> Result<Grid, SpecError> {
    let g = Grid {
        nrho: words.count(line, 0, 5, "the number of densities")?,
        drho: words.field(line, 1, "the spacing of densities")?,
        nr: words.count(line, 2, 5, "the number of distances")?,
        dr: words.field(line, 3, "the spacing of distances")?,
        cutoff: words.field(line, 4, "the cutoff")?,
    };
    if g.drho > 0.0 && g.dr > 0.0 && g.cutoff > 0.0 {
        Ok(g)
    } else {
        Err(words.error("the spacings and the cutoff must be positive"))
    }
}

/// One funcfl file as it is written.
pub(crate) struct Funcfl {
    grid: Grid,
    embedding: Vec<f64>,
    charge: Vec<f64>,
    density: Vec<f64>,
}

impl Funcfl {
    /// Reads a file of one element.
    ///
    /// # Errors
    /// When it is malformed or truncated.
    pub(crate) fn read(key: &str, file: &Path, text: &str) -> Result<Self, SpecError> {
        let mut words = Words::new(key, file, text);
        words.line("a comment")?;
        words.line("the line with atomic number, mass, lattice constant and lattice")?;
        let line = words.line_words("the line with the grids")?;
        let grid = grid(&words, &line)?;
        let embedding = words.numbers(grid.nrho, "the embedding energy")?;
        let charge = words.numbers(grid.nr, "the effective charge")?;
        let density = words.numbers(grid.nr, "the density")?;
        Ok(Self { grid, embedding, charge, density })
    }
}

/// Value of a table at a point of another grid, by the polynomial of degree 3 through four neighbouring values.
fn four_point(table: &[f64], spacing: f64, x: f64) -> f64 {
    // knots count from 1 here
    let p = x / spacing + 1.0;
    let k = (p as usize).min(table.len() - 2).max(2);
    let p = (p - k as f64).min(2.0);
    let weights = [
        -p * (p - 1.0) * (p - 2.0) / 6.0,
        0.5 * (p * p - 1.0) * (p - 2.0),
        -0.5 * p * (p + 1.0) * (p - 2.0),
        p * (p * p - 1.0) / 6.0,
    ];
    weights.iter().zip(&table[k - 2..]).map(|(w, f)| w * f).sum()
}

/// Common tables of elements with a funcfl file each: the coarsest spacings and the longest ranges, and
/// φ_ab = Z_a Z_b e² / r.
pub(crate) fn from_funcfl(elements: Vec<String>, files: &[Funcfl]) -> Tables {
    let largest = |f: &dyn Fn(&Grid) -> f64| files.iter().map(|t| f(&t.grid)).fold(0.0, f64::max);
    let (dr, drho) = (largest(&|g| g.dr), largest(&|g| g.drho));
    let r_max = largest(&|g| (g.nr - 1) as f64 * g.dr);
    let rho_max = largest(&|g| (g.nrho - 1) as f64 * g.drho);
    let (nr, nrho) = ((r_max / dr + 0.5) as usize, (rho_max / drho + 0.5) as usize);
    let on = |table: &[f64], from: f64, n: usize, to: f64| -> Vec<f64> {
        (0..n).map(|m| four_point(table, from, m as f64 * to)).collect()
    };
    let embedding = files.iter().map(|t| on(&t.embedding, t.grid.drho, nrho, drho)).collect();
    let charge: Vec<Vec<f64>> = files.iter().map(|t| on(&t.charge, t.grid.dr, nr, dr)).collect();
    let density: Vec<Vec<f64>> = files.iter().map(|t| on(&t.density, t.grid.dr, nr, dr)).collect();
    let n = files.len();
    let product =
        |k: usize| charge[k / n].iter().zip(&charge[k % n]).map(|(a, b)| HARTREE_BOHR * a * b).collect();
    Tables {
        elements,
        dr,
        drho,
        rho_max,
        cutoff: largest(&|g| g.cutoff),
        embedding,
        density: (0..n * n).map(|k| density[k / n].clone()).collect(),
        r_phi: (0..n * n).map(product).collect(),
        angular: Default::default(),
    }
}

/// Reads a setfl file of one of the kinds.
///
/// # Errors
/// When it is malformed or truncated.
pub(crate) fn read_setfl(key: &str, file: &Path, text: &str, kind: Setfl) -> Result<Tables, SpecError> {
    let mut words = Words::new(key, file, text);
    for _ in 0..3 {
        words.line("three lines of comment")?;
    }
    let line = words.line_words("the line with the elements")?;
    let n = words.count(&line, 0, 1, "the number of elements")?;
    let elements: Vec<String> = line[1..].iter().map(|w| (*w).to_owned()).collect();
    if elements.len() != n {
        return Err(words.error(format!("expected {n} elements, found {}", elements.len())));
    }
    let line = words.line_words("the line with the grids")?;
    let grid = grid(&words, &line)?;
    let mut embedding = Vec::new();
    let mut density = Vec::new();
    for name in &elements {
        for what in ["atomic number", "mass", "lattice constant"] {
            words.number(&format!("the {what} of {name}"))?;
        }
        words.word(&format!("the lattice of {name}"))?;
        embedding.push(words.numbers(grid.nrho, &format!("the embedding energy of {name}"))?);
        if kind == Setfl::FinnisSinclair {
            for other in &elements {
                density.push(words.numbers(grid.nr, &format!("the density of {name} at {other}"))?);
            }
        } else {
            let one = words.numbers(grid.nr, &format!("the density of {name}"))?;
            density.resize(density.len() + n, one);
        }
    }
    let r_phi = pairs(&mut words, &elements, grid.nr, "r times the pair potential")?;
    let angular = match kind {
        Setfl::Angular => [
            pairs(&mut words, &elements, grid.nr, "the dipole function")?,
            pairs(&mut words, &elements, grid.nr, "the quadrupole function")?,
        ],
        _ => Default::default(),
    };
    if let Ok(word) = words.word("") {
        let hint = match kind {
            Setfl::Angular => "the dipole and quadrupole functions are the last tables of an `.adp` file",
            _ => {
                "`.eam.fs` files have a density for each pair of elements, `.eam.alloy` files one for each element; \
                 say which it is with `format`. `.adp` files have more tables and are read by `adp`"
            }
        };
        let line = words.present_line();
        return Err(
            at_line(key, file, line, format!("expected the end of the file, found `{word}`")).hint(hint)
        );
    }
    Ok(Tables {
        elements,
        dr: grid.dr,
        drho: grid.drho,
        rho_max: (grid.nrho - 1) as f64 * grid.drho,
        cutoff: grid.cutoff,
        embedding,
        density,
        r_phi,
        angular,
    })
}

/// A function of each pair of elements, listed once for each pair: at index a n + b and b n + a.
fn pairs(
    words: &mut Words<'_>,
    elements: &[String],
    points: usize,
    what: &str,
) -> Result<Vec<Vec<f64>>, SpecError> {
    let n = elements.len();
    let mut tables = vec![Vec::new(); n * n];
    for a in 0..n {
        for b in 0..=a {
            let what = format!("{what} of {} and {}", elements[a], elements[b]);
            let table = words.numbers(points, &what)?;
            tables[b * n + a].clone_from(&table);
            tables[a * n + b] = table;
        }
    }
    Ok(tables)
}
