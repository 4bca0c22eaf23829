# For any POSIX shell: dash, BusyBox, bash, ksh. Read whole before any of it is run.
vigie_key='@KEY@'
# Folders for what is to be known of runs here, the better one first.
vigie_folders() {
  vigie_1="${XDG_STATE_HOME:-${HOME:-/}/.local/state}/vigie/runs"
  vigie_2="${TMPDIR:-/tmp}/vigie-$(id -u)"
}
vigie_ours() { [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] && [ -w "$1" ]; }
vigie_folder() {
  vigie_folders
  for vigie_base in "$vigie_1" "$vigie_2"; do
    (umask 077 && mkdir -p "$vigie_base") 2>/dev/null
    vigie_ours "$vigie_base" && return 0
  done
  echo "vigie: neither $vigie_1 nor $vigie_2 is a folder that can be written" >&2
  return 1
}
# The files of this attempt, where there are any.
vigie_find() {
  vigie_folders
  for vigie_base in "$vigie_1" "$vigie_2"; do
    vigie_file="$vigie_base/$vigie_key"
    vigie_ours "$vigie_base" && { [ -e "$vigie_file.exit" ] || [ -e "$vigie_file.pid" ]; } && return 0
  done
  return 1
}
vigie_boot() {
  vigie_boot=-
  { read -r vigie_boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
}
# When a process started, in clock ticks since boot: field 22 of its stat (proc(5)).
vigie_ticks() {
  vigie_ticks=-
  { read -r vigie_stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  set -- ${vigie_stat##*) }
  vigie_ticks=${20}
}
# Whether process $1 is the one that started at $2.
vigie_same() {
  kill -0 "$1" 2>/dev/null || return 1
  vigie_ticks "$1"
  [ "$vigie_ticks" = "$2" ]
}
# Whether anything of group $1 can still do something. What has ended and was not looked at can't.
vigie_alive() {
  kill -s 0 -- "-$1" 2>/dev/null || return 1
  [ -r /proc/self/stat ] || return 0
  for vigie_proc in /proc/[0-9]*/stat; do
    { read -r vigie_stat <"$vigie_proc"; } 2>/dev/null || continue
    set -- "$1" ${vigie_stat##*) }
    [ "$4" = "$1" ] && [ "$2" != Z ] && [ "$2" != X ] && return 0
  done
  return 1
}
vigie_nap() { sleep 0.1 2>/dev/null || sleep 1; }
