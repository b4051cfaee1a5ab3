//! Pair potentials from the energies of reference structures.
use super::file::Parameters;
use super::lattice::{Lattice, SecondShell};
use super::screening::smooth;

/// Number of points of a table.
const POINTS: usize = 1000;

/// Terms of the sum over shells of the second-neighbour formulation.
const SHELLS: i32 = 10;

/// G(Γ) and its derivative for the form `ibar`.
pub(super) fn growth(gamma: f64, ibar: i32, gsmooth: f64) -> (f64, f64) {
    match ibar {
        1 => {
            let g = (0.5 * gamma).exp();
            (g, 0.5 * g)
        }
        3 => {
            let g = 2.0 / (1.0 + (-gamma).exp());
            (g, 0.5 * g * (2.0 - g))
        }
        -5 => {
            let x = 1.0 + gamma;
            let g = x.abs().sqrt();
            // flat where G changes its sign
            (g.copysign(x), if g == 0.0 { 0.0 } else { 0.5 / g })
        }
        _ => {
            let switch = -gsmooth / (gsmooth + 1.0);
            if gamma < switch {
                let g = ((switch / gamma).powf(gsmooth) / (gsmooth + 1.0)).sqrt();
                (g, -0.5 * gsmooth * g / gamma)
            } else {
                let g = (1.0 + gamma).sqrt();
                (g, if g == 0.0 { 0.0 } else { 0.5 / g })
            }
        }
    }
}

/// F(ρ̄) = A E_c ρ̄ ln ρ̄ and its derivative.
pub(super) fn embedding(p: &Parameters, a: usize, rho: f64) -> (f64, f64) {
    let strength = p.asub[a] * p.ec[a][a];
    if rho > 0.0 {
        let ln = rho.ln();
        (strength * rho * ln, strength * (ln + 1.0))
    } else if p.linear_negative {
        (-strength * rho, -strength)
    } else {
        (0.0, 0.0)
    }
}

/// ρa₀ of an element at a distance.
fn atomic0(p: &Parameters, a: usize, r: f64) -> f64 {
    p.rho0[a] * (-p.beta[a][0] * (r / p.re[a][a] - 1.0)).exp()
}

/// ρa_h of an element at a distance.
fn atomic(p: &Parameters, a: usize, r: f64) -> [f64; 4] {
    let x = r / p.re[a][a] - 1.0;
    p.beta[a].map(|beta| p.rho0[a] * (-beta * x).exp())
}

/// Screening of a pair (i, j) by one atom of element k at a given C.
fn screened(p: &Parameters, c: f64, [i, j, k]: [usize; 3]) -> f64 {
    let (low, high) = p.c_limits[i][j][k];
    smooth((c - low) / (high - low)).0
}

/// The second neighbours in the structure of a pair.
fn second(p: &Parameters, a: usize, b: usize) -> Option<SecondShell> {
    p.lattice[a][b].second(p.angle[a][b])
}

/// Number of second neighbours in the structure of a and b times their screening, for those of element a with b
/// between them.
fn second_weight(p: &Parameters, a: usize, b: usize) -> f64 {
    second(p, a, b).map_or(0.0, |shell| shell.count * screened(p, shell.c, [a, a, b]).powi(shell.screens))
}

/// Screening of the pairs of second neighbours of the majority and of the minority element in Cu₃Au. The former are
/// screened by two atoms of each element, the latter by four of the majority.
fn second_l12(p: &Parameters, a: usize, b: usize) -> [f64; 2] {
    let s = |triple| screened(p, 1.0, triple);
    [(s([a, a, a]) * s([a, a, b])).powi(2), s([b, b, a]).powi(4)]
}

