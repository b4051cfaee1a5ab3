//! Force fields from the command line: energies of the program against OpenMM's, runs that restart to the bit.
mod support;

use caloron::engine::testing::reference;
use std::path::Path;
use support::{Folder, caloron, run, stderr, stdout};

const KJ_PER_MOL: f64 = 0.010_364_269_656_262_175;

fn path(name: &str) -> Option<String> {
    reference(&format!("openmm/{name}")).map(|p| p.canonicalize().unwrap().display().to_string())
}

/// The total energy of `caloron eval` in kJ/mol.
fn total(folder: &Folder, structure: &str, force_field: &str) -> f64 {
    let input = folder.write("ff.toml", &format!("force_field = {{ {force_field} }}\n"));
    let out = folder.path("out.extxyz");
    let output = caloron()
        .args(["eval", structure, "--force", "--potential"])
        .arg(&input)
        .arg("-o")
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let frame = caloron::io::read_all(&out).unwrap().remove(0);
    let terms: f64 = frame
        .info
        .iter()
        .filter(|(k, _)| k.starts_with("energy_"))
        .map(|(_, v)| match v {
            caloron::io::Value::Real(x) => *x,
            other => panic!("{other:?}"),
        })
        .sum();
    let energy = frame.energy.unwrap();
    assert!(
        (terms - energy).abs() < 1e-9 * (1.0 + energy.abs()),
        "the terms {terms} are not the energy {energy}"
    );
    energy / KJ_PER_MOL
}

#[test]
fn energies_of_files_of_every_program_are_those_of_openmm() {
    let folder = Folder::new("ff-eval");
    let constant = "coulomb_constant = \"14.399645478425668 eV Å\"";
    let cases: [(_, _, _, _, f64); 3] = [
        ("ala_dipeptide_vacuum.state.xml", "openmm", "ala_dipeptide_vacuum.system.xml", "", 0.479590145086),
        ("amber_ala_vacuum.inpcrd", "amber", "amber_ala_vacuum.prmtop", constant, -88.088588581),
        ("water_spce.state.xml.gz", "openmm", "water_spce.system.xml.gz", "", -15851.998524684),
    ];
    for (structure, format, file, more, expected) in cases {
        let (Some(structure), Some(file)) = (path(structure), path(file)) else { return };
        let comma = if more.is_empty() { "" } else { ", " };
        let energy = total(&folder, &structure, &format!("{format} = \"{file}\"{comma}{more}"));
        let scale = expected.abs().max(100.0);
        assert!((energy - expected).abs() < 1e-6 * scale, "{file}: {energy} instead of {expected}");
    }
    // the file has virtual sites where nothing puts them; here they are put in their places before energies are computed
    let (Some(structure), Some(system), Some(topology)) =
        (path("gromacs_benzene.state.xml"), path("gromacs_benzene.system.xml"), path("gromacs_benzene.top"))
    else {
        return;
    };
    let own = format!("gromacs = \"{topology}\", electrostatics = \"no_cutoff\", {constant}");
    let (a, b) = (
        total(&folder, &structure, &format!("openmm = \"{system}\", {constant}")),
        total(&folder, &structure, &own),
    );
    assert!((a - b).abs() < 1e-9 * a.abs(), "{a} from the system, {b} from the topology");
}

/// A dipeptide with heavy hydrogen: its methyl carbons become lighter than their hydrogens, as in other programs.
#[test]
fn methyl_groups_give_mass_to_their_hydrogens() {
    let (Some(structure), Some(topology)) =
        (path("amber_ala_vacuum.inpcrd"), path("amber_ala_vacuum.prmtop"))
    else {
        return;
    };
    let folder = Folder::new("ff-hmr");
    let attempt = |system: &str| {
        let text = format!(
            "[system]\n{system}\n[[stage]]\nname = \"go\"\nsteps = 5\n[stage.nve]\ntimestep = \"4 fs\"\n"
        );
        let input = folder.write("hmr.toml", &text);
        caloron().arg("check").arg(&input).output().unwrap()
    };
    let dipeptide = |mass: &str| {
        attempt(&format!(
            "structure = \"{structure}\"\nforce_field = {{ amber = \"{topology}\", electrostatics = \"no_cutoff\" }}\nconstraints = {{ \
             bonds = \"hydrogen\" }}\nhydrogen_mass = \"{mass}\""
        ))
    };
    let done = dipeptide("4 u");
    let said = stdout(&done) + &stderr(&done);
    assert!(done.status.success(), "{said}");
    assert!(said.contains("3 atoms are lighter than the hydrogens") && said.contains("3.0"), "{said}");
    let refused = dipeptide("5 u");
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("would be left with 0.0"), "{}", stderr(&refused));
    let (Some(box_of_water), Some(system)) =
        (path("water_spce.state.xml.gz"), path("water_spce.system.xml.gz"))
    else {
        return;
    };
    let water = attempt(&format!(
        "structure = \"{box_of_water}\"\nforce_field = {{ openmm = \"{system}\" }}\nhydrogen_mass = \"4 u\""
    ));
    let said = stdout(&water) + &stderr(&water);
    assert!(water.status.success() && said.contains("`hydrogen_mass` changes nothing"), "{said}");
}

