"""Settings: where folders are when the user names none, some, or has a ComfyUI installation."""

from pathlib import Path

import pytest

from graphengine.errors import SettingsError
from graphengine.settings import Settings, load_settings


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """An empty base folder."""
    folder = tmp_path / "base"
    folder.mkdir()
    return folder


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"GRAPHENGINE_CACHE": str(tmp_path / "cache")}


def extra_paths(base: Path, text: str, **environ: str) -> Settings:
    """The settings of a base folder with this `extra_model_paths.yaml`."""
    (base / "extra_model_paths.yaml").write_text(text, encoding="utf-8")
    return load_settings(base_dir=base, environ={"GRAPHENGINE_CACHE": str(base / "cache"), **environ})


def test_folders_lie_below_the_base_folder(base: Path, environ: dict[str, str]) -> None:
    folders = load_settings(base_dir=base, environ=environ).folders
    assert folders.input == (base / "input",)
    assert folders.output == base / "output"
    assert folders.models["checkpoints"] == (base / "models" / "checkpoints",)


def test_the_current_folder_is_the_base_folder_by_default(
    base: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(base)
    assert load_settings(environ=environ).folders.output == base / "output"


def test_relative_folders_become_absolute(
    base: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(base)
    assert load_settings(output=Path("pictures"), environ=environ).folders.output == base / "pictures"


def test_nothing_is_created(base: Path, environ: dict[str, str]) -> None:
    load_settings(base_dir=base, environ=environ)
    assert list(base.iterdir()) == []
    assert not Path(environ["GRAPHENGINE_CACHE"]).exists()


def test_the_input_folder_beside_the_workflow_is_searched_after_the_users(
    base: Path, environ: dict[str, str]
) -> None:
    settings = load_settings(base_dir=base, workflow=base / "workflows" / "a.json", environ=environ)
    assert settings.folders.input == (base / "input", base / "workflows" / "input")


def test_an_input_folder_is_searched_once(base: Path, environ: dict[str, str]) -> None:
    settings = load_settings(base_dir=base, workflow=base / "a.json", environ=environ)
    assert settings.folders.input == (base / "input",)


def test_temporary_pictures_lie_with_the_cache(base: Path, tmp_path: Path) -> None:
    settings = load_settings(base_dir=base, cache=tmp_path / "mine", environ={})
    assert settings.cache == tmp_path / "mine"
    assert settings.folders.temp == tmp_path / "mine" / "temp"


def test_the_cache_folder_can_be_named_in_the_environment(base: Path, tmp_path: Path) -> None:
    settings = load_settings(base_dir=base, environ={"GRAPHENGINE_CACHE": str(tmp_path / "env")})
    assert settings.cache == tmp_path / "env"


def test_the_default_cache_is_the_users_cache_folder(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, appauthor: base / "home" / name)
    assert load_settings(base_dir=base, environ={}).cache == base / "home" / "graphengine"


def test_without_a_cache_nothing_is_kept_on_disk(base: Path, environ: dict[str, str]) -> None:
    assert load_settings(base_dir=base, no_cache=True, environ=environ).cache is None


@pytest.mark.parametrize("option", ["base_dir", "input"])
def test_a_folder_that_is_not_there_is_refused(base: Path, environ: dict[str, str], option: str) -> None:
    with pytest.raises(SettingsError, match=r"folder '.*nowhere' does not exist"):
        load_settings(**{option: base / "nowhere"}, environ=environ)  # type: ignore[arg-type]  # chosen by name


@pytest.mark.parametrize("option", ["models", "custom_nodes"])
def test_each_folder_of_a_repeated_option_must_be_there(base: Path, environ: dict[str, str], option: str) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(**{option: [base, base / "nowhere"]}, environ=environ)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize("option", ["output", "cache"])
def test_a_file_is_no_folder_to_write_to(base: Path, environ: dict[str, str], option: str) -> None:
    file = base / "file"
    file.touch()
    with pytest.raises(SettingsError, match=f"{option} folder '.*file' is a file"):
        load_settings(**{option: file}, environ=environ)  # type: ignore[arg-type]  # chosen by name


def test_every_folder_of_models_is_a_kind(base: Path, environ: dict[str, str]) -> None:
    (base / "models" / "ipadapter").mkdir(parents=True)
    (base / "models" / ".cache").mkdir()
    models = load_settings(base_dir=base, environ=environ).folders.models
    assert models["ipadapter"] == (base / "models" / "ipadapter",)
    assert ".cache" not in models


@pytest.mark.parametrize(("new", "old"), [("diffusion_models", "unet"), ("text_encoders", "clip")])
def test_a_former_name_stands_for_both_folders(base: Path, environ: dict[str, str], new: str, old: str) -> None:
    models = load_settings(base_dir=base, environ=environ).folders.models
    assert models[new] == models[old] == (base / "models" / new, base / "models" / old)


def test_models_folders_are_searched_in_the_order_given(base: Path, environ: dict[str, str]) -> None:
    roots = [base / "b", base / "a"]
    for root in roots:
        root.mkdir()
    models = load_settings(base_dir=base, models=roots, environ=environ).folders.models
    assert models["vae"] == (base / "b" / "vae", base / "a" / "vae")


def test_custom_nodes_of_the_base_folder_are_found_when_there(base: Path, environ: dict[str, str]) -> None:
    assert load_settings(base_dir=base, environ=environ).custom_nodes == ()
    (base / "custom_nodes").mkdir()
    assert load_settings(base_dir=base, environ=environ).custom_nodes == (base / "custom_nodes",)


@pytest.mark.parametrize(("given", "device"), [(None, None), ("auto", None), ("cpu", "cpu"), ("cuda:1", "cuda:1")])
def test_devices_are_named_as_torch_names_them(
    base: Path, environ: dict[str, str], given: str | None, device: str | None
) -> None:
    assert load_settings(base_dir=base, device=given, environ=environ).device == device


def test_an_unknown_device_is_refused(base: Path, environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="unknown device 'gpu'") as caught:
        load_settings(base_dir=base, device="gpu", environ=environ)
    assert caught.value.hint == "use auto, cpu, cuda, cuda:1, mps or xpu"


def test_extra_model_paths_come_after_the_users_own(base: Path) -> None:
    settings = extra_paths(
        base,
        """
        forge:
          base_path: /data/forge
          checkpoints: models/Stable-diffusion
          loras: |
            models/Lora
            models/LyCORIS
        """,
    )
    own = base / "models"
    data = Path("/data/forge/models")
    assert settings.folders.models["checkpoints"] == (own / "checkpoints", data / "Stable-diffusion")
    assert settings.folders.models["loras"] == (own / "loras", data / "Lora", data / "LyCORIS")


def test_a_default_section_comes_before_the_users_own(base: Path) -> None:
    settings = extra_paths(base, "mine: {base_path: /data, is_default: true, vae: vae}")
    assert settings.folders.models["vae"] == (Path("/data/vae"), base / "models" / "vae")


def test_extra_paths_may_use_former_names_and_new_kinds(base: Path) -> None:
    models = extra_paths(base, "mine: {base_path: /data, unet: u, ipadapter: i}").folders.models
    assert models["diffusion_models"][-1] == models["unet"][-1] == Path("/data/u")
    assert models["ipadapter"] == (Path("/data/i"),)


def test_extra_paths_are_relative_to_their_file(base: Path) -> None:
    assert extra_paths(base, "mine: {vae: more/vae}").folders.models["vae"][-1] == base / "more" / "vae"
    settings = extra_paths(base, "mine: {base_path: data, vae: vae}")
    assert settings.folders.models["vae"][-1] == base / "data" / "vae"


def test_extra_paths_name_node_packs(base: Path) -> None:
    assert extra_paths(base, "mine: {base_path: /data, custom_nodes: packs}").custom_nodes == (
        Path("/data/packs"),
    )


def test_home_and_variables_are_filled_in(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = 'mine: {base_path: "~/data", vae: "${DISK}/vae", loras: "$UNSET/l"}'
    models = extra_paths(base, text, DISK="/mnt/disk").folders.models
    assert models["vae"][-1] == Path("/mnt/disk/vae")
    assert models["loras"][-1] == Path("/home/me/data/$UNSET/l")


def test_empty_files_sections_and_keys_add_nothing(base: Path) -> None:
    plain = load_settings(base_dir=base, environ={"GRAPHENGINE_CACHE": str(base / "cache")})
    assert extra_paths(base, "# all of it is a comment\n") == plain
    assert extra_paths(base, "comfyui:\n  # base_path: x\n") == plain
    assert extra_paths(base, "comfyui:\n  base_path: /data\n  vae:\n") == plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mine: {base_path: 3}", r"section 'mine', key 'base_path' must hold a path, not 3"),
        ("mine: {is_default: maybe}", r"section 'mine', key 'is_default' must hold true or false, not 'maybe'"),
        ("mine: {vae: {a: b}}", r"section 'mine', key 'vae' must hold a path, .* not {'a': 'b'}"),
        ('mine: {vae: "a\\0b"}', r"section 'mine', key 'vae' must hold a path"),
        ("mine: [a]", r"section 'mine' must hold named paths, not \['a'\]"),
        ("mine: {1: a}", r"section 'mine' must hold named paths"),
        ("just text", r"extra_model_paths.yaml must hold sections with paths, not 'just text'"),
        ("mine: {vae: [", r"extra_model_paths.yaml is no readable YAML: "),
        ("mine: !!python/object/apply:os.getcwd []", r"no readable YAML: could not determine a constructor"),
        ("[" * 10_000, r"extra_model_paths.yaml is no readable YAML: "),
    ],
)
def test_a_wrong_entry_names_file_section_and_key(base: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        extra_paths(base, text)
    assert "extra_model_paths.yaml" in caught.value.message
    assert caught.value.hint


def test_a_file_that_is_no_text_is_refused(base: Path, environ: dict[str, str]) -> None:
    (base / "extra_model_paths.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(SettingsError, match="no readable YAML"):
        load_settings(base_dir=base, environ=environ)


def test_references_that_multiply_are_refused_at_once(base: Path) -> None:
    lines = ["- &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(SettingsError, match="must hold sections with paths") as caught:
        extra_paths(base, "\n".join(lines))
    assert len(caught.value.message) < 500


def test_another_file_of_extra_paths_replaces_the_one_of_the_base_folder(
    base: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    (base / "extra_model_paths.yaml").write_text("here:\n  loras: own\n", encoding="utf-8")
    named = tmp_path / "named.yaml"
    named.write_text("there:\n  base_path: /models\n  loras: shared\n", encoding="utf-8")
    settings = load_settings(base_dir=base, extra_model_paths=named, environ=environ)
    assert settings.folders.models["loras"] == (base / "models" / "loras", Path("/models/shared"))


def test_a_named_file_of_extra_paths_must_be_there(base: Path, environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"there is no file 'none\.yaml'"):
        load_settings(base_dir=base, extra_model_paths=Path("none.yaml"), environ=environ)
