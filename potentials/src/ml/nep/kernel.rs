//! Energies and forces of NEP on eight lanes.
//!
//! The first pass goes over the atoms and gives for each of them its energy, the derivatives of its energy with
//! respect to the vectors to its angular neighbours, and for its radial neighbours of species t the coefficients b_tk
//! of dE_i/dr_ij = d/dr (f_c Σ_k b_tk T_k): because radial descriptors are sums over neighbours, the functions f_k are summed first
//! and meet the coefficients c_nk once for each atom. The second pass adds, for each atom, its own derivatives and those of
//! its neighbours with respect to it; the radial ones come from b of both ends, so that no edge is stored.
//!
//! Lanes are neighbours where functions of the distance and direction are evaluated, and neurons, descriptors or
//! components (l, m) where sums over them are taken.
use super::model::{Model, Network, Pack};
use super::neighbors::{Edge, close_sites, mirror};
use super::radial::Argument;
use crate::kernels::symmetric;
use crate::simd::{self, Kernel, LANES, Lanes};
use caloron_engine::{Mat3, NeighborList};
use std::ops::Range;

/// Most radial functions f_k.
pub(super) const MOST_BASIS: usize = 32;
/// Rows that one task treats together.
pub(super) const ROWS: usize = 64;

/// Constants of the four-body (222) and five-body (1111) invariants (Fan et al., J. Chem. Phys. 157, 114801 (2022)).
const FOUR: [f64; 5] = [
    -0.007_499_480_826_664,
    -0.134_990_654_879_954,
    0.067_495_327_439_977,
    0.404_971_964_639_861,
    -0.809_943_929_279_723,
];
const FIVE: [f64; 3] = [0.026_596_810_706_114, 0.053_193_621_412_227, 0.026_596_810_706_114];

/// What is kept of some rows between the passes.
#[derive(Default)]
pub(super) struct Block {
    close: Vec<u32>,
    /// Close sites by row and species, each species filled up to whole vectors.
    sorted: Vec<u32>,
    /// Where the vectors of each row and species begin.
    starts: Vec<u32>,
    offsets: Vec<u32>,
    edges: Vec<Edge>,
    /// Derivative of the energy of the row with respect to the edge.
    g: Vec<[f64; 3]>,
    pub energies: Vec<f64>,
    pub energy: f64,
    scratch: Scratch,
}

/// Memory for one atom.
#[derive(Default)]
struct Scratch {
    found: Vec<u32>,
    /// f_k and df_k/dr of eight neighbours.
    basis: Vec<Pack>,
    slopes: Vec<Pack>,
    /// g_n and dg_n/dr of each edge.
    g: Vec<Pack>,
    dg: Vec<Pack>,
    /// Components of the harmonics of each edge.
    y: Vec<Pack>,
    units: Vec<[Pack; 3]>,
    lengths: Vec<Pack>,
    /// Σ_j g_n Y by n, and dE/d of it.
    moments: Vec<Pack>,
    bars: Vec<Pack>,
    /// Derivatives with respect to the components, for eight neighbours.
    components: Vec<Pack>,
    radial: Vec<f64>,
    sums: Vec<Pack>,
    q: Vec<f64>,
    slope: Vec<Pack>,
    hidden: Vec<Pack>,
}

impl Block {
    fn row(&self, k: usize) -> Range<usize> {
        self.offsets[k] as usize..self.offsets[k + 1] as usize
    }
}

/// out_c += Σ_r x_r m_rc, for a matrix of packs with `out.len()` columns.
#[inline(always)]
fn accumulate<V: Lanes>(x: &[f64], m: &[Pack], out: &mut [Pack]) {
    let columns = out.len();
    let mut c = 0;
    while c + 4 <= columns {
        let mut sum: [V; 4] = std::array::from_fn(|k| V::from_array(out[c + k]));
        for (x, row) in x.iter().zip(m.chunks_exact(columns)) {
            let x = V::splat(*x);
            for k in 0..4 {
                sum[k] = x.mul_add(V::from_array(row[c + k]), sum[k]);
            }
        }
        for k in 0..4 {
            out[c + k] = sum[k].to_array();
        }
        c += 4;
    }
    while c < columns {
        let mut sum = V::from_array(out[c]);
        for (x, row) in x.iter().zip(m.chunks_exact(columns)) {
            sum = V::splat(*x).mul_add(V::from_array(row[c]), sum);
        }
        out[c] = sum.to_array();
        c += 1;
    }
}

