"""`quarry onnx run | inspect`, also `python3 -m quarry.onnx`. Data goes to stdout, talk to stderr.

Exit codes are those that `quarry --help` lists."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np

import quarry
from quarry.onnx import Model, ModelError, Unsupported, load
from quarry.remote import ServiceError

FAILED, USAGE, BAD_INPUT, NOT_FOUND, UNAUTHORISED, NO_FUNDS, UNREACHABLE = 1, 2, 3, 4, 5, 6, 7
EXIT_CODES = {
    "unreachable": UNREACHABLE, "untrusted": UNREACHABLE, "bad_answer": UNREACHABLE, "overloaded": UNREACHABLE,
    "database_unavailable": UNREACHABLE, "rate_limited": UNREACHABLE, "too_many_connections": UNREACHABLE,
    "bad_config": USAGE, "not_configured": USAGE, "usage": USAGE,
    "unauthorized": UNAUTHORISED, "missing_scope": UNAUTHORISED, "insufficient_balance": NO_FUNDS,
    "job_failed": FAILED, "job_cancelled": FAILED, "job_expired": FAILED, "file_exists": FAILED,
    "cannot_write": FAILED, "cannot_start": FAILED, "device_error": FAILED, "out_of_memory": FAILED,
    "compile_failed": FAILED, "internal": FAILED}
SHOWN_VALUES = 1_000  # of an output with --json when it is written to no file
SHOWN_IN_TEXT = 8


class Problem(Exception):
    """What went wrong, told as the rest of the command line tells it."""

    def __init__(self, code: str, detail: str, action: str = "", pointer: str = ""):
        super().__init__(detail)
        self.code, self.detail, self.action, self.pointer = code, detail, action, pointer


# --- input ---


def read_arrays(path: str) -> dict[Optional[str], np.ndarray]:
    """The arrays of a .npy file (nameless), an .npz file, or an ONNX tensor (.pb)."""
    try:
        if path.endswith(".pb"):
            return {None: read_tensor_proto(path)}
        loaded = np.load(path, allow_pickle=False)
        return {name: loaded[name] for name in loaded.files} if hasattr(loaded, "files") else {None: loaded}
    except OSError as error:
        raise Problem("cannot_read", f"cannot read {path}: {error.strerror or error}", "Check the path.") from None
    except (ValueError, EOFError, KeyError) as error:
        raise Problem("bad_value", f"{path} holds no arrays: {error}",
                      "Save it with numpy.save or numpy.savez.") from None


def read_tensor_proto(path: str) -> np.ndarray:
    from google.protobuf.message import DecodeError
    from onnx import TensorProto, numpy_helper
    tensor = TensorProto()
    try:
        tensor.ParseFromString(Path(path).read_bytes())
        return numpy_helper.to_array(tensor)
    except (DecodeError, TypeError) as error:
        raise ValueError(error) from None


def set_once(values: dict, name: Any, value: Any, flag: str) -> None:
    if name in values:
        raise Problem("usage", f"{flag} gives {name!r} twice", "Give each name once.")
    values[name] = value


def gather_inputs(model: Model, given: Sequence[str]) -> dict[str, np.ndarray]:
    """--input NAME=FILE or FILE as arrays by name; files without names go to the inputs left, in the model's order."""
    arrays: dict[str, np.ndarray] = {}
    nameless: list[tuple[str, np.ndarray]] = []
    for text in given:
        name, equals, path = text.partition("=")
        named = bool(equals) and (name in model.inputs or not Path(text).exists())
        for inner, array in read_arrays(path if named else text).items():
            if inner is None and not named:
                nameless.append((text, array))
            else:
                set_once(arrays, name if named and inner is None else inner, array, "--input")
    left = [name for name, entry in model.inputs.items() if name not in arrays and not entry.optional]
    if len(nameless) > len(left):
        raise Problem("usage", f"{nameless[len(left)][0]} is one input too many; the model takes "
                      f"{', '.join(model.inputs) or 'none'}", "Name inputs: --input NAME=FILE.")
    return {**arrays, **{name: array for name, (_, array) in zip(left, nameless)}}


