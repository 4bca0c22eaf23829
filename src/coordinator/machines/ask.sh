vigie_main() {
  vigie_find || { echo "vigie never"; exit 0; }
  vigie_boot; vigie_now=$vigie_boot
  vigie_pid= vigie_at= vigie_boot= vigie_shell= vigie_shell_at=
  { read -r vigie_pid vigie_at vigie_boot vigie_shell vigie_shell_at <"$vigie_file.pid"; } 2>/dev/null
  if [ ! -e "$vigie_file.exit" ] && { [ -z "$vigie_pid" ] || {
    [ "$vigie_boot" = "$vigie_now" ] && {
      vigie_same "$vigie_shell" "$vigie_shell_at" || {
        [ "$vigie_pid" != - ] && vigie_same "$vigie_pid" "$vigie_at"; }; }; }; }; then
    # What was read may be over by now: its end is looked for once more.
    [ -e "$vigie_file.exit" ] || [ ! -e "$vigie_file.pid" ] || { echo "vigie running"; exit 0; }
  fi
  if [ -e "$vigie_file.exit" ]; then
    read -r vigie_code <"$vigie_file.exit"
    echo "vigie ended $vigie_code"
  else
    rm -f "$vigie_file.pid" "$vigie_file.out" "$vigie_file.tmp"
    echo "vigie gone"
  fi
  exit 0
}
vigie_main
