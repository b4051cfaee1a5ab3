//! The graph of a learned model: atoms as nodes, pairs within the cutoff as directed edges, and what follows from the
//! derivatives of the energy with respect to the edges, written once for all models.
//!
//! An edge e = (i, j, image) has the vector d_e = r_j + h n − r_i. A model gives its energy as a function of the vectors alone and
//! g_e = ∂E/∂d_e, and then
//!
//! - forces F_k = Σ_(e from k) g_e − Σ_(e to k) g_e,
//! - virial W = −Σ_e d_e ⊗ g_e, symmetrised: the derivative with respect to symmetric strains, even where constants of a model that
//!   are rounded to single precision leave a torque of that size,
//! - virial of an atom: half of −d_e ⊗ g_e for either end of each edge.
//!
//! Nodes are in the order of the rows of the neighbour list, which is that of space, so that a range of nodes and its
//! neighbours share cache lines. Edges of a node are in the order of its row. Every sum has a fixed order.
use caloron_engine::neighbors::AtomRows;
use caloron_engine::{Input, Mat3, Outputs, Properties, Vec3, parallel};
use rayon::prelude::*;

/// Rows that one task searches.
const ROWS: usize = 64;

/// Nodes and edges of one geometry. Memory is kept from one geometry to the next.
#[derive(Debug, Default)]
pub struct Graph {
    /// Edges of node k are `offsets[k]..offsets[k + 1]`.
    offsets: Vec<u32>,
    neighbors: Vec<u32>,
    vectors: Vec<[f64; 3]>,
    lengths: Vec<f64>,
    atoms: Vec<u32>,
    species: Vec<u16>,
    node_of_atom: AtomRows,
    blocks: Vec<Found>,
    forces: Vec<Vec3>,
    virials: Vec<Mat3>,
}

/// Edges of a block of rows.
#[derive(Debug, Default)]
struct Found {
    counts: Vec<u32>,
    neighbors: Vec<u32>,
    vectors: Vec<[f64; 3]>,
    lengths: Vec<f64>,
}