fn zeros(v: &mut Vec<Pack>, n: usize) {
    v.clear();
    v.resize(n, [0.0; LANES]);
}

/// The first pass over the rows of a block.
pub(super) struct First<'a> {
    pub model: &'a Model,
    pub list: &'a NeighborList,
    /// Squares of the larger cutoff of each pair of species.
    pub reach: &'a [f64],
    pub rows: Range<usize>,
    pub row_of_atom: &'a [u32],
    /// Are derivatives wanted?
    pub gradient: bool,
    pub block: &'a mut Block,
    /// b by row, species and k.
    pub slopes: &'a mut [f64],
}

impl Kernel for First<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { model, list, reach, rows, row_of_atom, gradient, block, slopes } = self;
        let species = model.species;
        let (sites, centers) = (list.padded_sites(), list.centers());
        let dummy = (sites.len() - 1) as u32;
        block.sorted.clear();
        block.starts.clear();
        block.offsets.clear();
        block.offsets.push(0);
        block.edges.clear();
        block.g.clear();
        block.energies.clear();
        block.energy = 0.0;
        let per_row = species * model.radial.basis;
        for k in rows.clone() {
            let here = &sites[centers[k] as usize];
            let own = here.species as usize;
            let center = simd::splats::<V, 3>(here.position);
            close_sites::<V>(list, k, &reach[own * species..][..species], &mut block.close);
            let close = &block.close;
            // by species
            let first = block.starts.len();
            for t in 0..species {
                block.starts.push(block.sorted.len() as u32);
                if species == 1 {
                    block.sorted.extend_from_slice(close);
                } else {
                    let of = |s: &&u32| sites[**s as usize].species as usize == t;
                    block.sorted.extend(close.iter().filter(of));
                }
                block.sorted.resize(block.sorted.len().next_multiple_of(LANES), dummy);
            }
            block.starts.push(block.sorted.len() as u32);
            let starts = &block.starts[first..];
            let scratch = &mut block.scratch;
            // SAFETY: indices of sites and of the dummy
            let load = |part: &[u32; LANES]| unsafe { V::load_sites(sites.as_ptr(), part.as_ptr()) };
            let distance = |part: &[u32; LANES]| {
                let [x, y, z, kind] = load(part);
                let d = [x - center[0], y - center[1], z - center[2]];
                (d, d[0].mul_add(d[0], d[1].mul_add(d[1], d[2] * d[2])), kind)
            };
            scratch.q.clear();
            scratch.q.resize(model.networks[own].inputs * LANES, 0.0);
            // radial descriptors, and the angular neighbours
            scratch.found.clear();
            zeros(&mut scratch.sums, model.radial.packs);
            for t in 0..species {
                let segment = &block.sorted[starts[t] as usize..starts[t + 1] as usize];
                let cutoff = V::splat(model.radial.cutoffs[own * species + t]);
                let short = model.angular.cutoffs[own * species + t];
                let short = V::splat(short * short);
                let mut sums = [V::splat(0.0); MOST_BASIS];
                for part in segment.chunks_exact(LANES) {
                    let part: &[u32; LANES] = part.try_into().expect("a part of eight");
                    let (_, r2, _) = distance(part);
                    let argument = Argument::new(r2.sqrt(), cutoff);
                    argument.values(model.radial.basis - 1, |k, f| sums[k] = sums[k] + f);
                    let used = scratch.found.len();
                    scratch.found.resize(used + LANES, 0);
                    let window = (&mut scratch.found[used..]).try_into().expect("room for eight");
                    let count = r2.compress(r2.lt(short), part, window, &mut [0.0; LANES]);
                    scratch.found.truncate(used + count);
                }
                scratch.radial.clear();
                scratch.radial.extend(sums[..model.radial.basis].iter().map(|s| s.sum()));
                accumulate::<V>(&scratch.radial, model.radial.coefficients(own, t), &mut scratch.sums);
            }
            let radial = model.radial.functions;
            scratch.q[..radial].copy_from_slice(&scratch.sums.as_flattened()[..radial]);
            let edges = scratch.found.len();
            scratch.found.resize(edges.next_multiple_of(LANES), dummy);
            let groups = scratch.found.len() / LANES;
            // functions of the angular neighbours
            let (width, packs) = (model.angular.packs, model.packs);
            zeros(&mut scratch.g, groups * LANES * width);
            zeros(&mut scratch.dg, groups * LANES * width);
            zeros(&mut scratch.y, groups * LANES * packs);
            scratch.units.clear();
            scratch.lengths.clear();
            scratch.basis.resize(model.angular.basis, [0.0; LANES]);
            scratch.slopes.resize(model.angular.basis, [0.0; LANES]);
            zeros(&mut scratch.components, packs * LANES);
            let cutoffs = &model.angular.cutoffs[own * species..][..species];
            for group in 0..groups {
                let part: &[u32; LANES] =
                    scratch.found[group * LANES..][..LANES].try_into().expect("a part of eight");
                let (d, r2, kind) = distance(part);
                let r = r2.sqrt();
                let cutoff = if species == 1 {
                    V::splat(cutoffs[0])
                } else {
                    // SAFETY: species (0 for the dummy) are below their number
                    unsafe { V::lookup(cutoffs.as_ptr(), kind) }
                };
                let inverse = V::splat(1.0) / r;
                let unit = d.map(|x| x * inverse);
                scratch.units.push(unit.map(V::to_array));
                scratch.lengths.push(r.to_array());
                let argument = Argument::new(r, cutoff);
                let (basis, slopes) = (&mut scratch.basis, &mut scratch.slopes);
                argument.values_and_slopes(model.angular.basis - 1, |k, f, df| {
                    basis[k] = f.to_array();
                    slopes[k] = df.to_array();
                });
                let components = &mut scratch.components;
                model.harmonics.values(unit, |c, y| components[c] = y.to_array());
                for lane in 0..LANES.min(edges - group * LANES) {
                    let edge = group * LANES + lane;
                    let t = sites[part[lane] as usize].species as usize;
                    let c = model.angular.coefficients(own, t);
                    let out = edge * width..(edge + 1) * width;
                    let (mut f, mut df) = ([0.0; MOST_BASIS], [0.0; MOST_BASIS]);
                    for k in 0..basis.len() {
                        f[k] = basis[k][lane];
                        df[k] = slopes[k][lane];
                    }
                    accumulate::<V>(&f[..basis.len()], c, &mut scratch.g[out.clone()]);
                    if gradient {
                        accumulate::<V>(&df[..basis.len()], c, &mut scratch.dg[out]);
                    }
                    let y = scratch.y[edge * packs..(edge + 1) * packs].as_flattened_mut();
                    for c in 0..model.harmonics.len() {
                        y[c] = components[c][lane];
                    }
                }
            }
            // moments S_n,lm = Σ_j g_n Y_lm
            zeros(&mut scratch.moments, model.angular.functions * packs);
            for n in 0..model.angular.functions {
                let out = &mut scratch.moments[n * packs..(n + 1) * packs];
                for (v, out) in out.iter_mut().enumerate() {
                    let mut sum = V::splat(0.0);
                    for edge in 0..edges {
                        let g = V::splat(scratch.g[edge * width + n / LANES][n % LANES]);
                        sum = g.mul_add(V::from_array(scratch.y[edge * packs + v]), sum);
                    }
                    *out = sum.to_array();
                }
            }
            invariants(model, &scratch.moments, &mut scratch.q[radial..]);
            let network = &model.networks[own];
            let mut energy = evaluate::<V>(network, scratch, model.dimension);
            if let Some(core) = &model.core {
                for edge in 0..edges {
                    let t = sites[scratch.found[edge] as usize].species as usize;
                    let r = scratch.lengths[edge / LANES][edge % LANES];
                    energy += core.half_energy(own, t, r).map_or(0.0, |e| e.0);
                }
            }
            block.energy += energy;
            block.energies.push(energy);
            if !gradient {
                continue;
            }
            // b of the radial neighbours
            let slope = scratch.slope.as_flattened();
            zeros(&mut scratch.sums, model.radial.packs);
            scratch.sums.as_flattened_mut()[..radial].copy_from_slice(&slope[..radial]);
            let b = &mut slopes[(k - rows.start) * per_row..][..per_row];
            for (t, b) in b.chunks_exact_mut(model.radial.basis).enumerate() {
                let rows = model.radial.coefficients(own, t).chunks_exact(model.radial.packs);
                for (b, c) in b.iter_mut().zip(rows) {
                    let mut sum = V::splat(0.0);
                    for (c, s) in c.iter().zip(&scratch.sums) {
                        sum = V::from_array(*c).mul_add(V::from_array(*s), sum);
                    }
                    *b = sum.sum();
                }
                // f_0 = f_c and f_k = ½ (T_k + 1) f_c
                let (first, others) = b.split_first_mut().expect("at least one function");
                for b in others {
                    *b *= 0.5;
                    *first += *b;
                }
            }
            moment_slopes(model, &scratch.moments, &slope[radial..], &mut scratch.bars);
            for group in 0..groups {
                let mut along = [0.0; LANES];
                for lane in 0..LANES.min(edges - group * LANES) {
                    let edge = group * LANES + lane;
                    let mut total = V::splat(0.0);
                    for v in 0..packs {
                        let (mut by_value, mut by_slope) = (V::splat(0.0), V::splat(0.0));
                        for n in 0..model.angular.functions {
                            let bar = V::from_array(scratch.bars[n * packs + v]);
                            let at = edge * width + n / LANES;
                            by_value = V::splat(scratch.g[at][n % LANES]).mul_add(bar, by_value);
                            by_slope = V::splat(scratch.dg[at][n % LANES]).mul_add(bar, by_slope);
                        }
                        total = by_slope.mul_add(V::from_array(scratch.y[edge * packs + v]), total);
                        for (c, x) in by_value.to_array().into_iter().enumerate() {
                            scratch.components[v * LANES + c][lane] = x;
                        }
                    }
                    along[lane] = total.sum();
                    if let Some(core) = &model.core {
                        let t = sites[scratch.found[edge] as usize].species as usize;
                        let pair = core.half_energy(own, t, scratch.lengths[group][lane]);
                        along[lane] += pair.map_or(0.0, |e| e.1);
                    }
                }
                let unit = scratch.units[group].map(V::from_array);
                let inverse = V::splat(1.0) / V::from_array(scratch.lengths[group]);
                let u = model.harmonics.gradient(unit, |c| V::from_array(scratch.components[c]));
                let radial = unit[0] * u[0] + unit[1] * u[1] + unit[2] * u[2];
                let along = V::from_array(along) - radial * inverse;
                let g: [Pack; 3] = std::array::from_fn(|c| (u[c] * inverse + unit[c] * along).to_array());
                for lane in 0..LANES.min(edges - group * LANES) {
                    let r = scratch.lengths[group][lane];
                    let d = [0, 1, 2].map(|c| scratch.units[group][c][lane] * r);
                    let site = scratch.found[group * LANES + lane];
                    block.edges.push(Edge { d, far: row_of_atom[list.atom(site)] });
                    block.g.push([0, 1, 2].map(|c| g[c][lane]));
                }
            }
            block.offsets.push(block.edges.len() as u32);
        }
    }
}

