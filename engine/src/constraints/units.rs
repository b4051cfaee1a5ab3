//! What a deformation of the cell moves as a whole.
//!
//! A deformation r -> F r would change constrained distances, so a barostat scales the centres of mass R of rigid units
//! (clusters of constraints, rigid bodies, single atoms): r_i -> r_i + (F - 1) R. The force on the cell follows,
//! Σ M V ⊗ V + W_u with W_u = W - Σ (r_i - R) ⊗ f_i, in which forces of constraints cancel. The pressure
//! P = (Σ M V² + tr W_u)/3V has the same mean as the one with all atoms and the forces of the constraints.
//!
//! Source: Ciccotti and Ryckaert, Comput. Phys. Rep. 4, 346 (1986), doi:10.1016/0167-7977(86)90022-5.
use crate::topology::{Partition, Topology};
use crate::{Mat3, Vec3, parallel};

/// Rigid units of a system. The members of a unit must lie together (see [`Topology::make_whole`]).
#[derive(Clone, Debug, Default)]
pub struct Units {
    /// Atoms of units with more than one, unit after unit.
    members: Vec<u32>,
    fraction: Vec<f64>,
    start: Vec<u32>,
    masses: Vec<f64>,
    /// For each atom the unit with more than one atom it is in, else `SINGLE`.
    unit_of: Vec<u32>,
    count: usize,
}

const SINGLE: u32 = u32::MAX;

impl Units {
    /// Every atom for itself.
    pub fn single(topology: &Topology) -> Self {
        let count = topology.len() - topology.virtual_sites().len();
        Self { count, start: vec![0], ..Self::default() }
    }
    /// From groups of atoms and masses.
    pub fn new(topology: &Topology, groups: &Partition, masses: &[f64]) -> Self {
        let mut this = Self { start: vec![0], unit_of: vec![SINGLE; topology.len()], ..Self::default() };
        let mut real: Vec<u32> = Vec::new();
        for group in groups.iter() {
            real.clear();
            real.extend(group.iter().filter(|a| !topology.is_site(**a as usize)));
            this.count += usize::from(!real.is_empty());
            if real.len() < 2 {
                continue;
            }
            let total: f64 = real.iter().map(|&a| masses[a as usize]).sum();
            for &a in &real {
                this.unit_of[a as usize] = this.masses.len() as u32;
                this.members.push(a);
                this.fraction.push(masses[a as usize] / total);
            }
            this.start.push(this.members.len() as u32);
            this.masses.push(total);
        }
        if this.masses.is_empty() {
            return Self::single(topology);
        }
        this
    }
    /// Number of units, single atoms included, virtual sites not.
    pub fn len(&self) -> usize {
        self.count
    }
    /// True without any unit.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// True when every unit is a single atom.
    pub fn are_atoms(&self) -> bool {
        self.masses.is_empty()
    }
    fn places(&self, unit: usize) -> std::ops::Range<usize> {
        self.start[unit] as usize..self.start[unit + 1] as usize
    }
    /// Mean of a vector over the masses of a unit.
    fn mean(&self, unit: usize, x: &[Vec3]) -> Vec3 {
        self.places(unit).map(|k| x[self.members[k] as usize] * self.fraction[k]).sum()
    }
    /// The first atom of the unit of an atom; itself for a single atom.
    pub fn first(&self, atom: usize) -> usize {
        match self.unit_of.get(atom) {
            Some(&u) if u != SINGLE => self.members[self.start[u as usize] as usize] as usize,
            _ => atom,
        }
    }
    /// Mean over the masses of the unit of an atom; the value itself for a single atom.
    pub fn center(&self, atom: usize, x: &[Vec3]) -> Vec3 {
        match self.unit_of.get(atom) {
            Some(&u) if u != SINGLE => self.mean(u as usize, x),
            _ => x[atom],
        }
    }
    /// Σ M V ⊗ V over the units.
    pub fn kinetic(&self, masses: &[f64], velocities: &[Vec3]) -> Mat3 {
        let single = |i: usize| self.unit_of.get(i).is_none_or(|u| *u == SINGLE);
        let term = |i: usize| {
            if single(i) { velocities[i] * velocities[i].transpose() * masses[i] } else { Mat3::zeros() }
        };
        let atoms = parallel::sum(masses.len(), Mat3::zeros(), term);
        let units = parallel::sum(self.masses.len(), Mat3::zeros(), |u| {
            let v = self.mean(u, velocities);
            v * v.transpose() * self.masses[u]
        });
        atoms + units
    }
    /// Σ (r_i - R) ⊗ f_i, what the virial of the units lacks against that of the atoms.
    pub fn internal_virial(&self, positions: &[Vec3], forces: &[Vec3]) -> Mat3 {
        parallel::sum(self.masses.len(), Mat3::zeros(), |u| {
            let first = positions[self.members[self.start[u] as usize] as usize];
            let places = self.places(u);
            let at = |k: usize| positions[self.members[k] as usize] - first;
            let center: Vec3 = places.clone().map(|k| at(k) * self.fraction[k]).sum();
            places.fold(Mat3::zeros(), |w, k| {
                w + (at(k) - center) * forces[self.members[k] as usize].transpose()
            })
        })
    }
    /// Centres of mass of the units with more than one atom, into `centers` by unit.
    pub fn centers(&self, x: &[Vec3], centers: &mut Vec<Vec3>) {
        centers.resize(self.masses.len(), Vec3::zeros());
        parallel::for_each_mut(centers, |u, c| *c = self.mean(u, x));
    }
    /// The transpose of [`Units::scale`]: forces on scaled positions become forces on the positions before,
    /// f_i += (m_i/M)(map - 1) Σ f with the sum over the unit, where `map` is the transpose of that of the positions.
    pub fn pull_back(&self, map: &Mat3, forces: &mut [Vec3]) {
        let change = map - Mat3::identity();
        for (i, f) in forces.iter_mut().enumerate() {
            if self.unit_of.get(i).is_none_or(|u| *u == SINGLE) {
                *f = map * *f;
            }
        }
        for u in 0..self.masses.len() {
            let total: Vec3 = self.places(u).map(|k| forces[self.members[k] as usize]).sum();
            for k in self.places(u) {
                forces[self.members[k] as usize] += change * total * self.fraction[k];
            }
        }
    }
    /// Moves centres by a linear map: x_i += (map - 1) X with X the centre of the unit of the atom. `centers` is memory.
    pub fn scale(&self, map: &Mat3, x: &mut [Vec3], centers: &mut Vec<Vec3>) {
        if self.are_atoms() {
            parallel::for_each_mut(x, |_, x| *x = map * *x);
            return;
        }
        self.centers(x, centers);
        let change = map - Mat3::identity();
        parallel::for_each_mut(x, |i, x| match self.unit_of[i] {
            SINGLE => *x = map * *x,
            u => *x += change * centers[u as usize],
        });
    }
}
