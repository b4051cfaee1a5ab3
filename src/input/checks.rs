//! What a structure must fulfil: counts, places and distances within reason.
use super::structure::Structure;
use caloron_engine::{Cell, NeighborList, SpecError, System, Vec3, neighbors};

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

/// The closest pair within a distance (first index not above the second).
pub(crate) fn closest(structure: &Structure, system: &System, within: f64) -> Option<(usize, usize, f64)> {
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

/// A positive, finite number.
pub(crate) fn positive(key: &str, value: f64) -> Result<f64, SpecError> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(SpecError::new(key, format!("`{key}` must be positive")).hint("write a value above zero"))
    }
}
