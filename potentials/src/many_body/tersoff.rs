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
use super::site_energy::{
    BlockEnergy, Edge, Others, Record, Recorded, Share, SiteSum, Sites, lanes, load, look, put, species_of,
    store, whole,
};
use crate::BuildContext;
use crate::simd::{LANES, Lanes};
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

/// Coefficients of an entry, in the order of the columns of [`Tersoff`].
#[derive(Clone, Copy)]
#[repr(usize)]
enum P {
    Lambda3,
    /// 1 where m = 3, else 0.
    Cubed,
    Cos0,
    /// The first of five numbers of [`Angular`].
    Angular,
    Beta = 8,
    Power,
    OuterPower,
    Repulsion,
    RepulsionDecay,
    Attraction,
    AttractionDecay,
    Middle,
    /// R − D and R + D.
    Inner,
    Outer,
    /// π / 2D.
    Scale,
    CoreStrength,
    CorePerLength,
    CoreCenter,
    CoreSteepness,
}

/// The model; the potential is `SiteSum<Tersoff>`.
pub struct Tersoff {
    species: usize,
    /// For each of [`P`] the numbers of the entries (i, j, k), at (i n + j) n + k.
    columns: Vec<Vec<f64>>,
    cutoffs: Vec<f64>,
    modified: bool,
    core: bool,
    /// True when λ₃ is not zero everywhere.
    stretched: bool,
    /// True when f_C of i and k is the same for every j.
    common_cut: bool,
}

