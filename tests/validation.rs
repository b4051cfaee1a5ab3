//! Validation against published numbers: minutes to an hour, so none of it runs by default.
//!
//! `cargo test --release --test validation -- --ignored --nocapture --test-threads 1` prints the tables of
//! docs/validation.md.
mod support;

use serde_json::Value;
use support::{Folder, run, stderr};

/// Verdicts of all stages of an input.
fn verdicts(folder: &Folder, name: &str, input: &str) -> Vec<Value> {
    let file = folder.write(&format!("{name}.toml"), input);
    let out = folder.path(name);
    run(&file, &out, 1);
    serde_json::from_str(&std::fs::read_to_string(out.join("verdict.json")).unwrap()).unwrap()
}

/// Mean and error of a quantity of a verdict.
fn mean(verdict: &Value, key: &str) -> (f64, f64) {
    let m = &verdict[key];
    (m["mean"].as_f64().unwrap(), m["error"].as_f64().unwrap())
}

fn z(ours: (f64, f64), theirs: (f64, f64)) -> f64 {
    (ours.0 - theirs.0) / ours.1.hypot(theirs.1)
}

/// 2.576 standard errors: 99 % of a normal distribution.
const LIMIT: f64 = 2.576;

fn reduced(density: f64, repeat: usize, temperature: f64, potential: &str, skin: f64) -> String {
    format!(
        "units = \"lj\"\nseed = 11\n[system]\nlattice = {{ fcc = {{ density = {density}, species = \"A\", repeat = [{repeat}, {repeat}, {repeat}] }} }}\nvelocities = {{ temperature = {temperature} }}\n[neighbors]\nskin = {skin}\n[output]\nthermo = {{ file = \"thermo.csv\", every = 10 }}\n[[potential]]\n{potential}\n"
    )
}

fn nvt(name: &str, steps: u64, temperature: f64) -> String {
    format!(
        "[[stage]]\nname = \"{name}\"\nsteps = {steps}\n[stage.nvt]\ntemperature = {temperature}\ntimestep = 0.004\nthermostat = {{ bussi = {{ relaxation = 0.5 }} }}\n"
    )
}

#[test]
#[ignore = "minutes"]
fn nist_state_points_of_the_lennard_jones_fluid() {
    // NIST SRSW, NVT Monte Carlo, N = 500, r_c = 3 with tail corrections: T, ρ, U/N, its error, p, its error.
    // Errors in parentheses there; where none is given, those of the neighbouring points are taken.
    let points = [
        (0.85, 0.776, -5.5121, 4.55e-4, 6.7714e-3, 2e-3),
        (0.85, 0.820, -5.7947, 4.55e-4, 0.55355, 2e-3),
        (0.85, 0.860, -6.0305, 2.38e-3, 1.2660, 1.36e-2),
        (0.90, 0.776, -5.4689, 4.55e-4, 0.24056, 2e-3),
        (0.90, 0.820, -5.7456, 4.55e-4, 0.82386, 2e-3),
    ];
    let lj = "[potential.lennard_jones]\ncutoff = 3.0\ntruncation = \"truncated\"\ntail_correction = true\npairs = [{ species = [\"A\", \"A\"], epsilon = 1.0, sigma = 1.0 }]";
    let folder = Folder::new("nist-points");
    println!("| T | ρ | U/N | NIST | z | p | NIST | z |\n|---|---|---|---|---|---|---|---|");
    let mut worst: f64 = 0.0;
    for (t, rho, u, du, p, dp) in points {
        let input = reduced(rho, 5, 2.0 * t, lj, 0.4)
            + &nvt("melt", 5_000, 3.0)
            + &nvt("equilibrate", 25_000, t)
            + &nvt("produce", 400_000, t);
        let all = verdicts(&folder, &format!("t{t}-rho{rho}"), &input);
        let (energy, pressure) = (mean(&all[2], "potential_energy"), mean(&all[2], "pressure"));
        let (zu, zp) = (z(energy, (u, du)), z(pressure, (p, dp)));
        worst = worst.max(zu.abs()).max(zp.abs());
        println!(
            "| {t} | {rho} | {:.5} ± {:.5} | {u} ± {du} | {zu:+.2} | {:.4} ± {:.4} | {p} ± {dp} | {zp:+.2} |",
            energy.0, energy.1, pressure.0, pressure.1
        );
    }
    assert!(worst < LIMIT, "worst deviation {worst} combined errors");
}

