#!/usr/bin/env python3
"""Compiles, checks and measures the contraction template's kernels on an NVIDIA GPU, beside PyTorch in the same run.

    contraction_texts DIRECTORY && contraction_bench.py DIRECTORY [--json FILE] [--runs 25] [--only TEXT]

Each kernel is held against f64 within the bound of a SUM, and bit by bit against itself over many runs at full size;
16-bit results of undivided sums are compared with cuBLAS bit by bit. Only kernels that pass are measured. A figure is
the median of rounds in which all candidates and PyTorch take turns in random order; launches are replayed as graphs.
"""

import argparse
import ctypes as C
import faulthandler
import json
import os
import random
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
MAP_DTYPES = {"f16": 6, "f32": 7, "bf16": 9}  # CUtensorMapDataType
MAP_SWIZZLES = {0: 0, 1: 2, 2: 3}
cuda = C.CDLL("libcuda.so.1")


def check(error, what):
    if error:
        text = C.c_char_p()
        cuda.cuGetErrorString(error, C.byref(text))
        raise RuntimeError(f"{what}: {error} {text.value}")


def compile_text(path, options=()):
    """A binary made elsewhere (by clang and ptxas, say) and kept beside the text is used as it is."""
    if path.with_suffix(".cubin").exists():
        return path.with_suffix(".cubin").read_bytes(), 0.0, ""
    from cuda.bindings import nvrtc

    start = time.perf_counter()
    _, program = nvrtc.nvrtcCreateProgram(path.read_bytes(), path.name.encode(), 0, [], [])
    flags = [b"--gpu-architecture=sm_90a", b"--fmad=false", b"-w", *options]
    (error,) = nvrtc.nvrtcCompileProgram(program, len(flags), flags)
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = b" " * size
    nvrtc.nvrtcGetProgramLog(program, log)
    if int(error):
        raise RuntimeError(f"{path}: {log.decode(errors='replace')[:2000]}")
    _, size = nvrtc.nvrtcGetCUBINSize(program)
    binary = b" " * size
    nvrtc.nvrtcGetCUBIN(program, binary)
    return binary, (time.perf_counter() - start) * 1e3, log.decode(errors="replace").strip("\0 \n")


class Kernel:
    """One case: its function, and a launch on operands that are given by their buffers."""

    def __init__(self, case, binary):
        self.case = case
        self.module, self.function = C.c_void_p(), C.c_void_p()
        check(cuda.cuModuleLoadData(C.byref(self.module), binary), "load")
        check(cuda.cuModuleGetFunction(C.byref(self.function), self.module, case["entry"].encode()), "entry")
        check(cuda.cuFuncSetAttribute(self.function, 8, case["shared"]), "shared memory")  # MAX_DYNAMIC_SHARED_SIZE_BYTES
        value = C.c_int()
        self.attributes = []
        for number in (4, 3):  # NUM_REGS, LOCAL_SIZE_BYTES
            check(cuda.cuFuncGetAttribute(C.byref(value), number, self.function), "attribute")
            self.attributes.append(value.value)
        self.workspace = torch.zeros(max(1, case["workspace"]), dtype=torch.uint8, device="cuda")
        self.counters = torch.zeros(max(1, case["counters"]), dtype=torch.uint8, device="cuda")
        resident = C.c_int()
        check(cuda.cuOccupancyMaxActiveBlocksPerMultiprocessor(C.byref(resident), self.function, case["threads"],
                                                               C.c_size_t(case["shared"])), "occupancy")
        self.resident = resident.value
        units = torch.cuda.get_device_properties(0).multi_processor_count
        self.grid = min(case["tiles"], units * max(1, resident.value))
        self.bound = {}

    def bind(self, buffers):
        """Maps in device memory and the argument list for these buffers: result, left, right."""
        key = tuple(buffer.data_ptr() for buffer in buffers)
        if key in self.bound:
            return self.bound[key]
        raw = bytearray()
        for described in self.case["maps"]:
            raw += encode(described, buffers[described["argument"]])
        maps = torch.frombuffer(raw, dtype=torch.uint8).cuda()
        values = [C.c_uint64(maps.data_ptr())]
        for argument in self.case["buffers"]:
            values += [C.c_uint64(buffers[argument].data_ptr()), C.c_int64(0)]
        if self.case["workspace"]:
            values += [C.c_uint64(self.workspace.data_ptr()), C.c_int64(0), C.c_uint64(self.counters.data_ptr())]
        values += [C.c_int32(0), C.c_int32(self.case["tiles"])] + [C.c_int32(count) for count in self.case["counts"]]
        pointers = (C.c_void_p * len(values))(*[C.addressof(value) for value in values])
        self.bound[key] = (pointers, values, maps)
        return self.bound[key]

    def __call__(self, buffers):
        pointers = self.bind(buffers)[0]
        stream = C.c_void_p(torch.cuda.current_stream().cuda_stream)
        check(cuda.cuLaunchKernel(self.function, self.grid, 1, 1, self.case["threads"], 1, 1, self.case["shared"], stream,
                                  pointers, None), "launch")