/// Energy of the network at q; leaves its derivatives in `slope`.
#[inline(always)]
fn evaluate<V: Lanes>(network: &Network, scratch: &mut Scratch, dimension: usize) -> f64 {
    scratch.hidden.clear();
    scratch.hidden.extend_from_slice(&network.bias);
    accumulate::<V>(&scratch.q[..dimension], &network.forward, &mut scratch.hidden);
    let one = V::splat(1.0);
    let mut energy = V::splat(0.0);
    for (h, w) in scratch.hidden.iter_mut().zip(&network.output) {
        let w = V::from_array(*w);
        let x = V::from_array(*h);
        // tanh x = 1 − 2/(e^2x + 1)
        let t = one - V::splat(2.0) / ((x + x).exp() + one);
        energy = w.mul_add(t, energy);
        *h = (w * (one - t * t)).to_array();
    }
    zeros(&mut scratch.slope, network.inputs);
    accumulate::<V>(scratch.hidden.as_flattened(), &network.backward, &mut scratch.slope);
    energy.sum() - network.shift
}

/// The angular descriptors of the moments, ordered by invariant, then n.
fn invariants(model: &Model, moments: &[Pack], q: &mut [f64]) {
    let (functions, packs) = (model.angular.functions, model.packs);
    for n in 0..functions {
        let s = moments[n * packs..(n + 1) * packs].as_flattened();
        for (c, degree) in model.harmonics.degree.iter().enumerate() {
            q[degree * functions + n] += model.weights[c] * s[c] * s[c];
        }
        let mut next = model.l_max;
        if model.four_body {
            let [a, b, c, d, e] = [s[3], s[4], s[5], s[6], s[7]];
            q[next * functions + n] = FOUR[0] * a * a * a
                + FOUR[1] * a * (b * b + c * c)
                + FOUR[2] * a * (d * d + e * e)
                + FOUR[3] * d * (c * c - b * b)
                + FOUR[4] * b * c * e;
            next += 1;
        }
        if model.five_body {
            let (a, w) = (s[0] * s[0], s[1] * s[1] + s[2] * s[2]);
            q[next * functions + n] = FIVE[0] * a * a + FIVE[1] * a * w + FIVE[2] * w * w;
        }
    }
}

