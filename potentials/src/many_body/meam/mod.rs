//! The modified embedded-atom method, with first or with second neighbours.
//!
//! E = Σ_i \[F_i(ρ̄_i) + ½ Σ_{j≠i} S_ij φ_ij(r_ij)\], F = A E_c ρ̄ ln ρ̄, ρ̄ = ρ₀ G(Γ)/ρ_ref, Γ = Σ_{h=1}^{3} t_h ρ_h²/ρ₀²:
//! - ρ₀ = Σ_j S_ij ρa₀, ρ₁² = |Σ_j S_ij ρa₁ u_j|², ρ₂² = |Σ_j S_ij ρa₂ u_j⊗u_j|² − ⅓ (Σ_j S_ij ρa₂)²,
//!   ρ₃² = |Σ_j S_ij ρa₃ u_j⊗u_j⊗u_j|² − ⅗ |Σ_j S_ij ρa₃ u_j|², with ρa_h = ρ⁰ e^{−β_h (r/r_e − 1)} of the species of j and
//!   unit vectors u_j;
//! - t_h are those of the neighbours' species, averaged with weights S_ij ρa₀ (`ialloy` 0), averaged with weights S_ij ρa₀ t
//!   over densities that carry t themselves (1), or those of the atom's own species (2);
//! - S_ij = f((r_c − r_ij)/Δ) Π_k f((C_ijk − C_min)/(C_max − C_min)), f(x) = (1 − (1 − x)⁴)², is the screening by other
//!   atoms k, where C_ijk belongs to the ellipse through k that has i and j at the ends of one axis,
//!   C = (2 (X + Y) − (X − Y)² − 1)/(1 − (X − Y)²), X = r_ik²/r_ij², Y = r_jk²/r_ij²;
//! - φ follows from the energy of a reference structure, which obeys Rose's equation; near the nuclei it goes over into
//!   screened nuclear repulsion. With `nn2` the second neighbours of the reference structure are counted in.
//!   φ is tabulated at 1000 points up to 1.1 r_c, as LAMMPS does.
//!
//! Sources: Baskes, Phys. Rev. B 46, 2727 (1992), doi 10.1103/PhysRevB.46.2727; Baskes, Mater. Chem. Phys. 50, 152 (1997),
//! doi 10.1016/S0254-0584(97)80252-0 (screening); Lee and Baskes, Phys. Rev. B 62, 8564 (2000), doi
//! 10.1103/PhysRevB.62.8564, and Lee, Baskes, Kim and Cho, Phys. Rev. B 64, 184102 (2001), doi 10.1103/PhysRevB.64.184102
//! (second neighbours); Gullet, Wagner and Slepoy, SAND2003-8782 (the forms of the parameter files).
mod file;
mod lattice;
mod reference;
mod screening;

use super::site_energy::{Share, Site, SiteEnergy};
use crate::kernels::uniform_spline::{self as spline, Cubic};
pub use file::MeamSpec;
use file::Parameters;
use reference::{background, embedding, growth};

/// The model; the potential is `SiteSum<Meam>`.
pub struct Meam {
    parameters: Parameters,
    /// φ of pairs of species, at i n + j.
    pairs: Vec<Vec<Cubic>>,
    per_step: f64,
    /// ρ_ref of the species, unless it depends on the surroundings.
    background: Vec<f64>,
    /// The distance up to which atoms interact or screen, Å.
    cutoff: f64,
}

/// Memory for a site.
#[derive(Default)]
#[doc(hidden)]
pub struct Scratch {
    bonds: Vec<Bond>,
    /// Neighbours that screen partly: bond, edge, and −∂ ln S/∂ of d_k and d_j.
    screens: Vec<(usize, usize, [f64; 3], [f64; 3])>,
}

/// A neighbour with S_ij > 0.
#[derive(Clone, Copy)]
struct Bond {
    edge: usize,
    species: usize,
    unit: [f64; 3],
    screening: f64,
    /// ∂S/∂r of the radial cutoff.
    slope: f64,
    /// ρa_h.
    rho: [f64; 4],
}

fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Sums over the bonds of a site.
#[derive(Default)]
struct Moments {
    rho0: f64,
    first: [f64; 3],
    second: [[f64; 3]; 3],
    trace: f64,
    third: [[[f64; 3]; 3]; 3],
    third_first: [f64; 3],
    t: [f64; 3],
    t2: [f64; 3],
}

