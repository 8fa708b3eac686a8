"""The store's promises, kept on a folder and on an S3 server alike: whole or missing, nothing between."""

from __future__ import annotations

import itertools
import json
import pickle
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from commands import environment
from pyarrow import fs as pafs

from madray.artifacts import Marker
from madray.bundles import Batch
from madray.errors import BadInput, Damaged, Missing
from madray.files import without_secret
from madray.filesystems import Patience
from madray.ledger import Ledger, Row
from madray.results import open as open_results
from madray.running import run_chain
from madray.store import Store

FILES = {"model.safetensors": bytes(range(256)) * 3, "record.json": b'{"t": 1}', "empty": b""}
OTHER = {"samples.parquet": b"untouched"}


@pytest.fixture(scope="session")
def s3_bucket() -> Iterator[str]:
    """`s3://…/bucket{}?…` of a server that speaks S3 on this machine; {} is where the folder goes."""
    server_module = pytest.importorskip("moto.server", reason="moto[server] speaks S3 here: pip install it")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    pafs.S3FileSystem(
        access_key="key",
        secret_key="secret",
        endpoint_override=f"{host}:{port}",
        scheme="http",
        allow_bucket_creation=True,
    ).create_dir("bucket")
    yield f"s3://key:secret@bucket/{{}}?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new store on each kind of filesystem."""
    if request.param == "s3":
        return str(request.getfixturevalue("s3_bucket")).format(uuid.uuid4().hex)
    return str(tmp_path / "store")


@pytest.fixture
def store(uri: str) -> Store:
    return Store.open(uri)


