use crate::{BuildContext, PotentialSpec};
use caloron_engine::neighbors::Search;
use caloron_engine::quantity::reading_in;
use caloron_engine::{
    Cell, Evaluator, Mat3, Outputs, Potential, Properties, SpecError, Species, State, Stream, Streams,
    System, UnitSystem, Vec3,
};
use std::path::Path;

const ATOMS: usize = 7;

fn system() -> System {
    let species = |symbol: &str, mass| Species { symbol: symbol.into(), number: None, mass };
    let types = (0..ATOMS).map(|i| (i % 2) as u16).collect();
    let mut system = System::new(vec![species("A", 1.0), species("B", 3.5)], types);
    system.set_charges((0..ATOMS).map(|i| 0.3 * i as f64 - 0.7).collect());
    system.set_group("some", vec![1, 2, 5]);
    system.set_group("others", vec![0, 6]);
    system
}

/// Atoms within about 3 of the centre of a triclinic cell, some of them moved by lattice vectors.
fn state() -> State {
    let cell = Cell::from_lengths_angles([9.0, 10.0, 11.0], [80.0, 95.0, 103.0]).unwrap();
    let positions = (0..ATOMS)
        .map(|i| {
            let r =
                Streams { seed: 5 }.normal3(Stream::Test, 0, 0, i as u64) * 0.9 + Vec3::new(4.0, 5.0, 5.0);
            if i == 5 { r + cell.translation([0, 0, 1]) } else { r }
        })
        .collect();
    State::at_rest(positions, cell)
}

fn build(text: &str) -> Result<Box<dyn Potential>, SpecError> {
    let spec: PotentialSpec =
        reading_in(UnitSystem::Lj, || toml::from_str(text)).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let (system, state) = (system(), state());
    // the restraints are built around places a little off the atoms, so that they act
    let positions: Vec<_> = state.positions().iter().map(|r| r - Vec3::new(0.3, -0.2, 0.4)).collect();
    spec.build(&mut BuildContext {
        models: &Default::default(),
        system: &system,
        positions: &positions,
        cell: state.cell(),
        units: UnitSystem::Lj,
        directory: Path::new("."),
        files: Vec::new(),
    })
}

fn evaluate(text: &str, state: &State) -> Outputs {
    let mut evaluator = Evaluator::new(vec![build(text).unwrap()], 0.0, Search::BruteForce);
    let want = Properties::all().difference(Properties::EXTRAS);
    evaluator.ensure(&system(), state, want, want).unwrap().clone()
}

/// One of each; all act on some atoms of [`state`].
const ALL: [&str; 18] = [
    "[position_restraint]\nforce_constant = 2.5",
    "[position_restraint]\nforce_constants = [1.0, 0.0, 3.0]\ngroup = 'some'",
    "[position_restraint]\nforce_constant = 2.0\nreference = { point = [4, 5, 6] }",
    "[flat_bottom]\nforce_constant = 2.5\nradius = 0.5",
    "[flat_bottom]\nforce_constant = 2.5\nradius = 0.4\nreference = { point = [4, 5, 6] }",
    "[harmonic_trap]\nforce_constants = [1.0, 2.0, 0.0]\ncenter = [4, 5, 5]",
    "[harmonic_trap]\nforce_constant = 0.5\ngroup = 'others'",
    "[wall]\naxis = 'x'\nlow = 3.9\nprofile = { harmonic = { force_constant = 3 } }",
    "[wall]\naxis = 'x'\nlow = -3\nhigh = 9\nprofile = { lj93 = { epsilon = 1.5, sigma = 2, cutoff = 20 } }",
    "[wall]\naxis = 'y'\nlow = 1\nprofile = { lj126 = { epsilon = 1, sigma = 3, cutoff = 5 } }",
    "[wall]\naxis = 'z'\nhigh = 18\nprofile = { wca = { epsilon = 1, sigma = 8 } }",
    "[confinement]\nshape = { sphere = { center = [4, 5, 5], radius = 1 } }\nprofile = { harmonic = { force_constant = 2 } }",
    "[confinement]\nshape = { cylinder = { axis = 'z', center = [4, 5, 0], radius = 6 } }\nprofile = { lj93 = { epsilon = 1, sigma = 3, cutoff = 9 } }",
    "[constant_force]\nforce = [0.1, -0.2, 0.3]",
    "[electric_field]\nfield = [0.5, 0.1, -0.2]",
    "[gravity]\nacceleration = [0, 0, -0.3]\ngroup = 'others'",
    "[distance_restraint]\nfirst = { group = 'some' }\nsecond = { group = 'others' }\nforce_constant = 2\ndistance = 1.5",
    "[distance_restraint]\nfirst = { atom = 5 }\nsecond = { atom = 2 }\nforce_constant = 2\ndistance = 0",
];