/// Names of atoms and residues come from the topology, or from the structure file where the force field has none.
#[test]
fn names_reach_the_results() {
    let folder = Folder::new("ff-names");
    let cases = [
        ("amber_ala_vacuum.inpcrd", "amber", "amber_ala_vacuum.prmtop"),
        ("ala_dipeptide.pdb", "openmm", "ala_dipeptide_vacuum.system.xml"),
    ];
    for (structure, format, file) in cases {
        let (Some(structure), Some(file)) = (path(structure), path(file)) else { return };
        let field = format!("{{ {format} = \"{file}\", electrostatics = \"no_cutoff\" }}");
        let potential = folder.write("ff.toml", &format!("force_field = {field}\n"));
        let out = folder.path("eval.pdb");
        let args = ["eval", "--force", &structure, "--potential"];
        let done = caloron().args(args).arg(&potential).arg("-o").arg(&out).output().unwrap();
        assert!(done.status.success(), "{}", stderr(&done));
        let input = folder.write(
            "run.toml",
            &format!(
                "[system]\nstructure = \"{structure}\"\nforce_field = {field}\n[[stage]]\nname = \"go\"\nsteps = \
                 2\n[stage.nve]\ntimestep = \"0.5 fs\"\n[output]\ntrajectory = {{ file = \"t.pdb\", every = 1 }}\n"
            ),
        );
        let ran = folder.path(format);
        run(&input, &ran, 1);
        for written in [out, ran.join("t.pdb")] {
            let text = std::fs::read_to_string(&written).unwrap();
            let atoms: Vec<&str> = text.lines().filter(|l| l.starts_with("ATOM")).collect();
            let of = |residue: &str| atoms.iter().filter(|l| l[17..20] == *residue).count();
            assert!(of("ACE") >= 6 && of("ALA") >= 10 && of("NME") >= 6, "{text}");
            assert!(atoms.iter().any(|l| l[12..16] == *" CA " && l[17..20] == *"ALA"), "{text}");
        }
    }
}

/// Flexible water with particle-mesh Ewald: constant energy, and a resumed run with the same bits.
#[test]
fn molecular_dynamics_runs_and_restarts() {
    let (Some(structure), Some(system)) =
        (path("water_tip3p_flexible.state.xml.gz"), path("water_tip3p_flexible.system.xml.gz"))
    else {
        return;
    };
    let folder = Folder::new("ff-run");
    let text = |steps: u64| {
        format!(
            "title = \"Flexible water\"\nseed = 5\n[system]\nstructure = \"{structure}\"\nforce_field = {{ openmm = \
             \"{system}\", switch = \"7.5 Å\" }}\nvelocities = {{ temperature = \"300 K\" }}\n[[stage]]\nname = \
             \"go\"\nsteps = {steps}\n[stage.nve]\ntimestep = \"0.02 fs\"\n[output]\nthermo = {{ file = \"t.csv\", every = 4 \
             }}\ncheckpoint = {{ every_steps = 10 }}\n"
        )
    };
    let input = folder.write("water.toml", &text(40));
    let (one, two) = (folder.path("one"), folder.path("two"));
    run(&input, &one, 1);
    run(&input, &two, 2);
    support::assert_same_files(&one, &two, &["t.csv"], "threads");
    assert!(conserved(&one.join("t.csv")) < 2e-4, "{}", conserved(&one.join("t.csv")));
}

/// The largest relative deviation of the conserved quantity from its start.
fn conserved(table: &Path) -> f64 {
    let text = std::fs::read_to_string(table).unwrap();
    let mut lines = text.lines();
    let column = lines.next().unwrap().split(',').position(|c| c.starts_with("conserved")).unwrap();
    let values: Vec<f64> = lines.map(|l| l.split(',').nth(column).unwrap().parse().unwrap()).collect();
    values.iter().map(|v| (v / values[0] - 1.0).abs()).fold(0.0, f64::max)
}

