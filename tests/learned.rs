//! Learned potentials as a user meets them: the guard, committees, many structures.
mod support;

use std::path::Path;
use support::{Folder, assert_same_files, caloron, run, stderr, stdout};

/// A model of one neuron for argon with all its numbers the same.
fn nep(number: f64) -> String {
    let header = "nep4 1 Ar\ncutoff 5 4 50 20\nn_max 0 0\nbasis_size 0 0\nl_max 1 0 0\nANN 1 0\n";
    format!("{header}{}", format!("{number}\n").repeat(9))
}

/// Argon atoms along x in a large cell.
fn line(places: &[f64]) -> String {
    let atoms: String = places.iter().map(|x| format!("Ar {x} 10 10\n")).collect();
    format!("{}\nLattice=\"20 0 0 0 20 0 0 0 20\" Properties=species:S:1:pos:R:3\n{atoms}", places.len())
}

/// An input with a structure, potential tables and more.
fn input(steps: u64, potential: &str, more: &str) -> String {
    format!(
        "seed = 1\n[system]\nstructure = \"a.extxyz\"\nvelocities = {{ temperature = \"30 K\" }}\n\
         [[potential]]\n{potential}\n[[stage]]\nname = \"go\"\nsteps = {steps}\n[stage.nve]\ntimestep = \"0.1 fs\"\n{more}\n"
    )
}

const NEP: &str = "nep = { file = \"a.txt\" }";
const COMMITTEE: &str =
    "[potential.committee]\nmembers = [{ nep = { file = \"a.txt\" } }, { nep = { file = \"b.txt\" } }]";

fn outcome(input: &Path, out: &Path) -> (Option<i32>, String, String) {
    let output = caloron().args(["run", "--threads", "1", "--out"]).arg(out).arg(input).output().unwrap();
    (output.status.code(), stdout(&output), stderr(&output))
}

#[test]
fn atoms_closer_than_the_model_has_seen_are_reported_saved_or_stop_the_run() {
    let folder = Folder::new("guard-distance");
    folder.write("a.txt", &nep(1.0));
    folder.write("a.extxyz", &line(&[5.0, 6.0, 14.0]));
    // 0.6 of twice the covalent radius of 0.96 Å
    let said = "atoms 0 (Ar) and 1 (Ar) are 1.000 Å apart; 1.152 Å is 0.6 of the sum of their covalent radii";

    let warned = folder.write("warn.toml", &input(20, NEP, ""));
    let (status, shown, warnings) = outcome(&warned, &folder.path("warn"));
    assert_eq!(status, Some(0), "{warnings}");
    assert!(warnings.contains(&format!("warning: step 0: {said}")), "{warnings}");
    // three times, then at ten times
    assert_eq!(warnings.matches("Å is 0.6 of").count(), 4, "{warnings}");
    assert!(shown.contains("guard: distance at 21 steps; the worst, step"), "{shown}");
    assert!(!folder.path("warn").join("uncertain.extxyz").exists());

    let save =
        "[guard.learned]\ndistance = { action = \"save\" }\nframes = { spacing = 8, file = \"odd.extxyz\" }";
    let saved = folder.write("save.toml", &input(20, NEP, save));
    let (status, shown, _) = outcome(&saved, &folder.path("save"));
    assert_eq!(status, Some(0));
    let frames = caloron::io::read_all(folder.path("save").join("odd.extxyz")).unwrap();
    let steps: Vec<_> = frames.iter().map(|f| f.step).collect();
    assert_eq!(steps, [Some(0), Some(8), Some(16)]);
    assert!(frames[0].energy.is_some() && frames[0].forces.is_some());
    assert!(shown.contains("3 frames to be labelled are in `odd.extxyz`"), "{shown}");

    let stop = "[guard.learned]\ndistance = { action = \"stop\" }";
    let stopped = folder.write("stop.toml", &input(20, NEP, stop));
    let (status, _, message) = outcome(&stopped, &folder.path("stop"));
    assert_eq!(status, Some(3), "{message}");
    assert!(message.contains("outside of its domain") && message.contains(said), "{message}");
    assert!(message.contains("uncertain.extxyz`") && message.contains("hint:"), "{message}");
    assert_eq!(caloron::io::read_all(folder.path("stop").join("uncertain.extxyz")).unwrap().len(), 1);

    let off = "[guard.learned]\ndistance = { action = \"off\" }";
    let silent = folder.write("off.toml", &input(20, NEP, off));
    let (status, shown, warnings) = outcome(&silent, &folder.path("off"));
    assert_eq!((status, warnings.contains("covalent")), (Some(0), false), "{warnings}");
    // nothing that is watched changes the trajectory
    let energies = |text: &str| -> Vec<String> {
        text.lines().filter(|l| l.trim_start().starts_with(char::is_numeric)).map(str::to_owned).collect()
    };
    let (_, watched, _) = outcome(&warned, &folder.path("again"));
    assert_eq!(energies(&shown), energies(&watched));

    // what evaluates structures says it too
    let potential = folder.write("p.toml", &format!("[[potential]]\n{NEP}\n"));
    let output =
        caloron().arg("eval").arg(folder.path("a.extxyz")).arg("-p").arg(&potential).output().unwrap();
    assert!(stderr(&output).contains(&format!("warning: frame 0: {said}")), "{}", stderr(&output));
}

