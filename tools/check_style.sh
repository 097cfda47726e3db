#!/bin/sh
# What can be checked of the style by looking at the text: forbidden functions, length of files, names
# that say nothing, marks of unfinished work. Prints what is wrong; exit status 1 if anything is.
set -u
cd "$(dirname "$0")/.."
wrong=0

files() { # files DIR: the sources below it
    find "$1" -type f \( -name '*.c' -o -name '*.h' -o -name '*.py' -o -name '*.sh' \) 2>/dev/null | sort
}

report() { # report TEXT LINES
    [ -z "$2" ] && return
    wrong=1
    printf '%s\n%s\n' "# $1:" "$(printf '%s\n' "$2" | sed 's/^/#   /')"
}

# Functions. Comments are no calls: only a name right before a parenthesis counts.
calls() { # calls NAMES DIR...
    names=$1
    shift
    for dir in "$@"; do files "$dir"; done | grep '\.[ch]$' | xargs -r grep -nP "(?<![A-Za-z0-9_.>])($names)\(" /dev/null |
        grep -vP '^[^:]*:[0-9]+:\s*(/?\*|//)'
}
report "unsafe" \
    "$(calls 'strcpy|strcat|stpcpy|sprintf|vsprintf|gets|alloca|tmpnam|mktemp' src include fuzz)"
report "checks nothing, or is not usable from threads" \
    "$(calls 'atoi|atol|atoll|atof|strtok|gmtime|localtime|asctime|ctime|rand|srand|strerror|readdir_r' \
        src include tests fuzz bench)"
# The command is a program: it may print, exit and read the environment; the library may not.
library=$(find src -mindepth 1 -maxdepth 1 -type d ! -name cli ! -name serve | sort)
report "the library does not print, exit or read the environment" \
    "$(calls 'printf|puts|putchar|perror|exit|_exit|abort|getenv|secure_getenv|system|signal|sigaction|setenv|setlocale|chdir|umask' $library)"
report "the library keeps no state of its own" \
    "$(find $library -name '*.c' | sort | xargs -r grep -nP '^(static )?(_Atomic )?(bool|int|unsigned|char|size_t|u?int[0-9]+_t|double|float)\s+\*?\w+(\[[^]]*\])?\s*(=[^()]*)?;' /dev/null | grep -v const)"

# Sizes and names.
for f in $(for d in src include tests fuzz bench tools python; do files $d; done); do
    n=$(wc -l <"$f")
    [ "$n" -gt 900 ] && echo "$n lines: $f"
done >/tmp/cm-style.$$
report "files of more than 900 lines" "$(cat /tmp/cm-style.$$)"
rm -f /tmp/cm-style.$$
report "names that say nothing" \
    "$(for d in src include tests fuzz tools python; do files $d; done | grep -Ei '/[^/]*(util|helper|misc|common|manager)[^/]*$')"
report "two files of one name" \
    "$(find src -name '*.c' | sed 's,.*/,,' | sort | uniq -d)"

# Marks of unfinished work. This file names them, so it is left out.
report "unfinished" \
    "$(for d in src include tests fuzz bench tools python; do files $d; done | grep -v tools/check_style.sh |
        xargs -r grep -nEi '\b(todo|fixme|xxx|stub|not (yet )?implemented)\b' /dev/null)"

# Every source begins by saying what it is.
report "no opening comment" \
    "$(find src include tests fuzz -name '*.[ch]' | sort | while read -r f; do
        [ "$(head -c 2 "$f")" = '/*' ] || echo "$f"
    done)"

[ $wrong = 0 ] && echo "ok 1 - style" || echo "not ok 1 - style"
echo 1..1
exit $wrong