/// Memory for the sites of a block.
#[derive(Default)]
#[doc(hidden)]
pub struct Scratch {
    /// Unit vector and length of each edge.
    arms: Vec<Record>,
    /// f_C of the entry i k k, ∂E/∂ζ, the species of the neighbour, and f_C'.
    weights: Vec<Record>,
    /// Of each bond the derivative of its energy with respect to its length, and the energy.
    radial: Vec<f64>,
    energy: Vec<f64>,
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
    Ok(SiteSum::new(Tersoff::of(n, &entries, cutoffs)))
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

impl Entry {
    /// The numbers of [`P`].
    fn columns(&self) -> Vec<f64> {
        let angular = match self.angular {
            Angular::Plain([a, b, c, d]) => [a, b, c, d, 0.0],
            Angular::Mod(c) => c,
        };
        let mut row = vec![self.lambda3, f64::from(u8::from(self.cubed)), self.cos0];
        row.extend(angular);
        row.extend([self.beta, self.exponents[0], self.exponents[1]]);
        row.extend(self.repulsion);
        row.extend(self.attraction);
        let scale = if self.width > 0.0 { 0.5 * PI / self.width } else { 0.0 };
        row.extend([self.radius, self.radius - self.width, self.radius + self.width, scale]);
        let core = self.core.map_or([0.0; 4], |c| [c.strength, c.per_length, c.center, c.steepness]);
        row.extend(core);
        row
    }
}

/// A value and its derivative.
type With<V> = (V, V);

impl Tersoff {
    fn of(species: usize, entries: &[Entry], cutoffs: Vec<f64>) -> Self {
        let rows: Vec<Vec<f64>> = entries.iter().map(Entry::columns).collect();
        let columns = (0..=P::CoreSteepness as usize).map(|c| rows.iter().map(|r| r[c]).collect()).collect();
        let n = species;
        let common_cut = triples(n).all(|(i, j, k)| {
            let (e, own) = (&entries[(i * n + j) * n + k], &entries[(i * n + k) * n + k]);
            (e.radius, e.width) == (own.radius, own.width)
        });
        Self {
            species,
            columns,
            cutoffs,
            modified: entries.iter().any(|e| matches!(e.angular, Angular::Mod(_))),
            core: entries.iter().any(|e| e.core.is_some()),
            stretched: entries.iter().any(|e| e.lambda3 != 0.0),
            common_cut,
        }
    }
    #[inline(always)]
    fn get<V: Lanes>(&self, which: P, entry: V) -> V {
        look(&self.columns[which as usize], entry)
    }
    /// f_C.
    #[inline(always)]
    fn cut<V: Lanes>(&self, r: V, entry: V) -> With<V> {
        let (zero, one, half) = (V::splat(0.0), V::splat(1.0), V::splat(0.5));
        let scale = self.get(P::Scale, entry);
        let quarter = V::splat(0.5 * PI);
        let x = (scale * (r - self.get(P::Middle, entry))).max(-quarter).min(quarter);
        let (sin, cos) = x.sin_cos_half_pi();
        let (f, df) = if self.modified {
            // sin 3x = 3 sin x − 4 sin³ x, cos 3x = 4 cos³ x − 3 cos x
            let (three, four) = (V::splat(3.0), V::splat(4.0));
            let sin3 = sin * (three - four * sin * sin);
            let cos3 = cos * (four * cos * cos - three);
            (
                half - V::splat(0.5625) * sin - V::splat(0.0625) * sin3,
                -(scale * (V::splat(0.5625) * cos + V::splat(0.1875) * cos3)),
            )
        } else {
            (half - half * sin, -(half * scale * cos))
        };
        let (whole, some) = (self.get(P::Inner, entry).not_ge(r), r.lt(self.get(P::Outer, entry)));
        (V::keep(some, V::select(whole, f, one)), V::keep(some, V::select(whole, df, zero)))
    }
    /// g as a function of cos θ.
    #[inline(always)]
    fn angular<V: Lanes>(&self, cos: V, entry: V) -> With<V> {
        let delta = self.get(P::Cos0, entry) - cos;
        let square = delta * delta;
        macro_rules! number {
            ($k:literal) => {
                look(&self.columns[P::Angular as usize + $k], entry)
            };
        }
        let (one, two) = (V::splat(1.0), V::splat(2.0));
        if self.modified {
            let (c1, c2, c3, c4, c5) = (number!(0), number!(1), number!(2), number!(3), number!(4));
            let inverse = one / (c3 + square);
            let e = c4 * (-(c5 * square)).exp();
            let lorentz = c2 * square * inverse;
            // derivatives with respect to δ, opposite to those with respect to cos θ
            let slope = two * delta * (c2 * c3 * inverse * inverse * (one + e) - lorentz * c5 * e);
            (c1 + lorentz * (one + e), -slope)
        } else {
            let (gamma, ratio, c2, d2) = (number!(0), number!(1), number!(2), number!(3));
            let inverse = one / (d2 + square);
            let c2 = c2 * inverse;
            (gamma * (one + ratio - c2), -(two * gamma * c2 * delta * inverse))
        }
    }
    /// exp{[λ₃ (r_ij − r_ik)]^m} as a function of r_ij.
    #[inline(always)]
    fn stretch<V: Lanes>(&self, difference: V, entry: V) -> With<V> {
        let one = V::splat(1.0);
        if !self.stretched {
            return (one, V::splat(0.0));
        }
        let lambda = self.get(P::Lambda3, entry);
        let x = lambda * difference;
        let square = x * x;
        let cubed = V::splat(0.5).lt(self.get(P::Cubed, entry));
        let arg = V::select(cubed, square * x, x);
        let slope = lambda * V::select(cubed, V::splat(3.0) * square, one);
        // 10^30, constant from there on
        let moderate = arg.lt(V::splat(69.0776));
        let e = V::select(moderate, arg.exp(), V::splat(1e30));
        (e, V::keep(moderate, slope * e))
    }
    /// b as a function of ζ.
    #[inline(always)]
    fn order<V: Lanes>(&self, zeta: V, entry: V) -> With<V> {
        let (zero, one) = (V::splat(0.0), V::splat(1.0));
        let x = self.get(P::Beta, entry) * zeta;
        let (power, outer) = (self.get(P::Power, entry), self.get(P::OuterPower, entry));
        let some = V::splat(1e-290).lt(x);
        let (x, zeta) = (V::select(some, x, one), V::select(some, zeta, one));
        let log = power * x.ln();
        let large = V::splat(690.0).lt(log);
        // (1 + x^n)^(-1/2n), or where x^n overflows x^(-1/2)
        let xn = log.exp();
        let ln = V::select(large, log, (one + xn).ln());
        let b = (outer * ln).exp();
        let share = V::select(large, one, xn / (one + xn));
        (V::select(some, b, one), V::select(some, outer * power * b * share / zeta, zero))
    }
    /// V_ZBL, and the blend F.
    #[inline(always)]
    fn core<V: Lanes>(&self, r: V, entry: V) -> [With<V>; 2] {
        const TERMS: [(f64, f64); 4] = [(0.1818, 3.2), (0.5099, 0.9423), (0.2802, 0.4029), (0.02817, 0.2016)];
        let (mut screen, mut slope) = (V::splat(0.0), V::splat(0.0));
        let per_length = self.get(P::CorePerLength, entry);
        for (a, b) in TERMS {
            let decay = V::splat(b) * per_length;
            let e = V::splat(a) * (-(decay * r)).exp();
            screen = screen + e;
            slope = slope - decay * e;
        }
        let one = V::splat(1.0);
        let bare = self.get(P::CoreStrength, entry) / r;
        let steepness = self.get(P::CoreSteepness, entry);
        let e = (-(steepness * (r - self.get(P::CoreCenter, entry)))).exp();
        let f = one / (one + e);
        [(bare * screen, bare * (slope - screen / r)), (f, steepness * (e * f) * f)]
    }
    /// f_C f_R and f_C f_A, the core blended in.
    #[inline(always)]
    fn pair<V: Lanes>(&self, r: V, (cut, dcut): With<V>, entry: V) -> [With<V>; 2] {
        macro_rules! exponential {
            ($strength:ident, $decay:ident) => {{
                let decay = self.get(P::$decay, entry);
                let e = self.get(P::$strength, entry) * (-(decay * r)).exp();
                (cut * e, (dcut - decay * cut) * e)
            }};
        }
        let mut rep: With<V> = exponential!(Repulsion, RepulsionDecay);
        let mut att: With<V> = exponential!(Attraction, AttractionDecay);
        if self.core {
            let [(v, dv), (f, df)] = self.core(r, entry);
            let rest = V::splat(1.0) - f;
            rep = (f * rep.0 + rest * v, f * rep.1 + df * rep.0 + rest * dv - df * v);
            att = (f * att.0, f * att.1 + df * att.0);
        }
        [rep, (-att.0, -att.1)]
    }
    /// Where the entries (i, j, 0) of eight edges start.
    #[inline(always)]
    fn entries<V: Lanes>(&self, sites: &Sites<'_>, e: usize) -> [V; 2] {
        if self.species == 1 {
            return [V::splat(0.0); 2];
        }
        let n = V::splat(self.species as f64);
        let row = species_of::<V>(sites, e) * n;
        [row, (row + whole(sites.neighbors, e)) * n]
    }
    /// Unit vectors and f_C of the edges.
    #[inline(always)]
    fn arms<V: Lanes>(&self, sites: &Sites<'_>, scratch: &mut Scratch) {
        for e in (0..sites.edges.len()).step_by(LANES) {
            let [dx, dy, dz, r] = load::<V>(Edge::records(sites.edges), e);
            let inverse = V::splat(1.0) / r;
            store([dx * inverse, dy * inverse, dz * inverse, r], &mut scratch.arms, e);
            let kind: V = whole(sites.neighbors, e);
            let (cut, dcut) = self.cut(r, self.entries::<V>(sites, e)[1] + kind);
            store([cut, V::splat(0.0), kind, dcut], &mut scratch.weights, e);
        }
    }
    /// ζ and the energies of the bonds.
    #[inline(always)]
    fn bonds<V: Lanes>(&self, sites: &Sites<'_>, scratch: &mut Scratch) {
        let Scratch { arms, weights, radial, energy } = scratch;
        let half = V::splat(0.5);
        for e in (0..sites.edges.len()).step_by(LANES) {
            let [ux, uy, uz, r] = load::<V>(arms, e);
            let [cut, _, kind, dcut] = load::<V>(weights, e);
            let first = self.entries::<V>(sites, e)[1];
            let mut zeta = V::splat(0.0);
            let others = Others::<V>::of(sites, e);
            for t in 1..others.most {
                let (active, k) = others.at(t);
                // SAFETY: there is an arm and a weight for each edge
                let ([vx, vy, vz, far], [far_cut, _, far_kind, _]) = unsafe {
                    (V::load_sites(arms.as_ptr(), k.as_ptr()), V::load_sites(weights.as_ptr(), k.as_ptr()))
                };
                let entry = first + far_kind;
                let far_cut = if self.common_cut { far_cut } else { self.cut(far, entry).0 };
                let cos = uz.mul_add(vz, uy.mul_add(vy, ux * vx));
                let (g, _) = self.angular(cos, entry);
                let (stretch, _) = self.stretch(r - far, entry);
                zeta = zeta + V::keep(active, far_cut * g * stretch);
            }
            let entry = first + kind;
            let inside = r.lt(self.get(P::Outer, entry));
            let [(rep, drep), (att, datt)] = self.pair(r, (cut, dcut), entry);
            let (b, db) = self.order(zeta, entry);
            put(V::keep(inside, half * (rep + b * att)), energy, e);
            put(V::keep(inside, half * (drep + b * datt)), radial, e);
            store([cut, V::keep(inside, half * att * db), kind, dcut], weights, e);
        }
    }
    /// Derivatives of all bonds of a site with respect to each of its edges.
    #[inline(always)]
    fn derivatives<V: Lanes>(&self, sites: &Sites<'_>, shares: &mut [Share], scratch: &Scratch) {
        let Scratch { arms, weights, radial, energy } = scratch;
        let n = V::splat(self.species as f64);
        for e in (0..sites.edges.len()).step_by(LANES) {
            let [ux, uy, uz, r] = load::<V>(arms, e);
            let [cut, weight, kind, dcut] = load::<V>(weights, e);
            let [row, first] = self.entries::<V>(sites, e);
            let [mut ax, mut ay, mut az, mut along] = [V::splat(0.0); 4];
            let mut radial: V = lanes(radial, e);
            let others = Others::<V>::of(sites, e);
            for t in 1..others.most {
                let (active, k) = others.at(t);
                // SAFETY: there is an arm and a weight for each edge
                let ([vx, vy, vz, far], [far_cut, far_weight, far_kind, _]) = unsafe {
                    (V::load_sites(arms.as_ptr(), k.as_ptr()), V::load_sites(weights.as_ptr(), k.as_ptr()))
                };
                let cos = uz.mul_add(vz, uy.mul_add(vy, ux * vx));
                // this bond with the other atom, and the other bond with the atom here
                let (here, there) = (first + far_kind, (row + far_kind) * n + kind);
                let (g, dg) = self.angular(cos, here);
                let (far_g, far_dg) = if self.species > 1 { self.angular(cos, there) } else { (g, dg) };
                let (stretch, dstretch) = self.stretch(r - far, here);
                let (far_stretch, far_dstretch) = self.stretch(far - r, there);
                let (far_cut, (cut, dcut)) = if self.common_cut {
                    (far_cut, (cut, dcut))
                } else {
                    (self.cut(far, here).0, self.cut(r, there))
                };
                let own = V::keep(active, weight * far_cut);
                let far_weight = V::keep(active, far_weight);
                let turn = own * dg * stretch + far_weight * cut * far_dg * far_stretch;
                ax = turn.mul_add(vx, ax);
                ay = turn.mul_add(vy, ay);
                az = turn.mul_add(vz, az);
                along = turn.mul_add(cos, along);
                radial = radial
                    + own * g * dstretch
                    + far_weight * far_g * (dcut * far_stretch - cut * far_dstretch);
            }
            // ∂cos/∂d_j = (u_k − cos u_j)/r_j
            let inverse = V::splat(1.0) / r;
            let radial = radial - along * inverse;
            let [gx, gy, gz] = [radial * ux, radial * uy, radial * uz];
            let half = V::splat(0.5) * lanes(energy, e);
            let g = [ax.mul_add(inverse, gx), ay.mul_add(inverse, gy), az.mul_add(inverse, gz), half];
            store(g, Share::records_mut(shares), e);
        }
    }
}

impl BlockEnergy for Tersoff {
    type Scratch = Scratch;
    const NAME: &'static str = "tersoff";
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
        scratch.arms.resize(count, Record::default());
        scratch.weights.resize(count, Record::default());
        scratch.radial.resize(count, 0.0);
        scratch.energy.resize(count, 0.0);
        self.arms::<V>(&sites, scratch);
        self.bonds::<V>(&sites, scratch);
        self.derivatives::<V>(&sites, shares, scratch);
        for (k, sum) in energies.iter_mut().enumerate() {
            *sum = scratch.energy[sites.row(k)].iter().sum();
        }
    }
    fn citations(&self) -> Vec<&'static str> {
        let mut papers = vec!["Tersoff, Phys. Rev. B 37, 6991 (1988), doi 10.1103/PhysRevB.37.6991"];
        if self.modified {
            papers.push(
                "Kumagai et al., Comput. Mater. Sci. 39, 457 (2007), doi 10.1016/j.commatsci.2006.07.013",
            );
        }
        if self.core {
            papers
                .push("Devanathan et al., J. Nucl. Mater. 253, 47 (1998), doi 10.1016/S0022-3115(97)00304-8");
        }
        papers
    }
}
