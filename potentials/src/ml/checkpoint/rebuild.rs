//! What PyTorch and numpy call to put arrays together, carried out as data, and which names a pickle may use.
use super::Dtype;
use super::error::{Fault, Read};
use super::tensor::View;
use super::tree::{Arena, Id, Node, Object, Storage};

/// Packages whose classes are read as plain objects.
const PACKAGES: &[&str] = &[
    "torch",
    "numpy",
    "e3nn",
    "mace",
    "sevenn",
    "nequip",
    "allegro",
    "chgnet",
    "torchmdnet",
    "matgl",
    "orb_models",
    "fairchem",
    "cuequivariance",
    "cuequivariance_torch",
    "opt_einsum",
    "opt_einsum_fx",
    "ase",
    "pymatgen",
    "monty",
    "lightning",
    "pytorch_lightning",
    "lightning_fabric",
    "omegaconf",
    "torch_geometric",
    "torch_ema",
];
/// Other names, in full.
const NAMES: &[&str] = &[
    "_codecs.encode",
    "argparse.Namespace",
    "collections.Counter",
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.deque",
    "copyreg._reconstructor",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "datetime.timezone",
    "functools.partial",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.WindowsPath",
    "types.SimpleNamespace",
    "typing.Any",
    "uuid.UUID",
];
/// Names of the module `builtins`.
const BUILTINS: &[&str] = &[
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "getattr",
    "int",
    "list",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
];
/// Functions that are called in model files, whose arguments are kept and which are not carried out.
const KEPT_CALLS: &[&str] = &[
    "torch.fx.graph_module.reduce_graph_module",
    "torch.fx.graph_module.reduce_package_graph_module",
    "torch.fx.graph_module.reduce_deploy_graph_module",
];
/// Classes whose names begin with a small letter.
const SMALL_CLASSES: &[&str] = &[
    "bytearray",
    "complex",
    "date",
    "datetime",
    "defaultdict",
    "deque",
    "device",
    "dtype",
    "finfo",
    "generator",
    "iinfo",
    "int",
    "float",
    "str",
    "bool",
    "bytes",
    "ndarray",
    "normalize2mom",
    "object",
    "partial",
    "range",
    "reshape_irreps",
    "slice",
    "timedelta",
    "timezone",
];

/// Python 2 names of modules, and places that numpy moved.
fn modern(name: &str) -> String {
    for (old, new) in
        [("__builtin__.", "builtins."), ("copy_reg.", "copyreg."), ("numpy._core.", "numpy.core.")]
    {
        if let Some(rest) = name.strip_prefix(old) {
            return format!("{new}{rest}");
        }
    }
    name.to_owned()
}

/// May a pickle name this class or function?
pub(super) fn is_allowed(module: &str, name: &str) -> bool {
    let full = modern(&format!("{module}.{name}"));
    let package = full.split('.').next().unwrap_or("");
    let plain = full.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    plain
        && match full.strip_prefix("builtins.") {
            Some(name) => BUILTINS.contains(&name),
            None => PACKAGES.contains(&package) || NAMES.contains(&full.as_str()),
        }
}

/// Is it the name of a class, which can be instantiated without doing anything?
fn is_class(full: &str) -> bool {
    let last = full.rsplit('.').next().unwrap_or("");
    last.trim_start_matches('_').starts_with(char::is_uppercase) || SMALL_CLASSES.contains(&last)
}

fn damaged(what: &str) -> Fault {
    Fault::damaged(format!("{what} in its pickle"))
}