def shapes_of(model: Model, given: Sequence[str]) -> Optional[dict[str, tuple[int, ...]]]:
    """Every input's shape: --shape NAME=2,3 or the model's; None when one is open."""
    chosen: dict[str, tuple[int, ...]] = {}
    for text in given:
        name, equals, sizes = text.partition("=")
        if not equals or not re.fullmatch(r"(\d{1,18}(,\d{1,18})*)?", sizes):
            raise Problem("usage", f"--shape {text} is not of the form NAME=2,3,4")
        if name not in model.inputs:
            raise Problem("usage", f"the model has no input {name!r}; it takes {', '.join(model.inputs) or 'none'}")
        set_once(chosen, name, tuple(int(size) for size in sizes.split(",") if size), "--shape")
    shapes = {name: entry.shape for name, entry in model.inputs.items() if not entry.optional} | chosen
    known = all(shape is not None and all(isinstance(size, int) for size in shape) for shape in shapes.values())
    return shapes if known else None


# --- output ---


def shape_text(shape: Any) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]" if shape is not None else "[...]"


def values_text(array: np.ndarray) -> str:
    """All values of a small array, else the least, mean and greatest."""
    if array.size <= SHOWN_IN_TEXT or array.dtype.kind not in "biuf":
        return np.array2string(array.ravel()[:SHOWN_IN_TEXT], precision=6, separator=", ").replace("\n", "")
    wide = array.astype(np.float64)
    return f"{wide.min():.6g} to {wide.max():.6g}, mean {wide.mean():.6g}"


def output_files(names: Sequence[str], where: str) -> dict[str, str]:
    """{output: file}: one .npz file, or one .npy file an output in a directory."""
    if where.endswith(".npz"):
        return dict.fromkeys(names, where)
    files: dict[str, str] = {}
    for name in names:
        safe = re.sub(r"[^\w.-]", "_", name).lstrip(".") or "output"  # ONNX names have slashes and colons
        while str(Path(where, safe + ".npy")) in files.values():
            safe += "_"
        files[name] = str(Path(where, safe + ".npy"))
    return files


def cannot_write(where: str, error: OSError) -> Problem:
    return Problem("cannot_write", f"cannot write {where}: {error.strerror or error}", "Check the directory.")


def prepare_outputs(names: Sequence[str], where: str, force: bool) -> dict[str, str]:
    """Sees before anything is computed that the outputs can be written, and that no file is written over unasked."""
    files = output_files(names, where)
    for file in files.values():
        if not force and os.path.lexists(file):
            raise Problem("file_exists", f"{file} is there already",
                          "Write elsewhere with --output, or over it with --force.")
    directory = Path(where).parent if where.endswith(".npz") else Path(where)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise cannot_write(where, error) from None
    return files


def write_outputs(outputs: dict[str, np.ndarray], files: dict[str, str], where: str) -> None:
    try:
        if where.endswith(".npz"):
            np.savez(where, **outputs)
            return
        for name, array in outputs.items():
            np.save(files[name], array)
    except OSError as error:
        raise cannot_write(where, error) from None


def plain(array: np.ndarray) -> Any:
    """The array as JSON; what is not finite as a string, for JSON has no such numbers."""
    def element(value: Any) -> Any:
        return str(value) if isinstance(value, float) and not np.isfinite(value) else value
    return [element(value) for value in array.ravel().tolist()]


def run(options: argparse.Namespace) -> str:
    model = load(options.model)
    inputs = gather_inputs(model, options.input)
    files = prepare_outputs(model.outputs, options.output, options.force) if options.output else {}
    outputs = model(inputs, on=options.on)
    if options.output:
        write_outputs(outputs, files, options.output)
    if options.json:
        described = []
        for name, array in outputs.items():
            entry: dict[str, Any] = {"name": name, "dtype": str(array.dtype), "shape": list(array.shape)}
            if name in files:
                entry["file"] = files[name]
            elif array.size <= SHOWN_VALUES:
                entry["values"] = plain(array)
            described.append(entry)
        return json.dumps({"outputs": described}, indent=2)
    return "\n".join(f"{name}  {array.dtype}{shape_text(array.shape)}  {files.get(name) or values_text(array)}"
                     for name, array in outputs.items())


