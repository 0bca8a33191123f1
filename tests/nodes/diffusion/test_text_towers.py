"""T5, umT5 and language models against the modules of transformers."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphengine.errors import ModelError
from graphengine.node.api import NodeContext, current_context
from graphengine.node.folders import Folders
from graphengine_nodes.diffusion.text.prompt import ChunkForm
from graphengine_nodes.diffusion.text.text_encode import Encoded
from graphengine_nodes.diffusion.text.text_towers import language_model, vocabularies
from graphengine_nodes.diffusion.text.text_towers.joins import join_flux, join_sd3
from graphengine_nodes.diffusion.text.text_towers.language_model import (
    QWEN_IMAGE,
    Z_IMAGE,
    LanguageKind,
    language_tower,
)
from graphengine_nodes.diffusion.text.text_towers.loading import AURA_FLOW, load_from_checkpoint
from graphengine_nodes.diffusion.text.text_towers.t5 import T5_FORM, T5Tower, t5_tower
from graphengine_nodes.diffusion.text.text_towers.vocabularies import (
    no_tokenizer,
    qwen_tokenizer,
    t5_tokenizer,
    tokenizer_files,
    umt5_tokenizer,
)
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, open_checkpoint

from . import tiny_text
from .ldm_layout import Shapes
from .test_sentencepiece_model import BPE, CONTROL, NORMAL, UNKNOWN, model
from .tiny_dit import random_weights, write

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import transformers
    from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel


def file(folder: Path, shapes: Shapes) -> Checkpoint:
    return open_checkpoint(write(folder / "text.safetensors", shapes))


def close(ours: Tensor, reference: Tensor) -> bool:
    return bool((ours - reference).abs().max() <= 1e-4 * reference.abs().max())


def tower(folder: Path, shapes: Shapes, **options: Any) -> T5Tower:
    checkpoint = file(folder, shapes)
    return t5_tower(checkpoint, checkpoint.entries, t5_tokenizer, "cpu", **options)


T5_SIZES = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}


def t5_reference(shapes: Shapes, **config: Any) -> Any:
    model = T5EncoderModel(T5Config(vocab_size=tiny_text.T5_WORDS, **{**T5_SIZES, **config}))
    model.load_state_dict(random_weights(shapes), strict=False)
    return model.eval()


def test_the_vocabularies_give_the_ids_of_the_published_tokenizers() -> None:
    # ids of google/t5-v1_1-xxl, google/umt5-xxl and Qwen/Qwen2.5-VL-7B-Instruct
    assert t5_tokenizer()("a photo of a cat") == [3, 9, 1202, 13, 3, 9, 1712]
    assert umt5_tokenizer()("a photo of a Cat") == [289, 7821, 329, 289, 8313]
    assert qwen_tokenizer()("<|im_start|>user\na photo of 2025 cats<|im_end|>\n") == [
        *(151644, 872, 198, 64, 6548, 315, 220, 17, 15, 17, 20, 19423, 151645, 198)
    ]


def test_the_dropped_tokens_of_qwen_image_are_its_template() -> None:
    start = QWEN_IMAGE.template.partition("{}")[0]
    assert len(qwen_tokenizer()(start)) == QWEN_IMAGE.drop


@pytest.mark.parametrize("gated", [True, False])
def test_t5_computes_what_transformers_computes(gated: bool, tmp_path: Path) -> None:
    shapes = tiny_text.t5(gated=gated)
    reference = t5_reference(shapes, feed_forward_proj="gated-gelu" if gated else "relu")
    ids = [*t5_tokenizer()("a red cat"), 1]
    ids += [0] * (77 - len(ids))
    with torch.no_grad():
        expected = reference(torch.tensor([ids])).last_hidden_state
    text = tower(tmp_path, shapes)
    encoded = text.encode(text.tokens("a red cat"))
    assert close(encoded.states, expected)
    assert encoded.pooled is None


def test_weights_of_a_prompt_move_t5_states_away_from_those_of_no_text(tmp_path: Path) -> None:
    text = tower(tmp_path, tiny_text.t5())
    plain, strong, empty = (text.encode(text.tokens(prompt)).states for prompt in ("red", "(red:1.5)", ""))
    assert close(strong[:, 0], (plain[:, 0] - empty[:, 0]) * 1.5 + empty[:, 0])
    assert torch.equal(strong[:, 2:], plain[:, 2:])


def test_umt5_looks_at_the_text_alone_when_it_is_masked(tmp_path: Path) -> None:
    shapes = tiny_text.t5(own_positions=True)
    model = UMT5EncoderModel(UMT5Config(vocab_size=tiny_text.T5_WORDS, **T5_SIZES))
    model.load_state_dict(random_weights(shapes), strict=False)
    text = tower(tmp_path, shapes, attention="zeroed", form=ChunkForm(None, 1, 0, None, 512))
    ids = torch.tensor([[*t5_tokenizer()("a red cat"), 1]])
    with torch.no_grad():
        expected = model.eval()(ids).last_hidden_state
    states = text.encode(text.tokens("a red cat")).states
    assert states.shape == (1, 512, 64)
    assert close(states[:, : ids.shape[1]], expected)
    assert not states[:, ids.shape[1] :].any()


def test_a_t5_prompt_is_one_chunk_of_any_length(tmp_path: Path) -> None:
    text = tower(tmp_path, tiny_text.t5())
    (chunk,) = text.tokens("cat " * 200)
    assert len(chunk) > 200
    assert chunk[-1] == (1, 1.0)
    assert len(text.tokens("cat")[0]) == T5_FORM.least
    assert len(text.with_lengths(3, 0).tokens("cat")[0]) == 1 + 1 + 3


def test_eight_bit_weights_are_multiplied_by_their_scales(tmp_path: Path) -> None:
    shapes = tiny_text.t5()
    name = "encoder.block.0.layer.0.SelfAttention.q"
    marked = shapes | {f"{name}.scale_weight": (), "scaled_fp8": (0,), f"{name}.scale_input": ()}
    checkpoint = file(tmp_path, marked)
    scale = random_weights(marked)[f"{name}.scale_weight"]
    text = t5_tower(checkpoint, checkpoint.entries, t5_tokenizer, "cpu")
    (place,) = text.component.sources[f"{name}.weight"]
    assert torch.allclose(text.component.weight(place.name), random_weights(marked)[f"{name}.weight"] * scale)


LANGUAGE = [
    (QWEN_IMAGE, tiny_text.language_model(bias=True), 34, -1),
    (Z_IMAGE, tiny_text.language_model(norms=True), 0, -2),
]


@pytest.mark.parametrize(("kind", "shapes", "drop", "layer"), LANGUAGE)
def test_a_language_model_computes_what_transformers_computes(
    kind: LanguageKind, shapes: Shapes, drop: int, layer: int, tmp_path: Path
) -> None:
    checkpoint = file(tmp_path, shapes | {"lm_head.weight": (3, 3)})
    text = language_tower(checkpoint, checkpoint.entries, kind, "cpu", no_tokenizer)
    weights = random_weights(shapes)
    config = getattr(transformers, f"{kind.model.name}Config")(
        vocab_size=tiny_text.QWEN_WORDS,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=128,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        pad_token_id=None,
    )
    reference = getattr(transformers, f"{kind.model.name}Model")(config)
    reference.load_state_dict(
        {name.removeprefix("model."): value for name, value in weights.items() if name.startswith("model.")}
    )
    chunks = text.tokens("a (red:1.3) cat")
    ids = torch.tensor([[token for token, _ in chunk] for chunk in chunks])
    with torch.no_grad():
        states = reference.eval()(ids, output_hidden_states=True).hidden_states[layer]
    assert close(text.encode(chunks).states, states[:, drop:])
    assert {weight for _, weight in chunks[0]} == {1.0}


def test_hidream_gets_the_states_of_every_layer(tmp_path: Path) -> None:
    checkpoint = file(tmp_path, tiny_text.language_model(words=128256, width=32))
    text = language_tower(checkpoint, checkpoint.entries, language_model.HIDREAM, "cpu", lambda _: t5_tokenizer())
    chunks = text.tokens("a cat")
    assert chunks[0][0] == (128000, 1.0)
    layers = text.encode(chunks).options["conditioning_llama3"]
    assert layers.shape == (1, 3, 128, 32)
    assert layers.isfinite().all()


def test_gemma_begins_with_its_start_token_and_uses_the_layer_before_the_last(tmp_path: Path) -> None:
    checkpoint = file(tmp_path, tiny_text.gemma2())
    text = language_tower(
        checkpoint,
        checkpoint.entries,
        language_model.LUMINA2,
        "cpu",
        lambda _: lambda text: [ord(c) for c in text],
    )
    chunks = text.tokens("(a:1.5)b")
    assert chunks == [[(2, 1.0), (97, 1.5), (98, 1.0)]]
    assert text.encode(chunks).states.shape == (1, 3, 64)


def test_a_whole_checkpoint_finds_the_vocabulary_of_its_tower_when_a_node_runs(tmp_path: Path) -> None:
    shapes = {f"text_encoders.pile_t5xl.transformer.{n}": s for n, s in tiny_text.t5(own_positions=True).items()}
    encoder = load_from_checkpoint(file(tmp_path, shapes), AURA_FLOW, "cpu", lambda _: None)
    assert encoder is not None
    with pytest.raises(ModelError, match="the vocabulary of 'pile_t5' is missing"):
        encoder.encode("a photo")
    (tmp_path / "pile_t5").mkdir()
    (tmp_path / "pile_t5/tokenizer.json").write_text(vocabularies._read("t5_tokenizer.json"))
    token = current_context.set(NodeContext(folders=Folders(models={"tokenizers": (tmp_path,)})))
    try:
        states = encoder.encode("a photo").states
    finally:
        current_context.reset(token)
    assert states.shape == (1, 256, 64)
    assert states[0, 3].any()
    assert not states[0, 4].any()  # "▁", "a", "▁photo" and the end token count


def test_the_vocabulary_in_a_file_is_used(tmp_path: Path) -> None:
    pieces = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("▁", -1.0, NORMAL), ("a", -2.0, NORMAL)]
    own = torch.tensor(list(model(pieces, BPE)), dtype=torch.uint8)
    save_file({**random_weights(tiny_text.gemma2()), "spiece_model": own}, tmp_path / "gemma.safetensors")
    checkpoint = open_checkpoint(tmp_path / "gemma.safetensors")
    text = language_tower(checkpoint, checkpoint.entries, language_model.LUMINA2, "cpu", no_tokenizer)
    assert text.tokens("a a") == [[(2, 1.0), (2, 1.0), (3, 1.0), (2, 1.0), (3, 1.0)]]


def test_a_vocabulary_that_may_not_be_shipped_is_asked_for(tmp_path: Path) -> None:
    find = tokenizer_files(Folders(models={"tokenizers": (tmp_path,)}))
    with pytest.raises(ModelError, match="the vocabulary of 'llama3' is missing") as error:
        find("llama3")
    assert "models/tokenizers/llama3/tokenizer.json" in str(error.value.hint)
    (tmp_path / "llama3").mkdir()
    (tmp_path / "llama3/tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be read"):
        find("llama3")
    (tmp_path / "llama3/tokenizer.json").write_text(vocabularies._read("t5_tokenizer.json"))
    assert find("llama3")("a photo") == t5_tokenizer()("a photo")


def test_sd3_joins_whichever_towers_there_are() -> None:
    small = Encoded(torch.full((1, 77, 4), 1.0), torch.full((1, 4), 1.0))
    large = Encoded(torch.full((1, 77, 6), 2.0), torch.full((1, 6), 2.0))
    t5 = Encoded(torch.full((1, 80, 16), 3.0))
    joined = join_sd3({"l": small, "g": large, "t5xxl": t5})
    assert joined.states.shape == (1, 157, 16)
    assert joined.states[0, 0].tolist() == [1.0] * 4 + [2.0] * 6 + [0.0] * 6
    assert joined.states[0, 77].tolist() == [3.0] * 16
    assert joined.pooled is not None
    assert joined.pooled.tolist() == [[1.0] * 4 + [2.0] * 6]
    assert join_sd3({"t5xxl": t5}).states.shape == (1, 80, 16)
    alone = join_sd3({"l": small})
    assert alone.states.shape == (1, 77, 4096)
    assert alone.pooled is not None
    assert alone.pooled.shape == (1, 4 + 1280)


def test_flux_takes_the_states_of_t5_and_the_pooled_state_of_clip() -> None:
    small = Encoded(torch.zeros(1, 77, 4), torch.ones(1, 4))
    t5 = Encoded(torch.full((1, 80, 16), 3.0))
    joined = join_flux({"l": small, "t5xxl": t5})
    assert joined.states is t5.states
    assert joined.pooled is small.pooled