/// The value of a call, or `None` for an object that keeps its arguments.
pub(super) fn call(arena: &mut Arena, function: Id, arguments: Id) -> Read<Option<Node>> {
    let Some(name) = arena.global(function).map(modern) else {
        return Err(damaged("a call of something that is no class"));
    };
    let args = arena.tuple(arguments).ok_or_else(|| damaged("a call without arguments"))?.to_vec();
    let node = match name.as_str() {
        "collections.OrderedDict" | "builtins.dict" | "collections.defaultdict" | "collections.Counter" => {
            dictionary(arena, &args)
        }
        "builtins.set" | "builtins.frozenset" => Node::Set(elements(arena, &args)),
        "builtins.list" => Node::List(elements(arena, &args)),
        "builtins.tuple" | "torch.Size" => Node::Tuple(elements(arena, &args)),
        "_codecs.encode" | "builtins.bytearray" | "builtins.bytes" => latin(arena, &args)?,
        "torch.device" => Node::Text(device(arena, &args)),
        "builtins.getattr" => torch_function(arena, &args)?,
        "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
            let tensor = args.first().map(|t| arena[*t].clone());
            match tensor {
                Some(tensor @ (Node::Tensor(_) | Node::OtherTensor(_))) => tensor,
                _ => return Err(damaged("a parameter without tensor")),
            }
        }
        "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => tensor(arena, &args, None)?,
        "torch._utils._rebuild_tensor_v3" => {
            let dtype = args.get(6).and_then(|d| arena.global(*d)).map(str::to_owned);
            tensor(arena, &args, dtype.as_deref())?
        }
        "torch._tensor._rebuild_from_type_v2" => return from_type(arena, &args),
        "torch.storage._load_from_bytes" => {
            return Err(Fault::Unsupported(
                "tensors that were saved with Python's pickle instead of torch.save".to_owned(),
            ));
        }
        other if other.starts_with("torch._utils._rebuild_") => Node::OtherTensor(other.to_owned()),
        "numpy.core.multiarray._reconstruct" => return Ok(None),
        "numpy.core.multiarray.scalar" => scalar(arena, &args)?,
        "numpy.core.numeric._frombuffer" => from_buffer(arena, &args)?,
        "copyreg._reconstructor" => {
            let class = *args.first().ok_or_else(|| damaged("an object without class"))?;
            let state = args.get(2).copied().into_iter().collect();
            let arguments = arena.push(Node::Tuple(state));
            if arena.global(class).is_none_or(|c| !is_class(c)) {
                return Err(damaged("an object without class"));
            }
            Node::Object(Box::new(Object {
                class,
                arguments,
                state: None,
                items: Vec::new(),
                elements: Vec::new(),
            }))
        }
        other if is_class(other) || KEPT_CALLS.contains(&other) => return Ok(None),
        other => return Err(Fault::Forbidden(format!("{other}(…)"))),
    };
    Ok(Some(node))
}

/// The name of a function of PyTorch, such as `torch.tanh`, which pickles write as an attribute of the class that holds such
/// functions. No other attribute of anything is looked up.
fn torch_function(arena: &Arena, args: &[Id]) -> Read<Node> {
    if let &[class, name] = args
        && arena.global(class) == Some("torch._C._VariableFunctionsClass")
        && let Some(name) = arena.text(name)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    {
        return Ok(Node::Global(format!("torch.{name}")));
    }
    Err(Fault::Forbidden("builtins.getattr".to_owned()))
}

/// A tensor of a subclass: the function and the arguments that make the plain one.
fn from_type(arena: &mut Arena, args: &[Id]) -> Read<Option<Node>> {
    let &[function, _, inner, ..] = args else { return Err(damaged("a tensor without arguments")) };
    let direct = arena.global(function).is_some_and(|f| f.starts_with("torch._utils._rebuild_"));
    if !direct {
        return Err(damaged("a tensor of an unknown kind"));
    }
    call(arena, function, inner)
}

fn elements(arena: &Arena, args: &[Id]) -> Vec<Id> {
    match args.first().map(|a| &arena[*a]) {
        Some(Node::List(items) | Node::Tuple(items) | Node::Set(items)) => items.clone(),
        _ => Vec::new(),
    }
}

/// A dictionary of another, or of a list of pairs.
fn dictionary(arena: &Arena, args: &[Id]) -> Node {
    for &arg in args {
        match &arena[arg] {
            Node::Dict(items) => return Node::Dict(items.clone()),
            Node::List(items) | Node::Tuple(items) => {
                let pair = |id: &Id| match arena.sequence(*id) {
                    Some(&[key, value]) => Some((key, value)),
                    _ => None,
                };
                return Node::Dict(items.iter().filter_map(pair).collect());
            }
            _ => {}
        }
    }
    Node::Dict(Vec::new())
}

/// Bytes, which protocol 2 writes as text whose characters are the bytes.
fn latin(arena: &Arena, args: &[Id]) -> Read<Node> {
    match args.first().map(|a| &arena[*a]) {
        None => Ok(Node::Bytes(Vec::new())),
        Some(Node::Bytes(bytes)) => Ok(Node::Bytes(bytes.clone())),
        Some(Node::Text(text)) => {
            let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            bytes.map(Node::Bytes).ok_or_else(|| damaged("bytes that are none"))
        }
        Some(_) => Err(damaged("bytes that are none")),
    }
}

