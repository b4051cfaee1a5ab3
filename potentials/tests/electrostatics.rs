//! Coulomb interactions against golden data, lattice sums and derivatives.
mod support;

use caloron_engine::neighbors::Search;
use caloron_engine::units::{COULOMB, UnitSystem};
use caloron_engine::{Cell, Evaluator, Mat3, Outputs, Potential, Properties, Species, State, System, Vec3};
use caloron_potentials::electrostatics::{
    Exclusions, GridRule, LongRange, ScaledPair, SplineOrder, TruncatedCoulomb,
};
use support::{Frame, deviation, evaluate, frames};

const LAMMPS: &str = "coulomb_constant = \"14.399645 eV Å\"";

fn everything() -> Properties {
    Properties::all().difference(Properties::EXTRAS)
}

/// A reference frame with its charges.
fn charged(frame: &Frame, species: &[&str]) -> (System, State) {
    let (mut system, state) = frame.build(species);
    system.set_charges(frame.columns["charges"].iter().map(|q| q[0]).collect());
    (system, state)
}

fn coulomb(system: &System, text: &str) -> Box<dyn Potential> {
    support::potential(system, UnitSystem::Physical, &format!("[coulomb]\n{text}"))
}

/// Largest deviation over the frames of a NaCl case.
fn nacl(file: &str, text: &str, atom_energies: bool) -> Option<f64> {
    let of = |frame: &Frame| {
        let (system, state) = charged(frame, &["Na", "Cl"]);
        let out = evaluate(coulomb(&system, text), &system, &state);
        let d = deviation(frame, &out, atom_energies);
        println!("{file} {}: {d:.2e}", frame.name());
        d
    };
    Some(frames(file)?.iter().map(of).fold(0.0, f64::max))
}

#[test]
fn plain_truncation_is_that_of_lammps() {
    let text = format!("method = {{ cut = {{ cutoff = \"9 Å\" }} }}\n{LAMMPS}");
    let Some(worst) = nacl("classical/coul_cut_nacl.extxyz", &text, true) else { return };
    assert!(worst < 1e-10, "{worst:e}");
}

#[test]
fn wolf_energies_and_shifted_forces_are_those_of_lammps() {
    // the energies of coul/wolf are Wolf's; its forces are those of the damped shifted force
    let Some(reference) = frames("classical/coul_wolf_nacl.extxyz") else { return };
    for frame in &reference {
        let (system, state) = charged(frame, &["Na", "Cl"]);
        let sum = |name: &str| {
            let text =
                format!("method = {{ {name} = {{ cutoff = \"9 Å\", alpha = \"0.2 1/Å\" }} }}\n{LAMMPS}");
            evaluate(coulomb(&system, &text), &system, &state)
        };
        let (wolf, shifted) = (sum("wolf"), sum("damped_shifted_force"));
        let mixed = Outputs { energy: wolf.energy, atom_energies: wolf.atom_energies, ..shifted };
        let d = deviation(frame, &mixed, true);
        assert!(d < 1e-10, "{} {d:e}", frame.name());
    }
}

#[test]
fn damped_shifted_force_is_that_of_lammps() {
    let text = format!(
        "method = {{ damped_shifted_force = {{ cutoff = \"9 Å\", alpha = \"0.2 1/Å\" }} }}\n{LAMMPS}"
    );
    // its erfc is approximate there
    let Some(worst) = nacl("classical/coul_dsf_nacl.extxyz", &text, true) else { return };
    assert!(worst < 1e-6, "{worst:e}");
}

#[test]
fn ewald_sums_agree_with_the_exact_ones() {
    let text = "method = { ewald = { cutoff = \"8 Å\", tolerance = 1e-15 } }";
    let Some(worst) = nacl("classical/ewald_nacl.extxyz", text, false) else { return };
    assert!(worst < 1e-11, "{worst:e}");
    let text = format!("method = {{ ewald = {{ cutoff = \"8 Å\", tolerance = 1e-12 }} }}\n{LAMMPS}");
    // another program, with an approximate erfc
    let file = "classical/coul_long_ewald_nacl_lammps.extxyz";
    let worst = nacl(file, &text, true).expect("it is beside the other file");
    assert!(worst < 1e-6, "{worst:e}");
}

/// Molecules of three atoms without intramolecular interaction.
fn rigid_water(atoms: usize) -> Exclusions {
    let bonds: Vec<[u32; 2]> =
        (0..atoms as u32 / 3).flat_map(|m| [[3 * m, 3 * m + 1], [3 * m, 3 * m + 2]]).collect();
    Exclusions::from_bonds(atoms, &bonds, [1.0, 1.0]).expect("water")
}

