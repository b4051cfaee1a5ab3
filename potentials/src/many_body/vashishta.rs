//! The Vashishta potential of silicon carbide, silica and similar materials.
//!
//! E = ½ Σ_{i≠j} \[V(r_ij) − V(r_c) − (r_ij − r_c) V'(r_c)\] + Σ_i Σ_{j<k} R(r_ij) R(r_ik) P(cos θ_jik),
//! V(r) = H/r^η + Z_i Z_j e²/(4π ε₀ r) e^{−r/λ₁} − D/r⁴ e^{−r/λ₄} − W/r⁶,
//! R(r) = e^{γ/(r − r₀)} for r < r₀, else 0, P = B (cos θ − cos θ₀)² / (1 + C (cos θ − cos θ₀)²).
//!
//! V and R of a pair take the entry `i j j` of the file, P takes `i j k`.
//!
//! Source: Vashishta, Kalia, Nakano and Rino, J. Appl. Phys. 101, 103515 (2007), doi 10.1063/1.2724570.
use super::files::{ParameterFile, Triples, file_spec, triples};
use super::site_energy::{Share, Site, SiteEnergy, SiteSum};
use crate::BuildContext;
use caloron_engine::SpecError;

/// e²/(4π ε₀) in eV Å to the digits that potential files of this kind were fitted and are used with.
const COULOMB: f64 = 14.399_645;

#[derive(Clone, Copy, Debug)]
struct Pair {
    /// H, eV Å^η, and η.
    repulsion: [f64; 2],
    /// Z_i Z_j e²/(4π ε₀), eV Å, and 1/λ₁, 1/Å.
    coulomb: [f64; 2],
    /// D, eV Å⁴, and 1/λ₄, 1/Å.
    induced: [f64; 2],
    /// W, eV Å⁶.
    dispersion: f64,
    /// r_c, Å.
    cutoff: f64,
    /// V and V' at the cutoff.
    at_cutoff: [f64; 2],
    /// γ and r₀, Å.
    gamma: f64,
    range: f64,
}

impl Pair {
    /// V and its derivative.
    fn bare(&self, r: f64) -> (f64, f64) {
        let inverse = 1.0 / r;
        let [h, eta] = self.repulsion;
        let rep = h * inverse.powf(eta);
        let coulomb = self.coulomb[0] * inverse * (-r * self.coulomb[1]).exp();
        let r2 = inverse * inverse;
        let induced = self.induced[0] * r2 * r2 * (-r * self.induced[1]).exp();
        let dispersion = self.dispersion * r2 * r2 * r2;
        let slope = -eta * rep * inverse - coulomb * (inverse + self.coulomb[1])
            + induced * (4.0 * inverse + self.induced[1])
            + 6.0 * dispersion * inverse;
        (rep + coulomb - induced - dispersion, slope)
    }
    /// The shifted V and its derivative.
    fn shifted(&self, r: f64) -> (f64, f64) {
        let (v, slope) = self.bare(r);
        let [v_cut, slope_cut] = self.at_cutoff;
        (v - v_cut - (r - self.cutoff) * slope_cut, slope - slope_cut)
    }
}

#[derive(Clone, Copy, Debug)]
struct Angle {
    /// B, eV.
    strength: f64,
    saturation: f64,
    cos0: f64,
}

/// The model; the potential is `SiteSum<Vashishta>`.
pub struct Vashishta {
    species: usize,
    pairs: Vec<Pair>,
    angles: Vec<Angle>,
}

file_spec! {
    /// Vashishta potential from a file in LAMMPS' `vashishta` format.
    VashishtaSpec => SiteSum<Vashishta>, build
}

