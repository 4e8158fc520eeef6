"""vitlit.onnx: graphs, run by onnxruntime, compute what the model computes."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession, SessionOptions
from test_export import classifier, run

from vitlit import ablations
from vitlit.checkpoint import CheckpointError
from vitlit.classifier import load
from vitlit.export import export
from vitlit.heads import pool
from vitlit.onnx import INPUTS, MOST, OUTPUTS, _check_size, about, description, graph
from vitlit.vit import VisionTransformer
from vitlit.weights import checksum

NAMES = ("猫", "caf\udce9", 'a "b"', "d", "e")  # the second as a file's name can be, no Unicode
CONFIGURATIONS = {
    "plain": {},
    "MLP head, oblong, gray": {
        "head": "mlp", "head_width": 20, "gelu": "tanh", "image_size": (8, 12), "patch_size": 2,
        "channels": 1,
    },
    "ReLU in the head, sincos": {
        "head": "mlp", "activation": "relu", "positions": "sincos", "eps": 1e-12, "depth": 1,
    },
    "mean, no positions, dropout": {
        "pooling": "mean", "positions": "none", "dropout": 0.5, "stochastic_depth": 0.5,
    },
    "mean, one patch, a head a number": {"pooling": "mean", "image_size": (4, 4), "heads": 12},
}  # fmt: skip


class Graph:
    """A classifier and its graph, to be run."""

    def __init__(self, ours, stored="fp32"):
        self.ours, self.content = ours, graph(ours, stored)
        options = SessionOptions()
        options.intra_op_num_threads = 1
        self.session = InferenceSession(self.content, options)

    def __call__(self, images, positions_gain=1.0, head_gains=None):
        c = self.ours.model.config
        gains = torch.ones(c.depth, c.heads) if head_gains is None else head_gains
        inputs = {
            "pixels": images.numpy(),
            "positions_gain": np.array(positions_gain, np.float32),
            "head_gains": gains.numpy(),
        }
        found = self.session.run(list(OUTPUTS), inputs)
        return {name: torch.from_numpy(a) for name, a in zip(OUTPUTS, found, strict=True)}


def expected(ours, images):
    """What the graph is to return, from what `watch` keeps."""
    model, seen = ours.model, ours.watch(images)
    blocks = range(1, model.config.depth + 1)
    stages = [seen["with_positions"], *(seen[f"block_{i}"] for i in blocks)]
    with torch.no_grad():
        answers = [model.head(pool(model.encoder.norm(t), model.config.pooling)) for t in stages]
    return {
        "logits": seen["logits"],
        "attention": torch.stack([seen[f"attention_{i}"] for i in blocks], dim=1),
        "tokens": torch.stack(stages, dim=1),
        "block_logits": torch.stack(answers, dim=1),
    }


def assert_equal(found, wanted):
    """Equal in every output but for the rounding of another order of sums."""
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype == torch.float32
        scale = tensor.abs().max().item()
        assert scale > 0.1, name
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-5 * scale, msg=name)


def pictures(config, count=2, seed=0):
    """Random bytes."""
    shape = (count, config.channels, *config.image_size)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@cache
def graph_of(name):
    """The graph of a configuration: it takes seconds to make."""
    return Graph(replace(classifier(**CONFIGURATIONS[name]), classes=NAMES))


PARAMS = [pytest.param(c, marks=[pytest.mark.slow] * (c != "plain")) for c in CONFIGURATIONS]


@pytest.fixture(scope="module", params=PARAMS)
def made(request):
    """A graph of each configuration."""
    return graph_of(request.param)


@pytest.fixture
def plain():
    """The graph of one configuration."""
    return graph_of("plain")


@pytest.mark.parametrize("count", [1, 2, 64])
def test_a_graph_returns_what_watch_keeps(made, count):
    images = pictures(made.ours.model.config, count)
    assert_equal(made(images), expected(made.ours, images))


@pytest.mark.parametrize("gain", [0.0, 0.5, -2.0])
def test_a_gain_of_the_positions_multiplies_their_table(made, gain):
    images, model = pictures(made.ours.model.config), random_copy(made.ours)
    model.positions.table.data *= gain
    assert_equal(made(images, gain), expected(replace(made.ours, model=model), images))


def test_a_gain_of_a_head_multiplies_what_it_returns(made):
    """As the columns of the output map that read this head do, when they are multiplied."""
    c, model = made.ours.model.config, random_copy(made.ours)
    gains = torch.rand(c.depth, c.heads, generator=torch.Generator().manual_seed(1)) * 3 - 1
    gains[-1, 0] = 0
    d = c.width // c.heads
    for block, row in zip(model.encoder.blocks, gains, strict=True):
        block.attention.out.weight.data *= row.repeat_interleave(d)
    images = pictures(c)
    found = made(images, head_gains=gains)
    assert_equal(found, expected(replace(made.ours, model=model), images))
    assert (found["logits"] - made(images)["logits"]).abs().max() > 0.01


def random_copy(ours):
    """The same model, to be changed."""
    model = VisionTransformer(ours.model.config).eval()
    model.load_state_dict(ours.model.state_dict())
    return model


def test_a_graph_tells_its_inputs_and_outputs(made):
    said = about(made.content)
    assert said == description(made.ours)
    there = {p.name: p for p in (*made.session.get_inputs(), *made.session.get_outputs())}
    assert list(there) == [*INPUTS, *OUTPUTS]
    images = pictures(made.ours.model.config)
    sizes = {**said["sizes"], "L+1": said["sizes"]["L"] + 1, "B": len(images)}
    for name, port in {**said["inputs"], **said["outputs"]}.items():
        kind = "tensor(float)" if port["type"] == "float32" else "tensor(uint8)"
        assert there[name].type == kind
        sides = [sizes[letter] for letter in port["axes"]]
        assert [len(images) if side == "B" else side for side in there[name].shape] == sides
        if name in OUTPUTS:
            assert list(made(images)[name].shape) == sides
    s = said["sizes"]
    assert s["rows"] * s["columns"] == s["N"] == s["T"] - (said["config"]["pooling"] == "class")
    assert (s["rows"] * s["P"], s["columns"] * s["P"]) == (s["H"], s["W"])


def test_a_graph_says_whose_it_is(plain):
    ours, said = plain.ours, about(plain.content)
    assert tuple(said["classes"]) == NAMES
    assert (said["mean"], said["std"]) == (ours.mean.tolist(), ours.std.tolist())
    assert (said["format"], said["title"], said["stored"]) == (1, "tiny", "fp32")
    assert said["weights"] == checksum(ours.model.state_dict())
    assert said["config"]["mlp_width"] == 24


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("huggingface:google/vit", "huggingface:google/vit"),
        ("/home/somebody/secret/vit.pth,heads=3", "vit.pth,heads=3"),
        ("models/mine/", "mine"),
        ("CIFAR-10, JPEG copy", "CIFAR-10, JPEG copy"),
    ],
)
def test_a_title_names_no_folder_of_whoever_exported(source, title):
    assert description(replace(classifier(), trained_on=source))["title"] == title


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["torchvision", "timm", "huggingface"])
def test_the_graph_of_other_libraries_weights_computes_what_they_compute(tmp_path, layout):
    theirs = run(export(classifier(), layout, tmp_path / "theirs"))
    said = ",heads=3" if layout == "torchvision" else ""
    made = Graph(load(f"{tmp_path / 'theirs'}{said}"))
    images = pictures(made.ours.model.config, 8)
    with torch.no_grad():
        logits = theirs(made.ours.inputs(images))
    logits = logits if isinstance(logits, torch.Tensor) else logits.logits
    found = made(images)["logits"]
    torch.testing.assert_close(found, logits, rtol=1e-5, atol=1e-5)
    assert logits.abs().max() > 0.1


def test_half_precision_rounds_the_weights_and_nothing_else(plain):
    ours = plain.ours
    ours.model.train()
    before = checksum(ours.model.state_dict())
    made = Graph(ours, "fp16")
    assert ours.model.training
    assert checksum(ours.model.state_dict()) == before == about(made.content)["weights"]
    assert about(made.content)["stored"] == "fp16"
    rounded = replace(ours, model=random_copy(ours))
    rounded.round_(torch.float16)
    images = pictures(ours.model.config)
    assert_equal(made(images), expected(rounded, images))
    halved = onnx.load_from_string(made.content).graph.initializer
    assert sum(np.prod(t.dims) for t in halved if t.data_type == onnx.TensorProto.FLOAT) < 20


@pytest.mark.slow
def test_equal_classifiers_make_equal_graphs_wherever_they_are_made(tmp_path, plain):
    plain.ours.save(tmp_path / "w")
    code = (
        "import sys; from vitlit.classifier import load; from vitlit.onnx import graph\n"
        "open('graph', 'wb').write(graph(load('w')))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
    assert (tmp_path / "graph").read_bytes() == plain.content


def test_a_graph_knows_nothing_of_the_program_that_made_it(plain):
    for place in (Path(__file__).parents[1], Path(sys.prefix), Path(torch.__file__).parent):
        assert str(place).encode() not in plain.content
    read = onnx.load_from_string(plain.content)
    parts = [read.graph, *read.graph.node, *read.graph.input, *read.graph.output]
    assert not any(part.doc_string or part.metadata_props for part in parts)
    assert [entry.key for entry in read.metadata_props] == ["vitlit"]
    assert {opset.domain for opset in read.opset_import} == {""}
    onnx.checker.check_model(read, full_check=True)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (ablations.post_norm_, "PostNormBlock"),
        (ablations.convolutional_stem_, "BatchNorm2d, Conv2d, ConvolutionalStem, Sequential"),
    ],
)
def test_what_is_no_plain_vit_is_refused(change, name):
    ours = classifier()
    change(ours.model)
    with pytest.raises(ValueError, match=f"this model has {name}, export another"):
        graph(ours)


def test_weights_that_are_no_numbers_are_refused_as_they_are_stored():
    ours = classifier()
    ours.model.head.bias.data[2] = 1e6
    with pytest.raises(CheckpointError, match=r"my-runs/x, as fp16: head.bias holds 1 of 5"):
        graph(ours, "fp16", "my-runs/x")
    with pytest.raises(ValueError, match="stored as fp32 or fp16, not as 'int8'"):
        graph(ours, "int8")


def test_weights_too_large_for_one_file_are_refused():
    _check_size(MOST // 4, "fp32")
    with pytest.raises(ValueError, match=r"take 2\.4 GiB, .* less than 2; store them as fp16"):
        _check_size(632_045_800, "fp32")
    with pytest.raises(ValueError, match="export a smaller model"):
        _check_size(MOST // 2 + 1, "fp16")


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_a_missing_package_is_named_with_the_command(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ValueError, match=f"needs {missing}: pip install onnx onnxscript"):
        graph(classifier())


def test_what_is_no_graph_of_ours_is_refused(plain):
    content = plain.content
    foreign = onnx.load_from_string(content)
    foreign.ClearField("metadata_props")
    for damaged in (b"", b"\x00" * 9, content[:-9], content[:999], foreign.SerializeToString()):
        with pytest.raises(ValueError, match="no graph of vitlit's"):
            about(damaged)
    later = onnx.load_from_string(content)
    later.metadata_props[0].value = '{"format": 2}'
    with pytest.raises(ValueError, match="a graph of format 2, not 1; export it again"):
        about(later.SerializeToString())