#[test]
fn mistakes_are_named_with_their_place() {
    let folder = Folder::new("ff-wrong");
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/potentials/tests/data/force_fields/ethane.top");
    let xyz = folder.write("two.xyz", "2\n\nC 0 0 0\nC 1.5 0 0\n");
    let attempt = |force_field: &str| {
        let input = folder.write("ff.toml", &format!("force_field = {{ {force_field} }}\n"));
        let output = caloron().arg("eval").arg(&xyz).arg("--potential").arg(&input).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
        stderr(&output)
    };
    let counts = attempt(&format!("gromacs = \"{top}\", define = [\"ETHANES=2\"]"));
    assert!(counts.contains("9 atoms, the structure 2"), "{counts}");
    let undefined = attempt(&format!("gromacs = \"{top}\""));
    assert!(undefined.contains("line ") && undefined.contains("ETHANES"), "{undefined}");
    assert!(attempt("").contains("one file"));
    assert!(attempt("openmm = \"no.xml\"").contains("no.xml"));
    let shifted = attempt(&format!(
        "gromacs = \"{top}\", define = [\"ETHANES=0\"], electrostatics = \"cut\", cutoff = \"8 Å\", modifier = \"force_shift\""
    ));
    assert!(shifted.contains("force_shift"), "{shifted}");
}

/// Species and cell of results are those of the force field, and molecules that the cell cuts are put together before virtual sites
/// are placed.
#[test]
fn results_have_the_species_and_the_cell_of_the_force_field() {
    let folder = Folder::new("ff-result");
    let eval = |structure: &Path, force_field: &str| {
        let input = folder.write("ff.toml", &format!("force_field = {{ {force_field} }}\n"));
        let out = folder.path("out.extxyz");
        let output = caloron()
            .arg("eval")
            .arg(structure)
            .args(["--force", "--potential"])
            .arg(&input)
            .arg("-o")
            .arg(&out)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        caloron::io::read_all(&out).unwrap()
    };
    let nameless = folder.write(
        "nameless.extxyz",
        "7\nLattice=\"30 0 0 0 30 0 0 0 30\" Properties=species:S:1:pos:R:3 pbc=\"T T T\"\nX 0 0 0\nX 1.522 0 0\nX 2.0895 1.1138 0\nX 2.0895 \
         -1.1138 0\nX -0.3638 1.0275 0\nX -0.3638 -0.5137 0.8898\nX -0.3638 -0.5137 -0.8898\n",
    );
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/salt_water.top");
    let open = eval(&nameless, &format!("gromacs = \"{top}\", electrostatics = \"no_cutoff\"")).remove(0);
    assert_eq!(open.symbols, ["C", "C", "O", "O", "H", "H", "H"]);
    assert!(open.cell.is_open());
    let periodic =
        eval(&nameless, &format!("gromacs = \"{top}\", electrostatics = \"pme\", cutoff = \"9 Å\""));
    assert!(periodic[0].cell.is_fully_periodic());
    // two ethanes with a site in the middle, and water; once whole, twice with atoms moved by lattice vectors
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("potentials/tests/data/force_fields");
    let types = std::fs::read_to_string(data.join("types.itp")).unwrap();
    let inert = "V   0.0      0.0";
    assert!(types.contains(inert));
    folder.write("types.itp", &types.replace(inert, "V   0.3      0.6"));
    let top = folder.write("ethane.top", &std::fs::read_to_string(data.join("ethane.top")).unwrap());
    let top = top.display();
    let atoms = [
        ("C", [1.0, 1.0, 1.0]),
        ("C", [2.5, 1.1, 1.2]),
        ("X", [0.0, 0.0, 0.0]),
        ("C", [1.2, 5.0, 1.4]),
        ("C", [2.6, 5.2, 1.9]),
        ("X", [0.0, 0.0, 0.0]),
        ("O", [5.0, 3.0, 5.0]),
        ("H", [5.9, 3.2, 5.1]),
        ("H", [4.8, 2.2, 5.6]),
    ];
    let frame = |moved: &[(usize, [f64; 3])]| {
        let mut text = format!(
            "{}\nLattice=\"20 0 0 0 20 0 0 0 20\" Properties=species:S:1:pos:R:3 pbc=\"T T T\"\n",
            atoms.len()
        );
        for (i, (symbol, r)) in atoms.iter().enumerate() {
            let by = moved.iter().find(|m| m.0 == i).map_or([0.0; 3], |m| m.1);
            text += &format!("{symbol} {} {} {}\n", r[0] + by[0], r[1] + by[1], r[2] + by[2]);
        }
        text
    };
    let frames = [
        frame(&[]),
        frame(&[(1, [-20.0, 0.0, 20.0]), (7, [0.0, 20.0, 0.0])]),
        frame(&[(3, [20.0, 0.0, 0.0])]),
    ];
    let broken = folder.write("broken.extxyz", &frames.concat());
    let settings = "define = [\"ETHANES=2\"], electrostatics = \"reaction_field\", cutoff = \"8 Å\"";
    let done = eval(&broken, &format!("gromacs = \"{top}\", {settings}"));
    let energies: Vec<f64> = done.iter().map(|f| f.energy.unwrap()).collect();
    assert!(
        energies[0] != 0.0 && energies.iter().all(|e| (e / energies[0] - 1.0).abs() < 1e-12),
        "{energies:?}"
    );
}

