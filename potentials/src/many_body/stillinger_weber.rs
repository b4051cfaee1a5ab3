//! The Stillinger-Weber potential.
//!
//! E = Σ_i Σ_{j<k} λ ε (cos θ_jik − cos θ₀)² h_ij h_ik + ½ Σ_{i≠j} φ_ij,
//! φ(r) = A ε \[B (σ/r)^p − (σ/r)^q\] exp(σ / (r − a σ)), h(r) = exp(γ σ / (r − a σ)), both zero from a σ on.
//!
//! φ_ij and h_ij take the entry `i j j` of the file, λ ε and cos θ₀ the entry `i j k`. A tolerance `tol` > 0 in the file
//! shortens the cutoff to where the exponential falls below it.
//!
//! Third atoms are not looped over. With M₀ = Σ_k h_k, M₁ = Σ_k h_k u_k and M₂ = Σ_k h_k u_k ⊗ u_k over the other neighbours k of i
//! (a set for each species of k), u unit vectors, the angles of j are
//! Σ_k h_k (u_j·u_k − c₀)² = u_j·M₂u_j − 2 c₀ u_j·M₁ + c₀² M₀, and its gradient has 2 (M₂ u_j − c₀ M₁) in the place of the sum over
//! 2 h_k (u_j·u_k − c₀) u_k: exact, and linear in the number of neighbours.
//!
//! Source: Stillinger and Weber, Phys. Rev. B 31, 5262 (1985), doi 10.1103/PhysRevB.31.5262.
use super::files::{ParameterFile, Triples, file_spec, triples};
use super::site_energy::{
    BlockEnergy, Edge, Record, Recorded, Share, SiteSum, Sites, lanes, load, look, put, species_of, store,
    whole,
};
use crate::BuildContext;
use crate::simd::{LANES, Lanes};
use caloron_engine::SpecError;

/// Terms of a pair of species.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// A ε B and A ε, eV.
    strengths: [f64; 2],
    sigma: f64,
    /// p and q.
    powers: [f64; 2],
    /// γ σ, Å.
    gamma_sigma: f64,
    /// a σ, Å.
    range: f64,
    /// Where the terms are cut off, Å.
    cutoff: f64,
}

/// Term of a triple of species.
#[derive(Clone, Copy, Debug)]
struct Angle {
    /// λ ε, eV.
    strength: f64,
    cos0: f64,
}

/// The model; the potential is `SiteSum<StillingerWeber>`.
pub struct StillingerWeber {
    species: usize,
    cutoffs: Vec<f64>,
    /// For each of [`P`] the coefficients of the pairs of species (i, j), at i n + j.
    coefficients: [Vec<f64>; 7],
    /// True when p = 4 and q = 0 everywhere.
    usual: bool,
    /// 2 λ ε and cos θ₀ of the triples (i, j, k), at (i n + j) n + k.
    strengths: Vec<f64>,
    cosines: Vec<f64>,
}

file_spec! {
    /// Stillinger-Weber potential from a file in LAMMPS' `sw` format.
    StillingerWeberSpec => SiteSum<StillingerWeber>, build
}

fn build(
    spec: &ParameterFile,
    context: &mut BuildContext<'_>,
) -> Result<SiteSum<StillingerWeber>, SpecError> {
    let file = Triples::<11>::read(spec, context)?;
    let n = file.species();
    let names: Vec<String> = context.system.species().iter().map(|s| s.symbol.clone()).collect();
    let refuse = |i: usize, j: usize, k: usize, what: &str| {
        let triple = [i, j, k].map(|x| names[x].as_str()).join(" ");
        SpecError::new("file", format!("`{}`: the entry for {triple} has {what}", spec.file.display()))
    };
    let mut pairs = Vec::new();
    let mut angles = Vec::new();
    for (i, j, k) in triples(n) {
        let &[epsilon, sigma, a, lambda, gamma, cos0, big_a, big_b, p, q, tol] = file.get(i, j, k);
        let mirror = file.get(i, k, j);
        if (epsilon * lambda, cos0) != (mirror[0] * mirror[3], mirror[5]) {
            return Err(refuse(i, j, k, "another angle than the entry with the two ends exchanged"));
        }
        angles.push(Angle { strength: lambda * epsilon, cos0 });
        if j == k {
            let values = [epsilon, sigma, a, lambda, gamma, big_a, big_b, p, q, tol];
            if values.iter().any(|x| *x < 0.0) {
                return Err(refuse(i, j, k, "a negative parameter"));
            }
            let range = a * sigma;
            let shortened = match tol.min(0.01) {
                tol if tol > 0.0 => range + sigma * gamma.min(1.0) / tol.ln(),
                _ => range,
            };
            pairs.push(Pair {
                strengths: [big_a * epsilon * big_b, big_a * epsilon],
                sigma,
                powers: [p, q],
                gamma_sigma: gamma * sigma,
                range,
                cutoff: shortened.max(0.0),
            });
        }
    }
    for (i, j, _) in triples(n).filter(|t| t.1 == t.2) {
        if pairs[i * n + j].cutoff != pairs[j * n + i].cutoff {
            return Err(refuse(i, j, j, "another cutoff than the entry with the elements exchanged"));
        }
    }
    Ok(SiteSum::new(StillingerWeber::of(n, &pairs, &angles)))
}

