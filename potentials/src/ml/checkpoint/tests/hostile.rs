//! Files that want to do harm, or are torn.
use super::*;

#[test]
fn names_that_no_model_needs_are_refused_and_nothing_is_called() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "exec"),
        ("builtins", "getattr"),
        ("subprocess", "Popen"),
        ("runpy", "_run_code"),
        ("torch os", "system"),
        ("torchos", "system"),
        ("collections", "OrderedDict.fromkeys"),
    ] {
        let file = Script::new().global(module, name).op(b"(").text("true").op(b"tR").file(&[]);
        let message = refusal(&file);
        assert!(message.contains(&format!("`{module}.{name}`")), "{module}.{name}: {message}");
        // the same by STACK_GLOBAL and by INST
        let file = Script::new().text(module).text(name).op(b"\x93)R").file(&[]);
        assert!(refusal(&file).contains(name));
        let inst = format!("(i{module}\n{name}\n");
        assert!(refusal(&Script::new().op(inst.as_bytes()).file(&[])).contains(name));
    }
    // functions of known packages are names, and are not called
    for (module, name) in
        [("torch", "load"), ("numpy.testing._private.utils", "runstring"), ("torch.hub", "load")]
    {
        let file = Script::new().global(module, name).op(b"(").text("x").op(b"tR").file(&[]);
        assert!(refusal(&file).contains(name), "{}", refusal(&file));
    }
}

#[test]
fn attributes_are_names_of_torch_functions_or_refused() {
    let holder = ("torch._C", "_VariableFunctionsClass");
    let attribute = |(module, class): (&str, &str), name: &str| {
        Script::new().global("builtins", "getattr").op(b"(").global(module, class).text(name).op(b"tR")
    };
    for (class, name) in [
        (holder, "__class__"),
        (holder, "_x"),
        (holder, "Tensor"),
        (holder, "tanh.__self__"),
        (holder, ""),
        (("torch", "Tensor"), "tanh"),
        (("torch", "hub"), "load"),
        (("collections", "OrderedDict"), "fromkeys"),
        (("builtins", "object"), "tanh"),
    ] {
        let message = refusal(&attribute(class, name).file(&[]));
        assert!(message.contains("`builtins.getattr`"), "{class:?} {name}: {message}");
    }
    // of a text, of something that was itself an attribute, with a default, by Python 2's name, and not as a call
    let of_text = Script::new().global("__builtin__", "getattr").op(b"(").text("x").text("tanh").op(b"tR");
    let nested = Script::new()
        .global("builtins", "getattr")
        .op(b"(")
        .op(&attribute(holder, "tanh").0[2..])
        .text("tanh")
        .op(b"tR");
    let three = Script::new()
        .global("builtins", "getattr")
        .op(b"(")
        .global(holder.0, holder.1)
        .text("tanh")
        .op(b"NtR");
    let new = Script::new().global("builtins", "getattr").op(b")\x81");
    let rebuilt = Script::new()
        .global("copyreg", "_reconstructor")
        .op(b"(")
        .global("builtins", "getattr")
        .global("builtins", "object")
        .op(b"NtR");
    for script in [of_text, nested, three, new] {
        let message = refusal(&script.file(&[]));
        assert!(message.contains("`builtins.getattr`"), "{message}");
    }
    assert!(refusal(&rebuilt.file(&[])).contains("without class"));
    // the function is a name, and is not called
    for name in ["tanh", "load", "from_file"] {
        let called = attribute(holder, name).op(b"(").text("x").op(b"tR");
        assert!(refusal(&called.file(&[])).contains(&format!("torch.{name}")));
    }
    // in a module it is the text of its name
    let module = Script::new()
        .global("torch.nn.modules.container", "ModuleList")
        .op(b")\x81}(")
        .text("_modules")
        .op(b"}")
        .text("f")
        .op(&attribute(holder, "tanh").0[2..])
        .text("_buffers")
        .op(b"}(")
        .text("w")
        .tensor("DoubleStorage", "0", 1, 0, &[1], &[1])
        .op(b"uub");
    let model = read(&module.file(&[("0", &[0; 8])])).unwrap();
    assert_eq!(model.hyper_parameter(&["modules", "", "f"]), Some(&serde_json::json!("torch.tanh")));
}

