//! Rigid water against published numbers: minutes to an hour, so none of it runs by default.
//!
//! `cargo test --release --test water -- --ignored --nocapture --test-threads 2` prints the tables of docs/validation.md.
mod support;

use caloron_engine::testing::reference;
use caloron_engine::{Cell, Vec3};
use caloron_io::Frame;
use serde_json::Value;
use std::path::PathBuf;
use support::{Folder, run};

/// 343 molecules of SPC/E from a state of OpenMM; `settings` follow the file in the table of the force field.
fn system(settings: &str) -> Option<String> {
    let folder = reference("openmm")?;
    let file = |name: &str| folder.join(name).display().to_string();
    Some(format!(
        "seed = 1\n[system]\nstructure = {:?}\nforce_field = {{ openmm = {:?}, {settings} }}\n\
         velocities = {{ temperature = \"298.15 K\" }}\n[neighbors]\nskin = \"1.2 Å\"\n",
        file("water_spce.state.xml.gz"),
        file("water_spce.system.xml.gz"),
    ))
}

fn verdicts(folder: &Folder, name: &str, input: &str) -> (Vec<Value>, PathBuf) {
    let file = folder.write(&format!("{name}.toml"), input);
    let out = folder.path(name);
    run(&file, &out, 1);
    (serde_json::from_str(&std::fs::read_to_string(out.join("verdict.json")).unwrap()).unwrap(), out)
}

fn mean(verdict: &Value, key: &str) -> [f64; 2] {
    ["mean", "error"].map(|k| verdict[key][k].as_f64().unwrap())
}

/// The interaction is so smooth at the cutoff (screened charges 1e-7, dispersion switched) that what is left is the integrator and
/// the precision.
fn drift(precision: &str, bar: f64) {
    let settings = format!(
        "dispersion_correction = false, switch = \"8 Å\", alpha = \"0.4 1/Å\", grid = [40, 40, 40], order = 6, \
         precision = \"{precision}\""
    );
    let Some(system) = system(&settings) else { return };
    let input = system
        + "[[stage]]\nname = \"equilibrate\"\nduration = \"20 ps\"\n[stage.nvt]\ntemperature = \"298.15 K\"\ntimestep = \"2 fs\"\n\
           thermostat = { bussi = { relaxation = \"0.5 ps\" } }\n\
           [[stage]]\nname = \"nanosecond\"\nduration = \"1 ns\"\n[stage.nve]\ntimestep = \"2 fs\"\n\
           [output]\nthermo = { file = \"thermo.csv\", every = 50 }\n\
           trajectory = { file = \"water.extxyz\", every = 25000 }\n";
    let folder = Folder::new(&format!("water-drift-{precision}"));
    let (all, out) = verdicts(&folder, precision, &input);
    let c = &all[1]["conservation"];
    let [drift, error] = ["drift", "error"].map(|k| c[k].as_f64().unwrap());
    let worst =
        caloron_io::read_all(out.join("water.extxyz")).unwrap().iter().map(geometry).fold(0.0, f64::max);
    println!(
        "SPC/E, 343 molecules, PME, 2 fs, 1 ns, {precision}: drift {drift:.1e} ± {error:.1e} kT/ns/dof (bar {bar:.0e}), bonds to \
         {worst:.1e}"
    );
    assert!(drift.abs() <= bar + 2.0 * error && error < bar, "{drift} ± {error}");
    assert!(worst < 1e-8, "{worst}");
}

/// The largest relative deviation of a bond from 1 Å.
fn geometry(frame: &Frame) -> f64 {
    let molecules = frame.positions.chunks_exact(3);
    let bonds = molecules.flat_map(|m| [(m[1] - m[0]).norm(), (m[2] - m[0]).norm()]);
    bonds.map(|r| (r - 1.0).abs()).fold(0.0, f64::max)
}

#[test]
#[ignore = "minutes"]
fn energy_is_conserved_over_a_nanosecond_in_double_precision() {
    drift("f64", 1e-5);
}

#[test]
#[ignore = "minutes"]
fn energy_is_conserved_over_a_nanosecond_in_single_precision() {
    drift("f32", 5e-5);
}

