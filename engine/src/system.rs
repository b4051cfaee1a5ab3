//! What is fixed in a run: species, masses, charges, groups, fixed atoms.
use std::collections::BTreeMap;

/// A kind of atom.
#[derive(Clone, Debug, PartialEq)]
pub struct Species {
    /// Name: an element symbol or any label (reduced units, coarse-grained beads).
    pub symbol: String,
    /// Atomic number, where the name is an element.
    pub number: Option<u8>,
    /// Mass, u.
    pub mass: f64,
}

/// The atoms of a run, apart from where they are.
#[derive(Clone, Debug, Default)]
pub struct System {
    species: Vec<Species>,
    types: Vec<u16>,
    masses: Vec<f64>,
    inverse_masses: Vec<f64>,
    charges: Vec<f64>,
    groups: BTreeMap<String, Vec<u32>>,
    constraints: usize,
}

impl System {
    /// Atoms by their species.
    ///
    /// # Panics
    /// When a type is not in the table.
    pub fn new(species: Vec<Species>, types: Vec<u16>) -> Self {
        let masses: Vec<f64> = types.iter().map(|&t| species[usize::from(t)].mass).collect();
        let inverse_masses = masses.iter().map(|m| 1.0 / m).collect();
        let charges = vec![0.0; types.len()];
        Self { species, types, masses, inverse_masses, charges, groups: BTreeMap::new(), constraints: 0 }
    }
    /// Number of atoms.
    pub fn len(&self) -> usize {
        self.types.len()
    }
    /// True without atoms.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }
    /// The table of species.
    pub fn species(&self) -> &[Species] {
        &self.species
    }
    /// Index into [`System::species`] of each atom.
    pub fn types(&self) -> &[u16] {
        &self.types
    }
    /// Symbol of an atom.
    pub fn symbol(&self, atom: usize) -> &str {
        &self.species[usize::from(self.types[atom])].symbol
    }
    /// Masses, u.
    pub fn masses(&self) -> &[f64] {
        &self.masses
    }
    /// 1/m, and 0 for fixed atoms: whatever multiplies a force or a noise by it leaves them in place.
    pub fn inverse_masses(&self) -> &[f64] {
        &self.inverse_masses
    }
    /// Charges, e.
    pub fn charges(&self) -> &[f64] {
        &self.charges
    }
    /// Replaces the masses (isotopes, hydrogen mass repartitioning). Fixed atoms stay fixed.
    ///
    /// # Panics
    /// When the count differs.
    pub fn set_masses(&mut self, masses: Vec<f64>) {
        assert_eq!(masses.len(), self.len());
        for (inv, m) in self.inverse_masses.iter_mut().zip(&masses) {
            *inv = if *inv == 0.0 { 0.0 } else { 1.0 / m };
        }
        self.masses = masses;
    }
    /// Replaces the charges.
    ///
    /// # Panics
    /// When the count differs.
    pub fn set_charges(&mut self, charges: Vec<f64>) {
        assert_eq!(charges.len(), self.len());
        self.charges = charges;
    }
    /// Keeps these atoms in place.
    pub fn fix(&mut self, atoms: &[u32]) {
        for &i in atoms {
            self.inverse_masses[i as usize] = 0.0;
        }
    }
    /// True when the atom is kept in place.
    pub fn is_fixed(&self, atom: usize) -> bool {
        self.inverse_masses[atom] == 0.0
    }
    /// Number of atoms kept in place.
    pub fn fixed(&self) -> usize {
        self.inverse_masses.iter().filter(|m| **m == 0.0).count()
    }
    /// Names a group of atoms (sorted indices without doubles).
    pub fn set_group(&mut self, name: impl Into<String>, mut atoms: Vec<u32>) {
        atoms.sort_unstable();
        atoms.dedup();
        self.groups.insert(name.into(), atoms);
    }
    /// Atoms of a named group.
    pub fn group(&self, name: &str) -> Option<&[u32]> {
        self.groups.get(name).map(Vec::as_slice)
    }
    /// All groups by name.
    pub fn groups(&self) -> &BTreeMap<String, Vec<u32>> {
        &self.groups
    }
    /// Number of holonomic constraints.
    pub fn constraints(&self) -> usize {
        self.constraints
    }
    /// States the number of holonomic constraints.
    pub fn set_constraints(&mut self, n: usize) {
        self.constraints = n;
    }
    /// Degrees of freedom of the kinetic energy: 3 for each mobile atom, less the constraints, less 3 when the
    /// total momentum is kept at zero (which fixed atoms make impossible).
    pub fn degrees_of_freedom(&self, momentum_removed: bool) -> usize {
        let fixed = self.fixed();
        let momentum = if momentum_removed && fixed == 0 { 3 } else { 0 };
        (3 * (self.len() - fixed)).saturating_sub(self.constraints + momentum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_of_freedom_are_counted() {
        let ar = Species { symbol: "Ar".into(), number: Some(18), mass: 39.95 };
        let mut s = System::new(vec![ar], vec![0; 10]);
        assert_eq!((s.degrees_of_freedom(false), s.degrees_of_freedom(true)), (30, 27));
        s.set_constraints(4);
        assert_eq!(s.degrees_of_freedom(true), 23);
        s.fix(&[3, 4]);
        assert_eq!((s.degrees_of_freedom(true), s.fixed(), s.inverse_masses()[3]), (20, 2, 0.0));
    }
}
