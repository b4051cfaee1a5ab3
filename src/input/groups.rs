//! Named groups of atoms.
use caloron_engine::error::nearest;
use caloron_engine::quantity::Length;
use caloron_engine::{Cell, Quantity, SpecError, System, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A group of atoms, chosen once from the structure as it is built (before `rattle`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GroupSpec {
    /// Every atom.
    All,
    /// Atoms by number, from 0, in the order of the structure.
    Indices(Vec<u32>),
    /// Atoms from the first number to the last, both included, from 0.
    Range([u32; 2]),
    /// Atoms of these species.
    Species(Vec<String>),
    /// Atoms in a box with edges along x, y and z. Positions are taken as they are, not wrapped.
    Box(BoxRegion),
    /// Atoms within a distance of a point, over periodic images.
    Sphere(SphereRegion),
    /// Atoms that are in at least one of these groups.
    Any(Vec<String>),
    /// Atoms that are in all of these groups.
    Every(Vec<String>),
    /// Atoms that are not in this group.
    Not(String),
}

/// A box. Bounds that are left out do not limit.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoxRegion {
    /// Lower bounds of x, y and z; default none.
    pub min: Option<[Quantity<Length>; 3]>,
    /// Upper bounds of x, y and z; default none.
    pub max: Option<[Quantity<Length>; 3]>,
}

/// A sphere.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SphereRegion {
    /// Centre.
    pub center: [Quantity<Length>; 3],
    /// Radius.
    pub radius: Quantity<Length>,
}

/// The atoms of a group of the system; the error is at the key itself.
pub(crate) fn find<'s>(system: &'s System, name: &str) -> Result<&'s [u32], SpecError> {
    system.group(name).ok_or_else(|| unknown(name, system.groups().keys().map(String::as_str)))
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> SpecError {
    let names: Vec<&str> = known.collect();
    SpecError::new("", format!("there is no group `{name}`")).hint(
        match nearest(name, names.iter().copied()) {
            Some(n) => format!("did you mean `{n}`?"),
            None if names.is_empty() => {
                "define it: `groups = { NAME = { species = [\"Ar\"] } }` in [system]".into()
            }
            None => format!("the groups are {}", names.join(", ")),
        },
    )
}

/// All groups; errors are relative to the table that holds `groups`.
pub(crate) fn resolve(
    specs: &BTreeMap<String, GroupSpec>,
    system: &System,
    positions: &[Vec3],
    cell: &Cell,
) -> Result<BTreeMap<String, Vec<u32>>, SpecError> {
    let mut resolver = Resolver { specs, system, positions, cell, done: BTreeMap::new() };
    for name in specs.keys() {
        resolver.group(name, &mut Vec::new()).map_err(|e| e.within("groups"))?;
    }
    Ok(resolver.done)
}

struct Resolver<'a> {
    specs: &'a BTreeMap<String, GroupSpec>,
    system: &'a System,
    positions: &'a [Vec3],
    cell: &'a Cell,
    done: BTreeMap<String, Vec<u32>>,
}

