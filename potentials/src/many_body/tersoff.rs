//! The Tersoff potential, its modification of Kumagai and others, and its screened-Coulomb core.
//!
//! E = ½ Σ_{i≠j} f_C(r_ij) \[f_R(r_ij) + b_ij f_A(r_ij)\], f_R = A e^{−λ₁ r}, f_A = −B e^{−λ₂ r},
//! ζ_ij = Σ_{k≠i,j} f_C(r_ik) g(cos θ_jik) exp{\[λ₃ (r_ij − r_ik)\]^m}.
//!
//! | form | f_C between R − D and R + D, x = (r − R)/D | g, with δ = cos θ₀ − cos θ | b |
//! |---|---|---|---|
//! | plain | ½ − ½ sin(πx/2) | γ (1 + c²/d² − c²/(d² + δ²)) | (1 + (βζ)^n)^{−1/2n} |
//! | mod | ½ − 9/16 sin(πx/2) − 1/16 sin(3πx/2) | c₁ + c₂ δ²/(c₃ + δ²) (1 + c₄ e^{−c₅ δ²}) | (1 + (βζ)^η)^{−1/2n} |
//!
//! With the ZBL core, F(r) = 1 / (1 + e^{−s (r − r_c)}) blends: f_C f_R becomes F f_C f_R + (1 − F) V_ZBL and f_A becomes F f_A.
//!
//! f_R, f_A and b of a pair take the entry `i j j` of the file; f_C, g and the exponential inside ζ take `i j k`.
//!
//! Sources: Tersoff, Phys. Rev. B 37, 6991 (1988), doi 10.1103/PhysRevB.37.6991, and 39, 5566 (1989), doi
//! 10.1103/PhysRevB.39.5566; Kumagai, Izumi, Hara and Sakai, Comput. Mater. Sci. 39, 457 (2007), doi
//! 10.1016/j.commatsci.2006.07.013; Devanathan, Diaz de la Rubia and Weber, J. Nucl. Mater. 253, 47 (1998), doi
//! 10.1016/S0022-3115(97)00304-8.
use super::files::{ParameterFile, Triples, file_spec, triples};
use super::site_energy::{Edge, Share, Site, SiteEnergy, SiteSum};
use crate::BuildContext;
use caloron_engine::SpecError;
use std::f64::consts::PI;

/// Screened Coulomb repulsion at short distance and how it is blended in.
#[derive(Clone, Copy, Debug)]
struct Core {
    /// Z_i Z_j e²/(4π ε₀), eV Å.
    strength: f64,
    /// 1 / screening length, 1/Å.
    per_length: f64,
    /// Where the blend is one half, Å, and its steepness, 1/Å.
    center: f64,
    steepness: f64,
}

/// Angular functions.
#[derive(Clone, Copy, Debug)]
enum Angular {
    /// γ, c²/d², c², d².
    Plain([f64; 4]),
    /// c₁ to c₅.
    Mod([f64; 5]),
}

/// One entry of a file.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// λ₃ (α in the modified form), 1/Å, and whether m = 3.
    lambda3: f64,
    cubed: bool,
    angular: Angular,
    cos0: f64,
    beta: f64,
    /// Exponent of βζ, and −1/2n.
    exponents: [f64; 2],
    repulsion: [f64; 2],
    attraction: [f64; 2],
    /// R and D, Å.
    radius: f64,
    width: f64,
    core: Option<Core>,
}

/// The model; the potential is `SiteSum<Tersoff>`.
pub struct Tersoff {
    species: usize,
    entries: Vec<Entry>,
    cutoffs: Vec<f64>,
}

/// Memory for one site: unit vectors, and the terms of ζ of one bond.
#[derive(Default)]
#[doc(hidden)]
pub struct Scratch {
    units: Vec<[f64; 3]>,
    terms: Vec<Term>,
}

/// A neighbour k in ζ_ij.
#[derive(Clone, Copy, Default)]
struct Term {
    k: usize,
    cos: f64,
    /// ∂ζ/∂cos θ, ∂ζ/∂r_ij, ∂ζ/∂r_ik.
    turn: f64,
    near: f64,
    far: f64,
}