impl Graph {
    /// Takes the pairs closer than `cutoff` from the neighbour list.
    pub fn build(&mut self, input: &Input<'_>, cutoff: f64) {
        let list = input.neighbors;
        let (sites, centers, types) = (list.sites(), list.centers(), input.system.types());
        self.atoms.clear();
        self.atoms.extend(centers.iter().map(|c| list.atom(*c) as u32));
        self.species.clear();
        self.species.extend(self.atoms.iter().map(|a| types[*a as usize]));
        self.node_of_atom.update(list);
        let node_of_atom = &self.node_of_atom;
        let reach = cutoff * cutoff;
        let fill = |b: usize, block: &mut Found| {
            block.counts.clear();
            block.neighbors.clear();
            block.vectors.clear();
            block.lengths.clear();
            for k in b * ROWS..((b + 1) * ROWS).min(centers.len()) {
                let here = sites[centers[k] as usize].position;
                let before = block.neighbors.len();
                for &s in list.row(k) {
                    let there = &sites[s as usize].position;
                    let d = [there[0] - here[0], there[1] - here[1], there[2] - here[2]];
                    let r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
                    if r2 < reach {
                        block.neighbors.push(node_of_atom[list.atom(s)]);
                        block.vectors.push(d);
                        block.lengths.push(r2.sqrt());
                    }
                }
                block.counts.push((block.neighbors.len() - before) as u32);
            }
        };
        self.blocks.resize_with(centers.len().div_ceil(ROWS), Found::default);
        if self.blocks.len() <= 2 {
            self.blocks.iter_mut().enumerate().for_each(|(b, block)| fill(b, block));
        } else {
            self.blocks.par_iter_mut().enumerate().for_each(|(b, block)| fill(b, block));
        }
        self.offsets.clear();
        self.offsets.push(0);
        self.neighbors.clear();
        self.vectors.clear();
        self.lengths.clear();
        let mut end = 0;
        for block in &self.blocks {
            for count in &block.counts {
                end += count;
                self.offsets.push(end);
            }
            self.neighbors.extend_from_slice(&block.neighbors);
            self.vectors.extend_from_slice(&block.vectors);
            self.lengths.extend_from_slice(&block.lengths);
        }
    }
    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.atoms.len()
    }
    /// Number of directed edges.
    pub fn edges(&self) -> usize {
        self.neighbors.len()
    }
    /// Edges of a node.
    #[inline]
    pub fn row(&self, node: usize) -> std::ops::Range<usize> {
        self.offsets[node] as usize..self.offsets[node + 1] as usize
    }
    /// The other node of each edge.
    pub fn neighbors(&self) -> &[u32] {
        &self.neighbors
    }
    /// d of each edge, Å.
    pub fn vectors(&self) -> &[[f64; 3]] {
        &self.vectors
    }
    /// |d| of each edge, Å.
    pub fn lengths(&self) -> &[f64] {
        &self.lengths
    }
    /// The atom of each node.
    pub fn atoms(&self) -> &[u32] {
        &self.atoms
    }
    /// The node of each atom.
    pub fn node_of_atom(&self) -> &[u32] {
        &self.node_of_atom
    }
    /// Species (of the system) of each node.
    pub fn species(&self) -> &[u16] {
        &self.species
    }
    /// Adds to `out` what is wanted, from the energies of the nodes, eV, and the derivatives g of the energy, eV/Å.
    ///
    /// # Panics
    /// When there is not one energy for each node, or one g for each edge where forces or virials are wanted.
    pub fn add(&mut self, energies: &[f64], g: &[[f64; 3]], want: Properties, out: &mut Outputs) {
        assert_eq!(energies.len(), self.nodes());
        out.energy += parallel::sum(energies.len(), 0.0, |k| energies[k]);
        let nodes = &self.node_of_atom;
        if want.contains(Properties::ATOM_ENERGIES) {
            parallel::for_each_mut(&mut out.atom_energies, |i, e| *e += energies[nodes[i] as usize]);
        }
        if want.intersects(Properties::FORCES | Properties::VIRIAL | Properties::ATOM_VIRIALS) {
            assert_eq!(g.len(), self.edges());
        }
        let (offsets, neighbors, vectors) = (&self.offsets, &self.neighbors, &self.vectors);
        let row = |k: usize| offsets[k] as usize..offsets[k + 1] as usize;
        if want.contains(Properties::FORCES) {
            self.forces.clear();
            self.forces.resize(self.atoms.len(), Vec3::zeros());
            for k in 0..self.atoms.len() {
                let mut own = Vec3::zeros();
                for e in row(k) {
                    let g = Vec3::from(g[e]);
                    own += g;
                    self.forces[neighbors[e] as usize] -= g;
                }
                self.forces[k] += own;
            }
            let forces = &self.forces;
            parallel::for_each_mut(&mut out.forces, |i, f| *f += forces[nodes[i] as usize]);
        }
        let of = |e: usize| -Vec3::from(vectors[e]) * Vec3::from(g[e]).transpose();
        if want.contains(Properties::VIRIAL) {
            let node = |k: usize| row(k).fold(Mat3::zeros(), |w, e| w + of(e));
            let virial = parallel::sum(self.atoms.len(), Mat3::zeros(), node);
            out.virial += (virial + virial.transpose()) * 0.5;
        }
        if want.contains(Properties::ATOM_VIRIALS) {
            self.virials.clear();
            self.virials.resize(self.atoms.len(), Mat3::zeros());
            for k in 0..self.atoms.len() {
                for e in row(k) {
                    let w = of(e);
                    let w = (w + w.transpose()) * 0.25;
                    self.virials[k] += w;
                    self.virials[neighbors[e] as usize] += w;
                }
            }
            let virials = &self.virials;
            parallel::for_each_mut(&mut out.atom_virials, |i, w| *w += virials[nodes[i] as usize]);
        }
    }
    /// Memory held, bytes.
    pub fn bytes(&self) -> usize {
        let nodes = self.atoms.capacity() * (4 + 4 + 4 + 2 + size_of::<Vec3>());
        nodes + self.neighbors.capacity() * 2 * (4 + 24 + 8) + self.virials.capacity() * size_of::<Mat3>()
    }
}