/// Relative deviations of energy and largest force of the Coulomb part.
fn water_deviation(frame: &Frame, out: &Outputs) -> [f64; 2] {
    let energy = frame.number("energy_coulomb");
    let forces = frame.vectors("forces_coulomb");
    let largest = forces.iter().map(|f| f.norm()).fold(0.0, f64::max);
    let worst = forces.iter().zip(&out.forces).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max);
    [(out.energy / energy - 1.0).abs(), worst / largest]
}

#[test]
fn ewald_sums_of_water_leave_out_the_molecules() {
    let Some(reference) = frames("classical/spce_water_ewald.extxyz") else { return };
    for frame in &reference {
        let (system, state) = charged(frame, &["O", "H"]);
        let exclusions = rigid_water(system.len());
        let (alpha, cutoff) = (5.9 / 9.0, 9.0);
        let ewald = LongRange::ewald(alpha, cutoff, 2.0 * alpha * 5.9, COULOMB, exclusions);
        let out = evaluate(Box::new(ewald), &system, &state);
        let [energy, force] = water_deviation(frame, &out);
        println!("{}: {energy:.1e} {force:.1e}", frame.name());
        assert!(energy < 1e-11 && force < 1e-11, "{}: {energy:e} {force:e}", frame.name());
        // a homogeneous function of degree -1
        assert!((out.virial.trace() / out.energy - 1.0).abs() < 1e-10);
    }
}

/// Energy of each part of an Ewald sum, from differences.
#[test]
fn components_of_spce_water_are_those_of_nist() {
    let Some(reference) = frames("nist/spce_configs.extxyz") else { return };
    let published: toml::Table = {
        let file =
            caloron_engine::testing::reference("nist/nist_reference.toml").expect("beside the other file");
        std::fs::read_to_string(file).expect("readable").parse().expect("toml")
    };
    // CODATA 2010, K Å
    let constant = 167_100.956_63;
    for (c, frame) in reference.iter().enumerate() {
        let (mut system, state) = frame.build(&["O", "H"]);
        let charges = (0..system.len()).map(|i| if i % 3 == 0 { -0.8476 } else { 0.4238 }).collect();
        system.set_charges(charges);
        let case = &published["spce"][&format!("config{}", c + 1)];
        let value = |key: &str| case[key].as_float().expect("a number");
        let side = frame.number("box");
        let alpha = 5.6 / side;
        // n² < 27
        let waves = 2.0 * std::f64::consts::PI / side * 26.5f64.sqrt();
        let energy = |cutoff: f64, waves: f64, exclusions: &Exclusions| {
            let sum = LongRange::ewald(alpha, cutoff, waves, constant, exclusions.clone());
            let mut evaluator = Evaluator::new(vec![Box::new(sum)], 0.0, Search::Auto);
            evaluator.ensure(&system, &state, Properties::ENERGY, Properties::ENERGY).unwrap().energy
        };
        let none = Exclusions::default();
        let molecules = rigid_water(system.len());
        // no pairs and no waves: the self energy alone
        let own = energy(1e-3, 1e-3, &none);
        let fourier = energy(1e-3, waves, &none) - own;
        let total = energy(10.0, waves, &molecules);
        // the published real part is that of different molecules, the intramolecular part is erf(α r)/r of one
        let (mut real, mut inside) = (0.0, 0.0);
        for i in 0..system.len() {
            for j in i + 1..system.len() {
                let r = state.cell().shortest(&state.positions()[i], &state.positions()[j]).norm();
                let qq = constant * system.charges()[i] * system.charges()[j] / r;
                if i / 3 == j / 3 {
                    inside -= qq * libm::erf(alpha * r);
                } else if r < 10.0 {
                    real += qq * libm::erfc(alpha * r);
                }
            }
        }
        let parts = [("fourier", fourier), ("self", own), ("real", real), ("intra", inside)];
        for (name, mine) in parts {
            let (mine_too, printed) = (value(&format!("computed_{name}")), value(&format!("nist_{name}")));
            assert!((mine / mine_too - 1.0).abs() < 1e-9, "{} {name} {mine} {mine_too}", c + 1);
            // five or six digits are printed, of values with an approximate erfc
            assert!((mine / printed - 1.0).abs() < 2e-5, "{} {name} {mine} {printed}", c + 1);
        }
        let sum = fourier + own + real + inside;
        assert!((total / sum - 1.0).abs() < 1e-10, "{total} {sum}");
    }
}

