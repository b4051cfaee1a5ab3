//! The program as a user meets it: exit status, messages, files.
mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Folder, caloron, run, stderr, stdout};

const ARGON: &str = r#"
title = "Argon gas"
seed = 3
[system]
lattice = { fcc = { a = "6.0 Å", species = "Ar", repeat = [3, 3, 3] } }
velocities = { temperature = "90 K" }
[[potential]]
[potential.lennard_jones]
cutoff = "8.5 Å"
truncation = "force_shifted"
pairs = [{ species = ["Ar", "Ar"], epsilon = "0.0104 eV", sigma = "3.4 Å" }]
"#;

fn argon(steps: u64, dt: &str, output: &str) -> String {
    format!(
        "{ARGON}[[stage]]\nname = \"go\"\nsteps = {steps}\n[stage.nve]\ntimestep = \"{dt}\"\n[output]\n{output}\n"
    )
}

#[test]
fn a_run_writes_what_it_says_and_is_never_overwritten() {
    let folder = Folder::new("files");
    let input = folder.write(
        "argon.toml",
        &argon(
            40,
            "2 fs",
            "trajectory = { file = \"a.extxyz\", every = 10 }\nthermo = { file = \"t.csv\", every = 4 }",
        ),
    );
    let out = folder.path("out");
    run(&input, &out, 1);
    for name in ["a.extxyz", "t.csv", "verdict.json", "run.json", "input.toml", "run.log"] {
        assert!(out.join(name).is_file(), "{name}");
    }
    let table = std::fs::read_to_string(out.join("t.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 11);
    assert!(table.starts_with("step,time_ps,temperature_K,"), "{table}");
    let frames = caloron::io::read_all(out.join("a.extxyz")).unwrap();
    assert_eq!((frames.len(), frames[0].len(), frames[4].step), (5, 108, Some(40)));
    let provenance = std::fs::read_to_string(out.join("run.json")).unwrap();
    assert!(provenance.contains("input_sha256") && provenance.contains("\"seed\": 3"), "{provenance}");

    let again = caloron().arg("run").arg(&input).arg("--out").arg(&out).output().unwrap();
    assert_eq!(again.status.code(), Some(2));
    assert!(
        stderr(&again).contains("already exists") && stderr(&again).contains("caloron resume"),
        "{}",
        stderr(&again)
    );
}

#[test]
fn wrong_input_has_status_2_and_a_hint() {
    let folder = Folder::new("wrong");
    let input = folder.write("bad.toml", &argon(10, "2 K", ""));
    let output = caloron().arg("run").arg(&input).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("bad.toml:") && text.contains("`K` is not a unit of time") && text.contains("hint:"),
        "{text}"
    );
    assert!(!folder.path("bad").exists(), "nothing is written for a wrong input");
    let missing = caloron().args(["run", "no-such-file.toml"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn divergence_has_status_3_names_the_atom_and_keeps_the_last_good_state() {
    let folder = Folder::new("diverge");
    let input =
        folder.write("hot.toml", &argon(20_000, "150 fs", "thermo = { file = \"t.csv\", every = 1 }"));
    let out = folder.path("out");
    let output = caloron().arg("run").arg(&input).arg("--out").arg(&out).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for word in ["diverged", "step ", "atom ", "nearest atoms", "hint:"] {
        assert!(text.contains(word), "`{word}` missing in:\n{text}");
    }
    let good = caloron::io::read_all(out.join("last-good.extxyz")).unwrap();
    assert!(good[0].positions.iter().all(|r| r.iter().all(|x| x.is_finite())));
    assert!(out.join("diverged.extxyz").is_file());
}

#[cfg(unix)]
#[test]
fn ctrl_c_writes_a_checkpoint_and_says_how_to_resume() {
    let folder = Folder::new("interrupt");
    let input =
        folder.write("long.toml", &argon(50_000_000, "2 fs", "thermo = { file = \"t.csv\", every = 1000 }"));
    let out = folder.path("out");
    let child = caloron()
        .args(["run", "--quiet", "--out"])
        .arg(&out)
        .arg(&input)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    // the first checkpoint says that the run has begun
    let begun = || {
        std::fs::read_dir(&out)
            .is_ok_and(|d| d.flatten().any(|e| e.path().extension().is_some_and(|x| x == "checkpoint")))
    };
    while !begun() && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    // nobody else may write into the folder meanwhile
    let second = caloron().arg("resume").arg(&out).output().unwrap();
    assert_eq!(second.status.code(), Some(2), "{}", stderr(&second));
    assert!(stderr(&second).contains("another process runs"), "{}", stderr(&second));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("stopped by the user at step") && text.contains("caloron resume"), "{text}");
    let newest = std::fs::read_dir(&out).unwrap().flatten().map(|e| e.file_name().into_string().unwrap());
    let newest = newest.filter(|n| n.ends_with(".checkpoint")).max().unwrap();
    assert_ne!(newest, "step-000000000000.checkpoint");
}

#[cfg(unix)]
#[test]
fn a_full_disk_stops_the_run_with_a_clear_error_and_a_usable_checkpoint() {
    // files of at most so many blocks of 512 bytes: a trajectory that fails while a checkpoint is made, one that fails when its
    // buffer is full, after a file that has the frame already, and a table
    let often = "trajectory = { file = \"a.extxyz\", every = 5 }\ncheckpoint = { every_steps = 50 }";
    let seldom = "thermo = { file = \"t.csv\", every = 5 }\ntrajectory = [{ file = \"b.xtc\", every = 5 }, { file = \"a.extxyz\", every = 5 }]";
    let table = "thermo = { file = \"t.csv\", every = 1 }";
    for (output, limit, files) in [
        (often, 4000, &["a.extxyz"][..]),
        (seldom, 4000, &["a.extxyz", "b.xtc", "t.csv"]),
        (table, 300, &["t.csv"]),
    ] {
        let folder = Folder::new(&format!("full-{limit}-{}", files.len()));
        let input = folder.write("full.toml", &argon(4000, "2 fs", output));
        let (whole, out) = (folder.path("whole"), folder.path("out"));
        run(&input, &whole, 1);
        // the signal that goes with the limit is ignored, so that writes fail as on a full disk
        let program = env!("CARGO_BIN_EXE_caloron");
        let script = format!(
            "trap '' XFSZ; ulimit -f {limit}; exec {program} run --quiet --out {} {}",
            out.display(),
            input.display()
        );
        let result = Command::new("sh").args(["-c", &script]).output().unwrap();
        let text = stderr(&result);
        assert_eq!(result.status.code(), Some(1), "{text}");
        let named = files.iter().any(|f| text.contains(f));
        assert!(named && text.contains("caloron resume"), "{text}");
        // the step at which it failed was saved, and the message says so
        let names = std::fs::read_dir(&out).unwrap().flatten().map(|e| e.file_name().into_string().unwrap());
        let newest = names.filter(|n| n.ends_with(".checkpoint")).max().unwrap();
        let step: u64 = newest.trim_start_matches("step-").trim_end_matches(".checkpoint").parse().unwrap();
        assert!(
            step > 0 && text.contains(&format!("checkpoint of step {step} is usable")),
            "{newest}: {text}"
        );
        assert!(!text.contains("computed again"), "{text}");
        // there is still no room: nothing is lost by trying
        let script = script.replace("run --quiet --out", "resume --quiet");
        let script = script.trim_end_matches(&input.display().to_string());
        let again = Command::new("sh").args(["-c", script]).output().unwrap();
        assert_eq!(again.status.code(), Some(1), "{}", stderr(&again));
        let resumed = caloron().args(["resume", "--quiet"]).arg(&out).output().unwrap();
        assert!(resumed.status.success(), "{}", stderr(&resumed));
        support::assert_same_files(&whole, &out, files, "full disk");
        // the statistics saw every frame once
        let verdict = |folder: &std::path::Path| {
            let text = std::fs::read_to_string(folder.join("verdict.json")).unwrap();
            text.lines().take_while(|l| !l.contains("\"rate\"")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(verdict(&whole), verdict(&out));
    }
}

#[test]
fn a_changed_input_is_not_resumed() {
    let folder = Folder::new("changed");
    let input = folder.write("a.toml", &argon(10, "2 fs", ""));
    let out = folder.path("out");
    run(&input, &out, 1);
    std::fs::write(out.join("input.toml"), argon(20, "2 fs", "")).unwrap();
    let output = caloron().arg("resume").arg(&out).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("was changed"), "{}", stderr(&output));
}

#[test]
fn check_describes_gates_and_forecasts() {
    let folder = Folder::new("check");
    let input =
        folder.write("a.toml", &argon(1000, "2 fs", "trajectory = { file = \"a.extxyz\", every = 10 }"));
    let output = caloron().arg("check").arg(&input).output().unwrap();
    let text = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    for word in ["108", "forces", "forecast", "steps/s", "a.extxyz", "101 frames"] {
        assert!(text.contains(word), "`{word}` missing in:\n{text}");
    }
    assert!(!folder.path("a").exists(), "check writes nothing");
}

#[test]
fn eval_and_relax_work_on_every_frame() {
    let folder = Folder::new("eval");
    let potential = folder.write("lj.toml", &ARGON[ARGON.find("[[potential]]").unwrap()..]);
    let frames = "2\nLattice=\"20 0 0 0 20 0 0 0 20\" Properties=species:S:1:pos:R:3 pbc=\"F F F\"\nAr 1 1 1\nAr 1 1 4.9\n".repeat(3);
    let structures = folder.write("dimers.extxyz", &frames);
    let out = folder.path("out.extxyz");
    let output = caloron()
        .arg("eval")
        .arg(&structures)
        .arg("-p")
        .arg(&potential)
        .arg("-o")
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 4);
    let results = caloron::io::read_all(&out).unwrap();
    let f = results[2].forces.as_ref().unwrap();
    assert!(results[2].energy.unwrap() < 0.0 && (f[0] + f[1]).norm() < 1e-15 && f[0].z > 0.0);

    let relaxed = folder.path("relaxed.extxyz");
    let output = caloron()
        .args(["relax", "--fmax", "1e-6"])
        .arg(&structures)
        .arg("-p")
        .arg(&potential)
        .arg("-o")
        .arg(&relaxed)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let r = caloron::io::read_all(&relaxed).unwrap();
    let d = (r[0].positions[1] - r[0].positions[0]).norm();
    assert!((d - 3.4 * 2f64.powf(1.0 / 6.0)).abs() < 0.02, "{d}");
}

#[test]
fn results_say_where_they_come_from() {
    let folder = Folder::new("provenance");
    let potential = folder.write("lj.toml", &ARGON[ARGON.find("[[potential]]").unwrap()..]);
    let input = folder.write("a.toml", ARGON);
    let built = folder.path("built.extxyz");
    let text = |r: std::process::Output| assert!(r.status.success(), "{}", stderr(&r));
    text(caloron().arg("build").arg(&input).arg("-o").arg(&built).output().unwrap());
    let head = std::fs::read_to_string(&built).unwrap();
    for word in
        ["caloron=", "title=\"Argon gas\"", "input=a.toml", "input_sha256=", "seed=", "units=physical"]
    {
        assert!(head.contains(word), "{word}: {}", &head[..600]);
    }
    for command in ["eval", "relax"] {
        let run = |out: &std::path::Path| {
            let (s, p) = (folder.path("built.extxyz"), &potential);
            text(caloron().arg(command).arg(s).arg("-p").arg(p).arg("-o").arg(out).output().unwrap());
        };
        let native = folder.path(&format!("{command}.cif"));
        run(&native);
        let head = std::fs::read_to_string(&native).unwrap();
        let other = folder.path(&format!("{command}.xtc"));
        run(&other);
        let beside = std::fs::read_to_string(folder.path(&format!("{command}.xtc.provenance.json"))).unwrap();
        let words = ["lj.toml", "built.extxyz", "sha256(built.extxyz)", "input_sha256", "lennard_jones"];
        for word in words {
            assert!(head.contains(word), "{word}: {}", &head[..900]);
            assert!(beside.contains(word), "{word}: {beside}");
        }
        assert!(!folder.path(&format!("{command}.cif.provenance.json")).exists());
    }
    let dump = folder.path("built.lammpstrj");
    text(caloron().arg("convert").arg(&built).arg(&dump).output().unwrap());
    let beside = std::fs::read_to_string(folder.path("built.lammpstrj.provenance.json")).unwrap();
    assert!(beside.contains("\"converted_from\": \"built.extxyz\""), "{beside}");
}

#[test]
fn bench_prints_one_line_of_json() {
    let folder = Folder::new("bench");
    let input = folder.write("a.toml", &argon(1000, "2 fs", ""));
    let output = caloron().args(["bench", "--steps", "50", "--threads", "1"]).arg(&input).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let line: serde_json::Value = serde_json::from_str(stdout(&output).trim()).unwrap();
    assert_eq!(
        (line["atoms"].as_u64(), line["steps"].as_u64(), line["threads"].as_u64()),
        (Some(108), Some(50), Some(1))
    );
    for key in ["loop_seconds", "atom_steps_per_second", "ns_per_day", "peak_rss_bytes"] {
        assert!(line[key].as_f64().unwrap() > 0.0, "{key}");
    }
}

#[test]
fn convert_goes_between_formats() {
    let folder = Folder::new("convert");
    let input =
        folder.write("a.toml", &argon(20, "2 fs", "trajectory = { file = \"a.extxyz\", every = 10 }"));
    let out = folder.path("out");
    run(&input, &out, 1);
    let dump = folder.path("a.lammpstrj");
    let output = caloron().arg("convert").arg(out.join("a.extxyz")).arg(&dump).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let (a, b) =
        (caloron::io::read_all(out.join("a.extxyz")).unwrap(), caloron::io::read_all(&dump).unwrap());
    assert_eq!(a.len(), b.len());
    assert!((a[2].positions[5] - b[2].positions[5]).norm() < 1e-4);
    let again = caloron().arg("convert").arg(out.join("a.extxyz")).arg(&dump).output().unwrap();
    assert_eq!(again.status.code(), Some(2), "an existing file is not replaced");
}

#[test]
fn cite_names_the_methods() {
    let folder = Folder::new("cite");
    let text = argon(20, "2 fs", "").replace(
        "[stage.nve]",
        "[stage.nvt]\ntemperature = \"90 K\"\nthermostat = { bussi = { relaxation = \"0.1 ps\" } }",
    );
    let input = folder.write("a.toml", &text);
    let output = caloron().arg("cite").arg(&input).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("Bussi"), "{}", stdout(&output));
}

#[test]
fn models_are_described_and_imported() {
    let folder = Folder::new("model");
    let missing = caloron().args(["model", "info", "no-such.model"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2), "{}", stderr(&missing));
    let text = folder.write("a.model", "hello");
    let wrong = caloron().args(["model", "info"]).arg(&text).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        stderr(&wrong).contains("not a model file") && stderr(&wrong).contains("hint:"),
        "{}",
        stderr(&wrong)
    );
    // a model of one neuron: all numbers are 1
    let header = "nep4 1 Ar\ncutoff 5 4 50 20\nn_max 0 0\nbasis_size 0 0\nl_max 1 0 0\nANN 1 0\n";
    let nep = folder.write("nep.txt", &format!("{header}{}", "1.0\n".repeat(9)));
    let info = caloron().args(["model", "info", "--tensors"]).arg(&nep).output().unwrap();
    let said = stdout(&info);
    assert!(info.status.success(), "{}", stderr(&info));
    for word in ["NEP", "Ar (1)", "5 Å", "float64", "9 in ", "not stated", "sha256", "q_scaler float64 [2]"]
    {
        assert!(said.contains(word), "`{word}` missing in:\n{said}");
    }
    let own = folder.path("own.safetensors");
    let import = |force: bool| {
        let mut command = caloron();
        command.args(["model", "import", "--licence", "MIT", "-o"]).arg(&own).arg(&nep);
        if force {
            command.arg("--force");
        }
        command.output().unwrap()
    };
    assert!(import(false).status.success());
    assert_eq!(import(false).status.code(), Some(2), "an existing file is not replaced");
    assert!(import(true).status.success());
    let info = caloron().args(["model", "info"]).arg(&own).output().unwrap();
    for word in ["Caloron safetensors", "MIT", "nep.txt", "Ar (1)"] {
        assert!(stdout(&info).contains(word), "`{word}` missing in:\n{}", stdout(&info));
    }
    // the two forms give the same energies
    let pair = "2\nProperties=species:S:1:pos:R:3\nAr 0 0 0\nAr 0 0 3.1\n";
    let structure = folder.write("pair.extxyz", pair);
    let energy = |model: &str| {
        let potential = folder.write("p.toml", &format!("[[potential]]\nnep = {{ file = \"{model}\" }}\n"));
        let output = caloron().arg("eval").arg(&structure).arg("-p").arg(&potential).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    assert_eq!(energy("nep.txt"), energy("own.safetensors"));
    let potential = folder.write("p.toml", "[[potential]]\nnep = { file = \"own.safetensors\" }\n");
    let other = folder.write("xe.extxyz", &pair.replace("Ar", "Xe"));
    let output = caloron().arg("eval").arg(&other).arg("-p").arg(&potential).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no parameters for element `Xe`"), "{}", stderr(&output));
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_caloron"))
        .args(["schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
}

#[test]
fn a_finished_run_has_nothing_left_to_resume() {
    let folder = Folder::new("finished");
    let input =
        folder.write("a.toml", &argon(30, "2 fs", "trajectory = { file = \"a.extxyz\", every = 10 }"));
    let out = folder.path("out");
    run(&input, &out, 1);
    let files = || ["a.extxyz", "verdict.json"].map(|f| std::fs::read(out.join(f)).unwrap());
    let before = files();
    let again = caloron().arg("resume").arg(&out).output().unwrap();
    assert!(again.status.success(), "{}", stderr(&again));
    assert!(stdout(&again).contains("is complete: 1 stages, 30 steps"), "{}", stdout(&again));
    assert_eq!(before, files());
}

#[test]
fn an_input_is_never_overwritten_and_a_replaced_file_stays_until_the_end() {
    let folder = Folder::new("overwrite");
    let potential = folder.write("lj.toml", &ARGON[ARGON.find("[[potential]]").unwrap()..]);
    let frame = "2\nLattice=\"20 0 0 0 20 0 0 0 20\" Properties=species:S:1:pos:R:3 pbc=\"F F F\"\nAr 1 1 1\nAr 1 1 4.9\n";
    let structures = folder.write("pair.extxyz", frame);
    let link = folder.path("link.extxyz");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&structures, &link).unwrap();
    let input = folder.write("argon.toml", &argon(10, "2 fs", ""));
    let refused = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("is the input file"), "{}", stderr(&output));
    };
    for command in ["eval", "relax"] {
        for output in [&structures, &link] {
            let mut program = caloron();
            program.arg(command).arg(&structures).arg("-p").arg(&potential);
            refused(program.arg("--force").arg("-o").arg(output));
        }
    }
    refused(caloron().arg("convert").arg(&structures).arg(&structures).arg("--force"));
    let filed = folder.write("filed.toml", "[system]\nstructure = \"pair.extxyz\"\n");
    refused(caloron().arg("build").arg(&filed).arg("-o").arg(&structures).arg("--force"));
    assert_eq!(std::fs::read_to_string(&structures).unwrap(), frame);
    // the second structure cannot be evaluated: the file that would be replaced is still there, and so is the first result
    let bad = folder.write("bad.extxyz", &(frame.to_owned() + &frame.replace("Ar", "Xe")));
    let results = folder.write("results.extxyz", "old\n");
    let output = caloron()
        .arg("eval")
        .arg(&bad)
        .arg("-p")
        .arg(&potential)
        .arg("-o")
        .arg(&results)
        .arg("--force")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(&results).unwrap(), "old\n");
    assert!(stderr(&output).contains("results.extxyz.partial"), "{}", stderr(&output));
    let partial = std::fs::read_to_string(folder.path("results.extxyz.partial")).unwrap();
    assert!(partial.contains("energy=") && !partial.contains("Xe"), "{partial}");
    let output = caloron()
        .arg("eval")
        .arg(&structures)
        .arg("-p")
        .arg(&input)
        .arg("-o")
        .arg(&results)
        .arg("--force")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("is the input of a run"), "{}", stderr(&output));
    assert_eq!(caloron::io::read_all(&results).unwrap().len(), 1);
    assert!(!folder.path("results.extxyz.partial").exists());
}

