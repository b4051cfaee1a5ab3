//! Ions in the place of solvent molecules: a neutral system, and a salt concentration.
use super::pack::list_of;
use crate::input::structure::Structure;
use caloron_engine::quantity::{Charge, Length, NumberDensity};
use caloron_engine::{Cell, Quantity, SpecError, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;

/// Ions that take the places of solvent molecules, chosen at random.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IonsSpec {
    /// The positive ion: with a force field the name of the molecule in the force field, else an element of the groups 1 and 2
    /// or zinc. Default "Na".
    pub cation: Option<String>,
    /// The negative ion: with a force field the name of the molecule in the force field, else a halogen. Default "Cl".
    pub anion: Option<String>,
    /// Adds the ions that make the system neutral; default true.
    pub neutralize: Option<bool>,
    /// Salt beside the ions that neutralise, in the volume of the solvent (such as "0.15 mol/L" or "150 mM"). Default none.
    pub concentration: Option<Quantity<NumberDensity>>,
    /// Net charge of the structure. Default: the sum of the charges of the force field or of the structure.
    pub charge: Option<Quantity<Charge>>,
    /// Smallest distance of an ion from other ions and from the structure; default 5 Å.
    pub min_distance: Option<Quantity<Length>>,
}

/// A kind of ion: its symbol, its name in the topology, its charge.
#[derive(Clone, Debug)]
pub(crate) struct Ion {
    pub symbol: String,
    pub name: Option<String>,
    pub charge: f64,
}

/// The charge of an ion by its element.
pub(crate) fn usual_charge(element: &str) -> Option<f64> {
    match element {
        "Li" | "Na" | "K" | "Rb" | "Cs" => Some(1.0),
        "Be" | "Mg" | "Ca" | "Sr" | "Ba" | "Zn" => Some(2.0),
        "F" | "Cl" | "Br" | "I" => Some(-1.0),
        _ => None,
    }
}

fn whole(key: &str, charge: f64) -> Result<i64, SpecError> {
    let n = charge.round();
    if (charge - n).abs() < 1e-3 && n.abs() < 1e6 {
        return Ok(n as i64);
    }
    Err(SpecError::new(key, format!("the charge {charge:.4} e is no whole number"))
        .hint("the charges of a molecule add up to a whole number; check the structure and its force field"))
}

/// Numbers of cations and anions: the fewest that make the charge vanish, and `salt` formula units.
fn numbers(net: i64, plus: i64, minus: i64, salt: i64) -> Option<[usize; 2]> {
    let g = (1..=plus.min(minus)).rev().find(|g| plus % g == 0 && minus % g == 0).unwrap_or(1);
    let fewest = (0..=net.abs() + plus * minus).find_map(|n| {
        // n ions of the kind with the sign of the structure, the others follow
        let (same, other) = if net > 0 { (plus, minus) } else { (minus, plus) };
        let rest = net.abs() + n * same;
        (rest % other == 0).then(|| if net > 0 { [n, rest / other] } else { [rest / other, n] })
    })?;
    Some([(fewest[0] + salt * minus / g) as usize, (fewest[1] + salt * plus / g) as usize])
}