def encode(described, buffer):
    size = buffer.element_size()
    rank = len(described["extents"])
    space = (C.c_ubyte * 256)()
    offset = -C.addressof(space) % 64
    u64, u32 = C.c_uint64 * 5, C.c_uint32 * 5
    check(cuda.cuTensorMapEncodeTiled(
        C.c_void_p(C.addressof(space) + offset), MAP_DTYPES[described["dtype"]], C.c_uint32(rank),
        C.c_void_p(buffer.data_ptr() + described["offset"] * size), u64(*described["extents"]),
        u64(*[stride * size for stride in described["strides"][1:]]), u32(*described["box"]), u32(1, 1, 1, 1, 1), 0,
        MAP_SWIZZLES[described["swizzle"]], int(os.environ.get("PROMOTION", "3")), 0), f"map {described}")
    return bytes(space)[offset:offset + 128]


def padded(extent):
    return (extent + 7) // 8 * 8


class Operands:
    """Random operands of a case, `sets` times over so that the L2 cache does not hold them; poisoned results."""

    def __init__(self, case, sets):
        self.case = case
        self.batch = 1
        for extent in case["batches"]:
            self.batch *= extent
        m, n, k = case["m"], case["n"], case["k"]
        dtype = DTYPES[case["operand"]]
        self.a = [self.random(m, k, case["layout"][0] == "N", dtype) for _ in range(sets)]
        self.b = [self.random(n, k, case["layout"][1] == "T", dtype) for _ in range(sets)]
        # A swapped case stores element (n, m) of its tile at [m][n]: the result is always [m][n] here.
        self.c = [torch.full((self.batch, m, n), float("nan"), dtype=DTYPES[case["result"]], device="cuda") for _ in range(sets)]

    def random(self, rows, k, along_k, dtype):
        """A view [batch, rows, k] and its buffer, poisoned where rows are padded."""
        shape = (self.batch, rows, padded(k)) if along_k else (self.batch, k, padded(rows))
        buffer = torch.full(shape, float("nan"), dtype=dtype, device="cuda")
        view = buffer[:, :, :k] if along_k else buffer[:, :, :rows]
        view.normal_()
        return (view if along_k else view.transpose(1, 2)), buffer

    def buffers(self, case, i):
        left, right = (self.b, self.a) if case["swapped"] else (self.a, self.b)
        return [self.c[i], left[i][1], right[i][1]]

    def torch(self, i, out=None):
        a, b = self.a[i][0], self.b[i][0].transpose(1, 2)
        if self.case["result"] == "f32" and self.case["operand"] != "f32":
            if self.batch == 1:
                return torch.mm(a[0], b[0], out_dtype=torch.float32)
            return torch.bmm(a, b, out_dtype=torch.float32)
        if self.batch == 1:
            return torch.matmul(a[0], b[0], out=None if out is None else out[0])
        return torch.matmul(a, b, out=out)

    def bytes(self):
        return sum(t[0][1].nbytes for t in (self.a, self.b)) + self.c[0].nbytes


def name_of(case):
    batch = "".join(f"{extent}x" for extent in case["batches"])
    return f"{case['operand']}->{case['result']} {batch}{case['m']}x{case['n']}x{case['k']} {case['layout']}"


def verdict(kernel, operands, runs):
    """What is wrong with the kernel's results, or None; and whether they equal cuBLAS's bits."""
    case = kernel.case
    buffers = operands.buffers(case, 0)
    c = operands.c[0]
    c.fill_(float("nan"))
    kernel(buffers)
    torch.cuda.synchronize()
    first = c.clone()
    a, b = operands.a[0][0].double(), operands.b[0][0].double().transpose(1, 2)
    rows = slice(None) if case["m"] <= 4096 else slice(case["m"] - 2048, None)
    exact = a[:, rows] @ b
    magnitudes = a[:, rows].abs() @ b.abs()
    bound = ((case["k"] + 64) * 2.0**-23 + (2.0**-22 if case["operand"] == "f32" else 0)) * magnitudes
    if case["result"] != "f32":
        bound += exact.abs() * (2.0**-8 if case["result"] == "bf16" else 2.0**-11) + 2.0**-24
    wrong = int((~((first[:, rows].double() - exact).abs() <= bound)).sum())
    if case["operand"] == "f32":
        peer = operands.torch(0).reshape(first.shape)[:, rows].double()
        case["error"] = [float((x - exact).div(magnitudes).square().mean().sqrt()) * 2.0**24 for x in (first[:, rows].double(), peer)]
    del a, b, exact, magnitudes, bound
    if wrong:
        return f"{wrong} elements beyond the bound", None
    for run in range(runs):
        c.fill_(float("nan"))
        kernel(buffers)
        if not torch.equal(c.view(torch.int16 if c.element_size() == 2 else torch.int32),
                           first.view(torch.int16 if c.element_size() == 2 else torch.int32)):
            return f"run {run} gives other bits", None
    equal = None
    if case["result"] == case["operand"] and case["parts"] == 1:
        peer = operands.torch(0).reshape(first.shape)
        equal = int((peer.view(torch.int16) != first.view(torch.int16)).sum())
    return None, equal