file_spec! {
    /// Tersoff potential from a file in LAMMPS' `tersoff` format.
    TersoffSpec => SiteSum<Tersoff>, |spec, context| read(spec, context, plain)
}
file_spec! {
    /// Modified Tersoff potential from a file in LAMMPS' `tersoff/mod` format.
    TersoffModSpec => SiteSum<Tersoff>, |spec, context| read(spec, context, modified)
}
file_spec! {
    /// Tersoff potential with a screened-Coulomb core from a file in LAMMPS' `tersoff/zbl` format.
    TersoffZblSpec => SiteSum<Tersoff>, |spec, context| read(spec, context, with_core)
}

fn read<const N: usize>(
    spec: &ParameterFile,
    context: &mut BuildContext<'_>,
    entry: impl Fn(&[f64; N]) -> Result<Entry, String>,
) -> Result<SiteSum<Tersoff>, SpecError> {
    let file = Triples::<N>::read(spec, context)?;
    let n = file.species();
    let names = context.system.species();
    let mut entries = Vec::new();
    for (i, j, k) in triples(n) {
        entries.push(entry(file.get(i, j, k)).map_err(|message| {
            let triple = [i, j, k].map(|x| names[x].symbol.as_str()).join(" ");
            SpecError::new("file", format!("`{}`: the entry for {triple}: {message}", spec.file.display()))
        })?);
    }
    let reach = |i: usize, j: usize| {
        (0..n).map(|x| &entries[(i * n + x) * n + j]).map(|e| e.radius + e.width).fold(0.0, f64::max)
    };
    let cutoffs = (0..n * n).map(|k| reach(k / n, k % n).max(reach(k % n, k / n))).collect();
    Ok(SiteSum::new(Tersoff { species: n, entries, cutoffs }))
}

fn check(entry: Entry) -> Result<Entry, String> {
    let e = &entry;
    if e.radius < 0.0 || e.width < 0.0 || e.width > e.radius {
        return Err(format!("R = {} and D = {} must obey 0 <= D <= R", e.radius, e.width));
    }
    let positive = [e.beta, e.repulsion[0], e.repulsion[1], e.attraction[0], e.attraction[1], e.exponents[0]];
    if positive.iter().any(|x| *x < 0.0) {
        return Err("n, beta, lambda1, lambda2, A and B must not be negative".into());
    }
    Ok(entry)
}

/// m = 1 or 3.
fn is_cubed(m: f64) -> Result<bool, String> {
    if m == 3.0 || m == 1.0 { Ok(m == 3.0) } else { Err(format!("m is {m}; only 1 and 3 are defined")) }
}

fn plain(p: &[f64; 14]) -> Result<Entry, String> {
    let [m, gamma, lambda3, c, d, cos0, n, beta, lambda2, b, radius, width, lambda1, a] = *p;
    if d == 0.0 || c < 0.0 || d < 0.0 || gamma < 0.0 {
        return Err("c and gamma must not be negative and d must be positive".into());
    }
    check(Entry {
        lambda3,
        cubed: is_cubed(m)?,
        angular: Angular::Plain([gamma, c * c / (d * d), c * c, d * d]),
        cos0,
        beta,
        exponents: [n, -0.5 / n],
        repulsion: [a, lambda1],
        attraction: [b, lambda2],
        radius,
        width,
        core: None,
    })
}

fn modified(p: &[f64; 17]) -> Result<Entry, String> {
    let [m, lambda3, cos0, eta, beta, lambda2, b, radius, width, lambda1, a, n, ..] = *p;
    check(Entry {
        lambda3,
        cubed: is_cubed(m)?,
        angular: Angular::Mod([p[12], p[13], p[14], p[15], p[16]]),
        cos0,
        beta,
        exponents: [eta, -0.5 / n],
        repulsion: [a, lambda1],
        attraction: [b, lambda2],
        radius,
        width,
        core: None,
    })
}

fn with_core(p: &[f64; 18]) -> Result<Entry, String> {
    let mut entry = plain(&std::array::from_fn(|k| p[k]))?;
    entry.core = Some(core(&[p[14], p[15], p[16], p[17]])?);
    Ok(entry)
}