/// The density that ρ₀ G is measured by: a quantity of the element's own structure in equilibrium. With the t of the
/// surroundings (`mixture_ref_t`) its derivatives with respect to them come with it.
pub(super) fn background(p: &Parameters, a: usize, t: &[f64; 3]) -> (f64, [f64; 3]) {
    let lattice = p.lattice[a][a];
    let z = lattice.neighbors();
    let plain = p.rho0[a] * z;
    if p.dynamic_background && !p.mixture_reference {
        return (plain, [0.0; 3]);
    }
    let shape = lattice.shape(p.angle[a][a]).map(|s| s / (z * z));
    let (g, slope) = if p.ibar[a] <= 0 {
        (1.0, 0.0)
    } else {
        let gamma: f64 = t.iter().zip(shape).map(|(t, s)| t * s).sum();
        growth(gamma, p.ibar[a], p.gsmooth)
    };
    if p.mixture_reference {
        return (plain * g, shape.map(|s| plain * slope * s));
    }
    let mut sum = plain;
    if let (true, Some(shell)) = (p.second[a][a], second(p, a, a)) {
        let rho = p.rho0[a] * (-p.beta[a][0] * (shell.ratio - 1.0)).exp();
        sum += second_weight(p, a, a) * rho;
    }
    (sum * g, [0.0; 3])
}

/// Energy of an atom of the reference structure after Rose.
fn rose(p: &Parameters, a: usize, b: usize, r: f64) -> f64 {
    let x = p.alpha[a][b] * (r / p.re[a][b] - 1.0);
    let (attraction, repulsion) = (p.attrac[a][b], p.repuls[a][b]);
    let third = if x >= 0.0 { attraction } else { repulsion };
    let x3 = x * x * x;
    let cubic = match p.rose_form {
        1 => (-attraction + repulsion / r) * x3,
        2 => third * x3,
        _ => third * x3 / (r / p.re[a][b]),
    };
    -p.ec[a][b] * (1.0 + x + cubic) * (-x).exp()
}

/// Densities at an atom of a reference structure: ρ₀, ρ_h² and the t_h.
type Surroundings = (f64, [f64; 3], [f64; 3]);

/// What atoms of elements a and b see in their common reference structure.
fn surroundings(p: &Parameters, a: usize, b: usize, r: f64) -> [Surroundings; 2] {
    let lattice = p.lattice[a][b];
    let z = lattice.neighbors();
    let (one, two) = (atomic(p, a, r), atomic(p, b, r));
    let shape = lattice.shape(p.angle[a][b]);
    let squares = |shape: &[f64; 3], rho: &[f64; 4]| [0, 1, 2].map(|h| shape[h] * rho[h + 1] * rho[h + 1]);
    // all first neighbours are of the other element
    let mut at_a = (z * two[0], squares(&shape, &two), p.t[b]);
    let mut at_b = (z * one[0], squares(&shape, &one), p.t[a]);
    // but the atoms at the ends of molecules have one neighbour
    let end = |rho: &[f64; 4]| (rho[0], squares(&Lattice::Dimer.shape(0.0), rho));
    match lattice {
        Lattice::Methane => (at_b.0, at_b.1) = end(&one),
        Lattice::Trimer => (at_a.0, at_a.1) = end(&two),
        _ => {}
    }
    if lattice == Lattice::L12 {
        let weights = [8.0 * one[0], 4.0 * two[0]];
        at_a.0 = weights[0] + weights[1];
        at_b.0 = 12.0 * one[0];
        at_a.2 = [0, 1, 2].map(|h| (p.t[a][h] * weights[0] + p.t[b][h] * weights[1]) / at_a.0);
        at_a.1[1] = if p.alloy == 1 {
            let (ta, tb) = (p.t[a][1], p.t[b][1]);
            let below = weights[0] * ta * ta + weights[1] * tb * tb;
            let difference = one[2] * ta - two[2] * tb;
            if below > 0.0 { 8.0 / 3.0 * difference * difference / below * at_a.0 } else { 0.0 }
        } else {
            8.0 / 3.0 * (one[2] - two[2]) * (one[2] - two[2])
        };
    }
    if p.alloy == 2 {
        (at_a.2, at_b.2) = (p.t[a], p.t[b]);
    }
    if let (true, Some(shell)) = (p.second[a][b], second(p, a, b)) {
        // second neighbours are of the same element
        let weights = match lattice {
            Lattice::L12 => second_l12(p, a, b).map(|s| shell.count * s),
            _ => [second_weight(p, a, b), second_weight(p, b, a)],
        };
        at_a.0 += weights[0] * atomic0(p, a, shell.ratio * r);
        at_b.0 += weights[1] * atomic0(p, b, shell.ratio * r);
    }
    [at_a, at_b]
}

