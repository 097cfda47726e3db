# bash completion for chunkmill; made by `chunkmill help --completion bash`
_chunkmill()
{
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local choices='' options='' files=''
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W 'info values scan rechunk convert virtualize survey diff verify help --help --version' -- "$word"))
        return
    fi
    case ${COMP_WORDS[1]} in
    info)
        case $previous in
        --chunk-list) return ;;
        --vars) return ;;
        --skip) return ;;
        --group) return ;;
        --format) choices='zarr hdf5 netcdf3 kerchunk' ;;
        --concat) return ;;
        --stack) return ;;
        --coord) return ;;
        --calendar) return ;;
        --order) choices='coordinate given name' ;;
        --unsorted) choices='refuse sort keep' ;;
        --duplicates) choices='refuse first last keep' ;;
        --gaps) choices='warn refuse fill ignore' ;;
        --static) choices='first' ;;
        --files-from) files=1 ;;
        --cache) return ;;
        --max-mem) return ;;
        --threads) return ;;
        --color) choices='auto always never' ;;
        esac
        options='--chunks --chunk-list --vars --skip --group --format --trust-paths --concat --merge --stack --coord --calendar --order --unsorted --duplicates --gaps --static --files-from --cache --max-mem --threads --json --quiet --verbose --no-progress --color --help'
        ;;
    values)
        case $previous in
        --isel) return ;;
        --sel) return ;;
        --format) choices='zarr hdf5 netcdf3 kerchunk' ;;
        --concat) return ;;
        --stack) return ;;
        --coord) return ;;
        --calendar) return ;;
        --order) choices='coordinate given name' ;;
        --unsorted) choices='refuse sort keep' ;;
        --duplicates) choices='refuse first last keep' ;;
        --gaps) choices='warn refuse fill ignore' ;;
        --static) choices='first' ;;
        --files-from) files=1 ;;
        --max-mem) return ;;
        --threads) return ;;
        --color) choices='auto always never' ;;
        esac
        options='--isel --sel --unpack --format --trust-paths --concat --merge --stack --coord --calendar --order --unsorted --duplicates --gaps --static --files-from --max-mem --threads --json --quiet --verbose --no-progress --color --help'
        ;;
    scan)
        case $previous in
        --out) return ;;
        --files-from) files=1 ;;
        --max-mem) return ;;
        --threads) return ;;
        --color) choices='auto always never' ;;
        esac
        options='--out --overwrite --files-from --max-mem --threads --json --quiet --verbose --no-progress --color --help'
        ;;
    rechunk|convert)
        case $previous in
        --chunks) return ;;
        --shards) return ;;
        --codec) return ;;
        --zarr) choices='3 2' ;;
        --empty-chunks) choices='write skip' ;;
        --durability) choices='none file dir' ;;
        --vars) return ;;
        --skip) return ;;
        --group) return ;;
        --isel) return ;;
        --sel) return ;;
        --format) choices='zarr hdf5 netcdf3 kerchunk' ;;
        --cache) return ;;
        --concat) return ;;
        --stack) return ;;
        --coord) return ;;
        --calendar) return ;;
        --order) choices='coordinate given name' ;;
        --unsorted) choices='refuse sort keep' ;;
        --duplicates) choices='refuse first last keep' ;;
        --gaps) choices='warn refuse fill ignore' ;;
        --static) choices='first' ;;
        --files-from) files=1 ;;
        --max-mem) return ;;
        --threads) return ;;
        --scratch) files=1 ;;
        --mode) choices='sweep reread spill' ;;
        --color) choices='auto always never' ;;
        esac
        options='--chunks --shards --codec --zarr --empty-chunks --overwrite --durability --vars --skip --group --isel --sel --unpack --format --trust-paths --cache --concat --merge --stack --coord --calendar --order --unsorted --duplicates --gaps --static --files-from --max-mem --threads --scratch --mode --dry-run --json --quiet --verbose --no-progress --color --help'
        ;;
    virtualize)
        case $previous in
        --references) choices='json parquet' ;;
        --inline) return ;;
        --record-size) return ;;
        --append) return ;;
        --materialize) return ;;
        --rebase) return ;;
        --vars) return ;;
        --skip) return ;;
        --group) return ;;
        --isel) return ;;
        --sel) return ;;
        --format) choices='zarr hdf5 netcdf3 kerchunk' ;;
        --cache) return ;;
        --concat) return ;;
        --stack) return ;;
        --coord) return ;;
        --calendar) return ;;
        --order) choices='coordinate given name' ;;
        --unsorted) choices='refuse sort keep' ;;
        --duplicates) choices='refuse first last keep' ;;
        --gaps) choices='warn refuse fill ignore' ;;
        --static) choices='first' ;;
        --files-from) files=1 ;;
        --max-mem) return ;;
        --threads) return ;;
        --color) choices='auto always never' ;;
        esac
        options='--references --inline --no-inline --record-size --append --materialize --rebase --overwrite --dry-run --vars --skip --group --isel --sel --format --trust-paths --cache --concat --merge --stack --coord --calendar --order --unsorted --duplicates --gaps --static --files-from --max-mem --threads --json --quiet --verbose --no-progress --color --help'
        ;;
    survey)
        case $previous in
        --concat) return ;;
        --stack) return ;;
        --coord) return ;;
        --calendar) return ;;
        --order) choices='coordinate given name' ;;
        --unsorted) choices='refuse sort keep' ;;
        --duplicates) choices='refuse first last keep' ;;
        --gaps) choices='warn refuse fill ignore' ;;
        --static) choices='first' ;;
        --files-from) files=1 ;;
        --vars) return ;;
        --skip) return ;;
        --group) return ;;
        --format) choices='zarr hdf5 netcdf3 kerchunk' ;;
        --cache) return ;;
        --schema) return ;;
        --lists) return ;;
        --max-mem) return ;;
        --threads) return ;;
        --color) choices='auto always never' ;;
        esac
        options='--concat --merge --stack --coord --calendar --order --unsorted --duplicates --gaps --static --files-from --vars --skip --group --unpack --format --trust-paths --cache --schema --write --lists --overwrite --max-mem --threads --json --quiet --verbose --no-progress --color --help'
        ;;
    diff)
        case $previous in
        --rtol) return ;;
        --atol) return ;;
        --vars) return ;;
        --skip) return ;;
        --group) return ;;
        --isel) return ;;
        --sel) return ;;
        --format) choices='zarr hdf5 netcdf3 kerchunk' ;;
        --concat) return ;;
        --stack) return ;;
        --coord) return ;;
        --calendar) return ;;
        --order) choices='coordinate given name' ;;
        --unsorted) choices='refuse sort keep' ;;
        --duplicates) choices='refuse first last keep' ;;
        --gaps) choices='warn refuse fill ignore' ;;
        --static) choices='first' ;;
        --files-from) files=1 ;;
        --max-mem) return ;;
        --threads) return ;;
        --color) choices='auto always never' ;;
        esac
        options='--rtol --atol --attributes --vars --skip --group --isel --sel --unpack --format --trust-paths --concat --merge --stack --coord --calendar --order --unsorted --duplicates --gaps --static --files-from --max-mem --threads --json --quiet --verbose --no-progress --color --help'
        ;;
    verify)
        case $previous in
        --level) choices='presence decode' ;;
        --format) choices='zarr hdf5 netcdf3 kerchunk' ;;
        --max-mem) return ;;
        --threads) return ;;
        --color) choices='auto always never' ;;
        esac
        options='--level --strict --format --trust-paths --max-mem --threads --json --quiet --verbose --no-progress --color --help'
        ;;
    help)
        case $previous in
        esac
        options='--help'
        ;;
    esac
    if [ -n "$choices" ]; then
        COMPREPLY=($(compgen -W "$choices" -- "$word"))
    elif [ -z "$files" ] && [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$word"))
    elif [ "${COMP_WORDS[1]}" = help ]; then
        COMPREPLY=($(compgen -W 'info values scan rechunk convert virtualize survey diff verify help' -- "$word"))
    fi
}
complete -o default -o bashdefault -F _chunkmill chunkmill