#[test]
fn the_training_data_of_a_model_are_its_domain() {
    let folder = Folder::new("guard-training");
    let nep = folder.write("nep.txt", &nep(1.0));
    folder.write("a.extxyz", &line(&[5.0, 8.1]));
    let training = folder.write("training.extxyz", &(line(&[1.0, 5.0]) + &line(&[1.0, 4.4, 8.3])));
    let own = folder.path("own.safetensors");
    let output = caloron()
        .args(["model", "import"])
        .arg(&nep)
        .arg("-o")
        .arg(&own)
        .arg("--training")
        .arg(&training)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let info = caloron().args(["model", "info"]).arg(&own).output().unwrap();
    assert!(stdout(&info).contains("Ar-Ar 3.400"), "{}", stdout(&info));
    let file = folder.write("run.toml", &input(2, "nep = { file = \"own.safetensors\" }", ""));
    let (status, _, warnings) = outcome(&file, &folder.path("out"));
    assert_eq!(status, Some(0), "{warnings}");
    assert!(
        warnings.contains(
            "atoms 0 (Ar) and 1 (Ar) are 3.100 Å apart; the training data have no Ar-Ar pair below 3.400 Å"
        ),
        "{warnings}"
    );
}

#[test]
fn committees_report_their_spread_everywhere_and_can_be_calibrated() {
    let folder = Folder::new("committee");
    folder.write("a.txt", &nep(1.0));
    folder.write("b.txt", &nep(1.2));
    folder.write("c.txt", &nep(0.7));
    let structure = folder.write("a.extxyz", &line(&[5.0, 8.1, 10.9]));
    let outputs = "[output]\nthermo = { file = \"t.csv\", every = 5 }\ntrajectory = { file = \"a.extxyz\", every = 5 }\n";
    let file = folder.write("run.toml", &input(10, COMMITTEE, outputs));
    let (status, shown, warnings) = outcome(&file, &folder.path("out"));
    assert_eq!(status, Some(0), "{warnings}");
    assert!(shown.contains("spread/eV/Å"), "{shown}");
    let table = std::fs::read_to_string(folder.path("out").join("t.csv")).unwrap();
    let mut rows = table.lines();
    assert!(rows.next().unwrap().ends_with("volume_A3,force_spread_eV_A,energy_spread_eV_atom"), "{table}");
    let last: Vec<f64> = rows.last().unwrap().split(',').map(|x| x.parse().unwrap()).collect();
    let frames = caloron::io::read_all(folder.path("out").join("a.extxyz")).unwrap();
    let spreads = |f: &caloron::io::Frame| f.arrays.get("force_spread").unwrap().as_reals().unwrap().to_vec();
    let largest = spreads(&frames[2]).iter().copied().fold(0.0, f64::max);
    assert!(largest > 1e-4 && (largest - last[last.len() - 2]).abs() < 1e-12, "{table}");

    // a limit below this spread
    let limit = 0.5 * largest;
    for (action, expected) in [("warn", 0), ("save", 0), ("stop", 3)] {
        let more =
            format!("[guard.learned]\nforce_spread = {{ action = \"{action}\", limit = \"{limit} eV/Å\" }}");
        let file = folder.write("limited.toml", &input(10, COMMITTEE, &more));
        let out = folder.path(action);
        let (status, _, message) = outcome(&file, &out);
        assert_eq!(status, Some(expected), "{message}");
        assert!(message.contains("the members of the committee differ by"), "{message}");
        assert!(message.contains("in the force on atom") && message.contains("(Ar), limit"), "{message}");
        assert_eq!(out.join("uncertain.extxyz").exists(), action != "warn");
    }

    // labels from a third model; after calibration the mean squared spread is the mean squared error
    let third = folder.write("c.toml", "[[potential]]\nnep = { file = \"c.txt\" }\n");
    let labelled = folder.path("labelled.extxyz");
    let output = caloron()
        .arg("eval")
        .arg(&structure)
        .arg("-p")
        .arg(&third)
        .arg("-o")
        .arg(&labelled)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let plain = folder.write("plain.toml", &format!("[[potential]]\n{COMMITTEE}\n"));
    let calibrate = |potential: &Path| {
        let mut command = caloron();
        command.args(["model", "calibrate"]).arg(&labelled).arg("-p").arg(potential);
        command.arg("-o").arg(folder.path("calibration.json")).arg("--force").output().unwrap()
    };
    let output = calibrate(&plain);
    assert!(output.status.success(), "{}", stderr(&output));
    let calibrated = format!("[[potential]]\n{COMMITTEE}\ncalibration = \"calibration.json\"\n");
    let calibrated = folder.write("calibrated.toml", &calibrated);
    let eval = |potential: &Path, name: &str| {
        let out = folder.path(name);
        let output = caloron()
            .arg("eval")
            .arg(&structure)
            .arg("-p")
            .arg(potential)
            .arg("-o")
            .arg(&out)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        caloron::io::read_all(&out).unwrap().remove(0)
    };
    let (before, after) = (eval(&plain, "before.extxyz"), eval(&calibrated, "after.extxyz"));
    let reference = caloron::io::read_all(&labelled).unwrap().remove(0);
    let (mean, labels) = (before.forces.as_ref().unwrap(), reference.forces.as_ref().unwrap());
    let error: f64 = mean.iter().zip(labels).map(|(a, b)| (a - b).norm_squared()).sum();
    let spread: f64 = spreads(&after).iter().map(|s| s * s).sum();
    assert!(error > 0.0 && (spread / error - 1.0).abs() < 1e-10, "{spread} {error}");
    assert_eq!(before.forces, after.forces, "the mean is not changed");
    // twice is a mistake
    let output = calibrate(&calibrated);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("calibrated already"), "{}", stderr(&output));
}

