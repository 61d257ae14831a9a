"""The project, the profile, the target and the secrets are found as dbt finds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from activate.errors import SettingsError
from activate.settings import Options, find_options, load_target, manifest_path, project_setting, resolve_provider

PROFILES = """\
shop:
  target: "{{ env_var('SHOP_TARGET', 'dev') }}"
  outputs:
    dev: {type: duckdb, path: shop.duckdb, threads: 4}
    prod:
      type: postgres
      host: db
      user: "{{ env_var('SHOP_USER') }}"
      password: "{{ env_var('SHOP_PASSWORD') }}"
      port: "{{ env_var('SHOP_PORT', '5433') | as_number }}"
      dbname: shop
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    (tmp_path / "profiles.yml").write_text(PROFILES)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_project_is_the_nearest_directory_upwards(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "models" / "deep").mkdir(parents=True)
    monkeypatch.chdir(project / "models" / "deep")
    assert find_options().project_dir == project


def test_an_option_goes_before_the_environment(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBT_PROJECT_DIR", str(project / "nowhere"))
    assert find_options(project).project_dir == project


@pytest.mark.parametrize("prefix", ["DBT_", "DBT_ENGINE_"])
def test_dbts_own_variables_are_read(project: Path, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    profiles = project / "elsewhere"
    profiles.mkdir()
    (profiles / "profiles.yml").write_text(PROFILES)
    monkeypatch.chdir("/")
    for name, value in {
        "PROJECT_DIR": str(project),
        "PROFILES_DIR": str(profiles),
        "TARGET": "prod",
        "PROFILE": "shop",
        "TARGET_PATH": "out",
    }.items():
        monkeypatch.setenv(prefix + name, value)
    options = find_options()
    assert (options.project_dir, options.profiles_dir) == (project, profiles)
    assert (options.target, options.profile) == ("prod", "shop")
    assert manifest_path(options) == project / "out" / "manifest.json"


def test_profiles_are_looked_for_here_then_in_the_project_then_at_home(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert find_options(project).profiles_dir == project
    (here / "profiles.yml").write_text(PROFILES)
    assert find_options(project).profiles_dir == here
    (here / "profiles.yml").unlink()
    (project / "profiles.yml").unlink()
    assert find_options(project).profiles_dir == project / "home" / ".dbt"


def test_without_a_project_the_error_names_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"no dbt_project.yml.*--project-dir or DBT_PROJECT_DIR"):
        find_options()


def test_a_named_directory_of_profiles_has_to_exist(project: Path) -> None:
    with pytest.raises(SettingsError, match="profiles directory"):
        find_options(project, project / "nowhere")


@pytest.mark.usefixtures("project")
def test_the_profiles_own_target_is_the_default_and_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_target(find_options()).name == "dev"
    monkeypatch.setenv("SHOP_TARGET", "prod")
    monkeypatch.setenv("SHOP_USER", "me")
    monkeypatch.setenv("SHOP_PASSWORD", "x")
    assert load_target(find_options()).name == "prod"


def test_a_target_is_rendered_with_the_types_that_filters_ask_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_USER", "007")
    monkeypatch.setenv("SHOP_PASSWORD", "s3cret")
    target = load_target(find_options(target="prod"))
    assert (target.type, target.directory) == ("postgres", project)
    assert target.settings["port"] == 5433
    assert target.settings["user"] == "007"
    assert target.settings.get("password") == "s3cret"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{{ env_var('N', '5') | int }}", 5),
        ("{{ '5.5' | as_number }}", 5.5),
        ("{{ 'true' | as_bool }}", True),
        ("{{ 'False' | as_bool }}", False),
        ("{{ '5' }}", "5"),
        ("{{ '5' | as_text }}", "5"),
        ("{{ '[1, 2]' | as_native }}", [1, 2]),
        ("a{{ 'b' }}c", "abc"),
        ("{{ var('who') }}", "me"),
        ("{{ var('nobody', 'x') }}", "x"),
        ("plain", "plain"),
    ],
)
def test_values_are_rendered_as_dbt_renders_them(project: Path, written: str, read: object) -> None:
    (project / "profiles.yml").write_text(f'shop: {{outputs: {{default: {{type: duckdb, x: "{written}"}}}}}}\n')
    assert load_target(find_options(variables={"who": "me"})).settings["x"] == read


@pytest.mark.usefixtures("project")
def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_USER", "me")
    options = find_options(target="prod", secrets={"SHOP_PASSWORD": "s3cret"})
    target = load_target(options)
    assert target.settings.get("password") == "s3cret"
    assert "s3cret" not in repr(target) + repr(options)


