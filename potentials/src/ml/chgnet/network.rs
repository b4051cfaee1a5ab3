//! The fused network: energy and its derivatives, written out for rows of numbers.
//!
//! The first linear map of every gated layer acts on concatenated features, so it is split: the parts of atoms and bonds are
//! computed once for each atom and bond and gathered, and only that of the angle feature is computed for each angle. Angles and
//! edges are worked on in tiles that stay in the cache; the reverse pass computes a tile's intermediate numbers again instead
//! of keeping them, which would take another 4 kB (f32) for each angle.
//!
//! Forward, for l = 0, 1, 2 (an *arm* is a directed short edge, u(e) the bond of edge e, * the elementwise product):
//!
//! - x_(l+1) = x_l + A_l Σ_(e from i) gated([x_i, b_u(e), x_j]) * w_u(e)
//! - a_l = a_(l-1) + gated([b_u(e), b_u(f), a_(l-1), x_i]), only for l > 0
//! - b_(l+1) = b_l + B_l Σ_(both arms e of u) Σ_(f ≠ e) gated([b_u, b_u(f), a_l, x_i]) * v_u * v_u(f)
//!
//! then x_4 as x above, and the site energy from the norm of x_4.
use super::basis::{Angle, Angular, BASIS, Radial, angle};
use super::bonds::Bonds;
use super::gated::{EPSILON, Pieces, Silu, Times};
use super::rows::{add_products, add_rows, gather, sum_rows, weigh};
use super::weights::{ATOM_CUTOFF, BOND_CUTOFF, BOTH, LAYERS, Linear, Tensor, WIDTH, Weights};
use crate::ml::graph::Graph;
use crate::ml::kernels::gemm::{Matrix, multiply};
use crate::ml::kernels::{Aligned, Disjoint};
use crate::simd::{Level, Real, run_vector};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows of a tile: a multiple of the rows that the matrix kernel keeps in registers.
const TILE: usize = 48;
/// Nodes whose edges and angles one task works on.
const NODES: usize = 2;

/// A square map behind a sum of messages, and back.
struct Out<T> {
    forward: Matrix<T>,
    reverse: Matrix<T>,
}

impl<T: Real> Out<T> {
    fn new(t: &Tensor) -> Self {
        Self {
            forward: Matrix::new(WIDTH, WIDTH, |i, o| t.data[o * WIDTH + i]),
            reverse: Matrix::new(WIDTH, WIDTH, |o, i| t.data[o * WIDTH + i]),
        }
    }
}

/// A map from a basis to features, and back.
struct Embedding<T> {
    forward: Matrix<T>,
    reverse: Matrix<T>,
}

impl<T: Real> Embedding<T> {
    fn new(t: &Tensor, column: impl Fn(usize) -> Option<(usize, f64)>) -> Self {
        let at = |o: usize, n: usize| column(n).map_or(0.0, |(c, scale)| scale * t.data[o * t.shape[1] + c]);
        Self { forward: Matrix::new(BASIS, WIDTH, |n, o| at(o, n)), reverse: Matrix::new(WIDTH, BASIS, at) }
    }
}

/// A layer of the readout.
struct Dense<T> {
    forward: Matrix<T>,
    reverse: Matrix<T>,
    bias: Vec<T>,
}

/// All parameters in the order the kernels read them.
pub(super) struct Network<T> {
    level: Level,
    reference: Vec<f64>,
    embedding: Vec<T>,
    radial: [Radial; 2],
    angular: Angular,
    bond: Embedding<T>,
    weight_atom: Embedding<T>,
    weight_bond: Embedding<T>,
    angle: Embedding<T>,
    atom_layers: Vec<(Pieces<T, 3>, Out<T>)>,
    bond_layers: Vec<(Pieces<T, 4>, Out<T>)>,
    angle_layers: Vec<Pieces<T, 4>>,
    moment: Linear,
    norm: [Vec<f64>; 2],
    readout: Vec<Dense<T>>,
    last: Linear,
}

/// Where inputs stand in the concatenations.
const CENTER: usize = 0;
const BOND: usize = 1;
const NEIGHBOR: usize = 2;
const FIRST: usize = 0;
const SECOND: usize = 1;
const ANGLE: usize = 2;
const VERTEX: usize = 3;

/// Memory of a task.
struct Scratch<T> {
    triples: Vec<[u32; 3]>,
    update: Tile<T>,
    conv: Tile<T>,
    a: Aligned<T>,
    da: Aligned<T>,
}

/// Intermediate numbers of a gated layer for a tile.
struct Tile<T> {
    h: Aligned<T>,
    s: Aligned<T>,
    y: Aligned<T>,
    m: Aligned<T>,
}

impl<T: Real> Tile<T> {
    fn new() -> Self {
        let both = || Aligned::zeros(TILE * BOTH);
        Self { h: both(), s: both(), y: both(), m: Aligned::zeros(TILE * WIDTH) }
    }
}

impl<T: Real> Scratch<T> {
    fn new() -> Self {
        let rows = || Aligned::zeros(TILE * WIDTH);
        Self { triples: vec![[0; 3]; TILE], update: Tile::new(), conv: Tile::new(), a: rows(), da: rows() }
    }
}