impl IonsSpec {
    pub(crate) fn names(&self) -> [&str; 2] {
        [self.cation.as_deref().unwrap_or("Na"), self.anion.as_deref().unwrap_or("Cl")]
    }
    /// How many of each ion there must be, and how many formula units of salt are among them; errors are relative to `ions`.
    pub(crate) fn numbers(
        &self,
        ions: &[Ion; 2],
        net: Option<f64>,
        solvent_volume: f64,
    ) -> Result<([usize; 2], usize), SpecError> {
        let plus = whole("cation", ions[0].charge)?;
        let minus = whole("anion", -ions[1].charge)?;
        for (key, n, what) in [("cation", plus, "positive"), ("anion", minus, "negative")] {
            if n <= 0 {
                return Err(SpecError::new(key, format!("the charge of this ion is not {what}"))
                    .hint("`cation` is the positive ion, `anion` the negative one"));
            }
        }
        let neutralize = self.neutralize.unwrap_or(true);
        let net = match (self.charge.map(Quantity::internal).or(net), neutralize) {
            (_, false) => 0,
            (Some(q), true) => whole("charge", q)?,
            (None, true) => {
                return Err(SpecError::new("charge", "the charges of the structure are not known")
                    .hint("state the net charge, such as charge = \"-1 e\", or neutralize = false"));
            }
        };
        let salt = match self.concentration.map(Quantity::internal) {
            Some(c) if c >= 0.0 && c.is_finite() => (c * solvent_volume).round(),
            Some(_) => {
                return Err(SpecError::new("concentration", "the concentration must not be negative")
                    .hint("0.15 mol/L is that of blood"));
            }
            None => 0.0,
        };
        let salt = salt.min(1e8) as i64;
        let ions = numbers(net, plus, minus, salt).ok_or_else(|| {
            SpecError::new("", "no numbers of these ions make the system neutral").hint("choose other ions")
        })?;
        Ok((ions, salt as usize))
    }
    /// Solvent molecules that become ions, in random order: far enough from each other and from the structure.
    pub(crate) fn places(
        &self,
        order: &[u32],
        anchors: &[Vec3],
        structure: &Structure,
        count: usize,
    ) -> Result<Vec<u32>, SpecError> {
        let distance = self.min_distance.map_or(5.0, Quantity::internal);
        if !(0.0..100.0).contains(&distance) {
            return Err(SpecError::new("min_distance", "the distance must be from 0 to 100 Å")
                .hint("5 Å is the default"));
        }
        if count == 0 {
            return Ok(vec![]);
        }
        let near = Near::new(&structure.positions, anchors, &structure.cell, distance);
        let mut taken: Vec<u32> = Vec::new();
        let mut blocked = near.blocked.clone();
        for &m in order {
            if taken.len() == count {
                break;
            }
            if blocked[m as usize] {
                continue;
            }
            taken.push(m);
            near.partners(m as usize).for_each(|p| blocked[p as usize] = true);
        }
        if taken.len() < count {
            let message =
                format!("only {} of {count} ions find a place {distance} Å from all others", taken.len());
            return Err(SpecError::new("", message).hint(
                "choose a larger box, a lower concentration, or a smaller `min_distance` of the ions",
            ));
        }
        Ok(taken)
    }
}

/// Which anchors are near the structure, and near each other.
struct Near {
    blocked: Vec<bool>,
    start: Vec<usize>,
    partner: Vec<u32>,
}

impl Near {
    fn new(fixed: &[Vec3], anchors: &[Vec3], cell: &Cell, distance: f64) -> Self {
        let n = fixed.len();
        let all: Vec<Vec3> = fixed.iter().chain(anchors).copied().collect();
        let mut rows: Vec<Vec<u32>> = vec![vec![]; anchors.len()];
        let mut blocked = vec![false; anchors.len()];
        if distance > 0.0 {
            let (_, list) = list_of(&all, cell, distance, 0.0);
            for (row, &center) in list.centers().iter().enumerate() {
                let Some(a) = list.atom(center).checked_sub(n) else { continue };
                let r = Vec3::from(list.sites()[center as usize].position);
                for &s in list.row(row) {
                    if (Vec3::from(list.sites()[s as usize].position) - r).norm() >= distance {
                        continue;
                    }
                    match list.atom(s).checked_sub(n) {
                        Some(b) => rows[a].push(b as u32),
                        None => blocked[a] = true,
                    }
                }
            }
        }
        let mut start = vec![0];
        let mut partner = Vec::new();
        for row in rows {
            partner.extend(row);
            start.push(partner.len());
        }
        Self { blocked, start, partner }
    }
    fn partners(&self, a: usize) -> impl Iterator<Item = u32> {
        self.partner[self.start[a]..self.start[a + 1]].iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_neutral_and_few() {
        for (net, plus, minus, salt, expected) in [
            (0, 1, 1, 0, [0, 0]),
            (-5, 1, 1, 0, [5, 0]),
            (3, 1, 1, 10, [10, 13]),
            (-4, 2, 1, 0, [2, 0]),
            (-3, 2, 1, 0, [2, 1]),
            (1, 2, 1, 5, [5, 11]),
            (-1, 2, 2, 0, [0, 0]),
        ] {
            let found = numbers(net, plus, minus, salt);
            if plus == 2 && minus == 2 {
                assert_eq!(found, None);
                continue;
            }
            assert_eq!(found, Some(expected));
            let [p, m] = expected.map(|n| n as i64);
            assert_eq!(net + p * plus - m * minus, 0);
        }
    }
}
