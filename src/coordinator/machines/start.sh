vigie_fail() { echo "vigie: $1" >&2; rm -f "$vigie_file.pid" "$vigie_file.out" "$vigie_file.tmp"; exit 255; }
vigie_main() {
  # A hang-up ends neither this shell nor the command: how that ends is written down.
  trap : HUP
  vigie_umask=$(umask)
  umask 077
  vigie_folder || exit 255
  vigie_file="$vigie_base/$vigie_key"
  vigie_boot; vigie_ticks $$; vigie_own="$$ $vigie_ticks"
  # Only once, whoever comes second.
  (set -C; echo "- - $vigie_boot $vigie_own" >"$vigie_file.pid") 2>/dev/null || {
    [ -e "$vigie_file.pid" ] || { echo "vigie: can't write in $vigie_base" >&2; exit 255; }
    echo "vigie: it was started here before" >&2
    exit 255
  }
  if [ -e "$vigie_file.exit" ]; then
    rm -f "$vigie_file.pid"
    echo "vigie: it was started here before" >&2
    exit 255
  fi
  [ -s "$vigie_file.pid" ] || vigie_fail "can't write in $vigie_base"
  mkfifo "$vigie_file.out" || vigie_fail "can't make a pipe in $vigie_base"
  vigie_setsid=$(command -v setsid) || vigie_setsid=
  vigie_perl=$(command -v perl) || vigie_perl=
  [ -n "$vigie_setsid$vigie_perl" ] || set -m 2>/dev/null
  # Waits for its reader below, so nothing is run before it is written down.
  vigie_command >"$vigie_file.out" 2>&1 </dev/null &
  vigie_pid=$!
  [ -n "$vigie_setsid$vigie_perl" ] || set +m 2>/dev/null
  vigie_ticks "$vigie_pid"
  { echo "$vigie_pid $vigie_ticks $vigie_boot $vigie_own" >"$vigie_file.tmp" &&
    mv -f "$vigie_file.tmp" "$vigie_file.pid"; } 2>/dev/null || {
    kill -s KILL "$vigie_pid" 2>/dev/null
    vigie_fail "can't write in $vigie_base"
  }
  vigie_output "$vigie_file.out" 2>/dev/null </dev/null &
  vigie_reader=$!
  # Shells tell of processes that were ended by a signal.
  exec 2>/dev/null
  while :; do
    wait "$vigie_pid"
    vigie_code=$?
    # A signal to this shell interrupts its waiting.
    [ "$vigie_code" -gt 128 ] && kill -0 "$vigie_pid" 2>/dev/null || break
  done
  if [ -e "$vigie_file.stop" ]; then
    # It was told to end: all of its group goes first.
    vigie_naps=0
    while vigie_alive "$vigie_pid" && [ "$vigie_naps" -lt 50 ]; do
      vigie_nap
      [ ! -e "$vigie_file.kill" ] || vigie_naps=$((vigie_naps + 1))
    done
  fi
  { echo "$vigie_code" >"$vigie_file.tmp" && mv -f "$vigie_file.tmp" "$vigie_file.exit"; } 2>/dev/null
  rm -f "$vigie_file.pid" "$vigie_file.stop" "$vigie_file.kill"
  # What it left in the background may hold its output for ever.
  (sleep 5; kill "$vigie_reader") >/dev/null 2>&1 </dev/null &
  vigie_timer=$!
  wait "$vigie_reader"
  kill "$vigie_timer" 2>/dev/null
  exit "$vigie_code"
}
# Passes output on; without a connection it is dropped, and whoever writes it lives on.
vigie_output() {
  exec 3<"$1"
  trap '' PIPE
  cat <&3 &
  vigie_cat=$!
  trap 'kill "$vigie_cat"; exit 0' TERM
  wait "$vigie_cat"
  exec cat <&3 >/dev/null
}
vigie_command() {
  rm -f "$vigie_file.out"
  trap - HUP
  umask "$vigie_umask"
  if [ -e "$vigie_file.stop" ]; then exit 143; fi
@COMMAND@
  if [ -n "$vigie_setsid" ]; then exec "$vigie_setsid" "$@"; fi
  if [ -n "$vigie_perl" ]; then
    exec "$vigie_perl" -e 'use POSIX (); POSIX::setsid(); exec { $ARGV[0] } @ARGV or do { warn "$ARGV[0]: $!\n"; exit 127 }' -- "$@"
  fi
  exec "$@"
}
vigie_main
