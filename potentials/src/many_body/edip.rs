//! The environment-dependent interatomic potential.
//!
//! E = Σ_i \[Σ_{j≠i} V₂(r_ij, Z_i) + Σ_{j<k} V₃(r_ij, r_ik, cos θ_jik, Z_i)\], with the coordination Z_i = Σ_j f(r_ij):
//! f = 1 up to c, e^{α/(1 − x⁻³)} with x = (r − c)/(a − c) up to a, and 0 beyond;
//! V₂ = A \[(B/r)^ρ − e^{−β Z²}\] e^{σ/(r − a)},
//! V₃ = e^{γ/(r_ij − a)} e^{γ/(r_ik − a)} h(cos θ, Z), h = λ \[1 − e^{−Q l²} + η Q l²\], l = cos θ + τ(Z),
//! Q = Q₀ e^{−μ Z}, τ = u₁ + u₂ (u₃ e^{−u₄ Z} − e^{−2 u₄ Z}).
//!
//! f, V₂ and the radial factors take the entry `i j j` of the file, h takes `i j k`. All functions are evaluated exactly,
//! without tables.
//!
//! Sources: Justo, Bazant, Kaxiras, Bulatov and Yip, Phys. Rev. B 58, 2539 (1998), doi 10.1103/PhysRevB.58.2539; for
//! mixtures Jiang, Morgan and Szlufarska, Phys. Rev. B 86, 144118 (2012), doi 10.1103/PhysRevB.86.144118.
use super::files::{ParameterFile, Triples, file_spec, triples};
use super::site_energy::{Share, Site, SiteEnergy, SiteSum};
use crate::BuildContext;
use caloron_engine::SpecError;

/// One entry of a file, in its order and names.
#[derive(Clone, Copy, Debug)]
struct Entry {
    a: f64,
    b: f64,
    range: f64,
    inner: f64,
    alpha: f64,
    beta: f64,
    eta: f64,
    gamma: f64,
    lambda: f64,
    mu: f64,
    rho: f64,
    sigma: f64,
    q0: f64,
    u: [f64; 4],
}

/// The model; the potential is `SiteSum<Edip>`.
pub struct Edip {
    species: usize,
    entries: Vec<Entry>,
}

file_spec! {
    /// Environment-dependent potential from a file in LAMMPS' `edip` format.
    EdipSpec => SiteSum<Edip>, build
}

fn build(spec: &ParameterFile, context: &mut BuildContext<'_>) -> Result<SiteSum<Edip>, SpecError> {
    let file = Triples::<17>::read(spec, context)?;
    let n = file.species();
    let names: Vec<String> = context.system.species().iter().map(|s| s.symbol.clone()).collect();
    let mut entries = Vec::new();
    for (i, j, k) in triples(n) {
        let p = file.get(i, j, k);
        let refuse = |what: &str| {
            let triple = [i, j, k].map(|x| names[x].as_str()).join(" ");
            SpecError::new("file", format!("`{}`: the entry for {triple} has {what}", spec.file.display()))
        };
        let &[a, b, range, inner, alpha, beta, eta, gamma, lambda, mu, rho, sigma, q0, u1, u2, u3, u4] = p;
        if p[..13].iter().any(|x| *x < 0.0) || inner >= range {
            return Err(refuse("a negative parameter, or cutoffC not below cutoffA"));
        }
        if file.get(j, i, i)[2] != file.get(i, j, j)[2] {
            return Err(refuse("a pair whose cutoff differs when the elements are exchanged"));
        }
        let mirror = file.get(i, k, j);
        if [6, 8, 9, 12, 13, 14, 15, 16].iter().any(|&x| p[x] != mirror[x]) {
            return Err(refuse("another angle than the entry with the two ends exchanged"));
        }
        let u = [u1, u2, u3, u4];
        entries.push(Entry { a, b, range, inner, alpha, beta, eta, gamma, lambda, mu, rho, sigma, q0, u });
    }
    Ok(SiteSum::new(Edip { species: n, entries }))
}