/// Numbers of one geometry; kept from one to the next.
#[derive(Default)]
pub(super) struct Memory<T> {
    scratch: Vec<Mutex<Scratch<T>>>,
    species: Vec<u8>,
    x: [Aligned<T>; LAYERS + 1],
    /// Of all bonds in the first, of short bonds in the others.
    b: [Aligned<T>; LAYERS],
    weights: [Aligned<T>; 2],
    a: [Aligned<T>; 2],
    /// Parts of gated layers: of the angle update and of the convolution.
    parts: [[Aligned<T>; 3]; 2],
    arms: Aligned<T>,
    /// Sums of the messages of both arms of a bond, by layer, without the bond's own weight.
    messages: [Aligned<T>; LAYERS - 1],
    sums: Aligned<T>,
    dx: Aligned<T>,
    later: Aligned<T>,
    db: Aligned<T>,
    dweights: [Aligned<T>; 2],
    da: Aligned<T>,
    edge_rows: Aligned<T>,
    edge_weights: Aligned<T>,
    arm_rows: [[Aligned<T>; 2]; 2],
    arm_weights: Aligned<T>,
    arm_gradient: Vec<[f64; 3]>,
    bond_gradient: Vec<f64>,
    /// Energy and magnetic moment of each node.
    pub energies: Vec<f64>,
    pub moments: Vec<f64>,
    /// Derivative of the energy with respect to the vector of each edge of the graph.
    pub gradient: Vec<[f64; 3]>,
}

impl<T: Real> Memory<T> {
    /// Memory held, bytes.
    pub fn bytes(&self) -> usize {
        let all = self.x.iter().chain(&self.b).chain(&self.weights).chain(&self.a).chain(&self.messages);
        let all = all.chain(self.parts.iter().flatten()).chain(&self.dweights);
        let all = all.chain(self.arm_rows.iter().flatten());
        let others = [
            &self.arms,
            &self.sums,
            &self.dx,
            &self.later,
            &self.db,
            &self.da,
            &self.edge_rows,
            &self.edge_weights,
            &self.arm_weights,
        ];
        all.chain(others).map(Aligned::bytes).sum::<usize>()
            + 24 * (self.arm_gradient.capacity() + self.gradient.capacity())
    }
}

/// Calls `f` for every block of nodes.
fn blocks(nodes: usize, f: impl Fn(Range<usize>) + Sync) {
    (0..nodes.div_ceil(NODES)).into_par_iter().for_each(|b| f(b * NODES..((b + 1) * NODES).min(nodes)));
}

/// Numbers of rows of 64 or 128.
fn wide(rows: Range<usize>) -> Range<usize> {
    rows.start * WIDTH..rows.end * WIDTH
}
fn both(rows: Range<usize>) -> Range<usize> {
    rows.start * BOTH..rows.end * BOTH
}

/// out (+)= x W, row by row, in parallel.
fn product<T: Real>(level: Level, x: &[T], w: &Matrix<T>, out: &mut [T], add: bool) {
    let (i, o) = (w.inputs(), w.outputs());
    out.par_chunks_mut(TILE * o).zip(x.par_chunks(TILE * i)).for_each(|(out, x)| {
        multiply(level, out.len() / o, (x, i), w, (out, o), add);
    });
}

/// out += y W, where `fill(row, y)` gives the rows of y, 128 numbers each.
fn add_product_of<T: Real>(
    level: Level,
    w: &Matrix<T>,
    out: &mut [T],
    fill: impl Fn(usize, &mut [T]) + Sync,
) {
    let o = w.outputs();
    out.par_chunks_mut(TILE * o).enumerate().for_each(|(k, out)| {
        let mut y = [T::default(); TILE * BOTH];
        let rows = out.len() / o;
        for (r, y) in y.chunks_exact_mut(BOTH).take(rows).enumerate() {
            fill(k * TILE + r, y);
        }
        multiply(level, rows, (&y, BOTH), w, (out, o), true);
    });
}

fn tiles(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(TILE).map(move |start| start..(start + TILE).min(end))
}

/// What a tile of edges needs.
struct AtomTask<'a, T> {
    triples: &'a mut [[u32; 3]],
    tile: &'a mut Tile<T>,
    parts: [&'a [T]; 3],
    slopes: bool,
}

/// An unordered pair of arms and the two angles it makes.
struct Pair {
    arms: [u32; 2],
    rows: [usize; 2],
}

/// Calls `f` with the pairs of arms of a node, a tile at a time.
fn for_pairs(bonds: &Bonds, node: usize, mut f: impl FnMut(&[Pair])) {
    let start = bonds.angle_start[node] as usize;
    let (first, end) = (bonds.arm_start[node], bonds.arm_start[node + 1]);
    let others = (end - first).saturating_sub(1) as usize;
    let row = |a: u32, b: u32| {
        let (a, b) = ((a - first) as usize, (b - first) as usize);
        start + a * others + b - usize::from(b > a)
    };
    let mut pairs: [Pair; TILE] = std::array::from_fn(|_| Pair { arms: [0; 2], rows: [0; 2] });
    let mut count = 0;
    for (a, b) in (first..end).flat_map(|a| (a + 1..end).map(move |b| (a, b))) {
        pairs[count] = Pair { arms: [a, b], rows: [row(a, b), row(b, a)] };
        count += 1;
        if count == TILE {
            f(&pairs);
            count = 0;
        }
    }
    if count > 0 {
        f(&pairs[..count]);
    }
}

fn angle_of(graph: &Graph, bonds: &Bonds, arms: [u32; 2]) -> Angle {
    let edges = arms.map(|a| bonds.edge[bonds.arm_edge[a as usize] as usize] as usize);
    angle(edges.map(|e| &graph.vectors()[e]), edges.map(|e| graph.lengths()[e]))
}

fn angles_of(bonds: &Bonds, nodes: &Range<usize>) -> Range<usize> {
    bonds.angle_start[nodes.start] as usize..bonds.angle_start[nodes.end] as usize
}