/// dE/dS from dE/dq of the angular descriptors.
fn moment_slopes(model: &Model, moments: &[Pack], slope: &[f64], bars: &mut Vec<Pack>) {
    let (functions, packs) = (model.angular.functions, model.packs);
    zeros(bars, functions * packs);
    for n in 0..functions {
        let s = moments[n * packs..(n + 1) * packs].as_flattened();
        let bar = bars[n * packs..(n + 1) * packs].as_flattened_mut();
        for (c, degree) in model.harmonics.degree.iter().enumerate() {
            bar[c] = 2.0 * model.weights[c] * s[c] * slope[degree * functions + n];
        }
        let mut next = model.l_max;
        if model.four_body {
            let f = slope[next * functions + n];
            let [a, b, c, d, e] = [s[3], s[4], s[5], s[6], s[7]];
            bar[3] += f * (3.0 * FOUR[0] * a * a + FOUR[1] * (b * b + c * c) + FOUR[2] * (d * d + e * e));
            bar[4] += f * (2.0 * FOUR[1] * a * b - 2.0 * FOUR[3] * d * b + FOUR[4] * c * e);
            bar[5] += f * (2.0 * FOUR[1] * a * c + 2.0 * FOUR[3] * d * c + FOUR[4] * b * e);
            bar[6] += f * (2.0 * FOUR[2] * a * d + FOUR[3] * (c * c - b * b));
            bar[7] += f * (2.0 * FOUR[2] * a * e + FOUR[4] * b * c);
            next += 1;
        }
        if model.five_body {
            let f = slope[next * functions + n];
            let (a, w) = (s[0] * s[0], s[1] * s[1] + s[2] * s[2]);
            bar[0] += f * (2.0 * FIVE[0] * a + FIVE[1] * w) * 2.0 * s[0];
            let by_w = f * (FIVE[1] * a + 2.0 * FIVE[2] * w) * 2.0;
            bar[1] += by_w * s[1];
            bar[2] += by_w * s[2];
        }
    }
}