/// What a structure file holds in place stays there.
#[test]
fn atoms_that_a_file_holds_are_fixed() {
    let folder = Folder::new("held");
    let poscar = "pair\n1.0\n12 0 0\n0 12 0\n0 0 12\nAr\n3\nSelective dynamics\nCartesian\n1 1 1 F F F\n4.2 1 1 T T T\n1 4.6 1 T F T\n";
    let structure = folder.write("POSCAR", poscar);
    let lj = "[[potential]]\n[potential.lennard_jones]\ncutoff = \"5 Å\"\npairs = [{ species = [\"Ar\", \"Ar\"], epsilon = \"0.0104 eV\", sigma = \"3.4 Å\" }]\n";
    let potential = folder.write("lj.toml", lj);
    let out = folder.path("relaxed.extxyz");
    let mut relax = caloron();
    relax.args(["relax", "--force", "--potential"]).arg(&potential).arg(&structure).arg("-o").arg(&out);
    let done = relax.output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    let said = stderr(&done);
    assert!(
        said.contains("holds 1 atoms in place") && said.contains("1 atoms that it holds along some"),
        "{said}"
    );
    let relaxed = caloron::io::read_all(&out).unwrap().remove(0);
    assert_eq!(relaxed.positions[0], caloron::engine::Vec3::new(1.0, 1.0, 1.0));
    assert!((relaxed.positions[1].x - 4.2).abs() > 1e-3);
    let input = folder.write(
        "run.toml",
        &format!(
            "[system]\nstructure = \"POSCAR\"\nrepeat = [2, 1, 1]\nvelocities = {{ temperature = \"30 K\" }}\n{lj}[[stage]]\nname = \
             \"go\"\nsteps = 20\n[stage.nve]\ntimestep = \"2 fs\"\n[output]\ntrajectory = {{ file = \"t.extxyz\", every = 20 }}\n"
        ),
    );
    let ran = folder.path("ran");
    run(&input, &ran, 1);
    let frames = caloron::io::read_all(ran.join("t.extxyz")).unwrap();
    let (first, last) = (&frames[0].positions, &frames[frames.len() - 1].positions);
    let moved: Vec<bool> = first.iter().zip(last).map(|(a, b)| a != b).collect();
    assert_eq!(moved, [false, true, true, false, true, true]);
}

/// Settings that the shared force fields of GROMACS are made for, from the input; potential files may be compressed.
#[test]
fn modified_interactions_and_compressed_potentials_from_inputs() {
    let (Some(structure), Some(system)) = (path("water_spce.state.xml.gz"), path("water_spce.system.xml.gz"))
    else {
        return;
    };
    let folder = Folder::new("ff-modifier");
    let energy = |more: &str| total(&folder, &structure, &format!("openmm = \"{system}\"{more}"));
    let plain = energy("");
    let (shifted, switched) = (
        energy(", modifier = \"potential_shift\""),
        energy(", modifier = \"force_switch\", switch = \"7.5 Å\""),
    );
    // with the dispersion correction the sum hardly depends on how the interaction ends
    for other in [shifted, switched] {
        assert!((other - plain).abs() > 1e-3 && (other / plain - 1.0).abs() < 1e-3, "{other} {plain}");
    }
    let field = |dielectric: &str| {
        energy(&format!(", electrostatics = \"reaction_field\", dielectric = {dielectric}"))
    };
    assert_eq!(field("0"), field("inf"));
    let (Some(alloy), Some(frames)) =
        (reference("potentials/AlFe_mm.eam.fs.gz"), reference("classical/eam_fs_alfe.extxyz"))
    else {
        return;
    };
    let text =
        format!("[[potential]]\n[potential.eam]\nfile = \"{}\"\n", alloy.canonicalize().unwrap().display());
    let potential = folder.write("eam.toml", &text);
    let out = folder.path("eam.extxyz");
    let done = caloron()
        .arg("eval")
        .arg(&frames)
        .arg("--potential")
        .arg(&potential)
        .arg("-o")
        .arg(&out)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    let (own, theirs) = (caloron::io::read_all(&out).unwrap(), caloron::io::read_all(&frames).unwrap());
    for (a, b) in own.iter().zip(&theirs) {
        assert!((a.energy.unwrap() / b.energy.unwrap() - 1.0).abs() < 1e-9);
    }
}