/// φ of a pair of elements from the first neighbours of the reference structure.
fn first(p: &Parameters, a: usize, b: usize, r: f64) -> f64 {
    if r == 0.0 {
        return 0.0;
    }
    let lattice = p.lattice[a][b];
    if lattice == Lattice::C11 {
        return first_c11(p, a, b, r);
    }
    let around = surroundings(p, a, b, r);
    if around.iter().all(|(rho0, ..)| *rho0 <= 1e-14) {
        return 0.0;
    }
    let embed = |e: usize, (rho0, squares, t): Surroundings| {
        let sum: f64 = (0..3).map(|h| t[h] * squares[h]).sum();
        let gamma = if rho0 < 1e-14 { 0.0 } else { sum / (rho0 * rho0) };
        let g = growth(gamma, p.ibar[e], p.gsmooth).0;
        let own = if p.mixture_reference { &t } else { &p.t[e] };
        embedding(p, e, rho0 / background(p, e, own).0 * g).0
    };
    let (fa, fb) = (embed(a, around[0]), embed(b, around[1]));
    let energy = rose(p, a, b, r);
    match lattice {
        Lattice::L12 => energy / 3.0 - fa / 4.0 - fb / 12.0 - first(p, a, a, r) - beyond(p, a, a, r),
        Lattice::Methane => (5.0 * energy - fa - 4.0 * fb) / 4.0,
        Lattice::Trimer => {
            let ends = if a == b { 0.0 } else { across(p, a, b, r) };
            (3.0 * energy - 2.0 * fa - fb - ends) / lattice.neighbors()
        }
        Lattice::Zigzag if a != b => {
            let alike = across(p, a, b, r) + across(p, b, a, r);
            (2.0 * energy - fa - fb - alike) / lattice.neighbors()
        }
        _ => (2.0 * energy - fa - fb) / lattice.neighbors(),
    }
}

/// Energy of the second neighbours of element a in a bent structure with b between them. Their screening is that at C = 1, as in LAMMPS,
/// which is the right one for an angle of 90 degrees.
fn across(p: &Parameters, a: usize, b: usize, r: f64) -> f64 {
    let ratio = 2.0 * (0.5 * p.angle[a][b]).sin();
    screened(p, 1.0, [a, a, b]) * first(p, a, a, ratio * r)
}

/// φ of a pair of elements in MoSi₂'s structure, whose pairs of the element with two atoms in the formula interact as in that element. The
/// densities are not divided by those of the elements, as in LAMMPS.
fn first_c11(p: &Parameters, a: usize, b: usize, r: f64) -> f64 {
    let (one, two) = (atomic(p, a, r), atomic(p, b, r));
    if one[0] <= 1e-14 && two[0] <= 1e-14 {
        return 0.0;
    }
    let t: [[f64; 3]; 2] = match p.alloy {
        2 => [p.t[a], p.t[b]],
        _ => [[0, 1, 2].map(|h| (p.t[a][h] * one[0] + p.t[b][h] * two[0]) / (one[0] + two[0])); 2],
    };
    let z = p.lattice[a][b].neighbors();
    // x: the element with two atoms in the formula, y: the other
    let (x, y, of_x, t) = if p.silicide(a) { (a, b, &one, t[0]) } else { (b, a, &two, t[1]) };
    let mixed = {
        let (sum, difference) = (|h: usize| (one[h] + two[h]).powi(2), |h: usize| (one[h] - two[h]).powi(2));
        let angular = t[0] * difference(1) + t[1] / 6.0 * sum(2) + 121.0 / 40.0 * t[2] * difference(3);
        (0.25 * z * z * sum(0) + angular).sqrt()
    };
    let plain = ((z * of_x[0]).powi(2) + 2.0 / 3.0 * t[1] * of_x[2].powi(2)).sqrt();
    let (fx, fy) = (embedding(p, x, mixed).0, embedding(p, y, plain).0);
    (3.0 * rose(p, a, b, r) - fy - 2.0 * fx - 5.0 * first(p, x, x, r)) / z
}