#[test]
#[ignore = "minutes"]
fn constant_pressure_recovers_published_densities() {
    let wca = "[potential.wca]\npairs = [{ species = [\"A\", \"A\"], epsilon = 1.0, sigma = 1.0 }]";
    let xplor = "[potential.lennard_jones]\ncutoff = 4.0\ntruncation = { charmm_switch = { inner = 3.2 } }\npairs = [{ species = [\"A\", \"A\"], epsilon = 1.0, sigma = 1.0 }]";
    // hoomd-validation: T, P and the density they belong to
    let points = [
        ("WCA", wca, 1.0, 11.0, 0.9193740950),
        ("Lennard-Jones, switched 3.2 to 4", xplor, 1.5, 1.0, 0.6269137133),
    ];
    let barostats = [
        (
            "cell_rescale",
            "bussi = { relaxation = 0.5 }",
            "cell_rescale = { relaxation = 2.0, compressibility = 0.05 }",
        ),
        ("mtk", "nose_hoover = { relaxation = 0.5 }", "mtk = { relaxation = 2.0 }"),
        ("monte_carlo", "langevin = { friction = 0.5 }", "monte_carlo = { every = 10 }"),
    ];
    let folder = Folder::new("npt-points");
    println!("| fluid | T | P | barostat | ρ | published | z |\n|---|---|---|---|---|---|---|");
    let mut worst: f64 = 0.0;
    for (name, potential, t, p, rho) in points {
        for (barostat, thermostat, spec) in barostats {
            let npt = |stage: &str, steps: u64| {
                format!(
                    "[[stage]]\nname = \"{stage}\"\nsteps = {steps}\n[stage.npt]\ntemperature = {t}\npressure = {p}\ntimestep = 0.004\nthermostat = {{ {thermostat} }}\nbarostat = {{ {spec} }}\n"
                )
            };
            let input = reduced(rho, 6, t, potential, 0.4)
                + &nvt("melt", 5_000, 3.0)
                + &npt("equilibrate", 20_000)
                // the volume moves slowly under Monte Carlo
                + &npt("produce", if barostat == "monte_carlo" { 300_000 } else { 100_000 });
            let all = verdicts(&folder, &format!("{}-{barostat}", &name[..3]), &input);
            let (v, dv) = mean(&all[2], "volume");
            let ours = (1.0 / v, dv / (v * v));
            // the published density is exact for its P to about 1e-4
            let zr = z(ours, (rho, 1e-4));
            worst = worst.max(zr.abs());
            println!(
                "| {name} | {t} | {p} | {barostat} | {:.5} ± {:.5} | {rho:.5} | {zr:+.2} |",
                ours.0, ours.1
            );
        }
    }
    assert!(worst < LIMIT, "worst deviation {worst} combined errors");
}

#[test]
#[ignore = "minutes"]
fn argon_conserves_energy_over_a_nanosecond() {
    let input = r#"
seed = 1
[system]
lattice = { fcc = { a = "5.784 Å", species = "Ar", repeat = [6, 6, 6] } }
velocities = { temperature = "180 K" }
[[potential]]
[potential.lennard_jones]
cutoff = "8.5 Å"
truncation = "force_shifted"
pairs = [{ species = ["Ar", "Ar"], epsilon = "119.8 kB K", sigma = "3.405 Å" }]
[[stage]]
name = "equilibrate"
steps = 20000
[stage.nvt]
temperature = "94.4 K"
timestep = "2 fs"
thermostat = { bussi = { relaxation = "0.2 ps" } }
[[stage]]
name = "nanosecond"
duration = "1 ns"
[stage.nve]
timestep = "2 fs"
[output]
thermo = { file = "thermo.csv", every = 50 }
"#;
    let folder = Folder::new("drift");
    let all = verdicts(&folder, "argon", input);
    let c = &all[1]["conservation"];
    let (drift, error) = (c["drift"].as_f64().unwrap(), c["error"].as_f64().unwrap());
    println!("argon, 864 atoms, 2 fs, 1 ns: drift {drift:.2e} ± {error:.1e} kT/ns/dof (bar 1e-6)");
    assert!(drift.abs() <= 1e-6, "{drift} ± {error}");
}