#[test]
fn a_start_beyond_the_limits_stops_before_the_first_step() {
    let folder = Folder::new("hot");
    let hot = argon(10, "2 fs", "").replace("\"90 K\"", "\"200000 K\"");
    let input = folder.write("hot.toml", &hot);
    let output = caloron().arg("run").arg(&input).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("step 0: the temperature is 2"), "{text}");
    // a fast atom of its own: hot on the average it is not
    let mut positions = String::from("200\nProperties=species:S:1:pos:R:3:velo:R:3 pbc=\"F F F\"\n");
    for k in 0..200 {
        let v = if k == 7 { 0.6 } else { 0.0 };
        positions += &format!("Ar {} 0 0 0 {v} 0\n", 8 * k);
    }
    folder.write("fast.extxyz", &positions);
    let fast = argon(10, "2 fs", "").replace(
        "lattice = { fcc = { a = \"6.0 Å\", species = \"Ar\", repeat = [3, 3, 3] } }\nvelocities = { temperature = \"90 K\" }",
        "structure = \"fast.extxyz\"",
    );
    let input = folder.write("fast.toml", &fast);
    let output = caloron().arg("run").arg(&input).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("step 0: atom 7 moved 1."), "{text}");
}

/// A minimisation, then dynamics with velocities of its own.
const TWO_STAGES: &str = r#"
[[stage]]
name = "relax"
[stage.minimize]
fmax = "1e-6 eV/Å"
[[stage]]
name = "go"
steps = 25
velocities = { temperature = "60 K" }
[stage.nvt]
temperature = "60 K"
timestep = "2 fs"
thermostat = { nose_hoover = { relaxation = "0.1 ps" } }
[output]
trajectory = [{ file = "a.extxyz", every = 10 }, { file = "b.extxyz", every = 5 }]
thermo = { file = "t.csv", every = 5 }
"#;