#[test]
fn forged_lengths_allocate_nothing() {
    for op in [
        &b"X\xff\xff\xff\xff"[..],
        b"T\xff\xff\xff\x7f",
        b"B\xff\xff\xff\xff",
        b"\x8b\xff\xff\xff\xff",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x8c\xff",
        b"C\xff",
    ] {
        assert!(refusal(&Script::new().op(op).file(&[])).contains("beyond the end"), "{op:?}");
    }
}

#[test]
fn tensors_stay_within_their_storage() {
    let data = doubles(&[1.0, 2.0, 3.0, 4.0]);
    let good = read(&one_tensor("DoubleStorage", 4, 0, &[2, 2], &[1, 2], &data)).unwrap();
    assert_eq!(good.tensors["w"].to_f64(), [1.0, 3.0, 2.0, 4.0]);
    for (offset, shape, stride) in [
        (0, &[5_i64][..], &[1_i64][..]),
        (1, &[4], &[1]),
        (i64::MAX, &[1], &[1]),
        (0, &[2, 2], &[2, 2]),
        (0, &[2], &[i64::MAX]),
        (3, &[2], &[i64::MAX]),
        (0, &[1 << 40, 1 << 40], &[1, 1]),
        (0, &[i64::MAX], &[1]),
    ] {
        let message = refusal(&one_tensor("DoubleStorage", 4, offset, shape, stride, &data));
        assert!(
            message.contains("beyond its storage") || message.contains("in a file of this size"),
            "{message}"
        );
    }
    for (offset, shape, stride) in [
        (-1, &[1_i64][..], &[1_i64][..]),
        (0, &[-1], &[1]),
        (3, &[2], &[-1]),
        (0, &[2, 2], &[1]),
        (0, &[1; 65], &[1; 65]),
    ] {
        let message = refusal(&one_tensor("DoubleStorage", 4, offset, shape, stride, &data));
        assert!(message.contains("malformed shape"), "{message}");
    }
    // the number of elements that the pickle states is not trusted
    let message = refusal(&one_tensor("DoubleStorage", 1 << 40, 0, &[1 << 20], &[1], &data));
    assert!(message.contains("beyond its storage"), "{message}");
    // an axis of length 1 may have any stride, no axis may be shown a million times
    let odd = read(&one_tensor("DoubleStorage", 4, 2, &[1, 2], &[i64::MAX, 1], &data)).unwrap();
    assert_eq!(odd.tensors["w"].to_f64(), [3.0, 4.0]);
    let message = refusal(&one_tensor("DoubleStorage", 4, 0, &[1 << 30], &[0], &data));
    assert!(message.contains("in a file of this size"), "{message}");
    let spread = read(&one_tensor("DoubleStorage", 4, 1, &[3, 2], &[0, 1], &data)).unwrap();
    assert_eq!(spread.tensors["w"].to_f64(), [2.0, 3.0, 2.0, 3.0, 2.0, 3.0]);
    let empty = read(&one_tensor("DoubleStorage", 0, 0, &[0, 7], &[7, 1], &[])).unwrap();
    assert_eq!((empty.tensors["w"].shape(), empty.tensors["w"].len()), (&[0, 7][..], 0));
}

#[test]
fn storages_are_looked_up_in_the_archive_alone() {
    for key in ["../../../../etc/passwd", "/etc/passwd", "..", "1", ""] {
        let file = Script::new()
            .op(b"}(")
            .text("w")
            .tensor("DoubleStorage", key, 1, 0, &[1], &[1])
            .op(b"u")
            .file(&[("0", &[0; 8])]);
        let message = refusal(&file);
        assert!(message.contains(&format!("m/data/{key}`")) && message.contains("not there"), "{message}");
    }
}