@pytest.mark.usefixtures("project")
def test_given_secrets_go_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_USER", "from the environment")
    given = {"SHOP_USER": "from Airflow", "SHOP_PASSWORD": "x"}
    assert load_target(find_options(target="prod", secrets=given)).settings["user"] == "from Airflow"


@pytest.mark.usefixtures("project")
def test_a_missing_variable_is_named_with_the_key_that_needs_it() -> None:
    with pytest.raises(SettingsError, match=r"shop.outputs.prod.user needs the environment variable 'SHOP_USER'"):
        load_target(find_options(target="prod"))


@pytest.mark.usefixtures("project")
def test_outputs_that_are_not_used_need_no_variables() -> None:
    assert load_target(find_options(target="dev")).type == "duckdb"


def test_a_password_that_looks_like_jinja_is_taken_as_it_is(project: Path) -> None:
    (project / "profiles.yml").write_text("shop: {outputs: {default: {type: postgres, password: 'a{{b', host: 'x'}}}\n")
    assert load_target(find_options()).settings.get("password") == "a{{b"


def test_what_cannot_be_rendered_is_named_but_not_quoted(project: Path) -> None:
    (project / "profiles.yml").write_text("shop: {outputs: {default: {type: duckdb, token: 'geheim{{ 1 / 0 }}'}}}\n")
    with pytest.raises(SettingsError, match=r"shop.outputs.default.token cannot be rendered") as error:
        load_target(find_options())
    assert "geheim" not in str(error.value)


def test_a_template_in_profiles_cannot_reach_into_python(project: Path) -> None:
    (project / "profiles.yml").write_text(
        "shop: {outputs: {default: {type: duckdb, path: '{{ \"\".__class__.__mro__ }}'}}}\n"
    )
    with pytest.raises(SettingsError, match="cannot be rendered"):
        load_target(find_options())


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("target", "profile", "message"),
    [
        ("prd", None, r"profile 'shop' has no target 'prd'; targets there: dev, prod; did you mean 'prod'\?"),
        (None, "shpo", r"no profile 'shpo'; profiles there: shop; did you mean 'shop'\?"),
    ],
)
def test_unknown_names_come_with_the_nearest(target: str | None, profile: str | None, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_target(find_options(target=target, profile=profile))


@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        ("shop: [", r"profiles.yml:\d+: the YAML is broken"),
        ("", "must be a mapping"),
        ("shop: {outputs: {}}", "outputs must be a mapping"),
        ("shop: {outputs: {default: {path: x}}}", "has no `type`"),
        ("shop: {outputs: {default: duckdb}}", "must be a mapping"),
    ],
)
def test_a_broken_profiles_file_is_named(project: Path, profiles: str, message: str) -> None:
    (project / "profiles.yml").write_text(profiles)
    with pytest.raises(SettingsError, match=message):
        load_target(find_options())


def test_without_profiles_the_error_names_the_option(project: Path) -> None:
    (project / "profiles.yml").unlink()
    with pytest.raises(SettingsError, match="--profiles-dir"):
        load_target(find_options())


def test_a_project_without_a_profile_is_told_so(project: Path) -> None:
    (project / "dbt_project.yml").write_text("name: shop\n")
    with pytest.raises(SettingsError, match="no `profile`"):
        load_target(find_options())


def test_the_manifest_is_where_dbt_writes_it(project: Path) -> None:
    assert manifest_path(Options(project)) == project / "target" / "manifest.json"
    (project / "dbt_project.yml").write_text("name: shop\ntarget-path: \"{{ env_var('OUT', 'out') }}\"\n")
    assert manifest_path(Options(project)) == project / "out" / "manifest.json"
    assert manifest_path(Options(project, target_path=Path("/abs"))) == Path("/abs/manifest.json")
    assert project_setting(Options(project), "name") == "shop"


def test_a_providers_secrets_are_filled_in_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "from the environment")
    options = {"url": "https://x", "secret": "{{ env_var('KEY') }}", "headers": {"X": ["{{ env_var('KEY') }}"]}, "n": 3}
    found = resolve_provider("hook", options)
    assert found == {
        "url": "https://x",
        "secret": "from the environment",
        "headers": {"X": ["from the environment"]},
        "n": 3,
    }
    assert resolve_provider("hook", options, {"KEY": "given"}).get("secret") == "given"


def test_a_providers_missing_secret_names_provider_option_and_variable() -> None:
    with pytest.raises(SettingsError, match=r"providers.hook.secret needs the environment variable 'KEY_X'"):
        resolve_provider("hook", {"secret": "{{ env_var('KEY_X') }}"})