fn energy(text: &str, state: &State) -> f64 {
    evaluate(text, state).energy
}

/// Derivative of a smooth function at 0, error of fourth order.
fn slope(f: impl Fn(f64) -> f64) -> f64 {
    let d = 1e-4;
    (8.0 * (f(d) - f(-d)) - (f(2.0 * d) - f(-2.0 * d))) / (12.0 * d)
}

#[test]
fn forces_are_the_derivative_of_the_energy() {
    for text in ALL {
        let at = state();
        let out = evaluate(text, &at);
        assert!(out.forces.iter().any(|f| f.norm() > 1e-3), "nothing acts: {text}");
        for i in 0..ATOMS {
            for k in 0..3 {
                let found = slope(|x| {
                    let mut moved = at.clone();
                    moved.positions_mut()[i][k] += x;
                    energy(text, &moved)
                });
                let f = out.forces[i][k];
                assert!((found + f).abs() < 1e-8 * (1.0 + f.abs()), "{text}\natom {i} {k}: {f} {found}");
            }
        }
    }
}

#[test]
fn the_virial_is_the_derivative_with_respect_to_strain() {
    for text in ALL {
        let at = state();
        let out = evaluate(text, &at);
        for i in 0..3 {
            for j in 0..3 {
                let found = slope(|x| {
                    let mut f = Mat3::identity();
                    f[(i, j)] += x;
                    let mut strained = at.clone();
                    strained.set_cell(at.cell().deformed(&f).unwrap());
                    strained.positions_mut().iter_mut().for_each(|r| *r = f * *r);
                    energy(text, &strained)
                });
                // r_i' = Σ_j (1 + ε)_ij r_j: -∂E/∂ε_ij = Σ f_i r_j
                let w = out.virial[(j, i)];
                assert!((found + w).abs() < 2e-7 * (1.0 + w.abs()), "{text}\n{i} {j}: {w} {found}");
            }
        }
    }
}

#[test]
fn shares_of_atoms_add_up_and_numbers_do_not_depend_on_what_is_wanted() {
    for text in ALL {
        let out = evaluate(text, &state());
        let sum: f64 = out.atom_energies.iter().sum();
        assert!((sum - out.energy).abs() < 1e-12 * (1.0 + sum.abs()), "{text}");
        let sum: Mat3 = out.atom_virials.iter().sum();
        assert!((sum - out.virial).abs().max() < 1e-11 * (1.0 + sum.abs().max()), "{text}");
        let mut evaluator = Evaluator::new(vec![build(text).unwrap()], 0.0, Search::BruteForce);
        let only = evaluator.ensure(&system(), &state(), Properties::FORCES, Properties::FORCES).unwrap();
        assert_eq!(only.forces, out.forces, "{text}");
    }
}

#[test]
fn groups_restrict_what_is_acted_on() {
    let out = evaluate(ALL[1], &state());
    let acted: Vec<usize> = (0..ATOMS).filter(|&i| out.forces[i] != Vec3::zeros()).collect();
    assert_eq!(acted, [1, 2, 5]);
}

#[test]
fn walls_have_the_published_energies() {
    // one atom at distance d; formulas of 9-3 and 12-6 walls
    let at = |x: f64| {
        let mut s = state();
        s.positions_mut().fill(Vec3::new(x, 0.0, 0.0));
        s
    };
    let per_atom = |text: &str, d: f64| energy(text, &at(d)) / ATOMS as f64;
    let lj93 = "[wall]\naxis = 'x'\nlow = 0\nprofile = { lj93 = { epsilon = 2, sigma = 1.5, cutoff = 4 } }";
    let e = |d: f64| 2.0 * (2.0 / 15.0 * (1.5f64 / d).powi(9) - (1.5f64 / d).powi(3));
    assert!((per_atom(lj93, 1.3) - (e(1.3) - e(4.0))).abs() < 1e-12);
    assert_eq!(per_atom(lj93, 4.1), 0.0);
    let wca = "[wall]\naxis = 'x'\nhigh = 10\nprofile = { wca = { epsilon = 2, sigma = 1 } }";
    assert!((per_atom(wca, 9.0) - 2.0).abs() < 1e-12); // E(σ) = ε
    assert_eq!(per_atom(wca, 8.8), 0.0);
    let behind = build(lj93)
        .map(|p| Evaluator::new(vec![p], 0.0, Search::BruteForce))
        .unwrap()
        .ensure(&system(), &at(-0.5), Properties::ENERGY, Properties::empty())
        .err()
        .unwrap()
        .to_string();
    assert!(behind.contains("behind a wall") && behind.contains("atom 0"), "{behind}");
}

