"""The Python package's figures, one JSON line each: import, building and quoting graphs, ONNX, remote calls.

Needs quarry in PYTHONPATH and QUARRY_BIN. The best of several repetitions: the machine may be shared."""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "examples")]

REPETITIONS = 5
CALLS = 300
ONNX_LAYERS = 500  # of four nodes each
NO_OP_GRAPH = {"version": 1, "nodes": [{"op": "CONST", "dtype": "f32", "shape": [], "value": 1}], "outputs": {"y": 0}}


def figure(name, value, unit, peer=None, peer_value=None):
    print(json.dumps({"name": name, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value}), flush=True)


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def best(call):
    return min(seconds(call) for _ in range(REPETITIONS))


def import_seconds(module):
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    return min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(REPETITIONS))


def quote_seconds(graph):
    """Normal form, identity and counts, from the wire's bytes."""
    import quarry
    wire = graph.cbor()
    return best(lambda: quarry.quote(wire))


def bench_resnet():
    import numpy as np

    from resnet import resnet50, training_step
    model = resnet50()
    feed = {"images": np.zeros((1, 32, 3, 224, 224), np.float32), "labels": np.zeros((1, 32), np.int32)}
    jobs = []
    figure("ResNet-50 training step: build", best(lambda: jobs.append(training_step(model).job(feed=feed))), "s")
    figure("ResNet-50 training step: normal form and quote", quote_seconds(jobs[-1].graph), "s")
    figure("ResNet-50 training step: nodes", jobs[-1].graph.nodes, "nodes")


def bench_stable_diffusion():
    import quarry
    from stable_diffusion import Part, unet
    graphs = []

    def build():
        latent, at, text = (quarry.input(*given) for given in (
            ("latent", (2, 4, 64, 64)), ("time", (2, 320)), ("text", (2, 77, 768))))
        graphs.append(quarry.build(unet(Part(quarry.input), latent, at, text)))

    figure("Stable Diffusion UNet: build", best(build), "s")
    figure("Stable Diffusion UNet: normal form and quote", quote_seconds(graphs[-1]), "s")
    figure("Stable Diffusion UNet: nodes", graphs[-1].nodes, "nodes")


def bench_llama():
    from llama import LLAMA_7B, Llama, Writer
    jobs = []
    figure("LLaMA-7B, a token: build", best(lambda: jobs.append(Writer(Llama(LLAMA_7B)).write.job())), "s")
    figure("LLaMA-7B, a token: quote", best(lambda: jobs[-1].quote()), "s")


def onnx_model():
    """2,000 nodes as an exporter writes them: dense layers with a nonlinearity and a residual."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper
    weight = numpy_helper.from_array(np.zeros((64, 64), np.float32), "weight")
    bias = numpy_helper.from_array(np.zeros(64, np.float32), "bias")
    nodes, last = [], "x"
    for layer in range(ONNX_LAYERS):
        names = [f"{kind}{layer}" for kind in ("product", "sum", "active", "out")]
        nodes += [helper.make_node("MatMul", [last, "weight"], [names[0]]),
                  helper.make_node("Add", [names[0], "bias"], [names[1]]),
                  helper.make_node("Relu", [names[1]], [names[2]]),
                  helper.make_node("Add", [names[2], last], [names[3]])]
        last = names[3]
    graph = helper.make_graph(nodes, "deep", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8, 64])],
                              [helper.make_tensor_value_info(last, TensorProto.FLOAT, [8, 64])], [weight, bias])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString()


def bench_onnx():
    import quarry
    model = onnx_model()
    figure(f"ONNX model of {4 * ONNX_LAYERS:,} nodes: import", best(lambda: quarry.onnx.load(model)), "s")


def bare_call(service, connection, job):
    """What a client that knows the API less well would do: submit, wait, fetch."""
    def request(method, path, body=None):
        _, _, answer = service.request(method, path, body, {"Idempotency-Key": uuid.uuid4().hex} if body else {},
                                       connection)
        return answer
    submitted = json.loads(request("POST", "/v1/jobs", {"job": job}))
    request("GET", f"/v1/jobs/{submitted['id']}?wait=30")
    request("GET", f"/v1/jobs/{submitted['id']}/results/y")


def bench_remote():
    from quarry_service import Service
    with Service(arguments=["--credit", "1000"]) as service:
        config = json.loads(service.config.read_text())
        os.environ.update(QUARRY_SERVER=service.facts["server"], QUARRY_API_KEY=config["api_key"],
                          QUARRY_AUTHORITY=config["authority"])
        from quarry.remote import connect
        client, connection = connect(), service.connect()
        job = {"version": 1, "stages": [{"graph": client.put_graph(NO_OP_GRAPH).id}]}
        client.run_job(NO_OP_GRAPH)
        kinds = {"call": lambda: client.run_job(NO_OP_GRAPH), "bare": lambda: bare_call(service, connection, job),
                 "trip": lambda: service.request("GET", "/healthz", connection=connection)}
        taken = {kind: [] for kind in kinds}
        for _ in range(CALLS):  # in turns, so that all see the same machine
            for kind, run in kinds.items():
                taken[kind].append(seconds(run) * 1e3)
        call, bare, trip = (sorted(taken[kind])[CALLS // 2] for kind in kinds)
        figure("no-op remote call, p50", call, "ms", "submit, wait, fetch by http.client", bare)
        figure("no-op remote call, p10", sorted(taken["call"])[CALLS // 10], "ms")
        figure("no-op remote call, added to one HTTPS round trip", call - trip, "ms")
        figure("one HTTPS round trip, p50", trip, "ms")


def main():
    figure("import quarry", import_seconds("quarry") * 1e3, "ms", "import numpy", import_seconds("numpy") * 1e3)
    bench_resnet()
    bench_stable_diffusion()
    bench_llama()
    bench_onnx()
    bench_remote()


if __name__ == "__main__":
    main()
