//! The conformance suite on every many-body potential, on the geometries of the reference data, and the same bits from
//! every instruction set.
use crate::golden::{build, frames, potentials, system};
use caloron_engine::neighbors::Search;
use caloron_engine::testing::{Check, Options, check_potential};
use caloron_engine::{Cell, Evaluator, Outputs, Potential, Properties, State, UnitSystem};
use caloron_potentials::BuildContext;
use caloron_potentials::many_body::eam::EamSpec;
use caloron_potentials::many_body::stillinger_weber::StillingerWeberSpec;
use caloron_potentials::many_body::tersoff::{TersoffModSpec, TersoffSpec, TersoffZblSpec};
use caloron_potentials::simd::Level;

const SNAP: &str = "snap = { file = \"InP_JCPA2020.snapcoeff\", parameters = \"InP_JCPA2020.snapparam\" }";
const QSNAP: &str = "snap = { file = \"Ni_Zuo_JPCA2020.quadratic.snapcoeff\", \
                     parameters = \"Ni_Zuo_JPCA2020.quadratic.snapparam\" }";

/// Case of the reference data, species, potential.
const CASES: [(&str, &[&str], &str); 14] = [
    ("eam_cu_u3", &["Cu"], "eam = { file = \"Cu_u3.eam\" }"),
    ("eam_alloy_cuni", &["Cu", "Ni"], "eam = { file = \"CuNi.eam.alloy\" }"),
    ("eam_fs_fe", &["Fe"], "eam = { file = \"Fe_mm.eam.fs\" }"),
    ("sw_si", &["Si"], "stillinger_weber = { file = \"Si.sw\" }"),
    ("sw_cdte", &["Cd", "Te"], "stillinger_weber = { file = \"CdTe.sw\" }"),
    ("tersoff_sic", &["Si", "C"], "tersoff = { file = \"SiC.tersoff\" }"),
    ("tersoff_mod_si", &["Si"], "tersoff_mod = { file = \"Si.tersoff.mod\" }"),
    ("tersoff_zbl_sic", &["Si", "C"], "tersoff_zbl = { file = \"SiC.tersoff.zbl\" }"),
    ("vashishta_sic", &["Si", "C"], "vashishta = { file = \"SiC.vashishta\" }"),
    ("edip_si", &["Si"], "edip = { file = \"Si.edip\" }"),
    ("edip_sic", &["Si", "C"], "edip = { file = \"SiC.edip\" }"),
    ("snap_zbl_inp2020", &["In", "P"], SNAP),
    ("qsnap_ni_zuo2020", &["Ni"], QSNAP),
    ("uf3_nb", &["Nb"], "uf3 = { file = \"Nb.uf3\" }"),
];

#[test]
fn every_potential_conforms() {
    let Some(directory) = potentials() else { return };
    let (mut failed, mut small) = (String::new(), 0);
    for (case, species, toml) in CASES {
        let frames = frames(&format!("classical/{case}.extxyz")).unwrap();
        // a unit cell smaller than the cutoff, a skewed cell, and an open cluster
        let chosen = |name: &str| {
            ["unit_cell_strained", "triclinic", "cluster_open"].contains(&name)
                || name.starts_with("perturbed_0")
        };
        for frame in frames.iter().filter(|f| chosen(&f.name)) {
            let system = system(species, &frame.symbols);
            let state = State::at_rest(frame.positions.clone(), frame.cell.clone());
            let mut potential = build(toml, &directory, &system).unwrap();
            // repeating a large cell costs much and shows nothing new
            let large = system.len() > 40;
            let options = Options {
                checks: Check::ALL
                    .into_iter()
                    .filter(|c| !(large && [Check::Supercell, Check::SmallCell].contains(c)))
                    .collect(),
                atoms: 4,
                // tables have second derivatives that jump, so differences are taken over short ways
                displacement: 1e-4,
                strain: 2e-5,
                ..Options::default()
            };
            let report = check_potential(potential.as_mut(), &system, &state, &options).unwrap();
            if !report.passed() {
                failed.push_str(&format!("{case} {}\n{report}\n", frame.name));
            }
            small += report
                .outcomes
                .iter()
                .filter(|o| o.check == Check::SmallCell && o.measured.is_some())
                .count();
        }
    }
    assert!(small >= 8, "only {small} cells were smaller than the cutoff");
    assert!(failed.is_empty(), "{failed}");
}

/// Everything a potential gives on a frame of a case.
fn outputs<P: Potential + 'static>(
    case: &str,
    species: &[&str],
    make: impl Fn(&mut BuildContext<'_>) -> P,
) -> Vec<Outputs> {
    let Some(directory) = potentials() else { return Vec::new() };
    let frames = frames(&format!("classical/{case}.extxyz")).unwrap();
    let all = Properties::all().difference(Properties::EXTRAS);
    let each = frames.iter().map(|frame| {
        let system = system(species, &frame.symbols);
        let mut context = BuildContext {
            models: &Default::default(),
            system: &system,
            positions: &[],
            cell: &Cell::open(),
            units: UnitSystem::Physical,
            directory: &directory,
            files: Vec::new(),
        };
        let potential = Box::new(make(&mut context));
        let mut evaluator = Evaluator::new(vec![potential], 0.4, Search::Auto);
        let state = State::at_rest(frame.positions.clone(), frame.cell.clone());
        evaluator.ensure(&system, &state, all, all).unwrap().clone()
    });
    each.collect()
}

fn bits(outputs: &[Outputs]) -> Vec<u64> {
    let one = |o: &Outputs| {
        let mut numbers = vec![o.energy];
        numbers.extend(o.virial.iter());
        numbers.extend(o.forces.iter().flat_map(|f| f.iter().copied()));
        numbers.extend(&o.atom_energies);
        numbers.extend(o.atom_virials.iter().flat_map(|w| w.iter().copied()));
        numbers
    };
    // zeros of either sign are the same
    outputs.iter().flat_map(one).map(|x| (x + 0.0).to_bits()).collect()
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    macro_rules! same {
        ($case:literal, $species:expr, $spec:ty, $toml:literal) => {
            let at = |level: Level| {
                bits(&outputs($case, $species, |context| {
                    let mut potential = toml::from_str::<$spec>($toml).unwrap().build(context).unwrap();
                    potential.set_level(level);
                    potential
                }))
            };
            let plain = at(Level::Portable);
            assert_eq!(plain.is_empty(), potentials().is_none());
            assert!(plain == at(Level::Avx2), "{} with AVX2", $case);
            assert!(plain == at(Level::Avx512), "{} with AVX-512", $case);
        };
    }
    same!("sw_si", &["Si"], StillingerWeberSpec, "file = \"Si.sw\"");
    same!("sw_cdte", &["Cd", "Te"], StillingerWeberSpec, "file = \"CdTe.sw\"");
    same!("tersoff_sic", &["Si", "C"], TersoffSpec, "file = \"SiC.tersoff\"");
    same!("tersoff_mod_si", &["Si"], TersoffModSpec, "file = \"Si.tersoff.mod\"");
    same!("tersoff_zbl_sic", &["Si", "C"], TersoffZblSpec, "file = \"SiC.tersoff.zbl\"");
    same!("eam_alloy_cuni", &["Cu", "Ni"], EamSpec, "file = \"CuNi.eam.alloy\"");
    same!("eam_cu_u3", &["Cu"], EamSpec, "file = \"Cu_u3.eam\"");
}