/// A crystal of two interpenetrating lattices: vectors (columns) and sites with charges.
fn crystal(h: Mat3, sites: &[(f64, [f64; 3])]) -> (System, State) {
    let species = vec![Species { symbol: "X".into(), number: None, mass: 1.0 }];
    let mut system = System::new(species, vec![0; sites.len()]);
    system.set_charges(sites.iter().map(|s| s.0).collect());
    let positions = sites.iter().map(|s| h * Vec3::from(s.1)).collect();
    let cell = Cell::from_matrix(h, [true; 3]).expect("a cell");
    (system, State::at_rest(positions, cell))
}

#[test]
fn madelung_constants() {
    let fcc = Mat3::new(0.0, 0.5, 0.5, 0.5, 0.0, 0.5, 0.5, 0.5, 0.0);
    let cases = [
        // lattice, second site, nearest distance, constant (known to more digits)
        (fcc, [0.5; 3], 0.5, 1.747_564_594_633_182),
        (Mat3::identity(), [0.5; 3], 0.75f64.sqrt(), 1.762_674_773_070_991),
        (fcc, [0.25; 3], 0.1875f64.sqrt(), 1.638_055_053_388_79),
    ];
    for (h, second, nearest, constant) in cases {
        let (system, state) = crystal(h, &[(1.0, [0.0; 3]), (-1.0, second)]);
        for s in [5.9, 6.3] {
            let (alpha, cutoff) = (s / 2.2, 2.2);
            let ewald = LongRange::ewald(alpha, cutoff, 2.0 * alpha * s, 1.0, Exclusions::default());
            let out = evaluate(Box::new(ewald), &system, &state);
            assert!((-out.energy * nearest - constant).abs() < 1e-12, "{}", -out.energy * nearest);
        }
    }
}

/// A few ions without symmetry, not neutral when `charge` is not 0.
fn ions(cell: Cell, charge: f64) -> (System, State) {
    let species = vec![Species { symbol: "X".into(), number: None, mass: 1.0 }];
    let n = 14;
    let mut system = System::new(species, vec![0; n]);
    let mut charges: Vec<f64> = (0..n).map(|i| ((i as f64) * 1.3).sin()).collect();
    let mean = (charges.iter().sum::<f64>() - charge) / n as f64;
    charges.iter_mut().for_each(|q| *q -= mean);
    system.set_charges(charges);
    let golden = [0.754_877_666, 0.569_840_291, 0.819_172_513];
    let site = |i: usize| Vec3::from(golden.map(|g| (g * (i + 1) as f64).fract()));
    let positions = (0..n)
        .map(|i| {
            let s = site(i);
            let open = cell.periodic().map(|p| !p);
            // the middle of a direction that is not periodic
            let s = Vec3::from_fn(|k, _| if open[k] && !cell.is_open() { 0.25 + 0.3 * s[k] } else { s[k] });
            if cell.is_open() { 8.0 * s } else { cell.matrix() * s }
        })
        .collect();
    (system, State::at_rest(positions, cell))
}

fn triclinic(periodic: [bool; 3]) -> Cell {
    let h = Mat3::new(7.0, 1.9, -2.1, 0.3, 8.0, 1.1, 0.0, -0.7, 9.0);
    Cell::from_matrix(h, periodic).expect("a cell")
}

fn energy_of(evaluator: &mut Evaluator, system: &System, positions: &[Vec3], cell: &Cell) -> f64 {
    let state = State::at_rest(positions.to_vec(), cell.clone());
    evaluator.ensure(system, &state, Properties::ENERGY, Properties::ENERGY).unwrap().energy
}

