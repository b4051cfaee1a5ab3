//! A run that is killed and resumed equals the uninterrupted one bit for bit, whatever drives it and on however many
//! threads; and any number of threads gives the same bits.
mod support;

use std::time::{Duration, Instant};
use support::{Folder, assert_same_files, caloron, run, stderr};

const HEAD: &str = r#"
units = "lj"
seed = 20
[system]
lattice = { fcc = { density = 0.75, species = "A", repeat = [4, 4, 4] } }
velocities = { temperature = 1.1 }
rattle = 0.02
[neighbors]
skin = 0.25
[output]
thermo = { file = "thermo.csv", every = 5 }
trajectory = [
    { file = "all.extxyz", every = 50, velocities = true, forces = true },
    { file = "small.xtc", every = 25 },
]
checkpoint = { every_steps = 37 }
[[potential]]
[potential.lennard_jones]
cutoff = 2.5
truncation = "force_shifted"
pairs = [{ species = ["A", "A"], epsilon = 1.0, sigma = 1.0 }]
"#;

/// Everything that can drive a stage, by name.
const DRIVERS: &[(&str, &str)] = &[
    ("nve", "[stage.nve]\ntimestep = 0.004"),
    (
        "langevin",
        "[stage.nvt]\ntemperature = 1.0\ntimestep = 0.004\nthermostat = { langevin = { friction = 1.0 } }",
    ),
    (
        "nose_hoover",
        "[stage.nvt]\ntemperature = 1.0\ntimestep = 0.004\nthermostat = { nose_hoover = { relaxation = 0.5 } }",
    ),
    (
        "bussi",
        "[stage.nvt]\ntemperature = { from = 1.1, to = 0.9 }\ntimestep = 0.004\nthermostat = { bussi = { relaxation = 0.2 } }",
    ),
    (
        "andersen",
        "[stage.nvt]\ntemperature = 1.0\ntimestep = 0.004\nthermostat = { andersen = { rate = 2.0 } }",
    ),
    (
        "berendsen",
        "[stage.nvt]\ntemperature = 1.0\ntimestep = 0.004\nthermostat = { berendsen = { relaxation = 0.2 } }",
    ),
    ("brownian", "[stage.brownian]\ntemperature = 1.0\ntimestep = 0.002\nfriction = 20.0"),
    (
        "rescale",
        "[stage.npt]\ntemperature = 1.0\npressure = 1.0\ntimestep = 0.004\nthermostat = { bussi = { relaxation = 0.2 } }\nbarostat = { cell_rescale = { relaxation = 1.0, compressibility = 0.1 } }",
    ),
    (
        "rescale_anisotropic",
        "[stage.npt]\ntemperature = 1.0\npressure = 1.0\ntimestep = 0.004\nthermostat = { langevin = { friction = 1.0 } }\nbarostat = { cell_rescale = { relaxation = 1.0, compressibility = 0.1, mode = \"anisotropic\" } }",
    ),
    (
        "rescale_triclinic",
        "[stage.npt]\ntemperature = 1.0\npressure = 1.0\ntimestep = 0.004\nthermostat = { bussi = { relaxation = 0.2 } }\nbarostat = { cell_rescale = { relaxation = 1.0, compressibility = 0.1, mode = \"triclinic\" } }",
    ),
    (
        "mtk",
        "[stage.npt]\ntemperature = 1.0\npressure = 1.0\ntimestep = 0.004\nthermostat = { nose_hoover = { relaxation = 0.5 } }\nbarostat = { mtk = { relaxation = 1.0 } }",
    ),
    (
        "mtk_triclinic",
        "[stage.npt]\ntemperature = 1.0\npressure = 1.0\ntimestep = 0.004\nthermostat = { nose_hoover = { relaxation = 0.5 } }\nbarostat = { mtk = { relaxation = 1.0, mode = \"triclinic\" } }",
    ),
    (
        "mtk_semi_isotropic",
        "[stage.npt]\ntemperature = 1.0\npressure = 1.0\ntimestep = 0.004\nthermostat = { nose_hoover = { relaxation = 0.5 } }\nbarostat = { mtk = { relaxation = 1.0, mode = \"semi_isotropic\" } }",
    ),
    (
        "mtk_anisotropic",
        "[stage.npt]\ntemperature = 1.0\npressure = 1.0\ntimestep = 0.004\nthermostat = { langevin = { friction = 1.0 } }\nbarostat = { mtk = { relaxation = 1.0, mode = \"anisotropic\" } }",
    ),
    ("nph", "[stage.nph]\ntemperature = 1.0\npressure = 1.0\ntimestep = 0.004\nrelaxation = 1.0"),
    ("respa", "# two groups\n[stage.nve]\ntimestep = 0.004\nrespa = { inner = [3] }"),
    (
        "respa_langevin",
        "# two groups\n[stage.nvt]\ntemperature = 1.0\ntimestep = 0.004\nrespa = { inner = [2] }\nthermostat = { langevin = { friction = 1.0 } }",
    ),
    (
        "monte_carlo",
        "[stage.npt]\ntemperature = 1.0\npressure = 1.0\ntimestep = 0.004\nthermostat = { langevin = { friction = 1.0 } }\nbarostat = { monte_carlo = { every = 7 } }",
    ),
    (
        "npt_berendsen",
        "[stage.npt]\ntemperature = 1.0\npressure = 1.0\ntimestep = 0.004\nthermostat = { berendsen = { relaxation = 0.2 } }\nbarostat = { berendsen = { relaxation = 1.0, compressibility = 0.1 } }",
    ),
    (
        "rigid_langevin",
        "# rigid\n[stage.npt]\ntemperature = 1.0\npressure = 1.0\ntimestep = 0.002\nthermostat = { langevin = { friction = 1.0 } }\nbarostat = { mtk = { relaxation = 1.0 } }",
    ),
    (
        "rigid_monte_carlo",
        "# rigid\n[stage.npt]\ntemperature = 1.0\npressure = 1.0\ntimestep = 0.002\nthermostat = { nose_hoover = { relaxation = 0.5 } }\nbarostat = { monte_carlo = { every = 7 } }",
    ),
    ("rigid_lbfgs", "# rigid\n[stage.minimize]\nfmax = 1e-9\nsteps = 200"),
    ("fire", "[stage.minimize]\nmethod = \"fire\"\nfmax = 1e-9\nsteps = 400"),
    ("lbfgs", "[stage.minimize]\nfmax = 1e-9\nsteps = 400\ncell = { pressure = 0.5 }"),
];

