//! Files of the original programs.
use super::*;
use caloron_engine::testing::reference;
use std::path::PathBuf;

/// All files of a folder of the reference data with one of the endings.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let Some(folder) = reference(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| endings.iter().any(|e| p.to_string_lossy().ends_with(e)))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// The description beside a file.
fn description(file: &Path) -> serde_json::Value {
    let name = file.file_name().unwrap().to_string_lossy();
    let stem = name.split('.').next().unwrap();
    serde_json::from_str(&std::fs::read_to_string(file.with_file_name(format!("{stem}.json"))).unwrap())
        .unwrap()
}

#[test]
fn modules_of_mace() {
    let models =
        [files("mace/models", &[".model", ".model.gz"]), files("mace/tutorial", &[".model"])].concat();
    for path in models {
        let (model, about) = (load(&path).unwrap(), description(&path));
        let at = path.display();
        assert_eq!(model.architecture, "mace", "{at}");
        for (name, expected) in about["state_dict"].as_object().unwrap() {
            let Some(tensor) = model.tensors.get(name) else {
                // what e3nn compiles is kept as code, which is not read
                assert!(
                    name.contains("_compiled_main") || name.contains("graph_opt"),
                    "{at}: {name} is missing"
                );
                continue;
            };
            let shape: Vec<usize> = serde_json::from_value(expected["shape"].clone()).unwrap();
            assert_eq!(tensor.shape(), shape, "{at}: {name}");
            // single-precision files are described as they were before they were converted
            let dtype = expected["dtype"].as_str().unwrap();
            let same = dtype == format!("torch.{}", tensor.dtype().name());
            assert!(
                same || (dtype == "torch.float64" && tensor.dtype() == Dtype::F32),
                "{at}: {name} {dtype}"
            );
        }
        let class = model.hyper_parameter(&["class"]).unwrap().as_str().unwrap();
        assert!(class.ends_with(about["class"].as_str().unwrap()), "{at}: {class}");
        for (name, expected) in about["modules"].as_object().unwrap() {
            let class = model.hyper_parameter(&["modules", name, "class"]).unwrap().as_str().unwrap();
            assert!(class.ends_with(expected["class"].as_str().unwrap()), "{at}: {name} is {class}");
            for key in ["irreps_in", "irreps_out", "hidden_irreps", "target_irreps"] {
                if let (Some(e), Some(irreps)) =
                    (expected.get(key), model.hyper_parameter(&["modules", name, key]))
                {
                    assert_eq!(irreps, e, "{at}: {name} {key}");
                }
            }
        }
        let neighbors = model.hyper_parameter(&["modules", "interactions.0", "avg_num_neighbors"]).unwrap();
        assert!(neighbors.as_f64().is_some_and(|n| n > 0.0), "{at}: {neighbors}");
        assert!(
            (model.tensor("r_max").unwrap().scalar().unwrap() - about["r_max"].as_f64().unwrap()).abs()
                < 1e-12
        );
    }
}

#[test]
fn modules_of_other_versions_of_mace() {
    for path in files("../field/models_checks/golden", &[".model"]) {
        let model = load(&path).unwrap();
        assert_eq!(model.architecture, "mace", "{}", path.display());
        assert!(model.tensors.len() > 60 && model.hyper_parameter(&["modules", "products.0"]).is_some());
    }
}

#[test]
fn plain_state_dicts_hold_the_same_numbers_as_the_modules() {
    for path in files("mace/models", &[".state_dict.pt"]) {
        let plain = load(&path).unwrap();
        let stem = path.to_string_lossy().trim_end_matches(".state_dict.pt").to_owned();
        let whole =
            [".model", ".model.gz"].iter().map(|e| format!("{stem}{e}")).find(|p| Path::new(p).exists());
        let whole = load(whole.unwrap()).unwrap();
        assert!(plain.hyper_parameters.is_empty());
        let mut compared = 0;
        for (name, tensor) in &plain.tensors {
            if let Some(other) = whole.tensors.get(name) {
                assert_eq!(tensor.shape(), other.shape(), "{stem}: {name}");
                assert_eq!(tensor.to_f64(), other.to_f64(), "{stem}: {name}");
                compared += 1;
            }
        }
        assert!(compared > 30, "{stem}: {compared}");
    }
}

#[test]
fn checkpoints_of_chgnet_and_sevennet() {
    for path in files("chgnet", &[".pth.tar"]) {
        let model = load(&path).unwrap();
        let about: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path.with_file_name("model_args.json")).unwrap())
                .unwrap();
        assert_eq!((model.architecture.as_str(), model.tensors.len()), ("chgnet", 136));
        assert_eq!(model.parameters(), 412_525);
        for (name, expected) in about["model_args"].as_object().unwrap() {
            let value = model.hyper_parameter(&["model_args", name]).unwrap();
            let same =
                value == expected || value.as_f64().zip(expected.as_f64()).is_some_and(|(a, b)| a == b);
            assert!(same, "{name}: {value} {expected}");
        }
        let first = model.tensor("atom_embedding.embedding.weight").unwrap();
        assert_eq!((first.shape(), first.dtype()), (&[94, 64][..], Dtype::F32));
    }
    for path in files("sevennet", &[".pth"]) {
        let model = load(&path).unwrap();
        assert_eq!(model.architecture, "sevennet");
        assert_eq!(model.hyper_parameter(&["config", "cutoff"]).unwrap().as_f64(), Some(5.0));
        // a buffer that does not lie in order
        let w3j = model.tensors.keys().find(|k| k.ends_with("_w3j_1_1_2")).unwrap();
        let sum: f64 = model.tensors[w3j].to_f64().iter().map(|x| x * x).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{w3j}: {sum}");
    }
}

#[test]
fn the_native_form_of_real_models_is_equal() {
    for path in [files("chgnet", &[".pth.tar"]), files("mace/models", &["a_tiny.model"])].concat() {
        let model = load(&path).unwrap();
        let back = read(&model.to_bytes()).unwrap();
        assert_eq!(back.tensors, model.tensors);
        assert_eq!(back.hyper_parameters, model.hyper_parameters);
        assert_eq!(back.source.sha256, model.source.sha256);
    }
}