/// Forces and virial against differences of the energy; sums of atom properties against totals.
fn check_derivatives(make: impl Fn() -> Box<dyn Potential>, system: &System, state: &State, tolerance: f64) {
    let mut evaluator = Evaluator::new(vec![make()], 0.3, Search::Auto);
    let want = evaluator.provides() & everything();
    let out = evaluator.ensure(system, state, want, want).unwrap().clone();
    let (x, cell) = (state.positions(), state.cell());
    let scale = out.forces.iter().map(|f| f.norm()).fold(1e-3, f64::max);
    let h = 1e-3;
    let slope =
        |e: &mut dyn FnMut(f64) -> f64| (8.0 * (e(h) - e(-h)) - (e(2.0 * h) - e(-2.0 * h))) / (12.0 * h);
    for i in [0, 5, 11] {
        for d in 0..3 {
            let mut moved = |s: f64| {
                let mut y = x.to_vec();
                y[i][d] += s;
                energy_of(&mut evaluator, system, &y, cell)
            };
            let f = -slope(&mut moved);
            assert!(
                (f - out.forces[i][d]).abs() < tolerance * scale,
                "force {i} {d}: {f} {}",
                out.forces[i][d]
            );
        }
    }
    let w = out.virial.norm().max(1e-3);
    for a in 0..3 {
        for b in 0..3 {
            let mut strained = |s: f64| {
                let mut f = Mat3::identity();
                // symmetric strain: the energy does not change under rotation
                f[(a, b)] += 0.5 * s;
                f[(b, a)] += 0.5 * s;
                let y: Vec<Vec3> = x.iter().map(|r| f * r).collect();
                energy_of(&mut evaluator, system, &y, &cell.deformed(&f).unwrap())
            };
            let fd = -slope(&mut strained);
            let mine = out.virial[(a, b)];
            assert!((fd - mine).abs() < tolerance * w, "virial {a}{b}: {fd} {mine}");
        }
    }
    assert!((out.virial - out.virial.transpose()).norm() < 1e-10 * w);
    let sum: f64 = out.atom_energies.iter().sum();
    assert!((sum - out.energy).abs() < 1e-11 * out.energy.abs().max(1.0), "{sum} {}", out.energy);
    if want.contains(Properties::ATOM_VIRIALS) {
        let sum: Mat3 = out.atom_virials.iter().sum();
        assert!((sum - out.virial).norm() < 1e-10 * w);
        // a mesh takes a little momentum
        let total: Vec3 = out.forces.iter().sum();
        assert!(total.norm() < 1e-10 * scale, "net force {total}");
    }
    // the same numbers whatever is wanted
    for want in [Properties::ENERGY, Properties::ENERGY | Properties::FORCES, Properties::VIRIAL] {
        let mut evaluator = Evaluator::new(vec![make()], 0.3, Search::Auto);
        let part = evaluator.ensure(system, state, want, want).unwrap();
        assert_eq!(part.energy.to_bits(), out.energy.to_bits());
        assert!(!want.contains(Properties::FORCES) || part.forces == out.forces);
        assert!(!want.contains(Properties::VIRIAL) || part.virial == out.virial);
    }
}

fn some_exclusions() -> Exclusions {
    let scaled = ScaledPair { atoms: [3, 4], coulomb: 0.4, van_der_waals: 0.5 };
    Exclusions::new(14, &[ScaledPair::excluded(0, 1), ScaledPair::excluded(5, 0), scaled]).expect("pairs")
}

fn ewald(exclusions: Exclusions) -> LongRange {
    let (alpha, cutoff) = (6.2 / 6.0, 6.0);
    LongRange::ewald(alpha, cutoff, 2.0 * alpha * 6.2, COULOMB, exclusions)
}

#[test]
fn forces_and_virials_are_derivatives() {
    let none = Exclusions::default;
    let (system, state) = ions(Cell::open(), 0.3);
    check_derivatives(|| Box::new(TruncatedCoulomb::direct(COULOMB, none())), &system, &state, 1e-7);
    check_derivatives(
        || Box::new(TruncatedCoulomb::direct(COULOMB, some_exclusions())),
        &system,
        &state,
        1e-7,
    );
    let (system, state) = ions(triclinic([true; 3]), 0.0);
    let dsf = || TruncatedCoulomb::shifted_force(0.4, 9.0, COULOMB, some_exclusions());
    check_derivatives(|| Box::new(dsf()), &system, &state, 1e-6);
    check_derivatives(|| Box::new(ewald(none())), &system, &state, 1e-7);
    check_derivatives(|| Box::new(ewald(some_exclusions())), &system, &state, 1e-7);
    // with a background
    let (system, state) = ions(triclinic([true; 3]), 2.0);
    check_derivatives(|| Box::new(ewald(some_exclusions())), &system, &state, 1e-7);
}

fn pme(order: SplineOrder, grid: [usize; 3], exclusions: Exclusions) -> LongRange {
    LongRange::pme(1.0, 6.2, GridRule::Fixed(grid), order, COULOMB, exclusions)
}

#[test]
fn mesh_forces_and_virials_are_derivatives_on_any_grid() {
    let orders = [SplineOrder::Four, SplineOrder::Five, SplineOrder::Six];
    for (order, grid) in orders.into_iter().zip([[14, 16, 18], [15, 8, 21], [12, 13, 25]]) {
        let (system, state) = ions(triclinic([true; 3]), 1.0);
        check_derivatives(|| Box::new(pme(order, grid, some_exclusions())), &system, &state, 1e-7);
    }
    let (system, state) = ions(triclinic([true, false, true]), 0.0);
    let slab = || pme(SplineOrder::Five, [16, 13, 18], some_exclusions()).with_slab_factor(5.0);
    check_derivatives(|| Box::new(slab()), &system, &state, 1e-7);
}

