"""The program without data: usage errors, exit statuses, help, manual, completion, sizes, output."""

import json
import os
import random
import re
import shutil
import subprocess
import time

import pytest
from cli_program import COMMANDS, ROOT, environment, fails, ok, program, run
from seeds import choose_seed


NO_VARIABLES = b"CDF\1" + bytes(28)  # NetCDF-3: no records, dimensions, attributes, variables


def options_of(command):
    text = ok(command, "--help").stdout.split("\nExamples\n")[0]
    return sorted(set(re.findall(r"^  (?:-\w, )?--([a-z-]+)", text, re.M)))


def test_alone_is_a_usage_error():
    done = run()
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: chunkmill COMMAND")
    assert all(c in done.stderr for c in COMMANDS)


def test_version():
    version = re.search(r"project\(chunkmill VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())
    assert ok("--version").stdout == f"chunkmill {version[1]}\n"


@pytest.mark.parametrize(
    "args, said",
    [
        ("recunk a b", "unknown command 'recunk' (did you mean rechunk?)"),
        ("convret a b", "did you mean convert?"),
        ("xyzzyplugh", "chunkmill help lists the commands"),
        ("--jason", "the command comes first"),
        ("help nothing-like-it", "unknown command"),
        ("rechunk --chunk x", "unknown option --chunk (did you mean --chunks?)"),
        ("rechunk --overwirte a b", "did you mean --overwrite?"),
        ("rechunk a b --chunks", "--chunks needs a value: --chunks dim=n,..."),
        ("rechunk --dry-run=yes a b", "--dry-run takes no value"),
        ("rechunk", "needs SRC... DST"),
        ("rechunk a.nc", "only one name is given"),
        ("rechunk --mode fast a b", "--mode: 'fast' is not one of sweep|reread|spill"),
        ("rechunk --zarr 4 a b", "'4' is not one of 3|2"),
        ("rechunk --resume a b", "unknown option --resume"),
        ("rechunk --threads 0 a b", "a number from 1 to 1024"),
        ("rechunk --threads 2x a b", "a number from 1 to 1024"),
        ("rechunk --vars a,,b x y", "an empty item"),
        ("rechunk --unpack=int8 x y", "not one of float32|float64"),
        ("info", "needs URI"),
        ("verify a b", "takes only STORE: what is 'b'?"),
        ("info -z a", "unknown option -z"),
        ("values a", "needs URI... VAR: something is missing"),
        ("diff --rtol -1 a b", "--rtol: '-1' is not a number >= 0"),
        ("diff --atol nan a b", "a number >= 0"),
        ("verify --level checksum a", "not one of presence|decode"),
        ("info --group= a", "--group: an empty value"),
    ],
)
def test_usage_errors_are_one_line(args, said):
    assert said in fails(2, *args.split())


@pytest.mark.parametrize(
    "text",
    ["", "GB", "1G", "1.5", "1XB", "-1GB", "1e9", "99999999999GB", "18446744073709551616", "0", "0x10"],
)
def test_bad_sizes(text):
    if text == "1.5":  # one and a half bytes are one: legal, and too little to work in
        assert fails(2, "info", "--max-mem", text, "a")
    else:
        assert "--max-mem" in fails(2, "info", "--max-mem", text, "a")


@pytest.mark.parametrize(
    "text, shown",
    [
        ("64MB", "64.0 MB"),
        ("1.5GB", "1.50 GB"),
        ("0.1 GB", "100 MB"),
        ("64000000", "64.0 MB"),
        ("64MiB", "67.1 MB"),
        ("0.5gib", "537 MB"),
        ("123456kB", "123 MB"),
        ("1TB", "1.00 TB"),
    ],
)
def test_sizes(text, shown, tmp_path):
    (tmp_path / "no.nc").write_bytes(NO_VARIABLES)
    done = ok("rechunk", "no.nc", "out.zarr", "--dry-run", "--max-mem", text, cwd=tmp_path)
    assert f"memory at most {shown} (--max-mem)" in done.stderr


def test_batch_limit_bounds_the_default(tmp_path):
    (tmp_path / "no.nc").write_bytes(NO_VARIABLES)

    def line(**env):
        done = ok("rechunk", "no.nc", "out.zarr", "--dry-run", cwd=tmp_path, env=environment(**env))
        return done.stderr.splitlines()[0]

    assert "at most 105 MB (half of the Slurm job's" in line(SLURM_MEM_PER_NODE="200")
    cpus = line(SLURM_MEM_PER_CPU="100", SLURM_CPUS_ON_NODE="2")
    assert "at most 105 MB (half of the Slurm job's" in cpus
    assert "half of what is available" in line(SLURM_MEM_PER_NODE="lots")
    assert "half of what is available" in line()


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    done = ok(command, "--help")
    assert done.stderr == ""
    assert done.stdout == ok("help", command).stdout
    assert done.stdout == ok(command, "-h", "operand", "--").stdout
    body = done.stdout.split("\nExamples\n")[0].splitlines()
    assert all(len(line) <= 80 for line in body[1:])
    assert "\nExamples\n" in done.stdout


def test_convert_is_rechunk():
    assert ok("convert", "--help").stdout == ok("rechunk", "--help").stdout


def test_help_names_every_command():
    assert ok("help").stdout == ok("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", ok("help").stdout, re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_man_page_is_in_sync(command):
    name = "chunkmill" if command == "help" else f"chunkmill-{command}"
    made = ok("help", "--man", *([] if command == "help" else [command])).stdout
    assert made == (ROOT / "docs" / "man" / f"{name}.1").read_text(), "run tools/make_manual.sh"
    if shutil.which("groff"):
        said = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-z"], input=made, capture_output=True, text=True
        )
        assert said.stderr == ""


@pytest.mark.parametrize("shell, name", [("bash", "chunkmill.bash"), ("zsh", "_chunkmill")])
def test_completion_is_in_sync(shell, name):
    path = ROOT / "completions" / name
    assert ok("help", "--completion", shell).stdout == path.read_text(), "run tools/make_manual.sh"
    if shutil.which(shell):
        subprocess.run([shell, "-n", path], check=True)


def test_bash_completes():
    script = ROOT / "completions" / "chunkmill.bash"

    def complete(*words):
        line = " ".join(f"'{w}'" for w in words)
        made = subprocess.run(
            ["bash", "-c", f". '{script}'; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1};"
             "_chunkmill; echo ${COMPREPLY[@]}"],
            capture_output=True, text=True, check=True,
        )
        return made.stdout.split()

    assert complete("chunkmill", "re") == ["rechunk"]
    assert complete("chunkmill", "rechunk", "--ch") == ["--chunks"]
    assert complete("chunkmill", "rechunk", "--mode", "s") == ["sweep", "spill"]
    assert complete("chunkmill", "help", "v") == ["values", "virtualize", "verify"]
    assert complete("chunkmill", "rechunk", "--chunks", "") == []


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "help"])
def test_docs_name_every_option(command):
    page = (ROOT / "docs" / "commands" / f"{command}.md").read_text()
    missing = [o for o in options_of(command) if not re.search(rf"--{o}\b", page)]
    assert missing == []
    known = set(options_of(command))
    for other in re.findall(r"^\| `--([a-z-]+)", page, re.M):
        assert other in known, f"{command}.md explains --{other}, which is no option"


