"""Files of demonstrations made to harm, or damaged: each is refused by name, before memory is taken and without following it."""

import json
import os
import zipfile

import numpy as np
import pytest
from test_interchange import TOY, robomimic, toys, writer

from ilbench.records.interchange import formats
from ilbench.records.interchange.episodes import FORMAT, Episodes
from ilbench.wrappers import recorded

shown, stored = pytest.fixture(scope="module")(toys), pytest.fixture(writer)


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def npy(shape, payload=b"", descr="<f8"):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + payload


HARM = {
    "announces 8000000000000 bytes of shape": {"obs.npy": npy((10**12,))},
    "announces 16 bytes": {"obs.npy": npy((2,), b"0" * 24)},
    "would unpack from": {"obs.npy": npy((2**24,), bytes(2**27))},
    "is no name of an array": {"../obs.npy": npy((0,))},
    "is no .npz file": {"obs.npy": b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8',"},
    "pickle": {"obs.npy": npy((1,), b"cos\nsystem\n(S'echo'\ntR.", "|O")},
    "says 'path' of itself": {"about.npy": np.array(json.dumps({"format": FORMAT, "path": "/etc"}))},
    "says it is of a horizon of '1e9'": {"about.npy": np.array(json.dumps({"format": FORMAT, "horizon": "1e9"}))},
}


@pytest.mark.parametrize("said", HARM)
def test_an_archive_made_to_harm_is_refused(said, tmp_path):
    members = dict(HARM[said])
    for name, value in members.items():
        if isinstance(value, np.ndarray):
            np.save(tmp_path / "one.npy", value)
            members[name] = (tmp_path / "one.npy").read_bytes()
    with pytest.raises(ValueError, match=said):
        formats.read(archive(tmp_path / "demos.npz", **members))


def test_a_safetensors_header_made_to_harm_is_refused(tmp_path):
    file = tmp_path / "demos.safetensors"
    header = json.dumps({"obs": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    for content, said in (
        ((2**40).to_bytes(8, "little"), "header would have"),
        (len(header).to_bytes(8, "little") + header, "no safetensors"),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=said):
            formats.read(file)


def _external(file, h5py):
    del file["data/demo_2/actions"]
    file["data/demo_2"].create_dataset("actions", (3, 2), "f8", external=[("/etc/passwd", 0, 48)])


def _virtual(file, h5py):
    del file["data/demo_2/actions"]
    layout = h5py.VirtualLayout((3, 2), "f8")
    layout[:] = h5py.VirtualSource("other.hdf5", "x", (3, 2))
    file["data/demo_2"].create_virtual_dataset("actions", layout)


def _put(name, value):
    def change(file, h5py):
        del file[f"data/demo_2/{name}"]
        file[f"data/demo_2/{name}"] = value(h5py) if callable(value) else value

    return change


def _huge(file, h5py):
    del file["data/demo_2/actions"]
    file["data/demo_2"].create_dataset("actions", (2**45, 2), "f8", chunks=(1024, 2))


def _sparse(file, h5py):
    del file["data/demo_2/actions"]
    file["data/demo_2"].create_dataset("actions", (2**24, 2), "f8", chunks=(1024, 2))


def _packed(file, h5py):
    del file["data/demo_2/actions"]
    file["data/demo_2"].create_dataset(
        "actions", (3, 2), "f8", chunks=(3, 2), compression=32015, allow_unknown_filter=True
    )


def _attribute(where, name, value):
    def change(file, h5py):
        file[where].attrs[name] = value

    return change


HARMFUL_HDF5 = {
    r"actions is a link \(external\)": _put("actions", lambda h: h.ExternalLink("/etc/hosts", "/x")),
    r"actions is a link \(soft\)": _put("actions", lambda h: h.SoftLink("/data/demo_10/actions")),
    "keeps its numbers in another file": _external,
    "numbers in another file": _virtual,
    "announces 562949953421312 bytes, of which 0": _huge,
    "announces 268435456 bytes, of which 0 are stored": _sparse,
    "is packed by filter 32015": _packed,
    "is of type object; it must be numbers": _put("actions", ["a", "b", "c"]),
    "has 3 rows of obs and 2 of action": _put("actions", np.zeros((2, 2))),
    "action of episode 1 has rows of shape": _put("actions", np.zeros((3, 1))),
    "num_samples": _attribute("data/demo_2", "num_samples", 4),
    "says 7 steps in all": _attribute("data", "total", 7),
    "has no actions": lambda file, h5py: file["data/demo_2"].__delitem__("actions"),
    "holds no demo_0": lambda file, h5py: [file["data"].__delitem__(f"demo_{i}") for i in (2, 10)],
    "laid out neither": lambda file, h5py: file.__delitem__("data"),
    "says 'x' of itself": _attribute("data", "ilbench", json.dumps({"format": FORMAT, "x": ""})),
}


@pytest.mark.parametrize("said", HARMFUL_HDF5)
def test_an_hdf5_file_made_to_harm_is_refused(said, tmp_path):
    path = robomimic(tmp_path / "low_dim.hdf5", HARMFUL_HDF5[said])
    with pytest.raises(ValueError, match=said):
        formats.read(path, ("pos", "vel"))
    (tmp_path / "torn.hdf5").write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match="no HDF5 file"):
        formats.read(tmp_path / "torn.hdf5")


def _metadata(**changes):
    def change(root, h5py):
        file = root / "metadata.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def _linked(name):
    def change(root, h5py):
        (root / name).rename(root.parent.parent / "elsewhere")
        (root / name).symlink_to(root.parent.parent / "elsewhere")

    return change


def _ended(root, h5py):
    with h5py.File(root / "main_data.hdf5", "a") as file:
        file["episode_3/truncations"][1] = True


def _fewer(root, h5py):
    with h5py.File(root / "main_data.hdf5", "a") as file:
        file["episode_3/observations"].resize(2, axis=0)


IMAGE = json.dumps({"type": "Box", "dtype": "uint8", "shape": [4, 4, 3]})
HARMFUL_MINARI = {
    "main_data.hdf5 is not read: a link that leads out": _linked("main_data.hdf5"),
    "metadata.json is not read: a link that leads out": _linked("metadata.json"),
    "main_data.hdf5 is not read: a pipe": lambda root, h5py: (
        os.remove(root / "main_data.hdf5"),
        os.mkfifo(root / "main_data.hdf5"),
    ),
    "metadata.json is not read: Expecting": lambda root, h5py: (root / "metadata.json").write_text("{"),
    "stored as 'arrow'": _metadata(data_format="arrow"),
    "frames are JPEG": _metadata(jpeg_encoding=True, observation_space=IMAGE),
    "says total_episodes 5, and there are 12": _metadata(total_episodes=5),
    "episode_3 ends at step 1, and goes on": _ended,
    "episode_3 has . actions and 2 observations": _fewer,
}


@pytest.mark.parametrize("said", HARMFUL_MINARI)
def test_a_minari_folder_made_to_harm_is_refused(said, shown, stored):
    h5py = pytest.importorskip("h5py")
    path = stored("minari", shown)
    HARMFUL_MINARI[said](path / "data", h5py)
    with pytest.raises(ValueError, match=said):
        formats.read(path)


def test_a_dataset_that_is_there_is_never_written_over(shown, stored):
    path = stored("minari", shown)
    before = {file: file.read_bytes() for file in path.rglob("*.*")}
    with pytest.raises(ValueError, match="there already"):
        stored("minari", shown)
    assert {file: file.read_bytes() for file in path.rglob("*.*")} == before
    assert [file.name for file in path.parent.iterdir()] == ["expert-v1"]


WRONG = {
    "final_obs has 1 rows, and there are 2": {"final_obs": np.zeros((1, 3))},
    "final_obs is not finite": {"final_obs": np.full((2, 3), np.nan)},
    "terminated has 3 rows": {"terminated": np.zeros(3, bool)},
    "terminated of row 1 is 2": {"terminated": np.array([0, 2])},
    "obs is beyond float32 in 1 rows, the first is row 2": {"obs": np.array([[0, 0, 0], [0, 0, 0], [0, 1e39, 0]])},
    r"noise is float64 \[2\]; it must be numbers, a row": {"extra": {"noise": np.zeros(2)}},
    "noise is <U1": {"extra": {"noise": np.array(["a", "b", "c"])}},
}


@pytest.mark.parametrize("said", WRONG)
def test_what_does_not_go_together_is_refused(said):
    sound = Episodes(np.zeros((3, 3)), np.zeros((3, 2)), np.array([2, 1]))
    recorded.of_task("f", sound, TOY)
    with pytest.raises(ValueError, match=said):
        recorded.of_task("f", sound._replace(**WRONG[said]), TOY)