/// A run that is interrupted and resumed saves the same frames as one that is not.
#[test]
fn saved_frames_are_exact_after_a_restart() {
    let folder = Folder::new("guard-restart");
    folder.write("a.txt", &nep(1.0));
    folder.write("a.extxyz", &line(&[5.0, 6.0, 14.0]));
    let more = "[guard.learned]\ndistance = { action = \"save\" }\nframes = { spacing = 7 }\n\
                [output]\nthermo = { file = \"t.csv\", every = 5 }\ncheckpoint = { every_steps = 20 }";
    let whole = folder.write("whole.toml", &input(60, NEP, more));
    run(&whole, &folder.path("whole"), 1);
    // the checkpoint of step 40 with files that are longer than it says
    run(&whole, &folder.path("part"), 1);
    let part = std::fs::read_dir(folder.path("part")).unwrap().map(|e| e.unwrap().path());
    let checkpoints: Vec<_> = part.filter(|p| p.extension().is_some_and(|e| e == "checkpoint")).collect();
    let newest = checkpoints.iter().max().expect("checkpoints are kept");
    std::fs::remove_file(newest).unwrap();
    let output = caloron().args(["resume", "--quiet"]).arg(folder.path("part")).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same_files(&folder.path("whole"), &folder.path("part"), &["uncertain.extxyz", "t.csv"], "restart");
}