impl<'a> Resolver<'a> {
    fn group(&mut self, name: &'a str, above: &mut Vec<&'a str>) -> Result<(), SpecError> {
        if self.done.contains_key(name) {
            return Ok(());
        }
        let Some(spec) = self.specs.get(name) else {
            return Err(unknown(name, self.specs.keys().map(String::as_str))
                .within(above.last().copied().unwrap_or("")));
        };
        if above.contains(&name) {
            return Err(SpecError::new(name, format!("the group `{name}` is defined by itself"))
                .hint("groups may refer to each other, but not in a circle"));
        }
        above.push(name);
        let parts: Vec<&'a str> = match spec {
            GroupSpec::Any(names) | GroupSpec::Every(names) => names.iter().map(String::as_str).collect(),
            GroupSpec::Not(name) => vec![name.as_str()],
            _ => Vec::new(),
        };
        for part in parts {
            self.group(part, above)?;
        }
        above.pop();
        let atoms = self.atoms(spec).map_err(|e| e.within(name))?;
        if atoms.is_empty() {
            return Err(SpecError::new(name, format!("the group `{name}` has no atoms"))
                .hint("check its bounds and species against the structure"));
        }
        self.done.insert(name.to_owned(), atoms);
        Ok(())
    }
    fn atoms(&self, spec: &GroupSpec) -> Result<Vec<u32>, SpecError> {
        let n = self.positions.len() as u32;
        let exists = |key: String, i: u32| {
            if i < n {
                return Ok(i);
            }
            Err(SpecError::new(key, format!("atom {i} does not exist: there are {n} atoms"))
                .hint(format!("atoms are counted from 0 to {}", n - 1)))
        };
        let filter = |keep: &dyn Fn(usize) -> bool| (0..n).filter(|&i| keep(i as usize)).collect::<Vec<_>>();
        let within = |name: &String, i: u32| self.done[name].binary_search(&i).is_ok();
        Ok(match spec {
            GroupSpec::All => filter(&|_| true),
            GroupSpec::Indices(list) => {
                let mut atoms = Vec::with_capacity(list.len());
                for (k, &i) in list.iter().enumerate() {
                    atoms.push(exists(format!("indices[{k}]"), i)?);
                }
                atoms.sort_unstable();
                atoms.dedup();
                atoms
            }
            GroupSpec::Range([first, last]) => {
                if first > last {
                    return Err(SpecError::new("range", format!("the range {first} to {last} is empty"))
                        .hint("write the smaller number first"));
                }
                (*first..=exists("range[1]".into(), *last)?).collect()
            }
            GroupSpec::Species(names) => {
                let known = || self.system.species().iter().map(|s| s.symbol.as_str());
                for (k, name) in names.iter().enumerate() {
                    if !known().any(|s| s == name) {
                        let error = SpecError::new(
                            format!("species[{k}]"),
                            format!("no atom has the species `{name}`"),
                        );
                        return Err(error.hint(match nearest(name, known()) {
                            Some(s) => format!("did you mean `{s}`?"),
                            None => format!("the species are {}", known().collect::<Vec<_>>().join(", ")),
                        }));
                    }
                }
                filter(&|i| names.iter().any(|s| s == self.system.symbol(i)))
            }
            GroupSpec::Box(region) => {
                let bound = |b: &Option<[Quantity<Length>; 3]>, k: usize, none: f64| {
                    b.map_or(none, |b| b[k].internal())
                };
                filter(&|i| {
                    (0..3).all(|k| {
                        let x = self.positions[i][k];
                        x >= bound(&region.min, k, f64::NEG_INFINITY)
                            && x <= bound(&region.max, k, f64::INFINITY)
                    })
                })
            }
            GroupSpec::Sphere(region) => {
                let center = Vec3::from(region.center.map(Quantity::internal));
                let radius = super::checks::positive("sphere.radius", region.radius.internal())?;
                filter(&|i| self.cell.shortest(&center, &self.positions[i]).norm() <= radius)
            }
            GroupSpec::Any(names) => (0..n).filter(|&i| names.iter().any(|g| within(g, i))).collect(),
            GroupSpec::Every(names) => (0..n).filter(|&i| names.iter().all(|g| within(g, i))).collect(),
            GroupSpec::Not(name) => (0..n).filter(|&i| !within(name, i)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caloron_engine::{Species, UnitSystem, quantity};

    fn resolved(text: &str) -> Result<BTreeMap<String, Vec<u32>>, SpecError> {
        let specs: BTreeMap<String, GroupSpec> =
            quantity::reading_in(UnitSystem::Lj, || toml::from_str(text)).unwrap();
        let species = ["A", "B"].map(|s| Species { symbol: s.into(), number: None, mass: 1.0 });
        let system = System::new(species.to_vec(), vec![0, 1, 0, 1]);
        let positions: Vec<Vec3> = (0..4).map(|i| Vec3::new(f64::from(i), 0.0, 0.0)).collect();
        resolve(&specs, &system, &positions, &Cell::orthorhombic(4.0, 4.0, 4.0).unwrap())
    }

    #[test]
    fn groups_select_atoms() {
        for (text, atoms) in [
            ("g = 'all'", vec![0, 1, 2, 3]),
            ("g = { indices = [3, 1, 1] }", vec![1, 3]),
            ("g = { range = [1, 2] }", vec![1, 2]),
            ("g = { species = ['B'] }", vec![1, 3]),
            ("g = { box = { min = [0.5, -1, -1], max = [2.5, 1, 1] } }", vec![1, 2]),
            ("g = { sphere = { center = [0, 0, 0], radius = 1.1 } }", vec![0, 1, 3]),
            ("b = { species = ['B'] }\ng = { not = 'b' }", vec![0, 2]),
            ("b = { species = ['B'] }\ni = { indices = [0] }\ng = { any = ['b', 'i'] }", vec![0, 1, 3]),
            ("b = { species = ['B'] }\ni = { indices = [0, 1] }\ng = { every = ['b', 'i'] }", vec![1]),
        ] {
            assert_eq!(resolved(text).unwrap()["g"], atoms, "{text}");
        }
    }

    #[test]
    fn wrong_groups_are_refused() {
        for (text, key) in [
            ("g = { indices = [9] }", "groups.g.indices[0]"),
            ("g = { species = ['b'] }", "groups.g.species[0]"),
            ("g = { not = 'h' }", "groups.g"),
            ("g = { not = 'h' }\nh = { not = 'g' }", "groups.g"),
            ("g = { range = [2, 1] }", "groups.g.range"),
            ("g = { box = { min = [9, 9, 9] } }", "groups.g"),
        ] {
            assert_eq!(resolved(text).unwrap_err().key, key, "{text}");
        }
    }
}