fn core(p: &[f64; 4]) -> Result<Core, String> {
    /// Bohr radius in Å and vacuum permittivity in e²/(eV Å) as the parameter sets were made with.
    const BOHR: f64 = 0.529;
    const EPSILON_0: f64 = 0.005_526_35;
    let [zi, zj, center, steepness] = *p;
    if zi < 1.0 || zj < 1.0 || center < 0.0 || steepness < 0.0 {
        return Err("charges must be at least 1, and the ZBL cutoff and scale not negative".into());
    }
    Ok(Core {
        strength: zi * zj / (4.0 * PI * EPSILON_0),
        per_length: (zi.powf(0.23) + zj.powf(0.23)) / (0.8854 * BOHR),
        center,
        steepness,
    })
}

impl Core {
    /// V_ZBL and its derivative.
    fn repulsion(&self, r: f64) -> (f64, f64) {
        const TERMS: [(f64, f64); 4] = [(0.1818, 3.2), (0.5099, 0.9423), (0.2802, 0.4029), (0.02817, 0.2016)];
        let (mut screen, mut slope) = (0.0, 0.0);
        for (a, b) in TERMS {
            let e = a * (-b * r * self.per_length).exp();
            screen += e;
            slope -= b * self.per_length * e;
        }
        let bare = self.strength / r;
        (bare * screen, bare * (slope - screen / r))
    }
    /// F and its derivative.
    fn blend(&self, r: f64) -> (f64, f64) {
        let e = (-self.steepness * (r - self.center)).exp();
        let f = 1.0 / (1.0 + e);
        (f, if e.is_finite() { self.steepness * e * f * f } else { 0.0 })
    }
}

impl Entry {
    /// f_C and its derivative.
    #[inline(always)]
    fn cut(&self, r: f64) -> (f64, f64) {
        if r <= self.radius - self.width {
            return (1.0, 0.0);
        }
        if r >= self.radius + self.width {
            return (0.0, 0.0);
        }
        let scale = 0.5 * PI / self.width;
        let x = scale * (r - self.radius);
        let (sin, cos) = x.sin_cos();
        match self.angular {
            Angular::Plain(_) => (0.5 - 0.5 * sin, -0.5 * scale * cos),
            Angular::Mod(_) => {
                let (sin3, cos3) = (3.0 * x).sin_cos();
                (0.5 - 0.5625 * sin - 0.0625 * sin3, -scale * (0.5625 * cos + 0.1875 * cos3))
            }
        }
    }
    /// g and its derivative with respect to cos θ.
    #[inline(always)]
    fn angular(&self, cos: f64) -> (f64, f64) {
        let delta = self.cos0 - cos;
        let square = delta * delta;
        match self.angular {
            Angular::Plain([gamma, ratio, c2, d2]) => {
                let inverse = 1.0 / (d2 + square);
                (gamma * (1.0 + ratio - c2 * inverse), -2.0 * gamma * c2 * delta * inverse * inverse)
            }
            Angular::Mod([c1, c2, c3, c4, c5]) => {
                let inverse = 1.0 / (c3 + square);
                let e = c4 * (-c5 * square).exp();
                let lorentz = c2 * square * inverse;
                // derivatives with respect to δ, opposite to those with respect to cos θ
                let slope = 2.0 * delta * (c2 * c3 * inverse * inverse * (1.0 + e) - lorentz * c5 * e);
                (c1 + lorentz * (1.0 + e), -slope)
            }
        }
    }
    /// exp{[λ₃ (r_ij − r_ik)]^m} and its derivative with respect to r_ij.
    #[inline(always)]
    fn stretch(&self, difference: f64) -> (f64, f64) {
        if self.lambda3 == 0.0 {
            return (1.0, 0.0);
        }
        let x = self.lambda3 * difference;
        let (arg, slope) =
            if self.cubed { (x * x * x, 3.0 * self.lambda3 * x * x) } else { (x, self.lambda3) };
        if arg > 69.0776 {
            // 10^30, constant from here on
            return (1e30, 0.0);
        }
        let e = arg.exp();
        (e, slope * e)
    }
    /// b and its derivative with respect to ζ.
    #[inline(always)]
    fn order(&self, zeta: f64) -> (f64, f64) {
        let x = self.beta * zeta;
        if x <= 0.0 {
            return (1.0, 0.0);
        }
        let [power, outer] = self.exponents;
        let xn = x.powf(power);
        if xn > 1e300 {
            let b = x.powf(power * outer);
            return (b, power * outer * b / zeta);
        }
        let b = (outer * xn.ln_1p()).exp();
        (b, outer * power * b * xn / ((1.0 + xn) * zeta))
    }
    /// f_C f_R and f_C f_A with their derivatives, the core blended in.
    #[inline(always)]
    fn pair(&self, r: f64) -> [(f64, f64); 2] {
        let (cut, dcut) = self.cut(r);
        let exponential = |[strength, decay]: [f64; 2]| {
            let e = strength * (-decay * r).exp();
            (cut * e, (dcut - decay * cut) * e)
        };
        let (rep, att) = (exponential(self.repulsion), exponential(self.attraction));
        let (rep, att) = match &self.core {
            None => (rep, att),
            Some(core) => {
                let (v, dv) = core.repulsion(r);
                let (f, df) = core.blend(r);
                (
                    (f * rep.0 + (1.0 - f) * v, f * rep.1 + df * rep.0 + (1.0 - f) * dv - df * v),
                    (f * att.0, f * att.1 + df * att.0),
                )
            }
        };
        [rep, (-att.0, -att.1)]
    }
}

