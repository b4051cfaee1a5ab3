//! Force fields against energies and forces of OpenMM (Reference platform, double precision) and exact lattice sums.
use caloron_engine::testing::reference;
use caloron_engine::topology::SiteKind;
use caloron_engine::{Cell, Input, Mat3, NeighborList, Outputs, Properties, Quantity, Species, System, Vec3};
use caloron_potentials::force_field::{
    ElectrostaticsSpec, ForceFieldSpec, KJ_PER_MOL, MolecularModel, NANOMETRE,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

const FORCE: f64 = KJ_PER_MOL / NANOMETRE;

fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let mut out = String::new();
    if path.extension().unwrap() == "gz" {
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut out).unwrap();
        out
    } else {
        String::from_utf8(bytes).unwrap()
    }
}

/// The plain or the compressed file of a name.
fn file(name: &str) -> Option<PathBuf> {
    let root = reference("openmm")?;
    [root.join(name), root.join(format!("{name}.gz"))].into_iter().find(|p| p.exists())
}

/// Vectors of the elements of a name in a State.
fn vectors(state: &str, element: &str) -> Vec<Vec3> {
    let of = |line: &str, name: &str| -> f64 {
        line.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    let start = format!("<{element} ");
    let lines = state.lines().filter(|l| l.trim_start().starts_with(&start));
    lines.map(|l| Vec3::new(of(l, "x"), of(l, "y"), of(l, "z"))).collect()
}

struct Case {
    model: MolecularModel,
    spec: ForceFieldSpec,
    positions: Vec<Vec3>,
    cell: Cell,
    forces: Vec<Vec3>,
    json: Value,
}

fn case(name: &str) -> Option<Case> {
    let path = file(&format!("{name}.system.xml"))?;
    case_of(name, ForceFieldSpec { openmm: Some(path), ..ForceFieldSpec::default() })
}

/// The same positions and references with a force field from another file.
fn case_of(name: &str, spec: ForceFieldSpec) -> Option<Case> {
    let model =
        spec.read(Path::new(""), &mut vec![]).unwrap_or_else(|e| panic!("{} {:?}", e.message, e.hint));
    let state = text(&file(&format!("{name}.state.xml"))?);
    let row = |e: &str| vectors(&state, e)[0] * NANOMETRE;
    let json: Value = serde_json::from_str(&text(&file(&format!("{name}.json"))?)).unwrap();
    let cell = match json["variants"]["default"]["nonbonded_method"].as_str() {
        Some(method) if method != "NoCutoff" => {
            Cell::from_matrix(Mat3::from_columns(&[row("A"), row("B"), row("C")]), [true; 3]).unwrap()
        }
        _ => Cell::open(),
    };
    let positions = vectors(&state, "Position").into_iter().map(|r| r * NANOMETRE).collect();
    let forces = vectors(&state, "Force").into_iter().map(|f| f * FORCE).collect();
    Some(Case { model, spec, positions, cell, forces, json })
}

/// Energies by the names of the extras (with `total`) and forces, those of virtual sites handed to their parents.
fn evaluate(case: &Case, spec: &ForceFieldSpec) -> (BTreeMap<String, f64>, Vec<Vec3>) {
    let n = case.model.len();
    let system = System::new(vec![Species { symbol: "X".into(), number: None, mass: 1.0 }], vec![0; n]);
    let want = Properties::ENERGY | Properties::FORCES | Properties::EXTRAS;
    let mut out = Outputs::default();
    out.reset(n, want);
    for (_, mut potential) in spec.potentials(&case.model, &case.cell).unwrap() {
        let mut list = NeighborList::new(potential.cutoff().unwrap_or(0.0), 0.0, Default::default());
        if potential.cutoff().is_some() {
            list.update(&system, &case.positions, &case.cell);
        }
        let input = Input { system: &system, positions: &case.positions, cell: &case.cell, neighbors: &list };
        potential.compute(input, want, &mut out).unwrap();
    }
    let mut energies: BTreeMap<String, f64> =
        out.extras.iter().map(|e| (e.spec.name.to_owned(), e.values[0])).collect();
    energies.insert("total".into(), out.energy);
    for site in &case.model.topology.virtual_sites {
        let f = std::mem::take(&mut out.forces[site.site as usize]);
        let (parents, weights): (&[u32], &[f64]) = match &site.kind {
            SiteKind::TwoAverage { parents, weights } => (parents, weights),
            SiteKind::ThreeAverage { parents, weights } => (parents, weights),
            other => panic!("{other:?}"),
        };
        for (p, w) in parents.iter().zip(weights) {
            out.forces[*p as usize] += f * *w;
        }
    }
    (energies, out.forces)
}

/// The sum of our terms that OpenMM counts as one group, in kJ/mol.
fn group(energies: &BTreeMap<String, f64>, name: &str) -> f64 {
    let sum = |names: &[&str]| {
        names.iter().map(|n| energies.get(&format!("energy_{n}")).copied().unwrap_or(0.0)).sum::<f64>()
            / KJ_PER_MOL
    };
    match name {
        "bonds" => sum(&["bonds", "urey_bradley"]),
        "angles" => sum(&["angles"]),
        "torsions" => sum(&["dihedrals", "impropers"]),
        "cmap" => sum(&["cmap"]),
        "nonbonded_direct" => {
            sum(&["lennard_jones", "coulomb", "pairs", "excluded", "dispersion_correction"])
        }
        "nonbonded_reciprocal" => sum(&["reciprocal"]),
        "total" => energies["total"] / KJ_PER_MOL,
        other => panic!("{other}"),
    }
}

/// The largest difference of forces on real atoms over their rms; OpenMM leaves the forces of virtual sites in place.
fn deviation(case: &Case, a: &[Vec3], b: &[Vec3]) -> f64 {
    assert_eq!(a.len(), b.len());
    let scale = (b.iter().map(|f| f.norm_squared()).sum::<f64>() / b.len() as f64).sqrt();
    let real = (0..a.len()).filter(|i| case.model.masses[*i] > 0.0);
    real.map(|i| (a[i] - b[i]).norm()).fold(0.0, f64::max) / scale
}

/// Compares one variant; the forces of the default are those of the State.
fn compare(name: &str, case: &Case, variant: &str, [bonded, tolerance]: [f64; 2]) {
    let reference = &case.json["variants"][variant];
    let mut spec = case.spec.clone();
    let real = |v: &Value| v.as_f64();
    spec.tolerance = real(&reference["ewald_error_tolerance"]);
    spec.dispersion_correction =
        Some(reference["dispersion_correction"].as_bool().unwrap()).filter(|_| variant != "default");
    spec.switch = real(&reference["switching_nm"]).map(|s| Quantity::new(s * NANOMETRE));
    spec.electrostatics = Some(match reference["nonbonded_method"].as_str().unwrap() {
        "NoCutoff" => ElectrostaticsSpec::NoCutoff,
        "CutoffPeriodic" => ElectrostaticsSpec::ReactionField,
        "Ewald" => ElectrostaticsSpec::Ewald,
        "PME" => ElectrostaticsSpec::Pme,
        "LJPME" => ElectrostaticsSpec::LjPme,
        other => panic!("{other}"),
    });
    if let Some(pme) = reference.get("pme") {
        spec.alpha = real(&pme["alpha_per_nm"]).map(|a| Quantity::new(a / NANOMETRE));
        spec.grid = Some(std::array::from_fn(|k| pme["grid"][k].as_u64().unwrap() as usize));
    }
    if case.cell.is_open() {
        spec.dispersion_correction = None;
    }
    let (energies, forces) = evaluate(case, &spec);
    let theirs = reference["energies"].as_object().unwrap();
    let other = theirs.get("other").and_then(Value::as_f64).unwrap_or(0.0);
    let scale = theirs["nonbonded_direct"].as_f64().unwrap().abs().max(1.0);
    let mut wrong = Vec::new();
    for (key, value) in theirs.iter().filter(|(k, _)| *k != "other") {
        let mut value = value.as_f64().unwrap();
        if key == "nonbonded_direct" {
            value += other;
        }
        let own = group(&energies, key);
        let is_bonded = ["bonds", "angles", "torsions", "cmap"].contains(&key.as_str());
        let (limit, scale) = if is_bonded { (bonded, value.abs()) } else { (tolerance, scale) };
        let error = (own - value).abs();
        println!("{name} {variant} {key}: {own:.9} {value:.9} {:.1e}", error / scale.max(1e-300));
        if error > limit * scale + 1e-12 {
            wrong.push(format!("{name} {variant} {key}: {own} instead of {value}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let expected: Vec<Vec3> = match reference.get("forces") {
        Some(list) => {
            let vector =
                |v: &Value| Vec3::new(v[0].as_f64().unwrap(), v[1].as_f64().unwrap(), v[2].as_f64().unwrap());
            list.as_array().unwrap().iter().map(|v| vector(v) * FORCE).collect()
        }
        None if variant == "default" && !case.forces.is_empty() => case.forces.clone(),
        None => return,
    };
    let worst = deviation(case, &forces, &expected);
    println!("{name} {variant} forces: {worst:.1e}");
    assert!(worst < tolerance, "{name} {variant}: forces differ by {worst:.1e}");
}

fn all_variants(name: &str, tolerance: f64) {
    let Some(case) = case(name) else { return };
    all_of(name, &case, [1e-10, tolerance]);
}

fn all_of(name: &str, case: &Case, tolerances: [f64; 2]) {
    let variants: Vec<String> = case.json["variants"].as_object().unwrap().keys().cloned().collect();
    for variant in variants {
        compare(name, case, &variant, tolerances);
    }
}

#[test]
fn systems_without_a_cutoff() {
    for name in [
        "ala_dipeptide_vacuum",
        "ala_dipeptide_vacuum_hbonds",
        "amber_ala_vacuum",
        "amber_peptide_tip4p",
        "gromacs_benzene",
    ] {
        all_variants(name, 1e-9);
    }
}

#[test]
fn water_tip3p() {
    all_variants("water_tip3p", 1e-6);
}

#[test]
fn water_spce() {
    all_variants("water_spce", 1e-6);
}

#[test]
fn water_tip4pew() {
    all_variants("water_tip4pew", 1e-6);
}

#[test]
fn peptides_in_water_and_ionic_liquid() {
    for name in ["ala_dipeptide_tip3p", "amber_ala_explicit", "gromacs_ionic"] {
        all_variants(name, 1e-6);
    }
}

#[test]
fn dhfr() {
    all_variants("dhfr_pme", 1e-6);
}

/// OpenMM's Coulomb constant, for files of programs with another one.
fn openmm_constant() -> Option<Quantity<caloron_engine::quantity::EnergyLength>> {
    Some(Quantity::new(138.935_457_644_381_98 * KJ_PER_MOL * NANOMETRE))
}

/// OpenMM makes σ and ε of the file's coefficients, which have nine digits.
#[test]
fn amber_files() {
    for (name, tolerances) in [
        ("amber_ala_vacuum", [1e-10, 1e-7]),
        ("amber_peptide_tip4p", [1e-9, 1e-7]),
        ("amber_ala_explicit", [1e-7, 1e-6]),
    ] {
        let Some(path) = file(&format!("{name}.prmtop")) else { return };
        let spec = ForceFieldSpec {
            amber: Some(path),
            coulomb_constant: openmm_constant(),
            cutoff: Some(Quantity::new(8.0)),
            ..ForceFieldSpec::default()
        };
        let mut case = case_of(name, spec).unwrap();
        if name != "amber_ala_vacuum" {
            // OpenMM keeps the bonds of extra points as springs, and was asked to leave those of rigid water out
            for (_, variant) in case.json["variants"].as_object_mut().unwrap() {
                let variant = variant.as_object_mut().unwrap();
                variant.remove("forces");
                let energies = variant["energies"].as_object_mut().unwrap();
                energies.retain(|k, _| k != "bonds" && k != "total");
            }
            case.forces.clear();
        }
        all_of(name, &case, tolerances);
    }
}

/// OpenMM takes the bonds that are constraints as such, and sums the tails of custom forces numerically.
#[test]
fn gromacs_files() {
    for (name, tolerances) in [("gromacs_benzene", [1e-10, 1e-9]), ("gromacs_ionic", [1e-9, 1e-7])] {
        let Some(path) = file(&format!("{name}.top")) else { return };
        let spec = ForceFieldSpec {
            gromacs: Some(path),
            coulomb_constant: openmm_constant(),
            cutoff: Some(Quantity::new(9.0)),
            ..ForceFieldSpec::default()
        };
        let case = case_of(name, spec).unwrap();
        all_of(name, &case, tolerances);
    }
}

/// Mesh-free lattice sums, plain cutoff of the Lennard-Jones interaction, no dispersion correction: also for the
/// triclinic boxes, where OpenMM's Reference platform misses pairs.
#[test]
fn exact_lattice_sums() {
    let Some(path) = file("exact_ewald.json") else { return };
    let exact: Value = serde_json::from_str(&text(&path)).unwrap();
    for (name, values) in exact.as_object().unwrap() {
        let case = case(name).unwrap();
        let mut spec = case.spec.clone();
        spec.electrostatics = Some(ElectrostaticsSpec::Ewald);
        spec.tolerance = Some(1e-13);
        spec.dispersion_correction = Some(false);
        // the real-space cutoff is that of the file; a splitting parameter that fits it
        let cutoff = case.model.settings.cutoff.unwrap();
        spec.alpha = Some(Quantity::new(5.4 / cutoff));
        let (energies, forces) = evaluate(&case, &spec);
        let total = values["total_no_dispersion"].as_f64().unwrap();
        let own = energies["total"] / KJ_PER_MOL;
        println!("{name}: {own:.9} {total:.9} {:.1e}", (own / total - 1.0).abs());
        assert!((own / total - 1.0).abs() < 1e-8, "{name}: {own} instead of {total}");
        if let Some(list) = values["forces"].as_array() {
            let vector =
                |v: &Value| Vec3::new(v[0].as_f64().unwrap(), v[1].as_f64().unwrap(), v[2].as_f64().unwrap());
            let expected: Vec<Vec3> = list.iter().map(|v| vector(v) * FORCE).collect();
            let worst = deviation(&case, &forces, &expected);
            println!("{name} forces: {worst:.1e}");
            assert!(worst < 1e-8, "{name}: forces differ by {worst:.1e}");
        }
    }
}

#[test]
fn meshes_of_slabs_are_as_fine_as_those_of_bulk() {
    // the lattice sum of a slab runs over a cell three times as high
    let Some(mut case) = case("water_spce") else { return };
    let (a, b) = (case.cell.vector(0), case.cell.vector(1));
    case.cell = Cell::new([a, b, 3.0 * case.cell.vector(2)], [true, true, false]).unwrap();
    let of = |electrostatics, tolerance, grid| {
        let spec =
            ForceFieldSpec { electrostatics: Some(electrostatics), tolerance, grid, ..case.spec.clone() };
        evaluate(&case, &spec)
    };
    let (exact, forces) = of(ElectrostaticsSpec::Ewald, Some(1e-9), None);
    let scale: f64 = forces.iter().map(|f| f.norm_squared()).sum();
    for grid in [None, Some([24, 24, 72])] {
        let (mesh, near) = of(ElectrostaticsSpec::Pme, None, grid);
        let error: f64 = near.iter().zip(&forces).map(|(a, b)| (a - b).norm_squared()).sum();
        let (error, energy) = ((error / scale).sqrt(), mesh["total"] / exact["total"] - 1.0);
        println!("slab of water, grid {grid:?}: forces {error:.1e}, energy {energy:.1e}");
        assert!(error < 1e-3, "{error:e}");
        assert!(energy.abs() < 2e-4, "{energy:e}");
    }
}