/// What second neighbours of the same kind of pair, and theirs, take from φ: Σ_n (−Z₂ S/Z₁)ⁿ ψ(aⁿ r).
fn beyond(p: &Parameters, a: usize, b: usize, r: f64) -> f64 {
    let Some(shell) = second(p, a, b) else { return 0.0 };
    let factor = -second_weight(p, a, b) / p.lattice[a][b].neighbors();
    let mut sum = 0.0;
    for n in 1..=SHELLS {
        // far out ψ vanishes exactly and its argument would overflow
        let term = factor.powi(n) * first(p, a, b, r * shell.ratio.powi(n));
        if term == 0.0 {
            break;
        }
        sum += term;
    }
    sum
}

/// φ of a pair of elements with what `nn2` adds.
fn pair(p: &Parameters, a: usize, b: usize, r: f64) -> f64 {
    let phi = first(p, a, b, r);
    let lattice = p.lattice[a][b];
    let (true, Some(shell)) = (p.second[a][b], second(p, a, b)) else { return phi };
    // in compounds the second neighbours are pairs of one element, with their own potential
    let alike = |e: usize| first(p, e, e, r * shell.ratio) + beyond(p, e, e, r * shell.ratio);
    match lattice {
        Lattice::B1 | Lattice::B2 | Lattice::Diamond => {
            let twice = 2.0 * lattice.neighbors();
            phi - second_weight(p, a, b) / twice * alike(a) - second_weight(p, b, a) / twice * alike(b)
        }
        Lattice::L12 => {
            let [majority, minority] = second_l12(p, a, b);
            phi - 0.75 * majority * alike(a) - 0.25 * minority * alike(b)
        }
        _ => phi + beyond(p, a, b, r),
    }
}

/// Screened nuclear repulsion, with the constants of the files' programs.
fn nuclear(r: f64, za: f64, zb: f64) -> f64 {
    const TERMS: [(f64, f64); 4] =
        [(0.028171, 0.20162), (0.28022, 0.40290), (0.50986, 0.94229), (0.18175, 3.1998)];
    let length = 0.4685 / (za.powf(0.23) + zb.powf(0.23));
    let screen: f64 = TERMS.iter().map(|(c, d)| c * (-d * r / length).exp()).sum();
    if r > 0.0 { screen * za * zb / r * 14.3997 } else { screen }
}

/// φ of a pair of elements at `POINTS` distances, and their spacing.
///
/// # Errors
/// With the distance where φ is not finite.
pub(super) fn table(p: &Parameters, a: usize, b: usize) -> Result<(Vec<f64>, f64), f64> {
    // the two elements of Cu₃Au differ
    let (a, b) = (a.min(b), a.max(b));
    let step = 1.1 * p.cutoff / POINTS as f64;
    let value = |k: usize| {
        let r = k as f64 * step;
        let x = p.alpha[a][b] * (r / p.re[a][b] - 1.0);
        if !p.zbl[a][b] || x >= -1.0 {
            return pair(p, a, b, r);
        }
        let core = nuclear(r, p.nuclear[a], p.nuclear[b]);
        if x <= -3.0 {
            return core;
        }
        let share = smooth(1.0 + 0.5 * (x + 1.0)).0;
        share * pair(p, a, b, r) + (1.0 - share) * core
    };
    let values: Vec<f64> = (0..POINTS).map(value).collect();
    match values.iter().position(|x| !x.is_finite()) {
        Some(k) => Err(k as f64 * step),
        None => Ok((values, step)),
    }
}