/// Structures of several compositions, in a folder and in one file, with any number of threads, have the same energies.
#[test]
fn a_folder_of_mixed_structures_is_evaluated_in_order() {
    let folder = Folder::new("many");
    folder.write("a.txt", &nep(1.0));
    let potential = folder.write("p.toml", &format!("[[potential]]\n{NEP}\n"));
    let many: Vec<String> = (0..12)
        .map(|k| {
            let x = 3.0 + 0.003 * f64::from(k);
            if k % 3 == 0 { line(&[1.0, 1.0 + x]) } else { line(&[1.0, 1.0 + x, 11.0 + 0.5 * x]) }
        })
        .collect();
    let one = folder.write("all.extxyz", &many.concat());
    let parts = folder.path("parts");
    std::fs::create_dir(&parts).unwrap();
    for (k, text) in many.iter().enumerate() {
        std::fs::write(parts.join(format!("{k:02}.extxyz")), text).unwrap();
    }
    std::fs::write(parts.join("notes.md"), "not a structure").unwrap();
    let table = |structures: &Path, threads: &str| {
        let output = caloron()
            .args(["eval", "--threads", threads])
            .arg(structures)
            .arg("-p")
            .arg(&potential)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let expected = table(&one, "1");
    assert_eq!(expected.lines().count(), 13);
    assert_eq!(table(&one, "2"), expected);
    // of a folder the last column names the file
    let named: Vec<String> = expected
        .lines()
        .enumerate()
        .map(|(k, line)| match k {
            0 => format!("{line}  file\n"),
            k => format!("{line}  {:02}.extxyz\n", k - 1),
        })
        .collect();
    assert_eq!(table(&parts, "2"), named.concat());
    let output =
        caloron().args(["relax", "--fmax", "0.5"]).arg(&parts).arg("-p").arg(&potential).output().unwrap();
    assert_eq!(stdout(&output).lines().count(), 13, "{}", stderr(&output));
    assert!(stdout(&output).lines().nth(3).unwrap().ends_with("  02.extxyz"), "{}", stdout(&output));

    // a file that cannot be read and a structure of another element are reported; the others are evaluated
    std::fs::write(parts.join("04.extxyz"), "2\nProperties=species:S:1:pos:R:3\nAr 0 0\n").unwrap();
    std::fs::write(parts.join("07.extxyz"), line(&[1.0, 4.0]).replace("Ar", "Xe")).unwrap();
    let results = folder.path("results.extxyz");
    for command in ["eval", "relax"] {
        let output = caloron()
            .arg(command)
            .arg(&parts)
            .arg("-p")
            .arg(&potential)
            .args(["--force", "-o"])
            .arg(&results)
            .output()
            .unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(stdout(&output).lines().count(), 11, "{}", stdout(&output));
        assert!(said.contains("04.extxyz") && said.contains("frame 6 (07.extxyz): "), "{said}");
        assert!(said.contains("no parameters for element `Xe`"), "{said}");
        assert!(said.contains("2 structures or files failed"), "{said}");
        let frames = caloron::io::read_all(&results).unwrap();
        assert_eq!(frames.len(), 10);
        let last = format!("{:?}", frames[9].info.get("file"));
        assert!(last.contains("11.extxyz"), "{last}");
    }
    // where all fail alike, once is enough
    std::fs::rename(folder.path("a.txt"), folder.path("b.txt")).unwrap();
    let output = caloron().arg("eval").arg(&one).arg("-p").arg(&potential).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert_eq!(said.matches("cannot read").count(), 1, "{said}");
    assert!(said.contains("did you mean `b.txt`"), "{said}");
    let empty = folder.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let output = caloron().arg("eval").arg(&empty).arg("-p").arg(&potential).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("holds no structure file"), "{}", stderr(&output));
}