const FILES: &[&str] = &["thermo.csv", "all.extxyz", "small.xtc"];

fn input(driver: &str, steps: u64) -> String {
    let length = if driver.contains("minimize") { String::new() } else { format!("steps = {steps}\n") };
    // tetrahedra as rigid bodies
    let rigid = "groups = { atoms = \"all\" }\nrigid = [{ group = \"atoms\", bodies = { size = 4 } }]";
    let head =
        if driver.starts_with("# rigid") { HEAD.replace("rattle = 0.02", rigid) } else { HEAD.to_owned() };
    let fast = "[[potential]]\nforce_group = 1\n[potential.lennard_jones]\ncutoff = 1.3\ntruncation = \"force_shifted\"\npairs = [{ species = [\"A\", \"A\"], epsilon = 0.5, sigma = 0.9 }]\n";
    let head = if driver.starts_with("# two groups") { head + fast } else { head };
    // a second stage, so that a kill can also hit the change from one to the next; it draws what a minimisation took away
    let drawn = if driver.contains("minimize") { "velocities = { temperature = 0.8 }\n" } else { "" };
    format!(
        "{head}[[stage]]\nname = \"first\"\n{length}{driver}\n[[stage]]\nname = \"second\"\nsteps = 60\n{drawn}[stage.nve]\ntimestep = 0.002\n"
    )
}

