//! Interactions between chosen atoms, and times a factor.
use crate::golden::{build, frames, potentials, system};
use caloron_engine::neighbors::Search;
use caloron_engine::testing::{Check, Options, check_potential};
use caloron_engine::topology::{Bond, Topology, TopologyParts};
use caloron_engine::{Archive, Cell, Evaluator, Mat3, Outputs, Potential, Properties, State, System, Vec3};
use caloron_potentials::selection::{Atoms, Link, Scaled, Selected, part};
use std::path::Path;

const COPPER: &str = "eam = { file = \"CuNi.eam.alloy\" }";

/// A copper-nickel alloy of the reference data.
fn alloy() -> Option<(System, State)> {
    let frames = frames("classical/eam_alloy_cuni.extxyz")?;
    let frame = frames.iter().find(|f| f.name == "triclinic").unwrap();
    let system = system(&["Cu", "Ni"], &frame.symbols);
    Some((system, State::at_rest(frame.positions.clone(), frame.cell.clone())))
}

fn species(name: &str) -> Atoms {
    Atoms::Species(vec![name.to_owned()])
}

/// The alloy's potential between atoms of one species.
fn between(system: &System, atoms: Atoms) -> Selected {
    let part = system.subset(&atoms.indices(system).unwrap());
    let inner = build(COPPER, &potentials().unwrap(), &part).unwrap();
    Selected::new(inner, atoms, system, 0.5, Search::Auto).unwrap()
}

fn evaluate(potential: Box<dyn Potential>, system: &System, state: &State, want: Properties) -> Outputs {
    Evaluator::new(vec![potential], 0.5, Search::Auto).ensure(system, state, want, want).unwrap().clone()
}

const EVERYTHING: Properties = Properties::all().difference(Properties::EXTRAS);

#[test]
fn a_restricted_interaction_sees_the_chosen_atoms_alone() {
    let Some((system, state)) = alloy() else { return };
    for name in ["Cu", "Ni"] {
        let chosen = species(name).indices(&system).unwrap();
        let part = system.subset(&chosen);
        assert_eq!((part.len(), part.species().len()), (chosen.len(), 1));
        let positions: Vec<Vec3> = chosen.iter().map(|&i| state.positions()[i as usize]).collect();
        let alone = build(COPPER, &potentials().unwrap(), &part).unwrap();
        let alone = evaluate(alone, &part, &State::at_rest(positions, state.cell().clone()), EVERYTHING);
        let out = evaluate(Box::new(between(&system, species(name))), &system, &state, EVERYTHING);
        assert_eq!((out.energy, out.virial), (alone.energy, alone.virial));
        assert!(alone.energy < -1.0);
        let mut rest: Vec<usize> = (0..system.len()).collect();
        for (k, &i) in chosen.iter().enumerate() {
            let i = i as usize;
            assert_eq!((out.forces[i], out.atom_energies[i]), (alone.forces[k], alone.atom_energies[k]));
            assert_eq!(out.atom_virials[i], alone.atom_virials[k]);
            rest.retain(|&r| r != i);
        }
        assert!(!rest.is_empty() && rest.iter().all(|&i| out.forces[i] == Vec3::zeros()));
    }
}

#[test]
fn groups_are_another_way_to_say_it() {
    let Some((mut system, state)) = alloy() else { return };
    let copper = species("Cu").indices(&system).unwrap();
    system.set_group("first", copper[..copper.len() / 2].to_vec());
    system.set_group("second", copper[copper.len() / 2..].to_vec());
    let groups = Atoms::Groups(vec!["second".into(), "first".into()]);
    let a = evaluate(Box::new(between(&system, groups)), &system, &state, EVERYTHING);
    let b = evaluate(Box::new(between(&system, species("Cu"))), &system, &state, EVERYTHING);
    assert_eq!((a.energy, a.forces), (b.energy, b.forces));
}

#[test]
fn wrong_selections_are_explained() {
    let Some((system, _)) = alloy() else { return };
    let said = |atoms: Atoms| {
        let e = atoms.indices(&system).unwrap_err();
        format!("{} | {} | {}", e.key, e.message, e.hint.unwrap_or_default())
    };
    let text = said(Atoms::Species(vec!["Cu".into(), "Zn".into()]));
    assert!(text.contains("species[1]") && text.contains("`Zn`") && text.contains("Cu, Ni"), "{text}");
    let text = said(Atoms::Groups(vec!["core".into()]));
    assert!(text.contains("groups[0]") && text.contains("`core`"), "{text}");
    assert!(said(Atoms::Species(Vec::new())).contains("empty"));
}

#[test]
fn a_factor_scales_everything_and_gives_its_derivative() {
    let Some((system, state)) = alloy() else { return };
    let all = || build(COPPER, &potentials().unwrap(), &system).unwrap();
    let plain = evaluate(all(), &system, &state, EVERYTHING);
    let energy = |factor: f64| {
        let potential = Box::new(Scaled::new(all(), factor, 3));
        assert_eq!(potential.extras().last().unwrap().name, "du_dscale_3");
        let out = evaluate(potential, &system, &state, Properties::all());
        assert!((out.energy - factor * plain.energy).abs() < 1e-12 * plain.energy.abs());
        assert!((out.virial - factor * plain.virial).norm() < 1e-12 * plain.virial.norm());
        let close = |a: &Vec3, b: &Vec3| (a - factor * b).norm() < 1e-12;
        assert!(out.forces.iter().zip(&plain.forces).all(|(a, b)| close(a, b)));
        (out.energy, out.extras[0].values[0])
    };
    let (below, derivative) = energy(0.4);
    let (above, _) = energy(0.4 + 1e-3);
    assert!(((above - below) / 1e-3 - derivative).abs() < 1e-9 * derivative.abs());
    // decoupled, the derivative is still there
    assert_eq!(energy(0.0), (0.0, plain.energy));
}