/// Mean and error of the mean from ten blocks.
fn blocks(values: &[f64]) -> [f64; 2] {
    let size = values.len() / 10;
    let means: Vec<f64> = values.chunks_exact(size).map(|b| b.iter().sum::<f64>() / size as f64).collect();
    let n = means.len() as f64;
    let mean = means.iter().sum::<f64>() / n;
    let variance = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (n - 1.0);
    [mean, (variance / n).sqrt()]
}

/// D in 1e-5 cm²/s from the slope of the mean squared displacement of the oxygen atoms between 10 and 40 ps, frames 0.2 ps apart.
fn diffusion(frames: &[Frame]) -> f64 {
    let (from, to) = (50, 200);
    let squares = |lag: usize| {
        let pairs = (0..frames.len() - lag).step_by(10);
        let mut sum = (0.0, 0.0);
        for k in pairs {
            for (a, b) in frames[k].positions.iter().zip(&frames[k + lag].positions).step_by(3) {
                sum = (sum.0 + (b - a).norm_squared(), sum.1 + 1.0);
            }
        }
        sum.0 / sum.1
    };
    // Å²/ps = 1e-4 cm²/s
    (squares(to) - squares(from)) / (6.0 * 0.2 * (to - from) as f64) * 10.0
}

/// Place and height of the highest value of the oxygen-oxygen distribution.
fn first_peak(frames: &[Frame]) -> [f64; 2] {
    const WIDTH: f64 = 0.05;
    let mut bins = [0.0; 100];
    let (mut count, mut density) = (0.0, 0.0);
    for frame in frames.iter().step_by(10) {
        let oxygen: Vec<Vec3> = frame.positions.iter().step_by(3).copied().collect();
        let n = oxygen.len() as f64;
        (count, density) = (count + n, density + n / frame.cell.volume());
        for (i, a) in oxygen.iter().enumerate() {
            for b in &oxygen[..i] {
                let r = nearest(&frame.cell, b - a).norm();
                if let Some(bin) = bins.get_mut((r / WIDTH) as usize) {
                    *bin += 2.0;
                }
            }
        }
    }
    density /= frames.iter().step_by(10).count() as f64;
    let g = |k: usize| {
        let (a, b) = (k as f64 * WIDTH, (k + 1) as f64 * WIDTH);
        bins[k] / (count * density * 4.0 / 3.0 * std::f64::consts::PI * (b.powi(3) - a.powi(3)))
    };
    let k = (0..bins.len()).max_by(|a, b| g(*a).total_cmp(&g(*b))).unwrap();
    [(k as f64 + 0.5) * WIDTH, g(k)]
}

fn nearest(cell: &Cell, d: Vec3) -> Vec3 {
    d - cell.matrix() * (cell.inverse() * d).map(f64::round)
}

/// ε = 1 + (⟨M²⟩ - ⟨M⟩²)/(3 ε0 V k T) with conducting surroundings; M of whole molecules, e Å.
fn permittivity(frames: &[Frame], temperature: f64) -> f64 {
    let dipoles: Vec<Vec3> = frames
        .iter()
        .map(|f| {
            let molecules = f.positions.chunks_exact(3);
            molecules.map(|m| 0.4238 * (m[1] + m[2] - 2.0 * m[0])).sum()
        })
        .collect();
    let n = dipoles.len() as f64;
    let mean = dipoles.iter().sum::<Vec3>() / n;
    let squares = dipoles.iter().map(|m| m.norm_squared()).sum::<f64>() / n - mean.norm_squared();
    let volume = frames.iter().map(|f| f.cell.volume()).sum::<f64>() / n;
    // 1/(4 π ε0) = 14.399645 eV Å/e²
    1.0 + 4.0 * std::f64::consts::PI * 14.399_645 * squares / (3.0 * volume * 8.617_333e-5 * temperature)
}