#[test]
fn deep_nesting_and_cycles_end() {
    // a million lists, each in the next
    let mut deep = Script::new().op(b"}").text("state_dict");
    for _ in 0..300_000 {
        deep = deep.op(b"]");
    }
    for _ in 0..300_000 - 1 {
        deep = deep.op(b"a");
    }
    assert!(refusal(&deep.op(b"s").file(&[])).contains("without the weights"));
    let marks = Script::new().op(&[b'('; 200_000]).op(b"t");
    assert!(refusal(&marks.file(&[])).contains("nested too deeply"));
    // a module that contains itself
    let cycle = Script::new()
        .global("torch.nn.modules.container", "ModuleList")
        .op(b")\x81q\x00}(")
        .text("_modules")
        .op(b"}(")
        .text("me")
        .op(b"h\x00uub");
    assert!(refusal(&cycle.file(&[])).contains("contain themselves"));
    // a dictionary that is its own weights
    let cycle = Script::new().op(b"}q\x00").text("model").op(b"h\x00s");
    assert!(refusal(&cycle.file(&[])).contains("contain themselves"));
    // a list that contains itself among the hyper-parameters is left out
    let list = Script::new()
        .op(b"}(")
        .text("a")
        .op(b"]q\x00h\x00a")
        .text("state_dict")
        .op(b"}")
        .text("w")
        .tensor("DoubleStorage", "0", 1, 0, &[1], &[1])
        .op(b"su");
    let model = read(&list.file(&[("0", &[0; 8])])).unwrap();
    assert!(model.hyper_parameters.is_empty() && model.tensors.len() == 1);
}

#[test]
fn memo_bombs_stay_small() {
    // every list holds the one before ten times: 10^40 values, in 2 kB
    let mut bomb = Script::new().op(b"}(").text("bomb").op(b"]q\x00");
    for k in 0_u8..40 {
        bomb = bomb.op(b"0](");
        for _ in 0..10 {
            bomb = bomb.op(&[b'h', k]);
        }
        bomb = bomb.op(&[b'e', b'q', k + 1]);
    }
    let bomb =
        bomb.text("state_dict").op(b"}").text("w").tensor("DoubleStorage", "0", 1, 0, &[1], &[1]).op(b"su");
    let model = read(&bomb.file(&[("0", &[0; 8])])).unwrap();
    assert!(model.hyper_parameters.is_empty());
    // the same with modules
    let module = |s: Script| s.global("torch.nn.modules.container", "ModuleList").op(b")\x81");
    let mut bomb = module(Script::new()).op(b"}").text("_modules").op(b"}sbq\x00");
    for k in 0_u8..20 {
        bomb = module(bomb.op(b"0")).op(b"}").text("_modules").op(b"}(");
        for name in 0..10 {
            bomb = bomb.text(&name.to_string()).op(&[b'h', k]);
        }
        bomb = bomb.op(b"usb").op(&[b'q', k + 1]);
    }
    assert!(refusal(&bomb.file(&[])).contains("more than"));
    // one large storage under a thousand names
    let storage = vec![0; 1 << 20];
    let mut many = Script::new().op(b"}(");
    for k in 0..1000 {
        many = many.text(&k.to_string()).tensor("ByteStorage", "0", 1 << 20, 0, &[1 << 20], &[1]);
    }
    assert!(refusal(&many.op(b"u").file(&[("0", &storage)])).contains("in a file of this size"));
}

