//! What is fixed in a run: species, masses, charges, groups, fixed atoms, topology.
use crate::SpecError;
use crate::constraints::{Constraints, TOLERANCE};
use crate::topology::Topology;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    is_fixed: Vec<bool>,
    fixed: usize,
    topology: Arc<Topology>,
    constraints: usize,
    tolerance: f64,
    solver: Arc<Constraints>,
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
        let is_fixed = vec![false; types.len()];
        let topology = Arc::new(Topology::unconnected(types.len()));
        let groups = BTreeMap::new();
        let mut this = Self {
            species,
            types,
            masses,
            inverse_masses,
            charges,
            groups,
            is_fixed,
            topology,
            tolerance: TOLERANCE,
            ..Self::default()
        };
        this.update();
        this
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
    /// Masses, u; 0 for virtual sites.
    pub fn masses(&self) -> &[f64] {
        &self.masses
    }
    /// 1/m, and 0 for fixed atoms and virtual sites: whatever multiplies a force or a noise by it leaves them in place.
    pub fn inverse_masses(&self) -> &[f64] {
        &self.inverse_masses
    }
    /// Charges, e.
    pub fn charges(&self) -> &[f64] {
        &self.charges
    }
    /// Replaces the masses (isotopes, hydrogen mass repartitioning). Fixed atoms stay fixed, virtual sites massless.
    ///
    /// # Panics
    /// When the count differs.
    pub fn set_masses(&mut self, masses: Vec<f64>) {
        assert_eq!(masses.len(), self.len());
        self.masses = masses;
        self.update();
    }
    /// Bonds, molecules, residues, constraints, virtual sites. Without bonds when nothing was said.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }
    /// Connects the atoms. Virtual sites lose their mass.
    ///
    /// # Errors
    /// When the topology has another number of atoms, or an atom that is no virtual site has no mass.
    pub fn set_topology(&mut self, topology: Topology) -> Result<(), SpecError> {
        if topology.len() != self.len() {
            let message = format!("a topology of {} atoms for {} atoms", topology.len(), self.len());
            return Err(SpecError::new("", message));
        }
        let massless = |m: f64| m.is_nan() || m <= 0.0;
        if let Some(i) = (0..self.len()).find(|&i| !topology.is_site(i) && massless(self.masses[i])) {
            let message = format!("the mass of atom {i} ({}) is {}", self.symbol(i), self.masses[i]);
            return Err(SpecError::new("", message).hint("only virtual sites are massless"));
        }
        self.topology = Arc::new(topology);
        self.update();
        Ok(())
    }
    /// Keeps the distances of the topology; empty without constraints and rigid bodies.
    pub fn solver(&self) -> &Constraints {
        &self.solver
    }
    /// The solver in the metric of equal masses, for a minimisation.
    pub fn unweighted_solver(&self) -> Constraints {
        let inverse: Vec<f64> = self.inverse_masses.iter().map(|w| f64::from(*w != 0.0)).collect();
        Constraints::new(&self.topology, &vec![1.0; self.len()], &inverse, self.tolerance)
    }
    /// Changes the relative accuracy of constrained distances.
    pub fn set_constraint_tolerance(&mut self, tolerance: f64) {
        self.tolerance = tolerance;
        self.update();
    }
    /// What follows from masses, fixed atoms and topology.
    fn update(&mut self) {
        for i in 0..self.len() {
            if self.topology.is_site(i) {
                self.masses[i] = 0.0;
            }
            let rests = self.is_fixed[i] || self.topology.is_site(i);
            self.inverse_masses[i] = if rests { 0.0 } else { 1.0 / self.masses[i] };
        }
        self.fixed = (0..self.len()).filter(|&i| self.is_fixed[i] && !self.topology.is_site(i)).count();
        let fixed = |a: u32| self.is_fixed[a as usize];
        let distances =
            self.topology.constraints().iter().filter(|c| !c.atoms.iter().all(|&a| fixed(a))).count();
        let bodies = self.topology.rigid_bodies().iter().map(|b| 3 * b.atoms.len() - b.degrees_of_freedom());
        self.constraints = distances + bodies.sum::<usize>();
        let (m, w) = (&self.masses, &self.inverse_masses);
        self.solver = Arc::new(Constraints::new(&self.topology, m, w, self.tolerance));
    }
    /// Replaces the charges.
    ///
    /// # Panics
    /// When the count differs.
    pub fn set_charges(&mut self, charges: Vec<f64>) {
        assert_eq!(charges.len(), self.len());
        self.charges = charges;
    }
    /// The system of some of the atoms, in the given order: their species (those that occur, in the order of the table), masses,
    /// charges, what is fixed, and groups. It has no topology.
    ///
    /// # Panics
    /// When an index is not below the number of atoms.
    #[must_use]
    pub fn subset(&self, atoms: &[u32]) -> Self {
        let occurs = |kind: usize| atoms.iter().any(|&i| usize::from(self.types[i as usize]) == kind);
        let kept: Vec<usize> = (0..self.species.len()).filter(|&kind| occurs(kind)).collect();
        let mut kinds = vec![0; self.species.len()];
        for (new, &old) in kept.iter().enumerate() {
            kinds[old] = new as u16;
        }
        let species = kept.iter().map(|&k| self.species[k].clone()).collect();
        let types = atoms.iter().map(|&i| kinds[usize::from(self.types[i as usize])]).collect();
        let mut part = Self::new(species, types);
        part.set_charges(atoms.iter().map(|&i| self.charges[i as usize]).collect());
        part.set_masses(atoms.iter().map(|&i| self.masses[i as usize]).collect());
        let mut places = vec![None; self.len()];
        for (k, &i) in atoms.iter().enumerate() {
            places[i as usize] = Some(k as u32);
        }
        let fixed: Vec<u32> =
            (0..atoms.len() as u32).filter(|&k| self.is_fixed[atoms[k as usize] as usize]).collect();
        part.fix(&fixed);
        for (name, group) in &self.groups {
            part.set_group(name.clone(), group.iter().filter_map(|&i| places[i as usize]).collect());
        }
        part
    }
    /// Keeps these atoms in place.
    pub fn fix(&mut self, atoms: &[u32]) {
        for &i in atoms {
            self.is_fixed[i as usize] = true;
        }
        self.update();
    }
    /// True when the atom is kept in place.
    pub fn is_fixed(&self, atom: usize) -> bool {
        self.is_fixed[atom]
    }
    /// Number of atoms kept in place, without virtual sites.
    pub fn fixed(&self) -> usize {
        self.fixed
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
    /// Number of holonomic constraints: distances between atoms that are not both fixed, and for a rigid body what its
    /// atoms lose against free ones.
    pub fn constraints(&self) -> usize {
        self.constraints
    }
    /// Degrees of freedom of the kinetic energy: 3 for each mobile atom (virtual sites are none), less the constraints,
    /// less 3 when the total momentum is kept at zero (which fixed atoms make impossible).
    pub fn degrees_of_freedom(&self, momentum_removed: bool) -> usize {
        let fixed = self.fixed();
        let momentum = if momentum_removed && fixed == 0 { 3 } else { 0 };
        let mobile = self.len() - fixed - self.topology.virtual_sites().len();
        (3 * mobile).saturating_sub(self.constraints() + momentum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Constraint, SiteKind, TopologyParts, VirtualSite};

    #[test]
    fn degrees_of_freedom_are_counted() {
        let ar = Species { symbol: "Ar".into(), number: Some(18), mass: 39.95 };
        let mut s = System::new(vec![ar], vec![0; 10]);
        assert_eq!((s.degrees_of_freedom(false), s.degrees_of_freedom(true)), (30, 27));
        let constraints =
            [0, 1, 2, 3].map(|k| Constraint { atoms: [2 * k, 2 * k + 1], length: 1.0 }).to_vec();
        let weights = [0.5; 2];
        let site = VirtualSite { site: 9, kind: SiteKind::TwoAverage { parents: [0, 1], weights } };
        let parts = TopologyParts { constraints, virtual_sites: vec![site], ..TopologyParts::default() };
        s.set_topology(Topology::new(10, parts).unwrap()).unwrap();
        assert_eq!((s.degrees_of_freedom(true), s.masses()[9], s.is_fixed(9)), (20, 0.0, false));
        s.fix(&[2, 3]);
        assert_eq!((s.degrees_of_freedom(true), s.fixed(), s.inverse_masses()[3]), (18, 2, 0.0));
    }
}