#[test]
fn a_distance_restraint_takes_the_nearest_image() {
    let out = evaluate(ALL[17], &state());
    let s = state();
    let d = s.cell().shortest(&s.positions()[5], &s.positions()[2]);
    assert!(d.norm() < 5.0);
    assert!((out.energy - d.norm_squared()).abs() < 1e-12);
}

#[test]
fn references_follow_the_cell_and_unwrapped_positions() {
    let text = "[position_restraint]\nforce_constant = 1";
    let before = energy(text, &state());
    let f = Mat3::identity() * 1.1;
    let mut scaled = state();
    scaled.set_cell(state().cell().deformed(&f).unwrap());
    scaled.positions_mut().iter_mut().for_each(|r| *r = f * *r);
    assert!((energy(text, &scaled) / before - 1.21).abs() < 1e-12);
}

#[test]
fn wrong_specs_are_refused_with_their_key() {
    let profile = "profile = { wca = { epsilon = 1, sigma = 1 } }";
    for (text, key) in [
        ("[position_restraint]\nforce_constant = -1".to_owned(), "position_restraint.force_constant"),
        ("[position_restraint]\nforce_constants = [1, -1, 0]".into(), "position_restraint.force_constants[1]"),
        ("[harmonic_trap]".into(), "harmonic_trap.force_constant"),
        ("[harmonic_trap]\nforce_constant = 1\ngroup = 'sme'".into(), "harmonic_trap.group"),
        (format!("[wall]\naxis = 'x'\n{profile}"), "wall"),
        (format!("[wall]\naxis = 'x'\nlow = 2\nhigh = 1\n{profile}"), "wall.high"),
        (
            "[wall]\naxis = 'x'\nlow = 2\nprofile = { lj93 = { epsilon = 1, sigma = 0, cutoff = 2 } }".into(),
            "wall.profile.lj93.sigma",
        ),
        (
            format!("[confinement]\nshape = {{ sphere = {{ center = [0, 0, 0], radius = -1 }} }}\n{profile}"),
            "confinement.shape.sphere.radius",
        ),
        ("[gravity]\nacceleration = [0, 0, 0]".into(), "gravity.acceleration"),
        (
            "[distance_restraint]\nfirst = { atom = 7 }\nsecond = { atom = 0 }\nforce_constant = 1\ndistance = 1"
                .into(),
            "distance_restraint.first.atom",
        ),
        (
            "[distance_restraint]\nfirst = { atom = 1 }\nsecond = { group = 'some' }\nforce_constant = 1\ndistance = 1"
                .into(),
            "distance_restraint.second",
        ),
    ] {
        let error = build(&text).err().unwrap_or_else(|| panic!("accepted: {text}"));
        assert_eq!(error.key, key, "{text}");
    }
    let hint = build("[harmonic_trap]\nforce_constant = 1\ngroup = 'sme'").err().unwrap().hint;
    assert_eq!(hint.as_deref(), Some("did you mean `some`?"));
}

#[test]
fn forces_along_periodic_directions_are_warned_about() {
    assert!(!build(ALL[13]).unwrap().warnings().is_empty());
    assert!(!build(ALL[8]).unwrap().warnings().is_empty());
    assert!(build(ALL[0]).unwrap().warnings().is_empty());
    assert!(build(ALL[0]).unwrap().breaks_symmetry() && !build(ALL[16]).unwrap().breaks_symmetry());
}

#[test]
fn values_carry_units() {
    let read = |text: &str| reading_in(UnitSystem::Physical, || toml::from_str::<PotentialSpec>(text));
    for text in [
        "[position_restraint]\nforce_constant = '1000 kJ/mol/nm^2'\nreference = 'initial'",
        "[wall]\naxis = 'z'\nlow = '0 Å'\nprofile = { lj93 = { epsilon = '1 meV', sigma = '3 Å', cutoff = '1 nm' } }",
        "[constant_force]\nforce = ['1 pN', '0 pN', '0 pN']",
        "[electric_field]\nfield = ['0 V/nm', '0 V/nm', '0.1 V/nm']",
        "[gravity]\nacceleration = ['0 m/s^2', '0 m/s^2', '-9.81 m/s^2']",
    ] {
        assert!(read(text).is_ok(), "{text}: {}", read(text).err().unwrap());
    }
    assert!(read("[harmonic_trap]\nforce_constant = 3").is_err());
    assert!(read("[harmonic_trap]\nforce_constant = '3 eV'").is_err());
    assert!(read("[harmonic_trap]\nforce_constants = ['1 eV/Å^2', '1 eV/Å^2']").is_err());
}
