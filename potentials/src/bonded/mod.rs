//! Interactions of bonded atoms: bonds, angles, dihedrals and their corrections, between listed atoms.
mod angles;
mod bonds;
mod cmap;
mod dihedrals;
mod expression;
mod terms;

#[cfg(test)]
mod tests;

pub use angles::AngleForm;
pub use bonds::BondForm;
pub use cmap::{CmapForm, Map};
pub use dihedrals::DihedralForm;
pub use expression::{Bound, Expression, Table};
pub use terms::{Form, Terms};

use caloron_engine::{
    Extra, ExtraSpec, Input, Outputs, Potential, PotentialError, Properties, Scope, SpecError,
};

/// Terms by their kinds, as a force field lists them.
#[derive(Clone, Debug, Default)]
pub struct BondedTerms {
    /// Bonds.
    pub bonds: Vec<([u32; 2], BondForm)>,
    /// Springs between the ends of angles.
    pub urey_bradley: Vec<([u32; 2], BondForm)>,
    /// Angles, the vertex in the middle.
    pub angles: Vec<([u32; 3], AngleForm)>,
    /// Proper dihedrals.
    pub dihedrals: Vec<([u32; 4], DihedralForm)>,
    /// Improper dihedrals.
    pub impropers: Vec<([u32; 4], DihedralForm)>,
    /// Maps of two dihedrals.
    pub cmaps: Vec<([u32; 8], CmapForm)>,
}

impl BondedTerms {
    /// True without any term.
    pub fn is_empty(&self) -> bool {
        self.bonds.is_empty()
            && self.urey_bradley.is_empty()
            && self.angles.is_empty()
            && self.dihedrals.is_empty()
            && self.impropers.is_empty()
            && self.cmaps.is_empty()
    }
}

const fn energy(name: &'static str) -> ExtraSpec {
    ExtraSpec { name, scope: Scope::System, components: 1, unit: "eV" }
}
static EXTRAS: [ExtraSpec; 6] = [
    energy("energy_bonds"),
    energy("energy_urey_bradley"),
    energy("energy_angles"),
    energy("energy_dihedrals"),
    energy("energy_impropers"),
    energy("energy_cmap"),
];

/// All bonded terms of a system. Energies of atoms are equal shares of those of their terms.
pub struct Bonded {
    atoms: usize,
    bonds: Terms<BondForm, 2>,
    urey_bradley: Terms<BondForm, 2>,
    angles: Terms<AngleForm, 3>,
    dihedrals: Terms<DihedralForm, 4>,
    impropers: Terms<DihedralForm, 4>,
    cmaps: Terms<CmapForm, 8>,
}

impl Bonded {
    /// The terms between the atoms of a system.
    ///
    /// # Errors
    /// When a term names an atom that does not exist.
    pub fn new(atoms: usize, terms: BondedTerms) -> Result<Self, SpecError> {
        Ok(Self {
            atoms,
            bonds: Terms::new(atoms, terms.bonds).map_err(|e| e.within("bonds"))?,
            urey_bradley: Terms::new(atoms, terms.urey_bradley).map_err(|e| e.within("urey_bradley"))?,
            angles: Terms::new(atoms, terms.angles).map_err(|e| e.within("angles"))?,
            dihedrals: Terms::new(atoms, terms.dihedrals).map_err(|e| e.within("dihedrals"))?,
            impropers: Terms::new(atoms, terms.impropers).map_err(|e| e.within("impropers"))?,
            cmaps: Terms::new(atoms, terms.cmaps).map_err(|e| e.within("cmaps"))?,
        })
    }
}

impl Potential for Bonded {
    fn name(&self) -> &'static str {
        "bonded"
    }
    fn cutoff(&self) -> Option<f64> {
        None
    }
    fn provides(&self) -> Properties {
        Properties::all()
    }
    fn extras(&self) -> &'static [ExtraSpec] {
        &EXTRAS
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        if input.positions.len() != self.atoms {
            let reason =
                format!("the terms are those of {} atoms, not {}", self.atoms, input.positions.len());
            return Err(PotentialError::Geometry { potential: "bonded", reason });
        }
        let energies = [
            self.bonds.add(&input, want, out),
            self.urey_bradley.add(&input, want, out),
            self.angles.add(&input, want, out),
            self.dihedrals.add(&input, want, out),
            self.impropers.add(&input, want, out),
            self.cmaps.add(&input, want, out),
        ];
        if want.contains(Properties::EXTRAS) {
            out.extras.extend(EXTRAS.iter().zip(energies).map(|(spec, e)| Extra { spec, values: vec![e] }));
        }
        Ok(())
    }
    fn describe(&self) -> Vec<String> {
        let counts = [
            ("bonds", self.bonds.len()),
            ("Urey-Bradley terms", self.urey_bradley.len()),
            ("angles", self.angles.len()),
            ("dihedrals", self.dihedrals.len()),
            ("impropers", self.impropers.len()),
            ("CMAP terms", self.cmaps.len()),
        ];
        let text: Vec<String> =
            counts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{n} {name}")).collect();
        vec![text.join(", ")]
    }
}