fn device(arena: &Arena, args: &[Id]) -> String {
    let part = |id: &Id| match &arena[*id] {
        Node::Text(s) => s.clone(),
        Node::Int(i) => i.to_string(),
        _ => "?".to_owned(),
    };
    args.iter().map(part).collect::<Vec<_>>().join(":")
}

/// What a persistent number of a pickle stands for: ("storage", type, key, device, number of elements).
pub(super) fn storage(arena: &Arena, id: Id) -> Read<Node> {
    let fault = || damaged("a storage that is not described");
    let parts = arena.tuple(id).ok_or_else(fault)?;
    let &[tag, kind, key, _, elements, ..] = parts else { return Err(fault()) };
    if arena.text(tag) != Some("storage") {
        return Err(fault());
    }
    let kind = arena.global(kind).ok_or_else(fault)?;
    let dtype = match kind.rsplit('.').next().unwrap_or("").trim_end_matches("Storage") {
        "Double" => Some(Dtype::F64),
        "Float" => Some(Dtype::F32),
        "Half" => Some(Dtype::F16),
        "BFloat16" => Some(Dtype::Bf16),
        "Long" => Some(Dtype::I64),
        "Int" => Some(Dtype::I32),
        "Short" => Some(Dtype::I16),
        "Char" => Some(Dtype::I8),
        "Byte" => Some(Dtype::U8),
        "Bool" => Some(Dtype::Bool),
        _ => None,
    };
    let elements = arena.int(elements).and_then(|n| u64::try_from(n).ok()).ok_or_else(fault)?;
    let key = match &arena[key] {
        Node::Text(s) => s.clone(),
        Node::Int(i) => i.to_string(),
        _ => return Err(fault()),
    };
    Ok(Node::Storage { key, dtype, elements })
}

fn lengths(arena: &Arena, id: Id) -> Option<Vec<u64>> {
    let items = arena.sequence(id).filter(|items| items.len() <= 64)?;
    items.iter().map(|i| arena.int(*i).and_then(|n| u64::try_from(n).ok())).collect()
}

/// (storage, offset, shape, strides, …)
fn tensor(arena: &Arena, args: &[Id], dtype: Option<&str>) -> Read<Node> {
    let fault = || damaged("a tensor with a malformed shape");
    let &[storage, offset, shape, stride, ..] = args else { return Err(fault()) };
    let Node::Storage { key, dtype: stored, .. } = &arena[storage] else {
        return Err(damaged("a tensor without storage"));
    };
    let dtype = match dtype {
        None => *stored,
        Some(name) => torch_dtype(name),
    };
    let offset = arena.int(offset).and_then(|n| u64::try_from(n).ok()).ok_or_else(fault)?;
    let (shape, stride) =
        (lengths(arena, shape).ok_or_else(fault)?, lengths(arena, stride).ok_or_else(fault)?);
    if shape.len() != stride.len() {
        return Err(fault());
    }
    Ok(match dtype {
        Some(dtype) => {
            Node::Tensor(Box::new((Storage::Entry(key.clone()), View { dtype, offset, shape, stride })))
        }
        None => Node::OtherTensor("a tensor of complex or quantized numbers".to_owned()),
    })
}

fn torch_dtype(name: &str) -> Option<Dtype> {
    Some(match name.strip_prefix("torch.")? {
        "float64" | "double" => Dtype::F64,
        "float32" | "float" => Dtype::F32,
        "float16" | "half" => Dtype::F16,
        "bfloat16" => Dtype::Bf16,
        "int64" | "long" => Dtype::I64,
        "int32" | "int" => Dtype::I32,
        "int16" | "short" => Dtype::I16,
        "int8" => Dtype::I8,
        "uint64" => Dtype::U64,
        "uint32" => Dtype::U32,
        "uint16" => Dtype::U16,
        "uint8" => Dtype::U8,
        "bool" => Dtype::Bool,
        _ => return None,
    })
}