#[test]
#[ignore = "minutes"]
fn kob_andersen_matches_published_energies() {
    // 80:20, ρ = 1.2, cut and shifted at 2.5 σ_ij, N = 500: T, U/N and its error, P and its error
    // (reference runs with LAMMPS; shared notes on methods, b10)
    let points = [(1.0, -6.016, 7e-3, 9.86, 4e-2), (2.0, -4.639, 6e-3, 19.41, 4e-2)];
    let potential = r#"[potential.lennard_jones]
cutoff = 2.5
truncation = "energy_shifted"
pairs = [
    { species = ["A", "A"], epsilon = 1.0, sigma = 1.0, cutoff = 2.5 },
    { species = ["A", "B"], epsilon = 1.5, sigma = 0.8, cutoff = 2.0 },
    { species = ["B", "B"], epsilon = 0.5, sigma = 0.88, cutoff = 2.2 },
]"#;
    let folder = Folder::new("kob-andersen");
    println!("| T | U/N | reference | z | P | reference | z |\n|---|---|---|---|---|---|---|");
    for (t, u, du, p, dp) in points {
        let system = "units = \"lj\"\nseed = 5\n[system]\nrandom = { atoms = { A = 400, B = 100 }, density = 1.2, min_distance = 0.75 }\nvelocities = { temperature = 2.0 }\n[output]\nthermo = { file = \"thermo.csv\", every = 10 }\n[[potential]]\n";
        let input = format!(
            "{system}{potential}\n[[stage]]\nname = \"relax\"\n[stage.minimize]\nfmax = 1.0\nsteps = 500\n"
        ) + &nvt("melt", 20_000, 3.0)
            + &nvt("equilibrate", 50_000, t)
            + &nvt("produce", 300_000, t);
        let all = verdicts(&folder, &format!("ka{t}"), &input);
        let (energy, pressure) = (mean(&all[3], "potential_energy"), mean(&all[3], "pressure"));
        let (zu, zp) = (z(energy, (u, du)), z(pressure, (p, dp)));
        println!(
            "| {t} | {:.4} ± {:.4} | {u} ± {du} | {zu:+.2} | {:.3} ± {:.3} | {p} ± {dp} | {zp:+.2} |",
            energy.0, energy.1, pressure.0, pressure.1
        );
        assert!(zu.abs() < LIMIT && zp.abs() < LIMIT, "{zu} {zp}");
    }
}

/// The program starts quickly: one step of a small system, whole process, best of ten.
#[test]
#[ignore = "a measurement"]
fn start_up_takes_less_than_50_ms() {
    let folder = Folder::new("start");
    let lj = "[potential.lennard_jones]\ncutoff = 2.5\npairs = [{ species = [\"A\", \"A\"], epsilon = 1.0, sigma = 1.0 }]";
    let file = folder.write("a.toml", &(reduced(0.8, 3, 1.0, lj, 0.3) + &nvt("one", 1, 1.0)));
    let mut best = f64::INFINITY;
    for k in 0..10 {
        let begin = std::time::Instant::now();
        let out = support::caloron()
            .args(["run", "--quiet", "--out"])
            .arg(folder.path(&k.to_string()))
            .arg(&file)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", stderr(&out));
        best = best.min(begin.elapsed().as_secs_f64());
    }
    println!("start-up, one step and end of the process: {:.1} ms", 1e3 * best);
    assert!(best < 0.05);
}
