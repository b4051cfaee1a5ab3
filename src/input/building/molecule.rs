//! Molecules that are put into a structure: their shapes.
use crate::input::files::read_frame;
use crate::input::structure::Structure;
use caloron_engine::{SpecError, Vec3, elements};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A water model: its geometry. The interactions come from the force field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaterModel {
    /// SPC: 1 Å, 109.47 degrees.
    Spc,
    /// SPC/E: the geometry of SPC.
    Spce,
    /// TIP3P: 0.9572 Å, 104.52 degrees.
    Tip3p,
    /// TIP4P: TIP3P with a site 0.15 Å from the oxygen.
    Tip4p,
    /// TIP4P-Ew: the site at 0.125 Å.
    Tip4pEw,
    /// TIP4P/2005: the site at 0.1546 Å.
    Tip4p2005,
    /// TIP4P/Ice: the site at 0.1577 Å.
    Tip4pIce,
    /// TIP5P: TIP3P with two sites 0.7 Å from the oxygen, where its lone pairs are.
    Tip5p,
    /// OPC: 0.8724 Å, 103.6 degrees, the site at 0.1594 Å.
    Opc,
}

impl WaterModel {
    /// Bond length, angle in degrees, distance of a massless site on the bisector from the oxygen.
    fn geometry(self) -> (f64, f64, Option<f64>) {
        match self {
            Self::Spc | Self::Spce => (1.0, 109.471_220_634_490_7, None),
            Self::Tip3p | Self::Tip5p => (0.9572, 104.52, None),
            Self::Tip4p => (0.9572, 104.52, Some(0.15)),
            Self::Tip4pEw => (0.9572, 104.52, Some(0.125)),
            Self::Tip4p2005 => (0.9572, 104.52, Some(0.1546)),
            Self::Tip4pIce => (0.9572, 104.52, Some(0.1577)),
            Self::Opc => (0.8724, 103.6, Some(0.1594)),
        }
    }
    /// Oxygen at the origin, the bisector along z, the hydrogens in the xz plane.
    pub fn template(self) -> Template {
        let (bond, angle, site) = self.geometry();
        let (sin, cos) = (0.5 * angle.to_radians()).sin_cos();
        let mut symbols = vec!["O".to_owned(), "H".into(), "H".into()];
        let h = |x: f64| Vec3::new(x * bond * sin, 0.0, bond * cos);
        let mut positions = vec![Vec3::zeros(), h(1.0), h(-1.0)];
        if let Some(d) = site {
            symbols.push(SITE.to_owned());
            positions.push(Vec3::z() * d);
        }
        if self == Self::Tip5p {
            // half the tetrahedral angle, behind the oxygen
            let (sin, cos) = (0.5 * (-1.0f64 / 3.0).acos()).sin_cos();
            symbols.extend([SITE.to_owned(), SITE.to_owned()]);
            positions.extend([1.0, -1.0].map(|side| 0.7 * Vec3::new(0.0, side * sin, -cos)));
        }
        Template { symbols, positions }
    }
}

/// Symbol of a site without mass.
pub(crate) const SITE: &str = "M";

/// Which molecule: exactly one of `water`, `file` and `species`.
#[derive(Clone, Debug, Default)]
pub(crate) struct MoleculeSource<'a> {
    pub water: Option<WaterModel>,
    pub file: Option<&'a PathBuf>,
    pub species: Option<&'a String>,
}

/// Atoms of one molecule.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub symbols: Vec<String>,
    pub positions: Vec<Vec3>,
}

