"""The peers of `serving.py`: each does the model only, in an environment of its own that is made
here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_MODEL = """
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
run = onnxruntime.InferenceSession("model.onnx", options, providers=["CPUExecutionProvider"]).run
def score(inputs):
    return float(run(["score"], {"X": np.array([inputs], dtype=np.float32)})[0][0])
"""
_RAW = """
import sys, msgspec, uvicorn
from model import score
decode, encode = msgspec.json.Decoder(dict[str, list[float]]).decode, msgspec.json.encode
async def app(scope, receive, send):
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    answer = encode({"score": score(decode(body)["inputs"])})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False, lifespan="off")
"""
_FASTAPI = """
import sys, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from model import score
class Inputs(BaseModel):
    inputs: list[float]
app = FastAPI()
@app.post("/score")
async def endpoint(inputs: Inputs) -> dict[str, float]:
    return {"score": score(inputs.inputs)}
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
"""
_LITSERVE = """
import sys, litserve
class Api(litserve.LitAPI):
    def setup(self, device):
        from model import score
        self.score = score
    def decode_request(self, request):
        return request["inputs"]
    def predict(self, inputs):
        return self.score(inputs)
    def encode_response(self, output):
        return {"score": output}
if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu")
    port = int(sys.argv[1])
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")
"""
_BENTOML = """
import bentoml
from model import score
@bentoml.service(workers=1)
class Service:
    @bentoml.api
    async def predict(self, inputs: list[float]) -> float:
        return score(inputs)
"""
_MLSERVER = """
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput
class Runtime(MLModel):
    async def load(self):
        from model import score
        self._score = score
        return True
    async def predict(self, payload):
        out = self._score(payload.inputs[0].data.root)
        output = ResponseOutput(name="score", shape=[1], datatype="FP32", data=[out])
        return InferenceResponse(model_name=self.name, outputs=[output])
"""
_MLFLOW = """
import mlflow.onnx, onnx
mlflow.onnx.save_model(onnx.load("model.onnx"), "packed")
"""


@dataclass(frozen=True)
class Peer:
    """A server: what it is installed from, its files, what is run once, and how it is started and
    asked.

    In commands `{bin}` is the environment's folder of programs and `{port}` the port.
    """

    name: str
    packages: Sequence[str]
    files: dict[str, str]
    start: Sequence[str]
    path: str = "/score"
    body: str = '{"inputs": %s}'
    once: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def prepare(self, environments: Path, model: bytes) -> Path:
        """Make environment and files where they are missing; the folder to start in.

        Raises:
            CalledProcessError: something does not install.
        """
        folder = environments / self.name
        done = folder / "installed"
        if not done.exists():
            subprocess.run(
                [sys.executable, "-m", "venv", "--clear", str(folder / "venv")], check=True
            )
            pip = [
                str(folder / "venv/bin/pip"),
                "install",
                "--quiet",
                "onnxruntime",
                *self.packages,
            ]
            subprocess.run(pip, check=True, capture_output=True)
            done.touch()
        (folder / "model.onnx").write_bytes(model)
        for name, content in {"model.py": _MODEL, **self.files}.items():
            (folder / name).write_text(content)
        if self.once:
            subprocess.run(["rm", "-rf", folder / "packed"], check=True)
            subprocess.run(
                self.command(folder, 0, self.once), cwd=folder, check=True, capture_output=True
            )
        return folder

    def command(self, folder: Path, port: int, words: Sequence[str] | None = None) -> list[str]:
        """How to start it."""
        return [word.format(bin=folder / "venv/bin", port=port) for word in words or self.start]

    def variables(self, folder: Path, port: int) -> dict[str, str]:
        """The environment variables of its process."""
        own = {
            name: value.format(port=port, other=port + 1, third=port + 2)
            for name, value in self.environment.items()
        }
        path = f"{folder / 'venv/bin'}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(folder), **own}


PEERS = (
    Peer(
        "raw ASGI",
        ["uvicorn", "uvloop", "httptools", "msgspec"],
        {"app.py": _RAW},
        ["{bin}/python", "app.py", "{port}"],
    ),
    Peer(
        "FastAPI",
        ["fastapi", "uvicorn[standard]"],
        {"app.py": _FASTAPI},
        ["{bin}/python", "app.py", "{port}"],
    ),
    Peer(
        "LitServe",
        ["litserve"],
        {"app.py": _LITSERVE},
        ["{bin}/python", "app.py", "{port}"],
        path="/predict",
    ),
    Peer(
        "BentoML",
        ["bentoml"],
        {"service.py": _BENTOML},
        ["{bin}/bentoml", "serve", "service:Service", "--host", "127.0.0.1", "--port", "{port}"],
        path="/predict",
        environment={"BENTOML_DO_NOT_TRACK": "True"},
    ),
    Peer(
        "MLServer",
        # its worker pool does not start with a newer uvloop
        ["mlserver", "uvloop<0.22"],
        {
            "runtime.py": _MLSERVER,
            "model-settings.json": '{"name": "score", "implementation": "runtime.Runtime"}',
            "settings.json": '{"debug": false}',
        },
        ["{bin}/mlserver", "start", "."],
        path="/v2/models/score/infer",
        body='{"inputs": [{"name": "X", "shape": [1, 40], "datatype": "FP32", "data": %s}]}',
        environment={
            "MLSERVER_HTTP_PORT": "{port}",
            "MLSERVER_GRPC_PORT": "{other}",
            "MLSERVER_METRICS_PORT": "{third}",
        },
    ),
    Peer(
        "MLflow",
        ["mlflow", "onnx"],
        {"pack.py": _MLFLOW},
        [
            "{bin}/mlflow",
            "models",
            "serve",
            "-m",
            "packed",
            "--env-manager",
            "local",
            "--port",
            "{port}",
        ],
        path="/invocations",
        body='{"inputs": [%s]}',
        once=["{bin}/python", "pack.py"],
    ),
)