#[test]
fn stages_draw_velocities_count_their_own_steps_and_end_with_a_frame() {
    let folder = Folder::new("stages");
    let rattled = ARGON.replace("velocities = { temperature = \"90 K\" }", "rattle = \"0.1 Å\"");
    let input = folder.write("two.toml", &format!("{rattled}{TWO_STAGES}"));
    let out = folder.path("out");
    run(&input, &out, 1);
    let table = std::fs::read_to_string(out.join("t.csv")).unwrap();
    let rows: Vec<Vec<f64>> = table
        .lines()
        .skip(1)
        .map(|l| l.split(',').map(|x| x.parse().unwrap_or(f64::NAN)).collect())
        .collect();
    let verdict: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(out.join("verdict.json")).unwrap()).unwrap();
    let first = verdict[0]["steps"].as_u64().unwrap();
    let steps = |name: &str| -> Vec<u64> {
        caloron::io::read_all(out.join(name)).unwrap().iter().map(|f| f.step.unwrap()).collect()
    };
    let all = |every: u64| {
        let each = |from: u64, steps: u64| {
            (1..=steps).filter(move |s| s % every == 0 || *s == steps).map(move |s| from + s)
        };
        [0].into_iter().chain(each(0, first)).chain(each(first, 25)).collect::<Vec<u64>>()
    };
    assert_eq!(steps("a.extxyz"), all(10));
    assert_eq!(steps("b.extxyz"), all(5));
    let drawn = rows.iter().find(|r| r[0] as u64 == first + 5).unwrap();
    assert!((30.0..70.0).contains(&drawn[2]), "{drawn:?}");
    // without them, a thermostat that multiplies has nothing to begin with
    let input = folder.write(
        "cold.toml",
        &format!("{rattled}{}", TWO_STAGES.replace("velocities = { temperature = \"60 K\" }\n", "")),
    );
    let output = caloron().arg("check").arg(&input).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("all velocities are zero when the stage begins"), "{}", stderr(&output));
}