impl Tersoff {
    fn entry(&self, i: usize, j: usize, k: usize) -> &Entry {
        &self.entries[(i * self.species + j) * self.species + k]
    }
}

#[inline(always)]
fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

impl SiteEnergy for Tersoff {
    type Scratch = Scratch;
    const NAME: &'static str = "tersoff";
    fn species(&self) -> usize {
        self.species
    }
    fn cutoff(&self, i: usize, j: usize) -> f64 {
        self.cutoffs[i * self.species + j]
    }
    fn energy(&self, site: Site<'_>, shares: &mut [Share], scratch: &mut Scratch) -> f64 {
        let Scratch { units, terms } = scratch;
        units.clear();
        units.extend(site.edges.iter().map(|e| e.d.map(|x| x * (1.0 / e.r))));
        let species = |j: usize| site.neighbors[j] as usize;
        let mut energy = 0.0;
        for (j, &Edge { r, .. }) in site.edges.iter().enumerate() {
            let bond = self.entry(site.species, species(j), species(j));
            if r >= bond.radius + bond.width {
                continue;
            }
            terms.clear();
            let mut zeta = 0.0;
            for (k, far) in site.edges.iter().enumerate() {
                let entry = self.entry(site.species, species(j), species(k));
                if k == j || far.r >= entry.radius + entry.width {
                    continue;
                }
                let cos = dot(&units[j], &units[k]);
                let (cut, dcut) = entry.cut(far.r);
                let (g, dg) = entry.angular(cos);
                let (e, de) = entry.stretch(r - far.r);
                zeta += cut * g * e;
                terms.push(Term {
                    k,
                    cos,
                    turn: cut * dg * e,
                    near: cut * g * de,
                    far: (dcut * e - cut * de) * g,
                });
            }
            let [(rep, drep), (att, datt)] = bond.pair(r);
            let (b, db) = bond.order(zeta);
            let e = 0.5 * (rep + b * att);
            energy += e;
            shares[j].energy += 0.5 * e;
            let mut radial = 0.5 * (drep + b * datt);
            let scale = 0.5 * att * db;
            let per_r = 1.0 / r;
            for t in &*terms {
                let (turn, far) = (scale * t.turn, site.edges[t.k].r);
                // ∂cos/∂d_j = (u_k − cos u_j)/r_j
                let along = turn * per_r;
                shares[j].add(along, &units[t.k]);
                radial += scale * t.near - along * t.cos;
                let back = turn / far;
                shares[t.k].add(back, &units[j]);
                shares[t.k].add(scale * t.far - back * t.cos, &units[t.k]);
            }
            shares[j].add(radial, &units[j]);
        }
        energy
    }
    fn citations(&self) -> Vec<&'static str> {
        let mut papers = vec!["Tersoff, Phys. Rev. B 37, 6991 (1988), doi 10.1103/PhysRevB.37.6991"];
        if self.entries.iter().any(|e| matches!(e.angular, Angular::Mod(_))) {
            papers.push(
                "Kumagai et al., Comput. Mater. Sci. 39, 457 (2007), doi 10.1016/j.commatsci.2006.07.013",
            );
        }
        if self.entries.iter().any(|e| e.core.is_some()) {
            papers
                .push("Devanathan et al., J. Nucl. Mater. 253, 47 (1998), doi 10.1016/S0022-3115(97)00304-8");
        }
        papers
    }
}