/// Density, energy and structure at constant pressure, diffusion at constant volume, the permittivity from both. At 2 fs the
/// molecules' centres are 3 K hotter than what turns in them, and U is 0.1 kJ/mol too high.
#[test]
#[ignore = "an hour"]
fn spce_has_its_published_properties() {
    let Some(system) = system("dispersion_correction = true, precision = \"f32\"") else { return };
    let input = system
        + "[[stage]]\nname = \"equilibrate\"\nduration = \"50 ps\"\n[stage.npt]\ntemperature = \"298.15 K\"\npressure = \"1 bar\"\n\
           timestep = \"1 fs\"\nthermostat = { bussi = { relaxation = \"0.5 ps\" } }\n\
           barostat = { cell_rescale = { relaxation = \"1 ps\" } }\n\
           [[stage]]\nname = \"pressure\"\nduration = \"0.75 ns\"\n[stage.npt]\ntemperature = \"298.15 K\"\npressure = \"1 bar\"\n\
           timestep = \"1 fs\"\nthermostat = { bussi = { relaxation = \"1 ps\" } }\n\
           barostat = { cell_rescale = { relaxation = \"2 ps\" } }\n\
           [[stage]]\nname = \"energy\"\nduration = \"0.75 ns\"\n[stage.nvt]\ntemperature = \"298.15 K\"\ntimestep = \"1 fs\"\n\
           thermostat = { bussi = { relaxation = \"5 ps\" } }\n\
           [output]\nthermo = { file = \"thermo.csv\", every = 100 }\n\
           trajectory = { file = \"water.extxyz\", every = 200 }\n";
    let folder = Folder::new("spce");
    let (all, out) = verdicts(&folder, "spce", &input);
    let frames = caloron_io::read_all(out.join("water.extxyz")).unwrap();
    // stages in order; 250 frames of the first
    let (pressure, energy) = (&frames[250..4000], &frames[4000..]);
    let molecules = 343.0;
    // 1 u/Å³ = 1660.539 kg/m³
    let density = blocks(
        &pressure.iter().map(|f| molecules * 18.0154 * 1660.539 / f.cell.volume()).collect::<Vec<_>>(),
    );
    let [u, du] = mean(&all[1], "potential_energy").map(|x| x * 3.0 * 96.485_33);
    let tenth = |k: usize| &energy[k * energy.len() / 5..(k + 1) * energy.len() / 5];
    let d: Vec<f64> = (0..5).map(|k| diffusion(tenth(k))).collect();
    let d_mean = d.iter().sum::<f64>() / 5.0;
    let d_error = (d.iter().map(|x| (x - d_mean).powi(2)).sum::<f64>() / 20.0).sqrt();
    // Yeh and Hummer, with the published viscosity 0.729 mPa s
    let edge = energy[0].cell.volume().cbrt();
    let correction =
        2.837_297 * 1.380_649e-23 * 298.15 / (6.0 * std::f64::consts::PI * 0.729e-3 * edge * 1e-10) * 1e9;
    let [peak, height] = first_peak(pressure);
    let epsilon: Vec<f64> =
        frames[250..].chunks(frames.len() / 4).map(|part| permittivity(part, 298.15)).collect();
    let e_all = permittivity(&frames[250..], 298.15);
    let spread = epsilon.iter().map(|e| (e - e_all).powi(2)).sum::<f64>();
    let e_error = (spread / (epsilon.len() * (epsilon.len() - 1)) as f64).sqrt();
    println!("| property | ours | published |\n|---|---|---|");
    println!("| density, kg/m³ | {:.1} ± {:.1} | 998.1 ± 2.9 |", density[0], density[1]);
    println!("| energy, kJ/mol | {u:.2} ± {du:.2} | -46.82 ± 0.02 |");
    println!(
        "| enthalpy of vaporisation (-U + RT), kJ/mol | {:.2} ± {du:.2} | {:.2} |",
        2.479 - u,
        46.82 + 2.479
    );
    println!(
        "| D in the box, and for an infinite one, 1e-5 cm²/s | {d_mean:.2}, {:.2} ± {d_error:.2} | 2.97 ± 0.05 |",
        d_mean + correction
    );
    println!("| first peak of g_OO | {peak:.2} Å, {height:.2} | 2.75 Å |");
    println!("| permittivity | {e_all:.0} ± {e_error:.0} | 71 ± 1 |");
    let near = |ours: f64, error: f64, published: f64, theirs: f64| {
        (ours - published).abs() < 2.576 * error.hypot(theirs)
    };
    assert!(near(density[0], density[1], 998.1, 2.9));
    assert!(near(u, du, -46.82, 0.02));
    assert!(near(d_mean + correction, d_error, 2.97, 0.05));
    assert!((peak - 2.75).abs() <= 0.05);
    assert!(near(e_all, e_error, 71.0, 1.0));
}