#[test]
fn mesh_sums_converge_to_the_exact_ones() {
    for periodic in [[true; 3], [true, true, false]] {
        let (system, state) = ions(triclinic(periodic), 0.0);
        let third = if periodic[2] { 72 } else { 67 };
        let want = Properties::ENERGY | Properties::FORCES | Properties::VIRIAL | Properties::ATOM_ENERGIES;
        let sum = |p: LongRange| {
            let mut evaluator = Evaluator::new(vec![Box::new(p)], 0.3, Search::Auto);
            evaluator.ensure(&system, &state, want, want).unwrap().clone()
        };
        let exact = sum(ewald(some_exclusions()));
        let mesh = sum(pme(SplineOrder::Six, [72, 80, third], some_exclusions()));
        assert!((mesh.energy / exact.energy - 1.0).abs() < 2e-7, "{} {}", mesh.energy, exact.energy);
        assert!((mesh.virial - exact.virial).norm() < 1e-6 * exact.virial.norm());
        for i in 0..system.len() {
            assert!((mesh.forces[i] - exact.forces[i]).norm() < 1e-5, "{}", mesh.forces[i] - exact.forces[i]);
            assert!((mesh.atom_energies[i] - exact.atom_energies[i]).abs() < 1e-5);
        }
    }
}

/// sqrt(Σ|f - g|² / Σ|g|²).
fn relative_rms(mine: &[Vec3], exact: &[Vec3]) -> f64 {
    let error: f64 = mine.iter().zip(exact).map(|(a, b)| (a - b).norm_squared()).sum();
    (error / exact.iter().map(Vec3::norm_squared).sum::<f64>()).sqrt()
}

#[test]
fn the_tolerance_of_a_mesh_sum_is_the_scale_of_its_error() {
    let Some(water) = frames("classical/spce_water_ewald.extxyz") else { return };
    let salt = frames("classical/ewald_nacl.extxyz").expect("beside the other file");
    let liquid = water.iter().map(|f| (f, ["O", "H"], "forces_coulomb"));
    let melt = salt.iter().filter(|f| f.name() != "unit_cell").map(|f| (f, ["Na", "Cl"], "forces"));
    for (frame, species, column) in liquid.chain(melt) {
        let (system, state) = charged(frame, &species);
        let exclusions = if column == "forces" { Exclusions::default() } else { rigid_water(system.len()) };
        for tolerance in [1e-3, 1e-4, 1e-5, 1e-6] {
            for order in [SplineOrder::Four, SplineOrder::Five, SplineOrder::Six] {
                let (alpha, spacing) = order.parameters(tolerance, 9.0);
                let rule = GridRule::Spacing(spacing);
                if spacing < 0.2 {
                    continue;
                }
                let sum = LongRange::pme(alpha, 9.0, rule, order, COULOMB, exclusions.clone());
                let mut evaluator = Evaluator::new(vec![Box::new(sum)], 0.0, Search::Auto);
                let want = Properties::ENERGY | Properties::FORCES;
                let out = evaluator.ensure(&system, &state, want, want).unwrap();
                let error = relative_rms(&out.forces, &frame.vectors(column));
                println!("{} {order:?} {tolerance:e}: {:.2} tolerances", frame.name(), error / tolerance);
                // measured: water up to 1.3, the melt 2.7, crystals (small differences of large forces) 7.8
                let most = if column == "forces" && frame.name() != "melt" { 10.0 } else { 3.0 };
                assert!(error < most * tolerance, "{} {order:?} {tolerance:e} {error:e}", frame.name());
            }
        }
    }
}