/// Type of numpy's numbers; `None` for text, objects and records.
fn numpy_dtype(arena: &Arena, id: Id) -> Read<Option<Dtype>> {
    let fault = || damaged("an array without type");
    let object = arena.object(id).ok_or_else(fault)?;
    let code = arena.tuple(object.arguments).and_then(|a| arena.text(*a.first()?)).ok_or_else(fault)?;
    let order = object.state.and_then(|s| arena.text(*arena.tuple(s)?.get(1)?)).unwrap_or("|");
    let (order, code) = match code.split_at_checked(1) {
        Some((mark @ ("<" | ">" | "|" | "="), rest)) => (mark, rest),
        _ => (order, code),
    };
    let dtype = match code {
        "f8" => Dtype::F64,
        "f4" => Dtype::F32,
        "f2" => Dtype::F16,
        "i8" => Dtype::I64,
        "i4" => Dtype::I32,
        "i2" => Dtype::I16,
        "i1" => Dtype::I8,
        "u8" => Dtype::U64,
        "u4" => Dtype::U32,
        "u2" => Dtype::U16,
        "u1" => Dtype::U8,
        "b1" => Dtype::Bool,
        _ => return Ok(None),
    };
    if order == ">" && dtype.size() > 1 {
        return Err(Fault::Unsupported("arrays in big-endian order".to_owned()));
    }
    Ok(Some(dtype))
}

/// An array of numpy whose bytes are in the pickle.
fn array(arena: &Arena, shape: Id, dtype: Id, fortran: bool, data: Id) -> Read<Node> {
    let shape = match arena.int(shape) {
        Some(n) => vec![u64::try_from(n).map_err(|_| damaged("an array with a malformed shape"))?],
        None => lengths(arena, shape).ok_or_else(|| damaged("an array with a malformed shape"))?,
    };
    let Some(dtype) = numpy_dtype(arena, dtype)? else {
        return Ok(match &arena[data] {
            Node::List(items) => Node::List(items.clone()),
            _ => Node::OtherTensor("an array of text or records".to_owned()),
        });
    };
    if !matches!(arena[data], Node::Bytes(_)) {
        return Err(damaged("an array without data"));
    }
    let mut stride = vec![1_u64; shape.len()];
    let mut run = 1_u64;
    for k in 0..shape.len() {
        let axis = if fortran { k } else { shape.len() - 1 - k };
        stride[axis] = run;
        run = run.checked_mul(shape[axis]).ok_or_else(|| damaged("an array with a malformed shape"))?;
    }
    Ok(Node::Tensor(Box::new((Storage::Inline(data), View { dtype, offset: 0, shape, stride }))))
}

/// (buffer, dtype, shape, order)
fn from_buffer(arena: &Arena, args: &[Id]) -> Read<Node> {
    let &[data, dtype, shape, ..] = args else { return Err(damaged("an array without data")) };
    let fortran = args.get(3).and_then(|o| arena.text(*o)) == Some("F");
    array(arena, shape, dtype, fortran, data)
}

/// A single number of numpy: (dtype, bytes).
fn scalar(arena: &Arena, args: &[Id]) -> Read<Node> {
    let fault = || damaged("a number without value");
    let &[dtype, data, ..] = args else { return Err(fault()) };
    let Some(dtype) = numpy_dtype(arena, dtype)? else {
        return Ok(Node::OtherTensor("a scalar of text or records".to_owned()));
    };
    let Node::Bytes(bytes) = &arena[data] else { return Err(fault()) };
    let tensor = super::Tensor::from_bytes(dtype, Vec::new(), bytes.clone())?;
    Ok(match dtype {
        Dtype::Bool => Node::Bool(bytes[0] != 0),
        d if d.is_float() => Node::Float(tensor.scalar().ok_or_else(fault)?),
        _ => Node::Int(*tensor.to_i64().first().ok_or_else(fault)?),
    })
}

/// Gives an object its state.
pub(super) fn build(arena: &mut Arena, target: Id, state: Id) -> Read<()> {
    let array_class = matches!(&arena[target], Node::Object(_))
        && arena.class(target).map(modern).as_deref() == Some("numpy.core.multiarray._reconstruct");
    if array_class {
        let parts = arena.tuple(state).map(<[Id]>::to_vec);
        let Some(&[_, shape, dtype, fortran, data]) = parts.as_deref() else {
            return Err(damaged("an array with a malformed state"));
        };
        let fortran = arena[fortran] == Node::Bool(true);
        let node = array(arena, shape, dtype, fortran, data)?;
        arena[target] = node;
        return Ok(());
    }
    match &mut arena[target] {
        Node::Object(object) => object.state = Some(state),
        // attributes of dictionaries and tensors say nothing about a model
        Node::Dict(_) | Node::Tensor(_) | Node::OtherTensor(_) | Node::Set(_) | Node::List(_) => {}
        _ => return Err(damaged("a state for something that has none")),
    }
    Ok(())
}