/// The element that a potential names for a species gives its mass too; masses that are stated stay.
#[test]
fn species_named_for_a_model_have_the_mass_of_their_element() {
    let folder = Folder::new("masses");
    folder.write("a.txt", &nep(1.0));
    let text = line(&[5.0, 8.5]).replace("Ar", "A1");
    let structure = folder.write("a.extxyz", &text);
    let named = "nep = { file = \"a.txt\", elements = { A1 = \"Ar\" } }";
    let potential = folder.write("p.toml", &format!("[[potential]]\n{named}\n"));
    let output = caloron().arg("eval").arg(&structure).arg("-p").arg(&potential).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let masses = |name: &str, text: &str| {
        let file = folder.write(&format!("{name}.toml"), text);
        let input = caloron::input::InputFile::read(&file);
        let plan = input.and_then(|i| i.build()).unwrap_or_else(|e| panic!("{e}"));
        plan.system.masses().to_vec()
    };
    assert_eq!(masses("named", &input(1, named, "")), [39.95; 2]);
    let stated = input(1, named, "").replace("[system]", "[system]\nmasses = { A1 = \"7 u\" }");
    assert_eq!(masses("stated", &stated), [7.0; 2]);
}

/// Magnetic moments have the name in files that other programs know.
#[test]
fn magnetic_moments_are_in_files() {
    let folder = Folder::new("moments");
    let text = "2\nLattice=\"2.87 0 0 0 2.87 0 0 0 2.87\" Properties=species:S:1:pos:R:3\nFe 0 0 0\nFe 1.4 1.4 1.5\n";
    let structure = folder.write("fe.extxyz", text);
    let potential = folder.write("p.toml", "[[potential]]\nchgnet = {}\n");
    let results = folder.path("out.extxyz");
    let output = caloron()
        .arg("eval")
        .arg(&structure)
        .arg("-p")
        .arg(&potential)
        .arg("-o")
        .arg(&results)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let frame = &caloron::io::read_all(&results).unwrap()[0];
    let moments = format!("{:?}", frame.arrays.get("magmoms"));
    assert!(moments.starts_with("Some"), "{moments}");
    assert!(frame.arrays.get("magnetic_moments").is_none());
}