/// Coefficients of a pair of species, in the order of the tables of [`StillingerWeber`].
#[derive(Clone, Copy)]
#[repr(usize)]
enum P {
    Repulsion,
    Attraction,
    Sigma,
    Exponent,
    ExponentOfAttraction,
    GammaSigma,
    Range,
}

/// Memory for the sites of a block.
#[derive(Default)]
#[doc(hidden)]
pub struct Scratch {
    /// Unit vector and h of each edge.
    arms: Vec<Record>,
    /// For each edge 1/r, h', half of φ', half of φ (then its part of the energy of its site).
    inverse: Vec<f64>,
    dh: Vec<f64>,
    slope: Vec<f64>,
    energy: Vec<f64>,
    /// Moments of each site and species of neighbours, as three records: M₀ and M₁; xx, yy, zz and yz of M₂; its xz and xy.
    moments: Vec<Record>,
}

impl StillingerWeber {
    fn of(species: usize, pairs: &[Pair], angles: &[Angle]) -> Self {
        let column = |f: &dyn Fn(&Pair) -> f64| pairs.iter().map(f).collect::<Vec<f64>>();
        Self {
            species,
            cutoffs: column(&|p| p.cutoff),
            coefficients: [
                column(&|p| p.strengths[0]),
                column(&|p| p.strengths[1]),
                column(&|p| p.sigma),
                column(&|p| p.powers[0]),
                column(&|p| p.powers[1]),
                column(&|p| p.gamma_sigma),
                column(&|p| p.range),
            ],
            usual: pairs.iter().all(|p| p.powers == [4.0, 0.0]),
            strengths: angles.iter().map(|a| 2.0 * a.strength).collect(),
            cosines: angles.iter().map(|a| a.cos0).collect(),
        }
    }
    /// A coefficient for pairs with the given indices.
    #[inline(always)]
    fn pair<V: Lanes>(&self, which: P, pair: V) -> V {
        look(&self.coefficients[which as usize], pair)
    }
    /// Radial functions of all edges.
    #[inline(always)]
    fn radial<V: Lanes>(&self, sites: &Sites<'_>, scratch: &mut Scratch) {
        let Scratch { arms, inverse, dh, slope, energy, .. } = scratch;
        for e in (0..sites.edges.len()).step_by(LANES) {
            let [dx, dy, dz, r] = load::<V>(Edge::records(sites.edges), e);
            let pair = if self.species > 1 {
                species_of::<V>(sites, e).mul_add(V::splat(self.species as f64), whole(sites.neighbors, e))
            } else {
                V::splat(0.0)
            };
            let (range, sigma) = (self.pair(P::Range, pair), self.pair(P::Sigma, pair));
            let per_r = V::splat(1.0) / r;
            // at the very end the exponentials are zero, not 0/0
            let x = V::splat(1.0) / (r - range).min(V::splat(-1e-10));
            let s = sigma * per_r;
            let (p, q) = (self.pair(P::Exponent, pair), self.pair(P::ExponentOfAttraction, pair));
            let (rep, att) = if self.usual {
                ((s * s) * (s * s), V::splat(1.0))
            } else {
                let log = s.ln();
                ((p * log).exp(), (q * log).exp())
            };
            let (rep, att) = (self.pair(P::Repulsion, pair) * rep, self.pair(P::Attraction, pair) * att);
            let decay = (sigma * x).exp();
            let phi = (rep - att) * decay;
            let bare = (q * att - p * rep) * per_r * decay;
            let half = V::splat(0.5);
            let gamma = self.pair(P::GammaSigma, pair);
            let h = (gamma * x).exp();
            store([dx * per_r, dy * per_r, dz * per_r, h], arms, e);
            put(per_r, inverse, e);
            put(-(gamma * x * x * h), dh, e);
            put(half * (bare - phi * sigma * x * x), slope, e);
            put(half * phi, energy, e);
        }
    }
    /// Moments of all sites.
    #[inline(always)]
    fn moments(&self, sites: &Sites<'_>, scratch: &mut Scratch) {
        let n = self.species;
        for k in 0..sites.count() {
            for e in sites.row(k) {
                let Record { position: [x, y, z], species: h } = scratch.arms[e];
                let at = 3 * (k * n + sites.neighbors[e] as usize);
                let three = &mut scratch.moments[at..at + 3];
                let [a, b, c]: &mut [Record; 3] = three.try_into().expect("three records");
                let (hx, hy, hz) = (h * x, h * y, h * z);
                add(a, [h, hx, hy, hz]);
                add(b, [hx * x, hy * y, hz * z, hy * z]);
                add(c, [hx * z, hx * y, 0.0, 0.0]);
            }
        }
    }
    /// Energies and derivatives of all edges from the moments of their sites.
    #[inline(always)]
    fn angular<V: Lanes>(&self, sites: &Sites<'_>, shares: &mut [Share], scratch: &mut Scratch) {
        let n = self.species;
        let Scratch { arms, inverse, dh, slope, energy, moments } = scratch;
        for e in (0..sites.edges.len()).step_by(LANES) {
            let [x, y, z, h] = load::<V>(arms, e);
            let owners: &[u32; LANES] = sites.owners[e..e + LANES].try_into().expect("eight sites");
            let zero = V::splat(0.0);
            let [mut ax, mut ay, mut az, mut b, mut c] = [zero; 5];
            let row = if n > 1 {
                let pair = species_of::<V>(sites, e).mul_add(V::splat(n as f64), whole(sites.neighbors, e));
                pair * V::splat(n as f64)
            } else {
                zero
            };
            for kind in 0..n {
                let first = owners.map(|o| 3 * (o * n as u32 + kind as u32));
                // SAFETY: there are three records for each site and species
                let ([m0, mx, my, mz], [xx, yy, zz, yz], [xz, xy, _, _]) = unsafe {
                    let from = moments.as_ptr();
                    (
                        V::load_sites(from, first.as_ptr()),
                        V::load_sites(from.add(1), first.as_ptr()),
                        V::load_sites(from.add(2), first.as_ptr()),
                    )
                };
                // the edge itself is no third atom
                let own = if n > 1 {
                    let other = whole::<V>(sites.neighbors, e) - V::splat(kind as f64);
                    V::keep((other * other).lt(V::splat(0.25)), h)
                } else {
                    h
                };
                let (s, c0) = {
                    let triple = row + V::splat(kind as f64);
                    (look(&self.strengths, triple), look(&self.cosines, triple))
                };
                let (m0, mx, my, mz) = (m0 - own, mx - own * x, my - own * y, mz - own * z);
                // M₂ u and M₁, both without the edge
                let qx = xz.mul_add(z, xy.mul_add(y, xx * x)) - own * x;
                let qy = yz.mul_add(z, yy.mul_add(y, xy * x)) - own * y;
                let qz = zz.mul_add(z, yz.mul_add(y, xz * x)) - own * z;
                let first = mz.mul_add(z, my.mul_add(y, mx * x));
                let second = qz.mul_add(z, qy.mul_add(y, qx * x));
                ax = s.mul_add(qx - c0 * mx, ax);
                ay = s.mul_add(qy - c0 * my, ay);
                az = s.mul_add(qz - c0 * mz, az);
                b = s.mul_add(second - c0 * first, b);
                c = s.mul_add(second - c0 * (first + first - c0 * m0), c);
            }
            let t = h * lanes(inverse, e);
            let radial = (lanes::<V>(dh, e) * V::splat(0.5)).mul_add(c, lanes::<V>(slope, e)) - t * b;
            let angles = h * c;
            // of the angles of an edge, half of the energy here and half at the other edge; a third of it is the neighbour's
            let third = angles * V::splat(1.0 / 6.0);
            let g = [t.mul_add(ax, radial * x), t.mul_add(ay, radial * y), t.mul_add(az, radial * z), third];
            store(g, Share::records_mut(shares), e);
            put(angles.mul_add(V::splat(0.25), lanes(energy, e)), energy, e);
        }
    }
}