/// [bond of the first arm, bond of the second, vertex] of each angle.
fn fill_triples(triples: &mut [[u32; 3]], bonds: &Bonds, angles: Range<usize>) {
    for (t, &[e, f]) in triples.iter_mut().zip(&bonds.angles[angles]) {
        let vertex = bonds.center[bonds.arm_edge[e as usize] as usize];
        *t = [bonds.arm_bond(e), bonds.arm_bond(f), vertex];
    }
}

/// The memory of this thread.
fn lock<T>(scratch: &[Mutex<Scratch<T>>]) -> MutexGuard<'_, Scratch<T>> {
    let thread = rayon::current_thread_index().unwrap_or(0) % scratch.len();
    scratch[thread].lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Real> Network<T> {
    pub fn new(w: &Weights, level: Level) -> Self {
        let all = |x: &[f64]| -> Vec<T> { x.iter().map(|&x| T::from_f64(x)).collect() };
        let radial = |n: usize| (n < w.radial_atom.len()).then_some((n, 1.0));
        let dense = |l: &Linear| Dense {
            forward: Matrix::new(WIDTH, WIDTH, |i, o| l.weight.data[o * WIDTH + i]),
            reverse: Matrix::new(WIDTH, WIDTH, |o, i| l.weight.data[o * WIDTH + i]),
            bias: all(&l.bias),
        };
        let hidden = w.readout.len() - 1;
        Self {
            level,
            reference: w.reference_energies.clone(),
            embedding: all(&w.embedding.data),
            radial: [Radial::new(ATOM_CUTOFF, &w.radial_atom), Radial::new(BOND_CUTOFF, &w.radial_bond)],
            angular: Angular::new(&w.angular),
            bond: Embedding::new(&w.bond_embedding, radial),
            weight_atom: Embedding::new(&w.bond_weights_atom, radial),
            weight_bond: Embedding::new(&w.bond_weights_bond, radial),
            angle: Embedding::new(&w.angle_embedding, Angular::column),
            atom_layers: w.atom.iter().map(|(g, o)| (Pieces::new(g), Out::new(o))).collect(),
            bond_layers: w.bond.iter().map(|(g, o)| (Pieces::new(g), Out::new(o))).collect(),
            angle_layers: w.angle.iter().map(Pieces::new).collect(),
            moment: w.moment.clone(),
            norm: w.norm.clone(),
            readout: w.readout[..hidden].iter().map(dense).collect(),
            last: w.readout[hidden].clone(),
        }
    }
    /// Energies and magnetic moments of the nodes and, if asked, derivatives with respect to the edges. `number` is the atomic
    /// number of each node.
    pub fn evaluate(
        &self,
        graph: &Graph,
        bonds: &Bonds,
        number: impl Fn(usize) -> u8,
        gradient: bool,
        m: &mut Memory<T>,
    ) {
        m.species.clear();
        m.species.extend((0..graph.nodes()).map(|k| number(k) - 1));
        let threads = rayon::current_num_threads();
        while m.scratch.len() < threads {
            m.scratch.push(Mutex::new(Scratch::new()));
        }
        self.embed(graph, bonds, m);
        for l in 0..LAYERS {
            self.atom_forward(l, bonds, m);
            if l < LAYERS - 1 {
                self.angle_forward(l, bonds, m);
            }
        }
        self.readout(gradient, m);
        if !gradient {
            return;
        }
        let nodes = graph.nodes();
        m.later.resize(nodes * WIDTH);
        m.later.fill(T::default());
        for (rows, buffer) in [(bonds.bonds.len(), &mut m.db), (bonds.angles.len(), &mut m.da)] {
            buffer.resize(rows * WIDTH);
            buffer.fill(T::default());
        }
        for (rows, buffer) in [bonds.bonds.len(), bonds.short].into_iter().zip(&mut m.dweights) {
            buffer.resize(rows * WIDTH);
            buffer.fill(T::default());
        }
        for l in (0..LAYERS).rev() {
            if l < LAYERS - 1 {
                self.angle_reverse(l, bonds, m);
            }
            self.atom_reverse(l, bonds, m);
        }
        self.geometry(graph, bonds, m);
    }
    /// x_0, b_0, the weights of bonds and a_0.
    fn embed(&self, graph: &Graph, bonds: &Bonds, m: &mut Memory<T>) {
        let level = self.level;
        m.x[0].resize(graph.nodes() * WIDTH);
        for (x, &s) in m.x[0].chunks_exact_mut(WIDTH).zip(&m.species) {
            x.copy_from_slice(&self.embedding[usize::from(s) * WIDTH..][..WIDTH]);
        }
        let count = bonds.bonds.len();
        m.b[0].resize(count * WIDTH);
        let [wa, wb] = &mut m.weights;
        wa.resize(count * WIDTH);
        wb.resize(bonds.short * WIDTH);
        let basis = |radial: &Radial, first: usize, rows: usize| {
            let mut values = [T::default(); TILE * BASIS];
            let (mut value, mut slope) = ([0.0; BASIS], [0.0; BASIS]);
            for (r, out) in values.chunks_exact_mut(BASIS).take(rows).enumerate() {
                radial.at(level, graph.lengths()[bonds.graph_edge(first + r)], &mut value, &mut slope);
                for (out, &x) in out.iter_mut().zip(&value) {
                    *out = T::from_f64(x);
                }
            }
            values
        };
        let chunk = TILE * WIDTH;
        m.b[0].par_chunks_mut(chunk).zip(wa.par_chunks_mut(chunk)).enumerate().for_each(|(k, (b, w))| {
            let rows = b.len() / WIDTH;
            let values = basis(&self.radial[0], k * TILE, rows);
            multiply(level, rows, (&values, BASIS), &self.bond.forward, (b, WIDTH), false);
            multiply(level, rows, (&values, BASIS), &self.weight_atom.forward, (w, WIDTH), false);
        });
        wb.par_chunks_mut(chunk).enumerate().for_each(|(k, w)| {
            let rows = w.len() / WIDTH;
            let values = basis(&self.radial[1], k * TILE, rows);
            multiply(level, rows, (&values, BASIS), &self.weight_bond.forward, (w, WIDTH), false);
        });
        m.a[0].resize(bonds.angles.len() * WIDTH);
        m.a[1].resize(bonds.angles.len() * WIDTH);
        let a = Disjoint::new(&mut m.a[0]);
        blocks(graph.nodes(), |nodes| {
            let mut values = [T::default(); TILE * BASIS];
            let mut features = [T::default(); TILE * WIDTH];
            let (mut value, mut slope) = ([0.0; BASIS], [0.0; BASIS]);
            for node in nodes {
                let start = bonds.angle_start[node] as usize;
                // SAFETY: angles of a node belong to one task
                let a = unsafe { a.part(wide(start..bonds.angle_start[node + 1] as usize)) };
                for_pairs(bonds, node, |pairs| {
                    for (pair, out) in pairs.iter().zip(values.chunks_exact_mut(BASIS)) {
                        let theta = angle_of(graph, bonds, pair.arms).theta;
                        self.angular.at(level, theta, &mut value, &mut slope);
                        for (out, &x) in out.iter_mut().zip(&value) {
                            *out = T::from_f64(x);
                        }
                    }
                    let w = &self.angle.forward;
                    multiply(level, pairs.len(), (&values, BASIS), w, (&mut features, WIDTH), false);
                    for (pair, row) in pairs.iter().zip(features.chunks_exact(WIDTH)) {
                        for at in pair.rows {
                            a[(at - start) * WIDTH..][..WIDTH].copy_from_slice(row);
                        }
                    }
                });
            }
        });
    }
    /// Parts of an atom layer.
    fn atom_parts(&self, l: usize, bonds: &Bonds, m: &mut Memory<T>) {
        let (parts, x) = (&self.atom_layers[l].0.parts, &m.x[l]);
        let [center, bond, neighbor] = &mut m.parts[1];
        center.resize(x.len() / WIDTH * BOTH);
        neighbor.resize(x.len() / WIDTH * BOTH);
        product(self.level, x, &parts[CENTER].forward, center, false);
        product(self.level, x, &parts[NEIGHBOR].forward, neighbor, false);
        bond.resize(bonds.bonds.len() * BOTH);
        let (short, long) = bond.split_at_mut(bonds.short * BOTH);
        product(self.level, &m.b[l][..bonds.short * WIDTH], &parts[BOND].forward, short, false);
        product(self.level, &m.b[0][bonds.short * WIDTH..], &parts[BOND].forward, long, false);
    }
    /// y of a tile of edges.
    fn edge_tile(&self, l: usize, edges: Range<usize>, bonds: &Bonds, task: &mut AtomTask<'_, T>) {
        let level = self.level;
        let AtomTask { triples, tile, parts, slopes } = task;
        let triples = &mut triples[..edges.len()];
        for (t, e) in triples.iter_mut().zip(edges) {
            *t = [bonds.center[e], bonds.bond[e], bonds.neighbor[e]];
        }
        gather(level, triples, *parts, &mut tile.h);
        if let Some(hidden) = &self.atom_layers[l].0.hidden {
            hidden.forward(level, triples.len(), &mut tile.h, &mut tile.s, &mut tile.y, *slopes);
        }
    }
    fn atom_forward(&self, l: usize, bonds: &Bonds, m: &mut Memory<T>) {
        let level = self.level;
        self.atom_parts(l, bonds, m);
        let (pieces, out) = &self.atom_layers[l];
        let nodes = m.species.len();
        m.sums.resize(nodes * WIDTH);
        let (sums, scratch, weights) = (Disjoint::new(&mut m.sums), &m.scratch, &m.weights[0]);
        let [p0, p1, p2] = &m.parts[1];
        blocks(nodes, |nodes| {
            let mut scratch = lock(scratch);
            let Scratch { triples, conv, .. } = &mut *scratch;
            // SAFETY: nodes belong to one task
            let sums = unsafe { sums.part(wide(nodes.clone())) };
            sums.fill(T::default());
            for edges in tiles(bonds.start[nodes.start] as usize..bonds.start[nodes.end] as usize) {
                let rows = edges.len();
                let mut task = AtomTask { triples, tile: conv, parts: [p0, p1, p2], slopes: false };
                self.edge_tile(l, edges, bonds, &mut task);
                pieces.norms.forward(level, rows, &conv.y, &mut conv.m);
                let mut index = [[0; 2]; TILE];
                for (i, t) in index.iter_mut().zip(&triples[..rows]) {
                    *i = [t[0] - nodes.start as u32, t[1]];
                }
                add_products(level, &index[..rows], weights, &conv.m, sums);
            }
        });
        let [before, after] = m.x.get_disjoint_mut([l, l + 1]).expect("two layers");
        after.resize(before.len());
        after.copy_from_slice(before);
        product(level, &m.sums, &out.forward, after, true);
    }
    /// From the derivatives with respect to x_(l+1) and b_l of later layers: those with respect to x_l, b_l and the weights.
    fn atom_reverse(&self, l: usize, bonds: &Bonds, m: &mut Memory<T>) {
        let level = self.level;
        self.atom_parts(l, bonds, m);
        let (pieces, out) = &self.atom_layers[l];
        let (nodes, edges) = (m.species.len(), bonds.edge.len());
        m.sums.resize(nodes * WIDTH);
        product(level, &m.dx, &out.reverse, &mut m.sums, false);
        m.edge_rows.resize(edges * BOTH);
        m.edge_weights.resize(edges * WIDTH);
        let (sums, scratch, weights) = (&m.sums, &m.scratch, &m.weights[0]);
        let (edge_rows, edge_weights) = (Disjoint::new(&mut m.edge_rows), Disjoint::new(&mut m.edge_weights));
        let [p0, p1, p2] = &m.parts[1];
        blocks(nodes, |nodes| {
            let mut scratch = lock(scratch);
            let Scratch { triples, conv, .. } = &mut *scratch;
            for edges in tiles(bonds.start[nodes.start] as usize..bonds.start[nodes.end] as usize) {
                let rows = edges.len();
                let mut task = AtomTask { triples, tile: conv, parts: [p0, p1, p2], slopes: true };
                self.edge_tile(l, edges.clone(), bonds, &mut task);
                let mut index = [[0; 2]; TILE];
                for (i, t) in index.iter_mut().zip(&triples[..rows]) {
                    *i = [t[0], t[1]];
                }
                weigh(level, &index[..rows], sums, weights, &mut conv.m);
                pieces.norms.reverse(level, rows, &mut conv.y, &mut conv.m);
                for (k, (i, t)) in index.iter_mut().zip(&triples[..rows]).enumerate() {
                    *i = [k as u32, t[0]];
                }
                // SAFETY: edges of a node belong to one task
                let (own_rows, own_weights) =
                    unsafe { (edge_rows.part(both(edges.clone())), edge_weights.part(wide(edges))) };
                own_weights.fill(T::default());
                add_products(level, &index[..rows], sums, &conv.m, own_weights);
                if let Some(hidden) = &pieces.hidden {
                    hidden.reverse(level, rows, &conv.h, &conv.y, own_rows);
                }
            }
        });
        let (rows, weights) = (&m.edge_rows, &m.edge_weights);
        m.dweights[0].par_chunks_mut(WIDTH).zip(&bonds.bonds).with_min_len(TILE).for_each(|(w, pair)| {
            let [e, f] = pair.map(|e| &weights[e as usize * WIDTH..][..WIDTH]);
            for ((w, e), f) in w.iter_mut().zip(e).zip(f) {
                *w += *e + *f;
            }
        });
        add_product_of(level, &pieces.parts[BOND].reverse, &mut m.db, |u, out| {
            sum_rows(level, bonds.bonds[u].into_iter(), rows, out);
        });
        if l == 0 {
            return;
        }
        let of = |k: usize| bonds.start[k]..bonds.start[k + 1];
        add_product_of(level, &pieces.parts[CENTER].reverse, &mut m.dx, |k, out| {
            sum_rows(level, of(k), rows, out);
        });
        add_product_of(level, &pieces.parts[NEIGHBOR].reverse, &mut m.dx, |k, out| {
            sum_rows(level, of(k).map(|e| bonds.reverse[e as usize]), rows, out);
        });
        for (x, later) in m.dx.iter_mut().zip(m.later.iter_mut()) {
            *x += std::mem::take(later);
        }
    }
    /// Parts of the angle update before layer l and of the convolution of bonds of layer l.
    fn angle_parts(&self, l: usize, bonds: &Bonds, m: &mut Memory<T>) {
        let level = self.level;
        let update = l.checked_sub(1).map(|k| &self.angle_layers[k].parts);
        for (k, (parts, x)) in
            [(update, l), (Some(&self.bond_layers[l].0.parts), l + 1)].into_iter().enumerate()
        {
            let Some(parts) = parts else { continue };
            let [first, second, vertex] = &mut m.parts[k];
            let (x, b) = (&m.x[x], &m.b[l][..bonds.short * WIDTH]);
            first.resize(bonds.short * BOTH);
            second.resize(bonds.short * BOTH);
            vertex.resize(x.len() / WIDTH * BOTH);
            product(level, b, &parts[FIRST].forward, first, false);
            product(level, b, &parts[SECOND].forward, second, false);
            product(level, x, &parts[VERTEX].forward, vertex, false);
        }
    }
    /// For a tile of angles: a_l in `scratch.a`, y of the convolution, and y of the update where there is one.
    fn angle_tile(
        &self,
        l: usize,
        rows: usize,
        a: &[T],
        parts: &[[Aligned<T>; 3]; 2],
        s: &mut Scratch<T>,
        slopes: bool,
    ) {
        let level = self.level;
        let triples = &s.triples[..rows];
        let of = |k: usize| -> [&[T]; 3] { std::array::from_fn(|p| &*parts[k][p]) };
        let numbers = rows * WIDTH;
        s.a[..numbers].copy_from_slice(a);
        if let Some(k) = l.checked_sub(1) {
            let update = &self.angle_layers[k];
            gather(level, triples, of(0), &mut s.update.y);
            let w = &update.parts[ANGLE].forward;
            multiply(level, rows, (&s.a, WIDTH), w, (&mut s.update.y, BOTH), true);
            update.norms.forward(level, rows, &s.update.y, &mut s.update.m);
            for (a, m) in s.a[..numbers].iter_mut().zip(&s.update.m[..numbers]) {
                *a += *m;
            }
        }
        let pieces = &self.bond_layers[l].0;
        gather(level, triples, of(1), &mut s.conv.h);
        let w = &pieces.parts[ANGLE].forward;
        multiply(level, rows, (&s.a, WIDTH), w, (&mut s.conv.h, BOTH), true);
        if let Some(hidden) = &pieces.hidden {
            hidden.forward(level, rows, &mut s.conv.h, &mut s.conv.s, &mut s.conv.y, slopes);
        }
    }
    fn angle_forward(&self, l: usize, bonds: &Bonds, m: &mut Memory<T>) {
        let level = self.level;
        self.angle_parts(l, bonds, m);
        let (pieces, out) = &self.bond_layers[l];
        m.arms.resize(bonds.arm_edge.len() * WIDTH);
        let [a0, a1] = &mut m.a;
        let arms = Disjoint::new(&mut m.arms);
        // what a_l is made from, and where it is kept when a later layer needs it
        let (before, keep): (&[T], _) = match l {
            0 => (a0, None),
            1 => (a0, Some(Disjoint::new(a1))),
            _ => (a1, None),
        };
        let (scratch, weights, parts) = (&m.scratch, &m.weights[1], &m.parts);
        blocks(m.species.len(), |nodes| {
            let mut scratch = lock(scratch);
            let range = bonds.arm_start[nodes.start]..bonds.arm_start[nodes.end];
            // SAFETY: arms and angles of a node belong to one task
            let sums = unsafe { arms.part(wide(range.start as usize..range.end as usize)) };
            sums.fill(T::default());
            for angles in tiles(angles_of(bonds, &nodes)) {
                let rows = angles.len();
                fill_triples(&mut scratch.triples, bonds, angles.clone());
                self.angle_tile(l, rows, &before[wide(angles.clone())], parts, &mut scratch, false);
                if let Some(keep) = &keep {
                    // SAFETY: as above
                    unsafe { keep.part(wide(angles.clone())) }.copy_from_slice(&scratch.a[..rows * WIDTH]);
                }
                let Scratch { conv, triples, .. } = &mut *scratch;
                pieces.norms.forward(level, rows, &conv.y, &mut conv.m);
                let mut index = [[0; 2]; TILE];
                for ((i, t), [e, _]) in index.iter_mut().zip(&triples[..rows]).zip(&bonds.angles[angles]) {
                    *i = [e - range.start, t[1]];
                }
                add_products(level, &index[..rows], weights, &conv.m, sums);
            }
        });
        let numbers = bonds.short * WIDTH;
        m.messages[l].resize(numbers);
        m.sums.resize(numbers);
        let (arms, weights) = (&m.arms, &m.weights[1]);
        let rows = m.messages[l].par_chunks_mut(WIDTH).zip(m.sums.par_chunks_mut(WIDTH));
        rows.zip(weights.par_chunks(WIDTH)).zip(&bonds.bond_arms).with_min_len(TILE).for_each(
            |(((message, sum), w), pair)| {
                let [e, f] = pair.map(|e| &arms[e as usize * WIDTH..][..WIDTH]);
                for k in 0..WIDTH {
                    message[k] = e[k] + f[k];
                    sum[k] = message[k] * w[k];
                }
            },
        );
        let [before, after] = m.b.get_disjoint_mut([l, l + 1]).expect("two layers");
        after.resize(numbers);
        after.copy_from_slice(&before[..numbers]);
        product(level, &m.sums, &out.forward, after, true);
    }
    /// From the derivatives with respect to b_(l+1), x_(l+1) and a_l: those with respect to b_l, a_(l-1), weights and (in
    /// `later`) x_l.
    fn angle_reverse(&self, l: usize, bonds: &Bonds, m: &mut Memory<T>) {
        let level = self.level;
        self.angle_parts(l, bonds, m);
        let (pieces, out) = &self.bond_layers[l];
        let update = l.checked_sub(1).map(|k| &self.angle_layers[k]);
        let (numbers, arms) = (bonds.short * WIDTH, bonds.arm_edge.len());
        m.sums.resize(numbers);
        product(level, &m.db[..numbers], &out.reverse, &mut m.sums, false);
        let rows = m.sums.par_chunks_mut(WIDTH).zip(m.messages[l].par_chunks(WIDTH));
        let rows = rows.zip(m.weights[1].par_chunks(WIDTH)).zip(m.dweights[1].par_chunks_mut(WIDTH));
        rows.with_min_len(TILE).for_each(|(((d, message), w), dw)| {
            for k in 0..WIDTH {
                dw[k] += d[k] * message[k];
                d[k] = d[k] * w[k];
            }
        });
        for rows in m.arm_rows.iter_mut().flatten() {
            rows.resize(arms * BOTH);
        }
        m.arm_weights.resize(arms * WIDTH);
        let da = Disjoint::new(&mut m.da);
        let [update_rows, conv_rows] = &mut m.arm_rows;
        let targets = [update_rows, conv_rows].map(|r| {
            let [first, second] = r;
            [Disjoint::new(first), Disjoint::new(second)]
        });
        let arm_weights = Disjoint::new(&mut m.arm_weights);
        let before: &[T] = if l < 2 { &m.a[0] } else { &m.a[1] };
        let (scratch, weights, parts, sums) = (&m.scratch, &m.weights[1], &m.parts, &m.sums);
        blocks(m.species.len(), |nodes| {
            let mut scratch = lock(scratch);
            let range = bonds.arm_start[nodes.start] as usize..bonds.arm_start[nodes.end] as usize;
            let offset = range.start as u32;
            // SAFETY: arms and angles of a node belong to one task
            let own_weights = unsafe { arm_weights.part(wide(range.clone())) };
            // SAFETY: as above
            let mut own =
                targets.each_ref().map(|t| t.each_ref().map(|t| unsafe { t.part(both(range.clone())) }));
            own_weights.fill(T::default());
            own.iter_mut().flatten().for_each(|rows| rows.fill(T::default()));
            for angles in tiles(angles_of(bonds, &nodes)) {
                let rows = angles.len();
                let pairs = &bonds.angles[angles.clone()];
                fill_triples(&mut scratch.triples, bonds, angles.clone());
                self.angle_tile(l, rows, &before[wide(angles.clone())], parts, &mut scratch, true);
                let Scratch { conv, update: updated, triples, da: dtile, .. } = &mut *scratch;
                let mut index = [[0; 2]; TILE];
                for (i, t) in index.iter_mut().zip(&triples[..rows]) {
                    *i = [t[0], t[1]];
                }
                weigh(level, &index[..rows], sums, weights, &mut conv.m);
                pieces.norms.reverse(level, rows, &mut conv.y, &mut conv.m);
                for ((i, t), [_, f]) in index.iter_mut().zip(&triples[..rows]).zip(pairs) {
                    *i = [f - offset, t[0]];
                }
                add_products(level, &index[..rows], sums, &conv.m, own_weights);
                if let Some(hidden) = &pieces.hidden {
                    hidden.reverse(level, rows, &conv.h, &conv.y, &mut conv.s);
                }
                let [own_update, own_conv] = &mut own;
                let scatter = |x: &[T], into: &mut [&mut [T]; 2]| {
                    for (side, into) in into.iter_mut().enumerate() {
                        add_rows(level, pairs.iter().map(|p| p[side] - offset), x, into);
                    }
                };
                scatter(&conv.s, own_conv);
                // SAFETY: as above
                let da = unsafe { da.part(wide(angles)) };
                let w = &pieces.parts[ANGLE].reverse;
                multiply(level, rows, (&conv.s, BOTH), w, (da, WIDTH), true);
                if let Some(update) = update {
                    dtile[..rows * WIDTH].copy_from_slice(da);
                    update.norms.reverse(level, rows, &mut updated.y, dtile);
                    scatter(&updated.y, own_update);
                    let w = &update.parts[ANGLE].reverse;
                    multiply(level, rows, (&updated.y, BOTH), w, (da, WIDTH), true);
                }
            }
        });
        let arm_weights = &m.arm_weights;
        m.dweights[1].par_chunks_mut(WIDTH).zip(&bonds.bond_arms).with_min_len(TILE).for_each(|(w, pair)| {
            let [e, f] = pair.map(|e| &arm_weights[e as usize * WIDTH..][..WIDTH]);
            for ((w, e), f) in w.iter_mut().zip(e).zip(f) {
                *w += *e + *f;
            }
        });
        let layers = [(update, &mut m.later), (Some(pieces), &mut m.dx)];
        for ((layer, dx), rows) in layers.into_iter().zip(&m.arm_rows) {
            let Some(layer) = layer else { continue };
            for (side, rows) in [FIRST, SECOND].into_iter().zip(rows) {
                add_product_of(level, &layer.parts[side].reverse, &mut m.db[..numbers], |u, out| {
                    sum_rows(level, bonds.bond_arms[u].into_iter(), rows, out);
                });
            }
            add_product_of(level, &layer.parts[VERTEX].reverse, dx, |k, out| {
                sum_rows(level, bonds.arm_start[k]..bonds.arm_start[k + 1], &rows[0], out);
            });
        }
    }
    /// Magnetic moments, site energies and, if asked, their derivative with respect to x_4.
    fn readout(&self, gradient: bool, m: &mut Memory<T>) {
        let level = self.level;
        let nodes = m.species.len();
        let [x, last] = m.x.get_disjoint_mut([LAYERS - 1, LAYERS]).expect("two layers");
        m.moments.clear();
        m.moments.extend(x.chunks_exact(WIDTH).map(|x| {
            let w = &self.moment.weight.data;
            x.iter().zip(w).fold(self.moment.bias[0], |s, (x, w)| s + x.to_f64() * w).abs()
        }));
        m.energies.resize(nodes, 0.0);
        m.dx.resize(nodes * WIDTH);
        let chunk = TILE * WIDTH;
        let tiles = m.energies.par_chunks_mut(TILE).zip(m.dx.par_chunks_mut(chunk));
        let (scratch, species) = (&m.scratch, &m.species);
        tiles.zip(last.par_chunks(chunk)).zip(species.par_chunks(TILE)).for_each(
            |(((energy, dx), x), species)| {
                let mut scratch = lock(scratch);
                let Scratch { conv, update, a, da, .. } = &mut *scratch;
                let rows = energy.len();
                let [weight, shift] = &self.norm;
                // normalised features (in dx) and 1/deviation of each row
                let mut spread = [0.0; TILE];
                for (r, spread) in spread.iter_mut().take(rows).enumerate() {
                    let x = &x[r * WIDTH..][..WIDTH];
                    let mean = x.iter().fold(0.0, |s, x| s + x.to_f64()) / WIDTH as f64;
                    let square = |s: f64, x: &T| s + (x.to_f64() - mean) * (x.to_f64() - mean);
                    *spread = 1.0 / (x.iter().fold(0.0, square) / WIDTH as f64 + EPSILON).sqrt();
                    for (k, x) in x.iter().enumerate() {
                        let n = (x.to_f64() - mean) * *spread;
                        dx[r * WIDTH + k] = T::from_f64(n);
                        a[r * WIDTH + k] = T::from_f64(n * weight[k] + shift[k]);
                    }
                }
                // slopes of the three hidden layers
                let mut slopes: [&mut [T]; 3] = [&mut conv.h, &mut conv.y, &mut update.h];
                for (layer, h) in self.readout.iter().zip(&mut slopes) {
                    multiply(level, rows, (a, WIDTH), &layer.forward, (h, WIDTH), false);
                    run_vector(level, Silu { rows, width: WIDTH, bias: &layer.bias, h, s: a, slopes: true });
                }
                let w = &self.last.weight.data;
                for ((e, s), z) in energy.iter_mut().zip(a.chunks_exact(WIDTH)).zip(species) {
                    let site = s.iter().zip(w).fold(self.last.bias[0], |sum, (s, w)| sum + s.to_f64() * w);
                    *e = site + self.reference[usize::from(*z)];
                }
                if !gradient {
                    return;
                }
                for row in a.chunks_exact_mut(WIDTH).take(rows) {
                    for (d, w) in row.iter_mut().zip(w) {
                        *d = T::from_f64(*w);
                    }
                }
                for (layer, slopes) in self.readout.iter().zip(&slopes).rev() {
                    run_vector(level, Times { len: rows * WIDTH, x: slopes, y: a });
                    multiply(level, rows, (a, WIDTH), &layer.reverse, (da, WIDTH), false);
                    a[..rows * WIDTH].copy_from_slice(&da[..rows * WIDTH]);
                }
                for (r, spread) in spread.iter().take(rows).enumerate() {
                    let row = r * WIDTH..(r + 1) * WIDTH;
                    let (n, d) = (&mut dx[row.clone()], &a[row]);
                    let bar = |k: usize| d[k].to_f64() * weight[k];
                    let mean = (0..WIDTH).fold(0.0, |s, k| s + bar(k)) / WIDTH as f64;
                    let along = (0..WIDTH).fold(0.0, |s, k| s + bar(k) * n[k].to_f64()) / WIDTH as f64;
                    for (k, n) in n.iter_mut().enumerate() {
                        *n = T::from_f64(spread * (bar(k) - mean - n.to_f64() * along));
                    }
                }
            },
        );
    }
    /// From the derivatives with respect to b_0, the weights and a_0: those with respect to the edges.
    fn geometry(&self, graph: &Graph, bonds: &Bonds, m: &mut Memory<T>) {
        let level = self.level;
        m.bond_gradient.resize(bonds.bonds.len(), 0.0);
        let (db, [dwa, dwb]) = (&m.db, &m.dweights);
        m.bond_gradient.par_chunks_mut(TILE).enumerate().for_each(|(k, out)| {
            let mut bar = [T::default(); TILE * BASIS];
            let (mut value, mut slope) = ([0.0; BASIS], [0.0; BASIS]);
            let (first, rows) = (k * TILE, out.len());
            out.fill(0.0);
            let mut add = |radial: &Radial,
                           maps: &[(&Aligned<T>, &Embedding<T>)],
                           rows: usize,
                           out: &mut [f64]| {
                for (n, (d, map)) in maps.iter().enumerate() {
                    let d = &d[wide(first..first + rows)];
                    multiply(level, rows, (d, WIDTH), &map.reverse, (&mut bar, BASIS), n > 0);
                }
                for (r, (out, bar)) in out.iter_mut().zip(bar.chunks_exact(BASIS)).take(rows).enumerate() {
                    radial.at(level, graph.lengths()[bonds.graph_edge(first + r)], &mut value, &mut slope);
                    *out += bar.iter().zip(&slope).fold(0.0, |s, (b, f)| s + b.to_f64() * f);
                }
            };
            add(&self.radial[0], &[(db, &self.bond), (dwa, &self.weight_atom)], rows, out);
            let short = bonds.short.saturating_sub(first).min(rows);
            if short > 0 {
                add(&self.radial[1], &[(dwb, &self.weight_bond)], short, out);
            }
        });
        m.arm_gradient.resize(bonds.arm_edge.len(), [0.0; 3]);
        let (arms, da) = (Disjoint::new(&mut m.arm_gradient), &m.da);
        blocks(m.species.len(), |nodes| {
            let range = bonds.arm_start[nodes.start] as usize..bonds.arm_start[nodes.end] as usize;
            // SAFETY: arms of a node belong to one task
            let own = unsafe { arms.part(range.clone()) };
            own.fill([0.0; 3]);
            let mut features = [T::default(); TILE * WIDTH];
            let mut bar = [T::default(); TILE * BASIS];
            let (mut value, mut slope) = ([0.0; BASIS], [0.0; BASIS]);
            for node in nodes {
                for_pairs(bonds, node, |pairs| {
                    for (pair, out) in pairs.iter().zip(features.chunks_exact_mut(WIDTH)) {
                        let [d, e] = pair.rows.map(|r| &da[r * WIDTH..][..WIDTH]);
                        for ((out, d), e) in out.iter_mut().zip(d).zip(e) {
                            *out = *d + *e;
                        }
                    }
                    let w = &self.angle.reverse;
                    multiply(level, pairs.len(), (&features, WIDTH), w, (&mut bar, BASIS), false);
                    for (pair, bar) in pairs.iter().zip(bar.chunks_exact(BASIS)) {
                        let angle = angle_of(graph, bonds, pair.arms);
                        self.angular.at(level, angle.theta, &mut value, &mut slope);
                        let by_theta = bar.iter().zip(&slope).fold(0.0, |s, (b, f)| s + b.to_f64() * f);
                        for (arm, gradient) in pair.arms.into_iter().zip(angle.gradient) {
                            for (sum, g) in own[arm as usize - range.start].iter_mut().zip(gradient) {
                                *sum += by_theta * g;
                            }
                        }
                    }
                });
            }
        });
        m.gradient.clear();
        m.gradient.resize(graph.edges(), [0.0; 3]);
        for (u, by_r) in m.bond_gradient.iter().enumerate() {
            let e = bonds.graph_edge(u);
            m.gradient[e] = graph.vectors()[e].map(|x| by_r * x / graph.lengths()[e]);
        }
        for (g, &e) in m.arm_gradient.iter().zip(&bonds.arm_edge) {
            let sum = &mut m.gradient[bonds.edge[e as usize] as usize];
            *sum = std::array::from_fn(|c| sum[c] + g[c]);
        }
    }
}

#[cfg(test)]
mod tests;
