//! The Stillinger-Weber potential.
//!
//! E = Σ_i Σ_{j<k} λ ε (cos θ_jik − cos θ₀)² h_ij h_ik + ½ Σ_{i≠j} φ_ij,
//! φ(r) = A ε \[B (σ/r)^p − (σ/r)^q\] exp(σ / (r − a σ)), h(r) = exp(γ σ / (r − a σ)), both zero from a σ on.
//!
//! φ_ij and h_ij take the entry `i j j` of the file, λ ε and cos θ₀ the entry `i j k`. A tolerance `tol` > 0 in the file
//! shortens the cutoff to where the exponential falls below it.
//!
//! Source: Stillinger and Weber, Phys. Rev. B 31, 5262 (1985), doi 10.1103/PhysRevB.31.5262.
use super::files::{ParameterFile, Triples, file_spec, triples};
use super::site_energy::{Share, Site, SiteEnergy, SiteSum};
use crate::BuildContext;
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
    pairs: Vec<Pair>,
    angles: Vec<Angle>,
}

/// What the angles of a site need of an edge.
#[derive(Clone, Copy, Default)]
#[doc(hidden)]
pub struct Arm {
    unit: [f64; 3],
    inverse: f64,
    h: f64,
    dh: f64,
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
    let model = StillingerWeber { species: n, pairs, angles };
    for (i, j, _) in triples(n).filter(|t| t.1 == t.2) {
        if model.pairs[i * n + j].cutoff != model.pairs[j * n + i].cutoff {
            return Err(refuse(i, j, j, "another cutoff than the entry with the elements exchanged"));
        }
    }
    Ok(SiteSum::new(model))
}

/// x^p, by multiplication for whole p.
#[inline(always)]
fn power(x: f64, p: f64) -> f64 {
    if p == 4.0 {
        (x * x) * (x * x)
    } else if p == 0.0 {
        1.0
    } else {
        x.powf(p)
    }
}

impl SiteEnergy for StillingerWeber {
    type Scratch = Vec<Arm>;
    const NAME: &'static str = "stillinger_weber";
    fn species(&self) -> usize {
        self.species
    }
    fn cutoff(&self, i: usize, j: usize) -> f64 {
        self.pairs[i * self.species + j].cutoff
    }
    fn energy(&self, site: Site<'_>, shares: &mut [Share], arms: &mut Vec<Arm>) -> f64 {
        let i = site.species * self.species;
        let mut energy = 0.0;
        arms.clear();
        for ((edge, &j), share) in site.edges.iter().zip(site.neighbors).zip(&mut *shares) {
            let pair = &self.pairs[i + j as usize];
            let inverse = 1.0 / edge.r;
            let unit = edge.d.map(|x| x * inverse);
            // at the very end the exponentials are zero, not 0/0
            let x = 1.0 / (edge.r - pair.range).min(-1e-10);
            let s = pair.sigma * inverse;
            let [rep, att] = pair.powers.map(|p| power(s, p));
            let decay = (pair.sigma * x).exp();
            let (rep, att) = (pair.strengths[0] * rep, pair.strengths[1] * att);
            let phi = (rep - att) * decay;
            let slope =
                (pair.powers[1] * att - pair.powers[0] * rep) * inverse * decay - phi * pair.sigma * x * x;
            energy += 0.5 * phi;
            share.add(0.5 * slope, &unit);
            let h = (pair.gamma_sigma * x).exp();
            arms.push(Arm { unit, inverse, h, dh: -pair.gamma_sigma * x * x * h });
        }
        for j in 1..arms.len() {
            let a = arms[j];
            let row = &self.angles[(i + site.neighbors[j] as usize) * self.species..];
            for k in 0..j {
                let b = arms[k];
                let angle = &row[site.neighbors[k] as usize];
                let cos = a.unit[0] * b.unit[0] + a.unit[1] * b.unit[1] + a.unit[2] * b.unit[2];
                let delta = cos - angle.cos0;
                let bend = angle.strength * delta;
                let square = bend * delta;
                let e = square * (a.h * b.h);
                energy += e;
                let turn = 2.0 * bend * (a.h * b.h);
                let (ta, tb) = (turn * a.inverse, turn * b.inverse);
                let (ra, rb) = (square * a.dh * b.h - ta * cos, square * a.h * b.dh - tb * cos);
                let third = e * (1.0 / 3.0);
                for c in 0..3 {
                    shares[j].g[c] += ra * a.unit[c] + ta * b.unit[c];
                    shares[k].g[c] += rb * b.unit[c] + tb * a.unit[c];
                }
                shares[j].energy += third;
                shares[k].energy += third;
            }
        }
        energy
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["Stillinger and Weber, Phys. Rev. B 31, 5262 (1985), doi 10.1103/PhysRevB.31.5262"]
    }
}
