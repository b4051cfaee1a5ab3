//! The kinds of values, tensors and files.
use super::*;

/// A dictionary with the value of `script` under `h` and a tensor.
fn value(script: impl Fn(Script) -> Script) -> serde_json::Value {
    let weights = |s: Script| s.op(b"}").text("w").tensor("DoubleStorage", "0", 1, 0, &[1], &[1]).op(b"s");
    let script = weights(script(Script::new().op(b"}(").text("h")).text("state_dict")).op(b"u");
    let model = read(&script.file(&[("0", &[0; 8])])).unwrap();
    model.hyper_parameters.get("h").cloned().expect("the value")
}

#[test]
fn values_of_all_protocols() {
    use serde_json::json;
    let of = |ops: &'static [u8]| value(move |s| s.op(ops));
    assert_eq!(of(b"N"), json!(null));
    assert_eq!(of(b"\x88"), json!(true));
    assert_eq!(of(b"I01\n"), json!(true));
    assert_eq!(of(b"I-12\n"), json!(-12));
    assert_eq!(of(b"L99L\n"), json!(99));
    assert_eq!(of(b"F1.5\n"), json!(1.5));
    assert_eq!(of(b"J\xfe\xff\xff\xff"), json!(-2));
    assert_eq!(of(b"K\xff"), json!(255));
    assert_eq!(of(b"M\x00\x01"), json!(256));
    assert_eq!(of(b"\x8a\x01\xff"), json!(-1));
    assert_eq!(of(b"\x8a\x02\xff\x00"), json!(255));
    assert_eq!(of(b"\x8a\x00"), json!(0));
    assert_eq!(of(b"\x8b\x03\x00\x00\x00\x00\x00\x80"), json!(-(1 << 23)));
    assert_eq!(of(b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\x7f\x00"), json!(i64::MAX));
    assert_eq!(of(b"G\x3f\xf8\x00\x00\x00\x00\x00\x00"), json!(1.5));
    assert_eq!(of(b"G\x7f\xf0\x00\x00\x00\x00\x00\x00"), json!("inf"));
    assert_eq!(of(b"S'abc'\n"), json!("abc"));
    assert_eq!(of(b"V\xc3\xa4\n"), json!("ä"));
    assert_eq!(of(b"U\x02ab"), json!("ab"));
    assert_eq!(of(b"\x8c\x02ab"), json!("ab"));
    assert_eq!(of(b"T\x02\0\0\0ab"), json!("ab"));
    assert_eq!(of(b"\x8d\x02\0\0\0\0\0\0\0ab"), json!("ab"));
    assert_eq!(of(b"(K\x01K\x02t"), json!([1, 2]));
    assert_eq!(of(b"(K\x01K\x02l"), json!([1, 2]));
    assert_eq!(of(b"](K\x01K\x02eK\x03a"), json!([1, 2, 3]));
    assert_eq!(of(b"K\x01\x85"), json!([1]));
    assert_eq!(of(b"K\x012\x86"), json!([1, 1]));
    assert_eq!(of(b"\x8f(K\x01K\x02\x90"), json!([1, 2]));
    assert_eq!(of(b"(K\x01\x91"), json!([1]));
    assert_eq!(of(b"(K\x01K\x02d"), json!({ "1": 2 }));
    assert_eq!(of(b"}K\x01K\x02sK\x01K\x03s"), json!({ "1": 3 }));
    assert_eq!(of(b"K\x07K\x080"), json!(7));
    assert_eq!(of(b"K\x07(K\x08K\x091"), json!(7));
    assert_eq!(of(b"K\x07\x94h\x00\x86"), json!([7, 7]));
    assert_eq!(of(b"K\x07p5\ng5\n\x86"), json!([7, 7]));
    assert_eq!(of(b"ctorch\nfloat32\n"), json!("torch.float32"));
    assert_eq!(of(b"ctorch\ndevice\n(X\x04\0\0\0cudaK\x01tR"), json!("cuda:1"));
    assert_eq!(of(b"ctorch\nSize\n((K\x02K\x03ttR"), json!([2, 3]));
    assert_eq!(of(b"c__builtin__\nset\n(](K\x01K\x02etR"), json!([1, 2]));
    assert_eq!(of(b"ccollections\ndefaultdict\n(cbuiltins\nlist\ntRX\x01\0\0\0aK\x01s"), json!({ "a": 1 }));
    assert_eq!(of(b"ccollections\nOrderedDict\n(]](K\x01K\x02eatR"), json!({ "1": 2 }));
    // an object keeps class, arguments and state
    assert_eq!(
        of(b"ctorch.optim\nAdam\n(K\x01t\x81}X\x01\0\0\0aK\x02sb"),
        json!({ "class": "torch.optim.Adam", "arguments": [1], "a": 2 })
    );
    // irreducible representations as text, in the layouts of e3nn
    let irreps = |s: Script| {
        s.global("e3nn.o3._irreps", "Irreps")
            .op(b"((")
            .global("e3nn.o3._irreps", "_MulIr")
            .op(b"((K\x80")
            .global("e3nn.o3._irreps", "Irrep")
            .op(b"((K\x01J\xff\xff\xff\xfftt\x81tt\x81tt\x81")
    };
    assert_eq!(value(irreps), json!("128x1o"));
}

#[test]
fn objects_that_are_filled_after_they_were_shared_are_one() {
    let list = value(|s| s.op(b"](]q\x00h\x00h\x00K\x05ae"));
    assert_eq!(list, serde_json::json!([[5], [5], [5]]));
}

#[test]
fn arrays_of_numpy() {
    let numpy = |order: &str, fortran: &'static [u8], code: &str, data: &[u8]| {
        let (order, code, data) = (order.to_owned(), code.to_owned(), data.to_vec());
        move |s: Script| {
            s.global("numpy.core.multiarray", "_reconstruct")
                .global("numpy", "ndarray")
                .op(b"K\x00\x85C\x01b\x87R(K\x01K\x02K\x02\x86")
                .global("numpy", "dtype")
                .text(&code)
                .op(b"\x89\x88\x87R(K\x03")
                .text(&order)
                .op(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")
                .op(fortran)
                .op(b"B")
                .op(&(data.len() as u32).to_le_bytes())
                .op(&data)
                .op(b"tb")
        }
    };
    let data = doubles(&[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(value(numpy("<", b"\x89", "f8", &data)), serde_json::json!([[1.0, 2.0], [3.0, 4.0]]));
    assert_eq!(value(numpy("<", b"\x88", "f8", &data)), serde_json::json!([[1.0, 3.0], [2.0, 4.0]]));
    assert_eq!(
        value(numpy("|", b"\x89", "b1", &[1, 0, 0, 1])),
        serde_json::json!([[true, false], [false, true]])
    );
    let scalar = |s: Script| {
        s.global("numpy._core.multiarray", "scalar").global("numpy", "dtype").text("i4").op(
            b"\x89\x88\x87R(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbC\x04\xfe\xff\xff\xff\x86R",
        )
    };
    assert_eq!(value(scalar), serde_json::json!(-2));
}

#[test]
fn numbers_of_all_types() {
    for (kind, bytes, expected) in [
        ("DoubleStorage", &[0, 0, 0, 0, 0, 0, 0xf8, 0xbf][..], -1.5),
        ("FloatStorage", &[0, 0, 0xc0, 0xbf], -1.5),
        ("HalfStorage", &[0x00, 0xbe], -1.5),
        ("HalfStorage", &[0x01, 0x00], 5.960_464_477_539_063e-8),
        ("HalfStorage", &[0xff, 0x7b], 65504.0),
        ("HalfStorage", &[0x00, 0x7c], f64::INFINITY),
        ("BFloat16Storage", &[0xc0, 0xbf], -1.5),
        ("LongStorage", &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], -2.0),
        ("IntStorage", &[0xfe, 0xff, 0xff, 0xff], -2.0),
        ("ShortStorage", &[0xfe, 0xff], -2.0),
        ("CharStorage", &[0xfe], -2.0),
        ("ByteStorage", &[0xfe], 254.0),
        ("BoolStorage", &[1], 1.0),
    ] {
        let model = read(&one_tensor(kind, 1, 0, &[], &[], bytes)).unwrap();
        let tensor = &model.tensors["w"];
        assert_eq!((tensor.scalar(), tensor.to_f32()[0]), (Some(expected), expected as f32), "{kind}");
        assert_eq!(tensor.to_i64()[0], expected as i64, "{kind}");
        let candle = tensor.to_candle(&candle_core::Device::Cpu).unwrap();
        let number = candle.to_dtype(candle_core::DType::F64).unwrap().to_scalar::<f64>().unwrap();
        assert_eq!(number, expected, "{kind}");
    }
    let message = refusal(&one_tensor("ComplexFloatStorage", 1, 0, &[1], &[1], &[0; 8]));
    assert!(message.contains("complex"), "{message}");
    // the device it was on does not matter
    let cuda = Script::new()
        .op(b"}")
        .text("w")
        .global("torch._utils", "_rebuild_tensor_v2")
        .op(b"((")
        .text("storage")
        .global("torch.cuda", "FloatStorage")
        .text("0")
        .text("cuda:3")
        .op(b"K\x01tQK\x00))\x89}tRs");
    assert_eq!(read(&cuda.file(&[("0", &[0, 0, 0xc0, 0xbf])])).unwrap().tensors["w"].scalar(), Some(-1.5));
    // version 3 of the function states the type itself
    let third = Script::new()
        .op(b"}")
        .text("w")
        .global("torch._utils", "_rebuild_tensor_v3")
        .op(b"((")
        .text("storage")
        .global("torch.storage", "UntypedStorage")
        .text("0")
        .text("cpu")
        .op(b"K\x02tQK\x00))\x89}")
        .global("torch", "uint16")
        .op(b"NtRs");
    assert_eq!(read(&third.file(&[("0", &[0x10, 0x27])])).unwrap().tensors["w"].scalar(), Some(10_000.0));
}

#[test]
fn modules_are_flattened_like_a_state_dict() {
    // Sequential(0 = Linear-like with weight and a buffer, 1 = the same module again), an attribute, a hook
    let child = |s: Script| {
        s.global("torch.nn.modules.linear", "Linear")
            .op(b")\x81q\x09}(")
            .text("in_features")
            .int(1)
            .text("_parameters")
            .op(b"}")
            .text("weight")
            .global("torch._utils", "_rebuild_parameter")
            .op(b"(")
            .tensor("DoubleStorage", "0", 2, 0, &[1, 2], &[2, 1])
            .op(b"\x88}tRs")
            .text("_buffers")
            .op(b"}(")
            .text("none")
            .op(b"N")
            .text("mask")
            .tensor("BoolStorage", "1", 1, 0, &[1], &[1])
            .op(b"u")
            .text("_modules")
            .op(b"}")
            .text("_forward_hooks")
            .op(b"}ub")
    };
    let root = child(
        Script::new()
            .global("torch.nn.modules.container", "Sequential")
            .op(b")\x81}(")
            .text("_modules")
            .op(b"}(")
            .text("0"),
    )
    .text("1")
    .op(b"h\x09u")
    .text("__codegen__")
    .op(b"}")
    .text("training")
    .op(b"\x89ub");
    let model = read(&root.file(&[("0", &doubles(&[3.0, 4.0])), ("1", &[1])])).unwrap();
    let names: Vec<&str> = model.tensors.keys().map(String::as_str).collect();
    assert_eq!(names, ["0.mask", "0.weight", "1.mask", "1.weight"]);
    assert_eq!(model.numbers("1.weight", &[1, 2]).unwrap(), [3.0, 4.0]);
    assert!(model.numbers("1.weight", &[2]).unwrap_err().to_string().contains("shape [1, 2], expected [2]"));
    assert!(model.tensor("2.weight").unwrap_err().to_string().contains("no tensor `2.weight`"));
    let get = |keys: &[&str]| model.hyper_parameter(keys).cloned();
    assert_eq!(get(&["class"]), Some("torch.nn.modules.container.Sequential".into()));
    assert_eq!(get(&["modules", "1", "in_features"]), Some(1.into()));
    assert_eq!(get(&["modules", "0", "_forward_hooks"]), None);
}

#[test]
fn other_files_are_named() {
    let legacy = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
    for (bytes, what) in [
        (&b""[..], "empty"),
        (legacy, "before version 1.6"),
        (b"\x80\x04N.", "plain pickle"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"<!DOCTYPE html>", "web page"),
        (b"hello", "not a model file"),
        (&zip(&[("m/code/__torch__.py", b""), ("m/data.pkl", b"N.")]), "TorchScript"),
        (&zip(&[("m/constants.pkl", b""), ("m/data.pkl", b"N.")]), "TorchScript"),
        (&zip(&[("a.npy", b"")]), "numpy"),
        (&zip(&[("a.txt", b"")]), "without the pickle"),
    ] {
        assert!(refusal(bytes).contains(what), "{what}: {}", refusal(bytes));
    }
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert!(refusal(&tar).contains("tar archive"));
    let big = zip(&[("m/data.pkl", b"N."), ("m/byteorder", b"big")]);
    assert!(refusal(&big).contains("big-endian"));
    let directory = load(std::env::temp_dir()).unwrap_err().to_string();
    assert!(directory.contains("not a regular file"), "{directory}");
    assert!(load("/no/such/file").unwrap_err().to_string().contains("/no/such/file"));
}

#[test]
fn gzip_is_opened() {
    use std::io::Write;
    let file = one_tensor("DoubleStorage", 1, 0, &[1], &[1], &doubles(&[7.0]));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&file).unwrap();
    let squeezed = encoder.finish().unwrap();
    assert_eq!(read(&squeezed).unwrap().tensors["w"].scalar(), Some(7.0));
    assert!(refusal(&squeezed[..squeezed.len() - 9]).contains("cannot be decompressed"));
}

#[test]
fn our_own_form_keeps_everything() {
    let tensors = [
        ("a", Tensor::from_f64(&[2, 2], &[1.0, -2.0, 3.5, f64::MIN_POSITIVE])),
        ("b", Tensor::from_bytes(Dtype::Bool, vec![3], vec![1, 0, 1]).unwrap()),
        ("c", Tensor::from_bytes(Dtype::F32, vec![], 1.5_f32.to_le_bytes().to_vec()).unwrap()),
        ("d", Tensor::from_f64(&[0, 4], &[])),
    ];
    let model = ModelFile {
        architecture: "mace".to_owned(),
        tensors: tensors.into_iter().map(|(n, t)| (n.to_owned(), t)).collect(),
        hyper_parameters: serde_json::from_str(r#"{"z": 0.1, "a": {"y": [1, null], "b": "1e-7"}}"#).unwrap(),
        species: vec!["H".to_owned(), "C".to_owned()],
        form: Form::PyTorch,
        source: Source { name: "x.model".to_owned(), sha256: "ab".repeat(32), ..Source::default() },
        licence: Some("MIT".to_owned()),
    };
    let bytes = model.to_bytes();
    assert_eq!(bytes, model.to_bytes());
    let back = read(&bytes).unwrap();
    assert_eq!((back.form, &back.architecture), (Form::Caloron, &model.architecture));
    assert_eq!((&back.tensors, &back.hyper_parameters), (&model.tensors, &model.hyper_parameters));
    assert_eq!((&back.species, &back.licence), (&model.species, &model.licence));
    assert_eq!((&back.source.name, &back.source.sha256), (&model.source.name, &model.source.sha256));
    assert_eq!(back.to_bytes(), bytes);
    for n in 0..bytes.len() {
        assert!(read(&bytes[..n]).is_err(), "cut at {n}");
    }
    let replace = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut changed = bytes.clone();
        changed[at..at + from.len()].copy_from_slice(to.as_bytes());
        refusal(&changed)
    };
    assert!(replace("\"caloron\":\"1\"", "\"caloron\":\"2\"").contains("version 2"));
    assert!(replace("eV, Å", "kJ, Å").contains("units `kJ, Å`"));
    assert!(replace("[0,32]", "[0,99]").contains("damaged"));
}