impl Entry {
    /// f and its derivative.
    fn coordination(&self, r: f64) -> (f64, f64) {
        if r <= self.inner {
            return (1.0, 0.0);
        }
        let width = self.range - self.inner;
        let x = (r - self.inner) / width;
        // near the outer end the exponent is below -10^9 and all is zero
        if x > 1.0 - 1e-9 {
            return (0.0, 0.0);
        }
        // α/(1 − x⁻³) = α x³/(x³ − 1)
        let x3 = x * x * x;
        let d = 1.0 / (x3 - 1.0);
        let f = (self.alpha * x3 * d).exp();
        (f, -3.0 * self.alpha * x * x * d * d * f / width)
    }
    /// e^{s/(r − a)} and its derivative.
    fn decay(&self, s: f64, r: f64) -> (f64, f64) {
        let x = 1.0 / (r - self.range).min(-1e-10);
        let e = (s * x).exp();
        (e, -s * x * x * e)
    }
    /// V₂ and its derivatives with respect to r and Z.
    fn pair(&self, r: f64, z: f64) -> [f64; 3] {
        let rep = (self.b / r).powf(self.rho);
        let bond = (-self.beta * z * z).exp();
        let (e, de) = self.decay(self.sigma, r);
        [
            self.a * (rep - bond) * e,
            self.a * ((rep - bond) * de - self.rho * rep / r * e),
            2.0 * self.a * self.beta * z * bond * e,
        ]
    }
    /// h and its derivatives with respect to cos θ and Z.
    fn angle(&self, cos: f64, z: f64) -> [f64; 3] {
        let [u1, u2, u3, u4] = self.u;
        let q = self.q0 * (-self.mu * z).exp();
        let e = (-u4 * z).exp();
        let l = cos + u1 + u2 * (u3 * e - e * e);
        let dtau = u2 * u4 * (2.0 * e * e - u3 * e);
        let square = l * l;
        let gauss = (-q * square).exp();
        // derivative with respect to Q l²
        let slope = self.lambda * (gauss + self.eta);
        let turn = slope * 2.0 * q * l;
        [
            self.lambda * (1.0 - gauss + self.eta * q * square),
            turn,
            turn * dtau - slope * self.mu * q * square,
        ]
    }
}

/// What a site needs of an edge.
#[derive(Clone, Copy, Default)]
#[doc(hidden)]
pub struct Arm {
    unit: [f64; 3],
    inverse: f64,
    h: f64,
    dh: f64,
    /// Derivative of the coordination.
    df: f64,
}

impl SiteEnergy for Edip {
    type Scratch = Vec<Arm>;
    const NAME: &'static str = "edip";
    fn species(&self) -> usize {
        self.species
    }
    fn cutoff(&self, i: usize, j: usize) -> f64 {
        self.entry(i, j, j).range
    }
    fn energy(&self, site: Site<'_>, shares: &mut [Share], arms: &mut Vec<Arm>) -> f64 {
        arms.clear();
        let mut z = 0.0;
        for (edge, &j) in site.edges.iter().zip(site.neighbors) {
            let entry = self.entry(site.species, j as usize, j as usize);
            let inverse = 1.0 / edge.r;
            let (f, df) = entry.coordination(edge.r);
            let (h, dh) = entry.decay(entry.gamma, edge.r);
            z += f;
            arms.push(Arm { unit: edge.d.map(|x| x * inverse), inverse, h, dh, df });
        }
        let mut energy = 0.0;
        let mut by_z = 0.0;
        for (e, (a, &j)) in arms.iter().zip(site.neighbors).enumerate() {
            let [v, dv, dz] = self.entry(site.species, j as usize, j as usize).pair(site.edges[e].r, z);
            energy += v;
            by_z += dz;
            shares[e].add(dv, &a.unit);
            shares[e].energy += 0.5 * v;
            for (f, b) in arms[..e].iter().enumerate() {
                let entry = self.entry(site.species, j as usize, site.neighbors[f] as usize);
                let cos = a.unit[0] * b.unit[0] + a.unit[1] * b.unit[1] + a.unit[2] * b.unit[2];
                let [h, turn, dz] = entry.angle(cos, z);
                let radial = a.h * b.h;
                let v = radial * h;
                energy += v;
                by_z += radial * dz;
                let (ta, tb) = (radial * turn * a.inverse, radial * turn * b.inverse);
                shares[e].add(h * a.dh * b.h - ta * cos, &a.unit);
                shares[e].add(ta, &b.unit);
                shares[f].add(h * a.h * b.dh - tb * cos, &b.unit);
                shares[f].add(tb, &a.unit);
                shares[e].energy += v / 3.0;
                shares[f].energy += v / 3.0;
            }
        }
        for (a, share) in arms.iter().zip(shares) {
            share.add(by_z * a.df, &a.unit);
        }
        energy
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["Justo et al., Phys. Rev. B 58, 2539 (1998), doi 10.1103/PhysRevB.58.2539"]
    }
}

impl Edip {
    fn entry(&self, i: usize, j: usize, k: usize) -> &Entry {
        &self.entries[(i * self.species + j) * self.species + k]
    }
}