def few(store: Store, values: range, *, remote: int = 5) -> list[int]:
    """All of the values on a disk; some, with the first and the last, where each is a few round trips."""
    if store.is_local:
        return list(values)
    return sorted({values[0], values[-1], *values[:: max(1, len(values) // remote)]})


def put_at(store: Store, path: str, data: bytes) -> None:
    """Write behind the store's back."""
    store.put(path, data)


def attempt_of(store: Store, kind: str, key: str) -> str:
    marker = store.marker(kind, key)
    assert marker is not None
    return marker.attempt


class Dying(Store):
    """Writes `left` files and dies at the next: before it, or in the middle of it."""

    left = 0
    half = False

    def put(self, path: str, data: bytes) -> None:
        if self.left == 0:
            if self.half and not path.endswith("done.json"):
                super().put(path, data[: len(data) // 2])
            raise KeyboardInterrupt
        self.left -= 1
        super().put(path, data)


class Between(Store):
    """Does something once, between reading a marker and reading the files that it names."""

    happen: Callable[[], Any] | None = None

    def get(self, path: str) -> bytes:
        if not path.endswith("done.json") and self.happen is not None:
            happen, self.happen = self.happen, None
            happen()
        return super().get(path)


def opened(kind: type[Store], store: Store) -> Any:
    """The same store as another class."""
    filesystem, root = store._fs, store._root
    return kind(filesystem, root, store.uri)


# Whole or missing


def test_what_was_committed_reads_back_byte_for_byte(store: Store) -> None:
    store.commit("generations", "k", FILES)
    assert store.has("generations", "k")
    assert store.read("generations", "k") == FILES
    assert store.read("generations", "k", "record.json") == {"record.json": FILES["record.json"]}
    assert store.notes == []


def test_has_asks_for_files_by_name(store: Store) -> None:
    store.commit("generations", "k", FILES)
    assert store.has("generations", "k", "record.json", "empty")
    assert not store.has("generations", "k", "record.json", "other.json")
    with pytest.raises(Missing):
        store.read("generations", "k", "other.json")


def test_what_was_never_committed_is_missing_and_not_damaged(store: Store) -> None:
    assert not store.has("draws", "k")
    assert store.marker("draws", "k") is None
    with pytest.raises(Missing) as caught:
        store.read("draws", "k")
    assert not isinstance(caught.value, Damaged)
    assert store.notes == []


def test_the_marker_says_the_size_of_what_it_marks(store: Store) -> None:
    store.commit("generations", "k", FILES)
    marker = store.marker("generations", "k")
    assert marker is not None
    assert marker.size == sum(len(data) for data in FILES.values())


def test_another_process_sees_what_was_committed(store: Store, uri: str) -> None:
    store.commit("draws", "k", OTHER)
    assert Store.open(uri).read("draws", "k") == OTHER
    assert pickle.loads(pickle.dumps(store)).read("draws", "k") == OTHER


def test_a_commit_that_dies_before_its_marker_leaves_nothing(store: Store) -> None:
    for written, half in itertools.product(range(len(FILES) + 1), (False, True)):
        dying = opened(Dying, store)
        dying.left, dying.half = written, half
        with pytest.raises(KeyboardInterrupt):
            dying.commit("generations", "k", FILES)
        assert not store.has("generations", "k")
        with pytest.raises(Missing):
            store.read("generations", "k")
    store.commit("generations", "k", FILES)
    assert store.read("generations", "k") == FILES
    assert store.notes == []


def test_a_commit_that_dies_leaves_what_was_there_before(store: Store) -> None:
    store.commit("generations", "k", FILES)
    for written in range(3):
        dying = opened(Dying, store)
        dying.left, dying.half = written, True
        with pytest.raises(KeyboardInterrupt):
            dying.commit("generations", "k", {"model.safetensors": b"new", "record.json": b"{}", "x": b""})
        assert store.read("generations", "k") == FILES
    assert store.notes == []


def test_a_file_that_is_half_written_is_never_seen_under_its_name(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    folder = tmp_path / "sweeps" / "s" / "rows"
    folder.mkdir(parents=True)
    (folder / ".1-abc.parquet.0123456789abcdef").write_bytes(b"half")  # its writer was killed
    store.put("sweeps/s/rows/2-def.parquet", b"whole")
    assert store.names("sweeps/s/rows") == ["2-def.parquet"]


# Markers that are none


def assert_made_again(store: Store, kind: str, key: str, files: Mapping[str, bytes]) -> None:
    """Nothing stands there, one sentence was said about it, and making it again mends it."""
    notes = len(store.notes)
    assert not store.has(kind, key)
    assert not store.has(kind, key)
    assert len(store.notes) <= notes + 1
    with pytest.raises(Missing):
        store.read(kind, key)
    store.commit(kind, key, files)
    assert store.read(kind, key) == files


def test_a_marker_cut_off_at_any_byte_is_none(store: Store) -> None:
    store.commit("draws", "k", FILES)
    whole = store.get("draws/k/done.json")
    for length in few(store, range(len(whole))):
        put_at(store, "draws/k/done.json", whole[:length])
        store.notes.clear()
        assert not store.has("draws", "k")
        assert [note for note in store.notes if "draws/k/done.json" in note] == store.notes != []
        assert_made_again(store, "draws", "k", FILES)


@pytest.mark.parametrize(
    "written",
    [
        b"null",
        b"[]",
        b"0",
        b"\xff\xfe",
        b"{}",
        b'{"attempt": "a1"}',
        b'{"attempt": "a1", "files": []}',
        b'{"attempt": "a1", "files": {"x": 3}}',
        b'{"attempt": "a1", "files": {"x": ["many", "abc"]}}',
        b'{"attempt": "a1", "files": {"x": [1e999, "abc"]}}',
        b'{"attempt": "a1", "files": {"x": [NaN, "abc"]}}',
        b'{"attempt": null, "files": null}',
    ],
)
def test_a_marker_that_says_nothing_is_none(store: Store, written: bytes) -> None:
    put_at(store, "draws/k/done.json", written)
    assert not store.has("draws", "k")
    assert len(store.notes) == 1
    assert_made_again(store, "draws", "k", OTHER)


def test_a_marker_with_any_byte_changed_gives_the_same_or_nothing(store: Store) -> None:
    store.commit("draws", "k", FILES)
    store.commit("draws", "other", OTHER)
    whole = store.get("draws/k/done.json")
    for place in few(store, range(len(whole))):
        for flip in (0x01, 0x10) if store.is_local else (0x01,):
            put_at(
                store, "draws/k/done.json", whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :]
            )
            try:
                assert store.read("draws", "k").items() <= FILES.items()  # a file whose name changed is gone
            except Missing:
                assert_made_again(store, "draws", "k", FILES)
                whole = store.get("draws/k/done.json")
    assert store.read("draws", "other") == OTHER


def test_a_marker_of_another_attempt_is_found_when_it_is_read_and_by_check(store: Store) -> None:
    for find in ("read", "check"):
        store.commit("draws", "k", FILES)
        told = json.loads(store.get("draws/k/done.json"))
        put_at(store, "draws/k/done.json", json.dumps({**told, "attempt": "0123456789abcdef"}).encode())
        marker = store.marker("draws", "k")
        assert marker is not None
        store.notes.clear()
        if find == "read":
            with pytest.raises(Damaged):
                store.read("draws", "k")
        else:
            assert store.check({("draws", "k"): marker}, 0) == {("draws", "k")}
        assert len(store.notes) == 1
        assert_made_again(store, "draws", "k", FILES)


@pytest.mark.parametrize("name", ["../../secret", "..", ".", "", "a/b", "/etc/passwd", "a\\b", "c:x"])
def test_a_strangers_marker_names_no_file_elsewhere(store: Store, name: str) -> None:
    put_at(store, "draws/secret", b"secret")
    store.commit("draws", "k", {"secret": b"secret"})
    told = json.loads(store.get("draws/k/done.json"))
    told["files"] = {name: told["files"]["secret"]}
    put_at(store, "draws/k/done.json", json.dumps(told).encode())
    with pytest.raises(Missing):
        store.read("draws", "k")
    told["attempt"] = "../.."
    put_at(store, "draws/k/done.json", json.dumps({**told, "files": {"secret": [6, "0"]}}).encode())
    assert store.marker("draws", "k") is None


# Damaged files


def damage(store: Store, path: str, how: str) -> None:
    data = store.get(path)
    match how:
        case "shorter":
            put_at(store, path, data[:-1])
        case "longer":
            put_at(store, path, data + b"\0")
        case "gone":
            store._fs.delete_file(store._path(path))


@pytest.mark.parametrize("how", ["shorter", "longer", "gone"])
@pytest.mark.parametrize("find", ["read", "check"])
def test_a_file_of_another_length_is_found_and_only_its_artifact_forgotten(
    store: Store, how: str, find: str
) -> None:
    store.commit("draws", "other", OTHER)
    store.commit("generations", "k", FILES)
    markers = store.markers([("generations", "k"), ("draws", "other")])
    damage(store, f"generations/k/{attempt_of(store, 'generations', 'k')}/record.json", how)
    if find == "read":
        with pytest.raises(Damaged):
            store.read("generations", "k")
    else:  # lengths are looked at whatever the budget
        assert store.check(markers, 0) == {("generations", "k")}
    assert len(store.notes) == 1
    assert "generations/k" in store.notes[0]
    assert store.read("draws", "other") == OTHER
    assert_made_again(store, "generations", "k", FILES)
    assert len(store.notes) == 1


def test_a_changed_byte_anywhere_is_found_when_it_is_read_and_by_check(store: Store) -> None:
    store.commit("draws", "other", OTHER)
    places = [(name, place) for name, data in FILES.items() for place in range(len(data))]
    for index in few(store, range(0, len(places), 17), remote=4):
        name, place = places[index]
        for find in ("read", "read one", "check"):
            store.commit("generations", "k", FILES)
            markers = store.markers([("generations", "k"), ("draws", "other")])
            path = f"generations/k/{attempt_of(store, 'generations', 'k')}/{name}"
            data = bytearray(FILES[name])
            data[place] ^= 1 << (place % 8)
            put_at(store, path, bytes(data))
            store.notes.clear()
            if find == "check":
                assert store.check(markers, 1 << 30) == {("generations", "k")}
            else:
                with pytest.raises(Damaged):
                    store.read("generations", "k", *([name] if find == "read one" else []))
            assert len(store.notes) == 1
            assert not store.has("generations", "k")
    assert store.read("draws", "other") == OTHER


def test_what_is_whole_passes_the_check(store: Store) -> None:
    store.commit("generations", "k", FILES)
    store.commit("draws", "other", OTHER)
    wanted = store.markers([("generations", "k"), ("draws", "other"), ("draws", "none")])
    assert store.check(wanted, 1 << 30) == set()
    assert store.check({}, 1 << 30) == set()
    assert store.notes == []


def test_beyond_the_budget_a_changed_byte_is_found_when_it_is_read(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.commit("draws", "k", OTHER)
    put_at(store, f"draws/k/{attempt_of(store, 'draws', 'k')}/samples.parquet", b"Untouched")
    assert store.check(store.markers([("draws", "k")]), 8) == set()
    with pytest.raises(Damaged):
        store.read("draws", "k")


class Broken:
    """A filesystem that cannot be reached any more; all but reading files still works."""

    type_name = "s3"

    def __init__(self, filesystem: pafs.FileSystem) -> None:
        self._filesystem = filesystem
        self.broken = False

    def open_input_file(self, path: str) -> Any:
        if self.broken and not path.endswith("done.json"):
            raise OSError("the network is down")
        return self._filesystem.open_input_file(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._filesystem, name)


def test_a_network_that_is_down_is_no_damage(tmp_path: Path) -> None:
    local = Store.open(tmp_path)
    local.commit("draws", "k", OTHER)
    filesystem = Broken(pafs.LocalFileSystem())
    store = Store(filesystem, str(tmp_path), "s3://bucket", patience=Patience(total_s=0))
    filesystem.broken = True
    with pytest.raises(BadInput, match="network is down"):
        store.read("draws", "k")
    assert store.notes == []
    filesystem.broken = False
    assert store.read("draws", "k") == OTHER


# Letting go


def test_drop_keeps_the_named_files_and_deletes_the_others(store: Store) -> None:
    store.commit("generations", "k", FILES)
    store.drop("generations", "k", keep=("record.json", "never there"))
    assert store.read("generations", "k") == {"record.json": FILES["record.json"]}
    assert not store.has("generations", "k", "model.safetensors")
    assert store.names(f"generations/k/{attempt_of(store, 'generations', 'k')}") == ["record.json"]
    assert store.notes == []


def test_drop_that_keeps_nothing_leaves_nothing(store: Store) -> None:
    store.commit("draws", "k", OTHER)
    store.commit("draws", "other", OTHER)
    store.drop("draws", "k")
    assert not store.has("draws", "k")
    assert store.names("draws") == ["other"]
    assert store.read("draws", "other") == OTHER


def test_dropping_what_is_not_there_or_again_is_nothing(store: Store) -> None:
    store.drop("draws", "k")
    store.delete("draws", "k")
    store.forget("draws", "k")
    store.commit("generations", "k", FILES)
    for _ in range(2):
        store.drop("generations", "k", keep=("record.json",))
    assert store.read("generations", "k") == {"record.json": FILES["record.json"]}
    for _ in range(2):
        store.delete("generations", "k")
    assert store.notes == []


def test_drop_of_a_damaged_artifact_keeps_what_it_can(store: Store) -> None:
    store.commit("generations", "k", FILES)
    damage(store, f"generations/k/{attempt_of(store, 'generations', 'k')}/model.safetensors", "gone")
    store.drop("generations", "k", keep=("record.json",))
    assert store.read("generations", "k") == {"record.json": FILES["record.json"]}


def test_replace_leaves_the_newest_and_nothing_of_the_one_before(store: Store) -> None:
    for step in range(3):
        store.replace("work", "k", {"step.json": b"%d" % step})
        assert store.read("work", "k") == {"step.json": b"%d" % step}
    assert set(store.names("work/k")) == {"done.json", attempt_of(store, "work", "k")}


def test_forget_takes_the_marker_and_a_commit_brings_it_back(store: Store) -> None:
    store.commit("draws", "k", OTHER)
    store.forget("draws", "k")
    assert_made_again(store, "draws", "k", OTHER)


def test_reading_while_it_is_replaced_or_dropped_reads_what_counts_now(store: Store, uri: str) -> None:
    writer = Store.open(uri)
    reader = opened(Between, store)
    writer.commit("work", "k", {"a": b"old", "b": b"old"})
    reader.happen = lambda: writer.replace("work", "k", {"a": b"new", "b": b"new"})
    assert reader.read("work", "k") == {"a": b"new", "b": b"new"}
    reader.happen = lambda: writer.drop("work", "k", keep=("b",))
    assert reader.read("work", "k") == {"b": b"new"}
    reader.happen = lambda: writer.delete("work", "k")
    with pytest.raises(Missing) as caught:
        reader.read("work", "k")
    assert not isinstance(caught.value, Damaged)
    assert reader.notes == []


# Several writers


class Recorder(Store):
    """Keeps what it is told to write, in order, and writes nothing."""

    def __init__(self, *of: Any) -> None:
        super().__init__(*of)
        self.puts: list[tuple[str, bytes]] = []

    def put(self, path: str, data: bytes) -> None:
        self.puts.append((path, data))


def test_two_writers_in_any_interleaving_leave_one_of_both_whole(store: Store) -> None:
    one, two = {"a": b"one" * 50, "b": b"1"}, {"a": b"two", "b": b"22222"}
    orders = [order for order in itertools.product((0, 1), repeat=6) if sum(order) == 3]
    assert len(orders) == 20
    for index in few(store, range(len(orders)), remote=3):
        key = f"k{index}"
        recorders = [opened(Recorder, store), opened(Recorder, store)]
        for recorder, files in zip(recorders, (one, two), strict=True):
            recorder.commit("draws", key, files)
        queues = [iter(recorder.puts) for recorder in recorders]
        marked = []
        for who in orders[index]:
            path, data = next(queues[who])
            store.put(path, data)
            marked += [who] if path.endswith("done.json") else []
            if marked:
                assert store.read("draws", key) == (one, two)[marked[-1]]
            else:
                assert not store.has("draws", key)
    assert store.notes == []


WRITES = """
import sys
from madray.store import Store
uri, who, times = sys.argv[1:]
store = Store.open(uri)
for step in range(int(times)):
    told = f"{who} {step} ".encode() * (1 + step % 7)
    store.commit("draws", "k", {"a": told, "b": told * 3, **({"c": told} if who == "1" else {})})
assert store.notes == [], store.notes
"""


def test_two_processes_writing_one_key_never_mix(store: Store, uri: str) -> None:
    times = "250" if store.is_local else "6"
    store.commit("draws", "k", {"a": b"first", "b": b"first" * 3})
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITES, uri, who, times], cwd=Path(__file__).parents[1])
        for who in ("1", "2")
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        files = store.read("draws", "k")
        assert files["b"] == files["a"] * 3
        assert files.get("c", files["a"]) == files["a"]
        seen.add(files["a"][:1])
    assert [writer.returncode for writer in writers] == [0, 0]
    files = store.read("draws", "k")
    assert files["b"] == files["a"] * 3
    assert store.notes == []
    assert seen & {b"1", b"2"}


def test_threads_of_one_store_commit_replace_and_delete_side_by_side(store: Store) -> None:
    times = 40 if store.is_local else 3
    faults: list[BaseException] = []

    def work(who: int) -> None:
        try:
            for step in range(times):
                store.commit("draws", f"own{who}-{step}", {"a": b"%d" % who})
                store.replace("work", "shared", {"a": b"x" * who, "b": b"x" * who})
                store.drop("draws", f"own{who}-{step}")
                store.forget("draws", "nobody's")
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    files = store.read("work", "shared")
    assert files["a"] == files["b"]
    assert store.names("draws") == []
    assert store.notes == []


class Torn(Store):
    """Reads a marker while it is replaced, as an object store may show it: the old length of the new one."""

    torn = 1

    def get(self, path: str) -> bytes:
        data = super().get(path)
        if path.endswith("done.json") and self.torn:
            self.torn -= 1
            return data[:-1]
        return data


def test_a_marker_that_is_replaced_while_it_is_read_is_not_forgotten(store: Store) -> None:
    store.commit("draws", "k", OTHER)
    torn = opened(Torn, store)
    assert torn.read("draws", "k") == OTHER
    assert torn.torn == 0
    assert torn.notes == []


# Many at once, and where it is


def test_many_markers_at_once_are_those_that_stand_there_one_by_one(store: Store) -> None:
    store.commit("draws", "d1", OTHER)
    store.commit("generations", "g1", FILES)
    batch = Batch(store)
    for index in range(5):
        batch.commit("measurements", f"m{index}", {"numbers.json": b"%d" % index})
    batch.flush()
    wanted = [("draws", "d1"), ("generations", "g1"), *(("measurements", f"m{n}") for n in range(300))]
    wanted += [("draws", f"none{n}") for n in range(300)]
    found = store.markers(iter(wanted))
    assert set(found) == {
        ("draws", "d1"),
        ("generations", "g1"),
        *(("measurements", f"m{n}") for n in range(5)),
    }
    assert all(marker == store.marker(kind, key) for (kind, key), marker in found.items())
    assert all(isinstance(marker, Marker) for marker in found.values())


def test_a_bundle_is_read_as_its_artifacts_are(store: Store, uri: str) -> None:
    batch = Batch(store)
    batch.commit("generations", "g", FILES)
    batch.commit("draws", "d", OTHER)
    batch.flush()
    other = Store.open(uri)
    assert other.read("generations", "g") == FILES
    assert other.read("draws", "d", "samples.parquet") == OTHER
    assert other.names("generations") == other.names("draws") == []


def test_a_chain_runs_goes_on_and_is_read_from_any_kind_of_store(store: Store, uri: str) -> None:
    chain = {"reference": "gaussian", "generator": "gaussian", "loop": "fully_synthetic"}
    chain |= {"n_ini": 30, "n_s": 20, "n_eval": 20, "generations": 2}
    short = run_chain(chain, store=uri)
    long = run_chain({**chain, "generations": 3}, store=uri)
    assert long.table()[:2].equals(short.table())
    assert long.generation({}, 3).sample(5).values.shape == (5, 2)
    assert list(open_results(uri)) == ["chain"]
    assert run_chain({**chain, "generations": 3}).table().equals(long.table())


def test_names_are_sorted_and_a_folder_that_is_not_there_has_none(store: Store) -> None:
    assert store.names("sweeps") == []
    for name in ("b", "a", "c"):
        store.put(f"sweeps/{name}/records/1", b"x")
    assert store.names("sweeps") == ["a", "b", "c"]
    assert store.names("sweeps/a/records") == ["1"]


def test_a_pickled_store_is_the_same_store_without_its_notes(store: Store) -> None:
    store.notes.append("said")
    again = pickle.loads(pickle.dumps(store))
    assert again.uri == store.uri
    assert again.notes == []
    assert again.is_local == store.is_local


def test_a_folder_is_absolute_whatever_becomes_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store.open("runs")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.commit("draws", "k", OTHER)
    assert Store.open(tmp_path / "runs").read("draws", "k") == OTHER
    assert store.folder == tmp_path / "runs"
    by_uri = Store.open((tmp_path / "runs").as_uri())
    assert by_uri.read("draws", "k") == OTHER
    assert by_uri.folder == tmp_path / "runs"


@pytest.mark.parametrize("told", ["gopher://there/it/is", "://x"])
def test_a_uri_that_nothing_opens_is_bad_input(told: str) -> None:
    with pytest.raises(BadInput, match="--store"):
        Store.open(told)


def test_a_store_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    store = Store.open(tmp_path / "file")
    assert not store.has("draws", "k")
    assert store.names("sweeps") == []
    with pytest.raises(BadInput, match="writable"):
        store.commit("draws", "k", OTHER)


def test_a_bucket_that_is_not_there_is_bad_input(s3_bucket: str) -> None:
    store = Store.open(s3_bucket.replace("bucket/", "nobucket/").format("x"))
    with pytest.raises(BadInput, match="writable") as caught:
        store.commit("draws", "k", OTHER)
    assert "secret" not in str(caught.value)


def test_a_password_in_a_uri_is_not_shown() -> None:
    assert without_secret("s3://key:secret@bucket/x?a=b@c") == "s3://key:…@bucket/x?a=b@c"
    assert without_secret("s3://bucket/a:b@c") == "s3://bucket/a:b@c"
    assert without_secret("/home/me/store") == "/home/me/store"


READS_ROWS = """
import sys
from madray.ledger import Ledger
from madray.store import Store
print(len(Ledger(Store.open(sys.argv[1]), "small").rows()))
"""


def test_a_process_that_read_rows_from_a_bucket_ends_in_peace(s3_bucket: str) -> None:
    """With Arrow's thread pool in the reading, seven of eight such processes were aborted while they ended."""
    uri = s3_bucket.format(uuid.uuid4().hex)
    row = Row("chain", 1, "key", "generation", {"fid": 1.0}, "", "like", 9, 1.0, 1.0)
    Ledger(Store.open(uri), "small").append([row])
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", READS_ROWS, uri],
            env=environment(),
            text=True,
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_a_store_of_another_format_is_refused_without_showing_its_password(s3_bucket: str) -> None:
    store = Store.open(s3_bucket.format(uuid.uuid4().hex))
    store.claim()
    store.claim()
    [name] = store.names("")
    store.put(name, b'{"format": 99}')
    with pytest.raises(BadInput, match="99") as caught:
        store.claim()
    assert "secret" not in str(caught.value)


def test_a_claim_with_any_one_bit_flipped_or_cut_anywhere_is_written_again(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.claim()
    claim = tmp_path / "madray.json"
    whole = claim.read_bytes()
    flipped = [
        (int.from_bytes(whole, "big") ^ 1 << place).to_bytes(len(whole), "big")
        for place in range(8 * len(whole))
    ]
    for damaged in [*flipped, *(whole[:length] for length in range(len(whole)))]:
        claim.write_bytes(damaged)
        store.claim()
        assert claim.read_bytes() == whole, damaged
    assert store.notes[-1] == "madray.json was damaged; it is written again"


def test_a_claim_without_a_check_is_one_of_an_older_madray(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.put("madray.json", b'{"format": 1}')
    store.claim()
    assert store.notes == []