def inspect(options: argparse.Namespace) -> str:
    from onnx import load_model
    model = load(options.model)
    proto = load_model(options.model, load_external_data=False)
    operators = Counter(node.op_type for node in proto.graph.node)
    facts: dict[str, Any] = {
        "inputs": [{"name": entry.name, "dtype": entry.dtype, "shape": entry.shape} for entry in model.inputs.values()],
        "outputs": list(model.outputs),
        "opset": {entry.domain or "ai.onnx": entry.version for entry in proto.opset_import},
        "operators": dict(operators.most_common()), "graph": None}
    shapes = shapes_of(model, options.shape)
    if shapes is not None and not model.static_inputs:
        graph = model.graph(shapes)
        cost = quarry.quote(graph, on=options.on)
        facts["graph"] = {"id": graph.id, "nodes": graph.nodes, "flops": str(cost.flops),
                          "metered_flops": str(cost.metered_flops), "memory_bound_bytes": cost.memory_bound_bytes,
                          "price": None if cost.price is None else f"{cost.price:f}"}
    if options.json:
        return json.dumps(facts, indent=2)
    lines: list[str] = []
    for entry in facts["inputs"]:
        lines.append(f"input    {entry['name']}  {entry['dtype']}{shape_text(entry['shape'])}")
    for name in facts["outputs"]:
        lines.append(f"output   {name}")
    lines.append("opset    " + ", ".join(f"{domain} {version}" for domain, version in facts["opset"].items()))
    counted = ", ".join(f"{count} {name}" for name, count in operators.most_common())
    lines.append(f"nodes    {sum(operators.values())}: {counted}")
    if facts["graph"] is None:
        why = "inputs decide shapes" if model.static_inputs else "shapes are open: give --shape NAME=2,3,4"
        lines.append(f"work     not known, {why}")
    else:
        lines.append(f"graph    {facts['graph']['id']}, {facts['graph']['nodes']} nodes")
        lines.append(f"work     {cost}")
    return "\n".join(lines)


# --- the command line ---


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="quarry onnx", description="ONNX models on Quarry")
    commands = top.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="runs a model, here or on a service")
    running.add_argument("--input", "-i", action="append", default=[], metavar="NAME=FILE",
                         help="NAME=FILE or FILE, in the model's order: .npy, .npz or .pb")
    running.add_argument("--output", "-o", metavar="WHERE", help="directory for one .npy an output, or one .npz file")
    running.add_argument("--force", action="store_true", help="write over files that are there")
    looking = commands.add_parser("inspect", help="a model's inputs, outputs, operators and work")
    looking.add_argument("--shape", action="append", default=[], metavar="NAME=2,3",
                         help="the shape of an input that is open")
    for command in (running, looking):
        command.add_argument("model", help="an ONNX file")
        command.add_argument("--on", help="local (the default), interpreter, opencl:0, service, or https://host:port")
        command.add_argument("--json", action="store_true", help="print one JSON value on stdout, for programs")
    return top


def tell(problem: Problem, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": {"code": problem.code, "detail": problem.detail, "pointer": problem.pointer,
                                    "action": problem.action}}, indent=2))
    else:
        action = f"\n  {problem.action}" if problem.action else ""
        print(f"error: {problem.detail} [{problem.code}]{action}", file=sys.stderr)
    if problem.code.endswith("_not_found"):
        return NOT_FOUND
    return EXIT_CODES.get(problem.code, BAD_INPUT)


def print_out(text: str) -> int:
    """What is printed must have been written: a full disk fails the command."""
    try:
        print(text, flush=True)
        return 0
    except OSError as error:
        print(f"error: cannot write to standard output: {error.strerror} [cannot_write]", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes again when it ends
        return FAILED


def main(arguments: Optional[Sequence[str]] = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return print_out((run if options.command == "run" else inspect)(options))
    except Problem as problem:
        return tell(problem, options.json)
    except Unsupported as error:
        return tell(Problem("unsupported", str(error), "docs/onnx.md lists what is refused, and why."), options.json)
    except ServiceError as error:
        return tell(Problem(error.code, error.detail, error.action, error.pointer), options.json)
    except ModelError as error:
        return tell(Problem("invalid_model", str(error)), options.json)
    except ImportError as error:
        return tell(Problem("cannot_start", f"{sys.executable} cannot read ONNX models: {error}",
                            "Install Debian's python3-onnx."), options.json)
    except (quarry.GraphError, quarry.TensorError, quarry.RunError) as error:
        code = getattr(error, "code", "") or "bad_value"
        return tell(Problem(code, str(error)), options.json)
    except OSError as error:
        return tell(Problem("cannot_read", f"cannot read {options.model}: {error.strerror or error}"), options.json)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