impl MoleculeSource<'_> {
    /// The atoms; a file is read from `directory` and noted in `files`.
    pub fn template(&self, directory: &Path, files: &mut Vec<PathBuf>) -> Result<Template, SpecError> {
        let molecule = match (self.water, self.file, self.species) {
            (Some(water), None, None) => water.template(),
            (None, Some(file), None) => {
                let path = directory.join(file);
                let frame = read_frame(&path, None, -1).map_err(|e| SpecError { key: "file".into(), ..e })?;
                if frame.symbols.is_empty() {
                    return Err(SpecError::new("file", "the molecule has no atoms").hint("name another file"));
                }
                if !files.contains(&path) {
                    files.push(path);
                }
                Template { symbols: frame.symbols, positions: frame.positions }
            }
            (None, None, Some(species)) => {
                Template { symbols: vec![species.clone()], positions: vec![Vec3::zeros()] }
            }
            _ => {
                return Err(SpecError::new("", "it does not say which molecule")
                    .hint("give exactly one of `water = \"spce\"`, `file = \"molecule.xyz\"` and `species = \"Na\"`"));
            }
        };
        if let Some(i) = molecule.positions.iter().position(|r| !r.iter().all(|x| x.is_finite())) {
            return Err(SpecError::new("file", format!("the position of atom {i} is not finite"))
                .hint("correct the file"));
        }
        Ok(molecule)
    }
}

impl Template {
    /// Sum of the standard masses, u; 0 for sites, and for reduced units 1 for each atom that is no element.
    pub fn mass(&self) -> f64 {
        self.symbols.iter().map(|s| elements::mass(s).unwrap_or(if s == SITE { 0.0 } else { 1.0 })).sum()
    }
    /// With the centre of its atoms at the origin.
    pub fn centered(mut self) -> Self {
        let center = self.positions.iter().sum::<Vec3>() / self.positions.len() as f64;
        self.positions.iter_mut().for_each(|r| *r -= center);
        self
    }
}

/// Smallest distances between atoms of different molecules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contact {
    /// Between atoms heavier than hydrogen.
    pub heavy: f64,
}

/// Default of `Contact::heavy`, Å.
pub(crate) const CONTACT: f64 = 2.4;

/// How near an atom lets others come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Heavy,
    Hydrogen,
    Site,
}

impl Kind {
    pub fn of(symbol: &str) -> Self {
        match symbol {
            "H" | "D" | "T" => Self::Hydrogen,
            SITE | "X" | "EP" => Self::Site,
            _ => Self::Heavy,
        }
    }
}

impl Contact {
    /// The smallest distance of two atoms: `heavy`, two thirds of it with a hydrogen atom, none with a massless site.
    pub fn of(self, a: Kind, b: Kind) -> f64 {
        match (a, b) {
            (Kind::Site, _) | (_, Kind::Site) => 0.0,
            (Kind::Heavy, Kind::Heavy) => self.heavy,
            _ => self.heavy * (2.0 / 3.0),
        }
    }
}

impl Structure {
    /// Adds a molecule.
    pub(crate) fn extend(&mut self, symbols: &[String], positions: &[Vec3]) {
        self.symbols.extend_from_slice(symbols);
        self.positions.extend_from_slice(positions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn water_has_its_geometry() {
        for (model, bond, angle, site) in [
            (WaterModel::Spce, 1.0, 109.47, None),
            (WaterModel::Tip3p, 0.9572, 104.52, None),
            (WaterModel::Tip4p2005, 0.9572, 104.52, Some(0.1546)),
            (WaterModel::Opc, 0.8724, 103.6, Some(0.1594)),
            (WaterModel::Tip5p, 0.9572, 104.52, Some(0.7)),
        ] {
            let t = model.template();
            let (a, b) = (t.positions[1] - t.positions[0], t.positions[2] - t.positions[0]);
            assert!((a.norm() - bond).abs() < 1e-12 && (b.norm() - bond).abs() < 1e-12);
            assert!((a.angle(&b).to_degrees() - angle).abs() < 2e-3, "{model:?}");
            let near = |d: Option<f64>| (d.unwrap_or(0.0) - site.unwrap_or(0.0)).abs() < 1e-12;
            assert!(near(t.positions.get(3).map(|m| m.norm())), "{model:?}");
            if let Some(second) = t.positions.get(4) {
                // the tetrahedral angle between the lone pairs, which stand across the plane of the atoms
                assert!((t.positions[3].angle(second).to_degrees() - 109.471_220_634).abs() < 1e-6);
                assert!(second.y < 0.0 && second.z < 0.0 && t.positions[3].y > 0.0);
            }
            assert!((t.mass() - 18.015).abs() < 1e-2);
        }
    }
}