class Timed:
    def __init__(self, launch, sets, repeats):
        for i in range(sets):
            launch(i)
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            for i in range(repeats):
                launch(i % sets)
        self.repeats = repeats
        self.times = []

    def run(self):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        self.graph.replay()
        end.record()
        end.synchronize()
        self.times.append(start.elapsed_time(end) * 1e3 / self.repeats)


def measure(kernels, operands, sets, rounds):
    """Microseconds of each candidate and of PyTorch, by turns."""
    case = kernels[0].case
    flops = 2.0 * operands.batch * case["m"] * case["n"] * case["k"]
    repeats = max(1, min(64, int(4e-3 / max(flops / 6e14, operands.bytes() / 4e12, 3e-6))))
    repeats = (repeats + sets - 1) // sets * sets
    timed = {"torch": Timed(lambda i: operands.torch(i, operands.c[i]), sets, repeats)}
    for kernel in kernels:
        timed[kernel.case["schedule"]] = Timed(lambda i, k=kernel: k(operands.buffers(k.case, i)), sets, repeats)
    for one in timed.values():
        one.run()
        one.times.clear()
    for _ in range(rounds):
        order = list(timed.values())
        random.shuffle(order)
        for one in order:
            one.run()
    return {name: statistics.median(one.times) for name, one in timed.items()}


def case_of(members, row):
    return next(case for case in members if case["schedule"] == row["schedule"])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("directory", type=Path)
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--runs", type=int, default=25)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--seconds", type=float, default=1e9)
    options = arguments.parse_args()
    started = time.monotonic()
    cases = [case for case in json.loads((options.directory / "cases.json").read_text()) if options.only in name_of(case)]
    texts = sorted({case["text"] for case in cases})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        compiled = dict(zip(texts, pool.map(lambda text: compile_text(options.directory / text), texts)))
    print(f"{len(texts)} texts compiled in {time.monotonic() - started:.1f} s; the slowest took "
          f"{max(ms for _, ms, _ in compiled.values()):.0f} ms", flush=True)
    for text, (_, _, log) in compiled.items():
        if log:
            print(text, log[:500], flush=True)
    torch.zeros(1, device="cuda")
    torch.manual_seed(1)
    print(torch.cuda.get_device_name(0), flush=True)
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    groups = {}
    for case in cases:
        groups.setdefault(name_of(case), []).append(case)
    report, failed = [], 0
    for name, members in groups.items():
        if time.monotonic() - started > options.seconds:
            print(f"out of time before {name}", flush=True)
            break
        faulthandler.dump_traceback_later(40, exit=True)  # a kernel that waits for ever must not cost the whole run
        operands = Operands(members[0], 1)
        sets = max(1, min(12, -(-200_000_000 // operands.bytes())))
        operands = Operands(members[0], sets)
        good = []
        for case in members:
            try:
                kernel = Kernel(case, compiled[case["text"]][0])
                fault, differ = verdict(kernel, operands, options.runs)
            except RuntimeError as error:
                fault, differ = str(error), None
            row = {"case": name, "schedule": case["schedule"], "swapped": case["swapped"], "fault": fault,
                   "differ_from_cublas": differ}
            if fault is None:
                row |= {"registers": kernel.attributes[0], "local": kernel.attributes[1], "resident": kernel.resident}
                good.append(kernel)
            else:
                failed += 1
                print(f"FAILED {name} [{case['schedule']}]: {fault}", flush=True)
                if "error" in fault or "illegal" in fault:
                    sys.exit(1)
            report.append(row)
        if good:
            times = measure(good, operands, sets, options.rounds)
            flops = 2e-6 * operands.batch * members[0]["m"] * members[0]["n"] * members[0]["k"]
            peer = times["torch"]
            line = f"{name}: torch {peer:.1f} us = {flops / peer:.0f} TFLOP/s"
            for row in report:
                if row["case"] == name and row["schedule"] in times:
                    row |= {"us": times[row["schedule"]], "torch_us": peer, "ratio": peer / times[row["schedule"]]}
                    if "error" in case_of(members, row):
                        row["rms_error"], row["rms_error_torch"] = case_of(members, row)["error"]
                        line += f"\n    rms error {row['rms_error']:.3f} of 2^-24, torch {row['rms_error_torch']:.3f}"
                    differ = "" if row["differ_from_cublas"] is None else f" differ {row['differ_from_cublas']}"
                    line += f"\n    {row['schedule']}: {row['us']:.1f} us, ratio {row['ratio']:.3f}, {row['registers']} registers x{row['resident']}{differ}"
            print(line, flush=True)
        del operands, good
        torch.cuda.empty_cache()
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))
    print(f"{len(report)} kernels, {failed} failed, {time.monotonic() - started:.0f} s", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