/// The second pass over the rows of a block: forces and virials of their atoms.
pub(super) struct Second<'a> {
    pub model: &'a Model,
    pub list: &'a NeighborList,
    pub blocks: &'a [Block],
    /// The block.
    pub index: usize,
    /// b of all rows.
    pub slopes: &'a [f64],
    pub row_of_atom: &'a [u32],
    /// No atom has two images within the cutoff of another.
    pub unique: bool,
    pub virial: bool,
    /// Forces and virials of the rows.
    pub forces: &'a mut [[f64; 3]],
    pub virials: &'a mut [Mat3],
}

impl Kernel for Second<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { model, list, blocks, index, slopes, row_of_atom, unique, virial, forces, virials } = self;
        let species = model.species;
        let basis = model.radial.basis;
        let (sites, centers) = (list.padded_sites(), list.centers());
        let block = &blocks[index];
        let last = sites.len() - 1;
        for (k, force) in forces.iter_mut().enumerate() {
            let row = index * ROWS + k;
            let here = &sites[centers[row] as usize];
            let own = here.species as usize;
            let center = simd::splats::<V, 3>(here.position);
            let mut f = [V::splat(0.0); 3];
            let mut w = [V::splat(0.0); 6];
            for t in 0..species {
                let at = k * (species + 1) + t;
                let segment = &block.sorted[block.starts[at] as usize..block.starts[at + 1] as usize];
                let mine = &slopes[(row * species + t) * basis..][..basis];
                let cutoff = V::splat(model.radial.cutoffs[own * species + t]);
                for part in segment.chunks_exact(LANES) {
                    let part: &[u32; LANES] = part.try_into().expect("a part of eight");
                    // SAFETY: indices of sites and of the dummy
                    let [x, y, z, _] = unsafe { V::load_sites(sites.as_ptr(), part.as_ptr()) };
                    let d = [x - center[0], y - center[1], z - center[2]];
                    let r2 = d[0].mul_add(d[0], d[1].mul_add(d[1], d[2] * d[2]));
                    let r = r2.sqrt();
                    let argument = Argument::new(r, cutoff);
                    let place = part.map(|s| {
                        // the dummy is no atom; what is looked up for it is multiplied by zero
                        let atom = if s as usize == last { 0 } else { list.atom(s) };
                        ((row_of_atom[atom] as usize * species + own) * basis) as f64
                    });
                    let place = V::from_array(place);
                    let theirs = |k: usize| {
                        // SAFETY: b has `species * basis` numbers for every row
                        unsafe { V::lookup(slopes.as_ptr().add(k), place) }
                    };
                    let inverse = V::splat(1.0) / r;
                    let both = argument.slope(basis - 1, |k| theirs(k) + V::splat(mine[k])) * inverse;
                    for c in 0..3 {
                        f[c] = both.mul_add(d[c], f[c]);
                    }
                    if virial {
                        let back = argument.slope(basis - 1, theirs) * inverse;
                        let [x, y, z] = d.map(|x| x * back);
                        for (w, p) in
                            w.iter_mut().zip([x * d[0], y * d[1], z * d[2], y * d[2], x * d[2], x * d[1]])
                        {
                            *w = *w - p;
                        }
                    }
                }
            }
            let mut total = simd::sums(f);
            let mut tensor = symmetric(simd::sums(w));
            for e in block.row(k) {
                let edge = &block.edges[e];
                let other = edge.far as usize;
                let far = &blocks[other / ROWS];
                let range = far.row(other % ROWS);
                let back = mirror(row, edge, &far.edges[range.clone()], unique);
                // rounding may leave one end just outside the cutoff, where its share is zero
                let back = back.map_or([0.0; 3], |i| far.g[range.start + i]);
                for c in 0..3 {
                    total[c] += block.g[e][c] - back[c];
                }
                if virial {
                    for a in 0..3 {
                        for c in 0..3 {
                            tensor[(a, c)] += edge.d[a] * back[c];
                        }
                    }
                }
            }
            *force = total;
            if virial {
                virials[k] = tensor;
            }
        }
    }
}