#[inline(always)]
fn add(to: &mut Record, values: [f64; 4]) {
    for (sum, v) in to.position.iter_mut().chain([&mut to.species]).zip(values) {
        *sum += v;
    }
}

impl BlockEnergy for StillingerWeber {
    type Scratch = Scratch;
    const NAME: &'static str = "stillinger_weber";
    fn species(&self) -> usize {
        self.species
    }
    fn cutoff(&self, i: usize, j: usize) -> f64 {
        self.cutoffs[i * self.species + j]
    }
    #[inline(always)]
    fn energies<V: Lanes>(
        &self,
        sites: Sites<'_>,
        energies: &mut [f64],
        shares: &mut [Share],
        scratch: &mut Scratch,
    ) {
        let count = sites.edges.len();
        let Scratch { arms, inverse, dh, slope, energy, moments } = scratch;
        arms.resize(count, Record::default());
        for x in [inverse, dh, slope, energy] {
            x.resize(count, 0.0);
        }
        moments.clear();
        moments.resize(3 * sites.count() * self.species, Record::default());
        self.radial::<V>(&sites, scratch);
        self.moments(&sites, scratch);
        self.angular::<V>(&sites, shares, scratch);
        for (k, sum) in energies.iter_mut().enumerate() {
            *sum = scratch.energy[sites.row(k)].iter().sum();
        }
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["Stillinger and Weber, Phys. Rev. B 31, 5262 (1985), doi 10.1103/PhysRevB.31.5262"]
    }
}
