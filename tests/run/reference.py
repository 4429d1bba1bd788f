"""The semantics of docs/graph-format.md in NumPy: evaluates a graph in JSON form node by node, independently of the engine.

bf16 values are held as float32 that bf16 can represent. Everything else is held in the NumPy dtype of the same name.
"""
import numpy as np

DTYPES = {"bool": np.bool_, "i8": np.int8, "u8": np.uint8, "i32": np.int32, "i64": np.int64,
          "f16": np.float16, "bf16": np.float32, "f32": np.float32, "f64": np.float64}
FLOATS = ("f16", "bf16", "f32", "f64")
INTEGERS = ("i8", "u8", "i32", "i64")


def to_bf16(values):
    """Rounds float64 or float32 values to bf16, to nearest even, in one rounding."""
    wide = np.asarray(values, np.float64)
    finite = np.isfinite(wide) & (wide != 0)
    _, exponent = np.frexp(np.where(finite, wide, 1.0))
    ulp = np.ldexp(1.0, np.maximum(exponent - 8, -133))  # 8 significant bits; the least subnormal is 2^-133
    rounded = np.where(finite, np.rint(wide / ulp) * ulp, wide)
    limit = np.ldexp(1.0, 128)
    rounded = np.where(np.abs(rounded) >= limit, np.copysign(np.inf, rounded), rounded)
    return np.copysign(rounded, wide).astype(np.float32)


def rounded(dtype, values):
    with np.errstate(all="ignore"):
        return to_bf16(values) if dtype == "bf16" else np.asarray(values).astype(DTYPES[dtype])