fn build(spec: &ParameterFile, context: &mut BuildContext<'_>) -> Result<SiteSum<Vashishta>, SpecError> {
    let file = Triples::<14>::read(spec, context)?;
    let n = file.species();
    let names: Vec<String> = context.system.species().iter().map(|s| s.symbol.clone()).collect();
    let refuse = |i: usize, j: usize, k: usize, what: &str| {
        let triple = [i, j, k].map(|x| names[x].as_str()).join(" ");
        SpecError::new("file", format!("`{}`: the entry for {triple} has {what}", spec.file.display()))
    };
    let (mut pairs, mut angles) = (Vec::new(), Vec::new());
    for (i, j, k) in triples(n) {
        let &[h, eta, zi, zj, lambda1, d, lambda4, w, cutoff, b, gamma, range, saturation, cos0] =
            file.get(i, j, k);
        if file.get(i, k, j)[9..] != file.get(i, j, k)[9..] && j != k {
            return Err(refuse(i, j, k, "another angle than the entry with the two ends exchanged"));
        }
        angles.push(Angle { strength: b, saturation, cos0 });
        if j == k {
            if [cutoff, lambda1, lambda4].iter().any(|x| *x <= 0.0) || gamma < 0.0 || range < 0.0 {
                return Err(refuse(i, j, k, "a cutoff or a length that is not positive"));
            }
            if file.get(j, i, i)[8] != cutoff || file.get(j, i, i)[11] != range {
                return Err(refuse(i, j, k, "another cutoff than the entry with the elements exchanged"));
            }
            let mut pair = Pair {
                repulsion: [h, eta],
                coulomb: [zi * zj * COULOMB, 1.0 / lambda1],
                induced: [d, 1.0 / lambda4],
                dispersion: w,
                cutoff,
                at_cutoff: [0.0; 2],
                gamma,
                range,
            };
            pair.at_cutoff = pair.bare(cutoff).into();
            pairs.push(pair);
        }
    }
    Ok(SiteSum::new(Vashishta { species: n, pairs, angles }))
}

/// What the angles of a site need of an edge.
#[derive(Clone, Copy, Default)]
#[doc(hidden)]
pub struct Arm {
    edge: usize,
    unit: [f64; 3],
    inverse: f64,
    h: f64,
    dh: f64,
}

impl SiteEnergy for Vashishta {
    type Scratch = Vec<Arm>;
    const NAME: &'static str = "vashishta";
    fn species(&self) -> usize {
        self.species
    }
    fn cutoff(&self, i: usize, j: usize) -> f64 {
        let pair = &self.pairs[i * self.species + j];
        pair.cutoff.max(pair.range)
    }
    fn energy(&self, site: Site<'_>, shares: &mut [Share], arms: &mut Vec<Arm>) -> f64 {
        let i = site.species * self.species;
        let mut energy = 0.0;
        arms.clear();
        for (e, (edge, &j)) in site.edges.iter().zip(site.neighbors).enumerate() {
            let pair = &self.pairs[i + j as usize];
            let inverse = 1.0 / edge.r;
            let unit = edge.d.map(|x| x * inverse);
            if edge.r < pair.cutoff {
                let (v, slope) = pair.shifted(edge.r);
                energy += 0.5 * v;
                shares[e].add(0.5 * slope, &unit);
            }
            if edge.r < pair.range {
                // at the very end the exponential is zero, not 0/0
                let x = 1.0 / (edge.r - pair.range).min(-1e-10);
                let h = (pair.gamma * x).exp();
                arms.push(Arm { edge: e, unit, inverse, h, dh: -pair.gamma * x * x * h });
            }
        }
        for (n, a) in arms.iter().enumerate() {
            let row = &self.angles[(i + site.neighbors[a.edge] as usize) * self.species..];
            for b in &arms[..n] {
                let angle = &row[site.neighbors[b.edge] as usize];
                let cos = a.unit[0] * b.unit[0] + a.unit[1] * b.unit[1] + a.unit[2] * b.unit[2];
                let delta = cos - angle.cos0;
                let square = delta * delta;
                let damp = 1.0 / (1.0 + angle.saturation * square);
                let p = angle.strength * square * damp;
                let turn = 2.0 * angle.strength * delta * damp * damp * a.h * b.h;
                let e = p * a.h * b.h;
                energy += e;
                let (ta, tb) = (turn * a.inverse, turn * b.inverse);
                shares[a.edge].add(p * a.dh * b.h - ta * cos, &a.unit);
                shares[a.edge].add(ta, &b.unit);
                shares[b.edge].add(p * a.h * b.dh - tb * cos, &b.unit);
                shares[b.edge].add(tb, &a.unit);
                shares[a.edge].energy += e / 3.0;
                shares[b.edge].energy += e / 3.0;
            }
        }
        energy
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["Vashishta et al., J. Appl. Phys. 101, 103515 (2007), doi 10.1063/1.2724570"]
    }
}