/// Sums that name nothing but a tolerance: the cutoff follows, and the forces are those of an exact sum to the tolerance.
#[test]
fn automatic_cutoffs_keep_the_tolerance() {
    let Some(salt) = frames("classical/ewald_nacl.extxyz") else { return };
    for frame in salt.iter().filter(|f| f.name() == "melt") {
        let (system, state) = charged(frame, &["Na", "Cl"]);
        let compute = |text: &str| {
            let potential = support::try_potential_in(
                &system,
                state.cell(),
                UnitSystem::Physical,
                &format!("[coulomb]\n{text}"),
            )
            .unwrap_or_else(|e| panic!("{text}: {}", e.message));
            let cutoff = potential.cutoff().unwrap();
            let mut evaluator = Evaluator::new(vec![potential], 0.0, Search::Auto);
            let want = Properties::ENERGY | Properties::FORCES;
            let out = evaluator.ensure(&system, &state, want, want).unwrap();
            (cutoff, relative_rms(&out.forces, &frame.vectors("forces")))
        };
        let density = system.len() as f64 / state.cell().volume();
        let sphere = (300.0 * 0.75 / std::f64::consts::PI / density).cbrt();
        for (text, most, radius) in [
            ("method = { ewald = {} }", 1e-5, None),
            ("method = { ewald = { tolerance = 1e-12 } }", 1e-10, None),
            ("method = { pme = {} }", 3e-4, Some(sphere)),
            ("method = { pme = { tolerance = 1e-6, order = 6 } }", 3e-6, Some(sphere)),
            ("method = { pme = { tolerance = 1e-5, alpha = \"0.4 1/Å\" } }", 3e-5, None),
        ] {
            let (cutoff, error) = compute(text);
            println!("{text}: cutoff {cutoff:.2} Å, error {error:.1e}");
            assert!(error < most, "{text}: {error:e}");
            assert!(radius.is_none_or(|r| (r - cutoff).abs() < 1e-12 * r), "{text}: {cutoff}");
        }
    }
}

/// A box of three-site water that OpenMM wrote: lattice vectors and positions in Å.
fn openmm_water(name: &str) -> Option<(System, State)> {
    use std::io::Read;
    let file =
        std::fs::File::open(caloron_engine::testing::reference(&format!("openmm/{name}.state.xml.gz"))?);
    let mut text = String::new();
    flate2::read::GzDecoder::new(file.expect("readable")).read_to_string(&mut text).expect("text");
    let vectors = |from: &str, to: &str| -> Vec<Vec3> {
        let part = text.split_once(from).expect("the element").1.split_once(to).expect("its end").0;
        let number = |line: &str, key: &str| -> f64 {
            let value = line.split_once(key).expect("an attribute").1.split('"').next().expect("a value");
            10.0 * value.parse::<f64>().expect("a number")
        };
        let lines = part.split('<').filter(|l| l.contains("x=\""));
        lines.map(|l| Vec3::new(number(l, "x=\""), number(l, "y=\""), number(l, "z=\""))).collect()
    };
    let h = vectors("<PeriodicBoxVectors", "</PeriodicBoxVectors>");
    let positions = vectors("<Positions", "</Positions>");
    let species = vec![Species { symbol: "X".into(), number: None, mass: 1.0 }];
    let mut system = System::new(species, vec![0; positions.len()]);
    let [oxygen, hydrogen] = if name.contains("spce") { [-0.8476, 0.4238] } else { [-0.834, 0.417] };
    let charge = |i: usize| if i.is_multiple_of(3) { oxygen } else { hydrogen };
    system.set_charges((0..positions.len()).map(charge).collect());
    let cell = Cell::new([h[0], h[1], h[2]], [true; 3]).expect("a cell");
    Some((system, State::at_rest(positions, cell)))
}

#[test]
fn water_boxes_of_openmm_have_the_exact_energies() {
    // kJ/mol, of reference/openmm/exact_ewald.json.gz; two boxes are truncated octahedra or skewed
    let cases = [
        ("water_tip3p", -16_032.506_936_238_156),
        ("water_spce", -18_622.895_042_365_668),
        ("water_tip3p_truncoct", -14_396.030_716_632_813),
        ("water_tip3p_flexible", -14_479.546_049_387_88),
    ];
    for (name, exact) in cases {
        let Some((system, state)) = openmm_water(name) else { return };
        // kJ/mol Å
        let constant = 1_389.354_576_443_819_8;
        let s = 5.6;
        let molecules = rigid_water(system.len());
        let energy = |sum: LongRange| {
            let mut evaluator = Evaluator::new(vec![Box::new(sum)], 0.0, Search::Auto);
            evaluator.ensure(&system, &state, Properties::ENERGY, Properties::ENERGY).unwrap().energy
        };
        let ewald = energy(LongRange::ewald(s / 9.0, 9.0, 2.0 * s * s / 9.0, constant, molecules.clone()));
        assert!((ewald / exact - 1.0).abs() < 1e-11, "{name}: {ewald} {exact}");
        let (alpha, spacing) = SplineOrder::Six.parameters(1e-6, 9.0);
        let rule = GridRule::Spacing(spacing);
        let mesh = energy(LongRange::pme(alpha, 9.0, rule, SplineOrder::Six, constant, molecules));
        println!("{name}: {:.1e} {:.1e}", ewald / exact - 1.0, mesh / exact - 1.0);
        assert!((mesh / exact - 1.0).abs() < 1e-6, "{name}: {mesh} {exact}");
    }
}