/// Starts a run, kills it after a delay, and resumes it, killing again as often as `delays` says, until it is done.
fn interrupted(
    folder: &Folder,
    name: &str,
    file: &std::path::Path,
    delays: &[Duration],
) -> std::path::PathBuf {
    let out = folder.path(&format!("{name}-killed"));
    let mut started = false;
    for (k, delay) in delays.iter().enumerate() {
        let threads = ["1", "2", "4", "8"][k % 4];
        let mut command = caloron();
        if started {
            command.args(["resume", "--quiet", "--threads", threads]).arg(&out);
        } else {
            command.args(["run", "--quiet", "--threads", threads, "--out"]).arg(&out).arg(file);
        }
        let mut child =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        let begin = Instant::now();
        while begin.elapsed() < *delay {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        // SIGKILL: nothing can be tidied up
        let _ = child.kill();
        child.wait().unwrap();
        // killed before the first checkpoint was whole: such a run begins anew
        let whole = std::fs::read_dir(&out)
            .map(|d| d.flatten().any(|e| e.path().extension().is_some_and(|x| x == "checkpoint")))
            .unwrap_or(false);
        if !whole {
            let _ = std::fs::remove_dir_all(&out);
        }
        started = whole;
    }
    let mut command = caloron();
    if started {
        command.args(["resume", "--quiet", "--threads", "2"]).arg(&out);
    } else {
        command.args(["run", "--quiet", "--out"]).arg(&out).arg(file);
    }
    let end = command.output().unwrap();
    assert!(end.status.success(), "{name}: {}", stderr(&end));
    out
}

#[test]
fn a_killed_run_continues_to_the_same_bits() {
    let folder = Folder::new("restart");
    for (k, (name, driver)) in DRIVERS.iter().enumerate() {
        let file = folder.write(&format!("{name}.toml"), &input(driver, 240));
        let whole = folder.path(&format!("{name}-whole"));
        let begin = Instant::now();
        run(&file, &whole, 1);
        let took = begin.elapsed();
        let delays: Vec<_> = [0.35, 0.6].iter().map(|x| took.mul_f64(x + 0.02 * k as f64 % 0.2)).collect();
        let out = interrupted(&folder, name, &file, &delays);
        assert_same_files(&whole, &out, FILES, name);
    }
}

/// 200 kills at random moments over all drivers; run with `cargo test --release --test restart -- --ignored`.
#[test]
#[ignore = "minutes"]
fn two_hundred_random_kills_leave_no_trace() {
    let folder = Folder::new("kills");
    let mut seed = 88_172_645_463_325_252u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut kills = 0;
    let mut k = 0;
    while kills < 200 {
        let (name, driver) = DRIVERS[k % DRIVERS.len()];
        k += 1;
        let name = format!("{name}-{k}");
        let file = folder.write(&format!("{name}.toml"), &input(driver, 600));
        let whole = folder.path(&format!("{name}-whole"));
        let begin = Instant::now();
        run(&file, &whole, 2);
        let took = begin.elapsed();
        let delays: Vec<_> = (0..5).map(|_| took.mul_f64(random() * 0.9)).collect();
        let out = interrupted(&folder, &name, &file, &delays);
        assert_same_files(&whole, &out, FILES, &name);
        kills += delays.len();
        let _ = std::fs::remove_dir_all(&whole);
        let _ = std::fs::remove_dir_all(&out);
    }
    println!("{kills} kills over {k} runs: all files equal to the last bit");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let folder = Folder::new("threads");
    // enough atoms that every loop runs in parallel
    let big = HEAD.replace("[4, 4, 4]", "[10, 10, 10]");
    let file = folder.write(
        "threads.toml",
        &format!(
            "{big}[[stage]]\nname = \"npt\"\nsteps = 50\n[stage.npt]\ntemperature = 1.0\npressure = 1.0\ntimestep = 0.004\nthermostat = {{ langevin = {{ friction = 1.0 }} }}\nbarostat = {{ cell_rescale = {{ relaxation = 1.0, compressibility = 0.1 }} }}\n"
        ),
    );
    let one = folder.path("1");
    run(&file, &one, 1);
    for threads in [2, 4, 8] {
        let out = folder.path(&threads.to_string());
        run(&file, &out, threads);
        assert_same_files(&one, &out, FILES, &format!("{threads} threads"));
    }
}