impl Moments {
    fn add(&mut self, bond: &Bond, t: &[f64; 3]) {
        let [r0, r1, r2, r3] = bond.rho.map(|rho| bond.screening * rho);
        let u = &bond.unit;
        self.rho0 += r0;
        self.trace += r2;
        for h in 0..3 {
            self.t[h] += r0 * t[h];
            self.t2[h] += r0 * t[h] * t[h];
        }
        for a in 0..3 {
            self.first[a] += r1 * u[a];
            self.third_first[a] += r3 * u[a];
            for b in 0..3 {
                self.second[a][b] += r2 * u[a] * u[b];
                for c in 0..3 {
                    self.third[a][b][c] += r3 * u[a] * u[b] * u[c];
                }
            }
        }
    }
    /// ρ_h².
    fn squares(&self) -> [f64; 3] {
        let second: f64 = self.second.iter().map(|row| dot(row, row)).sum();
        let third: f64 = self.third.iter().flatten().map(|row| dot(row, row)).sum();
        [
            dot(&self.first, &self.first),
            second - self.trace * self.trace / 3.0,
            third - 0.6 * dot(&self.third_first, &self.third_first),
        ]
    }
}

impl Meam {
    /// For species that are the elements `map` of the parameters.
    ///
    /// # Errors
    /// With two elements and the distance at which their pair potential is not finite.
    fn new(all: &Parameters, map: &[usize]) -> Result<Self, ([usize; 2], f64)> {
        let n = map.len();
        let table = |k: usize| {
            let pair = [map[k / n], map[k % n]];
            reference::table(all, pair[0], pair[1]).map_err(|r| (pair, r))
        };
        let tables = (0..n * n).map(table).collect::<Result<Vec<_>, _>>()?;
        let parameters = all.of(map);
        let background = (0..n).map(|a| background(&parameters, a, &parameters.t[a]).0).collect();
        let reach = parameters.bound.iter().flatten().copied().fold(1.0, f64::max).sqrt();
        let cutoff = parameters.cutoff * reach;
        let per_step = tables.first().map_or(1.0, |t| 1.0 / t.1);
        let pairs = tables.iter().map(|t| spline::intervals(&t.0)).collect();
        Ok(Self { parameters, pairs, per_step, background, cutoff })
    }
    /// Bonds of a site with their screening.
    fn find_bonds(&self, site: &Site<'_>, scratch: &mut Scratch) {
        let p = &self.parameters;
        let Scratch { bonds, screens } = scratch;
        bonds.clear();
        screens.clear();
        let i = site.species;
        'edges: for (e, (edge, &j)) in site.edges.iter().zip(site.neighbors).enumerate() {
            if edge.r >= p.cutoff {
                continue;
            }
            let j = j as usize;
            let (cut, dcut) = screening::smooth((p.cutoff - edge.r) / p.width);
            let (mut s, started) = (cut, screens.len());
            let square = edge.r * edge.r;
            let bound = p.bound[i][j] * square;
            for (f, (other, &k)) in site.edges.iter().zip(site.neighbors).enumerate() {
                let ik = other.r * other.r;
                if f == e || ik > bound {
                    continue;
                }
                let across = [0, 1, 2].map(|c| other.d[c] - edge.d[c]);
                let jk = dot(&across, &across);
                if jk > bound {
                    continue;
                }
                let (x, y) = (ik / square, jk / square);
                let Some([c, by_x, by_y]) = screening::ellipse(x, y) else { continue };
                let (low, high) = p.c_limits[i][j][k as usize];
                if c >= high {
                    continue;
                }
                if c <= low {
                    screens.truncate(started);
                    continue 'edges;
                }
                let (f_c, slope) = screening::smooth((c - low) / (high - low));
                s *= f_c;
                let log = slope / ((high - low) * f_c) * 2.0 / square;
                let along = by_x * x + by_y * y;
                let far = [0, 1, 2].map(|a| log * (by_x * other.d[a] + by_y * across[a]));
                let near = [0, 1, 2].map(|a| -log * (by_y * across[a] + along * edge.d[a]));
                screens.push((bonds.len(), f, far, near));
            }
            let inverse = 1.0 / edge.r;
            let scale = edge.r / p.re[j][j] - 1.0;
            let rho = p.beta[j].map(|beta| p.rho0[j] * (-beta * scale).exp());
            bonds.push(Bond {
                edge: e,
                species: j,
                unit: edge.d.map(|x| x * inverse),
                screening: s,
                slope: if cut > 0.0 { -dcut / p.width * (s / cut) } else { 0.0 },
                rho,
            });
        }
    }
    fn pair(&self, i: usize, j: usize, r: f64) -> (f64, f64) {
        let cubics = &self.pairs[i * self.background.len() + j];
        let (m, x) = spline::locate(r * self.per_step, cubics.len() - 1);
        (spline::value(&cubics[m], x), spline::slope(&cubics[m], x) * self.per_step)
    }
}