#[test]
fn a_charged_cell_has_a_neutralising_background() {
    // one ion per cubic cell: the Wigner crystal, E = -1.4186487397403 k q²/a
    let (system, state) = crystal(Mat3::identity(), &[(1.0, [0.0; 3])]);
    let sum =
        LongRange::ewald(2.5, 2.4, 30.0, 1.0, Exclusions::default()).prepared_for(&system, state.cell());
    assert!(sum.warnings()[0].contains("background"));
    let out = evaluate(Box::new(sum), &system, &state);
    assert!((out.energy + 1.418_648_739_740_31).abs() < 1e-11, "{:.15}", out.energy);
}

#[test]
fn slabs_do_not_feel_their_images() {
    for open in 0..3 {
        let mut periodic = [true; 3];
        periodic[open] = false;
        let (system, state) = ions(triclinic(periodic), 0.0);
        let make = |factor: f64| ewald(some_exclusions()).with_slab_factor(factor);
        check_derivatives(|| Box::new(make(4.0)), &system, &state, 1e-7);
        // the result does not depend on the vacuum
        let (near, far) =
            (evaluate(Box::new(make(6.0)), &system, &state), evaluate(Box::new(make(9.0)), &system, &state));
        assert!((near.energy - far.energy).abs() < 1e-8 * far.energy.abs(), "{} {}", near.energy, far.energy);
        for (a, b) in near.forces.iter().zip(&far.forces) {
            assert!((a - b).norm() < 1e-8);
        }
    }
    // two opposite sheets of charge attract with the field of a capacitor: E = 2 π k σ² A d, far apart on a fine lattice
    let cell = Cell::new([Vec3::x() * 2.0, Vec3::y() * 2.0, Vec3::z() * 40.0], [true, true, false]).unwrap();
    let species = vec![Species { symbol: "X".into(), number: None, mass: 1.0 }];
    let mut system = System::new(species, vec![0; 2]);
    system.set_charges(vec![1.0, -1.0]);
    let force = |d: f64| {
        let state = State::at_rest(vec![Vec3::zeros(), Vec3::new(0.0, 0.0, d)], cell.clone());
        let sum = LongRange::ewald(0.9, 6.5, 10.5, 1.0, Exclusions::default());
        evaluate(Box::new(sum), &system, &state).forces[0].z
    };
    let field = 2.0 * std::f64::consts::PI / 4.0;
    assert!((force(12.0) / field - 1.0).abs() < 1e-10, "{}", force(12.0) / field);
    assert!((force(25.0) / field - 1.0).abs() < 1e-10, "{}", force(25.0) / field);
}

#[test]
fn results_do_not_depend_on_threads() {
    let Some(reference) = frames("classical/ewald_nacl.extxyz") else { return };
    let frame = reference.iter().max_by_key(|f| f.symbols.len()).expect("frames");
    let (system, state) = charged(frame, &["Na", "Cl"]);
    let with = |threads: usize, text: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let mut evaluator = Evaluator::new(vec![coulomb(&system, text)], 0.3, Search::Auto);
            let want = evaluator.provides() & everything();
            evaluator.ensure(&system, &state, want, want).unwrap().clone()
        })
    };
    for text in [
        "method = { ewald = { cutoff = \"8 Å\" } }",
        "method = { pme = { cutoff = \"8 Å\" } }",
        "method = { damped_shifted_force = { cutoff = \"8 Å\", alpha = \"0.2 1/Å\" } }",
    ] {
        let (one, three) = (with(1, text), with(3, text));
        assert_eq!((one.energy.to_bits(), one.virial), (three.energy.to_bits(), three.virial));
        assert_eq!(one.forces, three.forces);
    }
}

