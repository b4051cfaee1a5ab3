//! The angular-dependent potential: an embedded-atom potential with dipole and quadrupole terms.
//!
//! E = Σ_i F_i(ρ_i) + ½ Σ_{i≠j} φ_ij(r_ij) + ½ Σ_i |μ_i|² + ½ Σ_i Σ_st (λ_i^st)² − ⅙ Σ_i ν_i², with
//! ρ_i = Σ_j ρ_j(r_ij), μ_i = Σ_j u_ij(r_ij) d_ij, λ_i = Σ_j w_ij(r_ij) d_ij ⊗ d_ij, ν_i = tr λ_i and d_ij = r_j − r_i.
//!
//! With u = w = 0 it is the embedded-atom method. Beyond the largest tabulated density, F continues along its tangent.
//!
//! Source: Mishin, Mehl and Papaconstantopoulos, Acta Mater. 53, 4029 (2005), doi 10.1016/j.actamat.2005.05.001. Tables
//! are interpolated as in [`crate::kernels::uniform_spline`].
use super::eam::file::{Setfl, read_setfl};
use super::files::{ParameterFile, file_spec, map_species};
use super::site_energy::{Share, Site, SiteEnergy, SiteSum};
use crate::BuildContext;
use crate::kernels::uniform_spline::{self as spline, Cubic};
use caloron_engine::SpecError;

/// The functions of a pair of species between two grid points.
#[derive(Clone, Copy, Debug)]
struct Knot {
    density: Cubic,
    r_phi: Cubic,
    dipole: Cubic,
    quadrupole: Cubic,
}

/// The model; the potential is `SiteSum<Adp>`.
pub struct Adp {
    species: usize,
    cutoff: f64,
    per_dr: f64,
    per_drho: f64,
    rho_max: f64,
    /// Knots of the pair of the site's species i and the neighbour's j, at i n + j.
    pairs: Vec<Vec<Knot>>,
    embedding: Vec<Vec<Cubic>>,
}

file_spec! {
    /// Angular-dependent potential from a file in LAMMPS' `adp` format.
    AdpSpec => SiteSum<Adp>, build
}

fn build(spec: &ParameterFile, context: &mut BuildContext<'_>) -> Result<SiteSum<Adp>, SpecError> {
    let text = spec.read(context)?;
    let tables = read_setfl("file", &spec.file, &text, Setfl::Angular)?;
    let map = map_species(context.system, spec.elements.as_ref(), &tables.elements, &spec.file)?;
    let all = tables.elements.len();
    let mut pairs = Vec::new();
    for &i in &map {
        for &j in &map {
            let of = |table: &[Vec<f64>], at: usize| spline::intervals(&table[at]);
            let (density, r_phi) = (of(&tables.density, j * all + i), of(&tables.r_phi, i * all + j));
            let [dipole, quadrupole] = [0, 1].map(|k| of(&tables.angular[k], i * all + j));
            let knot = |k: usize| Knot {
                density: density[k],
                r_phi: r_phi[k],
                dipole: dipole[k],
                quadrupole: quadrupole[k],
            };
            pairs.push((0..density.len()).map(knot).collect());
        }
    }
    Ok(SiteSum::new(Adp {
        species: map.len(),
        cutoff: tables.cutoff,
        per_dr: 1.0 / tables.dr,
        per_drho: 1.0 / tables.drho,
        rho_max: tables.rho_max,
        pairs,
        embedding: map.iter().map(|&i| spline::intervals(&tables.embedding[i])).collect(),
    }))
}

/// Values and slopes that the second pass needs of an edge.
#[derive(Clone, Copy)]
#[doc(hidden)]
pub struct Arm {
    /// Slope of the density.
    density: f64,
    dipole: [f64; 2],
    quadrupole: [f64; 2],
}

fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

impl SiteEnergy for Adp {
    type Scratch = Vec<Arm>;
    const NAME: &'static str = "adp";
    fn species(&self) -> usize {
        self.species
    }
    fn cutoff(&self, _: usize, _: usize) -> f64 {
        self.cutoff
    }
    fn energy(&self, site: Site<'_>, shares: &mut [Share], arms: &mut Vec<Arm>) -> f64 {
        arms.clear();
        let (mut rho, mut pair, mut dipole, mut quadrupole) = (0.0, 0.0, [0.0; 3], [[0.0; 3]; 3]);
        for ((edge, &j), share) in site.edges.iter().zip(site.neighbors).zip(shares.iter_mut()) {
            let knots = &self.pairs[site.species * self.species + j as usize];
            let (m, p) = spline::locate(edge.r * self.per_dr, knots.len() - 1);
            let knot = &knots[m];
            let both = |c: &Cubic| [spline::value(c, p), spline::slope(c, p) * self.per_dr];
            let (density, r_phi) = (both(&knot.density), both(&knot.r_phi));
            let (u, w) = (both(&knot.dipole), both(&knot.quadrupole));
            let inverse = 1.0 / edge.r;
            let phi = r_phi[0] * inverse;
            rho += density[0];
            pair += phi;
            for a in 0..3 {
                dipole[a] += u[0] * edge.d[a];
                for b in 0..3 {
                    quadrupole[a][b] += w[0] * edge.d[a] * edge.d[b];
                }
            }
            share.add(0.5 * (r_phi[1] - phi) * inverse * inverse, &edge.d);
            arms.push(Arm { density: density[1], dipole: u, quadrupole: w });
        }
        let cubics = &self.embedding[site.species];
        let (m, p) = spline::locate(rho * self.per_drho, cubics.len() - 1);
        let slope = spline::slope(&cubics[m], p) * self.per_drho;
        let embedding = spline::value(&cubics[m], p) + (rho - self.rho_max).max(0.0) * slope;
        let trace = quadrupole[0][0] + quadrupole[1][1] + quadrupole[2][2];
        let squares: f64 = quadrupole.iter().map(|row| dot(row, row)).sum();
        for ((edge, arm), share) in site.edges.iter().zip(arms.iter()).zip(shares) {
            let ([u, du], [w, dw]) = (arm.dipole, arm.quadrupole);
            // λ d − ⅓ ν d, the gradient of the quadrupole term by w d ⊗ d
            let bend = quadrupole.map(|row| dot(&row, &edge.d));
            let bend = [0, 1, 2].map(|a| bend[a] - trace / 3.0 * edge.d[a]);
            let along = slope * arm.density + du * dot(&dipole, &edge.d) + dw * dot(&bend, &edge.d);
            share.add(along / edge.r, &edge.d);
            share.add(u, &dipole);
            share.add(2.0 * w, &bend);
        }
        embedding + 0.5 * pair + 0.5 * dot(&dipole, &dipole) + 0.5 * squares - trace * trace / 6.0
    }
    fn citations(&self) -> Vec<&'static str> {
        vec![
            "Mishin, Mehl and Papaconstantopoulos, Acta Mater. 53, 4029 (2005), doi 10.1016/j.actamat.2005.05.001",
        ]
    }
}