impl SiteEnergy for Meam {
    type Scratch = Scratch;
    const NAME: &'static str = "meam";
    fn species(&self) -> usize {
        self.background.len()
    }
    // atoms somewhat beyond the cutoff of the interaction can screen
    fn cutoff(&self, _: usize, _: usize) -> f64 {
        self.cutoff
    }
    fn energy(&self, site: Site<'_>, shares: &mut [Share], scratch: &mut Scratch) -> f64 {
        let p = &self.parameters;
        let i = site.species;
        self.find_bonds(&site, scratch);
        let mut m = Moments::default();
        // with `ialloy` = 1 the densities of a neighbour carry its own t
        let factor = |j: usize, h: usize| if p.alloy == 1 { p.t[j][h - 1] } else { 1.0 };
        for bond in &mut scratch.bonds {
            for h in 1..4 {
                bond.rho[h] *= factor(bond.species, h);
            }
            m.add(bond, &p.t[bond.species]);
        }
        let squares = m.squares();
        let ratio = |a: f64, b: f64| if b == 0.0 { 0.0 } else { a / b };
        let t: [f64; 3] = match p.alloy {
            1 => [0, 1, 2].map(|h| ratio(m.t[h], m.t2[h])),
            2 => p.t[i],
            _ => [0, 1, 2].map(|h| ratio(m.t[h], m.rho0)),
        };
        let sum: f64 = (0..3).map(|h| t[h] * squares[h]).sum();
        let some = m.rho0 > 0.0;
        let per_square = if some { 1.0 / (m.rho0 * m.rho0) } else { 0.0 };
        let gamma = sum * per_square;
        let (g, dg) = growth(gamma, p.ibar[i], p.gsmooth);
        let (background, by_background) = match p.mixture_reference {
            true => background(p, i, &t),
            false => (self.background[i], [0.0; 3]),
        };
        let density = m.rho0 * g / background;
        let (mut energy, slope) = embedding(p, i, density);
        // derivatives of the embedding energy with respect to the sums
        let by_gamma = slope * m.rho0 * dg / background;
        let mut by_rho0 = slope * g / background - 2.0 * by_gamma * ratio(gamma, m.rho0);
        let by_squares = t.map(|t| by_gamma * t * per_square);
        let scale = slope * density / background;
        let by_t = [0, 1, 2].map(|h| by_gamma * squares[h] * per_square - scale * by_background[h]);
        let (mut by_sum, mut by_square_sum) = ([0.0; 3], [0.0; 3]);
        for h in 0..3 {
            match p.alloy {
                1 => {
                    by_sum[h] = ratio(by_t[h], m.t2[h]);
                    by_square_sum[h] = -ratio(by_t[h] * t[h], m.t2[h]);
                }
                2 => {}
                _ => {
                    by_sum[h] = ratio(by_t[h], m.rho0);
                    by_rho0 -= ratio(by_t[h] * t[h], m.rho0);
                }
            }
        }
        let first = m.first.map(|x| 2.0 * by_squares[0] * x);
        let second = m.second.map(|row| row.map(|x| 2.0 * by_squares[1] * x));
        let trace = -2.0 / 3.0 * by_squares[1] * m.trace;
        let third_first = m.third_first.map(|x| -1.2 * by_squares[2] * x);
        // dE/dS of each bond goes to its screens
        let mut screens = scratch.screens.iter().peekable();
        for (n, bond) in scratch.bonds.iter().enumerate() {
            let (u, j, edge) = (&bond.unit, bond.species, &site.edges[bond.edge]);
            let [_, r1, r2, r3] = bond.rho;
            let weight =
                by_rho0 + (0..3).map(|h| p.t[j][h] * (by_sum[h] + by_square_sum[h] * p.t[j][h])).sum::<f64>();
            let bend = second.map(|row| dot(&row, u));
            let mut cube = [0.0; 3];
            for a in 0..3 {
                for b in 0..3 {
                    cube[a] += 2.0 * by_squares[2] * dot(&m.third[a][b], u) * u[b];
                }
            }
            let values =
                [weight, dot(&first, u), dot(&bend, u) + trace, dot(&cube, u) + dot(&third_first, u)];
            let (phi, dphi) = self.pair(i, j, edge.r);
            energy += 0.5 * bond.screening * phi;
            let per_screening = (0..4).map(|h| bond.rho[h] * values[h]).sum::<f64>() + 0.5 * phi;
            let per_re = 1.0 / p.re[j][j];
            let change = (0..4).map(|h| -p.beta[j][h] * per_re * bond.rho[h] * values[h]).sum::<f64>();
            let radial = bond.screening * (change + 0.5 * dphi) + per_screening * bond.slope;
            // derivative with respect to the unit vector, then its part across it
            let turn = [0, 1, 2].map(|c| {
                bond.screening * (r1 * first[c] + 2.0 * r2 * bend[c] + r3 * (3.0 * cube[c] + third_first[c]))
            });
            let along = dot(&turn, u);
            for c in 0..3 {
                shares[bond.edge].g[c] += radial * u[c] + (turn[c] - along * u[c]) / edge.r;
            }
            while let Some((_, k, far, near)) = screens.next_if(|s| s.0 == n) {
                let scale = per_screening * bond.screening;
                shares[*k].add(scale, far);
                shares[bond.edge].add(scale, near);
            }
        }
        energy
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["Baskes, Phys. Rev. B 46, 2727 (1992), doi 10.1103/PhysRevB.46.2727"]
    }
}