/// What the gate must not mistake for a fault: one-body terms, jumps at cutoffs, slabs.
#[test]
fn the_gate_raises_no_false_alarm() {
    let folder = Folder::new("gate");
    let system = "[system]\nlattice = { rocksalt = { a = \"5.64 Å\", species = [\"Na\", \"Cl\"], repeat = [2, 2, 2] } }\n\
                  charges = { Na = \"1 e\", Cl = \"-1 e\" }\nrattle = \"0.1 Å\"\nvelocities = { temperature = \"200 K\" }\n";
    let slab = "cell = { periodic = [true, true, false] }\n";
    let stage = "[[stage]]\nname = \"go\"\nsteps = 1\n[stage.nve]\ntimestep = \"1 fs\"\n";
    let coulomb = |method: &str| format!("[[potential]]\n[potential.coulomb]\nmethod = {{ {method} }}\n");
    let field = "[[potential]]\n[potential.electric_field]\nfield = [\"0.02 V/Å\", \"0 V/Å\", \"0.01 V/Å\"]\n\
                 [[potential]]\n[potential.gravity]\nacceleration = [\"0 Å/ps^2\", \"0 Å/ps^2\", \"-1 Å/ps^2\"]\n";
    let d3 = "[[potential]]\n[potential.d3]\ndamping = \"bj\"\nfunctional = \"pbe\"\n";
    let cases = [
        ("pme", format!("{system}{}", coulomb("pme = { cutoff = \"9 Å\", tolerance = 1e-4 }"))),
        ("cut", format!("{system}{}", coulomb("cut = { cutoff = \"9 Å\" }"))),
        ("wolf", format!("{system}{}", coulomb("wolf = { cutoff = \"9 Å\", alpha = \"0.2 1/Å\" }"))),
        (
            "reaction_field",
            format!("{system}{}", coulomb("reaction_field = { cutoff = \"9 Å\", dielectric = 80.0 }")),
        ),
        ("field", format!("{system}{slab}{field}")),
        ("d3", format!("{}{d3}", system.replace("[2, 2, 2]", "[1, 1, 1]"))),
    ];
    for (name, text) in cases {
        let input = folder.write(&format!("{name}.toml"), &format!("{text}{stage}"));
        let output = caloron().arg("check").arg(&input).output().unwrap();
        assert!(output.status.success(), "{name}: {}\n{}", stderr(&output), stdout(&output));
        assert!(stdout(&output).contains("passed  forces against finite differences"), "{}", stdout(&output));
    }
}