#[test]
fn wrong_input_is_refused_with_advice() {
    let (system, _) = ions(triclinic([true; 3]), 0.0);
    let error = |system: &System, text: &str| {
        let e = support::try_potential(system, UnitSystem::Physical, &format!("[coulomb]\n{text}")).err();
        let e = e.expect("an error");
        format!("{}: {}", e.key, e.message)
    };
    let text = error(&system, "method = { ewald = { cutoff = \"8 Å\", tolerance = 0 } }");
    assert!(text.starts_with("coulomb.method.ewald.tolerance: 0 is out of range"), "{text}");
    let text = error(&system, "method = { cut = { cutoff = \"-8 Å\" } }");
    assert!(text.starts_with("coulomb.method.cut.cutoff: -8 is out of range"), "{text}");
    let text =
        error(&system, "method = \"direct\"\nscaled_pairs = [{ atoms = [0, 1] }, { atoms = [1, 14] }]");
    assert!(text.starts_with("coulomb.scaled_pairs[1]: there is no atom 14"), "{text}");
    let text = error(&system, "method = { pme = { cutoff = \"8 Å\", order = 7 } }");
    assert!(text.starts_with("coulomb.method.pme.order: 7 is out of range"), "{text}");
    let text = error(&system, "method = { pme = { cutoff = \"8 Å\", grid = [4, 64, 64] } }");
    assert!(text.starts_with("coulomb.method.pme.grid: [4, 64, 64] is out of range"), "{text}");
    let mut neutral = system.clone();
    neutral.set_charges(vec![0.0; 14]);
    assert!(error(&neutral, "method = \"direct\"").contains("no atom has a charge"));
    // geometry
    let (system, state) = ions(triclinic([true; 3]), 0.0);
    let mut evaluator = Evaluator::new(vec![coulomb(&system, "method = \"direct\"")], 0.3, Search::Auto);
    let message = evaluator.ensure(&system, &state, everything(), everything()).unwrap_err().to_string();
    assert!(message.contains("use ewald or pme"), "{message}");
    let (system, state) = ions(triclinic([true, false, false]), 0.0);
    let mut evaluator = Evaluator::new(vec![Box::new(ewald(Exclusions::default()))], 0.3, Search::Auto);
    let message = evaluator.ensure(&system, &state, everything(), everything()).unwrap_err().to_string();
    assert!(message.contains("periodic in 1 directions"), "{message}");
}

/// The conformance suite on every method: jittered ions in a skewed cell that is smaller than the cutoff in places, and an open
/// cluster.
#[test]
fn every_method_conforms() {
    use caloron_engine::testing::{Check, Options, check_potential};
    let screened = "cutoff = \"9 Å\", alpha = \"0.25 1/Å\"";
    let periodic = [
        ("damped_shifted_force", format!("method = {{ damped_shifted_force = {{ {screened} }} }}"), 1e-5),
        (
            "reaction_field",
            "method = { reaction_field = { cutoff = \"9 Å\", dielectric = inf } }".to_owned(),
            1e-5,
        ),
        ("ewald", "method = { ewald = { cutoff = \"9 Å\", tolerance = 1e-10 } }".to_owned(), 1e-5),
        ("pme", "method = { pme = { cutoff = \"9 Å\", tolerance = 1e-8, order = 6 } }".to_owned(), 1e-5),
    ];
    let cell = triclinic([true; 3]);
    let (system, state) = ions(cell, 0.0);
    for (name, text, tolerance) in periodic {
        let mesh = name == "pme";
        // a mesh sees rotated, wrapped and repeated systems within its own accuracy, which has tests of its own
        let checks = Check::ALL.into_iter().filter(|c| {
            !mesh
                || !matches!(
                    c,
                    Check::Supercell | Check::SmallCell | Check::Permutation | Check::OpenBoundaries
                )
        });
        let lattice = mesh || name == "ewald";
        let checks = checks.filter(|c| !lattice || *c != Check::OpenBoundaries).collect();
        // exact sums are cut at 1e-10 of their size
        let rounding = if mesh { 1e-6 } else { 1e-8 };
        let options = Options {
            checks,
            difference_tolerance: tolerance,
            rounding_tolerance: rounding,
            ..Options::default()
        };
        let mut potential = coulomb(&system, &text);
        let report = check_potential(potential.as_mut(), &system, &state, &options).unwrap();
        assert!(report.passed(), "{name}\n{report}");
    }
    // the energy of plain truncation jumps at the cutoff, the force of Wolf's sum
    for (text, jumps) in
        [("cut = { cutoff = \"9 Å\" }".to_owned(), true), (format!("wolf = {{ {screened} }}"), false)]
    {
        let mut potential = coulomb(&system, &format!("method = {{ {text} }}"));
        assert_eq!(potential.jumps_at_cutoff(), jumps, "{text}");
        let report = check_potential(potential.as_mut(), &system, &state, &Options::default()).unwrap();
        assert!(report.passed(), "{text}\n{report}");
    }
    let open = State::at_rest(state.positions().to_vec(), Cell::open());
    let mut direct = coulomb(&system, "method = \"direct\"");
    let checks = Check::ALL.into_iter().filter(|c| *c != Check::OpenBoundaries).collect();
    let options = Options { checks, ..Options::default() };
    let report = check_potential(direct.as_mut(), &system, &open, &options).unwrap();
    assert!(report.passed(), "direct\n{report}");
}
