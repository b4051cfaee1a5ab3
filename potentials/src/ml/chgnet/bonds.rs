//! Bonds and angles of CHGNet on top of the directed edges of the graph.
//!
//! A bond is an undirected pair: two edges with opposite vectors. Bonds shorter than the cutoff of the bond graph come
//! first. An *arm* is a directed edge of a short bond; an angle is an ordered pair of different arms of a node.
use crate::ml::graph::Graph;

/// What the network reads. All indices are u32 to save memory.
#[derive(Debug, Default)]
pub(super) struct Bonds {
    /// Directed edges (their index in the graph) in the order of nodes, short ones first within a node.
    pub edge: Vec<u32>,
    /// Edges of node k are `start[k]..start[k + 1]`.
    pub start: Vec<u32>,
    /// Node at which an edge starts, the other node, its bond, the edge in the other direction.
    pub center: Vec<u32>,
    pub neighbor: Vec<u32>,
    pub bond: Vec<u32>,
    pub reverse: Vec<u32>,
    /// Both edges of each bond; the first gives its vector.
    pub bonds: Vec<[u32; 2]>,
    /// Number of bonds of the bond graph.
    pub short: usize,
    /// Arms of node k are `arm_start[k]..arm_start[k + 1]`.
    pub arm_start: Vec<u32>,
    /// The edge of an arm.
    pub arm_edge: Vec<u32>,
    /// Both arms of each short bond.
    pub bond_arms: Vec<[u32; 2]>,
    /// Angles at node k are `angle_start[k]..angle_start[k + 1]`.
    pub angle_start: Vec<u32>,
    /// Both arms of each angle.
    pub angles: Vec<[u32; 2]>,
    partner: Vec<u32>,
    cursor: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Bonds {
    /// From the edges of a graph, with the cutoff of angles. `false` when there are more than 2³² angles.
    pub fn build(&mut self, graph: &Graph, cutoff: f64) -> bool {
        let (nodes, neighbors, vectors) = (graph.nodes(), graph.neighbors(), graph.vectors());
        self.partner.clear();
        self.partner.resize(graph.edges(), NONE);
        self.bonds.clear();
        for short in [true, false] {
            for k in 0..nodes {
                for e in graph.row(k) {
                    let other = neighbors[e] as usize;
                    if other < k || (graph.lengths()[e] < cutoff) != short || self.partner[e] != NONE {
                        continue;
                    }
                    let opposite = |f: usize| {
                        // images of one atom are never as close as this to each other
                        (0..3).all(|c| (vectors[e][c] + vectors[f][c]).abs() < 1e-6)
                    };
                    let back = graph
                        .row(other)
                        .find(|&f| neighbors[f] as usize == k && self.partner[f] == NONE && opposite(f));
                    // rounding may leave one end just outside the cutoff, where the weights are zero
                    let Some(back) = back else { continue };
                    self.partner[e] = back as u32;
                    self.partner[back] = e as u32;
                    self.bonds.push([e as u32, back as u32]);
                }
            }
            if short {
                self.short = self.bonds.len();
            }
        }
        self.rows(graph);
        self.arms(nodes)
    }
    /// Edges by node, short ones first.
    fn rows(&mut self, graph: &Graph) {
        let nodes = graph.nodes();
        self.start.clear();
        self.start.push(0);
        let mut end = 0;
        for k in 0..nodes {
            end += graph.row(k).filter(|&e| self.partner[e] != NONE).count() as u32;
            self.start.push(end);
        }
        self.cursor.clear();
        self.cursor.extend_from_slice(&self.start[..nodes]);
        let edges = end as usize;
        for v in [&mut self.edge, &mut self.center, &mut self.neighbor, &mut self.bond, &mut self.reverse] {
            v.clear();
            v.resize(edges, 0);
        }
        for (u, bond) in self.bonds.iter_mut().enumerate() {
            let ends = [graph.neighbors()[bond[1] as usize], graph.neighbors()[bond[0] as usize]];
            let mut places = [0; 2];
            for side in 0..2 {
                let cursor = &mut self.cursor[ends[side] as usize];
                let place = *cursor as usize;
                *cursor += 1;
                places[side] = place as u32;
                self.edge[place] = bond[side];
                self.center[place] = ends[side];
                self.neighbor[place] = ends[1 - side];
                self.bond[place] = u as u32;
            }
            self.reverse[places[0] as usize] = places[1];
            self.reverse[places[1] as usize] = places[0];
            *bond = places;
        }
    }
    /// Arms and angles by node.
    fn arms(&mut self, nodes: usize) -> bool {
        self.arm_start.clear();
        self.arm_start.push(0);
        self.arm_edge.clear();
        self.angle_start.clear();
        self.angle_start.push(0);
        self.angles.clear();
        self.bond_arms.clear();
        self.bond_arms.resize(self.short, [NONE; 2]);
        for k in 0..nodes {
            let first = self.arm_edge.len() as u32;
            for e in self.start[k]..self.start[k + 1] {
                let u = self.bond[e as usize] as usize;
                if u < self.short {
                    let arm = self.arm_edge.len() as u32;
                    let side = usize::from(self.bonds[u][0] != e);
                    self.bond_arms[u][side] = arm;
                    self.arm_edge.push(e);
                }
            }
            let arms = first..self.arm_edge.len() as u32;
            if self.angles.len() + arms.len() * arms.len() >= NONE as usize {
                return false;
            }
            for a in arms.clone() {
                self.angles.extend(arms.clone().filter(|&b| b != a).map(|b| [a, b]));
            }
            self.arm_start.push(self.arm_edge.len() as u32);
            self.angle_start.push(self.angles.len() as u32);
        }
        true
    }
    /// Bond of an arm.
    #[inline]
    pub fn arm_bond(&self, arm: u32) -> u32 {
        self.bond[self.arm_edge[arm as usize] as usize]
    }
    /// The edge of the graph that gives the vector of a bond.
    #[inline]
    pub fn graph_edge(&self, bond: usize) -> usize {
        self.edge[self.bonds[bond][0] as usize] as usize
    }
    /// Memory held, bytes.
    pub fn bytes(&self) -> usize {
        4 * (self.edge.capacity() * 5
            + self.start.capacity() * 4
            + self.bonds.capacity() * 2
            + self.arm_edge.capacity()
            + self.bond_arms.capacity() * 2
            + self.angles.capacity() * 2
            + self.partner.capacity())
    }
}