def test_readme_names_what_building_needs():
    """The packages that tools/deps.sh looks for before it builds, and no others."""
    script = (ROOT / "tools/deps.sh").read_text()
    look = re.search(r"^look\(\) {\n(.*?)\n    if ", script, re.M | re.S)[1]
    wanted = re.findall(r"^ *want (\S+)", look, re.M)
    said = re.search(r"apt install ([^#]*?)\n    make", (ROOT / "README.md").read_text())[1]
    assert len(wanted) > 8 and sorted(said.replace("\\", " ").split()) == sorted(wanted)


def test_links_in_pages():
    """Every relative link leads to a file, and to a heading where it names one."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    assert len(pages) > 12

    def anchors(page):
        titles = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
        return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}

    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            there = (page.parent / path).resolve() if path else page
            assert there.exists(), f"{page}: {target}"
            assert not anchor or anchor in anchors(there), f"{page}: {target}"


def test_error_object():
    done = run("info", "--json", "--bla")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error == {
        "object": "info",
        "variable": None,
        "message": "unknown option --bla",
        "hint": "--help lists the options",
        "code": "CM_EINVAL",
        "exit": 2,
    }
    assert done.stderr.count("\n") == 1


def test_not_found(tmp_path):
    line = fails(5, "info", "none.nc", cwd=tmp_path)
    assert line.startswith("chunkmill: none.nc: ")
    done = run("values", "none.nc", "x", "--json", cwd=tmp_path)
    assert done.returncode == 5
    assert json.loads(done.stdout)["error"]["code"] == "CM_ENOTFOUND"
    assert json.loads(done.stdout)["error"]["exit"] == 5


def test_files_from(tmp_path):
    assert "cannot be read" in fails(
        5, "rechunk", "--files-from", "no.list", "out.zarr", cwd=tmp_path
    )
    line = fails(2, "rechunk", "--files-from", "-", "out.zarr", cwd=tmp_path, stdin="\n\n")
    assert "no source is named" in line
    line = fails(5, "rechunk", "--files-from", "-", "out.zarr", cwd=tmp_path, stdin="a.nc\r\n")
    assert line.startswith("chunkmill: a.nc: ")


def test_full_and_closed_output():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([program(), "help"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 5
    assert done.stderr == "chunkmill: standard output: cannot be written: No space left on device\n"
    done = subprocess.run(
        ["sh", "-c", '"$0" help >&-', program()], stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 5
    assert "standard output" in done.stderr


def test_reader_that_goes_away_is_no_message():
    r, w = os.pipe()
    os.close(r)
    done = subprocess.run([program(), "help"], stdout=w, stderr=subprocess.PIPE, text=True)
    os.close(w)
    assert done.returncode == 141
    assert done.stderr == ""


def test_random_arguments(tmp_path):
    """Any words: an ordinary exit status, one line of error, nothing on standard output."""
    rng = random.Random(choose_seed())
    left_out = ("help", "cache", "lists", "write")  # a survey of files that are not there may write
    options = {c: [f"--{o}" for o in options_of(c) if o not in left_out] for c in COMMANDS}
    odd = ["", "-", "--", "-q", "a=1", "a:b=1", "=", ":", ",", "\\,", "1e9", "-1", "0:1", "x.nc", "y" * 300,
           "auto:1MB", "ä\u0301", "2001/2002", "keep", "float32", "4GB", "."]
    for _ in range(250):
        command = rng.choice(COMMANDS[:-1])
        words = [rng.choice(rng.choice([options[command], odd])) for _ in range(rng.randrange(7))]
        done = run(command, *words, cwd=tmp_path, stdin="")
        assert done.returncode in (2, 3, 5, 6), (command, words, done.returncode, done.stderr)
        if command == "survey" and done.returncode == 3:
            continue  # a file that cannot be opened is a finding
        assert done.stdout == "" or "--json" in words, (command, words)
        lines = [l for l in done.stderr.splitlines() if "memory at most" not in l]
        assert len(lines) == 1 and lines[0].startswith("chunkmill: "), (command, words, lines)
    assert os.listdir(tmp_path) == []


def test_colors(tmp_path):
    plain = run("info", "none.nc", cwd=tmp_path).stderr
    assert "\033" not in plain
    assert "\033[" in run("info", "none.nc", "--color", "always", cwd=tmp_path).stderr
    assert "\033" not in run("info", "none.nc", "--color=never", cwd=tmp_path).stderr