#[test]
fn both_conform() {
    let Some((system, state)) = alloy() else { return };
    let mut part = Scaled::new(Box::new(between(&system, species("Ni"))), -0.7, 0);
    let options = Options { atoms: 4, displacement: 1e-4, strain: 2e-5, ..Options::default() };
    let report = check_potential(&mut part, &system, &state, &options).unwrap();
    assert!(report.passed(), "{report}");
}

#[test]
fn its_neighbour_list_survives_a_restart() {
    let Some((system, mut state)) = alloy() else { return };
    let fresh = || Evaluator::new(vec![Box::new(between(&system, species("Cu")))], 0.5, Search::Auto);
    let mut first = fresh();
    first.ensure(&system, &state, EVERYTHING, EVERYTHING).unwrap();
    // moved by less than the skin: the list stays, and with it the order of additions
    for (k, r) in state.positions_mut().iter_mut().enumerate() {
        r.x += 0.1 * (k as f64).sin();
        r.z -= 0.1 * (2.3 * k as f64).cos();
    }
    let mut archive = Archive::writer();
    first.archive(&mut archive).unwrap();
    let mut second = fresh();
    second.archive(&mut Archive::reader(archive.into_bytes())).unwrap();
    let a = first.ensure(&system, &state, EVERYTHING, EVERYTHING).unwrap();
    let b = second.ensure(&system, &state, EVERYTHING, EVERYTHING).unwrap();
    assert_eq!((a.energy, &a.forces), (b.energy, &b.forces));
}

/// A chain of six carbon atoms, which the cell cuts, with a hydrogen at its head.
fn chain(inner: &[u32]) -> (System, State) {
    let mut system = system(&["C", "H"], &["C", "C", "C", "C", "C", "C", "H"].map(str::to_owned));
    let bonds = [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [0, 6]].map(|atoms| Bond { atoms, length: None });
    let parts = TopologyParts { bonds: bonds.to_vec(), ..TopologyParts::default() };
    system.set_topology(Topology::new(7, parts).unwrap()).unwrap();
    system.set_group("inner", inner.to_vec());
    let positions = [
        [6.1, 1.0, 2.2],
        [7.5, 1.3, 2.6],
        [8.1, 2.7, 2.4],
        [0.4, 2.8, 3.1],
        [1.0, 4.2, 3.0],
        [2.4, 4.3, 3.7],
        [5.5, 1.6, 2.9],
    ]
    .map(Vec3::from);
    let cell = Cell::from_matrix(Mat3::new(9.0, 1.1, -0.4, 0.0, 8.5, 0.7, 0.0, 0.0, 9.5), [true; 3]).unwrap();
    (system, State::at_rest(positions.to_vec(), cell))
}

const CARBON: &str = "lennard_jones = { cutoff = \"6 Å\", mixing = \"lorentz_berthelot\", species = [{ name = \"C\", epsilon = \"0.2 eV\", \
                      sigma = \"1.4 Å\" }, { name = \"H\", epsilon = \"0.1 eV\", sigma = \"1.0 Å\" }] }";

#[test]
fn link_atoms_close_cut_bonds_and_pass_their_forces_on() {
    for (inner, links) in [(vec![0, 1, 2, 6], 1), (vec![1, 2, 3], 2), (vec![0, 1, 2, 3, 4, 5], 1)] {
        let (system, state) = chain(&inner);
        let atoms = Atoms::Groups(vec!["inner".into()]);
        let cut = Link::cut(&system, &inner, 0.7);
        assert_eq!(cut.len(), links);
        let (small, positions) = part(&system, &inner, &cut, state.positions(), state.cell());
        assert_eq!((small.len(), positions.len()), (inner.len() + links, inner.len() + links));
        assert_eq!(small.symbol(inner.len()), "H");
        let made = || build(CARBON, Path::new("."), &small).unwrap();
        // the link lies on the bond, also where the cell cuts it
        for (link, r) in cut.iter().zip(&positions[inner.len()..]) {
            let [i, o] = [link.inside, link.outside].map(|a| &state.positions()[a as usize]);
            let [a, b] = [(r - i).norm(), state.cell().shortest(r, o).norm()];
            assert!((a / (a + b) - 0.7).abs() < 1e-12 && a + b < 1.7, "{a} {b}");
        }
        let alone = evaluate(made(), &small, &State::at_rest(positions, state.cell().clone()), EVERYTHING);
        let mut linked =
            Selected::linked(made(), atoms.clone(), &system, 0.5, Search::Auto, Some(0.7)).unwrap();
        assert!(linked.describe().last().unwrap().contains(&format!("{links} bonds are cut")));
        let checks = [
            Check::Forces,
            Check::Virial,
            Check::AtomSums,
            Check::Translation,
            Check::Rotation,
            Check::Wrapping,
            Check::Wants,
            Check::Threads,
        ];
        let options = Options { checks: checks.to_vec(), ..Options::default() };
        let report = check_potential(&mut linked, &system, &state, &options).unwrap();
        assert!(report.passed(), "{inner:?}\n{report}");
        let out = evaluate(Box::new(linked), &system, &state, EVERYTHING);
        assert!((out.energy - alone.energy).abs() < 1e-12 && (out.virial - alone.virial).norm() < 1e-12);
        let total: Vec3 = out.forces.iter().sum();
        assert!(total.norm() < 1e-12 && out.forces[cut[0].outside as usize].norm() > 1e-3);
    }
}
