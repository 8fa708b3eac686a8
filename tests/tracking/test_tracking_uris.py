"""Which tracking URIs are refused, and how the others are shown."""

import os
from pathlib import Path

import pytest

from madray.errors import BadInput
from madray.tracking import check_uri, default_uri, ui_command
from madray.tracking.uris import artifact_location, without_secrets


def refusal(uri):
    with pytest.raises(BadInput) as refused:
        check_uri(uri)
    told = str(refused.value)
    assert "\n" not in told
    assert told.startswith("--tracking-uri: expected ")
    assert ", got " in told
    assert ", try " in told
    return told


def test_a_plain_folder_is_refused_with_the_sqlite_uri_to_take():
    assert refusal("/data/mlruns").endswith("try sqlite:////data/mlruns/mlflow.db")
    assert refusal("file:///data/mlruns").endswith("try sqlite:////data/mlruns/mlflow.db")
    assert refusal("mlruns").endswith("try sqlite:///mlruns/mlflow.db")
    refusal("")


def test_an_unknown_scheme_is_refused():
    assert "got ftp://here" in refusal("ftp://here")
    refusal("sqlite3:///mlflow.db")


def test_an_sqlite_file_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("no folder")
    refusal(f"sqlite:///{tmp_path}/file/mlflow.db")
    refusal(f"sqlite:///{tmp_path}")
    assert "something else" in refusal(f"sqlite:///{tmp_path}/file")
    refusal("sqlite:////proc/none/mlflow.db")
    refusal("sqlite:///:memory:")
    refusal("sqlite://")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_or_file_is_refused(tmp_path):
    (tmp_path / "mlflow.db").touch()
    (tmp_path / "mlflow.db").chmod(0o400)
    refusal(f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "mlflow.db").unlink()
    tmp_path.chmod(0o500)
    refusal(f"sqlite:///{tmp_path}/mlflow.db")
    tmp_path.chmod(0o700)


def test_a_server_without_a_name_is_refused_and_one_that_does_not_answer_is_not():
    refusal("http://")
    check_uri("http://127.0.0.1:1")
    check_uri("https://nobody.invalid/mlflow")


def test_checking_leaves_nothing_behind(tmp_path):
    check_uri(f"sqlite:///{tmp_path}/new/deep/mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_its_driver_is_refused_without_its_password():
    assert "opensesame" not in refusal("postgresql+nodriver://me:opensesame@host/mlflow")


@pytest.mark.parametrize(
    ("uri", "module"),
    [
        ("postgresql://me@host/mlflow", "psycopg2"),
        ("postgresql+psycopg2://me@host/mlflow", "psycopg2"),
        ("postgresql+psycopg://me@host/mlflow", "psycopg"),
        ("mysql://me@host/mlflow", "MySQLdb"),
        ("mysql+mysqldb://me@host/mlflow", "MySQLdb"),
        ("mysql+pymysql://me@host/mlflow", "pymysql"),
        ("mssql://me@host/mlflow", "pyodbc"),
    ],
)
def test_a_database_is_let_through_where_the_driver_that_its_uri_names_is_installed(monkeypatch, uri, module):
    installed = set()
    monkeypatch.setattr("madray.tracking.uris.find_spec", lambda name: name if name in installed else None)
    assert refusal(uri).endswith("try SQLite")
    assert f"without {module}, try" in refusal(uri)
    installed.add(module)
    check_uri(uri)


def test_the_default_is_the_variable_then_a_file_in_the_store_then_nothing(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere")
    assert default_uri(Path("/store")) == "http://somewhere"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert default_uri(Path("/store")) == "sqlite:////store/mlflow.db"
    assert default_uri(None) is None


def test_what_a_person_types_to_look():
    assert (
        ui_command("sqlite:////a b/mlflow.db") == "mlflow ui --backend-store-uri 'sqlite:////a b/mlflow.db'"
    )
    assert ui_command("https://me:opensesame@host:5000/x") == "https://host:5000/x"


def test_secrets_do_not_show():
    told = "GET http://me:open@sesame@host/ failed: open@sesame is wrong"
    assert without_secrets(told, "http://me:open@sesame@host") == "GET http://host/ failed: … is wrong"


def test_files_lie_beside_an_sqlite_file_and_where_the_server_says_otherwise():
    assert artifact_location("sqlite:////a b/mlflow.db", "x") == "file:///a%20b/mlflow-artifacts/x"
    assert artifact_location("http://host", "x") is None