def from_bytes(dtype, raw, shape):
    if dtype == "bf16":
        return (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(shape)
    return np.frombuffer(raw, DTYPES[dtype]).reshape(shape)


def to_bytes(dtype, array):
    array = np.ascontiguousarray(array)
    if dtype == "bf16":
        return (array.reshape(-1).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return array.tobytes()


def cast(values, source, target):
    if source == target:
        return values
    if target == "bool":
        return values != 0
    if source not in FLOATS:
        if target not in FLOATS:
            return values.astype(np.int64).astype(DTYPES[target])
        # An i64 beyond 2^53 must reach bf16 in one rounding: its low bits become one sticky bit first.
        if target == "bf16":
            wide = values.astype(np.int64)
            sticky = ((wide >> 11) | ((wide & 0x7FF) != 0)).astype(np.float64) * 2048.0
            return to_bf16(np.where(np.abs(wide.astype(np.float64)) >= 2.0**53, sticky, wide.astype(np.float64)))
        return values.astype(DTYPES[target])
    if target in FLOATS:
        return rounded(target, values.astype(np.float64))
    info = np.iinfo(DTYPES[target])
    wide = np.trunc(np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf))
    low, high = wide <= float(info.min), wide >= float(info.max)
    inside = np.where(low | high, 0.0, wide).astype(np.int64)
    return np.where(low, info.min, np.where(high, info.max, inside)).astype(DTYPES[target])


def divide_integers(x, y, info):
    def one(a, b):
        if b == 0:
            return 0
        quotient = abs(a) // abs(b)
        return quotient if (a < 0) == (b < 0) else -quotient
    return wrap_each(one, x, y, info)


def power_integers(x, y, info):
    bits = info.bits

    def one(a, b):
        product = wrap(pow(a, abs(b), 1 << bits), info)
        if b >= 0:
            return product
        return {1: 1, -1: -1}.get(product, 0)
    return wrap_each(one, x, y, info)


def wrap(value, info):
    value &= (1 << info.bits) - 1
    return value - (1 << info.bits) if value > info.max else value


def wrap_each(function, x, y, info):
    flat = [wrap(function(int(a), int(b)), info) for a, b in zip(x.reshape(-1), y.reshape(-1))]
    return np.array(flat, info.dtype).reshape(x.shape)


def binary(op, dtype, x, y):
    if dtype == "bool":
        return {"ADD": lambda: x | y, "SUB": lambda: x ^ y, "MUL": lambda: x & y, "MAX": lambda: x | y,
                "POW": lambda: x | ~y, "CMPEQ": lambda: x == y}[op]()
    if op == "CMPEQ":
        return (x == y).astype(DTYPES[dtype])
    if op == "MAX":
        return np.maximum(x, y)
    if dtype in INTEGERS:
        info = np.iinfo(DTYPES[dtype])
        if op == "DIV":
            return divide_integers(x, y, info)
        if op == "POW":
            return power_integers(x, y, info)
        return {"ADD": np.add, "SUB": np.subtract, "MUL": np.multiply}[op](x, y)
    wide_x, wide_y = x.astype(np.float64), y.astype(np.float64)
    if op == "POW":
        return np.where(wide_y == 1, x, rounded(dtype, np.power(wide_x, wide_y)))
    return rounded(dtype, {"ADD": np.add, "SUB": np.subtract, "MUL": np.multiply, "DIV": np.divide}[op](wide_x, wide_y))


def reduce(op, dtype, x, axes):
    axes = tuple(axes)
    if op == "REDUCE_MAX":
        lowest = -np.inf if dtype in FLOATS else False if dtype == "bool" else np.iinfo(DTYPES[dtype]).min
        return np.maximum.reduce(x, axis=axes, keepdims=True, initial=lowest).astype(DTYPES[dtype])
    if dtype == "bool":
        return np.any(x, axis=axes, keepdims=True)
    if dtype in INTEGERS:
        return np.sum(x, axis=axes, keepdims=True, dtype=DTYPES[dtype])
    return rounded(dtype, np.sum(x.astype(np.float64), axis=axes, keepdims=True))


def philox(counter, key):
    mask = 0xFFFFFFFF
    c, k = list(counter), list(key)
    for _ in range(10):
        low, high = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(high >> 32) ^ c[1] ^ k[0], high & mask, (low >> 32) ^ c[3] ^ k[1], low & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


def random(dtype, shape, stream, step, seed):
    count = int(np.prod(shape, dtype=np.int64))
    words = []
    for block in range((count + 3) // 4):
        words += philox((block & 0xFFFFFFFF, block >> 32, step, stream), (seed & 0xFFFFFFFF, seed >> 32))
    words = np.array(words[:count], np.uint32).reshape(shape)
    if dtype == "i32":
        return words.view(np.int32)
    return (words >> 8).astype(np.float32) * np.float32(2.0**-24)


def iota(dtype, shape, axis):
    line = np.arange(shape[axis], dtype=DTYPES[dtype]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return np.broadcast_to(line, shape)


def constant(dtype, shape, value):
    if isinstance(value, str):
        value = float(value) if dtype in FLOATS else int(value)
    return np.broadcast_to(rounded(dtype, np.float64(value)) if dtype in FLOATS else DTYPES[dtype](value), shape)


def evaluate(graph, inputs, seed=0, step=0):
    """The values of all nodes, with their dtypes. The idioms are not seen: give them values where they make no difference."""
    values, dtypes = [], []
    with np.errstate(all="ignore"):
        for node in graph["nodes"]:
            op, source = node["op"], node.get("src", [])
            operands = [values[i] for i in source]
            dtype = node.get("dtype") or (dtypes[source[0]] if source else "i32")
            values.append(np.asarray(evaluate_node(node, op, dtype, operands, dtypes, inputs, seed, step)))
            dtypes.append(dtype)
    return values, dtypes


def evaluate_node(node, op, dtype, operands, dtypes, inputs, seed, step):
    if op == "INPUT":
        return inputs[node["name"]]
    if op == "CONST":
        return constant(dtype, node["shape"], node["value"])
    if op == "IOTA":
        return iota(dtype, node["shape"], node["axis"])
    if op == "RAND":
        return random(dtype, node["shape"], node["stream"], step, seed)
    if op == "STEP":
        return np.int32(step)
    x = operands[0]
    if op == "CAST":
        return cast(x, dtypes[node["src"][0]], dtype)
    if op in ("EXP", "LOG"):
        return rounded(dtype, {"EXP": np.exp, "LOG": np.log}[op](x.astype(np.float64)))
    if op.startswith("REDUCE"):
        return reduce(op, dtype, x, node["axes"])
    if op == "RESHAPE":
        return x.reshape(node["shape"])
    if op == "PERMUTE":
        return x.transpose(node["axes"])
    if op == "EXPAND":
        return np.broadcast_to(x, node["shape"])
    if op == "PAD":
        return np.pad(x, node["pads"]) if x.ndim else x
    if op == "SHRINK":
        return x[tuple(slice(begin, end) for begin, end in node["bounds"])]
    if op == "STRIDE":
        return x[tuple(slice(None, None, stride) for stride in node["strides"])]
    return binary(op, dtype, x, operands[1])