#[test]
fn torn_pickles_are_refused() {
    for (script, what) in [
        (Script::new(), "missing operand"),
        (Script::new().op(b"h\x07"), "reference to nothing"),
        (Script::new().op(b"R"), "missing operand"),
        (Script::new().op(b"t"), "missing mark"),
        (Script::new().op(b"(K\x01R"), "missing operand"),
        (Script::new().op(b"}(K\x01u"), "key without value"),
        (Script::new().op(b"K\x01K\x02a"), "holds none"),
        (Script::new().op(b"K\x01)R"), "no class"),
        (Script::new().op(b"K\x01Q"), "storage"),
        (Script::new().op(b"\xfe"), "unknown code 0xfe"),
        (Script::new().op(b"\x82\x01"), "extension codes"),
        (Script::new().op(b"\x97"), "buffers"),
        (Script::new().op(b"\x80\x09"), "protocol 9"),
        (Script::new().op(b"cos"), "line without end"),
        (Script::new().op(b"K\x01"), "a single value"),
        (Script::new().op(b"]"), "a list"),
        (Script::new().global("torch", "Tensor").op(b")\x81"), "object of class `torch.Tensor`"),
    ] {
        let message = refusal(&script.file(&[]));
        assert!(message.contains(what), "{what}: {message}");
    }
}

#[test]
fn torn_archives_are_refused() {
    let good = one_tensor("DoubleStorage", 1, 0, &[1], &[1], &doubles(&[7.0]));
    assert_eq!(read(&good).unwrap().tensors["w"].to_f64(), [7.0]);
    for n in 4..good.len() {
        assert!(read(&good[..n]).is_err(), "cut at {n}");
    }
    // every byte of the file matters or changes nothing
    for n in 0..good.len() {
        let mut changed = good.clone();
        changed[n] ^= 0x55;
        if let Ok(model) = read(&changed) {
            assert!(model.tensors.get("w").is_none_or(|w| w.to_f64() == [7.0]), "byte {n}");
        }
    }
    let twice = zip(&[("m/data.pkl", b"N."), ("m/data.pkl", b"N.")]);
    assert!(refusal(&twice).contains("two entries `m/data.pkl`"));
    // a second record that points at the first one's content
    let mut file = zip(&[("m/data.pkl", b"N."), ("m/data/0", b"abcdefgh")]);
    let record = file.len() - 22 - (46 + 8);
    assert!(file[record..].starts_with(b"PK\x01\x02"));
    file[record + 42..record + 46].fill(0);
    let message = refusal(&file);
    assert!(message.contains("overlap"), "{message}");
    // a size of 4 GiB
    let mut file = zip(&[("m/data.pkl", b"N.")]);
    let record = file.len() - 22 - (46 + 10);
    file[record + 20..record + 28].fill(0xfe);
    assert!(refusal(&file).contains("longer than the file"));
    // a million entries that are not there
    let mut file = zip(&[("m/data.pkl", b"N.")]);
    let end = file.len() - 22;
    file[end + 10..end + 12].fill(0xff);
    assert!(refusal(&file).contains("too short for 65535 entries"));
}

#[test]
fn compressed_entries_cannot_lie_about_their_size() {
    use std::io::Write;
    let pickle = one_tensor("DoubleStorage", 1, 0, &[1], &[1], &doubles(&[7.0]));
    let archive = zip::Archive::open(&pickle).unwrap();
    let content = archive.read("m/data.pkl").unwrap().unwrap();
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&content).unwrap();
    let squeezed = encoder.finish().unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(&content);
    let build = |size: u32| {
        let mut file = zip(&[("m/data.pkl", &squeezed), ("m/data/0", &doubles(&[7.0]))]);
        let record = file.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        file[record + 10] = 8;
        file[record + 16..record + 20].copy_from_slice(&crc.sum().to_le_bytes());
        file[record + 24..record + 28].copy_from_slice(&size.to_le_bytes());
        file
    };
    assert_eq!(read(&build(content.len() as u32)).unwrap().tensors["w"].to_f64(), [7.0]);
    assert!(refusal(&build(content.len() as u32 - 1)).contains("cannot be decompressed"));
    assert!(refusal(&build(content.len() as u32 + 1)).contains("cannot be decompressed"));
    assert!(refusal(&build(u32::MAX - 1)).contains("says it expands"));
}
