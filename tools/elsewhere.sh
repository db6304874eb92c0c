#!/bin/sh
# Packs what another machine needs to compute runs: one that has Python, PyTorch and perhaps a GPU, and no network.
#
#   tools/elsewhere.sh PARCEL PANEL... [options of mecsim run]    here: lists what is missing and packs it
#   PARCEL/compute [options of mecsim compute]                    there, after PARCEL was copied
#   mecsim merge PARCEL/data/runs                                 here, after PARCEL/data was copied back
#
# PYTHON is the interpreter here, THERE the version of Python there, WHEELS the packages that are missing there; their
# versions are those of constraints.txt. By default they are what a machine for deep learning lacks.
set -eu
[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
python=${PYTHON:-python3}
there=${THERE:-3.12}
wheels=${WHEELS-pydantic pydantic-core annotated-types typing-inspection}
parcel=$1
shift
project=$(cd "$(dirname "$0")/.." && pwd)

rm -rf "$parcel/wheels" "$project/build/lib"
mkdir -p "$parcel/wheels" "$parcel/data"
"$python" -m mecsim run "$@" --profile paper --dry-run --json >"$parcel/todo.json"
"$python" -m pip wheel -q --no-deps --wheel-dir "$parcel/wheels" "$project"
if [ -n "$wheels" ]; then
    # shellcheck disable=SC2086
    "$python" -m pip download -q --no-deps --only-binary=:all: --python-version "$there" --implementation cp \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
        -c "$project/constraints.txt" --dest "$parcel/wheels" $wheels
fi
"$python" -c 'from mecsim.experiments.store import provenance; print(provenance({})["revision"])' >"$parcel/revision"
cat >"$parcel/compute" <<'END'
#!/bin/sh
# mecsim compute, with what lies beside this file; results go to data/runs beside it, and what is there is not done again.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
packed=$(cat "$here"/wheels/* "$here/revision" | cksum)
if [ "$(cat "$here/site/packed" 2>/dev/null)" != "$packed" ]; then
    rm -rf "$here/site.part"
    "$python" -m pip install -q --no-index --no-deps --no-compile --target "$here/site.part" "$here"/wheels/*.whl
    echo "$packed" >"$here/site.part/packed"
    rm -rf "$here/site"
    mv "$here/site.part" "$here/site"
fi
PYTHONPATH=$here/site${PYTHONPATH:+:$PYTHONPATH}
MECSIM_REVISION=$(cat "$here/revision")
export PYTHONPATH MECSIM_REVISION
cd "$here"
exec "$python" -P -m mecsim --data "$here/data" compute "$here/todo.json" "$@"
END
chmod +x "$parcel/compute"
echo "$parcel is packed: $(grep -c '"agent"' "$parcel/todo.json" || true) runs."