/// What a MACE file says of itself, and that weights alone are no model.
#[test]
fn mace_models_are_described() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("potentials/tests/data/mace");
    let info = |path: &Path| {
        let output = caloron().args(["model", "info"]).arg(path).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    for (name, words) in [
        (
            "two_heads",
            &[
                "5 Bessel functions of the distance",
                "cutoff power           5 (on the functions)",
                "average neighbours     8",
                "first: H -1, C -2, O -3 eV",
                "second: H -2, C -3, O -4 eV",
                "1: RealAgnosticResidualInteractionBlock, features 3x0e+3x1o, sums over neighbours divided by 8, linear readout",
                "readout of 8 hidden numbers (silu)",
            ][..],
        ),
        ("density", &["2: RealAgnosticDensityResidualInteractionBlock", "divided by a density"]),
        ("chebyshev_agnesi", &["5 Chebyshev polynomials of the Agnesi transform of the distance"]),
        ("gate_none", &["readout of 4 hidden numbers (identity)"]),
        ("gaussian_soft_zbl", &["5 Gaussians of the soft transform", "pair repulsion         ZBL"]),
        (
            "omol",
            &[
                "RealAgnosticResidualNonLinearInteractionBlock, features 4x0e+4x1o+4x2e, 3 channels along edges",
                "divided by a density, gated messages, no readout",
                "gated messages, readout of 2 layers of 4 hidden numbers (silu)",
                "depends on             spin multiplicity (whole numbers from 0 to 7), total charge (whole numbers from -4 to 4)",
                "cutoff power           5 (on what the networks give)",
            ],
        ),
        ("mh", &["products for all elements alike, linear readout", "second: H -2, C -3, O -4 eV"]),
    ] {
        let said = info(&data.join(format!("{name}.model.gz")));
        for word in words {
            assert!(said.contains(word), "{name}: `{word}` missing in:\n{said}");
        }
        assert!(!said.contains("usable"), "{said}");
    }
    let folder = Folder::new("weights-alone");
    let mut model = caloron::potentials::ml::checkpoint::load(data.join("gate_none.model.gz")).unwrap();
    model.hyper_parameters.clear();
    let weights = folder.path("weights.safetensors");
    model.save(&weights).unwrap();
    let said = info(&weights);
    assert!(said.contains("usable                 no: the file holds weights without"), "{said}");
    let output = caloron()
        .args(["model", "import", "-o"])
        .arg(folder.path("own.safetensors"))
        .arg(&weights)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("weights without the description"), "{}", stderr(&output));
    assert!(!folder.path("own.safetensors").exists());
}

/// Models with gated messages run from the command line, from the published form and from Caloron's own.
#[test]
fn models_with_charge_and_spin_run_in_both_forms() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("potentials/tests/data/mace");
    let frames = std::fs::read_to_string(data.join("mace.extxyz")).unwrap();
    let lines: Vec<&str> = frames.lines().collect();
    let folder = Folder::new("charge-and-spin");
    for (name, head, more) in
        [("mh", " head=second", "head = \"second\""), ("omol", "", "total_charge = -2, total_spin = 3")]
    {
        let start = format!("name=dilute model={name}{head} ");
        let at = lines.iter().position(|l| l.starts_with(&start)).expect("a frame of the model");
        let known = lines[at].split(" energy=").nth(1).and_then(|t| t.split(' ').next()).expect("an energy");
        let known: f64 = known.parse().unwrap();
        let structure = folder.write("a.extxyz", &(lines[at - 1..at + 9].join("\n") + "\n"));
        let own = folder.path(&format!("{name}.safetensors"));
        let published = data.join(format!("{name}.model.gz"));
        let output = caloron().args(["model", "import", "-o"]).arg(&own).arg(&published).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let energies = [&published, &own].map(|file| {
            let text = format!("[[potential]]\nmace = {{ file = {file:?}, precision = \"f64\", {more} }}\n");
            let potential = folder.write("p.toml", &text);
            let results = folder.path("out.extxyz");
            let mut command = caloron();
            command
                .arg("eval")
                .arg(&structure)
                .arg("-p")
                .arg(&potential)
                .arg("--force")
                .arg("-o")
                .arg(&results);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
            caloron::io::read_all(&results).unwrap()[0].energy.expect("an energy")
        });
        assert_eq!(energies[0], energies[1], "{name}");
        assert!((energies[0] - known).abs() < 1e-8, "{name}: {} {known}", energies[0]);
    }
    let potential = "mace = { file = \"omol.safetensors\", total_charge = -2, total_spin = 3 }";
    let input = folder.write("run.toml", &input(20, potential, ""));
    let output = caloron().arg("run").arg(&input).arg("--out").arg(folder.path("out")).output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_program_without_support_for_devices_says_so() {
    let folder = Folder::new("device");
    let structure = folder.write("a.extxyz", &line(&[5.0, 8.1]));
    let potential = folder.write("p.toml", "[[potential]]\nchgnet = { device = \"cuda\" }\n");
    let output = caloron().arg("eval").arg(&structure).arg("-p").arg(&potential).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("built without support for CUDA devices") && said.contains("--features cuda"),
        "{said}"
    );
}
